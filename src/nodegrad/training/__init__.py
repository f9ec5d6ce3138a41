"""Training: one loop that goes through batches, updates parameters, and says why it stopped."""

from nodegrad.training.history import REASONS, History
from nodegrad.training.loop import fit

__all__ = ["REASONS", "History", "fit"]
