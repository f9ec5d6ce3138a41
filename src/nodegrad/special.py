"""Special functions: rows whose values are composed of other rows, over floats and Values alike.

The same lines compute a number and record it, so that compiled programs run them natively. The partials are
rows themselves: derivatives are exact, not derivatives of an approximation.
"""

# mypy: disable-error-code=has-type
# (The partials name rows that stand below them.)

import math
from collections.abc import Sequence
from functools import reduce
from operator import add, mul

from nodegrad import ops
from nodegrad.ops import Number, Op, div, eq, erfc, exp, floor, ge, join_table, log, lt, reciprocal, where

__all__ = ["erfinv", "lgamma", "ndtri", "polygamma"]


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """Return Σ cₖ·xᵏ by Horner's rule; the constant stands first."""
    return reduce(lambda total, coefficient: total * x + coefficient, reversed(coefficients))


# fmt: off
# log Γ(2 + d) / d for |d| ≤ 1/2, and (ψ(w + 1) - ψ(x₀ + 1)) / (w - x₀) in w - 3/2 for 1 ≤ w ≤ 2, where
# ψ(x₀) = 0: the polynomials that equal them at Chebyshev's nodes, within 3e-17 of the value.
_LGAMMA = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319563, 0.02058080842778338,
    -0.007385551028935545, 0.002890510330865901, -0.0011927539009983087, 0.0005096695196526673,
    -0.00022315497746292723, 9.945761692157133e-05, -4.4923727564247656e-05, 2.050601970174762e-05,
    -9.45628851510172e-06, 4.3828545383846665e-06, -1.9743106888421067e-06, 9.242852225162277e-07,
    -5.811277768921246e-07, 2.7475390051909663e-07,
)
_DIGAMMA = (
    0.49494476150711986, -0.11955334493165182, 0.037826433340914206, -0.013260889120668915,
    0.004892701830776073, -0.0018581181902805814, 0.000718157216262706, -0.0002806790256607622,
    0.00011050325082067195, -4.3718536447291106e-05, 1.7353817898476063e-05, -6.904390206174073e-06,
    2.7531368837527235e-06, -1.098323991093393e-06, 4.3142439877735586e-07, -1.723360745935161e-07,
    8.396600052949772e-08, -3.35656521731688e-08,
)
_ROOT = (1.4616321449683622, 9.549995429965697e-17)  # x₀, in two parts
# Bernoulli numbers B₂, B₄ ..., which the asymptotic series are made of (Abramowitz & Stegun 6.1.40, 6.3.18).
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
_STIRLING = tuple([b / ((2 * k + 1) * (2 * k + 2)) for k, b in enumerate(_BERNOULLI)])
_PSI = tuple([-b / (2 * k + 2) for k, b in enumerate(_BERNOULLI)])
_FAR = 8.5  # from here on the asymptotic series hold
HALF_LOG_2PI, _ERF = 0.5 * math.log(2.0 * math.pi), 2.0 / math.sqrt(math.pi)
# A guess at the inverse of erf: x·P(w - 5/2) for w = -log(1 - x²) below 5, a quotient in √w above; fitted at
# Chebyshev's nodes and by least squares, within 6e-7 of the value.
_CENTRE = (
    1.5014090909660742, 0.24664038783754394, -0.004175992616376222, -0.0012532781863537248,
    0.00021721999192199742, -4.533462917885738e-06, -3.173345401025414e-06, 3.561808433218279e-07,
)
_ABOVE = (
    -0.1856278572881021, 1.2439386776929366, -0.7438924669719477, 0.4028733740071404, 0.11225565619630247,
)
_BELOW = (1.0, -0.5791496551571488, 0.40501268286559095, 0.11223806540268803)
# log(Φ(x)·exp(x²/2)·(4 - x)) for x ≤ 0, in 8/(4 - x) - 1: fitted at Chebyshev's nodes. Below -1/2 log Φ is
# within 2e-17 of its value, and its third derivative within 7e-15.
_LOG_MILLS = (
    -0.2806599448474549, 0.8048571559157686, 0.18867367280175532, 0.00820311940090637,
    -0.02303182153137107, -0.009219441070667045, 0.002065589616653556, 0.002751855683142612,
    0.00019218306567221985, -0.0006695615911551218, -0.0001935356766388354, 0.00014197910068886627,
    7.7001801971832e-05, -2.53201886697761e-05, -2.4023629243320823e-05, 3.1352808760589645e-06,
    6.455871452311587e-06, 9.49525359021336e-08, -1.5108299420721867e-06, -2.391202981964358e-07,
    2.986879022816999e-07, 1.0329206117711092e-07, -4.621218242753521e-08, -3.007874956024661e-08,
    4.789117630970593e-09, 5.889929040120586e-09, -2.300562275352375e-10, -5.840598833469319e-10,
)
# fmt: on


def _lgamma(x: Number) -> Number:
    z = where(lt(x, 0.5), 1.0 - x, x)
    steps = floor(z - 1.5)  # down to [1.5, 2.5) by Γ(z) = (z - 1)·Γ(z - 1)
    distance = z - (steps + 2.0)
    factors = [where(ge(steps, float(k)), z - float(k), 1.0) for k in range(1, 7)]
    shift = log(where(lt(steps, 0.0), z, reduce(mul, factors)))
    near = distance * polynomial(distance, _LGAMMA) + where(lt(steps, 0.0), -shift, shift)
    far = (z - 0.5) * (log(z) - 1.0) + (HALF_LOG_2PI - 0.5) + stirling(z)
    right = where(lt(z, _FAR), near, far)
    reflected = math.log(math.pi) - log(ops.abs(ops.sin(math.pi * (x - ops.round(x))))) - right
    return where(eq(x, -math.inf), math.inf, where(lt(x, 0.5), reflected, right))


def stirling(x: Number) -> Number:
    """Return what log Γ(x) has beyond the main terms of Stirling's formula, for x of at least 8.5."""
    inverse = reciprocal(x)
    return inverse * polynomial(inverse * inverse, _STIRLING)


def _polygamma(order: Number, x: Number) -> Number:
    """Return the derivative of digamma whose order is a whole number; nan for another order."""
    if not 0.0 <= order < 170.0 or order % 1.0 != 0.0:
        return math.nan
    n = int(order)
    z = where(lt(x, 0.0), 1.0 - x, x)
    right = _digamma(z) if n == 0 else _zeta(n, z) * (-1.0) ** (n + 1)
    reflected = (-1.0) ** n * right - _cotangent(n, x - ops.round(x))
    return where(lt(x, 0.0), reflected, right)


def _digamma(z: Number) -> Number:
    """Return ψ(z) for z ≥ 0: by the distance from its root and ψ(z + 1) = ψ(z) + 1/z, far by a series."""
    steps = where(lt(z, 1.0), -1.0, floor(z) - 1.0)
    w = z - steps
    rise = polynomial(w - 1.5, _DIGAMMA) + reciprocal(w * (_ROOT[0] + _ROOT[1]))
    near = (w - _ROOT[0] - _ROOT[1]) * rise - where(lt(steps, 0.0), reciprocal(z), 0.0)
    for k in range(7):
        near = near + where(ge(steps, k + 1.0), reciprocal(w + float(k)), 0.0)
    inverse = reciprocal(z)
    square = inverse * inverse
    return where(lt(z, _FAR), near, log(z) - 0.5 * inverse + square * polynomial(square, _PSI))


def _zeta(n: int, z: Number) -> Number:
    """Return n!·Σ (z + k)⁻ⁿ⁻¹ over k ≥ 0, by Euler's and Maclaurin's formula, after some terms if z is small.

    Most of n! is taken into the powers as a power of two: they alone would underflow.
    """
    factorial, count = math.factorial(n), max(10, n)
    shift = round(math.log2(factorial) / n)
    small = lt(z, 2.0 * count)
    far = z + count * small
    inverse = reciprocal(far)
    rising, series = float(n + 1), []
    for k, bernoulli in enumerate(_BERNOULLI):
        series.append(bernoulli / math.factorial(2 * k + 2) * rising)
        rising *= (n + 2 * k + 2) * (n + 2 * k + 3)
    rest = 1.0 / n + inverse * (0.5 + inverse * polynomial(inverse * inverse, series))
    total = div(rest, _power(far * 0.5**shift, n))
    places = [z + float(k) for k in range(count - 1, -1, -1)]
    terms = [reciprocal(_power(place * 0.5**shift, n) * place) for place in places]
    return where(small, reduce(add, terms, total), total) * (factorial / (1 << shift * n))


def _power(x: Number, n: int) -> Number:
    return reduce(mul, [x] * n) if n <= 10 else ops.pow(x, float(n))


def _cotangent(n: int, x: Number) -> Number:
    """Return the n-th derivative of π·cot(π·x) for |x| ≤ ½: (-1)ⁿ·n!·Σ (x + k)⁻ⁿ⁻¹ over all whole k."""
    size = ops.abs(x)
    if n % 2:
        return -(_zeta(n, size) + _zeta(n, 1.0 - size))
    sums = _zeta(n, size) - _zeta(n, 1.0 - size) if n else math.pi * reciprocal(ops.tan(math.pi * size))
    # Near ½ the sums cancel; there the cotangent is small, and its derivatives are polynomials in it:
    # cot' = -(1 + cot²).
    coefficients = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        coefficients = [-(a + b) for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    near = math.pi ** (n + 1) * polynomial(ops.tan(math.pi * (0.5 - size)), coefficients)
    return ops.copysign(where(lt(size, 0.41 if n else 0.25), sums, near), x)


def _inverse_of_erf(y: Number, rest: Number) -> Number:
    """Return the number whose erf is y and erfc is `rest`: a guess and a step of Halley (far of log erfc)."""
    w = -log(rest * (1.0 + y))
    root = ops.sqrt(w)
    quotient = div(polynomial(root, _ABOVE), polynomial(root, _BELOW))
    guess = where(lt(w, 5.0), y * polynomial(w - 2.5, _CENTRE), quotient)
    slope = _ERF * exp(-(guess * guess))
    error = div(ops.erf(guess) - y, slope)
    near = guess - div(error, 1.0 + guess * error)
    hazard = div(slope, erfc(guess))
    error = -div(log(div(erfc(guess), rest)), hazard)
    far = guess - div(error, 1.0 - 0.5 * error * (hazard - 2.0 * guess))
    return where(eq(rest, 0.0), math.inf, where(lt(y, 0.5), near, far))


def mills(x: Number) -> tuple[Number, Number]:
    """Return p and r, where Φ(x)·exp(x²/2) is exp(p)/r for x ≤ 0, with Φ as in `ndtr`. They change slowly."""
    place = 4.0 - x
    return polynomial(div(8.0, place) - 1.0, _LOG_MILLS), place


def _erfinv(x: Number) -> Number:
    return ops.copysign(_inverse_of_erf(ops.abs(x), 1.0 - ops.abs(x)), x)


def _grown(quantile: Number, tail: Number) -> Number:
    """Return exp(quantile²/2) where Φ(-|quantile|) = tail.

    In the tails it is made from the tail: otherwise an ulp of the quantile would be quantile² ulp here.
    """
    in_tail = lt(0.0, tail) * lt(tail, 0.25)
    power, place = mills(-abs(quantile))
    return where(in_tail, div(exp(power), place * tail), exp(0.5 * quantile * quantile))


def _ndtri(p: Number) -> Number:
    distance = _inverse_of_erf(ops.abs(2.0 * p - 1.0), 2.0 * ops.minimum(p, 1.0 - p))
    return _SQRT_2 * ops.copysign(distance, p - 0.5)


_GREATER, _SQRT_2, _SQRT_2PI = (0.3, 12.0), math.sqrt(2.0), math.sqrt(2.0 * math.pi)

# fmt: off
lgamma    = Op("lgamma",    "log Γ", _lgamma,    (lambda x, out: polygamma(0.0, x),),
                                                 (_GREATER,), composed=_lgamma)
polygamma = Op("polygamma", "ψ",     _polygamma, (None, lambda n, x, out: polygamma(n + 1.0, x)),
                                                 ((0.0, 0.0), _GREATER), composed=_polygamma)
erfinv    = Op("erfinv",    "erf⁻¹", _erfinv,    (lambda x, out:
                                                  div(_grown(_SQRT_2 * out, 0.5 - 0.5 * abs(x)), _ERF),),
                                                 ((-0.95, 0.95),), composed=_erfinv)
ndtri     = Op("ndtri",     "Φ⁻¹",   _ndtri,     (lambda p, out:
                                                  _SQRT_2PI * _grown(out, ops.minimum(p, 1.0 - p)),),
                                                 ((0.03, 0.97),), composed=_ndtri)
# fmt: on

join_table(lgamma, polygamma, erfinv, ndtri)
