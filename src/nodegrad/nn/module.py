"""Module: the base class of models, which finds, names, saves and loads their parameters.

The file is long because structure, files and modes of a model all rest on one walk over its attributes.
"""

import math
import os
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any, Self

from nodegrad import ops
from nodegrad.files import load_json, packed, read, save_json, written
from nodegrad.graph import recording
from nodegrad.inputs import described, file_path, flag, listed, plain
from nodegrad.nn.predict import Predictor, evaluating, modules_of
from nodegrad.optim import FROZEN, RESET, once
from nodegrad.value import Value, write

__all__ = ["Module", "load"]

FORMAT, VERSION = "nodegrad model", 2
_READABLE = 10_000  # parameters: a file of more is not read by people
_LONG = 16  # shorter lists of parameters are written number by number
_MADE_WITH = "_made_with"
_ALIKE = "Make a model as the saved one was made, and changed afterwards, then call model.load(path)."


class Module:
    """The base class of models and their parts.

    A subclass defines `forward` and assigns its parameters (leaf Values) and submodules to attributes,
    plain or inside lists, tuples, dicts and object arrays. Each is found once, in the order of assignment.

    >>> from nodegrad import Value
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.m, self.c = Value(2.0), Value(1.0)
    ...
    ...     def forward(self, x):
    ...         return self.m * x + self.c
    >>> line = Line()
    >>> line(3.0).data
    7.0
    >>> line.state_dict()
    {'m': 2.0, 'c': 1.0}
    """

    training = True  # whether dropout drops: `train` and `eval` set it
    frozen = False

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Note the arguments: `load` makes the module again from them."""
        made = super().__new__(cls)
        made.__dict__[_MADE_WITH] = [[*x] if isinstance(x, list) else x for x in arguments], options
        return made

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Apply the module to its inputs."""
        return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the outputs; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(self, ...): write one.")

    def parameters(self) -> list[Value]:
        """List the parameters of this module and its submodules to train, each once: all but frozen ones."""
        leaves, frozen = leaves_of(self), {*FROZEN}
        return [leaf for leaf in leaves if id(leaf) not in frozen] if frozen else leaves

    def freeze(self, frozen: bool = True) -> None:
        """Leave the parameters of this module out of `parameters()`, so that nothing trains them; or undo it.

        Make the optimizer afterwards. One that was made before holds them, and refuses to take a step.

        >>> from nodegrad.nn import MLP
        >>> model = MLP(2, [3, 1], seed=1)
        >>> model.freeze()
        >>> model.layers[1].freeze(False)
        >>> len(model.parameters()), len(model.named_parameters())
        (4, 13)
        """
        frozen = flag("freeze", "frozen", frozen)
        modules = dict(self.named_modules())
        for name in self._frozen():
            del modules[name].frozen
        self.frozen = frozen
        for parameter in leaves_of(self):
            if frozen:
                FROZEN[id(parameter)] = parameter
            else:
                FROZEN.pop(id(parameter), None)

    def _frozen(self) -> dict[str, bool]:
        """Return what `freeze` was called with, by the names of modules; outer ones first."""
        found = [(name, vars(module).get("frozen")) for name, module in self.named_modules()]
        return {name: frozen for name, frozen in found if isinstance(frozen, bool)}

    def _freeze_again(self, frozen: Mapping[str, bool]) -> None:
        modules = dict(self.named_modules())
        for name, each in frozen.items():
            modules[name].freeze(each)

    def __setstate__(self, state: Any) -> None:
        """Freeze the parameters of a copy as those of the original are."""
        attributes, slots = state if isinstance(state, tuple) else (state, {})
        vars(self).update(attributes)
        for name, attribute in slots.items():
            setattr(self, name, attribute)
        if isinstance(attributes.get("frozen"), bool):  # modules inside that are frozen do it themselves
            self._freeze_again(self._frozen())

    def train(self, training: bool = True) -> None:
        """Switch dropout in this module on; `train(False)` and `eval()` switch it off."""
        training = flag("train", "training", training)
        for _, module in self.named_modules():
            module.training = training

    def eval(self) -> None:
        """Switch dropout in this module off."""
        self.train(False)

    def named_parameters(self) -> list[tuple[str, Value]]:
        """List the parameters with their names, such as `layers.0.neurons.1.w.2`.

        Raises:
            ValueError: if two parameters have one name, as those under the keys 1 and "1" of a dict.
        """
        named: dict[Value, str] = {}
        for name, item in _contents(self, "", {}, []):
            if isinstance(item, Value):
                named.setdefault(item, name)
            elif isinstance(item, list):
                for place, leaf in enumerate(item):
                    named.setdefault(leaf, f"{name}.{place}")
        if len({*named.values()}) < len(named):
            ((twice, _),) = Counter(named.values()).most_common(1)
            raise ValueError(
                f"{type(self).__name__}: two parameters are named {twice!r}, and one would be lost when the "
                "model is saved. Use keys and attributes that differ when written as text, without dots."
            )
        return [(name, leaf) for leaf, name in named.items()]

    def named_modules(self) -> list[tuple[str, "Module"]]:
        """List this module (its name is empty) and its submodules with their names."""
        return [entry for entry in _contents(self, "", {}, []) if isinstance(entry[1], Module)]

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter._grad = RESET

    def state_dict(self) -> dict[str, float]:
        """Return the number in every parameter by its name."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Set every parameter to the number that `state` holds under its name.

        Raises:
            ValueError: if names are missing or left over; no parameter has changed then.
            TypeError: if it is not a dict, or an entry is not a real number; no parameter has changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict takes a dict of numbers by name, as state_dict() "
                f"returns it; got {state!r:.60} of type {type(state).__name__}. For a file use load(path)."
            )
        parameters = dict(self.named_parameters())
        if parameters.keys() != state.keys():
            lacking = [name for name in parameters if name not in state]
            surplus = [name for name in state if name not in parameters]
            misfits = [f"it lacks {_shortened(lacking)}"] if lacking else []
            misfits += [f"the model has no {_shortened(surplus)}"] if surplus else []
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state does not fit this model: "
                f"{'; '.join(misfits)}. Make the model with the sizes the state was saved from."
            )
        write(list(parameters.values()), [_number(name, state[name]) for name in parameters])

    def summary(self) -> str:
        """Describe the module itself in one line; `load` refuses a file whose lines differ."""
        return type(self).__name__

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all parameters to a file of readable JSON. Whoever reads it meanwhile sees the old file.

        Each parameter has a line, with its name; reading gives the same bits. In a model of more than 10,000
        parameters, a list of them is one line: base64 of its numbers, little-endian float64.

        Raises:
            OSError: if the file cannot be written.
            TypeError: if the path is not one.
        """
        path = file_path(f"{type(self).__name__}.save", "path", path)
        with recording():
            content = {
                "made_with": _description(self),
                "modules": {name: module.summary() for name, module in self.named_modules()},
                "frozen": self._frozen(),
                "parameters": _written(self.state_dict()),
            }
            save_json(path, FORMAT, VERSION, content)

    def load(self, path: str | os.PathLike[str] = "") -> None:
        """Set all parameters from a file that `save` wrote.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is damaged or was saved from a different model; no parameter has changed then.
            TypeError: if it is called on a class.
        """
        if not isinstance(self, Module) or (isinstance(path, str) and not path):
            raise TypeError(
                "load sets the parameters of a model: model.load(path). To make the model, too, write "
                "nodegrad.nn.load(path)."
            )
        with recording():
            self._load(path, _content(path))

    def _load(self, path: str | os.PathLike[str], content: dict[str, Any]) -> None:
        modules, parameters = content["modules"], content["parameters"]
        own = {name: module.summary() for name, module in self.named_modules()}
        for name in dict.fromkeys((*own, *modules)):
            if own.get(name) != modules.get(name):
                raise ValueError(
                    f"load: {path} does not fit this model: {name or 'the model'} is "
                    f"{modules.get(name, 'absent')} in the file and {own.get(name, 'absent')} here. {_ALIKE}"
                )
        try:
            self.load_state_dict(_read(parameters))
        except (TypeError, ValueError, struct.error) as error:
            raise ValueError(f"load: {path} does not fit this model. {error} {_ALIKE}") from error

    def evaluating(self) -> AbstractContextManager[None]:
        """Be in evaluation mode inside a with statement."""
        return evaluating(modules_of(self))

    def predict(self, X: Any) -> Any:
        """Apply the module to every row of X, as plain numbers; compiled where there is much to do.

        >>> from nodegrad.nn import MLP
        >>> MLP(2, [1], seed=1).predict([[0.0, 0.0], [0.0, 0.0]])
        [0.0, 0.0]

        Args:
            X: rows: lists, an array, or a data frame.

        Returns:
            One output per row, of this module in evaluation mode: an array where X is an array or a data
            frame, otherwise a list. For an array without rows, an array of shape (0,), or (0, n_outputs) if
            the module has an attribute n_outputs above 1, as layers and MLPs have.
        """
        return Predictor(self)(X)

    def __repr__(self) -> str:
        return f"{type(self).__name__} with {len(self.parameters())} parameters"


def leaves_of(module: Module) -> list[Value]:
    """List the parameters of a module, frozen ones too. This takes less time than to name them."""
    leaves: list[Value] = []
    for _, item in _contents(module, "", {}, []):
        if not isinstance(item, Module):
            leaves += [item] if isinstance(item, Value) else item
    return once(leaves)


def _contents(
    holder: Any, name: str, seen: dict[int, Any], found: list[tuple[str, Any]]
) -> list[tuple[str, Any]]:
    """Add to `found`, with their names, the modules and parameters inside `holder`, itself included.

    A list of nothing but parameters is one entry, so that a walk takes little time for each of them.
    """
    if id(holder) in seen:
        return found
    members: Iterable[tuple[Any, Any]] = ()
    items: Sequence[Any] = ()
    if isinstance(holder, Value):
        if holder.op is None:
            found.append((name, holder))
        elif _is_update(holder):
            warnings.warn(
                f"{name} is not a parameter: it is a leaf plus or minus a number, such as `{name} -= rate * "
                f"{name}.grad` makes. To change the number of a parameter write {name}.data -= ...",
                RuntimeWarning,
                stacklevel=4,
            )
    elif isinstance(holder, Module):
        state: Any = object.__getstate__(holder)
        kept = state[0] | state[1] if isinstance(state, tuple) else state  # the second are in slots
        members = [item for item in kept.items() if item[0] != _MADE_WITH]
        if members:
            found.append((name, holder))
    elif not hasattr(holder, "__iter__"):  # as most attributes
        return found
    elif isinstance(holder, list | tuple):
        items = holder
    elif isinstance(holder, Mapping):
        members = holder.items()
    elif getattr(holder, "dtype", None) == "object":  # a NumPy array, maybe of Values
        items = holder.ravel().tolist()
    elif isinstance(holder, set | frozenset) and any(isinstance(item, Value | Module) for item in holder):
        raise TypeError(
            f"{name} is a set, whose order changes from run to run: keep parameters and modules in a list."
        )
    if items:
        leaves = [item for item in items if type(item) is Value and item.op is None]
        if len(leaves) == len(items):
            found.append((name, leaves))
        else:
            members = enumerate(items)
    if members:
        seen[id(holder)] = holder
        before = f"{name}." if name else ""
        for key, item in members:
            _contents(item, f"{before}{key}", seen, found)
    return found


def _is_update(node: Value) -> bool:
    """Return whether a node is a leaf to which plain numbers have been added."""
    while node.op in (ops.add, ops.sub) and node.operands[1].op is ops.constant:
        node = node.operands[0]
    return node.op is None


def _shortened(names: list[str]) -> str:
    listed = ", ".join(map(repr, names[:3]))
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed


def _number(name: str, number: Any) -> float:
    if isinstance(number, bool):
        raise TypeError(f"load_state_dict: {name} is {number}, not a number.")
    return plain(number, f"load_state_dict: {name}")


# Files of models. They say how a model was made, and hold its parameters.


def load(path: str | os.PathLike[str], classes: Sequence[type[Module]] = ()) -> Module:
    """Make the model that `Module.save` wrote to a file, without code that says how it is built.

    It is made from the arguments that the saved one was made from, and frozen modules are frozen again. A
    model that was changed after it was made is refused: make the same changes to a new one, and call its
    `load`. Other attributes are as they were when the model was made.

    >>> import nodegrad as ng, tempfile
    >>> path = tempfile.mkdtemp() + "/model.json"
    >>> ng.nn.MLP(2, [3, 1], "tanh", seed=1).save(path)
    >>> ng.nn.load(path).summary()
    'MLP(2, [3, 1])'

    Args:
        path: the file.
        classes: classes of your own that the model is made of. Nothing else that a file names is run.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, was made with arguments that a file cannot hold (functions, say), names
            a class that is not known, or the model was changed after it was made.
        TypeError: if the path is not one, or `classes` are not classes of modules.
    """
    content = _content(path)
    layers = [each for each in vars(sys.modules[__package__]).values() if isinstance(each, type)]
    own = listed("load", "classes", classes, "a list of classes of modules")
    for kind in own:
        if not isinstance(kind, type) or not issubclass(kind, Module):
            raise TypeError(
                f"load takes classes as a list of classes of modules; got {described(kind)} in it."
            )
    try:
        known = {kind.__name__: kind for kind in (*layers, *own)}
        model = _made(content.get("made_with"), known)
        if not isinstance(model, Module):
            raise TypeError(f"{model!r:.60} is not a model")
        model._load(path, content)
        model._freeze_again(content.get("frozen", {}))
    except Exception as error:
        if str(error).startswith("load: "):  # it says all this itself
            raise
        raise ValueError(
            f"load: {path} does not say how to make its model ({error}). Make it yourself, then call "
            "model.load(path)."
        ) from error
    return model


def _written(state: Mapping[str, float]) -> dict[str, Any]:
    """Return parameters as files hold them: in a large model, a long list of them is packed."""
    if len(state) <= _READABLE:
        return dict(written(state))
    found: dict[str, Any] = {}
    for holder, members in groupby(state, lambda name: name.rpartition(".")[0]):
        own = {name: state[name] for name in members}
        alike = holder not in state and [*own] == [f"{holder}.{k}" for k in range(len(own))]
        found |= {holder: packed([*own.values()])} if alike and len(own) >= _LONG else written(own)
    return found


def _read(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `_written`."""
    state: dict[str, Any] = {}
    for name, entry in parameters.items():
        several = isinstance(entry, dict)
        state |= {f"{name}.{k}": x for k, x in enumerate(read(entry))} if several else {name: read(entry)}
    return state


def _description(made: Any) -> Any:
    """Describe an argument or a module in a form that JSON can hold; `_made` makes it again from that."""
    if isinstance(made, Module) and not any("forward" in vars(module) for module in modules_of(made)):
        arguments, options = vars(made).get(_MADE_WITH, ((), {}))
        options = {name: _description(option) for name, option in options.items() if name != "seed"}
        return {"class": type(made).__name__, "arguments": _description(arguments), "options": options}
    if hasattr(made, "tolist"):
        made = made.tolist()
    if isinstance(made, list | tuple | range):
        return [_description(entry) for entry in made]
    if made is None or isinstance(made, bool | str) or (type(made) in (int, float) and math.isfinite(made)):
        return made
    return {"unknown": f"{made!r:.60}"}


def _made(description: Any, known: Mapping[str, type[Module]]) -> Any:
    """Make again what `_description` describes."""
    if isinstance(description, list):
        return [_made(entry, known) for entry in description]
    if not isinstance(description, dict):
        return description
    name = str(description.get("class", ""))
    if name not in known:
        what = f"the class {name}" if name else f"the argument {description.get('unknown')}"
        raise ValueError(f"made with {what}, which a file cannot hold: give own classes as classes=[...]")
    options = {key: _made(option, known) for key, option in description["options"].items()}
    return known[name](*_made(description["arguments"], known), **options)


def _content(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a model file, or say what is wrong with it."""
    content = load_json(file_path("load", "path", path), "load", FORMAT, VERSION)
    if not isinstance(content.get("modules"), dict) or not isinstance(content.get("parameters"), dict):
        raise ValueError(f"load: {path} is damaged: it has no 'modules' or no 'parameters'.")
    return content
