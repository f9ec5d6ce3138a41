"""A linear 1-2-1 network node by node: its graph, all nine partials of the loss, and gradient descent."""

import argparse
from pathlib import Path

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="descend fewer steps")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

START = {"w11_1": 0.5, "b1_1": -0.3, "w11_2": 0.8, "b1_2": 0.1, "w21_2": -0.6, "b2_2": 0.4}
START |= {"w11_3": 1.2, "w12_3": -0.7, "b1_3": 0.2}  # w12_3: weight 2 of neuron 1 in layer 3
p = {name: ng.Value(number, label=name) for name, number in START.items()}


def nodes(x, y):
    """Compute the loss (y - f(x))², every intermediate result with a letter of its own."""
    made = {"a": p["w11_1"] * x}
    made["b"] = made["a"] + p["b1_1"]  # the output of the first layer, which both neurons of the second read
    made["c"] = p["w11_2"] * made["b"]
    made["d"] = made["c"] + p["b1_2"]
    made["e"] = p["w21_2"] * made["b"]
    made["g"] = made["e"] + p["b2_2"]
    made["h"] = p["w11_3"] * made["d"]
    made["i"] = p["w12_3"] * made["g"]
    made["j"] = made["h"] + made["i"]
    made["f"] = made["j"] + p["b1_3"]
    made["r"] = y - made["f"]
    made["L"] = made["r"] ** 2
    for letter, node in made.items():
        node.label = letter
    return made


made = nodes(x := 2.0, 1.5)
made["L"].backward()
for letter, node in reversed(made.items()):
    print(f"∂L/∂{letter} = {node.grad:9.6f}")
print("saved", ng.draw(made["L"]).save(options.out / "linear_1_2_1.svg"))

s, b, d, g = -2 * made["r"].data, made["b"].data, made["d"].data, made["g"].data  # s = ∂L/∂f
u, v = s * START["w11_3"], s * START["w12_3"]  # ∂L/∂d and ∂L/∂g
both = u * START["w11_2"] + v * START["w21_2"]  # ∂L/∂b, where two paths add up
by_hand = [both * x, both, u * b, u, v * b, v, s * d, s * g, s]
for (name, parameter), expected in zip(p.items(), by_hand, strict=True):
    print(f"∂L/∂{name:5} = {parameter.grad:9.6f}   by hand {expected:9.6f}")
    assert abs(parameter.grad - expected) < 1e-12

X, Y = [-1.0, 0.0, 1.0, 2.0], [2.5, 1.0, -0.5, -2.0]  # on the line 1 - 1.5x
descent = ng.optim.SGD(p.values(), learning_rate=0.05)
history = ng.fit(lambda x: nodes(x, 0.0)["f"], X, Y, optimizer=descent, epochs=50 if options.quick else 500)
print(f"{history}\nnow f(3) = {nodes(3.0, 0.0)['f'].data:.4f}; the line has -3.5")
