"""Samples as plain floats, and the ranges that plots and pages show."""

from collections.abc import Sequence
from typing import Any

from nodegrad.inputs import as_list, described
from nodegrad.trees import flatten
from nodegrad.value import Value

__all__ = ()

Range = tuple[float, float]


def numbers(tree: Any, user: str, rule: str = "takes sequences of numbers; got") -> list[float]:
    """List the numbers of a sequence, an array, or a sequence of rows.

    Raises:
        TypeError: if it holds something that is not a number; the message begins with `user` and `rule`.
    """
    try:
        return [it.data if isinstance(it, Value) else float(it) for it in flatten(as_list(tree))[0]]
    except (TypeError, ValueError):
        raise TypeError(f"{user} {rule} {described(tree)}.") from None


def padded(numbers: Sequence[float], share: float = 0.1) -> Range:
    """Return a range around numbers, wider by a share of it on both sides."""
    low, high = min(numbers), max(numbers)
    margin = share * (high - low) or 1.0
    return low - margin, high + margin


def spread(span: Range, count: int) -> list[float]:
    """Return evenly spaced numbers from the low to the high end of a range."""
    low, high = span
    return [low + (high - low) * step / (count - 1) for step in range(count)]
