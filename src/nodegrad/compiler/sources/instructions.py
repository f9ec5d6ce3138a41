"""The instructions of a vector program over cells.

The numbers of a function are *cells*, each computed once: the varying slots of its vector program, then the
uniform ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nodegrad.compiler.sources.branches import Guard
from nodegrad.compiler.vector import Straight, VectorProgram, scalars
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


def instructions(program: VectorProgram) -> Iterator[Instruction]:
    """Yield the instructions of a vector program."""
    for first, items in ((program.varying, program.prologue), (0, program.body)):
        for item in items:
            if isinstance(item, Straight):
                for op, slot, slots in scalars(item):
                    reads = [np.array([program.varying + ~read if read < 0 else read]) for read in slots]
                    yield Instruction(op, np.array([first + slot]), tuple(reads))
            else:
                result = np.arange(first + item.start, first + item.start + item.size)
                cells = [index.slots + program.varying * index.uniform for index in item.reads]
                yield Instruction(item.op, result, tuple(cells), item.terms)
