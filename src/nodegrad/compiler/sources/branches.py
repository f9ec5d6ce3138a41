"""The ways through a function as programs over the same leaves.

A way is one path that was recorded, with the guards that choose it. It becomes a function that
tests the guards as soon as it can and returns at the first that answers otherwise. The ways are tried in
turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nodegrad.compiler.passes import WITHOUT_TABLES, Rewriter, sweep_dead
from nodegrad.compiler.program import Program
from nodegrad.compiler.trace import Trace
from nodegrad.value import Value

__all__ = ()


@dataclass(frozen=True, slots=True)
class Guard:
    """The answer that a guard must give, and the line of Python that asked."""

    answer: bool
    line: str


@dataclass(frozen=True, slots=True)
class Way:
    """A program without look-ups in tables, and its guards, which are its last outputs."""

    program: Program
    guards: Sequence[Guard] = ()


def merge(traces: Sequence[Trace]) -> tuple[list[Way], list[Value]]:
    """Return a way for each trace, and the leaves that any closes over: the parameters of each program."""
    parameters = list(dict.fromkeys(leaf for trace in traces for leaf in trace.parameters))
    inputs = traces[0].program.inputs
    slots = {leaf: slot for slot, leaf in enumerate(parameters, inputs)}
    ways = []
    for trace in traces:
        leaves = [*range(inputs), *[slots[leaf] for leaf in trace.parameters]]
        guards = [*map(Guard, trace.expected, trace.lines)]
        ways.append(Way(open_tables(trace.program, leaves, len(parameters)), guards))
    return ways, parameters


def open_tables(program: Program, leaves: Sequence[int], parameters: int) -> Program:
    """Return a program with choices in place of look-ups in tables, and its leaves at other slots."""
    rewriter = Rewriter(program.inputs + parameters, WITHOUT_TABLES)
    return sweep_dead(rewriter.program(program.inputs, rewriter.add(program, leaves)))
