"""The steps of an explanation: what each node gets back from its consumers, and which nodes to explain."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from nodegrad import ops
from nodegrad.products import chain
from nodegrad.show.drawing.fold import alike
from nodegrad.show.explaining.formula import TEXT, Formula, ends
from nodegrad.show.snapshot import Vertex, is_constant
from nodegrad.show.text import indexed, number, on_the_line, plain_name
from nodegrad.value import Value

__all__ = ()

IN_FULL = 100  # nodes; in a larger graph one node of each shape is explained
PATHS = 6  # terms of a step; if there are more, half as many are written


@dataclass(frozen=True)
class Term:
    """What one consumer hands back to a node: ∂output/∂consumer · ∂consumer/∂node."""

    consumer: Value
    local: Formula | float  # ∂consumer/∂node as a formula; a sum where the consumer takes the node twice
    partial: float  # the same as a number
    upstream: float  # ∂output/∂consumer
    contribution: float


@dataclass(frozen=True)
class Step:
    """The derivative of the output for one node: the sum of what its consumers hand back."""

    node: Value
    terms: tuple[Term, ...]
    rest: int  # how many more terms there are
    gradient: float
    alike: int  # how many other nodes have the same shape and go without a step


def one_of_each(
    vertices: Sequence[Vertex], root: Vertex, targets: Collection[Vertex]
) -> tuple[set[Vertex], Counter[Vertex]]:
    """Choose one vertex of each shape, connected to the output, and count the others like it."""
    groups = alike(vertices, {root, *targets})
    group_of = {vertex: at for at, members in enumerate(groups) for vertex in members}
    chosen, seen = [root], {group_of[root]}
    for vertex in chosen:  # which grow meanwhile
        for operand in vertex.operands if len(chosen) < IN_FULL else ():
            if group_of[operand] not in seen:
                seen.add(group_of[operand])
                chosen.append(operand)
    others = Counter({vertex: len(groups[group_of[vertex]]) - 1 for vertex in chosen})
    return _with_ways_up(vertices, chosen, targets), others


def _with_ways_up(
    vertices: Sequence[Vertex], chosen: Collection[Vertex], targets: Collection[Vertex]
) -> set[Vertex]:
    """Return the chosen vertices and those on a way from each target up to them, as long as there is room."""
    known = set(chosen)
    consumer = {operand: vertex for vertex in vertices for operand in vertex.operands}
    for target in targets:
        way: list[Vertex] = []
        vertex = target
        while vertex not in known and len(known) + len(way) < len(chosen) + IN_FULL:
            way.append(vertex)
            vertex = consumer[vertex]
        if vertex in known:
            known.update(way)
    return known


def collect(
    vertices: Sequence[Vertex],
    shown: Sequence[Vertex],
    names: dict[Vertex, str],
    adjoints: dict[Value, float],
    alike: Counter[Vertex],
) -> tuple[Step, ...]:
    """Collect what the consumers of each shown vertex hand back to it, from the output backwards."""
    used: dict[Vertex, dict[Vertex, list[int]]] = {vertex: {} for vertex in shown}  # with their places
    for vertex in vertices:
        for index, operand in enumerate(vertex.operands):
            if operand in used and is_smooth(vertex, index):
                used[operand].setdefault(vertex, []).append(index)
    steps = []
    for vertex in reversed(shown):
        consumers = sorted(used[vertex], key=lambda consumer: consumer not in used)  # those with a step first
        written = consumers if len(consumers) <= PATHS else consumers[: PATHS // 2]
        terms = tuple([_term(consumer, used[vertex][consumer], names, adjoints) for consumer in written])
        gradient = adjoints.get(vertex.value, 0.0)
        steps.append(Step(vertex.value, terms, len(consumers) - len(terms), gradient, alike[vertex]))
    return tuple(steps)


def is_smooth(consumer: Vertex, index: int) -> bool:
    """Return whether a consumer has a derivative for its operand at `index` that is not 0 everywhere."""
    rules = consumer.op.partials
    return callable(rules) or rules[index] is not None


def local_derivative(consumer: Vertex, index: int) -> float:
    """Return ∂consumer/∂operand as a number."""
    return float(_local(consumer, index, [operand.data for operand in consumer.operands], consumer.data))


def local_formula(consumer: Vertex, index: int, symbols: Sequence[Formula | float]) -> Formula | float:
    """Return ∂consumer/∂operand as a formula of `symbols`; or its number, if a custom operation has none."""
    *operands, out = symbols
    try:
        formula: Formula | float = _local(consumer, index, operands, out)
    except (TypeError, ValueError, AttributeError):
        formula = local_derivative(consumer, index)
    return formula


def _local(consumer: Vertex, index: int, operands: Sequence[Any], out: Any) -> Any:
    """Apply the row's partial for one operand, to numbers or to symbols."""
    rules = consumer.op.partials
    return rules(operands, out)[index] if callable(rules) else rules[index](*operands, out)


def _term(
    consumer: Vertex, places: Sequence[int], names: dict[Vertex, str], adjoints: dict[Value, float]
) -> Term:
    """Write what a consumer hands back to its operand at these places."""
    around, upstream = symbols((*consumer.operands, consumer), names), adjoints.get(consumer.value, 0.0)
    partials = [local_derivative(consumer, index) for index in places]
    local, *others = [local_formula(consumer, index, around) for index in places]
    for other in others:
        local = Formula(ops.add.name, ops.add, (local, other))
    shares = [chain(upstream, partial, partial if consumer.op.selects else None) for partial in partials]
    return Term(consumer.value, local, sum(partials), upstream, sum(shares))


def symbols(vertices: Iterable[Vertex], names: dict[Vertex, str]) -> list[Formula | float]:
    """Return the symbols of vertices in formulas."""
    return [x.data if is_constant(x) else Formula(names[x]) for x in vertices]


def definition(vertex: Vertex, names: dict[Vertex, str]) -> Formula:
    """Write what a vertex computes."""
    return Formula(vertex.op.name, vertex.op, tuple(symbols(vertex.operands, names)))


def written(vertex: Vertex) -> list[Vertex]:
    """List the operands that the formula of a vertex names, those in the middle of a long sum left out."""
    operands, half = vertex.operands, len(vertex.operands) // 2
    if vertex.op in ops.PRODUCTS:
        pairs = list(zip(operands[:half], operands[half:], strict=True))
        return [x for pair in ends(pairs, TEXT.terms) for x in pair]
    return list(ends(operands, TEXT.terms) if vertex.op is ops.sum else operands)


class Names(dict[Vertex, str]):
    """What each vertex is called: its label, with an index if others have the same, or v₁, v₂ ...

    Names are given when they are first needed. An index is skipped if a label looks like it: v₁ if there is
    v1, v_1 or v[1].
    """

    def __init__(self, vertices: Iterable[Vertex]) -> None:
        self.wanted = {vertex: plain_name(vertex.label) for vertex in vertices if vertex.label}
        self.uses = Counter(self.wanted.values())
        self.given = {_letters(name) for name, times in self.uses.items() if times == 1}
        self.numbered: dict[str, Iterator[str]] = {}

    def __missing__(self, vertex: Vertex) -> str:
        stem = self.wanted.get(vertex, "v")
        if is_constant(vertex):
            name = number(vertex.data)
        elif vertex in self.wanted and self.uses[stem] == 1:
            name = stem
        else:
            name = next(self.numbered.setdefault(stem, _numbered(stem, self.given)))
        self[vertex] = name
        return name


def _numbered(stem: str, given: set[str]) -> Iterator[str]:
    """Yield a name with one index after the other, without those that look like a name in `given`."""
    letters = _letters(stem)
    for at in count(1):
        if f"{letters}{at}" not in given:
            given.add(f"{letters}{at}")
            yield indexed(stem, at)


def _letters(name: str) -> str:
    """Return the letters and digits of a name: names with the same ones look alike in a formula."""
    return re.sub(r"[\W_]", "", on_the_line(name))
