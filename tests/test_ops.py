"""The table tests itself: every row against mpmath inside its domain, and at the hard points."""

import functools
import itertools
import math
import operator
import pickle
import random
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

import nodegrad as ng
from nodegrad import Value, ops
from nodegrad.graph import dependents, topological_order
from nodegrad.ops import TABLE
from nodegrad.sweep import reverse_sweep

inf, nan = math.inf, math.nan
mp = mpmath.mp

# What each row means, independently of the table.
REFERENCE = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "neg": lambda x: -x,
    "abs": abs,
    "sign": mpmath.sign,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "round": mpmath.nint,
    "trunc": lambda x: mpmath.sign(x) * mpmath.floor(abs(x)),
    "round_to": lambda x, digits: mpmath.nint(x * 10 ** int(digits)) / 10 ** int(digits),
    "floordiv": lambda x, y: mpmath.floor(x / y),
    "mod": lambda x, y: x - y * mpmath.floor(x / y),
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.power(2, x),
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "log1p": mpmath.log1p,
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "atan2": mpmath.atan2,
    "hypot": lambda x, y: mpmath.sqrt(x * x + y * y),
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "step": lambda x: mpmath.mpf(x > 0),
    "maximum": max,
    "minimum": min,
    "where": lambda c, x, y: x if c else y,
    "copysign": lambda x, y: abs(x) * mpmath.sign(y),
    "lt": lambda x, y: mpmath.mpf(x < y),
    "le": lambda x, y: mpmath.mpf(x <= y),
    "gt": lambda x, y: mpmath.mpf(x > y),
    "ge": lambda x, y: mpmath.mpf(x >= y),
    "eq": lambda x, y: mpmath.mpf(x == y),
    "ne": lambda x, y: mpmath.mpf(x != y),
    "sum": lambda *xs: mpmath.fsum(xs),
    "take": lambda index, *table: table[int(index)],
    "dot": lambda *xs: mpmath.fdot(xs[: len(xs) // 2], xs[len(xs) // 2 :]),
    "lgamma": mpmath.loggamma,
    "polygamma": lambda n, x: mpmath.psi(int(mpmath.nint(n)), x),
    "erfinv": mpmath.erfinv,
    "ndtri": lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1),
    "identity": lambda x: x,
    "stop_gradient": lambda x: x,
    "one_minus_square": lambda x: 1 - x * x,
    "direction": lambda x, y: x / mpmath.sqrt(x * x + y * y),
    "strong_mul": lambda adjoint, partial: adjoint * partial,
    "strong_dot": lambda *xs: mpmath.fdot(xs[: len(xs) // 2], xs[len(xs) // 2 :]),
    "zero_mul": lambda x, y: x * y,
    "strong_factor": lambda adjoint, partial: partial,
}

# Where the floating-point contract is that of NumPy, with NumPy's and SciPy's functions as the oracle.
SAME_NAME = (
    "sign floor ceil trunc exp exp2 expm1 log log2 log10 log1p sqrt cbrt square reciprocal sin cos tan "
)
SAME_NAME += "hypot sinh cosh tanh maximum minimum copysign where"
ARRAY_REFERENCE = {
    **{name: getattr(np, name) for name in SAME_NAME.split()},
    **{
        name: getattr(np, f"arc{name[1:]}")
        for name in ("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh")
    },
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "pow": np.power,
    "round": np.round,
    "mod": np.mod,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "erf": special.erf,
    "erfc": special.erfc,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "relu": lambda x: np.maximum(x, 0.0),
    "step": lambda x: np.heaviside(x, 0.0),
}

HARD = [
    0.0,
    -0.0,
    5e-324,
    -1e-300,
    1e-18,
    -1e-9,
    0.1,
    0.5,
    -0.5,
    1.0,
    -1.0,
    1.5,
    2.0,
    -2.5,
    3.0,
    -8.0,
    20.0,
    -40.0,
]
HARD += [710.0, -745.5, 1e9, -1e18, 2.0**53 + 2, 1e300, -1.7e308, inf, -inf, nan]

rows = pytest.mark.parametrize("op", TABLE.values(), ids=TABLE)


def points(op, count=4):
    """Points drawn from the inside of a row's domain, always the same."""
    source = random.Random(op.name)
    return [[source.uniform(low, high) for low, high in op.domain] for _ in range(count)]


def derivative(out, variable):
    """∂out/∂variable, recorded, by the reverse sweep over Values."""
    if not isinstance(out, Value):
        return 0.0
    order = topological_order(out)
    return reverse_sweep(order, {out: 1.0}, dependents(order, [variable]), floats=False).get(variable, 0.0)


def number(x):
    return x.data if isinstance(x, Value) else x


def same(x, y):
    return x == y or (x != x and y != y)


def test_every_row_has_a_reference():
    assert TABLE.keys() == REFERENCE.keys()


@rows
def test_domain_names_every_operand(op):
    assert op.arity in (None, len(op.domain))
    assert all(low <= high for low, high in op.domain)


@rows
def test_value_is_right_inside_the_domain(op):
    for point in points(op, count=20):
        expected = REFERENCE[op.name](*map(mpmath.mpf, point))

        assert type(op.value(*point)) is float
        assert op.value(*point) == pytest.approx(float(expected), rel=1e-15, abs=1e-16)


@pytest.mark.parametrize(
    "op", [op for op in TABLE.values() if op is not ops.stop_gradient], ids=lambda op: op.name
)
@pytest.mark.parametrize("total_order", [1, 2, 3])
def test_derivatives_are_right_inside_the_domain(op, total_order):
    tolerance = {1: 1e-12, 2: 1e-11, 3: 1e-10}[total_order]
    for point in points(op):
        for wrt in itertools.combinations_with_replacement(range(len(point)), total_order):
            operands = [Value(x) for x in point]
            out = op(*operands)
            for index in wrt:
                out = derivative(out, operands[index])
            counts = tuple(wrt.count(index) for index in range(len(point)))
            with mpmath.workdps(60):
                expected = mpmath.diff(REFERENCE[op.name], tuple(map(mpmath.mpf, point)), counts)

            assert number(out) == pytest.approx(float(expected), rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "closed_form", "numbers"),
    [
        ("expm1", mpmath.exp, [1e-300, -1e-18, -40.0, 700.0]),
        ("exp2", lambda x: mpmath.power(2, x) * mpmath.log(2), [1e-300, -1000.0, 1000.0]),
        ("log", lambda x: 1 / x, [1e-300, 1e-18, 1e18, 1e300]),
        ("log2", lambda x: 1 / (x * mpmath.log(2)), [1e-300, 1e300]),
        ("log10", lambda x: 1 / (x * mpmath.log(10)), [1e-300, 1e300]),
        ("log1p", lambda x: 1 / (1 + x), [1e-300, -1e-18, -0.999, 1e300]),
        ("sqrt", lambda x: 0.5 / mpmath.sqrt(x), [1e-300, 1e300]),
        ("cbrt", lambda x: 1 / (3 * mpmath.cbrt(x) ** 2), [1e-200, 1e300]),
        ("reciprocal", lambda x: -1 / x**2, [1e-150, -1e150]),
        ("sin", mpmath.cos, [1e-300, 1e-9, 3.14159, 1e6]),
        ("cos", lambda x: -mpmath.sin(x), [1e-300, 1e-9, 3.14159, 1e6]),
        ("tan", lambda x: 1 + mpmath.tan(x) ** 2, [1e-300, 1.5707, -1.5707]),
        ("asin", lambda x: 1 / mpmath.sqrt(1 - x * x), [1e-300, 1 - 1e-12, -1 + 1e-15]),
        ("acos", lambda x: -1 / mpmath.sqrt(1 - x * x), [1e-300, 1 - 1e-12, -1 + 1e-15]),
        ("atan", lambda x: 1 / (1 + x * x), [1e-300, 1e9, -1e150]),
        ("asinh", lambda x: 1 / mpmath.sqrt(1 + x * x), [1e-300, 1e9, -1e300]),
        ("acosh", lambda x: 1 / mpmath.sqrt(x * x - 1), [1 + 1e-15, 1e9, 1e300]),
        ("atanh", lambda x: 1 / (1 - x * x), [1e-300, 1 - 1e-12, -1 + 1e-15]),
        ("sinh", mpmath.cosh, [1e-300, -700.0]),
        ("cosh", mpmath.sinh, [1e-300, -700.0]),
        ("erf", lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), [1e-300, 6.0, -10.0]),
        ("erfc", lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), [1e-300, 6.0, -10.0]),
        ("softplus", lambda x: 1 / (1 + mpmath.exp(-x)), [-700.0, -40.0, 1e-300, 40.0]),
        ("sigmoid", lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2, [-700.0, -40.0, 1e-300, 5.0]),
    ],
)
def test_first_derivative_keeps_its_precision_at_tiny_and_large_operands(name, closed_form, numbers):
    for x in numbers:
        a = Value(x)
        TABLE[name](a).backward()
        with mpmath.workdps(60):
            expected = float(closed_form(mpmath.mpf(x)))

        assert a.grad == pytest.approx(expected, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", ARRAY_REFERENCE)
def test_hard_points_agree_with_numpy(name):
    op = TABLE[name]
    for point in itertools.product(HARD, repeat=op.arity):
        with np.errstate(all="ignore"):
            expected = float(ARRAY_REFERENCE[name](*[np.float64(x) for x in point]))
        if name == "mod" and inf in (abs(point[0]), abs(point[1])):
            continue  # NumPy and Python differ there; test_mod_of_infinity
        if name == "pow" and point == (-inf, 0.5):
            continue  # C says inf; NumPy takes the square root
        if name == "tan" and abs(point[0]) > 1e8:
            continue  # NumPy's own range reduction differs in the last digits

        assert op.value(*point) == pytest.approx(expected, rel=1e-14, abs=1e-320, nan_ok=True), point


def test_mod_of_infinity():
    assert math.isnan(ops.mod(inf, 2.0))
    assert ops.mod(1.0, inf) == 1.0
    assert math.isnan(ops.mod(1.0, 0.0))


@rows
@given(data=st.data())
def test_no_row_raises_for_floats(op, data):
    operands = [data.draw(st.floats() | st.sampled_from(HARD)) for _ in op.domain]

    out = op.value(*operands)
    partials = (
        op.partials(operands, out) if op.arity is None else [p and p(*operands, out) for p in op.partials]
    )

    assert type(out) is float
    assert all(partial is None or type(partial) is float for partial in partials)


@rows
@given(data=st.data())
def test_row_computes_the_same_recorded_and_not(op, data):
    operands = [data.draw(st.floats() | st.sampled_from(HARD)) for _ in op.domain]

    recorded = op(*[Value(x) for x in operands])

    assert recorded.op is op
    assert same(recorded.data, op(*operands))


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.commutative], ids=lambda op: op.name)
@given(x=st.floats(), y=st.floats())
def test_commutative_rows_commute(op, x, y):
    assert same(op.value(x, y), op.value(y, x))


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.zero_derivative], ids=lambda op: op.name)
def test_piecewise_constant_rows_give_no_gradient(op):
    operands = [Value(x) for x in points(op)[0]]

    op(*operands).backward()

    assert [a.grad for a in operands] == [0.0] * op.arity


def test_stop_gradient_has_no_derivative():
    x = Value(3.0)

    (ops.stop_gradient(x) * x).backward()

    assert x.grad == 3.0


def gradient(function, *numbers):
    operands = [Value(x) for x in numbers]
    function(*operands).backward()
    return tuple(a.grad for a in operands)


@pytest.mark.parametrize(
    ("name", "point", "value", "expected"),
    [
        ("div", (1.0, 0.0), inf, (inf, -inf)),
        ("div", (1.0, -0.0), -inf, (-inf, -inf)),
        ("div", (0.0, 0.0), nan, (inf, nan)),
        ("log", (-1.0,), nan, (-1.0,)),
        ("log", (0.0,), -inf, (inf,)),
        ("log1p", (-1.0,), -inf, (inf,)),
        ("exp", (1000.0,), inf, (inf,)),
        ("exp", (-1000.0,), 0.0, (0.0,)),
        ("sinh", (-1000.0,), -inf, (inf,)),
        ("cosh", (-1000.0,), inf, (-inf,)),
        ("pow", (-8.0, 1 / 3), nan, (nan, nan)),
        ("pow", (0.0, -1.0), inf, (-inf, -inf)),
        ("pow", (-0.0, -1.0), -inf, (-inf, inf)),
        ("pow", (0.0, 0.0), 1.0, (0.0, 0.0)),
        ("pow", (5.0, 0.0), 1.0, (0.0, math.log(5.0))),
        ("pow", (nan, 0.0), 1.0, (0.0, nan)),
        ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
        ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
        ("pow", (-2.0, 2.0), 4.0, (-4.0, nan)),
        ("relu", (0.0,), 0.0, (0.0,)),
        ("abs", (0.0,), 0.0, (0.0,)),
        ("sqrt", (0.0,), 0.0, (inf,)),
        ("sqrt", (-1.0,), nan, (nan,)),
        ("cbrt", (0.0,), 0.0, (inf,)),
        ("maximum", (1.0, 1.0), 1.0, (0.5, 0.5)),
        ("minimum", (1.0, 1.0), 1.0, (0.5, 0.5)),
        ("maximum", (nan, 1.0), nan, (1.0, 1.0)),
        ("hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
        ("hypot", (1e200, 1e200), math.hypot(1e200, 1e200), (math.sqrt(0.5), math.sqrt(0.5))),
        ("atan2", (1e200, 1e200), math.pi / 4, (5e-201, -5e-201)),
        ("asin", (1.0,), math.pi / 2, (inf,)),
        ("acosh", (1.0,), 0.0, (inf,)),
        ("atanh", (1.0,), inf, (inf,)),
        ("sigmoid", (-800.0,), 0.0, (0.0,)),
        ("sigmoid", (800.0,), 1.0, (0.0,)),
        ("sigmoid", (-700.0,), math.exp(-700.0), (math.exp(-700.0),)),
        ("softplus", (1000.0,), 1000.0, (1.0,)),
        ("softplus", (-700.0,), math.exp(-700.0), (math.exp(-700.0),)),
        ("log1p", (1e-18,), 1e-18, (1.0,)),
        ("expm1", (1e-18,), 1e-18, (1.0,)),
    ],
)
def test_edges_of_the_floating_point_contract(name, point, value, expected):
    assert ops.TABLE[name](*point) == pytest.approx(value, rel=1e-15, nan_ok=True)
    assert gradient(TABLE[name], *point) == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_constant_exponent_never_evaluates_the_logarithm():
    x = Value(-2.0)

    (x**3).backward()

    assert x.grad == 12.0


def test_strong_zero_beats_inf_and_nan_on_the_right_only():
    assert ops.strong_mul(0.0, inf) == 0.0
    assert ops.strong_mul(0.0, nan) == 0.0
    assert math.isnan(ops.strong_mul(inf, 0.0))
    assert math.isnan(ops.strong_mul(nan, 0.0))


def test_rows_pickle_by_name():
    assert pickle.loads(pickle.dumps(ops.tanh)) is ops.tanh


cube = ng.custom("cube", lambda x: x**3, lambda x, out: 3.0 * x * x)


def test_a_custom_operation_pickles_as_a_variable_of_its_module():
    assert pickle.loads(pickle.dumps(cube)) is cube


FACTOR = 3.0


def scaled(x):
    return FACTOR * x


@pytest.mark.parametrize(
    ("name", "edited"),
    [
        ("cube", ng.custom("cube", lambda x: x**4, lambda x, out: 4.0 * x**3)),
        ("cube", ng.custom("cube", lambda x: x**3, lambda x, out: 3.5 * x * x)),
        ("FACTOR", 4.0),
        ("scaled", lambda x: 5.0 * x),
    ],
    ids=["value", "partial", "a number it reads", "a function it calls"],
)
def test_an_operation_edited_since_it_was_pickled_is_refused(monkeypatch, name, edited):
    module = sys.modules[__name__]
    monkeypatch.setattr(
        module, "by_name", ng.custom("by_name", lambda x: scaled(x), lambda x, out: FACTOR), False
    )
    pickled = [pickle.dumps(op) for op in (cube, by_name)]  # noqa: F821
    assert [pickle.loads(each) for each in pickled] == [cube, by_name]  # noqa: F821

    monkeypatch.setattr(module, name, edited)

    with pytest.raises(ValueError, match="is not the one that was pickled"):
        [pickle.loads(each) for each in pickled]


def test_an_operation_is_the_same_in_another_process(run_python, tmp_path):
    (tmp_path / "own.py").write_text(
        "import math, functools\nimport nodegrad as ng\n\n"
        "def near(x, k): return k * x if x in {'a', 'b', 3} else math.sin(x)\n"
        "own = ng.custom('own', lambda x: near(x, k=2.0), lambda x, out: ng.cos(x))\n"
    )
    script = "import pickle, own; open({!r}, 'wb').write(pickle.dumps(own.own))"
    path = str(tmp_path / "pickled")
    run_python("-c", script.format(path), PYTHONHASHSEED="1")

    found = run_python("-c", f"import pickle; print(pickle.load(open({path!r}, 'rb')))", PYTHONHASHSEED="2")

    assert found == "<operation own>\n"


def test_an_operation_that_no_variable_holds_does_not_pickle():
    stranger = ops.Op("stranger", "?", lambda x: x, (lambda x, out: 1.0,), ((-1.0, 1.0),))

    with pytest.raises(TypeError, match="stranger cannot be pickled: .* variable of the module"):
        pickle.dumps(stranger)


@pytest.mark.parametrize("wrong", ["1", None, 1j, [1.0], (1.0,), np.array([1.0, 2.0]), object()])
def test_only_real_numbers_are_accepted_and_the_error_names_the_type(wrong):
    with pytest.raises(TypeError, match=r"exp takes a real number; got .*"):
        ops.exp(wrong)


def test_wrong_number_of_operands_is_refused():
    with pytest.raises(TypeError, match="add takes 2 operands; got 3"):
        ops.add(1.0, 2.0, 3.0)
    with pytest.raises(TypeError, match="sin takes 1 operand; got 2"):
        ops.sin(1.0, 2.0)
    with pytest.raises(TypeError, match="add takes 2 operands; got 1"):
        ops.add(Value(1.0))


def test_integers_too_large_for_a_float_become_infinite():
    assert ops.identity(10**400) == inf
    assert ops.identity(-(10**400)) == -inf


def test_a_wrong_partial_is_caught_by_the_comparison():
    """The check above must fail for a rule wrong by 0.1 %."""
    wrong = ops.Op("wrong", "", math.sin, (lambda x, out: 1.001 * ops.cos(x),), ((-3.0, 3.0),))
    a = Value(0.3)
    wrong(a).backward()

    with pytest.raises(AssertionError):
        assert a.grad == pytest.approx(float(mpmath.diff(mpmath.sin, 0.3)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("before", [lambda: ops.exp(1000.0), lambda: ops.exp(-1000.0)])
def test_hypot_of_nan_is_nan_whatever_overflowed_before(before):
    for x, y, expected in [
        (math.nan, 1.0, math.nan),
        (1.0, math.nan, math.nan),
        (math.nan, math.nan, math.nan),
        (math.nan, -math.inf, math.inf),
        (math.inf, -math.inf, math.inf),
        (1e308, 1.7e308, math.inf),
        (3.0, 4.0, 5.0),
    ]:
        before()
        found = ops.hypot(x, y)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("module", [ops, ng.special])
def test_lines_of_the_table_fit_on_a_screen(module):
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("numbers", [(), (-0.0, 1.0), (1e16, 1.0, 1.0, 1.0), (0.0, 2.0, math.inf, 3.0)])
def test_sums_are_rounded_from_left_to_right_and_keep_the_sign_of_zero(numbers):
    half = len(numbers) // 2
    pairs = [*zip(numbers[:half], numbers[half:], strict=True)]
    terms = [x * y for x, y in pairs], [x * y if x else 0.0 for x, y in pairs]

    found = ops.sum(*numbers), ops.dot(*numbers), ops.strong_dot(*numbers)

    expected = [functools.reduce(operator.add, each) if each else 0.0 for each in (numbers, *terms)]
    assert [*map(repr, found)] == [*map(repr, expected)]
