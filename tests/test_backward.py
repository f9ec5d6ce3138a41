"""The reverse sweep over floats: the adjoints of the readable sweep, left in the nodes."""

import math

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.backward import backpropagate
from nodegrad.graph import topological_order
from nodegrad.sweep import reverse_sweep

SHAPES = {
    "sums and products": lambda x, y: x * y + x * x + 2.0 * y + y,
    "functions of one number": lambda x, y: ng.tanh(x) + ng.relu(y) + ng.sqrt(abs(x)) + ng.floor(y) * x,
    "functions of two": lambda x, y: x / y - x**y + ng.maximum(x, y) + (x < y) * x,
    "a selection": lambda x, y: ng.where(x < y, ng.sqrt(x - y), x * y),
    "a leaf many times": lambda x, y: ng.sum([x, y, x, 3.0, x]) * ng.dot([x, x, 2.0], [x, y, y]),
    "a node many times": lambda x, y: ng.sum([x * y] * 3) + ng.dot([x + y] * 2, [x, 1.0]),
    "a table": lambda x, y: ng.take([x, y, x * y], 2.5),
}


@pytest.mark.parametrize("seed", [1.0, -2.5, math.inf])
@pytest.mark.parametrize("shape", SHAPES)
def test_adjoints_are_those_of_the_readable_sweep(shape, seed):
    x, y = Value(0.7), Value(1.3)
    out = SHAPES[shape](x, y)

    order, ends, found = backpropagate({out: seed})

    expected = reverse_sweep(topological_order(out), {out: seed})
    assert [*map(id, order)] == [id(node) for node in topological_order(out) if node.operands]
    assert set(ends) == {x, y}
    adjoints = dict(zip(ends, found, strict=True)) | {node: node._grad for node in order}
    for node, adjoint in adjoints.items():
        assert adjoint == pytest.approx(expected.get(node, 0.0), rel=1e-15, nan_ok=True)


def test_gradients_of_leaves_stay_as_they_were():
    x, y = Value(2.0), Value(3.0)
    x.grad = 5.0

    backpropagate({ng.sum([x, y, x]): 1.0})

    assert (x.grad, y.grad) == (5.0, 0.0)


def test_gradients_of_leaves_stay_as_they_were_after_an_error():
    def fail(x, out):
        raise RuntimeError("no slope")

    x = Value(2.0)
    x.grad = 5.0
    out = ng.custom("failing", lambda x: 2.0 * x, lambda x, out: 2.0)(x)
    object.__setattr__(out.op, "float_partials", (fail,))

    with pytest.raises(RuntimeError, match="no slope"):
        backpropagate({out * x: 1.0})

    assert x.grad == 5.0
