"""Run a function itself, on Values: for its results, for its way, or to record it."""

import re
from collections.abc import Sequence
from typing import Any

from nodegrad.compiler.program import evaluate
from nodegrad.compiler.record import Recorder, Way, current_recorder, named
from nodegrad.compiler.trace import Found, Trace, changing, refuse
from nodegrad.graph import leave
from nodegrad.inputs import plain
from nodegrad.loops import TooWide
from nodegrad.observers import listeners
from nodegrad.ops import strong_mul
from nodegrad.transforms import flat, gives_floats, in_numbers, plain_places
from nodegrad.trees import Build, Spec, builder
from nodegrad.value import Value, literal, stand_in

__all__ = ()

_FEW = 1_000  # with fewer operations, a replay on each of the other rows costs little
# The errors of range and lists for a Value.
_WHOLE = "'Value' object cannot be interpreted as an integer|indices must be integers.* not '?Value"
RARELY = 128  # after the first rows, one in this many is looked at; twice as many while few ways are known


class Eager:
    """A function for one structure of its arguments, run eagerly on a row.

    Attributes:
        f: the function; its name, if it did not travel with what was recorded.
        spec: how the numbers of a row are put together as arguments.
        eager: how many rows ran eagerly.
        unrolls: whether each `while_loop` is recorded turn by turn, since it depends on many weights.
        solves: whether it looks for a root or a fixed point, which may not be found.
    """

    def __init__(self, f: Any, spec: Spec) -> None:
        self.f, self.spec, self.eager = f, spec, 0
        self.unrolls = self.solves = False
        self._put = builder(spec)
        self._in_numbers: Any = in_numbers(f) if callable(f) else None
        self._plain = plain_places(f, len(spec[2]))  # the arguments that a transform differentiates by
        self._gives_floats = len(self._plain) > 0 and gives_floats(self._in_numbers)

    def function(self) -> Any:
        """Return the function.

        Raises:
            ValueError: if it did not travel with what was recorded.
        """
        if not callable(self.f):
            raise without_function(self.f, "go a way")
        return self.f

    def run(self, numbers: Sequence[float]) -> Found:
        """Run a row eagerly, and count it."""
        self.eager += 1
        return self.results(numbers)

    def answer(self, numbers: Sequence[float]) -> tuple[Build, Any]:
        """Run a row eagerly, and count it; return its results, and the function that puts them together."""
        self.eager += 1
        if self._gives_floats and not self.solves and not listeners.all:
            return _together, self._in_numbers(*self._arguments(numbers, ()))
        spec, found = self.results(numbers)
        return builder(spec), found

    def results(self, numbers: Sequence[float], values: Sequence[Value] = ()) -> Found:
        """Run the function on Values (stand-ins, if given) and return its results as numbers."""
        f = self._in_numbers or self.function()
        given = values or ([] if self._plain else [*map(stand_in, numbers)])
        leaves, spec = flat(f, self._arguments(numbers, given))
        if listeners.all and (recorder := current_recorder()) is not None:
            recorder.called(f, given, leaves)
            if not values:  # otherwise `replay` compares all that was made
                recorder.check_left(leaves)
        if not values:
            leave(given)
        return spec, leaves if self._gives_floats else self.numbers_of(leaves)

    def numbers_of(self, results: Sequence[Any]) -> list[float]:
        """Return results as plain numbers."""
        return [
            x if type(x) is float else x._data if isinstance(x, Value) else self._number(x) for x in results
        ]

    def _number(self, result: Any) -> float:
        if type(result) is tuple:  # the factors of an adjoint
            return strong_mul.value(*[x._data for x in result])
        return plain(result, f"compile: the result of {named(self.f)}")

    def _arguments(self, numbers: Sequence[Any], values: Sequence[Value], kind: Any = float) -> Sequence[Any]:
        """Return the arguments: the values; in a run of a transform, numbers where it differentiates by them.

        It makes Values of these, so that branches are seen. Without values, the others are constants, so that
        derivatives inside can sweep over floats. `kind` is that of arrays of numbers, those without
        dimensions included: results of transforms are like them.
        """
        if not self._plain:
            return self._put(values, 0, None)[0]  # type: ignore[no-any-return]
        by_number: Sequence[Any] = self._put(numbers, 0, kind)[0]
        if len(self._plain) == len(by_number):
            return by_number
        given = self._put(values or [*map(literal, numbers)], 0, None)[0]
        return [by_number[at] if at in self._plain else each for at, each in enumerate(given)]

    def record(self, numbers: Sequence[float]) -> Recorder:
        """Run the function on new Values that hold `numbers`, and record it.

        Raises:
            TypeError: if it returns anything but numbers and Values in nested lists, tuples, dicts or arrays.
        """
        inputs = [*map(stand_in, numbers)]
        recorder = Recorder(self.f, inputs, unrolls=self.unrolls)
        try:
            with recorder.at_work():
                arguments = self._arguments(inputs, inputs, object)
                leaves, recorder.spec = flat(self.function(), arguments, pairs=True)
        except TooWide:
            self.unrolls = True
            return self.record(numbers)
        except TypeError as error:
            if re.search(_WHOLE, str(error)):
                raise TypeError(
                    f"compile: {named(self.f)} uses a Value as a whole number ({error}). Name an argument "
                    'for range or an index in static=, as in compile(f, static="n"); it is then recorded '
                    "anew for each value. To look up what is computed, write nodegrad.take(table, index)."
                ) from error
            raise
        recorder.called(self.f, inputs, leaves)
        leave(inputs)
        recorder.outputs = [
            x if type(x) is tuple or isinstance(x, Value) else self._number(x) for x in leaves
        ]
        return recorder

    def watch(self, numbers: Sequence[float]) -> tuple[Way, Found]:
        """Run a row eagerly; return its way and its results."""
        recorder = Recorder(self.f, unrolls=self.unrolls)
        try:
            with recorder.at_work():
                found = self.run(numbers)
        except TooWide:
            self.unrolls = True
            self.eager -= 1  # the row counts once
            return self.watch(numbers)
        recorder.leave()
        refuse(self.f, recorder.reads)
        return recorder.way, found

    def replay(
        self, numbers: Sequence[float], expected: Sequence[bool], first: Recorder | None = None
    ) -> Found | None:
        """Run a row eagerly; return its results, or None if its branches do not answer as expected.

        Raises:
            ValueError: if they do, but the run computes something else than the first one.
        """
        values = [*map(stand_in, numbers)]
        # Turns are recorded once more than the first recording did: if Python counts them, it finds out.
        recorder = Recorder(self.f, values, 3, self.unrolls)
        try:
            with recorder.at_work():
                found = self.results(numbers, values)
            if recorder.answers != expected:
                return None
            refuse(self.f, recorder.reads)
            if first is not None and not first.like(recorder):
                recorder.check_left(recorder.found)  # its error says more
                raise changing(self.f, numbers)
            return found
        except TooWide:  # what was recorded differentiates no such loop
            return None
        except Exception:
            if recorder.answers == expected[: len(recorder.answers)]:
                raise
            return None
        finally:
            recorder.leave()

    def verify(
        self, trace: Trace, first: Recorder, numbers: Sequence[float], others: Sequence[Sequence[float]]
    ) -> None:
        """Run the function again on given rows, and compare with a new trace to the bit.

        This finds what recording cannot see: random numbers and state outside. Results alone may hide them,
        as a factor of 0 does, so a replay compares operations and constants, too. Without other rows, the
        recorded row is run again.

        Args:
            trace: the trace of the recorded row.
            first: what was recorded.
            numbers: the row that was recorded.
            others: rows to compare on, which go the same way.

        Raises:
            ValueError: saying that the results do not follow from the arguments.
        """
        rows = others if trace.operations < _FEW else others[:1]
        runs = [(self.replay(row, trace.expected, first), row) for row in rows]
        if not any(again for again, _ in runs):  # they go another way since a leaf was assigned
            runs = [(self.replay(numbers, trace.expected, first), numbers)]
        for again, row in runs:
            found = evaluate(trace.program, row, trace.leaves.read().tolist())
            if again is None or not same(again, (trace.spec, found[: trace.results])):
                raise changing(self.f, row)


def _together(result: Any, start: int, dtype: Any) -> tuple[Any, int]:
    """Return results that are put together already, as `trees.builder` returns them."""
    return result, start


def same(one: Found, other: Found) -> bool:
    """Return whether two runs gave the same results."""
    (spec, found), (other_spec, others) = one, other  # `np.array_equal` takes an interrupt for a difference
    pairs = zip(found, others, strict=True)
    return spec == other_spec and (found == others or all(x == y or (x != x and y != y) for x, y in pairs))


def without_function(name: str, what: str) -> ValueError:
    """Return the error for arguments for which the function itself would be needed."""
    return ValueError(
        f"compile: these arguments of {name} {what} that was not recorded, and its function is not here. It "
        "was loaded from a file, or unpickled without its function, which cannot be pickled or closes over "
        "Values that do not travel with it. Call it with such arguments before saving or pickling it; or "
        "pickle a function at the top of a module that takes the Values as arguments, or a Module that holds "
        "them."
    )
