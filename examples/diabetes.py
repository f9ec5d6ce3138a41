"""Fit a linear model by gradient descent, compare it with ordinary least squares, and let a network try.

The data are scikit-learn's 442 patients: ten measurements and how far diabetes went in a year.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'
from sklearn.datasets import load_diabetes  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer epochs for the network")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

patients = load_diabetes()
split = ng.data.train_test_split(patients.data, patients.target / 100.0, test_size=0.25, seed=1)
X_train, X_test, y_train, y_test = map(np.asarray, split)
X_train, X_test = map(np.asarray, ng.data.standardize(X_train, X_test))

models = {"linear": ng.nn.MLP(10, [1], seed=1), "network": ng.nn.MLP(10, [4, 1], activation="tanh", seed=1)}
for name, model in models.items():
    history = ng.fit(
        model,
        X_train,
        y_train,
        optimizer=ng.optim.Adam(model.parameters(), learning_rate=0.02),
        epochs=3000 if name == "linear" else 30 if options.quick else 300,
        tolerance=1e-12,
    )
    print(f"{name}: {history}")

neuron = models["linear"].layers[0].neurons[0]
descended = np.array([value.data for value in neuron.parameters()])
least_squares = np.linalg.lstsq(np.column_stack([X_train, np.ones(len(X_train))]), y_train, rcond=None)[0]
print(f"largest difference from ordinary least squares: {abs(descended - least_squares).max():.1e}")

figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    found = ng.compile(model).map(X_test)
    share = 1 - np.mean((found - y_test) ** 2) / np.var(y_test)
    print(f"{name}: R² = {share:.3f} on {len(y_test)} patients held out")
    ax.scatter(y_test, found, s=12)
    ax.axline((1.5, 1.5), slope=1, color="gray", linewidth=1)
    ax.set(title=f"{name}, R² = {share:.2f}", xlabel="measured", ylabel="predicted")
figure.savefig(options.out / "diabetes.png")
