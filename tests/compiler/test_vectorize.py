"""Vectorize: what comes out for a network, and random programs before and after."""

from array import array
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

import nodegrad as ng
from compiler.random_programs import optimize, runs, same
from compiler.vector_evaluator import evaluate
from nodegrad import ops
from nodegrad.compiler.eager import Eager
from nodegrad.compiler.lower import lower
from nodegrad.compiler.printing import render
from nodegrad.compiler.program import MAX, Program
from nodegrad.compiler.program import evaluate as evaluate_program
from nodegrad.compiler.reduction import plan_reduction
from nodegrad.compiler.vector import Group, Index, Straight, check
from nodegrad.compiler.vectorize import vectorize
from nodegrad.trees import flatten


def recorded(f, *arguments):
    numbers, spec = flatten(arguments)
    found = Eager(f, spec).record(numbers)
    program, leaves, _ = lower(found.inputs, found.wanted)
    return optimize(program), numbers, [leaf.data for leaf in leaves]


def loss_and_gradient(sizes):
    model = ng.nn.MLP(sizes[0], list(sizes[1:]), seed=0)

    def loss(x, y):
        out = model(x)
        return (out - y) ** 2

    return recorded(ng.value_and_grad(loss, wrt=model.parameters()), [0.1] * sizes[0], 1.0)


def test_a_program_without_instructions_gives_its_inputs_back():
    assert evaluate(vectorize(Program(2, 1, [], [], [], [1, 0])), [3.0, 4.0], [5.0]) == [4.0, 3.0]
    assert evaluate(vectorize(Program(1, 1, [7.0], [], [], [1, -1, 0])), [3.0], [5.0]) == [5.0, 7.0, 3.0]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_results_that_do_not_vary_are_copied_into_every_row(count):
    constants, slots = [0.5 + at for at in range(count)], [*range(2, 2 + count)]
    dot = 0, 0, slots[0], 0, slots[-1], slots[0], 0, slots[-1]  # factors of which some vary
    operands = [*[(1, ~at) for at in range(count)], dot]
    program = Program(1, 1, constants, [*[ops.mul] * count, ops.dot], operands, [*slots, 0, slots[-1] + 1])

    found = evaluate(vectorize(program), [3.0], [5.0])

    assert found == evaluate_program(program, [3.0], [5.0])


@given(run=runs())
def test_results_stay_to_the_bit(run):
    program, table, parameters = run

    vector = vectorize(program)

    for row in table:
        assert same(evaluate(vector, row, parameters), evaluate_program(program, row, parameters))


@given(run=runs())
def test_results_stay_to_the_bit_after_passes(run):
    program, table, parameters = run

    vector = vectorize(optimize(program))

    for row in table:
        assert same(evaluate(vector, row, parameters), evaluate_program(program, row, parameters))


def test_a_network_becomes_a_page_of_vector_instructions_whatever_its_width():
    counts = {vectorize(loss_and_gradient([4, width, width, 1])[0]).instructions for width in (8, 32)}

    assert counts == {20}


def test_the_printed_form_is_what_one_derives_by_hand():
    text = render(vectorize(loss_and_gradient([2, 8, 8, 1])[0]))

    assert "v0[8]      = p[0: 8×2] @ x[0:2]" in text
    assert "= relu(v1)" in text
    assert "v16[8]     = p[24: 8×8]ᵀ @ v15[7::-1]" in text
    assert "= v15 ⊗ v2" in text
    assert "= v18 ⊗ x[0:2]" in text


def test_softmax_over_more_and_more_scores_is_the_same_few_instructions():
    def attention(keys, queries):
        rows = [[query * key for key in keys[: place + 3]] for place, query in enumerate(queries)]
        return [ng.dot(ng.softmax(row), keys[: len(row)]) for row in rows]

    keys = [0.1 * index for index in range(16)]
    vector = vectorize(recorded(attention, keys, keys[3:])[0])
    found = Counter(item.op for item in vector.body if isinstance(item, Group))

    assert found[ops.exp] == found[ops.div] == found[ops.where] == 1
    assert found[MAX] == found[ops.sum] == found[ops.dot] == 12  # the first, of three terms, is scalar code


def matrix(rows, columns):
    return [[ng.Value(1.0 + row + column) for column in range(columns)] for row in range(rows)]


def test_a_matrix_times_several_vectors_is_laid_out_vector_by_vector():
    W = matrix(4, 4)
    vectors = [[0.1 + place + shift for place in range(4)] for shift in range(3)]

    program, _, _ = recorded(lambda xs: [[ng.dot(row, x) for row in W] for x in xs], vectors)
    (product,) = vectorize(program).body

    assert product.operands[1].slots[:, 0].tolist() == [0] * 4 + [4] * 4 + [8] * 4


def test_a_gradient_by_a_matrix_is_a_product_sum_though_its_vectors_are_used_at_unequal_depths():
    W = matrix(5, 4)
    vectors = [[0.1 + place + shift for place in range(4)] for shift in range(4)]

    def loss(xs):
        first, *others = [[ng.tanh(ng.dot(row, x)) for row in W] for x in xs]
        return ng.sum([ng.sin(y) for y in first]) + ng.sum([y * y for ys in others for y in ys])

    program, _, _ = recorded(ng.value_and_grad(loss, wrt=W), vectors)
    plan = plan_reduction(vectorize(program))

    assert [len(each.a) for each in plan.products] == [20]
    assert len(plan.slots) == 1  # the loss itself


def test_results_of_parameters_alone_are_computed_once():
    weight = ng.Value(3.0)
    program, numbers, parameters = recorded(lambda x: x * ng.exp(weight), 2.0)

    vector = vectorize(program)

    assert [item.ops for item in vector.prologue] == [[ng.exp]]
    assert evaluate(vector, numbers, parameters) == [2.0 * ng.exp(3.0)]


def test_products_that_only_sums_need_leave_the_body():
    program = loss_and_gradient([2, 8, 8, 1])[0]

    plan = plan_reduction(vectorize(program))

    assert sorted(product.a.shape for product in plan.products) == [(8, 1), (16, 1), (64, 1)]
    assert len(plan.take) == len(program.outputs)
    assert check(plan.program)


def test_products_of_pairs_are_written_for_each_row():
    w = [ng.Value(0.5 * place) for place in range(8)]
    x = [0.1 + place for place in range(8)]

    def loss(x):
        return ng.sum([ng.tanh(a * b) for a, b in zip(w, x, strict=True)])

    plan = plan_reduction(vectorize(recorded(ng.value_and_grad(loss, wrt=w), x)[0]))

    assert not plan.products
    assert len(plan.slots) == 1 + len(w)


def vector_of_pairs():
    return vectorize(Program(4, 4, (), [ng.add] * 4, [(i, i + 4) for i in range(4)], [8, 9, 10, 11]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 2}, "writes a slot again"),
        ({"start": 7}, "past the end"),
        ({"operands": (Index(False, np.arange(4, 8)), Index(True, np.arange(4)))}, "before it is written"),
        ({"operands": (Index(False, np.arange(4)), Index(True, np.arange(4, 8)))}, "past the end"),
        ({"operands": (Index(False, np.arange(4)),)}, "takes 2 operands"),
        ({"operands": (Index(False, np.arange(3)), Index(True, np.arange(4)))}, "shape"),
    ],
)
def test_checker_names_what_breaks_the_rules(change, message):
    sound = vector_of_pairs()
    (group,) = sound.body
    assert isinstance(group, Group)
    assert check(sound) is sound

    with pytest.raises(AssertionError, match=message):
        check(replace(sound, body=[replace(group, **change)]))


def test_checker_looks_into_straight_runs():
    sound = vectorize(Program(1, 0, (), [ng.exp, ng.sin], [(0,), (1,)], [2]))
    assert sound.body == [Straight(1, [ng.exp, ng.sin], array("q", [0, 1]))]

    with pytest.raises(AssertionError, match="too early"):
        check(replace(sound, body=[Straight(1, [ng.exp, ng.sin], array("q", [2, 1]))]))
    with pytest.raises(AssertionError, match="again"):
        check(replace(sound, body=[Straight(0, [ng.exp, ng.sin], array("q", [0, 1]))]))
