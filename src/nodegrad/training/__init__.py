"""Training: one loop that goes through batches, updates parameters, and says why it stopped."""

from nodegrad.training.loop import REASONS, History, fit

__all__ = ["REASONS", "History", "fit"]
