"""No nan from the branch not taken: `where` around singular points, in every mode, to order three."""

import math
from itertools import product

import pytest

import nodegrad as ng
from nodegrad import where

# The function, a point where one branch is singular, and the derivatives there of order 1, 2 and 3.
CASES = {
    "sqrt below": (lambda x: where(x > 0, ng.sqrt(x), 0.0), -1.0, (0, 0, 0)),
    "sqrt at 0": (lambda x: where(x > 0, ng.sqrt(x), 0.0), 0.0, (0, 0, 0)),
    "sqrt beside a curve": (lambda x: where(x > 0, ng.sqrt(x) * x, x * x), 0.0, (0, 2, 0)),
    "log at 0": (lambda x: where(x > 0, ng.log(x), 0.0), 0.0, (0, 0, 0)),
    "log below": (lambda x: where(x > 0, ng.log(x), x**3), -1.0, (3, -6, 6)),
    "x log x at 0": (lambda x: where(x > 0, x * ng.log(x), 0.0), 0.0, (0, 0, 0)),
    "sin x / x at 0": (lambda x: where(x == 0, 1 - x * x / 6, ng.sin(x) / x), 0.0, (0, -1 / 3, 0)),
    "1 / x at 0": (lambda x: where(x != 0, 1 / x, x * x), 0.0, (0, 2, 0)),
    "x / x² at 0": (lambda x: where(x > 0, x / (x * x), x), 0.0, (1, 0, 0)),
    "norm at 0": (lambda x: where(x != 0, ng.sqrt(x * x + 4 * x * x), x**3), 0.0, (0, 0, 6)),
    "ng.norm at 0": (lambda x: ng.norm([x, 2 * x]) + x * x, 0.0, (0, 2, 0)),
    "hypot at 0": (lambda x: where(x != 0, ng.hypot(x, x), x * x), 0.0, (0, 2, 0)),
    "atan2 at 0": (lambda x: where(x != 0, ng.atan2(x, x), x**3), 0.0, (0, 0, 6)),
    "x ** 0.5 below": (lambda x: where(x > 0, x**0.5, 0.0), -1.0, (0, 0, 0)),
    "x ** -2 at 0": (lambda x: where(x > 0, x**-2, x * x), 0.0, (0, 2, 0)),
    "x ** x below": (lambda x: where(x > 0, x**x, 1.0), -1.0, (0, 0, 0)),
    "acos at 1": (lambda x: where(abs(x) < 1, ng.acos(x), x**3), 1.0, (3, 6, 6)),
    "acos beyond": (lambda x: where(abs(x) < 1, ng.acos(x), x**3), 2.0, (12, 12, 6)),
    "exp overflows": (lambda x: where(x < 9, ng.exp(ng.exp(x)), x * x), 1000.0, (2000, 2, 0)),
    "nested": (lambda x: where(x > 0, where(x > 1, ng.log(x - 1), ng.sqrt(x)), x * x), -1.0, (-2, 2, 0)),
    "inside a product": (lambda x: where(x > 0, ng.log(x), 0.0) * ng.exp(x) + x**3, 0.0, (0, 0, 6)),
    "log of a clipped number": (lambda x: ng.log(ng.clip(x, 1e-3, 1.0)), -1.0, (0, 0, 0)),
    "sqrt of relu": (lambda x: where(x > 0, ng.sqrt(ng.relu(x)), 0.0), 0.0, (0, 0, 0)),
}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_branch_not_taken_contributes_nothing_in_any_mode(case, order):
    f, x, expected = CASES[case]

    for modes in product(("reverse", "forward"), repeat=order):
        derivative = f
        for mode in modes:
            derivative = ng.jacobian(derivative, mode=mode)

        assert derivative(x) == pytest.approx(expected[order - 1], abs=1e-12), modes


@pytest.mark.parametrize("case", CASES)
def test_branch_not_taken_contributes_nothing_to_backward(case):
    f, x, expected = CASES[case]
    leaf = ng.Value(x)

    f(leaf).backward()

    assert leaf.grad == expected[0]


def test_gradient_by_each_of_several_variables():
    def guarded_length(p):
        return where(p[0] * p[0] + p[1] * p[1] > 0, ng.sqrt(p[0] ** 2 + p[1] ** 2) / p[0], p[0] * p[1])

    assert ng.grad(guarded_length)([0.0, 0.0]) == [0.0, 0.0]
    assert ng.hessian(guarded_length)([0.0, 0.0]) == [[0.0, 1.0], [1.0, 0.0]]


def test_factor_that_happens_to_be_zero_keeps_the_second_derivative():
    assert ng.grad(ng.grad(lambda x: x * ng.exp(x)))(0.0) == 2.0
    assert ng.grad(ng.grad(lambda x: x * ng.log1p(x)))(0.0) == 2.0


def test_singularity_of_the_branch_taken_is_kept():
    assert ng.grad(ng.sqrt)(0.0) == math.inf
    assert ng.grad(lambda x: where(x >= 0, ng.sqrt(x), 0.0))(0.0) == math.inf
    assert math.isnan(ng.grad(lambda x: where(x < 0, ng.sqrt(x), 0.0))(-1.0))
