"""SVG text of a laid-out picture: boxes with cells of text, operators on their border, curved arrows."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import dist

from nodegrad.show.layout import Box, Layout, Point, lay_out
from nodegrad.show.text import clean, part

__all__ = ()

FONT_SIZE = 12.0
SMALL = 10.0  # font size of constants and edge labels
PADDING = 7.0  # beside the text of a cell
PILL = 18.0  # height of the operator's pill
ARROW, WING = 7, 3  # length of an arrow head, and half its width
MARGIN = 8.0  # around the whole picture

# Widths of Helvetica and its metric twins, as shares of the font size, in six classes.
_WIDTHS = dict.fromkeys(" !,./:;I[\\]ft|'ijl", 0.28)
_WIDTHS |= dict.fromkeys('()-`r{}"*^', 0.39)
_WIDTHS |= dict.fromkeys("0123456789#$?L_abdeghnopquJckvsxyz", 0.56)
_WIDTHS |= dict.fromkeys("+<=>~FTZ&ABEKPSVXY", 0.67)
_WIDTHS |= dict.fromkeys("CDHNRUwGOQ", 0.78)
_WIDTHS |= dict.fromkeys("Mm%W@", 0.95)


@dataclass(frozen=True)
class Node:
    """One box: its cells side by side, and the operator that feeds it, if any.

    `kind` holds style classes: "value", "leaf", "constant", "output", "fold", "stale", "highlight". `fill`
    overrides the colour of the box ("#rrggbb"); the text turns black or white to suit it.
    `title` is the tooltip and what a screen reader says.
    """

    cells: tuple[str, ...]
    symbol: str = ""
    kind: str = "value"
    fill: str = ""
    title: str = ""


@dataclass(frozen=True)
class Edge:
    """One arrow between two nodes, given by their positions in the picture."""

    source: int
    target: int
    label: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Picture:
    """What to draw, before the layout."""

    nodes: Sequence[Node]
    edges: Sequence[Edge] = field(default=())
    title: str = "computation graph"
    rankdir: str = "LR"


def to_svg(picture: Picture, prefix: str = "") -> str:
    """Lay out `picture` and write it as one standalone SVG element.

    Nodes carry the ids `node-3` and edges `edge-3-5-0` (source, target, count among parallels), after
    `prefix` where several pictures share a page. Nothing in a label becomes markup.

    >>> nodes = [Node(("x", "2.0")), Node(("y", "4.0"), symbol="*")]
    >>> svg = to_svg(Picture(nodes, [Edge(0, 1), Edge(0, 1)]))
    >>> svg.count('class="edge"'), 'id="edge-0-1-1"' in svg
    (2, True)
    """
    layout = place(picture)
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    title = _text(picture.title)
    edges, count = [], Counter[tuple[int, int]]()
    for edge, route in zip(picture.edges, layout.routes, strict=True):
        ends = edge.source, edge.target
        name = f"{prefix}edge-{edge.source}-{edge.target}-{count[ends]}"
        count[ends] += 1
        edges.append(_edge(edge, route, picture.rankdir, name))
    placed = enumerate(zip(picture.nodes, layout.centres, strict=True))
    nodes = [_node(node, centre, picture.rankdir, f"{prefix}node-{at}") for at, (node, centre) in placed]
    view = f"{_n(-MARGIN)} {_n(-MARGIN)} {_n(width)} {_n(height)}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nodegrad" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="{view}" role="img" aria-label="{title}">'
    )
    lines = [head, f"<title>{title}</title>", f"<style>{part('graph.css')}</style>", *edges, *nodes, "</svg>"]
    return "\n".join(lines) + "\n"


def place(picture: Picture) -> Layout:
    """Lay out `picture` with room for its labels."""
    labels = [text_width(edge.label, SMALL) for edge in picture.edges if edge.label]
    boxes = [measure(node, picture.rankdir) for node in picture.nodes]
    ends = [(edge.source, edge.target) for edge in picture.edges]
    return lay_out(boxes, ends, picture.rankdir, layer_gap=max([28.0, *(width + 24 for width in labels)]))


def measure(node: Node, rankdir: str = "LR") -> Box:
    """Return the size of a node's box, its operator included.

    >>> measure(Node(("x",)))
    Box(width=24.0, height=24.0)
    """
    widths, height = _cells(node)
    pill = _pill_width(node)
    if rankdir == "TB":
        return Box(max(sum(widths), pill), height + (PILL if pill else 0.0))
    return Box(sum(widths) + pill, height)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Estimate the width of one line of text; wide characters and emoji count as such.

    >>> text_width("iii") < text_width("www") < text_width("漢漢漢漢")
    True
    """
    return size * sum(_char_width(char) for char in text)


def _text(text: str) -> str:
    return escape(clean(text), quote=True)


def _lines(text: str) -> list[str]:
    """Split a cell into the lines that are drawn."""
    return [clean(line).replace("\t", "    ") for line in text.splitlines()] or [""]


def _char_width(char: str) -> float:
    if char in _WIDTHS:
        return _WIDTHS[char]
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return 1.3 if unicodedata.category(char) == "So" else 1.0
    return 0.65


def _size(node: Node) -> float:
    return SMALL if "constant" in node.kind.split() else FONT_SIZE


def _cells(node: Node) -> tuple[list[float], float]:
    """Return the width of each cell, at least a square one, and the height they share."""
    size = _size(node)
    padding = PADDING * size / FONT_SIZE
    rows = [_lines(cell) for cell in node.cells]
    height = max([len(lines) for lines in rows], default=1) * size * 1.25 + 0.75 * size
    widths = [max(text_width(line, size) for line in lines) + 2 * padding for lines in rows]
    return [max(width, height) if len(widths) == 1 else width for width in widths], height


def _pill_width(node: Node) -> float:
    return max(PILL, text_width(clean(node.symbol)) + 8) if node.symbol else 0.0


def _n(number: float) -> str:
    """Write a coordinate short: one decimal, no trailing zero, no minus zero."""
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _attributes(name: str, kind: str, title: str = "") -> str:
    label = f' aria-label="{_text(title)}"' if title else ""
    return f'id="{_text(name)}" class="{kind.strip()}"{label}'


def ink(fill: str) -> str:
    """Return the colour of text that can be read on `fill`: black or white.

    >>> ink("#ffffff"), ink("#08306b")
    ('#000000', '#ffffff')
    """
    red, green, blue = ((part / 255) ** 2.2 for part in bytes.fromhex(fill[1:]))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "#ffffff"


def _node(node: Node, centre: Point, rankdir: str, name: str) -> str:
    box, (widths, height), pill = measure(node, rankdir), _cells(node), _pill_width(node)
    left, top = centre[0] - box.width / 2, centre[1] - box.height / 2
    # The operator's pill straddles the border where the operands arrive.
    if rankdir == "TB":
        width = box.width
        pill_centre = (centre[0], top + PILL / 2)
        x, y = left, top + (PILL if pill else 0.0)
        start = centre[0] - sum(widths) / 2
    else:
        width = box.width - pill / 2
        pill_centre = (left + pill / 2, centre[1])
        x, y = left + pill / 2, top
        start = left + pill
    style, text = [f' style="fill:{it}"' for it in (node.fill, ink(node.fill))] if node.fill else ("", "")
    parts = [
        f"<g {_attributes(name, f'node {node.kind}', node.title)}>",
        f"<title>{_text(node.title)}</title>" if node.title else "",
        f'<rect class="body"{_rectangle(x, y, width, height)} rx="4"{style}/>',
    ]
    for at, (cell, room) in enumerate(zip(node.cells, widths, strict=True)):
        if at:
            parts.append(f'<path class="rule" d="M{_n(start)} {_n(y)}v{_n(height)}"/>')
        parts.append(_cell(_lines(cell), start + room / 2, y + height / 2, _size(node), text))
        start += room
    if pill:
        px, py = pill_centre
        shape = _rectangle(px - pill / 2, py - PILL / 2, pill, PILL)
        parts.append(f'<rect class="pill"{shape} rx="{_n(PILL / 2)}"/>')
        parts.append(_cell([clean(node.symbol)], px, py, FONT_SIZE, ""))
    return "".join([*parts, "</g>"])


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f' x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'


def _cell(lines: list[str], x: float, y: float, size: float, style: str) -> str:
    if len(lines) == 1:
        return f'<text x="{_n(x)}" y="{_n(y)}"{style}>{_text(lines[0])}</text>'
    first = y - (len(lines) - 1) * size * 1.25 / 2
    spans = [
        f'<tspan x="{_n(x)}" y="{_n(first + at * size * 1.25)}">{_text(line)}</tspan>'
        for at, line in enumerate(lines)
    ]
    return f"<text{style}>{''.join(spans)}</text>"


def _edge(edge: Edge, route: tuple[Point, ...], rankdir: str, name: str) -> str:
    curves = zip(route[1::3], route[2::3], route[3::3], strict=True)
    path = f"M{_pair(route[0])}" + "".join(f"C{_pair(a)} {_pair(b)} {_pair(c)}" for a, b, c in curves)
    # Routes arrive along the direction of the layout.
    back = f"l{-WING} {-ARROW}h{2 * WING}" if rankdir == "TB" else f"l{-ARROW} {-WING}v{2 * WING}"
    parts = [
        f"<g {_attributes(name, f'edge {edge.kind}')}>",
        f'<path d="{path}"/>',
        f'<path class="head" d="M{_pair(route[-1])}{back}z"/>',
    ]
    if edge.label:
        middle = _middle(route)
        parts.append(_cell([" ".join(_lines(edge.label))], *middle, SMALL, ""))
    return "".join([*parts, "</g>"])


def _pair(point: Point) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _middle(route: tuple[Point, ...]) -> Point:
    """Return the middle of the last long curve: near the target, where edges of one source are apart."""
    curves = [route[at : at + 4] for at in range(0, len(route) - 1, 3)]
    wanted = min(30.0, max(dist(curve[0], curve[3]) for curve in curves))
    a, b, c, d = [curve for curve in curves if dist(curve[0], curve[3]) >= wanted][-1]
    return (a[0] + 3 * b[0] + 3 * c[0] + d[0]) / 8, (a[1] + 3 * b[1] + 3 * c[1] + d[1]) / 8
