"""Leaves: the numbers of the Values that a trace closes over, kept until one is assigned to any Value."""

import struct
from collections.abc import Sequence

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.forks import noting
from nodegrad.graph import clock
from nodegrad.value import Value

__all__ = ()


class Leaves:
    """Some leaves, and the numbers that were read from them last."""

    def __init__(self, leaves: Sequence[Value]) -> None:
        self.leaves = leaves
        self.numbers = np.empty(0)
        self.pack = struct.Struct(f"{len(leaves)}d").pack
        self.time = -1  # of the clock, when they were read

    def read(self) -> Array:
        """Return the numbers, in an array that cannot be changed: the same until one is assigned."""
        if self.time != clock.assigned and self.leaves:
            with noting:  # no number is being assigned
                # For hundreds of leaves twice as fast as `numpy.fromiter`.
                self.numbers = np.frombuffer(self.pack(*[leaf._data for leaf in self.leaves]))
                self.time = clock.assigned  # last: if an interrupt comes before, they are read again
        return self.numbers
