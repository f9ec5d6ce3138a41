"""Threads of our own: one calls LLVM, others take pieces of the rows of a map.

A signal's exception, such as that of Ctrl-C, may be raised between any two lines. Inside llvmlite it may
free memory twice, or leave a lock that is never released; the pools of `concurrent.futures` have such locks,
too. Python raises such exceptions only in the main thread. So other threads do the work, and what they take
comes through queues that are written in C: no exception or finalizer can break these.
"""

import atexit
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from nodegrad.forks import compiling

__all__ = ()

P = ParamSpec("P")
Result = TypeVar("Result")
Job = Callable[[], None]  # which raises nothing
Answer = SimpleQueue[tuple[Any, BaseException | None]]


class Threads:
    """Threads that do jobs, and wait for more until the process ends."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)  # threads do not come along

    def _forget(self) -> None:
        self.jobs: SimpleQueue[Job] = SimpleQueue()
        self.count = 0

    def give(self, job: Job, most: int = 1) -> None:
        """Hand in a job, and start a thread for it if there are fewer than `most`.

        Raises:
            RuntimeError: if no thread can be started: there are too many, or the process ends.
        """
        if self.count < most:
            start_new_thread(_serve, (self.jobs,))
            self.count += 1  # if an exception comes before this line, there is one more, which does no harm
        self.jobs.put(job)


def _serve(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get()()


helpers = Threads()  # for pieces of rows
_caller = Threads()  # for LLVM
_here = threading.local()


def share(work: Job, pieces: Iterator[Any], others: int, most: int) -> None:
    """Let `work` take all pieces, here and in up to `others` of at most so many threads.

    The caller takes pieces too: a helper that starts late finds none left.
    """

    def help() -> None:
        with suppress(IndexError):  # the caller has done all
            places.pop()
            _do(work, done)

    places, done = [None] * others, Answer()
    with suppress(RuntimeError):  # no thread can be started: too many, or the process ends
        for _ in range(others):
            helpers.give(help, most)
    try:
        work()
    finally:
        for _ in pieces:  # left only if `work` raised: no helper begins another piece
            pass
        with suppress(IndexError):  # take the places of helpers that have not begun
            while True:
                places.pop()
                others -= 1
        errors = [error for _ in range(others) if (error := done.get()[1]) is not None]
    if errors:
        raise errors.pop()


def in_llvm_thread(function: Callable[P, Result]) -> Callable[P, Result]:
    """Make a function run in the thread that calls LLVM; the caller waits, and may be interrupted."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> Result:
        if hasattr(_here, "calls_llvm"):
            return function(*args, **kwargs)
        result, error = later(partial(function, *args, **kwargs)).get()
        try:
            if error is not None:
                raise error
            return result  # type: ignore[no-any-return]
        finally:
            del error  # whose traceback holds this frame

    return called


def later(work: Callable[[], Any]) -> Answer:
    """Let LLVM's thread do something; return the queue that will get the result, or the error it raises."""
    answer = Answer()
    _caller.give(partial(_call_llvm, work, answer))
    return answer


def _call_llvm(work: Callable[[], Any], answer: Answer) -> None:
    _here.calls_llvm = True
    with compiling:  # so that no other thread forks meanwhile
        _do(work, answer)


def _do(work: Callable[[], Any], answer: Answer) -> None:
    """Put the result of some work, or the error it raises, into a queue."""
    try:
        found = work()
    except BaseException as error:
        answer.put((None, error))
    else:
        answer.put((found, None))


def _finish() -> None:
    """Wait for what is under way: the process must not end while LLVM works."""
    if _caller.count:
        later(lambda: None).get()


atexit.register(_finish)
