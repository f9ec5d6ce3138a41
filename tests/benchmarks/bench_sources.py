"""A call of the C that nodegrad writes beside one of CasADi's generated C: in turns, with one compiler.

Both are called from C in a loop. In it each result moves the next call's first input, so that no call can be
left out. `PYTHONPATH=src:tests python tests/benchmarks/bench_sources.py`
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import nodegrad as ng
from benchmarks import problems
from benchmarks.lines import Line, beside, medians, show
from benchmarks.with_casadi import library, mlp_function, pendulum_function

COMPILER = "cc"
FLAGS = ["-std=c99", "-O2", "-shared", "-fPIC", "-lm"]
LOOP = """
void spend(int calls, double *x, double *out)
{
    const double start = x[0];
    for (int i = 0; i < calls; i++) {
        call(x, out);
        x[0] = start + 1e-12 * out[0];
    }
    x[0] = start;
}
"""
OURS = "static void call(const double *x, double *out) {{ {} }}\n"
THEIRS = """
static void call(const double *x, double *out)
{{
    static const double *arg[{arg}];
    static double *res[{res}], w[{w} + 1];
    static casadi_int iw[{iw} + 1];
    const int from[] = {{{inputs}}}, to[] = {{{outputs}}};
    for (int i = 0; i < {n_in}; i++) arg[i] = x + from[i];
    for (int i = 0; i < {n_out}; i++) res[i] = out + to[i];
    f(arg, res, iw, w, 0);
}}
"""

Spend = Callable[[int], None]


def our_c(problem: problems.Problem, arguments: tuple[Any, ...]) -> str:
    """Return the C that nodegrad writes, and a call of it."""
    compiled = ng.compile(problem.function)
    compiled(*arguments)
    text = compiled.source("c", "ours")
    known = ", 0" if "ours_parameters" in text else ""
    return text + OURS.format(f"ours(x{known}, out);")


def their_c(function: Any) -> str:
    """Return the C that CasADi generates, and a call of it."""
    generator = library().CodeGenerator("theirs.c")
    generator.add(function)

    def starts(sizes: list[int]) -> str:
        return ", ".join(map(str, np.cumsum([0, *sizes[:-1]])))

    sizes = {name: getattr(function, f"sz_{name}")() for name in ("arg", "res", "iw", "w")}
    places = {
        "inputs": starts([function.nnz_in(i) for i in range(function.n_in())]),
        "outputs": starts([function.nnz_out(i) for i in range(function.n_out())]),
    }
    counts = {"n_in": function.n_in(), "n_out": function.n_out()}
    return str(generator.dump()) + THEIRS.format(**sizes, **places, **counts)


def built(text: str, path: Path, numbers: np.ndarray, results: int) -> tuple[Spend, np.ndarray]:
    """Compile a file; return what calls it so many times on some numbers, and the results of one call."""
    path.write_text(text + LOOP, encoding="utf-8")
    library = path.with_suffix(".so")
    subprocess.run([COMPILER, str(path), "-o", str(library), *FLAGS], check=True)
    spend, pointer, out = ctypes.CDLL(str(library)).spend, ctypes.POINTER(ctypes.c_double), np.zeros(results)

    def run(calls: int) -> None:
        spend(calls, numbers.ctypes.data_as(pointer), out.ctypes.data_as(pointer))

    run(1)
    return run, out.copy()


def line(name: str, problem: problems.Problem, function: Any, calls: int, turns: int) -> Line:
    """Time a problem of one row, after comparing what the two files give; alone if there is no `function`."""
    (arguments,) = problem.arguments.values()
    if problem.mode == "mean":  # a row of its data
        arguments = tuple(x[0].tolist() for x in arguments)
    flat = np.hstack([np.ravel(x) for x in arguments])
    model = problem.given.get("model")
    numbers = [p.data for p in model.parameters()] if model else []
    sizes = 1 + (len(numbers) or len(flat))
    with TemporaryDirectory() as folder:
        ours, found = built(our_c(problem, arguments), Path(folder, "ours.c"), flat, sizes)
        if function is None:
            (seconds,) = medians(turns, lambda: ours(calls))
            return Line(name, seconds / calls)
        theirs, other = built(their_c(function), Path(folder, "theirs.c"), np.array([*flat, *numbers]), sizes)
        np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-12)
        timed = beside(name, turns, lambda: ours(calls), "CasADi's C", lambda: theirs(calls))
    return replace(timed, seconds=timed.seconds / calls, other=timed.other / calls)


def lines(quick: bool = False) -> Iterator[Line]:
    """Measure all, one by one; nothing without a C compiler."""
    if shutil.which(COMPILER) is None:
        return
    steps, turns = (5, 3) if quick else (1_000, 100)
    swing = problems.pendulum(steps, 1)
    network = problems.mlp([2, 4, 1] if quick else [2, 16, 16, 1], "relu", [1])
    try:
        functions = pendulum_function(swing), mlp_function(network)
    except ImportError:
        functions = None, None
    name = f"C of a pendulum, {steps:,} steps with gradient, a call"
    yield line(name, swing, functions[0], 10 if quick else 100, turns)
    name = f"C of {network.name.split()[1]} with gradient, a call"
    yield line(name, network, functions[1], 10 if quick else 4_000, turns)


if __name__ == "__main__":
    show(lines())
