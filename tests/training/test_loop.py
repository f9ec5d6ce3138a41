"""The training loop: what it minimises, every reason to stop, and what it refuses before it starts."""

import math
import random
import signal
import sys
import types
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest

import nodegrad as ng
from nodegrad import Value, data
from nodegrad.nn import MLP, Neuron, mean_squared_error
from nodegrad.optim import SGD, Adam, AdamW, Optimizer, RMSProp, linear
from nodegrad.training import REASONS, History, fit
from nodegrad.training.problem import Problem

LINE_X, LINE_Y = [[0.0], [1.0], [2.0], [4.0]], [1.0, 3.5, 4.5, 9.0]  # least squares: m = 68 / 35, c = 1.1


def line():
    return Neuron(1, activation=None, seed=1)


def test_least_squares_line_is_found():
    model = line()

    history = fit(model, LINE_X, LINE_Y, optimizer="sgd", learning_rate=0.05, epochs=5000, tolerance=1e-14)

    assert model.w[0].data == pytest.approx(68 / 35, abs=1e-6)
    assert model.b.data == pytest.approx(4.5 - 1.75 * 68 / 35, abs=1e-6)
    assert history.reason == "tolerance"


def test_first_steps_are_those_of_the_formula():
    model = line()
    m, c = model.w[0].data, model.b.data

    history = fit(model, LINE_X, LINE_Y, optimizer=SGD(model.parameters(), 0.01), epochs=3)

    losses = []
    for _ in range(3):
        errors = [m * x + c - y for (x,), y in zip(LINE_X, LINE_Y, strict=True)]
        losses.append(sum(e * e for e in errors) / 4)
        slopes = [2 * e * x / 4 for (x,), e in zip(LINE_X, errors, strict=True)]
        m, c = m - 0.01 * sum(slopes), c - 0.01 * sum(2 * e / 4 for e in errors)
    assert history.losses == pytest.approx(losses, rel=1e-13)
    assert (model.w[0].data, model.b.data) == pytest.approx((m, c), rel=1e-13)


def test_gradient_is_that_of_the_loss_over_the_whole_batch():
    X, y = data.make_moons(20, seed=1)
    model, twin = MLP(2, [5, 1], seed=1), MLP(2, [5, 1], seed=1)

    fit(model, X, y, optimizer=SGD(model.parameters(), 0.0), epochs=1)
    mean_squared_error([twin(x) for x in X], y).backward()

    ours, theirs = [p.grad for p in model.parameters()], [p.grad for p in twin.parameters()]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


def test_network_learns_moons():
    X, y = data.make_moons(60, noise=0.05, seed=1)
    model = MLP(2, [8, 1], activation="tanh", seed=1)

    history = fit(
        model,
        X,
        y,
        loss="binary_cross_entropy_with_logits",
        learning_rate=0.05,
        epochs=100,
        batch_size=10,
        seed=2,
    )

    right = sum((model(x).data > 0) == label for x, label in zip(X, y, strict=True))
    assert right >= 59
    assert history.losses[-1] < 0.1 < history.losses[0]
    assert history.reason == "max epochs"


def test_network_learns_three_classes_by_cross_entropy():
    X, y = data.make_blobs(30, centers=[[0, 3], [3, 0], [-3, -3]], spread=0.5, seed=1)
    model = MLP(2, [3], seed=1)

    fit(model, X, y, loss="cross_entropy", learning_rate=0.1, epochs=50)

    outputs = [[out.data for out in model(x)] for x in X]
    assert [out.index(max(out)) for out in outputs] == y


def test_several_outputs_have_vectors_as_targets():
    model = MLP(1, [2], seed=1)

    history = fit(
        model, LINE_X, [[y, -y] for y in LINE_Y], "mean_squared_error", "sgd", 2000, learning_rate=0.1
    )

    assert history.losses[-1] == pytest.approx(fit_residual(), rel=1e-3)


def fit_residual():
    m, c = 68 / 35, 4.5 - 1.75 * 68 / 35
    return sum((m * x + c - y) ** 2 for (x,), y in zip(LINE_X, LINE_Y, strict=True)) / 4


def test_any_function_trains_with_an_optimizer_of_its_parameters():
    m, c = Value(0.0), Value(0.0)

    fit(
        lambda x: m * x + c,
        [0.0, 1.0, 2.0],
        [1.0, 3.0, 5.0],
        optimizer=SGD([m, c], 0.2),
        epochs=2000,
        target_loss=1e-20,
    )

    assert (m.data, c.data) == pytest.approx((2.0, 1.0))


def test_loss_may_be_any_function():
    by_name, by_function = line(), line()

    first = fit(by_name, LINE_X, LINE_Y, "mean_squared_error", epochs=5)
    second = fit(by_function, LINE_X, LINE_Y, lambda prediction, y: (prediction - y) ** 2, epochs=5)

    assert first.losses == pytest.approx(second.losses, rel=1e-15)


def test_seed_decides_the_whole_course():
    def run(seed):
        model = line()
        return fit(model, LINE_X, LINE_Y, epochs=5, batch_size=1, seed=seed).losses, model.state_dict()

    assert run(1) == run(1)
    assert run(1) != run(2)
    state = random.getstate()
    random.seed(7)
    first = run(None)
    random.seed(7)
    assert run(None) == first
    random.setstate(state)


def test_every_sample_is_seen_once_in_an_epoch():
    seen, weight = [], Value(0.0)

    def model(row):
        seen.append(row[0])
        return weight * row[0]

    fit(model, [[float(i)] for i in range(7)], [1.0] * 7, optimizer=SGD([weight]), epochs=1, batch_size=3)

    assert sorted(seen[1:]) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]  # the first is the trial before the start


def test_loss_of_an_epoch_is_the_mean_over_samples():
    model = line()

    history = fit(
        model, LINE_X[:3], LINE_Y[:3], optimizer=SGD(model.parameters(), 0.0), batch_size=2, epochs=1
    )

    expected = mean_squared_error([model(x).data for x in LINE_X[:3]], LINE_Y[:3])
    assert history.losses == [pytest.approx(expected)]


# Every reason to stop.


def bowl(**settings):
    """Minimise (x - y)² for y = 0, from x = 1."""
    x = Value(1.0)
    settings = {"optimizer": SGD([x], 0.1), "epochs": 50} | settings
    return fit(lambda row: x * row, [1.0], [0.0], **settings), x


def test_stops_at_the_target_loss():
    history, x = bowl(target_loss=0.2)

    assert history.reason == "target loss"
    assert history.losses == pytest.approx([0.64**epoch for epoch in range(5)])
    assert x.data == pytest.approx(0.8**5)


def test_stops_when_the_improvement_is_negligible():
    x = Value(1.0)
    history = fit(
        lambda row: x * row,
        [1.0, 1.0],
        [0.0, 2.0],
        optimizer=SGD([x], 0.1),
        epochs=500,
        patience=3,
        gradient_tolerance=-1.0,
    )

    assert (history.reason, history.epochs) == ("tolerance", 4)


def test_slow_improvement_adds_up_over_the_patience():
    x = Value(1.0)
    slow = SGD([x], 2e-5)  # improves by 8e-5 of itself per epoch: 2.4e-3 in 30
    settings = {"optimizer": slow, "epochs": 300, "tolerance": 1e-3}

    assert fit(lambda row: x * row, [1.0], [0.0], patience=30, **settings).reason == "max epochs"
    assert fit(lambda row: x * row, [1.0], [0.0], patience=10, **settings).epochs == 11


def test_stops_when_the_gradient_is_small():
    history, _ = bowl(gradient_tolerance=0.5)

    assert history.reason == "gradient"
    assert history.gradient_norms[-1] <= 0.5 < history.gradient_norms[-2]
    assert history.gradient_norms == pytest.approx([2 * 0.8**epoch for epoch in range(history.epochs)])


def test_stops_where_the_gradient_vanishes():
    x = Value(0.0)

    history = fit(lambda row: x * row, [1.0], [0.0], optimizer=SGD([x], 0.1), epochs=50)

    assert (history.reason, history.epochs) == ("gradient", 1)


def test_patience_may_be_one():
    x = Value(1.0)

    history = fit(lambda row: x * row, [1.0], [0.0], optimizer=SGD([x], 0.0), epochs=50, patience=1)

    assert (history.reason, history.epochs) == ("tolerance", 2)


def test_stops_after_the_last_epoch():
    history, _ = bowl(epochs=3)

    assert (history.reason, history.epochs, len(history.losses)) == ("max epochs", 3, 3)


def test_stops_when_the_callback_says_so_and_shows_it_new_parameters():
    x = Value(1.0)
    seen = []

    def callback(epoch, history):
        seen.append((epoch, x.data, len(history.losses)))
        return epoch == 2

    history = fit(lambda row: x * row, [1.0], [0.0], optimizer=SGD([x], 0.25), callback=callback)

    assert history.reason == "callback"
    assert seen == [(1, 0.5, 1), (2, 0.25, 2)]


def test_interruption_leaves_a_usable_model_and_history():
    model = MLP(1, [3, 1], seed=1)

    def interrupt(epoch, history):
        if epoch == 3:
            signal.raise_signal(signal.SIGINT)

    history = fit(model, LINE_X, LINE_Y, callback=interrupt)

    assert (history.reason, history.epochs) == ("interrupted", 3)
    assert math.isfinite(model([1.0]).data)
    assert fit(model, LINE_X, LINE_Y, epochs=1).reason == "max epochs"


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("where", ["validation", "metric"])
def test_interruption_in_mid_epoch_leaves_courses_of_one_length(where, compile, monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    settings = {"metrics": [interrupted]}
    if where == "validation":
        monkeypatch.setattr(Problem, "mean_over_held_out", interrupted)
        settings = {"validation": (LINE_X, LINE_Y), "metrics": "r2"}
    history = fit(line(), LINE_X, LINE_Y, compile=compile, restore_best=True, **settings)

    lengths = {len(course) for course in [*history.history.values(), history.gradient_norms]}
    assert (history.reason, lengths) == ("interrupted", {2})
    assert history.best_epoch <= history.epochs


def test_interruption_while_compiling_leaves_the_model_alone(monkeypatch):
    step = pytest.importorskip("nodegrad.training.compiled_step")
    model = line()
    before = model.state_dict()

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(step.RowSum, "__call__", interrupted)
    history = fit(model, LINE_X, LINE_Y, compile=True)

    assert (history.reason, history.epochs) == ("interrupted", 0)
    assert model.state_dict() == before


def test_divergence_stops_before_it_reaches_the_parameters():
    x = Value(1.0)

    with pytest.warns(RuntimeWarning, match=r"the loss became inf in epoch \d+.*as it was before that step"):
        history = fit(lambda row: x * row, [1.0], [0.0], optimizer=SGD([x], 1e100), epochs=50)

    assert history.reason == "diverged"
    assert all(map(math.isfinite, [*history.losses, x.data]))


def test_gradient_that_is_not_finite_stops_it_too():
    x = Value(0.0)

    with pytest.warns(RuntimeWarning, match="the gradient became inf in epoch 1"):
        history = fit(lambda row: ng.sqrt(x) + row, [1.0], [0.0], optimizer=SGD([x], 0.1))

    assert (history.reason, history.losses, x.data) == ("diverged", [], 0.0)


def test_clipping_limits_the_step():
    history, x = bowl(max_gradient_norm=0.5, epochs=1)

    assert history.gradient_norms == [2.0]
    assert x.data == pytest.approx(1.0 - 0.1 * 0.5)


def test_validation_decides_about_stopping():
    model = line()
    far = ([[10.0]], [-100.0])  # the better the line, the worse it fits this

    history = fit(
        model, LINE_X, LINE_Y, optimizer="sgd", learning_rate=0.01, validation=far, patience=3, epochs=50
    )

    assert history.reason == "tolerance"
    assert (history.epochs, len(history.validation_losses)) == (4, 4)
    assert history.losses[-1] < history.losses[0]


# What is refused, and that nothing has changed then.


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([], [], "at least one row; X is empty"),
        ([[1.0]], [1.0, 2.0], "X has 1 rows and y 2"),
        ([[1.0], [math.nan]], [1.0, 2.0], r"X\[1\]\[0\] is nan"),
        ([[1.0], [2.0]], [1.0, math.inf], r"y\[1\] is inf"),
        ([[1.0], [2.0, 3.0]], [1.0, 2.0], r"X\[0\] is a list of 1 and X\[1\] is a list of 2"),
        ([[1.0], [2.0]], [1.0, [2.0]], r"y\[0\] is a number and y\[1\] is a list of 1"),
        ([[1.0, 2.0]], [1.0], r"takes 1 inputs; got 2"),
        ([[1.0]], [[1.0, 2.0]], "one shape; got a single number and a list of 2"),
        ([["a"]], [1.0], r"fit: X\[0\]\[0\] is the text 'a'\. Data are numbers"),
        ([[None]], [1.0], r"X\[0\]\[0\] is None\. Remove or fill in"),
        (["ab"], [1.0], r"X\[0\] is the text 'ab'"),
    ],
)
def test_invalid_data_are_refused_before_anything_changes(X, y, message):
    model = line()
    before = [(p.data, p.grad) for p in model.parameters()]

    with pytest.raises((ValueError, TypeError), match=message):
        fit(model, X, y)

    assert [(p.data, p.grad) for p in model.parameters()] == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "fit takes epochs as a whole number of at least 1; got 0"),
        ({"epochs": 2.5}, "epochs as a whole number"),
        ({"batch_size": 0}, "batch_size as a whole number of at least 1, or None; got 0"),
        ({"learning_rate": -0.1}, "learning_rate as a finite number of at least 0"),
        ({"tolerance": -1.0}, "tolerance as a finite number of at least 0"),
        ({"patience": 0}, "patience as a whole number"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm as a number above 0"),
        (
            {"loss": "mse"},
            "fit takes loss from mean_squared_error, .*; got 'mse'. Write 'mean_squared_error'.",
        ),
        ({"optimizer": "sdg"}, "fit takes optimizer from sgd, adam.*; got 'sdg'"),
        ({"optimizer": Adam([Value(1.0)])}, "depends on none of the optimizer's parameters. Make the"),
        ({"callback": 3}, "callback as a function of epochs and History; got 3 of type int"),
        ({"optimizer": Adam}, r"fit takes optimizer from .*Adam.* Or give an Optimizer: .*parameters\(\)"),
        ({"seed": "one"}, "seed as a whole number of at least 0, or None; got 'one'"),
        ({"seed": -1}, "seed as a whole number of at least 0, or None; got -1"),
        (
            {"validation": [[1.0], [2.0], [3.0]]},
            "validation as a pair, rows and targets, or a triple with weights; got a list of 3",
        ),
        ({"validation": "no"}, "validation as a pair, rows and targets, or a triple with weights; got 'no'"),
        ({"optimizer": Adam([Value(1.0)]), "learning_rate": 0.1}, "has its own learning_rate"),
        ({"compile": "yes"}, "fit takes compile as True or False, or None; got 'yes'"),
        ({"progress": 2}, "fit takes progress as True or False, or None; got 2"),
        ({"loss": lambda prediction, y: 0.5}, "one Value that depends on the parameters; got 0.5"),
        ({"loss": lambda prediction, y: [prediction]}, "one Value that depends on the parameters; got "),
        ({"validation": ([[1.0]], [math.nan])}, r"validation\[1\]\[0\] is nan"),
        ({"validation": ([[1.0, 2.0]], [1.0])}, r"takes 1 inputs; got 2"),
    ],
)
def test_invalid_settings_are_refused_before_anything_changes(settings, message):
    model = line()
    before = [(p.data, p.grad) for p in model.parameters()]

    with pytest.raises((ValueError, TypeError), match=message):
        fit(model, LINE_X, LINE_Y, **settings)

    assert [(p.data, p.grad) for p in model.parameters()] == before


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("loss", "wrong"),
    [("binary_cross_entropy_with_logits", -0.5), ("binary_cross_entropy_with_logits", 2.0), ("hinge", 0.5)],
)
def test_any_target_of_an_array_that_a_loss_refuses_is_refused(loss, wrong, wide, compile):
    np = pytest.importorskip("numpy")
    targets = np.ones((40, 1) if wide else 40)
    targets[23] = wrong

    with pytest.raises(ValueError, match=f"targets are .*; got {wrong}"):
        fit(line(), np.zeros((40, 1)), targets, loss, epochs=1, compile=compile)


def test_no_callbacks_and_no_metrics_may_be_none():
    assert fit(line(), LINE_X, LINE_Y, epochs=1, callbacks=None, metrics=None).epochs == 1


def test_the_class_of_a_model_is_refused():
    with pytest.raises(TypeError, match=r"got the class MLP\. Write MLP\(\.\.\.\)"):
        fit(MLP, LINE_X, LINE_Y)


def test_predictions_that_are_not_probabilities_are_refused():
    with pytest.raises(ValueError, match="predictions are probabilities, 0 to 1; got .*output_activation"):
        fit(line(), LINE_X, [0, 1, 1, 0], loss="binary_cross_entropy")


def test_function_without_parameters_needs_an_optimizer():
    with pytest.raises(TypeError, match=r"has no parameters\(\)"):
        fit(lambda x: x, LINE_X, LINE_Y)


def test_data_may_come_as_arrays():
    np = pytest.importorskip("numpy")
    ours, theirs = line(), line()

    fit(ours, LINE_X, LINE_Y, epochs=3)
    fit(theirs, np.array(LINE_X), np.array(LINE_Y).reshape(-1, 1), epochs=3)

    assert ours.state_dict() == theirs.state_dict()


# History and progress.


def test_history_says_why_it_stopped():
    assert repr(History()) == "<History: 0 epochs; under way>"
    for reason, words in REASONS.items():
        assert words in repr(History(losses=[1.0, 0.5], reason=reason))


def test_history_plots_its_losses():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")

    axes = History(losses=[1.0, 0.5, 0.25], validation_losses=[1.0, 0.6, 0.4]).plot()

    assert [list(drawn.get_ydata()) for drawn in axes.lines] == [[1.0, 0.5, 0.25], [1.0, 0.6, 0.4]]
    assert len(History(losses=[1.0, 0.5]).plot().lines) == 1
    matplotlib.pyplot.close("all")


def test_no_bar_without_a_terminal(capsys):
    bowl(epochs=2)

    assert capsys.readouterr() == ("", "")


def test_bar_shows_steps_and_loss(capsys):
    pytest.importorskip("tqdm")

    bowl(epochs=2, progress=True)

    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "loss 0.64" in shown


def test_bar_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True, write=sys.stderr.write))

    assert bowl(epochs=2)[0].reason == "max epochs"
    with pytest.raises(ImportError, match="needs tqdm"):
        bowl(epochs=2, progress=True)


# Compiled steps.


def both(make, X, y, optimizer=lambda parameters: Adam(parameters, 0.03), **settings):
    """Train a model eagerly and compiled, and return both results as (model, history, optimizer)."""
    pytest.importorskip("numpy")
    results = []
    for compile in (False, True):
        model = make()
        updates = optimizer(model.parameters())
        results.append((model, fit(model, X, y, optimizer=updates, compile=compile, **settings), updates))
    assert [history.compiled for _, history, _ in results] == [False, True]
    return results


def assert_same(eager, compiled, rel=1e-9):
    assert compiled[1].losses == pytest.approx(eager[1].losses, rel=rel)
    assert compiled[1].gradient_norms == pytest.approx(eager[1].gradient_norms, rel=rel)
    assert compiled[0].state_dict() == pytest.approx(eager[0].state_dict(), rel=rel, abs=1e-12)
    gradients = [[p.grad for p in model.parameters()] for model, *_ in (eager, compiled)]
    assert gradients[1] == pytest.approx(gradients[0], rel=rel, abs=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: SGD(parameters, 0.1),
        lambda parameters: SGD(parameters, linear(0.1, 40), momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda parameters: Adam(parameters, 0.03),
        lambda parameters: AdamW(parameters, 0.03),
        lambda parameters: RMSProp(parameters, 0.01, momentum=0.5),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_compiled_steps_are_the_eager_ones(optimizer, batch_size):
    X, y = data.make_moons(30, seed=1)

    eager, compiled = both(
        lambda: MLP(2, [5, 1], "tanh", seed=2), X, y, optimizer, epochs=8, batch_size=batch_size, seed=3
    )

    assert_same(eager, compiled)
    ours, theirs = eager[2].state_dict(), compiled[2].state_dict()
    assert ours["steps"] == theirs["steps"]
    assert [x for state in theirs["states"] for x in state] == pytest.approx(
        [x for state in ours["states"] for x in state], rel=1e-9, abs=1e-15
    )


def test_compiled_steps_go_on_from_the_state_of_eager_ones():
    eager, compiled = line(), line()
    first, second = Adam(eager.parameters(), 0.1), Adam(compiled.parameters(), 0.1)
    fit(eager, LINE_X, LINE_Y, optimizer=first, epochs=3, compile=False)
    fit(compiled, LINE_X, LINE_Y, optimizer=second, epochs=3, compile=False)

    fit(eager, LINE_X, LINE_Y, optimizer=first, epochs=3, compile=False)
    assert fit(compiled, LINE_X, LINE_Y, optimizer=second, epochs=3, compile=True).compiled

    assert compiled.state_dict() == pytest.approx(eager.state_dict(), rel=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", ng.nn.cross_entropy])
@pytest.mark.parametrize("one_hot", [False, True])
def test_classes_compile(loss, one_hot):
    X, y = data.make_blobs(12, centers=[[0, 3], [3, 0], [-3, -3]], spread=0.5, seed=1)
    y = [[float(label == j) for j in range(3)] for label in y] if one_hot else y

    assert_same(*both(lambda: MLP(2, [4, 3], "tanh", seed=1), X, y, loss=loss, epochs=5))


@pytest.mark.parametrize("name", ["huber", "hinge", "binary_cross_entropy_with_logits"])
def test_losses_compile(name):
    X, y = data.make_moons(20, seed=1)
    y = [2 * label - 1 for label in y] if name == "hinge" else y

    def updates(parameters):
        return SGD(parameters, 0.1)  # Adam would make much of a gradient that is 0 but for rounding

    assert_same(*both(lambda: MLP(2, [4, 1], "tanh", seed=1), X, y, updates, loss=name, epochs=5))


def test_validation_and_clipping_compile():
    X, y = data.make_moons(30, seed=1)

    eager, compiled = both(
        lambda: MLP(2, [4, 1], seed=1),
        X[:20],
        y[:20],
        epochs=5,
        max_gradient_norm=0.1,
        validation=(X[20:], y[20:]),
    )

    assert_same(eager, compiled)
    assert compiled[1].validation_losses == pytest.approx(eager[1].validation_losses, rel=1e-9)


def test_branches_of_a_model_compile():
    class Bent(Neuron):
        def forward(self, x):
            z = super().forward(x)
            return z if z > 2.0 else 0.5 * z

    eager, compiled = both(lambda: Bent(1, None, seed=1), LINE_X, LINE_Y, epochs=60)

    assert_same(eager, compiled)


def test_parameters_outside_the_optimizer_stay():
    for compile in (False, True):
        model = line()
        model.w[0].data = 2.0

        fit(model, LINE_X, LINE_Y, optimizer=SGD([model.b], 0.1), epochs=200, compile=compile)

        assert model.w[0].data == 2.0
        assert model.b.data == pytest.approx(1.0, abs=1e-3)


def test_callback_sees_and_sets_the_parameters_of_compiled_steps():
    model = line()
    seen = []

    def callback(epoch, history):
        seen.append(model(LINE_X[1]).data)
        if epoch == 2:
            model.w[0].data, model.b.data = 68 / 35, 4.5 - 1.75 * 68 / 35

    history = fit(
        model,
        LINE_X,
        LINE_Y,
        "mean_squared_error",
        "sgd",
        3,
        learning_rate=0.05,
        callback=callback,
        compile=True,
    )

    assert len(set(seen)) == 3
    assert history.losses[2] == pytest.approx(fit_residual(), rel=1e-9)


class Scaled(Neuron):
    """A model that takes a plain number from elsewhere."""

    scale = 1.0

    def forward(self, x):
        return super().forward(x) * self.scale


def change_scale(model):
    def callback(epoch, history):
        model.scale = 1.0 / epoch

    return callback


def read_data(prediction, y):
    return (prediction - y) ** 2 * prediction.data


def noisy(prediction, y):
    return (prediction - y) ** 2 * random.random()


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (Scaled(1, None, seed=1), {"callback": change_scale}),
        (line(), {"loss": read_data}),
        (line(), {"loss": noisy}),
    ],
)
def test_what_cannot_be_compiled_is_trained_eagerly(model, settings, monkeypatch):
    pytest.importorskip("numpy")
    monkeypatch.setattr("nodegrad.training.run._WORTH_COMPILING", 1)
    settings = settings | {"epochs": 5, "optimizer": "sgd", "learning_rate": 0.01}
    if "callback" in settings:
        settings["callback"] = settings["callback"](model)
    start = model.state_dict()
    losses = []
    for compile in (None, False):
        model.load_state_dict(start)
        model.scale = 1.0
        random.seed(4)
        history = fit(model, LINE_X, LINE_Y, **settings, compile=compile)
        assert not history.compiled
        losses.append(history.losses)

    if settings.get("loss") is not noisy:  # trying to compile has drawn from the generator
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    model.load_state_dict(start)
    model.scale = 1.0
    with pytest.raises(ValueError, match=r"compile"):
        fit(model, LINE_X, LINE_Y, **settings, compile=True)


def test_parameter_read_as_plain_number_is_noticed():
    model = line()

    def loss(prediction, y):
        return (prediction - y) ** 2 + 0.1 * model.w[0].data ** 2

    with pytest.raises(ValueError, match=r"reads \.data"):
        fit(model, LINE_X, LINE_Y, loss, compile=True)

    assert not fit(model, LINE_X, LINE_Y, loss, epochs=1000).compiled


def test_rule_that_takes_no_arrays_is_run_eagerly(monkeypatch):
    pytest.importorskip("numpy")
    monkeypatch.setattr("nodegrad.training.run._WORTH_COMPILING", 1)

    class SignDescent(Optimizer):
        @staticmethod
        def update(parameter, gradient, state, learning_rate):
            return parameter - (learning_rate if gradient > 0 else -learning_rate), state

    model = line()
    start = model.w[0].data

    history = fit(model, LINE_X, LINE_Y, optimizer=SignDescent(model.parameters(), 0.125), epochs=2)

    assert (history.compiled, history.epochs) == (False, 2)
    assert abs(model.w[0].data - start) in (0.0, 0.25)


def test_training_that_cannot_go_on_compiled_goes_on_eagerly_from_there(monkeypatch):
    step = pytest.importorskip("nodegrad.training.compiled_step")
    monkeypatch.setattr("nodegrad.training.run._WORTH_COMPILING", 1)
    take, taken = step.CompiledStep.take, []

    def fail_later(*arguments):
        taken.append(arguments)
        if len(taken) > 3:
            raise ValueError("too many ways through the function")
        return take(*arguments)

    monkeypatch.setattr(step.CompiledStep, "take", fail_later)
    broken, whole = line(), line()
    ours = fit(broken, LINE_X, LINE_Y, epochs=6)
    theirs = fit(whole, LINE_X, LINE_Y, epochs=6, compile=False)

    assert (len(taken), ours.compiled) == (4, False)
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-12)
    assert broken.state_dict() == pytest.approx(whole.state_dict(), rel=1e-12)
    with pytest.raises(ValueError, match="too many ways"):
        fit(line(), LINE_X, LINE_Y, compile=True)


def test_training_compiles_by_default_when_it_is_worth_it():
    pytest.importorskip("numpy")

    assert not fit(line(), LINE_X, LINE_Y, epochs=5).compiled
    history = fit(line(), LINE_X, LINE_Y, epochs=1000)
    assert history.compiled
    assert "compiled" in repr(history)


def test_a_large_model_is_compiled_for_fewer_samples():
    pytest.importorskip("numpy")

    def compiled(epochs):
        return fit(
            MLP(1, [70, 70, 1], seed=0), [[0.1], [0.2]] * 20, [[1.0], [2.0]] * 20, epochs=epochs
        ).compiled

    assert [compiled(2), compiled(3)] == [False, True]


def test_training_needs_no_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "nodegrad.training.compiled_step", None)

    assert not fit(line(), LINE_X, LINE_Y, epochs=600).compiled
    with pytest.raises(ImportError):
        fit(line(), LINE_X, LINE_Y, compile=True)


def test_compiled_divergence_stops_before_it_reaches_the_parameters():
    pytest.importorskip("numpy")
    model = line()

    with pytest.warns(RuntimeWarning, match="became inf"):
        history = fit(model, LINE_X, LINE_Y, "mean_squared_error", "sgd", learning_rate=1e80, compile=True)

    assert (history.compiled, history.reason) == (True, "diverged")
    assert all(map(math.isfinite, model.state_dict().values()))


def test_targets_are_checked_before_anything_changes():
    model = line()
    before = model.state_dict()

    with pytest.raises(ValueError, match="hinge: targets are -1 or 1; got 0"):
        fit(model, LINE_X, [1, -1, -1, 0], loss="hinge", batch_size=1, seed=0)  # takes the last row last

    assert model.state_dict() == before


ROWS = [(0.1 * i, 0.2 * i) for i in range(10)]
Place = namedtuple("Place", "x y")


@dataclass
class Position:
    x: float
    y: float


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    "kind",
    [Place, Position, lambda x, y: {"x": x, "y": y}, lambda x, y: OrderedDict(x=x, y=y)],
    ids=["named tuple", "data class", "dict", "OrderedDict"],
)
def test_rows_of_any_container_arrive_in_the_model_as_they_are(kind, compile):
    def trained(rows, read):
        w = [Value(0.1), Value(0.2)]
        targets = [0.5 * i for i in range(10)]
        options = {"epochs": 3, "batch_size": 4, "seed": 1, "compile": compile}
        return fit(lambda row: ng.dot(w, read(row)), rows, targets, optimizer=SGD(w, 0.05), **options).losses

    def read(row):
        return [row["x"], row["y"]] if isinstance(row, dict) else [row.x, row.y]

    found = trained([kind(x, y) for x, y in ROWS], read)

    assert found == pytest.approx(trained(ROWS, list))


def test_a_training_whose_loss_grows_says_so():
    model = ng.nn.MLP(2, [4, 1], activation="tanh", seed=1)
    X, y = ng.data.make_moons(40, seed=1)

    history = ng.fit(model, X, y, learning_rate=1e9, epochs=50, progress=False)

    assert history.losses[-1] > history.losses[0]
    assert "because the loss grows; a smaller learning_rate may help" in repr(history)


FOUR, SUMS = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, -1.0]], [0.5, 0.2, 1.0, 0.1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("setting", ["momentum", "weight_decay"])
def test_settings_of_the_rule_that_a_callback_changes_are_followed(setting, compiled):
    if compiled:
        pytest.importorskip("numpy")
    model = ng.nn.MLP(2, [3, 1], seed=1)
    optimizer = ng.optim.SGD(model.parameters(), learning_rate=0.05, momentum=0.5)

    def callback(epoch, history):
        optimizer.groups[0].settings[setting] = 0.1 * epoch

    ng.fit(
        model, FOUR, SUMS, optimizer=optimizer, epochs=8, callbacks=callback, compile=compiled, progress=False
    )

    by_hand = ng.nn.MLP(2, [3, 1], seed=1)
    rule = ng.optim.SGD(by_hand.parameters(), learning_rate=0.05, momentum=0.5)
    for epoch in range(1, 9):
        rule.zero_grad()
        loss = sum((by_hand(x) - y) ** 2 for x, y in zip(FOUR, SUMS, strict=True)) / len(FOUR)
        loss.backward()
        rule.step()
        rule.groups[0].settings[setting] = 0.1 * epoch
    found, expected = ([p.data for p in each.parameters()] for each in (model, by_hand))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("compiled", [False, True])
def test_layers_that_a_callback_freezes_are_refused(compiled):
    if compiled:
        pytest.importorskip("numpy")
    model = ng.nn.MLP(2, [3, 1], seed=1)

    def callback(epoch, history):
        model.layers[0].freeze()

    with pytest.raises(ValueError, match="9 parameters of the optimizer are frozen"):
        ng.fit(model, FOUR, SUMS, epochs=3, callbacks=callback, compile=compiled, progress=False)


def test_parameters_that_have_taken_other_numbers_of_steps_are_trained_eagerly():
    pytest.importorskip("numpy")

    def trained(compiled):
        model = ng.nn.MLP(2, [3, 1], seed=1)
        optimizer = ng.optim.Adam(model.parameters(), learning_rate=0.1)
        for layers in (model.layers[1:], model.layers[1:], model.layers):
            for parameter in model.parameters():
                parameter.grad = None
            for layer in layers:
                for parameter in layer.parameters():
                    parameter.grad = 0.1 + parameter.data
            optimizer.step()
        options = {"optimizer": optimizer, "epochs": 600, "patience": None, "progress": False}
        return ng.fit(model, FOUR, SUMS, compile=compiled, **options), model

    (found, model), (_, eager) = trained(None), trained(False)

    assert "has not taken the same number of steps" in found.eager_because
    assert model.state_dict() == eager.state_dict()
    with pytest.raises(ValueError, match="the same number of steps"):
        trained(True)
