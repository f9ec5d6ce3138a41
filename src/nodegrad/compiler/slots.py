"""Find what is regular in the slots of an operand: runs, strides, rows plus columns, outer products."""

import numpy as np

from nodegrad.compiler.vector import Slots

__all__ = ()


def affine(slots: Slots) -> tuple[int, int] | None:
    """Return (base, stride) if slot i is base + i·stride."""
    if len(slots) == 1:
        return int(slots[0]), 0
    stride = int(slots[1]) - int(slots[0])
    regular = slots[-1] - slots[0] == stride * (len(slots) - 1) and bool((np.diff(slots) == stride).all())
    return (int(slots[0]), stride) if regular else None


def separable(slots: Slots) -> tuple[Slots, Slots] | None:
    """Return (rows, columns) if slot (i, t) is rows[i] + columns[t], with columns[0] = 0."""
    rows, columns = slots[:, 0], slots[0] - slots[0, 0]
    return (rows, columns) if bool((slots == rows[:, None] + columns).all()) else None


def run_length(slots: Slots) -> int:
    """Return the length of the runs of equal slots; 1 if the runs differ in length."""
    changes = np.flatnonzero(np.diff(slots)) + 1
    length = int(changes[0]) if len(changes) else len(slots)
    regular = len(slots) % length == 0 and len(changes) == len(slots) // length - 1
    return length if regular and bool((changes % length == 0).all()) else 1


def outer(xs: Slots, ys: Slots) -> tuple[Slots, Slots] | None:
    """Return (x, y) if the pairs (xs[i], ys[i]) combine every x with every y, x changing more slowly."""
    length = run_length(xs)
    x, y = xs[::length], ys[:length]
    return (x, y) if bool((ys.reshape(-1, length) == y).all()) else None
