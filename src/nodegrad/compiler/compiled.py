"""Compiled: the callable that `compile` returns. It keeps a trace per way through the function."""

import os
import pickle
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from functools import partial, update_wrapper
from io import BytesIO
from math import prod
from typing import Any, TypedDict, Unpack, overload

import numpy as np

from nodegrad.compiler import backends, saving
from nodegrad.compiler.arguments import (
    Array,
    Bound,
    Form,
    Names,
    bind,
    check_static,
    form_of_call,
    form_of_rows,
    number_for,
    results_in,
    rows,
    shared_places,
)
from nodegrad.compiler.printing import render
from nodegrad.compiler.record import current_recorder, named
from nodegrad.compiler.reduction import added
from nodegrad.compiler.shards import map_shards
from nodegrad.compiler.trace import Trace
from nodegrad.compiler.vectorize import vectorize
from nodegrad.compiler.ways import Ways, take, warn_once, warn_unsolved, without_function
from nodegrad.inputs import one_of, whole
from nodegrad.trees import LEAF, Spec, build, flatten, is_sparse, stack
from nodegrad.value import Value

__all__ = ["Compiled", "compile", "load_compiled"]


class Options(TypedDict, total=False):
    """The options of `compile`."""

    static: Names
    backend: str
    exact: bool
    max_traces: int
    threads: int | None


@overload
def compile(f: Callable[..., Any], **options: Unpack[Options]) -> "Compiled": ...
@overload
def compile(f: None = None, **options: Unpack[Options]) -> "Callable[[Callable[..., Any]], Compiled]": ...
def compile(
    f: Callable[..., Any] | None = None,
    *,
    static: Names = (),
    backend: str = "auto",
    exact: bool = False,
    max_traces: int = 32,
    threads: int | None = None,
) -> Any:
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
    >>> @ng.compile(static="n", exact=True)
    ... def power(x, n=2):
    ...     for _ in range(n - 1):
    ...         x = x * x
    ...     return x
    >>> power(3.0), power(3.0, n=3)
    (9.0, 81.0)

    Args:
        f: a function of numbers, lists, tuples, dicts and NumPy arrays of them, that returns such. What it
            computes from its arguments and from Values it closes over is recorded. Without it, a decorator
            is returned.
        static: the name or names of arguments that are not numbers to compute with (text, None, an int for
            `range`). The function is recorded again for each of their values.
        backend: "llvm" (native code), "numpy", or "auto": llvm where llvmlite is installed.
        exact: compute every row to the bit as eager code does. Otherwise operations may be contracted
            (a·b + c rounded once) and elementary functions be off by up to 4 ulp.
        max_traces: how many ways through `f` are compiled at most, per structure of the arguments. After
            that, or if most rows go different ways, rows run eagerly, with a warning.
        threads: how many threads `map` uses on many rows; None: one per processor. Results
            do not depend on it.

    Raises:
        TypeError: if `f` is not callable.
        ValueError: if the backend is unknown or not installed, if `max_traces` or `threads` is not a whole
            number of at least 1, or if `f` has no argument of a name in `static`.
    """
    if f is None:
        return partial(
            compile, static=static, backend=backend, exact=exact, max_traces=max_traces, threads=threads
        )
    if not callable(f):
        raise TypeError(f"compile takes a function; got {f!r:.60} of type {type(f).__name__}.")
    whole("compile", "max_traces", max_traces)
    whole("compile", "threads", threads, optional=True)
    names = check_static(f, static)
    return Compiled(f, backends.choose(backend), exact, max_traces, threads, names)


class Compiled:
    """A compiled function: call it with numbers, or `map` it over rows."""

    def __init__(
        self,
        f: Callable[..., Any] | None,
        backend: str,
        exact: bool,
        max_traces: int,
        threads: int | None,
        static: tuple[str, ...] = (),
    ) -> None:
        self.f = f
        self.backend = backend
        self.exact = exact
        self.max_traces = max_traces
        self.threads = threads
        self.static = static
        self.ways: dict[Spec, Ways] = {}
        self.variants: dict[Any, Compiled] = {}  # by keywords and the values of static arguments
        self._prepare()

    def _prepare(self) -> None:
        if self.f is not None:
            update_wrapper(self, self.f, updated=())
        self._of_numbers: dict[int, Ways] = {}  # by how many numbers the arguments are
        # The trace for all arguments of a form, where nothing branches: checked once, then used at once.
        self._ready: dict[Any, Trace] = {}
        self._quick: dict[Any, tuple[Trace, Any, Any, Any]] = {}  # by how often and how `map` was called last
        self._warned: list[bool] = []
        self._make = partial(backends.make, name=self.backend, exact=self.exact, threads=self.threads)

    @property
    def traces(self) -> dict[Spec, list[Trace]]:
        """What is compiled, by the structure of the arguments."""
        return {spec: ways.traces for spec, ways in self._recorded.items()}

    @property
    def _recorded(self) -> dict[Spec, Ways]:
        """The ways for structures of which a call was recorded; another one may have failed."""
        return {spec: ways for spec, ways in self.ways.items() if ways.traces}

    def _variant(
        self, arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> "tuple[Compiled, tuple[Any, ...]]":
        """Return the function compiled for these keywords and static values, and the numbers by position."""
        form, numbers = bind(self.f or self._name, self.static, arguments, keywords)
        if form == Form() and not self.static:
            return self, numbers
        found = self.variants.get(form)
        if found is None:
            if self.f is None:
                raise without_function(self._name, "are keywords or static arguments, in a form")
            made = Compiled(Bound(self.f, form), self.backend, self.exact, self.max_traces, self.threads)
            made.__dict__["__name__"] = self._name
            found = self.variants.setdefault(form, made)
        return found, numbers

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Return what the function returns for these arguments, as floats in the same structure.

        If an argument is a Value, the function itself is called, so that derivatives pass through. The same
        happens inside another compiled function if this one closes over Values.

        Raises:
            TypeError: if something is not a number.
            ValueError: if the function cannot be compiled.
        """
        if keywords or self.static:
            variant, arguments = self._variant(arguments, keywords)
            return variant(*arguments)
        numbers: Any = arguments
        form = None
        ways = self._of_numbers.get(len(arguments))
        if ways is None or [*map(type, arguments)].count(float) < len(arguments):
            form = form_of_call(arguments)
            trace = self._found_ready(form, 1)
            if trace is not None:
                return trace.build_array(trace.kernel("all").row(arguments, trace.numbers()), 0, float)[0]
            leaves, spec = flatten(arguments)
            if any(isinstance(x, Value) for x in leaves):
                return self._function()(*arguments)
            numbers = [x if type(x) is float else number_for(self._name, x) for x in leaves]
            ways = self._ways(spec)
        build, found = ways.call(numbers)
        if self.f is not None and current_recorder() is not None and ways.parameters:
            return self.f(*arguments)
        if ways.warns:
            warn_once(ways, self._warned, 3)
        if ways.solves:
            warn_unsolved(self._name, np.isnan(found), 3)
        self._keep_ready(form, ways)
        return build(found, 0, float)[0]

    def _function(self) -> Callable[..., Any]:
        if self.f is None:
            raise TypeError(
                f"{self._name} was loaded or unpickled without its function, so it takes plain numbers only "
                "and derivatives cannot pass through it. Save or pickle compile(value_and_grad(f)) for them."
            )
        return self.f

    def _found_ready(self, form: Any, count: int) -> Trace | None:
        """Return the trace for every row of a form, if one is known and may be used here."""
        trace = None if form is None else self._ready.get(form)
        if trace is None or (trace.parameters and current_recorder() is not None):
            return None
        trace.rows += count
        return trace

    def _keep_ready(self, form: Any, ways: Ways) -> None:
        if form is not None and ways.traces and not ways.traces[0].lines and not ways.solves:
            self._ready[form] = ways.traces[0]

    def _ways(self, spec: Spec) -> Ways:
        """Return the ways for a structure of arguments; remember those for plain numbers."""
        ways = self.ways.get(spec)
        if ways is None:
            if self.f is None:
                raise without_function(self._name, "have a structure")
            ways = self._add_ways(spec)
        return ways

    def _add_ways(self, spec: Spec) -> Ways:
        f = self._name if self.f is None else self.f
        ways = self.ways.setdefault(spec, Ways(f, spec, self._make, self.max_traces))
        if all(entry == LEAF for entry in spec[2]):
            self._of_numbers[len(spec[2])] = ways
        return ways

    def map(
        self,
        *arguments: Any,
        reduce: str | None = None,
        executor: Any = None,
        shards: int = 16,
        out: Any = None,
        shared: Names = (),
        **keywords: Any,
    ) -> Any:
        """Apply the function to every row of the arguments.

        >>> import nodegrad as ng
        >>> f = ng.compile(lambda x, w: w[0] * x + w[1])
        >>> f.map([1.0, 2.0], [[1.0, 0.0], [2.0, 1.0]]).tolist()
        [1.0, 5.0]
        >>> f.map([1.0, 2.0], [[1.0, 0.0], [2.0, 1.0]], reduce="mean")
        3.0
        >>> f.map([1.0, 2.0], w=[2.0, 1.0], shared="w").tolist()
        [3.0, 5.0]

        Args:
            arguments: arrays or lists with rows along the first axis, or tuples and dicts of them.
            reduce: "sum" or "mean" adds every result up over rows; the order does not depend on threads.
            executor: a concurrent.futures.Executor that shards of rows are given to.
            shards: how many shards at most. Sums depend on it in their last digits, but not on the workers.
            out: arrays to write the results to, in the structure and the shapes of what is returned; they are
                returned. It saves making new ones at every call.
            shared: the argument or arguments that all rows share, by name or position. They are given as in
                a call. Static arguments are always shared.
            keywords: arguments by name, like those by position.

        Returns:
            In the structure of what the function returns, an array with rows along the first axis for each
            number, array or list of numbers, and a list with one SciPy array for each row in place of a
            sparse array; with `reduce`, a number or an array for each. Arrays of one call share memory.

        Raises:
            TypeError: if something is not a number.
            ValueError: if rows are ragged, missing or unequal in number, if the function cannot be compiled,
                or if `out` does not fit or is given with `reduce`.
        """
        if not (keywords or self.static or shared or shared == 0) and executor is out is None:
            found = self._run_quick(arguments, reduce)
            if found is not None:
                return found
        one_of("map", "reduce", reduce, (None, "sum", "mean"))
        whole("map", "shards", shards)
        if out is not None and reduce is not None:
            raise ValueError("map takes out= for results row by row; with reduce= there are none.")
        if keywords or self.static or shared or shared == 0:
            variant, arguments = self._variant(arguments, keywords)
            places = shared_places(self.f, shared, variant.f, len(arguments))
            run = None if executor is None else partial(map_shards, executor, variant, shards)
            return variant.over(*rows(arguments, places), reduce, run, out)
        count, form = form_of_rows(arguments) or (0, None)
        trace = self._found_ready((form,), count) if executor is None and form else None
        if form and trace is not None:
            self._find_quick(trace, form, reduce)
            return self._finish(trace, _blocks(arguments), count, reduce, out)
        spec, blocks, count = rows(arguments)
        run = None if executor is None else partial(map_shards, executor, self, shards)
        found = self.over(spec, blocks, count, reduce, run, out)
        self._keep_ready((form,) if form else None, self._ways(spec))
        return found

    def _run_quick(self, arguments: Sequence[Any], reduce: Any) -> Any:
        """Return the results of a map of few rows that is like the last one; None if it is not."""
        key = (len(arguments), reduce) if reduce is None or type(reduce) is str else None
        trace, run, finish, _ = self._quick.get(key, _NOTHING_QUICK)
        if trace is None or (trace.parameters and current_recorder() is not None):
            return None
        found = run(arguments, trace.leaves)
        if found is None:
            return None
        trace.rows += len(arguments[0])
        return finish(found, len(arguments[0]))

    def _find_quick(self, trace: Trace, shapes: Sequence[tuple[int, ...]], reduce: str | None) -> None:
        """Prepare a fast function for the next maps of this form."""
        known = self._quick.get((len(shapes), reduce), _NOTHING_QUICK)
        if known[0] is trace and known[3] == shapes:
            return
        run = trace.kernel("results").over("rows" if reduce is None else "sums", shapes)
        if run is None:
            return
        finish: Any = partial(_stacked, trace.mapped)
        if reduce is not None:
            finish = partial(_reduced, trace, reduce)
        elif trace.spec == LEAF:
            finish = _only
        self._quick[len(shapes), reduce] = trace, run, finish, shapes

    @staticmethod
    def _finish(trace: Trace, blocks: Sequence[Array], count: int, reduce: str | None, out: Any) -> Any:
        """Run rows that all go one way, and put the results together."""
        kernel = trace.kernel("results")
        if reduce is not None:
            return _reduced(trace, reduce, kernel.sums(blocks, count, trace.numbers()), count)
        if out is None:
            return stack(trace.mapped, kernel.rows(blocks, count, trace.numbers()))
        places = results_in(trace.mapped, out, count)
        if any(np.may_share_memory(place, block) for place in places for block in blocks):
            _write(places, kernel.rows(blocks, count, trace.numbers()))
        else:
            kernel.rows(blocks, count, trace.numbers(), places)
        return out

    def over(
        self,
        spec: Spec,
        blocks: list[Array],
        count: int,
        reduce: str | None = None,
        run: Any = None,
        out: Any = None,
    ) -> Any:
        """Return what `map` returns, for arguments as `rows` lays them out; `run` runs a trace elsewhere."""
        ways = self._ways(spec)
        routes, alone = ways.route(blocks, count)
        if (recorder := current_recorder()) is not None and ways.parameters:
            recorder.read(ways.parameters[0], "maps a compiled function that closes over Values")
        if ways.warns:
            warn_once(ways, self._warned, 4)
        first = ways.traces[0]
        specs = [*[trace.spec for trace, _ in routes], *[spec for spec, _ in alone.values()]]
        if any(spec != first.spec for spec in specs):
            if reduce is out is None and all(is_sparse(spec) for spec in specs):
                return self._listed(routes, alone, blocks, count, run or self._run)
            raise ValueError(
                f"map: {self._name} returns different structures for different rows (or sparse arrays with "
                "other entries). Call it for each row."
            )
        if run is None and len(routes) == 1 and not alone and not ways.solves:
            return self._finish(routes[0][0], blocks, count, reduce, out)
        run = run or self._run
        if reduce is not None:
            total = self._add(routes, alone, blocks, count, run)
            if ways.solves:
                warn_unsolved(self._name, np.isnan(total), 4)
            return _reduced(first, reduce, total, count)
        found = self._gather(first.results, routes, alone, blocks, count, run)
        if ways.solves:
            warn_unsolved(self._name, np.isnan(found).any(axis=0), 4)
        if out is None:
            return stack(first.mapped, found)
        _write(results_in(first.mapped, out, count), found)
        return out

    def sums(self, spec: Spec, blocks: list[Array], count: int) -> Array:
        """Return every result summed over rows, for arguments as `rows` lays them out."""
        return self._add(*self._ways(spec).route(blocks, count), blocks, count, self._run)

    @staticmethod
    def _listed(routes: Any, alone: Any, blocks: list[Array], count: int, run: Any) -> list[Any]:
        """Return the sparse arrays of all rows, each with the entries of its own way."""
        found = {row: build(spec, numbers) for row, (spec, numbers) in alone.items()}
        for trace, chosen in routes:
            arrays = stack(trace.mapped, run(trace, "rows", *take(blocks, chosen, count)))
            found.update(zip(chosen.tolist(), arrays, strict=True))
        return [found[row] for row in range(count)]

    @staticmethod
    def _gather(results: int, routes: Any, alone: Any, blocks: list[Array], count: int, run: Any) -> Array:
        """Return the results of all rows, [result, row]."""
        if len(routes) == 1 and not alone:
            found: Array = run(routes[0][0], "rows", blocks, count)
            return found
        out = np.empty((results, count))
        for trace, chosen in routes:
            out[:, chosen] = run(trace, "rows", *take(blocks, chosen, count))
        for row, (_, numbers) in alone.items():
            out[:, row] = numbers
        return out

    @staticmethod
    def _add(routes: Any, alone: Any, blocks: list[Array], count: int, run: Any) -> Array:
        """Return every result summed over rows."""
        totals = [run(trace, "sums", *take(blocks, chosen, count)) for trace, chosen in routes]
        totals += [np.array(numbers) for _, numbers in alone.values()]
        return totals[0] if len(totals) == 1 else added(totals)

    @staticmethod
    def _run(trace: Trace, how: str, blocks: list[Array], count: int) -> Array:
        found: Array = getattr(trace.kernel("results"), how)(blocks, count, trace.numbers())
        return found

    @property
    def _name(self) -> str:
        return named(self)

    def source(self, language: str, name: str = "") -> str:
        """Write the function in C99 or JavaScript: one file that needs no other, gradients where compiled.

        The numbers are those of `exact=True`, elementary functions within 4 units in the last place. Every
        way that was recorded is a branch; what goes another way is reported, never guessed.

        >>> import nodegrad as ng
        >>> def area(r):
        ...     return 3.0 * r**2
        >>> compiled = ng.compile(area)
        >>> compiled(2.0)
        12.0
        >>> print(compiled.source("c")[-92:])
        int area(const double *x, double *out)
        {
            out[0] = 3.0 * pow(x[0], 2.0);
            return 0;
        }
        <BLANKLINE>

        Args:
            language: "c" for a C99 file, "js" for a JavaScript module.
            name: what the function is called there; by default its own name.

        Raises:
            ValueError: if the function was not called yet, or with arguments of several structures; if it
                uses an operation that is Python code; if there is no such language.
        """
        from nodegrad.compiler.sources.source import describe, source

        recorded = self._recorded
        if len(recorded) != 1:
            called = "was called with arguments of several structures" if recorded else "was not called yet"
            raise ValueError(
                f"source: {self._name} {called}. Compile it anew, and call it once for each way through it."
            )
        ((spec, ways),) = recorded.items()
        return source(describe(self.f, name or self._name, spec, ways.settle()), language)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was recorded to a file that `load_compiled` reads: JSON with a checksum, in one step.

        The numbers that Values closed over hold now go along. The function does not, so the file knows only
        the ways that were recorded. Nor does native code: it is kept in the user's cache for this machine.

        >>> import nodegrad as ng, tempfile, os
        >>> square = ng.compile(ng.value_and_grad(lambda x: x * x))
        >>> square(3.0)
        (9.0, 6.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     square.save(os.path.join(folder, "square.json"))
        ...     ng.load_compiled(os.path.join(folder, "square.json"))(5.0)
        (25.0, 10.0)

        Raises:
            ValueError: if nothing was recorded, or something is Python code: an operation of your own, a
                class among arguments or results, a variant for keywords or static arguments.
            OSError: if the file cannot be written.
        """
        variants = any(variant._all_traces() for variant in self.variants.values())
        if variants or not self._recorded:
            what = "was called with keywords or static arguments" if variants else "was not called yet"
            raise ValueError(f"save: {self._name} {what}. Call it by position, once for each way through it.")
        options = {name: getattr(self, name) for name in saving.OPTIONS}
        traces = {spec: ways.settle() for spec, ways in self._recorded.items()}
        saving.save(path, self._name, options, traces)

    def stats(self) -> dict[str, Any]:
        """Return how much was recorded, what became of it, and how many rows went which way.

        "rows" lists, for each compiled way, the line of its last branch (None: no branch) and its rows;
        "eager_rows" counts the rows that went no compiled way.
        """
        traces = self._all_traces()
        return {
            "backend": self.backend,
            "exact": self.exact,
            "traces": len(traces),
            "guards": sum(len(trace.lines) for trace in traces),
            "operations": sum(trace.operations for trace in traces),
            "scalar_instructions": sum(len(trace.program.ops) for trace in traces),
            "vector_instructions": sum(vectorize(trace.program, self.exact).instructions for trace in traces),
            "parameters": max((len(trace.parameters) for trace in traces), default=0),
            "seconds": sum(trace.seconds for trace in traces),
            "rows": [(trace.lines[-1] if trace.lines else None, trace.rows) for trace in traces],
            "eager_rows": sum(ways.eager for ways in self._all_ways()),
        }

    def _all_ways(self) -> list[Ways]:
        inner = [ways for variant in self.variants.values() for ways in variant._all_ways()]
        return [*self.ways.values(), *inner]

    def _all_traces(self) -> list[Trace]:
        return [trace for ways in self._all_ways() for trace in ways.traces]

    def __str__(self) -> str:
        traces = self._all_traces()
        if not traces:
            return f"{self._name}: not recorded yet; call it once"
        parts = []
        for number, trace in enumerate(traces):
            title = f"{self._name}, way {number + 1} of {len(traces)}" if len(traces) > 1 else self._name
            program = render(vectorize(trace.program, self.exact))
            parts.append(f"{title}: {trace.operations:,} scalar operations\n{program}")
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<compiled {self._name}: {self.backend}, {len(self._all_traces())} traces>"

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was recorded and the present numbers of leaves; the function if it fits them."""
        kept = ("backend", "exact", "max_traces", "threads", "static", "variants")
        state = {name: getattr(self, name) for name in kept}
        traces = {spec: ways.settle() for spec, ways in self._recorded.items()}
        return state | {"traces": traces, "f": self._travelling(), "__name__": self._name}

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
        leaves = [leaf for trace in self._all_traces() for leaf in trace.parameters]
        return self.f if all(leaf in finder.found for leaf in leaves) else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        traces = state.pop("traces")
        self.__dict__.update(state)
        self.backend = backends.choose("auto") if self.backend == "llvm" else self.backend
        self.ways = {}
        self._prepare()
        for spec, found in traces.items():
            for trace in found:
                trace.reset(self._make)
                self._add_ways(spec).keep(trace)

    def __copy__(self) -> "Compiled":
        """Copy with what was recorded, and with the function, which a pickle may go without."""
        made: Compiled = Compiled.__new__(Compiled)
        traces = {spec: [*map(copy, ways.settle())] for spec, ways in self._recorded.items()}
        variants = {form: copy(variant) for form, variant in self.variants.items()}
        made.__setstate__(self.__getstate__() | {"f": self.f, "traces": traces, "variants": variants})
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "Compiled":
        """Copy the function, too. One that becomes another by this (a Module) is recorded anew."""
        if self.f is None:
            made: Compiled = Compiled.__new__(Compiled)
            made.__setstate__(deepcopy(self.__getstate__(), memo))
            return made
        f = deepcopy(self.f, memo)
        if f is self.f:
            return copy(self)
        return Compiled(f, self.backend, self.exact, self.max_traces, self.threads, self.static)


_NOTHING_QUICK: Any = (None, None, None, None)


def _only(found: Array, count: int) -> Array:
    return found


def _stacked(spec: Spec, found: Array, count: int) -> Any:
    return stack(spec, found.reshape(-1, count))


def _blocks(arguments: Sequence[Array]) -> Sequence[Array]:
    """Return arrays with rows along the first axis as blocks; see `Backend`."""
    if any(x.ndim > 2 for x in arguments):
        return [x if x.ndim <= 2 else x.reshape(len(x), prod(x.shape[1:])) for x in arguments]
    return arguments


def _reduced(trace: Trace, reduce: str, total: Array, count: int) -> Any:
    if reduce == "mean" and count > 1:
        total /= count
    return trace.build_sums(total, 0, float)[0]


def _write(places: Sequence[Array], found: Array) -> None:
    """Copy results [result, row] to blocks."""
    start = 0
    for place in places:
        place[:] = found[start : start + place.shape[1]].T
        start += place.shape[1]


def load_compiled(path: str | os.PathLike[str]) -> Compiled:
    """Read a compiled function that `Compiled.save` wrote: its programs, without the function itself.

    No code is read from the file: native code is in the user's own cache, or is compiled. Values that the
    function closed over are there with the numbers they held.

    >>> square = compile(lambda x: x * x)
    >>> square(3.0)
    9.0
    >>> square.save("square.json")
    >>> load_compiled("square.json")(4.0)
    16.0

    Args:
        path: the file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is damaged or no such file; when called, for a way that was not recorded.
    """
    name, options, traces = saving.load(path)
    made = Compiled.__new__(Compiled)
    made.__setstate__(
        {"f": None, "__name__": name, "static": (), "variants": {}, "traces": traces, **options}
    )
    return made


class _Finder(pickle.Pickler):
    """Notes the Values that are pickled with something."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.found: set[Value] = set()

    def persistent_id(self, thing: Any) -> None:
        """Hear of everything that is pickled."""
        if isinstance(thing, Value):
            self.found.add(thing)
