"""Sums over rows: how they are laid out in tiles that stay in registers, and the kernels that add them up.

`RowSums` adds up single numbers, `OuterSums` every a times every b: a matrix product over the whole batch.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from nodegrad.compiler.backends.llvm.fuse import Records
from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed
from nodegrad.compiler.backends.llvm.kernels import Fields, accumulated, any_nan, keep, kept
from nodegrad.compiler.reduction import Reduction
from nodegrad.compiler.slots import outer, separable
from nodegrad.compiler.vector import Slots

__all__ = ()

_TILE = 4  # sums of single numbers that are in registers at once: so additions need not wait
_LEFT = 4  # slots of the left side whose sums are in registers at once
_VECTORS = 2  # vectors in a row of a panel
_STEPS = 16  # groups of rows in a panel: so it stays in the first cache


def plan_sums(records: Records, plan: Reduction, lanes: int, width: int) -> tuple[Slots, int]:
    """Lay out sums over rows in tiles whose sums stay in registers, and add their records.

    Returns:
        For each result where it is among the sums, and how many sums there are.
    """
    records.length = width
    places: list[Slots] = []
    size = 0

    def add_rows(*factors: Slots, strong: bool = False) -> None:
        """Add sums of single numbers, or of products of pairs of them."""
        nonlocal size
        filled = [_filled(slots, _TILE) for slots in factors]
        places.append(size + np.arange(len(factors[0])))
        words = [len(filled[0]) // _TILE, *map(records.table, filled), size]
        records.add(RowSums(lanes, len(factors), strong), words)
        size += len(filled[0])

    if len(plan.slots):
        add_rows(plan.slots)
    for each in plan.products:
        factors: Any = [separable(slots) for slots in (each.a, each.b)]
        grid: Any = outer(*[rows for rows, _ in factors])
        if not fills_tiles(width, *grid):
            add_rows(each.a[:, 0], each.b[:, 0], strong=each.strong)
            continue
        sums, _, swapped, tiles, panels = _tiles(width, *grid)
        tile, panel = _LEFT, _VECTORS * width
        sides = [(rows, columns) for rows, (_, columns) in zip(grid, factors, strict=True)]
        words = [panels, tiles, each.a.shape[1]]
        for (rows, columns), filled in zip(sides[::-1] if swapped else sides, (tile, panel), strict=True):
            words += [records.table(_filled(rows, filled)), records.table(columns)]
        records.add(OuterSums(lanes, each.strong), [*words, swapped, size])
        i, j = np.ogrid[: len(grid[0]), : len(grid[1])]
        i, j = (j, i) if swapped else (i, j)
        places.append((size + (j // panel * tiles * tile + i) * panel + j % panel).ravel())
        size += sums
    return np.concatenate([np.zeros(0, np.int64), *places])[plan.take], size


def fills_tiles(width: int, x: Slots, y: Slots) -> bool:
    """Return whether the products of every x and every y fill more than half of the tiles they take.

    If not, they are added up like single numbers: a dot product over 100,000 rows in a fifteenth of the time.
    """
    return 2 * len(x) * len(y) > _tiles(width, x, y)[0]


def _tiles(width: int, x: Slots, y: Slots) -> tuple[int, ...]:
    """Return how many sums products take, slots laid out, if y is the left side, tiles of a panel, panels."""
    tile, panel = _LEFT, _VECTORS * width
    found = []
    for swapped, (left, right) in enumerate(((len(x), len(y)), (len(y), len(x)))):
        tiles, panels = -(-left // tile), -(-right // panel)
        found.append((tiles * tile * panels * panel, right, swapped, tiles, panels))
    return min(found)


def _filled(slots: Slots, size: int) -> Slots:
    """Return slots, the last repeated to fill a tile."""
    return np.concatenate([slots, np.repeat(slots[-1:], -len(slots) % size)])


@dataclass(frozen=True, slots=True)
class RowSums:
    """s[k] = sum over rows of a[k], or of a[k] * b[k], `_TILE` sums at a time.

    Called as (varying slots of the first group, results, record, [groups, bytes per group, rows, rows before
    these]).
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register
    factors: int
    strong: bool

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, tiles, a table of slots for each factor, result.

        for each tile, for each piece of rows that fills a register, then for what is left: s += a * b
        """
        body.as_written()
        fields = Fields(body)
        tiles, tables = fields.next(), [fields.pointer() for _ in range(self.factors)]
        base, (_, stride, rows, before) = fields.next(), _called_for(body)
        anew = body.let(f"icmp eq i64 {before}, 0")
        pieces, left = (body.let(f"{each} i64 {rows}, {body.lanes}") for each in ("udiv", "urem"))
        with body.loop(tiles, runs=True) as number:
            start = number * _TILE
            slots = [_slots_of(body, table, start, _TILE, self.lanes) for table in tables]
            sums = [body.number(0.0)] * _TILE
            with body.loop(pieces, carried=sums) as piece:
                self._add(body, sums, slots, piece, stride, None)
            with body.when(body.let(f"icmp ne i64 {left}, 0"), sums):
                self._add(body, sums, slots, pieces, stride, _below(body, left))
            _add_to_results(body, *_sum_lanes(body, sums), base + start, anew)
        return fields.go_on()

    def _add(
        self, body: Body, sums: list[Name], slots: Any, piece: Name, stride: Name, mask: Name | None
    ) -> None:
        """Add a piece of the rows to the sums; only the lanes of the mask, if it is given."""
        pieces, zero = self.lanes // body.lanes, body.number(0.0)  # pieces of a group
        group, place = (body.let(f"{each} i64 {piece}, {pieces}") for each in ("udiv", "urem"))
        offset = group * stride + place * (8 * body.lanes)
        for k, pair in enumerate(zip(*slots, strict=True)):
            x, *others = [_aligned(body, slot, offset) for slot in pair]
            counts = [body.compare("une", x, zero)] if self.strong else []
            counts += [] if mask is None else [mask]
            x = body.arithmetic("fmul", x, *others) if others else x
            if counts:
                both = reduce(lambda one, other: body.let(f"and {body.mask} {one}, {other}"), counts)
                x = body.choose(both, x, zero)
            sums[k] = body.arithmetic("fadd", sums[k], x)


def _called_for(body: Body) -> list[Name]:
    """Return the groups a kernel is called for, bytes per group, its rows, and the rows before these."""
    return [body.field("%c", place) for place in range(4)]


def _slots_of(body: Body, table: Name, start: Name, count: int, lanes: int) -> list[Name]:
    """Return the addresses of the slots table[start], table[start + 1], ... in the first group."""
    first = body.at(table, start, "i32")
    return [body.at("%v", body.entry(first, place), f"[{lanes} x double]") for place in range(count)]


def _add_to_results(body: Body, kind: str, sums: list[Name], place: Name, anew: Name) -> None:
    """Write results[place + k] += sums[k], or = sums[k] if the rows are the first (`anew`)."""
    first = body.at("%u", place, "double")
    for k, total in enumerate(sums):
        address = body.at(first, k, kind)
        after = body.let(f"fadd {kind} {body.load(kind, address, 8)}, {total}")
        body.store(kind, body.let(f"select i1 {anew}, {kind} {total}, {kind} {after}"), address, 8)


def _sum_lanes(body: Body, sums: list[Name]) -> tuple[str, list[Name]]:
    """Return t[k] = sum over lanes of s[k], in vectors that hold one total after the other, and their type.

    Neighbours are added in pairs of vectors, so that a vector of totals takes one step per halving.
    """
    parts = body.lanes  # lanes that are left of each sum

    def halves(x: Name, y: Name, lanes: int) -> list[Name]:
        return [body.shuffle(x, y, body.lanes, range(first, lanes, 2)) for first in (0, 1)]

    while parts > 1 and len(sums) > 1:
        pairs = zip(sums[::2], sums[1::2], strict=True)
        sums = [body.arithmetic("fadd", *halves(*pair, 2 * body.lanes)) for pair in pairs]
        parts //= 2
    if parts == 1:
        return body.vector, sums
    x, y = halves(sums[0], sums[0], body.lanes)
    kind = f"<{body.lanes // 2} x double>"
    return kind, [body.let(f"fadd {kind} {x}, {y}")]


def _below(body: Body, limit: Name) -> Name:
    """Return the mask of the lanes below a limit."""
    numbers = ", ".join(f"i64 {lane}" for lane in range(body.lanes))
    return body.let(f"icmp slt {body.kind('i64')} <{numbers}>, {body.splat(limit, 'i64')}")


def _aligned(body: Body, start: Name, at: Name | int) -> Name:
    """Load a vector at an offset in bytes from an address; vectors of one register are aligned there."""
    return body.load(body.vector, body.at(start, at, "i8"), 8 * body.lanes)


@dataclass(frozen=True, slots=True)
class OuterSums:
    """s[i, j] = sum over rows and t of a[i, t] * b[j, t], for all i of the left side and all j of the right.

    The right side is cut into panels that are two vectors wide. The numbers of a panel are copied so that
    those of a row lie side by side. Then one number of the left side multiplies whole vectors of the right,
    and the sums of a tile (`_LEFT` i, a panel of j) stay in registers. Called like RowSums.
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register
    strong: bool

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, panels, tiles of each, terms, sides, if swapped, result.

        The words of a side are tables of its rows and of its columns.

        for each panel of the right side, for each 16 steps (a term and a group of rows):
            lay out the panel's numbers
            for each tile of the left side: add up its sums over these steps, and add them to the results
        """
        body.as_written()
        fields = Fields(body)
        panels, tiles, terms = fields.next(), fields.next(), fields.next()
        tables, columns = zip(*[(fields.pointer(), fields.pointer()) for _ in range(2)], strict=True)
        swapped, base = fields.next(), fields.next()
        groups, stride, rows, before = _called_for(body)
        steps = terms * groups
        panel = body.room(_STEPS * self.lanes * _VECTORS, body.vector)
        notes = body.room(2 * _STEPS, "i64")  # of each step: where it reads the left side, and how many rows
        with body.loop(panels, runs=True) as number, body.loop(steps, step=_STEPS, runs=True) as first:
            count = body.smaller(steps - first, str(_STEPS))
            with body.loop(count, runs=True) as place:
                step = first + place
                term, group = (body.let(f"{each} i64 {step}, {groups}") for each in ("udiv", "urem"))
                offsets = [body.entry(each, term) * (8 * self.lanes) for each in columns]
                left, right = (group * stride + offset for offset in offsets)
                note = body.at(notes, place, "[2 x i64]")
                body.put(note, left, body.smaller(rows - group * self.lanes, str(self.lanes)))
                self._lay_out(body, tables[1], number, right, self._lines(body, panel, place))
            anew = body.let(f"icmp eq i64 {body.let(f'or i64 {before}, {first}')}, 0")
            with body.loop(tiles, runs=True) as tile:
                totals = self._tile(body, tables[0], tile * _LEFT, count, panel, notes, swapped)
                start = base + (number * tiles + tile) * (_LEFT * _VECTORS * body.lanes)
                with body.loop(str(_LEFT * _VECTORS)) as k:
                    _add_to_results(body, body.vector, [kept(body, totals, k)], start + k * body.lanes, anew)
        return fields.go_on()

    def _lines(self, body: Body, panel: Name, place: Name) -> Name:
        """Return where the lines of a step begin in a panel."""
        return body.at(panel, place * (self.lanes * _VECTORS), body.vector)

    def _lay_out(self, body: Body, table: Name, number: Name, offset: Name, lines: Name) -> None:
        """Write lines[row, j] = b[j, row] for the rows of a step and the j of a panel, a square at a time."""
        begin = number * _VECTORS
        with body.loop(str(_VECTORS)) as vector:
            slots = _slots_of(body, table, (begin + vector) * body.lanes, body.lanes, self.lanes)
            with body.loop(str(self.lanes), step=body.lanes) as piece:
                at = offset + piece * 8
                block = [_aligned(body, slot, at) for slot in slots]
                first = body.at(lines, vector + piece * _VECTORS, body.vector)
                for row, numbers in enumerate(transposed(body, block)):
                    target = body.at(first, row * _VECTORS, body.vector)
                    body.store(body.vector, numbers, target, 8 * body.lanes)

    def _tile(
        self, body: Body, table: Name, start: Name, count: Name, panel: Name, notes: Name, swapped: Name
    ) -> Name:
        """Return the address of a tile's sums over the steps of a panel; strong sums if one is nan."""
        room = body.room(_LEFT * _VECTORS, body.vector)
        slots = _slots_of(body, table, start, _LEFT, self.lanes)
        sums = self._sums(body, slots, count, panel, notes, None)
        for place, total in enumerate(sums):
            keep(body, total, room, place)
        if self.strong:
            with body.when(any_nan(body, sums)), body.loop(str(_LEFT)) as k:
                second = body.let(f"icmp ne i64 {swapped}, 0")  # the left side is the second factor
                slot = _slots_of(body, table, start + k, 1, self.lanes)
                for place, total in enumerate(self._sums(body, slot, count, panel, notes, second)):
                    keep(body, total, room, k * _VECTORS + place)
        return room

    def _sums(
        self, body: Body, slots: list[Name], count: Name, panel: Name, notes: Name, swapped: Name | None
    ) -> list[Name]:
        """Return s[k, j] = sum over steps and rows of a[k] * b[j], k in `slots` and j in a panel's vectors.

        Products are strong if `swapped` is given; it says whether b is then the first factor.
        """
        sums = [body.number(0.0)] * (len(slots) * _VECTORS)
        with body.loop(count, carried=sums, runs=True) as step:
            note = body.at(notes, step, "[2 x i64]")
            offset, rows, lines = body.field(note, 0), body.field(note, 1), self._lines(body, panel, step)
            places = [body.at(slot, offset, "i8") for slot in slots]
            with body.loop(rows, carried=sums, runs=True) as row:
                line = body.at(lines, row * _VECTORS, body.vector)
                vectors = [_aligned(body, line, 8 * k * body.lanes) for k in range(_VECTORS)]
                for k, slot in enumerate(places):
                    number = body.splat(body.load("double", body.at(slot, row, "double")))
                    for j, vector in enumerate(vectors, k * _VECTORS):
                        operands = [number, vector]
                        if swapped:
                            operands = [body.either(swapped, x, y) for x, y in (operands[::-1], operands)]
                        sums[j] = accumulated(body, sums[j], operands, swapped is not None)
        return sums
