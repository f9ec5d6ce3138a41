"""Kernels: the loops that vector instructions run as. Each is compiled once and driven by a record of words.

A kernel is called as (varying slots, uniform slots, record, groups of rows). Varying slots hold `lanes` rows
each; only sums over rows read the groups. What differs between two instructions of one kind (counts, bases,
strides, tables of slots) stands in the record, so that a process compiles each kind once, and a program of
any length costs no more than its records. At its end, a kernel jumps to the kernel of the next record.

What writes a kernel is called with its body and returns its parameters: a function, or an object whose
attributes say what this kind of kernel does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, islice, repeat
from math import inf, nan
from typing import Any, NamedTuple

from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.backends.llvm.spellings import spell
from nodegrad.compiler.program import MAX, MIN, STEPS
from nodegrad.ops import Op, strong_dot, strong_mul

__all__ = ()

LITERALS = {"0.0", "1.0"}  # constants that kernels contain; other numbers would make other kernels
_NEUTRAL = {MAX: -inf, MIN: inf}  # the larger (smaller) of this and any x, nan included, is x
Operand = Callable[[Name], Iterator[Name]]  # loads the elements from one on, each when it is asked for
_PARAMETERS = "ptr noalias %v, ptr noalias %u, ptr noalias %r, ptr noalias %c"


def end(body: Body) -> str:
    """Return to the driver: the kernel of the last record."""
    return _PARAMETERS


class Load(NamedTuple):
    """How an operand is found: at base + i·stride, in a table, or at the base itself ("one").

    A mode that is a number ("0.0") stands for it: that constant is written into the kernel.
    """

    uniform: bool
    mode: str


class Step(NamedTuple):
    """One operation on elements: operands are loads, or the results of earlier steps by number."""

    op: Op
    operands: tuple[Load | int, ...]
    stored: bool


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Steps applied to every element; `many` if there is more than one.

    for each i:
        r0 = op0(x[i], y[i]); r1 = op1(r0, z[i]); ...    # operands are loads, or results of earlier steps
        v[start of r1 + i] = r1                           # only the results that another loop reads
    """

    many: bool
    steps: tuple[Step, ...]

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, count, fields of the loads, then where results are stored."""
        fields = Fields(body)
        count, steps = fields.next(), fields.steps(self.steps)
        with body.loop(count, runs=True) if self.many else nullcontext(body.name("0")) as i:
            steps(i)(0, [])
        return fields.go_on()


class Factor(NamedTuple):
    """An operand of a contraction: a[i, t] = slot[rows[i] + t * stride], or slot[table[i, t]].

    `shared` if all results of a tile read the same row.
    """

    uniform: bool
    strided: bool
    shared: bool


@dataclass(frozen=True, slots=True)
class Contraction:
    """s[i] = sum over t of a[i, t] * b[i, t], `tile` results at a time, and steps on each result.

    With one factor it is the sum, the largest or the smallest of a[i, t]. Sums stay in registers:

    for each tile:
        s[0..tile] = first[i] or 0
        for each t: for each i of the tile: s[i] += a[i, t] * b[i, t]
        for each i of the tile: the steps, as in `Elementwise`, on s[i]

    A strong contraction uses ordinary products first. If a sum is nan, it is computed again with strong ones.
    """

    op: Op
    tile: int
    factors: tuple[Factor, ...]
    first: Load | None
    stored: bool
    steps: tuple[Step, ...]

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, tiles, table of these, terms, factors, first, loads, stores.

        The words of a factor are its rows and its stride, or its table.
        """
        if body.lanes > 1:  # 0.5 % slower to run; over single numbers it would be 20 %
            body.as_written()
        fields = Fields(body)
        tiles, starts, terms = fields.next(), fields.pointer(), fields.next()
        factors = []
        for each in self.factors:
            table, size = fields.pointer(), 8 if each.uniform else 8 * body.lanes
            factors.append((each, table, fields.next() * size if each.strided else None))
        first = None if self.first is None else fields.load(self.first)
        own = fields.target() if self.stored else None
        steps = fields.steps(self.steps)
        with body.loop(tiles, runs=True) as number:
            start = body.entry(starts, number)
            totals = self._tile(body, factors, start, terms, first)
            target, write = None if own is None else body.at(own, start, body.vector), steps(start)
            for lane, total in enumerate(totals):
                if target is not None:
                    store(body, total, target, lane)
                write(lane, [total])
        return fields.go_on()

    def _tile(self, body: Body, factors: list[Any], start: Name, terms: Name, first: Any) -> list[Name]:
        """Return s[start], ..., s[start + tile - 1]; sums of strong products again if any of them is nan."""
        strong = self.op is strong_dot
        strict = strong and body.exact
        sums = self._sums(body, factors, start, self.tile, terms, first, strict)
        if strong and not strict:
            with body.when(any_nan(body, sums), sums):
                # In a loop over the tile: little code for rare cases.
                room = body.room(self.tile, body.vector)
                with body.loop(str(self.tile)) as lane:
                    (total,) = self._sums(body, factors, start + lane, 1, terms, first, True)
                    keep(body, total, room, lane)
                sums[:] = [kept(body, room, place) for place in range(self.tile)]
        return sums

    def _sums(
        self, body: Body, factors: list[Any], start: Name, count: int, terms: Name, first: Any, strict: bool
    ) -> list[Name]:
        """Return s[i] = first[i] + sum over t of a[i, t] * b[i, t], for `count` i from `start` on."""
        if first is None:
            # Adding onto -0.0 changes no number. Onto 0.0, it makes no difference that a product is -0.0
            # where the strong one is 0.0.
            begin = body.number(
                _NEUTRAL.get(self.op, 0.0 if self.op is strong_dot and not body.exact else -0.0)
            )
            sums = [begin] * count
        else:
            sums = [*islice(first(start), count)]
        rows = [
            [*islice(self._rows(body, factor, table, start, terms), 1 if factor.shared else count)]
            for factor, table, _ in factors
        ]
        extreme = STEPS[self.op] if self.op in _NEUTRAL else None
        with body.loop(terms, carried=sums, runs=True) as t:
            loaded = []
            for (factor, _, stride), of_rows in zip(factors, rows, strict=True):
                offset = t if stride is None else t * stride
                found = [self._read(body, factor, row, offset) for row in of_rows]
                loaded.append(found * (count // len(of_rows)))
            for lane, operands in enumerate(zip(*loaded, strict=True)):
                sums[lane] = accumulated(body, sums[lane], operands, strict, extreme)
        return sums

    def _rows(self, body: Body, factor: Factor, table: Name, i: Name, terms: Name) -> Iterator[Name]:
        """Return where the rows of a factor begin, from row i on, or where their slots do in the table."""
        if factor.strided:
            return _rows(body, factor.uniform, table, i)
        return _run(body, body.at(table, i * terms, "i32"), terms, "i32")

    def _read(self, body: Body, factor: Factor, row: Name, offset: Name) -> Name:
        """Load the number at an offset in bytes from the beginning of a row, or that of a term in a table."""
        if factor.strided:
            return _value(body, factor.uniform, body.at(row, offset, "i8"))
        return _value(body, factor.uniform, _address(body, factor.uniform, body.entry(row, offset)))


@dataclass(frozen=True, slots=True)
class Take:
    """r[i, lane] = table[i, floor(index[i, lane])], or nan outside of the table, lane by lane."""

    index: Load
    uniform: bool
    consecutive: bool

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, count, index, first slot or table, length, where to store."""
        fields, whole = Fields(body), body.kind("i32")
        count, load = fields.next(), fields.load(self.index)
        table = fields.next() if self.consecutive else fields.pointer()
        length, start = fields.next(), fields.target()
        size = body.splat(body.let(f"sitofp i64 {length} to double"))
        with body.loop(count) as i:
            index, first = next(load(i)), i * length
            above, below = body.compare("oge", index, body.number(0.0)), body.compare("olt", index, size)
            inside = body.let(f"and {body.mask} {above}, {below}")
            safe, entries = body.choose(inside, index, body.number(0.0)), body.name("poison")
            places = body.let(f"fptosi {body.vector} {safe} to {whole}")
            if self.consecutive:
                row = _address(body, self.uniform, table + first)
            else:
                row = body.at(table, first, "i32")
            # Lane by lane: gather instructions take 1.2 times as long on AMD's processors.
            for lane in range(body.lanes):
                place = body.let(f"sext i32 {body.lane(whole, places, lane)} to i64")
                if self.consecutive:
                    address = body.at(row, place, "double" if self.uniform else body.vector)
                else:
                    address = _address(body, self.uniform, body.entry(row, place))
                address = address if self.uniform else body.at(address, lane, "double")
                entries = body.with_lane(entries, body.load("double", address), lane)
            store(body, body.choose(inside, entries, body.number(nan)), start, i)
        return fields.go_on()


class Fields:
    """The words of a record, in order; the first is the function itself."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.place = 0

    def next(self) -> Name:
        """Load the next word."""
        self.place += 1
        return self.body.field("%r", self.place)

    def pointer(self) -> Name:
        """Load the next word, an address."""
        self.place += 1
        return self.body.pointer("%r", self.place)

    def go_on(self) -> str:
        """End the kernel by a jump to that of the next record; return its parameters."""
        record = self.body.at("%r", self.place + 1)
        kernel = self.body.load("ptr", record)
        self.body.do(f"musttail call void {kernel}(ptr %v, ptr %u, ptr {record}, ptr %c)")
        return _PARAMETERS

    def target(self) -> Name:
        """Load the next word, the first slot of a result; return its address."""
        return _address(self.body, False, self.next())

    def load(self, how: Load) -> Operand:
        """Load the words of an operand; return what loads its elements."""
        body = self.body
        if how.mode in LITERALS:
            return lambda i: repeat(body.number(float(how.mode)))
        word = self.pointer() if how.mode == "table" else self.next()
        if how.mode == "one":
            return lambda i: repeat(_value(body, how.uniform, _address(body, how.uniform, word)))
        stride = self.next() if how.mode == "affine" else None

        def elements(i: Name) -> Iterator[Name]:
            if stride is None:
                places = _rows(body, how.uniform, word, i)
            else:
                kind = "double" if how.uniform else body.vector
                places = _run(body, _address(body, how.uniform, word + i * stride), stride, kind)
            return (_value(body, how.uniform, place) for place in places)

        return elements

    def steps(self, steps: Sequence[Step]) -> Callable[[Name], Callable[[int, list[Name]], None]]:
        """Load the words of steps; return what writes them: from element i on, for one after the other.

        That takes how many elements were before, and the results before the steps.
        """
        loads = [[x if isinstance(x, int) else self.load(x) for x in step.operands] for step in steps]
        stores = [self.target() if step.stored else None for step in steps]

        def begin(i: Name) -> Callable[[int, list[Name]], None]:
            read = [[x if isinstance(x, int) else x(i) for x in operands] for operands in loads]
            places = [None if place is None else self.body.at(place, i, self.body.vector) for place in stores]

            def write(lane: int, results: list[Name]) -> None:
                for step, operands, place in zip(steps, read, places, strict=True):
                    found = [results[each] if isinstance(each, int) else next(each) for each in operands]
                    results.append(spell(self.body, step.op, found))
                    if place is not None:
                        store(self.body, results[-1], place, lane)

            return write

        return begin


def _run(body: Body, address: Name, stride: Name, kind: str) -> Iterator[Name]:
    """Return addresses that are so many elements of a kind apart."""
    while True:
        yield address
        address = body.at(address, stride, kind)


def _rows(body: Body, uniform: bool, table: Name, i: Name) -> Iterator[Name]:
    """Return the addresses of the slots in a table, from place i on."""
    slots = body.at(table, i, "i32")
    return (_address(body, uniform, body.entry(slots, lane)) for lane in count())


def _address(body: Body, uniform: bool, slot: Name) -> Name:
    return body.at("%u", slot, "double") if uniform else body.at("%v", slot, body.vector)


def _value(body: Body, uniform: bool, address: Name) -> Name:
    if uniform:
        return body.splat(body.load("double", address))
    return body.load(body.vector, address, 8 * min(body.lanes, 8))


def store(body: Body, value: Name, start: Name, i: Name | int) -> None:
    """Store element i of a result whose slots begin at an address."""
    body.store(body.vector, value, body.at(start, i, body.vector), 8 * min(body.lanes, 8))


def accumulated(
    body: Body, total: Name, operands: Sequence[Name], strict: bool, extreme: Op | None = None
) -> Name:
    """Return total + x, or total + x * y (strong if `strict`), or the result of `extreme` on total and x."""
    if extreme is not None:
        return spell(body, extreme, [total, *operands])
    if len(operands) == 1:
        return body.arithmetic("fadd", total, operands[0])
    if strict:
        return body.arithmetic("fadd", total, spell(body, strong_mul, list(operands)))
    if body.exact:
        return body.arithmetic("fadd", total, body.arithmetic("fmul", *operands))
    return body.intrinsic("fmuladd", *operands, total)  # rounded once where that is as fast


def any_nan(body: Body, sums: list[Name]) -> Name:
    """Return whether a sum is nan, or infinities of both signs meet."""
    together = sums[0]
    for total in sums[1:]:
        together = body.arithmetic("fadd", together, total)
    return body.any(body.compare("uno", together, together))


def keep(body: Body, vector: Name, room: Name, place: Name | int) -> None:
    """Write room[place] = vector."""
    body.store(body.vector, vector, body.at(room, place, body.vector), 8)


def kept(body: Body, room: Name, place: Name | int) -> Name:
    """Return room[place]."""
    return body.load(body.vector, body.at(room, place, body.vector), 8)
