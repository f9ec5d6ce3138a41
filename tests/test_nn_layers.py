"""Neurons, layers and perceptrons: outputs, initial weights, names and refusals."""

import math
import random
import statistics

import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.nn import MLP, Dropout, Embedding, Layer, LayerNorm, Neuron, Sequential, activations


def test_neuron_is_its_formula():
    neuron = Neuron(2, activation="tanh", seed=1)
    neuron.b.data = 0.3
    (w1, w2), b = [w.data for w in neuron.w], neuron.b.data

    out = neuron([1.5, -2.0])
    out.backward()

    assert out.data == pytest.approx(math.tanh(1.5 * w1 - 2.0 * w2 + b), rel=1e-15)
    slope = 1 - out.data**2
    assert [p.grad for p in neuron.parameters()] == pytest.approx([1.5 * slope, -2.0 * slope, slope])


@pytest.mark.parametrize("name", sorted(activations()))
def test_every_activation_is_applied_by_name(name):
    neuron = Neuron(1, activation=name, seed=1)
    neuron.w[0].data = 0.7

    out = neuron([0.5])

    expected = 0.35 if name == "linear" else getattr(ng, name)(0.35)
    assert out.data == expected or (math.isnan(out.data) and math.isnan(expected))
    assert neuron.name == name


def test_activations_include_those_that_networks_use():
    usual = {"relu", "tanh", "sigmoid", "linear", "softplus", "gelu", "silu", "elu", "leaky_relu", "sin"}

    assert usual <= activations().keys()
    assert not {"step", "floor", "sign", "stop_gradient"} & activations().keys()


def test_activation_may_be_any_function():
    neuron = Neuron(1, activation=lambda z: z * z + 1.0, seed=1)
    neuron.w[0].data = 3.0

    assert neuron([2.0]).data == 37.0
    assert neuron.summary() == "Neuron(1, activation='<lambda>')"


@pytest.mark.parametrize("unknown", ["rleu", 3])
def test_unknown_activation_lists_the_known(unknown):
    with pytest.raises(ValueError, match=r"takes activation from .*gelu.*relu.*tanh"):
        MLP(2, [3, 1], activation=unknown)


def test_one_output_is_a_value_and_several_are_a_list():
    x = [1.0, 2.0]

    assert isinstance(Layer(2, 1)(x), Value)
    assert isinstance(MLP(2, [3, 1])(x), Value)
    assert [type(out) for out in MLP(2, [1, 2])(x)] == [Value, Value]


def test_a_layer_of_one_neuron_feeds_the_next():
    model = MLP(1, [1, 1, 1], activation="linear", seed=1)
    product = math.prod(p.data for p in model.parameters() if p.data)

    assert model(2.0).data == pytest.approx(2.0 * product)


def test_inputs_may_be_values_and_get_gradients():
    x = [Value(1.0), Value(-2.0)]
    layer = Layer(2, 3, activation="linear", seed=1)

    ng.sum(layer(x)).backward()

    sums = [sum(neuron.w[k].data for neuron in layer.neurons) for k in range(2)]
    assert [xi.grad for xi in x] == pytest.approx(sums)


def test_inputs_may_come_in_any_sequence():
    np = pytest.importorskip("numpy")
    model = MLP(2, [3, 1], seed=1)
    expected = model([1.0, 2.0]).data

    assert model((1, 2)).data == expected
    assert model(np.array([1, 2])).data == expected
    assert model(np.array([1, 2], dtype=np.float32)).data == expected
    assert model(map(float, "12")).data == expected
    assert model(np.array([Value(1.0), Value(2.0)])).data == expected


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (Neuron(2), [1.0], r"Neuron\(2, activation='relu'\) takes 2 inputs; got 1"),
        (Layer(2, 3), [1.0, 2.0, 3.0], r"Layer\(2, 3, activation='relu'\) takes 2 inputs; got 3"),
        (MLP(2, [4, 1]), [], r"Layer\(2, 4, activation='relu'\) takes 2 inputs; got 0"),
        (MLP(2, [4, 1]), 1.0, "takes 2 inputs; got 1"),
    ],
)
def test_wrong_number_of_inputs_names_the_layer(module, x, message):
    with pytest.raises(ValueError, match=message):
        module(x)


def test_input_that_is_not_a_number_is_refused():
    with pytest.raises(TypeError, match=r"MLP\(2, \[1\]\) takes a real number; got 'a'"):
        MLP(2, [1])(["a", "b"])


def test_layers_that_do_not_fit_together_are_noticed():
    model = MLP(2, [3, 1])
    model.layers[0].neurons.pop()

    with pytest.raises(ValueError, match=r"Layer\(3, 1, activation='linear'\) takes 3 inputs; got 2"):
        model([1.0, 2.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Neuron(0),
        lambda: Neuron(2.0),
        lambda: Layer(2, 0),
        lambda: Layer(2, True),
        lambda: MLP(2, []),
        lambda: MLP(2, [3, -1]),
        lambda: MLP("2", [3]),
    ],
)
def test_sizes_are_checked(make):
    with pytest.raises(ValueError, match=r"as a whole number of at least 1|sizes as a list"):
        make()
    with pytest.raises(TypeError, match=r"MLP takes sizes as a list such as .*; got 3 of type int"):
        MLP(2, 3)


def test_seed_decides_the_weights():
    assert MLP(2, [3, 1], seed=3).state_dict() == MLP(2, [3, 1], seed=3).state_dict()
    assert MLP(2, [3, 1], seed=3).state_dict() != MLP(2, [3, 1], seed=4).state_dict()
    assert Neuron(1, seed=1).w[0].data == (2 * random.Random(1).random() - 1) * math.sqrt(6)
    assert Neuron(1, "tanh", seed=1).w[0].data == (2 * random.Random(1).random() - 1) * math.sqrt(3)


def test_global_generator_decides_without_a_seed():
    state = random.getstate()
    random.seed(1337)
    first = MLP(2, [3, 1]).state_dict()
    random.seed(1337)
    second = MLP(2, [3, 1]).state_dict()
    random.setstate(state)

    assert first == second


@pytest.mark.parametrize(
    ("activation", "variance"), [("relu", 2 / 50), ("gelu", 2 / 50), ("tanh", 2 / 90), ("sigmoid", 2 / 90)]
)
def test_weights_start_with_the_variance_of_he_or_glorot(activation, variance):
    layer = Layer(50, 40, activation=activation, seed=1)
    weights = [w.data for neuron in layer.neurons for w in neuron.w]

    assert statistics.pvariance(weights) == pytest.approx(variance, rel=0.05)
    assert abs(statistics.fmean(weights)) < 0.01
    assert all(neuron.b.data == 0.0 for neuron in layer.neurons)


def test_bias_can_be_left_out():
    model = MLP(2, [3, 1], bias=False)

    assert len(model.parameters()) == 9
    assert model([0.0, 0.0]).data == 0.0


def test_parameters_say_where_they_are():
    model = MLP(2, [3, 1])

    assert model.layers[0].neurons[2].w[1].label == "w[0][2][1]"
    assert model.layers[1].neurons[0].b.label == "b[1][0]"
    assert [p.label for p in Layer(1, 2).parameters()] == ["w[0][0]", "b[0]", "w[1][0]", "b[1]"]


def test_weighted_sum_is_one_node():
    neuron = Neuron(50, activation="relu")

    out = neuron([1.0] * 50)

    assert (out.op, out.operands[0].op, len(out.operands[0].operands[0].operands)) == (ng.relu, ng.add, 100)


def test_plain_inputs_become_values_once_for_a_layer():
    outs = Layer(2, 3, activation="linear", bias=False)([1.0, 2.0])

    assert len({id(out.operands[2]) for out in outs}) == 1


@pytest.mark.parametrize("sizes", [(2, 2), (2, 1), (1, 2), (1, 1)])
@pytest.mark.parametrize("kinds", [(Value, Value), (Value, float), (float, Value)])
def test_neurons_of_a_layer_record_what_dot_records(kinds, sizes):
    layer, (weight, number) = Layer(*sizes, "linear", bias=False, seed=1), kinds
    for neuron in layer.neurons:
        neuron.w = [weight(w.data) for w in neuron.w]
    inputs = [number(0.25), number(-3.0)][: sizes[0]]

    outs = layer(inputs)
    outs = outs if isinstance(outs, list) else [outs]

    expected = [ng.dot(neuron.w, inputs) for neuron in layer.neurons]
    for out, other in zip(outs, expected, strict=True):
        assert (out.op, out.data) == (ng.ops.dot, other.data)
        pairs = zip(out.operands, other.operands, strict=True)
        assert all(x is y or x.op is y.op is ng.ops.constant for x, y in pairs)


def test_inputs_that_an_activation_assigns_are_read_again():
    x = [Value(1.0), Value(2.0)]

    def assigning(out):
        x[0].data += 1.0
        return out * 1.0

    first, second = Layer(2, 2, assigning, bias=False, seed=1).forward(x)

    assert second.operands[0].data == ng.dot(second.operands[0].operands[:2], [2.0, 2.0]).data
    assert first.data != second.data


def test_repr_names_the_activations():
    assert repr(MLP(2, [1, 1], "leaky_relu", "sigmoid")) == "MLP(2, [1, 1])"
    assert str(MLP(2, [1, 1], "leaky_relu", "sigmoid")) == (
        "MLP of [Layer of [LeakyReLUNeuron(2)], Layer of [SigmoidNeuron(1)]]"
    )
    assert repr(Neuron(3)) == "ReLUNeuron(3)"


def test_gradient_through_a_network_agrees_with_differences():
    model = MLP(3, [4, 4, 2], activation="tanh", output_activation="softplus", seed=2)
    x, step = [0.3, -0.8, 1.1], 1e-6
    ng.sum(model(x)).backward()

    for parameter in model.parameters():
        start = parameter.data
        parameter.data = start + step
        above = ng.sum(model(x)).data
        parameter.data = start - step
        below = ng.sum(model(x)).data
        parameter.data = start
        assert parameter.grad == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-8)


# Layers that are not made of neurons.


def test_layer_norm_has_mean_0_and_variance_1_before_gain_and_bias():
    layer = LayerNorm(4, epsilon=1e-5)
    inputs = [1.0, 2.0, 4.0, -3.0]

    outputs = [out.data for out in layer(inputs)]

    mean = sum(inputs) / 4
    variance = sum((x - mean) ** 2 for x in inputs) / 4
    assert outputs == pytest.approx([(x - mean) / math.sqrt(variance + 1e-5) for x in inputs], rel=1e-14)
    for gain, bias in zip(layer.gain, layer.bias, strict=True):
        gain.data, bias.data = 2.0, -1.0
    moved = [2.0 * out - 1.0 for out in outputs]
    assert [out.data for out in layer(inputs)] == pytest.approx(moved, rel=1e-14)
    with pytest.raises(ValueError, match=r"LayerNorm\(4\) takes 4 inputs; got 3"):
        layer([1.0, 2.0, 3.0])


def test_layer_norm_of_equal_numbers_is_the_bias():
    assert [out.data for out in LayerNorm(3)([5.0, 5.0, 5.0])] == [0.0, 0.0, 0.0]


def test_embedding_gives_the_row_of_a_symbol_recorded_or_not():
    table = Embedding(3, 2, seed=1)
    rows = [[value.data for value in row] for row in table.w]

    assert [[value.data for value in row] for row in table([2, 0])] == [rows[2], rows[0]]
    assert [value.data for value in table(Value(1.0))] == rows[1]
    for symbol in (3, -1, 0.5):
        with pytest.raises(ValueError, match="a symbol is a number from 0 to 2"):
            table(symbol)


@pytest.mark.parametrize("symbol", [7, -1, 1.5, 3, float("nan")])
def test_a_symbol_outside_an_embedding_is_refused_or_nan(symbol):
    pytest.importorskip("numpy")
    table = Embedding(3, 2, seed=1)
    compiled = ng.compile(table)
    compiled(0)

    with pytest.raises(ValueError, match="a symbol is a number from 0 to 2"):
        table(symbol)
    assert all(number != number for number in compiled(symbol))
    predicted = Sequential(lambda row: table(row[0])).predict([[symbol], [0.0]] * 50)
    assert [[number == number for number in row] for row in predicted] == [[False] * 2, [True] * 2] * 50


def test_gradient_of_an_embedding_reaches_the_chosen_row_only():
    table = Embedding(3, 2, seed=1)

    for symbol in (1, Value(1.0)):
        table.zero_grad()
        a, b = table(symbol)
        (2.0 * a + 3.0 * b).backward()
        assert [[value.grad for value in row] for row in table.w] == [[0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]


def test_sequential_feeds_each_the_output_of_the_one_before():
    first, last = Layer(2, 3, "tanh", seed=1), Layer(3, 1, None, seed=2)
    model = Sequential(first, lambda numbers: [2.0 * number for number in numbers], last)

    assert model([0.5, -1.0]).data == last([2.0 * out for out in first([0.5, -1.0])]).data
    assert len(model.parameters()) == 9 + 4
    assert next(iter(model.state_dict())) == "modules.0.neurons.0.w.0"


def test_embedded_words_are_classified_end_to_end():
    """Three symbols a row; the class is the symbol in the middle."""
    rows = [[a, b, c] for a in range(3) for b in range(3) for c in range(3)]
    targets = [b for _, b, _ in rows]
    model = Sequential(
        Embedding(3, 3, seed=1),
        lambda words: [x for word in words for x in word],
        LayerNorm(9),
        Layer(9, 3, None, seed=2),
    )

    history = ng.fit(
        model, rows, targets, "cross_entropy", lr=0.1, epochs=300, metrics="accuracy", compile=True
    )

    assert history.compiled
    assert history.metrics["accuracy"][-1] == 1.0


def test_a_single_number_is_dropped_or_scaled():
    found = {Dropout(0.5)(Value(3.0)).data for _ in range(64)}

    assert found == {0.0, 6.0}


class Total(ng.nn.Neuron):
    def forward(self, x):
        return ng.sum(x)


class Reversed(ng.nn.Layer):
    def forward(self, x):
        return super().forward(x)[::-1]


def total(x):
    return ng.sum(x)


def test_layers_call_neurons_of_a_class_of_ones_own_and_patched_ones():
    layer = Layer(2, 2, "tanh", seed=1)
    layer.neurons[0] = Total(2)
    layer.neurons[1].forward = total

    assert [out.data for out in layer([1.0, 2.0])] == [3.0, 3.0]


def test_networks_call_layers_of_any_kind():
    model = MLP(2, [3, 1], seed=1)
    first, last = model.layers
    expected = last(first([1.0, 2.0])[::-1]) * 2.0
    model.layers[0] = Reversed(2, 3, seed=1)
    model.layers.insert(1, ng.nn.Dropout(0.5))
    model.layers.append(lambda x: x * 2.0)
    model.layers[0].neurons = first.neurons
    model.eval()

    assert model([1.0, 2.0]).data == expected.data == ng.compile(model, exact=True)([1.0, 2.0])
    assert repr(model) == "MLP(Reversed, Dropout, Layer, <lambda>)"


def test_a_neuron_of_another_size_is_an_error():
    layer = Layer(2, 2, seed=1)
    layer.neurons[1] = Neuron(4, seed=1)

    with pytest.raises(ValueError, match="Neuron"):
        layer([1.0, 2.0])
