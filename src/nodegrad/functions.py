"""Functions of Values and plain numbers composed from rows of the table. Plain numbers give plain numbers.

The file is long because each function has its formula and an example beside it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce, wraps
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

from nodegrad import ops, special
from nodegrad.inputs import described, one_of
from nodegrad.ops import Number, eq, erfc, exp, ge, gt, log, lt, maximum, sigmoid, softplus, where

# fmt: off
__all__ = [
    "betaln", "clip", "cumsum", "digamma", "dot", "elu", "gelu", "interp", "leaky_relu", "log_ndtr",
    "log_sigmoid", "log_softmax", "logaddexp", "logsumexp", "mean", "mish", "ndtr", "norm", "prod", "selu",
    "silu", "softmax", "softsign", "sum", "take", "xlogy",
]
# fmt: on

Result = TypeVar("Result", covariant=True)

_SQRT_HALF = math.sqrt(0.5)


if TYPE_CHECKING:  # as in `observers`

    class _OfNumbers(Protocol[Result]):
        def __call__(self, numbers: Iterable[Number]) -> Result: ...


def _of_numbers(least: int) -> "Callable[[Callable[[Sequence[Number]], Result]], _OfNumbers[Result]]":
    """Let a function take any iterable of at least `least` numbers; its errors say what to write."""

    def decorate(function: Callable[[Sequence[Number]], Result]) -> "_OfNumbers[Result]":
        name = function.__name__

        @wraps(function)
        def checked(numbers: Iterable[Number], *more: Number) -> Result:
            if more:
                raise TypeError(f"{name} takes its numbers in one sequence: {name}([a, b]).")
            found = _all(numbers, name)
            if len(found) < least:
                raise ValueError(f"{name} needs at least one number; got none.")
            return function(found)

        return checked

    return decorate


@_of_numbers(0)
def sum(numbers: Sequence[Number]) -> Number:
    """Add numbers up in one node, from left to right; 0.0 for none.

    >>> import nodegrad as ng
    >>> ng.sum([1.0, 2.0, 3.5])
    6.5
    """
    return ops.sum(*numbers)


def dot(xs: Iterable[Number], ys: Iterable[Number]) -> Number:
    """Multiply two vectors of equal length: Σ xᵢ·yᵢ, in one node, added from left to right.

    >>> import nodegrad as ng
    >>> ng.dot([1.0, 2.0], [3.0, 4.0])
    11.0

    Raises:
        ValueError: if the lengths differ.
    """
    xs, ys = _all(xs, "dot"), _all(ys, "dot")
    if len(xs) != len(ys):
        raise ValueError(f"dot takes two vectors of equal length; got lengths {len(xs)} and {len(ys)}.")
    return ops.dot(*xs, *ys)


@_of_numbers(0)
def prod(numbers: Sequence[Number]) -> Number:
    """Multiply numbers up from left to right; 1.0 for none.

    >>> import nodegrad as ng
    >>> ng.prod([2.0, 3.0, 4.0])
    24.0
    """
    return reduce(ops.mul, numbers, 1.0)


@_of_numbers(1)
def mean(numbers: Sequence[Number]) -> Number:
    """Average numbers: Σ xᵢ / n.

    >>> import nodegrad as ng
    >>> ng.mean([1.0, 2.0, 6.0])
    3.0

    Raises:
        ValueError: if there are none.
    """
    return ops.div(ops.sum(*numbers), float(len(numbers)))


@_of_numbers(0)
def norm(numbers: Sequence[Number]) -> Number:
    """Euclidean length: √(Σ xᵢ²). At the origin its derivative is 0, as in PyTorch.

    Where squares would overflow or underflow, the numbers are scaled by a power of two first, which is exact.

    >>> import nodegrad as ng
    >>> ng.norm([3.0, 4.0])
    5.0
    """
    size = ops.dot(*numbers, *numbers)
    scale = where(gt(size, 2.0**1000), 2.0**-600, where(lt(size, 2.0**-1000), 2.0**600, 1.0))
    scaled = [ops.mul(x, scale) for x in numbers]
    squared = ops.dot(*scaled, *scaled)
    return ops.div(where(eq(squared, 0.0), 0.0, ops.sqrt(squared)), scale)


def clip(x: Number, lower: Number | None, upper: Number | None = None) -> Number:
    """Limit x to [lower, upper]. The derivative is 1 inside and on the bounds, as in PyTorch.

    None is no bound. If the bounds are in the wrong order the result is the upper one, as in NumPy.

    >>> import nodegrad as ng
    >>> ng.clip(7.0, 0.0, 5.0)
    5.0
    """
    if lower is not None:
        x = where(lt(x, lower), lower, x)
    return x if upper is None else where(gt(x, upper), upper, x)


@_of_numbers(0)
def cumsum(numbers: Sequence[Number]) -> list[Number]:
    """Add up numbers from left to right and return every total on the way.

    >>> import nodegrad as ng
    >>> ng.cumsum([1.0, 2.0, 3.5])
    [1.0, 3.0, 6.5]
    """
    return list(accumulate(numbers, ops.add))


def take(table: Iterable[Number], index: Number) -> Number:
    """Return the entry of a table at an index, rounded down; nan outside the table.

    Compiled functions look it up anew in every call. The derivative is 1 by the entry that is taken, 0 by the
    others and by the index.

    >>> import nodegrad as ng
    >>> ng.take([10.0, 20.0, 30.0], 1.5)
    20.0
    """
    return ops.take(index, *_all(table, "take"))


def interp(x: Number, xs: Sequence[Number], ys: Sequence[Number], method: str = "linear") -> Number:
    """Interpolate at x between points (xs, ys); xs ascend.

    Args:
        x: where to interpolate.
        xs: where the points are.
        ys: their values.
        method: "linear", constant beyond the ends, as in NumPy; or "cubic" for the natural cubic spline,
            whose first and last pieces go on beyond the ends, as in SciPy.

    >>> import nodegrad as ng
    >>> ng.interp(1.5, [0.0, 1.0, 2.0], [0.0, 10.0, 30.0])
    20.0

    Raises:
        ValueError: if there are fewer than two points, or the lengths or the method are wrong.
    """
    xs, ys = _all(xs, "interp"), _all(ys, "interp")
    if len(xs) != len(ys) or len(xs) < 2:
        raise ValueError(
            f"interp takes two points or more, with a y for each x; got {len(xs)} xs and {len(ys)} ys."
        )
    one_of("interp", "method", method, ("linear", "cubic"))
    widths = [ops.sub(right, left) for left, right in pairwise(xs)]
    slopes = [ops.div(ops.sub(b, a), width) for (a, b), width in zip(pairwise(ys), widths, strict=True)]
    piece = ops.sum(*[ge(x, place) for place in xs[1:-1]])
    u = ops.sub(clip(x, xs[0], xs[-1]) if method == "linear" else x, take(xs[:-1], piece))
    coefficients = [ys[:-1], slopes]
    if method == "cubic":
        bends = _natural_spline(widths, slopes)
        ends = list(zip(slopes, widths, pairwise(bends), strict=True))
        steepness = [slope - width * ((2.0 * a + b) / 6.0) for slope, width, (a, b) in ends]
        thirds = [ops.div(b - a, 6.0 * width) for _, width, (a, b) in ends]
        coefficients = [ys[:-1], steepness, [bend / 2.0 for bend in bends[:-1]], thirds]
    return special.polynomial(u, [take(each, piece) for each in coefficients])


def _natural_spline(widths: Sequence[Number], slopes: Sequence[Number]) -> list[Number]:
    """Return the second derivatives at the points: 0 at the ends, inside by solving a tridiagonal system."""
    pivots: list[Number] = []
    sides: list[Number] = []
    for (a, b), (left, right) in zip(pairwise(widths), pairwise(slopes), strict=True):
        pivot, side = 2.0 * (a + b), 6.0 * (right - left)
        if pivots:
            factor = ops.div(a, pivots[-1])
            pivot, side = pivot - factor * a, side - factor * sides[-1]
        pivots.append(pivot)
        sides.append(side)
    bends: list[Number] = [0.0]
    for pivot, side, width in reversed(list(zip(pivots, sides, widths[1:], strict=True))):
        bends.append(ops.div(side - width * bends[-1], pivot))
    return [0.0, *reversed(bends)]


def xlogy(x: Number, y: Number) -> Number:
    """x·log(y), 0 where x is 0 unless y is nan.

    >>> import nodegrad as ng
    >>> ng.xlogy(0.0, 0.0)
    0.0
    """
    return where(ops.ne(y, y), y, ops.strong_mul(x, log(y)))


def digamma(x: Number) -> Number:
    """Return the derivative of log Γ: ψ(x) = polygamma(0, x).

    >>> import nodegrad as ng
    >>> round(ng.digamma(1.0), 6)
    -0.577216
    """
    return special.polygamma(0.0, x)


def betaln(x: Number, y: Number) -> Number:
    """log B(x, y) = log Γ(x) + log Γ(y) - log Γ(x + y), for positive numbers; large ones do not cancel.

    >>> import nodegrad as ng
    >>> ng.betaln(1.0, 1.0), round(ng.betaln(2.0, 1e10), 6)
    (0.0, -46.051702)
    """
    swap = gt(x, y)
    small, large = where(swap, y, x), where(swap, x, y)
    total = small + large
    near = special.lgamma(large) - special.lgamma(total)
    is_near = lt(large, 4.0)
    # Γ(large)/Γ(total) is that of large + 1 times total/large: so up to 10, where Stirling's formula holds.
    # Its main terms are taken together, for they cancel.
    steps = [(lt(large + float(k), 10.0), float(k)) for k in range(10)]
    above = prod([where(is_below, total + k, 1.0) for is_below, k in steps])
    below = prod([where(is_below, large + k, 1.0) for is_below, k in steps])
    large = large + maximum(0.0, ops.ceil(10.0 - large))
    total = small + large
    ratio, rest = ops.log1p(ops.div(small, large)), special.stirling(large) - special.stirling(total)
    far = rest - ((total - 0.5) * ratio + small * (log(large) - 1.0)) + log(ops.div(above, below))
    both = rest + special.stirling(small) - (small - 0.5) * ops.log1p(ops.div(large, small)) - large * ratio
    both = special.HALF_LOG_2PI - 0.5 * log(large) + both
    return where(lt(small, 10.0), special.lgamma(small) + where(is_near, near, far), both)


def ndtr(x: Number) -> Number:
    """Φ(x), the probability that a number of the standard normal distribution is at most x.

    >>> import nodegrad as ng
    >>> round(ng.ndtr(1.96), 6), ng.ndtr(0.0)
    (0.975002, 0.5)
    """
    size = ops.minimum(ops.abs(x), 40.0)  # beyond, the tail underflows
    # exp(-x²/2) in two factors, of which the first has an exact square: rounding x² would be x² roundings.
    head = ops.mul(ops.round(ops.mul(size, 2.0**20)), 2.0**-20)
    power, place = special.mills(-size)
    tail = exp(-0.5 * (head * head)) * ops.div(exp(power - 0.5 * ((size - head) * (size + head))), place)
    near = 0.5 * erfc(ops.mul(x, -_SQRT_HALF))
    return where(lt(size, 0.5), near, where(lt(x, 0.0), tail, 1.0 - tail))


def log_ndtr(x: Number) -> Number:
    """log Φ(x), without underflow.

    >>> import nodegrad as ng
    >>> round(ng.log_ndtr(-100.0), 6)
    -5005.524209
    """
    low = ops.minimum(x, 0.0)
    power, place = special.mills(low)
    return where(lt(x, -0.5), power - log(place) - 0.5 * (low * low), ops.log1p(-ndtr(ops.neg(x))))


def leaky_relu(x: Number, slope: Number = 0.01) -> Number:
    """x where x > 0, else slope·x.

    >>> import nodegrad as ng
    >>> ng.leaky_relu(-2.0)
    -0.02
    """
    return where(gt(x, 0.0), x, ops.mul(slope, x))


def elu(x: Number, alpha: Number = 1.0) -> Number:
    """x where x > 0, else alpha·(exp(x) - 1) (Clevert et al. 2015).

    >>> import nodegrad as ng
    >>> ng.elu(2.0)
    2.0
    """
    return where(gt(x, 0.0), x, ops.mul(alpha, ops.expm1(x)))


def selu(x: Number) -> Number:
    """Scaled elu with self-normalising constants (Klambauer et al. 2017).

    >>> import nodegrad as ng
    >>> round(ng.selu(1.0), 6)
    1.050701
    """
    return ops.mul(1.0507009873554805, elu(x, 1.6732632423543772))


def gelu(x: Number) -> Number:
    """x·Φ(x), Φ being the normal distribution function (Hendrycks & Gimpel 2016; the exact form).

    >>> import nodegrad as ng
    >>> round(ng.gelu(1.0), 6)
    0.841345
    """
    return ops.mul(ops.mul(0.5, x), erfc(ops.mul(x, -math.sqrt(0.5))))


def silu(x: Number) -> Number:
    """x·sigmoid(x), also known as swish.

    >>> import nodegrad as ng
    >>> round(ng.silu(1.0), 6)
    0.731059
    """
    return ops.mul(x, sigmoid(x))


def mish(x: Number) -> Number:
    """x·tanh(softplus(x)) (Misra 2019).

    >>> import nodegrad as ng
    >>> round(ng.mish(1.0), 6)
    0.865098
    """
    return ops.mul(x, ops.tanh(softplus(x)))


def softsign(x: Number) -> Number:
    """x / (1 + |x|).

    >>> import nodegrad as ng
    >>> ng.softsign(-1.0)
    -0.5
    """
    size = ops.abs(x)
    rest = ops.reciprocal(ops.add(1.0, size))
    return where(lt(size, 1.0), ops.mul(x, rest), ops.copysign(ops.sub(1.0, rest), x))


def log_sigmoid(x: Number) -> Number:
    """log(sigmoid(x)), without underflow: -softplus(-x), or x - softplus(x) where x < 0.

    >>> import nodegrad as ng
    >>> ng.log_sigmoid(-800.0)
    -800.0
    """
    return where(lt(x, 0.0), ops.sub(x, softplus(x)), ops.neg(softplus(ops.neg(x))))


def logaddexp(x: Number, y: Number) -> Number:
    """log(exp(x) + exp(y)), without overflow: the larger plus softplus of minus the distance.

    Where the result is infinite, its derivative is 0.

    >>> import nodegrad as ng
    >>> ng.logaddexp(1000.0, 0.0)
    1000.0
    """
    larger = ops.stop_gradient(maximum(x, y))
    gap = ops.sub(y, x)
    either = where(ge(x, y), ops.add(x, softplus(gap)), ops.add(y, softplus(ops.neg(gap))))
    return where(eq(ops.abs(larger), math.inf), larger, either)


@_of_numbers(1)
def logsumexp(numbers: Sequence[Number]) -> Number:
    """log(Σ exp(xᵢ)), without overflow: the largest is taken out first.

    Where the result is infinite, its derivative is 0.

    >>> import nodegrad as ng
    >>> round(ng.logsumexp([1000.0, 1000.0]), 6)
    1000.693147

    Raises:
        ValueError: if there are none.
    """
    largest = _largest(numbers)
    total = ops.sum(*[exp(ops.sub(x, largest)) for x in numbers])
    return ops.add(largest, where(eq(total, 0.0), -math.inf, log(total)))


@_of_numbers(1)
def softmax(numbers: Sequence[Number]) -> list[Number]:
    """exp(xᵢ) / Σ exp(xⱼ) for each i, without overflow.

    >>> import nodegrad as ng
    >>> ng.softmax([1000.0, 1000.0])
    [0.5, 0.5]

    Raises:
        ValueError: if there are none.
    """
    largest = _largest(numbers)
    powers = [exp(ops.sub(x, largest)) for x in numbers]
    total = ops.sum(*powers)
    return [ops.div(power, total) for power in powers]


@_of_numbers(1)
def log_softmax(numbers: Sequence[Number]) -> list[Number]:
    """xᵢ - logsumexp(x) for each i.

    >>> import nodegrad as ng
    >>> [round(x, 6) for x in ng.log_softmax([0.0, 0.0])]
    [-0.693147, -0.693147]

    Raises:
        ValueError: if there are none.
    """
    total = logsumexp(numbers)
    return [ops.sub(x, total) for x in numbers]


def _largest(numbers: Sequence[Number]) -> Number:
    """Return the largest number, or 0 if that is infinite, as a constant of differentiation."""
    largest = ops.stop_gradient(reduce(maximum, numbers))
    return where(eq(ops.sub(largest, largest), 0.0), largest, 0.0)


def _all(numbers: Iterable[Number], user: str) -> tuple[Number, ...]:
    try:
        return tuple(numbers)
    except TypeError:
        raise TypeError(
            f"{user} takes a sequence of numbers; got {described(numbers)}. Put the numbers in a list."
        ) from None
