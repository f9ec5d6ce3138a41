"""Pictures of the graph: drawings, explanations, players and plots."""

from nodegrad.show.draw import Drawing, draw, draw_dot

__all__ = ["Drawing", "draw", "draw_dot"]
