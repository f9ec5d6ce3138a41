"""What stands between the user and the kernel: small and long maps, calls on arrays, threads, first calls.

Each line compares nodegrad with NumPy by hand or with itself, in turns, in one process; times are medians in
microseconds. `PYTHONPATH=src python tests/benchmarks/bench_overhead.py`
"""

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import nodegrad as ng

Timed = Callable[[], Any]


def medians(turns: int, *timed: Timed) -> list[float]:
    """Return the median times of some functions that take turns, in microseconds."""
    for each in timed * 3:
        each()
    found: list[list[float]] = [[] for _ in timed]
    for _ in range(turns):
        for each, times in zip(timed, found, strict=True):
            started = time.perf_counter()
            each()
            times.append(time.perf_counter() - started)
    return [1e6 * statistics.median(times) for times in found]


def line(name: str, turns: int, ours: Timed, other: str, theirs: Timed) -> None:
    mine, its = medians(turns, ours, theirs)
    print(f"{name:52} {mine:10.1f}   {other:22} {its:10.1f}   ratio {mine / its:6.2f}")


def product(a: Any, b: Any) -> Any:
    return a * b + a


def rosenbrock(x: Any) -> Any:
    return ng.sum([100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in itertools.pairwise(x)])


def call_price(spot: Any, strike: Any, years: Any, rate: Any, volatility: Any) -> Any:
    spread = volatility * ng.sqrt(years)
    d = (ng.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / spread

    def normal(x: Any) -> Any:
        return 0.5 * (1.0 + ng.erf(x * 0.7071067811865476))

    return spot * normal(d) - strike * ng.exp(-rate * years) * normal(d - spread)


def small_maps(numbers: Any) -> None:
    compiled = ng.compile(product)
    a, b = numbers.random((2, 10))
    line("a*b + a, 10 rows", 20_000, lambda: compiled.map(a, b), "NumPy", lambda: product(a, b))
    model = ng.nn.MLP(2, [16, 16, 1], activation="relu", seed=0)
    error = ng.compile(ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=model.parameters()))
    X, y = numbers.random((96, 2)), numbers.random(96)
    W = [numbers.random(shape) for shape in ((16, 2), (16, 16), (16,))]

    def by_hand(x: Any, y: Any) -> Any:
        first = np.maximum(W[0] @ x, 0.0)
        second = np.maximum(W[1] @ first, 0.0)
        slope = 2.0 * (W[2] @ second - y)
        inner = slope * W[2] * (second > 0.0)
        outer = (W[1].T @ inner) * (first > 0.0)
        return slope * second, inner, np.outer(inner, first), outer, np.outer(outer, x)

    one, target = X[:1].copy(), y[:1].copy()
    line(
        "2-16-16-1 with gradient, 1 row",
        *(3_000, lambda: error.map(one, target, reduce="mean")),
        *("NumPy by hand", lambda: by_hand(X[0], y[0])),
    )
    line(
        "2-16-16-1 with gradient, 96 rows",
        *(
            3_000,
            lambda: error.map(X, y, reduce="mean"),
            "1 row",
            lambda: error.map(one, target, reduce="mean"),
        ),
    )


def calls(numbers: Any) -> None:
    slope = ng.compile(ng.grad(rosenbrock))
    x = numbers.random(2_000)
    listed, table = x.tolist(), x[None]
    line("gradient of Rosenbrock, array of 2,000", 300, lambda: slope(x), "list", lambda: slope(listed))
    line("the same, map of 1 row", 300, lambda: slope.map(table), "array", lambda: slope(x))
    pair, tuple_ = ng.compile(lambda a, b: [a * b, a + b]), ng.compile(lambda a, b: (a * b, a + b))
    a, b = numbers.random((2, 20_000))
    line(
        "a list of two results, 20,000 rows", 300, lambda: pair.map(a, b), "a tuple", lambda: tuple_.map(a, b)
    )


def long_maps(numbers: Any) -> None:
    compiled, length = (
        ng.compile(product, threads=1),
        ng.compile(ng.value_and_grad(lambda x: ng.dot(x, x)), threads=1),
    )
    a, b, out, room = numbers.random((4, 1_000_000))
    line(
        "a*b + a, 1,000,000 rows, out=",
        *(40, lambda: compiled.map(a, b, out=out)),
        *("NumPy, out=", lambda: np.add(np.multiply(a, b, out=room), a, out=room)),
    )
    X = numbers.random((100_000, 16))
    line(
        "squared length and gradient, 100,000 × 16",
        *(40, lambda: length.map(X), "NumPy", lambda: (np.einsum("ij,ij->i", X, X), 2.0 * X)),
    )
    price = ng.compile(ng.value_and_grad(call_price, argnums=(0, 1, 2, 3, 4)), threads=1)
    many = [numbers.random(1_000_000) + 1.0 for _ in range(5)]
    few, outs = [x[:100_000] for x in many], [np.empty(1_000_000) for _ in range(6)]
    short = outs[0][:100_000], tuple([x[:100_000] for x in outs[1:]])
    whole = outs[0], tuple(outs[1:])

    def ten_times() -> None:
        for _ in range(10):
            price.map(*few, out=short)

    line(
        "price and slopes, 1,000,000 rows", 7, lambda: price.map(*many, out=whole), "10 × 100,000", ten_times
    )


def threads(numbers: Any) -> None:
    model = ng.nn.MLP(2, [16, 16, 1], activation="relu", seed=0)
    error = ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=model.parameters())
    two, one = (ng.compile(error, threads=count) for count in (2, 1))
    X, y = numbers.random((10_000, 2)), numbers.random(10_000)
    line(
        "2-16-16-1 with gradient, 10,000 rows, 2 threads",
        *(60, lambda: two.map(X, y, reduce="mean"), "1 thread", lambda: one.map(X, y, reduce="mean")),
    )


FIRST_CALL = """
import time
import numpy as np
import nodegrad as ng
from nodegrad.compiler import backends, compiled
backends.choose("auto")
model = ng.nn.MLP(2, [16, 16, 1], activation="relu", seed=0)
error = ng.compile(ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=model.parameters()))
X, y = np.ones((96, 2)), np.ones(96)
started = time.process_time()
error.map(X, y, reduce="mean")
print(1e6 * (time.process_time() - started))
"""


def first_call() -> None:
    found = [float(subprocess.check_output([sys.executable, "-c", FIRST_CALL])) for _ in range(5)]
    print(f"{'first map of 2-16-16-1 in a process, of the processor':52} {statistics.median(found):10.1f}")


if __name__ == "__main__":
    drawn = np.random.default_rng(0)
    for part in (small_maps, calls, long_maps, threads):
        part(drawn)
    first_call()
