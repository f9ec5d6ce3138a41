"""SVG text: well-formed and inert whatever the labels hold, readable, with stable ids."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegrad.show.drawing.svg import Edge, Node, Picture, measure, text_width, to_svg
from nodegrad.show.text import clean, shorten

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"quotes\" and 'apostrophes'",
    "back\\slash \\N \\l",
    "emoji 🎉🏳️‍🌈 漢字",
    "]]>",
    "<![CDATA[x]]>",
    "&amp; &lt; & <",
    "<!-- comment --",
    "{a|b}<port>",
    "%s {0} ${x} `y`",
    "</text></svg>",
    "\u202eright to left",
]
ELEMENTS = {"svg", "title", "style", "g", "rect", "path", "text", "tspan"}


def texts(svg):
    """Return the text of every cell, its lines joined by newlines."""
    return [
        "\n".join([text.text or "", *(span.text or "" for span in text)]).strip("\n")
        for text in ET.fromstring(svg).iter(f"{SVG}text")
    ]


def everywhere(text):
    """Return a picture with `text` in each place that takes one."""
    nodes = [Node((text, "data 1.0"), symbol=text, title=text), Node((text,), kind="constant")]
    return Picture(nodes, [Edge(1, 0, label=text)], title=text)


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_appear_as_text_and_add_no_element(label):
    svg = to_svg(everywhere(label))

    root = ET.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= ELEMENTS
    assert [element.tag for element in root.iter()] == [
        e.tag for e in ET.fromstring(to_svg(everywhere("x"))).iter()
    ]
    assert texts(svg).count(label) == 4
    assert root.get("aria-label") == label


@given(st.text(st.characters(), max_size=20))
def test_any_text_gives_well_formed_xml(label):
    root = ET.fromstring(to_svg(everywhere(label)).encode("utf-8"))

    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= ELEMENTS


def test_control_characters_and_lone_surrogates_are_dropped():
    assert clean("a\x00b\x1b[31mc\ud800\ufffed") == "ab[31mcd"
    assert texts(to_svg(Picture([Node(("a\x00b",))]))) == ["ab"]


def test_newlines_become_lines():
    svg = to_svg(Picture([Node(("first\nsecond\r\nthird", "1.0"))]))

    assert texts(svg) == ["first\nsecond\nthird", "1.0"]
    heights = [float(span.get("y")) for span in ET.fromstring(svg).iter(f"{SVG}tspan")]
    assert heights == sorted(set(heights))
    assert measure(Node(("a\nb",))).height > measure(Node(("a",))).height


def test_nodes_and_edges_carry_stable_ids():
    picture = Picture([Node(("x",)), Node(("y",), symbol="*")], [Edge(0, 1), Edge(0, 1)])

    ids = re.findall(r'\bid="([^"]*)"', to_svg(picture))
    prefixed = re.findall(r'\bid="([^"]*)"', to_svg(picture, prefix="second-"))

    assert sorted(ids) == ["edge-0-1-0", "edge-0-1-1", "node-0", "node-1"]
    assert prefixed == [f"second-{name}" for name in ids]


def test_titles_are_tooltips_and_are_read_out():
    root = ET.fromstring(to_svg(Picture([Node(("x",), title="the input")], title="a picture")))

    node = root.find(f"{SVG}g")
    assert node.find(f"{SVG}title").text == node.get("aria-label") == "the input"
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find(f"{SVG}title").text == "a picture"


def test_the_view_holds_every_box_and_arrow():
    nodes = [Node(("x", f"{at}.0")) for at in range(6)]
    edges = [Edge(0, 2), Edge(1, 2), Edge(2, 3), Edge(3, 4), Edge(0, 4), Edge(0, 5)]
    for rankdir in ("LR", "TB"):
        root = ET.fromstring(to_svg(Picture(nodes, edges, rankdir=rankdir)))

        left, top, width, height = map(float, root.get("viewBox").split())
        assert (root.get("width"), root.get("height")) == (f"{width:g}", f"{height:g}")
        for box in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
            assert left <= x <= x + w <= left + width
            assert top <= y <= y + h <= top + height
        for path in root.iter(f"{SVG}path"):
            numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
            assert all(left <= x <= left + width for x in numbers[0::2])


def test_text_fits_the_cell_it_is_in():
    svg = to_svg(Picture([Node(("a rather long label", "data -1234.5678", "漢字の名前"))]))

    root = ET.fromstring(svg)
    body = root.find(f".//{SVG}rect")
    right = float(body.get("x")) + float(body.get("width"))
    for text in root.iter(f"{SVG}text"):
        half = text_width(text.text) / 2
        assert float(body.get("x")) < float(text.get("x")) - half
        assert float(text.get("x")) + half < right


def test_widths_follow_the_characters():
    assert text_width("") == 0
    assert text_width("iiii") < text_width("nnnn") < text_width("mmmm")
    assert text_width("e\u0301") == text_width("e")
    assert text_width("漢") > text_width("m")


def test_constants_are_small_and_operators_widen_the_box():
    plain, constant = measure(Node(("2.0",))), measure(Node(("2.0",), kind="constant"))

    assert constant.width < plain.width
    assert constant.height < plain.height
    assert (
        measure(Node(("2.0",), symbol="tanh")).width > measure(Node(("2.0",), symbol="*")).width > plain.width
    )
    assert measure(Node(("2.0",), symbol="*"), "TB").height > plain.height


def test_arrow_heads_touch_the_operator_of_their_target():
    nodes = [Node(("x",)), Node(("y",), symbol="*")]
    across = ET.fromstring(to_svg(Picture(nodes, [Edge(0, 1)])))
    down = ET.fromstring(to_svg(Picture(nodes, [Edge(0, 1)], rankdir="TB")))

    for root, axis in ((across, "x"), (down, "y")):
        head = root.find(f".//{SVG}path[@class='head']").get("d")
        x, y, back_x, back_y, line, width = re.fullmatch(
            r"M([\d.]+) ([\d.]+)l(-\d+) (-\d+)([vh])(\d+)z", head
        ).groups()
        pill = root.find(f".//{SVG}rect[@class='pill']")
        tip, (along, across_it) = (x, (back_x, back_y)) if axis == "x" else (y, (back_y, back_x))
        assert float(tip) == pytest.approx(float(pill.get(axis)), abs=0.1)
        assert int(along) < 0  # the wings lie behind the tip,
        assert line == {"x": "v", "y": "h"}[axis]
        assert int(width) == -2 * int(across_it)  # one on each side


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_edge_labels_lie_beside_the_boxes(rankdir):
    nodes = [
        Node(("x", "2.0")),
        Node(("wide wide wide wide", "1.0")),
        Node(("y",), symbol="sigmoid"),
        Node(("z",)),
    ]
    edges = [Edge(0, 1, "first"), Edge(0, 2, "second"), Edge(1, 3, "third"), Edge(2, 3, "fourth")]
    root = ET.fromstring(to_svg(Picture(nodes, edges, rankdir=rankdir)))

    rectangles = [
        [float(box.get(n)) for n in ("x", "y", "width", "height")] for box in root.iter(f"{SVG}rect")
    ]
    labels = [text for text in root.iter(f"{SVG}text") if text.text in {edge.label for edge in edges}]
    assert len(labels) == 4
    for label in labels:
        at, height, half = float(label.get("x")), float(label.get("y")), text_width(label.text, 10) / 2
        assert not [
            (x, y) for x, y, w, h in rectangles if x < at + half and at - half < x + w and y < height < y + h
        ]


def test_a_filled_box_gets_text_that_can_be_read():
    dark = to_svg(Picture([Node(("x",), fill="#102030")]))
    light = to_svg(Picture([Node(("x",), fill="#f0e0d0")]))

    assert 'style="fill:#102030"' in dark
    assert 'style="fill:#ffffff">x<' in dark
    assert 'style="fill:#000000">x<' in light


def test_nothing_is_fetched_and_dark_pages_are_served():
    svg = to_svg(everywhere("x"))

    assert "prefers-color-scheme: dark" in svg
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|href|\bon\w+=", svg)


def test_numbers_are_short():
    svg = to_svg(Picture([Node(("x", "1.0"))] * 3, [Edge(0, 2), Edge(1, 2)]))

    assert re.findall(r"[\d]+\.\d{2,}", re.sub("<style>.*</style>", "", svg, flags=re.DOTALL)) == []
    assert "-0 " not in svg


def test_an_empty_picture_and_an_empty_cell_are_pictures():
    assert ET.fromstring(to_svg(Picture([]))).tag == f"{SVG}svg"
    assert texts(to_svg(Picture([Node(("",))]))) == [""]
    assert texts(to_svg(Picture([Node(())]))) == []


def test_shorten_leaves_short_text_alone():
    assert shorten("x" * 40) == "x" * 40
    assert shorten("x" * 41) == "x" * 39 + "…"
