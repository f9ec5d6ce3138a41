"""Compiled: the callable that `compile` returns. It keeps a trace per way through the function."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property, partial, update_wrapper
from inspect import Signature
from types import MethodType
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
    number_for,
    results_in,
    rows,
    shapes_of_call,
    shapes_of_rows,
    shared_places,
    signature_of,
)
from nodegrad.compiler.printing import render
from nodegrad.compiler.record import current_recorder, named
from nodegrad.compiler.routes import run_here
from nodegrad.compiler.shards import map_shards
from nodegrad.compiler.trace import Trace
from nodegrad.compiler.vectorize import vectorize
from nodegrad.compiler.ways import Ways, warn_unsolved, without_function
from nodegrad.inputs import one_of, whole
from nodegrad.trees import LEAF, Spec, flatten, is_sparse, stack
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
            `range`, the `self` of a method). The function is recorded again for each of their values.
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
    return Compiled(
        f,
        backend=backends.choose(backend),
        exact=exact,
        max_traces=max_traces,
        threads=threads,
        static=static,
    )


class Compiled:
    """A compiled function: call it with numbers, or `map` it over rows.

    Attributes:
        f: the function; None if this was loaded or unpickled without it.
        backend, exact, max_traces, threads: the options of `compile`.
        static: the names of the static arguments.
        ways: the ways through the function, by the structure of its arguments. The form of that tuple says
            which of them are keywords and what the static ones are; None for numbers by position.
    """

    f: Callable[..., Any] | None
    backend: str
    exact: bool
    max_traces: int
    threads: int | None
    static: tuple[str, ...]
    ways: dict[Spec, Ways]
    _warned: bool

    def __init__(self, f: Callable[..., Any], *, static: Names = (), **options: Any) -> None:
        self.__setstate__({"f": f, "static": check_static(f, static), "traces": {}, **options})

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Return what the function returns for these arguments, as floats in the same structure.

        If an argument is a Value, the function itself is called, so that derivatives pass through. The same
        happens inside another compiled function if this one closes over Values.

        Raises:
            TypeError: if something is not a number.
            ValueError: if the function cannot be compiled.
        """
        form = shapes = None
        if keywords or self.static:
            form, arguments = self._bind(arguments, keywords)
        numbers: Any = arguments
        ways = self._of_numbers.get(len(arguments)) if form is None else None
        if ways is None or [*map(type, arguments)].count(float) < len(arguments):
            shapes = shapes_of_call(arguments)
            trace = self._straight.get((form, shapes))
            if trace is not None and not (trace.parameters and current_recorder() is not None):
                trace.rows += 1
                return trace.build_array(trace.kernel("all").row(arguments, trace.numbers()), 0, float)[0]
            numbers, spec = flatten(arguments)
            kinds = {*map(type, numbers)}
            if any([issubclass(kind, Value) for kind in kinds]):
                return self._function(form)(*arguments)
            if kinds != {float}:
                numbers = [number_for(self._name, x) for x in numbers]
            ways = self._ways((tuple, form, spec[2]))
        build, found = ways.call(numbers)
        if ways.leaf is not None and current_recorder() is not None and callable(ways.f):
            return ways.f(*arguments)
        if ways.warns and not self._warned:
            self._warned = True
            ways.warn(3)
        if ways.solves:
            warn_unsolved(self._name, found, 3)
        if shapes is not None and ways.straight is not None:
            self._straight[form, shapes] = ways.straight
        return build(found, 0, float)[0]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # like any function in a class

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
        plain = not (keywords or self.static or shared or shared == 0) and executor is out is None
        if plain:
            found = self._map_like_before(arguments, reduce)
            if found is not None:
                return found
        one_of("map", "reduce", reduce, (None, "sum", "mean"))
        whole("map", "shards", shards)
        if out is not None and reduce is not None:
            raise ValueError("map takes out= for results row by row; with reduce= there are none.")
        form, places = None, set[int]()
        if keywords or self.static or shared or shared == 0:
            form, arguments = self._bind(arguments, keywords)
            names = list(self.signature.parameters) if self.signature else []
            places = shared_places(names, shared, form, len(arguments))
        spec, blocks, count = rows(arguments, places)
        ways = self._ways((tuple, form, spec[2]))
        if plain and (trace := ways.straight) is not None and trace.rows:  # not the first map
            self._prepare_map(arguments, reduce, trace)
        run = run_here if executor is None else partial(map_shards, executor, self, shards)
        return self._mapped(ways, blocks, count, reduce, run, out)

    def over(self, spec: Spec, blocks: list[Array], count: int) -> Any:
        """Return what `map` returns, for arguments as `rows` lays them out."""
        return self._mapped(self._ways(spec), blocks, count)

    def sums(self, spec: Spec, blocks: list[Array], count: int) -> Array:
        """Return every result summed over rows, for arguments as `rows` lays them out."""
        return self._ways(spec).route(blocks, count).sums()

    def _mapped(
        self,
        ways: Ways,
        blocks: list[Array],
        count: int,
        reduce: str | None = None,
        run: Any = run_here,
        out: Any = None,
    ) -> Any:
        """Send rows through their ways and put the results together; `run` runs a trace somewhere."""
        routes = ways.route(blocks, count)
        if ways.leaf is not None and (recorder := current_recorder()) is not None:
            recorder.read(ways.leaf, "maps a compiled function that closes over Values")
        if ways.warns and not self._warned:
            self._warned = True
            ways.warn(4)
        first = ways.traces[0]
        if any(spec != first.spec for spec in routes.specs):
            if reduce is out is None and all(map(is_sparse, routes.specs)):
                return routes.listed(run)
            raise ValueError(
                f"map: {self._name} returns different structures for different rows (or sparse arrays with "
                "other entries). Call it for each row."
            )
        places = () if out is None else results_in(first.mapped, out, count)
        direct = places and routes.only and run is run_here and not ways.solves
        if direct and not any(np.may_share_memory(x, block) for x in places for block in blocks):
            run_here(first, "rows", blocks, count, places)
            return out
        found = routes.rows(first.results, run) if reduce is None else routes.sums(run)
        if ways.solves:
            warn_unsolved(self._name, found, 4)
        if reduce is not None:
            return _reduced(first, reduce, found, count)
        _write(places, found)
        return stack(first.mapped, found) if out is None else out

    def _map_like_before(self, arguments: Sequence[Any], reduce: Any) -> Any:
        """Return the results of a map of few rows that is like the last one; None if it is not."""
        key = (len(arguments), reduce) if reduce is None or type(reduce) is str else None
        trace, run, _ = self._prepared.get(key, _NOTHING)
        if trace is None or (trace.parameters and current_recorder() is not None):
            return None
        found = run(arguments, trace.leaves)
        if found is None:
            return None
        count = len(arguments[0])
        trace.rows += count
        if reduce is not None:
            return _reduced(trace, reduce, found, count)
        return found if trace.spec == LEAF else stack(trace.mapped, found.reshape(-1, count))

    def _prepare_map(self, arguments: Sequence[Any], reduce: str | None, trace: Trace) -> None:
        """Prepare a fast function for the next maps of arrays like these."""
        shapes = shapes_of_rows(arguments)
        known, _, same = self._prepared.get((len(arguments), reduce), _NOTHING)
        if shapes is None or (known is trace and same == shapes):
            return
        run = trace.kernel("results").over("rows" if reduce is None else "sums", shapes)
        if run is not None:
            self._prepared[len(arguments), reduce] = trace, run, shapes

    # Ways by the structure of arguments.

    @property
    def _name(self) -> str:
        return named(self)

    @cached_property
    def signature(self) -> Signature | None:
        """The arguments of the function; None if they are not known here."""
        return None if self.f is None else signature_of(self.f)

    def _bind(
        self, arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> tuple[Form | None, tuple[Any, ...]]:
        if self.signature is None:
            return Form(tuple(keywords)), (*arguments, *keywords.values())
        return bind(self.signature, self.static, arguments, keywords)

    def _function(self, form: Form | None) -> Callable[..., Any]:
        if self.f is None:
            raise TypeError(
                f"{self._name} was loaded or unpickled without its function, so it takes plain numbers only "
                "and derivatives cannot pass through it. Save or pickle compile(value_and_grad(f)) for them."
            )
        return self.f if form is None else Bound(self.f, form)

    def _ways(self, spec: Spec) -> Ways:
        """Return the ways for a structure of arguments."""
        ways = self.ways.get(spec)
        if ways is None:
            if self.f is None:
                what = (
                    "have a structure" if spec[1] is None else "are keywords or static arguments, in a form"
                )
                raise without_function(self._name, what)
            ways = self._add_ways(spec)
        return ways

    def _add_ways(self, spec: Spec) -> Ways:
        f = self._name if self.f is None else self._function(spec[1])
        ways = self.ways.setdefault(spec, Ways(f, spec, self._make, self.max_traces))
        if spec[1] is None and all(entry == LEAF for entry in spec[2]):
            self._of_numbers[len(spec[2])] = ways
        return ways

    @property
    def _recorded(self) -> dict[Spec, Ways]:
        """The ways for structures of which a call was recorded; another one may have failed."""
        return {spec: ways for spec, ways in self.ways.items() if ways.traces}

    @property
    def traces(self) -> dict[Spec, list[Trace]]:
        """What is compiled, by the structure of the arguments."""
        return {spec: ways.traces for spec, ways in self._recorded.items()}

    # What was recorded: as source, in a file, in numbers, as text.

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
                class among arguments or results, a static argument that is not text, a number, None or a
                tuple of these.
            OSError: if the file cannot be written.
        """
        if not self._recorded:
            raise ValueError(f"save: {self._name} was not called yet. Call it once for each way through it.")
        saving.save(path, self._state())

    def stats(self) -> dict[str, Any]:
        """Return how much was recorded, what became of it, and how many rows went which way.

        "rows" lists, for each compiled way, the line of its last branch (None: no branch) and its rows;
        "eager_rows" counts the rows that went no compiled way.
        """
        traces = self._all_traces
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
            "eager_rows": sum(ways.eager for ways in self.ways.values()),
        }

    @property
    def _all_traces(self) -> list[Trace]:
        return [trace for ways in self.ways.values() for trace in ways.traces]

    def __str__(self) -> str:
        traces = self._all_traces
        if not traces:
            return f"{self._name}: not recorded yet; call it once"
        parts = []
        for number, trace in enumerate(traces):
            title = f"{self._name}, way {number + 1} of {len(traces)}" if len(traces) > 1 else self._name
            program = render(vectorize(trace.program, self.exact))
            parts.append(f"{title}: {trace.operations:,} scalar operations\n{program}")
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return f"<compiled {self._name}: {self.backend}, {len(self._all_traces)} traces>"

    # Pickles and copies.

    def _state(self) -> dict[str, Any]:
        """Return what was recorded and how, without the function."""
        traces = {spec: ways.settle() for spec, ways in self._recorded.items()}
        signature = self.signature if any(spec[1] for spec in traces) else None
        names = {name: getattr(self, name) for name in (*saving.OPTIONS, "static")}
        return names | {"f": None, "__name__": self._name, "signature": signature, "traces": traces}

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was recorded and the present numbers of leaves; the function if it fits them."""
        state = self._state()
        leaves = [leaf for trace in self._all_traces for leaf in trace.parameters]
        return state | {"f": self.f if saving.travels(self.f, leaves) else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        traces = self.__dict__.pop("traces")
        if self.f is not None:
            self.__dict__.pop("signature", None)
            update_wrapper(self, self.f, updated=())
        self.backend = backends.choose("auto") if self.backend == "llvm" else self.backend
        self.ways = {}
        self._of_numbers: dict[int, Ways] = {}  # by how many numbers the arguments are
        # The trace for all arguments of such shapes, where nothing branches: checked once, then used at once.
        self._straight: dict[Any, Trace] = {}
        self._prepared: dict[Any, Any] = {}  # by how many arrays are mapped and how: trace, function, shapes
        self._warned = False  # that rows run eagerly
        self._make = partial(backends.make, name=self.backend, exact=self.exact, threads=self.threads)
        for spec, found in traces.items():
            for trace in found:
                trace.reset(self._make)
                self._add_ways(spec).keep(trace)

    def __copy__(self) -> "Compiled":
        return self  # like any function

    def __deepcopy__(self, memo: dict[int, Any]) -> "Compiled":
        """Copy a function that has a state of its own (a Module), and record the copy anew."""
        f = deepcopy(self.f, memo)
        if f is None or f is self.f:
            return self
        return Compiled(f, static=self.static, **{name: getattr(self, name) for name in saving.OPTIONS})


_NOTHING: Any = (None, None, None)


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
    made: Compiled = Compiled.__new__(Compiled)
    made.__setstate__(saving.load(path))
    return made
