"""Transforms: derivatives of plain functions, of any structure, any order, and inside one another."""

import math
import pickle
import sys
import time
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import scipy.sparse

import nodegrad as ng
from nodegrad import Value
from nodegrad.transforms import flat
from nodegrad.trees import flatten
from nodegrad.value import number_of

Point = namedtuple("Point", "x y")


# Numbers in, numbers out.


def test_gradient_of_one_number_is_a_float():
    slope = ng.grad(lambda x: x**3)(2)

    assert (slope, type(slope)) == (12.0, float)


def test_value_comes_with_the_gradient():
    assert ng.value_and_grad(lambda x: ng.exp(x) * 2.0)(0.0) == (2.0, 2.0)


def test_derivatives_nest_to_any_order():
    f = ng.sin
    for order in range(1, 9):
        f = ng.grad(f)

        assert f(0.7) == pytest.approx(math.sin(0.7 + order * math.pi / 2), rel=1e-14)


@pytest.mark.parametrize("argnums", [1, -2, (1,), [1, 2]])
def test_argnums_names_the_arguments(argnums):
    found = ng.grad(lambda x, y, z: x * y**2 + z, argnums)(3.0, 5.0, 7.0)

    assert (
        found
        == {1: 30.0, -2: 30.0, (1,): (30.0,), (1, 2): (30.0, 1.0)}[
            argnums if isinstance(argnums, int) else tuple(argnums)
        ]
    )


def test_the_first_argument_is_differentiated_by_default():
    def f(x, y):
        return x**3 * y

    assert ng.grad(f)(2.0, 5.0) == ng.jacobian(f)(2.0, 5.0) == ng.value_and_grad(f)(2.0, 5.0)[1] == 60.0
    assert ng.hessian(f)(2.0, 5.0) == 60.0


def test_every_transform_takes_argnums_by_name():
    def f(x, y):
        return x * y**2

    assert ng.value_and_grad(f, argnums=1)(3.0, 5.0) == (75.0, 30.0)
    assert ng.jacobian(f, argnums=1)(3.0, 5.0) == 30.0
    assert ng.hessian(f, argnums=1)(3.0, 5.0) == 6.0


def test_arguments_not_differentiated_arrive_untouched():
    options = {"deep": object()}

    def f(x, text, *, scale, given):
        assert (text, given) == ("as it is", options)
        return x * scale

    assert ng.grad(f)(2.0, "as it is", scale=4.0, given=options) == 4.0


def test_result_that_does_not_depend_on_the_argument_has_derivative_zero():
    assert ng.value_and_grad(lambda x: 3)(1.0) == (3.0, 0.0)
    assert ng.value_and_grad(lambda x, y: y * y)(1.0, 2.0) == (4.0, 0.0)
    assert ng.jacobian(lambda x, y: [x, 7.0])(1.0, 2.0) == [1.0, 0.0]
    assert ng.jvp(lambda x: 5.0, (1.0,), (1.0,)) == (5.0, 0.0)
    assert ng.vjp(lambda x: 5.0, 1.0)[1](1.0) == (0.0,)


def test_value_functions_keep_their_name_and_docstring():
    def area(radius):
        """Return the area of a disc."""
        return math.pi * radius**2

    for transform in (ng.grad, ng.value_and_grad, ng.jacobian, ng.hessian):
        assert (transform(area).__name__, transform(area).__doc__) == ("area", "Return the area of a disc.")


# Structures.


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ([1.0, 2.0], [2.0, 4.0]),
        ((1.0, [2.0, (3.0,)]), (2.0, [4.0, (6.0,)])),
        ({"a": 1.0, "b": [2.0]}, {"a": 2.0, "b": [4.0]}),
        (Point(1.0, 2.0), Point(2.0, 4.0)),
        (OrderedDict(b=1.0, a=2.0), OrderedDict(b=2.0, a=4.0)),
        ([], []),
    ],
)
def test_gradient_has_the_structure_of_the_argument(tree, expected):
    def sum_of_squares(tree):
        if isinstance(tree, dict):
            tree = list(tree.values())
        return sum(map(sum_of_squares, tree)) if isinstance(tree, list | tuple) else tree * tree

    found = ng.grad(sum_of_squares)(tree)

    assert found == expected
    assert type(found) is type(expected)


def test_value_by_no_numbers_keeps_its_gradient_by_what_is_closed_over():
    w = Value(2.0)

    value, gradient = ng.value_and_grad(lambda x: w * w)([])

    value.backward()
    assert (w.grad, gradient) == (4.0, [])


@pytest.mark.parametrize("given", [2.0, Value(2.0)], ids=["float", "Value"])
@pytest.mark.parametrize(
    "structure",
    [
        lambda x: x,
        lambda x: [x, (x, {"a": x, 1: [x], 2.0: []})],
        lambda x: Point(x, x),
        lambda x: OrderedDict(b=x, a=np.array([[x, x]])),
        lambda x: np.array(x),
    ],
)
@pytest.mark.parametrize("derive", [ng.grad, ng.value_and_grad])
def test_a_gradient_is_taken_apart_as_it_would_be_put_together(derive, structure, given):
    transform, tree = derive(lambda tree: ng.sum([x * x for x in flatten(tree)[0]])), structure(given)

    leaves, spec = flat(transform, [tree])

    built, expected = flatten(transform(tree), result=True)
    assert spec == expected
    assert [*map(number_of, leaves)] == [*map(number_of, built)]


def test_function_sees_the_structure_it_was_given():
    assert ng.grad(lambda p: p.x * p.y)(Point(2.0, 3.0)) == Point(3.0, 2.0)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 2)])
def test_gradient_of_an_array_is_an_array_of_float64(shape):
    x = np.arange(1.0, 1.0 + math.prod(shape)).reshape(shape)

    found = ng.grad(lambda x: (x**3).sum())(x)

    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, 3 * x**2)


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_arrays_of_other_numbers_have_gradients_of_float64(kind):
    found = ng.grad(lambda x: (2.0 * x).sum())(np.ones(2, kind))

    assert (found.dtype, found.tolist()) == (np.float64, [2.0, 2.0])


def test_zero_dimensional_array_is_a_number():
    assert ng.grad(lambda x: x * x)(np.array(3.0)) == 6.0
    assert ng.grad(lambda x: np.array(x * x))(3.0) == 6.0


def test_empty_array_has_an_empty_gradient():
    found = ng.grad(lambda x: ng.sum(x))(np.zeros((0, 2)))

    assert (found.shape, found.dtype) == ((0, 2), np.float64)


def test_jacobian_has_the_argument_in_place_of_each_number_of_the_result():
    found = ng.jacobian(lambda p: {"s": p[0] + p[1], "m": (p[0] * p[1],)})([2.0, 3.0])

    assert found == {"s": [1.0, 1.0], "m": ([3.0, 2.0],)}


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_from_array_to_array_is_an_array_of_both_shapes(mode):
    a = np.arange(6.0).reshape(3, 2)

    found = ng.jacobian(lambda x: a @ x, mode=mode)(np.ones((2, 2)))

    expected = np.einsum("ij,kl->ikjl", a, np.eye(2))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_between_arrays_and_other_structures(mode):
    by_list = ng.jacobian(lambda p: np.array([p[0] * p[1], p[1]]), mode=mode)([2.0, 3.0])
    of_list = ng.jacobian(lambda x: [x[0] * x[1], x[1]], mode=mode)(np.array([2.0, 3.0]))
    of_number = ng.jacobian(lambda x: x.sum(), mode=mode)(np.array([2.0, 3.0]))

    assert [column.tolist() for column in by_list] == [[3.0, 0.0], [2.0, 1.0]]
    assert [row.tolist() for row in of_list] == [[3.0, 2.0], [0.0, 1.0]]
    assert of_number.tolist() == [1.0, 1.0]


def test_jacobian_by_several_arguments_is_a_tuple():
    assert ng.jacobian(lambda x, y: [x * y, y], (0, 1))(2.0, 3.0) == [(3.0, 2.0), (0.0, 1.0)]


@pytest.fixture
def swept(monkeypatch):
    """Return the list of sweeps done: "reverse" or "forward" for each."""
    sweeps = []
    names = {"reverse_sweep": "reverse", "backpropagate": "reverse", "forward_sweep": "forward"}
    for name, direction in names.items():
        true = getattr(ng.runs, name)

        def counted(*args, direction=direction, true=true, **kwargs):
            sweeps.append(direction)
            return true(*args, **kwargs)

        monkeypatch.setattr(ng.runs, name, counted)
    return sweeps


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: [x, x * x], 3.0, ["forward"]),
        (lambda p: p[0] * p[1], (3.0, 2.0), ["reverse"]),
        (lambda x: x * x, 3.0, ["reverse"]),
        (lambda p: [p[0], p[1]], (3.0, 2.0), ["reverse", "reverse"]),
    ],
)
def test_jacobian_sweeps_in_the_cheaper_direction(swept, f, x, expected):
    ng.jacobian(f)(x)

    assert swept == expected


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobian_sweeps_in_the_direction_asked_for(swept, mode):
    ng.jacobian(lambda p: p[0] * p[1], mode=mode)((3.0, 2.0))
    ng.jacobian(lambda x: [x, x * x], mode=mode)(3.0)

    assert swept == {"reverse": ["reverse"] * 3, "forward": ["forward"] * 3}[mode]


def test_hessian_goes_forward_over_reverse(swept):
    ng.hessian(lambda p: p[0] * p[1])((3.0, 2.0))

    assert swept == ["reverse", "forward", "forward"]


def test_products_with_vectors_take_one_sweep_each(swept):
    ng.jvp(lambda p: [p[0] * p[1]], ([3.0, 2.0],), ([1.0, 1.0],))
    ng.vjp(lambda p: [p[0], p[1]], [3.0, 2.0])[1]([1.0, 1.0])
    ng.hvp(lambda p: p[0] * p[1], ([3.0, 2.0],), ([1.0, 1.0],))

    assert swept == ["forward", "reverse", "reverse", "forward"]


def test_hessian_of_a_dict_is_a_dict_of_dicts():
    found = ng.hessian(lambda p: p["a"] ** 2 * p["b"])({"a": 2.0, "b": 3.0})

    assert found == {"a": {"a": 6.0, "b": 4.0}, "b": {"a": 4.0, "b": 0.0}}


def test_hessian_by_several_arguments_is_a_tuple_of_tuples():
    assert ng.hessian(lambda x, y: x**2 * y, (0, 1))(2.0, 3.0) == ((6.0, 4.0), (4.0, 0.0))


def test_jvp_is_the_jacobian_times_a_vector():
    value, change = ng.jvp(lambda x, p: [x * p["a"], x + p["a"]], (2.0, {"a": 3.0}), (1.0, {"a": 10.0}))

    assert (value, change) == ([6.0, 5.0], [23.0, 11.0])


def test_vjp_is_a_vector_times_the_jacobian_and_may_be_asked_again():
    value, pull_back = ng.vjp(lambda x, y: [x * y, x, x], 2.0, 3.0)

    assert value == [6.0, 2.0, 2.0]
    assert pull_back([1.0, 10.0, 100.0]) == (113.0, 2.0)
    assert pull_back([0.0, 1.0, 0.0]) == (1.0, 0.0)


def test_hvp_is_the_hessian_times_a_vector():
    def f(x):
        return ng.exp(x[0] * x[1]) + ng.sin(x[1] * x[2])

    x, v = np.array([0.3, -0.7, 1.1]), np.array([1.0, 2.0, -0.5])

    (product,) = ng.hvp(f, (x,), (v,))

    np.testing.assert_allclose(product, ng.hessian(f)(x) @ v, rtol=1e-14)


# A derivative inside a derivative, and Values from outside.


def is_float(x, expected):
    """Tell whether x is this number, and a float rather than a Value."""
    return type(x) is float and x == expected


def test_derivative_inside_a_derivative():
    assert is_float(ng.grad(lambda x: x * ng.grad(lambda y: x * y)(2.0))(3.0), 6.0)


def test_perturbations_are_not_confused():
    assert is_float(ng.grad(lambda x: x * ng.grad(lambda y: x + y)(1.0))(1.0), 1.0)
    assert is_float(ng.grad(lambda x: x * ng.grad(lambda y: x)(1.0))(1.0), 0.0)
    assert is_float(ng.grad(lambda x: ng.grad(lambda y: x * y * y)(x))(3.0), 12.0)


def test_perturbations_are_not_confused_going_forward():
    value, change = ng.jvp(lambda x: x * ng.jvp(lambda y: x * y, (2.0,), (1.0,))[1], (3.0,), (1.0,))

    assert is_float(value, 9.0)
    assert is_float(change, 6.0)


def test_mixed_derivatives_of_plain_numbers_are_floats():
    by_x = ng.grad(ng.pow, 0)

    assert is_float(ng.grad(by_x, 1)(2.0, 3.0), 4.0 + 3.0 * 4.0 * math.log(2.0))


def test_tangents_and_adjoints_from_outside_are_differentiated():
    square = ng.grad(lambda t: ng.jvp(lambda x: x * x, (3.0,), (t,))[1])
    product = ng.grad(lambda a: ng.vjp(lambda x: x * x, 3.0)[1](a)[0])

    assert is_float(square(1.0), 6.0)
    assert is_float(product(1.0), 6.0)


def test_vjp_answers_to_floats_and_values_alike():
    _, pull_back = ng.vjp(lambda x, y: x * ng.sin(y) / y, 2.0, 3.0)

    before = pull_back(1.0)
    symbolic = pull_back(Value(1.0))

    assert [x.data for x in symbolic] == list(before)
    assert pull_back(1.0) == before


def test_value_in_value_out():
    x = Value(3.0)

    value, slope = ng.value_and_grad(lambda x: x**3)(x)
    (value * slope).backward()

    assert (value.data, slope.data) == (27.0, 27.0)
    assert x.grad == 5 * 3.0**4 * 3


def test_closed_over_value_is_never_dropped():
    w = Value(5.0)

    slope = ng.grad(lambda x: w * x * x)(3.0)
    slope.backward()

    assert (slope.data, w.grad) == (30.0, 6.0)


@pytest.mark.parametrize("f", [lambda x: 2.0 * x, lambda x: 4.0, lambda x: x])
def test_constant_derivatives_by_a_value_are_values(f):
    value, slope = ng.value_and_grad(f)(Value(3.0))

    assert (type(value), type(slope)) == (Value, Value)


def test_fresh_variables_leave_the_argument_alone():
    x = Value(3.0)

    ng.grad(lambda y: y * y)(x)

    assert (x.grad, x.op, x.operands) == (0.0, None, ())


def test_wrt_differentiates_by_what_the_function_closes_over():
    w, b = Value(2.0), Value(1.0)

    value, slopes = ng.value_and_grad(lambda x: w * w * x + b, wrt={"w": w, "b": [b]})(3.0)

    assert value.data == 13.0
    assert (slopes["w"].data, slopes["b"][0].data) == (12.0, 1.0)
    assert (w.grad, b.grad) == (0.0, 0.0)


def test_wrt_works_to_any_order():
    w = Value(2.0)

    def f(x):
        return w**4 * x

    assert ng.hessian(f, wrt=w)(3.0).data == 12 * 4 * 3.0
    assert ng.grad(ng.grad(ng.grad(f, wrt=w), wrt=w), wrt=w)(3.0).data == 24 * 2 * 3.0
    assert ng.jacobian(lambda x: [w * x, w], wrt=[w])(3.0)[0][0].data == 3.0


def test_wrt_an_interior_value_includes_all_that_passes_through_it():
    w = Value(2.0)
    square = w * w

    found = ng.grad(lambda: square * w, wrt=[w, square])()

    assert [slope.data for slope in found] == [12.0, 2.0]


def test_fast_and_symbolic_sweeps_give_the_same_numbers():
    def f(p):
        a, b, c = p
        inner = ng.tanh(a * b - c / b) + ng.dot([a, b], [c, 0.1]) + ng.maximum(a, b) ** 3
        return inner * ng.exp(-a) + ng.hypot(a, c) - abs(b) + ng.softplus(inner) / 3.0

    numbers = [0.7, -1.3, 2.1]
    by_floats = ng.grad(f)(numbers)
    by_values = ng.grad(f)(list(map(Value, numbers)))

    assert by_floats == [slope.data for slope in by_values]
    assert ng.jacobian(f, mode="forward")(numbers) == [
        slope.data for slope in ng.jacobian(f, mode="forward")(list(map(Value, numbers)))
    ]


# Refusals.


REFUSALS = [
    (
        lambda: ng.value_and_grad(lambda x: np.array([x, x]))(1.0),
        TypeError,
        "returned an array of shape .2,.",
    ),
    (lambda: ng.grad(lambda x: None)(1.0), TypeError, "grad expects .* numbers; this one returned None"),
    (lambda: ng.jacobian(lambda x: [x, "a"])(1.0), TypeError, "jacobian expects .* 'a' of type str"),
    (lambda: ng.grad(Value(1.0)), TypeError, r"grad takes f as a function; got Value.*call its backward\(\)"),
    (lambda: ng.hessian(3.0), TypeError, "hessian takes f as a function; got 3.0 of type float"),
    (lambda: ng.grad(abs)("text"), TypeError, "argument 0 holds 'text' of type str.*wrt="),
    (lambda: ng.grad(lambda x, y: x, 1)(1.0, [2.0, None]), TypeError, "argument 1 holds None"),
    (lambda: ng.grad(abs)(1j), TypeError, "argument 0 holds 1j of type complex"),
    (lambda: ng.grad(abs, argnums=1)(1.0), TypeError, "positional argument 1, but the call has 1"),
    (lambda: ng.grad(abs, argnums=-2)(1.0), TypeError, "positional argument -2, but the call has 1"),
    (lambda: ng.grad(abs, argnums=5)(1.0), TypeError, "positional argument 5, but the call has 1"),
    (lambda: ng.grad(abs, argnums=-5)(1.0), TypeError, "positional argument -5, but the call has 1"),
    (lambda: ng.grad(lambda x: x)(x=1.0), TypeError, "positional argument 0, but the call has 0"),
    (lambda: ng.grad(abs, argnums="0")(1.0), TypeError, "argnums as an int or a sequence of ints; got '0'"),
    (lambda: ng.grad(abs, argnums=None)(1.0), TypeError, "argnums as an int or a sequence of ints; got None"),
    (lambda: ng.grad(abs, argnums=(0, -1))(1.0), ValueError, "each argument once in argnums"),
    (lambda: ng.grad(abs, wrt=[2.0])(1.0), TypeError, "wrt as Values .* got 2.0 of type float.*argnums"),
    (lambda: ng.grad(abs, has_aux="no"), ValueError, "grad takes has_aux as True or False; got 'no'"),
    (lambda: ng.value_and_grad(abs, has_aux=2), ValueError, "value_and_grad takes has_aux as True or False"),
    (lambda: ng.jacobian(abs, sparse="no"), ValueError, "jacobian takes sparse as True or False; got 'no'"),
    (lambda: ng.hessian(abs, sparse=None), ValueError, "hessian takes sparse as True or False; got None"),
    (lambda: ng.jacobian(abs, mode="both"), ValueError, "jacobian takes mode from .*'both'"),
    (lambda: ng.jvp(abs, 1.0, 1.0), TypeError, r"primals as a tuple .* write \(primal,\)"),
    (lambda: ng.jvp(abs, (1.0,), (1.0, 2.0)), ValueError, "jvp takes tangents of 1 numbers; got 2"),
    (lambda: ng.jvp(ng.sum, ([1.0, 2.0],), (1.0,)), ValueError, "jvp takes tangents of 2 numbers; got 1"),
    (lambda: ng.hvp(abs, (1.0,), 1.0), TypeError, r"jvp takes tangents as a tuple .* write \(tangent,\)"),
    (lambda: ng.vjp(abs, 1.0)[1]([1.0, 2.0]), ValueError, "adjoints of 1 numbers; got 2"),
]


def test_argnums_may_be_numbers_of_numpy():
    f = ng.grad(lambda x, y: x * y**2, argnums=np.int64(1))

    assert f(3.0, 5.0) == ng.compile(f)(3.0, 5.0) == 30.0
    assert ng.grad(lambda x, y: x * y**2, argnums=np.arange(2))(3.0, 5.0) == (25.0, 30.0)


@pytest.mark.parametrize("mode", ["reverse", "forward", None])
@pytest.mark.parametrize("empty", [[], np.zeros(0)], ids=["list", "array"])
def test_jacobian_by_no_numbers_has_an_empty_row_per_result(mode, empty):
    found = ng.jacobian(lambda x: [1.0, [2.0, 3.0]], mode=mode)(empty)

    np.testing.assert_equal(found, [empty, [empty, empty]])
    assert np.size(ng.hessian(lambda x: 1.0)(empty)) == 0
    assert ng.jacobian(lambda x: [1.0, 2.0], mode=mode, sparse=True)(empty).shape == (2, 0)


def test_several_results_of_a_function_for_grad_are_refused():
    with pytest.raises(TypeError) as caught:
        ng.grad(lambda x: [x, x, x])(1.0)

    assert str(caught.value) == (
        "grad expects a function that returns one Value; this one returned a list of 3. "
        "Use jacobian for several outputs."
    )


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS)
def test_bad_use_is_refused_with_the_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_errors_of_the_function_reach_the_caller():
    with pytest.raises(KeyError, match="mine"):
        ng.grad(lambda x: {}["mine"])(1.0)


# What transforms return.


def cube(x):
    """Return the third power."""
    return x**3


def cube_and_root(x):
    return x**3, {"root": x, "name": "cube"}


TRANSFORMED = [ng.grad, ng.value_and_grad, ng.jacobian, ng.hessian]


@pytest.mark.parametrize("transform", TRANSFORMED)
def test_transformed_functions_are_pickled_with_their_function(transform):
    made = transform(cube)

    again = pickle.loads(pickle.dumps(made))

    assert again(2.0) == made(2.0)
    assert again.__name__ == "cube"


@pytest.mark.parametrize("transform", TRANSFORMED)
@pytest.mark.parametrize("recorded", [False, True])
def test_compiled_derivatives_are_pickled_with_their_function(transform, recorded):
    compiled = ng.compile(transform(cube))
    if recorded:
        compiled(2.0)

    again = pickle.loads(pickle.dumps(compiled))

    assert again(2.0) == transform(cube)(2.0)
    assert again(-3.0) == transform(cube)(-3.0)


def test_a_transformed_function_in_a_class_is_a_method():
    class Spring:
        stiffness = 3.0

        @ng.grad
        def energy(x):
            return x * x

        def __init__(self):
            self.force = ng.grad(lambda x: 0.5 * self.stiffness * x * x)

        slope = ng.grad(lambda self, x: self.stiffness * x * x, 1)

    assert Spring.energy(3.0) == 6.0
    assert Spring().force(2.0) == 6.0
    assert Spring().slope(2.0) == 12.0


def test_a_transformed_function_says_what_it_is():
    assert repr(ng.grad(cube)) == "<grad of cube>"
    assert repr(ng.hessian(cube)) == "<hessian of cube>"


# Results beside the number.


def test_what_is_returned_beside_the_number_comes_out_as_plain_numbers():
    assert ng.grad(cube_and_root, has_aux=True)(2.0) == (12.0, {"root": 2.0, "name": "cube"})
    value_and_aux, gradient = ng.value_and_grad(cube_and_root, has_aux=True)(2.0)

    assert value_and_aux == (8.0, {"root": 2.0, "name": "cube"})
    assert type(value_and_aux[1]["root"]) is float
    assert gradient == 12.0


def test_what_is_returned_beside_the_number_stays_in_the_record_where_derivatives_do():
    def f(x):
        gradient, aux = ng.grad(lambda y: (x * y * y, x * y), has_aux=True)(3.0)
        return gradient * aux  # 6x·3x

    assert ng.grad(f)(2.0) == 72.0
    assert ng.compile(ng.grad(f))(2.0) == 72.0


def test_compiled_functions_return_what_stands_beside_the_number():
    compiled = ng.compile(ng.value_and_grad(lambda x: (x**3, [x, x * x]), has_aux=True))

    assert compiled(2.0) == ((8.0, [2.0, 4.0]), 12.0)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: [x, x], lambda x: (x, x, x)])
def test_has_aux_expects_a_pair(result):
    with pytest.raises(TypeError, match="has_aux=True expects a function that returns a pair"):
        ng.grad(result, has_aux=True)(2.0)


def test_a_derivative_inside_a_loop_costs_what_its_function_costs():
    def steps(count):
        def run(y0):
            y = y0
            for _ in range(count):
                y = y - 0.01 * ng.grad(lambda z, y=y: z * z * z - y * z)(y)
            return y

        clock = []
        for _ in range(3):
            start = time.process_time()
            ng.grad(run)(0.5)
            clock.append(time.process_time() - start)
        return min(clock)

    assert steps(400) < 8.0 * steps(100)  # 16 times would be quadratic


def test_a_derivative_by_what_is_closed_over_counts_what_was_made_before():
    w = Value(3.0)
    square = w * w

    assert ng.grad(lambda: square * 2.0, wrt=w)().data == 12.0
    assert ng.grad(lambda x: ng.grad(lambda: square * x, wrt=w)(), 0)(5.0).data == 6.0


# Jacobians of many numbers.


def banded(x):
    return [2.0 * x[i - 1] * x[i] + ng.sin(x[i]) for i in range(len(x))]


def through_a_trunk(x):
    hidden = [ng.tanh(ng.dot(x, [0.1 * (i - j) for j in range(len(x))])) for i in range(5)]
    return [ng.dot(hidden, [0.3 * (i + j) for j in range(5)]) * x[i] for i in range(len(x))]


def through_layers(x):
    """Return outputs through sums of which many have the same terms, one has each term twice."""
    hidden = [ng.dot(x, [0.1 * (i + 1) for _ in x]) for i in range(3)] + [ng.dot(x, x), x[3] * ng.sum(x)]
    hidden += [ng.dot([*reversed(x)], x), ng.sum(x[1:]), *[ng.take(x, hidden[0] + by) for by in (0.0, 99.0)]]
    hidden += [ng.tanh(ng.dot(x, [0.2 * (i - j) for j in range(len(x))])) for i in range(3)]
    first, second = [ng.sin(y) for y in x], [ng.cos(y) for y in x]
    both = [y + z for y, z in zip(first, second, strict=True)]
    hidden += [ng.dot(ys, [0.1 * i + 0.2 for i in range(len(x))]) for ys in (second, first, both, both, both)]
    return [ng.dot(hidden, [0.3 * (i + j) for j in range(len(hidden))]) + x[i] for i in range(len(x))]


def along_a_chain(x):
    """Return outputs of which each depends on one number more."""
    found = [ng.sin(x[0])]
    for y in x[1:]:
        found.append(found[-1] * y + ng.maximum(found[len(found) // 2], y))
    return found


def with_an_infinite_partial(x):
    root = ng.sqrt(x[0] - x[0])
    return [root * y for y in x]


@pytest.fixture(params=["arrays", "lists", "parts"])
def vectors(request, monkeypatch, mode):
    """Let sweeps done as one carry arrays, dicts, or few numbers at a time; return the kind of argument."""
    if request.param == "lists":
        monkeypatch.delitem(sys.modules, "numpy")
    if request.param == "parts":
        monkeypatch.setattr(ng.vector_mode, "_ENTRIES", {"reverse": 500, "forward": 4_000}[mode])
    return list if request.param == "lists" else np.array


@pytest.mark.parametrize(
    "f", [banded, through_a_trunk, through_layers, along_a_chain, with_an_infinite_partial]
)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_sweeps_done_as_one_give_what_each_gives_by_itself(monkeypatch, vectors, f, mode):
    x = [0.5 + 0.025 * i for i in range(40)]
    jacobian = ng.jacobian(f, mode=mode)
    together = jacobian(vectors(x))
    monkeypatch.setattr(ng.runs, "_FEW", math.inf)

    each = jacobian(vectors(x))
    monkeypatch.undo()

    np.testing.assert_array_equal(together, each)


@pytest.mark.parametrize(
    "f", [banded, through_a_trunk, through_layers, along_a_chain, with_an_infinite_partial]
)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_sweeps_done_as_one_give_what_is_compiled(f, mode):
    x = np.linspace(0.5, 1.5, 40)
    compiled = ng.compile(ng.jacobian(f, mode=mode), exact=True)(x)

    np.testing.assert_array_equal(ng.jacobian(f, mode=mode)(x), compiled)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_many_sweeps_through_one_trunk_are_done_as_one(swept, vectors, mode):
    x = [0.5 + 0.025 * i for i in range(40)]

    ng.jacobian(through_a_trunk, mode=mode)(vectors(x))

    assert swept == []


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_band_costs_what_its_entries_cost(monkeypatch, mode):
    carried = []
    true = ng.vector_mode._plus

    def counted(vector, partial, term):
        carried.append(len(term))
        return true(vector, partial, term)

    def cost(size):
        carried.clear()
        ng.jacobian(banded, mode=mode)(np.linspace(0.5, 1.5, size))
        return sum(carried)

    monkeypatch.setattr(ng.vector_mode, "_plus", counted)

    assert cost(80) == 2 * cost(40) < 80 * 10


def test_outputs_that_come_twice_or_are_constants_have_their_rows():
    def f(x):
        y = x[0] * x[1]
        return [y, y, 3.0, x[1], x[1]] + [y * i for i in range(10)]

    expected = [[5.0, 4.0]] * 2 + [[0.0, 0.0]] + [[0.0, 1.0]] * 2 + [[5.0 * i, 4.0 * i] for i in range(10)]

    assert ng.jacobian(f, mode="reverse")([4.0, 5.0]) == expected
    assert ng.jacobian(f, mode="forward")([4.0, 5.0]) == expected


# Sparse Jacobians and Hessians.


def arrow(x):
    """Return outputs of which the first depends on all numbers, the others on two."""
    return [ng.sum([y * y for y in x])] + [x[0] * y for y in x[1:]]


def chained(x):
    return ng.sum([100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2 for i in range(len(x) - 1)])


@pytest.mark.parametrize("mode", [None, "reverse", "forward"])
@pytest.mark.parametrize("f", [banded, arrow, lambda x: [x[0], 0.0, x[3]], lambda x: x[1] * x[2]])
@pytest.mark.parametrize("compiled", [False, True])
def test_sparse_jacobians_hold_what_dense_ones_do(f, mode, compiled):
    x = np.linspace(0.5, 1.5, 12)
    dense = np.asarray(ng.jacobian(f)(x)).reshape(-1, 12)
    jacobian = ng.jacobian(f, mode=mode, sparse=True)

    found = (ng.compile(jacobian) if compiled else jacobian)(x)

    assert scipy.sparse.issparse(found)
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-14)


@pytest.mark.parametrize("compiled", [False, True])
def test_sparse_hessians_hold_what_dense_ones_do(compiled):
    x = np.linspace(0.5, 1.5, 12)
    hessian = ng.hessian(chained, sparse=True)

    found = (ng.compile(hessian) if compiled else hessian)(x)

    assert found.nnz == 12 + 2 * 11
    np.testing.assert_allclose(found.toarray(), ng.hessian(chained)(x), rtol=1e-12, atol=1e-12)


def test_the_pattern_is_that_of_the_graph_not_of_the_numbers():
    found = ng.jacobian(lambda x: [x[0] * x[1], x[2] * 1.0, ng.floor(x[0]) + x[2]], sparse=True)(
        [0.0, 0.0, 5.0]
    )

    assert found.nnz == 4
    assert found.indices.tolist() == [0, 1, 2, 2]
    assert found.toarray().tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


def test_inputs_that_share_no_output_share_a_sweep(swept):
    ng.jacobian(banded, mode="forward", sparse=True)([0.5 + 0.1 * i for i in range(7)])

    assert swept == ["forward"] * 3  # of seven inputs, each in two outputs; an odd circle takes three


def test_sparse_results_of_values_stay_in_the_record():
    def f(x):
        return ng.sum(ng.jacobian(banded, sparse=True)(x).entries)

    x = [0.5, 0.7, 0.9]

    expected = ng.grad(lambda x: ng.sum([y for row in ng.jacobian(banded)(x) for y in row]))(x)
    assert ng.grad(f)(x) == pytest.approx(expected)


@pytest.mark.parametrize(
    "transform", [ng.grad, ng.value_and_grad, ng.jacobian, ng.hessian, lambda f: ng.grad(ng.grad(f))]
)
def test_array_without_dimensions_comes_back_as_one_eager_and_compiled(transform):
    function, x = transform(lambda x: x * x * x), np.array(3.0)
    compiled = ng.compile(function)

    for found in (function(x), compiled(x), compiled(x)):
        slope = found[1] if isinstance(found, tuple) else found
        assert type(slope) is np.ndarray
        assert slope.shape == ()
        assert slope == (18.0 if transform not in (ng.grad, ng.value_and_grad, ng.jacobian) else 27.0)


def test_array_without_dimensions_inside_a_structure_comes_back_as_one_compiled():
    gradient = ng.grad(lambda p, y: p["a"] * p["b"][1] * y)
    point = {"a": np.array(3.0), "b": np.array([1.0, 2.0])}

    for found in (gradient(point, np.array(5.0)), ng.compile(gradient)(point, np.array(5.0))):
        assert repr(found) == "{'a': array(10.), 'b': array([ 0., 15.])}"


@pytest.mark.parametrize("adjoint", [1.0, Value(1.0)])
def test_what_vjp_returns_refuses_to_mix_two_points(adjoint):
    w = Value(3.0, label="w")
    _, pull_back = ng.vjp(lambda x: x * w * (w * w), 2.0)
    assert pull_back(adjoint) == (27.0,)

    w.data = 7.0
    with pytest.raises(RuntimeError, match="the data of 'w' changed after mul"):
        pull_back(adjoint)
