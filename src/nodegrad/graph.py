"""Walks over recorded graphs. All are iterative, so a graph may be of any depth.

A node is anything with `operands`, a tuple of nodes.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def topological_order(*outputs: Any) -> list[Any]:
    """List every node the outputs depend on, each once, operands before the nodes made from them.

    The order is that of a depth-first search, first operands first, so it depends on the graph alone.
    """
    order: list[Any] = []
    seen: set[Any] = set()
    stack: list[Any] = list(reversed(outputs))
    push, pop, see, place = stack.append, stack.pop, seen.add, order.append  # these save a third of the time
    while stack:
        node = pop()
        if node is None:  # the operands of the node below this mark are all in place
            place(pop())
        elif node not in seen:
            see(node)
            operands = node.operands
            if operands:
                push(node)
                push(None)
                stack += operands[::-1]
            else:
                place(node)
    return order


def dependents(order: Iterable[Any], sources: Iterable[Any]) -> set[Any]:
    """Collect the sources and every node of a topological order that is computed from one of them."""
    found = set(sources)
    for node in order:
        if not found.isdisjoint(node.operands):
            found.add(node)
    return found


@contextmanager
def patient_collector() -> Iterator[None]:
    """Let Python's cyclic garbage collector run rarely while the library itself builds a graph.

    Graphs hold no cycles, and scanning a growing one again and again is most of the time it takes to build.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(max(thresholds[0], 1_000_000) if thresholds[0] else 0, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
