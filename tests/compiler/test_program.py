"""Program: grammar, printed form, evaluator."""

import pytest

from nodegrad import ops
from nodegrad.compiler.program import Program, check, evaluate, render

SQUARES = Program(2, 1, [3.0], [ops.mul, ops.add, ops.mul], [(0, 0), (3, 1), (4, -1)], [5, 2])


def test_printed_form_names_inputs_parameters_constants_and_results():
    assert render(SQUARES) == "%0 = mul(x0, x0)\n%1 = add(%0, x1)\n%2 = mul(%1, 3.0)\nreturn %2, p0"


def test_evaluator_runs_one_row():
    assert evaluate(SQUARES, [2.0, 1.0], [7.0]) == [15.0, 7.0]


def test_long_programs_print_their_beginning():
    program = Program(1, 0, [], [ops.exp] * 9, [(slot,) for slot in range(9)], [9])

    assert render(program, limit=2).splitlines()[1:3] == ["%1 = exp(%0)", "... and 7 more"]


@pytest.mark.parametrize(
    ("ops_", "operands", "outputs", "message"),
    [
        ([ops.mul], [(0, 1)], [1], "before it is defined"),
        ([ops.mul], [(0,)], [1], "takes 2 operands"),
        ([ops.exp], [(-2,)], [1], "not there"),
        ([ops.dot], [(0, 0, 0)], [1], "two halves"),
        ([ops.exp], [(0,)], [2], "output 2"),
        ([ops.exp], [], [0], "one tuple"),
    ],
)
def test_checker_names_what_breaks_the_grammar(ops_, operands, outputs, message):
    with pytest.raises(AssertionError, match=message):
        check(Program(1, 0, [1.0], ops_, operands, outputs))


def test_checker_passes_a_sound_program_through():
    assert check(SQUARES) is SQUARES
