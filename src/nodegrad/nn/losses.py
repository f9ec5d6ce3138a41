"""Losses: functions of predictions and targets, averaged over all entries.

Predictions and targets come as single numbers or as sequences of one shape, nested or not; NumPy arrays too.
Predictions stand first, as in PyTorch.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from nodegrad import ops
from nodegrad.functions import log_softmax, mean
from nodegrad.inputs import as_lists, function, in_range, one_of, plain
from nodegrad.value import Value, number_of

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
]

Number = Any  # a float or a Value
Loss = Callable[[Any, Any], Any]


def mean_squared_error(predictions: Any, targets: Any) -> Number:
    """Average (prediction - target)².

    >>> mean_squared_error([1.0, 2.0], [0.0, 4.0])
    2.5

    Raises:
        ValueError: if the shapes differ or there is nothing to average.
    """
    return _averaged("mean_squared_error", lambda p, t: ops.square(ops.sub(p, t)), predictions, targets)


def mean_absolute_error(predictions: Any, targets: Any) -> Number:
    """Average |prediction - target|; the derivative at 0 is 0.

    >>> mean_absolute_error([1.0, 2.0], [0.0, 4.0])
    1.5

    Raises:
        ValueError: if the shapes differ or there is nothing to average.
    """
    return _averaged("mean_absolute_error", lambda p, t: ops.abs(ops.sub(p, t)), predictions, targets)


def huber(predictions: Any, targets: Any, delta: float = 1.0) -> Number:
    """Average d²/2 where d = |prediction - target| is at most delta, delta·(d - delta/2) beyond (Huber 1964).

    >>> huber([0.5, 3.0], [0.0, 0.0])
    1.3125

    Raises:
        ValueError: if the shapes differ, there is nothing to average, or delta is not positive.
    """
    delta = in_range("huber", "delta", delta)

    def loss(prediction: Number, target: Number) -> Number:
        distance = ops.abs(ops.sub(prediction, target))
        near = ops.mul(0.5, ops.square(distance))
        far = ops.mul(delta, ops.sub(distance, 0.5 * delta))
        return ops.where(ops.le(distance, delta), near, far)

    return _averaged("huber", loss, predictions, targets)


def hinge(predictions: Any, targets: Any) -> Number:
    """Average max(0, 1 - target·prediction), for targets -1 and 1.

    >>> hinge([0.5, 3.0], [1, 1])
    0.25

    Raises:
        ValueError: if the shapes differ, there is nothing to average, or a target is neither -1 nor 1.
    """

    def loss(prediction: Number, target: Number) -> Number:
        if not isinstance(target, Value) and target not in (-1, 1):
            raise ValueError(f"hinge: targets are -1 or 1; got {target!r}.")
        return ops.relu(ops.sub(1.0, ops.mul(target, prediction)))

    return _averaged("hinge", loss, predictions, targets)


def binary_cross_entropy(predictions: Any, targets: Any) -> Number:
    """Average -target·log(p) - (1 - target)·log(1 - p) over predicted probabilities p.

    Where p is the result of a sigmoid, this is `binary_cross_entropy_with_logits`: right even where p rounds
    to 0 or 1. Elsewhere a logarithm is at least -100, as in PyTorch.

    >>> round(binary_cross_entropy([0.5, 0.5], [0, 1]), 6)
    0.693147

    Raises:
        ValueError: if the shapes differ, there is nothing to average, or a prediction or target is outside
            [0, 1].
    """

    def loss(p: Number, target: Number) -> Number:
        probability = number_of(p)
        if probability < 0.0 or probability > 1.0:
            raise ValueError(
                f"binary_cross_entropy: predictions are probabilities, 0 to 1; got {probability!r}. End the "
                'model with output_activation="sigmoid", or use binary_cross_entropy_with_logits.'
            )
        if isinstance(p, Value) and p.op is ops.sigmoid:
            return _from_logit("binary_cross_entropy", p.operands[0], target)
        one, zero = lambda: _clamped(ops.log(p)), lambda: _clamped(ops.log1p(ops.neg(p)))
        return ops.neg(_weighted("binary_cross_entropy", target, one, zero))

    return _averaged("binary_cross_entropy", loss, predictions, targets)


def binary_cross_entropy_with_logits(predictions: Any, targets: Any) -> Number:
    """Average the binary cross-entropy of sigmoid(z): target·softplus(-z) + (1 - target)·softplus(z).

    >>> binary_cross_entropy_with_logits([1000.0, -1000.0], [0, 0])
    500.0

    Raises:
        ValueError: if the shapes differ, there is nothing to average, or a target is outside [0, 1].
    """
    name = "binary_cross_entropy_with_logits"
    return _averaged(name, partial(_from_logit, name), predictions, targets)


def cross_entropy(predictions: Any, targets: Any) -> Number:
    """Average -Σ targetⱼ·log softmax(logits)ⱼ over samples.

    Args:
        predictions: the logits of one sample (a sequence of numbers), or of several.
        targets: for each sample the number of its class, or a probability for each class.

    >>> round(cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 1]), 6)
    0.346574

    Raises:
        ValueError: if the shapes differ, there is nothing to average, or a class does not exist.
    """
    logits, classes = as_lists(predictions, "cross_entropy"), as_lists(targets, "cross_entropy")
    if not isinstance(logits, list) or not logits:
        raise ValueError(f"cross_entropy takes the logits of all classes; got {logits!r:.60}.")
    if not isinstance(logits[0], list):
        logits, classes = [logits], [classes]
    if not isinstance(classes, list) or len(logits) != len(classes):
        raise ValueError(f"cross_entropy: {len(logits)} samples of logits, {_extent(classes)} targets.")
    return _mean([_cross_entropy(*sample) for sample in zip(logits, classes, strict=True)])


# The functions above, in their order.
LOSSES: dict[str, Loss] = {name: loss for name, loss in globals().copy().items() if name in __all__}


def chosen_loss(user: str, loss: str | Loss) -> Loss:
    """Return a loss that came by its name or as a function.

    Raises:
        ValueError: for an unknown name; `user` is the function that the message names.
    """
    if not callable(loss):
        return LOSSES[one_of(user, "loss", loss, LOSSES, "Or give a function of a prediction and a target.")]
    return cast(Loss, function(user, "loss", loss, "a name or a function of a prediction and a target"))


def _cross_entropy(logits: list[Number], target: Any) -> Number:
    logs = log_softmax(logits)
    if isinstance(target, list):
        if len(target) != len(logs):
            raise ValueError(f"cross_entropy: {len(logs)} logits, probabilities for {len(target)} classes.")
        return ops.neg(ops.sum(*map(ops.strong_mul, target, logs)))
    if isinstance(target, Value) or target not in range(len(logs)):
        raise ValueError(
            f"cross_entropy: a target is the number of a class, 0 to {len(logs) - 1}, "
            f"or a list of {len(logs)} probabilities; got {target!r}."
        )
    return ops.neg(logs[int(target)])


def _from_logit(user: str, z: Number, target: Number) -> Number:
    """Return the binary cross-entropy of sigmoid(z)."""
    return _weighted(user, target, lambda: ops.softplus(ops.neg(z)), lambda: ops.softplus(z))


def _clamped(logarithm: Number) -> Number:
    """Return a logarithm, or -100 if it is less."""
    return ops.where(ops.lt(logarithm, -100.0), -100.0, logarithm)


def _weighted(user: str, target: Number, one: Callable[[], Number], zero: Callable[[], Number]) -> Number:
    """Return target·one() + (1 - target)·zero(), where a weight of 0 cancels even an infinity."""
    if isinstance(target, Value):
        return ops.strong_mul(target, one()) + ops.strong_mul(1.0 - target, zero())
    if target == 1.0:
        return one()
    if target == 0.0:
        return zero()
    if not 0.0 < target < 1.0:
        raise ValueError(f"{user}: targets are 0, 1, or probabilities between; got {target!r}.")
    return ops.add(ops.mul(target, one()), ops.mul(1.0 - target, zero()))


def _averaged(user: str, loss: Callable[[Number, Number], Number], predictions: Any, targets: Any) -> Number:
    pairs = _pairs(as_lists(predictions, user), as_lists(targets, user), user)
    losses = [loss(prediction, target) for prediction, target in pairs]
    if not losses:
        raise ValueError(f"{user} needs at least one prediction; got none.")
    return _mean(losses)


def _mean(losses: list[Number]) -> Number:
    return losses[0] if len(losses) == 1 else mean(losses)


def _pairs(predictions: Any, targets: Any, user: str) -> Iterator[tuple[Number, Number]]:
    """Yield prediction and target of every entry of two nested sequences of one shape."""
    if not isinstance(predictions, list) and not isinstance(targets, list):
        for number in (predictions, targets):
            if not isinstance(number, Value):
                plain(number, user)
        yield predictions, targets
        return
    # One output may have targets of length one.
    ours = predictions if isinstance(predictions, list) else [predictions]
    theirs = targets if isinstance(targets, list) else [targets]
    if len(ours) != len(theirs):
        raise ValueError(
            f"{user} takes predictions and targets of one shape; "
            f"got {_extent(predictions)} and {_extent(targets)}."
        )
    for prediction, target in zip(ours, theirs, strict=True):
        yield from _pairs(prediction, target, user)


def _extent(numbers: Any) -> str:
    return f"a list of {len(numbers)}" if isinstance(numbers, list) else "a single number"
