"""What is compiled, written as source text that can be taken along: C99 and JavaScript."""

__all__ = ()
