"""Batches: the rows of each step, drawn from arrays or taken from an iterator."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from nodegrad.data import Samples, noise, rows, shuffled, weights_of
from nodegrad.inputs import described, function, plain
from nodegrad.training.problem import Batch, Problem
from nodegrad.training.ranks import Ranks

__all__ = ()


class Batches:
    """The batches of every epoch."""

    known: Samples  # samples for checks and for recording the model
    seed = 0
    steps: int | None = None  # in an epoch, if known
    total = 0  # rows on all ranks, if known

    def divide(self, total: int, batch_size: int | None) -> None:
        """Set how many rows make a step, and how many steps an epoch; without a size all rows are one."""
        self.total, self.size = total, min(batch_size or total, total)
        self.steps = -(-total // self.size)

    def start(self, problem: Problem) -> None:
        """Prepare for the training, after the problem was checked."""

    def epoch(self, number: int) -> Iterable[Batch]:
        """Return the batches of an epoch, counted from 0. Every call returns the same ones."""
        raise NotImplementedError


class ArrayBatches(Batches):
    """Random batches of the rows of arrays or lists; one of all rows where no size is given."""

    def __init__(self, known: Samples, batch_size: int | None, seed: int, ranks: Ranks) -> None:
        self.known, self.seed = known, seed
        self.ranks, self.batch_size = ranks, batch_size

    def start(self, problem: Problem) -> None:
        """Agree with all ranks on the number of steps, and tell schedules."""
        self.divide(int(self.ranks.sum([float(len(self.known))])[0]), self.batch_size)
        self.dropout = problem.dropout
        if self.dropout:
            self.known.parts.append(noise(len(self.known), self.dropout, self.seed, 0))
        for group in problem.optimizer.groups:
            if hasattr(group.learning_rate, "steps_in_epoch"):
                group.learning_rate.steps_in_epoch = self.steps

    def epoch(self, number: int) -> list[Batch]:
        """Return the batches of an epoch."""
        if self.dropout:
            self.known.parts[-1][:] = noise(len(self.known), self.dropout, self.seed, number)
        own, steps = len(self.known), self.steps or 1
        if steps == 1:
            return [None]
        order = shuffled(own, self.seed, number)
        if own == self.total:
            return [order[start : start + self.size] for start in range(0, own, self.size)]
        ends = [round(own * step / steps) for step in range(steps + 1)]
        return [order[start:stop] for start, stop in pairwise(ends)]


class StreamBatches(Batches):
    """Batches as an iterable yields them, again in every epoch."""

    def __init__(self, source: Any, combine: Any) -> None:
        if combine is not None:
            raise ValueError("fit: with combine each rank gives X and y; batches might differ in number.")
        if callable(source):
            function("fit", "X", source)
        elif not hasattr(source, "__iter__"):
            raise TypeError(
                "fit takes y as a target for each row, or X as batches or as a function that returns them; "
                f"got {described(source)} as X, and no y."
            )
        self.source: Callable[[], Iterable[Any]] = source if callable(source) else lambda: source
        if iter(self.source()) is self.source():
            raise ValueError(
                "fit: X yields its batches once, and every epoch goes through them. Give a function that "
                "returns the iterator, or a y for each row of X."
            )
        first = next(iter(self.source()), None)
        if first is None:
            raise ValueError("fit needs at least one batch; X yields none.")
        self.known = self._samples(first)

    def start(self, problem: Problem) -> None:
        """Refuse what needs to know the number of steps."""
        if problem.dropout:
            raise ValueError("fit: dropout takes X and y as arrays or lists, not as batches.")
        self.problem = problem

    def epoch(self, number: int) -> Iterator[Samples]:
        """Yield the batches of an epoch."""
        batch = None
        for batch in self.source():
            samples = self._samples(batch)
            if len(samples.parts) != len(self.known.parts):
                raise ValueError("fit: some batches of X have weights, and others have none.")
            self.problem.check_targets(samples)
            yield samples
        if batch is None:
            raise ValueError(
                f"fit: X yields no batches in epoch {number + 1}. Return a new iterator each time."
            )

    def _samples(self, batch: Any) -> Samples:
        names = "X of a batch", "y of a batch"
        return samples_of("fit", "a batch of X (there is no y)", batch, names, (tuple, list))


def samples_of(user: str, argument: str, given: Any, names: tuple[str, str], triples: Any = tuple) -> Samples:
    """Return the samples in a pair of rows and targets, or in a triple with weights.

    A list of three is a triple only if `triples` says so: it may be three rows.
    """
    pair = isinstance(given, tuple | list) and len(given) == 2
    if not pair and not (isinstance(given, triples) and len(given) == 3):
        raise ValueError(
            f"{user} takes {argument} as a pair, rows and targets, or a triple with weights; "
            f"got {described(given)}."
        )
    X, y, *weights = given
    return Samples(X, y, user, names, *weights)


def held_out(user: str, validation: Any) -> Samples | None:
    """Return the validation data."""
    if validation is None:
        return None
    return samples_of(user, "validation", validation, ("validation[0]", "validation[1]"))


def balanced(labels: list[Any]) -> dict[Any, float]:
    """Return weights that make all classes weigh the same.

    >>> balanced([0, 1, 1])
    {0: 1.5, 1: 0.75}
    """
    counts = Counter(labels)
    return {label: len(labels) / (len(counts) * count) for label, count in counts.items()}


def _labels(y: Any) -> list[Any]:
    labels = [
        label[0] if isinstance(label, list) and len(label) == 1 else label for label in rows(y, "fit", "y")
    ]
    if not all(isinstance(label, Hashable) for label in labels):
        raise ValueError("fit: class_weight takes the number of a class as the target of each row.")
    return labels


def class_weights(given: Any, y: Any, weights: Any) -> Any:
    """Return the weights of samples times those of their classes.

    >>> class_weights({0: 1.0, 1: 3.0}, [0, 1, 1], None)
    [1.0, 3.0, 3.0]
    """
    if given is None:
        return weights
    labels = _labels(y)
    if isinstance(given, str) and given == "balanced":
        given = balanced(labels)
    if not isinstance(given, Mapping):
        raise ValueError(
            f'fit takes class_weight as "balanced" or a dict of weights; got {described(given)}.'
        )
    if missing := set(labels) - set(given):
        raise ValueError(f"fit: class_weight has no weight for the classes {sorted(missing)}.")
    known = {label: plain(weight, "fit: class_weight") for label, weight in given.items()}
    factors = [known[label] for label in labels]
    if weights is None:
        return factors
    own = rows(weights_of(weights, len(labels), "fit"))
    return [weight * factor for weight, factor in zip(own, factors, strict=True)]
