"""A page that trains a small network by itself: its steps are the JavaScript of the compiled program."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from nodegrad.data import Samples, make_circles, make_moons, make_spirals, make_xor
from nodegrad.functions import dot
from nodegrad.inputs import described, listed, one_of, whole
from nodegrad.nn.layers import MLP, activations
from nodegrad.nn.losses import binary_cross_entropy_with_logits, chosen_loss
from nodegrad.optim import OPTIMIZERS, Optimizer
from nodegrad.show import palette
from nodegrad.show.players.graph import player
from nodegrad.show.players.page import Page, build, packed
from nodegrad.show.players.training import MARGIN
from nodegrad.show.ranges import padded, spread
from nodegrad.show.snapshot import parameter_names
from nodegrad.training.problem import check_loss
from nodegrad.transforms import value_and_grad
from nodegrad.value import Value

__all__ = ["Playground", "playground"]

MOST = 1000  # parameters or rows that a page can show and train smoothly
# Learning rates that move a network within seconds, at a step a frame; Adam's usual 0.001 hardly shows.
_RATES = {"sgd": 0.01, "adam": 0.03, "adamw": 0.03, "rmsprop": 0.01}
_WAYS = 16  # different targets that the loss is recorded for
_CHOICES = ("tanh", "relu", "sigmoid", "sin", "linear")

Function = Callable[[Any], Any]


class Playground(Page):
    """A page that trains: `.save("playground.html")`, or let a notebook show it.

    >>> import nodegrad as ng
    >>> X, y = ng.data.make_line(10, seed=1)
    >>> ng.playground(ng.nn.MLP(1, [1], seed=1), X, y).html.startswith("<!doctype html>")
    True
    """


def playground(
    model: Any,
    X: Any,
    y: Any,
    loss: str | Callable[[Any, Any], Value] = "mean_squared_error",
    optimizer: str | Optimizer = "adam",
    *,
    inputs: tuple[int, int] = (0, 1),
    title: str = "A network that trains in this page",
) -> Playground:
    """Make a page that trains an MLP of one output by itself; the reader can watch it and change everything.

    It shows the network as circles joined by lines (their width and colour show the weight), the output of
    each neuron over the plane, the output of the network, and the loss. Learning rate, batch size,
    activation, noise and data can be changed while it trains; a click on a line chooses its weight, a click
    on a neuron plays its graph. The steps are those of `fit`, compiled and written in JavaScript: the page
    needs no server and no network.

    >>> import nodegrad as ng
    >>> X, y = ng.data.make_moons(40, seed=1)
    >>> page = playground(ng.nn.MLP(2, [4, 1], activation="tanh", seed=1), X, y)
    >>> page.save("playground.html").name
    'playground.html'

    Args:
        model: an MLP of one output and up to 1,000 parameters.
        X: up to 1,000 rows of inputs.
        y: a target for each row, one number.
        loss: the name of a loss in `nodegrad.nn`, or a function of a prediction and a target.
        optimizer: "sgd" or "rmsprop" at a learning rate of 0.01, "adam" or "adamw" at one of 0.03 that shows
            within seconds; or an optimizer of all the model's parameters in one group. The page goes on from
            the steps that it has taken; of a schedule, it keeps the next rate.
        inputs: which two inputs the plane shows, if there are more; the others stay at their mean.
        title: the heading of the page.

    Raises:
        TypeError: if the model is not an MLP.
        ValueError: for a model that is too large, has several outputs or frozen layers; for several targets
            in a row; for an unknown loss or optimizer, an optimizer of other parameters, or a loss that
            depends on none of them.
    """
    network = _Network(model)
    rows = [(_numbers(row), *_numbers(target)) for row, target in Samples(X, y, "playground")]
    if len(rows[0]) > 2:
        raise ValueError(f"playground takes y as one number for each row; got {len(rows[0]) - 1}.")
    if len(rows) > MOST or len(network.parameters) > MOST:
        raise ValueError(
            f"playground shows up to {MOST:,} rows and parameters; got {len(rows):,} and "
            f"{len(network.parameters):,}. Give it some of the rows, or a smaller network."
        )
    error = chosen_loss("playground", loss)
    rule = _rule(optimizer, network.parameters)
    width = network.sizes[0]
    chosen = listed("playground", "inputs", inputs if width > 1 else [0], "two numbers of inputs")
    shown = [whole("playground", "each of inputs", at, least=0) for at in chosen]
    if len({*shown}) != min(2, width) or not all(0 <= at < width for at in shown):
        raise ValueError(f"playground: inputs are two of the {width} inputs, counted from 0; got {inputs}.")
    numbers = [p.data for p in network.parameters]
    different = {float(target): row for row, target in rows}  # a loss may take a branch for each target
    for target, row in different.items():
        output = network.outputs(network.parameters, row, network.function)[-1][0]
        check_loss("playground", error(output, target), network.parameters)  # which refuses some targets
    examples = [(numbers, row, target) for target, row in different.items()]
    kinds = {network.activation: network.function, **{name: activations()[name] for name in _CHOICES}}
    update, kept = _update(rule, network.parameters)
    written = "\n".join([palette.script(), *_programs(network, kinds, error, examples[:_WAYS]), update])
    pages = [network.play(layer) for layer in range(len(network.sizes) - 1)]
    spans = [padded([row[at] for row, _ in rows], MARGIN) for at in shown]
    data = {
        "sizes": network.sizes,
        "places": network.places,
        "names": parameter_names(network.parameters),
        "parameters": numbers,
        "rows": [row for row, _ in rows],
        "targets": [float(target) for _, target in rows],
        "sets": _sets(spans, [float(target) for _, target in rows]) if width < 3 else {},
        "shown": shown,
        "spans": spans,
        "activations": list(kinds),
        "logits": error is binary_cross_entropy_with_logits,
        "rate": rule.rate,
        "kept": kept,
        "pages": [packed(page.html) for page in pages],
    }
    scripts = ("transport", "canvas", "playground")
    return Playground(build("playground", title, data, scripts, written=written, inside=pages), title)


def _numbers(entry: Any) -> list[Any]:
    return entry if isinstance(entry, list) else [entry]


class _Network:
    """An MLP as functions of its parameters, so that the page can hold them."""

    def __init__(self, model: Any) -> None:
        if not isinstance(model, MLP):
            raise TypeError(f"playground takes a model made by nodegrad.nn.MLP; got {described(model)}.")
        self.model, self.parameters = model, model.parameters()
        if len(self.parameters) < len(list(model.named_parameters())):
            raise ValueError("playground trains all layers; some are frozen. Call freeze(False) first.")
        neurons = [layer.neurons for layer in model.layers]
        self.sizes = [len(neurons[0][0].w), *map(len, neurons)]
        if self.sizes[-1] != 1:
            raise ValueError(f"playground takes a model of one output; this one has {self.sizes[-1]}.")
        place = {parameter: at for at, parameter in enumerate(self.parameters)}
        # For each neuron: the places of its weights, and that of its bias or None.
        self.places: list[list[tuple[list[int], int | None]]] = [
            [([place[w] for w in each.w], None if each.b is None else place[each.b]) for each in layer]
            for layer in neurons
        ]
        first = neurons[0][0]
        self.activation = first.name if len(neurons) > 1 else "linear"
        self.function: Function = first.activation if len(neurons) > 1 else activations()["linear"]
        self.last: Function = neurons[-1][0].activation

    def outputs(self, parameters: Sequence[Any], row: Sequence[Any], function: Function) -> list[list[Any]]:
        """Return the outputs of the neurons, layer by layer."""
        said: list[list[Any]] = []
        for layer in self.places:
            before = said[-1] if said else list(row)
            kind = self.last if len(said) == len(self.places) - 1 else function
            sums = [(dot([parameters[at] for at in weights], before), bias) for weights, bias in layer]
            said.append([kind(x if bias is None else x + parameters[bias]) for x, bias in sums])
        return said

    def play(self, layer: int) -> Page:
        """Return the player of a neuron of a layer; the page fills in the numbers of the one clicked."""
        neuron = self.model.layers[layer].neurons[0]
        inputs = [Value(0.5, label=f"x[{at}]") for at in range(len(neuron.w))]
        weights = [Value(w.data, label=f"w[{at}]") for at, w in enumerate(neuron.w)]
        bias = None if neuron.b is None else Value(neuron.b.data, label="b")
        total = dot(weights, inputs)
        out = neuron.activation(total if bias is None else total + bias)
        out.label = "out"
        return player(out, title="One neuron, forward and backward")


def _rule(optimizer: str | Optimizer, parameters: list[Value]) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        if len(optimizer.groups) > 1 or set(optimizer.parameters) != set(parameters):
            raise ValueError(
                "playground takes an optimizer of all the model's parameters, in one group: the page has one "
                "rate."
            )
        return optimizer
    name = one_of("playground", "optimizer", optimizer, OPTIMIZERS)
    return OPTIMIZERS[name](parameters, _RATES[name])


def _programs(network: _Network, kinds: dict[str, Function], error: Any, examples: list[Any]) -> list[str]:
    """Write, for each activation, a step (loss and gradient of a row) and the output of every neuron."""
    parts = []
    for function in kinds.values():

        def step(parameters: Any, row: Any, target: Any, function: Function = function) -> Any:
            return error(network.outputs(parameters, row, function)[-1][0], target)

        def said(parameters: Any, row: Any, function: Function = function) -> Any:
            return [x for layer in network.outputs(parameters, row, function) for x in layer]

        forward = _run(said, examples[0][:2])
        parts.append(f"{{ step: {_run(value_and_grad(step), *examples)}, said: {forward} }}")
    return [f"const PROGRAMS = [{', '.join(parts)}];"]


def _update(rule: Optimizer, parameters: list[Value]) -> tuple[str, list[float]]:
    """Write the update rule: a parameter, its gradient, its state and the rate to the parameter and state.

    Returns:
        The rule, and the state of every parameter, one after the other.
    """
    first = rule.rule(1.0, 0.5, (), rate=0.1)
    zeros = tuple([0.0 for _ in first[1]])
    if rule.rule(1.0, 0.5, zeros, rate=0.1) != first:
        raise ValueError(
            f"playground: the first step of {type(rule).__name__} differs from one with a state of zeros, "
            "from which the page starts. Write its rule so that they are alike."
        )
    states = dict(zip(rule.parameters, rule.states, strict=True))
    kept = [float(number) for parameter in parameters for number in states[parameter] or zeros]

    def update(parameter: Any, gradient: Any, state: Any, rate: Any) -> Any:
        number, after = rule.rule(parameter, gradient, tuple(state), rate=rate)
        return [number, *after]

    run = _run(update, (1.0, 0.5, list(zeros), 0.1))
    return f"const UPDATE = {run};\nconst KEPT = {len(zeros)};", kept


def _run(function: Callable[..., Any], *examples: Any) -> str:
    """Compile a function for examples, and write it as an expression: the JavaScript run(x, p, out)."""
    from nodegrad.compiler import compile

    compiled = compile(function)
    for arguments in examples:
        compiled(*arguments)
    code = compiled.source("js", "f")
    code = re.sub(r"^//.*\n", "", code[: code.index("\nexport {")], flags=re.MULTILINE)
    return f"(() => {{\n{code}\nreturn run;\n}})()"


def _sets(spans: list[tuple[float, float]], targets: list[float]) -> dict[str, Any]:
    """Return other data over the same line or plane, with targets in the same range."""
    found: dict[str, Any] = {}
    low, high = min(targets), max(targets)
    if len(spans) == 1:
        shares = spread((0.0, 1.0), 41)
        curves: dict[str, Function] = {
            "line": lambda share: share,
            "wave": lambda share: 0.5 + 0.5 * math.sin(7.0 * share),
            "step": lambda share: float(share > 0.5),
        }
        rows = [[x] for x in _moved(shares, spans[0])]
        for name, curve in curves.items():
            found[name] = {"rows": rows, "targets": [low + (high - low) * curve(share) for share in shares]}
        return found
    for make in (make_moons, make_circles, make_xor, make_spirals):
        X, labels = make(min(len(targets), 200), noise=0.0, seed=1)
        columns = map(_moved, zip(*X, strict=True), spans)
        rows = [list(row) for row in zip(*columns, strict=True)]
        name = make.__name__.removeprefix("make_")
        found[name] = {"rows": rows, "targets": [high if label > 0 else low for label in labels]}
    return found


def _moved(numbers: Sequence[float], span: tuple[float, float]) -> list[float]:
    """Move numbers into a range, with the margin that the pictures leave."""
    low, high = padded(numbers, MARGIN)
    return [span[0] + (x - low) / (high - low) * (span[1] - span[0]) for x in numbers]
