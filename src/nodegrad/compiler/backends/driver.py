"""The drivers: take rows through the kernels group by group, and blocks of groups through the sums."""

from dataclasses import dataclass
from functools import partial

from nodegrad.compiler.backends.ir import Body, Name

# fmt: off
CONTEXT = (
    "records", "record_count", "sum_records", "sum_count", "varying", "group_bytes", "uniform", "input_count",
    "outputs", "output_count", "block", "sums", "yield", "results", "result_stride",
    "inputs", "start", "stop", "rows", "portion", "portions", "parts", "tickets", "drawn", "waited",
)
_POINTERS = (
    "records", "sum_records", "varying", "uniform", "inputs", "outputs", "results", "sums", "yield", "drawn",
)
# fmt: on
DRAWN = 9  # words: tickets drawn so far and, in another cache line, tickets done
_PATIENCE = 20_000  # looks at what others have done before the processor is left to them: some 20 µs


class _Context:
    """The words that a driver is called with, named by CONTEXT."""

    def __init__(self, body: Body) -> None:
        self.words = {name: body.field("%x", place) for place, name in enumerate(CONTEXT)}
        self.pointer = {name: body.let(f"inttoptr i64 {self.words[name]} to ptr") for name in _POINTERS}


@dataclass(frozen=True, slots=True)
class Rows:
    """Runs records over rows start..stop, and copies the outputs of each row."""

    def write(self, body: Body) -> str:
        """Write the driver."""
        context = _Context(body)
        words, pointer = context.words, context.pointer
        with body.loop(words["stop"], words["start"], step=body.lanes) as first:
            _run_group(body, context, pointer["varying"], first)
            _scatter(body, words, pointer, pointer["varying"], first)
        return "ptr %x"


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over rows 0..stop, with the help of every thread that runs this on the same context.

    The work of a block of groups is cut into `portions` of groups, `portion` each, then into `parts` of the
    sums over them. A last block has no rows: its parts put the sums where results are wanted.
    Threads draw tickets for all this one after the other (`drawn`), wait until everything before their phase
    is done, and return when all is. Which thread draws which makes no difference to a sum. How often a thread
    looked in vain is `waited` in its own context.
    """

    def write(self, body: Body) -> str:
        """Write the driver."""
        context = _Context(body)
        words, pointer = context.words, context.pointer
        done = body.let(f"getelementptr i64, ptr {pointer['drawn']}, i64 {DRAWN - 1}")
        waited = body.let(f"getelementptr i64, ptr %x, i64 {CONTEXT.index('waited')}")
        body.do(f"store i64 0, ptr {waited}")
        wait = partial(_wait, body, done, waited, pointer["yield"])
        each = body.let(f"add nsw i64 {words['portions']}, {words['parts']}")
        counts = body.variable("[6 x i64]", "zeroinitializer")
        with body.forever() as out:
            ticket = body.let(f"atomicrmw add ptr {pointer['drawn']}, i64 1 monotonic")
            body.leave(body.let(f"icmp sge i64 {ticket}, {words['tickets']}"), out)
            block = body.let(f"sdiv i64 {ticket}, {each}")
            begin = body.let(f"mul nsw i64 {block}, {each}")
            place = body.let(f"sub nsw i64 {ticket}, {begin}")
            part = body.let(f"sub nsw i64 {place}, {words['portions']}")
            first = body.let(f"mul nsw i64 {block}, {words['block']}")
            summing = body.let(f"icmp sge i64 {part}, 0")
            phase = body.let(f"select i1 {summing}, i64 {words['portions']}, i64 0")
            wait(body.let(f"add nsw i64 {begin}, {phase}"))
            with body.when(body.let(f"icmp slt i64 {part}, 0")):
                self._run_portion(body, context, first, place)
            row = body.let(f"mul nsw i64 {first}, {body.lanes}")
            left = body.let(f"sub nsw i64 {words['stop']}, {row}")
            some = body.let(f"icmp sgt i64 {left}, 0")
            with body.when(body.let(f"and i1 {summing}, {some}")):
                self._sum_part(body, context, first, part, left, counts)
            with body.when(body.let(f"icmp ugt i1 {summing}, {some}")):
                self._place_part(body, context, part)
            body.let(f"atomicrmw add ptr {done}, i64 1 release")
        wait(words["tickets"])
        return "ptr %x"

    def _run_portion(self, body: Body, context: _Context, first: Name, place: Name) -> None:
        """Run records over the groups of a portion of the block whose first group is given."""
        words, pointer = context.words, context.pointer
        start = body.let(f"mul nsw i64 {place}, {words['portion']}")
        stop = body.smaller(body.let(f"add nsw i64 {start}, {words['portion']}"), words["block"])
        with body.loop(stop, start) as number:
            group = body.let(f"add nsw i64 {first}, {number}")
            row = body.let(f"mul nsw i64 {group}, {body.lanes}")
            with body.when(body.let(f"icmp slt i64 {row}, {words['stop']}")):
                offset = body.let(f"mul nsw i64 {number}, {words['group_bytes']}")
                slots = body.let(f"getelementptr i8, ptr {pointer['varying']}, i64 {offset}")
                _run_group(body, context, slots, row)

    def _sum_part(
        self, body: Body, context: _Context, first: Name, part: Name, left: Name, counts: Name
    ) -> None:
        """Run a part of the tiles of every record of sums over a block, with so many rows left."""
        words, pointer = context.words, context.pointer
        taken = body.smaller(left, body.let(f"mul nsw i64 {words['block']}, {body.lanes}"))
        full = body.let(f"sdiv i64 {taken}, {body.lanes}")
        rest = body.let(f"srem i64 {taken}, {body.lanes}")
        for place, word in enumerate((full, words["group_bytes"], rest, part, words["parts"], first)):
            at = body.let(f"getelementptr i64, ptr {counts}, i64 {place}")
            body.do(f"store i64 {word}, ptr {at}")
        records, count = pointer["sum_records"], words["sum_count"]
        _call_records(body, records, count, pointer["varying"], pointer["sums"], f", ptr {counts}")

    def _place_part(self, body: Body, context: _Context, part: Name) -> None:
        """Put a part of the sums where results are wanted."""
        words, pointer = context.words, context.pointer
        begin, end = body.share(words["output_count"], part, words["parts"])
        with body.loop(end, begin) as number:
            place = body.field(pointer["outputs"], number)
            found = body.let(f"getelementptr double, ptr {pointer['sums']}, i64 {place}")
            target = body.let(f"getelementptr double, ptr {pointer['results']}, i64 {number}")
            body.do(f"store double {body.let(f'load double, ptr {found}')}, ptr {target}")


@dataclass(frozen=True, slots=True)
class Prologue:
    """Runs records over uniform slots, once."""

    def write(self, body: Body) -> str:
        """Write the loop over records."""
        count = body.field("%x", CONTEXT.index("record_count"))
        records = body.field("%x", CONTEXT.index("records"), "ptr")
        uniform = body.field("%x", CONTEXT.index("uniform"), "ptr")
        _call_records(body, records, count, uniform, uniform)
        return "ptr %x"


def _wait(body: Body, done: Name, waited: Name, others: Name, goal: Name) -> None:
    """Wait until so many tickets are done; leave the processor to other threads when that takes long."""
    with body.forever() as out:
        with body.loop(str(_PATIENCE)):
            now = body.let(f"load atomic i64, ptr {done} acquire, align 8")
            body.leave(body.let(f"icmp sge i64 {now}, {goal}"), out)
        before = body.let(f"load i64, ptr {waited}")
        body.do(f"store i64 {body.let(f'add nsw i64 {before}, 1')}, ptr {waited}")
        with body.when(body.let(f"icmp ne ptr {others}, null")):
            body.let(f"call i32 {others}()")


def _run_group(body: Body, context: _Context, slots: Name, first: Name) -> None:
    """Run records over the group of rows from `first` on."""
    words, pointer = context.words, context.pointer
    _gather(body, words, pointer, slots, first)
    _call_records(body, pointer["records"], words["record_count"], slots, pointer["uniform"])


def _call_records(body: Body, records: Name, count: Name, slots: Name, uniform: Name, more: str = "") -> None:
    with body.loop(count) as number:
        record = body.field(records, number, "ptr")
        function = body.let(f"load ptr, ptr {record}")
        body.do(f"call void {function}(ptr {slots}, ptr {uniform}, ptr {record}{more})")


def _gather(body: Body, words: dict[str, Name], pointer: dict[str, Name], slots: Name, first: Name) -> None:
    """Copy a group of rows into the first slots; past the last row, that row again."""
    last = body.let(f"sub nsw i64 {words['rows']}, 1")
    with body.loop(words["input_count"]) as number:
        twice = body.let(f"mul nsw i64 {number}, 2")
        source = body.field(pointer["inputs"], twice, "ptr")
        stride = body.field(pointer["inputs"], body.let(f"add nsw i64 {twice}, 1"))
        slot = body.let(f"mul nsw i64 {number}, {body.lanes}")
        with body.loop(str(body.lanes)) as lane:
            row = body.smaller(body.let(f"add nsw i64 {first}, {lane}"), last)
            offset = body.let(f"mul nsw i64 {row}, {stride}")
            value = body.let(f"load double, ptr {body.let(f'getelementptr i8, ptr {source}, i64 {offset}')}")
            at = body.let(f"add nsw i64 {slot}, {lane}")
            body.do(f"store double {value}, ptr {body.let(f'getelementptr double, ptr {slots}, i64 {at}')}")


def _scatter(body: Body, words: dict[str, Name], pointer: dict[str, Name], slots: Name, first: Name) -> None:
    """Copy the output slots of a group to the results, [output, row]."""
    with body.loop(words["output_count"]) as number:
        slot = body.field(pointer["outputs"], number)
        source = body.let(f"getelementptr {body.vector}, ptr {slots}, i64 {slot}")
        value = body.let(f"load {body.vector}, ptr {source}, align {8 * min(body.lanes, 8)}")
        row = body.let(f"mul nsw i64 {number}, {words['result_stride']}")
        at = body.let(f"add nsw i64 {row}, {first}")
        target = body.let(f"getelementptr double, ptr {pointer['results']}, i64 {at}")
        body.do(f"store {body.vector} {value}, ptr {target}, align 8")
