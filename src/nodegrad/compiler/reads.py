"""Reads: what the instructions of a program read, in one array, for passes that look at all of it at once."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from nodegrad.compiler.program import Operands, Program

__all__ = ()


class Reads(Sequence[Operands]):
    """The operands of instructions: a tuple for each, in one array for those who look at all of them.

    Attributes:
        slots: the operands of the first instruction, then those of the second, and so on.
        starts: where those of each instruction begin, and where the last ones end.
    """

    def __init__(self, slots: Any, starts: Any) -> None:
        self.slots, self.starts = slots, starts

    @staticmethod
    def of(operands: Sequence[Operands]) -> "Reads":
        """Return the operands as they are, or laid out in an array."""
        if isinstance(operands, Reads):
            return operands
        starts = np.cumsum([0, *map(len, operands)])
        return Reads(np.array(array("q", [*chain.from_iterable(operands)])), starts)  # faster than `fromiter`

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: Any) -> Any:
        index = range(len(self))[index]
        start, stop = self.starts[index : index + 2]
        return tuple(self.slots[start:stop].tolist())

    def __iter__(self) -> Iterator[Operands]:
        slots = self.slots.tolist()
        return (tuple(slots[start:stop]) for start, stop in pairwise(self.starts.tolist()))

    def take(self, places: Any) -> "Reads":
        """Return the operands of some instructions."""
        counts = np.diff(self.starts)[places]
        starts = np.concatenate([[0], np.cumsum(counts)])
        moved = np.repeat(self.starts[places] - starts[:-1], counts)
        return Reads(self.slots[moved + np.arange(len(moved))], starts)

    def extended(self, operands: Sequence[Operands]) -> "Reads":
        """Return these operands and those of more instructions."""
        more = Reads.of(operands)
        starts = np.concatenate([self.starts, self.starts[-1] + more.starts[1:]])
        return Reads(np.concatenate([self.slots, more.slots]), starts)

    def replaced(self, changed: dict[int, Operands]) -> "Reads":
        """Return these operands, with others for the instructions that changed."""
        places = np.arange(len(self))
        places[[*changed]] = len(self) + np.arange(len(changed))
        return self.extended([*changed.values()]).take(places)


def uses_of(program: Program) -> Any:
    """Count how often each slot is read, outputs included; the slots of constants count from the end."""
    slots = np.concatenate([Reads.of(program.operands).slots, np.array(program.outputs, np.int64)])
    size = program.leaves + len(program.ops) + len(program.constants)
    return np.bincount(slots % size if size else slots, minlength=size)
