"""Compiled: calls, map, guards, what recording cannot see, pickling, executors, bad input."""

import copy
import itertools
import math
import pickle
import random
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial, reduce
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value, nn
from nodegrad.compiler import backends, shards
from nodegrad.observers import listen, listeners
from nodegrad.trees import flatten
from nodegrad.value import number_of

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


# Functions that branch on their arguments.


def by_if(x, y):
    if x > 0:
        return ng.sqrt(x) * y
    return -x + y


def by_while(x, y):
    steps = 0
    while x * x > 1.0:
        x = x / 2.0
        steps += 1
    return x * y + steps


def by_max(x, y):
    return max(x, y, x * y)


def by_sorted(x, y):
    low, middle, high = sorted([x, y, x * y])
    return low - 2.0 * middle + 3.0 * high


def by_early_return(x, y):
    for _ in range(3):
        x = x - y
        if x < 0:
            return x
    return x * y


def by_abs(x, y):
    return (x if x >= 0 else -x) + abs(y)


def by_count(x, y):
    total = Value(0.0)
    while total < y:
        total = total + abs(x) + 0.25
    return total


def by_chain(x, y):
    return x * 2 if 0 < x < 1 else y if x == y else x - y


BRANCHING = [by_if, by_while, by_max, by_sorted, by_early_return, by_abs, by_count, by_chain]


@pytest.mark.parametrize("f", BRANCHING, ids=lambda f: f.__name__)
@pytest.mark.parametrize("derive", [False, True], ids=["value", "gradient"])
def test_rows_that_go_different_ways_equal_eager(f, derive, backend):
    generator = np.random.default_rng(3)
    xs, ys = generator.uniform(-3.0, 3.0, 40), generator.uniform(-1.0, 2.0, 40)
    xs[:3] = ys[:3] = 0.0, 1.0, -1.0
    eager = ng.value_and_grad(f, argnums=(0, 1)) if derive else lambda x, y: f(Value(x), Value(y)).data
    compiled = ng.compile(ng.value_and_grad(f, argnums=(0, 1)) if derive else f, backend=backend, exact=True)

    mapped = compiled.map(xs, ys)
    called = [compiled(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]

    expected = [eager(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
    assert called == expected
    if derive:
        value, (x, y) = mapped
        mapped = [(a, (b, c)) for a, b, c in zip(value.tolist(), x.tolist(), y.tolist(), strict=True)]
        assert mapped == expected
    else:
        assert mapped.tolist() == expected
    assert len(compiled.traces) == 1
    assert compiled.stats()["traces"] > 1


def test_sums_over_rows_that_go_different_ways(backend):
    xs = np.linspace(-2.0, 2.0, 21)

    found = ng.compile(by_if, backend=backend).map(xs, xs, reduce="mean")

    assert found == pytest.approx(np.mean(np.where(xs > 0, np.sqrt(np.maximum(xs, 0)) * xs, 0.0)))


@pytest.mark.filterwarnings("error")
def test_sums_that_overflow_do_so_without_a_warning(backend):
    compiled = ng.compile(lambda x: x * 1e308 if x > 0 else x * -1e308, backend=backend)

    assert compiled.map([1.5, -1.5], reduce="sum") == math.inf
    assert compiled.map([1.5, 1.5], reduce="mean") == math.inf
    with ThreadPoolExecutor(1) as executor:
        assert compiled.map([0.01] * 640, reduce="sum", executor=executor) == math.inf


def test_rows_near_a_branch_take_the_branch_of_eager_code(backend):
    def f(x, y):
        return 1.0 if x * y - 1.0 == 0.0 else 2.0

    y = np.arange(1.0, 200.0)
    x = 1.0 / y
    expected = [f(*row) for row in zip(x.tolist(), y.tolist(), strict=True)]
    compiled = ng.compile(f, backend=backend)

    assert compiled.map(x, y).tolist() == expected
    assert [compiled(*row) for row in zip(x.tolist(), y.tolist(), strict=True)] == expected


def test_elementary_functions_near_a_branch_equal_eager_code(backend):
    x = np.random.default_rng(0).normal(size=300)
    compiled = ng.compile(lambda x, limit: 1.0 if ng.exp(x) > limit else 0.0, backend=backend)

    assert not compiled.map(x, [ng.exp(each) for each in x.tolist()]).any()


def test_a_function_may_refuse_numbers_it_is_never_given(backend):
    def f(x):
        if x < 0.0:
            raise ValueError("negative")
        return x * x

    compiled = ng.compile(f, backend=backend)

    assert compiled(2.0) == 4.0
    assert compiled.map([1.0, 3.0]).tolist() == [1.0, 9.0]
    with pytest.raises(ValueError, match="negative"):
        compiled.map([1.0, -3.0])


@pytest.mark.parametrize("count", [3, 50_000])  # the second in several threads
def test_errors_of_a_custom_operation_reach_the_caller(backend, count):
    def value(x):
        if x > 100.0:
            raise KeyError("not in the table")
        return x

    operation = ng.custom("looked_up", value, lambda x, out: 1.0)
    compiled = ng.compile(lambda x: operation(x) + ng.sum([x * i for i in range(100)]), backend=backend)
    x = np.full(count, 2.0)
    x[-1] = 200.0

    with pytest.raises(KeyError, match="not in the table"):
        compiled(200.0)
    with pytest.raises(KeyError, match="not in the table"):
        compiled.map(x)
    with pytest.raises(KeyError, match="not in the table"):
        compiled.map(x, reduce="sum")
    assert compiled.map(x[:2]).tolist() == [9902.0, 9902.0]


def test_a_custom_operation_gets_no_numbers_of_rows_that_take_other_branches(backend):
    def value(x):
        if x > 100.0:
            raise KeyError("not in the table")
        return x

    operation = ng.custom("looked_up", value, lambda x, out: 1.0)

    def f(x):
        if x > 100.0:
            return -x
        return operation(x) if operation(x) < 50.0 else x * x

    compiled = ng.compile(f, backend=backend)

    assert [compiled(x) for x in (1.0, 200.0, 60.0)] == [1.0, -200.0, 3600.0]
    assert ng.compile(f, backend=backend).map([1.0, 200.0, 60.0]).tolist() == [1.0, -200.0, 3600.0]


def test_past_max_traces_rows_run_eagerly_with_a_warning_that_names_the_line(backend):
    compiled = ng.compile(by_while, backend=backend, max_traces=3)
    x = np.geomspace(1.0, 1000.0, 30)

    def run():
        mapped = compiled.map(x, np.ones(30)).tolist()
        total = compiled.map(x, np.ones(30), reduce="sum")
        return mapped, total, [compiled(each, 1.0) for each in x.tolist()]

    with pytest.warns(RuntimeWarning, match=r"test_compiled\.py:\d+.*while_loop.*where") as caught:
        found, total, called = run()

    expected = [by_while(Value(each), Value(1.0)).data for each in x.tolist()]
    assert len(caught) == 1
    assert found == called == expected
    assert total == pytest.approx(sum(expected))
    stats = compiled.stats()
    assert stats["traces"] <= 3
    assert stats["eager_rows"] > 0
    assert sum(rows for _, rows in stats["rows"]) + stats["eager_rows"] == 90


def test_a_map_with_a_row_of_a_rare_way_does_not_warn_of_many_ways(backend):
    compiled = ng.compile(lambda x: x * 3.0 if x > 4.0 else x * 2.0, backend=backend)

    for _ in range(3):  # pytest makes warnings errors
        assert compiled.map([3.0] * 100 + [4.5]).tolist() == [6.0] * 100 + [13.5]


def test_guards_may_depend_on_leaves_closed_over(backend):
    w = Value(1.0)
    compiled = ng.compile(lambda x: x * w if w > 0 else x + w, backend=backend)
    assert compiled(3.0) == 3.0

    w.data = -1.0

    assert compiled(3.0) == 2.0
    assert compiled.map([3.0, 4.0]).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("transform", [lambda f: f, ng.value_and_grad])
def test_a_value_from_before_its_leaf_changed_is_named(backend, transform):
    w = Value(3.0, label="w")
    penalty = w * w
    w.data = 4.0

    with pytest.raises(RuntimeError, match="the data of 'w' changed after mul"):
        ng.compile(transform(lambda x: x * penalty), backend=backend)(2.0)
    with pytest.raises(RuntimeError, match="the data of 'w' changed after mul"):
        ng.compile(lambda x: [1.0, transform(lambda y: y + penalty)(x)], backend=backend).map([2.0, 3.0])


def test_leaves_closed_over_are_read_at_each_call(backend):
    w, b = Value(2.0), Value(1.0)
    compiled = ng.compile(lambda x: w * x + b * b, backend=backend)
    assert compiled(3.0) == 7.0

    w.data, b.data = 10.0, 2.0

    assert compiled(3.0) == 34.0
    assert compiled.map([1.0, 2.0]).tolist() == [14.0, 24.0]
    assert compiled.map([1.0, 2.0], reduce="sum") == 38.0


# Structures.


def test_values_computed_outside_are_computed_again_from_their_leaves(backend):
    leaf = Value(2.0)
    outside = leaf * 3.0
    compiled = ng.compile(lambda x: outside * x, backend=backend)
    compiled(1.0)

    leaf.data = 5.0

    assert compiled(1.0) == 15.0
    assert compiled.map([1.0, 2.0]).tolist() == [15.0, 30.0]


def test_plain_numbers_and_names_stay_as_they_were_recorded(backend):
    plain, named = 2.0, Value(3.0)
    compiled = ng.compile(lambda x: plain * x + named, backend=backend)
    compiled(1.0)

    plain, named = 20.0, Value(30.0)

    assert compiled(1.0) == 5.0
    assert compiled.map([1.0, 2.0]).tolist() == [5.0, 7.0]


def test_results_have_the_structure_of_the_function(backend):
    def f(p, x):
        return {"a": [p["w"] * x[0], (x[1], 3.0)], "b": x[0] + p["c"][0]}

    compiled = ng.compile(f, backend=backend)

    assert compiled({"w": 2.0, "c": (1.0,)}, [3.0, 4.0]) == {"a": [6.0, (4.0, 3.0)], "b": 4.0}
    mapped = compiled.map({"w": [2.0, 3.0], "c": (np.ones(2),)}, [[3.0, 4.0], [5.0, 6.0]])
    assert mapped["a"][0].tolist() == [6.0, 15.0]
    assert mapped["a"][1][0].tolist() == [4.0, 6.0]
    assert mapped["a"][1][1].tolist() == [3.0, 3.0]
    assert mapped["b"].tolist() == [4.0, 6.0]


def test_arrays_go_in_and_come_out(backend):
    compiled = ng.compile(lambda m, v: m @ v, backend=backend)
    matrix, vector = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])

    out = compiled(matrix, vector)

    assert out.dtype == np.float64
    assert out.tolist() == (matrix @ vector).tolist()
    rows = compiled.map(np.stack([matrix, -matrix]), np.stack([vector, vector]))
    assert rows.tolist() == [(matrix @ vector).tolist(), (-matrix @ vector).tolist()]


def test_gradients_of_arrays_are_arrays(backend):
    f = ng.value_and_grad(lambda v: (v * v).sum())
    compiled = ng.compile(f, backend=backend)

    value, gradient = compiled(np.array([1.0, 2.0]))

    assert value == 5.0
    assert gradient.tolist() == [2.0, 4.0]


def test_another_structure_is_recorded_beside_the_first(backend):
    compiled = ng.compile(lambda xs: ng.sum(xs), backend=backend)

    assert [compiled([1.0, 2.0]), compiled([1.0, 2.0, 3.0]), compiled((5.0,))] == [3.0, 6.0, 5.0]


def test_outputs_that_are_arguments_or_constants(backend):
    w = Value(4.0)
    compiled = ng.compile(lambda x, y: [x, w, 2.5, y, x], backend=backend)

    assert compiled(1.0, 2.0) == [1.0, 4.0, 2.5, 2.0, 1.0]
    assert compiled.map([1.0], [2.0]).tolist() == [[1.0, 4.0, 2.5, 2.0, 1.0]]
    assert compiled.map([1.0, 3.0], [2.0, 2.0], reduce="mean").tolist() == [2.0, 4.0, 2.5, 2.0, 2.0]


@pytest.mark.parametrize("reduce", [None, "sum"])
def test_maps_of_tables_notice_other_shapes_orders_and_types(backend, reduce):
    f = ng.compile(lambda x, y: 10.0 * x[0][1] + x[1][0] + y, backend=backend)
    y = np.arange(5.0)
    rows = np.random.default_rng(0).random((5, 2, 3))
    others = (
        *[rows + 1.0, rows.reshape(5, 3, 2), rows.transpose(0, 2, 1), np.asfortranarray(rows), rows[::-1]],
        *[
            rows[:, ::-1],
            rows.astype(np.float32),
            rows.tolist(),
            rows[:, :, :2],
            rows.reshape(5, 2, 3, 1)[..., 0],
        ],
    )

    for table in [rows, rows, rows, *others, rows]:
        x = np.array(table, np.float64)
        expected = 10.0 * x[:, 0, 1] + x[:, 1, 0] + y
        found = f.map(table, y, reduce=reduce)
        np.testing.assert_allclose(found, expected if reduce is None else expected.sum(), rtol=1e-15)

    with pytest.raises(ValueError, match="same number of rows"):
        f.map(rows[:4], y)
    assert f.map(rows[:1], y[:1], reduce=reduce) is not None


def test_a_list_of_numbers_is_an_array_in_map(backend):
    compiled = ng.compile(lambda x: (x, [x, 2.0 * x], [[x], []]), backend=backend)

    number, pair, (single, nothing) = compiled.map([1.0, 3.0])
    assert (number.shape, pair.shape, single.shape, nothing) == ((2,), (2, 2), (2, 1), [])
    assert pair.tolist() == [[1.0, 2.0], [3.0, 6.0]]
    total, pair, (single, nothing) = compiled.map([1.0, 3.0], reduce="sum")
    assert (type(total), total, pair.tolist(), single.tolist(), nothing) == (
        float,
        4.0,
        [4.0, 8.0],
        [4.0],
        [],
    )


# What recording cannot see.


def test_reading_data_of_an_argument_is_caught_and_named():
    def f(x):
        return x * x.data

    with pytest.raises(ValueError, match=r"test_compiled\.py:\d+ reads \.data"):
        ng.compile(f)(3.0)


def test_a_count_read_from_an_argument_is_caught():
    def f(x, n):
        return ng.sum([x] * int(n.data))

    with pytest.raises(ValueError, match=r"reads \.data"):
        ng.compile(f)(1.0, 3)


def test_a_branch_on_data_is_caught_even_if_no_row_takes_it():
    compiled = ng.compile(lambda x, y: x * y if x.data > 100.0 else y)

    with pytest.raises(ValueError, match=r"reads \.data"):
        compiled.map([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])


def test_reading_data_of_a_leaf_closed_over_is_caught():
    w = Value(2.0)

    with pytest.raises(ValueError, match=r"reads \.data"):
        ng.compile(lambda x: x * w.data)(3.0)


def test_a_number_of_zero_is_as_strong_as_a_value_of_zero_in_every_tier():
    derivative = ng.grad(lambda x, y: ng.mod(x * y, (x * y) ** 2))  # 0 / 0 where y is 0
    second = ng.grad(lambda x, y: ng.sin(derivative(x, y)))

    assert second(-1.0, 0.0) == second(Value(-1.0), Value(0.0)).data == ng.compile(second)(-1.0, 0.0) == 0.0
    assert ng.compile(second)(-1.0, 0.5) == pytest.approx(second(-1.0, 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_copysign_takes_nan_as_positive_in_every_tier(backend):
    compiled = ng.compile(lambda x, y: ng.copysign(x, ng.mod(y, 0.0)), backend=backend)

    assert compiled(3.0, 1.0) == ng.copysign(3.0, -math.nan) == ng.copysign(3.0, math.nan) == 3.0
    assert compiled.map([3.0] * 9, [1.0] * 9).tolist() == [3.0] * 9


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_random_numbers_are_caught(draw):
    with pytest.raises(ValueError, match="random numbers"):
        ng.compile(lambda x: x * draw())(3.0)


def test_branches_on_state_that_changes_are_caught():
    turns = itertools.cycle([1.0, -1.0])

    def f(x):
        return x if next(turns) > 0 else -x

    with pytest.raises(ValueError, match="state that changes"):
        ng.compile(f).map([1.0, 2.0, 3.0])


def test_gradients_written_by_backward_are_caught():
    def f(x):
        (x * x).backward()
        return x.grad

    with pytest.raises(ValueError, match="value_and_grad"):
        ng.compile(f)(3.0)


# Exactness, and the contract for floats.


def test_exact_calls_equal_eager_to_the_bit(backend):
    def f(x, y):
        return ng.softmax([x, y, x * y])[0] + ng.tanh(x) ** y + ng.erf(x) / ng.log(y)

    compiled = ng.compile(f, backend=backend, exact=True)

    for x, y in [(0.3, 1.7), (-2.0, 0.0), (math.inf, 1.0), (1.0, math.nan), (800.0, -800.0)]:
        found, expected = compiled(x, y), f(Value(x), Value(y)).data
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_no_nan_from_the_branch_not_taken(backend):
    f = ng.grad(lambda x: ng.where(x > 0, ng.sqrt(x), 0.0))

    assert ng.compile(f, backend=backend).map([-1.0, 0.0, 4.0]).tolist() == [0.0, 0.0, 0.25]


def test_derivatives_of_any_order(backend):
    f = ng.grad(ng.grad(lambda x: x * ng.exp(x)))

    assert ng.compile(f, backend=backend)(0.0) == pytest.approx(2.0)


def test_compiled_functions_can_be_differentiated():
    square = ng.compile(lambda x: x * x)
    square(2.0)

    assert ng.grad(square)(3.0) == 6.0
    assert ng.compile(ng.grad(lambda x: square(x) * x))(2.0) == 12.0


def test_threads_may_record_at_once():
    compiled = [ng.compile(by_if) for _ in range(6)]

    with ThreadPoolExecutor(6) as executor:
        found = list(executor.map(lambda each: [each(x, 2.0) for x in (4.0, -1.0, 9.0)], compiled))

    assert found == [[4.0, 3.0, 6.0]] * 6


def test_threads_that_record_the_same_way_at_once_share_it():
    compiled = ng.compile(lambda x: ng.sum([ng.sin(x * i) for i in range(300)]), max_traces=1)

    with ThreadPoolExecutor(6) as executor:
        found = set(executor.map(compiled, [1.0] * 12))

    assert len(found) == 1
    assert compiled.stats()["traces"] == 1


def test_recording_may_call_a_function_that_another_thread_waits_to_record():
    recording, found = threading.Event(), []

    def outer_body(x):
        recording.set()
        _until_idle(waiting)
        return x * inner(3.0)

    def call_inner():
        recording.wait()
        found.append(inner(1.0))

    inner, outer = ng.compile(lambda x: 2.0 * x), ng.compile(outer_body)
    waiting = threading.Thread(target=call_inner, daemon=True)
    calling = threading.Thread(target=lambda: found.append(outer(1.0)), daemon=True)

    for thread in (waiting, calling):
        thread.start()
    for thread in (waiting, calling):
        thread.join(20.0)

    assert sorted(found) == [2.0, 6.0]


def _until_idle(thread, polls=20):
    """Return when a thread has ended or has stood still in the package for a while: it waits for a lock."""
    before, same = None, 0
    while thread.is_alive() and same < polls:
        time.sleep(0.001)
        frame = sys._current_frames().get(thread.ident)
        inside = frame and Path(frame.f_code.co_filename).is_relative_to(Path(ng.__file__).parent)
        place = (id(frame), frame.f_lasti) if inside else None
        before, same = place, same + 1 if place and place == before else 0


def test_another_observer_may_come_and_go_while_a_function_is_recorded():
    class Deaf:
        def made(self, node):
            pass

        decided = read = lambda self, node, more: None

    blocks = []

    def f(x):
        blocks.append(listen(Deaf()))
        blocks[-1].__enter__()
        return x if x > 0 else -x

    compiled = ng.compile(f)
    found = [compiled(x) for x in (2.0, -2.0, -2.0, 2.0)]
    for block in blocks:
        block.__exit__(None, None, None)

    assert found == [2.0] * 4
    assert listeners.all == ()


def test_a_network_trains_as_eager_does(backend):
    model = ng.nn.MLP(2, [8, 8, 1], activation="tanh", seed=1)
    parameters = model.parameters()
    f = ng.value_and_grad(lambda x, y: (model(x) - y) ** 2, wrt=parameters)
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(37, 2)), generator.normal(size=37)

    loss, gradient = ng.compile(f, backend=backend).map(X, y, reduce="mean")

    rows = [f(list(x), t) for x, t in zip(X.tolist(), y.tolist(), strict=True)]
    assert loss == pytest.approx(np.mean([row[0].data for row in rows]), rel=1e-12)
    expected = np.mean([[g.data for g in row[1]] for row in rows], axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_rows_of_any_memory_layout_are_read_in_place(backend):
    compiled = ng.compile(lambda x: 2.0 * x[0] + x[1], backend=backend)
    table = np.arange(40.0).reshape(10, 4)
    table.flags.writeable = False

    for rows in (
        table[:, :2],
        table[::2, 1:3],
        table[:, ::2],
        table[::-1, 2::-2],
        np.asfortranarray(table)[:, :2],
    ):
        assert compiled.map(rows).tolist() == (2.0 * rows[:, 0] + rows[:, 1]).tolist()
        assert compiled.map(rows, reduce="sum") == 2.0 * rows[:, 0].sum() + rows[:, 1].sum()


# Elsewhere: pickles, executors, threads.


def slope(x):
    return ng.tanh(x) if x > 0 else x * 2.0


def test_pickles_go_on_where_the_original_was(backend):
    compiled = ng.compile(slope, backend=backend)
    compiled(1.0)

    again = pickle.loads(pickle.dumps(compiled))

    assert again(1.0) == compiled(1.0)
    assert again(-1.0) == -2.0
    assert again.map([-1.0, 1.0]).tolist() == compiled.map([-1.0, 1.0]).tolist()


offset = Value(1.0)


def shifted(x):
    return x + offset if x > 0 else x - offset


class Shift(nn.Module):
    def __init__(self):
        self.offset = Value(1.0)

    def __call__(self, x):
        return x + self.offset if x > 0 else x - self.offset


def test_pickles_never_mix_their_leaves_with_those_of_the_original(backend, monkeypatch):
    compiled = ng.compile(shifted, backend=backend)
    compiled(1.0)
    again = pickle.loads(pickle.dumps(compiled))
    monkeypatch.setattr(offset, "data", 10.0)

    assert again(1.0) == 2.0
    with pytest.raises(ValueError, match="Values that do not travel with it"):
        again(-1.0)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("called", [False, True])
def test_copies_keep_the_function_and_what_it_closes_over(backend, copied, called):
    w = Value(3.0)
    compiled = ng.compile(lambda x, k=2.0: x * w if x > 0 else x * k, backend=backend)
    keyword = ng.compile(lambda x, *, k: x * w * k, backend=backend)
    if called:
        assert (compiled(2.0), keyword(2.0, k=3.0)) == (6.0, 18.0)

    again, keyword_again = copied(compiled), copied(copied(keyword))
    w.data = 5.0

    assert (again(2.0), again(-2.0), again.map([1.0, -1.0]).tolist()) == (10.0, -4.0, [5.0, -2.0])
    assert keyword_again(2.0, k=3.0) == 30.0
    assert (compiled(2.0), keyword(2.0, k=3.0)) == (10.0, 30.0)
    assert ng.grad(again)(2.0).data == 5.0
    assert again.__name__ == compiled.__name__


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_of_a_pickle_without_its_function_know_what_was_recorded(copied):
    compiled = ng.compile(lambda x: x * x)
    compiled(2.0)

    assert copied(pickle.loads(pickle.dumps(compiled)))(3.0) == 9.0


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_a_module_takes_its_leaves_along(backend, copied):
    module = Shift()
    compiled = ng.compile(module, backend=backend)
    compiled(1.0)
    again = copied(compiled)
    module.offset.data = 10.0
    again.f.offset.data = 5.0

    assert (again(1.0), again(-1.0)) == (6.0, -6.0)
    assert (compiled(1.0), compiled(-1.0)) == (11.0, -11.0)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_what_the_passes_write_can_be_pickled(backend, copied):
    f = ng.value_and_grad(lambda *xs: ng.dot(ng.softmax(xs), [ng.tanh(ng.dot(xs, xs)) for _ in xs]))
    compiled = ng.compile(lambda *xs: (f(*xs), max_and_min(xs)), backend=backend)
    numbers = [0.1 * i for i in range(6)]
    compiled(*numbers)

    assert "max" in str(compiled)
    assert copied(compiled)(*numbers) == compiled(*numbers)


def max_and_min(xs):
    return reduce(ng.maximum, xs) - reduce(ng.minimum, xs)


def test_pickles_without_their_function_know_what_was_recorded(backend):
    w = Value(3.0)
    compiled = ng.compile(lambda x: x * w if x > 0 else x, backend=backend)
    compiled(2.0)

    again = pickle.loads(pickle.dumps(compiled))

    assert again(2.0) == 6.0
    with pytest.raises(ValueError, match="unpickled without its function"):
        again(-2.0)


def safe_inverse(x):
    try:
        return 1.0 / x
    except ZeroDivisionError:
        return 0.0


def scaled(x):
    return x * 2.0 if isinstance(x, float) else x * 3.0


@pytest.mark.parametrize("value", [safe_inverse, scaled])
def test_a_custom_operation_that_asks_what_floats_and_symbols_answer_differently_runs_over_floats(value):
    operation = ng.custom(f"{value.__name__}_here", value, lambda x, out: 0.0)
    compiled = ng.compile(lambda x: operation(x), exact=True)

    assert [compiled(x) for x in (1.0, 0.0, -3.0)] == [value(x) for x in (1.0, 0.0, -3.0)]
    assert compiled.map([1.0, 2.0, 0.0]).tolist() == [value(x) for x in (1.0, 2.0, 0.0)]


signed_cube = ng.custom("signed_cube", lambda x: abs(x) ** 3, lambda x, out: 3.0 * x * abs(x))


def network_loss(model, x, y):
    return (ng.sum([signed_cube(out) for out in ng.softmax(model(x))]) - y) ** 2


def compiled_gradient(backend):
    model = nn.MLP(3, [8, 5], seed=0)
    loss = partial(network_loss, model)
    return ng.compile(ng.value_and_grad(loss, wrt=model.parameters()), backend=backend)


def test_a_gradient_pickles(backend):
    compiled = compiled_gradient(backend)
    expected = compiled([0.5, -1.0, 2.0], 1.0)

    assert pickle.loads(pickle.dumps(compiled))([0.5, -1.0, 2.0], 1.0) == expected


def test_a_gradient_goes_to_processes(backend):
    compiled = compiled_gradient(backend)
    X, y = np.random.default_rng(0).normal(size=(130, 3)), np.ones(130)

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        loss, slope = compiled.map(X, y, reduce="mean", executor=executor)

    expected = compiled.map(X, y, reduce="mean")
    assert loss == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-9, atol=1e-15)


def test_a_program_is_packed_once_for_all_maps(backend, monkeypatch):
    packed, pack = [], shards._packed
    monkeypatch.setattr(shards, "_packed", lambda *of: packed.append(of) or pack(*of))
    compiled = ng.compile(slope, backend=backend)

    with ThreadPoolExecutor(2) as executor:
        found = [compiled.map(np.linspace(1.0, 2.0, 200), executor=executor, reduce="sum") for _ in range(2)]

    assert len(packed) == 1
    assert found[0] == found[1] == pytest.approx(np.tanh(np.linspace(1.0, 2.0, 200)).sum(), rel=1e-12)


class Patient:
    """An executor whose first answers come only when so many tasks have been given to it."""

    def __init__(self, wanted):
        self.wanted, self.given, self.inner = wanted, 0, ThreadPoolExecutor(1)

    def submit(self, *task):
        self.given += 1
        future = self.inner.submit(*task)
        result = future.result
        future.result = lambda: result() if self.given >= self.wanted else pytest.fail("awaited too early")
        return future


@pytest.mark.parametrize(("shards", "expected"), [(1, 1), (3, 3), (16, 16), (1000, 16)])
def test_all_shards_are_given_before_any_is_awaited(shards, expected):
    compiled = ng.compile(lambda x: x * 3.0)
    X, executor = np.arange(1000.0), Patient(expected)

    found = compiled.map(X, executor=executor, shards=shards)

    assert found.tolist() == (3.0 * X).tolist()
    assert expected <= executor.given <= 2 * expected
    with pytest.raises(ValueError, match="map takes shards as a whole number of at least 1"):
        compiled.map(X, executor=executor, shards=0)
    executor.inner.shutdown()


class Workers:
    """An executor of simulated workers, which take tasks in turns and each keep programs of their own."""

    def __init__(self, count, monkeypatch):
        self.programs, self.patch = [{} for _ in range(count)], monkeypatch
        self.turn = self.sent = 0

    def submit(self, function, token, payload, *task):
        number, self.turn = self.turn % len(self.programs), self.turn + 1
        self.sent += payload is not None
        self.patch.setattr(shards, "_known", self.programs[number])
        self.patch.setattr(shards, "_worker", lambda: f"worker {number}")
        future = Future()
        future.set_result(function(token, payload, *task))
        return future


def test_a_program_is_sent_once_to_each_worker(monkeypatch):
    compiled, X = ng.compile(lambda x: x * 3.0), np.arange(2000.0)
    executor = Workers(3, monkeypatch)

    found = [compiled.map(X, executor=executor).tolist() for _ in range(2)]

    assert found == [(3.0 * X).tolist()] * 2
    assert executor.sent == 3


def test_shards_go_to_an_executor(backend):
    w = Value(2.0)
    compiled = ng.compile(lambda x, y: (x * w + y, x), backend=backend)
    X, y = np.arange(1000.0), np.ones(1000)

    with ThreadPoolExecutor(2) as executor:
        rows = compiled.map(X, y, executor=executor)
        w.data = 3.0
        total = compiled.map(X, y, executor=executor, reduce="sum")

    assert rows[0].tolist() == (2.0 * X + 1.0).tolist()
    assert total == (3.0 * X.sum() + 1000.0, X.sum())


def test_a_worker_keeps_a_bounded_number_of_programs(backend, monkeypatch):
    monkeypatch.setattr(shards, "_KEPT", 2)
    monkeypatch.setattr(shards, "_known", {})
    compiled = [ng.compile(lambda x, k=k: x * k, backend=backend) for k in (2.0, 3.0, 4.0)]

    with ThreadPoolExecutor(1) as executor:
        found = [f.map([1.0, 2.0], executor=executor).tolist() for f in [*compiled, compiled[0]]]

    assert found == [[2.0, 4.0], [3.0, 6.0], [4.0, 8.0], [2.0, 4.0]]
    assert len(shards._known) == 2


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_an_edited_operation_runs_its_new_code_through_an_executor(backend, monkeypatch, factor):
    edited = ng.custom("edited", lambda x: math.floor(x) * factor, lambda x, out: 0.0)
    monkeypatch.setattr(sys.modules[__name__], "edited", edited, raising=False)
    compiled = ng.compile(lambda x: edited(x) + 1.0, backend=backend)

    with ThreadPoolExecutor(1) as executor:
        assert compiled.map([1.5, 2.5], executor=executor).tolist() == [factor + 1.0, 2.0 * factor + 1.0]


def test_shards_go_to_processes(backend):
    compiled = ng.compile(slope, backend=backend)
    X = np.linspace(-1.0, 1.0, 300)

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = compiled.map(X, executor=executor)

    assert found.tolist() == compiled.map(X).tolist()


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0], [1.0]), ValueError, "argument 0 has 2 and argument 1 has 1"),
        (([[1.0], [1.0, 2.0]], [1.0, 2.0]), ValueError, "ragged"),
        (([], []), ValueError, "at least one row"),
        ((np.empty((0, 3)), []), ValueError, "at least one row"),
        ((["a", "b"], [1.0, 2.0]), TypeError, "real numbers"),
        (([1j, 2.0], [1.0, 2.0]), TypeError, "real numbers"),
        ((3.0, [1.0]), ValueError, "single number"),
        ((), ValueError, "at least one argument"),
        (([Value(1.0)], [1.0]), TypeError, "real numbers"),
    ],
)
def test_bad_rows_are_refused_before_anything_runs(arguments, error, message):
    ran = []

    with pytest.raises(error, match=message):
        ng.compile(lambda *xs: ran.append(1) or xs[0]).map(*arguments)

    assert not ran


@pytest.mark.parametrize("wrap", [lambda rows: rows, list, lambda rows: (rows,), lambda rows: {"x": rows}])
def test_masked_rows_are_refused(wrap):
    rows = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])

    with pytest.raises(TypeError, match=r"map, as argument 0.*, takes arrays without a mask; .*filled"):
        ng.compile(lambda x: x).map(wrap(rows))


@pytest.mark.parametrize("argument", ["a", None, 1j])
def test_arguments_that_are_not_numbers_are_refused(argument):
    with pytest.raises(TypeError, match="a compiled function takes a real number"):
        ng.compile(lambda x: x)(argument)


def test_results_that_are_not_numbers_are_refused():
    with pytest.raises(TypeError, match="the result of <lambda>"):
        ng.compile(lambda x: "text")(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "fortran"}, "fortran"),
        ({"max_traces": 0}, "max_traces"),
        ({"max_traces": 2.5}, "max_traces"),
        ({"threads": -1}, "threads"),
        ({"threads": "two"}, "threads"),
        ({"exact": "no"}, "exact as True or False; got 'no'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ng.compile(lambda x: x, **options)


def test_anything_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="compile takes f as a function; got"):
        ng.compile(3.0)


def test_an_executor_without_submit_is_refused():
    with pytest.raises(TypeError, match=r"map takes executor as an object with submit\(\); got 3"):
        ng.compile(lambda x: x).map([1.0], executor=3)


def test_a_wrong_reduce_is_refused():
    with pytest.raises(ValueError, match="median"):
        ng.compile(lambda x: x).map([1.0], reduce="median")


def test_stats_count_what_became_of_the_recording(backend):
    compiled = ng.compile(by_if, backend=backend)
    compiled(1.0, 2.0)

    stats = compiled.stats()

    assert (stats["backend"], stats["traces"], stats["guards"]) == (backend, 1, 1)
    assert stats["operations"] == 3
    assert stats["seconds"] > 0


def test_printing_before_the_first_call_says_so():
    assert str(ng.compile(by_if)) == "by_if: not recorded yet; call it once"


def test_many_rows_that_go_ways_of_their_own_run_eagerly(backend):
    compiled = ng.compile(by_while, backend=backend, exact=True)
    x = 1.5 ** np.linspace(0.0, 1000.0, 300)

    with pytest.warns(RuntimeWarning, match="most often at"):
        found = compiled.map(x, np.ones(300)).tolist()

    assert found == [by_while(Value(each), Value(1.0)).data for each in x.tolist()]
    assert compiled.stats()["traces"] < 5
    assert compiled.stats()["eager_rows"] > 250


def test_many_rows_that_go_few_ways_run_compiled(backend):
    compiled = ng.compile(ng.grad(by_while), backend=backend, exact=True)
    x = np.linspace(0.5, 9.0, 300)

    found = compiled.map(x, np.ones(300)).tolist()

    assert found == [ng.grad(by_while)(each, 1.0) for each in x.tolist()]
    assert compiled.stats()["eager_rows"] == 0
    assert sum(rows for _, rows in compiled.stats()["rows"]) == 300


def test_rows_of_one_way_have_its_structure(backend):
    compiled = ng.compile(lambda x: {"a": x} if x > 0 else [x, 2.0 * x], backend=backend)
    found = [compiled(x) for x in (1.0, -1.0, -2.0)]

    assert found == [{"a": 1.0}, [-1.0, -2.0], [-2.0, -4.0]]
    assert compiled.map([-1.0, -3.0]).tolist() == [[-1.0, -2.0], [-3.0, -6.0]]
    with pytest.raises(ValueError, match="different structures for different rows"):
        compiled.map([1.0, -1.0])


# Sparse results.


def branching(v):
    return [v[0] * v[1] if v[0] > 0 else v[1], v[0]]


def of_one_pattern(v):
    return [v[0] * v[1] if v[0] > 0 else v[0] * v[1] * 3.0, v[0]]


@pytest.mark.filterwarnings("ignore:.*branches on its arguments in too many ways")
@pytest.mark.parametrize("max_traces", [1, 32])
def test_sparse_jacobians_follow_branches(backend, max_traces):
    pytest.importorskip("scipy")
    jacobian = ng.jacobian(branching, sparse=True)
    compiled = ng.compile(jacobian, backend=backend, max_traces=max_traces)

    for first in (1.0, -1.0, 2.0, -3.0, -4.0):
        found, expected = compiled([first, 2.0]), jacobian([first, 2.0])
        assert (type(found), found.toarray().tolist()) == (type(expected), expected.toarray().tolist())
        assert found.nnz == expected.nnz


@pytest.mark.parametrize("f", [of_one_pattern, lambda v: [v[0] + v[1], 1.0], lambda v: [1.0]])
def test_map_returns_a_sparse_array_for_each_row(backend, f):
    pytest.importorskip("scipy")
    jacobian = ng.jacobian(f, sparse=True)
    compiled = ng.compile(lambda v: {"value": f(v), "jacobian": jacobian(v)}, backend=backend)
    table = np.array([[1.0, 2.0], [-1.0, 2.0], [3.0, 4.0]])
    expected = [jacobian(row) for row in table.tolist()]

    found = compiled.map(table)["jacobian"]
    total = compiled.map(table, reduce="sum")["jacobian"]

    assert [each.toarray().tolist() for each in found] == [each.toarray().tolist() for each in expected]
    assert {type(each) for each in [*found, total]} == {type(expected[0])}
    assert total.toarray().tolist() == sum(each.toarray() for each in expected).tolist()


def test_what_sparse_results_cannot_do_is_refused():
    pytest.importorskip("scipy")
    compiled = ng.compile(ng.jacobian(branching, sparse=True))

    with pytest.raises(ValueError, match="sparse arrays with other entries.*Call it for each row"):
        compiled.map([[1.0, 2.0], [-1.0, 2.0]])
    with pytest.raises(ValueError, match="no out= for sparse results"):
        compiled.map([[1.0, 2.0]], out=np.empty((1, 3)))
    with pytest.raises(TypeError, match=r"takes a real number; got (.|\n)*csr_array"):
        compiled(compiled([1.0, 2.0]))


def test_entries_of_a_sparse_result_are_written_row_after_row():
    pytest.importorskip("scipy")
    compiled = ng.compile(ng.jacobian(lambda v: [v[0] * v[1], v[0]], sparse=True))
    compiled([1.0, 2.0])

    assert "out[0..2] = result\n" in compiled.source("c")


# Calls that fail.


def test_a_failed_call_leaves_nothing_behind(tmp_path):
    compiled = ng.compile(lambda x: x * x)
    compiled(2.0)
    failures = [([2.0],), ({"a": 2.0},), ("a",), (2.0, 3.0)]
    by_keyword = [{"y": 1.0}, {"x": "a"}, {"x": [2.0]}]

    compiled.save(tmp_path / "f.json")
    loaded = ng.load_compiled(tmp_path / "f.json")
    for function in (compiled, loaded):
        text = function.source("c")
        for arguments in failures:
            with pytest.raises((TypeError, ValueError)):
                function(*arguments)
            with pytest.raises((TypeError, ValueError)):
                function.map(*[[x, x] for x in arguments])
        for keywords in by_keyword:
            with pytest.raises((TypeError, ValueError)):
                function(**keywords)
        assert function.source("c") == text
        function.save(tmp_path / "again.json")
        assert (
            ng.load_compiled(tmp_path / "again.json")(3.0) == pickle.loads(pickle.dumps(function))(3.0) == 9.0
        )
        assert len(function.traces) == 1


def test_a_function_whose_first_call_failed_was_not_called():
    compiled = ng.compile(lambda x: x * x)
    with pytest.raises(TypeError):
        compiled([2.0])

    with pytest.raises(ValueError, match="was not called yet"):
        compiled.source("c")
    assert copy.copy(compiled)(3.0) == 9.0


WIDE = nn.MLP(
    2, [40, 40, 1], activation="tanh", seed=3
)  # its gradient has more products than are written singly


def wide_and_branching(x):
    out = WIDE(x)
    return out * 3.0 if out > 0.1 else ng.sin(out)


LOSSES = {"straight": lambda x: (WIDE(x) - 0.5) ** 2, "branching": wide_and_branching}
GRADIENTS = {
    "value_and_grad": lambda f, wrt: ng.value_and_grad(f, wrt=wrt),
    "grad": lambda f, wrt: ng.grad(f, wrt=wrt),
    "a structure": lambda f, wrt: ng.grad(f, wrt={"first": wrt[:200], "rest": (wrt[200:], wrt[0])}),
    "beside something": lambda f, wrt: ng.grad(lambda x: (f(x), x[0] * x[1]), wrt=wrt, has_aux=True),
    "inside a function": lambda f, wrt: lambda x: [x[0], ng.grad(f, wrt=wrt)(x)],
    "read again": lambda f, wrt: lambda x: (lambda slope: [slope, ng.sum(slope)])(ng.grad(f, wrt=wrt)(x)),
    "by the row": lambda f, wrt: ng.value_and_grad(f),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("make", GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_of_wide_layers_are_those_of_eager_code(loss, make, backend):
    function = make(loss, WIDE.parameters())
    compiled, rows = ng.compile(function, exact=True, backend=backend), [[0.5, -1.0], [-2.0, 0.25]]

    found = [compiled(row) for row in rows * 2]
    mapped = ng.compile(function, exact=True, backend=backend).map(np.array(rows))

    expected = [flatten(function(row))[0] for row in rows]
    numbers = [[number_of(x) for x in each] for each in expected]
    assert [flatten(each)[0] for each in found] == numbers * 2
    assert [numbers_of_row(mapped, row) for row in range(2)] == numbers


def numbers_of_row(mapped, row):
    """List the numbers of a row in what `map` returned."""
    if isinstance(mapped, np.ndarray):
        return np.ravel(mapped[row]).tolist()
    parts = mapped.values() if isinstance(mapped, dict) else mapped
    return [x for part in parts for x in numbers_of_row(part, row)]


def test_gradients_of_a_dot_of_one_node_are_added_in_one_order():
    gradient = ng.grad(lambda x: ng.dot([x * x, 1.0, x], [x, x, x]))
    x = -0.3418656206296524

    assert ng.compile(gradient, exact=True)(x) == gradient(x) == gradient(ng.Value(x)).data


def test_map_with_out_runs_the_way_that_its_rows_go(backend):
    compiled = ng.compile(lambda x: x * 2.0 if x > 0 else x * 3.0, backend=backend)
    for x in (1.0, -1.0, 1.0, -1.0):
        compiled(x)

    for rows in ([1.0, 2.0], [-1.0, -2.0], [-1.0, 2.0], [-1.0]):
        assert compiled.map(rows, out=np.empty(len(rows))).tolist() == [x * (2 if x > 0 else 3) for x in rows]
