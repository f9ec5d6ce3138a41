"""Checkpoints: what a further run needs to go on exactly as if the first had never stopped."""

import zlib
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nodegrad.files import load_json, read, save_json, written
from nodegrad.trees import flatten

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.training.run import Run

KIND, VERSION = "nodegrad checkpoint", 3
_PIECE = 4096  # rows read at once
_KEPT = (
    *("losses", "validation_losses", "gradient_norms", "metrics", "seconds", "best_epoch"),  # of the History
)


def save_checkpoint(run: "Run") -> None:
    """Write the state of a training to the file that its settings name."""
    content = {
        "training": run.described | {"schedules": rates(run, run.problem.optimizer.steps)},
        "seed": run.settings.seed,
        "numbers": [leaf.data for leaf in run.problem.optimizer.parameters],
        "optimizer": run.problem.optimizer.state_dict(),
        "history": {name: getattr(run.history, name) for name in _KEPT},
        "best": run.best,
        "criteria": [float(run.criteria.best), run.criteria.waited],
        "callbacks": [
            call.state_dict() if hasattr(call, "state_dict") else None for call in run.settings.callbacks
        ],
    }
    save_json(run.settings.checkpoint, KIND, VERSION, written(content))


def load_checkpoint(run: "Run") -> None:
    """Set a training to the state in the file that its settings name.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, or that of another training; nothing has changed then.
    """
    path, settings, optimizer = run.settings.resume, run.settings, run.problem.optimizer
    content = read(load_json(path, "fit", KIND, VERSION))
    kept = content["training"] | {"seed": content["seed"]}
    own = run.described | {"schedules": rates(run, content["optimizer"]["steps"])}
    own["seed"] = settings.seed if settings.seeded else kept["seed"]
    if own["learning rates"] == content["optimizer"]["learning_rates"]:
        own["learning rates"] = kept["learning rates"]  # the same optimizer, whose rates a callback changed
    for name, here in own.items():
        found = kept.get(name)
        if found != here:
            raise ValueError(
                f"fit: {path} is the checkpoint of another training: {name} is {found!r:.60} there and "
                f"{here!r:.60} here."
            )
    run.described = {name: kept[name] for name in run.described}
    optimizer.load_state_dict(content["optimizer"])
    for leaf, number in zip(optimizer.parameters, content["numbers"], strict=True):
        leaf.data = number
    for name in _KEPT:
        setattr(run.history, name, content["history"][name])
    run.best = tuple(content["best"])
    run.criteria.best, run.criteria.waited = content["criteria"]
    settings.seed = run.batches.seed = content["seed"]
    for call, state in zip(settings.callbacks, content["callbacks"], strict=False):
        if state is not None and hasattr(call, "load_state_dict"):
            call.load_state_dict(state)


def description(run: "Run") -> dict[str, Any]:
    """Return what must be the same in two runs of one training."""
    optimizer, batches, problem = run.problem.optimizer, run.batches, run.problem
    modules = problem.model.named_modules() if hasattr(problem.model, "named_modules") else []
    return {
        "optimizer": type(optimizer).__name__,
        "settings": [
            [f"{key}={value!r}" for key, value in group.settings.items()] for group in optimizer.groups
        ],
        "parameters": len(optimizer.parameters),
        "learning rates": optimizer.state_dict()["learning_rates"],
        "rows": batches.total,
        "batch size": getattr(batches, "size", 0),
        "limit": run.settings.max_gradient_norm,
        "model": [module.summary() for _, module in modules],
        "loss": getattr(problem.loss, "__qualname__", type(problem.loss).__name__),
        "metrics": list(run.settings.metrics),
        "restore_best": run.settings.restore_best,
    }


def rates(run: "Run", steps: int) -> list[list[float]]:
    """Return some of the learning rates that schedules have given in so many steps."""
    places = (0, steps // 2, max(0, steps - 1))
    groups = run.problem.optimizer.groups
    return [[group.rate(step) for step in places] for group in groups if callable(group.learning_rate)]


def checksums(run: "Run") -> dict[str, float]:
    """Return checksums of the data, added up over all ranks; nothing for batches, which may be shuffled."""
    problem = run.problem
    if run.batches.steps is None:
        return {}
    weights = problem.known.parts[2:3] if problem.weighted else []
    held_out = [] if problem.held_out is None else problem.held_out.parts
    codes = [_checksum(parts) for parts in (problem.known.parts[:2], weights, held_out)]
    named = zip(("data", "weights", "validation data"), problem.ranks.sum(codes), strict=True)
    return {name: float(code) for name, code in named}


def _checksum(parts: Sequence[Any]) -> float:
    """Return a checksum of the numbers, the same for lists and arrays."""
    code = 0
    for part in parts:
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            numbers = piece.astype(float) if hasattr(piece, "astype") else array("d", flatten(piece)[0])
            code = zlib.crc32(numbers.tobytes(), code)
    return float(code)
