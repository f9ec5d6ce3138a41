"""The targets: what must not get slower, beside what was measured. The runner says them at its end."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.contenders import OURS, RELU
from benchmarks.problems import Problem
from benchmarks.spelling import short
from benchmarks.timing import Case, Cost

PYTORCH, JAX = ("PyTorch", "PyTorch, 1 thread"), ("JAX jit",)
LARGE = 10_000  # operations; in larger programs the fixed cost of compiling does not matter


@dataclass(frozen=True)
class Target:
    """What is promised, what was measured, and whether that is enough."""

    text: str
    required: str
    measured: str
    met: bool


class Found(NamedTuple):
    """A number that was measured, and where."""

    number: float
    where: str


def targets(cases: list[Case], costs: list[Cost]) -> list[Target]:
    """Compare what was measured with the targets; leave out what was not measured."""
    small, batches = "MLP 2-16-16-1 relu", ("96 rows", "1024 rows")
    perceptrons = [case for case in cases if case.problem.family == "mlp" and case.problem.mode == "mean"]
    batched = [case for case in perceptrons if case.size in batches]
    narrow = [case for case in batched if width(case.problem) <= 64]
    first = [case for case in batched if case.problem.name == small and case.size == "96 rows"]
    steps = [case for case in cases if case.problem.name == f"fit step, {small}"]
    gpts = [case for case in cases if case.problem.family == "gpt"]
    calls = [case for case in cases if case.problem.family == "call"]
    large = [cost for cost in costs if cost.operations > LARGE]
    found = [
        at_least("map of 2-16-16-1 relu, 96 rows: PyTorch's time", ratios(first, PYTORCH), 3.0),
        at_least("a step of fit, the same: PyTorch's time", ratios(steps, PYTORCH), 8.0),
        at_least("a step of fit, the same: JAX jit's time", ratios(steps, JAX), 3.0),
        at_least("map of any perceptron, 96 and 1024 rows: PyTorch's time", ratios(batched, PYTORCH), 1.0),
        at_least("map to width 64, 96 and 1024 rows: JAX jit's time", ratios(narrow, JAX), 1.0),
        at_most("tanh and sigmoid, 96 and 1024 rows: relu's time", slower_kinds(batched), 1.5, "×"),
        at_most(
            "GPT: a sequence", seconds(gpts, lambda case: 1e3 * case.timings[OURS].seconds / 32), 0.2, " ms"
        ),
        at_most("a call", seconds(calls, lambda case: 1e6 * case.timings[OURS].seconds), 5.0, " µs"),
        at_most(
            f"compiling {small}", seconds(first, lambda case: case.timings[OURS].compile_seconds), 0.3, " s"
        ),
        at_most(
            f"compiling, an operation of more than {LARGE:,}",
            [Found(1e6 * cost.processor_seconds / cost.operations, at(cost)) for cost in large],
            10.0,
            " µs",
        ),
        at_most(
            f"memory while compiling, an operation of more than {LARGE:,}",
            [Found(cost.bytes / cost.operations, at(cost)) for cost in large],
            600.0,
            " bytes",
        ),
    ]
    return [target for target in found if target is not None]


def at_least(text: str, found: list[Found], bound: float) -> Target | None:
    """Compare the smallest of some ratios with a bound."""
    if not found:
        return None
    worst = min(found)
    return Target(
        text, f"at least {bound:g}×", f"{short(worst.number)}×: {worst.where}", worst.number >= bound
    )


def at_most(text: str, found: list[Found], bound: float, unit: str) -> Target | None:
    """Compare the largest of some numbers with a bound."""
    if not found:
        return None
    worst = max(found)
    measured = f"{short(worst.number)}{unit}: {worst.where}"
    return Target(text, f"at most {bound:g}{unit}", measured, worst.number <= bound)


def ratios(cases: Iterable[Case], names: Iterable[str]) -> list[Found]:
    """Return how many times as long as nodegrad some contenders took, where they took part."""
    pairs = [(case, name) for case in cases for name in names if not math.isnan(case.ratio(name))]
    return [Found(case.ratio(name), f"{named(case)}, {name}") for case, name in pairs]


def seconds(cases: Iterable[Case], number: Callable[[Case], float]) -> list[Found]:
    """Return a number of each case."""
    return [Found(number(case), named(case)) for case in cases]


def slower_kinds(cases: list[Case]) -> list[Found]:
    """Return how many times as long as the same network of relu other networks took, in turns with it."""
    return [Found(1.0 / found.number, named(case)) for case in cases for found in ratios([case], (RELU,))]


def named(case: Case) -> str:
    """Name a problem and its size."""
    return f"{case.problem.name}, {case.size}"


def at(cost: Cost) -> str:
    """Name a function that was compiled."""
    return f"{cost.shape}, {cost.operations:,}"


def width(problem: Problem) -> int:
    """Return the largest number of neurons in a layer."""
    return max((len(b) for _, b in problem.given.get("layers", ())), default=0)
