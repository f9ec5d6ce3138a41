"""NumPy by hand, plain Python, and micrograd."""

import math
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.contenders import Bind, Step, Training, contender, flat_layers
from benchmarks.problems import GRAVITY, Problem

ACTIVATIONS = {  # the function, and its derivative by the result
    "relu": (lambda z: np.maximum(z, 0.0), lambda out: (out > 0.0) * 1.0),
    "tanh": (np.tanh, lambda out: 1.0 - out * out),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda out: out * (1.0 - out)),
}


def numpy_gradient(layers: Any, activation: str, X: np.ndarray, Y: np.ndarray) -> tuple[float, list[Any]]:
    """Mean squared error of a perceptron and its gradient, by the formulas one derives by hand."""
    function, derivative = ACTIVATIONS[activation]
    outs = [X]
    for W, b in layers[:-1]:
        outs.append(function(outs[-1] @ W.T + b))
    W, b = layers[-1]
    error = outs[-1] @ W.T + b - Y
    delta, gradients = error * (2.0 / error.size), []
    for index in reversed(range(len(layers))):
        gradients.append((delta.T @ outs[index], delta.sum(axis=0)))
        if index:
            delta = (delta @ layers[index][0]) * derivative(outs[index])
    return np.mean(error * error), gradients[::-1]


@contender("NumPy by hand", "mlp", read=flat_layers)
def numpy_mlp(problem: Problem) -> Bind:
    """Go forward and backward as matrix products."""
    layers, activation = problem.given["layers"], problem.given["activation"]

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = arguments[0], arguments[1].reshape(len(arguments[0]), -1)
        return lambda: numpy_gradient(layers, activation, X, Y)

    return bind


@contender("NumPy by hand", "fit", read=flat_layers)
def numpy_fit(problem: Problem) -> Bind:
    """Add the update."""
    given = problem.given

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = arguments[0], arguments[1].reshape(len(arguments[0]), -1)
        layers = [(W.copy(), b.copy()) for W, b in given["layers"]]

        def step() -> None:
            _, gradients = numpy_gradient(layers, given["activation"], X, Y)
            for (W, b), (dW, db) in zip(layers, gradients, strict=True):
                W -= given["learning_rate"] * dW
                b -= given["learning_rate"] * db

        return Training(step, lambda: layers)

    return bind


@contender("NumPy by hand", "options")
def numpy_options(problem: Problem) -> Bind:
    """Use the formulas of the textbook."""
    from scipy.special import ndtr

    def price(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        root = np.sqrt(t)
        spread = v * root
        upper = (np.log(s / k) + r * t) / spread + 0.5 * spread
        density = np.exp(-0.5 * upper * upper) * (1.0 / math.sqrt(2.0 * math.pi))
        delta, discounted = ndtr(upper), k * np.exp(-r * t)
        below = discounted * ndtr(upper - spread)
        theta = r * below + s * density * v / (2.0 * root)
        return s * delta - below, delta, theta, t * below, s * root * density, density / (s * spread)

    return lambda arguments: lambda: price(*arguments)


@contender("NumPy by hand", "pendulum")
def numpy_pendulum(problem: Problem) -> Bind:
    """Integrate the state and its three tangents, step by step."""
    steps, step = problem.given["steps"], problem.given["step"]

    def integrate(angle: Any, speed: Any, length: Any) -> Any:
        zero, one = 0.0 * angle, 0.0 * angle + 1.0
        angles, speeds = np.array([one, zero, zero]), np.array([zero, one, zero])
        pull = -0.5 * step * GRAVITY / length
        slope = np.array([zero, zero, -pull / length])
        for _ in range(steps):
            sine, cosine = np.sin(angle), np.cos(angle)
            middle, middles = speed + pull * sine, speeds + pull * cosine * angles + slope * sine
            angle, angles = angle + step * middle, angles + step * middles
            sine, cosine = np.sin(angle), np.cos(angle)
            speed, speeds = middle + pull * sine, middles + pull * cosine * angles + slope * sine
        return angle, list(angles)

    return lambda arguments: lambda: integrate(*map(np.asarray, arguments))


@contender("micrograd", "mlp", start=partial(import_module, "micrograd.nn"), most=300_000)
def micrograd_mlp(problem: Problem) -> Bind:
    """Run the network of micrograd.nn a row at a time; it has relu only."""
    from micrograd.nn import MLP

    layers = problem.given["layers"]
    if problem.given["activation"] != "relu" or problem.mode != "mean":
        raise NotImplementedError("micrograd has relu only, and knows no difference between rows and a graph")
    model = MLP(layers[0][0].shape[1], [len(b) for _, b in layers])
    for ours, (W, b) in zip(model.layers, layers, strict=True):
        for neuron, weights, bias in zip(ours.neurons, W.tolist(), b.tolist(), strict=True):
            neuron.b.data = bias
            for w, weight in zip(neuron.w, weights, strict=True):
                w.data = weight

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = (x.tolist() for x in arguments)

        def step() -> Any:
            outs = [(model(x), y) for x, y in zip(X, Y, strict=True)]
            errors = [
                (a - b) ** 2
                for out, y in outs
                for a, b in (zip(out, y, strict=True) if isinstance(out, list) else [(out, y)])
            ]
            loss = sum(errors) * (1.0 / len(errors))
            model.zero_grad()
            loss.backward()
            return [loss.data, [p.grad for p in model.parameters()]]

        return step

    return bind


@contender("plain Python", "call")
def python_call(problem: Problem) -> Bind:
    """Write the formula with the math module."""

    def function(x: float, y: float) -> float:
        return math.sin(x) * y + x / y

    return lambda arguments: lambda: function(*arguments)
