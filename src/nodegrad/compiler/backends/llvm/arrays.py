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
from nodegrad.compiler.backends.llvm.ir import Body
from nodegrad.compiler.backends.llvm.spellings import RAISED, raise_held

__all__ = ()

Array = np.ndarray[Any, np.dtype[np.float64]]

_LOOK = ctypes.PYFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)  # holds the lock
_HEAD = 6  # the words before the widths of the arrays
_ITEMS = tuple.__basicsize__ // 8  # where in a tuple its entries are, in words


@dataclass(frozen=True, slots=True)
class _Look:
    """Checks a tuple of arrays, and writes the table of blocks for a driver: a block for each that fits.

    Words: arrays, how many fit, table, where the driver finds its span of rows, type, dtype; of each array
    how many numbers a row has, 0 where it has one dimension.
    """

    start: int  # where in an array its address is, in words

    def __call__(self, body: Body) -> str:
        """Write the function."""
        count, table, span = body.field("%x", 0), body.pointer("%x", 2), body.pointer("%x", 3)
        rows = body.name("%rows")
        for place, word in enumerate(("0", rows, rows)):
            body.store("i64", word, body.at(span, place))
        fitting: list[Any] = ["0"]
        with body.loop(count, carried=fitting, kind="i64") as k:
            array, width = body.pointer("%arrays", k + _ITEMS), body.field("%x", k + _HEAD)
            flat = body.let(f"icmp eq i64 {width}, 0")
            last = body.let(f"select i1 {flat}, i64 0, i64 1")  # the axis of the numbers of a row
            kind = body.let(f"icmp eq i64 {body.field(array, self.start - 1)}, {body.field('%x', 4)}")
            dtype = body.let(f"icmp eq i64 {body.field(array, self.start + 5)}, {body.field('%x', 5)}")
            dimensions = body.let(f"trunc i64 {body.field(array, self.start + 1)} to i32")
            expected = body.let(f"trunc i64 {body.let(f'add i64 {last}, 1')} to i32")
            same = body.let(f"icmp eq i32 {dimensions}, {expected}")
            right = body.let(f"and i1 {kind}, {body.let(f'and i1 {dtype}, {same}')}")
            with body.when(right, fitting, "i64"):
                shape, strides = (body.pointer(array, self.start + word) for word in (2, 3))
                long = body.let(f"icmp eq i64 {body.field(shape, 0)}, {rows}")
                same = body.let(f"icmp eq i64 {body.field(shape, last)}, {width}")
                wide = body.let(f"or i1 {flat}, {same}")
                fits = body.let(f"zext i1 {body.let(f'and i1 {long}, {wide}')} to i64")
                fitting[0] = body.name(fitting[0]) + fits
                across = body.let(f"select i1 {flat}, i64 8, i64 {body.field(strides, last)}")
                numbers = body.let(f"select i1 {flat}, i64 1, i64 {width}")
                block = body.at(table, k, "[4 x i64]")
                words = body.field(array, self.start), body.field(strides, 0), across, numbers
                for place, word in enumerate(words):
                    body.store("i64", word, body.at(block, place))
        body.store("i64", fitting[0], body.at("%x", 1))
        return "ptr %x, ptr %arrays, i64 %rows"


class Looker:
    """The words of a look at float64 arrays. `widths`: numbers in a row, 0 for an array of one dimension."""

    def __init__(self, look: Any, widths: list[int], span: int) -> None:
        self.look, self.count = look, len(widths)
        self.table = np.zeros(4 * self.count, np.int64)
        kinds = id(np.ndarray), id(np.dtype(np.float64))
        self.words = words_of("q", [self.count, 0, self.table.ctypes.data, span, *kinds, *widths])
        self.address = self.words.buffer_info()[0]

    def fit(self, rows: int, *arrays: Any) -> bool:
        """Return whether all arrays have so many rows and the right type; if so, the table is filled."""
        self.look(self.address, id(arrays), rows)
        return self.words[1] == self.count


class Room(Looker):
    """Memory to run a program in, over arrays of one form; `written` is the width of results, [] for sums."""

    def __init__(self, part: Any, look: Any, widths: list[int], written: list[int]) -> None:
        self.space = part.borrow()
        context = self.space.context
        super().__init__(look, widths + written, ctypes.addressof(context) + Context.start.offset)
        context.once, context.uniform = self.space.once, self.space.address_of_uniform
        context.inputs, context.input_blocks = self.table.ctypes.data, len(widths)
        self.sums = np.empty(part.plan.size)
        context.results = (self.table[4 * len(widths) :] if written else self.sums).ctypes.data
        context.result_blocks = 1


def runs_over(
    part: Any, how: str, look: Any, shapes: Sequence[tuple[int, ...]]
) -> Callable[..., Array | None]:
    """Return a function that runs maps over arrays with rows of these shapes, in any number of threads.

    It returns the sums, or the outputs as [output, row]; None if the arrays are of another form, or if there
    are no rows, or many. A single output goes to the array `out`, if that is not None.
    """
    waiting: list[Room] = []
    widths = [prod(shape) if shape else 0 for shape in shapes]
    tables = [place for place, shape in enumerate(shapes) if len(shape) > 1]  # laid out as rows of numbers
    outputs = len(part.outputs)
    shape = () if outputs == 1 else (outputs,)
    written = [] if how == "sums" else [outputs if shape else 0]

    def run(arrays: Any, parameters: Array, out: Any) -> Array | None:
        first = arrays[0]
        if type(first) is not np.ndarray or not first.shape or not 0 < len(first) < part.most:
            return None
        count, arrays = len(first), [*arrays] if tables else arrays
        for place in tables:
            x = arrays[place]
            if type(x) is not np.ndarray or x.shape[1:] != shapes[place]:
                return None
            arrays[place] = x.reshape(len(x), widths[place])
        room = waiting.pop() if waiting else Room(part, look, widths, written)
        if not written:
            found, fits = room.sums, room.fit(count, *arrays)
        else:
            found = np.empty((*shape, count)) if out is None else out
            fits = room.fit(count, *arrays, found.T)
            if out is not None:  # of shared memory, a row would be read after another was written
                fits = fits and not any(np.may_share_memory(out, x) for x in arrays)
        if fits:
            room.space.give(parameters)
            part.driver(room.space.address)
            if RAISED:
                raise_held()
            found = found if written else found.take(part.outputs)
        waiting.append(room)
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
    look = native.compile_kernels([(_Look(start), 1)], exact=False)[0].function(_LOOK)
    span = np.zeros(3, np.int64)
    looker = Looker(look, [0, 5], span.ctypes.data)
    maps = (3, wide[:, 0], wide), (4, flat, wide), (3, wide, wide), (3, flat[1:], wide)
    found = [looker.fit(*each) for each in maps], span.tolist(), looker.table.tolist()
    tables = [flat[1:].ctypes.data, 16, 8, 1, wide.ctypes.data, 80, 16, 5]
    return look if found == ([True, False, False, True], [0, 3, 3], tables) else None
