"""Value: operators, gradients, refusals, freeing, copying."""

import copy
import dataclasses
import decimal
import fractions
import gc
import math
import pickle
import statistics
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nodegrad as ng
from nodegrad import Value, ops
from nodegrad.observers import listen, listeners
from nodegrad.value import write

finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    "number", [2, True, 2.0, np.float64(2), np.float32(2), np.int64(2), fractions.Fraction(2)]
)
def test_real_numbers_of_any_kind_become_floats(number):
    v = Value(number)

    assert type(v.data) is float
    assert v.data == float(number)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("3", r"float\(text\)"),
        (1j, ".real and .imag"),
        (None, "return"),
        (np.array([1.0]), "per element"),
        ([1.0], "per element"),
        (Value(1.0), "value.data"),
        (decimal.Decimal(1), "float"),
        (object(), "float"),
    ],
)
def test_anything_else_is_refused_with_a_remedy(wrong, remedy):
    with pytest.raises(TypeError, match=rf"^Value takes a real number; got .*{remedy}"):
        Value(wrong)


@pytest.mark.parametrize(("wrong", "remedy"), [("3", r"float\(text\)"), ([1.0], "per element")])
def test_a_sequence_times_a_value_is_refused_with_a_remedy(wrong, remedy):
    for product in (lambda: Value(2.0) * wrong, lambda: wrong * Value(2.0)):
        with pytest.raises(TypeError, match=rf"arithmetic with a Value takes a real number; got .*{remedy}"):
            product()
    assert Value(2.0) != wrong


def test_assigning_data_converts_or_refuses_and_then_changes_nothing():
    v = Value(1.0)
    v.data = np.float32(2.5)
    assert type(v.data) is float

    with pytest.raises(TypeError, match=r"Value\.data takes a real number"):
        v.data = v

    assert v.data == 2.5


def test_labels_are_kept():
    assert Value(1.0, "w").label == Value(1.0, label="w").label == "w"


@pytest.mark.parametrize(
    ("expression", "expected", "gradient"),
    [
        (lambda x: x + 2, 5.0, 1.0),
        (lambda x: 2 + x, 5.0, 1.0),
        (lambda x: x - 2, 1.0, 1.0),
        (lambda x: 2 - x, -1.0, -1.0),
        (lambda x: x * 2, 6.0, 2.0),
        (lambda x: 2 * x, 6.0, 2.0),
        (lambda x: x / 2, 1.5, 0.5),
        (lambda x: 6 / x, 2.0, -2 / 3),
        (lambda x: x**2, 9.0, 6.0),
        (lambda x: 2**x, 8.0, 8 * math.log(2)),
        (lambda x: x % 2, 1.0, 1.0),
        (lambda x: 7 % x, 1.0, -2.0),
        (lambda x: x // 2, 1.0, 0.0),
        (lambda x: 7 // x, 2.0, 0.0),
        (lambda x: divmod(x, 2)[1], 1.0, 1.0),
        (lambda x: divmod(7, x)[0], 2.0, 0.0),
        (lambda x: -x, -3.0, -1.0),
        (lambda x: +x, 3.0, 1.0),
        (lambda x: abs(-x), 3.0, 1.0),
        (lambda x: round(x * 1.1), 3.0, 0.0),
        (lambda x: round(x * 1.1111, 2), 3.33, 0.0),
        (lambda x: math.floor(x * 1.1), 3.0, 0.0),
        (lambda x: math.ceil(x * 1.1), 4.0, 0.0),
        (lambda x: math.trunc(x * 1.1), 3.0, 0.0),
    ],
)
def test_python_operators(expression, expected, gradient):
    x = Value(3.0)

    y = expression(x)
    y.backward()

    assert type(y) is Value
    assert y.data == pytest.approx(expected)
    assert x.grad == pytest.approx(gradient)


@given(x=finite, y=finite)
def test_written_out_add_and_mul_equal_their_rows(x, y):
    for written_out, row in [(Value.__add__, ops.add), (Value.__mul__, ops.mul)]:
        a, b, c, d = Value(x), Value(y), Value(x), Value(y)
        fast, general = written_out(a, b), Value.apply_op(row, (c, d))
        fast.backward()
        partials = [partial(x, y, general.data) for partial in row.partials]

        assert (fast.data, fast.op) == (general.data, general.op)
        assert (fast.grad, fast.label) == (1.0, "")
        assert fast.operands[0] is a
        assert fast.operands[1] is b
        assert [a.grad, b.grad] == partials


@given(x=finite, y=finite)
def test_comparisons_compare_the_numbers(x, y):
    a, b = Value(x), Value(y)

    assert [bool(v) for v in (a < b, a <= b, a > b, a >= b, a == b, a != b)] == [
        x < y,
        x <= y,
        x > y,
        x >= y,
        x == y,
        x != y,
    ]
    assert bool(a < y) == (x < y)
    assert bool(x < b) == (x < y)


def test_values_sort_and_have_a_maximum():
    values = [Value(3.0), Value(1.0), Value(2.0)]

    assert [v.data for v in sorted(values)] == [1.0, 2.0, 3.0]
    assert max(values) is values[0]


def test_comparison_with_something_that_is_not_a_number():
    assert (Value(1.0) == "1") is False
    assert (Value(1.0) != None) is True  # noqa: E711  # what `!=` does is the point
    with pytest.raises(TypeError):
        _ = Value(1.0) < "1"


def test_hash_is_by_identity():
    a, b = Value(1.0), Value(1.0)

    assert hash(a) != hash(b)
    assert {a: "a", b: "b"}[a] == "a"


@pytest.mark.parametrize(
    "conversion",
    [float, int, complex, math.exp, math.sqrt, lambda v: math.fsum([v]), lambda v: statistics.fmean([v])],
)
def test_silent_loss_of_the_gradient_is_refused(conversion):
    with pytest.raises(TypeError, match=r"lose the gradient .*value\.data"):
        conversion(Value(2.0))


def test_a_value_cannot_be_an_index():
    with pytest.raises(TypeError):
        [1, 2, 3][Value(1.0)]


def test_formatting_is_that_of_the_number():
    v = Value(1234.5678, label="x")

    assert f"{v:.2f}" == "1234.57"
    assert f"{v:>10,.1f}" == "   1,234.6"
    assert f"{v}" == str(v) == repr(v) == "Value(data=1234.5678, grad=0.0, label='x')"


def test_unknown_operand_is_left_to_the_other_side():
    class Other:
        def __radd__(self, other):
            return "other"

    assert Value(1.0) + Other() == "other"
    with pytest.raises(TypeError):
        Value(1.0) + "1"
    with pytest.raises(TypeError):
        Value(1.0) ** None


def test_literals_are_constants_and_get_no_gradient():
    x = Value(3.0)

    y = x * 2.0
    y.backward()

    literal = y.operands[1]
    assert (literal.op, literal.data, literal.grad) == (ops.constant, 2.0, 0.0)


def test_methods_are_derived_from_the_table():
    for op in map(ops.TABLE.get, {*ops.TABLE} & {*ng.__all__}):
        if op.arity == 1:
            x = op.domain[0][0] * 0.5 + op.domain[0][1] * 0.5
            assert getattr(Value(x), op.name)().op is op


def test_backward_on_a_leaf_seeds_it():
    x = Value(3.0)

    x.backward()
    x.backward()

    assert x.grad == 2.0


def test_interior_gradients_are_those_of_the_last_call():
    x = Value(2.0)
    shared = x * x
    first, second = shared * 3.0, shared * 5.0

    first.backward()
    second.backward()

    assert shared.grad == 5.0
    assert x.grad == 4.0 * 8.0


def test_interior_gradient_of_a_branch_without_influence_is_zero():
    x = Value(-1.0)
    root = ng.sqrt(x)
    y = ng.where(x > 0, root, x)
    root.grad = 17.0

    y.backward()

    assert (root.grad, x.grad) == (0.0, 1.0)


def test_seed_is_checked():
    with pytest.raises(TypeError, match="backward takes a real number"):
        Value(1.0).backward("1")


def test_untaken_singular_branches_contribute_nothing():
    for singular in [
        ng.sqrt,
        ng.log,
        lambda x: 1 / x,
        lambda x: x**0.5,
        lambda x: ng.norm([x, x]),
        lambda x: x**-1.5,
    ]:
        for at in (0.0, -1.0):
            x = Value(at)
            ng.where(x > 0, singular(x), 0.0).backward()

            assert x.grad == 0.0


def test_sum_of_a_hundred_thousand_values():
    values = [Value(1.0) for _ in range(100_000)]

    total = sum(values)
    total.backward()

    assert total.data == 100_000.0
    assert all(v.grad == 1.0 for v in values)


def test_dropping_the_output_frees_the_graph_without_the_collector():
    x = Value(1.0)
    gc.collect()
    gc.disable()
    try:
        y = (x * x + ng.exp(x)).tanh()
        y.backward()
        interior = weakref.ref(y.operands[0])
        del y

        assert interior() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_recorded_operation_takes_less_than_300_bytes():
    x = y = Value(1.5)
    tracemalloc.start()
    try:
        for _ in range(5_000):
            y = (y + x) * x
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held / 10_000 < 300


@pytest.mark.parametrize("zero", [None, 0, 0.0])
def test_a_gradient_may_be_reset_to_none_as_in_pytorch(zero):
    x = Value(3.0)
    x.grad = zero

    (x * x).backward()

    assert type(x.grad) is float
    assert x.grad == 6.0


def test_leaves_copy_and_pickle():
    v = Value(1.5, label="w")
    v.grad = 2.0

    for twin in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert twin is not v
        assert (twin.data, twin.grad, twin.label, twin.op) == (1.5, 2.0, "w", None)


def test_pickling_a_recorded_graph_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match="Pickle the leaves"):
        pickle.dumps(Value(1.0) + 1.0)


@dataclasses.dataclass
class Weights:
    w: object
    b: object


COPIES = [
    copy.copy,
    copy.deepcopy,
    lambda p: dataclasses.replace(p, w=p.w),
    lambda p: Weights(**dataclasses.asdict(p)),
    lambda p: Weights(*dataclasses.astuple(p)),
    lambda p: Weights(**copy.deepcopy({"w": p.w, "b": [p.b]}) | {"b": copy.copy(p.b)}),
]


@pytest.mark.parametrize("duplicate", COPIES)
@pytest.mark.parametrize("made", [lambda x: x, lambda x: x * 1.0, ng.tanh], ids=["leaf", "mul", "tanh"])
def test_copies_made_inside_a_function_keep_its_derivatives(duplicate, made):
    def f(x, y):
        p = duplicate(Weights(made(x), made(y)))
        return p.w * p.w * p.b

    expected = ng.grad(lambda x, y: made(x) ** 2 * made(y), (0, 1))(0.5, 0.25)

    assert ng.grad(f, (0, 1))(0.5, 0.25) == pytest.approx(expected)
    assert ng.compile(ng.grad(f, (0, 1)))(0.5, 0.25) == pytest.approx(expected)
    assert ng.jvp(f, (0.5, 0.25), (1.0, 0.0))[1] == pytest.approx(expected[0])
    assert ng.grad(lambda x: ng.grad(f)(x, 0.25))(0.5) == pytest.approx(
        ng.grad(lambda x: ng.grad(lambda x, y: made(x) ** 2 * made(y))(x, 0.25))(0.5)
    )


def test_a_copy_of_a_result_is_the_result_itself():
    y = Value(1.0) + 1.0

    assert copy.copy(y) is copy.deepcopy(y) is y
    assert copy.deepcopy([y, {"y": y}]) == [y, {"y": y}]


def test_a_pickle_of_a_differentiated_argument_is_refused():
    with pytest.raises(TypeError, match="made by a transform cannot be pickled"):
        ng.grad(lambda x: pickle.loads(pickle.dumps(x)) ** 2)(3.0)


def test_a_zero_of_the_other_sign_is_another_number():
    w = Value(0.0)
    inverse = ng.compile(lambda x: x / w)
    assert inverse(1.0) == math.inf
    w.data = -0.0
    assert math.copysign(1.0, w.data) == -1.0
    assert inverse(1.0) == -math.inf
    out = 1.0 / w
    w.data = 0.0
    with pytest.raises(RuntimeError, match="changed after"):
        out.backward()


def test_the_number_of_a_differentiated_argument_is_not_assigned():
    def f(x):
        x.data = 1.0
        return x * x

    with pytest.raises(TypeError, match="argument of a function that is differentiated"):
        ng.grad(f)(3.0)


# Numbers that change between forward and backward.


def test_backward_after_a_leaf_changed_names_it_and_changes_no_gradient():
    w = Value(3.0, label="weight")
    a, b = w * w, w * w * w
    a.backward()
    w.data -= 0.1 * w.grad

    with pytest.raises(RuntimeError, match=r"data of 'weight' changed after mul was computed"):
        b.backward()

    assert w.grad == 6.0


@pytest.mark.parametrize(
    "build",
    [
        lambda w, x: w * x,
        lambda w, x: (x + 1.0) * w.exp(),
        lambda w, x: ng.dot([w, x, x], [x, x, w]),
        lambda w, x: ng.where(x > w, w, x),
        lambda w, x: ng.sum([w, x, w]).tanh() * 2.0,
        lambda w, x: -w,
    ],
)
def test_values_made_from_a_changed_leaf_are_refused(build):
    w, x = Value(3.0), Value(2.0)
    y = build(w, x)
    w.data = 4.0

    with pytest.raises(RuntimeError, match=r"data of a Value that is now 4\.0 changed"):
        y.backward()
    with pytest.raises(RuntimeError, match="changed after"):
        ng.grad(lambda: y * 1.0, wrt=w)()


def test_an_interior_number_that_was_assigned_is_refused_too():
    x = Value(3.0)
    square = x * x
    cube = square * x
    square.data = 10.0

    with pytest.raises(RuntimeError, match="changed after mul"):
        cube.backward()


def test_numbers_assigned_before_use_or_to_other_leaves_do_no_harm():
    w, other = Value(3.0), Value(1.0)
    w.data = 2.0
    y = w * w
    other.data = 7.0
    z = y * other
    y_again = y * 1.0
    w.data = 2.0  # the number it has

    for out in (y, z, y_again):
        out.backward()

    assert (w.grad, other.grad) == (4.0 + 4.0 * 7.0 + 4.0, 4.0)


def test_a_leaf_that_changes_inside_a_differentiated_function_is_refused():
    w = Value(2.0)

    def f(x):
        y = w * x
        w.data = 3.0
        return y * w

    with pytest.raises(RuntimeError, match="changed after mul"):
        ng.grad(f)(5.0)
    w.data = 2.0
    with pytest.raises(RuntimeError, match="changed after mul"):
        ng.jvp(f, (5.0,), (1.0,))


def test_interrupted_sweeps_leave_the_gradients_of_leaves_alone():
    def interrupted(x, out):
        raise KeyboardInterrupt

    x = Value(1.0)
    x.grad = 5.0
    bad = ng.ops.Op("bad", "bad", lambda x: x, (interrupted,), ((0.0, 1.0),))
    y = bad(x * 2.0) + x

    with pytest.raises(KeyboardInterrupt):
        y.backward()

    assert x.grad == 5.0


def test_threads_that_share_leaves_add_up_their_gradients():
    x = Value(1.0)

    def work():
        for _ in range(200):
            y = x
            for _ in range(20):
                y = y + x
            y.backward()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()

    assert x.grad == 8 * 200 * 21.0


def test_gradients_are_added_while_no_other_thread_sweeps(monkeypatch):
    swept, added = threading.Event(), threading.Event()

    class Slow(Value):
        """A leaf that stops the thread that reads its adjoint."""

        @property
        def _grad(self):
            if Value._grad.__get__(self):
                swept.set()
                added.wait(5.0)
            return Value._grad.__get__(self)

        @_grad.setter
        def _grad(self, number):
            Value._grad.__set__(self, number)

    x = Value(1.0)
    thread = threading.Thread(target=(x + Slow(2.0)).backward)
    true = ng.value.check_unchanged

    def interrupted(nodes):
        monkeypatch.setattr(ng.value, "check_unchanged", true)
        thread.start()
        swept.wait(0.2)

    monkeypatch.setattr(ng.value, "check_unchanged", interrupted)
    (x * 3.0).backward()
    added.set()
    thread.join()

    assert x.grad == 4.0


def test_gradients_are_floats_whatever_is_assigned():
    x = Value(1.0)
    for assigned, kept in [(None, 0.0), (2, 2.0), (np.float64(3.0), 3.0), (0, 0.0)]:
        x.grad = assigned

        assert type(x.grad) is float
        assert x.grad == kept

    with pytest.raises(TypeError, match=r"Value\.grad takes a real number"):
        x.grad = "1"


def test_values_have_no_dict():
    with pytest.raises(AttributeError):
        Value(1.0).colour = "red"


def test_micrograd_names_for_operands_and_operations():
    x, y = Value(1.0), Value(2.0)

    assert (x + y)._prev == {x, y}
    assert (x._op, (x + y)._op, (x * y)._op, (x**3)._op, x.relu()._op) == ("", "+", "*", "**3", "ReLU")


def test_micrograd_single_backward_step():
    x, y = Value(3.0), Value(4.0)
    z = x * y
    z.grad = 2.0

    z._backward()

    assert (x.grad, y.grad) == (8.0, 6.0)


class Notes:
    def __init__(self):
        self.seen = []

    def made(self, node):
        self.seen.append(("made", node.op.name))

    def decided(self, node, answer):
        self.seen.append(("decided", node.op.name, answer))

    def read(self, node, how):
        self.seen.append((how, node._data))


def test_observer_is_told_of_values_made_branches_taken_and_numbers_read():
    notes = Notes()
    x = Value(2.0)

    with listen(notes):
        y = (x + 1) * x
        if y > 3:
            _ = y.data
    _ = x + x

    assert notes.seen == [
        ("made", "add"),
        ("made", "mul"),
        ("made", "gt"),
        ("decided", "gt", True),
        ("reads .data", 6.0),
    ]


def test_many_pairs_are_recorded_like_one_pair_each():
    notes, pairs = Notes(), [(Value(2.0), Value(3.0)), (Value(0.0), Value(math.inf))]
    product = ops.TABLE["strong_mul"]

    with listen(notes):
        Value.apply_pairs(product, pairs)
    made = Value.apply_pairs(product, pairs)

    singly = [Value.apply_op(product, pair) for pair in pairs]
    for name in ("_data", "_first", "_second", "_grad", "_time", "label", "op"):
        assert [getattr(x, name) for x in made] == [getattr(x, name) for x in singly]
    assert notes.seen == [("made", "strong_mul")] * 2


@pytest.mark.parametrize(
    ("look", "how"),
    [
        (str, "makes text"),
        (lambda v: f"{v:.2f}", "makes text"),
        (lambda v: "{}".format(v), "makes text"),  # noqa: UP032
        (pickle.dumps, "pickles"),
        (lambda v: setattr(v, "data", 1.0), "assigns .data"),
        (lambda v: v.backward(), "calls backward"),
    ],
)
def test_observer_is_told_whatever_the_way_a_number_is_looked_at(look, how):
    notes = Notes()

    with listen(notes):
        look(Value(2.0))

    assert how in notes.seen[0][0]


def test_several_observers_hear_everything_and_leave_in_any_order():
    first, second = Notes(), Notes()
    ours, theirs = listen(first), listen(second)

    ours.__enter__()
    theirs.__enter__()
    _ = Value(1.0) + 1.0
    ours.__exit__(None, None, None)
    _ = Value(1.0) * 2.0
    theirs.__exit__(None, None, None)

    assert first.seen == [("made", "add")]
    assert second.seen == [("made", "add"), ("made", "mul")]
    assert listeners.all == ()


def test_new_nodes_have_gradient_zero():
    x = Value(2.0)

    for node in (x, x + 1.0, x * 3.0, x**2.0, -x, x < 1.0, (x + 1.0).operands[1]):
        assert node.grad == 0.0
        assert node.label == ""


def test_interior_gradient_of_a_value_that_is_only_compared_is_zero():
    x = Value(2.0)
    compared = x * 2.0
    compared.grad = 17.0

    ng.where(compared > 1.0, x, 0.0).backward()

    assert (compared.grad, x.grad) == (0.0, 1.0)


def test_divmod_with_a_number_on_either_side():
    assert [v.data for v in divmod(Value(7.0), 3.0)] == [2.0, 1.0]
    assert [v.data for v in divmod(7.0, Value(3.0))] == [2.0, 1.0]
    assert [v.data for v in divmod(-7.0, Value(3.0))] == [-3.0, 2.0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_operations_take_as_many_operands_as_they_have(count):
    with pytest.raises(TypeError, match=f"add takes 2 operands; got {count}"):
        Value.apply_op(ops.add, (Value(1.0),) * count)


@pytest.mark.parametrize("number", [1.0, -1.0, 1e-300, math.inf, -math.inf, math.nan])
def test_every_number_but_zero_is_true(number):
    assert Value(number)
    assert not Value(0.0)
    assert not Value(-0.0)


# Conditions.


def test_comparisons_combine_as_numpys_do():
    for number in (-1.0, 0.5, 2.0):
        x, array = Value(number), np.array([number])

        for combine in (
            lambda v: (v > 0) & (v < 1),
            lambda v: (v < 0) | (v > 1),
            lambda v: ~(v > 0),
            lambda v: ~((v > 0) & ~(v > 1)) | (v == 0.5),
            lambda v: (v > 0) & np.bool_(True) | np.bool_(False),
            lambda v: (v > 0) ^ (v > 1),
            lambda v: np.bool_(True) ^ (v > 1),
        ):
            assert combine(x).data == float(combine(array)[0])
            assert ng.compile(combine)(number) == float(combine(array)[0])
    assert (True & (x > 0)).data == (np.bool_(True) & (x > 0)).data == (False | (x > 0)).data == 1.0


def test_combined_comparisons_select_and_have_no_derivative():
    band = lambda x: ng.where((x > 0) & (x < 1), ng.sqrt(x), 0.0)  # noqa: E731

    assert [ng.grad(band)(x) for x in (-1.0, 0.25, 2.0)] == [0.0, 1.0, 0.0]
    assert ng.compile(ng.grad(band)).map([-1.0, 0.25, 2.0]).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "combine",
    [
        *(lambda x: x & 1, lambda x: 0 | x, lambda x: ~x, lambda x: (x > 0) & 2.0),
        lambda x: x ^ 2,
        lambda x: 2 ^ x,
    ],
)
def test_numbers_are_not_conditions(combine):
    with pytest.raises(
        TypeError, match=r"comparisons, each in brackets: \(x > 0\) & .*; a power is x\*\*2\. Got"
    ):
        combine(Value(0.5))


# Subclasses.


class Weight(Value):
    """A Value of the user's own kind."""


@pytest.mark.parametrize(
    "f",
    [
        *(lambda p: p - 1, lambda p: 1 - p, lambda p: p * 3, lambda p: 3 * p, lambda p: p**2, lambda p: 2**p),
        *(
            lambda p: p / p,
            lambda p: p % 2,
            lambda p: p // 1,
            lambda p: -p,
            lambda p: abs(p),
            lambda p: p > 1,
        ),
        *(lambda p: p.exp(), lambda p: ng.exp(p), lambda p: ng.dot([p], [p]), lambda p: ng.sum([p, p])),
        *(lambda p: ng.where(p > 1, p, 0.0), lambda p: ng.softmax([p, 1.0])[0], lambda p: round(p * 1.1, 1)),
        *(lambda p: np.exp(p), lambda p: np.float64(2) * p, lambda p: Value(2.0) + p, lambda p: p),
    ],
)
def test_a_subclass_works_wherever_a_value_does(f):
    value, weight = Value(1.5), Weight(1.5)
    for x in (value, weight):
        (f(x) * 1.0).backward()

    assert f(weight).data == f(value).data
    assert weight.grad == value.grad
    assert ng.grad(lambda x: f(x) * x)(weight).data == ng.grad(lambda x: f(x) * x)(1.5)
    assert ng.compile(lambda x: f(weight) * x)(2.0) == 2.0 * f(value).data
    assert ng.compile(lambda x: [f(Weight(1.5)), x])(2.0) == [f(value).data, 2.0]


@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [
        (lambda: int(Value(1.0)), r"^int\(\) in .*value\.data"),
        (lambda: complex(Value(1.0)), r"^complex\(\) in .*value\.data"),
        (
            lambda: np.array([Value(1.0)]).astype(float),
            "closes over Values.*compiled function returns floats",
        ),
        (lambda: ng.sum(Value(1.0), Value(2.0)), r"one sequence: sum\(\[a, b\]\)"),
        (lambda: ng.mean(1.0, 2.0), r"one sequence: mean\(\[a, b\]\)"),
        (lambda: ng.softmax(1.0, 2.0), r"one sequence: softmax\(\[a, b\]\)"),
        (
            lambda: ng.nn.MLP(2, [1])([[1.0, 2.0], [3.0, 4.0]]),
            r"one sample.*nodegrad\.compile\(model\)\.map\(X\)",
        ),
        (lambda: ng.nn.Layer(2, 3)(np.ones((5, 2))), r"one sample; got 5 rows"),
        (lambda: ng.compile(lambda x, y: x * y).map([1.0, 2.0], 3.0), "shared="),
    ],
)
def test_errors_say_what_to_write(mistake, remedy):
    with pytest.raises((TypeError, ValueError), match=remedy):
        mistake()


def test_a_tensor_of_pytorch_is_refused_with_the_remedy():
    torch = pytest.importorskip("torch")

    with pytest.raises(TypeError, match=r"Use tensor\.item\(\)"):
        Value(1.0) + torch.tensor(2.0)
    with pytest.raises(TypeError, match=r"Use tensor\.item\(\)"):
        ng.sin(torch.tensor(2.0)) + Value(torch.tensor(1.0))


def test_an_array_of_jax_is_refused_with_the_remedy():
    jnp = pytest.importorskip("jax.numpy")

    for mistake in (lambda: Value(1.0) + jnp.array(2.0), lambda: jnp.ones(3) * Value(1.0)):
        with pytest.raises(TypeError, match=r"Use array\.item\(\)"):
            mistake()


def test_divmod_takes_numpys_numbers_and_arrays():
    for x, y in [(np.float64(7.0), Value(2.0)), (Value(7.0), np.float64(2.0)), (np.int64(7), Value(2.0))]:
        assert divmod(x, y) == (3.0, 1.0)
    quotients, remainders = divmod(np.array([7.0, -7.0]), Value(2.0))

    assert (quotients.tolist(), remainders.tolist()) == ([3.0, -4.0], [1.0, 1.0])


def test_numbers_written_at_once_are_new_to_what_was_computed_before():
    changed, same = Value(1.0), Value(0.0)
    before, kept = changed * 2.0, same * 2.0

    write([changed, same], [-0.0, 0.0])

    assert math.copysign(1.0, changed.data) == -1.0
    kept.backward()
    with pytest.raises(RuntimeError, match="changed after mul was computed"):
        before.backward()


def test_who_listens_hears_that_numbers_are_written():
    heard = []

    class Listener:
        def read(self, node, how):
            heard.append(how)

    with listen(Listener()):
        write([Value(1.0), Value(2.0)], [3.0, 4.0])

    assert heard == ["assigns .data"]


def test_numbers_are_not_written_at_once_into_arguments_of_a_function():
    def stepped(x):
        write([x], [2.0])
        return x

    with pytest.raises(TypeError, match="cannot be assigned on an argument"):
        ng.grad(stepped)(1.0)


class Tagged(Value):
    def __init__(self, number, tag):
        super().__init__(number, "tagged")
        self.tag = tag


class Slotted(Value):
    __slots__ = ("tag",)

    def __init__(self, number, tag):
        super().__init__(number, "slotted")
        self.tag = tag


@pytest.mark.parametrize("kind", [Tagged, Slotted])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_subclass_has_its_class_and_attributes(kind, copied):
    x = kind(3.0, ["tag", Value(2.0)])
    x.grad = 5.0

    found = copied(x)

    assert type(found) is kind
    assert found is not x
    assert (found.data, found.grad, found.label, found.tag[0]) == (3.0, 5.0, x.label, "tag")
    assert (found.tag is x.tag) is (copied is copy.copy)


def test_a_deep_copy_of_a_subclass_keeps_what_refers_to_itself():
    x = Tagged(3.0, None)
    x.tag = [x]

    first, second = copy.deepcopy([x, x])

    assert first is second is first.tag[0]


@pytest.mark.parametrize("kind", [Tagged, Slotted])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_module_keeps_the_class_of_its_parameters(kind, copied):
    model = ng.nn.Neuron(2, seed=0)
    model.b = kind(1.0, "tag")

    found = copied(model)

    assert type(found.b) is kind
    assert found.b.tag == "tag"
    assert found.state_dict() == model.state_dict()


def test_a_copy_of_what_a_subclass_computed_is_the_value_itself():
    x = Tagged(3.0, None) * 2.0

    assert copy.copy(x) is copy.deepcopy(x) is x
