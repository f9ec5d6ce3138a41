"""Maps of few rows: native code looks at the arrays itself, so that Python only says which they are.

NumPy's C interface fixes the order of an array's fields (type, address, dimensions, shape, strides, dtype),
Python's that of a tuple. Where they begin is found by looking at some, and what native code reads there is
compared with what Python reads before it is trusted. It looks while it holds the interpreter's lock.
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


class Looker:
    """The words of a look at float64 arrays. `widths`: numbers in a row, 0 for an array of one dimension.

    `run`: the words of the program that runs over few rows.
    """

    def __init__(self, look: Any, widths: list[int], span: int, run: Sequence[int] = (0,) * 5) -> None:
        self.look = look
        self.table = np.zeros(4 * len(widths), np.int64)
        kinds = id(np.ndarray), id(np.dtype(np.float64))
        calls = ctypes.pythonapi.PyEval_SaveThread, ctypes.pythonapi.PyEval_RestoreThread
        lock = [ctypes.cast(each, ctypes.c_void_p).value or 0 for each in calls]
        forms = [word for width in widths for word in ((2, width) if width else (1, 1))]
        self.words = words_of("q", [0, 0, self.table.ctypes.data, span, *kinds, *run, *lock, *forms])
        self.address = self.words.buffer_info()[0]

    def fit(self, rows: int, count: int, *arrays: Any) -> bool:
        """Return whether the first `count` arrays have so many rows and the right type.

        If so, the table is filled, and if there are few rows, the program has run.
        """
        self.words[0] = count
        self.look(self.address, id(arrays), rows)
        return self.words[1] == count


class Room(Looker):
    """Memory to run a program in, over arrays of one form; `written` is the width of results, [] for sums."""

    def __init__(self, part: Any, look: Any, widths: list[int], written: list[int], mean: bool) -> None:
        self.space = part.borrow()
        context, address = self.space.context, self.space.address
        run = [part.most - 1, part.kernels[0].address, address, len(widths), address + Context.results.offset]
        super().__init__(look, widths + written, address + Context.start.offset, run)
        context.once, context.uniform = self.space.once, self.space.address_of_uniform
        context.inputs, context.input_blocks = self.table.ctypes.data, len(widths)
        context.result_blocks = 1 if written else len(part.outputs)
        context.divided = len(self.space.sums) if mean else 0
        if written:  # in the table
            self.words[10] = context.results = self.table[4 * len(widths) :].ctypes.data


def runs_over(backend: Any, reduce: str | None, look: Any, shapes: Sequence[tuple[int, ...]]) -> RunsOver:
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
        room = waiting.pop() if waiting else Room(part, look, widths, written, reduce == "mean")
        if count >= part.most:  # in pieces, which threads share
            fits = room.fit(count, len(arrays) + len(outs), *arrays, *outs)
            waiting.append(room)
            if not fits:
                return None
            if reduce:
                return averaged(backend.sums(arrays, count, parameters), reduce, count)
            rows: Array = backend.rows(arrays, count, parameters, outs)
            return out if outs else rows.reshape(*shape, count)
        found = out if outs else np.empty(shape if reduce else (*shape, count))
        room.space.give(parameters)
        fits = room.fit(count, len(arrays) + len(written), *arrays, found.T)
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
    start = object.__basicsize__ // 8
    flat, wide = np.zeros(7)[::2], np.zeros((3, 10))[:, ::2]
    both = (flat, wide)
    if (ctypes.c_size_t * (_ITEMS + 2)).from_address(id(both))[_ITEMS:] != [*map(id, both)]:
        return None
    for array in both:
        words = (ctypes.c_size_t * (start + 6)).from_address(id(array))
        expected = id(np.ndarray), array.ctypes.data, id(array.dtype)
        if (words[start - 1], words[start], words[start + 5]) != expected:
            return None
    look = native.compile_kernels([(_Look(start), native.width())], exact=False)[0].function(_LOOK)
    span = np.zeros(3, np.int64)
    looker = Looker(look, [0, 5], span.ctypes.data)
    maps = (3, wide[:, 0], wide), (4, flat, wide), (3, wide, wide), (3, flat[1:], wide)
    found = [looker.fit(rows, 2, *each) for rows, *each in maps], span.tolist(), looker.table.tolist()
    tables = [flat[1:].ctypes.data, 16, 16, 1, wide.ctypes.data, 80, 16, 5]
    return look if found == ([True, False, False, True], [0, 3, 3], tables) else None
