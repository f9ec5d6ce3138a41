"""Random programs over all rows of the table: shared subexpressions, chains, hard numbers."""

import math

from hypothesis import strategies as st

from nodegrad import ops
from nodegrad.compiler.passes import finish, simplify
from nodegrad.compiler.program import MAX, MIN, Program

HARD = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    0.5,
    -3.0,
    math.inf,
    -math.inf,
    math.nan,
    1e-320,
    1e308,
    -1e308,
    709.0,
    1e-17,
]
numbers = st.sampled_from(HARD) | st.floats(-4.0, 4.0) | st.floats()
ROWS = [*ops.TABLE.values(), MAX, MIN]
# Sums are what passes rewrite most, so they come often.
FREQUENT = [ops.add, ops.add, ops.mul, ops.strong_mul, ops.sub, ops.sum, ops.dot, ops.maximum]


@st.composite
def programs(draw, rows=ROWS, most=24, numbers=numbers):
    """Draw a program. Wide ones repeat every instruction for many operands: vectorizing has work then."""
    inputs, parameters = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    constants = draw(st.lists(numbers, min_size=1, max_size=4))
    names, operands = [], []
    width = draw(st.sampled_from([1, 1, 4, 5]))
    for _ in range(draw(st.integers(1, most))):
        op = draw(st.sampled_from([*rows, *[row for row in FREQUENT if row in rows] * 2]))
        arity = op.arity if op.arity is not None else draw(st.sampled_from([2, 4, 6, 10]))
        chained = len(names) >= width and draw(st.booleans())
        for _ in range(width):
            end = inputs + parameters + len(names)
            recent = st.integers(max(0, end - 8), end - 1)
            slot = st.one_of(recent, recent, st.integers(-len(constants), end - 1))
            names.append(op)
            drawn = draw(st.lists(slot, min_size=arity, max_size=arity))
            operands.append((end - width, *drawn[1:]) if chained else tuple(drawn))
    end = inputs + parameters + len(names)
    outputs = draw(st.lists(st.integers(-len(constants), end - 1), min_size=1, max_size=6))
    return Program(inputs, parameters, constants, names, operands, [*outputs, end - 1])


@st.composite
def runs(draw, rows=ROWS, most=24, numbers=numbers):
    """Draw a program, numbers for its inputs (three rows) and for its parameters."""
    program = draw(programs(rows, most, numbers))
    table = [draw(st.lists(numbers, min_size=program.inputs, max_size=program.inputs)) for _ in range(3)]
    return program, table, draw(st.lists(numbers, min_size=program.parameters, max_size=program.parameters))


def same(found, expected):
    """Whether numbers are equal one by one, nan where nan, and zeros of one sign."""
    return len(found) == len(expected) and all(
        (x == y and math.copysign(1.0, x) == math.copysign(1.0, y)) or (x != x and y != y)
        for x, y in zip(found, expected, strict=True)
    )


def optimize(program):
    """Run all passes."""
    return finish(simplify(program))
