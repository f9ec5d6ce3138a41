"""player: its page computes what Python does, and it is one safe file."""

import json
import math
import random
import re
import time
import zlib
from base64 import b64decode
from collections import Counter
from html import unescape

import pytest

import nodegrad as ng
from nodegrad import Value, player
from nodegrad.show.explaining.chain_rule import Names, definition, local_formula, symbols
from nodegrad.show.players.page import embed
from nodegrad.show.snapshot import snapshot
from nodegrad.show.text import number
from page_in_node import data_of, job, run_node
from test_dot import HOSTILE
from test_player_rows import ULPS, ulps

RIGHT, NAIVE, OVERWRITE, LEFTOVER = range(4)


def random_graph(seed):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(0.5, 2.0), label=f"x{at}") for at in range(3)]
    for _ in range(25):
        op = rng.choice([ng.add, ng.mul, ng.sub, ng.div, ng.hypot])
        nodes.append(op(rng.choice(nodes), rng.choice(nodes)))
        nodes.append(rng.choice([ng.tanh, ng.sin, ng.sqrt, ng.square])(ng.abs(nodes[-1])))
    return nodes[-1] + nodes[-2]


def answer(page, *settings):
    """Return what a page computes with each setting of its leaves."""
    (answers,) = run_node([job(page, settings or [()])])
    return answers


def close(found, expected):
    """Return whether numbers agree to a few roundings; sums over paths add up in another order here."""
    return math.isclose(float(found), expected, rel_tol=1e-9, abs_tol=1e-300)


@pytest.mark.parametrize("seed", range(10))
def test_numbers_and_gradients_equal_those_of_python_wherever_the_leaves_move(seed):
    out = random_graph(seed)
    order = [vertex.value for vertex in snapshot([out])]
    leaves = [at for at, node in enumerate(order) if node.op is None]
    moved = [(at, order[at].data * 1.25) for at in leaves]

    for setting, found in zip(((), moved), answer(player(out), (), moved), strict=True):
        for node, again in zip(order, found["data"], strict=True):
            node._data = again  # what an operation gives is compared at the page's own numbers
            node.grad = 0.0
            if node.operands:
                assert ulps(again, node.op.value(*[x._data for x in node.operands])) <= ULPS
        assert all(order[at].data == x for at, x in setting)
        out.backward()
        assert all(close(grad, node.grad) for grad, node in zip(found["right"], order, strict=True))


def test_opened_dots_end_in_the_gradients_of_backward():
    w, x = [Value(2.0), Value(-3.0)], [Value(5.0), Value(7.0)]
    out = ng.dot(w, x).tanh() + w[0]
    vertices = snapshot([out], open_dots=True)
    (found,) = answer(player(out, open_dots=True))
    out.backward()

    pairs = zip(vertices, found["right"], strict=True)
    assert all(ulps(grad, vertex.value.grad) <= ULPS for vertex, grad in pairs if vertex.value is not None)


def diamond():
    x = Value(2.0, label="x")
    a = x * 0.5
    return a.tanh() + a * 3.0, x, a


def test_each_mistake_gives_its_own_wrong_gradient():
    out, x, a = diamond()
    (at,) = [at for at, vertex in enumerate(snapshot([out])) if vertex.value is x]
    (found,) = answer(player(out))
    grads = [found["ends"][mode][at] for mode in range(4)]
    slope = 1.0 - a.tanh().data ** 2

    assert grads[RIGHT] == pytest.approx((slope + 3.0) * 0.5)
    assert grads[NAIVE] == pytest.approx(slope * 0.5)  # only the first path has arrived
    assert grads[OVERWRITE] == pytest.approx(slope * 0.5)  # the path that comes last stays
    assert grads[LEFTOVER] == pytest.approx(2 * grads[RIGHT])


def test_the_naive_order_does_not_wait_for_all_consumers():
    out, _, a = diamond()
    at = {vertex.value: at for at, vertex in enumerate(snapshot([out]))}
    (found,) = answer(player(out))

    assert found["order"].index(at[a]) < found["order"].index(at[out.operands[1]])


def test_numbers_are_written_as_python_writes_them():
    rng = random.Random(4)
    some = [0.0, -0.0, 1.0625, 1.1875, 2.5, 0.03125, 1e6, 123456.5, 99999.99, 1e-4, 1e-5, 1 / 3, 2.0000001]
    some += [rng.uniform(-1, 1) * 10.0 ** rng.randint(-12, 12) for _ in range(3000)]
    some += [rng.randint(-9999, 9999) / 2 ** rng.randint(0, 12) for _ in range(3000)]
    some += [1e300, -1e-300, 5e-324, float("inf"), float("-inf"), float("nan")]
    question = "return settings[0].map(([, x]) => number(Number(x)))"

    (written,) = run_node([job(player(Value(1.0) * 2.0), [list(enumerate(some))], question)])

    assert written == [number(x) for x in some]


def test_what_people_type_is_read():
    typed = {"2": 2, " -1,5 ": -1.5, "−3e-2": -0.03, "inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    typed |= {"": None, "two": None, "1e999": None, "0x10": None, "1 2": None, "1,000": None}
    question = f"return {json.dumps(list(typed))}.map((text) => {{ const x = parsed(text);"
    question += " return x === undefined || Number.isFinite(x) ? (x ?? null) : String(x); })"

    (read,) = run_node([job(player(Value(1.0) * 2.0), (), question)])

    assert read == list(typed.values())


STORY = r"""
const graph = makeGraph(page);
const story = makeStory(graph, page);
return graph.operands.flatMap((from, node) => (from.length === 0 ? [] : [[
  node,
  story.computed(node).lines,
  from.map((_, index) => (graph.smooth(node, index) ? story.local(node, index) : null)),
]]));
"""


@pytest.mark.parametrize("seed", range(3))
def test_formulas_are_those_that_explain_writes(seed):
    out = random_graph(seed) * -2.5 + ng.dot([Value(-1.0), Value(2.0, label="w")], [3.0, Value(-4.0)]) ** 2
    vertices = snapshot([out])
    names = Names(vertices)
    for vertex in vertices:
        names[vertex]  # in the order of the page
    (told,) = run_node([job(player(out), (), STORY)])

    for at, lines, locals_ in told:
        vertex = vertices[at]
        assert lines[0] == f"{names[vertex]} = {definition(vertex, names).text}"
        assert lines[2] == f"{names[vertex]} = {number(vertex.data)}"
        for index, found in enumerate(locals_):
            formula = local_formula(vertex, index, symbols((*vertex.operands, vertex), names))
            assert found == (formula.text if hasattr(formula, "text") else number(formula))


def test_a_page_says_which_numbers_are_put_into_a_formula():
    x, y = Value(-2.0, label="x"), Value(-3.0, label="y")
    (told,) = run_node([job(player(x * y - y), (), STORY)])

    assert [lines[1] for _, lines, _ in told] == ["v₁ = -2·(-3)", "v₂ = 6 - (-3)"]


def big_graph(nodes, depth=40):
    """Return a graph of so many nodes: many short chains over a few leaves."""
    rng = random.Random(nodes)
    made = [Value(rng.uniform(-1, 1)) for _ in range(nodes // 4)]
    while len(made) < nodes - 1:
        made.append(rng.choice([ng.add, ng.mul])(rng.choice(made[-nodes // 4 :]), rng.choice(made)))
    used = {operand for node in made for operand in node.operands}
    return ng.sum([node for node in made if node not in used])


def svgs_of(page):
    """Return the pictures that a page holds, packed or not."""
    data = data_of(page)
    inline = re.findall(r"<svg xmlns.*?</svg>", page.html, re.DOTALL)
    return [zlib.decompress(b64decode(text)).decode() if text else inline[0] for text in data["packed"]]


def boxes_of(data):
    """Return the nodes in each box of each picture of a page."""
    first = data["pictures"][0]["boxes"]
    every = [picture["boxes"] for picture in data["pictures"]]
    return [[first[box] if isinstance(box, int) else box for box in boxes] for boxes in every]


def test_a_page_of_2_000_nodes_is_under_a_megabyte():
    out = big_graph(1_950)
    size = len(snapshot([out]))
    page = player(out)

    assert 1_700 <= size <= 2_000
    assert len(page.html) < 1_000_000
    assert len(player(out, fold=False).html) < 1_000_000
    assert svgs_of(page)[-1].count('class="node ') == size


def test_the_time_for_a_wide_dot_grows_with_its_width():
    def seconds(width):
        out = ng.dot([Value(float(at)) for at in range(width)], [Value(1.0) for _ in range(width)])
        spent = []
        for _ in range(3):
            start = time.process_time()
            player(out, fold=False)
            spent.append(time.process_time() - start)
        return min(spent)

    assert seconds(800) < 20.0 * seconds(100)  # 8 times as wide; 64 times if each operand cost all the others


def test_a_large_graph_is_folded_and_each_fold_opens():
    model = ng.nn.MLP(2, [16, 16, 1], seed=1)
    loss = ng.nn.mean_squared_error(model([0.3, 0.7]), 1.0)
    page = player(loss)
    data = data_of(page)
    size = len(data["names"])
    pictures, uses = boxes_of(data), Counter(node for operands in data["operands"] for node in operands)

    assert size > 400
    assert len(pictures[0]) < 40
    for at, boxes in enumerate(pictures):
        held = {node for box in boxes for node in box}
        assert all(uses[node] == 1 for node in set(range(size)) - held)  # a part of a sum, drawn inside it
        assert sum(map(len, boxes)) == len(held)
        for box, opens in data["pictures"][at]["opens"].items():
            assert opens != at
            assert boxes[int(box)][:1] in pictures[opens]
    assert pictures[-1] == [[node] for node in range(size)]


def test_above_2_000_nodes_no_picture_shows_every_node():
    assert all(len(boxes) < 300 for boxes in boxes_of(data_of(player(big_graph(3_000)))))


def test_a_loop_opens_at_its_end():
    x, w = Value(0.5), Value(0.9)
    for _ in range(100):
        x = (x * w + w.sin()).tanh()
    data = data_of(player(x, fold=True))
    (at,) = [at for at, box in enumerate(boxes_of(data)[0]) if len(box) > 100]
    loop = boxes_of(data)[0][at]

    assert loop[-1:] in boxes_of(data)[data["pictures"][0]["opens"][str(at)]]


def test_the_page_is_one_file_that_may_not_connect():
    html = player(diamond()[0]).html

    assert re.search(r"default-src 'none'; script-src 'sha256-[A-Za-z0-9+/=]{44}'; style-src", html)
    assert re.findall(r'(?:src|href|action)="?([^" >]*)', html) == ["data:,"]
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in html


@pytest.mark.parametrize("label", [*HOSTILE, "</script>", "<!--", "]]>", "\ud800", "\x00"])
def test_labels_cannot_leave_their_place(label):
    html = player(Value(1.0, label=label) * 2.0, title=label).html
    plain = player(Value(1.0, label="x") * 2.0, title="x").html

    assert html.count("<script") == plain.count("<script") == 2
    assert html.count("<") == plain.count("<")
    html.encode("utf-8")


def test_embedded_data_survives():
    data = {"text": "</script> & <!-- \u2028 🎈 \\ \" '", "numbers": [1, None]}

    assert json.loads(embed(data)) == data
    assert not set("<>&\u2028") & set(embed(data))


def test_a_page_computes_with_nan_and_inf():
    x = Value(math.inf, label="x")
    (found,) = answer(player(x - x))

    assert found["data"] == ["Infinity", "NaN"]


def test_a_notebook_gets_a_sandboxed_frame():
    page = player(diamond()[0], title="a & b")
    frame = page._repr_html_()

    assert unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page.html
    assert 'sandbox="allow-scripts"' in frame
    assert 'title="a &amp; b"' in frame


def test_a_page_is_saved_as_it_is(tmp_path):
    out = diamond()[0]
    page = player(out)

    assert page.save(tmp_path / "player.html").read_text(encoding="utf-8") == page.html
    assert repr(page).startswith("<Player 'Forward and backward'")
    out.label = "out"
    assert repr(player(out)).startswith("<Player 'out, forward and backward'")


def test_the_user_s_gradients_are_left_alone():
    out, x, _ = diamond()
    x.grad = 7.0

    player(out)

    assert (x.grad, out.grad) == (7.0, 0.0)


def test_too_large_a_graph_is_refused_with_the_remedy():
    loss = ng.sum([Value(1.0).sin() for _ in range(1_100)])

    with pytest.raises(ValueError, match=r"up to 2,000 nodes unfolded; this one has 2,201\. Play one sample"):
        player(loss, fold=False)
    with pytest.raises(ValueError, match=r"up to 50,000 nodes; this one has 60,001\. Play one sample"):
        player(ng.sum([Value(1.0).sin() for _ in range(30_000)]))


def test_only_a_value_is_accepted():
    with pytest.raises(TypeError, match="player takes Values; got 'loss' of type str"):
        player("loss")


def test_a_page_computes_with_the_numbers_as_they_are_and_says_so():
    w = Value(3.0, label="w")
    out = w * w
    assert "computed again" not in player(out).html

    w.data = 2.5
    page = player(out)

    assert answer(page)[0]["data"] == [2.5, 6.25]
    assert "here it is computed again" in page.html


def test_pages_are_saved_as_html_only(tmp_path):
    page = player(Value(1.0) + 2.0)

    with pytest.raises(ValueError, match=r"Player.save writes \.html, \.htm; got 'p.svg'"):
        page.save(tmp_path / "p.svg")


def test_a_box_of_constants_shows_their_range():
    page = player(ng.nn.MLP(2, [16, 16, 1], seed=1)([0.1, 0.2]))

    assert ">0.1 … 0.2 × 2<" in page.html
