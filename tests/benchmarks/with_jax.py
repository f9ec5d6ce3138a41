"""JAX: jit of the gradient over the whole batch, in double precision."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

from benchmarks.contenders import Bind, Step, Training, contender, flat_blocks, flat_layers
from benchmarks.problems import GRAVITY, Problem, triangle, wishart_constant


@cache
def jax_numpy() -> tuple[Any, Any]:
    """Load JAX in double precision, and compile something."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.block_until_ready(jax.jit(lambda x: x + 1.0)(1.0))
    return jax, jax.numpy


def jax_layers(problem: Problem) -> Any:
    """Return the parameters on JAX's device."""
    _, jnp = jax_numpy()
    return [(jnp.asarray(W), jnp.asarray(b)) for W, b in problem.given["layers"]]


def jax_loss(problem: Problem) -> Callable[..., Any]:
    """Return the loss of a batch as a function of the layers."""
    jax, jnp = jax_numpy()
    name = problem.given["activation"]
    function = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[name]

    def loss(layers: Any, X: Any, Y: Any) -> Any:
        for W, b in layers[:-1]:
            X = function(X @ W.T + b)
        W, b = layers[-1]
        return jnp.mean((X @ W.T + b - Y) ** 2)

    return loss


def jax_step(function: Callable[..., Any], *data: Any) -> Step:
    """Return a step that waits for the result."""
    jax, _ = jax_numpy()
    return lambda: jax.block_until_ready(function(*data))


@contender("JAX jit", "mlp", start=jax_numpy, read=flat_layers, compiles=True)
def jax_mlp(problem: Problem) -> Bind:
    """Use jit of value_and_grad of the loss of a batch."""
    jax, jnp = jax_numpy()
    function, layers = jax.jit(jax.value_and_grad(jax_loss(problem))), jax_layers(problem)

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = map(jnp.asarray, arguments)
        return jax_step(function, layers, X, Y.reshape(len(X), -1))

    return bind


def jax_update(problem: Problem) -> Callable[..., Any]:
    """Return a step of gradient descent as a function of the layers."""
    jax, _ = jax_numpy()
    gradient, rate = jax.value_and_grad(jax_loss(problem)), problem.given["learning_rate"]

    def update(layers: Any, X: Any, Y: Any) -> Any:
        loss, gradients = gradient(layers, X, Y)
        return loss, jax.tree.map(lambda p, g: p - rate * g, layers, gradients)

    return update


@contender("JAX jit", "fit", start=jax_numpy, read=flat_layers, compiles=True)
def jax_fit(problem: Problem) -> Bind:
    """Use jit of a step with its update, called once a step."""
    jax, jnp = jax_numpy()
    function = jax.jit(jax_update(problem))

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = map(jnp.asarray, arguments)
        Y, layers = Y.reshape(len(X), -1), jax_layers(problem)

        def step() -> None:
            nonlocal layers
            _, layers = jax.block_until_ready(function(layers, X, Y))

        return Training(step, lambda: layers)

    return bind


@contender("JAX jit, 100 steps in a loop inside", "fit", start=jax_numpy, read=flat_layers, compiles=True)
def jax_fit_inside(problem: Problem) -> Bind:
    """Use jit of 100 steps in lax.fori_loop, counted as 100."""
    jax, jnp = jax_numpy()
    update = jax_update(problem)

    def many(count: int) -> Callable[..., Any]:
        return jax.jit(lambda p, X, Y: jax.lax.fori_loop(0, count, lambda _, q: update(q, X, Y)[1], p))

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = map(jnp.asarray, arguments)
        return JaxLoop(many(3), many(100), jax_layers(problem), X, Y.reshape(len(X), -1))

    return bind


@dataclass
class JaxLoop:
    """Steps that are taken 100 at a time."""

    three: Any
    hundred: Any
    layers: Any
    X: Any
    Y: Any

    def result(self) -> Any:
        """Return the parameters after three steps."""
        return [0.0, self.three(self.layers, self.X, self.Y)]

    def seconds(self, count: int) -> float:
        """Measure the seconds that `count` steps take."""
        step = jax_step(self.hundred, self.layers, self.X, self.Y)
        step()
        start = perf_counter()
        for _ in range(max(1, count // 100)):
            step()
        return (perf_counter() - start) * count / (100 * max(1, count // 100))


@contender("JAX jit", "gpt", start=jax_numpy, compiles=True)
def jax_gpt(problem: Problem) -> Bind:
    """Write the transformer over a batch of token numbers."""
    jax, jnp = jax_numpy()
    arrays = {name: jnp.asarray(x) for name, x in problem.given["arrays"].items()}
    heads = problem.given["heads"]

    def norm(x: Any) -> Any:
        return x * (jnp.mean(x * x, -1, keepdims=True) + 1e-5) ** -0.5

    def loss(p: Any, tokens: Any, targets: Any) -> Any:
        rows, context = tokens.shape
        x = norm(p["embedding"].T[tokens] + p["position"])
        normal = norm(x)
        query, key, value = (
            (normal @ p[name].T).reshape(rows, context, heads, -1) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("nihd,njhd->nhij", query, key) / math.sqrt(query.shape[-1])
        scores = jnp.where(jnp.tril(jnp.ones((context, context), bool)), scores, -jnp.inf)
        mixed = jnp.einsum("nhij,njhd->nihd", jax.nn.softmax(scores), value).reshape(x.shape)
        x = x + mixed @ p["out"].T
        x = x + jax.nn.relu(norm(x) @ p["up"].T) @ p["down"].T
        logs = jax.nn.log_softmax(x @ p["logits"].T)
        return -jnp.mean(jnp.take_along_axis(logs, targets[..., None], -1))

    function = jax.jit(jax.value_and_grad(loss))

    def bind(arguments: tuple[Any, ...]) -> Step:
        step = jax_step(function, arrays, *(jnp.asarray(x.argmax(-1)) for x in arguments))

        def ordered() -> Any:
            found, gradients = step()
            return [found, [gradients[name] for name in arrays]]  # JAX sorts the keys of dicts

        return ordered

    return bind


@contender("JAX jit", "gmm", start=jax_numpy, compiles=True)
def jax_gmm(problem: Problem) -> Bind:
    """Take all points and components at once."""
    jax, jnp = jax_numpy()
    arrays = tuple(map(jnp.asarray, problem.given["arrays"]))
    k, d = arrays[1].shape
    gamma, m, rows = (problem.given[name] for name in ("gamma", "m", "rows"))
    below = triangle(d)
    constant = wishart_constant(d, gamma, m)

    def objective(parameters: Any, X: Any) -> Any:
        alphas, means, factors = parameters
        diagonal, sums = jnp.exp(factors[:, :d]), factors[:, :d].sum(1)
        L = jax.vmap(jnp.diag)(diagonal).at[:, below[0], below[1]].set(factors[:, d:])
        scaled = jnp.einsum("kij,nkj->nki", L, X[:, None] - means)
        terms = alphas + sums - 0.5 * (scaled**2).sum(-1)
        squares = (diagonal**2).sum() + (factors[:, d:] ** 2).sum()
        prior = 0.5 * gamma * gamma * squares - m * sums.sum() - k * constant
        likelihood = jax.nn.logsumexp(terms, 1).mean() - jax.nn.logsumexp(alphas)
        return likelihood - 0.5 * d * math.log(2.0 * math.pi) + prior / rows

    function = jax.jit(jax.value_and_grad(objective))
    return lambda arguments: jax_step(function, arrays, jnp.asarray(arguments[0]))


@contender("JAX jit", "ba", start=jax_numpy, read=flat_blocks, compiles=True)
def jax_ba(problem: Problem) -> Bind:
    """Use jit of vmap of jacrev of the same formulas; `where` stands in place of the branch."""
    jax, jnp = jax_numpy()

    def rotated(r: Any, x: Any) -> Any:
        square = r @ r
        still = square == 0.0
        angle = jnp.sqrt(jnp.where(still, 1.0, square))
        axis = r / angle
        along = (axis @ x) * (1.0 - jnp.cos(angle))
        moved = x * jnp.cos(angle) + jnp.cross(axis, x) * jnp.sin(angle) + axis * along
        return jnp.where(still, x + jnp.cross(r, x), moved)

    def error(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        seen = rotated(camera[:3], point - camera[3:6])
        flat = seen[:2] / seen[2]
        square = flat @ flat
        scale = 1.0 + camera[9] * square + camera[10] * square * square
        return weight * (flat * scale * camera[6] + camera[7:9] - feature)

    function = jax.jit(jax.vmap(jax.jacrev(error, argnums=(0, 1, 2))))

    return lambda arguments: jax_step(function, *map(jnp.asarray, arguments))


@contender("JAX jit", "lstm", start=jax_numpy, compiles=True)
def jax_lstm(problem: Problem) -> Bind:
    """Use lax.scan over characters; take the units of a layer at once."""
    jax, jnp = jax_numpy()
    sequence, initial = (jnp.asarray(problem.given[name]) for name in ("sequence", "state"))

    def loss(parameters: Any) -> Any:
        main, extra = parameters

        def advance(state: Any, pair: Any) -> Any:
            x = pair[0] * extra[0]
            for layer in range(0, len(main), 2):
                hidden, cell = state[layer], state[layer + 1]
                gates = jnp.concatenate((x, hidden, x, hidden)) * main[layer] + main[layer + 1]
                forget, ingate, outgate, change = jnp.split(gates, 4)
                cell = cell * jax.nn.sigmoid(forget) + jax.nn.sigmoid(ingate) * jnp.tanh(change)
                x = jax.nn.sigmoid(outgate) * jnp.tanh(cell)
                state = state.at[layer].set(x).at[layer + 1].set(cell)
            predicted = x * extra[1] + extra[2]
            return state, (pair[1] * (predicted - jnp.log(jnp.exp(predicted).sum() + 2.0))).sum()

        _, totals = jax.lax.scan(advance, initial, (sequence[:-1], sequence[1:]))
        return -totals.sum() / sequence[1:].size

    function = jax.jit(jax.value_and_grad(loss))
    return lambda arguments: jax_step(function, tuple(map(jnp.asarray, arguments)))


@contender("JAX jit", "options", start=jax_numpy, compiles=True)
def jax_options(problem: Problem) -> Bind:
    """Use jit of vmap of grad, twice for gamma."""
    jax, jnp = jax_numpy()

    def cdf(x: Any) -> Any:
        return 0.5 * jax.lax.erfc(x * -math.sqrt(0.5))

    def price(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        spread = v * jnp.sqrt(t)
        upper = (jnp.log(s / k) + r * t) / spread + 0.5 * spread
        return s * cdf(upper) - k * jnp.exp(-r * t) * cdf(upper - spread)

    def greeks(*arguments: Any) -> Any:
        found, first = jax.value_and_grad(price, argnums=(0, 2, 3, 4))(*arguments)
        return found, *first, jax.grad(jax.grad(price))(*arguments)

    function = jax.jit(jax.vmap(greeks))
    return lambda arguments: jax_step(function, *map(jnp.asarray, arguments))


@contender("JAX jit", "pendulum", start=jax_numpy, compiles=True)
def jax_pendulum(problem: Problem) -> Bind:
    """Use lax.scan over steps, mapped over rows."""
    jax, jnp = jax_numpy()
    steps, step = problem.given["steps"], problem.given["step"]

    def final(angle: Any, speed: Any, length: Any) -> Any:
        pull = -0.5 * step * GRAVITY / length

        def advance(state: Any, _: Any) -> Any:
            angle, speed = state
            middle = speed + pull * jnp.sin(angle)
            angle = angle + step * middle
            return (angle, middle + pull * jnp.sin(angle)), None

        return jax.lax.scan(advance, (angle, speed), None, length=steps)[0][0]

    function = jax.value_and_grad(final, argnums=(0, 1, 2))
    function = jax.jit(function if problem.mode == "call" else jax.vmap(function))
    return lambda arguments: jax_step(function, *map(jnp.asarray, arguments))


@contender("JAX jit", "call", start=jax_numpy, compiles=True)
def jax_call(problem: Problem) -> Bind:
    """Use jit of the formula."""
    jax, jnp = jax_numpy()
    function = jax.jit(lambda x, y: jnp.sin(x) * y + x / y)
    return lambda arguments: jax_step(function, *arguments)
