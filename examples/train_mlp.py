"""Train a multi-layer perceptron on real data, and make pages: its neuron played, and a training to touch.

The data are scikit-learn's breast-cancer measurements: 569 tumours, 30 numbers each, malignant or benign.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
from sklearn.datasets import load_breast_cancer  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few epochs on a part of the data")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
source = load_breast_cancer()
rows = 120 if options.quick else 569
classes = [1.0 if label else -1.0 for label in source.target[:rows]]  # benign is 1
split = ng.data.train_test_split(source.data[:rows], classes, test_size=0.25, seed=1, stratify=True)
X_train, X_test, y_train, y_test = split
X_train, X_test = ng.data.standardize(X_train, X_test)
print(f"{len(X_train)} tumours to learn from, {len(X_test)} held out, {len(X_train[0])} measurements each")
model = ng.nn.MLP(30, [8, 4, 1], activation="tanh", output_activation="tanh", seed=1)
history = ng.fit(
    model,
    X_train,
    y_train,
    optimizer=ng.optim.Adam(model.parameters(), learning_rate=0.005),
    epochs=4 if options.quick else 40,
    batch_size=16,
    validation=(X_test, y_test),  # measured after each epoch; with patience=None it decides nothing
    patience=None,
    seed=1,
)
print(history)
for name, X, y in (("learnt from", X_train, y_train), ("held out", X_test, y_test)):
    outputs = model.predict(X)
    right = sum((out > 0) == (label > 0) for out, label in zip(outputs, y, strict=True))
    print(f"{name:12} loss {ng.nn.mean_squared_error(outputs, y):.4f}, accuracy {right / len(y):.1%}")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
history.plot(ax=left)
ng.plots.decision_boundary(model, X_test, y_test, features=(21, 27), ax=right, resolution=30)
right.set(xlabel=source.feature_names[21], ylabel=source.feature_names[27])
figure.savefig(options.out / "training.png")
first, second, last = model.layers
said = [ng.Value(out.data, label=f"a[{k}]") for k, out in enumerate(second(first(X_test[0])))]
model.zero_grad()
(neuron := last.neurons[0](said)).backward()  # it has 4 inputs; the others have more than a window shows
ng.draw(neuron, open_dots=True).save(options.out / "neuron.svg")
model.save(options.out / "model.json")
ng.player(neuron, title="One neuron, forward and backward").save(options.out / "neuron.html")
page = ng.playground(model, X_train, y_train, inputs=(21, 27)).save(options.out / "playground.html")
names = ("model.json", "neuron.html", "neuron.svg", "playground.html", "training.png")
print("saved", *(options.out / name for name in names))
print(f"open in a browser: {page.resolve()} (it trains)\nand {page.with_name('neuron.html').resolve()}")
