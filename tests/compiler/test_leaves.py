"""Leaves: the numbers of many Values at once, read again only after one was assigned."""

import math
from threading import Thread

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler.trace import Leaves
from nodegrad.graph import clock

NUMBERS = [math.pi, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308]


def test_numbers_are_those_of_the_values():
    found = Leaves([Value(number) for number in NUMBERS]).read()

    assert found.tobytes() == np.array(NUMBERS).tobytes()


def test_numbers_are_read_once_until_one_is_assigned():
    values = [Value(number) for number in NUMBERS]
    leaves = Leaves(values)
    before = leaves.read()

    assert leaves.read() is before
    values[3].data = 7
    assert leaves.read()[3] == 7.0
    assert before[3] == -math.inf


@pytest.mark.parametrize("places", [[0], [2], [2, 2], [0, 2], [0, 1, 2], [1, 0, 1]])
def test_leaves_assigned_one_or_several_between_two_reads_are_all_read(places):
    values = [Value(1.0), Value(2.0), Value(3.0)]
    leaves = Leaves(values)
    leaves.read()

    for turn in range(3):
        for number, place in enumerate(places):
            values[place].data = 10.0 * turn + number + 4.0
        assert leaves.read().tolist() == [each.data for each in values]


@pytest.mark.parametrize("assign", [False, True])
def test_numbers_that_were_read_cannot_be_changed(assign):
    value = Value(7.0)
    leaves = Leaves([value])
    found = leaves.read()
    if assign:
        value.data = 1.0
        found = leaves.read()

    with pytest.raises(ValueError, match="read-only"):
        found[0] = 2.0


class Interrupted:
    """A node that lets others run in the middle of an assignment."""

    def __init__(self, meanwhile):
        self.meanwhile, self._data, self._time = meanwhile, 1.0, 0

    def __setattr__(self, name, value):
        if name == "_data" and hasattr(self, "_time"):
            self.meanwhile()
        object.__setattr__(self, name, value)


def test_a_number_read_by_a_signal_handler_in_an_assignment_is_read_again():
    node = Interrupted(lambda: leaves.read())
    leaves = Leaves([node])

    clock.assign([(node, 2.0)])

    assert leaves.read().tolist() == [2.0]


def test_a_thread_that_reads_during_an_assignment_waits_for_its_end():
    seen = []

    def read():
        seen.extend(leaves.read())

    def meanwhile():
        thread.start()
        thread.join(0.05)  # it does not end before the assignment does

    thread = Thread(target=read)
    node = Interrupted(meanwhile)
    leaves = Leaves([node])

    clock.assign([(node, 2.0)])
    thread.join()

    assert seen == [2.0]


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_every_way_to_call_sees_the_last_assignment(backend):
    w = Value(1.0)
    f = ng.compile(lambda x: ng.dot(x, x) * w, backend=backend)
    rows = np.array([[1.0, 2.0]])

    for number in (2.0, 3.0, 3.0, -1.0):
        w.data = number
        expected = 5.0 * number
        assert [f([1.0, 2.0]), f(rows[0]), f((1.0, 2.0))] == [expected] * 3
        for _ in range(3):
            assert f.map(rows).tolist() == [expected]
            assert f.map(rows, reduce="sum") == expected
