"""Ranks: several processes train one model as one does, and end together."""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import data, optim
from nodegrad.nn import MLP
from nodegrad.training.callbacks import ReduceOnPlateau

np = pytest.importorskip("numpy")

X, Y = data.make_moons(60, noise=0.1, seed=1)
X, Y = np.array(X), np.array(Y, float)


class Together:
    """Sums over threads that stand for ranks."""

    def __init__(self, ranks):
        self.ranks, self.parts = ranks, {}
        self.barrier = threading.Barrier(ranks, timeout=60)

    def combine(self, rank):
        def total(array):
            self.parts[rank] = array
            self.barrier.wait()
            found = np.sum([self.parts[each] for each in range(self.ranks)], axis=0)
            self.barrier.wait()
            return found

        return total


def on_ranks(ranks, work):
    """Run work(rank, combine) in a thread for each rank; return results and errors."""
    together = Together(ranks)
    found = [None] * ranks

    def run(rank):
        try:
            found[rank] = work(rank, together.combine(rank))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def grouped(count):
    model = MLP(2, [4, 1], seed=1)
    parts = model.parameters()[:count], model.parameters()[count:]
    return {"model": model, "optimizer": optim.SGD([{"parameters": part} for part in parts], 0.01)}


def rows(rank):
    return (slice(0, 25), slice(25, 60))[rank]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": None, "sample_weight": np.linspace(0.5, 2.0, 60)},
        {"validation": (X[:10], Y[:10]), "optimizer": "sgd", "learning_rate": 0.5, "target_loss": 0.2},
    ],
)
def test_two_ranks_equal_one(settings, compile):
    def work(rank, combine, own=None):
        own = rows(rank) if own is None else own
        model = MLP(2, [4, 1], "tanh", seed=1)
        mine = {**settings}
        if "sample_weight" in mine:
            mine["sample_weight"] = mine["sample_weight"][own]
        history = ng.fit(model, X[own], Y[own], epochs=5, seed=1, combine=combine, compile=compile, **mine)
        return history.history, history.reason, model.state_dict()

    (first, reason, state), second = on_ranks(2, work)
    alone, alone_reason, alone_state = work(0, None, slice(None))

    assert second == (first, reason, state)
    assert reason == alone_reason
    for name, course in first.items():
        assert course == pytest.approx(alone[name], rel=1e-10)
    assert state == pytest.approx(alone_state, rel=1e-8)


def test_lbfgs_on_two_ranks_equals_one():
    pytest.importorskip("scipy")

    def work(rank, combine, own=None):
        own = rows(rank) if own is None else own
        model = MLP(2, [4, 1], "tanh", seed=1)
        held_out = {"validation": (X[own], Y[own])}
        history = ng.fit(model, X[own], Y[own], optimizer="lbfgs", epochs=8, combine=combine, **held_out)
        return history.losses, history.validation_losses

    first, second = on_ranks(2, work)

    assert first == second
    for ours, alone in zip(first, work(0, None, slice(None)), strict=True):
        assert ours == pytest.approx(alone, rel=1e-6)


def test_batches_are_shared_by_ranks_of_different_size():
    def work(rank, combine):
        model = MLP(2, [4, 1], "tanh", seed=1)
        own = (slice(0, 3), slice(3, 60))[rank]
        history = ng.fit(model, X[own], Y[own], epochs=20, batch_size=5, seed=1, lr=0.03, combine=combine)
        return history.losses, model.state_dict()

    first, second = on_ranks(2, work)

    assert first == second
    assert first[0][-1] < 0.5 * first[0][0]


@pytest.mark.parametrize("batch_size", [None, 50])
@pytest.mark.parametrize("counts", [(1200, 60), (5, 1200), (700, 7), (20, 30)])
def test_ranks_with_uneven_rows_decide_together_whether_to_compile(counts, batch_size):
    """Alone, the rank with few rows would not compile."""

    def work(rank, combine):
        own = np.random.default_rng(rank).uniform(-1.0, 1.0, (counts[rank], 2))
        model = MLP(2, [8, 1], "tanh", seed=1)
        more = {"batch_size": batch_size, "seed": 1, "epochs": 3, "combine": combine}
        history = ng.fit(model, own, own[:, 0] * own[:, 1], **more)
        return history.compiled, history.eager_because, history.losses, model.state_dict()

    first, second = on_ranks(2, work)

    assert first == second
    assert first[0] == (sum(counts) > 100)


def test_all_ranks_stay_eager_if_one_has_no_compiler(monkeypatch):
    from nodegrad.training.compiled_step import CompiledStep

    make_step = CompiledStep.__init__

    def failing(self, problem):
        if threading.current_thread().name == "1":
            raise ImportError("none here")
        make_step(self, problem)

    def work(rank, combine):
        threading.current_thread().name = str(rank)
        history = ng.fit(MLP(2, [4, 1], seed=1), X, Y, epochs=50, combine=combine)
        return history.compiled, history.eager_because

    monkeypatch.setattr(CompiledStep, "__init__", failing)

    (first, told), second = on_ranks(2, work)
    assert not first
    assert "another rank failed" in told
    assert second == (False, "none here")


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ({"X": [[1.0, float("nan")]], "y": [1.0]}, r"X\[0\]\[1\] is nan"),
        ({"X": [[1.0, 2.0]], "y": [1.0, 2.0]}, "one target per row"),
    ],
)
def test_bad_rows_on_one_rank_end_all(broken, error):
    def work(rank, combine):
        own = broken if rank else {"X": X, "y": Y}
        return ng.fit(MLP(2, [4, 1], seed=1), **own, epochs=3, combine=combine)

    good, bad = on_ranks(2, work)

    assert isinstance(bad, ValueError)
    assert isinstance(good, RuntimeError)
    assert "another rank failed" in str(good)
    assert "ValueError: fit" in str(good)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epoch": 3},
        {"lr": 0.1, "learning_rate": 0.1},
        {"loss": "squared"},
        {"optimizer": "newton"},
        {"optimizer": "lm"},
        {"optimizer": "lbfgs", "batch_size": 5},
        {"optimizer": "lbfgs", "max_gradient_norm": 1.0},
        {"batch_size": 0},
        {"metrics": "accuracy"},
        {"parameters": []},
        {"class_weight": {7: 1.0}},
        {"validation": X},
        {"callbacks": [3]},
        {"seed": -1},
        {"resume": True},
    ],
)
def test_an_argument_that_is_wrong_on_one_rank_ends_all(wrong):
    def work(rank, combine):
        return ng.fit(MLP(2, [4, 1], seed=1), X, Y, combine=combine, **{"epochs": 3} | wrong if rank else {})

    good, bad = on_ranks(2, work)

    assert isinstance(bad, TypeError | ValueError)
    assert isinstance(good, RuntimeError)
    assert f"{type(bad).__name__}: {bad}"[:300] in str(good)


@pytest.mark.parametrize("where", ["model", "callback"])
def test_a_rank_that_raises_later_ends_all(where):
    def work(rank, combine):
        calls = []

        def raising(*arguments):
            calls.append(arguments)
            if rank == 1 and len(calls) == (40 if where == "model" else 2):
                raise KeyError("gone")

        def model(row):
            if where == "model":
                raising(row)
            return network(row)

        network = MLP(2, [4, 1], seed=1)
        return ng.fit(
            model,
            X,
            Y,
            optimizer=ng.optim.SGD(network.parameters(), 0.01),
            callback=raising if where == "callback" else None,
            epochs=5,
            compile=False,
            combine=combine,
        )

    good, bad = on_ranks(2, work)

    assert isinstance(bad, KeyError)
    assert isinstance(good, RuntimeError)
    assert "KeyError: 'gone'" in str(good)


@pytest.mark.parametrize("compile", [False, True])
def test_nan_on_one_rank_stops_all_with_the_same_reason(compile):
    def work(rank, combine):
        weight = ng.Value(1.0)

        def model(row):
            return weight * row[0] + ng.log(weight * row[1]) * 0.0

        own = [[1.0, 1.0 - 2.0 * rank]]  # the second rank takes the logarithm of -1
        history = ng.fit(
            model, own, [0.0], optimizer=ng.optim.SGD([weight], 0.1), combine=combine, compile=compile
        )
        return history.reason, history.epochs, weight.data

    with pytest.warns(RuntimeWarning, match="the loss became nan in epoch 1 on process"):
        assert on_ranks(2, work) == [("diverged", 0, 1.0)] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda rank: {"model": MLP(2, [4, 1], seed=rank)}, "the same start of the parameters; here it is"),
        (lambda rank: {"epochs": 5 + rank}, "the same epochs; here it is"),
        (lambda rank: {"batch_size": 8 + rank}, "the same batch size; here it is"),
        (lambda rank: {"validation": (X, Y) if rank else None}, "the same validation; here it is"),
        (lambda rank: {"tolerance": 0.1 * rank}, "the same tolerance; here it is"),
        (lambda rank: {"sample_weight": np.ones(60) if rank else None}, "the same weights; here it is"),
        (lambda rank: {"lr": 0.1 + rank}, "the same learning_rate of group 1; here it is"),
        (lambda rank: {"loss": ("huber", "hinge")[rank], "y": 2 * Y - 1}, "the same loss; here it is"),
        (lambda rank: {"optimizer": ("adam", "sgd")[rank]}, "the same optimizer; here it is"),
        (
            lambda rank: {"lr": optim.exponential(0.1, (0.1, 0.3)[rank])},
            "the same learning rates in each step",
        ),
        (
            lambda rank: {"lr": optim.cosine(0.1, 50 + rank)},
            "the same learning rates in each step; here they are [",
        ),
        (lambda rank: grouped((3, 4)[rank]), "the same groups; here it is"),
        (
            lambda rank: {"optimizer": ("lbfgs", "sgd")[rank], "lr": (None, 0.01)[rank]},
            "the same method; here",
        ),
        (lambda rank: {"compile": rank > 0}, "the same compile; here it is"),
        (lambda rank: {"class_weight": (None, {0: 1.0, 1: 2.0})[rank]}, "the same class_weight; here it is"),
        (lambda rank: {"class_weight": {0: 1.0, 1: 2.0 + rank}}, "the same class_weight; here it is"),
        (
            lambda rank: {"model": MLP(2, [4, 1], ("relu", "tanh")[rank], seed=1)},
            "the same model; here it is",
        ),
    ],
)
def test_ranks_that_differ_are_refused(settings, message):
    def work(rank, combine):
        given = {"model": MLP(2, [4, 1], seed=1), "X": X, "y": Y, "seed": 1, "epochs": 2} | settings(rank)
        return ng.fit(**given, combine=combine)

    for error in on_ranks(2, work):
        assert isinstance(error, ValueError)
        assert message in str(error)


@pytest.mark.parametrize("compile", [False, True])
def test_a_rate_that_differs_in_one_step_is_found_before_that_step(compile):
    models = [MLP(2, [4, 1], seed=1) for _ in range(2)]

    def work(rank, combine):
        schedule = lambda step: 0.1 + 0.01 * (rank and step == 77)  # noqa: E731
        settings = {"lr": schedule, "optimizer": "sgd", "epochs": 100, "patience": None, "compile": compile}
        return ng.fit(models[rank], X[rows(rank)], Y[rows(rank)], combine=combine, seed=1, **settings)

    first, second = on_ranks(2, work)

    assert "the same learning rates in each step; here they are [0.1]" in str(first)
    assert "the same learning rates in each step; here they are [0.11]" in str(second)
    if not compile:
        assert models[0].state_dict() == models[1].state_dict()


def set_to(number):
    def change(epoch, history):
        history.model.parameters()[0].data = number

    return change


def set_rate(rate):
    def change(epoch, history):
        history.optimizer.learning_rate = rate

    return change


def set_momentum(epoch, history):
    history.optimizer.groups[0].settings["momentum"] = 0.5


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    ("callbacks", "what"),
    [
        ([[], [ReduceOnPlateau(patience=1, tolerance=0.9)]], "learning_rate of group 1 after the callbacks"),
        ([[set_rate(0.01)], [set_rate(0.02)]], "learning_rate of group 1 after the callbacks"),
        ([[], [set_rate(optim.exponential(0.1, 0.5))]], "learning_rate of group 1 after the callbacks"),
        (
            [[set_rate(optim.exponential(0.1, factor))] for factor in (0.5, 0.6)],
            "learning rates in each step",
        ),
        ([[], [set_momentum]], "momentum of group 1 after the callbacks"),
        ([[], [set_to(0.5)]], "parameters after the callbacks"),
        ([[set_to(0.5)], [set_to(0.25)]], "parameters after the callbacks"),
    ],
)
def test_callbacks_that_leave_ranks_different_are_refused(callbacks, what, compile):
    def work(rank, combine):
        model = MLP(2, [4, 1], "tanh", seed=1)
        rule = optim.SGD(model.parameters(), 0.1, momentum=0.9)
        settings = {"callbacks": callbacks[rank], "epochs": 4, "combine": combine, "compile": compile}
        return ng.fit(model, X[rows(rank)], Y[rows(rank)], optimizer=rule, **settings)

    for error in on_ranks(2, work):
        assert isinstance(error, ValueError), error
        assert f"all ranks need the same {what}; here" in str(error)


def test_each_rank_says_what_its_callbacks_left():
    def work(rank, combine):
        model = MLP(2, [4, 1], "tanh", seed=1)
        settings = {"callbacks": [set_to(0.5)] if rank else [], "epochs": 4, "combine": combine}
        return ng.fit(model, X[rows(rank)], Y[rows(rank)], **settings)

    kept, changed = map(str, on_ranks(2, work))

    assert re.search(r"here it is \[[^0].*, on (rank|process) \d+\.$", kept)
    assert re.search(r"here it is \[0\.5, .*, on (rank|process) \d+\.$", changed)


@pytest.mark.parametrize("compile", [False, True])
def test_callbacks_that_change_every_rank_alike_train_as_one_process_does(compile):
    def work(rank, combine, own=None):
        own = rows(rank) if own is None else own
        model = MLP(2, [4, 1], "tanh", seed=1)
        rule = optim.SGD(model.parameters(), 0.1, momentum=0.9)
        callbacks = [ReduceOnPlateau(patience=1, tolerance=0.9), set_momentum, set_to(0.5)]
        settings = {"callbacks": callbacks, "epochs": 5, "combine": combine, "compile": compile}
        history = ng.fit(model, X[own], Y[own], optimizer=rule, **settings)
        return history.losses, model.state_dict(), rule.learning_rate

    first, second = on_ranks(2, work)
    losses, state, rate = work(0, None, slice(None))

    assert first == second
    assert first[0] == pytest.approx(losses, rel=1e-10)
    assert first[1] == pytest.approx(state, rel=1e-8)
    assert first[2] == rate < 0.1


def test_balanced_classes_are_refused():
    with pytest.raises(ValueError, match="give class_weight as a dict"):
        ng.fit(MLP(2, [1], seed=1), X, Y, class_weight="balanced", combine=lambda array: array)


def test_one_rank_may_log_and_keep_the_checkpoint(tmp_path):
    def work(rank, combine):
        own = {"callback": lambda epoch, history: epoch == 3, "checkpoint": tmp_path / "run.json"}
        model = MLP(2, [4, 1], seed=1)
        return ng.fit(model, X, Y, seed=1, combine=combine, **(own if rank else {})).reason

    assert on_ranks(2, work) == ["callback", "callback"]
    assert (tmp_path / "run.json").exists()


def test_a_callback_of_one_rank_stops_all():
    def work(rank, combine):
        stop = (lambda epoch, history: epoch == 2) if rank else (lambda epoch, history: False)
        history = ng.fit(MLP(2, [4, 1], seed=1), X, Y, callback=stop, combine=combine)
        return history.reason, history.epochs

    assert on_ranks(2, work) == [("callback", 2)] * 2


@pytest.mark.parametrize("compile", [False, True])
def test_ranks_resume_as_if_never_stopped(compile, tmp_path):
    def work(rank, combine, epochs, name):
        model = MLP(2, [4, 1], "tanh", seed=1)
        settings = {"checkpoint": tmp_path / f"{name}{rank}.json", "resume": True, "compile": compile}
        own = X[rows(rank)], Y[rows(rank)]
        history = ng.fit(model, *own, epochs=epochs, batch_size=8, seed=1, combine=combine, **settings)
        return history.losses, model.state_dict()

    on_ranks(2, lambda rank, combine: work(rank, combine, 2, "parts"))
    resumed = on_ranks(2, lambda rank, combine: work(rank, combine, 5, "parts"))

    assert resumed == on_ranks(2, lambda rank, combine: work(rank, combine, 5, "whole"))
    (tmp_path / "parts1.json").unlink()
    for error in on_ranks(2, lambda rank, combine: work(rank, combine, 6, "parts")):
        assert "all ranks need the same epochs in the checkpoint; here it is" in str(error)


def test_a_checkpoint_that_one_rank_cannot_write_ends_all(tmp_path):
    def work(rank, combine):
        path = tmp_path / ("missing/folder" * rank) / "run.json"
        return ng.fit(MLP(2, [4, 1], seed=1), X, Y, checkpoint=path, combine=combine)

    good, bad = on_ranks(2, work)

    assert isinstance(bad, FileNotFoundError)
    assert isinstance(good, RuntimeError)


@pytest.mark.parametrize("moment", [1, 2])
def test_all_ranks_go_on_eagerly_if_one_must(moment, monkeypatch):
    """A rank that alone took a step again would add it to the next step of the others."""
    from nodegrad.training.compiled_step import CompiledStep

    calls, check = {"0": 0, "1": 0}, CompiledStep.check

    def checking(self):
        name = threading.current_thread().name
        calls[name] += 1
        if (name, calls[name]) == ("1", moment):
            raise TypeError("not on this rank")
        check(self)

    def work(rank, combine, compile=None):
        threading.current_thread().name = str(rank)
        model = MLP(2, [4, 1], "tanh", seed=1)
        history = ng.fit(
            model,
            X[rows(rank)],
            Y[rows(rank)],
            epochs=9,
            batch_size=8,
            seed=1,
            combine=combine,
            compile=compile,
        )
        return history.compiled, history.losses, model.state_dict()

    monkeypatch.setattr("nodegrad.training.run._WORTH_COMPILING", 1)
    eager = on_ranks(2, lambda rank, combine: work(rank, combine, compile=False))
    monkeypatch.setattr(CompiledStep, "check", checking)

    assert on_ranks(2, work) == eager
    assert calls["1"] == moment


def test_a_rank_that_cannot_compile_ends_all(tmp_path):
    def work(rank, combine):
        weight = ng.Value(1.0)

        def model(row):
            return weight * (weight.data if rank else 1.0) * row[0]

        optimizer = ng.optim.SGD([weight], 0.1)
        return ng.fit(model, X, Y, optimizer=optimizer, compile=True, combine=combine)

    good, bad = on_ranks(2, work)

    assert isinstance(bad, ValueError)
    assert "another rank failed" in str(good)


def test_metrics_are_refused():
    with pytest.raises(ValueError, match="Leave them out with combine"):
        ng.fit(MLP(2, [1], seed=1), X, Y, metrics="accuracy", combine=lambda array: array)


SCRIPT = """
    import itertools, os, signal, sys
    import numpy as np
    from mpi4py import MPI
    import nodegrad as ng

    comm = MPI.COMM_WORLD
    calls = itertools.count()

    def combine(array):
        if len(sys.argv) > 2 and comm.rank == 1 and next(calls) == int(sys.argv[2]):
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        total = np.empty_like(array)
        comm.Allreduce(array, total)
        return total

    generator = np.random.default_rng(1)
    X = generator.uniform(-1, 1, (999, 2))
    y = X[:, 0] * X[:, 1]
    mine = slice(comm.rank, None, comm.size)
    if sys.argv[1] == "raise" and comm.rank == 1:
        X[1, 1] = np.nan
    if sys.argv[1] == "inf" and comm.rank == 1:
        y[1] = 1e300
    model = ng.nn.MLP(2, [8, 1], seed=1)
    epochs = 1_000_000 if sys.argv[1] in ("SIGKILL", "SIGINT") else 30
    settings = {"epochs": epochs, "patience": None, "seed": 1, "combine": combine, "compile": True}
    try:
        history = ng.fit(model, X[mine], y[mine], **settings)
    except KeyboardInterrupt:
        history = ng.History()
        history.reason = "interrupted before the first step"
    if sys.argv[1] == "SIGINT":
        state = comm.gather((history.reason, history.epochs, model.state_dict()))
        assert comm.rank == 1 or (state[0] == state[1] and "interrupted" in state[0][0]), state
        assert (history.epochs > 0) == (int(sys.argv[2]) > 100), state
    elif comm.rank == 0:
        print(repr((history.losses, list(model.state_dict().values()))))
"""


def mpi(ranks, how, folder, *call):
    pytest.importorskip("mpi4py")
    launcher = shutil.which(
        "mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if launcher is None:
        pytest.skip("needs mpich")
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": str(Path(ng.__file__).parents[1])}
    command = [launcher, "-n", str(ranks), sys.executable, "-m", "mpi4py", str(folder / "script.py"), how]
    command += map(str, call)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_mpi_ranks_equal_one(tmp_path):
    one, two = mpi(1, "plain", tmp_path), mpi(2, "plain", tmp_path)

    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    for theirs, ours in zip(*[ast.literal_eval(found.stdout) for found in (two, one)], strict=True):
        assert theirs == pytest.approx(ours, rel=1e-9)


def test_mpi_rank_that_raises_ends_all_with_its_error(tmp_path):
    found = mpi(2, "raise", tmp_path)

    assert found.returncode != 0
    assert "ValueError: fit: X[0][1] is nan" in found.stderr
    assert "another rank failed. rank 1: ValueError" in found.stderr


def test_mpi_rank_that_gets_inf_is_named_on_all(tmp_path):
    found = mpi(2, "inf", tmp_path)

    assert found.stderr.count("the loss became inf in epoch 1 on rank 1, and training stopped") == 2


def test_mpi_rank_that_is_killed_ends_all(tmp_path):
    found = mpi(2, "SIGKILL", tmp_path, 200)

    assert found.returncode != 0
    assert "signal 9" in found.stdout + found.stderr


@pytest.mark.parametrize("call", [0, 4, 9, 200, 1001])
def test_mpi_ranks_are_interrupted_together(tmp_path, call):
    found = mpi(2, "SIGINT", tmp_path, call)

    assert found.returncode == 0, found.stderr
