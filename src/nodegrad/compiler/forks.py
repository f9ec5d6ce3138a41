"""Hold every lock while the process forks; otherwise the child inherits locked ones."""

import os
import sys
from typing import Any

from nodegrad.compiler.record import drop_recorders
from nodegrad.compiler.ways import keeping_lock

_held: list[Any] = []


def register() -> None:
    """Hold every lock of the compiler while the process forks, in the order in which threads take them."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release)
        os.register_at_fork(after_in_child=drop_recorders)


def _hold() -> None:
    _take(keeping_lock)  # first, because a thread that holds it may compile; so one thread forks at a time
    compiling_lock = getattr(sys.modules.get("nodegrad.compiler.backends.llvm.native"), "lock", None)
    if compiling_lock is not None:
        _take(compiling_lock)


def _take(lock: Any) -> None:
    lock.acquire()
    _held.append(lock)


def _release() -> None:
    held = _held[::-1]
    _held.clear()  # before the first lock is released: a thread that waits to fork then writes its locks here
    for lock in held:
        lock.release()
