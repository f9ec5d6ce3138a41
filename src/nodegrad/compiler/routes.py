"""The rows of a map: the trace that each goes through, and the results in the order of the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.reduction import added
from nodegrad.compiler.trace import Found, Trace
from nodegrad.trees import Spec

__all__ = ()

_NUMBERS = 250_000  # copied at a time: one piece's memory serves the next, the system must not give it anew

Run = Callable[[Trace, str, Sequence[Array], int], Array]  # runs the "rows" or the "sums" of a trace


def run_here(trace: Trace, how: str, blocks: Sequence[Array], count: int, *out: Sequence[Array]) -> Array:
    """Run a trace in this process."""
    found: Array = getattr(trace.kernel("results"), how)(blocks, count, trace.leaves.read(), *out)
    return found


@dataclass
class Routes:
    """Some rows, and the ways they go.

    Attributes:
        blocks: the arguments, arrays [row, number].
        count: how many rows there are.
        traces: each trace with the places of the rows that go through it: an array, or a range for all rows.
        alone: the results of the rows that ran eagerly.
    """

    blocks: list[Array]
    count: int
    traces: list[tuple[Trace, Any]] = field(default_factory=list)
    alone: dict[int, Found] = field(default_factory=dict)

    @property
    def only(self) -> Trace | None:
        """The trace that all rows go through, if there is one."""
        return self.traces[0][0] if len(self.traces) == 1 and not self.alone else None

    @property
    def specs(self) -> list[Spec]:
        """How the results of each way are put together."""
        return [*[trace.spec for trace, _ in self.traces], *[spec for spec, _ in self.alone.values()]]

    def waiting(self, rows: Array) -> Array:
        """Return those of the rows that did not run eagerly."""
        return rows[[row not in self.alone for row in rows.tolist()]] if self.alone else rows

    def take(self, chosen: Any) -> tuple[list[Array], int]:
        """Return the chosen rows, and how many there are."""
        if len(chosen) == self.count:
            return self.blocks, self.count
        return [block[chosen] for block in self.blocks], len(chosen)

    def rows(self, results: int, run: Run = run_here) -> Array:
        """Return so many results of every row, [result, row]."""
        if self.only is not None:
            return run(self.only, "rows", self.blocks, self.count)
        out = np.empty((results, self.count))
        width = results + sum(block[0].size for block in self.blocks)
        step = max(1, _NUMBERS // width) if run is run_here else self.count
        for trace, chosen in self.traces:
            for start in range(0, len(chosen), step):
                piece = chosen[start : start + step]
                out[:, piece] = run(trace, "rows", *self.take(piece))
        if self.alone:
            out[:, [*self.alone]] = np.array([numbers for _, numbers in self.alone.values()]).T
        return out

    def sums(self, run: Run = run_here) -> Array:
        """Return every result summed over rows."""
        totals = [run(trace, "sums", *self.take(chosen)) for trace, chosen in self.traces]
        totals += [np.array(numbers) for _, numbers in self.alone.values()]
        return added(totals)
