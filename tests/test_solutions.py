"""root and fixed_point: found to the last bits, differentiated implicitly, in every tier."""

import gc
import math
import warnings
import weakref

import numpy as np
import pytest
from scipy.optimize import brentq

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def cube_root(a):
    return ng.root(lambda x: x**3 - a, 1.0)


def kepler(anomaly, eccentricity):
    return ng.root(lambda e: e - eccentricity * ng.sin(e) - anomaly, (0.0, 6.5))


def normal(x):
    return 0.5 * ng.erfc(-x / math.sqrt(2.0))


def price(spot, strike, years, volatility):
    spread = volatility * ng.sqrt(years)
    d = ng.log(spot / strike) / spread + 0.5 * spread
    return spot * normal(d) - strike * normal(d - spread)


def implied(quoted, strike):
    return ng.root(lambda v: price(100.0, strike, 0.75, v) - quoted, (1e-3, 4.0))


def hypotenuse(a, b):
    """Solve x + y = a, x·y = b for a list of two unknowns."""
    x, y = ng.root(lambda p: [p[0] + p[1] - a, p[0] * p[1] - b], [0.0, 5.0])
    return x * y * y


def settled(a):
    return ng.fixed_point(lambda x: ng.cos(a * x), 0.5)


CASES = {
    "cube_root": (cube_root, [(8.0,), (0.3,), (-5.0,), (1e9,)]),
    "kepler": (kepler, [(0.5, 0.1), (3.0, 0.9), (1e-3, 0.99), (6.0, 0.0)]),
    "implied": (implied, [(10.0, 100.0), (3.0, 120.0), (30.0, 75.0), (7.5, 101.0)]),
    "systems": (hypotenuse, [(3.0, 2.0), (5.0, 6.0), (7.0, -8.0), (2.5, 1.0)]),
    "fixed points": (settled, [(0.5,), (1.0,), (0.1,), (1.2,)]),
}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_tiers_agree(case, order, backend):
    f, rows = CASES[case]
    places = tuple(range(len(rows[0])))
    transform = [lambda f: f, lambda f: ng.grad(f, places), lambda f: ng.hessian(f, places)][order]
    eager = transform(f) if order else lambda *row: f(*map(Value, row)).data
    compiled = ng.compile(transform(f), backend=backend)
    expected = [flat(eager(*row)) for row in rows]

    called = [flat(compiled(*row)) for row in rows]
    mapped = compiled.map(*[list(column) for column in zip(*rows * 6, strict=True)])

    np.testing.assert_allclose(called, expected, rtol=1e-8, atol=1e-10)
    columns = [np.asarray(x) for x in flat(mapped)]
    np.testing.assert_allclose(np.transpose(columns), expected * 6, rtol=1e-8, atol=1e-10)
    assert compiled.stats()["guards"] == 0


def flat(found):
    return [found] if not isinstance(found, tuple | list) else [x for part in found for x in flat(part)]


def test_derivatives_are_those_of_the_closed_form():
    a = 5.0

    orders = [cube_root]
    for _ in range(3):
        orders.append(ng.grad(orders[-1]))

    factor, power = 1.0, 1 / 3
    for derivative in orders:
        assert ng.jvp(derivative, (a,), (0.0,))[0] == pytest.approx(factor * a**power, rel=1e-13)
        factor, power = factor * power, power - 1


@pytest.mark.parametrize(
    ("f", "start", "expected"),
    [
        (lambda x: x * x - 2.0, 1.0, math.sqrt(2.0)),
        (lambda x: x * x - 2.0, (0.0, 2.0), math.sqrt(2.0)),
        (lambda x: x * x - 2.0, (2.0, 0.0), math.sqrt(2.0)),
        (lambda x: ng.exp(x) - 1e-9, 5.0, math.log(1e-9)),
        (lambda x: x**3, (-1.0, 2.0), 0.0),
        (lambda x: x - 3.0, (3.0, 5.0), 3.0),
        (lambda x: x - 5.0, (3.0, 5.0), 5.0),
        (lambda x: ng.atan(x) - 1.0, 100.0, math.tan(1.0)),  # plain Newton flies away
        (lambda x: ng.cbrt(x) - 0.1, (-1.0, 5.0), 1e-3),
        (lambda x: ng.sign(x - 0.7) * ng.sqrt(abs(x - 0.7)), (0.0, 1.0), 0.7),  # slopes mislead
        (lambda x: ng.where(x < 0.3, -1.0, x - 0.2), (0.0, 1.0), 0.3),  # a jump, with no slope on the left
        (lambda x: x, 0.0, 0.0),
        (lambda x: x * 1e300, 1.0, 0.0),
    ],
)
def test_hard_functions(f, start, expected, backend):
    found = ng.root(f, start)
    compiled = ng.compile(lambda shift: ng.root(lambda x: f(x - shift), start), backend=backend)

    assert found == pytest.approx(expected, rel=4e-16, abs=1e-15)
    assert compiled(0.0) == pytest.approx(expected, rel=4e-16, abs=1e-15)


def test_plain_numbers_give_plain_numbers():
    assert type(ng.root(lambda x: x - 2.0, 1.0)) is float
    assert ng.root(lambda p: [p[0] - 2.0, p[1] + p[0]], [1.0, 1.0]) == [2.0, -2.0]
    assert type(ng.root(lambda p: p - np.array([1.0, 2.0]), np.zeros(2))) is np.ndarray


@pytest.mark.parametrize("start", [0.5, (-1.0, 1.0)])
def test_what_is_not_found_is_nan_with_a_warning(start, backend):
    def f(a):
        return ng.root(lambda x: x * x + a, start)

    compiled = ng.compile(f, backend=backend)

    with pytest.warns(RuntimeWarning, match="found no solution"):
        assert math.isnan(f(Value(1.0)).data)
    with pytest.warns(RuntimeWarning, match="1 of 1 results or rows are nan"):
        assert math.isnan(compiled(1.0))


def test_map_says_how_many_rows_found_nothing(backend):
    compiled = ng.compile(lambda a: ng.root(lambda x: ng.exp(x) - a, (-50.0, 50.0)), backend=backend)
    rows = [1.0, -1.0, 2.0, -2.0, -3.0, 4.0] * 5

    with pytest.warns(RuntimeWarning, match="15 of 30 results or rows are nan"):
        found = compiled.map(rows)

    np.testing.assert_allclose(found[::6], 0.0, atol=1e-15)
    assert np.isnan(found).sum() == 15


def test_a_solution_depends_on_leaves_closed_over(backend):
    w = Value(4.0)
    f = ng.value_and_grad(lambda x: x * ng.root(lambda y: y * y - w, 1.0), wrt=[w])
    compiled = ng.compile(f, backend=backend)
    assert flat(compiled(3.0)) == pytest.approx([6.0, 0.75])

    w.data = 9.0

    assert flat(compiled(3.0)) == pytest.approx([9.0, 0.5])
    w.grad = 0.0
    ng.root(lambda y: y * y - w, 1.0).backward()
    assert w.grad == pytest.approx(1 / 6)


def test_the_start_has_no_influence():
    assert ng.grad(lambda s: ng.root(lambda x: x * x - 2.0, s) * 3.0)(1.0) == 0.0


def test_roots_inside_loops_and_roots(backend):
    def steps(x):  # implicit Euler for y' = -y³
        return ng.fori_loop(0, 4, lambda _, y: ng.root(lambda z: z - y + 0.1 * z**3, y), x)

    def nested(a):
        return ng.root(lambda x: x * x - cube_root(a) * ng.root(lambda y: y * y - x - a, 2.0), 1.5)

    for f in (steps, nested):
        g = ng.value_and_grad(f)
        np.testing.assert_allclose(ng.compile(g, backend=backend)(1.7), g(1.7), rtol=1e-10)


def test_functions_that_branch_are_refused_compiled_only(backend):
    def f(a):
        return ng.root(lambda x: x - a if x > 0 else x * 2.0 - a, 1.0)

    assert ng.grad(f)(3.0) == pytest.approx(1.0)
    with pytest.raises(TypeError, match=r"nodegrad\.where"):
        ng.compile(f, backend=backend)(3.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ng.root(lambda x: [x, x], 1.0), "as many numbers as it takes, 1"),
        (lambda: ng.root(lambda p: p[0], [1.0, 2.0]), "as many numbers as it takes, 2"),
        (lambda: ng.root(lambda x: x, (1.0, 2.0, 3.0)), "a pair"),
        (lambda: ng.root(3.0, 1.0), "root takes f as a function; got 3.0"),
        (lambda: ng.fixed_point(None, 1.0), "fixed_point takes f as a function; got None"),
        (lambda: ng.root(lambda x: x, "1"), "real number"),
        (lambda: ng.root(lambda x: None, 1.0), "root"),
    ],
)
def test_bad_use_is_refused(call, message):
    with warnings.catch_warnings(), pytest.raises(TypeError, match=message):
        call()


# Functions whose slopes mislead, with a bracket, and a root.
MISLEADING = {
    "a triple root": (lambda x: (x - 0.3) ** 3, (-1.0, 1.7), 0.3),
    "nearly flat at the root": (lambda x: (x - 1.0) ** 19 + 1e-30 * (x - 1.0), (0.0, 5.0), 1.0),
    "atan from far away": (lambda x: ng.atan(x - 3.0), (-1e6, 2e6), 3.0),
    "flat, then steep": (
        lambda x: ng.exp(20.0 * (x - 1.0)) - 1e-3,
        (-30.0, 3.0),
        1.0 + math.log(1e-3) / 20.0,
    ),
    "exp": (lambda x: ng.exp(x) - 1e10, (0.0, 100.0), math.log(1e10)),
    "beside a pole": (lambda x: 1.0 / (x - 3.0) - 6.0, (3.0001, 5.0), 3.0 + 1.0 / 6.0),
    "a steep step": (lambda x: ng.tanh(1e4 * (x - 0.123)), (-5.0, 7.0), 0.123),
    "steps that leave the bracket": (lambda x: ng.cbrt(x - 0.7), (-10.0, 11.0), 0.7),
    "many humps": (lambda x: x + 0.5 * ng.sin(50.0 * x) - 0.2, (-3.0, 4.0), None),
    "a double root, nearly": (lambda x: x * x - 1e-20, (0.0, 1.0), 1e-10),
    "x²⁰": (lambda x: x**20 - 1.0, (0.0, 8.0), 1.0),
    "Kepler": (lambda x: x - 0.99 * ng.sin(x) - 0.02, (0.0, 3.2), None),
    "an easy one": (lambda x: ng.cos(x) - x, (0.0, 1.0), 0.7390851332151607),
}


@pytest.mark.parametrize("name", MISLEADING)
def test_bracket_takes_at_most_twice_the_evaluations_of_brent(name):
    f, bracket, expected = MISLEADING[name]
    counts = []

    def counted(x):
        counts[-1] += 1
        return f(x)

    counts.append(0)
    found = ng.root(counted, bracket)
    counts.append(0)
    brentq(counted, *bracket, xtol=1e-300, rtol=9e-16, maxiter=1000)

    assert found == pytest.approx(expected, rel=1e-15) if expected else abs(f(found)) < 1e-14
    assert counts[0] <= 2 * counts[1]


@pytest.mark.parametrize("power", [3, 9])
def test_bracket_of_a_root_at_zero_ends_where_the_function_is_zero(power):
    count = [0]

    def f(x):
        count[0] += 1
        return x**power

    assert abs(ng.root(f, (-1.0, 1.7))) < 1e-30
    assert count[0] < 1000


def test_sign_change_at_a_pole_is_no_root():
    count = [0]

    def f(x):
        count[0] += 1
        return 1.0 / x

    with pytest.warns(RuntimeWarning, match="root found no solution"):
        assert math.isnan(ng.root(f, (-1.0, 2.0)))
    assert count[0] < 2400


def test_bracket_as_wide_as_floats_go():
    assert ng.root(lambda x: x - 1e300, (-1.7e308, 1.7e308)) == 1e300


# What f closes over may change after the solution is found.


def sum_of_roots(numbers):
    total = 0.0
    for a in numbers:
        total = total + ng.root(lambda y: y * y - a, 1.0)  # noqa: B023  # the loop goes on: that is the point
    return total


def implicit_steps(x):
    y = x
    for k in (1.0, 2.0, 3.0):
        y = ng.root(lambda z: z + 0.1 * z**3 - k * y, 1.0)  # noqa: B023
    return y


def root_of_a_list_that_changes(x):
    factor = [2.0]
    found = ng.root(lambda y: y * y - x * factor[0], 1.0)
    factor[0] = 100.0
    return found


def fixed_points(numbers):
    total = 0.0
    for a in numbers:
        total = total + ng.fixed_point(lambda y: 0.5 * (y + a / y), 1.0)  # noqa: B023
    return total


@pytest.mark.parametrize("compiled", [lambda f: f, ng.compile], ids=["eager", "compiled"])
def test_derivatives_are_those_of_f_when_the_solution_was_found(compiled):
    for f in (sum_of_roots, fixed_points):
        assert compiled(ng.grad(f))([1.0, 4.0, 9.0]) == pytest.approx([0.5, 0.25, 1 / 6], rel=1e-15)
    hessian = compiled(ng.hessian(sum_of_roots))([1.0, 4.0, 9.0])
    assert [hessian[k][k] for k in range(3)] == pytest.approx([-1 / 4, -1 / 32, -1 / 108], rel=1e-14)
    assert compiled(ng.grad(implicit_steps))(1.0) == pytest.approx(0.9171565512446358, rel=1e-14)
    assert compiled(ng.grad(root_of_a_list_that_changes))(2.0) == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("compiled", [lambda f: f, ng.compile], ids=["eager", "compiled"])
def test_a_root_inside_a_root_has_derivatives_of_every_order(compiled):
    def nine_by(a):
        return ng.root(lambda x: ng.root(lambda y: y * y - x * a, 1.0) - 3.0, 1.0)

    assert compiled(ng.grad(nine_by))(2.0) == pytest.approx(-9 / 4, rel=1e-14)
    assert compiled(ng.grad(ng.grad(nine_by)))(2.0) == pytest.approx(18 / 8, rel=1e-13)


@pytest.mark.parametrize("compiled", [lambda f: f, ng.compile], ids=["eager", "compiled"])
def test_what_f_did_not_select_contributes_nothing(compiled):
    assert compiled(ng.grad(lambda a: ng.sqrt(ng.root(lambda y: y - ng.relu(a), 0.5))))(-1.0) == 0.0


def test_f_is_not_called_again_for_derivatives():
    calls = []
    a = ng.Value(2.0)
    found = ng.root(lambda y: calls.append(y) or y * y - a, 1.0)
    before = len(calls)

    found.backward()
    assert len(calls) == before
    assert a.grad == pytest.approx(0.5 / 2**0.5)


@pytest.mark.parametrize(
    "solved",
    [
        lambda a: ng.root(lambda y: y * y - a, 1.0),
        lambda a: ng.root(lambda p: [p[0] + p[1] - a - 2.0, p[0] * p[1] - 2.0], [0.0, 5.0])[0],
        lambda a: ng.fixed_point(lambda y: 0.5 * (y + a / y), 1.0),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_a_solution_is_freed_with_its_last_user(solved, order):
    gc.disable()
    try:
        a = ng.Value(2.0) * 1.0
        found = solved(a)
        slope = found if order == 1 else ng.grad(solved)(a)
        slope.backward()
        seen = [weakref.ref(x) for x in (a, found, found.op.whole, slope)]
        del a, found, slope

        assert [x() for x in seen] == [None] * 4
    finally:
        gc.enable()


def test_a_leaf_that_changed_since_is_refused():
    a = ng.Value(2.0)
    found = ng.root(lambda y: y * y - 3.0 * a, 1.0)

    a.data = 3.0

    with pytest.raises(RuntimeError, match="changed after root was computed"):
        found.backward()


@pytest.mark.parametrize("compiled", [lambda f: f, ng.compile], ids=["eager", "compiled"])
def test_loops_and_operations_of_ones_own_inside_f_have_derivatives_of_every_order(compiled):
    cube = ng.custom("cube", lambda x: x * x * x, lambda x, out: 3.0 * x * x)

    def fifth_root(a):  # a loop multiplies by x twice more
        return ng.root(lambda x: ng.fori_loop(0, 2, lambda _, y: y * x, cube(x)) - a, 1.5)

    factor, power, f = 1.0, 0.2, fifth_root
    for _ in range(3):
        factor, power, f = factor * power, power - 1.0, ng.grad(f)
        g = compiled(f)
        for a in (3.0, 5.0):
            assert g(a) == pytest.approx(factor * a**power, rel=1e-10)


# Starts and brackets.


@pytest.mark.parametrize("compiled", [lambda f: f, ng.compile], ids=["eager", "compiled"])
def test_ends_of_a_bracket_may_be_values(compiled):
    f = compiled(ng.grad(lambda x: ng.root(lambda y: y * y - x, (0.0, x + 1.0))))

    assert f(2.0) == pytest.approx(0.5 / 2**0.5)


def test_brackets_may_reach_to_infinity():
    assert ng.root(lambda y: y * y - 2.0, (0.0, math.inf)) == pytest.approx(2**0.5, rel=1e-15)
    assert ng.root(lambda y: y**3 + 8.0, (-math.inf, math.inf)) == pytest.approx(-2.0, rel=1e-15)


def test_roots_far_smaller_than_the_start_are_found():
    assert ng.root(lambda y: y * y - 1e-300, 1.0) == pytest.approx(1e-150, rel=1e-15)
    assert abs(ng.root(lambda y: y**3, 1.0)) < 1e-100


def test_a_start_at_infinity_finds_nothing():
    with pytest.warns(RuntimeWarning, match=r"no solution; the result is nan. Try another start"):
        assert math.isnan(ng.root(lambda y: y - 1.0, math.inf))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    "solve",
    [
        lambda a: ng.root(lambda x: x - a, (2.0, 5.0)),
        lambda a: ng.root(lambda x: x * 0.0 + a * (a < 1.0) + (x - a) * (a > 1.0), 1.0),
        lambda a: ng.root(lambda x: [x[0] - a, (x[1] - 1.0) * (a > 1.0) + (a < 1.0)], [1.0, 1.0])[0],
        lambda a: ng.fixed_point(lambda x: 0.5 * (x + a), ng.where(a > 1.0, 3.0, math.inf)),
    ],
)
def test_derivatives_of_what_is_not_found_are_nan_to_any_order(solve, order, backend):
    reverse, forward = solve, lambda a: ng.jvp(reverse_below, (a,), (1.0,))[1]
    for _ in range(order):
        reverse_below, reverse = reverse, ng.grad(reverse)
    found = [4.0, 1.0, 0.0, 0.0][order]  # at 4.0, where it is there: x = a

    for derivative in (reverse, forward, ng.compile(reverse, backend=backend), ng.compile(forward)):
        with pytest.warns(RuntimeWarning, match="nan"):
            assert math.isnan(derivative(0.5))
        assert derivative(4.0) == found
    with pytest.warns(RuntimeWarning, match="nan"):
        mapped = ng.compile(reverse, backend=backend).map([0.5, 4.0])
    np.testing.assert_array_equal(mapped, [math.nan, found])
