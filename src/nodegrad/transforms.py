"""Derivatives of plain functions: grad, jacobian, hessian, jvp, vjp, hvp as compositions of sweeps.

Every transform runs the function once on fresh variables and sweeps over what was recorded: over floats when
all that the result depends on was given as plain numbers; over Values when the function was given Values or
closes over some, so that the derivatives can be differentiated again.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from types import MethodType
from typing import Any, NamedTuple

from nodegrad.graph import clock, dependents, patient_collector, topological_order
from nodegrad.inputs import one_of
from nodegrad.ops import constant, identity, plain
from nodegrad.patterns import groups, pattern
from nodegrad.sweep import backpropagate, forward_sweep, reverse_sweep, watchers
from nodegrad.trees import Number, Sparse, Spec, Tree, blocks, build, container, described, flatten
from nodegrad.value import Value, check_unchanged, literal, stand_in

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]

_SHARED = 8  # times all nodes: if sweeps walk through more, they share most of them
_ENTRIES = 8_000_000  # numbers in the arrays of sweeps side by side: 64 MB
_FEW = 8  # sweeps that are as fast one after the other
Argnums = int | Sequence[int]


def grad(f: Function, argnums: Argnums = 0, *, wrt: Tree = None, has_aux: bool = False) -> Function:
    """Return the function that computes the gradient of `f`: ∂f/∂x for every number x in an argument.

    The gradient has the structure of the argument. It consists of floats (arrays of float64 for NumPy arrays)
    when all that `f` depends on is given as plain numbers, and of Values otherwise.

    >>> import nodegrad as ng
    >>> ng.grad(lambda x: x**3)(2.0)
    12.0
    >>> ng.grad(ng.grad(lambda x: x**3))(2.0)
    12.0
    >>> ng.grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": 3.0})
    {'a': 3.0, 'b': 2.0}

    Args:
        f: a function that returns one number; positional and keyword arguments are passed on to it.
        argnums: which positional argument to differentiate by; with a sequence the result is a tuple.
        wrt: Values that `f` closes over (one, or a structure of them) to differentiate by in place of an
            argument. The results are Values.
        has_aux: `f` returns a pair: the number to differentiate, and anything else. The result is a pair too:
            the gradient, and that.

    Raises:
        TypeError: if `f` returns several numbers or none, or the argument holds anything but numbers.
    """
    return _Gradient("grad", f, argnums, wrt, has_aux)


def value_and_grad(f: Function, argnums: Argnums = 0, *, wrt: Tree = None, has_aux: bool = False) -> Function:
    """Return the function that computes the pair (value of `f`, gradient of `f`); see `grad`.

    >>> import nodegrad as ng
    >>> ng.value_and_grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0)
    (6.0, (3.0, 2.0))
    >>> ng.value_and_grad(lambda x: (x * x, {"root": x}), has_aux=True)(3.0)
    ((9.0, {'root': 3.0}), 6.0)

    With `has_aux`, the value is the pair that `f` returns.
    """
    return _ValueAndGradient("value_and_grad", f, argnums, wrt, has_aux)


def jacobian(
    f: Function, argnums: Argnums = 0, *, wrt: Tree = None, mode: str | None = None, sparse: bool = False
) -> Function:
    """Return the function that computes ∂fᵢ/∂xⱼ for every number fᵢ that `f` returns.

    The result has the structure of what `f` returns, with that of the argument in place of each number. From
    a NumPy array of shape s to one of shape r it is an array of shape r + s.

    >>> import nodegrad as ng
    >>> ng.jacobian(lambda p: [p[0] * p[1], p[0] + p[1]])([2.0, 3.0])
    [[3.0, 2.0], [1.0, 1.0]]

    Args:
        f: a function that returns numbers in any structure.
        argnums: see `grad`.
        wrt: see `grad`.
        mode: "reverse" sweeps once per output, "forward" once per input; by default what takes fewer sweeps.
        sparse: return a SciPy sparse array with a row per number of the result and a column per number of the
            argument. It has an entry wherever the result depends on the argument, be it 0 or not, so that its
            pattern does not depend on the numbers. Inputs that no output shares take one forward sweep.

    Raises:
        ImportError: if `sparse` is wanted and SciPy is not installed.
    """
    one_of("jacobian", "mode", mode, (None, "reverse", "forward"))
    return _Jacobian("jacobian", f, argnums, wrt, (mode, sparse))


def hessian(f: Function, argnums: Argnums = 0, *, wrt: Tree = None, sparse: bool = False) -> Function:
    """Return the function that computes ∂²f/∂xᵢ∂xⱼ: the Jacobian, forward, of the gradient, in reverse.

    >>> import nodegrad as ng
    >>> ng.hessian(lambda p: p[0] ** 2 * p[1])([2.0, 3.0])
    [[6.0, 4.0], [4.0, 0.0]]

    Args:
        f: a function that returns one number.
        argnums: see `grad`.
        wrt: see `grad`.
        sparse: see `jacobian`.
    """
    _check_function(f, "hessian")
    return _Jacobian("hessian", grad(f, argnums, wrt=wrt), argnums, wrt, ("forward", sparse))


def jvp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, Tree]:
    """Compute `f(*primals)` and its derivative along `tangents`: Σ ∂f/∂xⱼ·tⱼ, in one forward sweep.

    >>> import nodegrad as ng
    >>> ng.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)

    Args:
        f: a function that returns numbers in any structure.
        primals: its arguments.
        tangents: how they change; of the structure of `primals`.

    Raises:
        TypeError: if `primals` is not a tuple or list.
        ValueError: if `tangents` does not hold as many numbers as `primals`.
    """
    _check_function(f, "jvp")
    arguments = _arguments(primals, "primals", "jvp")
    with patient_collector():
        record = _record("jvp", f, arguments, {}, range(len(arguments)), None)
        seeds = _seeds(record.variables, _arguments(tangents, "tangents", "jvp"), "tangents", "jvp")
        record = record.symbolic() if any(isinstance(x, Value) for x in seeds.values()) else record
        found = record.forward(seeds)
        return (
            build(record.result, map(record.number, record.outputs)),
            build(record.result, (record.number(found.get(output, 0.0)) for output in record.outputs)),
        )


def vjp(f: Function, *primals: Tree) -> tuple[Tree, Function]:
    """Compute `f(*primals)` and the function from adjoints of its result to those of `primals`: Σ aᵢ·∂fᵢ/∂xⱼ.

    >>> import nodegrad as ng
    >>> value, pull_back = ng.vjp(lambda x, y: (x * y, x + y), 2.0, 3.0)
    >>> value, pull_back((1.0, 10.0))
    ((6.0, 5.0), (13.0, 12.0))

    Args:
        f: a function that returns numbers in any structure.
        primals: its arguments.

    Returns:
        The value, and a function of one argument that has the structure of the value. It returns a tuple with
        one entry per primal and may be called many times; each call is one reverse sweep.
    """
    _check_function(f, "vjp")
    with patient_collector():
        record = _record("vjp", f, primals, {}, range(len(primals)), None)
        record = record._replace(active=dependents(record.order, record.variables))

    def pull_back(adjoints: Tree) -> tuple[Tree, ...]:
        with patient_collector():
            seeds = _seeds(record.outputs, adjoints, "adjoints", "the function that vjp returned")
            swept = record.symbolic() if any(isinstance(x, Value) for x in seeds.values()) else record
            gradient: tuple[Tree, ...] = swept.gradient(seeds)
            return gradient

    return build(record.result, map(record.number, record.outputs)), pull_back


def hvp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, ...]:
    """Compute the Hessian of `f` times a vector: how the gradient changes along it, without the Hessian.

    >>> import nodegrad as ng
    >>> ng.hvp(lambda x, y: x**2 * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 4.0)

    Args:
        f: a function that returns one number.
        primals: its arguments.
        tangents: the vector; of the structure of `primals`.

    Returns:
        A tuple with one entry per primal.
    """
    _check_function(f, "hvp")
    everything = range(len(_arguments(primals, "primals", "hvp")))
    product: tuple[Tree, ...] = jvp(grad(f, everything), primals, tangents)[1]
    return product


# What transforms return: objects, so that they can be pickled if the function can.


class _Transformed:
    """A function made from another. It has the name, the docstring and the signature of that one."""

    def __init__(self, user: str, f: Function, argnums: Argnums, wrt: Tree, option: Any) -> None:
        _check_function(f, user)
        self.user, self.f, self.argnums, self.wrt, self.option = user, f, argnums, wrt, option
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and sweep; each subclass says how."""
        raise NotImplementedError

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # like any function in a class

    def __repr__(self) -> str:
        return f"<{self.user} of {getattr(self.f, '__name__', self.f)}>"

    def record(self, f: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "_Record":
        """Run `f` on fresh variables."""
        return _record(self.user, f, args, kwargs, self.argnums, self.wrt)


def plain_places(f: Any, count: int) -> frozenset[int]:
    """Return which of so many arguments are best given as plain numbers: those a transform sweeps by."""
    if not isinstance(f, _Transformed) or f.wrt is not None:
        return frozenset()
    return frozenset(_places(f.argnums, count, f.user))


class _ValueAndGradient(_Transformed):
    """What `value_and_grad` returns; the option is whether the function returns something else beside."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tree, Tree]:
        beside: list[Tree] = []

        def scalar(*args: Any, **kwargs: Any) -> Number:
            result = self.f(*args, **kwargs)
            if self.option:
                result, aux = _pair(result, self.user)
                beside.append(aux)
            return _one_output(result, self.user)

        with patient_collector():
            record = self.record(scalar, args, kwargs)
            (output,) = record.outputs
            value = record.number(output)
            return (value, record.numbers(beside[0])) if beside else value, record.gradient({output: 1.0})


class _Gradient(_ValueAndGradient):
    """What `grad` returns."""

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        value, gradient = super().__call__(*args, **kwargs)
        return (gradient, value[1]) if self.option else gradient


class _Jacobian(_Transformed):
    """What `jacobian` returns; the options are the direction to sweep in and whether the result is sparse."""

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        mode, sparse = self.option
        with patient_collector():
            record = self.record(self.f, args, kwargs)
            if sparse:
                return record.sparse(mode)
            fewer_inputs = len(record.variables) < len(record.outputs)
            forward = fewer_inputs if mode is None else mode == "forward"
            return blocks(record.result, record.argument, record.columns() if forward else record.rows())


# Running a function on fresh variables.


class _Record(NamedTuple):
    """What one run of a function recorded, ready to be swept."""

    argument: Spec  # how what to differentiate by, and so the gradient, is structured
    variables: list[Value]  # the numbers in it
    own: set[Value]  # those made here, from plain numbers
    result: Spec  # how what the function returned is structured
    outputs: list[Value]  # the numbers in it
    order: list[Value]
    start: int  # when the function was called
    active: set[Value] | None = None  # the nodes that depend on the variables; None for all
    floats: bool = True

    def symbolic(self) -> "_Record":
        """Return the record to be swept over Values. Variables made from plain numbers end as constants."""
        active = dependents(self.order, self.variables)
        for variable in self.own:
            variable.op = constant
        return self._replace(active=active, floats=False)

    def number(self, x: Number) -> Number:
        """Return a result as what this record's results are: a float or a Value."""
        if self.floats:
            return x._data if isinstance(x, Value) else x
        return x if isinstance(x, Value) else literal(x)

    def numbers(self, tree: Tree) -> Tree:
        """Return a structure with every Value in it as what this record's results are."""
        leaves, spec = flatten(tree)
        if not any(isinstance(x, Value) for x in leaves):
            return tree
        return build(spec, [self.number(x) if isinstance(x, Value) else x for x in leaves])

    def reverse(self, seeds: Mapping[Value, Number]) -> dict[Value, Number]:
        """Sweep from the outputs to the variables."""
        if self.floats:
            _, ends, adjoints = backpropagate(seeds, self.active)
            return dict(zip(ends, adjoints, strict=True))
        return reverse_sweep(self.order, seeds, self.active, floats=False)

    def forward(self, seeds: Mapping[Value, Number]) -> dict[Value, Number]:
        """Sweep from the variables to the outputs."""
        return forward_sweep(self.order, seeds, self.active, self.floats)

    def gradient(self, seeds: Mapping[Value, Number]) -> Tree:
        """Return the adjoints of the variables in the structure of the argument."""
        adjoints = self.reverse(seeds)
        return build(self.argument, (self.number(adjoints.get(x, 0.0)) for x in self.variables))

    def rows(self) -> Any:
        """Return the Jacobian by reverse sweeps."""
        found = self.each_reverse()
        if found is None:
            return self._swept(reverse_sweep, [[output] for output in self.outputs], self.variables)
        return _matrix(found, self.variables, self.number)

    def each_reverse(self) -> list[dict[Value, Number]] | None:
        """Sweep from each output through what it depends on; None where outputs share most of that.

        Then sweeps through all nodes, side by side, are faster.
        """
        found: list[dict[Value, Number]] = []
        walked = 0
        for output in self.outputs:
            if self.floats:
                order, ends, numbers = backpropagate({output: 1.0}, self.active)
                adjoints = dict(zip(ends, numbers, strict=True))
                walked += len(order) + len(ends)
            else:
                order = topological_order(output, since=self.start)
                adjoints = reverse_sweep(order, {output: 1.0}, self.active, floats=False)
                walked += len(order)
            found.append(adjoints)
            if walked > _SHARED * len(self.order) and len(found) < len(self.outputs):
                return None
        return found

    def columns(self) -> Any:
        """Return the Jacobian, also row by row, by a forward sweep per variable, side by side."""
        swept = self._swept(forward_sweep, [[x] for x in self.variables], self.outputs)
        return swept.T if hasattr(swept, "T") else [list(row) for row in zip(*swept, strict=True)]

    def sparse(self, mode: str | None) -> Any:
        """Return the Jacobian as a sparse array, by sweeps per output or per group of variables."""
        rows = pattern(self.order, self.variables, self.outputs)
        shared = groups(rows, len(self.variables))
        reverse = mode == "reverse" or (mode is None and len(self.outputs) < len(shared))
        each = self.each_reverse() if reverse else None
        if each is not None:
            entries = [
                self.number(found.get(self.variables[place], 0.0))
                for found, places in zip(each, rows, strict=True)
                for place in places
            ]
        else:
            sources = [[self.variables[place] for place in group] for group in shared]
            swept = self._swept(forward_sweep, sources, self.outputs)
            group_of = {place: number for number, group in enumerate(shared) for place in group}
            entries = [swept[group_of[place]][row] for row, places in enumerate(rows) for place in places]
        numbers = [float(x) if self.floats else x for x in entries]
        return Sparse.of(rows, len(self.variables), numbers)

    def _swept(self, sweep: Any, sources: list[list[Value]], targets: list[Value]) -> Any:
        """Sweep over all nodes from each group of sources; return what comes to the targets, a row per sweep.

        With NumPy, many sweeps are one whose numbers are arrays. If some number is not finite, what is 0 in
        an array matters, and each sweep is done by itself.
        """
        numpy: Any = sys.modules.get("numpy")
        width = _ENTRIES // max(1, sum(node.op is not constant for node in self.order))
        if self.floats and numpy is not None and not watchers and min(width, len(sources)) >= _FEW:
            found = numpy.zeros((len(sources), len(targets)))
            with numpy.errstate(all="ignore"):
                for first in range(0, len(sources), width):
                    part = sources[first : first + width]
                    seeds: dict[Value, Any] = {}
                    for place, group in enumerate(part):
                        for source in group:
                            seeds[source] = seeds.get(source, 0.0) + numpy.eye(1, len(part), place)[0]
                    swept = sweep(self.order, seeds, self.active, True)
                    for column, target in enumerate(targets):
                        found[first : first + len(part), column] = swept.get(target, 0.0)
            if numpy.isfinite(found).all():
                return found
        each = [sweep(self.order, dict.fromkeys(group, 1.0), self.active, self.floats) for group in sources]
        return _matrix(each, targets, self.number)


def _record(
    user: str, f: Function, args: Sequence[Any], kwargs: Mapping[str, Any], argnums: Argnums, wrt: Tree
) -> _Record:
    """Run `f` on fresh variables in place of the numbers to differentiate by; with `wrt`, as it is.

    What was made before the call depends on no fresh variable: it is not walked through, so that a derivative
    inside a loop costs what its function costs, not all that the loop has done so far.
    """
    start = clock.tick() if wrt is None else 0
    if wrt is None:
        places = _places(argnums, len(args), user)
        given = [(_checked(x, f"argument {i}", user)) for i in places for x in flatten(args[i])[0]]
        variables = [_variable(x) for x in given]
        own = {x for x in variables if x.op is None}
        chosen = tuple([args[i] for i in places])
        argument = flatten(chosen)[1]
        passed = dict(zip(places, build(argument, variables), strict=True))
        args = [passed.get(i, arg) for i, arg in enumerate(args)]
        argument = argument[2][0] if isinstance(argnums, int) else argument
    else:
        given, argument = flatten(wrt)
        variables, own = [_checked_variable(x, user) for x in given], set()
    returned, result = flatten(f(*args, **kwargs))
    outputs = [_output(x, user) for x in returned]
    order = topological_order(*outputs, since=start)
    made = [node for node in order if node.op is not constant and node.op is not None and node._time >= start]
    check_unchanged(made)
    record = _Record(argument, variables, own, result, outputs, order, start)
    known = set(made) | own
    floats = len(own) == len(variables) and all(node.op is constant or node in known for node in order)
    return record if floats else record.symbolic()


def _matrix(swept: Sequence[Mapping[Value, Number]], targets: Sequence[Value], number: Function) -> Any:
    """Return what sweeps brought to the targets, a row per sweep: an array if all are floats, with NumPy."""
    places: dict[Value, list[int]] = {}
    for place, target in enumerate(targets):
        places.setdefault(target, []).append(place)
    rows = [[number(0.0)] * len(targets) for _ in swept]
    for row, found in zip(rows, swept, strict=True):
        for node in found if len(found) < len(places) else places:
            if node in places and node in found:
                for place in places[node]:
                    row[place] = number(found[node])
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not rows or not targets or type(rows[0][0]) is not float:
        return rows
    return numpy.array(rows)


def _variable(number: Number) -> Value:
    """Make a fresh variable, so that no derivative mistakes the variable of another for its own."""
    return Value.apply_op(identity, (number,)) if isinstance(number, Value) else stand_in(number)


# Refusals, each with its remedy.


def _check_function(f: Any, user: str) -> None:
    if not callable(f):
        remedy = " On a Value, call its backward()." if isinstance(f, Value) else ""
        raise TypeError(f"{user} expects a function; got {described(f)}.{remedy}")


def _places(argnums: Argnums, count: int, user: str) -> list[int]:
    """Return the positions that `argnums` names among `count` positional arguments."""
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    for place in places:
        if not isinstance(place, int):
            raise TypeError(f"{user} takes argnums as an int or a sequence of ints; got {argnums!r:.60}.")
        if not -count <= place < count:
            raise TypeError(
                f"{user} was to differentiate by positional argument {place}, but {count} came. "
                "Pass it by position, or name another in argnums."
            )
    places = [place % count for place in places]
    if len(set(places)) < len(places):
        raise ValueError(f"{user} takes each argument once in argnums; got {argnums!r:.60}.")
    return places


def _checked(x: Any, what: str, user: str) -> Number:
    """Return a number to differentiate by, or along, or raise."""
    if isinstance(x, Value):
        return x
    try:
        return plain(x, user)
    except TypeError:
        raise TypeError(
            f"{user} takes numbers, and lists, tuples, dicts, data classes and NumPy arrays of them; {what} "
            f"holds {described(x)}. Pass non-numeric values in an argument that is not differentiated; pass "
            "a model's parameters with wrt=."
        ) from None


def _checked_variable(x: Any, user: str) -> Value:
    if not isinstance(x, Value):
        raise TypeError(
            f"{user} takes for wrt the Values that the function closes over; got {described(x)}. "
            "For a number that the function takes as an argument use argnums."
        )
    return x


def _output(x: Any, user: str) -> Value:
    if isinstance(x, Value):
        return x
    try:
        return literal(plain(x, user))
    except TypeError:
        raise TypeError(
            f"{user} expects a function that returns numbers; this one returned {described(x)}."
        ) from None


def _pair(result: Any, user: str) -> tuple[Tree, Tree]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            f"{user} with has_aux=True expects a function that returns a pair, a number and anything else; "
            f"this one returned {described(result)}."
        )
    number, beside = result
    return number, beside


def _one_output(result: Tree, user: str) -> Number:
    if container(result) is not None or getattr(result, "shape", None):
        raise TypeError(
            f"{user} expects a function that returns one Value; this one returned {described(result)}. "
            "Use jacobian for several outputs."
        )
    return result


def _arguments(trees: Any, what: str, user: str) -> tuple[Tree, ...]:
    if not isinstance(trees, list | tuple):
        raise TypeError(
            f"{user} takes {what} as a tuple with one entry per argument; got {described(trees)}. "
            f"For one argument write ({what[:-1]},)."
        )
    return tuple(trees)


def _seeds(nodes: Sequence[Value], tree: Tree, what: str, user: str) -> dict[Value, Number]:
    """Give each node its number in a structure that holds as many; to a node that comes twice, the sum."""
    numbers = [_checked(x, what, user) for x in flatten(tree)[0]]
    if len(numbers) != len(nodes):
        raise ValueError(f"{user} takes {what} of {len(nodes)} numbers; got {len(numbers)}.")
    seeds: dict[Value, Number] = {}
    for node, number in zip(nodes, numbers, strict=True):
        seeds[node] = seeds[node] + number if node in seeds else number
    return seeds
