"""Read the numbers of many leaves at once: a model's parameters, at every call.

In CPython an object's address is its id, and a slot is at a fixed offset in the object. So native code can
follow the pointers, about ten times as fast as Python. The offsets are measured, never assumed, and the
numbers are compared with those that Python reads before native code is used. Where this fails, Python reads
the leaves.
"""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, cast

import numpy as np

from nodegrad.compiler import backends
from nodegrad.compiler.arguments import Array
from nodegrad.value import Value

__all__ = ()

_data = attrgetter("_data")
_MANY = 32  # with fewer leaves Python is as fast
_OFTEN = 10  # reads before native code is compiled, which takes as long as 300 reads of 300 leaves
_AHEAD = 64  # how many leaves ahead the processor fetches Values into its cache


class Leaves:
    """Some leaves, and how to read their numbers."""

    def __init__(self, leaves: Sequence[Value]) -> None:
        self.leaves = list(leaves)
        behind = [id(leaves[-1])] * _AHEAD if leaves else []  # for the last leaves, which have none ahead
        self.addresses = np.array([*map(id, leaves), *behind], np.int64)
        self.place = self.addresses.ctypes.data
        self.native, self.reads = False, 0

    def read(self) -> Array:
        """Return the numbers."""
        if not self.leaves:
            return np.empty(0)
        if self.native:
            return self.follow()
        self.reads += 1
        if self.reads == _OFTEN and len(self.leaves) >= _MANY:
            self.native = _works(self)
        return np.fromiter(map(_data, self.leaves), np.float64, len(self.leaves))

    def follow(self) -> Array:
        """Return the numbers as native code finds them."""
        out = np.empty(len(self.leaves))
        # six times as fast as `out.ctypes.data`
        self.write(ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, out))))
        return out

    def write(self, address: int) -> None:
        """Write the numbers to memory, as native code finds them."""
        _reader()(self.place, len(self.leaves), address)


def _works(leaves: Leaves) -> bool:
    if _reader() is None:
        return False
    expected = np.fromiter(map(_data, leaves.leaves), np.float64, len(leaves.leaves))
    return bool(np.array_equal(leaves.follow().view(np.int64), expected.view(np.int64)))


@cache
def _reader() -> Any:
    """Return a native function (addresses, count, numbers), called with the interpreter's lock; or None."""
    one_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not one_lock or backends.choose("auto") != "llvm":
        return None
    from nodegrad.compiler.backends.llvm.native import compile_kernels

    places = {_places(number) for number in (1.25, -3.5e10)}
    place = places.pop()
    if places or place is None:
        return None
    kind = ctypes.PYFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
    return compile_kernels([(_Reader(*place), 1)], exact=False)[0].function(kind)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads leaves: for each i: out[i] = the number, `number` bytes into what leaf i holds at `slot`."""

    slot: int
    number: int

    def write(self, body: Any) -> str:
        """Write the function."""
        with body.loop("%count") as i:
            ahead, leaf = (body.pointer("%leaves", each) for each in (i + _AHEAD, i))
            body.fetch(body.at(ahead, self.slot, "i8"))
            held = body.load("ptr", body.at(leaf, self.slot, "i8"))
            found = body.load("double", body.at(held, self.number, "i8"))
            body.store("double", found, body.at("%out", i, "double"))
        return "ptr noalias %leaves, i64 %count, ptr noalias %out"


def _places(number: float) -> tuple[int, int] | None:
    """Return the offsets, in bytes, of the float in a Value and of the number in a float."""
    leaf = Value(number)
    words = _words(ctypes.c_size_t, leaf)
    doubles = _words(ctypes.c_double, leaf._data)
    held = [place for place, word in enumerate(words) if word == id(leaf._data)]
    numbers = [place for place, double in enumerate(doubles) if double == number]
    return (8 * held[0], 8 * numbers[0]) if len(held) == len(numbers) == 1 else None


def _words(kind: Any, thing: Any) -> list[Any]:
    return list((kind * (thing.__sizeof__() // 8)).from_address(id(thing)))
