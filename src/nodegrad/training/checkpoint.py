"""Checkpoints: what a further run needs to go on exactly as if the first had never stopped."""

from typing import TYPE_CHECKING, Any

from nodegrad.files import load_json, read, save_json, written

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.training.run import Run

KIND, VERSION = "nodegrad checkpoint", 2
_KEPT = (
    *("losses", "validation_losses", "gradient_norms", "metrics", "seconds", "best_epoch"),  # of the History
)


def save_checkpoint(run: "Run") -> None:
    """Write the state of a training to the file that its settings name."""
    content = {
        "training": description(run),
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
    path = run.settings.resume
    content = read(load_json(path, "fit", KIND, VERSION))
    for name, here in description(run).items():
        found = content["training"].get(name)
        if found != here:
            raise ValueError(
                f"fit: {path} is the checkpoint of another training: {name} is {found!r} there and {here!r} "
                "here."
            )
    optimizer = run.problem.optimizer
    optimizer.load_state_dict(content["optimizer"])
    for leaf, number in zip(optimizer.parameters, content["numbers"], strict=True):
        leaf.data = number
    for name in _KEPT:
        setattr(run.history, name, content["history"][name])
    run.best = tuple(content["best"])
    run.criteria.best, run.criteria.waited = content["criteria"]
    run.settings.seed = run.batches.seed = content["seed"]
    for call, kept in zip(run.settings.callbacks, content["callbacks"], strict=False):
        if kept is not None and hasattr(call, "load_state_dict"):
            call.load_state_dict(kept)


def description(run: "Run") -> dict[str, Any]:
    """Return what must be the same in two runs of one training."""
    optimizer, batches = run.problem.optimizer, run.batches
    return {
        "optimizer": type(optimizer).__name__,
        "settings": [
            [f"{key}={value!r}" for key, value in group.settings.items()] for group in optimizer.groups
        ],
        "parameters": len(optimizer.parameters),
        "rows": getattr(batches, "total", 0),
        "batch size": getattr(batches, "size", 0),
        "limit": run.settings.max_gradient_norm,
    }
