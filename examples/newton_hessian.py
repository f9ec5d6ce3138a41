"""Newton's method with exact Hessians: near a minimum every step squares the error."""

# ruff: noqa: D103  (the test functions of Moré, Garbow & Hillstrom, 1981, are known by their names)

import argparse
import math
from itertools import pairwise

import numpy as np  # pip install 'nodegrad[all]'

import nodegrad as ng


def rosenbrock(x):
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def wood(x):
    a, b, c, d = x
    valleys = 100 * (b - a**2) ** 2 + (1 - a) ** 2 + 90 * (d - c**2) ** 2 + (1 - c) ** 2
    return valleys + 10 * (b + d - 2) ** 2 + (b - d) ** 2 / 10


def helical_valley(x):
    a, b, c = x
    return 100 * ((c - 5 / math.pi * ng.atan2(b, a)) ** 2 + (ng.hypot(a, b) - 1) ** 2) + c**2


def brown_dennis(x):
    a, b, c, d = x
    pairs = ((a + t * b - math.exp(t), c + d * math.sin(t) - math.cos(t)) for t in np.linspace(0.2, 4, 20))
    return sum((p**2 + q**2) ** 2 for p, q in pairs)


def powell_singular(x):
    a, b, c, d = x
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def newton(f, x, steps):
    """Return the length of every step, taken whole: near the minimum it is the error."""
    gradient, hessian, lengths = ng.grad(f), ng.hessian(f), list[float]()
    while len(lengths) < steps and (not lengths or lengths[-1] > 1e-9):
        step = np.linalg.solve(hessian(x), gradient(x))
        x, lengths = x - step, [*lengths, float(np.linalg.norm(step))]
    return lengths


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="without the two largest problems")
cases = [(rosenbrock, [-1.2, 1.0]), (wood, [0.9, 0.8, 1.1, 1.2]), (helical_valley, [0.98, 0.1, 0.1])]
if not parser.parse_args().quick:
    cases += [(rosenbrock, [0.9, 0.8] * 10), (brown_dennis, [-10.0, 12.0, -0.4, 0.2])]
# At its minimum the Hessian of Powell's function is singular: a step takes but a third off the error.
cases += [(powell_singular, [3.0, -1.0, 0.0, 1.0])]
for f, start in cases:
    lengths = newton(f, np.array(start), steps=25)
    shown = " -> ".join(f"{length:.0e}" for length in lengths[-5:])
    print(f"{f.__name__:>15} of {len(start):2}: {len(lengths):2} steps, the last {shown}")
