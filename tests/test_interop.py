"""Values among NumPy arrays and scalars, in the standard library's functions, and under SciPy's solvers."""

import math
import statistics
from itertools import pairwise

import numpy as np
import pytest
from scipy import optimize

import nodegrad as ng
from nodegrad import Value

UNARY = (
    "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh exp exp2 expm1 log log2 log10 log1p "
    "sqrt cbrt square reciprocal negative positive absolute fabs floor ceil trunc rint conjugate"
)
BINARY = "add subtract multiply divide power remainder floor_divide maximum minimum fmax fmin arctan2 hypot"


def values(*numbers):
    return np.array([Value(x) for x in numbers], dtype=object)


def numbers(array):
    return np.array([x.data for x in np.ravel(array)]).reshape(np.shape(array))


# NumPy's functions on arrays of Values.


@pytest.mark.parametrize("name", UNARY.split())
def test_unary_functions_of_numpy_give_values(name):
    x = np.array([0.3, 0.8])

    found = getattr(np, name)(values(*x))

    np.testing.assert_allclose(numbers(found), getattr(np, name)(x), rtol=4e-16)


def test_arccosh_of_an_array():
    assert numbers(np.arccosh(values(1.5))) == np.arccosh(1.5)


@pytest.mark.parametrize("name", BINARY.split())
def test_binary_functions_of_numpy_give_values(name):
    x, y = np.array([0.3, 2.8]), np.array([1.1, 0.7])
    function = getattr(np, name)

    results = [function(values(*x), values(*y)), function(values(*x), y)]
    if name not in (
        "arctan2",
        "hypot",
    ):  # these NumPy asks of the left operand, and a float has no such method
        results.append(function(x, values(*y)))
    for found in results:
        assert [getattr(x, "data", x) for x in found] == pytest.approx(function(x, y).tolist(), rel=4e-16)


REDUCTIONS = "sum mean var std prod max min ptp median average cumsum sort diff round"


@pytest.mark.parametrize("name", REDUCTIONS.split())
def test_reductions_of_numpy_give_values(name):
    x = np.array([0.3, 2.8, 1.6])

    found = getattr(np, name)(values(*x))

    np.testing.assert_allclose(numbers(found), getattr(np, name)(x), rtol=1e-15)


@pytest.mark.parametrize("name", ["dot", "inner", "outer", "vdot", "kron", "convolve", "matmul"])
def test_products_of_numpy_give_values(name):
    x, y = np.array([0.3, 2.8]), np.array([1.1, 0.7])

    found = getattr(np, name)(values(*x), y)

    np.testing.assert_allclose(numbers(found), getattr(np, name)(x, y), rtol=1e-15)


def test_einsum_where_and_clip_give_values():
    x = values(1.0, 2.0)

    assert np.einsum("i,i", x, x).data == 5.0
    assert numbers(np.where(x > 1.5, x, 0.0 * x)).tolist() == [0.0, 2.0]
    assert np.clip(x, 1.5, 3.0)[1] is x[1]


def test_gradient_flows_through_numpy():
    x = np.array([0.3, 0.8])

    found = ng.grad(lambda x: np.std(np.arctan2(np.sin(x), 2.0) @ np.array([[1.0, 2.0], [3.0, 4.0]])))(x)

    ng.check_grad(lambda x: np.std(np.arctan2(np.sin(x), 2.0) @ np.array([[1.0, 2.0], [3.0, 4.0]])), x)
    assert found.dtype == np.float64


# NumPy scalars on either side.


@pytest.mark.parametrize(
    "scalar", [np.float64(2.0), np.float32(2.0), np.int64(2), np.uint8(2), np.array(2.0)]
)
@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**", "%", "//"])
def test_scalar_on_either_side_gives_one_value(scalar, symbol):
    names = {"v": Value(3.0), "s": scalar}

    for expression in (f"v {symbol} s", f"s {symbol} v"):
        found = eval(expression, names)

        assert type(found) is Value
        assert type(found.data) is float
        assert found.data == eval(expression, {"v": 3.0, "s": 2.0})


def test_comparison_with_a_scalar_is_recorded():
    v = Value(3.0)

    for answer in (np.float64(2.0) < v, v > np.float64(2.0), np.float64(3.0) == v, v != np.int64(3)):
        assert type(answer) is Value


def test_array_times_value_is_an_array_of_values():
    v = Value(3.0)

    for product in (v * np.arange(2.0), np.arange(2.0) * v, v * np.arange(2), np.arange(2) * v):
        assert numbers(product).tolist() == [0.0, 3.0]


def test_array_of_values_is_an_object_array():
    assert np.asarray([Value(1.0), Value(2.0)]).dtype == object


@pytest.mark.parametrize("convert", [lambda v: np.asarray([v], float), np.float64, np.zeros(1).fill])
def test_conversion_to_floats_is_refused(convert):
    with pytest.raises(TypeError, match="silently lose the gradient"):
        convert(Value(1.0))


# The standard library.


def test_sum_prod_max_min_and_sorted_keep_values():
    a, b, c = Value(3.0), Value(1.0), Value(2.0)

    assert sum([a, b, c]).data == math.prod([a, b, c]).data == 6.0
    assert max(a, b, c) is a
    assert min([a, b, c], key=lambda v: -v) is a
    assert [v.data for v in sorted([a, b, c], reverse=True)] == [3.0, 2.0, 1.0]


def test_gradient_flows_through_sum_and_max():
    assert ng.grad(lambda xs: sum(xs) * max(xs))([1.0, 3.0]) == [3.0, 7.0]


def test_rounding_gives_values():
    v = Value(2.567)

    found = [round(v), round(v, 1), math.floor(v), math.ceil(v), math.trunc(v), v // 1, *divmod(v, 1)]

    assert [x.data for x in found] == pytest.approx([3.0, 2.6, 2.0, 3.0, 2.0, 2.0, 2.0, 0.567])


def test_formatting_is_that_of_the_number():
    v = Value(2.5)

    assert (f"{v:.3f}", f"{v:>8g}", "{:e}".format(v)) == ("2.500", "     2.5", "2.500000e+00")  # noqa: UP032


LOSING = [
    math.sin,
    math.sqrt,
    math.isnan,
    lambda v: math.fsum([v, v]),
    lambda v: math.hypot(v, v),
    lambda v: math.pow(v, 2),
    lambda v: statistics.fmean([v, v]),
    lambda v: statistics.mean([v, v]),
    lambda v: statistics.stdev([v, v]),
    float,
    int,
    complex,
    lambda v: "%f" % v,  # noqa: UP031
]


@pytest.mark.parametrize("function", LOSING)
def test_what_would_lose_the_gradient_is_refused_with_the_remedy(function):
    with pytest.raises(TypeError, match=r"silently lose the gradient .*nodegrad\.sin.* value\.data"):
        function(Value(1.0))


def test_error_names_the_line_that_would_lose_the_gradient():
    def careless(v):
        return math.sin(v)

    line = careless.__code__.co_firstlineno + 1
    with pytest.raises(TypeError, match=rf"^float\(\) in careless \(line {line}\) would"):
        careless(Value(1.0))


# SciPy drives itself with our gradients and Jacobians.


def rosenbrock(x):
    return sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x))


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "TNC"])
def test_minimize_with_value_and_gradient(method):
    options = {"maxfun": 2000} if method == "TNC" else {}
    found = optimize.minimize(
        ng.value_and_grad(rosenbrock), np.zeros(5), jac=True, method=method, tol=1e-10, options=options
    )

    np.testing.assert_allclose(found.x, np.ones(5), atol=1e-4)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-exact"])
def test_minimize_with_hessian(method):
    start = np.array([0.9, 0.9, 0.9])
    found = optimize.minimize(
        ng.value_and_grad(rosenbrock), start, jac=True, hess=ng.hessian(rosenbrock), method=method, tol=1e-10
    )

    np.testing.assert_allclose(found.x, np.ones(3), atol=1e-5)


def test_minimize_with_hessian_times_vector():
    found = optimize.minimize(
        ng.value_and_grad(rosenbrock),
        np.zeros(4),
        jac=True,
        hessp=lambda x, v: ng.hvp(rosenbrock, (x,), (v,))[0],
        method="trust-ncg",
        tol=1e-10,
    )

    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-6)


@pytest.mark.parametrize("as_array", [np.array, list])
def test_least_squares_with_jacobian(as_array):
    times = np.linspace(0.0, 2.0, 12)
    data = 2.5 * np.exp(-1.3 * times)

    def residuals(p):
        return as_array([p[0] * ng.exp(-p[1] * t) - y for t, y in zip(times, data, strict=True)])

    def plain(p):
        return np.array([x.data if isinstance(x, Value) else x for x in residuals(p)])

    found = optimize.least_squares(plain, [1.0, 1.0], jac=ng.jacobian(residuals))

    np.testing.assert_allclose(found.x, [2.5, 1.3], rtol=1e-8)


def test_root_with_jacobian():
    def equations(x):
        return [x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]]

    found = optimize.root(equations, [0.0, 0.0], jac=ng.jacobian(equations), tol=1e-12)

    np.testing.assert_allclose(found.x, [0.8411639, 0.1588361], atol=1e-7)
    np.testing.assert_allclose(equations(found.x), 0.0, atol=1e-12)


def test_conditions_may_be_numpys_booleans():
    rows = np.array([1.0, -1.0])
    v = Value(3.0)

    assert [ng.where(x > 0, v, 0.0).data for x in rows] == [3.0, 0.0]
    assert ng.where(np.bool_(False), v, 1.0).data == 1.0
    assert ng.where(np.True_, 2.0, 1.0) == 2.0


@pytest.mark.parametrize(
    ("test", "remedy"),
    [
        (np.isnan, "value != value"),
        (np.isfinite, r"abs\(value\) < math.inf"),
        (np.isinf, r"abs\(value\) == math.inf"),
        (np.signbit, "copysign"),
        (math.isnan, "value != value"),
        (math.isinf, "value.data"),
        (math.isfinite, "value.data"),
    ],
)
def test_isnan_and_the_like_say_what_to_write(test, remedy):
    with pytest.raises(TypeError, match=remedy):
        test(Value(1.0))


def test_what_to_write_for_isnan_and_the_like_is_right():
    for x in (math.nan, math.inf, -math.inf, 1.0, -0.0):
        value = Value(x)

        assert bool(value != value) == np.isnan(x)
        assert bool(abs(value) < math.inf) == np.isfinite(x)
        assert bool(abs(value) == math.inf) == np.isinf(x)
        assert bool(ng.copysign(1.0, value) < 0) == np.signbit(x)


def test_what_to_write_for_isnan_works_on_arrays_where_numpy_refuses_the_test_itself():
    numbers = np.array([math.nan, math.inf, -math.inf, 1.0])
    values = np.array([*map(Value, numbers)], object)

    for test in (np.isnan, np.isfinite, np.isinf):
        with pytest.raises(TypeError):
            test(values)
    assert (values != values).tolist() == np.isnan(numbers).tolist()
    with np.errstate(invalid="ignore"):
        assert (abs(values) < math.inf).tolist() == np.isfinite(numbers).tolist()
    assert (abs(values) == math.inf).tolist() == np.isinf(numbers).tolist()


def test_numpys_functions_of_one_value_give_a_value():
    v = Value(2.0)

    for found in (
        np.exp(v),
        np.add(v, 1.0),
        np.maximum(v, 1.0),
        np.power(2.0, v),
        np.multiply(np.float32(3), v),
    ):
        assert type(found) is Value
    assert np.add.reduce([v, v, v]).data == 6.0
    assert type(np.less(np.float64(1.0), v)) is Value
