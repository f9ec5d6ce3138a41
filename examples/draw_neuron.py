"""Draw the computation graph of a neuron, with every value and gradient, as an SVG."""

import argparse
from pathlib import Path

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
out = parser.parse_args().out
out.mkdir(parents=True, exist_ok=True)

x1, x2 = ng.Value(2.0, label="x1"), ng.Value(0.0, label="x2")
w1, w2 = ng.Value(-3.0, label="w1"), ng.Value(1.0, label="w2")
b = ng.Value(6.75, label="b")

z = w1 * x1 + w2 * x2 + b
z.label = "z"
a = z.tanh()
a.label = "a"
a.backward()
print("saved", ng.draw(a).save(out / "neuron.svg"))

for it in (w1, w2, b, x1, x2):
    print(f"∂a/∂{it.label} = {it.grad:.6f}")

neuron = ng.nn.Neuron(2, activation="relu", seed=1)  # from the library, with one node for the sum of products
inputs = [ng.Value(-1.0, label="x[0]"), ng.Value(2.0, label="x[1]")]
output = neuron(inputs)
output.backward()
print("saved", ng.draw(output, open_dots=True).save(out / "relu_neuron.svg"))
