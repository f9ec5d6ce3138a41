"""How each row is written in C99 and in JavaScript: derived from the compiler's table of spellings.

`C` and `JAVASCRIPT` hold an expression for each operation of a fixed number of operands, with a pair of
braces per operand, in order. An operand must be a name, a number or in parentheses. `functions` returns the
functions that such expressions call and the language lacks.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import resources
from math import inf
from typing import Any

from nodegrad import ops
from nodegrad.compiler.spellings import SPELLINGS
from nodegrad.ops import Op

__all__ = ()

_SHOWN = 8  # numbers of an example
_FOLDER = resources.files("nodegrad.compiler") / "sources"
_LIBRARY = {language: (_FOLDER / f"libm.{language}").read_text(encoding="utf-8") for language in ("c", "js")}


def number(x: float, language: str) -> str:
    """Write a number; a negative one in parentheses."""
    if x != x or x in (inf, -inf):
        name = ("NAN", "INFINITY") if language == "c" else ("NaN", "Infinity")
        text = name[x == x]
        return f"(-{text})" if x < 0 else text
    return f"({x!r})" if str(x).startswith("-") else repr(x)


def listed(numbers: Sequence[float], language: str) -> str:
    """Write the first numbers of an array, in the brackets of the language."""
    shown = ", ".join([number(x, language) for x in numbers[:_SHOWN]]) + ", ..." * (len(numbers) > _SHOWN)
    return f"{{{shown}}}" if language == "c" else f"[{shown}]"


def _function(name: str, language: str) -> str:
    """Return what a language calls a function of C's library."""
    if language == "c" or f"function {name}(" in _LIBRARY["js"]:
        return name
    return "Math.abs" if name == "fabs" else f"Math.{name}"


class _Term:
    """An operand of a formula as text: what is computed with it becomes longer text."""

    def __init__(self, writer: "_Writer", text: str) -> None:
        self.writer, self.text = writer, text

    def __neg__(self) -> "_Term":
        return _Term(self.writer, f"(-{self.text})")

    def __hash__(self) -> int:
        return hash(self.text)


def _operator(symbol: str, turned: bool) -> Callable[[_Term, Any], _Term]:
    def method(self: _Term, other: Any) -> _Term:
        x, y = self.text, self.writer.text(other)
        return _Term(self.writer, f"({y} {symbol} {x})" if turned else f"({x} {symbol} {y})")

    return method


_NAMES = ["add", "sub", "mul", "truediv", "lt", "le", "gt", "ge", "eq", "ne", "or", "and", "xor"]
_SYMBOLS = ["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "||", "&&", "!="]
_OPERATORS = dict(zip(_NAMES, _SYMBOLS, strict=True))
for _name, _symbol in _OPERATORS.items():
    setattr(_Term, f"__{_name}__", _operator(_symbol, False))
    if _symbol in "+-*/":
        setattr(_Term, f"__r{_name}__", _operator(_symbol, True))


class _Writer:
    """The `m` of a formula: writes the function of a row. A call of the library is made once and named."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.lines: list[str] = []

    def text(self, it: Any) -> str:
        return it.text if isinstance(it, _Term) else number(float(it), self.language)

    def where(self, mask: _Term, x: Any, y: Any) -> _Term:
        return _Term(self, f"({mask.text} ? {self.text(x)} : {self.text(y)})")

    def __getattr__(self, name: str) -> Callable[..., _Term]:
        return partial(self.call, name)

    def call(self, name: str, *operands: Any) -> _Term:
        called = f"{_function(name, self.language)}({', '.join(map(self.text, operands))})"
        if name in ("fabs", "copysign"):
            return _Term(self, called)
        local = f"{name}_{len(self.lines) + 1}"
        self.lines.append(f"const {'double ' * (self.language == 'c')}{local} = {called};")
        return _Term(self, local)


def _written(op: Op, language: str) -> str:
    """Write the function that a formula stands for."""
    row = SPELLINGS[op]
    writer = _Writer(language)
    names = [f"{letter}" for letter in "xyz"[: op.arity]]
    assert row.formula is not None
    result = row.formula(writer, *[_Term(writer, name) for name in names])
    text = writer.text(result)
    lines = [*writer.lines, f"return {text[1:-1] if text.startswith('(') else text};"]
    if language == "c":
        head = f"static double row_{op.name}({', '.join(f'double {name}' for name in names)})\n{{"
    else:
        head = f"function row_{op.name}({', '.join(names)}) {{"
    return "\n".join([head, *[f"    {line}" for line in lines], "}\n"])


def _expression(op: Op, language: str) -> str:
    """Return the expression that an operation is written as."""
    row = SPELLINGS[op]
    braces = ", ".join(["{}"] * (op.arity or 0))
    if row.formula is not None:
        return "{}" if op.name in _SAME else f"row_{op.name}({braces})"
    if row.c.isidentifier():
        return f"{_function(row.c, language)}({braces})"
    if op.arity == 1:
        return f"{row.c}{{}}"
    infix = f"{{}} {row.c} {{}}"
    return infix if row.c in "+-*/" else f"(double)({infix})" if language == "c" else f"+({infix})"


_SAME = ("identity", "stop_gradient", "copy")
_SPELLED = [op for op in SPELLINGS if op.arity is not None]
_ROUND_TO = {ops.round_to: "round_to({}, {})"}  # Python elsewhere; both libraries here have it
C: dict[Op, str] = {op: _expression(op, "c") for op in _SPELLED} | _ROUND_TO
JAVASCRIPT: dict[Op, str] = {op: _expression(op, "js") for op in _SPELLED} | _ROUND_TO


def functions(language: str, code: str) -> str:
    """Return the functions of a language ("c" or "js") that a code calls and the language lacks."""
    blocks = _blocks(language)
    wanted = set[str]()
    todo = [code]
    while todo:
        for name in re.findall(r"\w+", todo.pop()):
            if name in blocks and name not in wanted:
                wanted.add(name)
                todo.append(blocks[name])
    return "\n".join(text for name, text in blocks.items() if name in wanted)


@cache
def _blocks(language: str) -> dict[str, str]:
    """Return what can be taken along: each name, and the text of its function with the comment above it."""
    found = {}
    for block in _LIBRARY[language].split("\n\n")[1:]:
        (name,) = re.findall(r"^(?:const|function|static double) (\w+)", block, re.MULTILINE)[:1]
        found[name] = block.strip() + "\n"
    for op, row in SPELLINGS.items():
        if row.formula is not None and op.name not in _SAME:
            found[f"row_{op.name}"] = _written(op, language)
    return found
