"""Contours of the cost of a linear 1-2-1 network over two weights, and descents into both valleys."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a coarser picture")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

X, Y = [-1.0, 0.0, 1.0, 2.0], [2.5, 1.0, -0.5, -2.0]  # on the line 1 - 1.5x


def f(x, w11_1, w11_3):
    """Compute the network; the other weights and biases stay as they are here."""
    first = w11_1 * x
    upper, lower = 0.5 * first, 0.5 * first
    return w11_3 * upper + 0.5 * lower + 1.0


def J(w11_1, w11_3):
    """Compute the cost, the mean squared error."""
    return ng.mean((y - f(x, w11_1, w11_3)) ** 2 for x, y in zip(X, Y, strict=True))


slopes = ng.grad(J, argnums=(0, 1))
paths = []
for u, v in ((-0.2, 1.0), (0.5, -0.5)):
    path = [(u, v)]
    for _ in range(400):
        slope_u, slope_v = slopes(u, v)
        u, v = u - 0.02 * slope_u, v - 0.02 * slope_v
        path.append((u, v))
    paths.append(path)
    print(f"from {path[0]} to w11_1 = {u:.4f}, w11_3 = {v:.4f}, cost {J(u, v):.1e}")
assert paths[0][-1][0] < 0.0 < paths[1][-1][0]  # what counts is a product, so the signs may be either way
assert all(abs(slope) < 1e-3 for path in paths for slope in slopes(*path[-1]))

resolution = 20 if options.quick else 60
figure, ax = plt.subplots(layout="constrained")
ng.plots.loss_contour(J, x=(-5, 5), y=(-6, 5), paths=paths, resolution=resolution, ax=ax)
ax.set_title("Two starts, two minima")
figure.savefig(options.out / "two_valleys.png")
print("saved", options.out / "two_valleys.png")
