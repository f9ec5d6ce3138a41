"""How Values, models and results show themselves in a notebook."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.util import find_spec
from io import StringIO
from typing import Any

from nodegrad.graph import topological_order
from nodegrad.show.drawing.draw import draw
from nodegrad.show.drawing.network import network
from nodegrad.show.text import clean, number
from nodegrad.show.window import shell

__all__ = ()

MOST = 5_000  # nodes; a Value with a larger graph shows only its number
ROWS = 60  # rows of a table that are shown

Bundle = dict[str, str]


def register() -> None:
    """Tell the IPython that runs, if one does, how to show what nodegrad makes."""
    running = shell()
    if running is not None:
        formatter = running.display_formatter.mimebundle_formatter
        for (module, name), bundle in DISPLAYS.items():
            formatter.for_type_by_name(module, name, bundle)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in HTML; every cell is text. Of many rows, write the first 60 and count the others."""
    rows = list(rows)
    lines = ["".join(f"<td>{escape(clean(cell))}</td>" for cell in row) for row in rows[:ROWS]]
    if len(rows) > ROWS:
        lines.append(f'<td colspan="{len(head)}">and {len(rows) - ROWS:,} more</td>')
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>"


def value(it: Any) -> Bundle:
    """Show a Value as its graph, folded if need be."""
    bundle = {"text/plain": repr(it)}
    if it.operands and len(topological_order(it)) < MOST:
        bundle["image/svg+xml"] = draw(it).svg
    return bundle


def module(it: Any) -> Bundle:
    """Show a model as its network, if it is made of layers, and a table of its parameters."""
    parameters = [(name, number(p._data), number(p.grad)) for name, p in it.named_parameters()]
    try:
        picture = network(it).svg
    except TypeError:
        picture = ""
    html = f"<p>{escape(repr(it))}</p>{picture}{table(('parameter', 'value', 'gradient'), parameters)}"
    return {"text/plain": repr(it), "text/html": html}


def history(it: Any) -> Bundle:
    """Show a History as its plot if matplotlib is installed, logarithmic where the loss spans much."""
    bundle = {"text/plain": repr(it)}
    if it.losses and find_spec("matplotlib"):
        from matplotlib.figure import Figure

        ax = it.plot(Figure(figsize=(4.6, 2.6), layout="constrained").subplots())
        if 0.0 < 30.0 * min(it.losses) < max(it.losses):
            ax.set_yscale("log")
        picture = StringIO()
        ax.figure.savefig(picture, format="svg")
        bundle["image/svg+xml"] = picture.getvalue()
    return bundle


def listing(it: Any) -> Bundle:
    """Show what prints as a text of several lines: a compiled program, statistics."""
    return {"text/plain": str(it), "text/html": f"<pre>{escape(clean(str(it)))}</pre>"}


def paths(it: Any) -> Bundle:
    """Show Paths as a table, the most influential path first."""
    rows = [str(path).partition(": ")[::2] for path in it]
    rows.append((f"sum over all {it.count:,}", number(it.gradient)))
    return {"text/plain": str(it), "text/html": table(("path", "product"), rows)}


def recorder(it: Any) -> Bundle:
    """Show a Recorder as a table of its steps."""
    rows = [[str(frame.step), number(frame.loss)] for frame in it.frames]
    return {"text/plain": repr(it), "text/html": table(("step", "loss"), rows)}


DISPLAYS: dict[tuple[str, str], Callable[[Any], Bundle]] = {
    ("nodegrad.value", "Value"): value,
    ("nodegrad.nn.module", "Module"): module,
    ("nodegrad.training.history", "History"): history,
    ("nodegrad.compiler.compiled", "Compiled"): listing,
    ("nodegrad.diagnose", "Stats"): listing,
    ("nodegrad.show.paths", "Paths"): paths,
    ("nodegrad.show.players.training", "Recorder"): recorder,
}
