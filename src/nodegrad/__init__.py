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

from nodegrad.extend import *
from nodegrad.functions import *
from nodegrad.graph import *
from nodegrad.ops import *
from nodegrad.special import *
from nodegrad.transforms import *
from nodegrad.value import *

if TYPE_CHECKING:  # for those who read types: what `_LATER` loads on first use, to import in less time
    # isort: off
    from nodegrad import data as data, nn as nn, optim as optim, show as show, training as training
    from nodegrad.check import check_grad as check_grad
    from nodegrad.compiler import compile as compile, load_compiled as load_compiled
    from nodegrad.diagnose import detect_anomaly as detect_anomaly, stats as stats
    from nodegrad.loops import fori_loop as fori_loop, scan as scan, while_loop as while_loop
    from nodegrad.show import draw as draw, draw_dot as draw_dot, explain as explain, player as player
    from nodegrad.show import playground as playground, plots as plots, training_player as training_player
    from nodegrad.show.paths import paths as paths
    from nodegrad.solutions import fixed_point as fixed_point, root as root
    from nodegrad.training import History as History, fit as fit
    # isort: on

__version__ = "0.1.0"

_CORE = ("extend", "functions", "graph", "ops", "special", "transforms", "value")
_MODULES = {name: name for name in ("data", "nn", "optim", "show", "training")} | {"plots": "show.plots"}
_NAMES = {
    "check": ("check_grad",),
    "compiler": ("compile", "load_compiled"),
    "diagnose": ("detect_anomaly", "stats"),
    "loops": ("fori_loop", "scan", "while_loop"),
    "show": ("draw", "draw_dot", "explain", "paths", "player", "playground", "training_player"),
    "solutions": ("fixed_point", "root"),
    "training": ("History", "fit"),
}
_LATER = {name: module for module, names in _NAMES.items() for name in names} | _MODULES

__all__ = [*_LATER, *(x for name in _CORE for x in sys.modules[f"nodegrad.{name}"].__all__)]  # noqa: PLE0604


def _load(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__]
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
