"""Steps on flat arrays: sums over rows agree with map, wherever the parameters and the rows are."""

import itertools
import math

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler.arguments import rows
from nodegrad.compiler.backends import choose
from nodegrad.data import Samples
from nodegrad.nn import MLP, mean_squared_error
from nodegrad.optim import SGD, Adam, by_epoch
from nodegrad.training.compiled_step import CompiledStep, RowSum, gathered, scattered
from nodegrad.training.problem import Problem
from nodegrad.training.ranks import Ranks

BACKENDS = [
    "numpy",
    pytest.param("llvm", marks=pytest.mark.skipif(choose("auto") != "llvm", reason="needs llvmlite")),
]


def network(backend="auto"):
    model = MLP(2, [5, 3, 1], "tanh", seed=1)
    error = ng.value_and_grad(lambda row, t: mean_squared_error(model(row), t), wrt=model.parameters())
    return model, ng.compile(error, backend=backend)


def row_sum(compiled, leaves, *arguments):
    spec, blocks, _ = rows(arguments)
    return RowSum(compiled, leaves, spec, blocks)


def table(count):
    X = np.random.default_rng(1).uniform(-1, 1, (count, 2))
    return X, X[:, 0] * X[:, 1]


def flat(result):
    return np.array([result[0], *result[1]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [1, 30, 5000])
def test_sums_are_those_of_map(backend, count):
    model, compiled = network(backend)
    X, y = table(count)
    sums = row_sum(compiled, model.parameters(), X, y)
    start = np.array(list(model.state_dict().values()))

    for numbers in (start, start * 1.5, start - 0.25):  # the first call records, later ones do not
        found = sums(numbers)
        model.load_state_dict(dict(zip(model.state_dict(), numbers.tolist(), strict=True)))
        assert found == pytest.approx(flat(compiled.map(X, y, reduce="sum")), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_chosen_rows_are_summed(backend):
    model, compiled = network(backend)
    X, y = table(40)
    sums = row_sum(compiled, model.parameters(), X, y)
    numbers = np.array(list(model.state_dict().values()))
    sums(numbers)

    for chosen in ([3, 17, 5], [3, 3, 39], [8]):
        expected = flat(compiled.map(X[chosen], y[chosen], reduce="sum"))
        assert sums(numbers, [block[chosen] for block in sums.blocks]) == pytest.approx(
            expected, rel=1e-12, abs=1e-12
        )
    assert sums(numbers) == pytest.approx(flat(compiled.map(X, y, reduce="sum")), rel=1e-12)


def test_the_caller_may_keep_the_result():
    model, compiled = network()
    sums = row_sum(compiled, model.parameters(), *table(10))
    numbers = np.array(list(model.state_dict().values()))
    sums(numbers)

    first = sums(numbers)
    kept = first.copy()
    sums(numbers + 1.0)

    assert (first == kept).all()


def test_leaves_of_others_are_read_at_each_call():
    a, b = Value(2.0), Value(3.0)
    sums = row_sum(ng.compile(lambda x: a * x + b * b), [b], np.array([1.0, 2.0]))
    numbers = np.array([10.0])

    assert sums(numbers).tolist() == [206.0]
    a.data = 5.0
    assert sums(numbers).tolist() == [215.0]


def test_leaves_may_come_in_any_order():
    a, b = Value(2.0), Value(3.0)
    compiled = ng.compile(lambda x: a * x - b)

    for leaves, numbers in (([a, b], [10.0, 1.0]), ([b, a], [1.0, 10.0])):
        sums = row_sum(compiled, leaves, np.array([1.0, 2.0]))
        assert [sums(np.array(numbers)).tolist() for _ in range(2)] == [[28.0], [28.0]]


def test_branches_are_followed_as_the_parameters_move():
    a = Value(1.0)
    sums = row_sum(ng.compile(lambda x: a * x if a * x > 1.0 else 0.0 * x), [a], np.array([0.5, 2.0]))

    for number in (1.0, 4.0, -1.0, 1.0):
        expected = math.fsum(number * x for x in (0.5, 2.0) if number * x > 1.0)
        assert sums(np.array([number])).tolist() == [expected]


def compiled_step(error, optimizer, X, y):
    """Make a step whose model passes rows on and whose loss is a function of a row and a target."""
    return CompiledStep(Problem(lambda row: row, error, optimizer, Samples(X, y, "fit"), None, Ranks(None)))


def test_steps_leave_the_model_alone_until_pushed():
    x = Value(1.0)
    step = compiled_step(lambda row, y: (x * row - y) ** 2, SGD([x], 0.25), [1.0], [0.0])

    assert step.take([None], math.inf) == [(1.0, 2.0, 1.0)]
    assert (x.data, x.grad) == (1.0, 0.0)
    step.push()
    assert (x.data, x.grad) == (0.5, 2.0)
    x.data = 3.0
    step.pull()
    assert step.take([[0]], 1.5) == [(9.0, 6.0, 1.0)]
    step.push()
    assert (x.data, x.grad) == (3.0 - 0.25 * 1.5, 1.5)


@pytest.mark.parametrize("batches", [[None] * 5, [[0]] * 5])
def test_step_that_is_not_finite_changes_nothing(batches):
    x = Value(0.0)
    optimizer = SGD([x], 0.1)
    step = compiled_step(lambda row, y: ng.sqrt(x) + row, optimizer, [1.0], [0.0])

    for _ in range(2):  # the first call records, the second is native where that is possible
        assert step.take(batches, math.inf) == [(1.0, math.inf, 1.0)]
        step.push()

        assert (x.data, optimizer.steps) == (0.0, 0)


def test_plain_numbers_that_change_are_noticed():
    x, scale = Value(1.0), [2.0]
    step = compiled_step(lambda row, y: (scale[0] * x * row - y) ** 2, SGD([x], 0.1), [1.0, 2.0], [0.0, 0.0])

    step.check()
    scale[0] = 2.5
    with pytest.raises(ValueError, match="plain numbers that have changed"):
        step.check()
    assert x.data == 1.0


def test_reset_returns_to_a_mark():
    x = Value(1.0)
    step = compiled_step(lambda row, y: (x * row - y) ** 2, Adam([x], 0.25), [1.0], [0.0])

    step.take([None], math.inf)
    mark = step.mark()
    first = step.take([None] * 3, math.inf)
    step.reset(mark)

    assert step.take([None] * 3, math.inf) == first


def test_norms_of_long_gradients_are_added_up_in_pieces():
    leaves = [Value(0.0) for _ in range(20_000)]
    step = compiled_step(lambda row, y: leaves[0] * row, SGD(leaves, 0.5), [1.0], [0.0])
    total = np.random.default_rng(1).normal(size=len(leaves) + 2)
    total[-1] = 2.0

    loss, norm, count = step.update(total, math.inf)

    assert (loss, count) == (total[0] / 2.0, 2.0)
    assert norm == pytest.approx(math.hypot(*total[1:-1]) / 2.0, rel=1e-14)
    assert (step.point.numbers == -0.25 * total[1:-1]).all()


def test_states_are_gathered_and_scattered():
    states = [(3, 0.5, 1.0), (3, 0.25, 2.0)]

    assert scattered(gathered(states), 2) == states
    assert scattered(gathered([(), ()]), 2) == [(), ()]


def test_states_after_different_numbers_of_steps_are_not_gathered():
    for states in ([(3, 0.5), (2, 0.5)], [(3, 0.5), ()]):
        with pytest.raises(ValueError, match="same number of steps"):
            gathered(states)


def counting(step):
    """Return a schedule that counts its calls, and falls in the call after so many."""
    calls = itertools.count()
    return lambda _: 0.1 if next(calls) < step else 0.05


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("calls", [1, 2, 3, 50, 51, 52, 53])
@pytest.mark.parametrize(
    "settings", [{}, {"callbacks": lambda epoch, history: None}, {"max_gradient_norm": 0.5, "resume": True}]
)
def test_a_schedule_that_counts_its_calls_is_refused(settings, calls, compile, tmp_path):
    X = [[0.1 * place, 1.0] for place in range(40)]
    model = MLP(2, [4, 1], "tanh", seed=1)
    before = model.state_dict()
    settings = {"epochs": 40, "batch_size": 10, "checkpoint": tmp_path / "run.json"} | settings

    with pytest.raises(ValueError, match="A schedule is a function of the step alone"):
        ng.fit(model, X, [0.0] * 40, optimizer="sgd", lr=counting(calls), seed=1, compile=compile, **settings)

    assert (model.state_dict() == before) == (calls < 2)


@pytest.mark.parametrize("compile", [False, True])
def test_a_schedule_that_changes_between_two_epochs_is_refused(compile):
    X, epochs = [[0.1 * place] for place in range(40)], []

    def metric(predictions, targets):
        epochs.append(len(epochs))
        return 0.0

    def late(step):
        return 0.1 if step < 10 or len(epochs) < 6 else 0.05

    settings = {"batch_size": 10, "metrics": metric, "seed": 1, "compile": compile}
    with pytest.raises(ValueError, match=r"rate of step 24 was \[0.1\] and is \[0.05\]"):
        ng.fit(MLP(1, [1], seed=1), X, X, optimizer="sgd", lr=late, epochs=20, **settings)


def test_a_metric_may_set_the_learning_rate_of_an_optimizer():
    X, model = [[0.1 * place] for place in range(40)], MLP(1, [1], seed=1)
    optimizer = SGD(model.parameters(), 0.1)

    def metric(predictions, targets):
        optimizer.learning_rate *= 0.9
        return 0.0

    assert ng.fit(model, X, X, optimizer=optimizer, metrics=metric, epochs=3).epochs == 3
    assert optimizer.learning_rate == pytest.approx(0.1 * 0.9**3)


def test_a_schedule_goes_on_from_the_step_of_an_early_stop():
    X = [[0.1 * place, 1.0] for place in range(40)]

    def trained(compile):
        model = MLP(2, [4, 1], "tanh", seed=1)
        optimizer = SGD(model.parameters(), lambda step: 0.1 / (1 + step))
        settings = {"optimizer": optimizer, "epochs": 300, "tolerance": 0.02, "compile": compile}
        epochs = [ng.fit(model, X, [0.0] * 40, patience=each, **settings).epochs for each in (3, 5)]
        assert optimizer.steps == sum(epochs) < 600
        return model.state_dict()

    assert trained(True) == pytest.approx(trained(False), rel=1e-9)


def test_a_schedule_by_epochs_follows_the_batches_of_each_training():
    X = [[0.1 * place] for place in range(40)]

    def trained(compile):
        model = MLP(1, [1], seed=1)
        optimizer = SGD(model.parameters(), by_epoch(lambda epoch: 0.1 / (1 + epoch)))
        for size in (20, 10):
            ng.fit(model, X, X, optimizer=optimizer, epochs=30, batch_size=size, seed=1, compile=compile)
        return model.state_dict()

    assert trained(True) == pytest.approx(trained(False), rel=1e-9)


def test_a_callback_may_put_the_optimizer_back_to_its_start():
    X = [[0.1 * place] for place in range(40)]

    def trained(compile):
        model = MLP(1, [3, 1], "tanh", seed=1)
        optimizer = Adam(model.parameters(), 0.05)
        start = optimizer.state_dict()

        def restart(epoch, history):
            if epoch == 3:
                optimizer.load_state_dict(start)

        settings = {"epochs": 8, "batch_size": 10, "seed": 1, "callbacks": restart, "compile": compile}
        return ng.fit(model, X, X, optimizer=optimizer, **settings).losses

    assert trained(True) == pytest.approx(trained(False), rel=1e-9)
