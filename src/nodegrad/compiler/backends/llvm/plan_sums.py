"""Plan sums: the sums over rows of a program -> kernels and their records."""

from typing import Any

import numpy as np

from nodegrad.compiler.backends.llvm import row_sums, sums
from nodegrad.compiler.backends.llvm.fuse import Records
from nodegrad.compiler.reduction import Reduction
from nodegrad.compiler.slots import affine, outer, separable
from nodegrad.compiler.vector import Slots

__all__ = ()


def plan_sums(records: Records, plan: Reduction, lanes: int, width: int) -> tuple[Slots, int]:
    """Lay out sums over rows in tiles whose sums stay in registers, and add their records.

    Returns:
        For each result where it is among the sums, and how many sums there are.
    """
    records.length = width
    places: list[Slots] = []
    size = 0
    if count := len(plan.slots):
        tiles = -(-count // row_sums.TILE)
        table = records.table(_filled(plan.slots, row_sums.TILE))
        records.add(row_sums.RowSums(lanes), [tiles, table, size])
        places.append(np.arange(count))
        size = row_sums.TILE * tiles
    for each in plan.products:
        factors: Any = [separable(slots) for slots in (each.a, each.b)]
        grid: Any = outer(*[rows for rows, _ in factors])
        tile, panel = sums.TILE, sums.VECTORS * width
        swapped = _padded(grid[1], grid[0], tile, panel) < _padded(grid[0], grid[1], tile, panel)
        sides = [(rows, columns) for rows, (_, columns) in zip(grid, factors, strict=True)]
        left, right = sides[::-1] if swapped else sides
        tiles, panels = -(-len(left[0]) // tile), -(-len(right[0]) // panel)
        words = [panels, tiles, each.a.shape[1]]
        kinds = _add_factors(records, words, [left, right], [tile, panel])
        records.add(sums.OuterSums(lanes, kinds, each.strong), [*words, int(swapped), size])
        i, j = np.indices((len(grid[0]), len(grid[1]))).reshape(2, -1)
        i, j = (j, i) if swapped else (i, j)
        places.append(size + ((j // panel * tiles + i // tile) * tile + i % tile) * panel + j % panel)
        size += tiles * tile * panels * panel
    return np.concatenate([np.zeros(0, np.int64), *places])[plan.take], size


def _padded(left: Slots, right: Slots, tile: int, panel: int) -> tuple[int, int]:
    """Return how many sums there are, those that fill tiles included, and how many slots are laid out."""
    return -(-len(left) // tile) * tile * -(-len(right) // panel), len(right)


def _add_factors(records: Records, words: list[int], factors: Any, sizes: list[int]) -> tuple[str, ...]:
    """Append the words of factors, the last row repeated to fill a tile; return the kinds of columns."""
    kinds = []
    for (rows, columns), size in zip(factors, sizes, strict=True):
        line = affine(columns)
        words += [records.table(_filled(rows, size)), records.table(columns) if line is None else line[1]]
        kinds.append("table" if line is None else "stride")
    return tuple(kinds)


def _filled(slots: Slots, size: int) -> Slots:
    """Return slots, the last repeated to fill a tile."""
    return np.concatenate([slots, np.repeat(slots[-1:], -len(slots) % size)])
