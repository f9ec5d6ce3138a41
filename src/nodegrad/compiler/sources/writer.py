"""The statements of a function in C or JavaScript.

for (int i = 0; i < 16; i++) v[i] = tanh(p[3 * i + 2] + x[0]);     one instruction on 16 elements, in C
for (let i = 0; i < 16; i++) v[i] = Math.tanh(p[3 * i + 2] + x[0]);                       in JavaScript
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from nodegrad import ops
from nodegrad.compiler.passes import WITHOUT_TABLES, simplify, sweep_dead
from nodegrad.compiler.program import STEPS, Loop, Program
from nodegrad.compiler.slots import affine, separable
from nodegrad.compiler.sources.places import OUT, SPACE, C, Cells, Guard, Instruction, Places, Way
from nodegrad.compiler.sources.spellings import EXPRESSIONS, Language, bare, number
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

PARAMETERS = {
    "x": "const double *restrict x",
    "p": "const double *restrict p",
    "v": "double *restrict v",
    "out": "double *restrict out",
}
_OF_TURN = {"x": "s", "v": "w", "out": "n"}  # what a function of a loop's program is called with
_ARRAYS = ("x", "p", "v", "", "out")  # by the number of an array in `places`
_FEW = 3  # terms of a contraction that are written out
_SHORT = 60  # characters of an expression that may become part of a longer one
_SCALAR = re.compile(r"\w+|\(?-?[\w.]+\)?")  # a name or a number
_ANSWER = " ? 1.0 : 0.0)"  # how a comparison ends, written as a number


@dataclass(slots=True)
class Text:
    """The text that is written so far.

    Attributes:
        language: the language.
        parts: tables, functions for parts and functions for loops, each before what uses it.
        names: the names of tables by their numbers, and of functions.
        calls: by program of a loop: the call of its function, and how many numbers `w` must hold.
        workspace: the size of `v`.
    """

    language: Language
    parts: list[str] = field(default_factory=list)
    names: dict[Any, str] = field(default_factory=dict)
    calls: dict[int, tuple[str, int]] = field(default_factory=dict)
    workspace: int = 0

    def add_function(self, name: str, lines: Sequence[str]) -> str:
        """Write a function; return its call. It returns 0 at its end, 1 if the numbers go another way."""
        used = arrays_used(lines)
        name = self.names[name, len(self.names)] = f"{name}{len(self.names)}"
        self.parts.append(self.language.define("int", name, used, lines))
        return f"{name}({', '.join(used)})"


def write(ways: Sequence[Way], language: Language) -> tuple[Text, list[list[str]]]:
    """Write the ways through a function: return the text, and the statements of each way."""
    text = Text(language)
    return text, [_Writer(Places(way), text).write() for way in ways]


class _Writer:
    """Writes the statements of a way; functions that these call are added to the text."""

    def __init__(self, places: Places, text: Text) -> None:
        self.places, self.text, self.language = places, text, text.language

    def write(self) -> list[str]:
        self.text.workspace = max(self.text.workspace, self.places.workspace)
        lines = [self._copy(*each) for each in self.places.copies]
        lines += [line for part in self.places.parts for line in self._part(part)]
        return [*lines, *self._results(self.places.results), "return 0;"]

    def _guard(self, text: str, guard: Guard) -> str:
        """Write how a guard that answers otherwise leaves the way: `if (!(x[0] > 0.0)) return 1;`."""
        answer, line = guard
        if text.endswith(_ANSWER):
            condition = text.removesuffix(_ANSWER)[1:]
            condition = f"!({condition})" if answer else condition
        else:
            condition = f"{text} {'==' if answer else '!='} 0.0"
        return f"if ({condition}) return 1; {_comment(line)}"

    def _results(self, cells: Sequence[int]) -> Iterator[str]:
        """Write the statements that copy results to `out`, unless they are there already."""
        found: dict[int, list[tuple[int, int]]] = {}  # by array: from where, to where
        for at, (cell, address) in enumerate(zip(cells, self.places.address[cells].tolist(), strict=True)):
            local = self.places.local(None, np.array([cell]))
            if local is not None and local.text is not None:
                yield f"out[{at}] = {bare(local.text)};"
            elif address < OUT * SPACE:
                found.setdefault(address // SPACE, []).append((address, OUT * SPACE + at))
        for pairs in found.values():
            old, new = np.array(sorted(pairs)).T
            yield self._copy(new, old)

    def _copy(self, new: Cells, old: Cells) -> str:
        """Write a loop that copies addresses to addresses."""
        target, source = (self._element(each, "i") for each in (new, old))
        return " ".join([*self._heads(i=len(new)), f"{target} = {source};"])

    def _heads(self, **counts: int) -> list[str]:
        """Write the heads of nested loops over variables."""
        return [self.language.loop.format(name, count) for name, count in counts.items() if count > 1]

    def _part(self, part: list[Instruction]) -> list[str]:
        lines = [line for each in part for line in self._instruction(each)]
        if len(self.places.parts) == 1:
            return lines
        call = self.text.add_function("part", [*lines, "return 0;"])
        return [f"if ({call}) return 1;"]

    def _instruction(self, each: Instruction) -> Iterator[str]:
        if isinstance(each.op, Loop):
            yield from self._loop(each, each.op)
            return
        if isinstance(each.op, tuple):
            yield self._guard(self._operand(each, each.reads[0]), each.op)
            return
        count, width = each.result.size, self._width(each)
        heads = self._heads(i=count // width, j=width)

        def read(cells: Cells, term: str = "t") -> str:
            return self._operand(each, cells, width, term)

        target = "" if each.text is not None else self._at(each.result, width)
        if each.terms:
            yield from self._contraction(each, heads, target, read)
        else:
            yield from self._assign(each, heads, target, self._spelled(each.op, [*map(read, each.reads)]))

    def _assign(self, each: Instruction, heads: list[str], target: str, text: str) -> Iterator[str]:
        """Write a number to its array, or give it a name unless it is a name already or is read only once."""
        if target:
            yield " ".join([*heads, f"{target} = {bare(text)};"])
        elif _SCALAR.fullmatch(text) or (each.uses == 1 and len(text) <= _SHORT):
            each.text = text
        else:
            each.text = f"t{each.result[0]}"
            yield self.language.constant.format(each.text, bare(text))

    def _contraction(
        self, each: Instruction, heads: list[str], target: str, read: Callable[..., str]
    ) -> Iterator[str]:
        """Write a sum of terms (or their maximum): few terms in one expression, more in a loop over t."""
        op: Any = each.op
        product = PRODUCTS.get(op, ops.identity)

        def term(start: int, stop: int, name: str) -> str:
            factors = each.reads[: product.arity]
            return self._spelled(product, [read(cells[..., start:stop], name) for cells in factors])

        def added(total: str, text: str) -> str:
            return self._spelled(STEPS[op], [total, text])

        begun = [read(cells) for cells in each.reads[product.arity :]]
        written = each.terms if each.terms <= _FEW else 1 - len(begun)
        total = reduce(added, [*begun, *(term(at, at + 1, "0") for at in range(written))])
        if written == each.terms:
            yield from self._assign(each, heads, target, total)
            return
        more, rest = self._heads(t=each.terms - written), term(written, each.terms, "t")
        if target and self._by_column(each):
            yield " ".join([*heads, f"{target} = {bare(total)};"])
            yield " ".join([*more, *heads, f"{target} = {bare(added(target, rest))};"])
            return
        name = f"t{each.result[0]}"
        lines = [
            self.language.variable.format(name, bare(total)),
            " ".join([*more, f"{name} = {bare(added(name, rest))};"]),
        ]
        if target:
            lines.append(f"{target} = {name};")
        else:
            each.text = name
        yield from _nested(heads, lines)

    def _by_column(self, each: Instruction) -> bool:
        """Return whether a contraction reads a matrix whose columns lie side by side in memory."""
        for cells in each.reads:
            if cells.ndim == 2 and min(cells.shape) > 1:
                (first, second), (below, _) = self.places.address[cells[:2, :2]].tolist()
                if abs(below - first) == 1 != abs(second - first):
                    return True
        return False

    def _loop(self, each: Instruction, loop: Loop) -> Iterator[str]:
        """Write a loop instruction: `s` holds its state, what it reads and its items, `n` what a turn gives.

        for (int turn = 0; turn < 9; turn++) { turn1(s, n); for (int a = 0; a < 2; a++) s[a] = n[a]; }
        """
        fixed, turns = loop.state + loop.outside, loop.turns or 0

        def moved(size: int, target: str, source: str) -> list[str]:
            return [f"{self.language.loop.format('a', size)} {target} = {source};"] * bool(size)

        def element(cells: Cells, size: int) -> str:
            if not size or not cells.size:
                return ""
            return self._element(self.places.address[cells].reshape(-1, size), ("turn", "a"))

        body, room = self._called(loop.body)
        turn = []
        if loop.items:
            turn += moved(loop.items, f"s[a + {fixed}]", element(each.reads[fixed], loop.items))
        turn += [f"if ({body}) return 1;", *moved(loop.state, "s[a]", "n[a]")]
        given = element(each.result[loop.state :], loop.given)
        turn += moved(loop.given, given, f"n[a + {loop.state}]")
        head = self.language.loop.format("turn", turns)
        if loop.condition is not None:
            call, more = self._called(loop.condition)
            turn[:0] = [f"if ({call}) return 1;", "if (n[0] == 0.0) break;"]
            room, head = max(room, more), "for (;;)"
            if loop.limit is not None:
                head = self.language.loop.format("turn", loop.limit + 1)
                turn.insert(2, f"if (turn == {loop.limit}) return 1;")
        sizes = {"s": max(1, fixed + loop.items), "n": max(1, loop.state + loop.given), "w": room}
        lines = [self.language.room.format(name, size) for name, size in sizes.items() if size]
        read = [bare(self._operand(each, cells)) for cells in each.reads[:fixed]]
        lines += [f"s[{at}] = {text};" for at, text in enumerate(read)]
        lines += _braced(head, turn)
        lines += moved(loop.state, element(each.result[: loop.state], loop.state), "s[a]")
        yield from _braced("", lines)

    def _called(self, program: Program) -> tuple[str, int]:
        """Write a program of a loop as a function, once; return its call and the size of its `w`."""
        calls = self.text.calls
        if id(program) not in calls:
            places = Places(Way(sweep_dead(simplify(program, WITHOUT_TABLES))))
            call = self.text.add_function("turn", _Writer(places, self.text).write())
            call = re.sub(r"\w+(?=[,)])", lambda name: _OF_TURN[name[0]], call)
            calls[id(program)] = call, places.workspace
        return calls[id(program)]

    def _spelled(self, op: Op, operands: Sequence[str]) -> str:
        """Write an operation on expressions: a name, a number, a call, an element, or all in parentheses."""
        if op not in EXPRESSIONS:
            raise ValueError(
                f"source: {op.name} is an operation in Python, which cannot be written in another language. "
                "Compose it of nodegrad's functions."
            )
        form = EXPRESSIONS[op]
        if form[0].isalpha():  # a call
            return form.format(*map(bare, operands))
        text = form.format(*operands)
        return f"({text})" if form.startswith(("{} ", "-")) else text

    def _width(self, each: Instruction) -> int:
        """Return the length of a row, if the elements of an instruction form a grid; otherwise 1."""
        count = each.result.size
        arrays = [self.places.address[cells] for cells in (*each.reads, each.result)]
        lines = [places.reshape(count, -1)[:, 0] for places in arrays]
        for line in lines:
            turns = np.flatnonzero(np.diff(line, 2))
            width = int(turns[0]) + 2 if len(turns) else count  # where the second row begins
            if width < count and count % width == 0 and all(_on_grid(each, width) for each in lines):
                return width
        return 1

    def _operand(self, reader: Instruction, cells: Cells, width: int = 1, term: str = "t") -> str:
        """Write what an instruction reads; the loops over elements and terms are i and j, and t."""
        local = self.places.local(reader, cells)
        if local is not None and local.text is not None:
            return local.text
        return self._at(cells, width, term)

    def _at(self, cells: Cells, width: int, term: str = "t") -> str:
        shape = -1, width, *cells.shape[1:]
        return self._element(self.places.address[cells].reshape(shape), ("i", "j", term))

    def _element(self, addresses: Cells, names: Sequence[str]) -> str:
        """Write an element of an array; `names` are the variables of the loops, one for each axis."""
        array, places = int(addresses.flat[0]) // SPACE, addresses % SPACE
        if array != C:
            return f"{_ARRAYS[array]}[{self._index(places, names)}]"
        if (places == places.flat[0]).all():
            return number(self.places.constants[places.flat[0]].item())
        return self._looked_up(self.places.constants[places], names)

    def _index(self, places: Cells, names: Sequence[str]) -> str:
        """Write places as a sum over axes (`3 * i + j + 5`), or as a look-up if they are not such a sum."""
        base = int(places.flat[0])
        if places.size == 1:
            return str(base)
        others = (0,) * (places.ndim - 1)
        axes = [np.moveaxis(places, axis, -1)[others] - base for axis in range(places.ndim)]
        if (sum(np.ix_(*axes), start=np.array(base)) == places).all():
            return _sum(base, *map(self._along, axes, names))
        return self._looked_up(places, names)

    def _looked_up(self, numbers: Any, names: Sequence[str]) -> str:
        """Write a look-up in a table of numbers, which is written where it is first used."""
        kind = "double" if numbers.dtype == np.float64 else "int"
        key, tables = (kind, numbers.tobytes()), self.text.names
        if key not in tables:
            tables[key] = f"{kind[0]}{len(tables)}"
            self.text.parts.append(self.language.define_table(kind, tables[key], numbers.ravel().tolist()))
        places = np.arange(numbers.size).reshape(numbers.shape)
        return f"{tables[key]}[{self._index(places, names)}]"

    def _along(self, offsets: Cells, name: str) -> str:
        """Write how far the elements of an axis lie from its first."""
        if not offsets.any():
            return ""
        line = affine(offsets)
        if line is None:
            return self._looked_up(offsets, [name])
        return name if line[1] == 1 else f"{line[1]} * {name}"


def arrays_used(lines: Iterable[str]) -> dict[str, str]:
    """Return the arrays that statements use, with their declarations as parameters in C."""
    code = re.sub(r"/\*.*?\*/", "", "\n".join(lines))
    return {name: declared for name, declared in PARAMETERS.items() if re.search(rf"\b{name}\b", code)}


def _comment(line: str) -> str:
    """Write the line of Python that asked, without its folder and without text that could end the comment."""
    line = re.split(r"[\\/]", line)[-1]
    return f"/* {re.sub(r'[^a-zA-Z0-9_ .:-]', '_', line)} */"


def _braced(head: str, lines: Sequence[str]) -> list[str]:
    return [f"{head} {{".lstrip(), *[f"    {line}" for line in lines], "}"]


def _nested(heads: list[str], lines: list[str]) -> list[str]:
    return _braced(" ".join(heads), lines) if heads else lines


def _sum(base: int, *parts: str) -> str:
    shown = [part for part in (*parts, str(base) if base else "") if part]
    return " + ".join(shown).replace("+ -", "- ") or "0"


def _on_grid(line: Cells, width: int) -> bool:
    """Return whether elements lie at even steps along the rows and the columns of a grid."""
    parts = separable(line.reshape(-1, width))
    return parts is not None and None not in map(affine, parts)
