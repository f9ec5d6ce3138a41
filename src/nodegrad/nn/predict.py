"""Predictions: a model in evaluation mode applied to many rows, as plain numbers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nodegrad.data import rows
from nodegrad.inputs import as_array
from nodegrad.value import Value

__all__ = ()

_WORTH_COMPILING = 64  # rows


class Predictor:
    """A model in evaluation mode, compiled once if there are many rows."""

    def __init__(self, model: Callable[[Any], Any]) -> None:
        self.model, self.modules = model, modules_of(model)
        self.compiled: Any = None

    def __call__(self, X: Any) -> Any:
        """Return an output per row: an array where X is an array, otherwise a list."""
        array = as_array(X, "predict")
        table = array if getattr(array, "ndim", 0) else rows(X, "predict")
        found = self._compiled(table) if len(table) >= _WORTH_COMPILING else None
        if found is None:
            try:
                found = [plain_numbers(self._output(row)) for row in rows(table)]
            except ValueError as error:
                if hasattr(table[0], "__iter__") or not self.modules:
                    raise
                raise ValueError(f"{error} predict takes rows: for one row x write predict([x]).") from error
        if array is not None:
            import numpy as np

            outputs = getattr(self.model, "n_outputs", 1)  # a model is not run on numbers nobody gave
            return np.asarray(found) if len(found) or outputs == 1 else np.empty((0, outputs))
        return found if isinstance(found, list) else found.tolist()

    def _output(self, row: Any) -> Any:
        with evaluating(self.modules):
            return self.model(row)

    def _compiled(self, X: Any) -> Any:
        """Return the outputs as an array, or None where the model cannot be compiled."""
        try:
            import numpy as np

            from nodegrad.compiler import compile
            from nodegrad.compiler.arguments import rows as spec_of

            self.compiled = self.compiled or compile(self._output)
            X = np.asarray(X)
            found = self.compiled.over(spec_of([X[:1].tolist()])[0], [X.reshape(len(X), -1)], len(X))
            return found if isinstance(found, np.ndarray) else None  # other structures hold a column each
        except (ImportError, TypeError, ValueError):
            return None


def modules_of(model: Any) -> list[Any]:
    """Return the modules that a model is made of; none for a function."""
    return [module for _, module in model.named_modules()] if hasattr(model, "named_modules") else []


@contextmanager
def evaluating(modules: Iterable[Any]) -> Iterator[None]:
    """Put modules in evaluation mode inside a with statement."""
    before = [module for module in modules if module.training]
    for module in before:
        module.training = False
    try:
        yield
    finally:
        for module in before:
            module.training = True


def plain_numbers(output: Any) -> Any:
    """Return the plain numbers in what a model returned."""
    if isinstance(output, Value):
        return output.data
    if isinstance(output, dict):
        return {name: plain_numbers(inner) for name, inner in output.items()}
    nested = hasattr(output, "__iter__") and not isinstance(output, str)
    return [plain_numbers(inner) for inner in output] if nested else output
