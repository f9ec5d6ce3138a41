"""The rows of a page: in JavaScript every operation has the values and partials that it has in Python."""

import itertools
import math
import random

import pytest

import nodegrad as ng
from nodegrad import Value, ops, player
from nodegrad.show.explaining.chain_rule import is_smooth, local_derivative
from nodegrad.show.players.rows import row_of
from nodegrad.show.snapshot import snapshot
from page_in_node import job, run_node
from test_ops import HARD, points

ULPS = 4
ANY_NUMBER = {"sum": 3, "dot": 6, "strong_dot": 6, "take": 4}
# How many terms polygamma adds up depends on its order, so a page keeps the number Python computed.
COMPUTED = [op for op in ops.TABLE.values() if op.name != "polygamma"]


def ulps(x, y):
    """Return how many floats two numbers are apart."""
    if x == y or (x != x and y != y):
        return 0.0
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.inf
    return abs(x - y) / max(math.ulp(x), math.ulp(y))


def settings(op):
    """Return where to compute an operation: inside its domain, and at the hard points."""
    arity = op.arity or ANY_NUMBER[op.name]
    if op.arity is None:
        source = random.Random(op.name)
        return [[source.choice(HARD) for _ in range(arity)] for _ in range(60)]
    hard = HARD if arity < 3 else HARD[::4]
    if op is ops.round_to:
        source = random.Random(2)
        ties = [source.randint(-9999, 9999) / 2 ** source.randint(0, 9) for _ in range(500)]
        return points(op, 40) + [
            [x, float(places)] for x in HARD + ties for places in (-3, -2, -1, 0, 1, 2, 5, 400)
        ]
    return points(op, 40) + [list(point) for point in itertools.product(hard, repeat=arity)]


@pytest.fixture(scope="module")
def computed():
    """Compute every row of the table in one process of Node, at all its points."""
    jobs = {}
    for op in COMPUTED:
        leaves = [Value(0.5) for _ in range(op.arity or ANY_NUMBER[op.name])]
        found = [list(enumerate(point)) for point in settings(op)]
        jobs[op.name] = job(player(op(*leaves)), found)
    return dict(zip(jobs, run_node(list(jobs.values())), strict=True))


@pytest.mark.parametrize("op", COMPUTED, ids=lambda op: op.name)
def test_values_partials_and_gradients_equal_python_s(op, computed):
    worst = 0.0
    for point, answer in zip(settings(op), computed[op.name], strict=True):
        leaves = [Value(x) for x in point]
        out = op(*leaves)
        (vertex,) = [vertex for vertex in snapshot([out]) if vertex.value is out]
        smooth = [at for at in range(len(leaves)) if is_smooth(vertex, at)]
        out.backward()
        pairs = [(out.data, answer["data"][-1])]
        pairs += [(local_derivative(vertex, at), answer["partials"][-1][at]) for at in smooth]
        pairs += [(leaf.grad, found) for leaf, found in zip(leaves, answer["right"], strict=False)]
        for expected, found in pairs:
            apart = ulps(expected, float(found))
            assert apart <= ULPS, (op.name, point, expected, found)
            worst = max(worst, apart)
    assert worst < math.inf


def test_every_row_of_the_table_is_spelled():
    for op in COMPUTED:
        assert row_of(op, op.arity or ANY_NUMBER[op.name]).value is not None, op.name


def test_a_custom_operation_is_compiled_if_its_value_can_be_recorded():
    cube = ng.custom("cube", lambda x: x**3 + ng.exp(x), lambda x, out: 3.0 * x * x + ng.exp(x))
    page = player(cube(Value(2.0)))
    (answers,) = run_node([job(page, [[(0, 3.0)]])])

    assert ulps(answers[0]["data"][-1], 27.0 + math.exp(3.0)) <= ULPS
    assert ulps(answers[0]["right"][0], 27.0 + math.exp(3.0)) <= ULPS
    assert "cannot repeat" not in page.html


@pytest.mark.parametrize(
    "value",
    [
        math.exp,
        lambda x: math.exp(x) if x > 0 else 0.0,
        lambda x: 0.0 if x == 7.0 else math.exp(x),
        lambda x: float(f"{x}") and math.exp(x),
    ],
)
def test_an_operation_that_runs_on_floats_only_keeps_its_number_and_says_so(value):
    wave = ng.custom("wave", value, lambda x, out: ng.exp(x))
    x = Value(2.0, label="x")
    page = player(wave(x) * x)
    (answers,) = run_node([job(page, [[(0, 5.0)]])])

    assert answers[0]["data"][1:] == [math.exp(2.0), math.exp(2.0) * 5.0]
    assert ulps(answers[0]["right"][0], math.exp(2.0) + 5.0 * math.exp(2.0)) <= ULPS
    assert "wave is Python code that this page cannot repeat" in page.html


@pytest.mark.parametrize("op", [lambda x: ng.polygamma(1.0, x), ng.digamma])
def test_a_page_says_that_polygamma_stays_as_it_was_computed(op):
    page = player(op(Value(2.5)))
    (answers,) = run_node([job(page, [[(1, 3.5)]])])

    assert "polygamma is Python code that this page cannot repeat" in page.html
    assert answers[0]["data"][-1] == op(2.5)


@pytest.mark.parametrize(
    "value",
    [
        lambda x: x * 2.0 if x > 2.0 else x * 3.0,
        lambda x: x * 2.0 if str(x) == "3.0" else x * 3.0,
        lambda x: x * 2.0 if f"{x}" == "3.0" else x * 3.0,
        lambda x: x * 2.0 if "3.0" in repr([x]) else x * 3.0,
        lambda x: {3.0: x * 2.0}.get(x, x * 3.0),
        lambda x: x * 2.0 if x in {3.0, 9.0} else x * 3.0,
        lambda x: x * 2.0 if hasattr(x, "hex") and x.hex() == (3.0).hex() else x * 3.0,
    ],
)
def test_a_value_that_its_number_decides_is_not_written_as_a_formula(value):
    assert row_of(ng.custom("decided", value, lambda x, out: 2.0), 1).value is None


def test_an_operation_that_records_other_numbers_than_it_computes_is_not_trusted():
    calls = []

    def value(x):
        calls.append(x)
        return x * len(calls)

    odd = ng.custom("odd", value, lambda x, out: 2.0)

    assert "cannot repeat" in player(odd(Value(2.0))).html
