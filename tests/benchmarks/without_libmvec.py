"""Compare functions in lanes with and without glibc's vector functions, and print nanoseconds per number.

python tests/benchmarks/without_libmvec.py
"""

import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

import nodegrad as ng
from nodegrad.compiler.backends.llvm import native

NAMES = ("exp", "log", "log1p", "expm1", "sin", "cos", "erf", "softplus", "tanh", "sigmoid")
COUNT, ROUNDS = 200_000, 25


def nanoseconds(call: Callable[[], Any]) -> float:
    """Return the least time per number of several calls."""
    call()
    times = []
    for _ in range(ROUNDS):
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return min(times) / COUNT * 1e9


def measure() -> None:
    """Print one line per function."""
    rows = np.random.default_rng(0).uniform(0.1, 3.0, COUNT)
    for name in NAMES:
        compiled = ng.compile(getattr(ng, name), threads=1)
        print(f"{name} {nanoseconds(lambda compiled=compiled: compiled.map(rows)):.2f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["without"]:
        native._find_vector_functions = lambda: None
    if sys.argv[1:]:
        measure()
    else:
        runs = [
            subprocess.run([sys.executable, __file__, how], capture_output=True, text=True, check=True).stdout
            for how in ("with", "without")
        ]
        for there, lacking in zip(*[run.splitlines() for run in runs], strict=True):
            name, fast = there.split()
            slow = lacking.split()[1]
            print(f"{name:<10} {fast:>6} {slow:>6}  {float(slow) / float(fast):.1f} times")
