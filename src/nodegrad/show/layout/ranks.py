"""The layers of a graph, and the wire points where its long edges pass between them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

__all__ = ()

BOX_GAP = 16.0  # between neighbouring boxes
WIRE_GAP = 8.0  # room for a long edge that passes a layer, and between parallel edges
WIRES_PER_BOX = 8  # the budget of wire points; a wire that exceeds it runs straight, even over boxes


@dataclass
class Graph:
    """The boxes and the wire points through which long edges pass, with neighbours one layer away each.

    Edges that leave one box share its wire: one wire point per layer, however many edges pass.
    """

    boxes: int
    layer: list[int]
    breadth: list[float]
    up: list[list[int]]
    down: list[list[int]]
    wires: list[list[int]]


def assign_layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Give each of `count` boxes a layer, each edge pointing to a later one, so that edges are short.

    An output sits right after its operands (longest path), every other box right before its first consumer.
    Edges that leave one box share a wire, so what counts is how far the last consumer is, not each of them.

    >>> assign_layers(4, [(0, 1), (1, 2), (3, 2)])
    [0, 1, 2, 1]
    """
    up, down = neighbours(count, edges)
    order = list(TopologicalSorter(dict(enumerate(up))).static_order())
    layer = [0] * count
    for box in order:
        layer[box] = max([layer[source] + 1 for source in up[box]], default=0)
    for box in reversed(order):
        if down[box]:
            layer[box] = min([layer[target] for target in down[box]]) - 1
    first = min(layer, default=0)
    return [depth - first for depth in layer]


def add_wires(breadths: Sequence[float], edges: Sequence[tuple[int, int]], layers: Sequence[int]) -> Graph:
    """Add the wire points, short wires first, as far as the budget goes."""
    count = len(breadths)
    _, targets = neighbours(count, edges)
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
    return Graph(count, layer, breadth, *neighbours(len(layer), links), wires)


def neighbours(count: int, edges: Iterable[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the distinct sources and the distinct targets of each box, in the order of the edges."""
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for source, target in dict.fromkeys(edges):
        up[target].append(source)
        down[source].append(target)
    return up, down
