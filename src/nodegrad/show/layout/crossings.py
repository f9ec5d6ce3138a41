"""The order of the boxes within each layer: a first guess, then sweeps that remove crossings."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from random import Random

from nodegrad.show.layout.ranks import Graph

__all__ = ()

SWEEPS, WORK = 90, 40_000  # the most sweeps, and how many vertices they may visit together


def _first_order(graph: Graph) -> list[list[int]]:
    """Order the layers by a walk back from each output, operand by operand: a tree comes out uncrossed."""
    order: list[list[int]] = [[] for _ in range(max(graph.layer, default=-1) + 1)]
    seen = [False] * len(graph.layer)
    for output in sorted(range(len(graph.layer)), key=lambda vertex: -graph.layer[vertex]):
        stack = [output]
        while stack:
            vertex = stack.pop()
            if not seen[vertex]:
                seen[vertex] = True
                order[graph.layer[vertex]].append(vertex)
                stack.extend(reversed(graph.up[vertex]))
    return order


def untangle(graph: Graph) -> tuple[list[list[int]], int]:
    """Order the layers by sweeps back and forth, and count the crossings of the best order met.

    A sweep sorts each layer by barycentres and swaps neighbours. Where three in a row have not helped, the
    next one starts from the best order, shaken.
    """
    place = [0] * len(graph.layer)
    best = order = _first_order(graph)
    fewest, idle = _crossings(graph, order, place), 0
    noise = Random(3)  # seeded: the same graph always gives the same picture
    for sweep in range(max(4, min(SWEEPS, WORK // (len(place) + 1)))):
        if not fewest:
            break
        shaken = noise if idle == 3 else None
        order, idle = [list(row) for row in (best if shaken else order)], 0 if shaken else idle + 1
        for row in order:
            _number(row, place)
        forward = sweep % 2 == 1
        links = graph.up if forward else graph.down
        for row in order if forward else reversed(order):
            _sort_by_barycentre(row, links, place, shaken)
        for row in order if forward else reversed(order):
            _swap_neighbours(row, graph, place)
        crossings = _crossings(graph, order, place)
        if crossings < fewest:
            best, fewest, idle = order, crossings, 0
    return best, fewest


def _number(row: list[int], place: list[int]) -> None:
    for at, vertex in enumerate(row):
        place[vertex] = at


def _crossings(graph: Graph, order: list[list[int]], place: list[int]) -> int:
    for row in order:
        _number(row, place)
    return sum(count_crossings([place[t] for t in graph.down[vertex]] for vertex in row) for row in order)


def count_crossings(targets: Iterable[Sequence[int]]) -> int:
    """Count the pairs of edges between two layers that cross.

    `targets` holds, for each box of the first layer in order, the positions of its neighbours in the second.

    >>> count_crossings([[0], [1]]), count_crossings([[1], [0]]), count_crossings([[0, 1], [0, 1]])
    (0, 1, 1)
    """
    seen: list[int] = []  # where the earlier edges end
    crossings = 0
    for row in targets:
        for end in sorted(row):
            crossings += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return crossings


def _sort_by_barycentre(
    row: list[int], links: list[list[int]], place: list[int], noise: Random | None = None
) -> None:
    """Sort a layer by the mean place of each vertex's neighbours; one without neighbours keeps its place."""
    keys = {v: sum([place[n] for n in links[v]]) / len(links[v]) for v in row if links[v]}
    if noise:
        keys = {v: mean + noise.uniform(-2, 2) for v, mean in keys.items()}
    movable = iter(sorted(keys, key=keys.__getitem__))
    row[:] = [next(movable) if links[v] else v for v in row]
    _number(row, place)


def _swap_neighbours(row: list[int], graph: Graph, place: list[int]) -> None:
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
