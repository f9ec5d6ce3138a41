"""The loop: go through batches, update parameters, and say why it stopped."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nodegrad.data import generator_for, index_batches, samples
from nodegrad.nn.losses import LOSSES
from nodegrad.optim import OPTIMIZERS, Optimizer
from nodegrad.training.eager_step import EagerStep, Loss, NotFinite, Run, Samples
from nodegrad.trees import described

Callback = Callable[[int, "History"], Any]

_WORTH_COMPILING = (
    2000  # samples to go through; with fewer the compiler is not quicker, unless the model is large
)

REASONS = {
    "target loss": "the loss is small enough",
    "tolerance": "the improvement is negligible",
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
        reason: why training stopped, a key of `REASONS`; "diverged" if it cannot go on.
        compiled: whether the steps were compiled.
        seconds: how long it took.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    reason: str = ""
    compiled: bool = False
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """The number of complete epochs."""
        return len(self.losses)

    def plot(self, ax: Any = None) -> Any:
        """Plot the losses over the epochs with matplotlib, and return its Axes."""
        from nodegrad.show.plots import loss_curve

        if not self.validation_losses:
            return loss_curve(self.losses, ax=ax)
        return loss_curve(self.losses, self.validation_losses, labels=["training", "validation"], ax=ax)

    def __repr__(self) -> str:
        course = f", loss {self.losses[0]:.6g} to {self.losses[-1]:.6g}" if self.losses else ""
        ended = f"stopped because {REASONS[self.reason]}" if self.reason else "under way"
        how = ", compiled" if self.compiled else ""
        return f"<History: {self.epochs} epochs{how}{course}; {ended}>"


def fit(
    model: Callable[[Any], Any],
    X: Any,
    y: Any,
    loss: str | Loss = "mean_squared_error",
    optimizer: str | Optimizer = "adam",
    epochs: int = 100,
    batch_size: int | None = None,
    *,
    learning_rate: Any = None,
    validation: tuple[Any, Any] | None = None,
    tolerance: float = 1e-6,
    patience: int | None = 10,
    target_loss: float = -math.inf,
    gradient_tolerance: float = 0.0,
    max_gradient_norm: float = math.inf,
    seed: int | None = None,
    progress: bool | None = None,
    compile: bool | None = None,
    callback: Callback | None = None,
) -> History:
    """Train a model: minimise the mean over samples of loss(model(x), y) by mini-batch gradient descent.

    It stops at the first of these:

    - the loss is at most `target_loss`;
    - the loss has improved by less than `tolerance` times itself in `patience` epochs;
    - the norm of the gradient is at most `gradient_tolerance` in every batch of an epoch;
    - `epochs` epochs are over, or the callback returns True;
    - Ctrl-C, which leaves the model as the last step did;
    - a loss or gradient that is not finite, which leaves the model as it was before that step.

    >>> import nodegrad as ng
    >>> model = ng.nn.MLP(1, [1], seed=1)
    >>> history = fit(
    ...     model, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], optimizer="sgd", learning_rate=0.2, epochs=500
    ... )
    >>> history.reason, round(model([10.0]).data, 2)
    ('tolerance', 21.0)

    Args:
        model: a Module, or any function of a row of X; then `optimizer` must hold the parameters.
        X: the rows: lists, an array, or a data frame.
        y: a target for each row: a number, a list of numbers, or for cross_entropy the number of a class.
        loss: the name of a loss in `nodegrad.nn`, or a function of a prediction and a target.
        optimizer: an Optimizer, or the name of one: sgd, adam, adamw, rmsprop.
        epochs: how often to go through the data at most.
        batch_size: how many random rows make a step; None for all.
        learning_rate: that of an optimizer given by name: a number or a schedule.
        validation: rows and targets to measure, not to train on; their loss decides about `target_loss` and
            `tolerance` then.
        tolerance: the relative improvement that counts as negligible.
        patience: how many epochs without that improvement end the training; None for any number.
        target_loss: the loss that is small enough.
        gradient_tolerance: the norm of the gradient that is small enough.
        max_gradient_norm: gradients of a larger norm are scaled down to it.
        seed: what the batches are drawn with; None for Python's global generator.
        progress: show a progress bar (needs tqdm). By default on a terminal, where tqdm is installed.
        compile: run compiled steps: False for never, True for always (what prevents it is an error then). By
            default where NumPy is installed, the model can be compiled, and there is enough to do. The
            History says which it was. Compiled and eager losses differ by rounding.
        callback: called with the number of epochs done and the History after each; True stops the training.

    Raises:
        ValueError: for empty, uneven, or mismatched data, for nan or inf in them, for settings out of range,
            and for an optimizer of parameters that the loss does not depend on; nothing has changed then.
        TypeError: for data that are not numbers, or a loss that is not one Value.
    """
    known = samples(X, y, "fit")
    held_out = _held_out(validation)
    criteria = _Criteria(target_loss, tolerance, patience, gradient_tolerance)
    updates = _optimizer(optimizer, model, learning_rate)
    size, count = _batch_size(batch_size, len(known)), _epochs(epochs)
    generator = generator_for(seed) if size < len(known) else None
    if not max_gradient_norm > 0.0:
        raise ValueError(f"fit: max_gradient_norm is above 0; got {max_gradient_norm!r}.")
    if callback is not None and not callable(callback):
        raise TypeError(f"fit: callback is a function of epochs and History; got {described(callback)}.")
    run = Run(EagerStep(model, _loss(loss), updates, known, held_out), max_gradient_norm)
    run.eager.check()
    history, start = History(), time.perf_counter()
    try:
        if compile or (compile is None and len(known) * count >= _enough(len(updates.parameters))):
            run.compile(bool(compile))
        with _progress(progress, count * math.ceil(len(known) / size)) as shown:
            while not history.reason:
                batches = index_batches(len(known), size, generator) if generator else [None]
                watched, norm = run.epoch(batches, shown)
                history.losses.append(watched)
                history.gradient_norms.append(norm)
                if held_out:
                    watched = run.validate()
                    history.validation_losses.append(watched)
                reason = criteria.met(watched, norm)
                if callback is not None and run.consult(callback, history.epochs, history):
                    reason = reason or "callback"
                history.reason = reason or ("max epochs" if history.epochs == count else "")
    except KeyboardInterrupt:
        history.reason = "interrupted"
    except NotFinite as found:
        history.reason = "diverged"
        warnings.warn(
            f"fit: {found} in epoch {history.epochs + 1}, and training stopped; the model is as it was "
            "before that step. A smaller learning_rate, scaled data or a max_gradient_norm may help.",
            RuntimeWarning,
            stacklevel=2,
        )
    finally:
        run.step.push()
    history.compiled, history.seconds = run.compiled, time.perf_counter() - start
    return history


class _Criteria:
    """When the loss, its improvement, or the gradient is small enough to stop."""

    def __init__(self, target: float, tolerance: float, patience: int | None, gradient: float) -> None:
        if not tolerance >= 0.0:
            raise ValueError(f"fit: tolerance is a number not below 0; got {tolerance!r}.")
        if patience is not None and not patience >= 1:
            raise ValueError(f"fit: patience is a positive number of epochs, or None; got {patience!r}.")
        self.target, self.tolerance, self.gradient = target, tolerance, gradient
        self.patience = math.inf if patience is None else patience
        self.best, self.waited = math.inf, 0

    def met(self, loss: float, norm: float) -> str:
        """Return the reason to stop after an epoch with this loss and norm of the gradient; none is empty."""
        if self.best == math.inf or self.best - loss > self.tolerance * math.fabs(self.best):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if loss <= self.target:
            return "target loss"
        if norm <= self.gradient:
            return "gradient"
        return "tolerance" if self.waited >= self.patience else ""


# Checks before anything runs.


def _loss(loss: str | Loss) -> Loss:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"fit: unknown loss {loss!r}. Known are {', '.join(LOSSES)}; or give a function.")
    return LOSSES[loss]


def _held_out(validation: Any) -> Samples:
    if validation is None:
        return []
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(
            f"fit: validation is a pair, rows and targets; got {described(validation)}. "
            "Write validation=(X_test, y_test)."
        )
    inputs, targets = validation
    return samples(inputs, targets, "fit", ("validation[0]", "validation[1]"))


def _enough(parameters: int) -> int:
    """Return how many samples are worth compiling for (as measured with 337, 5,313 and 84,874 parameters)."""
    return min(_WORTH_COMPILING, max(100, 500_000 // max(1, parameters)))


def _optimizer(optimizer: str | Optimizer, model: Any, learning_rate: Any) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ValueError("fit: an Optimizer has its own learning_rate: give it there.")
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"fit: unknown optimizer {optimizer!r}. Known are {', '.join(OPTIMIZERS)}; "
            "or give an Optimizer: nodegrad.optim.SGD(model.parameters(), 0.01)."
        )
    if not hasattr(model, "parameters"):
        raise TypeError(
            f"fit: {model!r:.40} has no parameters(). Give the optimizer what to update: "
            "optimizer=nodegrad.optim.SGD([...], 0.01)."
        )
    settings = {} if learning_rate is None else {"learning_rate": learning_rate}
    return OPTIMIZERS[optimizer](model.parameters(), **settings)


def _epochs(epochs: Any) -> int:
    if not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"fit: epochs is a positive whole number; got {epochs!r}.")
    return epochs


def _batch_size(batch_size: Any, count: int) -> int:
    if batch_size is None:
        return count
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"fit: batch_size is a positive whole number, or None for all; got {batch_size!r}.")
    return min(batch_size, count)


# Progress.


@contextmanager
def _progress(wanted: bool | None, steps: int) -> Iterator[Callable[[float], None]]:
    """Show a bar for so many steps, and yield what to call with the loss after each."""
    bar = _bar(steps) if wanted or (wanted is None and sys.stderr.isatty()) else None
    if bar is None:
        if wanted:
            raise ImportError("fit(progress=True) needs tqdm: pip install tqdm, or leave progress out.")
        yield lambda loss: None
        return

    def shown(loss: float) -> None:
        bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        bar.update()

    with bar:
        yield shown


def _bar(steps: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, unit="step")
