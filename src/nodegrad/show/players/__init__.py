"""Players: pages that play a graph or a training step by step."""

__all__ = ()
