"""The ways through a function, for one structure of arguments: compiled where they come again, else eager.

The first way is compiled when it is met, the next few when they are met again, others when they have come
often; in a map of many rows, those that a sample says many rows go. So a function whose rows nearly all go
ways of their own (a loop that ends when the numbers say so) is not much slower than eager code.
"""

import warnings
from collections.abc import Sequence
from threading import RLock
from time import perf_counter
from typing import Any, cast

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.record import Recorder, Way, named, numbers_of, record
from nodegrad.compiler.trace import MakeBackend, Trace, make_trace, refuse, verify
from nodegrad.graph import patient_collector
from nodegrad.transforms import plain_places
from nodegrad.trees import Build, Spec, build, builder, flatten
from nodegrad.value import Value, literal, stand_in

_OTHER_ROWS = 3  # rows that the first trace of `map` is compared on, if they go the same way
_SAMPLE = 64  # rows that tell the ways of many; fewer rows are watched one by one
_PAYS = 500  # rows of a map on one way, from which on compiling it takes less time than running them eagerly
_FEW_WAYS = 6  # so few ways are all compiled when they come again
_AGAIN = 100  # times that one of more ways comes before it is compiled, which takes as long as so many runs
_PATIENCE = 64  # ways met once before it is clear that most rows go ways of their own
_SELDOM = 4  # with so many eager calls per compiled one, compiled ways are not tried any more

# Held while a trace is kept, never while a user's function runs: that may wait for another thread.
keeping_lock = RLock()

Found = tuple[Spec, Sequence[float]]  # how results are put together, and the results
Chosen = list[tuple[Trace, Any]]  # each trace with its rows; None: all


class Ways:
    """The traces of a function for one structure of its arguments, and the rows that run eagerly beside them.

    Attributes:
        traces: the ways that are compiled.
        met: the ways that ran eagerly: how often, and the first row that went each.
        eager: how many rows ran eagerly.
    """

    def __init__(self, f: Any, spec: Spec, make: MakeBackend, most: int) -> None:
        self.f, self.spec, self.make, self.most = f, spec, make, most
        self.traces: list[Trace] = []
        self.met: dict[Way, tuple[int, Sequence[float]]] = {}
        self.eager = 0
        self.gave_up = False
        self.warns = False  # whether rows run eagerly that might run fast

    @property
    def parameters(self) -> list[Value]:
        """The Values that the function closes over, as far as is known."""
        return [leaf for trace in self.traces for leaf in trace.parameters]

    @property
    def solves(self) -> bool:
        """Whether a root or a fixed point is looked for, which may not be found."""
        return any(trace.solves for trace in self.traces)

    def call(self, numbers: Sequence[float]) -> tuple[Build, Sequence[float]]:
        """Return what puts the results together, and the results for one row."""
        traces = self.traces
        if self.gave_up and self.eager > _SELDOM * sum([trace.rows for trace in traces]):
            traces = []
        while traces:
            trace = traces[0]
            results, passed = trace.call(numbers)
            if results is not None:
                trace.rows += 1
                return trace.build, results
            # Ways are the same up to the branch at which they part.
            part = [*trace.expected[:passed], not trace.expected[passed]]
            traces = [other for other in traces[1:] if other.expected[: passed + 1] == part]
        known = len(self.traces)
        spec, found = self.meet(numbers, ())
        for trace in self.traces[known:]:
            trace.rows += 1
        return builder(spec), found

    def route(self, blocks: list[Array], count: int) -> tuple[Chosen, dict[int, Found]]:
        """Return the traces that rows go through, each with its rows, and the results of all other rows."""
        if not self.traces:  # a first way is compiled for many rows: code for a single one can wait
            self.compile(_row(blocks, 0), _other_rows(blocks, range(1, count)))
        if not self.traces[0].lines:
            self.traces[0].rows += count
            return [(self.traces[0], None)], {}
        remaining = np.arange(count)
        ways: Chosen = []
        alone: dict[int, Found] = {}
        place = 0
        sampled = False
        while len(remaining):
            if place == len(self.traces) and len(remaining) > _SAMPLE:
                # Many rows: a few of them tell which ways are worth compiling; the rest of them run eagerly.
                if sampled:
                    self.warns = True
                    alone |= {int(row): self.run(_row(blocks, int(row))) for row in remaining}
                    break
                sampled = True
                alone |= self.sample(blocks, remaining)
                remaining = np.setdiff1d(remaining, [*alone], assume_unique=True)
                continue
            if place == len(self.traces):
                found = self.meet(_row(blocks, remaining[0]), ())
                if place == len(self.traces):
                    alone[int(remaining[0])] = found
                    remaining = remaining[1:]
                continue
            trace = self.traces[place]
            place += 1
            # With the rows that met this way before it was compiled: results do not depend on who came first.
            rows = np.union1d(remaining, [*alone]).astype(int) if alone else remaining
            taken = rows[trace.chosen(*take(blocks, rows, count))]
            if len(taken):
                ways.append((trace, taken))
                trace.rows += len(taken)
                remaining = np.setdiff1d(remaining, taken, assume_unique=True)
                self.eager -= len(alone)
                alone = {row: found for row, found in alone.items() if row not in taken}
                self.eager += len(alone)
        return ([(ways[0][0], None)] if len(ways) == 1 and not alone else ways), alone

    def sample(self, blocks: list[Array], rows: Any) -> dict[int, Found]:
        """Run a few of the rows eagerly, and compile the ways that enough rows go."""
        found: dict[int, Found] = {}
        met: dict[Way, list[list[float]]] = {}
        for row in rows[:: len(rows) // _SAMPLE][:_SAMPLE]:
            numbers = _row(blocks, row)
            way, found[int(row)] = self.watch(numbers)
            met.setdefault(way, []).append(numbers)
        few = len(met) <= _FEW_WAYS
        often = [same for same in met.values() if few or len(same) * len(rows) >= _PAYS * len(found)]
        for same in sorted(often, key=len, reverse=True)[: self.most - len(self.traces)]:
            self.compile(same[0], same[1:2])
        return found

    def watch(self, numbers: Sequence[float]) -> tuple[Way, Found]:
        """Run a row eagerly, and note its way."""
        recorder = Recorder()
        with recorder.at_work():
            found = self.run(numbers)
        refuse(self.f, recorder.reads)
        return recorder.way, found

    def meet(self, numbers: Sequence[float], others: Sequence[Sequence[float]]) -> Found:
        """Run a row that goes no compiled way, and compile its way if it is the first or comes again."""
        if self.gave_up:
            return self.run(numbers)
        if not self.traces:
            trace = self.compile(numbers, others)
        else:
            way, found = self.watch(numbers)
            times, earlier = self.met.get(way, (0, numbers))
            if times < (1 if len(self.met) <= _FEW_WAYS else _AGAIN) or len(self.traces) >= self.most:
                self.met[way] = times + 1, earlier
                self.gave_up = self.warns = len(self.traces) >= self.most or len(self.met) > _PATIENCE
                return found
            self.eager -= 1
            trace = self.compile(numbers, [earlier])
        results = trace.call(numbers)[0]
        assert results is not None, "a trace takes the row it was made from"
        return trace.spec, results

    def compile(self, numbers: Sequence[float], others: Sequence[Sequence[float]]) -> Trace:
        """Record a row, check the trace on others, and keep it."""
        started = perf_counter()
        f = self.function()
        recording = record(f, self.spec, numbers)
        assert recording is not None, "only a replay ends early"
        trace = make_trace(f, recording, self.make, started)
        verify(trace, f, self.spec, numbers, others)
        trace.seconds = perf_counter() - started
        return self.keep(trace)

    def keep(self, trace: Trace) -> Trace:
        """Keep a trace, or return that of another thread that has recorded the same way meanwhile."""
        with keeping_lock:
            self.met.pop(trace.way, None)
            for other in self.traces:
                if other.way == trace.way:
                    return other
            self.traces.append(trace)
            return trace

    def settle(self) -> list[Trace]:
        """Compile the ways that ran eagerly, too, as far as there is room; return all traces."""
        for _, numbers in list(self.met.values())[: self.most - len(self.traces)]:
            self.compile(numbers, ())
        return self.traces

    def run(self, numbers: Sequence[float]) -> Found:
        """Run the function on Values and keep the results only."""
        f = self.function()
        self.eager += 1
        with patient_collector():
            leaves, spec = flatten(f(*self.arguments(f, numbers)))
            return spec, numbers_of(leaves, f)

    def arguments(self, f: Any, numbers: Sequence[float]) -> Sequence[Any]:
        """Return arguments to run eagerly on: Values, so that what a branch reads is seen.

        What a transform differentiates by stays plain, as it makes Values of that itself. The others are
        constants then, so that it may sweep over floats.
        """
        plain = plain_places(f, len(self.spec[2]))
        given = build(self.spec, map(literal if plain else stand_in, numbers))
        if not plain:
            return cast(Sequence[Any], given)
        by_number = build(self.spec, numbers)
        return [by_number[at] if at in plain else each for at, each in enumerate(given)]

    def function(self) -> Any:
        """Return the function.

        Raises:
            ValueError: if it did not travel with what was recorded.
        """
        if not callable(self.f):
            raise ValueError(
                f"compile: {self.f} was unpickled without its function, which cannot be pickled or "
                "closes over Values that do not travel with it, and these arguments go a way that was not "
                "recorded. Call it with such arguments before pickling; or compile a function at the top of "
                "a module that takes the Values as arguments, or a Module that holds them."
            )
        return self.f

    def warning(self) -> str:
        """Say that rows run eagerly from now on, why, and what to do."""
        lines = [line for way in self.met for _, line in way]
        lines += [line for trace in self.traces for line in trace.lines]
        most = max(set(lines), key=lines.count)
        return (
            f"compile: {named(self.f)} branches on its arguments in too many ways to compile all of them, "
            f"most often at {most}. {len(self.traces)} are compiled; all other rows run eagerly from now on: "
            "right, but many times slower. Write a loop with nodegrad.while_loop and a choice with "
            "nodegrad.where (maximum, minimum, clip, abs), or raise max_traces."
        )


def warn_once(ways: Ways, warned: list[bool], level: int) -> None:
    """Warn, once per function, that rows of a function run eagerly."""
    if ways.warns and not warned:
        warned.append(True)
        warnings.warn(ways.warning(), RuntimeWarning, stacklevel=level)


def warn_unsolved(name: str, is_nan: Any, level: int) -> None:
    """Warn that some results are nan in a function that looks for a root or a fixed point."""
    if (count := int(np.count_nonzero(is_nan))) > 0:
        rows = f"{count:,} of {len(is_nan):,}"
        text = (
            f"{name}: {rows} results or rows are nan: root or fixed_point may have found no solution there."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=level)


def take(blocks: list[Array], chosen: Any, count: int) -> tuple[list[Array], int]:
    """Return the chosen rows (None: all) and how many there are."""
    if chosen is None or len(chosen) == count:
        return blocks, count
    return [block[chosen] for block in blocks], len(chosen)


def _row(blocks: list[Array], row: int) -> list[float]:
    return [number for block in blocks for number in block[row].tolist()]


def _other_rows(blocks: list[Array], candidates: Any) -> list[list[float]]:
    """Return a few rows, spread over the candidates."""
    chosen = list(candidates[:: max(1, len(candidates) // _OTHER_ROWS)])[:_OTHER_ROWS]
    return [_row(blocks, row) for row in chosen]
