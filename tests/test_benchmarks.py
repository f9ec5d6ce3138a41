"""The benchmarks measure what they say: the problems are right, and so is what is reported of timings."""

import json
import math
import re
import sys

import numpy as np
import pytest
from scipy.special import multigammaln
from scipy.stats import multivariate_normal

import nodegrad as ng
from benchmarks import (
    bench_compile,
    bench_loops,
    bench_sources,
    lines,
    problems,
    report,
    run,
    spelling,
    targets,
    timing,
)
from benchmarks.contenders import BY_BACKWARD, BY_SWEEP, OURS, REGISTRY, RELU, Repeated
from languages import needs_compiler

OTHERS = ("torch", "jax", "casadi", "micrograd")
SUITE = list(problems.suite(quick=True))
EACH = pytest.mark.parametrize("problem", SUITE, ids=lambda problem: f"{problem.name}, {problem.mode}")


def results(problem, name):
    """Return what a contender finds, for each size of a problem."""
    contender = REGISTRY[problem.family][name]
    bind = contender.build(problem)
    steps = map(bind, problem.arguments.values())
    return [
        contender.read(step.result() if hasattr(step, "result") else Repeated(step).result())
        for step in steps
    ]


def differences(f, x, step=1e-5):
    """Differentiate a function of a vector by central differences, with their leading error taken out."""

    def slope(index, step):
        change = np.zeros(len(x))
        change[index] = step
        return (np.asarray(f(x + change)) - np.asarray(f(x - change))) / (2.0 * step)

    return np.array([(4.0 * slope(i, step) - slope(i, 2.0 * step)) / 3.0 for i in range(len(x))])


def parted(x, *likes):
    """Cut a vector into nested lists of the given shapes."""
    sizes = np.cumsum([like.size for like in likes])[:-1]
    return [part.reshape(like.shape).tolist() for part, like in zip(np.split(x, sizes), likes, strict=True)]


def joined(*arrays):
    return np.concatenate([array.ravel() for array in arrays])


def of(family):
    return next(problem for problem in SUITE if problem.family == family)


# Every way to run a problem finds the same.


@EACH
def test_compiled_equals_eager(problem):
    eager = BY_SWEEP if problem.mode != "fit" else "NumPy by hand"

    for found, expected in zip(results(problem, OURS), results(problem, eager), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


WEIGHTLESS = ("NumPy by hand", "nodegrad, NumPy backend", BY_BACKWARD, "plain Python")


@pytest.mark.parametrize(
    ("problem", "name"),
    [(problem, name) for problem in SUITE for name in WEIGHTLESS if name in REGISTRY[problem.family]],
    ids=lambda it: it if isinstance(it, str) else f"{it.name}, {it.mode}",
)
def test_contenders_without_another_library_agree(problem, name):
    for found, expected in zip(results(problem, name), results(problem, OURS), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


# Values and derivatives against closed forms and differences.


def test_gpt_gradient_is_that_of_differences():
    problem = of("gpt")
    arrays = problem.given["arrays"]

    tokens, targets = (data[0].tolist() for data in problem.arguments["1 sequences"])

    def loss(x):
        p = dict(zip(arrays, parted(x, *arrays.values()), strict=True))
        return problems.gpt_loss(p, tokens, targets, problem.given["heads"])

    found, at = results(problem, OURS)[0], joined(*arrays.values())

    assert found[0] == pytest.approx(loss(at), rel=1e-12)
    # A large step would cross a kink of relu.
    np.testing.assert_allclose(found[1:], differences(loss, at, 1e-5), rtol=1e-6, atol=1e-8)


def test_gpt_that_knows_nothing_loses_the_logarithm_of_its_vocabulary():
    shapes = problems.gpt_shapes(context=3, width=4, vocabulary=5)
    p = {name: np.full(shape, 0.1).tolist() for name, shape in shapes.items()}
    p["logits"] = np.zeros(shapes["logits"]).tolist()
    tokens = np.eye(5)[[0, 3, 1]].tolist()

    assert problems.gpt_loss(p, tokens, tokens, heads=2) == pytest.approx(math.log(5.0), rel=1e-14)


def test_attention_looks_back_only():
    p = {name: np.random.default_rng(1).normal(size=shape).tolist()
         for name, shape in problems.gpt_shapes(context=3, width=4, vocabulary=5).items()}  # fmt: skip
    one_hot, changed = np.eye(5)[[0, 3, 1]], np.eye(5)[[0, 3, 2]]
    first_two = np.vstack([one_hot[:2], np.zeros(5)]).tolist()  # a target of zeros leaves the normalizer

    def normalizer(tokens):
        return problems.gpt_loss(p, tokens.tolist(), np.zeros((3, 5)).tolist(), heads=2)

    def gold(tokens):
        return normalizer(tokens) - problems.gpt_loss(p, tokens.tolist(), first_two, heads=2)

    assert gold(changed) == pytest.approx(gold(one_hot), rel=1e-14)


def test_gaussian_mixture_is_the_density_that_scipy_knows():
    problem = of("gmm")
    ((X,),) = problem.arguments.values()
    alphas, means, factors = problem.given["arrays"]
    gamma, m, d = problem.given["gamma"], problem.given["m"], means.shape[1]
    L = np.zeros((len(alphas), d, d))
    for matrix, factor in zip(L, factors, strict=True):
        matrix[np.diag_indices(d)] = np.exp(factor[:d])
        matrix.T[np.triu_indices(d, 1)] = factor[d:]  # column by column below the diagonal
    densities = [
        share * multivariate_normal(mean, np.linalg.inv(matrix.T @ matrix)).pdf(X)
        for share, mean, matrix in zip(np.exp(alphas) / np.exp(alphas).sum(), means, L, strict=True)
    ]
    n = d + m + 1
    constant = n * d * math.log(gamma / math.sqrt(2.0)) - multigammaln(0.5 * n, d)
    prior = 0.5 * gamma**2 * (L**2).sum() - m * factors[:, :d].sum() - len(alphas) * constant

    (found,) = results(problem, OURS)

    assert found[0] * len(X) == pytest.approx(np.log(np.sum(densities, axis=0)).sum() + prior, rel=1e-12)


def test_gaussian_mixture_gradient_is_that_of_differences():
    problem = of("gmm")
    ((X,),) = problem.arguments.values()
    arrays, gamma, m = problem.given["arrays"], problem.given["gamma"], problem.given["m"]

    def mean(x):
        alphas, means, factors = parted(x, *arrays)
        prior = problems.wishart_prior(factors, X.shape[1], gamma, m) / len(X)
        return np.mean([problems.gaussian_mixture_row(alphas, means, factors, x, prior) for x in X.tolist()])

    (found,) = results(problem, OURS)

    np.testing.assert_allclose(found[1:], differences(mean, joined(*arrays), 1e-3), rtol=1e-7, atol=1e-9)


def test_camera_that_looks_straight_divides_by_depth():
    camera = [0.0] * 3 + [0.0] * 3 + [5.0] + [0.1, 0.2] + [0.0] * 2

    error = problems.reprojection_error(camera, [1.0, 2.0, 4.0], 2.0, [1.0, 1.0])

    assert error == pytest.approx([2.0 * (5.0 / 4.0 + 0.1 - 1.0), 2.0 * (10.0 / 4.0 + 0.2 - 1.0)])


def test_rotation_by_a_quarter_turns_x_to_y():
    assert problems.rotated([0.0, 0.0, math.pi / 2.0], [1.0, 0.0, 0.5]) == pytest.approx([0.0, 1.0, 0.5])


def test_bundle_adjustment_jacobian_is_that_of_differences_in_both_branches():
    problem = of("ba")
    (data,) = problem.arguments.values()
    (found,) = results(problem, OURS)
    by_row = found.reshape(2, 15, -1)

    still = [bool(np.all(camera[:3] == 0.0)) for camera in data[0]]
    assert set(still) == {False, True}
    for index, row in enumerate(zip(*data, strict=True)):
        camera, point, weight, feature = map(np.asarray, row)

        def error(x, feature=feature):
            return problems.reprojection_error(x[:11].tolist(), x[11:14].tolist(), x[14], feature.tolist())

        expected = differences(error, joined(camera, point, weight), 1e-3)
        np.testing.assert_allclose(by_row[:, :, index], expected.T, rtol=1e-6, atol=1e-7)


def test_lstm_gradient_is_that_of_differences():
    problem = of("lstm")
    (arrays,) = problem.arguments.values()
    rest = problem.given["state"].tolist(), problem.given["sequence"].tolist()

    def loss(x):
        return problems.lstm_loss(*parted(x, *arrays), *rest)

    (found,) = results(problem, OURS)

    assert found[0] == pytest.approx(loss(joined(*arrays)), rel=1e-13)
    np.testing.assert_allclose(found[1:], differences(loss, joined(*arrays), 1e-3), rtol=1e-7, atol=1e-9)


def test_lstm_cell_with_open_gates_adds_up():
    large, zero = [100.0], [0.0]

    hidden, cell = problems.lstm_cell([0.0] * 4, large * 4, zero, [2.0], zero)

    assert (hidden, cell) == ([pytest.approx(math.tanh(3.0))], [pytest.approx(3.0)])


def test_a_small_swing_has_the_period_of_the_formula():
    period = 2.0 * math.pi * math.sqrt(1.0 / problems.GRAVITY)
    steps = 1000

    angle = problems.final_angle(1e-4, 0.0, 1.0, steps, step=period / steps)

    assert angle == pytest.approx(1e-4, rel=1e-4)


def test_call_and_put_differ_by_the_forward():
    at = 100.0, 90.0, 1.5, 0.05, 0.3

    assert problems.black_scholes(*at) == pytest.approx(
        at[0] - at[1] * math.exp(-at[3] * at[2])
        - 0.5 * at[0] * math.erfc(upper(*at) / math.sqrt(2.0))
        + 0.5 * at[1] * math.exp(-at[3] * at[2]) * math.erfc((upper(*at) - 0.3 * 1.5**0.5) / math.sqrt(2.0))
    )  # fmt: skip


def upper(s, k, t, r, v):
    return (math.log(s / k) + (r + 0.5 * v * v) * t) / (v * math.sqrt(t))


def test_perceptrons_have_biases_that_count():
    model = problems.perceptron([2, 3, 1], "relu")

    assert all(neuron.b.data for layer in model.layers for neuron in layer.neurons)


def test_every_family_is_in_the_suite():
    assert {problem.family for problem in SUITE} == set(REGISTRY)


# Timing and report.


@pytest.fixture
def alone(monkeypatch):
    """Take the other libraries away."""
    for name in OTHERS:
        monkeypatch.setitem(sys.modules, name, None)


def test_absent_libraries_are_named(alone):
    (case, _) = timing.measure(SUITE[0], sample=1e-5, budget=0.0)

    assert case.absent["PyTorch"] == case.absent["JAX jit"] == "not installed"
    assert case.ratio(OURS) == 1.0
    assert case.ratio("NumPy by hand") > 0.0
    assert "not installed" in report.group_table([case])


def test_a_contender_that_disagrees_gets_no_time(alone):
    wrong = problems.mlp([2, 4, 1], "relu", [1])
    wrong.given["layers"][-1][1][0] += 1e-6

    (case,) = timing.measure(wrong, sample=1e-5, budget=0.0)

    assert case.absent["NumPy by hand"] == "disagrees"
    assert "disagrees" in report.group_table([case])


def case_of(problem, **ratios):
    """Make a case as if it had been measured, nodegrad taking 2 µs."""
    timings = {
        name.replace("_", " "): timing.Timing(0.1, 2e-6 * ratio, ratio) for name, ratio in ratios.items()
    }
    return timing.Case(problem, "96 rows", {OURS: timing.Timing(0.2, 2e-6, 1.0)} | timings)


def test_losses_of_nodegrad_are_listed_and_bold():
    case = case_of(problems.mlp([2, 16, 16, 1], "relu", [96]), PyTorch=0.5, JAX_jit=2.0)

    assert "PyTorch took 0.50 of" in report.losses([case])
    assert "JAX" not in report.losses([case])
    assert "| **0.50×** |" in report.group_table([case])


def test_seconds_to_the_first_result_are_shown_for_compiled_ways():
    problem = problems.mlp([2, 16, 16, 1], "relu", [96])
    case = case_of(problem, PyTorch=0.5, JAX_jit=2.0, **{"nodegrad,_not_compiled": 7.0})

    row = report.group_table([case])
    assert "| 2.0 µs (0.20 s) | **0.50×** |" in row
    assert "| 2.0× (0.1 s) |" in row
    assert "| 7.0× |" in row


def test_columns_begin_with_what_readers_know():
    header = report.group_table([case_of(problems.mlp([2, 4, 1], "relu", [96]))]).splitlines()[0]

    assert header.strip("| ").split(" | ")[2:] == [
        *(OURS, "PyTorch", "PyTorch, 1 thread", "JAX jit", "NumPy by hand", "CasADi SX", "micrograd"),
        *("nodegrad, NumPy backend", BY_SWEEP, BY_BACKWARD, RELU),
    ]


@pytest.mark.parametrize(("ratio", "met"), [(3.5, True), (2.5, False)])
def test_targets_are_compared_with_what_was_measured(ratio, met):
    case = case_of(problems.mlp([2, 16, 16, 1], "relu", [96]), PyTorch=ratio)

    first, *_ = targets.targets([case], [])

    assert (first.required, first.met) == ("at least 3×", met)
    assert first.measured == f"{ratio}×: MLP 2-16-16-1 relu, 96 rows, PyTorch"


def test_targets_not_measured_are_left_out():
    assert targets.targets([], []) == []


def test_networks_are_compared_with_relu_in_turns():
    tanh = case_of(problems.mlp([2, 4, 1], "tanh", [96]), **{"nodegrad,_relu_instead": 0.625})

    (kinds,) = targets.targets([tanh], [])

    assert (kinds.measured, kinds.met) == ("1.6×: MLP 2-4-1 tanh, 96 rows", False)


def test_a_network_of_relu_takes_part_beside_one_of_tanh(alone):
    (case,) = timing.measure(problems.mlp([2, 4, 1], "tanh", [3]), sample=1e-5, budget=0.0)

    assert case.ratio(RELU) > 0.0


def test_compile_costs_are_per_operation():
    cost = timing.Cost("wide", "llvm", 20_000, 0.3, 0.1, 20_000 * 700, 1e-5)

    speed, memory = targets.targets([], [cost])

    assert (speed.measured, speed.met) == ("5.0 µs: wide, 20,000", True)
    assert (memory.measured, memory.met) == ("700 bytes: wide, 20,000", False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this platform has no /proc")
def test_compile_cost_runs_in_a_process_of_its_own(run_python):

    script = run.__file__.replace("run.py", "compile_cost.py")
    small, large = (json.loads(run_python(script, "tangle", size)) for size in (100, 200))

    assert large["operations"] - small["operations"] == 100
    assert small["bytes"] >= 0
    assert small["processor_seconds"] > 0.0


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.52e-6, "3.5 µs"), (0.25, "250 ms"), (61.0, "61 s"), (4e-10, "0.40 ns")]
)
def test_durations_have_a_unit_that_fits(seconds, shown):
    assert spelling.duration(seconds) == shown


def test_page_keeps_what_stands_around_the_results(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{run.BEGIN}\nold\n{run.END}\n\nafter\n")

    run.put_into(page, "new")

    assert page.read_text() == f"before\n\n{run.BEGIN}\n\nnew\n{run.END}\n\nafter\n"


def test_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("mine\n")

    with pytest.raises(SystemExit, match="no lines"):
        run.put_into(page, "new")
    assert page.read_text() == "mine\n"


def test_runner_writes_its_tables(alone, monkeypatch, capsys, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{run.BEGIN}\n{run.END}\n")
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", "--only", "formula", "--markdown", str(page)])

    run.main()

    assert "## The cost of a call" in page.read_text()
    assert "| x·y formula | 1 call |" in capsys.readouterr().out
    assert ng.__version__ in page.read_text()


def test_what_was_measured_before_an_interruption_is_reported(alone, monkeypatch, capsys):
    def interrupted(only, quick, failures):
        yield case_of(of("call"), JAX_jit=3.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "races", interrupted)
    monkeypatch.setattr(sys, "argv", ["run.py"])

    run.main()

    printed = capsys.readouterr().out
    assert "Interrupted" in printed
    assert "3.0×" in printed


def test_a_problem_that_fails_is_named_and_the_others_are_measured(alone, monkeypatch, capsys):
    def fail(*row):
        raise ArithmeticError("lost a digit")

    broken = problems.Problem("call", "broken", fail, {"1 call": (1.0, 2.0)}, "call")
    monkeypatch.setattr(problems, "suite", lambda quick: iter([broken, of("call")]))
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick"])
    monkeypatch.setattr(run, "compile_costs", lambda quick: iter(()))
    monkeypatch.setattr(run, "single_lines", lambda quick: iter(()))

    run.main()

    printed = capsys.readouterr().out
    assert "Failed, and left out: broken (ArithmeticError('lost a digit'))" in printed
    assert "| x·y formula |" in printed


def test_what_is_timed_by_itself_stands_in_a_table(alone, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", "--only", "lines"])

    run.main()

    printed = capsys.readouterr().out
    rows = [row for row in printed.splitlines() if row.startswith("| ")]
    assert "## Around the kernels" in printed
    for name in (
        "a*b + a, 10 rows",
        "first map of 2-4-1",
        "save 1,000,000",
        "banded jacobian",
        "draw 30 nodes",
        "50 implied volatilities by root",
        "C of a pendulum, 5 steps with gradient, a call",
        "C of 2-4-1 with gradient, a call",
    ):
        assert any(row.startswith(f"| {name}") for row in rows)
    assert report.line_table([lines.Line("f", 3e-6, "g", 2e-6)]).endswith(
        "| f | 3.0 µs | g | 2.0 µs | 1.5 |\n"
    )


def test_loops_solutions_and_tables_are_timed_beside_jaxs():
    pytest.importorskip("jax")

    found = list(bench_loops.lines(quick=True))  # it compares the results

    assert [line.beside for line in found] == ["JAX"] * 12
    assert all(line.seconds > 0.0 and line.other > 0.0 for line in found)


def test_robertsons_kinetics_are_compiled_once():
    scipy = pytest.importorskip("scipy.integrate")
    _, compiled, _, (rates, sizes) = bench_loops.robertson(100)

    def slope(t, y):
        first, second, third = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
        return [second - first, first - second - third, third]

    exact = scipy.solve_ivp(slope, (0.0, 40.0), [1.0, 0.0, 0.0], method="Radau", rtol=1e-10, atol=1e-14)
    state = bench_loops.robertson_state(rates.tolist(), sizes.tolist())
    for scale in (1.0, 1.5, 0.5):
        eager = ng.jacobian(bench_loops.robertson_state)((scale * rates).tolist(), sizes.tolist())
        assert np.allclose(compiled(scale * rates, sizes), eager, rtol=1e-12)

    assert np.allclose(state, exact.y[:, -1], rtol=0.03)  # what steps of this size leave
    assert compiled.stats()["traces"] == 1
    assert compiled.stats()["eager_rows"] == 0


def test_written_c_is_timed_beside_casadis():
    needs_compiler()
    pytest.importorskip("casadi")

    found = list(bench_sources.lines(quick=True))  # it compares the results

    assert [line.beside for line in found] == ["CasADi's C"] * 2
    assert all(0.0 < line.seconds < 1e-3 and 0.0 < line.other < 1e-3 for line in found)


def test_what_a_new_way_costs_is_measured_beside_another_checkout(capsys):
    here = bench_compile.TESTS.parent
    case = "an if in a function of one number"

    bench_compile.show([here], [case], rounds=1)

    lines = capsys.readouterr().out.splitlines()
    for line, column in zip(lines, bench_compile.COLUMNS, strict=True):
        assert line.startswith(f"{case:45} {column}")
        assert "ratio" in line


def test_the_first_call_of_a_saved_function_is_measured_beside_compiling(capsys):
    bench_compile.show_loading(rounds=1)

    (line,) = capsys.readouterr().out.splitlines()
    loaded, compiled, ratio = map(float, re.findall(r"\d+\.\d+", line))
    assert 0.0 < loaded < compiled
    assert ratio == pytest.approx(loaded / compiled, abs=0.02)


@pytest.mark.parametrize("name", ["Newton's method", "2-16-16-1 with a branch"])
def test_the_other_way_is_compiled_among_the_calls_that_are_timed(name):
    ((mode, make),) = [case for each, case in bench_compile.CASES.items() if name in each]
    function, calls = make()
    compiled = ng.compile(function)

    compiled(*calls[0])
    compiled(*calls[1])
    assert compiled.stats()["traces"] == 1
    for number in range(bench_compile.TIMES - 1):
        compiled(*calls[1 + number % 2])

    assert mode == "call"
    assert compiled.stats()["traces"] == 2
