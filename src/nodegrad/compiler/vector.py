"""VectorProgram: a short list of vector instructions over slots, with its checker.

There are two spaces of slots. *Varying* slots hold one number for each row: the inputs, then results.
*Uniform* slots hold one number for all rows: parameters, constants, then results that depend only on those.
The prologue computes these.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from nodegrad.compiler.program import Loop
from nodegrad.ops import Op, take

__all__ = ()

Slots = np.ndarray[Any, np.dtype[np.int64]]


class Index(NamedTuple):
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
    uniform = np.zeros(program.uniform, bool)
    uniform[: program.parameters + len(program.constants)] = True
    varying = np.zeros(program.varying, bool)
    varying[: program.inputs] = True
    for target, items in ((uniform, program.prologue), (varying, program.body)):
        for item in items:
            if isinstance(item, Straight):
                _check_straight(item, varying, uniform, target)
            else:
                _check_group(item, varying, uniform, target)
    assert varying[program.outputs].all(), "an output is not written"
    return program


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


def _check_group(group: Group, varying: Any, uniform: Any, target: Any) -> None:
    what, shapes = f"{group.op.name} at {group.start}", _shapes(group)
    assert len(group.operands) == len(shapes), f"{what}: takes {len(shapes)} operands"
    for index, shape in zip(group.operands, shapes, strict=True):
        assert index.slots.shape == shape, f"{what}: an operand has shape {index.slots.shape}, not {shape}"
    for index in group.reads:
        space = uniform if index.uniform else varying
        assert index.slots.min() >= 0, f"{what}: reads a negative slot"
        assert index.slots.max() < len(space), f"{what}: reads past the end"
        assert space[index.slots].all(), f"{what}: reads a slot before it is written"
        assert index.uniform or target is varying, f"{what}: the prologue reads a varying slot"
    written = target[group.start : group.start + group.size]
    assert len(written) == group.size, f"{what}: writes past the end"
    assert not written.any(), f"{what}: writes a slot again"
    written[:] = True


def _check_straight(straight: Straight, varying: Any, uniform: Any, target: Any) -> None:
    for op, result, operands in scalars(straight):
        what = f"{op.name} at {result}"
        assert op.arity == len(operands), f"{what}: takes {op.arity} operands"
        for slot in operands:
            assert uniform[~slot] if slot < 0 else varying[slot], f"{what}: reads too early"
            assert slot < 0 or target is varying, f"{what}: the prologue reads a varying slot"
        assert result < len(target), f"{what}: writes past the end"
        assert not target[result], f"{what}: writes a slot again"
        target[result] = True


def scalars(straight: Straight) -> Iterator[tuple[Op, int, tuple[int, ...]]]:
    """Yield the scalar operations: operation, result slot, operand slots (`~slot` if uniform)."""
    operands = iter(straight.operands)
    for result, op in enumerate(straight.ops, straight.start):
        yield op, result, tuple(islice(operands, op.arity))
