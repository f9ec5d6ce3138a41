"""Metrics: how good predictions are, by numbers that people know."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nodegrad.inputs import one_of
from nodegrad.nn.losses import LOSSES

__all__ = ()

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


def r2(predictions: Sequence[Any], targets: Sequence[Any]) -> float:
    """Return the coefficient of determination, 1 - Σ(t - p)² / Σ(t - mean)²; nan for constant targets.

    Of several outputs, the mean of theirs.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    outputs = list(zip(_columns(predictions), _columns(targets), strict=True))
    return sum(_r2(*columns) for columns in outputs) / len(outputs)


def _r2(predictions: Sequence[float], targets: Sequence[float]) -> float:
    mean = sum(targets) / len(targets)
    spread = sum((t - mean) ** 2 for t in targets)
    missed = sum((t - p) ** 2 for p, t in zip(predictions, targets, strict=True))
    return 1.0 - missed / spread if spread else float("nan")


def auc(predictions: Sequence[Any], targets: Sequence[Any]) -> float:
    """Return the area under the ROC curve: how often a sample of class 1 is ranked above one of class 0.

    Samples are ranked by the number predicted, or of two logits by their difference. Ties count half; nan
    where there is one class only.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75

    Raises:
        ValueError: for more than two outputs or classes.
    """
    ranked = sorted((_score(p), _class(t)) for p, t in zip(predictions, targets, strict=True))
    if any(label > 1 for _, label in ranked):
        raise ValueError("auc takes targets of the classes 0 and 1.")
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


def _listed(entry: Any) -> Sequence[float]:
    return entry if isinstance(entry, list | tuple) else [entry]


def _columns(entries: Sequence[Any]) -> list[Sequence[float]]:
    return list(zip(*map(_listed, entries), strict=True))


def _score(entry: Any) -> float:
    first, *others = _listed(entry)
    if len(others) > 1:
        raise ValueError(f"auc takes predictions of one number or two logits; got {len(others) + 1}.")
    return others[0] - first if others else first


def _predicted(entry: Any, threshold: float) -> int:
    outputs = _listed(entry)
    return outputs.index(max(outputs)) if len(outputs) > 1 else int(outputs[0] > threshold)


def _class(target: Any) -> int:
    if isinstance(target, list | tuple) or target <= 1:
        return _predicted(target, 0.5)
    return int(target)
