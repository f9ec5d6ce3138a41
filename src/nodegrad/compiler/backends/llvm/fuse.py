"""Fuse: vector instructions -> kernels and their records.

Instructions of equal count that read each other element by element run in one loop, their numbers in
registers; a result goes to its slots only if something outside the loop reads it.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from nodegrad.compiler.backends.llvm.kernels import Contraction, Elementwise, Factor, Load, Step, Take, end
from nodegrad.compiler.backends.llvm.native import Kernel
from nodegrad.compiler.backends.llvm.spellings import LONG
from nodegrad.compiler.backends.llvm.turns import TurnsKernel
from nodegrad.compiler.slots import affine, run_length, separable
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, Turns, scalars, slots_read
from nodegrad.ops import Op, take

__all__ = ()

_LONGEST = 40  # steps in one loop: more would not stay in registers
# Results of a contraction that are computed at once, if they share an operand; otherwise half as many. They
# stay in 16 vector registers. Larger tiles are no faster where there are 32.
TILE = 4
# With more scalar operations than this, each kind of operation is one kernel: nothing is fused.
_MANY_SCALARS = 600
TABLE = 1 << 40  # a word from here on stands for the address of a table; no slot or count is as large


class Records:
    """Records of kernels, in one array of words, and those kernels. No address is filled in yet.

    Attributes:
        words: of each record the number of its kernel, then its fields.
        starts: where each record begins.
        kinds: the number of each kernel, by what writes it and its vector length.
        length: the vector length of the kernels that are added.
    """

    def __init__(self) -> None:
        self.words = array("q")
        self.starts = array("q")
        self.kinds: dict[tuple[Any, int], int] = {}
        self.tables = array("i")  # slots, one table after the other
        self.length = 1

    def number(self, kernel: Any, length: int) -> int:
        """Return the number of a kernel; the kernel is new or was added before."""
        return self.kinds.setdefault((kernel, length), len(self.kinds))

    def add(self, kernel: Any, fields: Sequence[int]) -> None:
        """Append a record."""
        self.starts.append(len(self.words))
        self.words.extend([self.number(kernel, self.length), *fields])

    def end(self) -> int:
        """Append the record that ends those before it; return where it is."""
        self.length = 1
        self.add(end, [])
        return self.starts[-1]

    def extend(self, starts: Any, words: Any) -> None:
        """Append many records, which begin at `starts` among the words."""
        self.starts.frombytes((len(self.words) + starts).tobytes())
        self.words.frombytes(words.tobytes())

    def table(self, slots: Any) -> int:
        """Keep a table of slots and return the word that stands for it."""
        place = len(self.tables)
        self.tables.frombytes(np.ascontiguousarray(slots, np.int32).tobytes())
        return TABLE + place

    def link(self, kernels: Sequence[Kernel]) -> Any:
        """Return the words, with addresses filled in."""
        words, starts = np.array(self.words), np.array(self.starts)
        is_table = words >= TABLE
        words[is_table] = self.tables.buffer_info()[0] + self.tables.itemsize * (words[is_table] - TABLE)
        words[starts] = np.array([kernel.address for kernel in kernels], np.int64)[words[starts]]
        return words


@dataclass(slots=True)
class _Loop:
    """Instructions that run as one loop over `count` elements: maybe a contraction, then steps."""

    count: int
    place: int  # in the plan
    head: Group | None = None
    # (operation, first slot of the result, operands: an index, or the number of a result in the loop)
    steps: list[tuple[Op, int, list[Index | int]]] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)  # first slot -> number of the result in the loop


class _Fuser:
    """Plans which instructions run as one loop, then writes a record for each loop.

    With `alone`, the instructions are those of the prologue. It has uniform slots only, and kernels address
    them like varying ones.
    """

    def __init__(
        self,
        items: Sequence[Item],
        outputs: Slots,
        slots: int,
        alone: bool,
        records: Records,
        constants: Mapping[int, str],
    ) -> None:
        self.alone, self.records, self.constants = alone, records, constants
        self.outside = np.zeros(slots, bool)  # slots read from outside the loop that writes them
        self.outside[outputs] = True
        self.writer = np.full(slots, -1, np.int32)  # which of the plan writes a slot
        self.fused = sum(item.size for item in items if type(item) is Straight) <= _MANY_SCALARS
        self.plan: list[_Loop | Item] = []
        self.current: _Loop | None = None
        for item in items:
            self.take(item)
        writers: dict[Any, Any] = {
            _Loop: self.write,
            Group: self.write_take,
            Straight: self.write_straight,
            Turns: self.write_turns,
        }
        for planned in self.plan:
            writers[type(planned)](planned)

    def take(self, item: Item) -> None:
        """Add an item to a loop that it fits into, or put it at the end of the plan."""
        if type(item) is Straight and self.fused:
            for op, result, operands in scalars(item):
                indices = [Index(slot < 0, np.array([~slot if slot < 0 else slot])) for slot in operands]
                self.append(op, result, 1, indices)
        elif type(item) is Group and item.op is not take and not item.terms:
            self.append(item.op, item.start, item.count, list(item.operands))
        else:
            self.outside[slots_read(item, uniform=self.alone)] = True
            self.writer[item.start : item.start + item.size] = len(self.plan)
            self.current = None
            if type(item) is Group and item.terms:  # others may join it
                self.current = _Loop(item.count, len(self.plan), item)
                self.wrote(self.current, item.start)
            self.plan.append(self.current or item)

    def append(self, op: Op, start: int, count: int, operands: list[Index]) -> None:
        loop = self.joined(op, count, operands)
        if loop is None:
            loop = self.current = _Loop(count, len(self.plan))
            self.plan.append(loop)
        found: list[Index | int] = []
        for index in operands:
            place = self.local(loop, index)
            if place is None and self.varies(index):
                self.outside[index.slots] = True
            found.append(index if place is None else place)
        loop.steps.append((op, start, found))
        self.wrote(loop, start)

    def wrote(self, loop: _Loop, start: int) -> None:
        loop.places[start] = len(loop.places)
        self.writer[start : start + loop.count] = loop.place

    def varies(self, index: Index) -> bool:
        """Return whether kernels address these slots as varying ones."""
        return self.alone or not index.uniform

    def joined(self, op: Op, count: int, operands: list[Index]) -> _Loop | None:
        """Return the loop an instruction joins: that of its last operand, if it fits, or the current one."""
        own = [index.slots for index in operands if self.varies(index)]
        last = max([int(self.writer[slots].max()) for slots in own], default=-1)
        for loop in (self.plan[last] if last >= 0 else None, self.current):
            if type(loop) is _Loop and self.fits(loop, op, count, operands):
                return loop
        return None

    def fits(self, loop: _Loop, op: Op, count: int, operands: list[Index]) -> bool:
        tiled = loop.head is not None and loop.count > 1
        if loop.count != count or len(loop.steps) >= _LONGEST or (tiled and op in LONG):
            return False
        others = [each for each in operands if self.varies(each) and self.local(loop, each) is None]
        return not any((self.writer[each.slots] == loop.place).any() for each in others)

    def local(self, loop: _Loop, index: Index) -> int | None:
        """Return which result of the loop an operand is, element by element."""
        if not self.varies(index):
            return None
        place = loop.places.get(int(index.slots[0]))
        if place is None or (loop.count > 1 and affine(index.slots) != (int(index.slots[0]), 1)):
            return None
        return place

    # Writing records.

    def write(self, loop: _Loop) -> None:
        fields: list[int] = []
        steps = []
        stores = []
        for op, start, operands in loop.steps:
            loads = tuple([x if isinstance(x, int) else self.load(x, fields) for x in operands])
            stored = self.stored(start, loop.count)
            steps.append(Step(op, loads, stored))
            if stored:
                stores.append(start)
        if loop.head is None:
            self.records.add(Elementwise(loop.count > 1, tuple(steps)), [loop.count, *fields, *stores])
        else:
            self.write_contraction(loop.head, tuple(steps), fields, stores)

    def stored(self, start: int, count: int) -> bool:
        return bool(self.outside[start : start + count].any())

    def load(self, index: Index, fields: list[int]) -> Load:
        uniform, slots = not self.varies(index), index.slots.ravel()
        line = affine(slots) if len(slots) > 1 else (int(slots[0]), 0)
        if line and not line[1]:
            if uniform and line[0] in self.constants:
                return Load(True, self.constants[line[0]])
            fields.append(line[0])
            return Load(uniform, "one")
        if line is None:
            fields.append(self.records.table(slots))
            return Load(uniform, "table")
        fields += line
        return Load(uniform, "affine")

    def write_contraction(
        self, group: Group, steps: tuple[Step, ...], fields: list[int], stores: list[int]
    ) -> None:
        parts = [separable(index.slots) for index in group.operands]
        runs = [1 if part is None else run_length(part[0]) for part in parts]
        longest = max(runs)
        most = TILE if longest > 1 else TILE // 2
        reach = longest if longest > 1 else group.count
        tile = 1 << min(most, reach).bit_length() - 1
        starts = []
        for start in range(0, group.count, reach):
            starts += [*range(start, start + reach - tile, tile), start + reach - tile]
        factors = []
        head = [len(starts), self.records.table(starts), group.terms]
        for index, part, run in zip(group.operands, parts, runs, strict=True):
            line = None if part is None else affine(part[1])
            if part is None or line is None:
                head.append(self.records.table(index.slots))
            else:
                head += [self.records.table(part[0]), line[1]]
            shared = run == longest > 1 or tile == 1
            factors.append(Factor(not self.varies(index), line is not None, shared))
        first = None if group.first is None else self.load(group.first, head)
        stored = self.stored(group.start, group.count)
        kernel = Contraction(group.op, tile, tuple(factors), first, stored, steps)
        self.records.add(kernel, [*head, *([group.start] if stored else []), *fields, *stores])

    def write_take(self, group: Group) -> None:
        index, table = group.operands
        fields = [group.count]
        found, line = self.load(index, fields), affine(table.slots.ravel())
        consecutive = line is not None and line[1] == 1
        fields += [line[0] if line and consecutive else self.records.table(table.slots)]
        fields += [table.slots.shape[1], group.start]
        self.records.add(Take(found, not self.varies(table), consecutive), fields)

    def write_turns(self, item: Turns) -> None:
        fields: list[int] = []
        fixed = item.op.state + item.op.outside
        loads = [self.load(index, fields) for index in item.operands]
        kernel = TurnsKernel(item.op, tuple(loads[:fixed]), loads[fixed] if loads[fixed:] else None)
        self.records.add(kernel, [*fields, item.start])

    def write_straight(self, straight: Straight) -> None:
        """Write a record per scalar operation: 1, its operands, its result."""
        arity, slots = np.array([op.arity for op in straight.ops], np.int64), np.array(straight.operands)
        uniform, ends = (slots < 0).tobytes(), np.cumsum(arity)

        @cache
        def kernel(op: Op, spaces: bytes) -> int:
            loads = tuple([Load(bool(space) and not self.alone, "one") for space in spaces])
            return self.records.number(Elementwise(False, (Step(op, loads, True),)), self.records.length)

        pairs = zip(straight.ops, ends.tolist(), strict=True)
        kernels = [kernel(op, uniform[end - (op.arity or 0) : end]) for op, end in pairs]
        number = np.arange(len(kernels))
        starts = ends - arity + 3 * number
        words = np.zeros(len(slots) + 3 * len(kernels), np.int64)
        words[starts], words[starts + 1] = kernels, 1
        words[np.arange(len(slots)) + np.repeat(3 * number + 2, arity)] = np.where(slots < 0, ~slots, slots)
        words[starts + 2 + arity] = straight.start + number
        self.records.extend(starts, words)


def fuse(
    records: Records,
    items: Sequence[Item],
    outputs: Slots,
    slots: int,
    alone: bool = False,
    constants: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Add the records that run vector instructions; `alone` for those of the prologue.

    `constants`: what stands in uniform slots and may be written into kernels, as `Load` says.
    """
    _Fuser(items, outputs, slots, alone, records, constants)
