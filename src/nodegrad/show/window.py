"""Pictures and pages that can be saved, and shown in a notebook or in the browser."""

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
        """Return the content of a file of this kind."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write a file; its suffix says of which kind.

        Raises:
            ValueError: for an unknown suffix.
            RuntimeError: if the program or library that makes such a file is missing.
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


class Still(Shown):
    """A picture that has an `svg`. In a notebook it shows itself."""

    kinds: tuple[str, ...] = ("svg", "png")
    svg: Any  # str; an attribute or a property

    def content(self, kind: str) -> bytes:
        """Return the picture as a file of this kind holds it: "svg" or "png".

        Raises:
            ValueError: for another kind.
            RuntimeError: for a .png without the library resvg-py.
        """
        if kind not in self.kinds:
            raise ValueError(f"a {type(self).__name__} can be {', '.join(self.kinds)}; got {kind!r}.")
        svg: str = self.svg
        return svg.encode() if kind == "svg" else rasterized(svg)

    def _repr_svg_(self) -> str:
        return str(self.svg)


def rasterized(svg: str) -> bytes:
    """Return an SVG as a PNG, twice as large so that it can be read on fine screens.

    Raises:
        RuntimeError: if the library resvg-py is not there.
    """
    try:
        import resvg_py
    except ImportError:
        raise RuntimeError(
            "Graphviz's `dot` is not on the PATH, and a .png needs it (for graphs) or the library resvg-py: "
            "pip install resvg-py, or save an .svg."
        ) from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2, background="#ffffff"))


def shell() -> Any:
    """Return the shell of IPython, or None outside of IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
