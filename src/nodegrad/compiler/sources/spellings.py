"""How each row is spelled in C99 and in JavaScript, and the functions that the languages lack.

Each spelling has a pair of braces per operand, in order. An operand must be a name, a number or in
parentheses. The rows that take any number of operands (`sum`, `dot`) are written by who writes the sums.
"""

import re
from functools import cache
from importlib import resources

from nodegrad import ops
from nodegrad.ops import Op

# fmt: off
_SPELLINGS = {  # row: C99, JavaScript
    "add":           ("{} + {}",                 "{} + {}"),
    "sub":           ("{} - {}",                 "{} - {}"),
    "mul":           ("{} * {}",                 "{} * {}"),
    "div":           ("{} / {}",                 "{} / {}"),
    "pow":           ("row_pow({}, {})",         "pow({}, {})"),
    "neg":           ("-{}",                     "-{}"),
    "abs":           ("fabs({})",                "Math.abs({})"),
    "sign":          ("row_sign({})",            "Math.sign({})"),
    "floor":         ("floor({})",               "Math.floor({})"),
    "ceil":          ("ceil({})",                "Math.ceil({})"),
    "round":         ("rint({})",                "rint({})"),
    "trunc":         ("trunc({})",               "Math.trunc({})"),
    "mod":           ("row_mod({}, {})",         "mod({}, {})"),
    "exp":           ("exp({})",                 "Math.exp({})"),
    "exp2":          ("exp2({})",                "Math.pow(2, {})"),
    "expm1":         ("expm1({})",               "Math.expm1({})"),
    "log":           ("log({})",                 "Math.log({})"),
    "log2":          ("log2({})",                "Math.log2({})"),
    "log10":         ("log10({})",               "Math.log10({})"),
    "log1p":         ("log1p({})",               "Math.log1p({})"),
    "sqrt":          ("sqrt({})",                "Math.sqrt({})"),
    "cbrt":          ("cbrt({})",                "Math.cbrt({})"),
    "square":        ("row_pow({}, 2.0)",        "pow({}, 2)"),
    "reciprocal":    ("1.0 / {}",                "1 / {}"),
    "sin":           ("sin({})",                 "Math.sin({})"),
    "cos":           ("cos({})",                 "Math.cos({})"),
    "tan":           ("tan({})",                 "Math.tan({})"),
    "asin":          ("asin({})",                "Math.asin({})"),
    "acos":          ("acos({})",                "Math.acos({})"),
    "atan":          ("atan({})",                "Math.atan({})"),
    "atan2":         ("atan2({}, {})",           "Math.atan2({}, {})"),
    "hypot":         ("hypot({}, {})",           "Math.hypot({}, {})"),
    "sinh":          ("sinh({})",                "Math.sinh({})"),
    "cosh":          ("cosh({})",                "Math.cosh({})"),
    "tanh":          ("tanh({})",                "Math.tanh({})"),
    "asinh":         ("asinh({})",               "Math.asinh({})"),
    "acosh":         ("acosh({})",               "Math.acosh({})"),
    "atanh":         ("atanh({})",               "Math.atanh({})"),
    "erf":           ("erf({})",                 "erf({})"),
    "erfc":          ("erfc({})",                "erfc({})"),
    "sigmoid":       ("row_sigmoid({})",         "sigmoid({})"),
    "softplus":      ("row_softplus({})",        "softplus({})"),
    "relu":          ("row_relu({})",            "relu({})"),
    "step":          ("row_step({})",            "step({})"),
    "maximum":       ("row_maximum({}, {})",     "maximum({}, {})"),
    "minimum":       ("row_minimum({}, {})",     "minimum({}, {})"),
    "where":         ("row_where({}, {}, {})",   "where({}, {}, {})"),
    "copysign":      ("copysign({}, {})",        "copysign({}, {})"),
    "lt":            ("(double)({} < {})",       "+({} < {})"),
    "le":            ("(double)({} <= {})",      "+({} <= {})"),
    "gt":            ("(double)({} > {})",       "+({} > {})"),
    "ge":            ("(double)({} >= {})",      "+({} >= {})"),
    "eq":            ("(double)({} == {})",      "+({} === {})"),
    "ne":            ("(double)({} != {})",      "+({} !== {})"),
    "identity":      ("{}",                      "{}"),
    "stop_gradient": ("{}",                      "{}"),
    "strong_mul":    ("row_strong_mul({}, {})",  "strong_mul({}, {})"),
    "strong_factor": ("row_strong_factor({}, {})", "strong_factor({}, {})"),
}
# fmt: on
C: dict[Op, str] = {ops.TABLE[name]: spelled for name, (spelled, _) in _SPELLINGS.items()}
JAVASCRIPT: dict[Op, str] = {ops.TABLE[name]: spelled for name, (_, spelled) in _SPELLINGS.items()}

_DEFINED = re.compile(r"^(?:const|function|static double) (\w+)", re.MULTILINE)


def functions(language: str, code: str) -> str:
    """Return the functions of a language ("c" or "js") that a code calls and the language lacks."""
    blocks = _blocks(language)
    wanted: dict[str, None] = {}
    todo = [code]
    while todo:
        for name in re.findall(r"\w+", todo.pop()):
            if name in blocks and name not in wanted:
                wanted[name] = None
                todo.append(blocks[name])
    return "\n".join(text for name, text in blocks.items() if name in wanted)


@cache
def _blocks(language: str) -> dict[str, str]:
    """Return what the file of a language defines: each name and its text, the comment above it included."""
    text = (resources.files("nodegrad.compiler") / "sources" / f"rows.{language}").read_text(encoding="utf-8")
    found = {}
    for block in text.split("\n\n")[1:]:
        name = _DEFINED.search(block)
        if name:
            found[name[1]] = block.strip() + "\n"
    return found
