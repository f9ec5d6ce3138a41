"""The kernel of sums over rows of every a times every b: a matrix product over the whole batch."""

from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed
from nodegrad.compiler.backends.llvm.kernels import Fields, accumulate, again_where_nan, column_of
from nodegrad.compiler.backends.llvm.row_sums import add_to_results, slots_of

VECTORS = 2  # that a row of a panel has
_STEPS = 16  # groups of rows that a panel holds: it stays in the nearest cache


@dataclass(frozen=True, slots=True)
class OuterSums:
    """Σ_rows Σₜ a·b for every a of the left side and every b of the right, in tiles: sums stay in registers.

    The right side is cut into panels, two vectors wide. The numbers of a panel are laid out row by row, so
    that one number of the left side at a time multiplies vectors of the right. Called like RowSums.
    """

    lanes: int  # of a slot; the kernel itself works on vectors of one register
    left: int  # slots in a tile
    columns: tuple[str, str]
    strong: bool

    def write(self, body: Body) -> str:
        """Write the kernel. Record: function, panels, tiles of each, terms, sides, if swapped, result."""
        fields = Fields(body)
        panels, tiles, terms = fields.next(), fields.next(), fields.next()
        sides = [(kind, *fields.factor(kind)) for kind in self.columns]
        swapped, base = fields.next(), fields.next()
        full, stride, rest, rows_before = (body.field("%c", index) for index in range(4))
        some = body.let(f"icmp sgt i64 {rest}, 0")
        groups = body.let(f"add nsw i64 {full}, {body.let(f'zext i1 {some} to i64')}")
        steps = body.let(f"mul nsw i64 {terms}, {groups}")  # a group of rows for a term
        panel = body.room(_STEPS * self.lanes * VECTORS, body.vector)
        notes = body.room(2 * _STEPS, "i64")  # of each step: where it reads the left side, and how many rows
        with body.loop(panels) as number, body.loop(steps, step=_STEPS) as first:
            count = body.smaller(body.let(f"sub nsw i64 {steps}, {first}"), str(_STEPS))
            with body.loop(count) as place:
                step = body.let(f"add nsw i64 {first}, {place}")
                term = body.let(f"sdiv i64 {step}, {groups}")
                among = body.let(f"srem i64 {step}, {groups}")
                left, right = (self._offset(body, kind, word, term, among, stride) for kind, _, word in sides)
                whole = body.let(f"icmp slt i64 {among}, {full}")
                rows = body.let(f"select i1 {whole}, i64 {self.lanes}, i64 {rest}")
                note = body.let(f"getelementptr [2 x i64], ptr {notes}, i64 {place}")
                body.do(f"store i64 {left}, ptr {note}")
                body.do(f"store i64 {rows}, ptr {body.let(f'getelementptr i64, ptr {note}, i64 1')}")
                self._lay_out(body, sides[1][1], number, right, self._lines(body, panel, place))
            anew = body.let(f"icmp eq i64 {body.let(f'or i64 {rows_before}, {first}')}, 0")
            before = body.let(f"mul nsw i64 {number}, {tiles}")
            with body.loop(tiles) as tile:
                start = body.let(f"mul nsw i64 {tile}, {self.left}")
                slots = slots_of(body, sides[0][1], start, self.left, self.lanes)
                totals = self._totals(body, slots, count, panel, notes, swapped)
                done = body.let(f"add nsw i64 {before}, {tile}")
                words = body.let(f"mul nsw i64 {done}, {len(totals) * body.lanes}")
                add_to_results(body, totals, body.let(f"add nsw i64 {base}, {words}"), anew)
        return "ptr noalias %v, ptr noalias %u, ptr noalias %r, ptr noalias %c"

    def _offset(self, body: Body, kind: str, word: Name, term: Name, group: Name, stride: Name) -> Name:
        """Return the bytes from a slot in the first group to that of a term in another."""
        bytes_ = body.let(f"mul nsw i64 {column_of(body, kind, word, term)}, {8 * self.lanes}")
        return body.let(f"add nsw i64 {body.let(f'mul nsw i64 {group}, {stride}')}, {bytes_}")

    def _lines(self, body: Body, panel: Name, place: Name) -> Name:
        """Return where the rows of a step begin in a panel."""
        vectors = body.let(f"mul nsw i64 {place}, {self.lanes * VECTORS}")
        return body.let(f"getelementptr {body.vector}, ptr {panel}, i64 {vectors}")

    def _lay_out(self, body: Body, table: Name, number: Name, offset: Name, lines: Name) -> None:
        """Fill the lines of a step: the vectors of a row side by side, row after row."""
        begin = body.let(f"mul nsw i64 {number}, {VECTORS}")
        with body.loop(str(VECTORS)) as vector:
            start = body.let(f"mul nsw i64 {body.let(f'add nsw i64 {begin}, {vector}')}, {body.lanes}")
            slots = slots_of(body, table, start, body.lanes, self.lanes)
            with body.loop(str(self.lanes), step=body.lanes) as piece:
                at = body.let(f"add nsw i64 {offset}, {body.let(f'mul nsw i64 {piece}, 8')}")
                block = [_load(body, body.let(f"getelementptr i8, ptr {slot}, i64 {at}")) for slot in slots]
                first = body.let(f"add nsw i64 {vector}, {body.let(f'mul nsw i64 {piece}, {VECTORS}')}")
                for row, numbers in enumerate(transposed(body, block)):
                    place = body.let(f"add nsw i64 {first}, {row * VECTORS}")
                    target = body.let(f"getelementptr {body.vector}, ptr {lines}, i64 {place}")
                    body.do(f"store {body.vector} {numbers}, ptr {target}, align {8 * body.lanes}")

    def _totals(
        self, body: Body, slots: list[Name], count: Name, panel: Name, notes: Name, swapped: Name
    ) -> list[Name]:
        """Return the sums of a tile over the steps of a panel; a strong one is made again where it is nan."""
        sums = [body.variable(body.vector, body.number(0.0)) for _ in range(self.left * VECTORS)]
        self._add(body, slots, count, panel, notes, sums)
        if self.strong:
            with again_where_nan(body, sums, [body.number(0.0)] * len(sums)):
                second = body.let(f"icmp ne i64 {swapped}, 0")  # the left side is the second factor
                self._add(body, slots, count, panel, notes, sums, second)
        return [body.let(f"load {body.vector}, ptr {total}") for total in sums]

    def _add(
        self,
        body: Body,
        slots: list[Name],
        count: Name,
        panel: Name,
        notes: Name,
        sums: list[Name],
        swapped: Name | None = None,
    ) -> None:
        """Add the products of every step; strong ones where it is said whether the sides are swapped."""
        with body.loop(count) as place:
            note = body.let(f"getelementptr [2 x i64], ptr {notes}, i64 {place}")
            offset, rows, lines = body.field(note, 0), body.field(note, 1), self._lines(body, panel, place)
            with body.loop(rows) as row:
                begin = body.let(f"mul nsw i64 {row}, {VECTORS}")
                line = body.let(f"getelementptr {body.vector}, ptr {lines}, i64 {begin}")
                vectors = [
                    _load(body, body.let(f"getelementptr {body.vector}, ptr {line}, i64 {vector}"))
                    for vector in range(VECTORS)
                ]
                at = body.let(f"add nsw i64 {offset}, {body.let(f'mul nsw i64 {row}, 8')}")
                waiting = iter(sums)
                for slot in slots:
                    address = body.let(f"getelementptr i8, ptr {slot}, i64 {at}")
                    number = body.splat(body.let(f"load double, ptr {address}"))
                    for vector in vectors:
                        operands = [number, vector]
                        if swapped:
                            operands = [
                                body.either(swapped, vector, number),
                                body.either(swapped, number, vector),
                            ]
                        accumulate(body, next(waiting), operands, swapped is not None)


def _load(body: Body, address: Name) -> Name:
    return body.let(f"load {body.vector}, ptr {address}, align {8 * body.lanes}")
