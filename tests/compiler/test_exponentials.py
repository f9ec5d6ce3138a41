"""tanh and sigmoid of native code: within 3 ulp for every float, and where their polynomial comes from."""

import math

import mpmath
import numpy as np
import pytest

import nodegrad as ng
from nodegrad.compiler import backends
from nodegrad.compiler.backends.llvm.exponentials import HALF_LN2, SERIES

if backends.choose("auto") != "llvm":
    pytest.skip("needs llvmlite", allow_module_level=True)

FUNCTIONS = {"tanh": mpmath.tanh, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x))}
ANYWHERE = pytest.mark.parametrize("name", FUNCTIONS)


def native(name, x):
    return ng.compile(getattr(ng, name), backend="llvm").map(np.asarray(x, float))


def both_signs(x):
    return np.concatenate([-x, x])


def points():
    """Return floats of every size, dense where the functions bend, end, and change from one k to the next."""
    generator = np.random.default_rng(0)
    steps = (np.arange(45) + 0.5) * math.log(2.0) / 2.0
    return both_signs(
        np.concatenate(
            [
                *(generator.uniform(0.0, most, 2000) for most in (0.4, 2.0, 25.0, 750.0)),
                *(np.nextafter(x, [0.0, 1e3]) for x in (22.0, 40.0, 708.4, 745.13, 745.14, 750.0)),
                *(steps + shift for shift in generator.normal(scale=1e-9, size=10)),
                np.geomspace(1e-307, 1e308, 2000),
                5e-324 * np.geomspace(1.0, 2.0**53, 100).round(),
            ]
        )
    )


@ANYWHERE
def test_every_float_is_within_3_ulp(name):
    x = points()

    found = native(name, x)

    with mpmath.workdps(40):
        true = [FUNCTIONS[name](mpmath.mpf(number)) for number in x.tolist()]
        error = [abs(y - z) / math.ulp(float(z)) for y, z in zip(found.tolist(), true, strict=True)]
    assert max(error) < 3.0


@ANYWHERE
def test_the_ends_are_reached_and_nan_stays(name):
    found = native(name, [-math.inf, -1e308, 0.0, 1e308, math.inf, math.nan])

    least, middle = (-1.0, 0.0) if name == "tanh" else (0.0, 0.5)
    np.testing.assert_array_equal(found, [least, least, middle, 1.0, 1.0, math.nan])


def test_tanh_is_odd_to_the_bit_and_keeps_the_smallest_numbers():
    x = np.abs(points())

    found = native("tanh", x)

    np.testing.assert_array_equal(native("tanh", -x), -found)
    np.testing.assert_array_equal(found[x < 1e-9], x[x < 1e-9])


@ANYWHERE
def test_functions_of_parameters_alone_are_right(name):
    weight = ng.Value(-0.75)
    function = getattr(ng, name)
    found = ng.compile(lambda x: x * function(weight), backend="llvm").map(np.array([1.0]))

    assert found == pytest.approx([function(-0.75)], rel=1e-15)


def test_the_series_interpolates_r_coth_r_and_is_close_everywhere():
    with mpmath.workdps(60):
        end, count = (mpmath.log(2) / 4) ** 2, len(SERIES)
        nodes = [end / 2 * (1 + mpmath.cos(mpmath.pi * (2 * i + 1) / (2 * count))) for i in range(count)]
        powers = mpmath.matrix([[s**power for power in range(count)] for s in nodes])
        series = mpmath.lu_solve(powers, mpmath.matrix([rest(s) / s for s in nodes]))
        grid = [end * i / 500 for i in range(1, 501)]
        off = max(abs(mpmath.polyval(SERIES[::-1], s) * s - rest(s)) for s in grid)

    assert tuple(map(float, series)) == SERIES
    assert off < 4e-18


def rest(square):
    """Return r·coth(r) - 1 from r²."""
    r = mpmath.sqrt(square)
    return r * mpmath.coth(r) - 1


def test_the_parts_of_ln_2_are_exact_enough():
    high, low = HALF_LN2

    with mpmath.workdps(60):
        assert abs(mpmath.log(2) / 2 - high - low) < 1e-30
    assert (high * 2.0**43).is_integer()
