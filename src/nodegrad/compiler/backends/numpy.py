"""The NumPy backend: runs a vector program on arrays [slot, row]. It is always there."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from nodegrad import ops
from nodegrad.compiler.passes import is_square
from nodegrad.compiler.program import STEPS, Loop, Program, Result, interpret, term_by_term
from nodegrad.compiler.reduction import ProductSum, Reduction, plan_reduction
from nodegrad.compiler.slots import outer
from nodegrad.compiler.spellings import FUNCTIONS, SPELLINGS
from nodegrad.compiler.vector import Group, Index, Item, Straight, Turns, VectorProgram, scalars
from nodegrad.inputs import endless
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

Array = np.ndarray[Any, np.dtype[np.float64]]
Function = Callable[..., Any]

_FEW_LANES = 8  # a loop over at most this many lanes is faster on Python's numbers than on arrays
_BLOCK = 2_000_000  # numbers (slots times rows) in a block; more rows are computed block by block


def _by_number(op: Op) -> Function:
    """Return a function that computes an operation number by number, as eager code does."""

    def function(*operands: Array) -> Array:
        arrays = np.broadcast_arrays(*operands)
        found = map(op.value, *[array.ravel().tolist() for array in arrays])
        return np.array([*found], float).reshape(arrays[0].shape)

    return function


def _functions(exact: bool) -> dict[Op, Function]:
    """Return the function of every operation that is written in NumPy; the others run number by number."""
    rows = SPELLINGS.items()
    found: dict[Op, Function] = {
        op: getattr(np, row.numpy) for op, row in rows if row.numpy and (row.exact or not exact)
    }
    m = SimpleNamespace(
        where=np.where, **{name: found.get(op) or _by_number(op) for name, op in FUNCTIONS.items()}
    )
    return found | {op: partial(row.formula, m) for op, row in rows if row.formula is not None}


EXACT, FAST = _functions(exact=True), _functions(exact=False)


def _function(op: Op, exact: bool) -> Function:
    return (EXACT if exact else FAST).get(op) or _by_number(op)


class NumpyBackend:
    """Runs one vector program: every row, or the sums over rows."""

    name = "numpy"

    def __init__(self, program: VectorProgram, exact: bool = False) -> None:
        self.program = program
        self.exact = exact
        self._reduction: Reduction | None = None

    def rows(
        self, blocks: Sequence[Array], count: int, parameters: Array, out: Sequence[Array] = ()
    ) -> Array:
        """Return the outputs as an array [output, row], or write them to `out`, as `Backend` says."""
        program, found, start = self.program, np.empty((len(self.program.outputs), count)), 0
        with np.errstate(all="ignore"):
            for varying in self._blocks(program, blocks, count, parameters):
                stop = start + varying.shape[1]
                found[:, start:stop] = varying.take(program.outputs, 0)
                start = stop
        write_to(out, found)
        return found

    def sums(self, blocks: Sequence[Array], count: int, parameters: Array) -> Array:
        """Return every output summed over rows."""
        plan = self._reduction = self._reduction or plan_reduction(self.program)
        total: Any = 0.0
        with np.errstate(all="ignore"):
            for varying in self._blocks(plan.program, blocks, count, parameters):
                parts = [varying[plan.slots].sum(axis=1)]
                parts += [_sum_products(varying, product) for product in plan.products]
                total = total + np.concatenate(parts)
        return np.asarray(total[plan.take])

    def over(self, reduce: str | None, shapes: Sequence[tuple[int, ...]]) -> None:
        """Return None: NumPy has no faster way."""

    def one(self, numbers: Sequence[float], parameters: Any) -> list[float]:
        """Return the outputs for one row."""
        return list(self.row([numbers], np.array(parameters, float)).tolist())

    def row(self, parts: Sequence[Any], parameters: Array) -> Array:
        """Return the outputs for one row that is given in parts: numbers, lists and arrays of them."""
        return self.rows([np.reshape(part, (1, -1)) for part in parts], 1, parameters)[:, 0]

    def keep(self, key: str) -> None:
        """Do nothing: there is no native code."""

    def _blocks(self, program: VectorProgram, blocks: Sequence[Array], count: int, parameters: Array) -> Any:
        """Run the prologue once, then the body block by block; yield the slots [slot, row] of each block."""
        uniform = np.empty((program.uniform, 1))
        known = np.concatenate([parameters, program.constants])
        uniform[: len(known), 0] = known
        for item in program.prologue:
            self._run(item, uniform, uniform, uniform)
        size = max(16, _BLOCK // max(1, program.varying))
        for start in range(0, count, size):
            stop = min(count, start + size)
            varying = np.empty((program.varying, stop - start))
            if blocks:
                columns = [block[start:stop].reshape(stop - start, -1).T for block in blocks]
                np.concatenate(columns, out=varying[: program.inputs])
            for item in program.body:
                self._run(item, varying, varying, uniform)
            yield varying

    def _run(self, item: Item, target: Array, varying: Array, uniform: Array) -> None:
        if isinstance(item, Straight):
            for op, result, slots in scalars(item):
                operands = [uniform[~slot] if slot < 0 else varying[slot] for slot in slots]
                target[result] = _function(op, self.exact)(*operands)
            return
        if item.terms:
            found = self._contract(item, varying, uniform)
        else:
            operands = [_read(index, varying, uniform) for index in item.operands]
            if isinstance(item, Turns):
                found = _run_turns(item.op, operands, target.shape[1], self.exact)
            else:
                found = (_take if item.op is ops.take else _function(item.op, self.exact))(*operands)
        target[item.start : item.start + item.size] = found

    def _contract(self, group: Group, varying: Array, uniform: Array) -> Any:
        if len(group.operands) == 1 or self.exact:
            return _in_order(group, varying, uniform)
        a, b = group.operands
        for weights, x in ((a, b), (b, a)):
            if weights.uniform and not x.uniform and (x.slots == x.slots[0]).all():
                found = uniform[weights.slots, 0] @ varying[x.slots[0]]
                break
        else:
            found = np.einsum("itr,itr->ir", _read(a, varying, uniform), _read(b, varying, uniform))
        if group.first is not None:
            found = found + _read(group.first, varying, uniform)
        if group.op is ops.strong_dot and np.isnan(found).any():
            return _in_order(group, varying, uniform)
        return found


def write_to(blocks: Sequence[Array], found: Array) -> None:
    """Write results [result, row] to blocks [row, result]."""
    for block in blocks:
        block[:], found = found[: block.shape[1]].T, found[block.shape[1] :]


def _read(index: Index, varying: Array, uniform: Array) -> Any:
    return uniform[index.slots] if index.uniform else varying[index.slots]


def _take(index: Array, table: Any) -> Any:
    """Return entries of tables [result, entry, row] at indices [result, row]; nan outside."""
    whole = np.floor(index)
    inside = (whole >= 0.0) & (whole < table.shape[1])
    at = np.where(inside, whole, 0.0).astype(np.int64)[:, None]
    return np.where(inside, np.take_along_axis(table, at, axis=1)[:, 0], np.nan)


def _in_order(group: Group, varying: Array, uniform: Array) -> Any:
    """Add the terms of a contraction from left to right."""

    def terms(index: Index) -> Iterator[Any]:
        return (_read(Index(index.uniform, slots), varying, uniform) for slots in index.slots.T)

    first = [] if group.first is None else [_read(group.first, varying, uniform)]
    product = EXACT[PRODUCTS.get(group.op, ops.identity)]
    return reduce(EXACT[STEPS[group.op]], chain(first, map(product, *map(terms, group.operands))))


def _run_turns(loop: Loop, operands: Sequence[Array], rows: int, exact: bool) -> Any:
    """Run a loop on all rows at once, each row in a lane. Return [result, row]."""
    columns = [np.broadcast_to(x, rows) for each in operands for x in each.reshape(-1, each.shape[-1])]
    if rows > _FEW_LANES:
        return np.array(_loop(loop, exact, columns, rows))
    numbers = zip(*[column.tolist() for column in columns], strict=True)
    return np.array([loop.value(*each) for each in numbers], float).T


def _loop(loop: Loop, exact: bool, operands: Sequence[Any], lanes: int) -> list[Any]:
    """Run a loop on arrays [lane] and return its results. Lanes that are done are taken out."""
    fixed = loop.state + loop.outside
    state, outside = operands[: loop.state], operands[loop.state : fixed]
    if loop.condition is None:
        given: list[Any] = []
        for turn in range(loop.turns or 0):
            items = operands[fixed + turn * loop.items : fixed + (turn + 1) * loop.items]
            found = _turn(loop.body, [*state, *outside, *items], lanes, exact)
            state = found[: loop.state]
            given += found[loop.state :]
        return [*state, *given]
    done = [np.array(number, float) for number in state]
    left = np.arange(lanes)
    turns = 0
    while len(left):
        (go,) = _turn(loop.condition, [*state, *outside], len(left), True)
        more = go != 0.0
        if not more.all():
            for result, number in zip(done, state, strict=True):
                result[left[~more]] = number[~more]
            left, state, outside = left[more], [x[more] for x in state], [x[more] for x in outside]
        if len(left):
            if turns == loop.limit:
                raise endless(turns)
            state = _turn(loop.body, [*state, *outside], len(left), exact, loop.decisive)
            turns += 1
    return done


def _turn(
    program: Program, inputs: list[Any], lanes: int, exact: bool, decisive: frozenset[int] = frozenset()
) -> list[Any]:
    """Run a program on arrays [lane], one instruction after the other; decisive slots exact to the bit."""

    def apply(slot: int, op: Op, operands: list[Any]) -> Any:
        strict = exact or slot in decisive
        if isinstance(op, Loop):
            return _loop(op, strict, [np.broadcast_to(x, lanes) for x in operands], lanes)
        if isinstance(op, Result):
            return op.value(*operands)
        if op in STEPS:
            return term_by_term(op, operands, lambda op, pair: EXACT[op](*pair))
        if not strict and is_square(program, op, program.operands[slot - program.leaves]):
            return operands[0] * operands[0]
        # Comparisons give booleans, and True + True is True in NumPy, not 2.0.
        return np.asarray(_function(op, strict)(*operands), float)

    return [np.broadcast_to(x, lanes) for x in interpret(program, inputs, program.constants, apply)]


def _sum_products(varying: Array, product: ProductSum) -> Any:
    """Sum products of every a and every b over rows: a matrix product for each term."""
    a, b = product.a, product.b
    x, y = cast(Any, outer(a[:, 0], b[:, 0]))
    steps = zip((a - a[:, :1])[0], (b - b[:, :1])[0], strict=True)
    total = sum((varying[x + left] @ varying[y + right].T).ravel() for left, right in steps)
    if product.strong and not np.isfinite(total).all():
        strong = EXACT[ops.strong_mul]
        return sum(strong(varying[x], varying[y]).sum(axis=1) for x, y in zip(a.T, b.T, strict=True))
    return total
