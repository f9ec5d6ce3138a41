"""The LLVM backend: records of native kernels, rows in SIMD lanes, threads over pieces of all rows."""

import ctypes
import os
import struct
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import numpy as np

from nodegrad.compiler.backends.llvm import kept, native
from nodegrad.compiler.backends.llvm.arrays import RunsOver, looking, runs_over
from nodegrad.compiler.backends.llvm.driver import WORDS, Context, Driver
from nodegrad.compiler.backends.llvm.plan import Plan, packed, plan, unpacked
from nodegrad.compiler.backends.llvm.spellings import raise_held
from nodegrad.compiler.backends.llvm.threads import share
from nodegrad.compiler.program import Program
from nodegrad.compiler.reduction import added
from nodegrad.compiler.vector import VectorProgram
from nodegrad.compiler.vectorize import vectorize

__all__ = ()

Array = np.ndarray[Any, np.dtype[np.float64]]
_FLOAT64 = np.dtype(np.float64)
Blocks = Sequence[Array]

# Bytes of slots in a block of groups. They stay in the first cache: 2**14 take 30 % longer for a*b + a.
# Every block reads and writes all sums over rows, so it is larger where there are more of them.
_BLOCK = 2**13
_BLOCK_PER_SUM = 300
# The work of a piece of rows, as `Plan.work` counts it: 0.25 ms at least, as a second thread costs 0.1.
# Every piece has sums of its own, added up afterwards, 2 ns each, so it is larger where there are more.
_WORK = 5_000_000
_WORK_PER_SUM = 50
_MORE_PER_SUM = 10  # times that, for more than two pieces: memory is too slow for all of their sums
_MOST_PIECES = 16  # pieces that rows are cut into
# So many outputs of so many bytes are written past the caches, which would first read what is overwritten:
# squared lengths and gradients of 100,000 rows of 16 take 0.5 of the time. A few outputs are as fast without.
_STREAMS, _STREAMED = 8, 2**22
_CONVERTED = 2**16  # numbers of another type that are converted at once
_CHANGING = struct.Struct(f"{len(WORDS) - WORDS.index('once')}q")  # the words that differ from run to run
CALL = ctypes.CFUNCTYPE(None, ctypes.c_size_t)
_drivers: set[native.Kernel] = set()  # kept for the next program: each needs them


class LlvmBackend:
    """Runs one vector program, row by row or summed over rows."""

    name = "llvm"

    def __init__(self, program: Program, exact: bool, threads: int | None, key: str = "") -> None:
        self.program = program
        self.exact = exact
        self.threads = threads or _processors()
        self.lanes = 2 * native.width()
        self.key = key  # of the program in the user's cache of native code; "" if it is not kept there
        self._vector: VectorProgram | None = None
        self._parts: dict[str, Part] = {}

    def part(self, how: str) -> "Part":
        """Return the program linked for results row by row ("rows", or "one" row) or for "sums" over rows."""
        found = self._parts.get(how)
        if found is None:
            found = self._parts[how] = self._kept(how, self.key) if self.key else self._made(how)
        return found

    def keep(self, key: str) -> None:
        """Keep native code of all that is compiled in the user's cache."""
        for how in self._parts:
            self._kept(how, key)

    def _plan(self, how: str) -> Plan:
        if self._vector is None:  # not cached_property, whose lock a fork may find held
            self._vector = vectorize(self.program, self.exact)
        return plan(self._vector, how, 1 if how == "one" else self.lanes)  # a single row takes less memory

    def _made(self, how: str) -> "Part":
        planned = self._plan(how)
        kernels = native.compile_kernels([*planned.records.kinds], self.exact)
        _drivers.add(kernels[0])
        return Part(planned, kernels)

    def _kept(self, how: str, key: str) -> "Part":
        """Return a part whose native code is in the user's cache, or goes there now."""
        key = f"{key} {how} {self.exact} {native.machine()}"
        found = kept.read(key)
        if found is None:
            planned = self._plan(how)
            code, _ = native.machine_code([*planned.records.kinds], self.exact)
            kept.write(key, packed(planned, code))
        else:
            planned, code = unpacked(found)
        return Part(planned, native.load_kernels(code, [{}] * len(planned.records.kinds)))

    def rows(self, blocks: Blocks, count: int, parameters: Array, out: Blocks = ()) -> Array:
        """Return the outputs as an array [output, row], or write them to `out`, as `Backend` says."""
        part, outputs = self.part("rows"), 0 if out else len(self.program.outputs)
        streams = outputs >= _STREAMS and 8 * outputs * count >= _STREAMED
        found = _in_lines(outputs, count) if streams else np.empty((outputs, count))
        driver = _streaming(self.program.inputs >= native.width(), self.lanes) if streams else part.driver
        self._run(part, driver, blocks, count, parameters, [*out] or [found.T])
        return found

    def sums(self, blocks: Sequence[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""
        part = self.part("sums")
        return added(self._run(part, part.driver, blocks, count, parameters))

    def _run(
        self, part: "Part", driver: Any, blocks: Blocks, count: int, parameters: Array, out: Blocks = ()
    ) -> list[Any]:
        """Run all rows, in pieces if there is much work; return the sums of the pieces, or write to `out`.

        The cut depends on the program and the number of rows alone, so that sums do not depend on threads.
        """
        first = part.borrow()
        first.give(parameters)
        piece = part.piece(count)
        plain = all(block.dtype == _FLOAT64 for block in blocks)  # unpickled, it is another object
        size, table = (max(1, count), table_of(blocks)) if plain else (part.converted, None)

        def run(own: Space, start: int, stop: int, results: Any) -> None:
            for at in range(start, max(stop, start + 1), size):  # at least once: the prologue
                end = min(at + size, stop)
                rows = blocks if plain else [block[at:end].astype(float, copy=False) for block in blocks]
                read = table or table_of(rows, at)
                own.place(first, read, results, at, end, count, at - start)
                driver(own.address)
                raise_held()

        starts = range(0, max(1, count), piece)
        found: list[Any] = [table_of(out) if out else np.empty(len(part.outputs)) for _ in starts]
        waiting = iter(enumerate(starts))

        def work(own: Space | None = None, _kept: Any = out) -> None:
            # A helper may still run when the caller was interrupted.
            own = own or part.borrow()
            for place, start in waiting:
                run(own, start, min(start + piece, count), found[place])
            part.spaces.append(own)

        if len(starts) == 1:
            work(first)
            return found
        if part.once != part.end:
            run(first, 0, 0, found[0])  # no rows: the prologue alone
        share(work, waiting, min(self.threads, len(starts)) - 1, self.threads)
        part.spaces.append(first)
        return found

    def over(self, reduce: str | None, shapes: Sequence[tuple[int, ...]]) -> RunsOver | None:
        """Return a function that runs maps over arrays with rows of these shapes; see `Backend`."""
        if looking() is None or any(0 in shape for shape in shapes):
            return None
        return runs_over(self, reduce, shapes)

    def one(self, numbers: Sequence[float], parameters: Any) -> list[float]:
        """Return the outputs for one row."""
        part = self._parts.get("one") or self.part("one")
        space = part.borrow()
        space.give(parameters)
        part.numbers.pack_into(space.varying_memory, 0, *numbers)
        part.driver(space.address)
        raise_held()
        found: list[float] = space.result.tolist()
        part.spaces.append(space)
        return found

    def row(self, parts: Sequence[Any], parameters: Array) -> Array:
        """Return the outputs for one row that is given in parts: numbers, lists and arrays of them."""
        part = self.part("one")
        space = part.borrow()
        start = 0
        for each in parts:
            numbers: Any = (each,) if type(each) is float else each
            if type(each) is np.ndarray:
                numbers = each.reshape(-1)
                space.varying[start : start + len(numbers)] = numbers
            else:
                struct.pack_into(f"{len(numbers)}d", space.varying_memory, 8 * start, *numbers)
            start += len(numbers)
        space.give(parameters)
        part.driver(space.address)
        raise_held()
        found = space.result.copy()
        part.spaces.append(space)
        return found


class Part:
    """A program linked to native kernels, for results row by row or for sums over rows."""

    def __init__(self, planned: Plan, kernels: Sequence[native.Kernel]) -> None:
        self.plan, self.kernels = planned, kernels
        self.driver = kernels[0].function(CALL)
        self.words = planned.records.link(kernels)
        first = self.words.ctypes.data
        self.sums, self.body, self.once, self.end = (first + 8 * start for start in planned.starts)
        self.outputs = np.ascontiguousarray(planned.outputs, np.int64)
        group = planned.varying * planned.lanes * 8
        self.group_bytes = group + (128 if group % 4096 == 0 else 0)
        self.block = max(1, min(64, (_BLOCK + _BLOCK_PER_SUM * planned.size) // self.group_bytes))
        two, more = (_WORK + each * planned.size for each in (_WORK_PER_SUM, _MORE_PER_SUM * _WORK_PER_SUM))
        self.most = max(1, 2 * two // max(1, planned.work))  # from this many rows on, threads share them
        self.small = max(1, more // max(1, planned.work))  # rows of the smallest of more than two pieces
        rows = self.block * planned.lanes
        self.numbers = struct.Struct(f"{planned.inputs}d")
        self.converted = -(-_CONVERTED // (rows * max(1, planned.inputs))) * rows
        self.spaces: list[Space] = []

    def piece(self, count: int) -> int:
        """Return how many rows a thread takes at once."""
        if count < self.most:
            return count
        pieces = min(_MOST_PIECES, max(2, count // self.small))
        pieces = 1 << pieces.bit_length() - 1  # two or four threads take as many each
        return -(-count // (pieces * self.plan.lanes)) * self.plan.lanes

    def borrow(self) -> "Space":
        """Return memory to work in; append it to `spaces` when done."""
        try:
            return self.spaces.pop()
        except IndexError:
            return Space(self)


class Space:
    """Memory that one thread works in: slots, and the context of the driver, set up for a single row."""

    def __init__(self, part: Part) -> None:
        # No reference to the part: the cycle would delay freeing it. The caller keeps it alive.
        program = part.plan
        self.varying = _aligned(np.zeros(part.block * part.group_bytes // 8 + 32))
        self.uniform = _aligned(np.zeros(program.uniform + 17))
        self.uniform[program.parameters :][: len(program.constants)] = program.constants
        self.sums = np.zeros(-(-program.size // program.lanes) * program.lanes)
        self.result = np.zeros(len(part.outputs))
        self.parameters: Any = ()  # those that stand in the uniform slots
        self.varying_memory = memoryview(cast(Any, self.varying)).cast("B")
        self.address_of_uniform = address_of(self.uniform)
        self.once, self.end = part.once, part.end
        self.context = Context(
            once=self.once,
            records=part.body,
            sum_records=part.sums,
            varying=self.varying.ctypes.data,
            uniform=self.address_of_uniform,
            group_bytes=part.group_bytes,
            outputs=part.outputs.ctypes.data,
            block=part.block,
            sums=address_of(self.sums),
            results=address_of(self.result),
            result_blocks=len(part.outputs),
        )
        self.address = ctypes.addressof(self.context)

    def give(self, parameters: Any) -> None:
        """Write the parameters to their slots, unless they are there already."""
        if parameters is not self.parameters:
            self.uniform[: len(parameters)] = parameters
            self.parameters = parameters

    def place(self, first: "Space", inputs: Any, results: Any, *span: int) -> None:
        """Set what the next run reads and writes, which the caller keeps.

        Uniform slots are those of `first`, which runs the prologue, once for each piece of rows. Results are
        an array for sums, or a table of blocks for rows. `span`: `start`, `stop`, `rows` and `summed`.
        """
        sums = type(results) is np.ndarray
        to, blocks = (
            (address_of(results), len(results)) if sums else (results.buffer_info()[0], len(results) // 4)
        )
        once = self.once if first is self and not span[3] else self.end
        given = first.address_of_uniform, inputs.buffer_info()[0], len(inputs) // 4, to, blocks
        _CHANGING.pack_into(self.context, Context.once.offset, once, *given, *span)


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _aligned(memory: Array) -> Array:
    """Return all but 16 numbers of memory, from the start of a pair of cache lines on."""
    offset = (-memory.ctypes.data // 8) % 16
    return memory[offset : offset + len(memory) - 16]


def _in_lines(outputs: int, count: int) -> Array:
    """Return room for results [output, row], each output from the start of a pair of cache lines on."""
    length = -(-count // 16) * 16
    return _aligned(np.empty(outputs * length + 16)).reshape(outputs, length)[:, :count]


@cache
def _streaming(squares: bool, lanes: int) -> Any:
    """Return the driver that writes results past the caches."""
    return native.compile_kernels([(Driver(False, squares, streams=True), lanes)], False)[0].function(CALL)


def address_of(array: Any) -> int:
    """Return the address of the numbers, mostly in a fraction of the time of `array.ctypes.data`."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0
    except (TypeError, ValueError):  # not contiguous, or read-only
        return int(array.ctypes.data)


def table_of(blocks: Sequence[Array], first: int = 0) -> Any:
    """Return the table of blocks that `Context` describes; an array of one dimension is a column.

    Rows are found by numbers that begin at `first`.
    """
    table = array("q")
    for block in blocks:
        down, across = (*block.strides, 8)[:2]
        table.extend((address_of(block) - first * down, down, across, (*block.shape, 1)[1]))
    return table
