"""The code of functions: what it names and can reach, and the same code with other names."""

import gc
import types
from typing import Any

__all__ = ()


def codes_in(code: types.CodeType) -> list[types.CodeType]:
    """Return code, and that of the functions defined in it."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return [code, *[each for one in inner for each in codes_in(one)]]


def names_in(code: types.CodeType) -> list[str]:
    """Return the names that code looks up, in functions defined in it, too."""
    return [name for each in codes_in(code) for name in each.co_names]


def reached(f: types.FunctionType) -> list[Any]:
    """List what a function can see: globals it names, what it closes over, defaults, parts of modules."""
    names = names_in(f.__code__)
    seen = [f.__globals__[name] for name in names if name in f.__globals__]
    cells, keywords = f.__closure__ or (), f.__kwdefaults__ or {}
    seen += [*gc.get_referents(*cells), *(f.__defaults__ or ()), *keywords.values()]
    modules = [vars(x) for x in seen if isinstance(x, types.ModuleType)]
    return [*seen, *[module[name] for module in modules for name in names if name in module]]


def over_floats(rule: Any, row: type) -> Any:
    """Return a partial that runs the same code, where the name of a row stands for its value over floats.

    The row itself would look at the type of each operand, which takes most of the time.
    """
    if rule is None:
        return None
    known = rule.__globals__
    values = {name: known[name].value for name in names_in(rule.__code__) if isinstance(known.get(name), row)}
    return types.FunctionType(rule.__code__, {**known, **values}) if values else rule
