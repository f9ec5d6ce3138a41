"""A page that plays a graph forward and backward and lets every leaf be changed; it computes by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from nodegrad.inputs import flag
from nodegrad.show.drawing.fold import FOLD_ABOVE, Group, boxes, opened, single
from nodegrad.show.drawing.picture import arrows, cells, count_of, kind_of, label_of_group
from nodegrad.show.drawing.svg import Node, Picture, to_svg
from nodegrad.show.explaining.chain_rule import Names, is_smooth, local_derivative, local_formula, symbols
from nodegrad.show.explaining.formula import TEXT, write
from nodegrad.show.players.page import Page, build, packed
from nodegrad.show.players.rows import Row, literal, row_of, script
from nodegrad.show.snapshot import Vertex, is_constant, one_value, snapshot
from nodegrad.value import Value

__all__ = ["Player", "player"]

IN_FULL = 2_000  # nodes; a larger graph has no picture with every node
MOST = 50_000  # nodes; a page of more would take megabytes
OPENED = 12  # nodes that leave a box when it is opened
BOXES = 2_000  # boxes in the pictures of opened folds together
INLINE = 200_000  # characters of a picture that the page holds as it is; a larger one is packed
USUAL = "-0.3333"  # a box has room for such numbers; longer ones are written narrower
LEAF, CONSTANT = -1, -2  # what a page reads instead of a row


class Player(Page):
    """A page that plays a graph: `.save("player.html")`, `.show()`, or let a notebook show it.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0)
    >>> isinstance(ng.player(x * x), Player)
    True
    """


def player(output: Value, *, title: str = "", open_dots: bool = False, fold: bool | None = None) -> Player:
    """Make a page that plays the graph of a Value forward and backward, and lets every leaf be changed.

    It shows the node at work, its local derivatives, each `+=` and the running gradients, and replays three
    classic mistakes beside the right way. Drag a leaf, type its number or step it by the arrow keys: the page
    computes forward and backward by itself, with the operations that were recorded. A click on a node or an
    edge shows its chain rule; a click on a box of several nodes opens it.

    >>> x, w = Value(2.0, label="x"), Value(-3.0, label="w")
    >>> play = player((w * x).tanh())
    >>> play.save("player.html").name
    'player.html'

    An operation made by `custom` is computed too if its value can be applied to symbols. Otherwise its number
    stays as it was recorded, and the page says so.

    Args:
        output: the Value to play.
        title: the heading of the page.
        open_dots: show the products and the sum inside each `dot`.
        fold: begin with nodes of one shape in one box; by default if there are more than 120 nodes. The page
            can show every node as well, if there are 2,000 at most.

    Raises:
        TypeError: if output is not a Value.
        ValueError: if the graph has more than 50,000 nodes, or with fold=False more than 2,000.
    """
    root = one_value("player", output)
    fold = flag("player", "fold", fold, optional=True)
    vertices = snapshot([root], flag("player", "open_dots", open_dots))
    most = IN_FULL if fold is False else MOST
    if len(vertices) > most:
        raise ValueError(
            f"player shows graphs of up to {most:,} nodes{' unfolded' * (fold is False)}; this one has "
            f"{len(vertices):,}. Play one sample of it, or look at draw(output)."
        )
    page = _Graph(vertices)
    data = page.data()
    pictures = page.pictures(fold)
    packs = [None if at == 0 and len(it.svg) <= INLINE else packed(it.svg) for at, it in enumerate(pictures)]
    data |= {"pictures": page.boxes(pictures), "packed": packs}
    title = title or (f"{page.names[-1]}, forward and backward" if root.label else "Forward and backward")
    scripts = ("number", "graph", "story", "transport", "panel", "player")
    first = "" if packs[0] else pictures[0].svg
    return Player(build("player", title, data, scripts, svg=first, written=script(page.rows)), title)


@dataclass
class _Pictured:
    """A picture of the graph: its boxes, and which picture shows a box opened."""

    groups: Sequence[Group]
    prefix: str
    svg: str
    opens: dict[int, int] = field(default_factory=dict)


class _Graph:
    """What a page needs of a graph: its structure, its numbers, its names, and patterns for its formulas."""

    def __init__(self, vertices: list[Vertex]) -> None:
        self.vertices = vertices
        self.at = {vertex: at for at, vertex in enumerate(vertices)}
        self.names = list(map(Names(vertices).__getitem__, vertices))
        kinds = dict.fromkeys((vertex.op, len(vertex.operands)) for vertex in vertices if vertex.operands)
        self.kinds = {kind: at for at, kind in enumerate(kinds)}
        self.rows: list[Row] = [row_of(op, arity) for op, arity in kinds]
        self.fixed = {
            at: [local_derivative(v, i) if is_smooth(v, i) else 0.0 for i in range(len(v.operands))]
            for at, v in enumerate(vertices)
            if v.operands and not self.rows[self._kind(v)].computes(v)
        }

    def _kind(self, vertex: Vertex) -> int:
        """Return the number of the row that computes a vertex, or LEAF or CONSTANT."""
        if vertex.operands:
            return self.kinds[vertex.op, len(vertex.operands)]
        return LEAF if vertex.op is None else CONSTANT

    def data(self) -> dict[str, Any]:
        """Return all that the page needs besides the pictures."""
        forms: dict[Any, int] = {}
        return {
            "names": self.names,
            "row": [self._kind(vertex) for vertex in self.vertices],
            "operands": [[self.at[operand] for operand in vertex.operands] for vertex in self.vertices],
            "numbers": [_json(vertex.data) for vertex in self.vertices],
            "patterns": [row.pattern for row in self.rows],
            "form": [forms.setdefault(_forms(v), len(forms)) if v.operands else -1 for v in self.vertices],
            "forms": list(forms),
            "fixed": {at: list(map(_json, partials)) for at, partials in self.fixed.items()},
            "notes": list(self._notes()),
        }

    def _notes(self) -> Iterator[str]:
        """Say where the page's numbers differ from the recorded ones, or cannot change."""
        if any(vertex.stale for vertex in self.vertices):
            yield "Numbers were changed after the graph was computed from them; here it is computed again."
        for name in sorted({self.vertices[at].op.name for at in self.fixed}):
            yield (
                f"{name} is Python code that this page cannot repeat: its number and its local derivatives "
                "stay as they were recorded."
            )

    def pictures(self, fold: bool | None) -> list[_Pictured]:
        """Return the pictures: the first one, one for each fold opened, one with every node.

        Folding changes the vertices, so the picture with every node is drawn before.
        """
        size = len(self.vertices)
        full = [self._pictured(single(self.vertices), "all-")] if size <= IN_FULL else []
        if fold is False or (fold is None and size <= FOLD_ABOVE):
            return full
        groups = boxes(self.vertices, 0)
        pictures = [self._pictured(groups, "p0-")]
        shows: dict[Vertex, int] = {}
        drawn = 0
        for group in groups:
            if len(group.members) > 1 and drawn < BOXES:
                shows |= dict.fromkeys(group.members, len(pictures))
                pictures.append(self._pictured(opened(groups, group, OPENED), f"p{len(pictures)}-"))
                drawn += len(pictures[-1].groups)
        for at, pictured in enumerate(pictures):
            firsts = {box: x.members[0] for box, x in enumerate(pictured.groups) if len(x.members) > 1}
            pictured.opens = {box: shows[x] for box, x in firsts.items() if shows.get(x, at) != at}
        return pictures + full

    def _pictured(self, groups: Sequence[Group], prefix: str) -> _Pictured:
        """Draw groups with room for the numbers that usually stand there."""
        picture = Picture(list(map(self._node, groups)), arrows(groups))
        return _Pictured(groups, prefix, to_svg(picture, prefix))

    def _node(self, group: Group) -> Node:
        first, many = group.members[0], len(group.members) > 1
        at = self.at[first]
        name = f"{label_of_group(group)} {count_of(group)}".strip() if many else self.names[at]
        title = f"{name or group.symbol}: {len(group.members):,} nodes, click to open" if many else ""
        kind = kind_of(group, self.vertices[-1:]) + " fixed" * (at in self.fixed)
        if is_constant(first):
            return Node((" ".join(cells(group)),), "", kind, title=title)
        widest = f"{USUAL} … {USUAL}" if many else USUAL
        return Node((f"{name}\ndata {widest}\ngrad {widest}",), group.symbol, kind, title=title)

    def boxes(self, pictures: Sequence[_Pictured]) -> list[dict[str, Any]]:
        """Return which nodes the boxes of each picture hold, and which picture shows one opened.

        A box is a list of nodes, or the number of a box of the first picture that holds the same.
        """
        known: dict[tuple[int, ...], int] = {}
        found: list[dict[str, Any]] = []
        for pictured in pictures:
            members = [tuple([self.at[vertex] for vertex in group.members]) for group in pictured.groups]
            known = known or {nodes: box for box, nodes in enumerate(members)}
            boxes = [known[nodes] if found and nodes in known else nodes for nodes in members]
            found.append({"boxes": boxes, "opens": pictured.opens, "prefix": pictured.prefix})
        return found


def _forms(vertex: Vertex) -> tuple[str | None, ...]:
    """Return a pattern for the formula of each partial; None where it is 0, empty where there is no formula.

    The places {0}, {1} ... stand for the names of the operands, the one after them for the vertex itself.
    """
    around = (*vertex.operands, vertex)
    places = symbols(around, {it: f"{{{at}}}" for at, it in enumerate(around)})
    return tuple(
        write(local_formula(vertex, index, places), TEXT) if is_smooth(vertex, index) else None
        for index in range(len(vertex.operands))
    )


def _json(x: float) -> float | str:
    """Write a number as JSON can hold it and JavaScript reads it."""
    return x if isfinite(x) else literal(x)
