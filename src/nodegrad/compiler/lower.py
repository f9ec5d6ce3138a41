"""Lower a recording to a Program: Values become slots."""

from typing import Any

from nodegrad.compiler.program import ConstantPool, Program
from nodegrad.compiler.record import Recording
from nodegrad.graph import topological_order
from nodegrad.ops import Op, constant
from nodegrad.value import Value


def lower(recording: Recording) -> tuple[Program, list[Value]]:
    """Return the program of a recording, and the Values that the function closes over: its parameters.

    The outputs of the program are the function's results, then the guards.
    """
    wanted = [*recording.outputs, *(guard.node for guard in recording.guards)]
    order = topological_order(*[node for node in wanted if isinstance(node, Value)])
    slots: dict[Any, int] = {node: slot for slot, node in enumerate(recording.inputs)}
    parameters = _closed_over(order, slots)
    slots.update(zip(parameters, range(len(slots), len(slots) + len(parameters)), strict=True))
    pool = ConstantPool()
    ops: list[Op] = []
    operands: list[tuple[int, ...]] = []
    place = slots.__getitem__
    slot = len(slots)
    for node in order:
        op = node.op
        if op is constant:
            slots[node] = pool.slot(node._data)
        elif op is not None:
            slots[node] = slot
            slot += 1
            ops.append(op)
            operands.append(tuple(map(place, node.operands)))
    outputs = [place(node) if isinstance(node, Value) else pool.slot(node) for node in wanted]
    return Program(len(recording.inputs), len(parameters), pool.numbers, ops, operands, outputs), parameters


def _closed_over(order: list[Value], inputs: dict[Any, int]) -> list[Value]:
    """List the leaves that are not inputs by first use: a neuron's weights are then side by side."""
    left = {node: None for node in order if node.op is None and node not in inputs}
    found = []
    for node in order:
        if not left:
            break
        for operand in node.operands:
            if operand in left:
                found.append(operand)
                del left[operand]
    return [*found, *left]
