"""Threads that help: they share work, hand on what is raised, and never stand in the way."""

import multiprocessing
import os
from threading import Event, Thread, get_ident
from time import sleep

import numpy as np
import pytest

import nodegrad as ng
from nodegrad.compiler import backends
from nodegrad.compiler.backends import team
from nodegrad.compiler.backends.team import ask, judge

pytestmark = pytest.mark.skipif(backends.choose("auto") != "llvm", reason="threads are those of native code")
ON_LINUX = hasattr(os, "sched_setaffinity")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """Ask helpers whatever other programs do to the machine, unless a test is about that."""
    monkeypatch.setattr(team, "_pause", team._Pause())


@pytest.fixture
def everywhere(monkeypatch):
    """Let helpers go anywhere, so that they are asked on a machine with one processor too."""
    monkeypatch.setattr("nodegrad.compiler.backends.team._others", lambda: None)


def test_every_helper_does_the_work_once(everywhere):
    done = []

    for helper in ask(3, lambda: done.append(get_ident())):
        helper.result()

    assert len(set(done)) == 3
    assert get_ident() not in done


def test_helpers_hand_on_what_is_raised_and_go_on(everywhere):
    def fail():
        raise ArithmeticError("too much")

    with pytest.raises(ArithmeticError, match="too much"):
        ask(1, fail)[0].result()
    done = Event()
    ask(1, done.set)

    assert done.wait(10.0)


def test_work_that_is_called_off_is_not_done(everywhere):
    begun, go, done = Event(), Event(), []

    ask(1, lambda: (begun.set(), go.wait(10.0)))
    begun.wait(10.0)
    (late,) = ask(1, lambda: done.append(1))
    assert late.cancel()
    go.set()
    ask(1, lambda: None)[0].result()

    assert done == []


def test_after_a_stall_nobody_is_asked_for_a_while_and_for_longer_after_another(everywhere, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(team, "perf_counter", lambda: now[0])
    asked = []
    for waited in (0.0, 0.004, 0.004, 0.0, 0.004):
        judge(waited, 0.005)
        for later in (0.0, 0.06, 0.06):
            now[0] += later
            asked.append(len(ask(1, lambda: None)))

    assert asked == [1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1]


def test_short_waits_and_those_that_are_little_of_the_whole_are_no_stall(everywhere):
    judge(0.0001, 0.0001)
    judge(0.01, 0.1)

    assert len(ask(1, lambda: None)) == 1


@pytest.mark.skipif(not ON_LINUX, reason="processors are chosen on Linux")
def test_with_one_processor_nobody_is_asked():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert ask(1, lambda: None) == []
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not ON_LINUX or len(os.sched_getaffinity(0)) < 2, reason="takes two processors, on Linux")
def test_helpers_are_sent_to_other_processors():
    found = []

    ask(1, lambda: found.append(os.sched_getaffinity(0)))[0].result()

    assert len(os.sched_getaffinity(0) - found[0]) == 1


def summed(threads, rows=3000):
    """Return loss and gradient of a network, summed over rows by so many threads."""
    model = ng.nn.MLP(5, [24, 7], activation="tanh", seed=1)
    compiled = ng.compile(
        ng.value_and_grad(lambda x: ng.sum(model(x)), wrt=model.parameters()), threads=threads
    )
    X = np.random.default_rng(0).normal(size=(rows, 5))
    return [compiled.map(X[:count], reduce="mean") for count in (1, 15, 96, rows)]


def test_sums_are_the_same_to_the_bit_with_any_number_of_threads(everywhere, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._WORK", 1)
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._CACHE", 2**17)  # several blocks
    alone = summed(1)

    for threads in (2, 3, 7):
        for (loss, slope), (expected, slopes) in zip(summed(threads), alone, strict=True):
            assert loss == expected
            assert np.array_equal(slope, slopes)


def test_helpers_that_come_late_change_nothing(everywhere, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._WORK", 1)
    late = []
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.ask", lambda count, work: late.append(work) or [])
    compiled = ng.compile(lambda x: ng.exp(x) * x, threads=2)
    first = compiled.map(np.linspace(0.0, 1.0, 500), reduce="sum")
    second = compiled.map(np.linspace(1.0, 2.0, 500), reduce="sum")

    for work in late:
        work()

    assert len(late) == 2
    assert compiled.map(np.linspace(0.0, 1.0, 500), reduce="sum") == first != second


@pytest.mark.parametrize("reduce", [None, "sum"])
def test_what_is_raised_in_a_helper_alone_is_raised(reduce, everywhere, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._WORK", 1)
    # The helper is done before the caller looks.
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.judge", lambda *_: sleep(0.02))
    caller, helped = get_ident(), Event()

    def value(x):
        if get_ident() != caller:
            helped.set()
            raise KeyError("not in the table")
        if x > 100.0:
            helped.wait(10.0)
        return x

    compiled = ng.compile(ng.custom("looked_up", value, lambda x, out: 1.0), threads=2)
    compiled(2.0)

    with pytest.raises(KeyError, match="not in the table"):
        compiled.map(np.full(3000, 200.0), reduce=reduce)


def test_helpers_stop_when_the_caller_is_interrupted(everywhere, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._WORK", 1)
    caller, helped, done = get_ident(), Event(), []

    def value(x):
        if get_ident() == caller and x > 100.0:
            helped.wait(10.0)
            raise KeyboardInterrupt
        if x > 100.0:
            helped.set()
            done.append(x)
        return x

    compiled = ng.compile(ng.custom("interrupted", value, lambda x, out: 1.0), threads=2)
    compiled(2.0)

    with pytest.raises(KeyboardInterrupt):
        compiled.map(np.full(100_000, 200.0))

    before = len(done)
    sleep(0.02)
    assert 0 < len(done) == before < 80_000


def in_child(queue):
    queue.put(summed(2)[-1][0])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_works_without_the_threads_of_its_parent(everywhere, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm._WORK", 1)
    expected = summed(2)[-1][0]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=in_child, args=(queue,))

    child.start()
    child.join(30.0)

    assert child.exitcode == 0
    assert queue.get() == expected


def compile_in_child():
    assert ng.compile(lambda x: x * x + 1.5)(2.0) == 5.5


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_process_forked_while_another_thread_compiles_can_compile():
    begun, stop = Event(), Event()

    def keep_compiling():
        while not stop.is_set():
            kernel_of_its_own = ng.custom("anew", lambda x: x, lambda x, out: 1.0)
            ng.compile(kernel_of_its_own)(1.0)
            begun.set()

    other = Thread(target=keep_compiling, daemon=True)
    other.start()
    begun.wait(10.0)
    context = multiprocessing.get_context("fork")
    children = []
    for _ in range(4):
        children.append(context.Process(target=compile_in_child))
        children[-1].start()
    stop.set()
    for child in children:
        child.join(20.0)
    left = [child for child in children if child.exitcode is None]
    for child in left:
        child.kill()
    other.join()

    assert [child.exitcode for child in children] == [0] * 4
