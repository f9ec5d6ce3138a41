"""Random graphs: reverse, forward and differences agree, and floats give what Values give."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nodegrad as ng
from nodegrad import Value
from nodegrad.graph import topological_order
from nodegrad.ops import TABLE, constant

# Smooth nearly everywhere, so that central differences can judge: name, and how many operands.
UNARY = "neg sin cos tanh atan asinh sigmoid softplus erf erfc expm1 square"
SMOOTH = {
    **dict.fromkeys(UNARY.split(), 1),
    **dict.fromkeys(["add", "sub", "mul", "hypot"], 2),
    "sum": 3,
    "dot": 4,
    "where": 3,
}
SWEEPS_OWN = ("strong_mul", "zero_mul", "strong_factor")
ANY = {name: row.arity or 4 for name, row in TABLE.items() if name not in SWEEPS_OWN}


@st.composite
def programs(draw, rows=SMOOTH, inputs=3, longest=14):
    """Draw a list of (operation, places of its operands); the first places are the inputs and a literal."""
    steps = []
    for count in range(inputs + 1, inputs + 1 + draw(st.integers(1, longest))):
        name = draw(st.sampled_from(sorted(rows)))
        steps.append((name, tuple(draw(st.integers(0, count - 1)) for _ in range(rows[name]))))
    return steps


def run(program, inputs, literal=0.75):
    numbers = [*inputs, literal]
    for name, indices in program:
        numbers.append(TABLE[name](*(numbers[i] for i in indices)))
    return numbers


def last(program):
    return lambda inputs: run(program, inputs)[-1]


moderate = st.floats(-2.0, 2.0).filter(lambda x: abs(x) > 1e-3)
points = st.lists(moderate, min_size=3, max_size=3)
hard = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e300, -1e300, 1e-300, math.inf, -math.inf, math.nan]),
    min_size=3,
    max_size=3,
)


def largest_slope(program, point):
    """Return the largest derivative of any node, which scales rounding errors; refuse what grows too fast."""
    assume(all(abs(x) < 1e4 for x in run(program, point)))
    slopes = ng.jacobian(lambda inputs: run(program, inputs))(point)
    return max(1.0, *(abs(slope) for row in slopes for slope in row))


@given(programs(), points)
def test_reverse_and_forward_agree(program, point):
    f, size = last(program), largest_slope(program, point)

    reverse, forward = (ng.jacobian(f, mode=mode)(point) for mode in ("reverse", "forward"))

    assert forward == pytest.approx(reverse, rel=1e-11, abs=1e-12 * size)


@given(programs(longest=8), points)
def test_derivatives_agree_with_differences(program, point):
    assume(all(abs(x) < 1e4 for x in run(program, point)))

    ng.check_grad(last(program), point, order=1, tolerance=1e-5)


@given(programs(longest=6), points)
def test_all_compositions_give_the_same_hessian(program, point):
    f, size = last(program), largest_slope(program, point) ** 2

    first, *others = [
        ng.jacobian(ng.jacobian(f, mode=inner), mode=outer)(point)
        for inner in ("reverse", "forward")
        for outer in ("reverse", "forward")
    ]

    for other in [*others, zip(*first, strict=True)]:  # the last: a Hessian is symmetric
        for row, expected in zip(other, first, strict=True):
            assert list(row) == pytest.approx(expected, rel=1e-9, abs=1e-11 * size)


def same(found, expected):
    """Tell whether two numbers are equal, nan where nan."""
    return found == expected or (found != found and expected != expected)


@given(programs(ANY), st.one_of(points, hard))
def test_floats_and_values_give_the_same_numbers(program, point):
    f = last(program)
    for mode in ("reverse", "forward"):
        by_floats = ng.jacobian(f, mode=mode)(point)
        by_values = ng.jacobian(f, mode=mode)(list(map(Value, point)))

        assert all(same(x, y.data) for x, y in zip(by_floats, by_values, strict=True))


@given(programs(ANY, longest=6), st.one_of(points, hard))
def test_floats_and_values_give_the_same_second_derivatives(program, point):
    for inner in ("reverse", "forward"):
        for outer in ("reverse", "forward"):
            hessian = ng.jacobian(ng.jacobian(last(program), mode=inner), mode=outer)

            by_floats, by_values = hessian(point), hessian(list(map(Value, point)))

            for row, symbolic in zip(by_floats, by_values, strict=True):
                assert all(same(x, y.data) for x, y in zip(row, symbolic, strict=True))


@given(programs(ANY), st.one_of(points, hard))
def test_grad_is_what_backward_fills_in(program, point):
    leaves = list(map(Value, point))
    output = last(program)(leaves)
    assume(isinstance(output, Value))

    output.backward()

    assert all(same(leaf.grad, x) for leaf, x in zip(leaves, ng.grad(last(program))(point), strict=True))


@given(programs(ANY), st.one_of(points, hard))
def test_values_compute_what_floats_compute(program, point):
    by_floats = run(program, point)
    by_values = run(program, list(map(Value, point)))

    assert all(same(x, getattr(y, "data", y)) for x, y in zip(by_floats, by_values, strict=True))


@given(programs(ANY))
def test_order_puts_operands_first_and_each_node_once(program):
    outputs = [x for x in run(program, [Value(1.0), Value(2.0), Value(3.0)]) if isinstance(x, Value)]

    order = topological_order(*outputs)

    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert all(place[operand] < place[node] for node in order for operand in node.operands)
    assert all(node.operands or node.op in (None, constant) for node in order)
