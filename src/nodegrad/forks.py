"""Every lock of nodegrad: all are held while the process forks; otherwise the child inherits locked ones.

They are reentrant, because signal handlers and finalizers run while their thread holds one.
"""

import os
from _thread import RLock  # that of `threading`, whose import takes half a millisecond
from typing import Any

__all__ = ()

sweeping = RLock()  # while leaves hold adjoints
keeping = RLock()  # while a trace is kept; never while a user's function runs: that may wait for a thread
compiling = RLock()  # while LLVM works, which one thread calls
importing = RLock()  # for imports after the first: the lock of a half-imported module is not ours to free
noting = RLock()  # for a few lines that count or list something

# A thread that holds one of these takes only later ones.
_ORDER: tuple[Any, ...] = (sweeping, keeping, compiling, importing, noting)
_held: list[Any] = []


def _hold() -> None:
    for lock in _ORDER:  # the first lets one thread fork at a time
        lock.acquire()
        _held.append(lock)


def _release() -> None:
    held = _held[::-1]
    _held.clear()  # before the first lock is released: a thread that waits to fork then writes its locks here
    for lock in held:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release)
