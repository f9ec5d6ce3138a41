"""Trees: taken apart and put together, for one row and for columns of rows."""

import pickle
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from functools import cached_property

import attrs
import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.trees import LEAF, build, builder, flatten, stack

Point = namedtuple("Point", "x y")


class Pair(tuple):
    """A tuple whose class takes its entries one by one."""

    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class Named(list):
    """A list with an attribute."""

    def __init__(self, name, *entries):
        super().__init__(entries)
        self.name = name


class Settings(OrderedDict):
    """A dict whose class must be told a name."""

    def __init__(self, name, **entries):
        super().__init__(**entries)
        self.name = name


@dataclass
class Ball:
    """A data class."""

    place: tuple
    mass: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """A data class that refuses assignments and numbers below 0."""

    low: float
    high: float

    def __post_init__(self):
        if not self.low > 0.0:
            raise ValueError


@attrs.frozen
class Spring:
    """An attrs class."""

    stiffness: float
    ends: tuple


CONTAINERS = [
    [1.0, 2.0],
    (1.0, 2.0),
    {"a": 1.0, 1: 2.0},
    Point(1.0, 2.0),
    Pair(1.0, 2.0),
    Named("n", 1.0, 2.0),
    Settings("s", b=1.0, a=2.0),
    OrderedDict(b=1.0, a=2.0),
    defaultdict(list, a=1.0, b=2.0),
    Counter(a=1.0, b=2.0),
    Ball((1.0,), 2.0),
    Frozen(1.0, 2.0),
    Spring(1.0, (2.0,)),
    np.array([1.0, 2.0]),
    [np.array(1.0), np.array(2.0)],
]


def entries(tree):
    """Return the two numbers in a container, by the means of its own class."""
    match tree:
        case Ball():
            return [tree.place[0], tree.mass]
        case Frozen():
            return [tree.low, tree.high]
        case Spring():
            return [tree.stiffness, tree.ends[0]]
        case dict():
            return list(tree.values())
    return list(tree)


def outline(tree):
    """Return the class of a container, its keys and its attributes."""
    keys = [(key, type(key)) for key in tree] if isinstance(tree, dict) else None
    return type(tree), keys, getattr(tree, "name", None), getattr(tree, "default_factory", None)


CASES = pytest.mark.parametrize("tree", CONTAINERS, ids=lambda tree: type(tree).__name__)


@CASES
def test_gradient_comes_out_as_the_argument_came_in(tree):
    found = ng.grad(lambda p: entries(p)[0] ** 2 - 3.0 * entries(p)[1])(tree)

    assert outline(found) == outline(tree)
    assert entries(found) == [2.0, -3.0]


@CASES
def test_compiled_functions_take_and_return_containers(tree):
    def doubled(p):
        first, second = entries(p)
        return build(flatten(p)[1], [2.0 * first, second + first])

    for f in (ng.compile(doubled), doubled):
        found = f(tree)

        assert outline(found) == outline(tree)
        assert entries(found) == [2.0, 3.0]


@CASES
def test_rows_of_a_map_arrive_as_they_stand_in_a_list(tree):
    def f(p):
        assert outline(p) == outline(tree)
        return entries(p)[0] - entries(p)[1]

    assert ng.compile(f).map([tree, tree, tree]).tolist() == [-1.0, -1.0, -1.0]


@pytest.mark.parametrize(
    "tree",
    [tree for tree in CONTAINERS if not isinstance(tree, np.ndarray | list)],  # these have rows themselves
    ids=lambda tree: type(tree).__name__,
)
def test_a_container_of_columns_is_mapped_row_by_row(tree):
    leaves, spec = flatten(tree)
    columns = build(spec, [np.array([x, 10.0 * x]) for x in leaves])

    assert ng.compile(lambda p: entries(p)[0] - entries(p)[1]).map(columns).tolist() == [-1.0, -10.0]


@CASES
def test_specs_are_equal_where_structures_are_and_can_be_pickled(tree):
    leaves, spec = flatten(tree)
    again = flatten(build(spec, leaves))[1]

    assert spec == again == pickle.loads(pickle.dumps(spec))
    assert hash(spec) == hash(again)


@pytest.mark.parametrize(
    ("tree", "other"),
    [
        ({1: 1.0}, {True: 1.0}),
        ({1: 1.0}, {1.0: 1.0}),
        ({(1, 2): 1.0}, {(1.0, 2): 1.0}),
        ([1.0], (1.0,)),
        (Named("a", 1.0), Named("b", 1.0)),
        (defaultdict(list, a=1.0), defaultdict(dict, a=1.0)),
        (np.array(1.0), np.array([1.0])),
    ],
    ids=str,
)
def test_specs_differ_where_a_function_can_see_a_difference(tree, other):
    assert flatten(tree)[1] != flatten(other)[1]


def test_keys_that_are_equal_but_of_other_types_are_recorded_apart():
    f = ng.compile(lambda p: p[1] * 2.0 if type(next(iter(p))) is int else p[1] * 3.0)

    assert [f({1: 5.0}), f({True: 5.0}), f({1.0: 5.0})] == [10.0, 15.0, 15.0]


def test_a_cached_property_of_a_data_class_is_computed_anew():
    @dataclass
    class Disc:
        radius: float

        @cached_property
        def area(self):
            return 3.0 * self.radius**2

    disc = Disc(2.0)

    assert disc.area == 12.0
    assert ng.grad(lambda d: d.area)(disc) == Disc(12.0)


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
def test_containers_are_rebuilt_as_they_came(tree):
    leaves, spec = flatten(tree)

    assert build(spec, leaves) == tree
    assert hash(spec) == hash(flatten(tree)[1])


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_leaves_of_an_array_are_python_floats(tree):
    leaves, spec = flatten(tree)

    again = builder(spec, True)(np.array(leaves, float), 0, float)[0]

    assert again == tree
    assert all(type(leaf) is float for leaf in flatten(again)[0])


def test_leaves_come_from_left_to_right():
    assert flatten([1, (2, {"a": 3}), np.array([[4, 5], [6, 7]])])[0] == [1, 2, 3, 4, 5, 6, 7]


def test_arrays_keep_their_shape():
    leaves, spec = flatten(np.arange(6.0).reshape(2, 3))

    again = build(spec, leaves)

    assert again.dtype == np.float64
    assert again.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_zero_dimensional_array_comes_back_as_one_unless_it_must_hold_a_value():
    leaves, spec = flatten(np.array(2.0))
    value = Value(3.0)

    assert leaves == [2.0]
    assert (build(spec, leaves).shape, build(spec, leaves).dtype) == ((), np.float64)
    assert build(spec, [value]) is value


def test_columns_are_stacked_with_rows_first():
    _, spec = flatten(([0, {"a": 0}], np.zeros((1, 2))))

    (first, second), array = stack(spec, np.arange(12.0).reshape(4, 3))

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


@pytest.mark.parametrize(
    ("kind", "form"), [(list, None), (tuple, None), (dict, ("a", "b", "c"))], ids=["list", "tuple", "dict"]
)
@pytest.mark.parametrize("shape", [(), (2,), (2, 2)], ids=str)
def test_arrays_of_one_shape_are_built_as_each_by_itself(kind, form, shape):
    size = int(np.prod(shape))
    numbers = np.arange(1.0 + 3 * size)
    apart = [numbers[1 + i * size : 1 + (i + 1) * size].reshape(shape) for i in range(3)]
    _, (_, found_form, _) = flatten(dict.fromkeys(form, 1.0) if form else kind([1.0] * 3))

    (one, found), end = builder(
        (tuple, None, (LEAF, (kind, found_form, ((np.ndarray, shape, ()),) * 3))), True
    )(numbers.copy(), 0, float)

    assert (one, end, type(found)) == (0.0, len(numbers), kind)
    entries = list(found.values() if form else found)
    assert [entry.tolist() for entry in entries] == [entry.tolist() for entry in apart]
    assert all(type(entry) is np.ndarray for entry in entries)
