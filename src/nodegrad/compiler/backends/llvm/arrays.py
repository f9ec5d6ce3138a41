"""Maps of few rows: native code looks at the arrays itself, so that Python only says which they are.

NumPy's C interface fixes the order of an array's fields (type, address, dimensions, shape, strides, dtype),
Python's that of a tuple. What stands there is compared with what Python says of some arrays before native
code reads it. It looks while it holds the interpreter's lock.
"""

import ctypes
import sys
from array import array as words_of
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from nodegrad.compiler.backends.llvm import native
from nodegrad.compiler.backends.llvm.driver import Context
from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.backends.llvm.spellings import RAISED, raise_held
from nodegrad.compiler.reduction import averaged

__all__ = ()

Array = np.ndarray[Any, np.dtype[np.float64]]
RunsOver = Callable[..., Array | None]

_LOOK = ctypes.PYFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)  # holds the lock
_HEAD = 13  # the words before those of each array
_ITEMS = tuple.__basicsize__ // 8  # where in a tuple its entries are, in words


@dataclass(frozen=True, slots=True)
class _Look:
    """Checks a tuple of arrays, and writes the table of blocks for a driver: a block for each that fits.

    If all fit and there are few rows, it runs the driver without the lock. Results go to the array of the
    tuple that comes after the inputs; where sums go, it tells the driver.

    Words: arrays, how many fit, table, where the driver finds its span of rows, type, dtype; few rows,
    driver, context, inputs, where the driver finds its results; functions that release the lock and take it;
    of each array its dimensions, and how many numbers a row has.
    """

    start: int  # where in an array its address is, in words

    def __call__(self, body: Body) -> str:
        """Write the function."""
        body.as_written()
        count, table, span = body.field("%x", 0), body.pointer("%x", 2), body.pointer("%x", 3)
        rows = body.name("%rows")

        def same(x: Any, y: Any) -> Name:
            return body.let(f"icmp eq i64 {x}, {y}")

        def both(x: Name, y: Name) -> Name:
            return body.let(f"and i1 {x}, {y}")

        body.put(span, 0, rows, rows)
        fitting: list[Any] = ["0"]
        with body.loop(count, carried=fitting, kind="i64") as k:
            array, form = body.pointer("%arrays", k + _ITEMS), body.at("%x", k * 2 + _HEAD)
            dimensions, width = body.field(form, 0), body.field(form, 1)
            kind = same(body.field(array, self.start - 1), body.field("%x", 4))
            dtype = same(body.field(array, self.start + 5), body.field("%x", 5))
            axes = body.let(f"zext i32 {body.load('i32', body.at(array, self.start + 1))} to i64")
            with body.when(both(kind, both(dtype, same(axes, dimensions))), fitting, "i64"):
                shape, strides = (body.pointer(array, self.start + word) for word in (2, 3))
                last = dimensions - 1  # the axis of the numbers of a row
                expected = body.let(f"select i1 {same(last, 0)}, i64 {rows}, i64 {width}")
                fits = both(same(body.field(shape, 0), rows), same(body.field(shape, last), expected))
                fitting[0] = body.name(fitting[0]) + body.let(f"zext i1 {fits} to i64")
                down, across = (body.field(strides, axis) for axis in (0, last))
                body.put(body.at(table, k, "[4 x i64]"), body.field(array, self.start), down, across, width)
        body.store("i64", fitting[0], body.at("%x", 1))
        few = body.let(f"icmp sle i64 {rows}, {body.field('%x', 6)}")
        with body.when(both(same(fitting[0], count), few)):
            array = body.pointer("%arrays", body.field("%x", 9) + _ITEMS)
            body.store("ptr", body.pointer(array, self.start), body.pointer("%x", 10))
            thread = body.let(f"call ptr {body.pointer('%x', 11)}()")
            body.do(f"call void {body.pointer('%x', 7)}(ptr {body.pointer('%x', 8)})")
            body.do(f"call void {body.pointer('%x', 12)}(ptr {thread})")
        return "ptr %x, ptr %arrays, i64 %rows"


class Room:
    """Memory to run a program in, over arrays of one form, and the words of a look at them.

    `widths`: numbers in a row, 0 for an array of one dimension. `written`: the width of results, [] for sums.
    """

    def __init__(self, part: Any, widths: list[int], written: list[int], mean: bool) -> None:
        self.look, self.space = looking(), part.borrow()
        self.table = np.zeros(4 * len(widths + written), np.int64)
        context, address, table = self.space.context, self.space.address, self.table.ctypes.data
        kinds = id(np.ndarray), id(np.dtype(np.float64))
        results = table + 32 * len(widths) if written else address + Context.results.offset
        run = part.most - 1, part.kernels[0].address, address, len(widths), results
        calls = ctypes.pythonapi.PyEval_SaveThread, ctypes.pythonapi.PyEval_RestoreThread
        lock = [ctypes.cast(each, ctypes.c_void_p).value or 0 for each in calls]
        forms = [word for width in widths + written for word in ((2, width) if width else (1, 1))]
        span = address + Context.start.offset
        self.words: words_of[int] = words_of("q", [0, 0, table, span, *kinds, *run, *lock, *forms])
        self.address = self.words.buffer_info()[0]
        context.once, context.uniform = self.space.once, self.space.address_of_uniform
        context.inputs, context.input_blocks = table, len(widths)
        context.results, context.result_blocks = results, 1 if written else len(part.outputs)
        context.divided = len(self.space.sums) if mean else 0

    def fit(self, rows: int, count: int, *arrays: Any) -> bool:
        """Return whether the first `count` arrays have so many rows and the right type.

        If so, the table is filled, and if there are few rows, the program has run.
        """
        self.words[0] = count
        self.look(self.address, id(arrays), rows)
        return self.words[1] == count


def runs_over(backend: Any, reduce: str | None, shapes: Sequence[tuple[int, ...]]) -> RunsOver:
    """Return a function that runs maps over arrays with rows of these shapes, in any number of threads.

    It returns the sums or means, or the outputs as [output, row]; None if the arrays are of another form, or
    if there are no rows. A single output goes to the array `out`, if that is not None.
    """
    waiting: list[Room] = []
    widths = [prod(shape) if shape else 0 for shape in shapes]
    tables = [place for place, shape in enumerate(shapes) if len(shape) > 1]  # laid out as rows of numbers
    part = backend.part("sums" if reduce else "rows")
    outputs = len(part.outputs)
    shape = () if outputs == 1 and not reduce else (outputs,)
    written = [] if reduce else [outputs if shape else 0]

    def run(arrays: Any, parameters: Array, out: Any) -> Array | None:
        first = arrays[0]
        if type(first) is not np.ndarray or not first.shape or not len(first):
            return None
        count, arrays = len(first), [*arrays] if tables else arrays
        for place in tables:
            x = arrays[place]
            if type(x) is not np.ndarray or x.shape[1:] != shapes[place]:
                return None
            arrays[place] = x.reshape(len(x), widths[place])
        outs = () if out is None else (out,)
        if outs and any(np.may_share_memory(out, x) for x in arrays):
            return None  # a row would be read after another was written
        room = waiting.pop() if waiting else Room(part, widths, written, reduce == "mean")
        room.space.give(parameters)
        if count < part.most:
            found = out if outs else np.empty(shape if reduce else (*shape, count))
            fits = room.fit(count, len(arrays) + len(written), *arrays, found.T)
        else:  # in pieces, which threads share
            fits = room.fit(count, len(arrays) + len(outs), *arrays, *outs)
            if fits and reduce:
                found = averaged(backend.sums(arrays, count, parameters), reduce, count)
            elif fits:
                rows = backend.rows(arrays, count, parameters, outs)
                found = out if outs else rows.reshape(*shape, count)
        waiting.append(room)
        if RAISED:
            raise_held()
        return found if fits else None

    return run


@cache
def looking() -> Any:
    """Return the native function that looks at arrays; None where arrays are not as expected."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    arrays = np.zeros(7)[::2], np.zeros((3, 10))[:, ::2]
    if (ctypes.c_size_t * (_ITEMS + 2)).from_address(id(arrays))[_ITEMS:] != [*map(id, arrays)]:
        return None
    start = object.__basicsize__ // 8
    for array in arrays:
        words = (ctypes.c_size_t * (start + 6)).from_address(id(array))[start - 1 :]
        kind, address, axes, shape, strides, _, dtype = words
        found = kind, address, ctypes.c_int(axes).value, dtype
        if found != (id(np.ndarray), array.ctypes.data, array.ndim, id(array.dtype)):
            return None
        sizes = ctypes.c_ssize_t * array.ndim
        if (*sizes.from_address(shape), *sizes.from_address(strides)) != array.shape + array.strides:
            return None
    return native.compile_kernels([(_Look(start), native.width())], exact=False)[0].function(_LOOK)
