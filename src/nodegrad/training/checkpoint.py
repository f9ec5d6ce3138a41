"""Checkpoints: what a further run needs to go on exactly as if the first had never stopped."""

import math
from typing import TYPE_CHECKING, Any

from nodegrad.files import load_json, read, save_json, written

if TYPE_CHECKING:
    from nodegrad.training.run import Run

KIND, VERSION = "nodegrad checkpoint", 1
_COURSES = ("losses", "validation_losses", "gradient_norms")


def save_checkpoint(run: "Run") -> None:
    """Write where a training stands to the file of its settings."""
    history, criteria, optimizer = run.history, run.criteria, run.problem.optimizer
    state = optimizer.state_dict()
    content = {
        "training": _training(run),
        "seed": run.settings.seed,
        "numbers": [written(leaf.data) for leaf in optimizer.parameters],
        "optimizer": state | {"states": [[written(x) for x in entry] for entry in state["states"]]},
        "courses": {name: [written(x) for x in getattr(history, name)] for name in _COURSES},
        "metrics": {name: [written(x) for x in course] for name, course in history.metrics.items()},
        "seconds": history.seconds,
        "best_epoch": history.best_epoch,
        "best": [written(run.best[0]), run.best[1]],
        "criteria": [written(float(criteria.best)), criteria.waited],
        "callbacks": [
            call.state_dict() if hasattr(call, "state_dict") else None for call in run.settings.callbacks
        ],
    }
    save_json(run.settings.checkpoint, KIND, VERSION, content)


def load_checkpoint(run: "Run") -> None:
    """Let a training go on from the file of its settings.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, or that of another training; nothing has changed then.
    """
    path = run.settings.resume
    content = load_json(path, "fit", KIND, VERSION)
    for name, here in _training(run).items():
        found = content["training"].get(name)
        if found != here:
            raise ValueError(
                f"fit: {path} is the checkpoint of another training: {name} is {found!r} there and {here!r} "
                "here."
            )
    history, criteria, optimizer = run.history, run.criteria, run.problem.optimizer
    state = content["optimizer"]
    optimizer.load_state_dict(state | {"states": [[read(x) for x in entry] for entry in state["states"]]})
    for leaf, number in zip(optimizer.parameters, content["numbers"], strict=True):
        leaf.data = read(number)
    for name in _COURSES:
        setattr(history, name, [read(x) for x in content["courses"][name]])
    history.metrics = {name: [read(x) for x in course] for name, course in content["metrics"].items()}
    history.seconds, history.best_epoch = content["seconds"], content["best_epoch"]
    run.best = read(content["best"][0]), content["best"][1]
    criteria.best, criteria.waited = read(content["criteria"][0]), content["criteria"][1]
    run.settings.seed = run.batches.seed = content["seed"]
    for call, kept in zip(run.settings.callbacks, content["callbacks"], strict=False):
        if kept is not None and hasattr(call, "load_state_dict"):
            call.load_state_dict(kept)


def _training(run: "Run") -> dict[str, Any]:
    """Return what two runs of one training have in common."""
    optimizer, batches = run.problem.optimizer, run.batches
    return {
        "optimizer": type(optimizer).__name__,
        "settings": [
            [f"{key}={value!r}" for key, value in group.settings.items()] for group in optimizer.groups
        ],
        "parameters": len(optimizer.parameters),
        "rows": getattr(batches, "total", 0),
        "batch size": getattr(batches, "size", 0),
        "limit": "none" if run.settings.max_gradient_norm == math.inf else run.settings.max_gradient_norm,
    }
