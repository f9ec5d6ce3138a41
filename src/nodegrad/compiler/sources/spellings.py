"""How operations are written in C99 and JavaScript, and what differs between the two languages.

An expression is the same in both. It has a pair of braces for each operand, in order: `{} + {}`, `exp({})`.
An operand must be a name, a number, a call or in parentheses. All expressions come from the compiler's table
of spellings. A formula there becomes a function here:

    m.where(x <= 0.0, 0.0, x)    →    static double row_relu(double x) { return (x <= 0.0) ? 0.0 : x; }

The functions that they call are those of C's library; libm.js has them for JavaScript.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from textwrap import fill, indent
from typing import Any

from nodegrad import ops
from nodegrad.compiler.spellings import SPELLINGS
from nodegrad.ops import Op

__all__ = ()

_SHOWN = 8  # numbers of an example
_SAME = ("identity", "stop_gradient", "copy")  # what gives its operand


@dataclass(frozen=True, eq=False)
class Language:
    """What differs between the languages, as templates.

    Attributes:
        name: the name of the language in `Compiled.source`, and the ending of its files.
        loop: the head of a loop, of a variable and the number of turns.
        constant: a local variable that keeps its number; `variable`: one that changes; `room`: an array.
        table: a constant array, of its kind ("int" or "double"), its name, its length and its numbers.
        function: a function, of the kind of its result, its name, its parameters (`names`, and `declared` for
            C) and its body.
        brackets: how an example lists numbers.
    """

    name: str
    loop: str
    constant: str
    variable: str
    room: str
    table: str
    function: str
    brackets: str

    def define_table(self, kind: str, name: str, numbers: Sequence[float]) -> str:
        """Write an array of numbers."""
        texts = ", ".join([str(x) if isinstance(x, int) else number(x) for x in numbers])
        listed = fill(texts, 110, initial_indent="    ", subsequent_indent="    ")
        array = {"int": "Int32Array", "double": "Float64Array"}[kind]
        return self.table.format(kind=kind, array=array, name=name, size=len(numbers), numbers=listed)

    def define(self, kind: str, name: str, parameters: Mapping[str, str], lines: Sequence[str]) -> str:
        """Write a function; the parameters are names with their declarations in C."""
        declared = ", ".join(parameters.values()) or "void"
        body = indent("\n".join(lines), "    ")
        return self.function.format(
            kind=kind, name=name, names=", ".join(parameters), declared=declared, body=body
        )

    def example(self, numbers: Sequence[float]) -> str:
        """Write the first numbers of an array."""
        shown = [*map(number, numbers[:_SHOWN]), *["..."] * (len(numbers) > _SHOWN)]
        return self.brackets.format(", ".join(shown))

    def functions(self, code: str) -> str:
        """Return the functions that a code calls and the language lacks."""
        wanted = set[str]()
        todo = [code]
        while todo:
            new = self._known.keys() & set(re.findall(r"\w+", todo.pop())) - wanted
            wanted |= new
            todo += [self._known[name] for name in new]
        return "\n".join([text for name, text in self._known.items() if name in wanted])

    @cached_property
    def _known(self) -> dict[str, str]:
        """The functions of libm.c or libm.js, and those that formulas stand for, by their names."""
        file = resources.files("nodegrad.compiler") / "sources" / f"libm.{self.name}"
        blocks = file.read_text(encoding="utf-8").split("\n\n")[1:]
        head = re.compile(r"^(?:const|function|static double) (\w+)", re.MULTILINE)
        found = {match[1]: block.strip() + "\n" for block in blocks if (match := head.search(block))}
        rows = [op for op in SPELLINGS if EXPRESSIONS.get(op, "").startswith("row_")]
        return found | {f"row_{op.name}": self._row(op) for op in rows}

    def _row(self, op: Op) -> str:
        """Write the function that a formula of the table of spellings stands for."""
        formula, calls = SPELLINGS[op].formula, _Calls(self)
        assert formula is not None
        names = "xyz"[: op.arity]
        text = _text(formula(calls, *map(_Term, names)))
        lines = [*calls.lines, f"return {text[1:-1] if text.startswith('(') else text};"]
        return self.define("double", f"row_{op.name}", {name: f"double {name}" for name in names}, lines)


def number(x: float) -> str:
    """Write a number; a negative one in parentheses."""
    text = repr(x).replace("inf", "INFINITY").replace("nan", "NAN")
    return f"({text})" if text.startswith("-") else text


def _expression(op: Op) -> str:
    row, braces = SPELLINGS[op], ", ".join(["{}"] * (op.arity or 0))
    if row.formula is not None:
        return "{}" if op.name in _SAME else f"row_{op.name}({braces})"
    if row.c.isidentifier():
        return f"{row.c}({braces})"
    if op.arity == 1:
        return f"{row.c}{{}}"
    return f"{{}} {row.c} {{}}" if row.c in "+-*/" else f"({{}} {row.c} {{}} ? 1.0 : 0.0)"


# The expression for each operation of a fixed number of operands.
EXPRESSIONS = {op: _expression(op) for op in SPELLINGS if op.arity is not None}
EXPRESSIONS[ops.round_to] = "round_to({}, {})"  # Python code elsewhere; both languages have it here


class _Term(str):
    """An operand of a formula; what is computed with it becomes longer text."""

    __slots__ = ()

    def __neg__(self) -> "_Term":
        return _Term(f"(-{self})")


def _text(x: Any) -> str:
    return x if isinstance(x, str) else number(float(x))


def _operator(symbol: str, turned: bool) -> Callable[[_Term, Any], _Term]:
    def method(self: _Term, other: Any) -> _Term:
        x, y = (_text(other), self) if turned else (self, _text(other))
        return _Term(f"({x!s} {symbol} {y!s})")

    return method


_NAMES = ["add", "sub", "mul", "truediv", "lt", "le", "gt", "ge", "eq", "ne", "or", "and", "xor"]
_SYMBOLS = ["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "||", "&&", "!="]
for _name, _symbol in zip(_NAMES, _SYMBOLS, strict=True):
    setattr(_Term, f"__{_name}__", _operator(_symbol, False))
    setattr(_Term, f"__r{_name}__", _operator(_symbol, True))


class _Calls:
    """The `m` of a formula. It names what a function of the library returns, so that it is called once."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.lines: list[str] = []

    def where(self, mask: _Term, x: Any, y: Any) -> _Term:
        return _Term(f"({mask} ? {_text(x)} : {_text(y)})")

    def __getattr__(self, name: str) -> Callable[..., _Term]:
        return partial(self.call, name)

    def call(self, name: str, *operands: Any) -> _Term:
        called = _Term(f"{name}({', '.join(map(_text, operands))})")
        if name in ("fabs", "copysign"):
            return called
        local = _Term(f"{name}_{len(self.lines) + 1}")
        self.lines.append(self.language.constant.format(local, called))
        return local


C = Language(
    name="c",
    loop="for (int {0} = 0; {0} < {1}; {0}++)",
    constant="const double {} = {};",
    variable="double {} = {};",
    room="double {}[{}];",
    table="static const {kind} {name}[{size}] = {{\n{numbers}\n}};",
    function="static {kind} {name}({declared})\n{{\n{body}\n}}\n",
    brackets="{{{}}}",
)
JAVASCRIPT = Language(
    name="js",
    loop="for (let {0} = 0; {0} < {1}; {0}++)",
    constant="const {} = {};",
    variable="let {} = {};",
    room="const {} = new Float64Array({});",
    table="const {name} = new {array}([\n{numbers}\n]);",  # a call would take 65,535 numbers at most
    function="function {name}({names}) {{\n{body}\n}}\n",
    brackets="[{}]",
)
