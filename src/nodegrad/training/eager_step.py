"""Eager training steps: one graph for each sample, differentiated and dropped."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from nodegrad.graph import recording
from nodegrad.optim import clip_grad_norm
from nodegrad.training.problem import Batch, Problem, Taken

__all__ = ()


class EagerStep:
    """Gradient descent on the mean loss of samples, one graph at a time, which bounds the memory.

    Subclasses take the same steps by compiled code.
    """

    compiled = False
    native = False  # whether many steps are one call

    def __init__(self, problem: Problem) -> None:
        self.problem, self.optimizer = problem, problem.optimizer

    def take(self, batches: Sequence[Batch], limit: float) -> list[Taken]:
        """Take a step for the first of the batches, or more; scale gradients down to the norm `limit`.

        Returns:
            The mean loss, the norm of its gradient and the number of samples for each step. The last may be
            not finite: then the parameters are those before that step.
        """
        size = len(self.optimizer.parameters) + 2
        total = self.problem.ranks.summed(partial(self.sums, batches[0]), size, self.rates)
        return [self.update(total, limit)]

    def update(self, total: Any, limit: float) -> Taken:
        """Take a step from the sums over a batch, if they are finite."""
        parameters = self.optimizer.parameters
        loss, *slopes, count = [float(number) for number in total]
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope / count
        taken = loss / count, clip_grad_norm(parameters, limit), count
        if all(map(math.isfinite, taken)):
            self.optimizer.step()
        return taken

    def sums(self, batch: Batch) -> Any:
        """Return the sums of the loss and of its gradient over a batch, and the number of its samples."""
        known = self.problem.known
        samples = known if batch is None else batch if hasattr(batch, "parts") else [known[i] for i in batch]
        self.optimizer.zero_grad()
        total = 0.0
        with recording():
            for sample in samples:
                error = self.problem.error(*sample)
                error.backward()
                total += error.data
        return [total, *[parameter.grad for parameter in self.optimizer.parameters], float(len(samples))]

    def rates(self) -> list[float]:
        """Return the learning rates of the next step, which all ranks must share."""
        return self.optimizer.rates(self.optimizer.steps)

    def validate(self) -> float:
        """Return the sum of the losses of the samples held out."""
        with recording():
            return math.fsum(
                self.problem.held_out_error(*sample).data for sample in self.problem.held_out or ()
            )

    def check(self) -> None:
        """Refuse to go on if eager code finds other losses than this step."""

    def mark(self) -> Any:
        """Return what `reset` goes back to; eager steps are not taken back."""

    def reset(self, mark: Any) -> None:
        """Go back to the parameters and the state of the optimizer at a mark."""

    def pull(self) -> None:
        """Read the parameters and the state of the optimizer again, if this step keeps a copy."""

    def push(self) -> None:
        """Write the copy back to the Values and the optimizer."""
