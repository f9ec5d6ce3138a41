"""The training player in a real browser."""

import pytest

import nodegrad as ng
from browser_steps import NUMBERS_IN_VIEW, count, press, run, scrub, step, text, texts
from nodegrad.show import Recorder, training_player
from nodegrad.show.text import number, plain_name
from test_dot import HOSTILE

PIXELS = "document.querySelector('canvas').toDataURL()"


def recorded(columns=2, epochs=12, hidden=3):
    model = ng.nn.MLP(columns, [hidden, 1], seed=3)
    X = [[((7 * row + 3 * column) % 11) / 5 - 1 for column in range(columns)] for row in range(12)]
    y = [1.0 if sum(row) > 0 else -1.0 for row in X]
    recorder = Recorder(model, X, y)
    ng.fit(model, X, y, epochs=epochs, callback=recorder, patience=None)
    return recorder


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_scrubbing_shows_each_recorded_frame(open_page, columns):
    recorder = recorded(columns)
    browser = open_page(training_player(recorder))

    assert count(browser) == len(recorder.frames) - 1
    for at in (0, 5, len(recorder.frames) - 1):
        scrub(browser, at)
        frame = recorder.frames[at]
        assert text(browser, "loss-now") == f"{number(frame.loss)} at step {frame.step}"
        rows = texts(browser, "#parameters tbody tr", "td")
        assert [row[1] for row in rows] == [number(x) for x in frame.parameters]
        assert [row[3] for row in rows] == [number(x) for x in frame.gradients]
        boxes = ["\n".join(lines) for lines in texts(browser, "#graph .node", "tspan") if len(lines) > 1]
        assert boxes == [box for box in frame.texts if "\n" in box]


def test_the_boundary_moves_with_the_training(open_page):
    browser = open_page(training_player(recorded(epochs=60)))
    start = run(browser, PIXELS)
    press(browser, "end")

    assert run(browser, PIXELS) != start
    assert step(browser) == count(browser)


def test_a_curve_far_from_its_targets_is_in_view(open_page):
    X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    model = ng.nn.MLP(1, [1], seed=1)
    model.parameters()[0].data, model.parameters()[1].data = -0.5, 0.0
    browser = open_page(training_player(Recorder(model, X, y)))
    low, high = run(browser, "view.y")

    assert low < -1.0 < 2.0 < high


@pytest.mark.parametrize("loss", ["nan", "inf"])
def test_a_training_without_a_finite_loss_is_shown(open_page, loss):
    model = ng.nn.MLP(1, [1], seed=1)
    model.parameters()[0].data = float(loss)
    browser = open_page(training_player(Recorder(model, [[0.5], [1.0]], [0.0, 1.0])))

    assert text(browser, "loss-now") == f"{loss} at step 0"


def test_the_marker_stands_on_the_curve(open_page):
    recorder = recorded()
    browser = open_page(training_player(recorder))
    press(browser, "right")

    points = run(browser, "document.querySelectorAll('.chart path')[1].getAttribute('d')")
    marker = run(browser, "['cx', 'cy'].map(n => document.querySelector('.chart circle').getAttribute(n))")
    assert [float(part) for part in points[1:].split("L")[1].split()] == [float(part) for part in marker]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_appears_as_text(open_page, label):
    model = ng.nn.MLP(1, [1], seed=1)
    model.parameters()[0].label = label
    browser = open_page(training_player(Recorder(model, [[1.0], [2.0]], [1.0, 2.0]), title=label))

    assert texts(browser, "#parameters tbody tr", "td")[0][0] == plain_name(label)
    assert run(browser, "document.querySelector('h1').textContent").split() == label.split()
    assert run(browser, "document.scripts.length") == 2


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overlaps_or_is_cut_off(open_page, width, dark):
    browser = open_page(training_player(recorded(hidden=6)), width=width, dark=dark)

    assert run(browser, "document.documentElement.scrollWidth") <= width
    names = "['loss', 'view', 'parameters', 'sample']"
    boxes = run(browser, f"{names}.map(name => document.getElementById(name).getBoundingClientRect())")
    for at, one in enumerate(boxes):
        assert one["left"] >= 0
        assert one["right"] <= width
        for other in boxes[at + 1 :]:
            above = one["bottom"] <= other["top"] or other["bottom"] <= one["top"]
            beside = one["right"] <= other["left"] or other["right"] <= one["left"]
            assert above or beside
    names = run(
        browser, "[...document.querySelectorAll('#parameters td:first-child')].map(c => c.offsetHeight)"
    )
    assert max(names) < 60
    assert run(browser, NUMBERS_IN_VIEW)


@pytest.mark.parametrize("width", [1280, 400])
def test_the_button_for_the_whole_graph_brings_it_into_view(open_page, width):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = open_page(training_player(recorded(hidden=6)), width)
    run(browser, "byId('whole').click()")

    inside = "(({ top, bottom }) => top >= 0 && bottom <= byId('transport').getBoundingClientRect().top)"
    WebDriverWait(browser, 10).until(lambda browser: run(browser, f"{inside}(panel.getBoundingClientRect())"))
