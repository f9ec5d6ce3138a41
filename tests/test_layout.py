"""The layered layout: nothing overlaps, edges arrive where they should, few crossings, always the same."""

from itertools import combinations, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegrad import Value
from nodegrad.show.drawing.fold import single
from nodegrad.show.drawing.picture import picture
from nodegrad.show.drawing.svg import place
from nodegrad.show.layout import Box, Layout, lay_out
from nodegrad.show.layout.coordinates import isotonic
from nodegrad.show.layout.crossings import count_crossings
from nodegrad.show.layout.ranks import assign_layers
from nodegrad.show.snapshot import snapshot

SQUARE = Box(20.0, 20.0)


@st.composite
def graphs(draw, most=14):
    """Boxes of different sizes and the edges of a random acyclic graph, parallel edges included."""
    count = draw(st.integers(1, most))
    sizes = st.integers(10, 120).map(float)
    boxes = [Box(draw(sizes), draw(sizes)) for _ in range(count)]
    names = draw(st.permutations(range(count)))
    pairs = [(names[first], names[second]) for first, second in combinations(range(count), 2)]
    return boxes, draw(st.lists(st.sampled_from(pairs), max_size=2 * count)) if pairs else []


def corners(box, centre):
    (x, y), (w, h) = centre, (box.width / 2, box.height / 2)
    return x - w, y - h, x + w, y + h


def overlaps(boxes, layout):
    """Return the pairs of boxes that touch."""
    found = []
    for first, second in combinations(range(len(boxes)), 2):
        a, b = (corners(boxes[at], layout.centres[at]) for at in (first, second))
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
            found.append((first, second))
    return found


def points(route):
    """Follow a route in small steps."""
    for at in range(0, len(route) - 1, 3):
        a, b, c, d = route[at : at + 4]
        for step in range(25):
            t = step / 24
            weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            yield tuple(
                sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True)) for axis in (0, 1)
            )


def pierced(boxes, edges, layout):
    """Return the pairs (edge, box) where the edge runs through a box that is not one of its ends."""
    return [
        (edge, box)
        for edge, route in zip(edges, layout.routes, strict=True)
        for box in set(range(len(boxes))) - set(edge)
        for left, top, right, bottom in [corners(boxes[box], layout.centres[box])]
        if any(left + 0.1 < x < right - 0.1 and top + 0.1 < y < bottom - 0.1 for x, y in points(route))
    ]


def random_graph(count, seed, window):
    random = Random(seed)
    return [
        (source, target)
        for target in range(count // 4, count)
        for source in random.sample(range(max(0, target - window), target), 2)
    ]


def mlp(inputs, hidden):
    """Edges of one hidden layer and one output written with + and *, every weight a leaf."""
    edges, count = [], inputs

    def new(*operands):
        nonlocal count
        edges.extend((operand, count) for operand in operands)
        count += 1
        return count - 1

    def neuron(signals):
        total = new()
        for signal in signals:
            total = new(total, new(new(), signal))
        return new(total)

    neuron([neuron(range(inputs)) for _ in range(hidden)])
    return count, edges


@given(graphs(), st.sampled_from(["LR", "TB"]))
@settings(max_examples=150, deadline=None)
def test_boxes_never_overlap_and_stay_inside_the_picture(graph, rankdir):
    boxes, edges = graph

    layout = lay_out(boxes, edges, rankdir)

    assert overlaps(boxes, layout) == []
    for box, centre in zip(boxes, layout.centres, strict=True):
        left, top, right, bottom = corners(box, centre)
        assert min(left, top) >= -1e-6
        assert right <= layout.width + 1e-6
        assert bottom <= layout.height + 1e-6


@given(graphs(), st.sampled_from(["LR", "TB"]))
@settings(max_examples=150, deadline=None)
def test_edges_go_from_border_to_border_and_through_no_other_box(graph, rankdir):
    boxes, edges = graph

    layout = lay_out(boxes, edges, rankdir)

    along = 0 if rankdir == "LR" else 1
    for (source, target), route in zip(edges, layout.routes, strict=True):
        start, end = (
            corners(boxes[source], layout.centres[source]),
            corners(boxes[target], layout.centres[target]),
        )
        assert len(route) % 3 == 1
        assert route[0][along] == pytest.approx(start[2 + along])
        assert route[-1][along] == pytest.approx(end[along])
        across = 1 - along
        assert start[across] <= route[0][across] <= start[2 + across]
        assert end[across] <= route[-1][across] <= end[2 + across]
        assert route[0][across] == route[1][across]  # edges leave and arrive straight
        assert route[-2][across] == pytest.approx(route[-1][across])
        assert layout.layers[source] < layout.layers[target]
    assert pierced(boxes, edges, layout) == []


def test_the_checkers_catch_a_planted_overlap_and_a_planted_crossing_of_a_box():
    boxes = [SQUARE, SQUARE, SQUARE]
    route = ((20.0, 10.0), (40.0, 10.0), (60.0, 10.0), (80.0, 10.0))
    planted = Layout(100.0, 40.0, ((10.0, 10.0), (90.0, 10.0), (50.0, 15.0)), (route,), (0, 2, 1), 0)
    touching = Layout(100.0, 40.0, ((10.0, 10.0), (29.0, 29.0), (90.0, 10.0)), (), (0, 1, 2), 0)

    assert pierced(boxes, [(0, 1)], planted) == [((0, 1), 2)]
    assert overlaps(boxes, planted) == []
    assert overlaps(boxes, touching) == [(0, 1)]


TREE = [(child, (child - 1) // 2) for child in range(1, 31)]
PLANAR = {
    "a chain": (6, [(at, at + 1) for at in range(5)]),
    "a diamond": (4, [(0, 1), (0, 2), (1, 3), (2, 3)]),
    "a binary tree": (31, TREE),
    "a shuffled tree": (31, Random(3).sample(TREE, len(TREE))),
    "squares of squares": (5, [(at, at + 1) for at in range(4) for _ in range(2)]),
    "a long edge beside a chain": (6, [(at, at + 1) for at in range(5)] + [(0, 5)]),
    "two trees": (6, [(0, 2), (1, 2), (3, 5), (4, 5)]),
    "a linear 1-2-1 network": (
        13,
        [
            (0, 2),
            (1, 2),
            (2, 4),
            (3, 4),
            (2, 6),
            (5, 6),
            (4, 8),
            (7, 8),
            (6, 10),
            (9, 10),
            (8, 11),
            (10, 11),
            (11, 12),
        ],
    ),
}


@pytest.mark.parametrize(("count", "edges"), PLANAR.values(), ids=PLANAR.keys())
def test_planar_graphs_come_out_without_crossings(count, edges):
    assert lay_out([SQUARE] * count, edges).crossings == 0


def test_a_butterfly_has_its_one_crossing_and_a_complete_bipartite_graph_its_minimum():
    def complete(size):
        return [(source, size + target) for source in range(size) for target in range(size)]

    assert lay_out([SQUARE] * 4, complete(2)).crossings == 1
    assert lay_out([SQUARE] * 4, complete(2) * 2).crossings == 1
    assert lay_out([SQUARE] * 8, complete(4)).crossings == (4 * 3 // 2) ** 2


def test_sweeps_untangle_what_the_first_order_leaves_crossed():
    edges = [
        (0, 4),
        (1, 5),
        (2, 6),
        (3, 7),
        (3, 8),
        (0, 9),
        (2, 9),
        (1, 8),
        (9, 10),
        (4, 10),
        (6, 10),
        (5, 11),
        (7, 11),
    ]

    assert lay_out([SQUARE] * 12, edges).crossings == 0


def test_a_dense_layer_stays_near_the_crossings_of_a_good_drawing():
    count, edges = mlp(2, 4)

    assert lay_out([Box(120, 24)] * count, edges).crossings <= 3


def micrograd():
    """Return the graph of micrograd's README."""
    a, b = Value(-4.0, label="a"), Value(2.0, label="b")
    c, d = a + b, a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    f = (c - d) ** 2
    return f / 2.0 + 10.0 / f


def test_the_graph_of_micrograds_readme_has_five_crossings():
    assert (
        place(picture(single(snapshot([micrograd()])), set())).crossings <= 5
    )  # restarts of the sweeps halve them


def test_chains_and_long_edges_are_straight():
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]

    layout = lay_out([SQUARE] * 5, edges)

    assert len({y for _, y in layout.centres}) == 1
    assert all(len(route) == 4 for route in layout.routes[:3])
    long_edge = layout.routes[4]
    between = long_edge[3:-4]  # leaving and arriving: one level stretch
    assert len({round(y, 6) for _, y in between}) == 1
    assert len(long_edge) == 10


def test_a_spine_stays_straight_with_a_leaf_at_each_step():
    leaves = [(20 + at, at + 1) for at in range(9)]

    layout = lay_out([SQUARE] * 29, [(at, at + 1) for at in range(9)] + leaves)

    assert len({round(y, 6) for _, y in layout.centres[:10]}) == 1


@pytest.mark.parametrize("chain", [0, 1, 2])
def test_what_many_equals_feed_stands_in_their_middle(chain):
    starts = [at * (chain + 1) for at in range(9)]
    within = [(start + at, start + at + 1) for start in starts for at in range(chain)]
    fed = [(start + chain, 9 * (chain + 1)) for start in starts]
    after = [(9 * (chain + 1), 9 * (chain + 1) + 1)]

    layout = lay_out([SQUARE] * (9 * (chain + 1) + 2), [*within, *fed, *after])

    ys = [layout.centres[start + chain][1] for start in starts]
    assert layout.centres[-1][1] == pytest.approx((min(ys) + max(ys)) / 2, abs=2.0)
    assert layout.centres[-2][1] == layout.centres[-1][1]


def test_a_straight_edge_is_one_curve_whatever_the_widths():
    boxes = [Box(20 + 30 * (at % 2), 20) for at in range(6)]

    layout = lay_out(boxes, [(0, 2), (1, 3), (2, 4), (3, 5)])

    assert [len(route) for route in layout.routes] == [4, 4, 4, 4]


def test_the_spine_of_a_network_stays_straight_between_wide_boxes():
    count, edges = PLANAR["a linear 1-2-1 network"]

    layout = lay_out([Box(150 + 11 * (at % 4), 24) for at in range(count)], edges, "TB")

    spine = [layout.centres[box][0] for box in (0, 2, 4, 8, 11, 12)]
    assert max(spine) - min(spine) < 1.0


def test_parallel_edges_are_apart_and_symmetric():
    layout = lay_out([SQUARE, SQUARE], [(0, 1), (0, 1)])

    (first, second), centre = layout.routes, layout.centres[0][1]
    assert first != second
    assert centre - first[0][1] == pytest.approx(second[0][1] - centre)
    assert abs(first[0][1] - second[0][1]) >= 6


def test_many_parallel_edges_stay_on_the_border_of_the_box():
    layout = lay_out([SQUARE, SQUARE], [(0, 1)] * 30)

    assert all(0 <= route[0][1] <= 20 for route in layout.routes)
    assert len({route[0] for route in layout.routes}) == 30


def test_a_leaf_sits_next_to_its_first_consumer_and_an_output_next_to_its_operands():
    edges = [(0, 1), (1, 2), (2, 3), (4, 3), (0, 5)]

    layers = assign_layers(6, edges)

    assert layers == [0, 1, 2, 3, 2, 1]


def test_edges_that_share_a_source_share_its_wire():
    chain = [(at, at + 1) for at in range(6)]

    layout = lay_out([SQUARE] * 7, [*chain, (0, 5), (0, 6)])

    assert layout.routes[-1][: len(layout.routes[-2]) - 6] == layout.routes[-2][:-6]


def test_top_to_bottom_is_left_to_right_turned():
    boxes, edges = [Box(30, 10), Box(40, 20), Box(50, 30)], [(0, 2), (1, 2)]

    across = lay_out(boxes, edges)
    down = lay_out([Box(box.height, box.width) for box in boxes], edges, "TB")

    assert down.centres == tuple((y, x) for x, y in across.centres)
    assert (down.width, down.height) == (across.height, across.width)


def test_nothing_and_one_box_and_loose_boxes():
    assert lay_out([], []) == Layout(0.0, 0.0, (), (), (), 0)
    assert lay_out([Box(30, 10)], []).centres == ((15.0, 5.0),)
    assert overlaps([SQUARE] * 5, lay_out([SQUARE] * 5, [])) == []


def test_the_same_graph_gives_the_same_layout():
    edges = random_graph(60, seed=5, window=15)
    boxes = [Box(40 + 7 * (at % 5), 20) for at in range(60)]

    assert lay_out(boxes, edges) == lay_out(boxes, list(edges))


@pytest.mark.parametrize(
    "edges",
    [
        [(at, at + 1) for at in range(4999)],
        [edge for at in range(2999) for edge in ((at, at + 1), (0, at + 1))],
        [(at, 2500 + (at + 1) % 2500) for at in range(2500)] + [(2500 + at, 5000) for at in range(2500)],
        [(at, 3000 - at) for at in range(1400)] + [(at, at + 1) for at in range(3000)],
    ],
    ids=["deep chain", "one box used everywhere", "wide fan", "nested long edges"],
)
def test_large_graphs_of_any_shape_are_laid_out_without_recursion(edges):
    boxes = [SQUARE] * (max(map(max, edges)) + 1)

    layout = lay_out(boxes, edges)

    assert len(layout.centres) == len(boxes)
    by_layer = {}
    for (_, y), layer in zip(layout.centres, layout.layers, strict=True):
        by_layer.setdefault(layer, []).append(y)
    gaps = [b - a for ys in by_layer.values() for a, b in pairwise(sorted(ys))]
    assert min(gaps, default=20.0) >= 20.0


@given(st.lists(st.lists(st.integers(0, 12), max_size=5, unique=True), max_size=12))
def test_crossings_are_counted_as_pair_by_pair(targets):
    ends = [(source, target) for source, row in enumerate(targets) for target in row]
    crossing = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in combinations(ends, 2))

    assert count_crossings(targets) == crossing


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 9)), min_size=1, max_size=8))
def test_isotonic_regression_is_the_minimax_formula(pairs):
    targets, weights = [float(t) for t, _ in pairs], [float(w) for _, w in pairs]

    def mean(first, last):
        span = slice(first, last + 1)
        return sum(t * w for t, w in zip(targets[span], weights[span], strict=True)) / sum(weights[span])

    indices = range(len(pairs))
    expected = [max(min(mean(i, j) for j in indices if j >= k) for i in indices if i <= k) for k in indices]

    assert isotonic(targets, weights) == pytest.approx(expected)
