"""check_grad: right derivatives pass, wrong ones are caught and traced to their operation."""

import math

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value

SMOOTH = [row for row in ng.ops.TABLE.values() if not row.zero_derivative]


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_rows_of_the_table_pass(row):
    for fraction in (0.3, 0.8):
        point = [low + (high - low) * fraction * 0.9**i for i, (low, high) in enumerate(row.domain)]

        whole = [place for place, (low, high) in enumerate(row.domain) if low == high]  # an order, say
        fixed = [point[place] for place in whole]
        moving = [x for place, x in enumerate(point) if place not in whole]

        ng.check_grad(lambda *xs, fixed=fixed: row(*fixed, *xs), *moving, order=2)


def test_every_structure_passes():
    def f(x, pair, table):
        return {"a": ng.exp(x[0] * pair[1]) * table["t"], "b": [x @ x, pair[0] / table["t"]]}

    ng.check_grad(f, np.array([0.3, 1.2]), (2.0, [0.7, 1.1][0]), {"t": 3.0})


def test_high_orders_pass():
    ng.check_grad(ng.tanh, 0.3, order=5)


@pytest.mark.parametrize("x", [1e-9, 1e-3, 1e3, 1e9])
def test_steps_follow_the_scale_of_the_number(x):
    ng.check_grad(ng.sqrt, x)
    ng.check_grad(lambda x: ng.sin(x + 1.0), x)


def test_zero_and_constant_derivatives_pass():
    ng.check_grad(lambda x, y: [x * x, 0.0 * y, 3.0], 0.0, 5.0)


def test_functions_that_close_over_values_pass():
    w = Value(2.0)

    ng.check_grad(lambda x: ng.sin(w * x) * w, 0.3)


def wrong(factor_for_x, factor_for_y=1.0):
    """Make an operation whose partials are wrong by these factors."""
    return ng.custom(
        "wrong",
        lambda x, y: x * math.sin(y),
        lambda x, y, out: factor_for_x * ng.sin(y),
        lambda x, y, out: factor_for_y * x * ng.cos(y),
    )


@pytest.mark.parametrize("factors", [(1.001,), (0.999,), (1.0, 1.001), (-1.0,), (1.0, 0.0)])
def test_rule_wrong_by_a_thousandth_is_caught(factors):
    bad = wrong(*factors)

    with pytest.raises(AssertionError, match="differences give .*check each by itself"):
        ng.check_grad(lambda x, y: ng.exp(x) * bad(x * 2.0, y) + ng.tanh(y), 0.3, 0.7)


def test_failure_names_the_argument_and_both_numbers():
    bad = wrong(1.0, 1.5)

    with pytest.raises(AssertionError) as caught:
        ng.check_grad(lambda x, p: bad(x, p["b"][1]), 2.0, {"a": 1.0, "b": [1.0, 0.0]})

    assert str(caught.value).startswith(
        "the derivative of order 1 by argument 1 (number 2 in it) is 3 in reverse, but differences give 2. "
    )


def test_wrong_second_derivative_is_caught_at_order_two_only():
    half = ng.custom("half", lambda x: x**3, lambda x, out: 3.0 * ng.stop_gradient(x) * x)

    ng.check_grad(half, 2.0, order=1)
    with pytest.raises(AssertionError, match="order 2 by argument 0 is 6 .* give 12"):
        ng.check_grad(half, 2.0)


@pytest.mark.parametrize("direction", ["reverse", "forward"])
def test_each_direction_is_checked(monkeypatch, direction):
    name = {"reverse": "backpropagate", "forward": "forward_sweep"}[direction]
    true = getattr(ng.runs, name)

    def doubled(*args):
        if direction == "forward":
            return {node: 2.0 * number for node, number in true(*args).items()}
        order, ends, adjoints = true(*args)
        return order, ends, [2.0 * adjoint for adjoint in adjoints]

    monkeypatch.setattr(ng.runs, name, doubled)

    with pytest.raises(AssertionError, match=f"in {direction}, but"):
        ng.check_grad(lambda x: x * x, 3.0, order=1)


def test_leaving_the_record_is_caught():
    with pytest.raises(AssertionError, match=r"is 3 in reverse.*give 6\..*leaves the record \(\.data\)"):
        ng.check_grad(lambda x: x.data * x, 3.0)


def test_derivative_that_is_not_finite_is_a_failure():
    with pytest.raises(AssertionError, match="is inf in reverse"):
        ng.check_grad(ng.sqrt, 0.0)


@pytest.mark.parametrize(("f", "x"), [(ng.floor, 2.0), (ng.log, -1.0)])
def test_what_differences_cannot_judge_is_an_error(f, x):
    with pytest.raises(ValueError, match="cannot judge .* do not settle.* choose another"):
        ng.check_grad(f, x)


def test_bad_use_is_refused():
    with pytest.raises(ValueError, match="tolerance as a finite number of at least 0; got -1.0"):
        ng.check_grad(ng.sin, 1.0, tolerance=-1.0)
    with pytest.raises(ValueError, match="order as a whole number of at least 1; got 0"):
        ng.check_grad(ng.sin, 1.0, order=0)
    with pytest.raises(TypeError, match="check_grad takes f as a function, before its arguments; got 3.0 of"):
        ng.check_grad(3.0, 1.0)
    with pytest.raises(TypeError, match="check_grad takes a real number; got 'a'"):
        ng.check_grad(ng.sin, "a")
