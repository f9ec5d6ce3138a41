"""Fit, minimise and solve with SciPy, driven by gradients and Jacobians of plain Python functions."""

import argparse

import numpy as np  # pip install 'nodegrad[all]'
from scipy import optimize  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer points and variables")
options = parser.parse_args()
rng = np.random.default_rng(0)


def oscillation(p, t):
    """Compute a damped oscillation of given amplitude, damping, frequency and phase."""
    return p[0] * ng.exp(-p[1] * t) * ng.cos(p[2] * t + p[3])


# least_squares takes residuals and their Jacobian.
true = [2.0, 0.4, 3.0, 0.5]
times = np.linspace(0, 5, 20 if options.quick else 200)
data = [oscillation(true, t) + rng.normal(scale=0.05) for t in times]


def residuals(p):
    """Compare the curve with the data."""
    return [oscillation(p, t) - y for t, y in zip(times, data, strict=True)]


fit = optimize.least_squares(residuals, [1.0, 0.1, 2.8, 0.0], jac=ng.jacobian(residuals))
print("least_squares: ", *(f"{found:.3f} (true {exact})" for found, exact in zip(fit.x, true, strict=True)))


# minimize takes value and gradient at once, and the Hessian.
def chain(x):
    """Compute the energy of a chain of stiff springs that hangs between two hooks."""
    xs, ys = [0.0, *x[: len(x) // 2], 1.0], [0.0, *x[len(x) // 2 :], 0.0]
    links = [ng.hypot(c - a, d - b) for a, b, c, d in zip(xs, ys, xs[1:], ys[1:], strict=False)]
    return sum(ys) / len(xs) + 500 * sum((link * len(links) - 1.4) ** 2 for link in links) / len(links)


n = 4 if options.quick else 16
start = np.concatenate([np.linspace(0, 1, n + 2)[1:-1], np.full(n, -0.3)])
for method in ("BFGS", "trust-exact"):
    second = {"hess": ng.hessian(chain)} if method == "trust-exact" else {}
    found = optimize.minimize(ng.value_and_grad(chain), start, jac=True, method=method, **second)
    print(f"minimize, {method}: energy {found.fun:.6f} after {found.nit} steps")


# root takes equations and their Jacobian.
def equations(x):
    """Ask for a circle and a curve to meet."""
    return [x[0] ** 2 + x[1] ** 2 - 4, ng.exp(x[0]) + x[1] - 1]


solution = optimize.root(equations, [1.0, -1.5], jac=ng.jacobian(equations))
print(f"root:           {solution.x}, residual {max(map(abs, equations(solution.x))):.1e}")
