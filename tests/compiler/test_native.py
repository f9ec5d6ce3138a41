"""Native code: freed with its last user; NumPy serves where none can be loaded."""

import gc
import json
import pickle
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import ops
from nodegrad.compiler import backends

pytest.importorskip("llvmlite")

from nodegrad.compiler.backends.llvm import native, threads
from nodegrad.compiler.backends.llvm.driver import Driver, one_row
from nodegrad.compiler.backends.llvm.ir import Body
from nodegrad.compiler.backends.llvm.kernels import Elementwise, Load, Step

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="this platform has no /proc and no prctl")


def different(number):
    """Return a function that no other number shares a kernel with: its steps spell the number in binary."""
    steps = [ng.sin if number >> place & 1 else ng.exp for place in range(10)]

    def f(x):
        for step in steps:
            x = step(x) * 0.5
        return x

    return f


def compiled_and_called(number):
    f = ng.compile(different(number), threads=1)
    assert f(0.5) == pytest.approx(different(number)(0.5), rel=1e-12)
    return f


def test_native_code_is_freed_with_the_last_function_that_uses_it():
    compiled_and_called(0)  # the drivers stay with the first program
    gc.collect()
    before = len(native._engines)

    first, second = compiled_and_called(77), ng.compile(different(77), threads=1)
    second(0.5)
    assert len(native._engines) == before + 1
    del first
    assert len(native._engines) == before + 1
    assert second(0.25) == pytest.approx(different(77)(0.25), rel=1e-12)
    del second

    assert len(native._engines) == before


@LINUX
def test_many_different_functions_in_turn_need_no_more_memory_mappings():
    def mappings():
        return len(Path("/proc/self/maps").read_text().splitlines())

    compiled_and_called(0)
    before = mappings()
    for number in range(1, 101):
        compiled_and_called(number)

    assert mappings() < before + 20


def test_a_function_whose_kernels_are_there_is_compiled_without_llvm(monkeypatch):
    kept = compiled_and_called(3)
    jobs = []
    later = threads.later
    monkeypatch.setattr(threads, "later", lambda job: (jobs.append(job), later(job))[1])

    again = compiled_and_called(3)

    assert again is not kept
    assert not jobs


def test_the_driver_of_one_row_is_short():
    body = Body(1, exact=False)

    one_row(body)

    assert len(body.lines) < 40


@pytest.mark.parametrize("threads", [1, 2])
def test_long_results_of_many_outputs_begin_at_cache_lines_and_are_those_of_short_maps(threads):
    compiled = ng.compile(ng.value_and_grad(lambda x: ng.dot(x, x) * x[3]), threads=threads)
    X = np.random.default_rng(0).random((40_003, 16))

    values, slopes = compiled.map(X)
    parts = [compiled.map(X[start : start + 1_000]) for start in range(0, len(X), 1_000)]

    assert values.nbytes + slopes.nbytes > 2**22
    assert np.array_equal(values, np.concatenate([part for part, _ in parts]))
    assert np.array_equal(slopes, np.concatenate([part for _, part in parts]))
    assert {column.ctypes.data % 64 for column in (values, *slopes.T)} == {0}


def test_a_map_of_another_type_holds_no_copy_of_all_its_rows():
    compiled = ng.compile(lambda x: ng.dot(x, x))
    X = np.ones((400_000, 2), np.float32)
    compiled.map(X[:100], reduce="sum")

    tracemalloc.start()
    compiled.map(X, reduce="sum")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * X.nbytes / 3  # a copy as float64 takes twice as much as X


def test_unpickled_arrays_are_read_where_they_are(monkeypatch):
    compiled = ng.compile(lambda x: ng.dot(x, x), threads=1)
    X = pickle.loads(pickle.dumps(np.ones((100_000, 2))))
    compiled.map(X[:100])
    runs = []
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend.raise_held", lambda: runs.append(None))

    assert X.dtype is not np.dtype(float)
    assert compiled.map(X, reduce="sum") == 200_000.0
    assert len(runs) == 1  # arrays that are converted are run part by part


def test_only_a_driver_that_streams_writes_past_the_caches():
    texts = []
    for streams in (False, True):
        body = Body(16, False)
        texts.append(body.text("driver", Driver(sums=False, squares=True, streams=streams)(body)))

    assert ["!nontemporal" in text for text in texts] == [False, True]
    assert ["fence seq_cst" in text for text in texts] == [False, True]


def test_numbers_of_one_lane_are_no_vectors():
    body = Body(1, exact=False)

    Elementwise(True, (Step(ops.tanh, (Load(True, "one"),), False), Step(ops.lt, (0, 0), True)))(body)

    assert not [line for line in body.lines if "<" in line or "splat" in line]


WITHOUT_EXECUTABLE_MEMORY = """
import ctypes, warnings
import numpy as np
import nodegrad as ng

PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    print("no such prctl")
else:
    model = ng.nn.MLP(2, [40, 1], seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for each in (lambda x: x * ng.sin(x), lambda x: model([x, x])):
            compiled = ng.compile(each)
            print(compiled(2.0), compiled.map(np.array([2.0, 3.0])).tolist())
    print([str(each.message) for each in caught])
"""


@LINUX
def test_numpy_serves_where_memory_may_not_become_executable(run_python):
    found = run_python("-c", WITHOUT_EXECUTABLE_MEMORY).splitlines()
    if found == ["no such prctl"]:
        pytest.skip("this platform has no PR_SET_MDWE")
    x, rows = found[0].split(" ", 1)

    assert float(x) == pytest.approx(2.0 * np.sin(2.0))
    assert json.loads(rows) == pytest.approx([2.0 * np.sin(2.0), 3.0 * np.sin(3.0)])
    assert found[-1].count("memory may not become executable") == 1


NO_MORE_EXECUTABLE_MEMORY = """
import ctypes
import nodegrad as ng

compiled = ng.compile(lambda x: x * ng.sin(x))
compiled(2.0)
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    print("no such prctl")
else:
    print(compiled(0.0))
    print(ng.compile(lambda x: ng.exp(x) + ng.cos(x))(0.0))  # warns, and runs on NumPy
    try:
        compiled.map([1.0, 2.0])  # which needs another kernel
    except OSError as error:
        print(error.strerror)
"""


@LINUX
def test_native_code_runs_on_where_memory_may_no_longer_become_executable(run_python):
    found = run_python("-c", NO_MORE_EXECUTABLE_MEMORY).splitlines()
    if found == ["no such prctl"]:
        pytest.skip("this platform has no PR_SET_MDWE")
    *numbers, error = found

    assert numbers == ["0.0", "2.0"]
    assert "cannot allocate executable memory" in error


def test_numpy_serves_where_more_code_would_exhaust_the_memory_mappings(monkeypatch):
    monkeypatch.setattr(native, "_most_engines", lambda: 0)
    monkeypatch.setattr(backends, "_warned", set())

    f = ng.compile(different(500), backend="llvm")
    with pytest.warns(RuntimeWarning, match="memory mappings") as caught:
        found = [f(0.5), *f.map([0.5, 0.25])]

    assert found == pytest.approx([different(500)(x) for x in (0.5, 0.5, 0.25)], rel=1e-12)
    assert len(caught) == 1
