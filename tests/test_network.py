"""draw(model): the network of a model's layers."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import nodegrad as ng
from nodegrad.show.drawing.network import SHOWN
from nodegrad.show.text import number
from test_dot import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def parts(network, tag):
    return list(ET.fromstring(network.svg).iter(SVG + tag))


def test_a_network_has_a_circle_for_each_neuron_and_a_line_for_each_weight():
    model = ng.nn.MLP(2, [3, 1], activation="tanh", seed=1)
    network = ng.draw(model)

    assert len(parts(network, "circle")) == 2 + 3 + 1
    assert len(parts(network, "line")) == 2 * 3 + 3 * 1
    assert [text.text for text in parts(network, "text")] == ["2 inputs", "3 tanh", "1 linear"]
    titles = {line.find(SVG + "title").text for line in parts(network, "line")}
    weights = [w for layer in model.layers for neuron in layer.neurons for w in neuron.w]
    assert titles == {f"{w.label}: {number(w.data)}" for w in weights}
    assert repr(network) == "<Network of 2, 3, 1>"


def test_width_is_size_and_dashes_are_the_sign():
    layer = ng.nn.Layer(2, 1, seed=1)
    layer.neurons[0].w[0].data, layer.neurons[0].w[1].data = -1.0, 0.25
    thin, thick = parts(ng.draw(layer), "line")  # the heaviest is drawn last, on top

    assert (thin.get("class"), thick.get("class")) == ("plus", "minus")
    assert float(thin.get("stroke-width")) == pytest.approx(0.4 + 4.1 / 4, abs=0.051)
    assert float(thick.get("stroke-width")) == 4.5


def test_the_middle_of_a_wide_layer_is_left_out():
    network = ng.draw(ng.nn.MLP(40, [64, 2], seed=1))

    assert len(parts(network, "circle")) == 2 * SHOWN + 2
    assert [text.text for text in parts(network, "text")] == ["⋮", "40 inputs", "⋮", "64 relu", "2 linear"]
    assert len(network.svg) < 120_000


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf")])
def test_weights_of_any_size_are_drawn(weight):
    neuron = ng.nn.Neuron(2, seed=1)
    neuron.w[0].data = weight

    for line in parts(ng.draw(neuron), "line"):
        assert 0.0 < float(line.get("stroke-width")) <= 4.5


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_stays_text(label):
    neuron = ng.nn.Neuron(1, seed=1)
    neuron.w[0].label = label
    (line,) = parts(ng.draw(neuron), "line")

    assert len(list(ET.fromstring(ng.draw(neuron).svg).iter())) == len(
        list(ET.fromstring(ng.draw(ng.nn.Neuron(1, seed=1)).svg).iter())
    )
    assert line.find(SVG + "title").text.endswith(number(neuron.w[0].data))


def test_sequential_models_and_neurons_are_networks():
    model = ng.nn.Sequential(ng.nn.Layer(2, 4, seed=1), ng.softmax, ng.nn.Layer(4, 3, seed=2))

    assert repr(ng.draw(model)) == "<Network of 2, 4, 3>"
    assert repr(ng.draw(ng.nn.Neuron(3, seed=1))) == "<Network of 3, 1>"


class Attention(ng.nn.Module):
    """Three layers of equal size that do not feed each other."""

    def __init__(self):
        self.q, self.k, self.v = (ng.nn.Layer(4, 4, seed=seed) for seed in range(3))


def test_a_model_whose_layers_may_run_side_by_side_is_not_guessed_at():
    with pytest.raises(TypeError, match=r"one after the other; Attention is something else\. draw"):
        ng.draw(Attention())


@pytest.mark.parametrize(
    ("between", "named"),
    [(ng.nn.LayerNorm(3), "LayerNorm is something else"), (ng.nn.Layer(2, 2), "3 outputs.*2 inputs")],
)
def test_the_part_that_cannot_be_drawn_is_named(between, named):
    model = ng.nn.Sequential(ng.nn.Layer(2, 3), between, ng.nn.Layer(3, 1))
    with pytest.raises(TypeError, match=named):
        ng.draw(model)


def test_parts_without_parameters_are_left_out():
    model = ng.nn.Sequential(ng.nn.Layer(2, 3), ng.nn.Dropout(0.5), ng.nn.Layer(3, 1))

    assert repr(ng.draw(model)) == "<Network of 2, 3, 1>"


def test_a_network_is_saved_and_shown(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    network = ng.draw(ng.nn.MLP(2, [3, 1], seed=1))

    assert network.save(tmp_path / "network.svg").read_text() == network.svg
    with pytest.raises(ValueError, match=r"Network\.save writes \.svg, \.png; got 'network\.dot'"):
        network.save(tmp_path / "network.dot")
    network.show()
    assert Path(opened[0].removeprefix("file://")).read_text(encoding="utf-8") == network.svg
