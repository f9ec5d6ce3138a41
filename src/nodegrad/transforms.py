"""Derivatives of plain functions: grad, jacobian, hessian, jvp, vjp, hvp as compositions of sweeps.

Every transform runs the function once on fresh variables and sweeps over what was recorded: see `runs`.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import update_wrapper
from types import MethodType
from typing import Any

from nodegrad.forks import sweeping
from nodegrad.graph import recording
from nodegrad.inputs import described, flag, function, one_of
from nodegrad.observers import listeners
from nodegrad.ops import Number
from nodegrad.runs import Argnums, Function, Run, checked, places_of, run
from nodegrad.trees import LEAF, Spec, Tree, blocks, build, container, flatten
from nodegrad.value import Value

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


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
    return _Gradient("grad", f, argnums, wrt, flag("grad", "has_aux", has_aux))


def value_and_grad(f: Function, argnums: Argnums = 0, *, wrt: Tree = None, has_aux: bool = False) -> Function:
    """Return the function that computes the pair (value of `f`, gradient of `f`); see `grad`.

    >>> import nodegrad as ng
    >>> ng.value_and_grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0)
    (6.0, (3.0, 2.0))
    >>> ng.value_and_grad(lambda x: (x * x, {"root": x}), has_aux=True)(3.0)
    ((9.0, {'root': 3.0}), 6.0)

    With `has_aux`, the value is the pair that `f` returns.
    """
    return _ValueAndGradient("value_and_grad", f, argnums, wrt, flag("value_and_grad", "has_aux", has_aux))


def jacobian(
    f: Function, argnums: Argnums = 0, *, wrt: Tree = None, mode: str | None = None, sparse: bool = False
) -> Function:
    """Return the function that computes ∂fᵢ/∂xⱼ for every number fᵢ that `f` returns.

    The result has the structure of what `f` returns. In it, the structure of the argument stands in place of
    each number. From a NumPy array of shape s to one of shape r it is an array of shape r + s.

    >>> import nodegrad as ng
    >>> ng.jacobian(lambda p: [p[0] * p[1], p[0] + p[1]])([2.0, 3.0])
    [[3.0, 2.0], [1.0, 1.0]]

    Args:
        f: a function that returns numbers in any structure.
        argnums: see `grad`.
        wrt: see `grad`.
        mode: "reverse" sweeps once per output, "forward" once per input; by default what takes fewer sweeps.
        sparse: return a SciPy sparse array with a row per number of the result and a column per number of the
            argument. It has an entry wherever the result depends on the argument, even if the entry is 0, so
            its pattern does not depend on the numbers. Inputs that no output shares take one forward sweep.

    Raises:
        ImportError: if `sparse` is wanted and SciPy is not installed.
    """
    one_of("jacobian", "mode", mode, (None, "reverse", "forward"))
    return _Jacobian("jacobian", f, argnums, wrt, (mode, flag("jacobian", "sparse", sparse)))


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
    function("hessian", "f", f, classes=True)
    sparse = flag("hessian", "sparse", sparse)
    return _Jacobian("hessian", grad(f, argnums, wrt=wrt), argnums, wrt, ("forward", sparse))


def jvp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, Tree]:
    """Compute `f(*primals)` and its derivative along `tangents`: Σ ∂f/∂xⱼ·tⱼ, in one forward sweep.

    >>> import nodegrad as ng
    >>> ng.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)

    Args:
        f: a function that returns numbers in any structure.
        primals: its arguments.
        tangents: how they change; the same structure as `primals`.

    Raises:
        TypeError: if `primals` is not a tuple or list.
        ValueError: if `tangents` does not hold as many numbers as `primals`.
    """
    function("jvp", "f", f, classes=True)
    arguments = _arguments(primals, "primals", "jvp")
    with recording():
        record = run("jvp", f, arguments, {}, range(len(arguments)), None)
        seeds = _seeds(record.variables, _arguments(tangents, "tangents", "jvp"), "tangents", "jvp")
        record = record.symbolic() if any(isinstance(x, Value) for x in seeds.values()) else record
        found = record.forward(seeds)
        return (
            build(record.result, map(record.number, record.outputs)),
            build(record.result, (record.number(found.get(output, 0.0)) for output in record.outputs)),
        )


def vjp(f: Function, *primals: Tree) -> tuple[Tree, Function]:
    """Compute `f(*primals)`, and a function from adjoints of it to adjoints of `primals`: Σ aᵢ·∂fᵢ/∂xⱼ.

    >>> import nodegrad as ng
    >>> value, pull_back = ng.vjp(lambda x, y: (x * y, x + y), 2.0, 3.0)
    >>> value, pull_back((1.0, 10.0))
    ((6.0, 5.0), (13.0, 12.0))

    Args:
        f: a function that returns numbers in any structure.
        primals: its arguments.

    Returns:
        The value, and a function of one argument that has the structure of the value. It returns a tuple with
        one entry per primal and may be called many times; each call is one reverse sweep. It raises a
        RuntimeError if a Value that `f` closes over has been changed since.
    """
    function("vjp", "f", f, classes=True)
    pull_back = _PullBack(f, primals)
    return pull_back.value, pull_back


class _PullBack:
    """What `vjp` returns."""

    def __init__(self, f: Function, primals: tuple[Tree, ...]) -> None:
        with recording():
            self.record = record = run("vjp", f, primals, {}, range(len(primals)), None)
        self.value = build(record.result, map(record.number, record.outputs))

    def __call__(self, adjoints: Tree) -> Tree:
        with recording(), sweeping:  # another thread may be making the variables constants
            seeds = _seeds(self.record.outputs, adjoints, "adjoints", "the function that vjp returned")
            self.record.check_unchanged()
            record = self.record
            if any(isinstance(x, Value) for x in seeds.values()):
                record = record.symbolic()
                self.record = self.record._replace(active=record.active)  # the variables are constants now
            return record.gradient(record.adjoints(seeds))


def hvp(f: Function, primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Tree, ...]:
    """Compute the Hessian of `f` times a vector: how the gradient changes along it, without the Hessian.

    >>> import nodegrad as ng
    >>> ng.hvp(lambda x, y: x**2 * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 4.0)

    Args:
        f: a function that returns one number.
        primals: its arguments.
        tangents: the vector; the same structure as `primals`.

    Returns:
        A tuple with one entry per primal.
    """
    function("hvp", "f", f, classes=True)
    everything = range(len(_arguments(primals, "primals", "hvp")))
    product: tuple[Tree, ...] = jvp(grad(f, everything), primals, tangents)[1]
    return product


# What transforms return: objects, so that they can be pickled if the function can.


class _Transformed:
    """A function made from another, with the name, the docstring and the signature of the other.

    Attributes:
        plain: whether it returns plain numbers, even where it differentiates by Values.
    """

    plain = False
    _derived: Any  # (args, kwargs) -> result: runs the function and sweeps; each subclass says how

    def __init__(self, user: str, f: Function, argnums: Argnums, wrt: Tree, option: Any) -> None:
        function(user, "f", f, classes=True)
        self.user, self.f, self.argnums, self.wrt, self.option = user, f, argnums, wrt, option
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and sweep."""
        with recording():  # what was recorded is freed in `_derived`, before the collector could scan it
            return self._derived(args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # like any function in a class

    def __repr__(self) -> str:
        return f"<{self.user} of {getattr(self.f, '__name__', self.f)}>"

    def called(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and tell observers what numbers it was given and returned."""
        result = self.f(*args, **kwargs)
        for called in listeners.called:
            called(self.f, flatten((args, kwargs))[0], flatten(result, result=True)[0])
        return result


def plain_places(f: Any, count: int) -> frozenset[int]:
    """Return which of `count` arguments a transform differentiates by: plain numbers are faster there."""
    if not isinstance(f, _Transformed) or f.wrt is not None:
        return frozenset()
    return frozenset(places_of(f.argnums, count, f.user))


def in_numbers(f: Any) -> Any:
    """Return a copy of a transform that returns plain numbers, which is faster; other functions unchanged."""
    if not isinstance(f, _Transformed):
        return f
    made = copy(f)
    made.plain = True
    return made


def gives_floats(f: Any) -> bool:
    """Return whether a function gives floats only: a copy by `in_numbers`, without has_aux."""
    return isinstance(f, _Transformed) and f.plain and not (isinstance(f, _ValueAndGradient) and f.option)


def flat(f: Any, args: Sequence[Any], pairs: bool = False) -> tuple[list[Any], Spec]:
    """Call a function, and take its result apart: a gradient need not be put together for that.

    With `pairs`, some of the adjoints in a gradient may be pairs: see `sweep.reverse_sweep`.
    """
    if isinstance(f, _ValueAndGradient) and not f.option:
        with recording():
            return f.flat(args, pairs)
    return flatten(f(*args), result=True)


def innermost(f: Any) -> Any:
    """Return the function that a transform, or a transform of a transform, differentiates."""
    while isinstance(f, _Transformed):
        f = f.f
    return f


class _ValueAndGradient(_Transformed):
    """What `value_and_grad` returns; the option is `has_aux`."""

    def _derived(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        record, value, adjoints = self._swept(args, kwargs)
        return value, record.gradient(adjoints)

    def flat(self, args: Sequence[Any], pairs: bool) -> tuple[list[Any], Spec]:
        """Return the value and the gradient taken apart, as `trees.flatten` does."""
        record, value, adjoints = self._swept(args, {}, pairs)
        return [value, *adjoints], (tuple, None, (LEAF, record.argument))

    def _swept(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], pairs: bool = False
    ) -> tuple[Run, Any, list[Any]]:
        """Return the run, the value (with has_aux a pair), and the adjoints of the variables."""
        beside: list[Tree] = []

        def scalar(*args: Any, **kwargs: Any) -> Number:
            result = self.called(*args, **kwargs)
            if self.option:
                result, aux = _pair(result, self.user)
                beside.append(aux)
            return _one_output(result, self.user)

        record = run(self.user, scalar, args, kwargs, self.argnums, self.wrt, self.plain)
        (output,) = record.outputs
        value = record.number(output)
        value = (value, record.numbers(beside[0])) if beside else value
        return record, value, record.adjoints({output: 1.0}, pairs)


class _Gradient(_ValueAndGradient):
    """What `grad` returns."""

    def _derived(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        value, gradient = super()._derived(args, kwargs)
        return (gradient, value[1]) if self.option else gradient

    def flat(self, args: Sequence[Any], pairs: bool) -> tuple[list[Any], Spec]:
        """Return the gradient taken apart."""
        leaves, (_, _, specs) = super().flat(args, pairs)
        return leaves[1:], specs[1]


class _Jacobian(_Transformed):
    """What `jacobian` returns; the options are the direction to sweep in and whether the result is sparse."""

    def _derived(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        mode, sparse = self.option
        record = run(self.user, self.called, args, kwargs, self.argnums, self.wrt, self.plain)
        if sparse:
            return record.sparse(mode)
        if mode == "reverse" or (mode is None and len(record.variables) >= len(record.outputs)):
            return blocks(record.result, record.argument, record.rows())
        columns = record.columns([[x] for x in record.variables])
        every = range(len(record.outputs))
        rows = columns.T if hasattr(columns, "T") else [[column[at] for column in columns] for at in every]
        return blocks(record.result, record.argument, rows)


# Refusals, each with its remedy.


def _pair(result: Any, user: str) -> tuple[Tree, Tree]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            f"{user} with has_aux=True expects a function that returns a pair, a number and anything else; "
            f"this one returned {described(result)}."
        )
    number, beside = result
    return number, beside


def _one_output(result: Tree, user: str) -> Number:
    if type(result) is not Value and (container(result) is not None or getattr(result, "shape", None)):
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
    """Give each node its number from a structure of as many numbers; to a node that comes twice, the sum."""
    numbers = [checked(x, what, user) for x in flatten(tree)[0]]
    if len(numbers) != len(nodes):
        raise ValueError(f"{user} takes {what} of {len(nodes)} numbers; got {len(numbers)}.")
    seeds: dict[Value, Number] = {}
    for node, number in zip(nodes, numbers, strict=True):
        seeds[node] = seeds[node] + number if node in seeds else number
    return seeds
