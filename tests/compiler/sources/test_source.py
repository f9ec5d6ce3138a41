"""Functions written in C and JavaScript give what `exact=True` gives, within 4 ulp a result."""

import ctypes
import json
import keyword
import math
import platform
import random
import re
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import needs
import nodegrad as ng
from benchmarks import problems
from compiler.random_programs import ROWS, optimize, runs, same
from languages import COMPILERS, compile_c, needs_compiler, parse, run_node, ulps
from nodegrad.compiler.program import STEPS, evaluate
from nodegrad.compiler.sources import c, spellings
from nodegrad.compiler.sources.function import Function
from nodegrad.compiler.spellings import SPELLINGS
from nodegrad.trees import flatten


def in_c(source, results, rows, path, compiler, name="f"):
    """Compile a source and call it for rows of numbers; return (status, results) for each."""
    path.with_suffix(".c").write_text(source, encoding="utf-8")
    library = ctypes.CDLL(
        str(compile_c(compiler, path.with_suffix(".c"), path.with_suffix(".so"), "-O2", "-shared", "-fPIC"))
    )
    function = library[name]
    takes_parameters = f"int {name}(const double *x, const double *p," in source
    found = []
    for row in rows:
        x, out = (ctypes.c_double * max(1, len(row)))(*row), (ctypes.c_double * results)()
        found.append((function(x, None, out) if takes_parameters else function(x, out), list(out)))
    return found


def in_javascript(source, results, rows, path):
    """Run a module for rows of numbers; return (status, results) for each."""
    main = f"""
const show = (x) => (Object.is(x, -0) ? "-0" : String(x));
const number = (text) => Number(text.replace("inf", "Infinity"));
const found = {json.dumps([[repr(x) for x in row] for row in rows])}.map((row) => {{
  const out = new Float64Array({results});
  const known = run(row.map(number), typeof parameters === "undefined" ? [] : parameters, out);
  return [known ? 0 : 1, Array.from(out, show)];
}});
console.log(JSON.stringify(found));
"""
    path = path.with_suffix(".mjs")
    path.write_text(source + main, encoding="utf-8")
    return [(status, list(map(parse, numbers))) for status, numbers in json.loads(run_node(path))]


@pytest.fixture(scope="module")
def call_javascript(tmp_path_factory):
    """Return a function that calls a row in JavaScript, in a process of Node that stays."""
    rows = {op.name: spellings.EXPRESSIONS[op].format(*"xyz") for op in SPELLINGS if op.arity in (1, 2, 3)}
    body = "\n".join(f"  {name}: (x, y, z) => {expression}," for name, expression in rows.items())
    body = f"const ROWS = {{\n{body}\n}};\n"
    main = """
const show = (x) => (Object.is(x, -0) ? "-0" : String(x));
const number = (text) => Number(text.replace("inf", "Infinity"));
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...numbers] = line.split(" ");
  console.log(show(ROWS[name](...numbers.map(number))));
});
"""
    path = tmp_path_factory.mktemp("rows") / "rows.js"
    path.write_text(spellings.JAVASCRIPT.functions(body) + body + main, encoding="utf-8")
    command = [needs.program("node"), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:

        def call(name, numbers):
            print(name, *map(repr, numbers), file=node.stdin, flush=True)
            return parse(node.stdout.readline())

        yield call
        node.stdin.close()


@pytest.fixture(params=[*COMPILERS, "node"])
def run(request, tmp_path):
    """Return a function that writes a compiled function in a language and runs it on rows of numbers."""
    numbers = count()

    def run(compiled, results, rows):
        path = tmp_path / f"f{next(numbers)}"  # a library that is loaded must not be written over
        if request.param == "node":
            return in_javascript(compiled.source("js", "f"), results, rows, path)
        return in_c(compiled.source("c", "f"), results, rows, path, request.param)

    run.language = "js" if request.param == "node" else "c"
    run.call = request.getfixturevalue("call_javascript") if request.param == "node" else None
    return run


def rows_of(problem, count):
    """Return the arguments of a few calls of a problem's function."""
    arguments = next(iter(problem.arguments.values()))
    if problem.mode == "call":
        return [arguments]
    return [tuple(each[row] for each in arguments) for row in range(min(count, len(arguments[0])))]


def replayed(trace, numbers, call):
    """Run a trace with JavaScript's elementary functions, which must be within 4 ulp of Python's."""
    program, parameters = trace.program, [leaf.data for leaf in trace.parameters]
    values = [*numbers, *parameters, *[0.0] * program.count, *reversed(program.constants)]
    for slot, op, operands in program.instructions:
        given = [values[operand] for operand in operands]
        values[slot] = op.value(*given)
        if op in SPELLINGS and SPELLINGS[op].calls:
            found = call(op.name, given)
            assert ulps(found, values[slot]) <= 4.0, (op.name, given)
            values[slot] = found
    return [values[slot] for slot in program.outputs[: trace.results]]


def assert_agrees(compiled, calls, run):
    """Assert that results are within 4 ulp of Python's.

    A sum that cancels may make many ulp of one in the last place of a function. So JavaScript's results are
    compared with those of Python code that calls JavaScript's functions, and nothing else of JavaScript.
    """
    expected = [flatten(compiled(*arguments))[0] for arguments in calls]
    rows = [list(map(float, flatten(arguments)[0])) for arguments in calls]
    found = run(compiled, len(expected[0]), rows)
    (traces,) = compiled.traces.values()

    for row, (status, numbers), exact in zip(rows, found, expected, strict=True):
        assert status == 0
        if run.language == "js":
            (way,) = [trace for trace in traces if trace.call(row)[0] is not None]
            exact = replayed(way, row, run.call)
        assert [pair for pair in zip(numbers, exact, strict=True) if ulps(*pair) > 4.0] == []


PROBLEMS = [problem for problem in problems.suite(quick=True) if problem.mode != "fit"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_functions_of_the_benchmarks(problem, run):
    assert_agrees(ng.compile(problem.function, exact=True), rows_of(problem, 5), run)


# Branches, structures, sizes.


def newton(a):
    """Take a square root by Newton's method: every number of turns is a way."""
    x = 1.0
    while abs(x * x - a) > 1e-9:
        x = 0.5 * (x + a / x)
    return x


def test_ways_are_branches_and_other_numbers_are_reported(run):
    compiled = ng.compile(ng.value_and_grad(newton), exact=True)
    known = [(2.0,), (9.0,), (0.3,), (2.1,), (1.0,)]
    for arguments in known:
        compiled(*arguments)

    assert_agrees(compiled, known, run)
    ((status, numbers),) = run(compiled, 2, [[1e6]])
    assert status == 1
    if run.language == "c":
        assert all(map(math.isnan, numbers))


def test_nested_branches(run):
    def f(x, y):
        z = ng.exp(x * y)
        if x > 0.0:
            return z + 1.0 if y > x else z * y
        if y > 1.0:
            return ng.sin(z) - x
        return z / 2.0 if x * y > 0.25 else z

    compiled = ng.compile(f, exact=True)
    calls = [(1.0, 2.0), (1.0, 0.5), (-1.0, 2.0), (-1.0, -2.0), (-1.0, 0.5), (-0.2, -0.3)]
    for arguments in calls:
        compiled(*arguments)

    assert_agrees(compiled, calls, run)


def decisions(seed, work):
    """Return a function that makes up to 16 combinations of decisions, with random work in between."""

    def f(x, y):
        generator = random.Random(seed)
        made = [x, y]
        for _ in range(4):
            for _ in range(generator.randrange(1, work)):
                a, b = generator.choice(made[-6:]), generator.choice(made)
                kind = generator.randrange(3)
                made.append((a / (1.0 + b * b), a - 0.5 * b, ng.sqrt(abs(a) + 0.25))[kind])
            if generator.choice(made) > 0.3 * generator.choice(made):
                generator.random()  # from here on, the work differs
        return made[-1] + made[-2] * generator.choice(made)

    return ng.value_and_grad(f, argnums=(0, 1)) if seed % 2 else f


@pytest.mark.parametrize("work", [3, 20, 150])
@pytest.mark.parametrize("seed", range(4))
def test_random_decisions(run, seed, work):
    compiled = ng.compile(decisions(seed, work), exact=True, max_traces=64)
    generator = random.Random(seed)
    rows = [(generator.uniform(-2.0, 2.0), generator.uniform(-2.0, 2.0)) for _ in range(20)]
    for row in rows:
        compiled(*row)
    compiled.source("c")  # compiles the ways that ran eagerly, too

    assert_agrees(compiled, rows, run)


def test_long_straight_code_is_cut_into_parts(run):
    operations = [ng.sin, ng.exp, abs, ng.tanh, lambda x: x * x, lambda x: 1.0 - x, lambda x: x / 3.0]

    def f(x, y):
        generator = random.Random(1)
        made = [x, y]
        for _ in range(2_000):
            made.append(
                generator.choice(operations)(generator.choice(made[-5:]) * 0.5) + generator.choice(made)
            )
        return made[-1], made[-7], x

    compiled = ng.compile(f, exact=True)
    compiled(0.3, 0.4)

    assert "part2(" in compiled.source("c")
    assert_agrees(compiled, [(0.3, 0.4)], run)


def test_much_memory_comes_from_malloc(run):
    def f(x):
        return [ng.sin(a) * b for a in x for b in x]

    compiled = ng.compile(ng.jacobian(f), exact=True)
    x = [n / 30.0 for n in range(1, 21)]
    compiled(x)

    assert_agrees(compiled, [(x,)], run)


def root(a):
    """Take a square root in a loop that is one instruction."""
    return ng.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: 0.5 * (x + a / x), 1.0 * a)


def test_loops_stay_loops(run):
    compiled = ng.compile(ng.value_and_grad(root), exact=True)
    compiled(2.0)

    assert_agrees(compiled, [(2.0,), (1e6,), (0.3,), (1.0,)], run)


def test_loops_over_items_give_out_numbers(run):
    def f(xs, w):
        return ng.scan(lambda s, x: ((w * s + x) / (1.0 + s * s), s * x), 0.5, xs)

    compiled = ng.compile(ng.jacobian(f, argnums=(0, 1)), exact=True)
    values = ng.compile(f, exact=True)
    calls = [([0.1, -0.4, 0.9, 2.0, 0.3], 0.7), ([1.0, 1.0, -1.0, 0.0, 0.5], -2.0)]
    for each in (compiled, values):
        each(*calls[0])

        assert_agrees(each, calls, run)


def test_loops_in_loops_and_beside_each_other(run):
    def f(a, b):
        inner = [root(x * x + 1.0) for x in (a, b, a + b, a - b)]
        return ng.while_loop(lambda s: s < 50.0, lambda s: root(s + 3.0) * 2.0 + s, ng.sum(inner)), inner

    compiled = ng.compile(f, exact=True)
    compiled(1.0, 2.0)

    assert_agrees(compiled, [(1.0, 2.0), (-0.3, 0.1)], run)


def test_loop_that_does_not_end_is_reported(run):
    compiled = ng.compile(
        lambda a: ng.while_loop(lambda x: x > 0.0, lambda x: x + a, 1.0 * a, limit=50), exact=True
    )
    compiled(-1.0)

    assert [status for status, _ in run(compiled, 1, [[-1.0], [1.0]])] == [0, 1]


def test_functions_of_numbers_closed_over_are_those_of_the_library(run):
    w = ng.Value(-4.884282731104147e16)  # gcc rounds its cube root otherwise than glibc
    compiled = ng.compile(lambda x: ng.cbrt(w) * x, exact=True)
    exact = compiled(1.0)

    ((_, (found,)),) = run(compiled, 1, [[1.0]])
    assert found == exact if run.language == "c" else ulps(found, exact) <= 4.0


def test_functions_of_numbers_that_are_chosen_are_those_of_the_library(run):
    compiled = ng.compile(lambda x, c: ng.cbrt(ng.where(c, -0.43945520831273566, x)), exact=True)
    exact = compiled(2.0, 1.0)

    ((_, (found,)),) = run(compiled, 1, [[2.0, 1.0]])
    assert found == exact if run.language == "c" else ulps(found, exact) <= 4.0


def test_hard_numbers_and_constants(run):
    def f(x):
        return [
            x * math.inf,
            x - -2.0,
            math.nan * x,
            ng.where(x, -0.0, 1e-320),
            -(x * 0.0),
            7.0,
            -math.inf,
            x,
        ]

    compiled = ng.compile(f, exact=True)
    calls = [(x,) for x in (0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324)]
    for arguments in calls:
        compiled(*arguments)

    assert_agrees(compiled, calls, run)


@dataclass
class Point:
    x: float
    y: float


def test_javascript_takes_and_returns_the_structures_of_python(tmp_path):
    def f(point, d, rows):
        return {
            "a": point.x * d["k 1"],
            "b": [[x * 2.0 for x in row] for row in rows],
            "c": (point.y, [d["l"][0]]),
        }

    compiled = ng.compile(f)
    compiled(Point(1.0, 2.0), {"k 1": 3.0, "l": [4.0, 5.0]}, [[1.0, 2.0], [3.0, 4.0]])
    call = 'f({x: 1.5, y: 2.5}, {"k 1": 3, l: [4, 5]}, [[1, 2], [3, 4]])'
    (tmp_path / "f.mjs").write_text(compiled.source("js") + f"console.log(JSON.stringify({call}));")

    assert json.loads(run_node(tmp_path / "f.mjs")) == {
        "a": 4.5,
        "b": [[2.0, 4.0], [6.0, 8.0]],
        "c": [2.5, [4.0]],
    }


def test_javascript_throws_where_numbers_go_another_way(tmp_path):
    compiled = ng.compile(lambda x: x if x > 0.0 else -x)
    compiled(1.0)
    (tmp_path / "f.mjs").write_text(
        compiled.source("js") + "try { f(-1) } catch (error) { console.log(error.name) }\nf(1, 2);"
    )

    assert run_node(tmp_path / "f.mjs") == "RangeError\n"


def test_parameters_can_be_replaced(tmp_path):
    model = ng.nn.MLP(2, [3, 1], seed=1)
    compiled = ng.compile(lambda x: model(x), exact=True)
    exact = compiled([1.0, 2.0])
    source = compiled.source("js", "predict")
    for parameter in model.parameters():
        parameter.data = parameter.data + 0.5
    numbers = [parameter.data for parameter in compiled.traces.popitem()[1][0].parameters]
    (tmp_path / "f.mjs").write_text(
        source + f"console.log(JSON.stringify([predict([1, 2]), predict([1, 2], {numbers!r})]));"
    )

    found = json.loads(run_node(tmp_path / "f.mjs"))

    assert found == pytest.approx([exact, compiled([1.0, 2.0])], rel=1e-12)


NAMES = [
    "double",
    "exp",
    "x",
    "out",
    "while",
    "λ",
    "main",
    "NAN",
    "isnan",
    "printf",
    "delete",
    "numbers",
    "p",
    "v",
    "run",
    "way1",
    "part1",
    "t3",
]


@pytest.mark.parametrize("name", NAMES)
def test_functions_and_arguments_may_have_any_name(name, tmp_path):
    model = ng.nn.MLP(1, [2, 1], seed=1)
    if not keyword.iskeyword(name):
        namespace = {"model": model}
        exec(f"def f({name}): return model([{name}])", namespace)
        compiled = ng.compile(namespace["f"])
    else:
        compiled = ng.compile(lambda x: model([x]))
    compiled.f.__name__ = name
    compiled(1.0)
    (tmp_path / "f.c").write_text(compiled.source("c"), encoding="utf-8")
    (tmp_path / "f.mjs").write_text(compiled.source("js"), encoding="utf-8")

    compile_c(needs_compiler(), tmp_path / "f.c", tmp_path / "f.o", "-c")
    run_node(tmp_path / "f.mjs")


@pytest.mark.parametrize("name", ["a b", "1a", "λ", "f(", "a-b", "*/", "\n"])
def test_a_chosen_name_is_one_in_other_languages(name):
    compiled = ng.compile(lambda x: x * x)
    compiled(1.0)

    with pytest.raises(ValueError, match="source takes name as letters, digits and _"):
        compiled.source("c", name)


@pytest.mark.parametrize(("language", "name"), [("c", "int"), ("c", "sin"), ("js", "delete"), ("js", "run")])
def test_a_chosen_name_never_changes(language, name):
    compiled = ng.compile(ng.sin)
    compiled(1.0)

    with pytest.raises(ValueError, match=f"{name} has another meaning in this file. Write '{name}_', say."):
        compiled.source(language, name)
    assert f"{name}_(" in compiled.source(language, f"{name}_")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("", "f takes 3 numbers; got 2."),
        ("1, [2]", "f takes 3 numbers; got 2."),
        ("undefined, [2, 3]", "f takes 3 numbers; number 1 is undefined."),
        ("1, ['2', 3]", "f takes 3 numbers; number 2 is 2."),
        ("1, [2, null]", "f takes 3 numbers; number 3 is null."),
        ("1, [2, 3n]", "f takes 3 numbers; number 3 is 3."),
    ],
)
def test_javascript_says_what_is_not_a_number(call, told, tmp_path):
    def f(x, y):
        return x * y[0] if y[1] > 0.0 else x

    compiled = ng.compile(f)
    compiled(1.0, [2.0, 3.0])
    catching = f"try {{ f({call}) }} catch (error) {{ console.log(error.name, error.message) }}"
    (tmp_path / "f.mjs").write_text(compiled.source("js") + catching, encoding="utf-8")

    assert run_node(tmp_path / "f.mjs") == f"TypeError {told}\n"


def test_javascript_takes_booleans_and_typed_arrays(tmp_path):
    compiled = ng.compile(lambda x, y: x * y[0] - y[1])
    compiled(1.0, [2.0, 3.0])
    calls = "console.log(f(true, new Float64Array([2, 5])), f(NaN, [1, 2]));"
    (tmp_path / "f.mjs").write_text(compiled.source("js", "f") + calls, encoding="utf-8")

    assert run_node(tmp_path / "f.mjs") == "-3 NaN\n"


def test_comments_do_not_name_arrays(tmp_path):
    namespace = {}
    exec(compile("def f(x):\n    return x if x > 0.0 else -x", "v.py", "exec"), namespace)
    compiled = ng.compile(namespace["f"])
    compiled(1.0)
    (tmp_path / "f.c").write_text(compiled.source("c"))
    (tmp_path / "f.mjs").write_text(compiled.source("js") + "console.log(f(2));")

    assert "v.py" in compiled.source("c")
    compile_c(needs_compiler(), tmp_path / "f.c", tmp_path / "f.o", "-c")
    assert run_node(tmp_path / "f.mjs") == "2\n"


def test_tables_may_be_longer_than_the_arguments_of_a_call(tmp_path):
    count = 70_000  # JavaScript takes 65,535 arguments at most
    table = spellings.JAVASCRIPT.define_table("double", "numbers", [0.5] * count)
    (tmp_path / "f.mjs").write_text(f"{table}\nconsole.log(numbers.length);")

    assert run_node(tmp_path / "f.mjs") == f"{count}\n"


def test_texts_in_comments_stay_there(tmp_path):
    def f(x):
        """Compute */ #error // ??/ <script>."""
        return x

    compiled = ng.compile(f)
    compiled(1.0)
    (tmp_path / "f.c").write_text(compiled.source("c"), encoding="utf-8")
    (tmp_path / "f.mjs").write_text(compiled.source("js"), encoding="utf-8")

    compile_c(needs_compiler(), tmp_path / "f.c", tmp_path / "f.o", "-c")
    run_node(tmp_path / "f.mjs")


def test_look_ups_in_tables_are_choices(run):
    w = ng.Value(2.0)
    xs = [0.0, 1.0, 2.0, 3.0]
    f = lambda x: ng.interp(x, xs, [0.0, w, 4.0, 1.0], "cubic") * ng.take([x, w, 3.0], x)  # noqa: E731
    f = ng.value_and_grad(f)
    compiled = ng.compile(f, exact=True)
    rows = [[0.5], [1.0], [2.75], [-1.0], [9.0], [math.nan]]
    compiled(0.5)

    found = run(compiled, 2, rows)

    assert all(same(numbers, compiled(*row)) for row, (_, numbers) in zip(rows, found, strict=True))


# Without copysign: the sign of a nan is not promised. The tests of single rows try it.
WRITTEN = [row for row in ROWS if row in STEPS or row in spellings.EXPRESSIONS if row is not ng.copysign]


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(runs(WRITTEN, 12), min_size=5, max_size=5))
def test_random_programs(drawn):
    with TemporaryDirectory() as directory:
        for number, (program, table, parameters) in enumerate(drawn):
            leaves = [ng.Value(x) for x in parameters]
            results = len(program.outputs)
            way = SimpleNamespace(
                program=optimize(program),
                parameters=leaves,
                spec=flatten([0.0] * results)[1],
                results=results,
                way=(),
                example=list(table[0]),
            )
            function = Function(None, "f", "", flatten(([0.0] * program.inputs,))[1], [way])
            path = Path(directory) / f"f{number}"
            found = in_c(c.file(function), results, table, path, needs_compiler())
            for row, (_, numbers) in zip(table, found, strict=True):
                assert same(numbers, evaluate(program, row, parameters))


def test_custom_operations_that_are_python_code_are_refused():
    op = ng.custom("cube", lambda x: math.pow(x, 3.0), lambda x, out: 3.0 * x * x)
    compiled = ng.compile(lambda x: op(x) + 1.0)
    compiled(2.0)

    with pytest.raises(ValueError, match="cube is an operation in Python"):
        compiled.source("c")


def test_what_was_not_called_or_differs_is_refused():
    compiled = ng.compile(lambda x: x)

    with pytest.raises(ValueError, match="was not called yet"):
        compiled.source("c")
    compiled(1.0)
    with pytest.raises(ValueError, match="takes language from c, js; got 'fortran'"):
        compiled.source("fortran")
    compiled([1.0])
    with pytest.raises(ValueError, match="arguments of several structures"):
        compiled.source("c")


def test_example_in_the_comment_is_what_the_function_gives():
    compiled = ng.compile(lambda x, y: x * y + 0.5)
    compiled(2.0, 3.0)

    assert "with double x[2] = {2.0, 3.0}, out[1],\n   f(x, out) gives out = {6.5}." in compiled.source("c")
    assert "// Example: x = [2.0, 3.0] gives out = [6.5]." in compiled.source("js")


def test_tables_are_looked_up_inside_loops(run):
    table = [0.5, -1.0, 2.0, 0.25]

    def walk(x, scale):
        entries = [scale * each for each in table]
        return ng.while_loop(lambda s: s < 20.0, lambda s: s + 1.5 + ng.abs(ng.take(entries, s % 4.0)), x)

    compiled = ng.compile(ng.value_and_grad(walk, argnums=(0, 1)), exact=True)
    assert_agrees(compiled, [(0.0, 1.0), (3.25, 2.0), (-7.5, 0.5)], run)


def test_decimal_places_are_rounded(run):
    assert_agrees(ng.compile(lambda x: round(x * 3.0, 2), exact=True), [(0.225,), (-1.115,), (1e300,)], run)


@pytest.mark.skipif(not COMPILERS, reason="needs cc")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="this platform has no -mfma")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_products_and_sums_are_rounded_apart_where_the_processor_could_join_them(compiler, tmp_path):
    compiled = ng.compile(lambda x, y: ng.dot(x, y), exact=True)
    x, y = [1.0 + 2.0**-30] * 20 + [-20.0], [1.0 - 2.0**-30] * 20 + [1.0]
    assert compiled(x, y) == 0.0  # joined, each product would keep the 2**-60 that rounding takes

    path = tmp_path / "f.c"
    path.write_text(compiled.source("c", "f"))
    flags = "-O2", "-mfma", "-mavx2", "-S", "-Wno-unused-command-line-argument"
    listing = compile_c(compiler, path, tmp_path / "f.s", *flags)

    assert "fmadd" not in listing.read_text()
    assert "mulsd" in listing.read_text() or "mulpd" in listing.read_text()


def test_keywords_have_their_names_and_static_arguments_none():
    def power(x, n=2, shift=0.0, *, scale=1.0):
        return scale * x**n + shift

    compiled = ng.compile(power, static="n")
    compiled(2.0, 3, scale=4.0)

    for text in (compiled.source("c"), compiled.source("js")):
        assert re.findall(r"x\[\d\] = (\w+)$", text, re.MULTILINE) == ["x", "scale"]
    assert "function power(x, scale) {" in compiled.source("js")


def test_a_result_may_have_any_key(tmp_path):
    compiled = ng.compile(lambda x: {"__proto__": x * 2.0, "constructor": x})
    compiled(1.0)
    source = compiled.source("js", "f")
    (tmp_path / "f.mjs").write_text(source + "\nconsole.log(JSON.stringify(f(3.0)));", encoding="utf-8")

    assert json.loads(run_node(tmp_path / "f.mjs")) == {"__proto__": 6.0, "constructor": 3.0}
