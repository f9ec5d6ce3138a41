"""Where every number of a function lies: in an array, in a local variable, or in a longer expression.

The arrays are `x`, the inputs; `p`, the leaves closed over; constants; `v`, what is computed on the way; and
`out`, the results. A number that is read nearby only is a local variable or part of an expression:

    const double t4 = p[0] * x[0]; v[0] = t4 + 1.0; out[0] = exp(t4);
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from nodegrad.compiler.program import Loop, Program
from nodegrad.compiler.sources.branches import Branches, Check, Node
from nodegrad.compiler.sources.rolls import LONGEST, Block, Cells, Instruction, roll
from nodegrad.compiler.vectorize import vectorize

__all__ = ()

X, P, C, V, OUT = range(5)
SPACE = 1 << 40  # an address is the number of an array times this, plus a place there
_MANY = 4 * LONGEST  # instructions of a function that is cut into parts
_FEW = 3  # times that a local variable is written to `out`; what is a result more often is stored


@dataclass(frozen=True, slots=True)
class Piece:
    """A node of a tree as blocks; the slots of its guards and its results are cells."""

    blocks: list[Block]
    guards: list[Check]
    results: list[int]
    sides: tuple["Piece", ...]

    @property
    def all(self) -> Iterator["Piece"]:
        """This piece and those that follow it."""
        yield self
        for side in self.sides:
            yield from side.all


class Places:
    """The blocks of a function, and where their numbers lie.

    Attributes:
        trees: the first piece of each tree.
        address: where each cell lies, if the `text` of the instruction that computes it is None.
        copies: arrays that are copied first, (to, from): what is read together must lie together.
        in_parts: whether blocks become functions of their own, because compilers are slow on long ones.
        workspace: the size of `v`.
    """

    def __init__(self, branches: Branches) -> None:
        self.program = program = branches.program
        sizes = [program.inputs, program.parameters, len(program.constants)]
        self.bounds = [*accumulate(sizes, initial=0)]
        self.made: list[tuple[Instruction, Block]] = []
        self.trees = [self._piece(tree, {}) for tree in branches.trees]
        self.in_parts = len(self.made) > _MANY
        leaves = [array * SPACE + np.arange(size) for array, size in enumerate(sizes)]
        results = sum(each.result.size for each, _ in self.made)
        self.address = np.concatenate([*leaves, np.full(results, V * SPACE)])
        self.maker = np.full(len(self.address), -1)  # which instruction computes each cell
        for number, (each, _) in enumerate(self.made):
            self.maker[each.result] = number
        self.stored = np.zeros(len(self.address), bool)  # the cells that are read from arrays
        self.joined = np.zeros(len(self.address), bool)  # those read together with what others computed
        mixed = set[int]()
        for each, home in self.made:
            for cells in each.reads:
                mixed |= self._count_read(each, home, cells)
        for tree in self.trees:
            for piece in tree.all:
                self._count_wanted(piece)
        self.workspace = 0
        self.copies = [self._copy(array) for array in sorted(mixed)]
        first = self.workspace
        for tree in self.trees:
            self._lay_out(tree, first)

    def _piece(self, node: Node, known: dict[int, int]) -> Piece:
        """Vectorize and roll the instructions of a node and of those that follow it."""
        blocks, computed = self._rolled(node, known)
        known = known | computed
        leaves = self.program.leaves

        def cell(slot: int) -> int:
            return known.get(slot, slot if slot >= 0 else leaves + ~slot)

        guards = [replace(check, slot=cell(check.slot)) for check in node.guards]
        sides = tuple([self._piece(side, known) for side in node.sides])
        return Piece(blocks, guards, list(map(cell, node.results)), sides)

    def _rolled(self, node: Node, known: dict[int, int]) -> tuple[list[Block], dict[int, int]]:
        """Return the blocks of a node, and the cells of what they compute and others may read."""
        program, leaves = self.program, self.program.leaves
        inputs = [*range(leaves), *known]
        at = {slot: place for place, slot in enumerate([*inputs, *node.computes])}
        ops = [program.ops[slot - leaves] for slot in node.computes]
        rows = [tuple([at.get(x, x) for x in program.operands[slot - leaves]]) for slot in node.computes]
        loops = {slot for slot, op in zip(node.computes, ops, strict=True) if isinstance(op, Loop)}
        wanted = {*(check.slot for check in node.guards), *node.results} if not node.sides else at.keys()
        kept = [slot for slot in node.computes if slot in wanted and slot not in loops]
        piece = Program(len(inputs), 0, program.constants, ops, rows, [at[slot] for slot in kept])
        vectors = vectorize(piece)
        varying, uniform = np.zeros(vectors.varying, np.int64), np.zeros(vectors.uniform, np.int64)
        varying[: len(inputs)] = [*range(leaves), *known.values()]
        uniform[: len(program.constants)] = np.arange(*self.bounds[2:])
        start = self.bounds[-1] + sum(each.result.size for each, _ in self.made)
        blocks = roll(vectors, (varying, uniform), self.bounds, start)
        self.made += [(each, block) for block in blocks for each in block.instructions]
        return blocks, dict(zip(kept, varying[vectors.outputs].tolist(), strict=True))

    def local(self, reader: Block | None, cells: Cells) -> Instruction | None:
        """Return the instruction whose one number these cells are, if it can be a local variable here."""
        number = self.maker[cells.flat[0]]
        if number < 0:
            return None
        each, home = self.made[number]
        near = home is reader or (home.turns == 1 and not self.in_parts)
        alone = near and each.result.shape[1] == 1 and not isinstance(each.op, Loop)
        return each if alone and bool((cells.reshape(len(cells), -1) == each.result).all()) else None

    def _count_read(self, reader: Instruction, home: Block, cells: Cells) -> set[int]:
        """Note that an instruction reads an operand; return the arrays that must be copied for it."""
        each = self.local(home, cells)
        if each is not None:
            once = home.turns == len(each.result) and reader.result.shape[1] == 1 and not reader.terms
            each.uses += 1 if once else 2
            return set()
        self.stored[cells] = True
        if cells.size == 1:
            return set()
        self.joined[cells] |= len(np.unique(self.maker[cells])) > 1
        arrays = set((self.address[cells] // SPACE).flat)
        return arrays - {V} if len(arrays) > 1 else set()

    def _count_wanted(self, piece: Piece) -> None:
        """Note that guards and results are read. What is a result alone is computed right into `out`."""
        times, place = Counter(piece.results), {cell: at for at, cell in enumerate(piece.results)}
        for each in (each for block in piece.blocks for each in block.instructions):
            cells = each.result.ravel().tolist()
            alone = not each.uses and not self.joined[each.result].any()
            if alone and all(times[cell] == 1 for cell in cells):
                self.address[cells] = OUT * SPACE + np.array([place[cell] for cell in cells])
        for cell, uses in [*((check.slot, 1) for check in piece.guards), *((cell, 2) for cell in times)]:
            local = self.local(None, np.array([cell]))
            if local is not None and times[cell] <= _FEW:
                local.uses += uses
            else:
                self.stored[cell] = True

    def _copy(self, array: int) -> tuple[Cells, Cells]:
        """Let an array be copied to `v`."""
        cells = slice(*self.bounds[array : array + 2])
        old = self.address[cells].copy()
        self.address[cells] = new = V * SPACE + self.workspace + np.arange(len(old))
        self.workspace += len(old)
        return new, old

    def _lay_out(self, piece: Piece, start: int) -> None:
        """Give what a piece and those that follow it store their places in `v`, from `start` on."""
        for block in piece.blocks:
            stored = []
            for each in block.instructions:
                if self.address[each.result[0, 0]] >= OUT * SPACE:
                    continue
                if each.result.shape[1] > 1 or isinstance(each.op, Loop) or self.stored[each.result].any():
                    stored.append(each.result)
                else:
                    each.text = ""
            if stored:
                cells = np.concatenate(stored, axis=1)
                self.address[cells] = V * SPACE + start + np.arange(cells.size).reshape(cells.shape)
                start += cells.size
        self.workspace = max(self.workspace, start)
        for side in piece.sides:
            self._lay_out(side, start)
