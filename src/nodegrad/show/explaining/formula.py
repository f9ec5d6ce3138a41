"""Formulas: the results of the table's partials when they are applied to symbols instead of numbers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nodegrad import ops
from nodegrad.extend import Symbol
from nodegrad.ops import Op
from nodegrad.show.text import number, on_the_line

__all__ = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Formula(Symbol):
    """A symbol, or an operation on formulas and numbers. Rows of the table take it as an operand.

    >>> x, y = Formula("x"), Formula("y")
    >>> (1.0 - x * x).text, ops.div(x, y + 2.0).text, ops.pow(x, 3.0).text
    ('1 - x^2', 'x/(y + 2)', 'x^3')
    """

    name: str
    op: Op | None = None
    operands: "tuple[Formula | float, ...]" = ()

    @staticmethod
    def apply_op(op: Op, operands: Sequence[Any]) -> "Formula | float":
        """Write down an operation, unless it is on numbers or changes nothing."""
        if not any(isinstance(operand, Formula) for operand in operands):
            return float(op(*operands))
        simpler = _simpler(op, operands)
        return Formula(op.name, op, tuple(operands)) if simpler is None else simpler

    @property
    def text(self) -> str:
        """The formula as it reads in a terminal."""
        return write(self, TEXT)


ops.give_operators(Formula, *ops.COMPARISONS, ops.neg, ops.abs)


def _simpler(op: Op, operands: Sequence[Any]) -> Any:
    """Return the simpler form of an operation that changes nothing or little; None for any other."""
    x, y = (*operands, None, None)[:2]
    if op in (ops.mul, ops.strong_mul, ops.zero_mul):
        for one, other in ((x, y), (y, x)):
            if _is(one, 1.0) or _is(one, -1.0):
                return other if one > 0.0 else -other
    if op is ops.mul and x is y:
        return ops.pow(x, 2.0)
    if op is ops.mul and isinstance(y, Formula) and y.op is ops.neg:
        return -(x * y.operands[0])
    if op in (ops.add, ops.sub) and _is(y, 0.0):
        return x
    if op in (ops.add, ops.sub) and _is(x, 0.0):
        return y if op is ops.add else -y
    if op is ops.pow and _is(y, 1.0):
        return x
    if op is ops.neg and x.op is ops.neg:
        return x.operands[0]
    return x if op is ops.identity else None


def _is(operand: Any, number: float) -> bool:
    return not isinstance(operand, Formula) and bool(operand == number)


@dataclass(frozen=True)
class Style:
    """How to write formulas: names, numbers, functions, and patterns for what is not a function.

    A pattern is the text and, per operand, how strongly that has to bind to go without brackets.
    """

    name: Callable[[str], str]
    number: Callable[[float], str]
    function: Callable[[str, str], str]
    brackets: tuple[str, str]
    terms: int  # a sum with more terms is written without its middle
    patterns: dict[str, tuple[str, tuple[float, ...]]]


SUM, NEGATIVE, PRODUCT, POWER, ATOM = 1.0, 1.5, 2.0, 3.0, 4.0
BINDS = {"neg": NEGATIVE}
BINDS |= dict.fromkeys(("add", "sub", "sum", "dot", "strong_dot", "one_minus_square"), SUM)
BINDS |= dict.fromkeys(("mul", "strong_mul", "zero_mul", "div", "reciprocal", "direction"), PRODUCT)
BINDS |= dict.fromkeys(("pow", "square", "exp"), POWER)


READ_AS = {"strong_mul": "mul", "zero_mul": "mul"}  # read the same, unless a style spells them apart


def write(formula: Formula | float, style: Style, binds: float = 0.0) -> str:
    """Write a formula in a style, in brackets if it binds less strongly than `binds`."""
    if not isinstance(formula, Formula):
        text, strength = style.number(formula), NEGATIVE if formula < 0.0 else ATOM
    elif formula.op is None:
        text, strength = style.name(formula.name), ATOM
    else:
        text, strength = _apply(formula, style), BINDS.get(formula.op.name, ATOM)
        if formula.op.name == "exp" and "exp" not in style.patterns:
            strength = ATOM
    return text if strength >= binds else text.join(style.brackets)


def _apply(formula: Formula, style: Style) -> str:
    """Write an operation: the terms of a sum, a pattern of the style, or a function."""
    operands, half = formula.operands, len(formula.operands) // 2
    product = ops.PRODUCTS.get(formula.op) if formula.op else None
    if product is not None:
        pairs = zip(operands[:half], operands[half:], strict=True)
        operands = tuple([Formula(product.name, product, pair) for pair in pairs])
    if product is not None or formula.op is ops.sum:
        return _terms([write(operand, style, NEGATIVE + 0.1) for operand in operands], style.terms)
    name = formula.name if formula.name in style.patterns else READ_AS.get(formula.name, formula.name)
    if name in style.patterns:
        pattern, strengths = style.patterns[name]
        return pattern.format(*map(write, operands, [style] * len(operands), strengths))
    return style.function(name, ", ".join([write(operand, style) for operand in operands]))


def _terms(texts: list[str], most: int) -> str:
    """Write a sum, its middle left out if it is long."""
    shown = ends(texts, most)
    if len(shown) < len(texts):
        shown = [*shown[:-1], "…", shown[-1]]
    return " + ".join(shown) or "0"


def ends(terms: Sequence[Any], most: int) -> Sequence[Any]:
    """Return the terms of a sum that are written: all; of more than `most` the first three and the last."""
    return terms if len(terms) <= most else [*terms[:3], terms[-1]]


def latex_number(x: float) -> str:
    r"""Write a number in LaTeX.

    >>> print(latex_number(1.5e-7), latex_number(float("-inf")))
    1.5 \cdot 10^{-7} -\infty
    """
    mantissa, _, exponent = number(x).partition("e")
    if exponent:
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return mantissa.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")


_GREEK = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda
mu nu xi pi rho sigma tau upsilon phi chi psi omega"""
GREEK = frozenset(_GREEK.split())
_LATEX_MARKS = {"\\": r"\backslash", "<": r"\lt", ">": r"\gt", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#"}
_LATEX_MARKS |= {"{": r"\{", "}": r"\}", "_": r"\_", "^": r"\hat{}", "~": r"\sim", "`": r"\grave{}"}


@lru_cache
def latex_name(name: str) -> str:
    r"""Write a name in LaTeX: digits at its end and what follows an underscore become an index.

    >>> print(latex_name("w11_3"), latex_name("w[0][1]"), latex_name("theta"), latex_name("x < y"))
    w_{11,3} w_{0,1} \theta \text{x }\lt\text{ y}
    """
    parts = re.fullmatch(r"([A-Za-z]+)(\d*)((?:_[A-Za-z0-9]+|\[\w+\])*)", on_the_line(name), re.ASCII)
    if parts:
        stem = parts[1]
        if len(stem) > 1:
            stem = rf"\{stem}" if stem in GREEK else rf"\mathrm{{{stem}}}"
        index = ",".join(filter(None, [parts[2], *re.findall(r"[A-Za-z0-9]+", parts[3])]))
        return f"{stem}_{{{index}}}" if index else stem
    runs = re.split(r"([\\<>$&%#{}_^~`])", " ".join(name.split()))
    return "".join(_LATEX_MARKS.get(run) or rf"\text{{{run}}}" for run in runs if run)


COMPARISONS = {"lt": ("<", r"\lt"), "le": ("≤", r"\le"), "gt": (">", r"\gt"), "ge": ("≥", r"\ge")}
COMPARISONS |= {"eq": ("=", "="), "ne": ("≠", r"\ne")}
_EITHER = (SUM, NEGATIVE + 0.1)
INFIX: dict[str, tuple[str, tuple[float, ...]]] = {
    "add": ("{} + {}", _EITHER),
    "sub": ("{} - {}", (SUM, PRODUCT)),
    "mul": ("{}·{}", (NEGATIVE, PRODUCT)),
    "neg": ("-{}", (PRODUCT,)),
    "div": ("{}/{}", (NEGATIVE, POWER)),
    "reciprocal": ("1/{}", (POWER,)),
    "pow": ("{}^{}", (ATOM, ATOM)),
    "square": ("{}^2", (ATOM,)),
    "where": ("({1} if {0} else {2})", (0.0, 0.0, 0.0)),
    "one_minus_square": ("1 - {}^2", (ATOM,)),
    "direction": ("{0}/hypot({0}, {1})", (POWER, POWER)),
}
_FRACTIONS = {
    "mul": (r"{} \cdot {}", (NEGATIVE, PRODUCT)),
    "div": (r"\frac{{{}}}{{{}}}", (0.0, 0.0)),
    "reciprocal": (r"\frac{{1}}{{{}}}", (0.0,)),
    "pow": ("{}^{{{}}}", (ATOM, 0.0)),
    "exp": ("e^{{{}}}", (0.0,)),
    "log": (r"\ln\left({}\right)", (0.0,)),
    "sqrt": (r"\sqrt{{{}}}", (0.0,)),
    "cbrt": (r"\sqrt[3]{{{}}}", (0.0,)),
    "abs": (r"\left|{}\right|", (0.0,)),
    "sigmoid": (r"\sigma\left({}\right)", (0.0,)),
    "direction": (r"\frac{{{0}}}{{\operatorname{{hypot}}\left({0}, {1}\right)}}", (0.0, 0.0)),
    "where": (
        r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        (0.0,) * 3,
    ),
}
_PLAIN = {name: (f"[{{}} {sign} {{}}]", (0.0, 0.0)) for name, (sign, _) in COMPARISONS.items()}
_FRACTIONS |= {
    name: (rf"\left[{{}} {sign} {{}}\right]", (0.0, 0.0)) for name, (_, sign) in COMPARISONS.items()
}


def _latex_call(name: str, operands: str) -> str:
    return rf"\operatorname{{{name.replace('_', '')}}}\left({operands}\right)"


TEXT = Style(str, number, "{}({})".format, ("(", ")"), 8, INFIX | _PLAIN)
LATEX = Style(latex_name, latex_number, _latex_call, (r"\left(", r"\right)"), 8, INFIX | _FRACTIONS)
