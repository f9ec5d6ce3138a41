"""Solvers written as anyone would write them, compiled: their time over eager code's, called and mapped.

Loops that end when the numbers say so, pivoting, recursion and look-ups, over 10,000 rows (1,600 pixels
for sphere tracing), with and without derivatives. Compiling is counted. A ratio below 1 is a gain; none
should be above 1.1. Eager code is timed on a few hundred of the rows, before and after. Of five maps,
each of a function compiled anew, the median is shown; only for the first of them, native code must be
made. "recorded" is what a row takes that is looked at for its way, relative to a row that is not; it
should stay below 3.
`PYTHONPATH=src python tests/benchmarks/bench_solvers.py [names]`
"""

import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nodegrad as ng
from nodegrad.trees import flatten

Rows = Sequence[Any]  # an array for each argument
_MAPS = 5
_TURNS = 20  # a turn takes a millisecond: the shortest of three depended on what else ran


def newton(a: Any) -> Any:
    """Return the square root by Newton's method."""
    x = a
    while abs(x * x - a) > 1e-12 * a:
        x = 0.5 * (x + a / x)
    return x


def kepler(mean: Any, eccentricity: Any) -> Any:
    """Return the eccentric anomaly."""
    anomaly = mean
    while True:
        step = (anomaly - eccentricity * ng.sin(anomaly) - mean) / (1.0 - eccentricity * ng.cos(anomaly))
        anomaly = anomaly - step
        if abs(step) < 1e-12:
            return anomaly


def price(volatility: Any, strike: Any) -> Any:
    """Return the Black-Scholes price of a call on 1 in a year."""
    d = -ng.log(strike) / volatility + 0.5 * volatility

    def normal(x: Any) -> Any:
        return 0.5 * ng.erfc(-x * math.sqrt(0.5))

    return normal(d) - strike * normal(d - volatility)


def volatility_by_newton(paid: Any, strike: Any) -> Any:
    """Return the volatility that gives a price."""
    volatility = 0.5
    for _ in range(50):
        d = -ng.log(strike) / volatility + 0.5 * volatility
        slope = ng.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)
        step = (price(volatility, strike) - paid) / slope
        volatility = volatility - step
        if abs(step) < 1e-10:
            break
    return volatility


def volatility_by_bisection(paid: Any, strike: Any) -> Any:
    """Return the volatility that gives a price; its own derivatives are 0."""
    low, high = 0.01, 3.0
    while high - low > 1e-8:
        middle = 0.5 * (low + high)
        if price(middle, strike) > paid:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high) + 0.0 * paid


def sphere_tracing(x: Any, y: Any, radius: Any) -> Any:
    """Return how far the ray of a pixel goes before it meets a sphere or the floor."""
    length = ng.sqrt(x * x + y * y + 1.0)
    direction = x / length, y / length, 1.0 / length
    far = 0.0
    while far < 20.0:
        px, py, pz = (far * each for each in direction)
        sphere = ng.sqrt(px * px + py * py + (pz - 4.0) ** 2) - radius
        floor = py + 1.0
        distance = sphere if sphere < floor else floor
        if distance < 1e-4:
            break
        far = far + distance
    return far


def runge_kutta(start: Any, stiffness: Any) -> Any:
    """Return the van der Pol oscillator at time 1, with steps of the size that the error allows."""

    def slope(x: Any, v: Any) -> Any:
        return v, stiffness * (1.0 - x * x) * v - x

    t, h, x, v = 0.0, 0.1, start, 0.0
    while t < 1.0:
        h = min(h, 1.0 - t)
        a = slope(x, v)
        b = slope(x + 0.5 * h * a[0], v + 0.5 * h * a[1])
        c = slope(x + 0.75 * h * b[0], v + 0.75 * h * b[1])
        nx, nv = (
            s + h / 9.0 * (2.0 * p + 3.0 * q + 4.0 * r) for s, p, q, r in zip((x, v), a, b, c, strict=True)
        )
        d = slope(nx, nv)
        error = abs(h * (-5.0 / 72.0 * a[0] + b[0] / 12.0 + c[0] / 9.0 - d[0] / 8.0))
        if error < 1e-4:
            t, x, v = t + h, nx, nv
            h = 1.5 * h
        else:
            h = 0.5 * h
    return x


def simpson(scale: Any, end: Any) -> Any:
    """Return an integral of exp(-scale x²) by adaptive Simpson's rule."""

    def f(x: Any) -> Any:
        return ng.exp(-scale * x * x)

    def part(a: Any, fa: Any, b: Any, fb: Any, m: Any, fm: Any, whole: Any, depth: int) -> Any:
        left, right = 0.5 * (a + m), 0.5 * (m + b)
        fl, fr = f(left), f(right)
        first, second = (m - a) / 6.0 * (fa + 4.0 * fl + fm), (b - m) / 6.0 * (fm + 4.0 * fr + fb)
        if depth == 0 or abs(first + second - whole) < 1e-6:
            return first + second
        return part(a, fa, m, fm, left, fl, first, depth - 1) + part(
            m, fm, b, fb, right, fr, second, depth - 1
        )

    a, b = 0.0, end
    m = 0.5 * (a + b)
    fa, fb, fm = f(a), f(b), f(m)
    return part(a, fa, b, fb, m, fm, (b - a) / 6.0 * (fa + 4.0 * fm + fb), 12)


def collatz(n: Any) -> Any:
    """Return the sum of what the Collatz iteration goes through."""
    total = n
    while n > 1:
        n = n / 2 if n % 2 == 0 else 3 * n + 1
        total = total + n
    return total


def log_determinant(matrix: Any) -> Any:
    """Return log |det| by elimination with pivoting."""
    rows = [list(row) for row in matrix]
    total = 0.0
    while rows:
        at = max(range(len(rows)), key=lambda i: abs(rows[i][0]))
        pivot = rows.pop(at)
        total = total + ng.log(abs(pivot[0]))
        rows = [[x - row[0] / pivot[0] * p for x, p in zip(row[1:], pivot[1:], strict=True)] for row in rows]
    return total


KNOTS = [0.25 * k for k in range(41)]
HEIGHTS = [math.sin(x) for x in KNOTS]
SLOPES = [math.cos(x) for x in KNOTS]


def spline(x: Any) -> Any:
    """Return a cubic spline of 40 pieces."""
    k = 0
    while k < 39 and x > KNOTS[k + 1]:
        k += 1
    h = KNOTS[k + 1] - KNOTS[k]
    t = (x - KNOTS[k]) / h
    a, b = HEIGHTS[k : k + 2]
    p, q = SLOPES[k] * h, SLOPES[k + 1] * h
    return a + t * (p + t * (3.0 * (b - a) - 2.0 * p - q + t * (2.0 * (a - b) + p + q)))


def problems(rows: int = 10_000, seed: int = 0) -> dict[str, tuple[Callable[..., Any], Rows]]:
    """Return each solver and rows of arguments for it."""
    numbers = np.random.default_rng(seed)
    between = numbers.uniform
    strikes = between(0.8, 1.2, rows)
    paid = np.array([price(v, k) for v, k in zip(between(0.1, 0.8, rows), strikes, strict=True)])
    side = 40 if rows > 1600 else max(2, math.isqrt(rows))
    x, y = (each.ravel() for each in np.meshgrid(*[np.linspace(-0.6, 0.6, side)] * 2))
    return {
        "newton": (newton, [between(0.5, 50.0, rows)]),
        "kepler": (kepler, [between(0.1, 3.0, rows), between(0.0, 0.9, rows)]),
        "volatility by newton": (volatility_by_newton, [paid, strikes]),
        "volatility by bisection": (volatility_by_bisection, [paid, strikes]),
        "sphere tracing": (sphere_tracing, [x, y, np.full(len(x), 1.0)]),
        "runge-kutta": (runge_kutta, [between(0.5, 2.0, rows), between(0.5, 4.0, rows)]),
        "simpson": (simpson, [between(0.5, 5.0, rows), between(0.5, 2.0, rows)]),
        "collatz": (collatz, [numbers.integers(1, 1000, rows).astype(float)]),
        "log-determinant": (log_determinant, [numbers.normal(size=(rows, 4, 4))]),
        "spline": (spline, [between(0.0, 10.0, rows)]),
    }


def with_gradient(f: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    """Return the function with its derivatives by all arguments."""
    return ng.value_and_grad(f, argnums=tuple(range(arguments)))


def seconds(run: Callable[[], Any]) -> float:
    """Return how much processor time a run takes; other work on the machine does not count."""
    started = time.process_time()
    run()
    return time.process_time() - started


def compare(name: str, f: Callable[..., Any], rows: Rows, gradient: bool) -> None:
    """Print how long calls and a map take, relative to eager code, which takes turns with the calls."""
    g = with_gradient(f, len(rows)) if gradient else f
    table = list(zip(*[each.tolist() for each in rows], strict=True))
    called = ng.compile(g)
    eager = calls = 0.0
    step = len(table) // 50
    for start in range(0, len(table), step):
        part = table[start : start + step]
        few = part[:: max(1, len(part) // 10)]
        calls += seconds(lambda part=part: [called(*row) for row in part])  # type: ignore[misc]
        taken = seconds(lambda few=few: run(g, few, gradient))  # type: ignore[misc]
        eager += taken * len(part) / len(few)
    each = eager / len(table)
    maps = [mapped_over_eager(g, rows, gradient) for _ in range(_MAPS)]
    map_ = statistics.median(ratio for ratio, _ in maps)
    found = called.stats(), maps[0][1]
    some = table[:: len(table) // 50]
    (ways,) = called.ways.values()
    flat = [flatten(row)[0] for row in some]
    turns = [
        (seconds(lambda: list(map(ways.watch, flat))), seconds(lambda: run(g, some, gradient)))
        for _ in range(_TURNS)
    ]
    recorded, plain = map(min, zip(*turns, strict=True))
    ways = " ".join(f"{s['traces']:3} ways {s['eager_rows']:6} eager" for s in found)
    title = f"{name}{', gradient' if gradient else ''}"
    ratios = f"call {calls / eager:5.2f}, map {map_:5.2f}, recorded {recorded / plain:5.2f}"
    print(f"{title:34} eager {1e6 * each:8.1f} µs a row; {ratios}   {ways}", flush=True)


def mapped_over_eager(g: Callable[..., Any], rows: Rows, gradient: bool) -> tuple[float, dict[str, Any]]:
    """Return how long a first map takes, relative to eager code before and after it; and what it recorded."""
    step = max(1, len(rows[0]) // 500)
    compiled, few = ng.compile(g), [*zip(*[each[::step] for each in rows], strict=True)]
    before = seconds(lambda: run(g, few, gradient))
    mapped = seconds(lambda: compiled.map(*rows))
    after = seconds(lambda: run(g, few, gradient))
    return mapped / (0.5 * (before + after) * len(rows[0]) / len(few)), compiled.stats()


def run(f: Callable[..., Any], table: Sequence[Any], gradient: bool) -> None:
    """Run rows eagerly."""
    for row in table:
        f(*(row if gradient else map(values, row)))


def values(argument: Any) -> Any:
    """Return Values in place of numbers."""
    is_many = isinstance(argument, list | np.ndarray)
    return list(map(values, argument)) if is_many else ng.Value(float(argument))


def main(wanted: Sequence[str]) -> None:
    """Print a line for each solver, without and with derivatives."""
    warnings.simplefilter("ignore", RuntimeWarning)
    ng.compile(newton)(2.0)  # the first compilation of a process takes longer
    for name, (f, rows) in problems().items():
        if not wanted or any(each in name for each in wanted):
            for gradient in (False, True):
                compare(name, f, rows, gradient)


if __name__ == "__main__":
    main(sys.argv[1:])
