"""The table of spellings: complete, and its formulas are the operations themselves."""

import ctypes
import ctypes.util
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from nodegrad import ops
from nodegrad.compiler.program import STEPS
from nodegrad.compiler.spellings import FUNCTIONS, SPELLINGS

HARD = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 2.0, 7.0, 1e-320, 800.0, -800.0, math.inf, -math.inf, math.nan]
PYTHON = SimpleNamespace(
    where=lambda mask, x, y: x if mask else y, **{name: op.value for name, op in FUNCTIONS.items()}
)


def fmod(x, y):
    return math.nan if y == 0.0 or math.isinf(x) else math.fmod(x, y)


OVER_FLOATS = SimpleNamespace(**vars(PYTHON) | {"fmod": fmod})
WITH_FORMULA = [op for op, row in SPELLINGS.items() if row.formula is not None]


def test_every_operation_but_the_contractions_has_a_spelling():
    contractions = {*STEPS}
    in_python = {ops.round_to}  # no other language rounds to decimal digits as Python does
    composed = {op for op in ops.TABLE.values() if op.composed}

    assert set(ops.TABLE.values()) - contractions - in_python - composed <= set(SPELLINGS)


@pytest.mark.parametrize("op", WITH_FORMULA, ids=lambda op: op.name)
def test_a_formula_over_floats_is_the_operation_to_the_bit(op):
    def divided(x):
        return np.float64(x)  # whose division does not raise

    with np.errstate(all="ignore"):
        for operands in itertools.product(HARD, repeat=op.arity or 3):
            found = SPELLINGS[op].formula(OVER_FLOATS, *map(divided, operands))
            expected = op.value(*operands)

            assert found == expected or (math.isnan(found) and math.isnan(expected)), operands


def test_numpy_has_every_function_named():
    for row in SPELLINGS.values():
        assert not row.numpy or isinstance(getattr(np, row.numpy), np.ufunc)


@pytest.mark.skipif(ctypes.util.find_library("m") is None, reason="this platform has no libm")
def test_the_c_library_has_every_function_named():
    library = ctypes.CDLL(ctypes.util.find_library("m"))

    assert all(hasattr(library, name) for name in FUNCTIONS)
