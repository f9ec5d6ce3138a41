"""Every smooth row against mpmath: all partial derivatives to order 4, over its domain and at hard points."""

import math
from itertools import product

import mpmath
import pytest

import nodegrad as ng
from nodegrad.ops import TABLE

# The rows whose function mpmath does not have under the row's name.
EXACT = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "neg": lambda x: -x,
    "abs": abs,
    "mod": lambda x, y: x - y * 2,  # the quotient is 2 all over the domain
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "relu": lambda x: x,
    "maximum": lambda x, y: x,
    "minimum": lambda x, y: y,
    "where": lambda c, x, y: x,
    "copysign": lambda x, y: -x,
    "sum": lambda x, y: x + y,
    "take": lambda index, x, y: x,
    "dot": lambda a, b, c, d: a * c + b * d,
    "identity": lambda x: x,
    "lgamma": mpmath.loggamma,
    "polygamma": lambda n, x: mpmath.psi(int(mpmath.nint(n)), x),
    "ndtri": lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
    "one_minus_square": lambda x: 1 - x * x,
    "direction": lambda x, y: x / mpmath.sqrt(x * x + y * y),
    "strong_mul": lambda x, y: x * y,
    "strong_dot": lambda a, b, x, y: a * x + b * y,
    "zero_mul": lambda x, y: x * y,
    "strong_factor": lambda x, y: y,
}
SMOOTH = [row for row in TABLE.values() if not row.zero_derivative]
FRACTIONS = [
    (0.02, 0.31, 0.83, 0.55),
    (0.37, 0.93, 0.12, 0.71),
    (0.64, 0.05, 0.48, 0.29),
    (0.97, 0.76, 0.66, 0.9),
]

# Points at the ends of what floats hold or of where the row is defined, and the orders that are finite there.
HARD = [
    ("exp", (700.0,), 4),
    ("exp", (-700.0,), 4),
    ("exp2", (1000.0,), 4),
    ("expm1", (1e-18,), 4),
    ("log", (1e-60,), 4),
    ("log", (1e60,), 4),
    ("log1p", (1e-18,), 4),
    ("log1p", (-1.0 + 2.0**-50,), 4),
    ("sqrt", (1e-40,), 4),
    ("sqrt", (1e200,), 1),
    ("cbrt", (-1e-30,), 4),
    ("reciprocal", (-1e-50,), 4),
    ("sin", (1e5,), 4),
    ("cos", (1e5,), 4),
    ("tan", (1.57,), 4),
    ("asin", (1e-9,), 1),
    ("asin", (1.0 - 2.0**-40,), 1),
    ("acos", (-1.0 + 2.0**-40,), 1),
    ("atan", (1e8,), 1),
    ("asinh", (1e100,), 1),
    ("acosh", (1.0 + 2.0**-40,), 1),
    ("atanh", (1.0 - 2.0**-40,), 1),
    ("sinh", (700.0,), 4),
    ("cosh", (-700.0,), 4),
    ("tanh", (1e-9,), 3),
    ("erf", (5.0,), 4),
    ("erfc", (20.0,), 4),
    ("erfc", (-5.0,), 4),
    ("sigmoid", (-700.0,), 4),
    ("softplus", (-700.0,), 4),
    ("softplus", (700.0,), 1),
    ("hypot", (1e200, 1e200), 1),
    ("hypot", (3e-200, 4e-200), 1),
    ("atan2", (1e200, -1e200), 1),
    ("atan2", (1e-200, 1e-200), 1),
    ("atan2", (-1.0, -1e-9), 2),
    ("div", (1e100, 1e-50), 2),
    ("pow", (1e-30, 0.5), 2),
    ("pow", (1e30, 3.0), 2),
]


# Piecewise rows on every side of their kinks, and on the kinks: the point, and the partial by each operand.
PIECEWISE = [
    ("maximum", (3.0, -2.0), (1.0, 0.0)),
    ("maximum", (-2.0, 3.0), (0.0, 1.0)),
    ("maximum", (2.0, 2.0), (0.5, 0.5)),
    ("minimum", (3.0, -2.0), (0.0, 1.0)),
    ("minimum", (-2.0, 3.0), (1.0, 0.0)),
    ("minimum", (2.0, 2.0), (0.5, 0.5)),
    ("where", (1.0, 2.0, 3.0), (0.0, 1.0, 0.0)),
    ("where", (-5.0, 2.0, 3.0), (0.0, 1.0, 0.0)),
    ("where", (0.0, 2.0, 3.0), (0.0, 0.0, 1.0)),
    ("abs", (-2.0,), (-1.0,)),
    ("abs", (0.0,), (0.0,)),
    ("relu", (0.5,), (1.0,)),
    ("relu", (0.0,), (0.0,)),
    ("relu", (-0.5,), (0.0,)),
    ("copysign", (2.0, 3.0), (1.0, 0.0)),
    ("copysign", (2.0, -3.0), (-1.0, 0.0)),
    ("copysign", (-2.0, 3.0), (-1.0, 0.0)),
    ("copysign", (-2.0, -3.0), (1.0, 0.0)),
    ("copysign", (0.0, 3.0), (0.0, 0.0)),
    ("copysign", (0.0, -3.0), (0.0, 0.0)),
    ("mod", (5.5, 2.0), (1.0, -2.0)),
    ("mod", (-5.5, 2.0), (1.0, 3.0)),
    ("mod", (5.5, -2.0), (1.0, 3.0)),
    ("hypot", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (0.0, 2.0), (0.0, 0.0)),
    ("pow", (0.0, 1.0), (1.0, 0.0)),
    ("pow", (0.0, 0.0), (0.0, 0.0)),
    ("pow", (-2.0, 3.0), (12.0, math.nan)),
]


def derivative(row, orders):
    """Differentiate a row so many times by each operand."""
    function = row
    for position, order in enumerate(orders):
        for _ in range(order):
            function = ng.grad(function, position)
    return function


def exact_derivative(row, orders, point):
    function = EXACT.get(row.name) or getattr(mpmath, row.name)
    sizes = [abs(x) for x in point if x]
    extreme = any(x > 1e9 or x < 1e-9 for x in sizes)
    with mpmath.workdps(1500 if extreme else 60):  # mpmath's own differences must not lose the point
        return mpmath.diff(function, tuple(map(mpmath.mpf, point)), orders)


def assert_derivatives_match(row, point, highest):
    for orders in product(range(highest + 1), repeat=len(point)):
        if not 1 <= sum(orders) <= highest:
            continue
        found, exact = derivative(row, orders)(*point), exact_derivative(row, orders, point)
        tolerance = 1e-12 if sum(orders) == 1 else 1e-9
        assert type(found) is float
        if found == 0.0:
            assert abs(exact) < 1e-25, orders  # the noise of mpmath's differences
        else:
            assert abs(found - exact) <= tolerance * abs(exact), (orders, found, float(exact))


@pytest.mark.parametrize("fractions", FRACTIONS)
@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_derivatives_to_order_four_match_over_the_domain(row, fractions):
    point = [low + (high - low) * part for (low, high), part in zip(row.domain, fractions, strict=False)]

    assert_derivatives_match(row, point, 4 if len(point) < 4 else 2)


@pytest.mark.parametrize(("name", "point", "highest"), HARD)
def test_derivatives_match_at_hard_points(name, point, highest):
    assert_derivatives_match(TABLE[name], point, highest)


@pytest.mark.parametrize(("name", "point", "expected"), PIECEWISE)
def test_partials_on_every_side_of_a_kink(name, point, expected):
    everything = tuple(range(len(point)))

    found = ng.grad(TABLE[name], everything)(*point)
    recorded = ng.grad(TABLE[name], everything)(*map(ng.Value, point))

    assert found == pytest.approx(expected, nan_ok=True)
    assert [x.data for x in recorded] == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.name)
def test_values_match_over_the_domain(row):
    point = [low + (high - low) * 0.41 for low, high in row.domain]
    function = EXACT.get(row.name) or getattr(mpmath, row.name)

    assert row(*point) == pytest.approx(float(function(*map(mpmath.mpf, point))), rel=1e-14)


@pytest.mark.parametrize("exponent", [-1.0, -2.0, -3.0, -4.0, -5.0, -1.5])
def test_pole_of_pow_has_the_sign_of_odd_powers(exponent):
    odd = exponent % 2.0 == 1.0

    assert TABLE["pow"](0.0, exponent) == math.inf
    assert TABLE["pow"](-0.0, exponent) == (-math.inf if odd else math.inf)


@pytest.mark.parametrize(
    ("base", "exponent"), [(1e200, 3.0), (1e200, 4.0), (1e100, 5.0), (0.5, -1999.0), (0.5, -2000.0)]
)
def test_overflow_of_pow_has_the_sign_of_odd_powers(base, exponent):
    odd = exponent % 2.0 == 1.0

    assert TABLE["pow"](base, exponent) == math.inf
    assert TABLE["pow"](-base, exponent) == (-math.inf if odd else math.inf)


@pytest.mark.parametrize(
    "row", [row for row in TABLE.values() if row.zero_derivative], ids=lambda row: row.name
)
def test_piecewise_constant_rows_have_derivative_zero(row):
    point = [(low + high) / 2 for low, high in row.domain]

    for position in range(len(point)):
        assert ng.grad(row, position)(*point) == 0.0


def test_commutative_rows_say_so():
    said = {row.name for row in TABLE.values() if row.commutative}

    assert said == {"add", "mul", "zero_mul", "hypot", "eq", "ne"}
    for name, x, y in product(said, (0.3, -2.0, 7.0), (0.3, 1e10, -1e-10)):
        assert TABLE[name](x, y) == TABLE[name](y, x)


def test_rows_cannot_be_changed():
    with pytest.raises(AttributeError):
        TABLE["exp"].name = "other"


def test_rounding_removes_the_fraction_of_every_float():
    largest = 2.0**52 - 0.5

    for x in (largest, 2.0**51 + 0.5, -largest):
        assert TABLE["floor"](x) == math.floor(x)
        assert TABLE["ceil"](x) == math.ceil(x)
        assert TABLE["trunc"](x) == math.trunc(x)
        assert TABLE["round"](x) == round(x)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_take_as_many_numbers_as_they_have_operands(count):
    with pytest.raises(TypeError, match=f"add takes 2 operands; got {count}"):
        TABLE["add"](*[1.0] * count)


def test_second_derivative_of_asin_at_a_tiny_number_is_that_number():
    assert ng.grad(ng.grad(ng.asin))(1e-18) == 1e-18
    assert ng.grad(ng.grad(ng.acos))(1e-18) == -1e-18
    assert ng.grad(ng.grad(ng.atanh))(1e-18) == 2e-18
