"""Solvers: L-BFGS and Levenberg-Marquardt of SciPy, with our compiled derivatives over all rows."""

import math
import time
from collections.abc import Callable
from typing import Any

from nodegrad.nn.losses import LOSSES
from nodegrad.training.history import History, Settings
from nodegrad.training.problem import Problem

Array = Any


class _Stopped(Exception):
    """There is a reason to stop."""


def solve(name: str, problem: Problem, settings: Settings) -> History:
    """Train by a solver of SciPy: "lbfgs" for any loss, "lm" for the mean squared error of one output.

    An epoch of the History is an iteration of L-BFGS, or an evaluation of Levenberg-Marquardt that improved.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: for what a solver cannot do: ranks, checkpoints, dropout, or another loss with lm.
    """
    if settings.checkpoint is not None or settings.resume or problem.ranks.combine or problem.noisy:
        raise ValueError(f"fit: optimizer={name!r} knows no checkpoints, no ranks and no dropout.")
    if name == "lm" and problem.loss is not LOSSES["mean_squared_error"]:
        raise ValueError(
            "fit: optimizer='lm' minimises the mean_squared_error; for other losses use 'lbfgs'."
        )
    return _Solver(problem, settings).run(_lbfgs if name == "lbfgs" else _levenberg_marquardt)


class _Solver:
    """The course of a solver: notes iterations, and keeps the best parameters."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        from nodegrad.training.compiled_step import CompiledStep

        self.problem, self.settings = problem, settings
        self.history = History(model=problem.model, optimizer=problem.optimizer, compiled=True)
        self.step = CompiledStep(problem)
        self.leaves = problem.optimizer.parameters
        self.start = self.step.point.numbers.copy()

    def run(self, solver: Callable[["_Solver"], str]) -> History:
        """Run a solver, and return what happened."""
        history, started = self.history, time.perf_counter()
        try:
            history.reason = solver(self)
        except _Stopped:
            pass
        except KeyboardInterrupt:
            history.reason = "interrupted"
        self.step.push()
        history.seconds = time.perf_counter() - started
        return history

    def loss(self, numbers: Array) -> tuple[float, Array]:
        """Return the mean loss over all rows and its gradient."""
        import numpy as np

        with np.errstate(all="ignore"):
            found = self.step.known(np.ascontiguousarray(numbers)) / self.step.known.count
        return float(found[0]), found[1:]

    def note(self, numbers: Array, loss: float, slope: Array) -> None:
        """Take over the parameters of an iteration; stop where there is a reason."""
        history, settings, problem = self.history, self.settings, self.problem
        norm = math.sqrt(float(slope @ slope))
        self.step.point = self.step.point._replace(numbers=numbers.copy(), slope=slope.copy())
        history.losses.append(loss)
        history.gradient_norms.append(norm)
        if problem.held_out is not None:
            loss = problem.mean_over_held_out(self.step.validate)
            history.validation_losses.append(loss)
        reason = settings.criteria.met(loss, norm)
        if settings.callbacks:
            self.step.push()
            if any([call(history.epochs, history) for call in settings.callbacks]):  # noqa: C419 (call each)
                reason = reason or "callback"
        history.reason = reason or ("max epochs" if history.epochs >= settings.epochs else "")
        if history.reason:
            raise _Stopped


def _lbfgs(solver: _Solver) -> str:
    """Run L-BFGS-B (Byrd et al. 1995)."""
    from scipy.optimize import minimize

    def callback(intermediate_result: Any) -> None:
        numbers = intermediate_result.x
        solver.note(numbers, *solver.loss(numbers))

    options = {
        "maxiter": solver.settings.epochs,
        "maxfun": 20 * solver.settings.epochs,
        "ftol": 0.0,
        "gtol": 0.0,
    }
    minimize(solver.loss, solver.start, jac=True, method="L-BFGS-B", callback=callback, options=options)
    return "tolerance"


def _levenberg_marquardt(solver: _Solver) -> str:
    """Run MINPACK's Levenberg-Marquardt (Moré 1978) on the residuals model(row) - target."""
    import numpy as np
    from scipy.optimize import least_squares

    from nodegrad.compiler.compiled import compile
    from nodegrad.training.compiled_step import write
    from nodegrad.transforms import value_and_grad

    problem, known = solver.problem, solver.step.known
    count, width = known.count, len(solver.leaves)

    def residual(row: Any, target: Any, *weight: Any) -> Any:
        found = problem.model(row)
        found = found[0] if isinstance(found, list) else found
        difference = found - (target[0] if isinstance(target, list) else target)
        return weight[0] ** 0.5 * difference if weight else difference

    solver.settings.criteria.patience = math.inf  # the last digits come slowly, and MINPACK knows its end
    compiled = compile(value_and_grad(residual, wrt=solver.leaves))
    latest: dict[str, Array] = {}

    def rows(numbers: Array) -> Array:
        """Return residual and gradient for each row."""
        if latest.get("numbers") is None or not np.array_equal(latest["numbers"], numbers):
            write(solver.leaves, numbers)
            value, slopes = compiled.over(known.spec, known.blocks, count)
            latest.update(numbers=numbers.copy(), found=np.column_stack([value, np.asarray(slopes)]))
        return latest["found"]

    def jacobian(numbers: Array) -> Array:
        found = rows(numbers)
        r, J = found[:, 0], found[:, 1:]
        loss = float(r @ r) / count
        if not solver.history.losses or loss < solver.history.losses[-1]:
            solver.note(numbers, loss, 2.0 / count * (r @ J))
        return J

    if count < width:
        raise ValueError(f"fit: optimizer='lm' takes as many rows as parameters; got {count} for {width}.")
    result = least_squares(
        lambda numbers: rows(numbers)[:, 0],
        solver.start,
        jac=jacobian,
        method="lm",
        x_scale="jac",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=20 * solver.settings.epochs,
    )
    found = rows(result.x)
    slope = 2.0 / count * (found[:, 0] @ found[:, 1:])
    solver.step.point = solver.step.point._replace(numbers=result.x.copy(), slope=slope)
    return "tolerance"
