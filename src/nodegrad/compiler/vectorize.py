"""Vectorize: Program -> VectorProgram. Independent instructions of one shape become one vector instruction.

Instructions of equal depth, operation and sources (the groups their operands come from) form a group. A group
gets consecutive slots, in the order of what it reads, so that operands become slices, strides or tables of
slots. Nothing here knows what the numbers mean; a layer of neurons comes out as a matrix times a vector
because it is one.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nodegrad.compiler.program import STRONG_DOT, UNCHECKED, Operands, Program
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, VectorProgram, check
from nodegrad.ops import Op, add, dot, identity, mul, strong_mul
from nodegrad.ops import sum as sum_op

# Groups of fewer results, and contractions of fewer results and terms, run as straight scalar code.
_SMALL = 4
_TINY = 64  # below so many operands sorting in Python beats NumPy
_PRODUCTS = {dot: mul, STRONG_DOT: strong_mul}
_CONTRACTIONS = {dot, STRONG_DOT, sum_op}
_INPUTS, _LEAVES, _UNIFORM = -1, -2, -3  # sources that are no groups of the body

# A uniform number given to every row.
COPY = Op("copy", "", identity.value, (None,), ())


def vectorize(program: Program) -> VectorProgram:
    """Group a program's instructions into vector instructions."""
    plan = _Plan(program)
    _prepare(program, plan)
    members, order = _group(program, plan)
    layout = _Layout(program, plan)
    varying = plan.varying
    for group in order:
        found = members[group]
        if isinstance(found, int):
            layout.add_one(found, bool(varying[found]))
        else:
            layout.add(found, bool(varying[found[0]]))
    done = layout.finish()
    return done if len(plan.ops) > UNCHECKED else check(done)


@dataclass(slots=True)
class _Plan:
    """The program as it is grouped: contractions separated, `varying` by slot."""

    program: Program
    ops: list[Op] = field(default_factory=list)
    operands: list[Operands] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    varying: bytearray = field(default_factory=bytearray)
    copies: dict[int, int] = field(default_factory=dict)

    def emit(self, op: Op, operands: Operands, varies: int) -> int:
        self.ops.append(op)
        self.operands.append(operands)
        self.varying.append(varies)
        return len(self.varying) - 1

    def varies(self, slot: int) -> int:
        return self.varying[slot] if slot >= 0 else 0

    def on_rows(self, slot: int) -> int:
        """Return a varying slot with the number of `slot`."""
        if self.varies(slot):
            return slot
        if slot not in self.copies:
            self.copies[slot] = self.emit(COPY, (slot,), 1)
        return self.copies[slot]


def _prepare(program: Program, plan: _Plan) -> None:
    """Find what varies from row to row; give contractions halves that vary, or do not, as a whole."""
    varying = plan.varying
    varying += bytes([1]) * program.inputs + bytes(program.parameters)
    place = list(range(program.leaves))
    for op, operands in zip(program.ops, program.operands, strict=True):
        if plan.copies:  # slots have moved
            operands = tuple([place[slot] if slot >= 0 else slot for slot in operands])
        varies = 0
        for slot in operands:
            if slot >= 0 and varying[slot]:
                varies = 1
                break
        if varies and op in _CONTRACTIONS:
            operands = _separate(plan, op, operands)
        place.append(plan.emit(op, operands, varies))
    plan.outputs = [plan.on_rows(place[slot] if slot >= 0 else slot) for slot in program.outputs]


def _separate(plan: _Plan, op: Op, operands: Operands) -> Operands:
    if op not in _PRODUCTS:
        return _alike(plan, operands)
    half = len(operands) // 2
    pairs = list(zip(operands[:half], operands[half:], strict=True))
    first = _carried(plan.program, op, operands)
    if first is not None:
        pairs = pairs[1:]
    if op is dot:  # a product may be turned round; the chain rule's may not
        pairs = [(y, x) if plan.varies(x) and not plan.varies(y) else (x, y) for x, y in pairs]
    xs, ys = _alike(plan, tuple([x for x, _ in pairs])), _alike(plan, tuple([y for _, y in pairs]))
    return (*xs, *ys) if first is None else (operands[0], *xs, operands[half], *ys)


def _alike(plan: _Plan, slots: Operands) -> Operands:
    kinds = {plan.varies(slot) for slot in slots}
    return slots if len(kinds) < 2 else tuple(map(plan.on_rows, slots))


def _carried(program: Program, op: Op, operands: Operands) -> int | None:
    """Return the slot that a contraction is added onto: its first term is then 1 times that slot."""
    one = operands[0]
    is_one = op in _PRODUCTS and len(operands) > 2 and one < 0 and program.constants[~one] == 1.0
    return operands[len(operands) // 2] if is_one else None


def _group(program: Program, plan: _Plan) -> tuple[list[int | list[int]], list[int]]:
    """Sort instructions into groups: the slots of each (one alone is no list), and an order to run in."""
    leaves, varying = program.leaves, plan.varying
    depth = array("q", [0]) * leaves
    source = [_INPUTS] * program.inputs + [_LEAVES] * program.parameters
    ids: dict[object, int] = {}
    members: list[int | list[int]] = []
    depths, kinds = array("q"), array("q")  # of the groups
    for slot, (op, operands) in enumerate(zip(plan.ops, plan.operands, strict=True), leaves):
        varies = varying[slot]
        if op.commutative:
            x, y = operands
            if (source[x] if x >= 0 else _LEAVES) > (source[y] if y >= 0 else _LEAVES):
                plan.operands[slot - leaves] = operands = (y, x)
        deepest = 0
        for each in operands:
            # The prologue is over before the body starts: what is uniform adds no depth to it.
            if each >= 0 and depth[each] > deepest and varying[each] == varies:
                deepest = depth[each]
        depth.append(deepest + 1)
        key = (varies, deepest, op, *[source[each] if each >= 0 else _LEAVES for each in operands])
        group = ids.get(key)
        if group is None:
            group = ids[key] = len(members)
            depths.append(deepest)
            kinds.append(varies)
            members.append(slot)
        else:
            found = members[group]
            if isinstance(found, int):
                members[group] = [found, slot]
            else:
                found.append(slot)
        source.append(group if varies else _UNIFORM)
    order = np.lexsort((np.array(depths, np.int64), np.array(kinds, np.int64)))
    return members, order.tolist()


class _Layout:
    """Gives every group its slots and turns its operands into indices."""

    def __init__(self, program: Program, plan: _Plan) -> None:
        self.program, self.plan = program, plan
        self.constants = program.constants
        # Where each slot of the plan went: varying slots from 0 on, uniform ones as ~slot.
        uniform = [~index for index in range(program.parameters)]
        self.place = [*range(program.inputs), *uniform, *[0] * len(plan.ops)]
        self.first_constant = program.parameters
        self.next = [program.parameters + len(self.constants), program.inputs]  # uniform, varying
        self.items: tuple[list[Item], list[Item]] = ([], [])

    def put(self, slot: int) -> int:
        """Return where a slot of the plan is now: `~slot` for a uniform one."""
        return self.place[slot] if slot >= 0 else ~(self.first_constant + ~slot)

    def allocate(self, count: int, varies: bool) -> int:
        start = self.next[varies]
        self.next[varies] += count
        return start

    def add_one(self, slot: int, varies: bool) -> None:
        """Lay out an instruction that is alone in its group."""
        index = slot - self.program.leaves
        op = self.plan.ops[index]
        if op in _CONTRACTIONS:
            self.add([slot], varies)
        else:
            place = self.place
            first = self.first_constant
            operands = tuple(
                [place[each] if each >= 0 else ~(first + ~each) for each in self.plan.operands[index]]
            )
            place[slot] = self.scalar(self.straight(varies), op, operands, varies)

    def add(self, slots: list[int], varies: bool) -> None:
        """Lay out one group: a vector instruction, or scalar ones if it is small."""
        leaves = self.program.leaves
        op = self.plan.ops[slots[0] - leaves]
        rows = [self.plan.operands[slot - leaves] for slot in slots]
        terms = len(rows[0]) // (2 if op in _PRODUCTS else 1) if op in _CONTRACTIONS else 0
        if len(slots) < _SMALL and terms < _SMALL:
            self.add_straight(op, slots, rows, varies)
            return
        carried = [_carried(self.program, op, row) for row in rows] if terms else [None]
        if None in carried and any(slot is not None for slot in carried):
            carried = [None]
        table = self.table(rows)
        order = _order(table)
        start = self.allocate(len(slots), varies)
        for position, index in enumerate(order.tolist(), start):
            self.place[slots[index]] = position if varies else ~position
        table = table[order]
        first = None
        if terms and carried[0] is not None:
            first = _index(table[:, terms])
            table = np.delete(table, (0, terms), axis=1)
            terms -= 1
        if not terms:
            operands = tuple([_index(column) for column in table.T])
        else:
            operands = tuple([_index(part) for part in np.split(table, table.shape[1] // terms, axis=1)])
        self.items[varies].append(Group(op, start, len(slots), operands, terms, first))

    def table(self, rows: list[Operands]) -> Slots:
        put = self.put
        return np.array([[put(slot) for slot in row] for row in rows], np.int64)

    def add_straight(self, op: Op, slots: list[int], rows: list[Operands], varies: bool) -> None:
        """Append scalar operations to the straight run at the end; contractions as products and additions."""
        straight = self.straight(varies)
        for slot, row in zip(slots, rows, strict=True):
            operands = tuple(map(self.put, row))
            expand = self.expand if op in _CONTRACTIONS else self.scalar
            self.place[slot] = expand(straight, op, operands, varies)

    def straight(self, varies: bool) -> Straight:
        """Return the straight run at the end, a new one if a vector instruction is there."""
        items = self.items[varies]
        if not items or type(items[-1]) is not Straight:
            items.append(Straight())
        last = items[-1]
        assert type(last) is Straight
        return last

    def expand(self, straight: Straight, op: Op, operands: Operands, varies: bool) -> int:
        terms = list(operands)
        if op in _PRODUCTS:
            half = len(operands) // 2
            pairs = zip(operands[:half], operands[half:], strict=True)
            terms = [self.scalar(straight, _PRODUCTS[op], pair, varies) for pair in pairs]
        total = terms[0]
        for term in terms[1:]:
            total = self.scalar(straight, add, (total, term), varies)
        return total

    def scalar(self, straight: Straight, op: Op, operands: Operands, varies: bool) -> int:
        result = self.allocate(1, varies)
        straight.ops.append(op)
        straight.results.append(result)
        straight.operands.append(operands)
        return result if varies else ~result

    def finish(self) -> VectorProgram:
        outputs = np.array([self.place[slot] for slot in self.plan.outputs], np.int64)
        prologue, body = self.items
        return VectorProgram(
            self.program.inputs,
            self.program.parameters,
            self.constants,
            prologue,
            body,
            outputs,
            varying=self.next[1],
            uniform=self.next[0],
        )


def _order(table: Slots) -> Slots:
    """Order results by what they read, first operand first."""
    keys = np.where(table < 0, ~table, table)
    count, width = keys.shape
    if keys.size <= _TINY:
        rows = keys.tolist()
        return np.array(sorted(range(count), key=rows.__getitem__), np.int64)
    # The terms of a contraction move together, so its first ones tell its results apart.
    columns: Sequence[int] = range(width) if width <= 4 else sorted({0, width // 2, 1, width // 2 + 1})
    return np.lexsort([keys[:, column] for column in reversed(columns)])


def _index(slots: Slots) -> Index:
    uniform = bool(slots.flat[0] < 0)
    return Index(uniform, np.ascontiguousarray(~slots if uniform else slots))
