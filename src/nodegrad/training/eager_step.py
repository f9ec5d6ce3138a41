"""Training steps: eager ones, and the choice between them and compiled ones."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from nodegrad.graph import patient_collector, topological_order
from nodegrad.nn.losses import LOSSES
from nodegrad.optim import Optimizer, clip_grad_norm
from nodegrad.value import Value

Loss = Callable[[Any, Any], Any]
Samples = Sequence[tuple[Any, Any]]


class NotFinite(Exception):
    """A loss or a gradient is inf or nan; the message says which."""


class EagerStep:
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

    def check(self) -> None:
        """Try model and loss, so that what does not fit is known before anything changes."""
        for part in filter(None, (self.known, self.held_out)):
            row, target = part[0]
            output = self.model(row)
            error = self.loss(output, target)
            if not isinstance(error, Value):
                raise TypeError(
                    "fit: the loss of a sample is one Value that depends on the parameters; "
                    f"got {error!r:.60}."
                )
            if set(self.optimizer.parameters).isdisjoint(topological_order(error)):
                raise ValueError(
                    "fit: the loss depends on none of the optimizer's parameters. "
                    "Make the optimizer from the parameters of the model that is trained."
                )
            if self.loss in LOSSES.values():  # a loss of one's own may not take plain numbers
                numbers = _numbers(output)
                for _, target in part:
                    self.loss(numbers, target)

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


class Run:
    """A training under way: compiled where wanted and possible, eager otherwise."""

    def __init__(self, eager: EagerStep, limit: float) -> None:
        self.eager, self.limit, self.must = eager, limit, False
        self.step: Any = eager

    @property
    def compiled(self) -> bool:
        """Whether the steps are compiled."""
        return self.step is not self.eager

    def compile(self, must: bool) -> None:
        """Compile the step; if it `must` be, raise what prevents it, and else go on eagerly."""
        self.must = must
        eager = self.eager
        classes = len(eager.model(eager.known[0][0])) if eager.loss is LOSSES["cross_entropy"] else 0
        parts = [_columns(part, classes) for part in (eager.known, eager.held_out) if part]
        try:
            from nodegrad.training.compiled_step import FlatStep

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
                        raise NotFinite(f"{name} became {number}")
                total += loss * (count if batch is None else len(batch))
                largest = max(largest, norm)
                shown(loss)
        return total / count, largest

    def validate(self) -> float:
        """Return the mean loss over the samples held out."""
        found: float = self._do("validate")
        return found

    def consult(self, callback: Callable[..., Any], *arguments: Any) -> bool:
        """Call back with everything up to date; what it changes counts."""
        self.step.push()
        answer = callback(*arguments)
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
                    "recorded (such as an attribute the callback sets). Leave compile out."
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
