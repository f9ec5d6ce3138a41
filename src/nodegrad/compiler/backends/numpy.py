"""The NumPy backend: a vector program run on arrays [slot, row]. Always there; the reference for others."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from nodegrad import ops
from nodegrad.compiler.program import PRODUCTS, STEPS, STRONG_DOT
from nodegrad.compiler.reduction import ProductSum, Reduction, plan_reduction
from nodegrad.compiler.slots import outer, separable
from nodegrad.compiler.vector import Group, Index, Item, Straight, VectorProgram, scalars
from nodegrad.compiler.vectorize import COPY
from nodegrad.ops import Op

Array = np.ndarray[Any, np.dtype[np.float64]]
Function = Callable[..., Any]

_BLOCK = 2_000_000  # numbers in flight: a block of rows has as many rows as make about so many slots


def _sigmoid(x: Array) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def _softplus(x: Array) -> Any:
    tail = np.log1p(np.exp(-np.abs(x)))
    return np.where(x > 0.0, x + tail, tail)


def _pow(x: Array, y: Array) -> Any:
    return np.where(y == 2.0, x * x, np.power(x, y))


# Spellings that give what the table gives to the bit.
EXACT: dict[Op, Function] = {
    ops.add: np.add,
    ops.sub: np.subtract,
    ops.mul: np.multiply,
    ops.div: np.divide,
    ops.neg: np.negative,
    ops.abs: np.abs,
    ops.sign: lambda x: np.where(x > 0.0, 1.0, np.where(x < 0.0, -1.0, x)),
    ops.floor: np.floor,
    ops.ceil: np.ceil,
    ops.round: np.rint,
    ops.trunc: np.trunc,
    ops.sqrt: np.sqrt,
    ops.square: lambda x: x * x,
    ops.reciprocal: lambda x: 1.0 / x,
    ops.relu: lambda x: np.where(x <= 0.0, 0.0, x),
    ops.step: lambda x: np.where(x > 0.0, 1.0, np.where(np.isnan(x), x, 0.0)),
    ops.maximum: lambda x, y: np.where((x >= y) | np.isnan(x), x, y),
    ops.minimum: lambda x, y: np.where((x <= y) | np.isnan(x), x, y),
    ops.where: lambda c, x, y: np.where(c != 0.0, x, y),
    ops.copysign: np.copysign,
    ops.lt: lambda x, y: (x < y) * 1.0,
    ops.le: lambda x, y: (x <= y) * 1.0,
    ops.gt: lambda x, y: (x > y) * 1.0,
    ops.ge: lambda x, y: (x >= y) * 1.0,
    ops.eq: lambda x, y: (x == y) * 1.0,
    ops.ne: lambda x, y: (x != y) * 1.0,
    ops.identity: np.positive,
    ops.stop_gradient: np.positive,
    COPY: np.positive,
    ops.strong_mul: lambda a, p: np.where(a != 0.0, a * p, 0.0),
    ops.strong_factor: lambda a, p: np.where((a != 0.0) | np.isfinite(p), p, 0.0),
}

# Spellings within a few ulp. What is in neither (erf, custom operations) is computed number by number as the
# table does.
FAST: dict[Op, Function] = EXACT | {
    ops.exp: np.exp,
    ops.exp2: np.exp2,
    ops.expm1: np.expm1,
    ops.log: np.log,
    ops.log2: np.log2,
    ops.log10: np.log10,
    ops.log1p: np.log1p,
    ops.cbrt: np.cbrt,
    ops.sin: np.sin,
    ops.cos: np.cos,
    ops.tan: np.tan,
    ops.asin: np.arcsin,
    ops.acos: np.arccos,
    ops.atan: np.arctan,
    ops.atan2: np.arctan2,
    ops.hypot: np.hypot,
    ops.sinh: np.sinh,
    ops.cosh: np.cosh,
    ops.tanh: np.tanh,
    ops.asinh: np.arcsinh,
    ops.acosh: np.arccosh,
    ops.atanh: np.arctanh,
    ops.pow: _pow,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
}


def _by_number(op: Op) -> Function:
    """Compute an operation number by number, as eager code does."""

    def function(*operands: Array) -> Array:
        arrays = np.broadcast_arrays(*operands)
        rows = zip(*[array.ravel().tolist() for array in arrays], strict=True)
        return np.array([op.value(*row) for row in rows], float).reshape(arrays[0].shape)

    return function


class NumpyBackend:
    """Runs one vector program, row by row or summed over rows."""

    name = "numpy"

    def __init__(self, program: VectorProgram, exact: bool = False) -> None:
        self.program = program
        self.exact = exact
        self.table = EXACT if exact else FAST
        self._reduction: Reduction | None = None

    def rows(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return the outputs as an array [output, row]; `blocks` are arrays [row, input], side by side."""
        out = np.empty((len(self.program.outputs), count))
        with np.errstate(all="ignore"):
            uniform = self._prologue(self.program, parameters)
            for start, varying in self._blocks(self.program, blocks, count, uniform):
                out[:, start : start + varying.shape[1]] = varying[self.program.outputs]
        return out

    def sums(self, blocks: list[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""
        plan = self._reduction = self._reduction or plan_reduction(self.program)
        total: Any = 0.0
        with np.errstate(all="ignore"):
            uniform = self._prologue(plan.program, parameters)
            for _, varying in self._blocks(plan.program, blocks, count, uniform):
                parts = [varying[plan.slots].sum(axis=1)]
                parts += [_sum_products(varying, product) for product in plan.products]
                total = total + np.concatenate(parts)
        return np.asarray(total[plan.take])

    def bound(self, blocks: list[Array], count: int) -> Callable[[Array], Array]:
        """Return `sums` over these rows as a function of the parameters; the rows may change in place."""
        return partial(self.sums, blocks, count)

    def one(self, numbers: Sequence[float], parameters: Sequence[float]) -> list[float]:
        """Return the outputs for one row."""
        found = self.rows([np.array([numbers], float)], 1, np.array(parameters, float))[:, 0].tolist()
        return list(found)

    def _prologue(self, program: VectorProgram, parameters: Array) -> Array:
        uniform = np.empty(program.uniform)
        uniform[: program.parameters] = parameters
        uniform[program.parameters :][: len(program.constants)] = program.constants
        column = uniform[:, None]
        for item in program.prologue:
            self._run(item, column, column, column)
        return uniform

    def _blocks(self, program: VectorProgram, blocks: list[Array], count: int, uniform: Array) -> Any:
        size = max(16, _BLOCK // max(1, program.varying))
        for start in range(0, count, size):
            stop = min(count, start + size)
            varying = np.empty((program.varying, stop - start))
            if blocks:
                np.concatenate([block[start:stop].T for block in blocks], out=varying[: program.inputs])
            for item in program.body:
                self._run(item, varying, varying, uniform[:, None])
            yield start, varying

    def _run(self, item: Item, target: Array, varying: Array, uniform: Array) -> None:
        if type(item) is Straight:
            for op, result, slots in scalars(item):
                operands = [uniform[~slot] if slot < 0 else varying[slot] for slot in slots]
                target[result] = self._function(op)(*operands)
            return
        assert type(item) is Group
        if item.terms:
            found = self._contract(item, varying, uniform)
        else:
            found = self._function(item.op)(*[_read(index, varying, uniform) for index in item.operands])
        target[item.start : item.start + item.count] = found

    def _function(self, op: Op) -> Function:
        found = self.table.get(op)
        return _by_number(op) if found is None else found

    def _contract(self, group: Group, varying: Array, uniform: Array) -> Any:
        if len(group.operands) == 1 or self.exact:
            return _in_order(group, varying, uniform)
        a, b = group.operands
        parts = separable(b.slots)
        if a.uniform and not b.uniform and parts is not None and (parts[0] == parts[0][0]).all():
            found = uniform[a.slots, 0] @ varying[b.slots[0]]
        elif group.op is STRONG_DOT and b.uniform and not a.uniform and (a.slots == a.slots[0]).all():
            found = uniform[b.slots, 0] @ varying[a.slots[0]]
        else:
            found = np.einsum("itr,itr->ir", _read(a, varying, uniform), _read(b, varying, uniform))
        if group.first is not None:
            found = found + _read(group.first, varying, uniform)
        if group.op is STRONG_DOT and np.isnan(found).any():
            return _in_order(group, varying, uniform)
        return found


def _read(index: Index, varying: Array, uniform: Array) -> Any:
    return uniform[index.slots] if index.uniform else varying[index.slots]


def _in_order(group: Group, varying: Array, uniform: Array) -> Any:
    """Take in the terms of a contraction from left to right."""
    step = EXACT[STEPS[group.op]]
    total = None if group.first is None else _read(group.first, varying, uniform)
    product = EXACT[PRODUCTS.get(group.op, ops.mul)]
    for term in range(group.terms):
        parts = [_read(Index(each.uniform, each.slots[:, term]), varying, uniform) for each in group.operands]
        value = parts[0] if len(parts) == 1 else product(*parts)
        total = value if total is None else step(total, value)
    return total


def _sum_products(varying: Array, product: ProductSum) -> Any:
    """Sum products over rows: a matrix product where every a meets every b."""
    a, b = product.a, product.b
    grid = outer(a[:, 0], b[:, 0]) if _all_separable(a, b) else None
    total: Any = 0.0
    for term in range(a.shape[1]):
        if grid is not None:
            x, y = (slots + (each[0, term] - each[0, 0]) for slots, each in zip(grid, (a, b), strict=True))
            total = total + (varying[x] @ varying[y].T).ravel()
        else:
            total = total + np.einsum("ir,ir->i", varying[a[:, term]], varying[b[:, term]])
    if product.strong and not np.isfinite(total).all():
        strong = EXACT[ops.strong_mul]
        return sum(strong(varying[x], varying[y]).sum(axis=1) for x, y in zip(a.T, b.T, strict=True))
    return total


def _all_separable(*tables: Any) -> bool:
    return all(separable(table) is not None for table in tables)
