"""The object that `draw_dot` returns: a `graphviz.Digraph` that works without Graphviz's programs."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphviz

__all__ = ()

if TYPE_CHECKING:
    from nodegrad.show.drawing.draw import Drawing


class Digraph(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no types
    """A graph for Graphviz. Where `dot` is not on the PATH, the picture of `drawing` takes its place."""

    drawing: "Drawing"

    def copy(self) -> "Digraph":
        """Return a copy, with the same picture where `dot` is not on the PATH."""
        made: Digraph = super().copy()
        made.drawing = self.drawing
        return made

    def pipe(self, format: str | None = None, *rest: Any, encoding: str | None = None, **options: Any) -> Any:
        """Return the picture as bytes, or as text if there is an encoding. A notebook calls this."""
        try:
            return super().pipe(format, *rest, encoding=encoding, **options)
        except graphviz.ExecutableNotFound:
            content = self.drawing.content(format or self.format)
            return content if encoding is None else content.decode(encoding)

    def render(self, filename: Any = None, directory: Any = None, **options: Any) -> str:
        """Save the source and the picture beside it, and return the path of the picture."""
        try:
            return str(super().render(filename, directory=directory, **options))
        except graphviz.ExecutableNotFound:
            source = Path(self.save(filename, directory=directory))
            kind = options.get("format") or self.format
            picture = self.drawing.save(options.get("outfile") or f"{source}.{kind}")
            if options.get("cleanup"):
                source.unlink()
            if options.get("view"):
                webbrowser.open(picture.resolve().as_uri())
            return str(picture)
