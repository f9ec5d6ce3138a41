"""The drivers: take rows through the kernels group by group, and blocks of groups through the sums."""

import ctypes
from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed

WORDS = (
    *("records", "record_count", "sum_records", "sum_count", "varying", "group_bytes"),
    *("outputs", "output_count", "block", "sums", "once", "once_count"),
    # These differ from run to run.
    *("uniform", "inputs", "input_blocks", "results", "result_blocks", "start", "stop", "rows"),
)


class Context(ctypes.Structure):
    """The words that a driver is called with.

    A driver runs the records of the prologue (`once`) first, of which there are none if rows follow.
    `inputs` and `results` lead to tables of blocks: arrays [row, number], each as (address, bytes from row to
    row, bytes from number to number, numbers in a row). For sums, `results` leads to the results themselves.
    """

    _fields_ = [(name, ctypes.c_int64) for name in WORDS]  # what ctypes expects


_POINTERS = ("once", "records", "sum_records", "varying", "uniform", "inputs", "outputs", "results", "sums")


class _Words:
    """The words of a context, loaded. The records of the prologue run first, over uniform slots."""

    def __init__(self, body: Body) -> None:
        self.words = {name: body.field("%x", place) for place, name in enumerate(WORDS)}
        self.pointer = {name: body.let(f"inttoptr i64 {self.words[name]} to ptr") for name in _POINTERS}
        once, uniform = self.pointer["once"], self.pointer["uniform"]
        _call_records(body, once, self.words["once_count"], uniform, uniform)


@dataclass(frozen=True, slots=True)
class Rows:
    """Runs records over rows start..stop, and copies the outputs of each row."""

    squares: bool  # whether a row may have so many numbers that they fill a vector register

    def write(self, body: Body) -> str:
        """Write the driver."""
        context = _Words(body)
        words, pointer = context.words, context.pointer
        with body.loop(words["stop"], words["start"], step=body.lanes) as first:
            _run_group(body, context, pointer["varying"], first, self.squares)
            _scatter(body, words, pointer, first)
        return "ptr %x"


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over rows start..stop, block after block of groups, and puts the sums where they are wanted."""

    squares: bool  # as in `Rows`

    def write(self, body: Body) -> str:
        """Write the driver."""
        context = _Words(body)
        words, pointer = context.words, context.pointer
        counts = body.room(4, "i64")
        block = body.let(f"mul nsw i64 {words['block']}, {body.lanes}")
        with body.loop(words["stop"], words["start"], step=block) as row:
            taken = body.smaller(block, body.let(f"sub nsw i64 {words['stop']}, {row}"))
            with body.loop(taken, step=body.lanes) as inside:
                number = body.let(f"sdiv exact i64 {inside}, {body.lanes}")
                offset = body.let(f"mul nsw i64 {number}, {words['group_bytes']}")
                slots = body.let(f"getelementptr i8, ptr {pointer['varying']}, i64 {offset}")
                _run_group(body, context, slots, body.let(f"add nsw i64 {row}, {inside}"), self.squares)
            full = body.let(f"sdiv i64 {taken}, {body.lanes}")
            rest = body.let(f"srem i64 {taken}, {body.lanes}")
            before = body.let(f"sub nsw i64 {row}, {words['start']}")
            for place, word in enumerate((full, words["group_bytes"], rest, before)):
                at = body.let(f"getelementptr i64, ptr {counts}, i64 {place}")
                body.do(f"store i64 {word}, ptr {at}")
            records, count = pointer["sum_records"], words["sum_count"]
            _call_records(body, records, count, pointer["varying"], pointer["sums"], f", ptr {counts}")
        with body.loop(words["output_count"]) as output:
            wanted = body.field(pointer["outputs"], output)
            found = body.let(f"getelementptr double, ptr {pointer['sums']}, i64 {wanted}")
            target = body.let(f"getelementptr double, ptr {pointer['results']}, i64 {output}")
            body.do(f"store double {body.let(f'load double, ptr {found}')}, ptr {target}")
        return "ptr %x"


def _run_group(body: Body, context: _Words, slots: Name, first: Name, squares: bool) -> None:
    """Run records over the group of rows from `first` on."""
    words, pointer = context.words, context.pointer
    _gather(body, words, pointer, slots, first, squares)
    _call_records(body, pointer["records"], words["record_count"], slots, pointer["uniform"])


def _call_records(body: Body, records: Name, count: Name, slots: Name, uniform: Name, more: str = "") -> None:
    with body.loop(count) as number:
        record = body.field(records, number, "ptr")
        function = body.let(f"load ptr, ptr {record}")
        body.do(f"call void {function}(ptr {slots}, ptr {uniform}, ptr {record}{more})")


class _Block:
    """A block of rows, from row `first` on, as a loop over its numbers reads or writes it."""

    def __init__(self, body: Body, words: dict[str, Name], table: Name, number: Name, first: Name) -> None:
        place = body.let(f"getelementptr [4 x i64], ptr {table}, i64 {number}")
        self.body, self.last = body, body.let(f"sub nsw i64 {words['rows']}, 1")
        self.first = first
        start = body.field(place, 0, "ptr")
        self.down, self.across, self.width = (body.field(place, word) for word in (1, 2, 3))
        self.rows = body.let(
            f"getelementptr i8, ptr {start}, i64 {body.let(f'mul nsw i64 {first}, {self.down}')}"
        )
        end = body.let(f"add nsw i64 {first}, {body.lanes}")
        self.whole = body.let(f"icmp sle i64 {end}, {words['rows']}")

    def if_whole(self, stride: Name, count: Name) -> Name:
        """Return the count if no row is missing and numbers lie side by side by that stride; or else 0."""
        both = self.body.let(f"and i1 {self.whole}, {self.body.let(f'icmp eq i64 {stride}, 8')}")
        return self.body.let(f"select i1 {both}, i64 {count}, i64 0")

    def address(self, column: Name, row: Name | int) -> Name:
        """Return where a number of a row is, counted from the first row of the group."""
        body = self.body
        down, across = (
            body.let(f"mul nsw i64 {row}, {self.down}"),
            body.let(f"mul nsw i64 {column}, {self.across}"),
        )
        return body.let(f"getelementptr i8, ptr {self.rows}, i64 {body.let(f'add nsw i64 {down}, {across}')}")


def _gather(
    body: Body, words: dict[str, Name], pointer: dict[str, Name], slots: Name, first: Name, squares: bool
) -> None:
    """Copy a group of rows into the first slots; past the last row, that row again.

    Where the numbers of a slot lie side by side they are one vector. Where those of a row do, squares of them
    are turned in registers. The rest, and the last rows, go number by number.
    """
    before = ["0"]  # numbers in the blocks before
    width = max(1, body.lanes // 2)  # what a vector register holds
    vector = f"<{width} x double>"
    with body.loop(words["input_blocks"], carried=before, kind="i64") as number:
        block = _Block(body, words, pointer["inputs"], number, first)
        (start,) = before

        def slot(column: Name, lane: Name | int, start: Name = start) -> Name:
            place = body.let(f"mul nsw i64 {body.let(f'add nsw i64 {start}, {column}')}, {body.lanes}")
            return body.let(
                f"getelementptr double, ptr {slots}, i64 {body.let(f'add nsw i64 {place}, {lane}')}"
            )

        done = block.if_whole(block.down, block.width)
        with body.loop(done) as column:
            found = body.let(f"load {body.vector}, ptr {block.address(column, 0)}, align 8")
            body.do(f"store {body.vector} {found}, ptr {slot(column, 0)}, align 8")
        if squares:
            left = body.let(f"sub nsw i64 {block.width}, {done}")
            whole = body.let(f"sub nsw i64 {left}, {body.let(f'srem i64 {left}, {width}')}")
            squared = block.if_whole(block.across, whole)
            lanes = str(body.lanes)
            with body.loop(squared, step=width) as column, body.loop(lanes, step=width) as part:
                lines = []
                for row in range(width):
                    at = block.address(column, body.let(f"add nsw i64 {part}, {row}"))
                    lines.append(body.let(f"load {vector}, ptr {at}, align 8"))
                for line, numbers in enumerate(transposed(body, lines)):
                    at = slot(body.let(f"add nsw i64 {column}, {line}"), part)
                    body.do(f"store {vector} {numbers}, ptr {at}, align 8")
            done = body.let(f"add nsw i64 {done}, {squared}")
        with body.loop(block.width, done) as column, body.loop(str(body.lanes)) as lane:
            nearest = body.smaller(lane, body.let(f"sub nsw i64 {block.last}, {first}"))
            number_ = body.let(f"load double, ptr {block.address(column, nearest)}")
            body.do(f"store double {number_}, ptr {slot(column, lane)}")
        before[0] = body.let(f"add nsw i64 {start}, {block.width}")


def _scatter(body: Body, words: dict[str, Name], pointer: dict[str, Name], first: Name) -> None:
    """Copy the output slots of a group to the blocks of results; past the last row, nothing."""
    before = ["0"]
    with body.loop(words["result_blocks"], carried=before, kind="i64") as number:
        block = _Block(body, words, pointer["results"], number, first)
        (start,) = before

        def slot(column: Name, lane: Name | int, start: Name = start) -> Name:
            output = body.field(pointer["outputs"], body.let(f"add nsw i64 {start}, {column}"))
            source = body.let(f"getelementptr {body.vector}, ptr {pointer['varying']}, i64 {output}")
            return body.let(f"getelementptr double, ptr {source}, i64 {lane}")

        done = block.if_whole(block.down, block.width)
        with body.loop(done) as column:
            value = body.let(f"load {body.vector}, ptr {slot(column, 0)}, align {8 * min(body.lanes, 8)}")
            body.do(f"store {body.vector} {value}, ptr {block.address(column, 0)}, align 8")
        left = body.let(f"sub nsw i64 {words['rows']}, {first}")
        rows = body.smaller(str(body.lanes), left)
        with body.loop(block.width, done) as column, body.loop(rows) as lane:
            number_ = body.let(f"load double, ptr {slot(column, lane)}")
            body.do(f"store double {number_}, ptr {block.address(column, lane)}")
        before[0] = body.let(f"add nsw i64 {start}, {block.width}")
