"""Compiled: the callable that `compile` returns. It keeps a trace per way through the function."""

import pickle
from collections.abc import Callable
from functools import partial, update_wrapper
from io import BytesIO
from time import perf_counter
from typing import Any

import numpy as np

from nodegrad.compiler import backends, forks
from nodegrad.compiler.arguments import Array, rows
from nodegrad.compiler.printing import render
from nodegrad.compiler.record import named, recording_lock
from nodegrad.compiler.reduction import added
from nodegrad.compiler.shards import map_shards
from nodegrad.compiler.trace import Trace, make_trace, verify
from nodegrad.compiler.vectorize import vectorize
from nodegrad.graph import patient_collector
from nodegrad.ops import plain
from nodegrad.trees import LEAF, Spec, flatten, stack
from nodegrad.value import Value

forks.register()

_OTHER_ROWS = 3  # rows that a new trace of `map` is compared on, if they go the same way


def compile(
    f: Callable[..., Any],
    *,
    backend: str = "auto",
    exact: bool = False,
    max_traces: int = 32,
    threads: int | None = None,
) -> "Compiled":
    """Compile a function of numbers: recorded once per way through it, then run at native speed.

    >>> import nodegrad as ng
    >>> area = ng.compile(lambda r: 3.0 * r**2)
    >>> area(2.0)
    12.0
    >>> area.map([1.0, 2.0, 3.0]).tolist()
    [3.0, 12.0, 27.0]
    >>> slope = ng.compile(ng.value_and_grad(lambda x: x * ng.sin(x)))
    >>> slope(0.0)
    (0.0, 0.0)

    Args:
        f: a function of numbers, lists, tuples, dicts and NumPy arrays of them, that returns such. What it
            computes from its arguments and from Values it closes over is recorded.
        backend: "llvm" (native code), "numpy", or "auto": llvm where llvmlite is installed.
        exact: compute every row to the bit as eager code does. Otherwise operations may be contracted
            (a·b + c rounded once) and elementary functions be off by up to 4 ulp.
        max_traces: how many ways through `f` are kept before it is an error, per structure of the arguments.
        threads: how many threads `map` uses on many rows; None: one per processor. Results
            do not depend on it.

    Raises:
        TypeError: if `f` is not callable.
        ValueError: if the backend is unknown or not installed, or `max_traces` or `threads` is not a whole
            number of at least 1.
    """
    if not callable(f):
        raise TypeError(f"compile takes a function; got {f!r:.60} of type {type(f).__name__}.")
    for name, number in (("max_traces", max_traces), ("threads", 1 if threads is None else threads)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"compile takes {name} of at least 1, a whole number; got {number!r}.")
    return Compiled(f, backends.choose(backend), exact, max_traces, threads)


class Compiled:
    """A compiled function: call it with numbers, or `map` it over rows."""

    def __init__(
        self, f: Callable[..., Any] | None, backend: str, exact: bool, max_traces: int, threads: int | None
    ) -> None:
        self.f = f
        self.backend = backend
        self.exact = exact
        self.max_traces = max_traces
        self.threads = threads
        self.traces: dict[Spec, list[Trace]] = {}
        self._prepare()
        if f is not None:
            update_wrapper(self, f, updated=())

    def _prepare(self) -> None:
        self._of_numbers: dict[int, list[Trace]] = {}  # by how many numbers the arguments are
        self._make = partial(backends.make, name=self.backend, exact=self.exact, threads=self.threads)

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns for these arguments, as floats in the same structure.

        With Values among the arguments the function itself is called, so that derivatives pass through.

        Raises:
            TypeError: if something is not a number.
            ValueError: if the function cannot be compiled, or branches in more than `max_traces` ways.
        """
        numbers: Any = arguments
        traces = self._of_numbers.get(len(arguments))
        if traces is None or any(type(x) is not float for x in arguments):
            leaves, spec = flatten(arguments)
            if self.f is not None and any(isinstance(x, Value) for x in leaves):
                return self.f(*arguments)
            numbers = [x if type(x) is float else plain(x, "a compiled function") for x in leaves]
            traces = self._traces(spec)
        tried = 0
        for trace in traces:
            tried += 1
            found = trace.call(numbers)
            if found is not None:
                return trace.build(found, 0, float)[0]
        _, spec = flatten(arguments)
        trace = self._record(spec, numbers, (), tried)
        found = trace.call(numbers)
        if found is None:
            raise ValueError(
                f"compile: {self._name} took another branch when called again with the same numbers."
            )
        return trace.build(found, 0, float)[0]

    def _traces(self, spec: Spec) -> list[Trace]:
        """Return the traces for a structure of arguments, those for plain numbers found at once next time."""
        traces = self.traces.setdefault(spec, [])
        if all(entry == LEAF for entry in spec[2]):
            self._of_numbers[len(spec[2])] = traces
        return traces

    def map(self, *arguments: Any, reduce: str | None = None, executor: Any = None) -> Any:
        """Apply the function to every row of the arguments.

        >>> import nodegrad as ng
        >>> f = ng.compile(lambda x, w: w[0] * x + w[1])
        >>> f.map([1.0, 2.0], [[1.0, 0.0], [2.0, 1.0]]).tolist()
        [1.0, 5.0]
        >>> f.map([1.0, 2.0], [[1.0, 0.0], [2.0, 1.0]], reduce="mean")
        3.0

        Args:
            arguments: arrays or lists with rows along the first axis, or tuples and dicts of such.
            reduce: "sum" or "mean" adds every result up over rows; the order does not depend on threads.
            executor: a concurrent.futures.Executor that shards of rows are given to.

        Returns:
            In the structure of what the function returns, an array with rows along the first axis for each
            number, array or list of numbers; with `reduce`, a number or an array for each.

        Raises:
            TypeError: if something is not a number.
            ValueError: if rows are ragged, missing or unequal in number, or the function cannot be compiled.
        """
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f'map takes reduce=None, "sum" or "mean"; got {reduce!r}.')
        spec, blocks, count = rows(arguments)
        ways = self._route(spec, blocks, count)
        out_spec = ways[0][0].spec
        if any(trace.spec != out_spec for trace, _ in ways[1:]):
            raise ValueError(f"map: {self._name} returns different structures for different rows.")
        run = self._run if executor is None else partial(map_shards, executor, self)
        if reduce is None:
            return self._gather(ways, blocks, count, run)
        totals = [run(trace, "sums", *_take(blocks, chosen, count)) for trace, chosen in ways]
        total: Any = totals[0] if len(totals) == 1 else added(totals)
        if reduce == "mean" and count > 1:
            total /= count
        return ways[0][0].build_sums(total, 0, float)[0]

    def sums(self, spec: Spec, blocks: list[Array], count: int) -> Array:
        """Return every result summed over rows, for arguments as `rows` lays them out."""
        ways = self._route(spec, blocks, count)
        return added([self._run(trace, "sums", *_take(blocks, chosen, count)) for trace, chosen in ways])

    def _gather(self, ways: Any, blocks: list[Array], count: int, run: Any) -> Any:
        trace = ways[0][0]
        if len(ways) == 1:
            out = run(trace, "rows", blocks, count)
        else:
            out = np.empty((trace.results, count))
            for trace, chosen in ways:
                out[:, chosen] = run(trace, "rows", *_take(blocks, chosen, count))
        return stack(trace.mapped, iter(out))

    @staticmethod
    def _run(trace: Trace, how: str, blocks: list[Array], count: int) -> Array:
        found: Array = getattr(trace.kernel("results"), how)(blocks, count, trace.numbers())
        return found

    def _route(self, spec: Spec, blocks: list[Array], count: int) -> list[tuple[Trace, Any]]:
        """Return the traces that rows go through, each with its rows (None: all)."""
        traces = self._traces(spec)
        if not traces:
            self._record(spec, _row(blocks, 0), _other_rows(blocks, range(1, count)), 0)
        if not traces[0].lines:
            return [(traces[0], None)]
        remaining = np.arange(count)
        ways = []
        place = 0
        while len(remaining):
            if place == len(traces):
                self._record(spec, _row(blocks, remaining[0]), _other_rows(blocks, remaining[1:]), place)
            trace = traces[place]
            place += 1
            mask = trace.chosen(*_take(blocks, remaining, count))
            if mask.any():
                ways.append((trace, remaining[mask]))
                remaining = remaining[~mask]
        return [(ways[0][0], None)] if len(ways) == 1 else ways

    def _record(self, spec: Spec, numbers: list[float], others: Any, tried: int) -> Trace:
        """Record a new way through the function, check it against eager replays, and keep it.

        Another thread may have recorded it since the first `tried` traces were tried: then that one serves.
        """
        if self.f is None:
            raise ValueError(
                f"compile: {self._name} was unpickled without its function, which cannot be pickled or "
                "closes over Values that do not travel with it, and these arguments go a way that was not "
                "recorded. Call it with such arguments before pickling; or compile a function at the top of "
                "a module that takes the Values as arguments, or a Module that holds them."
            )
        with recording_lock:
            traces = self._traces(spec)
            for trace in traces[tried:]:
                if trace.call(numbers) is not None:
                    return trace
            if len(traces) >= self.max_traces:
                raise ValueError(self._too_many(traces))
            with patient_collector():
                trace = make_trace(self.f, spec, numbers, self._make)
                started = perf_counter()
                verify(trace, self.f, spec, numbers, others)
                trace.seconds += perf_counter() - started
            traces.append(trace)
        return trace

    def _too_many(self, traces: list[Trace]) -> str:
        lines = [line for trace in traces for line in trace.lines]
        most = max(set(lines), key=lines.count) if lines else "an unknown line"
        return (
            f"compile: {self._name} branches on its arguments in more than {self.max_traces} ways, most "
            f"often at {most}. Write the choice with nodegrad.where (maximum, minimum, clip, abs), or raise "
            "max_traces."
        )

    @property
    def _name(self) -> str:
        return named(self)

    def stats(self) -> dict[str, Any]:
        """Return how much was recorded and what became of it, over all traces."""
        traces = [trace for found in self.traces.values() for trace in found]
        return {
            "backend": self.backend,
            "exact": self.exact,
            "traces": len(traces),
            "guards": sum(len(trace.lines) for trace in traces),
            "operations": sum(trace.operations for trace in traces),
            "scalar_instructions": sum(len(trace.program.ops) for trace in traces),
            "vector_instructions": sum(vectorize(trace.program).instructions for trace in traces),
            "parameters": max((len(trace.parameters) for trace in traces), default=0),
            "seconds": sum(trace.seconds for trace in traces),
        }

    def __str__(self) -> str:
        traces = [trace for found in self.traces.values() for trace in found]
        if not traces:
            return f"{self._name}: not recorded yet; call it once"
        parts = []
        for number, trace in enumerate(traces):
            title = f"{self._name}, way {number + 1} of {len(traces)}" if len(traces) > 1 else self._name
            program = render(vectorize(trace.program))
            parts.append(f"{title}: {trace.operations:,} scalar operations\n{program}")
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<compiled {self._name}: {self.backend}, {sum(map(len, self.traces.values()))} traces>"

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was recorded and the present numbers of leaves; the function if it fits them."""
        kept = ("backend", "exact", "max_traces", "threads", "traces")
        state = {name: getattr(self, name) for name in kept}
        return state | {"f": self._travelling(), "__name__": self._name}

    def _travelling(self) -> Any:
        """Return the function if it can be pickled and the leaves of all traces go with it; else None.

        A function that is pickled by name finds other leaves where it is unpickled, or the same ones with
        other numbers by then: what it records there would not fit what was recorded here.
        """
        finder = _Finder(BytesIO())
        try:
            finder.dump(self.f)
        except Exception:
            return None
        traces = [trace for found in self.traces.values() for trace in found]
        return self.f if all(leaf in finder.found for trace in traces for leaf in trace.parameters) else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.backend = backends.choose("auto") if self.backend == "llvm" else self.backend
        self._prepare()
        for found in self.traces.values():
            for trace in found:
                trace.reset(self._make)


class _Finder(pickle.Pickler):
    """Notes the Values that are pickled with something."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.found: set[Value] = set()

    def persistent_id(self, thing: Any) -> None:
        """Hear of everything that is pickled."""
        if type(thing) is Value:
            self.found.add(thing)


def _take(blocks: list[Array], chosen: Any, count: int) -> tuple[list[Array], int]:
    if chosen is None or len(chosen) == count:
        return blocks, count
    return [block[chosen] for block in blocks], len(chosen)


def _row(blocks: list[Array], row: int) -> list[float]:
    return [number for block in blocks for number in block[row].tolist()]


def _other_rows(blocks: list[Array], candidates: Any) -> list[list[float]]:
    """Return a few rows, spread over the candidates."""
    chosen = list(candidates[:: max(1, len(candidates) // _OTHER_ROWS)])[:_OTHER_ROWS]
    return [_row(blocks, row) for row in chosen]
