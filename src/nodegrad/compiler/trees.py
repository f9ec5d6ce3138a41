"""Nested lists, tuples, dicts and NumPy arrays: taken apart into numbers, and put together again."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

LEAF = "*"  # the spec of one number

Spec = Any  # LEAF, or (container type, keys or shape, specs of the entries)


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """Take a tree apart: its leaves from left to right, and the spec that puts them together again."""
    leaves: list[Any] = []
    return leaves, _spec(tree, leaves)


def _spec(tree: Any, leaves: list[Any]) -> Spec:
    kind = type(tree)
    if kind is list or isinstance(tree, tuple):
        return kind, None, tuple([_spec(entry, leaves) for entry in tree])
    if kind is dict:
        return dict, tuple(tree), tuple([_spec(entry, leaves) for entry in tree.values()])
    if kind is np.ndarray and tree.ndim:
        leaves += tree.ravel().tolist() if tree.dtype != object else list(tree.flat)
        return np.ndarray, tree.shape, ()
    leaves.append(tree)
    return LEAF


def unflatten(spec: Spec, leaves: list[Any], dtype: Any = object) -> Any:
    """Put leaves together as `spec` says; arrays get `dtype`."""
    return builder(spec)(leaves, 0, dtype)[0]


Leaves = Any  # a list, or an array of floats
Build = Callable[[Leaves, int, Any], tuple[Any, int]]


@lru_cache(maxsize=256)
def builder(spec: Spec, of_array: bool = False) -> Build:
    """Return the function (leaves, place of the first, dtype) -> (tree, place after the last) of a spec.

    The leaves are a list or, with `of_array`, an array of floats that nothing else uses: the larger part of
    it may become part of the tree. Numbers are Python floats either way.
    """
    if spec == LEAF:
        return _float if of_array else lambda leaves, start, dtype: (leaves[start], start + 1)
    kind, form, entries = spec
    if kind is np.ndarray:
        return partial(_build_array, form, of_array)
    finish = partial(_dict, form) if kind is dict else _namedtuple(kind) if hasattr(kind, "_fields") else kind
    if all(entry == LEAF for entry in entries):
        return partial(_build_flat, None if kind is list else finish, len(entries), of_array)
    return partial(_build_nested, finish, tuple([builder(entry, of_array) for entry in entries]))


def _float(leaves: Leaves, start: int, dtype: Any) -> tuple[float, int]:
    return float(leaves[start]), start + 1


def _build_flat(
    finish: Any, count: int, of_array: bool, leaves: Leaves, start: int, dtype: Any
) -> tuple[Any, int]:
    end = start + count
    built = leaves[start:end].tolist() if of_array else leaves[start:end]
    return built if finish is None else finish(built), end


def _build_nested(
    finish: Any, parts: tuple[Build, ...], leaves: Leaves, start: int, dtype: Any
) -> tuple[Any, int]:
    built = []
    for part in parts:
        entry, start = part(leaves, start, dtype)
        built.append(entry)
    return finish(built), start


def _build_array(
    form: tuple[int, ...], of_array: bool, leaves: Leaves, start: int, dtype: Any
) -> tuple[Any, int]:
    size = prod(form)
    if of_array and 2 * size > len(leaves):  # a smaller part would keep the whole alive
        return leaves[start : start + size].reshape(form), start + size
    out = np.empty(size, dtype)
    out[:] = leaves[start : start + size]
    return out.reshape(form), start + size


def _dict(keys: tuple[Any, ...], entries: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(keys, entries, strict=True))


def _namedtuple(kind: Any) -> Callable[[Sequence[Any]], Any]:
    return lambda entries: kind(*entries)


def mapped(spec: Spec) -> Spec:
    """Return the spec of what `map` returns: a list of numbers becomes an array."""
    if spec == LEAF:
        return LEAF
    kind, form, entries = spec
    if kind is list and entries and all(entry == LEAF for entry in entries):
        return np.ndarray, (len(entries),), ()
    return kind, form, tuple(map(mapped, entries))


def stack(spec: Spec, leaves: Iterator[Any]) -> Any:
    """Put columns (one array of rows per leaf) together as `spec` says; arrays have rows first."""
    if spec == LEAF:
        return next(leaves)
    kind, form, entries = spec
    if kind is np.ndarray:
        parts = [next(leaves) for _ in range(int(np.prod(form)))]
        return np.stack(parts, axis=-1).reshape(*parts[0].shape, *form) if parts else np.empty(form)
    built = [stack(entry, leaves) for entry in entries]
    if kind is dict:
        return dict(zip(form, built, strict=True))
    return kind(*built) if hasattr(kind, "_fields") else kind(built)
