"""Passes from Program to Program. All but `relax` keep every result to the bit.

simplify        folds constants, removes identities of IEEE arithmetic, shares common subexpressions
share_loops     takes the results of a loop from a wider one
flatten_chains  turns chains of + into sums and contractions of many terms, in the same order (chains.py)
sweep_dead      removes instructions that no output needs
relax           replaces x**2 by x·x
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from nodegrad import ops
from nodegrad.compiler.chains import flatten_chains
from nodegrad.compiler.program import ConstantPool, Loop, Operands, Program, Result, result
from nodegrad.ops import Op

__all__ = ()


def optimize(program: Program) -> Program:
    """Run all passes."""
    return finish(simplify(program))


def finish(program: Program) -> Program:
    """Run the passes that follow `simplify`; `lower` writes programs that are simple."""
    return sweep_dead(flatten_chains(share_loops(program)))


class Rewriter:
    """Builds a program instruction by instruction; simplifies each by `rules`, and writes none twice."""

    def __init__(self, leaves: int, constants: Sequence[float] = (), rules: "Rules | None" = None) -> None:
        self.rules = _RULES if rules is None else rules
        self.leaves = leaves
        self.pool = ConstantPool(constants)
        self.constants = self.pool.numbers
        self.ops: list[Op] = []
        self.operands: list[Operands] = []
        # Operations are compared by identity: two custom ones may share a name.
        self.known: defaultdict[Op, dict[Operands, int]] = defaultdict(dict)

    def emit(self, op: Op, operands: Operands) -> int:
        """Return the slot of an operation's result; add an instruction only if nothing simpler gives it."""
        known = self.known[op]
        slot = known.get(operands)
        if slot is None and op.commutative:
            slot = known.get(operands[::-1])
        if slot is not None:
            return slot
        constant = not operands or min(operands) < 0
        if constant and (not operands or max(operands) < 0) and not isinstance(op, Loop):
            return self.pool.slot(op.value(*[self.constants[~slot] for slot in operands]))
        found = self.rules.get(op)
        if found is not None and (constant or not found[1]):
            slot = found[0](self, operands)
            if slot is not None:
                return slot
        slot = known[operands] = self.leaves + len(self.ops)
        self.ops.append(op)
        self.operands.append(operands)
        return slot

    def number(self, slot: int) -> float | None:
        """Return the constant in a slot, or None if it holds no constant."""
        return self.constants[~slot] if slot < 0 else None

    def made_by(self, slot: int, op: Op) -> Operands | None:
        """Return the operands of a slot if `op` made it."""
        index = slot - self.leaves
        return self.operands[index] if index >= 0 and self.ops[index] is op else None


Rule = Callable[[Rewriter, Operands], int | None]
Rules = dict[Op, tuple[Rule, bool]]


def _is_negative_zero(number: float | None) -> bool:
    return number == 0.0 and str(number) == "-0.0"


def _add(rewriter: Rewriter, operands: Operands) -> int | None:
    x, y = operands
    if y < 0 and _is_negative_zero(rewriter.number(y)):
        return x  # x + -0.0 is x for every x; x + 0.0 is not for x = -0.0
    if x < 0 and _is_negative_zero(rewriter.number(x)):
        return y
    return None


def _sub(rewriter: Rewriter, operands: Operands) -> int | None:
    x, y = operands
    zero = rewriter.number(y)
    return x if zero == 0.0 and not _is_negative_zero(zero) else None


def _mul(rewriter: Rewriter, operands: Operands) -> int | None:
    x, y = operands
    for one, other in ((x, y), (y, x)):
        if one < 0:
            number = rewriter.number(one)
            if number == 1.0:
                return other
            if number == -1.0:
                return rewriter.emit(ops.neg, (other,))
    return None


def _div(rewriter: Rewriter, operands: Operands) -> int | None:
    return operands[0] if rewriter.number(operands[1]) == 1.0 else None


def _neg(rewriter: Rewriter, operands: Operands) -> int | None:
    inner = rewriter.made_by(operands[0], ops.neg)
    return inner[0] if inner else None


def _pow(rewriter: Rewriter, operands: Operands) -> int | None:
    x, exponent = operands
    number = rewriter.number(exponent)
    if number == 1.0:
        return x
    return rewriter.pool.slot(1.0) if number == 0.0 else None


def _square(rewriter: Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.mul, operands * 2)


def _reciprocal(rewriter: Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.div, (rewriter.pool.slot(1.0), *operands))


def _same(rewriter: Rewriter, operands: Operands) -> int | None:
    return operands[0]


def _where(rewriter: Rewriter, operands: Operands) -> int | None:
    condition, x, y = operands
    if x == y:
        return x
    number = rewriter.number(condition)
    if number is not None:
        return x if number else y
    for op, kept in ((ops.ne, (x, y)), (ops.eq, (y, x))):  # where asks c != 0 itself
        asked = rewriter.made_by(condition, op)
        if asked and rewriter.number(asked[1]) == 0.0:
            return rewriter.emit(ops.where, (asked[0], *kept))
    return None


def _strong_mul(rewriter: Rewriter, operands: Operands) -> int | None:
    number = rewriter.number(operands[0])
    if number is None:
        return None
    return rewriter.emit(ops.mul, operands) if number else rewriter.pool.slot(0.0)


def _zero_mul(rewriter: Rewriter, operands: Operands) -> int | None:
    for factor, other in (operands, operands[::-1]):
        if (number := rewriter.number(factor)) is not None:
            return rewriter.emit(ops.strong_mul, (other, factor)) if number else rewriter.pool.slot(0.0)
    return None


def _strong_factor(rewriter: Rewriter, operands: Operands) -> int | None:
    return operands[1] if rewriter.number(operands[0]) else None


def _take(rewriter: Rewriter, operands: Operands) -> int | None:
    index = rewriter.number(operands[0])
    return operands[1 + int(index)] if index is not None and 0.0 <= index < len(operands) - 1 else None


def _sum(rewriter: Rewriter, operands: Operands) -> int | None:
    if len(operands) == 1:
        return operands[0]
    return rewriter.emit(ops.add, operands) if len(operands) == 2 else None


def _product(op: Op) -> Rule:
    """Return the rule for a contraction of a single term."""
    return lambda rewriter, operands: rewriter.emit(op, operands) if len(operands) == 2 else None


# Identities that hold to the bit for every float, nan and -0.0 included. The second column says whether the
# rule needs an operand that is a constant.
_RULES: Rules = {
    ops.add: (_add, True),
    ops.sub: (_sub, True),
    ops.mul: (_mul, True),
    ops.div: (_div, True),
    ops.neg: (_neg, False),
    ops.pow: (_pow, True),
    ops.square: (_square, False),
    ops.reciprocal: (_reciprocal, False),
    ops.identity: (_same, False),
    ops.stop_gradient: (_same, False),
    ops.where: (_where, False),
    ops.strong_mul: (_strong_mul, True),
    ops.zero_mul: (_zero_mul, True),
    ops.strong_factor: (_strong_factor, True),
    ops.take: (_take, True),
    ops.sum: (_sum, False),
    ops.dot: (_product(ops.mul), False),
    ops.strong_dot: (_product(ops.strong_mul), False),
}


def simplify(program: Program, rules: Rules | None = None) -> Program:
    """Fold constants, remove identities, and write every expression once."""
    rewriter = Rewriter(program.leaves, program.constants, rules)
    place = _places(program)
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        place[slot] = rewriter.emit(op, tuple([place[each] for each in operands]))
    return Program(
        program.inputs,
        program.parameters,
        rewriter.constants,
        rewriter.ops,
        rewriter.operands,
        [place[slot] for slot in program.outputs],
    )


def open_tables(program: Program) -> Program:
    """Replace look-ups in tables by choices, for languages that have no tables of computed numbers."""
    if ops.take not in program.ops:
        return program
    return simplify(program, {**_RULES, ops.take: (_choices, False)})


def _choices(rewriter: Rewriter, operands: Operands) -> int:
    emit, constant = rewriter.emit, rewriter.pool.slot
    whole, found = emit(ops.floor, operands[:1]), constant(math.nan)
    for entry, choice in enumerate(operands[1:]):
        found = emit(ops.where, (emit(ops.eq, (whole, constant(float(entry)))), choice, found))
    return found


def _places(program: Program) -> list[int]:
    """Map slots to slots, as a list: inputs, parameters and constants (from the end) to themselves."""
    constants = len(program.constants)
    return [*range(program.leaves), *[0] * len(program.ops), *range(-constants, 0)]


def share_loops(program: Program) -> Program:
    """Take the results of a loop from a wider one of the same program, which computes them too."""
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
        own = names[operands[index][0] - program.leaves] if isinstance(op, Result) else None
        if isinstance(op, Result) and isinstance(own, Loop) and own in widest:
            wide = widest[own]
            turn, number = divmod(op.index - own.state, own.given or 1)
            place = op.index if op.index < own.state else wide.state + turn * wide.given + number
            names[index], operands[index] = result(place), (slots[wide],)
    return simplify(_in_order(replace(program, ops=names, operands=operands)))


def _in_order(program: Program) -> Program:
    """Order instructions so that each reads what stands before it."""
    leaves = program.leaves
    done = bytearray(len(program.ops))
    order: list[int] = []
    for last in range(len(program.ops)):
        stack = [last]
        while stack:
            index = stack[-1]
            read = [slot - leaves for slot in program.operands[index] if slot >= leaves]
            waiting = [each for each in read if not done[each]]
            if not done[index] and not waiting:
                done[index] = 1
                order.append(index)
            if done[index]:
                stack.pop()
            else:
                stack += waiting
    return _taken(program, order)


def _taken(program: Program, order: list[int]) -> Program:
    """Return a program of some instructions, in an order in which each reads what stands before it."""
    place = _places(program)
    for slot, index in enumerate(order, program.leaves):
        place[program.leaves + index] = slot
    return replace(
        program,
        ops=[program.ops[index] for index in order],
        operands=[tuple([place[slot] for slot in program.operands[index]]) for index in order],
        outputs=[place[slot] for slot in program.outputs],
    )


def sweep_dead(program: Program) -> Program:
    """Remove instructions that no output needs."""
    leaves, operands = program.leaves, program.operands
    alive = bytearray(leaves + len(operands) + len(program.constants))
    for slot in program.outputs:
        alive[slot] = 1
    for index in range(len(operands) - 1, -1, -1):
        if alive[leaves + index]:
            for slot in operands[index]:
                alive[slot] = 1
    if all(alive[leaves : leaves + len(operands)]):
        return program
    return _taken(program, [index for index in range(len(operands)) if alive[leaves + index]])


PASSES = (simplify, share_loops, flatten_chains, sweep_dead)


def is_square(program: Program, op: Op, read: Operands) -> bool:
    """Return whether an instruction is x**2."""
    return op is ops.pow and read[1] < 0 and program.constants[~read[1]] == 2.0


def relax(program: Program) -> Program:
    """Replace x**2 by x·x: pow is far slower, and off by one ulp for one number in a thousand."""
    names, operands = list(program.ops), list(program.operands)
    for index, (op, read) in enumerate(zip(names, operands, strict=True)):
        if is_square(program, op, read):
            names[index], operands[index] = ops.mul, (read[0], read[0])
    return program if names == program.ops else optimize(replace(program, ops=names, operands=operands))
