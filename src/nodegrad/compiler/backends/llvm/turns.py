"""Loop instructions in LLVM IR: one native loop, its state in registers; a mask holds lanes that are done.

state = first state                                      # a vector of lanes for each number
while any lane of (mask &= condition(state)) is set:     # or: for each turn
    state = where(mask, body(state), state)
store state
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from nodegrad import ops
from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.backends.llvm.kernels import Fields, Load, keep, kept, store
from nodegrad.compiler.backends.llvm.spellings import ENDLESS, spell
from nodegrad.compiler.passes import is_square
from nodegrad.compiler.program import STEPS, Loop, Program, Result, interpret, term_by_term

__all__ = ()

Names = Sequence[Name]
Item = Callable[[Name, int], Name]  # the number that a turn takes: (turn, which) -> vector
Give = Callable[[Name, int, Name], None]  # keeps a number that a turn gives: (turn, which, vector)


@dataclass(frozen=True, slots=True)
class TurnsKernel:
    """A loop instruction; items are found by stride ("affine") or in a table."""

    loop: Loop
    operands: tuple[Load, ...]
    items: Load | None

    def __call__(self, body: Body) -> str:
        """Write the kernel. Record: function, fields of the loads, then where results are stored."""
        loop, fields = self.loop, Fields(body)
        operands = [fields.load(each) for each in self.operands]
        items: Any = None if self.items is None else fields.load(self.items)
        start, zero = fields.target(), body.name("0")
        first = [next(each(zero)) for each in operands]

        def item(turn: Name, which: int) -> Any:
            return next(items(turn * loop.items + which))

        def give(turn: Name, which: int, vector: Name) -> None:
            store(body, vector, start, turn * loop.given + (loop.state + which))

        state, outside = first[: loop.state], first[loop.state :]
        for number, vector in enumerate(_loop(body, loop, state, outside, item, give, None)):
            store(body, vector, start, number)
        return fields.go_on()


def _loop(
    body: Body, loop: Loop, first: Names, outside: Names, item: Item, give: Give, active: Name | None
) -> list[Name]:
    """Write a loop and return its last state; only the active lanes count (None: all)."""
    if loop.condition is None:
        state = list(first)
        with body.loop(str(loop.turns), carried=state) as turn:
            items = [item(turn, which) for which in range(loop.items)]
            found = _program(body, loop.body, [*state, *outside, *items], frozenset(), active)
            for which, vector in enumerate(found[loop.state :]):
                give(turn, which, vector)
            state[:] = found[: loop.state]
        return state
    head, inside, done = map(body.fresh, ("loop", "more", "done"))
    body.do(f"br label %{head}")
    everyone = active or body.repeated("i1", "true")
    kinds = ["i64", body.mask, *[body.vector] * loop.state]
    with body.again(head, kinds, ["0", everyone, *first]) as now:
        turns, mask, *state = now
        with _exact(body, True):
            (go,) = _program(body, loop.condition, [*state, *outside], frozenset(), active)
        left = body.let(f"and {body.mask} {mask}, {body.compare('une', go, body.number(0.0))}")
        body.do(f"br i1 {body.any(left)}, label %{inside}, label %{done}")
        body.label(inside)
        if loop.limit is not None:
            turns = _count(body, turns, loop.limit, done)
        found = _program(body, loop.body, [*state, *outside], loop.decisive, left)
        now[:] = turns, left, *[body.choose(left, new, old) for new, old in zip(found, state, strict=True)]
        body.do(f"br label %{head}")
    body.label(done)
    return state


def _count(body: Body, turns: Name, limit: int, done: str) -> Name:
    """Count a turn; past the limit, hold an error for the caller and leave the loop."""
    over, onward = body.fresh("over"), body.fresh("turn")
    body.do(f"br i1 {body.let(f'icmp eq i64 {turns}, {limit}')}, label %{over}, label %{onward}")
    body.label(over)
    body.declarations.add(f"declare void @{ENDLESS}(i64)")
    body.do(f"call void @{ENDLESS}(i64 {limit})")
    body.do(f"br label %{done}")
    body.label(onward)
    return turns + 1


def _program(
    body: Body, program: Program, inputs: Names, decisive: frozenset[int], active: Name | None
) -> list[Name]:
    """Write a program instruction by instruction, those at the decisive slots to the bit."""

    def write(slot: int, op: Any, operands: list[Any]) -> Any:
        with _exact(body, body.exact or slot in decisive):
            if isinstance(op, Result):
                return operands[0][op.index]
            if isinstance(op, Loop):
                return _inner(body, op, operands, active)
            if op in STEPS:
                return term_by_term(op, operands, partial(spell, body))
            if not body.exact and is_square(program, op, program.operands[slot - program.leaves]):
                return spell(body, ops.mul, [operands[0], operands[0]])
            return spell(body, op, operands)

    return interpret(program, inputs, [*map(body.number, program.constants)], write)


def _inner(body: Body, loop: Loop, operands: list[Name], active: Name | None) -> list[Name]:
    """Write a loop inside another, its items and what it gives out on the stack; return all results."""
    fixed = loop.state + loop.outside
    taken = body.room(len(operands) - fixed, body.vector)
    for place, number in enumerate(operands[fixed:]):
        keep(body, number, taken, place)
    given = body.room(loop.results - loop.state, body.vector)

    def item(turn: Name, which: int) -> Name:
        return kept(body, taken, turn * loop.items + which)

    def give(turn: Name, which: int, vector: Name) -> None:
        keep(body, vector, given, turn * loop.given + which)

    last = _loop(body, loop, operands[: loop.state], operands[loop.state : fixed], item, give, active)
    return [*last, *[kept(body, given, place) for place in range(loop.results - loop.state)]]


@contextmanager
def _exact(body: Body, exact: bool) -> Iterator[None]:
    """Write the code inside so that products and sums are rounded apart, and functions are C's."""
    before, body.exact = body.exact, exact
    try:
        yield
    finally:
        body.exact = before
