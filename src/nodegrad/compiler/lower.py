"""Lower a recording to a Program: Values become slots, recorded loops become loop instructions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any

from nodegrad.compiler.passes import Rewriter, finish
from nodegrad.compiler.program import ConstantPool, Loop, Program, loop, result
from nodegrad.composites import Composite
from nodegrad.extend import Symbol
from nodegrad.graph import check_left, topological_order
from nodegrad.inputs import plain
from nodegrad.interfaces import Rounding
from nodegrad.loops import Loop as RecordedLoop
from nodegrad.ops import COMPARISONS, TABLE, Op, constant, give_operators, strong_mul
from nodegrad.value import Value

__all__ = ()

_MANY = 1000  # products that only results need: this many are listed apart: see `Program.products`


def lower(inputs: Sequence[Value], wanted: Sequence[Any]) -> tuple[Program, list[Value], int]:
    """Return the program of a recording, its parameters (the Values closed over), and a count of operations.

    The program is simplified as it is written.

    Raises:
        ValueError: if a Value was kept from an earlier call, or from a turn of a loop.
    """
    nodes = dict.fromkeys([x for x in wanted if not isinstance(x, float)])
    products = [x for x in nodes if x.op is strong_mul]
    if len(products) < _MANY:
        products = []
    for product in products:
        del nodes[product]
    factors = dict.fromkeys(chain.from_iterable([(x._first, x._second) for x in products]))
    order = topological_order(*nodes, *factors, constants=False)
    parameters = _closed_over(order, set(inputs))
    check_left(parameters)
    apart = dict.fromkeys(products)  # but for those that others are made of
    for node in order if products else ():
        apart.pop(node, None)
    kept = [x for x in wanted if isinstance(x, float) or x not in apart]
    program = _program([*inputs, *parameters], order, [*factors, *kept])
    if products:
        place = dict(zip(factors, program.outputs, strict=False))
        pairs = [(place[x._first], place[x._second]) for x in apart]
        slots = dict(zip(apart, count(program.end), strict=False))
        rest = iter(program.outputs[len(factors) :])
        outputs = [next(rest) if isinstance(x, float) or x not in slots else slots[x] for x in wanted]
        program = replace(program, products=pairs, outputs=outputs)
    operations = sum([node.op is not None for node in order]) + len(apart)
    return replace(program, inputs=len(inputs), parameters=len(parameters)), parameters, operations


def lower_loop(recorded: RecordedLoop) -> Loop:
    """Turn a loop that was recorded into a loop instruction."""
    inputs = [*recorded.state, *recorded.outside, *recorded.items]
    body = _program(inputs, recorded.order, [*recorded.after, *recorded.given])
    condition = None if recorded.condition is None else _program(inputs, recorded.order, [recorded.condition])
    made = loop(condition, body, len(recorded.state), len(recorded.items), recorded.turns, recorded.limit)
    return replace(made, narrower=recorded.narrower)


def _program(inputs: Sequence[Value], order: Sequence[Value], wanted: Sequence[Any]) -> Program:
    """Give every node a slot."""
    rewriter = Rewriter(len(inputs))
    emit, constant_slot = rewriter.emit, rewriter.pool.slot
    slots = _Slots(rewriter.pool)
    slots.update(zip(inputs, count(), strict=False))
    place = slots.__getitem__
    # The functions below refer to each other: no circle may hold the Values.

    def write(op: Op, numbers: Sequence[Any]) -> "_Number":
        data = [x._data if isinstance(x, _Number) else x for x in numbers]
        read = tuple([x._slot if isinstance(x, _Number) else constant_slot(x) for x in numbers])
        value = op.value(*data)
        return _Number(inline(op, read, data, value), value, write)

    def inline(op: Op, read: tuple[int, ...], data: Sequence[float], expected: float) -> int:
        """Add what an operation is composed of, or the operation itself if that cannot be."""
        if op.composed is not None:
            numbers = [x if slot < 0 else _Number(slot, x, write) for slot, x in zip(read, data, strict=True)]
            try:
                found = op.composed(*numbers)
            except Exception:  # it branches, or takes floats only: the user's own
                found = None
            value = found._data if isinstance(found, _Number) else found
            if isinstance(value, float) and (value == expected or (value != value and expected != expected)):
                return found._slot if isinstance(found, _Number) else constant_slot(value)
        return emit(op, read)

    for node in order:
        op = node.op
        if op is None or op is constant or node in slots:
            continue
        if isinstance(op, Composite) and isinstance(op.whole, RecordedLoop):
            made = emit(op.whole.lowered, tuple(map(place, node.operands)))
            slots[node] = emit(result(op.index), (made,))
        elif isinstance(op, Composite):  # a number of a solution is among its operands
            slots[node] = place(node.operands[op.index])
        else:
            x, y = node._first, node._second  # most operations have two operands
            read = tuple(map(place, node.operands)) if y is None else (slots[x], slots[y])
            if op.composed is None:
                slots[node] = emit(op, read)
            else:
                slots[node] = inline(op, read, [x._data for x in node.operands], node._data)
    outputs = [constant_slot(x) if isinstance(x, float) else place(x) for x in wanted]
    return finish(rewriter.program(len(inputs), outputs))


class _Slots(dict[Value, int]):
    """The slots of nodes. A constant gets one when it is first read."""

    def __init__(self, pool: ConstantPool) -> None:
        self.pool = pool

    def __missing__(self, node: Value) -> int:
        assert node.op is constant, "operands come before what is made from them"
        slot = self[node] = self.pool.slot(node._data)
        return slot


class _Number(Rounding, Symbol):
    """A number in a program that is written: operations on it become instructions."""

    def __init__(self, slot: int, data: float, write: Callable[[Op, Sequence[Any]], "_Number"]) -> None:
        self._slot, self._data, self._write = slot, data, write

    @staticmethod
    def apply_op(op: Op, operands: Sequence[Any]) -> "_Number":
        """Add an instruction; plain numbers among the operands become constants."""
        (writer, *_) = [x._write for x in operands if isinstance(x, _Number)]
        return writer(op, [x if isinstance(x, _Number) else plain(x, op.name) for x in operands])


give_operators(_Number, *COMPARISONS, TABLE["neg"], TABLE["abs"])


def _closed_over(order: list[Value], inputs: set[Value]) -> list[Value]:
    """List the leaves that are not inputs by first use: a neuron's weights are then side by side."""
    read = chain.from_iterable([node.operands for node in order if node._first is not None])
    return [x for x in dict.fromkeys(chain(read, order)) if x.op is None and x not in inputs]
