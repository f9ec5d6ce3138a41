"""Solvers: L-BFGS and Levenberg-Marquardt of SciPy, with our compiled derivatives over all rows."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from nodegrad.nn.losses import LOSSES
from nodegrad.training.history import Settings
from nodegrad.training.problem import Problem
from nodegrad.training.run import Run, progress_bar
from nodegrad.value import write

__all__ = ()

Array = Any
_NO_LIMIT = 2**31 - 1  # evaluations: epochs are limited, and each searches a bounded number of times


class _Stopped(Exception):
    """There is a reason to stop."""


class Solver(Run):
    """A training in which SciPy chooses the steps; an epoch is an iteration that it reports.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: if a callback changes the parameters, of which SciPy has its own copy.
    """

    step: Any
    shown: Callable[[int, float], None]

    @classmethod
    def check(cls, problem: Problem, settings: Settings) -> None:
        """Refuse what a solver cannot do."""
        lm, combined = cls is LevenbergMarquardt, problem.ranks.combine is not None
        refused = {
            "checkpoint or resume, because SciPy keeps the state of its solvers to itself": (
                settings.checkpoint is not None or bool(settings.resume)
            ),
            "max_gradient_norm": settings.max_gradient_norm < math.inf,
            "compile=False": settings.compile is False,
            "dropout": problem.dropout > 0,
            "combine": lm and combined,
            "another loss than mean_squared_error": lm and problem.loss is not LOSSES["mean_squared_error"],
        }
        for what, given in refused.items():
            if given:
                other = "lbfgs" if lm and not problem.dropout else "adam"
                raise ValueError(
                    f"fit: optimizer={settings.optimizer!r} cannot be used with {what}. Leave that out, or "
                    f"take {other!r}."
                )
        settings.compile = True  # SciPy calls compiled functions

    def _retreat(self, error: Exception, before: Any = None) -> None:
        raise ValueError(f"fit: optimizer={self.settings.optimizer!r} takes compiled steps only. {error}")

    def _go(self) -> None:
        self._check(self.step.check)
        with progress_bar(self.settings.progress, self.settings.epochs, "epoch") as self.shown:
            try:
                self.solve(self.step.point.numbers.copy())
                self.history.reason = "tolerance"
            except _Stopped:
                pass

    def solve(self, start: Array) -> None:
        """Go from the start until nothing improves, and `note` every iteration."""
        raise NotImplementedError

    def note(self, numbers: Array, loss: float, slope: Array) -> None:
        """Take over the parameters of an iteration; stop where there is a reason.

        After the last epoch the solver goes on to the next iteration: it may find that it has converged.
        """
        if self.history.epochs >= self.settings.epochs:
            self.history.reason = "max epochs"
            raise _Stopped
        norm = math.hypot(*slope.tolist())
        if math.isfinite(loss) and math.isfinite(norm):
            self.step.point = self.step.point._replace(numbers=numbers.copy(), slope=slope.copy())
        self._close([(loss, norm, 1.0)])
        self.shown(1, loss)
        if self.history.reason not in ("", "max epochs"):
            raise _Stopped
        if not (self.step.point.numbers == numbers).all():
            raise ValueError(
                "fit: a callback changed the parameters, and SciPy's solvers go on from their own. Change "
                "them with adam or sgd, or between two calls of fit."
            )


class Lbfgs(Solver):
    """L-BFGS-B (Byrd et al. 1995)."""

    def solve(self, start: Array) -> None:
        """Minimise the mean loss over all rows of all ranks."""
        import numpy as np
        from scipy.optimize import minimize

        known, ranks = self.step.known, self.problem.ranks

        def loss(numbers: Array) -> tuple[float, Array]:
            with np.errstate(all="ignore"):
                total = ranks.summed(
                    lambda: np.append(known(np.ascontiguousarray(numbers)), known.count), len(numbers) + 2
                )
                found = total[:-1] / total[-1]
            return float(found[0]), found[1:]

        def callback(intermediate_result: Any) -> None:
            self.note(intermediate_result.x, *loss(intermediate_result.x))

        options = {"maxiter": self.settings.epochs + 1, "maxfun": _NO_LIMIT, "ftol": 0.0, "gtol": 0.0}
        minimize(loss, start, jac=True, method="L-BFGS-B", callback=callback, options=options)
        if not self.history.losses:  # the start is a minimum, or not finite
            self.note(start, *loss(start))


class LevenbergMarquardt(Solver):
    """MINPACK's Levenberg-Marquardt (Moré 1978) on the residuals model(row) - target.

    An iteration is an evaluation of the Jacobian at parameters that are better than those before.
    """

    def solve(self, start: Array) -> None:
        """Minimise the mean squared error over all rows."""
        import numpy as np
        from scipy.optimize import least_squares

        from nodegrad.compiler import compile
        from nodegrad.transforms import value_and_grad

        problem, known, leaves = self.problem, self.step.known, self.step.leaves
        count, width = known.count, len(leaves)
        if count < width:
            raise ValueError(
                f"fit: optimizer='lm' takes as many rows as parameters; got {count} for {width}."
            )

        def residual(row: Any, target: Any, *weight: Any) -> Any:
            found = problem.model(row)
            if isinstance(found, list) and len(found) > 1:
                raise ValueError(f"fit: optimizer='lm' takes models of one output; got {len(found)}.")
            found = found[0] if isinstance(found, list) else found
            difference = found - (target[0] if isinstance(target, list) else target)
            return weight[0] ** 0.5 * difference if weight else difference

        self.settings.patience = None  # the last digits come slowly, and MINPACK knows its end
        compiled = compile(value_and_grad(residual, wrt=leaves))

        @lru_cache(maxsize=1)  # SciPy asks for the residuals and then for their gradients
        def rows_at(*numbers: float) -> Array:
            write(leaves, numbers)
            value, slopes = compiled.over(known.spec, known.blocks, count)
            return np.column_stack([value, np.asarray(slopes)])

        def rows(numbers: Array) -> Array:
            """Return residual and gradient for each row."""
            return rows_at(*numbers.tolist())

        def slope(found: Array) -> Array:
            return 2.0 / count * (found[:, 0] @ found[:, 1:])

        def jacobian(numbers: Array) -> Array:
            found = rows(numbers)
            loss = float(found[:, 0] @ found[:, 0]) / count
            if not self.history.losses or loss < self.history.losses[-1]:
                self.note(numbers, loss, slope(found))
            return found[:, 1:]

        if not np.isfinite(rows(start)).all():
            jacobian(start)
        options: Any = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
        options |= {"method": "lm", "x_scale": "jac", "max_nfev": _NO_LIMIT}
        result = least_squares(lambda numbers: rows(numbers)[:, 0], start, jac=jacobian, **options)
        self.step.point = self.step.point._replace(numbers=result.x.copy(), slope=slope(rows(result.x)))


SOLVERS: dict[str, type[Solver]] = {"lbfgs": Lbfgs, "lm": LevenbergMarquardt}
