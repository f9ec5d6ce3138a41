"""Plots: what is drawn is what was computed, nothing is left changed, and bad use is told what to do."""

import math
import random

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import nodegrad as ng
from nodegrad.show import plots
from nodegrad.show.palette import CLASSES
from nodegrad.show.plots.evaluate import evaluate, evaluate_loss


@pytest.fixture(autouse=True)
def figures(tmp_path):
    """Draw every figure that a test has made, so that errors in drawing show; then close it."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).savefig(tmp_path / f"{number}.png")
    plt.close("all")


def drawn(line):
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


class History:
    losses = (4.0, 2.0, 1.0)


# Loss curves.


def test_loss_curve_shows_every_loss():
    ax = plots.loss_curve(History(), [3.0, np.float64(2.5), ng.Value(2.0)], labels=["a", "b"], title="two")

    assert [drawn(line) for line in ax.lines] == [[(1, 4), (2, 2), (3, 1)], [(1, 3), (2, 2.5), (3, 2)]]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("epoch", "loss", "two")
    assert legend(ax) == ["a", "b"]


def test_loss_curves_differ_in_colour_and_in_line():
    ax = plots.loss_curve([1.0, 2.0], [2.0, 1.0])

    assert len({line.get_color() for line in ax.lines}) == 2
    assert len({line.get_linestyle() for line in ax.lines}) == 2


def test_loss_curve_on_a_logarithmic_axis_without_legend():
    ax = plots.loss_curve([1.0, 0.1], log=True, unit="step")

    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "step"
    assert ax.get_legend() is None


def test_single_loss_is_visible():
    assert plots.loss_curve([1.0]).lines[0].get_marker() == "o"


def test_plots_share_the_axes_they_are_given():
    _, ax = plt.subplots()

    assert plots.loss_curve([1.0, 0.5], ax=ax) is ax
    assert plots.loss_curve([1.0, 0.7], ax=ax) is ax
    assert len(ax.lines) == 2


@pytest.mark.parametrize(
    ("runs", "labels", "error", "message"),
    [
        ((), (), ValueError, "the call has no losses. Pass what fit returned"),
        (([1.0], []), (), ValueError, "run 1 has no losses"),
        (([1.0],), ("a", "b"), ValueError, "one label per run; got 2 for 1"),
        ((["low"],), (), TypeError, "loss_curve takes sequences of numbers; got a list of 1"),
    ],
)
def test_loss_curve_refuses(runs, labels, error, message):
    with pytest.raises(error, match=message):
        plots.loss_curve(*runs, labels=labels)


# Decision boundaries.

CORNERS = [[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]]


def test_boundary_lies_where_the_output_crosses_the_threshold():
    ax = plots.decision_boundary(
        lambda row: ng.sigmoid(3 * (row[0] + row[1] - 2.5)), CORNERS, [0, 0, 0, 1], threshold=0.5
    )

    points = ax.collections[0].get_paths()[0].vertices
    assert len(points) > 60
    assert points.sum(axis=1) == pytest.approx(np.full(len(points), 2.5), abs=0.01)
    assert legend(ax) == ["class 0", "class 1"]


@pytest.mark.parametrize(
    ("labels", "model", "expected"),
    [
        ([0, 0, 0, 1], lambda row: ng.sigmoid(3.0 * (row[0] + row[1] - 3.0)), 0.5),  # trained on 0 and 1
        ([0, 0, 0, 1], lambda row: 9.0 * (row[0] + row[1] - 3.98), 0.0),  # logits
        ([-1, -1, -1, 1], lambda row: row[0] + row[1] - 3.0, 0.0),
        ([2.0, 2.0, 2.0, 4.0], lambda row: 1.0 + (row[0] + row[1]) / 2.0, 3.0),
        ([False, False, False, True], lambda row: (row[0] + row[1] - 2.0) / 2.0, 0.5),
        (["no", "no", "no", "yes"], lambda row: row[0] + row[1] - 3.0, 0.0),
    ],
)
def test_boundary_lies_between_the_classes_by_default(labels, model, expected):
    ax = plots.decision_boundary(model, CORNERS, labels)

    assert ax.figure.axes[-1].get_ylabel() == f"output (boundary at {expected:g})"


def test_shading_is_that_of_the_class_on_its_side():
    ax = plots.decision_boundary(lambda row: row[0] - 1.0, CORNERS, [-1, -1, 1, 1], resolution=11)

    image = ax.images[0]
    low, high = image.to_rgba(-image.norm.vmax), image.to_rgba(image.norm.vmax)
    for colour, marks_of_class in zip((low, high), ax.lines, strict=True):
        nearest = min([colour for colour, _ in CLASSES[:2]], key=lambda it: math.dist(to_rgb(it), colour[:3]))
        assert marks_of_class.get_color() == nearest
    assert np.all(np.diff(image.get_array(), axis=1) > 0)


def test_samples_are_marked_by_their_class():
    ax = plots.decision_boundary(lambda row: row[0] - 1.0, CORNERS, ["no", "no", "yes", "no"])

    assert [drawn(line) for line in ax.lines] == [[(0, 0), (0, 2), (2, 2)], [(2, 0)]]
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_model_of_several_outputs_is_shaded_by_the_largest():
    X = [[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]]

    ax = plots.decision_boundary(lambda row: [-row[0], row[1], -row[1]], X, [0, 1, 2])

    assert legend(ax) == ["class 0", "class 1", "class 2"]
    for sample, filled in zip(X, ax.collections[::2], strict=True):
        assert filled.get_paths()[0].contains_point(sample)


def test_other_features_stay_at_their_mean():
    asked = []

    def model(row):
        asked.append(row)
        return row[0] - row[2]

    X = [[0.0, 10.0, 1.0], [1.0, 20.0, 3.0]]
    ax = plots.decision_boundary(model, X, [0, 1], threshold=0.0, features=(0, 2), resolution=5)

    assert {row[1] for row in asked} == {15.0}
    assert len(asked) == 25
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x[0]", "x[2]")


def test_model_without_a_boundary_in_the_picture_is_drawn():
    ax = plots.decision_boundary(lambda row: 1.0, np.array(CORNERS), np.array([[0], [0], [1], [1]]))

    assert len(ax.lines) == 2
    assert len(ax.collections) == 0


def test_evaluating_a_model_leaves_its_gradients():
    w = ng.Value(2.0)
    (w * w).backward()

    plots.decision_boundary(lambda row: w * row[0] - row[1], CORNERS, [0, 0, 1, 1], resolution=3)

    assert (w.data, w.grad) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("X", "y", "features", "message"),
    [
        ([], [], (0, 1), "rows of one length, two numbers or more; got rows of none"),
        ([[1.0], [2.0]], [0, 1], (0, 1), "two numbers or more; got rows of 1"),
        ([[1.0, 2.0], [2.0]], [0, 1], (0, 1), "got rows of 1, 2"),
        (CORNERS, [0, 1], (0, 1), "one label per row; got 2 for 4"),
        (CORNERS, [0, 1, 2, 1], (0, 1), "with 1 output tells 2 classes apart; y has 3: 0, 1, 2"),
        (CORNERS, [0, 1, 0, 1], (0, 2), "two different features among 0 to 1"),
        (CORNERS, [0, 1, 0, 1], (1, 1), "two different features among 0 to 1"),
    ],
)
def test_decision_boundary_refuses(X, y, features, message):
    with pytest.raises(ValueError, match=message):
        plots.decision_boundary(lambda row: row[0], X, y, features=features)


@pytest.mark.parametrize(
    ("model", "X", "resolution", "error", "message"),
    [
        (lambda row: row[0], None, 5, TypeError, "decision_boundary takes X as rows in a list, .*; got None"),
        (lambda row: row[0], [["a", "b"]], 5, TypeError, "takes sequences of numbers; got a list of 2"),
        (lambda row: "north", CORNERS, 5, TypeError, "return numbers; this one returned 'north' of type str"),
        (lambda row: row[0], CORNERS, 1, ValueError, "resolution as a whole number of at least 2; got 1"),
    ],
)
def test_decision_boundary_names_arguments_it_cannot_use(model, X, resolution, error, message):
    with pytest.raises(error, match=message):
        plots.decision_boundary(model, X, [0, 0, 1, 1], resolution=resolution)


def test_whole_numbers_name_classes_without_a_point():
    ax = plots.decision_boundary(lambda row: row[0], CORNERS, [-1.0, -1.0, 0.5, 0.5], resolution=3)

    assert legend(ax) == ["class -1", "class 0.5"]


# Fitted lines.


def test_squares_have_the_errors_as_sides_and_their_mean_in_the_legend():
    ax = plots.fitted_line((2.0, 1.0), [0.0, 1.0, 2.0], [1.5, 2.0, 5.5])

    assert [square.get_height() for square in ax.patches] == pytest.approx([0.5, 1.0, 0.5])
    assert "squared errors, mean 0.5" in legend(ax)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_squares_are_square_on_the_screen(unit):
    ax = plots.fitted_line((unit, 0.0), [0.0, 1.0, 2.0], [0.5 * unit, 0.5 * unit, 3.0 * unit])
    ax.figure.canvas.draw()

    boxes = [square.get_window_extent() for square in ax.patches]
    assert [box.width for box in boxes] == pytest.approx([box.height for box in boxes])


def test_squares_fill_the_picture_when_units_differ():
    ax = plots.fitted_line((1000.0, 0.0), [0.0, 1.0, 2.0], [500.0, 500.0, 3000.0])
    ax.figure.canvas.draw()

    low, high = ax.get_xlim()
    assert high - low < 5.0
    low, high = ax.get_ylim()
    assert high - low < 6000.0


@pytest.mark.parametrize("m", [1.0, -1.0])
def test_squares_do_not_cross_the_line(m):
    xs, ys = [0.0, 1.0, 2.0], [0.5, m - 0.5, 2 * m + 0.25]

    ax = plots.fitted_line((m, 0.0), xs, ys)

    for square in ax.patches:
        heights = [y - m * x for x, y in square.get_corners()]
        assert max(heights) < 1e-9 or min(heights) > -1e-9


def test_line_and_samples_are_drawn():
    m, c = ng.Value(0.5), ng.Value(1.0)

    ax = plots.fitted_line((m, c), np.array([0.0, 2.0]), [1.0, 2.5], errors="segments")

    line, samples = ax.lines
    assert all(y == pytest.approx(0.5 * x + 1.0) for x, y in drawn(line))
    assert drawn(samples) == [(0.0, 1.0), (2.0, 2.5)]
    assert [segment.tolist() for segment in ax.collections[0].get_segments()] == [
        [[0.0, 1.0], [0.0, 1.0]],
        [[2.0, 2.0], [2.0, 2.5]],
    ]


def test_curve_of_a_model_is_drawn_and_earlier_ones_are_fainter():
    ax = plots.fitted_line(
        lambda x: ng.Value(x) ** 2, [0.0, 1.0], [0.0, 1.0], errors=None, earlier=[(0, 0), (1, 0)]
    )

    first, second, curve, _ = ax.lines
    assert first.get_alpha() < second.get_alpha() < 1
    assert all(y == pytest.approx(x * x) for x, y in drawn(curve))


def test_model_is_given_rows_where_the_samples_are_rows():
    ax = plots.fitted_line(lambda row: [3 * row[0]], [[0.0], [1.0]], [[0.0], [3.5]])

    assert ax.patches[1].get_height() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("model", "X", "y", "errors", "message"),
    [
        ((1.0, 0.0), [], [], "squares", "one x and one y per sample; got 0 and 0"),
        ((1.0, 0.0), [[1.0, 2.0]], [1.0], "squares", "got 2 and 1 numbers. A model with several inputs"),
        ((1.0, 0.0, 2.0), [1.0], [1.0], "squares", r"a model or a pair \(m, c\); got 3 numbers"),
        (lambda x: [x, x], [1.0], [1.0], "squares", "a model with one output; got 2"),
        ((1.0, 0.0), [1.0], [1.0], "circles", "errors from None, squares, segments; got 'circles'"),
    ],
)
def test_fitted_line_refuses(model, X, y, errors, message):
    with pytest.raises(ValueError, match=message):
        plots.fitted_line(model, X, y, errors=errors)


# Contours.


def test_contours_join_points_of_equal_loss():
    ax = plots.loss_contour(lambda m, c: m**2 + 4 * c**2, x=(-2, 2), y=(-1, 1), levels=4)

    lines = ax.collections[1]
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        points = path.vertices
        assert points[:, 0] ** 2 + 4 * points[:, 1] ** 2 == pytest.approx(
            np.full(len(points), level), abs=0.02
        )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("m", "c")


def test_contours_enclose_equal_areas():
    ax = plots.loss_contour(lambda x, y: x, x=(0, 1), y=(0, 1), levels=4, resolution=101)

    assert ax.collections[1].levels == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_path_runs_from_its_start_to_its_end():
    path = [(1.0, 1.0), (0.5, ng.Value(0.2)), (0.0, 0.0)]

    ax = plots.loss_contour(lambda x, y: x * x + y * y, paths=[path], labels=["rate 0.1"])

    tracks = [drawn(line) for line in ax.lines]
    assert [(1.0, 1.0), (0.5, 0.2), (0.0, 0.0)] in tracks
    assert [(1.0, 1.0)] in tracks
    assert [(0.0, 0.0)] in tracks
    assert legend(ax) == ["rate 0.1"]
    assert ax.get_xlim() == (-0.25, 1.25)


def test_parameters_get_their_numbers_and_gradients_back():
    m, c = ng.Value(1.0, label="m"), ng.Value(2.0)
    (m * c).backward()

    ax = plots.loss_contour(lambda: (m - 1) ** 2 + c**2, (m, c), x=(0, 2), y=(-1, 1), resolution=5)

    assert (m.data, c.data, m.grad, c.grad) == (1.0, 2.0, 2.0, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("m", "parameter 1")


def test_parameters_get_their_numbers_back_after_an_error():
    m, c = ng.Value(1.0), ng.Value(2.0)

    with pytest.raises(ZeroDivisionError):
        plots.loss_contour(lambda: 1 / 0, (m, c), x=(0, 2), y=(-1, 1))

    assert (m.data, c.data) == (1.0, 2.0)


def test_contour_with_parameters_is_that_of_the_function():
    m, c = ng.Value(0.0), ng.Value(0.0)

    one = plots.loss_contour(lambda: m * m + m * c, (m, c), x=(0, 2), y=(-1, 1))
    other = plots.loss_contour(lambda x, y: x * x + x * y, x=(0, 2), y=(-1, 1))

    assert list(one.collections[1].levels) == list(other.collections[1].levels)


def test_loss_that_is_nan_in_places_is_left_blank_there():
    ax = plots.loss_contour(lambda x, y: ng.log(x) + y, x=(-1, 1), y=(0, 1))

    assert all(path.vertices[:, 0].min() > 0 for path in ax.collections[1].get_paths() if len(path))


def test_constant_loss_is_drawn_without_contours():
    ax = plots.loss_contour(lambda x, y: 1.0, x=(0, 1), y=(0, 1), paths=[[(0.5, 0.5)]])

    assert len(ax.collections) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": (0, 1)}, ValueError, r"a range y=\(low, high\) where no path is drawn"),
        ({"x": (1, 0), "y": (0, 1)}, ValueError, r"with low < high; got \(1, 0\)"),
        ({"paths": [[]]}, ValueError, "got an empty path"),
        ({"paths": [1.0]}, TypeError, "takes a path as rows in a list, .*; got 1.0"),
        (
            {"x": (0, 1), "y": (0, 1), "levels": 0},
            ValueError,
            "levels as a whole number .* 1; got 0",
        ),
        (
            {"x": (0, 1), "y": (0, 1), "resolution": 1},
            ValueError,
            "resolution as a whole number .* 2",
        ),
        ({"paths": [[(1, 2, 3)]]}, ValueError, r"pairs of numbers, one pair per step; got \(1.0, 2.0, 3.0\)"),
        ({"paths": [[(0, 0)]], "labels": ["a", "b"]}, ValueError, "one label per path; got 2 for 1"),
        ({"parameters": [1.0, 2.0], "x": (0, 1), "y": (0, 1)}, TypeError, "two leaf Values; got a list of 2"),
    ],
)
def test_loss_contour_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        plots.loss_contour(lambda x, y: x + y, **arguments)


def test_loss_that_is_nan_everywhere_is_refused():
    with pytest.raises(ValueError, match="nan or infinite all over this range"):
        plots.loss_contour(lambda x, y: math.nan, x=(0, 1), y=(0, 1))


# Many evaluations.


def test_many_points_are_evaluated_by_a_compiled_model():
    calls = []

    def model(row):
        calls.append(row)
        return ng.tanh(row[0]) * row[1]

    ax = plots.decision_boundary(model, CORNERS, [0, 0, 0, 1])

    assert len(calls) < 30
    x, y = np.meshgrid(np.linspace(-0.2, 2.2, 60), np.linspace(-0.2, 2.2, 60))
    assert np.allclose(ax.images[0].get_array(), np.tanh(x) * y)


@pytest.mark.parametrize(
    "model",
    [
        lambda row: [row[0], row[1], 1.0],
        lambda row: np.array([row[0], row[1], 1.0]),
        lambda row: {"a": row[0], "bc": [row[1], 1.0]},
        lambda row: [math.exp(math.log1p(row[0])) - 1, row[1], 1.0],  # which Values refuse
    ],
)
def test_outputs_of_any_structure_come_out_alike(model):
    points = [[i / 20, j / 20] for i in range(25) for j in range(25)]

    rows = evaluate(model, points)

    assert np.allclose(rows, [[x, y, 1.0] for x, y in points])


def test_model_that_branches_is_evaluated_on_both_sides():
    points = [i / 100 for i in range(-300, 300)]

    assert evaluate(lambda x: x if x > 0 else -2 * x, points) == [[x if x > 0 else -2 * x] for x in points]


def test_loss_whose_compiled_form_is_wrong_is_evaluated_one_by_one():
    p, q = ng.Value(0.0), ng.Value(0.0)

    heights = evaluate_loss(lambda: p.data * 2.0 + q, (p, q), [(x, 1.0) for x in range(600)])

    assert heights == [2.0 * x + 1.0 for x in range(600)]


def test_compiled_loss_is_that_of_eager_evaluation():
    p, q = ng.Value(0.0), ng.Value(0.0)
    points = [(x / 10, x / 20) for x in range(600)]

    heights = evaluate_loss(lambda: ng.sin(p) * q**2, (p, q), points)

    assert heights == pytest.approx([math.sin(x) * y**2 for x, y in points])


def test_data_frames_are_read_by_rows():
    class Frame:
        def to_numpy(self):
            return np.array(CORNERS)

        def __iter__(self):
            return iter(["names", "of columns"])

    ax = plots.decision_boundary(lambda row: row[0] - 1.0, Frame(), [0, 0, 1, 1], resolution=3)

    assert drawn(ax.lines[1]) == [(2, 0), (2, 2)]


# matplotlib.


def test_reached_as_plots_and_matplotlib_not_imported_before_use(run_python):
    code = "import sys, nodegrad as ng; ng.plots.loss_curve; print('matplotlib' in sys.modules)"

    assert run_python("-c", code).strip() == "False"


def test_missing_matplotlib_is_told_how_to_install(run_python):
    code = """
import sys
sys.modules["matplotlib"] = None
import nodegrad as ng
try:
    ng.plots.loss_curve([1.0])
except ImportError as error:
    print(error)
"""

    assert run_python("-c", code).strip() == "plots are drawn by matplotlib: pip install 'nodegrad[all]'"


def test_class_colours_differ_in_luminance_for_neighbours():
    def luminance(colour):
        red, green, blue = to_rgb(colour)
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert abs(luminance(CLASSES[0][0]) - luminance(CLASSES[1][0])) > 0.1


def test_random_samples_draw_at_small_size(tmp_path):
    generator = random.Random(0)
    X = [[generator.gauss(0, 1), generator.gauss(0, 1)] for _ in range(50)]
    figure, ax = plt.subplots(figsize=(2.5, 2), layout="constrained")

    plots.decision_boundary(lambda row: row[0] * row[1], X, [a * b > 0 for a, b in X], ax=ax, resolution=20)

    figure.savefig(tmp_path / "small.png", dpi=100)
    assert plt.imread(tmp_path / "small.png").shape[:2] == (200, 250)
