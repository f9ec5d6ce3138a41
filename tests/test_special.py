"""Special functions: values to 4 ulp and derivatives to order 3 against mpmath, eager and compiled."""

import math
import random
from functools import partial

import mpmath
import pytest

import nodegrad as ng
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
inf, nan = math.inf, math.nan
source = random.Random(1)


def spread(low, high, count=300):
    return [source.uniform(low, high) for _ in range(count)]


def powers(low, high, step=7):
    return [10.0**k for k in range(low, high, step)]


def psi(n):
    return partial(mpmath.psi, n)


def lgamma(x):
    return mpmath.re(mpmath.loggamma(x))


def hazard(x):
    """Return φ(x)/Φ(x), the derivative of log Φ."""
    return mpmath.npdf(x) / (mpmath.erfc(-x / mpmath.sqrt(2)) / 2)


def log_phi(x):
    tail = mpmath.erfc(abs(x) / mpmath.sqrt(2)) / 2
    return mpmath.log(tail) if x < 0 else mpmath.log1p(-tail)


def log_phi_third(x):
    h = hazard(x)
    return h * (h + x) * (2 * h + x) - h


def quantile(p):
    return -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)


def quantile_slope(p):
    return 1 / mpmath.npdf(quantile(p))


def erfinv_slope(x):
    return mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(mpmath.erfinv(x) ** 2)


TINY = powers(-15, 0, 2)
NEAR_ONE = [1.0 + sign * 10.0**-k for k in range(1, 16) for sign in (1, -1)]
HALVES = [-k - 0.5 for k in (*range(25), 1000)]
QUARTERS = [-k - part for k in range(12) for part in (0.25, 0.75)]
NEAR_POLES = [-k + sign * 10.0**-d for k in range(4) for d in (3, 6, 10) for sign in (1, -1)]
NEAR_ROOTS = [1.4616, 1.46163, 1.4616321449683623, -2.457, -2.4570247382208006, -0.504, -0.5040830082644554]
GAMMA = [*spread(0, 25, 80), *spread(-12, 0, 80), *spread(-150, -12, 20), *NEAR_ONE, 2.0 + 1e-9]
GAMMA += [*HALVES, *QUARTERS, *NEAR_POLES, *NEAR_ROOTS]
# The function; its value and its derivatives to order 3; numbers where the value must be right to 4 ulp.
VALUES = {
    "lgamma": (ng.lgamma, (lgamma, psi(0), psi(1), psi(2)), [*GAMMA, *powers(-300, 300)]),
    "digamma": (ng.digamma, tuple(map(psi, range(4))), [*GAMMA, *powers(-300, 300)]),
    **{
        f"polygamma {n}": (
            partial(ng.polygamma, n), tuple(map(psi, range(n, n + 4))), [*GAMMA, *powers(-40, 40)]
        )
        for n in (1, 2, 3, 6)
    },
    "erfinv": (
        ng.erfinv,
        (
            mpmath.erfinv,
            erfinv_slope,
            lambda x: 2 * mpmath.erfinv(x) * erfinv_slope(x) ** 2,
            lambda x: (2 + 8 * mpmath.erfinv(x) ** 2) * erfinv_slope(x) ** 3,
        ),
        [*spread(-1, 1, 150), *powers(-300, 0), *(1 - x for x in TINY)],
    ),
    "ndtri": (
        ng.ndtri,
        (
            quantile,
            quantile_slope,
            lambda p: quantile(p) * quantile_slope(p) ** 2,
            lambda p: (1 + 2 * quantile(p) ** 2) * quantile_slope(p) ** 3,
        ),
        [*spread(0, 1, 150), *TINY],
    ),
    "ndtr": (
        ng.ndtr,
        (
            mpmath.ncdf,
            mpmath.npdf,
            lambda x: -x * mpmath.npdf(x),
            lambda x: (x * x - 1) * mpmath.npdf(x),
        ),
        [*spread(-37, 8), *spread(-3, 3), *powers(-300, 0)],
    ),
    "log_ndtr": (
        ng.log_ndtr,
        (log_phi, hazard, lambda x: -hazard(x) * (x + hazard(x)), log_phi_third),
        [*spread(-60, 37), *spread(-12, 3), -8.0, -3.0, *(-x for x in powers(-300, 100))],
    ),
}  # fmt: skip


def exact(name, order, x):
    """Return the derivative, and how large the terms are that it is a sum of where x < 0."""
    derivative = VALUES[name][1][order]
    with mpmath.workdps(1000 if name == "log_ndtr" and x < -100.0 else 60):
        expected = derivative(mpmath.mpf(x))
        reflected = "gamma" in name and x < 0.0
        size = max(abs(expected), abs(derivative(1 - mpmath.mpf(x)))) if reflected else abs(expected)
        return expected, size


@pytest.mark.parametrize("name", VALUES)
def test_values_are_right_to_4_ulp(name):
    function, _, points = VALUES[name]
    for x in points:
        expected, size = exact(name, 0, x)
        limit = 6 if name == "polygamma 6" and x < 0.0 else 4  # each power adds to the rounding

        assert abs(function(x) - expected) <= limit * math.ulp(float(size)), x


def test_quantiles_of_tiny_probabilities_are_right_to_4_ulp():
    for p in [1e-300, 1e-200, 3e-100, 1e-20, 2e-17]:
        with mpmath.workdps(60):
            x = mpmath.findroot(
                lambda x, p=p: mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2 / p), ng.ndtri(p)
            )

        assert abs(ng.ndtri(p) - float(x)) <= 4 * math.ulp(float(x))


BOUNDS = {("ndtr", 3): 3e-14, ("log_ndtr", 3): 3e-14}  # beside 4e-15: terms of three kinds cancel


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", VALUES)
def test_derivatives_are_right(name, order):
    derivative, _, points = VALUES[name]
    for _ in range(order):
        derivative = ng.grad(derivative)

    for x in points:
        expected, size = exact(name, order, x)
        if 1e-290 < abs(expected) < 1e300:
            assert abs(derivative(x) - expected) <= BOUNDS.get((name, order), 4e-15) * size, x


COMPILED = {
    "lgamma": [0.01, 0.4, 0.9, 1.0, 2.0, 3.3, 8.6, 1e3, 1e8, -0.5, -2.7],
    "digamma": [0.01, 1.4, 3.0, 9.0, 1e8, -0.3, -1.5],
    "erfinv": [1e-9, 0.3, 0.9, 1 - 1e-9],
    "ndtri": [0.001, 0.3, 0.8],
    "ndtr": [-30.0, -8.0, -2.0, 0.3, 5.0],
    "log_ndtr": [-1e4, -100.0, -11.5, -8.0, -2.0, 0.3, 5.0, 20.0],
}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        *((ng.lgamma(x), math.lgamma(x)) for x in (1.0, 2.0, inf, -inf, nan, -0.5, -2.7, 1e300, 0.5)),
        (ng.lgamma(1e306), inf),
        *((ng.lgamma(x), inf) for x in (0.0, -1.0, -2.0, -1e18)),
        *((ng.digamma(x), y) for x, y in ((0.0, -inf), (inf, inf), (nan, nan))),
        *((ng.polygamma(1, x), y) for x, y in ((0.0, inf), (inf, 0.0), (nan, nan))),
        *((ng.polygamma(n, 1.0), nan) for n in (-1, 0.5, nan, inf)),
        *((ng.erfinv(x), y) for x, y in ((0.0, 0.0), (1.0, inf), (-1.0, -inf), (1.1, nan), (nan, nan))),
        *(
            (ng.ndtri(p), y)
            for p, y in ((0.0, -inf), (1.0, inf), (0.5, 0.0), (-0.1, nan), (1.1, nan), (nan, nan))
        ),
        *((ng.ndtr(x), y) for x, y in ((-inf, 0.0), (inf, 1.0), (0.0, 0.5), (nan, nan))),
        *((ng.log_ndtr(x), y) for x, y in ((-inf, -inf), (inf, 0.0), (nan, nan))),
        *(
            (ng.xlogy(x, y), z)
            for x, y, z in ((0, 0, 0.0), (0, -1, 0.0), (0, nan, nan), (2, 0, -inf), (0, inf, 0.0))
        ),
    ],
)
def test_values_at_the_edges(found, expected):
    assert found == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_xlogy_and_its_derivatives():
    assert ng.xlogy(3.0, 2.0) == 3.0 * math.log(2.0)
    assert ng.grad(ng.xlogy, (0, 1))(3.0, 2.0) == (math.log(2.0), 1.5)
    assert ng.grad(ng.xlogy, (0, 1))(0.0, 2.0) == (math.log(2.0), 0.0)
    assert ng.grad(ng.xlogy, (0, 1))(0.0, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize(
    "point", [(2.0, 3.0), (0.3, 7.0), (20.0, 0.5), (1e6, 2.0), (3.0, 1e12), (40.0, 40.0)]
)
def test_betaln_and_its_derivatives(point):
    def meaning(x, y):
        return mpmath.loggamma(x) + mpmath.loggamma(y) - mpmath.loggamma(x + y)

    def exact(*orders):
        with mpmath.workdps(100):
            return float(mpmath.diff(meaning, tuple(map(mpmath.mpf, point)), orders))

    assert ng.betaln(*point) == ng.betaln(*point[::-1]) == pytest.approx(exact(0, 0), rel=2e-15)
    assert ng.grad(ng.betaln, (0, 1))(*point) == pytest.approx([exact(1, 0), exact(0, 1)], rel=1e-13)
    hessian = ng.hessian(ng.betaln, (0, 1))(*point)
    assert hessian[0] == pytest.approx([exact(2, 0), exact(1, 1)], rel=1e-12)


@pytest.mark.parametrize(
    "point",
    [
        (5.0, 200.0),
        (56.0, 86.0),
        (38.0, 41.0),
        (6.0, 6.0),
        (5002.6, 5368.5),
        (8.34, 0.165),
        (1.51, 9.34),
        (0.92, 7.76),
    ],
)
def test_betaln_is_within_4_ulp_where_its_terms_cancel(point):
    x, y = map(mpmath.mpf, point)

    with mpmath.workdps(50):
        exact = mpmath.loggamma(x) + mpmath.loggamma(y) - mpmath.loggamma(x + y)
        error = abs(mpmath.mpf(ng.betaln(*point)) - exact)

    assert error <= 4 * math.ulp(float(exact))


def test_cumsum_and_its_derivative():
    assert ng.cumsum([1.0, 2.0, 3.5]) == [1.0, 3.0, 6.5]
    assert ng.cumsum([]) == []
    assert ng.jacobian(ng.cumsum)([1.0, 2.0, 3.0]) == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_special_functions_are_the_eager_ones(name, backend):
    f = ng.value_and_grad(getattr(ng, name))
    points = COMPILED[name]
    expected = [f(x) for x in points]
    exact = ng.compile(f, backend=backend, exact=True)
    fast = ng.compile(f, backend=backend)

    assert list(zip(*map(list, exact.map(points)), strict=True)) == expected
    assert exact(points[0]) == expected[0]
    for found, (value, slope) in zip(zip(*fast.map(points), strict=True), expected, strict=True):
        assert found == pytest.approx((value, slope), rel=1e-12, abs=1e-14)
    assert f"{name}(" not in str(exact)  # it is composed of other operations there
