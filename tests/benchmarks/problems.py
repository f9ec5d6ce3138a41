"""The problems: plain Python functions of numbers and nested lists, and the data they run on."""

import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import nodegrad as ng
from nodegrad import nn

# Benchmarks compile what they measure: native code that earlier runs have kept is elsewhere.
_cache = TemporaryDirectory()
os.environ.setdefault("XDG_CACHE_HOME", _cache.name)


@dataclass(frozen=True)
class Problem:
    """A function to compile and the data to run it on.

    Attributes:
        family: the kind of problem; competitors are registered by it.
        name: what the table calls it.
        function: what is compiled; it returns values and derivatives in any structure.
        arguments: for each size, such as "96 rows", the arguments; arrays have rows along the first axis.
        mode: "call" for one call of the compiled function, "map" for its map, "mean" for that, reduced.
        given: what competitors start from: the same numbers as NumPy arrays, and sizes.
        work: roughly the number of scalar operations of one row; contenders refuse what is too much.
    """

    family: str
    name: str
    function: Callable[..., Any]
    arguments: dict[str, tuple[Any, ...]]
    mode: str
    given: dict[str, Any] = field(default_factory=dict)
    work: float = 1.0


def rows_of(arguments: tuple[Any, ...], mode: str) -> int:
    """Return the number of rows in the arguments of a problem."""
    return 1 if mode == "call" else len(arguments[0])


# Perceptrons.

LOSS = nn.mean_squared_error


def layer_arrays(model: nn.MLP) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights (outputs × inputs) and biases of each layer of a model."""
    return [
        (
            np.array([[w.data for w in neuron.w] for neuron in layer.neurons]),
            np.array([neuron.b.data for neuron in layer.neurons]),
        )
        for layer in model.layers
    ]


def perceptron(sizes: list[int], activation: str, seed: int = 0) -> nn.MLP:
    """Make the network with biases that are not zero, so that errors in them show."""
    model = nn.MLP(sizes[0], sizes[1:], activation=activation, seed=seed)
    generator = random.Random(seed + 1)
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.b.data = generator.uniform(-0.1, 0.1)
    return model


def batch(sizes: list[int], rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs and targets; the targets of one output are single numbers."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, sizes[0]))
    Y = generator.normal(size=(rows, sizes[-1]))
    return X, Y[:, 0] if sizes[-1] == 1 else Y


def shown(sizes: list[int]) -> str:
    """Return 2-16-16-1 for [2, 16, 16, 1]."""
    return "-".join(map(str, sizes))


def weights(sizes: list[int]) -> int:
    """Count the weights of a network."""
    return sum(a * b for a, b in pairwise(sizes))


def mlp(sizes: list[int], activation: str, rows: list[int]) -> Problem:
    """Return the loss of a row and its gradient by all parameters, averaged over rows."""
    model = perceptron(sizes, activation)

    def loss(x: Any, y: Any) -> Any:
        return LOSS(model(x), y)

    return Problem(
        family="mlp",
        name=f"MLP {shown(sizes)} {activation}",
        function=ng.value_and_grad(loss, wrt=model.parameters()),
        arguments={f"{n} row{'s' * (n > 1)}": batch(sizes, n) for n in rows},
        mode="mean",
        given={"layers": layer_arrays(model), "activation": activation, "model": model, "loss": LOSS},
        work=6.0 * weights(sizes),
    )


def mlp_graph(sizes: list[int], activation: str, rows: int) -> Problem:
    """Return the same, written as one function of all rows: nothing in it is batched by hand."""
    model = perceptron(sizes, activation)

    def loss(X: Any, Y: Any) -> Any:
        return LOSS([model(x) for x in X], list(Y))

    return Problem(
        family="mlp",
        name=f"MLP {shown(sizes)} {activation} as one graph",
        function=ng.value_and_grad(loss, wrt=model.parameters()),
        arguments={f"{rows} rows": batch(sizes, rows)},
        mode="call",
        given={"layers": layer_arrays(model), "activation": activation, "model": model, "loss": LOSS},
        work=6.0 * weights(sizes) * rows,
    )


def mlp_fit(sizes: list[int], activation: str, rows: int) -> Problem:
    """Return a step of gradient descent over all rows, the update included."""
    model = perceptron(sizes, activation)
    return Problem(
        family="fit",
        name=f"fit step, MLP {shown(sizes)} {activation}",
        function=partial(perceptron, sizes, activation),  # a fresh model for each fit
        arguments={f"{rows} rows": batch(sizes, rows)},
        mode="fit",
        given={"layers": layer_arrays(model), "activation": activation, "learning_rate": 0.01},
        work=6.0 * weights(sizes),
    )


# A transformer of one layer.


def gpt_shapes(context: int, width: int, vocabulary: int) -> dict[str, tuple[int, int]]:
    """Return the shape of each matrix of parameters, outputs × inputs."""
    square = (width, width)
    return {
        "embedding": (width, vocabulary),
        "position": (context, width),
        "query": square,
        "key": square,
        "value": square,
        "out": square,
        "up": (4 * width, width),
        "down": (width, 4 * width),
        "logits": (vocabulary, width),
    }


def linear(matrix: Any, x: Any) -> list[Any]:
    """Multiply a matrix with a vector."""
    return [ng.dot(row, x) for row in matrix]


def rms_norm(x: list[Any]) -> list[Any]:
    """Scale a vector to a root mean square of 1."""
    scale = (ng.dot(x, x) / len(x) + 1e-5) ** -0.5
    return [number * scale for number in x]


def plus(x: list[Any], y: list[Any]) -> list[Any]:
    """Add two vectors."""
    return [a + b for a, b in zip(x, y, strict=True)]


def attention(query: list[Any], keys: list[Any], values: list[Any], heads: int) -> list[Any]:
    """Average the values seen so far, in each head by the softmax of query·key / √width."""
    size = len(query) // heads
    mixed = []
    for start in range(0, len(query), size):
        part = slice(start, start + size)
        scores = [ng.dot(query[part], key[part]) / math.sqrt(size) for key in keys]
        shares = ng.softmax(scores)
        mixed += [ng.dot(shares, column) for column in zip(*(value[part] for value in values), strict=True)]
    return mixed


def gpt_loss(p: dict[str, Any], tokens: Any, targets: Any, heads: int) -> Any:
    """Return the mean cross-entropy of the next token; tokens and targets are one-hot rows."""
    keys, values, losses = [], [], []
    for token, target, position in zip(tokens, targets, p["position"], strict=True):
        x = rms_norm(plus(linear(p["embedding"], token), position))
        normal = rms_norm(x)
        keys.append(linear(p["key"], normal))
        values.append(linear(p["value"], normal))
        mixed = attention(linear(p["query"], normal), keys, values, heads)
        x = plus(x, linear(p["out"], mixed))
        hidden = [ng.relu(number) for number in linear(p["up"], rms_norm(x))]
        x = plus(x, linear(p["down"], hidden))
        logits = linear(p["logits"], x)
        losses.append(ng.logsumexp(logits) - ng.dot(target, logits))
    return ng.mean(losses)


def gpt(rows: list[int], context: int = 16, width: int = 16, heads: int = 4, vocabulary: int = 27) -> Problem:
    """Return loss and gradient of a one-layer GPT, averaged over sequences."""
    generator = np.random.default_rng(0)
    shapes = gpt_shapes(context, width, vocabulary)
    arrays = {name: generator.normal(scale=0.2, size=shape) for name, shape in shapes.items()}
    parameters = {
        name: [[ng.Value(x) for x in row] for row in matrix.tolist()] for name, matrix in arrays.items()
    }

    def loss(tokens: Any, targets: Any) -> Any:
        return gpt_loss(parameters, tokens, targets, heads)

    arguments = {}
    for n in rows:
        text = generator.integers(vocabulary, size=(n, context + 1))
        one_hot = np.eye(vocabulary)[text]
        arguments[f"{n} sequences"] = (one_hot[:, :-1].copy(), one_hot[:, 1:].copy())
    matrices = sum(math.prod(shape) for name, shape in shapes.items() if name != "position")
    return Problem(
        family="gpt",
        name=f"GPT, {context} tokens",
        function=ng.value_and_grad(loss, wrt=parameters),
        arguments=arguments,
        mode="mean",
        given={"arrays": arrays, "heads": heads},
        work=6.0 * context * matrices,
    )


# The objectives of ADBench (Šrajer, Kukelova, Fitzgibbon 2018), from their definitions.


def gaussian_mixture_row(alphas: Any, means: Any, factors: Any, x: Any, prior: Any) -> Any:
    """Return the log-likelihood of one point under a Gaussian mixture, plus this row's share of the prior.

    Component k has weight exp(αₖ)/Σexp(α), mean μₖ and the inverse covariance LᵀL; of L, `factors` holds the
    logarithms of the diagonal, then the entries below it column by column.
    """
    d = len(x)
    terms = []
    for alpha, mean, factor in zip(alphas, means, factors, strict=True):
        centred = [a - b for a, b in zip(x, mean, strict=True)]
        scaled = lower_triangular(factor, centred)
        terms.append(alpha + ng.sum(factor[:d]) - 0.5 * ng.dot(scaled, scaled))
    return ng.logsumexp(terms) - ng.logsumexp(alphas) - 0.5 * d * math.log(2.0 * math.pi) + prior


def lower_triangular(factor: Any, x: list[Any]) -> list[Any]:
    """Multiply L with a vector."""
    d = len(x)
    column = [d + j * (d - 1) - j * (j - 1) // 2 - j - 1 for j in range(d)]  # plus i: the place of L[i][j]
    return [
        ng.exp(factor[i]) * x[i] + ng.dot([factor[column[j] + i] for j in range(i)], x[:i]) for i in range(d)
    ]


def wishart_prior(factors: Any, d: int, gamma: float, m: int) -> Any:
    """Return the logarithm of the Wishart prior of all inverse covariances."""
    constant = wishart_constant(d, gamma, m)
    parts = []
    for factor in factors:
        diagonal, below = [ng.exp(q) for q in factor[:d]], factor[d:]
        squares = ng.dot(diagonal, diagonal) + ng.dot(below, below)
        parts.append(0.5 * gamma * gamma * squares - m * ng.sum(factor[:d]) - constant)
    return ng.sum(parts)


def gaussian_mixture(d: int, k: int, rows: int, gamma: float = 1.0, m: int = 0) -> Problem:
    """Return the GMM objective: log-likelihood and its gradient by weights, means and inverse covariances."""
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=k),
        generator.normal(size=(k, d)),
        0.3 * generator.normal(size=(k, d * (d + 1) // 2)),
    ]
    alphas, means, factors = (lifted(array.tolist()) for array in arrays)

    def log_likelihood(x: Any) -> Any:
        prior = wishart_prior(factors, d, gamma, m) / rows
        return gaussian_mixture_row(alphas, means, factors, list(x), prior)

    return Problem(
        family="gmm",
        name=f"GMM, {d} dimensions, {k} components",
        function=ng.value_and_grad(log_likelihood, wrt=[alphas, means, factors]),
        arguments={f"{rows} points": (generator.normal(size=(rows, d)),)},
        mode="mean",  # ADBench's objective is `rows` times this
        given={"arrays": arrays, "gamma": gamma, "m": m, "rows": rows},
        work=3.0 * k * (d * d + 5 * d + 10),
    )


def triangle(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the entries below the diagonal, column by column."""
    columns, rows = np.triu_indices(d, 1)
    return rows, columns


def wishart_constant(d: int, gamma: float, m: int) -> float:
    """Return what the prior of a component subtracts, whatever the parameters."""
    n = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi)  # of dimension d, at n/2
    log_gamma += sum(math.lgamma(0.5 * (n - j)) for j in range(d))
    return n * d * math.log(gamma / math.sqrt(2.0)) - log_gamma


def lifted(numbers: Any) -> Any:
    """Turn nested lists of numbers into nested lists of Values."""
    return list(map(lifted, numbers)) if isinstance(numbers, list) else ng.Value(numbers)


def cross(a: Any, b: Any) -> list[Any]:
    """Return the vector product."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def rotated(rotation: Any, x: Any) -> list[Any]:
    """Rotate x about an axis by its length (Rodrigues); a branch keeps the derivative at no rotation."""
    square = ng.dot(rotation, rotation)
    if square == 0.0:
        return plus(x, cross(rotation, x))
    angle = ng.sqrt(square)
    axis = [r / angle for r in rotation]
    cosine, sine = ng.cos(angle), ng.sin(angle)
    along = ng.dot(axis, x) * (1.0 - cosine)
    return [a * cosine + b * sine + c * along for a, b, c in zip(x, cross(axis, x), axis, strict=True)]


def reprojection_error(camera: Any, point: Any, weight: Any, feature: Any) -> list[Any]:
    """Return the weighted distance between a feature and the projection of its point.

    A camera is rotation (3), centre (3), focal length, principal point (2), radial distortion (2).
    """
    x, y, z = rotated(camera[:3], [p - c for p, c in zip(point, camera[3:6], strict=True)])
    u, v = x / z, y / z
    square = u * u + v * v
    scale = 1.0 + camera[9] * square + camera[10] * square * square
    return [
        weight * (u * scale * camera[6] + camera[7] - feature[0]),
        weight * (v * scale * camera[6] + camera[8] - feature[1]),
    ]


def bundle_adjustment(rows: int) -> Problem:
    """Return the BA objective: the 2 × 15 Jacobian of each observation."""
    generator = np.random.default_rng(0)
    cameras = generator.normal(size=(rows, 11)) * np.repeat([0.3, 0.5, 1.0, 0.1, 0.01], [3, 3, 1, 2, 2])
    cameras[:, 6] += 5.0
    cameras[:: max(2, rows // 5), :3] = 0.0  # a few that are not rotated: the other branch
    points = generator.normal(size=(rows, 3)) + np.array([0.0, 0.0, 10.0])
    data = (cameras, points, generator.uniform(0.5, 1.5, rows), generator.normal(size=(rows, 2)))
    return Problem(
        family="ba",
        name="bundle adjustment",
        function=ng.jacobian(reprojection_error, argnums=(0, 1, 2)),
        arguments={f"{rows} observations": data},
        mode="map",
        work=500.0,
    )


def lstm_loss(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Return the mean negative log-likelihood of the next character, given as bits, under LSTM cells.

    ADBench's cells have one weight per gate and unit rather than matrices; layer l has rows 2l (weights) and
    2l + 1 (biases) of `main`, and the same rows of `state` (hidden, cell).
    """
    state, total = list(state), []
    for now, following in pairwise(sequence):
        x = [a * b for a, b in zip(now, extra[0], strict=True)]
        for layer in range(0, len(main), 2):
            x, cell = lstm_cell(main[layer], main[layer + 1], state[layer], state[layer + 1], x)
            state[layer : layer + 2] = x, cell
        predicted = [a * b + c for a, b, c in zip(x, extra[1], extra[2], strict=True)]
        normalizer = ng.log(ng.sum([ng.exp(p) for p in predicted]) + 2.0)
        total += [gold * (p - normalizer) for gold, p in zip(following, predicted, strict=True)]
    return -ng.sum(total) / len(total)


def lstm_cell(weight: Any, bias: Any, hidden: Any, cell: Any, x: Any) -> tuple[list[Any], list[Any]]:
    """Return the new hidden state and cell."""
    n = len(hidden)

    def gate(number: int, source: Any) -> list[Any]:
        part = slice(number * n, (number + 1) * n)
        return [s * w + b for s, w, b in zip(source, weight[part], bias[part], strict=True)]

    forget, ingate, outgate = (
        [ng.sigmoid(z) for z in gate(number, source)] for number, source in enumerate((x, hidden, x))
    )
    change = [ng.tanh(z) for z in gate(3, hidden)]
    cell = [c * f + i * g for c, f, i, g in zip(cell, forget, ingate, change, strict=True)]
    return [o * ng.tanh(c) for o, c in zip(outgate, cell, strict=True)], cell


def lstm(layers: int, characters: int, bits: int = 14) -> Problem:
    """Return the LSTM objective and its gradient by both sets of parameters: one graph over the sequence."""
    generator = np.random.default_rng(0)
    main = generator.random((2 * layers, 4 * bits))
    extra = generator.random((3, bits))
    state = generator.random((2 * layers, bits))
    sequence = generator.integers(2, size=(characters, bits)).astype(float)

    def loss(main: Any, extra: Any) -> Any:
        return lstm_loss(main, extra, state.tolist(), sequence.tolist())

    return Problem(
        family="lstm",
        name=f"LSTM, {layers} layers",
        function=ng.value_and_grad(loss, argnums=(0, 1)),
        arguments={f"{characters} characters": (main, extra)},
        mode="call",
        given={"state": state, "sequence": sequence},
        work=100.0 * layers * characters * bits,
    )


# Formulas.


def black_scholes(spot: Any, strike: Any, years: Any, rate: Any, volatility: Any) -> Any:
    """Return the price of a European call (Black & Scholes 1973)."""
    spread = volatility * ng.sqrt(years)
    upper = (ng.log(spot / strike) + rate * years) / spread + 0.5 * spread
    return spot * normal_cdf(upper) - strike * ng.exp(-rate * years) * normal_cdf(upper - spread)


def normal_cdf(x: Any) -> Any:
    """Return the probability that a standard normal variable is below x."""
    return 0.5 * ng.erfc(x * -math.sqrt(0.5))


def price_and_greeks(*arguments: Any) -> tuple[Any, ...]:
    """Return price, delta, theta, rho, vega and gamma; theta is the derivative by the years left."""
    price, first = ng.value_and_grad(black_scholes, argnums=(0, 2, 3, 4))(*arguments)
    return price, *first, ng.grad(ng.grad(black_scholes))(*arguments)


def options(rows: int) -> Problem:
    """Return Black-Scholes prices and Greeks."""
    generator = np.random.default_rng(0)
    bounds = ((50.0, 150.0), (50.0, 150.0), (0.1, 2.0), (0.0, 0.1), (0.1, 0.5))
    return Problem(
        family="options",
        name="Black-Scholes, price and 5 Greeks",
        function=price_and_greeks,
        arguments={f"{rows:,} rows": tuple(generator.uniform(*bound, rows) for bound in bounds)},
        mode="map",
        work=100.0,
    )


GRAVITY = 9.81


def final_angle(angle: Any, speed: Any, length: Any, steps: int, step: float = 0.01) -> Any:
    """Integrate a pendulum (leapfrog) and return where it ends."""
    pull = -GRAVITY / length
    for _ in range(steps):
        middle = speed + 0.5 * step * pull * ng.sin(angle)
        angle = angle + step * middle
        speed = middle + 0.5 * step * pull * ng.sin(angle)
    return angle


def pendulum(steps: int, rows: int) -> Problem:
    """Return the final angle of a pendulum and its derivatives by angle, speed and length."""
    generator = np.random.default_rng(0)
    data = tuple(generator.uniform(*bound, rows) for bound in ((-1.0, 1.0), (-1.0, 1.0), (0.5, 2.0)))
    one = rows == 1
    return Problem(
        family="pendulum",
        name=f"pendulum, {steps:,} steps",
        function=ng.value_and_grad(partial(final_angle, steps=steps), argnums=(0, 1, 2)),
        arguments={f"{rows:,} row{'s' * (not one)}": tuple(x[0].item() for x in data) if one else data},
        mode="call" if one else "map",
        given={"steps": steps, "step": 0.01},
        work=40.0 * steps,
    )


def scalar_function(x: Any, y: Any) -> Any:
    """Compute something small of two numbers, to measure what a call costs."""
    return ng.sin(x) * y + x / y


def scalar_call() -> Problem:
    """Return a call of a function of two numbers."""
    return Problem("call", "x·y formula", scalar_function, {"1 call": (1.5, 2.5)}, "call")


# What is run.


KINDS = ("relu", "tanh", "sigmoid")


def suite(quick: bool = False) -> Iterator[Problem]:
    """Make the problems one by one: at full size, or at sizes that take a second each."""
    yield from small_suite() if quick else full_suite()


def small_suite() -> Iterator[Problem]:
    """Make every kind of problem at a tiny size."""
    for kind in KINDS:
        yield mlp([2, 4, 1], kind, [1, 5])
    yield mlp([3, 4, 4, 2], "tanh", [1, 5])
    yield mlp_graph([2, 4, 1], "relu", 5)
    yield mlp_fit([2, 4, 1], "relu", 5)
    yield gpt([1, 3], context=3, width=4, heads=2, vocabulary=5)
    yield gaussian_mixture(3, 2, 7, m=2)
    yield bundle_adjustment(7)
    yield lstm(2, 4, bits=3)
    yield options(9)
    yield pendulum(5, 1)
    yield pendulum(5, 4)
    yield scalar_call()


def full_suite() -> Iterator[Problem]:
    """Make the problems whose times are published."""
    for sizes in ([2, 16, 16, 1], [16, 64, 64, 1], [64, 256, 256, 10]):
        for kind in KINDS:
            yield mlp(sizes, kind, [1, 96, 1024])
    yield mlp([32, 128, 128, 10], "relu", [96, 1024])
    yield mlp_graph([2, 16, 16, 1], "relu", 96)
    yield mlp_fit([2, 16, 16, 1], "relu", 96)
    yield mlp_fit([64, 256, 256, 10], "relu", 96)
    yield gpt([32])
    yield gaussian_mixture(10, 25, 1000)
    yield bundle_adjustment(31_843)
    yield lstm(2, 128)
    yield options(1_000_000)
    yield pendulum(1_000, 1)
    yield pendulum(1_000, 1_000)
    yield scalar_call()
