"""Custom operations: each stated in one line, like a row of the table."""

import copyreg
import importlib
import sys
from collections.abc import Callable
from dis import opmap
from functools import partial, wraps
from inspect import CO_GENERATOR
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

from nodegrad import ops
from nodegrad.code_objects import codes_in, names_in, reached
from nodegrad.inputs import plain
from nodegrad.interfaces import Rounding
from nodegrad.ops import TABLE, Op, give_operators

__all__ = ["custom"]


def custom(
    name: str,
    value: Callable[..., float],
    *partials: Callable[..., Any] | None,
    symbol: str | None = None,
) -> Op:
    """Make an operation of your own: one line, like a row of the table.

    The result is called like any operation, on numbers and Values alike, and is differentiated to any order.
    It can be pickled, and so go to other processes, if it is a variable of the module that defines `value`.

    >>> import nodegrad as ng
    >>> cube = ng.custom("cube", lambda x: x**3, lambda x, out: 3.0 * x * x)
    >>> cube(2.0), ng.grad(cube)(2.0), ng.grad(ng.grad(cube))(2.0)
    (8.0, 12.0, 12.0)

    Args:
        name: a name that is an identifier and not in the table.
        value: the value over floats. If it raises an ArithmeticError or a ValueError, the result is that of
            IEEE 754 (1 / 0 is inf) or nan. Written with operators and nodegrad's functions, it runs natively,
            unless it, or a function it calls, catches errors or asks for types or identity.
        partials: one function `(operands..., out)` per operand, written with operators and nodegrad's
            functions, so that it works for floats and Values; None for a partial that is 0 everywhere.
        symbol: what pictures show; by default the name.

    Raises:
        TypeError: if there are no partials, or one is not a function.
        ValueError: if the name is taken or is not an identifier.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"custom takes a name that is an identifier; got {name!r:.60}.")
    if name in TABLE or name == "constant":
        raise ValueError(f"custom got the name {name!r}, which is an operation already. Choose another.")
    if not partials or not all(partial is None or callable(partial) for partial in partials):
        raise TypeError(
            f"custom takes one partial (operands..., out) per operand of {name}: a function, or None for 0."
        )
    rules = tuple(map(_total, partials))
    return Op(name, symbol or name, _total(value), rules, domain=(), composed=_recorded(value))


def _recorded(value: Any) -> Any:
    """Return a value that can be recorded over symbols; None if it is to run over floats only.

    It is to run over floats if it catches errors, which symbols do not raise, or asks for the type or
    identity of a number, itself or in a function of the user's that it can see.
    """
    functions = [value] if isinstance(value, FunctionType) else []
    for f in functions:  # which grows
        inside = [x for x in reached(f) if isinstance(x, FunctionType) and x not in functions]
        functions += [x for x in inside if not x.__module__.startswith("nodegrad.")]
    codes = [code for f in functions for code in codes_in(f.__code__)]
    catches = any(code.co_exceptiontable for code in codes if not code.co_flags & CO_GENERATOR)
    asks = any(not {"isinstance", "type"}.isdisjoint(code.co_names) for code in codes)
    compares = any(opmap["IS_OP"] in code.co_code[::2] for code in codes)
    return None if catches or asks or compares else value


def _total(function: Callable[..., Any] | None) -> Any:
    """Make a function total over floats: where Python raises (1 / 0.0), return IEEE 754's result, or nan."""
    if function is None:
        return None

    @wraps(function)  # keeps `__module__`, too: pickle looks for the operation there
    def total(*numbers: Any) -> Any:
        for given in (numbers, map(IEEE, numbers)):
            try:
                found = function(*given)
            except (ArithmeticError, ValueError):
                continue
            if not isinstance(found, complex):
                over_floats = isinstance(found, IEEE) or not hasattr(found, "apply_op")
                return plain(found, "an operation's value") if over_floats else found
        return float("nan")

    return total


class IEEE(Rounding, float):  # type: ignore[misc]  # floats round to an int
    """A float whose operators follow IEEE 754 where Python's raise. Operations take it like any number."""

    @staticmethod
    def apply_op(op: Op, operands: tuple[Any, ...]) -> "IEEE":
        """Compute an operation."""
        return IEEE(op.value(*map(float, operands)))


give_operators(IEEE, ops.neg, ops.abs)


class Symbol:
    """A stand-in for a number, used to write a formula down. It raises for what only a float can answer.

    If a function branches on it, makes text of it or uses it as a key, no formula can be written down: the
    function is then called with floats.
    """

    __slots__ = ()

    def _refuse(self, *_: Any) -> Any:
        raise TypeError("a symbol is neither true nor false, has no text and is no key; choose with where.")

    __bool__ = __repr__ = __format__ = __hash__ = _refuse

    def __getattr__(self, name: str) -> Any:
        raise (TypeError if hasattr(float, name) else AttributeError)(name)  # `hasattr` must not return False


# Operations are pickled by name: rows of the table; variables of modules, with a digest of what they compute.


def _reduced(op: Op) -> tuple[Any, ...]:
    if TABLE.get(op.name) is op:
        return _row, (op.name,)
    module = getattr(op.value, "__module__", None)
    for name, found in vars(sys.modules[module]).items() if module in sys.modules else ():
        if found is op:
            return _variable, (module, name, digest(op))
    raise TypeError(
        f"operation {op.name} cannot be pickled: it is neither in the table nor a variable of the module "
        f"{module} that its value comes from. Assign it there, at the top level, to be found by name."
    )


copyreg.pickle(Op, _reduced)


def _row(name: str) -> Op:
    return TABLE[name]


def _variable(module: str, name: str, known: str) -> Any:
    found = getattr(importlib.import_module(module), name)
    if digest(found) != known:
        raise ValueError(
            f"operation {name} of module {module} is not the one that was pickled: one of the processes has "
            "an older version of it. Restart the older one (or the workers of the executor), or import the "
            "module again."
        )
    return found


def digest(op: Op) -> str:
    """Return a digest that is the same in every process where the operation has the same code."""
    import hashlib  # which most programs never need

    described = _described((op.name, op.value, op.partials), {})
    return hashlib.sha256(repr(described).encode()).hexdigest()


def _described(thing: Any, seen: dict[int, Any]) -> Any:
    """Describe a function by its code and by the numbers, texts and functions that it refers to.

    `seen` holds the lists and functions that were described already, by their ids.
    """
    if isinstance(thing, list):
        if id(thing) in seen:  # it may hold itself
            return "again"
        seen[id(thing)] = thing
    if isinstance(thing, tuple | list):
        return [_described(entry, seen) for entry in thing]
    if isinstance(thing, frozenset):
        return sorted(map(repr, thing))
    if isinstance(thing, CodeType):
        return [thing.co_code, thing.co_names, _described(thing.co_consts, seen)]
    if isinstance(thing, partial):
        return _described([thing.func, thing.args, sorted(thing.keywords.items())], seen)
    if isinstance(thing, FunctionType) and id(thing) not in seen:
        seen[id(thing)] = thing
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        found = [thing.__globals__.get(name) for name in names_in(thing.__code__)]
        # Functions of other modules are found by name, as the operation itself is.
        near = [x for x in found if getattr(x, "__module__", thing.__module__) == thing.__module__]
        return _described([thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells, near], seen)
    if thing is None or isinstance(thing, str | bytes | int | float | complex):
        return repr(thing)
    named = isinstance(thing, type | BuiltinFunctionType)
    return type(thing).__qualname__, thing.__qualname__ if named else ""
