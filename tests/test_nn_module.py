"""Modules: parameters are found, named, saved, loaded, and left alone when a file does not fit."""

import base64
import copy
import dataclasses
import json
import math
import os
import pickle
import random
import struct

import pytest

import nodegrad as ng
from nodegrad import Value, nn
from nodegrad.files import _checksum
from nodegrad.nn import MLP, Dropout, Embedding, Layer, LayerNorm, Module, Sequential
from nodegrad.optim import SGD, Adam


class Everything(Module):
    """Parameters in every place they may be kept."""

    def __init__(self):
        self.plain = Value(1.0)
        self.number = 3.0
        self.listed = [Value(2.0), (Value(3.0), "text")]
        self.named = {"a": Value(4.0), 7: Layer(1, 1, seed=1)}
        self.again = self.plain


def test_parameters_are_found_in_attributes_lists_tuples_and_dicts():
    names = [name for name, _ in Everything().named_parameters()]

    assert names == [
        "plain",
        "listed.0",
        "listed.1.0",
        "named.a",
        "named.7.neurons.0.w.0",
        "named.7.neurons.0.b",
    ]


def test_shared_parameter_counts_once():
    module = Everything()
    module.listed.append(module.listed)  # even in a list that holds itself

    assert len(module.parameters()) == len({id(p) for p in module.parameters()}) == 6


def test_parameters_in_object_arrays_are_found():
    np = pytest.importorskip("numpy")
    module = Module()
    module.W = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    module.V = np.array([Value(5.0)])
    module.data = np.zeros(3)

    assert module.state_dict() == {"W.0": 1.0, "W.1": 2.0, "W.2": 3.0, "W.3": 4.0, "V.0": 5.0}


def test_results_and_constants_are_not_parameters():
    module = Everything()
    module.last = module.plain * 2.0
    module.constant = module.last.operands[1]

    assert len(module.parameters()) == 6


def test_set_of_parameters_is_refused():
    module = Module()
    module.weights = {Value(1.0)}

    with pytest.raises(TypeError, match="weights is a set"):
        module.parameters()


def test_modules_have_names():
    names = [name for name, _ in MLP(1, [1, 1]).named_modules()]

    assert names == ["", "layers.0", "layers.0.neurons.0", "layers.1", "layers.1.neurons.0"]


def test_zero_grad():
    model = MLP(2, [3, 1], seed=1)
    model([1.0, 2.0]).backward()
    assert any(p.grad for p in model.parameters())

    model.zero_grad()

    assert not any(p.grad for p in model.parameters())


def test_zero_grad_of_a_class_in_the_manner_of_micrograd():
    class Pair(Module):
        def __init__(self):
            self.hidden = object()
            self.values = {Value(1.0)}  # not to be looked at

        def parameters(self):
            return list(self.values)

    pair = Pair()
    (3 * pair.parameters()[0]).backward()
    pair.zero_grad()

    assert pair.parameters()[0].grad == 0.0


def test_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Everything defines no forward"):
        Everything()(1.0)


def test_repr_counts_parameters():
    assert repr(Everything()) == "Everything with 6 parameters"


def test_state_goes_into_another_model():
    source, target = MLP(2, [3, 1], seed=1), MLP(2, [3, 1], seed=2)

    target.load_state_dict(source.state_dict())

    assert target.state_dict() == source.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layers.0.neurons.0.w.1"), "lacks 'layers.0.neurons.0.w.1'"),
        (lambda state: state.update(extra=1.0), "has no 'extra'"),
        (
            lambda state: state.clear(),
            r"lacks 'layers.0.neurons.0.w.0', 'layers.0.neurons.0.w.1', '[^']*' and 1 more\.",
        ),
        (
            lambda state: state.update({"layers.0.neurons.0.b": "0"}),
            "layers.0.neurons.0.b takes a real number",
        ),
        (lambda state: state.update({"layers.0.neurons.0.b": True}), "b is True, not a number"),
        (lambda state: state.update({"layers.0.neurons.0.b": None}), "real number; got None"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change, message):
    model = MLP(2, [1, 1], seed=1, bias=True)
    model.layers[1].neurons[0].b = None
    before = model.state_dict()
    state = dict.fromkeys(before, 7.0)
    change(state)

    with pytest.raises((ValueError, TypeError), match=message):
        model.load_state_dict(state)

    assert model.state_dict() == before


def test_deepcopy_and_pickle_keep_parameters_and_their_sharing():
    module = Everything()

    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert twin.state_dict() == module.state_dict()
        assert twin.again is twin.plain
        assert twin.plain is not module.plain


AWKWARD = [math.nan, math.inf, -math.inf, -0.0, 0.1, 5e-324, 1.7976931348623157e308, 1 / 3]


def awkward_model():
    model = MLP(3, [2, 2, 1], seed=5)
    for parameter, number in zip(model.parameters(), AWKWARD, strict=False):
        parameter.data = number
    return model


def test_saved_floats_come_back_bit_for_bit(tmp_path):
    model, twin = awkward_model(), MLP(3, [2, 2, 1], seed=6)

    model.save(tmp_path / "model.json")
    twin.load(tmp_path / "model.json")

    ours, theirs = model.state_dict(), twin.state_dict()
    assert [number.hex() for number in ours.values()] == [number.hex() for number in theirs.values()]


def test_file_is_json_that_any_reader_takes(tmp_path):
    awkward_model().save(tmp_path / "model.json")

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "model.json").read_text(encoding="utf-8")
    assert '  "layers.0.neurons.1.w.0": 0.1,' in text.splitlines()  # one parameter a line

    content = json.loads(text, parse_constant=refuse)
    assert (content["format"], content["version"]) == ("nodegrad model", 2)
    assert content["modules"]["layers.0"] == "Layer(3, 2, activation='relu')"
    assert content["parameters"]["layers.0.neurons.0.w.0"] == "nan"
    assert content["parameters"]["layers.0.neurons.1.w.0"] == 0.1


def large_model(seed):
    model = MLP(100, [120, 2], seed=seed)
    for parameter, number in zip(model.parameters()[50:], AWKWARD * 2, strict=False):
        parameter.data = number
    return model


def test_a_large_model_comes_back_bit_for_bit_from_a_small_file(tmp_path):
    model, twin, path = large_model(1), MLP(100, [120, 2], seed=2), tmp_path / "model.json"

    model.save(path)
    twin.load(path)
    made = nn.load(path)

    bits = [number.hex() for number in model.state_dict().values()]
    assert [number.hex() for number in twin.state_dict().values()] == bits
    assert [number.hex() for number in made.state_dict().values()] == bits
    assert path.stat().st_size < 16 * len(bits)


def test_a_list_of_a_large_model_is_base64_of_its_numbers(tmp_path):
    model = large_model(1)

    model.save(tmp_path / "model.json")

    parameters = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["parameters"]
    assert parameters["layers.0.neurons.119.b"] == 0.0
    packed = base64.b64decode(parameters["layers.0.neurons.119.w"]["float64"])
    state = model.state_dict()
    assert list(struct.unpack("<100d", packed)) == [state[f"layers.0.neurons.119.w.{k}"] for k in range(100)]


def test_files_that_name_every_parameter_are_loaded_into_a_large_model(tmp_path, monkeypatch):
    model, twin = large_model(1), MLP(100, [120, 2], seed=2)
    monkeypatch.setattr(nn.module, "_READABLE", math.inf)
    model.save(tmp_path / "model.json")
    monkeypatch.undo()

    twin.load(tmp_path / "model.json")

    assert [*map(str, twin.state_dict().values())] == [*map(str, model.state_dict().values())]


def test_a_list_whose_name_is_that_of_a_parameter_too_is_written_number_by_number(tmp_path):
    class Tables(Module):
        def __init__(self):
            self.tables = {"a": [Value(float(k)) for k in range(20_000)], "a.x": Value(0.5)}
            self.others = {"b.0": Value(1.0), "b": Value(2.0)} | {f"b.{k}": Value(3.0) for k in range(1, 20)}

    model, twin = Tables(), Tables()
    for parameter in twin.parameters():
        parameter.data = 7.0

    model.save(tmp_path / "model.json")
    twin.load(tmp_path / "model.json")

    assert twin.state_dict() == model.state_dict()


@pytest.mark.parametrize("packed", ["AAAA", "AAAAAAAA8D8", "?", 3, None])
def test_packed_numbers_that_are_damaged_are_refused(tmp_path, packed):
    model, path = large_model(1), tmp_path / "model.json"
    content = saved(model, path)
    content["parameters"]["layers.0.neurons.3.w"]["float64"] = packed
    path.write_text(signed(lambda text: text)(content), encoding="utf-8")
    before = [*map(str, model.state_dict().values())]

    with pytest.raises(ValueError, match="does not fit this model"):
        model.load(path)

    assert [*map(str, model.state_dict().values())] == before


def test_save_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    model, path = MLP(1, [1], seed=1), tmp_path / "model.json"
    model.save(path)
    old = path.read_text(encoding="utf-8")
    model.parameters()[0].data = 9.0

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        model.save(path)

    assert path.read_text(encoding="utf-8") == old
    assert list(tmp_path.iterdir()) == [path]


def test_save_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / "real.json").write_text("", encoding="utf-8")
    link = tmp_path / "link.json"
    try:
        link.symlink_to(tmp_path / "real.json")
    except OSError:
        pytest.skip("this platform does not let us make symbolic links")

    MLP(1, [1], seed=1).save(link)

    assert link.is_symlink()
    MLP(1, [1], seed=2).load(tmp_path / "real.json")


def saved(model, path):
    model.save(path)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: MLP(3, [2, 1]), r"the model is MLP\(2, \[2, 1\]\) in the file and MLP\(3, \[2, 1\]\) here"),
        (lambda: MLP(2, [2, 1, 1]), r"MLP\(2, \[2, 1, 1\]\) here"),
        (lambda: MLP(2, [2, 1], "tanh"), r"layers.0 is Layer\(2, 2, activation='relu'\) in the file and"),
        (lambda: MLP(2, [2, 1], bias=False), "bias=False"),
        (Everything, "the model is MLP"),
    ],
)
def test_file_of_another_model_is_refused(tmp_path, other, message):
    MLP(2, [2, 1], seed=1).save(tmp_path / "model.json")
    model = other()
    before = model.state_dict()

    with pytest.raises(ValueError, match=message):
        model.load(tmp_path / "model.json")

    assert model.state_dict() == before


def changed(**entries):
    return lambda content: json.dumps(content | entries)


def signed(change):
    """Change the text of the content, and give it the checksum that belongs to it."""

    def forged(content):
        head = {key: content.pop(key) for key in ("format", "version", "checksum")}
        content = json.loads(change(json.dumps(content)))
        return json.dumps(head | {"checksum": _checksum(content)} | content)

    return forged


def replaced(old, new):
    return signed(lambda text: text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: "", "not a nodegrad model file, or is damaged"),
        (lambda content: json.dumps(content)[:-20], "not a nodegrad model file, or is damaged"),
        (lambda content: "[" * 100_000, "not a nodegrad model file, or is damaged"),
        (lambda content: "[1, 2]", "its format is not"),
        (changed(format="other"), "its format is not"),
        (changed(version=3), "version 3; this nodegrad reads version 2"),
        (changed(parameters=[1.0]), "its checksum does not fit"),
        (signed(lambda text: json.dumps(json.loads(text) | {"parameters": [1.0]})), "is damaged: it has no"),
        (signed(lambda text: json.dumps({"made_with": None})), "is damaged: it has no"),
        (signed(lambda text: json.dumps(json.loads(text) | {"parameters": {}})), "does not fit this.*lacks"),
        (replaced('b": 0.0', 'b": "zero"'), "real number; got 'zero'"),
        (replaced('b": 0.0', 'b": null'), "real number; got None"),
        (replaced('b": 0.0', 'b": [0.0]'), "real number; got "),
        (lambda content: json.dumps(content).replace('b": 0.0', 'b": 1e400'), "checksum does not fit"),
        (lambda content: json.dumps(content).replace('b": 0.0', 'b": ' + 400 * "9"), "checksum does not fit"),
        (lambda content: json.dumps(content).replace('b": 0.0', 'b": NaN'), "checksum does not fit"),
        (
            lambda content: json.dumps(content).replace('b": 0.0', 'b": 0.0, "neurons.0.b": 1.0'),
            "checksum does not fit",
        ),
        (
            lambda content: json.dumps(content).replace(
                '{"layers.0.neurons.0.w.0"', '{"x": 1.0, "x": 2.0, "y"'
            ),
            "checksum does not fit",
        ),
    ],
)
def test_damaged_file_is_refused_and_the_model_left_alone(tmp_path, damage, message):
    model, path = MLP(2, [1], seed=1), tmp_path / "model.json"
    path.write_text(damage(saved(model, path)), encoding="utf-8")
    for parameter in model.parameters():
        parameter.data = 5.0

    with pytest.raises(ValueError, match=message):
        model.load(path)

    assert set(model.state_dict().values()) == {5.0}


def test_bytes_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "model.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ValueError, match="not a nodegrad model file"):
        MLP(2, [1]).load(tmp_path / "model.json")


@pytest.mark.parametrize("state", [3, [1.0, 2.0], "model.json"])
def test_state_that_is_not_a_dict_is_refused(state):
    with pytest.raises(
        TypeError, match=r"load_state_dict takes a dict of numbers by name.* For a file use load"
    ):
        MLP(2, [1]).load_state_dict(state)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "missing" / "model.json"

    with pytest.raises(FileNotFoundError) as caught:
        MLP(2, [1]).save(path)

    assert caught.value.filename == str(path)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        MLP(2, [1]).load(tmp_path / "none.json")


def test_no_bit_flip_loads_as_other_numbers(tmp_path):
    model, twin, path = MLP(2, [2, 1], seed=1), MLP(2, [2, 1], seed=2), tmp_path / "model.json"
    model.save(path)
    whole, expected = path.read_bytes(), model.state_dict()
    generator = random.Random(1)

    for _ in range(400):
        place, bit = generator.randrange(len(whole)), 1 << generator.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            twin.load(path)
        except ValueError:
            continue
        assert twin.state_dict() == expected  # white space, or an escape for the same letter


@pytest.mark.parametrize(
    "parameters",
    [
        lambda: {"holder": {1: Value(1.0), "1": Value(2.0)}},
        lambda: {"a.b": Value(1.0), "a": {"b": Value(2.0)}},
        lambda: {"a": [Value(1.0)], "a.0": Value(2.0)},
    ],
)
def test_two_parameters_of_one_name_are_refused(parameters, tmp_path):
    module = Module()
    vars(module).update(parameters())

    for use in (module.state_dict, module.named_parameters, lambda: module.save(tmp_path / "model.json")):
        with pytest.raises(ValueError, match="two parameters are named"):
            use()


# A model out of its file.


@pytest.mark.parametrize(
    "model",
    [
        MLP(2, [3, 1], "tanh", bias=False, seed=1),
        Layer(2, 3, activation="sigmoid", seed=random.Random(1)),
        Sequential(Layer(2, 3, "tanh"), LayerNorm(3), Dropout(0.25), Layer(3, 1, None)),
        Embedding(3, 2, seed=1),
    ],
)
def test_model_is_made_from_its_file(tmp_path, model):
    model.save(tmp_path / "model.json")

    twin = nn.load(tmp_path / "model.json")

    assert type(twin) is type(model)
    assert twin.state_dict() == model.state_dict()
    assert [found.summary() for _, found in twin.named_modules()] == [
        found.summary() for _, found in model.named_modules()
    ]


class Line(Module):
    def __init__(self, slope, through=(0.0, 0.0)):
        self.m, self.c = Value(slope), Value(through[1] - slope * through[0])

    def forward(self, x):
        return self.m * x + self.c


def test_classes_of_your_own_are_named_to_load(tmp_path):
    Line(2.0, through=(1.0, 5.0)).save(tmp_path / "line.json")

    with pytest.raises(ValueError, match=r"made with the class Line.*classes=\[...\]"):
        nn.load(tmp_path / "line.json")
    assert nn.load(tmp_path / "line.json", classes=[Line])(1.0).data == 5.0


def test_a_class_is_not_taken_for_a_layer_because_of_the_module_it_says_it_is_from(tmp_path, monkeypatch):
    monkeypatch.setattr(Line, "__module__", "nodegrad.nn.layers")  # as in a docstring that is tested
    Line(2.0).save(tmp_path / "line.json")

    with pytest.raises(ValueError, match="made with the class Line"):
        nn.load(tmp_path / "line.json")


def replaced_layers(model):
    model.layers[0] = Layer(2, 3, "sigmoid", bias=False, seed=7)
    model.layers.append(Sequential(Dropout(0.25), MLP(1, [2, 2], "relu", seed=7)))
    model.layers.insert(1, LayerNorm(3))


def deleted_layer(model):
    del model.layers[0]


def replaced_neurons(model):
    model.layers[0].neurons[1] = nn.Neuron(2, "sigmoid", seed=7)
    model.layers[0].neurons.append(nn.Neuron(2, "exp", bias=False, seed=8))
    del model.layers[1].neurons[0]
    model.layers[1].neurons.append(nn.Neuron(4, None, seed=9))


def replaced_all(model):
    model.layers[:] = [LayerNorm(2), Layer(2, 1, "tanh", seed=7)]


class Reversed(Layer):
    def forward(self, x):
        return super().forward(x)[::-1]


def replaced_by_a_subclass(model):
    model.layers[0] = Reversed(2, 3, "tanh", seed=7)


def test_loaded_parameters_have_the_labels_of_the_saved_ones(tmp_path):
    model = Sequential(MLP(2, [3, 1], seed=1), Layer(1, 2, seed=1), nn.Neuron(2, seed=1))
    model.save(tmp_path / "model.json")

    twin = nn.load(tmp_path / "model.json")

    assert [leaf.label for leaf in twin.parameters()] == [leaf.label for leaf in model.parameters()]


def appended_function(model):
    model.layers.append(ng.tanh)


def replaced_forward(model):
    model.forward = lambda x: ng.sum(x)


def replaced_forward_inside(model):
    model.layers[0].neurons[0].forward = lambda x: ng.sum(x)


def replaced_activation(model):
    for neuron in model.layers[0].neurons:
        neuron.activation = ng.softplus


def shared_layer(model):
    model.layers[0] = model.layers[1] = Layer(2, 2, "tanh", seed=7)


def tied_weight(model):
    model.layers[1].neurons[0].w[0] = model.layers[0].neurons[0].w[0]


def removed_bias(model):
    model.layers[0].neurons[1].b = None


CHANGES = [
    *(replaced_layers, deleted_layer, replaced_neurons, replaced_all, replaced_by_a_subclass),
    *(appended_function, replaced_forward, replaced_forward_inside, replaced_activation),
    *(shared_layer, tied_weight, removed_bias),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_was_changed_after_it_was_made_is_loaded_into_one_changed_alike(tmp_path, change):
    path = tmp_path / "model.json"
    model, twin = MLP(2, [3, 1], "tanh", seed=1), MLP(2, [3, 1], "tanh", seed=2)
    change(model)
    change(twin)
    model.save(path)

    with pytest.raises(ValueError, match=r"then call model\.load\(path\)"):
        nn.load(path)
    twin.load(path)
    assert twin.state_dict() == model.state_dict()


def test_functions_appended_to_a_sequence_are_not_lost_in_its_file(tmp_path):
    model = Sequential(Layer(2, 3, "relu", seed=1))
    model.modules += [ng.tanh]
    model.save(tmp_path / "model.json")

    with pytest.raises(
        ValueError, match=r"Sequential\(Layer, tanh\) in the file and Sequential\(Layer\) here"
    ):
        Sequential(Layer(2, 3, "relu", seed=1)).load(tmp_path / "model.json")


def test_what_else_a_model_of_your_own_holds_does_not_keep_it_from_being_loaded(tmp_path):
    class Noted(Line):
        def __init__(self, slope):
            super().__init__(slope)
            self.history, self.apply, self.places = {"losses": [1.0]}, lambda x: x, {1, 2}

    Noted(2.0).save(tmp_path / "line.json")

    assert nn.load(tmp_path / "line.json", classes=[Noted])(1.0).data == 2.0


@pytest.mark.parametrize("classes", [3, Line, [3], [Line(1.0)], [dict], "Line"])
def test_only_classes_of_modules_are_given_to_load(tmp_path, classes):
    Line(2.0).save(tmp_path / "line.json")

    with pytest.raises(TypeError, match="load takes classes as a list of classes of modules; got"):
        nn.load(tmp_path / "line.json", classes)


@pytest.mark.parametrize(
    "made_with",
    [
        *(None, 3, [], {}, {"class": "Line"}, {"class": "MLP", "arguments": 3, "options": {}}),
        *({"class": ["MLP"]}, {"class": "MLP", "arguments": ["2"], "options": {"x": 1}}),
    ],
)
def test_a_file_that_does_not_say_how_its_model_was_made_is_refused(tmp_path, made_with):
    path = tmp_path / "model.json"
    content = saved(MLP(1, [1], seed=1), path)
    path.write_text(signed(lambda text: json.dumps(json.loads(text) | {"made_with": made_with}))(content))

    with pytest.raises(ValueError, match=r"load: .*model\.json"):
        nn.load(path)


def test_load_called_on_a_class_names_the_function_that_makes_a_model(tmp_path):
    MLP(2, [1], seed=1).save(tmp_path / "model.json")

    with pytest.raises(TypeError, match=r"write nodegrad\.nn\.load\(path\)"):
        MLP.load(tmp_path / "model.json")


def test_functions_as_arguments_cannot_be_loaded(tmp_path):
    model = Layer(1, 1, activation=lambda x: x * 2.0, seed=1)
    model.save(tmp_path / "layer.json")

    with pytest.raises(ValueError, match=r"the argument <function .*Make it yourself, then call model\.load"):
        nn.load(tmp_path / "layer.json")
    Layer(1, 1, activation=model.neurons[0].activation).load(tmp_path / "layer.json")


# Predictions, freezing, evaluation.


@pytest.mark.parametrize("count", [5, 500])
def test_predictions_are_the_outputs(count):
    model = MLP(2, [4, 2], "tanh", seed=1)
    X = [[0.01 * i, 1.0 - 0.02 * i] for i in range(count)]

    found = model.predict(X)

    assert type(found) is type(found[0]) is list
    assert found[3] == pytest.approx([out.data for out in model(X[3])], rel=1e-12)


@pytest.mark.parametrize(
    "outputs",
    [
        lambda x: (x, 1.0),
        lambda x: [[x, 1.0], [2.0, x]],
        lambda x: [x, [x, 1.0]],
        lambda x: {"mean": x, "spread": [x, 1.0]},
    ],
)
def test_predictions_of_many_rows_are_structured_as_those_of_few(outputs):
    model = nn.Sequential(lambda row: outputs(row[0] * 1.0))
    X = [[0.5 * i] for i in range(200)]

    found = model.predict(X)

    assert found == [prediction for row in X for prediction in model.predict([row])]


def test_predictions_of_arrays_are_arrays():
    np = pytest.importorskip("numpy")
    X = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    model = MLP(2, [4, 1], "tanh", seed=1)

    found = model.predict(X)

    assert found.shape == (200,)
    assert found[7] == pytest.approx(model(X[7]).data, rel=1e-12)
    assert np.allclose(model.predict(X.astype(np.float32)), found, atol=1e-6)
    with pytest.raises(TypeError, match="without a mask"):
        model.predict(np.ma.masked_array(X, X > 0))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (ng.nn.MLP(2, [3, 3]), (0, 3)),
        (ng.nn.MLP(2, [3, 1]), (0,)),
        (ng.nn.Sequential(ng.nn.Layer(2, 4), ng.nn.Dropout(0.5)), (0, 4)),
        (ng.nn.Sequential(lambda row: row[0]), (0,)),
    ],
)
def test_predictions_of_no_rows_have_the_shape_of_those_of_many(model, shape):
    np = pytest.importorskip("numpy")

    assert model.predict(np.empty((0, 2))).shape == shape
    assert model.predict(np.ones((3, 2))).shape == (3, *shape[1:])
    assert model.predict([]) == []


def test_attributes_in_slots_are_found_and_copied():
    class Slotted(ng.nn.Module):
        __slots__ = ("w",)

        def __init__(self):
            self.w, self.inner = ng.Value(2.0), ng.nn.Layer(1, 1, seed=1)

    @dataclasses.dataclass(slots=True, eq=False)
    class Fields(ng.nn.Module):
        w: ng.Value
        b: ng.Value

    for model in (Slotted(), Fields(ng.Value(2.0), ng.Value(3.0))):
        model.freeze()
        same = copy.deepcopy(model)

        assert same.state_dict() == model.state_dict()
        assert same.w.data == 2.0
        assert same.w is not model.w
        assert len(same.state_dict()) > 1
        assert same.parameters() == []


def test_predictions_follow_changes_of_the_model():
    class Scaled(Line):
        scale = 1.0

        def forward(self, x):
            return super().forward(x[0]) * self.scale if x[0] > 50 else x[0]

    model = Scaled(2.0)
    X = [[float(i)] for i in range(100)]
    for model.scale in (1.0, 3.0):
        assert model.predict(X) == [i if i <= 50 else 2.0 * i * model.scale for i in range(100)]


def test_frozen_parameters_are_saved_but_not_trained(tmp_path):
    model = MLP(2, [3, 1], seed=1)
    model.layers[0].freeze()

    assert len(model.parameters()) == 4
    model.save(tmp_path / "model.json")
    loaded = nn.load(tmp_path / "model.json")
    assert len(loaded.state_dict()) == 13
    assert [parameter.label for parameter in loaded.parameters()] == [p.label for p in model.parameters()]
    assert [module.frozen for _, module in loaded.named_modules()].count(True) == 1
    model.layers[0].freeze(False)
    assert len(model.parameters()) == 13


def test_evaluation_mode_ends_with_its_block():
    model = Sequential(Dropout(0.5), Dropout(0.5))
    model.modules[1].eval()

    with model.evaluating():
        assert not any(module.training for _, module in model.named_modules())

    assert [module.training for _, module in model.named_modules()] == [True, True, False]


def test_a_parameter_replaced_by_its_update_is_noticed():
    model = MLP(2, [1], seed=1)
    neuron = model.layers[0].neurons[0]
    model([1.0, 2.0]).backward()
    neuron.b -= 0.1 * neuron.b.grad

    with pytest.warns(RuntimeWarning, match=r"layers\.0\.neurons\.0\.b is not a parameter.*\.data -="):
        found = model.parameters()

    assert len(found) == 2


def test_outputs_kept_on_a_module_are_not_taken_for_an_update():
    model = MLP(2, [1], seed=1)
    model.last = model([1.0, 2.0])

    assert len(model.parameters()) == 3


def frozen_body():
    model = MLP(2, [3, 3, 1], seed=1)
    model.freeze()
    model.layers[-1].freeze(False)
    return model


def saved_and_loaded(model, path):
    model.save(path / "model.json")
    return nn.load(path / "model.json")


@pytest.mark.parametrize(
    "copied",
    [
        lambda model, path: model,
        lambda model, path: copy.deepcopy(model),
        lambda model, path: pickle.loads(pickle.dumps(model)),
        saved_and_loaded,
    ],
)
def test_the_last_layer_can_be_trained_alone_in_every_copy(copied, tmp_path):
    model = copied(frozen_body(), tmp_path)

    assert [name for name, p in model.named_parameters() if p in set(model.parameters())] == [
        f"layers.2.neurons.0.{name}" for name in ("w.0", "w.1", "w.2", "b")
    ]
    model.freeze(False)
    assert len(model.parameters()) == len(model.named_parameters())


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_an_optimizer_takes_no_step_with_parameters_that_were_frozen_later(kind):
    model = MLP(2, [3, 1], seed=1)
    optimizer = kind(model.parameters(), 0.1)
    model([1.0, 2.0]).backward()
    model.layers[0].freeze()
    before = model.state_dict()

    with pytest.raises(ValueError, match=f"{kind.__name__}: 9 parameters of the optimizer are frozen. Make"):
        optimizer.step()
    assert model.state_dict() == before
    model.layers[0].freeze(False)
    optimizer.step()
    assert model.state_dict() != before


@pytest.mark.parametrize("load", [lambda: MLP.load("model.json"), lambda: MLP(1, [1], seed=1).load()])
def test_loading_without_a_model_or_a_file_says_what_to_write(load):
    with pytest.raises(
        TypeError, match=r"model\.load\(path\)\. To make the model, too, write nodegrad\.nn\.load"
    ):
        load()


def test_a_file_of_a_layer_with_another_epsilon_is_refused(tmp_path):
    LayerNorm(2, epsilon=0.5).save(tmp_path / "layer.json")

    assert nn.load(tmp_path / "layer.json").epsilon == 0.5
    with pytest.raises(ValueError, match=r"LayerNorm\(2, epsilon=0.5\) in the file and LayerNorm\(2\) here"):
        LayerNorm(2).load(tmp_path / "layer.json")


@pytest.mark.parametrize(
    "damage",
    [
        replaced('"frozen": {}', '"frozen": null'),
        replaced('"options": {}', '"options": [1]'),
        replaced('"frozen": {}', '"frozen": [1]'),
        replaced('"arguments": [', '"argument": ['),
        replaced('"arguments": [', '"arguments": ["many", '),
    ],
)
def test_a_file_that_does_not_say_how_its_model_is_made_is_refused(tmp_path, damage):
    model, path = nn.Sequential(MLP(2, [1], seed=1), nn.Dropout(0.5)), tmp_path / "model.json"
    text = damage(saved(model, path))
    assert json.loads(text) != saved(model, path)
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"model.json does not say how to make its model"):
        nn.load(path)


@pytest.mark.parametrize("sizes", [[3, 1], (3, 1), range(3, 0, -2), "array"])
def test_a_model_is_made_again_from_sizes_of_any_kind(tmp_path, sizes):
    np = pytest.importorskip("numpy")
    model = MLP(np.int64(2), np.array([3, 1]) if sizes == "array" else sizes, seed=1)
    if isinstance(sizes, list):
        sizes.append(4)  # the model was made before
    model.save(tmp_path / "model.json")

    assert nn.load(tmp_path / "model.json").state_dict() == model.state_dict()
