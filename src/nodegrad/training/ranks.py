"""Ranks: processes that train one model together, each on its own rows."""

import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import compress
from typing import Any, TypeVar

from nodegrad.inputs import described, function

__all__ = ()

Combine = Callable[[Any], Any]
Result = TypeVar("Result")

_MESSAGE = 400  # characters of an error that the other ranks are told
_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "RANK")


class Ranks:
    """All ranks of a training: adds numbers up over them, and ends all of them where one fails.

    Every rank calls the same methods in the same order, so that none waits for a rank that has stopped.

    Args:
        combine: a function from an array of floats to its sum over all ranks; None where there is only one.
    """

    def __init__(self, combine: Combine | None) -> None:
        if combine is not None:
            function("fit", "combine", combine, "a function that sums an array over ranks")
        self.combine, self.finite, self.interrupted = combine, True, False

    def sum(self, numbers: Any) -> Any:
        """Return the sum of an array over all ranks."""
        if self.combine is None:
            return numbers
        import numpy as np

        given = np.array(numbers, float)
        found = self.combine(given)
        if found is None:  # it adds in place
            return given
        if getattr(found, "shape", None) != given.shape:
            raise TypeError(
                f"fit takes combine as a function that returns an array; it gave {described(found)}."
            )
        return np.asarray(found, float)

    def summed(self, compute: Callable[[], Any], size: int, rates: Callable[[], Any] | None = None) -> Any:
        """Return the sum over all ranks of the `size` numbers that each computes.

        Raises:
            ValueError: on all ranks, if they differ in the learning rates of this step.
            Exception: what was raised here; on the other ranks a RuntimeError that quotes it.
            KeyboardInterrupt: on all ranks, if one was interrupted.
        """
        if self.combine is None:
            return compute()
        import numpy as np

        caught: BaseException | None = None
        numbers = np.zeros(size + 5)
        try:
            own = rates() if rates else None
            numbers[size + 2 :] = _codes([own])
            numbers[:size] = compute()
        except BaseException as error:
            caught = error
            numbers[:] = 0.0
            numbers[size] = not isinstance(error, KeyboardInterrupt)
        numbers[size + 1] = self.interrupted or isinstance(caught, KeyboardInterrupt)
        if size:
            self.finite = bool(np.isfinite(numbers[:size]).all())
        total = self.sum(numbers)
        if total[size]:
            message = self.told("" if caught is None else f"{_name()}: {type(caught).__name__}: {caught}")
            if caught is not None:
                raise caught
            raise RuntimeError(f"fit: another rank failed. {message}")
        if total[size + 1]:
            raise KeyboardInterrupt
        if any(_differ(total[size + 2 :])):
            raise ValueError(
                f"fit: all ranks need the same learning rates in each step; here they are {own}."
            )
        return total[:size]

    @contextmanager
    def interrupted_together(self) -> Iterator[None]:
        """Hold the first Ctrl-C back until the next sum, where all ranks stop."""
        if self.combine is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        import signal  # which most trainings need not load

        def hold(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, hold) or signal.SIG_DFL
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def same(self, facts: dict[str, Any]) -> None:
        """Make sure that all ranks have the same settings and parameters, by sums of their checksums.

        Raises:
            ValueError: on every rank, naming the first fact that differs.
        """
        if self.combine is None:
            return
        for name, fact in compress(facts.items(), _differ(self.sum(_codes(facts.values())))):
            raise ValueError(f"fit: all ranks need the same {name}; here it is {fact!r:.60}, on {_name()}.")

    def not_finite(self) -> str:
        """Say on which rank the last numbers were not finite."""
        told = "" if self.combine is None else self.told("" if self.finite else _name())
        return told and f" on {told}"

    def told(self, text: str) -> str:
        """Return the text of the one rank that has one; or how many ranks have."""
        import numpy as np

        letters = np.zeros(_MESSAGE + 1)
        letters[: len(text[:_MESSAGE])] = [ord(letter) for letter in text[:_MESSAGE]]
        letters[-1] = bool(text)
        *total, count = self.sum(letters)
        return "".join(chr(int(code)) for code in total if code) if count <= 1 else f"{int(count)} ranks"

    def any(self, answer: Callable[[], Any]) -> bool:
        """Return whether the answer is yes on any rank."""
        return bool(self.summed(lambda: [float(bool(answer()))], 1)[0])

    def together(self, work: Callable[[], Result]) -> Result:
        """Do something on every rank; if it fails on one, raise an error on all."""
        results: list[Result] = []

        def compute() -> list[float]:
            results.append(work())
            return []

        self.summed(compute, 0)
        return results[0]


def _codes(facts: Iterable[Any]) -> Any:
    """Return a number for each fact, their squares, and 1, for `_differ` to read their sums."""
    import numpy as np

    codes = np.array([zlib.crc32(repr(fact).encode()) % 2**20 for fact in facts], float)
    return np.concatenate([codes, codes * codes, [1.0]])


def _differ(total: Any) -> Any:
    """Return for each fact whether ranks differ in it: whether the variance of its number is not 0."""
    *sums, count = total
    half = len(sums) // 2
    return [square * count != plain**2 for plain, square in zip(sums[:half], sums[half:], strict=True)]


def _name() -> str:
    """Return the name of this rank, from the variables of MPI or Slurm, or else from its process."""
    numbers = [os.environ[name] for name in _VARIABLES if name in os.environ]
    return f"rank {numbers[0]}" if numbers else f"process {os.getpid()}"
