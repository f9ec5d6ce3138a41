"""The arguments and results of `map`: check arguments, lay them out as arrays [row, number], check `out`."""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from inspect import Parameter, Signature, signature
from math import prod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from nodegrad.inputs import as_array, is_array, meant, plain, without_mask
from nodegrad.trees import LEAF, Sparse, Spec, container, flatten, kind_of
from nodegrad.value import Value

__all__ = ()

Array = np.ndarray[Any, np.dtype[np.float64]]
_FLOAT64 = np.dtype(np.float64)


def shapes_of_call(arguments: Sequence[Any]) -> Any:
    """Return the shapes of arguments that are floats, lists of floats and arrays of float64; else None.

    Arguments of shapes that came before need no further check of each number.
    """
    shapes: list[Any] = []
    for x in arguments:
        kind = type(x)
        if kind is np.ndarray and x.dtype is _FLOAT64:
            shapes.append(x.shape)
        elif kind is float:
            shapes.append(None)
        elif kind is list and x and [*map(type, x)].count(float) == len(x):
            shapes.append(len(x))
        else:
            return None
    return tuple(shapes)


def results_in(spec: Spec, out: Any, count: int, name: str = "out") -> list[Array]:
    """Return the arrays of `out`, which has the structure of the results of `map`, as blocks [row, number].

    Raises:
        ValueError: if it has another structure, or an array in it has another shape or type.
    """
    kind, form, entries = (np.ndarray, (), ()) if spec == LEAF else spec
    if kind is Sparse:
        raise ValueError(f"map takes no out= for sparse results, which are new arrays; see {name}.")
    if kind is np.ndarray:
        shape = (count, *form)
        fits = type(out) is np.ndarray and out.dtype == _FLOAT64 and out.shape == shape
        if not (fits and out.flags.writeable):
            got = f"shape {out.shape} and type {out.dtype}" if is_array(out) else type(out).__name__
            raise ValueError(
                f"map writes results to writable arrays of float64; {name} should be one of shape {shape}; "
                f"got {got}."
            )
        if len(shape) > 2 and not out.flags.c_contiguous:
            raise ValueError(f"map writes results to arrays in order of C; {name} is not. Use numpy.empty.")
        return [out.reshape(count, prod(form))]
    found = container(out)
    if type(out) is not kind or found is None or found[0] != form or len(found[1]) != len(entries):
        raise ValueError(
            f"map takes out= in the structure of the results; {name} should be a {kind.__name__}."
        )
    pairs = enumerate(zip(entries, found[1], strict=True))
    return [block for i, each in pairs for block in results_in(*each, count, f"{name}[{i}]")]


def rows(arguments: Sequence[Any], shared: Collection[int] = ()) -> tuple[Spec, list[Array], int]:
    """Return the spec of one row, the numbers as arrays [row, number], and how many rows there are.

    An array or a list has its rows along the first axis. Any other container holds such arrays and lists. The
    rows of a list may be containers: the function gets each as it is in the list. Arguments at the places in
    `shared` are one row, which all rows share.

    Raises:
        TypeError: if something is not a number.
        ValueError: if rows are ragged or missing, or arguments differ in their number of rows.
    """
    if len({*shared}) == len(arguments):
        how = "all are in shared=. Call the function itself." if arguments else "got none."
        raise ValueError(f"map takes at least one argument with a row per entry; {how}")
    blocks: list[tuple[str, Array]] = []  # with their names; without one, if all rows share them
    specs = []
    for place, argument in enumerate(arguments):
        name = f"argument {place}"
        if place in shared:
            numbers, spec = flatten(argument)
            blocks.append(("", np.array([[plain(x, "map") for x in numbers]], np.float64)))
        else:
            spec = _spec(argument, name, blocks)
        specs.append(spec)
    counts = [(name, len(block)) for name, block in blocks if name]
    first, count = counts[0] if counts else ("argument 0", 0)
    for name, other in counts:
        if other != count:
            raise ValueError(
                f"map takes arguments with the same number of rows; {first} has {count} and {name} has "
                f"{other}."
            )
    if not count:
        raise ValueError(f"map takes at least one row; {first} has none.")
    arrays = [x if name else np.broadcast_to(x, (count, x.shape[1])) for name, x in blocks]
    return (tuple, None, tuple(specs)), arrays, count


# Keywords, static arguments, and arguments that rows share.

Names = str | int | Sequence[str | int]  # arguments by name or position: one, or several


class Form(NamedTuple):
    """How a function is called: which of its last arguments are keywords, and its static arguments."""

    keywords: tuple[str, ...] = ()
    static: tuple[tuple[str, Any, Any], ...] = ()  # name, `content_of` the value, value


def with_form(f: Callable[..., Any], form: Form) -> Callable[..., Any]:
    """Return a function that takes all numbers by position and calls another as the form says."""
    static = {name: value for name, _, value in form.static}

    def by_position(*numbers: Any) -> Any:
        first = len(numbers) - len(form.keywords)
        return f(*numbers[:first], **dict(zip(form.keywords, numbers[first:], strict=True)), **static)

    by_position.__name__ = str(getattr(f, "__name__", "the function"))
    return by_position


def signature_of(f: Callable[..., Any]) -> Signature:
    """Return the signature of a function, with None for each default: only whether there is one matters.

    Raises:
        ValueError: if Python does not know them.
    """
    try:
        known = signature(f).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(
            "compile: static= and keywords need a function whose arguments have names."
        ) from error
    return Signature(
        [Parameter(x.name, x.kind, default=x.empty if x.default is x.empty else None) for x in known]
    )


def _listed(names: Names) -> list[str | int]:
    names = names if getattr(names, "ndim", 1) else names.item()  # type: ignore[union-attr]  # of NumPy
    return [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)


def check_static(f: Callable[..., Any], static: Names) -> tuple[str, ...]:
    """Return the names of the static arguments.

    Raises:
        ValueError: if the function has no argument of such a name or position.
    """
    names = _listed(static)
    parameters = signature_of(f).parameters.values() if names else ()
    known = [x.name for x in parameters if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)]
    return tuple([known[place] for place in _places("compile: static", known, names)])


def bind(
    user: str,
    known: Signature | None,
    static: tuple[str, ...],
    arguments: Sequence[Any],
    keywords: dict[str, Any],
    options: Sequence[str] = (),
) -> tuple[Form | None, tuple[Any, ...]]:
    """Return the form of a call (None for numbers by position) and its non-static arguments by position.

    A function that was loaded may have no signature. Then calls must have the form of a recorded one.
    `options` are the caller's own keywords, which may have been meant where a keyword is unknown.

    Raises:
        TypeError: if the function takes no such arguments, or a static one cannot be compared by its hash.
    """
    if known is None:
        return Form(tuple(keywords)), (*arguments, *keywords.values())
    try:
        bound = known.bind(*arguments, **keywords)
    except TypeError as error:
        names = [*known.parameters, *options]
        likely = [meant(name, names) for name in keywords if name not in names]
        raise TypeError(
            f"{user}: {error}.{''.join(f' Write {name!r}.' for name in likely if name)}"
        ) from None
    values = {name: bound.arguments.pop(name) for name in static if name in bound.arguments}
    for name, value in values.items():
        try:
            found = not isinstance(value, Value) and hash((value, content_of(value)))
        except TypeError:
            found = False
        if found is False:
            raise TypeError(
                f"compile: the static argument {name} is {value!r:.60} of type {type(value).__name__}, which "
                "cannot be looked up: it may change. Pass a tuple instead of a list, or close over it."
            )
    form = Form(
        tuple(bound.kwargs), tuple([(name, content_of(value), value) for name, value in values.items()])
    )
    return form if any(form) else None, (*bound.args, *bound.kwargs.values())


def content_of(value: Any) -> Any:
    """Return a key that differs if a function could tell two static arguments apart, even if they are equal.

    Tuples and data classes are compared by their entries. Objects of a class that defines `==` itself are
    compared by identity, because their `==` may leave something out.
    """
    inside = container(value)
    if inside is not None:
        return type(value), tuple([(entry, content_of(entry)) for entry in inside[1]])
    kind: Any = type(value)
    known = isinstance(value, Real) or kind.__module__ in sys.stdlib_module_names
    return kind_of(value) if known or kind.__eq__ is object.__eq__ else id(value)


def names_of_call(known: Signature | None, form: Form | None, count: int) -> list[str]:
    """Return the names of the arguments that `bind` returns, in order; "" where one has no name."""
    form = form or Form()
    apart = {*form.keywords, *[name for name, _, _ in form.static]}
    by_place = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    parameters = known.parameters.values() if known else ()
    names = [x.name for x in parameters if x.kind in by_place and x.name not in apart]
    positional = count - len(form.keywords)
    return [*names[:positional], *[""] * (positional - len(names)), *form.keywords]


def shared_places(names: Sequence[str], shared: Names) -> set[int]:
    """Return the places of shared arguments among the names of all.

    Raises:
        ValueError: if there is no such argument.
    """
    return {*_places("map: shared", names, _listed(shared))}


def _places(option: str, known: Sequence[str], wanted: Sequence[str | int]) -> list[int]:
    """Return the places of the arguments that an option names, by name or by place."""
    keys = [(place, place - len(known), name) for place, name in enumerate(known)]
    places = {key: place for place, names in enumerate(keys) for key in names if key != ""}
    for each in wanted:
        if each not in places:
            names = ", ".join(filter(None, known))
            raise ValueError(f"{option}= names {each!r}, but the arguments are {names}.")
    return [places[each] for each in wanted]


def number_for(name: str, x: Any) -> float:
    """Return an argument as a float.

    Raises:
        TypeError: if it is not a number, with the remedy.
    """
    try:
        return plain(x, "a compiled function")
    except TypeError as error:
        several = isinstance(x, Iterable) and not isinstance(x, str | bytes)
        raise TypeError(
            f"{error} {'Pass numbers that come one after the other as list(...). ' if several else ''}"
            f"Name in static= each argument of {name} that is not a number to compute with: "
            'compile(f, static="name").'
        ) from None


def _spec(argument: Any, name: str, blocks: list[tuple[str, Array]]) -> Spec:
    """Return the spec of a row of an argument, and add its numbers to the blocks."""
    found = None if isinstance(argument, list | np.ndarray) else container(argument)
    if found is not None:
        form, entries = found
        places = argument if isinstance(argument, dict) else range(len(entries))
        named = [(x, f"{name}[{i!r}]") for i, x in zip(places, entries, strict=True)]
        return type(argument), form, tuple([_spec(*each, blocks) for each in named])
    first = argument[0] if isinstance(argument, list) and argument else argument
    if first is not argument and type(first) is not list and container(first) is not None:
        taken = [flatten(row) for row in argument]
        for place, (_, other) in enumerate(taken):
            if other != taken[0][1]:
                raise ValueError(
                    f"map takes rows of one structure; that of {name}[{place}] differs from {name}[0]."
                )
        blocks.append((name, _numbers([numbers for numbers, _ in taken], name)))
        return taken[0][1]
    array = _numbers(argument, name)
    if array.ndim == 0:
        raise ValueError(
            f"map takes arrays with rows along the first axis; {name} is the single number {array}. "
            "Name it in shared=, for all rows to share it; or let the function close over it."
        )
    shape = array.shape[1:]
    blocks.append((name, array.reshape(len(array), prod(shape))))
    return (np.ndarray, shape, ()) if shape and isinstance(first, np.ndarray) else _nested(shape)


def _numbers(argument: Any, name: str) -> Array:
    """Return an argument as an array; one that is not float64 is converted where it is read, part by part."""
    user, table = f"map, as {name},", argument
    if not isinstance(argument, list):
        found = as_array(argument, user)
        table = argument if found is None else found
    elif argument and is_array(argument[0]):
        for row in argument:
            without_mask(row, user)
    try:
        array = np.asarray(table)
    except ValueError as error:
        raise ValueError(f"map takes rows of equal length; {name} is ragged: {error}") from error
    if array.dtype.kind not in "fiub":
        kind = f"dtype {array.dtype}" if array.size else "nothing"
        raise TypeError(
            f"map takes arrays of real numbers; {name} has {kind}. Convert it to floats first "
            "(Values are for the function itself: give their data)."
        )
    return array.astype(np.float64, copy=False) if isinstance(argument, list) else array


def _nested(shape: tuple[int, ...]) -> Spec:
    """Return the spec of nested lists of a shape."""
    return (list, None, (_nested(shape[1:]),) * shape[0]) if shape else LEAF
