"""Time eager graphs: `PYTHONPATH=src:tests python tests/benchmarks/bench_eager.py [--operations 1000000]`.

Building and `backward` of a chain and of a tree of + and *, with the garbage collector as it is and inside
`nodegrad.recording()`, an operation. Then Jacobians and Hessians. The best of some rounds.
"""

import argparse
import gc
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np

import nodegrad as ng
from benchmarks.lines import Line, once, show
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


def lines(quick: bool = False, operations: int = 2**20, rounds: int = 3) -> Iterator[Line]:
    """Measure graphs, an operation each, then Jacobians and Hessians."""
    operations, rounds = (1_000, 1) if quick else (operations, rounds)
    for build in (chain, tree):
        for collector, context in (("collector on", nullcontext), ("recording()", ng.recording)):
            found = [graph(build, operations, context) for _ in range(rounds)]
            built, swept = min(found, key=sum)
            name = f"{build.__name__} of {operations:,}, {collector}: build and backward, an operation"
            yield Line(name, built + swept, "backward alone", swept)
    for name, function, size in (
        ("banded jacobian", ng.jacobian(banded), 800),
        ("sparse jacobian", ng.jacobian(banded, sparse=True), 800),
        ("hessian", ng.hessian(chained), 400),
        ("sparse hessian", ng.hessian(chained, sparse=True), 400),
    ):
        x = np.linspace(0.1, 1.0, 8 if quick else size)
        yield once(f"{name} of {len(x)}", partial(function, x), rounds)


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=3)
    show(lines(**vars(parser.parse_args())))


def graph(build, count, context):
    """Return seconds per operation: building, backward."""
    gc.collect()
    with context():
        start = time.perf_counter()
        out = build(count)
        built = time.perf_counter()
        out.backward()
        end = time.perf_counter()
    return (built - start) / count, (end - built) / count


if __name__ == "__main__":
    main()
