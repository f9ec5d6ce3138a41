"""CasADi: scalar expressions (SX), compiled to its virtual machine and mapped over rows."""

import math
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.contenders import Bind, Step, contender, flat
from benchmarks.problems import GRAVITY, Problem


@cache
def library() -> Any:
    """Load CasADi."""
    import casadi

    return casadi


def mlp_function(problem: Problem) -> Any:
    """Build scalar expressions of loss and gradient of a row, by inputs, target and parameters."""
    ca = library()
    functions = {
        "relu": lambda z: ca.fmax(z, 0.0),
        "tanh": ca.tanh,
        "sigmoid": lambda z: 1.0 / (1.0 + ca.exp(-z)),
    }
    layers, activation = problem.given["layers"], functions[problem.given["activation"]]
    x, y = ca.SX.sym("x", layers[0][0].shape[1]), ca.SX.sym("y", len(layers[-1][1]))
    stacked, out = [], x
    for index, (W, _) in enumerate(layers):
        p = ca.SX.sym(f"p{index}", W.shape[1] + 1, W.shape[0])  # a column per neuron, its bias last
        stacked.append(ca.vec(p))
        out = p[:-1, :].T @ out + p[-1, :].T
        out = out if index == len(layers) - 1 else activation(out)
    theta = ca.vertcat(*stacked)
    loss = ca.sumsqr(out - y) / y.numel()
    return ca.Function("f", [x, y, theta], [loss, ca.gradient(loss, theta)])


@contender("CasADi SX", "mlp", start=library, most=10_000_000, graph=350_000, compiles=True)
def casadi_mlp(problem: Problem) -> Bind:
    """Map loss and gradient of a row over rows and add up."""
    ca, function, layers = library(), mlp_function(problem), problem.given["layers"]
    numbers = np.concatenate([np.column_stack([W, b]).ravel() for W, b in layers])

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = arguments[0].T, arguments[1].reshape(len(arguments[0]), -1).T
        rows = X.shape[1]
        mapped = function.map(rows)
        data = ca.DM(X), ca.DM(Y), ca.DM(numbers)

        def step() -> Any:
            losses, gradients = mapped(*data[:2], ca.repmat(data[2], 1, rows))
            return [float(ca.sum2(losses)) / rows, np.asarray(ca.sum2(gradients)) / rows]

        return step

    return bind


def casadi_rotated(ca: Any, r: Any, x: Any) -> Any:
    """Rotate x about an axis by its length."""
    square = ca.dot(r, r)
    still = square == 0.0
    angle = ca.sqrt(ca.if_else(still, 1.0, square))
    axis = r / angle
    along = ca.dot(axis, x) * (1.0 - ca.cos(angle))
    moved = x * ca.cos(angle) + ca.cross(axis, x) * ca.sin(angle) + axis * along
    return ca.if_else(still, x + ca.cross(r, x), moved)


@contender("CasADi SX", "ba", start=library, read=flat, compiles=True)
def casadi_ba(problem: Problem) -> Bind:
    """Build scalar expressions of the Jacobian, and map them over observations."""
    ca = library()
    camera, point, weight, feature = (
        ca.SX.sym(name, n) for name, n in (("c", 11), ("p", 3), ("w", 1), ("f", 2))
    )
    seen = casadi_rotated(ca, camera[:3], point - camera[3:6])
    plane = seen[:2] / seen[2]
    square = ca.dot(plane, plane)
    scale = 1.0 + camera[9] * square + camera[10] * square * square
    error = weight * (plane * scale * camera[6] + camera[7:9] - feature)
    jacobian = ca.vec(ca.densify(ca.jacobian(error, ca.vertcat(camera, point, weight))).T)
    function = ca.Function("f", [camera, point, weight, feature], [jacobian])
    return casadi_map(function)


def casadi_map(function: Any) -> Bind:
    """Return what maps a function over rows."""
    ca = library()

    def bind(arguments: tuple[Any, ...]) -> Step:
        columns = [ca.DM(np.atleast_2d(np.asarray(x, float).T)) for x in arguments]
        mapped = function.map(columns[0].shape[1])
        return lambda: mapped.call(columns)

    return bind


@contender("CasADi SX", "lstm", start=library, compiles=True)
def casadi_lstm(problem: Problem) -> Bind:
    """Build scalar expressions of the whole sequence."""
    ca = library()
    (shapes,) = [tuple(x.shape for x in arguments) for arguments in problem.arguments.values()]
    main, extra = (ca.SX.sym(name, *shape) for name, shape in zip("me", shapes, strict=True))
    sequence, state = problem.given["sequence"], [ca.DM(row).T for row in problem.given["state"]]

    def sigmoid(z: Any) -> Any:
        return 1.0 / (1.0 + ca.exp(-z))

    total = 0.0
    for now, following in pairwise(sequence):
        x = ca.DM(now).T * extra[0, :]
        for layer in range(0, main.shape[0], 2):
            hidden, cell = state[layer], state[layer + 1]
            gates = ca.horzcat(x, hidden, x, hidden) * main[layer, :] + main[layer + 1, :]
            forget, ingate, outgate, change = ca.horzsplit(gates, gates.shape[1] // 4)
            cell = cell * sigmoid(forget) + sigmoid(ingate) * ca.tanh(change)
            x = sigmoid(outgate) * ca.tanh(cell)
            state[layer], state[layer + 1] = x, cell
        predicted = x * extra[1, :] + extra[2, :]
        total += ca.sum2(ca.DM(following).T * (predicted - ca.log(ca.sum2(ca.exp(predicted)) + 2.0)))
    loss = -total / sequence[1:].size
    function = ca.Function("f", [main, extra], [loss, *(ca.gradient(loss, x).T for x in (main, extra))])

    def bind(arguments: tuple[Any, ...]) -> Step:
        data = [ca.DM(x) for x in arguments]
        return lambda: [np.asarray(x).T if x.shape != (1, 1) else float(x) for x in function.call(data)]

    return bind


@contender("CasADi SX", "options", start=library, read=flat, compiles=True)
def casadi_options(problem: Problem) -> Bind:
    """Build scalar expressions of price and Greeks, and map them over rows."""
    ca = library()
    s, k, t, r, v = symbols = [ca.SX.sym(name) for name in "sktrv"]

    def cdf(x: Any) -> Any:
        return 0.5 + 0.5 * ca.erf(x * math.sqrt(0.5))

    spread = v * ca.sqrt(t)
    upper = (ca.log(s / k) + r * t) / spread + 0.5 * spread
    price = s * cdf(upper) - k * ca.exp(-r * t) * cdf(upper - spread)
    first = ca.jacobian(price, ca.vertcat(s, t, r, v))
    outputs = ca.vertcat(price, first.T, ca.jacobian(first[0], s))
    return casadi_map(ca.Function("f", symbols, [outputs]))


def pendulum_function(problem: Problem) -> Any:
    """Build scalar expressions of all steps: the last angle and its gradient."""
    ca = library()
    angle, speed, length = symbols = [ca.SX.sym(name) for name in ("a", "s", "l")]
    step = problem.given["step"]
    pull = -0.5 * step * GRAVITY / length
    for _ in range(problem.given["steps"]):
        middle = speed + pull * ca.sin(angle)
        angle = angle + step * middle
        speed = middle + pull * ca.sin(angle)
    return ca.Function("f", symbols, [ca.vertcat(angle, ca.gradient(angle, ca.vertcat(*symbols)))])


@contender("CasADi SX", "pendulum", start=library, read=flat, compiles=True)
def casadi_pendulum(problem: Problem) -> Bind:
    """Map all steps over rows."""
    return casadi_map(pendulum_function(problem))


@contender("CasADi SX", "call", start=library, compiles=True)
def casadi_call(problem: Problem) -> Bind:
    """Call the formula as a CasADi function."""
    ca = library()
    x, y = ca.SX.sym("x"), ca.SX.sym("y")
    function = ca.Function("f", [x, y], [ca.sin(x) * y + x / y])
    return lambda arguments: lambda: float(function(*arguments))
