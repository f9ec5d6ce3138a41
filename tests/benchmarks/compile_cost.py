"""Compile one function of a given size and print what it cost, as JSON; run.py calls this in a fresh process.

python tests/benchmarks/compile_cost.py SHAPE SIZE [BACKEND]
"""

import json
import random
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import nodegrad as ng
from benchmarks import problems

KINDS = (ng.add, ng.mul, ng.sub, ng.tanh, ng.sin)


def tangle(size: int) -> Callable[..., Any]:
    """Return a function of random operations on random earlier results, so that no pattern repeats.

    Random choices are made beforehand, so that the function costs only its operations.
    """
    generator = random.Random(0)
    steps = []
    for _ in range(size):
        kind, places = generator.choice(KINDS), range(16)
        steps.append((kind, generator.choices(places, k=kind.arity)))

    def function(x: float) -> Any:
        numbers = [x + 0.01 * index for index in range(16)]
        for kind, places in steps:
            numbers[places[0]] = kind(*[numbers[place] for place in places])
        return ng.sum(numbers)

    return function


def wide(size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return loss and gradient of 2-16-16-1 over `size` rows in one graph: shallow and regular."""
    problem = problems.mlp_graph([2, 16, 16, 1], "relu", size)
    return problem.function, next(iter(problem.arguments.values()))


def deep(size: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a pendulum of `size` steps with its gradient: every step waits for the one before."""
    problem = problems.pendulum(size, 1)
    return problem.function, next(iter(problem.arguments.values()))


SHAPES = {"wide": wide, "deep": deep, "tangle": lambda size: (tangle(size), (0.5,))}


def peak_bytes() -> int:
    """Return the peak memory of this process (Linux), without that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def cost(shape: str, size: int, backend: str = "auto") -> dict[str, Any]:
    """Compile and call once; return the operations recorded, the seconds, and the bytes over those before."""
    ng.compile(ng.sin, backend=backend)(1.0)  # loads what is needed on first use, so that it is not counted
    function, arguments = SHAPES[shape](size)
    before = peak_bytes()
    compiled = ng.compile(function, backend=backend)
    times = [(perf_counter(), process_time())]
    for _ in range(2):
        compiled(*arguments)
        times.append((perf_counter(), process_time()))
    peak = peak_bytes()  # before stats(), which vectorizes once more to count
    (first, first_own), (second, second_own) = ((b[0] - a[0], b[1] - a[1]) for a, b in pairwise(times))
    return {
        "backend": compiled.stats()["backend"],
        "operations": compiled.stats()["operations"],
        "seconds": first - second,
        "processor_seconds": first_own - second_own,
        "bytes": peak - before,
        "call": second,
    }


if __name__ == "__main__":
    print(json.dumps(cost(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
