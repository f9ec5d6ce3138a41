"""Recorder: what notes the results of a run, its branches, and what it read."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import Any

from nodegrad.compiler.lower import lower_loop
from nodegrad.composites import Pairing
from nodegrad.extend import digest
from nodegrad.graph import check_left, clock, leave, topological_order
from nodegrad.loops import Roller, current_roller
from nodegrad.observers import listen, listeners, stop_listening
from nodegrad.ops import Op
from nodegrad.transforms import innermost
from nodegrad.trees import Spec
from nodegrad.value import Value

__all__ = ()

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep  # Python's own; packages may be in a folder of it


Way = tuple[tuple[bool, str], ...]  # the answer and the line of each branch


def _same_code(one: Op, other: Op) -> bool:
    """Return whether two operations that `custom` made have the same code."""
    return one.name == other.name and digest(one) == digest(other)


class Recorder:
    """Notes the branches and reads of one run of a function, and what it was given and returned.

    It never stops the run: an event loop may wait for a task that an error of ours has ended.

    Attributes:
        inputs: the leaves that stand for the arguments.
        outputs: the leaves of the result, floats where the result is not a Value; noted by `Eager.record`.
        spec: how the outputs are put together.
        branches: what Python took a branch on, in order: each node, its answer, and the line that asked.
        reads: the lines that took numbers out of the record.
        elsewhere: what other threads branched on or read, with their lines.
        given, found: what the function was called with and what it returned; of a function that transforms
            differentiate, without derivatives.
    """

    spec: Spec

    def __init__(self, f: Any, inputs: Sequence[Value] = (), turns: int = 2, unrolls: bool = False) -> None:
        self._roller = Roller(lower_loop, set(inputs), calling_line, turns, unrolls=unrolls)
        self.inputs, self.outputs = list(inputs), list[Any]()
        self.branches: dict[Value, tuple[bool, str]] = {}
        self.reads: list[str] = []
        self.elsewhere: dict[Value, str] = {}
        self._function = innermost(f)
        self.given: Sequence[Any] = inputs
        self.found: Sequence[Any] = ()
        self._start = clock.tick()
        self._thread = get_ident()
        self._last, self._code, self._line = -1, None, ""  # where the last branch was taken

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Record while a block runs, instead of the recorder that is active in this thread."""
        before = current_roller.get()
        try:
            current_roller.set(self._roller)
            with listen(self):
                yield
        finally:
            current_roller.set(before)

    @property
    def answers(self) -> list[bool]:
        """The answers of all branches."""
        return [answer for answer, _ in self.branches.values()]

    @property
    def way(self) -> Way:
        """The answers and lines of all branches, which identify this way through the function."""
        return tuple(self.branches.values())

    def like(self, other: "Recorder") -> bool:
        """Return whether the function computed the same in another run, with the same constants."""
        inputs, others = ([x for x in each.given if isinstance(x, Value)] for each in (self, other))
        if len(inputs) != len(others):
            return False
        pairing = Pairing(zip(inputs, others, strict=True), (self._start, other._start), _same_code)
        return pairing.alike(self.ends, other.ends)

    @property
    def ends(self) -> list[Value]:
        """The Values that the function returned, and those it branched on."""
        return [*[x for x in self.found if isinstance(x, Value)], *self.branches]

    @property
    def wanted(self) -> list[Any]:
        """The results, then the nodes of the branches."""
        return [*self.outputs, *self.branches]

    def called(self, f: Any, given: Sequence[Any], found: Sequence[Any]) -> None:
        """Note what the function was given and what it returned, if it is the one that is recorded."""
        if f is self._function and self.is_of_this_thread:
            self.given, self.found = given, found

    @property
    def is_of_this_thread(self) -> bool:
        """Whether the current thread is the one that records."""
        return get_ident() == self._thread

    def decided(self, node: Value, answer: bool) -> None:
        """Note a branch."""
        if get_ident() != self._thread:
            self._note_elsewhere(node, "branches on a Value in another thread")
        elif (
            node not in self.branches
            and (current_roller.get() is self._roller or current_recorder() is self)  # mostly without a call
            and not self._roller.again
        ):
            frame: Any = sys._getframe(2)  # that of the user, mostly: it called `Value.__bool__`
            if frame.f_lasti != self._last or frame.f_code is not self._code:  # to name the line takes longer
                line = _line(frame.f_code.co_filename, frame.f_lineno)
                self._last, self._code = frame.f_lasti if line else -1, frame.f_code
                self._line = line or calling_line(3)
            self.branches[node] = answer, self._line

    def check_left(self, results: Sequence[Any]) -> None:
        """Refuse results and branches that depend on what was kept from a turn of a loop, or from a call."""
        values = [x for x in results if isinstance(x, Value)]
        check_left(topological_order(*values, *self.branches, constants=False))

    def leave(self) -> None:
        """Mark the leaves that the function was given, by a transform too: what it keeps is then refused."""
        leave([x for x in (*self.inputs, *self.given) if isinstance(x, Value) and x.op is None])

    def read(self, node: Value, how: str) -> None:
        """Note that a number left the record."""
        if not self.is_of_this_thread:
            self._note_elsewhere(node, f"{how} in another thread")
        elif len(self.reads) < 8 and current_recorder() is self:
            self.reads.append(f"{calling_line()} {how}")

    def _note_elsewhere(self, node: Value, how: str) -> None:
        line = f"{calling_line()} {how}"
        if not self.reads and current_roller.get() is self._roller:
            self.reads.append(line)
        self.elsewhere[node] = line  # to look for its leaves at each branch would slow down the other thread


def current_recorder() -> Recorder | None:
    """Return the recorder of the function that is being recorded, if there is one.

    An inner recording notes the branches of its own function only. asyncio passes the context to the threads
    it starts; in an empty context, it is the last that began in this thread.
    """
    roller = current_roller.get()
    for x in reversed(listeners.all):
        if isinstance(x, Recorder) and (x.is_of_this_thread if roller is None else x._roller is roller):
            return x
    return None


def drop_recorders() -> None:
    """Forget the recordings of other threads, which do not exist in a process just forked."""
    for each in listeners.all:
        if isinstance(each, Recorder) and not each.is_of_this_thread:
            stop_listening(each)


def note_fork() -> None:
    """Note that the function that is recorded forks: what its child reads or branches on is not seen."""
    recorder = current_recorder()
    if recorder is not None:
        recorder.reads.append(f"{calling_line()} forks, and what the child does with Values is lost")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=note_fork, after_in_child=drop_recorders)


def calling_line(depth: int = 1) -> str:
    """Return the innermost running line of the user's code as `file:line`, from `depth` calls out."""
    frame: Any = sys._getframe(depth)
    while not (line := _line(frame.f_code.co_filename, frame.f_lineno)) and frame.f_back is not None:
        frame = frame.f_back
    return line or f"{frame.f_code.co_filename}:{frame.f_lineno}"


@lru_cache(10_000)
def _line(file: str, number: int) -> str:
    """Name a line of a file that belongs neither to this package nor to Python's library; "" for others."""
    library = file.startswith(_LIBRARY) and f"-packages{os.sep}" not in file
    return "" if library or file.startswith((_PACKAGE, "<frozen ")) else f"{file}:{number}"


def named(f: Any) -> str:
    """Return a function's name for errors."""
    return str(getattr(f, "__name__", "the function"))
