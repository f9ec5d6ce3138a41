"""What users of PyTorch and JAX should write here: hints in AttributeErrors, and a table in the docs."""

import sys
from typing import Any, NoReturn

__all__ = ()

# Where a name is looked for -> names -> what to write instead. Only names that those users really type.
HINTS = {
    "nodegrad": {
        "tensor Tensor array": "ng.Value(2.0) for a number, a list of Values for several",
        "no_grad": "value.data for the plain number: what is computed from it is not recorded",
        "manual_seed": "seed=1 where random numbers are drawn: ng.nn.MLP(2, [3, 1], seed=1)",
        "autograd": "ng.grad(f)(x); or out.backward(), then x.grad",
        "jit": "ng.compile(f)",
        "vmap": "ng.compile(f).map(rows)",
        "matmul mm": "W @ x with NumPy arrays of Values, or ng.dot(w, x) for each row",
        "max min": "ng.maximum(x, y) or ng.minimum(x, y); or Python's own max and min",
        "clamp": "ng.clip(x, low, high)",
        "save": "model.save(path)",
        "load": "ng.nn.load(path)",
    },
    "nodegrad.nn": {
        "Linear": 'ng.nn.Layer(n_inputs, n_outputs, activation="linear")',
        "ReLU Tanh Sigmoid GELU": 'the activation of a layer: ng.nn.Layer(2, 3, activation="relu")',
        "Softmax": "ng.softmax(values)",
        "MSELoss mse_loss": "ng.nn.mean_squared_error(outputs, targets)",
        "L1Loss l1_loss": "ng.nn.mean_absolute_error(outputs, targets)",
        "HuberLoss SmoothL1Loss": "ng.nn.huber(outputs, targets)",
        "BCELoss": "ng.nn.binary_cross_entropy(outputs, targets)",
        "BCEWithLogitsLoss": "ng.nn.binary_cross_entropy_with_logits(outputs, targets)",
        "CrossEntropyLoss": "ng.nn.cross_entropy(outputs, targets)",
        "functional": "ng.relu(x) and the like; losses are functions in ng.nn",
        "Parameter": "ng.Value(0.5): a leaf in an attribute of a Module is a parameter",
        "ModuleList ModuleDict": "a list or a dict of modules",
    },
    "nodegrad.optim": {
        "lr_scheduler": "a schedule as the learning_rate: ng.optim.cosine, ng.optim.step_decay ...",
        "LBFGS": 'ng.fit(..., optimizer="lbfgs")',
    },
    "Value": {
        "item numpy": "value.data",
        "detach": "value.stop_gradient(); or value.data for the plain number",
        "requires_grad requires_grad_": "nothing: every Value made from a number has a gradient",
        "sum mean softmax": "ng.sum(values), ng.mean(values), ng.softmax(values): a Value is one number",
        "pow": "value**2",
        "clamp clip": "ng.clip(value, low, high)",
    },
    "Module": {
        "to cuda cpu": "nothing: numbers are Python's own floats",
    },
}  # fmt: skip


def hints(place: str) -> dict[str, str]:
    """Return what to write instead of each name that is looked for in a module or class."""
    return {name: text for names, text in HINTS[place].items() for name in names.split()}


def refuse(module: str, name: str) -> NoReturn:
    """Refuse a name that a module does not have: say what to write, or leave a guess to Python.

    Raises:
        AttributeError: always.
    """
    text, owner, hint = f"module {module!r} has no attribute {name!r}", sys.modules[module], hints(module)
    if name in hint:
        raise AttributeError(f"{text}. Write {hint[name]}.", obj=owner)
    raise AttributeError(text, name=name, obj=owner)


class Hint:
    """An attribute that is missing, and says what to write. `__getattr__` would slow every other one."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.__doc__ = name, f"Write {text}."  # for help(), which lists it

    def __get__(self, owner: Any, kind: type) -> NoReturn:
        text = f"{kind.__name__!r} object has no attribute {self.name!r}. {self.__doc__}"
        raise AttributeError(text, obj=owner)


def give_hints(kind: type) -> None:
    """Let a class answer with a hint where it has no attribute of that name; `hasattr` stays False."""
    given = hints(kind.__name__)
    for name, text in given.items():
        setattr(kind, name, Hint(name, text))

    def listed(self: Any) -> list[str]:
        return [name for name in object.__dir__(self) if name not in given or hasattr(self, name)]

    kind.__dir__ = listed  # type: ignore[assignment]  # mypy takes no function for a method here
