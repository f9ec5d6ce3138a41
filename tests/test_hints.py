"""Names of PyTorch and JAX: errors that say what to write, from the table that the docs show."""

import copy
import re
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad.hints import HINTS, hints

OWNERS = {
    "nodegrad": ng,
    "nodegrad.nn": ng.nn,
    "nodegrad.optim": ng.optim,
    "Value": ng.Value(2.0),
    "Module": ng.nn.MLP(2, [1], seed=1),
}
NAMES = [(place, name) for place in HINTS for name in hints(place)]
TEXTS = [text for entries in HINTS.values() for text in entries.values()]
DOCS = Path(__file__).parents[1] / "docs"


def test_places_are_those_that_answer():
    assert list(HINTS) == list(OWNERS)


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_a_name_of_another_library_is_answered_with_what_to_write(place, name):
    with pytest.raises(AttributeError) as caught:
        getattr(OWNERS[place], name)

    assert f"has no attribute {name!r}. Write {hints(place)[name]}." in str(caught.value)
    assert caught.value.name is None  # else Python would add a guess of its own


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_hints_leave_duck_typing_alone(place, name):
    owner = OWNERS[place]

    assert not hasattr(owner, name)
    assert getattr(owner, name, 7) == 7
    assert name not in dir(owner)
    assert place[0] == "n" or not hasattr(type(owner), name)


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_hint_says_to_write_exists(text):
    for path in re.findall(r"\bng((?:\.[A-Za-z_]\w*)+)", text):
        found = ng
        for name in path[1:].split("."):
            found = getattr(found, name)
    for name in re.findall(r"\bvalue\.(\w+)", text):
        assert hasattr(OWNERS["Value"], name)
    for name in re.findall(r"\bmodel\.(\w+)", text):
        assert hasattr(OWNERS["Module"], name)


def test_a_name_that_is_nearly_right_is_left_to_python():
    with pytest.raises(AttributeError) as caught:
        ng.nn.MPL

    assert (str(caught.value), caught.value.name) == ("module 'nodegrad.nn' has no attribute 'MPL'", "MPL")
    assert caught.value.obj is ng.nn


def test_a_subclass_may_have_an_attribute_of_such_a_name():
    class Own(ng.Value):
        __slots__ = ()

        def item(self):
            return self.data

    class Net(ng.nn.Module):
        def __init__(self):
            self.modules = [ng.Value(1.0)]

    assert Own(3.0).item() == 3.0
    assert "item" in dir(Own(3.0))
    assert len(copy.deepcopy(Net()).modules) == 1


def test_help_says_what_to_write_too(capsys):
    help(ng.Value)

    assert "item\n |      Write value.data.\n" in capsys.readouterr().out


def test_docs_show_the_table():
    page = DOCS / "tutorials" / "coming-from-pytorch.md"

    assert "```{hints}" in page.read_text(encoding="utf-8")


def test_an_attribute_of_the_name_of_a_hint_is_listed():
    model = ng.nn.MLP(2, [1], seed=1)
    assert "to" not in dir(model)
    model.to = 3
    assert "to" in dir(model)
    assert model.to == 3
