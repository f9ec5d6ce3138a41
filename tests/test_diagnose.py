"""detect_anomaly names where a nan or inf began; stats counts what a graph is made of."""

import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.observers import listen, listeners


def line_of(code):
    """Return the file and line of this test module that starts with some code."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{__file__}:{1 + next(i for i, line in enumerate(lines) if line.strip().startswith(code))}"


def anomaly(f, *args):
    """Return what detect_anomaly says of a function; None when it says nothing."""
    try:
        with ng.detect_anomaly():
            f(*args)
    except FloatingPointError as error:
        return str(error)
    return None


# Values.


def test_error_names_operation_numbers_file_and_line():
    def f(x, y):
        quotient = x / y
        return ng.exp(quotient) * 0.0 + x

    assert anomaly(f, Value(2.0), Value(0.0)) == (
        f"div turned inf at 2.0, 0.0 in {line_of('quotient = x / y')}: quotient = x / y"
    )


def test_the_first_of_several_operations_is_named():
    assert anomaly(lambda x: ng.log(ng.sqrt(ng.log(x))) * 2.0, Value(-1.0)).startswith(
        "log turned nan at -1.0 in "
    )


def test_nan_is_caught_when_it_is_looked_at():
    def f(x):
        ng.log(x).data
        pytest.fail("looking at .data raises")

    assert anomaly(f, Value(0.0)).startswith("log turned -inf at 0.0")


def test_nan_is_caught_when_it_is_differentiated():
    x = Value(0.0)

    found = anomaly(lambda: ng.log(x).backward())

    assert found.startswith("log turned -inf at 0.0")
    assert x.grad == 0.0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ng.where(x > 0, ng.log(x), 0.0),
        lambda x: 1.0 / ng.exp(1000.0 - x),
        lambda x: ng.maximum(ng.exp(x) - 1.0, ng.where(x < 0, x, ng.sqrt(x))),
    ],
)
def test_number_that_is_discarded_is_not_an_anomaly(f):
    assert anomaly(lambda: f(Value(-1.0)).backward()) is None
    assert anomaly(lambda: ng.hessian(f)(-1.0)) is None


def test_comparison_keeps_nan():
    assert anomaly(lambda x: ng.log(x) > 0.0, Value(-1.0)).startswith("log turned nan")


def test_leaf_that_is_not_finite_is_not_an_anomaly():
    assert anomaly(lambda x: x * 2.0 + 1.0, Value(math.inf)) is None
    assert anomaly(lambda x: x - x, Value(math.nan)) is None


def test_finite_numbers_are_not_an_anomaly():
    assert anomaly(lambda x: ng.exp(x * x).backward(), Value(2.0)) is None


def test_errors_inside_the_block_reach_the_caller():
    def f(x):
        ng.log(x)
        raise KeyError

    with pytest.raises(KeyError):
        anomaly(f, Value(-1.0))


def test_line_is_the_users_where_numpy_calls():
    def f(x):
        return np.std(x) + 1.0

    with np.errstate(over="ignore"):
        found = anomaly(f, np.array([Value(1e200), Value(-1e200)]))

    assert found.endswith(f"in {line_of('return np.std(x)')}: return np.std(x) + 1.0")


# Adjoints and tangents.


def test_adjoint_is_traced_to_its_operation():
    x = Value(0.0)

    def f(x):
        root = ng.sqrt(x)
        (root * 3.0).backward()

    assert anomaly(f, x) == (
        "the adjoint 3.0 turned inf in sqrt at 0.0, where its partial is inf, "
        f"in {line_of('root = ng.sqrt(x)')}: root = ng.sqrt(x)"
    )
    assert x.grad == 0.0


@pytest.mark.parametrize(
    ("derivative", "what", "operation"),
    [
        (lambda: ng.grad(lambda x: ng.sqrt(x) * 2.0)(0.0), "the adjoint 2.0 turned inf", "sqrt at 0.0"),
        (lambda: ng.grad(ng.grad(lambda x: x**1.5))(0.0), "the adjoint 1.5 turned inf", "pow at 0.0, 0.5"),
        (lambda: ng.hessian(lambda x: x**1.5)(0.0), "the tangent 1.0 turned inf", "pow at 0.0, 0.5"),
        (lambda: ng.vjp(lambda x: ng.cbrt(x), 0.0)[1](2.0), "the adjoint 2.0 turned inf", "cbrt at 0.0"),
        (lambda: ng.jvp(lambda x: 5.0 * ng.cbrt(x), (0.0,), (2.0,)), "the tangent 2.0 turned inf", "cbrt"),
        (
            lambda: ng.grad(lambda x: ng.sqrt(x) * ng.exp(x), wrt=None)(Value(0.0)),
            "turned inf",
            "sqrt at 0.0",
        ),
        (lambda: ng.grad(lambda x: x * 1e200 * 1e200)(1e-300), "the adjoint 1e[+]200 turned inf", "mul"),
    ],
)
def test_nan_in_a_derivative_is_traced_in_every_transform(derivative, what, operation):
    assert re.search(f"{what} in {operation}.*test_diagnose.py", anomaly(derivative))


def test_adjoints_that_add_up_to_infinity_are_named():
    def f(x):
        y = x + 1.0
        return 1e308 * y + 1e308 * y - 1e308

    assert "the adjoint of add at -0.75, 1.0 adds up to inf" in anomaly(ng.grad(f), -0.75)


def test_tangents_that_add_up_to_infinity_are_named():
    found = anomaly(ng.jvp, lambda x, y: x + y, (0.0, 0.0), (1e308, 1e308))

    assert found.startswith("the tangent of add at 0.0, 0.0 adds up to inf")


def test_tangent_of_a_branch_not_taken_is_not_an_anomaly():
    assert anomaly(ng.jacobian(lambda x: ng.where(x > 0, ng.sqrt(x), x), mode="forward"), 0.0) is None


def test_tangent_is_traced_past_a_branch_not_taken():
    found = anomaly(
        ng.jacobian(lambda x: ng.where(x > 0, ng.sqrt(x), x) + 3.0 * ng.cbrt(x), mode="forward"), 0.0
    )

    assert found.startswith("the tangent 1.0 turned inf in cbrt at 0.0")


def test_seed_that_is_not_finite_is_not_an_anomaly():
    assert anomaly(lambda: (Value(1.0) * 2.0).backward(math.inf)) is None
    assert anomaly(ng.jvp, lambda x: 2.0 * x, (1.0,), (math.nan,)) is None


def test_operation_from_before_the_block_is_named_without_a_line():
    y = ng.sqrt(Value(0.0))

    assert anomaly(y.backward).endswith("where its partial is inf, in code before detect_anomaly")


# Being off, being nested.


class Witness:
    """An observer and a watcher that writes down what it hears."""

    def __init__(self):
        self.heard = []

    def made(self, node):
        self.heard.append(("made", node.op.name))

    def decided(self, node, answer):
        self.heard.append(("decided", answer))

    def read(self, node, how):
        self.heard.append("read")

    def swept(self, direction, order, seeds, found):
        self.heard.append((direction, len(order)))


def test_an_observer_from_before_hears_everything_and_stays():
    witness = Witness()
    with listen(witness):
        with ng.detect_anomaly(), ng.detect_anomaly():
            y = Value(3.0) * 2.0
            if y > 1.0:
                y.data
            y.backward()
        left = listeners.all

    assert left == (witness,)
    assert witness.heard == [
        "read",  # by each of the blocks, which look at every number
        "read",
        ("made", "mul"),
        ("made", "gt"),
        ("decided", True),
        "read",
        "read",
        ("reverse", 2),  # the leaf and the product: sweeps pass constants by
    ]


def test_nothing_is_watched_outside_the_block():
    with ng.detect_anomaly():
        pass

    assert (listeners.all, listeners.swept) == ((), ())
    assert math.isnan(ng.log(Value(-1.0)).data)


def test_everything_is_restored_after_an_anomaly():
    anomaly(lambda: ng.log(Value(-1.0)))

    assert (listeners.all, listeners.swept) == ((), ())


def test_nodes_are_freed_inside_the_block():
    with ng.detect_anomaly():
        x = Value(1.0)
        before = sys.getrefcount(x)
        for _ in range(10):
            y = x * 2.0
        del y

        assert sys.getrefcount(x) == before


# stats.


def test_stats_count_what_a_graph_is_made_of():
    x, y = Value(1.0), Value(2.0)
    shared = x * y

    found = ng.stats(ng.tanh(shared + 3.0) * shared)

    assert (found.nodes, found.leaves, found.constants, found.depth) == (7, 2, 1, 4)
    assert found.operations == {"mul": 2, "add": 1, "tanh": 1}
    assert list(found.operations) == ["mul", "add", "tanh"]


def test_stats_of_several_outputs_count_shared_nodes_once():
    x = Value(1.0)

    assert ng.stats(x * 2.0, x + x).nodes == 4
    assert ng.stats().nodes == 0


def test_stats_print_as_a_table():
    x = Value(1.0)

    assert str(ng.stats(x * x + 1.0)).splitlines()[:4] == [
        "nodes                4",
        "leaves               1",
        "constants            1",
        "depth                2",
    ]


def test_stats_of_a_deep_graph():
    y = Value(1.0)
    for _ in range(20_000):
        y = y + 1.0

    assert ng.stats(y).depth == 20_000


def test_stats_accept_only_values():
    with pytest.raises(
        TypeError, match=r"stats takes Values; got a list of 1. Unpack several: stats\(\*values\)"
    ):
        ng.stats([Value(1.0)])


def test_the_gradient_of_a_wide_product_is_looked_at_while_it_is_compiled():
    weights, inputs = ([Value(float(k)) for k in range(40)] for _ in range(2))

    def loss(x):
        return ng.log(ng.dot(weights, inputs) * x)

    with ng.detect_anomaly():
        compiled = ng.compile(ng.value_and_grad(loss, wrt=[weights, inputs]))
        assert compiled(2.0)[1][0][3] == 3.0 / ng.dot(weights, inputs).data

    assert "log turned -inf at 0.0" in anomaly(ng.compile(ng.grad(loss, wrt=weights)), 0.0)


def test_a_block_minds_its_own_thread():
    with ThreadPoolExecutor(1) as other, ng.detect_anomaly():
        assert math.isnan(other.submit(lambda: ng.log(Value(-1.0)).data).result(10))
        assert other.submit(lambda: ng.grad(ng.sqrt)(0.0)).result(10) == math.inf


def test_blocks_of_two_threads_may_overlap():
    first, second = Value(-1.0), Value(-2.0)
    with ThreadPoolExecutor(1) as other:
        ours, theirs = ng.detect_anomaly(), ng.detect_anomaly()
        ours.__enter__()
        other.submit(theirs.__enter__).result(10)
        ours.__exit__(None, None, None)

        assert math.isnan(ng.log(first).data)
        with pytest.raises(FloatingPointError, match="log turned nan at -2.0"):
            other.submit(lambda: ng.log(second).data).result(10)
        other.submit(theirs.__exit__, None, None, None).result(10)

    assert (listeners.all, listeners.swept) == ((), ())
