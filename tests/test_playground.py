"""What the playground takes and refuses; tests/browser/test_playground_page.py sees it work."""

import pytest

import nodegrad as ng
from nodegrad import playground

X, Y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [1.0, 1.0, 0.0, 0.0]


def test_page_is_one_file_that_asks_for_nothing():
    page = playground(ng.nn.MLP(2, [3, 1], seed=1), X, Y).html

    assert "default-src 'none'" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(page) < 300_000


def test_docstring_of_a_loss_is_not_written_into_the_page():
    def loss(prediction, target):
        """Compute </script><script>hacked = 1</script>."""
        return (prediction - target) ** 2

    assert "hacked" not in playground(ng.nn.MLP(2, [2, 1], seed=1), X, Y, loss=loss).html


def test_model_keeps_its_numbers():
    model = ng.nn.MLP(2, [3, 1], seed=1)
    before = [(p.data, p.grad, p.label) for p in model.parameters()]

    playground(model, X, Y)

    assert [(p.data, p.grad, p.label) for p in model.parameters()] == before


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        ((ng.nn.MLP, X, Y), {}, TypeError, "takes a model made by nodegrad.nn.MLP; got <class"),
        ((lambda x: x, X, Y), {}, TypeError, "takes a model made by nodegrad.nn.MLP; got <function"),
        ((ng.nn.MLP(2, [3, 2]), X, Y), {}, ValueError, "a model of one output; this one has 2"),
        (
            (ng.nn.MLP(2, [40, 40, 1]), X, Y),
            {},
            ValueError,
            "up to 1,000 rows and parameters; got 4 and 1,801",
        ),
        ((ng.nn.MLP(2, [1]), X, Y, "mse2"), {}, ValueError, "takes loss from mean_squared_error"),
        ((ng.nn.MLP(2, [1]), X, Y), {"optimizer": "newton"}, ValueError, "takes optimizer from sgd, adam"),
        ((ng.nn.MLP(2, [1]), X, Y), {"inputs": (0, 2)}, ValueError, "inputs are two of the 2 inputs"),
        ((ng.nn.MLP(2, [1]), X, Y), {"inputs": (0,)}, ValueError, "inputs are two of the 2 inputs"),
        ((ng.nn.MLP(2, [1]), X, Y), {"inputs": 3}, TypeError, "takes inputs as two numbers of inputs; got 3"),
        ((ng.nn.MLP(2, [1]), X, Y), {"inputs": (0, 1.5)}, ValueError, "each of inputs as a whole number"),
        ((ng.nn.MLP(2, [1]), X, Y), {"title": None}, TypeError, "takes title as a text; got None"),
        ((ng.nn.MLP(2, [1]), X, Y), {"title": 3}, TypeError, "takes title as a text; got 3"),
        ((ng.nn.MLP(2, [1]), X, [[1.0, 0.0]] * 4), {}, ValueError, "y as one number for each row; got 2"),
        ((ng.nn.MLP(2, [1]), X, Y), {"loss": "hinge"}, ValueError, "-1 or 1"),
        ((ng.nn.MLP(2, [1]), X, Y), {"loss": lambda p, t: ng.Value(1.0)}, ValueError, "on none of the"),
        ((ng.nn.MLP(2, [1]), X, Y), {"loss": lambda p, t: 1.0}, TypeError, "one Value that depends"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, options, error, says):
    with pytest.raises(error, match=says):
        playground(*arguments, **options)


def test_arrays_say_what_lists_say():
    np = pytest.importorskip("numpy")
    model = ng.nn.MLP(2, [3, 1], seed=1)

    columns = [np.array([[target] for target in Y]), [[target] for target in Y]]
    pages = [playground(model, X, y, inputs=shown) for y in columns for shown in ([0, 1], np.array([0, 1]))]

    assert {page.html for page in pages} == {playground(model, X, Y).html}


def test_a_rule_that_does_not_start_from_zeros_is_refused():
    class Cautious(ng.optim.Optimizer):
        @staticmethod
        def update(parameter, gradient, state, learning_rate):
            (scale,) = state or (0.5,)
            return parameter - learning_rate * scale * gradient, (1.0,)

    model = ng.nn.MLP(2, [3, 1], seed=1)
    with pytest.raises(ValueError, match="the first step of Cautious differs from one with a state of zeros"):
        playground(model, X, Y, optimizer=Cautious(model.parameters(), 0.1))


def test_optimizers_of_other_or_grouped_parameters_are_refused():
    model = ng.nn.MLP(2, [3, 1], seed=1)
    other = ng.nn.MLP(2, [3, 1], seed=1)
    groups = [
        {"parameters": layer.parameters(), "lr": 0.1 / (1 + at)} for at, layer in enumerate(model.layers)
    ]
    for parameters in (other.parameters(), model.layers[1].parameters(), groups):
        with pytest.raises(ValueError, match="all the model's parameters, in one group"):
            playground(model, X, Y, optimizer=ng.optim.SGD(parameters))
    model.layers[0].freeze()
    with pytest.raises(ValueError, match="some are frozen"):
        playground(model, X, Y)
