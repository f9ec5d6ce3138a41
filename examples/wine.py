"""Tell three kinds of wine apart by softmax regression, and read off what the model looks at.

The data are scikit-learn's 178 wines with 13 chemical measurements each.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'
from matplotlib.colors import LinearSegmentedColormap  # pip install 'nodegrad[all]'
from sklearn.datasets import load_wine  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few epochs")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

wines = load_wine()
split = ng.data.train_test_split(wines.data, wines.target, test_size=0.3, seed=1, stratify=True)
X_train, X_test, y_train, y_test = map(np.asarray, split)
X_train, X_test = map(np.asarray, ng.data.standardize(X_train, X_test))

model = ng.nn.MLP(13, [3], seed=1)  # one linear layer: a score for each kind
history = ng.fit(
    model,
    X_train,
    y_train,
    loss="cross_entropy",
    optimizer=ng.optim.AdamW(model.parameters(), learning_rate=0.05, weight_decay=0.05),
    epochs=20 if options.quick else 200,
)
found = ng.compile(model).map(X_test).argmax(axis=1)
print(history)
print(f"held out: {np.mean(found == y_test):.1%} of {len(y_test)} wines right")

weights = np.array([[weight.data for weight in neuron.w] for neuron in model.layers[0].neurons])
for kind, row in enumerate(weights):
    strongest = np.argsort(-np.abs(row))[:3]
    named = ", ".join(f"{wines.feature_names[j]} {row[j]:+.2f}" for j in strongest)
    print(f"kind {kind} is told by {named}")

figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
signs = LinearSegmentedColormap.from_list("signs", ["#D55E00", "white", "#0072B2"])  # as in ng.plots
shown = ax.imshow(weights, cmap=signs, vmin=-abs(weights).max(), vmax=abs(weights).max())
ax.set_xticks(range(13), wines.feature_names, rotation=60, ha="right")
ax.set_yticks(range(3), [f"kind {kind}" for kind in range(3)])
figure.colorbar(shown, label="weight", shrink=0.6)
figure.savefig(options.out / "wine.png")
