"""A training step on flat arrays: a compiled function summed over rows, and an update rule."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nodegrad.compiler.arguments import Array, rows
from nodegrad.compiler.compiled import Compiled, compile
from nodegrad.compiler.trace import Trace
from nodegrad.optim import Optimizer
from nodegrad.transforms import value_and_grad
from nodegrad.value import Value

Chosen = Any  # the numbers of some rows, or None for all
_TRIED = 4  # samples on which compiled and eager code are compared


class RowSum:
    """A compiled function summed over rows, as a function of the numbers in some leaves.

    Flat arrays go in and come out: it is what `map(..., reduce="sum")` gives, without leaves to read or
    structures to build at each call.
    """

    def __init__(self, compiled: Compiled, leaves: Sequence[Value], *arguments: Any) -> None:
        self.compiled, self.leaves = compiled, leaves
        self.spec, self.blocks, self.count = rows(arguments)
        self._only: Trace | None = None  # the one trace that all rows go through, if there is one
        self._places: Any = None  # where the numbers of the trace's parameters are; -1: not among them
        self._all_ours = self._in_order = False
        self._bound: dict[Any, tuple[list[Array], Callable[[Array], Array]]] = {}

    def __call__(self, numbers: Array, chosen: Chosen = None) -> Array:
        """Return the sum of every result over the chosen rows; the leaves may be left with other numbers."""
        if self._only is None:
            return self._guarded(numbers, chosen)
        blocks, sums = self._over(None if chosen is None else len(chosen))
        if chosen is not None:
            for block, room in zip(self.blocks, blocks, strict=True):
                block.take(chosen, axis=0, out=room, mode="clip")
        return sums(self._arranged(self._only, numbers))

    def _guarded(self, numbers: Array, chosen: Chosen) -> Array:
        write(self.leaves, numbers)  # recording and guards read them there
        blocks = self.blocks if chosen is None else [block[chosen] for block in self.blocks]
        total = self.compiled.sums(self.spec, blocks, self.count if chosen is None else len(chosen))
        traces = self.compiled.traces[self.spec]
        if not traces[0].lines:
            self._only = traces[0]
            index = {leaf: place for place, leaf in enumerate(self.leaves)}
            self._places = np.array([index.get(leaf, -1) for leaf in self._only.parameters], int)
            self._all_ours = bool((self._places >= 0).all())
            self._in_order = np.array_equal(self._places, np.arange(len(self.leaves)))
        return total

    def _over(self, size: int | None) -> tuple[list[Array], Callable[[Array], Array]]:
        """Return room for so many rows (None: the rows themselves), and what sums over them."""
        found = self._bound.get(size)
        if found is None:
            assert self._only is not None
            count = self.count if size is None else size
            blocks = self.blocks if size is None else [np.empty((count, b.shape[1])) for b in self.blocks]
            found = self._bound[size] = blocks, self._only.kernel("results").bound(blocks, count)
        return found

    def _arranged(self, trace: Trace, numbers: Array) -> Array:
        """Put the numbers in the order of the trace's parameters; leaves of others are read."""
        if self._in_order:
            return numbers
        if self._all_ours:
            found: Array = numbers.take(self._places)
            return found
        found = trace.numbers()
        ours = self._places >= 0
        found[ours] = numbers[self._places[ours]]
        return found


class FlatStep:
    """Gradient descent on the mean of error(row, target) over samples, all parameters in one array.

    The Values keep their numbers until `push`; `pull` reads them again.
    """

    def __init__(
        self,
        error: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        known: tuple[Any, Any],
        held_out: tuple[Any, Any] | None = None,
    ) -> None:
        self.error, self.optimizer = error, optimizer
        self.leaves = optimizer.parameters
        self.compiled = compile(value_and_grad(error, wrt=self.leaves))
        self.known = RowSum(self.compiled, self.leaves, *known)
        self.held_out = None if held_out is None else RowSum(self.compiled, self.leaves, *held_out)
        self.samples = list(zip(known[0][:_TRIED], known[1][:_TRIED], strict=True))
        self.pull()

    def pull(self) -> None:
        """Read the parameters and the optimiser's state."""
        self.numbers = np.array([leaf.data for leaf in self.leaves])
        self.slope = np.array([leaf.grad for leaf in self.leaves])
        self.state = gathered(self.optimizer.states)

    def push(self) -> None:
        """Write the parameters, their gradients and the optimiser's state."""
        write(self.leaves, self.numbers)
        for leaf, slope in zip(self.leaves, self.slope.tolist(), strict=True):
            leaf.grad = slope
        self.optimizer.states = scattered(self.state, len(self.leaves))

    def take(self, chosen: Chosen, limit: float) -> tuple[float, float]:
        """Take a step by the gradient of the mean loss over samples, scaled down to the norm `limit`.

        Returns:
            The loss and the norm of its gradient; where one is not finite, no step is taken.
        """
        mean = self.known(self.numbers, chosen)
        mean /= self.known.count if chosen is None else len(chosen)
        loss, slope = float(mean[0]), mean[1:]
        norm = math.sqrt(slope.dot(slope))
        if math.isfinite(loss) and math.isfinite(norm):
            if norm > limit:
                slope = slope * (limit / norm)
            self.numbers, self.state = self.optimizer.rule(self.numbers, slope, self.state)
            self.slope = slope
            self.optimizer.steps += 1
        return loss, norm

    def validate(self) -> float:
        """Return the mean loss over the samples held out."""
        assert self.held_out is not None
        return float(self.held_out(self.numbers)[0]) / self.held_out.count

    def moved(self) -> Array:
        """Return other numbers for the parameters, near enough for the same way through the function."""
        return self.numbers * 1.015625 + 0.015625

    def agrees(self, numbers: Array | None = None) -> bool:
        """Whether eager code finds the loss of a few samples that compiled code finds, for these parameters.

        It does not if the function takes plain numbers from elsewhere that are no longer what was recorded.
        """
        numbers = self.numbers if numbers is None else numbers
        try:
            compiled = float(self.known(numbers, range(len(self.samples)))[0])
            write(self.leaves, numbers)
            eager = math.fsum(self.error(*sample).data for sample in self.samples)
        finally:
            write(self.leaves, self.numbers)
        return math.isclose(compiled, eager, rel_tol=1e-6, abs_tol=1e-9) or not math.isfinite(eager)

    @staticmethod
    def quiet() -> Any:
        """Return a context in which overflow is no warning: who takes the steps looks at the results."""
        return np.errstate(all="ignore")


def write(leaves: Sequence[Value], numbers: Array) -> None:
    """Set the leaves to the numbers."""
    for leaf, number in zip(leaves, numbers.tolist(), strict=True):
        leaf.data = number


def gathered(states: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Make one state, of arrays, out of the states of all parameters; whole numbers count steps and stay one.

    >>> gathered([(3, 0.5), (3, 0.25)])
    (3, array([0.5 , 0.25]))
    """
    return tuple(
        entries[0] if isinstance(entries[0], int) else np.array(entries, float)
        for entries in zip(*states, strict=True)
    )


def scattered(state: tuple[Any, ...], count: int) -> list[tuple[Any, ...]]:
    """Undo `gathered`.

    >>> scattered((3, np.array([0.5, 0.25])), 2)
    [(3, 0.5), (3, 0.25)]
    """
    columns = [part.tolist() if isinstance(part, np.ndarray) else [part] * count for part in state]
    return list(zip(*columns, strict=True)) if columns else [()] * count
