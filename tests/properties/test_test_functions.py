"""Hessians of the test functions of optimisation (Moré, Garbow & Hillstrom 1981) against closed forms."""

import math

import numpy as np
import pytest

import nodegrad as ng


def rosenbrock(x):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(len(x) - 1))


def rosenbrock_hessian(x):
    n = len(x)
    hessian = np.zeros((n, n))
    for i in range(n - 1):
        hessian[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        hessian[i, i + 1] = hessian[i + 1, i] = -400 * x[i]
        hessian[i + 1, i + 1] += 200
    return hessian


def wood(x):
    a, b, c, d = x
    return (
        100 * (b - a**2) ** 2
        + (1 - a) ** 2
        + 90 * (d - c**2) ** 2
        + (1 - c) ** 2
        + 10 * (b + d - 2) ** 2
        + (b - d) ** 2 / 10
    )


def wood_hessian(x):
    a, b, c, d = x
    return np.array(
        [
            [1200 * a**2 - 400 * b + 2, -400 * a, 0, 0],
            [-400 * a, 220.2, 0, 19.8],
            [0, 0, 1080 * c**2 - 360 * d + 2, -360 * c],
            [0, 19.8, -360 * c, 200.2],
        ]
    )


def powell_singular(x):
    a, b, c, d = x
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def powell_singular_hessian(x):
    a, b, c, d = x
    bc, ad = 12 * (b - 2 * c) ** 2, 120 * (a - d) ** 2
    return np.array(
        [
            [2 + ad, 20, 0, -ad],
            [20, 200 + bc, -2 * bc, 0],
            [0, -2 * bc, 10 + 4 * bc, -10],
            [-ad, 0, -10, 10 + ad],
        ]
    )


def helical_valley(x):
    a, b, c = x
    turn = ng.atan2(b, a) / (2 * math.pi)
    return 100 * ((c - 10 * turn) ** 2 + (ng.hypot(a, b) - 1) ** 2) + c**2


def helical_valley_hessian(x):
    """2 Σ (∇rᵢ∇rᵢᵀ + rᵢ∇²rᵢ) of the residuals 10(c - 10θ), 10(r - 1) and c."""
    a, b, c = x
    r, k = math.hypot(a, b), 5 / math.pi
    theta = k * math.atan2(b, a)
    along = np.array([a / r, b / r, 0])
    turning = np.array([k * b / r**2, -k * a / r**2, 1])
    second_of_radius = np.array([[b * b, -a * b, 0], [-a * b, a * a, 0], [0, 0, 0]]) / r**3
    second_of_angle = k * np.array([[-2 * a * b, a * a - b * b, 0], [a * a - b * b, 2 * a * b, 0], [0, 0, 0]])
    bending = second_of_angle / r**4
    height = np.diag([0.0, 0.0, 2.0])
    twist = np.outer(turning, turning) + (c - theta) * bending
    swell = np.outer(along, along) + (r - 1) * second_of_radius
    return 200 * (twist + swell) + height


def brown_dennis(x):
    a, b, c, d = x
    times = [i / 5 for i in range(1, 21)]
    return sum(((a + t * b - ng.exp(t)) ** 2 + (c + d * math.sin(t) - math.cos(t)) ** 2) ** 2 for t in times)


def brown_dennis_hessian(x):
    a, b, c, d = x
    total = np.zeros((4, 4))
    for t in (i / 5 for i in range(1, 21)):
        p, q = a + t * b - math.exp(t), c + d * math.sin(t) - math.cos(t)
        to_p, to_q = np.array([1, t, 0, 0]), np.array([0, 0, 1, math.sin(t)])
        slope = 2 * p * to_p + 2 * q * to_q
        curvature = 2 * np.outer(to_p, to_p) + 2 * np.outer(to_q, to_q)
        total += 2 * np.outer(slope, slope) + 2 * (p * p + q * q) * curvature
    return total


CASES = [
    *[(rosenbrock, rosenbrock_hessian, [-1.2, 1.0] * (n // 2) + [0.7] * (n % 2)) for n in (2, 3, 4, 7, 20)],
    (wood, wood_hessian, [-3.0, -1.0, -3.0, -1.0]),
    (powell_singular, powell_singular_hessian, [3.0, -1.0, 0.0, 1.0]),
    (helical_valley, helical_valley_hessian, [-1.0, 0.3, 0.2]),
    (helical_valley, helical_valley_hessian, [0.8, -1.5, 2.0]),
    (brown_dennis, brown_dennis_hessian, [25.0, 5.0, -5.0, -1.0]),
]
MODES = [("reverse", "reverse"), ("reverse", "forward"), ("forward", "reverse"), ("forward", "forward")]


@pytest.mark.parametrize(("f", "expected", "x"), CASES)
def test_hessian_matches_the_closed_form(f, expected, x):
    found = ng.hessian(f)(np.array(x))

    np.testing.assert_allclose(found, expected(x), rtol=1e-12, atol=1e-12 * np.abs(found).max())


@pytest.mark.parametrize(("f", "expected", "x"), CASES)
def test_all_compositions_of_modes_agree(f, expected, x):
    for inner, outer in MODES:
        found = ng.jacobian(ng.jacobian(f, mode=inner), mode=outer)(np.array(x))

        np.testing.assert_allclose(found, expected(x), rtol=1e-12, atol=1e-12 * np.abs(found).max())


@pytest.mark.parametrize(("f", "expected", "x"), CASES)
def test_gradient_is_the_same_in_both_directions(f, expected, x):
    forward = ng.jacobian(f, mode="forward")(np.array(x))

    np.testing.assert_allclose(ng.grad(f)(np.array(x)), forward, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("f", "expected", "x"), CASES)
def test_hessian_times_vector_matches(f, expected, x):
    vector = np.cos(np.arange(len(x)))

    (found,) = ng.hvp(f, (np.array(x),), (vector,))

    np.testing.assert_allclose(found, expected(x) @ vector, rtol=1e-11)


NEAR = [
    (rosenbrock, [-1.2, 1.0]),
    (rosenbrock, [0.9, 0.8] * 5),
    (wood, [0.9, 0.8, 1.1, 1.2]),
    (helical_valley, [0.98, 0.1, 0.1]),
    (brown_dennis, [-10.0, 12.0, -0.4, 0.2]),
]


def newton_steps(f, x, count):
    """Return the lengths of Newton's steps until they are lost in rounding."""
    gradient, hessian, lengths = ng.grad(f), ng.hessian(f), []
    for _ in range(count):
        step = np.linalg.solve(hessian(x), gradient(x))
        x = x - step
        lengths.append(float(np.linalg.norm(step)))
        if lengths[-1] < 1e-9:
            break
    return lengths


@pytest.mark.parametrize(("f", "start"), NEAR)
def test_newton_converges_quadratically(f, start):
    *_, before, last = newton_steps(f, np.array(start), 25)

    assert last < 1e-9
    assert last < 20 * before**2


def test_newton_converges_linearly_where_the_hessian_is_singular():
    lengths = newton_steps(powell_singular, np.array([3.0, -1.0, 0.0, 1.0]), 20)

    assert lengths[-1] / lengths[-2] == pytest.approx(2 / 3, abs=1e-6)
