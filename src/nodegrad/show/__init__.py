"""Pictures of the graph: drawings, explanations, players and plots."""

from nodegrad.show.drawing.draw import Drawing, draw, draw_dot
from nodegrad.show.drawing.network import Network
from nodegrad.show.explaining.explain import Explanation, explain
from nodegrad.show.paths import Path, Paths, paths
from nodegrad.show.players.graph import Player, player
from nodegrad.show.players.playground import Playground, playground
from nodegrad.show.players.training import Recorder, TrainingPlayer, training_player

__all__ = [
    "Drawing",
    "Explanation",
    "Network",
    "Path",
    "Paths",
    "Player",
    "Playground",
    "Recorder",
    "TrainingPlayer",
    "draw",
    "draw_dot",
    "explain",
    "paths",
    "player",
    "playground",
    "training_player",
]
