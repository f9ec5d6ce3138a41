"""Compiled functions as methods: what an instance has of its own, and how long it lives."""

import copy
import dataclasses
import gc
import pickle
import weakref

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
calls = []


class Scale:
    def __init__(self, factor):
        self.factor = Value(factor)

    @ng.compile
    def times(self, x):
        return self.factor * x

    @ng.compile(static="n", backend="numpy", exact=True)
    def power(self, x, n=2):
        calls.append(n)
        return self.factor * x**n

    @ng.compile
    def slope(self, x):
        return ng.value_and_grad(lambda x: self.factor * x * x)(x)

    @ng.compile
    def __call__(self, x):
        return self.factor + x if x > 0.0 else self.factor - x


class Model(ng.nn.Module):
    def __init__(self, factor):
        self.factor = Value(factor)

    @ng.compile
    def __call__(self, x):
        return self.factor * x


@dataclasses.dataclass
class Point:
    x: float
    y: float

    @ng.compile
    def norm(self):
        return ng.hypot(self.x, self.y)

    @ng.compile
    def beyond(self, t):
        return ng.hypot(self.x, self.y) + t


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    @ng.compile(static="self")
    def times(self, x):
        return self.factor * x


class Meters(float):
    @ng.compile
    def twice(self):
        return 2.0 * self


USES = {
    "a call": lambda scale: scale.times(3.0),
    "several ways": lambda scale: [scale(3.0), scale(-3.0), scale(-3.0)],
    "a static argument": lambda scale: scale.power(2.0, n=3),
    "a derivative": lambda scale: scale.slope(3.0),
    "a Value": lambda scale: scale.times(Value(3.0)),
    "a map": lambda scale: scale.times.map([1.0, 2.0]),
    "a map to few rows again": lambda scale: [scale.slope.map([1.0, 2.0]) for _ in range(3)],
    "what was recorded": lambda scale: (scale.times(1.0), scale.times.source("c"), str(scale.times)),
}


@pytest.mark.parametrize("use", USES)
def test_an_instance_is_freed_with_its_last_user(use):
    scale = Scale(2.0)
    USES[use](scale)
    freed = weakref.ref(scale)

    gc.disable()
    try:
        del scale
        assert freed() is None
    finally:
        gc.enable()


def test_the_recordings_of_an_instance_are_freed_with_it():
    scale = Scale(2.0)
    scale.times(3.0)
    (trace,) = next(iter(scale.times.traces.values()))
    freed = weakref.ref(trace)
    del trace
    assert freed() is not None

    del scale

    assert freed() is None


def test_a_method_keeps_its_instance():
    method = Scale(2.0).times
    gc.collect()

    assert [method(3.0), *method.map([1.0, 2.0])] == [6.0, 2.0, 4.0]


def test_instances_made_one_after_the_other_do_not_share_recordings():
    assert [Scale(float(k)).times(2.0) for k in range(100)] == [2.0 * k for k in range(100)]


def test_an_instance_is_recorded_once():
    calls.clear()
    scale = Scale(2.0)
    for x in (1.0, 2.0, 3.0):
        scale.power(x)
    recorded = len(calls)
    scale.power(4.0)
    scale.power.map([1.0, 2.0])

    assert len(calls) == recorded == 2  # and a replay


def test_what_was_recorded_is_that_of_the_instance(tmp_path):
    two, three = Scale(2.0), Scale(3.0)
    two.times(1.0), three.times(1.0)
    two.times.save(tmp_path / "two.json")

    assert (two.times.stats()["traces"], two.times.stats()["rows"]) == (1, [(None, 1)])
    assert "2.0" in two.times.source("c").split("times_parameters")[1]
    assert "3.0" in three.times.source("c").split("times_parameters")[1]
    assert str(two.times).startswith("times: 1 scalar operations")
    assert ng.load_compiled(tmp_path / "two.json")(4.0) == 8.0
    assert (two.power.exact, two.power.backend, two.power.static) == (True, "numpy", ("n",))


@pytest.mark.parametrize("factor", [Scale, Model])
def test_a_method_is_pickled_and_copied_with_its_instance(factor):
    one = factor(2.0)
    method = one.__call__
    method(3.0)

    copied, shallow, pickled = copy.deepcopy(method), copy.copy(one), pickle.loads(pickle.dumps(method))
    shallow.factor = Value(7.0)
    one.factor.data = 5.0

    assert copy.copy(method) is method
    assert [copied(3.0), pickled(3.0)] == [factor(2.0)(3.0)] * 2
    assert [*copied.map([3.0]), *pickled.map([3.0])] == [factor(2.0)(3.0)] * 2
    assert method(3.0) == factor(5.0)(3.0)
    assert shallow(3.0) == factor(7.0)(3.0)


def test_a_parameter_that_is_trained_is_read_at_each_call():
    model = Model(2.0)
    before = model(3.0)
    model.factor.data = 4.0

    assert (before, model(3.0), [*model.__call__.map([1.0, 2.0])]) == (6.0, 12.0, [4.0, 8.0])


def test_an_instance_of_numbers_is_an_argument():
    point = Point(3.0, 4.0)

    assert (point.norm(), Point(6.0, 8.0).norm(), Point.norm(point)) == (5.0, 10.0, 5.0)
    assert Point.norm.stats()["traces"] == 1
    point.x = 0.0
    assert point.norm() == 4.0
    assert Point([3.0, 6.0], [4.0, 8.0]).norm.map().tolist() == [5.0, 10.0]
    assert Point(3.0, 4.0).beyond.map([1.0, 2.0], shared="self").tolist() == [6.0, 7.0]
    assert Meters(4.0).twice() == 8.0
    assert pickle.loads(pickle.dumps(point.norm))() == 4.0
    assert ng.grad(lambda x: Point(x, 4.0).norm())(3.0) == 0.6


def test_an_instance_that_cannot_be_referred_to_weakly_is_an_argument():
    one = Slotted(2.0)

    assert [one.times(3.0), *one.times.map([1.0])] == [6.0, 2.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_put_into_classes_are_methods(backend):
    class Other:
        factor = Value(3.0)
        times = ng.compile(lambda self, x: self.factor * x, backend=backend)
        doubled = staticmethod(ng.compile(lambda x: 2.0 * x, backend=backend))

    assert [Other().times(2.0), Other().doubled(2.0), *Other().times.map([1.0])] == [6.0, 4.0, 3.0]
