"""The rows of the table in JavaScript: values by their spellings, partials derived from the table."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from nodegrad import ops
from nodegrad.compiler.sources.spellings import EXPRESSIONS, JAVASCRIPT
from nodegrad.ops import Op
from nodegrad.show.explaining.chain_rule import local_derivative
from nodegrad.show.explaining.formula import ATOM, TEXT, Formula, write
from nodegrad.show.snapshot import Vertex

__all__ = ()

# Rows of any number of operands: `write` spells these, and number.js defines take.
ANY_NUMBER = (ops.sum, *ops.PRODUCTS, ops.take)
NEAR = 1e-12  # how far a recorded operation may be from what its own code computes, relatively


def literal(x: float) -> str:
    """Write a number in JavaScript, every digit included."""
    return repr(float(x)).replace("inf", "Infinity").replace("nan", "NaN")


# A formula in JavaScript: every operand that is not a name or a number goes into brackets.
PATTERNS = {op.name: (text, (ATOM,) * text.count("{}")) for op, text in EXPRESSIONS.items()}
SCRIPT = replace(TEXT, number=literal, terms=2**62, patterns=PATTERNS)
# An operation as text, with {0}, {1} ... for its operands; text in (? ?) gets brackets if it begins with a
# minus.
PATTERN = replace(TEXT, number=lambda x: f"{{{int(-x) - 1}}}", brackets=("(?", "?)"))


@dataclass(frozen=True)
class Row:
    """An operation on so many operands, as a page computes it and shows it.

    `value` and `partials` are formulas of x[0], x[1] ... and out. `value` is None where the operation is
    Python code that only runs on floats.
    """

    op: Op
    arity: int
    value: Formula | float | None
    partials: tuple[Formula | float | None, ...]

    @property
    def pattern(self) -> str:
        """The operation as text, with a place for each operand."""
        numbers = [-1.0 - at for at in range(self.arity)]  # negative, so that write() shows where brackets go
        return write(Formula(self.op.name, self.op, tuple(numbers)), PATTERN)

    @property
    def script(self) -> str:
        """The operation as an object of JavaScript."""
        value = "null" if self.value is None else f"(x) => {write(self.value, SCRIPT)}"
        partials = ["null" if x is None else f"(x, out) => {write(x, SCRIPT)}" for x in self.partials]
        selects = "true" if self.op.selects else "false"
        return f"{{value: {value}, partials: [{', '.join(partials)}], selects: {selects}}}"

    def computes(self, vertex: Vertex) -> bool:
        """Return whether the formulas give what the operation itself gave at a vertex."""
        if self.op in EXPRESSIONS or self.op in ANY_NUMBER:
            return True
        numbers = {f"x[{at}]": operand.data for at, operand in enumerate(vertex.operands)}
        numbers["out"] = vertex.data
        pairs = [(self.value, vertex.data)]
        pairs += [(x, local_derivative(vertex, at)) for at, x in enumerate(self.partials) if x is not None]
        return self.value is not None and all(_near(evaluate(x, numbers), number) for x, number in pairs)


def row_of(op: Op, arity: int) -> Row:
    """Write an operation as formulas, by applying its value and its partials to symbols."""
    operands = tuple([Formula(f"x[{at}]") for at in range(arity)])
    rules, out = op.partials, Formula("out")
    try:
        value = _spelled(Formula(op.name, op, operands))
        found = rules(operands, out) if callable(rules) else [rule and rule(*operands, out) for rule in rules]
        return Row(op, arity, value, tuple([None if x is None else _spelled(x) for x in found]))
    except Exception:  # the user's code, which may do anything to a symbol
        known = (1.0,) * arity if callable(rules) else [1.0 if rule else None for rule in rules]
        return Row(op, arity, None, tuple(known))


def _spelled(formula: Formula | float) -> Formula | float:
    """Replace operations without a spelling in JavaScript by the operations they are composed of."""
    if not isinstance(formula, Formula) or formula.op is None:
        return formula
    operands = tuple(map(_spelled, formula.operands))
    if formula.op in EXPRESSIONS or formula.op in ANY_NUMBER:
        return Formula(formula.name, formula.op, operands)
    value: Any = formula.op.value
    own = formula.op.composed or value.__wrapped__  # as `custom` keeps a function over floats
    return _spelled(own(*operands))


def evaluate(formula: Formula | float | None, numbers: dict[str, float]) -> float:
    """Compute a formula."""
    if not isinstance(formula, Formula):
        return math.nan if formula is None else float(formula)
    if formula.op is None:
        return numbers[formula.name]
    return float(formula.op(*[evaluate(operand, numbers) for operand in formula.operands]))


def _near(x: float, y: float) -> bool:
    return x == y or (x != x and y != y) or math.isclose(x, y, rel_tol=NEAR)


def script(rows: Iterable[Row]) -> str:
    """Write rows as an array of JavaScript, with the functions that they call and the language lacks."""
    array = ",\n".join(row.script for row in rows)
    return f"{JAVASCRIPT.functions(array)}\nconst ROWS = [\n{array}\n];\n"
