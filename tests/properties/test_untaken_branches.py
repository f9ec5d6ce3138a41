"""No nan from what was not selected: around singular points and inside, in every mode, to order three."""

import math
from itertools import product

import pytest

import nodegrad as ng
from nodegrad import where
from nodegrad.compiler import backends
from nodegrad.ops import TABLE

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]

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
    "products overflow": (
        lambda x: where(x > 1, ng.square(ng.square(x * 1e100) * 1e200), x * x),
        1e-18,
        (2e-18, 2, 0),
    ),
    "a series overflows": (lambda x: where(x < -11, ng.log(-(x**-28)), x**3), 1e-18, (3e-36, 6e-18, 6)),
    "nested": (lambda x: where(x > 0, where(x > 1, ng.log(x - 1), ng.sqrt(x)), x * x), -1.0, (-2, 2, 0)),
    "inside a product": (lambda x: where(x > 0, ng.log(x), 0.0) * ng.exp(x) + x**3, 0.0, (0, 0, 6)),
    "log of a clipped number": (lambda x: ng.log(ng.clip(x, 1e-3, 1.0)), -1.0, (0, 0, 0)),
    "sqrt of relu": (lambda x: where(x > 0, ng.sqrt(ng.relu(x)), 0.0), 0.0, (0, 0, 0)),
}

# Likewise, for an operand that was not selected inside a function whose derivative is inf or nan there.
SELECTIONS = {
    "sqrt of where": (lambda x: ng.sqrt(where(x > 0, x, 0.0)), -1.0),
    "sqrt of where at 0": (lambda x: ng.sqrt(where(x > 0, x, 0.0)), 0.0),
    "sqrt of the other branch": (lambda x: ng.sqrt(where(x < 0, 0.0, x * x)), -1.0),
    "sqrt of maximum": (lambda x: ng.sqrt(ng.maximum(x, 0.0)), -1.0),
    "sqrt of minimum": (lambda x: ng.sqrt(-ng.minimum(0.0, x)), 1.0),
    "sqrt of relu": (lambda x: ng.sqrt(ng.relu(x)), -1.0),
    "sqrt of abs": (lambda x: ng.sqrt(abs(x)), 0.0),
    "sqrt of copysign": (lambda x: ng.sqrt(ng.copysign(x, 1.0)), 0.0),
    "log of relu": (lambda x: ng.log(ng.relu(x)), 0.0),
    "1 / relu": (lambda x: 1 / ng.relu(x), -1.0),
    "relu ** 0.5": (lambda x: ng.relu(x) ** 0.5, -1.0),
    "cbrt of relu": (lambda x: ng.cbrt(ng.relu(x)), -1.0),
    "acos of clip": (lambda x: ng.acos(ng.clip(x, -1.0, 1.0)), 2.0),
    "atanh of clip": (lambda x: ng.atanh(ng.clip(x, -1.0, 1.0)), -3.0),
    "norm of dead relus": (lambda x: ng.norm([ng.relu(x), ng.relu(x - 1.0)]), -1.0),
    "relu times inf": (lambda x: ng.relu(x) * math.inf, -1.0),
    "two relus": (lambda x: ng.sqrt(ng.relu(x) * 2.0 + ng.relu(x - 1.0)), -1.0),
    "two relus, multiplied": (lambda x: ng.sqrt(ng.relu(x) * ng.relu(x - 1.0)), -1.0),
    "relus in a dot": (lambda x: ng.sqrt(ng.dot([ng.relu(x), ng.relu(x - 1)], [ng.relu(x), 2.0])), -1.0),
    "through other functions": (lambda x: ng.sqrt(ng.sin(ng.expm1(where(x > 0, x, 0.0)))), -1.0),
}
CASES |= {f"{name} inside": (f, x, (0, 0, 0)) for name, (f, x) in SELECTIONS.items()}


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_branch_not_taken_contributes_nothing_in_any_mode(case, order):
    f, x, expected = CASES[case]

    for modes in product(("reverse", "forward"), repeat=order):
        derivative = f
        for mode in modes:
            derivative = ng.jacobian(derivative, mode=mode)

        assert derivative(x) == pytest.approx(expected[order - 1], abs=1e-12), modes


ZERO_FACTORS = {  # a function, and its derivatives of order 1 to 4 at 0, where one of its factors is 0
    "horner": (lambda x: 1.0 + x * (2.0 + x * (3.0 + x * (4.0 + x * 5.0))), (2, 6, 24, 120)),
    "power": (lambda x: x * x * x * x, (0, 0, 0, 24)),
    "product": (lambda x: x * ng.exp(x) * ng.cos(x), (1, 2, 0, -8)),
    "dot": (lambda x: ng.dot([x, x * x, x], [x * x, x, ng.sin(x)]) * x, (0, 0, 6, 48)),
}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ZERO_FACTORS)
def test_a_factor_that_is_zero_keeps_its_higher_derivatives_in_any_mode(name, order):
    f, expected = ZERO_FACTORS[name]

    for modes in product(("reverse", "forward"), repeat=order):
        derivative = f
        for mode in modes:
            derivative = ng.jacobian(derivative, mode=mode)

        assert derivative(0.0) == pytest.approx(expected[order - 1], abs=1e-12), modes
    assert ng.compile(derivative)(0.0) == pytest.approx(expected[order - 1], abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_branch_not_taken_contributes_nothing_to_backward(case):
    f, x, expected = CASES[case]
    leaf = ng.Value(x)

    f(leaf).backward()

    assert leaf.grad == expected[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", SELECTIONS)
def test_operands_not_selected_contribute_nothing_when_compiled(case, backend):
    f, x = SELECTIONS[case]
    for modes in [*product(("reverse", "forward"), repeat=2), ("reverse",), ("forward",)]:
        derivative = f
        for mode in modes:
            derivative = ng.jacobian(derivative, mode=mode)
        expected = [derivative(2.5), derivative(x)]
        for exact in (True, False):
            compiled = ng.compile(derivative, backend=backend, exact=exact)

            found = compiled.map([2.5, x])

            assert found.tolist() == pytest.approx(expected, rel=1e-12, nan_ok=True), modes
            assert compiled(x) == found[1] == 0.0


def singular_points():
    """List (row, operand, number) wherever the partial by an operand is inf or nan at a number."""
    found = []
    for row in TABLE.values():
        if row.zero_derivative or row.arity is None:
            continue
        for place, number in product(range(row.arity), (0.0, 1.0, -1.0, -2.0, math.inf, -math.inf)):
            if row.partials[place] is not None and not math.isfinite(ng.grad(at(row, place))(number)):
                found.append((row, place, number))
    return found


def at(row, place):
    """Return a row as a function of one operand; the others stand in the middle of their domains."""
    middle = [(low + high) / 2 for low, high in row.domain]
    return lambda x: row(*middle[:place], x, *middle[place + 1 :])


def along(f, modes):
    for mode in modes:
        f = ng.jacobian(f, mode=mode)
    return f


SINGULAR = pytest.mark.parametrize(
    ("row", "place", "number"), singular_points(), ids=lambda x: getattr(x, "name", str(x))
)
DIRECTIONS = [modes for order in (1, 2, 3) for modes in product(("reverse", "forward"), repeat=order)]
COMPILED = [("forward",), ("reverse", "reverse")]  # compiling takes most of the time


@SINGULAR
def test_operand_not_selected_contributes_nothing_at_any_singular_point(row, place, number):
    f = at(row, place)
    selected = lambda x: f(where(x > 0, x, number))  # noqa: E731

    for modes in DIRECTIONS:
        derivative = along(selected, modes)
        assert derivative(-1.0) == derivative(ng.Value(-1.0)).data == 0.0, modes
    for backend, modes in product(BACKENDS, COMPILED):
        assert ng.compile(along(selected, modes), backend=backend).map([-1.0]).tolist() == [0.0], modes


@SINGULAR
def test_ordinary_zero_gives_nan_at_any_singular_point(row, place, number):
    f = at(row, place)
    ordinary = lambda x: f(x * 0.0 + number)  # noqa: E731

    for modes in DIRECTIONS:
        derivative = along(ordinary, modes)
        found = derivative(1.0)
        # From order 2 on the zero adjoint of what is infinite is strong: 0 in some directions, nan in others.
        assert math.isnan(found) or (len(modes) > 1 and found in (0.0, math.inf, -math.inf)), modes
        assert derivative(ng.Value(1.0)).data == pytest.approx(found, nan_ok=True)
        for backend in BACKENDS if modes in COMPILED else ():
            compiled = ng.compile(derivative, backend=backend)
            assert compiled.map([1.0])[0] == pytest.approx(found, nan_ok=True), modes


def test_one_sample_on_the_kink_leaves_the_gradient_of_its_batch_alone():
    batch = [1.0, -1.0, 4.0]
    loss = lambda w: ng.mean([ng.sqrt(ng.relu(w * x)) for x in batch])  # noqa: E731

    assert ng.grad(loss)(1.0) == pytest.approx((1.0 + 2.0) / 6.0)
    assert ng.jvp(loss, (1.0,), (1.0,))[1] == pytest.approx((1.0 + 2.0) / 6.0)


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
