"""Sparsity: which outputs depend on which inputs, and which inputs can share a sweep."""

from collections.abc import Sequence
from typing import Any

__all__ = ()


def pattern(order: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> list[list[int]]:
    """Return for each output the places of the inputs that it depends on, in a graph in topological order.

    The derivative by any other input is 0 whatever the numbers are: there is no path, or each path has a
    partial that is 0 everywhere.
    """
    masks: dict[Any, int] = {}  # a bit per input
    for place, node in enumerate(inputs):
        masks[node] = masks.get(node, 0) | 1 << place
    for node in order:
        if node not in masks:
            mask = 0
            for operand in _differentiated(node):
                mask |= masks.get(operand, 0)  # constants have none
            masks[node] = mask
    return [_bits(masks.get(output, 0)) for output in outputs]


def _differentiated(node: Any) -> list[Any]:
    """List the operands for which a node has a partial that is not 0 everywhere."""
    operands = node.operands
    if not operands or callable(node.op.partials):
        return list(operands)
    return [operand for operand, rule in zip(operands, node.op.partials, strict=True) if rule is not None]


def _bits(mask: int) -> list[int]:
    """List the places of the bits that are set."""
    places = []
    while mask:
        lowest = mask & -mask
        places.append(lowest.bit_length() - 1)
        mask ^= lowest
    return places


def groups(rows: Sequence[Sequence[int]], columns: int) -> list[list[int]]:
    """Divide columns into groups in which no two have an entry in one row (Curtis, Powell & Reid 1974).

    One sweep finds the entries of a whole group. Each column goes into the first group it fits.
    """
    rows_of: list[list[int]] = [[] for _ in range(columns)]
    for row, places in enumerate(rows):
        for place in places:
            rows_of[place].append(row)
    taken: list[set[int]] = [set() for _ in rows]  # the groups that have an entry in a row
    found: list[list[int]] = []
    for column, own in enumerate(rows_of):
        full = set().union(*[taken[row] for row in own])
        group = next(number for number in range(len(found) + 1) if number not in full)
        if group == len(found):
            found.append([])
        found[group].append(column)
        for row in own:
            taken[row].add(group)
    return found
