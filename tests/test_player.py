"""player: what it records is backward()'s own arithmetic, and the page is one safe file."""

import json
import random
import re
from html import unescape

import pytest

import nodegrad as ng
from nodegrad import Value, player
from nodegrad.show.players.graph import MODES, naive_order, record, sweep_order
from nodegrad.show.players.page import embed
from nodegrad.show.snapshot import snapshot
from test_dot import HOSTILE

RIGHT, NAIVE, OVERWRITE, LEFTOVER = MODES


def random_graph(seed):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(0.5, 2.0), label=f"x{at}") for at in range(3)]
    for _ in range(25):
        op = rng.choice([ng.add, ng.mul, ng.sub, ng.div, ng.hypot])
        nodes.append(op(rng.choice(nodes), rng.choice(nodes)))
        nodes.append(rng.choice([ng.tanh, ng.sin, ng.sqrt, ng.square])(ng.abs(nodes[-1])))
    return nodes[-1] + nodes[-2]


def ends(output, mode, right=None, open_dots=False):
    """Return the gradients that a mode ends in, by Value."""
    vertices = snapshot([output], open_dots)
    before = {vertex: right[vertex.value] for vertex in vertices} if right else {}
    last = dict.fromkeys(vertices, 0.0) | {vertices[-1]: 1.0}
    for push in record(output, vertices, mode, before):
        last[push.node.operands[push.index]] = push.after
    return {vertex.value: grad for vertex, grad in last.items() if vertex.value is not None}


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL)
    return json.loads(found[1])


@pytest.mark.parametrize("seed", range(10))
def test_the_recorded_steps_end_in_the_gradients_of_backward(seed):
    out = random_graph(seed)
    grads = ends(out, RIGHT)
    out.backward()

    assert all(grad == node.grad for node, grad in grads.items() if node.op is not ng.ops.constant)


def test_opened_dots_end_in_the_gradients_of_backward():
    w, x = [Value(2.0), Value(-3.0)], [Value(5.0), Value(7.0)]
    out = ng.dot(w, x).tanh() + w[0]
    grads = ends(out, RIGHT, open_dots=True)
    out.backward()

    assert [grads[node] for node in w + x] == [node.grad for node in w + x]


def diamond():
    x = Value(2.0, label="x")
    a = x * 0.5
    return a.tanh() + a * 3.0, x, a


def test_each_mistake_gives_its_own_wrong_gradient():
    out, x, a = diamond()
    right = ends(out, RIGHT)
    slope = 1.0 - a.tanh().data ** 2

    assert right[x] == pytest.approx((slope + 3.0) * 0.5)
    assert ends(out, NAIVE)[x] == pytest.approx(slope * 0.5)  # only the first path has arrived
    assert ends(out, OVERWRITE)[x] == pytest.approx(slope * 0.5)  # the path that comes last stays
    assert ends(out, LEFTOVER, right)[x] == pytest.approx(2 * right[x])


def test_the_sweep_order_has_every_node_after_its_consumers():
    out = random_graph(1)
    order = sweep_order(out, snapshot([out]))
    place = {vertex: at for at, vertex in enumerate(order)}

    assert all(place[vertex] < place[operand] for vertex in order for operand in vertex.operands)


def test_the_naive_order_does_not():
    out, _, a = diamond()
    order = naive_order(out, snapshot([out]))
    values = [vertex.value for vertex in order]

    assert values.index(a) < values.index(out.operands[1])


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


def test_nan_and_inf_are_shown_as_text():
    x = Value(0.0, label="x")

    assert "inf" in json.dumps(data_of(player(x.sqrt())))


def test_a_notebook_gets_a_sandboxed_frame():
    page = player(diamond()[0], title="a & b")
    frame = page._repr_html_()

    assert unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page.html
    assert 'sandbox="allow-scripts"' in frame
    assert 'title="a &amp; b"' in frame


def test_a_page_is_saved_as_it_is(tmp_path):
    page = player(diamond()[0])

    assert page.save(tmp_path / "player.html").read_text(encoding="utf-8") == page.html
    assert repr(page).startswith("<Player 'd, forward and backward'")


def test_the_user_s_gradients_are_left_alone():
    out, x, _ = diamond()
    x.grad = 7.0

    player(out)

    assert (x.grad, out.grad) == (7.0, 0.0)


def test_too_large_a_graph_is_refused_with_the_remedy():
    loss = ng.sum([Value(1.0).sin() for _ in range(300)])

    with pytest.raises(ValueError, match=r"up to 400 nodes; this one has 601\. Play one sample"):
        player(loss)


def test_what_is_no_value_is_refused():
    with pytest.raises(TypeError, match="player expects Values; got 'loss' of type str"):
        player("loss")
