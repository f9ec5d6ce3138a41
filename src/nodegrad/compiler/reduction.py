"""Sums over rows: what is left to do for each row, and what is added up over all of them.

A product that nothing else reads is not written for every row: Σ_rows a·b is a contraction over rows. This is
how the gradient δ⊗x of a layer's weights becomes one matrix product over the whole batch.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nodegrad.compiler.slots import separable
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, VectorProgram, check, slots_read
from nodegrad.ops import dot, mul, strong_dot, strong_mul

__all__ = ()

Sums = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class ProductSum:
    """Σ_rows Σₜ a[i,t]·b[i,t] for every i. If `strong`, a product is 0 wherever a is 0, whatever b is.

    The slots of a and of b are separable: slot (i, t) is a number for i plus a number for t.
    """

    strong: bool
    a: Slots
    b: Slots


@dataclass(frozen=True, slots=True)
class Reduction:
    """A vector program for each row, and the sums over rows of some slots, then of products.

    The results are the sums of `slots`, then those of each of `products`. Output k of the original program is
    the result number `take[k]`.
    """

    program: VectorProgram
    slots: Slots
    products: list[ProductSum]
    take: Slots


_STRONG = {mul: False, dot: False, strong_mul: True, strong_dot: True}


def plan_reduction(program: VectorProgram) -> Reduction:
    """Remove the products that only sums over rows use from a program."""
    read = np.zeros(program.varying, bool)
    for item in program.body:
        read[slots_read(item, uniform=False)] = True
    wanted = np.zeros(program.varying, bool)
    wanted[program.outputs] = True
    body: list[Item] = []
    products: list[Group] = []
    for item in program.body:
        if type(item) is Group and _only_summed(item, read, wanted):
            products.append(item)
            wanted[item.start : item.start + item.count] = False
        else:
            body.append(item)
    slots = np.flatnonzero(wanted)
    place = np.zeros(program.varying, np.int64)
    place[slots] = np.arange(len(slots))
    end = len(slots)
    sums = []
    for group in products:
        place[group.start : group.start + group.count] = np.arange(end, end + group.count)
        end += group.count
        a, b = (index.slots.reshape(group.count, -1) for index in group.operands)
        sums.append(ProductSum(_STRONG[group.op], a, b))
    move = _close_up(program, products)
    moved = [_moved(item, move) for item in body] if products else body
    sums = [replace(each, a=move[each.a], b=move[each.b]) for each in sums]
    left = program.varying - sum(group.count for group in products)
    smaller = replace(program, body=moved, outputs=move[slots], varying=left)
    return Reduction(check(smaller), move[slots], sums, place[program.outputs])


def added(sums: Sequence[Sums]) -> Sums:
    """Add up sums over parts of the rows, in order, without a warning on overflow."""
    with np.errstate(all="ignore"):
        return np.asarray(sum(sums[1:], start=sums[0]))


def _close_up(program: VectorProgram, gone: list[Group]) -> Slots:
    """Return the new place of each slot after the slots of some groups are removed."""
    keep = np.ones(program.varying, np.int64)
    for group in gone:
        keep[group.start : group.start + group.count] = 0
    return np.cumsum(keep) - 1


def _moved(item: Item, move: Slots) -> Item:
    start = int(move[item.start])
    if isinstance(item, Straight):
        slots = np.array(item.operands)
        slots[slots >= 0] = move[slots[slots >= 0]]
        return replace(item, start=start, operands=array("q", slots.tobytes()))
    operands = tuple([_moved_index(index, move) for index in item.operands])
    return replace(item, start=start, operands=operands, first=_moved_index(item.first, move))


def _moved_index(index: Any, move: Slots) -> Any:
    return index if index is None or index.uniform else Index(False, move[index.slots])


def _only_summed(group: Group, read: np.ndarray, wanted: np.ndarray) -> bool:
    span = slice(group.start, group.start + group.count)
    return (
        group.op in _STRONG
        and group.first is None
        and not any(index.uniform for index in group.operands)
        and (group.terms < 2 or all(separable(index.slots) is not None for index in group.operands))
        and bool(wanted[span].all())
        and not read[span].any()
    )
