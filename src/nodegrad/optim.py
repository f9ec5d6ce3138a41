"""Optimisers: update rules over any kind of number, learning-rate schedules, and gradient clipping.

A rule is a function `(parameter, gradient, state, learning_rate, settings...) -> (parameter, state)`. It uses
arithmetic only, so it works with floats, flat NumPy arrays and Values: the same rule updates one number, or
all parameters of a model at once, or records the update so that it can be differentiated or compiled. Every
rule starts from the state ().

The file is long because each rule and each schedule has its formula, its source and an example beside it.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from nodegrad import ops
from nodegrad.inputs import described, flag, function, in_range, listed, one_of, plain, whole
from nodegrad.observers import tell_read
from nodegrad.value import NO_GRADIENT, Value, write

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Group",
    "Optimizer",
    "RMSProp",
    "adam",
    "adamw",
    "by_epoch",
    "clip_grad_norm",
    "clip_grad_value",
    "constant",
    "cosine",
    "decay_weights_only",
    "exponential",
    "linear",
    "rmsprop",
    "sgd",
    "step_decay",
    "warmup",
]

RESET = float("0")  # the gradient after `zero_grad`; compared by `is`, since other zeros are equal
# The parameters that no optimizer may update, by their ids: see `Module.freeze`.
FROZEN: WeakValueDictionary[int, Value] = WeakValueDictionary()

Number = Any  # a float, a NumPy array or a Value
State = tuple[Any, ...]
Schedule = Callable[[int], float]
Rate = float | Schedule
Parameters = Iterable[Value] | Iterable[Mapping[str, Any]]


# The rules.


def sgd(
    parameter: Number,
    gradient: Number,
    state: State,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Number, State]:
    """Step down the gradient g; with momentum, down the velocity v = momentum·v + g (Polyak 1964).

    With `nesterov` the step is g + momentum·v (Sutskever et al. 2013, as PyTorch has it).

    >>> sgd(1.0, 2.0, (), 0.1)
    (0.8, ())
    """
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    if not momentum:
        return parameter - learning_rate * gradient, ()
    (velocity,) = state or (0.0,)
    velocity = momentum * velocity + gradient
    direction = gradient + momentum * velocity if nesterov else velocity
    return parameter - learning_rate * direction, (velocity,)


def adam(
    parameter: Number,
    gradient: Number,
    state: State,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Number, State]:
    """Step by the mean of the gradients over the root of the mean of their squares.

    Both means fade by `betas` and are corrected for their start at 0 (Kingma & Ba 2015, algorithm 1).

    >>> parameter, (steps, mean, square) = adam(1.0, 2.0, (), 0.1)
    >>> round(parameter, 6), steps
    (0.9, 1)
    """
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    steps, mean, square = state or (0, 0.0, 0.0)
    steps = steps + 1
    mean = betas[0] * mean + (1.0 - betas[0]) * gradient
    square = betas[1] * square + (1.0 - betas[1]) * (gradient * gradient)
    root = _sqrt(square / (1.0 - betas[1] ** steps))
    step = (mean / (1.0 - betas[0] ** steps)) / (root + epsilon)
    return parameter - learning_rate * step, (steps, mean, square)


def adamw(
    parameter: Number,
    gradient: Number,
    state: State,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Number, State]:
    """Shrink the parameter by learning_rate·weight_decay, then step as Adam does (Loshchilov & Hutter 2019).

    >>> round(adamw(1.0, 0.0, (), 0.1, weight_decay=0.5)[0], 6)
    0.95
    """
    shrunk = parameter * (1.0 - learning_rate * weight_decay)
    return adam(shrunk, gradient, state, learning_rate, betas, epsilon)


def rmsprop(
    parameter: Number,
    gradient: Number,
    state: State,
    learning_rate: float,
    decay: float = 0.99,
    epsilon: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> tuple[Number, State]:
    """Step by the gradient over the root of the fading mean of its square (Tieleman & Hinton 2012).

    >>> round(rmsprop(1.0, 2.0, (), 0.1)[0], 6)
    0.0
    """
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    square, velocity = state or (0.0, 0.0)
    square = decay * square + (1.0 - decay) * (gradient * gradient)
    velocity = momentum * velocity + gradient / (_sqrt(square) + epsilon)
    return parameter - learning_rate * velocity, (square, velocity)


def _sqrt(x: Number) -> Number:
    """Return the square root of any kind of number. A recorded sqrt is many times as fast as a power."""
    if type(x) is float and x >= 0.0:
        return math.sqrt(x)
    return ops.sqrt(x) if isinstance(x, float | Value) else x**0.5


# Optimisers: the parameters of a model, a rule, and its state for each parameter.


class Optimizer:
    """Applies an update rule to parameters; subclasses such as `SGD` and `Adam` say which.

    >>> class SignDescent(Optimizer):
    ...     @staticmethod
    ...     def update(parameter, gradient, state, learning_rate):
    ...         return parameter - math.copysign(learning_rate, gradient), state
    >>> x = Value(1.0)
    >>> (3.0 * x).backward()
    >>> SignDescent([x], learning_rate=0.25).step()
    >>> x.data
    0.75

    Args:
        parameters: leaf Values, such as `model.parameters()`; or groups of them with settings of their own:
            dicts such as {"parameters": model.layers[0].parameters(), "learning_rate": 0.01}.
        learning_rate: a number, or a schedule: a function from the number of the step, 0 first, to a number.
        lr: the same, as PyTorch spells it.
        **settings: those of the rule.

    Raises:
        TypeError: if the parameters are not leaf Values, or a setting is unknown.
        ValueError: if there are none, or a number is out of its range.
    """

    update: Callable[..., tuple[Number, State]]

    def __init__(
        self, parameters: Parameters, learning_rate: Rate, *, lr: Rate | None = None, **settings: Any
    ) -> None:
        user = type(self).__name__
        default = (type(self).__init__.__defaults__ or (None,))[0]
        if lr is not None and learning_rate != default:
            raise TypeError(f"{user} got both lr and learning_rate, which are the same.")
        rate = learning_rate if lr is None else lr
        self.groups = [Group(user, entry, rate, settings) for entry in _groups(parameters, user)]
        self.parameters = [*chain.from_iterable(group.parameters for group in self.groups)]
        if len(self.groups) > 1 and len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{user}: a parameter is in two groups; put it into one.")
        self.steps = 0
        self._gradients: list[Any] = [None] * len(self.parameters)  # the objects that the last step found
        self.states: list[State] = [()] * len(self.parameters)

    @property
    def learning_rate(self) -> Rate:
        """The learning rate or its schedule, of the first group; assigning sets that of all groups."""
        return self.groups[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        for group in self.groups:
            group.learning_rate = rate

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the rule, of the first group."""
        return self.groups[0].settings

    @property
    def rate(self) -> float:
        """The learning rate of the next step, of the first group."""
        return self.groups[0].rate(self.steps)

    def rates(self, step: int) -> list[float]:
        """Return the learning rates of a step, one for each group."""
        return [group.rate(step) for group in self.groups]

    def rule(
        self, parameter: Number, gradient: Number, state: State, group: int = 0, rate: Any = None
    ) -> tuple[Number, State]:
        """Return parameter and state after the next step, for any kind of number; change nothing."""
        own = self.groups[group]
        rate = own.rate(self.steps) if rate is None else rate
        return type(self).update(parameter, gradient, state, rate, **own.settings)

    def step(self) -> None:
        """Update every parameter from its gradient. If the rule raises an error for one, none has changed.

        A parameter whose `grad` is None is left as it is, as in PyTorch.

        Raises:
            ValueError: if parameters were frozen after the optimizer was made.
        """
        tell_read(self.parameters[0], "takes a step of an optimizer")
        self.check_frozen(type(self).__name__)
        self._check_gradients()
        rule, updated, states = type(self).update, [], iter(self.states)
        for group in self.groups:
            rate, settings = group.rate(self.steps), group.settings
            for leaf, state in zip(group.parameters, states, strict=False):
                number, gradient = leaf._data, leaf._grad
                kept = gradient is NO_GRADIENT
                updated.append((number, state) if kept else rule(number, gradient, state, rate, **settings))
        steps = self.steps + 1
        try:
            self._take_over(updated, steps)
        except KeyboardInterrupt:  # which must not leave half of a step
            self._take_over(updated, steps)
            raise

    def check_frozen(self, user: str) -> None:
        """Refuse to go on if parameters were frozen after the optimizer was made."""
        frozen = sum([id(parameter) in FROZEN for parameter in self.parameters]) if FROZEN else 0
        if frozen:
            raise ValueError(
                f"{user}: {frozen} parameters of the optimizer are frozen. Make the optimizer from "
                "model.parameters() after freeze()."
            )

    def _take_over(self, updated: list[tuple[float, State]], steps: int) -> None:
        write(self.parameters, [x if type(x) is float else plain(x, type(self).__name__) for x, _ in updated])
        self.states, self.steps = [state for _, state in updated], steps

    def _check_gradients(self) -> None:
        """Warn if no parameter has got a gradient since the last step: there is nothing to learn from."""
        gradients = [parameter._grad for parameter in self.parameters]
        old = zip(gradients, self._gradients, strict=True)
        if all(x is RESET or x is NO_GRADIENT or x is before for x, before in old):
            warnings.warn(
                f"{type(self).__name__}: no parameter got a gradient since the last step. Call backward() "
                "on a loss that depends on them. `w -= rate * w.grad` makes a new Value, which the optimizer "
                "does not know: write w.data -= rate * w.grad.",
                RuntimeWarning,
                stacklevel=3,
            )
        self._gradients = gradients

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters:
            parameter._grad = RESET

    def state_dict(self) -> dict[str, Any]:
        """Return what another run needs to go on exactly from here, as plain lists and numbers.

        It holds schedules and other functions only by their names: the other run has the functions.
        """
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "groups": [group.state_dict() for group in self.groups],
            "states": [list(state) for state in self.states],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: if it is that of another optimiser or number of parameters; nothing has changed then.
            TypeError: if it is not such a dict, or damaged; nothing has changed then.
        """
        user = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{user} takes what state_dict() returned; got {described(state)}.")
        one_of(user, "optimizer", state.get("optimizer"), [type(self).__name__])
        entries = listed(user, "states", state.get("states"), "a list")
        states = [
            tuple(listed(user, "the state of a parameter", entry, "a list of numbers")) for entry in entries
        ]
        for number in chain(*states):
            plain(number, user)
        steps = whole(user, "steps", state.get("steps"), least=0)
        groups = listed(user, "groups", state.get("groups", [{}] * len(self.groups)), "a list")
        for what, found, own in (("states", states, self.parameters), ("groups", groups, self.groups)):
            if len(found) != len(own):
                raise ValueError(f"{user} takes {len(own)} {what}, as this optimizer has; got {len(found)}.")
        checked = [group.checked_state(user, entry) for group, entry in zip(self.groups, groups, strict=True)]
        self.states, self.steps = states, steps
        for group, entry in zip(self.groups, checked, strict=True):
            group.learning_rate = entry.pop("learning_rate", group.learning_rate)
            group.settings.update(entry)

    def __repr__(self) -> str:
        settings = "".join(f", {name}={setting!r}" for name, setting in self.settings.items())
        rate = self.learning_rate
        shown = getattr(rate, "__qualname__", repr(rate)) if callable(rate) else repr(rate)
        return f"{type(self).__name__}({len(self.parameters)} parameters, learning_rate={shown}{settings})"


class Group:
    """Some parameters of an optimiser, with their own learning rate and settings.

    >>> w, b = Value(1.0), Value(2.0)
    >>> groups = [{"parameters": [w], "weight_decay": 0.1}, {"parameters": [b], "learning_rate": 0.5}]
    >>> [(group.learning_rate, group.settings["weight_decay"]) for group in AdamW(groups).groups]
    [(0.001, 0.1), (0.5, 0.01)]
    """

    def __init__(self, user: str, entry: Mapping[str, Any], rate: Rate, settings: dict[str, Any]) -> None:
        self.user, own = user, dict(entry)
        found = own.pop("params" if "params" in own else "parameters", None)
        rate = own.pop("lr" if "lr" in own else "learning_rate", rate)
        unknown = own.keys() - settings.keys()
        if found is None or unknown:
            raise TypeError(
                f"{user}: a group of parameters has {', '.join(['parameters', 'learning_rate', *settings])}; "
                f"got {', '.join(entry)}."
            )
        self.parameters = _leaves(found, user)
        self.learning_rate = rate
        self.settings = settings | own
        self.check()

    def check(self) -> None:
        """Check the settings, which anyone may assign to; NumPy scalars become plain numbers."""
        for name, setting in self.settings.items():
            self.settings[name] = _checked_setting(self.user, name, setting)

    @property
    def learning_rate(self) -> Rate:
        """The learning rate or its schedule."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Rate) -> None:
        self._learning_rate: Rate = _checked_rate(self.user, rate)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        rate = self.learning_rate
        if not callable(rate):
            return rate
        return in_range(f"{self.user}, step {step}", "learning_rate", rate(step), _AMOUNT)

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate and the settings for JSON: tuples as lists, functions by their names."""
        own = {"learning_rate": self.learning_rate, **self.settings}
        return {name: _in_json(one) for name, one in own.items()}

    def checked_state(self, user: str, given: Any) -> dict[str, Any]:
        """Check what `state_dict` returned; return it as a group keeps it, without the functions."""
        known = self.state_dict()
        if not isinstance(given, Mapping) or given.keys() - known.keys():
            raise TypeError(f"{user} takes groups as dicts of {', '.join(known)}; got {described(given)}.")
        return {
            name: _checked_setting(user, name, tuple(one) if isinstance(one, list) else one)
            for name, one in given.items()
            if not isinstance(one, dict)
        }


def _in_json(setting: Any) -> Any:
    found = list(setting) if isinstance(setting, tuple) else setting
    if isinstance(found, int | float | str | list | None):
        return found
    return {"name": getattr(setting, "__qualname__", type(setting).__name__)}


def decay_weights_only(model: Any, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """Return a model's parameters in two groups: weights, which decay, and biases and scales, which do not.

    >>> import nodegrad as ng
    >>> groups = decay_weights_only(ng.nn.MLP(2, [3, 1]), weight_decay=0.1)
    >>> [(len(group["parameters"]), group["weight_decay"]) for group in groups]
    [(9, 0.1), (4, 0.0)]
    """
    weights: list[Value] = []
    others: list[Value] = []
    if not hasattr(model, "named_parameters") or isinstance(model, type):
        raise TypeError(f"decay_weights_only takes a model; got {described(model)}.")
    weight_decay = in_range("decay_weights_only", "weight_decay", weight_decay, _AMOUNT)
    trained = set(model.parameters())
    for name, parameter in model.named_parameters():
        last = [part for part in name.split(".") if not part.isdigit()][-1]
        if parameter in trained:
            (others if last in ("b", "bias", "gain") else weights).append(parameter)
    groups = [(weights, weight_decay), (others, 0.0)]
    return [{"parameters": found, "weight_decay": decay} for found, decay in groups if found]


class SGD(Optimizer):
    """Gradient descent, with momentum where given.

    >>> x = Value(3.0)
    >>> optimizer = SGD([x], learning_rate=0.1)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (x * x).backward()
    ...     optimizer.step()
    >>> round(x.data, 6)
    1.536

    The arguments are those of `sgd` and `Optimizer`.
    """

    update = staticmethod(sgd)

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        lr: Rate | None = None,
    ) -> None:
        settings = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(parameters, learning_rate, lr=lr, **settings)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0.")


class Adam(Optimizer):
    """Adam; `weight_decay` adds to the gradient, as in PyTorch, and is 0 by default.

    >>> x = Value(3.0)
    >>> optimizer = Adam([x], learning_rate=0.5)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> round(x.data, 6)
    2.5

    The arguments are those of `adam` and `Optimizer`.
    """

    update = staticmethod(adam)
    _usual_decay = 0.0

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: Rate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        *,
        lr: Rate | None = None,
    ) -> None:
        decay = self._usual_decay if weight_decay is None else weight_decay
        settings = {"betas": betas, "epsilon": epsilon, "weight_decay": decay}
        super().__init__(parameters, learning_rate, lr=lr, **settings)


class AdamW(Adam):
    """Adam whose weight decay, 0.01 by default, acts on the parameters themselves.

    >>> AdamW([Value(3.0)], weight_decay=0.1)
    AdamW(1 parameters, learning_rate=0.001, betas=(0.9, 0.999), epsilon=1e-08, weight_decay=0.1)

    The arguments are those of `adamw` and `Optimizer`.
    """

    update = staticmethod(adamw)
    _usual_decay = 0.01


class RMSProp(Optimizer):
    """RMSProp, with momentum where given.

    >>> RMSProp([Value(3.0)], 0.1).rule(1.0, 2.0, ())[0] < 1e-6
    True

    The arguments are those of `rmsprop` and `Optimizer`.
    """

    update = staticmethod(rmsprop)

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: Rate = 0.01,
        decay: float = 0.99,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        *,
        lr: Rate | None = None,
    ) -> None:
        settings = {"decay": decay, "epsilon": epsilon, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(parameters, learning_rate, lr=lr, **settings)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSProp}


# Schedules: functions that return the learning rate by the number of the step.


def constant(rate: float) -> Schedule:
    """Keep one rate.

    >>> constant(0.1)(5)
    0.1
    """
    (rate,) = _numbers("constant", rate=rate)
    return lambda step: rate


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply the rate by `factor` after each `every` steps.

    >>> [round(step_decay(1.0, every=2)(step), 3) for step in range(5)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """
    rate, factor = _numbers("step_decay", rate=rate, factor=factor)
    whole("step_decay", "every", every)
    return lambda step: rate * factor ** (step // every)


def exponential(rate: float, factor: float) -> Schedule:
    """Multiply the rate by `factor` after each step.

    >>> [exponential(1.0, 0.5)(step) for step in range(3)]
    [1.0, 0.5, 0.25]
    """
    rate, factor = _numbers("exponential", rate=rate, factor=factor)
    return lambda step: rate * factor**step


def linear(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Go from `rate` to `final` in a straight line over `steps` steps, and stay there.

    >>> [linear(1.0, 4)(step) for step in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """
    rate, final = _numbers("linear", rate=rate, final=final)
    whole("linear", "steps", steps)
    return lambda step: rate + (final - rate) * min(step / steps, 1.0)


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Go from `rate` to `final` along half a cosine over `steps` steps, and stay (Loshchilov & Hutter 2017).

    >>> [round(cosine(1.0, 4)(step), 3) for step in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    rate, final = _numbers("cosine", rate=rate, final=final)
    whole("cosine", "steps", steps)
    return lambda step: final + (rate - final) * 0.5 * (1.0 + math.cos(math.pi * min(step / steps, 1.0)))


def warmup(schedule: Rate, steps: int) -> Schedule:
    """Rise to the first rate of `schedule` in equal parts over `steps` steps, then follow it from its start.

    >>> [warmup(1.0, 4)(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    whole("warmup", "steps", steps)
    rate = _checked_rate("warmup", schedule)
    follow: Schedule = rate if callable(rate) else constant(rate)
    return lambda step: follow(0) * (step + 1) / steps if step < steps else follow(step - steps)


def _numbers(user: str, **given: Any) -> list[float]:
    return [in_range(user, name, number, _AMOUNT) for name, number in given.items()]


class by_epoch:
    """Let `fit` follow a schedule by the number of the epoch, 0 first, instead of the step.

    >>> by_epoch(exponential(1.0, 0.5))
    by_epoch(exponential.<locals>.<lambda>)
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule: Schedule = function("by_epoch", "schedule", schedule)
        self.steps_in_epoch = 0

    def __call__(self, step: int) -> float:
        """Return the rate of a step; `fit` has set how many steps an epoch has."""
        if not self.steps_in_epoch:
            raise ValueError("by_epoch: fit says how many steps an epoch has. Outside of it, count epochs.")
        return self.schedule(step // self.steps_in_epoch)

    def __repr__(self) -> str:
        return f"by_epoch({getattr(self.schedule, '__qualname__', self.schedule)})"


# Clipping.


def clip_grad_norm(parameters: Iterable[Value], limit: float) -> float:
    """Scale all gradients so that their Euclidean norm is at most `limit`; return the norm before.

    A norm that is inf or nan leaves them as they are.

    >>> x, y = Value(0.0), Value(0.0)
    >>> x.grad, y.grad = 3.0, 4.0
    >>> clip_grad_norm([x, y], 1.0)
    5.0
    >>> round(x.grad, 6), round(y.grad, 6)
    (0.6, 0.8)

    Raises:
        ValueError: if the limit is not positive.
    """
    in_range("clip_grad_norm", "limit", limit)
    parameters = _with_gradients(parameters, "clip_grad_norm")
    norm = math.hypot(*[parameter.grad for parameter in parameters])
    if limit < norm < math.inf:
        for parameter in parameters:
            parameter.grad *= limit / norm
    return norm


def clip_grad_value(parameters: Iterable[Value], limit: float) -> None:
    """Limit every gradient to [-limit, limit].

    >>> x = Value(0.0)
    >>> x.grad = -7.0
    >>> clip_grad_value([x], 2.0)
    >>> x.grad
    -2.0

    Raises:
        ValueError: if the limit is not positive.
    """
    in_range("clip_grad_value", "limit", limit)
    for parameter in _with_gradients(parameters, "clip_grad_value"):
        if math.fabs(parameter.grad) > limit:
            parameter.grad = math.copysign(limit, parameter.grad)


def _with_gradients(parameters: Any, user: str) -> list[Value]:
    found = listed(user, "parameters", parameters, "a list of Values")
    for parameter in found:
        if not isinstance(parameter, Value):
            raise TypeError(f"{user} takes parameters as a list of Values; got {described(parameter)} in it.")
    return [parameter for parameter in found if parameter._grad is not NO_GRADIENT]


_SHARE, _AMOUNT = "a number of at least 0 and below 1", "a finite number of at least 0"
_RANGES = {"momentum": _SHARE, "decay": _SHARE, "weight_decay": _AMOUNT, "epsilon": "a number above 0"}


def _checked_setting(user: str, name: str, setting: Any) -> Any:
    if name == "learning_rate":
        return _checked_rate(user, setting)
    if name in _RANGES:
        return in_range(user, name, setting, _RANGES[name])
    if name == "betas":
        pair = listed(user, name, setting, "a pair of numbers")
        if len(pair) != 2:
            raise ValueError(f"{user} takes betas as a pair of numbers; got {described(pair)}.")
        return tuple([in_range(user, name, beta, _SHARE) for beta in pair])
    return flag(user, name, setting) if name == "nesterov" else setting


def _checked_rate(user: str, rate: Any) -> Any:
    if callable(rate):
        return function(user, "learning_rate", rate, "a number or a function of the step")
    return in_range(user, "learning_rate", rate, _AMOUNT)


def _groups(parameters: Any, user: str) -> list[Mapping[str, Any]]:
    """List groups of parameters; a plain list of parameters is one."""
    if hasattr(parameters, "parameters"):
        raise TypeError(f"{user} takes model.parameters(); got {type(parameters).__name__}.")
    found = listed(user, "parameters", parameters, "a list of Values or of groups")
    if found and all(isinstance(entry, Mapping) for entry in found):
        return found
    return [{"parameters": found}]


def _leaves(parameters: Any, user: str) -> list[Value]:
    """List the parameters, each once, or refuse what are not leaf Values."""
    leaves = listed(user, "parameters", parameters, "a list of Values")
    if not leaves:
        raise ValueError(f"{user} got no parameters: there is nothing to update.")
    others = [leaf for leaf in leaves if not isinstance(leaf, Value) or leaf.op is not None]
    if others:
        raise TypeError(f"{user} updates Values made from numbers; got {others[0]!r:.60}.")
    return once(leaves)


def once(leaves: list[Value]) -> list[Value]:
    """Return a list with each leaf once; as it is, if that holds: a set takes half the time of a dict."""
    return leaves if len(set(leaves)) == len(leaves) else list(dict.fromkeys(leaves))
