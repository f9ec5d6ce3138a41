"""Loops, solutions and tables, compiled, beside the same in JAX: in turns, after the results are compared.

A first call is timed once, after a small compile, with an empty cache of native code. In `run.py`, after much
else, it takes longer: Python's collector has more to look through.
`PYTHONPATH=src:tests python tests/benchmarks/bench_loops.py`
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import nodegrad as ng
from benchmarks.lines import Line, beside, medians, show
from benchmarks.with_jax import jax_numpy, jax_step


class Pair(NamedTuple):
    """A compiled function and what it is called on; the same in JAX."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[[Any, Any], Callable[..., Any]]  # made from jax and jax.numpy
    arguments: tuple[Any, ...]


def volatilities(rows: int) -> Pair:
    """Return the volatilities that give some prices, and their derivatives by price and strike."""

    def price(volatility: Any, strike: Any, log: Any, erfc: Any) -> Any:
        d = log(100.0 / strike) / volatility + 0.5 * volatility

        def normal(x: Any) -> Any:
            return 0.5 * erfc(-x * math.sqrt(0.5))

        return 100.0 * normal(d) - strike * normal(d - volatility)

    def ours(paid: Any, strike: Any) -> Any:
        return ng.root(lambda volatility: price(volatility, strike, ng.log, ng.erfc) - paid, 0.3)

    def theirs(jax: Any, jnp: Any) -> Any:
        def implied(paid: Any, strike: Any) -> Any:
            def error(volatility: Any) -> Any:
                return price(volatility, strike, jnp.log, jax.scipy.special.erfc) - paid

            def solve(f: Any, start: Any) -> Any:
                def goes_on(state: Any) -> Any:
                    return (jnp.abs(state[1]) > 1e-14) & (state[2] < 60)

                def step(state: Any) -> Any:
                    found, slope = jax.value_and_grad(f)(state[0])
                    return state[0] - found / slope, found / slope, state[2] + 1

                return jax.lax.while_loop(goes_on, step, (start, 1.0, 0))[0]

            return jax.lax.custom_root(error, 0.3, solve, lambda g, y: y / g(1.0))

        return jax.jit(jax.vmap(jax.value_and_grad(implied, argnums=(0, 1))))

    numbers = np.random.default_rng(0)
    strikes = numbers.uniform(80.0, 120.0, rows)
    known = numbers.uniform(0.1, 0.8, rows)
    paid = ng.compile(lambda v, k: price(v, k, ng.log, ng.erfc)).map(known, strikes)
    compiled = ng.compile(ng.value_and_grad(ours, argnums=(0, 1)))
    return Pair(f"{rows:,} implied volatilities by root", compiled.map, theirs, (paid, strikes))


def garch(days: int) -> Pair:
    """Return the likelihood of a GARCH(1, 1) model, and its gradient."""

    def turn(parameters: Any, state: Any, x: Any, log: Any) -> Any:
        (omega, alpha, beta), (variance, total) = parameters, state
        return (omega + alpha * x * x + beta * variance, total + log(variance) + x * x / variance), None

    def ours(parameters: Any, returns: Any) -> Any:
        return ng.scan(lambda state, x: turn(parameters, state, x, ng.log), (1.0, 0.0), returns)[0][1]

    def theirs(jax: Any, jnp: Any) -> Any:
        def likelihood(parameters: Any, returns: Any) -> Any:
            start = jnp.asarray(1.0), jnp.asarray(0.0)
            return jax.lax.scan(lambda s, x: turn(parameters, s, x, jnp.log), start, returns)[0][1]

        return jax.jit(jax.value_and_grad(likelihood))

    returns = np.random.default_rng(0).normal(size=days)
    arguments = np.array([0.1, 0.1, 0.8]), returns
    return Pair(f"GARCH of {days:,} returns by scan", ng.compile(ng.value_and_grad(ours)), theirs, arguments)


def double_pendulum(steps: int) -> Pair:
    """Return the Jacobian of the state after steps of Runge and Kutta by the state before."""

    def slope(state: Any, sin: Any, cos: Any) -> Any:
        a, b, p, q = state
        s, c = sin(a - b), cos(a - b)
        below = 2.0 - c * c
        return [
            p,
            q,
            (-9.81 * (2.0 * sin(a) - sin(b) * c) - s * (q * q + p * p * c)) / below,
            (2.0 * s * (p * p + 9.81 * cos(a)) + s * c * q * q) / below,
        ]

    def step(state: Any, sin: Any, cos: Any, h: float = 0.01) -> Any:
        def moved(by: float, slopes: Any) -> Any:
            return [x + by * d for x, d in zip(state, slopes, strict=True)]

        first = slope(state, sin, cos)
        second = slope(moved(0.5 * h, first), sin, cos)
        third = slope(moved(0.5 * h, second), sin, cos)
        fourth = slope(moved(h, third), sin, cos)
        slopes = zip(first, second, third, fourth, strict=True)
        return moved(h / 6.0, [a + 2.0 * b + 2.0 * c + d for a, b, c, d in slopes])

    def ours(state: Any) -> Any:
        return ng.fori_loop(0, steps, lambda _, now: step(now, ng.sin, ng.cos), [*state])

    def theirs(jax: Any, jnp: Any) -> Any:
        def last(state: Any) -> Any:
            turns = jax.lax.fori_loop(0, steps, lambda _, now: step(now, jnp.sin, jnp.cos), [*state])
            return jnp.stack(turns)

        return jax.jit(jax.jacfwd(last))

    compiled = ng.compile(ng.jacobian(ours))
    start = (np.array([1.0, 0.5, 0.0, 0.0]),)
    return Pair(f"double pendulum, {steps} steps, Jacobian", compiled, theirs, start)


def spline(points: int, by: str) -> Pair:
    """Return a cubic spline of 40 pieces and its slope, by `ng.interp` or by looking up coefficients.

    `interp` looks for the piece among any knots, as searchsorted does; the other knows that they are even.
    """
    from scipy.interpolate import CubicSpline

    knots = np.linspace(0.0, 1.0, 41)
    heights = np.sin(7.0 * knots)
    table = CubicSpline(knots, heights, bc_type="natural").c[::-1].T.copy()  # [piece, power]
    columns = table.T.tolist()

    def by_take(x: Any) -> Any:
        at = ng.clip(ng.floor(40.0 * x), 0.0, 39.0)
        a, b, c, d = (ng.take(column, at) for column in columns)
        t = x - at / 40.0
        return a + t * (b + t * (c + t * d))

    def by_interp(x: Any) -> Any:
        return ng.interp(x, knots.tolist(), heights.tolist(), "cubic")

    def theirs(jax: Any, jnp: Any) -> Any:
        rows, knots = jnp.asarray(table), jnp.linspace(0.0, 1.0, 41)

        def function(x: Any) -> Any:
            at = jnp.floor(40.0 * x) if by == "take" else jnp.searchsorted(knots, x, "right") - 1
            at = jnp.clip(at, 0, 39).astype(int)
            a, b, c, d = rows[at]
            t = x - knots[at]
            return a + t * (b + t * (c + t * d))

        return jax.jit(jax.vmap(jax.value_and_grad(function)))

    compiled = ng.compile(ng.value_and_grad({"take": by_take, "interp": by_interp}[by]))
    x = np.random.default_rng(0).uniform(0.0, 1.0, points)
    return Pair(f"spline of 40 pieces by {by}, {points:,} points", compiled.map, theirs, (x,))


def robertson_residual(rates: Any, now: Any, h: Any, then: Any) -> Any:
    """Return what an implicit step of Robertson's kinetics makes 0."""
    first, second, third = rates[0] * then[0], rates[1] * then[1] * then[2], rates[2] * then[1] * then[1]
    changes = second - first, first - second - third, third
    return [x - y - h * change for x, y, change in zip(then, now, changes, strict=True)]


def robertson_state(rates: Any, sizes: Any) -> Any:
    """Return the state of Robertson's kinetics after implicit steps of these sizes."""

    def turn(now: Any, h: Any) -> Any:
        return ng.root(lambda then: robertson_residual(rates, now, h, then), now), None

    return ng.scan(turn, [1.0, 0.0, 0.0], sizes)[0]


def robertson(steps: int) -> Pair:
    """Return the Jacobian of Robertson's kinetics at 40 s by its rates: implicit Euler, inner Newton."""

    def theirs(jax: Any, jnp: Any) -> Any:
        def solve(f: Any, start: Any) -> Any:
            def goes_on(state: Any) -> Any:
                return (jnp.abs(state[1]).max() > 1e-15) & (state[2] < 60)

            def step(state: Any) -> Any:
                by = jnp.linalg.solve(jax.jacfwd(f)(state[0]), f(state[0]))
                return state[0] - by, by, state[2] + 1

            return jax.lax.while_loop(goes_on, step, (start, jnp.ones(3), 0))[0]

        def tangents(g: Any, y: Any) -> Any:
            return jnp.linalg.solve(jax.jacfwd(g)(y), y)

        def last(rates: Any, sizes: Any) -> Any:
            def turn(now: Any, h: Any) -> Any:
                def error(then: Any) -> Any:
                    return jnp.stack(robertson_residual(rates, now, h, then))

                return jax.lax.custom_root(error, now, solve, tangents), None

            return jax.lax.scan(turn, jnp.array([1.0, 0.0, 0.0]), sizes)[0]

        return jax.jit(jax.jacfwd(last))

    compiled = ng.compile(ng.jacobian(robertson_state))
    sizes = np.diff(np.geomspace(1e-4, 40.0, steps), prepend=0.0)
    arguments = np.array([0.04, 1e4, 3e7]), sizes
    return Pair(f"Robertson's kinetics, {steps} implicit steps, Jacobian", compiled, theirs, arguments)


def pairs(quick: bool) -> list[Pair]:
    """Return all, at full or at tiny sizes."""
    return [
        volatilities(50 if quick else 20_000),
        garch(50 if quick else 16_000),
        double_pendulum(5 if quick else 200),
        spline(50 if quick else 100_000, "take"),
        spline(50 if quick else 100_000, "interp"),
        robertson(5 if quick else 100),
    ]


def lines(quick: bool = False) -> Iterator[Line]:
    """Measure all, one by one: the first call, and the calls that follow in turns with JAX."""
    try:
        jax, jnp = jax_numpy()
    except ImportError:
        jax = None
    ng.compile(lambda x: x * x)(2.0)
    for name, ours, made, arguments in pairs(quick):
        call = partial(ours, *arguments)
        started = perf_counter()
        found = call()
        first = perf_counter() - started
        if jax is None:
            yield Line(f"{name}: first call", first)
            yield Line(name, *medians(5, call))
            continue
        step = jax_step(made(jax, jnp), *map(jnp.asarray, arguments))
        started = perf_counter()
        other = step()
        yield Line(f"{name}: first call", first, "JAX", perf_counter() - started)
        mine, its = (np.hstack([*map(np.ravel, jax.tree_util.tree_leaves(x))]) for x in (found, other))
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)
        yield beside(name, 3 if quick else 25, call, "JAX", step)


if __name__ == "__main__":
    show(lines())
