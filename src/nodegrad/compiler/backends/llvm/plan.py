"""Plan: a vector program -> records of kernels and sizes, without native code and without addresses."""

import marshal
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from nodegrad.compiler.backends.llvm import native
from nodegrad.compiler.backends.llvm.driver import Driver, one_row
from nodegrad.compiler.backends.llvm.fuse import Records, fuse
from nodegrad.compiler.backends.llvm.kernels import LITERALS
from nodegrad.compiler.backends.llvm.sums import fills_tiles, plan_sums
from nodegrad.compiler.reduction import plan_reduction
from nodegrad.compiler.vector import Item, Slots, Straight, Turns, VectorProgram, slots_read

__all__ = ()

_ELEMENT = 8  # the work of an operation that loads and stores its numbers; a term of a contraction is 1
_SOME_TURNS = 10  # the assumed turns of a loop with a condition


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a program needs besides native code. The first kernel of its records is the driver.

    Attributes:
        inputs, parameters, varying, uniform: how many numbers and slots of each kind there are.
        lanes: how many rows run at once.
        size: how many sums there are, those that fill tiles included.
        work: how much work a row is.
        constants: the numbers in the uniform slots after the parameters.
        starts: where the records of the sums, of the body and of the prologue begin, and where the last one.
        outputs: where each result is found: a slot, or a place among the sums.
        records: all records.
    """

    inputs: int
    parameters: int
    varying: int
    uniform: int
    lanes: int
    size: int
    work: int
    constants: Sequence[float]
    starts: Sequence[int]
    outputs: Slots
    records: Records


def plan(program: VectorProgram, how: str, lanes: int) -> Plan:
    """Plan a program for "rows", "one" row or "sums"."""
    rows = Driver(how == "sums", squares=program.inputs >= native.width())
    records, size, products = Records(), 0, []
    records.number(one_row if how == "one" else rows, lanes)
    outputs = needed = program.outputs
    if how == "sums":
        reduction = plan_reduction(program, partial(fills_tiles, native.width()))
        program, products = reduction.program, reduction.products
        outputs, size = plan_sums(records, reduction, lanes, native.width())
        factors = [slots.ravel() for each in products for slots in (each.a, each.b)]
        needed = np.concatenate([reduction.slots, *factors])
    body = records.end() + 1
    records.length = lanes
    numbers = enumerate(map(repr, program.constants), program.parameters)
    constants = {slot: number for slot, number in numbers if number in LITERALS}
    fuse(records, program.body, needed, program.varying, constants=constants)
    once = records.end() + 1
    if program.prologue:
        read = np.concatenate([slots_read(item, uniform=True) for item in program.body])
        fuse(records, program.prologue, read, program.uniform, alone=True)
    work = sum(map(_work, program.body)) + sum(each.a.size for each in products)
    slots = program.inputs, program.parameters, program.varying, program.uniform
    starts = 0, body, once, records.end()
    return Plan(*slots, lanes, size, work, program.constants, starts, outputs, records)


def _work(item: Item) -> int:
    """Estimate how much work an item is."""
    if isinstance(item, Turns):
        return _ELEMENT * item.count * len(item.op.body.ops) * (item.op.turns or _SOME_TURNS)
    return _ELEMENT * len(item.ops) if isinstance(item, Straight) else item.count * (item.terms or _ELEMENT)


# The plan and the code of a saved function, as bytes.


def packed(plan: Plan, code: bytes) -> bytes:
    """Return a plan and its machine code as bytes."""
    *numbers, outputs, records = [getattr(plan, each.name) for each in fields(plan)]
    arrays = np.array(outputs, np.int64), records.words, records.starts, records.tables
    return marshal.dumps((numbers, [*map(bytes, arrays)], len(records.kinds), code))


def unpacked(content: bytes) -> tuple[Plan, bytes]:
    """Undo `packed`. The bytes were checked, and their machine code is run: marshal is as safe."""
    numbers, (outputs, words, starts, tables), kernels, code = marshal.loads(content)
    records = Records()
    records.kinds = dict.fromkeys([(None, number) for number in range(kernels)], 0)
    records.words, records.starts, records.tables = array("q", words), array("q", starts), array("i", tables)
    return Plan(*[*numbers, np.frombuffer(outputs, np.int64), records]), code
