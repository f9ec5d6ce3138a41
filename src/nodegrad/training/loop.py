"""fit: train a model, and return why training stopped."""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Never

from nodegrad.data import Samples, sequence
from nodegrad.graph import recording
from nodegrad.inputs import function, meant, one_of
from nodegrad.nn.losses import chosen_loss
from nodegrad.optim import OPTIMIZERS, Optimizer
from nodegrad.training.batches import ArrayBatches, Batches, StreamBatches, class_weights, held_out
from nodegrad.training.history import Callback, History, Settings, checked
from nodegrad.training.metrics import METRICS, Metric, chosen_metrics
from nodegrad.training.problem import Loss, Problem
from nodegrad.training.ranks import Combine, Ranks
from nodegrad.training.run import Run
from nodegrad.training.solvers import SOLVERS
from nodegrad.value import Value

__all__ = ["fit"]


def fit(
    model: Callable[[Any], Any],
    X: Any,
    y: Any = None,
    loss: str | Loss = "mean_squared_error",
    optimizer: str | Optimizer = "adam",
    epochs: int = 100,
    batch_size: int | None = None,
    *,
    parameters: Iterable[Value] | None = None,
    learning_rate: Any = None,
    lr: Any = None,
    sample_weight: Any = None,
    class_weight: str | Mapping[Any, float] | None = None,
    validation: tuple[Any, ...] | None = None,
    metrics: str | Sequence[str | Metric] | None = (),
    tolerance: float = 1e-6,
    patience: int | None = 10,
    target_loss: float = -math.inf,
    gradient_tolerance: float = 0.0,
    max_gradient_norm: float = math.inf,
    restore_best: bool = False,
    seed: int | None = None,
    progress: bool | None = None,
    compile: bool | None = None,
    callback: Callback | None = None,
    callbacks: Iterable[Callback] | None = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool | str | os.PathLike[str] = False,
    combine: Combine | None = None,
    **unknown: Never,
) -> History:
    """Train a model: minimise the mean over samples of loss(model(x), y) by mini-batch gradient descent.

    It stops at the first of these:

    - the loss is at most `target_loss`;
    - the loss has improved by less than `tolerance` times itself in `patience` epochs, or that of the
      validation data has never been finite;
    - the norm of the gradient is at most `gradient_tolerance` in every batch of an epoch;
    - `epochs` epochs are over, or a callback returns True;
    - Ctrl-C, which leaves the model as the last step did;
    - a loss or gradient that is not finite, which leaves the model as it was before that step.

    >>> import nodegrad as ng
    >>> model = ng.nn.MLP(1, [1], seed=1)
    >>> history = fit(
    ...     model, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], optimizer="sgd", learning_rate=0.2, epochs=500
    ... )
    >>> history.reason, round(model([10.0]).data, 2)
    ('tolerance', 21.0)

    Args:
        model: a Module, or any function of a row of X; then give `parameters`, or an Optimizer that holds
            them.
        X: the rows: lists, an array (one mapped from a file is never read as a whole), or a data frame. Or,
            without `y`, batches to go through in every epoch: pairs of rows and targets, or triples with
            weights, which are used as they are. They may be a list, a PyTorch DataLoader, or a function that
            returns an iterator.
        y: a target for each row: a number, a list of numbers, or for cross_entropy the number of a class.
        loss: the name of a loss in `nodegrad.nn`, or a function of a prediction and a target.
        optimizer: an Optimizer, or the name of one: sgd, adam, adamw, rmsprop. Or, from SciPy and over all
            rows at once, lbfgs; or lm (Levenberg-Marquardt), for the mean squared error, which goes on
            until no digit improves, whatever the patience. These two keep no checkpoints. An epoch is an
            iteration that SciPy reports; the loss of lbfgs is that after it.
        epochs: how often to go through the data at most.
        batch_size: how many random rows make a step (over all ranks, with `combine`); None for all.
        parameters: what an optimizer given by name updates; None for all parameters of the model.
        learning_rate: that of an optimizer given by name: a number, or a schedule: a function of the step
            alone. `lr` is the same.
        sample_weight: a weight for each row; the mean loss is weighted by them.
        class_weight: a weight for each class in y by its number; or "balanced", which gives all classes
            the same weight (not with `combine`).
        validation: rows and targets (and weights, if you like) that the model is not trained on. Their loss
            is then the one that `target_loss`, `tolerance` and `restore_best` look at.
        metrics: what to measure after each epoch: accuracy, r2, auc, or functions of lists of predictions and
            targets that return a number. One whose first argument is y_true, as in scikit-learn, is given the
            targets first.
        tolerance: the relative improvement that counts as negligible.
        patience: how many epochs without that improvement end the training; None for any number.
        target_loss: the loss that is small enough.
        gradient_tolerance: the norm of the gradient that is small enough.
        max_gradient_norm: gradients of a larger norm are scaled down to it.
        restore_best: leave the parameters of the epoch with the lowest loss, not those of the last.
        seed: what the batches are drawn with; None for a number from Python's global generator.
        progress: show a progress bar (needs tqdm). By default on a terminal, where tqdm is installed.
        compile: whether to run compiled steps: False for never, True for always (an error if that is not
            possible). By default steps are compiled if NumPy is installed, the model can be compiled, and
            there is enough to do; the History says why they were not. Compiled and eager losses differ by
            rounding.
        callback: called with the number of epochs done and the History after each; True stops the training,
            None or False lets it go on.
        callbacks: more of them; `nodegrad.training.callbacks` has some.
        checkpoint: a file with all that another run needs to go on as if this one had never stopped,
            shared random generators included, and the states of callbacks that have state_dict() and
            load_state_dict(state). That run takes the same data, weights, loss and settings; `epochs`, the
            other criteria for stopping, `callbacks` and `progress` may differ. For equal bits set `compile`
            to True or False: by default it depends on `epochs`.
        checkpoint_every: how many epochs apart it is written.
        resume: go on from the file of `checkpoint` if it exists (True), or from another file. A training that
            had a reason to stop stays as it is, unless more `epochs` or other criteria remove that reason.
            One that a callback stopped goes on if there are no callbacks.
        combine: a function from an array to its sum over all ranks, such as one that calls MPI's Allreduce.
            Each rank calls `fit` with its own rows, an equal model, and the same seed and settings. One rank
            alone may have a checkpoint, and callbacks that stop the training or change nothing. Callbacks
            that change the optimizer or the parameters must do the same on every rank.

    Raises:
        ValueError: before anything has changed: for empty, uneven or mismatched data, nan or inf in them,
            weights that sum to 0, settings out of range, an optimizer of parameters that the loss does not
            depend on, or a checkpoint of another training. Later: if a schedule gives two rates for one
            step, a callback returns anything but True, False or None, or ranks differ.
        TypeError: for data that are not numbers, or a loss that is not one Value.
        FileNotFoundError: if the folder of the checkpoint is missing.
        RuntimeError: if another rank failed.
    """
    given, ranks = locals(), Ranks(combine)

    def prepare() -> tuple[Problem, Batches, Settings, type[Run]]:
        """Check all arguments; whatever is wrong here ends the other ranks, too."""
        refuse_unknown("fit", unknown, inspect.signature(fit).parameters)
        loss_function = chosen_loss("fit", loss)
        known = () if metrics is None else metrics
        settings = checked("fit", **given | {"metrics": chosen_metrics(known, loss_function)})
        updates = chosen_optimizer("fit", given)
        size = settings.batch_size
        solver = SOLVERS.get(optimizer) if isinstance(optimizer, str) else None
        if solver is not None and (size is not None or y is None):
            raise ValueError(f"fit: optimizer={optimizer!r} takes all rows at once: leave batches out.")
        if combine is not None and settings.metrics:
            raise ValueError("fit: metrics are those of one process. Leave them out with combine.")
        if combine is not None and class_weight is not None and not isinstance(class_weight, Mapping):
            raise ValueError("fit: with combine no rank sees all rows: give class_weight as a dict.")
        if combine is None and checkpoint is None and checkpoint_every != 1:
            raise ValueError("fit: checkpoint_every needs the file of checkpoint=: say which that is.")
        file = settings.checkpoint
        if file is not None and not (folder := Path(file).resolve().parent).is_dir():
            raise FileNotFoundError(f"fit: there is no folder {str(folder)!r} for the checkpoint.")
        batches: Batches
        if y is None:
            if sample_weight is not None or class_weight is not None:
                raise ValueError("fit: without y, the weights of rows come third in each batch.")
            batches = StreamBatches(X, combine)
        else:
            weights = class_weights(class_weight, y, sample_weight)
            batches = ArrayBatches(Samples(X, y, "fit", weights=weights), size, settings.seed, ranks)
        problem = Problem(model, loss_function, updates, batches.known, held_out("fit", validation), ranks)
        problem.check()
        for name in METRICS.keys() & settings.metrics.keys():  # whether it can be found for these targets
            settings.metrics[name]([problem.output] * len(batches.known), batches.known.parts[1])
        return problem, batches, settings, solver or Run

    with recording(), ranks.interrupted_together():
        y = ranks.together(lambda: y if y is None else sequence(y, "fit", "y"))  # gone through several times
        problem, batches, settings, way = ranks.together(prepare)
        ranks.same({"class_weight": class_weight})
        problem.weigh()
        batches.start(problem)
        ranks.together(lambda: way.check(problem, settings))
        return way(problem, batches, settings).history


# Checks before anything runs.


def refuse_unknown(user: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Refuse unknown names of arguments, and say which name was probably meant."""
    names = [name for name in known if name != "unknown"]
    for name in [name for name in unknown if name not in names]:
        likely = {"verbose": "progress"}.get(name) or meant(name, names)
        raise TypeError(f"{user} has no argument {name!r}." + f" Write {likely!r}." * bool(likely))


def chosen_optimizer(user: str, given: Mapping[str, Any]) -> Optimizer:
    """Return an optimizer by its name; for a solver, one that holds the parameters and takes no step."""
    optimizer, model, parameters = given["optimizer"], given["model"], given["parameters"]
    learning_rate, lr = given["learning_rate"], given["lr"]
    function(user, "model", model, "a Module or a function of a row")
    if lr is not None and learning_rate is not None:
        raise TypeError(f"{user} got both lr and learning_rate, which are the same.")
    learning_rate = lr if learning_rate is None else learning_rate
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None or parameters is not None:
            raise ValueError(
                f"{user}: an Optimizer has its own learning_rate and parameters: give them there."
            )
        return optimizer
    remedy = "Or give an Optimizer: nodegrad.optim.SGD(model.parameters(), 0.01)."
    one_of(user, "optimizer", optimizer, [*OPTIMIZERS, *SOLVERS], remedy)
    if parameters is None and not callable(getattr(model, "parameters", None)):
        raise TypeError(
            f"{user}: {getattr(model, '__name__', type(model).__name__)} has no parameters(). Say what to "
            f"update: {user}(..., parameters=[...]), or optimizer=nodegrad.optim.SGD([...], 0.01)."
        )
    if optimizer in SOLVERS and learning_rate is not None:
        raise ValueError(f"{user}: optimizer={optimizer!r} finds its own steps: leave learning_rate out.")
    settings = {} if learning_rate is None else {"learning_rate": learning_rate}
    update = OPTIMIZERS["sgd" if optimizer in SOLVERS else optimizer]
    return update(model.parameters() if parameters is None else parameters, **settings)
