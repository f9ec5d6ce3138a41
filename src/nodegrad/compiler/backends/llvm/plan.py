"""Plan: a vector program -> records of kernels and sizes, without native code and without addresses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nodegrad.compiler.backends.llvm import native
from nodegrad.compiler.backends.llvm.driver import Driver, OneRow
from nodegrad.compiler.backends.llvm.fuse import Records, fuse
from nodegrad.compiler.backends.llvm.plan_sums import plan_sums
from nodegrad.compiler.reduction import plan_reduction
from nodegrad.compiler.vector import Item, Slots, Straight, Turns, VectorProgram, slots_read

__all__ = ()

_ELEMENT = 8  # the work of an operation that loads and stores its numbers; a term of a contraction is 1
_SOME_TURNS = 10  # the assumed turns of a loop with a condition
# Registers that the tiles of a single row take: with more they run no faster, and take longer to compile.
_FEW_REGISTERS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a program needs besides native code. The first kernel of its records is the driver.

    Attributes:
        inputs, parameters, varying, uniform: how many numbers and slots of each kind there are.
        lanes: how many rows run at once.
        size: how many sums there are, those that fill tiles included.
        work: how much work a row is.
        constants: the numbers in the uniform slots after the parameters.
        outputs: where each result is found: a slot, or a place among the sums.
        records: those of the sums, of the body and of the prologue.
        starts: where each of these begins among the words, and where the last record is.
    """

    inputs: int
    parameters: int
    varying: int
    uniform: int
    lanes: int
    size: int
    work: int
    constants: Sequence[float]
    outputs: Slots
    records: Records
    starts: Sequence[int]


def plan(program: VectorProgram, how: str, lanes: int) -> Plan:
    """Plan a program for "rows", "one" row or "sums"."""
    rows = Driver(how == "sums", squares=program.inputs >= native.width())
    records, size, products = Records(), 0, []
    records.number(OneRow() if how == "one" else rows, lanes)
    outputs = needed = program.outputs
    if how == "sums":
        reduction = plan_reduction(program)
        program, products = reduction.program, reduction.products
        outputs, size = plan_sums(records, reduction, lanes, native.width())
        factors = [slots.ravel() for each in products for slots in (each.a, each.b)]
        needed = np.concatenate([reduction.slots, *factors])
    body = records.end() + 1
    records.length = lanes
    registers = native.registers() if lanes > 1 else _FEW_REGISTERS
    fuse(records, program.body, needed, program.varying, registers)
    once = records.end() + 1
    if program.prologue:
        read = np.concatenate([slots_read(item, uniform=True) for item in program.body])
        fuse(records, program.prologue, read, program.uniform, _FEW_REGISTERS, alone=True)
    work = sum(map(_work, program.body)) + sum(each.a.size for each in products)
    slots = program.inputs, program.parameters, program.varying, program.uniform
    starts = 0, body, once, records.end()
    return Plan(*slots, lanes, size, work, program.constants, outputs, records, starts)


def _work(item: Item) -> int:
    """Estimate how much work an item is."""
    if isinstance(item, Turns):
        return _ELEMENT * item.count * len(item.op.body.ops) * (item.op.turns or _SOME_TURNS)
    return _ELEMENT * len(item.ops) if isinstance(item, Straight) else item.count * (item.terms or _ELEMENT)
