"""Custom operations: they compute, differentiate to any order, and refuse what is wrong."""

import math
import re

import pytest

import nodegrad as ng
from nodegrad import Value

xlogx = ng.custom("xlogx", lambda x: x * math.log(x), lambda x, out: ng.log(x) + 1.0)
power = ng.custom(
    "power", math.pow, lambda x, y, out: y * x ** (y - 1.0), lambda x, y, out: out * ng.log(x), symbol="^"
)


def test_custom_operation_takes_numbers_and_values():
    assert xlogx(1) == 0.0
    assert type(xlogx(1)) is float
    assert xlogx(Value(math.e)).data == math.e


def test_custom_operation_is_differentiated_to_any_order():
    derivative = xlogx
    for expected in (math.log(2.0) + 1.0, 1 / 2.0, -1 / 4.0, 1 / 4.0, -3 / 8.0):
        derivative = ng.grad(derivative)

        assert derivative(2.0) == pytest.approx(expected, rel=1e-14)


def test_custom_operation_in_backward():
    x, y = Value(2.0), Value(3.0)

    (power(x, y) * 10.0).backward()

    assert (x.grad, y.grad) == (120.0, pytest.approx(80.0 * math.log(2.0)))


def test_custom_operation_in_every_mode():
    second = ng.hessian(power, (0, 1))(2.0, 3.0)

    assert second[0][0] == 12.0
    assert second[0][1] == second[1][0] == pytest.approx(4.0 + 12.0 * math.log(2.0))
    assert ng.jvp(power, (2.0, 3.0), (1.0, 0.0)) == (8.0, 12.0)


def test_partial_none_is_zero():
    first = ng.custom("first", lambda x, y: x, lambda x, y, out: 1.0, None)

    assert ng.grad(first, (0, 1))(2.0, 3.0) == (1.0, 0.0)


def test_custom_operation_knows_what_rows_know():
    assert (power.name, power.symbol, power.arity) == ("power", "^", 2)
    assert xlogx.symbol == "xlogx"
    assert power(Value(2.0), 3.0).op is power


@pytest.mark.parametrize(
    ("value", "x"),
    [(math.log, -1.0), (math.sqrt, -1.0), (lambda x: 1 / math.exp(x), 1000.0), (math.exp, 1000.0)],
)
def test_an_error_in_a_value_gives_nan(value, x):
    assert math.isnan(ng.custom("mine", value, None)(x))


@pytest.mark.parametrize(
    ("value", "x", "expected"),
    [
        (lambda x: 1 / x, 0.0, math.inf),
        (lambda x: -1 / x + 2.0, 0.0, -math.inf),
        (lambda x: 10.0**x, 400.0, math.inf),
        (lambda x: ng.exp(-(1 / x)), 0.0, 0.0),
        (lambda x: x // 0.0 if x > 0 else 7.0, 3.0, math.inf),
        (lambda x: abs(-x) ** -1.0, 0.0, math.inf),
    ],
)
def test_value_that_raises_is_what_ieee_has_if_operators_can_tell(value, x, expected):
    row = ng.custom("mine", value, None)

    assert row(x) == row(Value(x)).data == expected
    assert all(ng.compile(row, exact=exact)(x) == expected for exact in (True, False))


def test_square_root_of_a_negative_number_is_nan_and_not_complex():
    assert math.isnan(ng.custom("mine", lambda x: x**0.5, None)(-1.0))


def test_partial_that_raises_gives_what_ieee_has():
    inverse = ng.custom("inverse", lambda x: ng.reciprocal(x), lambda x, out: -1 / x**2)

    assert ng.grad(inverse)(0.0) == -math.inf
    assert ng.grad(ng.grad(inverse))(2.0) == 0.25
    assert ng.grad(ng.custom("large", ng.exp, lambda x, out: 1e300**x / 0.0 * x))(9.0) == math.inf


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("exp", ng.exp, None), ValueError, "'exp', which is an operation already. Choose another."),
        (("constant", ng.exp, None), ValueError, "'constant', which is an operation already"),
        (("my op", ng.exp, None), ValueError, "a name that is an identifier; got 'my op'"),
        ((3, ng.exp, None), ValueError, "a name that is an identifier; got 3"),
        (("mine", ng.exp), TypeError, "one partial .* per operand of mine"),
        (("mine", ng.exp, 1.0), TypeError, "one partial .* per operand of mine"),
    ],
)
def test_bad_row_is_refused_when_it_is_made(arguments, error, message):
    with pytest.raises(error, match=message):
        ng.custom(*arguments)


@pytest.mark.parametrize(
    ("value", "partials", "message"),
    [
        (ng.exp, (None, None), "exp takes 1 operand; got 2"),
        (lambda x: "a", (None,), "an operation's value takes a real number; got 'a'"),
        (ng.exp, (lambda x: x,), "2 were given"),
        (ng.exp, (lambda x, out: None,), "an operation's value takes a real number; got None"),
        (lambda x: math.sin(float(x)), (lambda x, out: math.cos(x),), "nodegrad.sin"),
    ],
)
def test_a_slip_in_an_operation_is_an_error_where_it_is_used(value, partials, message):
    row = ng.custom("mine", value, *partials)

    with pytest.raises(TypeError, match=message):
        ng.hessian(row, tuple(range(len(partials))))(*[0.5] * len(partials))


def test_custom_operation_is_drawn_and_explained():
    x = Value(2.0, label="x")
    out = power(xlogx(x), 2.0)

    drawing = ng.draw(out)

    assert "xlogx" in drawing.svg
    assert "^" in drawing.dot
    assert "log(x) + 1" in str(ng.explain(out))


def used(compiled):
    """Return the names of the operations in a compiled program."""
    return set(re.findall(r"= (\w+)\(", str(compiled)))


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_written_with_operators_and_functions_is_compiled_inline(exact):
    smooth = ng.custom("smooth_step", lambda x: x * x * (3.0 - 2.0 * x), lambda x, out: 6.0 * x * (1.0 - x))
    bumps = ng.custom("bumps", lambda x, n: ng.sin(smooth(x) * n) / x, lambda x, n, out: ng.cos(x), None)
    f = lambda x: bumps(x, 3.0) + bumps(x * 2.0, 3.0) + smooth(x)  # noqa: E731

    compiled = ng.compile(f, exact=exact)

    assert compiled(0.7) == pytest.approx(f(0.7), rel=1e-15)
    assert compiled.map([0.7, -2.0, 0.0]).tolist() == pytest.approx(
        [f(x) for x in (0.7, -2.0, 0.0)], nan_ok=True
    )
    assert not used(compiled) & {"bumps", "smooth_step"}


@pytest.mark.parametrize(
    "value",
    [
        lambda x: math.exp(x),
        lambda x: x if x > 0.0 else -2.0 * x,
        lambda x: max(x, 0.5),
        lambda x: float(x) * 2.0,
        lambda x: x * (2.0 if isinstance(x, float) else 3.0),
    ],
)
def test_what_branches_or_takes_floats_only_is_called(value):
    row = ng.custom("called", value, lambda x, out: 1.0)

    compiled = ng.compile(lambda x: row(x) + 1.0)

    assert compiled.map([1.5, -2.0]).tolist() == [value(1.5) + 1.0, value(-2.0) + 1.0]
    assert "called" in str(compiled)


def test_random_numbers_in_an_operation_are_drawn_at_each_call():
    draws = iter(range(1000))
    row = ng.custom("noise", lambda x: x * 0.0 + next(draws), None)
    compiled = ng.compile(lambda x: ng.where(x > 0.0, row(x), 0.0) * 0.0)

    assert compiled(1.0) == 0.0
    assert "noise" in str(compiled)


@pytest.mark.parametrize("exact", [True, False])
def test_custom_operation_is_compiled(exact):
    f = ng.value_and_grad(lambda x: xlogx(x) * 3.0)

    compiled = ng.compile(f, exact=exact)

    assert compiled(2.0) == pytest.approx(f(2.0), rel=1e-15)
    values, slopes = compiled.map([2.0, 0.5, -1.0])
    assert slopes.tolist() == pytest.approx([f(x)[1] for x in (2.0, 0.5, -1.0)], nan_ok=True)
    assert math.isnan(values[2])
