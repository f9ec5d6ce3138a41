"""Checkpoints: a training that was stopped goes on to the last bit as if it had not been."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import data
from nodegrad.nn import MLP, Dropout, Layer, Sequential
from nodegrad.optim import SGD, Adam, cosine
from nodegrad.training.callbacks import ReduceOnPlateau

X, Y = data.make_moons(40, seed=1)


def make():
    return MLP(2, [5, 1], "tanh", seed=1)


def run(path, epochs, model=None, **settings):
    model = make() if model is None else model
    settings = {"seed": 3, "batch_size": 7, "patience": None} | settings
    optimizer = settings.pop("optimizer", lambda parameters: Adam(parameters, 0.02))(model.parameters())
    given = {"X": X, "y": Y, "optimizer": optimizer, "epochs": epochs, "checkpoint": path} | settings
    history = ng.fit(model, **given)
    return model, history, optimizer


SETTINGS = [
    {},
    {"batch_size": None},
    {"optimizer": lambda parameters: SGD(parameters, cosine(0.1, 60), momentum=0.9)},
    {
        "optimizer": lambda parameters: SGD(parameters, 0.1),
        "validation": (X[:5], Y[:5]),
        "restore_best": True,
    },
    {"metrics": ["accuracy"], "sample_weight": [1.0 + i % 3 for i in range(40)], "seed": None},
    {"model": lambda: Sequential(Layer(2, 5, "tanh", seed=1), Dropout(0.3), Layer(5, 1, None, seed=2))},
    {"callbacks": lambda: [ReduceOnPlateau(patience=1, tolerance=0.5)]},
    {"callbacks": lambda: [ramp]},
    {"callbacks": lambda: [ramp], "optimizer": lambda parameters: SGD(parameters, 0.1, momentum=0.9)},
    {"callbacks": lambda: [ramp], "optimizer": lambda parameters: SGD(parameters, 0.1)},
    {"callbacks": lambda: [slow_down], "optimizer": lambda parameters: SGD(parameters, cosine(0.1, 60))},
    {"callbacks": lambda: [thaw_a_little], "model": lambda: frozen_below()},
    {"callbacks": lambda: [jitter]},
    {"callbacks": lambda: [lambda epoch, history: None, Best()]},
    {"callbacks": lambda: [scalars], "optimizer": lambda parameters: SGD(parameters, 0.1, momentum=0.9)},
]


def slow_down(epoch, history):
    history.optimizer.learning_rate = 0.1 / epoch  # a number in place of a schedule


def thaw_a_little(epoch, history):
    history.model.layers[0].neurons[0].w[0].data += 1e-12


def jitter(epoch, history):
    """Move a weight by numbers from the generators that Python and NumPy share."""
    shift = random.gauss(0.0, 0.1)
    if "numpy" in sys.modules:
        shift += sys.modules["numpy"].random.normal(0.0, 0.1)
    history.model.layers[0].neurons[0].w[0].data += shift


def scalars(epoch, history):
    np = pytest.importorskip("numpy")
    history.optimizer.learning_rate = np.float32(0.1 / epoch)
    history.optimizer.settings.update(momentum=np.float32(0.7), nesterov=np.True_)
    history.optimizer.settings.update(weight_decay=Fraction(1, 50))


class Best:
    """Adds to a weight what it has seen so far."""

    def __init__(self):
        self.seen = {
            "best": math.inf,
            "lowest": -math.inf,
            "none": math.nan,
            "last": (math.nan, "x"),
            "epochs": [],
        }

    def __call__(self, epoch, history):
        if "numpy" in sys.modules:
            epoch = sys.modules["numpy"].int64(epoch)
        self.seen["best"] = min(self.seen["best"], history.losses[-1])
        self.seen["last"] = (history.losses[-1], "x")
        self.seen["epochs"].append(epoch)
        history.model.layers[0].neurons[0].w[0].data += 0.01 * self.seen["best"] * len(self.seen["epochs"])

    def state_dict(self):
        return self.seen

    def load_state_dict(self, state):
        assert state["last"][1] == "x"
        assert (state["lowest"], math.isnan(state["none"])) == (-math.inf, True)
        self.seen = state


def frozen_below():
    model = make()
    model.layers[0].freeze()
    return model


def ramp(epoch, history):
    settings = history.optimizer.groups[0].settings
    settings.update(momentum=0.9 - 0.05 * epoch) if "momentum" in settings else settings.update(
        betas=(0.8, 0.99)
    )


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("stop", [1, 6])
def test_resumed_training_equals_one_that_never_stopped(tmp_path, settings, compile, stop):
    if compile:
        pytest.importorskip("numpy")
    settings = settings | {"compile": compile}
    model = settings.pop("model", make)
    callbacks = settings.pop("callbacks", list)

    def part(name, epochs, **more):
        random.seed(5)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(5)
        return run(tmp_path / name, epochs, model(), callbacks=callbacks(), **settings, **more)

    whole = part("whole.json", 12)
    part("parts.json", stop)
    resumed = part("parts.json", 12, resume=True)

    assert resumed[0].state_dict() == whole[0].state_dict()
    assert resumed[1].history == whole[1].history
    assert (resumed[1].gradient_norms, resumed[1].reason) == (whole[1].gradient_norms, whole[1].reason)
    assert resumed[1].best_epoch == whole[1].best_epoch
    assert resumed[2].state_dict() == whole[2].state_dict()


def test_training_starts_anew_where_there_is_no_checkpoint(tmp_path):
    history = run(tmp_path / "new.json", 2, resume=True)[1]

    assert history.epochs == 2
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "new.json", 2, resume=tmp_path / "other.json")
    with pytest.raises(ValueError, match="say which that is"):
        run(None, 2, resume=True)


def test_a_missing_folder_is_refused_before_training(tmp_path):
    model = make()
    before = model.state_dict()

    with pytest.raises(FileNotFoundError, match="there is no folder '.*missing' for the checkpoint"):
        run(tmp_path / "missing" / "file.json", 2, model)
    assert model.state_dict() == before


def test_finished_training_is_not_continued(tmp_path):
    model, history, _ = run(tmp_path / "done.json", 4)

    again, resumed, _ = run(tmp_path / "done.json", 4, resume=True)

    assert (resumed.epochs, resumed.reason) == (4, "max epochs")
    assert again.state_dict() == model.state_dict()
    assert resumed.losses == history.losses


@pytest.mark.parametrize(
    ("reason", "settings", "others"),
    [
        ("tolerance", {"tolerance": 0.9, "patience": 2}, {"patience": 4}),
        ("tolerance", {"tolerance": 0.9, "patience": 2}, {"tolerance": 1e-9, "patience": 2}),
        ("tolerance", {"tolerance": 0.9, "patience": 2, "validation": (X[:9], Y[:9])}, {"patience": None}),
        ("tolerance", {"tolerance": 0.9, "patience": 2, "restore_best": True}, {"patience": None}),
        ("target loss", {"target_loss": 0.6}, {"target_loss": 0.0}),
        ("gradient", {"gradient_tolerance": 1e3}, {"gradient_tolerance": 0.0}),
        ("callback", {"callbacks": [lambda epoch, history: epoch > 2]}, {"callbacks": []}),
    ],
)
def test_training_that_had_a_reason_to_stop_goes_on_only_if_that_is_gone(tmp_path, reason, settings, others):
    def part(**settings):
        model, history, optimizer = run(tmp_path / "file.json", 8, **settings)
        return model.state_dict(), history.history, history.reason, optimizer.state_dict()

    stopped = part(**settings)

    assert stopped[2] == reason
    assert len(stopped[1]["loss"]) < 8
    for _ in range(3):
        assert part(resume=True, **settings) == stopped
    onward = part(resume=True, **settings | others)
    (tmp_path / "file.json").unlink()
    assert onward == part(**settings | others)
    assert len(onward[1]["loss"]) > len(stopped[1]["loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 8}, "batch size is 7 there and 8 here"),
        (
            {"optimizer": lambda leaves: Adam(leaves, 0.03)},
            "learning_rate of group 1 is 0.02 there and 0.03 here",
        ),
        (
            {"optimizer": lambda leaves: Adam(leaves, cosine(0.02, 9))},
            "learning_rate of group 1 is .* 'cosine.*'} here",
        ),
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"loss": "huber"}, "loss is 'mean_squared_error' there and 'huber' here"),
        ({"loss": lambda p, t: (p - t) ** 2}, "loss is 'mean_squared_error' there and '<lambda>' here"),
        (
            {"sample_weight": [1.0 + i % 3 for i in range(40)]},
            "training: weights differ in rows, values or order",
        ),
        ({"X": [[a, 2 * b] for a, b in X]}, "training: data differ in rows, values or order"),
        ({"y": Y[::-1]}, "training: data differ in rows"),
        ({"validation": (X, Y)}, "training: validation data differ in rows"),
        ({"metrics": "r2"}, r"metrics is \[\] there and \['r2'\] here"),
        ({"restore_best": True}, "restore_best is False there"),
        ({"max_gradient_norm": 0.1}, "limit is inf there and 0.1 here"),
        ({"model": MLP(2, [5, 1], "relu", seed=1)}, "model is .*tanh.* there"),
        ({"optimizer": SGD}, "optimizer is 'Adam' there and 'SGD' here"),
        ({"model": MLP(2, [6, 1], seed=1)}, "parameters is 21 there and 25 here"),
    ],
)
def test_checkpoint_of_another_training_is_refused(tmp_path, settings, message):
    run(tmp_path / "file.json", 2)
    settings = dict(settings)
    model = settings.pop("model", make())
    before = model.state_dict()

    with pytest.raises(ValueError, match=message):
        run(tmp_path / "file.json", 4, model, resume=True, **settings)
    assert model.state_dict() == before


def test_a_checkpoint_under_another_schedule_is_refused(tmp_path):
    def part(epochs, steps):
        return run(
            tmp_path / "file.json", epochs, optimizer=lambda p: SGD(p, cosine(0.1, steps)), resume=True
        )

    part(2, 60)
    with pytest.raises(ValueError, match="rates of a schedule is"):
        part(4, 80)
    assert part(4, 60)[1].epochs == 4


def test_a_checkpoint_fits_the_same_numbers_in_an_array_and_the_optimizer_that_wrote_it(tmp_path):
    np = pytest.importorskip("numpy")
    model = make()
    optimizer = Adam(model.parameters(), 0.02)

    def part(epochs, **more):
        def slower(epoch, history):
            optimizer.learning_rate = 0.01
            optimizer.settings["weight_decay"] = 0.1

        return run(
            tmp_path / "file.json", epochs, model, optimizer=lambda _: optimizer, callback=slower, **more
        )

    part(2)
    assert part(4, resume=True, X=np.array(X, "f8"), y=np.array(Y))[1].epochs == 4
    optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match="learning_rate of group 1 is 0.02 there and 0.5 here"):
        part(5, resume=True)
    optimizer.learning_rate, optimizer.settings["weight_decay"] = 0.01, 0.2
    with pytest.raises(ValueError, match="weight_decay of group 1 is 0.0 there and 0.2 here"):
        part(5, resume=True)


def identity(x):
    return x


class Filtered(SGD):
    """Descent down a function of the gradient."""

    @staticmethod
    def update(parameter, gradient, state, learning_rate, filter):
        return parameter - learning_rate * filter(gradient), state

    def __init__(self, parameters):
        super(SGD, self).__init__(parameters, 0.1, filter=identity)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (SGD, lambda optimizer: setattr(optimizer, "learning_rate", cosine(0.1, 60))),
        (Filtered, lambda optimizer: optimizer.settings.update(filter=lambda slope: 2.0 * slope)),
    ],
)
def test_what_a_file_cannot_hold_is_refused_unless_the_optimizer_has_it(tmp_path, kind, change):
    def part(epochs, optimizer=kind, **settings):
        def callback(epoch, history):
            if epoch == 2:
                change(history.optimizer)

        return run(tmp_path / "file.json", epochs, optimizer=optimizer, callback=callback, **settings)

    model, _, optimizer = part(4)
    with pytest.raises(ValueError, match="of group 1 is {'name': .*} there and .* here"):
        part(6, resume=True)

    assert part(6, lambda _: optimizer, model=model, resume=True)[1].epochs == 6


def test_the_state_of_a_callback_goes_to_the_one_of_its_class(tmp_path):
    first, second = ReduceOnPlateau(patience=1, tolerance=0.9), ReduceOnPlateau(patience=50)
    run(tmp_path / "file.json", 4, callbacks=[first, second])
    other, again, third = Best(), ReduceOnPlateau(patience=1), ReduceOnPlateau(patience=50)

    run(tmp_path / "file.json", 4, callbacks=[other, again, third], resume=True)

    assert other.seen["epochs"] == []
    assert [again.state_dict(), third.state_dict()] == [first.state_dict(), second.state_dict()]
    assert first.state_dict() != second.state_dict()


@pytest.mark.parametrize("state", [{1: 0.5}, [{"a": {2}}], object(), [b"x"], 1j, {"x": "nan"}])
def test_a_callback_whose_state_a_file_cannot_hold_is_refused(tmp_path, state):
    call = Best()
    call.state_dict = lambda: state

    with pytest.raises(TypeError, match="a file holds numbers, texts"):
        run(tmp_path / "file.json", 4, callbacks=[call])
    assert not (tmp_path / "file.json").exists()


def test_batches_shuffled_by_the_shared_generator_are_those_of_one_training(tmp_path):
    def batches():
        rows = random.sample(range(40), 40)
        for start in range(0, 40, 8):
            yield [X[row] for row in rows[start : start + 8]], [Y[row] for row in rows[start : start + 8]]

    def part(name, epochs, **more):
        random.seed(5)
        return run(tmp_path / name, epochs, X=batches, y=None, batch_size=None, **more)[1].losses

    whole = part("whole.json", 6)
    part("parts.json", 3)

    assert part("parts.json", 6, resume=True) == whole


def test_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "file.json"
    run(path, 2)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"seed": 4}))

    with pytest.raises(ValueError, match="checksum"):
        run(path, 4, resume=True)


def test_checkpoints_may_be_some_epochs_apart(tmp_path):
    seen = []

    def look(epoch, history):
        content = (
            json.loads((tmp_path / "file.json").read_text()) if epoch > 3 else {"history": {"losses": []}}
        )
        seen.append(len(content["history"]["losses"]))

    run(tmp_path / "file.json", 8, checkpoint_every=3, callback=look)

    assert seen == [0, 0, 0, 3, 3, 3, 6, 6]


SCRIPT = """
    import sys
    from training.test_checkpoint import run
    model, history, _ = run(sys.argv[1], 150, resume=True, compile=True)
    print(repr((model.state_dict(), history.losses)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform kills otherwise")
def test_a_killed_training_resumes_from_a_complete_checkpoint(tmp_path):
    pytest.importorskip("numpy")
    folder = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent / "src")])}

    def start(path):
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), path]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    killed = 0
    for delay in (0.05, 0.2):
        process = start(tmp_path / "parts.json")
        while not (tmp_path / "parts.json").exists() and process.poll() is None:
            pass
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
    resumed, _ = start(tmp_path / "parts.json").communicate()
    whole, _ = start(tmp_path / "whole.json").communicate()

    assert killed
    assert resumed == whole != ""


def test_a_checkpoint_runs_the_model_with_parameters_of_the_training_only(tmp_path):
    model, seen = make(), []

    def watched(row):
        seen.append([parameter.data for parameter in model.parameters()])
        return model(row)

    def part(epochs, **options):
        return ng.fit(
            watched, X, Y, optimizer=Adam(model.parameters(), 0.02), epochs=epochs, compile=False, **options
        )

    start = model.state_dict()
    part(4)
    reached = [*seen, [parameter.data for parameter in model.parameters()]]
    for epochs in (2, 4):
        model.load_state_dict(start)
        part(epochs, checkpoint=tmp_path / "file.json", resume=True)

    assert all(numbers in reached for numbers in seen)
