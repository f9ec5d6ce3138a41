"""The driver: takes rows through the kernels group by group, and blocks of groups through the sums."""

import ctypes
from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed

__all__ = ()

WORDS = (
    *("records", "record_count", "sum_records", "sum_count", "varying", "group_bytes"),
    *("outputs", "block", "once", "once_count"),
    # These differ from run to run.
    *("uniform", "inputs", "input_blocks", "results", "result_blocks", "start", "stop", "rows"),
)


class Context(ctypes.Structure):
    """The words that a driver is called with.

    A driver runs the records of the prologue (`once`) first, of which there are none if rows follow.
    `inputs` and `results` lead to tables of blocks: arrays [row, number], each as (address, bytes from row to
    row, bytes from number to number, numbers in a row). For sums, `results` leads to the sums, in tiles.
    """

    _fields_ = [(name, ctypes.c_int64) for name in WORDS]  # what ctypes expects


_POINTERS = {"once", "records", "sum_records", "varying", "uniform", "inputs", "outputs", "results"}


@dataclass(frozen=True, slots=True)
class Driver:
    """Takes rows start..stop through the kernels, a block of groups at a time; a group has `lanes` rows.

    for each record of the prologue: call its kernel
    for each block:
        v[group, slot, lane] = inputs[row, number]            # copied
        for each group: for each record: call its kernel
        results[row, number] = v[group, output slot, lane]    # copied; for sums: call each record's kernel
    """

    sums: bool
    squares: bool  # whether a row may have so many numbers that they fill a vector register

    def write(self, body: Body) -> str:
        """Write the driver."""
        words = {
            name: body.field("%x", place, "ptr" if name in _POINTERS else "i64")
            for place, name in enumerate(WORDS)
        }
        _call_records(body, words["once"], words["once_count"], words["uniform"], words["uniform"])
        block = body.let(f"mul nsw i64 {words['block']}, {body.lanes}")
        counts = body.room(4, "i64")
        with body.loop(words["stop"], words["start"], step=block) as row:
            taken = body.smaller(block, body.let(f"sub nsw i64 {words['stop']}, {row}"))
            full, rest = (body.let(f"{each} i64 {taken}, {body.lanes}") for each in ("sdiv", "srem"))
            some = body.let(f"icmp sgt i64 {rest}, 0")
            groups = body.let(f"add nsw i64 {full}, {body.let(f'zext i1 {some} to i64')}")
            _gather(body, words, row, groups, self.squares)
            with body.loop(groups) as group:
                slots = _slots_of(body, words, group)
                _call_records(body, words["records"], words["record_count"], slots, words["uniform"])
            if not self.sums:
                _scatter(body, words, row, groups)
            else:
                before = body.let(f"sub nsw i64 {row}, {words['start']}")
                for place, word in enumerate((full, words["group_bytes"], rest, before)):
                    at = body.let(f"getelementptr i64, ptr {counts}, i64 {place}")
                    body.do(f"store i64 {word}, ptr {at}")
                records, count = words["sum_records"], words["sum_count"]
                _call_records(body, records, count, words["varying"], words["results"], f", ptr {counts}")
        return "ptr %x"


def _call_records(body: Body, records: Name, count: Name, slots: Name, uniform: Name, more: str = "") -> None:
    with body.loop(count) as number:
        record = body.field(records, number, "ptr")
        function = body.let(f"load ptr, ptr {record}")
        body.do(f"call void {function}(ptr {slots}, ptr {uniform}, ptr {record}{more})")


def _slots_of(body: Body, words: dict[str, Name], group: Name) -> Name:
    """Return where the slots of a group of the block begin."""
    offset = body.let(f"mul nsw i64 {group}, {words['group_bytes']}")
    return body.let(f"getelementptr i8, ptr {words['varying']}, i64 {offset}")


class _Rows:
    """A block of rows as a loop over its numbers reads or writes it: array [row, number], from `row` on."""

    def __init__(self, body: Body, words: dict[str, Name], table: Name, number: Name, row: Name) -> None:
        place = body.let(f"getelementptr [4 x i64], ptr {table}, i64 {number}")
        self.body, self.start = body, body.field(place, 0, "ptr")
        self.down, self.across, self.width = (body.field(place, word) for word in (1, 2, 3))
        self.row, self.left = row, body.let(f"sub nsw i64 {words['rows']}, {row}")

    def move(self, group: Name) -> Name:
        """Go to a group of rows; return how many rows are left, those of this group among them."""
        body = self.body
        before = body.let(f"mul nsw i64 {group}, {body.lanes}")
        offset = body.let(f"mul nsw i64 {body.let(f'add nsw i64 {self.row}, {before}')}, {self.down}")
        self.rows = body.let(f"getelementptr i8, ptr {self.start}, i64 {offset}")
        left = body.let(f"sub nsw i64 {self.left}, {before}")
        self.whole = body.let(f"icmp sge i64 {left}, {body.lanes}")
        return left

    def if_whole(self, stride: Name, count: Name) -> Name:
        """Return the count if no row is missing and numbers lie side by side by that stride; or else 0."""
        both = self.body.let(f"and i1 {self.whole}, {self.body.let(f'icmp eq i64 {stride}, 8')}")
        return self.body.let(f"select i1 {both}, i64 {count}, i64 0")

    def address(self, column: Name, row: Name | int) -> Name:
        """Return where a number of a row is, counted from the first row of the group."""
        body = self.body
        across = body.let(f"mul nsw i64 {column}, {self.across}")
        found = body.let(f"getelementptr i8, ptr {self.rows}, i64 {across}")
        if row == 0:
            return found
        return body.let(f"getelementptr i8, ptr {found}, i64 {body.let(f'mul nsw i64 {row}, {self.down}')}")


def _gather(body: Body, words: dict[str, Name], row: Name, groups: Name, squares: bool) -> None:
    """Write v[group, slot, lane] = inputs[row, number]; past the last row, that row again.

    Where the numbers of a slot lie side by side they are one vector. Where those of a row do, squares of them
    are turned in registers. The rest, and the last rows, go number by number.
    """
    before = ["0"]  # numbers in the blocks before
    width = max(1, body.lanes // 2)  # what a vector register holds
    vector, lanes = f"<{width} x double>", str(body.lanes)
    with body.loop(words["input_blocks"], carried=before, kind="i64") as number:
        rows = _Rows(body, words, words["inputs"], number, row)
        (start,) = before
        with body.loop(groups) as group:
            left = rows.move(group)
            slots = _slots_of(body, words, group)
            first = body.let(f"getelementptr {body.vector}, ptr {slots}, i64 {start}")

            def slot(column: Name, lane: Name | int, first: Name = first) -> Name:
                at = body.let(f"getelementptr {body.vector}, ptr {first}, i64 {column}")
                return at if lane == 0 else body.let(f"getelementptr double, ptr {at}, i64 {lane}")

            done = rows.if_whole(rows.down, rows.width)
            with body.loop(done) as column:
                found = body.let(f"load {body.vector}, ptr {rows.address(column, 0)}, align 8")
                body.do(f"store {body.vector} {found}, ptr {slot(column, 0)}, align 8")
            if squares:
                more = body.let(f"sub nsw i64 {rows.width}, {done}")
                whole = body.let(f"sub nsw i64 {more}, {body.let(f'srem i64 {more}, {width}')}")
                squared = rows.if_whole(rows.across, whole)
                with body.loop(squared, step=width) as column, body.loop(lanes, step=width) as part:
                    lines = []
                    for line in range(width):
                        at = rows.address(column, body.let(f"add nsw i64 {part}, {line}"))
                        lines.append(body.let(f"load {vector}, ptr {at}, align 8"))
                    for line, numbers in enumerate(transposed(body, lines)):
                        at = slot(body.let(f"add nsw i64 {column}, {line}"), part)
                        body.do(f"store {vector} {numbers}, ptr {at}, align 8")
                done = body.let(f"add nsw i64 {done}, {squared}")
            last = body.let(f"sub nsw i64 {left}, 1")
            with body.loop(rows.width, done) as column, body.loop(lanes) as lane:
                found = body.let(f"load double, ptr {rows.address(column, body.smaller(lane, last))}")
                body.do(f"store double {found}, ptr {slot(column, lane)}")
        before[0] = body.let(f"add nsw i64 {start}, {rows.width}")


def _scatter(body: Body, words: dict[str, Name], row: Name, groups: Name) -> None:
    """Write results[row, number] = v[group, output slot, lane]; past the last row, nothing."""
    before = ["0"]
    with body.loop(words["result_blocks"], carried=before, kind="i64") as number:
        rows = _Rows(body, words, words["results"], number, row)
        (start,) = before
        outputs = body.let(f"getelementptr i64, ptr {words['outputs']}, i64 {start}")
        with body.loop(groups) as group:
            lanes = body.smaller(str(body.lanes), rows.move(group))
            slots = _slots_of(body, words, group)
            done = rows.if_whole(rows.down, rows.width)
            with body.loop(done) as column:
                source = body.let(
                    f"getelementptr {body.vector}, ptr {slots}, i64 {body.field(outputs, column)}"
                )
                value = body.let(f"load {body.vector}, ptr {source}, align {8 * min(body.lanes, 8)}")
                body.do(f"store {body.vector} {value}, ptr {rows.address(column, 0)}, align 8")
            with body.loop(rows.width, done) as column, body.loop(lanes) as lane:
                source = body.let(
                    f"getelementptr {body.vector}, ptr {slots}, i64 {body.field(outputs, column)}"
                )
                source = body.let(f"getelementptr double, ptr {source}, i64 {lane}")
                found = body.let(f"load double, ptr {source}")
                body.do(f"store double {found}, ptr {rows.address(column, lane)}")
        before[0] = body.let(f"add nsw i64 {start}, {rows.width}")
