"""Record a training as it goes, and make a page that scrubs through it.

At each step: the loss, the parameters and their gradients, the graph of one sample, and the model's output.
"""

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nodegrad import ops
from nodegrad.data import Samples
from nodegrad.graph import recording, topological_order
from nodegrad.inputs import described
from nodegrad.nn.losses import binary_cross_entropy_with_logits, chosen_loss
from nodegrad.show import palette
from nodegrad.show.drawing.fold import Group, boxes
from nodegrad.show.drawing.picture import arrows, cells, kind_of
from nodegrad.show.drawing.svg import Node, Picture, text_width, to_svg
from nodegrad.show.players.page import Page, build
from nodegrad.show.ranges import numbers, padded, spread
from nodegrad.show.snapshot import Vertex, parameter_names, snapshot
from nodegrad.show.text import number
from nodegrad.sweep import reverse_sweep
from nodegrad.value import Value

__all__ = ["Recorder", "TrainingPlayer", "training_player"]

SCRIPTS = ("transport", "panel", "canvas", "training")
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
            predictions.append(tuple(numbers(output, "Recorder")))
            total += error._data / len(self.samples)
            for parameter in gradients:
                gradients[parameter] += adjoints.get(parameter, 0.0)
        parameters = tuple([parameter._data for parameter in self.parameters])
        plane = tuple([tuple(numbers(self.model(point), "Recorder")) for point in self.points])
        found = tuple(gradients.values()), tuple(predictions), plane, self._texts()
        self.frames.append(Frame(self.calls, total, parameters, *found))

    def _gradients(self, row: Any, target: Any, seed: float = 1.0) -> tuple[Any, Value, dict[Value, float]]:
        """Return the model's output for a row, its loss, and the derivatives of the loss."""
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
        """Return the text of each box of the example's graph; nothing if the graph has changed."""
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


class TrainingPlayer(Page):
    """A page that scrubs through a training: `.save("training.html")`, or let a notebook show it.

    >>> import nodegrad as ng
    >>> recorder = ng.show.Recorder(ng.nn.MLP(1, [1], seed=1), [[0.0], [1.0]], [0.0, 1.0])
    >>> recorder()
    >>> isinstance(training_player(recorder), TrainingPlayer)
    True
    """


def training_player(recorder: Recorder, *, title: str = "Training, step by step") -> TrainingPlayer:
    """Make a page that plays a recorded training: at each step the loss, every parameter and its gradient.

    Beside them are the graph of one sample and the model's output: with one input a curve, with two a plane
    with its boundary, with more the predictions against the targets.

    >>> import nodegrad as ng
    >>> model = ng.nn.MLP(2, [3, 1], seed=1)
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    >>> recorder = Recorder(model, X, y)
    >>> history = ng.fit(model, X, y, epochs=3, callback=recorder)
    >>> training_player(recorder).save("training.html").name
    'training.html'

    Raises:
        TypeError: if the argument is not a Recorder.
    """
    if not isinstance(recorder, Recorder):
        raise TypeError(
            f"training_player takes a Recorder; got {described(recorder)}. Make one with "
            "Recorder(model, X, y) and give it to fit(..., callback=recorder)."
        )
    names = parameter_names(recorder.parameters)
    frames = [_frame(frame, recorder) for frame in recorder.frames]
    data = {"parameters": names, "frames": frames, "view": _view(recorder)}
    svg = to_svg(recorder.picture())
    return TrainingPlayer(build("training", title, data, SCRIPTS, svg=svg, written=palette.script()), title)


def _frame(frame: Frame, recorder: Recorder) -> dict[str, Any]:
    return {
        "step": frame.step,
        "loss": finite(frame.loss),
        "lossText": number(frame.loss),
        "values": [number(x) for x in frame.parameters],
        "gradients": [number(x) for x in frame.gradients],
        "sizes": [[finite(x), finite(g)] for x, g in zip(frame.parameters, frame.gradients, strict=True)],
        "texts": frame.texts,
        "plane": _plane(frame, recorder),
        "predictions": [finite(x) for row in frame.predictions for x in row],
    }


def _view(recorder: Recorder) -> dict[str, Any]:
    """Say how to show the model's output: over a line, over a plane, or against the targets."""
    inputs, outputs = len(recorder.inputs[0]), len(recorder.frames[0].predictions[0])
    first, last = (padded([row[min(at, inputs - 1)] for row in recorder.inputs], MARGIN) for at in (0, 1))
    if inputs == 2:
        marks = [_mark(target, outputs, recorder) for target in recorder.targets]
        points = [[x, y, mark] for (x, y), mark in zip(recorder.inputs, marks, strict=True)]
        names = list(range(outputs)) if outputs > 1 else sorted(set(recorder.targets))[:3]
        view = {"kind": "plane", "x": first, "y": last, "points": points, "side": RESOLUTION}
        return view | {"classes": outputs > 1, "names": names}
    targets = [float(target) for target in recorder.targets] if outputs == 1 else []
    seen = [x for frame in recorder.frames for row in frame.predictions for x in row if finite(x) is not None]
    if inputs == 1 and targets:  # a curve may go beyond them by as much as they span
        low, high = min(targets), max(targets)
        seen = [min(2.0 * high - low, max(2.0 * low - high, x)) for x in seen]
    up = padded([*targets, *seen] or [0.0], MARGIN)
    if inputs == 1:
        points = [[row[0], target, None] for row, target in zip(recorder.inputs, targets, strict=False)]
        at = [point[0] if isinstance(point, list) else point for point in recorder.points]
        return {"kind": "curve", "x": first, "y": up, "points": points, "at": at}
    return {"kind": "targets", "x": up, "y": up, "points": [[target, 0.0, None] for target in targets]}


def _mark(target: Any, outputs: int, recorder: Recorder) -> int:
    """Return the class of a target: its number, the place of its 1, or whether it is high."""
    if hasattr(target, "__len__"):
        return max(range(len(target)), key=target.__getitem__)
    return int(target) if outputs > 1 else int(_share(target, recorder) >= 0.5)


def _share(x: float, recorder: Recorder) -> float:
    """Return where a number lies between the lowest and the highest target, from 0 to 1."""
    low, high = min(recorder.targets), max(recorder.targets)
    return min(1.0, max(0.0, (x - low) / (high - low))) if high > low and x == x else 0.5


def _plane(frame: Frame, recorder: Recorder) -> Any:
    """Return the outputs of the curve, or a byte per point of the plane: a class, or a share of the range."""
    if len(recorder.inputs[0]) == 1:
        return [finite(outputs[0]) for outputs in frame.plane]
    if len(frame.predictions[0]) > 1:
        shades = [max(range(len(outputs)), key=outputs.__getitem__) for outputs in frame.plane]
    else:
        logits = recorder.loss is binary_cross_entropy_with_logits
        outputs = [ops.sigmoid(output) if logits else output for (output,) in frame.plane]
        shades = [round(255 * _share(output, recorder)) for output in outputs]
    return base64.b64encode(bytes(shades)).decode()


def finite(x: float) -> float | None:
    """Return a number as JSON can hold it."""
    return x if math.isfinite(x) else None
