"""Run: a training under way, compiled where wanted and possible, eager otherwise."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from operator import mul
from typing import Any, TypeVar

from nodegrad.inputs import flag, plain
from nodegrad.nn.predict import Predictor
from nodegrad.training import checkpoint
from nodegrad.training.batches import Batches
from nodegrad.training.eager_step import EagerStep
from nodegrad.training.history import Criteria, History, Settings
from nodegrad.training.problem import Batch, NotFinite, Problem, Taken
from nodegrad.value import write

__all__ = ()

# Samples in all epochs: with fewer, compiling takes longer than it saves, unless the model is large (measured
# with 337, 5,313 and 84,874 parameters).
_WORTH_COMPILING = 2000
Result = TypeVar("Result")
_RESPONSE = 0.1  # seconds of native code between looks at Ctrl-C and the progress bar


class Run:
    """Trains until there is a reason to stop; `history` holds what happened."""

    def __init__(
        self, problem: Problem, batches: Batches, settings: Settings, step: EagerStep | None = None
    ) -> None:
        self.problem, self.batches, self.settings = problem, batches, settings
        self.step = step or EagerStep(problem)
        self.history = History(model=problem.model, optimizer=problem.optimizer)
        # The model has run by now, and has made the modules that it makes at its first call.
        self.predict = Predictor(problem.model) if settings.metrics else None
        self.best: tuple[float, list[float]] = (math.inf, [])
        self.criteria = Criteria(settings)
        self.chunk = 1  # steps in a call
        self.tried = False  # whether a compiled step has been compared with eager code
        wanted = [len(settings.callbacks), settings.checkpoint is not None, bool(settings.resume)]
        self.calls, self.saves, resumes = problem.ranks.sum(wanted)  # on any rank: the others join in
        ranks = problem.ranks.combine is not None
        self.described = checkpoint.description(self) if self.saves or resumes or ranks else {}
        if self.saves or resumes:
            self.described |= checkpoint.checksums(self)
        generators = self._resume() if resumes else None
        self.history.reason = self._finished()
        names = ("epochs", "tolerance", "patience", "target_loss", "gradient_tolerance", "compile")
        if ranks:
            problem.ranks.same(
                {"method": type(self).__name__}
                | self.described
                | {name: getattr(settings, name) for name in (*names, "checkpoint_every")}
                | {"end of the checkpoint": self.history.reason}
                | {"start of the parameters": [leaf._data for leaf in problem.optimizer.parameters]}
            )
        started = time.perf_counter() - self.history.seconds
        problem.ranks.together(self._read_schedules)
        try:
            if step is None:
                self._compile()
            if generators is not None:
                checkpoint.set_generators(generators)
            self._go()
            if problem.ranks.interrupted:  # after the last sum
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.history.reason = "interrupted"
            for course in self.history.history.values():
                del course[len(self.history.gradient_norms) :]  # these come last in an epoch
        except NotFinite as found:
            self.history.reason = "diverged"
            _warn(
                f"{found} in epoch {self.history.epochs + 1}{problem.ranks.not_finite()}, and training "
                "stopped; the model is as it was before that step. A smaller learning_rate, scaled data or a "
                "max_gradient_norm may help."
            )
        finally:
            self._push()
            self.history.compiled, self.history.seconds = self.step.compiled, time.perf_counter() - started
        if self.best[1]:
            write(problem.optimizer.parameters, self.best[1])
        losses = self.history.validation_losses
        if losses and not any(map(math.isfinite, losses)):
            _warn(f"the validation loss was {losses[-1]} after every epoch. Look at the validation data.")

    @classmethod
    def check(cls, problem: Problem, settings: Settings) -> None:
        """Refuse what this way of training cannot do."""

    def _finished(self) -> str:
        """Return why the training of the checkpoint is at its end by these settings, or an empty text."""
        history, met = self.history, ""
        for loss, norm in zip(
            history.validation_losses or history.losses, history.gradient_norms, strict=True
        ):
            met = self.criteria.met(loss, norm)
        called = history.reason if history.reason == "callback" and self.calls else ""
        return met or called or ("max epochs" if history.epochs >= self.settings.epochs else "")

    def _resume(self) -> str | None:
        """Go on from a checkpoint of the same epoch on every rank; return its generators' states."""
        ranks, resumes = self.problem.ranks, self.settings.resume
        content = ranks.together(lambda: checkpoint.load(self) if resumes else None)
        ranks.same({"epochs in the checkpoint": len(content["history"]["losses"]) if content else 0})
        if content is None:
            return None
        return ranks.together(lambda: checkpoint.go_on_from(self, content))

    # The loop.

    def _go(self) -> None:
        left = self.settings.epochs - self.history.epochs
        steps = None if self.batches.steps is None else self.batches.steps * left
        with progress_bar(self.settings.progress, steps) as shown:
            while not self.history.reason:
                self._epochs(shown)

    def _epochs(self, shown: Callable[[int, float], None]) -> None:
        """Go through one epoch, or through several if nothing needs the model in between."""
        history, first, many = self.history, self.history.epochs, self._at_once()
        before = self.step.mark()
        plan = [self.batches.epoch(first + number) for number in range(many)]
        taken = self._take(chain.from_iterable(plan), shown)
        if self.noted:
            self.problem.ranks.together(lambda: self._check_schedules(len(taken)))
        remaining = iter(taken)
        for _ in plan:
            self._close(list(islice(remaining, self.batches.steps)))
            if history.reason:
                break
        done = history.epochs - first
        if done < many:  # steps after the end must not count: go back and repeat those before it
            self.step.reset(before)
            self._take(chain.from_iterable(plan[:done]), lambda count, loss: None)

    def _at_once(self) -> int:
        """Return how many epochs to go through in one native call."""
        settings, steps = self.settings, self.batches.steps
        watched = settings.watched or self.problem.held_out or self.problem.dropout
        if watched or not self.step.native or steps is None:
            return 1
        left: int = settings.epochs - self.history.epochs
        if settings.checkpoint is not None:
            left = min(left, settings.checkpoint_every - self.history.epochs % settings.checkpoint_every)
        return max(1, min(left, self.chunk // steps))

    def _take(self, batches: Iterable[Batch], shown: Callable[[int, float], None]) -> list[Taken]:
        """Take a step for each batch, several in a native call; stop at a result that is not finite."""
        taken: list[Taken] = []
        remaining, some = iter(batches), list[Batch]()
        while some := some or list(islice(remaining, self.chunk if self.step.native else 1)):
            started = time.perf_counter()
            found = self._do(some)
            seconds = time.perf_counter() - started
            taken += found
            some = some[len(found) :]
            shown(len(found), found[-1][0])
            if not all(map(math.isfinite, found[-1])):
                break
            if len(found) == self.chunk:
                self.chunk = max(1, int(self.chunk * min(2.0, _RESPONSE / (seconds + 1e-9))))
        return taken

    def _close(self, taken: list[Taken]) -> None:
        """Record the results of an epoch, and decide whether it was the last."""
        history, settings, problem = self.history, self.settings, self.problem
        for name, number in zip(("loss", "gradient"), taken[-1], strict=False):
            if not math.isfinite(number):
                raise NotFinite(f"the {name} became {number}")
        losses, norms, sizes = zip(*taken, strict=True)
        watched = math.fsum(map(mul, losses, sizes)) / math.fsum(sizes)
        history.losses.append(watched)
        if problem.held_out is not None:
            watched = problem.mean_over_held_out(lambda: self._attempt(lambda step: step.validate()))
            history.validation_losses.append(watched)
        if settings.watched or self.calls:
            self._look(watched)
        history.gradient_norms.append(max(norms))
        reason = self.criteria.met(watched, max(norms))
        if self.calls and self._call():
            reason = reason or "callback"
        history.reason = reason or ("max epochs" if history.epochs >= settings.epochs else "")
        if self.saves and (history.reason or history.epochs % settings.checkpoint_every == 0):
            self._push()
            problem.ranks.together(lambda: checkpoint.save(self) if settings.checkpoint is not None else None)

    def _look(self, watched: float) -> None:
        """Compute metrics, and keep the parameters if they are the best so far."""
        settings, history, problem = self.settings, self.history, self.problem
        self.step.push()
        for prefix, part in (("", problem.known), ("val_", problem.held_out)):
            if self.predict is not None and part is not None:
                predictions = self.predict(part.parts[0])
                for name, metric in settings.metrics.items():
                    found = plain(metric(predictions, part.parts[1]), f"fit, metric {name},")
                    history.metrics.setdefault(prefix + name, []).append(found)
        if settings.restore_best and watched < self.best[0]:
            self.best = watched, [leaf.data for leaf in problem.optimizer.parameters]
            history.best_epoch = history.epochs

    def _call(self) -> bool:
        """Call the callbacks and take over what they change; return whether one asks to stop.

        Raises:
            ValueError: if they leave ranks with different parameters or settings.
        """
        history, problem, optimizer = self.history, self.problem, self.problem.optimizer

        def call() -> bool:
            answers = [
                flag("fit", "what a callback returns", each(history.epochs, history), optional=True)
                for each in self.settings.callbacks
            ]
            optimizer.check_frozen("fit")
            for group in optimizer.groups:
                group.check()
            return any(answers)

        stop = problem.ranks.any(call)
        if problem.ranks.combine is not None:
            after = checkpoint.facts_of([group.state_dict() for group in optimizer.groups])
            after["parameters"] = [leaf.data for leaf in optimizer.parameters]
            problem.ranks.same({f"{name} after the callbacks": fact for name, fact in after.items()})
        self.step.pull()
        self._check(self.step.check)
        problem.ranks.together(self._read_schedules)
        return stop

    # Schedules.

    def _read_schedules(self) -> None:
        """Note the learning rates of the next step, which must stay the same until callbacks are called."""
        optimizer = self.problem.optimizer
        self.noted = {optimizer.steps: optimizer.rates(optimizer.steps)}
        self._check_schedules(0)
        if not any(callable(group.learning_rate) for group in optimizer.groups):
            self.noted = {}  # numbers stay as they are

    def _check_schedules(self, taken: int) -> None:
        """Refuse a schedule that gives two rates for one step: resumed trainings would differ.

        Keep the rates of the first step noted, and note those after as many steps as were taken.
        """
        read = self.problem.optimizer.rates
        for step, rates in self.noted.items():
            if read(step) != rates:
                raise ValueError(
                    f"fit: the learning rate of step {step} was {rates} and is {read(step)}. A schedule is a "
                    "function of the step alone: let it keep nothing between calls. To follow something "
                    "else, set optimizer.learning_rate in a callback."
                )
        if taken:
            first, next_step = min(self.noted), max(self.noted) + taken
            self.noted = {first: self.noted[first], next_step: read(next_step)}

    # Compiled or eager.

    def _compile(self) -> None:
        settings, problem = self.settings, self.problem
        if settings.compile is False:
            self.history.eager_because = "compile=False"
            return
        samples = settings.epochs * (self.batches.total or 100 * len(problem.known))
        enough = min(_WORTH_COMPILING, max(100, 500_000 // len(problem.optimizer.parameters)))
        if settings.compile is None and samples < enough:
            self.history.eager_because = "there is too little to do to try compiling"
            return

        def check() -> None:
            from nodegrad.training.compiled_step import CompiledStep

            self.step = CompiledStep(problem)
            self.step.check()

        self._check(check)

    def _do(self, batches: list[Batch]) -> list[Taken]:
        """Take one step or more; the first compiled one is compared with eager code."""
        before, limit = self.step.mark(), self.settings.max_gradient_norm
        found = self._attempt(lambda step: step.take(batches, limit), before)
        if self.step.compiled and not self.tried and all(map(math.isfinite, found[-1])):
            self.tried = True
            self._check(self.step.check, before)
            if not self.step.compiled:
                found = self.step.take(batches, limit)
        return found

    def _attempt(self, work: Callable[[EagerStep], Result], before: Any = None) -> Result:
        """Do something with the steps; if compiled ones fail, go on with eager ones."""
        try:
            return work(self.step)
        except Exception as error:
            if not self.step.compiled or self.problem.ranks.combine is not None:
                raise
            self._retreat(error, before)
            return work(self.step)

    def _check(self, check: Callable[[], None], before: Any = None) -> None:
        """Go on eagerly on every rank if on one the steps fail or differ from eager ones."""
        try:
            self.problem.ranks.together(check)
        except Exception as error:
            self._retreat(error, before)

    def _retreat(self, error: Exception, before: Any = None) -> None:
        """Go on eagerly, or raise the error if the steps must be compiled."""
        if before is not None:
            self.step.reset(before)
        if self.settings.compile:
            raise error
        self.history.eager_because = str(error) or type(error).__name__
        self.step.push()
        self.step = EagerStep(self.problem)

    def _push(self) -> None:
        """Write all results back; if Ctrl-C interrupts that, write them again."""
        try:
            self.step.push()
        except KeyboardInterrupt:
            self.step.push()
            self.history.reason = "interrupted"


def _warn(text: str) -> None:
    warnings.warn(f"fit: {text}", RuntimeWarning, stacklevel=4)  # at the line that calls fit


@contextmanager
def progress_bar(
    wanted: bool | None, steps: int | None, unit: str = "step"
) -> Iterator[Callable[[int, float], None]]:
    """Show a bar for that many steps, and yield what to call with how many are done and the last loss."""
    tqdm = None
    if wanted or (wanted is None and sys.stderr.isatty()):
        with suppress(ImportError):
            from tqdm import tqdm  # type: ignore[no-redef]
    if tqdm is None:
        if wanted:
            raise ImportError("fit(progress=True) needs tqdm: pip install tqdm, or leave progress out.")
        yield lambda count, loss: None
        return
    with tqdm(total=steps, unit=unit) as bar:

        def shown(count: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(count)

        yield shown
