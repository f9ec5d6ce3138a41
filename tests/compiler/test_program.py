"""Program: grammar, printed form, evaluator."""

import math
import pickle

import pytest

from nodegrad import ops
from nodegrad.compiler.program import MAX, Program, check, evaluate, loop, render, result

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


def halving():
    """Count how often x can be halved before it is at most 1: the state is (x, count)."""
    condition = Program(2, 0, [1.0], [ops.gt], [(0, -1)], [2])
    body = Program(2, 0, [0.5, 1.0], [ops.mul, ops.add], [(0, -1), (1, -2)], [2, 3])
    return loop(condition, body, state=2, items=0, turns=None, limit=100)


def running_sum(turns):
    """Add up items times a factor: the state is the sum; the factor is outside; every sum so far is given."""
    body = Program(3, 0, [], [ops.mul, ops.add], [(1, 2), (0, 3)], [4, 4])
    return loop(None, body, state=1, items=1, turns=turns, limit=0)


def test_a_loop_goes_on_while_its_condition_holds():
    program = check(Program(1, 0, [0.0], [halving(), result(1)], [(0, -1), (1,)], [2]))

    assert [evaluate(program, [x], [])[0] for x in (0.5, 1.0, 9.0, math.nan)] == [0.0, 0.0, 4.0, 0.0]


def test_a_loop_over_items_gives_out_numbers():
    operands = [(-1, 0, 1, 2, 3), *[(4,)] * 4]
    program = check(Program(4, 0, [0.0], [running_sum(3), *map(result, range(4))], operands, [5, 6, 7, 8]))

    assert evaluate(program, [10.0, 1.0, 2.0, 3.0], []) == [60.0, 10.0, 30.0, 60.0]


def test_a_loop_of_no_turns_gives_its_first_state():
    program = check(Program(2, 0, [], [running_sum(0), result(0)], [(0, 1), (2,)], [3]))

    assert evaluate(program, [7.0, 1.0], []) == [7.0]


def test_a_loop_that_does_not_end_is_an_error():
    forever = Program(1, 0, [1.0], [ops.identity], [(0,)], [-1])
    program = Program(1, 0, [], [loop(forever, forever, 1, 0, None, 10)], [(0,)], [1])

    with pytest.raises(RuntimeError, match="within 10 turns"):
        evaluate(program, [1.0], [])


def test_loops_pickle_with_their_results():
    program = Program(1, 0, [0.0], [halving(), result(1)], [(0, -1), (1,)], [2])

    again = pickle.loads(pickle.dumps(program))

    assert again.ops[1] is result(1)
    assert evaluate(check(again), [5.0], []) == [3.0]


def test_loops_print_their_parts():
    program = Program(1, 0, [0.0], [halving(), result(1)], [(0, -1), (1,)], [2])

    assert render(program).splitlines() == [
        "%0 = loop(x0, 0.0)",
        "  while:",
        "    %0 = gt(x0, 1.0)",
        "    return %0",
        "  do:",
        "    %0 = mul(x0, 0.5)",
        "    %1 = add(x1, 1.0)",
        "    return %0, %1",
        "%1 = result[1](%0)",
        "return %1",
    ]


ONE, TWO = Program(1, 0, [], [], [], [0]), Program(1, 0, [], [], [], [0, 0])


@pytest.mark.parametrize(
    ("names", "operands", "message"),
    [
        ([halving()], [(0,)], "takes 2 operands"),
        ([ops.neg, result(0)], [(0,), (1,)], "reads no loop"),
        ([halving(), result(2)], [(0, 0), (1,)], "has 2 results"),
        ([halving(), ops.neg], [(0, 0), (1,)], "reads a loop, not a result"),
        ([halving(), result(0)], [(0, 0), (1, 1)], "takes 1 operands"),
        ([result(0), halving()], [(2,), (0, 0)], "before it is defined"),
        ([MAX], [()], "at least one operand"),
        ([loop(ONE, TWO, 1, 0, None, 10)], [(0,)], "given out need turns"),
        ([loop(TWO, ONE, 1, 0, None, 10)], [(0,)], "a condition is one number"),
        ([loop(ONE, ONE, 1, 0, 2, 10)], [(0,)], "turns or a condition"),
        ([loop(None, ONE, 2, 0, 2, None)], [(0,)], "a turn returns the next state"),
        ([loop(ONE, Program(1, 1, [], [], [], [0]), 1, 0, None, 10)], [(0,)], "the same numbers|as operands"),
    ],
)
def test_check_finds_loops_that_break_the_grammar(names, operands, message):
    with pytest.raises(AssertionError, match=message):
        check(Program(1, 0, [], names, operands, [0]))


def test_check_finds_a_loop_among_the_outputs():
    with pytest.raises(AssertionError, match="output 1 is not a slot of a number"):
        check(Program(1, 0, [], [halving()], [(0, 0)], [1]))
