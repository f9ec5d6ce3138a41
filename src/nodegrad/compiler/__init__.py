"""The compiler: the graph you draw is the graph that is compiled. Start with README.md beside this file."""

try:
    import numpy as np  # noqa: F401  # imported to see whether it is there
except ImportError as error:
    raise ImportError(
        "nodegrad.compile needs NumPy: pip install 'nodegrad[all]' (or pip install numpy)."
    ) from error

from nodegrad.compiler import forks
from nodegrad.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]

forks.register()
