"""Pictures of the graph: drawings, explanations, players and plots."""

from nodegrad.show.draw import Drawing, draw, draw_dot
from nodegrad.show.explain import Explanation, explain
from nodegrad.show.player import Player, player
from nodegrad.show.routes import Path, Paths, paths

__all__ = [
    "Drawing",
    "Explanation",
    "Path",
    "Paths",
    "Player",
    "draw",
    "draw_dot",
    "explain",
    "paths",
    "player",
]
