"""Backends: to the bit with exact, within 4 ulp an operation without."""

import math
import platform
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

import nodegrad as ng
from compiler.random_programs import HARD, ROWS, runs, same
from nodegrad import ops
from nodegrad.compiler import backends
from nodegrad.compiler.program import Program, evaluate

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]


def backend(program, name, exact):
    return backends.make(program, name=name, exact=exact, threads=1)


def run_rows(program, table, parameters, name, exact):
    blocks = [np.array(table, float)]
    out = backend(program, name, exact).rows(blocks, len(table), np.array(parameters, float))
    return out.T.tolist()


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=40)
@given(run=runs([row for row in ROWS if row is not ops.copysign], most=12))
def test_exact_rows_equal_the_evaluator_to_the_bit(name, run):
    program, table, parameters = run  # without copysign: the sign of a nan is not promised

    found = run_rows(program, table, parameters, name, exact=True)
    one = backend(program, name, exact=True).one

    for row, numbers in zip(table, found, strict=True):
        expected = evaluate(program, row, parameters)
        assert same(numbers, expected)
        assert same(one(row, parameters), expected)


def close(found, expected):
    """Whether two numbers are within 4 ulp (nan where nan), or both next to nothing."""
    if math.isnan(expected) or math.isinf(expected):
        return math.isnan(found) if math.isnan(expected) else found == expected
    return abs(found - expected) <= 4 * math.ulp(expected)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("exact", [False, True])
def test_every_operation_gives_the_zero_of_eager_code_for_zeros_of_both_signs(name, exact):
    names = [op for op in ROWS if op.arity is not None]  # sums do not promise the sign of a zero
    operands = [tuple(range(op.arity)) for op in names]
    program = Program(3, 0, (), names, operands, list(range(3, 3 + len(names))))
    table = [list(row) for row in product((0.0, -0.0), repeat=3)] * 3  # more rows than lanes

    found = run_rows(program, table, [], name, exact)
    one = backend(program, name, exact).one

    for row, numbers in zip(table, found, strict=True):
        expected = evaluate(program, row, [])
        for each in (numbers, one(row, [])):
            zeros = [(op.name, x, y) for op, x, y in zip(names, each, expected, strict=True) if y == 0.0]
            assert [zero for zero in zeros if not same(zero[1:2], zero[2:])] == [], row


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_every_operation_is_within_4_ulp_at_hard_and_plain_points(name, op):
    arity = op.arity or 4
    spread = np.random.default_rng(1).uniform(-5.0, 5.0, 60).tolist()
    if arity == 1:
        points = [*HARD, *spread, *np.geomspace(1e-300, 1e300, 40).tolist(), 88.0, -745.2, 20.0]
        table = [[x] for x in points]
    elif arity == 2:
        table = [[x, y] for x in HARD for y in HARD] + [[x, y] for x in spread for y in spread[::7]]
    else:
        # No sums that overflow: a·b + c rounded once may not.
        tame = [x for x in HARD if abs(x) != 1e308]
        table = [[x, *tame[-arity:]][:arity] for x in [*tame, *spread]]
    program = Program(arity, 0, (), [op], [tuple(range(arity))], [arity])

    found = run_rows(program, table, [], name, exact=False)
    one = backend(program, name, exact=False).one

    for row, numbers in zip(table, found, strict=True):
        expected = op.value(*row)
        assert close(numbers[0], expected), row
        assert close(one(row, [])[0], expected), row


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 16, 50])
def test_sums_are_over_rows(name, exact, rows):
    table = np.random.default_rng(0).normal(size=(rows, 6))
    weights = np.random.default_rng(1).normal(size=12)
    program = network()

    found = backend(program, name, exact).sums([table], rows, weights)

    expected = np.sum([evaluate(program, row, weights) for row in table.tolist()], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def network():
    """Return a 4 × 3 layer with its outer product, used as one output each."""
    dots = [ops.dot] * 4
    operands = [(*range(6 + 3 * i, 9 + 3 * i), 0, 1, 2) for i in range(4)]
    products = [(18 + i, 3 + j) for i in range(4) for j in range(3)]
    outputs = [*range(18, 22), *range(22, 34), 0]
    return Program(6, 12, (), [*dots, *[ops.strong_mul] * 12], [*operands, *products], outputs)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_zero_adjoint_wins_over_inf_in_contractions_and_in_sums_over_rows(name):
    program = network()
    table = np.array([[0.0, 0.0, 0.0, math.inf, math.nan, 1.0]] * 2)

    found = backend(program, name, exact=False).sums([table], 2, np.ones(12))

    assert found.tolist() == [0.0] * 17


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("rows", [32, 37, 45])
def test_a_zero_adjoint_wins_in_every_row(name, exact, rows):
    table = np.random.default_rng(0).normal(size=(rows, 6))
    weights = np.random.default_rng(1).normal(size=12)
    for row in (2, 15, rows - 2):  # not the last, which is repeated behind the end
        table[row] = [0.0, 0.0, 0.0, math.inf, math.nan, -math.inf]

    found = backend(network(), name, exact).sums([table], rows, weights)

    expected = np.sum([evaluate(network(), row, weights) for row in table.tolist()], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12, equal_nan=False)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("left", "right"),
    [(1, 1), (1, 20), (20, 1), (2, 9), (9, 2), (4, 4), (3, 17), (17, 3), (33, 40), (50, 37)],
)
@pytest.mark.parametrize(("terms", "rows"), [(1, 37), (1, 300), (3, 16), (20, 21)])
def test_sums_of_every_a_times_every_b_in_all_sizes(name, left, right, terms, rows):
    if left * right * terms > 4000:
        terms = 2
    W = [[ng.Value(1.0) for _ in range(right)] for _ in range(left)]

    def loss(a, b):
        pairs = zip(a, b, strict=True)
        return ng.sum([ng.dot(x, [ng.dot(row, y) for row in W]) for x, y in pairs])

    compiled = ng.compile(ng.value_and_grad(loss, wrt=W), backend=name)
    generator = np.random.default_rng(left * right)
    a, b = generator.normal(size=(rows, terms, left)), generator.normal(size=(rows, terms, right))
    a[rows // 2, -1], b[rows // 2, -1] = 0.0, math.nan  # a zero adjoint wins

    _, found = compiled.map(a, b, reduce="sum")

    expected = np.einsum("rti,rtj->ij", a, np.where(np.isnan(b), 0.0, b))
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-12, atol=1e-12)


# What is rounded once, or not at all, whatever the mode; sums of products may be contracted.
ROUNDED = (
    *(ops.mul, ops.div, ops.neg, ops.abs, ops.sign, ops.floor, ops.ceil, ops.round, ops.trunc, ops.sqrt),
    *(
        ops.relu,
        ops.step,
        ops.maximum,
        ops.minimum,
        ops.where,
        ops.lt,
        ops.le,
        ops.gt,
        ops.ge,
        ops.eq,
        ops.ne,
    ),
    *(ops.identity, ops.strong_mul, ops.strong_factor, ops.square, ops.reciprocal),
)


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=40)
@given(run=runs(ROUNDED, most=12))
def test_without_sums_and_functions_every_mode_is_exact(name, run):
    program, table, parameters = run

    found = run_rows(program, table, parameters, name, exact=False)

    for row, numbers in zip(table, found, strict=True):
        assert same(numbers, evaluate(program, row, parameters))


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize("how", ["rows", "sums"])
def test_results_do_not_depend_on_the_number_of_threads(how, monkeypatch):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend._WORK", 1)
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend._WORK_PER_SUM", 0)
    program = network()
    table, weights = np.random.default_rng(0).normal(size=(1003, 6)), np.random.default_rng(1).normal(size=12)

    found = [
        getattr(backends.make(program, name="llvm", exact=False, threads=threads), how)(
            [table], 1003, weights
        )
        for threads in (1, 2, 3)
    ]

    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize(("work_per_sum", "cut"), [(0, True), (10**9, False)])
def test_rows_are_cut_into_fewer_pieces_where_adding_up_their_sums_is_more_work(
    work_per_sum, cut, monkeypatch
):
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend._WORK", 1)
    monkeypatch.setattr("nodegrad.compiler.backends.llvm.backend._WORK_PER_SUM", work_per_sum)

    part = backends.make(network(), name="llvm", exact=False, threads=2).part("sums")

    assert (part.piece(1003) == 64) is cut
    assert (part.piece(1003) >= 1003) is not cut


OTHER_MACHINE = """
from nodegrad.compiler.backends.llvm import native
native.width = lambda: {width}
import numpy as np
import nodegrad as ng
model = ng.nn.MLP(3, [9, 5, 2], activation="tanh", seed=1)
loss = lambda x, y: ng.nn.mean_squared_error(model(x), y)
f = ng.value_and_grad(loss, wrt=model.parameters())
X, Y = np.random.default_rng(0).normal(size=(37, 3)), np.random.default_rng(1).normal(size=(37, 2))
native_, reference = (ng.compile(f, backend=name) for name in ("llvm", "numpy"))
for reduce in (None, "mean"):
    (a, da), (b, db) = (each.map(X, Y, reduce=reduce) for each in (native_, reference))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(da, db, rtol=1e-9, atol=1e-13)
"""


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize("width", [4, 2])
def test_vector_registers_of_other_widths_give_the_same(run_python, width):
    run_python("-c", OTHER_MACHINE.format(width=width))


WITHOUT_FMA = """
import llvmlite.binding as llvm
from nodegrad.compiler.backends.llvm import native
llvm.get_host_cpu_name, llvm.get_host_cpu_features = (lambda: "x86-64"), (lambda: llvm.FeatureMap())
native.width = lambda: 2
assembled = native._assembled
def listed(text, lean):
    print(native._machine().emit_assembly(llvm.parse_assembly(text)))
    return assembled(text, lean)
native._assembled = listed
import nodegrad as ng
model = ng.nn.MLP(3, [9, 5, 1], activation="tanh", seed=1)
f = ng.value_and_grad(lambda x: model(x), wrt=model.parameters())
ng.compile(f, backend="llvm").map([[1.0, 2.0, 3.0]] * 20, reduce="sum")
"""


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="this platform always has it")
def test_no_product_and_sum_is_a_call_where_the_processor_cannot_round_them_once(run_python):
    listing = run_python("-c", WITHOUT_FMA)

    assert "mulpd" in listing
    assert "fma" not in listing


def test_without_llvmlite_numpy_serves(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)

    assert backends.choose("auto") == backends.choose("numpy") == "numpy"
    with pytest.raises(ValueError, match="pip install -U llvmlite"):
        backends.choose("llvm")


@pytest.mark.skipif("llvm" not in BACKENDS, reason="needs llvmlite")
@pytest.mark.parametrize(("version", "found"), [("0.44.0", "numpy"), ("0.45.0rc1", "llvm"), ("1.0", "llvm")])
def test_an_old_llvmlite_is_as_good_as_none(monkeypatch, version, found):
    monkeypatch.setattr("llvmlite.__version__", version)

    assert backends.choose("auto") == found


@pytest.mark.parametrize("name", BACKENDS)
def test_long_straight_programs_run(name):
    program = Program(2, 0, (), [ops.sin, ops.mul] * 700, [(0,), (2, 1)], [1401])
    program.operands[:] = [(0,), (2, 1), *[(k - 1,) if k % 2 == 0 else (k - 1, 1) for k in range(4, 1402)]]

    found = run_rows(program, [[0.5, 1.25], [2.0, -1.0]], [], name, exact=True)

    assert found == [evaluate(program, row, []) for row in ([0.5, 1.25], [2.0, -1.0])]


@pytest.mark.parametrize("name", BACKENDS)
def test_one_row_equals_many(name):
    program, row, weights = network(), [0.5, -1.0, 2.0, 3.0, 0.25, 1.5], [0.5] * 12
    one = backend(program, name, exact=True).one(row, weights)

    assert one == evaluate(program, row, weights)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_custom_operation_runs(name):
    cube = ng.custom("cube_here", lambda x: x**3, lambda x, out: 3.0 * x * x)
    program = Program(1, 0, (), [cube, cube], [(0,), (1,)], [1, 2])

    assert run_rows(program, [[2.0], [-1.0]], [], name, exact=False) == [[8.0, 512.0], [-1.0, -1.0]]
