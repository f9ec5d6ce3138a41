"""The kernel of sums over rows of every a times every b: a matrix product over the whole batch."""

from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed
from nodegrad.compiler.backends.llvm.kernels import Columns, Fields, accumulated, any_nan, keep, kept
from nodegrad.compiler.backends.llvm.row_sums import Groups, add_to_results, aligned, slots_of

__all__ = ()

TILE = 4  # slots of the left side whose sums are in registers at once
VECTORS = 2  # vectors in a row of a panel
_STEPS = 16  # groups of rows in a panel: so it stays in the first cache


@dataclass(frozen=True, slots=True)
class OuterSums:
    """s[i, j] = sum over rows and t of a[i, t] * b[j, t], for all i of the left side and all j of the right.

    The right side is cut into panels that are two vectors wide. The numbers of a panel are copied so that
    those of a row lie side by side. Then one number of the left side multiplies whole vectors of the right,
    and the sums of a tile (`TILE` i, a panel of j) stay in registers. Called like RowSums.
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register
    columns: tuple[str, ...]
    strong: bool

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, panels, tiles of each, terms, sides, if swapped, result.

        for each panel of the right side, for each 16 steps (a term and a group of rows):
            lay out the panel's numbers
            for each tile of the left side: add up its sums over these steps, and add them to the results
        """
        fields = Fields(body)
        panels, tiles, terms = fields.next(), fields.next(), fields.next()
        tables, columns = [], []
        for kind in self.columns:
            table, word = fields.factor(kind)
            tables.append(table)
            columns.append(Columns(body, kind, word, 8 * self.lanes))
        swapped, base = fields.next(), fields.next()
        groups = Groups(body, self.lanes)
        steps = terms * groups.count
        panel = body.room(_STEPS * self.lanes * VECTORS, body.vector)
        notes = body.room(2 * _STEPS, "i64")  # of each step: where it reads the left side, and how many rows
        with body.loop(panels, runs=True) as number, body.loop(steps, step=_STEPS, runs=True) as first:
            count = body.smaller(steps - first, str(_STEPS))
            with body.loop(count, runs=True) as place:
                step = first + place
                term = body.let(f"sdiv i64 {step}, {groups.count}")
                group = body.let(f"srem i64 {step}, {groups.count}")
                before = group * groups.stride
                left, right = (before + each.offset(term) for each in columns)
                note = body.at(notes, place, "[2 x i64]")
                body.store("i64", left, note)
                body.store("i64", groups.rows(group), body.at(note, 1))
                self._lay_out(body, tables[1], number, right, self._lines(body, panel, place))
            anew = body.let(f"icmp eq i64 {body.let(f'or i64 {groups.before}, {first}')}, 0")
            before = number * tiles
            with body.loop(tiles, runs=True) as tile:
                totals = self._tile(body, tables[0], tile * TILE, count, panel, notes, swapped)
                start = base + (before + tile) * (TILE * VECTORS * body.lanes)
                with body.loop(str(TILE * VECTORS)) as k:
                    add_to_results(body, [kept(body, totals, k)], start + k * body.lanes, anew)
        return fields.go_on()

    def _lines(self, body: Body, panel: Name, place: Name) -> Name:
        """Return where the lines of a step begin in a panel."""
        return body.at(panel, place * (self.lanes * VECTORS), body.vector)

    def _lay_out(self, body: Body, table: Name, number: Name, offset: Name, lines: Name) -> None:
        """Write lines[row, j] = b[j, row] for the rows of a step and the j of a panel, a square at a time."""
        begin = number * VECTORS
        with body.loop(str(VECTORS)) as vector:
            slots = slots_of(body, table, (begin + vector) * body.lanes, body.lanes, self.lanes)
            with body.loop(str(self.lanes), step=body.lanes) as piece:
                at = offset + piece * 8
                block = [aligned(body, slot, at) for slot in slots]
                first = body.at(lines, vector + piece * VECTORS, body.vector)
                for row, numbers in enumerate(transposed(body, block)):
                    target = body.at(first, row * VECTORS, body.vector)
                    body.store(body.vector, numbers, target, 8 * body.lanes)

    def _tile(
        self, body: Body, table: Name, start: Name, count: Name, panel: Name, notes: Name, swapped: Name
    ) -> Name:
        """Return the address of a tile's sums over the steps of a panel; strong sums if one is nan."""
        room = body.room(TILE * VECTORS, body.vector)
        slots = slots_of(body, table, start, TILE, self.lanes)
        sums = self._sums(body, slots, count, panel, notes, None)
        for place, total in enumerate(sums):
            keep(body, total, room, place)
        if self.strong:
            with body.when(any_nan(body, sums)), body.loop(str(TILE)) as k:
                second = body.let(f"icmp ne i64 {swapped}, 0")  # the left side is the second factor
                slot = slots_of(body, table, start + k, 1, self.lanes)
                for place, total in enumerate(self._sums(body, slot, count, panel, notes, second)):
                    keep(body, total, room, k * VECTORS + place)
        return room

    def _sums(
        self, body: Body, slots: list[Name], count: Name, panel: Name, notes: Name, swapped: Name | None
    ) -> list[Name]:
        """Return s[k, j] = sum over steps and rows of a[k] * b[j], k in `slots` and j in a panel's vectors.

        Products are strong if `swapped` is given; it says whether b is then the first factor.
        """
        sums = [body.number(0.0)] * (len(slots) * VECTORS)
        with body.loop(count, carried=sums, runs=True) as step:
            note = body.at(notes, step, "[2 x i64]")
            offset, rows, lines = body.field(note, 0), body.field(note, 1), self._lines(body, panel, step)
            places = [body.at(slot, offset, "i8") for slot in slots]
            with body.loop(rows, carried=sums, runs=True) as row:
                line = body.at(lines, row * VECTORS, body.vector)
                vectors = [aligned(body, line, 8 * k * body.lanes) for k in range(VECTORS)]
                for k, slot in enumerate(places):
                    number = body.splat(body.load("double", body.at(slot, row, "double")))
                    for j, vector in enumerate(vectors, k * VECTORS):
                        operands = [number, vector]
                        if swapped:
                            operands = [body.either(swapped, x, y) for x, y in (operands[::-1], operands)]
                        sums[j] = accumulated(body, sums[j], operands, swapped is not None)
        return sums
