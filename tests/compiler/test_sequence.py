"""Sequences: stages of native code that run again and again."""

import math

import numpy as np
import pytest

pytest.importorskip("llvmlite")

FIRST = np.zeros(1, np.int64)


def sequence():
    from nodegrad.compiler.backends.llvm.sequence import Sequence

    return Sequence()


@pytest.mark.parametrize("count", [1, 7, 31, 32, 33, 64, 100])
def test_the_squared_norm_is_that_of_the_numbers_of_its_turn(count):
    room = np.zeros(count + 32)
    numbers, found, kept = room[:count], np.zeros(1), np.zeros(3)
    given = np.random.default_rng(count).normal(size=(3, count))
    stages = sequence()
    stages.take(given, numbers, np.arange(count), advance=(count, 0, 0))
    stages.squares(numbers, found)
    stages.take(found, kept, FIRST, advance=(0, 0, 1))

    assert stages.run(0, 3) == 3
    assert kept == pytest.approx([math.fsum(each**2) for each in given], rel=1e-14)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_sum_that_is_not_finite_ends_the_sequence_in_its_turn(number):
    sums, found = np.zeros(1 + 32), np.zeros(1)
    stages = sequence()
    stages.take(np.array([1.0, number, 2.0]), sums, FIRST, advance=(1, 0, 0))
    stages.squares(sums[:1], found)
    stages.check(found)

    assert stages.run(0, 3) == 1
