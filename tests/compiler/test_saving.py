"""Compiled functions in files: what goes in comes out, and nothing else is taken."""

import copy
import json
import math
import pickle
from collections import namedtuple

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends
from nodegrad.files import _checksum

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
weight = Value(2.0)


def branches(x):
    return ng.sin(x) * weight if x > 0 else -x + math.inf


def looped(x):
    return (
        ng.while_loop(lambda s: s * s > 2.0 + weight, lambda s: s * 0.5, x)
        + ng.scan(lambda s, c: (s * x + c, s), 0.0, [1.0, 2.0])[0]
    )


CASES = {
    "branches": (branches, [(2.0,), (-1.0,)]),
    "loops": (ng.value_and_grad(looped), [(9.0,), (0.1,)]),
    "roots": (lambda a: ng.root(lambda x: x**3 - a, (0.0, 5.0)), [(2.0,), (9.0,)]),
    "structures": (
        lambda p, v: {"a": [p["w"][0] * v, (p["b"],)], 3: ng.softmax([*v])},
        [({"w": (2.0,), "b": 1.0}, np.array([1.0, 2.0, 3.0]))],
    ),
    "networks": (
        ng.value_and_grad(lambda x: ng.sum(ng.nn.MLP(3, [5, 2], seed=0)(x)) ** 2),
        [([1.0, -2.0, 0.5],)],
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_loaded_does_what_was_saved(case, backend, tmp_path):
    f, rows = CASES[case]
    compiled = ng.compile(f, backend=backend, exact=True)
    expected = [compiled(*row) for row in rows]

    compiled.save(tmp_path / "f.json")
    again = ng.load_compiled(tmp_path / "f.json")

    np.testing.assert_equal([again(*row) for row in rows], expected)
    assert (again.backend, again.exact) == (backend, True)
    assert str(again).splitlines()[1:] == str(compiled).splitlines()[1:]
    again.save(tmp_path / "g.json")
    assert (tmp_path / "g.json").read_text() == (tmp_path / "f.json").read_text()


def test_values_closed_over_keep_the_numbers_they_had(tmp_path):
    w = Value(3.0)
    compiled = ng.compile(lambda x: x * w)
    compiled(1.0)
    w.data = 4.0
    compiled.save(tmp_path / "f.json")
    w.data = 5.0

    again = ng.load_compiled(tmp_path / "f.json")

    assert again(2.0) == 8.0
    assert again.map([1.0, 2.0], reduce="sum") == 12.0
    (leaf,) = next(iter(again.traces.values()))[0].parameters
    leaf.data = 10.0
    assert again(2.0) == 20.0


def test_a_way_that_was_not_recorded_is_an_error(tmp_path):
    compiled = ng.compile(branches)
    compiled(2.0)
    compiled.save(tmp_path / "f.json")

    again = ng.load_compiled(tmp_path / "f.json")
    refusal = "{} that was not recorded.* loaded from a file.* before saving"
    for call, what in [
        (lambda: again(-2.0), "go a way"),
        (lambda: again.map([2.0, -2.0]), "go a way"),
        (lambda: again([2.0]), "have a structure"),
        (lambda: again(x=2.0), "are keywords or static arguments, in a form"),
    ]:
        with pytest.raises(ValueError, match=refusal.format(what)):
            call()
    for differentiate in (ng.grad(again), lambda x: again(Value(x))):
        with pytest.raises(
            TypeError, match=r"plain numbers only.*Save or pickle compile\(value_and_grad\(f\)\)"
        ):
            differentiate(2.0)


Point = namedtuple("Point", "x")


@pytest.mark.parametrize(
    ("f", "arguments", "message"),
    [
        (ng.custom("own", lambda x: math.exp(x), lambda x, out: 1.0), (1.0,), "own is Python code"),
        (lambda x: Point(x), (1.0,), "Point are not saved"),
        (lambda p: p.x, (Point(1.0),), "Point are not saved"),
        (ng.jacobian(lambda v: [v[0]], sparse=True), ([1.0, 2.0],), "Sparse are not saved"),
    ],
)
def test_python_code_is_not_saved(f, arguments, message, tmp_path):
    compiled = ng.compile(f)
    compiled(*arguments)

    with pytest.raises(ValueError, match=message):
        compiled.save(tmp_path / "f.json")
    assert list(tmp_path.iterdir()) == []


def powers(x, n, kind="sum", *, shift=0.0, skip=None):
    terms = [x**i + shift for i in range(n) if i != skip]
    return ng.sum(terms) if kind == "sum" else ng.prod(terms)


@pytest.mark.parametrize(("keywords", "static"), [({"n": 3}, "n"), ({"n": 3, "shift": 1.0}, ("n",))])
def test_functions_called_with_static_or_keyword_only_arguments_are_not_saved(keywords, static, tmp_path):
    compiled = ng.compile(powers, static=static)
    compiled(2.0, **keywords)

    with pytest.raises(ValueError, match=r"save: powers .*static arguments.*lambda x: f\(x, n=3\)"):
        compiled.save(tmp_path / "f.json")
    assert list(tmp_path.iterdir()) == []
    fixed = ng.compile(lambda x: powers(x, **keywords))
    expected = fixed(2.0)
    fixed.save(tmp_path / "f.json")
    assert ng.load_compiled(tmp_path / "f.json")(2.0) == expected == compiled(2.0, **keywords)


def test_keywords_that_could_be_positions_are_saved_as_positions(tmp_path):
    compiled = ng.compile(lambda x, y=1.0: x * y)
    assert (compiled(2.0), compiled(y=3.0, x=2.0)) == (2.0, 6.0)
    compiled.save(tmp_path / "f.json")

    again = ng.load_compiled(tmp_path / "f.json")

    assert (again(5.0), again(5.0, 3.0)) == (5.0, 15.0)


def test_functions_loaded_without_their_function_pickle_with_static_arguments():
    compiled = ng.compile(lambda x, n: x**n, static="n")
    expected = [compiled(2.0, 3), compiled(2.0, n=4)]

    again = pickle.loads(pickle.dumps(compiled))

    assert [again(2.0, n=3), again(2.0, 4)] == expected


def test_what_was_not_called_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="was not called yet"):
        ng.compile(branches).save(tmp_path / "f.json")


def saved(path):
    compiled = ng.compile(looped)
    compiled(9.0)
    compiled.save(path)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("saved") / "f.json")


@pytest.fixture
def content(saved_once):
    return copy.deepcopy(saved_once)


def test_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "f.json"
    saved(path)
    good = path.read_bytes()
    generator = np.random.default_rng(0)

    for place in generator.integers(0, len(good), 150).tolist():
        path.write_bytes(
            good[:place] + bytes([good[place] ^ (1 << int(generator.integers(7)))]) + good[place + 1 :]
        )
        try:
            again = ng.load_compiled(path)
        except ValueError:
            continue
        assert again(9.0) == ng.compile(looped)(9.0)  # white space only


def change(content, *path, to):
    *path, last = path
    for key in path:
        content = content[key]
    content[last] = to


def written(path, content):
    """Write content with the checksum it should have."""
    body = {key: value for key, value in content.items() if key not in ("format", "version", "checksum")}
    path.write_text(json.dumps(content | {"checksum": _checksum(body)}))


TRACE = ("ways", 0, "traces", 0)
# Of both loops of `looped`: the path; the sizes of the state, of what a turn gives out and takes; the turns.
LOOPS = {
    (*TRACE, "program", "instructions", at, 0): sizes
    for at, sizes in [(1, [1, 0, 0, None]), (3, [1, 1, 1, 2])]
}
WRONG_SIZES = [
    ((*loop, "loop", place), to)
    for loop, sizes in LOOPS.items()
    for place, size in enumerate(sizes)
    for to in (0, 1, 2, 3, 10**9, None, -1, "x", 1.0, True)
    if to is not size
]
WRONG_PARTS = [
    ((*loop, part, name), to)
    for loop, part in zip([*LOOPS, next(iter(LOOPS))], ["do", "do", "while"], strict=True)
    for name, wrong in {
        "inputs": (1, 7, 10**9),
        "parameters": (1, 10**9),
        "outputs": ([], [99], [0, 0, 0]),
    }.items()
    for to in wrong
]


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ((*TRACE, "program", "instructions", 0, 1), 99),
        ((*TRACE, "program", "instructions", 0, 1), -99),
        ((*TRACE, "program", "instructions", 0, 1), "x"),
        ((*TRACE, "program", "instructions", 0, 1), True),
        ((*TRACE, "program", "instructions", 0, 0), "__import__"),
        ((*TRACE, "program", "instructions", 0), []),
        ((*TRACE, "program", "outputs"), [99]),
        ((*TRACE, "program", "outputs"), []),
        ((*TRACE, "program", "inputs"), -1),
        ((*TRACE, "program", "inputs"), 5),
        ((*TRACE, "program", "inputs"), 10**9),
        ((*TRACE, "program", "inputs"), 0),
        ((*TRACE, "program", "parameters"), 10**9),
        ((*TRACE, "program", "outputs", 0), 3),  # a loop
        ((*TRACE, "program", "instructions", 2, 1), 0),
        ((*TRACE, "program", "constants", 0), "ten"),
        ((*TRACE, "closed_over"), []),
        ((*TRACE, "results"), ["list", None, ["*", "*"]]),
        ((*TRACE, "results"), ["object", None, []]),
        ((*TRACE, "result_count"), 5),
        ((*TRACE, "branches"), [[True]]),
        ((*TRACE, "branches"), [[1, "line"]]),
        *WRONG_SIZES,
        *WRONG_PARTS,
        (("ways",), 3),
        (("ways",), []),
        (("ways", 0, "traces"), []),
        (("ways", 0, "arguments"), ["tuple", None, 3]),
        (("ways", 0, "arguments"), ["tuple", None, ["*", "*"]]),
        (("ways", 0, "arguments"), ["tuple", 1, ["*"]]),
        (("ways", 0, "arguments"), ["tuple", None, {"*": 1}]),
        (("ways", 0, "arguments"), ["list", None, ["*"]]),
        (("ways", 0, "arguments"), ["array", [1], ["*"]]),
        (("ways", 0, "arguments"), "*"),
        (("ways", 0, "arguments"), ["tuple", None, [["tuple", {"keywords": [], "static": {}}, ["*"]]]]),
        (("options", "backend"), "fortran"),
        (("options",), {}),
    ],
)
def test_foreign_files_are_refused(path, to, content, tmp_path):
    change(content, *path, to=to)
    written(tmp_path / "f.json", content)

    with pytest.raises(ValueError, match="load_compiled"):
        ng.load_compiled(tmp_path / "f.json")


def test_a_structure_of_any_size_costs_nothing_until_it_is_called(content, tmp_path):
    change(content, "ways", 0, "arguments", to=["tuple", None, [["array", [10**15], []]]])
    change(
        content,
        *TRACE,
        "program",
        to={"inputs": 10**15, "parameters": 0, "constants": [], "instructions": [], "outputs": [0]},
    )
    change(content, *TRACE, "closed_over", to=[])
    written(tmp_path / "f.json", content)

    again = ng.load_compiled(tmp_path / "f.json")

    with pytest.raises(ValueError, match="have a structure that was not recorded"):
        again(1.0)


FOREIGN = """
import sys
import nodegrad as ng
try:
    ng.load_compiled(sys.argv[1])
except ValueError as error:
    print(error)
"""


def test_files_are_checked_where_python_ignores_assertions(run_python, content, tmp_path):
    change(content, *TRACE, "program", "instructions", 0, 1, to=99)
    written(tmp_path / "f.json", content)
    (tmp_path / "script.py").write_text(FOREIGN)

    assert "reads a slot before it is defined" in run_python(
        "-O", tmp_path / "script.py", tmp_path / "f.json"
    )


def test_options_given_as_numbers_of_numpy_are_saved(tmp_path):
    options = {"exact": np.True_, "threads": np.int64(1), "max_traces": np.int64(3)}
    compiled = ng.compile(lambda x: x * x, **options)
    compiled(3.0)

    compiled.save(tmp_path / "f.json")

    again = ng.load_compiled(tmp_path / "f.json")
    assert (again.exact, again.threads, again.max_traces) == (True, 1, 3)


def test_a_pickled_copy_of_a_loaded_function_keeps_its_native_code(tmp_path):
    compiled = ng.compile(lambda x: x * x)
    compiled(3.0)
    compiled.save(tmp_path / "f.json")
    loaded = ng.load_compiled(tmp_path / "f.json")

    again = pickle.loads(pickle.dumps(loaded))

    keys = [[trace.key for each in f.traces.values() for trace in each] for f in (loaded, again)]
    assert keys[0] == keys[1] != [""]
