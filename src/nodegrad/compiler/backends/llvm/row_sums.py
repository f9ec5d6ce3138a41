"""The kernel of sums over rows: Σ_rows Σₜ a·b, or Σ_rows a, a few at a time in registers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.backends.llvm.kernels import Fields, accumulate, again_where_nan, column_of

TILE = 8  # sums that are in registers at once


class _Tile(NamedTuple):
    """What a tile is summed from: per factor, what its columns are found by and the addresses of its rows."""

    columns: list[Name]
    rows: list[list[Name]]
    sums: list[Name]
    terms: Name


@dataclass(frozen=True, slots=True)
class RowSums:
    """Sums over rows: Σ_rows Σₜ a·b for a and b of equal place, or Σ_rows a.

    Called as (varying slots of the first group, results, record, [full groups, bytes per group, lanes of the
    last, rows before these]).
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register
    columns: tuple[str, ...]
    strong: bool

    def write(self, body: Body) -> str:
        """Write the kernel. Record: function, tiles, terms, two words a factor, result."""
        fields = Fields(body)
        tiles, terms = fields.next(), fields.next()
        factors = [fields.factor(columns) for columns in self.columns]
        base = fields.next()
        full, stride, rest, rows_before = (body.field("%c", index) for index in range(4))
        anew = body.let(f"icmp eq i64 {rows_before}, 0")
        with body.loop(tiles) as number:
            start = body.let(f"mul nsw i64 {number}, {TILE}")
            rows = [slots_of(body, table, start, TILE, self.lanes) for table, _ in factors]
            sums = [body.variable(body.vector, body.number(0.0)) for _ in range(TILE)]
            tile = _Tile([word for _, word in factors], rows, sums, terms)
            self._add_groups(body, tile, (full, stride, rest), strict=False)
            if self.strong:
                with again_where_nan(body, sums, [body.number(0.0)] * TILE):
                    self._add_groups(body, tile, (full, stride, rest), strict=True)
            add_to_results(body, _sum_lanes(body, sums), body.let(f"add nsw i64 {base}, {start}"), anew)
        return "ptr noalias %v, ptr noalias %u, ptr noalias %r, ptr noalias %c"

    def _add_groups(self, body: Body, tile: _Tile, groups: tuple[Name, Name, Name], strict: bool) -> None:
        full, stride, rest = groups
        some = body.let(f"icmp sgt i64 {rest}, 0")

        def add_in_pieces(group: Name, rows: Name) -> None:
            offset = body.let(f"mul nsw i64 {group}, {stride}")
            with body.loop(str(self.lanes), step=body.lanes) as first:
                mask = _below(body, body.let(f"sub nsw i64 {rows}, {first}"), 0)
                place = body.let(f"add nsw i64 {offset}, {body.let(f'mul nsw i64 {first}, 8')}")
                self._add_group(body, tile, place, [mask], strict)

        if strict:  # rare, so whole groups go in pieces too: it is less code to compile
            last = body.let(f"zext i1 {some} to i64")
            with body.loop(body.let(f"add nsw i64 {full}, {last}")) as group:
                whole = body.let(f"icmp slt i64 {group}, {full}")
                add_in_pieces(group, body.let(f"select i1 {whole}, i64 {self.lanes}, i64 {rest}"))
            return
        with body.loop(full) as group:
            offset = body.let(f"mul nsw i64 {group}, {stride}")
            self._add_group(body, tile, offset, [None] * (self.lanes // body.lanes), strict)
        with body.when(some):
            add_in_pieces(full, rest)

    def _add_group(
        self, body: Body, tile: _Tile, offset: Name, masks: Sequence[Name | None], strict: bool
    ) -> None:
        with body.loop(tile.terms) as t:
            shifts = []
            for word, kind in zip(tile.columns, self.columns, strict=True):
                place = body.let(f"mul nsw i64 {column_of(body, kind, word, t)}, {8 * self.lanes}")
                shifts.append(body.let(f"add nsw i64 {offset}, {place}"))
            for piece, mask in enumerate(masks):
                loaded = []
                for slots_, shift in zip(tile.rows, shifts, strict=True):
                    at = body.let(f"add nsw i64 {shift}, {piece * body.lanes * 8}")
                    loaded.append([_load_piece(body, slot, at, mask) for slot in slots_])
                for total, operands in zip(tile.sums, zip(*loaded, strict=True), strict=True):
                    accumulate(body, total, list(operands), strict)


def slots_of(body: Body, table: Name, start: Name, count: int, lanes: int) -> list[Name]:
    """Return the addresses of so many slots, in the first group, that stand in a table from a place on."""
    found = []
    for place in range(count):
        slot = body.entry(table, body.let(f"add nsw i64 {start}, {place}"))
        found.append(
            body.let(f"getelementptr i8, ptr %v, i64 {body.let(f'mul nsw i64 {slot}, {8 * lanes}')}")
        )
    return found


def add_to_results(body: Body, sums: list[Name], place: Name, anew: Name) -> None:
    """Add vectors to the results from a place on; where they begin anew, put them there."""
    for offset, total in enumerate(sums):
        at = body.let(f"add nsw i64 {place}, {offset * body.lanes}")
        address = body.let(f"getelementptr double, ptr %u, i64 {at}")
        before = body.let(f"load {body.vector}, ptr {address}, align 8")
        after = body.arithmetic("fadd", before, total)
        kept = body.either(anew, total, after)
        body.do(f"store {body.vector} {kept}, ptr {address}, align 8")


def _below(body: Body, limit: Name, first: int) -> Name:
    """Return the mask of the lanes that, counted from `first`, are below the limit."""
    lanes = f"<{body.lanes} x i64>"
    one = body.let(f"insertelement {lanes} poison, i64 {limit}, i32 0")
    limits = body.let(f"shufflevector {lanes} {one}, {lanes} poison, <{body.lanes} x i32> zeroinitializer")
    numbers = ", ".join(f"i64 {first + lane}" for lane in range(body.lanes))
    return body.let(f"icmp slt {lanes} <{numbers}>, {limits}")


def _load_piece(body: Body, slot: Name, at: Name, mask: Name | None) -> Name:
    address = body.let(f"getelementptr i8, ptr {slot}, i64 {at}")
    value = body.let(f"load {body.vector}, ptr {address}, align {8 * body.lanes}")
    return value if mask is None else body.choose(mask, value, body.number(0.0))


def _sum_lanes(body: Body, sums: list[Name]) -> list[Name]:
    """Add up the lanes of every sum: vectors that hold the totals, one after the other."""
    found = []
    kind, lanes = body.vector, body.lanes
    even = ", ".join(f"i32 {2 * lane}" for lane in range(lanes))
    odd = ", ".join(f"i32 {2 * lane + 1}" for lane in range(lanes))
    for start in range(0, len(sums), lanes):
        level = [body.let(f"load {kind}, ptr {total}") for total in sums[start : start + lanes]]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [
                body.arithmetic(
                    "fadd",
                    body.let(f"shufflevector {kind} {x}, {kind} {y}, <{lanes} x i32> <{even}>"),
                    body.let(f"shufflevector {kind} {x}, {kind} {y}, <{lanes} x i32> <{odd}>"),
                )
                for x, y in pairs
            ]
        found += level
    return found
