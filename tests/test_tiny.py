"""Twenty facts about nodegrad, in a few lines each. Read them before the other tests."""

import math

import pytest

import nodegrad as ng
from nodegrad import Value


def test_product_has_the_other_factor_as_gradient():
    x, y = Value(2.0), Value(3.0)

    (x * y).backward()

    assert (x.grad, y.grad) == (3.0, 2.0)


def test_literals_take_part_on_either_side():
    x = Value(2.0)

    y = 1 - 2 * x / 4 + 3**x
    y.backward()

    assert y.data == 9.0
    assert x.grad == pytest.approx(-0.5 + 9 * math.log(3))


def test_same_operand_twice_accumulates():
    x = Value(3.0)

    (x * x + x).backward()

    assert x.grad == 7.0


def test_x_to_the_x():
    x = Value(2.0)

    (x**x).backward()

    assert x.grad == pytest.approx(4 * (math.log(2) + 1))


def test_paths_of_a_diamond_add_up():
    a = Value(1.0)

    b = a + a
    c = b + b
    c.backward()

    assert a.grad == 4.0


def test_backward_twice_doubles_the_leaf_and_only_the_leaf():
    x = Value(3.0)
    square = x * x
    y = square + 1

    y.backward()
    y.backward()

    assert (x.grad, square.grad, y.grad) == (12.0, 1.0, 1.0)


def test_gradient_of_every_interior_node_is_filled():
    x, w = Value(2.0), Value(-3.0)
    z = w * x
    a = z.tanh()

    a.backward()

    assert z.grad == 1 - math.tanh(-6.0) ** 2
    assert w.grad == z.grad * 2.0


def test_seed_scales_the_gradient():
    x = Value(3.0)

    (x * x).backward(seed=0.5)

    assert x.grad == 3.0


def test_branch_not_taken_contributes_nothing():
    x = Value(-1.0)

    y = ng.where(x > 0, ng.sqrt(x), 0.0)
    y.backward()

    assert (y.data, x.grad) == (0.0, 0.0)


def test_no_operation_raises_for_a_float():
    zero, one = Value(0.0), Value(1.0)

    assert (one / zero).data == math.inf
    assert math.isnan((-one).log().data)
    assert (one * 1000).exp().data == math.inf
    assert math.isnan(((-8 * one) ** (1 / 3)).data)


def test_python_control_flow_works():
    def collatz_like(x):
        while x < 10:
            x = x * 3 if x > 2 else x + 1
        return x

    x = Value(1.5)
    collatz_like(x).backward()

    assert x.grad == 9.0


def test_comparison_is_a_number_in_the_record():
    x = Value(2.0)

    answer = x > 1

    assert answer
    assert (answer.data, answer.op) == (1.0, ng.gt)
    assert answer.operands[0] is x


def test_values_live_in_sets_by_identity():
    a, b = Value(1.0), Value(1.0)

    assert len({a, b, a}) == 2
    assert a == b


def test_float_of_a_value_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match="nodegrad.sin"):
        math.sin(Value(1.0))


def test_text_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"float\(text\)"):
        Value("1.0")


def test_data_is_always_a_float():
    v = Value(3)
    v.data = True

    assert type(v.data) is float


def test_functions_take_plain_numbers():
    assert ng.tanh(0.0) == 0.0
    assert ng.dot([1, 2], [3, 4]) == 11.0
    assert type(ng.relu(2)) is float


def test_a_chain_of_a_million_nodes_is_built_differentiated_and_freed():
    x = Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 1.0

    y.backward()
    del y

    assert x.grad == 1.0


def test_softmax_of_large_numbers():
    xs = [Value(1000.0), Value(1000.0)]

    first, _ = ng.softmax(xs)
    first.backward()

    assert (first.data, xs[0].grad, xs[1].grad) == (0.5, 0.25, -0.25)


def test_micrograd_code_runs_unchanged():
    a = Value(-4.0, label="a")
    b = Value(2.0, label="b")
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()

    assert f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}" == "24.7041 138.8338 645.5773"
