"""Where every number of a function lies: in an array, in a local variable, or in a longer expression.

The arrays are `x`, the inputs; `p`, the leaves closed over; constants; `v`, what is computed on the way; and
`out`, the results. A number that only nearby code reads is a local variable or part of an expression:

    const double t4 = p[0] * x[0]; v[0] = t4 + 1.0; out[0] = exp(t4);

The numbers of a function are *cells*, each computed once: the varying slots of its vector program, then the
uniform ones.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nodegrad.compiler.program import Loop, Program
from nodegrad.compiler.vector import Straight, VectorProgram, scalars
from nodegrad.compiler.vectorize import vectorize
from nodegrad.ops import Op

__all__ = ()

Guard = tuple[bool, str]  # the answer that it must give, and the line of Python that asked
Cells = np.ndarray[Any, np.dtype[np.int64]]

X, P, V, C, OUT = range(5)
SPACE = 1 << 40  # an address is the number of an array times this, plus a place there
_LONGEST = 50  # instructions of a part
_MANY = 200  # instructions of a function that is cut into parts
_FEW = 3  # a local variable is copied to `out` at most this often; a more frequent result is stored


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A program without look-ups in tables. Its last outputs are its guards."""

    program: Program
    guards: Sequence[Guard] = ()


@dataclass(slots=True, eq=False)
class Instruction:
    """An operation on elements, a contraction, a loop or a guard.

    Attributes:
        op: what is computed, or the guard.
        result: the cells it writes; a guard writes none.
        reads: the cells of each operand, [element] or [element, term]; if a contraction adds onto something,
            that operand comes last.
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


class Places:
    """The instructions of a way, and where their numbers lie.

    Attributes:
        parts: the instructions, in order; more than one list if lists become functions of their own, because
            compilers are slow on long ones.
        results: the cells of the results.
        constants: the constants of the program.
        cells: the first of each array that is not computed, and the one after its last.
        address: where each cell lies, if the `text` of the instruction that computes it is None.
        copies: arrays that are copied to `v` first, (to, from), because an operand lies in several arrays.
        workspace: the size of `v`.
    """

    def __init__(self, way: Way) -> None:
        self.constants = np.array(way.program.constants)
        inputs, leaves = way.program.inputs, way.program.leaves
        program = vectorize(replace(way.program, inputs=leaves, parameters=0))
        constants = program.varying, program.varying + len(program.constants)
        self.cells = {X: (0, inputs), P: (inputs, leaves), C: constants}
        self.address = np.full(program.varying + program.uniform, V * SPACE)
        self.maker = np.full(len(self.address), -1)  # which instruction computes each cell, or ~array
        for array, (start, stop) in self.cells.items():
            self.address[start:stop], self.maker[start:stop] = array * SPACE + np.arange(stop - start), ~array
        outputs = program.outputs.tolist()
        results = len(outputs) - len(way.guards)
        self.results, nothing = outputs[:results], np.empty(0, np.int64)
        asked = zip(way.guards, outputs[results:], strict=True)
        guards = [Instruction(guard, nothing, (np.array([cell]),)) for guard, cell in asked]
        self.made = _guarded([*_instructions(program)], guards, self.address != V * SPACE)
        size = _LONGEST if len(self.made) > _MANY else _MANY
        self.parts = [self.made[start : start + size] for start in range(0, len(self.made), size)]
        self.part_of = {each: number for number, part in enumerate(self.parts) for each in part}
        for number, each in enumerate(self.made):
            self.maker[each.result] = number
        self.stored = np.zeros(len(self.address), bool)  # the cells that are read from arrays
        self.joined = np.zeros(len(self.address), bool)  # those read together with what others computed
        for each in self.made:
            for cells in each.reads:
                self._count_read(each, cells)
        self._count_results()
        self.workspace = 0
        arrays = [np.arange(*span) for span in self.cells.values()]
        self.copies = [self._store(cells) for cells in arrays if self.joined[cells].any()]
        for each in self.made:
            self._lay_out(each)

    def local(self, reader: Instruction | None, cells: Cells) -> Instruction | None:
        """Return the instruction that computes these cells, if the reader sees it as a local variable."""
        number = self.maker[cells.flat[0]]
        if number < 0:
            return None
        each = self.made[number]
        near = len(self.parts) == 1 or (reader is not None and self.part_of[each] == self.part_of[reader])
        alone = near and each.result.size == 1 and not isinstance(each.op, Loop)
        return each if alone and bool((cells == each.result).all()) else None

    def _count_read(self, reader: Instruction, cells: Cells) -> None:
        """Note what an instruction reads."""
        each = self.local(reader, cells)
        if each is not None:
            each.uses += 1 if reader.result.size <= 1 and not reader.terms else 2
        else:
            self.stored[cells] = True
            self.joined[cells] |= len(np.unique(self.maker[cells])) > 1

    def _count_results(self) -> None:
        """Note that results are read. Results that nothing else reads are computed in `out` itself."""
        times, place = Counter(self.results), {cell: at for at, cell in enumerate(self.results)}
        for each in self.made:
            cells = each.result.tolist()
            alone = not each.uses and not self.joined[each.result].any()
            if cells and alone and all(times[cell] == 1 for cell in cells):
                self.address[cells] = OUT * SPACE + np.array([place[cell] for cell in cells])
        for cell, count in times.items():
            local = self.local(None, np.array([cell]))
            if local is not None and count <= _FEW:
                local.uses += 2
            else:
                self.stored[cell] = True

    def _store(self, cells: Cells) -> tuple[Cells, Cells]:
        """Give cells their places in `v`; return these, and where they lay before."""
        old = self.address[cells]
        self.address[cells] = new = V * SPACE + self.workspace + np.arange(len(cells))
        self.workspace += len(cells)
        return new, old

    def _lay_out(self, each: Instruction) -> None:
        """Give the numbers of an instruction their places in `v`, if they are stored there."""
        cells = each.result
        if (self.address[cells] >= OUT * SPACE).any():
            return
        if cells.size != 1 or isinstance(each.op, Loop) or self.stored[cells[0]]:
            self._store(cells)
        else:
            each.text = ""


def _guarded(found: list[Instruction], guards: list[Instruction], known: Any) -> list[Instruction]:
    """Put instructions that guards need first, and each guard in order as soon as its cell is known."""
    wanted, left, placed = np.zeros(len(known), bool), deque(guards), list[Instruction]()
    wanted[[guard.reads[0].item() for guard in guards]] = True
    for each in reversed(found):
        if wanted[each.result].any():
            for read in each.reads:
                wanted[read] = True
    for each in sorted(found, key=lambda each: not wanted[each.result].any()):
        while left and known[left[0].reads[0]]:
            placed.append(left.popleft())
        placed.append(each)
        known[each.result] = True
    return [*placed, *left]


def _instructions(program: VectorProgram) -> Iterator[Instruction]:
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
