"""Fold a recorded graph for drawing: nodes of one shape that feed the same box become one box with a count.

The shape of a node is its operation and the shapes of its operands, whatever the leaves are (hash-consing,
bottom up). A group is the nodes of one shape that feed the same groups (top down). Operands always have an
earlier shape, so the graph of groups has no cycle. Samples of a batch, layers and neurons fold unnamed.

If this leaves too many groups, structure that repeats in depth folds, too: the steps of a recurrence, a
chain, a stack of equal layers. Operations of one kind on operands of the same kinds form a class. Classes
that feed each other in a circle are steps that repeat. Each circle is one group; the groups have no cycle.
Nodes that depend on parameters with other names are in other classes, so the parts of a layer form no
circle.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import combinations
from math import inf, prod
from string import ascii_letters
from typing import Any

from nodegrad import ops
from nodegrad.graph import recording
from nodegrad.show.snapshot import Vertex

__all__ = ()

FOLD_ABOVE = 120  # nodes; a larger graph folds unless told otherwise
PARTS = 80  # circles and classes; with more the picture would be too large
FEW = 3  # turns of a circle that are shown apart
ANY_NUMBER = (ops.sum, *ops.PRODUCTS)  # of operands


@dataclass(slots=True, eq=False)
class Group:
    """The vertices that share a box, and the groups that feed it.

    Each feed is a group with the number of its members that go into one member here (0 where that varies).
    `factors` multiply to the number of members: samples, neurons, inputs of each.
    """

    members: list[Vertex]
    feeds: list[tuple["Group", int]] = field(default_factory=list)
    factors: tuple[int, ...] = ()
    hidden: int = 0  # how many nodes a stub stands for

    @property
    def symbol(self) -> str:
        """The symbol of the operation that makes the nodes, or "loop" if several take turns."""
        found = {vertex.op for vertex in self.members}
        return "loop" if len(found) > 1 else next((op.symbol for op in found if op is not None), "")

    @property
    def operands(self) -> tuple["Group", ...]:
        """The groups that feed this one."""
        return tuple(source for source, _ in self.feeds)


def single(order: Sequence[Vertex]) -> list[Group]:
    """Give each vertex a group of its own."""
    groups: dict[Vertex, Group] = {}
    for vertex in order:
        groups[vertex] = Group([vertex], [(groups[operand], 1) for operand in vertex.operands])
    return list(groups.values())


def flatten(order: Sequence[Vertex], kept: Collection[Vertex]) -> list[Vertex]:
    """Make one sum of each chain of additions, if nothing else uses its partial sums and they have no label.

    The vertices change in place, except those in `kept`, which stay in the picture.
    """
    uses = Counter(operand for vertex in order for operand in vertex.operands)
    inner = {
        operand
        for vertex in order
        if vertex.op is ops.add
        for operand in vertex.operands
        if operand.op is ops.add and uses[operand] == 1 and not operand.label and operand not in kept
    }
    for vertex in order:
        if vertex.op is ops.add and vertex not in inner and not inner.isdisjoint(vertex.operands):
            terms, stack = [], list(reversed(vertex.operands))
            while stack:
                term = stack.pop()
                if term in inner:
                    stack += reversed(term.operands)
                else:
                    terms.append(term)
            vertex.op, vertex.operands = ops.sum, tuple(terms)
    return [vertex for vertex in order if vertex not in inner]


@recording()
def folded(order: Sequence[Vertex], apart: Collection[Vertex], most: int = 40) -> list[Group]:
    """Group vertices by shape and by the groups they feed; each vertex in `apart` gets a group of its own.

    If that leaves more than `most` groups, what repeats in depth becomes one group.

    >>> from nodegrad import Value
    >>> from nodegrad.show.snapshot import snapshot
    >>> x = Value(3.0)
    >>> loss = sum([(x * w) ** 2 for w in map(Value, range(100))], start=Value(0.0))
    >>> order = flatten(snapshot([loss]), ())
    >>> [len(group.members) for group in folded(order, ())]
    [1, 100, 1, 100, 100, 100, 1]
    """
    shapes = _shapes(order, most)  # there are at least as many groups as shapes
    parts = _gather(order, shapes, apart, by_feeds=True) if shapes else []
    if not shapes or len(parts) > most:
        parts = _gather(order, circles(order, apart), (), by_feeds=False)
    return _connect(parts)


def boxes(order: Sequence[Vertex], above: int) -> list[Group]:
    """Group the vertices of the last one's graph: one by one, or folded if there are more than `above`."""
    return folded(flatten(order, order[-1:]), order[-1:]) if len(order) > above else single(order)


@recording()
def alike(order: Sequence[Vertex], apart: Collection[Vertex]) -> list[list[Vertex]]:
    """List the vertices of each group that `folded` makes when it has no limit."""
    return _gather(order, _shapes(order), apart, by_feeds=True)


def _gather(
    order: Sequence[Vertex], kinds: Mapping[Vertex, Any], apart: Collection[Vertex], by_feeds: bool
) -> list[list[Vertex]]:
    """Gather the vertices of each kind: leaves also by the groups they feed, operations too if `by_feeds`.

    What feeds a vertex that is apart is always gathered by that, too.
    """
    feeds: dict[Vertex, set[Any]] = defaultdict(set)
    numbers: dict[Any, int] = {}
    members: dict[int, list[Vertex]] = defaultdict(list)
    for vertex in reversed(order):
        own = vertex if vertex in apart else None
        key = (kinds.get(vertex, vertex.op), own, *sorted(feeds.pop(vertex, ())))
        number = numbers.setdefault(key, len(numbers))
        members[number].append(vertex)
        for operand, role in zip(vertex.operands, _roles(vertex), strict=True):
            if by_feeds or own is not None or not operand.operands:
                feeds[operand].add((number, role))
    return list(members.values())


def opened(groups: Sequence[Group], group: Group, count: int) -> list[Group]:
    """Split a group: its first `count` vertices stand alone; of a loop, its last ones.

    The rest of a loop comes before its last vertices, so the groups still have no cycle.
    """
    alone = group.members[-count:] if group.symbol == "loop" else group.members[:count]
    chosen = set(alone)
    rest = [vertex for vertex in group.members if vertex not in chosen]
    others = [other.members for other in groups if other is not group]
    parts = [part for part in [rest, *others, *[[vertex] for vertex in alone]] if part]
    return _connect([part[::-1] for part in parts])


def cut(groups: Sequence[Group], outputs: Collection[Group], depth: int | None, limit: int) -> list[Group]:
    """Keep the `limit` groups nearest to the outputs, at most `depth` edges away, and stubs for the rest."""
    distance, nearest = dict.fromkeys(outputs, 0), list(outputs)
    for group in nearest:  # which grow meanwhile
        for operand in group.operands:
            if operand not in distance and (depth is None or distance[group] < depth):
                distance[operand] = distance[group] + 1
                nearest.append(operand)
    shown = set(nearest[:limit])
    kept = [group for group in groups if group in shown]
    fed: dict[Group, set[Group]] = defaultdict(set)  # what is not shown, by the groups that it feeds
    for group in kept:
        for operand in group.operands:
            if operand not in shown:
                fed[operand].add(group)
        group.feeds = [feed for feed in group.feeds if feed[0] in shown]
    stubs: dict[frozenset[Group], Group] = defaultdict(lambda: Group([]))
    for operand, consumers in fed.items():
        stubs[frozenset(consumers)].hidden += len(operand.members)
    for fed_by_stub, stub in stubs.items():
        for group in fed_by_stub:
            group.feeds.append((stub, 1))
    return [*stubs.values(), *kept]


def _shapes(order: Iterable[Vertex], most: float = inf) -> dict[Vertex, int]:
    """Give each shape a number; return nothing if there are more than `most`.

    The shape of a sum is the set of its terms' shapes; their number does not count.
    """
    numbers: dict[Any, int] = {}
    shapes: dict[Vertex, int] = {}
    for vertex in order:
        below = [shapes[operand] for operand in vertex.operands]
        key: Any = (vertex.op, *below, len(set(vertex.operands)))
        if vertex.op in ANY_NUMBER:
            key = (vertex.op, frozenset(zip(_roles(vertex), below, strict=True)))
        shapes[vertex] = numbers.setdefault(key, len(numbers))
        if len(numbers) > most:
            return {}
    return shapes


def _roles(vertex: Vertex) -> Sequence[int]:
    """Return the role of each operand: its place; in a dot, its half; in a sum, always the same."""
    count = len(vertex.operands)
    if vertex.op is ops.sum:
        return [0] * count
    if vertex.op in ops.PRODUCTS:
        return [int(2 * at >= count) for at in range(count)]
    return range(count)


def _connect(parts: Iterable[list[Vertex]]) -> list[Group]:
    """Make a group of each part, operands first, with feeds and factors. The last vertex of a part leads."""
    groups = [Group(part[::-1]) for part in parts]
    group_of = {vertex: group for group in groups for vertex in group.members}
    for group in groups:
        size = len(group.members)
        arcs = Counter(group_of[operand] for vertex in group.members for operand in vertex.operands)
        for source, count in arcs.items():
            if source is group:
                continue
            if len(source.members) == size == 1:
                group.feeds += [(source, 1)] * count  # x * x has two edges
            else:
                group.feeds.append((source, count // size if count % size == 0 else 0))
    ordered = list(TopologicalSorter({group: group.operands for group in groups}).static_order())
    _factor(ordered)
    return ordered


def _factor(groups: Sequence[Group]) -> None:
    """Write each group's size as a product that begins with the factors of a group it feeds."""
    consumers: dict[Group, list[Group]] = {}
    for group in reversed(groups):
        size = len(group.members)
        ways = [_factors(size, consumer.factors) for consumer in consumers.get(group, ())]
        group.factors = max(ways, key=len, default=(size,) if size > 1 else ())
        for operand in set(group.operands):
            consumers.setdefault(operand, []).append(group)


def _factors(size: int, known: tuple[int, ...]) -> tuple[int, ...]:
    """Write `size` with as many of the known factors as divide it, in their order, and what is left."""
    for count in range(len(known), 0, -1):
        for chosen in combinations(known, count):
            rest, remainder = divmod(size, prod(chosen))
            if not remainder:
                return (*chosen, rest) if rest > 1 else chosen
    return (size,) if size > 1 else ()


def circles(order: Sequence[Vertex], apart: Collection[Vertex]) -> dict[Vertex, int]:
    """Give each vertex that an operation made the name of its circle, or of its class if it is in none.

    Vertices that depend on parameters with other labels are in other classes: so attention and the layer
    after it are apart. If that makes too many classes, labels do not count.
    """
    found = _joined(order, apart, _stages(order))
    if len(set(found.values())) > PARTS:
        found = _joined(order, apart, {})
    return found


def _joined(
    order: Sequence[Vertex], apart: Collection[Vertex], stages: Mapping[Vertex, Hashable]
) -> dict[Vertex, int]:
    """Join the classes that feed each other in a circle, unless there are only a few turns."""
    numbers: dict[Hashable, int] = {}  # of the classes: hashing and comparing their names would take long
    named: dict[Vertex, Hashable] = {
        v: numbers.setdefault((_class(v, apart), stages.get(v, 0)), len(numbers)) for v in order if v.operands
    }
    circle = _circle(named)
    first: dict[int, Hashable] = {}  # for each circle, the class that begins a turn
    turns: dict[Vertex, int] = {}
    most: dict[int, int] = {}
    for vertex, part in circle.items():
        before = [turns[operand] for operand in vertex.operands if circle.get(operand) == part]
        turns[vertex] = max(before, default=0) + (first.setdefault(part, named[vertex]) == named[vertex])
        most[part] = max(most.get(part, 0), turns[vertex])
    return _circle(
        {v: (name, turns[v]) if most[circle[v]] <= FEW else circle[v] for v, name in named.items()}
    )


def _circle(named: Mapping[Vertex, Hashable]) -> dict[Vertex, int]:
    """Give each vertex the number of the circle that its name is part of."""
    feeds: dict[Hashable, set[Hashable]] = {name: set() for name in named.values()}
    for vertex, name in named.items():
        feeds[name].update([named[operand] for operand in vertex.operands if operand in named])
    found = components(feeds)
    return {vertex: found[name] for vertex, name in named.items()}


def _stages(order: Sequence[Vertex]) -> dict[Vertex, frozenset[str]]:
    """Give each vertex the set of labels it depends on, each cut to the letters that it begins with."""
    stages: dict[Vertex, frozenset[str]] = {}
    known: dict[Any, frozenset[str]] = {}  # each set once: hashing and comparing copies would take long
    for vertex in order:
        stem = "" if vertex.op else vertex.label[: -len(vertex.label.lstrip(ascii_letters)) or None]
        below = frozenset([stages[operand] for operand in vertex.operands])
        if (below, stem) not in known:
            union = frozenset([stem] if stem else []).union(*below)
            known[below, stem] = known.setdefault(union, union)
        stages[vertex] = known[below, stem]
    return stages


def _class(vertex: Vertex, apart: Collection[Vertex]) -> Hashable:
    if vertex in apart:
        return vertex
    kinds = [operand.op for operand in vertex.operands]
    return vertex.op, frozenset(kinds) if vertex.op in ANY_NUMBER else tuple(kinds)


def components(feeds: Mapping[Hashable, Iterable[Hashable]]) -> dict[Hashable, int]:
    """Give each strongly connected component of a graph a number, by two walks (Kosaraju; Sharir, 1981).

    >>> components({"a": ["b"], "b": ["c"], "c": ["b"]})
    {'a': 0, 'c': 1, 'b': 1}
    """
    fed: dict[Hashable, list[Hashable]] = {node: [] for node in feeds}
    left: list[Hashable] = []  # the nodes in the order in which a walk along the feeds leaves them
    seen: set[Hashable] = set()
    stack = [(node, False) for node in feeds]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            left.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            for other in feeds[node]:
                fed[other].append(node)
                stack.append((other, False))
    found: dict[Hashable, int] = {}
    for number, start in enumerate(reversed(left)):  # a walk back stays in the component of its start
        back = [start]
        while back:
            node = back.pop()
            if node not in found:
                found[node] = number
                back += fed[node]
    return found
