"""Explain a chain of three neurons, one per layer: how its cost depends on each weight and bias."""

import argparse
from pathlib import Path

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
out = parser.parse_args().out
out.mkdir(parents=True, exist_ok=True)

a = [ng.Value(0.8, label="a0")]  # the input, then the output of each neuron
w = [ng.Value(number, label=f"w{layer}") for layer, number in enumerate((1.5, -2.0, 1.0), 1)]
b = [ng.Value(number, label=f"b{layer}") for layer, number in enumerate((-0.5, 1.0, 0.5), 1)]
for weight, bias in zip(w, b, strict=True):
    a.append((weight * a[-1] + bias).sigmoid())
    a[-1].label = f"a{len(a) - 1}"
desired = 0.2
C = (a[3] - desired) ** 2
C.label = "C"
explanation = ng.explain(C)
print(explanation)
print("saved", explanation.save(out / "chain_of_three.html"), ng.player(C).save(out / "chain_player.html"))

upstream = 2 * (a[3].data - desired)  # by hand, from the cost down to the first layer
for layer in (3, 2, 1):
    dz = upstream * a[layer].data * (1 - a[layer].data)
    assert abs(explanation.partials[w[layer - 1]] - dz * a[layer - 1].data) < 1e-15
    assert abs(explanation.partials[b[layer - 1]] - dz) < 1e-15
    upstream = dz * w[layer - 1].data
