"""Time eager graphs: `PYTHONPATH=src:tests python tests/benchmarks/bench_eager.py [--operations 1000000]`.

Building and `backward` of a chain and of a tree of + and *, with the garbage collector as it is and inside
`nodegrad.recording()`, an operation; `backward` beside micrograd's. Then Jacobians and Hessians, beside those
of autograd, written with arrays as its users do. The best of some rounds.
"""

import argparse
import gc
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import nodegrad as ng
from benchmarks.lines import Line, once, show
from nodegrad import Value


def chain(count, kind=Value):
    """Multiply and add along one line."""
    x = y = kind(1.0)
    w = kind(0.9999)
    for _ in range(count // 2):
        y = y * w + x
    return y


def tree(count, kind=Value):
    """Add and multiply pairs until one is left; an odd one is dropped."""
    generator = random.Random(1)
    level = [kind(generator.random()) for _ in range(count)]
    while len(level) > 1:
        pairs = enumerate(zip(level[::2], level[1::2], strict=False))
        level = [a * b if at % 2 else a + b for at, (a, b) in pairs]
    return level[0]


def banded(x):
    """Return outputs that each depend on two numbers."""
    return np.array([2.0 * x[i - 1] * x[i] + ng.sin(x[i]) for i in range(len(x))])


def shared(x):
    """Return outputs that each depend on all numbers, through one sum."""
    total = ng.sum([y * y for y in x])
    return np.array([ng.sin(y) * total for y in x])


class Layers:
    """A network whose outputs share one hidden layer."""

    def __init__(self, inputs, hidden=40):
        drawn = np.random.default_rng(0)
        self.first, self.second = (
            drawn.normal(size=(hidden, inputs)) / 20.0,
            drawn.normal(size=(inputs, hidden)),
        )

    def __call__(self, x):
        """Return its outputs."""
        hidden = [ng.tanh(ng.dot(row, x)) for row in self.first]
        return np.array([ng.dot(row, hidden) for row in self.second])


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
    if find_spec("micrograd"):
        from micrograd.engine import Value as Micrograd

        for build, count in ((chain, 600), (tree, operations // 16)):  # micrograd recurses: no longer chain
            ours, theirs = (
                min([graph(partial(build, kind=kind), count)[1] for _ in range(2 * rounds)])
                for kind in (Value, Micrograd)
            )
            name = f"backward of a {build.__name__} of {count:,}, an operation"
            yield Line(name, ours, "micrograd", theirs)
    yield from derivatives(8 if quick else 400, rounds)


def derivatives(size: int, rounds: int) -> Iterator[Line]:
    """Measure Jacobians and Hessians."""
    layers, theirs = Layers(size), with_autograd(size)
    for name, function, count in (
        ("banded jacobian", ng.jacobian(banded), 2 * size),
        ("sparse jacobian", ng.jacobian(banded, sparse=True), 2 * size),
        ("jacobian through one sum", ng.jacobian(shared), size),
        ("jacobian through one hidden layer", ng.jacobian(layers), size),
        ("hessian", ng.hessian(chained), size),
        ("sparse hessian", ng.hessian(chained, sparse=True), size),
    ):
        x = np.linspace(0.1, 1.0, count)
        line = once(f"{name} of {count}", partial(function, x), rounds)
        if name in theirs:
            other = once(name, partial(theirs[name], x), rounds)
            line = Line(line.name, line.seconds, "autograd", other.seconds)
        yield line


def with_autograd(size: int) -> dict[str, Any]:
    """Write the same with arrays, for autograd; nothing where it is missing."""
    if not find_spec("autograd"):
        return {}
    import autograd
    import autograd.numpy as anp

    layers = Layers(size)
    return {
        "banded jacobian": autograd.jacobian(lambda x: 2.0 * anp.roll(x, 1) * x + anp.sin(x)),
        "jacobian through one sum": autograd.jacobian(lambda x: anp.sin(x) * anp.sum(x * x)),
        "jacobian through one hidden layer": autograd.jacobian(
            lambda x: anp.dot(layers.second, anp.tanh(anp.dot(layers.first, x)))
        ),
        "hessian": autograd.hessian(
            lambda x: anp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
        ),
    }


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=3)
    show(lines(**vars(parser.parse_args())))


def graph(build, count, context=nullcontext):
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
