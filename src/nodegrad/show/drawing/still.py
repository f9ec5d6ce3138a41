"""A still picture, which can be saved, opened and shown in a notebook."""

from __future__ import annotations

from typing import Any

from nodegrad.show.window import Shown

__all__ = ()


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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self._repr_svg_(), "text/plain": repr(self)}


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
