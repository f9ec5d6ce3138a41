"""The ways through a function, for one structure of arguments: compiled where that pays, otherwise eager.

The first way is compiled at once. Another is compiled when it comes again, if compiled rows have saved
enough time to pay for that. If most rows go different ways (as in a loop that stops when a number is small),
a few of them are looked at. The others run eagerly, almost as fast as without the compiler. Rows are
counted, not seconds, so that a program gives the same numbers each time it runs.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.compiler.chance import generators_of, refuse_chance, states
from nodegrad.compiler.record import OtherWay, Recorder, Way, current_recorder, named, numbers_of, record
from nodegrad.compiler.routes import Routes
from nodegrad.compiler.trace import Found, MakeBackend, Trace, make_trace, refuse, verify
from nodegrad.forks import keeping
from nodegrad.graph import leave, recording
from nodegrad.transforms import in_numbers, plain_places
from nodegrad.trees import Build, Spec, builder, flatten
from nodegrad.value import Value, literal, stand_in

__all__ = ()

_OTHER_ROWS = 3  # rows that the first trace of `map` is compared on, if they go the same way
# Compiling a way takes as long as _COST + _COST_OF_SMALL / operations eager runs: see `Ways.cost`.
_COST, _COST_OF_SMALL = 100, 15_000
_COST_IN_MAPS = 5  # times as long, for code that runs many rows at once
_SHARE = 40  # one row in so many may be spent on compiling ways that do not pay yet
_FEW_WAYS = 6  # up to so many ways are compiled when they come again; further ones when they pay
_WATCHED = 64  # so many of the rows that run eagerly are all looked at
_RARELY = 128  # after these, one in so many is looked at
_SAMPLE = 16, 64  # the least and the largest number of rows of a map that are looked at for all others
_OFTEN, _AGAIN = 4, 31  # with more misses for each hit than that, one of few ways must come so often again
_SELDOM = 7  # with so many misses for each hit, compiled ways are tried only on rows that are looked at


class Ways:
    """The traces of a function for one structure of its arguments, and the rows that run eagerly beside them.

    Attributes:
        traces: the ways that are compiled.
        met: the ways that ran eagerly: for each, an estimate of its rows, and the first row.
        eager: how many rows ran eagerly.
        misses: how many rows no compiled way took, of those tried since the last way was compiled.
        leaf: a Value that the function closes over, if one is known.
        solves: whether it looks for a root or a fixed point, which may not be found.
        warns: whether rows run eagerly that could run faster with another function.
    """

    def __init__(self, f: Any, spec: Spec, make: MakeBackend, most: int) -> None:
        self.f, self.spec, self.make, self.most = f, spec, make, most
        self.traces: list[Trace] = []
        self.met: dict[Way, tuple[int, Sequence[float]]] = {}
        self.eager = self.misses = self._hits_before = 0
        self.leaf: Value | None = None
        self.solves = self.warns = False
        self._hits_often = True
        self._generators: list[Any] | None = None
        self._put = builder(spec)
        self._in_numbers = in_numbers(f) if callable(f) else None
        self._plain = plain_places(f, len(spec[2]))  # the arguments that a transform differentiates by

    @property
    def straight(self) -> Trace | None:
        """The trace, if the function does not branch and its results need no check; otherwise None."""
        return None if not self.traces or self.traces[0].lines or self.solves else self.traces[0]

    @property
    def looks(self) -> bool:
        """Whether to look at the way of the next row that runs eagerly."""
        return self.eager < _WATCHED or self.eager % _RARELY == 0

    @property
    def cost(self) -> int:
        """Estimate how many eager runs take as long as compiling a way."""
        return _COST + _COST_OF_SMALL // max(20, self.traces[0].operations)

    def pays(self, times: int, few: int, cost: int) -> bool:
        """Return whether a way that came `times` times is worth compiling.

        While few ways are known, `few` times are enough. Later, `cost` times are needed.
        """
        if len(self.traces) >= self.most:
            return False
        # To hash many long ways takes longer than to run a row.
        is_few = len(self.met) <= _FEW_WAYS
        is_few = is_few and len(self.met.keys() | {trace.way for trace in self.traces}) <= _FEW_WAYS
        return times >= (few if is_few else cost)

    def call(self, numbers: Sequence[float]) -> tuple[Build, Sequence[float]]:
        """Return the results for one row, and the function that puts them together."""
        if self._hits_often or self.looks:
            answers: list[bool] = []
            for trace in self.traces:
                # Ways are the same up to the branch at which they part.
                if not answers or trace.expected[: len(answers)] == answers:
                    results, answers = trace.call(numbers)
                    if results is not None:
                        trace.rows += 1
                        return trace.build, results
            self.misses += 1
            spec, found = self.meet(numbers)
        else:
            spec, found = self.run(numbers)
        return builder(spec), found

    def meet(self, numbers: Sequence[float]) -> Found:
        """Run a row that goes no compiled way. Compile its way if it is the first, or if that pays."""
        if not self.traces:
            trace = self.compile(numbers, ())
        elif not self.looks:
            return self.run(numbers)
        else:
            weight = 1 if self.eager < _WATCHED else _RARELY
            way, found = self.watch(numbers)
            times, earlier = self.note(way, numbers, weight)
            hits, cost = sum([trace.rows for trace in self.traces]), self.cost
            recent = hits - self._hits_before
            self._hits_often = self.misses < _SAMPLE[0] or _SELDOM * recent >= self.misses
            few = weight + (1 if _OFTEN * recent >= self.misses else _AGAIN)
            # What was compiled before must have been paid for by rows that ran fast.
            spent = cost * (len(self.traces) - 1)
            if not self.pays(times, few, cost) or spent > hits + (hits + self.eager) // _SHARE:
                self.warns |= self.eager >= _WATCHED or len(self.traces) >= self.most
                return found
            self.eager -= 1
            trace = self.compile(numbers, [earlier])
        results = trace.call(numbers)[0]
        assert results is not None, "a trace takes the row it was made from"
        trace.rows += 1
        self._hits_before += 1
        return trace.spec, results

    def route(self, blocks: list[Array], count: int) -> Routes:
        """Return through which traces rows go, and the results of those that run eagerly."""
        if not self.traces:  # a first way is compiled for many rows: code for a single one can wait
            others = range(1, count)[:: max(1, (count - 1) // _OTHER_ROWS)][:_OTHER_ROWS]
            self.compile(_row(blocks, 0), [_row(blocks, row) for row in others])
        routes = Routes(blocks, count)
        if not self.traces[0].lines:
            self.traces[0].rows += count
            routes.traces.append((self.traces[0], range(count)))
            return routes
        left = np.arange(count)
        ready = [trace for trace in self.traces if trace.kernels or count <= _SAMPLE[1]]
        left = self._through(ready, routes, left)
        if len(left):
            left = self._through(self._sample(routes, left), routes, left)
            self._run_others(routes, np.setdiff1d(left, [*routes.alone]))
        return routes

    def _through(self, traces: Sequence[Trace], routes: Routes, left: Any) -> Any:
        """Send rows through the traces whose way they go; return the others.

        This includes rows that ran eagerly to show their way: so results do not depend on the order of maps.
        """
        for trace in traces if len(left) else ():
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
        least, most = _SAMPLE
        if len(rows) > most:
            step = len(rows) // min(max(least, len(rows) // 50), most)
        elif self.eager < _WATCHED:
            step = 1
        else:
            step = _RARELY
            rows = rows[-self.eager % _RARELY :]
        few, cost = 2 if step == 1 else 1, _COST_IN_MAPS * self.cost
        ways = {}
        for row in rows[::step]:
            numbers = _row(routes.blocks, row)
            way, routes.alone[int(row)] = self.watch(numbers)
            ways[way] = *self.note(way, numbers, step), numbers
        known = {trace.way: trace for trace in self.traces}
        often = sorted(ways.items(), key=lambda item: -item[1][0])
        return [
            known.get(way) or self.compile(numbers, [earlier])
            for way, (times, earlier, numbers) in often
            if self.pays(times, few, cost)
        ]

    def _run_others(self, routes: Routes, rows: Any) -> None:
        """Run rows eagerly."""
        self.warns |= len(rows) > 0
        with recording():
            for row in rows.tolist():
                routes.alone[row] = self.run(_row(routes.blocks, row))

    def watch(self, numbers: Sequence[float]) -> tuple[Way, Found]:
        """Run a row eagerly; return its way and its results."""
        recorder = Recorder()
        with recorder.at_work():
            found = self.run(numbers)
        refuse(self.f, recorder.reads)
        return recorder.way, found

    def note(self, way: Way, numbers: Sequence[float], weight: int) -> tuple[int, Sequence[float]]:
        """Add an estimated number of rows to those of a way; return how many there are, and the first row."""
        if len(self.met) > _WATCHED:  # forget the ways that came once
            self.met = {known: entry for known, entry in list(self.met.items()) if entry[0] > weight}
        times, earlier = self.met.get(way, (0, numbers))
        self.met[way] = found = times + weight, earlier
        return found

    def compile(self, numbers: Sequence[float], others: Sequence[Sequence[float]]) -> Trace:
        """Record a row, check the trace on others, and keep it."""
        started, f = perf_counter(), self.function()
        if self._generators is None:
            self._generators = generators_of(f)
        before = states(self._generators)
        with recording():
            trace = make_trace(f, record(f, self.spec, numbers))
            trace.reset(self.make)
            verify(trace, f, self.replay, numbers, others)
            refuse_chance(f, self._generators, before, lambda: self.replay(numbers, trace.expected))
        trace.seconds = perf_counter() - started
        return self.keep(trace)

    def keep(self, trace: Trace) -> Trace:
        """Keep a trace, or return that of another thread that has recorded the same way meanwhile."""
        with keeping:
            self.met.pop(trace.way, None)
            for other in self.traces:
                if other.way == trace.way:
                    return other
            self.traces.append(trace)
            self.misses, self._hits_often = 0, True
            self._hits_before = sum([each.rows for each in self.traces])
            self.leaf = self.leaf or (trace.parameters[0] if trace.parameters else None)
            self.solves |= trace.solves
            return trace

    def settle(self) -> list[Trace]:
        """Compile the ways that ran eagerly too, up to the limit; return all traces."""
        known = {trace.way for trace in self.traces}
        met = [numbers for way, (_, numbers) in list(self.met.items()) if way not in known]
        for numbers in met[: self.most - len(self.traces)]:
            self.compile(numbers, ())
        return self.traces

    def replay(self, numbers: Sequence[float], expected: Sequence[bool]) -> Found | None:
        """Run a row eagerly; return its results, or None if its branches do not answer as expected."""
        recorder = Recorder(expected=expected)
        with suppress(OtherWay), recorder.at_work():
            found = self.results(numbers)
            refuse(self.f, recorder.reads)
            return found if recorder.ended else None
        return None

    def run(self, numbers: Sequence[float]) -> Found:
        """Run a row eagerly, and count it."""
        self.eager += 1
        return self.results(numbers)

    def results(self, numbers: Sequence[float]) -> Found:
        """Run the function on Values and return its results as numbers."""
        f = self._in_numbers or self.function()
        values = [] if self._plain else [*map(stand_in, numbers)]
        arguments = self.plain_arguments(numbers) if self._plain else self._put(values, 0, None)[0]
        leaves, spec = flatten(f(*arguments), result=True)
        if (recorder := current_recorder()) is not None:
            recorder.check_left(leaves)
        leave(values)
        return spec, numbers_of(leaves, f)

    def plain_arguments(self, numbers: Sequence[float]) -> Sequence[Any]:
        """Return the arguments for an eager run of a transform.

        Those it differentiates by stay plain, since it makes Values of them, so that branches are seen. The
        others are constants, so that it can sweep over floats.
        """
        by_number: Sequence[Any] = self._put(numbers, 0, None)[0]
        if len(self._plain) == len(by_number):
            return by_number
        given = self._put([*map(literal, numbers)], 0, None)[0]
        return [by_number[at] if at in self._plain else each for at, each in enumerate(given)]

    def function(self) -> Any:
        """Return the function.

        Raises:
            ValueError: if it did not travel with what was recorded.
        """
        if not callable(self.f):
            raise without_function(self.f, "go a way")
        return self.f

    def warn(self, level: int) -> None:
        """Warn that rows run eagerly from now on: say why, and what to do."""
        lines = [line for way in list(self.met) for _, line in way]
        lines += [line for trace in self.traces for line in trace.lines]
        most = max(set(lines), key=lines.count)
        text = (
            f"compile: {named(self.f)} branches on its arguments in too many ways to compile all of them, "
            f"most often at {most}. {len(self.traces)} are compiled; all other rows run eagerly from now on: "
            "right, but many times slower. Write a loop with nodegrad.while_loop and a choice with "
            "nodegrad.where (maximum, minimum, clip, abs), or raise max_traces."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=level)


def without_function(name: str, what: str) -> ValueError:
    """Return the error for arguments for which the function itself would be needed."""
    return ValueError(
        f"compile: these arguments of {name} {what} that was not recorded, and its function is not here. It "
        "was loaded from a file, or unpickled without its function, which cannot be pickled or closes over "
        "Values that do not travel with it. Call it with such arguments before saving or pickling it; or "
        "pickle a function at the top of a module that takes the Values as arguments, or a Module that holds "
        "them."
    )


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
