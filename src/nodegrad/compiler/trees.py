"""Nested lists, tuples, dicts and NumPy arrays: taken apart into numbers, and put together again."""

from collections.abc import Iterator, Sequence
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


def unflatten(spec: Spec, leaves: Sequence[Any], dtype: Any = object) -> Any:
    """Put leaves together as `spec` says; arrays get `dtype`."""
    return _build(spec, iter(leaves), dtype)


def _build(spec: Spec, leaves: Iterator[Any], dtype: Any) -> Any:
    if spec is LEAF or spec == LEAF:
        return next(leaves)
    kind, form, entries = spec
    if kind is np.ndarray:
        out = np.empty(form, dtype)
        for index in range(out.size):
            out.flat[index] = next(leaves)
        return out
    built = [_build(entry, leaves, dtype) for entry in entries]
    if kind is dict:
        return dict(zip(form, built, strict=True))
    return kind(*built) if hasattr(kind, "_fields") else kind(built)


def size(spec: Spec) -> int:
    """Count the leaves of a spec."""
    if spec == LEAF:
        return 1
    kind, form, entries = spec
    return int(np.prod(form)) if kind is np.ndarray else sum(map(size, entries))


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
