"""Losses: values against their formulas, stable derivatives, and shapes that must agree."""

import math

import mpmath
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.nn import LOSSES
from nodegrad.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    mean_absolute_error,
    mean_squared_error,
)

# loss, predictions, targets, value, gradient for each prediction; worked out by hand from the definitions
CASES = [
    (mean_squared_error, [1.0, 4.0], [3.0, 3.0], 2.5, [-2.0, 1.0]),
    (mean_absolute_error, [1.0, 4.0, 3.0], [3.0, 3.0, 3.0], 1.0, [-1 / 3, 1 / 3, 0.0]),
    (huber, [0.5, 3.0, -3.0, 1.0], [0.0, 0.0, 0.0, 0.0], 5.625 / 4, [0.125, 0.25, -0.25, 0.25]),
    (hinge, [0.5, 3.0, 0.5, 1.0], [1, 1, -1, 1], 0.5, [-0.25, 0.0, 0.25, 0.0]),
    (
        binary_cross_entropy,
        [0.2, 0.6, 0.5],
        [0, 1, 0.25],
        -(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 3,
        [1.25 / 3, -1 / 0.6 / 3, 1 / 3],
    ),
    (
        binary_cross_entropy_with_logits,
        [0.0, math.log(3.0), math.log(3.0)],
        [1, 0, 0.5],
        (math.log(2.0) + math.log(4.0) + 0.5 * math.log(4.0 / 3.0) + 0.5 * math.log(4.0)) / 3,
        [-0.5 / 3, 0.75 / 3, 0.25 / 3],
    ),
    (cross_entropy, [0.0, math.log(2.0), 0.0], 1, math.log(2.0), [0.25, -0.5, 0.25]),
    (cross_entropy, [0.0, math.log(2.0), 0.0], [0.5, 0.0, 0.5], math.log(4.0), [-0.25, 0.5, -0.25]),
]


@pytest.mark.parametrize(("loss", "predictions", "targets", "value", "gradient"), CASES)
def test_value_and_gradient(loss, predictions, targets, value, gradient):
    values = [Value(p) for p in predictions]

    out = loss(values, targets)
    out.backward()

    assert out.data == pytest.approx(value, rel=1e-14)
    assert [v.grad for v in values] == pytest.approx(gradient, rel=1e-14, abs=1e-300)
    assert loss(predictions, targets) == out.data


@pytest.mark.parametrize(("loss", "predictions", "targets", "value", "gradient"), CASES)
def test_targets_that_are_values_give_the_same(loss, predictions, targets, value, gradient):
    if loss is cross_entropy and not isinstance(targets, list):
        targets = [float(j == targets) for j in range(len(predictions))]
    values = [Value(p) for p in predictions]

    out = loss(values, [Value(target) for target in targets])
    out.backward()

    assert out.data == pytest.approx(value, rel=1e-14)
    assert [v.grad for v in values] == pytest.approx(gradient, rel=1e-14, abs=1e-300)


def test_every_loss_is_found_by_name():
    assert [LOSSES[loss.__name__] for loss, *_ in CASES] == [loss for loss, *_ in CASES]
    assert len(LOSSES) == len({loss for loss, *_ in CASES})


@pytest.mark.parametrize("loss", [loss for name, loss in LOSSES.items() if name != "cross_entropy"])
def test_single_numbers_and_lists_of_one_agree(loss):
    assert loss(0.25, 1) == loss([0.25], [1]) == loss(0.25, [1]) == loss([[0.25]], [[1]])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_numpy_arrays_are_accepted(loss):
    np = pytest.importorskip("numpy")
    rows, targets = [[0.2, 0.7], [0.4, 0.1]], [[1.0, 1.0], [1.0, 1.0]]

    assert loss(np.array(rows), np.array(targets)) == loss(rows, targets)
    values = np.array([[Value(x) for x in row] for row in rows])
    assert loss(values, np.array(targets)).data == loss(rows, targets)


def test_cross_entropy_averages_over_samples():
    first, second = cross_entropy([1.0, 2.0], 0), cross_entropy([0.0, 3.0], 1)

    np = pytest.importorskip("numpy")
    assert cross_entropy([[1.0, 2.0], [0.0, 3.0]], [0, 1]) == pytest.approx((first + second) / 2, rel=1e-15)
    assert cross_entropy([[1.0, 2.0], [0.0, 3.0]], np.array([0, 1])) == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_lengths_are_checked(loss):
    with pytest.raises(ValueError, match=loss.__name__):
        loss([[1.0, 2.0], [1.0, 2.0]], [1])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_nothing_to_average_is_refused(loss):
    with pytest.raises(ValueError, match=loss.__name__):
        loss([], [])


@pytest.mark.parametrize("loss", [mean_squared_error, mean_absolute_error, huber])
def test_text_is_not_a_number(loss):
    with pytest.raises(TypeError, match="takes a real number; got 'a'"):
        loss([1.0, 2.0], [1.0, "a"])


@pytest.mark.parametrize(
    ("loss", "prediction", "target"),
    [
        (hinge, 0.5, 0),
        (hinge, 0.5, 0.5),
        (binary_cross_entropy, 0.5, 2),
        (binary_cross_entropy, 1.5, 1),
        (binary_cross_entropy, Value(-0.5), 1),
        (binary_cross_entropy_with_logits, 0.5, -1),
        (binary_cross_entropy_with_logits, 0.5, math.nan),
        (cross_entropy, [0.5, 0.5], 2),
        (cross_entropy, [0.5, 0.5], -1),
        (cross_entropy, [0.5, 0.5], 0.5),
        (cross_entropy, [0.5, 0.5], math.nan),
        (cross_entropy, [0.5, 0.5], [1.0]),
    ],
)
def test_numbers_outside_their_range_are_refused(loss, prediction, target):
    with pytest.raises(ValueError, match=f"{loss.__name__}: "):
        loss(prediction, target)


@pytest.mark.parametrize("delta", [0.0, -1.0, math.nan])
def test_delta_of_huber_is_positive(delta):
    with pytest.raises(ValueError, match="huber takes delta as a number above 0"):
        huber(1.0, 2.0, delta=delta)


def test_huber_takes_delta():
    assert huber(5.0, 0.0, delta=2.0) == 8.0


@pytest.mark.parametrize(
    ("logit", "target", "value", "slope"),
    [
        (1000.0, 1, 0.0, 0.0),
        (1000.0, 0, 1000.0, 1.0),
        (-1000.0, 1, 1000.0, -1.0),
        (40.0, 1, 4.248354255291589e-18, -4.248354255291589e-18),
        (math.inf, 1, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("kind", [float, Value])
def test_binary_cross_entropy_with_logits_is_exact_far_out(logit, target, value, slope, kind):
    z = Value(logit)

    out = binary_cross_entropy_with_logits(z, kind(target))
    out.backward()

    assert out.data == pytest.approx(value, rel=1e-14)
    assert z.grad == pytest.approx(slope, rel=1e-14)


@pytest.mark.parametrize("kind", [float, Value])
def test_certain_and_right_costs_nothing(kind):
    for p, target in ((0.0, 0.0), (1.0, 1.0)):
        assert ng.mul(1.0, binary_cross_entropy(Value(p), kind(target))).data == 0.0


def test_certain_and_wrong_costs_a_hundred_as_in_pytorch():
    p = Value(0.0)

    loss = binary_cross_entropy(p, 1.0)
    loss.backward()

    assert loss.data == binary_cross_entropy(0.0, 1.0) == binary_cross_entropy(1.0, 0.0) == 100.0
    assert p.grad == 0.0


@pytest.mark.parametrize(
    ("z", "target"), [(-800.0, 1.0), (-40.0, 1.0), (800.0, 0.0), (-800.0, 0.25), (3.0, 0.5)]
)
def test_cross_entropy_of_a_saturated_sigmoid_is_that_of_its_logit(z, target):
    def loss(z):
        return binary_cross_entropy(ng.sigmoid(z), target)

    with mpmath.workdps(800):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        value, slope = float(-target * mpmath.log(p) - (1 - target) * mpmath.log(1 - p)), float(p - target)

    for derivative in (ng.value_and_grad(loss), ng.compile(ng.value_and_grad(loss), exact=True)):
        assert derivative(z) == pytest.approx((value, slope), rel=1e-14)


def test_cross_entropy_of_huge_logits_is_stable():
    logits = [Value(1000.0), Value(-1000.0), Value(0.0)]

    out = cross_entropy(logits, 1)
    out.backward()

    assert out.data == 2000.0
    assert [z.grad for z in logits] == [1.0, -1.0, 0.0]


def test_losses_can_be_differentiated_again():
    transforms = pytest.importorskip("nodegrad.transforms")

    second = transforms.grad(transforms.grad(lambda z: binary_cross_entropy_with_logits(z, 1)))

    assert second(0.3) == pytest.approx(ng.sigmoid(0.3) * (1 - ng.sigmoid(0.3)), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("wrong", [None, "1", b"b", 1j, object()])
def test_what_is_not_a_number_is_named_by_every_loss(loss, wrong):
    one = [1.0, 2.0] if loss is cross_entropy else Value(0.5)
    other = [wrong, 1.0] if loss is cross_entropy else wrong
    for predictions, targets in ((other, 1), (one, wrong), ([other], [1]), ([one], [wrong])):
        with pytest.raises((TypeError, ValueError)) as caught:
            loss(predictions, targets)

        assert " takes " in str(caught.value) or f"{loss.__name__}: " in str(caught.value)
        assert f"{wrong!r}" in str(caught.value)
