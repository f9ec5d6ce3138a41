"""What a new way through a function costs: from the call that meets it to its result.

The first way is compiled by the call that meets it; the next process finds its native code in the user's
cache. Another way runs eagerly until it has come often enough to be compiled. So four calls tell the cost:
the first, the first in the next process, the one that meets another way, and the dearest of the 40 that go
this way. Each function runs in a process of its own, after a first small compile that loads what is needed.
Times are of the processor: the least of some rounds. With the folder of another checkout, its processes take
turns with this one's, and a column compares the two. The last line is the first call of a function that
another process saved.
`PYTHONPATH=src:tests python tests/benchmarks/bench_compile.py [folder]`
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

import nodegrad as ng
from benchmarks import problems

TESTS = Path(__file__).parents[1]
LONGEST = 30  # seconds until a function counts as one that never ends
TIMES = 40  # calls that go another way
COLUMNS = ("first call", "next process", "another way", "compiling it")


def network() -> tuple[Callable[..., Any], list[Any]]:
    """Return a loss that branches on the output of 2-16-16-1, with its gradient."""
    model = problems.perceptron([2, 16, 16, 1], "relu")

    def loss(x: Any, y: Any) -> Any:
        out = model(x)
        return (out - y) ** 2 if out > 0.0 else 2.0 * ng.abs(out - y)

    rows = np.random.default_rng(0).normal(size=(50, 2)).tolist()
    above = [row for row in rows if model(row).data > 0.0]
    below = [row for row in rows if model(row).data <= 0.0]
    calls = [(row, 1.0) for row in (above[0], below[0], below[1])]
    return ng.value_and_grad(loss, wrt=model.parameters()), calls


def choice() -> tuple[Callable[..., Any], list[Any]]:
    """Return a function of one number with an `if`."""

    def function(x: Any) -> Any:
        return x * ng.sin(x) if x > 1.0 else 3.0 * x + ng.exp(x)

    return function, [(2.0,), (0.5,), (0.25,)]


def newton() -> tuple[Callable[..., Any], list[Any]]:
    """Return a square root by Newton's method, with its slope."""

    def root(a: Any) -> Any:
        x = a
        while abs(x * x - a) > 1e-12 * a:
            x = 0.5 * (x + a / x)
        return x

    return ng.value_and_grad(root), [(2.0,), (50.0,), (51.0,)]


def runge_kutta(steps: int) -> tuple[Callable[..., Any], list[Any]]:
    """Return the last angle of a pendulum by RK4, with its gradient; it branches on the angle at the end."""

    def slope(angle: Any, speed: Any) -> tuple[Any, Any]:
        return speed, -9.81 * ng.sin(angle) - 0.1 * speed

    def last(angle: Any, speed: Any) -> Any:
        h = 0.01
        for _ in range(steps):
            a1, s1 = slope(angle, speed)
            a2, s2 = slope(angle + 0.5 * h * a1, speed + 0.5 * h * s1)
            a3, s3 = slope(angle + 0.5 * h * a2, speed + 0.5 * h * s2)
            a4, s4 = slope(angle + h * a3, speed + h * s3)
            angle = angle + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
            speed = speed + h / 6.0 * (s1 + 2.0 * s2 + 2.0 * s3 + s4)
        return angle if angle > 0.0 else -angle

    calls = [(0.5, 0.0), (-0.5, 0.0), (-0.4, 0.1)]
    return ng.value_and_grad(last, argnums=(0, 1)), calls


def scanned() -> tuple[Callable[..., Any], list[Any]]:
    """Return the Hessian of a loop: of a pendulum's last angle by its constants and its start."""

    def last(numbers: Any) -> Any:
        stiffness, damping, torque, *start = numbers

        def step(state: Any, _: Any) -> Any:
            angle, speed = state
            force = stiffness * angle + damping * speed + torque * ng.sin(angle)
            return (angle + 0.01 * speed, speed - 0.01 * force), None

        return ng.scan(step, tuple(start), length=50)[0][0]

    return ng.hessian(last), [([0.5, 0.6, 0.7, 0.8, 0.9],)]


def mapped(problem: problems.Problem) -> tuple[Callable[..., Any], list[Any]]:
    """Return a problem that has one way only."""
    return problem.function, [next(iter(problem.arguments.values()))]


CASES: dict[str, tuple[str, Callable[[], tuple[Callable[..., Any], list[Any]]]]] = {
    "an if in a function of one number": ("call", choice),
    "Newton's method with a while, and its slope": ("call", newton),
    "pendulum, RK4, 20 steps with gradient": ("call", partial(runge_kutta, 20)),
    "pendulum, RK4, 500 steps with gradient": ("call", partial(runge_kutta, 500)),
    "Hessian of a loop of 50 turns": ("call", scanned),
    "2-16-16-1 with a branch and gradient": ("call", network),
    "2-16-16-1 with gradient, map of 96 rows": (
        "mean", lambda: mapped(problems.mlp([2, 16, 16, 1], "relu", [96])),
    ),
    "2-16-16-1 over 96 rows as one graph": (
        "call", lambda: mapped(problems.mlp_graph([2, 16, 16, 1], "relu", 96)),
    ),
    "GPT of 16 tokens with gradient, map of 32": ("mean", lambda: mapped(problems.gpt([32]))),
    "64-256-256-10 with gradient, map of 96 rows": (
        "mean", lambda: mapped(problems.mlp([64, 256, 256, 10], "relu", [96])),
    ),
}  # fmt: skip


def cost(name: str) -> list[float]:
    """Compile one function; return the seconds of each call."""
    mode, make = CASES[name]
    ng.compile(ng.sin).map(np.ones(3))
    function, calls = make()
    compiled = ng.compile(function)
    run = partial(compiled.map, reduce="mean") if mode == "mean" else compiled
    times = []
    for arguments in [calls[0], *(calls[1:] * TIMES)[:TIMES]]:
        started = process_time()
        run(*arguments)
        times.append(process_time() - started)
    first, *others = times
    return [first, others[0], max(others)] if others else [first]


def measure(name: str, checkout: Path) -> list[float]:
    """Return what a function costs with the nodegrad of a checkout, in a process of its own."""
    path = os.pathsep.join([str(checkout / "src"), str(TESTS)])
    command = [sys.executable, __file__, "--cost", name]
    with TemporaryDirectory() as cache:
        env = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": cache}
        try:
            runs = [json.loads(subprocess.check_output(command, env=env, timeout=LONGEST)) for _ in range(2)]
        except subprocess.TimeoutExpired:
            return [math.inf] * len(COLUMNS)
    (first, *others), (again, *_) = runs
    return [float(number) for number in (first, again, *others)]


def first_call(path: Path) -> float:
    """Call a network for the first time, loaded if it was saved, else compiled and saved; return seconds."""
    ng.compile(ng.sin)(1.0)
    model = problems.perceptron([2, 16, 16, 1], "relu")
    loads = path.exists()
    gradient = ng.value_and_grad(lambda x: model(x) ** 2, wrt=model.parameters())
    function = ng.load_compiled(path) if loads else ng.compile(gradient)
    started = process_time()
    function([0.5, -1.0])
    seconds = process_time() - started
    if not loads:
        function.save(path)
    return seconds


def measure_loading() -> list[float]:
    """Return the seconds of the first call in a process that compiles, and in one that loads the same."""
    with TemporaryDirectory() as folder:
        path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
        env = os.environ | {"PYTHONPATH": path, "XDG_CACHE_HOME": folder}
        command = [sys.executable, __file__, "--first-call", str(Path(folder) / "network.json")]
        return [float(subprocess.check_output(command, env=env, timeout=LONGEST)) for _ in range(2)]


def show_loading(rounds: int = 3) -> None:
    """Print what the first call costs of a function that was saved, beside compiling it."""
    compiled, loaded = np.min([measure_loading() for _ in range(rounds)], axis=0).tolist()
    costs = f"{1e3 * loaded:9.1f} ms   {1e3 * compiled:9.1f} ms   ratio {loaded / compiled:.3f}"
    print(f"{'2-16-16-1 with gradient, loaded or compiled':45} {'first call':12} {costs}", flush=True)


def show(others: list[Path], names: list[str], rounds: int = 3) -> None:
    """Print what each function costs, beside what it costs in another checkout."""
    checkouts = [TESTS.parent, *others]
    for name in names:
        turns = [[measure(name, checkout) for checkout in checkouts] for _ in range(rounds)]
        best = np.min(turns, axis=0)
        for place, column in enumerate(COLUMNS[: best.shape[1]]):
            mine, *theirs = best[:, place].tolist()
            ratio = "".join(f"   {1e3 * other:9.1f} ms   ratio {mine / other:.2f}" for other in theirs)
            print(f"{name:45} {column:12} {1e3 * mine:9.1f} ms{ratio}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cost"]:
        print(json.dumps(cost(sys.argv[2])))
    elif sys.argv[1:2] == ["--first-call"]:
        print(first_call(Path(sys.argv[2])))
    else:
        folders = [Path(each) for each in sys.argv[1:] if Path(each).is_dir()]
        wanted = [each for each in sys.argv[1:] if not Path(each).is_dir()]
        show(folders, [name for name in CASES if all(part in name for part in wanted)])
        if not wanted:
            show_loading()
