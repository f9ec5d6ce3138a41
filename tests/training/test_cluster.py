"""Training on a Dask cluster: what one process finds, whichever workers die."""

import os
import signal

import pytest

import nodegrad as ng
from nodegrad import data
from nodegrad.nn import MLP, Dropout, Layer, Sequential

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask, when workers come and go


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def read(seed):
    def partition():
        import numpy as np

        X, y = data.make_moons(30 + 10 * seed, noise=0.1, seed=seed)
        return np.array(X), np.array(y, float), np.full(len(y), 1.0 + seed)

    return partition


def train(client, sources=None, **settings):
    model = MLP(2, [4, 1], "tanh", seed=1)
    sources = [read(seed) for seed in range(3)] if sources is None else sources
    history = ng.training.dask_fit(client, model, sources, patience=None, seed=1, **settings)
    return history.losses, model.state_dict()


def test_training_on_partitions_equals_training_on_all_rows(client):
    import numpy as np

    losses, state = train(client, epochs=4)

    X, y, weights = (np.concatenate(part) for part in zip(*[read(seed)() for seed in range(3)], strict=True))
    model = MLP(2, [4, 1], "tanh", seed=1)
    whole = ng.fit(model, X, y, epochs=4, patience=None, sample_weight=weights)
    assert losses == pytest.approx(whole.losses, rel=1e-12)
    assert state == pytest.approx(model.state_dict(), rel=1e-9)


def test_a_worker_killed_in_mid_epoch_changes_nothing(client):
    settings = {"epochs": 3, "batch_size": 20}
    quiet = train(client, **settings)
    steps = []

    def kill_one(*arguments):
        steps.append(len(steps))
        if len(steps) == 5:
            os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        return sums(*arguments)

    from nodegrad.training import cluster

    sums = cluster._Cluster.sums
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster._Cluster, "sums", kill_one)
        disturbed = train(client, **settings)

    assert len(steps) == 3 * 6
    assert disturbed == quiet


def test_an_error_on_the_cluster_ends_the_training(client, monkeypatch):
    from nodegrad.training import cluster

    sums, steps = cluster._Cluster.sums, []

    def fail(*arguments):
        steps.append(len(steps))
        if len(steps) == 3:
            raise RuntimeError("workers were lost")
        return sums(*arguments)

    monkeypatch.setattr(cluster._Cluster, "sums", fail)
    with pytest.raises(RuntimeError, match="workers were lost"):
        train(client, epochs=5)

    assert len(steps) == 3


@pytest.mark.parametrize("error", [None, ValueError("differs"), RuntimeError("cannot")])
def test_a_partition_whose_compiled_step_differs_from_eager_code_is_eager(error, monkeypatch):
    from nodegrad.training.cluster import Partition
    from nodegrad.training.compiled_step import CompiledStep

    def check(step):
        if error is not None:
            raise error

    monkeypatch.setattr(CompiledStep, "check", check)
    model = MLP(2, [4, 1], seed=1)
    made = Partition(model, ng.nn.mean_squared_error, model.parameters(), ([[1.0, 2.0]], [0.0]))

    assert made.step.compiled == (error is None)


def test_bad_rows_on_a_worker_are_named_here(client):
    with pytest.raises(ValueError, match=r"X of a partition\[1\]\[0\] is nan"):
        train(client, [([[1.0, 2.0]], [1.0]), ([[1.0, 2.0], [float("nan"), 0.0]], [1.0, 0.0])])
    parts = [([[1.0, 2.0]], [1]), ([[1.0, 2.0]], [2])]
    with pytest.raises(ValueError, match="a target is the number of a class, 0 to 1.*got 2"):
        ng.training.dask_fit(client, MLP(2, [2], seed=1), parts, "cross_entropy")
    with pytest.raises(ValueError, match="at least one partition"):
        train(client, [])
    with pytest.raises(
        ValueError, match="dask_fit takes optimizer from sgd, adam, adamw, rmsprop; got 'lbfgs'"
    ):
        train(client, optimizer="lbfgs")


def test_a_file_that_a_worker_does_not_find_is_named_here(client):
    def partition():
        return open("/nowhere/data.csv")

    with pytest.raises(FileNotFoundError, match=r"/nowhere/data\.csv"):
        ng.training.dask_fit(client, MLP(2, [1], seed=1), [read(1), partition])


def test_dropout_is_refused(client):
    model = Sequential(Layer(2, 4, seed=1), Dropout(0.5), Layer(4, 1, None, seed=2))

    with pytest.raises(ValueError, match="dask_fit: models with dropout are trained by fit"):
        ng.training.dask_fit(client, model, [read(1)])


def test_partitions_may_be_futures(client):
    future = client.submit(read(1))

    losses, _ = train(client, [future], epochs=2)

    assert losses == train(client, [read(1)], epochs=2)[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.1, "learning_rate": 0.1}, "dask_fit got both lr and learning_rate"),
        ({"epoch": 3}, "dask_fit has no argument 'epoch'. Write 'epochs'."),
        ({"checkpoint": "run.json"}, "dask_fit has no argument 'checkpoint'."),
        ({"sources": [[1.0], "text"]}, r"dask_fit takes partitions as .*; got 'text' of type str in it"),
        ({"sources": 3}, r"dask_fit takes partitions as a list with a pair \(X, y\).*; got 3 of type int"),
        ({"client": None}, "dask_fit takes client as a dask.distributed.Client; got None"),
        ({"client": distributed.Client}, "dask_fit takes client as a dask.distributed.Client; got <class"),
        ({"callbacks": 3}, "dask_fit takes callbacks as a list; got 3"),
        ({"callbacks": [ng.fit, int]}, r"dask_fit takes callback as .*; got the class int. Write int\(...\)"),
        ({"target_loss": "x"}, "dask_fit: target_loss takes a real number; got 'x'"),
    ],
)
def test_arguments_are_checked_before_any_worker_is_asked(client, settings, message):
    settings = {"client": client, "sources": [read(1)]} | settings

    with pytest.raises(TypeError, match=message):
        train(**settings)


def test_the_rate_goes_by_its_short_name_and_the_best_epoch_is_restored(client):
    losses, state = train(client, lr=0.5, optimizer="sgd", epochs=6, restore_best=True)

    assert losses == train(client, learning_rate=0.5, optimizer="sgd", epochs=6)[0]
    best = min(range(6), key=losses.__getitem__) + 1
    assert state == train(client, lr=0.5, optimizer="sgd", epochs=best)[1]
