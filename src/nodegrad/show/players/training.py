"""A page that scrubs through a recorded training: loss, parameters, gradients, graph and predictions."""

from __future__ import annotations

import base64
from typing import Any

from nodegrad import ops
from nodegrad.nn.losses import binary_cross_entropy_with_logits
from nodegrad.show import palette
from nodegrad.show.drawing.svg import to_svg
from nodegrad.show.players.page import Page, build
from nodegrad.show.players.recorder import MARGIN, RESOLUTION, Frame, Recorder, finite
from nodegrad.show.plots.marks import padded
from nodegrad.show.snapshot import parameter_names
from nodegrad.show.text import number

__all__ = ["TrainingPlayer", "training_player"]

SCRIPTS = ("transport", "panel", "canvas", "training")


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

    Beside them are the graph of one sample and what the model says: with one input a curve, with two a plane
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
            f"training_player expects a Recorder; got a {type(recorder).__name__}. Make one with "
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
    """Say how to show what the model says: over a line, over a plane, or against the targets."""
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
    up = padded([*targets, *(seen if inputs > 1 else [])] or [0.0], MARGIN)
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
