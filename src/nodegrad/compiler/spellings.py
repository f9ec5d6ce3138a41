"""The table of spellings: how each operation is written in NumPy, in LLVM IR and with the C library, a row each.

A row names a function or an operator per language, or gives a formula over any of them, or both. The formula
wins: the names then say what it may call. An operation that is not in the table runs number by number in Python.

Formulas are written like Python: `lambda m, x: m.where(x <= 0.0, 0.0, x)`. The operands have the operators of
numbers, their comparisons give masks (with `|`, `&`, `^`), and `m` holds `where(mask, x, y)` and every function of
the C library that a row names. Each language brings its own operands and its own `m`.
"""

from collections.abc import Callable
from math import inf, nan
from types import SimpleNamespace
from typing import Any, NamedTuple

from nodegrad import ops
from nodegrad.compiler.program import COPY
from nodegrad.ops import Op

__all__ = ()


class Spelling(NamedTuple):
    """How one operation is written.

    Attributes:
        numpy: the name of NumPy's function.
        exact: whether NumPy computes what the table of operations does to the bit; else within a few ulp.
        llvm: the instruction, the comparison ("fcmp olt") or the intrinsic ("llvm.floor").
        c: the operator of C or the function of the C library. glibc's vector version of a function that LLVM has
            no intrinsic for is looked up by this name.
        formula: `(m, *operands)`, as the module describes.
    """

    numpy: str = ""
    exact: bool = True
    llvm: str = ""
    c: str = ""
    formula: Callable[..., Any] | None = None

    @property
    def calls(self) -> bool:
        """Whether native code calls a function, which spills registers."""
        return not self.llvm and (self.c.isidentifier() or not self.exact)


def _mod(m: Any, x: Any, y: Any) -> Any:
    """Take the remainder with the sign of y, as Python does."""
    rest = m.fmod(x, y)
    moved = m.where(((y < 0.0) ^ (rest < 0.0)) & (rest != 0.0), rest + y, rest)
    return m.where(rest == 0.0, m.copysign(0.0, y), moved)


def _floordiv(m: Any, x: Any, y: Any) -> Any:
    """Divide and round down as Python does: subtract the remainder, then divide."""
    rest = m.fmod(x, y)
    quotient = (x - rest) / y
    quotient = m.where(((y < 0.0) ^ (rest < 0.0)) & (rest != 0.0), quotient - 1.0, quotient)
    whole = m.floor(quotient)
    whole = m.where(quotient - whole > 0.5, whole + 1.0, whole)
    return m.where((quotient == 0.0) | (y == 0.0), m.where(y == 0.0, x / y, m.copysign(0.0, x / y)), whole)


def _direction(m: Any, x: Any, y: Any) -> Any:
    length = m.hypot(x, y)
    return m.where(length == 0.0, 0.0, x / length)


def _take(m: Any, index: Any, *table: Any) -> Any:
    whole, found = m.floor(index), nan
    for k, entry in enumerate(table):
        found = m.where(whole == float(k), entry, found)
    return found


def _sigmoid(m: Any, x: Any) -> Any:
    small = m.exp(-m.fabs(x))
    return m.where(x >= 0.0, 1.0, small) / (1.0 + small)


def _softplus(m: Any, x: Any) -> Any:
    tail = m.log1p(m.exp(-m.fabs(x)))
    return m.where(x > 0.0, x + tail, tail)


_FAST = False  # the column `exact` where NumPy is off by a few ulp
# fmt: off
# Functions with one name everywhere, off by a few ulp in NumPy; and those that NumPy calls arcsin for asin.
_SAME = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "sin", "cos", "tan", "hypot",
         "sinh", "cosh", "tanh")
_INVERSE = ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")

#   operation            NumPy        to the bit  LLVM            C            formula
SPELLINGS: dict[Op, Spelling] = {
    ops.add:    Spelling("add",        True,  "fadd",            "+"),
    ops.sub:    Spelling("subtract",   True,  "fsub",            "-"),
    ops.mul:    Spelling("multiply",   True,  "fmul",            "*"),
    ops.div:    Spelling("divide",     True,  "fdiv",            "/"),
    ops.neg:    Spelling("negative",   True,  "fneg",            "-"),
    ops.abs:    Spelling("absolute",   True,  "llvm.fabs",       "fabs"),
    ops.floor:  Spelling("floor",      True,  "llvm.floor",      "floor"),
    ops.ceil:   Spelling("ceil",       True,  "llvm.ceil",       "ceil"),
    ops.round:  Spelling("rint",       True,  "llvm.roundeven",  "rint"),
    ops.trunc:  Spelling("trunc",      True,  "llvm.trunc",      "trunc"),
    ops.sqrt:   Spelling("sqrt",       True,  "llvm.sqrt",       "sqrt"),
    ops.copysign: Spelling("copysign", True,  "llvm.copysign",   "copysign",
                           lambda m, x, y: m.copysign(x, m.where(y == y, y, 0.0))),
    ops.lt:     Spelling("less",       True,  "fcmp olt",        "<"),
    ops.le:     Spelling("less_equal", True,  "fcmp ole",        "<="),
    ops.gt:     Spelling("greater",    True,  "fcmp ogt",        ">"),
    ops.ge:     Spelling("greater_equal", True, "fcmp oge",      ">="),
    ops.eq:     Spelling("equal",      True,  "fcmp oeq",        "=="),
    ops.ne:     Spelling("not_equal",  True,  "fcmp une",        "!="),

    **{ops.TABLE[name]: Spelling(name, _FAST, "", name) for name in _SAME},
    **{ops.TABLE[f"a{name}"]: Spelling(f"arc{name}", _FAST, "", f"a{name}") for name in _INVERSE},
    ops.erf:    Spelling("",           _FAST, "",                "erf"),
    ops.erfc:   Spelling("",           _FAST, "",                "erfc"),
    ops.pow:    Spelling("float_power", True, "",                "pow"),
    ops.mod:    Spelling("fmod",       True,  "",                "fmod",     _mod),
    ops.floordiv: Spelling("",         _FAST, "",                "",         _floordiv),
    ops.sigmoid: Spelling("",          _FAST, "",                "",         _sigmoid),
    ops.softplus: Spelling("",         _FAST, "",                "",         _softplus),

    ops.sign:       Spelling(formula=lambda m, x: m.where(x > 0.0, 1.0, m.where(x < 0.0, -1.0, x))),
    ops.square:     Spelling(formula=lambda m, x: x * x),
    ops.reciprocal: Spelling(formula=lambda m, x: 1.0 / x),
    ops.one_minus_square: Spelling(formula=lambda m, x: (1.0 - x) * (1.0 + x)),
    ops.direction:  Spelling("",       _FAST, "",                "",         _direction),
    ops.take:       Spelling(formula=_take),
    ops.relu:       Spelling(formula=lambda m, x: m.where(x <= 0.0, 0.0, x)),
    ops.step:       Spelling(formula=lambda m, x: m.where(x > 0.0, 1.0, m.where(x != x, x, 0.0))),
    ops.maximum:    Spelling(formula=lambda m, x, y: m.where((x >= y) | (x != x), x, y)),
    ops.minimum:    Spelling(formula=lambda m, x, y: m.where((x <= y) | (x != x), x, y)),
    ops.where:      Spelling(formula=lambda m, condition, x, y: m.where(condition != 0.0, x, y)),
    ops.identity:      Spelling(formula=lambda m, x: x),
    ops.stop_gradient: Spelling(formula=lambda m, x: x),
    COPY:              Spelling(formula=lambda m, x: x),
    ops.strong_mul:    Spelling(formula=lambda m, a, p: m.where(a != 0.0, a * p, 0.0)),
    ops.zero_mul:      Spelling(formula=lambda m, x, y: m.where(x != 0.0, m.where(y != 0.0, x * y, 0.0), 0.0)),
    ops.strong_factor: Spelling(formula=lambda m, a, p: m.where((a != 0.0) | (m.fabs(p) < inf), p, 0.0)),
}
# fmt: on

# The rows that name a function of the C library, by that name.
FUNCTIONS = {row.c: op for op, row in SPELLINGS.items() if row.c.isidentifier()}
# The `m` of a language whose operands have `apply_op`, which rows and operators call, and whose masks have `where`.
ROWS = SimpleNamespace(where=lambda mask, x, y: mask.where(x, y), **FUNCTIONS)
