"""A two-layer sigmoid network with mean squared error: its gradients against the closed matrix formulas."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="descend fewer steps")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])  # one column per sample
y = np.array([[0.0, 1.0, 1.0, 0.0]])
M = X.shape[1]

model = ng.nn.MLP(2, [3, 1], activation="sigmoid", output_activation="sigmoid", seed=4)
for parameter in model.parameters():
    parameter.data *= 3.0  # far enough from 0 for xor
hidden, output = model.layers


def matrix(layer, part):
    """Return the weights, biases, or gradients of a layer as a matrix: one row per neuron."""
    W = np.array([[getattr(w, part) for w in neuron.w] for neuron in layer.neurons])
    return W, np.array([[getattr(neuron.b, part)] for neuron in layer.neurons])


def closed_forms():
    """Compute dW1, dB1, dW2, dB2 by the formulas, with the mean over the M samples."""
    (W1, B1), (W2, B2) = matrix(hidden, "data"), matrix(output, "data")
    A1 = 1 / (1 + np.exp(-(W1 @ X + B1)))
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + B2)))
    dZ2 = 2 * (A2 - y) / M * A2 * (1 - A2)
    dZ1 = W2.T @ dZ2 * A1 * (1 - A1)
    return dZ1 @ X.T, dZ1.sum(1, keepdims=True), dZ2 @ A1.T, dZ2.sum(1, keepdims=True)


loss = ng.nn.mean_squared_error([model(x) for x in X.T], y[0])
loss.backward()
scalars = (*matrix(hidden, "grad"), *matrix(output, "grad"))
for name, ours, formula in zip(("dW1", "dB1", "dW2", "dB2"), scalars, closed_forms(), strict=True):
    print(f"{name}: largest difference from the closed form {np.abs(ours - formula).max():.1e}")
    assert np.allclose(ours, formula, rtol=1e-12, atol=1e-15)

figure, ax = plt.subplots()
rates, epochs = (0.1, 2.0, 20.0), 60 if options.quick else 600
histories = []
for rate in rates:  # of these the largest is the best: after 600 steps its loss is a twentieth of the next
    twin = ng.nn.MLP(2, [3, 1], activation="sigmoid", output_activation="sigmoid")
    twin.load_state_dict(model.state_dict())
    histories.append(ng.fit(twin, X.T, y[0], optimizer="sgd", learning_rate=rate, epochs=epochs))
    print(f"learning rate {rate:4}: {histories[-1]}")
ng.plots.loss_curve(*histories, labels=[f"learning rate {rate}" for rate in rates], log=True, ax=ax)
figure.savefig(options.out / "sigmoid_network.png")
