"""Pictures of the graph: drawings, explanations, players and plots."""

from nodegrad.show.draw import Drawing, draw, draw_dot
from nodegrad.show.explain import Explanation, explain
from nodegrad.show.player import Player, player
from nodegrad.show.recorder import Recorder
from nodegrad.show.routes import Path, Paths, paths
from nodegrad.show.training_player import TrainingPlayer, training_player

__all__ = [
    "Drawing",
    "Explanation",
    "Path",
    "Paths",
    "Player",
    "Recorder",
    "TrainingPlayer",
    "draw",
    "draw_dot",
    "explain",
    "paths",
    "player",
    "training_player",
]
