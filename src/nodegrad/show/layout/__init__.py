"""A layered layout of a directed acyclic graph: where each box goes and how each edge runs.

Sugiyama's method in four steps: layers, order within layers, coordinates, routes. The ideas are those of
Gansner, Koutsofios, North and Vo, "A technique for drawing directed graphs" (IEEE TSE 19(3), 1993), with
coordinates by isotonic regression, one layer at a time. Every step is iterative and deterministic.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nodegrad.show.layout.coordinates import coordinates
from nodegrad.show.layout.crossings import untangle
from nodegrad.show.layout.ranks import WIRE_GAP, Graph, add_wires, assign_layers

__all__ = ()

Point = tuple[float, float]
Span = tuple[float, float]
Edge = tuple[int, int]  # from one box to another, by their positions


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
    boxes: Sequence[Box], edges: Sequence[Edge], rankdir: str = "LR", layer_gap: float = 44.0
) -> Layout:
    """Place boxes in layers so that every edge points the same way, with few crossings and no overlap.

    `edges` are pairs of positions in `boxes`, source first; a pair given twice is drawn twice. `rankdir` is
    "LR" (left to right) or "TB" (top to bottom), as in Graphviz.

    >>> picture = lay_out([Box(40, 20), Box(40, 20)], [(0, 1)])
    >>> picture.centres
    ((20.0, 10.0), (104.0, 10.0))
    >>> picture.routes[0][0], picture.routes[0][-1]
    ((40.0, 10.0), (84.0, 10.0))
    """
    lengths, breadths = [box.width for box in boxes], [box.height for box in boxes]
    if rankdir == "TB":
        lengths, breadths = breadths, lengths
    graph = add_wires(breadths, edges, assign_layers(len(boxes), edges))
    order, crossings = untangle(graph)
    across = coordinates(graph, order)
    columns = _columns(graph, lengths, across, layer_gap)
    centres: list[Point] = [(sum(columns[graph.layer[box]]) / 2, across[box]) for box in range(len(boxes))]
    routes = _routes(graph, edges, lengths, across, columns)
    width = columns[-1][1] if columns else 0.0
    height = max((y + breadth / 2 for y, breadth in zip(across, graph.breadth, strict=True)), default=0.0)
    if rankdir == "TB":
        width, height = height, width
        centres = [(y, x) for x, y in centres]
        routes = [tuple((y, x) for x, y in route) for route in routes]
    return Layout(width, height, tuple(centres), tuple(routes), tuple(graph.layer[: len(boxes)]), crossings)


def _columns(graph: Graph, lengths: list[float], across: list[float], layer_gap: float) -> list[Span]:
    """Return from where to where each layer goes: they are further apart where edges are steep."""
    count = max(graph.layer, default=-1) + 1
    widest, steepest = [0.0] * count, [0.0] * count
    for box, length in enumerate(lengths):
        widest[graph.layer[box]] = max(widest[graph.layer[box]], length)
    for vertex, targets in enumerate(graph.down):
        rise = max([abs(across[vertex] - across[t]) for t in targets], default=0.0)
        steepest[graph.layer[vertex]] = max(steepest[graph.layer[vertex]], rise)
    columns, left = [], 0.0
    for width, rise in zip(widest, steepest, strict=True):
        columns.append((left, left + width))
        left += width + min(max(layer_gap, rise / 4), 3 * layer_gap)
    return columns


def _routes(
    graph: Graph, edges: Sequence[Edge], lengths: list[float], across: list[float], columns: list[Span]
) -> list[tuple[Point, ...]]:
    """Run each edge level through the layers it passes and in one curve from level to level."""
    strands, drawn, routes = Counter(edges), Counter[tuple[int, int]](), []
    wires = [_levels(graph, source, across) for source in range(graph.boxes)]
    for edge in edges:
        source, target = edge
        room = min(WIRE_GAP, 0.7 * min(graph.breadth[source], graph.breadth[target]) / strands[edge])
        shift = room * (drawn[edge] - (strands[edge] - 1) / 2)
        drawn[edge] += 1
        last = columns[graph.layer[target]]
        begins, heights = wires[source]
        passed = begins[: bisect_left(begins, graph.layer[target])]
        levels = [
            (columns[begin][0], columns[end - 1][1], height + shift)
            for begin, end, height in zip(passed, [*passed[1:], graph.layer[target]], heights, strict=False)
        ]
        levels[0] = ((sum(columns[graph.layer[source]]) + lengths[source]) / 2, *levels[0][1:])
        levels.append((last[0], (sum(last) - lengths[target]) / 2, across[target] + shift))
        routes.append(_curve(levels))
    return routes


def _levels(graph: Graph, source: int, across: list[float]) -> tuple[list[int], list[float]]:
    """Return where the wire of a box changes its height: the layers, and the heights from there on."""
    begins, heights = [graph.layer[source]], [across[source]]
    for point in graph.wires[source]:
        if abs(across[point] - heights[-1]) >= 0.01:
            begins.append(graph.layer[point])
            heights.append(across[point])
    return begins, heights


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
