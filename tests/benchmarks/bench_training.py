"""Time a training step against PyTorch and JAX: `PYTHONPATH=src python tests/benchmarks/bench_training.py`.

A step is loss, gradient and update (plain gradient descent, float64) of a 2-16-16-1 relu network with mean
squared error over 96 rows; nodegrad's is that of `fit`, loop included, with compiled steps. One process, in
turns, PyTorch on one thread, which is faster at this size. Compile seconds stand beside.

With `--digits`: whole trainings on handwritten digits (64-32-10, cross-entropy, Adam, batches of 32 rows)
against PyTorch and scikit-learn, set-up included. "nodegrad anew" compiles all native code again, as the
first training of a process does; "nodegrad" uses what the training before has left. All use one thread with
OMP_NUM_THREADS=1 before the command, and their own defaults without.

With `--rows`: what fit does before its first step, compiling included, for few and for many rows.

Libraries that are not installed are left out.
"""

import argparse
import gc
import random
import statistics
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise

import nodegrad as ng
from nodegrad.training import native_steps

SIZES, ROWS, RATE = [2, 16, 16, 1], 96, 1e-3
LOOP = 100  # steps in one jitted loop of JAX
WANTED = {"torch": 25.0, "jax": 3.0, "jax loop": 1.0}  # times as fast as these
HIDDEN, CLASSES, BATCH, DIGITS_RATE = 32, 10, 32, 0.01
EPOCHS = (10, 50, 100)  # after which the digits are timed
DIGITS_WANTED = 4.0  # times as fast, per epoch


def samples():
    generator = random.Random(2)
    X = [[generator.uniform(-1, 1), generator.uniform(-1, 1)] for _ in range(ROWS)]
    return X, [a * b for a, b in X]


def nodegrad_steps(count):
    """Return a function that takes so many steps of fit and returns their seconds, and those to compile."""
    X, y = samples()

    def seconds(epochs):
        model = ng.nn.MLP(SIZES[0], SIZES[1:], seed=1)
        start = time.perf_counter()
        history = ng.fit(
            model, X, y, optimizer="sgd", learning_rate=RATE, epochs=epochs, patience=None, compile=True
        )
        assert (history.compiled, history.epochs) == (True, epochs)
        return time.perf_counter() - start

    compiling = min(seconds(1) for _ in range(3))
    return lambda: seconds(count) - compiling, compiling


def torch_steps(count):
    """Return the same for PyTorch, eager as most use it."""
    import torch

    torch.set_num_threads(1)
    X, y = (torch.tensor(part, dtype=torch.float64) for part in samples())
    layers = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(SIZES)]
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def seconds():
        start = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(X)[:, 0], y)
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - start

    return seconds, 0.0


def jax_steps(count, in_loop=False):
    """Return the same for JAX, the whole step under jit; or many steps in one jitted loop."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y = (jnp.array(part) for part in samples())
    draw = iter(jax.random.split(jax.random.key(1), len(SIZES)))
    start = [(jax.random.normal(next(draw), (b, a)), jnp.zeros(b)) for a, b in pairwise(SIZES)]

    def loss(parameters):
        x = X
        for depth, (W, b) in enumerate(parameters):
            x = x @ W.T + b
            x = jax.nn.relu(x) if depth < len(parameters) - 1 else x
        return jnp.mean((x[:, 0] - y) ** 2)

    @jax.jit
    def step(parameters):
        value, gradient = jax.value_and_grad(loss)(parameters)
        return value, jax.tree.map(lambda p, g: p - RATE * g, parameters, gradient)

    def seconds(count=count):
        parameters, begun = start, time.perf_counter()
        for _ in range(count):
            value, parameters = step(parameters)
            float(value)
        return time.perf_counter() - begun

    def looped():
        begun = time.perf_counter()
        for _ in range(count // LOOP):
            values, _ = loop(start)
            float(values[-1])
        return time.perf_counter() - begun

    @jax.jit
    def loop(parameters):
        def turn(parameters, _):
            value, parameters = step(parameters)
            return parameters, value

        parameters, values = jax.lax.scan(turn, parameters, None, LOOP)
        return values, parameters

    return (looped, 0.0) if in_loop else (seconds, seconds(1))


def digits():
    """Return the rows and targets that all contenders for the digits train on."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, targets = load_digits(return_X_y=True)
    X, _, y, _ = ng.data.train_test_split(images / 16.0, targets, test_size=0.25, seed=1, stratify=True)
    return np.ascontiguousarray(X), np.ascontiguousarray(y)


def nodegrad_digits(X, y):
    """Return a function that trains for so many epochs."""

    def train(epochs):
        model = ng.nn.MLP(X.shape[1], [HIDDEN, CLASSES], seed=1)
        optimizer = ng.optim.Adam(model.parameters(), DIGITS_RATE)
        ng.fit(model, X, y, "cross_entropy", optimizer, epochs, BATCH, patience=None, seed=1, compile=True)

    return train


def torch_digits(X, y):
    """Return the same for PyTorch."""
    import torch

    def train(epochs):
        rows, targets = torch.tensor(X), torch.tensor(y)
        first = torch.nn.Linear(X.shape[1], HIDDEN, dtype=torch.float64)
        last = torch.nn.Linear(HIDDEN, CLASSES, dtype=torch.float64)
        model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
        optimizer = torch.optim.Adam(model.parameters(), DIGITS_RATE)
        for _ in range(epochs):
            for batch in torch.randperm(len(rows)).split(BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(rows[batch]), targets[batch]).backward()
                optimizer.step()

    return train


def sklearn_digits(X, y):
    """Return the same for scikit-learn."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    def train(epochs):
        settings = {"batch_size": BATCH, "learning_rate_init": DIGITS_RATE, "alpha": 0.0}
        model = MLPClassifier((HIDDEN,), max_iter=epochs, n_iter_no_change=epochs + 1, tol=0.0, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it was told when to stop
            model.fit(X, y)

    return train


def compare_digits(rounds):
    """Print what whole trainings on digits take, in turns, and what one more epoch takes."""
    data, contenders = digits(), {}
    preparations = {
        "nodegrad": nodegrad_digits,
        "nodegrad anew": nodegrad_digits,
        "torch": torch_digits,
        "sklearn": sklearn_digits,
    }
    for name, prepare in preparations.items():
        try:
            contenders[name] = prepare(*data)
        except ImportError:
            print(name, "is not installed")

    def seconds(name, epochs):
        if name == "nodegrad anew":
            native_steps._recent.clear()
        gc.collect()
        start = time.perf_counter()
        contenders[name](epochs)
        return time.perf_counter() - start

    for name in contenders:
        seconds(name, 1)  # loads what libraries load on first use
    taken = [{(name, n): seconds(name, n) for n in EPOCHS for name in contenders} for _ in range(rounds)]
    few, many = EPOCHS[0], EPOCHS[-1]
    for each in taken:
        each |= {(name, 1): (each[name, many] - each[name, few]) / (many - few) for name in contenders}
    for name in contenders:
        for n in (1, *EPOCHS):
            ratios = [each[name, n] / each["nodegrad", n] for each in taken]
            print(
                f"{name:14}{'one more epoch' if n == 1 else f'{n} epochs':>15}"
                f"{1e3 * statistics.median([each[name, n] for each in taken]):8.1f} ms; "
                f"nodegrad is {statistics.median(ratios):4.1f} times as fast"
                f"{f'   wanted: {DIGITS_WANTED:.0f}' if n == 1 and 'nodegrad' not in name else ''}"
            )


def compare_rows(rounds):
    """Print the seconds that fit takes before its first step, for few rows and for many."""
    import numpy as np

    def seconds(X, y, epochs):
        model = ng.nn.MLP(X.shape[1], [16, 16, 1], seed=1)
        start = time.perf_counter()
        ng.fit(model, X, y, epochs=epochs, patience=None, progress=False, seed=1, compile=True)
        return time.perf_counter() - start

    for width in (2, 16):
        for count in (10_000, 1_000_000):
            X = np.random.default_rng(1).normal(size=(count, width))
            taken = [(seconds(X, X[:, 0], 1), seconds(X, X[:, 0], 6)) for _ in range(rounds)]
            one, six = (min(each) for each in zip(*taken, strict=True))
            epoch = (six - one) / 5
            print(
                f"{count:9,} x {width:2}: {one - epoch:.3f} s before the first step, {epoch:.3f} s an epoch"
            )


def main():
    """Print microseconds per step, compile seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--digits", action="store_true", help="whole trainings on handwritten digits")
    parser.add_argument("--rows", action="store_true", help="what comes before the first step")
    options = parser.parse_args()
    if options.rows:
        compare_rows(options.rounds)
        return
    if options.digits:
        compare_digits(options.rounds)
        return
    contenders = {}
    preparations = (
        ("nodegrad", nodegrad_steps),
        ("torch", torch_steps),
        ("jax", jax_steps),
        ("jax loop", partial(jax_steps, in_loop=True)),
    )
    for name, prepare in preparations:
        try:
            contenders[name] = prepare(options.steps)
            print(name, "" if name == "nodegrad" else version(name.split()[0]))
        except (ImportError, PackageNotFoundError):
            print(name, "is not installed")
    rounds = [{name: take() for name, (take, _) in contenders.items()} for _ in range(options.rounds)]
    for name, (_, compiling) in contenders.items():
        times = [each[name] for each in rounds]
        ratios = [each[name] / each["nodegrad"] for each in rounds]
        wanted = f"   wanted: {WANTED[name]:.0f}" if name in WANTED else ""
        print(
            f"{name:9}{1e6 * min(times) / options.steps:8.1f} µs per step, compiled in {compiling:.2f} s; "
            f"nodegrad is {statistics.median(ratios):4.1f} times as fast "
            f"({min(ratios):.1f} to {max(ratios):.1f}){wanted}"
        )


if __name__ == "__main__":
    main()
