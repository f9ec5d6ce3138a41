"""Walks over recorded graphs, and the clock by which they are recorded.

A node is anything with `operands`, a tuple of nodes, kept as a Value keeps them. Walks are iterative, so a
graph may be of any depth.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import ContextDecorator
from typing import Any

from nodegrad.forks import noting
from nodegrad.ops import constant

__all__ = ["recording"]


def topological_order(
    *outputs: Any, since: int = 0, constants: bool = True, ends: list[Any] | None = None
) -> list[Any]:
    """List every node the outputs depend on, each once, operands before the nodes made from them.

    The order is that of a depth-first search, first operands first, so it depends on the graph alone.

    Args:
        outputs: the nodes to start from.
        since: a time of the clock. Nodes made before it are listed, but not what they were made from.
        constants: list the constants among the operands, too.
        ends: a list that the nodes at which the walk ends are added to, unless they are in it; the others are
            returned.
    """
    order: list[Any] = []
    seen: set[Any] = set(ends or ())
    ends = order if ends is None else ends
    stack: list[Any] = list(reversed(outputs))
    push, pop, see = stack.append, stack.pop, seen.add  # these save a third of the time
    place, end = order.append, ends.append
    while stack:
        node = pop()
        if node is None:  # the operands of the node below this mark are all in place
            place(pop())
            continue
        while node not in seen:
            see(node)
            first = node._first
            if first is None or (since and node._time < since):
                if constants or node.op is not constant:
                    end(node)
                break
            push(node)
            push(None)
            if node._second is not None:
                push(node._second)
            elif type(first) is tuple:
                if seen.issuperset(first):  # which takes less time than to look for new ones
                    break
                new = [x for x in first if x not in seen and (constants or x.op is not constant)]
                if [x for x in new if x._first is not None]:
                    stack += reversed(new)
                elif new:  # leaves, as most operands of large operations are
                    before = len(seen)
                    seen.update(new)
                    ends += new if len(seen) == before + len(new) else dict.fromkeys(new)
                break
            node = first
    return order


def dependents(order: Iterable[Any], sources: Iterable[Any]) -> set[Any]:
    """Collect the sources and every node of a topological order that is computed from one of them."""
    found = set(sources)
    disjoint, add = found.isdisjoint, found.add
    for node in order:
        first = node._first
        if disjoint(first) if type(first) is tuple else first not in found and node._second not in found:
            continue
        add(node)
    return found


class Clock:
    """Count events, so that what was recorded before one can be told from what was recorded after it.

    Events are numbers assigned to Values, and calls of transforms.

    Attributes:
        now: how many events there were. A node notes it when it is made.
        assigned: when a number was last assigned to any Value.
    """

    __slots__ = ("assigned", "now")

    def __init__(self) -> None:
        self.now = self.assigned = 0

    def tick(self) -> int:
        """Count one more event, and return its time."""
        with noting:
            self.now += 1
            return self.now

    def assign(self, pairs: Iterable[tuple[Any, float]]) -> None:
        """Assign numbers to Values.

        Tick before and after, so that a number read while this thread is interrupted here counts as old.
        """
        with noting:
            self.assigned = self.now = self.now + 1
            after = self.now + 1
            try:
                for node, number in pairs:
                    node._time = after
                    node._data = number
            finally:
                self.assigned = self.now = after


clock = Clock()


GIVEN = -1  # the time of a stand-in: a leaf for an argument of a function, or for the state of a loop
_LEFT = -2  # its time after the turn of the loop was recorded
_PAST = -3  # its time after the call of the function


def leave(stand_ins: Iterable[Any], loop: str = "") -> None:
    """Mark stand-ins whose call, or whose turn of a loop, has ended: `check_left` then refuses them."""
    for x in stand_ins:
        x._time = _PAST
        if loop:
            x._time, x.label = _LEFT, loop


def check_left(nodes: Iterable[Any]) -> None:
    """Refuse nodes if one of them is a stand-in that was marked by `leave`.

    Raises:
        ValueError: saying what keeps the Value.
    """
    for node in [node for node in nodes if node._time < GIVEN]:
        if node._time == _PAST:
            raise ValueError(
                "compile: a function keeps a Value that it computed from the arguments of one call, and uses "
                "it in another (a cache, a sum over calls, a default that is changed). Compiled, it would "
                "stay that of the call that was recorded: pass it as an argument, and return it."
            )
        raise ValueError(
            f"{node.label} was given a function that keeps a Value of one turn, and that Value is used "
            "outside. Compiled, one recorded turn stands for all: put the Value into the state, or "
            "return it as y from the body of scan."
        )


def changed_operand(nodes: Iterable[Any]) -> tuple[Any, Any] | None:
    """Find an operand that was assigned another number after a node was made from it: (operand, node).

    None if there is none.
    """
    assigned = clock.assigned
    older = [node for node in nodes if node._time < assigned]
    for node in older:
        for operand in node.operands:
            if operand._time > node._time:
                return operand, node
    return None


def check_unchanged(nodes: Iterable[Any]) -> None:
    """Refuse to differentiate nodes whose operands hold other numbers than when the nodes were made.

    Raises:
        RuntimeError: naming the Value that was changed.
    """
    found = changed_operand(nodes)
    if found is not None:
        operand, node = found
        name = repr(operand.label) if operand.label else f"a Value that is now {operand._data!r}"
        raise RuntimeError(
            f"the data of {name} changed after {node.op.name} was computed from it: derivatives would mix "
            "two points. Call backward() before changing data, or compute again."
        )


# The blocks in which the collector runs rarely: the first sets its thresholds, the last restores them.
_blocks: set[object] = set()
_before = _patient = gc.get_threshold()


class recording(ContextDecorator):  # a class for speed: a generator takes twice as long
    """Let Python's cyclic garbage collector run rarely while a `with` block builds a graph.

    Graphs hold no cycles, so the collector finds nothing in them. It still scans a growing graph again and
    again, which is most of the time that building a large one takes. nodegrad does the same for itself while
    it records a function or sweeps. Garbage of other kinds made in the block may live longer.

    >>> import nodegrad as ng
    >>> x = y = ng.Value(1.0)
    >>> with ng.recording():
    ...     for _ in range(1000):
    ...         y = y * x
    ...     y.backward()
    >>> x.grad
    1001.0
    """

    def _recreate_cm(self) -> "recording":  # a decorated function may call itself
        return recording()

    def __enter__(self) -> None:
        self._block = _patient_block()
        next(self._block)

    def __exit__(self, *error: object) -> None:
        next(self._block, None)


def _patient_block() -> Iterator[None]:
    """Run until a block begins, and then until it ends. A generator ends even if Ctrl-C comes before that."""
    global _before, _patient
    block = object()
    try:
        with noting:
            _blocks.add(block)  # before anything is changed, so that an interrupt leaves nothing behind
            if len(_blocks) == 1:
                _before = gc.get_threshold()
                _patient = (max(_before[0], 1_000_000) if _before[0] else 0, 10, 10)
                gc.set_threshold(*_patient)
        yield
    finally:
        try:
            _end(block)
        except BaseException:  # Ctrl-C comes just now; without this, the collector would stay as it is
            _end(block)
            raise


def _end(block: object) -> None:
    with noting:
        _blocks.discard(block)
        if not _blocks and gc.get_threshold()[0] == _patient[0]:  # otherwise the user has set others
            gc.set_threshold(*_before)
