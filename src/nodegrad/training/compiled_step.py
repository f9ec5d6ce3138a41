"""Compiled training steps on flat arrays: a compiled function summed over rows, and an update rule."""

import math
from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from nodegrad.compiler import Compiled, compile
from nodegrad.compiler.arguments import Array, rows
from nodegrad.data import Samples
from nodegrad.nn.losses import LOSSES
from nodegrad.observers import tell_read
from nodegrad.training.eager_step import EagerStep
from nodegrad.training.native_steps import NativeSteps, Point, spans
from nodegrad.training.problem import Batch, Problem, Taken
from nodegrad.transforms import value_and_grad
from nodegrad.trees import is_structure
from nodegrad.value import Value, write

__all__ = ()

_TRIED = 4  # samples on which compiled and eager code are compared
_PIECE = 8192  # numbers that BLAS adds up in one thread
_LARGE = 1000  # parameters; of a model with more, they are compared on one sample


class RowSum:
    """A compiled function summed over rows, as a function of the numbers in some leaves.

    It computes the same as `map(..., reduce="sum")`, but takes and returns flat arrays: a call reads no
    leaves and builds no structures. `spec` is that of a row, the blocks are arrays with a row per entry.
    """

    def __init__(self, compiled: Compiled, leaves: Sequence[Value], spec: Any, blocks: Sequence[Any]) -> None:
        self.compiled, self.leaves, self.spec = compiled, leaves, spec
        self.blocks = list(blocks)
        self.count = len(self.blocks[0])
        self.only: Any = None  # the one trace that all rows go through, if there is one
        self.places: Any = None  # for each parameter of the trace, its place among the leaves; -1 for others
        self.others: Any = None  # which those are

    def __call__(self, numbers: Array, blocks: list[Any] | None = None) -> Array:
        """Return the sum of every result over all rows, or others; this may change the numbers in the leaves.

        The arrays may be larger than memory: the compiler converts those that are not of floats part by part.
        """
        blocks = self.blocks if blocks is None else blocks
        if self.only is not None:
            given = numbers.take(self.places)
            if self.others.any():
                given[self.others] = self.only.leaves.read()[self.others]
            found: Array = self.only.kernel("results").sums(blocks, len(blocks[0]), given)
            return found
        write(self.leaves, numbers.tolist())  # recording and guards read them there
        total = self.compiled.sums(self.spec, blocks, len(blocks[0]))
        traces = self.compiled.traces[self.spec]
        if traces and not traces[0].lines:
            self.only, read = traces[0], traces[0].parameters
            if len(read) == len(self.leaves) and all(map(is_, read, self.leaves)):  # as most are
                self.places = np.arange(len(read))
            else:
                index = {leaf: place for place, leaf in enumerate(self.leaves)}
                self.places = np.array([index.get(leaf, -1) for leaf in read], int)
            self.others = self.places < 0
        return total


class CompiledStep(EagerStep):
    """Steps whose loss and gradient are compiled functions; many in one native call, where there is one.

    All parameters are in one array. The Values keep their numbers until `push`; `pull` reads them again.
    """

    compiled = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.leaves = self.optimizer.parameters
        self.pull()
        self.error = compile(value_and_grad(problem.error, wrt=self.leaves))
        self.classes = len(problem.output) if problem.loss is LOSSES["cross_entropy"] else 0
        self.known = RowSum(self.error, self.leaves, *self._laid_out(problem.known))
        self.held_out: Any = None
        if problem.held_out is not None:
            error = self.error if problem.held_out_as_known() else compile(problem.held_out_error)
            self.held_out = RowSum(error, self.leaves, *self._laid_out(problem.held_out))
        self._native: dict[int, NativeSteps | None] = {}

    def _laid_out(self, samples: Samples) -> tuple[Any, list[Any]]:
        """Return the spec of a sample, and all samples as arrays [row, number]."""
        parts = [part if is_structure(part[0]) else np.asanyarray(part) for part in samples.parts]
        if self.classes and parts[1].ndim == 1:
            parts[1] = (parts[1][:, None] == np.arange(self.classes)).astype(float)  # a probability per class
        first = [part[:1] if isinstance(part, list) else part[:1].tolist() for part in parts]
        blocks = [rows([part])[1][0] if isinstance(part, list) else _block(part) for part in parts]
        return rows(first)[0], blocks

    def pull(self) -> None:
        """Read the parameters and the optimiser's state."""
        tell_read(self.leaves[0], "reads .data")
        numbers = np.array([leaf._data for leaf in self.leaves])
        slope = np.array([leaf._grad for leaf in self.leaves])
        state = [gathered(self.optimizer.states[span]) for span in spans(self.optimizer)]
        self.point = Point(numbers, slope, state, self.optimizer.steps)

    def push(self) -> None:
        """Write the parameters, their gradients and the optimiser's state."""
        numbers, slopes, states, steps = self.point
        write(self.leaves, numbers.tolist())
        tell_read(self.leaves[0], "assigns .grad")
        for leaf, slope in zip(self.leaves, slopes.tolist(), strict=True):
            leaf._grad = slope
        each = zip(spans(self.optimizer), states, strict=True)
        self.optimizer.states = [
            entry for span, state in each for entry in scattered(state, span.stop - span.start)
        ]
        self.optimizer.steps = steps

    def mark(self) -> Point:
        """Return where the training stands; nothing of it changes in place."""
        return self.point

    def reset(self, mark: Point) -> None:
        """Go back to where the training stood."""
        self.point = mark

    def take(self, batches: Sequence[Batch], limit: float) -> list[Taken]:
        """Take a step for the first of the batches, or for many in one native call."""
        native = self._native_steps(batches, limit)
        if native is not None:
            return native.take(self, batches)
        with np.errstate(all="ignore"):  # the caller looks for inf and nan
            return super().take(batches, limit)

    def sums(self, batch: Batch) -> Array:
        """Return the sums of the loss and of its gradient over a batch, and the number of its samples."""
        if hasattr(batch, "parts"):
            spec, blocks = self._laid_out(batch)
            if spec != self.known.spec:
                raise ValueError("fit: the rows of the batches differ in length or kind.")
        else:
            blocks = [block if batch is None else block[batch] for block in self.known.blocks]
        count = len(blocks[0])
        if not count:
            return np.zeros(len(self.leaves) + 2)  # a rank that has no rows left
        return np.append(self.known(self.point.numbers, blocks), count)

    def update(self, total: Array, limit: float) -> Taken:
        """Take a step from the sums over a batch, if they are finite."""
        loss, slope, count = float(total[0] / total[-1]), total[1:-1] / total[-1], float(total[-1])
        # One dot would wake the threads of OpenBLAS, which wait busily for more work for 50 ms.
        pieces = [slope[place : place + _PIECE] for place in range(0, len(slope), _PIECE)]
        norm = math.sqrt(sum(piece.dot(piece) for piece in pieces))
        if math.isfinite(loss) and math.isfinite(norm):
            self.point = self._updated(slope * (limit / norm) if norm > limit else slope)
        return loss, norm, count

    def _updated(self, slope: Array) -> Point:
        """Return the point after a step by a gradient."""
        numbers, state = self.point.numbers.copy(), list[Any]()
        each = zip(spans(self.optimizer), self.point.state, self.rates(), strict=True)
        for place, (span, own, rate) in enumerate(each):
            numbers[span], own = self.optimizer.rule(numbers[span], slope[span], own, place, rate)
            state.append(own)
        return Point(numbers, slope, state, self.point.steps + 1)

    def rates(self) -> list[float]:
        """Return the learning rates of the next step, which all ranks must share."""
        return self.optimizer.rates(self.point.steps)

    def _native_steps(self, batches: Sequence[Batch], limit: float) -> NativeSteps | None:
        """Return native steps for these batches, or None if the compiler cannot make them."""
        if self.problem.ranks.combine is not None or any(hasattr(batch, "parts") for batch in batches):
            return None
        if [group.settings for group in self.optimizer.groups] != self.problem.settings:
            return None  # a callback has changed what native steps are made with
        if self.known.only is None or not NativeSteps.ready(self):
            return None  # the first step records, and makes the state of the rule
        size = self.known.count if batches[0] is None else len(batches[0])
        if size not in self._native:
            self._native[size] = NativeSteps.make(self, size, limit, batches[0] is None)
            self.native = self.native or self._native[size] is not None
        return self._native[size]

    def validate(self) -> float:
        """Return the sum of the losses of the samples held out."""
        return float(self.held_out(self.point.numbers)[0])

    def check(self) -> None:
        """Compare the loss that eager and compiled code find for a few samples.

        The first call only compiles, which compares them by itself.

        Raises:
            ValueError: if they differ: the model reads plain numbers that have changed since it was recorded.
        """
        tried = 1 if len(self.leaves) > _LARGE else min(_TRIED, len(self.problem.known))
        first = not self.error.traces
        with np.errstate(all="ignore"):
            compiled = float(self.sums(np.arange(tried))[0])
        if first:
            return
        write(self.leaves, self.point.numbers.tolist())
        samples = [self.problem.known[place] for place in range(tried)]
        eager = math.fsum(self.problem.error(*sample).data for sample in samples)
        if math.isfinite(eager) and not math.isclose(compiled, eager, rel_tol=1e-6, abs_tol=1e-9):
            raise ValueError(
                "fit: the loss depends on plain numbers that have changed since it was recorded (such as an "
                "attribute the callback sets). Make them Values, or take eager steps: compile=False."
            )


def gathered(states: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Combine the states of all parameters in one state of arrays; a whole number counts steps and stays one.

    >>> gathered([(3, 0.5), (3, 0.25)])
    (3, array([0.5 , 0.25]))

    Raises:
        ValueError: if they differ in their numbers of steps, as where `grad = None` left some parameters out.
    """
    if not any(states):  # before the first step
        return ()
    columns = list(zip(*states, strict=False))
    steps = [column for column in columns if type(column[0]) is int]
    if len(set(map(len, states))) > 1 or any(len(set(column)) > 1 for column in steps):
        raise ValueError("the optimizer has not taken the same number of steps for all parameters")
    return tuple(each[0] if type(each[0]) is int else np.array(each, float) for each in columns)


def scattered(state: tuple[Any, ...], count: int) -> list[tuple[Any, ...]]:
    """Undo `gathered`.

    >>> scattered((3, np.array([0.5, 0.25])), 2)
    [(3, 0.5), (3, 0.25)]
    """
    columns = [part.tolist() if isinstance(part, np.ndarray) else [part] * count for part in state]
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _block(part: Any) -> Any:
    """Lay out an array as [row, number], of floats unless it is mapped from a file and must not be copied."""
    flat = part.reshape(len(part), math.prod(part.shape[1:]))
    return flat if isinstance(part, np.memmap) else np.ascontiguousarray(flat, float)
