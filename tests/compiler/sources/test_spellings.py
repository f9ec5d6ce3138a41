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
PYTHON = {"round_to"}  # rounds decimal digits as only Python does
# Rows that are composed of others are opened before they are written.
SPELLED = {
    name: row
    for name, row in TABLE.items()
    if row.arity is not None and row.composed is None and name not in PYTHON
}


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
    assert set(SPELLED.values()) <= set(spellings.C) == set(spellings.JAVASCRIPT)


@pytest.fixture(scope="module")
def in_javascript(tmp_path_factory):
    """Run every row at all its points in Node, once."""
    lines = []
    for name, row in SPELLED.items():
        names = "xyz"[: row.arity]
        expression = spellings.JAVASCRIPT[row].format(*names)
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
    path.write_text(spellings.functions("js", body) + body + main, encoding="utf-8")
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
        parts.append(f"{head};\n{head} {{ return {spellings.C[row].format(*names)}; }}\n")
    body = "".join(parts)
    path = tmp_path_factory.mktemp("rows") / "rows.c"
    path.write_text("#include <math.h>\n\n" + spellings.functions("c", body) + body, encoding="utf-8")
    return ctypes.CDLL(
        str(compile_c(request.param, path, path.with_suffix(".so"), "-O2", "-shared", "-fPIC"))
    )


@pytest.mark.parametrize("name", SPELLED)
def test_row_in_c_equals_the_table(in_c, name):
    row = SPELLED[name]
    function = in_c[f"test_{name}"]
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * row.arity

    assert_same(name, [function(*point) for point in points(row)])


def test_error_functions_of_javascript_are_within_four_ulp_of_the_truth(tmp_path):
    numbers = [n * 0.0371 - 6.5 for n in range(900)]
    main = f"console.log(JSON.stringify({numbers!r}.map((x) => [erf(x), erfc(x)])));\n"
    path = tmp_path / "erf.js"
    path.write_text(spellings.functions("js", main) + main)

    with mpmath.workdps(40):
        for x, found in zip(numbers, json.loads(run_node(path)), strict=True):
            for function, number in zip((mpmath.erf, mpmath.erfc), found, strict=True):
                exact = function(mpmath.mpf(x))
                assert abs(number - exact) <= 4 * math.ulp(float(exact)), (function, x)


def test_spellings_load_without_numpy(run_python):
    code = "import sys; sys.modules['numpy'] = None\n"
    code += "from nodegrad.compiler.sources import spellings; print('fine')"

    assert run_python("-c", code).strip() == "fine"
