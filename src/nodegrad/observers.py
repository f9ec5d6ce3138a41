"""Observers: who hears of the operations that are recorded, the branches taken on them, the numbers read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from nodegrad.forks import noting

__all__ = ()


class Observer(Protocol):
    """Whoever wants to know what happens to Values: `listen` adds one.

    One with a method `made(node)` hears of each Value that an operation makes, too.
    """

    def decided(self, node: Any, answer: bool) -> None:
        """Hear of a branch taken (`if`, `while`, `max`, `sorted` ...) on a Value."""

    def read(self, node: Any, how: str) -> None:
        """Hear that a number leaves the graph or is written into it; `how` says how: "reads .data"."""


class Listeners:
    """Everyone who listens, in any thread.

    Attributes:
        all: the observers.
        made: the methods of those that hear of each operation.
    """

    __slots__ = ("all", "made")

    def __init__(self) -> None:
        self.set(())

    def set(self, all: tuple[Observer, ...]) -> None:
        """Let these listen."""
        self.all = all
        self.made = tuple([each.made for each in all if hasattr(each, "made")])


listeners = Listeners()


@contextmanager
def listen(observer: Observer) -> Iterator[None]:
    """Let an observer hear of everything that happens to Values, in any thread, while a block runs."""
    try:
        with noting:
            listeners.set((*listeners.all, observer))
        yield
    finally:
        stop_listening(observer)


def stop_listening(observer: Observer) -> None:
    """Let an observer hear no more."""
    with noting:
        listeners.set(tuple([each for each in listeners.all if each is not observer]))


def observers() -> tuple[Observer, ...]:
    """Return everyone who listens."""
    return listeners.all


def tell_made(node: Any) -> None:
    """Tell the observers that an operation made a node."""
    for made in listeners.made:
        made(node)


def tell_read(node: Any, how: str) -> None:
    """Tell the observers that a number is looked at other than by `.data`: in a picture, in a text."""
    for observer in listeners.all:
        observer.read(node, how)
