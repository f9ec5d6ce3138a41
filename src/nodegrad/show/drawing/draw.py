"""Draw a computation graph: with Graphviz's `dot` if it is installed, otherwise with our own layout."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, overload

from nodegrad.graph import topological_order
from nodegrad.inputs import described, flag, one_of, whole
from nodegrad.show.drawing.dot import escape, escape_field, to_dot
from nodegrad.show.drawing.fold import FOLD_ABOVE, Group, cut, flatten, folded, single
from nodegrad.show.drawing.network import Network, network
from nodegrad.show.drawing.picture import Style, picture
from nodegrad.show.drawing.svg import Picture, to_svg
from nodegrad.show.paths import Path as Route
from nodegrad.show.snapshot import Vertex, label_of, one_value, snapshot, values
from nodegrad.show.text import part
from nodegrad.show.window import Still, rasterized
from nodegrad.value import Value

__all__ = ["Drawing", "draw", "draw_dot"]

BOXES = 40  # a folded picture with more boxes gets coarser
OPENED = 24  # nodes that leave a box when it is opened; the rest of it stays folded
DOT_SECONDS = 3.0  # how long to wait for Graphviz, which needs 0.1 for 30 boxes and minutes for 12,000
PROGRAMS = ("dot", "graphviz-pure")  # the latter is a port that pip installs
NO_DOT = "Graphviz's `dot` is not on the PATH"


class Drawing(Still):
    """A picture of a computation graph, with the numbers it held when it was drawn.

    In a notebook it shows itself. `dot` is the graph in Graphviz's language, `svg` is the picture. `folds`
    counts the nodes in each box that holds several; its keys are the names that `expand` takes.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0, label="x")
    >>> ng.draw(x * x).nodes
    2
    """

    kinds = ("svg", "dot", "gv", "png", "pdf")

    def __init__(self, nodes: int, order: list[Vertex], outputs: list[Vertex], style: Style) -> None:
        self.nodes, self._order, self._outputs, self._style = nodes, order, outputs, style

    @cached_property
    def _groups(self) -> list[Group]:
        style, kept = self._style, set(self._outputs)
        most = style.limit if style.apart else BOXES
        groups = folded(self._order, style.apart | kept, most) if style.fold else single(self._order)
        ends = [group for group in groups if not kept.isdisjoint(group.members)]
        return cut(groups, ends, style.depth, style.limit)

    @cached_property
    def _picture(self) -> Picture:
        return picture(self._groups, set(self._outputs), self._style)

    @property
    def boxes(self) -> int:
        """The number of boxes drawn."""
        return len(self._groups)

    @property
    def folds(self) -> dict[str, int]:
        """The boxes that hold several nodes: their names, and how many nodes each holds."""
        sizes = [len(group.members) for group in self._groups]
        return {f"fold {at}": size for at, size in enumerate(sizes) if size > 1}

    def expand(self, *names: str) -> "Drawing":
        """Return the same drawing with some boxes opened: their first 24 nodes stand alone.

        Raises:
            ValueError: for a name that is not among `folds`.
        """
        for name in names:
            if name not in self.folds:
                known = ", ".join(self.folds) or "none"
                raise ValueError(f"expand takes names from {known}; got {name!r}.")
        found = [self._groups[int(name.split()[1])].members for name in names]
        opened = {vertex for members in found for vertex in members[:OPENED]}
        style = replace(self._style, apart=self._style.apart | opened)
        return Drawing(self.nodes, self._order, self._outputs, style)

    @cached_property
    def dot(self) -> str:
        """The text for Graphviz."""
        return to_dot(self._picture)

    @cached_property
    def svg(self) -> str:
        """The picture as one SVG element."""
        engine = self._style.engine
        if engine == "dot" or (engine is None and _program()):
            try:
                text = self._graphviz("svg", None if engine else DOT_SECONDS).decode()
                head, rest = text[text.index("<svg") + 4 :].split(">", 1)
                return f'<svg class="nodegrad-dot"{head}><style>{part("dot.css")}</style>{rest}'
            except (OSError, RuntimeError, ValueError):  # ValueError: the output is not an SVG
                if engine:
                    raise
        return to_svg(self._picture)

    def content(self, kind: str) -> bytes:
        """Return the picture as a file of this kind holds it: "svg", "dot", "gv", "png" or "pdf".

        A .png comes from Graphviz, or else from the library resvg-py; a .pdf needs Graphviz's `dot`.

        Raises:
            ValueError: for another kind.
            RuntimeError: if the program or library that makes such a picture is missing or fails.
        """
        if kind in ("dot", "gv"):
            return self.dot.encode()
        if kind == "png" and not _program():
            return rasterized(to_svg(self._picture))
        return self._graphviz(kind, None) if kind in ("png", "pdf") else super().content(kind)

    def _graphviz(self, kind: str, seconds: float | None) -> bytes:
        """Have Graphviz lay the graph out.

        Raises:
            RuntimeError: if there is no `dot`, or it fails, or takes longer than `seconds`.
        """
        program = _program()
        remedy = "Install Graphviz, or save an .svg, which needs nothing."
        if program is None:
            raise RuntimeError(f"{NO_DOT}, and this .{kind} needs it. {remedy}")
        try:
            text, command = self.dot.encode(), [program, f"-T{kind}"]
            done = subprocess.run(command, input=text, capture_output=True, timeout=seconds, check=True)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"Graphviz's `dot` did not finish within {seconds} s. {remedy}") from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise RuntimeError(f"Graphviz's `dot` failed: {said[:300]} {remedy}") from error
        if not done.stdout:  # graphviz-pure returns nothing for a kind that it cannot write
            raise RuntimeError(f"{Path(program).name} writes no .{kind}. {remedy}")
        return done.stdout

    def __repr__(self) -> str:
        return f"<Drawing of {self.nodes:,} nodes in {self.boxes:,} boxes>"


class Model(Protocol):
    """An object with parameters; it is drawn as a network."""

    def parameters(self) -> list[Value]:
        """List the parameters."""


@overload
def draw(model: Model, /) -> Network: ...


@overload
def draw(
    *outputs: Value | Sequence[Value],
    rankdir: str = "LR",
    fold: bool | None = None,
    open_dots: bool = False,
    depth: int | None = None,
    limit: int = 200,
    highlight: Value | Iterable[Value] = (),
    colour: str | None = None,
    before: Drawing | Mapping[Value, float] | None = None,
    engine: str | None = None,
) -> Drawing: ...


def draw(
    *outputs: Any,
    rankdir: str = "LR",
    fold: bool | None = None,
    open_dots: bool = False,
    depth: int | None = None,
    limit: int = 200,
    highlight: Value | Iterable[Value] = (),
    colour: str | None = None,
    before: Drawing | Mapping[Value, float] | None = None,
    engine: str | None = None,
) -> Drawing | Network:
    """Draw the graph of one or more Values: every node once, with its label, its number and its gradient.

    Given a model, draw its network instead: circles are neurons, lines are weights. A wide line is a large
    weight, a dashed line a negative one.

    >>> x, y = Value(2.0, label="x"), Value(3.0, label="y")
    >>> z = x * y + x
    >>> z.backward()
    >>> drawing = draw(z)
    >>> drawing
    <Drawing of 4 nodes in 4 boxes>
    >>> drawing.save("graph.svg").name
    'graph.svg'

    Args:
        outputs: the Values to draw, with all they are computed from; or one model of layers in turn.
        rankdir: "LR" for left to right, "TB" for top to bottom.
        fold: put nodes of one shape into one box with a count; by default if there are more than 120 nodes.
            `Drawing.expand` opens a box.
        open_dots: draw the products and the sum inside each `dot`.
        depth: how many edges away from the outputs to go.
        limit: how many boxes to draw at most, the nearest to the outputs first; "…" stands for the rest.
        highlight: Values to mark, with the edges between them, or a path that `paths` found.
        colour: "grad" shades each box by the size of its gradient on a logarithmic scale, dark for large.
        before: an earlier drawing, or gradients by Value: each gradient is shown as before → now.
        engine: "dot" for Graphviz or "own" for our own layout; by default Graphviz where it is on the PATH
            and done within 3 seconds, and our own otherwise.

    Raises:
        TypeError: if an output is not a Value, or a model is not made of layers in turn.
        ValueError: for an unknown rankdir, colour or engine, a limit or depth out of range, or no output.
    """
    if len(outputs) == 1 and hasattr(outputs[0], "parameters") and not isinstance(outputs[0], type):
        return network(outputs[0])
    roots = values("draw", outputs)
    if not roots:
        raise ValueError("draw takes at least one Value; got none.")
    whole("draw", "limit", limit, 1)
    whole("draw", "depth", depth, 0, optional=True)
    one_of("draw", "rankdir", rankdir, ("LR", "TB"))
    one_of("draw", "colour", colour, (None, "grad"))
    one_of("draw", "engine", engine, (None, "dot", "own"))
    fold = flag("draw", "fold", fold, optional=True)
    order = snapshot(roots, flag("draw", "open_dots", open_dots))
    made = {vertex.value: vertex for vertex in order}
    if isinstance(before, Drawing):
        before = {vertex.value: vertex.grad for vertex in before._order if vertex.value is not None}
    if before is not None and not isinstance(before, Mapping):
        raise TypeError(
            f"draw takes before as a Drawing, or as a dict of gradients by Value; got {described(before)}."
        )
    ends = [made[root] for root in roots]
    marked = tuple(made[value] for value in values("draw", [highlight]) if value in made)
    along = isinstance(highlight, Route)
    nodes = len(order)
    fold = nodes > FOLD_ABOVE if fold is None else fold
    if fold:
        order = flatten(order, {*ends, *marked})
    style = Style(rankdir, fold, depth, limit, colour, engine, marked, along, before or {})
    return Drawing(nodes, order, ends, style)


def _program() -> str | None:
    """Return the path of Graphviz's `dot` or its port, if one is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR") -> Any:
    """Return the graph of a Value as a `graphviz.Digraph`, drawn as in the micrograd lectures.

    `.source` is its text. `.render()` and notebooks use Graphviz's `dot`, or our own layout if there is none.

    >>> x = Value(2.0, label="x")
    >>> dot = draw_dot(x * x)
    >>> dot.format, dot.source.count("->")
    ('svg', 3)

    Raises:
        TypeError: if root is not a Value.
        ValueError: for an unknown rankdir.
    """
    root = one_value("draw_dot", root)
    one_of("draw_dot", "rankdir", rankdir, ("LR", "TB"))
    from nodegrad.show.drawing.digraph import Digraph  # imports graphviz

    drawing = draw(root, rankdir=rankdir, engine="own")
    dot = Digraph(format=format, graph_attr={"rankdir": rankdir})
    dot.drawing = drawing
    order = topological_order(root)
    # A constant exponent is part of the operation's text.
    exponents = {node.operands[1] for node in order if re.fullmatch(r"\*\*.+", node._op)}
    for node in order:
        if node in exponents:
            continue
        name = str(id(node))
        label = f"{{ {escape_field(label_of(node))} | data {node._data:.4f} | grad {node.grad:.4f} }}"
        dot.node(name=name, label=label, shape="record")
        if node.operands:
            dot.node(name=name + node._op, label=escape(node._op))
            dot.edge(name + node._op, name)
        for operand in node.operands:
            if operand not in exponents:
                dot.edge(str(id(operand)), name + node._op)
    return dot
