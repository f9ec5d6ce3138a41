"""Every door out of the record we can think of, one a line: followed or refused, never silently wrong."""

import asyncio
import contextvars
import copy
import dataclasses
import functools
import io
import itertools
import json
import logging
import math
import operator
import pickle
import random
import re
import reprlib
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nodegrad as ng
from nodegrad import Value
from nodegrad.compiler import backends

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
    "map of a function that closes over x": lambda x: float(ng.compile(lambda v: v * x).map([2.0])[0]) * x,
}

# Watching these would cost every operation. A call gives what the recorded number gave; a map finds out where
# another of its rows gives something else.
UNWATCHED = {
    "the private slot of the number": lambda x: either(x._data > 2.0, x),
    "the private slot of an operand": lambda x: either((x * 1.0)._first._data > 2.0, x),
    "the private slot, by name": lambda x: either(x._data > 2.0, x),
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
        with pytest.raises((ValueError, TypeError)):
            compiled(x)
    with pytest.raises((ValueError, TypeError)):
        compiled.map(GIVEN)


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
    with pytest.raises(ValueError, match="gives another result"):
        ng.compile(f, backend="numpy").map([3.0, 0.5, 4.5])


def test_a_branch_in_a_thread_on_what_nothing_else_uses_is_not_noticed():
    other = Value(1.0)
    compiled = ng.compile(lambda x: either(in_thread(lambda: bool(other > 0.0)), x), backend="numpy")
    assert compiled(3.0) == 6.0

    other.data = -1.0

    assert compiled(3.0) == 6.0  # README.md of the compiler: the one door that stays open
