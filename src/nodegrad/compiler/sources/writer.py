"""Statements in C or JavaScript, which differ little, for what `branches` and `rolls` make of a function.

What is computed lies in arrays: `x` the inputs, `p` the numbers closed over, `v` what is computed on the way,
`out` the results, `c` the constants that are not written where they are used. What is read only near where it
is computed is a local variable, or part of a longer expression.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import numpy as np

from nodegrad.compiler.passes import open_tables
from nodegrad.compiler.program import STEPS, Loop, Program
from nodegrad.compiler.slots import affine, run_length
from nodegrad.compiler.sources import spellings
from nodegrad.compiler.sources.branches import Branches, Check, Node, walk
from nodegrad.compiler.sources.rolls import LONGEST, Block, Cells, Instruction, roll
from nodegrad.compiler.vectorize import vectorize
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

_ARRAYS = "xpvoc"
_FEW = 3  # terms of a contraction that are written out
_SHORT = 60  # characters of an expression that may become part of a longer one
_SCALAR = re.compile(r"\w+|\(?-?[\w.]+\)?")  # a name or a number
_ATOM = re.compile(r"[\w.]+|\(")  # how a name, a number, a call, an element and parentheses begin


@dataclass(slots=True)
class _Piece:
    """A node of a tree with its blocks, and the cells of its guards and results."""

    node: Node
    blocks: list[Block]
    guards: list[int]
    results: list[int]


@dataclass(slots=True)
class Text:
    """What is written: tables before all else, functions for parts, and the statements of each tree.

    The functions of loops have trees of their own; they share the tables, the parts and the names of both.
    """

    tables: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)  # of a table by its numbers, of a loop's programs
    trees: list[list[str]] = field(default_factory=list)
    workspace: int = 0

    @property
    def code(self) -> str:
        """All of it."""
        return "\n".join([*self.tables, *self.parts, *(line for tree in self.trees for line in tree)])


def write(branches: Branches, language: str) -> Text:
    """Write a function in "c" or "js"."""
    return _Writer(branches, language).write()


def _pieces(branches: Branches) -> Iterator[list[_Piece]]:
    """Yield, for each tree, its nodes vectorized and rolled, each before those that come after it."""
    program = branches.program
    next_cell = program.leaves
    for tree in branches.trees:
        outside = _read_outside(program, tree)
        found = []
        places: dict[int, dict[int, int]] = {id(tree): {}}
        for node in walk(tree):
            place = places[id(node)]
            blocks: list[Block] = []
            if node.computes:
                blocks, made = _rolled(program, node, place, outside, next_cell)
                place = place | made
                next_cell += sum(each.result.size for block in blocks for each in block.instructions)
            places |= {id(after): place for after in (node.yes, node.no) if after is not None}
            wanted = [place.get(slot, slot) for slot in node.wanted]
            results = len(wanted) - len(node.results)
            found.append(_Piece(node, blocks, wanted[:results], wanted[results:]))
        yield found


def _read_outside(program: Program, tree: Node) -> set[int]:
    """Return the slots that nodes read besides those that they compute."""
    found = set[int]()
    for node in walk(tree):
        found.update(node.wanted)
        own = set(node.computes)
        for slot in node.computes:
            found.update(x for x in program.operands[slot - program.leaves] if x not in own)
    return found


def _rolled(
    program: Program, node: Node, place: dict[int, int], outside: set[int], next_cell: int
) -> tuple[list[Block], dict[int, int]]:
    """Return the blocks of a node, and the cells of the slots that are read elsewhere."""
    leaves, computes = program.leaves, node.computes
    rows = [program.operands[slot - leaves] for slot in computes]
    own = set(computes)
    read = {x: place.get(x, x) for row in rows for x in row if x >= 0 and x not in own}
    inputs = sorted(read, key=read.__getitem__)
    at = {slot: number for number, slot in enumerate([*inputs, *computes])}
    kept = [slot for slot in computes if slot in outside]
    piece = Program(
        len(inputs),
        0,
        program.constants,
        [program.ops[slot - leaves] for slot in computes],
        [tuple([at.get(x, x) for x in row]) for row in rows],
        [at[slot] for slot in kept],
    )
    cells = np.array([read[slot] for slot in inputs], np.int64)
    blocks, outputs = roll(vectorize(piece), cells, next_cell, (0, program.inputs, leaves))
    return blocks, dict(zip(kept, outputs.tolist(), strict=True))


class _Writer:
    """Decides where numbers lie and writes the statements."""

    def __init__(self, branches: Branches, language: str, text: Text | None = None) -> None:
        self.language = language
        self.text = text or Text()
        self.spelled = spellings.C if language == "c" else spellings.JAVASCRIPT
        self.program = program = branches.program
        self.trees = list(_pieces(branches))
        pieces = [piece for tree in self.trees for piece in tree]
        self.blocks = [block for piece in pieces for block in piece.blocks]
        instructions = [(block, each) for block in self.blocks for each in block.instructions]
        self.in_parts = len(instructions) > 2 * LONGEST
        cells = program.leaves + sum(each.result.size for _, each in instructions)
        self.array = np.full(cells, _ARRAYS.index("v"), np.int8)
        self.array[: program.leaves] = _ARRAYS.index("p")
        self.array[: program.inputs] = _ARRAYS.index("x")
        self.place = np.arange(cells)
        self.place[program.inputs : program.leaves] -= program.inputs
        self.scalars = {
            int(each.result[0, 0]): (block, each) for block, each in instructions if each.result.shape[1] == 1
        }
        self.stored = np.zeros(cells, bool)  # the cells that are read from arrays
        self.uses = Counter[int]()  # how often a scalar, by its first cell, is read as a local variable
        self.local: dict[int, str] = {}  # the variable or expression that such a scalar is
        self.joined = np.zeros(cells, bool)  # those that are read together with the results of others
        maker = np.repeat(np.arange(len(instructions)), [each.result.size for _, each in instructions])
        self.maker = np.concatenate([np.full(program.leaves, -1), maker])
        for block, each in instructions:
            self._count_reads(block, each)
        for piece in pieces:
            self._count_wanted(piece)
        self.copies = self._mixed(instructions)

    # What is a local variable, and where the rest lies.

    def _count_reads(self, block: Block, instruction: Instruction) -> None:
        for cells in instruction.reads:
            found = self._scalar_read(block, cells)
            if found is None:
                cells = cells[cells >= 0]
                self.stored[cells] = True
                self.joined[cells] |= len(set(self.maker[cells].tolist())) > 1
            else:
                inside = found[0] is block and not instruction.terms and instruction.result.shape[1] == 1
                self.uses[int(found[1].result[0, 0])] += 1 if inside else 2

    def _scalar_read(self, block: Block, cells: Cells) -> tuple[Block, Instruction] | None:
        """Return the scalar that is read here, with its block, if it can be a local variable."""
        found = self.scalars.get(int(cells.flat[0]))
        if found is None:
            return None
        by_turn = cells.reshape(len(cells), -1)
        if (by_turn != by_turn[:, :1]).any():
            return None
        near = found[0] is block or self._lasts(found[0])
        return found if near and bool((found[1].result[:, 0] == by_turn[:, 0]).all()) else None

    def _lasts(self, block: Block) -> bool:
        """Return whether local variables of a block are there after it."""
        return block.turns == 1 and not self.in_parts

    def _count_wanted(self, piece: _Piece) -> None:
        for cell in piece.guards:
            self._keep(cell, 1)
        times = Counter(piece.results)
        places = {cell: at for at, cell in enumerate(piece.results)}
        for block in piece.blocks:
            for each in block.instructions:
                flat = each.result.ravel().tolist()
                if isinstance(each.op, Loop):
                    self.stored[each.result] = True
                alone = not self.joined[each.result].any() and not self.uses[flat[0]]
                if alone and all(times[cell] == 1 for cell in flat):
                    self.array[each.result] = _ARRAYS.index("o")
                    self.place[each.result] = np.reshape([places[cell] for cell in flat], each.result.shape)
        for cell in piece.results:
            if cell >= 0 and self.array[cell] != _ARRAYS.index("o"):
                self._keep(cell, 2)

    def _keep(self, cell: int, uses: int) -> None:
        if cell >= 0:
            found = self.scalars.get(cell)
            if found and self._lasts(found[0]):
                self.uses[cell] += uses
            else:
                self.stored[cell] = True

    def _mixed(self, instructions: Iterable[tuple[Block, Instruction]]) -> list[int]:
        """Return the leaves that are read together with what lies in another array, and must be copied."""
        found = set[int]()
        for block, each in instructions:
            for cells in each.reads:
                if cells.size == 1 or cells.flat[0] < 0:
                    continue
                if self._scalar_read(block, cells) is None and len(set(self.array[cells].flat)) > 1:
                    found.update(cells[(cells >= 0) & (cells < self.program.leaves)].tolist())
        return sorted(found)

    def _lay_out(self, piece: _Piece, start: int) -> int:
        """Give what a piece stores its places in `v`, from `start` on; return the next free one."""
        for block in piece.blocks:
            stored = []
            for each in block.instructions:
                if self.array[each.result[0, 0]] == _ARRAYS.index("o"):
                    continue
                if each.result.shape[1] == 1 and not self.stored[each.result].any():
                    self.local[int(each.result[0, 0])] = ""
                else:
                    stored.append(each.result)
            if stored:
                cells = np.concatenate(stored, axis=1)
                self.place[cells] = start + np.arange(cells.size).reshape(cells.shape)
                start += cells.size
        return start

    # Statements.

    def write(self) -> Text:
        """Write everything."""
        copied = {cell: at for at, cell in enumerate(self.copies)}
        self.copied = np.zeros(self.program.leaves, np.int64)
        self.copied[self.copies] = list(copied.values())
        for tree in self.trees:
            ends = {id(tree[0].node): len(copied)}
            for piece in tree:
                end = self._lay_out(piece, ends[id(piece.node)])
                ends |= {id(after): end for after in (piece.node.yes, piece.node.no) if after is not None}
                self.text.workspace = max(self.text.workspace, end)
        for tree in self.trees:
            lines = [f"v[{at}] = {self._scalar(cell)};" for cell, at in copied.items()]
            by_node = {id(piece.node): piece for piece in tree}
            self.text.trees.append([*lines, *self._tree(tree[0].node, by_node)])
        return self.text

    def _tree(self, node: Node, pieces: dict[int, _Piece]) -> list[str]:
        """Write a node and what comes after it: the smaller branch inside braces, the larger one behind."""
        lines: list[str] = []
        while True:
            piece = pieces[id(node)]
            for block in piece.blocks:
                lines += self._block(block)
            for check, cell in zip(node.checks, piece.guards, strict=False):
                lines.append(
                    f"if ({self._condition(cell, not check.answer)}) return 1; {self._comment(check)}"
                )
            if node.branch is None or node.yes is None or node.no is None:
                return [*lines, *self._results(piece.results), "return 0;"]
            inner, node_after = sorted((node.yes, node.no), key=lambda after: sum(1 for _ in walk(after)))
            condition = self._condition(piece.guards[-1], inner is node.yes)
            lines.append(f"if ({condition}) {{ {self._comment(node.branch)}")
            lines += [f"    {line}" for line in self._tree(inner, pieces)]
            lines.append("}")
            node = node_after

    @staticmethod
    def _comment(check: Check) -> str:
        line = re.sub(r"[^\w .:-]", "_", re.split(r"[\\/]", check.line)[-1])
        return f"/* {line} */"

    def _condition(self, cell: int, answer: bool) -> str:
        text = self._scalar(cell)
        comparison = re.fullmatch(r"(?:\(double\)|\+)\(([^()]*)\)", text)
        if comparison:
            return comparison[1] if answer else f"!({comparison[1]})"
        return f"{_atom(text)} {'!=' if answer else '=='} 0.0"

    def _results(self, cells: Sequence[int]) -> Iterator[str]:
        """Write what puts results in `out` that are not there yet."""
        texts: dict[str, list[int]] = {}  # constants and local variables, and where they go
        stored: dict[int, list[tuple[int, int, int]]] = {}  # by array: place there, place in `out`, cell
        for at, cell in enumerate(cells):
            if cell < 0 or cell in self.local:
                texts.setdefault(self._scalar(cell), []).append(at)
            elif self.array[cell] != _ARRAYS.index("o"):
                entry = int(self.place[cell]), at, cell
                stored.setdefault(int(self.array[cell]), []).append(entry)
        for text, places in texts.items():
            yield from self._fill(np.array(places), text, [text] * len(places))
        for entries in stored.values():
            _, targets, sources = map(np.array, zip(*sorted(entries), strict=True))
            few = [self._scalar(cell) for cell in sources.tolist()[:_FEW]]
            source = self._subscript(sources[None], ("0", "i")) if len(entries) > _FEW else ""
            yield from self._fill(targets, source, few)

    def _fill(self, places: Cells, text: str, few: Sequence[str]) -> Iterator[str]:
        """Write to places in `out`: many in a loop over i, few one by one."""
        if len(places) > _FEW:
            target = _sum(int(places[0]), self._along(places - places[0], "i"))
            yield f"{self._for('i', len(places))} out[{target}] = {text};"
        else:
            for place, one in zip(places.tolist(), few, strict=True):
                yield f"out[{place}] = {one};"

    def _scalar(self, cell: int) -> str:
        """Write one number."""
        if cell < 0:
            return spellings.number(self.program.constants[~cell], self.language)
        return self.local.get(cell) or self._subscript(np.array([[cell]]), ("0", "0"))

    def _for(self, name: str, count: int) -> str:
        kind = "int" if self.language == "c" else "let"
        return f"for ({kind} {name} = 0; {name} < {count}; {name}++)"

    def _declare(self, constant: bool, name: str, text: str) -> str:
        if self.language == "c":
            return f"{'const ' * constant}double {name} = {text};"
        return f"{'const' if constant else 'let'} {name} = {text};"

    def _block(self, block: Block) -> list[str]:
        lines = [line for each in block.instructions for line in self._instruction(block, each)]
        if block.turns > 1:
            lines = [f"{self._for('k', block.turns)} {{", *[f"    {line}" for line in lines], "}"]
        if not self.in_parts or any(isinstance(each.op, Loop) for each in block.instructions):
            return lines  # a loop that does not end returns from the function that it stands in
        return [self._part(lines)]

    def _part(self, lines: list[str]) -> str:
        """Move statements into a function of their own; return its call."""
        name = f"part{len(self.text.names)}"
        self.text.names[name] = name
        self.text.parts += function(self.language, f"static void {name}", lines)
        return call(name, lines) + ";"

    def _instruction(self, block: Block, each: Instruction) -> Iterator[str]:
        turns, count = each.result.shape
        if isinstance(each.op, Loop):
            yield from self._loop(block, each, each.op)
            return
        width = self._width(each)
        names = ("k", "i", "j") if width > 1 else ("k", "i")

        def shaped(cells: Cells) -> Cells:
            tail = cells.shape[2:]
            return cells.reshape(turns, count // width, width, *tail) if width > 1 else cells

        def read(cells: Cells, term: str = "t") -> str:
            found = self._scalar_read(block, cells)
            name = self.local.get(int(found[1].result[0, 0])) if found else None
            return name or self._subscript(shaped(cells), (*names, term))

        first = int(each.result[0, 0])
        heads = [
            self._for(name, size) for name, size in zip(names[1:], (count // width, width), strict=False)
        ]
        heads = heads if count > 1 else []
        target = None if first in self.local else self._subscript(shaped(each.result), names)
        if not each.terms:
            text = self.spelled_as(each.op, [_atom(read(cells)) for cells in each.operands])
            if target is not None:
                yield " ".join([*heads, f"{target} = {text};"])
            elif _SCALAR.fullmatch(text) or (self.uses[first] == 1 and len(text) <= _SHORT):
                self.local[first] = text
            else:
                self.local[first] = f"t{first}"
                yield self._declare(True, f"t{first}", text)
            return
        yield from self._contraction(each, heads, target, read)

    def _contraction(
        self, each: Instruction, heads: list[str], target: str | None, read: Any
    ) -> Iterator[str]:
        step = STEPS[each.op]

        def term(start: int, stop: int, name: str) -> str:
            parts = [_atom(read(cells[..., start:stop], name)) for cells in each.operands]
            return self.spelled_as(PRODUCTS[each.op], parts) if each.op in PRODUCTS else parts[0]

        total = None if each.first is None else read(each.first)
        cell = int(each.result[0, 0])
        written = each.terms if each.terms <= _FEW else int(total is None)
        for at in range(written):
            text = term(at, at + 1, "0")
            total = text if total is None else self.spelled_as(step, [_atom(total), _atom(text)])
        assert total is not None
        if written == each.terms:
            if target is None:
                self.local[cell] = f"t{cell}"
                yield self._declare(True, f"t{cell}", total)
            else:
                yield " ".join([*heads, f"{target} = {total};"])
            return
        last = _atom(term(written, each.terms, "t"))
        terms = self._for("t", each.terms - written)
        if target is not None and self._by_column(each):
            yield " ".join([*heads, f"{target} = {total};"])
            yield " ".join([terms, *heads, f"{target} = {self.spelled_as(step, [target, last])};"])
            return
        name = f"t{cell}"
        lines = [
            self._declare(False, name, total),
            f"{terms} {name} = {self.spelled_as(step, [name, last])};",
        ]
        if target is None:
            self.local[cell] = name
            yield from lines
        elif heads:
            yield from [
                " ".join([*heads, "{"]),
                *[f"    {line}" for line in lines],
                f"    {target} = {name};",
                "}",
            ]
        else:
            yield from [*lines, f"{target} = {name};"]

    def _by_column(self, each: Instruction) -> bool:
        """Return whether a contraction reads a matrix whose columns lie side by side in memory."""
        for cells in each.operands:
            places = self._places(cells)[0]
            if places.shape[1] > 1 and abs(int(places[0, 1, 0] - places[0, 0, 0])) == 1:
                return abs(int(places[0, 0, 1] - places[0, 0, 0])) != 1
        return False

    def _loop(self, block: Block, each: Instruction, loop: Loop) -> Iterator[str]:
        """Write a loop instruction: `s` is its state, what it reads and its items, `n` what a turn gives."""
        fixed, made = loop.state + loop.outside, loop.state + loop.given
        count = each.operands[0].shape[1] if each.operands else 1
        result = each.result.reshape(block.turns, loop.results, count)

        def read(cells: Cells, *names: str) -> str:
            found = self._scalar_read(block, cells)
            local = self.local.get(int(found[1].result[0, 0])) if found else None
            return local or self._subscript(cells, ("k", "i", *names))

        s, n = ((name, max(1, size)) for name, size in (("s", fixed + loop.items), ("n", made)))
        new = "double {}[{}];" if self.language == "c" else "const {} = new Float64Array({});"
        yield f"{self._for('i', count)} {{"
        yield f"    {new.format(*s)}"
        yield f"    {new.format(*n)}"
        for at, cells in enumerate(each.operands[:fixed]):
            yield f"    s[{at}] = {read(cells)};"
        if loop.condition is None:
            yield f"    {self._for('turn', loop.turns or 0)} {{"
        else:
            yield f"    {self._for('turn', 0).replace('turn < 0', '')} {{"
            yield f"        if ({self._called(loop.condition)}) return 1;"
            yield "        if (n[0] == 0.0) break;"
            if loop.limit is not None:
                yield f"        if (turn == {loop.limit}) return 1;"
        for at in range(loop.items):
            yield f"        s[{fixed + at}] = {read(each.operands[fixed], f'({loop.items} * turn + {at})')};"
        yield f"        if ({self._called(loop.body)}) return 1;"
        for at in range(loop.state):
            yield f"        s[{at}] = n[{at}];"
        given = result[:, loop.state :].reshape(block.turns, -1, max(1, loop.given), count)
        for at in range(loop.given):
            yield f"        {self._subscript(given[:, :, at], ('k', 'turn', 'i'))} = n[{loop.state + at}];"
        yield "    }"
        for at in range(loop.state):
            yield f"    {self._subscript(result[:, at], ('k', 'i'))} = s[{at}];"
        yield "}"

    def _called(self, program: Program) -> str:
        """Write a program as a function from `s` to `n`, once; return its call."""
        names = self.text.names
        if id(program) not in names:
            name = names[id(program)] = f"turn{len(names)}"
            opened = open_tables(program)
            computes = list(range(opened.leaves, opened.leaves + len(opened.ops)))
            node = Node(computes=computes, results=opened.outputs)
            text = Text(self.text.tables, self.text.parts, names)
            inner = _Writer(Branches(opened, [], [node]), self.language, text)
            self.text.parts += self._turn(name, inner.write())
        return f"{names[id(program)]}(s, n)"

    def _turn(self, name: str, text: Text) -> list[str]:
        """Write the function of a loop's program, with room of its own in place of `v`."""
        lines = [re.sub(r"\bv\b", f"v_{name}", line) for line in text.trees[0]]
        if self.language == "js":
            if text.workspace:
                self.text.tables.append(f"const v_{name} = new Float64Array({text.workspace});")
            return [f"function {name}(x, out) {{", *[f"    {line}" for line in lines], "}", ""]
        unused = [f"(void){each};" for each in ("x", "out") if each not in arrays_used(lines)]
        room = [f"double v_{name}[{text.workspace}];"] * bool(text.workspace)
        head = f"static int {name}(const double *restrict x, double *restrict out)"
        return [head, "{", *[f"    {line}" for line in [*room, *unused, *lines]], "}", ""]

    def spelled_as(self, op: Op, operands: Sequence[str]) -> str:
        """Write an operation on expressions."""
        if op not in self.spelled:
            raise ValueError(
                f"source: {op.name} is an operation in Python, which cannot be written in another language. "
                "Compose it of nodegrad's functions."
            )
        return self.spelled[op].format(*operands)

    def _width(self, each: Instruction) -> int:
        """Return the length of the rows that the elements of an instruction lie in, or 1."""
        count = each.result.shape[1]
        if count == 1:
            return 1
        arrays = [self._places(cells)[0] for cells in (*each.reads, each.result)]
        rows = [places.reshape(len(places), count, -1)[0, :, 0] for places in arrays]
        irregular = [row for row in rows if affine(row) is None]
        for row in irregular:
            for width in {run_length(row), _steady(row)}:
                if 1 < width < count and count % width == 0 and all(_on_grid(each, width) for each in rows):
                    return width
        return 1

    def _places(self, cells: Cells) -> tuple[Cells, str]:
        """Return where cells lie in which array."""
        if cells.flat[0] < 0:
            return ~cells, "c"
        arrays = self.array[cells]
        if (arrays == arrays.flat[0]).all():
            name = _ARRAYS[arrays.flat[0]]
            return self.place[cells], "out" if name == "o" else name
        leaves = self.program.leaves
        return np.where(cells < leaves, self.copied[np.minimum(cells, leaves - 1)], self.place[cells]), "v"

    def _subscript(self, cells: Cells, names: Sequence[str]) -> str:
        """Write an operand as an element of an array; the names are those of the loops over its axes."""
        places, array = self._places(cells)
        base = int(places.flat[0])
        if places.size == 1 or (places == base).all():
            if array == "c":
                return spellings.number(self.program.constants[base], self.language)
            return f"{array}[{base}]"
        if array == "c":
            array = self._table(np.array(self.program.constants)[places.ravel()], "double")
            places, base = np.arange(places.size).reshape(places.shape), 0
        axes = [
            np.moveaxis(places, axis, 0).reshape(places.shape[axis], -1)[:, 0] for axis in range(places.ndim)
        ]
        offsets = [axis - base for axis in axes]
        apart: Cells = sum(np.ix_(*offsets), start=np.array(base))
        if (apart == places).all():
            return f"{array}[{_sum(base, *map(self._along, offsets, names))}]"
        index = "0"
        for size, name in zip(places.shape, names, strict=False):
            if size > 1:
                index = name if index == "0" else f"({index}) * {size} + {name}"
        return f"{array}[{self._table(places.ravel(), 'int')}[{index}]]"

    def _along(self, offsets: Cells, name: str) -> str:
        """Write how far the elements of an axis lie from its first."""
        if not offsets.any():
            return ""
        line = affine(offsets)
        if line is None:
            return f"{self._table(offsets, 'int')}[{name}]"
        return name if line[1] == 1 else f"{line[1]} * {name}"

    def _table(self, numbers: Any, kind: str) -> str:
        """Return the name of a table of numbers."""
        key, names = (kind, numbers.tobytes()), self.text.names
        if key not in names:
            name = names[key] = f"{kind[0]}{len(names)}"
            self.text.tables += table(f"static const {kind} {name}", numbers.tolist(), self.language)
        return names[key]


_PARAMETERS = {
    "x": "const double *restrict x",
    "p": "const double *restrict p",
    "v": "double *restrict v",
    "out": "double *restrict out",
}


def arrays_used(lines: Iterable[str]) -> list[str]:
    """Return the arrays that statements use."""
    code = "\n".join(lines)
    return [name for name in _PARAMETERS if re.search(rf"\b{name}\b", code)]


def call(name: str, lines: Iterable[str]) -> str:
    """Write the call of a function of some statements."""
    return f"{name}({', '.join(arrays_used(lines))})"


def function(language: str, head: str, lines: Sequence[str]) -> list[str]:
    """Write a function of some statements; the head is that of C."""
    used = arrays_used(lines)
    body = [f"    {line}" for line in lines]
    if language == "c":
        return [f"{head}({', '.join(_PARAMETERS[name] for name in used) or 'void'})", "{", *body, "}", ""]
    return [f"function {call(head.split()[-1], lines)} {{", *body, "}", ""]


def table(head: str, numbers: Sequence[float], language: str) -> list[str]:
    """Write an array of numbers; the head is that of C."""
    texts = [str(x) if isinstance(x, int) else spellings.number(x, language) for x in numbers]
    listed = fill(", ".join(texts), 110, initial_indent="    ", subsequent_indent="    ")
    if language == "c":
        return [f"{head}[{len(numbers)}] = {{", listed, "};"]
    kind = "Int32Array" if " int " in head else "Float64Array"
    return [f"const {head.split()[-1]} = {kind}.of(", listed, ");"]


def _atom(text: str) -> str:
    """Return an expression as an operand: in parentheses if it is more than a name, a number or a call."""
    head = _ATOM.match(text)
    depth = 0
    for at, mark in enumerate(text):
        depth += (mark in "([") - (mark in ")]")
        if depth == 0 and head is not None and head.end() <= at < len(text) - 1:
            head = None
    return text if head is not None else f"({text})"


def _sum(base: int, *parts: str) -> str:
    shown = [part for part in (*parts, str(base) if base else "") if part]
    return " + ".join(shown).replace("+ -", "- ") or "0"


def _steady(row: Cells) -> int:
    """Return how many elements lie at even steps before the first that does not."""
    steps = np.diff(row)
    changes = np.flatnonzero(steps != steps[0])
    return int(changes[0]) + 1 if len(changes) else len(row)


def _on_grid(row: Cells, width: int) -> bool:
    """Return whether elements lie at even steps along the rows and the columns of a grid."""
    grid = row.reshape(-1, width)
    return (
        bool((grid - grid[:, :1] == grid[0] - grid[0, 0]).all())
        and affine(grid[0]) is not None
        and affine(grid[:, 0]) is not None
    )
