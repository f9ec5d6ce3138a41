"""Runs: a function called once on fresh variables, and the sweeps over what it recorded.

Sweeps are over floats if everything that the result depends on was given as plain numbers. They are over
Values if the function was given Values or closes over some, so that the derivatives can be differentiated
again.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import accumulate, chain, repeat
from math import isfinite
from operator import index
from typing import Any, NamedTuple

from nodegrad.backward import backpropagate
from nodegrad.graph import check_left, check_unchanged, clock, dependents, topological_order
from nodegrad.inputs import described, plain
from nodegrad.observers import listeners
from nodegrad.ops import Number, constant, identity
from nodegrad.patterns import groups, pattern
from nodegrad.sweep import forward_sweep, reverse_sweep
from nodegrad.trees import Spec, Tree, build, flatten, sparse
from nodegrad.value import Value, as_value, literal, number_of, stand_in
from nodegrad.vector_mode import dense, forward_vectors, reverse_vectors

__all__ = ()

Function = Callable[..., Any]
Argnums = int | Sequence[int]

_FEW = 8  # sweeps that are as fast one after the other


class Run(NamedTuple):
    """What one run of a function recorded, ready to be swept."""

    argument: Spec  # the structure of the argument to differentiate by, and so of the gradient
    variables: list[Value]  # the numbers in it
    own: set[Value]  # the variables made here from plain numbers
    result: Spec  # the structure of what the function returned
    outputs: list[Value]  # the numbers in it
    order: list[Value]  # the nodes that were made since, in topological order
    ends: list[Value]  # what they were made from; the first are the variables that are leaves
    start: int  # when the function was called
    active: set[Value] | None = None  # the nodes that depend on the variables; None for all
    floats: bool = True

    def check_unchanged(self) -> None:
        """Refuse to differentiate if an operand was assigned another number since: see `graph`."""
        if clock.assigned > self.start:  # otherwise nothing was assigned since the function was called
            check_unchanged([x for x in self.order if x._time >= self.start])

    def symbolic(self) -> "Run":
        """Return the run to be swept over Values. Variables made from plain numbers become constants."""
        active = dependents(self.order, self.variables)
        for variable in self.own:
            variable.op = constant
        return Run(*self[:-2], active, False)

    def number(self, x: Number) -> Number:
        """Convert a result to what this run returns: a float or a Value."""
        return number_of(x) if self.floats else as_value(x)

    def numbers(self, tree: Tree) -> Tree:
        """Convert every Value in a structure to what this run returns."""
        leaves, spec = flatten(tree)
        if not any(isinstance(x, Value) for x in leaves):
            return tree
        return build(spec, [self.number(x) if isinstance(x, Value) else x for x in leaves])

    def forward(self, seeds: Mapping[Value, Number]) -> dict[Value, Number]:
        """Sweep from the variables to the outputs."""
        order = [*self.ends, *self.order] if listeners.swept else self.order
        return forward_sweep(order, seeds, self.active, self.floats)

    def reverse(
        self, seeds: Mapping[Value, Number], order: list[Value], ends: list[Value], pairs: bool = False
    ) -> dict[Value, Any]:
        """Sweep from outputs to the variables, through an order of what they depend on, and its ends."""
        if self.floats and self.active is None:
            return dict(zip(ends, backpropagate(seeds, (order, ends))[2], strict=True))
        if listeners.swept:  # who listens takes adjoints as numbers, and hears of the ends too
            order, pairs = [*ends, *order], False
        return reverse_sweep(order, seeds, self.active, self.floats, pairs)

    def adjoints(self, seeds: Mapping[Value, Number], pairs: bool = False) -> list[Any]:
        """Return the adjoints of the variables; for `pairs` see `sweep.reverse_sweep`."""
        if self.floats and self.active is None:  # the variables are the first of the ends
            return backpropagate(seeds, (self.order, self.ends))[2][: len(self.variables)]
        found = self.reverse(seeds, self.order, self.ends, pairs)
        return [*map(found.get, self.variables, repeat(0.0))]

    def gradient(self, adjoints: Sequence[Number]) -> Tree:
        """Return the adjoints of the variables in the structure of the argument."""
        if self.floats:
            return build(self.argument, adjoints, float)
        return build(self.argument, [x if type(x) is Value else as_value(x) for x in adjoints], object)

    def rows(self) -> Any:
        """Return the Jacobian's rows, by a reverse sweep per output."""
        found = self._together(reverse_vectors, [[output] for output in self.outputs], self.variables)
        return _matrix(self._each_reverse(), self.variables, self.floats) if found is None else found

    def _each_reverse(self) -> Iterator[Mapping[Value, Number]]:
        """Sweep from each output; if there are many, through what it depends on alone.

        All add terms in the order of all nodes, as `_together` does, so that both give the same bits.
        """
        many, order, ends = len(self.outputs) >= _FEW, self.order, self.ends
        place = {node: at for at, node in enumerate(order)} if many else {}
        for output in self.outputs:
            if many:
                since, ends = 0 if self.floats else self.start, []
                order = topological_order(output, since=since, constants=False, ends=ends)
                order.sort(key=place.__getitem__)
            yield self.reverse({output: 1.0}, order, ends)

    def columns(self, groups: Sequence[Sequence[Value]]) -> Any:
        """Return for each group of variables the sum of the Jacobian's columns, by a forward sweep."""
        found = self._together(forward_vectors, groups, self.outputs)
        each = (self.forward(dict.fromkeys(group, 1.0)) for group in groups)
        return _matrix(each, self.outputs, self.floats) if found is None else found

    def sparse(self, mode: str | None) -> Any:
        """Return the Jacobian as a sparse array, by sweeps per output or per group of variables."""
        rows = pattern(self.order, self.variables, self.outputs)
        shared = groups(rows, len(self.variables))
        if mode == "reverse" or (mode is None and len(self.outputs) < len(shared)):
            swept = zip(self._each_reverse(), rows, strict=True)
            entries = [found.get(self.variables[at], 0.0) for found, places in swept for at in places]
        else:
            columns = self.columns([[self.variables[place] for place in group] for group in shared])
            group_of = {place: number for number, group in enumerate(shared) for place in group}
            entries = [columns[group_of[place]][row] for row, places in enumerate(rows) for place in places]
        numbers = [float(x) if self.floats else as_value(x) for x in entries]
        starts = tuple(accumulate(map(len, rows), initial=0))
        return sparse(((len(rows), len(self.variables)), starts, tuple(chain(*rows))), numbers)

    def _together(self, sweep: Any, sources: Sequence[Sequence[Value]], targets: list[Value]) -> Any:
        """Do many sweeps over floats as one; return what comes to the targets, a row per sweep.

        Return None if each sweep has to be done by itself: see `vector_mode`.
        """
        width = len(sources)
        if not self.floats or listeners.swept or width < _FEW or not targets:
            return None
        vectors: dict[Value, Any] = {}
        for at, group in enumerate(sources):
            for source in group:
                vectors.setdefault(source, defaultdict(float))[at] = 1.0
        numpy: Any = sys.modules.get("numpy")
        with nullcontext() if numpy is None else numpy.errstate(all="ignore"):
            swept = sweep(self.order, vectors, width)
        if swept is None:  # too many numbers at once
            first, second = sources[: width // 2], sources[width // 2 :]
            halves = [self._together(sweep, half, targets) for half in (first, second)]
            if any(half is None for half in halves):
                return None
            return [*halves[0], *halves[1]] if numpy is None else numpy.concatenate(halves)
        if numpy is None:
            rows = [[swept.get(target, {}).get(at, 0.0) for target in targets] for at in range(width)]
            return rows if all(map(isfinite, chain(*rows))) else None
        found = numpy.array([dense(swept.get(target, {}), width) for target in targets]).T
        return found if numpy.isfinite(found).all() else None


def run(
    user: str,
    f: Function,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    argnums: Argnums,
    wrt: Tree,
    in_numbers: bool = False,
) -> Run:
    """Run `f` on fresh variables in place of the numbers to differentiate by. With `wrt`, run it as it is.

    With `in_numbers`, derivatives are plain numbers even if they are by Values.
    The walk stops at nodes made before the call: they depend on no fresh variable. So a derivative inside a
    loop costs what its function costs, not all that the loop has done so far.
    """
    start = clock.tick() if wrt is None else 0
    if wrt is None:
        places = places_of(argnums, len(args), user)
        specs, variables = [], []
        for i in places:
            given, spec = flatten(args[i])
            what = f"argument {i}"
            variables += [_variable(checked(x, what, user)) for x in given]
            specs.append(spec)
        own = {x for x in variables if x.op is None}
        argument = tuple, None, tuple(specs)
        args = list(args)
        for i, passed in zip(places, build(argument, variables), strict=True):
            args[i] = passed
        argument = argument if hasattr(argnums, "__iter__") else argument[2][0]
    else:
        given, argument = flatten(wrt)
        variables, own = given, set()
        if not all(map(isinstance, given, repeat(Value))):
            variables = [_checked_variable(x, user) for x in given]
    returned, result = flatten(f(*args, **kwargs))
    outputs = [_output(x, user) for x in returned]
    ends = [x for x in variables if x.op is None]
    by_leaves = len(ends) == len(variables)
    order = topological_order(*outputs, since=0 if in_numbers else start, constants=False, ends=ends)
    if listeners.all:  # only while a function is compiled are there loops, or calls, that have ended
        check_left(ends)
    found = Run(argument, variables, own, result, outputs, order, ends, start)
    found.check_unchanged()
    floats = len(own) == len(variables) and own.issuperset(
        [x for x in ends if x.op is None or x._time < start]
    )
    if floats or not in_numbers or not by_leaves:
        return found if floats else found.symbolic()
    # A loop over data that are Values would be differentiated by all of them.
    has_loop = any(node.op.whole is not None for node in order)
    return found._replace(active=dependents(order, variables)) if has_loop else found


def _matrix(swept: Iterable[Mapping[Value, Number]], targets: Sequence[Value], floats: bool) -> Any:
    """Return what sweeps brought to the targets, a row per sweep: with NumPy an array, if all are floats."""
    zero, wanted, rows = 0.0 if floats else literal(0.0), set(targets), []
    for found in swept:
        if not floats:
            found = {node: as_value(found[node]) for node in found.keys() & wanted}
        rows.append(list(map(found.get, targets, repeat(zero))))
    numpy: Any = sys.modules.get("numpy")
    return rows if numpy is None or not floats or not rows or not targets else numpy.array(rows)


def _variable(number: Number) -> Value:
    """Make a fresh variable, so that nested derivatives do not confuse their variables."""
    return Value.apply_op(identity, (number,)) if isinstance(number, Value) else stand_in(number)


# Refusals, each with its remedy.


def places_of(argnums: Argnums, count: int, user: str) -> list[int]:
    """Return the positions that `argnums` names among `count` positional arguments."""
    if type(argnums) is int and 0 <= argnums < count:  # as nearly always
        return [argnums]
    try:
        places = [*map(index, argnums if hasattr(argnums, "__iter__") else [argnums])]
    except TypeError as error:
        wanted = "an int or a sequence of ints"
        raise TypeError(f"{user} takes argnums as {wanted}; got {argnums!r:.60}.") from error
    for place in places:
        if not -count <= place < count:
            raise TypeError(
                f"{user}: argnums names positional argument {place}, but the call has {count}. "
                "Pass it by position, or name another."
            )
    places = [place % count for place in places]
    if len(set(places)) < len(places):
        raise ValueError(f"{user} takes each argument once in argnums; got {argnums!r:.60}.")
    return places


def checked(x: Any, what: str, user: str) -> Number:
    """Return a number to differentiate by, or along, or raise."""
    try:
        return x if isinstance(x, Value) else plain(x, user)
    except TypeError:
        raise TypeError(
            f"{user} takes numbers, and lists, tuples, dicts, data classes and NumPy arrays of them; {what} "
            f"holds {described(x)}. Pass non-numeric values in an argument that is not differentiated; pass "
            "a model's parameters with wrt=."
        ) from None


def _checked_variable(x: Any, user: str) -> Value:
    if not isinstance(x, Value):
        raise TypeError(
            f"{user} takes wrt as Values that the function closes over; got {described(x)}. "
            "For a number that the function takes as an argument use argnums."
        )
    return x


def _output(x: Any, user: str) -> Value:
    try:
        return as_value(x, user)
    except TypeError:
        raise TypeError(
            f"{user} expects a function that returns numbers; this one returned {described(x)}."
        ) from None
