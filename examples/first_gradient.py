"""A first gradient: a derivative as a ratio of small changes, by the chain rule, and over several paths."""

import argparse

import nodegrad as ng

argparse.ArgumentParser(description=__doc__).parse_args()  # refuses options that it does not know


def f(x):
    """Square a number: a float gives a float, a Value gives a Value."""
    return x**2


step = 0.001
print(f"f(x) = x² at 1, by a step of {step}: {(f(1 + step) - f(1)) / step:.6f}")

x = ng.Value(1.0, label="x")
f(x).backward()
print(f"f(x) = x² at 1, by the chain rule: {x.grad}")

m, x, c = ng.Value(3.0, label="m"), ng.Value(2.0, label="x"), ng.Value(1.0, label="c")
y = m * x + c
y.backward()
print(f"\ny = m·x + c = {y.data}")
print(f"∂y/∂m = x = {m.grad}   ∂y/∂c = 1 = {c.grad}   ∂y/∂x = m = {x.grad}")

x = ng.Value(2.0, label="x")
g, h = 3 * x, x**2
out = g * h  # x reaches it over g and over h
out.backward()
print(f"\ny = g·h with g = 3x and h = x², at x = 2: {out.data}")
print(f"dy/dx = h·dg/dx + g·dh/dx = {h.data}·3 + {g.data}·{2 * x.data} = {x.grad}")

slope = ng.grad(lambda t: t**3)
print(f"\nt³ at 2, and its derivatives: {2.0**3}, {slope(2.0)}, {ng.grad(slope)(2.0)}")
