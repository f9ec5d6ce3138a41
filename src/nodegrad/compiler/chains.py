"""Flatten chains: additions recorded left to right become sums and contractions of many terms.

A chain is rewritten in place. Every addition of it holds the total so far. So a run of terms of one kind
becomes one instruction, in the slot of the run's last addition. The other additions and the products of the
run are dead afterwards.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter

from nodegrad import ops
from nodegrad.compiler.program import MAX, MIN, STEPS, ConstantPool, Operands, Program
from nodegrad.ops import PRODUCTS, Op

__all__ = ()

_ADDING = {ops.add, ops.sum, ops.dot}
_EXTREMES = {STEPS[op]: op for op in (MAX, MIN)}
_CHAINED = _ADDING | set(_EXTREMES)
_CONTRACTED = {product: op for op, product in PRODUCTS.items()}
_SHORTEST = 3  # terms; shorter chains stay elementwise operations

Spine = list[int]  # the instructions of a chain, each the first operand of the next
# The slot of the total, the operation that adds the terms (sum, dot, strong_dot), the first factors of the
# terms, and the second ones. A term of a sum stands for both.
Link = tuple[int, Op, Operands, Operands]


def flatten_chains(program: Program) -> Program:
    """Write a chain ((a·b + c·d) + e) + ... as sums and contractions of its terms, in their order.

    Only additions that are a first operand and are read once are merged, so that the order of additions
    stays. Products that are read once become terms of a contraction. Another term among them is multiplied by
    1, which is exact. A chain of `maximum`, or of `minimum`, becomes one instruction.
    """
    flattener = _Flattener(program, _read_once(program))
    for spine in _spines(program, flattener.once):
        flattener.rewrite(spine)
    return replace(program, constants=flattener.pool.numbers, ops=flattener.ops, operands=flattener.operands)


def _read_once(program: Program) -> set[int]:
    """Return the slots that are read once, as a term of a chain."""
    terms, others = list[Operands](), [program.outputs, *program.products]
    for op, operands in zip(program.ops, program.operands, strict=True):
        (terms if op in _CHAINED and op is not ops.dot else others).append(operands)
    once = {slot for slot, times in Counter(chain.from_iterable(terms)).items() if times == 1}
    once.difference_update(*others)
    return once


def _spines(program: Program, once: set[int]) -> list[Spine]:
    """Collect the chains that may get shorter."""
    leaves, ops_ = program.leaves, program.ops
    spines: dict[int, Spine] = {}
    for slot, op in enumerate(ops_, leaves):
        if op in _CHAINED:
            first = program.operands[slot - leaves][0]
            spine = spines.get(first) if first in once and op is not ops.dot else None
            before = None if spine is None else ops_[first - leaves]
            if spine is None or not (before is op or (before in _ADDING and op in _ADDING)):
                spines[slot] = [slot]
            else:
                del spines[first]
                spine.append(slot)
                spines[slot] = spine
    return [spine for spine in spines.values() if len(spine) > 1 or ops_[spine[0] - leaves] is ops.sum]


class _Flattener:
    """The instructions of a program while its chains are rewritten, one after the other."""

    def __init__(self, program: Program, once: set[int]) -> None:
        self.once = once
        self.leaves = program.leaves
        self.pool = ConstantPool(program.constants)
        self.ops = list(program.ops)
        self.operands = list(program.operands)

    def rewrite(self, spine: Spine) -> None:
        """Write a chain as runs of links of one kind. Each run takes the slot of its last link."""
        extreme = _EXTREMES.get(self.ops[spine[0] - self.leaves])
        if extreme is not None:
            first, second = self.operands[spine[0] - self.leaves]
            more = [self.operands[slot - self.leaves][1] for slot in spine[1:]]
            self.put(spine[-1], extreme, (first, second, *more))
            return
        total: int | None = None
        links = list(self.links(spine))
        if sum(len(xs) for _, _, xs, _ in links) >= _SHORTEST:
            for _, run in groupby(links, key=itemgetter(1)):
                total = self.write(total, list(run))

    def put(self, slot: int, op: Op, operands: tuple[int, ...]) -> None:
        self.ops[slot - self.leaves], self.operands[slot - self.leaves] = op, operands

    def links(self, spine: Spine) -> Iterator[Link]:
        """Take a chain apart. The first operand of its first addition is a link of its own."""
        for place, slot in enumerate(spine):
            op, operands = self.ops[slot - self.leaves], self.operands[slot - self.leaves]
            if op is ops.dot:
                half = len(operands) // 2
                yield slot, op, operands[:half], operands[half:]
                continue
            if place == 0 and op is ops.add:
                yield self.link(operands[0], operands[:1])
            yield self.link(slot, operands if place == 0 and op is ops.sum else operands[1:])

    def link(self, slot: int, terms: tuple[int, ...]) -> Link:
        """Return the operation that adds terms: a contraction if half of them are products of one kind."""
        if len(terms) == 1:  # the most frequent case, so it has its own line
            kind = self.product(terms[0])
            xs, ys = (terms, terms) if kind is None else zip(self.pair(terms[0]))
            return slot, kind or ops.sum, xs, ys
        kinds = [self.product(term) for term in terms]
        for kind in (ops.dot, ops.strong_dot):
            if 2 * kinds.count(kind) >= len(terms):
                one, pairs = self.pool.slot(1.0), zip(terms, kinds, strict=True)
                xs, ys = zip(*[self.pair(x) if own is kind else (one, x) for x, own in pairs], strict=True)
                return slot, kind, xs, ys
        return slot, ops.sum, terms, terms

    def product(self, term: int) -> Op | None:
        """Return the contraction of products like this term, if it is a product that nothing else reads."""
        index = term - self.leaves
        return _CONTRACTED.get(self.ops[index]) if index >= 0 and term in self.once else None

    def pair(self, product: int) -> Operands:
        return self.operands[product - self.leaves]

    def write(self, total: int | None, run: list[Link]) -> int:
        """Add a run of links to the total before it, and return the slot of the new total."""
        slot, kind, xs, _ = run[-1]
        if len(run) == len(xs) == 1:  # as it is
            return slot
        before = () if total is None else (total,)
        xs = tuple(chain.from_iterable([xs for _, _, xs, _ in run]))
        if kind is ops.sum:
            self.put(slot, ops.sum if len(before + xs) > 2 else ops.add, before + xs)
        else:
            ones = (self.pool.slot(1.0),) * len(before)
            self.put(slot, kind, (*ones, *xs, *before, *chain.from_iterable([ys for _, _, _, ys in run])))
        return slot
