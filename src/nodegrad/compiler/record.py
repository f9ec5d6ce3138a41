"""Record a function: run it once on Values; note what it made, which way branches went and what it read."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import RLock, get_ident
from typing import Any

from nodegrad.graph import patient_collector
from nodegrad.ops import plain
from nodegrad.trees import Spec, build, flatten
from nodegrad.value import Value, observe

_PACKAGE = str(Path(__file__).parents[1])
# There is one observer in a process, so one recording at a time. Whoever keeps what is recorded holds this
# one lock too: a function that is recorded may call another compiled function, in any thread.
recording_lock = RLock()


@dataclass(frozen=True, slots=True)
class Guard:
    """A comparison that Python took a branch on: the node asked, its answer, and the line that asked."""

    node: Value
    answer: bool
    line: str


@dataclass(frozen=True, slots=True)
class Recording:
    """What one run of a function left behind.

    `inputs` are the leaves that stood for the arguments; `outputs` the leaves of the result, floats where the
    result is not a Value; `spec` puts the outputs together again; `reads` are the lines that looked at
    `.data`.
    """

    inputs: list[Value]
    outputs: list[Any]
    spec: Spec
    guards: list[Guard]
    reads: list[str]

    def forget(self) -> None:
        """Let go of the graph, which is larger than the program made from it."""
        for nodes in (self.inputs, self.outputs, self.guards):
            nodes.clear()


class _Observer:
    """Notes branches and reads made by one thread."""

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self.reads: list[str] = []
        self.seen: set[Value] = set()
        self.thread = get_ident()

    def made(self, node: Value) -> None:
        """Do nothing: the outputs lead to every node that matters."""

    def decided(self, node: Value, answer: bool) -> None:
        if get_ident() == self.thread and node not in self.seen:
            self.seen.add(node)
            self.guards.append(Guard(node, answer, calling_line()))

    def read(self, node: Value) -> None:
        if get_ident() == self.thread and len(self.reads) < 8:
            self.reads.append(calling_line())


def calling_line() -> str:
    """Name the innermost line outside this package that is being run: `file:line`."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def named(f: Any) -> str:
    """Return what errors call a function."""
    return str(getattr(f, "__name__", "the function"))


def record(f: Callable[..., Any], spec: Spec, numbers: Sequence[float]) -> Recording:
    """Run `f` on fresh Values that hold `numbers`, put together as `spec` says.

    Raises:
        TypeError: if `f` returns anything but numbers and Values in nested lists, tuples, dicts or arrays.
        RuntimeError: if another observer of Values got in between.
    """
    inputs = [Value(number) for number in numbers]
    observer = _Observer()
    with recording_lock:
        before = observe(observer)
        try:
            with patient_collector():
                result = f(*build(spec, inputs))
        finally:
            last = observe(before)
    if last is not observer:
        raise RuntimeError(
            "compile: something else began to observe Values while the function was recorded, so branches "
            "may have been missed. Call the compiled function outside of it, or in one thread first."
        )
    leaves, out_spec = flatten(result)
    name = f"compile: the result of {named(f)}"
    outputs = [leaf if type(leaf) is Value else plain(leaf, name) for leaf in leaves]
    return Recording(inputs, outputs, out_spec, observer.guards, observer.reads)
