"""The training loop: what it minimises, every reason to stop, and what it refuses before it starts."""

import math
import random
import signal
import sys
import types

import pytest

import nodegrad as ng
from nodegrad import Value, data
from nodegrad.nn import MLP, Neuron, mean_squared_error
from nodegrad.optim import SGD, Adam
from nodegrad.training import REASONS, History, fit

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
        seed=1,
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
    seen = []

    def model(row):
        seen.append(row[0])
        return Value(0.0) * row[0]

    fit(model, [[float(i)] for i in range(7)], [1.0] * 7, optimizer=SGD([Value(0.0)]), epochs=1, batch_size=3)

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
    history = fit(lambda row: x * row, [1.0], [0.0], optimizer=slow, epochs=300, patience=30, tolerance=1e-3)
    assert history.reason == "max epochs"
    assert bowl(optimizer=slow, patience=10, tolerance=1e-3, gradient_tolerance=-1.0)[0].epochs == 11


def test_stops_when_the_gradient_is_small():
    history, _ = bowl(gradient_tolerance=0.5)

    assert history.reason == "gradient"
    assert history.gradient_norms[-1] <= 0.5 < history.gradient_norms[-2]
    assert history.gradient_norms == pytest.approx([2 * 0.8**epoch for epoch in range(history.epochs)])


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
        ([["a"]], [1.0], r"fit: X\[0\] takes a real number|X\[0\]\[0\] takes a real number; got 'a'"),
        ([[None]], [1.0], r"X\[0\]\[0\] takes a real number; got None"),
        (["ab"], [1.0], r"X\[0\] takes a real number; got 'ab'"),
    ],
)
def test_unfit_data_are_refused_before_anything_changes(X, y, message):
    model = line()
    before = [(p.data, p.grad) for p in model.parameters()]

    with pytest.raises((ValueError, TypeError), match=message):
        fit(model, X, y)

    assert [(p.data, p.grad) for p in model.parameters()] == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is a positive whole number; got 0"),
        ({"epochs": 2.5}, "epochs is a positive whole number"),
        ({"batch_size": 0}, "batch_size is a positive whole number, or None for all; got 0"),
        ({"learning_rate": -0.1}, "learning_rate is a number not below 0"),
        ({"tolerance": -1.0}, "tolerance is a number not below 0"),
        ({"patience": 0}, "patience is a positive number"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm is above 0"),
        ({"loss": "mse"}, "unknown loss 'mse'. Known are mean_squared_error"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg'. Known are sgd, adam"),
        ({"optimizer": Adam([Value(1.0)]), "learning_rate": 0.1}, "has its own learning_rate"),
        ({"loss": lambda prediction, y: 0.5}, "one Value that depends on the parameters; got 0.5"),
        ({"loss": lambda prediction, y: [prediction]}, "one Value that depends on the parameters; got "),
        ({"validation": ([[1.0]], [math.nan])}, r"validation\[1\]\[0\] is nan"),
    ],
)
def test_unfit_settings_are_refused_before_anything_changes(settings, message):
    model = line()
    before = [(p.data, p.grad) for p in model.parameters()]

    with pytest.raises((ValueError, TypeError), match=message):
        fit(model, LINE_X, LINE_Y, **settings)

    assert [(p.data, p.grad) for p in model.parameters()] == before


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


def test_no_bar_where_nobody_watches(capsys):
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
