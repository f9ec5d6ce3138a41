"""Program: a flat list of scalar instructions (a Wengert list), with its checker, printer and evaluator.

Grammar. A slot is an int. The slots from 0 on are the inputs, then the parameters, then one for each
instruction in order. A negative slot is a constant: slot -1 is the first, -2 the second. An instruction is an
operation and the slots of its operands, all defined before it.

A loop is one instruction (`Loop`); its slot stands for all its results together. Only instructions `result`
read such a slot: `%1 = loop(x0, p0)`, `%2 = result[0](%1)`. See `Loop` for what it computes.

The file is long because whoever changes the grammar changes its checker, its printer and its evaluator too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import chain, count, islice, repeat
from operator import itemgetter
from typing import Any

from nodegrad import ops
from nodegrad.inputs import endless
from nodegrad.ops import PRODUCTS, TABLE, Op

__all__ = ()


def _no_partials(operands: Any, out: Any) -> Any:
    raise AssertionError("this operation belongs to compiled programs, which are not differentiated")


# The largest and the smallest of any number of operands, from left to right.
MAX = Op("max", "max", lambda *operands: reduce(ops.maximum.value, operands), _no_partials, ())
MIN = Op("min", "min", lambda *operands: reduce(ops.minimum.value, operands), _no_partials, ())
# Copies a number that is the same for all rows into every row.
COPY = Op("copy", "", ops.identity.value, (None,), ())

# The contractions: the operation that adds the next term.
STEPS = {ops.sum: ops.add, ops.dot: ops.add, ops.strong_dot: ops.add, MAX: ops.maximum, MIN: ops.minimum}

Operands = tuple[int, ...]

UNCHECKED = 5_000  # instructions; longer programs are checked in tests only


@dataclass(frozen=True, slots=True)
class Program:
    """Scalar instructions in order, and what goes in and out.

    Attributes:
        inputs: how many numbers differ from row to row; they fill the first slots.
        parameters: how many numbers are the same for all rows; they fill the next.
        constants: the numbers written in the code.
        ops: the operation of each instruction.
        operands: the slots each instruction reads.
        outputs: the slots that are the result.
        products: the last instructions, if there are many like these: each is a strong product that only the
            outputs need, and is given by its two factors alone.
    """

    inputs: int
    parameters: int
    constants: Sequence[float] = ()
    ops: Sequence[Op] = field(default_factory=list)
    operands: Sequence[Operands] = field(default_factory=list)
    outputs: Sequence[int] = ()
    products: Sequence[Operands] = ()

    @property
    def leaves(self) -> int:
        """How many slots inputs and parameters take: the slot of the first instruction."""
        return self.inputs + self.parameters

    @property
    def instructions(self) -> Iterator[tuple[int, Op, Operands]]:
        """Each instruction in order: its slot, its operation, its operands."""
        names = chain(self.ops, repeat(ops.strong_mul, len(self.products)))
        return zip(count(self.leaves), names, chain(self.operands, self.products), strict=False)

    @property
    def count(self) -> int:
        """How many instructions there are."""
        return len(self.ops) + len(self.products)

    @property
    def end(self) -> int:
        """The slot after that of the last of `ops`, which is that of the first of the products."""
        return self.leaves + len(self.ops)

    def __str__(self) -> str:
        return render(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Loop(Op):
    """A loop as one instruction, of two kinds. Made by `loop`.

    Its operands are the first state, then the numbers read from outside (the same in every turn), then the
    items: `items` numbers for each turn, in the order of turns. Its results are the last state, then the
    numbers that each turn gave out, in the order of turns.

    In Python, with `turn = body` and `go = condition` as functions of numbers:

        while go(*state, *outside):                         # turns is None: no items, and nothing given out;
            state = turn(*state, *outside)                  # more than `limit` turns are an error

        for item in items:                                  # turns is a number
            *state, *given = turn(*state, *outside, *item)  # the first `state` outputs are the next state

    Attributes:
        condition: a program with one output; the loop goes on while it is not 0. None if `turns` is given.
        body: a program of one turn.
        state: how many numbers the state has.
        items: how many numbers each turn takes.
        turns: how many turns there are, or None.
        limit: the largest number of turns; None if the loop ends by itself and one turn more or less makes no
            difference.
        decisive: the slots of the body on which the condition of a later turn depends. They are computed to
            the bit, so that each loop makes as many turns as eager code.
        narrower: a loop whose state is the first part of the state of this one.
    """

    condition: "Program | None"
    body: "Program"
    state: int
    items: int
    turns: int | None
    limit: int | None
    decisive: frozenset[int]
    narrower: "Loop | None" = None

    @property
    def settles(self) -> bool:
        """Whether the loop ends by itself, and one turn more or less makes no difference."""
        return self.condition is not None and self.limit is None

    @property
    def outside(self) -> int:
        """How many operands are the same in every turn."""
        return self.body.inputs - self.state - self.items

    @property
    def given(self) -> int:
        """How many numbers each turn gives out."""
        return len(self.body.outputs) - self.state

    @property
    def results(self) -> int:
        """How many results there are."""
        return self.state + self.given * (self.turns or 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return loop, (self.condition, self.body, self.state, self.items, self.turns, self.limit)


def loop(
    condition: Program | None, body: Program, state: int, items: int, turns: int | None, limit: int | None
) -> Loop:
    """Make a loop instruction; its value is the tuple of its results."""
    value = _as_function(condition, body, state, items, turns, limit)
    decisive = frozenset() if condition is None or limit is None else _decisive(condition, body, state)
    return Loop(
        "loop", "loop", value, _no_partials, (), condition=condition, body=body, state=state, items=items,
        turns=turns, limit=limit, decisive=decisive,
    )  # fmt: skip


def _decisive(condition: Program, body: Program, state: int) -> frozenset[int]:
    """Return the slots of a body on which the condition depends in some later turn."""
    asked = needed(condition, condition.outputs)
    found: set[int] = set()
    while True:
        wanted = [body.outputs[place] for place in range(state) if place in asked]
        more = needed(body, wanted)
        if more <= found:
            return frozenset(slot for slot in found if slot >= body.leaves)
        found |= more
        asked |= more


def needed(program: Program, outputs: Sequence[int]) -> set[int]:
    """Return the slots that some outputs are computed from, themselves included."""
    found, slot = set(outputs), program.end
    if program.products and max(outputs, default=0) >= slot:
        found.update(*program.products)
    for operands in reversed(program.operands):
        slot -= 1
        if slot in found:
            found.update(operands)
    return found


@cache
def result(index: int) -> Op:
    """Return the operation that takes one result of a loop."""
    return Result(f"result[{index}]", "", itemgetter(index), (None,), (), index=index)


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Result(Op):
    """Takes one result of a loop. Made by `result`, one for each index."""

    index: int

    def __reduce__(self) -> tuple[Any, ...]:
        return result, (self.index,)


class ConstantPool:
    """The constants of a program, each number once. 0.0 and -0.0 are different numbers."""

    def __init__(self, numbers: Sequence[float] = ()) -> None:
        self.numbers = list(numbers)
        self._slots = {number.hex(): ~index for index, number in enumerate(numbers)}

    def slot(self, number: float) -> int:
        """Return the slot of a constant; add the constant if it is new."""
        found = self._slots.setdefault(number.hex(), ~len(self.numbers))  # tells 0.0 from -0.0, and knows nan
        if found == ~len(self.numbers):
            self.numbers.append(number)
        return found


def check(program: Program) -> Program:
    """Return the program if it obeys the grammar.

    Raises:
        AssertionError: names the first instruction that reads an undefined slot or has the wrong number of
            operands, or the output that is not a number. Files are checked by this, with python -O too.
    """
    leaves, constants = program.leaves, len(program.constants)
    loops: dict[int, Loop] = {}  # by their slots
    if len(program.ops) != len(program.operands):
        raise AssertionError("one tuple of operands per operation")
    for slot, op, operands in program.instructions:
        broken = _broken_rule(op, operands) or _broken_reading(op, operands, slot, constants, loops)
        if broken:
            raise AssertionError(f"%{slot - leaves} = {op.name}{tuple(operands)}: {broken}")
        if isinstance(op, Loop):
            loops[slot] = op
    for slot in program.outputs:
        if not -constants <= slot < leaves + program.count or slot in loops:
            raise AssertionError(f"output {slot} is not a slot of a number")
    return program


def _broken_rule(op: Op, operands: Operands) -> str:
    """Return the rule that the number of operands breaks, or that a loop breaks; "" if none is broken."""
    if isinstance(op, Loop):
        taken = op.body.inputs - op.items + op.items * (op.turns or 0)
        return f"takes {taken} operands" if len(operands) != taken else _broken_loop(op)
    if op.arity is not None and len(operands) != op.arity:
        return f"takes {op.arity} operands"
    if op in PRODUCTS and len(operands) % 2:
        return "takes two halves of equal length"
    return "takes at least one operand" if op in (MAX, MIN) and not operands else ""


def _broken_loop(op: Loop) -> str:
    """Return the rule that a loop breaks, if there is one; check its parts."""
    parts = [part for part in (op.condition, op.body) if part is not None]
    for part in parts:
        check(part)
    rules = {
        "turns or a condition": (op.condition is None) == (op.turns is not None),
        "a turn returns the next state": op.given >= 0,
        "items and what is given out need turns": op.condition is None or op.items == op.given == 0,
        "a condition is one number": op.condition is None or len(op.condition.outputs) == 1,
        "condition and body take the same numbers": len({part.inputs for part in parts}) == 1,
        "what is outside comes as operands": not any(part.parameters for part in parts),
    }
    return next((rule for rule, holds in rules.items() if not holds), "")


def _broken_reading(op: Op, operands: Operands, slot: int, constants: int, loops: dict[int, Loop]) -> str:
    """Return the rule about operands that an instruction breaks; `loops` are the loops before it."""
    if operands and max(operands) >= slot:
        return "reads a slot before it is defined"
    if operands and min(operands) < -constants:
        return "reads a constant that is not there"
    if isinstance(op, Result):
        made = loops.get(operands[0])
        if made is None:
            return "reads no loop"
        return f"the loop has {made.results} results" if op.index >= made.results else ""
    return "reads a loop, not a result of it" if not loops.keys().isdisjoint(operands) else ""


def name(program: Program, slot: int) -> str:
    """Name a slot as it is printed: a number, x0 (an input), p0 (a parameter) or %0 (an instruction)."""
    if slot < 0:
        return repr(program.constants[~slot])
    if slot < program.inputs:
        return f"x{slot}"
    if slot < program.leaves:
        return f"p{slot - program.inputs}"
    return f"%{slot - program.leaves}"


def render(program: Program, limit: int = 200) -> str:
    """Print the first `limit` instructions, one per line, and the parts of a loop below it."""
    lines = []
    for slot, op, operands in islice(program.instructions, limit):
        shown = [name(program, each) for each in operands[:limit]] + ["..."] * (len(operands) > limit)
        lines.append(f"{name(program, slot)} = {op.name}({', '.join(shown)})")
        if isinstance(op, Loop):
            lines += [f"  {line}" for line in render_turn(op, limit)]
    if program.count > limit:
        lines.append(f"... and {program.count - limit} more")
    outputs = ", ".join(name(program, slot) for slot in program.outputs)
    return "\n".join([*lines, f"return {outputs}".rstrip()])


def render_turn(loop: Loop, limit: int = 200) -> list[str]:
    """Print the parts of a loop, line by line."""
    parts = (
        {"while": loop.condition, "do": loop.body} if loop.condition else {f"{loop.turns} times": loop.body}
    )
    lines = []
    for title, part in parts.items():
        lines += [f"{title}:", *[f"  {line}" for line in render(part, limit).splitlines()]]
    return lines


def interpret(
    program: Program, leaves: Iterable[Any], constants: Sequence[Any], apply: Callable[..., Any]
) -> list[Any]:
    """Run a program over objects that stand for numbers: floats, arrays, texts, slots of another program.

    Args:
        program: the program.
        leaves: the objects for the inputs and the parameters.
        constants: the objects for the constants.
        apply: returns the result of an instruction; it takes the slot, the operation and the operands.
    """
    # Python's negative indices make slot -1 the first constant, -2 the second, and so on.
    values = [*leaves, *[None] * program.count, *reversed(constants)]
    for slot, op, operands in program.instructions:
        values[slot] = apply(slot, op, [values[operand] for operand in operands])
    return [values[slot] for slot in program.outputs]


def term_by_term(op: Op, operands: Sequence[Any], apply: Callable[[Op, Sequence[Any]], Any]) -> Any:
    """Compute a contraction from left to right; `apply` takes the operations it consists of, and operands."""
    terms = operands
    if op in PRODUCTS:
        half = len(operands) // 2
        terms = [apply(PRODUCTS[op], pair) for pair in zip(operands[:half], operands[half:], strict=True)]
    return reduce(lambda total, term: apply(STEPS[op], (total, term)), terms)


def entries(table: Any, keys: Sequence[Any]) -> tuple[Any, ...]:
    """Return the entries of a table at some keys. If these are many, a loop takes twice as long."""
    return itemgetter(*keys)(table) if len(keys) > 1 else tuple([table[key] for key in keys])


def evaluate(program: Program, inputs: Sequence[float], parameters: Sequence[float]) -> list[float]:
    """Run a program on one row with the table's operations: the reference for all backends."""
    values: list[Any] = [*inputs, *parameters, *[None] * program.count, *reversed(program.constants)]
    for slot, (op, operands) in enumerate(zip(program.ops, program.operands, strict=True), program.leaves):
        values[slot] = op.value(*entries(values, operands))
    product, first = ops.strong_mul.value, program.end
    found = [product(values[x], values[y]) for x, y in program.products]
    values[first : first + len(found)] = found
    return [values[slot] for slot in program.outputs]


# Faster than the table's functions.
_INLINE = {ops.add: "{} + {}", ops.sub: "{} - {}", ops.mul: "{} * {}"}
_INLINE[ops.strong_mul] = "({0} * {1} if {0} else 0.0)"


def _as_function(
    condition: Program | None, body: Program, state: int, items: int, turns: int | None, limit: int | None
) -> Any:
    """Return a loop as a Python function of its operands. It runs twenty times as fast as `evaluate`."""
    known: dict[str, Any] = {"endless": endless}
    names = [f"x{place}" for place in range(body.inputs)]
    outside, now = body.inputs - items, "".join([f"{name}, " for name in names[:state]])
    lines = [f"def function({', '.join([*names[:outside], '*items'])}):", "    given = []"]
    if condition is not None:
        lines += ["    count = 0", "    while True:"]
        goes_on = _written(condition, names, "c", lines, known)[0]
        lines.append(f"        if {goes_on} == 0.0: break")
        if limit is not None:
            lines.append(f"        if count == {limit}: raise endless(count)")
        lines.append("        count += 1")
    elif items:
        lines.append(f"    for {', '.join(names[outside:])}, in zip(*[iter(items)] * {items}):")
    else:
        lines.append(f"    for _ in range({turns}):")
    found = _written(body, names, "v", lines, known)
    if len(found) > state:
        lines.append(f"        given += [{', '.join(found[state:])}]")
    if state:
        lines.append(f"        {now} = {', '.join(found[:state])},")
    lines.append(f"    return ({now}*given,)")
    exec("\n".join(lines), known)  # it contains only names and numbers that we wrote
    return known["function"]


def _written(
    program: Program, leaves: Sequence[str], prefix: str, lines: list[str], known: dict[str, Any]
) -> list[str]:
    """Add the instructions of a turn as Python to some lines, and what they read; name the results."""
    constants = [f"{prefix}k{index}" for index in range(len(program.constants))]
    known |= zip(constants, program.constants, strict=True)

    def write(slot: int, op: Op, read: list[str]) -> str:
        known[f"{prefix}f{slot}"] = op.value
        call, half = f"{prefix}f{slot}({', '.join(read)})", len(read) // 2
        form = _INLINE.get(PRODUCTS.get(op, op))
        if (form or op is ops.sum) and 0 < half < 10:  # Python cannot parse a sum of thousands of terms
            pairs = zip(read[:half], read[half:], strict=False)
            call = " + ".join([form.format(*pair) for pair in pairs] if form else read)
        lines.append(f"        {prefix}{slot} = {call}")
        return f"{prefix}{slot}"

    return interpret(program, leaves, constants, write)


assert not {MAX.name, MIN.name} & set(TABLE)
