"""Predictions: a model applied to many rows, as plain numbers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from nodegrad.data import rows
from nodegrad.inputs import as_array
from nodegrad.value import Value

__all__ = ()

_WORTH_COMPILING = 64  # rows


class Predictor:
    """A model in evaluation mode, compiled once if there are many rows."""

    def __init__(self, model: Callable[[Any], Any]) -> None:
        self.model = model
        self.compiled: Any = None

    def __call__(self, X: Any) -> Any:
        """Return an output per row: an array where X is an array, otherwise a list."""
        array = as_array(X, "predict")
        count = len(X if array is None else array)
        found = self._compiled(X if array is None else array) if count >= _WORTH_COMPILING else None
        if found is None:
            table = rows(X)
            try:
                with evaluating(self.model):
                    found = [plain_numbers(self.model(row)) for row in table]
            except ValueError as error:
                if hasattr(table[0], "__iter__"):
                    raise
                raise ValueError(f"{error} predict takes rows: for one row x write predict([x]).") from error
        if array is not None:
            import numpy as np

            return np.asarray(found)
        return found if isinstance(found, list) else found.tolist()

    def _compiled(self, X: Any) -> Any:
        """Return the outputs as an array, or None where the model cannot be compiled."""
        try:
            import numpy as np

            from nodegrad.compiler import compile
            from nodegrad.compiler.arguments import rows as spec_of
        except ImportError:
            return None
        try:
            self.compiled = self.compiled or compile(lambda row: evaluated(self.model, row))
            table = np.asarray(X)
            spec = spec_of([table[:1].tolist()])[0]
            return self.compiled.over(
                spec, [np.ascontiguousarray(table.reshape(len(table), -1), float)], len(table)
            )
        except (TypeError, ValueError):
            return None


def evaluated(model: Callable[[Any], Any], row: Any) -> Any:
    """Return the output of a model in evaluation mode."""
    with evaluating(model):
        return model(row)


def evaluating(model: Any) -> AbstractContextManager[None]:
    """Put a model in evaluation mode inside a with statement, if it has that mode."""
    return model.evaluating() if hasattr(model, "evaluating") else nullcontext()


def plain_numbers(output: Any) -> Any:
    """Return the plain numbers in what a model returned."""
    if isinstance(output, Value):
        return output.data
    return [plain_numbers(inner) for inner in output] if hasattr(output, "__iter__") else output
