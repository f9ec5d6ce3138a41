"""Passes from Program to Program: every result stays to the bit.

simplify      folds constants, drops what is an identity in IEEE arithmetic, shares common subexpressions
flatten_sums  turns chains of + recorded left to right into sums and contractions of many terms, order kept
sweep_dead    drops what no output needs
"""

from collections.abc import Callable, Sequence

from nodegrad import ops
from nodegrad.compiler.program import STRONG_DOT, ConstantPool, Operands, Program
from nodegrad.ops import Op


def optimize(program: Program) -> Program:
    """Run all passes."""
    for each in PASSES:
        program = each(program)
    return program


class _Rewriter:
    """Builds a program instruction by instruction, simplified and each written once."""

    def __init__(self, program: Program) -> None:
        self.leaves = program.leaves
        self.pool = ConstantPool(program.constants)
        self.constants = self.pool.numbers
        self.ops: list[Op] = []
        self.operands: list[Operands] = []
        self.known: dict[object, int] = {}

    def emit(self, op: Op, operands: Operands) -> int:
        """Return the slot of the operation's result: a new instruction only if nothing simpler will do."""
        if not operands or min(operands) < 0:
            if not operands or max(operands) < 0:
                return self.pool.slot(op.value(*[self.constants[~slot] for slot in operands]))
            rule = _RULES.get(op)
        else:
            rule = _ANYWHERE.get(op)
        if rule is not None:
            found = rule(self, operands)
            if found is not None:
                return found
        # Operations are compared by identity: two custom ones may share a name.
        key = (op, *sorted(operands)) if op.commutative else (op, *operands)
        slot = self.known.get(key)
        if slot is None:
            slot = self.known[key] = self.leaves + len(self.ops)
            self.ops.append(op)
            self.operands.append(operands)
        return slot

    def number(self, slot: int) -> float | None:
        """Return the constant in a slot, or None for what is not one."""
        return self.constants[~slot] if slot < 0 else None

    def made_by(self, slot: int, op: Op) -> Operands | None:
        """Return the operands of a slot if `op` made it."""
        index = slot - self.leaves
        return self.operands[index] if index >= 0 and self.ops[index] is op else None


Rule = Callable[[_Rewriter, Operands], int | None]


def _is_negative_zero(number: float | None) -> bool:
    return number == 0.0 and str(number) == "-0.0"


def _add(rewriter: _Rewriter, operands: Operands) -> int | None:
    x, y = operands
    if y < 0 and _is_negative_zero(rewriter.number(y)):
        return x  # x + -0.0 is x for every x; x + 0.0 is not for x = -0.0
    if x < 0 and _is_negative_zero(rewriter.number(x)):
        return y
    return None


def _sub(rewriter: _Rewriter, operands: Operands) -> int | None:
    x, y = operands
    zero = rewriter.number(y)
    return x if zero == 0.0 and not _is_negative_zero(zero) else None


def _mul(rewriter: _Rewriter, operands: Operands) -> int | None:
    x, y = operands
    for one, other in ((x, y), (y, x)):
        if one < 0:
            number = rewriter.number(one)
            if number == 1.0:
                return other
            if number == -1.0:
                return rewriter.emit(ops.neg, (other,))
    return None


def _div(rewriter: _Rewriter, operands: Operands) -> int | None:
    return operands[0] if rewriter.number(operands[1]) == 1.0 else None


def _neg(rewriter: _Rewriter, operands: Operands) -> int | None:
    inner = rewriter.made_by(operands[0], ops.neg)
    return inner[0] if inner else None


def _pow(rewriter: _Rewriter, operands: Operands) -> int | None:
    x, exponent = operands
    number = rewriter.number(exponent)
    if number == 2.0:
        return rewriter.emit(ops.mul, (x, x))
    if number == 1.0:
        return x
    return rewriter.pool.slot(1.0) if number == 0.0 else None


def _square(rewriter: _Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.mul, operands * 2)


def _reciprocal(rewriter: _Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.div, (rewriter.pool.slot(1.0), *operands))


def _same(rewriter: _Rewriter, operands: Operands) -> int | None:
    return operands[0]


def _where(rewriter: _Rewriter, operands: Operands) -> int | None:
    condition, x, y = operands
    if x == y:
        return x
    number = rewriter.number(condition)
    return None if number is None else x if number else y


def _strong_mul(rewriter: _Rewriter, operands: Operands) -> int | None:
    number = rewriter.number(operands[0])
    if number is None:
        return None
    return rewriter.emit(ops.mul, operands) if number else rewriter.pool.slot(0.0)


def _strong_factor(rewriter: _Rewriter, operands: Operands) -> int | None:
    return operands[1] if rewriter.number(operands[0]) else None


def _sum(rewriter: _Rewriter, operands: Operands) -> int | None:
    if len(operands) == 1:
        return operands[0]
    return rewriter.emit(ops.add, operands) if len(operands) == 2 else None


def _dot(rewriter: _Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.mul, operands) if len(operands) == 2 else None


def _strong_dot(rewriter: _Rewriter, operands: Operands) -> int | None:
    return rewriter.emit(ops.strong_mul, operands) if len(operands) == 2 else None


# Identities that hold to the bit for every float, nan and -0.0 included.
_RULES: dict[Op, Rule] = {
    ops.add: _add,
    ops.sub: _sub,
    ops.mul: _mul,
    ops.div: _div,
    ops.neg: _neg,
    ops.pow: _pow,
    ops.square: _square,
    ops.reciprocal: _reciprocal,
    ops.identity: _same,
    ops.stop_gradient: _same,
    ops.where: _where,
    ops.strong_mul: _strong_mul,
    ops.strong_factor: _strong_factor,
    ops.sum: _sum,
    ops.dot: _dot,
    STRONG_DOT: _strong_dot,
}

# Those that need no constant among the operands.
_NEED_NONE = (
    ops.neg,
    ops.square,
    ops.reciprocal,
    ops.identity,
    ops.stop_gradient,
    ops.where,
    ops.sum,
    ops.dot,
)
_ANYWHERE = {op: _RULES[op] for op in (*_NEED_NONE, STRONG_DOT)}


def simplify(program: Program) -> Program:
    """Fold constants, drop identities, and write every expression once."""
    rewriter = _Rewriter(program)
    place = list(range(program.leaves))
    emit = rewriter.emit
    for op, operands in zip(program.ops, program.operands, strict=True):
        place.append(emit(op, tuple([place[slot] if slot >= 0 else slot for slot in operands])))
    outputs = [place[slot] if slot >= 0 else slot for slot in program.outputs]
    return Program(
        program.inputs, program.parameters, rewriter.constants, rewriter.ops, rewriter.operands, outputs
    )


def sweep_dead(program: Program) -> Program:
    """Drop instructions that no output needs."""
    leaves = program.leaves
    alive = bytearray(leaves + len(program.ops))
    for slot in program.outputs:
        if slot >= 0:
            alive[slot] = 1
    for index in range(len(program.ops) - 1, -1, -1):
        if alive[leaves + index]:
            for slot in program.operands[index]:
                if slot >= 0:
                    alive[slot] = 1
    place = list(range(leaves))
    kept_ops, kept_operands, slot = [], [], leaves
    for index, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), leaves):
        place.append(slot)
        if alive[index]:
            slot += 1
            kept_ops.append(op)
            kept_operands.append(tuple([place[each] if each >= 0 else each for each in operands]))
    outputs = [place[each] if each >= 0 else each for each in program.outputs]
    return Program(program.inputs, program.parameters, program.constants, kept_ops, kept_operands, outputs)


# Flattening. A chain is the terms of an addition from left to right.
Term = int | tuple[int, int]  # a slot, or two slots for their product
_SHORTEST = 3  # fewer terms are left to elementwise additions


def flatten_sums(program: Program) -> Program:
    """Write a chain ((a·b + c·d) + e) + ... as one sum or contraction of all its terms, in their order.

    Only additions on the left, used once, are absorbed, so that the order of additions stays. Products used
    once become terms of a contraction; a term between them is carried by a product with 1, which is exact.
    """
    uses = _count_uses(program)
    chains = _chains(program, uses)
    rewriter = _Rewriter(program)
    place = list(range(program.leaves))
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        terms = chains.get(slot)
        if terms is not None and len(terms) >= (_SHORTEST if op is ops.add or op is ops.sum else 1):
            place.append(_emit_chain(program, rewriter, terms, uses, place))
        else:  # as it is: simplify has been here
            place.append(program.leaves + len(rewriter.ops))
            rewriter.ops.append(op)
            rewriter.operands.append(tuple([place[each] if each >= 0 else each for each in operands]))
    outputs = [place[slot] if slot >= 0 else slot for slot in program.outputs]
    return Program(
        program.inputs, program.parameters, rewriter.constants, rewriter.ops, rewriter.operands, outputs
    )


def _count_uses(program: Program) -> list[int]:
    uses = [0] * (program.leaves + len(program.ops) + len(program.constants))
    for operands in program.operands:
        for slot in operands:
            uses[slot] += 1
    for slot in program.outputs:
        uses[slot] += 1
    return uses


def _chains(program: Program, uses: Sequence[int]) -> dict[int, list[Term]]:
    """Collect the terms of every addition that no other addition absorbs."""
    chains: dict[int, list[Term]] = {}
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        if op is ops.add or op is ops.sum:
            first, *rest = operands
            absorbed = chains.pop(first, None) if first >= 0 and uses[first] == 1 else None
            terms: list[Term] = [first] if absorbed is None else absorbed
            terms += rest
            chains[slot] = terms
        elif op is ops.dot:
            half = len(operands) // 2
            chains[slot] = list(zip(operands[:half], operands[half:], strict=True))
    return chains


def _emit_chain(
    program: Program, rewriter: _Rewriter, terms: list[Term], uses: Sequence[int], place: list[int]
) -> int:
    """Write a chain as runs of terms of one kind, each run added to the one before."""
    total: int | None = None
    run: list[tuple[int, int]] = []
    running: Op = ops.sum
    for term in terms:
        kind, x, y = _classify(program, term, uses)
        if kind is not running and run:
            total = _emit_run(rewriter, running, total, run)
            run = []
        running = kind
        run.append((place[x] if x >= 0 else x, place[y] if y >= 0 else y))
    return _emit_run(rewriter, running, total, run)


def _classify(program: Program, term: Term, uses: Sequence[int]) -> tuple[Op, int, int]:
    if not isinstance(term, int):
        return ops.dot, term[0], term[1]
    index = term - program.leaves
    if index >= 0 and uses[term] == 1:
        kind = {ops.mul: ops.dot, ops.strong_mul: STRONG_DOT}.get(program.ops[index])
        if kind is not None:
            x, y = program.operands[index]
            return kind, x, y
    return ops.sum, term, term


def _emit_run(rewriter: _Rewriter, kind: Op, total: int | None, run: list[tuple[int, int]]) -> int:
    if kind is ops.sum:
        singles = [x for x, _ in run]
        return rewriter.emit(ops.sum, tuple(singles if total is None else [total, *singles]))
    if total is not None and len(run) == 1:
        product = ops.mul if kind is ops.dot else ops.strong_mul
        return rewriter.emit(ops.add, (total, rewriter.emit(product, run[0])))
    if total is not None:
        run = [(rewriter.pool.slot(1.0), total), *run]
    return rewriter.emit(kind, (*[x for x, _ in run], *[y for _, y in run]))


PASSES = (simplify, flatten_sums, sweep_dead)
