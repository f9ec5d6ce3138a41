"""Every door out of the record we can think of, one a line: followed or refused, never silently wrong."""

import array
import asyncio
import bisect
import collections
import contextlib
import contextvars
import copy
import ctypes
import dataclasses
import decimal
import fractions
import functools
import heapq
import inspect
import io
import itertools
import json
import logging
import math
import operator
import os
import pickle
import random
import re
import reprlib
import secrets
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends, chance

BACKENDS = ["numpy", *(["llvm"] if backends.choose("auto") == "llvm" else [])]
weight = Value(1.0)
double = ng.compile(lambda y: y * weight)
pool = ThreadPoolExecutor(1)


def either(condition, x):
    """Give two results that differ whatever x is."""
    return x * 2.0 if condition else x * 3.0 + 1.0


def in_thread(f, *arguments):
    found = []
    thread = threading.Thread(target=lambda: found.append(f(*arguments)))
    thread.start()
    thread.join()
    return found[0]


def in_pool(f, *arguments):
    return pool.submit(f, *arguments).result()


def run(coroutine):
    """Run a coroutine; asyncio.run makes text of the task in passing, in some versions of Python."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def to_thread(f, *arguments):
    async def main():
        return await asyncio.to_thread(f, *arguments)

    return run(main())


def in_event_loop(f, *arguments):
    async def main():
        return await asyncio.gather(task(), task())

    async def task():
        return f(*arguments)

    return run(main())[1]


def logged(x):
    stream = io.StringIO()
    logger = logging.Logger("doors")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("%s", x)
    return stream.getvalue()


def after_backward(x):
    (x * x).backward()
    return x.grad


def halved(x):
    while x > 1.0:
        x = x / 2.0
    assert x <= 1.0
    return x


def raised(x):
    try:
        return x / 0.0 if x > 2.0 else {}["x"]
    except KeyError:
        return x


def assigned(x):
    y = Value(0.0)
    y.data = 4.0
    return y * x


def scaled_by_assignment(x):
    weight.data = 1.0
    return weight * x


FOUR = [1.0, 2.0, 3.0, 4.0]


class Seen(list):
    """What Python keeps of the turns of a loop."""

    def note(self, x):
        self.append(x)
        return x + 1.0


def seeing(f):
    return f(Seen())


def twice(x):
    return x * 2.0


def scanned(turn, x):
    return ng.scan(lambda state, _: (turn(state), None), x, FOUR)[0]


def until_100(turn, x, look=twice):
    return ng.while_loop(lambda s: look(s) < 100.0, turn, x)


def turned(before, now):
    out = 0.5 * (now + before[0])
    before[0] = now
    return out


def kept_from_first_turn(x):
    memo = {}

    def turn(c):
        if "x" not in memo:
            memo["x"] = x * x
        return c + memo["x"]

    return scanned(turn, x)


def plus_next(each, x):
    return scanned(lambda c: c + next(each), x)


def branch_in_a_later_turn(x):
    count = itertools.count()
    return scanned(lambda c: c * 2.0 if next(count) and x > 9.0 else c, x)


def branch_on_a_turn(x):
    seen = Seen()
    scanned(seen.note, x)
    return either(seen[-1] > 4.0, x)


def value_of_an_inner_loop(x):
    seen = Seen()
    return scanned(lambda c: scanned(seen.note, c) + seen[0], x)


def value_of_a_root(x):
    seen = Seen()
    return ng.root(lambda y: seen.note(y) * y - x, 1.0) + seen[-1]


def random_root(x):
    chance = random.Random(0)
    return ng.root(lambda y: y * y - x - chance.random(), 1.0)


def turn_before_in_a_condition(x):
    before = [x]
    return until_100(twice, x, lambda s: turned(before, s))


@dataclasses.dataclass(frozen=True)
class Point:
    x: object


# Doors between one call and the next.

CACHE, BY_BRANCH, LAST = {}, {}, [1.0]
EXTERNAL = Value(2.0)
context_variable = contextvars.ContextVar("before", default=1.0)
calls, every_other, kept_numbers = itertools.count(1), itertools.cycle([1.0, 2.0]), iter(range(1, 1000))
here = threading.local()
settle = ng.nn.Dropout(0.5)
model = ng.nn.MLP(1, [1], seed=0)
optimizer = ng.optim.SGD(model.parameters(), 0.1)
twice_by_number = functools.lru_cache(lambda k: k * 2.0)


def default_changed(x, seen=[]):  # noqa: B006
    seen.append(x)
    return sum(seen)


def times_previous(x):
    LAST.append(x)
    return x * LAST[-2]


def branch_on_the_previous(x):
    LAST.append(x)
    return either(LAST[-2] > 2.0, x)


def times_previous_in_context(x):
    before = context_variable.get()
    context_variable.set(x)
    return x * before


def times_first_in_thread(x):
    here.x = getattr(here, "x", x)
    return x * here.x


def adding():
    total = 0.0
    while True:
        x = yield total
        total = total + x


def stepped(x):
    with warnings.catch_warnings(action="ignore"):  # that there is no gradient
        optimizer.step()
    return x * model.parameters()[0]


class Counts:
    total = 0.0

    def add(self, x):
        self.total = self.total + x
        return self.total

    @classmethod
    def count(cls, x):
        cls.total += 1.0
        return cls.total * x


adder, counts = adding(), Counts()
next(adder)


def in_environment(x):
    os.environ["NODEGRAD_DOOR"] = str(1 + int(os.environ.get("NODEGRAD_DOOR", "0")))
    return x * float(os.environ["NODEGRAD_DOOR"])


def pullback_of_the_first_call(x):
    CACHE.setdefault("pullback", ng.vjp(lambda y: y * x, x)[1])
    return CACHE["pullback"](x)[0]


def kept_leaf(x):
    CACHE.setdefault("leaf", Value(2.0))
    return CACHE["leaf"] * x


own_random, own_numpy, own_state = random.Random(0), np.random.default_rng(0), np.random.RandomState(0)
own_bits = np.random.PCG64(0)
own_generators = {"numpy": np.random.default_rng(0)}


def rarely():
    return own_random.random() < 1e-9


in_a_package = {"__package__": "nodegrad_tools", "rarely": rarely, "either": either}


class Noise:
    __slots__ = ("draw",)

    def __init__(self):
        self.draw = np.random.default_rng(0).random

    def rarely(self):
        return self.draw() < 1e-9


own_noise = Noise()


def by_module(module):
    module.source = random.Random(0)
    return lambda x: either(module.source.random() < 1e-9, x)


class SharedNoise:
    source = random.Random(0)

    @property
    def rare(self):
        return self.source.random() < 1e-9

    @staticmethod
    def rarely():
        return SharedNoise.source.random() < 1e-9


class OwnNoise(SharedNoise):
    pass


shared_noise = OwnNoise()


# Doors of Python's library, and errors that are caught.


def seeded(x):
    random.seed(0)
    return x * random.random()


def shuffled(x):
    numbers = [x, 2.0 * x, 3.0 * x]
    random.shuffle(numbers)
    return numbers[0]


def executed(x):
    names = {"x": x}
    exec("y = x * 2.0 if x > 2.0 else x", names)
    return names["y"]


def written_to(array, x):
    array[0] = x
    return array[0] * x


def objects(*numbers):
    return np.array(numbers, object)


def added_in_place(x):
    array = np.zeros(3, object)
    array[0] = x
    array += 1.0
    array[1] *= x
    return array.sum()


def changed_list(x):
    numbers = [x, 1.0]
    numbers[0] *= 2.0
    numbers.append(numbers[0])
    return sum(numbers)


def by_signal(f):
    got = []
    before = signal.signal(signal.SIGUSR1, lambda *_: got.append(f()))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    return got[0]


seen_dying = []


class Dying:
    def __init__(self, x):
        self.x = x

    def __del__(self):
        seen_dying.append(self.x.data)


def read_by_a_finalizer(x):
    Dying(x)
    return either(seen_dying[-1] > 2.0, x)


def read_by_a_tracer(x):
    seen, before = [], sys.gettrace()

    def look(frame, *_):
        seen.append(frame.f_locals["v"].data if "v" in frame.f_locals else 0.0)

    sys.settrace(look)
    try:
        (lambda v: v)(x)
    finally:
        sys.settrace(before)
    return either(max(seen) > 2.0, x)


def caught(f, x, *errors):
    try:
        return f(x)
    except errors:
        return x * 0.0 - 1.0


def in_detector(f, x):
    with ng.detect_anomaly():
        return f(x)


def fails_beyond(limit):
    def value(x):
        if x > limit:
            raise KeyError(x)
        return x * 2.0

    return ng.custom("limited", value, lambda x, out: 2.0)


limited = fails_beyond(0.6)


def grown_file(x):
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * next(calls))
        return x * file.tell()


def with_own_gradient(x):
    x.grad = 1.0
    return x * x.grad


# fmt: off
# ruff: noqa: UP031, UP032  # text is made in every way there is
FOLLOWED = {
    "if": lambda x: either(x > 2.0, x),
    "if on the Value itself": lambda x: either(x - 2.0, x),
    "not": lambda x: either(not x > 2.0, x),
    "and, or": lambda x: either((x > 1.0 and x < 3.0) or x > 5.0, x),
    "conditional chain": lambda x: either(1.0 < x < 3.0, x),
    "while": halved,
    "max and min": lambda x: max(x, 2.0) - min(x, 3.0),
    "sorted": lambda x: sorted([x, 2.0, 3.0])[1] * x,
    "any and all": lambda x: either(any([x > 2.0, x < 0.5]), x) + either(all([x > 2.0, x < 9.0]), x),
    "filter": lambda x: len(list(filter(lambda v: v > 2.0, [x, 1.0, x + 1.0]))) * x,
    "in a list": lambda x: either(x in [2.0, 3.0], x),
    "index and count": lambda x: either([1.0, 2.0, 3.0, 4.0].count(x), x),
    "==": lambda x: either(x == 3.0, x),
    "is": lambda x: either(x is x + 0.0, x),
    "equality of tuples": lambda x: either((x, 1.0) == (3.0, 1.0), x),
    "match": lambda x: match(x),
    "bool()": lambda x: either(bool(x > 2.0), x),
    "operator.truth": lambda x: either(operator.truth(x > 2.0), x),
    "math.floor": lambda x: either(math.floor(x) > 2, x),
    "math.ceil, math.trunc, round": lambda x: math.ceil(x) + math.trunc(x) * round(x),
    "divmod, //, %": lambda x: sum(divmod(x, 0.7)) + x // 0.3 + x % 0.4,
    "abs": lambda x: abs(x - 2.0),
    "np.where on objects": lambda x: either(np.where(np.array([x > 2.0], object), 1, 0)[0], x),
    "np.max, np.sort": lambda x: np.max(np.array([x, 2.5])) * np.sort(np.array([x, 2.0]))[0],
    "np.exp": lambda x: np.exp(np.array([x])).sum(),
    "functools.cache": lambda x: functools.cache(lambda v: v * 2.0)(x),
    "a key in a dict": lambda x: {x: 1.0}[x] * x,
    "a set": lambda x: len({x, x}) * x,
    "a generator": lambda x: sum(v * x for v in (1.0, 2.0) if x > v),
    "exceptions": raised,
    "a thread": lambda x: in_thread(lambda v: v * 2.0, x),
    "a pool of threads": lambda x: in_pool(lambda v: v * 2.0, x),
    "asyncio.to_thread": lambda x: to_thread(lambda v: v * 2.0, x),
    "branches in an event loop": lambda x: in_event_loop(lambda v: either(v > 2.0, v), x),
    "branches in another context": lambda x: contextvars.copy_context().run(lambda: either(x > 2.0, x)),
    "branches in an empty context": lambda x: contextvars.Context().run(either, x > 2.0, x),
    "roots in a thread, of numbers": lambda x: x * in_thread(lambda: ng.root(lambda y: y * y - 2.0, 1.0)),
    "a compiled function": lambda x: ng.compile(lambda v: either(v > 2.0, v))(x),
    "a compiled function that closes over x": lambda x: ng.compile(lambda v: either(v > x, v))(2.0) * x,
    "a compiled function of a leaf": lambda x: double(3.0) * x,
    "ng.grad": lambda x: ng.grad(lambda v: either(v > 2.0, v) ** 2)(x),
    "ng.vjp": lambda x: ng.vjp(lambda v: either(v > 2.0, v) ** 2, x)[1](1.0)[0],
    "isinstance and type": lambda x: either(isinstance(x, Value) and type(x * 1.0) is Value, x),
    "operands": lambda x: (x * 2.0).operands[0] * 3.0,
    "the operation's name": lambda x: either((x * 2.0).op.name == "mul", x),
    "labels": lambda x: either(x.label == "", x),
    "callbacks of key=": lambda x: max([x, 2.5, 1.5], key=lambda v: -abs(v - 2.0)) * x,
    "functools.reduce": lambda x: functools.reduce(lambda a, b: a if a > b else b, [x, 2.0, x * x]),
    "statistics.median": lambda x: statistics.median([x, 2.0, 3.0]) * x,
    "copy.copy": lambda x: either(copy.copy(x * 1.0) > 2.0, copy.copy(x * 1.0)),
    "copy.deepcopy": lambda x: either(copy.deepcopy([x * 1.0])[0] > 2.0, copy.deepcopy((x * 1.0,))[0]),
    "copy.deepcopy of an argument": lambda x: either(copy.deepcopy({"a": x})["a"] > 2.0, copy.deepcopy(x)),
    "dataclasses.asdict": lambda x: either(dataclasses.asdict(Point(x))["x"] > 2.0, x),
    "a Value made in the body of a loop": lambda x: scanned(lambda c: c + Value(2.0) * c, x),
    "a Value kept from the first turn": kept_from_first_turn,
    "a derivative in the body of a loop": lambda x: scanned(lambda c: c - ng.grad(lambda t: t * t * x)(c), x),
    "a branch on what a loop closes over": lambda x: scanned(lambda c: either(x > 2.0, c), x),
    "a loop in a loop": lambda x: scanned(lambda c: until_100(lambda s: s * 2.0 + c * c, c + x), x),
    "a log of turns": lambda x: seeing(lambda seen: scanned(lambda c: seen.append(1) or c * 0.5, x)),
    "dataclasses.replace": lambda x: dataclasses.replace(Point(1.0), x=x).x * 2.0,
    "a leaf kept from the first call": kept_leaf,
    "functools.lru_cache of a Value": lambda x: twice_by_number(x),
    "functools.lru_cache of a number": lambda x: twice_by_number(3.0) * x,
    "functools.singledispatch": lambda x: functools.singledispatch(lambda v: v * 2.0)(x),
    "recursion": lambda x: x if x > 9.0 else FOLLOWED["recursion"](x * 2.0),
    "itertools.takewhile": lambda x: len(list(itertools.takewhile(lambda k: k < x, itertools.count()))) * x,
    "collections.Counter of answers": lambda x: collections.Counter([bool(x > 2.0), True])[True] * x,
    "bisect": lambda x: bisect.bisect(FOUR, x) * x,
    "heapq": lambda x: heapq.nsmallest(2, [x, 2.0, 3.0])[1] * x,
    "eval": lambda x: eval("x * 2.0 if x > 2.0 else x", {"x": x}),
    "exec": executed,
    "a constant in os.environ": lambda x: x * float(os.environ.get("NODEGRAD_NOT_SET", "2")),
    "random numbers from a seed": seeded,
    "weakref": lambda x: weakref.ref(x)() * 2.0,
    "an object by its address": lambda x: ctypes.cast(id(x), ctypes.py_object).value * 2.0,
    "a branch in a signal's handler": lambda x: either(by_signal(lambda: bool(x > 2.0)), x),
    "ZeroDivisionError": lambda x: caught(lambda x: 1.0 / (x - 3.0), x, ZeroDivisionError),
    "a TypeError of math, caught": lambda x: caught(math.exp, x, TypeError),
    "arrays changed in place": added_in_place,
    "lists changed in place": changed_list,
    "np.argsort, np.argmax": lambda x: int(np.argsort(np.array([x, 2.0, 2.7], object))[0]) * x,
    "np.searchsorted, np.digitize": lambda x: (np.searchsorted(FOUR, x) + np.digitize(x, FOUR)) * x,
    "np.sign, np.clip, np.round": lambda x: np.sign(np.clip(np.round(objects(x)), 1, 3) - 2.0)[0] * x,
    "np.any, np.all": lambda x: either(np.any(np.array([x - 3.0, 0.0], object)), x),
    "np.unique": lambda x: len(np.unique(np.array([x, 3.0], object))) * x,
    "a mask of an array": lambda x: np.sum(objects(x, 1.0, 3.0)[objects(x, 1.0, 3.0) > 2]),
    "np.array_equal": lambda x: either(np.array_equal(np.array([x], object), np.array([3.0])), x),
}

REFUSED = {
    ".data": lambda x: either(x.data > 2.0, x),
    ".data of a leaf closed over": lambda x: x * weight.data,
    ".data in a thread": lambda x: either(in_thread(lambda: x.data) > 2.0, x),
    ".data in an empty context": lambda x: either(contextvars.Context().run(lambda: x.data) > 2.0, x),
    "root in a thread": lambda x: in_thread(ng.root, lambda y: y * y - x, 1.0),
    "root in a pool of threads": lambda x: in_pool(ng.root, lambda y: y * y - x, (0.0, 9.0)),
    "root in an empty context": lambda x: contextvars.Context().run(ng.root, lambda y: y * y - x, 1.0),
    "root in an empty context, by ng.grad": ng.grad(
        lambda x: contextvars.Context().run(ng.root, lambda y: y * y - x, 1.0)
    ),
    "the start of a root in a thread": lambda x: x * in_thread(ng.root, lambda y: y * y - 2.0, x),
    "a bracket in a thread": lambda x: x * in_thread(ng.root, lambda y: y * y - 2.0, (0.0, x + 2.0)),
    "fixed_point in a thread": lambda x: in_thread(ng.fixed_point, lambda y: 0.5 * (y + x / y), 1.0),
    "fixed_point in an empty context": lambda x: contextvars.Context().run(
        ng.fixed_point, lambda y: 0.5 * (y + x / y), 1.0
    ),
    ".data in a pool of threads": lambda x: either(in_pool(lambda: x.data) > 2.0, x),
    "a branch in a thread": lambda x: in_thread(lambda: either(x > 2.0, x)),
    "a branch in a pool of threads": lambda x: in_pool(lambda: either(x > 2.0, x)),
    "a branch in asyncio.to_thread": lambda x: to_thread(lambda: either(x > 2.0, x)),
    "a branch on a leaf in asyncio.to_thread": lambda x: either(to_thread(lambda: bool(weight > 0.0)), x),
    "a branch on a leaf in a thread": lambda x: weight * in_thread(lambda: either(weight > 0.0, x)),
    "sorted in a thread": lambda x: in_thread(lambda: sorted([x, 2.0, 3.0])[1]),
    "text in a thread": lambda x: either(in_thread(lambda: str(x)) > "V", x),
    "assigning .data": assigned,
    "assigning .data of a leaf closed over": scaled_by_assignment,
    "f-string": lambda x: either(f"{x:.0f}" == "3", x),
    "f-string without a format": lambda x: either("3.0" in f"{x}", x),
    "format": lambda x: either(format(x, ".1f") == "3.0", x),
    "str.format": lambda x: either("{:.1f}".format(x) == "3.0", x),
    "str": lambda x: either("3.0" in str(x), x),
    "repr": lambda x: either("3.0" in repr(x), x),
    "its state": lambda x: either("3.0" in str(x.__getstate__()), x),
    "repr of a list": lambda x: either("3.0" in repr([x]), x),
    "%s": lambda x: either("3.0" in "%s" % x, x),
    "%r": lambda x: either("3.0" in "%r" % [x], x),
    "print": lambda x: print(x, file=io.StringIO()) or x,
    "logging": lambda x: either("3.0" in logged(x), x),
    "json.dumps with default": lambda x: float(json.dumps(x, default=str)[12:15]) * x,
    "pickle": lambda x: either(b"x" in pickle.dumps(x), x),
    "pickle of what was computed": lambda x: pickle.loads(pickle.dumps([x * 1.0]))[0],
    "float": lambda x: either(float(x) > 2.0, x),
    "int": lambda x: x * int(x),
    "complex": lambda x: x * complex(x).real,
    "math.exp": lambda x: x * math.exp(x),
    "math.isclose": lambda x: either(math.isclose(x, 3.0), x),
    "math.isnan": lambda x: either(math.isnan(x), x),
    "range": lambda x: sum(x for _ in range(x)),
    "an index of a list": lambda x: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0][x] * x,
    "np.array of floats": lambda x: np.array([x], float)[0] * x,
    "np.isnan": lambda x: either(np.isnan(np.array([x], dtype=object))[0], x),
    "%d": lambda x: either("%d" % x == "3", x),
    "%f": lambda x: either("%.1f" % x == "3.0", x),
    "round to text": lambda x: either(str(round(x)) == "3", x),
    "as_integer_ratio": lambda x: x * x.as_integer_ratio()[0],
    "statistics.fmean": lambda x: x * statistics.fmean([x, 2.0]),
    "backward": after_backward,
    "_backward": lambda x: (x * x)._backward() or x.grad * x,
    "explain": lambda x: either("3" in str(ng.explain(x * 2.0)), x),
    "draw": lambda x: either("3.0" in ng.draw(x * 2.0).dot, x),
    "draw_dot": lambda x: either("3.0" in ng.draw_dot(x * 2.0).source, x),
    "paths": lambda x: either("3" in str(ng.paths(x * 2.0, x)), x),
    "player": lambda x: either("3" in ng.player(x * 2.0).html, x),
    "check_grad": lambda x: ng.check_grad(lambda v: v * x)(2.0) or x,
    "fit": lambda x: ng.fit(ng.nn.MLP(1, [1]), [[0.0], [1.0]], [x, x], epochs=1) and x,
    "a Value of a turn": lambda x: seeing(lambda seen: scanned(seen.note, x) + sum(seen)),
    "a Value of a turn as it is": lambda x: seeing(lambda seen: scanned(seen.note, x) and seen[-1]),
    "a Value of a condition": lambda x: seeing(lambda seen: until_100(twice, x, seen.note) + seen[-1]),
    "a branch on a Value of a turn": branch_on_a_turn,
    "a Value of a turn, differentiated": lambda x: ng.grad(REFUSED["a Value of a turn"])(x),
    "a Value of an inner loop": value_of_an_inner_loop,
    "a Value of the turn before": lambda x: scanned(functools.partial(turned, [x]), x),
    "a Value of the turn before, in a condition": turn_before_in_a_condition,
    "a counter in a loop": lambda x: plus_next(itertools.count(), x),
    "a counter in an inner loop": lambda x: scanned(REFUSED["a counter in a loop"], x),
    "a count of turns": lambda x: seeing(lambda seen: until_100(twice, x, seen.note) * len(seen)),
    "an iterator in a loop": lambda x: plus_next(iter(FOUR), x),
    "an iterator that changes later": lambda x: plus_next(iter([1.0, *FOUR]), x),
    "an iterator that ends": lambda x: plus_next(iter([1.0]), x),
    "an iterator over Values": lambda x: plus_next(iter([Value(1.0), Value(1.0), Value(1.0)]), x),
    "random numbers in a loop": lambda x: plus_next(iter(random.Random(0).random, None), x),
    "a branch in a later turn": branch_in_a_later_turn,
    "a Value of a root's function": value_of_a_root,
    "random numbers in a root's function": random_root,
    "a root in a thread": lambda x: in_thread(lambda: ng.root(lambda y: y * y - x, 1.0)) * x,
    "a root in a pool of threads": lambda x: in_pool(lambda: ng.root(lambda y: y * y - x, 1.0)),
    ".data in the body of a loop": lambda x: scanned(lambda c: c + c.data, x),
    "text in the body of a loop": lambda x: scanned(lambda c: c + len(f"{c}"), x),
    "a picture in the body of a loop": lambda x: scanned(lambda c: c + len(ng.draw(c).dot), x),
    "backward in the body of a loop": lambda x: scanned(lambda c: c + after_backward(c), x),
    "a Value in a cache": lambda x: CACHE.setdefault("x", x * x) + x,
    "a Value in a cache for each branch": lambda x: BY_BRANCH.setdefault(bool(x > 2.0), x * 2.0) + x,
    "a Value in a default": default_changed,
    "a Value of the previous call": times_previous,
    "a branch on a Value of the previous call": branch_on_the_previous,
    "a Value in a context variable": times_previous_in_context,
    "a Value of this thread's first call": times_first_in_thread,
    "a Value in an attribute": counts.add,
    "a Value in a generator": adder.send,
    "a derivative of the first call": pullback_of_the_first_call,
    "a count in a class": Counts.count,
    "itertools.count": lambda x: next(calls) * x,
    "itertools.cycle": lambda x: next(every_other) * x,
    "an iterator closed over": lambda x: next(kept_numbers) * x,
    "a number in os.environ": in_environment,
    "a file that grows": grown_file,
    "time": lambda x: x * time.perf_counter(),
    "random numbers": lambda x: x * random.random(),
    "random numbers of NumPy": lambda x: x * np.random.random(),
    "a branch on a random number": lambda x: x * 2.0 if random.random() < 0.01 else x * 3.0,
    "a branch on a random number of NumPy": lambda x: either(np.random.random() < 0.01, x),
    "a branch on a normal number": lambda x: x * 2.0 if random.gauss(0.0, 1.0) < 9.0 else x,
    "a branch on a normal number of NumPy": lambda x: x * 2.0 if np.random.randn() < 9.0 else x,
    "a branch on a generator closed over": lambda x: either(own_random.random() < 1e-9, x),
    "a branch on a generator of NumPy closed over": lambda x: either(own_numpy.random() < 1e-9, x),
    "a branch on a RandomState": lambda x: either(own_state.randn() > 99.0, x),
    "a branch on a generator in another function": lambda x: either(rarely(), x),
    "a branch on a generator in a package": eval("lambda x: either(rarely(), x)", in_a_package),
    "a branch on a generator in a dict": lambda x: either(own_generators["numpy"].random() < 1e-9, x),
    "a branch on a generator in an attribute": lambda x: either(own_noise.rarely(), x),
    "a branch on a generator's own bits": lambda x: either(own_bits.random_raw() < 9, x),
    "a branch on a generator in a class": lambda x: either(shared_noise.rare, x),
    "a branch on a generator in a static method": lambda x: either(OwnNoise.rarely(), x),
    "a branch on a generator of a module closed over": by_module(types.ModuleType("noise")),
    "a branch on a generator's bits in a default": lambda x, b=own_bits: either(b.random_raw() < 9, x),
    "a branch on a generator in a default": lambda x, draw=own_random.random: either(draw() < 1e-9, x),
    "a branch on a generator, differentiated": lambda x: ng.grad(lambda y: either(rarely(), y))(x),
    "a branch on a generator in a loop": lambda x: scanned(lambda c: c * (2.0 if rarely() else 3.0), x),
    "random.choice": lambda x: x * random.choice([2.0, 3.0]),
    "random.shuffle": shuffled,
    "dropout in training": lambda x: sum(settle([x, 2.0 * x])),
    ".grad": lambda x: x * (1.0 + x.grad),
    ".grad of a leaf closed over": lambda x: x * (1.0 + EXTERNAL.grad),
    "assigning .grad": with_own_gradient,
    "a step of an optimizer": stepped,
    "predict": lambda x: model.predict([[x]])[0] * x,
    "state_dict": lambda x: x * len(str(model.state_dict())),
    "detect_anomaly": lambda x: in_detector(ng.log, x),
    "an anomaly that is caught": lambda x: caught(lambda x: in_detector(ng.log, x - 9.0), x, Exception),
    "an error of a custom operation, caught": lambda x: caught(limited, x, KeyError),
    "an error of a custom operation in a loop": lambda x: caught(lambda x: scanned(limited, x), x, KeyError),
    "a loop without end, caught": lambda x: caught(
        lambda x: ng.while_loop(lambda s: s < 9.0, lambda s: s + x, x, limit=1), x, RuntimeError
    ),
    ".data by operator.attrgetter": lambda x: operator.attrgetter("data")(x) * x,
    ".data by the property": lambda x: Value.data.fget(x) * x,
    ".data by a frame": lambda x: inspect.currentframe().f_locals["x"].data * x,
    ".data by a tracer": read_by_a_tracer,
    ".data by a finalizer": read_by_a_finalizer,
    ".data by a signal's handler": lambda x: either(by_signal(lambda: x.data) > 2.0, x),
    "__reduce_ex__": lambda x: x.__reduce_ex__(2)[1][0] * x,
    "an array of floats, written to": lambda x: written_to(np.zeros(3), x),
    "array.array, written to": lambda x: written_to(array.array("d", [0.0]), x),
    "memoryview": lambda x: written_to(memoryview(array.array("d", [0.0])), x),
    "ctypes": lambda x: ctypes.c_double(x).value * x,
    "struct": lambda x: struct.unpack("d", struct.pack("d", x))[0] * x,
    "decimal": lambda x: float(decimal.Decimal(x)) * x,
    "fractions": lambda x: float(fractions.Fraction(x)) * x,
    "json": lambda x: json.loads(json.dumps(x)) * x,
    "an argument of a process": lambda x: len(subprocess.list2cmdline([f"{x}"])) * x,
    "operator.index": lambda x: operator.index(x) * x,
    "math.fsum, math.dist": lambda x: math.fsum([x]) * math.dist([x], [1.0]),
    "np.isclose": lambda x: either(np.isclose(x, 3.0), x),
    "np.interp": lambda x: np.interp(x, [0.0, 9.0], [0.0, 1.0]) * x,
    "astype(int)": lambda x: np.array([x], object).astype(int)[0] * x,
    "astype(str)": lambda x: either(np.array([x], object).astype(str)[0] == "3.0", x),
    "map of a function that closes over x": lambda x: float(ng.compile(lambda v: v * x).map([2.0])[0]) * x,
}

# Watching these would cost every operation. A call gives what the recorded number gave; a map of a function
# that does not branch finds out where another of its rows gives something else.
UNWATCHED = {
    "the private slot of the number": lambda x: either(x._data > 2.0, x),
    "the private slot of an operand": lambda x: either((x * 1.0)._first._data > 2.0, x),
    "the private slot, by name": lambda x: either(x._data > 2.0, x),
    "the slots, by object": lambda x: either(object.__getstate__(x)[1]["_data"] > 2.0, x),
    "the descriptor of the slot": lambda x: either(Value._data.__get__(x) > 2.0, x),
}
# fmt: on


def match(x):
    match x:
        case 3.0:
            return x * 2.0
        case _:
            return x * 3.0 + 1.0


GIVEN = [0.5, 3.0, 4.5, 3.0, 2.5, 0.7, 1.0, 3.0]


def eager(f, x):
    found = f(Value(x))
    return found.data if isinstance(found, Value) else float(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", FOLLOWED)
def test_is_followed(door, backend):
    f = FOLLOWED[door]
    compiled = ng.compile(f, backend=backend, exact=True)
    expected = [eager(f, x) for x in GIVEN]

    assert [compiled(x) for x in GIVEN] == expected
    assert [compiled(x) for x in GIVEN] == expected
    assert ng.compile(f, backend=backend, exact=True).map(GIVEN).tolist() == expected


@pytest.mark.parametrize("door", REFUSED)
def test_is_refused(door):
    compiled = ng.compile(REFUSED[door], backend="numpy")

    for x in (1.0, 3.0):
        with pytest.raises((ValueError, TypeError, struct.error)):
            compiled(x)
    with pytest.raises((ValueError, TypeError, struct.error)):
        compiled.map(GIVEN)


@pytest.mark.parametrize("generator", [np.random.MT19937, np.random.PCG64, np.random.Philox])
def test_a_branch_on_any_generator_that_numpy_shares_is_refused(generator):
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(generator(0))
    try:
        with pytest.raises(ValueError, match="draws random numbers"):
            ng.compile(lambda x: either(np.random.random() < 1e-9, x), backend="numpy")(3.0)
    finally:
        np.random.set_bit_generator(before)


async def text(x):
    return x * len(f"{x}")


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * len(str(ng.explain(x * 1.0))),  # by a decorator of contextlib
        lambda x: x * len(reprlib.repr([x])),
        lambda x: asyncio.run(text(x)),
        lambda x: x * len(ng.draw(x * 1.0).svg),
    ],
)
def test_refusals_name_the_line_of_the_user(f):
    with pytest.raises(ValueError, match=rf"cannot be followed: {re.escape(__file__)}:\d+ "):
        ng.compile(f)(3.0)


@pytest.mark.parametrize("door", UNWATCHED)
def test_private_names_are_not_watched(door):
    f = UNWATCHED[door]
    compiled = ng.compile(f, backend="numpy")

    assert (compiled(3.0), compiled(4.5)) == (eager(f, 3.0), eager(f, 4.5))
    assert compiled(0.5) == 1.0 != eager(f, 0.5)  # as for 3.0, which it was recorded with
    with pytest.raises(ValueError, match="computes something else"):
        ng.compile(f, backend="numpy").map([3.0, 0.5, 4.5])


def reciprocal_or_0(x):
    try:
        return 1.0 / x
    except ZeroDivisionError:
        return 0.0


def is_float(x):
    return isinstance(x, float)


own_module = types.ModuleType("own")
own_module.reciprocal_or_0 = reciprocal_or_0


# What the value of a custom operation does with its number: it runs natively, or it is called.
CUSTOM = {
    "branch": lambda x: x * 2.0 if x > 2.0 else x * 3.0 + 1.0,
    "truth": lambda x: x * 2.0 if x - 3.0 else x * 3.0 + 1.0,
    "equality": lambda x: x * 2.0 if x == 3.0 else x * 3.0 + 1.0,
    "in a list": lambda x: x * 2.0 if x in [3.0, 9.0] else x * 3.0 + 1.0,
    "in a set": lambda x: x * 2.0 if x in {3.0, 9.0} else x * 3.0 + 1.0,
    "a key in a dict": lambda x: {3.0: x * 2.0}.get(x, x * 3.0 + 1.0),
    "text": lambda x: x * 2.0 if str(x) == "3.0" else x * 3.0 + 1.0,
    "text of a list": lambda x: x * 2.0 if "3.0" in repr([x]) else x * 3.0 + 1.0,
    "f-string": lambda x: x * 2.0 if f"{x}" == "3.0" else x * 3.0 + 1.0,
    "type": lambda x: x * 2.0 if isinstance(x, float) else x * 3.0 + 1.0,
    "a method of floats": lambda x: x * 2.0 if hasattr(x, "hex") and x.hex() == (3.0).hex() else x * 3.0,
    "an attribute of Values": lambda x: x * 2.0 if getattr(x, "data", x) > 2.0 else x * 3.0 + 1.0,
    "a TypeError, caught": lambda x: caught(math.exp, x, TypeError),
    "is True": lambda x: x * 2.0 if (x > 2.0) is True else x * 3.0 + 1.0,
    "is not False": lambda x: x * 2.0 if (x > 2.0) is not False else x * 3.0 + 1.0,
    "an error in another function, caught": lambda x: reciprocal_or_0(x - 3.0),
    "an error in another function of a module, caught": lambda x: own_module.reciprocal_or_0(x - 3.0),
    "an error in another function closed over, caught": (lambda f: lambda x: f(x - 3.0))(reciprocal_or_0),
    "the type, in another function": lambda x: x * 2.0 if is_float(x) else x * 3.0 + 1.0,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", CUSTOM)
def test_the_value_of_a_custom_operation_is_followed(door, backend):
    operation = ng.custom("door", CUSTOM[door], lambda x, out: 2.0)

    for rows in (GIVEN, GIVEN[::-1]):
        compiled = ng.compile(lambda x: operation(x), backend=backend, exact=True)
        assert [compiled(x) for x in rows] == [operation(x) for x in rows]
        assert compiled.map(rows).tolist() == [operation(x) for x in rows]


# A custom value that rounds, at -0.5, -0.0, inf, -inf and nan. Whole numbers of Python have no -0.0.
# fmt: off
ROUNDING = {
    "floor": (lambda x: math.floor(x) * 1.0, [-1.0, 0.0, math.inf, -math.inf, math.nan]),
    "ceil": (lambda x: math.ceil(x) * 1.0, [0.0, 0.0, math.inf, -math.inf, math.nan]),
    "trunc": (lambda x: math.trunc(x) * 1.0, [0.0, 0.0, math.inf, -math.inf, math.nan]),
    "round": (lambda x: round(x) * 1.0, [0.0, 0.0, math.inf, -math.inf, math.nan]),
    "to a place": (lambda x: round(x, 1) * 1.0, [-0.5, -0.0, math.inf, -math.inf, math.nan]),
    "divmod": (lambda x: divmod(x, 2.0)[0], [-1.0, -0.0, math.nan, math.nan, math.nan]),
}
# fmt: on


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", ROUNDING)
def test_a_custom_value_that_rounds_gives_the_same_in_every_tier(door, backend, exact):
    value, right = ROUNDING[door]
    operation = ng.custom("rounding", value, lambda x, out: 0.0)
    points = [-0.5, -0.0, math.inf, -math.inf, math.nan]
    compiled = ng.compile(lambda x: operation(x), backend=backend, exact=exact)

    called, mapped = [compiled(x) for x in points], compiled.map(points)
    for found in (list(map(operation, points)), [operation(Value(x)).data for x in points], called, mapped):
        assert [repr(float(x) + 0.0 if not exact else float(x)) for x in found] == [
            repr(x + 0.0 if not exact else x) for x in right
        ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_solution_that_is_not_found_is_nan_where_its_warning_would_be_caught(backend):
    def f(x):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = ng.root(lambda y: y * y - x + 2.0, 1.0)
        return x * 0.0 if caught else found

    compiled = ng.compile(f, backend=backend)

    assert compiled(3.0) == f(Value(3.0)).data == 1.0
    with pytest.warns(RuntimeWarning, match="may have found no solution"):
        assert math.isnan(compiled(0.5))


def wakes_later():
    return time.time() > 4e9


# Nothing tells that these would answer otherwise some day.
UNSEEN = {
    "a branch on a clock": lambda x: either(wakes_later(), x),
    "a branch on random numbers of the system": lambda x: either(random.SystemRandom().random() < 1e-12, x),
    "a branch on a generator made anew": lambda x: either(np.random.default_rng().random() < 1e-12, x),
    "a branch on a file that may be there": lambda x: either(os.path.exists("/no/such/file"), x),
}


@pytest.mark.parametrize("door", UNSEEN)
def test_a_branch_on_what_keeps_no_state_is_not_noticed(door):
    compiled = ng.compile(UNSEEN[door], backend="numpy")

    assert [compiled(3.0), compiled(4.5)] == [10.0, 14.5]


# Random numbers in a branch that is hardly ever taken: each row of it runs eagerly, until it is compiled.
RARE = {
    "of the system": lambda x: x * random.SystemRandom().random(),
    "of secrets": lambda x: x * secrets.randbelow(10**9),
    "of os.urandom": lambda x: x * int.from_bytes(os.urandom(6), "big"),
    "of a generator made anew": lambda x: x * np.random.default_rng().random(),
    "of a generator that stays": lambda x: x * own_random.random(),
    "of Python": lambda x: x * random.random(),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", RARE)
def test_random_numbers_in_a_rare_branch_are_refused_when_that_branch_is_compiled(door, backend):
    compiled = ng.compile(lambda x: RARE[door](x) if x > 4.0 else x * 2.0, backend=backend)
    assert compiled(3.0) == 6.0

    found = {compiled(4.5) for _ in range(31)}  # one of few ways is compiled when it has come 32 times

    assert len(found) == 31
    for call in (lambda: compiled(4.5), lambda: compiled.map([3.0, 4.5, 4.5]), lambda: compiled(4.5)):
        with pytest.raises(ValueError, match="computes something else at .*random numbers"):
            call()
    assert [compiled(3.0) for _ in range(40)] == [6.0] * 40


class Stateless(random.Random):
    def getstate(self):
        raise OSError


@pytest.mark.parametrize(
    "reached", [random.Random(0), random.SystemRandom(), Stateless(), np.random.PCG64(0), secrets, np.random]
)
def test_a_generator_that_a_function_reaches_but_does_not_use_is_no_fault(reached):
    compiled = ng.compile(lambda x: either(reached is None, x), backend="numpy")

    assert compiled(3.0) == 10.0


def tried_until_large(x):
    while True:
        try:
            if x > 2.0:
                return x
            raise ValueError
        except:  # noqa: E722  # what users write, and what this tests
            x = x + 1.0


def suppressed_until_large(x):
    count, done = 0, False
    while not done:
        with contextlib.suppress(BaseException):
            count += 1
            done = bool(x * count > 2.0)
    return x * count


def in_a_callback(x):
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.call_soon(lambda: future.set_result(either(x > 2.0, x)))
    try:
        return loop.run_until_complete(future)
    finally:
        loop.close()


def by_a_worker(x):
    async def work(queue, found):
        while True:
            found.append(either(await queue.get() > 2.0, x))
            queue.task_done()

    async def main():
        queue, found = asyncio.Queue(), []
        worker = asyncio.create_task(work(queue, found))
        for number in (x, x + 1.0):
            queue.put_nowait(number)
        await queue.join()
        worker.cancel()
        return found[0] + found[1]

    return run(main())


def after_an_event(x):
    async def main():
        event, found = asyncio.Event(), []

        async def work():
            found.append(either(x > 2.0, x))
            event.set()

        task = asyncio.create_task(work())
        await event.wait()
        await task
        return found[0]

    return run(main())


# Code that catches every error, and goes on or waits: a replay raises none of its own in it.
@pytest.mark.parametrize(
    "f", [tried_until_large, suppressed_until_large, in_a_callback, by_a_worker, after_an_event]
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_catches_everything_ends_in_a_map(f, backend):
    rows = [3.0, 1.0, 0.5, 4.0]

    assert ng.compile(f, backend=backend).map(rows).tolist() == [f(x) for x in rows]


def branches_when_freed(x):
    found = []

    class Freed:
        def __del__(self):
            found.append(1.0 if x > 2.0 else 0.0)

    Freed()
    return x * (found[0] + 1.0)


def branches_in_a_callback(x):
    found = []

    class Freed:
        pass

    weakref.finalize(Freed(), lambda: found.append(1.0 if x > 2.0 else 0.0))
    return x * (found[0] + 1.0)


def branches_when_a_generator_is_freed(x):
    found = []

    def numbers():
        try:
            yield 1.0
        finally:
            found.append(1.0 if x > 2.0 else 0.0)

    next(numbers())
    return x * (found[0] + 1.0)


@pytest.mark.parametrize(
    "f", [branches_when_freed, branches_in_a_callback, branches_when_a_generator_is_freed]
)
@pytest.mark.parametrize("transform", [lambda f: f, ng.grad])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_branch_in_a_finalizer_is_followed(f, transform, backend):
    rows = [3.0, 1.0, 4.0, 0.5, 2.5]
    f = transform(f)
    expected = [f(x) for x in rows]

    assert ng.compile(f, backend=backend, exact=True).map(rows).tolist() == expected
    compiled = ng.compile(f, backend=backend, exact=True)
    assert [compiled(x) for x in rows * 2] == expected * 2


def keeping(keep):
    """Return a function that keeps something of the rows that go one of its ways."""
    kept = []

    def f(x):
        if x > 2.0:
            return x * 2.0
        kept.append(keep(x))
        return kept[0](x) if callable(kept[0]) else kept[0] * x

    return f


# What a function keeps of the first row that goes one of its ways.
KEPT_OF_A_WAY = {
    "the argument": lambda x: x,
    "a result": lambda x: x * 3.0,
    "a derivative": lambda x: (lambda pull: lambda y: pull(1.0)[0] + y)(ng.vjp(lambda u: u * u * x, x)[1]),
    "a number": lambda x: 1.0 if x > 0.6 else 2.0,
    "a closure": lambda x: lambda y: x * y,
}


@pytest.mark.parametrize("rows", [[3.0, 3.5, 1.0, 0.5, 0.7, 1.5, 0.2, 4.0], [3.0, 1.0, 0.5], [3.0, 0.5] * 40])
@pytest.mark.parametrize("transform", [lambda f: f, ng.grad, ng.value_and_grad])
@pytest.mark.parametrize("door", KEPT_OF_A_WAY)
def test_what_a_way_keeps_of_its_first_row_is_refused_or_right(door, transform, rows):
    f = transform(keeping(KEPT_OF_A_WAY[door]))
    expected = [f(x) for x in rows]

    for run in (lambda c: np.transpose(c.map(rows)).tolist(), lambda c: [c(x) for x in rows]):
        with contextlib.suppress(ValueError):
            found = run(ng.compile(transform(keeping(KEPT_OF_A_WAY[door])), backend="numpy", exact=True))
            assert np.array_equal(found, expected)


def branches_in_a_child(x):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"1" if x > 2.0 else b"0")
        os._exit(0)
    os.waitpid(pid, 0)
    found = os.read(reading, 1)
    os.close(reading), os.close(writing)
    return x * 2.0 if found == b"1" else x * 3.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_function_that_forks_is_refused():
    with pytest.raises(ValueError, match="branches_in_a_child takes a plain number .* forks, and what"):
        ng.compile(branches_in_a_child)(3.0)


def test_long_data_are_not_searched_for_generators():
    data = [float(i) for i in range(1_000_000)]

    assert chance._reached(data) == []
    assert ng.compile(lambda x: x * data[3], backend="numpy")(2.0) == 6.0


def test_state_that_shows_later_than_in_the_runs_compared_is_not_noticed():
    runs = itertools.count(1)
    compiled = ng.compile(lambda x: either(next(runs) < 3, x), backend="numpy")
    turns = itertools.count(1)
    loop = ng.compile(lambda x: scanned(lambda c: c + x if next(turns) < 7 else c, x), backend="numpy")

    assert [compiled(3.0) for _ in range(4)] == [6.0] * 4  # it is recorded and replayed, which is all
    assert [loop(1.0) for _ in range(2)] == [5.0] * 2  # a turn is recorded twice, and three times in a replay


@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_random_numbers_that_another_thread_draws_are_no_fault(pause):
    stop = threading.Event()

    def draw():
        while not stop.wait(pause):
            random.random()

    def f(x):
        for _ in range(500):
            x = x * 0.5 + 1.0
        return x

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        found = [ng.compile(f, backend="numpy", exact=True)(2.0) for _ in range(20)]
    finally:
        stop.set()
        thread.join()

    assert found == [2.0] * 20


def test_random_numbers_that_only_a_first_run_draws_are_no_fault():
    kept = []

    def f(x):
        if not kept:
            kept.append(Value(random.random()))
        return x * kept[0]

    assert ng.compile(f, backend="numpy")(2.0) == 2.0 * kept[0].data


def test_what_the_value_of_a_custom_operation_keeps_is_not_followed():
    seen = []
    operation = ng.custom("keeps", lambda x: seen.append(x) or float(x) * 2.0, lambda x, out: 2.0)
    f = ng.compile(lambda x: operation(x) + seen[-1], backend="numpy")

    assert [f(3.0), f(4.5)] == [9.0, 12.0]  # 4.5 * 2 + 3: a number that never was a Value
    with pytest.raises(ValueError, match="computes something else"):
        ng.compile(lambda x: operation(x) + seen[-1], backend="numpy").map([3.0, 4.5])


def test_a_branch_in_a_thread_on_what_nothing_else_uses_is_not_noticed():
    other = Value(1.0)
    compiled = ng.compile(lambda x: either(in_thread(lambda: bool(other > 0.0)), x), backend="numpy")
    assert compiled(3.0) == 6.0

    other.data = -1.0

    assert compiled(3.0) == 6.0  # README.md of the compiler: the one door that stays open


def test_a_weight_that_is_replaced_and_not_assigned_is_not_noticed():
    neuron = ng.nn.Neuron(1, None, seed=0)
    compiled = ng.compile(lambda x: neuron([x]), backend="numpy")
    neuron.w[0].data = 2.0
    assert compiled(3.0) == 6.0

    neuron.w[0] = Value(5.0)

    assert compiled(3.0) == 6.0
    assert ng.compile(lambda x: neuron([x]), backend="numpy")(3.0) == 15.0
