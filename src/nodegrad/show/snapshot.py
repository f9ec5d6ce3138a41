"""The nodes of a graph as they are drawn: their numbers at one moment, operands first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nodegrad import ops
from nodegrad.graph import changed_operand, dependents, recording, topological_order
from nodegrad.inputs import described
from nodegrad.observers import tell_read
from nodegrad.show.text import indexed, plain_name
from nodegrad.value import Value

__all__ = ()


@dataclass(slots=True, eq=False)
class Vertex:
    """A node as it is drawn: the numbers of a Value at one moment, or a product or sum inside it."""

    op: Any  # a row of the table; None for a leaf
    data: float
    grad: float
    label: str
    operands: tuple["Vertex", ...] = field(repr=False)
    value: Any = None  # the Value; None for a product in an opened dot
    stale: bool = False  # whether an operand's number has changed since

    @property
    def _first(self) -> tuple["Vertex", ...]:
        """The operands, under the name by which walks read those of a Value."""
        return self.operands


@recording()
def snapshot(outputs: Iterable[Value], open_dots: bool = False) -> list[Vertex]:
    """Copy the numbers of every node, operands first. `open_dots` turns each dot into products and a sum."""
    made: dict[Value, Vertex] = {}
    order: list[Vertex] = []
    nodes = topological_order(*outputs)
    old = stale(nodes)
    for node in nodes:
        operands = tuple([made[operand] for operand in node.operands])
        op = node.op
        if open_dots and op in ops.PRODUCTS and operands:
            half = len(operands) // 2
            pairs = zip(operands[:half], operands[half:], strict=True)
            product = ops.PRODUCTS[op]
            products = [
                Vertex(product, product.value(x.data, y.data), node.grad, "", (x, y)) for x, y in pairs
            ]
            order += products
            op, operands = ops.sum, tuple(products)
        vertex = Vertex(op, node._data, node.grad, label_of(node), operands, node, node in old)
        made[node] = vertex
        order.append(vertex)
    return order


def stale(order: Sequence[Value]) -> set[Value]:
    """Collect the nodes of a topological order that were computed from numbers that have changed since."""
    if changed_operand(order) is None:
        return set()
    return dependents(order, [x for x in order if any(operand._time > x._time for operand in x.operands)])


def label_of(node: Value) -> str:
    """Return the label of a Value as text: a number or another object may have been assigned to it."""
    label: Any = node.label
    return label if type(label) is str else "" if label is None else str(label)


def parameter_names(parameters: Iterable[Value]) -> list[str]:
    """Name parameters by their labels, those without by their place."""
    labels = map(label_of, parameters)
    return [plain_name(label) if label else indexed("p", at) for at, label in enumerate(labels)]


def is_constant(vertex: Vertex) -> bool:
    """Whether the vertex is a number written in the code."""
    return vertex.op is ops.constant


def one_value(function: str, found: Any) -> Value:
    """Return a Value given by itself or, as some models return it, alone in a list.

    Raises:
        TypeError: if it is something else, or several. The message names `function`.
    """
    flat = values(function, [found])
    if len(flat) != 1:
        raise TypeError(f"{function} takes one Value; got {len(flat)}. Choose one of them, or add them up.")
    return flat[0]


def values(function: str, found: Iterable[Any]) -> list[Value]:
    """Return Values given one by one or in iterables, in one list.

    Raises:
        TypeError: if something else is among them. The message names `function`.
    """
    flat: list[Value] = []
    for item in found:
        items = item if hasattr(item, "__iter__") and not isinstance(item, str | Value | type) else [item]
        for value in items:
            if not isinstance(value, Value):
                remedy = "Compute it from Values first"
                if isinstance(value, type):
                    remedy = f"That is a class: make one, {value.__name__}(...)"
                elif hasattr(value, "parameters"):
                    remedy = "Give it a result of the model, model(x); nodegrad.playground takes the model"
                raise TypeError(f"{function} takes Values; got {described(value)}. {remedy}.")
            tell_read(value, f"calls {function}(), which writes numbers down")
            flat.append(value)
    return flat
