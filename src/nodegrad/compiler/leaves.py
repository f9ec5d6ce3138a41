"""Leaves: the numbers of the Values that a trace closes over, kept until one is assigned to any Value."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from nodegrad.compiler.arguments import Array
from nodegrad.forks import noting
from nodegrad.graph import clock
from nodegrad.value import Value

__all__ = ()

_data = attrgetter("_data")


class Leaves:
    """Some leaves, and the numbers that were read from them last."""

    def __init__(self, leaves: Sequence[Value]) -> None:
        self.leaves = leaves
        self.numbers = np.empty(0)
        self.time = -1  # of the clock, when they were read

    def read(self) -> Array:
        """Return the numbers, which must not be changed: the same array until one is assigned to a Value."""
        if self.time != clock.assigned:
            with noting:  # no number is being assigned
                time = clock.assigned
                numbers = np.fromiter(map(_data, self.leaves), np.float64, len(self.leaves))
                numbers.flags.writeable = False
                self.numbers = numbers
                self.time = time
        return self.numbers
