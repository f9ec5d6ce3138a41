"""Leaves: the numbers of many Values at once, as native code and as Python finds them."""

import math

import numpy as np
import pytest

from nodegrad import Value
from nodegrad.compiler import backends, leaves
from nodegrad.compiler.leaves import Leaves

NUMBERS = [math.pi, -0.0, math.inf, -math.inf, 5e-324, 1e308, *np.linspace(-3.0, 3.0, 60).tolist()]


def often_read(values):
    found = Leaves(values)
    for _ in range(leaves._OFTEN):
        found.read()
    return found


@pytest.mark.skipif(backends.choose("auto") != "llvm", reason="needs llvmlite")
def test_native_code_finds_what_python_finds():
    found = often_read([Value(number) for number in NUMBERS])

    assert found.native
    assert found.read().tolist() == NUMBERS


def test_later_assignments_are_seen():
    values = [Value(number) for number in NUMBERS]
    found = often_read(values)

    values[3].data = 7

    assert found.read()[3] == 7.0


def test_few_leaves_are_read_by_python():
    found = often_read([Value(2.0), Value(3.0)])

    assert not found.native
    assert found.read().tolist() == [2.0, 3.0]


def test_native_code_that_reads_wrong_numbers_is_not_used(monkeypatch):
    monkeypatch.setattr(Leaves, "follow", lambda self: np.zeros(len(self.leaves)))
    monkeypatch.setattr(leaves, "_reader", lambda: print)

    found = often_read([Value(number) for number in NUMBERS])

    assert not found.native
    assert found.read().tolist() == NUMBERS
