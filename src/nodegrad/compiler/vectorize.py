"""Vectorize: Program -> VectorProgram. Independent instructions of one shape become one vector instruction.

Instructions form a group if they have the same depth, the same operation and the same sources (the groups
that their operands come from). A group gets consecutive slots, sorted by the slots it reads. So its operands
become slices, strides or tables of slots. Nothing here knows what the numbers mean: a layer of neurons
becomes a matrix times a vector because it is one.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from nodegrad import ops
from nodegrad.compiler.passes import own_tables, relax
from nodegrad.compiler.program import COPY, STEPS, UNCHECKED, Loop, Operands, Program, Result, term_by_term
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, Turns, VectorProgram, check
from nodegrad.graph import recording
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

# Groups with fewer results, and contractions with fewer results and terms, run as straight scalar code.
_SMALL = 4
_INPUT, _LEAF, _UNIFORM = -1, -2, -3  # sources that are not groups of the body
_BODY = 1 << 40  # depths in the body start here, because the body runs after the prologue
_COPIES = 0  # the group that runs first in the body


@recording()
def vectorize(program: Program, exact: bool = True) -> VectorProgram:
    """Group a program's instructions into vector instructions. Relax the program first unless it is exact."""
    plan = _Plan(own_tables(program if exact else relax(program)))
    layout = _Layout(plan)
    for slots, scalars in plan.groups():
        if scalars:
            layout.add_scalars(slots)
        elif slots[0] >= plan.end:
            layout.add_products(slots)
        else:
            layout.add_group(slots)
    done = layout.finish()
    return done if program.count > UNCHECKED else check(done)


class _Plan:
    """The program while it is grouped: contractions split, copies of uniform numbers added at the end."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.ops = list(program.ops)
        self.operands = list(program.operands)
        self.copies: dict[int, int] = {}
        # The depth of each slot and the group it comes from: inputs, parameters and instructions, as many
        # copies as there may be, and the constants, whose slots are negative.
        constants = len(program.constants)
        computed = 2 * len(self.ops) + program.parameters + constants
        self.depth = [_BODY] * program.inputs + [0] * (program.parameters + computed + constants)
        self.source = [_INPUT] * program.inputs + [_LEAF] * program.parameters
        self.source += [_COPIES] * computed + [_LEAF] * constants
        self.group: list[int] = []  # of each instruction
        self.depths, self.scalar = [_BODY], [True]  # of each group; `scalar` if it may run number by number
        self.find_groups()
        outputs = np.array(program.outputs, np.int64)
        listed = outputs >= program.end
        outputs[~listed] = list(map(self.on_rows, outputs[~listed].tolist()))
        outputs[listed] += len(self.copies)  # which come before the products
        self.outputs = outputs
        self.group += [_COPIES] * len(self.copies)
        # The products that the program lists: the slot of the first one, and the slots of their factors.
        self.end = program.leaves + len(self.ops)
        self.products = np.fromiter(chain.from_iterable(program.products), np.int64).reshape(-1, 2)
        self.find_product_groups()

    def find_groups(self) -> None:
        """Assign every instruction to a group."""
        depth, source, group_of, leaves = self.depth, self.source, self.group, self.program.leaves
        known: dict[object, int] = {}
        for slot, (op, operands) in enumerate(zip(self.ops[:], self.operands[:], strict=True), leaves):
            key: object
            if len(operands) == 2 and op not in STEPS:  # the most frequent case, written out
                x, y = operands
                deepest = depth[x] if depth[x] > depth[y] else depth[y]
                if op.commutative and source[x] > source[y]:
                    self.operands[slot - leaves] = y, x
                    key = op, deepest, source[y], source[x]
                else:
                    key = op, deepest, source[x], source[y]
            else:
                deepest = max(map(depth.__getitem__, operands), default=0)
                if deepest >= _BODY and self.is_wide(op):
                    operands = self.operands[slot - leaves] = self.separate(op, operands)
                sources = tuple(map(source.__getitem__, operands))
                key = op, deepest, sources
            group = known.get(key)
            if group is None:
                group = known[key] = len(self.depths)
                self.depths.append(deepest)
                terms = len(operands) // 2 if op in PRODUCTS else len(operands)
                small = terms < _SMALL if op in STEPS else not self.is_wide(op)
                self.scalar.append(small and not isinstance(op, Result))
            group_of.append(group)
            depth[slot] = deepest + 1
            if deepest < _BODY:
                group = _UNIFORM
            elif op in STEPS:  # of any length, so that their readers form one group
                group = known.setdefault((op, deepest, frozenset(sources)), group)
            source[slot] = group

    def find_product_groups(self) -> None:
        """Assign the products that the program lists to groups: in one, all factors have the same sources."""
        x, y = np.array(self.source)[self.products].T - _UNIFORM
        _, first, group = np.unique(
            x * (len(self.depths) - _UNIFORM) + y, return_index=True, return_inverse=True
        )
        self.group += (len(self.depths) + group).tolist()
        factors = [self.products[at].tolist() for at in first]
        self.depths += [max(_BODY, self.depth[x], self.depth[y]) for x, y in factors]
        self.scalar += [False] * len(factors)

    @staticmethod
    def is_wide(op: Op) -> bool:
        """Return whether an operation reads tables of operands; all slots of a table vary, or none does."""
        return op in STEPS or op is ops.take or isinstance(op, Loop)

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
            self.depth[copy] = _BODY + 1
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
        one = operands[0]
        is_one = op in PRODUCTS and len(operands) > 2 and one < 0 and self.program.constants[~one] == 1.0
        return operands[len(operands) // 2] if is_one else None

    def groups(self) -> Iterator[tuple[list[int], bool]]:
        """Yield the slots of each group in an order that can run; join groups that run as scalars."""
        depths, group = np.array(self.depths), np.array(self.group, np.int64)
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
        places = [
            np.arange(program.inputs),
            -1 - np.arange(program.parameters),
            np.zeros(len(plan.ops) + len(plan.products), int),
        ]
        places.append(np.arange(-uniform, -program.parameters))
        self.where = array("q", np.concatenate(places, dtype=np.int64).tobytes())
        self.at: Slots = np.frombuffer(self.where, np.int64)  # the same numbers, to read many at once
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
        read = np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * len(rows[0]))
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

    def add_products(self, listed: list[int]) -> None:
        """Lay out a group of the products that the program lists."""
        slots, start = np.array(listed), self.next[True]
        table = self.at[self.plan.products[slots - self.plan.end]]
        order = _order(table)
        operands = tuple(map(_index, table[order].T))
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
    keys = np.where(table < 0, ~table, table)
    width = keys.shape[1]
    # The terms of a contraction move together, so comparing first terms is enough.
    columns: Sequence[int] = range(width) if width <= 4 else sorted({0, width // 2, 1, width // 2 + 1})
    columns = sorted(columns, key=lambda column: table[0, column] < 0)
    return np.lexsort([keys[:, column] for column in reversed(columns)])


def _index(slots: Slots) -> Index:
    uniform = bool(slots.flat[0] < 0)
    return Index(uniform, np.ascontiguousarray(~slots if uniform else slots))
