"""Record and lower: what one run leaves behind, and the program it becomes."""

import gc
import signal
import statistics
import threading

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler.eager import Eager
from nodegrad.compiler.lower import lower
from nodegrad.compiler.program import render
from nodegrad.compiler.ways import Ways
from nodegrad.observers import listen, listeners
from nodegrad.trees import flatten

WEIGHT = Value(0.5)


def recorded(f, *arguments):
    numbers, spec = flatten(arguments)
    return Eager(f, spec).record(numbers)


def test_branches_are_guards_with_their_lines():
    found = recorded(lambda x, y: x if x > y else y, 1.0, 2.0)

    ((node, (answer, line)),) = found.branches.items()
    assert node.op is ng.gt
    assert answer is False
    assert line.rpartition(":")[0] == __file__


def test_branches_in_a_library_have_the_line_that_calls_it():
    def f(x, y):
        first = statistics.median([x, y, 1.0])
        return first + statistics.median([x, y, 2.0])

    lines = [line for _, line in recorded(f, 3.0, 4.0).branches.values()]

    first = f.__code__.co_firstlineno + 1
    assert list(dict.fromkeys(lines)) == [f"{__file__}:{first}", f"{__file__}:{first + 1}"]


def test_a_comparison_asked_twice_is_one_guard():
    def f(x):
        positive = x > 0
        return x if positive and bool(positive) else -x

    assert len(recorded(f, 1.0).branches) == 1


def test_reads_name_the_line():
    found = recorded(lambda x: x * x.data, 3.0)

    assert found.reads[0].startswith(__file__)


def replay(f, spec, numbers, expected):
    return Ways(f, spec, make=None, most=1).replay(numbers, expected)


def test_a_replay_gives_the_results_of_a_run_that_answers_as_expected():
    _, spec = flatten((2.0,))

    assert replay(lambda x: [x * 2.0, 1.0] if x > 0 else x, spec, [3.0], [True])[1] == [6.0, 1.0]
    assert replay(lambda x: x, spec, [3.0], [True]) is None  # a branch too few


@pytest.mark.parametrize("wrt", [None, [WEIGHT]])
def test_a_new_trace_is_checked_by_a_sweep_over_floats(wrt):
    adjoints = []

    class Witness:
        def swept(self, direction, order, seeds, found):
            adjoints.append(found.values())

        def decided(self, node, answer):
            pass

        def read(self, node, how):
            pass

    with listen(Witness()):
        ng.compile(ng.value_and_grad(lambda x: x * ng.sin(x) * WEIGHT, wrt=wrt))(2.0)

    assert [{type(x) for x in each} for each in adjoints] == [{Value, float}, {float}]


def test_a_run_by_values_that_were_computed_sweeps_over_values():
    _, spec = flatten((2.0,))
    doubled = WEIGHT * 2.0

    found = replay(ng.grad(lambda x: x * doubled * WEIGHT, wrt=[doubled, WEIGHT]), spec, [3.0], [])

    assert found[1] == [1.5, 6.0]


@pytest.mark.parametrize("answers", [[True, True], [False, False], [True], []])
def test_a_replay_that_goes_another_way_runs_to_its_end_and_gives_nothing(answers):
    ran = []

    def f(x):
        try:
            x = x if x > 0 else -x
            return x if x > 1 else x * 2.0
        finally:
            ran.append(x)

    _, spec = flatten((2.0,))

    assert replay(f, spec, [0.5], answers) is None
    assert [x.data for x in ran] == [0.5]


def test_an_error_of_another_way_is_no_error_of_a_replay():
    def f(x):
        if x > 0:
            raise KeyError("positive")
        return x

    _, spec = flatten((2.0,))

    assert replay(f, spec, [2.0], [False]) is None
    with pytest.raises(KeyError, match="positive"):
        replay(f, spec, [2.0], [True])


def test_branches_of_other_threads_on_other_values_are_not_recorded():
    def f(x):
        thread = threading.Thread(target=lambda: bool(Value(1.0) > 0.0))
        thread.start()
        thread.join()
        return x

    assert recorded(f, 1.0).branches == {}


def test_nothing_observes_after_an_error():
    with pytest.raises(ZeroDivisionError):
        recorded(lambda x: 1 // 0, 1.0)

    assert listeners.all == ()


def lowered(recording):
    return lower(recording.inputs, recording.wanted)


def test_values_become_slots():
    w = Value(2.0)
    program, leaves, _ = lowered(recorded(lambda x, y: (x * w + 1.0, y), 3.0, 4.0))

    assert render(program) == "%0 = mul(x0, p0)\n%1 = add(%0, 1.0)\nreturn %1, x1"
    assert len(leaves) == 1
    assert leaves[0] is w


def test_constants_are_shared_but_zeros_of_two_signs_are_two():
    program, _, _ = lowered(recorded(lambda x: [x + 0.0, x - -0.0, x * 0.0, 0.5], 1.0))

    assert [str(number) for number in program.constants] == ["0.0", "-0.0", "0.5"]


def test_guards_follow_the_results():
    program, _, _ = lowered(recorded(lambda x: x * x if x > 1.0 else x, 2.0))

    assert render(program).splitlines()[-1] == "return %0, %1"
    assert {op.name for op in program.ops} == {"mul", "gt"}


INTERRUPTED_RECORDINGS = """
import gc, random, signal
import nodegrad as ng
from nodegrad import graph, loops
from nodegrad.observers import listeners

class Interrupted(BaseException):
    pass

def interrupt(*_):
    raise Interrupted

def cube(x):
    return ng.scan(lambda c, i: (c * x, None), x, length=2)[0]

ng.compile(cube, backend="numpy")(1.0)
thresholds, choose, interrupted, left = gc.get_threshold(), random.Random(0), 0, 0
signal.signal(signal.SIGALRM, interrupt)
for _ in range(1500):
    try:
        signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-5, 2e-3))
        while True:
            ng.compile(ng.grad(cube), backend="numpy")(1.0)
    except Interrupted:
        interrupted += 1
    active = [*listeners.all, *graph._blocks, loops.current_roller.get()]
    left += len(active) > 1 or any(active)
print(interrupted, left, gc.get_threshold() == thresholds)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers that signal")
def test_interrupts_at_any_moment_leave_no_recorder_behind(run_python):
    assert run_python("-W", "ignore", "-c", INTERRUPTED_RECORDINGS, timeout=120) == "1500 0 True\n"


class InterruptedLock:
    """A lock that is interrupted when it is taken for the second time."""

    taken = 0

    def __enter__(self):
        self.taken += 1
        if self.taken == 2:
            raise KeyboardInterrupt

    def __exit__(self, *_):
        pass


def test_an_interrupt_when_an_observer_leaves_leaves_none(monkeypatch):
    monkeypatch.setattr("nodegrad.observers.noting", InterruptedLock())
    before = listeners.all

    with pytest.raises(KeyboardInterrupt), listen(Seen := type("Seen", (), {"decided": None, "read": None})):
        assert Seen in listeners.all

    assert listeners.all == before


def test_an_interrupt_at_the_end_of_a_recording_restores_the_collector(monkeypatch):
    monkeypatch.setattr("nodegrad.graph.noting", InterruptedLock())
    before = gc.get_threshold()

    with pytest.raises(KeyboardInterrupt), ng.recording():
        assert gc.get_threshold() != before

    assert gc.get_threshold() == before
