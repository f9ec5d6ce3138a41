"""Coordinates across the layers: isotonic regression, one layer at a time, and long strands straight."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import inf

from nodegrad.show.layout.ranks import BOX_GAP, WIRE_GAP, Graph

__all__ = ()

SWEEPS = 10
SLACK = 0.5  # how much of a gap a strand may take to stay straight


def coordinates(graph: Graph, order: list[list[int]]) -> list[float]:
    """Give each vertex its place across the layers: strands straight, others between their neighbours."""
    across = [0.0] * len(graph.layer)
    rows = [(row, _offsets(graph, row)) for row in order]
    strands = _strands(graph)
    for _ in range(SWEEPS):
        aims, weights = _aims(strands, graph, across)
        for row, offset in rows:
            free = isotonic(
                [aims[v] - at for v, at in zip(row, offset, strict=True)], [weights[v] for v in row]
            )
            for vertex, base, at in zip(row, free, offset, strict=True):
                across[vertex] = base + at
    _straighten(strands, rows, across)
    top = min((y - breadth / 2 for y, breadth in zip(across, graph.breadth, strict=True)), default=0.0)
    return [y - top for y in across]


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


def _offsets(graph: Graph, row: list[int]) -> list[float]:
    """Return how far each vertex of a layer lies from the first when all touch, gaps included."""
    steps = [0.0]
    for first, second in pairwise(row):
        gap = BOX_GAP if first < graph.boxes and second < graph.boxes else WIRE_GAP
        steps.append((graph.breadth[first] + graph.breadth[second]) / 2 + gap)
    return list(accumulate(steps))


def _strands(graph: Graph) -> list[list[int]]:
    """Split the graph into paths worth drawing straight: wires, and the longest chains of boxes.

    Where three or more boxes of equal depth meet, none of them goes on: their consumer stands in the middle.
    """
    history = [0] * len(graph.layer)
    equals = [0] * len(graph.layer)  # how many of a vertex's operands are as deep as its deepest one
    for vertex in sorted(range(len(history)), key=graph.layer.__getitem__):
        history[vertex] = max([history[s] + 1 for s in graph.up[vertex]], default=0)
        boxes = [history[s] for s in graph.up[vertex] if s < graph.boxes]
        equals[vertex] = boxes.count(max(boxes, default=0))
    links = [
        (s, t)
        for s, targets in enumerate(graph.down)
        for t in targets
        if s >= graph.boxes or equals[t] < 3 or history[s] + 1 < history[t]
    ]
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


def _aims(strands: list[list[int]], graph: Graph, across: list[float]) -> tuple[list[float], list[float]]:
    """Aim each vertex at the mean of its strand, the longer the stronger; a single one at its neighbours'."""
    aims, weights = [0.0] * len(across), [0.0] * len(across)
    for strand in strands:
        near = strand if len(strand) > 1 else graph.up[strand[0]] + graph.down[strand[0]] or strand
        mean = sum([across[vertex] for vertex in near]) / len(near)
        for vertex in strand:
            aims[vertex], weights[vertex] = mean, float(len(strand) ** 6)
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
            if piece and max(low, floor) > min(high, ceiling) + SLACK:
                _align(piece, low, high, across)
                piece, low, high = [], -inf, inf
            piece.append(vertex)
            low, high = max(low, floor), min(high, ceiling)
        _align(piece, low, high, across)


def _align(piece: list[int], low: float, high: float, across: list[float]) -> None:
    mean = sum([across[vertex] for vertex in piece]) / len(piece)
    for vertex in piece:
        across[vertex] = min(max(mean, low), high)
