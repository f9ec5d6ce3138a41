"""NumPy's functions on Values: applied to objects, or refused with what to write instead."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ()

# NumPy has no version of these tests for objects.
_REMEDIES = {
    "isnan": "value != value, or math.isnan(value.data)",
    "isfinite": "abs(value) < math.inf, or math.isfinite(value.data)",
    "isinf": "abs(value) == math.inf, or math.isinf(value.data)",
    "signbit": "nodegrad.copysign(1.0, value) < 0",
}
# NumPy's functions call the methods of the objects in an array by NumPy's names.
_ARCS = {f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")}
METHODS = {**_ARCS, "rint": "round", "fabs": "abs", "conjugate": "__pos__"}
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Apply a function of NumPy to objects, as NumPy does where a class has no `__array_ufunc__`."""
    name = ufunc.__name__
    if name in _REMEDIES:
        raise TypeError(f"{name} takes plain numbers, not a Value. Write {_REMEDIES[name]}.")
    if name == "divmod":  # has no version for objects
        return inputs[0] // inputs[1], inputs[0] % inputs[1]
    array = sys.modules["numpy"].array
    lifted = [array(x, object) if hasattr(x, "apply_op") else x for x in inputs]
    if name in _COMPARISONS and not any(getattr(x, "shape", ()) for x in inputs):
        options = {**options, "dtype": object}  # of two numbers: a Value, not its truth
    return getattr(ufunc, method)(*lifted, **options)
