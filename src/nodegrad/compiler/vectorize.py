"""Vectorize: Program -> VectorProgram. Independent instructions of one shape become one vector instruction.

Instructions form a group if they have the same depth, the same operation and the same sources (the groups
that their operands come from). A group gets consecutive slots, sorted by the slots it reads. So its operands
become slices, strides or tables of slots. Nothing here knows what the numbers mean: a layer of neurons
becomes a matrix times a vector because it is one.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, starmap
from operator import itemgetter
from struct import Struct
from typing import Any

import numpy as np

from nodegrad import ops
from nodegrad.compiler.passes import own_tables, relax
from nodegrad.compiler.program import (
    COPY,
    STEPS,
    UNCHECKED,
    Loop,
    Operands,
    Program,
    Result,
    entries,
    term_by_term,
)
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, Turns, VectorProgram, check
from nodegrad.graph import recording
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

# Groups with fewer results, and contractions with fewer results and terms, run as straight scalar code.
_SMALL = 4
_INPUT, _LEAF, _UNIFORM = -1, -2, -3  # sources that are not groups of the body
_BODY = 1 << 40  # depths in the body start here, because the body runs after the prologue
_COPIES = 0  # the group that runs first in the body
Key = tuple[Any, ...]  # what the instructions of a group have in common: operation, depth, sources


@recording()
def vectorize(program: Program, exact: bool = True) -> VectorProgram:
    """Group a program's instructions into vector instructions. Relax the program first unless it is exact."""
    plan = _Plan(own_tables(program if exact else relax(program)))
    layout = _Layout(plan)
    for slots, scalars in plan.groups():
        if scalars:
            layout.add_scalars(slots.tolist())
        elif slots[0] >= plan.end:
            layout.add_products(slots)
        else:
            layout.add_group(slots.tolist())
    done = layout.finish()
    return done if program.count > UNCHECKED else check(done)


class _Plan:
    """The program while it is grouped: contractions split, copies of uniform numbers added at the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.ops = list(program.ops)
        self.operands = list(program.operands)
        self.copies: dict[int, int] = {}
        # The depth of each slot and the group it comes from: inputs, parameters and instructions, copies once
        # there are some, and the constants, whose slots are negative.
        parameters, computed, constants = program.parameters, len(self.ops), len(program.constants)
        self.depth = [_BODY] * program.inputs + [0] * (parameters + computed + constants)
        self.source = [_INPUT] * program.inputs + [_LEAF] * parameters + [0] * computed + [_LEAF] * constants
        self.room = program.leaves + computed  # the first slot that has no depth and group yet
        self.group = array("q")  # of each instruction
        self.wide: dict[object, Key] = {}  # the keys of wide instructions
        self.sources: dict[tuple[int, ...], int] = {}  # those of wide instructions, numbered
        # Of each group; it is `scalar` if it may run number by number.
        self.depths, self.scalar, self.results = [_BODY], [True], [_COPIES]
        self.find_groups()
        outputs = np.fromiter(program.outputs, np.int64)
        listed = outputs >= program.end
        outputs[~listed] = list(map(self.on_rows, outputs[~listed].tolist()))
        outputs[listed] += len(self.copies)  # which come before the products
        self.outputs = outputs
        self.group.extend([_COPIES] * len(self.copies))
        # The products that the program lists: the slot of the first one, and the slots of both factors.
        self.end = program.leaves + len(self.ops)
        factors = [map(itemgetter(place), program.products) for place in (0, 1)]
        self.products = np.array([np.fromiter(slots, np.int64) for slots in factors])
        if program.products:
            self.find_product_groups()

    def find_groups(self) -> None:
        """Assign every instruction to a group."""
        depth, source, depths, results = self.depth, self.source, self.depths, self.results
        leaves, add, known = self.program.leaves, self.group.append, dict[Key, int]()
        # What reads tables of operands; all slots of a table vary, or none does.
        wide = {op for op in {*self.ops} if op in STEPS or op is ops.take or isinstance(op, Loop)}
        for slot, (op, operands) in enumerate(zip(self.ops[:], self.operands[:], strict=True), leaves):
            key: Key
            if len(operands) == 2 and op not in STEPS:  # the most frequent case, written out
                x, y = operands
                deepest = depth[x] if depth[x] > depth[y] else depth[y]
                if op.commutative and source[x] > source[y]:
                    self.operands[slot - leaves] = y, x
                    key = op, deepest, source[y], source[x]
                else:
                    key = op, deepest, source[x], source[y]
            elif op in wide:
                key = self.key_of(slot - leaves, op, operands)
            else:
                deepest = max(map(depth.__getitem__, operands), default=0)
                key = op, deepest, *map(source.__getitem__, operands)
            group = known.get(key)
            if group is None:
                group = known[key] = len(depths)
                deepest = key[1]
                depths.append(deepest)
                terms = len(operands) // 2 if op in PRODUCTS else len(operands)
                small = terms < _SMALL if op in STEPS else op not in wide
                self.scalar.append(small and not isinstance(op, Result))
                if deepest < _BODY:
                    results.append(_UNIFORM)
                elif op in STEPS:  # of any length, so that their readers form one group
                    sources = frozenset(map(source.__getitem__, self.operands[slot - leaves]))
                    results.append(known.setdefault((op, deepest, sources), group))
                else:
                    results.append(group)
            add(group)
            depth[slot], source[slot] = depths[group] + 1, results[group]

    def key_of(self, index: int, op: Op, operands: Operands) -> Key:
        """Return what a wide instruction has in common with others of its group; copy what must vary."""
        # In the body sources tell the depth and what to copy: so most contractions of a layer are done here.
        alike = op, self.number(operands), self.carried(op, operands) is None
        key = self.wide.get(alike)
        if key is not None:
            return key
        deepest = max(map(self.depth.__getitem__, operands), default=0)
        read = self.separate(op, operands) if deepest >= _BODY else operands
        key = op, deepest, self.number(read)
        if read != operands:
            self.operands[index] = read
        elif deepest >= _BODY:
            self.wide[alike] = key
        return key

    def number(self, operands: Operands) -> int:
        """Return the number of the sources of operands."""
        return self.sources.setdefault(entries(self.source, operands), len(self.sources))

    def find_product_groups(self) -> None:
        """Assign the products that the program lists to groups: in one, all factors have the same sources."""
        x, y = np.array(self.source)[self.products] - _UNIFORM
        _, first, group = np.unique(
            x * (len(self.depths) - _UNIFORM) + y, return_index=True, return_inverse=True
        )
        self.group.frombytes((len(self.depths) + group).tobytes())
        factors = self.products[:, first].tolist()
        self.depths += [max(_BODY, self.depth[x], self.depth[y]) for x, y in zip(*factors, strict=True)]
        self.scalar += [False] * len(first)

    def varies(self, slot: int) -> bool:
        """Return whether a slot differs from row to row."""
        return self.depth[slot] >= _BODY

    def on_rows(self, slot: int) -> int:
        """Return a varying slot with the number of `slot`: the slot itself, or a copy."""
        if self.varies(slot):
            return slot
        if slot not in self.copies:
            self.copies[slot] = copy = self.program.leaves + len(self.ops)
            self.ops.append(COPY)
            self.operands.append((slot,))
            if copy == self.room:  # make more, for as many copies as there are
                more = len(self.copies)
                self.depth[copy:copy], self.source[copy:copy] = [_BODY + 1] * more, [_COPIES] * more
                self.room += more
        return self.copies[slot]

    def separate(self, op: Op, operands: Operands) -> Operands:
        """Copy uniform slots so that all slots vary, or none, in each table that an operation reads."""
        if op in PRODUCTS:
            return self.halves(op, operands)
        fixed = 0 if op in STEPS else _fixed(op)
        return (*operands[:fixed], *self.alike(operands[fixed:]))

    def halves(self, op: Op, operands: Operands) -> Operands:
        """Copy uniform slots so that each half of a contraction varies as a whole, or not at all.

        A first term 1·x is left alone.
        """
        half = len(operands) // 2
        xs, ys = operands[:half], operands[half:]
        first = self.carried(op, operands)
        if first is not None:
            xs, ys = xs[1:], ys[1:]
        varies, least = self.varies, min(map(self.depth.__getitem__, ys), default=_BODY)
        if op is ops.dot and least < _BODY:  # the factors of strong products may not be swapped
            pairs = zip(xs, ys, strict=True)
            xs, ys = zip(*[(y, x) if varies(x) and not varies(y) else (x, y) for x, y in pairs], strict=True)
        xs, ys = self.alike(xs), self.alike(ys)
        return (*xs, *ys) if first is None else (operands[0], *xs, first, *ys)

    def alike(self, slots: Operands) -> Operands:
        """Return the slots if all vary or none does; otherwise copy the uniform ones so that all vary."""
        depths = {*map(self.depth.__getitem__, slots)}
        mixed = slots and min(depths) < _BODY <= max(depths)
        return tuple(map(self.on_rows, slots)) if mixed else slots

    def carried(self, op: Op, operands: Operands) -> int | None:
        """Return the slot that a contraction adds to, if its first term is 1 times a slot."""
        if op not in PRODUCTS or len(operands) <= 2 or operands[0] >= 0:
            return None
        return operands[len(operands) // 2] if self.program.constants[~operands[0]] == 1.0 else None

    def groups(self) -> Iterator[tuple[Slots, bool]]:
        """Yield the slots of each group in an order that can run; join groups that run as scalars."""
        depths, group = np.array(self.depths), np.array(self.group)
        rank = np.empty_like(depths)
        rank[np.argsort(depths, kind="stable")] = np.arange(len(depths))
        ranks = rank[group]
        order = np.argsort(ranks, kind="stable")
        sizes = np.bincount(ranks, minlength=len(depths))
        scalar = (sizes[ranks] < _SMALL) & np.array(self.scalar)[group]
        body = depths[group] >= _BODY
        # Cut between groups, but not between scalar groups of the same part.
        kind = np.where(scalar, -1 - body, ranks)[order]
        cuts = np.flatnonzero(np.diff(kind)) + 1
        slots = order + self.program.leaves
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
        self.where = array("q", [0]) * (plan.end + len(program.products) + len(program.constants))
        self.at: Slots = np.frombuffer(self.where, np.int64)  # the same numbers, to read many at once
        self.at[: program.inputs] = np.arange(program.inputs)
        self.at[program.inputs : self.leaves] = ~np.arange(program.parameters)
        self.at[len(self.at) - len(program.constants) :] = np.arange(-uniform, -program.parameters)
        self.next = [uniform, program.inputs]  # uniform, varying
        self.items: tuple[list[Item], list[Item]] = ([], [])

    def add_scalars(self, slots: list[int]) -> None:
        """Lay out instructions that run one by one; a small contraction becomes several."""
        where, leaves, ops_, operands = self.where, self.leaves, self.plan.ops, self.plan.operands
        varies = self.plan.varies(slots[0])
        run: list[tuple[Op, Sequence[int]]] = []
        first = self.next[varies] if varies else ~self.next[varies]
        step = 1 if varies else -1

        def add(op: Op, read: Sequence[int]) -> int:
            run.append((op, read))
            return first + step * (len(run) - 1)

        for slot in slots:
            op = ops_[slot - leaves]
            read = [where[each] for each in operands[slot - leaves]]
            where[slot] = term_by_term(op, read, add) if op in STEPS else add(op, read)
        reads = array("q", chain.from_iterable([read for _, read in run]))
        self.items[varies].append(Straight(self.next[varies], [op for op, _ in run], reads))
        self.next[varies] += len(run)

    def add_group(self, slots: list[int]) -> None:
        """Lay out one group as a vector instruction."""
        plan, varies, where = self.plan, self.plan.varies(slots[0]), self.where
        op, step = plan.ops[slots[0] - self.leaves], 1 if varies else -1
        rows = [plan.operands[slot - self.leaves] for slot in slots]
        if isinstance(op, Result):
            for slot, (loop,) in zip(slots, rows, strict=True):
                where[slot] = where[loop] + step * op.index
            return
        if isinstance(op, Loop) and len(slots) > 1:
            for slot in slots:
                self.add_group([slot])
            return
        terms = len(rows[0]) // (2 if op in PRODUCTS else 1) if op in STEPS else 0
        carried = [plan.carried(op, row) for row in rows] if terms else [None]
        pack = Struct(f"{len(rows[0])}q").pack  # takes half the time of `numpy.fromiter`
        read = np.frombuffer(b"".join(starmap(pack, rows)), np.int64)
        table = self.at[read].reshape(len(rows), -1)
        order = _order(table)
        table, ordered = table[order], np.array(slots)[order]
        first = None
        if None not in carried:
            first = _index(table[:, terms])
            table = np.delete(table, (0, terms), axis=1)
            terms -= 1
        if terms:
            parts = np.split(table, table.shape[1] // terms, axis=1)
        else:
            fixed = _fixed(op)
            parts = [*table[:, :fixed].T, *([table[:, fixed:]] if table.shape[1] > fixed else [])]
        operands, start = tuple(map(_index, parts)), self.next[varies]
        if isinstance(op, Loop):
            item: Group = Turns(op, start, 1, operands)
        else:
            item = Group(op, start, len(slots), operands, terms, first)
        self.items[varies].append(item)
        self.next[varies] += item.size
        self.at[ordered] = (start if varies else ~start) + step * np.arange(len(slots))

    def add_products(self, slots: Slots) -> None:
        """Lay out a group of the products that the program lists."""
        start = self.next[True]
        factors = self.at[self.plan.products[:, slots - self.plan.end]]
        order = _order(factors.T)
        operands = tuple(map(_index, factors[:, order]))
        self.items[True].append(Group(ops.strong_mul, start, len(slots), operands))
        self.at[slots[order]] = np.arange(start, start + len(slots))
        self.next[True] += len(slots)

    def finish(self) -> VectorProgram:
        outputs = self.at[self.plan.outputs]
        program, (uniform, varying) = self.plan.program, self.next
        leaves = program.inputs, program.parameters, program.constants
        return VectorProgram(*leaves, *self.items, outputs, varying=varying, uniform=uniform)


def _fixed(op: Op) -> int:
    """Return how many operands are single numbers; those that follow are one table."""
    if isinstance(op, Loop):
        return op.state + op.outside
    return 1 if op is ops.take else op.arity or 0


def _order(table: Slots) -> Slots:
    """Sort results by the slots they read: first by the first operand that varies, then by the next.

    So a matrix times several vectors is laid out one product after the other: results that read the same
    vector are neighbours, as they would be if there were no other vectors.
    """
    width = table.shape[1]
    # The terms of a contraction move together, so comparing first terms is enough.
    columns: Sequence[int] = range(width) if width <= 4 else sorted({0, width // 2, 1, width // 2 + 1})
    columns = sorted(columns, key=lambda column: table[0, column] < 0)
    slots = table[:, columns[::-1]]
    return np.lexsort(np.maximum(slots, ~slots).T)


def _index(slots: Slots) -> Index:
    uniform = bool(slots.flat[0] < 0)
    return Index(uniform, np.ascontiguousarray(~slots if uniform else slots))
