"""Sample the posterior of a small Bayesian model by Hamiltonian Monte Carlo, with our compiled gradient.

Counts follow a curve: y ~ Poisson(exp(a + b·x + c·x²)), with normal priors. The sampler is that of Neal,
"MCMC using Hamiltonian dynamics" (2011), section 3: leapfrog steps along the gradient, then accept or stay.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'
from tqdm import trange  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer samples")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
rng, true = np.random.default_rng(1), np.array([1.0, 0.8, -0.5])
x = np.linspace(-2.0, 2.0, 60)
counts = rng.poisson(np.exp(true[0] + true[1] * x + true[2] * x**2))


def log_posterior(p):
    """Compute the logarithm of prior times likelihood, but for a constant."""
    rates = [p[0] + p[1] * xi + p[2] * xi * xi for xi in x]
    return ng.sum(y * rate - ng.exp(rate) for y, rate in zip(counts, rates, strict=True)) - ng.dot(p, p) / 8.0


density = ng.compile(ng.value_and_grad(log_posterior))
position, samples, size, leaps = np.zeros(3), [], 0.04, 16
value, slope = density(position)
for _ in trange(300 if options.quick else 5000, desc="sampling", disable=None):
    momentum = rng.normal(size=3)
    energy = 0.5 * momentum @ momentum - value
    new, new_value, new_slope = position, value, slope
    for _ in range(leaps):
        momentum = momentum + 0.5 * size * new_slope
        new = new + size * momentum
        new_value, new_slope = density(new)
        momentum = momentum + 0.5 * size * new_slope
    if np.log(rng.random()) < energy - (0.5 * momentum @ momentum - new_value):
        position, value, slope = new, new_value, new_slope
    samples.append(position)

chain = np.array(samples[len(samples) // 10 :])  # the first tenth still depends on the start
for name, column, truth in zip("abc", chain.T, true, strict=True):
    print(f"{name} = {column.mean():+.3f} ± {column.std():.3f}; the counts were made with {truth:+.1f}")
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
curves = np.exp(np.vander(x, 3, increasing=True) @ chain.T)
left.fill_between(x, *np.quantile(curves, [0.05, 0.95], axis=1), alpha=0.3)
left.plot(x, counts, "k.")
left.set(title="counts, and 90 % of the curves")
right.plot(chain[:, 1], chain[:, 2], ".", markersize=2, alpha=0.4)
right.plot(*true[1:], "r+", markersize=12)
right.set(title="samples, and the true point", xlabel="b", ylabel="c")
figure.savefig(options.out / "bayesian_sampling.png")
