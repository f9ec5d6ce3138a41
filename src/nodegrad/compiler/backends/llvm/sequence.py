"""A sequence: native programs run one after the other, again and again, with no Python in between.

Each turn runs the same stages. A stage runs a program over rows, copies numbers, or ends the sequence where a
number is not finite. What differs from turn to turn stands in tables that a copy advances through.
"""

from array import array
from typing import Any

import numpy as np

from nodegrad.compiler.backends.llvm import native
from nodegrad.compiler.backends.llvm.backend import CALL, LlvmBackend, address_of, table_of
from nodegrad.compiler.backends.llvm.driver import WORDS
from nodegrad.compiler.backends.llvm.ir import Body
from nodegrad.compiler.backends.llvm.spellings import raise_held

__all__ = ()

Array = np.ndarray[Any, Any]

Advance = tuple[int, int, int]
_STAYS = (0, 0, 0)
_SPAN = WORDS.index("start")  # then stop and rows
_PARAMETERS = "ptr %r, i64 %turn, ptr %ended"


def _loop(body: Body) -> str:
    """Run the x[1] stages at x[0] again and again, until one ends it.

    for turn = x[2], ..., x[3] - 1:
        for each stage: if x[4] == 0: call it
        if x[4] == 0: x[5] = turn + 1
    """
    records, count = body.pointer("%x", 0), body.field("%x", 1)
    ended, done = body.at("%x", 4), body.at("%x", 5)
    with body.loop(body.field("%x", 3), body.field("%x", 2)) as turn:
        with body.loop(count) as stage, body.when(_is_zero(body, ended)):
            record = body.pointer(records, stage)
            function = body.load("ptr", record)
            body.do(f"call void {function}(ptr {record}, i64 {turn}, ptr {ended})")
        with body.when(_is_zero(body, ended)):
            body.store("i64", turn + 1, done)
    return "ptr %x"


def _call(body: Body) -> str:
    """Call a driver. Record: itself, function, context."""
    function, context = body.pointer("%r", 1), body.pointer("%r", 2)
    body.do(f"call void {function}(ptr {context})")
    return _PARAMETERS


def _take(body: Body) -> str:
    """Copy entries of `width` words: target[i] = source[index[i]], all three advanced by the turn.

    Record: itself, source, index, target, count, width, and the words that each of the three advances by.
    """
    moved = [body.field("%r", place) * "%turn" for place in (6, 7, 8)]
    source, index, target = (body.at(body.pointer("%r", place), by) for place, by in enumerate(moved, 1))
    count, width = body.field("%r", 4), body.field("%r", 5)
    with body.loop(count) as i:
        from_, to = body.at(source, body.field(index, i) * width), body.at(target, i * width)
        with body.loop(width) as word:
            body.store("i64", body.field(from_, word), body.at(to, word))
    return _PARAMETERS


def _check(body: Body) -> str:
    """End the sequence where a number is not finite. Record: itself, the address of the number."""
    number = body.load("double", body.pointer("%r", 1))
    nothing = body.let(f"fsub double {number}, {number}")
    with body.when(body.let(f"fcmp uno double {nothing}, 0.0")):
        body.store("i64", 1, "%ended")
    return _PARAMETERS


def _squares(body: Body) -> str:
    """Add up squares: target[0] = sum over i of numbers[i]².

    Past the last number, zeros fill up a vector. Record: itself, numbers, target, how many.
    """
    numbers, target = body.pointer("%r", 1), body.pointer("%r", 2)
    total = [body.number(0.0)]
    with body.loop(body.field("%r", 3), step=body.lanes, carried=total) as i:
        number = body.load(body.vector, body.at(numbers, i, "double"), 8)
        total[0] = body.intrinsic("fmuladd", number, number, total[0])
    body.store("double", body.total(total[0]), target)
    return _PARAMETERS


def _is_zero(body: Body, place: str) -> str:
    return body.let(f"icmp eq i64 {body.load('i64', place)}, 0")


def _wide() -> int:
    """Return the lanes of `_squares`: several registers, so that additions need not wait for each other."""
    return 4 * native.width()


class Placed:
    """A program with its memory: it finds its parameters in `parameters`, and leaves means in `results`.

    With `out`, blocks of arrays [row, number], it leaves a result for each row there. They may be the blocks
    it reads: a row is read before it is written.
    """

    def __init__(
        self, backend: LlvmBackend, blocks: list[Array], count: int, out: list[Array] | None = None
    ) -> None:
        self.part = backend.part("sums" if out is None else "rows")
        self.space = self.part.borrow()  # and never given back: a sequence may run at any time
        outputs = len(self.part.outputs)
        self.results = np.zeros(outputs + _wide())  # `Sequence.squares` reads whole vectors
        self.parameters = self.space.uniform
        tables = table_of(blocks), self.results[:outputs] if out is None else table_of(out)
        self.space.place(self.space, *tables, 0, count, count, 0)
        self.space.context.divided = len(self.space.sums)
        self.kept = blocks, out, tables
        words = np.frombuffer(memoryview(self.space.context), np.int64)
        self.span = words[_SPAN : _SPAN + 3]  # first row, row after the last, rows there are


class Sequence:
    """Stages, in the order in which they are added, and how to run them."""

    def __init__(self) -> None:
        kinds = (_loop, _call, _take, _check, _squares)
        lanes = [1, 1, 1, 1, _wide()]
        made = native.compile_kernels([*zip(kinds, lanes, strict=True)], exact=False)
        self.at = dict[Any, native.Kernel](zip(kinds, made, strict=True))
        self.words, self.starts = array("q"), array("q")
        self.kept: list[Any] = []  # memory that stages point into
        self.loop = self.at[_loop].function(CALL)

    def run_program(self, placed: Placed) -> None:
        """Add: run a program over its rows."""
        self.kept.append(placed)
        self._add(_call, placed.part.kernels[0].address, placed.space.address)

    def squares(self, numbers: Array, target: Array) -> None:
        """Add: target[0] = the squared norm of numbers, which zeros follow."""
        self.kept += [numbers, target]
        self._add(_squares, numbers.ctypes.data, target.ctypes.data, len(numbers))

    def check(self, number: Array) -> None:
        """Add: end the sequence if the first number of an array is not finite."""
        self.kept.append(number)
        self._add(_check, number.ctypes.data)

    def take(
        self, source: Array, target: Array, index: Array, width: int = 1, advance: Advance = _STAYS
    ) -> None:
        """Add: copy entries of `width` words, target[i] = source[index[i]].

        From turn to turn, source, index and target advance by so many words. An array that advances is read
        or written as far as the turns go; an index that advances has as many entries for each turn.
        """
        self.kept += [source, target, index]
        places = [kept.ctypes.data for kept in (source, index, target)]
        self._add(_take, *places, advance[1] or index.size, width, *advance)

    def run(self, start: int, stop: int) -> int:
        """Run the turns from start up to stop; return the first that was not completed."""
        words, starts = np.frombuffer(self.words, np.int64), np.frombuffer(self.starts, np.int64)
        records = words.ctypes.data + 8 * starts
        control = np.array([records.ctypes.data, len(records), start, stop, 0, start], np.int64)
        self.loop(address_of(control))
        raise_held()
        return int(control[5])

    def _add(self, kind: Any, *words: int) -> None:
        self.starts.append(len(self.words))
        self.words.extend([self.at[kind].address, *words])
