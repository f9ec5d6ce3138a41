"""Metrics: how good predictions are, in numbers that people know. Those with a name need NumPy."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import signature
from itertools import count
from typing import Any

from nodegrad.data import rows
from nodegrad.inputs import function, listed, one_of
from nodegrad.nn.losses import binary_cross_entropy_with_logits, hinge

__all__ = ()

Metric = Callable[[Any, Any], float]

# A single number above this predicts class 1, by the loss that the model was trained with.
_THRESHOLDS: dict[Any, float] = {binary_cross_entropy_with_logits: 0.0, hinge: 0.0}


def accuracy(predictions: Any, targets: Any, threshold: float | None = None) -> float:
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
    predictions, targets = _tables("accuracy", predictions, targets)
    labels, chosen = _labels(targets), _labels(predictions)
    if (labels % 1).any():
        raise ValueError("accuracy takes the numbers of classes as targets; got fractions.")
    if predictions.shape[1] == 1:
        middle = _middle("accuracy", labels)
        labels, chosen = labels > middle, chosen > (middle if threshold is None else threshold)
    return float((chosen == labels).mean())


def r2(predictions: Any, targets: Any) -> float:
    """Return the coefficient of determination, 1 - Σ(t - p)² / Σ(t - mean)²; nan for constant targets.

    With several outputs, it is the mean over them.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    predictions, targets = _tables("r2", predictions, targets)
    import numpy as np

    if predictions.shape != targets.shape:
        outputs, wanted = predictions.shape[1], targets.shape[1]
        raise ValueError(f"r2 takes as many outputs as targets in each row; got {outputs} and {wanted}.")
    with np.errstate(all="ignore"):
        missed, spread = ((targets - predictions) ** 2).mean(axis=0), targets.var(axis=0)
        return float(np.where(spread > 0.0, 1.0 - missed / spread, math.nan).mean())


def auc(predictions: Any, targets: Any) -> float:
    """Return the area under the ROC curve: how often a sample of class 1 is ranked above one of class 0.

    Samples are ranked by the number predicted, or of two logits by their difference. Ties count half; nan
    where there is one class only, or a prediction is nan.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75

    Raises:
        ValueError: for more than two outputs or classes.
    """
    predictions, targets = _tables("auc", predictions, targets)
    import numpy as np

    outputs = predictions.shape[1]
    if outputs > 2:
        raise ValueError(f"auc takes predictions of one number or two logits; got {outputs}.")
    with np.errstate(all="ignore"):  # the difference of two infinite logits is nan
        labels, scores = _labels(targets), predictions[:, -1] - (predictions[:, 0] if outputs == 2 else 0.0)
    above = labels > _middle("auc", labels)
    if labels.max() > 1:
        raise ValueError("auc takes targets of the classes 0 and 1, or -1 and 1.")
    ones, zeros = scores[above], scores[~above]
    if not len(ones) or not len(zeros) or (scores != scores).any():
        return math.nan
    zeros.sort()
    ranks = zeros.searchsorted(ones) + zeros.searchsorted(ones, "right")
    return float(ranks.sum(dtype=float)) / (2 * len(ones) * len(zeros))


METRICS: dict[str, Callable[..., float]] = {"accuracy": accuracy, "r2": r2, "auc": auc}


def chosen_metrics(metrics: Any, loss: Any) -> dict[str, Metric]:
    """Return metrics by name, with the threshold that goes with a loss."""
    named = METRICS | {"accuracy": partial(accuracy, threshold=_THRESHOLDS.get(loss))}
    found: dict[str, Metric] = {}
    one = isinstance(metrics, str) or callable(metrics)
    for metric in [metrics] if one else listed("fit", "metrics", metrics, "names or functions"):
        if callable(metric):
            name = own = getattr(metric, "__name__", "metric")
            numbers = count(2)
            while name in found:
                name = f"{own}_{next(numbers)}"
            found[name] = _of_lists(function("fit", "metrics", metric, "names or functions"))
        else:
            found[metric] = named[one_of("fit", "metrics", metric, named, "Or give a function.")]
    return found


def _of_lists(metric: Metric) -> Metric:
    """Return a function of your own or scikit-learn's, which takes the targets first, as one of ours."""
    first = ""
    with suppress(ValueError, TypeError):  # some built-in functions do not tell
        first = next(iter(signature(metric).parameters), "")
    if first == "y_true":
        return lambda predictions, targets: metric(rows(targets), rows(predictions))
    return lambda predictions, targets: metric(rows(predictions), rows(targets))


def _tables(user: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Return predictions and targets as arrays of floats [row, output]."""
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError(f"{user} needs NumPy: pip install numpy, or give a metric of your own.") from error
    try:
        found, wanted = np.asarray(predictions, float), np.asarray(targets, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{user} takes models whose outputs are rows of numbers. {error}") from error
    if len(found) != len(wanted):
        raise ValueError(f"{user} takes a prediction for each target; got {len(found)} and {len(wanted)}.")
    return found.reshape(len(found), -1), wanted.reshape(len(wanted), -1)


def _labels(table: Any) -> Any:
    """Return a column: the place of the largest of several numbers; a single one as it is."""
    return table.argmax(axis=1) if table.shape[1] > 1 else table[:, 0]


def _middle(user: str, labels: Any) -> float:
    """Return the number midway between two labels; of a single one, between 0 and 1, or -1 and 1."""
    import numpy as np

    least, *more = np.unique(labels).tolist()
    if len(more) > 1:
        raise ValueError(
            f"{user} takes targets of two classes here; got {len(more) + 1} different ones, such as "
            f"{', '.join(f'{label:.6g}' for label in (least, *more[:2]))}."
        )
    return float((least + more[0]) / 2 if more else 0.5 * (least >= 0))
