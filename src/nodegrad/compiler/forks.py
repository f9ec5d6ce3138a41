"""Forks of the process: they wait until no thread records or compiles, for its locks would stay held."""

import os
import sys
from typing import Any

from nodegrad.compiler.record import recording_lock

_held: list[Any] = []


def register() -> None:
    """Hold every lock of the compiler while the process forks, in the order in which threads take them."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release)


def _hold() -> None:
    native: Any = sys.modules.get("nodegrad.compiler.backends.native")
    _take(recording_lock)  # first, for whoever records may compile; and one thread forks at a time
    if native is not None:
        _take(native.lock)


def _take(lock: Any) -> None:
    lock.acquire()
    _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().release()
