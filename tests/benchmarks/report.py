"""The report: tables of ratios, and where others are faster."""

import gc
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import nodegrad
from benchmarks.contenders import OURS, REGISTRY, RELU
from benchmarks.lines import Line
from benchmarks.spelling import duration, short
from benchmarks.timing import DISAGREES, NOT_INSTALLED, Case, Cost

PACKAGES = ("numpy", "llvmlite", "torch", "jax", "casadi", "micrograd", "autograd", "scipy")

# Tables.

GROUPS = {  # title -> families
    "Networks: loss and gradient": ("mlp", "gpt"),
    "Training: one step of gradient descent": ("fit",),
    "Other programs": ("gmm", "ba", "lstm", "options", "pendulum"),
    "The cost of a call": ("call",),
}


# The columns beside nodegrad's: first what readers know, last other ways to use nodegrad itself.
ORDER = ("PyTorch", "JAX", "NumPy", "CasADi", "micrograd", "plain Python", OURS, RELU)


def place(name: str) -> int:
    """Return where a contender stands among the columns: by the longest beginning of its name in ORDER."""
    return max((len(begin), index) for index, begin in enumerate(ORDER) if name.startswith(begin))[1]


def cell(case: Case, name: str) -> str:
    """Write how many times as long as nodegrad a contender took, bold below 1.

    In brackets stand the seconds until its first result, where it compiles.
    """
    timing = case.timings.get(name)
    if timing is None:
        reason = case.absent.get(name, "")
        return reason if reason in (NOT_INSTALLED, DISAGREES) else "–"
    ratio = f"{short(timing.ratio)}×"
    ratio = f"**{ratio}**" if timing.ratio < 1.0 else ratio
    compiles = REGISTRY[case.problem.family][name].compiles
    return f"{ratio} ({timing.compile_seconds:.1f} s)" if compiles else ratio


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def group_table(cases: list[Case]) -> str:
    """Write the times of nodegrad and the ratios of all others."""
    names = list(dict.fromkeys(name for case in cases for name in REGISTRY[case.problem.family]))
    others = sorted((name for name in names if name != OURS), key=place)
    rows = [
        [
            case.problem.name,
            case.size,
            f"{duration(case.timings[OURS].seconds)} ({case.timings[OURS].compile_seconds:.2f} s)",
            *(cell(case, name) for name in others),
        ]
        for case in cases
    ]
    return table(["problem", "size", OURS, *others], rows)


def cost_table(costs: list[Cost]) -> str:
    """Write what compiling took."""
    rows = [
        [
            cost.shape,
            cost.backend,
            f"{cost.operations:,}",
            f"{cost.seconds:.2f} s",
            f"{cost.processor_seconds:.2f} s",
            f"{1e6 * cost.processor_seconds / cost.operations:.1f} µs",
            f"{cost.bytes / cost.operations:,.0f}",
            duration(cost.call),
        ]
        for cost in costs
    ]
    header = "function, backend, operations, compile, processor, per operation, bytes per operation, a call"
    return table(header.split(", "), rows)


def line_table(lines: list[Line]) -> str:
    """Write what is timed by itself."""
    return table(["what", "nodegrad", "beside", "that", "ratio"], [line.cells for line in lines])


def losses(cases: list[Case]) -> str:
    """List where nodegrad took longer than another library."""
    found = [
        f"- {case.problem.name}, {case.size}: {name} took {short(timing.ratio)} of nodegrad's time."
        for case in cases
        for name, timing in case.timings.items()
        if timing.ratio < 1.0 and not name.startswith(OURS)
    ]
    return "\n".join(found or ["Nowhere in this run."]) + "\n"


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


def page(
    cases: list[Case],
    costs: list[Cost],
    command: str,
    where: str,
    seconds: float,
    lines: Iterable[Line] = (),
) -> str:
    """Write the results as Markdown."""
    collector = "on" if gc.isenabled() else "off"
    made = f"Made by `{command}` in {seconds:.0f} s on {datetime.now(UTC):%Y-%m-%d}. {where}."
    how = f"float64; cyclic garbage collector {collector}; PyTorch with 2 threads and with 1."
    parts = [f"{made} {how}\n"]
    for title, families in GROUPS.items():
        if chosen := [case for case in cases if case.problem.family in families]:
            parts += [f"## {title}\n", group_table(chosen)]
    if costs:
        parts += ["## The cost of compiling\n", cost_table(costs)]
    if lines:
        parts += ["## Around the kernels\n", line_table(list(lines))]
    if cases:
        parts += ["## Where another library is faster\n", losses(cases)]
    return "\n".join(parts)
