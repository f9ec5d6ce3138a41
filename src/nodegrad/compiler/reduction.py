"""Sums over rows: split a program into what is computed for each row, and what is added up over all rows.

Products of every a and every b that nothing else reads are not written for every row: Σ_rows a·b is a
contraction over rows. So the gradient δ⊗x of a layer's weights is one matrix product over the whole batch.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from nodegrad.compiler.slots import outer, separable
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, VectorProgram, check, slots_read
from nodegrad.ops import dot, mul, strong_dot, strong_mul

__all__ = ()

Sums = np.ndarray[Any, np.dtype[np.float64]]
Grids = Callable[[Slots, Slots], bool]


class ProductSum(NamedTuple):
    """Σ_rows Σₜ a[i,t]·b[i,t] for every i. If `strong`, a product is 0 wherever a is 0, whatever b is.

    The slots of a and of b are separable: slot (i, t) is a number for i plus a number for t. All i combine
    every a with every b.
    """

    strong: bool
    a: Slots
    b: Slots


class Reduction(NamedTuple):
    """A vector program for each row, and the sums over rows of some slots, then of products.

    The results are the sums of `slots`, then those of each of `products`. Output k of the original program is
    the result number `take[k]`.
    """

    program: VectorProgram
    slots: Slots
    products: list[ProductSum]
    take: Slots


_STRONG = {mul: False, dot: False, strong_mul: True, strong_dot: True}


def plan_reduction(program: VectorProgram, lays_out: Grids = lambda x, y: True) -> Reduction:
    """Remove the products that only sums over rows use from a program.

    `lays_out`: whether a backend adds up sums of products of these x and these y over rows. Others are
    computed for each row.
    """
    read = np.zeros(program.varying, bool)
    for item in program.body:
        read[slots_read(item, uniform=False)] = True
    wanted = np.zeros(program.varying, bool)
    wanted[program.outputs] = True
    stays = np.ones(program.varying, bool)
    body: list[Item] = []
    products: list[Group] = []
    for item in program.body:
        if type(item) is Group and _only_summed(item, read, wanted, lays_out):
            products.append(item)
            stays[item.start : item.start + item.count] = False
        else:
            body.append(item)
    move = np.cumsum(stays) - 1  # the new place of each slot that stays
    slots = np.flatnonzero(wanted & stays)
    summed = np.concatenate([slots, *[np.arange(each.start, each.start + each.count) for each in products]])
    place = np.zeros(program.varying, np.int64)  # among the sums
    place[summed] = np.arange(len(summed))
    sums = []
    for each in products:
        a, b = (move[index.slots.reshape(each.count, -1)] for index in each.operands)
        sums.append(ProductSum(_STRONG[each.op], a, b))
    left = [_moved(item, move) for item in body] if products else body
    smaller = replace(program, body=left, outputs=move[slots], varying=int(stays.sum()))
    return Reduction(check(smaller), move[slots], sums, place[program.outputs])


def added(sums: Sequence[Sums]) -> Sums:
    """Add up sums over parts of the rows, in order, without a warning on overflow."""
    if len(sums) == 1:
        return sums[0]
    with np.errstate(all="ignore"):
        return np.asarray(sum(sums[1:], start=sums[0]))


def averaged(total: Sums, reduce: str, count: int) -> Sums:
    """Divide sums over rows by their number if `reduce` is "mean", in place."""
    if reduce == "mean" and count > 1:
        total /= np.array(count, np.float64)  # a Python number takes twice as long
    return total


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


def _only_summed(group: Group, read: np.ndarray, wanted: np.ndarray, lays_out: Grids) -> bool:
    span = slice(group.start, group.start + group.count)
    return (
        group.op in _STRONG
        and group.first is None
        and not any(index.uniform for index in group.operands)
        and bool(wanted[span].all())
        and not read[span].any()
        and _is_grid(lays_out, *[index.slots.reshape(group.count, -1) for index in group.operands])
    )


def _is_grid(lays_out: Grids, a: Slots, b: Slots) -> bool:
    """Return whether products are those of `ProductSum`. To write others for each row costs 5 to 10 %."""
    regular = separable(a) is not None and separable(b) is not None
    grid = outer(a[:, 0], b[:, 0]) if regular else None
    return grid is not None and (a.shape[1] == 1 or lays_out(*grid))
