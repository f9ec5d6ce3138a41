"""Train a transformer of one layer, written number by number, to continue a text letter by letter.

Every weight and every letter's score is a Value. `fit` compiles the graph of one window, some 400,000
operations, to a few hundred vector instructions. The text is Lewis Carroll's "Jabberwocky" (1871).
"""

import argparse
import math
import random
import re
from pathlib import Path

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="a smaller model and a few steps")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

CONTEXT, WIDTH, HEADS, STEPS = (4, 8, 2, 30) if options.quick else (16, 16, 4, 1000)
BATCH = 32
poem = (Path(__file__).parent / "texts" / "jabberwocky.txt").read_text(encoding="utf-8").lower()
text = re.sub(r"[^a-z\n]+", " ", poem)
letters = sorted(set(text))


def one_hot(window):
    """Write each letter as a vector that is 1 at the letter's place and 0 elsewhere."""
    return [[float(letter == known) for known in letters] for letter in window]


def linear(matrix, x):
    """Multiply a matrix by a vector."""
    return [ng.dot(row, x) for row in matrix]


def rms_norm(x):
    """Scale a vector to a root mean square of 1."""
    scale = (ng.dot(x, x) / len(x) + 1e-5) ** -0.5
    return [number * scale for number in x]


def plus(x, y):
    """Add two vectors."""
    return [a + b for a, b in zip(x, y, strict=True)]


class Transformer(ng.nn.Module):
    """Attention over the letters so far, then a hidden layer: at each place, scores of the next letter."""

    def __init__(self, seed):
        draw = random.Random(seed).gauss

        def matrix(name, rows, columns):
            labels = [[f"{name}[{i}][{j}]" for j in range(columns)] for i in range(rows)]
            return [[ng.Value(draw(0.0, 0.2), label=label) for label in row] for row in labels]

        square = [matrix(name, WIDTH, WIDTH) for name in ("query", "key", "value", "out")]
        self.query, self.key, self.value, self.out = square
        self.embedding = matrix("embedding", WIDTH, len(letters))
        self.position = matrix("position", CONTEXT, WIDTH)
        self.up, self.down = matrix("up", 4 * WIDTH, WIDTH), matrix("down", WIDTH, 4 * WIDTH)
        self.scores = matrix("scores", len(letters), WIDTH)

    def __call__(self, window):
        """Return the scores of the letter after each of the window's letters, which are one-hot vectors."""
        keys, values, scores = [], [], []
        for letter, position in zip(window, self.position, strict=True):
            x = rms_norm(plus(linear(self.embedding, letter), position))
            keys.append(linear(self.key, rms_norm(x)))
            values.append(linear(self.value, rms_norm(x)))
            x = plus(x, linear(self.out, self.attend(linear(self.query, rms_norm(x)), keys, values)))
            x = plus(x, linear(self.down, [ng.relu(h) for h in linear(self.up, rms_norm(x))]))
            scores.append(linear(self.scores, x))
        return scores

    def attend(self, query, keys, values):
        """Average the values seen so far; in a head their shares are the softmax of query · key / √size."""
        size, mixed = WIDTH // HEADS, []
        for start in range(0, WIDTH, size):
            head = slice(start, start + size)
            shares = ng.softmax([ng.dot(query[head], key[head]) / math.sqrt(size) for key in keys])
            mixed += [ng.dot(shares, column) for column in zip(*(v[head] for v in values), strict=True)]
        return mixed


model = Transformer(seed=1)
starts = range(len(text) - CONTEXT)
windows = [one_hot(text[start : start + CONTEXT]) for start in starts]
nexts = [one_hot(text[start + 1 : start + CONTEXT + 1]) for start in starts]
ng.draw(ng.nn.cross_entropy(model(windows[0]), nexts[0])).save(options.out / "character_gpt.svg")
steps_per_epoch = math.ceil(len(windows) / BATCH)
history = ng.fit(
    model,
    windows,
    nexts,
    loss="cross_entropy",
    optimizer=ng.optim.Adam(model.parameters(), learning_rate=0.01),
    epochs=math.ceil(STEPS / steps_per_epoch),
    batch_size=BATCH,
    patience=None,
    seed=1,
)
print(f"{len(model.parameters())} parameters, {len(text)} letters of text")
print(f"{history} in {history.seconds:.1f} s; guessing loses {math.log(len(letters)):.3f}")
history.plot().figure.savefig(options.out / "character_gpt.png")

scores_of, generator = ng.compile(model), random.Random(1)
written = text[:CONTEXT]
for _ in range(20 if options.quick else 300):
    scores = scores_of(one_hot(written[-CONTEXT:]))[-1]
    written += generator.choices(letters, ng.softmax([score / 0.7 for score in scores]))[0]
print(written)
