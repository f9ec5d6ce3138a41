"""Vectorize: Program -> VectorProgram. Independent instructions of one shape become one vector instruction.

Instructions form a group if they have the same depth, the same operation and the same sources (the groups
that their operands come from). A group gets consecutive slots, sorted by the slots it reads. So its operands
become slices, strides or tables of slots. Nothing here knows what the numbers mean: a layer of neurons
becomes a matrix times a vector because it is one.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from nodegrad import ops
from nodegrad.compiler.passes import relax
from nodegrad.compiler.program import COPY, STEPS, UNCHECKED, Loop, Operands, Program, Result
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, Turns, VectorProgram, check
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

# Groups with fewer results, and contractions with fewer results and terms, run as straight scalar code.
_SMALL = 4
_TINY = 64  # with fewer operands, sorting in Python is faster than NumPy
_INPUT, _LEAF, _UNIFORM = -1, -2, -3  # sources that are not groups of the body
_BODY = 1 << 40  # depths in the body start here, because the body runs after the prologue
_COPIES = 0  # the group that runs first in the body


def vectorize(program: Program, exact: bool = True) -> VectorProgram:
    """Group a program's instructions into vector instructions. Relax the program first unless it is exact."""
    plan = _Plan(program if exact else relax(program))
    layout = _Layout(plan)
    for slots, scalars in plan.groups():
        if scalars:
            layout.add_scalars(slots)
        else:
            layout.add_group(slots)
    done = layout.finish()
    return done if len(plan.ops) > UNCHECKED else check(done)


class _Plan:
    """The program while it is grouped: contractions split, copies of uniform numbers added at the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.ops = list(program.ops)
        self.operands = list(program.operands)
        self.copies: dict[int, int] = {}
        # The depth of each slot, the group of each instruction, and the depth of each group.
        self.depth = array("q", [_BODY]) * program.inputs + array("q", [0]) * (
            program.parameters + len(self.ops)
        )
        self.group = array("q", [_COPIES]) * len(self.ops)
        self.depths = array("q", [_BODY])
        self.find_groups()
        self.outputs = [self.on_rows(slot) for slot in program.outputs]

    def find_groups(self) -> None:
        """Assign every instruction to a group."""
        inputs, leaves, depth = self.program.inputs, self.program.leaves, self.depth
        source = array("q", [_INPUT]) * inputs + array("q", [_LEAF]) * (len(depth) - inputs)
        known: dict[object, int] = {}
        for index, op in enumerate(self.program.ops):
            operands = self.operands[index]
            deepest = 0
            for slot in operands:
                if slot >= 0 and depth[slot] > deepest:
                    deepest = depth[slot]
            if deepest >= _BODY and (op in STEPS or op is ops.take or isinstance(op, Loop)):
                operands = self.operands[index] = self.separate(op, operands)
                source.extend([_COPIES] * (len(depth) - len(source)))
            sources = [source[slot] if slot >= 0 else _LEAF for slot in operands]
            if op.commutative and sources[0] > sources[1]:
                sources.reverse()
                self.operands[index] = operands[::-1]
            key = (op, deepest, *sources)
            group = known.get(key)
            if group is None:
                group = known[key] = len(self.depths)
                self.depths.append(deepest)
            self.group[index] = group
            depth[leaves + index] = deepest + 1
            if deepest < _BODY:
                group = _UNIFORM
            elif op in STEPS:  # of any length, so that their readers form one group
                group = known.setdefault((op, deepest, frozenset(sources)), group)
            source[leaves + index] = group

    def varies(self, slot: int) -> bool:
        """Return whether a slot differs from row to row."""
        return slot >= 0 and self.depth[slot] >= _BODY

    def on_rows(self, slot: int) -> int:
        """Return a varying slot that holds the same number as `slot`."""
        if self.varies(slot):
            return slot
        if slot not in self.copies:
            self.copies[slot] = len(self.depth)
            self.ops.append(COPY)
            self.operands.append((slot,))
            self.group.append(_COPIES)
            self.depth.append(_BODY + 1)
        return self.copies[slot]

    def separate(self, op: Op, operands: Operands) -> Operands:
        """Make the halves of a contraction, and the items of a loop, vary as a whole or not at all."""
        if isinstance(op, Loop):
            fixed = op.state + op.outside
            return (*operands[:fixed], *self.alike(operands[fixed:]))
        if op is ops.take:
            return (operands[0], *self.alike(operands[1:]))
        if op not in PRODUCTS:
            return self.alike(operands)
        half = len(operands) // 2
        pairs = list(zip(operands[:half], operands[half:], strict=True))
        first = self.carried(op, operands)
        if first is not None:
            pairs = pairs[1:]
        if op is ops.dot:  # its factors may be swapped; those of a strong product may not
            pairs = [(y, x) if self.varies(x) and not self.varies(y) else (x, y) for x, y in pairs]
        xs, ys = self.alike(tuple([x for x, _ in pairs])), self.alike(tuple([y for _, y in pairs]))
        return (*xs, *ys) if first is None else (operands[0], *xs, operands[half], *ys)

    def alike(self, slots: Operands) -> Operands:
        """Return the slots if all vary or none does; otherwise copy the uniform ones so that all vary."""
        kinds = {self.varies(slot) for slot in slots}
        return slots if len(kinds) < 2 else tuple(map(self.on_rows, slots))

    def carried(self, op: Op, operands: Operands) -> int | None:
        """Return the slot that a contraction adds to, if its first term is 1 times a slot."""
        one = operands[0]
        is_one = op in PRODUCTS and len(operands) > 2 and one < 0 and self.program.constants[~one] == 1.0
        return operands[len(operands) // 2] if is_one else None

    def groups(self) -> Iterator[tuple[list[int], bool]]:
        """Yield the slots of each group in an order that can run; join groups that run as scalars."""
        depths, group = np.array(self.depths), np.array(self.group)
        rank = np.empty_like(depths)
        rank[np.argsort(depths, kind="stable")] = np.arange(len(depths))
        ranks = rank[group]
        order = np.argsort(ranks, kind="stable")
        sizes = np.bincount(ranks, minlength=len(depths))
        never = [op in STEPS or op is ops.take or isinstance(op, Loop | Result) for op in self.ops]
        scalar = (sizes[ranks] < _SMALL) & ~np.array(never, bool)
        body = depths[group] >= _BODY
        # Cut between groups, but not between scalar groups of the same part.
        kind = np.where(scalar, -1 - body, ranks)[order]
        cuts = np.flatnonzero(np.diff(kind)) + 1
        slots = (order + self.program.leaves).tolist()
        for start, stop in pairwise([0, *cuts.tolist(), len(slots)]):
            if start < stop:
                yield slots[start:stop], bool(kind[start] < 0)


class _Layout:
    """Assigns slots to every group and turns its operands into indices."""

    def __init__(self, plan: _Plan) -> None:
        self.plan, self.leaves = plan, plan.program.leaves
        program = plan.program
        uniform = program.parameters + len(program.constants)
        # The new place of each slot of the plan: varying from 0 on, uniform as ~slot, constants last.
        self.where = [
            *range(program.inputs),
            *range(-1, -program.parameters - 1, -1),
            *[0] * len(plan.ops),
            *range(-uniform, -program.parameters),
        ]
        self.next = [uniform, program.inputs]  # uniform, varying
        self.items: tuple[list[Item], list[Item]] = ([], [])
        self.elements: dict[int, tuple[Turns, int]] = {}  # of each loop instruction, which element it became

    def allocate(self, slots: Sequence[int]) -> int:
        """Give some slots of the plan consecutive places, and return the first place."""
        varies = self.plan.varies(slots[0])
        start = self.next[varies]
        self.next[varies] += len(slots)
        place = range(start, start + len(slots)) if varies else range(~start, ~start - len(slots), -1)
        for slot, at in zip(slots, place, strict=True):
            self.where[slot] = at
        return start

    def add_scalars(self, slots: list[int]) -> None:
        """Lay out instructions that run one by one."""
        where, leaves, operands = self.where, self.leaves, self.plan.operands
        straight = self.straight(self.plan.varies(slots[0]))
        self.allocate(slots)
        rows = [operands[slot - leaves] for slot in slots]
        straight.ops.extend([self.plan.ops[slot - leaves] for slot in slots])
        straight.arity.extend(map(len, rows))
        straight.operands.extend(map(where.__getitem__, chain.from_iterable(rows)))

    def straight(self, varies: bool) -> Straight:
        """Return the straight run at the end; begin a new one after a vector instruction."""
        items = self.items[varies]
        last = items[-1] if items else None
        if type(last) is not Straight:
            last = Straight(self.next[varies])
            items.append(last)
        return last

    def add_group(self, slots: list[int]) -> None:
        """Lay out one group as a vector instruction, or a small contraction as scalar operations."""
        plan, varies = self.plan, self.plan.varies(slots[0])
        op = plan.ops[slots[0] - self.leaves]
        rows = [plan.operands[slot - self.leaves] for slot in slots]
        if isinstance(op, Loop):
            self.add_loop(op, slots, rows)
            return
        if isinstance(op, Result):
            for slot, (loop,) in zip(slots, rows, strict=True):
                item, element = self.elements[loop]
                place = item.start + op.index * item.count + element
                self.where[slot] = place if varies else ~place
            return
        terms = len(rows[0]) // (2 if op in PRODUCTS else 1) if op in STEPS else 0
        if op is not ops.take and len(slots) < _SMALL and terms < _SMALL:
            for slot, row in zip(slots, rows, strict=True):
                self.where[slot] = self.expand(op, [self.where[each] for each in row], varies)
            return
        carried = [plan.carried(op, row) for row in rows] if terms else [None]
        read = map(self.where.__getitem__, chain.from_iterable(rows))
        table = np.fromiter(read, np.int64, len(rows) * len(rows[0])).reshape(len(rows), -1)
        order = _order(table)
        start = self.allocate([slots[index] for index in order.tolist()])
        table = table[order]
        first = None
        if None not in carried:
            first = _index(table[:, terms])
            table = np.delete(table, (0, terms), axis=1)
            terms -= 1
        parts: Any = np.split(table, table.shape[1] // terms, axis=1) if terms else table.T
        if op is ops.take:
            parts = (table[:, 0], table[:, 1:])
        operands = tuple([_index(part) for part in parts])
        self.items[varies].append(Group(op, start, len(slots), operands, terms, first))

    def add_loop(self, loop: Loop, slots: list[int], rows: list[Operands]) -> None:
        """Lay out the loops of one group."""
        varies = self.plan.varies(slots[0])
        table = np.array([[self.where[each] for each in row] for row in rows], np.int64)
        fixed = loop.state + loop.outside
        operands = tuple([_index(column) for column in table[:, :fixed].T])
        items = _index(table[:, fixed:]) if table.shape[1] > fixed else None
        item = Turns(loop, self.next[varies], len(slots), operands, items)
        self.next[varies] += item.size
        self.items[varies].append(item)
        self.elements.update({slot: (item, element) for element, slot in enumerate(slots)})

    def expand(self, op: Op, terms: list[int], varies: bool) -> int:
        """Lay out a contraction as scalar operations; return where its result is."""
        if op in PRODUCTS:
            half = len(terms) // 2
            pairs = zip(terms[:half], terms[half:], strict=True)
            terms = [self.scalar(PRODUCTS[op], pair, varies) for pair in pairs]
        total = terms[0]
        for term in terms[1:]:
            total = self.scalar(STEPS[op], (total, term), varies)
        return total

    def scalar(self, op: Op, operands: Operands, varies: bool) -> int:
        straight = self.straight(varies)
        straight.ops.append(op)
        straight.arity.append(len(operands))
        straight.operands.extend(operands)
        result = self.next[varies]
        self.next[varies] += 1
        return result if varies else ~result

    def finish(self) -> VectorProgram:
        outputs = np.array([self.where[slot] for slot in self.plan.outputs], np.int64)
        program = self.plan.program
        prologue, body = self.items
        return VectorProgram(
            program.inputs,
            program.parameters,
            program.constants,
            prologue,
            body,
            outputs,
            varying=self.next[1],
            uniform=self.next[0],
        )


def _order(table: Slots) -> Slots:
    """Sort results by the slots they read: first by the first operand, then by the next."""
    keys = np.where(table < 0, ~table, table)
    count, width = keys.shape
    if keys.size <= _TINY:
        rows = keys.tolist()
        return np.array(sorted(range(count), key=rows.__getitem__), np.int64)
    # The terms of a contraction move together, so comparing first terms is enough.
    columns: Sequence[int] = range(width) if width <= 4 else sorted({0, width // 2, 1, width // 2 + 1})
    return np.lexsort([keys[:, column] for column in reversed(columns)])


def _index(slots: Slots) -> Index:
    uniform = bool(slots.flat[0] < 0)
    return Index(uniform, np.ascontiguousarray(~slots if uniform else slots))
