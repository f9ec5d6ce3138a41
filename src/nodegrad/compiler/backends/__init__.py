"""Backends run programs. Each has the methods of `Backend` in trace.py, and all give the same results."""

import re
import warnings
from importlib.util import find_spec
from typing import Any

from nodegrad.compiler.program import Program
from nodegrad.compiler.vectorize import vectorize
from nodegrad.forks import importing
from nodegrad.inputs import one_of

__all__ = ()

NAMES = ("llvm", "numpy")
_OLDEST = (0, 45)  # llvmlite before it lacks what native.py calls


def choose(name: str) -> str:
    """Return the name of the backend for "auto", or check that the backend named is installed.

    Raises:
        ValueError: if there is no such backend, or llvmlite is not installed.
    """
    native = _has_llvmlite()
    if name == "auto":
        return "llvm" if native and loads_native_code() else "numpy"
    one_of("compile", "backend", name, ("auto", *NAMES))
    if name == "llvm" and not native:
        raise ValueError(
            'compile: backend="llvm" needs llvmlite 0.45 or later (pip install -U llvmlite); "numpy" works '
            "without."
        )
    return name


def _has_llvmlite() -> bool:
    """Return whether llvmlite is installed and recent enough."""
    if find_spec("llvmlite") is None:
        return False
    with importing:
        import llvmlite

    return tuple(map(int, re.findall(r"\d+", llvmlite.__version__)[:2])) >= _OLDEST


def make(program: Program, *, name: str, exact: bool, threads: int | None, key: str = "") -> Any:
    """Make the backend of that name for a program; the NumPy backend if no native code can be loaded.

    With a key, which only this program has, native code is kept in the user's cache.
    """
    if name == "llvm" and loads_native_code():
        with importing:
            from nodegrad.compiler.backends.llvm.backend import LlvmBackend

        return LlvmBackend(program, exact, threads, key)
    with importing:
        from nodegrad.compiler.backends.numpy import NumpyBackend

    return NumpyBackend(vectorize(program, exact), exact)


def loads_native_code() -> bool:
    """Return whether native code can be loaded into this process; warn once if not."""
    with importing:
        from nodegrad.compiler.backends.llvm.native import refusal

    reason = refusal()
    if reason is not None and reason not in _warned:
        _warned.add(reason)
        warnings.warn(f"compile: {reason}, so compiled functions run on NumPy.", RuntimeWarning, stacklevel=2)
    return reason is None


_warned: set[str] = set()  # each reason is given once
