"""A layered layout of a directed acyclic graph: where each box goes and how each edge runs.

Sugiyama's method in four steps: layers, order within layers, coordinates, routes. The ideas are those of
Gansner, Koutsofios, North and Vo, "A technique for drawing directed graphs" (IEEE TSE 19(3), 1993), with
coordinates by isotonic regression, one layer at a time. Every step is iterative and deterministic.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from random import Random

Point = tuple[float, float]

WIRE_GAP = 8.0  # room for a long edge that passes a layer, and between parallel edges
SWEEPS = 16
ORDER_SWEEPS = 40
IDLE = 8
WIRES_PER_BOX = 8  # a longer edge than this budget allows runs straight, over boxes if need be


@dataclass(frozen=True)
class Box:
    """The size of one box of the picture."""

    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Where everything goes: box centres, and per edge the control points of a cubic Bézier curve.

    A route is `start, control, control, point, control, control, point ...`; `crossings` counts the places
    where edges change sides between neighbouring layers.
    """

    width: float
    height: float
    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    layers: tuple[int, ...]
    crossings: int


def lay_out(
    boxes: Sequence[Box],
    edges: Sequence[tuple[int, int]],
    rankdir: str = "LR",
    *,
    layer_gap: float = 44.0,
    box_gap: float = 16.0,
) -> Layout:
    """Place boxes in layers so that every edge points the same way, with few crossings and no overlap.

    `edges` are pairs of positions in `boxes`, source first; a pair given twice is drawn twice. `rankdir` is
    "LR" (left to right) or "TB" (top to bottom), as in Graphviz.

    Raises ValueError for an unknown `rankdir`, an edge to a box that is not there, and a cycle.

    >>> picture = lay_out([Box(40, 20), Box(40, 20)], [(0, 1)])
    >>> picture.centres
    ((20.0, 10.0), (104.0, 10.0))
    >>> picture.routes[0][0], picture.routes[0][-1]
    ((40.0, 10.0), (84.0, 10.0))
    """
    if rankdir not in ("LR", "TB"):
        raise ValueError(f"lay_out expects rankdir 'LR' or 'TB'; this one is {rankdir!r}.")
    for source, target in edges:
        if not (0 <= source < len(boxes) and 0 <= target < len(boxes)):
            raise ValueError(
                f"lay_out got an edge {source} -> {target}, but boxes 0 to {len(boxes) - 1} only."
            )
    breadths = [box.height if rankdir == "LR" else box.width for box in boxes]
    lengths = [box.width if rankdir == "LR" else box.height for box in boxes]
    graph = _wire(breadths, edges, assign_layers(len(boxes), edges))
    order, crossings = _untangle(graph, _first_order(graph))
    across = _coordinates(graph, order, box_gap)
    columns = _columns(graph, lengths, across, layer_gap)
    centres: list[Point] = [(columns[graph.layer[box]].centre, across[box]) for box in range(len(boxes))]
    routes = _routes(graph, edges, lengths, across, columns)
    width = columns[-1].right if columns else 0.0
    height = max((y + breadth / 2 for y, breadth in zip(across, graph.breadth, strict=True)), default=0.0)
    if rankdir == "TB":
        width, height = height, width
        centres = [(y, x) for x, y in centres]
        routes = [tuple((y, x) for x, y in route) for route in routes]
    return Layout(width, height, tuple(centres), tuple(routes), tuple(graph.layer[: len(boxes)]), crossings)


def assign_layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Give each of `count` boxes a layer, each edge pointing to a later one, so that edges are short.

    An output sits right after its operands (longest path), every other box right before its first consumer.
    Edges that leave one box share a wire, so what counts is how far the last consumer is, not each of them.

    Raises ValueError for a cycle.

    >>> assign_layers(4, [(0, 1), (1, 2), (3, 2)])
    [0, 1, 2, 1]
    """
    up, down = _neighbours(count, edges)
    order = _topological_order(up, down)
    layer = [0] * count
    for box in order:
        layer[box] = max([layer[source] + 1 for source in up[box]], default=0)
    for box in reversed(order):
        if down[box]:
            layer[box] = min([layer[target] for target in down[box]]) - 1
    first = min(layer, default=0)
    return [depth - first for depth in layer]


def count_crossings(targets: Iterable[Sequence[int]]) -> int:
    """Count the pairs of edges between two layers that cross, in O(E log E).

    `targets` holds, for each box of the first layer in order, the positions of its neighbours in the second.

    >>> count_crossings([[0], [1]]), count_crossings([[1], [0]]), count_crossings([[0, 1], [0, 1]])
    (0, 1, 1)
    """
    ends = [end for row in targets for end in sorted(row)]
    size = max(ends, default=0) + 1
    seen = [0] * (size + 1)  # a Fenwick tree of how many earlier edges end at each position
    crossings = 0
    for earlier, end in enumerate(ends):
        crossings += earlier
        at = end + 1
        while at:
            crossings -= seen[at]
            at &= at - 1
        at = end + 1
        while at <= size:
            seen[at] += 1
            at += at & -at
    return crossings


def isotonic(targets: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence nearest to `targets` in weighted squares (pool adjacent violators).

    >>> isotonic([1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0])
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, float, int]] = []
    for mean, weight in zip(targets, weights, strict=True):
        size = 1
        while pools and pools[-1][0] > mean:
            other_mean, other_weight, other_size = pools.pop()
            mean = (mean * weight + other_mean * other_weight) / (weight + other_weight)
            weight += other_weight
            size += other_size
        pools.append((mean, weight, size))
    return [mean for mean, _, size in pools for _ in range(size)]


@dataclass
class _Graph:
    """The boxes and the wire points through which long edges pass, with neighbours one layer away each.

    Edges that leave one box share its wire: one wire point per layer, however many edges pass.
    """

    boxes: int
    layer: list[int]
    breadth: list[float]
    up: list[list[int]]
    down: list[list[int]]
    wires: list[list[int]]


def _neighbours(count: int, edges: Iterable[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the distinct sources and the distinct targets of each box, in the order of the edges."""
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for source, target in dict.fromkeys(edges):
        up[target].append(source)
        down[source].append(target)
    return up, down


def _topological_order(up: list[list[int]], down: list[list[int]]) -> list[int]:
    waiting = [len(sources) for sources in up]
    order = [box for box, sources in enumerate(up) if not sources]
    for box in order:  # grows while it is read
        for target in down[box]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    if len(order) < len(up):
        raise ValueError(f"lay_out expects a graph without cycles; boxes {_cycle(up, waiting)} form one.")
    return order


def _cycle(up: list[list[int]], waiting: list[int]) -> str:
    """Walk back among the boxes that never became ready until one comes up again."""
    box = next(box for box, count in enumerate(waiting) if count)
    seen: dict[int, int] = {}
    while box not in seen:
        seen[box] = len(seen)
        box = next(source for source in up[box] if waiting[source])
    found = [*list(seen)[seen[box] :], box]
    return " -> ".join(map(str, reversed(found)))


def _wire(breadths: Sequence[float], edges: Sequence[tuple[int, int]], layers: Sequence[int]) -> _Graph:
    """Add the wire points, short wires first, as far as the budget goes."""
    count = len(breadths)
    _, targets = _neighbours(count, edges)
    strands = Counter(edges)
    layer, breadth = list(layers), list(breadths)
    wires: list[list[int]] = [[] for _ in range(count)]
    spans = [max((layers[t] - layers[s] - 1 for t in targets[s]), default=0) for s in range(count)]
    budget = WIRES_PER_BOX * count + 1000
    for source in sorted(range(count), key=lambda box: (spans[box], box)):
        span = spans[source]
        if span > budget:
            break
        budget -= span
        wires[source] = list(range(len(layer), len(layer) + span))
        layer.extend(range(layers[source] + 1, layers[source] + span + 1))
        breadth.extend(
            [WIRE_GAP * (max((strands[source, t] for t in targets[source]), default=1) - 1)] * span
        )
    links = [link for source, wire in enumerate(wires) for link in pairwise([source, *wire])]
    for source, target in strands:
        before = [source, *wires[source]][: layers[target] - layers[source]][-1]
        if layer[before] + 1 == layers[target]:
            links.append((before, target))
    return _Graph(count, layer, breadth, *_neighbours(len(layer), links), wires)


def _first_order(graph: _Graph) -> list[list[int]]:
    """Order the layers by a walk back from each output, operand by operand: a tree comes out uncrossed."""
    order: list[list[int]] = [[] for _ in range(max(graph.layer, default=-1) + 1)]
    part = _components(graph)
    seen = [False] * len(graph.layer)
    for output in sorted(range(len(graph.layer)), key=lambda vertex: (part[vertex], -graph.layer[vertex])):
        stack = [output]
        while stack:
            vertex = stack.pop()
            if not seen[vertex]:
                seen[vertex] = True
                order[graph.layer[vertex]].append(vertex)
                stack.extend(reversed(graph.up[vertex]))
    return order


def _components(graph: _Graph) -> list[int]:
    """Give each vertex the number of the connected part it belongs to."""
    part = [-1] * len(graph.layer)
    for first in range(len(part)):
        stack = [first]
        while stack:
            vertex = stack.pop()
            if part[vertex] < 0:
                part[vertex] = first
                stack += graph.up[vertex] + graph.down[vertex]
    return part


def _untangle(graph: _Graph, order: list[list[int]]) -> tuple[list[list[int]], int]:
    """Improve the order by sweeps; small graphs start again a few times from a shaken copy of the best."""
    place = [0] * len(graph.layer)
    part = _components(graph)
    best, fewest = _sweep(graph, order, place, part, 16)
    noise = Random(0)  # seeded: the same graph always gives the same picture
    for _ in range(min(20, 6000 // max(1, len(place)))):
        if not fewest:
            break
        order = [list(row) for row in best]
        for row in order:
            _number(row, place)
        for row in order[noise.randrange(len(order)) :]:
            _sort_by_barycentre(row, graph.up, place, part, noise)
        order, crossings = _sweep(graph, order, place, part, 8)
        if crossings < fewest:
            best, fewest = order, crossings
    return best, fewest


def _sweep(
    graph: _Graph, order: list[list[int]], place: list[int], part: list[int], sweeps: int
) -> tuple[list[list[int]], int]:
    """Sort each layer by barycentres and swap neighbours, back and forth; return the best order met."""
    for row in order:
        _number(row, place)
    best, fewest, idle = [list(row) for row in order], _crossings(graph, order, place), 0
    for sweep in range(sweeps):
        if not fewest or idle == 3:
            break
        forward = sweep % 2 == 1
        for row in order if forward else reversed(order):
            _sort_by_barycentre(row, graph.up if forward else graph.down, place, part)
        for row in order if forward else reversed(order):
            _swap_neighbours(row, graph, place)
        crossings = _crossings(graph, order, place)
        idle = 0 if crossings < fewest else idle + 1
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best, fewest


def _number(row: list[int], place: list[int]) -> None:
    for at, vertex in enumerate(row):
        place[vertex] = at


def _crossings(graph: _Graph, order: list[list[int]], place: list[int]) -> int:
    return sum(count_crossings([place[t] for t in graph.down[vertex]] for vertex in row) for row in order)


def _sort_by_barycentre(
    row: list[int], links: list[list[int]], place: list[int], part: list[int], noise: Random | None = None
) -> None:
    """Sort a layer by the mean place of each vertex's neighbours; one without neighbours keeps its place."""
    keys = {v: (part[v], sum([place[n] for n in links[v]]) / len(links[v])) for v in row if links[v]}
    if noise:
        keys = {v: (where, mean + noise.uniform(-2, 2)) for v, (where, mean) in keys.items()}
    movable = iter(sorted(keys, key=keys.__getitem__))
    row[:] = [next(movable) if links[v] else v for v in row]
    _number(row, place)


def _swap_neighbours(row: list[int], graph: _Graph, place: list[int]) -> None:
    """Swap adjacent vertices of a layer wherever that removes crossings."""
    ends = {v: [sorted([place[n] for n in side[v]]) for side in (graph.up, graph.down)] for v in row}
    for _ in range(3):
        swapped = False
        for at in range(len(row) - 1):
            first, second = row[at], row[at + 1]
            gain = 0
            for above, below in zip(ends[first], ends[second], strict=True):
                if above and below and above[-1] > below[0]:
                    gain += sum([bisect_left(below, end) for end in above])
                    gain -= sum([bisect_left(above, end) for end in below])
            if gain > 0:
                row[at], row[at + 1] = second, first
                swapped = True
        if not swapped:
            break
    _number(row, place)


def _coordinates(graph: _Graph, order: list[list[int]], box_gap: float) -> list[float]:
    """Give each vertex its place across the layers: by least squares, then with the strands straight."""
    across = [0.0] * len(graph.layer)
    offsets = [_offsets(graph, row, box_gap) for row in order]
    rows = list(zip(order, offsets, strict=True))
    up, down = _pulls(graph, graph.up), _pulls(graph, graph.down)
    both = [above + below for above, below in zip(up, down, strict=True)]
    for sweep in range(SWEEPS):
        pulls = (up, down)[sweep % 2] if sweep < 4 else both
        for row, offset in rows if sweep % 2 == 0 else reversed(rows):
            targets, weights = [], []
            for vertex in row:
                weight = sum([w for _, w in pulls[vertex]])
                weights.append(weight or 1e-3)
                pull = sum([across[n] * w for n, w in pulls[vertex]])
                targets.append(pull / weight if weight else across[vertex])
            _settle(row, offset, targets, weights, across)
    strands = _strands(graph)
    for _ in range(3):
        aims, weights = _aims(strands, both, across)
        for row, offset in rows:
            _settle(row, offset, [aims[v] for v in row], [weights[v] for v in row], across)
    _straighten(strands, rows, across)
    top = min((y - breadth / 2 for y, breadth in zip(across, graph.breadth, strict=True)), default=0.0)
    return [y - top for y in across]


def _offsets(graph: _Graph, row: list[int], box_gap: float) -> list[float]:
    """Return how far each vertex of a layer lies from the first when all touch, gaps included."""
    steps = [0.0]
    for first, second in pairwise(row):
        gap = box_gap if first < graph.boxes and second < graph.boxes else WIRE_GAP
        steps.append((graph.breadth[first] + graph.breadth[second]) / 2 + gap)
    return list(accumulate(steps))


def _pulls(graph: _Graph, links: list[list[int]]) -> list[list[tuple[int, float]]]:
    """Weigh each link: wires want most to be straight, and a leaf follows its consumer, not the reverse."""

    def weight(ends: tuple[int, int]) -> float:
        if any(not graph.up[end] and len(graph.down[end]) == 1 for end in ends):
            return 0.1
        return (1.0, 2.0, 8.0)[sum(end >= graph.boxes for end in ends)]

    return [[(n, weight((vertex, n))) for n in near] for vertex, near in enumerate(links)]


def _settle(
    row: list[int], offset: list[float], targets: list[float], weights: list[float], across: list[float]
) -> None:
    """Move a layer to where its squared distance from `targets` is least without overlap."""
    free = isotonic([target - shift for target, shift in zip(targets, offset, strict=True)], weights)
    for vertex, base, shift in zip(row, free, offset, strict=True):
        across[vertex] = base + shift


def _strands(graph: _Graph) -> list[list[int]]:
    """Part the graph into paths worth drawing straight: wires, and the longest chains of boxes."""
    history = [0] * len(graph.layer)
    for vertex in sorted(range(len(history)), key=graph.layer.__getitem__):
        history[vertex] = max([history[s] + 1 for s in graph.up[vertex]], default=0)
    links = [(s, t) for s, targets in enumerate(graph.down) for t in targets]
    wired = [vertex >= graph.boxes for vertex in range(len(history))]
    # Between wire points first, then between boxes; the end of a wire bends before a chain of boxes does.
    links.sort(key=lambda link: (wired[link[0]] != wired[link[1]], not wired[link[0]], -history[link[0]]))
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for source, target in links:
        if source not in after and target not in before:
            after[source], before[target] = target, source
    strands = []
    for first in range(len(history)):
        if first not in before:
            strand = [first]
            while strand[-1] in after:
                strand.append(after[strand[-1]])
            strands.append(strand)
    return sorted(strands, key=len, reverse=True)


def _aims(
    strands: list[list[int]], pulls: list[list[tuple[int, float]]], across: list[float]
) -> tuple[list[float], list[float]]:
    """Aim every vertex of a strand at the strand's mean, the longer strand with more weight."""
    aims, weights = [0.0] * len(across), [0.0] * len(across)
    for strand in strands:
        if len(strand) == 1:
            near = pulls[strand[0]]
            mean = across[near[0][0]] if near else across[strand[0]]
        else:
            mean = sum([across[vertex] for vertex in strand]) / len(strand)
        for vertex in strand:
            aims[vertex], weights[vertex] = mean, float(len(strand) ** 3)
    return aims, weights


def _straighten(
    strands: list[list[int]], rows: list[tuple[list[int], list[float]]], across: list[float]
) -> None:
    """Make strands exactly straight, in as few pieces as the room between their neighbours allows."""
    above: dict[int, tuple[int, float]] = {}
    below: dict[int, tuple[int, float]] = {}
    for row, offset in rows:
        for (first, start), (second, end) in pairwise(zip(row, offset, strict=True)):
            above[second], below[first] = (first, end - start), (second, end - start)
    for strand in strands:
        piece: list[int] = []
        low, high = -inf, inf
        for vertex in strand:
            floor = across[above[vertex][0]] + above[vertex][1] if vertex in above else -inf
            ceiling = across[below[vertex][0]] - below[vertex][1] if vertex in below else inf
            if piece and max(low, floor) > min(high, ceiling):
                _align(piece, low, high, across)
                piece, low, high = [], -inf, inf
            piece.append(vertex)
            low, high = max(low, floor), min(high, ceiling)
        _align(piece, low, high, across)


def _align(piece: list[int], low: float, high: float, across: list[float]) -> None:
    mean = sum([across[vertex] for vertex in piece]) / len(piece)
    for vertex in piece:
        across[vertex] = min(max(mean, low), high)


@dataclass(frozen=True)
class _Column:
    left: float
    right: float

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2


def _columns(graph: _Graph, lengths: list[float], across: list[float], layer_gap: float) -> list[_Column]:
    """Place the layers side by side, further apart where edges are steep."""
    count = max(graph.layer, default=-1) + 1
    widest, steepest = [0.0] * count, [0.0] * count
    for box, length in enumerate(lengths):
        widest[graph.layer[box]] = max(widest[graph.layer[box]], length)
    for vertex, targets in enumerate(graph.down):
        rise = max([abs(across[vertex] - across[t]) for t in targets], default=0.0)
        steepest[graph.layer[vertex]] = max(steepest[graph.layer[vertex]], rise)
    columns, left = [], 0.0
    for width, rise in zip(widest, steepest, strict=True):
        columns.append(_Column(left, left + width))
        left += width + min(max(layer_gap, rise / 4), 3 * layer_gap)
    return columns


def _routes(
    graph: _Graph,
    edges: Sequence[tuple[int, int]],
    lengths: list[float],
    across: list[float],
    columns: list[_Column],
) -> list[tuple[Point, ...]]:
    """Run each edge level through the layers it passes and in one curve from level to level."""
    strands, drawn, routes = Counter(edges), Counter[tuple[int, int]](), []
    for edge in edges:
        source, target = edge
        room = min(WIRE_GAP, 0.7 * min(graph.breadth[source], graph.breadth[target]) / strands[edge])
        shift = room * (drawn[edge] - (strands[edge] - 1) / 2)
        drawn[edge] += 1
        first, last = columns[graph.layer[source]], columns[graph.layer[target]]
        levels = [(first.centre + lengths[source] / 2, first.right, across[source] + shift)]
        for point in graph.wires[source][: graph.layer[target] - graph.layer[source] - 1]:
            column = columns[graph.layer[point]]
            levels.append((column.left, column.right, across[point] + shift))
        levels.append((last.left, last.centre - lengths[target] / 2, across[target] + shift))
        routes.append(_curve(levels))
    return routes


def _curve(levels: list[tuple[float, float, float]]) -> tuple[Point, ...]:
    """Join level stretches `(from, to, height)` by curves that leave and arrive level."""
    route: list[Point] = [(levels[0][0], levels[0][2])]
    for at, (_, end, height) in enumerate(levels):
        if at + 1 < len(levels) and abs(levels[at + 1][2] - height) < 0.01:
            continue
        x, y = route[-1]
        if end > x + 0.01:
            route += [(x + (end - x) / 3, y), (end - (end - x) / 3, height), (end, height)]
        if at + 1 < len(levels):
            start, _, next_height = levels[at + 1]
            middle = (end + start) / 2
            route += [(middle, height), (middle, next_height), (start, next_height)]
    return tuple(route)
