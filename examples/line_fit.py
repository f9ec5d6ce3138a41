"""Fit a line by gradient descent until the improvement is negligible, and compare with least squares."""

import argparse
import statistics
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="stop earlier")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

X = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
y = [2.1, 2.9, 4.2, 4.8, 6.3, 6.9]
rate, negligible = 0.01, 1e-8 if options.quick else 1e-12

m, c = ng.Value(0.0, label="m"), ng.Value(0.0, label="c")
costs, path = list[float](), [(m.data, c.data)]
while len(costs) < 2 or costs[-2] - costs[-1] > negligible:
    cost = ng.mean((m * xi + c - yi) ** 2 for xi, yi in zip(X, y, strict=True))
    m.grad = c.grad = 0.0
    cost.backward()
    for parameter in (m, c):
        step = rate * parameter.grad  # step size = learning rate × gradient
        parameter.data -= step  # new = old - step
    costs.append(cost.data)
    path.append((m.data, c.data))
    if len(costs) in (1, 10, 100, 1000):
        print(f"step {len(costs):5}: cost {cost.data:.6f}, m {m.data:.4f}, c {c.data:.4f}")

exact = statistics.linear_regression(X, y)
print(f"stopped at step {len(costs)}: the last one improved the cost by no more than {negligible}")
print(f"gradient descent: m = {m.data:.6f}, c = {c.data:.6f}")
print(f"least squares:    m = {exact.slope:.6f}, c = {exact.intercept:.6f}")
assert abs(m.data - exact.slope) < 0.01
assert abs(c.data - exact.intercept) < 0.05

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
earlier = [path[index] for index in (1, 2, 5) if index < len(path)]
ng.plots.fitted_line((m.data, c.data), X, y, earlier=earlier, ax=left, title="the line on its way")
ng.plots.loss_contour(
    lambda m, c: ng.mean((m * xi + c - yi) ** 2 for xi, yi in zip(X, y, strict=True)),
    paths=[path],
    resolution=20 if options.quick else 50,
    ax=right,
    title="the descent",
)
right.set(xlabel="m", ylabel="c")
figure.tight_layout()
figure.savefig(options.out / "line_fit.png")
print("saved", options.out / "line_fit.png")
