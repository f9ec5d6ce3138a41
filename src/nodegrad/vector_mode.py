"""Vector mode: many sweeps over floats as one, in which each node carries a number for each sweep.

The chain rule is that of `sweep`, and a partial is computed once for all sweeps. The numbers of a node are a
dict by sweep while few sweeps have reached it, so that a banded Jacobian costs what its entries cost. Once
many have, and if NumPy is loaded, they are an array. Only `_add_to_many` changes arrays: those that it made.

A sweep by itself skips zeros, but one over vectors cannot, and 0 · inf is nan. So the caller has to do each
sweep by itself if a result is not finite (Griewank & Walther, Evaluating Derivatives, 2008, section 4.5).
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from operator import is_
from typing import Any

from nodegrad.sweep import partials

__all__ = ()

Vector = Any  # a node's numbers: a defaultdict by sweep, or an array with one number for each sweep

_ENTRIES = 8_000_000  # numbers held at once: 64 MB in arrays
_FULL = 4  # a dict becomes a full vector once it holds one number in this many
_MANY = 32  # operands whose vectors are added to at once


def reverse_vectors(order: Sequence[Any], vectors: dict[Any, Vector], width: int) -> dict[Any, Vector] | None:
    """Carry vectors of adjoints from the outputs back to the leaves; None if they would take too much memory.

    Args:
        order: the nodes, operands first.
        vectors: what each output starts with, a dict. They are changed, and those of leaves returned.
        width: the number of sweeps.
    """
    most, last = _ENTRIES // width, ([None], None)
    for node in reversed(order):
        if node.op is None or node not in vectors:
            continue
        adjoints = dense(vectors.pop(node), width, width / _FULL)
        few, kind = adjoints.items() if isinstance(adjoints, dict) else None, type(adjoints)
        wide = few is None and _MANY <= len(node.operands) <= most
        if wide and kind in map(type, map(vectors.get, node.operands)):
            last = _add_to_many(vectors, node, adjoints, *last)
            continue
        for operand, partial, selected in partials(node):
            if selected == 0.0:
                continue
            vector = vectors.get(operand)
            if few is not None and type(vector) is defaultdict:
                for k, x in few:  # as `_plus` does, without the call, which takes most of the time
                    vector[k] += partial * x
            else:
                vectors[operand] = _plus(vector, partial, adjoints)
        if len(vectors) > most:
            return None
    return vectors


def _add_to_many(vectors: dict[Any, Vector], node: Any, adjoints: Any, last: list[Any], whole: Any) -> Any:
    """Add partial · adjoints to the vectors of many operands; return both, and the vectors as one array.

    The nodes of a layer have the same operands. While these have the vectors that the last call made, all are
    added to at once, which takes half the time.
    """
    links = [(operand, partial) for operand, partial, selected in partials(node) if selected != 0.0]
    terms = sys.modules["numpy"].multiply.outer([partial for _, partial in links], adjoints)
    operands = [operand for operand, _ in links]
    found = [*operands, *map(vectors.get, operands)]
    if len(found) == len(last) and all(map(is_, found, last)):
        whole += terms
        return last, whole
    rows = list(terms)
    for operand, row in zip(operands, rows, strict=True):
        if operand in vectors:
            row += dense(vectors[operand], len(row))
        vectors[operand] = row
    return [*operands, *rows], terms


def forward_vectors(order: Sequence[Any], vectors: dict[Any, Vector], width: int) -> dict[Any, Vector] | None:
    """Carry vectors of tangents from the variables on to the outputs, as `reverse_vectors` does back."""
    held = 0
    for node in order:
        if node in vectors or vectors.keys().isdisjoint(node.operands):
            continue
        tangents = None
        for operand, partial, selected in partials(node):
            if operand in vectors and selected != 0.0:
                tangents = _plus(tangents, partial, vectors[operand])
        if tangents is not None:
            vectors[node] = tangents = dense(tangents, width, width / _FULL)
            held += len(tangents)
            if held > _ENTRIES:
                return None
    return vectors


def dense(vector: Vector, width: int, least: float = 0.0) -> Vector:
    """Return an array, 0 where no sweep has reached the node; without NumPy, or of fewer numbers, a dict."""
    if not isinstance(vector, dict) or len(vector) < least or "numpy" not in sys.modules:
        return vector
    full = sys.modules["numpy"].zeros(width)
    for k, x in vector.items():
        full[k] = x
    return full


def _plus(vector: Vector, partial: float, term: Vector) -> Vector:
    """Return vector + partial · term. A vector that is a dict is changed; None stands for no numbers yet."""
    if isinstance(term, dict):
        if not isinstance(vector, dict):
            vector = defaultdict(float) if vector is None else vector.copy()
        for k, x in term.items():
            vector[k] += partial * x
        return vector
    if partial != 1.0:
        term = partial * term
    if isinstance(vector, dict):
        return _plus(term, 1.0, vector)
    return term if vector is None else vector + term
