"""Composed functions: values and derivatives against mpmath, and the hard points."""

import math

import mpmath
import numpy as np
import pytest
from scipy import interpolate

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends
from nodegrad.trees import flatten

inf, nan = math.inf, math.nan

REFERENCE = {
    "leaky_relu": (lambda x: x if x > 0 else x / 100),
    "elu": (lambda x: x if x > 0 else mpmath.expm1(x)),
    "selu": (
        lambda x: (
            mpmath.mpf(1.0507009873554805)
            * (x if x > 0 else mpmath.mpf(1.6732632423543772) * mpmath.expm1(x))
        )
    ),
    "gelu": (lambda x: x * mpmath.ncdf(x)),
    "silu": (lambda x: x / (1 + mpmath.exp(-x))),
    "mish": (lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))),
    "softsign": (lambda x: x / (1 + abs(x))),
    "log_sigmoid": (lambda x: -mpmath.log1p(mpmath.exp(-x))),
}


def gradient(function, *numbers):
    operands = [Value(x) for x in numbers]
    function(*operands).backward()
    return [operand.grad for operand in operands]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("x", [-30.0, -3.0, -0.4, -1e-9, 1e-9, 0.7, 5.0, 40.0])
def test_activations_and_their_derivatives(name, x):
    function = getattr(ng, name)
    with mpmath.workdps(50):
        value = float(REFERENCE[name](mpmath.mpf(x)))
        slope = float(mpmath.diff(REFERENCE[name], mpmath.mpf(x), h=mpmath.mpf(10) ** -25))

    assert type(function(x)) is float
    assert function(x) == pytest.approx(value, rel=1e-13)
    assert function(Value(x)).data == function(x)
    assert gradient(function, x) == [pytest.approx(slope, rel=1e-11, abs=1e-15)]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("x", [-1000.0, 1000.0, 0.0])
def test_activations_stay_finite_far_out(name, x):
    function = getattr(ng, name)

    assert math.isfinite(function(x))
    assert math.isfinite(gradient(function, x)[0])


def test_sum_and_dot_are_one_node_each():
    xs = [Value(float(i)) for i in range(5)]

    assert len(ng.sum(xs).operands) == 5
    assert len(ng.dot(xs, [1, 2, 3, 4, 5]).operands) == 10
    assert ng.dot(xs, [1, 2, 3, 4, 5]).data == 40.0


def test_sum_and_dot_of_nothing_are_zero():
    assert ng.sum([]) == 0.0
    assert ng.dot([], []) == 0.0


def test_sum_and_dot_add_from_left_to_right():
    numbers = [1e16, 1.0, -1e16]

    assert ng.sum(numbers) == (1e16 + 1.0) - 1e16
    assert ng.dot(numbers, [1.0, 1.0, 1.0]) == (1e16 + 1.0) - 1e16


def test_gradient_of_sum_and_dot():
    assert gradient(lambda *xs: ng.sum(xs), 1.0, 2.0, 3.0) == [1.0, 1.0, 1.0]
    assert gradient(lambda a, b, c, d: ng.dot([a, b], [c, d]), 1.0, 2.0, 3.0, 4.0) == [3.0, 4.0, 1.0, 2.0]


def test_sum_of_one_value():
    assert gradient(lambda x: ng.sum([x]), 2.0) == [1.0]


def test_shared_operand_of_dot_accumulates():
    assert gradient(lambda x: ng.dot([x, x], [x, 1.0]), 3.0) == [7.0]


def test_dot_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="dot takes two vectors of equal length; got lengths 2 and 3"):
        ng.dot([1, 2], [1, 2, 3])


@pytest.mark.parametrize("name", ["mean", "logsumexp", "softmax", "log_softmax"])
def test_functions_of_no_numbers_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} needs at least one number; got none"):
        getattr(ng, name)([])


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "norm", "logsumexp", "softmax", "log_softmax"])
def test_one_number_where_a_sequence_belongs_is_refused_by_name(name):
    with pytest.raises(TypeError, match=rf"^{name} takes a sequence of numbers; got Value\(.* of type Value"):
        getattr(ng, name)(Value(1.0))


def test_dot_refuses_two_single_numbers():
    with pytest.raises(TypeError, match="^dot takes a sequence of numbers; got 1.0 of type float"):
        ng.dot(1.0, 2.0)


def test_mean_and_prod():
    assert ng.mean([1, 2, 6]) == 3.0
    assert ng.prod([]) == 1.0
    assert gradient(lambda *xs: ng.mean(xs), 1.0, 5.0) == [0.5, 0.5]
    assert gradient(lambda *xs: ng.prod(xs), 0.0, 2.0, 3.0) == [6.0, 0.0, 0.0]


def test_norm_and_its_gradient_at_the_origin():
    assert ng.norm([3, 4]) == 5.0
    assert gradient(lambda *xs: ng.norm(xs), 3.0, 4.0) == pytest.approx([0.6, 0.8])
    assert gradient(lambda *xs: ng.norm(xs), 0.0, 0.0) == [0.0, 0.0]


@pytest.mark.parametrize("scale", [1e200, 1e154, 1e-162, 1e-200, 3e-322, 1.0])
def test_norm_neither_overflows_nor_underflows(scale):
    a, b = 3.0 * scale, 4.0 * scale
    length = float(mpmath.sqrt(mpmath.mpf(a) ** 2 + mpmath.mpf(b) ** 2))

    assert ng.norm([a, b]) == pytest.approx(length, rel=1e-15)
    assert gradient(lambda *xs: ng.norm(xs), a, b) == pytest.approx([a / length, b / length], rel=1e-14)


@pytest.mark.parametrize("point", [[1e100, 2e100], [1e-120, 2e-120], [1e160, -2e160], [3e-160, 1e-160]])
def test_second_derivatives_of_norm_are_right_at_any_scale(point):
    x, y = map(mpmath.mpf, point)
    length = mpmath.sqrt(x * x + y * y)
    expected = [y * y / length**3, -x * y / length**3]

    assert ng.hessian(ng.norm)(point)[0] == pytest.approx([float(z) for z in expected], rel=1e-12)


def test_norm_keeps_the_slope_of_a_number_that_is_tiny_beside_the_others():
    slopes = gradient(lambda *xs: ng.norm(xs), 5e-324, 1e-148)

    assert slopes == pytest.approx([5e-324 / 1e-148, 1.0], rel=1e-14, abs=0.0)


def test_norm_of_numbers_that_are_not_finite():
    assert ng.norm([math.inf, 1.0]) == math.inf
    assert math.isnan(ng.norm([math.nan, 1.0]))


@pytest.mark.parametrize(
    ("x", "value", "slope"),
    [(-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (2.0, 2.0, 1.0), (5.0, 5.0, 1.0), (7.0, 5.0, 0.0)],
)
def test_clip(x, value, slope):
    assert ng.clip(x, 0.0, 5.0) == value
    assert gradient(lambda v: ng.clip(v, 0.0, 5.0), x) == [slope]


def test_clip_with_bounds_in_the_wrong_order_is_the_upper_one():
    for x in (-3.0, 5.0, 20.0):
        assert ng.clip(x, 10.0, 0.0) == np.clip(x, 10.0, 0.0) == 0.0


@pytest.mark.parametrize("bounds", [(0.0,), (0.0, None), (None, 5.0), (None, None)])
@pytest.mark.parametrize("x", [-1.0, 2.0, 7.0])
def test_clip_takes_none_for_no_bound(x, bounds):
    expected = np.clip(x, bounds[0], bounds[-1] if len(bounds) > 1 else None)

    assert ng.clip(x, *bounds) == expected
    assert gradient(lambda v: ng.clip(v, *bounds), x) == [float(expected == x)]


def test_clip_passes_nan_on():
    assert math.isnan(ng.clip(nan, 0.0, 1.0))


@pytest.mark.parametrize("x", [-1000.0, -1.0, 0.0, 2.0, 1000.0])
@pytest.mark.parametrize("y", [-1000.0, 0.0, 2.0, 999.0])
def test_logaddexp(x, y):
    with mpmath.workdps(500):
        value = mpmath.log(mpmath.exp(x) + mpmath.exp(y))
        shares = [float(mpmath.exp(z - value)) for z in (x, y)]

    assert ng.logaddexp(x, y) == pytest.approx(float(value), rel=1e-15)
    assert gradient(ng.logaddexp, x, y) == pytest.approx(shares, rel=1e-12, abs=1e-16)


def test_logaddexp_of_infinities():
    assert ng.logaddexp(-inf, -inf) == -inf
    assert ng.logaddexp(-inf, 3.0) == 3.0
    assert ng.logaddexp(inf, -inf) == inf
    assert ng.logaddexp(inf, inf) == inf
    assert math.isnan(ng.logaddexp(nan, 1.0))
    assert math.isnan(ng.logaddexp(1.0, nan))


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_softmax_and_logsumexp_do_not_overflow(shift):
    numbers = [shift + 1.0, shift + 2.0, shift + 4.0]
    weights = [math.exp(x) for x in (1.0, 2.0, 4.0)]
    shares = [weight / math.fsum(weights) for weight in weights]

    assert ng.softmax(numbers) == pytest.approx(shares, rel=1e-12)
    assert ng.logsumexp(numbers) == pytest.approx(shift + math.log(math.fsum(weights)), rel=1e-13)
    assert ng.log_softmax(numbers) == pytest.approx([math.log(s) for s in shares], rel=1e-10)
    assert gradient(lambda *xs: ng.logsumexp(xs), *numbers) == pytest.approx(shares, rel=1e-12)
    assert gradient(lambda *xs: ng.softmax(xs)[0], *numbers) == pytest.approx(
        [shares[0] * (1 - shares[0]), -shares[0] * shares[1], -shares[0] * shares[2]], rel=1e-12
    )


@pytest.mark.parametrize("numbers", [(-inf, -inf), (inf, inf), (inf, 1.0), (-inf, 2.0), (1.0, 1.0)])
def test_logsumexp_and_logaddexp_agree_where_something_is_infinite(numbers):
    value = ng.logaddexp(*numbers)
    shares = [0.0, 0.0] if math.isinf(value) else [math.exp(x - value) for x in numbers]

    for f in (ng.logaddexp, lambda *xs: ng.logsumexp(xs)):
        assert f(*numbers) == pytest.approx(value)
        assert gradient(f, *numbers) == pytest.approx(shares)
        assert ng.jacobian(lambda xs, f=f: f(*xs), mode="forward")(list(numbers)) == pytest.approx(shares)
        assert not np.isnan(ng.hessian(lambda xs, f=f: f(*xs))(list(numbers))).any()


def test_logsumexp_of_infinities():
    assert ng.logsumexp([-inf, -inf]) == -inf
    assert ng.logsumexp([inf, 1.0]) == inf
    assert ng.logsumexp([-inf, 2.0]) == 2.0


# Tables.

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
PLACES = [0.0, 0.5, 1.25, 2.0, 3.5, 4.0]
HEIGHTS = [1.0, -0.5, 0.25, 3.0, 2.0, 2.5]
INSIDE = [0.0, 0.3, 0.5, 1.7, 2.0, 3.9, 4.0]


def test_take_rounds_down_and_is_nan_outside():
    table = [10.0, 20.0, 30.0]

    assert [ng.take(table, x) for x in (0.0, 0.9, 1.0, 2.99)] == [10.0, 10.0, 20.0, 30.0]
    assert all(math.isnan(ng.take(table, x)) for x in (-0.1, -1.0, 3.0, inf, -inf, nan))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("index", [-1.0, 7.0, math.nan])
def test_what_take_does_not_find_has_no_slope_in_any_tier(index, mode):
    f = ng.jacobian(lambda p: ng.abs(ng.take([p[0], p[0], p[0]], p[1])), mode=mode)
    point = [2.0, index]
    compiled = ng.compile(f)

    for found in (f(point), [x.data for x in f([Value(x) for x in point])], compiled(point)):
        assert list(found) == [0.0, 0.0]
    assert np.array(compiled.map([point, point])).tolist() == [[0.0, 0.0]] * 2


def test_derivative_of_take_is_that_of_the_entry_taken():
    table = [Value(x) for x in (1.0, 2.0, 3.0)]
    index = Value(1.5)

    (ng.take(table, index) ** 2).backward()

    assert [x.grad for x in (*table, index)] == [0.0, 4.0, 0.0, 0.0]
    assert (
        ng.grad(lambda x: ng.sqrt(ng.take([0.0, x], 0.0)))(5.0) == 0.0
    )  # an entry that is not taken: nothing


def test_derivative_by_an_entry_inside_a_derivative_by_the_index():
    inner = lambda x: ng.grad(lambda t: ng.take([t * x, t * t * x], x))(3.0)  # noqa: E731

    assert [inner(x) for x in (0.5, 1.5)] == [0.5, 9.0]
    assert [ng.grad(inner)(x) for x in (0.5, 1.5)] == [1.0, 6.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exact", [True, False])
def test_compiled_take_looks_up_in_constants_parameters_and_rows(exact, backend):
    weights = [Value(0.5), Value(-2.0), Value(4.0)]
    cases = {
        "constants": lambda i, a, b: ng.take([1.0, 2.0, 2.0, 3.0], i),
        "parameters": lambda i, a, b: ng.take(weights, i) * a,
        "rows": lambda i, a, b: ng.take([a, b, a * b], i),
        "mixed": lambda i, a, b: ng.take([a, 7.0, weights[0]], i),
        "several": lambda i, a, b: ng.dot(
            [ng.take([k, a, b], i) for k in (1.0, 2.0, 3.0, 4.0, 5.0)], [a, b, a, b, 1.0]
        ),
        "slopes": ng.grad(lambda i, a, b: ng.take([a * a, b, a * b, weights[1] * a], i), (1, 2)),
        "fixed": lambda i, a, b: ng.take([a, b], 1.0),
    }
    points = [
        (0.0, 1.5, -2.0),
        (1.0, 2.0, 3.0),
        (2.9, -1.0, 0.5),
        (-1.0, 1.0, 1.0),
        (7.0, 1.0, 1.0),
        (nan, 1.0, 1.0),
    ]
    points += [(k % 3 + 0.25, 0.1 * k, 1.0 - k) for k in range(40)]
    for name, f in cases.items():
        compiled = ng.compile(f, backend=backend, exact=exact)
        rows = np.array([[getattr(x, "data", x) for x in flatten(f(*point))[0]] for point in points])

        found = np.array(compiled.map(*map(list, zip(*points, strict=True)))).reshape(rows.shape[1], -1).T

        np.testing.assert_allclose(found, rows, rtol=1e-15, err_msg=name)
        np.testing.assert_allclose(np.ravel(compiled(*points[1])), rows[1], rtol=1e-15, err_msg=name)


@pytest.mark.parametrize(("method", "order"), [("linear", 1), ("cubic", 3)])
def test_interpolation_and_its_derivatives(method, order):
    spline = interpolate.CubicSpline(PLACES, HEIGHTS, bc_type="natural")
    line = interpolate.make_interp_spline(PLACES, HEIGHTS, k=1)
    function = lambda x: ng.interp(x, PLACES, HEIGHTS, method)  # noqa: E731
    for k in range(order + 1):
        for x in (0.3, 1.7, 2.6, 3.9):
            expected = (spline if method == "cubic" else line)(x, k)
            assert function(x) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)
        function = ng.grad(function)


def test_interpolation_meets_its_points_and_goes_on_beyond_them():
    spline = interpolate.CubicSpline(PLACES, HEIGHTS, bc_type="natural")
    for x in (-1.0, 0.0, 2.0, 4.0, 6.0):
        assert ng.interp(x, PLACES, HEIGHTS) == np.interp(x, PLACES, HEIGHTS)
        assert ng.interp(x, PLACES, HEIGHTS, "cubic") == pytest.approx(float(spline(x)), rel=1e-12)
    assert ng.grad(ng.interp)(-1.0, PLACES, HEIGHTS) == ng.grad(ng.interp)(9.0, PLACES, HEIGHTS) == 0.0


@pytest.mark.parametrize("method", ["linear", "cubic"])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_interpolation_is_differentiated_by_its_points(method, count):
    def f(x, xs, ys):
        return ng.interp(x, xs, ys, method)

    ng.check_grad(f, 0.3, PLACES[:count], HEIGHTS[:count])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_compiled_interpolation_is_the_eager_one(method, backend):
    ys = [Value(y) for y in HEIGHTS]
    f = ng.value_and_grad(lambda x: ng.interp(x, PLACES, ys, method))
    compiled = ng.compile(f, backend=backend)

    found = compiled.map(INSIDE)

    expected = [f(x) for x in INSIDE]
    assert found[0].tolist() == pytest.approx([value.data for value, _ in expected], rel=1e-13)
    assert found[1].tolist() == pytest.approx([slope.data for _, slope in expected], rel=1e-12, abs=1e-13)


def test_a_spline_is_compiled_to_few_look_ups():
    xs = [0.25 * k for k in range(41)]
    compiled = ng.compile(lambda x: ng.interp(x, xs, [math.sin(x) for x in xs], "cubic"))
    compiled(0.3)

    assert str(compiled).count("take") == 1
    assert compiled.stats()["vector_instructions"] < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [1.0]), "two points or more, .* got 1 xs and 1 ys"),
        (([0.0, 1.0], [1.0]), "got 2 xs and 1 ys"),
        (([0.0, 1.0], [1.0, 2.0], "quadratic"), "method from linear, cubic; got 'quadratic'"),
    ],
)
def test_interp_refuses_what_it_cannot_interpolate(arguments, message):
    with pytest.raises(ValueError, match=message):
        ng.interp(0.5, *arguments)
