"""How operations are written in C99 and JavaScript, and what differs between the two languages.

An expression is the same in both. It has a pair of braces for each operand, in order: `{} + {}`, `exp({})`.
An operand must be a name, a number, a call or in parentheses. All expressions come from the compiler's table
of spellings. A formula there becomes a function here:

    m.where(x <= 0.0, 0.0, x)    →    static double row_relu(double x) { return (x <= 0.0) ? 0.0 : x; }

The functions that they call are those of C's library; libm.js has them for JavaScript.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from textwrap import fill, indent
from typing import Any

from nodegrad import ops
from nodegrad.compiler.spellings import ROWS, SPELLINGS
from nodegrad.ops import COMPARISONS, Op, give_operators

__all__ = ()

_SHOWN = 8  # numbers of an example
_SAME = ("identity", "stop_gradient", "copy")  # operations that return their operand


@dataclass(frozen=True, eq=False)
class Language:
    """The differences between the languages, as templates.

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
        formula, names, lines = SPELLINGS[op].formula, "xyz"[: op.arity], list[str]()
        assert formula is not None
        text = _text(formula(ROWS, *[_Term(name, self, lines) for name in names]))
        lines.append(f"return {bare(text)};")
        return self.define("double", f"row_{op.name}", {name: f"double {name}" for name in names}, lines)


def number(x: float) -> str:
    """Write a number; a negative one in parentheses."""
    text = repr(x).replace("inf", "INFINITY").replace("nan", "NAN")
    return f"({text})" if text.startswith("-") else text


def bare(text: str) -> str:
    """Return an expression without the parentheses around it."""
    return text[1:-1] if text.startswith("(") else text


def _form(op: Op, name: str) -> str:
    """Write an operator or the call of a function, with a pair of braces for each operand."""
    if name.isidentifier():
        return f"{name}({', '.join(['{}'] * (op.arity or 0))})"
    return f"{name}{{}}" if op.arity == 1 else f"{{}} {name} {{}}"


def _expression(op: Op) -> str:
    row = SPELLINGS[op]
    if row.formula is not None:
        return "{}" if op.name in _SAME else _form(op, f"row_{op.name}")
    return f"({_form(op, row.c)} ? 1.0 : 0.0)" if op in COMPARISONS else _form(op, row.c)


# The expression for each operation of a fixed number of operands.
EXPRESSIONS = {op: _expression(op) for op in SPELLINGS if op.arity is not None}
EXPRESSIONS[ops.round_to] = "round_to({}, {})"  # Python code elsewhere; both languages have it here


def _logic(symbol: str) -> Callable[["_Term", "_Term"], "_Term"]:
    return lambda x, y: x.made(f"({x.text} {symbol} {y.text})")


@dataclass(eq=False)
class _Term:
    """An operand of a formula, or a mask, as text.

    A result of a function of the library gets a name on a line before, so that it is called once.
    """

    text: str
    language: Language
    lines: list[str]

    @staticmethod
    def apply_op(op: Op, operands: Sequence[Any]) -> "_Term":
        """Write an operation without its formula; a comparison gives a mask."""
        (first, *_) = [x for x in operands if isinstance(x, _Term)]
        name = SPELLINGS[op].c
        text = _form(op, name).format(*map(_text, operands))
        if not name.isidentifier():
            return first.made(f"({text})")
        if name in ("fabs", "copysign"):
            return first.made(text)
        local = f"{name}_{len(first.lines) + 1}"
        first.lines.append(first.language.constant.format(local, text))
        return first.made(local)

    def made(self, text: str) -> "_Term":
        """Return another operand of the same formula."""
        return replace(self, text=text)

    def where(self, x: Any, y: Any) -> "_Term":
        """Choose by a mask."""
        return self.made(f"({self.text} ? {_text(x)} : {_text(y)})")

    __or__, __and__, __xor__ = map(_logic, ("||", "&&", "!="))


give_operators(_Term, *COMPARISONS, ops.neg)


def _text(x: Any) -> str:
    return x.text if isinstance(x, _Term) else number(float(x))


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
