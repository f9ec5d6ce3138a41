"""Observers hear of operations recorded, branches taken on Values, numbers read, and sweeps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nodegrad.forks import noting

__all__ = ()

Observer = Any  # see `listen`; to make a protocol takes a twentieth of the import


class Listeners:
    """The observers that listen now, in all threads.

    Attributes:
        all: the observers.
        made: the methods of those that hear of each operation.
        swept: the methods of those that hear of each sweep.
        called: the methods of those that hear of each function that a transform calls.
    """

    __slots__ = ("all", "called", "made", "swept")

    def __init__(self) -> None:
        self.set(())

    def set(self, all: tuple[Observer, ...]) -> None:
        """Let these listen."""
        self.all = all
        self.made = tuple([each.made for each in all if hasattr(each, "made")])
        self.swept = tuple([each.swept for each in all if hasattr(each, "swept")])
        self.called = tuple([each.called for each in all if hasattr(each, "called")])


listeners = Listeners()


@contextmanager
def listen(observer: Observer) -> Iterator[None]:
    """Let an observer hear of everything that happens to Values, in any thread, while a block runs.

    Args:
        observer: an object with two methods. `decided(node, answer)` hears of each branch taken on a Value
            (`if`, `while`, `max`, `sorted` ...). `read(node, how)` hears that a number leaves the graph or is
            written into it; `how` says how: "reads .data". It may have three more. `made(node)` hears of each
            Value that an operation makes. `swept(direction, order, seeds, found)` hears of each sweep:
            "forward" or "reverse", the nodes, the derivatives that the sweep began with, and those it found.
            `called(function, given, found)` hears of each function that a transform calls: the numbers it
            was given, and those it returned.
    """
    try:
        with noting:
            listeners.set((*listeners.all, observer))
        yield
    finally:
        try:
            stop_listening(observer)
        except BaseException:  # Ctrl-C comes just now; an observer that stays would hear all that follows
            stop_listening(observer)
            raise


def stop_listening(observer: Observer) -> None:
    """Let an observer hear no more."""
    with noting:
        listeners.set(tuple([each for each in listeners.all if each is not observer]))


def tell_made(node: Any) -> None:
    """Tell the observers that an operation made a node."""
    for made in listeners.made:
        made(node)


def tell_swept(
    direction: str, order: Sequence[Any], seeds: Mapping[Any, Any], found: Mapping[Any, Any]
) -> None:
    """Tell the observers of a sweep."""
    for swept in listeners.swept:
        swept(direction, order, seeds, found)


def tell_read(node: Any, how: str) -> None:
    """Tell the observers that a number leaves the graph, or is written into it."""
    for observer in listeners.all:
        observer.read(node, how)
