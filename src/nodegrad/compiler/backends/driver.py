"""The driver: takes rows through the kernels, group by group, and blocks of groups through the sums."""

from dataclasses import dataclass

from nodegrad.compiler.backends.ir import Body, Name

# fmt: off
CONTEXT = (
    "records", "record_count", "sum_records", "sum_count", "varying", "group_bytes", "uniform", "inputs",
    "input_count", "outputs", "output_count", "results", "result_stride", "start", "stop", "rows", "block",
    "sums",
)
_POINTERS = ("records", "sum_records", "varying", "uniform", "inputs", "outputs", "results", "sums")
# fmt: on


@dataclass(frozen=True, slots=True)
class Driver:
    """Runs records over rows start..stop; called with a context of words, named by CONTEXT."""

    def write(self, body: Body) -> str:
        """Write the driver."""
        words = {name: body.field("%x", place) for place, name in enumerate(CONTEXT)}
        pointer = {name: body.let(f"inttoptr i64 {words[name]} to ptr") for name in _POINTERS}
        groups = body.let(f"mul nsw i64 {words['block']}, {body.lanes}")
        counts = body.variable("[3 x i64]", "zeroinitializer")
        with body.loop(words["stop"], words["start"], step=groups) as row:
            inside = body.let(f"add nsw i64 {row}, {groups}")
            end = _smaller(body, inside, words["stop"])
            with body.loop(end, row, step=body.lanes) as first:
                done = body.let(f"sub nsw i64 {first}, {row}")
                number = body.let(f"sdiv exact i64 {done}, {body.lanes}")
                offset = body.let(f"mul nsw i64 {number}, {words['group_bytes']}")
                slots = body.let(f"getelementptr i8, ptr {pointer['varying']}, i64 {offset}")
                _gather(body, words, pointer, slots, first)
                _call_records(body, pointer["records"], words["record_count"], slots, pointer["uniform"])
                _scatter(body, words, pointer, slots, first)
            taken = body.let(f"sub nsw i64 {end}, {row}")
            full = body.let(f"sdiv i64 {taken}, {body.lanes}")
            rest = body.let(f"srem i64 {taken}, {body.lanes}")
            for place, word in enumerate((full, words["group_bytes"], rest)):
                at = body.let(f"getelementptr i64, ptr {counts}, i64 {place}")
                body.do(f"store i64 {word}, ptr {at}")
            _call_records(
                body,
                pointer["sum_records"],
                words["sum_count"],
                pointer["varying"],
                pointer["sums"],
                f", ptr {counts}",
            )
        return "ptr noalias %x"


@dataclass(frozen=True, slots=True)
class Prologue:
    """Runs records over uniform slots, once."""

    def write(self, body: Body) -> str:
        """Write the loop over records."""
        count = body.field("%x", CONTEXT.index("record_count"))
        records = body.field("%x", CONTEXT.index("records"), "ptr")
        uniform = body.field("%x", CONTEXT.index("uniform"), "ptr")
        _call_records(body, records, count, uniform, uniform)
        return "ptr noalias %x"


def _smaller(body: Body, x: Name, y: Name) -> Name:
    less = body.let(f"icmp slt i64 {x}, {y}")
    return body.let(f"select i1 {less}, i64 {x}, i64 {y}")


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
            row = _smaller(body, body.let(f"add nsw i64 {first}, {lane}"), last)
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
