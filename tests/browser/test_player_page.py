"""The player in a real browser: what it shows at each step, how it is steered, and that labels stay text."""

import pytest

import nodegrad as ng
from browser_steps import NUMBERS_IN_VIEW, choose, count, press, run, scrub, step, text, texts
from nodegrad import Value, player
from nodegrad.show.text import number, plain_name
from test_dot import HOSTILE

LINES_INSIDE = """[...document.querySelectorAll('#graph .node')].every(node => {
    const body = node.querySelector('.body').getBoundingClientRect();
    return [...node.querySelectorAll('tspan')].every(line => {
        const box = line.getBoundingClientRect();
        return !line.textContent || (box.left >= body.left - 1 && box.right <= body.right + 1);
    });
})"""
SWIPE = """(to => ['pointerdown', 'pointerup'].forEach((type, at) => {
    const touch = {pointerType: 'touch', clientX: 200 + at * to, clientY: 300};
    document.getElementById('story').dispatchEvent(new PointerEvent(type, touch));
}))(arguments[0])"""


def diamond():
    """Return a graph where paths meet in an inner node, so that each mistake shows."""
    x, w = Value(2.0, label="x"), Value(-0.7, label="w")
    a = x * w
    a.label = "a"
    out = (a.tanh() + a * 3.0) * x
    out.label = "out"
    return out, x, w, a


def shown(browser):
    """Return what the boxes of the picture say now: data and gradient by name."""
    return {box[0]: tuple(box[1:]) for box in texts(browser, "#graph .node", "tspan") if box}


def table(browser):
    """Return what the table of gradients says: now, by backward(), and whether they agree."""
    return {row[0]: tuple(row[1:]) for row in texts(browser, "#gradients tbody tr", "td")}


def test_stepping_to_the_end_shows_the_gradients_of_backward(open_page):
    out, *nodes = diamond()
    browser = open_page(player(out))
    steps = count(browser)
    for _ in range(steps):
        press(browser, "right")
    out.backward()

    assert step(browser) == steps
    for node in (out, *nodes):
        assert shown(browser)[node.label] == (f"data {number(node.data)}", f"grad {number(node.grad)}")
        assert table(browser)[node.label] == (number(node.grad), number(node.grad), "✓")


def test_nothing_is_computed_before_the_start(open_page):
    out, *_ = diamond()
    browser = open_page(player(out))

    assert shown(browser)["x"] == ("data 2", "")
    assert shown(browser)["out"] == ("", "")


def test_every_step_shows_what_python_recorded(open_page):
    out, *_ = diamond()
    page = player(out)
    browser = open_page(page)
    data = run(browser, "JSON.parse(document.getElementById('data').textContent)")

    for at, recorded in enumerate([*data["forward"], *data["modes"][0]["steps"]]):
        assert step(browser) == at
        assert text(browser, "headline") == recorded["headline"]
        assert texts(browser, "#lines", "p") == [recorded["lines"]]
        press(browser, "right")


def test_keys_step_back_and_forth_and_jump(open_page):
    browser = open_page(player(diamond()[0]))

    press(browser, "right")
    press(browser, "right")
    press(browser, "left")
    assert step(browser) == 1
    press(browser, "end")
    assert step(browser) == count(browser)
    press(browser, "right")
    assert step(browser) == count(browser)
    press(browser, "home")
    assert step(browser) == 0
    press(browser, "left")
    assert step(browser) == 0


def test_space_plays_and_pauses(open_page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = open_page(player(diamond()[0]))
    run(browser, "document.getElementById('speed').value = '10'")

    press(browser, "space")
    WebDriverWait(browser, 10).until(lambda browser: step(browser) >= 2)
    press(browser, "space")
    paused = step(browser)
    WebDriverWait(browser, 5).until(
        lambda browser: run(browser, "document.getElementById('play').getAttribute('aria-label')") == "Play"
    )
    assert step(browser) == paused


def test_playing_stops_at_the_end(open_page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser = open_page(player(diamond()[0]))
    scrub(browser, count(browser) - 2)
    run(browser, "document.getElementById('speed').value = '10'")
    run(browser, "document.getElementById('play').click()")

    WebDriverWait(browser, 10).until(
        lambda browser: run(browser, "document.getElementById('play').getAttribute('aria-label')") == "Play"
    )
    assert step(browser) == count(browser)


def test_buttons_step_and_grey_out_at_the_ends(open_page):
    browser = open_page(player(diamond()[0]))

    assert run(browser, "document.getElementById('back').disabled")
    for name, expected in [("next", 1), ("next", 2), ("back", 1), ("last", count(browser)), ("first", 0)]:
        run(browser, "document.getElementById(arguments[0]).click()", name)
        assert step(browser) == expected


def test_scrubbing_back_undoes_what_came_later(open_page):
    out, *_ = diamond()
    browser = open_page(player(out))
    scrub(browser, 9)
    before = shown(browser)
    press(browser, "end")

    scrub(browser, 9)

    assert shown(browser) == before
    assert text(browser, "position") == f"step 9 of {count(browser)}"


def test_a_swipe_steps(open_page):
    browser = open_page(player(diamond()[0]), width=400)
    run(browser, SWIPE, -90)
    run(browser, SWIPE, -90)
    assert step(browser) == 2
    run(browser, SWIPE, 90)
    assert step(browser) == 1


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_each_mistake_ends_in_a_wrong_gradient_beside_the_right_one(open_page, mode):
    out, _, w, _ = diamond()
    browser = open_page(player(out))
    choose(browser, mode)
    press(browser, "end")
    out.backward()

    assert "Wrong on purpose" in text(browser, "says")
    now, right, verdict = table(browser)["w"]
    assert right == number(w.grad)
    assert now != right
    assert verdict == "✗"
    assert run(browser, "document.querySelectorAll('#graph .off').length") >= 1


def test_the_right_way_ends_without_a_fault(open_page):
    browser = open_page(player(diamond()[0]))
    choose(browser, 2)
    choose(browser, 0)
    press(browser, "end")

    assert {verdict for _, _, verdict in table(browser).values()} == {"✓"}
    assert run(browser, "document.querySelectorAll('#graph .off').length") == 0


@pytest.mark.parametrize(
    "label", [*HOSTILE, "</script><script>alert(1)</script>", "a\u2028b", "${alert(1)}", "$data"]
)
def test_a_hostile_label_appears_as_text_and_runs_nowhere(open_page, label):
    x = Value(2.0, label=label)
    browser = open_page(player(x * 3.0, title=label))
    press(browser, "end")
    name = plain_name(label)

    assert name in shown(browser)
    assert name in table(browser)
    assert name in text(browser, "headline")
    heading = run(browser, "document.querySelector('h1').textContent")
    assert heading.split() == label.split()
    assert run(browser, "document.scripts.length") == 2  # the data and the program: a dialog would raise here


def test_a_page_cannot_reach_the_network(open_page):
    browser = open_page(player(diamond()[0]))

    blocked = browser.execute_async_script(
        "fetch('https://example.org/').then(() => arguments[0]('sent'), () => arguments[0]('blocked'))"
    )
    policy = [entry for entry in browser.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert blocked == "blocked"
    assert policy


def test_a_page_works_inside_a_notebook_cell(chromium, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<!doctype html><meta charset=utf-8>{player(diamond()[0])._repr_html_()}", encoding="utf-8"
    )
    chromium.get(path.as_uri())
    chromium.switch_to.frame(0)

    assert count(chromium) > 5
    run(chromium, "document.getElementById('last').click()")
    assert step(chromium) == count(chromium)
    chromium.switch_to.default_content()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off_or_overlaps(open_page, width, dark):
    x = [Value(1.0, label="x" * 200), Value(-2.0, label="x2")]
    w = [Value(0.5, label="w1"), Value(0.25, label="w2")]
    out = (ng.dot(w, x) + Value(0.1, label="b")).tanh()
    browser = open_page(player(out, open_dots=True), width=width, dark=dark)
    press(browser, "end")

    assert run(browser, "document.documentElement.scrollWidth") <= width
    boxes = run(
        browser,
        "['graph', 'story', 'gradients'].map(n => document.getElementById(n).getBoundingClientRect())",
    )
    for at, one in enumerate(boxes):
        assert one["left"] >= 0
        assert one["right"] <= width
        for other in boxes[at + 1 :]:
            assert (
                one["bottom"] <= other["top"]
                or other["bottom"] <= one["top"]
                or one["right"] <= other["left"]
                or other["right"] <= one["left"]
            )
    assert run(browser, LINES_INSIDE)
    assert run(browser, NUMBERS_IN_VIEW)
