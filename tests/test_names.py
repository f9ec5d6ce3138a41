"""The public names: all there, none surprising, and a typing slip answered with the name that was meant."""

import pytest

import nodegrad as ng
from nodegrad import special

PARTIALS_OWN = {"one_minus_square", "direction", "strong_mul", "strong_factor"}


def test_every_public_name_is_there():
    assert all(getattr(ng, name) is not None for name in ng.__all__)
    assert set(ng.__all__) == set(dir(ng))


def test_every_row_of_the_table_goes_by_its_name():
    for name, op in ng.ops.TABLE.items():
        if op.arity is not None and name not in PARTIALS_OWN:
            assert getattr(ng, name) is op


def test_rows_that_only_partials_and_sweeps_need_are_not_for_users():
    assert {op.name for op in ng.ops.PRIVATE} == PARTIALS_OWN
    assert not any(hasattr(ng, name) for name in PARTIALS_OWN)


def test_a_misspelt_name_lets_python_suggest_the_right_one():
    with pytest.raises(AttributeError, match="module 'nodegrad' has no attribute 'tahn'") as caught:
        ng.tahn

    assert (caught.value.name, caught.value.obj) == ("tahn", ng)


def test_every_row_is_public_or_for_partials_and_sweeps():
    composed = {"sum", "dot", "take"}  # rows that functions of the same names apply

    assert set(ng.ops.TABLE) - {*ng.ops.__all__, *special.__all__} == PARTIALS_OWN | composed
