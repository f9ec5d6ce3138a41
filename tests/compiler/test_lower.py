"""Lowering: each expression is written once; many products that only results need are listed apart."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nodegrad import Value, ops
from nodegrad.compiler import backends
from nodegrad.compiler import lower as lowering
from nodegrad.compiler.lower import lower
from nodegrad.compiler.passes import relax, simplify, sweep_dead
from nodegrad.compiler.program import check, evaluate, name, render
from nodegrad.compiler.saving import _read, _written
from nodegrad.compiler.vectorize import vectorize
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
    "pairs": [(SLOPE, X), SLOPE, (SHARED, Y)],
    "a pair with a strong zero": [(Value(0.0), Value(math.inf)), SLOPE],
    "pairs and a product": [(SLOPE, X), SHARED, (SLOPE, Y)],
    "a pair like a product that another result reads": [ops.sin(SHARED), (SLOPE, Y), SHARED],
    "nothing": [],
}


@pytest.fixture(params=[1, 1000], ids=["listed", "written"])
def fewest(request, monkeypatch):
    """From how many products on they are listed by themselves."""
    monkeypatch.setattr(lowering, "_MANY", request.param)
    return request.param


def shown(numbers):
    return list(map(repr, numbers))


def number(x):
    """Return the number of a result; a pair stands for a strong product."""
    return ops.strong_mul(*x).data if type(x) is tuple else x.data if isinstance(x, Value) else x


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
def test_results_are_those_of_the_recorded_values(wanted, fewest):
    program, parameters, _ = lower([X], wanted)

    found = evaluate(check(program), [X.data], [leaf.data for leaf in parameters])

    assert shown(found) == shown(map(number, wanted))


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("then", [sweep_dead, relax, simplify, lambda program: _read(_written(program))])
def test_passes_and_files_keep_the_results(wanted, then, fewest):
    program, parameters, _ = lower([X], wanted)
    given = [X.data], [leaf.data for leaf in parameters]

    assert shown(evaluate(check(then(program)), *given)) == shown(evaluate(program, *given))


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_every_backend_gives_the_results(wanted, backend, fewest):
    program, parameters, _ = lower([X], wanted)
    numbers = np.array([leaf.data for leaf in parameters])
    rows = np.linspace(-1.0, 1.0, 5)[:, None]

    kernel = backends.make(program, name=backend, exact=True, threads=1)

    expected = [evaluate(program, row, numbers.tolist()) for row in rows.tolist()]
    assert kernel.rows([rows], len(rows), numbers).T.tolist() == expected
    np.testing.assert_allclose(kernel.sums([rows], len(rows), numbers), np.sum(expected, axis=0))


@pytest.mark.parametrize("wanted", RESULTS.values(), ids=RESULTS)
def test_each_expression_is_written_once(wanted):
    program, _, _ = lower([X], wanted)

    written = [*zip(program.ops, program.operands, strict=True)]
    assert len(written) == len({*written})


def test_many_products_that_only_results_need_are_listed(monkeypatch):
    monkeypatch.setattr(lowering, "_MANY", 2)
    wanted = [ops.strong_mul(SLOPE, X), ops.sin(SLOPE), SHARED]

    program, _, operations = lower([X], wanted)

    assert [op.name for op in program.ops] == ["exp", "sin"]
    assert [[name(program, slot) for slot in pair] for pair in program.products] == [
        ["%0", "x0"],
        ["%0", "p0"],
    ]
    assert operations == program.count == 4
    assert render(program).splitlines()[2:] == [
        "%2 = strong_mul(%0, x0)", "%3 = strong_mul(%0, p0)", "return %2, %1, %3",
    ]  # fmt: skip


def test_a_product_that_another_result_reads_is_computed_once(monkeypatch):
    monkeypatch.setattr(lowering, "_MANY", 1)

    program, _, operations = lower([X], [SHARED, ops.sin(SHARED), (SLOPE, X)])

    assert [op.name for op in program.ops] == ["exp", "strong_mul", "sin"]
    assert len(program.products) == 1
    assert operations == 4


def test_products_are_left_out_where_no_output_needs_them(monkeypatch):
    monkeypatch.setattr(lowering, "_MANY", 1)
    program, _, _ = lower([X], [SHARED, ops.sin(X)])

    assert not sweep_dead(replace(program, outputs=program.outputs[1:])).products


def test_a_layer_of_products_is_one_vector_instruction(monkeypatch):
    monkeypatch.setattr(lowering, "_MANY", 1)
    inputs = [Value(float(at)) for at in range(5)]
    slopes = [ops.exp(x) for x in inputs]

    program = vectorize(lower(inputs, [ops.strong_mul(slope, x) for slope in slopes for x in inputs])[0])

    assert [(item.op.name, item.count) for item in program.body][1:] == [("strong_mul", 25)]


def test_a_constant_factor_is_simplified():
    program, _, _ = lower([X], [ops.strong_mul(ops.exp(literal(0.0)), ops.sin(X)), SHARED])

    assert [op.name for op in program.ops] == ["sin", "exp", "strong_mul"]
