"""Print a vector program as you would write it by hand: W @ x, relu(h), Wᵀ @ δ, δ ⊗ x.

x are the inputs, p the parameters (leaves that the function closes over), u the results that depend only on
parameters, v the results that depend on the row.
"""

from collections.abc import Iterator
from itertools import count, pairwise

import numpy as np

from nodegrad.compiler.program import render_turn
from nodegrad.compiler.slots import affine, outer, separable
from nodegrad.compiler.vector import Group, Index, Item, Slots, Straight, Turns, VectorProgram, scalars
from nodegrad.ops import mul, strong_mul
from nodegrad.ops import sum as sum_op

__all__ = ()

_LONGEST_STRAIGHT = 24
_INFIX = {"add", "sub", "mul", "div", "lt", "le", "gt", "ge", "eq", "ne", "strong_mul", "zero_mul"}


class _Names:
    """Names slots by the region they are in."""

    def __init__(self, program: VectorProgram) -> None:
        self.program = program
        uniform = program.parameters + len(program.constants)
        self.regions = {  # of each slot: its first slot, its size, its name
            False: [(0, program.inputs, "x")] * program.inputs + _regions(program.body, "v"),
            True: [(0, program.parameters, "p")] * uniform + _regions(program.prologue, "u"),
        }

    def slot(self, uniform: bool, slot: int) -> str:
        """Name one slot."""
        number = slot - self.program.parameters
        if uniform and 0 <= number < len(self.program.constants):
            return f"{self.program.constants[number]:g}"
        start, count, name = self.regions[uniform][slot]
        return name if count == 1 and name not in "xp" else f"{name}[{slot - start}]"

    def operand(self, uniform: bool, slots: Slots) -> str:
        """Name the slots of an operand: a region, a slice of one, or a table."""
        if (slots == slots[0]).all():
            return self.slot(uniform, int(slots[0]))
        start, count, name = self.regions[uniform][int(slots[0])]
        line = affine(slots)
        inside = start <= slots.min() and slots.max() < start + count
        if line is None or not inside:
            return f"{name}[table of {len(slots)}]"
        first, stride = line[0] - start, line[1]
        if stride == 1 and len(slots) == count:
            return name
        last = first + stride * (len(slots) - 1)
        end = last + (1 if stride > 0 else -1)
        return f"{name}[{first}:{end if end >= 0 else ''}{f':{stride}' if stride != 1 else ''}]"

    def matrix(self, uniform: bool, slots: Slots) -> str:
        """Name a table (result, term) of slots as a matrix, with ᵀ if it is stored column by column."""
        start, _, name = self.regions[uniform][int(slots.min())]
        parts = separable(slots)
        turned = (
            parts is not None
            and min(slots.shape) > 1
            and abs(int(parts[0][1] - parts[0][0])) < abs(int(parts[1][1]))
        )
        rows, columns = slots.shape[::-1] if turned else slots.shape
        return f"{name}[{int(slots.min()) - start}: {rows}×{columns}]{'ᵀ' if turned else ''}"


def _regions(items: list[Item], letter: str) -> list[tuple[int, int, str]]:
    number, found = count(), []
    for item in items:
        size = 1 if isinstance(item, Straight) else item.size  # each scalar operation has a name
        for start in range(item.start, item.start + item.size, size or 1):
            found += [(start, size, f"{letter}{next(number)}")] * size
    return found


def render(program: VectorProgram) -> str:
    """Print a vector program, one instruction per line."""
    names = _Names(program)
    lines = []
    for title, uniform, items in (
        ("once per call:", True, program.prologue),
        ("per row:", False, program.body),
    ):
        if items:
            lines.append(title)
            for item in items:
                lines += _lines(names, item, uniform)
    return "\n".join([*lines, f"return {_outputs(names, program.outputs)}"])


def _lines(names: _Names, item: Item, uniform: bool) -> Iterator[str]:
    if not isinstance(item, Straight):
        target = f"{names.regions[uniform][item.start][2]}[{item.size}]"
        yield f"  {target:<10} = {_expression(names, item)}"
        yield from [f"    {line}" for line in (render_turn(item.op) if isinstance(item, Turns) else ())]
        return
    found = list(scalars(item))
    for op, result, operands in found[:_LONGEST_STRAIGHT]:
        text = [names.slot(slot < 0, ~slot if slot < 0 else slot) for slot in operands]
        yield f"  {names.slot(uniform, result):<10} = {_spelled(op.name, op.symbol, text)}"
    if len(found) > _LONGEST_STRAIGHT:
        yield f"  ... and {len(found) - _LONGEST_STRAIGHT:,} more scalar operations"


def _spelled(name: str, symbol: str, operands: list[str]) -> str:
    if name in _INFIX:
        return f"{operands[0]} {'*' if name in ('strong_mul', 'zero_mul') else symbol} {operands[1]}"
    return f"{name}({', '.join(operands)})"


def _expression(names: _Names, group: Group) -> str:
    operands = [
        (names.operand if index.slots.ndim == 1 else names.matrix)(index.uniform, index.slots)
        for index in group.reads
    ]
    if isinstance(group, Turns):
        return f"loop({', '.join(operands)})"
    if group.terms:
        found = _contraction(names, group)
        if group.first is None:
            return found
        return f"{names.operand(group.first.uniform, group.first.slots)} + {found}"
    if group.op in (mul, strong_mul):
        product = _outer_product(names, *group.operands)
        if product:
            return product
    return _spelled(group.op.name, group.op.symbol, operands)


def _outer_product(names: _Names, x: Index, y: Index) -> str | None:
    grid = outer(x.slots, y.slots)
    if grid is None or len(grid[0]) == 1 or len(grid[1]) == 1:
        return None
    return f"{names.operand(x.uniform, grid[0])} ⊗ {names.operand(y.uniform, grid[1])}"


def _contraction(names: _Names, group: Group) -> str:
    if len(group.operands) == 1:
        (only,) = group.operands
        head = "Σ" if group.op is sum_op else group.op.symbol
        return f"{head} {names.matrix(only.uniform, only.slots)}"
    x, y = group.operands
    if (y.slots == y.slots[0]).all():
        return f"{names.matrix(x.uniform, x.slots)} @ {names.operand(y.uniform, y.slots[0])}"
    if (x.slots == x.slots[0]).all():
        return f"{names.matrix(y.uniform, y.slots)} @ {names.operand(x.uniform, x.slots[0])}"
    return f"Σ {names.matrix(x.uniform, x.slots)} * {names.matrix(y.uniform, y.slots)}"


def _outputs(names: _Names, outputs: Slots) -> str:
    """Name the outputs; consecutive slots of a region become one slice."""
    parts: list[str] = []
    breaks = [0, *(np.flatnonzero(np.diff(outputs) != 1) + 1).tolist(), len(outputs)]
    for start, stop in pairwise(breaks):
        if stop > start:
            run = outputs[start:stop]
            parts.append(names.operand(False, run) if stop - start > 1 else names.slot(False, int(run[0])))
    return ", ".join(parts[:12]) + (f", ... ({len(outputs)} in all)" if len(parts) > 12 else "")
