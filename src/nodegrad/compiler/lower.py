"""Lower a recording to a Program: Values become slots, recorded loops become loop instructions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from nodegrad.compiler.passes import optimize
from nodegrad.compiler.program import ConstantPool, Loop, Program, loop, result
from nodegrad.graph import topological_order
from nodegrad.loops import Loop as RecordedLoop
from nodegrad.loops import LoopResult
from nodegrad.ops import Op, constant
from nodegrad.solutions import SolutionResult
from nodegrad.value import Value


class Recorded(Protocol):
    """What is lowered: the leaves that stand for inputs, and the Values and numbers that are computed."""

    @property
    def inputs(self) -> list[Value]:
        """The leaves that stand for arguments."""

    @property
    def wanted(self) -> list[Any]:
        """What is computed: the results, then the guards."""


def lower(recording: Recorded) -> tuple[Program, list[Value]]:
    """Return the program of a recording, and the Values that the function closes over: its parameters."""
    inputs, outputs = recording.inputs, recording.wanted
    order = topological_order(*[node for node in outputs if isinstance(node, Value)])
    parameters = _closed_over(order, set(inputs))
    program = _program([*inputs, *parameters], order, outputs)
    return replace(program, inputs=len(inputs), parameters=len(parameters)), parameters


def lower_loop(recorded: RecordedLoop) -> Loop:
    """Turn a loop that was recorded into a loop instruction."""
    inputs = [*recorded.state, *recorded.outside, *recorded.items]
    body = _program(inputs, recorded.order, [*recorded.after, *recorded.given])
    condition = None if recorded.condition is None else _program(inputs, recorded.order, [recorded.condition])
    parts = [None if part is None else optimize(part) for part in (condition, body)]
    assert parts[1] is not None
    return loop(parts[0], parts[1], len(recorded.state), len(recorded.items), recorded.turns, recorded.limit)


def _program(inputs: Sequence[Value], order: Sequence[Value], wanted: Sequence[Any]) -> Program:
    """Give every node a slot; constants that the order leaves out get theirs where they are read."""
    slots: dict[Any, int] = {node: slot for slot, node in enumerate(inputs)}
    pool = ConstantPool()
    ops: list[Op] = []
    operands: list[tuple[int, ...]] = []
    loops: dict[Any, int] = {}

    def place(node: Value) -> int:
        slot = slots.get(node)
        if slot is None:
            assert node.op is constant, "operands come before what is made from them"
            slot = slots[node] = pool.slot(node._data)
        return slot

    def add(op: Op, read: tuple[int, ...]) -> int:
        ops.append(op)
        operands.append(read)
        return len(inputs) + len(ops) - 1

    for node in order:
        op = node.op
        if isinstance(op, LoopResult):
            if op.loop not in loops:
                loops[op.loop] = add(op.loop.lowered, tuple(map(place, node.operands)))
            slots[node] = add(result(op.index), (loops[op.loop],))
        elif isinstance(op, SolutionResult):
            slots[node] = place(node.operands[op.index])
        elif op is not constant and op is not None and node not in slots:
            slots[node] = add(op, tuple(map(place, node.operands)))
    outputs = [place(node) if isinstance(node, Value) else pool.slot(node) for node in wanted]
    return Program(len(inputs), 0, pool.numbers, ops, operands, outputs)


def _closed_over(order: list[Value], inputs: set[Value]) -> list[Value]:
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
