"""Checks of what comes in: one grammar of refusals, in every place that refuses."""

import math

import numpy as np
import numpy.ma as ma
import pytest

import nodegrad as ng
from nodegrad.inputs import as_array, as_list, flag, in_range, one_of, whole


@pytest.mark.parametrize("given", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_of_any_kind_come_out_as_ints(given):
    assert type(whole("f", "n", given)) is int
    assert whole("f", "n", given) == 3


@pytest.mark.parametrize("given", [0, -1, 2.0, 2.5, "3", None, True, [3], math.nan, ng.Value(3.0)])
def test_only_whole_numbers_are_accepted(given):
    with pytest.raises(ValueError, match=r"^f takes n as a whole number of at least 1; got ") as caught:
        whole("f", "n", given)

    assert f"{given!r}" in str(caught.value)


def test_none_is_taken_where_it_is_optional():
    assert whole("f", "n", None, optional=True) is None
    with pytest.raises(ValueError, match="of at least 2, or None; got 1"):
        whole("f", "n", 1, 2, optional=True)


@pytest.mark.parametrize("given", [0, -1.0, math.nan, -math.inf])
def test_what_is_not_positive_is_refused(given):
    with pytest.raises(ValueError, match="^f takes x as a number above 0; got"):
        in_range("f", "x", given)


def test_numbers_in_range_come_out_as_floats():
    assert type(in_range("f", "x", np.float32(2.0))) is float
    with pytest.raises(TypeError, match="f: x takes a real number; got 'a'"):
        in_range("f", "x", "a")


@pytest.mark.parametrize("given", ["c", 1, True, None, np.array([1]), ["a"]])
def test_unknown_names_are_refused_with_those_known_and_the_remedy(given):
    with pytest.raises(ValueError, match="^f takes kind from a, b; got .* Or give a function."):
        one_of("f", "kind", given, ("a", "b"), "Or give a function.")


PLACES = [
    lambda wrong: ng.nn.MLP(wrong, [1]),
    lambda wrong: ng.nn.MLP(2, [wrong]),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], epochs=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], batch_size=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], patience=wrong),
    lambda wrong: ng.data.make_moons(wrong),
    lambda wrong: ng.data.minibatches([1], [1], wrong),
    lambda wrong: ng.optim.cosine(0.1, wrong),
    lambda wrong: ng.compile(ng.sin, max_traces=wrong),
    lambda wrong: ng.compile(ng.sin, threads=wrong),
    lambda wrong: ng.check_grad(ng.sin, 1.0, order=wrong),
    lambda wrong: ng.draw(ng.Value(1.0), limit=wrong),
    lambda wrong: ng.paths(ng.Value(1.0), ng.Value(1.0), wrong),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wrong", [0, -3, 2.5, "3", True])
def test_every_whole_number_is_checked_by_the_same_words(place, wrong):
    with pytest.raises(ValueError, match=r"^\w+ takes \w+ as a whole number of at least 1(, or None)?; got "):
        place(wrong)


CHOICES = [
    lambda wrong: ng.nn.Neuron(1, wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], loss=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], optimizer=wrong),
    lambda wrong: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], metrics=[wrong]),
    lambda wrong: ng.jacobian(ng.sin, mode=wrong),
    lambda wrong: ng.compile(ng.sin).map([1.0], reduce=wrong),
    lambda wrong: ng.draw(ng.Value(1.0), rankdir=wrong),
]


@pytest.mark.parametrize("place", CHOICES)
@pytest.mark.parametrize("wrong", ["nonsense", 3])
def test_every_name_from_a_list_is_checked_by_the_same_words(place, wrong):
    with pytest.raises(ValueError, match=r"^\w+ takes \w+ from .*; got "):
        place(wrong)


def test_a_masked_array_is_refused_wherever_numbers_come_in():
    masked = np.ma.masked_array([[1.0, 2.0]], [[True, False]])

    for take in (as_array, as_list, ng.compile(lambda row: row[0]).map, ng.nn.Neuron(2)):
        with pytest.raises(TypeError, match="without a mask"):
            take(masked)


MASKED = ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
MASKED_ROWS = ma.masked_array([[1.0, 2.0], [2.0, 1.0]], mask=[[False, True], [False, False]])
DOORS = {
    "grad": lambda: ng.grad(ng.sum)(MASKED),
    "value_and_grad": lambda: ng.value_and_grad(ng.sum)(MASKED),
    "jacobian": lambda: ng.jacobian(list)(MASKED),
    "hessian": lambda: ng.hessian(ng.norm)(MASKED),
    "jvp": lambda: ng.jvp(ng.sum, (MASKED,), ([1.0, 1.0, 1.0],)),
    "tangents of jvp": lambda: ng.jvp(ng.sum, ([1.0, 1.0, 1.0],), (MASKED,)),
    "vjp": lambda: ng.vjp(ng.sum, MASKED),
    "adjoints of vjp": lambda: ng.vjp(list, [1.0, 2.0, 3.0])[1](MASKED),
    "hvp": lambda: ng.hvp(ng.norm, (MASKED,), ([1.0, 1.0, 1.0],)),
    "check_grad": lambda: ng.check_grad(ng.norm, MASKED),
    "root": lambda: ng.root(lambda p: p, MASKED),
    "while_loop": lambda: ng.while_loop(lambda p: p[0] < 0, lambda p: p, MASKED),
    "compiled call": lambda: ng.compile(ng.sum)(MASKED),
    "compiled gradient": lambda: ng.compile(ng.grad(ng.sum))(MASKED),
    "map": lambda: ng.compile(ng.exp).map(MASKED),
    "map of rows": lambda: ng.compile(ng.sum).map(MASKED_ROWS),
    "map of a list of rows": lambda: ng.compile(ng.sum).map(list(MASKED_ROWS)),
    "map, shared": lambda: ng.compile(lambda x, p: x * p[0]).map([1.0], MASKED, shared=(1,)),
    "fit": lambda: ng.fit(ng.nn.MLP(2, [1]), MASKED_ROWS, [1.0, 0.0], epochs=1),
    "fit, targets": lambda: ng.fit(ng.nn.MLP(2, [1]), [[1.0, 2.0]] * 3, MASKED, epochs=1),
    "predict": lambda: ng.nn.MLP(2, [1]).predict(MASKED_ROWS),
    "standardize": lambda: ng.data.standardize(MASKED_ROWS),
    "train_test_split": lambda: ng.data.train_test_split(MASKED_ROWS, [1.0, 0.0]),
    "a loss": lambda: ng.nn.mean_squared_error(MASKED, [1.0, 2.0, 3.0]),
    "a masked number": lambda: ng.sum(MASKED),
    "an operation": lambda: ng.exp(MASKED),
    "Value": lambda: ng.Value(MASKED[1]),
}


@pytest.mark.parametrize("door", DOORS)
def test_masked_array_is_refused_with_the_remedy(door):
    with pytest.raises(TypeError, match=r"mask.*array\.filled\(\.\.\.\)"):
        DOORS[door]()


@pytest.mark.parametrize(
    ("given", "meant"),
    [("mse", "mean_squared_error"), ("MAE", "mean_absolute_error"), ("bce", "binary_cross_entropy"),
     ("sparse_categorical_crossentropy", "cross_entropy"), ("binary_crossentropy", "binary_cross_entropy"),
     ("mean_square_error", "mean_squared_error"), ("crossentropy", "cross_entropy"), ("Huber", "huber")],
)  # fmt: skip
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(given, meant):
    with pytest.raises(ValueError, match=rf"got '{given}'\. Write '{meant}'\."):
        one_of("fit", "loss", given, ng.nn.LOSSES)


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ({"validation_data": ([[1.0]], [1.0])}, "Write 'validation'"),
        ({"validation_split": 0.2}, "Write 'validation'"),
        ({"verbose": 1}, "Write 'progress'"),
        ({"epoch": 3}, "Write 'epochs'"),
        ({"learningrate": 0.1}, "Write 'learning_rate'"),
        ({"zzz": 0.1}, r"has no argument 'zzz'\.$"),
        ({"lr": 0.1, "learning_rate": 0.2}, "got both lr and learning_rate"),
    ],
)
def test_fit_says_how_it_spells_an_argument(argument, meant):
    with pytest.raises(TypeError, match=meant):
        ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], **argument)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ng.nn.MLP(2, [2, 1], activation="tahn"), "Write 'tanh'"),
        (lambda: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], metrics="acc"), "Write 'accuracy'"),
        (lambda: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], optimizer="adm"), "Write 'adam'"),
        (
            lambda: ng.fit(ng.nn.MLP(1, [1]), [[1.0]], [1.0], checkpoint_every=2),
            "needs the file of checkpoint=",
        ),
        (lambda: ng.fit(lambda row: row, [[1.0]], [1.0]), "fit: <lambda> has no parameters"),
        (lambda: ng.fit(ng.nn.MLP(1, [1]), [[10**400]], [1.0]), r"X\[0\]\[0\] is inf"),
        (lambda: ng.nn.MLP(2, [1]).predict(np.array([1.0, 2.0])), r"for one row x write predict\(\[x\]\)"),
        (lambda: ng.nn.MLP(2, [1]).predict([1.0] * 100), r"for one row x write predict\(\[x\]\)"),
        (lambda: ng.optim.SGD([ng.Value(1.0)], 0.2, lr=0.1), "SGD got both lr and learning_rate"),
        (
            lambda: ng.optim.SGD([{"params": [ng.Value(1.0)], "lr": 1.0, "learning_rate": 2.0}]),
            "got params, lr",
        ),
    ],
)
def test_what_is_nearly_right_is_answered_with_advice(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_sparse_arrays_are_refused():
    X = pytest.importorskip("scipy.sparse").csr_matrix(np.eye(3))

    for use in (lambda: ng.fit(ng.nn.MLP(3, [1]), X, [1.0] * 3), lambda: ng.nn.MLP(3, [1]).predict(X)):
        with pytest.raises(TypeError, match=r"got a sparse one\. Write array\.toarray\(\)"):
            use()


@pytest.mark.parametrize("given", ["zzz", 3, None, ""])
def test_a_name_that_is_near_none_is_answered_without_a_guess(given):
    with pytest.raises(ValueError, match=r"got [^.]*\.$"):
        one_of("fit", "loss", given, ng.nn.LOSSES)


@pytest.mark.parametrize("given", [True, False, np.True_, np.False_, 1, 0])
def test_flags_of_any_kind_come_out_as_bools(given):
    assert type(flag("f", "on", given)) is bool
    assert flag("f", "on", given) == given


@pytest.mark.parametrize("given", [2, -1, 1.0, "True", None, [1], math.nan, np.array([True]), ng.Value(1.0)])
def test_only_flags_are_accepted_as_flags(given):
    with pytest.raises(ValueError, match="^f takes on as True or False; got "):
        flag("f", "on", given)
    assert flag("f", "on", None, optional=True) is None
