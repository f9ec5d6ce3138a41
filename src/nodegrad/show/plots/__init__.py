"""Plots with matplotlib: loss curves, decision boundaries, fitted lines, contours of a loss.

Every function draws on the Axes it is given, or on a new figure, and returns the Axes, so that titles, limits
and labels can be changed there.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nodegrad.data import rows as rows_of
from nodegrad.inputs import as_list, flag, one_of, whole
from nodegrad.show.palette import CLASSES, ERROR, FIT
from nodegrad.show.plots.evaluate import evaluate, evaluate_loss
from nodegrad.show.ranges import Range, numbers, padded, spread
from nodegrad.trees import flatten
from nodegrad.value import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["decision_boundary", "fitted_line", "loss_contour", "loss_curve"]

Model = Callable[[Any], Any]

RUNS = (FIT, ERROR, *[colour for colour, _ in CLASSES[2:]])
PATHS = ("#D55E00", "#000000", "#009E73", "#7B3294")  # dark enough for thin lines on pale blue
LINES = ("-", "--", "-.", ":")


def loss_curve(
    *runs: Any,
    labels: Sequence[str] = (),
    log: bool = False,
    unit: str = "epoch",
    ax: "Axes | None" = None,
    title: str = "",
) -> "Axes":
    """Plot the loss over the epochs of one or more trainings.

    >>> ax = loss_curve([1.0, 0.5, 0.3], [1.0, 0.2, 0.1], labels=["slow", "fast"], log=True)
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.lines)
    ('epoch', 'loss', 2)

    Args:
        runs: for each training its `History`, or its losses one after the other.
        labels: a name for each run, shown in a legend.
        log: whether the axis of the loss is logarithmic.
        unit: what one step along the horizontal axis is.
        ax: the Axes to draw on; a new figure by default.
        title: a title above the Axes.

    Raises:
        ValueError: if there is no run, a run is empty, or there are not as many labels as runs.
    """
    from nodegrad.show.plots import marks

    series = [numbers(getattr(run, "losses", run), "loss_curve") for run in runs]
    if not series or not all(series):
        which = "run " + str(series.index([])) if series else "the call"
        raise ValueError(f"loss_curve: {which} has no losses. Pass what fit returned, or a list of losses.")
    styled = _styled("loss_curve takes one label per run", series, RUNS, labels)
    ax = marks.axes(ax, title)
    for losses, colour, line, label in styled:
        steps = range(1, len(losses) + 1)  # as `History.best_epoch` counts
        ax.plot(steps, losses, line, color=colour, label=label, marker="o" if len(losses) == 1 else None)
    if flag("loss_curve", "log", log):
        ax.set_yscale("log")
    ax.set(xlabel=unit, ylabel="loss")
    ax.locator_params(axis="x", integer=True)
    ax.grid(alpha=0.3)
    return marks.with_legend(ax)


def decision_boundary(
    model: Model,
    X: Any,
    y: Any,
    *,
    threshold: float | None = None,
    features: tuple[int, int] = (0, 1),
    resolution: int = 60,
    ax: "Axes | None" = None,
    title: str = "",
) -> "Axes":
    """Plot which class a model gives to every point of a plane, with the samples it was to learn.

    If the model has one output, the plane is shaded by that, with a line where it crosses the threshold. If
    it has several, the plane is shaded by the class of the largest.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1]
    >>> ax = decision_boundary(lambda row: row[0] + row[1] - 1.5, X, y)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x[0]', 'x[1]')

    Args:
        model: takes a list of numbers; returns one number, or one per class.
        X: the samples, one row of at least two numbers each.
        y: the class of each sample, numbers or names.
        threshold: the output from which on a sample belongs to the higher class. By default the middle of
            the two classes' numbers (0 for -1 and 1, 0.5 for 0 and 1), or 0 if that puts more samples
            into their class, as it does where outputs are logits.
        features: which two inputs span the plane; the others stay at their mean over the samples.
        resolution: how many points to evaluate along each axis.
        ax: the Axes to draw on; a new figure by default.
        title: a title above the Axes.

    Raises:
        TypeError: if X holds, or the model returns, something that is not a number.
        ValueError: if X is not rows of one length, y does not match, a feature does not exist, or there are
            more classes than the outputs tell apart.
    """
    from nodegrad.show.plots import marks

    whole("decision_boundary", "resolution", resolution, 2)
    rows, labels = _table(X, y, features)
    across, up = (padded([row[feature] for row in rows]) for feature in features)
    plane = marks.Plane(across, up, resolution)
    outputs = evaluate(model, plane.around([fmean(column) for column in zip(*rows, strict=True)], features))
    names = _class_names(labels, len(outputs[0]))
    ax = marks.axes(ax, title)
    if len(outputs[0]) == 1:
        if threshold is None:
            threshold = _threshold(evaluate(model, rows), labels, names)
        marks.shade_score(ax, plane, outputs, threshold)
    else:
        marks.shade_classes(ax, plane, outputs)
    for name, (colour, marker) in zip(names, cycle(CLASSES)):
        own = [row for row, label in zip(rows, labels, strict=True) if label == name]
        points = [[row[feature] for row in own] for feature in features]
        label = f"class {name:g}" if isinstance(name, float) else f"class {name}"
        ax.plot(*points, marker, color=colour, label=label, markersize=6, **marks.RIM)
    ax.set(xlabel=f"x[{features[0]}]", ylabel=f"x[{features[1]}]", xlim=across, ylim=up)
    return marks.with_legend(ax)


def fitted_line(
    model: Any,
    X: Any,
    y: Any,
    *,
    errors: str | None = "squares",
    earlier: Iterable[Any] = (),
    ax: "Axes | None" = None,
    title: str = "",
) -> "Axes":
    """Plot samples and the line or curve fitted to them, with the squared errors drawn as squares.

    The side of each square is the error of one sample, so the mean of their areas is the mean squared error.

    >>> ax = fitted_line((2.0, 1.0), [0.0, 1.0, 2.0], [1.5, 2.0, 5.5])
    >>> len(ax.patches)
    3

    Args:
        model: the pair (m, c) of a line m·x + c, or a function from a number x to a number. If X holds rows
            of one number, the function gets such rows.
        X: the samples.
        y: the target of each sample.
        errors: "squares", "segments" from the samples to the line, or None.
        earlier: models to draw faintly, the first of them faintest: the same line on its way.
        ax: the Axes to draw on; a new figure by default.
        title: a title above the Axes.

    Raises:
        ValueError: if there are no samples, X and y differ in length, or `errors` is unknown.
    """
    from nodegrad.show.plots import marks

    one_of("fitted_line", "errors", errors, (None, "squares", "segments"))
    xs, ys = numbers(X, "fitted_line"), numbers(y, "fitted_line")
    if not xs or len(xs) != len(ys):
        raise ValueError(
            f"fitted_line takes one x and one y per sample; got {len(xs)} and {len(ys)} numbers. "
            "A model with several inputs cannot be drawn as a line."
        )
    in_rows = hasattr(as_list(X)[0], "__iter__")
    ax = marks.axes(ax, title)
    along = spread(padded(xs), 101)
    fading = list(earlier)
    for step, former in enumerate(fading):
        alpha = 0.15 + 0.45 * (step + 1) / len(fading)
        ax.plot(along, _curve(former, along, in_rows), color="0.4", linewidth=1, alpha=alpha)
    ax.plot(along, _curve(model, along, in_rows), color=FIT, linewidth=2, label="fit", zorder=3)
    ax.plot(xs, ys, "o", color="black", markersize=6, label="samples", zorder=4, **marks.RIM)
    fits = _curve(model, xs, in_rows)
    if errors == "squares":
        marks.draw_squares(ax, xs, ys, fits)
    elif errors == "segments":
        ax.vlines(xs, fits, ys, color=ERROR, linewidth=1.2, label="errors")
    ax.set(xlabel="x", ylabel="y")
    return marks.with_legend(ax)


def loss_contour(
    loss: Callable[..., Any],
    parameters: Sequence[Value] | None = None,
    *,
    x: Range | None = None,
    y: Range | None = None,
    paths: Sequence[Sequence[Any]] = (),
    labels: Sequence[str] = (),
    levels: int = 12,
    resolution: int = 50,
    ax: "Axes | None" = None,
    title: str = "",
) -> "Axes":
    """Plot the contours of a loss over two parameters, with the paths that descents have taken.

    Neighbouring contours enclose equal areas, so that valleys show beside steep walls. A path begins at a
    circle and ends at a star.

    >>> ax = loss_contour(lambda m, c: m**2 + 4 * c**2, x=(-2, 2), y=(-1, 1), paths=[[(2, 1), (1, 0)]])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('m', 'c')

    Args:
        loss: a function of two numbers; with `parameters` a function without arguments that computes the
            loss from them and whatever else it needs.
        parameters: two leaf Values that `loss` closes over. They are varied, and get their numbers back.
        x: the range of the first parameter; by default it encloses the paths.
        y: the range of the second.
        paths: for each descent the points it went through, pairs of numbers.
        labels: a name for each path, shown in a legend.
        levels: how many contours to draw.
        resolution: how many points to evaluate along each axis.
        ax: the Axes to draw on; a new figure by default.
        title: a title above the Axes.

    Raises:
        TypeError: if `parameters` are not two leaf Values.
        ValueError: if a range is missing or empty, a path is empty or not of pairs, or there are not as many
            labels as paths.
    """
    from nodegrad.show.plots import marks

    whole("loss_contour", "resolution", resolution, 2)
    whole("loss_contour", "levels", levels, 1)
    tracks = [_path(path) for path in paths]
    styled = _styled("loss_contour takes one label per path", tracks, PATHS, labels)
    across = _range("x", x, [x for track in tracks for x, _ in track])
    up = _range("y", y, [y for track in tracks for _, y in track])
    plane = marks.Plane(across, up, resolution)
    points = plane.points.tolist()
    if parameters is None:
        heights = [height for (height,) in evaluate(lambda point: loss(*point), points)]
    else:
        heights = evaluate_loss(loss, parameters, points)
    ax = marks.axes(ax, title)
    marks.draw_contours(ax, plane, heights, levels)
    for track in styled:
        marks.draw_path(ax, *track)
    names = _parameter_names(loss, parameters)
    ax.set(xlabel=names[0], ylabel=names[1], xlim=across, ylim=up)
    return marks.with_legend(ax)


# Checks of arguments.


def _styled(rule: str, series: list[Any], colours: Sequence[str], labels: Sequence[str]) -> Iterable[Any]:
    """Give each of several series a colour, a kind of line and its label, if it has one."""
    if labels and len(labels) != len(series):
        raise ValueError(f"{rule}; got {len(labels)} for {len(series)}.")
    return zip(series, cycle(colours), cycle(LINES), labels or cycle([None]))


def _table(X: Any, y: Any, features: tuple[int, int]) -> tuple[list[list[float]], list[Any]]:
    """Return the rows of X and the labels y of `decision_boundary`, checked."""
    rows = [numbers(row, "decision_boundary") for row in rows_of(X, "decision_boundary")]
    labels = [label.data if isinstance(label, Value) else label for label in flatten(as_list(y))[0]]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or min(widths) < 2:
        raise ValueError(
            "decision_boundary takes for X rows of one length, two numbers or more; "
            f"got rows of {', '.join(map(str, sorted(widths))) or 'none'}."
        )
    if len(labels) != len(rows):
        raise ValueError(f"decision_boundary takes one label per row; got {len(labels)} for {len(rows)}.")
    known = range(min(widths))
    if len(set(features)) != 2 or not set(features) <= set(known):
        raise ValueError(
            f"decision_boundary takes two different features among 0 to {known[-1]}; got {features!r}."
        )
    return rows, labels


def _class_names(labels: list[Any], outputs: int) -> list[Any]:
    """Return the classes in the order of the outputs, or of the score."""
    found, count = sorted(set(labels)), max(outputs, 2)
    if outputs > 1 and set(found) <= set(range(outputs)):
        return list(range(outputs))
    if len(found) > count:
        raise ValueError(
            f"decision_boundary: a model with {outputs} output{'s' * (outputs > 1)} tells {count} classes "
            f"apart; y has {len(found)}: {', '.join(map(str, found[:5]))}."
        )
    return found


def _threshold(scores: list[list[float]], labels: list[Any], names: list[Any]) -> float:
    """Return the middle of the numbers of two classes, or 0 if that puts more samples into their class."""
    if len(names) < 2 or not all(isinstance(name, int | float) for name in names):
        return 0.0
    middle = (names[0] + names[1]) / 2.0
    pairs = [(score, label == names[1]) for (score,), label in zip(scores, labels, strict=True)]
    right = {at: sum((score > at) == is_upper for score, is_upper in pairs) for at in (middle, 0.0)}
    return 0.0 if right[0.0] > right[middle] else middle


def _curve(model: Any, xs: list[float], in_rows: bool) -> list[float]:
    """Evaluate a line (m, c), or a model, at each x."""
    if callable(model):
        outputs = evaluate(model, [[x] for x in xs] if in_rows else xs)
        if any(len(output) != 1 for output in outputs):
            raise ValueError(f"fitted_line takes a model with one output; got {len(outputs[0])}.")
        return [output for (output,) in outputs]
    pair = numbers(model, "fitted_line")
    if len(pair) != 2:
        raise ValueError(f"fitted_line takes a model or a pair (m, c); got {len(pair)} numbers.")
    m, c = pair
    return [m * x + c for x in xs]


def _path(path: Any) -> list[tuple[float, float]]:
    points = [tuple(numbers(point, "loss_contour")) for point in rows_of(path, "loss_contour", "a path")]
    if not points or any(len(point) != 2 for point in points):
        raise ValueError(
            "loss_contour takes paths of pairs of numbers, one pair per step; "
            f"got {f'{points[0]!r} first' if points else 'an empty path'}."
        )
    return [(x, y) for x, y in points]


def _parameter_names(loss: Callable[..., Any], parameters: Sequence[Value] | None) -> list[str]:
    """Name the axes: by the labels of the parameters, or by the arguments of the function."""
    if parameters is not None:
        return [it.label or f"parameter {place}" for place, it in enumerate(parameters)]
    try:
        names = list(inspect.signature(loss).parameters)
    except (TypeError, ValueError):  # a builtin without a signature
        names = []
    return names if len(names) == 2 else ["x", "y"]


def _range(axis: str, given: Range | None, visited: list[float]) -> Range:
    """Return the range of one parameter: as given, or around what the paths visit."""
    if given is None:
        finite = [number for number in visited if math.isfinite(number)]
        if not finite:
            raise ValueError(f"loss_contour needs a range {axis}=(low, high) where no path is drawn.")
        return padded(finite, 0.25)
    low, high = given
    if not low < high:
        raise ValueError(f"loss_contour takes a range {axis}=(low, high) with low < high; got {given!r}.")
    return low, high
