"""History: what happened in a training; and the settings of one."""

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

from nodegrad.inputs import file_path, flag, function, in_range, listed, whole

__all__ = ["History"]

Callback = Callable[[int, "History"], Any]

REASONS = {
    "target loss": "the loss is small enough",
    "tolerance": "the improvement is negligible",
    "validation": "the validation loss was never finite",
    "gradient": "the gradient is small",
    "max epochs": "the number of epochs is reached",
    "callback": "the callback asked for it",
    "interrupted": "it was interrupted",
    "diverged": "the loss or its gradient is no longer finite",
}


@dataclass(repr=False)
class History:
    """What happened in a training.

    >>> History(losses=[0.5, 0.25], reason="max epochs")
    <History: 2 epochs, loss 0.5 to 0.25; stopped because the number of epochs is reached>

    Attributes:
        losses: the mean loss of each epoch, over its batches.
        validation_losses: the mean loss over the validation data after each epoch, where there are any.
        gradient_norms: the largest Euclidean norm of the gradient in each epoch.
        metrics: the metrics after each epoch by name; those of the validation data as `val_NAME`.
        reason: why training stopped, a key of `REASONS`; "diverged" if it cannot go on.
        compiled: whether the steps were compiled.
        eager_because: why they were not.
        best_epoch: the epoch whose parameters were restored, counted from 1; 0 for none.
        seconds: how long it took.
        model: the model that is trained.
        optimizer: what updates it.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    reason: str = ""
    compiled: bool = False
    eager_because: str = ""
    best_epoch: int = 0
    seconds: float = 0.0
    model: Any = field(default=None, compare=False)
    optimizer: Any = field(default=None, compare=False)

    @property
    def epochs(self) -> int:
        """The number of complete epochs."""
        return len(self.losses)

    @property
    def history(self) -> dict[str, list[float]]:
        """The course of every number by name, as Keras has it: loss, val_loss, and the metrics.

        >>> History(losses=[0.5]).history
        {'loss': [0.5]}
        """
        validation = {"val_loss": self.validation_losses} if self.validation_losses else {}
        return {"loss": self.losses} | validation | self.metrics

    def plot(self, ax: Any = None) -> Any:
        """Plot the losses over the epochs with matplotlib, and return its Axes."""
        from nodegrad.show.plots import loss_curve

        if not self.validation_losses:
            return loss_curve(self.losses, ax=ax)
        return loss_curve(self.losses, self.validation_losses, labels=["training", "validation"], ax=ax)

    def __repr__(self) -> str:
        course = f", loss {self.losses[0]:.6g} to {self.losses[-1]:.6g}" if self.losses else ""
        ended = f"stopped because {REASONS[self.reason]}" if self.reason else "under way"
        if self.reason == "tolerance" and self.losses and not self.losses[-1] <= self.losses[0]:
            ended = "stopped because the loss grows; a smaller learning_rate may help"
        how = (
            ", compiled" if self.compiled else f", eager ({self.eager_because})" if self.eager_because else ""
        )
        return f"<History: {self.epochs} epochs{how}{course}; {ended}>"


Settings = SimpleNamespace


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "epochs": whole,
    "checkpoint_every": whole,
    "patience": partial(whole, optional=True),
    "batch_size": partial(whole, optional=True),
    "seed": partial(whole, least=0, optional=True),
    "tolerance": partial(in_range, wanted="a finite number of at least 0"),
    "gradient_tolerance": partial(in_range, wanted="a number"),
    "target_loss": partial(in_range, wanted="a number"),
    "max_gradient_norm": in_range,
    "compile": partial(flag, optional=True),
    "progress": partial(flag, optional=True),
    "restore_best": flag,
}


def checked(user: str, **given: Any) -> Settings:
    """Return the arguments of `fit` as attributes of the same names.

    Raises:
        ValueError: for what is out of range.
        TypeError: for what is of another type, such as a callback that cannot be called.
    """
    settings = Settings(**given)
    for name, check in _CHECKS.items():
        setattr(settings, name, check(user, name, given[name]))
    settings.seeded = settings.seed is not None
    settings.seed = settings.seed if settings.seeded else random.getrandbits(32)
    more = given["callbacks"]
    more = [more] if callable(more) else [] if more is None else listed(user, "callbacks", more, "a list")
    settings.callbacks = [
        function(user, "callback", each, "a function of epochs and History")
        for each in ([] if given["callback"] is None else [given["callback"]]) + more
    ]
    if settings.checkpoint is not None:
        settings.checkpoint = file_path(user, "checkpoint", settings.checkpoint)
    if isinstance(settings.resume, str | bytes | os.PathLike):
        settings.resume = file_path(user, "resume", settings.resume)
    elif flag(user, "resume", settings.resume, optional=True, wanted="True, False, the path of a file"):
        if settings.checkpoint is None:
            raise ValueError(f"{user}: resume=True goes on from the file of checkpoint=: say which that is.")
        settings.resume = os.path.exists(settings.checkpoint) and settings.checkpoint
    # Whether callbacks, metrics or the best epoch need the model after each epoch.
    settings.watched = bool(settings.callbacks or settings.metrics or settings.restore_best)
    return settings


class Plateau:
    """Counts the epochs since the loss has improved by more than `tolerance` times itself.

    A loss that is not finite is not an improvement.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance, self.best, self.waited = tolerance, math.inf, 0

    def count(self, loss: float) -> int:
        """Take the loss of an epoch, and return the count."""
        better = self.best == math.inf or self.best - loss > self.tolerance * math.fabs(self.best)
        if better and math.isfinite(loss):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.best, self.waited = state["best"], state["waited"]


class Criteria(Plateau):
    """When the loss, its improvement, or the gradient is small enough to stop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.tolerance)
        self.settings = settings

    def met(self, loss: float, norm: float) -> str:
        """Return the reason to stop after an epoch with this loss and gradient norm, or an empty text."""
        settings, waited = self.settings, self.count(loss)
        if loss <= settings.target_loss:
            return "target loss"
        if norm <= settings.gradient_tolerance:
            return "gradient"
        if not settings.patience or waited < settings.patience:
            return ""
        return "validation" if self.best == math.inf else "tolerance"
