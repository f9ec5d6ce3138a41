"""Every argument of training, data and models takes what it is for, and refuses all else clearly.

A refusal is clear if nodegrad raises it itself, and no function further down trips over what came.
"""

import contextlib
import linecache
import math
import traceback
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import nn, optim
from nodegrad.data import StandardScaler, minibatches, standardize, train_test_split
from nodegrad.nn import MLP, Dropout, Embedding, Layer, LayerNorm, Neuron, Sequential
from nodegrad.training import callbacks

np = pytest.importorskip("numpy")
ROOT = Path(ng.__file__).parent
X, Y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 1.0, 0.0]


class Plain:
    """A class that is none of ours."""


class Net(MLP):
    """A model that can be called with anything."""

    def forward(self, *given):
        return super().forward(given[0] if isinstance(given[0], list) else [0.0])


def model():
    return MLP(1, [1], seed=1)


# fmt: off
THINGS = {
    "3": 3, "2.5": 2.5, "-1": -1, "0": 0, "0.5": 0.5, "nan": math.nan, "inf": math.inf, "True": True,
    "np.True_": np.True_,
    "None": None, "text": "x", "no text": "", "bytes": b"x", "complex": 1j, "object": Plain(),
    "[]": [], "()": (), "{}": {}, "[1]": [1.0], "[[1]]": [[1.0]], "['a']": ["a"], "[None]": [None],
    "dict": {"a": [1.0]}, "class": Plain, "int": int, "MLP": MLP, "SGD": optim.SGD, "huge": 10**400,
    "ReduceOnPlateau": callbacks.ReduceOnPlateau, "[class]": [callbacks.CSVLog], "model": Net(1, [1], seed=1),
    "optimizer": optim.SGD([ng.Value(1.0)]), "Value": ng.Value(1.0), "lambda": lambda *given: 0.5,
    "array": np.array([1.0, 2.0]), "no array": np.array([]), "0-d": np.array(1.0),
    "rows": np.ones((4, 1)), "float32": np.ones((4, 1), "f4"), "nans": np.full((4, 1), math.nan),
    "texts": np.array(["a"] * 4), "objects": np.array([None] * 4), "complexes": np.array([[1j]] * 4),
    "dates": np.array([["2020-01-01"]] * 4, "M8[D]"), "3-d": np.ones((4, 1, 2)),
    "list of texts": ["a", "b", "a", "b"], "ragged": [[1.0], [1.0, 2.0], [1.0], [2.0]],
    "[Plain]": [Plain()] * 4, "range": range(4), "masked": np.ma.masked_array([[1.0]] * 4, [[True]] * 4),
}
# fmt: on
with contextlib.suppress(ImportError):
    import torch

    THINGS |= {"torch": torch.ones(4, 1), "torch leaf": torch.ones(4, 1, requires_grad=True)}
with contextlib.suppress(ImportError):
    import jax.numpy

    THINGS["jax"] = jax.numpy.ones((4, 1))
with contextlib.suppress(ImportError):
    import scipy.sparse

    THINGS["sparse"] = scipy.sparse.csr_matrix(np.ones((4, 1)))

NUMBERS = {"3", "2.5", "0", "0.5", "True", "np.True_"}
FLAGS = {"True", "np.True_", "0"}
COLUMN = {"rows", "float32", "torch", "jax", "range"}
SCALED = {"[[1]]", "rows", "float32", "torch", "jax"}
EMPTY = {"[]", "()", "no array"}
# What each kind of argument takes of these things.
# fmt: off
TAKEN = {
    "whole": {"3", "huge"}, "size": {"3"}, "whole or None": {"3", "huge", "None"},
    "seed": {"3", "0", "huge", "None"}, "number": NUMBERS | {"-1", "inf", "huge"},
    "finite": NUMBERS | {"-1"}, "amount": NUMBERS, "amount or None": NUMBERS | {"None"},
    "above 0": NUMBERS - {"0"} | {"inf", "huge"}, "share": {"0", "0.5"}, "inner share": {"0.5"},
    "flag": FLAGS, "flag or None": FLAGS | {"None"}, "off": {"0"}, "off or None": {"0", "None"},
    "activation": {"True", "np.True_", "None", "lambda", "model"},
    "path": {"text", "bytes"}, "path or None": {"text", "bytes", "None"}, "function": {"lambda", "model"},
    "column": COLUMN, "list": EMPTY, "model": {"model"},
    "weights": {"None", "range"}, "None": {"None"}, "none of these": set(),
    "callback": {"None"}, "callbacks": EMPTY | {"None"},  # the lambda and the model return numbers, not bools
    "rate": NUMBERS | {"lambda"}, "rate or None": NUMBERS | {"lambda", "None"},
    "rate or model": NUMBERS | {"lambda", "model"}, "metrics": EMPTY | {"None", "lambda"},
    "states": {"[[1]]"},
    "Value": {"Value"}, "function or rate": NUMBERS | {"lambda", "model"}, "steps": {"3", "0", "huge"},
    "centers": {"3", "[[1]]", "rows", "float32", "torch", "jax"},
    "scaled": SCALED, "scaled or empty": SCALED | EMPTY,
    "labels": {*SCALED, "0", "None", "nans", "texts", "objects", "complexes", "dates", "3-d", "[Plain]"}
    - {"[[1]]"},
    "inputs": SCALED | {"()", "[]", "no array", "[1]", "array", "nans", "range"},
    "table": COLUMN
    | {"nans", "texts", "objects", "complexes", "dates", "3-d", "list of texts", "ragged", "[Plain]"},
}
# fmt: on


def fit(**given):
    return ng.fit(**({"model": Net(1, [1], seed=1), "X": X, "y": Y, "epochs": 1, "seed": 1} | given))


def step(kind):
    def take(**given):
        trained = model()
        made = kind(**({"parameters": trained.parameters()} | given))
        trained([1.0]).backward()
        made.step()

    return take


def given(function, **defaults):
    return lambda **more: function(**(defaults | more))


def rate(made, **defaults):
    return lambda **more: made(**(defaults | more))(1)


def set_rate(rate):
    optim.SGD([ng.Value(1.0)]).learning_rate = rate


def change(state):
    optimizer = optim.Adam([ng.Value(1.0)])
    return lambda **more: optimizer.load_state_dict(optimizer.state_dict() | more)


def loaded(**more):
    model().save("model.json")
    return nn.load(**({"path": "model.json"} | more))


SHAPE = dict.fromkeys(("n_inputs", "n_outputs"), "size")
LOOKS = {"activation": "activation", "bias": "flag", "seed": "seed"}
TOY = {"n_samples": "size", "noise": "amount", "seed": "seed"}
STEPS = {
    "learning_rate": "rate",
    "lr": "rate or None",
    "weight_decay": "amount",
    "parameters": "none of these",
}
MEANS = {"betas": "none of these", "epsilon": "above 0"}
DOORS = {
    "fit": (
        fit,
        {
            "model": "model",
            "X": "column",
            "y": "column",
            "loss": "none of these",
            "optimizer": "none of these",
            "epochs": "whole",
            "batch_size": "whole or None",
            "parameters": "None",
            "learning_rate": "rate or None",
            "lr": "rate or None",
            "sample_weight": "weights",
            "class_weight": "None",
            "validation": "None",
            "metrics": "metrics",
            "tolerance": "amount",
            "patience": "whole or None",
            "target_loss": "number",
            "gradient_tolerance": "number",
            "max_gradient_norm": "above 0",
            "restore_best": "flag",
            "seed": "seed",
            "progress": "flag or None",
            "compile": "flag or None",
            "callback": "callback",
            "callbacks": "callbacks",
            "checkpoint": "path or None",
            "checkpoint_every": "none of these",
            "resume": "off or None",
            "combine": "None",
        },
    ),
    "SGD": (step(optim.SGD), STEPS | {"momentum": "share", "nesterov": "off"}),
    "Adam": (step(optim.Adam), STEPS | MEANS | {"weight_decay": "amount or None"}),
    "AdamW": (step(optim.AdamW), STEPS | MEANS | {"weight_decay": "amount or None"}),
    "RMSProp": (step(optim.RMSProp), STEPS | {"decay": "share", "momentum": "share", "epsilon": "above 0"}),
    "groups": (lambda group: optim.SGD([group]), {"group": "Value"}),
    "learning_rate": (set_rate, {"rate": "function or rate"}),
    "state": (
        change({}),
        {
            "optimizer": "none of these",
            "steps": "steps",
            "states": "states",
            "groups": "none of these",
        },
    ),
    "clip_grad_norm": (
        given(optim.clip_grad_norm, parameters=[ng.Value(1.0)], limit=1.0),
        {"parameters": "list", "limit": "above 0"},
    ),
    "clip_grad_value": (
        given(optim.clip_grad_value, parameters=[ng.Value(1.0)], limit=1.0),
        {"parameters": "list", "limit": "above 0"},
    ),
    "decay_weights_only": (
        given(optim.decay_weights_only, model=model()),
        {"model": "model", "weight_decay": "amount"},
    ),
    "constant": (rate(optim.constant), {"rate": "amount"}),
    "step_decay": (
        rate(optim.step_decay, rate=0.1, every=2),
        dict.fromkeys(("rate", "factor"), "amount") | {"every": "whole"},
    ),
    "exponential": (
        rate(optim.exponential, rate=0.1, factor=0.5),
        dict.fromkeys(("rate", "factor"), "amount"),
    ),
    "linear": (
        rate(optim.linear, rate=0.1, steps=2),
        dict.fromkeys(("rate", "final"), "amount") | {"steps": "whole"},
    ),
    "cosine": (
        rate(optim.cosine, rate=0.1, steps=2),
        dict.fromkeys(("rate", "final"), "amount") | {"steps": "whole"},
    ),
    "warmup": (rate(optim.warmup, schedule=0.1, steps=2), {"schedule": "rate or model", "steps": "size"}),
    "by_epoch": (optim.by_epoch, {"schedule": "function"}),
    "ReduceOnPlateau": (
        callbacks.ReduceOnPlateau,
        {"factor": "inner share", "patience": "whole", "tolerance": "amount", "minimum": "amount"},
    ),
    "CSVLog": (callbacks.CSVLog, {"path": "path"}),
    "train_test_split": (
        given(train_test_split, X=X, y=Y),
        {"X": "table", "y": "table", "seed": "seed", "test_size": "inner share", "stratify": "labels"},
    ),
    "minibatches": (
        given(minibatches, X=X, y=Y, batch_size=2),
        {"X": "table", "y": "table", "seed": "seed", "batch_size": "whole", "shuffle": "flag"},
    ),
    "standardize": (standardize, {"X": "scaled"}),
    "StandardScaler": (StandardScaler, {"X": "scaled"}),
    "transform": (StandardScaler(X).transform, {"X": "scaled or empty"}),
    "inverse_transform": (StandardScaler(X).inverse_transform, {"X": "scaled or empty"}),
    **{f"make_{name}": (getattr(ng.data, f"make_{name}"), TOY) for name in ("moons", "xor")},
    "make_circles": (ng.data.make_circles, TOY | {"factor": "finite"}),
    "make_spirals": (ng.data.make_spirals, TOY | {"turns": "finite"}),
    "make_line": (ng.data.make_line, TOY | {"slope": "finite", "intercept": "finite"}),
    "make_blobs": (
        ng.data.make_blobs,
        {"n_samples": "size", "spread": "amount", "seed": "seed", "centers": "centers"},
    ),
    "Neuron": (given(Neuron, n_inputs=1), SHAPE | LOOKS),
    "Layer": (given(Layer, n_inputs=1, n_outputs=1), SHAPE | LOOKS),
    "MLP": (
        given(MLP, n_inputs=1, sizes=[1]),
        LOOKS | {"n_inputs": "size", "sizes": "none of these", "output_activation": "activation"},
    ),
    "Sequential": (lambda module: Sequential(module), {"module": "function"}),
    "Dropout": (Dropout, {"p": "share"}),
    "LayerNorm": (given(LayerNorm, size=1), {"size": "size", "epsilon": "amount"}),
    "Embedding": (given(Embedding, count=2, size=2), {"count": "size", "size": "size", "seed": "seed"}),
    "train": (model().train, {"training": "flag"}),
    "freeze": (model().freeze, {"frozen": "flag"}),
    "predict": (model().predict, {"X": "inputs"}),
    "save": (model().save, {"path": "path"}),
    "load": (loaded, {"path": "none of these", "classes": "list"}),
    "Module.load": (model().load, {"path": "none of these"}),
    "load_state_dict": (model().load_state_dict, {"state": "none of these"}),
    "huber": (given(nn.huber, predictions=1.0, targets=0.0), {"delta": "above 0"}),
}


def outcomes(function, argument, kind):
    """Return which of all things are taken, and what is raised for the others where it is not clear."""
    taken, unclear = set(), {}
    for name, thing in THINGS.items():
        if kind in ("size", "centers") and name == "huge":
            continue  # a size that fills the memory
        try:
            function(**{argument: thing})
            taken.add(name)
        except Exception as error:
            innermost = traceback.extract_tb(error.__traceback__)[-1]
            line = linecache.getline(innermost.filename, innermost.lineno)
            ours = Path(innermost.filename).is_relative_to(ROOT) and line.strip().startswith("raise")
            if not isinstance(error, OSError) and not (ours and isinstance(error, TypeError | ValueError)):
                unclear[name] = repr(error)
    return taken, unclear


@pytest.mark.parametrize(
    ("door", "argument"), [(door, name) for door, (_, names) in DOORS.items() for name in names]
)
def test_an_argument_takes_what_it_is_for_and_refuses_all_else_clearly(door, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, kinds = DOORS[door]

    taken, unclear = outcomes(function, argument, kinds[argument])

    assert unclear == {}
    assert taken == TAKEN[kinds[argument]] & THINGS.keys()
