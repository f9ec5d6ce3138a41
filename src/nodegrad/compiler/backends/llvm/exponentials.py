"""tanh and sigmoid in vector instructions: a call would cost the contents of all registers.

Both are quotients of exponentials, and so is an exponential: with y = k·ln(2)/2 + r, k whole, |r| ≤ ln(2)/4,

    exp(2y) = 2ᵏ·(C + r)/(C - r),    C = r·coth(r) = 1 + r²/3 - r⁴/45 + ...

C - 1 is small, and almost linear in r², so a short polynomial computes it. One division is enough. Results
are within 3 ulp; tanh is odd to the bit, and neither leaves its range.
"""

import math

from nodegrad.compiler.backends.llvm.ir import Body, Name

__all__ = ()

# (C - 1)/r² as a polynomial in r²: the one that equals it at the five Chebyshev nodes of [0, (ln(2)/4)²], so
# that C is off by 4e-18 at most.
SERIES = (
    *(0.3333333333333332, -0.022222222222051658, 0.0021164020709465194),
    *(-0.00021163597012444974, 2.1216115534633992e-05),
)
# ln(2)/2 in two parts: whole numbers to 2¹¹ times the first are exact.
HALF_LN2 = (0.6931471805598903 / 2.0, 5.497923018708371e-14 / 2.0)
# Added to a number below 2⁵¹, this leaves the nearest whole number in the lowest bits of the sum.
_ROUND = 1.5 * 2.0**52


def tanh(body: Body, x: Name) -> Name:
    """Write ((2ᵏ - 1)·C + (2ᵏ + 1)·r) / ((2ᵏ + 1)·C + (2ᵏ - 1)·r), where nothing cancels."""
    x = _clamp(body, x, -22.0, 22.0)  # from there on, tanh is ±1
    k, r = _split(body, x, 1.0)
    rest, power, one = _rest(body, r), _power(body, k, 0), body.number(1.0)
    less, more = body.arithmetic("fsub", power, one), body.arithmetic("fadd", power, one)
    # The whole part of C last: what is rounded before is small.
    above = body.intrinsic("fmuladd", less, rest, body.arithmetic("fmul", more, r))
    below = body.intrinsic("fmuladd", more, rest, body.arithmetic("fmul", less, r))
    above, below = body.arithmetic("fadd", less, above), body.arithmetic("fadd", more, below)
    return body.intrinsic("copysign", body.arithmetic("fdiv", above, below), x)  # 0.0 / 2.0 for x = -0.0


def sigmoid(body: Body, x: Name) -> Name:
    """Write (C + r) / (2⁻ᵏ·(C - r) + (C + r)), k of x/2; scaled so that 2⁻ᵏ cannot overflow."""
    x = _clamp(body, x, -750.0, 40.0)  # beyond, sigmoid is 0 or 1
    k, r = _split(body, body.arithmetic("fmul", x, body.number(0.5)), -1.0)
    c, power = body.arithmetic("fadd", _rest(body, r), body.number(1.0)), _power(body, k, -64)
    above = body.arithmetic("fmul", body.arithmetic("fadd", c, r), body.number(2.0**-64))
    below = body.intrinsic("fmuladd", power, body.arithmetic("fsub", c, r), above)
    return body.arithmetic("fdiv", above, below)


def _clamp(body: Body, x: Name, least: float, most: float) -> Name:
    """Write x moved between two bounds; nan stays."""
    low, high = body.number(least), body.number(most)
    x = body.choose(body.compare("olt", x, low), low, x)
    return body.choose(body.compare("ogt", x, high), high, x)


def _split(body: Body, y: Name, sign: float) -> tuple[Name, Name]:
    """Write y as sign·k·ln(2)/2 + r; return k, in the lowest bits of a double, and r."""
    shifted = body.intrinsic("fmuladd", y, body.number(sign * 2.0 / math.log(2.0)), body.number(_ROUND))
    k = body.arithmetic("fsub", shifted, body.number(_ROUND))
    for part in HALF_LN2:
        y = body.intrinsic("fmuladd", k, body.number(-sign * part), y)
    return shifted, y


def _rest(body: Body, r: Name) -> Name:
    """Write C - 1."""
    square = body.arithmetic("fmul", r, r)
    total = body.number(SERIES[-1])
    for coefficient in SERIES[-2::-1]:
        total = body.intrinsic("fmuladd", total, square, body.number(coefficient))
    return body.arithmetic("fmul", total, square)


def _power(body: Body, k: Name, more: int) -> Name:
    """Write 2ᵏ⁺ᵐᵒʳᵉ, putting k where a double keeps its exponent."""
    whole = body.kind("i64")
    shift, bias = (body.repeated("i64", str(n)) for n in (52, (1023 + more) << 52))
    bits = body.let(f"shl {whole} {body.let(f'bitcast {body.vector} {k} to {whole}')}, {shift}")
    return body.let(f"bitcast {whole} {body.let(f'add {whole} {bits}, {bias}')} to {body.vector}")
