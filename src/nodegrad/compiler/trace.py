"""Trace: one way through a function, compiled: its program, its guards, the leaves it reads."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import eq
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.lower import lower
from nodegrad.compiler.passes import sweep_dead
from nodegrad.compiler.program import UNCHECKED, Loop, Program, check
from nodegrad.compiler.record import Recorder, Way, named
from nodegrad.forks import noting
from nodegrad.graph import clock, dependents, topological_order
from nodegrad.trees import Spec, builder, mapped
from nodegrad.value import Value

__all__ = ()


class Backend(Protocol):
    """Runs a program. Its parameters are arrays that never change: another array comes with other numbers."""

    name: str

    def rows(
        self, blocks: Sequence[Array], count: int, parameters: Array, out: Sequence[Array] = ()
    ) -> Array:
        """Return the outputs as an array [output, row]; `blocks` are arrays [row, input], side by side.

        A block whose rows are single numbers may have one dimension. With `out`, blocks [row, output], the
        results are written there, and the returned array has no meaning.
        """

    def sums(self, blocks: Sequence[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""

    def over(self, reduce: str | None, shapes: Sequence[tuple[int, ...]]) -> Callable[..., Any] | None:
        """Return a fast function that maps over arrays with rows of these shapes, reduced or not, or None.

        It takes the arrays, the parameters, and an array for a single output or None. It returns None for
        other arrays.
        """

    def one(self, numbers: Sequence[float], parameters: Any) -> list[float]:
        """Return the outputs for one row."""

    def row(self, parts: Sequence[Any], parameters: Array) -> Array:
        """Return the outputs for one row that is given in parts: numbers, lists and arrays of them."""

    def keep(self, key: str) -> None:
        """Keep native code of what is compiled, for other processes of this user."""


Found = tuple[Spec, Sequence[float]]  # how results are put together, and the results
MakeBackend = Callable[..., Backend]  # (program); and exact=True, to the bit whatever was chosen


class Leaves:
    """The leaves that a trace closes over, and their numbers, kept until one is assigned to any Value."""

    def __init__(self, leaves: Sequence[Value]) -> None:
        self.leaves = leaves
        self.numbers = np.empty(0)
        self.pack = struct.Struct(f"{len(leaves)}d").pack
        self.time = -1  # of the clock, when they were read

    def read(self) -> Array:
        """Return the numbers, in an array that cannot be changed: the same until one is assigned."""
        if self.time != clock.assigned and self.leaves:
            with noting:  # no number is being assigned
                time = clock.assigned
                # For hundreds of leaves twice as fast as `numpy.fromiter`.
                self.numbers = np.frombuffer(self.pack(*[leaf._data for leaf in self.leaves]))
                self.time = time
        return self.numbers


class Trace:
    """One way through a function.

    Attributes:
        program: the results, then the guards.
        parameters: the Values closed over, read at each call.
        spec: how the results are put together.
        results: how many of the program's outputs are results.
        example: the numbers it was recorded with; [] if it was loaded.
        way: the answers and lines of its branches, which identify this way through the function.
        expected: the answer that each guard must give.
        lines: where each guard was asked.
        operations: how many scalar operations were recorded.
        seconds: how long recording and compiling took.
        rows: how many rows went this way.
        solves: whether it looks for a root or a fixed point.
        waits: whether it is only the recording of a first call, to be printed: rows run eagerly, and the way
            is recorded anew when it is compiled.
        key: the key of its native code in the user's cache; "" if it is not kept.
        make: makes its kernels; set by `Ways.keep`.
    """

    make: MakeBackend

    def __init__(
        self, program: Program, parameters: list[Value], spec: Spec, way: Way, operations: int
    ) -> None:
        self.program, self.parameters, self.spec, self.way = program, parameters, spec, way
        self.expected = [answer for answer, _ in way]
        self.lines = [line for _, line in way]
        self.results = len(program.outputs) - len(way)
        self.operations, self.example, self.key = operations, list[float](), ""
        self.solves = any(isinstance(op, Loop) and op.settles for op in program.ops)
        self.seconds, self.rows, self.waits = 0.0, 0, False
        self.mapped = mapped(spec)
        self.build, self.build_array = builder(spec), builder(spec, True)
        self.build_sums = builder(self.mapped, True)
        self.leaves = Leaves(parameters)
        self.kernels: dict[str, Backend] = {}

    def __reduce__(self) -> Any:
        made_from = self.program, self.parameters, self.spec, self.way, self.operations
        kept = {"example": self.example, "key": self.key, "seconds": self.seconds, "rows": self.rows}
        return Trace, made_from, kept

    def kernel(self, part: str) -> Backend:
        """Return the backend that computes "all" (the results, then the guards), "results" or "guards"."""
        part = part if self.lines else "all"
        found = self.kernels.get(part)
        if found is None:
            started = perf_counter()
            program = self.program
            spans = {"results": slice(self.results), "guards": slice(self.results, None)}
            if part in spans:
                program = sweep_dead(replace(program, outputs=program.outputs[spans[part]]))
            # Guards are computed to the bit: with other rounding, a row close to a branch could take another
            # branch than eager code.
            exact = {"exact": True} if self.lines and part != "results" else {}
            key = {"key": f"{self.key} {part}"} if self.key else {}
            found = self.kernels[part] = self.make(program, **exact, **key)
            self.seconds += perf_counter() - started
        return found

    def keep(self, key: str) -> None:
        """Keep the native code of all that is compiled, for functions loaded from a file."""
        for part, kernel in self.kernels.items():
            kernel.keep(f"{key} {part}")

    def call(self, numbers: Sequence[float]) -> tuple[list[float] | None, list[bool]]:
        """Return the results for one row; None if it goes another way, and its answers until it does.

        Kernels compute all guards at once, where a custom operation may raise for numbers that eager code
        would never give it. Such a row counts as one that goes another way.
        """
        kernel = self.kernels.get("all") or self.kernel("all")
        try:
            found = kernel.one(numbers, self.leaves.read() if self.parameters else ())
        except Exception:
            if not self.lines:
                raise
            return None, []
        if not self.lines:
            return found, []
        answers = [*map(bool, found[self.results :])]
        if answers == self.expected:
            return found[: self.results], answers
        return None, answers[: [*map(eq, answers, self.expected)].index(False) + 1]

    def chosen(self, blocks: list[Array], count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which rows go this way; there are branches."""
        try:
            found = self.kernel("guards").rows(blocks, count, self.leaves.read())
        except Exception:
            table = np.concatenate(blocks, axis=1, dtype=np.float64)
            return np.array([self.call(row)[0] is not None for row in table.tolist()])
        return np.asarray(((found != 0.0) == np.array(self.expected)[:, None]).all(axis=0))


def make_trace(f: Any, recorded: Recorder) -> Trace:
    """Make a program of a recording of `f`.

    Raises:
        ValueError: if `f` took numbers out of the record. What it does with them is not recorded. Replays may
            not show it: it may matter only in a branch that no row at hand takes.
    """
    refuse(f, recorded.reads)
    example, way = [leaf._data for leaf in recorded.inputs], recorded.way
    program, parameters, operations = lower(recorded.inputs, recorded.wanted)
    if others := dict(recorded.elsewhere):  # which another thread may still add to
        own = dependents(topological_order(*others, constants=False), [*recorded.inputs, *parameters])
        refuse(f, [line for node, line in others.items() if node in own])
    recorded.outputs.clear()  # with them go the derivatives that transforms made: much more than the program
    program = program if program.count > UNCHECKED else check(program)
    trace = Trace(program, parameters, recorded.spec, way, operations)
    trace.example = example
    return trace


def refuse(f: Any, reads: Sequence[str]) -> None:
    """Raise if a recording took numbers out of the record."""
    if reads:
        raise ValueError(
            f"compile: {named(f)} takes a plain number out of the record, where it cannot be followed: "
            f"{reads[0]}. Compute and compare with the Values themselves, in the thread that calls; for "
            "derivatives compile value_and_grad(f)."
        )


def changing(f: Any, numbers: Sequence[float]) -> ValueError:
    """Return the error for a function that does something else when it runs again."""
    shown = ", ".join(f"{number:g}" for number in numbers[:4]) + (", ..." if len(numbers) > 4 else "")
    return ValueError(
        f"compile: {named(f)} computes something else at ({shown}) than what was recorded: it uses random "
        "numbers, the order of a set, or state that changes between calls. Pass such numbers as arguments; "
        "put Values in a list, not in a set."
    )
