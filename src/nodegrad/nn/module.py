"""Module: what has parameters, knows them by name, and saves and loads them."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nodegrad.ops import plain
from nodegrad.value import Value

FORMAT, VERSION = "nodegrad model", 1
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no numbers for these


class Module:
    """The base of everything with parameters.

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

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Apply the module to its inputs."""
        return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the outputs; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(self, ...): write one.")

    def parameters(self) -> list[Value]:
        """List the parameters of this module and its submodules, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """List the parameters with their names, such as `layers.0.neurons.1.w.2`."""
        return [(name, found) for name, found in _contents(self, "", set()) if isinstance(found, Value)]

    def named_modules(self) -> list[tuple[str, "Module"]]:
        """List this module (its name is empty) and its submodules with their names."""
        return [(name, found) for name, found in _contents(self, "", set()) if isinstance(found, Module)]

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def state_dict(self) -> dict[str, float]:
        """Return the number in every parameter by its name."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Set every parameter to the number that `state` holds under its name.

        Raises:
            ValueError: if names are missing or left over; no parameter has changed then.
            TypeError: if it is no dict, or an entry is not a real number; no parameter has changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{type(self).__name__}.load_state_dict takes a dict of numbers by name, as state_dict() "
                f"returns it; got {state!r:.60} of type {type(state).__name__}. For a file use load(path)."
            )
        parameters = dict(self.named_parameters())
        misfits = [
            f"{kind} {_shortened(names)}"
            for kind, names in (
                ("it lacks", [name for name in parameters if name not in state]),
                ("the model has no", [name for name in state if name not in parameters]),
            )
            if names
        ]
        if misfits:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state does not fit this model: "
                f"{'; '.join(misfits)}. Make the model with the sizes the state was saved from."
            )
        numbers = {name: _number(name, state[name]) for name in parameters}
        for name, parameter in parameters.items():
            parameter.data = numbers[name]

    def summary(self) -> str:
        """Describe the module itself in one line; `load` refuses a file whose lines differ."""
        return type(self).__name__

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all parameters to a file of readable JSON.

        The file is written beside `path` first and then takes its place in one step, so it is never there in
        part. Floats are written so that reading gives the same bits.
        """
        content = {
            "format": FORMAT,
            "version": VERSION,
            "modules": {name: module.summary() for name, module in self.named_modules()},
            "parameters": {name: _written(number) for name, number in self.state_dict().items()},
        }
        _replace(Path(path), json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set all parameters from a file that `save` wrote.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is damaged or was saved from a different model; no parameter has changed then.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"load: {path} is not a model file, or is damaged: {error}.") from error
        modules, parameters = _checked(content, path)
        own = {name: module.summary() for name, module in self.named_modules()}
        for name in dict.fromkeys((*own, *modules)):
            if own.get(name) != modules.get(name):
                raise ValueError(
                    f"load: {path} does not fit this model: {name or 'the model'} is "
                    f"{modules.get(name, 'absent')} in the file and {own.get(name, 'absent')} here."
                )
        try:
            self.load_state_dict({name: _read(number) for name, number in parameters.items()})
        except (TypeError, ValueError) as error:
            raise ValueError(f"load: {path} does not fit this model. {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__} with {len(self.parameters())} parameters"


def _contents(holder: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Value | Module]]:
    """Yield every module and every leaf Value inside `holder`, itself included, each once, with its name."""
    if id(holder) in seen:
        return
    if isinstance(holder, Value):
        if holder.op is None:
            seen.add(id(holder))
            yield name, holder
    elif isinstance(holder, Module):
        seen.add(id(holder))
        yield name, holder
        yield from _members(vars(holder).items(), name, seen)
    elif isinstance(holder, list | tuple):
        seen.add(id(holder))
        yield from _members(enumerate(holder), name, seen)
    elif isinstance(holder, Mapping):
        seen.add(id(holder))
        yield from _members(holder.items(), name, seen)
    elif getattr(holder, "dtype", None) == "object":  # a NumPy array, maybe of Values
        seen.add(id(holder))
        yield from _members(enumerate(holder.ravel().tolist()), name, seen)
    elif isinstance(holder, set | frozenset) and any(isinstance(item, Value | Module) for item in holder):
        raise TypeError(
            f"{name} is a set, whose order changes from run to run: keep parameters and modules in a list."
        )


def _members(items: Iterable[tuple[Any, Any]], prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    for key, item in items:
        yield from _contents(item, f"{prefix}.{key}" if prefix else str(key), seen)


def _shortened(names: list[str]) -> str:
    listed = ", ".join(map(repr, names[:3]))
    return f"{listed} and {len(names) - 3} more" if len(names) > 3 else listed


def _number(name: str, number: Any) -> float:
    if isinstance(number, bool):
        raise TypeError(f"load_state_dict: {name} is {number}, not a number.")
    return plain(number, f"load_state_dict: {name}")


def _written(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _read(number: Any) -> Any:
    return _NOT_FINITE.get(number, number) if isinstance(number, str) else number


def _checked(content: Any, path: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the modules and the parameters in the content of a model file, or say what is wrong with it."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"load: {path} is not a model file: it does not say format {FORMAT!r}.")
    if content.get("version") != VERSION:
        raise ValueError(
            f"load: {path} is a model file of version {content.get('version')!r}; "
            f"this nodegrad reads version {VERSION}."
        )
    modules, parameters = content.get("modules"), content.get("parameters")
    if not isinstance(modules, dict) or not isinstance(parameters, dict):
        raise ValueError(f"load: {path} is damaged: it has no 'modules' or no 'parameters'.")
    return modules, parameters


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it sees the old content or the new, never a part."""
    path = path.resolve()  # through a symbolic link, which stays one
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename:
            error.filename = str(path)  # the file that was asked for
        raise
