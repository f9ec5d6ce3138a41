"""Loops whose number of turns the numbers decide: plain Python loops, and single operations when compiled.

Eager, `while_loop` and `scan` are Python loops on Values, recorded turn by turn. Whoever compiles a function
sets a `roller`; then one turn is recorded on stand-ins, and the loop becomes one operation. Its partials are
the loop with tangents carried beside its state, which is a loop again. So there are derivatives of every
order, without a tape.

The file is long because its three parts are read together: the loops, one recorded turn, and the partials.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

from nodegrad.graph import clock, dependents, topological_order
from nodegrad.inputs import described, whole
from nodegrad.ops import Composite, constant, identity, plain
from nodegrad.sweep import forward_sweep
from nodegrad.trees import LEAF, Spec, Tree, build, container, flatten
from nodegrad.value import Value, leave, listen, literal, stand_in

__all__ = ["fori_loop", "scan", "while_loop"]

_WIDE = 32  # with more operands to differentiate by, reverse mode turn by turn costs less
_LONGEST = 200_000  # operations recorded turn by turn for that reason
_MOST = 2_000_000  # operands of all results together


@dataclass(eq=False)
class Roller:
    """How to make a loop one operation.

    Attributes:
        lower: returns something whose `value` runs the loop on numbers of its operands.
        inputs: the arguments of the function that is compiled, which nobody differentiates by.
        line: names the line of the user's that is running.
        times: how often to record a turn: whatever makes the second one differ is refused.
        loops: how many turns were recorded.
        again: whether a turn is recorded that was recorded before.
    """

    lower: "Callable[[Loop], Any]"
    inputs: Collection[Value]
    line: Callable[[], str]
    times: int
    loops: int = 0
    again: bool = False


_roller: ContextVar[Roller | None] = ContextVar("roller", default=None)


@contextmanager
def rolled(roller: Roller) -> Iterator[None]:
    """Make every loop in a block one operation."""
    token = _roller.set(roller)
    try:
        yield
    finally:
        _roller.reset(token)


def rolling() -> bool:
    """Return whether loops are made single operations now."""
    return _roller.get() is not None


def left_by(stand_ins: Sequence[Value], user: str) -> None:
    """Mark what stood for numbers while a user's function was recorded, if loops are made operations now."""
    roller = _roller.get()
    if roller is not None:
        roller.loops += 1
        leave(stand_ins, f"{user} at {roller.line()}")


def while_loop(
    condition: Callable[[Tree], Any], body: Callable[[Tree], Tree], state: Tree, *, limit: int = 1_000_000
) -> Tree:
    """Repeat `state = body(state)` while `condition(state)` is not 0, and return the last state.

    Compiled, this is one native loop, whatever the number of turns; in `map` each row makes as many as it
    needs. One recorded turn stands for all, so an `if` on a Value inside is an error there: choose with
    `where`. Derivatives of compiled loops are carried forward beside the state.

    >>> import nodegrad as ng
    >>> def halved(x):
    ...     return ng.while_loop(lambda x: x > 1.0, lambda x: x / 2.0, x)
    >>> halved(10.0), ng.grad(halved)(10.0)
    (0.625, 0.0625)
    >>> ng.compile(halved).map([10.0, 3.0, 0.5]).tolist()
    [0.625, 0.75, 0.5]

    Args:
        condition: a function of the state that says whether there is another turn.
        body: a function from a state to the next one, which has the same structure.
        state: the first state: numbers in any structure.
        limit: how many turns are an error.

    Raises:
        RuntimeError: if the loop has not ended after `limit` turns.
        TypeError: if `body` returns another structure than `state` has; compiled, if it takes a branch.
        ValueError: compiled, if Python keeps what changes from turn to turn, or a Value of a turn is kept.
    """
    for name, function in (("condition", condition), ("body", body)):
        _check_function("while_loop", name, function)
    return _repeat("while_loop", condition, body, state, whole("while_loop", "limit", limit, 0))


def repeat(condition: Callable[[Tree], Any], body: Callable[[Tree], Tree], state: Tree) -> Tree:
    """Repeat until an iteration settles: a `while_loop` where one turn more or less makes no difference.

    So tiers whose last bits differ may make different numbers of turns.
    """
    return _repeat("root", condition, body, state, None)


def _repeat(
    user: str,
    condition: Callable[[Tree], Any],
    body: Callable[[Tree], Tree],
    state: Tree,
    limit: int | None,
) -> Tree:
    roller = _roller.get()
    if roller is not None:

        def turn(now: Tree, _: Tree) -> tuple[Any, Tree, Tree]:
            go = condition(now)
            try:
                return go, body(now), None
            except Exception as error:
                if not isinstance(go, Value) or go._data:
                    raise
                raise RuntimeError(
                    f"{user} was given a body that raises an error where its condition does not hold: "
                    f"{type(error).__name__}: {error}. Compiled, a turn is recorded even if the loop makes "
                    "none."
                ) from error

        found = _roll(user, roller, turn, state, None, limit)
        assert found is not None, "only scans are recorded turn by turn"
        return found[0]
    spec = _checked(user, state)
    turns = 0
    while _holds(user, condition(state)):
        if turns == limit:
            raise endless(turns)
        state = _next(user, spec, body(state))
        turns += 1
    return state


def scan(
    body: Callable[[Tree, Tree], tuple[Tree, Tree]], state: Tree, xs: Tree = None, length: int | None = None
) -> tuple[Tree, list[Tree]]:
    """Repeat `state, y = body(state, x)` for each x of a sequence; return the last state and the list of y.

    Compiled, this is one native loop; see `while_loop`.

    >>> import nodegrad as ng
    >>> def smooth(values, rate):  # exponential smoothing
    ...     def step(level, x):
    ...         level = level + rate * (x - level)
    ...         return level, level
    ...
    ...     return ng.scan(step, 0.0, values)
    >>> smooth([1.0, 2.0, 3.0], 0.5)
    (2.125, [0.5, 1.25, 2.125])
    >>> ng.compile(ng.grad(lambda rate: smooth([1.0, 2.0, 3.0], rate)[0]))(0.5)
    2.75

    Args:
        body: a function of state and x that returns the next state and y; y may be None.
        state: the first state: numbers in any structure, which stays the same.
        xs: a list or array with an x per turn, or a tuple or dict of such; None: x is None.
        length: the number of turns if there are no xs.

    Raises:
        TypeError: if `body` returns no pair, or another structure than `state` has; compiled, if it branches.
        ValueError: if there are neither xs nor a length, or xs of different lengths; compiled, if Python
            keeps what changes from turn to turn, or a Value of a turn is kept.
    """
    _check_function("scan", "body", body)
    rows = _rows(xs, length)
    roller = _roller.get()
    if roller is not None and len(rows) > 1:

        def turn(now: Tree, x: Tree) -> tuple[Any, Tree, Tree]:
            return None, *_pair(body(now, x))

        found = _roll("scan", roller, turn, state, rows, 0)
        if found is not None:
            return found
    spec = _checked("scan", state)
    ys = []
    for x in rows:
        after, y = _pair(body(state, x))
        state = _next("scan", spec, after)
        ys.append(y)
    return state, ys


def fori_loop(lower: int, upper: int, body: Callable[[Any, Tree], Tree], state: Tree) -> Tree:
    """Repeat `state = body(i, state)` for i from lower to upper - 1, and return the last state; see `scan`.

    >>> import nodegrad as ng
    >>> ng.fori_loop(0, 5, lambda i, total: total + i, 0.0)
    10.0

    Args:
        lower: the first i.
        upper: one more than the last i.
        body: a function of i and the state that returns the next state. Compiled, i is a Value.
        state: the first state: numbers in any structure, which stays the same.
    """
    _check_function("fori_loop", "body", body)
    try:
        turns = range(lower, upper)
    except TypeError as error:
        raise TypeError(
            f"fori_loop takes lower and upper as whole numbers; got {described(lower)} and "
            f"{described(upper)}. Name an integer argument of a compiled function in static=. Where a Value "
            "decides the number of turns, write a while_loop."
        ) from error
    return scan(lambda now, i: (body(i, now), None), state, turns)[0]


def _check_function(user: str, argument: str, given: Any) -> None:
    if not callable(given):
        raise TypeError(f"{user} takes its {argument} as a function of the state; got {described(given)}.")


def endless(limit: int) -> RuntimeError:
    """Return the error for a loop that does not end."""
    return RuntimeError(
        f"while_loop did not end within {limit:,} turns. Its condition may never fail for these numbers "
        "(nan compares false with everything, but is true by itself); or raise limit=."
    )


def _rows(xs: Tree, length: int | None) -> list[Tree]:
    """Return what each turn takes."""
    if xs is None:
        return [None] * whole("scan", "xs, or length=", length, 0)
    if not isinstance(xs, tuple | dict):
        if not hasattr(xs, "__iter__"):
            raise TypeError(f"scan takes xs as a list or array, or several; got {described(xs)}.")
        return list(xs)
    found = container(xs)
    assert found is not None, "a tuple or dict is a container"
    columns = [_rows(entry, None) for entry in found[1]]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"scan takes xs of one length; got {[len(column) for column in columns]}.")
    spec = type(xs), found[0], (LEAF,) * len(columns)
    return [build(spec, row) for row in zip(*columns, strict=True)]


def _pair(found: Any) -> tuple[Tree, Tree]:
    if not (isinstance(found, tuple) and len(found) == 2):
        raise TypeError(
            f"scan takes a body that returns the pair (next state, y); this one returned {described(found)}. "
            "Return (state, None) if a turn gives nothing out."
        )
    return found


def _next(user: str, spec: Spec, state: Tree) -> Tree:
    """Return the next state, if it has the structure of the first."""
    if _checked(user, state) != spec:
        raise TypeError(
            f"{user} takes a body that returns a state of the structure it takes; this one returned "
            f"{described(state)}."
        )
    return state


def _checked(user: str, state: Tree) -> Spec:
    """Return how a state is structured, if it holds numbers."""
    leaves, spec = flatten(state)
    for x in leaves:
        if not isinstance(x, Value):
            plain(x, f"{user}, as its state,")
    return spec


def _holds(user: str, answer: Any) -> bool:
    """Return whether there is another turn."""
    return bool(answer if isinstance(answer, Value) else plain(answer, _from_condition(user)))


def _from_condition(user: str) -> str:
    return f"{user}, from its condition,"


# One turn, recorded on stand-ins.


def _roll(
    user: str,
    roller: Roller,
    turn: Callable[[Tree, Tree], tuple[Any, Tree, Tree]],
    state: Tree,
    rows: list[Tree] | None,
    limit: int | None,
) -> tuple[Tree, list[Tree]] | None:
    """Return the last state and every y of a loop that is one operation; None to record it turn by turn."""
    leaves, spec = flatten(state)
    first, turns = _values(leaves, f"{user}, as its state,"), None if rows is None else len(rows)
    taken = [flatten(() if row is None else row) for row in rows or ()]
    shape = taken[0][1] if taken else None
    if any(other != shape for _, other in taken):
        raise ValueError(f"{user} takes xs of one structure; these differ from turn to turn.")
    items = _values(taken[0][0]) if taken else []
    start = clock.tick()

    def record() -> tuple[Loop, list[bool], Spec | None]:
        now, x = _stand_ins(first), _stand_ins(items)
        with listen(recorder := _Turn(user, [*now, *x])):
            go, after, y = turn(build(spec, now), build(shape, x) if x else None)
        left_by([*now, *x], user)
        given, given_spec = flatten(() if y is None else y)
        after = _values(flatten(_next(user, spec, after))[0])
        condition = None if turns is not None else _value(go, _from_condition(user))
        loop = Loop(now, x, recorder.order, condition, after, _values(given), turns, limit, roller)
        return loop, recorder.answers, None if y is None else given_spec

    loop, answers, given_spec = record()
    before = loop.described(start)
    for _ in range(roller.times - 1):
        if _again(user, roller, record, start) != (before, answers, given_spec):
            raise _keeps_state(user, roller)
    operands = (*first, *loop.outside, *_values([item for items, _ in taken for item in items]))
    if _pays_turn_by_turn(loop, operands):
        return None
    last, ys = loop.results(operands)
    if given_spec is None:
        return build(spec, last), [None] * len(taken)
    return build(spec, last), [build(given_spec, each) for each in ys]


def _again(user: str, roller: Roller, record: Callable[[], Any], start: int) -> tuple[Any, ...]:
    """Record a turn once more, and describe it. Its branches must be those known already."""
    outer, roller.again = roller.again, True
    try:
        loop, answers, spec = record()
    except Exception as error:  # what did not fail the first time
        raise _keeps_state(user, roller) from error
    finally:
        roller.again = outer
    return loop.described(start), answers, spec


def _keeps_state(user: str, roller: Roller) -> ValueError:
    return ValueError(
        f"{user} at {roller.line()} was given a function that does something else in each turn: Python keeps "
        "what changes (a counter, an iterator, random numbers, a Value of the turn before). Compiled, one "
        "recorded turn stands for all: put what changes into the state, or give scan a number for each turn."
    )


def _value(x: Any, user: str = "a loop") -> Value:
    return x if isinstance(x, Value) else literal(plain(x, user))


def _values(found: Iterable[Any], user: str = "a loop") -> list[Value]:
    return [_value(x, user) for x in found]


def _stand_ins(values: Sequence[Value]) -> list[Value]:
    return [stand_in(x._data) for x in values]


class _Turn:
    """An observer of one turn: it collects what depends on the stand-ins, and refuses branches on that."""

    def __init__(self, user: str, known: Sequence[Value]) -> None:
        self.user = user
        self.inside = set(known)
        self.order: list[Value] = []
        self.answers: list[bool] = []  # of branches on what is outside
        self.thread = get_ident()

    def made(self, node: Value) -> None:
        """Note a node that depends on the turn."""
        if get_ident() == self.thread and not self.inside.isdisjoint(node.operands):
            self.inside.add(node)
            self.order.append(node)

    def decided(self, node: Value, answer: bool) -> None:
        """Refuse a branch on what depends on the turn."""
        if get_ident() == self.thread:
            self.answers.append(answer)
            if node not in self.inside:
                return
            raise TypeError(
                f"{self.user} was given a function that branches (`if`, `while`, `and`, `max` ...) on a "
                "Value of the loop. Compiled, one recorded turn stands for all: choose with nodegrad.where, "
                "maximum, minimum or clip, and write an inner loop with nodegrad.while_loop."
            )

    def read(self, node: Value, how: str) -> None:
        """Refuse to let numbers out: those of one recorded turn say nothing about the others."""
        if get_ident() == self.thread and node in self.inside:
            raise ValueError(
                f"{self.user} was given a function that {how}, of a Value of the loop. Compiled, one "
                "recorded turn stands for all: compute and choose with the Values themselves."
            )


def _pays_turn_by_turn(loop: "Loop", operands: Sequence[Value]) -> bool:
    """Return whether a loop of known length should be recorded turn by turn.

    Its partials are carried forward, one tangent for each operand to differentiate by: reverse mode costs
    less if these are many (the weights of a network), or if there are very many results.
    """
    if loop.turns is None:
        return False
    if loop.turns * len(loop.given) * len(operands) > _MOST:
        return True
    changing = {x for x in operands if x.op is not constant}
    if len(changing) <= _WIDE or loop.turns * len(loop.order) > _LONGEST:
        return False
    order = topological_order(*changing)
    sources = [x for x in order if x.op is identity or (x.op is None and x not in loop.roller.inputs)]
    return len(changing & dependents(order, sources)) > _WIDE


@dataclass(eq=False)
class Loop:
    """A loop as it is recorded: one turn on stand-ins.

    Attributes:
        state: stand-ins for the state.
        items: stand-ins for what a turn takes.
        order: the nodes of a turn that depend on these, operands first.
        condition: the node that says whether there is another turn; None for a given number of turns.
        after: the next state.
        given: what a turn gives out.
        turns: the number of turns, or None.
        limit: how many turns are an error, if there is a condition; None: it settles.
        roller: who makes it one operation.
        narrower: the loop that this one carries tangents beside: its results are among this one's.
        outside: what is read from outside the loop.
        lowered: what the roller made of it.
        turn: what a turn computes, as `described` has it.
    """

    state: list[Value]
    items: list[Value]
    order: list[Value]
    condition: Value | None
    after: list[Value]
    given: list[Value]
    turns: int | None
    limit: int | None
    roller: Roller
    narrower: "Loop | None" = None

    def __post_init__(self) -> None:
        results = self._results()
        needed = set(results)  # the order may list what an inner loop or a derivative no longer needs
        for node in reversed(self.order):
            if node in needed:
                needed.update(node.operands)
        self.order = [node for node in self.order if node in needed]
        inside = {*self.state, *self.items, *self.order}
        read = [operand for node in self.order for operand in node.operands] + results
        self.outside = list(dict.fromkeys(x for x in read if x not in inside and x.op is not constant))
        self.lowered: Any = None
        self.turn: Any = self.narrower and (self.narrower.turn, len(self.order))
        self._last: tuple[Any, Sequence[float]] = (None, ())
        self._jacobians: dict[Any, Any] = {}

    def _results(self) -> list[Value]:
        return [x for x in (self.condition, *self.after, *self.given) if x is not None]

    def described(self, start: int) -> tuple[list[Any], list[int]]:
        """Return what a turn computes, equal for equal turns, and the ids of what it reads from outside.

        What was made since the start is described; what is older is read.
        """
        places = {x: ("stand-in", place) for place, x in enumerate([*self.state, *self.items])}
        found: list[Any] = []
        reads: list[int] = []
        for node in topological_order(*self._results(), since=start):
            if node in places:
                continue
            if node.op is constant:
                entry: tuple[Any, ...] = "number", repr(node._data)
            elif node._time < start:
                entry = "outside", len(reads)
                reads.append(id(node))
            elif node.op is None:
                entry = "leaf", repr(node._data)
            else:
                entry = _operation(node.op), *[places[x] for x in node.operands]
            places[node] = "node", len(found)
            found.append(entry)
        found.append([places[x] for x in self._results()])
        self.turn = found
        return found, reads

    def results(self, operands: tuple[Value, ...]) -> tuple[list[Value], list[list[Value]]]:
        """Return the last state, and what each turn gives out, for the first state, outside and all items."""
        self.lowered = self.roller.lower(self)
        count, size = len(self.after), len(self.given)
        made = [
            Value.apply_op(Composite(f"loop[{index}]", "loop", self, index, selects=True), operands)
            for index in range(count + size * (self.turns or 0))
        ]
        return made[:count], [made[at : at + size] for at in range(count, len(made), size)] if size else []

    def value(self, *numbers: float) -> Sequence[float]:
        """Run the loop. Every result of a call asks, so the last results are kept."""
        if self._last[0] != numbers:
            self._last = numbers, self.lowered.value(*numbers)
        return self._last[1]

    def partials(self, index: int, node: Value, wanted: Sequence[int]) -> list[Any]:
        """Return the partials of a result by the wanted operands; None for those known to be 0."""
        operands = node.operands
        key = tuple(wanted), tuple(map(id, operands))
        if key not in self._jacobians:  # the operands are kept, too, so that no other gets their id
            self._jacobians[key] = operands, _jacobian(self._over(operands), operands, wanted)
        found: dict[int, Value] = self._jacobians[key][1][index]
        return [found.get(place) for place in wanted]

    def _over(self, operands: tuple[Value, ...]) -> "Loop":
        """Return the loop that reads these operands: others than its own if it was made again."""
        read = operands[len(self.state) : len(self.state) + len(self.outside)]
        again = {x: y for x, y in zip(self.outside, read, strict=True) if x is not y}
        if not again:
            return self
        remake(self.order, again)
        order, after, given = ([again.get(x, x) for x in xs] for xs in (self.order, self.after, self.given))
        condition = None if self.condition is None else again.get(self.condition, self.condition)
        found = replace(self, order=order, condition=condition, after=after, given=given)
        found.outside, found.turn = list(read), self.turn
        return found


def _operation(op: Any) -> tuple[Any, ...]:
    """Describe an operation: a loop by its turn, for each recording makes another loop."""
    if isinstance(op, Composite):
        whole = op.whole
        kind = (whole.turn, whole.turns, whole.limit) if isinstance(whole, Loop) else op.name
        return kind, op.index
    return (op,)


def remake(order: Iterable[Value], again: dict[Value, Value]) -> None:
    """Make nodes once more with other operands: `again` has what replaces what, and gets the new nodes."""
    for node in order:
        assert node.op is not None, "an operation made it"
        again[node] = Value.apply_op(node.op, tuple([again.get(x, x) for x in node.operands]))


# The partials of a loop: the loop with tangents beside its state.


def _jacobian(loop: Loop, operands: tuple[Value, ...], wanted: Sequence[int]) -> list[dict[int, Value]]:
    """Return, for each result, its partials by the wanted operands; those known to be 0 are left out."""
    states, reads, turns = len(loop.state), len(loop.outside), loop.turns or 0
    state, items, after, given = ([*x] for x in (loop.state, loop.items, loop.after, loop.given))
    first = [*operands[:states]]
    marked: list[int] = []  # the turn in which each item added is 1: it is 0 in the others
    places: list[tuple[dict[int, int], dict[int, int]]] = []  # of the tangents of state and given numbers
    recorder = _Turn("a loop", [*loop.state, *loop.items, *loop.order])
    with listen(recorder):
        for index in wanted:
            seeds: dict[Value, Any] = {}
            if states <= index < states + reads:
                seeds[loop.outside[index - states]] = 1.0
            elif index >= states + reads:
                turn, item = divmod(index - states - reads, len(loop.items))
                seeds[loop.items[item]] = mark = stand_in(float(turn == 0))
                items.append(mark)
                marked.append(turn)
            carried = _carried(loop, index, seeds)
            in_state = {}
            for place in carried:
                in_state[place] = len(state)
                seeds[loop.state[place]] = tangent = stand_in(float(place == index))
                state.append(tangent)
                first.append(literal(float(place == index)))
            recorder.inside.update(items, state)
            tangents = forward_sweep(loop.order, seeds, dependents(loop.order, seeds), False, strong=True)
            after += [_value(tangents.get(loop.after[place], 0.0)) for place in carried]
            in_given = {}
            for number, node in enumerate(loop.given):
                if node in tangents:
                    in_given[number] = len(given)
                    given.append(_value(tangents[node]))
            places.append((in_state, in_given))
    order = [*loop.order, *recorder.order]
    wider = Loop(
        state, items, order, loop.condition, after, given, loop.turns, loop.limit, loop.roller, narrower=loop
    )
    taken: list[Value] = []
    for turn in range(turns):
        at = states + reads + turn * len(loop.items)
        taken += operands[at : at + len(loop.items)]
        taken += [literal(float(turn == each)) for each in marked]
    last, ys = wider.results((*first, *wider.outside, *taken))
    of_state = [
        {index: last[at[place]] for index, (at, _) in zip(wanted, places, strict=True) if place in at}
        for place in range(states)
    ]
    of_given = [
        {index: y[at[number]] for index, (_, at) in zip(wanted, places, strict=True) if number in at}
        for y in ys
        for number in range(len(loop.given))
    ]
    return [*of_state, *of_given]


def _carried(loop: Loop, index: int, seeds: Collection[Value]) -> list[int]:
    """Return which numbers of the state come to depend on an operand, turn after turn."""
    found = {index} if index < len(loop.state) else set()
    while True:
        sources = [*seeds, *[loop.state[place] for place in found]]
        reached = _smooth_dependents(loop.order, sources)
        more = {place for place, node in enumerate(loop.after) if node in reached} | found
        if more == found:
            return sorted(found)
        found = more


def _smooth_dependents(order: Sequence[Value], sources: Collection[Value]) -> set[Value]:
    """Collect what depends on the sources other than through operations whose derivative is 0."""
    return dependents(
        [node for node in order if node.op is not None and not node.op.zero_derivative], sources
    )
