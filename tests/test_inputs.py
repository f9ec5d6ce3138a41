"""Checks of what comes in: one grammar of refusals, in every place that refuses."""

import math

import numpy as np
import pytest

import nodegrad as ng
from nodegrad.inputs import as_array, as_list, one_of, positive, whole


@pytest.mark.parametrize("given", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_of_any_kind_come_out_as_ints(given):
    assert type(whole("f", "n", given)) is int
    assert whole("f", "n", given) == 3


@pytest.mark.parametrize("given", [0, -1, 2.0, 2.5, "3", None, True, [3], math.nan, ng.Value(3.0)])
def test_only_whole_numbers_are_accepted(given):
    with pytest.raises(ValueError, match=r"^f takes n as a whole number of at least 1; got ") as caught:
        whole("f", "n", given)

    assert f"{given!r}" in str(caught.value)


def test_none_is_taken_where_it_is_optional():
    assert whole("f", "n", None, optional=True) is None
    with pytest.raises(ValueError, match="of at least 2, or None; got 1"):
        whole("f", "n", 1, 2, optional=True)


@pytest.mark.parametrize("given", [0, -1.0, math.nan, -math.inf])
def test_what_is_not_positive_is_refused(given):
    with pytest.raises(ValueError, match="^f takes x as a number above 0; got"):
        positive("f", "x", given)


def test_positive_numbers_come_out_as_floats():
    assert type(positive("f", "x", np.float32(2.0))) is float
    with pytest.raises(TypeError, match="f: x takes a real number; got 'a'"):
        positive("f", "x", "a")


@pytest.mark.parametrize("given", ["c", 1, True, None, np.array([1]), ["a"]])
def test_unknown_names_are_refused_with_those_known_and_the_remedy(given):
    with pytest.raises(ValueError, match="^f takes kind from a, b; got .* Or give a function."):
        one_of("f", "kind", given, ("a", "b"), "Or give a function.")


PLACES = [
    lambda wrong: ng.nn.MLP(wrong, [1]),
    lambda wrong: ng.nn.MLP(2, [wrong]),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], epochs=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], batch_size=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], patience=wrong),
    lambda wrong: ng.data.make_moons(wrong),
    lambda wrong: ng.data.minibatches([1], [1], wrong),
    lambda wrong: ng.optim.cosine(0.1, wrong),
    lambda wrong: ng.compile(ng.sin, max_traces=wrong),
    lambda wrong: ng.compile(ng.sin, threads=wrong),
    lambda wrong: ng.check_grad(ng.sin, 1.0, order=wrong),
    lambda wrong: ng.draw(ng.Value(1.0), limit=wrong),
    lambda wrong: ng.paths(ng.Value(1.0), ng.Value(1.0), wrong),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wrong", [0, -3, 2.5, "3", True])
def test_every_whole_number_is_checked_by_the_same_words(place, wrong):
    with pytest.raises(ValueError, match=r"^\w+ takes \w+ as a whole number of at least 1(, or None)?; got "):
        place(wrong)


CHOICES = [
    lambda wrong: ng.nn.Neuron(1, wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], loss=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], optimizer=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], metrics=[wrong]),
    lambda wrong: ng.jacobian(ng.sin, mode=wrong),
    lambda wrong: ng.compile(ng.sin).map([1.0], reduce=wrong),
    lambda wrong: ng.draw(ng.Value(1.0), rankdir=wrong),
]


@pytest.mark.parametrize("place", CHOICES)
@pytest.mark.parametrize("wrong", ["nonsense", 3])
def test_every_name_from_a_list_is_checked_by_the_same_words(place, wrong):
    with pytest.raises(ValueError, match=r"^\w+ takes \w+ from .*; got "):
        place(wrong)


def test_a_masked_array_is_refused_wherever_numbers_come_in():
    masked = np.ma.masked_array([[1.0, 2.0]], [[True, False]])

    for take in (as_array, as_list, ng.compile(lambda row: row[0]).map, ng.nn.Neuron(2)):
        with pytest.raises(TypeError, match="without a mask"):
            take(masked)
