"""Arguments and results of calls and maps: arrays go in and come out as memory, whatever their layout."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import nodegrad as ng
from nodegrad.compiler import backends

BACKENDS = [name for name in backends.NAMES if name == "numpy" or backends.choose("auto") == "llvm"]
ROWS = [1, 3, 15, 16, 17, 40]


def assert_same(found, expected):
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert np.array_equal(found, expected)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def layouts(table):
    """Yield the same numbers, laid out in memory in different ways."""
    yield table
    yield np.asfortranarray(table)
    yield np.repeat(table, 2, axis=1)[:, ::2]
    yield table[::-1].copy()[::-1]
    frozen = table.copy()
    frozen.flags.writeable = False
    yield frozen


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 19])
def test_rows_of_any_width_and_layout_arrive_number_by_number(backend, rows, width):
    compiled = ng.compile(lambda x: [2.0 * number for number in x], backend=backend)
    table = np.random.default_rng(0).normal(size=(rows, width))

    for each in layouts(table):
        for _ in range(2):  # checked, and then known
            assert np.array_equal(compiled.map(each), 2.0 * table)


@pytest.mark.parametrize("rows", ROWS)
def test_arrays_lists_and_tuples_of_results_have_rows_first(backend, rows):
    compiled = ng.compile(
        lambda x, y: ([x, y], {"m": np.array([[x, y, x * y], [y, x, -x]], object)}, x), backend=backend
    )
    x, y = np.random.default_rng(0).normal(size=(2, rows))

    for _ in range(2):
        pair, named, number = compiled.map(x, y)

        assert np.array_equal(pair, np.stack([x, y], axis=1))
        assert np.array_equal(named["m"], np.moveaxis([[x, y, x * y], [y, x, -x]], -1, 0))
        assert np.array_equal(number, x)


@pytest.mark.parametrize("rows", ROWS)
def test_results_are_written_to_arrays_that_are_given(backend, rows):
    compiled = ng.compile(lambda x, y: (x * y, [x, y, x + y]), backend=backend)
    x, y = np.random.default_rng(0).normal(size=(2, rows))
    room = np.empty(rows + 2), np.empty((2 * rows, 3))

    for _ in range(2):
        out = room[0][1:-1], room[1][::2]
        room[0][:] = room[1][:] = -7.0
        assert compiled.map(x, y, out=out) is out

        assert np.array_equal(out[0], x * y)
        assert np.array_equal(out[1], np.stack([x, y, x + y], axis=1))
        assert room[0][0] == room[0][-1] == -7.0
        assert (room[1][1::2] == -7.0).all()


def test_single_results_are_written_to_an_array_at_every_call(backend):
    compiled = ng.compile(lambda x, y: x * y, backend=backend)
    x, y = np.random.default_rng(0).normal(size=(2, 7))
    room = np.full(21, -7.0)
    out = room[1::3]
    read_only = np.empty(7)
    read_only.flags.writeable = False

    for _ in range(4):
        out[:] = 0.0
        assert compiled.map(x, y, out=out) is out
        assert np.array_equal(out, x * y)
        for wrong in (np.empty(6), np.empty((7, 1)), np.empty(7, np.float32), read_only, [0.0] * 7):
            with pytest.raises(ValueError, match="out should be one of shape"):
                compiled.map(x, y, out=wrong)
        assert np.array_equal(compiled.map(x, y), x * y)
        with pytest.raises(ValueError, match="with reduce= there are none"):
            compiled.map(x, y, reduce="sum", out=out)
        compiled.map(x, y, reduce="sum")
    assert (room.reshape(7, 3)[:, [0, 2]] == -7.0).all()


def test_results_may_be_written_over_the_arguments(backend):
    compiled = ng.compile(lambda x, y: x - y, backend=backend)
    numbers = np.arange(101.0) ** 2
    expected = np.diff(numbers)

    for _ in range(4):
        own = numbers.copy()
        compiled.map(own[1:], own[:-1], out=own[1:])

        assert np.array_equal(own[1:], expected)


def test_results_of_several_ways_are_written_to_arrays_that_are_given(backend):
    compiled = ng.compile(lambda x: x * 2.0 if x > 0 else -x, backend=backend)
    x = np.linspace(-3.0, 3.0, 50)
    out = np.empty(50)

    compiled.map(x, out=out)

    assert np.array_equal(out, np.where(x > 0, 2.0 * x, -x))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty(3), r"out should be a tuple"),
        ((np.empty(3),), r"out should be a tuple"),
        ((np.empty(4), np.empty((3, 2))), r"out\[0\] should be one of shape \(3,\); got shape \(4,\)"),
        (
            (np.empty(3), np.empty((3, 2), np.float32)),
            r"out\[1\] should be one of shape \(3, 2\); got .* float32",
        ),
        ((np.empty(3), [1.0]), r"out\[1\] should be one of shape \(3, 2\); got list"),
    ],
)
def test_arrays_that_do_not_fit_the_results_are_refused(backend, out, message):
    compiled = ng.compile(lambda x: (x, [x, -x]), backend=backend)

    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            compiled.map(np.ones(3), out=out)


def test_sums_are_not_written_to_arrays(backend):
    with pytest.raises(ValueError, match="with reduce= there are none"):
        ng.compile(lambda x: x, backend=backend).map(np.ones(3), reduce="sum", out=np.empty(3))


def test_a_call_on_arrays_and_lists_is_a_call_on_their_numbers(backend):
    w = ng.Value(3.0)
    compiled = ng.compile(lambda a, m, l, x: (a @ m[0] * w, [x, l[0]], m * l[1]), backend=backend)
    a, m = np.arange(4.0), np.arange(8.0).reshape(2, 4)

    for factor in (3.0, 5.0):
        w.data = factor
        for matrix in (m, np.asfortranarray(m)):
            dot, pair, scaled = compiled(a, matrix, [7.0, 2.0], 0.5)

            assert (dot, pair) == (float(a @ m[0]) * factor, [0.5, 7.0])
            assert type(dot) is float
            assert np.array_equal(scaled, 2.0 * m)


def test_results_of_earlier_calls_stay_as_they_are(backend):
    compiled = ng.compile(lambda a: (a * 2.0, a), backend=backend)

    found = [compiled(np.full(3, number)) for number in (1.0, 2.0, 3.0)]
    maps = [compiled.map(np.full((2, 3), number)) for number in (1.0, 2.0, 3.0)]

    assert [doubled.tolist() for doubled, _ in found] == [[2.0] * 3, [4.0] * 3, [6.0] * 3]
    assert [doubled[1].tolist() for doubled, _ in maps] == [[2.0] * 3, [4.0] * 3, [6.0] * 3]


@pytest.mark.parametrize("wrong", [[1.0, "2"], [1.0, None], [1.0, 1j]])
def test_a_list_that_holds_something_else_than_before_is_refused(backend, wrong):
    compiled = ng.compile(lambda x: x[0] * x[1], backend=backend)
    assert compiled([2.0, 3.0]) == 6.0

    with pytest.raises(TypeError, match="takes a real number"):
        compiled(wrong)


def test_values_in_a_list_pass_derivatives_on_after_calls_on_numbers(backend):
    compiled = ng.compile(lambda x: x[0] * x[1], backend=backend)
    assert compiled([2.0, 3.0]) == 6.0

    assert ng.grad(compiled)([2.0, 3.0]) == [3.0, 2.0]


def test_maps_of_arrays_of_another_kind_than_before_are_right(backend):
    w = ng.Value(2.0)
    compiled = ng.compile(lambda x, y: (x[0] * x[1] * w, y), backend=backend)
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    kinds = [
        (X, y),
        (X[:1], y[:1]),
        (X[::2], y[::2]),
        (X.astype(np.float32), y),
        (X.tolist(), y),
        (X[::-1], y),
    ]
    kinds += [
        (np.asfortranarray(X), y[::-1]),
        (X.astype(int), y.astype(">f8")),
        (np.hstack([X, X])[:, 1:3], y),
    ]

    for table, column in [*kinds, *kinds[::-1]]:
        w.data += 1.0
        rows, expected = np.array(table, float), np.array(column, float)

        for _ in range(2):
            product, same = compiled.map(table, column)
            assert np.array_equal(product, rows[:, 0] * rows[:, 1] * w.data)
            assert np.array_equal(same, expected)
            assert compiled.map(table, column, reduce="sum")[1] == expected.sum()


@pytest.mark.parametrize("reduce", [None, "sum"])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.longdouble, np.int32, np.uint64, bool, ">f8"])
def test_long_arrays_of_another_type_give_the_results_of_their_numbers_as_float64(backend, kind, reduce):
    def little(x, y):
        return ng.dot(x, x) * y, [x[1], y]

    def much(x, y):  # enough to be cut into pieces
        for _ in range(40):
            y = ng.sin(y) + x[0] * 0.5
        return y

    drawn = np.random.default_rng(0).random((60_001, 3)) * 9.0
    X, y = drawn[:, ::2].astype(kind), drawn[:, 1].astype(kind)

    for f in (little, much):
        compiled = ng.compile(f, backend=backend)
        found = compiled.map(X, y, reduce=reduce)
        expected = compiled.map(X.astype(float), y.astype(float), reduce=reduce)
        assert_same(found, expected)


@pytest.mark.parametrize("rows", [1, 17, 3_000])
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
@pytest.mark.parametrize("several", [False, True])
def test_maps_like_the_one_before_give_the_same_to_the_bit(backend, monkeypatch, rows, reduce, several):
    if backend == "llvm":  # so that 3,000 rows are cut into pieces
        monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend._WORK", 20_000)
    w = ng.Value(0.3)
    factor = w * 2.0  # computed once for all rows

    def f(x, y):
        product = ng.tanh(ng.dot(x, x) * factor) * y
        return (product, [y, product / 3.0]) if several else product

    compiled = ng.compile(f, backend=backend, threads=2)
    drawn = np.random.default_rng(0).normal(size=(rows, 4))
    X, y = drawn[:, :3], drawn[:, 3]

    first, *others = [compiled.map(X, y, reduce=reduce) for _ in range(4)]

    for found in others:
        assert_same(found, first)


def test_long_maps_write_to_the_array_that_is_given_each_time(backend):
    compiled = ng.compile(lambda x, y: ng.exp(ng.sin(x)) * y, backend=backend)
    a, b, out = np.random.default_rng(0).random((3, 400_000))
    expected = compiled.map(a, b)

    for _ in range(3):
        out[:] = 0.0
        assert compiled.map(a, b, out=out) is out
        assert np.array_equal(out, expected)
    assert np.array_equal(compiled.map(a, b, out=b), expected)


@pytest.mark.parametrize("wrong", [(np.ones(3), np.ones(4)), (np.ones(0), np.ones(0)), (np.array(1.0),) * 2])
def test_rows_that_do_not_fit_are_refused_after_rows_that_do(backend, wrong):
    compiled = ng.compile(lambda x, y: x * y, backend=backend)
    for _ in range(3):
        compiled.map(np.ones(3), np.ones(3))

    with pytest.raises(ValueError, match="map takes"):
        compiled.map(*wrong)


def test_maps_in_many_threads_do_not_share_memory(backend):
    compiled = ng.compile(lambda x: (x * 2.0, [x, -x]), backend=backend)
    rows = [np.full(5, float(number)) for number in range(40)]

    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda x: [compiled.map(x) for _ in range(20)], rows))

    for x, maps in zip(rows, found, strict=True):
        assert all(np.array_equal(doubled, 2.0 * x) and (pair[:, 1] == -x).all() for doubled, pair in maps)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("reduce", [None, "sum"])
def test_results_of_a_map_are_freed_without_the_cyclic_collector(backend, rows, reduce):
    compiled = ng.compile(lambda x: ([x, x + 1.0], {"m": [[x * x] * 3] * 4}), backend=backend)
    x = np.arange(float(rows))

    for _ in range(4):
        gc.collect()
        with stopped_collector():
            _, named = compiled.map(x, reduce=reduce)
            memory = memory_of(named["m"][0])
            del named, _
            assert memory() is None


@contextmanager
def stopped_collector():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def memory_of(array):
    """Return a weak reference to the array that a view is of."""
    while array.base is not None:
        array = array.base
    return weakref.ref(array)
