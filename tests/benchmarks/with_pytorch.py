"""PyTorch: eager tensors over the whole batch, with two threads and with one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from benchmarks.contenders import Bind, Build, Repeated, Step, Training, contender, flat_blocks, flat_layers
from benchmarks.problems import GRAVITY, Problem, triangle, wishart_constant


@cache
def library() -> Any:
    """Load PyTorch in double precision, and take a step of training."""
    import torch

    torch.set_default_dtype(torch.float64)
    parameter = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    parameter.square().sum().backward()
    optimizer.step()
    return torch


@dataclass
class Threaded:
    """Steps that are taken with a number of threads."""

    steps: Any
    threads: int

    def result(self) -> Any:
        """Take the steps that show the result."""
        library().set_num_threads(self.threads)
        return self.steps.result()

    def seconds(self, count: int) -> float:
        """Measure the seconds that `count` steps take."""
        library().set_num_threads(self.threads)
        found: float = self.steps.seconds(count)
        return found


def pytorch(family: str, **settings: Any) -> Callable[[Build], Build]:
    """Register a solver twice: with 2 threads, and with 1, which is faster when the machine is busy."""

    def register(build: Build) -> Build:
        for name, threads in (("PyTorch", 2), ("PyTorch, 1 thread", 1)):
            contender(name, family, start=library, **settings)(threaded(build, threads))
        return build

    return register


def threaded(build: Build, threads: int) -> Build:
    """Build the solver, and set the number of threads before each turn."""

    def built(problem: Problem) -> Bind:
        bind = build(problem)

        def bound(arguments: tuple[Any, ...]) -> Threaded:
            step = bind(arguments)
            return Threaded(step if hasattr(step, "result") else Repeated(step), threads)

        return bound

    return built


def torch_model(problem: Problem) -> Any:
    """Make the same network of torch.nn."""
    torch = library()
    kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    parts: list[Any] = []
    for W, b in problem.given["layers"]:
        layer = torch.nn.Linear(W.shape[1], W.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(W))
            layer.bias.copy_(torch.tensor(b))
        parts += [layer, kinds[problem.given["activation"]]()]
    return torch.nn.Sequential(*parts[:-1])


def torch_loss(problem: Problem, arguments: tuple[Any, ...]) -> tuple[Any, Callable[[], Any]]:
    """Return the network and the function that computes its loss and gradient."""
    torch = library()
    model = torch_model(problem)
    X, Y = (torch.tensor(x) for x in arguments)
    Y = Y.reshape(len(X), -1)

    def loss() -> Any:
        model.zero_grad()
        loss = torch.nn.functional.mse_loss(model(X), Y)
        loss.backward()
        return loss

    return model, loss


def torch_layers(model: Any, gradient: bool) -> list[Any]:
    """Return weights and biases of each layer, or their gradients."""
    numbers = [(p.grad if gradient else p.detach()) for p in model.parameters()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@pytorch("mlp", read=flat_layers)
def torch_mlp(problem: Problem) -> Bind:
    """Use torch.nn.Sequential, mse_loss and backward."""

    def bind(arguments: tuple[Any, ...]) -> Step:
        model, loss = torch_loss(problem, arguments)
        return lambda: (loss().item(), torch_layers(model, gradient=True))

    return bind


@pytorch("fit", read=flat_layers)
def torch_fit(problem: Problem) -> Bind:
    """Add the step of torch.optim.SGD."""
    torch = library()

    def bind(arguments: tuple[Any, ...]) -> Step:
        model, loss = torch_loss(problem, arguments)
        optimizer = torch.optim.SGD(model.parameters(), lr=problem.given["learning_rate"])

        def step() -> None:
            loss()
            optimizer.step()

        return Training(step, lambda: torch_layers(model, gradient=False))

    return bind


def torch_rms_norm(x: Any) -> Any:
    """Scale vectors to a root mean square of 1."""
    return x * (x.square().mean(-1, keepdim=True) + 1e-5) ** -0.5


@pytorch("gpt")
def torch_gpt(problem: Problem) -> Bind:
    """Write the transformer over a batch of token numbers."""
    torch = library()
    p = {name: torch.tensor(x, requires_grad=True) for name, x in problem.given["arrays"].items()}
    heads = problem.given["heads"]

    def split(x: Any) -> Any:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    def bind(arguments: tuple[Any, ...]) -> Step:
        tokens, targets = (torch.tensor(x).argmax(-1) for x in arguments)

        def step() -> Any:
            for parameter in p.values():
                parameter.grad = None
            x = torch_rms_norm(p["embedding"].T[tokens] + p["position"])
            normal = torch_rms_norm(x)
            query, key, value = (split(normal @ p[name].T) for name in ("query", "key", "value"))
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + mixed.transpose(1, 2).flatten(2) @ p["out"].T
            x = x + torch.relu(torch_rms_norm(x) @ p["up"].T) @ p["down"].T
            logits = (x @ p["logits"].T).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, targets.flatten())
            loss.backward()
            return [loss.detach(), [parameter.grad for parameter in p.values()]]

        return step

    return bind


@pytorch("gmm")
def torch_gmm(problem: Problem) -> Bind:
    """Take all points and components at once."""
    torch = library()
    alphas, means, factors = (torch.tensor(x, requires_grad=True) for x in problem.given["arrays"])
    k, d = means.shape
    gamma, m, rows = (problem.given[name] for name in ("gamma", "m", "rows"))
    below = triangle(d)
    constant = wishart_constant(d, gamma, m)

    def bind(arguments: tuple[Any, ...]) -> Step:
        X = torch.tensor(arguments[0])

        def step() -> Any:
            for parameter in (alphas, means, factors):
                parameter.grad = None
            diagonal, sums = torch.exp(factors[:, :d]), factors[:, :d].sum(1)
            L = torch.diag_embed(diagonal)
            L[:, below[0], below[1]] = factors[:, d:]
            scaled = torch.einsum("kij,nkj->nki", L, X[:, None] - means)
            terms = alphas + sums - 0.5 * scaled.square().sum(-1)
            squares = diagonal.square().sum() + factors[:, d:].square().sum()
            prior = 0.5 * gamma * gamma * squares - m * sums.sum() - k * constant
            likelihood = torch.logsumexp(terms, 1).mean() - torch.logsumexp(alphas, 0)
            total = likelihood - 0.5 * d * math.log(2.0 * math.pi) + prior / rows
            total.backward()
            return [total.detach(), [alphas.grad, means.grad, factors.grad]]

        return step

    return bind


@pytorch("ba", read=flat_blocks)
def torch_ba(problem: Problem) -> Bind:
    """Use vmap of jacrev of the same formulas; `where` stands in place of the branch."""
    torch = library()

    def rotated(r: Any, x: Any) -> Any:
        square = r.dot(r)
        still = square == 0.0
        angle = torch.sqrt(torch.where(still, 1.0, square))
        axis = r / angle
        along = axis.dot(x) * (1.0 - torch.cos(angle))
        moved = x * torch.cos(angle) + torch.linalg.cross(axis, x) * torch.sin(angle) + axis * along
        return torch.where(still, x + torch.linalg.cross(r, x), moved)

    def error(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        seen = rotated(camera[:3], point - camera[3:6])
        flat = seen[:2] / seen[2]
        square = flat.dot(flat)
        scale = 1.0 + camera[9] * square + camera[10] * square * square
        return weight * (flat * scale * camera[6] + camera[7:9] - feature)

    jacobian = torch.func.vmap(torch.func.jacrev(error, argnums=(0, 1, 2)))

    def bind(arguments: tuple[Any, ...]) -> Step:
        data = [torch.tensor(x) for x in arguments]
        return lambda: jacobian(*data)

    return bind


@pytorch("lstm")
def torch_lstm(problem: Problem) -> Bind:
    """Loop over characters and layers; take the units of a layer at once."""
    torch = library()
    sequence, initial = (torch.tensor(problem.given[name]) for name in ("sequence", "state"))

    def loss(main: Any, extra: Any) -> Any:
        state, total = list(initial), 0.0
        for now, following in pairwise(sequence):
            x = now * extra[0]
            for layer in range(0, len(main), 2):
                hidden, cell = state[layer], state[layer + 1]
                gates = torch.cat((x, hidden, x, hidden)) * main[layer] + main[layer + 1]
                forget, ingate, outgate, change = gates.chunk(4)
                cell = cell * torch.sigmoid(forget) + torch.sigmoid(ingate) * torch.tanh(change)
                x = torch.sigmoid(outgate) * torch.tanh(cell)
                state[layer], state[layer + 1] = x, cell
            predicted = x * extra[1] + extra[2]
            total = total + (following * (predicted - torch.log(torch.exp(predicted).sum() + 2.0))).sum()
        return -total / sequence[1:].numel()

    def bind(arguments: tuple[Any, ...]) -> Step:
        main, extra = (torch.tensor(x, requires_grad=True) for x in arguments)

        def step() -> Any:
            main.grad = extra.grad = None
            found = loss(main, extra)
            found.backward()
            return [found.detach(), main.grad, extra.grad]

        return step

    return bind


@pytorch("options")
def torch_options(problem: Problem) -> Bind:
    """Use autograd.grad, twice for gamma."""
    torch = library()

    def cdf(x: Any) -> Any:
        return 0.5 * torch.erfc(x * -math.sqrt(0.5))

    def price(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        spread = v * torch.sqrt(t)
        upper = (torch.log(s / k) + r * t) / spread + 0.5 * spread
        return s * cdf(upper) - k * torch.exp(-r * t) * cdf(upper - spread)

    def bind(arguments: tuple[Any, ...]) -> Step:
        s, k, t, r, v = (torch.tensor(x, requires_grad=index != 1) for index, x in enumerate(arguments))

        def step() -> Any:
            prices = price(s, k, t, r, v)
            first = torch.autograd.grad(prices.sum(), (s, t, r, v), create_graph=True)
            (gamma,) = torch.autograd.grad(first[0].sum(), s)
            return [x.detach() for x in (prices, *first, gamma)]

        return step

    return bind


@pytorch("pendulum")
def torch_pendulum(problem: Problem) -> Bind:
    """Loop over steps on tensors of all rows."""
    torch = library()
    steps, step = problem.given["steps"], problem.given["step"]

    def bind(arguments: tuple[Any, ...]) -> Step:
        inputs = [torch.tensor(x, requires_grad=True) for x in arguments]

        def run() -> Any:
            angle, speed, length = inputs
            pull = -0.5 * step * GRAVITY / length
            for _ in range(steps):
                middle = speed + pull * torch.sin(angle)
                angle = angle + step * middle
                speed = middle + pull * torch.sin(angle)
            return [angle.detach(), list(torch.autograd.grad(angle.sum(), inputs))]

        return run

    return bind
