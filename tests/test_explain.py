"""explain and paths: every number is backward()'s, every formula is right, every label is text."""

import math
import random
import re
from itertools import combinations, product
from xml.etree import ElementTree as ET

import pytest
import sympy

import nodegrad as ng
from nodegrad import Value, explain, ops, paths
from nodegrad.show.drawing.fold import alike, flatten, folded
from nodegrad.show.explaining.formula import ATOM, GREEK, INFIX, PRODUCT, Formula, Style, latex_name, write
from nodegrad.show.snapshot import snapshot
from nodegrad.show.text import number, on_the_line, plain_name
from test_dot import HOSTILE

NINE = {
    "w11_1": 0.5, "b1_1": 0.1, "w11_2": -0.3, "b1_2": 0.2, "w21_2": 0.7, "b2_2": -0.1,
    "w11_3": 0.4, "w12_3": -0.6, "b1_3": 0.05,
}  # fmt: skip


def linear_network():
    """Return the loss of a linear 1-2-1 network on one example, its nine parameters and its other nodes."""
    p = {name: Value(number, label=name) for name, number in NINE.items()}
    x, y = Value(2.0, label="x"), Value(1.0, label="y")
    a = p["w11_1"] * x + p["b1_1"]
    a.label = "a"
    f = p["w11_3"] * (p["w11_2"] * a + p["b1_2"]) + p["w12_3"] * (p["w21_2"] * a + p["b2_2"]) + p["b1_3"]
    f.label = "f"
    loss = (y - f) ** 2
    loss.label = "L"
    return loss, p, x, y, a, f


FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "relu": lambda x: sympy.Max(x, 0),
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x, 2),
    "log10": lambda x: sympy.log(x, 10),
    "abs": sympy.Abs,
    "step": lambda x: sympy.Piecewise((1, x > 0), (0, True)),
    "lt": lambda x, y: sympy.Piecewise((1, x < y), (0, True)),
    "gt": lambda x, y: sympy.Piecewise((1, x > y), (0, True)),
    "le": lambda x, y: sympy.Piecewise((1, x <= y), (0, True)),
    "ge": lambda x, y: sympy.Piecewise((1, x >= y), (0, True)),
    "eq": lambda x, y: sympy.Piecewise((1, sympy.Eq(x, y)), (0, True)),
    "ne": lambda x, y: sympy.Piecewise((0, sympy.Eq(x, y)), (1, True)),
    "where": lambda c, x, y: sympy.Piecewise((x, sympy.Ne(c, 0)), (y, True)),
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "copysign": lambda x, y: sympy.Abs(x) * sympy.sign(y),
    "round": lambda x: sympy.floor(x + sympy.Rational(1, 2)),
    "mod": sympy.Mod,
    "floordiv": lambda x, y: sympy.floor(x / y),
    "strong_factor": lambda a, p: p,
}


# A formula as a Python expression, every digit of its numbers included; v₁ becomes v_1.
PYTHON = Style(
    name=on_the_line,
    number=repr,
    function="{}({})".format,
    brackets=("(", ")"),
    terms=10**9,
    patterns=INFIX
    | {
        "mul": ("{}*{}", (PRODUCT, PRODUCT)),
        "pow": ("{}**{}", (ATOM, ATOM)),
        "square": ("{}**2", (ATOM,)),
        "exp": ("exp({})", (0.0,)),
        "one_minus_square": ("1 - {}**2", (ATOM,)),
        "where": ("where({}, {}, {})", (0.0,) * 3),
    },
)


def evaluate(formula, numbers):
    """Have sympy parse a formula and evaluate it at numbers given by name."""
    if not isinstance(formula, Formula):
        return formula
    symbols = {name: sympy.Symbol(name) for name in numbers}
    parsed = sympy.sympify(write(formula, PYTHON), locals=symbols | FUNCTIONS)
    return float(parsed.subs({symbols[name]: sympy.Float(x, 30) for name, x in numbers.items()}).evalf(30))


def by_sympy(explanation):
    """Return the output as a sympy expression of the leaves, and the leaves' symbols by Value."""
    names = {node: on_the_line(name) for node, name in explanation.names.items()}
    symbols = {names[node]: sympy.Symbol(names[node], real=True) for node in explanation.numbers}
    whole = dict(symbols)
    for node, formula in explanation.forward.items():
        whole[names[node]] = sympy.sympify(write(formula, PYTHON), locals=whole | FUNCTIONS)
    at = {symbols[names[node]]: number for node, number in explanation.numbers.items()}
    return whole[names[explanation.output]], symbols, at


def check_against_sympy(output):
    explanation = explain(output)
    expression, symbols, at = by_sympy(explanation)
    for node, partial in explanation.partials.items():
        derivative = sympy.diff(expression, symbols[on_the_line(explanation.names[node])]).evalf(30, subs=at)
        assert float(derivative) == pytest.approx(partial, rel=1e-9, abs=1e-12)
    numbers = {on_the_line(explanation.names[node]): number for node, number in explanation.numbers.items()}
    for step in explanation.steps:
        for term in step.terms:
            assert evaluate(term.local, numbers) == pytest.approx(term.partial, rel=1e-9, abs=1e-12)


def test_the_linear_network_is_explained_as_by_hand():
    loss, p, x, y, a, f = linear_network()
    explanation = explain(loss, wrt=list(p.values()))
    residual = y.data - f.data
    down = -2.0 * residual  # ∂L/∂f
    z1, z2 = -0.3 * a.data + 0.2, 0.7 * a.data - 0.1
    to_a = down * (0.4 * -0.3 + -0.6 * 0.7)  # two paths meet in a

    by_hand = {
        "b1_3": down, "w11_3": down * z1, "w12_3": down * z2, "b1_2": down * 0.4, "b2_2": down * -0.6,
        "w11_2": down * 0.4 * a.data, "w21_2": down * -0.6 * a.data, "b1_1": to_a, "w11_1": to_a * x.data,
    }  # fmt: skip
    assert {node.label: partial for node, partial in explanation.partials.items()} == pytest.approx(by_hand)
    text = str(explanation)
    assert "a goes into v₂ = w11_2·a and v₅ = w21_2·a: 2 paths meet, and their contributions add up." in text
    assert "∂L/∂a = ∂L/∂v₂ · ∂v₂/∂a + ∂L/∂v₅ · ∂v₅/∂a" in text
    assert text.rstrip().splitlines()[-9:] == [
        f"  ∂L/∂{node.label} = {number(partial)}" for node, partial in explanation.partials.items()
    ]
    assert len(explanation.steps) == 21  # every node on the way to a parameter, inputs left out


def test_every_gradient_is_that_of_backward():
    loss, *_ = linear_network()
    explanation = explain(loss)
    loss.backward()

    assert all(step.gradient == step.node.grad for step in explanation.steps)
    assert all(partial == node.grad for node, partial in explanation.partials.items())


def test_contributions_add_up_to_the_gradient():
    loss, *_ = linear_network()

    for step in explain(loss).steps[1:]:
        assert sum(term.contribution for term in step.terms) == pytest.approx(step.gradient, rel=1e-15)


def test_formulas_of_the_linear_network_agree_with_sympy():
    check_against_sympy(linear_network()[0])


@pytest.mark.parametrize("seed", range(6))
def test_formulas_of_random_graphs_agree_with_sympy(seed):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(0.5, 1.5), label=name) for name in ("x", "y", "z")]
    unary = [ng.exp, ng.tanh, ng.sin, ng.sqrt, ng.sigmoid, ng.square, ng.atan, ng.erf]
    binary = [ng.add, ng.sub, ng.mul, ng.div, ng.hypot, ng.maximum]
    for _ in range(7):
        if rng.random() < 0.5:
            nodes.append(rng.choice(unary)(ng.abs(rng.choice(nodes)) + 0.1))
        else:
            nodes.append(rng.choice(binary)(rng.choice(nodes), rng.choice(nodes)))

    check_against_sympy(nodes[-1] + nodes[-2] * nodes[-3])


@pytest.mark.parametrize(
    "row", [row for row in ops.TABLE.values() if not row.zero_derivative], ids=lambda row: row.name
)
def test_local_derivatives_of_every_row_agree_with_sympy(row):
    operands = [Value(0.6 * low + 0.4 * high, label=f"x{at}") for at, (low, high) in enumerate(row.domain)]
    explanation = explain(row(*operands))

    numbers = {on_the_line(explanation.names[node]): number for node, number in explanation.numbers.items()}
    terms = [term for step in explanation.steps for term in step.terms]
    assert terms
    for term in terms:
        assert evaluate(term.local, numbers) == pytest.approx(term.partial, rel=1e-12)


def test_wrt_shows_only_the_steps_that_lead_there():
    loss, p, *_ = linear_network()

    steps = explain(loss, wrt=p["b1_3"]).steps

    assert [step.node.label for step in steps] == ["L", "", "f", "b1_3"]


def test_unlabelled_nodes_get_names_that_no_label_reads_like():
    a, b = Value(1.0), Value(2.0, label="a")
    explanation = explain(a * b)

    assert [explanation.names[node] for node in (a, b, explanation.output)] == ["v₁", "a", "v₂"]


@pytest.mark.parametrize("label", ["v1", "v_1", "v[1]", "v₁"])
def test_a_given_name_never_reads_like_a_label(label):
    x = Value(2.0, label=label)
    explanation = explain(x * x)

    assert explanation.names[explanation.output] == "v₂"
    assert "v_{1} &= 2" in explanation.markdown
    assert "v_{2} &= v_{1}" in explanation.markdown


def test_equal_labels_are_told_apart():
    x, y = Value(1.0, label="w"), Value(2.0, label="w")
    explanation = explain(x * y)

    assert {explanation.names[x], explanation.names[y]} == {"w₁", "w₂"}


def test_a_square_hands_back_twice():
    x = Value(3.0, label="x")

    assert "∂v₁/∂x = x + x = 6" in str(explain(x * x))


def test_a_local_derivative_of_the_output_is_not_taken_for_the_whole():
    x = Value(2.0, label="x")

    assert "∂v₂/∂x = ∂v₂/∂v₁ · ∂v₁/∂x + v₁" in str(explain(x * x.sin()))


def test_what_does_not_influence_the_output_contributes_nothing():
    x = Value(0.0, label="x")
    explanation = explain(ng.where(x > 0.0, x.sqrt(), 0.0))

    assert "0 · inf = 0" in str(explanation)
    assert "contributes nothing" in str(explanation)
    assert explanation.partials == {x: 0.0}


def test_a_node_that_only_decides_has_derivative_0():
    x, y = Value(1.0, label="x"), Value(2.0, label="y")

    explanation = explain(ng.where(x > 0.0, y, 0.0), wrt=x)

    assert "only through flat operations" in str(explanation)


def test_a_value_the_output_does_not_depend_on_has_derivative_0():
    x, other = Value(1.0, label="x"), Value(1.0, label="other")

    assert explain(x * 2.0, wrt=other).partials == {other: 0.0}
    assert "∂v₁/∂other = 0" in str(explain(x * 2.0, wrt=other))


def test_long_sums_are_cut_in_the_middle():
    xs = [Value(float(at), label=f"x{at}") for at in range(20)]

    assert "x0 + x1 + x2 + … + x19" in str(explain(ng.sum(xs)))


def training_loss():
    rng = random.Random(0)
    w = [Value(rng.gauss(0, 1)) for _ in range(24)]
    loss = Value(0.0)
    for _ in range(50):
        x = [rng.gauss(0, 1) for _ in range(2)]
        h = [(w[2 * at] * x[0] + w[2 * at + 1] * x[1]).tanh() for at in range(8)]
        loss = loss + (sum((w[16 + at] * h[at] for at in range(8)), Value(0.0)) - 1.0) ** 2
    return loss, w


def test_a_large_graph_is_explained_by_one_node_of_each_shape():
    loss, w = training_loss()
    explanation = explain(loss)
    loss.backward()

    assert len(explanation.steps) < 20
    assert explanation.left_out > 2000
    assert f"{explanation.left_out:,} more nodes have no step of their own" in str(explanation)
    assert "50 paths meet" in str(explanation)
    assert all(explanation.partials[node] == node.grad for node in w)
    assert all(step.gradient == step.node.grad for step in explanation.steps)


def test_one_of_each_shape_counts_the_others_as_a_drawing_groups_them():
    loss, _ = training_loss()
    vertices = snapshot([loss])
    order = flatten(vertices, {vertices[-1]})

    groups = alike(order, {order[-1]})
    drawn = folded(order, {order[-1]}, len(order))

    assert sorted(map(len, groups)) == sorted(len(group.members) for group in drawn)
    assert len(groups) < len(order) / 10


def test_a_large_graph_explains_the_value_asked_for():
    loss, w = training_loss()

    explanation = explain(loss, wrt=w[13])

    assert w[13] in [step.node for step in explanation.steps]
    assert list(explanation.partials) == [w[13]]


def test_a_deep_graph_is_explained_near_its_output():
    y = x = Value(1.0)
    for _ in range(20_000):
        y = y.sin()

    explanation = explain(y, wrt=x)

    assert len(explanation.steps) == 100
    assert explanation.left_out == 19_901
    assert max(len(explanation.names[node]) for node in explanation.forward) <= 4
    assert {len(explanation.names[node.operands[0]]) for node in explanation.forward} <= {1, 2, 3, 4}


def test_a_graph_of_60_000_nodes_is_explained_in_part():
    y = x = Value(1.0, label="x")
    for _ in range(30_000):
        y = y * 1.0001 if y.data < 2.0 else y - x

    explanation = explain(y, wrt=x)
    found = paths(y, x)

    assert len(str(explanation)) < 20_000
    assert len(str(found)) < 4_000


@pytest.mark.parametrize(
    "label", [*HOSTILE, "$x$", "</pre><script>alert(1)</script>", "`code`", "a_b_c", "1x"]
)
def test_a_hostile_label_is_text_in_every_form(label):
    x = Value(1.0, label=label)
    explanation = explain(x * 2.0)
    name = plain_name(label)

    html = ET.fromstring(explanation.html)
    assert {element.tag for element in html.iter()} <= {
        "div",
        "h3",
        "section",
        "p",
        "pre",
        "span",
        "b",
        "code",
    }
    assert any(f"{name} = 1" in "".join(element.itertext()) for element in html.iter("pre"))
    assert f"{name} = 1" in str(explanation)
    assert "<script" not in explanation.markdown
    assert "\n" not in latex_name(name)
    assert explanation.markdown.replace(r"\$", "").count("$") % 2 == 0


# The commands of TeX that explanations may use; each is known to MathJax and KaTeX.
COMMANDS = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    "mathrm", "text", "operatorname", "frac", "sqrt", "partial", "cdot", "left", "right", "ln", "dots",
    "begin", "end", "infty", "lt", "gt", "le", "ge", "ne",
}  # fmt: skip
SHORT = ["".join(letters) for size in (1, 2, 3) for letters in product("abdegilmnopst", repeat=size)]


def test_every_command_of_tex_in_a_name_exists():
    parts = {greek[start:end] for greek in GREEK for start, end in combinations(range(len(greek) + 1), 2)}
    for name in [*SHORT, *parts]:
        commands = re.findall(r"\\([A-Za-z]+)", latex_name(name))

        assert set(commands) <= COMMANDS
        assert commands in ([], [name] if name in GREEK else ["mathrm"])


@pytest.mark.parametrize("label", ["lam", "eps", "sig", "del", "om", "al", "am", "io", "lt", "gt", "in"])
def test_a_label_is_never_read_as_a_command_of_tex(label):
    x = Value(2.0, label=label)
    markdown = explain(x * x + ng.sin(x)).markdown

    assert rf"\mathrm{{{label}}} &= 2" in markdown
    assert set(re.findall(r"\\([A-Za-z]+)", markdown)) <= COMMANDS


def test_every_operation_is_written_in_commands_of_tex_that_exist():
    for op in ops.TABLE.values():
        inside = [Value((lower + upper) / 2) for lower, upper in op.domain]

        assert set(re.findall(r"\\([A-Za-z]+)", explain(op(*inside)).markdown)) <= COMMANDS


def test_markdown_has_one_aligned_block_per_step():
    loss, *_ = linear_network()
    explanation = explain(loss)

    assert explanation.markdown.count(r"\begin{aligned}") == len(explanation.steps) + 2
    assert r"\frac{\partial L}{\partial w_{11,3}}" in explanation.markdown
    assert explanation._repr_markdown_() == explanation.markdown


def test_an_operation_without_symbolic_partials_is_explained_by_number():
    cosine = ops.Op("wave", "wave", math.sin, (lambda x, out: math.cos(x),), ((-1.0, 1.0),))
    x = Value(0.0, label="x")

    assert "∂v₁/∂x = 1" in str(explain(cosine(x)))


def test_partials_of_a_custom_operation_become_formulas_where_possible():
    smooth = ops.Op("inverse", "inv", lambda x: 1.0 / x, (lambda x, out: -1.0 / x**2,), ((1.0, 2.0),))
    branch = ops.Op(
        "ramp", "ramp", lambda x: max(x, 0.0), (lambda x, out: 1.0 if x > 0 else 0.0,), ((1.0, 2.0),)
    )
    x = Value(2.0, label="x")

    assert "∂v₁/∂x = -1/x^2 = -0.25" in str(explain(smooth(x)))
    assert "∂v₁/∂x = 1" in str(explain(branch(x)))


def test_many_equal_labels_are_numbered_quickly():
    xs = [Value(1.0, label="x") for _ in range(20_000)]
    explanation = explain(ng.sum(xs), wrt=xs[-1])

    assert len(set(explanation.names.values())) == 20_001


def test_bad_arguments_of_explain_are_refused():
    with pytest.raises(TypeError, match="explain takes Values; got 3.0 of type float"):
        explain(3.0)
    with pytest.raises(TypeError, match="explain takes Values; got 'x' of type str"):
        explain(Value(1.0), wrt="x")


def test_paths_multiply_the_factors_along_them():
    loss, p, *_ = linear_network()
    found = paths(loss, p["w11_1"])

    assert found.count == len(found) == 2
    for path in found:
        assert path.nodes[0] is p["w11_1"]
        assert path.nodes[-1] is loss
        assert math.prod(path.factors) == pytest.approx(path.product)
    assert abs(found[0].product) >= abs(found[1].product)


def random_graph(seed):
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(0.5, 2.0)) for _ in range(3)]
    for _ in range(14):
        nodes.append(rng.choice([ng.add, ng.mul, ng.sub])(rng.choice(nodes[-6:]), rng.choice(nodes[-6:])))
    return nodes[-1], nodes[0]


def every_path(output, node):
    """Return the products over all paths by walking each."""
    if output is node:
        return [1.0]
    found = []
    if output.operands:
        rules = output.op.partials
        primals = [operand.data for operand in output.operands]
        for rule, operand in zip(rules, output.operands, strict=True):
            found += [rule(*primals, output.data) * rest for rest in every_path(operand, node)]
    return found


@pytest.mark.parametrize("seed", range(10))
def test_the_k_largest_paths_are_found(seed):
    output, node = random_graph(seed)
    products = sorted(map(abs, every_path(output, node)), reverse=True)

    found = paths(output, node, k=7)

    assert found.count == len(products)
    assert [abs(path.product) for path in found] == pytest.approx(products[:7])


@pytest.mark.parametrize("seed", range(10))
def test_all_paths_sum_to_the_gradient(seed):
    output, node = random_graph(seed)
    output.backward()

    found = paths(output, node, k=100_000)

    assert len(found) == found.count
    assert sum(path.product for path in found) == pytest.approx(node.grad, rel=1e-12, abs=1e-12)
    assert found.gradient == node.grad


def test_more_paths_than_anyone_can_list_are_counted():
    y = x = Value(1.0)
    for _ in range(500):
        y = (y + y) * 0.5

    found = paths(y, x, k=3)

    assert found.count == 2**500
    assert [path.product for path in found] == [0.5**500] * 3


def test_paths_of_an_unrelated_node_and_of_the_output_itself():
    x, other = Value(1.0), Value(1.0)
    y = x * 2.0

    assert len(paths(y, other)) == 0
    assert paths(y, y)[0].product == 1.0
    assert str(paths(y, other)) == "sum over all 0: 0"


def test_a_highlighted_path_leaves_shortcuts_alone():
    x = Value(0.5, label="x")
    y = x * x.exp()
    longer = max(paths(y, x), key=lambda path: len(path.nodes))

    assert len(longer.nodes) == 3
    assert ng.draw(y, highlight=longer, engine="own").svg.count('class="edge highlight"') == 2
    assert ng.draw(y, highlight=longer.nodes, engine="own").svg.count('class="edge highlight"') == 3


def test_a_path_can_be_highlighted():
    loss, p, *_ = linear_network()
    path = paths(loss, p["w11_1"])[0]

    assert (
        ng.draw(loss, highlight=path, engine="own").svg.count('class="edge highlight"') == len(path.nodes) - 1
    )


def test_a_hostile_label_stays_on_its_line_in_a_path():
    x = Value(1.0, label="\x1b[31mx\ny")

    assert str(paths(x * 2.0, x)[0]) == "“[31mx y” → *: 2 = 2"


def test_a_long_path_is_written_in_part():
    y = x = Value(1.0, label="x")
    for _ in range(100):
        y = (y * 2.0).sin()
    found = paths(y, x)

    assert str(found[0]).startswith("x → * → sin → *")
    assert " → … 161 more … → " in str(found[0])
    assert str(found[0]).count("→") == 40
    assert repr(found[0]) == f"<Path {found[0]}>"
    assert repr(found) == f"<Paths: 1 of 1, which sum to {number(found.gradient)}>"


def test_bad_arguments_of_paths_are_refused():
    with pytest.raises(TypeError, match="paths takes Values; got 1"):
        paths(Value(1.0), 1)
    with pytest.raises(ValueError, match="paths takes k as a whole number of at least 1; got 0"):
        paths(Value(1.0), Value(1.0), k=0)


def test_an_explanation_says_that_numbers_have_changed_since():
    w = Value(3.0, label="w")
    cube = w * w * w
    assert explain(cube).changed is None

    w.data = 2.9
    explanation = explain(cube)

    assert explanation.changed == (w, cube.operands[0])
    assert str(explanation).startswith(
        "The number of w was changed after v₁ was computed from it, so the numbers"
    )
    assert "$w$ was changed after $v_{1}$" in explanation.markdown
    assert explain(w * w).changed is None


def test_an_explanation_is_saved_by_suffix(tmp_path):
    explanation = explain(linear_network()[0])

    assert explanation.save(tmp_path / "e.txt").read_text(encoding="utf-8") == f"{explanation}\n"
    assert explanation.save(tmp_path / "e.md").read_text(encoding="utf-8") == explanation.markdown
    html = explanation.save(tmp_path / "e.html").read_text(encoding="utf-8")
    assert explanation.html in html
    assert html.count('class="node ') == len(snapshot([explanation.output]))
    with pytest.raises(ValueError, match=r"writes \.txt, \.md, \.html; got 'e\.pdf'"):
        explanation.save(tmp_path / "e.pdf")


def test_every_name_in_the_forward_part_has_a_line():
    model = ng.nn.MLP(2, [16, 16, 1], seed=1)
    explanation = ng.explain((model([0.5, -1.0]) - 1.0) ** 2)
    lines = str(explanation).split("\n\n")[0].splitlines()[2:]
    said = {line.split(" = ")[0].strip() for line in lines}
    named = {name for line in lines for name in re.findall(r"[a-z][₀-₉]+|[wb](?:\[\d+\])+", line)}

    assert named == said
    assert len(lines) == len(said) < 40


@pytest.mark.parametrize("show", [ng.player, ng.explain, ng.draw_dot, lambda x: ng.paths(x, ng.Value(1.0))])
def test_what_shows_one_value_takes_it_alone_in_a_list_and_refuses_several(show):
    x = ng.Value(2.0)
    y = x * 3.0

    show([y])
    for wrong, count in (([y, x], 2), ([], 0)):
        with pytest.raises(TypeError, match=f"takes one Value; got {count}"):
            show(wrong)


def test_paths_refuse_to_mix_two_points():
    w = Value(3.0, label="w")
    square = w * w
    w.data = 4.0

    with pytest.raises(RuntimeError, match="the data of 'w' changed after mul"):
        paths(square, w)
