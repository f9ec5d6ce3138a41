"""Batches: arrays stay arrays, weights count, and data may come as an iterable."""

import math
import time

import pytest

import nodegrad as ng
from nodegrad import data
from nodegrad.nn import MLP, mean_squared_error
from nodegrad.optim import SGD, by_epoch, exponential

X, Y = data.make_moons(30, noise=0.1, seed=1)


def run(X, y, **settings):
    model = MLP(2, [4, 1], "tanh", seed=1)
    settings = {"epochs": 3, "batch_size": 7, "seed": 1, "optimizer": "sgd", "learning_rate": 0.1} | settings
    history = ng.fit(model, X, y, **settings)
    return history, model


def forms():
    np = pytest.importorskip("numpy")
    table, targets = np.array(X), np.array(Y)
    yield "an array", table, targets
    yield "an array by columns", np.asfortranarray(table), targets
    yield "every second row", np.repeat(table, 2, axis=0)[::2], targets
    yield "tuples", tuple(map(tuple, X)), tuple(Y)
    yield "arrays in a list", list(table), list(targets)
    yield "targets in rows", table, targets[:, None].astype(float)
    yield "an array of objects", table.astype(object), targets


@pytest.mark.parametrize("compile", [False, True])
def test_every_form_of_data_trains_the_same(compile):
    expected = run(X, Y, compile=compile)

    for name, table, targets in forms():
        found = run(table, targets, compile=compile, validation=(table, targets))
        assert found[0].losses == pytest.approx(expected[0].losses, rel=1e-12), name
        assert found[1].state_dict() == pytest.approx(expected[1].state_dict(), rel=1e-9), name


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_data(library, compile):
    frames = pytest.importorskip(library)
    columns = {"a": [row[0] for row in X], "b": [row[1] for row in X]}

    found = run(frames.DataFrame(columns), frames.Series(Y), compile=compile)

    assert found[0].losses == pytest.approx(run(X, Y, compile=compile)[0].losses, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "bool", "float16"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_numbers_of_any_type_train_the_same(dtype, batch_size):
    np = pytest.importorskip("numpy")
    table = (4 * np.array(X)).round().astype(dtype)

    for compile in (False, True):
        found = run(table, np.array(Y, dtype), compile=compile, batch_size=batch_size)
        expected = run(table.astype(float), Y, compile=compile, batch_size=batch_size)
        assert found[0].losses == pytest.approx(expected[0].losses, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [None, 64])
def test_mapped_files_are_never_copied_whole(tmp_path, dtype, batch_size):
    np = pytest.importorskip("numpy")
    llvm = pytest.importorskip("nodegrad.compiler.backends.llvm.backend")
    largest = []

    class Watched(np.memmap):
        def astype(self, *arguments, **options):
            largest.append(len(self))
            return super().astype(*arguments, **options)

    table = Watched(tmp_path / "table", dtype, "w+", shape=(10_000, 2))
    table[:] = np.random.default_rng(1).uniform(-1, 1, table.shape)
    targets = np.array(table[:, 0] * table[:, 1], float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llvm, "_CONVERTED", 300)
        found = run(table, targets, compile=True, batch_size=batch_size)

    assert max(largest) <= (2 if dtype == "float64" else batch_size or 2_000)  # 2 numbers: one row
    expected = run(np.array(table, float), targets, compile=True, batch_size=batch_size)
    assert found[0].losses == pytest.approx(expected[0].losses, rel=1e-12)


def test_a_million_rows_are_checked_as_an_array():
    np = pytest.importorskip("numpy")
    table = np.random.default_rng(1).uniform(-1, 1, (1_000_000, 2))

    started = time.perf_counter()
    samples = data.Samples(table, table[:, 0], "fit")
    seconds = time.perf_counter() - started

    assert samples.parts[0] is table
    assert seconds < 0.5  # 0.01 where nothing else runs; number by number it takes 4
    table[999_999, 1] = math.nan
    with pytest.raises(ValueError, match=r"fit: X\[999999\]\[1\] is nan"):
        data.Samples(table, table[:, 0], "fit")


def test_masked_arrays_are_refused():
    np = pytest.importorskip("numpy")
    masked = np.ma.masked_array(np.array(X), np.array(X) > 1.0)

    for use in (
        lambda: run(masked, Y),
        lambda: run(X, np.ma.masked_array(np.array(Y), [False] * 30)),
        lambda: data.rows(masked),
        lambda: data.standardize(masked),
        lambda: data.train_test_split(masked, Y),
    ):
        with pytest.raises(TypeError, match=r"without a mask.*filled"):
            use()


# Weights.


@pytest.mark.parametrize("compile", [False, True])
def test_weights_count_as_repetitions(compile):
    weights = [1 + i % 3 for i in range(30)]
    repeated = [i for i, weight in enumerate(weights) for _ in range(weight)]
    settings = {"batch_size": None, "compile": compile, "epochs": 5}

    weighted = run(X, Y, sample_weight=weights, validation=(X, Y, weights), **settings)
    again = run([X[i] for i in repeated], [Y[i] for i in repeated], **settings)

    assert weighted[0].losses == pytest.approx(again[0].losses, rel=1e-10)
    assert weighted[0].validation_losses[:-1] == pytest.approx(again[0].losses[1:], rel=1e-10)
    assert weighted[1].state_dict() == pytest.approx(again[1].state_dict(), rel=1e-9)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("known", [None, [1.0 + i % 2 for i in range(30)]])
@pytest.mark.parametrize("held_out", [None, [1.0 + i % 4 for i in range(30)]])
def test_weights_of_validation_are_their_own(known, held_out, compile):
    validation = (X, Y) if held_out is None else (X, Y, held_out)

    history, model = run(X, Y, sample_weight=known, validation=validation, compile=compile, epochs=1)

    own = held_out or [1.0] * 30
    losses = [(model(row).data - target) ** 2 for row, target in zip(X, Y, strict=True)]
    expected = sum(w * loss for w, loss in zip(own, losses, strict=True)) / sum(own)
    assert history.validation_losses == [pytest.approx(expected, rel=1e-12)]


@pytest.mark.parametrize("compile", [False, True])
def test_class_weights_weigh_classes(compile):
    labels = [0, 0, 0, 1]
    rows = X[:4]
    settings = {"batch_size": None, "compile": compile}

    balanced = run(rows, labels, class_weight="balanced", **settings)
    by_hand = run(rows, labels, sample_weight=[2 / 3, 2 / 3, 2 / 3, 2.0], **settings)
    both = run(rows, labels, class_weight={0: 1.0, 1: 3.0}, sample_weight=[2.0, 2.0, 2.0, 2.0], **settings)

    assert balanced[0].losses == pytest.approx(by_hand[0].losses, rel=1e-12)
    assert both[0].losses == pytest.approx(by_hand[0].losses, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_weight": [0.0] * 30}, "not all are zero"),
        ({"sample_weight": [-1.0] + [1.0] * 29}, "at least 0"),
        ({"sample_weight": [math.nan] + [1.0] * 29}, r"weights\[0\] is nan"),
        ({"sample_weight": [1.0]}, "one weight per row; got 1 weights for 30 rows"),
        ({"class_weight": {0: 1.0}}, r"no weight for the classes \[1\]"),
        ({"class_weight": "even"}, 'as "balanced" or a dict of weights'),
        ({"class_weight": [1.0, 2.0]}, 'as "balanced" or a dict of weights'),
        ({"class_weight": {0: 0.0, 1: 0.0}}, "not all are zero"),
        ({"sample_weight": [[1.0, 1.0]] * 30}, "a number as the weight of each row; got a list of 2"),
        ({"y": [[1.0, 0.0]] * 30, "class_weight": "balanced"}, "takes the number of a class as the target"),
        ({"y": None, "X": [(X, Y)], "sample_weight": [1.0] * 30}, "weights of rows come third in each batch"),
        ({"y": None, "X": [(X, Y)], "class_weight": "balanced"}, "weights of rows come third in each batch"),
    ],
)
def test_invalid_weights_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        run(settings.pop("X", X), settings.pop("y", Y), **settings)


@pytest.mark.parametrize("large", [1.7e308, 1e307])
def test_weights_whose_sum_is_too_large_are_refused(large):
    np = pytest.importorskip("numpy")
    for weights in ([large] * 30, np.full(30, large), [large] * 10 + [0.0] * 20):
        with pytest.raises(ValueError, match="sum of the weights is too large for a float; the largest is"):
            run(X, Y, sample_weight=weights)

    assert run(X, Y, sample_weight=[1e306] * 30)[0].losses == pytest.approx(run(X, Y)[0].losses, rel=1e-9)


def test_weights_of_an_array_are_one_number_a_row():
    np = pytest.importorskip("numpy")
    with pytest.raises(ValueError, match="a number as the weight of each row; got a list of 1"):
        run(X, Y, sample_weight=np.ones((30, 1)))


def test_classes_may_stand_in_a_column():
    column = run(X, [[label] for label in Y], class_weight="balanced")

    assert column[0].losses == run(X, Y, class_weight="balanced")[0].losses


# Batches as they come.


def batches():
    for start in range(0, 30, 7):
        yield X[start : start + 7], Y[start : start + 7]


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("source", [batches, list(batches())])
def test_batches_come_from_an_iterable(source, compile):
    history, model = run(source, None, compile=compile, batch_size=None)

    twin = MLP(2, [4, 1], "tanh", seed=1)
    optimizer = SGD(twin.parameters(), 0.1)
    for epoch in range(3):
        losses = []
        for rows, targets in batches():
            optimizer.zero_grad()
            loss = mean_squared_error([twin(row) for row in rows], targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.data * len(rows))
        assert history.losses[epoch] == pytest.approx(sum(losses) / 30, rel=1e-10)
    assert model.state_dict() == pytest.approx(twin.state_dict(), rel=1e-9)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (batches(), "yields its batches once"),
        ([], "at least one batch; X yields none"),
        ([([[1.0, 2.0]],)], "as a pair, rows and targets, or a triple"),
        ([([[1.0, 2.0]], [1.0]), ([], [])], "X of a batch is empty"),
        ([([[1.0, 2.0]], [1.0]), ([[1.0, math.inf]], [1.0])], r"X of a batch\[0\]\[1\] is inf"),
    ],
)
def test_invalid_batches_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        run(source, None)


# Schedules.


@pytest.mark.parametrize("compile", [False, True])
def test_schedules_go_by_epochs_if_asked(compile):
    by_steps = run(
        X, Y, optimizer="sgd", learning_rate=lambda step: 0.1 * 0.5 ** (step // 5), compile=compile
    )
    by_epochs = run(
        X, Y, optimizer="sgd", lr=by_epoch(exponential(0.1, 0.5)), learning_rate=None, compile=compile
    )

    assert by_epochs[0].losses == by_steps[0].losses
    with pytest.raises(ValueError, match="fit says how many steps an epoch has"):
        by_epoch(exponential(0.1, 0.5))(0)


@pytest.mark.parametrize("compile", [False, True])
def test_an_epoch_without_batches_is_an_error(compile):
    epochs = iter([[([X[0]], [Y[0]])]] * 4)  # two to compare, one to look at, one to train on
    model = MLP(2, [4, 1], seed=1)

    with pytest.raises(
        ValueError, match="fit: X yields no batches in epoch 2. Return a new iterator each time"
    ):
        ng.fit(model, lambda: iter(next(epochs, [])), epochs=5, compile=compile)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (([[1.0]], [1.0]), "takes 2 inputs; got 1|rows of the batches differ in length"),
        (([[1.0, 2.0]], [1.0], [3.0]), "some batches of X have weights, and others have none"),
        (([[1.0, 2.0]], [7.0]), "targets are 0, 1, or probabilities between; got 7.0"),
    ],
)
def test_a_later_batch_that_does_not_fit_the_first_is_refused(second, message, compile):
    batches = [([[1.0, 2.0]], [1.0]), second]

    with pytest.raises(ValueError, match=message):
        ng.fit(
            MLP(2, [4, 1], seed=1),
            batches,
            loss="binary_cross_entropy_with_logits",
            epochs=3,
            compile=compile or None,
        )


@pytest.mark.parametrize("compile", [False, None])
def test_batches_of_rows_of_different_length_train_where_the_model_takes_them(compile):
    weight = ng.Value(1.0)
    batches = [([[1.0, 2.0]] * 50, [1.0] * 50), ([[1.0, 2.0, 3.0]] * 50, [2.0] * 50)]

    history = ng.fit(
        lambda row: weight * ng.sum(row), batches, optimizer=SGD([weight], 0.01), epochs=30, compile=compile
    )

    assert not history.compiled
    assert history.losses[-1] < 0.1 * history.losses[0]
