"""Program: a flat list of scalar instructions (a Wengert list), with its checker, printer and evaluator.

Grammar. A slot is an int: negative, `~slot` counts constants; from 0 on, first the inputs, then the
parameters, then one slot per instruction in order. An instruction is an operation and the slots of its
operands, all defined before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from nodegrad import ops
from nodegrad.ops import TABLE, Op


def _strong_dot(*operands: float) -> float:
    half = len(operands) // 2
    return reduce(add, map(ops.strong_mul.value, operands[:half], operands[half:])) if half else 0.0


def _no_partials(operands: Any, out: Any) -> Any:
    raise AssertionError("this operation appears in compiled programs only, which are not differentiated")


# A contraction of the chain rule's products: Σ strong_mul(adjointᵢ, partialᵢ), added from left to right.
STRONG_DOT = Op("strong_dot", "·", _strong_dot, _no_partials, ())
# The largest and the smallest of any number of operands, taken from left to right.
MAX = Op("max", "max", lambda *operands: reduce(ops.maximum.value, operands), _no_partials, ())
MIN = Op("min", "min", lambda *operands: reduce(ops.minimum.value, operands), _no_partials, ())
# A number that is the same for all rows, given to every row.
COPY = Op("copy", "", ops.identity.value, (None,), ())

# The contractions: what takes in one term after the other, and the product that a term is, if it is one.
STEPS = {ops.sum: ops.add, ops.dot: ops.add, STRONG_DOT: ops.add, MAX: ops.maximum, MIN: ops.minimum}
PRODUCTS = {ops.dot: ops.mul, STRONG_DOT: ops.strong_mul}

Operands = tuple[int, ...]

UNCHECKED = 5_000  # longer programs are not checked in passing: that is for tests, where programs are short


@dataclass(frozen=True, slots=True)
class Program:
    """Scalar instructions in order, and what goes in and out.

    Attributes:
        inputs: how many numbers differ from row to row; they fill the first slots.
        parameters: how many numbers are the same for all rows; they fill the next.
        constants: the numbers written in the code.
        ops: the operation of each instruction.
        operands: the slots each instruction reads.
        outputs: the slots that are the result.
    """

    inputs: int
    parameters: int
    constants: Sequence[float] = ()
    ops: Sequence[Op] = field(default_factory=list)
    operands: Sequence[Operands] = field(default_factory=list)
    outputs: Sequence[int] = ()

    @property
    def leaves(self) -> int:
        """The number of slots that are given: the slot of the first instruction."""
        return self.inputs + self.parameters

    def __str__(self) -> str:
        return render(self)


class ConstantPool:
    """Constants by number, each once; -0.0 and 0.0 are two."""

    def __init__(self, numbers: Sequence[float] = ()) -> None:
        self.numbers = list(numbers)
        self._slots = {self._key(number): ~index for index, number in enumerate(self.numbers)}

    @staticmethod
    def _key(number: float) -> Any:
        return number if number and number == number else repr(number)

    def slot(self, number: float) -> int:
        """Return the slot of a constant, a new one if need be."""
        key = self._key(number)
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = ~len(self.numbers)
            self.numbers.append(number)
        return found


def check(program: Program) -> Program:
    """Return the program if it keeps the grammar.

    Raises:
        AssertionError: naming the first instruction that reads what is not defined before it or has a wrong
            number of operands, or the output that is no slot.
    """
    leaves, constants = program.leaves, len(program.constants)
    assert len(program.ops) == len(program.operands), "one tuple of operands per operation"
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), leaves):
        where = f"%{slot - leaves} = {op.name}{tuple(operands)}"
        if op.arity is not None:
            assert len(operands) == op.arity, f"{where}: takes {op.arity} operands"
        elif op in PRODUCTS:
            assert len(operands) % 2 == 0, f"{where}: takes two halves of equal length"
        if operands:
            assert max(operands) < slot, f"{where}: reads a slot before it is defined"
            assert min(operands) >= -constants, f"{where}: reads a constant that is not there"
    end = leaves + len(program.ops)
    for slot in program.outputs:
        assert -constants <= slot < end, f"output {slot} is no slot"
    return program


def name(program: Program, slot: int) -> str:
    """Name a slot as it is printed: a number, x0 (an input), p0 (a parameter) or %0 (an instruction)."""
    if slot < 0:
        return repr(program.constants[~slot])
    if slot < program.inputs:
        return f"x{slot}"
    if slot < program.leaves:
        return f"p{slot - program.inputs}"
    return f"%{slot - program.leaves}"


def render(program: Program, limit: int = 200) -> str:
    """Print a program, one instruction a line, the first `limit` of them."""
    lines = [
        f"%{index} = {op.name}({', '.join(name(program, slot) for slot in operands)})"
        for index, (op, operands) in enumerate(
            zip(program.ops[:limit], program.operands[:limit], strict=True)
        )
    ]
    if len(program.ops) > limit:
        lines.append(f"... and {len(program.ops) - limit} more")
    outputs = ", ".join(name(program, slot) for slot in program.outputs)
    return "\n".join([*lines, f"return {outputs}".rstrip()])


def evaluate(program: Program, inputs: Sequence[float], parameters: Sequence[float]) -> list[float]:
    """Run a program on one row, operation by operation as the table has it: the reference for backends."""
    values = [*inputs, *parameters, *[0.0] * len(program.ops), *reversed(program.constants)]
    # Python's negative indices make slot -1 the first constant, -2 the second, and so on.
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        values[slot] = op.value(*[values[operand] for operand in operands])
    return [values[slot] for slot in program.outputs]


assert not {STRONG_DOT.name, MAX.name, MIN.name} & set(TABLE)
