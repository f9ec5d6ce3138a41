"""Data sets, splits, scaling and mini-batches: what they promise about shapes, seeds and sharing out."""

import math
import random
import statistics
import time
from functools import partial

import pytest

import nodegrad as ng
from nodegrad import data

TWO_CLASSES = [data.make_moons, data.make_circles, data.make_spirals, data.make_xor]


@pytest.mark.parametrize("make", [*TWO_CLASSES, data.make_blobs, data.make_line])
def test_seed_decides_the_points(make):
    assert make(20, seed=1) == make(20, seed=1)
    random.seed(5)
    first = make(20, noise=0.3) if make is not data.make_blobs else make(20)
    random.seed(5)
    second = make(20, noise=0.3) if make is not data.make_blobs else make(20)
    assert first == second


@pytest.mark.parametrize("make", [*TWO_CLASSES, data.make_blobs])
def test_different_seeds_give_different_points(make):
    assert make(20, seed=1) != make(20, seed=2)


@pytest.mark.parametrize("make", TWO_CLASSES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_two_classes_share_the_points(make, count):
    X, y = make(count, seed=1)

    assert (len(X), len(y)) == (count, count)
    assert all(len(row) == 2 and all(type(x) is float for x in row) for row in X)
    assert y.count(1) == count // 2


def test_moons_lie_on_their_half_circles():
    X, y = data.make_moons(40, noise=0.0)

    for (a, b), label in zip(X, y, strict=True):
        assert math.hypot(a - label, b - 0.5 * label) == pytest.approx(1.0)
        assert (b - 0.5 * label) * (1 - 2 * label) >= -1e-12


def test_circles_have_their_radii():
    X, y = data.make_circles(40, noise=0.0, factor=0.3)

    assert [math.hypot(*row) for row in X] == pytest.approx([0.3 if label else 1.0 for label in y])
    assert len({tuple(row) for row in X}) == 40


def test_spirals_never_touch():
    X, y = data.make_spirals(200, noise=0.0)
    zeros = [row for row, label in zip(X, y, strict=True) if not label]
    ones = [row for row, label in zip(X, y, strict=True) if label]

    assert min(math.dist(a, b) for a in zeros for b in ones) > 0.1


def test_xor_needs_more_than_a_line():
    X, y = data.make_xor(400, seed=1)

    assert all(label == (a * b < 0) for (a, b), label in zip(X, y, strict=True))
    assert {(a > 0, b > 0) for a, b in X} == {(False, False), (False, True), (True, False), (True, True)}


def test_blobs_gather_around_their_centres():
    X, y = data.make_blobs(900, centers=[[5.0, 0.0, 1.0], [-5.0, 3.0, 2.0]], spread=0.5, seed=1)

    cloud = [row for row, label in zip(X, y, strict=True) if label == 1]
    assert [statistics.fmean(column) for column in zip(*cloud, strict=True)] == pytest.approx(
        [-5, 3, 2], abs=0.1
    )
    assert [statistics.pstdev(column) for column in zip(*cloud, strict=True)] == pytest.approx(
        [0.5] * 3, abs=0.05
    )
    assert sorted(set(data.make_blobs(10, centers=4, seed=1)[1])) == [0, 1, 2, 3]


@pytest.mark.parametrize("centers", [0, []])
def test_blobs_need_a_centre(centers):
    with pytest.raises(
        ValueError, match="make_blobs takes (centers as a whole number of|at least one centre)"
    ):
        data.make_blobs(10, centers=centers)


@pytest.mark.parametrize("make", [*TWO_CLASSES, data.make_line])
def test_sizes_and_noise_are_checked(make):
    with pytest.raises(
        ValueError, match=f"{make.__name__} takes n_samples as a whole number of at least 1; got 0"
    ):
        make(0)
    with pytest.raises(ValueError, match=f"{make.__name__} takes noise as a finite number of at least 0"):
        make(10, noise=-0.1)


def test_split_keeps_rows_with_their_targets():
    X, y = [[float(i)] for i in range(40)], list(range(40))

    X_train, X_test, y_train, y_test = data.train_test_split(X, y, test_size=0.2, seed=1)

    assert (len(X_train), len(X_test)) == (32, 8)
    assert [row[0] for row in X_train + X_test] == y_train + y_test
    assert sorted(y_train + y_test) == y
    assert y_train != sorted(y_train)


def test_split_can_keep_the_shares_of_classes():
    y = [0] * 30 + [1] * 10

    *_, y_train, y_test = data.train_test_split([[i] for i in range(40)], y, 0.2, seed=3, stratify=True)

    assert (y_test.count(0), y_test.count(1)) == (6, 2)
    assert (y_train.count(0), y_train.count(1)) == (24, 8)


def test_split_takes_the_labels():
    X, labels, share = [[i] for i in range(24)], ["a", "b", "b"] * 7 + ["c", "c", "c"], 0.5

    *_, train, test = data.train_test_split(X, labels, share, seed=1, stratify=labels)

    assert set(train) == set(test) == set("abc")
    with pytest.raises(ValueError, match="class 'd' has a single row"):
        data.train_test_split(X, labels, share, stratify=[*labels[1:], "d"])
    with pytest.raises(ValueError, match="X has 24 rows and stratify 3"):
        data.train_test_split(X, labels, share, stratify=[1, 2, 3])


@pytest.mark.parametrize("seed", range(40))
def test_split_holds_out_as_many_of_each_class_as_scikit_learn(seed):
    split = pytest.importorskip("sklearn.model_selection").train_test_split
    generator = random.Random(seed)
    sizes, share = [generator.choice([2, 3, 5, 8, 13, 21]) for _ in range(4)], generator.uniform(0.05, 0.95)
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    places = [[place] for place in range(len(labels))]

    def counts(train_test_split, **settings):
        try:
            *_, train, test = train_test_split(places, labels, test_size=share, stratify=labels, **settings)
        except ValueError:
            return None
        assert sorted(train + test) == labels
        return len(test), [test.count(label) for label in range(4)]

    ours, theirs = counts(data.train_test_split, seed=seed), counts(split, random_state=seed)

    assert (ours is None) == (theirs is None)
    if ours:
        exact = [size * ours[0] / len(labels) for size in sizes]
        rounding = [
            sorted(abs(n - x) for n, x in zip(found[1], exact, strict=True)) for found in (ours, theirs)
        ]
        assert ours[0] == theirs[0]
        assert rounding[0] == pytest.approx(rounding[1])  # where classes are equally near, scikit-learn draws


def test_split_takes_labels_of_several_numbers():
    one_hot = [[1, 0], [0, 1]] * 6

    *_, test = data.train_test_split(list(range(12)), one_hot, 0.5, seed=1, stratify=True)

    assert test.count([1, 0]) == test.count([0, 1]) == 3


def test_large_data_are_split_alike_as_lists_and_arrays():
    np = pytest.importorskip("numpy")
    X, y = np.arange(150_000.0), np.arange(150_000) % 3

    for stratify in (False, True):
        arrays = data.train_test_split(X, y, seed=1, stratify=stratify)
        lists = data.train_test_split(X.tolist(), y.tolist(), seed=1, stratify=stratify)
        assert [part.tolist() for part in arrays] == list(lists)
    assert lists[3].count(0) == 12_500


@pytest.mark.parametrize(
    ("X", "y", "share", "message"),
    [
        ([[1], [2]], [1], 0.5, "X has 2 rows and y 1"),
        ([[1], [2]], [1, 2], 0.0, "test_size as a number above 0 and below 1"),
        ([[1], [2]], [1, 2], 1.0, "test_size as a number above 0 and below 1"),
        ([[1]], [1], 0.5, "leave a part empty"),
        ([], [], 0.5, "leave a part empty"),
    ],
)
def test_impossible_splits_are_refused(X, y, share, message):
    with pytest.raises(ValueError, match=message):
        data.train_test_split(X, y, share)


def test_standardized_columns_have_mean_zero_and_deviation_one():
    X = [[1.0, 10.0, 7.0], [2.0, -20.0, 7.0], [6.0, 55.0, 7.0]]

    scaled, other = data.standardize(X, [[3.0, 15.0, 8.0]])

    columns = list(zip(*scaled, strict=True))
    assert [statistics.fmean(column) for column in columns] == pytest.approx([0.0, 0.0, 0.0], abs=1e-15)
    assert [statistics.pstdev(column) for column in columns] == pytest.approx([1.0, 1.0, 0.0])
    assert other[0] == pytest.approx([0.0, 0.0, 1.0])


def test_arrays_are_scaled_as_lists_are():
    np = pytest.importorskip("numpy")
    table = np.random.default_rng(1).normal(3.0, 2.0, (50, 3))
    table[:, 1] = 0.1  # whose mean NumPy rounds
    lists, arrays = data.StandardScaler(table.tolist()), data.StandardScaler(table)

    assert arrays.means == pytest.approx(lists.means, rel=1e-14)
    assert arrays.deviations == pytest.approx(lists.deviations, rel=1e-12)
    assert arrays.transform(table) == pytest.approx(np.array(lists.transform(table.tolist())), abs=1e-12)
    assert type(arrays.means[0]) is type(arrays.deviations[0]) is float


def test_a_million_rows_are_split_and_scaled_as_an_array():
    np = pytest.importorskip("numpy")
    X, y = np.ones((1_000_000, 4)), np.zeros(1_000_000)
    started = time.process_time()

    data.standardize(X)
    scaling = time.process_time() - started
    data.train_test_split(X, y, seed=1, stratify=True)

    assert scaling < 1.0
    assert time.process_time() - started < 3.0


def test_arrays_are_split_as_lists_are():
    np = pytest.importorskip("numpy")
    X, y = [[i] for i in range(50)], [i % 3 for i in range(50)]
    for stratify in (False, True):
        lists = data.train_test_split(X, y, seed=1, stratify=stratify)
        arrays = data.train_test_split(np.array(X), np.array(y), seed=1, stratify=stratify)
        assert [part.tolist() for part in arrays] == list(lists)


def test_standardize_checks_its_rows():
    with pytest.raises(ValueError, match="at least one row"):
        data.standardize([])
    with pytest.raises(ValueError, match="X has rows of 2 numbers; other rows have 1"):
        data.standardize([[1.0, 2.0]], [[1.0]])
    with pytest.raises(TypeError, match=r"standardize: X\[0\]\[0\] is the text 'a'"):
        data.standardize([["a"]])
    with pytest.raises(ValueError, match=r"standardize: X\[1\]\[0\] is nan. Remove or fill in"):
        data.standardize([[1.0], [math.nan]])
    with pytest.raises(TypeError, match="standardize takes X as rows of numbers; got a list of 2"):
        data.standardize([1.0, 2.0])


def test_minibatches_go_through_all_rows_once():
    X, y = [[i] for i in range(10)], list(range(10))

    batches = list(data.minibatches(X, y, 4, seed=1))

    assert [len(batch) for batch, _ in batches] == [4, 4, 2]
    seen = [label for _, labels in batches for label in labels]
    assert sorted(seen) == y != seen
    assert [row[0] for batch, _ in batches for row in batch] == seen
    assert batches == list(data.minibatches(X, y, 4, seed=1))


def test_minibatches_keep_the_order_when_asked():
    assert list(data.minibatches([[1], [2]], [3, 4], 1, shuffle=False)) == [([[1]], [3]), ([[2]], [4])]


def test_minibatches_check_before_the_first_batch():
    with pytest.raises(ValueError, match="X has 1 rows and y 2"):
        data.minibatches([[1]], [1, 2], 1)
    with pytest.raises(ValueError, match="batch_size as a whole number of at least 1; got 0"):
        data.minibatches([[1]], [1], 0)


class Frame:
    """Like a pandas data frame: iterates over names, and turns into an array."""

    def __init__(self, array):
        self.array = array

    def __iter__(self):
        return iter("ab")

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_rows_of_anything():
    np = pytest.importorskip("numpy")
    table = [[1.0, 2.0], [3.0, 4.0]]

    assert data.rows(table) == data.rows(map(list, table)) == table
    assert data.rows(np.array(table)) == data.rows(Frame(np.array(table))) == table
    assert type(data.rows(np.array([1, 2]))[0]) is int


# Arrays and frames stay what they are.


def same_frame(frame, found):
    return type(found) is type(frame) and list(found.columns) == ["a", "b"]


def table_forms():
    np = pytest.importorskip("numpy")
    table = np.arange(12.0).reshape(6, 2) ** 1.5
    yield "array", table, lambda found: type(found) is np.ndarray and found.shape[1] == 2
    for name in ("pandas", "polars"):
        try:
            frames = __import__(name)
        except ImportError:
            continue
        frame = frames.DataFrame({"a": table[:, 0], "b": table[:, 1]})
        yield name, frame, partial(same_frame, frame)


def test_arrays_and_frames_keep_their_type():
    np = pytest.importorskip("numpy")
    for name, table, fits in table_forms():
        train, test, y_train, y_test = data.train_test_split(table, np.arange(6), test_size=0.5, seed=1)
        scaled, other = data.standardize(train, test)

        assert all(map(fits, (train, test, scaled, other))), name
        assert sorted([*y_train, *y_test]) == list(range(6))
        assert np.asarray(table)[y_train].tolist() == np.asarray(train).tolist()
        assert np.asarray(scaled).mean(axis=0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "scaled"), [("f4", "f4"), ("f2", "f2"), ("f8", "f8"), ("i1", "f8"), ("?", "f8")]
)
def test_scaled_floats_keep_their_precision(given, scaled):
    np = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    array = np.array([[0, 1], [1, 0], [1, 1]], given)
    right = np.array(data.standardize(array.tolist()))
    frame = pandas.DataFrame(array, columns=["a", "b"])
    tables = [array, frame]
    if given in ("f4", "f8", "i1"):
        tables.append(polars.from_pandas(frame))
    for table in tables:
        scaler = data.StandardScaler(table)
        found = scaler.transform(table)
        again = np.asarray(scaler.inverse_transform(found))
        assert np.asarray(found).dtype == again.dtype == scaled
        assert np.asarray(found) == pytest.approx(right, rel=1e-3 if scaled == "f2" else 1e-7)
        assert again == pytest.approx(array.astype(float), abs=1e-3 if scaled == "f2" else 1e-6)


def test_scaling_can_be_applied_again_and_undone():
    for name, table, fits in table_forms():
        scaler = data.StandardScaler(table)
        scaled = scaler.transform(table)
        back = scaler.inverse_transform(scaled)

        assert all(map(fits, (scaled, back))), name
        assert data.rows(back)[3] == pytest.approx(data.rows(table)[3], rel=1e-14)
    with pytest.raises(ValueError, match="X has rows of 2 numbers; other rows have 3"):
        data.StandardScaler([[1.0, 2.0]]).transform([[1.0, 2.0, 3.0]])


def test_a_square_frame_is_scaled_column_by_column():
    np = pytest.importorskip("numpy")
    for name in ("pandas", "polars"):
        frames = pytest.importorskip(name)
        scaled = data.standardize(frames.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]}))

        assert np.asarray(scaled).tolist() == [[-1.0, -1.0], [1.0, 1.0]], name


def test_frames_whose_columns_have_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})

    with pytest.raises(ValueError, match=r"X has the columns \['a', 'b'\]; other rows have \['b', 'a'\]"):
        data.StandardScaler(frame).transform(frame[["b", "a"]])


def test_constant_columns_become_0_and_come_back():
    scaler = data.StandardScaler([[3.0], [3.0]])

    assert scaler.transform([[3.0], [4.0]]) == [[0.0], [1.0]]
    assert scaler.inverse_transform([[0.0], [1.0]]) == [[3.0], [4.0]]


def test_numbers_that_are_missing_are_named():
    pandas = pytest.importorskip("pandas")
    column = pandas.DataFrame({"a": pandas.array([1, None], "Int64"), "b": 1.0})

    for table, missing in ((column, "<NA>"), ([[1.0], [None]], "None"), ([[1.0], [math.nan]], "nan")):
        with pytest.raises(ValueError, match=rf"X\[1\]\[0\] is {missing}. Remove or fill in what is missing"):
            data.standardize(table)


@pytest.mark.parametrize("table", [None, 3.0])
def test_data_that_are_not_rows_are_named(table):
    with pytest.raises(TypeError, match="fit takes X as rows in a list, an array or a data frame; got"):
        ng.fit(ng.nn.MLP(2, [1], seed=1), table, [1.0])


@pytest.mark.parametrize("form", [list, "array"])
def test_columns_near_the_ends_of_the_range_are_scaled(form):
    np = pytest.importorskip("numpy")
    made = np.array if form == "array" else list

    for scale in (1e200, 1e-200, 5e-324):
        scaled = data.standardize(made([[3.0 * scale, 7.0], [-3.0 * scale, 7.0]]))
        assert [list(row) for row in scaled] == [[pytest.approx(1.0), 0.0], [pytest.approx(-1.0), 0.0]]
    with pytest.raises(ValueError, match="standardize: the numbers in a column are too large to add up"):
        data.standardize(made([[1.7e308], [1.7e308], [0.0]]))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", "i1", "u1", "i8"])
@pytest.mark.parametrize("compile", [False, True])
def test_weights_of_any_kind_of_number_count_as_floats(kind, compile):
    np = pytest.importorskip("numpy")
    X, y = [[0.01 * place] for place in range(1000)], [0.02 * place for place in range(1000)]
    weights = [100.0 + place % 27 for place in range(1000)]  # whose sum is no float16

    def losses(weights):
        settings = {"epochs": 5, "seed": 1, "sample_weight": weights, "compile": compile, "batch_size": 100}
        return ng.fit(ng.nn.MLP(1, [1], seed=1), X, y, **settings).losses

    assert losses(np.array(weights, kind)) == losses(weights)


@pytest.mark.parametrize("kind", ["f2", "f4", "i1", "u1"])
def test_sums_over_arrays_of_any_kind_are_those_of_floats(kind):
    np = pytest.importorskip("numpy")
    from nodegrad.training.metrics import accuracy, auc, r2

    numbers = [40.0 + place % 80 for place in range(2000)]
    rows, classes = [[x] for x in numbers], [float(place % 3 > 0) for place in range(2000)]
    array, labels = np.array(rows, kind), np.array(classes, kind)

    assert data.StandardScaler(array).means == pytest.approx(data.StandardScaler(rows).means, rel=1e-12)
    assert data.StandardScaler(array).deviations == pytest.approx(data.StandardScaler(rows).deviations)
    assert data.make_blobs(9, array[:3], seed=1) == data.make_blobs(9, rows[:3], seed=1)
    assert type(data.make_blobs(9, array[:3], seed=1)[0][0][0]) is float
    for metric in (accuracy, auc, r2):
        assert metric(array, labels) == metric(rows, classes)


def test_rows_that_come_once_are_scaled_and_weighed_as_lists_are():
    rows = [[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]]
    X, y = [[0.1 * place] for place in range(9)], [float(place > 5) for place in range(9)]

    def trained(y, **settings):
        return ng.fit(ng.nn.MLP(1, [1], seed=1), X, y, epochs=2, **settings).losses

    assert data.standardize(iter(rows)) == data.standardize(rows)
    assert data.standardize(iter(rows), iter(rows[:1])) == data.standardize(rows, rows[:1])
    for weights in ("balanced", {0: 1.0, 1: 3.0}):
        assert trained(iter(y), class_weight=weights) == trained(y, class_weight=weights)


@pytest.mark.parametrize("count", [4, 20_000])
def test_frames_of_mixed_and_nullable_columns_come_back_as_frames(count):
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    columns = {"a": [True, False] * (count // 2), "b": [1.0, 3.0] * (count // 2), "c": [2, 4] * (count // 2)}
    mixed = pandas.DataFrame(columns, index=range(5, 5 + count))
    for frame in (mixed, mixed.convert_dtypes(), mixed[["c"]].astype("Int64"), polars.DataFrame(columns)):
        scaler = data.StandardScaler(frame)
        scaled = scaler.transform(frame)
        again = scaler.inverse_transform(scaled)

        assert type(data.standardize(frame)) is type(scaled) is type(again) is type(frame)
        assert list(scaled.columns) == list(frame.columns)
        assert scaled["c"].to_list() == [-1.0, 1.0] * (count // 2)
        assert again["c"].to_list() == columns["c"]
        if frame is mixed:
            assert scaled.index.equals(frame.index)
