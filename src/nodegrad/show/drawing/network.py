"""A model of layers as a network of circles: each line is a weight, wide if the weight is large."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from nodegrad.show.palette import coloured
from nodegrad.show.text import clean, counted, number, part
from nodegrad.show.window import Still

__all__ = ["Network"]

SHOWN = 16  # circles of a layer; a longer one is drawn without its middle
RADIUS, ROW, COLUMN, MARGIN = 11.0, 32.0, 150.0, 26.0
WIDEST = 4.5  # width of a line


@dataclass(frozen=True)
class Column:
    """The circles of one layer: their titles, how many there are in all, and what stands below them."""

    titles: Sequence[str]
    caption: str
    kind: str = ""

    @property
    def cut(self) -> bool:
        """Whether there are more circles than are shown."""
        return len(self.titles) > SHOWN

    @property
    def places(self) -> list[int]:
        """The positions of the circles shown: all, or the first and the last of many."""
        every, half = list(range(len(self.titles))), SHOWN // 2
        return [*every[:half], *every[-half:]] if self.cut else every


class Network(Still):
    """A picture of a model. In a notebook it shows itself; `.save("network.svg")` or `.png` writes it.

    >>> import nodegrad as ng
    >>> ng.draw(ng.nn.MLP(2, [3, 1], seed=1))
    <Network of 2, 3, 1>
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        inputs = [f"input {at}" for at in range(len(layers[0].neurons[0].w))]
        columns = [Column(list(map(_title, layer.neurons)), _caption(layer)) for layer in layers]
        self.columns = [Column(inputs, counted(len(inputs), "input"), "input"), *columns]
        self.weights = [[neuron.w for neuron in layer.neurons] for layer in layers]
        most = max(len(column.places) for column in self.columns)
        self.height = (most + 0.8 * any(column.cut for column in self.columns)) * ROW + 2 * MARGIN + 22
        width = (len(self.columns) - 1) * COLUMN + 2 * (MARGIN + 28)
        self.name = f"Network of {', '.join(str(len(column.titles)) for column in self.columns)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="nodegrad-network" width="{width:.0f}" '
            f'height="{self.height:.0f}" viewBox="0 0 {width:.0f} {self.height:.0f}" role="img" '
            f'aria-label="{self.name}">'
        )
        style = f"<style>{coloured(part('network.css'))}</style>"
        self.svg = "\n".join([head, style, *self._lines(), *self._circles(), "</svg>", ""])

    def _place(self, at: int, row: float) -> tuple[float, float]:
        """Return the centre of a circle, given its row among those shown."""
        column = self.columns[at]
        from_middle = row - (len(column.places) - 1) / 2
        gap = math.copysign(0.4, from_middle) if column.cut and from_middle else 0.0
        return MARGIN + 28 + at * COLUMN, (self.height - 22) / 2 + (from_middle + gap) * ROW

    def _lines(self) -> Iterator[str]:
        sizes = [abs(w._data) for rows in self.weights for row in rows for w in row if math.isfinite(w._data)]
        largest = max(sizes, default=0.0) or 1.0
        shown = [
            (abs(w._data), column, left, right, w)
            for column, rows in enumerate(self.weights)
            for right, at in enumerate(self.columns[column + 1].places)
            for left, w in enumerate([rows[at][source] for source in self.columns[column].places])
        ]
        for size, column, left, right, w in sorted(shown, key=lambda line: line[0]):  # the heaviest on top
            (x, y), (to_x, to_y) = self._place(column, left), self._place(column + 1, right)
            share = min(1.0, size / largest) if math.isfinite(size) else 1.0
            kind = "minus" if w._data < 0.0 else "plus"
            ends = f'x1="{x:.0f}" y1="{y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}"'
            look = f'stroke-width="{0.4 + (WIDEST - 0.4) * share:.1f}" opacity="{0.25 + 0.65 * share:.2f}"'
            title = escape(clean(f"{w.label}: {number(w._data)}"))
            yield f'<line class="{kind}" {ends} {look}><title>{title}</title></line>'

    def _circles(self) -> Iterator[str]:
        for at, column in enumerate(self.columns):
            places = column.places
            for row, place in enumerate(places):
                x, y = self._place(at, row)
                title = escape(clean(column.titles[place]))
                centre = f'cx="{x:.0f}" cy="{y:.0f}" r="{RADIUS:.0f}"'
                yield f'<circle class="{column.kind}" {centre}><title>{title}</title></circle>'
            x, middle = self._place(at, (len(places) - 1) / 2)
            if column.cut:
                yield f'<text x="{x:.0f}" y="{middle:.0f}">⋮</text>'
            yield f'<text x="{x:.0f}" y="{self.height - 14:.0f}">{escape(clean(column.caption))}</text>'

    def __repr__(self) -> str:
        return f"<{self.name}>"


def network(model: Any) -> Network:
    """Draw a neuron, a layer, or a model that applies a list of layers one after the other.

    Raises:
        TypeError: if it is not such a model.
    """
    layers = _layers(model)
    if not layers:
        raise _undrawn(f"{type(model).__name__} has none")
    for before, after in pairwise(layers):
        outputs, inputs = len(before.neurons), len(after.neurons[0].w)
        if outputs != inputs:
            raise _undrawn(f"here a layer of {outputs} outputs comes before one of {inputs} inputs")
    return Network(layers)


def _undrawn(reason: str) -> TypeError:
    return TypeError(
        f"draw shows models that apply layers of neurons one after the other; {reason}. draw(model(x)) draws "
        "the graph of any model."
    )


def _layers(model: Any) -> list[Any]:
    """List the layers that a model applies in turn.

    Raises:
        TypeError: if a part with parameters is not a layer of neurons.
    """
    if hasattr(model, "neurons"):
        return [model]
    if hasattr(model, "w") and hasattr(model, "b"):
        return [SimpleNamespace(neurons=[model])]
    parts = getattr(model, "layers", getattr(model, "modules", None))
    if not isinstance(parts, list):
        if getattr(model, "parameters", list)():
            raise _undrawn(f"{type(model).__name__} is something else")
        return []
    return [layer for part in parts for layer in _layers(part)]


def _title(neuron: Any) -> str:
    bias = "" if neuron.b is None else f", bias {number(neuron.b._data)}"
    return f"{neuron!r}{bias}"


def _caption(layer: Any) -> str:
    return f"{len(layer.neurons)} {getattr(layer.neurons[0], 'name', 'neuron')}"
