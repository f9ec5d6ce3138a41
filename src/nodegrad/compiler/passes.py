"""Passes from Program to Program. All but `relax` keep every result to the bit.

simplify        folds constants, removes identities of IEEE arithmetic, shares common subexpressions
share_loops     takes the results of a loop from a wider one
flatten_chains  turns chains of + into sums and contractions of many terms, in the same order (chains.py)
sweep_dead      removes instructions that no output needs
relax           replaces x**2 by x·x
own_tables      puts the constants of each table side by side
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from nodegrad import ops
from nodegrad.compiler.chains import flatten_chains
from nodegrad.compiler.program import ConstantPool, Loop, Operands, Program, Result, interpret, needed, result
from nodegrad.ops import Op

__all__ = ()


def finish(program: Program) -> Program:
    """Run the passes that follow `simplify`; `lower` writes programs that are simple."""
    return sweep_dead(flatten_chains(share_loops(program)))


class Rewriter:
    """Builds a program instruction by instruction. Simplifies each by `rules`, and writes each only once."""

    def __init__(self, leaves: int, rules: "Rules | None" = None) -> None:
        self.rules = _RULES if rules is None else rules
        self.leaves = leaves
        self.pool = ConstantPool()
        self.constants = self.pool.numbers
        self.ops: list[Op] = []
        self.operands: list[Operands] = []
        # Operations are compared by identity: two custom ones may share a name.
        self.known: defaultdict[Op, dict[Operands, int]] = defaultdict(dict)

    def emit(self, op: Op, operands: Operands) -> int:
        """Return the slot of an operation's result. Add an instruction only if no simpler slot holds it."""
        known = self.known[op]
        key = operands[::-1] if op.commutative and operands[0] > operands[1] else operands
        slot = known.get(key)
        if slot is not None:
            return slot
        constant = not operands or min(operands) < 0
        if constant and (not operands or max(operands) < 0) and not isinstance(op, Loop):
            return self.pool.slot(op.value(*[self.constants[~slot] for slot in operands]))
        found = self.rules.get(op)
        if found is not None and (constant or not found[1]):
            slot = found[0](self, *operands)
            if slot is not None:
                return slot
        slot = known[key] = self.leaves + len(self.ops)
        self.ops.append(op)
        self.operands.append(operands)
        return slot

    def add(self, program: Program, leaves: Iterable[int]) -> list[int]:
        """Add a program whose leaves are these slots; return the slots of its outputs."""
        constants = list(map(self.pool.slot, program.constants))
        return interpret(program, leaves, constants, lambda _, op, read: self.emit(op, tuple(read)))

    def program(self, inputs: int, outputs: Sequence[int] = ()) -> Program:
        """Return what was built as a program; the leaves that are not inputs are its parameters."""
        return Program(inputs, self.leaves - inputs, self.constants, self.ops, self.operands, outputs)

    def number(self, slot: int) -> float | None:
        """Return the constant in a slot, or None if it holds no constant."""
        return self.constants[~slot] if slot < 0 else None

    def made_by(self, slot: int, op: Op) -> Operands | None:
        """Return the operands of a slot if `op` made it."""
        index = slot - self.leaves
        return self.operands[index] if index >= 0 and self.ops[index] is op else None


Rule = Callable[..., int | None]  # (rewriter, *operands); returns the slot of something simpler, or None
Rules = dict[Op, tuple[Rule, bool]]


def _is_zero(number: float | None, sign: str) -> bool:
    return number == 0.0 and f"{number:+}" == f"{sign}0.0"


def _add(to: Rewriter, x: int, y: int) -> int | None:
    # x + -0.0 is x for every x; x + 0.0 is not for x = -0.0
    return x if _is_zero(to.number(y), "-") else y if _is_zero(to.number(x), "-") else None


def _mul(to: Rewriter, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        number = to.number(one)
        if number == 1.0:
            return other
        if number == -1.0:
            return to.emit(ops.neg, (other,))
    return None


def _div(to: Rewriter, x: int, y: int) -> int | None:
    number = to.number(y)
    if number is None or abs(math.frexp(number)[0]) != 0.5 or not 0.0 < 1.0 / abs(number) < math.inf:
        return None
    return to.emit(ops.mul, (x, to.pool.slot(1.0 / number)))  # a power of two: exact, and far faster


def _neg(to: Rewriter, x: int) -> int | None:
    inner = to.made_by(x, ops.neg)
    return inner[0] if inner else None


def _pow(to: Rewriter, x: int, exponent: int) -> int | None:
    number = to.number(exponent)
    return x if number == 1.0 else to.pool.slot(1.0) if number == 0.0 else None


def _where(to: Rewriter, condition: int, x: int, y: int) -> int | None:
    number = to.number(condition)
    if x == y or number is not None:
        return y if number == 0.0 else x
    for op, kept in ((ops.ne, (x, y)), (ops.eq, (y, x))):  # where asks c != 0 itself
        asked = to.made_by(condition, op)
        if asked and to.number(asked[1]) == 0.0:
            return to.emit(ops.where, (asked[0], *kept))
    return None


def _strong_mul(to: Rewriter, adjoint: int, partial: int) -> int | None:
    number = to.number(adjoint)
    if number is None:
        return None
    return to.emit(ops.mul, (adjoint, partial)) if number else to.pool.slot(0.0)


def _zero_mul(to: Rewriter, x: int, y: int) -> int | None:
    for factor, other in ((x, y), (y, x)):
        if (number := to.number(factor)) is not None:
            return to.emit(ops.strong_mul, (other, factor)) if number else to.pool.slot(0.0)
    return None


def _take(to: Rewriter, index: int, *table: int) -> int | None:
    number = to.number(index)
    return table[int(number)] if number is not None and 0.0 <= number < len(table) else None


def _of_two(op: Op) -> Rule:
    """Return the rule that writes a sum or contraction of two operands as `op`; of one, as itself."""
    return lambda to, *x: to.emit(op, x) if len(x) == 2 else x[0] if len(x) == 1 else None


# Identities that hold to the bit for every float, nan and -0.0 included. The second column says whether the
# rule needs an operand that is a constant.
_RULES: Rules = {
    ops.add: (_add, True),
    ops.sub: (lambda to, x, y: x if _is_zero(to.number(y), "+") else None, True),
    ops.mul: (_mul, True),
    ops.div: (_div, True),
    ops.neg: (_neg, False),
    ops.pow: (_pow, True),
    ops.square: (lambda to, x: to.emit(ops.mul, (x, x)), False),
    ops.reciprocal: (lambda to, x: to.emit(ops.div, (to.pool.slot(1.0), x)), False),
    ops.identity: (lambda to, x: x, False),
    ops.stop_gradient: (lambda to, x: x, False),
    ops.where: (_where, False),
    ops.strong_mul: (_strong_mul, True),
    ops.zero_mul: (_zero_mul, True),
    ops.strong_factor: (lambda to, adjoint, partial: partial if to.number(adjoint) else None, True),
    ops.take: (_take, True),
    ops.sum: (_of_two(ops.add), False),
    ops.dot: (_of_two(ops.mul), False),
    ops.strong_dot: (_of_two(ops.strong_mul), False),
}


def simplify(program: Program, rules: Rules | None = None) -> Program:
    """Fold constants, remove identities, and write every expression once."""
    rewriter = Rewriter(program.leaves, rules)
    return rewriter.program(program.inputs, rewriter.add(program, range(program.leaves)))


def _choices(to: Rewriter, index: int, *table: int) -> int:
    emit, constant = to.emit, to.pool.slot
    whole, found = emit(ops.floor, (index,)), constant(math.nan)
    for entry, choice in enumerate(table):
        found = emit(ops.where, (emit(ops.eq, (whole, constant(float(entry)))), choice, found))
    return found


# Choices in place of look-ups in tables, for languages that have no tables of computed numbers.
WITHOUT_TABLES: Rules = {**_RULES, ops.take: (_choices, False)}


def share_loops(program: Program) -> Program:
    """Take the results of a loop from a wider loop of the same program, which computes them, too."""
    if not any(isinstance(op, Loop) for op in {*program.ops}):
        return program
    slots = {op: slot for slot, op in enumerate(program.ops, program.leaves) if isinstance(op, Loop)}
    widest: dict[Loop, Loop] = {}
    for wide in slots:
        narrow = wide.narrower
        while narrow is not None:
            if narrow not in widest or widest[narrow].state < wide.state:
                widest[narrow] = wide
            narrow = narrow.narrower
    if not widest.keys() & slots.keys():
        return program
    names, operands = list(program.ops), list(program.operands)
    for index, op in enumerate(names):
        at = operands[index][0] - program.leaves if isinstance(op, Result) else 0
        own = names[at]
        if isinstance(op, Result) and isinstance(own, Loop) and own in widest:
            wide = widest[own]
            its, ours = operands[slots[wide] - program.leaves], operands[at]
            if its[: own.state] == ours[: own.state] and {*ours} <= {*its}:  # of the same numbers
                turn, number = divmod(op.index - own.state, own.given or 1)
                place = op.index if op.index < own.state else wide.state + turn * wide.given + number
                names[index], operands[index] = result(place), (slots[wide],)
    return simplify(_in_order(replace(program, ops=names, operands=operands)))


def _in_order(program: Program) -> Program:
    """Order instructions so that each reads what stands before it."""
    leaves = program.leaves
    read = {
        index: [slot - leaves for slot in slots if slot >= leaves]
        for index, slots in enumerate(program.operands)
    }
    return part(program, list(TopologicalSorter(read).static_order()))


def part(program: Program, order: Sequence[int]) -> Program:
    """Return a program of some instructions, in an order in which each reads what stands before it."""
    # Leaves and constants stay; the slots of constants count from the end.
    first, last = program.leaves + len(order), program.leaves + len(order) + len(program.products)
    place = [*range(program.leaves), *[0] * len(program.ops), *range(first, last)]
    place += range(-len(program.constants), 0)
    for slot, index in enumerate(order, program.leaves):
        place[program.leaves + index] = slot
    return replace(
        program,
        ops=[program.ops[index] for index in order],
        operands=[tuple([place[slot] for slot in program.operands[index]]) for index in order],
        outputs=[place[slot] for slot in program.outputs],
        products=[(place[x], place[y]) for x, y in program.products],
    )


def sweep_dead(program: Program) -> Program:
    """Remove instructions that no output needs."""
    if program.products and max(program.outputs, default=0) < program.end:
        program = replace(program, products=())
    found, leaves = needed(program, program.outputs), program.leaves
    kept = [index for index in range(len(program.ops)) if leaves + index in found]
    return program if len(kept) == len(program.ops) else part(program, kept)


def is_square(program: Program, op: Op, read: Operands) -> bool:
    """Return whether an instruction is x**2."""
    return op is ops.pow and read[1] < 0 and program.constants[~read[1]] == 2.0


def relax(program: Program) -> Program:
    """Replace x**2 by x·x: pow is far slower, and off by one ulp for one number in a thousand."""
    if ops.pow not in program.ops:
        return program
    names, operands, squares, added = [*program.ops], [*program.operands], set[int](), set[int]()
    for at, op in enumerate(names):
        if op is ops.add or op is ops.sum:
            added.update(operands[at])
        elif op is ops.pow and is_square(program, op, operands[at]):
            names[at], operands[at] = ops.mul, operands[at][:1] * 2
            squares.add(program.leaves + at)
    relaxed = replace(program, ops=names, operands=operands)
    return relaxed if squares.isdisjoint(added) else finish(relaxed)  # sums of squares become contractions


def own_tables(program: Program) -> Program:
    """Put the constants of each table that `take` reads side by side: a look-up then takes half the time.

    It undoes what `simplify` does, which writes every constant once.
    """
    constants, operands = list(program.constants), list(program.operands)
    known: dict[Operands, Operands] = {}
    for at in [at for at, op in enumerate(program.ops) if op is ops.take]:
        slots = operands[at][1:]
        if max(slots) < 0:
            if slots not in known:
                first = len(constants)
                constants += [program.constants[~slot] for slot in slots]
                known[slots] = tuple([~place for place in range(first, len(constants))])
            operands[at] = operands[at][:1] + known[slots]
    return replace(program, constants=constants, operands=operands) if known else program
