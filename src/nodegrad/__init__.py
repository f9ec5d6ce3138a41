"""Scalar reverse-mode automatic differentiation you can see.

An operation is a row: its name, how it is computed, and its partial derivatives, written over any kind of
number. A Value records which operation made it from which operands; a sweep walks those records and applies
the chain rule. Feed the sweep floats and it gives gradients, feed it Values and it gives derivatives you
can differentiate again; hand the recorded graph to the compiler and it becomes a short program of vector
instructions that runs at native speed.
"""

import importlib
import sys
from typing import Any

# fmt: off
# isort: off
from nodegrad.check import check_grad
from nodegrad.extend import custom
from nodegrad.functions import (
    clip, dot, elu, gelu, leaky_relu, log_sigmoid, log_softmax, logaddexp, logsumexp, mean, mish, norm,
    prod, selu, silu, softmax, softsign, sum,
)
from nodegrad.graph import recording
from nodegrad.ops import (
    abs, acos, acosh, add, asin, asinh, atan, atan2, atanh, cbrt, ceil, copysign, cos, cosh, div, eq, erf,
    erfc, exp, exp2, expm1, floor, floordiv, ge, gt, hypot, identity, le, log, log1p, log2, log10, lt,
    maximum, minimum, mod, mul, ne, neg, pow, reciprocal, relu, round, round_to, sigmoid, sign, sin, sinh,
    softplus, sqrt, square, step, stop_gradient, sub, tan, tanh, trunc, where,
)
from nodegrad.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from nodegrad.value import Value

# isort: on
# fmt: on

__version__ = "0.1.0"

# What lies outside the core, loaded on first use: the name, and the module that defines it (or that it is).
_LATER = {
    "compile": "compiler",
    "draw": "show",
    "draw_dot": "show",
    "explain": "show",
    "paths": "show",
    "player": "show",
    "plots": "show.plots",
    "detect_anomaly": "diagnose",
    "stats": "diagnose",
    "fit": "training",
    "History": "training",
    "nn": "nn",
    "optim": "optim",
    "data": "data",
}

# fmt: off
__all__ = [
    "History",
    "Value",
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "check_grad",
    "clip",
    "compile",
    "copysign",
    "cos",
    "cosh",
    "custom",
    "data",
    "detect_anomaly",
    "div",
    "dot",
    "draw",
    "draw_dot",
    "elu",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "explain",
    "expm1",
    "fit",
    "floor",
    "floordiv",
    "ge",
    "gelu",
    "grad",
    "gt",
    "hessian",
    "hvp",
    "hypot",
    "identity",
    "jacobian",
    "jvp",
    "le",
    "leaky_relu",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "lt",
    "maximum",
    "mean",
    "minimum",
    "mish",
    "mod",
    "mul",
    "ne",
    "neg",
    "nn",
    "norm",
    "optim",
    "paths",
    "player",
    "plots",
    "pow",
    "prod",
    "reciprocal",
    "recording",
    "relu",
    "round",
    "round_to",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "stats",
    "step",
    "stop_gradient",
    "sub",
    "sum",
    "tan",
    "tanh",
    "trunc",
    "value_and_grad",
    "vjp",
    "where",
]
# fmt: on


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(
            f"module 'nodegrad' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
        )
    module = importlib.import_module(f"nodegrad.{_LATER[name]}")
    found = globals()[name] = module if _LATER[name].endswith(name) else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
