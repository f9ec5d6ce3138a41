"""Where pictures and pages are shown: in the cell of a notebook, or in a window of the browser."""

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

__all__ = ()


class Shown:
    """What can be saved to a file, and shown in the notebook's cell or in the browser."""

    kinds: tuple[str, ...]  # file suffixes; `show` uses the first

    def content(self, kind: str) -> bytes:
        """Return what a file of this kind holds."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write a file whose suffix says what it holds.

        Raises:
            ValueError: for an unknown suffix.
            RuntimeError: if what makes a file of this kind is not there.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in self.kinds:
            known = ", ".join(f".{known}" for known in self.kinds)
            raise ValueError(f"{type(self).__name__}.save writes {known}; got {path.name!r}.")
        path.write_bytes(self.content(kind))
        return path

    def show(self) -> None:
        """Show it in the notebook's cell, or else open it as a file in the browser."""
        if hasattr(shell(), "kernel"):
            sys.modules["IPython"].display.display(self)
            return
        with tempfile.NamedTemporaryFile(suffix=f".{self.kinds[0]}", delete=False) as file:
            file.write(self.content(self.kinds[0]))
        webbrowser.open(Path(file.name).as_uri())


def shell() -> Any:
    """Return the IPython that runs, if one does."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
