"""What stands between the user and the kernel: small and long maps, calls on arrays, threads, first calls.

Each line compares nodegrad with NumPy by hand or with itself, in turns, in one process; times are medians.
`PYTHONPATH=src:tests python tests/benchmarks/bench_overhead.py`
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nodegrad as ng
from benchmarks.lines import Line, beside, once, show


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


def small_maps(numbers: Any, quick: bool) -> Iterator[Line]:
    turns = 3 if quick else 3_000
    compiled = ng.compile(product)
    a, b = numbers.random((2, 10))
    yield beside(
        "a*b + a, 10 rows",
        turns,
        lambda: compiled.map(a, b),
        "NumPy",
        lambda: product(a, b),
    )
    norm = ng.compile(lambda x: ng.sum([ng.dot(row, row) for row in x]))
    tables = numbers.random((10, 4, 4))
    yield beside(
        "squared norm of 4 × 4, 10 rows",
        turns,
        lambda: norm.map(tables),
        "NumPy",
        lambda: np.einsum("nij,nij->n", tables, tables),
    )
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
    yield beside(
        "2-16-16-1 with gradient, 1 row",
        *(turns, lambda: error.map(one, target, reduce="mean")),
        *("NumPy by hand", lambda: by_hand(X[0], y[0])),
    )
    yield beside(
        "2-16-16-1 with gradient, 96 rows",
        *(
            turns,
            lambda: error.map(X, y, reduce="mean"),
            "1 row",
            lambda: error.map(one, target, reduce="mean"),
        ),
    )


def calls(numbers: Any, quick: bool) -> Iterator[Line]:
    turns = 3 if quick else 300
    slope = ng.compile(ng.grad(rosenbrock))
    x = numbers.random(2_000)
    listed, table = x.tolist(), x[None]
    yield beside(
        "gradient of Rosenbrock, array of 2,000",
        turns,
        lambda: slope(x),
        "list",
        lambda: slope(listed),
    )
    yield beside("the same, map of 1 row", turns, lambda: slope.map(table), "array", lambda: slope(x))
    pair, tuple_ = ng.compile(lambda a, b: [a * b, a + b]), ng.compile(lambda a, b: (a * b, a + b))
    a, b = numbers.random((2, 20_000))
    yield beside(
        "a list of two results, 20,000 rows",
        turns,
        lambda: pair.map(a, b),
        "a tuple",
        lambda: tuple_.map(a, b),
    )


def long_maps(numbers: Any, quick: bool) -> Iterator[Line]:
    turns = 3 if quick else 20
    compiled, length, length_alone = (
        ng.compile(f, threads=1)
        for f in (product, ng.value_and_grad(lambda x: ng.dot(x, x)), lambda x: ng.dot(x, x))
    )
    million = 1_000 if quick else 1_000_000
    a, b, out, room = numbers.random((4, million))
    yield beside(
        "a*b + a, 1,000,000 rows, out=",
        *(turns, lambda: compiled.map(a, b, out=out)),
        *("NumPy, out=", lambda: np.add(np.multiply(a, b, out=room), a, out=room)),
    )
    X = numbers.random((million // 10, 16))
    yield beside(
        "squared length and gradient, 100,000 × 16",
        *(turns, lambda: length.map(X), "NumPy", lambda: (np.einsum("ij,ij->i", X, X), 2.0 * X)),
    )
    yield beside(
        "sum of squared lengths, 100,000 × 16",
        *(turns, lambda: length_alone.map(X, reduce="sum")),
        *("row by row", lambda: length_alone.map(X)),
    )
    pairs = numbers.random((million, 2))
    yield beside(
        "squared length of float32, 1,000,000 × 2",
        turns,
        partial(length_alone.map, pairs.astype(np.float32)),
        "float64",
        partial(length_alone.map, pairs),
    )
    price = ng.compile(ng.value_and_grad(call_price, argnums=(0, 1, 2, 3, 4)), threads=1)
    many = [numbers.random(million) + 1.0 for _ in range(5)]
    few, outs = [x[: million // 10] for x in many], [np.empty(million) for _ in range(6)]
    short = outs[0][: million // 10], tuple([x[: million // 10] for x in outs[1:]])
    whole = outs[0], tuple(outs[1:])

    def ten_times() -> None:
        for _ in range(10):
            price.map(*few, out=short)

    yield beside(
        "price and slopes, 1,000,000 rows",
        turns,
        lambda: price.map(*many, out=whole),
        "10 × 100,000",
        ten_times,
    )


def threads(numbers: Any, quick: bool) -> Iterator[Line]:
    turns = 3 if quick else 60
    model = ng.nn.MLP(2, [16, 16, 1], activation="relu", seed=0)
    error = ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=model.parameters())
    two, one = (ng.compile(error, threads=count) for count in (2, 1))
    X, y = numbers.random((10_000, 2)), numbers.random(10_000)
    yield beside(
        "2-16-16-1 with gradient, 10,000 rows, 2 threads",
        *(turns, lambda: two.map(X, y, reduce="mean")),
        *("1 thread", lambda: one.map(X, y, reduce="mean")),
    )
    price = ng.value_and_grad(call_price, argnums=(0, 1, 2, 3, 4))
    both, single = (ng.compile(price, threads=count) for count in (2, 1))
    many = [numbers.random(1_000 if quick else 100_000) + 1.0 for _ in range(5)]
    yield beside(
        "price and slopes, 100,000 rows, 2 threads",
        *(turns, lambda: both.map(*many), "1 thread", lambda: single.map(*many)),
    )


FIRST = """
import json, time
import numpy as np
import nodegrad as ng
ng.compile(ng.sin).map(np.ones(3))  # loads NumPy and llvmlite, which is not counted

def epochs(sizes, rows):
    model = ng.nn.MLP(sizes[0], sizes[1:], activation="relu", seed=0)
    error = ng.compile(ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=model.parameters()))
    times = [time.process_time()]
    for _ in range(2):
        error.map(np.ones((rows, sizes[0])), np.ones(rows), reduce="mean")
        times.append(time.process_time())
    return times[1] - times[0], times[2] - times[1]

print(json.dumps(epochs({sizes}, 96)))
"""
FIRST_EPOCH = """
import json, time
import numpy as np
import nodegrad as ng

def ends(sizes, rows):
    numbers, model = np.random.default_rng(0), ng.nn.MLP(sizes[0], sizes[1:], activation="relu", seed=0)
    X, y, times = numbers.random((rows, sizes[0])), numbers.random(rows), [time.process_time()]
    note = lambda *epoch: times.append(time.process_time())
    ng.fit(model, X, y, epochs=2, batch_size=64, progress=False, callback=note)
    return times

ends([2, 4, 1], 2000)  # loads what fit needs, which is not counted
started, first, second = ends({sizes}, 4096)
print(json.dumps([first - started, second - first]))
"""


def first_calls(numbers: Any, quick: bool) -> Iterator[Line]:
    """Time the first map of networks, and a first epoch, in processes of their own, of the processor."""
    for sizes in ([2, 4, 1],) if quick else ([2, 16, 16, 1], [2, 256, 256, 1]):
        code = FIRST.replace("{sizes}", str(sizes))
        command = [sys.executable, "-c", code]
        found = []
        for _ in range(1 if quick else 3):
            with tempfile.TemporaryDirectory() as cache:  # empty for the first process, not for the next
                env = os.environ | {"XDG_CACHE_HOME": cache}
                runs = [json.loads(subprocess.check_output(command, env=env)) for _ in "12"]
            found.append((runs[0][0], runs[1][0]))
        first, next_process = map(min, zip(*found, strict=True))
        name = "-".join(map(str, sizes))
        yield Line(f"first map of {name} with gradient, 96 rows", first, "in the next process", next_process)
    code = FIRST_EPOCH.replace("{sizes}", "[2, 4, 1]" if quick else "[2, 256, 256, 1]")
    command = [sys.executable, "-c", code]
    runs = [json.loads(subprocess.check_output(command)) for _ in range(1 if quick else 3)]
    first, second = map(min, zip(*runs, strict=True))
    yield Line("first epoch of fit, 2-256-256-1, 4,096 rows", first, "the second", second)


def saving(numbers: Any, quick: bool) -> Iterator[Line]:
    """Time saving a model of a million parameters, and loading it."""
    model = ng.nn.MLP(10, [10 if quick else 990, 10 if quick else 1_000, 1], seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        saved, loaded = (once("", partial(work, path), rounds=1) for work in (model.save, model.load))
        yield Line("save 1,000,000 parameters", saved.seconds, "load", loaded.seconds)


def lines(quick: bool = False) -> Iterator[Line]:
    """Measure everything here."""
    drawn = np.random.default_rng(0)
    for part in (small_maps, calls, long_maps, threads, first_calls, saving):
        yield from part(drawn, quick)


if __name__ == "__main__":
    show(lines())
