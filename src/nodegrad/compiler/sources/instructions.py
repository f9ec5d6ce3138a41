"""Instructions that repeat rolled into loops: a vector program as blocks that run a number of times.

The numbers of a function are *cells*: inputs, leaves closed over, constants, then every result in order, each
computed once. Two hundred steps of an integrator are one block of 200 turns:

    y1 = y0 + h*f(y0); y2 = y1 + h*f(y1); ...    →    for k < 200: v[k + 1] = v[k] + h*f(v[k])
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodegrad.compiler.sources.branches import Guard
from nodegrad.compiler.vector import Item, Straight, VectorProgram, scalars
from nodegrad.ops import Op

__all__ = ()

Cells = np.ndarray[Any, np.dtype[np.int64]]

LONGEST = 50  # instructions of a block that runs once
_PERIODS = 32  # how many periods are tried
_WINDOW = 3  # instructions that must be alike for a period to be tried
_WORTH = 12  # instructions that a loop must save


@dataclass(slots=True, eq=False)
class Instruction:
    """An operation on elements, a contraction, a loop or a guard, over all turns of its block.

    Attributes:
        op: what is computed, or the guard.
        result: the cells it writes, [turn, element]; a guard writes none.
        reads: the cells of each operand, [turn, element] or [turn, element, term]; if a contraction adds onto
            something, that comes last.
        terms: how many terms a contraction has; 0 for all else.
        uses: how often its result is read as a local variable.
        text: the variable or expression that stands for its result; None if that lies in an array.
    """

    op: Op | Guard
    result: Cells
    reads: tuple[Cells, ...]
    terms: int = 0
    uses: int = 0
    text: str | None = None


@dataclass(slots=True, eq=False)
class Block:
    """Instructions that run in order, `turns` times."""

    turns: int
    instructions: list[Instruction]


def instructions(program: VectorProgram, spaces: tuple[Cells, Cells], start: int) -> list[Instruction]:
    """List the instructions of a vector program without parameters.

    Args:
        program: the vector program.
        spaces: the cells of all varying and of all uniform slots; this fills in the cells of results.
        start: the first free cell.
    """
    found: list[Instruction] = []
    for space, items in ((spaces[1], program.prologue), (spaces[0], program.body)):
        for item in items:
            for slot, each in _instructions(item, spaces):
                size = each.result.size
                each.result[:] = space[slot : slot + size] = np.arange(start, start + size)
                start += size
                found.append(each)
    return found


def _instructions(item: Item, spaces: tuple[Cells, Cells]) -> Iterator[tuple[int, Instruction]]:
    """Yield each instruction of an item with the first slot it writes; its result has no cells yet."""
    varying, uniform = spaces
    if isinstance(item, Straight):
        for op, slot, slots in scalars(item):
            reads = tuple([np.array([[uniform[~s] if s < 0 else varying[s]]], np.int64) for s in slots])
            yield slot, Instruction(op, np.empty((1, 1), np.int64), reads)
        return
    reads = tuple([(uniform if index.uniform else varying)[index.slots][None] for index in item.reads])
    yield item.start, Instruction(item.op, np.empty((1, item.size), np.int64), reads, item.terms)


def roll(instructions: list[Instruction], bounds: Sequence[int]) -> Iterator[Block]:
    """Yield a loop wherever instructions repeat, and in between blocks that run once.

    The bounds are the first cells of inputs, leaves closed over, constants and results: an operand reads one
    of these in all turns of a loop.
    """
    numbers: dict[Any, int] = {}
    kinds = np.array([numbers.setdefault(_kind(each, bounds), len(numbers)) for each in instructions])
    done = 0
    for place, period, turns in _repeats(kinds):
        rows = [instructions[place + at : place + turns * period : period] for at in range(period)]
        yield from _straight(instructions[done:place])
        yield Block(turns, list(map(_stacked, rows)))
        done = place + turns * period
    yield from _straight(instructions[done:])


def _straight(instructions: list[Instruction]) -> Iterator[Block]:
    for start in range(0, len(instructions), LONGEST):
        yield Block(1, instructions[start : start + LONGEST])


def _kind(instruction: Instruction, bounds: Sequence[int]) -> Any:
    """Return a key that is equal for instructions that can be turns of one loop."""
    reads = [
        (bisect_right(bounds, cells.flat[0]), cells.size == 1 or (cells - cells.flat[0]).tobytes())
        for cells in instruction.reads
    ]
    return instruction.op, instruction.result.size, instruction.terms, tuple(reads)


def _repeats(kinds: Any) -> Iterator[tuple[int, int, int]]:
    """Yield (place, period, turns) of each loop, in order; where several begin, the one that saves most."""
    last: dict[bytes, int] = {}
    distances = Counter[int]()
    for place in range(len(kinds) - _WINDOW):
        window = kinds[place : place + _WINDOW].tobytes()
        distances[place - last.get(window, place)] += 1
        last[window] = place
    del distances[0]
    periods = [period for period, _ in distances.most_common(_PERIODS)]
    saved = np.zeros((len(periods) + 1, len(kinds)), np.int64)
    for row, period in zip(saved, periods, strict=False):
        ends = np.append(np.flatnonzero(kinds[:-period] != kinds[period:]), len(kinds) - period)
        places = np.arange(ends[-1] + 1)
        again = (ends[np.searchsorted(ends, places)] - places) // period
        row[: len(again)] = again * period * (again > 1)
    best = saved.argmax(axis=0)
    place = 0
    for start in np.flatnonzero(saved.max(axis=0) >= _WORTH).tolist():
        if start >= place:
            period = periods[best[start]]
            turns = int(saved[best[start], start]) // period + 1
            yield start, period, turns
            place = start + period * turns


def _stacked(turns: Sequence[Instruction]) -> Instruction:
    """Make one instruction of a loop from the same instruction in each turn."""
    reads = tuple([np.concatenate(cells) for cells in zip(*(each.reads for each in turns), strict=True)])
    return Instruction(turns[0].op, np.concatenate([each.result for each in turns]), reads, turns[0].terms)
