"""Metrics: how good predictions are, by numbers that people know."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nodegrad.inputs import one_of
from nodegrad.nn.losses import LOSSES

Metric = Callable[[Sequence[Any], Sequence[Any]], float]

# Predictions of a single number mean class 1 from here on; by the name of the loss they were trained with.
_THRESHOLDS = {"binary_cross_entropy_with_logits": 0.0, "hinge": 0.0}


def accuracy(predictions: Sequence[Any], targets: Sequence[Any], threshold: float = 0.5) -> float:
    """Return the share of samples whose class is predicted.

    Of several numbers, the largest is the class predicted; a single one means class 1 above the threshold.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    right = 0
    for prediction, target in zip(predictions, targets, strict=True):
        right += _predicted(prediction, threshold) == _class(target)
    return right / len(targets)


def r2(predictions: Sequence[float], targets: Sequence[float]) -> float:
    """Return the coefficient of determination, 1 - Σ(t - p)² / Σ(t - mean)²; nan for constant targets.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    flat = [(_number(p), _number(t)) for p, t in zip(predictions, targets, strict=True)]
    mean = sum(t for _, t in flat) / len(flat)
    spread = sum((t - mean) ** 2 for _, t in flat)
    return 1.0 - sum((t - p) ** 2 for p, t in flat) / spread if spread else float("nan")


def auc(predictions: Sequence[float], targets: Sequence[float]) -> float:
    """Return the area under the ROC curve: how often a sample of class 1 is ranked above one of class 0.

    Ties count half; nan where there is one class only.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    ranked = sorted((_number(p), _class(t)) for p, t in zip(predictions, targets, strict=True))
    ones, above, place = 0, 0.0, 0
    while place < len(ranked):
        stop = place
        while stop < len(ranked) and ranked[stop][0] == ranked[place][0]:
            stop += 1
        tied = sum(label for _, label in ranked[place:stop])
        above += tied * (place - ones + 0.5 * (stop - place - tied))
        ones, place = ones + tied, stop
    zeros = len(ranked) - ones
    return above / (ones * zeros) if ones and zeros else float("nan")


METRICS: dict[str, Callable[..., float]] = {"accuracy": accuracy, "r2": r2, "auc": auc}


def chosen_metrics(metrics: Iterable[str | Metric], loss: Any) -> dict[str, Metric]:
    """Return metrics by name, with the threshold that goes with a loss."""
    names = {function: name for name, function in LOSSES.items()}
    threshold = _THRESHOLDS.get(names.get(loss, ""), 0.5)
    found: dict[str, Metric] = {}
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        if metric == "accuracy":
            found["accuracy"] = lambda predictions, targets: accuracy(predictions, targets, threshold)
        elif callable(metric):
            found[getattr(metric, "__name__", "metric")] = metric
        else:
            one_of("fit", "metrics", metric, METRICS, "Or give a function.")
            found[metric] = METRICS[metric]
    return found


def _number(entry: Any) -> float:
    return float(entry[0] if isinstance(entry, list | tuple) else entry)


def _predicted(entry: Any, threshold: float) -> int:
    if isinstance(entry, list | tuple) and len(entry) > 1:
        return entry.index(max(entry))
    return int(_number(entry) > threshold)


def _class(target: Any) -> int:
    if isinstance(target, list | tuple) or target <= 1:
        return _predicted(target, 0.5)
    return int(target)
