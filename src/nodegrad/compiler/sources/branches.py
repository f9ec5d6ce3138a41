"""The ways through a function as programs that part where the numbers say so.

A way is one path that was recorded, with the guards that choose it. The longest way becomes a function, which
asks its guards in order. At a guard where other ways part from it, it calls the function for the rest of
these, which goes on with the numbers that are computed already.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from nodegrad.compiler.passes import WITHOUT_TABLES, Rewriter, part
from nodegrad.compiler.program import Loop, Program, needed
from nodegrad.compiler.trace import Trace
from nodegrad.value import Value

__all__ = ()


@dataclass(frozen=True, slots=True)
class Guard:
    """The answer that a guard must give, and the line of Python that asked.

    `rest` is where numbers go that answer otherwise, None if no such way was recorded; `taken` is how many
    numbers it takes over.
    """

    answer: bool
    line: str
    rest: "Way | None" = None
    taken: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A program without look-ups in tables, and its guards.

    Its outputs are the results, then what each guard asks, then what each guard hands over to its rest. What
    the way takes over itself are its last parameters.
    """

    program: Program
    guards: Sequence[Guard] = ()


_Traces = list[tuple[Trace, list[int]]]  # each with the slots of its outputs


def merge(traces: Sequence[Trace]) -> tuple[Way, list[Value]]:
    """Return the longest way, which leads to the others, and the leaves that any closes over."""
    parameters = list(dict.fromkeys(leaf for trace in traces for leaf in trace.parameters))
    inputs = traces[0].program.inputs
    slots = {leaf: slot for slot, leaf in enumerate(parameters, inputs)}
    whole = Rewriter(inputs + len(parameters), WITHOUT_TABLES)
    leaves = [[*range(inputs), *[slots[leaf] for leaf in trace.parameters]] for trace in traces]
    ways = [(trace, whole.add(trace.program, own)) for trace, own in zip(traces, leaves, strict=True)]
    return _way(whole.program(inputs), ways, 0, set())[0], parameters


def _way(whole: Program, ways: _Traces, start: int, known: set[int]) -> tuple[Way, list[int]]:
    """Return the longest of some ways from guard `start` on, and which of the `known` slots it takes over."""
    trace, outputs = max(ways, key=lambda way: len(way[0].expected))
    handed, guards = list[int](), list[Guard]()
    asked = zip(trace.expected, trace.lines, strict=True)
    for at, (answer, line) in enumerate(islice(asked, start, None), start):
        parted = [way for way in ways if way[0].expected[at : at + 1] != [answer]]
        rest, taken = None, list[int]()
        if parted:
            ways = [way for way in ways if way not in parted]
            earlier = needed(whole, outputs[trace.results : trace.results + at + 1])
            computed = {
                slot for slot, op, _ in whole.instructions if slot in earlier and type(op) is not Loop
            }
            rest, taken = _way(whole, parted, at + 1, known | computed)
        handed += taken
        guards.append(Guard(answer, line, rest, len(taken)))
    wanted = [*outputs[: trace.results], *outputs[trace.results + start :], *handed]
    found, leaves = needed(whole, wanted, known), whole.leaves
    taken = sorted(found & known)
    made = sorted(slot - leaves for slot in found - known if slot >= leaves)
    program = part(replace(whole, outputs=wanted), made, [slot - leaves for slot in taken])
    return Way(program, guards), taken
