"""while_loop, scan and fori_loop: eager, compiled, mapped, differentiated to any order."""

import functools
import gc
import math
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodegrad as ng
from nodegrad import Value, loops
from nodegrad.compiler import backends

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def newton(a):
    """Find the square root by Newton's method."""
    return ng.while_loop(lambda x: abs(x * x - a) > 1e-12 * a, lambda x: 0.5 * (x + a / x), 1.0 + 0.0 * a)


def halvings(x):
    """Count with a state in a dict how often x is halved before it is below 1."""
    last = ng.while_loop(
        lambda s: s["x"] > 1.0, lambda s: {"x": s["x"] * 0.5, "n": s["n"] + 1.0}, {"x": x, "n": 0.0}
    )
    return last["n"] * x + last["x"]


def series(x):
    """Sum the exponential series until a term no longer counts."""
    total, _, _ = ng.while_loop(
        lambda s: abs(s[1]) > 1e-17 * abs(s[0]),
        lambda s: (s[0] + s[1], s[1] * x / s[2], s[2] + 1.0),
        (0.0 * x, 1.0 + 0.0 * x, 1.0),
    )
    return total


def garch(omega, alpha, beta, returns):
    """Add up the negative log-likelihood of a GARCH(1, 1) model."""

    def turn(state, r):
        variance, loss = state
        return (omega + alpha * r * r + beta * variance, loss + ng.log(variance) + r * r / variance), variance

    (_, loss), variances = ng.scan(turn, (1.0, 0.0), returns)
    return loss + 0.1 * variances[-1]


def nested(a, b):
    """Loop inside a loop: how many turns the inner one makes differs from turn to turn."""

    def turn(s):
        inner = ng.while_loop(lambda t: t > 1.0, lambda t: t / (1.0 + b * b), s[0] + a)
        return s[0] + inner * a, s[1] + 1.0

    return ng.while_loop(lambda s: s[1] < 3.0, turn, (a * b, 0.0))[0]


def scan_of_while(a, b):
    """Scan whose turns are while loops that read what is outside of both."""

    def turn(level, x):
        level = ng.while_loop(lambda t: t * t > 1.0 + x, lambda t: t * 0.5 + 0.1 * b, level + a * x)
        return level, level * x

    level, given = ng.scan(turn, a + b, [0.5, 1.5, 2.5])
    return level + ng.sum(given) * b


def pendulum(angle, speed):
    """Take 20 steps of a pendulum with a fixed number of turns."""

    def turn(_, state):
        angle, speed = state
        speed = speed - 0.05 * ng.sin(angle)
        return angle + 0.05 * speed, speed

    return ng.fori_loop(0, 20, turn, (angle, speed))


CASES = {
    "newton": (newton, [(2.0,), (0.3,), (900.0,), (1.0,)]),
    "halvings": (halvings, [(9.0,), (0.5,), (1.0,), (1000.0,)]),
    "series": (series, [(1.0,), (-2.0,), (5.0,), (0.0,)]),
    "nested": (nested, [(0.5, 0.7), (3.0, -1.5), (-1.0, 0.5), (0.0, 1.0)]),
    "scan_of_while": (scan_of_while, [(0.5, 0.7), (3.0, -0.2), (-1.0, 0.5), (6.0, 1.0)]),
    "pendulum": (lambda *x: pendulum(*x)[0], [(0.5, 0.0), (1.5, 2.0), (-3.0, 0.1), (0.0, 0.0)]),
}


def flat(found):
    return [found] if not isinstance(found, tuple | list) else [x for part in found for x in flat(part)]


@pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_compiled_loops_equal_eager_ones(case, order, exact, backend):
    f, rows = CASES[case]
    places = tuple(range(len(rows[0])))
    transform = [lambda f: f, lambda f: ng.grad(f, places), lambda f: ng.hessian(f, places)][order]
    eager = transform(f) if order else lambda *row: f(*map(Value, row)).data
    compiled = ng.compile(transform(f), backend=backend, exact=exact)
    expected = [flat(eager(*row)) for row in rows]

    called = [flat(compiled(*row)) for row in rows]
    mapped = compiled.map(*[list(column) for column in zip(*rows * 9, strict=True)])

    np.testing.assert_allclose(called, expected, rtol=1e-9, atol=1e-12)
    columns = [np.asarray(x) for x in flat(mapped)]
    np.testing.assert_allclose(np.transpose(columns), expected * 9, rtol=1e-9, atol=1e-12)
    if exact and not order:
        assert called == expected
    assert compiled.stats()["traces"] == 1
    assert compiled.stats()["guards"] == 0


def test_scans_over_arguments_are_differentiated_by_all_of_them(backend):
    returns = [0.1, -0.3, 0.5, 1.2, -0.7]
    f = ng.value_and_grad(garch, argnums=(0, 1, 2, 3))
    compiled = ng.compile(f, backend=backend)

    np.testing.assert_allclose(
        flat(compiled(0.1, 0.2, 0.7, returns)), flat(f(0.1, 0.2, 0.7, returns)), rtol=1e-12
    )
    mapped = compiled.map([0.1] * 20, [0.2] * 20, [0.7] * 20, np.array([returns] * 20))
    np.testing.assert_allclose(mapped[1][3][7], f(0.1, 0.2, 0.7, returns)[1][3], rtol=1e-12)


@pytest.mark.parametrize("transform", [ng.jvp, ng.hvp])
def test_forward_mode_goes_through_loops(transform, backend):
    def along(x, t):
        return transform(newton, (x,), (t,))

    compiled = ng.compile(along, backend=backend)

    np.testing.assert_allclose(flat(compiled(5.0, 2.0)), flat(along(5.0, 2.0)), rtol=1e-12)


def test_third_derivatives_of_a_loop(backend):
    third = ng.grad(ng.grad(ng.grad(newton)))

    assert ng.compile(third, backend=backend)(4.0) == pytest.approx(3 / 8 * 4.0**-2.5, rel=1e-9)


def test_loops_read_leaves_closed_over_at_each_call(backend):
    w = Value(2.0)
    f = ng.value_and_grad(lambda x: ng.while_loop(lambda s: s < 10.0, lambda s: s * w, x), wrt=[w])
    compiled = ng.compile(f, backend=backend)
    assert compiled(1.0) == (16.0, [32.0])

    w.data = 3.0

    assert compiled(1.0) == (27.0, [27.0])
    assert compiled.map([1.0, 20.0], reduce="sum")[0] == 47.0


def test_a_loop_of_leaves_alone_runs_once_for_all_rows(backend):
    w = Value(3.0)
    compiled = ng.compile(lambda x: x * newton(w), backend=backend)

    np.testing.assert_allclose(compiled.map([1.0, 2.0]), [math.sqrt(3), 2 * math.sqrt(3)], rtol=1e-12)
    assert "once per call" in str(compiled)


def test_a_scan_over_numbers_written_in_the_code(backend):
    compiled = ng.compile(
        lambda x: ng.scan(lambda s, c: (s * x + c, None), 0.0, [1.0, 2.0, 3.0])[0], backend=backend
    )

    assert compiled(2.0) == 11.0
    assert compiled.map([2.0] * 40).tolist() == [11.0] * 40


def test_scan_takes_structures_and_gives_structures(backend):
    def f(x):
        def turn(state, row):
            a, (b, c) = row
            return [state[0] + a * x, state[1] - b], {"sum": state[0] + c[0], "x": x * c[1]}

        state, ys = ng.scan(turn, [0.0, 1.0], ([1.0, 2.0], [(1.0, [2.0, 3.0]), (4.0, [5.0, 6.0])]))
        return state, [y["sum"] for y in ys], ys[1]["x"]

    eager = f(2.0)

    assert eager == ([6.0, -4.0], [2.0, 7.0], 12.0)
    assert ng.compile(f, backend=backend)(2.0) == eager


def test_scan_without_xs_makes_as_many_turns_as_asked(backend):
    def f(x):
        return ng.scan(lambda s, _: (s * x, s), 1.0, length=3)

    assert f(2.0) == (8.0, [1.0, 2.0, 4.0])
    assert ng.compile(f, backend=backend)(2.0) == f(2.0)


def test_loops_of_no_turns(backend):
    def f(x):
        return ng.while_loop(lambda s: s < 0.0, lambda s: s + 1.0, x) + ng.scan(lambda s, y: (s, y), x, [])[0]

    assert ng.compile(ng.value_and_grad(f), backend=backend)(3.0) == (6.0, 2.0)


def test_nan_ends_a_comparison_and_is_true_by_itself(backend):
    compiled = ng.compile(lambda x: ng.while_loop(lambda s: s > 1.0, lambda s: s / 2, x), backend=backend)
    assert math.isnan(compiled(math.nan))
    assert np.isnan(compiled.map([math.nan] * 20)).all()

    for f in (compiled.f, ng.compile(compiled.f, backend=backend)):
        assert f(8.0) == 1.0

    endless = ng.compile(lambda x: ng.while_loop(lambda s: s, lambda s: s, x, limit=9), backend=backend)
    with pytest.raises(RuntimeError, match="within 9 turns"):
        endless(math.nan)


def test_a_loop_that_does_not_end_is_an_error_in_every_tier(backend):
    def f(x):
        return ng.while_loop(lambda s: s > 0.5, lambda s: s + 1.0, x, limit=100)

    compiled = ng.compile(f, backend=backend)

    assert compiled(0.0) == 0.0
    with pytest.raises(RuntimeError, match="did not end within 100 turns"):
        f(1.0)
    with pytest.raises(RuntimeError, match="did not end within 100 turns"):
        compiled(1.0)
    with pytest.raises(RuntimeError, match="did not end within 100 turns"):
        compiled.map([0.0] * 30 + [1.0])
    assert compiled(0.25) == 0.25


def test_rows_of_very_different_length(backend):
    compiled = ng.compile(halvings, backend=backend, exact=True)
    rows = [2.0**power for power in (0, 1, 1000, 3, 500, -5, 1023, 10)] * 5

    assert compiled.map(rows).tolist() == [halvings(Value(x)).data for x in rows]


@pytest.mark.parametrize(
    "body",
    [lambda s: s / 2 if s > 3.0 else s - 1.0, lambda s: max(s - 1.0, 0.5), lambda s: s - 1.0 * (s and 1)],
)
def test_a_branch_in_a_compiled_body_is_an_error_that_says_where(body, backend):
    def f(x):
        return ng.while_loop(lambda s: s > 1.0, body, x)

    with pytest.raises(TypeError, match=r"nodegrad\.where"):
        ng.compile(f, backend=backend)(9.0)
    assert f(Value(9.0)).data <= 1.0


def test_a_branch_on_what_is_outside_is_followed(backend):
    def f(x, limit):
        return ng.while_loop(lambda s: s < 10.0, lambda s: s + limit if limit > 1.0 else s * 2.0, x)

    compiled = ng.compile(f, backend=backend)

    assert [compiled(1.0, limit) for limit in (4.0, 0.5, 0.5, 4.0, 3.0)] == [13.0, 16.0, 16.0, 13.0, 10.0]


def test_reading_data_in_a_compiled_body_is_refused(backend):
    with pytest.raises(ValueError, match=r"reads \.data"):
        ng.compile(
            lambda x: ng.while_loop(lambda s: s > 1.0, lambda s: s * 0.5 * s.data / s, x), backend=backend
        )(9.0)


@pytest.mark.parametrize("state", [[1.0], (1.0, 2.0), {"a": 1.0}])
def test_a_body_that_changes_the_structure_is_refused(state, backend):
    def f(x):
        return ng.while_loop(lambda s: True, lambda s: x, state)

    for run in (f, ng.compile(f, backend=backend)):
        with pytest.raises(TypeError, match="returns a state of the structure it takes"):
            run(1.0)


def test_scan_says_what_it_takes():
    with pytest.raises(TypeError, match="returns the pair"):
        ng.scan(lambda s, x: s, 0.0, [1.0])
    with pytest.raises(ValueError, match="length="):
        ng.scan(lambda s, x: (s, x), 0.0)
    with pytest.raises(ValueError, match="xs of one length"):
        ng.scan(lambda s, x: (s, x), 0.0, ([1.0], [1.0, 2.0]))


def test_many_weights_are_differentiated_turn_by_turn(backend):
    model = ng.nn.MLP(2, [8, 2], activation="tanh", seed=0)

    def trajectory(x, y):
        def turn(state, _):
            return [a + 0.1 * b for a, b in zip(state, model(state), strict=True)], None

        return ng.sum(ng.scan(turn, [x, y], length=5)[0])

    f = ng.value_and_grad(trajectory, wrt=model.parameters())
    compiled = ng.compile(f, backend=backend)
    value, gradient = f(0.5, -1.0)

    found = compiled(0.5, -1.0)

    assert "times:" not in str(compiled)
    np.testing.assert_allclose(found[1], [x.data for x in gradient], rtol=1e-9, atol=1e-12)
    assert found[0] == pytest.approx(value.data)


def equilibrium(model, x, y):
    """Find the state that a network leaves as it is."""

    def turn(state):
        after = [0.3 * a + b for a, b in zip(model(state["at"]), (x, y), strict=True)]
        return {"at": after, "change": ng.abs(after[0] - state["at"][0])}

    start = {"at": [0.0 * x, 0.0 * y], "change": 1.0}
    first, second = ng.while_loop(lambda state: state["change"] > 1e-6, turn, start)["at"]
    return first * first + second


def test_a_while_loop_is_differentiated_by_many_weights_as_a_branch(backend):
    model = ng.nn.MLP(2, [16, 2], activation="tanh", seed=1)
    f = ng.value_and_grad(functools.partial(equilibrium, model), wrt=model.parameters())
    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (8, 2))
    called, mapped = ng.compile(f, backend=backend), ng.compile(f, backend=backend)

    values, gradients = mapped.map(rows[:, 0], rows[:, 1])

    for at, row in enumerate(rows.tolist()):
        value, gradient = f(*row)
        numbers = [x.data for x in gradient]
        for found in (called(*row), (values[at], gradients[at])):
            assert found[0] == pytest.approx(value.data, rel=1e-12)
            np.testing.assert_allclose(found[1], numbers, rtol=1e-9, atol=1e-14)


def test_a_row_that_shows_that_a_loop_is_too_wide_counts_once(backend):
    model = ng.nn.MLP(2, [16, 2], activation="tanh", seed=1)

    def f(x, y):
        return equilibrium(model, x, y) if x > 0.0 else x * y

    compiled = ng.compile(ng.value_and_grad(f, wrt=model.parameters()), backend=backend)
    compiled(-0.5, 0.25)
    compiled(0.5, 0.25)

    assert compiled.stats()["eager_rows"] == 1


def test_a_while_loop_over_many_weights_without_derivatives_is_one_loop(backend):
    model = ng.nn.MLP(2, [16, 2], activation="tanh", seed=1)
    compiled = ng.compile(functools.partial(equilibrium, model), backend=backend)

    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 2))

    assert compiled.map(rows[:, 0], rows[:, 1]).shape == (20,)
    assert compiled.stats()["traces"] == 1
    assert compiled.stats()["guards"] == 0


def test_a_while_loop_over_many_weights_inside_a_scan_stays_a_loop(backend):
    weights = [Value(0.02 * k) for k in range(40)]

    def inner(x):
        return ng.while_loop(
            lambda s: s > 1.0, lambda s: 0.5 * s + 0.01 * ng.tanh(ng.dot(weights, [s] * 40)), x
        )

    def outer(x):
        return ng.scan(lambda s, _: (inner(s) + 2.0, None), x, length=3)[0]

    f = ng.value_and_grad(outer, wrt=weights)
    value, gradient = f(3.0)

    found = ng.compile(f, backend=backend)(3.0)

    assert found[0] == pytest.approx(value.data)
    np.testing.assert_allclose(found[1], [x.data for x in gradient], rtol=1e-9)


def test_code_that_catches_errors_does_not_see_that_a_loop_is_recorded_anew(backend):
    weights = [Value(0.02 * k) for k in range(60)]

    def inner():
        def turn(x):
            return 0.5 * x + 0.01 * ng.tanh(ng.dot(weights, [x] * 60))

        return ng.while_loop(lambda x: x > 1.0, turn, 3.0)

    def f(x):
        try:
            return x * ng.grad(inner, wrt=weights)()[3]
        except Exception:
            return 0.0 * x

    assert ng.compile(f, backend=backend)(2.0) == pytest.approx(f(2.0).data, rel=1e-12)


def test_the_warning_for_a_while_loop_over_many_weights_names_fori_loop():
    model = ng.nn.MLP(2, [16, 2], activation="tanh", seed=1)
    f = ng.value_and_grad(functools.partial(equilibrium, model), wrt=model.parameters())
    compiled = ng.compile(f, max_traces=1)
    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (70, 2))

    with pytest.warns(RuntimeWarning, match="nodegrad.fori_loop"):
        compiled.map(rows[:, 0], rows[:, 1])


@settings(max_examples=25)
@given(data=st.data())
def test_random_loops_agree_in_every_tier(data):
    numbers = st.floats(-2.0, 2.0)
    a, b, c, d = (data.draw(numbers) for _ in range(4))
    turns = data.draw(st.integers(0, 7))
    inner = data.draw(st.sampled_from([None, "while", "scan"]))
    names = data.draw(
        st.lists(st.sampled_from(["sin", "tanh", "mul", "div", "where", "max"]), min_size=1, max_size=4)
    )

    def step(x, y):
        for name in names:
            if name in ("sin", "tanh"):
                x = getattr(ng, name)(x) + c
            elif name == "mul":
                x = x * y + a * 0.5
            elif name == "div":
                x = x / (1.0 + y * y)
            elif name == "where":
                x = ng.where(x > b, x * 0.5, x + d)
            else:
                x = ng.maximum(x, y) - 0.25
        return x

    def f(x, y):
        def turn(s):
            x, n = s
            if inner == "while":
                x = ng.while_loop(lambda t: t > 1.0 + y * y, lambda t: t * 0.5, x)
            elif inner == "scan":
                x, given = ng.scan(lambda t, u: (t * 0.9 + u * y, t), x, [a, b])
                x = x + given[0] * given[1]
            return step(x, y), n + 1.0

        return ng.while_loop(lambda s: s[1] < turns, turn, (x * a, 0.0))[0]

    rows = [(data.draw(numbers), data.draw(numbers)) for _ in range(12)]
    expected = [f(*map(Value, row)).data for row in rows]
    slopes = [ng.grad(f, (0, 1))(*row) for row in rows]
    xs, ys = map(list, zip(*rows, strict=True))
    for backend in BACKENDS:
        exact = ng.compile(f, backend=backend, exact=True)
        assert np.array_equal(exact.map(xs, ys), expected, equal_nan=True)
        assert np.array_equal([exact(*row) for row in rows], expected, equal_nan=True)
        found = np.transpose(ng.compile(ng.grad(f, (0, 1)), backend=backend).map(xs, ys))
        np.testing.assert_allclose(found, slopes, rtol=1e-7, atol=1e-9)


def test_what_a_compiled_loop_recorded_is_freed_with_its_last_user():
    seen = []

    def f(x):
        found = ng.while_loop(lambda s: s[0] < 3.0, lambda s: (s[0] + 1.0, s[1] * x), (0.0, x))[1]
        seen.extend(map(weakref.ref, (x, found, found.op.whole)))
        return found

    def second(x):
        slope = ng.grad(ng.grad(f))(x)
        seen.append(weakref.ref(slope))
        return slope

    gc.disable()
    try:
        assert ng.compile(second)(2.0) == 12.0 * 2.0**2

        assert len(seen) >= 4
        assert [x() for x in seen] == [None] * len(seen)
    finally:
        gc.enable()


TIERS = pytest.mark.parametrize("tier", [lambda f: f, ng.compile], ids=["eager", "compiled"])


@TIERS
@pytest.mark.parametrize("body", [lambda x: None, lambda x: "a"], ids=["nothing", "text"])
def test_body_that_returns_no_number_is_named(tier, body):
    with pytest.raises(TypeError, match="while_loop, as its state, takes a real number; got"):
        tier(lambda x: ng.while_loop(lambda x: x < 3.0, body, x))(1.0)


@TIERS
@pytest.mark.parametrize("answer", [None, "a", [True], (True,), np.array([True, False])])
def test_condition_that_is_not_a_number_is_named(tier, answer):
    with pytest.raises(TypeError, match="while_loop, from its condition, takes a real number; got"):
        tier(lambda x: ng.while_loop(lambda x: answer, lambda x: x + 1.0, x))(1.0)


def test_scan_over_a_number_is_named():
    with pytest.raises(TypeError, match=r"scan takes xs as a list or array, or several; got 3\.0"):
        ng.scan(lambda state, x: (state, None), 0.0, 3.0)


def forward(f):
    return lambda x: ng.jvp(f, (x,), (1.0,))[1]


SELECTED = {  # what the loop did not select meets an infinite derivative
    "relu in a scan": (lambda x: ng.sqrt(ng.scan(lambda c, i: (ng.relu(c), c), x, [0.0, 0.0])[0]), -0.5),
    "clip in a scan": (
        lambda x: ng.acos(ng.scan(lambda c, i: (ng.clip(c, -1, 1), c), x, [0.0, 0.0])[0]),
        2.0,
    ),
    "what a scan gives out": (
        lambda x: ng.sqrt(ng.scan(lambda c, i: (c, ng.relu(c)), x, [0.0, 0.0])[1][1]),
        -0.5,
    ),
    "an item": (lambda x: ng.sqrt(ng.scan(lambda c, i: (ng.relu(c + i), c), 0.0, [x, x])[0]), -0.5),
    "relu in a while loop": (
        lambda x: ng.sqrt(
            ng.while_loop(lambda s: s[0] < 2.0, lambda s: (s[0] + 1.0, ng.relu(s[1])), (0.0, x))[1]
        ),
        -0.5,
    ),
    "a state that is overwritten": (
        lambda x: ng.sqrt(
            ng.while_loop(lambda s: s[0] < 2.0, lambda s: (s[0] + 1.0, s[0] * 0.0), (0.0, x))[1]
        ),
        3.0,
    ),
    "an infinite derivative in a later turn": (
        lambda x: ng.scan(lambda s, i: ((ng.relu(s[0]), ng.sqrt(s[0])), None), (x, x), [0.0] * 3)[0][1],
        -0.5,
    ),
    "an infinite derivative before x comes in": (
        lambda x: ng.scan(lambda c, i: (ng.sqrt(c) + x * i, c), 0.0, [1.0, 1.0])[0],
        2.0,
    ),
}


@pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("case", SELECTED)
def test_what_a_loop_did_not_select_contributes_nothing(case, exact, backend):
    f, x = SELECTED[case]
    first = [ng.grad(f), forward(f), lambda x: ng.vjp(f, x)[1](1.0)]
    for transform in [
        *first,
        ng.grad(ng.grad(f)),
        forward(ng.grad(f)),
        ng.grad(forward(f)),
        forward(forward(f)),
    ]:
        expected = flat(transform(x))
        compiled = ng.compile(transform, backend=backend, exact=exact)

        np.testing.assert_allclose(flat(compiled(x)), expected, rtol=1e-12)
        np.testing.assert_allclose(np.ravel(compiled.map([x] * 9)), expected * 9, rtol=1e-12)
        assert not np.isnan(expected).any()


def plus_one(s):
    return s[0] + 1.0


def three_turns(s):
    return s[0] < 3.0


ORDINARY = {  # what a zero of an ordinary product leaves meets an infinite derivative: 0 · inf is nan
    "after the loop": (lambda x: ng.sqrt(ng.scan(lambda c, i: (c * i, c), x, [1.0, 0.0])[0]), 2.0),
    "in the next turn": (lambda x: ng.scan(lambda c, i: (ng.sqrt(c * i), c), x, [0.0, 1.0])[0], 2.0),
    "before the loop": (lambda x: ng.scan(lambda c, i: (ng.sqrt(c), c), x * 0.0, [0.0] * 2)[0], 2.0),
    "in a while loop": (
        lambda x: ng.sqrt(ng.while_loop(three_turns, lambda s: (plus_one(s), s[1] * 0.0), (0.0, x))[1]),
        2.0,
    ),
    "of what a loop closes over": (
        lambda x: ng.while_loop(three_turns, lambda s: (plus_one(s), ng.log(x * 0.0)), (0.0, 1.0))[1],
        2.0,
    ),
    "of what comes in from the second turn on": (
        lambda x: ng.while_loop(
            lambda s: s[0] < 2.0, lambda s: (plus_one(s), ng.sqrt(s[2]), x * s[1]), (0.0, 0.0, 1.0)
        )[1],
        2.0,
    ),
    "of what a scan gives out": (
        lambda x: ng.sqrt(ng.scan(lambda c, i: (c, c * i), x, [0.0, 1.0])[1][0]),
        2.0,
    ),
    "of an item": (lambda x: ng.scan(lambda c, i: (ng.sqrt(c) + i * i, c), 0.0, [x, x])[0], 0.0),
    "beside a selection": (
        lambda x: ng.sqrt(ng.scan(lambda c, i: (ng.relu(c) * i, c), x, [1.0, 0.0])[0]),
        2.0,
    ),
}


@pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize("case", ORDINARY)
def test_an_ordinary_zero_in_a_loop_meets_infinity_as_in_ieee_arithmetic(case, exact, backend):
    f, x = ORDINARY[case]
    for transform in [ng.grad(f), forward(f), lambda x: ng.vjp(f, x)[1](1.0)]:
        expected = flat(transform(x))
        compiled = ng.compile(transform, backend=backend, exact=exact)

        np.testing.assert_array_equal(flat(compiled(x)), expected)
        np.testing.assert_array_equal(np.ravel(compiled.map([x] * 9)), expected * 9)
        assert np.isnan(expected).all()


def shifted(x, turns):
    """Pass numbers on from one place of the state to the next; x comes in at the first."""
    return ng.scan(lambda s, i: ((x * s[3], s[0], s[1], ng.sqrt(s[2])), s[2]), (0.0, 0.0, 0.0, 1.0), turns)


@pytest.mark.parametrize("turns", [2, 3, 4, 5, 9])
def test_tangents_that_come_some_turns_late_meet_infinity_as_in_eager_code(turns, backend):
    for f in (
        lambda x: ng.sum([*shifted(x, [0.0] * turns)[0]]),
        lambda x: ng.sum(shifted(x, [0.0] * turns)[1]),
    ):
        compiled = ng.compile(ng.grad(f), backend=backend)

        np.testing.assert_allclose([compiled(x) for x in (2.0, 0.0)], [ng.grad(f)(x) for x in (2.0, 0.0)])


def test_a_derivative_that_is_zero_at_a_point_keeps_the_next_one(backend):
    f = lambda x: ng.scan(lambda c, i: (c * x, None), x, [0.0, 0.0])[0]  # noqa: E731  # x³
    second, third = ng.grad(ng.grad(f)), ng.grad(ng.grad(ng.grad(f)))

    assert (ng.compile(second, backend=backend)(0.0), ng.compile(third, backend=backend)(0.0)) == (0.0, 6.0)


def test_an_inner_loop_that_reads_the_outer_state_closes_over_nothing_else(backend):
    def turn(s):
        return ng.while_loop(lambda t: t > 1.0, lambda t: t / (1.5 + s * s), s + 1.0)

    compiled = ng.compile(lambda x: ng.scan(lambda c, i: (turn(c), None), x, [0.0] * 3)[0], backend=backend)

    assert compiled(2.0) == pytest.approx(compiled.f(2.0))
    assert compiled.stats()["parameters"] == 0


def test_an_error_says_where_the_loop_is_that_keeps_state():
    def f(x):
        turns = iter([1.0, 2.0, 3.0])
        return ng.scan(lambda c, i: (c + next(turns), None), x, [0.0] * 3)[0]

    with pytest.raises(ValueError, match=rf"scan at .*:{f.__code__.co_firstlineno + 2} .* into the state"):
        ng.compile(f)(1.0)


def nested(inner_turn):
    """Return a function of two loops, one in the other; `inner_turn` makes a turn of the inner one."""

    def f(x):
        kept = {}
        return ng.while_loop(
            lambda s: s < 10.0,
            lambda s: ng.while_loop(lambda t: t < s + 1.0, lambda t: inner_turn(kept, x, s, t), s),
            x,
        )

    return f


@pytest.mark.parametrize(
    "inner_turn",
    [
        lambda kept, x, s, t: t + (kept["x"] if "x" in kept else kept.setdefault("x", 2.0)),
        lambda kept, x, s, t: t + (kept["x"] if "x" in kept else kept.setdefault("x", ng.exp(x))),
        lambda kept, x, s, t: t + kept.setdefault("x", ng.exp(x)),
        lambda kept, x, s, t: (
            t + kept.setdefault("f", functools.cache(lambda factor: ng.exp(x * factor)))(0.5)
        ),
        lambda kept, x, s, t: t + functools.cache(lambda factor: ng.exp(x * factor))(0.5),  # of one turn only
    ],
)
def test_a_cache_that_all_turns_may_share_is_followed(inner_turn, backend):
    f = nested(inner_turn)
    compiled = ng.compile(ng.value_and_grad(f), backend=backend, exact=True)

    for x in (0.5, 1.5, 20.0):
        assert compiled(x) == pytest.approx(ng.value_and_grad(f)(x))


@pytest.mark.parametrize(
    "inner_turn",
    [
        lambda kept, x, s, t: t + (kept["s"] if "s" in kept else kept.setdefault("s", s * s)),
        lambda kept, x, s, t: t + (kept["t"] if "t" in kept else kept.setdefault("t", t * t + 1.0)),
        lambda kept, x, s, t: t + kept.setdefault("s", s),
    ],
)
@pytest.mark.parametrize("derive", [False, True])
def test_a_cache_of_what_depends_on_a_turn_is_refused_with_the_remedy(inner_turn, derive, backend):
    f = nested(inner_turn)
    compiled = ng.compile(ng.grad(f) if derive else f, backend=backend)

    with pytest.raises(
        ValueError, match=r"a cache.* make before the loop what all turns share|left the loop"
    ):
        compiled(0.5)


hidden = ng.custom("hidden", math.sin, lambda x, out: ng.cos(x))
shown = ng.custom("shown", lambda x: x * x + 1.0, lambda x, out: 2.0 * x)
branching = ng.custom(
    "branching", lambda x: x if x > 0.0 else -x, lambda x, out: ng.where(x > 0.0, 1.0, -1.0)
)


@pytest.mark.parametrize("operation", [hidden, shown, branching], ids=lambda operation: operation.name)
@pytest.mark.parametrize("derive", [False, True])
def test_a_custom_operation_is_called_in_the_turns_of_a_loop(operation, derive, backend):
    def f(x):
        x = ng.while_loop(lambda s: operation(s) < 0.9, lambda s: s + 0.2 * operation(s), x)
        return ng.scan(lambda s, c: (c * operation(s - 0.5), s), x, [0.3, 0.5, 0.25])[0]

    g = ng.grad(f) if derive else f
    compiled = ng.compile(g, backend=backend, exact=True)
    numbers = [0.1, 0.7, 2.0]

    expected = [g(x) if derive else f(Value(x)).data for x in numbers]
    assert [compiled(x) for x in numbers] == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(compiled.map(numbers), expected, rtol=1e-14)


def test_a_custom_operation_made_in_each_turn_is_refused_with_the_remedy(backend):
    def turn(s, c):
        return ng.custom("own", lambda v: v * v + 0.5, lambda v, out: 2.0 * v)(s) * c, None

    with pytest.raises(ValueError, match="an operation that custom makes anew.* make before the loop"):
        ng.compile(lambda x: ng.scan(turn, x, [0.3, 0.5])[0], backend=backend)(0.7)


def test_a_scan_of_one_turn_is_that_turn(backend):
    def f(x):
        seen = []
        ng.scan(lambda c, i: (seen.append(c) or c * 2.0 if c > 1.0 else c, None), x, [0.0])
        return ng.sum(seen)

    assert [ng.compile(f, backend=backend)(x) for x in (2.0, 3.0)] == [2.0, 3.0]


def test_a_body_that_raises_is_an_error_even_if_the_loop_makes_no_turn(backend):
    compiled = ng.compile(lambda x: ng.while_loop(lambda s: s < 3.0, lambda s: {}[1], x), backend=backend)

    with pytest.raises(KeyError):
        compiled(1.0)
    with pytest.raises(KeyError) as caught:
        compiled(5.0)
    assert "a turn is recorded even if the loop makes none" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ng.while_loop(1.0, lambda s: s, 1.0), "while_loop takes condition as a function"),
        (lambda: ng.while_loop(lambda s: s < 1.0, 2.0, 1.0), "while_loop takes body as a function"),
        (lambda: ng.while_loop(lambda s: s, lambda s: s, 1.0, limit="a"), "limit as a whole number"),
        (lambda: ng.scan(1.0, 1.0, [1.0]), "scan takes body as a function"),
        (lambda: ng.fori_loop(0, 3, 1.0, 1.0), "fori_loop takes body as a function"),
        (lambda: ng.fori_loop(0, Value(3.0), lambda i, s: s, 1.0), "write a while_loop"),
        (lambda: ng.fori_loop(0, 2.5, lambda i, s: s, 1.0), r"whole numbers; got 0 of type int and 2\.5"),
        (lambda: ng.compile(lambda n: ng.fori_loop(0, n, lambda i, s: s, 1.0))(3), "static="),
    ],
)
def test_arguments_that_no_loop_takes_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def adds_in_place(state, x):
    state["sum"] = state["sum"] + x["by"]
    x["by"] = 0.0
    return state, state


def counts_in_its_condition(state):
    state[0] = state[0] + 1.0
    return state[0] < 5.0


@pytest.mark.parametrize("tier", [lambda f: f, ng.compile])
def test_what_functions_of_a_loop_change_in_place_is_theirs_alone(tier):
    def partial_sums(x):
        return [y["sum"] for y in ng.scan(adds_in_place, {"sum": 0.0}, {"by": [x, 2.0 * x]})[1]]

    def last(x):
        return ng.while_loop(counts_in_its_condition, lambda state: [state[0] * x], [1.0])[0]

    assert tier(partial_sums)(1.0) == [1.0, 3.0]
    assert tier(ng.grad(lambda x: partial_sums(x)[0]))(1.0) == 1.0
    assert tier(last)(1.5) == 1.5**4
    assert tier(ng.grad(last))(1.5) == 4.0 * 1.5**3


def test_the_first_state_and_the_rows_of_a_loop_stay_as_they_are():
    state, rows = {"sum": 0.0}, [{"by": 1.0}, {"by": 2.0}]

    assert ng.scan(adds_in_place, state, rows)[0] == {"sum": 3.0}
    assert (state, rows) == ({"sum": 0.0}, [{"by": 1.0}, {"by": 2.0}])


def test_comparisons_in_a_loop_add_up(backend):
    compiled = ng.compile(
        lambda x: ng.fori_loop(0, 3, lambda _, s: s + (s < 1.0) + ((s < 2.0) + (s < 3.0)), x), backend=backend
    )
    rows = [0.25 * k for k in range(20)]

    assert compiled.map(rows).tolist() == [compiled.f(x) for x in rows]


def test_a_compiled_loop_over_data_is_differentiated_by_the_arguments_wanted_alone(monkeypatch):
    by, jacobian = [], loops.Loop.jacobian

    def spy(self, operands, wanted):
        by.append(len(wanted))
        return jacobian(self, operands, wanted)

    monkeypatch.setattr(loops.Loop, "jacobian", spy)
    data = [0.5, 1.5, 2.5, 3.5] * 10

    def discounted(rate, data):
        return ng.scan(lambda total, x: (total * rate + x, None), 0.0, data)[0]

    compiled = ng.compile(ng.value_and_grad(discounted))
    found = compiled(0.9, data)

    assert found == pytest.approx(ng.value_and_grad(discounted)(0.9, data))
    assert max(by) == 1


def test_adjoints_of_two_results_of_a_compiled_loop_do_not_cancel_before_a_nan():
    def f(x):
        def turn(s, _):
            y = ng.log(s + s)
            return y, y

        last, ys = ng.scan(turn, x, length=2)
        return last - ys[-1] + x

    compiled = ng.compile(ng.grad(f))

    assert (ng.grad(f)(2.0), compiled(2.0)) == (1.0, 1.0)
    assert (
        ng.grad(f)(-1.0) == 1.0
    )  # 1 - 1 is a strong 0, whatever the log of a negative number has for a slope
    assert math.isnan(compiled(-1.0))  # README.md of the compiler, under "Loops"
