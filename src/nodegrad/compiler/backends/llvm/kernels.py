"""Kernels: the loops that vector instructions run as. Each is compiled once and driven by a record of words.

A kernel is called as (varying slots, uniform slots, record). Varying slots hold `lanes` rows each. What
differs between two instructions of one kind (counts, bases, strides, tables of slots) stands in the record,
so that a process compiles each kind once, and a program of any length costs no more than its records.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, nan
from typing import Any

from nodegrad.compiler.backends.llvm.ir import Body, Name, literal
from nodegrad.compiler.backends.llvm.spellings import spell, strong_mul
from nodegrad.compiler.program import MAX, MIN, STEPS, STRONG_DOT
from nodegrad.ops import Op

_NEUTRAL = {MAX: -inf, MIN: inf}  # what changes no other number, and gives way to nan
PARAMETERS = "ptr noalias %v, ptr noalias %u, ptr noalias %r"


@dataclass(frozen=True, slots=True)
class Load:
    """How an operand is found: at base + i·stride, in a table, or at the base itself ("one")."""

    uniform: bool
    mode: str


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on elements: operands are loads, or the results of earlier steps by number."""

    op: Op
    operands: tuple[Load | int, ...]
    stored: bool


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Steps applied to every element; `many` where there is more than one."""

    many: bool
    steps: tuple[Step, ...]

    def write(self, body: Body) -> str:
        """Write the kernel. Record: function, count, fields of the loads, then where results are stored."""
        fields = Fields(body)
        count = fields.next()
        loads = _take_fields(fields, self.steps)
        stores = [fields.next() for step in self.steps if step.stored]
        if self.many:
            with body.loop(count) as i:
                _steps(body, self.steps, i, [], loads, stores)
        else:
            _steps(body, self.steps, "0", [], loads, stores)
        return PARAMETERS


@dataclass(frozen=True, slots=True)
class Factor:
    """An operand of a contraction: rows of a table plus columns by stride or table, or a full table.

    `shared` where all results of a tile read the same row.
    """

    uniform: bool
    columns: str  # "stride", "table" or "full"
    shared: bool


@dataclass(frozen=True, slots=True)
class Contraction:
    """Σₜ a·b, Σₜ a, max a or min a for tiles of `tile` results in registers, and steps on each result.

    A strong contraction uses ordinary products first; where a sum is nan it is computed again with strong
    ones.
    """

    op: Op
    tile: int
    factors: tuple[Factor, ...]
    first: Load | None
    stored: bool
    steps: tuple[Step, ...]

    @property
    def strong(self) -> bool:
        """Whether products are those of the chain rule."""
        return self.op is STRONG_DOT

    def write(self, body: Body) -> str:
        """Write the kernel. Record: function, tiles, table of these, terms, two a factor, loads, stores."""
        fields = Fields(body)
        tiles, starts, terms = fields.next(), fields.next("ptr"), fields.next()
        factors = [(factor, *fields.factor(factor.columns)) for factor in self.factors]
        first = None if self.first is None else (self.first, *fields.load(self.first))
        loads = _take_fields(fields, self.steps)
        own = [fields.next()] if self.stored else []
        stores = [fields.next() for step in self.steps if step.stored]
        with body.loop(tiles) as number:
            start = body.entry(starts, number)
            sums = self._sums(body, factors, start, terms, first)
            for lane, total in enumerate(sums):
                i = body.let(f"add nsw i64 {start}, {lane}")
                result = body.let(f"load {body.vector}, ptr {total}")
                for place in own:
                    store(body, result, place, i)
                _steps(body, self.steps, i, [result], loads, stores)
        return PARAMETERS

    def _sums(self, body: Body, factors: list[Any], start: Name, terms: Name, first: Any) -> list[Name]:
        sums = []
        starts = []
        for lane in range(self.tile):
            i = body.let(f"add nsw i64 {start}, {lane}")
            # Adding onto -0.0 changes no number. Onto 0.0, it makes no difference that a product is -0.0
            # where the strong one is 0.0.
            begin = body.number(_NEUTRAL.get(self.op, 0.0 if self.strong and not body.exact else -0.0))
            starts.append(begin if first is None else load(body, first[0], first[1:], i))
            sums.append(body.variable(body.vector, starts[-1]))
        strict = self.strong and body.exact
        self._add_terms(body, factors, start, terms, sums, strict)
        if self.strong and not body.exact:
            with again_where_nan(body, sums, starts):
                self._add_terms(body, factors, start, terms, sums, strict=True)
        return sums

    def _add_terms(
        self, body: Body, factors: list[Any], start: Name, terms: Name, sums: list[Name], strict: bool
    ) -> None:
        rows = [self._row_addresses(body, factor, table, start, terms) for factor, table, _ in factors]
        with body.loop(terms) as t:
            columns = [column_of(body, factor.columns, word, t) for factor, _, word in factors]
            loaded = [
                [_read(body, factor, row, column, full) for row in places]
                for (factor, _, full), places, column in zip(factors, rows, columns, strict=True)
            ]
            for lane, total in enumerate(sums):
                operands = [values[lane if len(values) > 1 else 0] for values in loaded]
                accumulate(body, total, operands, strict, STEPS[self.op] if self.op in _NEUTRAL else None)

    def _row_addresses(self, body: Body, factor: Factor, table: Name, start: Name, terms: Name) -> list[Name]:
        found = []
        for lane in range(1 if factor.shared else self.tile):
            i = body.let(f"add nsw i64 {start}, {lane}")
            if factor.columns == "full":
                place = body.let(f"mul nsw i64 {i}, {terms}")
                found.append(body.let(f"getelementptr i32, ptr {table}, i64 {place}"))
            else:
                found.append(_address(body, factor.uniform, body.entry(table, i)))
        return found


@dataclass(frozen=True, slots=True)
class Take:
    """An entry of a table for every element: lane by lane, since each lane has an index of its own."""

    index: Load
    uniform: bool

    def write(self, body: Body) -> str:
        """Write the kernel. Record: function, count, index, table of slots, its length, where to store."""
        fields = Fields(body)
        count, words = fields.next(), fields.load(self.index)
        table, length, start = fields.next("ptr"), fields.next(), fields.next()
        indices = body.variable(body.vector, body.number(0.0))
        size = body.let(f"sitofp i64 {length} to double")
        with body.loop(count) as i:
            body.do(f"store {body.vector} {load(body, self.index, words, i)}, ptr {indices}")
            first = body.let(f"mul nsw i64 {i}, {length}")
            result = _address(body, False, body.let(f"add nsw i64 {start}, {i}"))
            with body.loop(str(body.lanes)) as lane:
                index = body.let(
                    f"load double, ptr {body.let(f'getelementptr double, ptr {indices}, i64 {lane}')}"
                )
                above = body.let(f"fcmp oge double {index}, {literal(0.0)}")
                below = body.let(f"fcmp olt double {index}, {size}")
                inside = body.let(f"and i1 {above}, {below}")
                safe = body.let(f"select i1 {inside}, double {index}, double {literal(0.0)}")
                whole = body.let(f"fptosi double {safe} to i64")
                slot = body.entry(table, body.let(f"add nsw i64 {first}, {whole}"))
                place = _address(body, self.uniform, slot)
                if not self.uniform:
                    place = body.let(f"getelementptr double, ptr {place}, i64 {lane}")
                entry = body.let(f"load double, ptr {place}")
                entry = body.let(f"select i1 {inside}, double {entry}, double {literal(nan)}")
                body.do(
                    f"store double {entry}, ptr {body.let(f'getelementptr double, ptr {result}, i64 {lane}')}"
                )
        return PARAMETERS


class Fields:
    """The words of a record, in order; the first is the function itself."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.place = 0

    def next(self, kind: str = "i64") -> Name:
        """Load the next word."""
        self.place += 1
        return self.body.field("%r", self.place, kind)

    def factor(self, columns: str) -> tuple[Name, Name]:
        """Load the words of a factor of products: its table of rows, and what its columns are found by."""
        return self.next("ptr"), self.next("i64" if columns == "stride" else "ptr")

    def load(self, load: Load) -> tuple[Name, ...]:
        """Load the words of a load."""
        if load.mode == "table":
            return (self.next("ptr"),)
        return (self.next(),) if load.mode == "one" else (self.next(), self.next())


def _take_fields(fields: Fields, steps: Sequence[Step]) -> list[tuple[Name, ...]]:
    return [fields.load(load) for step in steps for load in step.operands if isinstance(load, Load)]


def _steps(
    body: Body,
    steps: Sequence[Step],
    i: Name,
    results: list[Name],
    loads: list[tuple[Name, ...]],
    stores: list[Name],
) -> None:
    """Apply steps to element i; `results` holds those of earlier steps, a contraction's own first."""
    waiting, places = iter(loads), iter(stores)
    for step in steps:
        operands = [
            results[each] if isinstance(each, int) else load(body, each, next(waiting), i)
            for each in step.operands
        ]
        results.append(spell(body, step.op, operands))
        if step.stored:
            store(body, results[-1], next(places), i)


def load(body: Body, how: Load, fields: tuple[Name, ...], i: Name) -> Name:
    """Load an operand for element i."""
    if how.mode == "table":
        slot = body.entry(fields[0], i)
    elif how.mode == "one":
        slot = fields[0]
    else:
        slot = body.let(f"add nsw i64 {fields[0]}, {body.let(f'mul nsw i64 {i}, {fields[1]}')}")
    return _value(body, how.uniform, _address(body, how.uniform, slot))


def _address(body: Body, uniform: bool, slot: Name) -> Name:
    element, base = ("double", "%u") if uniform else (body.vector, "%v")
    return body.let(f"getelementptr {element}, ptr {base}, i64 {slot}")


def _value(body: Body, uniform: bool, address: Name) -> Name:
    if uniform:
        return body.splat(body.let(f"load double, ptr {address}"))
    return body.let(f"load {body.vector}, ptr {address}, align {8 * min(body.lanes, 8)}")


def _read(body: Body, factor: Factor, row: Name, column: Name, full: Name) -> Name:
    """Load a factor of a contraction at a row's address (or its part of a full table) and a column."""
    if factor.columns == "full":
        return _value(body, factor.uniform, _address(body, factor.uniform, body.entry(row, column)))
    element = "double" if factor.uniform else body.vector
    return _value(body, factor.uniform, body.let(f"getelementptr {element}, ptr {row}, i64 {column}"))


def store(body: Body, value: Name, start: Name, i: Name) -> None:
    """Store element i of a result."""
    slot = body.let(f"add nsw i64 {start}, {i}")
    address = body.let(f"getelementptr {body.vector}, ptr %v, i64 {slot}")
    body.do(f"store {body.vector} {value}, ptr {address}, align {8 * min(body.lanes, 8)}")


def accumulate(
    body: Body, total: Name, operands: list[Name], strict: bool, extreme: Op | None = None
) -> None:
    """Add an operand, or the product of two, to a variable; or let `extreme` choose between them."""
    before = body.let(f"load {body.vector}, ptr {total}")
    if extreme is not None:
        after = spell(body, extreme, [before, *operands])
    elif len(operands) == 1:
        after = body.arithmetic("fadd", before, operands[0])
    elif strict:
        after = body.arithmetic("fadd", before, strong_mul(body, *operands))
    elif body.exact:
        after = body.arithmetic("fadd", before, body.arithmetic("fmul", *operands))
    else:
        after = body.intrinsic("fmuladd", *operands, before)  # rounded once where that is as fast
    body.do(f"store {body.vector} {after}, ptr {total}")


@contextmanager
def again_where_nan(body: Body, sums: list[Name], begins: list[Name]) -> Iterator[None]:
    """Let sums begin again for what is written inside, which runs where one of them is nan."""
    totals = [body.let(f"load {body.vector}, ptr {total}") for total in sums]
    with body.when(body.any(any_nan(body, totals))):
        for total, begin in zip(sums, begins, strict=True):
            body.do(f"store {body.vector} {begin}, ptr {total}")
        yield


def column_of(body: Body, kind: str, word: Name, term: Name) -> Name:
    """Return the column of a term: by stride, from a table, or the term itself."""
    if kind == "full":
        return term
    return body.let(f"mul nsw i64 {term}, {word}") if kind == "stride" else body.entry(word, term)


def any_nan(body: Body, totals: list[Name]) -> Name:
    """Return a mask that is set wherever one of the numbers is nan (or infinities of both signs meet)."""
    together = totals[0]
    for total in totals[1:]:
        together = body.arithmetic("fadd", together, total)
    return body.compare("uno", together, together)
