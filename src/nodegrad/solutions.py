"""Roots and fixed points: numbers found by iteration, differentiated by the implicit function theorem.

Where f(x, θ) = 0, moving θ moves x by dx = -(∂f/∂x)⁻¹ (∂f/∂θ) dθ, however x was found. So the iteration is
never differentiated: it runs on numbers, or compiled in one native loop, and the solution is an operation of
what f closes over, with these partials. They are written over Values: there are derivatives of every order.
"""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from nodegrad import ops
from nodegrad.composites import Partial, Whole, remake
from nodegrad.graph import clock, dependents, topological_order
from nodegrad.inputs import described, function, plain
from nodegrad.loops import left_by, repeat, rolling, split
from nodegrad.observers import tell_read
from nodegrad.ops import Number, div, gt, lt, where
from nodegrad.sweep import reverse_sweep
from nodegrad.trees import Tree, build, flatten
from nodegrad.value import Value, as_value, stand_in

__all__ = ["fixed_point", "root"]

Evaluate = Callable[[Sequence[Number]], tuple[list[Number], list[list[Number]]]]

_EPS, _LARGEST = 2.0**-53, sys.float_info.max
_NEWTON_TURNS = 2_400  # at a triple root (x³) each turn removes only a third of the error
_BRACKET_TURNS = 2_400  # every other turn halves; from the largest float to the smallest that takes 2,100
_FIXED_TURNS = 10_000


def root(f: Callable[[Tree], Tree], start: Tree) -> Tree:
    """Return x with f(x) = 0: from a number or a list by Newton's method, inside (lo, hi) safely.

    A step of Newton's method is halved until it reduces |f|. In a bracket (lo, hi), f has different signs at
    the two ends; a step that leaves the bracket or shrinks too slowly is replaced by a bisection. Both go on
    to the last bits. The slopes of f are derivatives of its record, so f is a plain function.

    The solution is differentiated by everything that f closes over, to any order: dx = -(∂f/∂x)⁻¹ ∂f/∂θ dθ.
    The start has no influence. If no solution is found, x is nan, and a warning says so.

    >>> import nodegrad as ng
    >>> def cube_root(a):
    ...     return ng.root(lambda x: x**3 - a, 1.0)
    >>> cube_root(8.0), round(ng.grad(cube_root)(8.0), 12)
    (2.0, 0.083333333333)
    >>> ng.root(lambda x: ng.cos(x) - x, (0.0, 1.0))
    0.7390851332151607
    >>> ng.root(lambda p: [p[0] + p[1] - 3.0, p[0] - p[1]], [0.0, 5.0])
    [1.5, 1.5]

    Args:
        f: a function of x (of the list x) that returns a number (as many numbers). Compiled, it must not
            branch on x.
        start: a number; a tuple (lo, hi); or a list or array of numbers for as many equations, of which f
            takes a list.

    Raises:
        TypeError: if f does not return as many numbers as x has.
    """
    if isinstance(start, tuple):
        if len(start) != 2:
            raise TypeError(f"root takes a bracket as a pair (lo, hi); got {described(start)}.")
        search = _Search("root", f, start[0], "In a bracket, f must have another sign at each end.")
        high = search.number(start[1])
        return search.solve(lambda first: _bracketed(search.evaluate, first[0], high))
    search = _Search("root", f, start, "Try another start; for one number, a bracket (lo, hi).")
    return search.solve(lambda first: _newton(search.evaluate, first))


def fixed_point(f: Callable[[Tree], Tree], start: Tree) -> Tree:
    """Return x with f(x) = x: iterated from the start, then by Newton's method to the last bits.

    The solution is differentiated by everything that f closes over; see `root`.

    >>> import nodegrad as ng
    >>> def settled(a):
    ...     return ng.fixed_point(lambda x: 0.5 * (x + a / x), 1.0)
    >>> settled(9.0), ng.grad(settled)(9.0)
    (3.0, 0.16666666666666666)

    Args:
        f: a function from x to a number (numbers) of the same structure. Compiled, it must not branch on x.
        start: a number, or a list or array of numbers.

    Raises:
        TypeError: if f does not return as many numbers as x has.
    """
    remedy = "Try another start, or root."
    settling = _Search("fixed_point", f, start, remedy)

    def left(x: Tree) -> list[Number]:
        return [a - b for a, b in zip(flatten(x)[0], flatten(f(x))[0], strict=False)]

    def find(first: list[Number]) -> tuple[list[Number], Number]:
        def moved(x: list[Number]) -> list[Number]:
            if rolling():
                return settling.called(x)
            return [y._data for y in settling.called([*map(stand_in, x)])]

        def more(state: Any) -> Number:
            x, after, turns = state
            far = [gt(ops.abs(a - b), 1e-6 * ops.abs(a)) for a, b in zip(x, after, strict=True)]
            return lt(turns, float(_FIXED_TURNS)) * gt(ops.sum(*far), 0.0)

        _, settled, _ = repeat(more, lambda s: (s[1], moved(s[1]), s[2] + 1.0), (first, moved(first), 0.0))
        return _newton(search.evaluate, settled)

    search = _Search("fixed_point", left, start, remedy)
    return search.solve(find)


class _Search:
    """A search for a solution of f(x) = 0. `user` is the function called, "root" or "fixed_point"."""

    def __init__(self, user: str, f: Callable[[Tree], Tree], start: Tree, remedy: str) -> None:
        self.user, self.f, self.remedy = user, function(user, "f", f), remedy
        self.start, self.spec = flatten(start)

    def number(self, x: Any) -> Number:
        """Return a number to start from."""
        return self.used(x) if isinstance(x, Value) else plain(x, self.user)

    def used(self, x: Value) -> Number:
        """Return what the search computes with: the Value when compiled; its number otherwise."""
        if rolling():
            return x
        tell_read(x, f"calls {self.user}() where it cannot be compiled")
        return x._data

    def solve(self, find: Callable[[list[Number]], tuple[list[Number], Number]]) -> Tree:
        """Find a solution and make it operations.

        `find` returns numbers, and whether they are a solution.
        """
        x, found = find([self.number(x) for x in self.start])
        x = [where(found, each, math.nan) for each in x]
        if not rolling() and not found:
            message = f"{self.user} found no solution; the result is nan. {self.remedy}"
            warnings.warn(message, RuntimeWarning, stacklevel=3)
        return build(self.spec, self.recorded(x))

    def called(self, x: Sequence[Number]) -> list[Value]:
        """Return f(x) as a list of Values, as many as x has."""
        y = self.f(build(self.spec, x))
        numbers = flatten(y)[0]
        if len(numbers) != len(x):
            raise TypeError(
                f"{self.user} takes a function that returns as many numbers as it takes, {len(x)}; this one "
                f"returned {described(y)}."
            )
        return [as_value(x, self.user) for x in numbers]

    def evaluate(self, x: Sequence[Number]) -> tuple[list[Number], list[list[Number]]]:
        """Return f(x) and its Jacobian: floats, or Values where the search is compiled."""
        since, floats = clock.tick(), not rolling()
        variables = [stand_in(each) if floats else ops.identity(as_value(each)) for each in x]
        y = self.called(variables)
        slopes = _slopes(topological_order(*y, since=since), y, variables, floats)
        return [each._data if floats else each for each in y], slopes

    def recorded(self, x: list[Number]) -> list[Number]:
        """Make the numbers found operations of the Values f closes over. Without such, return numbers."""
        given = [as_value(each) for each in x]
        variables = [stand_in(each._data) for each in given]
        since = clock.tick()
        y = self.called(variables)
        left_by(variables, self.user)
        walk = topological_order(*y, since=since, constants=False)
        # Everything that f makes is inside, so that only Values from before are operands.
        inside = {*variables, *[node for node in walk if node.op is not None and node._time >= since]}
        solution = Solution(self.user, variables, y, *split(walk, y, inside))
        for each in solution.outside:
            self.used(each)
        if not solution.outside and not any(isinstance(each, Value) for each in x):
            return x
        return solution.nodes((*given, *solution.outside))


def _slopes(
    order: Sequence[Value], y: Sequence[Value], x: Sequence[Value], floats: bool = False
) -> list[list[Number]]:
    """Return the Jacobian of y by x, a row for each y."""
    active = dependents(order, x)
    swept = [reverse_sweep(order, {each: 1.0}, active, floats) for each in y]
    return [[adjoints.get(each, 0.0) for each in x] for adjoints in swept]


# The search. All of this works on floats and on Values.


def _newton(evaluate: Evaluate, first: list[Number]) -> tuple[list[Number], Number]:
    """Newton's method; a step is halved until the residual is smaller."""
    size = len(first)

    def state(x: list[Number], turns: Number) -> list[Number]:
        y, jacobian = evaluate(x)
        return [ops.sum(*map(ops.abs, y)), 1.0, turns, *x, *_linear(jacobian, [y])[0]]

    def more(now: list[Number]) -> Number:
        residual, share, turns, *x_and_step = now
        x, steps = x_and_step[:size], [ops.abs(share * d) for d in x_and_step[size:]]
        moving = [gt(d, _EPS * ops.abs(a)) * lt(d, math.inf) for a, d in zip(x, steps, strict=True)]
        return gt(residual, 0.0) * lt(turns, float(_NEWTON_TURNS)) * gt(ops.sum(*moving), 0.0)

    def turn(now: list[Number]) -> list[Number]:
        residual, share, turns, *x_and_step = now
        moved = zip(x_and_step[:size], x_and_step[size:], strict=True)
        new = state([a - share * d for a, d in moved], turns + 1.0)
        better = lt(new[0], residual)
        halved = residual, 0.5 * share, turns + 1.0, *x_and_step
        return [where(better, a, b) for a, b in zip(new, halved, strict=True)]

    residual, _, _, *x_and_step = repeat(more, turn, state(first, 0.0))
    x, step = x_and_step[:size], x_and_step[size:]
    scale = [1e-15 * ops.abs(each) for each in first]
    near = [ops.le(ops.abs(d), 1e-9 * ops.abs(a) + s) for a, d, s in zip(x, step, scale, strict=True)]
    settled = gt(ops.eq(residual, 0.0) + ops.eq(ops.sum(*near), float(len(x))), 0.0)
    return x, settled * lt(residual, math.inf)


def _bracketed(evaluate: Evaluate, low: Number, high: Number) -> tuple[list[Number], Number]:
    """Newton's method in a bracket, with a bisection where a step leaves it or is more than half the last.

    After a bisection any step inside is taken, so at least every other turn halves the bracket or the step
    (after `rtsafe`: William H. Press et al., Numerical Recipes, section 9.4).
    """

    def value(x: Number) -> tuple[Number, Number]:
        (y,), ((slope,),) = evaluate([x])
        return y, slope

    low, high = [ops.maximum(ops.minimum(x, _LARGEST), -_LARGEST) for x in (low, high)]  # inf has no middle
    (at_low, _), (at_high, slope) = value(low), value(high)
    below = lt(at_low, 0.0)
    a, b = where(below, low, high), where(below, high, low)  # f(a) < 0 <= f(b)

    def more(now: Any) -> Number:
        _, _, x, y, _, move, _, turns = now
        return ops.ne(y, 0.0) * gt(move, _EPS * ops.abs(x)) * lt(turns, float(_BRACKET_TURNS))

    def turn(now: Any) -> tuple[Number, ...]:
        a, b, x, y, slope, _, before, turns = now
        newton = x - div(y, slope)
        inside = lt(ops.minimum(a, b), newton) * lt(newton, ops.maximum(a, b)) + ops.eq(newton, x)
        taken = inside * lt(ops.abs(2.0 * (newton - x)), before)
        new = where(taken, newton, 0.5 * a + 0.5 * b)
        y_new, slope_new = value(new)
        below = lt(y_new, 0.0)
        ends = where(below, new, a), where(below, b, new)
        move = ops.abs(new - x)
        return *ends, new, y_new, slope_new, move, where(taken, move, math.inf), turns + 1.0

    # No step is shorter than 0, so a bisection comes first.
    first = (a, b, high, at_high, slope, math.inf, 0.0, 0.0)
    _, _, x, y, *_ = repeat(more, turn, first)
    x = where(ops.eq(at_low, 0.0), low, where(ops.eq(at_high, 0.0), high, x))
    largest = ops.maximum(ops.abs(at_low), ops.abs(at_high))
    return [x], ops.le(ops.sign(at_low) * ops.sign(at_high), 0.0) * ops.le(ops.abs(y), largest)


def _linear(matrix: list[list[Number]], columns: list[list[Number]]) -> list[list[Number]]:
    """Solve matrix · x = column for each column, by elimination with the largest pivot, chosen by `where`."""
    size = len(matrix)
    rows = [[*row, *[column[i] for column in columns]] for i, row in enumerate(matrix)]
    for k in range(size):
        for i in range(k + 1, size):
            swap = gt(ops.abs(rows[i][k]), ops.abs(rows[k][k]))
            pairs = list(zip(rows[k], rows[i], strict=True))
            rows[k] = [where(swap, y, x) for x, y in pairs]
            rows[i] = [where(swap, x, y) for x, y in pairs]
        for i in range(k + 1, size):
            share = div(rows[i][k], rows[k][k])
            rows[i] = [x - share * y for x, y in zip(rows[i], rows[k], strict=True)]
    found = [[0.0] * size for _ in columns]
    for place, x in enumerate(found):
        for k in reversed(range(size)):
            known: Number = rows[k][size + place]
            for j in range(k + 1, size):
                known = known - rows[k][j] * x[j]
            x[k] = div(known, rows[k][k])
    return found


# The solution, as operations.


class Solution(Whole):
    """A solution of f(x) = 0 for as many numbers as f takes.

    Its operands are the numbers found, then what f closes over. f is recorded once, when the solution is
    made: what it closes over may have changed when derivatives are asked for.

    Attributes:
        variables: the stand-ins for the numbers.
        y: the numbers that f returned.
        order: the nodes that f made, operands first.
        outside: the other Values that these read.
    """

    def __init__(
        self, user: str, variables: list[Value], y: list[Value], order: list[Value], outside: list[Value]
    ) -> None:
        super().__init__(user, len(variables))
        self.variables, self.y, self.order, self.outside = variables, y, order, outside

    def value(self, *operands: float) -> Sequence[float]:
        """Return the solution: the first operands."""
        return operands

    def jacobian(self, operands: Sequence[Value], wanted: Sequence[int]) -> list[list[Partial]]:
        """Return -(∂f/∂x)⁻¹ ∂f/∂θ, nan where x is nan; None by the numbers that were found."""
        by = [place for place in wanted if place >= self.count]
        # From a copy: this whole keeps its partials, so nodes of its own would make a reference cycle.
        x = Solution(self.name, self.variables, self.y, self.order, self.outside).nodes(tuple(operands))
        # Make the nodes of f once more, on the solution, so that they can be differentiated again.
        read = [*self.variables, *self.outside]
        again: dict[Value, Value] = dict(zip(read, [*x, *operands[self.count :]], strict=True))
        remake(self.order, again)
        order, y = [again[node] for node in self.order], [again.get(each, each) for each in self.y]
        slopes = _slopes(order, y, [*x, *[operands[place] for place in by]])
        matrix = [row[: self.count] for row in slopes]
        columns = [[-row[self.count + at] for row in slopes] for at in range(len(by))]
        found = dict(zip(by, _linear(matrix, columns), strict=True))

        def checked(partial: Number, of: Value) -> Partial:
            # If no solution was found, x is nan and so are its derivatives, though f may have slopes.
            partial = where(ops.eq(of, of), partial, of)
            return partial, partial

        return [[checked(found[k][i], of) if k in found else None for k in wanted] for i, of in enumerate(x)]
