"""Backends run vector programs. Each offers what `Backend` in trace.py lists, with the same results."""

from importlib.util import find_spec
from typing import Any

from nodegrad.compiler.vector import VectorProgram

NAMES = ("llvm", "numpy")


def choose(name: str) -> str:
    """Return the name of the backend to use for "auto", or check that the one named is there.

    Raises:
        ValueError: if there is no such backend, or it needs what is not installed.
    """
    native = find_spec("llvmlite") is not None
    if name == "auto":
        return "llvm" if native else "numpy"
    if name not in NAMES:
        raise ValueError(f'compile takes backend="auto", "llvm" or "numpy"; got {name!r}.')
    if name == "llvm" and not native:
        raise ValueError(
            'compile: backend="llvm" needs llvmlite (pip install llvmlite); "numpy" works without.'
        )
    return name


def make(program: VectorProgram, *, name: str, exact: bool, threads: int | None) -> Any:
    """Make the backend of that name for a vector program."""
    if name == "llvm":
        from nodegrad.compiler.backends.llvm import LlvmBackend

        return LlvmBackend(program, exact, threads)
    from nodegrad.compiler.backends.numpy import NumpyBackend

    return NumpyBackend(program, exact)
