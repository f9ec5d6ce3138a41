"""Time eager graphs: `PYTHONPATH=src python tests/benchmarks/bench_eager.py [--operations 1000000]`.

Building and `backward` of a chain and of a tree of + and *, with the garbage collector as it is and inside
`nodegrad.recording()`: nanoseconds per operation. Then Jacobians and Hessians, in milliseconds. The best of
some rounds.
"""

import argparse
import gc
import random
import time
from contextlib import nullcontext

import numpy as np

import nodegrad as ng
from nodegrad import Value


def chain(count):
    """Multiply and add along one line."""
    x = y = Value(1.0)
    w = Value(0.9999)
    for _ in range(count // 2):
        y = y * w + x
    return y


def tree(count):
    """Add and multiply pairs until one is left; an odd one is dropped."""
    generator = random.Random(1)
    level = [Value(generator.random()) for _ in range(count)]
    while len(level) > 1:
        pairs = enumerate(zip(level[::2], level[1::2], strict=False))
        level = [a * b if at % 2 else a + b for at, (a, b) in pairs]
    return level[0]


def banded(x):
    """Return outputs that each depend on two numbers."""
    return np.array([2.0 * x[i - 1] * x[i] + ng.sin(x[i]) for i in range(len(x))])


def chained(x):
    """Return Rosenbrock's function."""
    return ng.sum([100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2 for i in range(len(x) - 1)])


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for build in (chain, tree):
        for collector, context in (("collector on", nullcontext), ("recording", ng.recording)):
            rounds = [graph(build, options.operations, context) for _ in range(options.rounds)]
            built, swept = min(rounds, key=sum)
            total = built + swept
            print(f"{build.__name__:6}{collector:14}{built:6.0f} build{swept:6.0f} backward{total:6.0f} ns")
    for name, function, size in (
        ("banded jacobian", ng.jacobian(banded), 800),
        ("sparse jacobian", ng.jacobian(banded, sparse=True), 800),
        ("hessian", ng.hessian(chained), 400),
        ("sparse hessian", ng.hessian(chained, sparse=True), 400),
    ):
        x = np.linspace(0.1, 1.0, size)
        print(f"{name} of {size}: {1e3 * min(seconds(function, x) for _ in range(options.rounds)):.0f} ms")


def graph(build, count, context):
    """Return nanoseconds per operation: building, backward."""
    gc.collect()
    with context():
        start = time.perf_counter()
        out = build(count)
        built = time.perf_counter()
        out.backward()
        end = time.perf_counter()
    return 1e9 * (built - start) / count, 1e9 * (end - built) / count


def seconds(function, x):
    """Time one call."""
    start = time.perf_counter()
    function(x)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
