"""Record a training as it goes: the loss, the parameters, the graph of one sample, what the model says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nodegrad.data import Samples
from nodegrad.graph import recording, topological_order
from nodegrad.nn.losses import chosen_loss
from nodegrad.show.drawing.fold import Group, boxes
from nodegrad.show.drawing.picture import arrows, cells, kind_of
from nodegrad.show.drawing.svg import Node, Picture, text_width
from nodegrad.show.plots.marks import padded, spread
from nodegrad.show.snapshot import Vertex, snapshot
from nodegrad.sweep import reverse_sweep
from nodegrad.value import Value

__all__ = ["Recorder"]

FOLD_ABOVE = 60  # nodes of the graph of one sample
RESOLUTION = 28  # points along each side of the plane
MARGIN = 0.15  # around the data, as a share of their range
CURVE = 81  # points of a curve over one input
MOST = 500  # parameters that a page can show

Loss = Callable[[Any, Any], Value]


@dataclass(frozen=True)
class Frame:
    """One moment of a training. Gradients are those of the mean loss over all samples."""

    step: int
    loss: float
    parameters: tuple[float, ...]
    gradients: tuple[float, ...]
    predictions: tuple[tuple[float, ...], ...]
    plane: tuple[tuple[float, ...], ...]  # the outputs over the plane or the line of inputs
    texts: tuple[str, ...]  # what stands in each box of the graph


class Recorder:
    """Record a training of a small model, for `training_player`.

    Call it once per step of your own loop, or give it to `fit` as a callback. It changes nothing.

    >>> import nodegrad as ng
    >>> model = ng.nn.MLP(1, [3, 1], seed=1)
    >>> X, y = [[0.0], [0.5], [1.0]], [0.0, 0.25, 1.0]
    >>> recorder = Recorder(model, X, y)
    >>> history = ng.fit(model, X, y, epochs=5, callback=recorder)
    >>> len(recorder.frames)
    6

    Args:
        model: a Module of at most 500 parameters.
        X: the rows of inputs; with one or two columns the page shows the curve or the plane.
        y: a target for each row.
        loss: the name of a loss in `nodegrad.nn`, or a function of a prediction and a target.
        example: the row whose graph is shown; by default one with few derivatives of 0.
        every: record each call, each second, and so on.

    Raises:
        ValueError: for too large a model, an unknown loss, or rows and targets that do not match.
    """

    def __init__(
        self,
        model: Any,
        X: Any,
        y: Any,
        loss: str | Loss = "mean_squared_error",
        example: int | None = None,
        every: int = 1,
    ) -> None:
        self.samples = list(Samples(X, y, "Recorder"))
        self.inputs = [row if isinstance(row, list) else [row] for row, _ in self.samples]
        self.targets = [target for _, target in self.samples]
        self.parameters: list[Value] = model.parameters()
        if len(self.parameters) > MOST:
            raise ValueError(
                f"Recorder takes models of up to {MOST} parameters; this one has {len(self.parameters):,}. "
                "Plot its history instead: fit(...).plot()."
            )
        if example is not None and not 0 <= example < len(self.samples):
            raise ValueError(
                f"Recorder expects example to be one of {len(self.samples)} rows; got {example}."
            )
        self.model, self.every = model, every
        self.loss: Loss = chosen_loss("Recorder", loss)
        self.example = self._best_example() if example is None else example
        self.frames: list[Frame] = []
        self.groups: list[Group] = []
        self.calls = 0
        self.points = self._points()
        self._record()

    def __call__(self, *_: Any) -> None:
        """Record a step, if it is one of every `every`."""
        self.calls += 1
        if self.calls % self.every == 0:
            self._record()

    @recording()
    def _record(self) -> None:
        total, gradients = 0.0, dict.fromkeys(self.parameters, 0.0)
        predictions = []
        for row, target in self.samples:
            output, error, adjoints = self._gradients(row, target, 1.0 / len(self.samples))
            predictions.append(_numbers(output))
            total += error._data / len(self.samples)
            for parameter in gradients:
                gradients[parameter] += adjoints.get(parameter, 0.0)
        self.frames.append(
            Frame(
                self.calls,
                total,
                tuple([parameter._data for parameter in self.parameters]),
                tuple(gradients.values()),
                tuple(predictions),
                tuple([_numbers(self.model(point)) for point in self.points]),
                self._texts(),
            )
        )

    def _gradients(self, row: Any, target: Any, seed: float = 1.0) -> tuple[Any, Value, dict[Value, float]]:
        """Return what the model says of a row, the loss of that, and the derivatives of the loss."""
        output = self.model(row)
        error = self.loss(output, target)
        return output, error, reverse_sweep(topological_order(error), {error: seed})

    def _best_example(self) -> int:
        """Return which of the first rows has the most parameters with a derivative other than 0."""
        counts = []
        for row, target in self.samples[:50]:
            _, _, adjoints = self._gradients(row, target)
            counts.append(sum(adjoints.get(parameter, 0.0) != 0.0 for parameter in self.parameters))
        return counts.index(max(counts))

    def _points(self) -> list[Any]:
        """Return where to look at the model: over a line, over a plane, or nowhere if inputs are more."""
        ranges = [padded(column, MARGIN) for column in zip(*self.inputs, strict=True)]
        if len(ranges) == 1:
            line = spread(ranges[0], CURVE)
            return [[x] for x in line] if isinstance(self.samples[0][0], list) else line
        if len(ranges) == 2:
            across, up = (spread(span, RESOLUTION) for span in ranges)
            return [[x, y] for y in reversed(up) for x in across]  # from the top, as pictures are stored
        return []

    def _texts(self) -> tuple[str, ...]:
        """Return what each box of the graph of the example says now; nothing if the graph has changed."""
        _, error, adjoints = self._gradients(*self.samples[self.example])
        order = snapshot([error])
        for vertex in order:
            vertex.grad = adjoints.get(vertex.value, 0.0)
        groups = boxes(order, FOLD_ABOVE)
        if not self.frames:
            self.groups = groups
        same = list(map(_shape, groups)) == list(map(_shape, self.groups))
        return tuple(["\n".join(cells(group)) for group in groups]) if same else ()

    def picture(self) -> Picture:
        """Return the graph of the example, with room in every box for the widest text of all frames."""
        nodes = []
        for at, group in enumerate(self.groups):
            kind = kind_of(group, {self.groups[-1].members[0]})
            texts = [frame.texts[at] for frame in self.frames if frame.texts]
            lines = zip(*(text.split("\n") for text in texts), strict=True)
            widest = "\n".join(max(line, key=text_width) for line in lines)
            nodes.append(Node((widest,), group.symbol, kind))
        return Picture(nodes, arrows(self.groups), "graph of one sample")


def _shape(group: Group) -> tuple[Any, ...]:
    vertex: Vertex = group.members[0]
    return vertex.op, len(group.members), [operand.members[0].op for operand in group.operands]


def _numbers(output: Any) -> tuple[float, ...]:
    """Return the outputs of a model as floats, one or many."""
    outputs = output if hasattr(output, "__len__") else [output]
    return tuple([x._data if isinstance(x, Value) else float(x) for x in outputs])


def finite(x: float) -> float | None:
    """Return a number as JSON can hold it."""
    return x if math.isfinite(x) else None
