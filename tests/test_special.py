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


def log_phi(x):
    tail = mpmath.erfc(abs(x) / mpmath.sqrt(2)) / 2
    return mpmath.log(tail) if x < 0 else mpmath.log1p(-tail)


def quantile(p):
    return -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p)


TINY = powers(-15, 0, 2)
NEAR_ONE = [1.0 + sign * 10.0**-k for k in range(1, 16) for sign in (1, -1)]
PSI = {n: (partial(ng.polygamma, n), partial(mpmath.psi, n)) for n in (1, 2, 3)}
# The function, its meaning, and numbers where it must be right to 4 ulp.
VALUES = {
    "lgamma": (ng.lgamma, mpmath.loggamma, [*spread(0, 12), *NEAR_ONE, *powers(-300, 300), 2.0 + 1e-9]),
    "digamma": (ng.digamma, mpmath.digamma, [*spread(0, 12), *NEAR_ONE, *powers(-300, 300), 1.4616, 1.46163]),
    "trigamma": (
        lambda x: ng.polygamma(1, x),
        lambda x: mpmath.psi(1, x),
        [*spread(0, 25), *powers(-150, 150)],
    ),
    "polygamma 2": (
        lambda x: ng.polygamma(2, x),
        lambda x: mpmath.psi(2, x),
        [*spread(0, 25), *powers(-100, 100)],
    ),
    "polygamma 3": (
        lambda x: ng.polygamma(3, x),
        lambda x: mpmath.psi(3, x),
        [*spread(0, 25), *powers(-70, 70)],
    ),
    "erfinv": (
        ng.erfinv,
        mpmath.erfinv,
        [*spread(-1, 1), *powers(-300, 0), *(1 - x for x in powers(-15, 0, 2))],
    ),
    "ndtri": (ng.ndtri, quantile, [*spread(0, 1), *TINY]),
    "ndtr": (ng.ndtr, mpmath.ncdf, [*spread(-37, 8), *spread(-3, 3), *powers(-300, 0)]),
    "log_ndtr": (ng.log_ndtr, log_phi, [*spread(-60, 37), *spread(-3, 3), *(-x for x in powers(-300, 100))]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_right_to_4_ulp(name):
    function, meaning, points = VALUES[name]
    for x in points:
        with mpmath.workdps(60):
            expected = float(meaning(mpmath.mpf(x)))

        assert abs(function(x) - expected) <= 4 * math.ulp(expected), x


def test_quantiles_of_tiny_probabilities_are_right_to_4_ulp():
    for p in [1e-300, 1e-200, 3e-100, 1e-20, 2e-17]:
        with mpmath.workdps(60):
            x = mpmath.findroot(
                lambda x, p=p: mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2 / p), ng.ndtri(p)
            )

        assert abs(ng.ndtri(p) - float(x)) <= 4 * math.ulp(float(x))


DERIVATIVES = {
    "lgamma": [0.01, 0.4, 0.9, 1.0, 2.0, 3.3, 8.6, 1e3, 1e8, -0.5, -2.7],
    "digamma": [0.01, 1.4, 3.0, 9.0, 1e8, -0.3],
    "erfinv": [1e-9, 0.3, 0.9, 1 - 1e-9],
    "ndtri": [0.001, 0.3, 0.8],
    "ndtr": [-30.0, -8.0, -2.0, 0.3, 5.0],
    "log_ndtr": [-1e4, -100.0, -11.5, -10.5, -2.0, 0.3, 5.0, 20.0],
}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_right(name, order):
    derivative = getattr(ng, name)
    for _ in range(order):
        derivative = ng.grad(derivative)

    for x in DERIVATIVES[name]:
        with mpmath.workdps(100):
            step = abs(mpmath.mpf(x)) * mpmath.mpf(10) ** -18
            expected = float(mpmath.re(mpmath.diff(VALUES[name][1], mpmath.mpf(x), order, h=step)))
        assert derivative(x) == pytest.approx(expected, rel=1e-8 if name == "log_ndtr" else 1e-12), x


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


def test_cumsum_and_its_derivative():
    assert ng.cumsum([1.0, 2.0, 3.5]) == [1.0, 3.0, 6.5]
    assert ng.cumsum([]) == []
    assert ng.jacobian(ng.cumsum)([1.0, 2.0, 3.0]) == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", DERIVATIVES)
def test_compiled_special_functions_are_the_eager_ones(name, backend):
    f = ng.value_and_grad(getattr(ng, name))
    points = DERIVATIVES[name]
    expected = [f(x) for x in points]
    exact = ng.compile(f, backend=backend, exact=True)
    fast = ng.compile(f, backend=backend)

    assert list(zip(*map(list, exact.map(points)), strict=True)) == expected
    assert exact(points[0]) == expected[0]
    for found, (value, slope) in zip(zip(*fast.map(points), strict=True), expected, strict=True):
        assert found == pytest.approx((value, slope), rel=1e-12, abs=1e-14)
    assert f"{name}(" not in str(exact)  # it is composed of other operations there
