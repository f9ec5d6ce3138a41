"""The instructions of a vector program over cells.

The numbers of a function are *cells*: inputs, leaves closed over, constants, then every result in order, each
computed once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodegrad.compiler.sources.branches import Guard
from nodegrad.compiler.vector import Item, Straight, VectorProgram, scalars
from nodegrad.ops import Op

__all__ = ()

Cells = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True, eq=False)
class Instruction:
    """An operation on elements, a contraction, a loop or a guard.

    Attributes:
        op: what is computed, or the guard.
        result: the cells it writes; a guard writes none.
        reads: the cells of each operand, [element] or [element, term]; if a contraction adds onto something,
            that comes last.
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
            reads = tuple([np.array([uniform[~s] if s < 0 else varying[s]], np.int64) for s in slots])
            yield slot, Instruction(op, np.empty(1, np.int64), reads)
        return
    reads = tuple([(uniform if index.uniform else varying)[index.slots] for index in item.reads])
    yield item.start, Instruction(item.op, np.empty(item.size, np.int64), reads, item.terms)
