"""Metrics take numbers of every kind, and refuse what are not predictions or classes."""

import math
from fractions import Fraction

import pytest

from nodegrad import Value
from nodegrad.training.metrics import accuracy, auc, r2

np = pytest.importorskip("numpy")
NUMBERS, CLASSES = [0.5, 2.0, -1.0, 0.25], [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("metric", [accuracy, auc, r2])
@pytest.mark.parametrize(
    "made",
    [
        lambda numbers: np.array(numbers, object),
        lambda numbers: list(map(Fraction, numbers)),
        lambda numbers: list(map(Value, numbers)),
        lambda numbers: [[Value(number)] for number in numbers],
        lambda numbers: np.array(list(map(Value, numbers))),
        lambda numbers: [Value(numbers[0]), *numbers[1:]],
        iter,
    ],
)
def test_numbers_of_every_kind_have_the_metrics_of_floats(metric, made):
    assert metric(made(NUMBERS), CLASSES) == metric(NUMBERS, CLASSES)
    assert metric(NUMBERS, made(CLASSES)) == metric(NUMBERS, CLASSES)


@pytest.mark.parametrize("metric", [accuracy, auc, r2])
@pytest.mark.parametrize("wrong", ["a", None, 1j])
def test_what_is_not_a_number_is_named(metric, wrong):
    for entries in ([wrong, 0.5], [[0.5], [wrong]], np.array([wrong, wrong])):
        with pytest.raises(TypeError, match=f"{metric.__name__}: predictions takes a real number; got"):
            metric(entries, [0, 1])


@pytest.mark.parametrize("predictions", [[0.1, 0.9], [[0.1, 0.9], [0.9, 0.1]]])
def test_fractions_are_not_classes(predictions):
    with pytest.raises(ValueError, match="accuracy takes the numbers of classes as targets; got fractions"):
        accuracy(predictions, [0.25, 0.5])


@pytest.mark.parametrize("worst", [math.inf, -math.inf, math.nan, 1e308, -1e308])
@pytest.mark.parametrize("metric", [accuracy, auc, r2])
def test_metrics_of_any_predictions_warn_of_nothing(metric, worst):
    pairs = [[worst, worst], [worst, -worst], [1.0, 2.0]]
    targets = [[0, 1], [1, 0], [0, 1]] if metric is r2 else [0, 1, 0]

    assert not math.isinf(metric(pairs, targets)) or metric is r2
    assert not math.isinf(metric([worst, 1.0, -worst], [0, 1, 0])) or metric is r2
