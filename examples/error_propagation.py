"""Carry the uncertainties of measurements through a formula: to first and second order, and by simulation.

A pendulum of length L, let go at angle θ, swings with period T. What is g, and how well is it known? The
formula is the series of the period up to θ⁴ (Landau & Lifshitz, Mechanics, §11).
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a smaller simulation")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)


def gravity(measured):
    """Compute g in m/s² from length (m), period (s) and amplitude (rad)."""
    length, period, angle = measured
    series = 1.0 + angle**2 / 16.0 + 11.0 * angle**4 / 3072.0
    return length * (2.0 * math.pi * series / period) ** 2


names = ("length", "period", "amplitude")
measured, sigma = np.array([1.000, 2.016, 0.35]), np.array([0.002, 0.010, 0.05])

value, slope = ng.value_and_grad(gravity)(measured)
curvature = ng.hessian(gravity)(measured)
first = math.sqrt(np.sum((slope * sigma) ** 2))
scaled = curvature * np.outer(sigma, sigma)
shift = 0.5 * np.trace(scaled)  # the mean of g differs from g of the means by this
second = math.sqrt(first**2 + 0.5 * np.sum(scaled**2))

print(f"g = {value:.4f} m/s², uncertain by {first:.4f} (first order), {second:.4f} (second order)")
for name, part in zip(names, slope * sigma, strict=True):
    print(f"  {name:9} moves g by {part:+.4f}: {part**2 / first**2:.0%} of the variance")

draws = np.random.default_rng(1).normal(measured, sigma, (20_000 if options.quick else 1_000_000, 3))
simulated = ng.compile(gravity).map(draws)
print(f"simulated {len(draws):,} times: {simulated.mean():.4f} ± {simulated.std():.4f}")
print(f"predicted to second order: {value + shift:.4f} ± {second:.4f}")

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.hist(simulated, bins=200, density=True, alpha=0.4, label="simulated")
lowest, highest = np.quantile(simulated, [1e-4, 1 - 1e-4])
grid = np.linspace(lowest, highest, 300)
normal = np.exp(-0.5 * ((grid - value - shift) / second) ** 2) / (second * math.sqrt(2 * math.pi))
ax.plot(grid, normal, label="from gradient and Hessian")
ax.set(xlabel="g in m/s²", yticks=[])
ax.legend()
figure.savefig(options.out / "error_propagation.png")
