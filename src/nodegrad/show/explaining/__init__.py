"""Explanations: the chain rule written out for one graph, step by step."""

__all__ = ()
