"""The page of an explanation in a real browser: the step at hand is marked, and lit in the graph."""

import pytest

from browser_steps import count, press, run
from nodegrad import Value, explain
from nodegrad.show.explaining.explain import explanation_page
from test_dot import HOSTILE


def chain():
    x, w = Value(2.0, label="x"), Value(3.0, label="w")
    return (w * x) ** 2 + w


def lit(browser, name):
    found = f"[...document.querySelectorAll('#graph .{name}')].map(n => n.querySelector('text').textContent)"
    return run(browser, found.replace("querySelector('text')", "querySelector('tspan')"))


def test_each_step_is_marked_and_lit(open_page):
    explanation = explain(chain())
    browser = open_page(explanation_page(explanation))

    assert count(browser) == len(explanation.steps)
    assert lit(browser, "to") == []
    for step in explanation.steps:
        press(browser, "right")
        (node,) = lit(browser, "to")
        assert node == explanation.names[step.node]
        now = run(browser, "document.querySelector('.step.now').textContent")
        assert explanation.names[step.node] in now
        assert run(browser, "document.querySelector('[aria-live]#said').textContent") in now
        consumers = {term.consumer for term in step.terms}
        assert len(lit(browser, "at")) == len(consumers)
        assert run(browser, "document.querySelectorAll('#graph .lit').length") == len(consumers)


def test_a_click_on_a_step_goes_there(open_page):
    browser = open_page(explanation_page(explain(chain())))
    run(browser, "document.querySelectorAll('.step')[2].click()")

    assert run(browser, "document.querySelectorAll('.step')[2].getAttribute('aria-current')") == "step"
    assert run(browser, "document.querySelectorAll('[aria-current]').length") == 1


@pytest.mark.parametrize("width", [1280, 800, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_page(open_page, width, dark):
    browser = open_page(explanation_page(explain(chain())), width=width, dark=dark)

    assert run(browser, "document.documentElement.scrollWidth") <= width


AT_ONCE = """(HTMLElement.prototype.scrollBy = function ({ left, top }) {
    this.scrollLeft += left;
    this.scrollTop += top;
})"""  # instead of smoothly
IN_VIEW = """[...document.querySelectorAll('#graph .at, #graph .to')].every(node => {
    const [inner, outer] = [node, document.getElementById('graph')].map(it => it.getBoundingClientRect());
    return inner.left >= outer.left && inner.right <= outer.right
        && inner.top >= outer.top && inner.bottom <= outer.bottom;
})"""


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_what_is_lit_in_a_wide_graph_is_in_view(open_page, width):
    x = Value(1.0, label="x")
    y = x
    for _ in range(14):
        y = (y * 1.1).tanh()
    browser = open_page(explanation_page(explain(y)), width=width)
    run(browser, AT_ONCE)
    for _ in range(count(browser)):
        press(browser, "right")
        assert run(browser, IN_VIEW)


def test_a_formula_that_goes_on_begins_further_right(open_page):
    x = Value(2.0, label="a_rather_long_name")
    browser = open_page(explanation_page(explain((x * 3.0).tanh() * x)), width=400)
    lefts = run(browser, """[...document.querySelectorAll('#text pre > span')].map(line => {
        const range = document.createRange();
        range.selectNodeContents(line);
        const boxes = [...range.getClientRects()].filter(box => box.width > 2);
        return [...new Set(boxes.map(box => Math.round(box.left)))];
    })""")  # fmt: skip

    assert len({found[0] for found in lefts}) == 1 or min(map(min, lefts)) == lefts[0][0]
    assert any(len(found) > 1 for found in lefts)
    for found in lefts:
        assert all(left > found[0] for left in found[1:])


@pytest.mark.parametrize("label", [*HOSTILE, "</script><script>alert(1)</script>"])
def test_a_hostile_label_stays_text(open_page, label):
    browser = open_page(explanation_page(explain(Value(2.0, label=label) * 3.0)))
    press(browser, "end")

    assert run(browser, "document.scripts.length") == 2
