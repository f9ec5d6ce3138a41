"""Run the benchmarks: every contender on every problem, in turns, and tables of ratios.

python tests/benchmarks/run.py [--only NAME] [--quick] [--markdown FILE]
"""

import argparse
import gc
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))
# Set before a library is loaded: idle OpenMP threads must not spin while the next contender runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks import bench_eager, bench_loops, bench_overhead, bench_show, bench_sources, problems
from benchmarks.contenders import OURS
from benchmarks.lines import Line
from benchmarks.report import machine, page
from benchmarks.spelling import duration
from benchmarks.targets import targets
from benchmarks.timing import Case, Cost, compile_costs, measure

BEGIN, END = "<!-- results: written by tests/benchmarks/run.py -->", "<!-- end of results -->"


def put_into(file: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    old = file.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{file} has no lines {BEGIN} and {END} to put results between.")
    before, after = old.split(BEGIN)[0], old.split(END)[1]
    file.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def progress(case: Case) -> str:
    """Describe a case in a line."""
    ours = case.timings[OURS]
    others = ", ".join(f"{name} {timing.ratio:.3g}" for name, timing in case.timings.items() if name != OURS)
    title = f"{case.problem.name}, {case.size}: {duration(ours.seconds)}"
    return f"{title}, compiled in {ours.compile_seconds:.2f} s; times that: {others}"


def races(only: str, quick: bool, failures: list[str]) -> Iterator[Case]:
    """Measure the problems whose names contain `only`; note which fail."""
    for problem in problems.suite(quick):
        if only in problem.name:
            longer = (
                10.0 if problem.family == "fit" else 1.0
            )  # because the collector runs now and then during a training
            sample, budget = (0.001, 0.01) if quick else (0.02 * longer, 1.2 * math.sqrt(longer))
            try:
                yield from measure(problem, sample, budget)
            except Exception as error:  # the others can still be measured
                failures.append(f"{problem.name} ({error!r:.200})")
                say(f"failed: {failures[-1]}")
            gc.collect()


def single_lines(quick: bool) -> Iterator[Line]:
    """Measure what is timed by itself."""
    for part in (bench_overhead, bench_loops, bench_sources, bench_eager, bench_show):
        yield from part.lines(quick)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="run problems whose name contains this; compile, lines: those tables"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: tries the benchmarks, measures nothing"
    )
    parser.add_argument("--markdown", type=Path, help="a page to put the tables into, between its two marks")
    given = parser.parse_args()
    where, start = machine(), perf_counter()
    cases: list[Case] = []
    costs: list[Cost] = []
    lines: list[Line] = []
    failures: list[str] = []
    try:
        # First, because trainings that wait for their turn keep the collector waiting.
        if given.only in ("", "lines"):
            for line in single_lines(given.quick):
                say(", ".join(filter(None, line.cells)))
                lines.append(line)
        for case in races(given.only, given.quick, failures):
            say(progress(case))
            cases.append(case)
        if given.only in ("", "compile"):
            for cost in compile_costs(given.quick):
                say(f"compile {cost}")
                costs.append(cost)
    except KeyboardInterrupt:
        where = f"Interrupted: what follows had been measured by then. {where}"
    if failures:
        where = f"Failed, and left out: {'; '.join(failures)}. {where}"
    command = " ".join(["python", "tests/benchmarks/run.py", *sys.argv[1:]])
    for target in targets(cases, costs):
        say(f"{'met' if target.met else 'MISSED'}: {target.text} {target.required}; {target.measured}")
    text = page(cases, costs, command, where, perf_counter() - start, lines)
    print(text)
    if given.markdown:
        put_into(given.markdown, text)


if __name__ == "__main__":
    main()
