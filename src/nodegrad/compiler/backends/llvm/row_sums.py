"""The kernel of sums over rows of single numbers, a few at a time in registers."""

from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.backends.llvm.kernels import Fields

__all__ = ()

TILE = 8  # sums that are in registers at once


@dataclass(frozen=True, slots=True)
class RowSums:
    """s[k] = sum over rows of a[k], `TILE` sums at a time.

    Called as (varying slots of the first group, results, record, [full groups, bytes per group, lanes of the
    last, rows before these]).
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, tiles, table of slots, result.

        for each tile, for each group, for each piece of its rows that fills a register: s += a
        """
        fields = Fields(body)
        tiles, table, base = fields.next(), fields.pointer(), fields.next()
        groups = Groups(body, self.lanes)
        with body.loop(tiles, runs=True) as number:
            start = number * TILE
            slots = slots_of(body, table, start, TILE, self.lanes)
            sums = [body.number(0.0)] * TILE
            with (
                body.loop(groups.count, carried=sums, runs=True) as group,
                body.loop(str(self.lanes), step=body.lanes, carried=sums) as first,
            ):
                mask = _below(body, groups.rows(group) - first)
                offset = group * groups.stride + first * 8
                for place, slot in enumerate(slots):
                    after = body.arithmetic("fadd", sums[place], aligned(body, slot, offset))
                    sums[place] = body.choose(mask, after, sums[place])
            add_to_results(body, _sum_lanes(body, sums), base + start, groups.anew)
        return fields.go_on()


class Groups:
    """The `count` groups of rows that a kernel of sums is called for. The last may be short."""

    def __init__(self, body: Body, lanes: int) -> None:
        self.body, self.lanes = body, lanes
        self.full, self.stride, self.rest, self.before = (body.field("%c", index) for index in range(4))
        some = body.let(f"icmp sgt i64 {self.rest}, 0")
        self.count = self.full + body.let(f"zext i1 {some} to i64")
        self.anew = body.let(f"icmp eq i64 {self.before}, 0")  # whether these rows are the first

    def rows(self, group: Name) -> Name:
        """Return how many rows a group has."""
        whole = self.body.let(f"icmp slt i64 {group}, {self.full}")
        return self.body.let(f"select i1 {whole}, i64 {self.lanes}, i64 {self.rest}")


def slots_of(body: Body, table: Name, start: Name, count: int, lanes: int) -> list[Name]:
    """Return the addresses of the slots table[start], table[start + 1], ... in the first group."""
    first = body.at(table, start, "i32")
    return [body.at("%v", body.entry(first, place), f"[{lanes} x double]") for place in range(count)]


def add_to_results(body: Body, sums: list[Name], place: Name, anew: Name) -> None:
    """Write results[place + k] += sums[k], or = sums[k] if the rows are the first (`anew`)."""
    first = body.at("%u", place, "double")
    for k, total in enumerate(sums):
        address = body.at(first, k, body.vector)
        after = body.arithmetic("fadd", body.load(body.vector, address, 8), total)
        body.store(body.vector, body.either(anew, total, after), address, 8)


def _below(body: Body, limit: Name) -> Name:
    """Return the mask of the lanes below a limit."""
    lanes = f"<{body.lanes} x i64>"
    one = body.let(f"insertelement {lanes} poison, i64 {limit}, i32 0")
    limits = body.let(f"shufflevector {lanes} {one}, {lanes} poison, <{body.lanes} x i32> zeroinitializer")
    numbers = ", ".join(f"i64 {lane}" for lane in range(body.lanes))
    return body.let(f"icmp slt {lanes} <{numbers}>, {limits}")


def aligned(body: Body, start: Name, at: Name | int) -> Name:
    """Load a vector at an offset in bytes from an address; vectors of one register are aligned there."""
    return body.load(body.vector, body.at(start, at, "i8"), 8 * body.lanes)


def _sum_lanes(body: Body, sums: list[Name]) -> list[Name]:
    """Return t[k] = sum over lanes of s[k], in vectors that hold one total after the other.

    Neighbours are added in pairs of vectors, so that a vector of totals takes one step per halving.
    """
    found = []
    lanes = body.lanes
    for start in range(0, len(sums), lanes):
        level = sums[start : start + lanes]
        while len(level) > 1:
            halves = [
                [body.shuffle(x, y, lanes, range(first, 2 * lanes, 2)) for first in (0, 1)]
                for x, y in zip(level[::2], level[1::2], strict=True)
            ]
            level = [body.arithmetic("fadd", *each) for each in halves]
        found += level
    return found
