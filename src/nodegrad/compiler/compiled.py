"""Compiled: the callable that `compile` returns, for calls and for maps over rows."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial, update_wrapper
from inspect import signature
from numbers import Real
from types import MethodType
from typing import Any, TypedDict, Unpack, overload
from weakref import ref

import numpy as np

from nodegrad.compiler import backends, saving
from nodegrad.compiler.arguments import (
    Array,
    Names,
    bind,
    names_of_call,
    number_for,
    results_in,
    rows,
    shapes_of_call,
    shared_places,
)
from nodegrad.compiler.backends.numpy import write_to
from nodegrad.compiler.record import current_recorder
from nodegrad.compiler.recorded import Recorded
from nodegrad.compiler.reduction import averaged
from nodegrad.compiler.routes import run_here
from nodegrad.compiler.shards import map_shards
from nodegrad.compiler.trace import Trace
from nodegrad.compiler.ways import Ways
from nodegrad.inputs import described, flag, function, one_of, whole
from nodegrad.observers import listeners
from nodegrad.trees import LEAF, Spec, container, flatten, stack
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
            `range`). The function is recorded again for each of their values. The `self` of a method is
            static without being named.
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
            number of at least 1, if `exact` is not a bool, or if `f` has no argument of a name in `static`.
    """
    exact, max_traces = flag("compile", "exact", exact), whole("compile", "max_traces", max_traces)
    threads = whole("compile", "threads", threads, optional=True)
    options: Any = {"exact": exact, "max_traces": max_traces, "threads": threads, "static": static}
    if f is None:
        return partial(compile, backend=backend, **options)
    function("compile", "f", f, classes=True)
    return Compiled(f, backend=backends.choose(backend), **options)


_MAP_OPTIONS = ("reduce", "executor", "shards", "out", "shared")


class Compiled(Recorded):
    """A compiled function: call it with numbers, or `map` it over rows."""

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
            form, arguments = bind(self._name, self.signature, self.static, arguments, keywords)
        numbers: Any = arguments
        ways = self._of_numbers.get(len(arguments)) if form is None else None
        if ways is None or [*map(type, arguments)].count(float) < len(arguments):
            shapes = shapes_of_call(arguments)
            trace = self._straight.get((form, shapes))
            if trace is not None and not (trace.parameters and current_recorder() is not None):
                trace.rows += 1
                return trace.build_array(trace.kernel("all").row(arguments, trace.leaves.read()), 0, float)[0]
            numbers, spec = flatten(arguments)
            kinds = {*map(type, numbers)}
            if kinds != {float}:
                if any(issubclass(kind, Value) for kind in kinds):
                    return self._function(form)(*arguments)
                numbers = [number_for(self._name, x) for x in numbers]
            ways = self._ways((tuple, form, spec[2]))
        build, found = ways.call(numbers)
        if ways.leaf is not None and current_recorder() is not None and callable(ways.f):
            return ways.f(*arguments)
        if ways.warns or ways.solves:
            self._warn(ways, found, 4)
        if shapes is not None and ways.straight is not None:
            self._straight[form, shapes] = ways.straight
        return build(found, 0, float)[0]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the function with its first argument given, like any function in a class.

        An instance is static: it has recordings of its own, which are freed with it. One that consists of
        numbers (a data class) or cannot be referred to weakly is an argument like others.
        """
        if instance is None:
            return self
        numbers = isinstance(instance, Value | Real) or container(instance) is not None
        if numbers or self.f is None or not type(instance).__weakrefoffset__:
            return _WithFirst(self, instance)
        known, place = self._instances, id(instance)
        if place not in known:
            alive = ref(instance, lambda _: known.pop(place))
            first = [*self.signature.parameters][:1] if self.static and self.signature else []
            static = [name for name in self.static if name not in first]
            options = {name: getattr(self, name) for name in saving.OPTIONS}
            known.setdefault(place, Compiled(_of_instance(self.f, alive), static=static, **options))
        return _Method(known[place], instance)

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
        bare = not (keywords or self.static or shared or shared == 0)
        plain = bare and executor is None
        if plain:
            found = self._map_like_before(arguments, reduce, out)
            if found is not None:
                return found
        if reduce is not None:
            one_of("map", "reduce", reduce, (None, "sum", "mean"))
        whole("map", "shards", shards)
        if out is not None and reduce is not None:
            raise ValueError("map takes out= for results row by row; with reduce= there are none.")
        form, places = None, set[int]()
        if not bare:
            form, arguments = bind(
                f"{self._name}.map", self.signature, self.static, arguments, keywords, _MAP_OPTIONS
            )
            places = shared_places(names_of_call(self.signature, form, len(arguments)), shared)
        spec, blocks, count = rows(arguments, places)
        ways = self._ways((tuple, form, spec[2]))
        if plain and self.backend == "llvm" and (trace := ways.straight) is not None and trace.rows:
            # Not at the first map.
            self._prepare_map(arguments, reduce, trace)
        if executor is not None and not hasattr(executor, "submit"):
            raise TypeError(f"map takes executor as an object with submit(); got {described(executor)}.")
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
        only = routes.only
        first = only or ways.traces[0]
        if only is None and any(spec != first.spec for spec in routes.specs):
            raise ValueError(
                f"map: {self._name} returns different structures for different rows (or sparse arrays with "
                "other entries). Call it for each row."
            )
        places = () if out is None else results_in(first.mapped, out, count)
        direct = places and only and run is run_here and not ways.solves
        if direct and not any(np.may_share_memory(x, block) for x in places for block in blocks):
            run_here(first, "rows", blocks, count, places)
            return out
        found = routes.rows(first.results, run) if reduce is None else routes.sums(run)
        self._warn(ways, found, 5)
        if reduce is not None:
            return first.build_sums(averaged(found, reduce, count), 0, float)[0]
        write_to(places, found)
        return stack(first.mapped, found) if out is None else out

    def _map_like_before(self, arguments: Sequence[Any], reduce: Any, out: Any) -> Any:
        """Return the results of a map that is like the last one; None if it is not."""
        key = (len(arguments), reduce) if reduce is None or (type(reduce) is str and out is None) else None
        trace, run, _ = self._prepared.get(key, _NOTHING)
        if trace is None or (listeners.all and trace.parameters and current_recorder() is not None):
            return None
        if out is not None and (trace.spec != LEAF or type(out) is not np.ndarray or not out.flags.writeable):
            return None
        found = run(arguments, trace.leaves.read(), out)
        if found is None:
            return None
        count = len(arguments[0])
        trace.rows += count
        if reduce is not None:
            return trace.build_sums(found, 0, float)[0]
        return found if trace.spec == LEAF else stack(trace.mapped, found.reshape(-1, count))

    def _prepare_map(self, arguments: Sequence[Any], reduce: str | None, trace: Trace) -> None:
        """Prepare a fast function for the next maps of arrays like these."""
        shapes = [x.shape[1:] for x in arguments if type(x) is np.ndarray and x.dtype == np.float64]
        known, _, same = self._prepared.get((len(arguments), reduce), _NOTHING)
        if len(shapes) < len(arguments) or (known is trace and same == shapes):
            return
        run = trace.kernel("results").over(reduce, shapes)
        if run is not None:
            self._prepared[len(arguments), reduce] = trace, run, shapes


class _Method(Compiled):
    """A compiled function of an instance. It keeps the instance alive, and is pickled as methods are."""

    __slots__ = ("__self__",)

    def __init__(self, shared: Compiled, instance: Any) -> None:
        self.__dict__, self.__self__ = shared.__dict__, instance

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, self._name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return getattr(deepcopy(self.__self__, memo), self._name)


class _WithFirst(_Method):
    """A compiled function whose first argument is given: an instance that consists of numbers."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return super().__call__(self.__self__, *arguments, **keywords)

    def map(self, *arguments: Any, **options: Any) -> Any:
        return super().map(self.__self__, *arguments, **options)


def _of_instance(f: Callable[..., Any], alive: Callable[[], Any]) -> Callable[..., Any]:
    """Return a function with its first argument given, which it does not keep alive."""

    def method(*arguments: Any, **keywords: Any) -> Any:
        return f(alive(), *arguments, **keywords)

    made: Any = update_wrapper(method, f, updated=())
    made.__signature__ = signature(MethodType(f, alive))
    return made  # type: ignore[no-any-return]


_NOTHING: Any = (None, None, None)


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
