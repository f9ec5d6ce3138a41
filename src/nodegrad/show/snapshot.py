"""The nodes of a graph as they are drawn: their numbers at one moment, operands first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nodegrad import ops
from nodegrad.graph import patient_collector, topological_order
from nodegrad.value import Value, tell_read


@dataclass(slots=True, eq=False)
class Vertex:
    """A node as it is drawn: the numbers of a Value at one moment, or a product or sum inside it."""

    op: Any  # a row of the table; None for a leaf
    data: float
    grad: float
    label: str
    operands: tuple["Vertex", ...]
    value: Any = None  # the Value; None for a product in an opened dot


@patient_collector()
def snapshot(outputs: Iterable[Value], open_dots: bool = False) -> list[Vertex]:
    """Copy the numbers of every node, operands first; `open_dots` makes products and a sum of each dot."""
    made: dict[Value, Vertex] = {}
    order: list[Vertex] = []
    for node in topological_order(*outputs):
        operands = tuple([made[operand] for operand in node.operands])
        op = node.op
        if open_dots and op is ops.dot and operands:
            half = len(operands) // 2
            pairs = zip(operands[:half], operands[half:], strict=True)
            products = [Vertex(ops.mul, x.data * y.data, node.grad, "", (x, y)) for x, y in pairs]
            order += products
            op, operands = ops.sum, tuple(products)
        vertex = Vertex(op, node._data, node.grad, label_of(node), operands, node)
        made[node] = vertex
        order.append(vertex)
    return order


def label_of(node: Value) -> str:
    """Return the label of a Value as text: a number or another object may have been assigned to it."""
    label: Any = node.label
    return label if type(label) is str else "" if label is None else str(label)


def is_constant(vertex: Vertex) -> bool:
    """Whether the vertex is a number written in the code."""
    return vertex.op is ops.constant


def values(function: str, found: Iterable[Any]) -> list[Value]:
    """Return Values given one by one or in lists.

    Raises:
        TypeError: if something else is among them; `function` is whom the message names.
    """
    flat: list[Value] = []
    for item in found:
        items = item if isinstance(item, list | tuple) else [item]
        for value in items:
            if not isinstance(value, Value):
                raise TypeError(
                    f"{function} expects Values; got {value!r:.60} of type {type(value).__name__}. "
                    "Compute it from Values first."
                )
            tell_read(value, f"calls {function}(), which writes numbers down")
            flat.append(value)
    return flat


def whole(function: str, argument: str, given: Any, least: int) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        ValueError: naming function, argument, what came and what would do.
    """
    if not isinstance(given, int) or given < least:
        raise ValueError(
            f"{function} expects {argument} to be a whole number, at least {least}; got {given!r}."
        )
