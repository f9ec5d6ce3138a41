"""Eager training steps: one graph for each sample, differentiated and dropped."""

import math
from collections.abc import Sequence

from nodegrad.graph import patient_collector
from nodegrad.optim import clip_grad_norm
from nodegrad.training.problem import Batch, Problem, Taken


class EagerStep:
    """Gradient descent on the mean loss of samples, one graph at a time, which bounds the memory."""

    compiled = native = False

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def take(self, batches: Sequence[Batch], limit: float) -> list[Taken]:
        """Take a step for each batch, as `Step` has it."""
        optimizer, taken = self.problem.optimizer, list[Taken]()
        for batch in batches:
            size = len(optimizer.parameters) + 2
            total = self.problem.ranks.summed(lambda chosen=batch: self.sums(chosen), size)  # type: ignore[misc]
            loss, *slopes, count = [float(number) for number in total]
            for parameter, slope in zip(optimizer.parameters, slopes, strict=True):
                parameter.grad = slope / count
            taken.append((loss / count, clip_grad_norm(optimizer.parameters, limit), count))
            if not all(map(math.isfinite, taken[-1])):
                break
            optimizer.step()
        return taken

    def sums(self, batch: Batch) -> list[float]:
        """Return the sums of the loss and of its gradient over a batch, and the number of its samples."""
        known, optimizer = self.problem.known, self.problem.optimizer
        samples = known if batch is None else batch if hasattr(batch, "parts") else [known[i] for i in batch]
        optimizer.zero_grad()
        total = 0.0
        with patient_collector():
            for sample in samples:
                error = self.problem.error(*sample)
                error.backward()
                total += error.data
        return [total, *[parameter.grad for parameter in optimizer.parameters], float(len(samples))]

    def validate(self) -> float:
        """Return the sum of the losses of the samples held out."""
        with patient_collector():
            return math.fsum(
                self.problem.held_out_error(*sample).data for sample in self.problem.held_out or ()
            )

    def agrees(self) -> bool:
        """Return True: this is what others are compared with."""
        return True

    def mark(self) -> None:
        """Return nothing: the steps are not taken back."""

    def reset(self, mark: None) -> None:
        """Do nothing."""

    def pull(self) -> None:
        """Read the parameters again: there is no copy of them."""

    def push(self) -> None:
        """Write the parameters: they are where they belong."""
