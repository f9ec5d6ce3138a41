"""The operations: one row each, with its value over floats and its partial derivatives over any kind of number.

A row is called like a function. Given plain numbers, it returns a number. If an operand has a method `apply_op` (a
`Value`, a symbol in an explanation), the row returns `operand.apply_op(row, operands)`: a Value records the operation.
So the same partials serve floats and graphs.

Partials are functions `(operands..., out) -> number`, where `out` is the result of the row. They use `+`, `-` and `*`,
which never raise for floats, and rows for everything else (`div(1.0, x)`, not `1 / x`). So derivatives of rows are made
of rows, and can be differentiated again. At kinks they follow PyTorch and JAX: relu'(0) = 0.
"""

# mypy: disable-error-code=has-type
# (The partials name rows that stand below them.)

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nodegrad import floats
from nodegrad.code_objects import over_floats
from nodegrad.floats import compare, ieee, inf, integral, nan
from nodegrad.inputs import plain

# fmt: off
__all__ = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign",
    "cos", "cosh", "div", "eq", "erf", "erfc", "exp", "exp2", "expm1", "floor", "floordiv", "ge", "gt",
    "hypot", "identity", "le", "log", "log1p", "log2", "log10", "lt", "maximum", "minimum", "mod", "mul",
    "ne", "neg", "pow", "reciprocal", "relu", "round", "round_to", "sigmoid", "sign", "sin", "sinh",
    "softplus", "sqrt", "square", "step", "stop_gradient", "sub", "tan", "tanh", "trunc", "where",
]
# fmt: on

Interval = tuple[float, float]
Number = Any  # a float or a Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Op:
    """An operation: how it is computed, its partial derivatives, and the facts other modules derive code from.

    `partials` holds one function per operand; for a row of any number of operands (`arity` is None) it is one function
    from the operands and the result to the sequence of all partials. None stands for a partial that is 0 everywhere
    (a comparison, the condition of `where`). `domain` gives an interval per operand inside which the row is smooth.
    A row `selects` if a partial of 0 says that the operand was not chosen: then it contributes nothing, even where
    the other factors of the chain rule are inf or nan.
    """

    name: str
    symbol: str
    value: Callable[..., float]
    partials: Any
    domain: tuple[Interval, ...]
    commutative: bool = False
    selects: bool = False
    composed: Callable[..., Any] | None = None  # the value written with rows, to be recorded
    whole: ClassVar[Any] = None  # set in `composites` only: the loop or search that gives this result
    arity: int | None = field(init=False)  # the number of operands; None if any number is allowed
    float_partials: Any = field(init=False)  # the partials, faster and for floats only: see `join_table`

    def __post_init__(self) -> None:
        object.__setattr__(self, "arity", None if callable(self.partials) else len(self.partials))
        object.__setattr__(self, "float_partials", self.partials)

    @property
    def zero_derivative(self) -> bool:
        """Whether the operation is piecewise constant."""
        return not callable(self.partials) and not any(self.partials)

    def __call__(self, *operands: Any) -> Any:
        """Apply to numbers: floats give a float, Values a Value."""
        all_floats = True
        for operand in operands:
            if type(operand) is not float:
                if hasattr(operand, "apply_op"):
                    return operand.apply_op(self, operands)
                all_floats = False
        if self.arity is not None and len(operands) != self.arity:
            raise wrong_arity(self, len(operands))
        return self.value(*(operands if all_floats else [plain(x, self.name) for x in operands]))

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


def wrong_arity(op: Op, count: int) -> TypeError:
    """Return the error for an operation applied to a wrong number of operands."""
    return TypeError(f"{op.name} takes {op.arity} operand{'s' * (op.arity != 1)}; got {count}.")


# The partials of rows that take any number of operands.


def _taken(operands: Sequence[Any], out: Any) -> tuple[Any, ...]:
    """Return 1 for the entry that `take` returns, and 0 for the index and the other entries."""
    index, *table = operands
    whole = floor(index)
    return 0.0, *[eq(whole, float(k)) for k in range(len(table))]


def _other_half(operands: Sequence[Any], out: Any) -> tuple[Any, ...]:
    half = len(operands) // 2
    return (*operands[half:], *operands[:half])


def _strong_factors(operands: Sequence[Any], out: Any) -> tuple[Any, ...]:
    half = len(operands) // 2
    return (*map(strong_factor, operands[:half], operands[half:]), *operands[:half])


_REAL, _POSITIVE, _UNIT, _SMALL = (-3.0, 3.0), (0.2, 4.0), (-0.9, 0.9), (-1.2, 1.2)
_NEGATIVE, _ABOVE_ONE, _ABOVE_MINUS_ONE, _FRACTION = (-4.0, -0.2), (1.2, 5.0), (-0.8, 4.0), (0.1, 0.9)
_R, _RR, _P, _U, _F = (_REAL,), (_REAL, _REAL), (_POSITIVE,), (_UNIT,), (_FRACTION,)
_PN, _RP = (_POSITIVE, _NEGATIVE), (_REAL, _POSITIVE)
_TWICE = ((2.1, 2.9), (0.95, 1.04))  # numbers whose quotient rounds down to 2
_LN2, _LN10, _ERF = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(math.pi)

# The table. Columns: name, symbol, value over floats, one partial per operand, domain, facts.
# fmt: off
add      = Op("add",        "+",    operator.add,     (lambda x, y, out: 1.0, lambda x, y, out: 1.0),
                                                      _RR, commutative=True)
sub      = Op("sub",        "-",    operator.sub,     (lambda x, y, out: 1.0, lambda x, y, out: -1.0), _RR)
mul      = Op("mul",        "*",    operator.mul,     (lambda x, y, out: y, lambda x, y, out: x),
                                                      _RR, commutative=True)
div      = Op("div",        "/",    floats.div,       (lambda x, y, out: reciprocal(y),
                                                       lambda x, y, out: -div(out, y)), _RP)
# The partial of pow by y is 0 where x = 0 and y ≥ 0: there log(x) is -inf.
pow      = Op("pow",        "**",   floats.pow,       (lambda x, y, out: strong_mul(y, pow(x, y - 1.0)),
                                                       lambda x, y, out: where(ge(y, 0.0) * eq(x, 0.0), 0.0,
                                                                               out * log(x))), (_POSITIVE, _REAL))
neg      = Op("neg",        "-",    operator.neg,     (lambda x, out: -1.0,), _R)
abs      = Op("abs",        "abs",  math.fabs,        (lambda x, out: sign(x),), _P, selects=True)
sign     = Op("sign",       "sign", floats.sign,      (None,), _P)
floor    = Op("floor",      "floor", integral(math.floor), (None,), _F)
ceil     = Op("ceil",       "ceil", integral(math.ceil), (None,), _F)
round    = Op("round",      "round", integral(builtins.round), (None,), ((0.6, 1.4),))
round_to = Op("round_to",   "round", floats.round_to, (None, None), ((0.6, 1.4), _FRACTION))
trunc    = Op("trunc",      "trunc", integral(math.trunc), (None,), _F)
floordiv = Op("floordiv",   "//",   floats.floordiv,  (None, None), _TWICE)
mod      = Op("mod",        "%",    floats.mod,       (lambda x, y, out: 1.0,
                                                       lambda x, y, out: -floordiv(x, y)), _TWICE)

exp      = Op("exp",        "exp",  ieee(math.exp),   (lambda x, out: out,), _R)
exp2     = Op("exp2",       "exp2", ieee(math.exp2),  (lambda x, out: out * _LN2,), _R)
expm1    = Op("expm1",      "expm1", ieee(math.expm1), (lambda x, out: exp(x),), _R)
log      = Op("log",        "log",  ieee(math.log, {0.0: -inf}), (lambda x, out: reciprocal(x),), _P)
log2     = Op("log2",       "log2", ieee(math.log2, {0.0: -inf}), (lambda x, out: div(1.0 / _LN2, x),), _P)
log10    = Op("log10",      "log10", ieee(math.log10, {0.0: -inf}), (lambda x, out: div(1.0 / _LN10, x),), _P)
log1p    = Op("log1p",      "log1p", ieee(math.log1p, {-1.0: -inf}),
                                                      (lambda x, out: reciprocal(1.0 + x),), (_ABOVE_MINUS_ONE,))
sqrt     = Op("sqrt",       "sqrt", ieee(math.sqrt),  (lambda x, out: div(0.5, out),), _P)
cbrt     = Op("cbrt",       "cbrt", math.cbrt,        (lambda x, out: reciprocal(3.0 * out * out),), _P)
square   = Op("square",     "²",    lambda x: x * x,  (lambda x, out: 2.0 * x,), _R)
reciprocal = Op("reciprocal", "1/", lambda x: floats.div(1.0, x), (lambda x, out: -(out * out),), _P)

sin      = Op("sin",        "sin",  ieee(math.sin),   (lambda x, out: cos(x),), _R)
cos      = Op("cos",        "cos",  ieee(math.cos),   (lambda x, out: -sin(x),), _R)
tan      = Op("tan",        "tan",  ieee(math.tan),   (lambda x, out: 1.0 + out * out,), (_SMALL,))
asin     = Op("asin",       "asin", ieee(math.asin),  (lambda x, out: reciprocal(sqrt(one_minus_square(x))),), _U)
acos     = Op("acos",       "acos", ieee(math.acos),  (lambda x, out: -reciprocal(sqrt(one_minus_square(x))),), _U)
atan     = Op("atan",       "atan", math.atan,        (lambda x, out: reciprocal(1.0 + x * x),), _R)
atan2    = Op("atan2",      "atan2", math.atan2,      (lambda y, x, out: div(direction(x, y), hypot(x, y)),
                                                       lambda y, x, out: -div(direction(y, x), hypot(x, y))), _RP)
hypot    = Op("hypot",      "hypot", floats.hypot,    (lambda x, y, out: direction(x, y),
                                                       lambda x, y, out: direction(y, x)),
                                                      (_POSITIVE, _REAL), commutative=True)

sinh     = Op("sinh",       "sinh", ieee(math.sinh),  (lambda x, out: cosh(x),), _R)
cosh     = Op("cosh",       "cosh", floats.cosh,      (lambda x, out: sinh(x),), _R)
tanh     = Op("tanh",       "tanh", math.tanh,        (lambda x, out: 1.0 - out * out,), _R)
asinh    = Op("asinh",      "asinh", math.asinh,      (lambda x, out: reciprocal(hypot(x, 1.0)),), _R)
acosh    = Op("acosh",      "acosh", ieee(math.acosh), (lambda x, out: reciprocal(sqrt(x - 1.0) * sqrt(x + 1.0)),),
                                                      (_ABOVE_ONE,))
atanh    = Op("atanh",      "atanh", ieee(math.atanh, {1.0: inf, -1.0: -inf}),
                                                      (lambda x, out: reciprocal(one_minus_square(x)),), _U)

erf      = Op("erf",        "erf",  math.erf,         (lambda x, out: _ERF * exp(-(x * x)),), _R)
erfc     = Op("erfc",       "erfc", math.erfc,        (lambda x, out: -_ERF * exp(-(x * x)),), _R)

sigmoid  = Op("sigmoid",    "σ",    floats.sigmoid,   (lambda x, out: out * sigmoid(-x),), _R)
softplus = Op("softplus",   "softplus", floats.softplus, (lambda x, out: sigmoid(x),), _R)
relu     = Op("relu",       "ReLU", floats.relu,      (lambda x, out: gt(x, 0.0),), _P, selects=True)
step     = Op("step",       "step", floats.step,      (None,), _P)

maximum  = Op("maximum",    "max",  floats.maximum,   (lambda x, y, out: 1.0 - lt(x, y) - 0.5 * eq(x, y),
                                                       lambda x, y, out: 1.0 - gt(x, y) - 0.5 * eq(x, y)),
                                                      _PN, selects=True)
minimum  = Op("minimum",    "min",  floats.minimum,   (lambda x, y, out: 1.0 - gt(x, y) - 0.5 * eq(x, y),
                                                       lambda x, y, out: 1.0 - lt(x, y) - 0.5 * eq(x, y)),
                                                      _PN, selects=True)
where    = Op("where",      "where", floats.where,    (None, lambda c, x, y, out: ne(c, 0.0),
                                                       lambda c, x, y, out: eq(c, 0.0)),
                                                      (_POSITIVE, *_RR), selects=True)
copysign = Op("copysign",   "copysign", floats.copysign, (lambda x, y, out: sign(x) * sign(out), None),
                                                      _PN, selects=True)

lt       = Op("lt",         "<",    compare(operator.lt), (None, None), _PN)
le       = Op("le",         "≤",    compare(operator.le), (None, None), _PN)
gt       = Op("gt",         ">",    compare(operator.gt), (None, None), _PN)
ge       = Op("ge",         "≥",    compare(operator.ge), (None, None), _PN)
eq       = Op("eq",         "=",    compare(operator.eq), (None, None), _PN, commutative=True)
ne       = Op("ne",         "≠",    compare(operator.ne), (None, None), _PN, commutative=True)

sum      = Op("sum",        "Σ",    floats.sum,       lambda operands, out: (1.0,) * len(operands), _RR)
take     = Op("take",       "[]",   floats.take,      _taken, (_FRACTION, *_RR), selects=True)
dot      = Op("dot",        "·",    floats.dot,       _other_half, _RR + _RR)

identity = Op("identity",   "",     lambda x: x,      (lambda x, out: 1.0,), _R)
stop_gradient = Op("stop_gradient", "stop", lambda x: x, (None,), _R)

# Rows that only partials use, so that partials and their derivatives lose no digits.
one_minus_square = Op("one_minus_square", "1-²", lambda x: (1.0 - x) * (1.0 + x), (lambda x, out: -2.0 * x,), _U)
direction = Op("direction", "x/hypot", floats.direction, (lambda x, y, out: div(square(direction(y, x)), hypot(x, y)),
                                                       lambda x, y, out: -div(out * direction(y, x), hypot(x, y))),
                                                      (_POSITIVE, _REAL))

# Sweeps over Values record these in place of mul and dot, so that some zeros win over inf and nan (see `products`).
# a is an adjoint, p a partial:
#   mul(0, inf) = mul(inf, 0) = nan            IEEE 754
#   strong_mul(a, p) = 0 if a = 0              an adjoint of 0 passes nothing on
#   zero_mul(a, p) = 0 if a = 0 or p = 0       for the partial p of an operation that selects
#   strong_dot                                 the sum of many strong_mul
#   strong_factor(a, p) = p, but 0 if a = 0 and p is inf or nan: the partial of strong_mul by a
strong_mul = Op("strong_mul", "*",  floats.strong_mul, (lambda a, p, out: strong_factor(a, p), lambda a, p, out: a),
                                                      _RR, selects=True)
strong_dot = Op("strong_dot", "·",  floats.strong_dot, _strong_factors, _RR + _RR, selects=True)
zero_mul   = Op("zero_mul",   "*",  floats.zero_mul,  (lambda a, p, out: strong_factor(a, p),
                                                       lambda a, p, out: strong_factor(p, a)),
                                                      _RR, commutative=True, selects=True)
strong_factor = Op("strong_factor", "finite", floats.strong_factor,
                                                      (None,
                                                       lambda a, p, out: ne(a, 0.0) + eq(a, 0.0) * eq(p - p, 0.0)),
                                                      _RR, selects=True)
# fmt: on

# A number written in the code. Not a row: it has no operands and is never differentiated.
constant = Op("constant", "", lambda: nan, (), ())

COMPARISONS = {lt, le, gt, ge, eq, ne}  # their results are 0 or 1
CHAIN_RULE = {strong_mul, strong_dot, strong_factor}
# Their partials are finite wherever their operands are.
FINITE = {add, sub, mul, neg, square, sin, cos, tanh, sigmoid, exp, sum, dot, identity, *CHAIN_RULE}
PRODUCTS = {dot: mul, strong_dot: strong_mul}  # what a contraction adds up

TABLE: dict[str, Op] = {}


def join_table(*rows: Op) -> None:
    """Add rows to the table, and make their `float_partials`."""
    TABLE.update({row.name: row for row in rows})
    for row in rows:
        if row.arity is not None:
            object.__setattr__(row, "float_partials", tuple([over_floats(rule, Op) for rule in row.partials]))


join_table(*[row for row in tuple(globals().values()) if isinstance(row, Op) and row is not constant])


def _operator(op: Op, swapped: bool = False) -> Callable[..., Any]:
    return lambda self, *other: op(*((*other, self) if swapped else (self, *other)))


def give_operators(kind: type, *rows: Op, method: Callable[..., Any] = _operator) -> None:
    """Give a class the arithmetic operators of two numbers (+, -, *, /, **, %, //), and one operator per row.

    The operator of a row has its name: `__lt__` for lt. Operators that the class defines itself stay.
    `method` makes the method for a row; with `swapped`, the one for operands in the other order.
    """
    two = {"truediv": div, **{row.name: row for row in (add, sub, mul, pow, mod, floordiv)}}
    methods = {f"__{name}__": method(row) for name, row in two.items()}
    methods |= {f"__r{name}__": method(row, swapped=True) for name, row in two.items()}
    methods |= {f"__{row.name}__": method(row) for row in rows}
    for name, found in methods.items():
        if name not in vars(kind):
            setattr(kind, name, found)
