"""Repeated instructions rolled into loops: a vector program as blocks, each run a number of times.

A block is a list of instructions that is repeated `turns` times. What an instruction reads and writes is an
array of cells, [turn, element] or [turn, element, term]. A cell is a number that is computed once: leaves
first, then results in order; `~cell` is a constant.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodegrad.compiler.slots import affine
from nodegrad.compiler.vector import Group, Turns, VectorProgram, scalars
from nodegrad.ops import Op

__all__ = ()

Cells = np.ndarray[Any, np.dtype[np.int64]]

_PERIODS = 32  # how many periods are tried
_WINDOW = 3  # instructions that must be alike for a period to be looked at
LONGEST = 400  # instructions of a block that is not a loop
_WORTH = 12  # instructions that a loop must save


@dataclass(frozen=True, slots=True)
class Instruction:
    """An operation on elements, a contraction, or a loop instruction, over all turns of its block."""

    op: Op
    result: Cells
    operands: tuple[Cells, ...]
    terms: int = 0
    first: Cells | None = None

    @property
    def reads(self) -> tuple[Cells, ...]:
        """Every operand, the one that a contraction is added onto included."""
        return self.operands if self.first is None else (*self.operands, self.first)


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run in order, `turns` times."""

    turns: int
    instructions: list[Instruction]


def roll(
    program: VectorProgram, cells: Cells, next_cell: int, bounds: Sequence[int]
) -> tuple[list[Block], Cells]:
    """Turn a vector program without parameters into blocks; return the cells of its outputs, too.

    Args:
        program: what to roll.
        cells: the cell of each input.
        next_cell: the first cell that is free.
        bounds: where the cells of another array begin; a loop reads from one array what it reads at a place.
    """
    assert not program.parameters
    uniform = np.concatenate([~np.arange(len(program.constants)), np.zeros(program.uniform, np.int64)])
    varying = np.concatenate([cells, np.zeros(program.varying - len(cells), np.int64)])
    found: list[Instruction] = []
    for target, items in ((uniform, program.prologue), (varying, program.body)):
        for item in items:
            for start, instruction in _instructions(item, varying, uniform):
                count = instruction.result.shape[1]
                instruction.result[:] = np.arange(next_cell, next_cell + count)
                target[start : start + count] = instruction.result[0]
                next_cell += count
                found.append(instruction)
    return list(_blocks(found, bounds)), varying[program.outputs]


def _instructions(item: Any, varying: Cells, uniform: Cells) -> Iterator[tuple[int, Instruction]]:
    """Yield the instructions of an item and the slots they write to; their results are not numbered yet."""
    if type(item) is Turns:
        reads = [(uniform if index.uniform else varying)[index.slots][None] for index in item.reads]
        yield item.start, Instruction(item.loop, np.empty((1, item.size), np.int64), tuple(reads))
        return
    if type(item) is Group:
        reads = [(uniform if index.uniform else varying)[index.slots][None] for index in item.reads]
        first = reads.pop() if item.first is not None else None
        result = np.empty((1, item.count), np.int64)
        yield item.start, Instruction(item.op, result, tuple(reads), item.terms, first)
        return
    for op, start, slots in scalars(item):
        operands = tuple(np.array([[uniform[~s] if s < 0 else varying[s]]], np.int64) for s in slots)
        yield start, Instruction(op, np.empty((1, 1), np.int64), operands)


def _blocks(instructions: list[Instruction], bounds: Sequence[int]) -> Iterator[Block]:
    """Yield loops where the same instructions come again and again, and what stands between them."""
    numbers: dict[Any, int] = {}
    kinds = np.array([numbers.setdefault(_kind(each, bounds), len(numbers)) for each in instructions])
    place = pending = 0
    repeats = _repeats(kinds)
    while place < len(kinds):
        period, turns = repeats(place)
        if not period:
            place += 1
            continue
        yield from _straight(instructions[pending:place])
        stop = place + period * turns
        rows = [instructions[place + at : stop : period] for at in range(period)]
        if turns > 3 and _irregular(rows, 1) < _irregular(rows, 0):
            yield from _straight([row.pop(0) for row in rows])
            turns -= 1
        yield Block(turns, list(map(_stacked, rows)))
        place = pending = stop
    yield from _straight(instructions[pending:])


def _straight(instructions: list[Instruction]) -> Iterator[Block]:
    for start in range(0, len(instructions), LONGEST):
        yield Block(1, instructions[start : start + LONGEST])


def _kind(instruction: Instruction, bounds: Sequence[int]) -> Any:
    """Return what instructions have in common that can be turns of one loop."""
    shapes = [
        (bisect_right(bounds, cells.flat[0]), cells.size == 1 or (cells - cells.flat[0]).tobytes())
        for cells in instruction.reads
    ]
    first = instruction.first is not None
    return instruction.op, instruction.result.shape[1], instruction.terms, first, tuple(shapes)


def _repeats(kinds: Any) -> Any:
    """Return the function from a place to the (period, turns) of the loop that saves most there, or zeros."""
    last: dict[bytes, int] = {}
    distances = Counter[int]()
    for place in range(len(kinds) - _WINDOW):
        key = kinds[place : place + _WINDOW].tobytes()
        if key in last:
            distances[place - last[key]] += 1
        last[key] = place
    alike = {}
    for period, _ in distances.most_common(_PERIODS):
        same = np.append(kinds[:-period] == kinds[period:], False)
        ends = np.flatnonzero(~same)
        alike[period] = ends[np.searchsorted(ends, np.arange(len(same)))] - np.arange(len(same))

    def repeats(place: int) -> tuple[int, int]:
        best, saved = (0, 0), _WORTH - 1
        for period, lengths in alike.items():
            again = int(lengths[place]) // period if place < len(lengths) else 0
            if again > 1 and again * period > saved:
                best, saved = (period, again + 1), again * period
        return best

    return repeats


def _irregular(rows: Sequence[Sequence[Instruction]], start: int) -> int:
    """Count the operands that are not read at even steps from turn `start` on."""
    count = 0
    for row in rows:
        for cells in zip(*([each.flat[0] for each in turn.reads] for turn in row[start:]), strict=True):
            count += affine(np.array(cells)) is None
    return count


def _stacked(turns: Sequence[Instruction]) -> Instruction:
    """Put an instruction of a loop together from its turns."""
    one = turns[0]
    operands = tuple(np.concatenate(cells) for cells in zip(*(turn.operands for turn in turns), strict=True))
    first = (
        None
        if one.first is None
        else np.concatenate([turn.first for turn in turns if turn.first is not None])
    )
    return Instruction(one.op, np.concatenate([turn.result for turn in turns]), operands, one.terms, first)
