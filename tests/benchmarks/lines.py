"""Single lines: what is timed by itself, outside of the problems, beside something else."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.spelling import duration, short

Timed = Callable[[], Any]


@dataclass(frozen=True)
class Line:
    """Seconds of something, and of what it is compared with."""

    name: str
    seconds: float
    beside: str = ""
    other: float = 0.0

    @property
    def cells(self) -> list[str]:
        """Write the line for a table."""
        others = (
            [self.beside, duration(self.other), short(self.seconds / self.other)] if self.beside else [""] * 3
        )
        return [self.name, duration(self.seconds), *others]


def medians(turns: int, *timed: Timed) -> list[float]:
    """Return the median seconds of some functions that take turns."""
    for each in timed * 3:
        each()
    found: list[list[float]] = [[] for _ in timed]
    for _ in range(turns):
        for each, times in zip(timed, found, strict=True):
            started = perf_counter()
            each()
            times.append(perf_counter() - started)
    return [statistics.median(times) for times in found]


def beside(name: str, turns: int, ours: Timed, other: str, theirs: Timed) -> Line:
    """Time two functions in turns."""
    mine, its = medians(turns, ours, theirs)
    return Line(name, mine, other, its)


def once(name: str, work: Timed, rounds: int = 3) -> Line:
    """Time a function that takes long: the best of some rounds."""
    times = []
    for _ in range(rounds):
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return Line(name, min(times))


def show(lines: Iterable[Line]) -> None:
    """Print lines as they are measured."""
    for line in lines:
        name, took, other, its, ratio = line.cells
        print(f"{name:56} {took:>8}   {other:22} {its:>8} {'ratio ' + ratio if ratio else ''}", flush=True)
