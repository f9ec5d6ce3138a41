"""Solvers of SciPy with our derivatives: the problems of NIST, and a network."""

import math
import re
import signal
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import data
from nodegrad.nn import MLP
from nodegrad.optim import SGD

pytest.importorskip("scipy")

# The nonlinear regression problems of NIST's Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd:
# a work of the United States government, and so in the public domain.
FILES = sorted((Path(__file__).parents[1] / "nist").glob("*.dat"))


def problem(path):
    """Read the model, the second start, the certified parameters, the rows and the targets from a file."""
    text = path.read_text(encoding="ascii")
    model = text[text.index("Model:") :]
    formula = re.search(r"(?:log\[y\]|y)\s*=(.*?)\+ *e *$", model, re.DOTALL | re.MULTILINE)[1]
    formula = " ".join(formula.replace("[", "(").replace("]", ")").replace("arctan", "atan").split())
    table = re.findall(r"^ *b\d+ *= *(.*)$", text, re.MULTILINE)
    parameters = [[float(number) for number in line.split()[:3]] for line in table]
    numbers = text[text.rindex("Data:") :].splitlines()[1:]
    lines = [[float(number) for number in line.split()] for line in numbers if line.strip()]
    rows, targets = [line[1:] for line in lines], [line[0] for line in lines]
    if "log[y]" in text:
        targets = [math.log(target) for target in targets]
    return formula, [start for _, start, _ in parameters], [found for *_, found in parameters], rows, targets


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_certified_parameters_of_nist_are_found(path):
    formula, start, certified, rows, targets = problem(path)
    b = [ng.Value(number) for number in start]
    code = compile(formula, path.name, "eval")
    names = {f"b{place + 1}": value for place, value in enumerate(b)}
    names |= {"exp": ng.exp, "cos": ng.cos, "sin": ng.sin, "atan": ng.atan, "pi": math.pi}

    def model(row):
        inputs = {"x": row[0]} if len(row) == 1 else {"x1": row[0], "x2": row[1]}
        return eval(code, names | inputs)

    history = ng.fit(model, rows, targets, optimizer="lm", parameters=b, epochs=1000)

    assert history.compiled
    assert [value.data for value in b] == pytest.approx(certified, rel=1e-6)


def test_all_problems_are_there():
    assert len(FILES) == 27


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_weights_and_validation_count(optimizer):
    X, y = data.make_line(20, noise=1.0, seed=1)
    weights = [1.0 + i % 3 for i in range(20)]
    model = MLP(1, [1], seed=1)

    history = ng.fit(model, X, y, optimizer=optimizer, sample_weight=weights, validation=(X, y), epochs=200)

    np = pytest.importorskip("numpy")
    slope, intercept = np.polyfit([x for (x,) in X], y, 1, w=np.sqrt(weights))
    assert list(model.state_dict().values()) == pytest.approx([slope, intercept], rel=1e-5)
    assert len(history.validation_losses) == history.epochs
    assert history.losses == sorted(history.losses, reverse=True)


def test_lbfgs_needs_fewer_epochs_than_adam():
    X, y = data.make_moons(100, noise=0.1, seed=1)
    loss, settings = "binary_cross_entropy_with_logits", {"target_loss": 0.02, "epochs": 500}
    counts = []
    for optimizer in ("lbfgs", "adam"):
        model = MLP(2, [8, 1], "tanh", seed=1)
        history = ng.fit(model, X, y, loss, optimizer, **settings, patience=None)
        counts.append(history.epochs)
        assert history.epochs == 500 or history.losses[-1] <= 0.02

    assert counts[0] < 0.5 * counts[1]


def test_callbacks_see_the_parameters_and_stop_a_solver():
    X, y = data.make_moons(40, noise=0.1, seed=1)
    model, seen = MLP(2, [4, 1], "tanh", seed=1), []

    history = ng.fit(
        model,
        X,
        y,
        optimizer="lbfgs",
        callback=lambda epoch, history: seen.append(model.state_dict()) or epoch == 4,
    )

    assert (history.reason, history.epochs, len(seen)) == ("callback", 4, 4)
    assert model.state_dict() == seen[-1]


@pytest.mark.parametrize(("optimizer", "enough"), [("lbfgs", 8), ("lm", 2)])
def test_a_solver_that_converges_in_its_last_epoch_says_so(optimizer, enough):
    X, y = data.make_line(60, noise=1.0, seed=1)

    def reason(epochs):
        history = ng.fit(MLP(1, [1], seed=1), X, y, optimizer=optimizer, epochs=epochs)
        return history.reason, history.epochs

    converged, needed = reason(100)
    assert converged == "tolerance"
    assert needed <= enough
    assert reason(needed) == ("tolerance", needed)
    assert reason(1) == ("max epochs", 1)


def test_a_callback_cannot_change_the_parameters_of_a_solver():
    model = MLP(1, [1], seed=1)

    def callback(epoch, history):
        model.layers[0].neurons[0].b.data = 5.0

    with pytest.raises(ValueError, match="a callback changed the parameters"):
        ng.fit(model, [[0.0], [1.0]], [1.0, 3.0], optimizer="lbfgs", callback=callback)


class Scaled(ng.nn.Module):
    """A line through 0 whose slope is that of a plain number, too, which changes after so many calls."""

    def __init__(self, calls):
        self.weight, self.scale, self.calls = ng.Value(1.0), 1.0, calls

    def forward(self, row):
        self.calls -= 1
        return self.weight * row[0] * (self.scale if self.calls > 0 else 3.0)


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
@pytest.mark.parametrize("calls", [6, 1000])
def test_plain_numbers_that_change_are_refused(optimizer, calls):
    model = Scaled(calls)

    def change(epoch, history):
        model.scale = 2.0

    with pytest.raises(ValueError, match=f"{optimizer}' takes compiled steps only.*depends on plain numbers"):
        ng.fit(model, [[1.0], [2.0], [3.0]], [2.0, 4.1, 6.0], optimizer=optimizer, callbacks=change)


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_interruption_leaves_the_parameters_of_the_last_iteration(optimizer):
    X, y = data.make_line(20, noise=1.0, seed=1)
    model, states = MLP(1, [2, 1], "tanh", seed=1), []

    def callback(epoch, history):
        states.append(model.state_dict())
        if epoch == 3:
            signal.raise_signal(signal.SIGINT)

    history = ng.fit(model, X, y, optimizer=optimizer, callback=callback)

    assert (history.reason, history.epochs) == ("interrupted", 3)
    assert model.state_dict() == states[-1]


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_metrics_and_the_best_epoch_are_those_of_fit(optimizer):
    X, y = data.make_line(20, noise=1.0, seed=1)
    model, states = MLP(1, [2, 1], "tanh", seed=1), []

    history = ng.fit(
        model,
        X,
        y,
        optimizer=optimizer,
        epochs=15,
        metrics="r2",
        validation=(X[:3], y[:3]),
        restore_best=True,
        callback=lambda epoch, history: states.append(model.state_dict()),
    )

    assert len(history.metrics["r2"]) == len(history.metrics["val_r2"]) == history.epochs
    assert history.best_epoch == 1 + history.validation_losses.index(min(history.validation_losses))
    assert model.state_dict() == states[history.best_epoch - 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lm", "loss": "huber"}, "another loss than mean_squared_error.*take 'lbfgs'"),
        ({"optimizer": "lm", "combine": lambda array: array}, "cannot be used with combine.*take 'lbfgs'"),
        ({"optimizer": "lbfgs", "learning_rate": 0.1}, "finds its own steps"),
        ({"optimizer": "lbfgs", "checkpoint": "file"}, "SciPy keeps the state.*take 'adam'"),
        ({"optimizer": "lm", "resume": "file"}, "SciPy keeps the state"),
        ({"optimizer": "lbfgs", "max_gradient_norm": 1.0}, "cannot be used with max_gradient_norm"),
        ({"optimizer": "lbfgs", "compile": False}, "cannot be used with compile=False"),
        ({"optimizer": "lm"}, "as many rows as parameters; got 2 for 3"),
        ({"optimizer": "lbfgs", "batch_size": 1}, "all rows at once"),
    ],
)
def test_what_solvers_cannot_do_is_refused(settings, message):
    model = MLP(2, [1], seed=1)
    before = model.state_dict()

    with pytest.raises(ValueError, match=message):
        ng.fit(model, [[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0], **settings)
    assert model.state_dict() == before


def test_solvers_refuse_dropout():
    model = ng.nn.Sequential(ng.nn.Dropout(0.5), MLP(1, [1], seed=1))

    with pytest.raises(ValueError, match="cannot be used with dropout.*take 'adam'"):
        ng.fit(model, [[1.0], [2.0]], [1.0, 2.0], optimizer="lm")


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_a_start_that_is_not_finite_is_kept(optimizer):
    x = ng.Value(-1.0)

    with pytest.warns(RuntimeWarning, match="fit: the loss became nan in epoch 1"):
        history = ng.fit(
            lambda row: ng.log(x), [[1.0], [2.0]], [2.0, 4.0], optimizer=optimizer, parameters=[x]
        )

    assert (history.reason, history.epochs, x.data) == ("diverged", 0, -1.0)


@pytest.mark.parametrize("optimizer", ["lbfgs", "lm"])
def test_start_at_the_solution_stays(optimizer):
    x = ng.Value(2.0)

    history = ng.fit(lambda row: x * row[0], [[1.0], [2.0]], [2.0, 4.0], optimizer=optimizer, parameters=[x])

    assert x.data == 2.0
    assert history.losses[-1] == 0.0
    assert SGD([x], 0.1).parameters == [x]


def test_several_outputs_are_refused_by_lm():
    model = MLP(2, [2], seed=1)
    before = model.state_dict()

    with pytest.raises(ValueError, match="optimizer='lm' takes models of one output; got 2"):
        ng.fit(model, [[1.0, float(k)] for k in range(20)], [[1.0, 2.0]] * 20, optimizer="lm")
    assert model.state_dict() == before
