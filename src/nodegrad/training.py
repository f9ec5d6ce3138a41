"""Training: one loop that goes through batches, updates parameters, and says why it stopped."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from nodegrad.data import generator_for, index_batches, samples
from nodegrad.graph import patient_collector
from nodegrad.nn.losses import LOSSES
from nodegrad.optim import OPTIMIZERS, Optimizer, clip_grad_norm
from nodegrad.value import Value

Loss = Callable[[Any, Any], Any]
Samples = Sequence[tuple[Any, Any]]
Callback = Callable[[int, "History"], Any]

_WORTH_COMPILING = 2000  # samples to go through; the compiler is not quicker with fewer

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
        ValueError: for empty, uneven, or mismatched data, for nan or inf in them, and for settings out of
            range; nothing has changed then.
        TypeError: for data that are not numbers, or a loss that is not one Value.
    """
    known = samples(X, y, "fit")
    held_out = samples(*validation, "fit", ("validation[0]", "validation[1]")) if validation else []
    criteria = _Criteria(target_loss, tolerance, patience, gradient_tolerance)
    updates = _optimizer(optimizer, model, learning_rate)
    size, count = _batch_size(batch_size, len(known)), _epochs(epochs)
    generator = generator_for(seed) if size < len(known) else None
    if not max_gradient_norm > 0.0:
        raise ValueError(f"fit: max_gradient_norm is above 0; got {max_gradient_norm!r}.")
    run = _Run(_Step(model, _loss(loss), updates, known, held_out), max_gradient_norm)
    outputs = run.eager.check()
    history, start = History(), time.perf_counter()
    try:
        if compile or (compile is None and len(known) * count >= _WORTH_COMPILING):
            run.compile(bool(compile), outputs if loss == "cross_entropy" else 0)
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
                if callback is not None and run.consult(callback, history):
                    reason = reason or "callback"
                history.reason = reason or ("max epochs" if history.epochs == count else "")
    except KeyboardInterrupt:
        history.reason = "interrupted"
    except _NotFinite as found:
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


class _NotFinite(Exception):
    """A loss or a gradient is inf or nan; the message says which."""


class _Step:
    """Eager gradient descent on the mean loss of samples, one graph at a time, which bounds the memory.

    `FlatStep` of the compiler does the same on arrays; `pull` and `push` are for its sake.
    """

    def __init__(
        self, model: Callable[[Any], Any], loss: Loss, optimizer: Optimizer, known: Samples, held_out: Samples
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.known, self.held_out = known, held_out

    def error(self, row: Any, target: Any) -> Any:
        """Return the loss of one sample."""
        return self.loss(self.model(row), target)

    def check(self) -> int:
        """Try model and loss, so that misfits are known before anything changes; count the outputs."""
        row, target = self.known[0]
        output = self.model(row)
        error = self.loss(output, target)
        if not isinstance(error, Value):
            raise TypeError(
                f"fit: the loss of a sample is one Value that depends on the parameters; got {error!r:.60}."
            )
        if self.loss in LOSSES.values():  # a loss of one's own may not take plain numbers
            numbers = _numbers(output)
            for _, target in (*self.known, *self.held_out):
                self.loss(numbers, target)
        return len(output) if hasattr(output, "__len__") else 1

    def take(self, chosen: list[int] | None, limit: float) -> tuple[float, float]:
        """Take a step by the gradient of the mean loss over samples, scaled down to the norm `limit`.

        Returns:
            The loss and the norm of its gradient; where one is not finite, no step is taken.
        """
        loss = self._backward(self.known if chosen is None else [self.known[index] for index in chosen])
        norm = clip_grad_norm(self.optimizer.parameters, limit)
        if math.isfinite(loss) and math.isfinite(norm):
            self.optimizer.step()
        return loss, norm

    def _backward(self, batch: Samples) -> float:
        """Set every gradient to that of the mean loss over samples; return that loss."""
        self.optimizer.zero_grad()
        total = 0.0
        with patient_collector():
            for sample in batch:
                error = self.error(*sample)
                error.backward(1.0 / len(batch))
                total += error.data
        return total / len(batch)

    def validate(self) -> float:
        """Return the mean loss over the samples held out."""
        with patient_collector():
            return math.fsum(self.error(*sample).data for sample in self.held_out) / len(self.held_out)

    def pull(self) -> None:
        """Read the parameters again: there is no copy of them."""

    def push(self) -> None:
        """Write the parameters: they are where they belong."""

    quiet = staticmethod(nullcontext)  # floats overflow without a warning


class _Run:
    """A training under way: compiled where wanted and possible, eager otherwise."""

    def __init__(self, eager: _Step, limit: float) -> None:
        self.eager, self.limit, self.must = eager, limit, False
        self.step: Any = eager

    @property
    def compiled(self) -> bool:
        """Whether the steps are compiled."""
        return self.step is not self.eager

    def compile(self, must: bool, classes: int) -> None:
        """Compile the step; if it `must` be, raise what prevents it, and else go on eagerly."""
        self.must = must
        eager = self.eager
        parts = [_columns(part, classes) for part in (eager.known, eager.held_out) if part]
        try:
            from nodegrad.compiler.step import FlatStep

            self.step = FlatStep(eager.error, eager.optimizer, *parts)
            self._agree(None)
            self._agree(self.step.moved())
        except Exception as error:
            self._retreat(error)

    def epoch(
        self, batches: Iterable[list[int] | None], shown: Callable[[float], None]
    ) -> tuple[float, float]:
        """Take a step for each batch; return the mean loss over all samples and the largest gradient norm."""
        total = largest = 0.0
        count = len(self.eager.known)
        with self.step.quiet():
            for batch in batches:
                loss, norm = self._do("take", batch, self.limit)
                for name, number in (("the loss", loss), ("the gradient", norm)):
                    if not math.isfinite(number):
                        raise _NotFinite(f"{name} became {number}")
                total += loss * (count if batch is None else len(batch))
                largest = max(largest, norm)
                shown(loss)
        return total / count, largest

    def validate(self) -> float:
        """Return the mean loss over the samples held out."""
        found: float = self._do("validate")
        return found

    def consult(self, callback: Callback, history: History) -> bool:
        """Call back with everything up to date; what it changes counts."""
        self.step.push()
        answer = callback(history.epochs, history)
        self.step.pull()
        if self.compiled:
            self._agree(None)
        return bool(answer)

    def _agree(self, numbers: Any) -> None:
        """Make sure that compiled steps do what eager ones do: what a model reads elsewhere may change."""
        if not self.step.agrees(numbers):
            self._retreat(
                ValueError(
                    "fit(compile=True): the loss depends on plain numbers that have changed since it was "
                    "recorded (.data of a parameter, or an attribute the callback sets). Leave compile out."
                )
            )

    def _do(self, name: str, *arguments: Any) -> Any:
        if not self.compiled:
            return getattr(self.step, name)(*arguments)
        try:
            return getattr(self.step, name)(*arguments)
        except Exception as error:
            self._retreat(error)
            return getattr(self.step, name)(*arguments)

    def _retreat(self, error: Exception) -> None:
        """Go on eagerly, unless the steps must be compiled."""
        if self.must:
            raise error
        self.step.push()
        self.step = self.eager


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


# Data in other forms.


def _columns(known: Samples, classes: int) -> tuple[list[Any], list[Any]]:
    """Separate rows from targets; with `classes`, a class becomes a probability for each."""
    X, y = [row for row, _ in known], [target for _, target in known]
    if classes and not isinstance(y[0], list):
        y = [[float(index == target) for index in range(classes)] for target in y]
    return X, y


def _numbers(output: Any) -> Any:
    """Return the plain numbers in what a model returned."""
    if isinstance(output, Value):
        return output.data
    return [_numbers(inner) for inner in output] if hasattr(output, "__iter__") else output


# Checks before anything runs.


def _loss(loss: str | Loss) -> Loss:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"fit: unknown loss {loss!r}. Known are {', '.join(LOSSES)}; or give a function.")
    return LOSSES[loss]


def _optimizer(optimizer: str | Optimizer, model: Any, learning_rate: Any) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ValueError("fit: an Optimizer has its own learning_rate: give it there.")
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"fit: unknown optimizer {optimizer!r}. Known are {', '.join(OPTIMIZERS)}.")
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
