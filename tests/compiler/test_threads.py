"""Threads share rows, pass on errors, and change no result."""

import gc
import multiprocessing
import os
import signal
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Event, Thread, get_ident
from time import perf_counter, sleep

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value, forks, ops
from nodegrad.compiler import backends
from nodegrad.compiler.program import Program
from nodegrad.observers import listeners

native = pytest.importorskip("nodegrad.compiler.backends.llvm.native", reason="needs llvmlite")


@pytest.fixture(autouse=True)
def _many_pieces(monkeypatch):
    """Cut rows into as many pieces as possible, and each piece into several blocks."""
    for name, value in {"_WORK": 1, "_WORK_PER_SUM": 0, "_BLOCK_PER_SUM": 0}.items():
        monkeypatch.setattr(f"nodegrad.compiler.backends.llvm.backend.{name}", value)


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def summed(threads, rows=3000):
    """Return loss and gradient of a network, summed over rows by so many threads."""
    model = ng.nn.MLP(5, [24, 7], activation="tanh", seed=1)
    compiled = ng.compile(
        ng.value_and_grad(lambda x: ng.sum(model(x)), wrt=model.parameters()), threads=threads
    )
    X = np.random.default_rng(0).normal(size=(rows, 5))
    return [compiled.map(X[:count], reduce="mean") for count in (1, 15, 96, rows)]


def test_sums_are_the_same_to_the_bit_with_any_number_of_threads():
    alone = summed(1)

    for threads in (2, 3, 7):
        for (loss, slope), (expected, slopes) in zip(summed(threads), alone, strict=True):
            assert loss == expected
            assert np.array_equal(slope, slopes)


def test_other_threads_run_during_a_map_of_few_rows():
    turns = ng.compile(
        lambda x: ng.while_loop(
            lambda s: s[0] > 0.0, lambda s: (s[0] - 1.0, ng.sin(s[1])), (x, x), limit=10**9
        )
    )
    for _ in range(3):
        turns.map(np.ones(2))
    ticks, ended = [], Event()

    def tick():
        while not ended.wait(0.001):
            ticks.append(None)

    thread = Thread(target=tick)
    thread.start()
    before = len(ticks)
    turns.map(np.full(2, 3e6))
    during = len(ticks) - before
    ended.set()
    thread.join()

    assert during > 5


@pytest.mark.filterwarnings("error")
def test_pieces_whose_sums_cancel_out_of_range_give_no_warning():
    compiled = ng.compile(lambda x: 2.0 * x, threads=2)

    assert np.isnan(compiled.map(np.repeat([np.inf, -np.inf], 1536), reduce="sum"))


@pytest.mark.parametrize("reduce", [None, "sum"])
def test_errors_in_a_helper_thread_reach_the_caller(reduce):
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


def test_helpers_stop_when_the_caller_is_interrupted():
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


def test_errors_of_the_prologue_are_raised_though_helpers_take_all_rows():
    def value(x):
        if x > 100.0:
            raise KeyError("not in the table")
        return x

    looked_up = ng.custom("looked_up_once", value, lambda x, out: 1.0)
    program = Program(1, 1, (), [looked_up, ops.mul], [(1,), (0, 2)], [3])
    made = backends.make(program, name="llvm", exact=False, threads=2)

    with pytest.raises(KeyError, match="not in the table"):
        made.rows([np.ones((3000, 1))], 3000, np.array([200.0]))


def test_kernels_of_an_interrupted_compilation_are_not_taken_for_later_ones(monkeypatch):
    load = native.load_kernels

    def interrupted(*code):
        load(*code)
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "load_kernels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ng.compile(ng.custom("once", lambda x: x + 1.0, lambda x, out: 1.0))(1.0)

    monkeypatch.setattr(native, "load_kernels", load)

    assert ng.compile(ng.custom("again", lambda x: x + 2.0, lambda x, out: 1.0))(1.0) == 3.0


def test_the_main_thread_where_ctrl_c_is_raised_never_calls_llvm(monkeypatch):
    from llvmlite.binding import ffi

    callers = set()
    call = ffi._lib_fn_wrapper.__call__

    def seen(function, *arguments):
        callers.add(get_ident())
        return call(function, *arguments)

    monkeypatch.setattr(ffi._lib_fn_wrapper, "__call__", seen)
    f = ng.compile(lambda x: ng.sin(x * 0.7239) + ng.exp(x))
    f(1.0), f.map(np.ones(3)), f.map(np.ones(3), reduce="sum")
    del f
    ng.compile(lambda x: ng.cos(x * 0.7239))(1.0)

    assert callers
    assert get_ident() not in callers


INTERRUPT_COMPILATIONS = """
import itertools, signal, time
import numpy as np
import nodegrad as ng

class Interrupted(Exception):
    pass

armed = False  # whether the code below can catch it

def interrupt(*_):
    if armed:
        raise Interrupted

def compile_and_call(number):
    f = ng.compile(lambda x: ng.sin(x * number) + ng.exp(x))
    assert f(0.0) == 1.0
    assert f.map(np.zeros(40), reduce="mean") == 1.0

compile_and_call(1)
signal.signal(signal.SIGALRM, interrupt)
numbers, interrupted, deadline = itertools.count(2), 0, time.monotonic() + 3.0
while time.monotonic() < deadline:
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0007 * (interrupted % 29), 0.05)
        while time.monotonic() < deadline:
            compile_and_call(next(numbers))
        armed = False
    except Interrupted:
        armed = False
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
compile_and_call(0.5)
print(interrupted > 20)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers that signal")
def test_compilations_that_are_interrupted_break_no_later_ones(run_python):
    assert run_python("-W", "ignore", "-c", INTERRUPT_COMPILATIONS, timeout=60).strip() == "True"


COMPILE_MEANWHILE = """
from nodegrad.compiler.backends.llvm import native

kept = []

def compile_one(meanwhile):
    class Kernel:
        def __call__(self, body):
            meanwhile()
            return "ptr %x"

    kept.extend(native.compile_kernels([(Kernel(), 1)], exact=False))
    print(kept[-1].address)

compile_one(lambda: compile_one(lambda: None))
"""


def test_a_kernel_may_be_compiled_while_another_is_written(run_python):
    inner, outer = run_python("-c", COMPILE_MEANWHILE, timeout=20).split()

    assert inner != outer


def test_a_compiled_function_gives_its_memory_back_at_once():
    compiled = ng.compile(lambda x: x * ng.sin(x), threads=1)
    compiled.map(np.ones(1000), reduce="sum")
    (trace,) = next(iter(compiled.traces.values()))
    part = weakref.ref(trace.kernels["all" if "all" in trace.kernels else "results"]._parts["sums"])
    gc.disable()
    try:
        del compiled, trace

        assert part() is None
    finally:
        gc.enable()


class HandedOver:
    """A lock for which another thread waits; that thread goes on as soon as it is free."""

    def __init__(self, waiting):
        self.waiting = waiting

    def acquire(self):
        pass

    def release(self):
        self.waiting()


def test_forks_of_two_threads_keep_their_locks_apart(monkeypatch):
    others = object()
    monkeypatch.setattr(forks, "_held", [])
    monkeypatch.setattr(forks, "_ORDER", [HandedOver(lambda: forks._held.append(others))])

    forks._hold()
    forks._release()

    assert forks._held == [others]


def in_child(queue):
    queue.put(summed(2)[-1][0])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_process_works_without_the_threads_of_its_parent():
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


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform has no fork")
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


def test_a_function_may_wait_for_a_thread_that_compiles_another(executor):
    inner = ng.compile(lambda x: x * 3.0)
    outer = ng.compile(lambda x: x * executor.submit(inner, 2.0).result(20))

    assert outer(5.0) == 30.0


def test_functions_that_wait_for_each_others_threads_do_not_lock(executor):
    met = Barrier(2, timeout=20)

    def body(x):
        with suppress(BrokenBarrierError):
            met.wait(0.2)  # both record at once, the first time
        return x * 2.0 if x > 0 else -x

    compiled = [ng.compile(body) for _ in range(2)]

    found = list(executor.map(lambda f: [f(x) for x in (1.0, -1.0, 3.0, -2.0)], compiled))

    assert found == [[2.0, 1.0, 6.0, 2.0]] * 2


def test_a_compile_may_overlap_the_end_of_another_threads_anomaly_detection(executor):
    block, ended = ng.detect_anomaly(), []
    executor.submit(block.__enter__).result(20)

    def f(x):
        if not ended:
            ended.append(executor.submit(block.__exit__, None, None, None).result(20))
        return x if x > 0 else -x

    compiled = ng.compile(f)

    assert [compiled(x) for x in (2.0, -2.0, -3.0)] == [2.0, 2.0, 3.0]


def test_branches_of_other_threads_belong_to_their_own_functions(executor):
    stop = Event()

    def train():
        w = Value(5.0)
        while not stop.is_set():
            w = w * 0.5 if w > 1.0 else w + 4.0

    training = executor.submit(train)
    try:
        compiled = [ng.compile(lambda x, k=k: x * k if x > 0 else -x) for k in (1.0, 2.0, 3.0)]
        found = [[f(x) for x in (2.0, -1.0, -2.0)] for f in compiled]
    finally:
        stop.set()
        training.result(20)

    assert found == [[2.0 * k, 1.0, 2.0] for k in (1.0, 2.0, 3.0)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def turned(turns=20_000):
    """Take many branches on one long graph; return how long it took."""
    started, x = perf_counter(), Value(1.0)
    for _ in range(turns):
        x = x * 0.5 + 1.0
        if x > 9.0:
            break
    return perf_counter() - started


def test_branches_of_another_thread_are_not_slow_while_one_records(executor):
    alone, waited = turned(), []

    ng.compile(lambda x: waited.append(executor.submit(turned).result()) or x, backend="numpy")(1.0)

    assert max(waited) < 50.0 * alone  # 200 times as long and more if the graph is walked at each branch


def test_a_process_forked_while_another_thread_records_hears_nothing_of_it(executor):
    recording, done = Event(), Event()

    def f(x):
        recording.set()
        done.wait(20)
        return x

    waiting = executor.submit(ng.compile(f), 1.0)
    recording.wait(20)
    queue = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(len(listeners.all)))
    child.start()
    child.join(20)
    done.set()

    assert waiting.result(20) == 1.0
    assert queue.get() == 0


COMPILE_CALL_FORK_AND_INTERRUPT = """
import os, signal, threading, time
import numpy as np
import nodegrad as ng

class Interrupted(Exception):
    pass

def interrupt(*_):
    raise Interrupted

def compile_and_call(number):
    f = ng.compile(lambda x: ng.sin(x * number) + (x if number % 2 else ng.exp(x)), threads=2)
    assert abs(f(0.0) - (1.0 - number % 2)) < 1e-12
    assert f.map(np.zeros(40), reduce="mean") == f(0.0)

def work(number):
    while not stop.is_set():
        compile_and_call(number)
        rounds[number] += 1

compile_and_call(1)  # a process that forks while a module is imported is Python's to mend
stop, rounds, children, interrupted = threading.Event(), [0] * 8, [], 0
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
signal.signal(signal.SIGALRM, interrupt)
deadline = time.monotonic() + 2.0
while time.monotonic() < deadline or min(rounds) < 2 or len(children) < 6:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # once: what follows is not interrupted
        compile_and_call(len(children) + 8)
        time.sleep(1.0)
    except Interrupted:
        interrupted += 1
    if len(children) < 6:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)  # a child that hangs dies of it
            compile_and_call(100)
            os._exit(0)
        children.append(child)
stop.set()
for thread in threads:
    thread.join()
print(interrupted > 0, [os.waitpid(child, 0)[1] for child in children])
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform has no fork")
def test_eight_threads_compile_and_call_while_the_main_one_forks_and_is_interrupted(run_python):
    found = run_python("-W", "ignore", "-c", COMPILE_CALL_FORK_AND_INTERRUPT, timeout=60)

    assert found.strip() == f"True {[0] * 6}"


FORK_WHILE_IMPORTING = """
import importlib.abc, os, signal, sys, threading, time
import nodegrad as ng

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "nodegrad.compiler.passes":
            begun.set()
            time.sleep(0.3)

begun = threading.Event()
sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: ng.compile(lambda x: x * x)(3.0))
thread.start()
begun.wait()
child = os.fork()
if not child:
    signal.alarm(20)  # a child that hangs dies of it
    os._exit(int(ng.compile(lambda x: x * x)(3.0)))
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_process_forked_while_the_compiler_is_imported_can_compile(run_python):
    assert run_python("-W", "ignore", "-c", FORK_WHILE_IMPORTING, timeout=60) == "9\n"


class NoThreads:
    """Keeps the jobs it is given, and has no thread to do them."""

    def __init__(self):
        self.jobs = []

    def give(self, job, most):
        self.jobs.append(job)
        raise RuntimeError("can't start new thread")


def test_the_caller_takes_all_rows_where_no_thread_can_be_started(monkeypatch):
    threads, expected = NoThreads(), summed(1)
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.threads.helpers", threads)

    found = summed(3)

    assert threads.jobs
    assert [loss for loss, _ in found] == [loss for loss, _ in expected]
    for job in threads.jobs:
        job()  # a thread comes upon it later: it finds nothing to do


def test_a_helper_that_nobody_announced_is_waited_for(monkeypatch):
    begun = Event()
    compiled = ng.compile(lambda x: slow(x), threads=2)
    slow = ng.custom("slow", lambda x: sleep(0.001) or 2.0 * x, lambda x, out: 2.0)
    X = np.arange(200.0)

    class Late(NoThreads):
        def give(self, job, most):
            Thread(target=lambda: begun.set() or job()).start()
            begun.wait()
            sleep(0.05)
            super().give(job, most)

    monkeypatch.setattr("nodegrad.compiler.backends.llvm.threads.helpers", Late())

    assert compiled.map(X, reduce="sum") == 2.0 * X.sum()


INTERRUPTED_MAPS = """
import random, signal
import numpy as np, nodegrad as ng

def interrupt(*_):
    raise KeyboardInterrupt

compiled, X = ng.compile(ng.nn.MLP(2, [32, 32, 1], seed=0), threads=2), np.ones((6000, 2))
expected, choose, interrupted, wrong = compiled.map(X), random.Random(0), 0, 0
signal.signal(signal.SIGALRM, interrupt)
for _ in range(800):
    try:
        signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-5, 4e-3))
        while True:
            compiled.map(X)
    except KeyboardInterrupt:
        interrupted += 1
    wrong += not np.array_equal(compiled.map(X), expected)
print(interrupted, wrong)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers")
def test_maps_that_threads_share_go_on_after_interrupts_at_any_moment(run_python):
    assert run_python("-c", INTERRUPTED_MAPS, timeout=120) == "800 0\n"


AT_THE_END = """
import sys, threading, time
import numpy as np, nodegrad as ng
compiled = ng.compile(ng.nn.MLP(2, [32, 32, 1], seed=0), threads=2)
X = np.ones((200_000, 2))
if sys.argv[1:]:
    compiled.map(X)
def late():
    threading.main_thread().join()
    time.sleep(0.1)
    print(compiled.map(X).shape)
threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("before", [(), ("before",)], ids=["first map", "later map"])
def test_a_thread_that_outlives_the_main_thread_maps_many_rows(run_python, before):
    assert run_python("-c", AT_THE_END, *before) == "(200000,)\n"
