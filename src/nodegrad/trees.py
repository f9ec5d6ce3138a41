"""Structures of numbers: lists, tuples, dicts and NumPy arrays, taken apart and put together again."""

import sys
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from itertools import islice
from typing import Any

Number = Any  # a float or a Value
Tree = Any  # a number, or numbers in lists, tuples, dicts and NumPy arrays


def flatten(tree: Tree) -> list[Number]:
    """List the numbers of a structure, or whatever else stands in their place.

    >>> flatten({"a": 1.0, "b": [2.0, (3.0,)]})
    [1.0, 2.0, 3.0]
    """
    numbers: list[Number] = []
    map_leaves(tree, lambda leaf: numbers.extend(leaf.ravel().tolist() if shape_of(leaf) else [_item(leaf)]))
    return numbers


def rebuild(tree: Tree, numbers: Iterable[Number]) -> Tree:
    """Put numbers, in the order of `flatten`, into a structure like `tree`.

    An array is of float64 where all its numbers are floats, and of objects otherwise.

    >>> rebuild({"a": 1.0, "b": [2.0, (3.0,)]}, [7.0, 8.0, 9.0])
    {'a': 7.0, 'b': [8.0, (9.0,)]}
    """
    remaining = iter(numbers)
    return map_leaves(tree, lambda leaf: _fill(shape_of(leaf), remaining))


def blocks(result: Tree, argument: Tree, rows: Iterable[Iterable[Number]]) -> Tree:
    """Arrange a Jacobian: its rows as the result is structured, their entries as the argument is."""
    remaining = iter(rows)

    def block(output: Any) -> Tree:
        own = [iter(row) for row in islice(remaining, _size(shape_of(output)))]

        def entries(leaf: Any) -> Iterator[Number]:
            return (x for row in own for x in islice(row, _size(shape_of(leaf))))

        return map_leaves(argument, lambda leaf: _fill(shape_of(output) + shape_of(leaf), entries(leaf)))

    return map_leaves(result, block)


def map_leaves(tree: Tree, function: Callable[[Any], Any]) -> Tree:
    """Apply a function to every number and array of a structure."""
    if isinstance(tree, list):
        return [map_leaves(inner, function) for inner in tree]
    if isinstance(tree, tuple):
        mapped = [map_leaves(inner, function) for inner in tree]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)
    if isinstance(tree, dict):
        found = copy(tree)
        found.update({key: map_leaves(inner, function) for key, inner in tree.items()})
        return found
    return function(tree)


def shape_of(leaf: Any) -> tuple[int, ...]:
    """Return the shape of a NumPy array, () for all else. Where NumPy is not loaded there are no arrays."""
    numpy: Any = sys.modules.get("numpy")
    return leaf.shape if numpy is not None and isinstance(leaf, numpy.ndarray) else ()


def _size(shape: tuple[int, ...]) -> int:
    return 1 if not shape else shape[0] * _size(shape[1:])


def _item(leaf: Any) -> Any:
    """Return the number in an array without dimensions; anything else as it is."""
    numpy: Any = sys.modules.get("numpy")
    return leaf.item() if numpy is not None and isinstance(leaf, numpy.ndarray) else leaf


def _fill(shape: tuple[int, ...], numbers: Iterator[Number]) -> Any:
    """Take as many numbers as an array of this shape holds, and make it; the shape () stands for a number."""
    if not shape:
        return next(numbers)
    taken = list(islice(numbers, _size(shape)))
    numpy: Any = sys.modules["numpy"]
    filled = numpy.empty(len(taken), float if all(type(x) is float for x in taken) else object)
    filled[:] = taken
    return filled.reshape(shape)


def described(x: Any) -> str:
    """Say what came, for an error: a list of 3, None, 'text' of type str."""
    if x is None:
        return "None"
    if isinstance(x, list | tuple | dict):
        return f"a {type(x).__name__} of {len(x)}"
    if shape_of(x):
        return f"an array of shape {x.shape}"
    return f"{x!r:.60} of type {type(x).__name__}"
