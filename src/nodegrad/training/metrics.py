"""Metrics: how good predictions are, in numbers that people know."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from inspect import signature
from itertools import count
from operator import eq, ne, sub
from typing import Any

from nodegrad.data import rows
from nodegrad.inputs import as_array, one_of
from nodegrad.nn.losses import binary_cross_entropy_with_logits, hinge

__all__ = ()

Metric = Callable[[Sequence[Any], Sequence[Any]], float]

# A single number above this predicts class 1, by the loss that the model was trained with.
_THRESHOLDS: dict[Any, float] = {binary_cross_entropy_with_logits: 0.0, hinge: 0.0}


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
    predictions, targets = _alike("accuracy", predictions, targets)
    labels, chosen = _labels(targets), _labels(predictions)
    if len(_columns(predictions)) > 1:
        if any(label % 1 for label in _distinct(labels)):
            raise ValueError("accuracy takes the numbers of classes as targets; got fractions.")
    else:
        middle = _middle(labels, "accuracy")
        limit = middle if threshold is None else threshold
        labels = _each(lambda label: label > middle, labels)
        chosen = _each(lambda number: number > limit, chosen)
    return _mean(_each(eq, chosen, labels))


def r2(predictions: Sequence[Any], targets: Sequence[Any]) -> float:
    """Return the coefficient of determination, 1 - Σ(t - p)² / Σ(t - mean)²; nan for constant targets.

    Of several outputs, the mean of theirs.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    predictions, targets = _alike("r2", predictions, targets)
    outputs = list(zip(_columns(predictions), _columns(targets), strict=True))
    return sum(_r2(*columns) for columns in outputs) / len(outputs)


def _r2(predictions: Any, targets: Any) -> float:
    mean = _mean(targets)
    spread = _mean(_each(lambda t: (t - mean) ** 2, targets))
    missed = _mean(_each(lambda p, t: (t - p) ** 2, predictions, targets))
    return 1.0 - missed / spread if spread else math.nan


def auc(predictions: Sequence[Any], targets: Sequence[Any]) -> float:
    """Return the area under the ROC curve: how often a sample of class 1 is ranked above one of class 0.

    Samples are ranked by the number predicted, or of two logits by their difference. Ties count half; nan
    where there is one class only, or a prediction is nan.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75

    Raises:
        ValueError: for more than two outputs or classes.
    """
    predictions, targets = _alike("auc", predictions, targets)
    labels, columns = _labels(targets), _columns(predictions)
    if len(columns) > 2:
        raise ValueError(f"auc takes predictions of one number or two logits; got {len(columns)}.")
    middle = _middle(labels, "auc")
    if max(_distinct(labels)) > 1:
        raise ValueError("auc takes targets of the classes 0 and 1, or -1 and 1.")
    scores = columns[0] if len(columns) == 1 else _each(sub, columns[1], columns[0])
    if _mean(_each(ne, scores, scores)):
        return math.nan
    if hasattr(scores, "dtype"):
        above = labels > middle
        ones, zeros = scores[above], scores[~above]
        zeros.sort()
        pairs = float((zeros.searchsorted(ones) + zeros.searchsorted(ones, "right")).sum())
    else:
        ones = [score for score, label in zip(scores, labels, strict=True) if label > middle]
        zeros = sorted(score for score, label in zip(scores, labels, strict=True) if label <= middle)
        pairs = sum(bisect_left(zeros, one) + bisect_right(zeros, one) for one in ones)
    return pairs / (2 * len(ones) * len(zeros)) if len(ones) and len(zeros) else math.nan


METRICS: dict[str, Callable[..., float]] = {"accuracy": accuracy, "r2": r2, "auc": auc}


def chosen_metrics(metrics: Iterable[str | Metric], loss: Any) -> dict[str, Metric]:
    """Return metrics by name, with the threshold that goes with a loss."""
    threshold = _THRESHOLDS.get(loss)
    found: dict[str, Metric] = {}
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        if metric == "accuracy":
            found["accuracy"] = lambda predictions, targets: accuracy(predictions, targets, threshold)
        elif callable(metric):
            name = own = getattr(metric, "__name__", "metric")
            numbers = count(2)
            while name in found:
                name = f"{own}_{next(numbers)}"
            found[name] = _of_lists(metric)
        else:
            one_of("fit", "metrics", metric, METRICS, "Or give a function.")
            found[metric] = METRICS[metric]
    return found


def _of_lists(metric: Metric) -> Metric:
    """Return a function of your own or scikit-learn's, which takes the targets first, as one of ours."""
    first = ""
    with suppress(ValueError, TypeError):  # some built-in functions do not tell
        first = next(iter(signature(metric).parameters), "")
    if first == "y_true":
        return lambda predictions, targets: metric(rows(targets), rows(predictions))
    return lambda predictions, targets: metric(rows(predictions), rows(targets))


# Columns of numbers are lists; or arrays, if predictions or targets came as an array.


def _alike(user: str, *tables: Any) -> list[Any]:
    """Return both tables as arrays of floats if one of them is an array or a data frame."""
    predictions, targets = map(len, tables)
    if predictions != targets:
        raise ValueError(f"{user} takes a target for each of {predictions} predictions; got {targets}.")
    if all(as_array(table) is None for table in tables):
        return list(tables)
    import numpy as np

    return [np.asarray(table, float) for table in tables]


def _columns(entries: Any) -> Any:
    """Return a column for each of the numbers that an entry has."""
    if hasattr(entries, "dtype"):
        return entries.reshape(len(entries), -1).T
    lists = [entry if isinstance(entry, list | tuple) else [entry] for entry in entries]
    return list(zip(*lists, strict=True))


def _labels(entries: Any) -> Any:
    """Return a column: the place of the largest of several numbers; a single one as it is."""
    columns = _columns(entries)
    if len(columns) == 1:
        return columns[0]
    if hasattr(columns, "dtype"):
        return columns.argmax(axis=0)
    return [numbers.index(max(numbers)) for numbers in zip(*columns, strict=True)]


def _each(function: Callable[..., Any], *columns: Any) -> Any:
    """Apply a function to the numbers of one place after the other; to whole arrays at once."""
    return function(*columns) if hasattr(columns[0], "dtype") else list(map(function, *columns))


def _mean(column: Any) -> float:
    return float(column.mean()) if hasattr(column, "dtype") else math.fsum(column) / len(column)


def _distinct(column: Any) -> list[Any]:
    if hasattr(column, "dtype"):
        import numpy as np

        column = np.unique(column).tolist()
    return sorted(set(column))


def _middle(labels: Any, user: str) -> float:
    """Return the number midway between two labels; of a single one, between 0 and 1, or -1 and 1."""
    least, *more = _distinct(labels)
    if len(more) > 1:
        raise ValueError(
            f"{user} takes targets of two classes here; got {len(more) + 1} different ones, such as "
            f"{', '.join(f'{label:.6g}' for label in (least, *more[:2]))}."
        )
    return float(least + more[0]) / 2 if more else 0.5 * (least >= 0)
