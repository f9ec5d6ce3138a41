"""Python's operators on Values are those on floats, to the bit, in every tier."""

import math
import operator
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
HARD = [0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 2.0, 2.675, -7.5, 0.5, 1e-320, 1e300, -1e16, 3.0]
HARD += [math.inf, -math.inf, math.nan]
OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "divmod quotient": lambda x, y: divmod(x, y)[0],
    "divmod remainder": lambda x, y: divmod(x, y)[1],
}
numbers = st.sampled_from(HARD) | st.floats() | st.floats(-100.0, 100.0) | st.integers(-20, 20).map(float)
tables = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5)


def on_floats(function, *operands):
    """Return what Python gives for floats, None where it raises or leaves the real numbers."""
    try:
        found = function(*operands)
    except (ArithmeticError, ValueError):
        return None
    return float(found) if isinstance(found, float | int) else None


def same(found, expected):
    """Tell whether two floats are the same to the bit, or both nan."""
    if expected != expected:
        return found != found
    return found == expected and math.copysign(1.0, found) == math.copysign(1.0, expected)


def check(function, rows, found):
    for row, number in zip(rows, found, strict=True):
        expected = on_floats(function, *row)
        assert expected is None or same(number, expected), row


@pytest.mark.parametrize("name", OPERATORS)
@given(x=numbers, y=numbers)
def test_eager_operator_is_the_one_on_floats(name, x, y):
    f = OPERATORS[name]

    with np.errstate(all="ignore"):
        found_by_numpy = f(np.float64(x), Value(y))
    for found in (f(Value(x), Value(y)), f(Value(x), y), f(x, Value(y)), found_by_numpy):
        check(f, [(x, y)], [found.data])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=25)
@given(rows=tables)
def test_compiled_operator_is_the_one_on_floats(name, backend, rows):
    f = OPERATORS[name]
    if (name, backend) not in COMPILED:
        COMPILED[name, backend] = ng.compile(lambda x, y: f(x, y), exact=True, backend=backend)
    compiled = COMPILED[name, backend]

    check(f, rows, compiled.map(*map(list, zip(*rows, strict=True))).tolist())
    check(f, rows[:1], [compiled(*rows[0])])


COMPILED = {}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exponent", [None, 2.0, 3.0, -1.0, 0.5, 2.5, -2.0, 10.0])
def test_power_that_need_not_be_exact_is_within_four_units_in_the_last_place(exponent, backend):
    draw = random.Random(exponent)
    bases = [math.exp(draw.gauss(0.0, 4.0)) for _ in range(4000)] + HARD
    exponents = [draw.gauss(0.0, 5.0) if exponent is None else exponent for _ in bases]

    found = ng.compile(lambda x, y: x**y, backend=backend).map(bases, exponents).tolist()
    if exponent is not None:
        given = ng.compile(lambda x: x**exponent, backend=backend).map(bases).tolist()
        found, bases, exponents = found + given, bases * 2, exponents * 2

    for x, y, number in zip(bases, exponents, found, strict=True):
        expected = on_floats(operator.pow, x, y)
        if expected is not None and not same(number, expected):
            assert backend == "llvm" or exponent == 2.0, (x, y)
            assert abs(number - expected) <= 4.0 * math.ulp(expected), (x, y)


@given(x=numbers, digits=st.integers(-330, 330) | st.integers(-4, 17))
def test_round_to_digits_is_the_one_on_floats(x, digits):
    expected = on_floats(round, x, digits)

    found = round(Value(x), digits).data

    assert same(found, expected) if expected is not None else math.isinf(found)


@pytest.mark.parametrize("f", [round, math.floor, math.ceil, math.trunc])
@given(x=numbers)
def test_integer_of_a_value_is_the_one_of_a_float(f, x):
    check(f, [(x,)], [f(Value(x)).data])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("f", [round, math.floor, math.ceil, math.trunc])
def test_compiled_integer_is_the_one_of_a_float(f, exact, backend):
    compiled = ng.compile(lambda x: f(x), exact=exact, backend=backend)

    check(f, [(x,) for x in HARD], compiled.map(HARD).tolist())
    check(f, [(-0.1,)], [compiled(-0.1)])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("digits", [-2, 0, 2, 400])
def test_compiled_round_is_the_one_on_floats(digits, exact, backend):
    points = [2.675, 1.5, -0.5, 1e300, 1234.5, 250.0, -0.0, 1e-320, 0.125, math.inf, math.nan]
    compiled = ng.compile(lambda x: round(x, digits), exact=exact, backend=backend)

    check(lambda x: round(x, digits), [(x,) for x in points], compiled.map(points).tolist())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: Value(1.0) // 0.1, 9.0),
        (lambda: -1.0 // Value(math.inf), -1.0),
        (lambda: Value(1.5).__round__(400), 1.5),
        (lambda: round(Value(1e300), 20), 1e300),
        (lambda: round(Value(2.675), 2), 2.67),
        (lambda: round(Value(1.7e308), -308), math.inf),
        (lambda: Value(1.0) // 0.0, math.inf),
        (lambda: Value(-1.0) // 0.0, -math.inf),
    ],
)
def test_operators_where_rounding_or_overflow_matters(found, expected):
    assert found().data == expected


def test_quotient_and_remainder_fit_together():
    x, y = Value(7.3), Value(0.1)

    quotient, remainder = divmod(x, y)

    assert (quotient.data, remainder.data) == divmod(7.3, 0.1)
    assert quotient * y + remainder == x


@pytest.mark.parametrize(("x", "y"), [(5.5, 2.0), (-5.5, 2.0), (5.5, -2.0), (1.0, 0.0), (-1, 0), (1, 0.1)])
def test_derivative_of_mod_by_its_divisor_is_minus_the_quotient(x, y):
    slopes = ng.grad(operator.mod, (0, 1))(x, y)

    assert slopes == (1.0, -ng.floordiv(x, y))
