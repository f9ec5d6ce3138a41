"""Training on a Dask cluster: partitions stay on the workers, and only sums of gradients travel."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np

from nodegrad.data import Samples, shuffled
from nodegrad.nn.losses import chosen_loss
from nodegrad.optim import SGD, Optimizer
from nodegrad.training.batches import Batches
from nodegrad.training.compiled_step import CompiledStep, write
from nodegrad.training.eager_step import EagerStep
from nodegrad.training.history import Callback, History, Settings
from nodegrad.training.loop import chosen_optimizer, held_out
from nodegrad.training.problem import Batch, Loss, Problem
from nodegrad.training.ranks import Ranks
from nodegrad.training.run import Run

__all__ = ["dask_fit"]

_LOST = 20  # times that a step may be tried while workers are lost


class Partition:
    """Rows on a worker, and the model that is trained on them."""

    def __init__(self, model: Any, loss: Loss, parameters: list[Any], source: Any) -> None:
        X, y, *weights = source() if callable(source) else source
        known = Samples(X, y, "dask_fit", ("X of a partition", "y of a partition"), *weights)
        self.problem = Problem(model, loss, SGD(parameters), known, None, Ranks(None))
        self.step: Any = EagerStep(self.problem)
        try:
            self.step = CompiledStep(self.problem)
            self.step.agrees()
        except (TypeError, ValueError):
            pass
        self.orders: dict[Any, Any] = {}

    def facts(self) -> tuple[tuple[Any, ...], int, float]:
        """Return a sample, the number of samples, and the sum of their weights."""
        known = self.problem.known
        weights = float(sum(known.parts[2])) if len(known.parts) > 2 else float(len(known))
        return known[0], len(known), weights

    def sums(self, numbers: Any, batch: Batch) -> Any:
        """Return the sums of loss and gradient over the rows of a batch, and their number."""
        write(self.problem.optimizer.parameters, numbers)
        self.step.pull()
        return np.asarray(self.step.sums(self._rows(batch)), float)

    def _rows(self, batch: Batch) -> Any:
        """Return the rows of this partition that belong to a step."""
        if batch is None:
            return None
        seed, epoch, place, step, steps = batch
        count = len(self.problem.known)
        if (seed, epoch, place) not in self.orders:
            self.orders = {(seed, epoch, place): shuffled(count, seed, epoch, place)}
        order = self.orders[seed, epoch, place]
        return order[round(count * step / steps) : round(count * (step + 1) / steps)]

    def __reduce__(self) -> Any:
        known, problem = self.problem.known, self.problem
        return Partition, (problem.model, problem.loss, problem.optimizer.parameters, tuple(known.parts))


class _Cluster:
    """The partitions on the workers of a Dask client, each in an actor."""

    def __init__(
        self, client: Any, model: Any, loss: Loss, parameters: list[Any], sources: Sequence[Any]
    ) -> None:
        self.client, self.model, self.loss = client, model, loss
        self.parameters, self.sources = parameters, sources
        self.actors: list[Any] = [None] * len(sources)
        self.facts: list[tuple[Any, int, float]] = self._ask("facts", [()] * len(sources))
        self.factor = sum(count for _, count, _ in self.facts) / sum(weight for *_, weight in self.facts)

    def sums(self, numbers: Any, batch: Batch) -> Any:
        """Return the sums over the partitions, added up in their order."""
        places = range(len(self.actors))
        shares = [None if batch is None else (*batch[:2], place, *batch[2:]) for place in places]
        total = np.sum(self._ask("sums", [(numbers, share) for share in shares]), axis=0)
        total[:-1] *= self.factor
        return total

    def _ask(self, method: str, arguments: Sequence[Any]) -> list[Any]:
        """Call a method of every partition at the same time; repeat the calls of workers that are lost."""
        found: dict[int, Any] = {}
        for _ in range(_LOST):
            missing = [place for place in range(len(self.sources)) if place not in found]
            self._make([place for place in missing if self.actors[place] is None])
            calls = {place: self._start(place, method, arguments[place]) for place in missing}
            for place, call in calls.items():
                if call is not None and (answer := self._answer(place, call)):
                    found[place] = answer[0]
            if len(found) == len(self.sources):
                return [found[place] for place in range(len(self.sources))]
        raise RuntimeError(f"dask_fit: workers were lost {_LOST} times in one step.")

    def _start(self, place: int, method: str, arguments: Any) -> Any:
        """Start the call of a method of a partition; return None if its worker is lost."""
        if self.actors[place] is None:
            return None
        try:
            return getattr(self.actors[place], method)(*arguments)
        except RuntimeError:  # as Dask says that the actor is gone
            self.actors[place] = None
            return None

    def _answer(self, place: int, call: Any) -> tuple[Any, ...]:
        """Wait for a call. If its worker is lost, forget the actor and return nothing."""
        try:
            return (call.result(),)
        except Exception as error:
            # Dask's own KilledWorker is known by its name: Dask is not imported here.
            if not isinstance(error, OSError | CancelledError) and type(error).__name__ != "KilledWorker":
                raise
            self.actors[place] = None
            return ()

    def _make(self, places: list[int]) -> None:
        """Make partitions on the workers that are left."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        made = [
            self.client.submit(
                Partition,
                self.model,
                self.loss,
                self.parameters,
                self.sources[place],
                actor=True,
                pure=False,
                workers=[workers[place % len(workers)]] if workers else None,
                allow_other_workers=bool(workers),
            )
            for place in places
        ]
        for place, future in zip(places, made, strict=True):
            self.actors[place] = next(iter(self._answer(place, future)), None)


class _ClusterStep(CompiledStep):
    """A compiled step whose sums come from a cluster."""

    def __init__(self, problem: Problem, cluster: _Cluster) -> None:
        self.problem, self.optimizer, self.cluster = problem, problem.optimizer, cluster
        self.leaves = problem.optimizer.parameters
        self._native = {}
        self.pull()

    def sums(self, batch: Batch) -> Any:
        """Return the sums of the loss and of its gradient over a batch, and the number of its samples."""
        return self.cluster.sums(self.point.numbers, batch)

    def _native_steps(self, batches: Sequence[Batch], limit: float) -> None:
        return None

    def agrees(self) -> bool:
        """Return True: the workers compare their own steps."""
        return True

    def validate(self) -> float:
        """Return the sum of the losses of the samples held out, found here."""
        self.push()
        return EagerStep.validate(self)


class _ClusterBatches(Batches):
    """Steps over all partitions at once: each takes its share of every batch."""

    def __init__(self, cluster: _Cluster, batch_size: int | None, seed: int) -> None:
        first = cluster.facts[0][0]
        self.known = Samples([first[0]], [first[1]], "dask_fit")
        self.total = sum(count for _, count, _ in cluster.facts)
        self.size = min(batch_size or self.total, self.total)
        self.steps = -(-self.total // self.size)
        self.seed = seed

    def epoch(self, number: int) -> Iterable[Batch]:
        """Return the batches of an epoch."""
        steps = self.steps or 1
        return [None] if steps == 1 else [(self.seed, number, step, steps) for step in range(steps)]


def dask_fit(
    client: Any,
    model: Callable[[Any], Any],
    partitions: Iterable[Any],
    loss: str | Loss = "mean_squared_error",
    optimizer: str | Optimizer = "adam",
    epochs: int = 100,
    batch_size: int | None = None,
    *,
    learning_rate: Any = None,
    validation: tuple[Any, ...] | None = None,
    tolerance: float = 1e-6,
    patience: int | None = 10,
    target_loss: float = -math.inf,
    max_gradient_norm: float = math.inf,
    seed: int | None = None,
    progress: bool | None = None,
    callbacks: Iterable[Callback] = (),
) -> History:
    """Train a model on data that lie on the workers of a Dask cluster.

    Each worker keeps its partitions and a compiled copy of the model. A step sends the parameters out and the
    sums of the gradients back: 8 bytes for each parameter and partition. If a worker is lost, Dask makes its
    partitions again on another one and the step is repeated, with the same result.

    Args:
        client: a `dask.distributed.Client`.
        model: a Module, or any function of a row; then `optimizer` must hold the parameters.
        partitions: for each partition a pair (X, y), or a triple with weights; or a function without
            arguments that returns one, run on the worker; or a Dask future of one. What is sent from here
            stays with the scheduler, so let large data be read by functions.
        loss: as for `fit`, and so are all that follow; batches are drawn within the partitions.

    Raises:
        ValueError: as `fit` does, for the data of any partition.
    """
    given = locals()
    settings, loss_function = Settings.among(given), chosen_loss("dask_fit", loss)
    sources = list(partitions)
    if not sources:
        raise ValueError("dask_fit needs at least one partition; got none.")
    updates = chosen_optimizer(optimizer, model, None, learning_rate)
    cluster = _Cluster(client, model, loss_function, updates.parameters, sources)
    batches = _ClusterBatches(cluster, batch_size, settings.seed)
    problem = Problem(model, loss_function, updates, batches.known, held_out(validation), Ranks(None))
    problem.check()
    return Run(problem, batches, settings, _ClusterStep(problem, cluster)).history
