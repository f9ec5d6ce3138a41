"""Checkpoints: what a further run needs to go on exactly as if the first had never stopped."""

import json
import random
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nodegrad.files import load_json, read, save_json, written
from nodegrad.trees import flatten
from nodegrad.value import write

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.training.run import Run

KIND, VERSION = "nodegrad checkpoint", 8
_PIECE = 4096  # rows read at once
_DATA = ("data", "weights", "validation data")  # of which a checkpoint holds checksums
_HISTORY = ("losses", "validation_losses", "gradient_norms", "metrics", "reason", "seconds", "best_epoch")


def save(run: "Run") -> None:
    """Write the state of a training to the file that its settings name.

    Raises:
        TypeError: if a callback has a state that the file would not give back.
    """
    optimizer = run.problem.optimizer
    content = {
        "training": run.described,
        "rates": rates(run, optimizer.steps),
        "seed": run.settings.seed,
        "numbers": [leaf.data for leaf in run.problem.leaves],
        "optimizer": optimizer.state_dict(),
        "history": {name: getattr(run.history, name) for name in _HISTORY},
        "best": run.best,
        "callbacks": [
            (type(call).__qualname__, call.state_dict())
            for call in run.settings.callbacks
            if hasattr(call, "state_dict")
        ],
        "generators": json.dumps(_generators(), default=lambda array: array.tolist()),
    }
    save_json(run.settings.checkpoint, KIND, VERSION, written(content))


def load(run: "Run") -> dict[str, Any]:
    """Return the content of the file that the settings of a training name.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, or that of another training.
    """
    settings = run.settings
    content: dict[str, Any] = read(load_json(settings.resume, "fit", KIND, VERSION))
    kept = content["training"] | {"seed": content["seed"]}
    own = run.described | {"seed": settings.seed if settings.seeded else kept["seed"]}
    changed = facts_of(content["optimizer"]["groups"])
    for name, here in own.items():
        now = changed.get(name)  # it may be the optimizer that wrote the file, changed by a callback since
        if here != now:
            _check_same(run, name, now if isinstance(now, dict) else kept.get(name), here)
    for there, found in zip(content["rates"], rates(run, content["optimizer"]["steps"]), strict=True):
        if there and found:
            _check_same(run, "rates of a schedule", there, found)
    return content


def go_on_from(run: "Run", content: dict[str, Any]) -> str:
    """Set a training to a state that was read; return the state of the generators."""
    settings, optimizer = run.settings, run.problem.optimizer
    run.described = {name: content["training"][name] for name in run.described}
    optimizer.load_state_dict(content["optimizer"])
    write(run.problem.leaves, content["numbers"])
    for name in _HISTORY:
        setattr(run.history, name, content["history"][name])
    run.best = tuple(content["best"])
    settings.seed = run.batches.seed = content["seed"]
    states = [*content["callbacks"]]
    for call in settings.callbacks:
        kinds = [kind for kind, _ in states]
        if (kind := type(call).__qualname__) in kinds:  # of several, each takes the first that is left
            call.load_state_dict(states.pop(kinds.index(kind))[1])
    generators: str = content["generators"]
    return generators


def _generators() -> list[Any]:
    """Return the states of the generators of random numbers that Python and NumPy share."""
    numpy = sys.modules.get("numpy")
    return [random.getstate(), *([numpy.random.get_state(legacy=False)] if numpy else [])]


def set_generators(text: str) -> None:
    """Set the shared generators of random numbers to states from a checkpoint."""
    (version, numbers, gauss), *states = json.loads(text)
    random.setstate((version, tuple(numbers), gauss))
    if states:
        import numpy as np

        np.random.set_state(*states)


def _check_same(run: "Run", name: str, there: Any, here: Any) -> None:
    if there != here:
        how = f"is {there!r:.60} there and {here!r:.60} here"
        how = "differ in rows, values or order" if name in _DATA else how
        raise ValueError(f"fit: {run.settings.resume} is the checkpoint of another training: {name} {how}.")


def description(run: "Run") -> dict[str, Any]:
    """Return what must be the same in two runs of one training."""
    optimizer, batches, problem = run.problem.optimizer, run.batches, run.problem
    return {
        "optimizer": type(optimizer).__name__,
        "parameters": len(run.problem.leaves),
        "groups": [len(group.parameters) for group in optimizer.groups],
        **facts_of([group.state_dict() for group in optimizer.groups]),
        "rows": batches.total,
        "batch size": getattr(batches, "size", 0),
        "limit": run.settings.max_gradient_norm,
        "model": [module.summary() for module in problem.modules],
        "loss": getattr(problem.loss, "__qualname__", type(problem.loss).__name__),
        "metrics": list(run.settings.metrics),
        "restore_best": run.settings.restore_best,
    }


def facts_of(groups: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what callbacks may change of an optimizer, from the states of its groups.

    >>> facts_of([{"learning_rate": 0.1, "momentum": 0.9}])
    {'learning_rate of group 1': 0.1, 'momentum of group 1': 0.9}
    """
    return {
        f"{name} of group {place}": fact
        for place, group in enumerate(groups, 1)
        for name, fact in group.items()
    }


def rates(run: "Run", steps: int) -> list[list[float]]:
    """Return some rates that each group's schedule gives in its first `steps`, most of them at the start."""
    places = sorted({steps >> halvings for halvings in range(1, 64)} | {max(0, steps - 1)})
    groups = run.problem.optimizer.groups
    return [
        [group.rate(step) for step in places] if callable(group.learning_rate) else [] for group in groups
    ]


def checksums(run: "Run") -> dict[str, Any]:
    """Return checksums of the data, added up over all ranks; nothing for batches, which may be shuffled."""
    problem = run.problem
    if run.batches.steps is None:
        return {}
    weights = problem.known.parts[2:3] if problem.weighted else []
    held_out = [] if problem.held_out is None else problem.held_out.parts
    codes = [_checksum(parts) for parts in (problem.known.parts[:2], weights, held_out)]
    return dict(zip(_DATA, map(float, problem.ranks.sum(codes)), strict=True))


def _checksum(parts: Sequence[Any]) -> float:
    """Return a checksum of the numbers, the same for lists and arrays."""
    code = 0
    for part in parts:
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            numbers = piece.astype(float) if hasattr(piece, "astype") else array("d", flatten(piece)[0])
            code = zlib.crc32(numbers.tobytes(), code)
    return float(code)
