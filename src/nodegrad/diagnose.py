"""Where a number came from: the first operation that made a nan or an inf, and what a graph is made of."""

import linecache
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from threading import get_ident
from typing import Any, NamedTuple
from weakref import ref

from nodegrad.graph import recording, topological_order
from nodegrad.inputs import described
from nodegrad.observers import listen, tell_read
from nodegrad.ops import constant
from nodegrad.products import chain
from nodegrad.sweep import partials
from nodegrad.value import Value, number_of

__all__ = ["Stats", "detect_anomaly", "stats"]


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise, inside a `with` block, an error that names the operation where a nan or inf began.

    The error names the first operation that made nan or inf from finite operands, the numbers that went in,
    and the file and line. It is raised when such a number is read (`.data`) or differentiated, at the end of
    the block if neither happens, and when a sweep ends with a derivative that is nan or inf. Numbers in a
    branch of `where` that is not taken are no error.

    >>> import nodegrad as ng
    >>> x = ng.Value(-1.0)
    >>> with ng.detect_anomaly():
    ...     y = ng.exp(ng.log(x))
    Traceback (most recent call last):
        ...
    FloatingPointError: log turned nan at -1.0 ...

    Raises:
        FloatingPointError: at the first anomaly.
    """
    tell_read(Value(0.0), "uses detect_anomaly(), which looks at every number")
    with listen(detector := _Detector()):
        yield
    detector.finish()


class _Known(NamedTuple):
    """What is remembered of a node while it lives."""

    alive: ref[Value]
    place: str  # file:line of the user's code
    origin: str  # where its value began to be nan or inf; empty for a finite one


class _Detector:
    """An observer of Values and sweeps that remembers where each node was made.

    It is told of events in all threads, and ignores those outside the thread of its block.
    """

    def __init__(self) -> None:
        self.thread = get_ident()
        self.known: dict[int, _Known] = {}
        # nan or inf that no operation has used yet, with its origin
        self.loose: dict[int, tuple[Value, str]] = {}

    @property
    def concerned(self) -> bool:
        """Whether what happens now happens in the block."""
        return get_ident() == self.thread

    def made(self, node: Value) -> None:
        """Remember where a node was made and, if it is not finite, where that began."""
        if not self.concerned:
            return
        place, in_sweep = _caller()
        origin = "" if math.isfinite(node._data) or in_sweep else self.began(node, place)
        key = id(node)
        self.known[key] = _Known(ref(node, lambda _: self.known.pop(key, None)), place, origin)
        if node.op is not None and not node.op.zero_derivative:  # a comparison does not take a nan away
            for operand in node.operands:
                self.loose.pop(id(operand), None)
        if origin:
            self.loose[key] = node, origin

    def decided(self, node: Value, answer: bool) -> None:
        """Do nothing: a branch is not an anomaly."""

    def read(self, node: Value, how: str) -> None:
        """Raise if a number that is read is nan or inf because of an operation in this block."""
        if self.concerned and how == "reads .data":
            self.refuse(node)

    def began(self, node: Value, place: str) -> str:
        """Say where a value went wrong: here, or in an operand; empty if a leaf held nan or inf already."""
        wrong = [operand for operand in node.operands if not math.isfinite(operand._data)]
        if wrong:
            return next(filter(None, map(self.origin, wrong)), "")
        return f"{_name(node)} turned {node._data} at {_numbers(node)} in {_with_source(place)}"

    def origin(self, node: Value) -> str:
        """Return what is known of where a value began to be nan or inf."""
        known = self.known.get(id(node))
        return known.origin if known is not None else ""

    def refuse(self, node: Value) -> None:
        """Raise if a value is nan or inf because an operation in this block made it so."""
        origin = self.origin(node)
        if origin:
            self.loose.clear()
            raise FloatingPointError(origin)

    def swept(
        self, direction: str, order: Sequence[Any], seeds: Mapping[Any, Any], found: Mapping[Any, Any]
    ) -> None:
        """Raise if the sweep starts from a value that is not finite, or ends with such a derivative."""
        if not self.concerned:
            return
        if direction == "reverse":
            for output in seeds:
                self.refuse(output)
        if not all(math.isfinite(number_of(seed)) for seed in seeds.values()):
            return  # the caller asked for it
        look = _first_adjoint if direction == "reverse" else _first_tangent
        culprit = look(order, {node: number_of(x) for node, x in found.items()})
        if culprit is not None:
            node, turned = culprit
            raise FloatingPointError(f"{turned} in {self.place(node)}")

    def place(self, node: Value) -> str:
        """Say where a node was made."""
        known = self.known.get(id(node))
        return _with_source(known.place) if known is not None else "code before detect_anomaly"

    def finish(self) -> None:
        """Raise if a number that is not finite was left over."""
        for node, _ in list(self.loose.values()):
            self.refuse(node)


def _first_adjoint(order: Sequence[Value], adjoints: Mapping[Value, float]) -> tuple[Value, str] | None:
    """Find the first operation of a reverse sweep that makes an inf or nan of a finite adjoint."""
    if all(math.isfinite(x) for node, x in adjoints.items() if node.op is not constant):
        return None
    for node in reversed(order):
        adjoint = adjoints.get(node, 0.0)
        if not math.isfinite(adjoint):
            return node, f"the adjoint of {_name(node)} at {_numbers(node)} adds up to {adjoint}"
        for operand, partial, selected in partials(node):
            share = chain(adjoint, partial, selected)
            if operand in adjoints and not math.isfinite(share):
                return node, _turned(node, "adjoint", adjoint, partial, share)
    return None


def _first_tangent(order: Sequence[Value], tangents: Mapping[Value, float]) -> tuple[Value, str] | None:
    """Trace a tangent that is not finite at the end of a forward sweep to the operation that made it."""
    inner = {operand for node in order for operand in node.operands}
    wrong = [x for x in order if x not in inner and not math.isfinite(tangents.get(x, 0.0))]
    node = wrong[0] if wrong else None
    while node is not None:
        came = [(x, partial, tangents[x]) for x, partial, _ in partials(node) if x in tangents]
        sent = [(x, partial, t) for x, partial, t in came if not math.isfinite(chain(partial, t))]
        if not sent:
            return node, f"the tangent of {_name(node)} at {_numbers(node)} adds up to {tangents[node]}"
        operand, partial, tangent = sent[0]
        if math.isfinite(tangent):
            return node, _turned(node, "tangent", tangent, partial, chain(partial, tangent))
        node = operand
    return None


def _turned(node: Value, what: str, number: float, partial: float, product: float) -> str:
    """Say how a derivative became nan or inf."""
    return (
        f"the {what} {number!r} turned {product} in {_name(node)} at {_numbers(node)}, "
        f"where its partial is {partial!r},"
    )


def _name(node: Value) -> str:
    return node.op.name if node.op is not None else "a leaf"


def _numbers(node: Value) -> str:
    return ", ".join(repr(operand._data) for operand in node.operands)


def _with_source(place: str) -> str:
    """Add the text of a line to its place."""
    file, _, line = place.rpartition(":")
    source = linecache.getline(file, int(line)).strip()
    return f"{place}: {source}" if source else place


def _caller() -> tuple[str, bool]:
    """Return the line of the user's code that is running, and whether a sweep is running."""
    frame, in_sweep = sys._getframe(1), False
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("nodegrad", "numpy"):
            break
        in_sweep = in_sweep or module == "nodegrad.sweep"
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}", in_sweep


@dataclass(frozen=True)
class Stats:
    """What a graph is made of: its nodes, among them leaves and constants; depth; operations.

    Attributes:
        nodes: how many Values there are in all.
        leaves: how many were made from numbers by the user.
        constants: how many are numbers written in the code.
        depth: how many operations the longest path has.
        operations: how often each operation occurs, the most frequent first.
    """

    nodes: int
    leaves: int
    constants: int
    depth: int
    operations: dict[str, int]

    def __str__(self) -> str:
        counts = {name: count for name, count in vars(self).items() if name != "operations"}
        rows = [*counts.items(), *((f"  {name}", count) for name, count in self.operations.items())]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}} {count:12,}" for name, count in rows)


def stats(*outputs: Value) -> Stats:
    """Count what the graph below some Values is made of.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0)
    >>> ng.stats(x * x + 3.0).operations
    {'mul': 1, 'add': 1}
    >>> ng.stats(x * x + 3.0).depth
    2

    Raises:
        TypeError: if an output is not a Value.
    """
    for output in outputs:
        if not isinstance(output, Value):
            raise TypeError(f"stats takes Values; got {described(output)}. Unpack several: stats(*values).")
    with recording():
        order = topological_order(*outputs)
        counts = Counter(map(attrgetter("op"), order))
        leaves, constants = counts.pop(None, 0), counts.pop(constant, 0)
        operations = {op.name: count for op, count in counts.most_common()}
        return Stats(len(order), leaves, constants, _depth(order), operations)


def _depth(order: Sequence[Value]) -> int:
    """Return how many operations the longest path has."""
    depths: dict[Value, int] = {}
    depth_of = depths.__getitem__
    for node in order:
        operands = node.operands
        depths[node] = 1 + max(map(depth_of, operands)) if operands else 0
    return max(depths.values(), default=0)
