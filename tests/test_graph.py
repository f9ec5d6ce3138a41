"""Walks over graphs: order, dependents, and the garbage collector's patience."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegrad import Value, ops
from nodegrad.graph import clock, dependents, recording, topological_order


def test_operands_come_before_what_is_made_from_them():
    a = Value(1.0)
    b = a + a
    c = b * a

    order = topological_order(c)

    assert len(order) == 3
    assert all(found is expected for found, expected in zip(order, [a, b, c], strict=True))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60))
def test_order_is_topological_and_complete_on_random_graphs(picks):
    nodes = [Value(1.0), Value(2.0)]
    for i, j in picks:
        nodes.append(nodes[i % len(nodes)] * nodes[j % len(nodes)])

    order = topological_order(nodes[-1])

    place = {node: index for index, node in enumerate(order)}
    assert len(place) == len(order)
    assert place[nodes[-1]] == len(order) - 1
    assert all(place[operand] < place[node] for node in order for operand in node.operands)


def test_order_of_several_outputs_holds_shared_nodes_once():
    a = Value(1.0)
    b, c = a + 1.0, a * 3.0

    order = topological_order(b, c)

    assert len(order) == len(set(order)) == 5
    assert order[-1] is c
    assert {a, b, c} < set(order)


def test_order_is_the_same_each_time():
    a = Value(1.0)
    b = (a * a + a).tanh() * (a - a)

    assert all(x is y for x, y in zip(topological_order(b), topological_order(b), strict=True))


def test_ends_of_a_walk_are_listed_apart_each_once():
    x, y, known = Value(1.0), Value(2.0), Value(3.0)
    ends = [known]

    order = topological_order(ops.dot(x, y, x, known) + y, constants=False, ends=ends)

    assert [node.op for node in order] == [ops.dot, ops.add]
    assert [*map(id, ends)] == [id(known), id(x), id(y)]


def test_chain_of_a_million_is_ordered_without_recursion():
    node = Value(0.0)
    for _ in range(1_000_000):
        node = -node

    assert len(topological_order(node)) == 1_000_001


def test_dependents_are_the_sources_and_what_is_computed_from_them():
    a, b = Value(1.0), Value(2.0)
    c = a * 3.0
    d = b + 1.0
    e = c * d

    found = dependents(topological_order(e), [a])

    assert found == {a, c, e}


def test_recording_sets_the_thresholds_and_restores_them():
    before = gc.get_threshold()

    with recording():
        during = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), recording():
        _ = 1 / 0

    assert during[0] >= 100_000
    assert gc.get_threshold() == before


def test_recording_leaves_a_disabled_collector_disabled():
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with recording():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_overlapping_blocks_of_many_threads_leave_the_collector_as_it_was():
    before = gc.get_threshold()
    inside = threading.Barrier(8)

    def work():
        with recording():
            inside.wait(10)
            assert gc.get_threshold()[0] == 1_000_000
        for _ in range(200):
            with recording():
                pass

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()

    assert gc.get_threshold() == before


def test_blocks_that_end_in_the_order_they_began_leave_the_collector_as_it_was():
    before = gc.get_threshold()
    first, second = recording(), recording()

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] == 1_000_000
    second.__exit__(None, None, None)

    assert gc.get_threshold() == before


def test_thresholds_set_inside_a_block_are_kept():
    before = gc.get_threshold()
    try:
        with recording():
            gc.set_threshold(123, 4, 5)

        assert gc.get_threshold()[:2] == (123, 4)
    finally:
        gc.set_threshold(*before)


def test_a_walk_since_a_time_does_not_go_before_it():
    x = Value(1.0)
    old = x * x
    start = clock.tick()
    new = old + 1.0

    order = topological_order(new * old, since=start)

    assert [node.op for node in order if node.op is not ops.constant] == [ops.mul, ops.add, ops.mul]
    assert all(node is not x for node in order)
