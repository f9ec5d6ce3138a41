"""Every function against mpmath over the whole range of floats: its value and its derivatives to order 3.

The bound: 4 ulp for the value and 4 more for each order, of the result plus what it changes by when every
operand moves by half an ulp.
"""

import math
import random
import zlib
from functools import partial
from itertools import combinations_with_replacement, pairwise, product

import mpmath
import pytest
from mpmath import mpf

import nodegrad as ng
from nodegrad import functions, ops
from nodegrad.ops import TABLE

HIGHEST = 3  # the highest order
LEAST, LARGEST = 1e-290, 1e300  # results beyond are left out: their factors underflow or overflow


class Series:
    """A Taylor series; its terms are numbers of mpmath, or series in another operand."""

    def __init__(self, terms):
        self.terms = list(terms)

    def lifted(self, other):
        if depth(other) == depth(self):
            return other.terms
        return [other, *[term * 0 for term in self.terms[1:]]]

    def __add__(self, other):
        if depth(other) > depth(self):
            return other + self
        return Series([a + b for a, b in zip(self.terms, self.lifted(other), strict=True)])

    def __mul__(self, other):
        if depth(other) > depth(self):
            return other * self
        if depth(other) < depth(self):
            return Series([term * other for term in self.terms])
        ends = range(len(self.terms))
        return Series([total(self.terms[j] * other.terms[k - j] for j in range(k + 1)) for k in ends])

    def __neg__(self):
        return Series([-term for term in self.terms])

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * reciprocal(other)

    def __rtruediv__(self, other):
        return other * reciprocal(self)

    def __lt__(self, other):
        return number(self) < number(other)

    def __gt__(self, other):
        return number(self) > number(other)

    def __abs__(self):
        return self if self > 0 else -self

    __radd__, __rmul__ = __add__, __mul__


def depth(x):
    return 1 + depth(x.terms[0]) if isinstance(x, Series) else 0


def number(x):
    return number(x.terms[0]) if isinstance(x, Series) else x


def total(terms):
    first, *others = terms
    return sum(others, first)


def function(value, slope):
    """Make a function of numbers and series from one of numbers and its derivative, a function of x and f(x).

    f(x) is called only where it is needed, as `out()`.
    """

    def applied(x, *more):
        if not isinstance(x, Series):
            return value(x, *more)
        first = applied(x.terms[0], *more)
        if len(x.terms) == 1:
            return Series([first])
        before = Series(x.terms[:-1])
        rate = slope(before, lambda: applied(before, *more), *more)
        rates = rate * Series([k * term for k, term in enumerate(x.terms)][1:])
        return Series([first, *[term * (mpf(1) / k) for k, term in enumerate(rates.terms, 1)]])

    return applied


def square(x):
    return x * x


def jump(value):
    return function(value, lambda x, out: x * 0)


exp = function(mpmath.exp, lambda x, out: out())
log = function(mpmath.log, lambda x, out: 1 / x)
log1p = function(mpmath.log1p, lambda x, out: 1 / (1 + x))
sqrt = function(mpmath.sqrt, lambda x, out: 1 / (2 * out()))
reciprocal = function(lambda x: 1 / x, lambda x, out: -square(out()))
atan = function(mpmath.atan, lambda x, out: 1 / (1 + x * x))
cosh = function(mpmath.cosh, lambda x, out: sinh(x))
sinh = function(mpmath.sinh, lambda x, out: cosh(x))
tanh = function(mpmath.tanh, lambda x, out: 1 / square(cosh(x)))
sin = function(mpmath.sin, lambda x, out: cos(x))
cos = function(mpmath.cos, lambda x, out: -sin(x))
erfc = function(lambda x: mpmath.erfc(x), lambda x, out: -2 / mpmath.sqrt(mpmath.pi) * exp(-x * x))
psi = function(lambda x, n: mpmath.psi(n, x), lambda x, out, n: psi(x, n + 1))
lgamma = function(lambda x: mpmath.re(mpmath.loggamma(x)), lambda x, out: psi(x, 0))
sigmoid = function(lambda x: 1 / (1 + mpmath.exp(-x)), lambda x, out: out() * sigmoid(-x))
softplus = function(lambda x: mpmath.log1p(mpmath.exp(x)), lambda x, out: sigmoid(x))


def quantile_of(p):
    """Find where Φ is p, from the nearer tail."""
    tail = min(p, 1 - p)
    x = -mpmath.sqrt(-2 * mpmath.log(tail)) if tail < 0.1 else mpf(0)
    step = mpf(1)
    while abs(step) > mpf(10) ** (5 - mpmath.mp.dps) * abs(x):
        share = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
        step = (mpmath.log(share / tail) * share if tail < 0.1 else share - tail) / mpmath.npdf(x)
        x -= step
    return x if p < 0.5 else -x


quantile = function(quantile_of, lambda p, out: mpmath.sqrt(2 * mpmath.pi) * exp(square(out()) / 2))


def normal(x):
    return erfc(x * (-1 / mpmath.sqrt(2))) / 2


def log_normal(x):
    return log(normal(x)) if x < 0 else log1p(-normal(-x))


def hypot(x, y):
    return sqrt(x * x + y * y)


def angle(y, x):
    turn = 0 if x > 0 else mpmath.pi if y > 0 else -mpmath.pi
    return atan(y / x) + turn


def log_of_sum(x, y):
    return x + softplus(y - x) if x > y else y + softplus(x - y)


def elu(x):
    return x if x > 0 else mpf(1.6732632423543772) * (exp(x) - 1)


PLACES, HEIGHTS = (-1.0, 0.5, 2.0, 2.5), (3.0, -1.0, 4.0, 0.5)


def interpolated(x):
    piece = sum(number(x) >= place for place in PLACES[1:-1])
    (a, b), (left, right) = map(mpf, PLACES[piece : piece + 2]), map(mpf, HEIGHTS[piece : piece + 2])
    return (x - a) * ((right - left) / (b - a)) + left


def spline(x):
    """Return the natural cubic spline: the second derivatives solve a system."""
    points, heights = list(map(mpf, PLACES)), list(map(mpf, HEIGHTS))
    widths = [b - a for a, b in pairwise(points)]
    slopes = [(b - a) / width for (a, b), width in zip(pairwise(heights), widths, strict=True)]
    matrix = mpmath.matrix(
        [[2 * (widths[0] + widths[1]), widths[1]], [widths[1], 2 * (widths[1] + widths[2])]]
    )
    bends = [mpf(0), *mpmath.lu_solve(matrix, [6 * (slopes[k + 1] - slopes[k]) for k in (0, 1)]), mpf(0)]
    k = sum(number(x) >= place for place in PLACES[1:-1])
    u, rise = x - points[k], (bends[k + 1] - bends[k]) / widths[k]
    steep = slopes[k] - widths[k] * (2 * bends[k] + bends[k + 1]) / 6
    return heights[k] + u * (steep + u * (bends[k] / 2 + u * (rise / 6)))


def mpmath_of(name, slope):
    return function(getattr(mpmath, name), slope)


# What each function is, by its name or by how it is called here.
EXACT = {
    "abs": lambda x: -x if x < 0 else x,
    "acos": mpmath_of("acos", lambda x, out: -1 / sqrt((1 - x) * (1 + x))),
    "acosh": mpmath_of("acosh", lambda x, out: 1 / sqrt((x - 1) * (x + 1))),
    "add": lambda x, y: x + y,
    "asin": mpmath_of("asin", lambda x, out: 1 / sqrt((1 - x) * (1 + x))),
    "asinh": mpmath_of("asinh", lambda x, out: 1 / sqrt(1 + x * x)),
    "atan": atan,
    "atan2": angle,
    "atanh": mpmath_of("atanh", lambda x, out: 1 / ((1 - x) * (1 + x))),
    "betaln": lambda x, y: lgamma(x) + lgamma(y) - lgamma(x + y),
    "cbrt": function(lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), lambda x, out: 1 / (3 * square(out()))),
    "ceil": jump(mpmath.ceil),
    "clip": lambda x: x if abs(x) < 2 else x * 0 + 2 * mpmath.sign(number(x)),
    "copysign": lambda x, y: abs(x) * mpmath.sign(number(y)),
    "cos": cos,
    "cosh": cosh,
    "cumsum": lambda x, y: x + y,
    "digamma": lambda x: psi(x, 0),
    "direction": lambda x, y: x / hypot(x, y),
    "div": lambda x, y: x / y,
    "dot": lambda x, y: x * y + x,
    "elu": lambda x: elu(x) / mpf(1.6732632423543772) if x < 0 else x,
    "erf": mpmath_of("erf", lambda x, out: 2 / mpmath.sqrt(mpmath.pi) * exp(-x * x)),
    "erfc": erfc,
    "erfinv": lambda x: quantile((1 + x) / 2) / mpmath.sqrt(2),
    "exp": exp,
    "exp2": lambda x: exp(x * mpmath.log(2)),
    "expm1": mpmath_of("expm1", lambda x, out: exp(x)),
    "floor": jump(mpmath.floor),
    "gelu": lambda x: x * normal(x),
    "hypot": hypot,
    "identity": lambda x: x,
    "interp": interpolated,
    "interp cubic": spline,
    "leaky_relu": lambda x: x if x > 0 else x * mpf(0.01),
    "lgamma": lgamma,
    "log": log,
    "log10": lambda x: log(x) / mpmath.log(10),
    "log1p": log1p,
    "log2": lambda x: log(x) / mpmath.log(2),
    "log_ndtr": log_normal,
    "log_sigmoid": lambda x: -softplus(-x),
    "log_softmax": lambda x, y: -softplus(y - x),
    "logaddexp": log_of_sum,
    "logsumexp": log_of_sum,
    "maximum": lambda x, y: x if x > y else y,
    "mean": lambda x, y: (x + y) / 2,
    "minimum": lambda x, y: x if x < y else y,
    "mish": lambda x: x * tanh(softplus(x)),
    "mod": lambda x, y: x - y * mpmath.floor(number(x) / number(y)),
    "mul": lambda x, y: x * y,
    "ndtr": normal,
    "ndtri": quantile,
    "neg": lambda x: -x,
    "norm": hypot,
    "one_minus_square": lambda x: (1 - x) * (1 + x),
    **{f"polygamma {n}": lambda x, n=n: psi(x, n) for n in (1, 2, 3, 6, 15, 40, 100)},
    "pow": lambda x, y: exp(y * log(x)),
    "prod": lambda x, y: x * y,
    "reciprocal": reciprocal,
    "relu": lambda x: x if x > 0 else x * 0,
    "round": jump(mpmath.nint),
    "selu": lambda x: mpf(1.0507009873554805) * elu(x),
    "sigmoid": sigmoid,
    "sign": jump(mpmath.sign),
    "silu": lambda x: x * sigmoid(x),
    "sin": sin,
    "sinh": sinh,
    "softmax": lambda x, y: sigmoid(x - y),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "sqrt": sqrt,
    "square": square,
    "step": jump(lambda x: mpf(x > 0)),
    "strong_dot": lambda x, y: x * y + x,
    "strong_factor": lambda x, y: x * 0 + y,
    "strong_mul": lambda x, y: x * y,
    "sub": lambda x, y: x - y,
    "sum": lambda x, y: x + y,
    "take": lambda x, y: x * 0 + y,
    "tan": mpmath_of("tan", lambda x, out: 1 + square(out())),
    "tanh": tanh,
    "trunc": jump(lambda x: mpmath.sign(x) * mpmath.floor(abs(x))),
    "where": lambda x, y: x * 2 if x > 0 else y,
    "xlogy": lambda x, y: x * log(y),
    "zero_mul": lambda x, y: x * y,
}
# How those are called that take no numbers alone.
CALLED = {
    "clip": lambda x: ng.clip(x, -2.0, 2.0),
    "cumsum": lambda x, y: ng.cumsum([x, y])[-1],
    "dot": lambda x, y: ng.dot([x, 1.0], [y, x]),
    "interp": lambda x: ng.interp(x, PLACES, HEIGHTS),
    "interp cubic": lambda x: ng.interp(x, PLACES, HEIGHTS, "cubic"),
    **{f"polygamma {n}": lambda x, n=n: ng.polygamma(float(n), x) for n in (1, 2, 3, 6, 15, 40, 100)},
    "softmax": lambda x, y: ng.softmax([x, y])[0],
    "log_softmax": lambda x, y: ng.log_softmax([x, y])[0],
    "strong_dot": lambda x, y: ops.strong_dot(x, 1.0, y, x),
    "take": lambda x, y: ng.take([x, y], 1.0),
    "where": lambda x, y: ng.where(ops.gt(x, 0.0), 2.0 * x, y),
    **{
        name: partial(lambda f, x, y: f([x, y]), getattr(ng, name))
        for name in ("logsumexp", "mean", "norm", "prod", "sum")
    },
}
# Where a function is taken: the least and the largest operand; all of them by default.
INSIDE = {
    "atan": (-1e60, 1e60),  # its higher derivatives underflow beyond
    "betaln": (1e-3, 1e15),
    "digamma": (-200.0, 1e60),
    "erfinv": (-1.0, 1.0),
    "interp": PLACES[:: len(PLACES) - 1],
    "interp cubic": (-10.0, 10.0),
    "lgamma": (-200.0, 1e300),
    "log_ndtr": (-1e75, 38.0),
    **dict.fromkeys(("erfc", "gelu", "ndtr"), (-1e100, 1e100)),  # mpmath's erfc ends there
    "ndtri": (0.0, 1.0),
    "polygamma": (-20.0, 1e60),
    "pow": (0.0, 1e60),
}
# Near these, too: roots of the function or of a derivative, singular points, and where two formulas meet.
NEAR = {
    "acos": (1.0, -1.0, 0.0), "acosh": (1.0,), "asin": (1.0, -1.0), "atanh": (1.0, -1.0), "clip": (2.0, -2.0),
    "cos": (math.pi / 2,), "digamma": (0.0, -1.0, 1.4616321449683622, -0.504083008264455, -10.7, 8.5),
    "erfinv": (1.0, -1.0, 0.5), "gelu": (-0.75,), "lgamma": (0.0, 1.0, 2.0, -2.0, -3.5, -2.457024738, 8.5),
    "log": (1.0,), "log10": (1.0,), "log1p": (-1.0,), "log2": (1.0,), "log_ndtr": (-0.5, -8.0, 3.0),
    "mish": (-1.19,), "ndtr": (-30.0, -8.0, 20.0), "ndtri": (0.5, 0.25, 1.0), "polygamma": (0.0, -1.0, -2.41),
    "silu": (-1.28,), "sin": (math.pi,), "softsign": (1.0,), "tan": (math.pi / 2,),
}  # fmt: skip


def logistic(x, y=0.0):
    return ng.exp(-abs(x - y))


# Where terms cancel: from which order on, and how large the terms are. PyTorch and JAX lose the same digits.
CANCEL = {
    "tanh": (1, lambda x: 1.0),
    "mish": (2, lambda x: 1.0 + abs(x)),
    "sigmoid": (2, logistic),
    "softplus": (3, logistic),
    "log_sigmoid": (3, logistic),
    "silu": (3, logistic),
    "logaddexp": (3, logistic),
    "softmax": (1, lambda x, y: 1.0),
    "logsumexp": (0, lambda x, y: 1.0 + abs(max(x, y))),
    "log_softmax": (0, lambda x, y: 1.0),
    "norm": (2, lambda x, y: 10.0 / math.hypot(x, y) ** 2 + 1 / math.hypot(x, y)),
    "log_ndtr": (3, lambda x: 1.0 if -1.0 < x < 3.0 else 0.0),
    "betaln": (1, lambda x, y: 2.0 + abs(math.log(max(x, y)))),
    "interp": (0, lambda x: 4.0),
    "interp cubic": (0, lambda x: 8.0 * (1.0 + abs(x) ** 3)),
}


TWO = {name for name, exact in EXACT.items() if exact.__code__.co_varnames[:2] == ("x", "y")} | {"atan2"}


def points_for(name, count=12):
    """Draw points whose sizes are spread evenly over their logarithms, the same in every run."""
    source, bare = random.Random(zlib.crc32(name.encode())), name.partition(" ")[0]
    low, high = INSIDE.get(name) or INSIDE.get(bare, (-math.inf, math.inf))
    reach = 60.0 if name in TWO else 300.0  # the products in derivatives of two operands overflow sooner

    def draw(exponent):
        return source.choice((1.0, -1.0)) * 10.0 ** source.uniform(-exponent, exponent)

    def numbers():
        near = [z + draw(15.0) * 1e-16 * (abs(z) or 1.0) for z in NEAR.get(bare, ()) for _ in range(count)]
        return [draw(exponent) for exponent in (reach, 3.0, 1.0, 1.0) for _ in range(count)] + near

    found = numbers()
    if name in TWO:
        others = numbers()
        source.shuffle(others)
        close = [(x, x * (1.0 + draw(15.0) * 1e-16)) for x in found[::4]]
        rows = [*zip(found, others, strict=True), *close]
    else:
        rows = [(x,) for x in found]
    if name == "pow":  # its derivatives have the factors y, y - 1 ..., and powers that overflow for large y
        rows = [(abs(x), math.copysign(min(max(abs(y), 1e-3), 100.0), y)) for x, y in rows]
    if name == "xlogy":
        rows = [(x, abs(y)) for x, y in rows]
    return [row for row in rows if all(low < x < high for x in row) and len({*row}) == len(row)]


def exact_derivatives(name, point):
    """Return all derivatives to one order more than the highest, by their orders; None outside the domain."""
    size = max(abs(math.log10(abs(x))) for x in point)
    digits = 60 + int(min(5.0 * size, 150.0) if "gamma" in name else 5.0 * size)
    ends = HIGHEST + 2
    with mpmath.workdps(digits):
        zero, one = mpf(0), mpf(1)
        first, *others = map(mpf, point)
        operands = [Series([first, one, *[zero] * (ends - 2)])]
        if others:
            nothing = Series([zero] * ends)
            unit = Series([one, *[zero] * (ends - 1)])
            constant = Series([others[0], *[zero] * (ends - 1)])
            operands = [Series([operands[0], *[nothing] * (ends - 1)])]
            operands.append(Series([constant, unit, *[nothing] * (ends - 2)]))
        try:
            out = EXACT[name](*operands)
        except (ValueError, ZeroDivisionError):
            return None
        found = {}
        for orders in product(range(ends), repeat=len(point)):
            if sum(orders) < ends:
                term = out
                for order in reversed(orders):
                    term = term.terms[order]
                found[orders] = term * math.prod(map(math.factorial, orders))
        return found if all(isinstance(term, mpf) for term in found.values()) else None


def misses(name, point, derivatives):
    """Yield the derivatives that are further from mpmath's than the bound, by their orders."""
    exact = exact_derivatives(name, point)
    for orders, derivative in derivatives.items() if exact else ():
        order, expected = sum(orders), exact[orders]
        since, size = CANCEL.get(name, (9, None))
        if not LEAST < abs(expected) < LARGEST:
            continue
        unit = mpf(math.ulp(float(expected)))
        for place, x in enumerate(point):
            next_orders = tuple(k + (place == other) for other, k in enumerate(orders))
            grain = max(math.ulp(x), math.ulp(order)) if name == "pow" and place else math.ulp(x)
            unit += abs(exact[next_orders]) * mpf(grain) / 2
        if order >= since:
            unit = max(unit, mpf(math.ulp(size(*point))))
        found = derivative(*point)
        if not (math.isfinite(found) and abs(found - expected) <= 4 * (order + 1) * unit):
            error = abs(found - expected) / unit if math.isfinite(found) else math.inf
            yield orders, point, found, float(expected), float(error)


@pytest.mark.parametrize("name", EXACT)
def test_values_and_derivatives_are_within_the_bound(name):
    value = CALLED.get(name) or getattr(ng, name, None) or TABLE[name]
    derivatives = {}
    points = points_for(name)
    arity = len(points[0])
    for order in range(HIGHEST + 1):
        for operands in combinations_with_replacement(range(arity), order):
            derivative = value
            for operand in operands:
                derivative = ng.grad(derivative, operand)
            derivatives[tuple(map(operands.count, range(arity)))] = derivative

    missed = [miss for point in points for miss in misses(name, point, derivatives)]

    assert missed == []


def test_every_smooth_function_is_compared():
    compared = {name.partition(" ")[0] for name in EXACT}
    known = {row.name for row in TABLE.values() if not row.zero_derivative} | {*functions.__all__}

    assert known <= compared


def test_the_bound_catches_a_derivative_that_is_wrong_in_the_last_digits():
    wrong = {(1,): lambda x: ng.cos(x) * (1.0 + 3e-15)}

    assert list(misses("sin", (0.3,), wrong))
    assert not list(misses("sin", (0.3,), {(1,): ng.cos}))
