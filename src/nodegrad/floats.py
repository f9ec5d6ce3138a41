"""Rows over floats: IEEE 754 as C has it, where Python raises instead."""

import builtins
import math
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import reduce

__all__ = ()

inf, nan = math.inf, math.nan


def ieee(
    function: Callable[[float], float], poles: dict[float, float] | None = None
) -> Callable[[float], float]:
    """Make a function total: its value at `poles`, nan outside its domain, ±inf where it overflows."""
    at_pole = poles or {}

    def value(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return at_pole.get(x, nan)
        except OverflowError:
            return math.copysign(inf, x)

    return value


def integral(function: Callable[[float], int]) -> Callable[[float], float]:
    """Round to an integer, keeping inf, nan, the sign of zero and floats too large for a fraction."""

    def value(x: float) -> float:
        return math.copysign(function(x), x) if math.fabs(x) < 2.0**52 else x

    return value


def div(x: float, y: float) -> float:
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)


def mod(x: float, y: float) -> float:
    try:
        return x % y
    except ZeroDivisionError:
        return nan


def floordiv(x: float, y: float) -> float:
    try:
        return x // y
    except ZeroDivisionError:
        return div(x, y)


def round_to(x: float, digits: float) -> float:
    try:
        return round(x, int(min(max(digits, -400.0), 400.0))) if digits == digits else nan
    except OverflowError:
        return math.copysign(inf, x)


def pow(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except ValueError:
        if x != 0.0:
            return nan
        return math.copysign(inf, x) if y % 2.0 == 1.0 else inf
    except OverflowError:
        return -inf if x < 0.0 and y % 2.0 == 1.0 else inf


def cosh(x: float) -> float:
    try:
        return math.cosh(x)
    except OverflowError:
        return inf


def sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    small = math.exp(x)
    return small / (1.0 + small)


def softplus(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))


def sign(x: float) -> float:
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else x


def copysign(x: float, y: float) -> float:
    """Give x the sign of y. A nan counts as positive: machines differ in the sign of the nan they make."""
    return math.copysign(x, y if y == y else 0.0)


def step(x: float) -> float:
    return 1.0 if x > 0.0 else x if x != x else 0.0


def relu(x: float) -> float:
    return 0.0 if x <= 0.0 else x


def hypot(x: float, y: float) -> float:
    try:  # C's hypot; math.hypot computes differently, and no compiled tier could agree
        return abs(complex(x, y))
    except OverflowError:  # which CPython raises for nan too if C's errno is still set from something before
        return nan if x + y != x + y and inf not in (math.fabs(x), math.fabs(y)) else inf


def direction(x: float, y: float) -> float:
    length = hypot(x, y)
    return x / length if length else 0.0


def maximum(x: float, y: float) -> float:
    return x if x >= y or x != x else y


def minimum(x: float, y: float) -> float:
    return x if x <= y or x != x else y


def where(condition: float, x: float, y: float) -> float:
    return x if condition else y


def strong_mul(adjoint: float, partial: float) -> float:
    return adjoint * partial if adjoint else 0.0


def zero_mul(adjoint: float, partial: float) -> float:
    return adjoint * partial if adjoint and partial else 0.0


def strong_factor(adjoint: float, partial: float) -> float:
    return partial if adjoint or math.isfinite(partial) else 0.0


# Add from left to right, rounding each time. From 3.12 on Python's `sum`, which takes a third of the time,
# rounds otherwise. The terms are added to -0.0, which is the number that changes no other.
_sum: Callable[[Iterable[float], float], float] = (
    builtins.sum if sys.version_info < (3, 12) else lambda terms, start: reduce(operator.add, terms, start)
)


def sum(*operands: float) -> float:
    return _sum(operands, -0.0) if operands else 0.0


def inner(xs: Sequence[float], ys: Sequence[float]) -> float:
    return _sum(map(operator.mul, xs, ys), -0.0) if xs else 0.0


def dot(*operands: float) -> float:
    half = len(operands) // 2
    return inner(operands[:half], operands[half:])


def strong_inner(adjoints: Sequence[float], partials: Sequence[float]) -> float:
    multiply = operator.mul if all(adjoints) else strong_mul
    return _sum(map(multiply, adjoints, partials), -0.0) if adjoints else 0.0


def strong_dot(*operands: float) -> float:
    half = len(operands) // 2
    return strong_inner(operands[:half], operands[half:])


def take(index: float, *table: float) -> float:
    """Return the entry of a table at an index, rounded down; nan outside the table."""
    return table[int(index)] if 0.0 <= index < len(table) else nan


def compare(function: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda x, y: 1.0 if function(x, y) else 0.0
