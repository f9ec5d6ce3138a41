"""Metrics: how good predictions are, by numbers that people know."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from nodegrad.inputs import one_of
from nodegrad.nn.losses import LOSSES

__all__ = ()

Metric = Callable[[Sequence[Any], Sequence[Any]], float]

# Predictions of a single number mean class 1 from here on; by the name of the loss they were trained with.
_THRESHOLDS = {"binary_cross_entropy_with_logits": 0.0, "hinge": 0.0}


def accuracy(predictions: Sequence[Any], targets: Sequence[Any], threshold: float | None = None) -> float:
    """Return the share of samples whose class is predicted.

    Of several numbers, the largest is the class predicted. A single one means the upper of two labels above
    the threshold: by default midway between them, 0.5 for 0 and 1, 0 for -1 and 1.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    >>> accuracy([0.2, -0.2], [1, -1])
    1.0

    Raises:
        ValueError: for targets that are not classes: fractions, or more than two for a single number.
    """
    labels = list(map(_label, targets))
    if len(_listed(predictions[0])) > 1:
        if any(label % 1 for label in labels):
            raise ValueError("accuracy takes the numbers of classes as targets; got fractions.")
        chosen = list(map(_label, predictions))
    else:
        middle = _middle(labels, "accuracy")
        labels = [label > middle for label in labels]
        limit = middle if threshold is None else threshold
        chosen = [_label(prediction) > limit for prediction in predictions]
    return sum([a == b for a, b in zip(chosen, labels, strict=True)]) / len(labels)


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
    labels = list(map(_label, targets))
    middle = _middle(labels, "auc")
    if max(labels) > 1:
        raise ValueError("auc takes targets of the classes 0 and 1, or -1 and 1.")
    ranked = sorted((_score(p), label > middle) for p, label in zip(predictions, labels, strict=True))
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
    threshold = _THRESHOLDS.get(names.get(loss, ""))
    found: dict[str, Metric] = {}
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        if metric == "accuracy":
            found["accuracy"] = lambda predictions, targets: accuracy(predictions, targets, threshold)
        elif callable(metric):
            name = own = getattr(metric, "__name__", "metric")
            numbers = count(2)
            while name in found:
                name = f"{own}_{next(numbers)}"
            found[name] = metric
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


def _label(entry: Any) -> float:
    """Return the place of the largest of several numbers; a single one as it is."""
    numbers = _listed(entry)
    return numbers.index(max(numbers)) if len(numbers) > 1 else numbers[0]


def _middle(labels: Sequence[float], user: str) -> float:
    """Return the number midway between two labels; of a single one, between 0 and 1, or -1 and 1."""
    found = sorted(set(labels))
    if len(found) > 2:
        raise ValueError(
            f"{user} takes targets of two classes here; got {len(found)} different ones, such as "
            f"{', '.join(f'{label:.6g}' for label in found[:3])}."
        )
    return sum(found) / 2 if len(found) == 2 else 0.5 * (found[0] >= 0)
