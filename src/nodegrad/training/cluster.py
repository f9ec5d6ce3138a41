"""Training on a Dask cluster: partitions stay on the workers, and only sums of gradients travel."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from inspect import signature
from typing import Any

import numpy as np

from nodegrad.data import Samples, shuffled
from nodegrad.inputs import described, listed, one_of
from nodegrad.nn.losses import chosen_loss
from nodegrad.optim import OPTIMIZERS, SGD, Optimizer
from nodegrad.training.batches import Batches, held_out, samples_of
from nodegrad.training.compiled_step import CompiledStep
from nodegrad.training.eager_step import EagerStep
from nodegrad.training.history import History, checked
from nodegrad.training.loop import chosen_optimizer, fit, refuse_unknown
from nodegrad.training.problem import Batch, Loss, Problem
from nodegrad.training.ranks import Ranks
from nodegrad.training.run import Run
from nodegrad.value import write

__all__ = ["dask_fit"]

_LOST = 20  # times that a step may be tried while workers are lost
_OF_FIT_ONLY = {
    *("X", "y", "sample_weight", "class_weight", "metrics", "compile", "checkpoint", "checkpoint_every"),
    *("resume", "combine", "unknown"),
}


class Partition:
    """Rows on a worker, and the model that is trained on them; its number is `place`."""

    def __init__(self, model: Any, loss: Loss, parameters: list[Any], source: Any, place: int = 0) -> None:
        names = "X of a partition", "y of a partition"
        known = samples_of("dask_fit", "a partition", source() if callable(source) else source, names)
        self.problem = Problem(model, loss, SGD(parameters), known, None, Ranks(None))
        self.problem.check()
        self.step: Any = EagerStep(self.problem)
        with suppress(Exception):  # then it cannot be compiled
            compiled = CompiledStep(self.problem)
            compiled.check()
            self.step = compiled
        self.place, self.shuffled = place, lru_cache(maxsize=1)(shuffled)

    def facts(self) -> tuple[tuple[Any, ...], int, float]:
        """Return a sample, the number of samples, and the sum of their weights."""
        known = self.problem.known
        return known[0], len(known), known.weight()

    def sums(self, numbers: Any, batch: Batch) -> Any:
        """Return the sums of loss and gradient over the rows of a batch, and their number."""
        write(self.problem.optimizer.parameters, np.asarray(numbers).tolist())
        self.step.pull()
        return np.asarray(self.step.sums(self._rows(batch)), float)

    def _rows(self, batch: Batch) -> Any:
        """Return the rows of this partition that belong to a step."""
        if batch is None:
            return None
        seed, epoch, step, steps = batch
        count = len(self.problem.known)
        order = self.shuffled(count, seed, epoch, self.place)
        return order[round(count * step / steps) : round(count * (step + 1) / steps)]


class _Cluster:
    """The partitions on the workers of a Dask client, each in an actor."""

    def __init__(
        self, client: Any, model: Any, loss: Loss, parameters: list[Any], sources: Sequence[Any]
    ) -> None:
        self.client, self.trained, self.sources = client, (model, loss, parameters), sources
        self.actors: list[Any] = [None] * len(sources)
        self.threads = ThreadPoolExecutor(len(sources))  # one waits for each partition
        self.facts: list[tuple[Any, int, float]] = self._ask("facts")
        self.factor = sum(count for _, count, _ in self.facts) / sum(weight for *_, weight in self.facts)

    def sums(self, numbers: Any, batch: Batch) -> Any:
        """Return the sums over the partitions, added up in their order."""
        total = np.sum(self._ask("sums", numbers, batch), axis=0)
        total[:-1] *= self.factor
        return total

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every partition at the same time."""
        return list(self.threads.map(partial(self._call, method, arguments), range(len(self.sources))))

    def _call(self, method: str, arguments: tuple[Any, ...], place: int) -> Any:
        """Call a method of a partition; if its worker is lost, make it again on another one and repeat."""
        for _ in range(_LOST):
            try:
                if self.actors[place] is None:
                    self.actors[place] = self._made(place)
                return getattr(self.actors[place], method)(*arguments).result()
            except Exception as error:
                # An error with the name of a file comes from the function that reads the data.
                unreachable = isinstance(error, OSError) and error.filename is None
                # Dask's own KilledWorker is known by its name: Dask is not imported here.
                killed = isinstance(error, CancelledError) or type(error).__name__ == "KilledWorker"
                if not unreachable and not killed and "Actor was lost" not in str(error):
                    raise
                self.actors[place] = None
        raise RuntimeError(f"dask_fit: workers were lost {_LOST} times in one step.")

    def _made(self, place: int) -> Any:
        """Make a partition on one of the workers that are left."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        given: dict[str, Any] = {"actor": True, "pure": False}
        if workers:
            given |= {"workers": [workers[place % len(workers)]], "allow_other_workers": True}
        return self.client.submit(Partition, *self.trained, self.sources[place], place, **given).result()


class _ClusterStep(EagerStep):
    """A step whose sums come from a cluster; the workers compare their compiled steps with eager ones."""

    compiled = True

    def __init__(self, problem: Problem, cluster: _Cluster) -> None:
        super().__init__(problem)
        self.cluster = cluster

    def sums(self, batch: Batch) -> Any:
        """Return the sums of the loss and of its gradient over a batch, and the number of its samples."""
        return self.cluster.sums(np.array([leaf.data for leaf in self.optimizer.parameters]), batch)


class _ClusterBatches(Batches):
    """Steps over all partitions at once: each takes its share of every batch."""

    def __init__(self, cluster: _Cluster, batch_size: int | None, seed: int) -> None:
        first = cluster.facts[0][0]
        self.known = Samples([first[0]], [first[1]], "dask_fit")
        self.seed = seed
        self.divide(sum(count for _, count, _ in cluster.facts), batch_size)

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
    **settings: Any,
) -> History:
    """Train a model on data that are kept on the workers of a Dask cluster.

    Each worker keeps its partitions and a compiled copy of the model. A step sends the parameters out and the
    sums of the gradients back: 8 bytes for each parameter and partition. If a worker is lost, Dask makes its
    partitions again on another one and the step is repeated, with the same result.

    Args:
        client: a `dask.distributed.Client`.
        model: a Module, or any function of a row; then `optimizer` must hold the parameters.
        partitions: for each partition a pair (X, y), or a triple with weights; or a function without
            arguments that returns one, run on the worker; or a Dask future of one. Data that are sent from
            here stay with the scheduler, so let functions read large data.
        loss: as for `fit`, and so are all that follow; batches are drawn within the partitions.
        **settings: other arguments of `fit`: learning_rate or lr, parameters, validation, seed, progress,
            callbacks, what ends the training, max_gradient_norm and restore_best.

    Raises:
        ValueError: as `fit` does, for the data of any partition.
        TypeError: as `fit` does, and for what is not a client.
    """
    defaults = {name: each.default for name, each in signature(fit).parameters.items()}
    refuse_unknown("dask_fit", settings, [name for name in defaults if name not in _OF_FIT_ONLY])
    named = {"model": model, "loss": loss, "optimizer": optimizer, "epochs": epochs, "batch_size": batch_size}
    given: dict[str, Any] = defaults | settings | named | {"compile": True}  # no eager steps to go on with
    if isinstance(client, type) or not hasattr(client, "scheduler_info"):
        raise TypeError(f"dask_fit takes client as a dask.distributed.Client; got {described(client)}.")
    checked_settings, loss_function = checked("dask_fit", **given), chosen_loss("dask_fit", loss)
    wanted = "a list with a pair (X, y), a function or a future for each partition"
    sources = listed("dask_fit", "partitions", partitions, wanted)
    for source in sources:
        if not callable(source) and not isinstance(source, tuple | list) and not hasattr(source, "key"):
            raise TypeError(f"dask_fit takes partitions as {wanted}; got {described(source)} in it.")
    if not sources:
        raise ValueError("dask_fit needs at least one partition; got none.")
    if isinstance(optimizer, str):
        one_of("dask_fit", "optimizer", optimizer, OPTIMIZERS)  # no solvers of SciPy
    updates, validation = chosen_optimizer("dask_fit", given), held_out("dask_fit", given["validation"])
    cluster = _Cluster(client, model, loss_function, updates.parameters, sources)
    batches = _ClusterBatches(cluster, batch_size, checked_settings.seed)
    problem = Problem(model, loss_function, updates, batches.known, validation, Ranks(None))
    problem.check()
    if problem.dropout:
        raise ValueError("dask_fit: models with dropout are trained by fit.")
    return Run(problem, batches, checked_settings, _ClusterStep(problem, cluster)).history
