"""Refuse functions that draw random numbers, even where their results do not show it.

Such a number may decide about a branch that is hardly ever taken.
"""

import gc
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import string_at
from time import perf_counter, sleep
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from nodegrad.code_objects import reached
from nodegrad.compiler.record import named
from nodegrad.ops import TABLE, Op
from nodegrad.value import Value

__all__ = ()

_RUNS = 4  # pairs of runs; only if random numbers are drawn in all of them, it is the function that draws
_MOST = 300  # things that are looked at for generators
_GENERATORS = (random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState)
_IN_CLASSES = (FunctionType, staticmethod, classmethod, property, *_GENERATORS)


def refuse_chance(f: Any, generators: Sequence[Any], before: Any, run: Callable[[], Any]) -> None:
    """Raise if random numbers were drawn since `before`, and `f` draws some whenever it runs.

    Other threads may have drawn them. So `f` is refused only if numbers are drawn in several pairs of further
    runs, and none while it does not run. Runs come in pairs, because NumPy makes normal numbers two at a time
    and keeps the second.

    Args:
        f: the function.
        generators: see `states`.
        before: the states before the first run.
        run: run the function once more.
    """
    if states(generators) == before:
        return
    started = perf_counter()
    for _ in range(_RUNS):
        before = states(generators)
        run(), run()
        if states(generators) == before:
            return
    before = states(generators)
    sleep(perf_counter() - started)
    if states(generators) == before:
        raise ValueError(
            f"compile: {named(f)} draws random numbers, which would stay as they were when it was recorded. "
            "Pass them as arguments."
        )


def states(generators: Sequence[Any]) -> list[Any]:
    """Return the states of these generators of random numbers, and of those that Python and NumPy share."""
    numpy: Any = np.random
    return [random.getstate(), *map(_state, (numpy.get_bit_generator(), *generators))]


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    bits = getattr(generator, "bit_generator", getattr(generator, "_bit_generator", generator))
    if type(bits) is not np.random.MT19937:
        return repr(bits.state)
    # 624 words, and which is the next. To list them would take a tenth of the time of a small compilation.
    return string_at(bits.ctypes.state_address, 625 * 4)


def generators_of(f: Any) -> list[Any]:
    """List the generators of random numbers that a function reaches by names, attributes and closures."""
    things, seen, found = [f], set[int](), []
    for thing in things:  # which grows
        if id(thing) in seen or isinstance(thing, Value | float | str):
            continue
        if len(seen) == _MOST:
            break
        seen.add(id(thing))
        if isinstance(thing, _GENERATORS):
            with suppress(Exception):  # the system's entropy has no state; a subclass may have none
                _state(thing)
                found.append(thing)
        else:
            things += _reached(thing)
    return found


def _reached(thing: Any) -> list[Any]:
    """List what a thing refers to directly; of the globals that a function could see, those it names."""
    if isinstance(thing, ModuleType) or (isinstance(thing, Op) and thing.name in TABLE):
        return []
    if type(thing) in (list, tuple, dict, set, frozenset) and len(thing) > _MOST:  # data
        return []
    if isinstance(thing, type):
        theirs = [x for x in thing.__mro__ if x.__module__.partition(".")[0] not in ("builtins", "nodegrad")]
        return [x for each in theirs for x in vars(each).values() if isinstance(x, _IN_CLASSES)]
    if not isinstance(thing, FunctionType):
        return [*gc.get_referents(thing), type(thing)]
    if (thing.__globals__.get("__package__") or "").partition(".")[0] == "nodegrad":
        return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__]
    return reached(thing)
