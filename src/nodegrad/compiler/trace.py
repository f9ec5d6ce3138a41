"""Trace: one way through a function, compiled: its program, its guards, the leaves it reads."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.leaves import Leaves
from nodegrad.compiler.lower import lower
from nodegrad.compiler.passes import optimize, sweep_dead
from nodegrad.compiler.program import UNCHECKED, Program, check, evaluate
from nodegrad.compiler.record import Recording, named, record
from nodegrad.compiler.vectorize import vectorize
from nodegrad.graph import patient_collector
from nodegrad.trees import Spec, builder, mapped
from nodegrad.value import Value


class Backend(Protocol):
    """What runs a vector program."""

    name: str

    def rows(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return the outputs as an array [output, row]; `blocks` are arrays [row, input], side by side."""

    def sums(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""

    def bound(self, blocks: list[Array], count: int) -> Callable[[Array], Array]:
        """Return `sums` over these rows as a function of the parameters; the rows may change in place."""

    def one(self, numbers: Sequence[float], parameters: Sequence[float]) -> list[float]:
        """Return the outputs for one row."""


MakeBackend = Callable[..., Backend]  # (vector program); and exact=True, to the bit whatever was chosen


class Trace:
    """One way through a function.

    Attributes:
        program: the results, then the guards.
        parameters: the Values closed over, read at each call.
        spec: how the results are put together.
        results: how many of the program's outputs are results.
        answers: the answer that each guard must give.
        lines: where each guard was asked.
        operations: how many scalar operations were recorded.
        seconds: how long recording and compiling took.
    """

    def __init__(self, recording: Recording, make: MakeBackend, started: float) -> None:
        self.spec = recording.spec
        self.answers = np.array([guard.answer for guard in recording.guards], bool)
        self.lines = [guard.line for guard in recording.guards]
        self.results = len(recording.outputs)
        program, self.parameters = lower(recording)
        recording.forget()
        self.operations = len(program.ops)
        program = optimize(program)
        self.program = program if len(program.ops) > UNCHECKED else check(program)
        self.seconds = perf_counter() - started
        self.reset(make)

    def reset(self, make: MakeBackend) -> None:
        """Forget what is compiled, and compile by `make` from now on."""
        self.build = builder(self.spec)
        self.mapped = mapped(self.spec)
        self.build_sums = builder(self.mapped, True)
        self.expected = self.answers.tolist()
        self.leaves = Leaves(self.parameters)
        self.make = make
        self.kernels: dict[str, Backend] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("make", "kernels", "build", "build_sums", "mapped", "expected", "leaves"):
            del state[name]
        return state

    def kernel(self, part: str) -> Backend:
        """Return what computes "all" (the results, then the guards), the "results" or the "guards"."""
        found = self.kernels.get(part)
        if found is None:
            if part == "results" and not self.lines and "all" in self.kernels:
                return self.kernels["all"]
            started = perf_counter()
            outputs = self.program.outputs
            spans = {"all": slice(None), "results": slice(self.results), "guards": slice(self.results, None)}
            program: Program = replace(self.program, outputs=outputs[spans[part]])
            program = sweep_dead(program) if self.lines and part != "all" else program
            with patient_collector():
                # Guards are computed as eager code does: rounded otherwise, a row on the brink of a branch
                # would go a way that eager code does not take.
                exact = {"exact": True} if self.lines and part != "results" else {}
                found = self.kernels[part] = self.make(vectorize(program), **exact)
            self.seconds += perf_counter() - started
        return found

    def numbers(self) -> Array:
        """Read the leaves closed over."""
        return self.leaves.read()

    def call(self, numbers: Sequence[float]) -> list[float] | None:
        """Return the results for one row, or None if its guards say that it goes another way."""
        kernel = self.kernels.get("all") or self.kernel("all")
        try:
            found = kernel.one(numbers, [leaf._data for leaf in self.parameters])
        except Exception:
            if self.fits(numbers):
                raise
            return None
        if not self.lines:
            return found
        answers = [number != 0.0 for number in found[self.results :]]
        return found[: self.results] if answers == self.expected else None

    def fits(self, numbers: Sequence[float]) -> bool:
        """Return whether a row goes this way, guard by guard, and nothing is computed behind one it fails.

        Kernels compute all at once: an operation of one's own may refuse numbers that never come to it.
        """
        parameters = [leaf._data for leaf in self.parameters]
        for slot, answer in zip(self.program.outputs[self.results :], self.expected, strict=True):
            asked = sweep_dead(replace(self.program, outputs=[slot]))
            if (evaluate(asked, numbers, parameters)[0] != 0.0) != answer:
                return False
        return True

    def chosen(self, blocks: list[Array], count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which rows go this way."""
        if not self.lines:
            return np.ones(count, bool)
        try:
            found = self.kernel("guards").rows(blocks, count, self.numbers())
        except Exception:
            table = np.concatenate(blocks, axis=1)
            return np.array([self.fits(row.tolist()) for row in table])
        return np.asarray(((found != 0.0) == self.answers[:, None]).all(axis=0))


def make_trace(f: Callable[..., Any], spec: Spec, numbers: Sequence[float], make: MakeBackend) -> Trace:
    """Record `f` at `numbers` and compile what it did.

    Raises:
        ValueError: if `f` looks at `.data`: what is done with the number leaves no record, and replays may
            not show it (a branch that no row at hand takes).
    """
    started = perf_counter()
    recording = record(f, spec, numbers)
    if recording.reads:
        raise ValueError(
            f"compile: {named(f)} takes a plain number out of the record, where it cannot be followed: "
            f"{recording.reads[0]} reads .data. Compute and compare with the Values themselves."
        )
    return Trace(recording, make, started)


# The self-check of a new trace.

_FEW = 1_000  # operations below which further replays cost nothing


def verify(
    trace: Trace,
    f: Callable[..., Any],
    spec: Spec,
    numbers: Sequence[float],
    others: Sequence[Sequence[float]],
) -> None:
    """Run `f` again, on other rows that go the same way, and compare with the trace to the bit.

    That finds what recording cannot see: random numbers and state outside.

    Raises:
        ValueError: saying that `f` is not a function of its arguments.
    """
    replays = 0
    nearby = _nearby(numbers)[: 4 - len(others)]
    for place, candidate in enumerate([*others, *nearby, numbers]):
        if replays and (candidate is numbers or trace.operations >= _FEW):
            break
        try:
            again = record(f, spec, candidate)
        except Exception:
            if place < len(others) or candidate is numbers:
                raise
            continue  # nobody asked for this row: the function may well refuse it
        same_way = [guard.answer for guard in again.guards] == trace.answers.tolist()
        if not same_way and candidate is not numbers:
            continue
        replays += 1
        if not same_way or not _agree(trace, again, candidate):
            raise ValueError(_complaint(f, candidate))


def _nearby(numbers: Sequence[float]) -> list[list[float]]:
    """Return rows that differ in every number, by much and by little."""
    spread = [0.37 + 0.11 * (index % 7) for index in range(len(numbers))]
    scales = ((1.75, 1.0), (1.0 + 2.0**-10, 2.0**-10), (-1.0, -0.5))
    return [
        [x * scale + shift * part for x, part in zip(numbers, spread, strict=True)] for scale, shift in scales
    ]


def _agree(trace: Trace, again: Recording, numbers: Sequence[float]) -> bool:
    if again.spec != trace.spec:
        return False
    expected = [out._data if type(out) is Value else out for out in again.outputs]
    found = evaluate(trace.program, numbers, [leaf._data for leaf in trace.parameters])
    pairs = zip(expected, found[: trace.results], strict=True)
    return all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in pairs)


def _complaint(f: Any, numbers: Sequence[float]) -> str:
    shown = ", ".join(f"{number:g}" for number in numbers[:4]) + (", ..." if len(numbers) > 4 else "")
    return (
        f"compile: {named(f)} gives another result at ({shown}) than what was recorded: it uses random "
        "numbers, or state that changes between calls, or gradients written by backward(). Pass such numbers "
        "as arguments; for derivatives compile value_and_grad(f)."
    )
