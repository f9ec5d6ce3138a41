"""The contenders: nodegrad, and what else solves the problems, each written as its users write it.

A contender builds a solver of a problem, which binds arguments to a step: a function without arguments
that does the work once. Data are converted when they are bound, so that a step costs what the library costs.
All is float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from threading import Semaphore, Thread
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.problems import Problem, mlp

Step = Callable[[], Any]
Bind = Callable[[tuple[Any, ...]], Any]  # to a Step, or to an object with result() and seconds(count)
Build = Callable[[Problem], Bind]

OURS, RELU = "nodegrad", "nodegrad, relu instead"
BY_SWEEP, BY_BACKWARD = "nodegrad, not compiled", "nodegrad, not compiled, backward()"
REGISTRY: dict[str, dict[str, "Contender"]] = {}  # family of problems -> name -> contender


@dataclass(frozen=True)
class Contender:
    """One way to solve the problems of a family.

    Attributes:
        name: what the table calls it.
        start: loads the library, and what it loads on first use; raises ImportError where it is missing.
        build: makes the solver of a problem; its seconds and those of the first step are compile time.
        most: the largest work (scalar operations per step) it is asked to do, so that a run ends.
        graph: the largest work of one row.
        read: turns a result into one array of values and derivatives, in nodegrad's order.
        same: whether it solves the same problem, and not a similar one to be compared with.
        compiles: whether it compiles, so that the time until its first result is worth telling.
    """

    name: str
    start: Callable[[], Any]
    build: Build
    most: float
    graph: float
    read: Callable[[Any], np.ndarray]
    same: bool = True
    compiles: bool = False


ROWS_FIRST = ("ba", "options", "pendulum")  # families whose results have rows


def flat(tree: Any, rows: bool = False) -> np.ndarray:
    """List the numbers of a result, output by output; with `rows`, the first axis of arrays is rows."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return np.concatenate([flat(inner, rows) for inner in tree])
    if hasattr(tree, "apply_op"):
        tree = tree.data
    array = np.asarray(tree, float)
    return np.moveaxis(array, 0, -1).ravel() if rows and array.ndim > 1 else array.ravel()


def flat_rows(tree: Any) -> np.ndarray:
    """List the numbers of a result whose arrays have rows."""
    return flat(tree, rows=True)


def flat_layers(result: Any) -> np.ndarray:
    """List a loss and the gradients of layers, which are weights (outputs × inputs) and biases."""
    loss, layers = result
    parts = [np.column_stack([np.asarray(W), np.asarray(b)]).ravel() for W, b in layers]
    return np.concatenate([[float(loss)], *parts])


def flat_blocks(blocks: Any) -> np.ndarray:
    """List Jacobians by each argument, (rows, outputs, inputs): all arguments of the first output first."""
    arrays = [np.asarray(block) for block in blocks]
    return flat_rows([[array[:, index] for array in arrays] for index in range(2)])


def contender(
    name: str,
    *families: str,
    start: Callable[[], Any] = lambda: None,
    most: float = math.inf,
    graph: float = math.inf,
    read: Callable[[Any], np.ndarray] | None = None,
    same: bool = True,
    compiles: bool = False,
) -> Callable[[Build], Build]:
    """Register a function that builds a solver."""

    def register(build: Build) -> Build:
        for family in families:
            reader = read or (flat_rows if family in ROWS_FIRST else flat)
            found = Contender(name, start, build, most, graph, reader, same, compiles)
            REGISTRY.setdefault(family, {})[name] = found
        return build

    return register


# nodegrad.

COMPILED = ("mlp", "gpt", "gmm", "ba", "lstm", "options", "pendulum", "call")


@cache
def start(backend: str = "auto") -> None:
    """Load the compiler."""
    import nodegrad as ng

    ng.compile(lambda x: x * x, backend=backend)(1.0)


def compiled(problem: Problem, **options: Any) -> Bind:
    """Compile the function of the problem, and run it on one row, so that it is recorded."""
    import nodegrad as ng

    function = ng.compile(problem.function, **options)

    def bind(arguments: tuple[Any, ...]) -> Step:
        if problem.mode == "call":
            return lambda: function(*arguments)
        if problem.mode == "map":
            return lambda: function.map(*arguments)
        return lambda: function.map(*arguments, reduce=problem.mode)

    first = next(iter(problem.arguments.values()))
    bind(first if problem.mode == "call" else tuple(x[:1] for x in first))()
    return bind


@contender(OURS, *COMPILED, start=start, compiles=True)
def nodegrad_compiled(problem: Problem) -> Bind:
    """Compile with the default backend."""
    return compiled(problem)


@contender(RELU, "mlp", start=start, same=False, compiles=True)
def nodegrad_relu(problem: Problem) -> Bind:
    """Compile the network with relu in place of its activation, to see what that costs."""
    layers = problem.given["layers"]
    if problem.given["activation"] == "relu" or problem.mode != "mean":
        raise NotImplementedError("is a network of relu, or no network by itself")
    sizes = [layers[0][0].shape[1], *[len(b) for _, b in layers]]
    return compiled(replace(problem, function=mlp(sizes, "relu", []).function))


@contender("nodegrad, NumPy backend", *COMPILED, start=partial(start, "numpy"), graph=350_000, compiles=True)
def nodegrad_numpy(problem: Problem) -> Bind:
    """Compile for NumPy, which is what runs where there is no llvmlite."""
    return compiled(problem, backend="numpy")


@contender(BY_SWEEP, *COMPILED, most=300_000)
def nodegrad_eager(problem: Problem) -> Bind:
    """Run the function as it stands, by `value_and_grad`, a row at a time."""

    def bind(arguments: tuple[Any, ...]) -> Step:
        if problem.mode == "call":
            return lambda: problem.function(*arguments)
        rows = [tuple(x.tolist() for x in row) for row in zip(*arguments, strict=True)]

        def step() -> Any:
            numbers = np.array([flat(problem.function(*row)) for row in rows])
            return numbers.mean(axis=0) if problem.mode == "mean" else numbers

        return step

    return bind


@contender(BY_BACKWARD, "mlp", most=300_000)
def nodegrad_backward(problem: Problem) -> Bind:
    """Compute the loss of the whole batch, as micrograd's users do, and call `backward`."""
    model, loss = problem.given["model"], problem.given["loss"]

    def bind(arguments: tuple[Any, ...]) -> Step:
        X, Y = (x.tolist() for x in arguments)

        def step() -> Any:
            model.zero_grad()
            found = loss([model(x) for x in X], Y)
            found.backward()
            return [found.data, [p.grad for p in model.parameters()]]

        return step

    return bind


@dataclass
class Repeated:
    """A step that is the same each time."""

    step: Step

    def result(self) -> Any:
        """Take the step and return its result."""
        return self.step()

    def seconds(self, count: int) -> float:
        """Measure the seconds that `count` steps take."""
        start = perf_counter()
        for _ in range(count):
            self.step()
        return perf_counter() - start


@dataclass
class Training(Repeated):
    """A step that changes parameters."""

    parameters: Callable[[], Any]

    def result(self) -> Any:
        """Take three steps and return the parameters."""
        for _ in range(3):
            self.step()
        return [0.0, self.parameters()]


class Fit:
    """A training by `fit` that pauses between turns: its learning rate is a schedule, which waits.

    So the fixed cost of a training (checks, compilation, writing parameters back) is not part of a step. It
    waits only between native calls, when fit asks for the first rate again, to see that it stays: a native
    call asks for the rates of all its steps before it takes them.
    """

    def __init__(self, problem: Problem, arguments: tuple[Any, ...]) -> None:
        self.problem, self.arguments = problem, arguments
        self.wanted = self.taken = 0  # steps to take before waiting, and those taken
        self.step = -1  # the latest step
        self.started = self.stopped = 0.0
        self.go, self.held = Semaphore(0), Semaphore(0)

    def train(self, steps: int, learning_rate: Any) -> Any:
        """Train a fresh model and return its parameters."""
        import nodegrad as ng

        model = self.problem.function()
        settings: dict[str, Any] = {"epochs": steps, "patience": None, "progress": False, "compile": True}
        ng.fit(model, *self.arguments, optimizer="sgd", learning_rate=learning_rate, **settings)
        return model.parameters()

    def result(self) -> Any:
        """Return the parameters after three steps of a training, and begin another, to be timed."""
        rate = self.problem.given["learning_rate"]
        found = self.train(3, rate)
        Thread(target=self.train, args=(10**9, self.rate), daemon=True).start()
        self.held.acquire()
        return [0.0, found]

    def rate(self, step: int) -> float:
        """Return the learning rate; that of the first step again when it is this training's turn."""
        if step > self.step:
            self.step = step
            self.taken += 1
        elif not step and self.taken >= self.wanted:
            self.stopped = perf_counter()
            self.held.release()
            self.go.acquire()
            self.started = perf_counter()
        return float(self.problem.given["learning_rate"])

    def seconds(self, count: int) -> float:
        """Measure the seconds that `count` steps take; at least those of one native call are taken."""
        self.wanted, self.taken = count, 0
        self.go.release()
        self.held.acquire()
        return (self.stopped - self.started) * count / self.taken


@contender(OURS, "fit", start=start, compiles=True)
def nodegrad_fit(problem: Problem) -> Bind:
    """Train with `fit`, which compiles by itself."""
    return lambda arguments: Fit(problem, arguments)
