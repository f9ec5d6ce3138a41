"""VectorProgram: a short list of vector instructions over slots, with its checker.

There are two spaces of slots. *Varying* slots hold one number for each row: the inputs, then results.
*Uniform* slots hold one number for all rows: parameters, constants, then results that depend only on those.
The prologue computes these.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from nodegrad.compiler.program import Loop
from nodegrad.ops import Op, take

__all__ = ()

Slots = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Index:
    """Which slots of one space an operand reads: one per result, or (result, term) for a contraction."""

    uniform: bool
    slots: Slots


@dataclass(frozen=True, slots=True)
class Group:
    """One operation on `count` independent elements, written to consecutive slots from `start`.

    A contraction (`terms` > 0) with operands `(a, b)` is Σₜ a[i,t]·b[i,t]; with operands `(a,)` it is Σₜ
    a[i,t], or the largest or smallest a[i,t]. Terms are added from left to right, starting with `first` (an
    operand, or None). The operands of `take` are the index and the table, (result, entry).
    """

    op: Op
    start: int
    count: int
    operands: tuple[Index, ...]
    terms: int = 0
    first: Index | None = None

    @property
    def reads(self) -> tuple[Index, ...]:
        """Every operand, `first` included."""
        return self.operands if self.first is None else (*self.operands, self.first)

    @property
    def size(self) -> int:
        """How many slots are written."""
        return self.count


@dataclass(frozen=True, slots=True)
class Straight:
    """Scalar operations, one after the other: too few of them have the same shape to form a group.

    Results are written to consecutive slots from `start`. `operands` holds the operands of the first
    operation, then those of the second, and so on. A slot of 0 or more is varying, `~slot` is uniform. (In
    the prologue all are `~slot`.) The number of operands of each operation is fixed.
    """

    start: int
    ops: list[Op]
    operands: "array[int]"

    @property
    def size(self) -> int:
        """How many slots are written."""
        return len(self.ops)


@dataclass(frozen=True, slots=True)
class Turns(Group):
    """A loop, of which `count` is 1; its results are consecutive slots from `start`.

    The operands are the first state, then what is read from outside, then the items of all turns, if there
    are any: one row, turn after turn.
    """

    op: Loop

    @property
    def size(self) -> int:
        """How many slots are written."""
        return self.op.results


Item = Group | Straight


def slots_read(item: Item, uniform: bool) -> Slots:
    """Return the slots of one space that an item reads."""
    if isinstance(item, Straight):
        slots = np.array(item.operands)
        return ~slots[slots < 0] if uniform else slots[slots >= 0]
    found = [index.slots.ravel() for index in item.reads if index.uniform == uniform]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class VectorProgram:
    """Vector instructions: a prologue that runs once per call, and a body that runs for every row.

    `outputs` are varying slots.
    """

    inputs: int
    parameters: int
    constants: Sequence[float]
    prologue: list[Item]
    body: list[Item]
    outputs: Slots
    varying: int
    uniform: int

    @property
    def instructions(self) -> int:
        """Count vector instructions; each scalar operation of a straight run counts as one."""
        return sum(len(item.ops) if type(item) is Straight else 1 for item in (*self.prologue, *self.body))


def check(program: VectorProgram) -> VectorProgram:
    """Return the program if every slot is written once, before it is read, and in bounds.

    Raises:
        AssertionError: names the instruction that breaks the rule.
    """
    uniform = np.arange(program.uniform) < program.parameters + len(program.constants)
    varying = np.arange(program.varying) < program.inputs
    for item in program.prologue:
        assert not len(slots_read(item, uniform=False)), f"the prologue reads a varying slot: {item}"
        _check_item(item, varying, uniform, uniform)
    for item in program.body:
        _check_item(item, varying, uniform, varying)
    assert varying[program.outputs].all(), "an output is not written"
    return program


def _check_item(item: Item, varying: Any, uniform: Any, target: Any) -> None:
    name = item.ops[0].name if isinstance(item, Straight) else item.op.name
    what, written = f"{name} at {item.start}", target[item.start : item.start + item.size]
    assert len(written) == item.size, f"{what}: writes past the end"
    assert not written.any(), f"{what}: writes a slot again"
    if isinstance(item, Straight):
        read = np.array(item.operands)
        before = np.repeat(np.arange(item.size), [op.arity or 0 for op in item.ops]) + item.start
        assert ((read if target is varying else ~read) < before).all(), f"{what}: reads too early"
        written[:] = True  # it reads its own results
    else:
        shapes = [index.slots.shape for index in item.operands]
        assert shapes == _shapes(item), f"{what}: operands have shapes {shapes}, not {_shapes(item)}"
    for space in (varying, uniform):
        slots = slots_read(item, space is uniform)
        assert ((slots >= 0) & (slots < len(space))).all(), f"{what}: reads past the end"
        assert space[slots].all(), f"{what}: reads a slot before it is written"
    written[:] = True


def _shapes(group: Group) -> list[tuple[int, ...]]:
    """Return the shapes of slots that the operands must have."""
    op, count = group.op, group.count
    if isinstance(op, Loop):
        items = op.items * (op.turns or 0)
        return [(count,)] * (op.state + op.outside) + [(count, items)] * (items > 0)
    if op is take:
        return [(count,), (count, group.operands[-1].slots.shape[-1])]
    if group.terms:
        return [(count, group.terms)] * len(group.operands)
    return [(count,)] * (op.arity or 0)


def scalars(straight: Straight) -> Iterator[tuple[Op, int, tuple[int, ...]]]:
    """Yield the scalar operations: operation, result slot, operand slots (`~slot` if uniform)."""
    operands = iter(straight.operands)
    for result, op in enumerate(straight.ops, straight.start):
        yield op, result, tuple(islice(operands, op.arity))
