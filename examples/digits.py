"""Recognise handwritten digits: a network 64-32-10 of Values, cross-entropy, Adam, mini-batches.

The data are scikit-learn's 1,797 images of 8 x 8 pixels; a quarter is held out.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a few epochs")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

images, digits = load_digits(return_X_y=True)
split = ng.data.train_test_split(images / 16.0, digits, test_size=0.25, seed=1, stratify=True)
X_train, X_test, y_train, y_test = map(np.asarray, split)

model = ng.nn.MLP(64, [32, 10], activation="relu", seed=1)
epochs = 3 if options.quick else 60
rate = ng.optim.cosine(0.01, steps=epochs * 43)  # 43 batches of 32 rows are an epoch
history = ng.fit(
    model,
    X_train,
    y_train,
    loss="cross_entropy",
    optimizer=ng.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1),
    epochs=epochs,
    batch_size=32,
    patience=None,
    seed=1,
)
print(history, f"in {history.seconds:.1f} s")

scores = ng.compile(model).map(X_test)
found = scores.argmax(axis=1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (y_test, found), 1)
print("rows: the digit written, columns: the digit found")
print(confusion)
print(f"held out: {(found == y_test).mean():.1%} of {len(y_test)} digits right")

figure, axes = plt.subplots(3, 6, figsize=(9, 5), layout="constrained")
wrong_first = np.argsort(found == y_test, kind="stable")
for ax, k in zip(axes.flat, wrong_first, strict=False):
    ax.imshow(X_test[k].reshape(8, 8), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{y_test[k]} found as {found[k]}", color="k" if found[k] == y_test[k] else "C3")
figure.savefig(options.out / "digits.png")
