"""Solvers written as anyone would: the numbers of eager code, called and mapped, whatever way rows go."""

import warnings

import numpy as np
import pytest

import nodegrad as ng
from benchmarks.bench_solvers import problems, values, with_gradient
from nodegrad.compiler import routes, ways
from nodegrad.trees import flatten

PROBLEMS = problems(rows=100)


def eagerly(f, rows, gradient):
    found = [f(*(row if gradient else map(values, row))) for row in zip(*rows, strict=True)]
    return [[getattr(x, "data", x) for x in flatten(result)[0]] for result in found]


def compiled_results(f, rows, gradient):
    called, mapped = ng.compile(f, exact=True), ng.compile(f, exact=True).map(*rows)
    count = len(rows[0])
    listed = zip(*[each.tolist() for each in rows], strict=True)
    columns = [mapped[0], *mapped[1]] if gradient else [mapped]
    table = np.concatenate([np.reshape(each, (count, -1)) for each in columns], axis=1)
    return [flatten(called(*row))[0] for row in listed], table


@pytest.mark.filterwarnings("ignore:compile. .* branches:RuntimeWarning")
@pytest.mark.parametrize("gradient", [False, True], ids=["values", "gradients"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_solvers_give_the_numbers_of_eager_code(name, gradient):
    f, rows = PROBLEMS[name]
    f = with_gradient(f, len(rows)) if gradient else f

    called, mapped = compiled_results(f, rows, gradient)

    expected = eagerly(f, [each.tolist() for each in rows], gradient)
    np.testing.assert_array_equal(called, expected)
    np.testing.assert_array_equal(mapped, expected)


@pytest.fixture
def looked_at(monkeypatch):
    """Note the rows that are looked at, for the ways they go."""
    rows, watch = [], ways.Ways.watch
    monkeypatch.setattr(ways.Ways, "watch", lambda self, row: rows.append(row) or watch(self, row))
    return rows


def own_way(x):
    """Go a way of its own for each whole number."""
    while x > 0.5:
        x = x - 1.0
    return x


@pytest.mark.filterwarnings("ignore:compile. .* branches:RuntimeWarning")
def test_few_rows_are_looked_at_once_most_go_ways_of_their_own(looked_at):
    compiled = ng.compile(own_way)
    rows = [float(1 + 37 * k % 500) for k in range(1000)]

    assert [compiled(x) for x in rows] == [own_way(x) for x in rows]

    assert len(looked_at) <= 64 + len(rows) // 64 + 1
    assert compiled.stats()["traces"] <= 2
    assert compiled.stats()["eager_rows"] >= 990


def test_two_ways_are_compiled_when_they_have_come_often(looked_at):
    compiled = ng.compile(lambda x: x * 2.0 if x > 0.0 else x * 3.0)

    first = compiled(1.0)
    (trace,) = next(iter(compiled.traces.values()))
    after_the_first_call = str(compiled), dict(trace.kernels)
    rest = [compiled(x) for k in range(1, 100) for x in (float(-k), float(k + 1))]

    assert [first, *rest[:3]] == [2.0, -3.0, 4.0, -6.0]
    assert "2 * x[0]" in after_the_first_call[0]
    assert not after_the_first_call[1]
    assert len(looked_at) == 63
    stats = compiled.stats()
    assert (stats["traces"], stats["eager_rows"]) == (2, 61)
    assert sum(rows for _, rows in stats["rows"]) + stats["eager_rows"] == 199


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_large_functions_that_branch_are_compiled_at_their_second_call(backend):
    compiled = ng.compile(lambda x: ng.sum([ng.sin(k * x) for k in range(5000)]) if x > 0.0 else x)

    compiled(1.0)
    compiled(2.0)

    (trace,) = next(iter(compiled.traces.values()))
    assert "all" in trace.kernels
    assert compiled.stats()["eager_rows"] == 0


@pytest.mark.parametrize("use", ["call", "map", "source"])
def test_a_way_is_compiled_with_the_numbers_that_the_function_reads_then(use):
    rate = 2.0
    compiled = ng.compile(lambda x: x * rate if x > 0.0 else -x)
    assert compiled(1.0) == 2.0

    rate = 3.0
    if use == "map":
        assert compiled.map([1.0, 2.0]).tolist() == [3.0, 6.0]
    if use == "source":
        assert "3.0" in compiled.source("c")
    assert [compiled(1.0) for _ in range(40)] == [3.0] * 40
    assert compiled.map([1.0, -1.0]).tolist() == [3.0, 1.0]
    assert compiled.stats()["traces"] == 1


def matrix_norm(matrix, scale):
    """Go a way of its own for each order of the entries."""
    total = 0.0
    for row in sorted(matrix, key=lambda row: row[0] + row[1]):
        total = total * 0.5 + max(row) * min(row) * scale
    return total


@pytest.mark.filterwarnings("ignore:compile. .* branches:RuntimeWarning")
@pytest.mark.parametrize("derive", [lambda f: f, ng.value_and_grad, lambda f: ng.jacobian(f, argnums=1)])
def test_a_function_that_gave_up_gives_the_numbers_of_eager_code(derive):
    f = derive(matrix_norm)
    compiled = ng.compile(f, exact=True)
    numbers = np.random.default_rng(0)
    rows = [(numbers.normal(size=(5, 2)).tolist(), float(k)) for k in range(300)]

    found = [compiled(*row) for row in rows]
    (ways,) = compiled.ways.values()

    assert ways.warns
    expected = [ng.compile(f, exact=True)(*row) for row in rows]
    assert found == expected
    assert compiled.stats()["eager_rows"] == 299


@pytest.mark.filterwarnings("ignore:compile. .* branches:RuntimeWarning")
def test_arguments_unlike_those_a_function_gave_up_on_are_checked_and_recorded():
    compiled = ng.compile(matrix_norm)
    numbers = np.random.default_rng(0)
    for k in range(300):
        compiled(numbers.normal(size=(5, 2)).tolist(), float(k))
    small = [[1.0, 2.0]], 3.0

    assert compiled(*small) == matrix_norm(*small)
    assert len(compiled.traces) == 2
    matrix = numbers.normal(size=(5, 2)).tolist()
    assert compiled(matrix, 2) == matrix_norm(matrix, 2.0)  # an int
    assert compiled(matrix, scale=2.0) == matrix_norm(matrix, 2.0)
    with pytest.raises(TypeError, match="text"):
        compiled(matrix, "text")
    scale = ng.Value(2.0)
    compiled(matrix, scale).backward()
    assert scale.grad == pytest.approx(matrix_norm(matrix, 1.0))
    assert ng.compile(lambda x: compiled(matrix, x) * 1.0)(2.0) == matrix_norm(matrix, 2.0)


@pytest.mark.filterwarnings("ignore:compile. .* branches:RuntimeWarning")
def test_ways_that_come_often_are_compiled_in_time():
    def turns(x):
        while x > 0.5:
            x = x - ng.sum([ng.cos(k * (x - x)) for k in range(10)]) / 10.0
        return x

    many, few = ng.compile(turns), ng.compile(turns)
    for k in range(16_000):
        many(float(1 + 3 * k % 10))
    for k in range(2_000):
        few(float(1 + k % 3))

    assert many.stats()["traces"] == 10
    assert few.stats()["traces"] == 3
    assert few.stats()["eager_rows"] < 500


@pytest.mark.parametrize("count", [65, 100, 1_000, 10_000])
@pytest.mark.parametrize("period", [2, 3, 4, 5, 6])
def test_a_map_finds_ways_that_rows_go_in_turns(period, count):
    def f(x):
        for k, branch in enumerate([ng.sin, ng.exp, ng.square, ng.cos, ng.neg]):
            if x < k + 1.0:
                return branch(x)
        return x + 1.0

    rows = np.arange(count) % period + 0.5
    compiled = ng.compile(f, exact=True)

    assert compiled.map(rows).tolist() == [f(x) for x in rows.tolist()]

    stats = compiled.stats()
    assert (stats["traces"], stats["eager_rows"]) == (period, 0)


@pytest.mark.parametrize("size", [1, 7, 250_000])
def test_ways_give_the_same_results_piece_by_piece(size, monkeypatch):
    monkeypatch.setattr(routes, "_NUMBERS", size)
    rows = np.linspace(-3.0, 2.0, 101)
    f = ng.value_and_grad(lambda x: ng.exp(x) if x > 0.0 else ng.sin(x))

    value, slope = ng.compile(f, exact=True).map(rows)

    assert list(zip(value.tolist(), slope.tolist(), strict=True)) == [f(x) for x in rows.tolist()]


def test_a_map_of_many_ways_compiles_none_of_them():
    compiled = ng.compile(own_way, backend="llvm")
    rows = np.array([float(1 + 37 * k % 500) for k in range(1000)])

    with pytest.warns(RuntimeWarning, match=r"most often at .*test_solvers\.py:\d+.*while_loop"):
        found = compiled.map(rows)

    assert found.tolist() == [own_way(x) for x in rows]
    assert not next(iter(compiled.traces.values()))[0].kernels


def test_a_warning_is_given_once():
    compiled = ng.compile(own_way)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(400):
            compiled(float(1 + 37 * k % 500))

    assert len(caught) == 1
