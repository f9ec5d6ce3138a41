"""The LLVM backend: records of native kernels, rows in SIMD lanes, threads over chunks of rows."""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from time import perf_counter
from typing import Any

import numpy as np

from nodegrad.compiler.backends import native
from nodegrad.compiler.backends.driver import CONTEXT, DRAWN, Prologue, Rows, Sums
from nodegrad.compiler.backends.fuse import Records, fuse, plan_sums
from nodegrad.compiler.backends.spellings import SPELLINGS, raise_held
from nodegrad.compiler.backends.team import ask, busy_time, judge, wait_for
from nodegrad.compiler.reduction import plan_reduction
from nodegrad.compiler.vector import Item, Straight, VectorProgram

Array = np.ndarray[Any, np.dtype[np.float64]]

# Bytes of slots in a block of groups. Many are never touched: their numbers stay in registers.
_CACHE = 6 * 2**20
_WORK = 4_000_000  # operations from which a second thread is worth its start
_PLACE = {name: place for place, name in enumerate(CONTEXT)}
_CHANGING = struct.Struct(f"{len(CONTEXT) - _PLACE['inputs']}q")  # the words that differ from rows to rows
_RESULTS = _PLACE["results"]
_DRAWN, _WAITED = _PLACE["drawn"], _PLACE["waited"]
# Registers that the tiles of a single row take: with more they run no faster, and take longer to compile.
_FEW = 16
_LOOK = 2e-5  # seconds that a round of looks in vain at what others do takes, about
_call = ctypes.CFUNCTYPE(None, ctypes.c_size_t)


class LlvmBackend:
    """Runs one vector program, row by row or summed over rows."""

    name = "llvm"

    def __init__(self, program: VectorProgram, exact: bool = False, threads: int | None = None) -> None:
        self.program = program
        self.exact = exact
        self.threads = threads or os.cpu_count() or 1
        self.lanes = 2 * native.width()
        self._parts: dict[str, _Part] = {}

    def _part(self, how: str) -> "_Part":
        found = self._parts.get(how)
        if found is None:
            lanes = 1 if how == "one" else self.lanes  # a single row needs no memory for others
            found = self._parts[how] = _Part(self.program, how, lanes, self.exact)
        return found

    def rows(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return the outputs as an array [output, row]; `blocks` are arrays [row, input], side by side."""
        part = self._part("rows")
        inputs = _addresses(blocks)
        out = np.empty((len(part.outputs), -(-count // self.lanes) * self.lanes))
        space = part.borrow()
        space.start(parameters)
        chunk = part.chunk(count)
        starts = iter(range(0, count, chunk))

        def work(own: _Space) -> None:
            for start in starts:
                own.run(inputs, start, min(start + chunk, count), count, out, space)

        def help() -> None:
            own = part.borrow()
            work(own)
            part.spaces.append(own)

        helpers = ask(self.threads - 1, help) if chunk < count and self.threads > 1 else []
        begin = perf_counter()
        try:
            work(space)
        finally:
            waiting = perf_counter()
            for _ in starts:  # some are left if this raises: then helpers stop, for the rows may go away
                pass
            wait_for(helpers)
        if helpers:
            judge(perf_counter() - waiting, perf_counter() - begin)
        part.spaces.append(space)  # not before: its uniform slots are read
        return out[:, :count]

    def sums(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""
        part = self._part("sums")
        space = part.borrow()
        space.at(_addresses(blocks), count, self._threads(part, count))
        space.kept = blocks  # helpers may be at it for longer than this if it is interrupted
        found = space.sums(parameters)
        space.kept = None
        part.spaces.append(space)
        return found

    def bound(self, blocks: list[Array], count: int) -> Callable[[Array], Array]:
        """Return `sums` over these rows as a function of the parameters; the rows may change in place."""
        part = self._part("sums")
        space = _Space(part)
        space.at(_addresses(blocks), count, self._threads(part, count))
        space.kept = blocks  # the kernels read them at their addresses
        return space.sums

    def _threads(self, part: "_Part", count: int) -> int:
        return self.threads if count * part.work >= _WORK else 1

    def one(self, numbers: Sequence[float], parameters: Sequence[float]) -> list[float]:
        """Return the outputs for one row."""
        part = self._parts.get("one") or self._part("one")
        space = part.borrow()
        if parameters:
            part.parameters.pack_into(space.uniform_memory, 0, *parameters)
        part.numbers.pack_into(space.row_memory, 0, *numbers)
        if part.has_prologue:
            part.prologue(space.prologue_address)
        part.driver(space.row_address)
        raise_held()
        found = part.results.unpack_from(space.result_memory)
        part.spaces.append(space)
        return list(found)


class _Part:
    """A program linked to native kernels, for results row by row or for sums over rows."""

    def __init__(self, program: VectorProgram, how: str, lanes: int, exact: bool) -> None:
        self.lanes = lanes
        width = native.width()
        self.sum_records, self.size = Records(), 0
        self.outputs = program.outputs  # where each is found: a slot, or a place among the sums
        needed = program.outputs
        if how == "sums":
            reduction = plan_reduction(program)
            program = reduction.program
            plan = plan_sums(reduction, lanes, width)
            self.sum_records, self.outputs, self.size = plan.records, plan.take, plan.size
            parts = [reduction.slots, *[x.ravel() for each in reduction.products for x in (each.a, each.b)]]
            needed = np.concatenate(parts)
        self.program = program
        registers = native.registers() if lanes > 1 else _FEW
        body = fuse(program.body, needed, program.varying, registers)
        read = _uniform_reads(program)
        prologue = fuse(program.prologue, read, program.uniform, _FEW, alone=True)
        self.has_prologue = bool(program.prologue)
        driver = Sums() if how == "sums" else Rows()
        wanted: dict[Any, tuple[Any, int]] = {driver: (driver, lanes), Prologue(): (Prologue(), 1)}
        wanted |= {kernel: (kernel, lanes) for kernel in body.kinds}
        wanted |= {kernel: (kernel, width) for kernel in self.sum_records.kinds}
        once = {("once", kernel): (kernel, 1) for kernel in prologue.kinds}
        found = native.compile_kernels(
            {key: kernel.write for key, (kernel, _) in (wanted | once).items()},
            {key: length for key, (_, length) in (wanted | once).items()},
            exact,
        )
        self.calls_back = any(step.op not in SPELLINGS for kernel in body.kinds for step in kernel.steps)
        self.kept = [body, prologue, self.sum_records]
        self.body = body.link(found)
        self.sums = self.sum_records.link(found)
        self.once = prologue.link({kernel: found["once", kernel] for kernel in prologue.kinds})
        self.driver = _call(found[driver])
        self.prologue = _call(found[Prologue()])
        group = program.varying * lanes * 8
        self.group_bytes = group + (128 if group % 4096 == 0 else 0)
        self.block = max(1, min(64, _CACHE // self.group_bytes)) if how == "sums" else 1
        products = reduction.products if how == "sums" else []
        self.work = sum(map(_work, program.body)) + sum(each.a.size for each in products)
        self.parameters = struct.Struct(f"{program.parameters}d")
        self.numbers = struct.Struct(f"{program.inputs}d")
        self.results = struct.Struct(f"{len(self.outputs)}d")
        self.spaces: list[_Space] = []

    def chunk(self, count: int) -> int:
        """Return how many rows a thread takes at once."""
        if count * self.work < _WORK:
            return max(1, count)
        pieces = 2 if count < 512 else max(4, count // 4096)
        return -(-count // (pieces * self.lanes)) * self.lanes

    def borrow(self) -> "_Space":
        """Return memory to work in; append it to `spaces` when done."""
        try:
            return self.spaces.pop()
        except IndexError:
            return _Space(self)


class _Space:
    """Memory that one thread works in: slots, sums and the context of the driver."""

    def __init__(self, part: _Part) -> None:
        self.part = part
        program = part.program
        self.varying = _aligned(part.block * part.group_bytes // 8 + 16)
        self.uniform = _aligned(program.uniform + 1)
        self.uniform[program.parameters :][: len(program.constants)] = program.constants
        self.uniform_memory = _bytes_of(self.uniform)
        self.totals = np.zeros(part.size + 1)
        self.outputs = np.ascontiguousarray(part.outputs, np.int64)
        self.row = np.zeros(program.inputs + 1)
        self.row_memory = _bytes_of(self.row)
        self.result = np.zeros(len(part.outputs) + part.lanes)
        self.result_memory = _bytes_of(self.result)
        self.row_inputs = _addresses([self.row[None, : program.inputs]])
        self.context = self._context(self.row_inputs, self.result, 1, (0, 1, 1))
        self.once = self._context(self.row_inputs, self.result, 1, (0, 1, 1))
        self.once[_PLACE["records"]] = part.once[1].ctypes.data
        self.once[_PLACE["record_count"]] = len(part.once[1])
        self.row_context = self.context.copy()
        self.address = self.context.ctypes.data
        self.row_address = self.row_context.ctypes.data
        self.prologue_address = self.once.ctypes.data
        self.drawn = np.zeros(DRAWN, np.int64)
        self.drawn_address = _address(self.drawn)
        self.kept: Any = None

    def _context(self, inputs: Any, results: Array, stride: int, rows: tuple[int, int, int]) -> Any:
        part = self.part
        words = {
            "records": part.body[1].ctypes.data,
            "record_count": len(part.body[1]),
            "sum_records": part.sums[1].ctypes.data,
            "sum_count": len(part.sums[1]),
            "varying": self.varying.ctypes.data,
            "group_bytes": part.group_bytes,
            "uniform": self.uniform.ctypes.data,
            "inputs": inputs.ctypes.data,
            "input_count": part.program.inputs,
            "outputs": self.outputs.ctypes.data,
            "output_count": len(self.outputs),
            "results": results.ctypes.data,
            "result_stride": stride,
            **dict(zip(("start", "stop", "rows"), rows, strict=True)),
            "block": part.block,
            "sums": self.totals.ctypes.data,
            "yield": _yield(),
        }
        return np.array([words.get(name, 0) for name in CONTEXT], np.int64)

    def start(self, parameters: Array) -> None:
        """Take over the parameters and compute what depends on them alone."""
        self.uniform[: len(parameters)] = parameters
        if self.part.has_prologue:
            self.part.prologue(self.prologue_address)

    def run(self, inputs: Any, start: int, stop: int, count: int, out: Array, origin: "_Space") -> None:
        """Write the results of rows start..stop of `count` to `out`; uniform slots are those of `origin`."""
        context = self.context
        context[_PLACE["inputs"]] = inputs.ctypes.data
        context[_PLACE["uniform"]] = origin.uniform.ctypes.data
        context[_PLACE["start"] : _PLACE["rows"] + 1] = start, stop, count
        context[_PLACE["results"]] = out.ctypes.data
        context[_PLACE["result_stride"]] = out.shape[1]
        self.part.driver(self.address)
        raise_held()

    def at(self, inputs: Any, count: int, threads: int) -> None:
        """Point at the rows to sum over, and cut the work into tickets for so many threads."""
        part = self.part
        groups = -(-count // part.lanes)
        some = min(part.block, groups)
        portion = some if threads == 1 else max(1, some // (4 * threads))
        portions, parts = -(-some // portion), 1 if threads == 1 else 8 * threads
        tickets = (-(-groups // part.block) + 1) * (portions + parts)
        cut = portion, portions, parts, tickets
        words = _address(inputs), 0, count, count, *cut, self.drawn_address, 0
        _CHANGING.pack_into(self.context, 8 * _PLACE["inputs"], *words)
        self.inputs, self.threads = inputs, threads

    def sums(self, parameters: Array) -> Array:
        """Return the sums over the rows that this points at.

        Helpers work in a context of their own: those that come too late find no ticket left in it.
        """
        self.start(parameters)
        found = np.empty(len(self.outputs))
        self.context[_RESULTS] = _address(found)
        if self.threads == 1:
            self.drawn[:] = 0
            self.part.driver(self.address)
            raise_held()
        else:
            self.share(found)
        return found

    def share(self, found: Array) -> None:
        """Sum together with helpers."""
        drawn = np.zeros(DRAWN, np.int64)
        self.context[_DRAWN] = _address(drawn)
        helpers = ask(self.threads - 1, partial(_run, self.context.copy(), self, found, drawn))
        start, busy = perf_counter(), busy_time()
        _run(self.context, self)
        seconds, busy = perf_counter() - start, busy_time() - busy
        if helpers:  # time off the processor is what other programs took while this one left it to a helper
            judge(_LOOK * float(self.context[_WAITED]) + seconds - busy, seconds)
        if self.part.calls_back:
            wait_for(helpers)  # they may have something to raise


def _run(context: Any, space: _Space, *kept: Any) -> None:
    """Run the driver in a context, which points into the space and what is kept alive."""
    space.part.driver(context.ctypes.data)
    raise_held()


@cache
def _yield() -> int:
    """Return the address of the function that leaves the processor to another thread; 0 if there is none."""
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("kernel32")
    for name in ("sched_yield", "SwitchToThread"):
        if hasattr(library, name):
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    return 0


def _aligned(count: int) -> Array:
    """Return zeros whose first is at the start of a pair of cache lines."""
    memory = np.zeros(count + 16)
    offset = (-memory.ctypes.data // 8) % 16
    return memory[offset : offset + count]


def _address(array: Any) -> int:
    """Return where the numbers are, in a fraction of the time of `array.ctypes.data`."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array).cast("B")


def _addresses(blocks: list[Array]) -> Any:
    """Return (address of row 0, bytes from row to row) for every input."""
    return _table(tuple([(block.ctypes.data, block.shape[1], block.strides) for block in blocks]))


@lru_cache(maxsize=64)  # the same arrays come again and again
def _table(places: tuple[tuple[int, int, tuple[int, int]], ...]) -> Any:
    table = np.zeros((sum(width for _, width, _ in places) + 1, 2), np.int64)
    start = 0
    for address, width, (down, across) in places:
        stop = start + width
        table[start:stop, 0] = np.arange(width) * across + address
        table[start:stop, 1] = down
        start = stop
    return table


def _work(item: Item) -> int:
    """Count the scalar operations of an item."""
    return len(item.ops) if isinstance(item, Straight) else item.count * max(1, item.terms)


def _uniform_reads(program: VectorProgram) -> Any:
    """Return the uniform slots that the body reads."""
    read = [np.zeros(0, np.int64)]
    for item in program.body:
        if hasattr(item, "reads"):
            read += [index.slots.ravel() for index in item.reads if index.uniform]
        else:
            slots = np.array(item.operands)
            read.append(~slots[slots < 0])
    return np.concatenate(read)
