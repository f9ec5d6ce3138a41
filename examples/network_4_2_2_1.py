"""A 4-2-2-1 network with any activation and any cost: one weight's gradient by hand, then training."""

import argparse
from pathlib import Path
from typing import Any

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="train fewer steps")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
parser.add_argument("--activation", default="tanh", help="such as tanh, sigmoid, softplus, relu")
parser.add_argument("--loss", default="mean_squared_error", help="such as huber, mean_absolute_error")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
f = ng.nn.activations()[options.activation]
cost = ng.nn.LOSSES[options.loss]
W1 = ng.nn.Layer(4, 2, None, seed=1)  # without activation: z = W·a + b
W2 = ng.nn.Layer(2, 2, None, seed=2)
W3 = ng.nn.Neuron(2, None, bias=False, seed=3)  # the output s is linear and has no bias
parameters = [*W1.parameters(), *W2.parameters(), *W3.parameters()]
for layer, neurons in enumerate((W1.neurons, W2.neurons, [W3]), 1):  # w12_2: weight 2 of neuron 1 in W2
    for j, neuron in enumerate(neurons, 1):
        for k, w in enumerate(neuron.w, 1):
            w.label = f"w{j}{k}_{layer}"
        if neuron.b:
            neuron.b.label = f"b{j}_{layer}"


def network(x):
    """Return the output and every step on the way to it; the inputs are layer 1."""
    z2 = W1(x)
    a2 = [f(z) for z in z2]
    z3 = W2(a2)
    a3 = [f(z) for z in z3]
    return W3(a3), z2, a2, z3, a3


x, y = [0.5, -1.0, 0.25, 2.0], 0.7
s, z2, a2, z3, a3 = network(x)
for name, layer in (("z{}_2", z2), ("a{}_2", a2), ("z{}_3", z3), ("a{}_3", a3)):
    for j, node in enumerate(layer, 1):
        node.label = name.format(j)
C = cost(s, y)
s.label, C.label = "s", "C"
C.backward()
print("local gradients δ = ∂C/∂z:", *(f"δ({z.label}) = {z.grad:.6f}" for z in (*z2, *z3)))
weight, slope = W2.neurons[1].w[1], ng.grad(f)(z3[1].data)
by_hand = a3[1].grad * slope * a2[1].data  # ∂C/∂a2_3 · f'(z2_3) · a2_2
print(f"∂C/∂{weight.label} = {weight.grad:.9f}   by hand {by_hand:.9f}")
assert abs(weight.grad - by_hand) < 1e-12
print("saved", ng.draw(C).save(options.out / "network_4_2_2_1.svg"))

X, _ = ng.data.make_blobs(40, centers=[[0.0] * 4], seed=5)
targets = [a * b + c - d for a, b, c, d in X]
descent = ng.optim.SGD(parameters, learning_rate=0.05)
limits: dict[str, Any] = {"target_loss": 0.1, "gradient_tolerance": 1e-4, "tolerance": 1e-5}
epochs = 20 if options.quick else 1000
print(ng.fit(lambda x: network(x)[0], X, targets, cost, descent, epochs, **limits))
