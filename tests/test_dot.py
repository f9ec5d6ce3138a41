"""DOT text: what it says, and that no label can say anything else."""

import re
import subprocess
from xml.etree import ElementTree as ET

import pytest

import needs
from nodegrad.show.drawing.dot import escape, escape_field, to_dot
from nodegrad.show.drawing.svg import Edge, Node, Picture

HOSTILE = [
    '"',
    "\\",
    'quote " and \\" back',
    "\\N \\G \\l",
    "{a|b} <c> d",
    "<b>bold</b>",
    "&lt;script&gt; &amp; &#65;",
    "<script>alert(1)</script>",
    "two\nlines",
    'n0 -> n1; }" ]; //',
    "emoji 🎈 漢",
    "ends in \\",
    "two  spaces",
]


def records(text):
    return dict(re.findall(r'^  "(n\d+)" \[label="((?:[^"\\]|\\.)*)"', text, re.MULTILINE))


def test_every_node_is_a_record_and_every_operation_an_ellipse():
    picture = Picture([Node(("x", "data 2")), Node(("data 4",), symbol="*")], [Edge(0, 1), Edge(0, 1)])

    text = to_dot(picture)

    assert records(text) == {"n0": r"{x|data\ 2}", "n1": r"{data\ 4}"}
    assert text.count('"n0" -> "op1"') == 2
    assert text.count('"op1" -> "n1"') == 1


def test_fields_stand_side_by_side_either_way():
    node = Node(("x", "y"))

    assert records(to_dot(Picture([node], rankdir="LR"))) == {"n0": "{x|y}"}
    assert records(to_dot(Picture([node], rankdir="TB"))) == {"n0": "x|y"}


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_stays_inside_its_quotes_and_its_field(label):
    text = to_dot(Picture([Node((label,), title=label)]))

    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', text)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert '"' not in outside
    assert len(quoted) == len(re.findall(r'"(?:[^"\\]|\\.)*"', to_dot(Picture([Node(("x",), title="x")]))))
    assert not re.search(r"(?<!\\)(?:\\\\)*[{}|<>]", records(text)["n0"][1:-1])


@pytest.mark.parametrize("label", HOSTILE)
def test_graphviz_shows_a_label_as_it_is(label):
    text = to_dot(Picture([Node((label,), title=label), Node(("x",), symbol=label)], [Edge(0, 1, label)]))

    svg = subprocess.run(
        [needs.program("dot"), "-Tsvg"], input=text.encode(), capture_output=True, check=True
    ).stdout

    root = ET.fromstring(svg)
    groups = root.findall(".//{*}g[@class='node']") + root.findall(".//{*}g[@class='edge']")
    shown = ["\n".join(t.text.replace("\xa0", " ") for t in group.findall(".//{*}text")) for group in groups]
    assert sum(found == label for found in shown) == 3


def test_escapes_of_plain_labels_and_fields():
    assert escape('a "b" \\N &lt;') == 'a \\"b\\" \\\\N &amp;lt;'
    assert escape("a\nb") == "a\\nb"
    assert escape("a\x00b") == "ab"
    assert escape_field("{|}<>") == r"\{\|\}\<\>"
