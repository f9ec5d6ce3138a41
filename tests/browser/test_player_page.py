"""The player in a real browser: what it shows at each step, how it is steered, and that labels stay text."""

import math
import re

import pytest

import nodegrad as ng
from browser_steps import (
    NUMBERS_IN_VIEW,
    ROOM,
    choose,
    click_box,
    count,
    drag,
    press,
    run,
    scrub,
    set_field,
    step,
    text,
    texts,
)
from nodegrad import Value, player
from nodegrad.graph import topological_order
from nodegrad.show.explaining.explain import explanation_page
from nodegrad.show.text import number, plain_name
from test_dot import HOSTILE
from test_layout import micrograd
from test_player import big_graph

LINES_INSIDE = """[...document.querySelectorAll('#graph .node')].every(node => {
    const body = node.querySelector('.body').getBoundingClientRect();
    return [...node.querySelectorAll('tspan')].every(line => {
        const box = line.getBoundingClientRect();
        return !line.textContent || (box.left >= body.left - 1 && box.right <= body.right + 1);
    });
})"""
ROWS = """[...document.querySelectorAll('#gradients tbody tr')].map(row => [...row.cells].map(
    cell => cell.querySelector('input') ? cell.querySelector('input').value : cell.textContent))"""
CLICK_MIDDLE = """(edge => {
    const path = edge.querySelector('path');
    const middle = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(path.getScreenCTM());
    const at = {bubbles: true, clientX: middle.x + 3, clientY: middle.y + 3};
    document.elementFromPoint(at.clientX, at.clientY).dispatchEvent(new MouseEvent('click', at));
})(arguments[0])"""
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
    """Return what the table says by name: data, gradient now, that of backward(), and whether they agree."""
    return {name: tuple(cells) for name, *cells in run(browser, ROWS)}


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
        assert table(browser)[node.label] == (number(node.data), *[number(node.grad)] * 2, "✓")


def test_nothing_is_computed_before_the_start(open_page):
    out, *_ = diamond()
    browser = open_page(player(out))

    assert shown(browser)["x"] == ("data 2", "")
    assert shown(browser)["out"] == ("", "")


def test_every_step_tells_the_arithmetic_of_python(open_page):
    out, _, _, a = diamond()
    browser = open_page(player(out))
    told = []
    for at in range(count(browser) + 1):
        assert step(browser) == at
        lines = texts(browser, "#lines", "p")[0]
        told.append((text(browser, "phase").lower(), text(browser, "headline"), *lines))
        press(browser, "right")
    slope = 1.0 - ng.tanh(a).data ** 2
    grad = number((slope + 3.0) * 2.0)

    assert told[1] == ("forward", "Compute a", "a = x·w", "a = 2·(-0.7)", "a = -1.4")
    assert ("backward", "Start at out", "every gradient starts at 0", "∂out/∂out = 1") in told
    assert told[-1] == (
        "backward",
        "a hands its share to w",
        "∂a/∂w = x = 2",
        "w.grad += a.grad · ∂a/∂w",
        f"w.grad = 0 + {grad} · 2 = {number((slope + 3.0) * 4.0)}",
    )


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
    _, now, right, verdict = table(browser)["w"]
    assert right == number(w.grad)
    assert now != right
    assert verdict == "✗"
    assert run(browser, "document.querySelectorAll('#graph .off').length") >= 1


def test_the_correct_order_ends_without_a_fault(open_page):
    browser = open_page(player(diamond()[0]))
    choose(browser, 2)
    choose(browser, 0)
    press(browser, "end")

    assert {verdict for _, _, _, verdict in table(browser).values()} == {"✓"}
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
    click_box(browser, name)
    assert name in text(browser, "headline")
    set_field(browser, name, "3")
    assert name in " ".join(texts(browser, "#lines", "p")[0])
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


def check_against_python(browser, out):
    """Compare every box and row with what Python computes from the leaves as they are now."""
    again, order = {}, topological_order(out)
    for node in order:
        if node.operands:
            again[node] = node.op(*[again[operand] for operand in node.operands])
        else:
            again[node] = Value(node.data) if node.op is None else node
    again[out].backward()
    for node in order:
        if node.label:
            now = again[node]
            assert shown(browser)[node.label] == (f"data {number(now.data)}", f"grad {number(now.grad)}")
            assert table(browser)[node.label][:3] == (number(now.data), number(now.grad), number(now.grad))


def test_a_number_that_is_typed_changes_all_that_follows(open_page):
    out, x, w, _ = diamond()
    browser = open_page(player(out))

    for leaf, to in [(x, 3.5), (w, -0.25), (x, 0.0)]:
        assert not set_field(browser, leaf.label, str(to))
        leaf.data = to
        check_against_python(browser, out)

    assert step(browser) == count(browser)  # it went to the end, where all can be seen


def test_text_that_is_not_a_number_is_refused_and_changes_nothing(open_page):
    browser = open_page(player(diamond()[0]))
    press(browser, "end")
    before = shown(browser)

    assert set_field(browser, "x", "two")
    assert shown(browser) == before
    assert table(browser)["x"][0] == "2"


def test_a_leaf_is_dragged_in_the_picture(open_page):
    out, x, *_ = diamond()
    browser = open_page(player(out))
    drag(browser, "x", 50)
    x.data = float(shown(browser)["x"][0].removeprefix("data "))

    assert x.data == pytest.approx(2.5, abs=0.011)
    check_against_python(browser, out)
    drag(browser, "a", 50)
    assert shown(browser)["a"][0] == f"data {number(x.data * -0.7)}"  # what is computed cannot be dragged


def test_a_leaf_steps_by_keyboard(open_page):
    from selenium.webdriver import ActionChains, Keys

    browser = open_page(player(diamond()[0]))
    run(browser, "document.querySelector('#gradients input').focus()")
    keys = ActionChains(browser)
    keys.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.PAGE_DOWN).key_down(Keys.SHIFT).send_keys(Keys.ARROW_UP)
    keys.key_up(Keys.SHIFT).send_keys(Keys.ENTER).perform()

    assert table(browser)["x"][0] == "1.21"
    assert shown(browser)["x"][0] == "data 1.21"


def test_reset_gives_the_leaves_their_numbers_back(open_page):
    browser = open_page(player(diamond()[0]))
    press(browser, "end")
    before = shown(browser)
    assert run(browser, "byId('reset').disabled")
    set_field(browser, "x", "7")
    assert shown(browser) != before

    run(browser, "byId('reset').click()")

    assert shown(browser) == before
    assert run(browser, "byId('reset').disabled")


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_mistakes_play_with_changed_numbers_too(open_page, mode):
    browser = open_page(player(diamond()[0]))
    set_field(browser, "w", "0.4")
    choose(browser, mode)
    press(browser, "end")

    assert table(browser)["w"][3] == "✗"


def test_the_table_lists_inputs_then_parameters_as_the_model_does(open_page):
    model = ng.nn.MLP(2, [3, 2, 1], seed=1)
    inputs = [Value(1.0, label="x[0]"), Value(2.0, label="x[1]")]
    browser = open_page(player(model(inputs)))
    named = [plain_name(p.label) for p in model.parameters()]

    assert len(named) == 20
    assert list(table(browser))[:22] == ["x[0]", "x[1]", *named]


def test_the_table_of_a_leaf_alone_lists_it(open_page):
    browser = open_page(player(Value(2.0, label="x")))

    assert list(table(browser)) == ["x"]


def test_the_result_has_a_chain_rule_of_its_own(open_page):
    out, *_ = diamond()
    browser = open_page(player(out))
    click_box(browser, "out")

    assert text(browser, "headline") == "out is the result"
    assert texts(browser, "#lines", "p")[0][-1] == "∂out/∂out = 1"


def test_a_click_on_a_node_shows_its_chain_rule(open_page):
    out, _, w, a = diamond()
    browser = open_page(player(out))
    click_box(browser, "w")
    out.backward()

    assert text(browser, "headline") == "How w reaches out"
    through, result = texts(browser, "#lines", "p")[0][1:]
    assert through == f"through a: ∂out/∂a · ∂a/∂w = {number(a.grad)} · 2 = {number(w.grad)}"
    assert result == f"∂out/∂w = {number(w.grad)}"
    click_box(browser, "x")
    assert texts(browser, "#lines", "p")[0][-1].startswith("∂out/∂x = ")
    assert len(texts(browser, "#lines", "p")[0]) == 4  # its number, two ways to the output, their sum
    press(browser, "right")
    assert text(browser, "phase").lower() == "forward"


def test_a_click_on_an_edge_shows_its_local_derivative(open_page):
    browser = open_page(player(diamond()[0]))
    edge = run(browser, "document.querySelector('#graph .edge')")
    source, target = run(browser, "arguments[0].id.split('-').slice(-3, -1).map(Number)", edge)
    run(browser, CLICK_MIDDLE, edge)
    names = run(browser, "JSON.parse(byId('data').textContent).names")

    assert text(browser, "headline") == f"From {names[source]} to {names[target]}"
    assert texts(browser, "#lines", "p")[0][0].startswith(f"∂{names[target]}/∂{names[source]} = ")
    assert run(browser, "document.querySelectorAll('#graph .lit').length") == 1


def test_folds_open_by_a_click_and_close_again(open_page):
    model = ng.nn.MLP(2, [16, 16, 1], seed=1)
    browser = open_page(player(ng.nn.mean_squared_error(model([0.3, 0.7]), 1.0)))
    press(browser, "end")
    boxes = "document.querySelectorAll('#graph .node').length"
    folded = run(browser, boxes)
    many = "[...document.querySelectorAll('#graph .fold')].find(n => !n.textContent.includes('× 16 × 16'))"
    run(browser, f"{many}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    wait_for(browser, f"{boxes} > {folded}")

    assert run(browser, "[...document.querySelectorAll('#graph .leaf tspan')].some(n => n.textContent)")
    run(browser, "byId('fold').click()")
    wait_for(browser, f"{boxes} === {folded}")
    run(browser, "byId('all').click()")
    wait_for(browser, f"{boxes} > 400")
    assert run(browser, "byId('all').hidden")
    run(browser, "scroller.scrollTop = 0")  # the table is at the row of the step
    wait_for(browser, "[...document.querySelectorAll('.name')].some(n => n.textContent === 'w[0][0][0]')")
    set_field(browser, "w[0][0][0]", "0.5")
    every = "[...document.querySelectorAll('#graph .node:not(.constant)')].every"
    wait_for(browser, f"{every}(node => node.querySelectorAll('tspan')[2].textContent)")


def wait_for(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda browser: run(browser, condition))


def test_an_operation_that_stays_fixed_says_so(open_page):
    wave = ng.custom("wave", math.sin, lambda x, out: ng.cos(x))
    browser = open_page(player(wave(Value(1.0, label="x")) * 2.0))

    assert "wave is Python code that this page cannot repeat" in text(browser, "says")
    assert run(browser, "document.querySelectorAll('#graph .fixed').length") == 1


SPEED = """
const done = arguments[arguments.length - 1];
const times = [];
const leaf = row.indexOf(LEAF);
let at = 0;
function frame() {
    const start = performance.now();
    change(leaf, 0.3 + at / 1000);
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
        times.push(performance.now() - start);
        at += 1;
        at < 40 ? requestAnimationFrame(frame) : done(times);
    };
    channel.port2.postMessage(0);
}
transport.go(1e9);
requestAnimationFrame(frame);
"""


@pytest.mark.parametrize(("nodes", "milliseconds"), [(500, 16), (2_000, 50)])
@pytest.mark.parametrize("fold", [None, False])
def test_a_drag_is_painted_soon(open_page, nodes, milliseconds, fold):
    out = big_graph(nodes - 40)
    browser = open_page(player(out, fold=fold))
    browser.set_script_timeout(60)
    # The processor's time of the page's own thread, which other processes on the machine do not lengthen.
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    spent = []
    for _ in range(3):  # they share its caches, however: the best round tells what the page takes
        before = busy(browser)
        times = browser.execute_async_script(SPEED)
        spent.append(1000 * (busy(browser) - before) / len(times))
    browser.execute_cdp_cmd("Performance.disable", {})

    assert 0.0 < min(spent) < milliseconds, spent


def test_dashes_flow_for_a_while_and_rest_during_a_drag(open_page):
    browser = open_page(player(diamond()[0]))
    running = "document.getAnimations().filter(it => it.animationName === 'flow')"

    press(browser, "end")
    assert 0.0 < run(browser, f"{running}.map(it => it.effect.getComputedTiming().endTime)")[0] < 5000.0
    drag(browser, "w", 40)
    assert run(browser, f"{running}.length") == 0
    press(browser, "left")
    assert run(browser, f"{running}.length") == 1


def busy(browser):
    """Return how many seconds a page's thread has worked: scripts, styles, layout and painting."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overlaps_or_is_cut_off(open_page, width, dark):
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


def test_a_fold_opens_by_keyboard(open_page):
    browser = open_page(player(ng.nn.MLP(2, [16, 16, 1], seed=1)([0.5, -1.0])))
    before = run(browser, "picture.boxes.length")
    run(browser, "panel.focus()")
    press(browser, "down")
    while not run(browser, "document.activeElement.matches('.fold')"):
        press(browser, "down")
    assert run(browser, "getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(browser, "space")
    for _ in range(100):
        if run(browser, "picture.boxes.length") != before:
            break

    assert run(browser, "picture.boxes.length") > before
    assert step(browser) == 0


def test_nodes_and_edges_are_chosen_by_keyboard(open_page):
    browser = open_page(player(diamond()[0]))
    names, headlines = [], []
    run(browser, "panel.focus()")
    for _ in range(
        run(browser, "document.querySelectorAll('#graph .edge, #graph .node:not(.constant)').length")
    ):
        press(browser, "down")
        press(browser, "enter")
        names.append(run(browser, "document.activeElement.getAttribute('aria-label')"))
        headlines.append(text(browser, "headline"))
    press(browser, "down")  # there is no more

    assert names[:5] == ["x", "w", "from x to a", "from w to a", "a"]
    assert headlines[:5] == [
        "How x reaches out",
        "How w reaches out",
        "From x to a",
        "From w to a",
        "How a reaches out",
    ]
    assert (names[-1], headlines[-1]) == ("out", "out is the result")
    assert len(set(headlines)) == len(headlines)
    press(browser, "up")
    assert run(browser, "document.activeElement.matches('.edge:focus-visible')")
    assert step(browser) == 0
    click_box(browser, "w")
    run(browser, "panel.focus()")
    press(browser, "down")
    press(browser, "enter")
    assert text(browser, "headline") == "From x to a"  # it goes on from what was chosen


def test_minus_zero_keeps_its_sign(open_page):
    x = Value(2.0, label="x")
    browser = open_page(player(1.0 / x))
    set_field(browser, "x", "-0")

    assert table(browser)["x"][0] == "-0"
    assert shown(browser)["x"][0] == "data -0"
    run(browser, "document.querySelector('#gradients input').focus()")
    assert run(browser, "document.activeElement.value") == "-0"
    x.data = -0.0
    check_against_python(browser, 1.0 / x)
    scrub(browser, 1)
    assert texts(browser, "#lines", "p")[0] == ["v₁ = 1/x", "v₁ = 1/(-0)", "v₁ = -inf"]


@pytest.mark.parametrize("width", [1280, 400])
def test_the_choice_of_a_mode_is_not_cut(open_page, width):
    browser = open_page(player(diamond()[0]), width)
    for mode in range(4):
        choose(browser, mode)
        assert run(browser, ROOM, "mode") >= 16  # for the arrow
    assert run(browser, "document.documentElement.scrollWidth") <= width


CONTROLS = ("button", "slider", "spinbutton", "combobox", "columnheader", "image", "region")


@pytest.mark.parametrize("big", [False, True])
def test_a_screen_reader_finds_a_name_for_every_control_and_hears_each_step(open_page, big):
    browser = open_page(player(ng.nn.MLP(2, [16, 16, 1], seed=1)([0.5, -1.0]) if big else Value(2.0).tanh()))
    press(browser, "right")
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    seen = [(node["role"]["value"], node["name"]["value"]) for node in tree if not node["ignored"]]

    assert [role for role, name in seen if role in CONTROLS and not name] == []
    assert ("slider", "Step") in seen
    openers = [name for role, name in seen if role == "button" and "click to open" in name]
    assert all(re.match(r".*\S.*: \d+ nodes, click to open$", name) for name in openers)
    assert ("w[0]… × 16 × 2: 32 nodes, click to open" in openers) == big
    assert run(browser, "byId('story').getAttribute('aria-live')") == "polite"
    assert run(browser, "byId('headline').textContent").startswith("Compute ")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (800, 900), (735, 640), (700, 720)])
def test_a_small_graph_is_whole_and_nothing_has_to_be_scrolled(open_page, width, height):
    x, w, b = Value(2.0, label="x"), Value(-0.5, label="w"), Value(1.5, label="b")
    browser = open_page(player((w * x + b).tanh()), width, height)
    press(browser, "end")

    for part in ("#graph", "#story"):
        sizes = "['scrollWidth', 'clientWidth', 'scrollHeight', 'clientHeight'].map(name => it[name])"
        wide, width_of, high, height_of = run(browser, f"(it => {sizes})(document.querySelector('{part}'))")
        assert (wide, high) == (width_of, height_of)
    assert run(browser, "document.documentElement.scrollHeight") <= height
    assert run(browser, "document.getElementById('transport').getBoundingClientRect().bottom") <= height


@pytest.mark.parametrize("width", [1280, 800, 700, 400, 370])
def test_headers_are_whole_and_long_names_can_be_told_apart(open_page, width):
    inputs = [Value(0.5, label=f"transformer.layers.weight[0][{at}]") for at in range(12)]
    browser = open_page(player(ng.sum(inputs)), width=width)

    assert run(
        browser, "[...document.querySelectorAll('th')].every(head => head.scrollWidth <= head.clientWidth)"
    )
    ends = run(browser, """[...document.querySelectorAll('#gradients .name')].map(name => {
        const range = document.createRange();
        range.selectNode(name.lastChild);
        const { left, right } = range.getBoundingClientRect();
        const cell = name.closest('td').getBoundingClientRect();
        return [name.textContent, left >= cell.left && right <= cell.right];
    })""")  # fmt: skip
    assert {name for name, _ in ends} >= {value.label for value in inputs}
    assert all(seen for _, seen in ends)


NODES_IN_VIEW = """(names => [...document.querySelectorAll('#graph .node')].filter(node => {
    const [inner, outer] = [node, document.getElementById('graph')].map(it => it.getBoundingClientRect());
    return names.test(node.textContent) && inner.left >= outer.left && inner.right <= outer.right
        && inner.bottom > outer.top && inner.top < outer.bottom;
}).map(node => node.getBoundingClientRect().left))(new RegExp(arguments[0]))"""
MARKED_IN_VIEW = """(node => {
    const [inner, outer] = [node, document.getElementById('graph')].map(it => it.getBoundingClientRect());
    return inner.right > outer.left && inner.left < outer.right
        && inner.bottom > outer.top && inner.top < outer.bottom;
})(document.querySelector('#graph .to') ?? document.querySelector('#graph .at'))"""
MARKED_ROW = """(row => {
    const [inner, outer] = [row, row.closest('.scroll')].map(it => it.getBoundingClientRect());
    return inner.bottom > outer.top && inner.top < outer.bottom && row.querySelector('.name').textContent;
})(document.querySelector('#gradients tr.to') ?? document.querySelector('#gradients tr.at'))"""


def wide_network():
    model = ng.nn.MLP(2, [16, 16, 16, 1], activation="tanh", seed=1)
    return player((model([0.3, 1.0]) - 1.0) ** 2)


NODES = "document.querySelectorAll('#graph .node').length"


@pytest.mark.parametrize("width", [1280, 700, 400])
def test_the_nodes_of_a_fold_that_opens_are_in_the_middle(open_page, width):
    browser = open_page(wide_network(), width)
    folded = run(browser, NODES)
    run(
        browser,
        "document.querySelector('#graph .fold').dispatchEvent(new MouseEvent('click', {bubbles: true}))",
    )
    wait_for(browser, f"{NODES} > {folded}")
    lefts = run(browser, NODES_IN_VIEW, r"^w\[3\]\[0\]\[")

    assert len(lefts) > 1
    assert all(0.2 * width < left < 0.8 * width for left in lefts)


@pytest.mark.parametrize("at", [40, 400, 700])
def test_another_picture_shows_the_step_and_the_table_follows(open_page, at):
    browser = open_page(wide_network())
    scrub(browser, at)
    folded = run(browser, NODES)
    name = run(browser, "page.names[(step => step.to ?? step.at)(stepAt(transport.index()))]")

    assert run(browser, MARKED_ROW) == name
    run(browser, "byId('all').click()")
    wait_for(browser, f"{NODES} > {folded}")
    assert run(browser, MARKED_IN_VIEW)
    run(browser, "byId('fold').click()")
    wait_for(browser, f"{NODES} === {folded}")
    assert run(browser, MARKED_IN_VIEW)
    assert run(browser, MARKED_ROW) == name


@pytest.mark.parametrize("width", [1280, 900, 820, 735, 400, 370])
def test_a_number_of_any_length_is_whole_in_its_field_beside_a_weight_s_name(open_page, width):
    numbers = (-0.0003333, -1.235e6, -3.333e-10)
    leaves = [Value(x, label=f"w[1][6][{at}]") for at, x in enumerate(numbers, 10)]
    browser = open_page(player(ng.sum(leaves)), width)
    fields = "[...document.querySelectorAll('#gradients input')]"

    assert run(browser, f"{fields}.map(field => field.value)") == [number(leaf.data) for leaf in leaves]
    assert run(browser, f"{fields}.every(field => field.scrollWidth <= field.clientWidth)")
    names = "[...document.querySelectorAll('#gradients .name .head')]"
    assert run(browser, f"{names}.every(head => head.scrollWidth <= head.clientWidth)")
    assert run(browser, NUMBERS_IN_VIEW)


def trained():
    """Return a training player whose graph is too tall for its panel."""
    model = ng.nn.MLP(2, [6, 1], seed=1)
    return ng.training_player(ng.show.Recorder(model, [[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]))


def explained():
    """Return the page that explains a graph too wide for its panel."""
    model = ng.nn.MLP(2, [3, 3, 3, 1], activation="tanh", seed=1)
    return explanation_page(ng.explain(model([0.3, 1.0])))


@pytest.mark.parametrize("width", [1280, 700, 400])
@pytest.mark.parametrize("make", [lambda: wide_network(), trained, explained])
def test_a_graph_starts_readable_and_a_button_shows_the_whole(open_page, make, width):
    browser = open_page(make(), width)
    scale = (
        "(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)(panel.querySelector('svg'))"
    )
    whole = "panel.scrollWidth <= panel.clientWidth && panel.scrollHeight <= panel.clientHeight"

    assert 12.0 * run(browser, scale) >= 7.99
    assert not run(browser, whole)
    assert run(browser, BUTTON_SEEN)
    run(browser, "byId('whole').click()")
    assert run(browser, whole)
    assert run(browser, BUTTON_SEEN)
    run(browser, "byId('whole').click()")
    assert 12.0 * run(browser, scale) >= 7.99


BUTTON_SEEN = """(({ left, right, top, bottom }) =>
    document.elementFromPoint((left + right) / 2, (top + bottom) / 2) === byId('whole')
)(byId('whole').getBoundingClientRect())"""


@pytest.mark.parametrize(
    ("make", "width"),
    [
        (
            lambda: player((Value(2.0, label="x") * Value(-0.5, label="w") + Value(1.5, label="b")).tanh()),
            400,
        ),
        (lambda: player(micrograd()), 1280),
        (lambda: explanation_page(ng.explain(micrograd())), 1280),
        (lambda: player((ng.nn.MLP(2, [16, 16, 1], seed=1)([1.0, 0.5]) - 1.0) ** 2), 1280),
    ],
)
def test_a_graph_that_can_be_read_opens_whole(open_page, make, width):
    browser = open_page(make(), width)

    assert run(browser, "byId('whole').hidden")
    assert run(browser, "panel.scrollWidth <= panel.clientWidth && panel.scrollHeight <= panel.clientHeight")


def test_a_window_may_change_before_the_picture_is_unpacked(open_page, chromium):
    early = "document.addEventListener('DOMContentLoaded', () => dispatchEvent(new Event('resize')))"
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": early})
    try:
        browser = open_page(player(big_graph(1_000), fold=False))
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)

    assert run(browser, "page.packed[0] !== null")
    assert run(browser, "document.querySelectorAll('#graph .node').length") > 900


def test_nothing_moves_for_readers_who_want_less_motion(open_page):
    browser = open_page(player(diamond()[0]))
    moving = []
    for wish in ("no-preference", "reduce"):
        features = [{"name": "prefers-reduced-motion", "value": wish}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        run(browser, "transport.go(8)")
        moving.append(run(browser, "[document.getAnimations().length > 0, motion()]"))
        run(browser, "transport.go(0)")

    assert moving == [[True, "smooth"], [False, "auto"]]


def test_a_graph_that_can_be_read_whole_has_no_button(open_page):
    browser = open_page(player((Value(2.0, label="x") * 3.0).tanh()))

    assert run(browser, "byId('whole').hidden")


@pytest.mark.parametrize("height", range(620, 900, 40))
def test_a_graph_whose_whole_can_be_read_is_never_cut(open_page, height):
    inputs = [Value(float(at), label=f"x{at}") for at in range(4)]
    browser = open_page(player(ng.sum(inputs)), 1280, height)

    assert run(browser, "byId('whole').hidden === (panel.scrollHeight <= panel.clientHeight)")
