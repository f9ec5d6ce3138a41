"""Runs: what is looked at after each epoch, and what is done about it."""

import gc
import math
import random
import signal
import sys
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

import nodegrad as ng
from nodegrad import data
from nodegrad.nn import MLP, Dropout, Layer, Module, Sequential
from nodegrad.optim import SGD, Adam, decay_weights_only
from nodegrad.training import metrics, native_steps
from nodegrad.training.callbacks import CSVLog, ReduceOnPlateau
from nodegrad.training.history import Criteria

X, Y = data.make_moons(30, noise=0.1, seed=1)


def run(**settings):
    model = settings.pop("model", None) or MLP(2, [4, 1], "tanh", seed=1)
    settings = {"epochs": 5, "batch_size": 7, "seed": 1, "learning_rate": 0.05} | settings
    return ng.fit(model, settings.pop("X", X), settings.pop("y", Y), **settings), model


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("validation", [None, (X[:8], Y[:8])])
def test_the_best_epoch_is_restored(validation, compile):
    states = []
    history, model = run(
        epochs=30,
        learning_rate=1.5,
        patience=None,
        validation=validation,
        restore_best=True,
        compile=compile,
        callback=lambda epoch, history: states.append(history.model.state_dict()),
    )

    losses = history.validation_losses or history.losses
    assert min(losses) < losses[-1]
    assert history.best_epoch == 1 + losses.index(min(losses))
    assert model.state_dict() == states[history.best_epoch - 1]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("settings", [{}, {"metrics": "accuracy"}, {"validation": (X, Y)}])
def test_validation_and_metrics_do_not_change_the_training(settings, compile):
    """Many epochs in one native call end where epochs one by one end."""
    quiet = run(epochs=200, batch_size=None, compile=compile, target_loss=0.1)
    watched = run(epochs=200, batch_size=None, compile=compile, target_loss=0.1, **settings)

    if "validation" not in settings:
        assert watched[0].losses == quiet[0].losses
        assert watched[1].state_dict() == quiet[1].state_dict()
        assert quiet[0].reason == "target loss"
    else:
        assert watched[0].losses == quiet[0].losses[: watched[0].epochs]


@pytest.mark.parametrize("stop", [{"target_loss": 0.12}, {"gradient_tolerance": 0.05}, {"tolerance": 0.05}])
def test_epochs_computed_past_a_stop_are_undone(stop):
    pytest.importorskip("numpy")
    settings = {"epochs": 400, "batch_size": None, "compile": True, "optimizer": "adam"} | stop

    many, model = run(**settings)
    single, twin = run(**settings, callback=lambda epoch, history: None)

    assert many.reason == single.reason != "max epochs"
    assert many.losses == single.losses
    assert model.state_dict() == twin.state_dict()
    assert many.optimizer.state_dict() == single.optimizer.state_dict()


def test_a_nan_validation_loss_is_not_an_improvement():
    criteria = Criteria(
        SimpleNamespace(tolerance=1e-6, patience=2, target_loss=-math.inf, gradient_tolerance=0.0)
    )

    assert [criteria.met(loss, 1.0) for loss in (math.nan, 1.0, 0.5, 0.25, 0.125)] == [""] * 5
    assert criteria.best == 0.125
    assert [criteria.met(loss, 1.0) for loss in (math.nan, math.inf)] == ["", "tolerance"]


def test_validation_that_is_nan_in_every_epoch_gives_a_warning():
    weight = ng.Value(1.0)

    def model(row):
        return ng.where(row[0] > 0.0, weight * row[0], ng.log(weight * row[0]))

    with pytest.warns(RuntimeWarning, match="validation loss was nan after every epoch"):
        history = ng.fit(
            model, [[1.0]], [2.0], optimizer=SGD([weight], 0.1), validation=([[-1.0]], [0.0]), epochs=20
        )

    assert (history.reason, history.epochs) == ("validation", 10)
    assert "because the validation loss was never finite" in repr(history)


def test_metrics_switch_off_dropout_that_the_model_makes_at_its_first_call():
    class Late(Module):
        def __init__(self):
            self.layers, self.dropout = MLP(2, [4, 1], seed=1), None

        def forward(self, x):
            self.dropout = self.dropout or Dropout(0.9)
            return self.layers(self.dropout(x))

    model = Late()
    history = ng.fit(
        model, X, Y, epochs=1, seed=1, metrics=lambda predictions, targets: sum(predictions), progress=False
    )

    (found,) = history.metrics["<lambda>"]
    assert found == pytest.approx(sum(model.predict(X)))


def test_metrics_are_those_of_the_predictions():
    pytest.importorskip("numpy")
    history, model = run(
        metrics=["accuracy", "auc", "r2", lambda predictions, targets: len(targets)],
        validation=(X[:10], Y[:10]),
        loss="binary_cross_entropy_with_logits",
    )

    right = [(model(row).data > 0.0) == label for row, label in zip(X, Y, strict=True)]
    assert history.history.keys() == {
        *("loss", "val_loss", "accuracy", "auc", "r2", "<lambda>"),
        *("val_accuracy", "val_auc", "val_r2", "val_<lambda>"),
    }
    assert history.metrics["accuracy"][-1] == sum(right) / 30
    assert history.metrics["val_accuracy"][-1] == sum(right[:10]) / 10
    assert history.metrics["val_<lambda>"] == [10] * 5
    with pytest.raises(ValueError, match="fit takes metrics from accuracy, r2, auc.*; got 'precision'"):
        run(metrics=["precision"])


def test_accuracy_is_by_the_middle_of_two_labels():
    pytest.importorskip("numpy")
    signs = [2 * label - 1 for label in Y]
    history, model = run(y=signs, metrics="accuracy")

    right = [(model(row).data > 0.0) == (sign > 0) for row, sign in zip(X, signs, strict=True)]
    assert history.metrics["accuracy"][-1] == sum(right) / 30
    assert metrics.accuracy([0.2, 0.7], [0, 1]) == metrics.accuracy([0.9, 0.4], [1, 0]) == 1.0
    assert metrics.accuracy([-0.2], [-1]) == metrics.accuracy([4.0, 6.0], [3, 6]) == 1.0
    assert metrics.auc([0.2, 0.3], [-1, 1]) == 1.0


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_targets_that_are_not_classes_are_refused_before_training(metric, outputs):
    pytest.importorskip("numpy")
    model = MLP(2, [4, outputs], seed=1)
    before = model.state_dict()

    def loss(prediction, target):
        return (ng.sum(prediction if isinstance(prediction, list) else [prediction]) - target) ** 2

    with pytest.raises(ValueError, match="targets of two classes|as targets; got fractions"):
        run(model=model, y=[x[0] for x in X], loss=loss, metrics=metric)
    assert model.state_dict() == before


def test_metrics_of_scikit_learn_are_given_the_targets_first():
    scores = pytest.importorskip("sklearn.metrics")

    class Score:
        def __call__(self, y_true, y_pred):
            return scores.r2_score(y_true, y_pred)

    theirs = [scores.r2_score, Score(), partial(scores.r2_score), scores.roc_auc_score]
    found = run(metrics=["r2", "auc", *theirs])[0].metrics

    for name in ("r2_score", "metric", "metric_2"):
        assert found[name] == pytest.approx(found["r2"]), name
    assert found["roc_auc_score"] == pytest.approx(found["auc"])


def test_metrics_of_one_name_are_numbered_and_return_numbers():
    history, _ = run(metrics=[lambda p, t: 1, lambda p, t: 2.0, lambda p, t: 3])

    assert [course[-1] for course in history.metrics.values()] == [1.0, 2.0, 3.0]
    assert list(history.metrics) == ["<lambda>", "<lambda>_2", "<lambda>_3"]
    with pytest.raises(TypeError, match="metric <lambda>, takes a real number; got 'good'"):
        run(metrics=[lambda p, t: "good"])


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", ["accuracy", "r2", "auc"])
def test_metrics_of_arrays_are_those_of_lists(name, outputs):
    np = pytest.importorskip("numpy")
    generator = np.random.default_rng(1)
    predictions = generator.normal(size=(60, outputs)).round(1)  # with ties
    targets = generator.integers(0, 2, 60 if name != "r2" else (60, outputs))
    metric = metrics.METRICS[name]

    expected = metric(predictions.tolist(), targets.tolist())
    assert metric(predictions, targets) == pytest.approx(expected, rel=1e-12)
    assert metric(predictions.tolist(), targets) == metric(predictions, targets.tolist())
    if outputs == 1:
        assert metric(predictions[:, 0], targets.ravel()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "r2", "auc"])
def test_metrics_of_arrays_call_no_function_for_each_row(name):
    np = pytest.importorskip("numpy")
    targets = np.arange(10_000) % 2
    calls = []

    sys.setprofile(lambda frame, event, what: calls.append(event))
    try:
        found = metrics.METRICS[name](targets + np.sin(np.arange(10_000)), targets)
    finally:
        sys.setprofile(None)

    assert math.isfinite(found)
    assert len(calls) < 1_000


def test_metrics_of_small_integers_do_not_overflow():
    np = pytest.importorskip("numpy")

    assert metrics.r2(np.array([100, -100], "i1"), np.array([-100, 100], "i1")) == -3.0
    assert metrics.auc(np.array([[5, 3], [1, 2]], "u1"), [0, 1]) == 1.0
    assert metrics.r2(np.array([True, False]), np.array([False, True])) == -3.0


def test_the_area_under_the_curve_of_a_nan_is_nan():
    np = pytest.importorskip("numpy")
    for form in (list, np.array):
        assert math.isnan(metrics.auc(form([0.1, math.nan, 0.3]), form([0, 1, 0])))


def test_metrics_by_name_say_what_to_install_where_there_is_no_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)

    for name in metrics.METRICS:
        with pytest.raises(ImportError, match=f"{name} needs NumPy: pip install numpy, or give a metric"):
            run(metrics=name, compile=False)
    own = run(metrics=lambda predictions, targets: len(targets), compile=False)[0]
    assert own.metrics == {"<lambda>": [30.0] * 5}


def test_r2_of_several_outputs_is_their_mean():
    pytest.importorskip("sklearn")
    from sklearn.metrics import r2_score

    predictions, targets = [[1.0, 2.0], [2.0, 2.5], [4.0, 1.0]], [[1.5, 2.0], [2.0, 2.0], [3.0, 0.5]]

    assert metrics.r2(predictions, targets) == pytest.approx(r2_score(targets, predictions))


def test_area_under_the_curve_ranks_two_logits_by_their_difference():
    pytest.importorskip("sklearn")
    from sklearn.metrics import roc_auc_score

    logits, targets = [[0.0, 1.0], [3.0, 2.0], [-1.0, -3.0], [5.0, 5.5]], [1, 0, 0, 1]

    assert metrics.auc(logits, targets) == roc_auc_score(targets, [b - a for a, b in logits]) == 1.0
    assert metrics.auc(logits, [[0, 1], [1, 0], [1, 0], [0, 1]]) == 1.0
    with pytest.raises(ValueError, match="one number or two logits; got 3"):
        metrics.auc([[1.0, 2.0, 3.0]], [1])
    with pytest.raises(ValueError, match="the classes 0 and 1"):
        metrics.auc([1.0, 2.0], [0, 2])


def test_log_has_a_line_for_each_epoch(tmp_path):
    pytest.importorskip("numpy")
    history, _ = run(epochs=3, metrics="accuracy", callbacks=[CSVLog(tmp_path / "log.csv")])

    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,accuracy"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [str(epoch + 1), repr(loss)] for epoch, loss in enumerate(history.losses)
    ]


def test_a_log_has_no_line_twice_after_a_resume(tmp_path):
    X, y = [[0.1 * place] for place in range(10)], [0.2 * place for place in range(10)]

    def logged(name, epochs, **settings):
        callbacks = [CSVLog(tmp_path / f"{name}.csv")]
        settings |= {"checkpoint": tmp_path / f"{name}.json", "seed": 1, "callbacks": callbacks}
        ng.fit(MLP(1, [1], seed=1), X, y, epochs=epochs, **settings)
        return (tmp_path / f"{name}.csv").read_text()

    whole = logged("whole", 7)
    logged("parts", 3)
    checkpoint = (tmp_path / "parts.json").read_bytes()
    logged("parts", 5, resume=True)
    (tmp_path / "parts.json").write_bytes(checkpoint)  # as if killed before the next was written

    assert logged("parts", 7, resume=True) == whole


@pytest.mark.parametrize("compile", [False, True])
def test_rate_falls_on_a_plateau(compile):
    """From x = 1 a rate of 1.5 goes to and fro over the bowl, further out each time, until it is halved."""
    x, rates = ng.Value(1.0), []

    def note(epoch, history):
        rates.append(history.optimizer.learning_rate)

    ng.fit(
        lambda row: x * row,
        [1.0],
        [0.0],
        optimizer=SGD([x], 1.5),
        epochs=30,
        callbacks=[ReduceOnPlateau(0.5, patience=2), note],
        compile=compile,
    )

    assert rates[:5] == [1.5, 1.5, 0.75, 0.75, 0.375]
    assert abs(x.data) < 1e-3


def test_rate_falls_no_lower_than_the_minimum():
    optimizer = SGD([ng.Value(1.0)], 8.0)
    reduce, seen = ReduceOnPlateau(0.5, patience=2, minimum=1.0), []
    for epoch in range(1, 10):
        reduce(epoch, ng.training.History(losses=[1.0], optimizer=optimizer))
        seen.append(optimizer.learning_rate)

    assert seen == [8.0, 8.0, 4.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    optimizer.learning_rate = lambda step: 0.1
    reduce(10, ng.training.History(losses=[1.0], optimizer=optimizer))
    with pytest.raises(TypeError, match="rates that are numbers"):
        reduce(11, ng.training.History(losses=[1.0], optimizer=optimizer))


@pytest.mark.parametrize("compile", [False, True])
def test_groups_have_rates_and_settings_of_their_own(compile):
    def train(groups):
        model = MLP(2, [4, 1], "tanh", seed=1)
        history = ng.fit(
            model,
            X,
            Y,
            optimizer=Adam(groups(model), 0.05),
            epochs=6,
            batch_size=7,
            seed=1,
            compile=compile,
        )
        return history.losses, model

    one, _ = train(lambda model: model.parameters())
    same, _ = train(
        lambda model: [{"params": layer.parameters(), "lr": 0.05} for layer in reversed(model.layers)]
    )
    losses, still = train(
        lambda model: [
            {"parameters": model.layers[0].parameters(), "learning_rate": 0.0},
            {"parameters": model.layers[1].parameters(), "weight_decay": 0.1},
        ]
    )

    assert same == pytest.approx(one, rel=1e-9)
    fresh = MLP(2, [4, 1], "tanh", seed=1)
    assert still.layers[0].state_dict() == fresh.layers[0].state_dict()
    assert still.layers[1].state_dict() != fresh.layers[1].state_dict()
    assert losses != one


@pytest.mark.parametrize("compile", [False, True])
def test_frozen_layers_stay(compile):
    model = MLP(2, [4, 1], "tanh", seed=1)
    model.layers[0].freeze()
    before = model.layers[0].state_dict()

    history, _ = run(model=model, compile=compile)

    assert model.layers[0].state_dict() == before
    assert history.losses[-1] < history.losses[0]


@pytest.mark.parametrize("held", [lambda model: model, lambda model: model.layers[0]])
def test_an_optimizer_of_parameters_that_were_frozen_later_is_refused(held):
    model = MLP(2, [4, 1], "tanh", seed=1)
    optimizer = SGD(model.parameters(), 0.1)
    held(model).freeze()
    before = model.state_dict()

    with pytest.raises(ValueError, match=r"(12|17) parameters of the optimizer are frozen"):
        run(model=model, optimizer=optimizer, learning_rate=None)
    assert model.state_dict() == before


def test_weights_alone_decay():
    model = MLP(2, [4, 1], "tanh", seed=1)
    weights, biases = decay_weights_only(model, 0.5)

    assert (len(weights["parameters"]), len(biases["parameters"])) == (12, 5)
    assert all(parameter.label.startswith("b") for parameter in biases["parameters"])


# Dropout.


def dropped(p=0.5):
    return Sequential(Layer(2, 16, "tanh", seed=1), Dropout(p), Layer(16, 1, None, seed=2))


def test_dropout_is_the_same_eager_and_compiled_and_new_in_every_epoch():
    pytest.importorskip("numpy")
    settings = {"learning_rate": 0.0, "optimizer": "sgd", "epochs": 4, "gradient_tolerance": -1.0}
    settings |= {"patience": None, "validation": (X, Y)}

    eager, _ = run(model=dropped(), compile=False, **settings)
    compiled, model = run(model=dropped(), compile=True, **settings)

    assert compiled.compiled
    assert compiled.losses == pytest.approx(eager.losses, rel=1e-12)
    assert len(set(eager.losses)) == 4
    assert len({round(loss, 12) for loss in eager.validation_losses}) == 1
    with model.evaluating():
        whole = sum((model(row).data - label) ** 2 for row, label in zip(X, Y, strict=True)) / 30
    assert compiled.validation_losses[0] == pytest.approx(whole, rel=1e-12)
    assert model.training


@pytest.mark.parametrize("compile", [False, True])
def test_dropout_in_a_function_is_that_in_a_module(compile):
    model, twin = dropped(0.02), dropped(0.02)

    one, _ = run(model=model, compile=compile)
    same = run(
        model=lambda row: twin(row),
        optimizer=Adam(twin.parameters(), 0.05),
        learning_rate=None,
        compile=compile,
    )[0]

    assert same.compiled == one.compiled == compile
    assert same.losses == one.losses


class Doubling(Module):
    def __init__(self):
        self.body = MLP(2, [4, 1], "tanh", seed=1)

    def forward(self, x):
        return self.body(x) * (2.0 if self.training else 1.0)


@pytest.mark.parametrize("compile", [False, True])
def test_validation_is_in_evaluation_mode_whatever_a_module_does_in_it(compile):
    rows, labels = [[0.0, 0.0], *X], [0.0, *Y]  # the first has the same loss in both modes
    history, model = run(model=Doubling(), validation=(rows, labels), epochs=2, compile=compile)

    with model.evaluating():
        expected = sum((model(row).data - label) ** 2 for row, label in zip(rows, labels, strict=True)) / 31
    assert history.compiled == compile
    assert history.validation_losses[-1] == pytest.approx(expected, rel=1e-12)


def test_dropped_numbers_keep_their_mean():
    layer, generator = Dropout(0.25), random.getstate()
    random.seed(1)
    outputs = layer([1.0] * 4000)
    random.setstate(generator)

    assert {float(out) for out in outputs} == {0.0, 1.0 / 0.75}
    assert sum(outputs) / 4000 == pytest.approx(1.0, abs=0.03)
    with pytest.raises(ValueError, match="Dropout takes p as a number of at least 0 and below 1"):
        Dropout(1.0)


# Eager, compiled, native.


def test_history_says_why_it_ran_eagerly(monkeypatch):
    assert run(epochs=1)[0].eager_because == "there is too little to do to try compiling"
    assert run(compile=False)[0].eager_because == "compile=False"
    monkeypatch.setattr("nodegrad.training.run._WORTH_COMPILING", 1)
    history, _ = run(loss=lambda prediction, target: (prediction - target) ** 2 * prediction.data)
    assert not history.compiled
    assert "reads .data" in history.eager_because
    assert "reads .data" in repr(history)


class Late(Module):
    """A line through 0 whose slope is another after so many calls."""

    def __init__(self, calls):
        self.weight, self.calls = ng.Value(1.0), calls

    def forward(self, row):
        self.calls -= 1
        return self.weight * row[0] * (1.0 if self.calls > 0 else 3.0)


@pytest.mark.parametrize("calls", [6, 9])  # compiling takes five
def test_a_first_step_that_eager_code_contradicts_is_taken_back(calls):
    model = Late(calls)
    with pytest.raises(ValueError, match="plain numbers that have changed"):
        run(model=model, compile=True, optimizer="sgd")

    assert model.weight.data == 1.0
    history, _ = run(model=Late(calls), epochs=100)
    assert "plain numbers that have changed" in history.eager_because


def test_no_point_of_the_training_outlives_the_next_but_one():
    """Each holds all parameters and the optimizer's state, and the collector runs rarely while fit does."""
    pytest.importorskip("numpy")

    def count(*_):
        alive.append(sum(type(thing) is native_steps.Point for thing in gc.get_objects()))

    gc.collect()
    alive = []
    count()
    run(epochs=20, compile=True, callback=count)

    assert max(alive) <= alive[0] + 3


def test_an_epoch_is_one_native_call(monkeypatch):
    pytest.importorskip("llvmlite")
    calls = []
    call = native_steps.NativeSteps.take

    def counted(self, step, batches):
        calls.append(len(batches))
        return call(self, step, batches)

    monkeypatch.setattr(native_steps.NativeSteps, "take", counted)
    run(epochs=40, batch_size=3, compile=True)

    assert sum(calls) == 40 * 10 - 1  # the first step makes the state of Adam
    assert len(calls) < 80
    assert max(calls) >= 10


def test_the_same_network_is_not_compiled_again(monkeypatch):
    pytest.importorskip("llvmlite")
    from nodegrad.compiler.backends.llvm import native

    run(compile=True)
    gc.collect()
    compiled, assembled = [], native._assembled
    monkeypatch.setattr(native, "_assembled", lambda *of: compiled.append(of) or assembled(*of))
    run(model=MLP(2, [4, 1], "tanh", seed=2), X=X[:25], y=Y[:25], seed=2, compile=True)

    assert compiled == []
    run(model=MLP(2, [4, 1], "softplus", seed=2), compile=True)
    assert compiled


@pytest.mark.parametrize("seconds", [1e-6, 1e-3, 0.05])
def test_a_long_epoch_of_native_steps_shows_progress_five_times_a_second(seconds, monkeypatch):
    pytest.importorskip("llvmlite")
    clock, shown, call = [0.0], [], native_steps.NativeSteps.take

    def slow(self, step, batches):
        clock[0] += seconds * len(batches)
        return call(self, step, batches)

    @contextmanager
    def bar(wanted, steps):
        yield lambda count, loss: shown.append(clock[0])

    monkeypatch.setattr(native_steps.NativeSteps, "take", slow)
    monkeypatch.setattr("nodegrad.training.run.progress_bar", bar)
    monkeypatch.setattr("nodegrad.training.run.time.perf_counter", lambda: clock[0])
    run(X=[[0.1, 0.2]] * 3000, y=[1.0] * 3000, batch_size=1, epochs=2, compile=True)

    assert clock[0] == pytest.approx(2 * 3000 * seconds, rel=0.01)
    assert max(after - before for before, after in pairwise(shown)) <= 0.2


@pytest.mark.parametrize("moment", range(12))
def test_interruption_leaves_the_parameters_after_a_whole_step(moment, monkeypatch):
    """Wherever Ctrl-C comes, the parameters are those after a whole number of steps."""
    pytest.importorskip("numpy")
    points = []
    settings = {"epochs": 12, "batch_size": None, "compile": True}
    run(**settings, callback=lambda epoch, history: points.append(history.model.state_dict()))
    points.insert(0, MLP(2, [4, 1], "tanh", seed=1).state_dict())
    calls = []

    def interrupted(name, real):
        def call(*arguments):
            calls.append(name)
            if len(calls) == 2 + moment:
                signal.raise_signal(signal.SIGINT)
            return real(*arguments)

        return call

    from nodegrad.training import compiled_step

    for name in ("write", "scattered"):
        monkeypatch.setattr(compiled_step, name, interrupted(name, getattr(compiled_step, name)))
    for name in ("take", "_found"):
        real = getattr(native_steps.NativeSteps, name)
        monkeypatch.setattr(native_steps.NativeSteps, name, interrupted(name, real))
    history, model = run(**settings)

    assert history.reason in ("interrupted", "max epochs")
    assert model.state_dict() in points
    assert len(history.losses) == len(history.gradient_norms)


def test_callbacks_are_all_called():
    seen = []
    history, _ = run(
        callbacks=[lambda epoch, history: True, lambda epoch, history: seen.append(epoch)],
        callback=lambda epoch, history: None,
    )

    assert (history.reason, seen) == ("callback", [1])
    assert run(callbacks=lambda epoch, history: True)[0].reason == "callback"


@pytest.mark.parametrize("answer", [0.25, "stop", [1.0], 2])
def test_what_a_callback_returns_by_mistake_does_not_stop_the_training(answer):
    with pytest.raises(ValueError, match=r"fit takes what a callback returns as True or False, or None; got"):
        run(callback=lambda epoch, history: answer)


def test_short_trainings_say_that_compiling_was_not_tried_whatever_the_loss_reads():
    history, _ = run(epochs=1, loss=lambda prediction, target: (prediction - target) ** 2 * prediction.data)

    assert history.eager_because == "there is too little to do to try compiling"


def test_rows_of_one_sample_and_constant_columns_train():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for compile in (False, True):
            history, _ = run(X=[[1.0, 0.0]], y=[0.5], compile=compile)
            assert math.isfinite(history.losses[-1])
            history, _ = run(X=[[row[0], 3.0] for row in X], compile=compile)
            assert history.losses[-1] < history.losses[0]


def test_targets_of_one_class_train_and_have_no_area_under_the_curve():
    history, _ = run(y=[1] * 30, loss="binary_cross_entropy_with_logits", metrics=["accuracy", "auc"])

    assert history.losses[-1] < history.losses[0]
    assert math.isnan(history.metrics["auc"][-1])


@pytest.mark.parametrize(
    "settings",
    [
        {"y": [1e200 * y for y in Y]},
        {"y": [1e200 * y for y in Y], "optimizer": "lbfgs", "batch_size": None, "learning_rate": None},
        {"validation": ([[1.0, 1.0]], [1e300])},
    ],
)
def test_warnings_name_the_line_that_calls_fit(settings):
    with pytest.warns(RuntimeWarning, match="fit: the") as caught:
        run(**settings)

    assert {Path(warning.filename).name for warning in caught} == {"test_run.py"}
