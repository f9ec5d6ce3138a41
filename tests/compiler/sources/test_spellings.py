"""Every row in C and in JavaScript computes what the table does, over its domain and at hard points."""

import ctypes
import json
import math
from itertools import product

import mpmath
import pytest

from languages import COMPILERS, compile_c, parse, run_node, ulps
from nodegrad.compiler.sources import spellings
from nodegrad.ops import TABLE

HARD = [
    0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 2.5, -2.5, 3.0, -8.0, 1.0 / 3.0, 1e-18, -1e-9, 5e-324, 1e-310,
    -1e-310, 1e9 + 0.5, 2.0**52 - 0.5, 2.0**53 + 2.0, 700.0, -745.0, 1e200, -1e200, math.inf, -math.inf,
    math.nan,
]  # fmt: skip
FEW = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -3.0, 0.1, 1e-310, 1e200, math.inf, -math.inf, math.nan]
FRACTIONS = [(n * 0.37 % 1.0, n * 0.61 % 1.0, n * 0.83 % 1.0) for n in range(1, 40)]
# Rows that are composed of others are opened before they are written.
SPELLED = {name: row for name, row in TABLE.items() if row.arity is not None and row.composed is None}


def points(row):
    """Return points of the domain, then hard points."""
    inside = [[a + (b - a) * p for (a, b), p in zip(row.domain, parts, strict=False)] for parts in FRACTIONS]
    return [*inside, *map(list, product(HARD if row.arity == 1 else FEW, repeat=row.arity))]


def assert_same(name, rows):
    worst = max(
        (ulps(found, TABLE[name].value(*point)), point, found)
        for point, found in zip(points(TABLE[name]), rows, strict=True)
    )
    assert worst[0] <= 4.0, (name, *worst, TABLE[name].value(*worst[1]))


def test_every_row_of_a_fixed_number_of_operands_is_spelled():
    assert set(SPELLED.values()) <= set(spellings.EXPRESSIONS)


@pytest.fixture(scope="module")
def in_javascript(tmp_path_factory):
    """Run every row at all its points in Node, once."""
    lines = []
    for name, row in SPELLED.items():
        names = "xyz"[: row.arity]
        expression = spellings.EXPRESSIONS[row].format(*names)
        lines.append(f"{name}: ({', '.join(names)}) => {expression},")
    body = f"const ROWS = {{{chr(10).join(lines)}}};\n"
    data = {name: [[repr(x) for x in point] for point in points(row)] for name, row in SPELLED.items()}
    main = f"""
const number = (text) => Number(text.replace("inf", "Infinity"));
const show = (x) => (Object.is(x, -0) ? "-0" : String(x));
const found = {{}};
for (const [name, rows] of Object.entries({json.dumps(data)}))
  found[name] = rows.map((row) => show(ROWS[name](...row.map(number))));
console.log(JSON.stringify(found));
"""
    path = tmp_path_factory.mktemp("rows") / "rows.js"
    path.write_text(spellings.JAVASCRIPT.functions(body) + body + main, encoding="utf-8")
    return json.loads(run_node(path))


@pytest.mark.parametrize("name", SPELLED)
def test_row_in_javascript_equals_the_table(in_javascript, name):
    assert_same(name, map(parse, in_javascript[name]))


@pytest.fixture(scope="module", params=COMPILERS)
def in_c(request, tmp_path_factory):
    """Compile every row once; return the library."""
    parts = []
    for name, row in SPELLED.items():
        names = "xyz"[: row.arity]
        parameters = ", ".join(f"double {x}" for x in names)
        head = f"double test_{name}({parameters})"
        parts.append(f"{head};\n{head} {{ return {spellings.EXPRESSIONS[row].format(*names)}; }}\n")
    body = "".join(parts)
    path = tmp_path_factory.mktemp("rows") / "rows.c"
    includes = "".join(f"#include <{name}.h>\n" for name in ("math", "stdio", "stdlib", "string"))
    path.write_text(includes + spellings.C.functions(body) + body, encoding="utf-8")
    return ctypes.CDLL(
        str(compile_c(request.param, path, path.with_suffix(".so"), "-O2", "-shared", "-fPIC"))
    )


@pytest.mark.parametrize("name", SPELLED)
def test_row_in_c_equals_the_table(in_c, name):
    row = SPELLED[name]
    function = in_c[f"test_{name}"]
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * row.arity

    assert_same(name, [function(*point) for point in points(row)])


PLACES = [-400.0, -308.0, -20.0, -3.0, -2.0, -1.0, -0.0, 1.0, 2.0, 3.0, 15.0, 16.0, 17.0, 25.0, 322.0, 400.0]
ROUNDED = [
    2.675,
    0.5,
    1.5,
    2.5,
    0.125,
    0.375,
    5.0,
    15.0,
    25.0,
    35.0,
    1050.0,
    2.0**60,
    1e22,
    1.7976931348623157e308,
]
ROUNDED += [
    5e-324,
    2.2e-308,
    9.9999999999999982,
    0.1 + 0.2,
    5e15,
    4503599627370497.5,
    1e300,
    123456.789,
    1e-5,
]
ROUNDING = [[sign * x, places] for x in ROUNDED for sign in (1.0, -1.0) for places in PLACES]


def test_decimal_places_are_rounded_in_javascript_as_in_python(tmp_path):
    main = f"""
const show = (x) => (Object.is(x, -0) ? "-0" : String(x));
console.log(JSON.stringify({ROUNDING!r}.map(([x, places]) => show(round_to(x, places)))));
"""
    path = tmp_path / "round.js"
    path.write_text(spellings.JAVASCRIPT.functions(main) + main)

    found = map(parse, json.loads(run_node(path)))
    assert list(map(repr, found)) == [repr(TABLE["round_to"].value(*each)) for each in ROUNDING]


def test_decimal_places_are_rounded_in_c_as_in_python(in_c):
    function = in_c.test_round_to
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 2

    found = [function(*each) for each in ROUNDING]
    assert list(map(repr, found)) == [repr(TABLE["round_to"].value(*each)) for each in ROUNDING]


def test_error_functions_of_javascript_are_within_four_ulp_of_the_truth(tmp_path):
    numbers = [n * 0.0371 - 6.5 for n in range(900)]
    main = f"console.log(JSON.stringify({numbers!r}.map((x) => [erf(x), erfc(x)])));\n"
    path = tmp_path / "erf.js"
    path.write_text(spellings.JAVASCRIPT.functions(main) + main)

    with mpmath.workdps(40):
        for x, found in zip(numbers, json.loads(run_node(path)), strict=True):
            for function, number in zip((mpmath.erf, mpmath.erfc), found, strict=True):
                exact = function(mpmath.mpf(x))
                assert abs(number - exact) <= 4 * math.ulp(float(exact)), (function, x)


ROUNDED_CORRECTLY = {
    "exp": (mpmath.exp, -745.0, 709.0), "log": (mpmath.log, 1e-9, 20.0), "sin": (mpmath.sin, -99.0, 99.0),
    "exp2": (lambda x: 2**x, -1074.0, 1023.0), "log2": (lambda x: mpmath.log(x, 2), 1e-9, 20.0),
    "cos": (mpmath.cos, -99.0, 99.0), "tan": (mpmath.tan, -99.0, 99.0), "asin": (mpmath.asin, -1.0, 1.0),
    "acos": (mpmath.acos, -1.0, 1.0), "atan": (mpmath.atan, -9.0, 9.0), "cbrt": (mpmath.cbrt, 1e-9, 9.0),
    "pow": (lambda x: x ** mpmath.mpf(2.7), 1e-9, 90.0),
}  # fmt: skip


def test_elementary_functions_of_javascript_are_rounded_correctly(tmp_path):
    numbers = {
        name: [a + (b - a) * (n * 0.61803398875 % 1.0) ** 3 for n in range(1, 500)]
        for name, (_, a, b) in ROUNDED_CORRECTLY.items()
    }
    main = f"""
const found = {{}};
for (const [name, xs] of Object.entries({json.dumps(numbers)}))
  found[name] = xs.map((x) => ({{ {", ".join(ROUNDED_CORRECTLY)} }})[name](x, 2.7));
console.log(JSON.stringify(found));
"""
    path = tmp_path / "functions.js"
    path.write_text(spellings.JAVASCRIPT.functions(main) + main)
    found = json.loads(run_node(path))

    with mpmath.workdps(60):
        for name, (function, *_) in ROUNDED_CORRECTLY.items():
            nearest = [float(function(mpmath.mpf(x))) for x in numbers[name]]
            assert list(map(float, found[name])) == nearest, name


def test_spellings_load_without_numpy(run_python):
    code = "import sys; sys.modules['numpy'] = None\n"
    code += "from nodegrad.compiler.sources import spellings; print('fine')"

    assert run_python("-c", code).strip() == "fine"
