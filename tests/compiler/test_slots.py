"""Index: runs, strides, rows plus columns, outer products."""

import numpy as np
import pytest

from nodegrad.compiler.slots import affine, outer, run_length, separable


@pytest.mark.parametrize(
    ("slots", "found"),
    [
        ([5], (5, 0)),
        ([3, 4, 5], (3, 1)),
        ([9, 7, 5, 3], (9, -2)),
        ([2, 2, 2], (2, 0)),
        ([1, 2, 4], None),
        ([0, 1, 1, 3], None),
    ],
)
def test_strides(slots, found):
    assert affine(np.array(slots)) == found


@pytest.mark.parametrize(
    ("slots", "length"),
    [([4, 4, 5, 5], 2), ([4, 4, 4], 3), ([1, 2, 3], 1), ([1, 1, 2], 1), ([1, 2, 2, 3], 1)],
)
def test_runs(slots, length):
    assert run_length(np.array(slots)) == length


def test_a_matrix_is_rows_plus_columns():
    rows, columns = np.array([10, 40, 20]), np.array([0, 3, 1])

    found = separable(rows[:, None] + columns)

    assert [part.tolist() for part in found] == [rows.tolist(), columns.tolist()]


def test_irregular_slots_are_not_taken_for_a_matrix():
    assert separable(np.array([[0, 1], [2, 4]])) is None


def test_every_pair_of_elements_is_an_outer_product():
    xs, ys = np.repeat([7, 3], 3), np.tile([1, 2, 9], 2)

    assert [part.tolist() for part in outer(xs, ys)] == [[7, 3], [1, 2, 9]]
    assert outer(xs, np.array([1, 2, 9, 1, 2, 8])) is None
