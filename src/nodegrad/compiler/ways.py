"""The ways through a function, for one structure of arguments: compiled where that pays, otherwise eager.

The first way is recorded at once, and compiled at once if it has no branch or `map` is called. Any other is
compiled when it has come often enough to pay for that. If most rows go different ways (as in a loop that
stops when a number is small), a few of them are looked at. The others run eagerly, almost as fast as without
the compiler. Rows are counted, not seconds, so that a program gives the same numbers each time it runs.
"""

import warnings
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.chance import generators_of, refuse_chance, states
from nodegrad.compiler.eager import RARELY, Eager, same
from nodegrad.compiler.record import Way, named
from nodegrad.compiler.routes import Routes
from nodegrad.compiler.trace import Found, MakeBackend, Trace, changing, make_trace
from nodegrad.forks import keeping
from nodegrad.graph import check_unchanged, recording, topological_order
from nodegrad.trees import Build, Spec, builder
from nodegrad.value import Value

__all__ = ()

_OTHER_ROWS = 3  # rows that the first trace of `map` is compared on, if they go the same way
_COST_IN_MAPS = 5  # times as long, for code that runs many rows at once
_SHARE = 30  # one row in this many may be spent on compiling ways that do not pay yet
_FEW_WAYS = 6  # up to this many ways are compiled when they come again; further ones when they pay
_WATCHED = 64  # the first rows that run eagerly, which are all looked at; then one in RARELY
_SAMPLE = 16  # rows of a map that are looked at for all others, again and again while this finds ways
_FEW_ROWS = 64  # rows: in a map of at most this many, all are looked at
_AGAIN, _RUN_BEFORE = 32, 16_000  # after this many rows or operations one of few ways is compiled
_GOLDEN = 0.618034  # the golden ratio's multiples fall evenly between whole numbers
_OFTEN = 6  # a way that more than one row in this many takes need not be paid for yet
_SELDOM = 7  # with this many misses for each hit, compiled ways are tried only on rows that are looked at


class Ways(Eager):
    """The traces of a function for one structure of its arguments, and the rows that run eagerly beside them.

    Attributes:
        traces: the ways that are compiled.
        met: the ways that ran eagerly: for each, an estimate of its rows, and the first row.
        misses: how many rows no compiled way took, of those tried since the last way was compiled.
        leaf: a Value that the function closes over, if one is known.
        warns: whether rows run eagerly that could run faster with another function.
    """

    def __init__(self, f: Any, spec: Spec, make: MakeBackend, most: int) -> None:
        super().__init__(f, spec)
        self.make, self.most = make, most
        self.traces: list[Trace] = []
        self.met: dict[Way, tuple[int, Sequence[float]]] = {}
        self.misses = self._hits_before = 0
        self.leaf: Value | None = None
        self.warns = False
        self._hits_often = self._has_few = True
        self._generators: list[Any] | None = None

    @property
    def straight(self) -> Trace | None:
        """The trace, if the function does not branch and its results need no check; otherwise None."""
        return None if not self.traces or self.traces[0].lines or self.solves else self.traces[0]

    @property
    def _step(self) -> int:
        """Of how many rows that run eagerly the next one to look at is an example."""
        return 1 if self.eager < _WATCHED else RARELY // 2 if self._has_few else RARELY

    @property
    def looks(self) -> bool:
        """Whether to look at the way of the next row that runs eagerly."""
        return self.eager % self._step == 0

    def pays(self, way: Way, times: int, few: int, many: int) -> bool:
        """Return whether a way that came `times` times is worth compiling.

        While few ways are known, `few` times are enough. Later, `many` times are needed.
        """
        known = {trace.way for trace in self.traces}
        if len(self.traces) >= self.most and way not in known:
            return False
        # To hash many long ways takes longer than to run a row.
        self._has_few = len(self.met) <= _FEW_WAYS and len(self.met.keys() | known) <= _FEW_WAYS
        return times >= (few if self._has_few else many)

    def pays_in_calls(self, way: Way, times: int, weight: int) -> bool:
        """Return whether to compile a way that was just met, and note whether most rows go compiled ways."""
        first, native = self.traces[0], [trace for trace in self.traces if not trace.waits]
        hits = sum([trace.rows for trace in native])
        self._hits_often = self.misses < _SAMPLE or _SELDOM * (hits - self._hits_before) >= self.misses
        mean = sum(map(len, self.met)) / len(self.met)  # the mean length of a way
        cost = _cost(int(first.operations * (mean + 1) / (len(first.lines) + 1)))
        few = min(_AGAIN, max(2, _RUN_BEFORE // max(1, first.operations)))
        if not self.pays(way, times, max(few, 2 * weight), max(cost, 3 * weight)):
            return False
        # Rows that run fast must have paid for what was compiled before, and for this way if it is rare.
        rows, spent = hits + self.eager, sum([_cost(trace.operations) for trace in native])
        return _OFTEN * times >= rows or spent + cost <= hits + rows // _SHARE

    def call(self, numbers: Sequence[float]) -> tuple[Build, Any]:
        """Return the function that puts the results for one row together, and the results."""
        if self._hits_often or self.looks:
            answers: list[bool] = []
            for trace in self.traces:
                # Ways are the same up to the branch at which they part.
                if not trace.waits and (not answers or trace.expected[: len(answers)] == answers):
                    results, answers = trace.call(numbers)
                    if results is not None:
                        trace.rows += 1
                        return trace.build, results
            self.misses += 1
            if self.looks:
                spec, found = self.meet(numbers)
                return builder(spec), found
        return self.answer(numbers)

    def meet(self, numbers: Sequence[float]) -> Found:
        """Run a row that goes no compiled way. Record the first way, and compile those that pay."""
        if not self.traces:
            trace, found = self.compile(numbers, ())
            trace.waits = bool(trace.lines)
            if trace.waits:
                trace.rows += 1
                self.note(trace.way, numbers, 1)
                return found
        else:
            weight = self._step
            way, found = self.watch(numbers)
            times, earlier = self.note(way, numbers, weight)
            if not self.pays_in_calls(way, times, weight):
                self.warns |= len(self.traces) >= self.most or (self.eager >= _WATCHED and not self._has_few)
                return found
            self.eager -= 1
            trace, _ = self.compile(numbers, [earlier], found)
        results = trace.call(numbers)[0]
        assert results is not None, "a trace takes the row it was made from"
        trace.rows += 1
        self._hits_before += 1
        return trace.spec, results

    def route(self, blocks: list[Array], count: int) -> Routes:
        """Return through which traces rows go, and the results of those that run eagerly."""
        if all(trace.waits for trace in self.traces):
            # A first way is compiled for many rows: code for a single one can wait.
            others = range(1, count)[:: max(1, (count - 1) // _OTHER_ROWS)][:_OTHER_ROWS]
            self.compile(_row(blocks, 0), [_row(blocks, row) for row in others])
        routes = Routes(blocks, count)
        if not self.traces[0].lines:
            self.traces[0].rows += count
            routes.traces.append((self.traces[0], range(count)))
            return routes
        ready = [trace for trace in self.traces if not trace.waits and (trace.kernels or count <= _FEW_ROWS)]
        left = self._through(ready, routes, np.arange(count))
        while len(left) and (traces := self._sample(routes, routes.waiting(left))):
            left = self._through(traces, routes, left)
        rest = routes.waiting(left)
        if (len(left) and len(self.traces) >= self.most) or (len(rest) and not self._has_few):
            self.warns = True
        self._run_others(routes, rest)
        return routes

    def _through(self, traces: Sequence[Trace], routes: Routes, left: Any) -> Any:
        """Send rows through the traces whose way they go; return the others.

        This includes rows that ran eagerly to show their way: so results do not depend on the order of maps.
        """
        for trace in traces:
            if not len(left):
                break
            here = trace.chosen(*routes.take(left))
            rows = left[here]
            if len(rows):
                routes.traces.append((trace, rows))
                trace.rows += len(rows)
                left = left[~here]
        if routes.alone:
            alone = {row: routes.alone[row] for row in routes.alone.keys() & set(left.tolist())}
            self.eager -= len(routes.alone) - len(alone)
            routes.alone = alone
        return left

    def _sample(self, routes: Routes, rows: Any) -> list[Trace]:
        """Run some of the rows eagerly to see their ways. Compile the ways that pay; return their traces."""
        if len(rows) > _FEW_ROWS:
            step = len(rows) // _SAMPLE
        elif self.eager < _WATCHED:
            step = 1
        else:
            step = RARELY
            rows = rows[-self.eager % RARELY :]
        few, cost = 2 if step == 1 else 1, _COST_IN_MAPS * _cost(self.traces[0].operations)
        ways = {}
        for row in _spread(rows, step):
            numbers = _row(routes.blocks, row)
            way, found = self.watch(numbers)
            routes.alone[int(row)] = found
            ways[way] = *self.note(way, numbers, step), numbers, found
        known = {trace.way: trace for trace in self.traces if not trace.waits}
        often = sorted(ways.items(), key=lambda item: -item[1][0])
        return [
            known.get(way) or self.compile(numbers, [earlier], found)[0]
            for way, (times, earlier, numbers, found) in often
            if self.pays(way, times, few, cost)
        ]

    def _run_others(self, routes: Routes, rows: Any) -> None:
        """Run rows eagerly."""
        with recording():
            for start in range(0, len(rows), 1_000):
                part = rows[start : start + 1_000]
                table = np.concatenate([block[part] for block in routes.blocks], axis=1).tolist()
                self.eager += len(part)
                routes.alone.update(zip(part.tolist(), map(self.results, table), strict=True))

    def note(self, way: Way, numbers: Sequence[float], weight: int) -> tuple[int, Sequence[float]]:
        """Add an estimated number of rows to those of a way; return how many there are, and the first row."""
        if len(self.met) > _WATCHED:  # forget the ways that came once
            self.met = {known: entry for known, entry in list(self.met.items()) if entry[0] > weight}
        times, earlier = self.met.get(way, (0, numbers))
        self.met[way] = found = times + weight, earlier
        return found

    def compile(
        self, numbers: Sequence[float], others: Sequence[Sequence[float]], seen: Found | None = None
    ) -> tuple[Trace, Found]:
        """Record a row, check the trace on others, and keep it; return it and, if it branches, its results.

        If the row has run before, `seen` is what it gave then, and the others are known to go the same way.
        """
        started, f = perf_counter(), self.function()
        if self._generators is None:
            self._generators = generators_of(f)
        before = states(self._generators)
        with recording():
            recorded = self.record(numbers)
            wanted = recorded.outputs if recorded.branches or seen else []
            found = recorded.spec, self.numbers_of(wanted)
            trace = make_trace(f, recorded)
            if seen is not None and not same(seen, found):
                raise changing(f, numbers)
            if trace.lines and seen is None:  # others may go another way, and leave something there too early
                others = ()
            try:
                self.verify(trace, recorded, numbers, others)
            except ValueError:
                check_unchanged(topological_order(*recorded.ends))  # its error says more
                raise
            refuse_chance(f, self._generators, before, lambda: self.replay(numbers, trace.expected))
        trace.seconds = perf_counter() - started
        return self.keep(trace), found

    def keep(self, trace: Trace) -> Trace:
        """Keep a trace, or return that of another thread that has recorded the same way meanwhile.

        A trace that waited is replaced: numbers that the function reads may have changed since.
        """
        trace.make = self.make
        with keeping:
            self.met.pop(trace.way, None)
            same = [at for at, other in enumerate(self.traces) if other.way == trace.way]
            if same and not self.traces[same[0]].waits:
                return self.traces[same[0]]
            if same:
                trace.rows = self.traces[same[0]].rows
                self.traces[same[0]] = trace
            else:
                self.traces.append(trace)
            # Hits and misses are counted anew, since there is one more compiled way.
            self.misses, self._hits_often = 0, True
            self._hits_before = sum([each.rows for each in self.traces])
            self.leaf = self.leaf or (trace.parameters[0] if trace.parameters else None)
            self.solves |= trace.solves
            return trace

    def settle(self) -> list[Trace]:
        """Compile the ways that ran eagerly too, up to the limit; return all traces."""
        known = {trace.way for trace in self.traces if not trace.waits}
        met = [numbers for way, (_, numbers) in list(self.met.items()) if way not in known]
        for numbers in met[: self.most - len(known)]:
            self.compile(numbers, ())
        return self.traces

    def warn(self, level: int) -> None:
        """Warn that rows run eagerly from now on: say why, and what to do."""
        lines = [line for way in [*self.met, *[trace.way for trace in self.traces]] for _, line in way]
        most = max(set(lines), key=lines.count)
        wide = "nodegrad.fori_loop (by this many weights, a while_loop branches as a Python loop does)"
        loop = wide if self.unrolls else "nodegrad.while_loop"
        text = (
            f"compile: {named(self.f)} branches on its arguments in too many ways to compile all of them, "
            f"most often at {most}. {len(self.traces)} are compiled; all other rows run eagerly from now on: "
            f"right, but many times slower. Write a loop with {loop} and a choice with "
            "nodegrad.where (maximum, minimum, clip, abs), or raise max_traces."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=level)


def _cost(operations: int) -> int:
    """Estimate how many eager runs take as long as compiling a way of that many operations."""
    return 100 + 32_000 // max(20, operations)


def warn_unsolved(name: str, found: Any, level: int) -> None:
    """Warn that some results are nan in a function that looks for a root or a fixed point."""
    is_nan = np.isnan(found)
    is_nan = is_nan.any(axis=0) if is_nan.ndim == 2 else is_nan
    if is_nan.any():
        rows = f"{np.count_nonzero(is_nan):,} of {len(is_nan):,}"
        text = (
            f"{name}: {rows} results or rows are nan: root or fixed_point may have found no solution there."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=level)


def _row(blocks: list[Array], row: int) -> list[float]:
    return [number for block in blocks for number in block[row].astype(np.float64, copy=False).tolist()]


def _spread(rows: Any, step: int) -> Any:
    """Choose one row of each `step`, at places that change: rows may go one way and another in turns."""
    places = np.arange(0, len(rows), step)
    places += (places * _GOLDEN % step).astype(int)
    return rows[places[places < len(rows)]]
