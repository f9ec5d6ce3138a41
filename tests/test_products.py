"""Products of the chain rule: which zeros win over infinities and nan, and what is recorded."""

import math

import pytest

import nodegrad as ng
from nodegrad import Value, ops
from nodegrad.products import chain, mask_of, masked, union


@pytest.mark.parametrize("upstream", [math.inf, -math.inf, math.nan, 5.0, 0.0])
def test_zero_downstream_is_a_strong_zero(upstream):
    assert chain(0.0, upstream) == 0.0
    assert chain(0.0, Value(upstream)) == 0.0
    assert chain(Value(0.0), upstream).data == 0.0
    assert chain(Value(0.0), Value(upstream)).data == 0.0


@pytest.mark.parametrize("downstream", [1.0, -1.0, 2.5, -3.0, math.inf])
@pytest.mark.parametrize("upstream", [1.0, -1.0, 0.5, -2.0, -math.inf])
def test_other_products_are_products(downstream, upstream):
    expected = downstream * upstream

    assert chain(downstream, upstream) == expected
    assert chain(downstream, Value(upstream)).data == expected
    assert chain(Value(downstream), upstream).data == expected
    assert chain(Value(downstream), Value(upstream)).data == expected


def test_zero_upstream_is_not_a_strong_zero():
    assert math.isnan(chain(math.inf, 0.0))
    assert math.isnan(chain(Value(math.inf), Value(0.0)).data)


def test_factors_equal_to_one_are_not_recorded():
    x = Value(3.0)

    assert chain(1.0, x) is x
    assert chain(x, 1.0) is x
    assert chain(x, -1.0).op is ng.neg
    assert chain(x, 2.0).op is ng.mul
    assert chain(x, math.inf).op is ops.strong_mul
    assert chain(x, Value(2.0)).op is ops.strong_mul


INFINITE = [math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("adjoint", [0.0, 1.0, -1.0, 2.5, -3.0])
@pytest.mark.parametrize("partial", [5.0, 0.0, -1.0, 1.0, *INFINITE])
def test_rows_of_the_strong_product(adjoint, partial):
    product = adjoint * partial if adjoint else 0.0
    kept = partial if adjoint or math.isfinite(partial) else 0.0

    for found, expected in [
        (ops.strong_mul(adjoint, partial), product),
        (ops.zero_mul(adjoint, partial), product if partial else 0.0),
        (ops.zero_mul(partial, adjoint), product if partial else 0.0),
        (ops.strong_factor(adjoint, partial), kept),
        (ng.grad(ops.zero_mul, 0)(adjoint, partial), kept),
        (ng.grad(ops.zero_mul, 1)(adjoint, partial), adjoint),
        (ng.grad(ops.strong_mul, 0)(adjoint, partial), kept),
        (ng.grad(ops.strong_mul, 1)(adjoint, partial), adjoint),
        (ng.grad(ops.strong_factor, 0)(adjoint, partial), 0.0),
        (ng.grad(ops.strong_factor, 1)(adjoint, partial), 1.0 if adjoint or math.isfinite(partial) else 0.0),
    ]:
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_a_partial_that_is_no_selection_has_the_mask_of_its_operand():
    mask, partial = Value(0.0), Value(math.inf)

    assert masked(2.0, None, None) == (2.0, None)
    assert masked(2.0, mask, None)[1] is mask
    assert masked(partial, None, None)[0] is partial
    finite, passed = masked(partial, mask, None)
    assert finite.data == 0.0  # what the mask leaves out has no infinite slope
    assert passed is mask


def test_a_selection_is_a_mask_inside_the_mask_of_its_operand():
    mask, chosen = Value(0.0), Value(1.0) > 0.0

    assert masked(chosen, None, chosen)[1] is chosen
    assert masked(chosen, mask, chosen)[1].data == 0.0
    assert masked(chosen, Value(1.0), chosen)[1].data == 1.0


def test_union_of_masks_is_zero_where_all_are():
    a, b, slope = Value(1.0) > 2.0, Value(3.0) > 2.0, Value(-0.5)

    assert union([a, a]) is a
    assert not union([a, a])
    assert all(union(masks) for masks in ([a, b], [a, slope], [slope, Value(0.5)]))
    assert union([b, a, slope], {a: 1, b: 2, slope: 3}) is a  # the one that is not 0 where the others are not


def test_an_operation_that_selects_one_of_several_tangents_always_has_one():
    x, y, mask = Value(1.0), Value(2.0), Value(0.0)
    by_x, by_y = Value(1.0), Value(0.0)

    assert mask_of(ng.where(x > y, x, y), [None, None], [by_x, by_y]) is None
    assert mask_of(ng.maximum(x, y), [mask, mask], [by_x, by_y]) is mask
    assert mask_of(ng.where(x > y, x, 0.0), [None], [by_x]) is by_x
    assert mask_of(ng.relu(x), [None], [by_x]) is by_x
    assert mask_of(ng.maximum(x, y), [None, mask], [by_x, by_y]).data == 1.0


@pytest.mark.parametrize("zero", [0.0, Value(0.0)])
def test_a_factor_of_zero_is_as_strong_whether_it_is_a_number_or_a_value(zero):
    adjoint = Value(math.nan)

    assert math.isnan(chain(adjoint, zero).data)
    chain(adjoint, zero).backward()
    assert adjoint.grad == 0.0
