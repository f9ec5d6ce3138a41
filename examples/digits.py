"""Recognise handwritten digits: a network 64-32-10 of Values, cross-entropy, AdamW, mini-batches.

The data are scikit-learn's 1,797 images of 8 x 8 pixels; a quarter is held out. Learning rate and weight
decay were chosen without it, by `--choose`: three times, a quarter of the other images judges all settings.
"""

import argparse
import math
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'
from sklearn.datasets import load_digits  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few epochs")
parser.add_argument("--choose", action="store_true", help="choose the settings first, which takes a minute")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
epochs, batch_size = 3 if options.quick else 60, 32


def split(X, y, seed):
    """Hold out a quarter of the images."""
    return map(np.asarray, ng.data.train_test_split(X, y, test_size=0.25, seed=seed, stratify=True))


def train(X, y, rate, decay, seed):
    """Return a trained model; all random numbers come from the seed."""
    model = ng.nn.MLP(64, [32, 10], activation="relu", seed=seed)
    schedule = ng.optim.cosine(rate, steps=epochs * math.ceil(len(X) / batch_size))
    rule = ng.optim.AdamW(model.parameters(), lr=schedule, weight_decay=decay)
    history = ng.fit(model, X, y, "cross_entropy", rule, epochs, batch_size, patience=None, seed=seed)
    print(f"rate {rate}, decay {decay}, seed {seed}: {history} in {history.seconds:.1f} s")
    return model


def share_right(model, X, y):
    """Return the share of the images that a model recognises."""
    return (model.predict(X).argmax(axis=1) == y).mean()


def validated(rate, decay):
    """Return the mean share over three splits of the images to train on."""
    shares = []
    for seed in (1, 2, 3):
        X, X_validation, y, y_validation = split(X_train, y_train, seed)
        shares.append(share_right(train(X, y, rate, decay, seed), X_validation, y_validation))
    return np.mean(shares)


images, digits = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = split(images / 16.0, digits, seed=1)
rate, decay = 0.01, 0.3  # as --choose finds
if options.choose:
    rate, decay = max(product((0.003, 0.01, 0.03), (0.01, 0.1, 0.3)), key=lambda setting: validated(*setting))
models = [train(X_train, y_train, rate, decay, seed) for seed in ((1,) if options.quick else (1, 2, 3, 4, 5))]
shares = [share_right(model, X_test, y_test) for model in models]
found = models[0].predict(X_test).argmax(axis=1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (y_test, found), 1)
print("rows: the digit written, columns: the digit found")
print(confusion)
print(f"held out: {', '.join(f'{share:.1%}' for share in shares)} of {len(y_test)} digits right, a seed each")

figure, axes = plt.subplots(3, 6, figsize=(9, 5), layout="constrained")
wrong_first = np.argsort(found == y_test, kind="stable")
for ax, k in zip(axes.flat, wrong_first, strict=False):
    ax.imshow(X_test[k].reshape(8, 8), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{y_test[k]} found as {found[k]}", color="k" if found[k] == y_test[k] else "C3")
figure.savefig(options.out / "digits.png")
