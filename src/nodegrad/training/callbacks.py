"""Callbacks for `fit`: a log as CSV, and a learning rate that falls where the loss no longer does."""

import os

from nodegrad.inputs import file_path, in_range, whole
from nodegrad.training.history import History, Plateau

__all__ = ["CSVLog", "ReduceOnPlateau"]


class CSVLog:
    """Writes a line for each epoch: its number, the losses, and the metrics.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> CSVLog(path)(1, History(losses=[0.5]))
    >>> print(path.read_text(), end="")
    epoch,loss
    1,0.5
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.logged = file_path("CSVLog", "path", path), 0

    def __call__(self, epoch: int, history: History) -> None:
        """Write the line of an epoch; the lines of all epochs, if it has not written the one before."""
        columns, new = history.history, epoch == 1 or epoch != self.logged + 1
        lines = [["epoch", *columns]] * new
        for place in range(0 if new else history.epochs - 1, history.epochs):
            lines.append([str(place + 1), *[repr(course[place]) for course in columns.values()]])
        with open(self.path, "w" if new else "a", encoding="utf-8", newline="") as file:
            file.writelines(f"{','.join(line)}\n" for line in lines)
        self.logged = epoch


class ReduceOnPlateau(Plateau):
    """Multiplies the learning rates by `factor` after `patience` epochs in which the loss has not improved.

    The loss is that of the validation data where there are any.

    >>> import nodegrad as ng
    >>> x = ng.Value(1.0)
    >>> reduce, optimizer = ReduceOnPlateau(patience=1), ng.optim.SGD([x], 0.1)
    >>> for losses in ([1.0], [1.0, 1.0]):
    ...     reduce(len(losses), History(losses=losses, optimizer=optimizer))
    >>> optimizer.learning_rate
    0.05

    Args:
        factor: what the rates are multiplied by, above 0 and below 1.
        patience: how many epochs without improvement it waits for.
        tolerance: the relative improvement that counts as none.
        minimum: the least learning rate.
    """

    def __init__(
        self, factor: float = 0.5, patience: int = 5, tolerance: float = 1e-4, minimum: float = 0.0
    ) -> None:
        user, amount = "ReduceOnPlateau", "a finite number of at least 0"
        super().__init__(in_range(user, "tolerance", tolerance, amount))
        self.factor = in_range(user, "factor", factor, "a number above 0 and below 1")
        self.patience = whole(user, "patience", patience)
        self.minimum = in_range(user, "minimum", minimum, amount)

    def __call__(self, epoch: int, history: History) -> None:
        """Look at the loss of an epoch."""
        if self.count((history.validation_losses or history.losses)[-1]) < self.patience:
            return
        self.waited = 0
        for group in history.optimizer.groups:
            if callable(group.learning_rate):
                raise TypeError("ReduceOnPlateau takes learning rates that are numbers, not schedules.")
            group.learning_rate = max(self.minimum, group.learning_rate * self.factor)
