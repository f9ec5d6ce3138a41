"""Layers: neurons, layers and networks of them, dropout, normalisation and embedding.

The file is long because each layer has its formula, its source and an example beside it.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

from nodegrad import functions, ops
from nodegrad.data import generator_for
from nodegrad.inputs import as_list, flag, function, in_range, is_bool, listed, one_of, plain, whole
from nodegrad.nn.module import Module
from nodegrad.value import Value, literal

__all__ = ["MLP", "Dropout", "Embedding", "Layer", "LayerNorm", "Neuron", "Sequential", "activations"]

Activation = str | Callable[[Any], Any] | bool | None
Seed = Any  # an int, a generator with a method `random`, or None

_COMPOSED = ("leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softsign", "log_sigmoid")
_EPSILON = 1e-5  # of LayerNorm
_RELU_LIKE = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish")
_ROWS = [ops.TABLE[name] for name in ops.__all__ if name != "identity"]  # which is called linear here
_NAMED = {name: getattr(functions, name) for name in _COMPOSED} | {"linear": ops.identity}
_NAMED |= {row.name: row for row in _ROWS if row.arity == 1 and not row.zero_derivative}
_KNOWN: dict[str, Callable[[Any], Any]] = dict(sorted(_NAMED.items()))


def activations() -> dict[str, Callable[[Any], Any]]:
    """Return the activations by name: the smooth operations of one operand and what is composed of them.

    >>> sorted(activations())[:4]
    ['abs', 'acos', 'acosh', 'asin']
    """
    return {**_KNOWN}


Init = TypeVar("Init", bound=Callable[..., None])


def _as_in_micrograd(**names: str) -> Callable[[Init], Init]:
    """Accept micrograd's names of arguments too: nin, nout, nouts, nonlin."""

    def decorate(init: Init) -> Init:
        @wraps(init)
        def taking_both(self: Module, *arguments: Any, **options: Any) -> None:
            for theirs in names.keys() & options.keys():
                if names[theirs] in options:
                    raise TypeError(f"{type(self).__name__} got both {theirs} and {names[theirs]}.")
                options[names[theirs]] = options.pop(theirs)
            init(self, *arguments, **options)

        return cast(Init, taking_both)

    return decorate


class Neuron(Module):
    """A weighted sum of the inputs plus a bias, passed through an activation: f(w·x + b).

    The weights `w` start uniform over ±√(6/n_inputs) for relu and similar ones (He et al. 2015), over
    ±√(6/(n_inputs + n_outputs)) for other activations (Glorot & Bengio 2010); the bias `b` starts at 0.

    >>> neuron = Neuron(2, activation="tanh", seed=1)
    >>> neuron
    TanhNeuron(2)
    >>> [w.label for w in neuron.w], neuron.b.label
    (['w[0]', 'w[1]'], 'b')
    >>> neuron([0.0, 0.0]).data
    0.0

    Args:
        n_inputs: the number of inputs.
        activation: a name (`activations()` has them), a function of one number, or None for linear; True and
            False stand for relu and linear, as micrograd's `nonlin` does.
        bias: whether there is a bias; without one `b` is None.
        seed: what the weights are drawn with: an int, a `random.Random`, or None for the global generator.
        n_outputs: the number of neurons in the layer, which the range of the weights depends on.

    Raises:
        ValueError: if the activation is unknown or a size is not positive.
    """

    @_as_in_micrograd(nin="n_inputs", nonlin="activation")
    def __init__(
        self,
        n_inputs: int,
        activation: Activation = "relu",
        *,
        bias: bool = True,
        seed: Seed = None,
        n_outputs: int = 1,
    ) -> None:
        size, outputs = whole("Neuron", "n_inputs", n_inputs), whole("Neuron", "n_outputs", n_outputs)
        self.activation = _function(activation)
        limit = math.sqrt(6.0 / (size if self.name in _RELU_LIKE else size + outputs))
        bias, generator = flag("Neuron", "bias", bias), generator_for(seed, "Neuron")
        self.w = [Value((2.0 * generator.random() - 1.0) * limit) for _ in range(size)]
        self.b = Value(0.0) if bias else None
        self._label("")

    @property
    def nonlin(self) -> bool:
        """Whether there is an activation, as micrograd has it."""
        return self.activation is not ops.identity

    @property
    def name(self) -> str:
        """The name of the activation."""
        own: str = getattr(self.activation, "__name__", type(self.activation).__name__)
        return next((name for name, known in _KNOWN.items() if known is self.activation), own)

    def forward(self, x: Any) -> Any:
        """Compute f(w·x + b) for a sequence of `n_inputs` numbers.

        Raises:
            ValueError: if the number of inputs is wrong.
        """
        return self._fire(_lifted(x, self, len(self.w)))

    def _fire(self, inputs: Sequence[Any], dot: Callable[[Sequence[Any]], Any] | None = None) -> Any:
        out = ops.dot(*self.w, *inputs) if dot is None else dot(self.w)
        if self.b is not None:
            out = out + self.b
        return out if self.activation is ops.identity else self.activation(out)

    def _label(self, place: str) -> None:
        """Name the parameters for pictures by their place in the model: `w[layer][neuron][input]`."""
        for index, weight in enumerate(self.w):
            weight.label = f"w{place}[{index}]"
        if self.b is not None:
            self.b.label = f"b{place}"

    def summary(self) -> str:
        """Describe the neuron in one line."""
        bias = "" if self.b is not None else ", bias=False"
        return f"{type(self).__name__}({len(self.w)}, activation={self.name!r}{bias})"

    def __repr__(self) -> str:
        name = self.name.title().replace("_", "").replace("Relu", "ReLU")
        return f"{name}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that share their inputs.

    >>> layer = Layer(2, 3, activation="sigmoid", seed=1)
    >>> layer
    Layer of [SigmoidNeuron(2), SigmoidNeuron(2), SigmoidNeuron(2)]
    >>> [out.data for out in layer([0.0, 0.0])]
    [0.5, 0.5, 0.5]

    The arguments are those of `Neuron`; `n_outputs` is the number of neurons.
    """

    @_as_in_micrograd(nin="n_inputs", nout="n_outputs", nonlin="activation")
    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activation: Activation = "relu",
        *,
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        generator, size = generator_for(seed, "Layer"), whole("Layer", "n_outputs", n_outputs)
        self.neurons = [
            Neuron(n_inputs, activation, bias=bias, seed=generator, n_outputs=size) for _ in range(size)
        ]
        self._label("")

    def forward(self, x: Any) -> Any:
        """Compute the outputs of all neurons: a list, or the number itself if there is only one.

        Raises:
            ValueError: if the number of inputs is wrong.
        """
        return _one_or_all(self._fire(_lifted(x, self)))

    @property
    def n_outputs(self) -> int:
        """The number of neurons."""
        return len(self.neurons)

    def _fire(self, inputs: Sequence[Any]) -> list[Any]:
        size = len(self.neurons[0].w)
        _check_count(inputs, self, size)
        shared = size > 1 and len(self.neurons) > 1  # otherwise there is nothing to save
        dot = Value.product_with(inputs) if shared else None
        return [
            neuron._fire(inputs, dot) if _is_own(neuron, Neuron) and len(neuron.w) == size else neuron(inputs)
            for neuron in self.neurons
        ]

    def _label(self, place: str) -> None:
        for index, neuron in enumerate(self.neurons):
            neuron._label(f"{place}[{index}]")

    def summary(self) -> str:
        """Describe the layer in one line."""
        first = self.neurons[0]
        bias = "" if first.b is not None else ", bias=False"
        return f"{type(self).__name__}({len(first.w)}, {self.n_outputs}, activation={first.name!r}{bias})"

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(repr, self.neurons))}]"


class _Chain(Module):
    """Modules in the attribute that `_holder` names; each is applied to what the one before returned."""

    _holder: str

    @property
    def n_outputs(self) -> int:
        """The number of outputs of the last module that tells it; otherwise 1."""
        told = [getattr(each, "n_outputs", 0) for each in vars(self)[self._holder]]
        return next(filter(None, reversed(told)), 1)


class MLP(_Chain):
    """A multi-layer perceptron: layers, each feeding the next.

    >>> model = MLP(2, [3, 1], activation="tanh", seed=1)
    >>> model
    MLP(2, [3, 1])
    >>> print(model)
    MLP of [Layer of [TanhNeuron(2), TanhNeuron(2), TanhNeuron(2)], Layer of [LinearNeuron(3)]]
    >>> len(model.parameters())
    13
    >>> model([0.0, 0.0]).data
    0.0

    Args:
        n_inputs: the number of inputs.
        sizes: the number of neurons in each layer, the output layer last.
        activation: that of every layer but the last.
        output_activation: that of the last layer; None for linear.
        bias: whether the neurons have a bias.
        seed: what the weights are drawn with; None for Python's global generator.

    Raises:
        ValueError: if an activation is unknown or a size is not positive.
    """

    _holder = "layers"

    @_as_in_micrograd(nin="n_inputs", nouts="sizes")
    def __init__(
        self,
        n_inputs: int,
        sizes: Sequence[int],
        activation: Activation = "relu",
        output_activation: Activation = None,
        *,
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        sizes = listed("MLP", "sizes", sizes, "a list such as [16, 16, 1]")
        generator = generator_for(seed, "MLP")
        if not sizes:
            raise ValueError("MLP takes sizes as a list such as [16, 16, 1]; got an empty one.")
        _function(activation)  # also where there is no hidden layer
        kinds = [activation] * (len(sizes) - 1) + [output_activation]
        self.layers = [
            Layer(before, size, kind, bias=bias, seed=generator)
            for before, size, kind in zip([n_inputs, *sizes], sizes, kinds, strict=False)
        ]
        self._label("")

    def forward(self, x: Any) -> Any:
        """Compute the outputs of the last layer: a list, or the number itself if there is only one.

        Raises:
            ValueError: if the number of inputs is wrong.
        """
        numbers = _lifted(x, self)
        for index, layer in enumerate(self.layers):
            if _is_own(layer, Layer):
                numbers = layer._fire(numbers)
            else:  # it takes what the layer before returns
                numbers = _lifted(layer(_one_or_all(numbers) if index else numbers), self)
        return _one_or_all(numbers)

    def _label(self, place: str) -> None:
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Layer):
                layer._label(f"{place}[{index}]")

    def summary(self) -> str:
        """Describe the model in one line: by its sizes, or by its layers if others were put in."""
        if not all(isinstance(layer, Layer) for layer in self.layers):
            return f"{type(self).__name__}({_names(self.layers)})"
        sizes = [layer.n_outputs for layer in self.layers]
        return f"{type(self).__name__}({len(self.layers[0].neurons[0].w)}, {sizes})"

    def __repr__(self) -> str:
        return self.summary()

    def __str__(self) -> str:
        return f"MLP of [{', '.join(map(repr, self.layers))}]"


class Sequential(_Chain):
    """Modules and functions, each applied to what the one before returned.

    >>> model = Sequential(Layer(2, 3, "tanh", seed=1), LayerNorm(3), Layer(3, 1, None, seed=2))
    >>> len(model.parameters())
    19
    >>> isinstance(model([0.5, -0.5]), Value)
    True
    """

    _holder = "modules"

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        self.modules = [function("Sequential", "each module", module) for module in modules]

    def forward(self, x: Any) -> Any:
        """Apply all modules, the first one first."""
        for module in self.modules:
            x = module(x)
        return x

    def summary(self) -> str:
        """Describe the module in one line."""
        return f"{type(self).__name__}({_names(self.modules)})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.modules))})"


class Dropout(Module):
    """Sets each number to 0 with probability p while training, and scales the others by 1/(1 - p).

    In evaluation mode (`model.eval()`) it passes numbers on. `fit` draws new random numbers for every sample
    in every epoch; in a loop of your own, Python's generator draws (Srivastava et al. 2014).

    >>> layer = Dropout(0.5)
    >>> layer.eval()
    >>> layer([1.0, 2.0])
    [1.0, 2.0]

    Raises:
        ValueError: if p is not a number from 0 to below 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = in_range("Dropout", "p", p, "a number of at least 0 and below 1")

    def forward(self, x: Any) -> Any:
        """Drop some of a sequence of numbers, or a single one."""
        if not self.training or not self.p:
            return x
        source = _noise.get() or iter(random.random, None)
        scale = 1.0 / (1.0 - self.p)
        numbers = as_list(x, self.summary())

        def dropped(number: Any) -> Any:
            return ops.where(ops.ge(next(source), self.p), ops.mul(number, scale), 0.0)

        return list(map(dropped, numbers)) if isinstance(numbers, list) else dropped(numbers)

    def summary(self) -> str:
        """Describe the module in one line."""
        return f"{type(self).__name__}({self.p})"


class LayerNorm(Module):
    """Scales numbers to mean 0 and variance 1, then by a gain and a bias for each (Ba et al. 2016).

    y = gain·(x - mean) / √(variance + epsilon) + bias

    >>> layer = LayerNorm(2, epsilon=0.0)
    >>> [out.data for out in layer([1.0, 3.0])]
    [-1.0, 1.0]

    Raises:
        ValueError: if the size is not positive, or the number of inputs is another.
    """

    def __init__(self, size: int, epsilon: float = _EPSILON) -> None:
        count = whole("LayerNorm", "size", size)
        self.epsilon = in_range("LayerNorm", "epsilon", epsilon, "a finite number of at least 0")
        self.gain = [Value(1.0, f"gain[{index}]") for index in range(count)]
        self.bias = [Value(0.0, f"bias[{index}]") for index in range(count)]

    def forward(self, x: Any) -> list[Any]:
        """Normalise a sequence of numbers."""
        numbers = _lifted(x, self, len(self.gain))
        mean = functions.mean(numbers)
        centred = [number - mean for number in numbers]
        scale = (functions.mean([ops.square(number) for number in centred]) + self.epsilon) ** -0.5
        return [
            gain * (number * scale) + bias
            for gain, number, bias in zip(self.gain, centred, self.bias, strict=True)
        ]

    def summary(self) -> str:
        """Describe the module in one line."""
        epsilon = "" if self.epsilon == _EPSILON else f", epsilon={self.epsilon!r}"
        return f"{type(self).__name__}({len(self.gain)}{epsilon})"


class Embedding(Module):
    """A table with a row of parameters for each of `count` symbols; the number of a symbol chooses its row.

    If the number of a symbol is a Value, as in the rows that `fit` gives a model, the result is a sum over
    all rows in which only the chosen one counts. It is nan for a symbol that is not in the table.

    >>> table = Embedding(3, 2, seed=1)
    >>> [value.label for value in table(1)]
    ['w[1][0]', 'w[1][1]']

    Raises:
        ValueError: if a size is not positive, or a symbol is not in the table.
    """

    def __init__(self, count: int, size: int, *, seed: Seed = None) -> None:
        generator, places = generator_for(seed, "Embedding"), range(whole("Embedding", "size", size))
        self.w = [
            [Value(generator.gauss(0.0, 1.0), f"w[{row}][{place}]") for place in places]
            for row in range(whole("Embedding", "count", count))
        ]

    def forward(self, symbol: Any) -> list[Any]:
        """Return the row of a symbol; for a sequence of symbols, a list of rows."""
        symbol = as_list(symbol, "Embedding")
        if isinstance(symbol, list):
            return [self.forward(each) for each in symbol]
        if not hasattr(symbol, "apply_op"):
            if symbol not in range(len(self.w)):
                raise ValueError(
                    f"Embedding: a symbol is a number from 0 to {len(self.w) - 1}; got {symbol!r}."
                )
            return list(self.w[int(symbol)])
        chosen = [ops.eq(symbol, float(row)) for row in range(len(self.w))]
        known = ops.sum(*chosen)
        return [ops.where(known, ops.dot(*chosen, *column), math.nan) for column in zip(*self.w, strict=True)]

    def summary(self) -> str:
        """Describe the module in one line."""
        return f"{type(self).__name__}({len(self.w)}, {len(self.w[0])})"


_noise: ContextVar[Iterator[Any] | None] = ContextVar("noise", default=None)


@contextmanager
def noise_from(numbers: Iterator[Any] | None) -> Iterator[None]:
    """Let dropout take its random numbers, uniform over [0, 1), from an iterator."""
    token = _noise.set(numbers)
    try:
        yield
    finally:
        _noise.reset(token)


def _function(activation: Activation) -> Callable[[Any], Any]:
    """Find an activation by its name."""
    if activation is None or is_bool(activation):
        return ops.relu if activation else ops.identity
    if callable(activation):
        return cast(Callable[[Any], Any], function("nn", "activation", activation))
    return _KNOWN[one_of("nn", "activation", activation, _KNOWN, "Or give a function of one number.")]


def _lifted(x: Any, user: Module, size: int | None = None) -> list[Any]:
    """List the inputs. Plain numbers become constants, once for all neurons that read them."""
    numbers = x if type(x) is list else as_list(x, type(user).__name__)
    if hasattr(numbers, "apply_op") or not hasattr(numbers, "__iter__"):
        numbers = [numbers]  # the one input of a neuron that has one
    lifted = [
        number if hasattr(number, "apply_op") else literal(_plain(number, numbers, user))
        for number in numbers
    ]
    if size is not None:
        _check_count(lifted, user, size)
    return lifted


def _plain(number: Any, numbers: Any, user: Module) -> float:
    if isinstance(number, list | tuple) or getattr(number, "shape", None):
        raise TypeError(
            f"{user.summary()} takes the inputs of one sample; got {len(numbers)} rows. For many samples "
            "write [model(x) for x in X] or, at native speed, nodegrad.compile(model).map(X)."
        )
    return number if type(number) is float else plain(number, user.summary())


def _is_own(module: Any, kind: type) -> bool:
    """Whether a module computes what its class here does, and not what a subclass or an assignment says."""
    return type(module) is kind and "forward" not in module.__dict__


def _names(modules: Sequence[Any]) -> str:
    return ", ".join(
        getattr(each, "name", getattr(each, "__name__", type(each).__name__)) for each in modules
    )


def _one_or_all(outputs: list[Any]) -> Any:
    """Unpack a single output, as micrograd does."""
    return outputs[0] if len(outputs) == 1 else outputs


def _check_count(inputs: Sequence[Any], user: Module, size: int) -> None:
    if len(inputs) != size:
        raise ValueError(f"{user.summary()} takes {size} inputs; got {len(inputs)}.")
