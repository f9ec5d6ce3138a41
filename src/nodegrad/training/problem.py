"""Problem: what a training minimises, checked before anything changes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from nodegrad.data import Samples
from nodegrad.graph import topological_order
from nodegrad.nn.layers import Dropout, noise_from
from nodegrad.nn.losses import LOSSES
from nodegrad.nn.module import leaves_of
from nodegrad.nn.predict import evaluating, modules_of, plain_numbers
from nodegrad.optim import Optimizer
from nodegrad.training.ranks import Ranks
from nodegrad.value import Value

__all__ = ()

Loss = Callable[[Any, Any], Any]
Batch = Any  # the numbers of some rows; Samples of their own; or None for all rows
Taken = tuple[float, float, float]  # mean loss of a step, norm of its gradient, number of samples


class NotFinite(Exception):
    """A loss or a gradient is inf or nan; the message says which."""


@dataclass(eq=False)
class Problem:
    """A model, a loss, what is updated, and the samples: minimise the mean loss over them."""

    model: Callable[[Any], Any]
    loss: Loss
    optimizer: Optimizer
    known: Samples
    held_out: Samples | None
    ranks: Ranks
    dropout: int = 0  # with how many random numbers a sample ends
    output: Any = None  # of the model for the first sample

    def __post_init__(self) -> None:
        self.modules, self.weighted = modules_of(self.model), len(self.known.parts) > 2
        self.settings = [{**group.settings} for group in self.optimizer.groups]  # at the start

    @cached_property
    def leaves(self) -> list[Value]:
        """All parameters: those to update, then the frozen ones of the model."""
        own = [leaf for module in self.modules[:1] for leaf in leaves_of(module)]
        return list(dict.fromkeys([*self.optimizer.parameters, *own]))

    def error(self, row: Any, target: Any, *more: Any) -> Any:
        """Return the loss of one sample, whose weight and random numbers come after its target."""
        with noise_from(iter(more[-1]) if self.dropout else None):
            found = self.loss(self.model(row), target)
        return more[0] * found if self.weighted else found

    def held_out_error(self, row: Any, target: Any, *weight: Any) -> Any:
        """Return the loss of one sample in evaluation mode."""
        with evaluating(self.modules):
            found = self.loss(self.model(row), target)
        return weight[0] * found if weight else found

    def held_out_as_known(self) -> bool:
        """Return whether samples held out have the loss of others: no module looks at its mode."""
        assert self.held_out is not None
        ours = all(type(module).__module__ == Dropout.__module__ for module in self.modules)
        if self.dropout or not ours or len(self.held_out.parts) != len(self.known.parts):
            return False
        sample = self.held_out[0]
        return bool(self.held_out_error(*sample).data == self.error(*sample).data)

    def weigh(self) -> None:
        """Scale the weights of samples to mean 1 over all ranks: sums need no other divisor then.

        Raises:
            ValueError: if some ranks have weights or validation data and others have none.
        """
        parts = [part for part in (self.known, self.held_out) if part is not None]
        counts = [len(part.parts) for part in parts]
        self.ranks.same({"validation": counts[1:] != [], "weights": [count > 2 for count in counts]})
        for part in parts:
            if len(part.parts) > 2:
                total, count = self.ranks.sum([part.weight(), float(len(part))])
                part.scale_weights(count / total)

    def mean_over_held_out(self, summed: Callable[[], float]) -> float:
        """Return the mean loss over the samples held out; `summed` returns the sum on this rank."""
        assert self.held_out is not None
        count = float(len(self.held_out))
        total, samples = self.ranks.summed(lambda: [summed(), count], 2)
        return float(total) / float(samples)

    def check(self) -> None:
        """Try the model and the loss on a sample, so that errors come before anything changes."""
        self.optimizer.check_frozen("fit")
        numbers = count()
        for part, switched_off in ((self.known, []), (self.held_out, self.modules)):
            if part is None:
                continue
            row, target, *_ = part[0]
            with evaluating(switched_off), noise_from(map(float, numbers)):
                output = self.model(row)
            error = self.loss(output, target)
            check_loss("fit", error, self.optimizer.parameters)
            if part is self.known:
                self.output, self.dropout = plain_numbers(output), next(numbers)
            self.check_targets(part)

    def check_targets(self, part: Samples) -> None:
        """Refuse targets that a loss of this library does not take; a loss of your own may need Values."""
        for target in distinct(part.parts[1]) if self.loss in LOSSES.values() else ():
            self.loss(self.output, target)


def check_loss(user: str, error: Any, parameters: Iterable[Value]) -> None:
    """Refuse the loss of a sample if it is not one Value that depends on the parameters."""
    if not isinstance(error, Value):
        raise TypeError(
            f"{user}: the loss of a sample is one Value that depends on the parameters; got {error!r:.60}."
        )
    if set(parameters).isdisjoint(topological_order(error)):
        raise ValueError(
            f"{user}: the loss depends on none of the optimizer's parameters. Make the optimizer from the "
            "parameters of the model that is trained."
        )


def distinct(targets: Any) -> Iterable[Any]:
    """Return the targets to try. Of an array four rows do: a loss that refuses any refuses one of them."""
    if not hasattr(targets, "dtype"):
        return targets if isinstance(targets[0], list) else dict.fromkeys(targets)
    odd = (targets != targets.round()).argmax(), (abs(targets) != 1).argmax()
    return [
        targets[place // targets[0].size].tolist() for place in (targets.argmin(), targets.argmax(), *odd)
    ]
