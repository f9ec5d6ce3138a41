"""The ways through a function as one program and trees of branches over it.

A way is one path that was recorded, with the guards that choose it. Ways share their instructions up to the
guard where they part:

    compute, ask guards ┬ compute, ask guards ─ results of one way
                        └ compute, ask guards ─ results of another
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nodegrad.compiler.passes import WITHOUT_TABLES, Rewriter
from nodegrad.compiler.program import Program, Result
from nodegrad.compiler.trace import Trace
from nodegrad.value import Value

__all__ = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A guard: its slot, the answer it must give, and the line of Python that asked."""

    slot: int
    answer: bool
    line: str


@dataclass(slots=True, eq=False)
class Node:
    """A part of a tree.

    Attributes:
        guards: the guards that are asked here: each must give the recorded answer, but the last one chooses
            between the two nodes of `sides`, if there are any.
        results: at the end of a way, the slots of its results.
        sides: the nodes for the recorded and for the other answer.
        computes: the slots of the instructions to run, in order.
    """

    guards: list[Check]
    results: Sequence[int] = ()
    sides: tuple["Node", ...] = ()
    computes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Branches:
    """All ways: one program without outputs, the leaves it closes over, and a tree for each group of ways."""

    program: Program
    parameters: list[Value]
    trees: list[Node]


def merge(ways: Sequence[Trace]) -> Branches:
    """Put ways together. An instruction that several ways share is there once."""
    parameters = list(dict.fromkeys(leaf for way in ways for leaf in way.parameters))
    inputs = ways[0].program.inputs
    slots = {leaf: slot for slot, leaf in enumerate(parameters, inputs)}
    merged = Rewriter(inputs + len(parameters), WITHOUT_TABLES)
    left: _Ways = []
    for way in ways:
        outputs = merged.add(way.program, [*range(inputs), *[slots[leaf] for leaf in way.parameters]])
        checks = zip(outputs[way.results :], way.expected, way.lines, strict=True)
        left.append(([Check(*each) for each in checks], outputs[: way.results]))
    program = merged.program(inputs)
    trees: list[Node] = []
    while left:
        tree, left = _tree(left)
        _schedule(program, tree)
        trees.append(tree)
    return Branches(program, parameters, trees)


_Ways = list[tuple[list[Check], list[int]]]


def _tree(ways: _Ways, start: int = 0) -> tuple[Node, _Ways]:
    """Return the tree of the first way and of those that part from it later, and the other ways."""
    guards, results = ways[0]
    others: _Ways = []
    for at, asked in enumerate(guards[start:], start):
        agreeing, parting = _Ways(), _Ways()
        for way in ways:
            alike = at < len(way[0]) and way[0][at].slot == asked.slot
            side = agreeing if alike and way[0][at].answer == asked.answer else parting if alike else others
            side.append(way)
        if parting:
            (first, more), (second, most) = _tree(agreeing, at + 1), _tree(parting, at + 1)
            return Node(guards[start : at + 1], sides=(first, second)), [*others, *more, *most]
        ways = agreeing
    return Node(guards[start:], results), [*others, *ways[1:]]


def walk(tree: Node) -> Iterator[Node]:
    """Yield the nodes of a tree, each before those that follow it."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(node.sides)


def _schedule(program: Program, tree: Node) -> None:
    """Give each node the instructions that it needs and no node before it runs."""
    results = [(slot, read[0]) for slot, op, read in program.instructions if isinstance(op, Result)]
    todo: list[tuple[Node, frozenset[int]]] = [(tree, frozenset())]
    while todo:
        node, known = todo.pop()
        own = set[int]()
        wanted = [*(check.slot for check in node.guards), *node.results]
        while wanted:
            slot = wanted.pop()
            if slot >= program.leaves and slot not in own and slot not in known:
                own.add(slot)
                wanted += program.operands[slot - program.leaves]
        own.update(slot for slot, loop in results if loop in own)  # all results are taken where a loop runs
        node.computes = sorted(own)
        todo += [(after, known | own) for after in node.sides]
