"""The drivers: take rows through the kernels group by group, and blocks of groups through the sums."""

from dataclasses import dataclass

from nodegrad.compiler.backends.llvm.ir import Body, Name

# fmt: off
CONTEXT = (
    "records", "record_count", "sum_records", "sum_count", "varying", "group_bytes", "input_count", "outputs",
    "output_count", "block", "sums", "uniform", "inputs", "start", "stop", "rows", "results", "result_stride",
)
_POINTERS = ("records", "sum_records", "varying", "uniform", "inputs", "outputs", "results", "sums")
# fmt: on


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
    """Sums over rows start..stop, block after block of groups, and puts the sums where they are wanted."""

    def write(self, body: Body) -> str:
        """Write the driver."""
        context = _Context(body)
        words, pointer = context.words, context.pointer
        counts = body.variable("[4 x i64]", "zeroinitializer")
        block = body.let(f"mul nsw i64 {words['block']}, {body.lanes}")
        with body.loop(words["stop"], words["start"], step=block) as row:
            taken = body.smaller(block, body.let(f"sub nsw i64 {words['stop']}, {row}"))
            with body.loop(taken, step=body.lanes) as inside:
                number = body.let(f"sdiv exact i64 {inside}, {body.lanes}")
                offset = body.let(f"mul nsw i64 {number}, {words['group_bytes']}")
                slots = body.let(f"getelementptr i8, ptr {pointer['varying']}, i64 {offset}")
                _run_group(body, context, slots, body.let(f"add nsw i64 {row}, {inside}"))
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
