"""Scalar reverse-mode automatic differentiation you can see.

An operation is a row: its name, how it is computed, and its partial derivatives, written over any kind of
number. A Value records which operation made it from which operands; a sweep walks those records and applies
the chain rule. Feed the sweep floats and it gives gradients, feed it Values and it gives derivatives you
can differentiate again; hand the recorded graph to the compiler and it becomes a short program of vector
instructions that runs at native speed.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from nodegrad.check import *
from nodegrad.extend import *
from nodegrad.functions import *
from nodegrad.graph import *
from nodegrad.loops import *
from nodegrad.ops import *
from nodegrad.solutions import *
from nodegrad.special import *
from nodegrad.transforms import *
from nodegrad.value import *

if TYPE_CHECKING:  # for those who read types: what lies outside the core, which `_LATER` loads on first use
    # isort: off
    from nodegrad import data as data, nn as nn, optim as optim, show as show, training as training
    from nodegrad.compiler import compile as compile, load_compiled as load_compiled
    from nodegrad.diagnose import detect_anomaly as detect_anomaly, stats as stats
    from nodegrad.show import draw as draw, draw_dot as draw_dot, explain as explain, player as player
    from nodegrad.show import playground as playground, plots as plots, training_player as training_player
    from nodegrad.show.paths import paths as paths
    from nodegrad.training import History as History, fit as fit
    # isort: on

__version__ = "0.1.0"

_CORE = (
    "check",
    "extend",
    "functions",
    "graph",
    "loops",
    "ops",
    "solutions",
    "special",
    "transforms",
    "value",
)
_MODULES = {name: name for name in ("data", "nn", "optim", "show", "training")} | {"plots": "show.plots"}
_NAMES = {
    "compiler": ("compile", "load_compiled"),
    "diagnose": ("detect_anomaly", "stats"),
    "show": ("draw", "draw_dot", "explain", "paths", "player", "playground", "training_player"),
    "training": ("History", "fit"),
}
_LATER = {name: module for module, names in _NAMES.items() for name in names} | _MODULES

__all__ = [*_LATER, *(x for name in _CORE for x in sys.modules[f"nodegrad.{name}"].__all__)]  # noqa: PLE0604


def _load(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(
            f"module 'nodegrad' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
        )
    module = importlib.import_module(f"nodegrad.{_LATER[name]}")
    found = globals()[name] = module if name in _MODULES else getattr(module, name)
    return found


if not TYPE_CHECKING:  # else no name would be misspelt
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted(__all__)


if "IPython" in sys.modules:  # in a notebook Values, models and histories show themselves
    importlib.import_module("nodegrad.show.notebook").register()
