# mypy: disable-error-code="no-any-return"
# (Calls of the table return any kind of number.)
"""What Values offer besides arithmetic: rounding, conditions, the names of micrograd, NumPy's functions.

Some of it is refused, with what to write instead.
"""

import sys
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn, Self

from nodegrad import ops
from nodegrad.inputs import is_bool
from nodegrad.observers import tell_read
from nodegrad.ops import COMPARISONS, constant
from nodegrad.products import chain
from nodegrad.sweep import partials

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.value import Value

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


class Rounding:
    """How Python rounds: of any kind of number that operations take."""

    __slots__ = ()

    # A whole number of Python is never -0.0: round(-0.1) is the int 0.

    def __floor__(self) -> Self:
        return ops.floor(self) + 0.0

    def __ceil__(self) -> Self:
        return ops.ceil(self) + 0.0

    def __trunc__(self) -> Self:
        return ops.trunc(self) + 0.0

    def __round__(self, ndigits: int | None = None) -> Self:
        return ops.round(self) + 0.0 if ndigits is None else ops.round_to(self, index(ndigits))

    def __divmod__(self: Any, other: Any) -> tuple["Value", "Value"]:
        return self // other, self % other

    def __rdivmod__(self: Any, other: Any) -> tuple["Value", "Value"]:
        return other // self, other % self


class Interfaces(Rounding):
    """Methods that `Value` inherits. To understand how Values compute, nobody needs them."""

    __slots__ = ()

    def __pos__(self: Any) -> "Value":
        return self

    def __and__(self: Any, other: Any) -> "Value":
        """Tell whether both comparisons hold, as on NumPy's arrays."""
        return ops.ne(_condition(self) * _condition(other), 0.0)

    def __or__(self: Any, other: Any) -> "Value":
        """Tell whether one of two comparisons holds, as on NumPy's arrays."""
        return ops.ne(_condition(self) + _condition(other), 0.0)

    def __xor__(self: Any, other: Any) -> "Value":
        """Tell whether exactly one of two comparisons holds, as on NumPy's arrays."""
        return ops.ne(_condition(self), _condition(other))

    def __invert__(self: Any) -> "Value":
        """Tell whether a comparison does not hold, as on NumPy's arrays."""
        return ops.eq(_condition(self), 0.0)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
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

    # Names of micrograd.

    def _backward(self: Any) -> None:
        """Add this node's share to its operands' gradients: one step of the chain rule, as in micrograd."""
        tell_read(self, "calls _backward(), which leaves plain numbers in .grad")
        for operand, *factors in partials(self):
            operand.grad += chain(self.grad, *factors)

    @property
    def _prev(self: Any) -> set["Value"]:
        """The operands as micrograd names them."""
        return set(self.operands)

    @property
    def _op(self: Any) -> str:
        """The operation as micrograd names it: "+", "**2", "tanh"; empty for a leaf."""
        if self.op is None:
            return ""
        if self.op is ops.pow and self.operands[1].op is constant:
            return f"**{self.operands[1]._data:g}"
        return self.op.symbol


def _condition(condition: Any) -> Any:
    """Return what `&`, `|` and `~` combine, or refuse it: a number is not a condition."""
    if getattr(condition, "op", None) in COMPARISONS:
        return condition
    if is_bool(condition):
        return float(condition)
    raise TypeError(
        "&, |, ^ and ~ combine comparisons, each in brackets: (x > 0) & (x < 1); a power is x**2. Got "
        f"{condition!r:.60}."
    )


def refusal(conversion: str) -> Callable[[Any], NoReturn]:
    """Return the method that refuses to give a plain number, and names the line that asked."""

    def method(self: Any) -> NoReturn:
        frame = sys._getframe(1)
        raise TypeError(
            f"{conversion}() in {frame.f_code.co_name} (line {frame.f_lineno}) would silently lose the "
            "gradient of a Value. Write nodegrad.NAME(value) for a function of nodegrad (nodegrad.sin, "
            "nodegrad.sum ...), value.data for the plain number, and value != value to test for nan. A "
            "derivative is a Value if its function closes over Values, such as a model's parameters; the "
            "compiled function returns floats."
        )

    return method
