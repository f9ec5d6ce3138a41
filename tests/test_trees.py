"""Trees: taken apart and put together, for one row and for columns of rows."""

from collections import namedtuple

import numpy as np
import pytest

from nodegrad.compiler.trees import LEAF, builder, flatten, stack, unflatten

Point = namedtuple("Point", "x y")

TREES = [
    1.0,
    [1.0, 2.0],
    (1.0, [2.0, (3.0,)], {"a": 4.0, "b": [5.0]}),
    Point(1.0, Point(2.0, 3.0)),
    {"b": 1.0, "a": (2.0, 3.0)},
    [],
    ([], 1.0),
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_what_is_taken_apart_is_put_together_again(tree):
    leaves, spec = flatten(tree)

    assert unflatten(spec, leaves) == tree
    assert hash(spec) == hash(flatten(tree)[1])


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_trees_of_an_array_hold_python_floats(tree):
    leaves, spec = flatten(tree)

    again = builder(spec, True)(np.array(leaves, float), 0, float)[0]

    assert again == tree
    assert all(type(leaf) is float for leaf in flatten(again)[0])


def test_leaves_come_from_left_to_right():
    assert flatten([1, (2, {"a": 3}), np.array([[4, 5], [6, 7]])])[0] == [1, 2, 3, 4, 5, 6, 7]


def test_arrays_keep_their_shape():
    leaves, spec = flatten(np.arange(6.0).reshape(2, 3))

    again = unflatten(spec, leaves, float)

    assert again.dtype == np.float64
    assert again.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_an_array_without_dimensions_is_a_number():
    assert flatten(np.array(2.0))[1] == LEAF


def test_columns_are_stacked_with_rows_first():
    _, spec = flatten(([0, {"a": 0}], np.zeros((1, 2))))

    (first, second), array = stack(spec, iter(np.arange(12.0).reshape(4, 3)))

    assert first.tolist() == [0.0, 1.0, 2.0]
    assert second["a"].tolist() == [3.0, 4.0, 5.0]
    assert array.tolist() == [[[6.0, 9.0]], [[7.0, 10.0]], [[8.0, 11.0]]]


def test_the_larger_part_of_an_array_is_not_copied_and_smaller_ones_do_not_keep_it_alive():
    spec = (tuple, None, (LEAF, (np.ndarray, (2, 3), ()), (np.ndarray, (2,), ())))
    numbers = np.arange(9.0)

    (one, large, small), end = builder(spec, True)(numbers, 0, float)

    assert (one, large.tolist(), small.tolist(), end) == (0.0, [[1, 2, 3], [4, 5, 6]], [7, 8], 9)
    assert np.shares_memory(large, numbers)
    assert not np.shares_memory(small, numbers)
