"""What was recorded of a function: traces by the structure of arguments, printed, counted, saved, pickled."""

import os
from collections.abc import Callable
from copy import deepcopy
from functools import partial, update_wrapper
from inspect import Signature
from typing import Any, Self

from nodegrad.compiler import backends, saving
from nodegrad.compiler.arguments import Form, Names, check_static, signature_of, with_form
from nodegrad.compiler.eager import without_function
from nodegrad.compiler.printing import render
from nodegrad.compiler.record import named
from nodegrad.compiler.trace import Trace
from nodegrad.compiler.vectorize import vectorize
from nodegrad.compiler.ways import Ways, warn_unsolved
from nodegrad.inputs import one_of
from nodegrad.trees import LEAF, Spec

__all__ = ()


class Recorded:
    """A function, and what was recorded of it.

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
    _warned: bool
    _signature: Signature | None

    def __init__(self, f: Callable[..., Any], *, static: Names = (), **options: Any) -> None:
        self._begin({"f": f, "static": check_static(f, static), "_signature": None, "traces": {}, **options})

    @property
    def _name(self) -> str:
        return named(self)

    @property
    def signature(self) -> Signature | None:
        """The arguments of the function; None if they are not known here."""
        if self._signature is None and self.f is not None:
            self._signature = signature_of(self.f)
        return self._signature

    def _function(self, form: Form | None) -> Callable[..., Any]:
        if self.f is None:
            raise TypeError(
                f"{self._name} was loaded or unpickled without its function, so it takes plain numbers only "
                "and derivatives cannot pass through it. Save or pickle compile(value_and_grad(f)) for them."
            )
        return self.f if form is None else with_form(self.f, form)

    def _ways(self, spec: Spec) -> Ways:
        """Return the ways for a structure of arguments."""
        ways = self.ways.get(spec)
        if ways is None and self.f is None:
            how = "have a structure" if spec[1] is None else "are keywords or static arguments, in a form"
            raise without_function(self._name, how)
        return ways or self._add_ways(spec)

    def _add_ways(self, spec: Spec) -> Ways:
        f = self._name if self.f is None else self._function(spec[1])
        ways = self.ways.setdefault(spec, Ways(f, spec, self._make, self.max_traces))
        if spec[1] is None and all(entry == LEAF for entry in spec[2]):
            self._of_numbers[len(spec[2])] = ways
        return ways

    def _warn(self, ways: Ways, found: Any, level: int) -> None:
        """Warn that rows run eagerly, once, and of results that may be no solution."""
        if ways.warns and not self._warned:
            self._warned = True
            ways.warn(level)
        if ways.solves:
            warn_unsolved(self._name, found, level)

    @property
    def traces(self) -> dict[Spec, list[Trace]]:
        """What is compiled, by the structure of the arguments. A call that failed leaves nothing."""
        return {spec: ways.traces for spec, ways in self.ways.items() if ways.traces}

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
            name: what the function is called there; by default its own name, with a _ added where that has
                another meaning.

        Raises:
            ValueError: if the function was not called yet, or with arguments of several structures; if it
                uses an operation that is Python code; if there is no such language, or it cannot have
                such a name.
        """
        from nodegrad.compiler.sources import c, javascript
        from nodegrad.compiler.sources.function import Function

        files = {"c": c.file, "js": javascript.file}
        write = files[one_of("source", "language", language, files)]
        specs = [*self.traces]
        if len(specs) != 1:
            several = "was called with arguments of several structures. Compile it anew, and call it with one"
            called = several if specs else "was not called yet. Call it once for each way through it"
            raise ValueError(f"source: {self._name} {called}.")
        return write(Function(self.f, self._name, name, specs[0], self.ways[specs[0]].settle()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was recorded to a file that `load_compiled` reads: JSON with a checksum, in one step.

        The file holds the programs, and the numbers that Values closed over hold now. It does not hold the
        function, so only the ways that were recorded can be called, nor native code, which is kept in the
        user's cache for this machine.

        >>> import nodegrad as ng, tempfile, os
        >>> square = ng.compile(ng.value_and_grad(lambda x: x * x))
        >>> square(3.0)
        (9.0, 6.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     square.save(os.path.join(folder, "square.json"))
        ...     ng.load_compiled(os.path.join(folder, "square.json"))(5.0)
        (25.0, 10.0)

        Raises:
            ValueError: if nothing was recorded, if keyword-only or static arguments were given, or if
                something is Python code: an operation of your own, a class among arguments or results.
            OSError: if the file cannot be written.
        """
        if not self.traces:
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
            "scalar_instructions": sum(trace.program.count for trace in traces),
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
        traces = {spec: self.ways[spec].settle() for spec in self.traces}
        signature = self.signature if any(spec[1] for spec in traces) else None
        names = {name: getattr(self, name) for name in (*saving.OPTIONS, "static")}
        return names | {"f": None, "__name__": self._name, "_signature": signature, "traces": traces}

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was recorded and the present numbers of leaves; the function if it fits them."""
        state = self._state()
        leaves = [leaf for trace in self._all_traces for leaf in trace.parameters]
        return state | {"f": self.f if saving.travels(self.f, leaves) else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        here = "auto" if state["backend"] == "llvm" else state["backend"]  # llvmlite may be missing here
        self._begin(state | {"backend": backends.choose(here)})

    def _begin(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        traces = self.__dict__.pop("traces")
        if self.f is not None:
            self._signature = None
            this: Any = self  # which can be called once it is a `Compiled`
            update_wrapper(this, self.f, updated=())
        self.ways: dict[Spec, Ways] = {}
        self._of_numbers: dict[int, Ways] = {}  # by how many numbers the arguments are
        # The trace for all arguments of such shapes, where nothing branches: checked once, then used at once.
        self._straight: dict[Any, Trace] = {}
        self._prepared: dict[Any, Any] = {}  # by how many arrays are mapped and how: trace, function, shapes
        self._instances: dict[int, Any] = {}  # the functions of instances, by their ids
        self._warned = False  # that rows run eagerly
        self._make = partial(backends.make, name=self.backend, exact=self.exact, threads=self.threads)
        for spec, found in traces.items():
            for trace in found:
                self._add_ways(spec).keep(trace)

    def __copy__(self) -> Self:
        return self  # like any function

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy a function that has a state of its own (a Module), and record the copy anew."""
        f = deepcopy(self.f, memo)
        if f is None or f is self.f:
            return self
        return type(self)(f, static=self.static, **{name: getattr(self, name) for name in saving.OPTIONS})
