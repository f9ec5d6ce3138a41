"""Checks of arguments. Every error says which function takes what, what came, and what to do.

Arrays and data frames become arrays or lists of plain numbers here, and nowhere else.
"""

import math
import os
import sys
from collections.abc import Callable, Iterable
from numbers import Real
from operator import index
from typing import Any

__all__ = ()


_REMEDIES = {
    "str": "Convert it first: float(text).",
    "complex": "Only real numbers are differentiated: use .real and .imag.",
    "NoneType": "A function may have forgotten its return.",
    "ndarray": "For an array apply NumPy's function to an object array of Values, or call this per element.",
    "MaskedArray": "Write array.filled(...), or drop what is masked.",
    "MaskedConstant": "It is masked: write array.filled(...), or drop what is masked.",
    "list": "Call this once per element.",
    "tuple": "Call this once per element.",
    "Value": "Use value.data for the number it holds.",
    "Tensor": "Use tensor.item() for the number it holds.",
    "ArrayImpl": "Use array.item() for the number it holds, or numpy.asarray(array) for NumPy's array.",
}


def plain(number: Any, user: str) -> float:
    """Convert a real number (int, bool, Fraction, NumPy scalar) to a float, or refuse it with the remedy.

    Raises:
        TypeError: for anything that is not one real number, naming `user` and what to do instead.
    """
    if type(number) is float:
        return number
    if issubclass(type(number), (int, float, Real)) or is_bool(number):
        try:
            return float(number)
        except OverflowError:
            return math.inf if number > 0 else -math.inf
    kind = type(number).__name__
    remedy = _REMEDIES.get(kind, "Convert it to a float first.")
    raise TypeError(f"{user} takes a real number; got {number!r:.60} of type {kind}. {remedy}")


def is_bool(number: Any) -> bool:
    """Return whether this is a bool, Python's or NumPy's, which is not a real number to Python."""
    kind = type(number)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def flag(user: str, argument: str, given: Any, optional: bool = False, wanted: str = "True or False") -> Any:
    """Return True or False as a bool: Python's, NumPy's, 1 or 0; None too, if that is `optional`.

    >>> flag("fit", "restore_best", 1)
    True

    Raises:
        ValueError: for anything else.
    """
    if given is None and optional:
        return None
    if not is_bool(given) and not (isinstance(given, int) and given in (0, 1)):
        none = ", or None" if optional else ""
        raise ValueError(f"{user} takes {argument} as {wanted}{none}; got {described(given)}.")
    return bool(given)


def whole(user: str, argument: str, given: Any, least: int = 1, optional: bool = False) -> Any:
    """Return a whole number as an int; None too, if that is `optional`.

    >>> whole("fit", "epochs", 3), whole("fit", "batch_size", None, optional=True)
    (3, None)

    Raises:
        ValueError: for anything else (also for a bool), and for a number below `least`.
    """
    if given is None and optional:
        return None
    try:
        number = least - 1 if isinstance(given, bool) else index(given)
    except TypeError:
        number = least - 1
    if number < least:
        none = ", or None" if optional else ""
        raise ValueError(
            f"{user} takes {argument} as a whole number of at least {least}{none}; got {given!r:.60}."
        )
    return number


_RANGES: dict[str, Callable[[float], bool]] = {
    "a number": lambda x: x == x,
    "a finite number": math.isfinite,
    "a number above 0": lambda x: x > 0.0,
    "a finite number of at least 0": lambda x: 0.0 <= x < math.inf,
    "a number of at least 0 and below 1": lambda x: 0.0 <= x < 1.0,
    "a number above 0 and below 1": lambda x: 0.0 < x < 1.0,
}


def in_range(user: str, argument: str, given: Any, wanted: str = "a number above 0") -> float:
    """Return a real number as a float if it is in the range `wanted`, a key of `_RANGES`.

    >>> in_range("huber", "delta", 2)
    2.0

    Raises:
        ValueError: if it is out of the range, or nan.
        TypeError: if it is not a real number.
    """
    number = plain(given, f"{user}: {argument}")
    if not _RANGES[wanted](number):
        raise ValueError(f"{user} takes {argument} as {wanted}; got {given!r:.60}.")
    return number


def function(user: str, argument: str, given: Any, wanted: str = "a function", classes: bool = False) -> Any:
    """Return `given` if it can be called.

    Raises:
        TypeError: if it cannot, or if it is a class (a call makes an instance) and `classes` is False.
    """
    if isinstance(given, type) and not classes:
        name = given.__name__
        raise TypeError(f"{user} takes {argument} as {wanted}; got the class {name}. Write {name}(...).")
    if not callable(given):
        remedy = " On a Value, call its backward()." if hasattr(given, "apply_op") else ""
        raise TypeError(f"{user} takes {argument} as {wanted}; got {described(given)}.{remedy}")
    return given


def listed(user: str, argument: str, given: Any, wanted: str) -> list[Any]:
    """Return the entries of an iterable as a list.

    Raises:
        TypeError: if it is not an iterable, or is a text.
    """
    number = hasattr(given, "apply_op") or getattr(given, "shape", None) == ()
    if isinstance(given, str | bytes | dict | type) or not hasattr(given, "__iter__") or number:
        raise TypeError(f"{user} takes {argument} as {wanted}; got {described(given)}.")
    return list(given)


def file_path(user: str, argument: str, given: Any) -> str:
    """Return the path of a file as a text.

    Raises:
        TypeError: if it is not a path.
        ValueError: if it is empty or a folder.
    """
    try:
        path = os.fsdecode(given)
    except TypeError as error:
        raise TypeError(f"{user} takes {argument} as the path of a file; got {described(given)}.") from error
    if not path or os.path.isdir(path):
        raise ValueError(f"{user} takes {argument} as the path of a file; got the folder {path!r}.")
    return path


def one_of(user: str, argument: str, given: Any, known: Iterable[Any], remedy: str = "") -> Any:
    """Return `given` if it is one of `known`.

    >>> one_of("map", "reduce", "sum", (None, "sum", "mean"))
    'sum'

    Raises:
        ValueError: naming what is known, the name that was probably meant (see `meant`), and the remedy.
    """
    names = list(known)
    if not any(given is name or (type(given) is type(name) and given == name) for name in names):
        shown = ", ".join(name if isinstance(name, str) else repr(name) for name in names)
        likely = meant(given, [name for name in names if isinstance(name, str)])
        hints = filter(None, [likely and f"Write {likely!r}.", remedy])
        raise ValueError(" ".join([f"{user} takes {argument} from {shown}; got {given!r:.60}.", *hints]))
    return given


def meant(given: Any, names: list[str]) -> str:
    """Return the name that was probably meant; "" if there is none.

    What came may be its initials, its start, its letters in another order, a longer text that has it inside,
    or a text that is nearly the same.

    >>> meant("acc", ["accuracy", "auc"]), meant("tahn", ["tan", "tanh"]), meant("zzz", ["auc"])
    ('accuracy', 'tanh', '')
    """
    from difflib import get_close_matches  # which most programs never need

    if not isinstance(given, str) or not given:
        return ""
    initials = {"".join(word[0] for word in name.split("_")): name for name in names if "_" in name}
    text, bare = given.lower(), {name: name.replace("_", "") for name in names}
    letters = text.replace("_", "")
    return (
        initials.get(text)
        or next((name for name in names if bare[name].startswith(letters)), "")
        or next((name for name in names if sorted(bare[name]) == sorted(letters)), "")
        or max([name for name in names if len(name) > 4 and bare[name] in letters], key=len, default="")
        or next(iter(get_close_matches(text, names, 1)), "")
    )


def as_array(table: Any, user: str = "data") -> Any:
    """Return an array, a tensor or a data frame as a NumPy array; None for anything else.

    >>> as_array([1.0]) is None
    True

    Raises:
        TypeError: for a masked array, whose hidden numbers would be used, and for a sparse one.
    """
    if hasattr(table, "toarray"):
        raise TypeError(f"{user} takes dense arrays; got a sparse one. Write array.toarray().")
    if getattr(table, "requires_grad", False):
        raise TypeError(f"{user} takes tensors without a gradient. Write tensor.detach().")
    if isinstance(table, type) or hasattr(table, "apply_op"):
        return None
    if hasattr(table, "to_numpy"):
        table = table.to_numpy()
    elif hasattr(table, "__array__") and not hasattr(table, "__array_interface__"):
        table = table.__array__()  # of JAX or PyTorch
    return without_mask(table, user) if hasattr(table, "__array_interface__") else None


def without_mask(array: Any, user: str = "nodegrad") -> Any:
    """Return an array if it is not masked: a mask hides some of its numbers.

    Raises:
        TypeError: for a masked array.
    """
    if hasattr(array, "mask"):
        raise TypeError(
            f"{user} takes arrays without a mask; got a masked one. Write array.filled(...), or drop the "
            "rows: X[~X.mask.any(axis=1)]."
        )
    return array


def is_array(x: Any) -> bool:
    """Return whether this is a NumPy array. NumPy need not be loaded."""
    return isinstance(x, getattr(sys.modules.get("numpy"), "ndarray", ()))


def described(x: Any) -> str:
    """Say what came, for an error: a list of 3, None, 'text' of type str.

    >>> described([1.0, 2.0]), described("text")
    ('a list of 2', "'text' of type str")
    """
    if x is None:
        return "None"
    if isinstance(x, list | tuple | dict):
        return f"a {type(x).__name__} of {len(x)}"
    if is_array(x) and x.shape:
        return f"an array of shape {x.shape}"
    return f"{x!r:.60} of type {type(x).__name__}"


def as_list(table: Any, user: str = "data") -> Any:
    """Turn an array, a data frame or an iterator into a list; leave a number, text, bytes or a dict alone.

    >>> as_list((1.0, 2.0)), as_list(3.0)
    ([1.0, 2.0], 3.0)
    """
    array = as_array(table, user)
    if array is not None:
        return array.tolist()
    return list(table) if hasattr(table, "__iter__") and not isinstance(table, str | bytes | dict) else table


def as_lists(table: Any, user: str = "data") -> Any:
    """Turn nested sequences, arrays and iterators into nested lists; leave a number or a Value alone.

    >>> as_lists([(1.0, 2.0), range(2)])
    [[1.0, 2.0], [0, 1]]
    """
    if type(table) is float or hasattr(table, "apply_op"):
        return table
    found = as_list(table, user)
    return [as_lists(entry, user) for entry in found] if type(found) is list else found


def endless(limit: int) -> RuntimeError:
    """Return the error for a loop that does not end."""
    return RuntimeError(
        f"while_loop did not end within {limit:,} turns. Its condition may never fail for these numbers "
        "(every comparison with nan is false, but nan itself is true); or raise limit=."
    )
