"""Metrics refuse what are not predictions or classes."""

import math

import pytest

from nodegrad.training.metrics import accuracy, auc, r2

pytest.importorskip("numpy")


@pytest.mark.parametrize("metric", [accuracy, auc, r2])
@pytest.mark.parametrize("wrong", ["a", 1j, {"mean": 1.0}])
def test_outputs_that_are_not_numbers_are_refused(metric, wrong):
    for entries in ([wrong, 0.5], [[0.5], [wrong]], [[0.5], [0.5, 1.0]]):
        with pytest.raises(
            TypeError, match=f"{metric.__name__} takes models whose outputs are rows of numbers"
        ):
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


@pytest.mark.parametrize("metric", [accuracy, r2, auc])
def test_as_many_predictions_as_targets_are_wanted(metric):
    pytest.importorskip("numpy")

    with pytest.raises(ValueError, match="takes a prediction for each target; got 1 and 3"):
        metric([0.1], [1.0, 0.0, 1.0])
