"""Arguments of compiled functions: keywords, defaults, static and shared ones."""

import collections
import dataclasses
import functools
import math
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def scaled(x, factor=2.0, *, shift=0.0):
    return x * factor + shift


def powers(x, n, kind="sum", skip=None):
    terms = [x**i for i in range(n) if i != skip]
    return ng.sum(terms) if kind == "sum" else ng.prod(terms)


def test_keywords_and_defaults_are_as_python_has_them(backend):
    compiled = ng.compile(scaled, backend=backend)

    assert [compiled(3.0), compiled(3.0, 4.0), compiled(3.0, factor=5.0)] == [6.0, 12.0, 15.0]
    assert [compiled(x=3.0, factor=5.0), compiled(3.0, shift=1.0)] == [15.0, 7.0]
    assert compiled(factor=1.0, shift=2.0, x=3.0) == 5.0
    with pytest.raises(TypeError, match="unexpected keyword argument 'scale'"):
        compiled(3.0, scale=2.0)
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        compiled(factor=2.0)


def test_misspelt_keyword_is_answered_with_the_one_that_was_meant(backend):
    compiled = ng.compile(scaled, backend=backend)

    with pytest.raises(TypeError, match=r"^scaled: .*'factr'. Write 'factor'.$"):
        compiled(3.0, factr=2.0)
    with pytest.raises(TypeError, match=r"^scaled.map: .*'redcue'. Write 'reduce'.$"):
        compiled.map([3.0], redcue="sum")


def test_keywords_are_numbers_that_may_change(backend):
    compiled = ng.compile(ng.value_and_grad(scaled), backend=backend)

    assert [compiled(1.0, shift=s) for s in (1.0, 2.0, -1.0)] == [(3.0, 2.0), (4.0, 2.0), (1.0, 2.0)]
    assert compiled.stats()["traces"] == 1


def test_by_keyword_or_by_position_is_one_trace(backend):
    compiled = ng.compile(scaled, backend=backend)

    assert compiled(1.0, 2.0) == compiled(1.0, factor=2.0) == compiled(factor=2.0, x=1.0)
    assert compiled.stats()["traces"] == 1


def test_static_arguments_are_recorded_anew_for_each_value(backend):
    compiled = ng.compile(powers, static=("n", "kind", "skip"), backend=backend)

    found = [compiled(2.0, 3), compiled(2.0, 4), compiled(2.0, 3, kind="product"), compiled(3.0, n=3, skip=1)]

    assert found == [powers(2.0, 3), powers(2.0, 4), powers(2.0, 3, "product"), powers(3.0, 3, skip=1)]
    assert compiled.stats()["traces"] == 4
    assert compiled(5.0, 3) == powers(5.0, 3)
    assert compiled.stats()["traces"] == 4


def test_static_values_that_are_equal_may_differ_in_type(backend):
    compiled = ng.compile(lambda x, n: x * 2.0 if isinstance(n, bool) else x * n, static="n", backend=backend)

    assert [compiled(3.0, 1), compiled(3.0, True), compiled(3.0, 1.0)] == [3.0, 6.0, 3.0]


@pytest.mark.parametrize(
    ("first", "second"),
    [((1,), (True,)), (0.0, -0.0), (frozenset({1}), frozenset({1.0})), ((0.0, "a"), (-0.0, "a"))],
)
def test_static_values_and_keys_that_are_equal_are_told_apart_inside_tuples_too(first, second, backend):
    compiled = ng.compile(
        lambda x, k: x * (2.0 if repr(k) == repr(first) else 3.0), static="k", backend=backend
    )
    keyed = ng.compile(lambda d: next(v * (2.0 if repr(k) == repr(first) else 3.0) for k, v in d.items()))

    assert (compiled(1.0, first), compiled(1.0, second)) == (2.0, 3.0)
    assert (keyed({first: 1.0}), keyed({second: 1.0})) == (2.0, 3.0)


@pytest.mark.parametrize("static", [[1, "kind"], (-3, "kind"), np.array([1, 2])])
def test_static_arguments_by_position_and_in_map(backend, static):
    compiled = ng.compile(powers, static=static, backend=backend)

    assert compiled.map([1.0, 2.0, 3.0], 3).tolist() == [3.0, 7.0, 13.0]
    assert compiled.map([1.0, 2.0, 3.0], n=2, kind="product").tolist() == [1.0, 2.0, 3.0]
    assert compiled.map([1.0, 2.0, 3.0], n=2, reduce="sum") == 9.0


def test_rows_share_arguments(backend):
    def f(x, w, bias=0.0):
        return w[0] * x + w[1] + bias

    compiled = ng.compile(f, backend=backend)
    rows = np.linspace(-1.0, 1.0, 37)

    expected = (2.0 * rows + 1.0).tolist()
    assert compiled.map(rows, [2.0, 1.0], shared="w").tolist() == expected
    assert compiled.map(rows, [2.0, 1.0], shared=1).tolist() == expected
    assert compiled.map(rows, [2.0, 1.0], shared=np.int64(1)).tolist() == expected
    assert compiled.map(rows, np.array([2.0, 0.5]), 0.5, shared=("w", "bias")).tolist() == expected
    assert compiled.map(rows, bias=1.0, w=(2.0, 0.0), shared=["bias", "w"]).tolist() == expected
    assert compiled.map(rows, [2.0, 1.0], shared="w", reduce="sum") == pytest.approx(sum(expected))
    gradient = ng.compile(ng.grad(f, 1), backend=backend).map(rows, [2.0, 1.0], shared="w", reduce="sum")
    np.testing.assert_allclose(gradient, [0.0, 37.0], atol=1e-12)


def test_rows_share_a_keyword_after_any_number_of_arguments():
    compiled = ng.compile(lambda *rows, scale: ng.dot(rows, scale))

    found = compiled.map([1.0, 2.0], [3.0, 4.0], scale=[10.0, 1.0], shared="scale")

    assert found.tolist() == [13.0, 24.0]
    with pytest.raises(ValueError, match="shared= names 'rows', but the arguments are scale"):
        compiled.map([1.0, 2.0], [3.0, 4.0], scale=[10.0, 1.0], shared="rows")


def test_compile_is_a_decorator():
    @ng.compile
    def plain(x):
        return x + 1.0

    @ng.compile(exact=True, static="n")
    def repeated(x, n=2):
        """Multiply."""
        for _ in range(n):
            x = x * 3.0
        return x

    assert plain(1.0) == 2.0
    assert (repeated(1.0), repeated(1.0, n=3), repeated(1.0, 0)) == (9.0, 27.0, 1.0)
    assert repeated.__doc__ == "Multiply."
    assert repeated.exact


class Scale:
    def __init__(self, factor):
        self.factor = Value(factor)

    @ng.compile(static=("self", "n"))
    def power(self, x, n=2):
        return self.factor * x**n

    @staticmethod
    @ng.compile
    def double(x):
        return 2.0 * x


def test_methods_are_compiled_for_each_instance():
    two, three = Scale(2.0), Scale(3.0)

    assert [two.power(2.0), three.power(2.0), two.power(2.0, n=3), Scale.double(4.0)] == [
        8.0,
        12.0,
        16.0,
        8.0,
    ]
    assert (two.power.stats()["traces"], three.power.stats()["traces"]) == (2, 1)
    two.factor.data = 5.0
    assert two.power(2.0) == 20.0
    assert two.power.map([1.0, 2.0]).tolist() == [5.0, 20.0]
    assert Scale.power.map(two, [1.0, 2.0]).tolist() == [5.0, 20.0]


def test_a_decorator_between_keeps_the_names_of_arguments(backend):
    def doubled(f):
        @functools.wraps(f)
        def wrapper(*arguments, **keywords):
            return 2.0 * f(*arguments, **keywords)

        return wrapper

    compiled = ng.compile(doubled(powers), static="n", backend=backend)

    assert [compiled(2.0, 3), compiled(2.0, n=2), compiled(n=1, x=5.0)] == [14.0, 6.0, 2.0]
    assert compiled.__name__ == "powers"


def test_arguments_by_keyword_only_are_called_and_mapped(backend):
    def f(*, x, y=3.0):
        return x * y

    compiled = ng.compile(f, backend=backend)

    assert [compiled(x=2.0), compiled(y=1.0, x=2.0), compiled(x=2.0, y=4.0)] == [6.0, 2.0, 8.0]
    assert compiled.map(x=[1.0, 2.0], y=5.0, shared="y").tolist() == [5.0, 10.0]


def test_a_default_that_is_a_value_is_closed_over(backend):
    weight = Value(5.0)

    def f(x, w=weight):
        return x * w

    compiled = ng.compile(f, backend=backend)
    found = [compiled(2.0), compiled(2.0, w=3.0)]
    weight.data = 7.0

    assert [*found, compiled(2.0), *compiled.map([1.0, 2.0])] == [10.0, 6.0, 14.0, 7.0, 14.0]
    assert ng.grad(lambda w: compiled(2.0, w=w))(1.0) == 2.0


def test_threads_may_call_with_any_static_values_and_ways():
    def f(x, n, *, k=1.0):
        return [x * i * k for i in range(n)] if x > 0 else (x,)

    compiled = ng.compile(f, static="n", exact=True)
    calls = [((-1.0) ** (i // 3) * (i + 1), i % 4 + 1) for i in range(400)]

    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda call: compiled(*call, k=2.0), calls))

    assert found == [f(*call, k=2.0) for call in calls]


@pytest.mark.parametrize("make", [iter, lambda xs: (x for x in xs), set, collections.deque])
def test_numbers_that_come_one_after_the_other_are_refused_with_the_remedy(make):
    with pytest.raises(TypeError, match=r"as list\(\.\.\.\)"):
        ng.compile(lambda xs: ng.sum(xs))(make([1.0, 2.0]))


def test_values_pass_through_with_keywords():
    compiled = ng.compile(powers, static="n")

    assert ng.grad(lambda x: compiled(x, n=4))(2.0) == 1.0 + 4.0 + 12.0
    assert ng.grad(lambda x: ng.compile(scaled)(1.0, factor=x))(2.0) == 1.0
    assert compiled(Value(2.0), 3).data == 7.0


def test_pickles_take_keywords_and_static_values_along(backend):
    compiled = ng.compile(powers, static=("n", "kind", "skip"), backend=backend)
    compiled(2.0, 3)

    again = pickle.loads(pickle.dumps(compiled))

    assert again(3.0, 3) == 13.0
    assert again(3.0, 2, kind="product") == 3.0


@pytest.mark.parametrize(
    "f",
    [
        *(
            lambda n: ng.sum([1.0 for _ in range(n)]),
            lambda n: [1.0, 2.0][n],
            lambda n: (1.0, 2.0)[math.floor(n)],
        ),
        *(lambda n: "ab"[n], lambda n: time.sleep(n)),
    ],
)
def test_a_whole_number_that_is_not_static_is_refused_with_the_remedy(f):
    with pytest.raises(TypeError, match=r"uses a Value as a whole number.*static=.*nodegrad\.take"):
        ng.compile(f)(1)


def test_errors_that_only_speak_of_integers_are_left_alone():
    for f, message in [
        (lambda x: x.as_integer_ratio(), "^as_integer_ratio"),
        (lambda x: range(2.5), "^'float'"),
    ]:
        with pytest.raises(TypeError, match=message):
            ng.compile(f)(1.5)


@pytest.mark.parametrize("x", ["text", None, {1, 2}])
def test_arguments_that_are_not_numbers_are_refused_with_the_remedy(x):
    with pytest.raises(TypeError, match=r"static="):
        ng.compile(lambda x, kind: x)(1.0, x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ng.compile(scaled, static="scale"),
            ValueError,
            "names 'scale', but the arguments are x,",
        ),
        (lambda: ng.compile(scaled, static=7), ValueError, "static= names 7"),
        (lambda: ng.compile(powers, static="n")(1.0, [1]), TypeError, "static argument n"),
        (lambda: ng.compile(powers, static="n")(1.0, ([1],)), TypeError, "static argument n"),
        (lambda: ng.compile(powers, static="n")(1.0, Value(2.0)), TypeError, "static argument n"),
        (lambda: ng.compile(lambda *xs: xs[0], static="xs"), ValueError, "static= names 'xs'"),
        (lambda: ng.compile(scaled).map([1.0], 2.0, shared="f"), ValueError, "shared= names 'f'"),
        (lambda: ng.compile(scaled).map([1.0], 2.0), ValueError, "shared="),
        (lambda: ng.compile(scaled).map(1.0, 2.0, shared=(0, 1)), ValueError, "all are in shared="),
    ],
)
def test_bad_use_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


class Named(NamedTuple):
    content: object


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str
    factor: float = dataclasses.field(compare=False)


class SameName:
    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return isinstance(other, SameName)

    def __hash__(self):
        return 1

    @functools.partial(ng.compile, static="self")
    def times(self, x):
        return x * self.factor


@pytest.mark.parametrize(
    "values",
    [
        (Named(1), Named(True), Named(1.0)),
        (Named(0.0), Named(-0.0)),
        ((0.0, (1,)), (-0.0, (1,)), (0.0, (True,))),
        (Setting("a", 2.0), Setting("a", 3.0)),
        (SameName(2.0), SameName(3.0)),
        (Named(SameName(2.0)), Named(SameName(3.0))),
    ],
)
def test_static_arguments_that_compare_equal_are_told_apart(values):
    seen = []
    compiled = ng.compile(lambda x, n: seen.append(n) or x, static="n")
    for value in values:
        compiled(1.0, value)

    assert all(any(each is value for each in seen) for value in values)


def test_a_static_data_class_made_anew_is_not_recorded_again():
    seen = []
    compiled = ng.compile(lambda x, n: seen.append(n) or x, static="n")
    compiled(1.0, Setting("a", 2.0))
    recordings = len(seen)
    compiled(1.0, Setting("a", 2.0))
    compiled(1.0, Setting("a", 2.0))

    assert len(seen) == recordings


def test_methods_of_instances_that_compare_equal_are_compiled_apart():
    assert (SameName(2.0).times(1.0), SameName(3.0).times(1.0)) == (2.0, 3.0)
