"""Turn groups of vertices into a picture: what each box says, its colour, and the arrows between boxes."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from operator import attrgetter
from os.path import commonprefix
from types import MappingProxyType
from typing import Any

from nodegrad.show.drawing.fold import Group
from nodegrad.show.drawing.svg import Edge, Node, Picture
from nodegrad.show.snapshot import Vertex, is_constant
from nodegrad.show.text import counted, number, shorten

__all__ = ()

# One hue, light to dark: greyscale shows the same order.
SCALE = (247, 251, 255), (107, 174, 214), (8, 48, 107)
FAINTEST = 0.12  # how dark the smallest gradient other than 0 is
DECADES = 1.0, 6.0  # the least and the largest number of powers of ten that the scale spans
NOT_FINITE = "#ffd23f"  # a hue of its own, but light in greyscale; the text of the box says nan or inf


@dataclass(frozen=True)
class Style:
    """What `draw` was asked for."""

    rankdir: str = "LR"
    fold: bool = False
    depth: int | None = None
    limit: int = 200
    colour: str | None = None
    engine: str | None = None
    highlight: tuple[Vertex, ...] = ()
    along: bool = False  # whether only edges from each highlighted vertex to the next are highlighted too
    before: Mapping[Any, float] = field(default_factory=dict)
    apart: frozenset[Vertex] = frozenset()  # what has left its box


PLAIN = Style()


def picture(groups: Sequence[Group], outputs: Collection[Vertex], style: Style = PLAIN) -> Picture:
    """Describe every group as a node of the picture, operands before what is made from them.

    Highlighted vertices mark their boxes, and the edges between any two of them, or `along` the sequence.
    """
    place = {group: at for at, group in enumerate(groups)}
    shade = _shading(groups) if style.colour else lambda group: ""
    chosen = set(style.highlight)
    marked = {vertex: group for group in groups for vertex in group.members if vertex in chosen}
    boxes = [marked[vertex] for vertex in style.highlight if vertex in marked]
    links = set(pairwise(boxes)) if style.along else set(product(boxes, boxes))
    nodes: list[Node] = []
    had_backward = bool(style.before) or any(vertex.grad for group in groups for vertex in group.members)
    for group in groups:
        kind = kind_of(group, outputs) + " highlight" * (group in boxes) + " stale" * is_stale(group)
        texts = cells(group, style.before, had_backward or not style.fold)
        nodes.append(Node(texts, group.symbol, kind, shade(group), _title(group, len(nodes))))
    edges = []
    for group in groups:
        for source, count in group.feeds:
            label = f"{count} each" if 1 < count < len(source.members) else ""
            kind = "highlight" if (source, group) in links else ""
            edges.append(Edge(place[source], place[group], label, kind))
    caption = f"computation graph of {counted(sum(len(group.members) for group in groups), 'node')}"
    return Picture(nodes, edges, caption, style.rankdir)


def arrows(groups: Sequence[Group]) -> list[Edge]:
    """Return the arrows between groups, without labels."""
    place = {group: at for at, group in enumerate(groups)}
    return [Edge(place[source], place[group]) for group in groups for source, _ in group.feeds]


def kind_of(group: Group, outputs: Collection[Vertex]) -> str:
    """Return the class by which a box gets its style."""
    if not group.members or is_constant(group.members[0]):
        return "constant"
    if group.members[0] in outputs:
        return "output"
    if len(group.members) > 1:
        return "fold"
    return "value" if group.members[0].op else "leaf"


def is_stale(group: Group) -> bool:
    """Whether a node of a box was computed from numbers that have changed since."""
    return any(map(attrgetter("stale"), group.members))


def cells(
    group: Group, before: Mapping[Any, float] = MappingProxyType({}), gradients: bool = True
) -> tuple[str, ...]:
    """Return the texts of a box: label, number, gradient; for several nodes their count and ranges."""
    if not group.members:
        return ("…",)
    data = _range([vertex.data for vertex in group.members]) + " (stale)" * is_stale(group)
    many = count_of(group)
    if is_constant(group.members[0]):
        return tuple(filter(None, [data, many]))
    label = shorten(label_of_group(group))
    gradient = f"grad {_range([vertex.grad for vertex in group.members])}" if gradients else ""
    earlier = [before[vertex.value] for vertex in group.members if vertex.value in before]
    if earlier:
        gradient = f"grad {_range(earlier)} → {gradient.removeprefix('grad ')}"
    if many:
        return ("\n".join(filter(None, [f"{label} {many}".strip(), f"data {data}", gradient])),)
    return tuple(filter(None, [label, f"data {data}", gradient]))


def count_of(group: Group) -> str:
    """Write how many nodes a box holds: samples × neurons × inputs, or the operations of a loop."""
    if group.symbol != "loop":
        return " ".join(f"× {factor:,}" for factor in group.factors)
    turns = Counter(vertex.op.symbol or vertex.op.name for vertex in group.members).most_common()
    shown = ", ".join(f"{symbol} × {times:,}" for symbol, times in turns[:4])
    return f"{shown}, …" if len(turns) > 4 else shown


def label_of_group(group: Group) -> str:
    """Return the label of a box: that of its nodes, or what their labels begin with."""
    labels = {vertex.label for vertex in group.members}
    stem = commonprefix([*labels])  # noqa: RUF071  # its characters, not parts of a path
    return f"{stem.rstrip('[({_.-')}…" if stem and len(labels) > 1 else stem


def _range(numbers: Sequence[float]) -> str:
    """Write the least and the greatest of some numbers; nan if one of them is."""
    if math.isnan(sum(numbers)) and any(map(math.isnan, numbers)):  # inf - inf is nan too
        return "nan"
    ends = dict.fromkeys([min(numbers), max(numbers)])  # most often one: to write it takes the longest
    return " … ".join(dict.fromkeys(map(number, ends)))


def _title(group: Group, at: int) -> str:
    """Return the tooltip: the numbers in full, or the name by which `Drawing.expand` opens the box."""
    if not group.members:
        return f"{counted(group.hidden, 'node')} and what they are made from, not drawn"
    if len(group.members) > 1:
        kind = "in a loop" if group.symbol == "loop" else "of one shape"
        return f"fold {at}: {len(group.members):,} nodes {kind}"
    vertex = group.members[0]
    made = f"{vertex.op.name}: " if vertex.op else ""
    name = f"{vertex.label}: " if vertex.label else ""
    old = ", computed from numbers that have changed since" if vertex.stale else ""
    return f"{name}{made}data {vertex.data!r}, grad {vertex.grad!r}{old}"


def _shading(groups: Sequence[Group]) -> Callable[[Group], str]:
    """Return the colour of a group by its largest gradient, on a logarithmic scale."""
    sizes = {group: _largest([vertex.grad for vertex in group.members]) for group in groups}
    logs = [math.log10(size) for size in sizes.values() if 0.0 < size < math.inf]
    top = max(logs, default=0.0)
    span = min(max(top - min(logs, default=0.0), DECADES[0]), DECADES[1])

    def shade(group: Group) -> str:
        size = sizes[group]
        if not group.members or is_constant(group.members[0]):
            return ""
        if not math.isfinite(size):
            return NOT_FINITE
        if size == 0.0:
            return blend(0.0)
        faded = min((top - math.log10(size)) / span, 1.0)
        return blend(1.0 - faded * (1.0 - FAINTEST))

    return shade


def _largest(numbers: Sequence[float]) -> float:
    return math.nan if any(math.isnan(x) for x in numbers) else max(map(abs, numbers), default=0.0)


def blend(depth: float) -> str:
    """Return a colour of the scale; `depth` runs from 0 for light to 1 for dark.

    >>> blend(0.0), blend(0.5), blend(1.0)
    ('#f7fbff', '#6baed6', '#08306b')
    """
    lower = min(int(2 * depth), 1)
    part = 2 * depth - lower
    pairs = zip(SCALE[lower], SCALE[lower + 1], strict=True)
    return "#" + "".join(f"{round(light + part * (dark - light)):02x}" for light, dark in pairs)
