"""Time nodegrad against micrograd: `PYTHONPATH=src python tests/benchmarks/bench_micrograd.py`.

Loss and gradient of a 2-16-16-1 relu network over 100 samples, forward and backward, in one process with the
garbage collector on: written with + and * (the same lines for both libraries), and with nodegrad's nn.MLP.
Needs micrograd.
"""

import argparse
import gc
import platform
import random
import statistics
import time
import tracemalloc
from importlib.metadata import version
from itertools import pairwise

from micrograd.engine import Value as MicrogradValue

from nodegrad import Value
from nodegrad.graph import topological_order
from nodegrad.nn import MLP, mean_squared_error
from nodegrad.ops import constant

SIZES = [2, 16, 16, 1]
WANTED = {"+ and *": 10.0, "nn.MLP": 30.0}  # times as fast as micrograd
BYTES = 177.0  # at most, per recorded operation


def written_out(kind, count):
    """Return loss() of a network of plain sums and products over Values of a kind."""
    generator = random.Random(1)
    layers = [
        [[kind(generator.uniform(-1, 1)) for _ in range(width + 1)] for _ in range(height)]
        for width, height in pairwise(SIZES)
    ]
    X, y = samples(count)

    def output(x):
        for depth, layer in enumerate(layers):
            x = [sum((w * a for w, a in zip(weights, x, strict=False)), weights[-1]) for weights in layer]
            x = x if depth == len(layers) - 1 else [z.relu() for z in x]
        return x[0]

    return lambda: sum(((output(x) - t) ** 2 for x, t in zip(X, y, strict=True)), kind(0.0)) * (1.0 / count)


def with_layers(count):
    """Return loss() of nn.MLP."""
    model = MLP(SIZES[0], SIZES[1:], seed=1)
    X, y = samples(count)
    return lambda: mean_squared_error([model(x) for x in X], y)


def samples(count):
    generator = random.Random(2)
    X = [[generator.uniform(-1, 1), generator.uniform(-1, 1)] for _ in range(count)]
    return X, [a * b for a, b in X]


def seconds(loss):
    """Time one forward and backward pass, beginning with no garbage."""
    gc.collect()
    start = time.perf_counter()
    loss().backward()
    return time.perf_counter() - start


def bytes_per_operation(loss):
    """Measure what the record of a forward pass holds, and how many operations are in it."""
    gc.collect()
    tracemalloc.start()
    out = loss()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    count = sum(node.op not in (None, constant) for node in topological_order(out))
    return used / count, count


def main():
    """Print times, ratios and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, micrograd {version('micrograd')}, "
        f"collector on: {gc.isenabled()}; medians of the ratios (least to most)"
    )
    losses = {
        "micrograd": written_out(MicrogradValue, options.samples),
        "+ and *": written_out(Value, options.samples),
        "nn.MLP": with_layers(options.samples),
    }
    rounds = [{name: seconds(loss) for name, loss in losses.items()} for _ in range(options.rounds)]
    for name in losses:
        ratios = [times["micrograd"] / times[name] for times in rounds]
        best = 1e3 * min(times[name] for times in rounds)
        faster = f"{statistics.median(ratios):5.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})"
        wanted = f"   wanted: {WANTED[name]:.0f}" if name in WANTED else ""
        print(f"{name:10}{best:9.1f} ms   {faster}{wanted}")
    for name in ("+ and *", "nn.MLP"):
        size, count = bytes_per_operation(losses[name])
        wanted = f"   wanted: {BYTES:.0f}" if name == "+ and *" else ""
        print(f"{name:10}{size:9.0f} bytes per operation, {count} operations{wanted}")


if __name__ == "__main__":
    main()
