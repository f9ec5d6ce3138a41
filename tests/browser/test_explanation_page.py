"""The page of an explanation in a real browser: the step at hand is marked, and lit in the graph."""

import pytest

from browser_steps import count, press, run
from nodegrad import Value, explain
from nodegrad.show.players.explanation import explanation_page
from test_dot import HOSTILE


def chain():
    x, w = Value(2.0, label="x"), Value(3.0, label="w")
    return (w * x) ** 2 + w


def lit(browser, name):
    found = f"[...document.querySelectorAll('#graph .{name}')].map(n => n.querySelector('text').textContent)"
    return run(browser, found.replace("querySelector('text')", "querySelector('tspan, text')"))


def test_each_step_is_marked_and_lit(open_page):
    explanation = explain(chain())
    browser = open_page(explanation_page(explanation))

    assert count(browser) == len(explanation.steps)
    assert lit(browser, "at") == []
    for step in explanation.steps:
        press(browser, "right")
        (node,) = lit(browser, "at")
        assert node == explanation.names[step.node]
        now = run(browser, "document.querySelector('.step.now').textContent")
        assert explanation.names[step.node] in now
        consumers = {term.consumer for term in step.terms}
        assert len(lit(browser, "to")) == len(consumers)
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


@pytest.mark.parametrize("label", [*HOSTILE, "</script><script>alert(1)</script>"])
def test_a_hostile_label_stays_text(open_page, label):
    browser = open_page(explanation_page(explain(Value(2.0, label=label) * 3.0)))
    press(browser, "end")

    assert run(browser, "document.scripts.length") == 2
