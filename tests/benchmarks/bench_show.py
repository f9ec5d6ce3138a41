"""Time drawing and explaining: `PYTHONPATH=src:tests python tests/benchmarks/bench_show.py`.

With nodegrad's own layout: a graph of 30 nodes; the loss of a 2-16-16-1 network over 100 samples,
written with + and *; a chain of 60,000 nodes. The best of three.
"""

import random
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.lines import Line, once, show
from nodegrad import Value, draw, explain, paths, stats


def small():
    """Return the outputs of a graph of 30 nodes with much crossing."""
    nodes = [Value(float(at)) for at in range(10)]
    while len(nodes) < 30:
        nodes.append(nodes[-10] * nodes[-7] + nodes[-3] if len(nodes) % 2 else nodes[-9] * nodes[-1])
    return nodes


def training(samples=100, sizes=(2, 16, 16, 1)):
    """Return the summed squared errors of a network written with + and *, differentiated."""
    generator = random.Random(1)
    layers = [
        [[Value(generator.uniform(-1, 1)) for _ in range(width + 1)] for _ in range(height)]
        for width, height in pairwise(sizes)
    ]
    loss = Value(0.0)
    for _ in range(samples):
        x = [Value(generator.uniform(-1, 1)) for _ in range(sizes[0])]
        for layer in layers:
            x = [sum((w * a for w, a in zip(row, x, strict=False)), row[-1]).relu() for row in layer]
        loss = loss + (x[0] - generator.random()) ** 2
    loss.backward()
    return loss


def chain(length=30_000):
    """Return both ends of a chain whose steps all use the first."""
    y = x = Value(1.0, label="x")
    for _ in range(length):
        y = y * 1.0001 if y.data < 2.0 else y - x
    return y, x


def lines(quick: bool = False) -> Iterator[Line]:
    """Measure drawing, explaining and counting."""
    nodes, loss, (y, x) = small(), training(1 if quick else 100), chain(30 if quick else 30_000)
    end, _ = chain(30 if quick else 500_000)
    for name, work in (
        ("draw 30 nodes", lambda: draw(*nodes, engine="own").svg),
        ("draw 68,000 nodes, folded", lambda: draw(loss, engine="own").svg),
        ("explain 60,000 nodes", lambda: str(explain(y, wrt=x))),
        ("paths of 60,000 nodes", lambda: str(paths(y, x))),
        ("stats of a chain of 1,000,000 nodes", lambda: str(stats(end))),
    ):
        yield once(name, work, rounds=1 if quick else 3)


if __name__ == "__main__":
    show(lines())
