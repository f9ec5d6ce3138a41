"""The ways through a function as programs over the same leaves, each with the guards that choose it."""

from collections.abc import Sequence
from dataclasses import dataclass

from nodegrad.compiler.passes import WITHOUT_TABLES, Rewriter, sweep_dead
from nodegrad.compiler.program import Program
from nodegrad.compiler.trace import Trace
from nodegrad.value import Value

__all__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """The answer that a guard must give, and the line of Python that asked."""

    answer: bool
    line: str


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A program without look-ups in tables, and its guards: its last outputs are what they ask."""

    program: Program
    guards: Sequence[Guard] = ()


def ways_of(traces: Sequence[Trace]) -> tuple[list[Way], list[Value]]:
    """Return the ways that were recorded, and the leaves that any of them closes over: their parameters."""
    leaves = list(dict.fromkeys(leaf for trace in traces for leaf in trace.parameters))
    inputs = traces[0].program.inputs
    slots = {leaf: slot for slot, leaf in enumerate(leaves, inputs)}
    ways = []
    for trace in traces:
        to = Rewriter(inputs + len(leaves), WITHOUT_TABLES)
        outputs = to.add(trace.program, [*range(inputs), *[slots[leaf] for leaf in trace.parameters]])
        ways.append(Way(sweep_dead(to.program(inputs, outputs)), [Guard(*each) for each in trace.way]))
    return ways, leaves
