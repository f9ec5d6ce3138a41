"""Sums over rows: which of two kernels adds up what."""

import pytest

import nodegrad as ng
from nodegrad.compiler.eager import Eager
from nodegrad.compiler.lower import lower
from nodegrad.compiler.vectorize import vectorize
from nodegrad.trees import flatten

native = pytest.importorskip("nodegrad.compiler.backends.llvm.native", reason="needs llvmlite")

from nodegrad.compiler.backends.llvm import plan, sums  # noqa: E402  # after llvmlite is known to be there


def kernels(f, *arguments):
    """Return what adds up the results of a function over rows: rows of so many factors, or tiles."""
    numbers, spec = flatten(arguments)
    found = Eager(f, spec).record(numbers)
    program, _, _ = lower(found.inputs, found.wanted)
    planned = plan.plan(vectorize(program), "sums", 2 * native.width())
    kinds = [
        kernel for kernel, _ in planned.records.kinds if isinstance(kernel, sums.RowSums | sums.OuterSums)
    ]
    return [kernel.factors if isinstance(kernel, sums.RowSums) else "tiles" for kernel in kinds]


def slope(left, right):
    """Return the gradient of a row by a matrix: the products of as many numbers of each side."""
    W = [[ng.Value(1.0) for _ in range(right)] for _ in range(left)]
    x, y = [0.5] * left, [0.25] * right

    def form(x, y):
        return ng.dot(x, [ng.dot(row, y) for row in W])

    return ng.grad(form, wrt=W), x, y


def test_a_dot_product_is_computed_for_each_row():
    assert kernels(lambda x: ng.dot(x, x), [0.5] * 16) == [1]


@pytest.mark.parametrize(("left", "right"), [(1, 16), (16, 2), (4, 4)])
def test_products_that_would_fill_few_tiles_are_added_up_as_they_are_made(left, right):
    assert kernels(*slope(left, right)) == [2]


@pytest.mark.parametrize(("left", "right"), [(16, 16), (3, 64), (10, 10)])
def test_products_that_fill_tiles_are_a_matrix_product(left, right):
    assert kernels(*slope(left, right)) == ["tiles"]
