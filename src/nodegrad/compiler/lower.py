"""Lower a recording to a Program: Values become slots, recorded loops become loop instructions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any

from nodegrad.compiler.passes import Rewriter, finish
from nodegrad.compiler.program import Loop, Operands, Program, entries, loop, result
from nodegrad.composites import Composite
from nodegrad.extend import Symbol
from nodegrad.graph import check_left, topological_order
from nodegrad.inputs import plain
from nodegrad.interfaces import Rounding
from nodegrad.loops import Loop as RecordedLoop
from nodegrad.ops import COMPARISONS, TABLE, Op, constant, give_operators, strong_dot, strong_mul
from nodegrad.value import Value

__all__ = ()

_MANY = 1000  # products that only results need: this many are listed apart: see `Program.products`


def lower(inputs: Sequence[Value], wanted: Sequence[Any]) -> tuple[Program, list[Value], int]:
    """Return the program of a recording, its parameters (the Values closed over), and a count of operations.

    The program is simplified as it is written.

    Args:
        inputs: the leaves that differ from row to row.
        wanted: the results: Values, floats, and pairs of Values that stand for strong products.

    Raises:
        ValueError: if a Value was kept from an earlier call, or from a turn of a loop.
    """
    wanted, factors, order, leaves = _walk(wanted)
    given = set(inputs)
    parameters = [x for x in _by_first_use(leaves, order) if x not in given]
    check_left(parameters)
    kept = [x for x in wanted if type(x) is not tuple]
    program = _program([*inputs, *parameters], order, [*factors, *kept])
    place = dict(zip(factors, program.outputs, strict=False))
    products = [(place[x[0]], place[x[1]]) for x in wanted if type(x) is tuple]
    slots, others = count(program.end), iter(program.outputs[len(factors) :])
    outputs = [next(slots if type(x) is tuple else others) for x in wanted]
    program = replace(
        program, inputs=len(inputs), parameters=len(parameters), products=products, outputs=outputs
    )
    return program, parameters, len(order) + len(products)


def _walk(wanted: Sequence[Any]) -> tuple[Sequence[Any], dict[Value, None], list[Value], list[Value]]:
    """List what results are made of, but for products that only results need, if these are many.

    Returns:
        The results, such products as pairs; the factors of these; the nodes that operations made, in
        topological order; the leaves.
    """
    products: list[Any] = [x for x in wanted if type(x) is tuple or (type(x) is Value and x.op is strong_mul)]
    if len(products) < _MANY:
        products, wanted = [], [strong_mul(*x) if type(x) is tuple else x for x in wanted]
    pairs = [x if type(x) is tuple else (x._first, x._second) for x in products]
    factors = dict.fromkeys(chain.from_iterable(pairs))
    others = [x for x in wanted if isinstance(x, Value) and not (products and x.op is strong_mul)]
    leaves: list[Value] = []
    order = topological_order(*others, *factors, constants=False, ends=leaves)
    if products:
        read = {x for x in order if x.op is strong_mul}  # products that something else is made of
        alone = [type(x) is Value and x.op is strong_mul and x not in read for x in wanted]
        wanted = [(x._first, x._second) if one else x for x, one in zip(wanted, alone, strict=True)]
    return wanted, factors, order, leaves


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
    slots: dict[Value, int] = dict(zip(inputs, count(), strict=False))
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
        try:
            read = _slots_of(node, slots)
        except KeyError:  # a constant gets its slot when it is first read
            slots.update({x: constant_slot(x._data) for x in node.operands if x.op is constant})
            read = _slots_of(node, slots)
        if isinstance(op, Composite) and isinstance(op.whole, RecordedLoop):
            slots[node] = emit(result(op.index), (emit(op.whole.lowered, read),))
        elif isinstance(op, Composite):  # a number of a solution is among its operands
            slots[node] = read[op.index]
        elif op.composed is None:
            slots[node] = emit(op, read)
        else:
            slots[node] = inline(op, read, [x._data for x in node.operands], node._data)
    slots.update({x: constant_slot(x._data) for x in wanted if not isinstance(x, float) and x.op is constant})
    outputs = [constant_slot(x) if isinstance(x, float) else slots[x] for x in wanted]
    return finish(rewriter.program(len(inputs), outputs))


def _slots_of(node: Value, slots: Mapping[Value, int]) -> Operands:
    """Return the slots of a node's operands."""
    x, y = node._first, node._second
    if y is not None:  # as most have
        return slots[x], slots[y]
    return entries(slots, node.operands)


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


def _by_first_use(leaves: list[Value], order: list[Value]) -> list[Value]:
    """Sort leaves by first use: a neuron's weights are then side by side."""
    # What strong_dot adds up was read before: adjoints and partials.
    read = [node.operands for node in order if node.op is not strong_dot]
    return [x for x in dict.fromkeys(chain(chain.from_iterable(read), leaves)) if x.op is None]
