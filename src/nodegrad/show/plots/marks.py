"""The parts of the plots: figures, shaded planes, squares, contours and paths, drawn by matplotlib."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegrad.show.palette import CLASSES, SIGNS

__all__ = ()

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Range = tuple[float, float]
Point = tuple[float, float]

FIT, ERROR = SIGNS["plus"], SIGNS["minus"]  # colours of a fitted curve and of its errors
RUNS = (FIT, ERROR, *[colour for colour, _ in CLASSES[2:]])
PATHS = ("#D55E00", "#000000", "#009E73", "#7B3294")  # dark enough for thin lines on pale blue
LINES = ("-", "--", "-.", ":")
RIM: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8}
PALE = 0.5  # the share of a class's colour in a shaded plane, so that its samples stand out


class Plane(NamedTuple):
    """A rectangle, and how many points it is evaluated at along each side."""

    across: Range
    up: Range
    resolution: int

    def steps(self) -> tuple[list[float], list[float]]:
        """Return the points along each side."""
        return spread(self.across, self.resolution), spread(self.up, self.resolution)

    def points(self) -> Iterator[Point]:
        """Yield the points row by row, as matplotlib wants its planes."""
        xs, ys = self.steps()
        return ((x, y) for y in ys for x in xs)

    def rows(self, numbers: Sequence[float]) -> list[list[float]]:
        """Arrange a number for each point in rows; infinite numbers are left blank, like nan."""
        known = [number if math.isfinite(number) else math.nan for number in numbers]
        return [known[start : start + self.resolution] for start in range(0, len(known), self.resolution)]


def spread(span: Range, count: int) -> list[float]:
    """Return evenly spaced numbers from the low to the high end of a range."""
    low, high = span
    return [low + (high - low) * step / (count - 1) for step in range(count)]


def padded(numbers: Sequence[float], share: float = 0.1) -> Range:
    """Return a range around numbers, wider by a share of it on both sides."""
    low, high = min(numbers), max(numbers)
    margin = share * (high - low) or 1.0
    return low - margin, high + margin


def axes(ax: "Axes | None", title: str) -> "Axes":
    """Return the Axes to draw on, those of a new figure by default.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots are drawn by matplotlib: pip install 'nodegrad[all]'") from error
    if ax is None:
        ax = plt.subplots(figsize=(5.4, 3.8), layout="constrained")[1]
    if title:
        ax.set_title(title)
    return ax


def with_legend(ax: "Axes") -> "Axes":
    """Add a legend where something has a label."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(fontsize="small", framealpha=0.85)
    return ax


def shade_score(ax: "Axes", plane: Plane, scores: list[float], threshold: float) -> None:
    """Shade by one output: the colour of the lower class below the threshold, paler near it."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    ends = [[1 - PALE * (1 - part) for part in to_rgb(colour)] for colour, _ in CLASSES[:2]]
    finite = [score for score in scores if math.isfinite(score)]
    reach = max((abs(score - threshold) for score in finite), default=0.0) or 1.0
    rows = plane.rows(scores)
    image = ax.imshow(
        rows,
        cmap=LinearSegmentedColormap.from_list("classes", [ends[0], [1.0, 1.0, 1.0], ends[1]]),
        vmin=threshold - reach,
        vmax=threshold + reach,
        extent=(*plane.across, *plane.up),
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
    )
    if finite and min(finite) < threshold < max(finite):
        ax.contour(*plane.steps(), rows, levels=[threshold], colors="black", linewidths=1.5)
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label(f"output (boundary at {threshold:g})")


def shade_classes(ax: "Axes", plane: Plane, outputs: list[list[float]]) -> None:
    """Shade by the class of the largest output, with lines where two classes are equal."""
    for number in range(len(outputs[0])):
        leads = [row[number] - max(row[:number] + row[number + 1 :]) for row in outputs]
        if max(leads) > 0.0:
            colour, rows = CLASSES[number % len(CLASSES)][0], plane.rows(leads)
            ax.contourf(*plane.steps(), rows, levels=[0.0, max(leads)], colors=[colour], alpha=0.25)
            if min(leads) < 0.0:
                ax.contour(*plane.steps(), rows, levels=[0.0], colors="black", linewidths=1)


def draw_squares(ax: "Axes", xs: list[float], ys: list[float], fits: list[float]) -> None:
    """Draw each error as a square beside its sample, on the side that the line leaves free."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    scale = _scale(ax)
    rising = slope(xs, fits) >= 0
    for x, y, fit in zip(xs, ys, fits, strict=True):
        side = abs(y - fit)
        left = x - side * scale if (y > fit) == rising else x
        face = to_rgba(ERROR, 0.25)
        corner = left, min(y, fit)
        ax.add_patch(Rectangle(corner, side * scale, side, facecolor=face, edgecolor=ERROR, linewidth=1))
    mean = math.fsum((y - fit) ** 2 for y, fit in zip(ys, fits, strict=True)) / len(ys)
    ax.patches[-1].set_label(f"squared errors, mean {mean:.3g}")
    ax.set_aspect(scale, adjustable="datalim")
    ax.autoscale_view()


def _scale(ax: "Axes") -> float:
    """Return how many units of x look as long as one of y: one, unless that wastes much room."""
    room, data = ax.get_window_extent(), ax.dataLim
    filling = data.width / data.height * room.height / room.width if data.height else 0.0
    return 1.0 if 0.7 < filling < 1.4 or not 0.0 < filling < math.inf else filling


def slope(xs: list[float], ys: list[float]) -> float:
    """Return the slope of the least-squares line, up to a positive factor."""
    centre = math.fsum(xs) / len(xs)
    return math.fsum((x - centre) * y for x, y in zip(xs, ys, strict=True))


def draw_contours(ax: "Axes", plane: Plane, heights: list[float], levels: int) -> None:
    """Draw contours with equal shares of the plane between them; none if the loss is the same everywhere."""
    from matplotlib.colors import BoundaryNorm

    finite = sorted(height for height in heights if math.isfinite(height))
    if not finite:
        raise ValueError("loss_contour: the loss is nan or infinite all over this range. Try another.")
    shares = [round((len(finite) - 1) * number / levels) for number in range(levels + 1)]
    chosen = sorted({finite[share] for share in shares})
    if len(chosen) < 2:
        return
    rows = plane.rows(heights)
    filled = ax.contourf(
        *plane.steps(), rows, levels=chosen, cmap="Blues", norm=BoundaryNorm(chosen, 256), alpha=0.8
    )
    ax.contour(*plane.steps(), rows, levels=chosen, colors="0.35", linewidths=0.5)
    bar = ax.figure.colorbar(filled, ax=ax, format="{x:.3g}")
    bar.set_label("loss")


def draw_path(ax: "Axes", points: list[Point], colour: str, line: str, label: Any) -> None:
    """Draw the path of a descent, with a mark for each step where they are few."""
    xs, ys = zip(*points, strict=True)
    ax.plot(xs, ys, color="white", linewidth=3.5)
    ax.plot(xs, ys, line, color=colour, linewidth=1.5, label=label)
    if len(points) <= 60:
        ax.plot(xs, ys, "o", color=colour, markersize=3)
    ax.plot(xs[0], ys[0], "o", color=colour, markersize=8, zorder=4, **RIM)
    ax.plot(xs[-1], ys[-1], "*", color=colour, markersize=14, zorder=4, **RIM)
