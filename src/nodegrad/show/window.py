"""Where pictures and pages are shown: in the cell of a notebook, or in a window of the browser."""

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any


def present(shown: Any, text: str, suffix: str) -> None:
    """Show something in the notebook's cell, or else open it as a file in the browser."""
    if hasattr(shell(), "kernel"):
        sys.modules["IPython"].display.display(shown)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=suffix, delete=False) as file:
        file.write(text)
    webbrowser.open(Path(file.name).as_uri())


def shell() -> Any:
    """Return the IPython that runs, if one does."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
