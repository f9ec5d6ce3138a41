"""Composed functions: values and derivatives against mpmath, and the hard points."""

import math

import mpmath
import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value

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


def test_norm_of_what_is_not_finite():
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
