"""The sweeps: the chain rule in both directions, over floats and over Values, with strong zeros."""

import math

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.functions import dot
from nodegrad.graph import dependents, topological_order
from nodegrad.ops import TABLE, constant
from nodegrad.sweep import forward_sweep, partials, reverse_sweep
from nodegrad.value import as_value, number_of


def example():
    """Build (x, y, out): several paths, a constant, a shared node, a comparison, n-ary rows."""
    x, y = Value(0.7), Value(-1.3)
    shared = x * y + 2.0
    out = ng.dot([shared, x], [shared, 3.0]) / ng.exp(x) + ng.where(x > y, shared * y, ng.log(y))
    return x, y, out


@pytest.mark.parametrize("floats", [True, False])
@pytest.mark.parametrize("explicit", [True, False])
def test_both_directions_give_the_same_derivatives(floats, explicit):
    x, y, out = example()
    order = topological_order(out)
    active = dependents(order, {x, y}) if explicit else None

    adjoints = reverse_sweep(order, {out: 1.0}, active, floats)
    for variable in (x, y):
        tangents = forward_sweep(order, {variable: 1.0}, active, floats)

        found, expected = adjoints[variable], tangents[out]
        assert type(found) is type(expected) is (float if floats else Value)
        assert getattr(found, "data", found) == pytest.approx(getattr(expected, "data", expected), rel=1e-15)


@pytest.mark.parametrize("again", [0, 1, 2, 9])
def test_weights_of_a_wide_layer_that_others_read_too_get_all_their_terms(again):
    x = [Value(0.3 * k - 1.0) for k in range(9)]
    w = [[Value(math.sin(9.0 * row + k)) for k in range(9)] for row in range(9)]
    hidden = [ng.tanh(dot(row, x)) for row in w]
    more = sum((w[1][k] * x[k] for k in range(again)), Value(0.0))
    out = dot(hidden, hidden) + dot(w[0], hidden) + more
    leaves = [*x, *[each for row in w for each in row]]
    order = topological_order(out)

    found = reverse_sweep(order, {out: 1.0}, dependents(order, leaves), False)

    expected = reverse_sweep(order, {out: 1.0})
    assert [found[leaf].data for leaf in leaves] == [expected[leaf] for leaf in leaves]


def wide_graph(more):
    """Build (leaves, out): products of 40 factors, and more that read some of these again."""
    x = [ng.tanh(Value(math.sin(3.0 * k))) for k in range(40)]
    w = [[Value(math.cos(7.0 * row + k)) for k in range(40)] for row in range(40)]
    rows = [ng.sin(dot(row, x)) for row in (w[:3] if more == "few rows" else w)] * 14
    rows = rows[:40]
    own = [Value(math.cos(5.0 * k)) for k in range(20)]
    y, z = [ng.exp(each) for each in x], [ng.cos(each) for each in x]
    out = dot(rows, rows[::-1])
    out = {
        "nothing": lambda: out,
        "few rows": lambda: out,
        "its square": lambda: dot(x, x) + out * 2.0,
        "factors twice": lambda: dot([y[0], *y], [*z, z[0]]) + out,
        "factors twice and in the other half": lambda: dot([*y[:1], *y], [*z[:20], y[0], *z[20:]]) + out,
        "some in both halves": lambda: dot(x[:35] + rows[:5], rows[2:37] + x[30:35]) * out,
        "single products": lambda: out * x[3] + w[2][7] * x[3] + dot(w[5], w[6]),
        "one product": lambda: dot([out * each for each in x], w[3]),
        "what it gave": lambda: dot([*own, *[each * out for each in x[:20]]], x),
        "another order": lambda: out + dot(w[8], [*x[1:], x[0]]),
        "constants": lambda: out + dot(x, [2.0, *w[9][1:]]),
    }[more]()
    leaves = [*own, *[each.operands[0] for each in x], *[each for row in w for each in row]]
    return leaves, ng.tanh(0.01 * out)


# fmt: off
WIDE = ("nothing", "few rows", "its square", "factors twice", "factors twice and in the other half",
        "constants", "some in both halves", "single products", "one product", "what it gave", "another order")
# fmt: on


@pytest.mark.parametrize("more", WIDE)
def test_wide_products_share_their_terms_and_record_what_single_terms_do(more, monkeypatch):
    leaves, out = wide_graph(more)
    order = topological_order(out)
    active = dependents(order, leaves)
    shared = reverse_sweep(order, {out: 1.0}, active, False)
    monkeypatch.setattr("nodegrad.sweep._WIDE", math.inf)

    single = reverse_sweep(order, {out: 1.0}, active, False)

    assert shared.keys() == single.keys()
    found, expected = ([as_value(each[node]) for node in single] for each in (shared, single))
    assert alike(found, expected)
    assert len(topological_order(*found)) == len(topological_order(*expected))
    numbers = reverse_sweep(order, {out: 1.0})
    assert [number_of(shared.get(leaf, 0.0)) for leaf in leaves] == [
        numbers.get(leaf, 0.0) for leaf in leaves
    ]


def alike(found, expected):
    """Return whether Values were made by the same operations from the same leaves as others."""
    known, pairs = set(), [*zip(found, expected, strict=True)]
    while pairs:
        x, y = pairs.pop()
        if x is y or (x, y) in known:
            continue
        if x.op is not y.op or x.data != y.data or len(x.operands) != len(y.operands):
            return False
        known.add((x, y))
        pairs += zip(x.operands, y.operands, strict=True)
    return True


@pytest.mark.parametrize("explicit", [True, False])
def test_floats_and_values_add_up_in_the_same_order(explicit):
    x, y, out = example()
    order = topological_order(out)
    active = dependents(order, {x, y}) if explicit else None

    floats = reverse_sweep(order, {out: 1.0}, active)
    values = reverse_sweep(order, {out: 1.0}, active, floats=False)

    for variable in (x, y):
        assert floats[variable] == values[variable].data


@pytest.mark.parametrize("points", [0.1, 0.5, 0.9, None])
@pytest.mark.parametrize("row", [*TABLE.values()], ids=lambda row: row.name)
def test_backward_is_the_partials_of_the_row(row, points):
    middle = [0.0 if points is None else low + points * (high - low) for low, high in row.domain]
    operands = [Value(number) for number in middle]
    out = row(*operands)

    out.backward(3.0)

    rules = row.partials if row.arity is not None else row.partials(middle, out.data)
    for operand, rule in zip(operands, rules, strict=True):
        partial = rule(*middle, out.data) if callable(rule) else rule or 0.0
        expected = 0.0 if row.selects and not partial else 3.0 * partial
        assert operand.grad == pytest.approx(expected, abs=0.0, rel=0.0, nan_ok=True)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_backward_through_a_dot_adds_up_over_repeated_and_constant_operands(count):
    x, y = Value(2.0), Value(3.0)

    dot([x] * count + [y, x], [y] * count + [x, 5.0]).backward()

    assert (x.grad, y.grad) == (3.0 * (count + 1) + 5.0, 2.0 * (count + 1))


@pytest.mark.parametrize("floats", [True, False])
def test_sweeps_leave_the_nodes_alone(floats):
    x, _, out = example()
    order = topological_order(out)
    before = [(node.data, node.grad, node.op, node.operands) for node in order]

    reverse_sweep(order, {out: 1.0}, floats=floats)
    forward_sweep(order, {x: 1.0}, floats=floats)

    after = [(node.data, node.grad, node.op, node.operands) for node in order]
    assert all(
        a is b or a == b
        for old, new in zip(before, after, strict=True)
        for a, b in zip(old, new, strict=True)
    )


def test_seeds_are_not_written_to():
    x = Value(2.0)
    out = x * x
    seeds = {out: 1.0, x: 10.0}

    adjoints = reverse_sweep([x, out], seeds)

    assert adjoints[x] == 14.0
    assert seeds == {out: 1.0, x: 10.0}


def test_several_seeds_add_up():
    x, y = Value(2.0), Value(3.0)
    product, total = x * y, x + y
    order = topological_order(product, total)

    adjoints = reverse_sweep(order, {product: 1.0, total: 10.0})
    tangents = forward_sweep(order, {x: 1.0, y: 10.0})

    assert (adjoints[x], adjoints[y]) == (13.0, 12.0)
    assert (tangents[product], tangents[total]) == (23.0, 11.0)


def test_seeded_node_keeps_its_seed_going_forward():
    x = Value(2.0)
    square = x * x
    out = square * 3.0

    tangents = forward_sweep(topological_order(out), {x: 1.0, square: 100.0})

    assert (tangents[square], tangents[out]) == (100.0, 300.0)


@pytest.mark.parametrize("floats", [True, False])
def test_constants_and_inactive_nodes_have_no_adjoint(floats):
    x, y = Value(2.0), Value(3.0)
    out = x**2.0 * ng.sin(y)
    order = topological_order(out)
    active = dependents(order, {x})

    adjoints = reverse_sweep(order, {out: 1.0}, active, floats)

    assert active == {x, out.operands[0], out}
    assert set(adjoints) == active
    assert not any(node.op is constant for node in reverse_sweep(order, {out: 1.0}, None, False))


def test_nodes_that_depend_on_nothing_active_have_no_tangent():
    x, y = Value(2.0), Value(3.0)
    out = x * ng.sin(y)
    order = topological_order(out)

    tangents = forward_sweep(order, {x: 1.0})

    assert set(tangents) == {x, out}
    assert {type(tangent) for tangent in tangents.values()} == {float}


def test_partials_take_constants_as_plain_numbers():
    x = Value(3.0)
    cube = x**3.0

    ((operand, slope, _),) = partials(cube, None, floats=False)

    assert operand is x
    assert slope.data == 27.0
    exponents = [node.data for node in topological_order(slope) if node.op is constant]
    assert sorted(exponents) == [2.0, 3.0]  # 3 · x**2: the exponent 3 - 1 was computed, not recorded


def test_partials_of_a_leaf_and_of_a_comparison_are_none():
    x = Value(3.0)

    assert list(partials(x)) == []
    assert list(partials(x > 1.0)) == []


def test_partials_go_by_operand():
    x, y = Value(3.0), Value(2.0)

    assert list(partials(x / y)) == [(x, 0.5, None), (y, -0.75, None)]
    assert list(partials(ng.dot([x, y], [y, 5.0]))) == [(x, 2.0, None), (y, 5.0, None), (y, 3.0, None)]
    assert list(partials(x / y, {y})) == [(y, -0.75, None)]
    assert list(partials(ng.relu(x))) == [(x, 1.0, 1.0)]


def test_partials_of_a_dot_are_the_other_half():
    xs, ys = [Value(1.0), Value(2.0), Value(3.0)], [Value(4.0), Value(5.0), Value(6.0)]

    found = list(partials(ng.dot(xs, ys)))

    assert [operand for operand, *_ in found] == [*xs, *ys]
    assert [partial for _, partial, _ in found] == [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("floats", [True, False])
@pytest.mark.parametrize("seed", [0.0, 1.0])
def test_partial_that_is_infinite_reaches_only_what_influences_the_output(floats, seed):
    x = Value(0.0)
    out = ng.sqrt(x)

    found = reverse_sweep([x, out], {out: seed}, None, floats).get(x, 0.0)

    assert getattr(found, "data", found) == (math.inf if seed else 0.0)


def test_symbolic_adjoints_can_be_differentiated_again():
    x = Value(3.0)
    out = x**4

    first = reverse_sweep(topological_order(out), {out: 1.0}, {x, out}, floats=False)[x]
    second = forward_sweep(topological_order(first), {x: 1.0}, None, floats=False)[first]
    third = reverse_sweep(topological_order(second), {second: 1.0})[x]

    assert (first.data, second.data, third) == (108.0, 108.0, 72.0)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("operands", ["x y", "x x", "x 3", "3 x"])
def test_products_are_swept_as_their_row_says(operands, explicit):
    numbers = {"x": Value(2.0), "y": Value(5.0), "3": 3.0}
    x, y = (numbers[name] for name in operands.split())
    out = x * y
    active = {numbers["x"], out} if explicit else None
    expected = {}
    for operand, partial, _ in partials(out, active, floats=False):
        expected[operand] = expected.get(operand, 0.0) + partial

    found = reverse_sweep([*out.operands, out], {out: 1.0}, active, floats=False)

    assert {node: getattr(adjoint, "data", adjoint) for node, adjoint in found.items()} == {
        out: 1.0, **{node: getattr(adjoint, "data", adjoint) for node, adjoint in expected.items()}
    }  # fmt: skip


def read_by(count, scale=1.0):
    """Build (x, out): a node x that `count` others read, through a factor."""
    x = Value(0.7)
    weights = [Value(scale * (0.3 + index)) for index in range(count)]
    return x, ng.sum([ng.sin(weight * x) for weight in weights])


@pytest.mark.parametrize(("count", "operation"), [(7, "add"), (8, "strong_dot"), (50, "strong_dot")])
def test_many_products_that_come_to_a_node_are_one_operation(count, operation):
    x, out = read_by(count)
    order = topological_order(out)

    found = reverse_sweep(order, {out: 1.0}, floats=False)[x]

    assert found.op.name == operation
    assert found.data == reverse_sweep(order, {out: 1.0})[x]  # to the bit: in the same order


@pytest.mark.parametrize("count", [6, 7, 50])
def test_sums_of_many_products_can_be_differentiated_again(count):
    def f(x):
        return ng.sum([ng.sin((0.3 + index) * x) * ng.exp(x) for index in range(count)])

    second = ng.grad(ng.grad(f))(0.7)
    expected = sum(
        (1.0 - w * w) * math.sin(w * 0.7) + 2.0 * w * math.cos(w * 0.7)
        for w in (0.3 + index for index in range(count))
    )
    assert second == pytest.approx(math.exp(0.7) * expected, rel=1e-12)
    assert ng.hvp(f, (0.7,), (1.0,))[0] == pytest.approx(second, rel=1e-12)
    ng.check_grad(f, 0.7, order=3)


@pytest.mark.parametrize("count", [3, 20])
def test_zeros_among_many_products_are_strong_in_every_order(count):
    def f(x):
        return ng.sum([ng.where(x > 0.0, ng.sqrt(x) * x, 0.0) * (1.0 + index) * x for index in range(count)])

    def g(x, y):  # as many adjoints of y are 0 beside an infinite partial
        return ng.sum([(x + index) * ng.sqrt(y) * 0.0 for index in range(count)]) + y

    assert [ng.grad(f)(0.0), ng.grad(ng.grad(f))(-1.0), ng.grad(ng.grad(ng.grad(f)))(-1.0)] == [0.0] * 3
    assert ng.grad(ng.grad(g, argnums=1), argnums=1)(1.0, 0.0) == 0.0


def test_a_long_chain_is_swept_without_recursion():
    x = Value(1.0)
    out = x
    for _ in range(50_000):
        out = out + x

    order = topological_order(out)

    assert reverse_sweep(order, {out: 1.0})[x] == 50_001.0
    assert forward_sweep(order, {x: 1.0})[out] == 50_001.0
    assert reverse_sweep(order, {out: 1.0}, floats=False)[x] == 50_001.0


@pytest.mark.parametrize("alone_first", [True, False])
def test_a_weight_of_several_dots_gets_its_terms_in_the_order_of_the_walk(alone_first):
    product, weights = TABLE["dot"], [Value(0.1 * i + 0.3) for i in range(4)]
    x = [1.0 / (i + 3) for i in range(4)]

    def f(w, *x):
        alone = [w[0] * 1.7, w[1] / 3.0] if alone_first else []
        several = product(*w, *x).sin() * product(*x, *w).exp() * product(*w, 2.0, *x[:3])
        twice = product(*w[:2], *w[2:]) * product(w[3], w[3], *x[:2])
        return ng.sum([*alone, several, twice, w[2] * 0.7])

    by_values = ng.grad(lambda *x: f(weights, *x), wrt=weights)(*map(Value, x))
    by_floats = ng.grad(lambda w: f(w, *x))([w.data for w in weights])

    assert [number.data for number in by_values] == by_floats


@pytest.mark.parametrize("number", [0.0, math.inf, math.nan])
def test_the_gradient_of_weights_has_the_products_of_the_chain_rule(number):
    weights, x = [Value(float(i)) for i in range(3)], [Value(number), Value(2.0), Value(3.0)]
    out = TABLE["dot"](*weights, *x)
    order = topological_order(out, constants=False)
    seed = Value(0.0)

    found = reverse_sweep(order, {out: seed}, set(order), floats=False)

    assert [found[w].op for w in weights] == [TABLE["strong_mul"]] * 3
    assert [found[w].operands[1] for w in weights] == x
    assert [found[w].data for w in weights] == [0.0, 0.0, 0.0]


def test_wide_products_of_the_same_factors_in_other_orders_record_no_comparison():
    w = [Value(0.1 * k + 0.01) for k in range(80)]

    def f(x):
        xs = [x * each + 1.0 for each in w]
        return ng.dot(w, xs) * ng.dot([w[0], *w[:0:-1]], xs)

    found, gradient = ng.compile(ng.value_and_grad(f, wrt=w))(0.5)

    eager = f(0.5)
    eager.backward()
    assert (found, gradient) == (pytest.approx(eager.data), pytest.approx([each.grad for each in w]))
