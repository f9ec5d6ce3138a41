"""Timing: contenders take turns at a problem, and functions are compiled in processes of their own."""

import importlib
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from benchmarks import problems
from benchmarks.contenders import OURS, REGISTRY, Contender, Repeated
from benchmarks.problems import Problem

COMPETITORS = ("with_python", "with_pytorch", "with_jax", "with_casadi")  # they register when imported
NOT_INSTALLED, TOO_SLOW, DISAGREES = "not installed", "too slow to include", "disagrees"
AGREE = 1e-9  # how far results may be apart, relative to the largest number in them
REST = 0.02  # seconds between turns, until the threads of the previous contender stop spinning
LONGEST = 120  # seconds that compiling one function may take
SIZES = {  # of the functions that are compiled to see what compiling costs, by `quick`
    False: {
        "wide": (1, 10, 96, 800),
        "deep": (100, 1_000, 10_000, 40_000),
        "tangle": (1_000, 10_000, 100_000, 1_000_000),
    },
    True: {"wide": (1,), "deep": (10,), "tangle": (100,)},
}

for competitor in COMPETITORS:
    importlib.import_module(f"benchmarks.{competitor}")


@dataclass
class Timing:
    """What one contender took for one problem: medians over rounds, the ratios taken round by round."""

    compile_seconds: float
    seconds: float = math.nan
    ratio: float = math.nan


@dataclass
class Case:
    """One problem at one size: the times of those who took part, and why the others did not."""

    problem: Problem
    size: str
    timings: dict[str, Timing] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """Return how many times as long as nodegrad a contender took; nan if it did not take part."""
        return self.timings[name].ratio if name in self.timings else math.nan


def measure(problem: Problem, sample: float, budget: float) -> Iterator[Case]:
    """Build every contender once, then run them in turns at each size."""
    absent: dict[str, str] = {}
    ready = dict(built(problem, absent))
    for size, arguments in problem.arguments.items():
        case = Case(problem, size, absent=dict(absent))
        work = problem.work * problems.rows_of(arguments, problem.mode)
        runs: dict[str, Any] = {}
        for name, (contender, bind, seconds) in ready.items():
            if work > contender.most:
                case.absent[name] = TOO_SLOW
                continue
            start = perf_counter()
            step = bind(arguments)
            runs[name] = step if hasattr(step, "result") else Repeated(step)
            result = contender.read(runs[name].result())
            case.timings[name] = Timing(seconds + perf_counter() - start)
            if name == OURS:
                expected = result
            elif contender.same and not agrees(result, expected):
                case.absent[name] = DISAGREES
                del runs[name], case.timings[name]
        race(case, runs, sample, budget)
        yield case


def built(problem: Problem, absent: dict[str, str]) -> Iterator[tuple[str, tuple[Contender, Any, float]]]:
    """Build every contender, nodegrad first, with the seconds it took; note why one is absent."""
    work = problem.work * min(problems.rows_of(x, problem.mode) for x in problem.arguments.values())
    for name, contender in REGISTRY[problem.family].items():
        if problem.work > contender.graph or work > contender.most:
            absent[name] = TOO_SLOW
            continue
        try:
            contender.start()
            start = perf_counter()
            yield name, (contender, contender.build(problem), perf_counter() - start)
        except ImportError:
            absent[name] = NOT_INSTALLED
        except NotImplementedError as reason:
            absent[name] = str(reason)


def agrees(result: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether two results are the same up to rounding."""
    return result.shape == expected.shape and bool(
        np.max(np.abs(result - expected)) <= AGREE * np.max(np.abs(expected))
    )


def race(case: Case, runs: dict[str, Any], sample: float, budget: float) -> None:
    """Time all in turns, A B C A B C ..., each as many steps as fill `sample` seconds."""
    counts = {}
    for name, run in runs.items():
        count = 1
        while (taken := run.seconds(count)) < sample / 4:
            count = max(4 * count, int(count * sample / (2 * taken)))
        counts[name] = max(1, round(count * sample / taken))
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}  # own seconds, nodegrad's
    spent = dict.fromkeys(runs, 0.0)
    start = perf_counter()
    while len(turns[OURS]) < 3 or (perf_counter() - start < budget and len(turns[OURS]) < 25):
        for name, run in runs.items():
            if name == OURS or not turns[name] or spent[name] < budget / 2:  # slow ones take fewer turns
                sleep(REST)
                taken = run.seconds(counts[name])
                spent[name] += taken
                own = taken / counts[name]
                turns[name].append((own, own if name == OURS else turns[OURS][-1][0]))
    for name, timing in case.timings.items():
        timing.seconds = statistics.median(own for own, _ in turns[name])
        timing.ratio = statistics.median(own / ours for own, ours in turns[name])


@dataclass
class Cost:
    """What compiling a function took, in a process of its own."""

    shape: str
    backend: str
    operations: int
    seconds: float
    processor_seconds: float  # what other programs on the machine take away does not count
    bytes: int
    call: float


def compile_costs(quick: bool) -> Iterator[Cost]:
    """Compile functions of growing sizes, each in a fresh process."""
    script = Path(__file__).with_name("compile_cost.py")
    path = os.pathsep.join(filter(None, sys.path))
    env = os.environ | {"PYTHONPATH": path}
    env.pop("XDG_CACHE_HOME", None)  # then each process has an empty cache of its own
    for shape, sizes in SIZES[quick].items():
        for size in sizes:
            command = [sys.executable, script, shape, str(size)]
            try:
                done = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    env=env,
                    timeout=LONGEST,
                )
            except subprocess.TimeoutExpired:
                print(f"compile {shape} {size}: more than {LONGEST} s, left out", file=sys.stderr)
                continue
            if done.returncode:
                print(f"compile {shape} {size}: {done.stderr.strip()[-300:]}, left out", file=sys.stderr)
                continue
            yield Cost(shape, **json.loads(done.stdout))
