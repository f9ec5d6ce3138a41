"""Patterns: which outputs depend on which inputs, and which columns share a sweep."""

import random

from nodegrad import Value, floor, where
from nodegrad.graph import topological_order
from nodegrad.patterns import groups, pattern


def test_outputs_depend_on_what_a_path_leads_to():
    x, y, z = Value(1.0), Value(2.0), Value(3.0)
    outputs = [x * y, z + 1.0, where(x > y, z, 2.0), floor(x) * y, Value(5.0) * 2.0, y]

    found = pattern(topological_order(*outputs), [x, y, z], outputs)

    assert found == [[0, 1], [2], [2], [1], [], [1]]


def test_no_two_columns_of_a_group_have_an_entry_in_one_row():
    generator = random.Random(1)
    for _ in range(50):
        rows = [sorted(generator.sample(range(20), generator.randrange(5))) for _ in range(30)]

        found = groups(rows, 20)

        assert sorted(column for group in found for column in group) == list(range(20))
        for group in found:
            assert all(len(set(group) & set(row)) <= 1 for row in rows)


def test_a_band_of_three_takes_three_groups():
    rows = [[i - 1, i, i + 1] for i in range(1, 99)]

    assert len(groups(rows, 100)) == 3
