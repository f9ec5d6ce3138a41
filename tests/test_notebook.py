"""In a notebook what nodegrad makes shows itself, as text, as a picture, or as a table."""

import sys

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.show import Recorder, notebook
from test_dot import HOSTILE

X, Y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]


@pytest.fixture(scope="module")
def display():
    """Return what IPython shows of an object, by kind."""
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    notebook.register()
    yield lambda it: shell.display_formatter.format(it)[0]
    type(shell).clear_instance()


def test_a_value_shows_its_graph(display):
    x = Value(2.0, label="x")

    assert display(x * 3.0)["image/svg+xml"] == ng.draw(x * 3.0).svg
    assert display(x) == {"text/plain": repr(x)}  # a leaf has no graph


def test_a_value_of_a_huge_graph_shows_its_number(display):
    out = Value(1.0)
    for _ in range(notebook.MOST):
        out = out + 1.0

    assert display(out) == {"text/plain": repr(out)}


def test_a_model_shows_its_network_and_its_parameters(display):
    model = ng.nn.MLP(2, [3, 1], seed=1)
    html = display(model)["text/html"]

    assert ng.draw(model).svg in html
    assert html.count("<tr>") == 1 + 13
    assert "layers.0.neurons.0.w.0" in html


def test_a_model_that_is_not_a_network_shows_its_parameters(display):
    class Line(ng.nn.Module):
        def __init__(self):
            self.m, self.c = Value(2.0), Value(1.0)

    html = display(Line())["text/html"]

    assert "<svg" not in html
    assert html.count("<tr>") == 3


def test_histories_recorders_paths_statistics_and_programs_show_themselves(display):
    model = ng.nn.MLP(2, [3, 1], seed=1)
    recorder = Recorder(model, X, Y)
    history = ng.fit(model, X, Y, epochs=3, callback=recorder)
    x = Value(3.0, label="x")
    square = ng.compile(lambda x: x * x)
    square(2.0)

    assert "<svg" in display(history)["image/svg+xml"]
    assert display(recorder)["text/html"].count("<tr>") == 1 + len(recorder.frames)
    assert "<td>x → * → +</td><td>3 = 3</td>" in display(ng.paths(x * x + x, x))["text/html"]
    assert "<pre>" in display(ng.stats(x * x))["text/html"]
    assert "v0         = x[0] * x[0]" in display(square)["text/html"]


@pytest.mark.parametrize(
    "losses", [[1.0], [float("nan")], [1.0, float("inf"), 2.0], [0.0, 0.0], [100.0, 1.0]]
)
def test_any_losses_make_a_picture(display, losses):
    history = ng.History(losses=losses, validation_losses=losses)

    assert "<svg" in display(history)["image/svg+xml"]


def test_a_history_without_losses_or_matplotlib_shows_its_text(display, monkeypatch):
    assert "image/svg+xml" not in display(ng.History())
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    assert "image/svg+xml" not in display(ng.History(losses=[1.0]))


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_names_stay_text(display, label):
    class Holder(ng.nn.Module):
        def __init__(self):
            self.parts = {label: Value(1.0)}

    html = display(Holder())["text/html"]

    assert html.count("<tr>") == 2
    assert "<script" not in html
    assert "<img" not in html


def test_pages_and_pictures_open_in_the_browser_from_a_script(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("nodegrad.show.window.shell", lambda: None)
    out = Value(2.0) * 3.0

    ng.player(out).show()
    ng.draw(out).show()

    assert [address.rpartition(".")[2] for address in opened] == ["html", "svg"]


def test_pages_show_in_the_cell_of_a_notebook(monkeypatch):
    pytest.importorskip("IPython")
    shown = []
    monkeypatch.setattr("nodegrad.show.window.shell", lambda: type("Shell", (), {"kernel": True}))
    monkeypatch.setattr("IPython.display.display", shown.append)
    page = ng.player(Value(2.0) * 3.0)

    page.show()

    assert shown == [page]


def test_importing_in_ipython_registers_and_elsewhere_does_not(run_python):
    pytest.importorskip("IPython")
    program = """
import sys
import nodegrad
print("nodegrad.show" in sys.modules)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for name in [name for name in sys.modules if name.startswith("nodegrad")]: del sys.modules[name]
import nodegrad
print("image/svg+xml" in shell.display_formatter.format(nodegrad.Value(1.0) + 1.0)[0])
"""

    assert run_python("-c", program).split() == ["False", "True"]


def test_what_is_registered_exists():
    for module, name in notebook.DISPLAYS:
        __import__(module)
        assert getattr(sys.modules[module], name).__module__ == module  # by which IPython looks for it
