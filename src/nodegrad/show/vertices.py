"""The nodes of a graph as they are drawn: their numbers at one moment, in reading order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nodegrad import ops
from nodegrad.graph import patient_collector
from nodegrad.value import Value


@dataclass(slots=True, eq=False)
class Vertex:
    """A node as it is drawn: the numbers of a Value at one moment, or a product or sum inside it."""

    op: Any  # a row of the table; None for a leaf
    data: float
    grad: float
    label: str
    operands: tuple["Vertex", ...]
    value: Any = None  # the Value; None for a product in an opened dot


def reading_order(*outputs: Any) -> list[Any]:
    """List the nodes operands first as `topological_order` does, but from the first operand to the last.

    >>> x, y = Value(1.0), Value(2.0)
    >>> [node.data for node in reading_order(x + y)]
    [1.0, 2.0, 3.0]
    """
    order, seen = [], set()
    stack = [(output, False) for output in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(operand, False) for operand in reversed(node.operands)]
    return order


@patient_collector()
def snapshot(outputs: Iterable[Value], open_dots: bool = False) -> list[Vertex]:
    """Copy the numbers of every node, operands first; `open_dots` makes products and a sum of each dot."""
    made: dict[Value, Vertex] = {}
    order: list[Vertex] = []
    for node in reading_order(*outputs):
        operands = tuple([made[operand] for operand in node.operands])
        op = node.op
        if open_dots and op is ops.dot and operands:
            half = len(operands) // 2
            pairs = zip(operands[:half], operands[half:], strict=True)
            products = [Vertex(ops.mul, x.data * y.data, node.grad, "", (x, y)) for x, y in pairs]
            order += products
            op, operands = ops.sum, tuple(products)
        vertex = Vertex(op, node._data, node.grad, node.label, operands, node)
        made[node] = vertex
        order.append(vertex)
    return order


def is_constant(vertex: Vertex) -> bool:
    """Whether the vertex is a number written in the code."""
    return vertex.op is ops.constant
