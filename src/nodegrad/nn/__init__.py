"""Neural networks of Values: modules, layers and losses."""

from functools import partial
from typing import TYPE_CHECKING

from nodegrad.hints import refuse
from nodegrad.nn import layers, losses, module
from nodegrad.nn.layers import *
from nodegrad.nn.losses import *
from nodegrad.nn.losses import LOSSES
from nodegrad.nn.module import *

__all__ = ["LOSSES", *layers.__all__, *losses.__all__, *module.__all__]  # noqa: PLE0604

if not TYPE_CHECKING:  # else no name would be misspelt
    __getattr__ = partial(refuse, __name__)
