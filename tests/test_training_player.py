"""Recorder and training_player: what is recorded is the training, and it disturbs nothing."""

import base64
import json
import re

import pytest

import nodegrad as ng
from nodegrad.show import Recorder, training_player
from nodegrad.show.text import number

SQUARE = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
XOR = [0.0, 1.0, 1.0, 0.0]


def trained(epochs=5, **options):
    model = ng.nn.MLP(2, [3, 1], seed=1)
    recorder = Recorder(model, SQUARE, XOR, **options)
    history = ng.fit(model, SQUARE, XOR, epochs=epochs, callback=recorder, patience=None)
    return model, recorder, history


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL)
    return json.loads(found[1])


def test_the_start_and_every_epoch_are_recorded():
    _, recorder, history = trained(5)

    assert [frame.step for frame in recorder.frames] == [0, 1, 2, 3, 4, 5]
    assert [frame.loss for frame in recorder.frames[:-1]] == pytest.approx(history.losses)


def test_every_second_call_can_be_recorded():
    _, recorder, _ = trained(5, every=2)

    assert [frame.step for frame in recorder.frames] == [0, 2, 4]


def test_gradients_are_those_of_the_mean_loss():
    model, recorder, _ = trained(3)
    model.zero_grad()
    ng.mean([ng.nn.mean_squared_error(model(x), y) for x, y in zip(SQUARE, XOR, strict=True)]).backward()

    assert recorder.frames[-1].parameters == tuple(p.data for p in model.parameters())
    assert recorder.frames[-1].gradients == pytest.approx([p.grad for p in model.parameters()])


def test_recording_changes_neither_parameters_nor_gradients():
    model = ng.nn.MLP(2, [3, 1], seed=1)
    for at, parameter in enumerate(model.parameters()):
        parameter.grad = float(at)
    before = [(p.data, p.grad) for p in model.parameters()]

    Recorder(model, SQUARE, XOR)()

    assert [(p.data, p.grad) for p in model.parameters()] == before


def test_a_recorded_training_is_the_training():
    model, _, history = trained(20)
    plain = ng.nn.MLP(2, [3, 1], seed=1)
    other = ng.fit(plain, SQUARE, XOR, epochs=20, patience=None)

    assert history.losses == other.losses
    assert [p.data for p in model.parameters()] == [p.data for p in plain.parameters()]


def test_the_page_shows_what_was_recorded():
    model, recorder, _ = trained(4)
    frame = data_of(training_player(recorder))["frames"][-1]

    assert frame["lossText"] == number(recorder.frames[-1].loss)
    assert frame["values"] == [number(p.data) for p in model.parameters()]
    assert frame["gradients"] == [number(g) for g in recorder.frames[-1].gradients]


def test_the_plane_holds_the_outputs_of_the_model():
    model, recorder, _ = trained(4)
    plane = base64.b64decode(data_of(training_player(recorder))["frames"][-1]["plane"])

    assert len(plane) == len(recorder.points) == 28 * 28
    for at in (0, 27, 400, 783):
        share = min(1.0, max(0.0, model(recorder.points[at]).data))
        assert plane[at] == round(255 * share)


def test_several_outputs_show_the_largest():
    model = ng.nn.MLP(2, [3, 3], seed=1)
    recorder = Recorder(model, SQUARE, [0, 1, 2, 0], loss="cross_entropy")
    data = data_of(training_player(recorder))
    outputs = [output.data for output in model(recorder.points[5])]

    assert base64.b64decode(data["frames"][0]["plane"])[5] == outputs.index(max(outputs))
    assert [mark for _, _, mark in data["view"]["points"]] == [0, 1, 2, 0]


def test_one_input_shows_a_curve_and_three_show_predictions():
    one = Recorder(ng.nn.MLP(1, [1], seed=1), [0.0, 1.0], [0.0, 1.0])
    three = Recorder(ng.nn.MLP(3, [1], seed=1), [[0.0, 1.0, 2.0], [1.0, 0.0, 1.0]], [0.0, 1.0])

    assert data_of(training_player(one))["view"]["kind"] == "curve"
    view = data_of(training_player(three))["view"]
    assert (view["kind"], [point[0] for point in view["points"]]) == ("targets", [0.0, 1.0])


def test_the_graph_of_a_sample_carries_its_own_gradients():
    model = ng.nn.MLP(1, [1], seed=1)
    recorder = Recorder(model, [[2.0], [3.0]], [1.0, 0.0], example=1)
    error = ng.nn.mean_squared_error(model([3.0]), 0.0)
    error.backward()

    weight = model.parameters()[0]
    assert f"data {number(weight.data)}\ngrad {number(weight.grad)}" in "\n".join(recorder.frames[0].texts)


def test_a_graph_that_changes_its_shape_is_left_out():
    losses = [lambda out, y: out * out]
    recorder = Recorder(ng.nn.MLP(1, [1], seed=1), [[1.0]], [1.0], loss=lambda out, y: losses[-1](out, y))
    losses.append(lambda out, y: (out - y).exp())
    recorder()

    assert recorder.frames[0].texts
    assert recorder.frames[1].texts == ()
    assert data_of(training_player(recorder))["frames"][1]["texts"] == []


def test_a_diverged_training_still_makes_a_page():
    model = ng.nn.MLP(1, [1], seed=1)
    recorder = Recorder(model, [[1.0], [2.0]], [1.0, 2.0])
    model.parameters()[0].data = float("inf")
    recorder()

    frame = data_of(training_player(recorder))["frames"][-1]
    assert frame["loss"] is None
    assert frame["lossText"] in ("inf", "nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recorder(ng.nn.MLP(1, [1]), [], []), "Recorder needs at least one row; X is empty"),
        (
            lambda: Recorder(ng.nn.MLP(1, [1]), [[1.0]], [1.0, 2.0]),
            "one target per row; X has 1 rows and y 2",
        ),
        (lambda: Recorder(ng.nn.MLP(20, [30, 1]), [[1.0]], [1.0]), "up to 500 parameters; this one has 661"),
        (
            lambda: Recorder(ng.nn.MLP(1, [1]), [[1.0]], [1.0], loss="mse"),
            "Recorder takes loss from mean_squared_error",
        ),
        (lambda: Recorder(ng.nn.MLP(1, [1]), [[1.0]], [1.0], example=1), "one of 1 rows; got 1"),
    ],
)
def test_what_cannot_be_recorded_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_a_recorder_is_accepted():
    with pytest.raises(TypeError, match=r"takes a Recorder; got .* History. Make one with Recorder\(model"):
        training_player(ng.History())


def test_the_row_shown_is_one_whose_derivatives_are_not_0():
    model = ng.nn.MLP(2, [3, 1], activation="tanh", seed=1)
    recorder = Recorder(model, SQUARE, XOR)

    assert SQUARE[recorder.example] == [1.0, 1.0]
    assert Recorder(model, SQUARE, XOR, example=0).example == 0
    assert all(len(group.members) == 1 for group in recorder.groups)  # so small a network stands open
