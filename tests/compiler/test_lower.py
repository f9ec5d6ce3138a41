"""Lowering: products that only results need are written once, at the end, and like any other operation."""

import math

import pytest

from nodegrad import Value, ops
from nodegrad.compiler.lower import lower
from nodegrad.compiler.program import check, evaluate
from nodegrad.value import literal

X, Y = Value(0.5), Value(-3.0)
SLOPE = ops.exp(X)
SHARED = ops.strong_mul(SLOPE, Y)
RESULTS = {
    "different": [ops.strong_mul(SLOPE, X), ops.strong_mul(SLOPE, Y), ops.strong_mul(Y, SLOPE)],
    "one twice": [SHARED, SLOPE, SHARED],
    "two alike": [ops.strong_mul(SLOPE, Y), SHARED],
    "one that another result reads": [SHARED, ops.sin(SHARED)],
    "one like another that is read": [ops.strong_mul(SLOPE, Y), ops.sin(SHARED)],
    "a product of products": [ops.strong_mul(SHARED, ops.strong_mul(Y, X)), SHARED],
    "a constant factor": [ops.strong_mul(SLOPE, literal(2.0)), SHARED],
    "a factor that turns out to be constant": [ops.strong_mul(ops.exp(literal(0.0)), Y), SHARED],
    "a zero": [ops.strong_mul(literal(0.0), Y), SHARED],
    "plain numbers": [0.0, SHARED, -0.0, math.inf, literal(0.0), SLOPE],
    "an argument and a parameter": [X, Y],
    "nothing": [],
}


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
def test_results_are_those_of_the_recorded_values(wanted):
    program, parameters, _ = lower([X], wanted)

    found = evaluate(check(program), [X.data], [leaf.data for leaf in parameters])

    assert list(map(repr, found)) == [repr(x.data if isinstance(x, Value) else x) for x in wanted]


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
def test_each_expression_is_written_once(wanted):
    program, _, _ = lower([X], wanted)

    written = [*zip(program.ops, program.operands, strict=True)]
    assert len(written) == len({*written})


def test_products_that_only_results_need_come_last():
    wanted = [ops.strong_mul(SLOPE, X), ops.sin(SLOPE), SHARED]

    program, _, operations = lower([X], wanted)

    assert [op.name for op in program.ops] == ["exp", "sin", "strong_mul", "strong_mul"]
    assert operations == 4


def test_a_constant_factor_is_simplified():
    program, _, _ = lower([X], [ops.strong_mul(ops.exp(literal(0.0)), ops.sin(X)), SHARED])

    assert [op.name for op in program.ops] == ["sin", "exp", "strong_mul"]
