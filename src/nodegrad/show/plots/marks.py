"""The parts of the plots: figures, shaded planes, squares, contours and paths, drawn by matplotlib."""

import math
from typing import TYPE_CHECKING, Any

from nodegrad.show.palette import CLASSES, ERROR
from nodegrad.show.ranges import Range

try:
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, to_rgb, to_rgba
    from matplotlib.patches import Rectangle
except ImportError as error:
    raise ImportError("plots are drawn by matplotlib: pip install 'nodegrad[all]'") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ()

RIM: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8}
PALE = 0.5  # the share of a class's colour in a shaded plane, so that its samples stand out


class Plane:
    """The points of a rectangle, so many along each side, and what is computed at them."""

    def __init__(self, across: Range, up: Range, resolution: int) -> None:
        self.extent = (*across, *up)
        self.sides = np.linspace(*across, resolution), np.linspace(*up, resolution)
        self.points = np.stack(np.meshgrid(*self.sides), -1).reshape(-1, 2)

    def around(self, row: list[float], features: tuple[int, int]) -> list[list[float]]:
        """Return a row of inputs for each point, which differ from `row` in two features."""
        rows = np.tile(row, (len(self.points), 1))
        rows[:, features] = self.points
        found: list[list[float]] = rows.tolist()
        return found

    def rows(self, numbers: Any) -> Any:
        """Arrange a number for each point in rows; infinite numbers are left blank, like nan."""
        return np.where(np.isfinite(numbers), numbers, np.nan).reshape(len(self.sides[1]), -1)


def axes(ax: "Axes | None", title: str) -> "Axes":
    """Return the Axes to draw on, those of a new figure by default."""
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


def shade_score(ax: "Axes", plane: Plane, scores: Any, threshold: float) -> None:
    """Shade by one output: the colour of the lower class below the threshold, paler near it."""
    ends = [[1 - PALE * (1 - part) for part in to_rgb(colour)] for colour, _ in CLASSES[:2]]
    rows = plane.rows(scores)
    finite = rows[np.isfinite(rows)]
    reach = np.max(np.abs(finite - threshold), initial=0.0) or 1.0
    image = ax.imshow(
        rows,
        cmap=LinearSegmentedColormap.from_list("classes", [ends[0], [1.0, 1.0, 1.0], ends[1]]),
        vmin=threshold - reach,
        vmax=threshold + reach,
        extent=plane.extent,
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
    )
    if (finite < threshold).any() and (finite > threshold).any():
        ax.contour(*plane.sides, rows, levels=[threshold], colors="black", linewidths=1.5)
    ax.figure.colorbar(image, ax=ax, label=f"output (boundary at {threshold:g})")


def shade_classes(ax: "Axes", plane: Plane, outputs: Any) -> None:
    """Shade by the class of the largest output, with lines where two classes are equal."""
    outputs = np.array(outputs)
    for number, own in enumerate(outputs.T):
        leads = own - np.delete(outputs, number, axis=1).max(axis=1)
        if leads.max() > 0.0:
            colour, rows = CLASSES[number % len(CLASSES)][0], plane.rows(leads)
            ax.contourf(*plane.sides, rows, levels=[0.0, leads.max()], colors=[colour], alpha=0.25)
            if leads.min() < 0.0:
                ax.contour(*plane.sides, rows, levels=[0.0], colors="black", linewidths=1)


def draw_squares(ax: "Axes", xs: list[float], ys: list[float], fits: list[float]) -> None:
    """Draw each error as a square beside its sample, on the side that the line leaves free."""
    scale = _scale(ax)
    rising = np.subtract(xs, np.mean(xs)) @ fits >= 0.0
    for x, y, fit in zip(xs, ys, fits, strict=True):
        side = abs(y - fit)
        left = x - side * scale if (y > fit) == rising else x
        corner, face = (left, min(y, fit)), to_rgba(ERROR, 0.25)
        ax.add_patch(Rectangle(corner, side * scale, side, facecolor=face, edgecolor=ERROR, linewidth=1))
    ax.patches[-1].set_label(f"squared errors, mean {np.mean(np.subtract(ys, fits) ** 2):.3g}")
    ax.set_aspect(scale, adjustable="datalim")
    ax.autoscale_view()


def _scale(ax: "Axes") -> float:
    """Return how many units of x look as long as one of y: one, unless that wastes much room."""
    room, data = ax.get_window_extent(), ax.dataLim
    filling = data.width / data.height * room.height / room.width if data.height else 0.0
    return 1.0 if 0.7 < filling < 1.4 or not 0.0 < filling < math.inf else filling


def draw_contours(ax: "Axes", plane: Plane, heights: Any, levels: int) -> None:
    """Draw contours with equal shares of the plane between them; none if the loss is the same everywhere."""
    rows = plane.rows(heights)
    finite = rows[np.isfinite(rows)]
    if not finite.size:
        raise ValueError("loss_contour: the loss is nan or infinite all over this range. Try another.")
    chosen = np.unique(np.quantile(finite, np.linspace(0.0, 1.0, levels + 1), method="nearest"))
    if len(chosen) < 2:
        return
    filled = ax.contourf(
        *plane.sides, rows, levels=chosen, cmap="Blues", norm=BoundaryNorm(chosen, 256), alpha=0.8
    )
    ax.contour(*plane.sides, rows, levels=chosen, colors="0.35", linewidths=0.5)
    ax.figure.colorbar(filled, ax=ax, format="{x:.3g}", label="loss")


def draw_path(ax: "Axes", points: list[tuple[float, float]], colour: str, line: str, label: Any) -> None:
    """Draw the path of a descent, with a mark for each step where they are few."""
    xs, ys = zip(*points, strict=True)
    ax.plot(xs, ys, color="white", linewidth=3.5)
    ax.plot(xs, ys, line, color=colour, linewidth=1.5, label=label)
    if len(points) <= 60:
        ax.plot(xs, ys, "o", color=colour, markersize=3)
    ax.plot(xs[0], ys[0], "o", color=colour, markersize=8, zorder=4, **RIM)
    ax.plot(xs[-1], ys[-1], "*", color=colour, markersize=14, zorder=4, **RIM)
