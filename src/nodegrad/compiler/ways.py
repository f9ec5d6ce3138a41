"""The ways through a function, for one structure of arguments: compiled where that pays, else eager.

The first way is compiled when it is met; another when it is met again, if the rows that run fast pay for it
by then. Once most rows have turned out to go ways of their own (a loop that ends when the numbers say so), a
few of them are looked at and the others run eagerly, hardly slower than without this. Rows are counted, not
seconds, so that a program gives the same numbers each time it runs.
"""

import warnings
from collections.abc import Sequence
from time import perf_counter
from typing import Any, cast

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.record import Recorder, Way, current_recorder, named, numbers_of, record
from nodegrad.compiler.trace import MakeBackend, Trace, make_trace, refuse, verify
from nodegrad.forks import keeping
from nodegrad.graph import recording
from nodegrad.transforms import plain_places
from nodegrad.trees import Build, Spec, builder, flatten
from nodegrad.value import Value, literal, stand_in

__all__ = ()

_OTHER_ROWS = 3  # rows that the first trace of `map` is compared on, if they go the same way
# Compiling a way takes as long as so many eager runs, and so many more if it has but one operation.
_COST, _COST_OF_SMALL = 100, 15_000
_COST_IN_MAPS = 5  # times that, for code that runs many rows at once
_SHARE = 40  # of all rows, one in so many may be spent on compiling ways that do not pay yet
_FEW_WAYS = (
    6  # so few ways are compiled when they come again; of more, each when it has come as often as it costs
)
_WATCHED = 64  # rows that are looked at one by one, whatever way they go
_RARELY = 64  # after that, one in so many
_SAMPLE = 16, 64  # how many rows of a map, at least and at most, tell the ways of the others
_SELDOM = 7  # with so many misses for each hit, compiled ways are only tried on rows that are looked at

Found = tuple[Spec, Sequence[float]]  # how results are put together, and the results
Chosen = list[tuple[Trace, Any]]  # each trace with its rows; None: all


class Ways:
    """The traces of a function for one structure of its arguments, and the rows that run eagerly beside them.

    Attributes:
        traces: the ways that are compiled.
        met: the ways that ran eagerly: how many rows went each, as far as is known, and the first of them.
        eager: how many rows ran eagerly.
        misses: how many rows no compiled way took, of those tried since the last way was compiled.
    """

    def __init__(self, f: Any, spec: Spec, make: MakeBackend, most: int) -> None:
        self.f, self.spec, self.make, self.most = f, spec, make, most
        self.traces: list[Trace] = []
        self.met: dict[Way, tuple[int, Sequence[float]]] = {}
        self.eager = self.misses = self._hits_before = 0
        self.hits_often = True
        self.solves = False  # whether a root or a fixed point is looked for, which may not be found
        self.warns = False  # whether rows run eagerly that might run fast
        self._put = builder(spec)
        self._last: tuple[Any, Any] = (None, None)  # how the results of the last eager call are put together
        self._plain: Any = None  # which arguments a transform differentiates by

    @property
    def parameters(self) -> list[Value]:
        """The Values that the function closes over, as far as is known."""
        return [leaf for trace in self.traces for leaf in trace.parameters]

    @property
    def hits(self) -> int:
        """Count the rows that ran compiled."""
        return sum([trace.rows for trace in self.traces])

    @property
    def looks(self) -> bool:
        """Whether the next row that runs eagerly is looked at."""
        return self.eager < _WATCHED or self.eager % _RARELY == 0

    @property
    def cost(self) -> int:
        """Estimate how many eager runs take as long as compiling a way."""
        return _COST + _COST_OF_SMALL // max(20, self.traces[0].operations)

    def pays(self, hits: int, rows: int) -> bool:
        """Return whether one more way may be compiled, once so many of all rows run fast."""
        return len(self.traces) < self.most and self.cost * (len(self.traces) - 1) <= hits + rows // _SHARE

    def call(self, numbers: Sequence[float]) -> tuple[Build, Sequence[float]]:
        """Return what puts the results together, and the results for one row."""
        if self.hits_often or self.looks:
            traces = self.traces
            while traces:
                trace = traces[0]
                results, passed = trace.call(numbers)
                if results is not None:
                    trace.rows += 1
                    return trace.build, results
                # Ways are the same up to the branch at which they part.
                part = [*trace.expected[:passed], not trace.expected[passed]]
                traces = [other for other in traces[1:] if other.expected[: passed + 1] == part]
            self.misses += 1
            spec, found = self.meet(numbers)
        else:
            spec, found = self.run(numbers)
        if spec != self._last[0]:
            self._last = spec, builder(spec)
        return self._last[1], found

    def route(self, blocks: list[Array], count: int) -> tuple[Chosen, dict[int, Found]]:
        """Return the traces that rows go through, each with its rows, and the results of all other rows."""
        if not self.traces:  # a first way is compiled for many rows: code for a single one can wait
            self.compile(_row(blocks, 0), _other_rows(blocks, range(1, count)))
        if not self.traces[0].lines:
            self.traces[0].rows += count
            return [(self.traces[0], None)], {}
        ways: Chosen = []
        alone: dict[int, Found] = {}
        many, sampled, left = count > _SAMPLE[1], False, np.arange(count)
        ready = [trace for trace in self.traces if trace.kernels or not many]
        while True:
            for trace in ready:
                # With rows that met this way before it was compiled: results do not depend on who came first.
                rows = np.union1d(left, [*alone]).astype(int) if alone else left
                taken = rows[trace.chosen(*take(blocks, rows, count))]
                if len(taken):
                    ways.append((trace, taken))
                    trace.rows += len(taken)
                    left = np.setdiff1d(left, taken, assume_unique=True)
                    self.eager -= len(alone)
                    alone = {row: found for row, found in alone.items() if row not in taken}
                    self.eager += len(alone)
            if sampled or not len(left):
                break
            known = len(self.traces)
            if len(left) > _SAMPLE[1]:
                sampled = True
                found, ready = self.sample(blocks, left)
                alone |= found
                left = np.setdiff1d(left, [*found], assume_unique=True)
            else:
                result = self.meet(_row(blocks, left[0]))
                ready = self.traces[known:]
                if not ready:
                    alone[int(left[0])] = result
                    left = left[1:]
        if len(left):
            self.warns = True
            alone |= self.run_all(blocks, left)
        return ([(ways[0][0], None)] if len(ways) == 1 and not alone else ways), alone

    def sample(self, blocks: list[Array], rows: Any) -> tuple[dict[int, Found], list[Trace]]:
        """Run a few of the rows eagerly; return their results, and the ways that enough rows go, compiled."""
        found: dict[int, Found] = {}
        met: dict[Way, list[list[float]]] = {}
        least, most = _SAMPLE
        size = min(max(least, len(rows) // 50), most)
        for row in rows[:: len(rows) // size][:size]:
            numbers = _row(blocks, row)
            way, found[int(row)] = self.watch(numbers)
            met.setdefault(way, []).append(numbers)
        known = {trace.way: trace for trace in self.traces}
        ready = []
        for way, same in sorted(met.items(), key=lambda entry: -len(entry[1])):
            pays = len(same) * len(rows) // size >= _COST_IN_MAPS * self.cost
            if (pays or len(met) <= _FEW_WAYS) and len(self.traces) < self.most:
                ready.append(known.get(way) or self.compile(same[0], same[1:2]))
        return found, ready

    def run_all(self, blocks: list[Array], rows: Any) -> dict[int, Found]:
        """Run rows eagerly."""
        table = np.concatenate([block[rows].reshape(len(rows), -1) for block in blocks], axis=1)
        with recording():
            return {
                row: self.run(numbers) for row, numbers in zip(rows.tolist(), table.tolist(), strict=True)
            }

    def watch(self, numbers: Sequence[float]) -> tuple[Way, Found]:
        """Run a row eagerly, and note its way."""
        with recording():  # until the graph is gone, or the collector would go through it
            return self._watch(numbers)

    def _watch(self, numbers: Sequence[float]) -> tuple[Way, Found]:
        recorder = Recorder()
        with recorder.at_work():
            found = self.run(numbers)
        refuse(self.f, recorder.reads)
        return recorder.way, found

    def meet(self, numbers: Sequence[float]) -> Found:
        """Run a row that goes no compiled way, and compile its way if it is the first or that pays."""
        if not self.traces:
            trace = self.compile(numbers, ())
        elif not self.looks:
            return self.run(numbers)
        else:
            weight = 1 if self.eager < _WATCHED else _RARELY
            way, found = self.watch(numbers)
            times, earlier = self.met.get(way, (0, numbers))
            hits = self.hits
            hits_now = hits - self._hits_before
            self.hits_often = self.misses < _SAMPLE[0] or _SELDOM * hits_now >= self.misses
            enough = 1 if len(self.met) + len(self.traces) <= _FEW_WAYS else self.cost
            if times < enough or not self.pays(hits, hits + self.eager):
                if len(self.met) > _WATCHED:  # forget the ways that came once
                    self.met = {known: entry for known, entry in self.met.items() if entry[0] > weight}
                self.met[way] = times + weight, earlier
                self.warns |= self.eager >= _WATCHED or len(self.traces) >= self.most
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
        with recording():
            recorded = record(f, self.spec, numbers)
            assert recorded is not None, "only a replay ends early"
            trace = make_trace(f, recorded, self.make, started)
            verify(trace, f, self.spec, numbers, others)
        trace.seconds = perf_counter() - started
        return self.keep(trace)

    def keep(self, trace: Trace) -> Trace:
        """Keep a trace, or return that of another thread that has recorded the same way meanwhile."""
        with keeping:
            self.met.pop(trace.way, None)
            self.misses, self._hits_before, self.hits_often = 0, self.hits, True
            for other in self.traces:
                if other.way == trace.way:
                    return other
            self.traces.append(trace)
            self.solves |= trace.solves
            return trace

    def settle(self) -> list[Trace]:
        """Compile the ways that ran eagerly too, up to the limit; return all traces."""
        for _, numbers in list(self.met.values())[: self.most - len(self.traces)]:
            self.compile(numbers, ())
        return self.traces

    def run(self, numbers: Sequence[float]) -> Found:
        """Run the function on Values and return its results as numbers."""
        f = self.function()
        self.eager += 1
        leaves, spec = flatten(f(*self.arguments(f, numbers)), result=True)
        if (recorder := current_recorder()) is not None:
            recorder.check_left(leaves)
        return spec, numbers_of(leaves, f)

    def arguments(self, f: Any, numbers: Sequence[float]) -> Sequence[Any]:
        """Return the arguments for an eager run: Values, so that branches are seen.

        Arguments that a transform differentiates by stay plain, since the transform makes Values of them. The
        others are constants then, so that it can sweep over floats.
        """
        if self._plain is None:
            self._plain = plain_places(f, len(self.spec[2]))
        plain = self._plain
        if not plain:
            return cast(Sequence[Any], self._put([*map(stand_in, numbers)], 0, None)[0])
        by_number = self._put([*numbers], 0, None)[0]
        if len(plain) < len(by_number):
            given = self._put([*map(literal, numbers)], 0, None)[0]
            return [by_number[at] if at in plain else each for at, each in enumerate(given)]
        return cast(Sequence[Any], by_number)

    def function(self) -> Any:
        """Return the function.

        Raises:
            ValueError: if it did not travel with what was recorded.
        """
        if not callable(self.f):
            raise without_function(self.f, "go a way")
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


def without_function(name: str, what: str) -> ValueError:
    """Return the error for arguments that only the function itself could take."""
    return ValueError(
        f"compile: these arguments of {name} {what} that was not recorded, and its function is not here. It "
        "was loaded from a file, or unpickled without its function, which cannot be pickled or closes over "
        "Values that do not travel with it. Call it with such arguments before saving or pickling it; or "
        "pickle a function at the top of a module that takes the Values as arguments, or a Module that holds "
        "them."
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
