"""The outputs of functions at many points, as plain floats."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from nodegrad.graph import recording
from nodegrad.inputs import described
from nodegrad.nn.predict import Predictor
from nodegrad.show.ranges import numbers
from nodegrad.value import Value

__all__ = ()

Row = list[float]
FEW = 500  # points; to evaluate a function at this many takes less time than to compile it


def evaluate(function: Callable[[Any], Any], points: Sequence[Any]) -> list[Row]:
    """Return the outputs of a function at each point."""
    return [_row(outputs) for outputs in Predictor(function)(points)]


def evaluate_loss(loss: Callable[[], Any], parameters: Any, points: Sequence[Sequence[float]]) -> Row:
    """Return a loss for each setting of its parameters, and give these their own numbers back.

    Raises:
        TypeError: if the parameters are not two leaf Values.
    """
    pair = list(parameters)
    if len(pair) != 2 or not all(isinstance(it, Value) and it.op is None for it in pair):
        raise TypeError(f"loss_contour takes as parameters two leaf Values; got {described(parameters)}.")
    before = [it.data for it in pair]

    def at(point: Sequence[float], loss: Callable[[], Any] = loss) -> float:
        pair[0].data, pair[1].data = point
        (height,) = _row(loss())
        return height

    try:
        if len(points) >= FEW:
            with suppress(Exception):  # what cannot be compiled may still run; if not, it raises again below
                from nodegrad.compiler import compile

                quick = compile(loss)
                return [at(point, quick) for point in points]
        with recording():  # the graph of a point is dropped before the next
            return [at(point) for point in points]
    finally:
        pair[0].data, pair[1].data = before


def _row(outputs: Any) -> Row:
    return numbers(outputs, "plots", "take functions that return numbers; this one returned")
