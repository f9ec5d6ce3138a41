"""check_grad: derivatives of any order, in both directions, against central differences."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nodegrad import inputs
from nodegrad.inputs import in_range, plain, whole
from nodegrad.transforms import jacobian
from nodegrad.trees import build, flatten
from nodegrad.value import Value

__all__ = ["check_grad"]

Numbers = list[Any]  # floats or Values
Function = Callable[[Numbers], Numbers]

_LEVELS = 32  # halvings of the step; most functions settle within 4 or 5
_SETTLED = 1e-10  # of the derivative: differences that agree this well are halved no further
_VAGUE = 1e-3  # of the derivative: differences that agree no better than this say nothing


def check_grad(f: Callable[..., Any], *args: Any, order: int = 2, tolerance: float = 1e-6) -> None:
    """Compare the derivatives of `f` at `args`, in reverse and forward, with central differences.

    For k up to `order`, derivatives of order k are compared with differences of derivatives of order k - 1.
    Steps begin at a twentieth of the number changed; they are halved, and the differences extrapolated,
    until these agree among themselves (Ridders 1982).

    >>> import nodegrad as ng
    >>> ng.check_grad(lambda x, y: ng.sin(x) * y, 0.5, 2.0)
    >>> wrong = ng.custom("wrong", lambda x: x**3, lambda x, out: 3.003 * x * x)
    >>> ng.check_grad(wrong, 2.0)
    Traceback (most recent call last):
        ...
    AssertionError: the derivative of order 1 by argument 0 is 12.012 in reverse, but differences give 12. ...

    Args:
        f: a function that returns numbers in any structure, smooth around `args`.
        args: its arguments: numbers in any structure.
        order: the highest order to check.
        tolerance: by how much, relative to its size, a derivative may differ from the differences.

    Raises:
        AssertionError: if a derivative differs, with the argument and both numbers.
        ValueError: if the differences do not settle, because `f` has a kink, a jump or a nan too near.
    """
    inputs.function("check_grad", "f", f, "a function, before its arguments", classes=True)
    whole("check_grad", "order", order)
    in_range("check_grad", "tolerance", tolerance, "a finite number of at least 0")
    function, numbers = _flat(f, args), [plain(x, "check_grad") for x in flatten(args)[0]]
    names = [f"argument {i}{which}" for i, tree in enumerate(args) for which in _positions(tree)]
    for k in range(1, order + 1):
        _compare(function, numbers, tolerance, k, names)
        function = _derivative(function)


def _compare(
    function: Function, numbers: Sequence[float], tolerance: float, order: int, names: Sequence[str]
) -> None:
    """Raise if differences do not confirm an entry of a Jacobian, swept in reverse or forward."""
    swept = {mode: jacobian(function, mode=mode)(list(numbers)) for mode in ("reverse", "forward")}
    for column, name in enumerate(names):
        for row, (expected, error) in enumerate(_differences(function, numbers, column)):
            for direction, rows in swept.items():
                found = _number(rows[row][column])
                size = max(math.fabs(found), math.fabs(expected))
                if error > max(_VAGUE * size, tolerance) and math.isfinite(found):
                    raise ValueError(
                        f"check_grad cannot judge the derivative of order {order} by {name}: differences do "
                        "not settle. There is a kink, a jump or a nan too near; choose another point."
                    )
                if not math.fabs(found - expected) <= tolerance * size + 10.0 * error:
                    raise AssertionError(
                        f"the derivative of order {order} by {name} is {found:.12g} in {direction}, but "
                        f"differences give {expected:.12g}. The rule of an operation is wrong (check each by "
                        "itself), or the function leaves the record (.data)."
                    )


def _differences(function: Function, numbers: Sequence[float], column: int) -> list[tuple[float, float]]:
    """Estimate the derivative of each output by one number: (central difference, its error)."""
    scale = math.fabs(numbers[column]) or 1.0
    best = [(math.nan, math.inf)] * len(_values(function, numbers))
    before: list[list[float]] = []
    for level in range(_LEVELS):
        step = 0.05 * scale / 2.0**level
        difference, rounding = _difference(function, numbers, column, step)
        table = [difference]  # Richardson: entry k is free of errors up to the order 2k in the step
        for k, coarser in enumerate(before):
            weight = 4.0 ** (k + 1)
            table.append([(weight * x - y) / (weight - 1.0) for x, y in zip(table[k], coarser, strict=True)])
            for i, new in enumerate(table[k + 1]):
                error = max(math.fabs(new - table[k][i]), math.fabs(new - coarser[i]), rounding[i])
                if error < best[i][1]:
                    best[i] = new, error
        before = table
        if all(error <= _SETTLED * math.fabs(x) or error == 0.0 for x, error in best):
            break
    return best


def _difference(
    function: Function, numbers: Sequence[float], column: int, step: float
) -> tuple[list[float], list[float]]:
    """Return (f(x + h) - f(x - h)) / 2h for each output, and the error that rounding alone may make."""
    above, below = list(numbers), list(numbers)
    above[column] += step
    below[column] -= step
    width = above[column] - below[column]
    pairs = list(zip(_values(function, above), _values(function, below), strict=True))
    rounding = [sys.float_info.epsilon * max(math.fabs(x), math.fabs(y)) / width for x, y in pairs]
    return [(x - y) / width for x, y in pairs], rounding


def _flat(f: Callable[..., Any], args: Sequence[Any]) -> Function:
    """Make `f` a function from one list of numbers to another."""
    spec = flatten(tuple(args))[1]

    def flat(numbers: Numbers) -> Numbers:
        values = [x if isinstance(x, Value) else Value(x) for x in numbers]
        return flatten(f(*build(spec, values)))[0]

    return flat


def _derivative(function: Function) -> Function:
    rows = jacobian(function)
    return lambda numbers: flatten(rows(numbers))[0]


def _values(function: Function, numbers: Sequence[float]) -> list[float]:
    return [_number(x) for x in function(list(numbers))]


def _number(x: Any) -> float:
    """Return a derivative as a float; it is a Value where the function closes over Values."""
    return x.data if isinstance(x, Value) else plain(x, "check_grad")


def _positions(tree: Any) -> Iterator[str]:
    """Say which number of an argument is meant, where it holds several."""
    count = len(flatten(tree)[0])
    return iter([""] if count == 1 else [f" (number {i} in it)" for i in range(count)])
