"""The driver: takes rows through the kernels group by group, and blocks of groups through the sums."""

import ctypes
from dataclasses import dataclass
from typing import Any

from nodegrad.compiler.backends.llvm.ir import Body, Name, transposed

__all__ = ()

WORDS = (
    *("records", "sum_records", "varying", "group_bytes", "outputs", "block", "sums", "divided"),
    # These differ from run to run.
    *("once", "uniform", "inputs", "input_blocks", "results", "result_blocks"),
    *("start", "stop", "rows", "summed"),
)


class Context(ctypes.Structure):
    """The words that a driver is called with.

    A driver runs the records of the prologue (`once`) first. Records lie one after the other; the last is
    that of `end`. `inputs` and `results` are addresses of tables of blocks: arrays [row, number], each as
    (address, bytes from row to row, bytes from number to number, numbers in a row). For sums, `results` is
    the address of `result_blocks` numbers, which are found among the `sums` in tiles. These begin anew unless
    rows before `start` are `summed` there already; so many of them are `divided` by the rows at the end.
    """

    _fields_ = [(name, ctypes.c_int64) for name in WORDS]  # what ctypes expects


# Squares of numbers are fetched this many groups of rows before their use. They are read a cache line of each
# row at a time, which the processor does not foresee: 100,000 rows of 16 take 0.75 of the time.
_AHEAD = 4
_POINTERS = {"once", "records", "sum_records", "varying", "uniform", "inputs", "outputs", "results", "sums"}


def _words(body: Body, *names: str) -> dict[str, Any]:
    return {
        name: (body.pointer if name in _POINTERS else body.field)("%x", WORDS.index(name)) for name in names
    }


def one_row(body: Body) -> str:
    """Take the row that is in the first slots through the kernels; there are `result_blocks` results.

    for each record of the prologue, then of the body: call its kernel
    results[number] = v[output slot]
    """
    words = _words(body, "once", "records", "varying", "uniform", "outputs", "results", "result_blocks")
    varying, uniform = words["varying"], words["uniform"]
    _run_records(body, words["once"], uniform, uniform)
    _run_records(body, words["records"], varying, uniform)
    _take_results(body, words, varying)
    return "ptr %x"


@dataclass(frozen=True, slots=True)
class Driver:
    """Takes rows start..stop through the kernels, a block of groups at a time; a group has `lanes` rows.

    for each record of the prologue: call its kernel
    for each block:
        v[group, slot, lane] = inputs[row, number]            # copied
        for each group: for each record: call its kernel
        results[row, number] = v[group, output slot, lane]    # copied; for sums: call each record's kernel
    for sums: results[number] = sums[output]
    """

    sums: bool
    squares: bool  # whether a row of inputs may have so many numbers that they fill a vector register
    streams: bool = False  # whether results are written past the caches: they begin at cache lines

    def __call__(self, body: Body) -> str:
        """Write the driver."""
        words = _words(body, *WORDS)
        _run_records(body, words["once"], words["uniform"], words["uniform"])
        block = words["block"] * body.lanes
        counts = body.room(4, "i64")
        with body.loop(words["stop"], words["start"], step=block) as row:
            taken = body.smaller(block, words["stop"] - row)
            groups = body.let(f"sdiv i64 {taken + (body.lanes - 1)}, {body.lanes}")
            _copy(body, words, row, groups, self, gather=True)
            with body.loop(groups, runs=True) as group:
                slots = _slots_of(body, words, group)
                _run_records(body, words["records"], slots, words["uniform"])
            if not self.sums:
                _copy(body, words, row, groups, self, gather=False)
            else:
                before = row - words["start"] + words["summed"]
                body.put(counts, groups, words["group_bytes"], taken, before)
                _run_records(body, words["sum_records"], words["varying"], words["sums"], counts)
        if self.sums:
            divisor = body.splat(body.let(f"sitofp i64 {words['rows']} to double"))
            with body.loop(words["divided"], step=body.lanes) as number:
                total = body.at(words["sums"], number, "double")
                mean = body.arithmetic("fdiv", body.load(body.vector, total, 8), divisor)
                body.store(body.vector, mean, total, 8)
            _take_results(body, words, words["sums"])
        if self.streams:
            body.do("fence seq_cst")  # another thread may read the results
        return "ptr %x"


def _run_records(body: Body, records: Name, slots: Name, uniform: Name, counts: str = "null") -> None:
    """Call the kernel of the first record. Each kernel jumps to that of the next."""
    kernel = body.load("ptr", records)
    body.do(f"call void {kernel}(ptr {slots}, ptr {uniform}, ptr {records}, ptr {counts})")


def _take_results(body: Body, words: dict[str, Any], source: Name) -> None:
    """Write results[number] = source[output]."""
    with body.loop(words["result_blocks"]) as number:
        found = body.at(source, body.field(words["outputs"], number), "double")
        body.store("double", body.load("double", found), body.at(words["results"], number, "double"))


def _slots_of(body: Body, words: dict[str, Any], group: Name) -> Name:
    """Return where the slots of a group of the block begin."""
    return body.at(words["varying"], group * words["group_bytes"], "i8")


def _copy(body: Body, words: dict[str, Any], row: Name, groups: Name, driver: Driver, gather: bool) -> None:
    """Write v[group, slot, lane] = inputs[row, number], or results[row, number] = v[group, output, lane].

    If the numbers of a slot lie side by side, they are copied as a vector. If the numbers of a row do,
    squares of them are transposed in registers. All else, and the last rows, are copied number by number.
    Past the last row, inputs repeat that row, and no results are written.
    """
    before: list[Any] = ["0"]  # numbers in the blocks before
    width, lanes = body.lanes // 2, str(body.lanes)  # a vector register holds half a slot
    table, blocks = ("inputs", "input_blocks") if gather else ("results", "result_blocks")
    with body.loop(words[blocks], carried=before, kind="i64") as number:
        block = body.at(words[table], number, "[4 x i64]")
        (start,), memory = before, body.pointer(block, 0)
        down, across, numbers = (body.field(block, word) for word in (1, 2, 3))
        outputs = body.at(words["outputs"], start)

        def move(kind: str, outside: list[Name], inside: list[Name]) -> None:
            sources, targets = (outside, inside) if gather else (inside, outside)
            found = transposed(body, [body.load(kind, source, 8) for source in sources])
            streams = driver.streams and not gather and kind == body.vector
            how = (8 * min(body.lanes, 8), ", !nontemporal !{i32 1}") if streams else (8, "")
            for each, target in zip(found, targets, strict=True):
                body.store(kind, each, target, *how)

        with body.loop(groups, runs=True) as group:
            first = row + group * body.lanes
            rows, left = body.at(memory, first * down, "i8"), words["rows"] - first
            whole = body.let(f"icmp sge i64 {left}, {body.lanes}")
            slots = body.at(_slots_of(body, words, group), start if gather else "0", body.vector)

            def address(column: Name, lane: Name | str = "0") -> Name:
                return body.at(body.at(rows, column * across, "i8"), body.name(lane) * down, "i8")

            def slot(column: Name, lane: Name | str = "0") -> Name:
                place = column if gather else body.field(outputs, column)
                return body.at(body.at(slots, place, body.vector), lane, "double")

            def if_side_by_side(stride: Name, count: Name) -> Name:
                both = body.let(f"and i1 {whole}, {body.let(f'icmp eq i64 {stride}, 8')}")
                return body.let(f"select i1 {both}, i64 {count}, i64 0")

            done = if_side_by_side(down, numbers)
            with body.loop(done) as column:
                move(body.vector, [address(column)], [slot(column)])
            if driver.squares:
                more = numbers - done
                squared = if_side_by_side(across, more - body.let(f"srem i64 {more}, {width}"))
                with body.loop(lanes, step=width) as part, body.loop(squared, step=width) as column:
                    places = [(column + line, part + line) for line in range(width)]
                    addresses = [address(column, lane) for _, lane in places]
                    if gather:
                        for each in addresses:
                            body.prefetch(body.at(each, down * (_AHEAD * body.lanes), "i8"))
                    move(f"<{width} x double>", addresses, [slot(line, part) for line, _ in places])
                done = done + squared
            last, written = left - 1, lanes if gather else body.smaller(lanes, left)
            with body.loop(numbers, done) as column, body.loop(written, runs=True) as lane:
                place = body.smaller(lane, last) if gather else lane
                move("double", [address(column, place)], [slot(column, lane)])
        before[0] = start + numbers
