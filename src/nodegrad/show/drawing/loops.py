"""Find what repeats in depth: the steps of a recurrence, a chain, a stack of equal layers.

Operations of one kind on operands of the same kinds form a class. Where classes feed each other in a circle,
the same steps come again and again: each circle is one group, and the groups form a graph without cycles.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from nodegrad import ops
from nodegrad.show.snapshot import Vertex


def circles(order: Sequence[Vertex], apart: Collection[Vertex]) -> dict[Vertex, Hashable]:
    """Give each vertex that an operation made the name of its circle, or of its class where there is none."""
    named = {vertex: _class(vertex, apart) for vertex in order if vertex.operands}
    feeds: dict[Hashable, set[Hashable]] = {name: set() for name in named.values()}
    for vertex, name in named.items():
        feeds[name].update([named[operand] for operand in vertex.operands if operand in named])
    circle = components(feeds)
    return {vertex: circle[name] for vertex, name in named.items()}


def _class(vertex: Vertex, apart: Collection[Vertex]) -> Hashable:
    if vertex in apart:
        return vertex
    kinds = [operand.op for operand in vertex.operands]
    return vertex.op, frozenset(kinds) if vertex.op in (ops.sum, ops.dot) else tuple(kinds)


def components(feeds: Mapping[Hashable, Iterable[Hashable]]) -> dict[Hashable, int]:
    """Give each strongly connected component of a graph a number (Tarjan, 1972), without recursion.

    >>> components({"a": ["b"], "b": ["c"], "c": ["b"]})
    {'c': 0, 'b': 0, 'a': 1}
    """
    found: dict[Hashable, int] = {}
    index: dict[Hashable, int] = {}
    lowest: dict[Hashable, int] = {}
    waiting: list[Hashable] = []
    components = 0
    for start in feeds:
        stack = [(start, iter(feeds[start]))] if start not in index else []
        while stack:
            node, rest = stack[-1]
            if node not in index:
                index[node] = lowest[node] = len(index)
                waiting.append(node)
            for other in rest:
                if other not in index:
                    stack.append((other, iter(feeds[other])))
                    break
                if other not in found:
                    lowest[node] = min(lowest[node], index[other])
            else:
                stack.pop()
                if stack:
                    lowest[stack[-1][0]] = min(lowest[stack[-1][0]], lowest[node])
                if lowest[node] == index[node]:
                    while node not in found:
                        found[waiting.pop()] = components
                    components += 1
    return found
