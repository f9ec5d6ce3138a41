"""Drawings of graphs: DOT and SVG, folded where structure repeats."""

__all__ = ()
