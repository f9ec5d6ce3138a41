"""Native steps: batches gathered, loss and gradient, clipping and update rule, many steps in one call.

The update rule is recorded like any function of numbers, once for one parameter, and run with a row for each.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nodegrad import ops
from nodegrad.compiler import compile
from nodegrad.compiler.trace import Trace
from nodegrad.optim import Optimizer
from nodegrad.training.problem import Batch, Taken
from nodegrad.value import Value

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.training.compiled_step import CompiledStep

Array = np.ndarray[Any, np.dtype[np.float64]]

_TURNS = 2048  # steps in a call at most
_ENTRIES = 2**22  # row numbers that a call is given at most
_UPDATE = 1000  # what NumPy needs to update a parameter, as work of threads (see `Plan.work`)
_RECORDED = 16  # rows that a rule is recorded with
_ZERO = np.zeros(1, np.int64)
# The native code of the last trainings: the next training often has the same network.
_recent: deque[list[Any]] = deque(maxlen=4)


class Point(NamedTuple):
    """The state of a training; always replaced as a whole, so that Ctrl-C never leaves half of one."""

    numbers: Array  # the parameters
    slope: Array  # the gradient of the last step
    state: list[tuple[Any, ...]]  # that of the optimiser, for each group
    steps: int


class NativeSteps:
    """Steps over batches of at most `size` rows. With `whole`, each batch is all rows."""

    @staticmethod
    def ready(step: "CompiledStep") -> bool:
        """Return whether the update rules have a state: the first step makes it."""
        rule, groups = step.optimizer.rule, range(len(step.optimizer.groups))
        made = [rule(1.0, 0.5, (), place, 0.0)[1] for place in groups]
        return [*map(len, made)] == [*map(len, step.point.state)]

    @classmethod
    def make(cls, step: "CompiledStep", size: int, limit: float, whole: bool) -> "NativeSteps | None":
        """Return native steps, or None if there is no native code for them or threads are faster."""
        known = step.known
        kernel = known.only.kernel("results")
        fit = all(block.dtype == np.float64 and block.flags.c_contiguous for block in known.blocks)
        if kernel.name != "llvm" or not fit:
            return None
        part = kernel.part("sums")
        if part.piece(size) < size and part.plan.work * size > _UPDATE * len(step.leaves):
            return None
        try:
            return cls(step, kernel, size, limit, whole)
        except (TypeError, ValueError):  # a rule that cannot be recorded
            return None

    def __init__(self, step: "CompiledStep", kernel: Any, size: int, limit: float, whole: bool) -> None:
        from nodegrad.compiler.backends.llvm.sequence import Placed, Sequence

        self.size, self.whole = size, whole
        self.turns = _TURNS if whole else max(1, min(_TURNS, _ENTRIES // size))
        known, parameters = step.known, len(step.leaves)
        self.rows = np.zeros((1 if whole else self.turns, size), np.int64)
        self.spans = np.zeros((self.turns, 3), np.int64)
        self.losses, self.squares = np.zeros(self.turns), np.zeros(self.turns)
        self.rates = np.zeros((len(step.optimizer.groups), self.turns))
        self.slope = np.zeros(parameters)
        self.sequence = sequence = Sequence()

        # Loss and gradient over a batch.
        blocks = known.blocks if whole else [np.empty((size, block.shape[1])) for block in known.blocks]
        error = self.error = Placed(kernel, blocks, size)
        if not whole:
            sequence.take(self.spans, error.span, np.arange(3), advance=(3, 0, 0))
            for block, room in zip(known.blocks, blocks, strict=True):
                sequence.take(block, room, self.rows, block.shape[1], (0, size, 0))
        places = np.where(known.others, parameters - 1 + np.cumsum(known.others), known.places)
        read = error.parameters[: len(places)]
        in_order = np.array_equal(places, np.arange(parameters))  # then they are updated where they are read
        numbers = read if in_order else np.zeros(parameters + known.others.sum())
        self.numbers, self.fixed = numbers[:parameters], numbers[parameters:]
        if not in_order:
            sequence.take(numbers, read, places)
        sequence.run_program(error)
        sequence.take(error.results, self.losses, _ZERO, advance=(0, 0, 1))
        means = error.results[1 : parameters + 1]
        square = np.zeros(1)  # the squared norm of the mean gradient
        sequence.squares(means, square)
        sequence.take(square, self.squares, _ZERO, advance=(0, 0, 1))
        sequence.check(error.results)
        sequence.check(square)

        # The update of each group of parameters.
        self.state: list[list[Array]] = []
        for place, span in enumerate(spans(step.optimizer)):
            self._add_rule(step, place, span, means[span], limit)
        _recent.append([sequence.at, *[use.part.kernels for use in sequence.kept if isinstance(use, Placed)]])

    def _add_rule(self, step: "CompiledStep", place: int, span: slice, means: Array, limit: float) -> None:
        """Add to the sequence: update a group of parameters, its state and its gradient where they are."""
        from nodegrad.compiler.backends.llvm.sequence import Placed

        square, rate = Value(1.0), Value(0.0)
        entries = step.point.state[place]
        state = [np.array(entry, float).reshape(-1).copy() for entry in entries]
        counters = {at: Value(1.0) for at, entry in enumerate(entries) if type(entry) is int}

        def update(number: Any, mean: Any, *rows: Any) -> list[Any]:
            row = iter(rows)
            own = tuple(counters[at] if at in counters else next(row) for at in range(len(entries)))
            norm = ops.sqrt(square)
            scale = 1.0 if limit == math.inf else ops.where(norm > limit, limit / norm, 1.0)
            slope = mean * scale
            number, own = step.optimizer.rule(number, slope, own, place, rate)
            return [number, slope, *own]

        numbers, slope = self.numbers[span], self.slope[span]
        # The rule counts steps in a row for each parameter, all alike.
        found = [np.zeros(len(numbers)) if at in counters else array for at, array in enumerate(state)]
        moments = [array for at, array in enumerate(state) if at not in counters]
        columns = [column[:, None] for column in (numbers, means, *moments)]
        out = [column[:, None] for column in (numbers, slope, *found)]
        trace = trace_of(update, columns)
        kernel: Any = trace.kernel("results")
        placed = Placed(kernel, columns, len(numbers), out)
        shared = {square: (self.squares, 1), rate: (self.rates[place], 1)}
        shared |= {leaf: (state[at], 0) for at, leaf in counters.items()}
        for number, leaf in enumerate(trace.parameters):
            source, advance = shared[leaf]
            self.sequence.take(source, placed.parameters[number:], _ZERO, advance=(advance, 0, 0))
        self.sequence.run_program(placed)
        for at in counters:
            self.sequence.take(found[at], state[at], _ZERO)
        self.state.append(state)

    def take(self, step: "CompiledStep", batches: Sequence[Batch]) -> list[Taken]:
        """Take a step for each batch while there is room; move a CompiledStep from its point to the next."""
        self._read(step)
        batches = batches[: self.turns]
        turns = len(batches)
        counts = [float(self.size if self.whole else len(batch)) for batch in batches]
        if not self.whole:
            self.spans[:turns, 1:] = np.array(counts)[:, None]
            for place, batch in enumerate(batches):
                self.rows[place, : len(batch)] = batch
                self.rows[place, len(batch) :] = 0
        for rates, group in zip(self.rates, step.optimizer.groups, strict=True):
            if callable(group.learning_rate):
                rates[:turns] = [group.rate(self.steps + turn) for turn in range(turns)]
            else:
                rates[:turns] = group.learning_rate
        done = self.sequence.run(0, turns)
        self.steps += done
        found = min(turns, done + 1)
        norms = np.sqrt(self.squares[:found])
        step.point = self._found(step)
        return list(zip(self.losses[:found].tolist(), norms.tolist(), counts[:found], strict=True))

    def _read(self, step: "CompiledStep") -> None:
        numbers, slope, states, self.steps = step.point
        self.numbers[:], self.slope[:] = numbers, slope
        for own, state in zip(self.state, states, strict=True):
            for array, entry in zip(own, state, strict=True):
                array[:] = entry
        if len(self.fixed):
            self.fixed[:] = step.known.only.leaves.read()[step.known.others]

    def _found(self, step: "CompiledStep") -> Any:
        states = [
            tuple(
                int(array[0]) if type(entry) is int else array.copy()
                for array, entry in zip(own, state, strict=True)
            )
            for own, state in zip(self.state, step.point.state, strict=True)
        ]
        return Point(self.numbers.copy(), self.slope.copy(), states, self.steps)


def trace_of(rule: Any, columns: list[Array]) -> Trace:
    """Record a function of the numbers in columns.

    Raises:
        ValueError: if it branches, or cannot be recorded.
    """
    compiled, step = compile(rule), -(-len(columns[0]) // _RECORDED)
    compiled.map(*[column[::step, 0] for column in columns])
    trace: Trace
    (trace,) = [trace for traces in compiled.traces.values() for trace in traces]
    if trace.lines:
        raise ValueError("the rule branches")
    return trace


def spans(optimizer: Optimizer) -> list[slice]:
    """Return the places of each group's parameters among all parameters."""
    ends = np.cumsum([len(group.parameters) for group in optimizer.groups]).tolist()
    return [slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]
