"""Pictures of the graph: drawings, explanations, players and plots."""

import sys

from nodegrad.show.drawing.draw import *
from nodegrad.show.drawing.network import *
from nodegrad.show.explaining.explain import *
from nodegrad.show.paths import *
from nodegrad.show.players.graph import *
from nodegrad.show.players.playground import *
from nodegrad.show.players.training import *

_PICTURES = ("drawing.draw", "drawing.network", "explaining.explain", "paths")
_PLAYERS = ("players.graph", "players.playground", "players.training")

__all__ = [x for name in (*_PICTURES, *_PLAYERS) for x in sys.modules[f"nodegrad.show.{name}"].__all__]
