"""Reads: operands in an array, and as tuples."""

import pytest

from nodegrad import ops
from nodegrad.compiler.program import Program
from nodegrad.compiler.reads import Reads, uses_of

ROWS = [(0, 1), (), (2, -1, 3), (1,)]


def test_operands_come_back_as_they_were():
    reads = Reads.of(ROWS)

    assert [*reads] == ROWS
    assert [reads[index] for index in range(-4, 4)] == ROWS * 2
    assert len(reads) == 4
    assert Reads.of(reads) is reads
    assert [*Reads.of([])] == []
    with pytest.raises(IndexError):
        reads[4]


def test_some_are_taken_in_any_order():
    assert [*Reads.of(ROWS).take([2, 0, 2, 1])] == [ROWS[2], ROWS[0], ROWS[2], ()]
    assert [*Reads.of(ROWS).take([])] == []


def test_some_are_replaced_and_others_come_behind_them():
    assert [*Reads.of(ROWS).replaced({2: (7,), 1: (5, 6)})] == [(0, 1), (5, 6), (7,), (1,)]
    assert [*Reads.of(ROWS).replaced({})] == ROWS
    assert [*Reads.of(ROWS).extended([(), (4, 4)])] == [*ROWS, (), (4, 4)]


def test_uses_are_counted_outputs_included():
    program = Program(1, 1, [2.0], [ops.mul, ops.add], [(0, 0), (2, -1)], [3, 1, -1])

    assert uses_of(program).tolist() == [2, 1, 1, 1, 2]
    assert uses_of(Program(0, 0)).tolist() == []
