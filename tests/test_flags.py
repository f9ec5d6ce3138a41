"""Flags: each public function that takes True or False refuses anything else, such as the number 2."""

import inspect

import pytest

import nodegrad as ng
from nodegrad import Value

LINE = [[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0]
NEURON = ng.nn.Neuron(1, seed=0)

CALLS = {
    "compile exact": lambda given: ng.compile(abs, exact=given),
    "draw fold": lambda given: ng.draw(Value(1.0), fold=given),
    "draw open_dots": lambda given: ng.draw(Value(1.0), open_dots=given),
    "fit compile": lambda given: ng.fit(NEURON, *LINE, compile=given),
    "fit progress": lambda given: ng.fit(NEURON, *LINE, progress=given),
    "fit restore_best": lambda given: ng.fit(NEURON, *LINE, restore_best=given),
    "fit resume": lambda given: ng.fit(NEURON, *LINE, resume=given),
    "grad has_aux": lambda given: ng.grad(abs, has_aux=given),
    "hessian sparse": lambda given: ng.hessian(abs, sparse=given),
    "jacobian sparse": lambda given: ng.jacobian(abs, sparse=given),
    "player fold": lambda given: ng.player(Value(1.0) * 2.0, fold=given),
    "player open_dots": lambda given: ng.player(Value(1.0) * 2.0, open_dots=given),
    "value_and_grad has_aux": lambda given: ng.value_and_grad(abs, has_aux=given),
    "Layer bias": lambda given: ng.nn.Layer(1, 1, bias=given),
    "MLP bias": lambda given: ng.nn.MLP(1, [1], bias=given),
    "Module.freeze frozen": lambda given: ng.nn.Neuron(1).freeze(given),
    "Module.train training": lambda given: ng.nn.Neuron(1).train(given),
    "Neuron bias": lambda given: ng.nn.Neuron(1, bias=given),
    "SGD nesterov": lambda given: ng.optim.SGD([Value(1.0)], 0.1, momentum=0.5, nesterov=given),
    "minibatches shuffle": lambda given: list(ng.data.minibatches(*LINE, 1, shuffle=given)),
    "train_test_split stratify": lambda given: ng.data.train_test_split(*LINE, stratify=given),
    "loss_curve log": lambda given: ng.plots.loss_curve([1.0, 0.5], log=given),
}
# What `fit` fills in, and the rule that `SGD` applies after it has checked its settings.
OURS = {"History compiled", "sgd nesterov"}


def flags():
    """Yield each parameter of a public function, class or method that is True, False or, at most, None."""
    for module in (ng, ng.nn, ng.optim, ng.data, ng.show, ng.training, ng.plots):
        for name, found in [(name, getattr(module, name)) for name in module.__all__]:
            methods = vars(found).items() if inspect.isclass(found) else ()
            public = [(f"{name}.{key}", each) for key, each in methods if not key.startswith("_")]
            for called, function in [(name, found), *public]:
                if inspect.isfunction(function) or inspect.isclass(function):
                    for parameter in inspect.signature(function).parameters.values():
                        if isinstance(parameter.default, bool) or str(parameter.annotation) == "bool | None":
                            yield f"{called} {parameter.name}"


def test_every_flag_is_listed_here():
    assert {*flags()} == CALLS.keys() | OURS


@pytest.mark.parametrize("name", CALLS)
def test_flag_is_true_or_false(name):
    argument = name.split()[-1]

    with pytest.raises(ValueError, match=rf"takes {argument} as (True or False|.*, or None); got 2"):
        CALLS[name](2)
