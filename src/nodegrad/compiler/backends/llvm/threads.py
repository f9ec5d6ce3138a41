"""The thread that calls LLVM.

A signal's exception, such as that of Ctrl-C, may be raised between any two lines. Inside llvmlite it may
free memory twice, or leave a lock that is never released. Python raises such exceptions only in the main
thread, so another one calls LLVM.
"""

import atexit
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from nodegrad.forks import compiling

__all__ = ()

P = ParamSpec("P")
Result = TypeVar("Result")
Answer = SimpleQueue[tuple[Any, BaseException | None]]

_jobs: SimpleQueue[tuple[Callable[[], Any], Answer]]  # whose methods no exception or finalizer can break
_started = False
_here = threading.local()


def in_llvm_thread(function: Callable[P, Result]) -> Callable[P, Result]:
    """Make a function run in the thread that calls LLVM; the caller waits, and may be interrupted."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> Result:
        if hasattr(_here, "serves"):
            return function(*args, **kwargs)
        result, error = later(partial(function, *args, **kwargs)).get()
        try:
            if error is not None:
                raise error
            return result  # type: ignore[no-any-return]
        finally:
            del error  # whose traceback holds this frame

    return called


def later(job: Callable[[], Any]) -> Answer:
    """Hand in a job, and return where its result, or the error it raises, will come."""
    global _started
    answer: Answer = SimpleQueue()
    _jobs.put((job, answer))
    if not _started:
        start_new_thread(_serve, ())  # two threads would do no harm: each job holds the lock
        _started = True
    return answer


def _serve() -> None:
    _here.serves = True
    while True:
        _do(*_jobs.get())


def _do(job: Callable[[], Any], answer: Answer) -> None:
    try:
        with compiling:  # so that no other thread forks meanwhile
            found = job()
    except BaseException as error:
        answer.put((None, error))
    else:
        answer.put((found, None))


def _forget() -> None:
    global _jobs, _started
    _jobs, _started = SimpleQueue(), False


def _finish() -> None:
    """Wait for what is under way: the process must not end while LLVM works."""
    if _started:
        later(lambda: None).get()


_forget()
atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads do not come along
