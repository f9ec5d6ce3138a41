"""draw: what is in the picture, how it folds, and which engine lays it out."""

import math
import os
import random
import re
import stat
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import needs
import nodegrad as ng
from nodegrad import Value, draw, draw_dot
from nodegrad.show.drawing import dot
from nodegrad.show.drawing.fold import circles, components
from nodegrad.show.drawing.picture import blend
from nodegrad.show.drawing.svg import ink
from nodegrad.show.snapshot import snapshot
from nodegrad.show.text import clean, number, part, plain_name
from test_dot import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def own(*outputs, **options):
    return draw(*outputs, engine="own", **options)


def texts(drawing):
    """Return the texts of each node of a drawing, in the order of its boxes."""
    root = ET.fromstring(drawing.svg)
    nodes = [group for group in root.iter(f"{SVG}g") if "node" in group.get("class").split()]
    return [
        ["\n".join(cell.itertext()) if len(cell) else cell.text for cell in node.findall(f"{SVG}text")]
        for node in nodes
    ]


def kinds(drawing):
    root = ET.fromstring(drawing.svg)
    return [
        g.get("class").removeprefix("node ") for g in root.iter(f"{SVG}g") if "node" in g.get("class").split()
    ]


def edges(drawing):
    root = ET.fromstring(drawing.svg)
    return [group.get("id") for group in root.iter(f"{SVG}g") if "edge" in group.get("class").split()]


def network(samples, sizes=(2, 16, 16, 1)):
    """Return the squared errors of an MLP written with + and *, and the sums in its first layer."""
    rng = random.Random(0)
    layers = [
        [
            ([Value(rng.gauss(0, 1), label="w") for _ in range(wide)], Value(0.0, label="b"))
            for _ in range(out)
        ]
        for wide, out in pairwise(sizes)
    ]
    loss, first = Value(0.0), []
    for _ in range(samples):
        h = [Value(rng.uniform(-1, 1), label="x") for _ in range(sizes[0])]
        for layer in layers:
            h = [sum((w * x for w, x in zip(weights, h, strict=True)), bias) for weights, bias in layer]
            if layer is not layers[-1]:
                first += h if layer is layers[0] else []
                h = [z.relu() for z in h]
        loss = loss + (h[0] - rng.choice([-1.0, 1.0])) ** 2
    return loss, first


@pytest.fixture(scope="module")
def training():
    loss, _ = network(100)
    loss.backward()
    return loss


@pytest.fixture
def no_dot(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def fake_dot(monkeypatch, tmp_path):
    """Return a function that puts a program named dot on the PATH."""

    def write(script):
        program = tmp_path / "dot"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return write


def test_every_node_shows_its_label_value_and_gradient():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = x * y
    z.label = "z"
    z.backward()

    assert texts(own(z)) == [
        ["x", "data 2", "grad 3"],
        ["y", "data 3", "grad 2"],
        ["z", "data 6", "grad 1", "*"],
    ]


def test_a_shared_node_is_drawn_once_and_each_use_is_an_edge():
    x = Value(3.0, label="x")
    y = x * x + x

    drawing = own(y)

    assert drawing.boxes == 3
    assert edges(drawing) == ["edge-0-1-0", "edge-0-1-1", "edge-1-2-0", "edge-0-2-0"]


def test_constants_are_small_and_carry_no_gradient():
    x = Value(3.0, label="x")

    drawing = own(x**2)

    assert kinds(drawing) == ["leaf", "constant", "output"]
    assert texts(drawing)[1] == ["2"]


def test_several_outputs_share_one_picture():
    x = Value(3.0, label="x")

    assert own(x.sin(), x.cos()).boxes == 3
    assert own([x.sin(), x.cos()]).boxes == 3


def test_a_drawing_keeps_the_numbers_it_was_made_with():
    x = Value(3.0, label="x")
    y = x * 2.0
    drawing = own(y)

    y.backward()
    x.data = 7.0

    assert texts(drawing)[0] == ["x", "data 3", "grad 0"]


def test_before_and_after_gradients_stand_side_by_side():
    x = Value(3.0, label="x")
    y = x * 2.0
    before = own(y)
    y.backward()

    assert texts(own(y, before=before))[0] == ["x", "data 3", "grad 0 → 2"]
    assert texts(own(y, before={x: -1.0}))[0] == ["x", "data 3", "grad -1 → 2"]


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (2.0001, "2.000"),
        (1 / 3, "0.3333"),
        (1e-300, "1e-300"),
        (999999.96, "1000000.0"),
        (999_999.0, "999999"),
        (1234567.0, "1.235e+06"),
        (12345.678, "12345.7"),
        (-0.0, "-0"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_numbers_are_short_but_honest(x, text):
    assert number(x) == text


@pytest.mark.parametrize("label", [*HOSTILE, "x" * 1000, "\x00\x1b[31m", "]]>", "<!--"])
def test_a_hostile_label_is_text(label):
    x = Value(1.0, label=label)

    root = ET.fromstring(own(x * 2.0).svg)

    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "g", "rect", "path", "text", "tspan"}
    shown = texts(own(x))[0][0]
    assert shown == clean(label) or shown == clean(label[:39]) + "…"


def test_numbers_that_are_not_finite_are_drawn():
    x = Value(math.nan, label="x")
    y = x * math.inf

    assert texts(own(y, colour="grad"))[0] == ["x", "data nan", "grad 0"]


def test_a_training_graph_folds_into_a_few_boxes(training):
    drawing = own(training)

    assert drawing.nodes > 65_000
    assert drawing.boxes < 30
    assert "× 100 × 16" in drawing.svg


def test_folded_counts_add_up(training):
    drawing = own(training)

    layers = sorted(drawing.folds.values(), reverse=True)
    assert layers[:2] == [100 * 16 * 16, 100 * 16 * 2]
    assert 256 in layers  # the weights of the second layer, which all samples share


def test_counts_are_factored_into_samples_neurons_and_inputs(training):
    shown = [cells[0].splitlines()[0] for cells in texts(own(training)) if "×" in cells[0]]

    assert "× 100 × 16 × 16" in shown
    assert "w × 16 × 16" in shown
    assert "x × 100 × 2" in shown


def test_a_small_graph_does_not_fold_unless_told():
    loss, _ = network(1, (2, 3, 1))

    assert own(loss).folds == {}
    assert own(loss, fold=True).folds


def test_a_fold_opens_by_name():
    loss, _ = network(4, (2, 3, 1))
    folded = own(loss, fold=True)
    name = next(name for name, count in folded.folds.items() if count == 4)

    opened = folded.expand(name)

    assert opened.boxes > folded.boxes
    assert opened.nodes == folded.nodes
    assert sum(opened.folds.values()) < sum(folded.folds.values())


def test_opening_an_unknown_fold_names_the_known_ones():
    with pytest.raises(ValueError, match="expand takes names from none; got 'fold 99'"):
        own(Value(1.0) + 2.0).expand("fold 99")


def test_folded_graphs_have_no_cycle_on_random_graphs():
    rng = random.Random(1)
    for _ in range(8):
        nodes = [Value(rng.random()) for _ in range(5)]
        for _ in range(200):
            op = rng.choice([ng.add, ng.mul, ng.maximum])
            nodes.append(op(rng.choice(nodes), rng.choice(nodes)))
        drawing = own(*nodes[-10:], fold=True)

        assert drawing.svg  # the layout refuses cycles


def test_a_one_node_dot_opens_into_products_and_a_sum():
    w, x = [Value(2.0), Value(3.0)], [Value(5.0), Value(7.0)]
    out = ng.dot(w, x)
    out.backward()

    assert own(out).boxes == 5
    opened = texts(own(out, open_dots=True))
    assert ["data 10", "grad 1", "*"] in opened
    assert ["data 31", "grad 1", "Σ"] in opened


def test_a_sum_of_many_products_in_a_gradient_opens_too():
    x, weights = Value(2.0), [Value(float(index)) for index in range(1, 10)]
    slope = ng.grad(lambda x: ng.sum([ng.sin(x * weight) for weight in weights]))(x)
    slope.backward()

    opened = texts(own(slope, open_dots=True))
    assert not [text for text in opened if "·" in text]
    assert len([text for text in opened if "Σ" in text]) == 1
    assert "cos(" in str(ng.explain(slope))


def test_depth_and_limit_leave_stubs():
    x = Value(1.0, label="x")
    y = x
    for _ in range(10):
        y = y.sin()

    assert texts(own(y, depth=2))[0] == ["…"]
    assert own(y, depth=2).boxes == 4
    assert own(y, limit=5).boxes == 6


def chain(length):
    y = Value(1.0, label="x")
    for _ in range(length):
        y = y.sin()
    return y


def test_a_long_chain_is_one_box_with_a_count():
    drawing = own(chain(20_000))

    assert drawing.boxes == 4
    assert list(drawing.folds.values()) == [19_998]
    assert "× 19,998" in drawing.svg


def test_a_long_chain_that_is_not_folded_draws_its_end():
    assert own(chain(1000), fold=False).boxes == 201


def test_the_steps_of_a_recurrence_are_one_box():
    h, w, u = Value(0.0), Value(0.5, label="w"), Value(0.3, label="u")
    for step in range(60):
        h = (w * h + u * float(step)).tanh()

    drawing = own(h)

    assert drawing.boxes < 12
    loop = next(cells for cells in texts(drawing) if cells[-1] == "loop")
    assert loop[0].splitlines()[0] == "+ × 60, tanh × 59, * × 59"


def test_a_loop_opens_too():
    drawing = own(chain(150))

    assert drawing.expand(*drawing.folds).boxes > drawing.boxes


def test_a_large_fold_opens_in_part(training):
    drawing = own(training)
    name = max(drawing.folds, key=drawing.folds.get)

    opened = drawing.expand(name)

    assert opened.boxes <= 201
    assert max(opened.folds.values()) == drawing.folds[name] - 24


def test_circles_are_found_whatever_the_order():
    rng = random.Random(3)
    for _ in range(50):
        names = list(range(12))
        feeds = {name: rng.sample(names, rng.randrange(3)) for name in names}
        reach = {name: {name} for name in names}
        for _ in names:
            for name in names:
                reach[name] |= {far for near in feeds[name] for far in reach[near]}

        found = components(feeds)

        for one in names:
            for other in names:
                assert (found[one] == found[other]) == (one in reach[other] and other in reach[one])


def test_classes_that_read_one_layer_do_not_multiply_the_boxes():
    rng = random.Random(0)
    rows = [[rng.random() for _ in range(4)] for _ in range(30)]
    boxes = []
    for classes in (3, 5, 7):
        model = ng.nn.MLP(4, [8, classes], seed=1)
        losses = [ng.nn.cross_entropy(model(row), at % classes) for at, row in enumerate(rows)]
        boxes.append(own(ng.mean(losses)).boxes)

    assert max(boxes) < 40
    assert max(boxes) - min(boxes) <= 4  # a maximum of more numbers is deeper


def test_an_mlp_of_one_node_dots_folds_as_well():
    rng = random.Random(0)
    model = ng.nn.MLP(2, [16, 16, 1], seed=1)
    rows = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(100)]
    loss = ng.mean([ng.nn.mean_squared_error(model(row), 1.0) for row in rows])

    assert own(loss).boxes < 30
    assert own(loss, open_dots=True).boxes < 30
    assert own(loss, open_dots=True).nodes > own(loss).nodes


def test_gradient_shades_run_from_light_to_dark():
    x = Value(1.0, label="x")
    y = (x * 1000.0) * 0.5
    y.backward()

    svg = own(y, colour="grad").svg

    assert blend(1.0) in svg
    assert svg.count("fill:#08306b") == 1


def luminance(colour):
    """Return the relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_can_be_read_on_every_shade():
    for depth in range(101):
        shade = blend(depth / 100)
        light, dark = sorted((luminance(shade), luminance(ink(shade))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_shades_darken_steadily_in_greyscale():
    levels = [luminance(blend(depth / 100)) for depth in range(101)]

    assert all(later < earlier for earlier, later in pairwise(levels))


def test_a_highlighted_path_marks_nodes_and_edges():
    x, y = Value(1.0, label="x"), Value(2.0, label="y")
    z = x * y

    drawing = own(z, highlight=[x, z])

    assert kinds(drawing) == ["leaf highlight", "leaf", "output highlight"]
    assert drawing.svg.count('class="edge highlight"') == 1
    assert "#c2410c" in drawing.dot


def test_without_graphviz_the_svg_is_ours(no_dot):
    drawing = draw(Value(1.0) + 2.0)

    assert 'class="nodegrad"' in drawing.svg


def test_graphviz_lays_out_where_it_is(fake_dot):
    fake_dot('cat > /dev/null; echo "<?xml?><svg width=\\"1\\">laid out by dot</svg>"')

    svg = draw(Value(1.0) + 2.0).svg
    assert svg.startswith('<svg class="nodegrad-dot" width="1"><style>')
    assert svg.endswith("</style>laid out by dot</svg>\n")


def test_every_colour_of_graphviz_has_one_for_dark_pages():
    colours = set(re.findall("#[0-9a-f]{6}", Path(dot.__file__).read_text(encoding="utf-8")))
    dark = part("dot.css").split("prefers-color-scheme: dark")[1]

    assert len(colours) > 10
    assert [colour for colour in colours if f'="{colour}"]' not in dark] == []


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 1", "echo no picture", "kill -9 $$"])
def test_our_layout_steps_in_when_graphviz_fails(fake_dot, monkeypatch, script):
    monkeypatch.setattr(sys.modules["nodegrad.show.drawing.draw"], "DOT_SECONDS", 0.2)
    fake_dot(script)

    assert 'class="nodegrad"' in draw(Value(1.0) + 2.0).svg


def test_asking_for_a_failing_graphviz_says_what_happened(fake_dot):
    fake_dot('echo "no such font" >&2; exit 1')

    with pytest.raises(RuntimeError, match=r"failed: no such font.*save an \.svg"):
        draw(Value(1.0) + 2.0, engine="dot").svg


def test_files_are_written_by_suffix(no_dot):
    drawing = draw(Value(1.0, label="x") * 2.0)

    assert drawing.save(no_dot / "graph.svg").read_text() == drawing.svg
    assert drawing.save(no_dot / "graph.dot").read_text() == drawing.dot
    with pytest.raises(ValueError, match=r"writes \.svg, \.dot.*got 'graph\.jpeg'"):
        drawing.save(no_dot / "graph.jpeg")


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_png_and_pdf_without_graphviz_name_the_remedy(no_dot, monkeypatch, suffix):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(RuntimeError, match=r"`dot` is not on the PATH.*save an \.svg"):
        draw(Value(1.0)).save(no_dot / f"graph.{suffix}")
    assert not (no_dot / f"graph.{suffix}").exists()


def test_png_comes_from_graphviz(fake_dot, tmp_path):
    fake_dot('cat > /dev/null; printf "picture as %s" "$1"')

    assert draw(Value(1.0)).save(tmp_path / "graph.png").read_bytes() == b"picture as -Tpng"


def test_png_without_graphviz_comes_from_an_optional_library(no_dot):
    pytest.importorskip("resvg_py")
    png = draw(Value(1.0, label="x") * 2.0).save(no_dot / "graph.png").read_bytes()
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))

    assert png.startswith(b"\x89PNG\r\n")
    assert (width, height) == tuple(2 * round(side) for side in svg_size(draw(Value(1.0, label="x") * 2.0)))


def svg_size(drawing):
    root = ET.fromstring(drawing.svg)
    return float(root.get("width")), float(root.get("height"))


def test_a_port_of_graphviz_is_taken_where_there_is_no_dot(fake_dot, monkeypatch, tmp_path):
    fake_dot('echo "<svg>laid out by a port</svg>"')
    (tmp_path / "dot").rename(tmp_path / "graphviz-pure")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert draw(Value(1.0) + 2.0).svg.endswith("</style>laid out by a port</svg>\n")


def test_a_port_that_cannot_write_a_format_is_named(fake_dot, monkeypatch, tmp_path):
    fake_dot("exit 0")
    (tmp_path / "dot").rename(tmp_path / "graphviz-pure")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RuntimeError, match=r"graphviz-pure writes no \.pdf"):
        draw(Value(1.0)).save(tmp_path / "graph.pdf")


def test_a_copy_of_what_draw_dot_returns_draws_without_graphviz_too(no_dot):
    dot = ng.draw_dot(Value(1.0, label="x") * 2.0)

    with dot.subgraph(name="inner") as inner:
        inner.node("inner")

    assert dot.copy().pipe("svg") == dot.pipe("svg")
    assert dot.copy().source == dot.source


def test_render_writes_the_file_that_is_asked_for_without_graphviz_too(no_dot):
    picture = no_dot / "graph.svg"

    assert ng.draw_dot(Value(1.0) * 2.0, format="dot").render(outfile=picture) == str(picture)
    assert picture.read_text().startswith("<svg")


def test_a_notebook_gets_the_svg(no_dot):
    drawing = draw(Value(1.0) + 2.0)

    assert drawing._repr_svg_() == drawing.svg
    assert repr(drawing) == "<Drawing of 3 nodes in 3 boxes>"


MODEL = ng.nn.MLP(2, [1], seed=1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: draw(3.0), TypeError, "draw takes Values; got 3.0 of type float"),
        (lambda: draw(), ValueError, "draw takes at least one Value"),
        (lambda: draw(Value(1.0), rankdir="RL"), ValueError, "draw takes rankdir from LR, TB; got 'RL'"),
        (lambda: draw(Value(1.0), colour="data"), ValueError, "takes colour from None, grad"),
        (lambda: draw(Value(1.0), engine="neato"), ValueError, "takes engine from None, dot, own"),
        (lambda: draw(Value(1.0), limit=0), ValueError, "limit as a whole number of at least 1; got 0"),
        (lambda: draw(Value(1.0), limit="all"), ValueError, "limit as a whole number.*got 'all'"),
        (lambda: draw(Value(1.0), depth=-1), ValueError, "depth as a whole .* at least 0, or None; got -1"),
        (
            lambda: draw(Value(1.0), before=3),
            TypeError,
            "before as a Drawing, or as a dict of gradients by Value; got 3",
        ),
        (lambda: draw_dot(3.0), TypeError, "draw_dot takes Values; got 3.0 of type float. Compute it"),
        (
            lambda: draw(ng.nn.MLP),
            TypeError,
            r"got <class .*MLP'> of type type. That is a class: make one, MLP",
        ),
        (lambda: draw(list), TypeError, "That is a class: make one, list"),
        (lambda: draw(MODEL, MODEL), TypeError, "draw takes Values.* Give it a result of the model"),
        (lambda: ng.explain(MODEL), TypeError, "explain takes Values.* Give it a result of the model"),
        (lambda: ng.player(MODEL), TypeError, r"model\(x\); nodegrad.playground takes the model"),
        (lambda: draw_dot(Value(1.0), rankdir="up"), ValueError, "draw_dot takes rankdir"),
    ],
)
def test_bad_arguments_are_refused_with_the_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("label", "text"), [(7, "7"), (("w", 0), "('w', 0)"), (None, "")])
def test_a_label_that_is_not_text_is_shown_as_text(label, text):
    x = Value(2.0)
    x.label = label
    out = x * x

    assert [text, "data 2", "grad 0"] in [["", *found][-3:] for found in texts(own(out))]
    assert f"{{ {text} | data 2.0000" in draw_dot(out).source.replace("\\", "")
    assert ng.explain(out).names[x] == (plain_name(text) if text else "v₁")
    assert str(ng.paths(out, x)[0]).startswith(plain_name(text) if text else "2 → *")


def test_a_value_to_highlight_may_come_alone():
    x = Value(2.0)
    out = x * x

    assert draw(out, highlight=x).dot == draw(out, highlight=[x]).dot != draw(out).dot


def test_draw_dot_is_the_digraph_of_the_lectures():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    d = draw_dot(c.tanh(), rankdir="TB")

    assert d.format == "svg"
    assert d.graph_attr == {"rankdir": "TB"}
    assert d.source.count("shape=record") == 4
    assert d.source.count("->") == 5
    assert "data 2.0000 | grad 0.0000" in d.source
    assert f"{id(c)}* -> {id(c)}" in d.source.replace('"', "")


def test_draw_dot_writes_a_constant_exponent_into_the_operation():
    x = Value(3.0, label="x")
    source = draw_dot(x**2).source

    assert source.count("shape=record") == 2
    assert 'label="**2"' in source
    assert source.count("->") == 2


@pytest.mark.parametrize("label", HOSTILE)
def test_draw_dot_escapes_labels(label):
    source = draw_dot(Value(1.0, label=label)).source

    assert source.count("shape=record") == 1
    assert source.count("\n") == draw_dot(Value(1.0)).source.count("\n")


def test_draw_dot_shows_itself_in_a_notebook_without_graphviz(no_dot):
    x = Value(2.0, label="x")

    shown = draw_dot(x * x)._repr_mimebundle_()

    assert shown == {"image/svg+xml": draw(x * x, engine="own").svg}


def test_draw_dot_renders_without_graphviz(no_dot):
    dot = draw_dot(Value(2.0, label="x") * 3.0)

    rendered = dot.render(str(no_dot / "gout"))

    assert rendered == str(no_dot / "gout.svg")
    assert (no_dot / "gout.svg").read_text() == dot.drawing.svg
    assert (no_dot / "gout").read_text() == dot.source
    assert draw_dot(Value(2.0)).render(directory=no_dot, cleanup=True) == str(no_dot / "Digraph.gv.svg")
    assert not (no_dot / "Digraph.gv").exists()
    assert dot.pipe("svg", encoding="utf-8") == dot.drawing.svg


def test_draw_dot_views_what_it_rendered_without_graphviz(no_dot, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    draw_dot(Value(2.0)).render(str(no_dot / "gout"), view=True)

    assert opened == [(no_dot / "gout.svg").as_uri()]


def test_draw_dot_renders_by_graphviz_where_it_is(tmp_path):
    needs.program("dot")
    rendered = draw_dot(Value(2.0)).render(str(tmp_path / "gout"))

    assert "Generated by graphviz" in (tmp_path / "gout.svg").read_text()
    assert rendered == str(tmp_path / "gout.svg")


def stepped():
    """Return a graph and its leaf, which a training step has changed since."""
    w = Value(3.0, label="w")
    out = w * w + 1.0
    out.backward()
    w.data -= 0.1 * w.grad
    return out, w


def test_what_was_computed_from_changed_numbers_is_marked():
    out, w = stepped()
    drawing = own(out)

    assert kinds(drawing) == ["leaf", "value stale", "constant", "output stale"]
    assert drawing.svg.count("(stale)") == drawing.dot.count("(stale)") == 2
    assert "computed from numbers that have changed since" in drawing.svg
    assert "stale" not in own(w * w).svg.partition("</style>")[2]


def test_a_gradient_of_none_is_drawn_as_0():
    x = Value(1.0, label="x")
    x.grad = None

    assert texts(own(x * 2.0))[0] == ["x", "data 1", "grad 0"]


def test_a_leaf_that_every_node_of_a_deep_chain_uses_takes_no_room_for_each():
    import tracemalloc

    x = y = Value(1.001)
    for _ in range(20_000):
        y = y * x
    tracemalloc.start()
    drawing, explanation = own(y), ng.explain(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert drawing.boxes < 10
    assert explanation.partials[x] > 20_000
    assert peak < 100e6  # sets of all that x feeds, one for each node, would take gigabytes


def transformer(tokens=6, width=4):
    """Return the loss of one layer of attention and a hidden layer, each parameter labelled by its matrix."""
    rng = random.Random(0)

    def matrix(name, rows, columns):
        labels = [[f"{name}[{i}][{j}]" for j in range(columns)] for i in range(rows)]
        return [[Value(rng.gauss(0.0, 0.3), label=label) for label in row] for row in labels]

    def linear(rows, x):
        return [ng.dot(row, x) for row in rows]

    query, key, value, out = [matrix(name, width, width) for name in ("query", "key", "value", "out")]
    up, down, embedding = matrix("up", 8, width), matrix("down", width, 8), matrix("embedding", tokens, width)
    keys, values, total = [], [], []
    for x in embedding:
        keys.append(linear(key, x))
        values.append(linear(value, x))
        shares = ng.softmax([ng.dot(linear(query, x), k) for k in keys])
        mixed = [ng.dot(shares, column) for column in zip(*values, strict=True)]
        x = [a + b for a, b in zip(x, linear(out, mixed), strict=True)]
        x = [a + b for a, b in zip(x, linear(down, [ng.relu(h) for h in linear(up, x)]), strict=True)]
        total += [number**2 for number in x]
    return ng.mean(total)


@pytest.mark.parametrize(("turns", "parts"), [(1, 3), (2, 6), (3, 9), (4, 2), (50, 2)])
def test_what_comes_round_a_few_times_is_no_loop(turns, parts):
    x, w = Value(0.5, label="x"), Value(1.5, label="w")
    y = x
    for _ in range(turns):
        y = (y * w + 1.0).tanh()

    assert len(set(circles(snapshot([y]), ()).values())) == parts


def test_a_transformer_is_drawn_as_embedding_attention_and_hidden_layer():
    drawing = own(transformer(), fold=True)
    symbols = [group.symbol for group in drawing._groups]
    stems = {cells[0].split("…")[0] for cells in texts(drawing) if "…" in cells[0]}

    assert stems >= {"embedding", "query", "key", "value", "out", "up", "down"}
    assert "loop" not in symbols
    assert {"ReLU", "exp", "/"} <= set(symbols)
    assert drawing.boxes < 60


@pytest.mark.parametrize("run", [False, True])
def test_a_folded_picture_tells_gradients_once_there_are_some(run):
    out = ng.nn.MLP(2, [16, 16, 1], activation="tanh", seed=1)([0.3, 1.0])
    if run:
        out.backward()
    found = [text for box in texts(own(out)) for text in box]

    assert any(text.startswith("data") for text in found)
    assert any(text.startswith("grad") for text in found) == run
