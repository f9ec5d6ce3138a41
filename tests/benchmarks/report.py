"""The report: tables of ratios, what was promised beside what was measured, and where others are faster."""

import gc
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import nodegrad
from benchmarks.contenders import OURS, REGISTRY
from benchmarks.problems import Problem
from benchmarks.timing import DISAGREES, NOT_INSTALLED, Case, Cost

PACKAGES = ("numpy", "llvmlite", "torch", "jax", "casadi", "micrograd", "scipy")

# Tables.

GROUPS = {  # title -> families
    "Networks: loss and gradient": ("mlp", "gpt"),
    "Training: one step of gradient descent": ("fit",),
    "Other programs": ("gmm", "ba", "lstm", "options", "pendulum"),
    "The cost of a call": ("call",),
}


def duration(seconds: float) -> str:
    """Write seconds in a unit that fits.

    >>> duration(3.52e-6)
    '3.5 µs'
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if seconds * factor >= 1.0 or unit == "ns":
            return f"{short(seconds * factor)} {unit}"
    return "0"


def short(number: float) -> str:
    """Write a number with two digits, all of them before the point."""
    return f"{number:,.0f}" if number >= 10.0 else f"{number:.1f}" if number >= 1.0 else f"{number:.2f}"


def cell(case: Case, name: str) -> str:
    """Write how many times as long as nodegrad a contender took, bold below 1, and its compile seconds."""
    timing = case.timings.get(name)
    if timing is None:
        reason = case.absent.get(name, "")
        return reason if reason in (NOT_INSTALLED, DISAGREES) else "–"
    ratio = f"{short(timing.ratio)}×"
    ratio = f"**{ratio}**" if timing.ratio < 1.0 else ratio
    return f"{ratio} ({timing.compile_seconds:.1f} s)" if timing.compile_seconds >= 0.05 else ratio


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def group_table(cases: list[Case]) -> str:
    """Write the times of nodegrad and the ratios of all others."""
    names = list(dict.fromkeys(name for case in cases for name in REGISTRY[case.problem.family]))
    others = [name for name in names if name != OURS]
    rows = [
        [
            case.problem.name,
            case.size,
            duration(case.timings[OURS].seconds),
            f"{case.timings[OURS].compile_seconds:.2f} s",
            *(cell(case, name) for name in others),
        ]
        for case in cases
    ]
    return table(["problem", "size", OURS, "compile", *others], rows)


def cost_table(costs: list[Cost]) -> str:
    """Write what compiling took."""
    rows = [
        [
            cost.shape,
            cost.backend,
            f"{cost.operations:,}",
            f"{cost.seconds:.2f} s",
            f"{1e6 * cost.seconds / cost.operations:.1f} µs",
            f"{cost.bytes / cost.operations:,.0f}",
            duration(cost.call),
        ]
        for cost in costs
    ]
    header = [
        "function",
        "backend",
        "operations",
        "compile",
        "per operation",
        "bytes per operation",
        "a call",
    ]
    return table(header, rows)


def losses(cases: list[Case]) -> str:
    """List where nodegrad took longer than another library."""
    found = [
        f"- {case.problem.name}, {case.size}: {name} took {short(timing.ratio)} of nodegrad's time."
        for case in cases
        for name, timing in case.timings.items()
        if timing.ratio < 1.0 and not name.startswith(OURS)
    ]
    return "\n".join(found or ["Nowhere in this run."]) + "\n"


# Targets.


@dataclass(frozen=True)
class Target:
    """What is promised, what was measured, and whether that is enough."""

    text: str
    required: str
    measured: str
    met: bool


def at_least(text: str, ratios: list[float], bound: float) -> Target:
    """Compare the smallest of some ratios with a bound."""
    smallest = min(ratios, default=math.nan)
    return Target(text, f"at least {bound:g}×", f"{short(smallest)}×", smallest >= bound)


def at_most(text: str, numbers: list[float], bound: float, unit: str) -> Target:
    """Compare the largest of some numbers with a bound."""
    largest = max(numbers, default=math.nan)
    return Target(text, f"at most {bound:g} {unit}", f"{short(largest)} {unit}", largest <= bound)


def targets(cases: list[Case], costs: list[Cost]) -> list[Target]:
    """Compare what was measured with what the library is meant to reach."""
    by = {(case.problem.name, case.size): case for case in cases}

    def ratios(name: str, families: str, sizes: tuple[str, ...], widest: float) -> list[float]:
        return [
            case.ratio(name)
            for case in cases
            if case.problem.family == families
            and case.size in sizes
            and case.problem.mode == "mean"
            and width(case.problem) <= widest
            and not math.isnan(case.ratio(name))
        ]

    def kinds() -> list[float]:
        return [
            case.timings[OURS].seconds / relu.timings[OURS].seconds
            for case in cases
            if case.problem.family == "mlp"
            and case.problem.given["activation"] != "relu"
            and (relu := by.get((f"{case.problem.name.rsplit(' ', 1)[0]} relu", case.size)))
        ]

    small, many, step = "MLP 2-16-16-1 relu", ("96 rows", "1024 rows"), "fit step, MLP 2-16-16-1 relu"
    one = {key: [by[key].ratio(name) for name in ("PyTorch", "JAX jit")] for key in by}
    found = [
        at_least("map, 2-16-16-1 relu, 96 rows: PyTorch's time", one.get((small, "96 rows"), [])[:1], 3),
        at_least("fit step, the same: PyTorch's time", one.get((step, "96 rows"), [])[:1], 8),
        at_least("fit step, the same: JAX jit's time", one.get((step, "96 rows"), [])[1:], 3),
        at_least(
            "map, widths to 256, 96 and 1024 rows: PyTorch's time", ratios("PyTorch", "mlp", many, 256), 1
        ),
        at_least(
            "map, widths to 64, 96 and 1024 rows: JAX jit's time", ratios("JAX jit", "mlp", many, 64), 1
        ),
        at_most("tanh and sigmoid networks: the time of relu", kinds(), 1.5, "times"),
        at_most(
            "GPT step: a sequence",
            [1e3 * case.timings[OURS].seconds / 32 for case in cases if case.problem.family == "gpt"],
            0.2,
            "ms",
        ),
        at_most(
            "a call of a compiled function of 2 numbers",
            [1e6 * case.timings[OURS].seconds for case in cases if case.problem.family == "call"],
            5,
            "µs",
        ),
        at_most(
            "compiling loss and gradient of 2-16-16-1",
            [
                case.timings[OURS].compile_seconds
                for case in cases
                if case.problem.name == small and case.size == "96 rows"
            ],
            0.3,
            "s",
        ),
        at_most(
            "compiling more than 10,000 operations: an operation",
            [1e6 * cost.seconds / cost.operations for cost in costs if cost.operations > 10_000],
            10,
            "µs",
        ),
        at_most(
            "memory while compiling more than 10,000 operations: an operation",
            [cost.bytes / cost.operations for cost in costs if cost.operations > 10_000],
            600,
            "bytes",
        ),
    ]
    return [target for target in found if not target.measured.startswith("nan")]


def width(problem: Problem) -> int:
    """Return the largest number of neurons in a layer."""
    return max((len(b) for _, b in problem.given.get("layers", ())), default=0)


def target_table(found: list[Target]) -> str:
    """Write what was promised beside what was measured."""
    rows = [[t.text, t.required, t.measured, "yes" if t.met else "**no**"] for t in found]
    return table(["what", "required", "measured", "met"], rows)


# The page.


def machine() -> str:
    """Name the processor, the system and the versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    load = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start"
    system = f"{platform.system()}, Python {platform.python_version()}, {', '.join(versions)}"
    return f"nodegrad {nodegrad.__version__} on {cpu}, {load}; {system}"


def page(cases: list[Case], costs: list[Cost], command: str, where: str, seconds: float) -> str:
    """Write the results as Markdown."""
    collector = "on" if gc.isenabled() else "off"
    made = f"Made by `{command}` in {seconds:.0f} s on {datetime.now(UTC):%Y-%m-%d}. {where}."
    how = f"float64; cyclic garbage collector {collector}; PyTorch with 2 threads, all others as they come."
    parts = [f"{made} {how}\n"]
    if found := targets(cases, costs):
        parts += ["### Targets\n", target_table(found)]
    for title, families in GROUPS.items():
        if chosen := [case for case in cases if case.problem.family in families]:
            parts += [f"### {title}\n", group_table(chosen)]
    if costs:
        parts += ["### The cost of compiling\n", cost_table(costs)]
    if cases:
        parts += ["### Where another library is faster\n", losses(cases)]
    return "\n".join(parts)
