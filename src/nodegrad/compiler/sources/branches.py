"""The ways through a function as one program and a tree of branches over it.

Ways share what they have in common up to the guard where they part. A node of the tree computes some
instructions, checks guards that have one recorded answer, and then either returns the results of a way or
branches on a guard.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nodegrad.compiler.passes import open_tables
from nodegrad.compiler.program import ConstantPool, Operands, Program, Result
from nodegrad.ops import Op
from nodegrad.value import Value

__all__ = ()


class Way(Protocol):
    """What is known of a way: its program, whose outputs are the results and then the guards."""

    program: Program
    parameters: list[Value]
    results: int
    expected: list[bool]
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Check:
    """A guard: the slot asked, the answer it must give, the line of Python that asked."""

    slot: int
    answer: bool
    line: str = field(compare=False)


@dataclass(slots=True)
class Node:
    """One piece of the tree.

    Attributes:
        computes: the slots of the instructions computed here, in order.
        checks: guards that lead nowhere else if they answer otherwise.
        branch: the guard branched on, if this is not the end of a way; `yes` and `no` go on from it.
        results: at the end of a way, the slots of its results.
    """

    checks: list[Check] = field(default_factory=list)
    computes: list[int] = field(default_factory=list)
    branch: Check | None = None
    yes: "Node | None" = None
    no: "Node | None" = None
    results: Sequence[int] = ()

    @property
    def wanted(self) -> list[int]:
        """The slots that are read here besides the operands of instructions."""
        branch = [self.branch.slot] if self.branch else []
        return [*(check.slot for check in self.checks), *branch, *self.results]


@dataclass(frozen=True, slots=True)
class Branches:
    """All ways: one program without outputs, the leaves it closes over, and a tree for each group of ways."""

    program: Program
    parameters: list[Value]
    trees: list[Node]

    @property
    def guarded(self) -> bool:
        """Whether there are numbers that go no way known here."""
        return len(self.trees) > 1 or any(node.checks for tree in self.trees for node in walk(tree))


def merge(ways: Sequence[Way]) -> Branches:
    """Put ways together: instructions that they share are written once."""
    parameters = list(dict.fromkeys(leaf for way in ways for leaf in way.parameters))
    merged = _Merged(ways[0].program.inputs, parameters)
    trees: list[Node] = []
    for way in ways:
        outputs = merged.add(way)
        guards = [
            Check(*guard) for guard in zip(outputs[way.results :], way.expected, way.lines, strict=True)
        ]
        results = outputs[: way.results]
        if not any(_insert(tree, guards, results) for tree in trees):
            trees.append(_chain(guards, results))
    program = Program(
        merged.inputs, len(parameters), merged.pool.numbers, merged.ops, merged.operands, outputs=()
    )
    for tree in trees:
        _schedule(program, tree)
    return Branches(program, parameters, trees)


class _Merged:
    """The instructions of all ways, each once."""

    def __init__(self, inputs: int, parameters: Sequence[Value]) -> None:
        self.inputs = inputs
        self.leaves = inputs + len(parameters)
        self.place = {leaf: slot for slot, leaf in enumerate(parameters, inputs)}
        self.pool = ConstantPool()
        self.ops: list[Op] = []
        self.operands: list[Operands] = []
        self.known: dict[tuple[Op, Operands], int] = {}

    def add(self, way: Way) -> list[int]:
        """Add the instructions of a way; return the slots of its outputs."""
        program = open_tables(way.program)
        constants = [self.pool.slot(number) for number in program.constants]
        leaves = [*range(self.inputs), *(self.place[leaf] for leaf in way.parameters)]
        place = [*leaves, *[0] * len(program.ops), *reversed(constants)]
        for slot, (op, operands) in enumerate(
            zip(program.ops, program.operands, strict=True), program.leaves
        ):
            key = op, tuple([place[each] for each in operands])
            found = self.known.get(key)
            if found is None:
                found = self.known[key] = self.leaves + len(self.ops)
                self.ops.append(op)
                self.operands.append(key[1])
            place[slot] = found
        return [place[slot] for slot in program.outputs]


def _chain(guards: Iterable[Check], results: Sequence[int]) -> Node:
    return Node(checks=list(guards), results=results)


def _insert(node: Node, guards: list[Check], results: Sequence[int]) -> bool:
    """Add a way to a tree, if its guards are those of the tree up to where it parts."""
    while True:
        shared = next(
            (at for at, (x, y) in enumerate(zip(node.checks, guards, strict=False)) if x != y),
            min(len(node.checks), len(guards)),
        )
        if shared < len(node.checks):
            if shared == len(guards) or node.checks[shared].slot != guards[shared].slot:
                return False
            _split(node, shared, guards[shared:], results)
            return True
        guards = guards[shared:]
        if node.branch is None or not guards or guards[0].slot != node.branch.slot:
            return False
        following = node.yes if guards[0].answer else node.no
        assert following is not None
        node, guards = following, guards[1:]


def _split(node: Node, at: int, guards: list[Check], results: Sequence[int]) -> None:
    """Turn a check of a node into a branch, and let a way go on from its other side."""
    branch = node.checks[at]
    rest = Node(node.checks[at + 1 :], branch=node.branch, yes=node.yes, no=node.no, results=node.results)
    other = _chain(guards[1:], results)
    node.checks, node.branch, node.results = node.checks[:at], branch, ()
    node.yes, node.no = (rest, other) if branch.answer else (other, rest)


def walk(tree: Node) -> Iterator[Node]:
    """Yield the nodes of a tree."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += [after for after in (node.no, node.yes) if after is not None]


def _schedule(program: Program, tree: Node) -> None:
    """Give each node the instructions that it needs and no node before it computes."""
    results: dict[int, list[int]] = {}  # of each loop; they are taken where it is run
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        if isinstance(op, Result):
            results.setdefault(operands[0], []).append(slot)
    todo: list[tuple[Node, Callable[[int], bool]]] = [(tree, lambda slot: False)]
    while todo:
        node, known = todo.pop()
        own = _needed(program, node.wanted, known)
        own.update(slot for loop in own & results.keys() for slot in results[loop])
        node.computes = sorted(own)

        def known_after(slot: int, own: set[int] = own, known: Any = known) -> bool:
            return slot in own or known(slot)

        todo += [(after, known_after) for after in (node.no, node.yes) if after is not None]


def _needed(program: Program, wanted: Iterable[int], known: Callable[[int], bool]) -> set[int]:
    found = set[int]()
    todo = list(wanted)
    while todo:
        slot = todo.pop()
        if slot >= program.leaves and slot not in found and not known(slot):
            found.add(slot)
            todo += program.operands[slot - program.leaves]
    return found
