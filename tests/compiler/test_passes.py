"""Passes: by their printed form, by random programs before and after, and by breaking them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from compiler.random_programs import HARD, optimize, runs, same
from nodegrad import ops
from nodegrad.compiler import chains, passes
from nodegrad.compiler.passes import flatten_chains, own_tables, share_loops, simplify, sweep_dead
from nodegrad.compiler.program import Program, check, evaluate, loop, render, result


def program(*instructions, inputs=3, parameters=0, constants=(), outputs=None):
    """Write a program as (operation, operand, ...) with slots as in the grammar."""
    names = [instruction[0] for instruction in instructions]
    operands = [instruction[1:] for instruction in instructions]
    last = inputs + parameters + len(names) - 1
    return Program(inputs, parameters, constants, names, operands, outputs or [last])


def printed(found):
    return render(check(found)).splitlines()


def test_constants_fold():
    before = program((ops.mul, -1, -2), (ops.add, 0, 3), constants=(2.0, 3.0))

    assert printed(simplify(before)) == ["%0 = add(x0, 6.0)", "return %0"]


@pytest.mark.parametrize(
    ("divisor", "after"),
    [
        (0.25, "%0 = mul(x0, 4.0)"),
        (-2.0, "%0 = mul(x0, -0.5)"),
        (3.0, "%0 = div(x0, 3.0)"),
        (2.0**-1074, "%0 = div(x0, 5e-324)"),  # its reciprocal is infinite
        (0.0, "%0 = div(x0, 0.0)"),
        (float("inf"), "%0 = div(x0, inf)"),
    ],
)
def test_division_by_a_power_of_two_is_a_multiplication(divisor, after):
    before = program((ops.div, 0, -1), constants=(divisor,))

    found = simplify(before)

    assert printed(found)[0] == after
    for number in (1.0, -0.0, 5e-324, 1.7e308, float("inf")):
        assert repr(evaluate(found, [number] * 3, [])) == repr(evaluate(before, [number] * 3, []))


def test_a_table_of_constants_is_a_run_of_constants():
    before = program(
        (ops.take, 0, -1, -2, -1),
        (ops.take, 1, -1, -2, -1),
        (ops.take, 0, -1, 1),
        (ops.mul, 3, 4),
        (ops.add, 5, 6),
        constants=(7.0, 8.0),
    )

    found = own_tables(before)

    assert found.constants == [7.0, 8.0, 7.0, 8.0, 7.0]
    assert [read[1:] for read in found.operands[:3]] == [(-3, -4, -5), (-3, -4, -5), (-1, 1)]
    assert evaluate(found, [1.0, 2.0, 0.0], []) == evaluate(before, [1.0, 2.0, 0.0], [])


def test_common_subexpressions_are_written_once_in_either_order():
    before = program((ops.add, 0, 1), (ops.add, 1, 0), (ops.mul, 3, 4))

    assert printed(simplify(before)) == ["%0 = add(x0, x1)", "%1 = mul(%0, %0)", "return %1"]


def test_subtraction_is_not_commutative():
    before = program((ops.sub, 0, 1), (ops.sub, 1, 0), (ops.mul, 3, 4))

    assert len(simplify(before).ops) == 3


@pytest.mark.parametrize(
    ("instruction", "after"),
    [
        ((ops.mul, 0, -1), "return x0"),
        ((ops.mul, -1, 0), "return x0"),
        ((ops.div, 0, -1), "return x0"),
        ((ops.pow, 0, -1), "return x0"),
        ((ops.pow, 0, -3), "return 1.0"),
        ((ops.sub, 0, -3), "return x0"),
        ((ops.add, 0, -4), "return x0"),
        ((ops.identity, 0), "return x0"),
        ((ops.stop_gradient, 0), "return x0"),
        ((ops.where, -1, 0, 1), "return x0"),
        ((ops.where, -3, 0, 1), "return x1"),
        ((ops.where, 2, 0, 0), "return x0"),
        ((ops.sum, 0), "return x0"),
        ((ops.strong_mul, -1, 0), "return x0"),
        ((ops.strong_mul, -3, 0), "return 0.0"),
        ((ops.zero_mul, -3, 0), "return 0.0"),
        ((ops.zero_mul, 0, -4), "return 0.0"),
        ((ops.mul, 0, -2), "%0 = neg(x0)"),
        ((ops.square, 0), "%0 = mul(x0, x0)"),
        ((ops.reciprocal, 0), "%0 = div(1.0, x0)"),
        ((ops.sum, 0, 1), "%0 = add(x0, x1)"),
        ((ops.dot, 0, 1), "%0 = mul(x0, x1)"),
        ((ops.strong_mul, -5, 0), "%0 = mul(2.0, x0)"),
        # Not identities for every float: x + 0.0 where x is -0.0, 0·x where x is inf.
        ((ops.add, 0, -3), "%0 = add(x0, 0.0)"),
        ((ops.mul, 0, -3), "%0 = mul(x0, 0.0)"),
        ((ops.sub, 0, 0), "%0 = sub(x0, x0)"),
        ((ops.strong_mul, 0, -5), "%0 = strong_mul(x0, 2.0)"),
        ((ops.zero_mul, -5, 0), "%0 = strong_mul(x0, 2.0)"),
        ((ops.zero_mul, 0, 0), "%0 = zero_mul(x0, x0)"),
        ((ops.pow, 0, -5), "%0 = pow(x0, 2.0)"),
    ],
)
def test_identities_hold_in_ieee_arithmetic_or_stay(instruction, after):
    before = program(instruction, constants=(1.0, -1.0, 0.0, -0.0, 2.0))

    assert printed(simplify(before))[0] == after


def test_double_negation_cancels():
    assert printed(simplify(program((ops.neg, 0), (ops.neg, 3)))) == ["%0 = neg(x0)", "return x0"]


def test_a_chain_of_sums_of_products_becomes_a_contraction():
    before = program(
        (ops.mul, 0, 3), (ops.mul, 1, 4), (ops.add, 6, 7), (ops.mul, 2, 5), (ops.add, 8, 9), parameters=3
    )

    assert printed(sweep_dead(flatten_chains(before))) == ["%0 = dot(x0, x1, x2, p0, p1, p2)", "return %0"]


def test_a_bias_before_the_products_becomes_a_product_with_one():
    before = program((ops.mul, 0, 3), (ops.add, 5, 6), (ops.mul, 1, 4), (ops.add, 7, 8), parameters=3)

    after = printed(sweep_dead(flatten_chains(before)))

    assert after == ["%0 = dot(1.0, x0, x1, p2, p0, p1)", "return %0"]


def test_additions_on_the_right_keep_their_order():
    before = program((ops.add, 1, 2), (ops.add, 0, 3), (ops.add, 4, 0))

    assert printed(sweep_dead(flatten_chains(before))) == [
        "%0 = add(x1, x2)",
        "%1 = sum(x0, %0, x0)",
        "return %1",
    ]


def test_a_term_that_is_read_twice_stays_outside_the_contraction():
    before = program((ops.mul, 0, 1), (ops.add, 3, 2), (ops.add, 4, 3), outputs=[5, 4])

    assert printed(sweep_dead(flatten_chains(before)))[0] == "%0 = mul(x0, x1)"


def test_strong_products_become_a_contraction_of_their_own():
    before = program(
        (ops.strong_mul, 0, 1),
        (ops.strong_mul, 1, 2),
        (ops.add, 3, 4),
        (ops.strong_mul, 2, 0),
        (ops.add, 5, 6),
    )

    after = printed(sweep_dead(flatten_chains(before)))

    assert after == ["%0 = strong_dot(x0, x1, x2, x1, x2, x0)", "return %0"]


def test_chains_within_chains_keep_their_order():
    before = program(
        (ops.add, 0, 1),
        (ops.sum, 3, 2, 0),
        (ops.dot, 1, 2, 0, 0),
        (ops.mul, 2, 2),
        (ops.add, 5, 6),
        (ops.sub, 4, 7),
    )

    assert printed(sweep_dead(flatten_chains(before))) == [
        "%0 = sum(x0, x1, x2, x0)",
        "%1 = dot(x1, x2, x2, x0, x0, x2)",
        "%2 = sub(%0, %1)",
        "return %2",
    ]


@pytest.mark.parametrize(("op", "name"), [(ops.maximum, "max"), (ops.minimum, "min")])
def test_a_chain_of_extremes_becomes_one_instruction(op, name):
    before = program((op, 0, 1), (op, 3, 2), (op, 4, -1), constants=(0.5,))

    assert printed(sweep_dead(flatten_chains(before))) == [f"%0 = {name}(x0, x1, x2, 0.5)", "return %0"]


def test_extremes_of_two_kinds_do_not_mix():
    before = program((ops.maximum, 0, 1), (ops.minimum, 3, 2), (ops.add, 4, 0))

    assert flatten_chains(before).ops == before.ops


def test_dead_code_goes():
    before = program((ops.exp, 0), (ops.sin, 1), (ops.mul, 4, 2))

    assert printed(sweep_dead(before)) == ["%0 = sin(x1)", "%1 = mul(%0, x2)", "return %1"]


@pytest.mark.parametrize("each", [simplify, share_loops, flatten_chains, sweep_dead, optimize])
@settings(max_examples=60)
@given(run=runs())
def test_results_stay_to_the_bit(each, run):
    before, table, parameters = run

    after = check(each(before))

    for row in table:
        assert same(evaluate(after, row, parameters), evaluate(before, row, parameters))


@given(run=runs())
def test_optimizing_never_makes_a_program_longer(run):
    assert len(optimize(run[0]).ops) <= len(run[0].ops)


def agrees(each, op):
    """Whether short programs of one operation and hard numbers find nothing wrong with a pass."""
    chain = Program(3, 0, (), [op, op], [(0, 1), (3, 2)], [4])
    pairs = [(0, -1), (-1, 0), (0, 0)]
    single = [Program(1, 0, [number], [op], [pair], [1]) for number in HARD for pair in pairs]
    runs_ = [
        (chain, [[0.1, 0.2, 0.3], [1e16, 1.0, -1e16]]),
        *[(found, [[x] for x in HARD]) for found in single],
    ]
    return all(
        same(evaluate(each(before), row, []), evaluate(before, row, []))
        for before, table in runs_
        for row in table
    )


@pytest.mark.parametrize(
    ("op", "wrong"),
    [
        (ops.add, lambda to, x, y: x if to.number(y) == 0.0 else None),
        (ops.sub, lambda to, x, y: to.pool.slot(0.0) if x == y else None),
        (ops.strong_mul, lambda to, x, y: to.emit(ops.mul, (x, y))),
        (ops.maximum, lambda to, x, y: to.emit(ops.minimum, (x, y))),
    ],
)
def test_hard_numbers_find_a_wrong_identity(monkeypatch, op, wrong):
    assert agrees(simplify, op)
    monkeypatch.setitem(passes._RULES, op, (wrong, False))

    assert not agrees(simplify, op)


def test_short_programs_find_sums_added_in_another_order(monkeypatch):
    assert agrees(flatten_chains, ops.add)
    write = chains._Flattener.write
    monkeypatch.setattr(
        chains._Flattener,
        "write",
        lambda self, total, run: write(
            self,
            total,
            [(*link[:2], *other[2:]) for link, other in zip(run, run[::-1], strict=True)],
        ),
    )

    assert not agrees(flatten_chains, ops.add)


def test_a_loop_is_taken_from_the_wider_one_that_computes_it_too():
    step = Program(2, 0, [], [ops.add], [(0, 1)], [2])
    both = Program(3, 0, [], [ops.add, ops.mul], [(0, 2), (1, 1)], [3, 4])
    narrow = loop(None, step, 1, 0, 5, None)
    wide = replace(loop(None, both, 2, 0, 5, None), narrower=narrow)
    names = [narrow, result(0), ops.exp, wide, result(1)]
    program = Program(2, 0, [], names, [(0, 1), (2,), (3,), (0, 0, 1), (5,)], [4, 6])

    found = check(share_loops(program))

    assert sorted(op.name for op in sweep_dead(found).ops) == ["exp", "loop", "result[0]", "result[1]"]
    assert evaluate(found, [0.1, 0.2], []) == evaluate(program, [0.1, 0.2], [])


@pytest.mark.parametrize("operands", [(1, 1), (1, 0)])
def test_a_loop_of_other_numbers_is_not_taken_from_a_wider_one(operands):
    step = Program(2, 0, [], [ops.add], [(0, 1)], [2])
    both = Program(3, 0, [], [ops.add, ops.mul], [(0, 2), (1, 1)], [3, 4])
    narrow = loop(None, step, 1, 0, 5, None)
    wide = replace(loop(None, both, 2, 0, 5, None), narrower=narrow)
    names = [narrow, result(0), wide, result(1)]
    program = Program(2, 0, [], names, [operands, (2,), (0, 0, 1), (4,)], [3, 5])

    assert evaluate(check(share_loops(program)), [0.1, 0.2], []) == evaluate(program, [0.1, 0.2], [])
