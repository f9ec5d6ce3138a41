"""The compiler: the graph you draw is the graph that is compiled. Start with README.md beside this file."""

from typing import TYPE_CHECKING, Any

from nodegrad.forks import importing

if TYPE_CHECKING:
    from nodegrad.compiler.compiled import Compiled, compile, load_compiled

__all__ = ["Compiled", "compile", "load_compiled"]


def _load(name: str) -> Any:
    """Load the compiler on first use; the table of spellings can be imported without NumPy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import numpy as np  # noqa: F401  # only to see whether it is installed
    except ImportError as error:
        raise ImportError(
            "nodegrad.compile needs NumPy: pip install 'nodegrad[all]' (or pip install numpy)."
        ) from error
    with importing:
        from nodegrad.compiler import compiled

    return getattr(compiled, name)


if not TYPE_CHECKING:  # else no name would be misspelt
    __getattr__ = _load
