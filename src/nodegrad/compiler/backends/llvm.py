"""The LLVM backend: records of native kernels, rows in SIMD lanes, threads over chunks of rows."""

import ctypes
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from nodegrad.compiler.backends import native
from nodegrad.compiler.backends.driver import CONTEXT, Driver, Prologue
from nodegrad.compiler.backends.fuse import Records, fuse, plan_sums
from nodegrad.compiler.backends.spellings import raise_held
from nodegrad.compiler.reduction import plan_reduction
from nodegrad.compiler.vector import Item, Straight, VectorProgram

Array = np.ndarray[Any, np.dtype[np.float64]]

# Bytes of slots in a block of groups. Many are never touched: their numbers stay in registers.
_CACHE = 6 * 2**20
_WORK = 4_000_000  # operations from which a second thread is worth its start
_PLACE = {name: place for place, name in enumerate(CONTEXT)}
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
            found = self._parts[how] = _Part(self.program, how, self.lanes, self.exact)
        return found

    def rows(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return the outputs as an array [output, row]; `blocks` are arrays [row, input], side by side."""
        part = self._part("rows")
        padded = -(-count // self.lanes) * self.lanes
        out = np.empty((len(part.outputs), padded))
        self._run(part, _addresses(blocks), count, parameters, out)
        return out[:, :count]

    def sums(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""
        part = self._part("sums")
        return self._run(part, _addresses(blocks), count, parameters, None)

    def bound(self, blocks: list[Array], count: int) -> "_Bound":
        """Return `sums` over these rows as a function of the parameters; the rows may change in place."""
        return _Bound(self, self._part("sums"), blocks, count)

    def one(self, numbers: Sequence[float], parameters: Sequence[float]) -> list[float]:
        """Return the outputs for one row."""
        part = self._parts.get("rows") or self._part("rows")
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

    def _run(self, part: "_Part", inputs: Any, count: int, parameters: Array, out: Array | None) -> Array:
        chunk = part.chunk(count)
        cuts = range(0, count, chunk)
        space = part.borrow()
        space.start(parameters)
        if len(cuts) == 1:
            totals = space.run(inputs, 0, count, count, out)
        elif self.threads == 1:
            totals = 0.0
            for start in cuts:
                totals = totals + space.run(inputs, start, min(start + chunk, count), count, out)
        else:
            uniform = space.uniform

            def work(start: int) -> Any:
                own = part.borrow()
                own.uniform[:] = uniform
                totals = own.run(inputs, start, min(start + chunk, count), count, out)
                totals = totals.copy() if out is None else totals
                part.spaces.append(own)
                return totals

            totals = sum(_pool(self.threads).map(work, cuts))
        found: Array = totals.take(part.take) if out is None else out
        part.spaces.append(space)  # not before: the totals are the space's own
        return found


class _Bound:
    """Sums over rows that stay where they are, so that they are looked up once."""

    def __init__(self, backend: LlvmBackend, part: "_Part", blocks: list[Array], count: int) -> None:
        self.backend, self.part, self.count = backend, part, count
        self.blocks = blocks  # kept alive: the kernel reads them at their addresses
        self.inputs = _addresses(blocks)
        self.space = _Space(part)
        self.space.at(self.inputs, 0, count, count)

    def __call__(self, parameters: Array) -> Array:
        part, space = self.part, self.space
        if self.count > part.chunk(self.count):
            return self.backend._run(part, self.inputs, self.count, parameters, None)
        space.start(parameters)
        space.totals.fill(0.0)
        part.driver(space.address)
        raise_held()
        found: Array = space.totals.take(part.take)
        return found


class _Part:
    """A program linked to native kernels, for results row by row or for sums over rows."""

    def __init__(self, program: VectorProgram, how: str, lanes: int, exact: bool) -> None:
        self.lanes = lanes
        width, registers = native.width(), native.registers()
        self.sum_records, self.take, self.size = Records(), np.zeros(0, np.int64), 0
        self.outputs = program.outputs
        needed = program.outputs
        if how == "sums":
            reduction = plan_reduction(program)
            program = reduction.program
            plan = plan_sums(reduction, lanes, width)
            self.sum_records, self.take, self.size = plan.records, plan.take, plan.size
            parts = [reduction.slots, *[x.ravel() for each in reduction.products for x in (each.a, each.b)]]
            needed, self.outputs = np.concatenate(parts), np.zeros(0, np.int64)
        self.program = program
        body = fuse(program.body, needed, program.varying, registers)
        read = _uniform_reads(program)
        prologue = fuse(program.prologue, read, program.uniform, registers, alone=True)
        self.has_prologue = bool(program.prologue)
        wanted: dict[Any, tuple[Any, int]] = {Driver(): (Driver(), lanes), Prologue(): (Prologue(), 1)}
        wanted |= {kernel: (kernel, lanes) for kernel in body.kinds}
        wanted |= {kernel: (kernel, width) for kernel in self.sum_records.kinds}
        once = {("once", kernel): (kernel, 1) for kernel in prologue.kinds}
        found = native.compile_kernels(
            {key: kernel.write for key, (kernel, _) in (wanted | once).items()},
            {key: length for key, (_, length) in (wanted | once).items()},
            exact,
        )
        self.kept = [body, prologue, self.sum_records]
        self.body = body.link(found)
        self.sums = self.sum_records.link(found)
        self.once = prologue.link({kernel: found["once", kernel] for kernel in prologue.kinds})
        self.driver = _call(found[Driver()])
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
        """Return how many rows a thread takes at once.

        That depends on the program and the number of rows alone, so that sums do not depend on threads.
        """
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
        }
        return np.array([words[name] for name in CONTEXT], np.int64)

    def start(self, parameters: Array) -> None:
        """Take over the parameters and compute what depends on them alone."""
        self.uniform[: len(parameters)] = parameters
        if self.part.has_prologue:
            self.part.prologue(self.prologue_address)

    def at(self, inputs: Any, start: int, stop: int, count: int) -> None:
        """Point at rows start..stop of `count`."""
        self.context[_PLACE["inputs"]] = inputs.ctypes.data
        self.context[_PLACE["start"] : _PLACE["rows"] + 1] = start, stop, count

    def run(self, inputs: Any, start: int, stop: int, count: int, out: Array | None) -> Any:
        """Run rows start..stop of `count`; return the sums, or 0 where results go to `out`."""
        self.at(inputs, start, stop, count)
        if out is not None:
            context = self.context
            context[_PLACE["results"]] = out.ctypes.data
            context[_PLACE["result_stride"]] = out.shape[1]
            self.part.driver(self.address)
            raise_held()
            return 0
        self.totals.fill(0.0)
        self.part.driver(self.address)
        raise_held()
        return self.totals


def _aligned(count: int) -> Array:
    """Return zeros whose first is at the start of a pair of cache lines."""
    memory = np.zeros(count + 16)
    offset = (-memory.ctypes.data // 8) % 16
    return memory[offset : offset + count]


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array).cast("B")


def _addresses(blocks: list[Array]) -> Any:
    """Return (address of row 0, bytes from row to row) for every input."""
    total = sum(block.shape[1] for block in blocks)
    table = np.zeros((total + 1, 2), np.int64)
    start = 0
    for block in blocks:
        stop = start + block.shape[1]
        table[start:stop, 0] = np.arange(block.shape[1]) * block.strides[1] + block.ctypes.data
        table[start:stop, 1] = block.strides[0]
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
            read.append(np.array([~x for operands in item.operands for x in operands if x < 0], np.int64))
    return np.concatenate(read)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="nodegrad")
