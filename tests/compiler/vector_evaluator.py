"""The reference for vector programs: each instruction taken apart into the operations of the table."""

from functools import partial

import numpy as np

from nodegrad.compiler.vector import Straight, Turns, scalars
from nodegrad.ops import Op, take


def evaluate(program, inputs, parameters):
    """Run a vector program on one row with the table's operations: the reference for all backends."""
    uniform = [*parameters, *program.constants, *[0.0] * (program.uniform - program.parameters)]
    varying = [*inputs, *[0.0] * (program.varying - program.inputs)]
    for target, items in ((uniform, program.prologue), (varying, program.body)):
        for item in items:
            for op, result, operands in operations(item):
                numbers = [uniform[~slot] if slot < 0 else varying[slot] for slot in operands]
                target[result] = op.value(*numbers)
    return [varying[slot] for slot in program.outputs]


def operations(item):
    """Yield the scalar operations of an item: operation, result slot, operand slots (`~slot` if uniform)."""
    if type(item) is Straight:
        yield from scalars(item)
        return
    if type(item) is Turns:
        yield from results(item)
        return
    signed = [~index.slots if index.uniform else index.slots for index in item.operands]
    if item.op is take:
        rows = [(index, *table) for index, table in zip(*[each.tolist() for each in signed], strict=True)]
    elif not item.terms:
        rows = zip(*[each.tolist() for each in signed], strict=True)
    else:
        rows = map(tuple, np.concatenate(signed, axis=1).tolist())
    for result, operands in enumerate(rows, item.start):
        if item.first is not None:
            slot = int(item.first.slots[result - item.start])
            yield onto(item.op), result, (~slot if item.first.uniform else slot, *operands)
        else:
            yield item.op, result, operands


def results(item):
    """Yield each result of a loop as an operation that runs all of it."""
    signed = [~index.slots if index.uniform else index.slots for index in item.reads]
    rows = np.concatenate([slots.reshape(item.count, -1) for slots in signed], axis=1).tolist()
    for number in range(item.loop.results):
        op = Op("result", "", partial(one_result, item.loop, number), item.loop.partials, ())
        for element, operands in enumerate(rows):
            yield op, item.start + number * item.count + element, tuple(operands)


def one_result(loop, number, *operands):
    return loop.value(*operands)[number]


def onto(op):
    """Return the operation of a contraction that starts with its first operand, not with its first term."""

    def value(first, *operands):
        half = len(operands) // 2
        step = op.value
        total = first
        for x, y in zip(operands[:half], operands[half:], strict=True):
            total = total + step(x, y)
        return total

    return Op(op.name, op.symbol, value, op.partials, op.domain)
