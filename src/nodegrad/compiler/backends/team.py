"""Threads that help a caller with native work, on other processors than the caller's."""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from threading import Lock, Thread
from time import perf_counter, thread_time
from typing import Any

Work = Callable[[], None]

# Seconds: other programs take a processor for some milliseconds at a time.
_STALL = 0.0005
_PAUSES = 0.05, 1.0

# The seconds that this thread has had a processor; Windows counts them too coarsely.
busy_time = perf_counter if os.name == "nt" else thread_time


class _Helper:
    """A thread that does what it is asked to, one thing after the other."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[tuple[Future[None], Work]] = SimpleQueue()
        self.processors: set[int] | None = None  # that it was sent to
        self.thread = Thread(target=self.serve, name="nodegrad", daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            future, work = self.waiting.get()
            if future.set_running_or_notify_cancel():
                try:
                    work()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(None)
            del future, work  # what they hold is free while this waits

    def ask(self, work: Work, processors: set[int] | None) -> Future[None]:
        if processors is not None and processors != self.processors:
            os.sched_setaffinity(self.thread.native_id or 0, processors)
            self.processors = processors
        future: Future[None] = Future()
        self.waiting.put((future, work))
        return future


_helpers: list[_Helper] = []
lock = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)  # threads do not come along


def ask(count: int, work: Work) -> list[Future[None]]:
    """Ask up to so many threads to do some work, besides the caller.

    A thread that wakes up is often put on the processor of the thread that woke it, to wait there until that
    one is done (Linux looks for an idle processor only among those it takes to share a cache). So threads
    are sent to the others first. With no other processor to go to, or during a pause, none is asked.
    """
    if perf_counter() < _pause.end:
        return []
    processors = _others()
    if processors is not None and not processors:
        return []
    with lock:
        while len(_helpers) < count:
            _helpers.append(_Helper())
        return [helper.ask(work, processors) for helper in _helpers[:count]]


def wait_for(helpers: list[Future[None]]) -> None:
    """Wait for those that have begun, and raise what they have raised; call the others off."""
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@dataclass
class _Pause:
    """When the pause ends in which nobody is asked, and how long the next one takes."""

    end: float = 0.0
    following: float = _PAUSES[0]


_pause = _Pause()


def judge(waited: float, seconds: float) -> None:
    """Note for how long of some seconds a caller waited for its helpers.

    A helper whose processor another program takes holds the caller up for longer than it ever helps. Where
    that happens nobody is asked for a while, and twice as long if it happens again at once.
    """
    if waited > max(_STALL, seconds / 2):
        _pause.end = perf_counter() + _pause.following
        _pause.following = min(2.0 * _pause.following, _PAUSES[1])
    else:
        _pause.following = _PAUSES[0]


def _others() -> set[int] | None:
    """Return the processors that this thread may use without the one that it is on; None if unknown."""
    here = _processor_here()
    return None if here is None else os.sched_getaffinity(0) - {here()}


@cache
def _processor_here() -> Any:
    """Return the function that says which processor this thread is on, or None where there is no such."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)
