"""Neural networks of Values: modules, layers and losses."""

from nodegrad.nn import layers, losses, module
from nodegrad.nn.layers import *
from nodegrad.nn.losses import *
from nodegrad.nn.losses import LOSSES
from nodegrad.nn.module import *

__all__ = ["LOSSES", *layers.__all__, *losses.__all__, *module.__all__]  # noqa: PLE0604
