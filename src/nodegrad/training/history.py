"""History: what happened in a training; and the settings of one."""

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from nodegrad.inputs import described, positive, whole

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
        losses: the mean loss of each epoch, as its batches found it.
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


@dataclass
class Settings:
    """What `fit` was asked for, checked; the fields are its arguments of the same names.

    Raises:
        ValueError: for what is out of range.
        TypeError: for a callback that cannot be called.
    """

    epochs: int
    tolerance: float
    patience: float | None
    target_loss: float
    max_gradient_norm: float
    seed: Any
    progress: bool | None
    callbacks: list[Callback]
    callback: Callback | None = None
    metrics: Any = ()
    gradient_tolerance: float = 0.0
    restore_best: bool = False
    compile: bool | None = None
    checkpoint: Any = None
    checkpoint_every: int = 1
    resume: Any = False

    @classmethod
    def among(cls, arguments: dict[str, Any]) -> "Settings":
        """Return the settings that are among the arguments of a function."""
        return cls(**{entry.name: arguments[entry.name] for entry in fields(cls) if entry.name in arguments})

    def __post_init__(self) -> None:
        self.epochs = whole("fit", "epochs", self.epochs)
        self.checkpoint_every = whole("fit", "checkpoint_every", self.checkpoint_every)
        self.max_gradient_norm = positive("fit", "max_gradient_norm", self.max_gradient_norm)
        whole("fit", "patience", self.patience, optional=True)
        positive("fit", "tolerance", self.tolerance, or_zero=True)
        seed = whole("fit", "seed", self.seed, least=0, optional=True)
        self.seed, self.seeded = (random.getrandbits(32) if seed is None else seed), seed is not None
        more = [self.callbacks] if callable(self.callbacks) else self.callbacks
        self.callbacks = [*([] if self.callback is None else [self.callback]), *more]
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(
                    f"fit: callback is a function of epochs and History; got {described(callback)}."
                )
        if self.resume is True:
            if self.checkpoint is None:
                raise ValueError("fit: resume=True goes on from the file of checkpoint=: say which that is.")
            self.resume = os.path.exists(self.checkpoint) and self.checkpoint

    @property
    def watched(self) -> bool:
        """Whether callbacks, metrics or the best epoch need the model after each epoch."""
        return bool(self.callbacks or self.metrics or self.restore_best)


class Criteria:
    """When the loss, its improvement, or the gradient is small enough to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.best, self.waited = math.inf, 0

    def met(self, loss: float, norm: float) -> str:
        """Return the reason to stop after an epoch with this loss and gradient norm, or an empty text.

        A loss that is not finite is not an improvement.
        """
        settings = self.settings
        better = self.best == math.inf or self.best - loss > settings.tolerance * math.fabs(self.best)
        if better and math.isfinite(loss):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if loss <= settings.target_loss:
            return "target loss"
        if norm <= settings.gradient_tolerance:
            return "gradient"
        if not settings.patience or self.waited < settings.patience:
            return ""
        return "validation" if self.best == math.inf else "tolerance"
