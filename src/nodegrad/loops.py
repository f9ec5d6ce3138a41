"""Loops whose number of turns depends on the numbers: Python loops, or single operations when compiled.

Eager, `while_loop` and `scan` are Python loops on Values, recorded turn by turn. The compiler sets a
`Roller`. Then one turn is recorded on stand-ins, and the loop becomes one operation. The partials of this
operation are the same loop with tangents beside its state, which is a loop again. So there are derivatives
of every order, without a tape.

The file is long because its three parts are read together: the loops, one recorded turn, and the partials.
"""

import itertools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

from nodegrad.composites import Pairing, Partial, Whole, remake
from nodegrad.graph import clock, dependents, leave, topological_order
from nodegrad.inputs import described, endless, function, plain, whole
from nodegrad.observers import listen, listeners
from nodegrad.ops import CHAIN_RULE, COMPARISONS, FINITE, Number, constant, identity, ne
from nodegrad.sweep import forward_sweep, partials
from nodegrad.trees import LEAF, NUMBERS, Spec, Tree, build, builder, container, flatten
from nodegrad.value import Value, as_value, literal, stand_in

__all__ = ["fori_loop", "scan", "while_loop"]

_WIDE = 32  # with more operands to differentiate by, reverse mode turn by turn costs less
_LONGEST = 200_000  # operations recorded turn by turn for that reason
_WIDEST = 2_000  # operands in a turn times derivatives: with more, a while_loop compiles for seconds
_MOST = 2_000_000  # operands of all results together
_OF_STATE = "a function of the state"


@dataclass(eq=False)
class Roller:
    """How to make a loop one operation.

    Attributes:
        lower: a function from a loop to an object whose `value` runs the loop on the numbers of its operands.
        inputs: the arguments of the compiled function. No derivative is taken by them.
        line: a function that names the line of the user's code that is running.
        times: how often to record a turn. If the recordings differ, the loop is refused.
        again: whether the turn that is recorded now was recorded before.
        unrolls: whether `while_loop` is recorded turn by turn, as a Python loop is: see `TooWide`.
    """

    lower: "Callable[[Loop], Any]"
    inputs: Collection[Value]
    line: Callable[[], str]
    times: int
    again: bool = False
    unrolls: bool = False


class TooWide(BaseException):
    """A `while_loop` has too many derivatives to carry them all forward: record it turn by turn.

    User code that catches Exception does not catch this.
    """


# Set while a function is recorded: every loop is made one operation.
current_roller: ContextVar[Roller | None] = ContextVar("roller", default=None)


def rolling() -> bool:
    """Return whether loops are made single operations now."""
    return current_roller.get() is not None


def left_by(stand_ins: Sequence[Value], user: str) -> None:
    """Mark the stand-ins on which a user's function was recorded, if a function is being compiled."""
    if (roller := current_roller.get()) is not None:
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
        limit: the largest number of turns.

    Raises:
        RuntimeError: if the loop has not ended after `limit` turns.
        TypeError: if `body` returns another structure than `state` has; compiled, if it takes a branch.
        ValueError: compiled, if Python state changes from turn to turn, or a Value of a turn is kept.
    """
    function("while_loop", "condition", condition, _OF_STATE)
    function("while_loop", "body", body, _OF_STATE)
    return repeat(condition, body, state, "while_loop", whole("while_loop", "limit", limit, 0))


def repeat(
    condition: Callable[[Tree], Any],
    body: Callable[[Tree], Tree],
    state: Tree,
    user: str = "root",
    limit: int | None = None,
) -> Tree:
    """Repeat like `while_loop`. Only an iteration that converges may have no limit.

    Its condition ends it, and one turn more or less makes no difference. So tiers whose numbers differ in the
    last bits may make different numbers of turns.
    """
    return _Repetition(user, condition, lambda now, _: (body(now), None), state, None, limit).run()[0]


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
        xs: a list or array with an x per turn, or a tuple or dict of such lists; if None, x is None.
        length: the number of turns if there are no xs.

    Raises:
        TypeError: if `body` returns no pair, or another structure than `state` has; compiled, if it branches.
        ValueError: if there are neither xs nor a length, or xs of different lengths; compiled, if Python
            state changes from turn to turn, or a Value of a turn is kept.
    """
    function("scan", "body", body, _OF_STATE)
    return _Repetition("scan", None, lambda now, x: _pair(body(now, x)), state, _rows(xs, length)).run()


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
    function("fori_loop", "body", body, _OF_STATE)
    try:
        turns = range(lower, upper)
    except TypeError as error:
        raise TypeError(
            f"fori_loop takes lower and upper as whole numbers; got {described(lower)} and "
            f"{described(upper)}. Name an integer argument of a compiled function in static=. Where a Value "
            "decides the number of turns, write a while_loop."
        ) from error
    return scan(lambda now, i: (body(i, now), None), state, turns)[0]


def _rows(xs: Tree, length: int | None) -> list[Tree]:
    """Return the list of what each turn takes."""
    if xs is None:
        return [None] * whole("scan", "xs, or length=", length, 0)
    found = container(xs) if isinstance(xs, tuple | dict) else None
    if found is None:
        if not hasattr(xs, "__iter__"):
            raise TypeError(f"scan takes xs as a list or array, or several; got {described(xs)}.")
        return list(xs)
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


@dataclass
class _Repetition:
    """A loop as the user asks for it.

    Attributes:
        user: the name of the function that was called.
        condition: a function from the state to whether there is another turn; None if there are rows.
        body: a function from the state and a row to the next state and the turn's y.
        state: the first state.
        rows: what each turn takes; None if there is a condition.
        limit: the largest number of turns, if there is a condition; None if the loop settles: see `repeat`.
    """

    user: str
    condition: Callable[[Tree], Any] | None
    body: Callable[[Tree, Tree], tuple[Tree, Tree]]
    state: Tree
    rows: list[Tree] | None = None
    limit: int | None = 0

    def run(self) -> tuple[Tree, list[Tree]]:
        """Return the last state, and the y of each turn."""
        roller = current_roller.get()
        rolled = None if roller is None or self.unrolled(roller) else self.roll(roller)
        return rolled or self.repeat()

    def unrolled(self, roller: Roller) -> bool:
        """Return whether to record it turn by turn without a look at a turn."""
        if self.rows is not None:
            return len(self.rows) < 2
        inside = any(isinstance(each, _Turn) for each in listeners.all)  # a loop inside a turn cannot branch
        return self.limit is not None and roller.unrolls and not inside

    def repeat(self) -> tuple[Tree, list[Tree]]:
        """Make one turn after the other.

        Each call gets containers of its own, as when compiled: a function may change them in place.
        """
        (leaves, spec), ys = self.numbers(self.state), []
        put = builder(spec)
        for turn, x in enumerate(itertools.repeat(None) if self.rows is None else self.rows):
            if self.condition is not None:
                if not self.answer(put(leaves, 0, None)[0]):
                    break
                if turn == self.limit:
                    raise endless(turn)
            after, y = self.body(put(leaves, 0, None)[0], _copied(x))
            leaves, _ = self.numbers(after, spec)
            ys.append(_copied(y))
        return put(leaves, 0, None)[0], ys

    def roll(self, roller: Roller) -> tuple[Tree, list[Tree]] | None:
        """Make it one operation; return None if it should be recorded turn by turn."""
        leaves, spec = flatten(self.state)
        first = [as_value(x, f"{self.user}, as its state,") for x in leaves]
        taken = [flatten(() if row is None else row) for row in self.rows or ()]
        turns = None if self.rows is None else len(taken)
        if any(other != taken[0][1] for _, other in taken):
            raise ValueError(f"{self.user} takes xs of one structure; these differ from turn to turn.")
        items = [[as_value(x, "a loop") for x in row] for row, _ in taken]
        start = clock.tick()

        def record() -> tuple[Loop, list[bool], Spec | None]:
            now = _stand_ins(first)
            x = _stand_ins(items[0] if items else ())
            row = build(taken[0][1], x) if x else None
            with listen(recorder := _Turn(self.user, {*now, *x}, start)):
                go, after, y = self.turn(spec, now, row)
            left_by([*now, *x], self.user)
            go = None if go is None else as_value(go)
            state = [as_value(x) for x in self.numbers(after, spec)[0]]
            numbers, given_spec = flatten(() if y is None else y)
            given = [as_value(x, "a loop") for x in numbers]
            loop = Loop(now, x, go, state, given, turns, self.limit, roller, start)
            return loop, recorder.answers, None if y is None else given_spec

        loop, answers, given_spec = record()
        for _ in range(roller.times - 1):
            outer, roller.again = roller.again, True
            try:
                other, *rest = record()
            except Exception as error:  # the first recording raised none
                raise _keeps_state(self.user, roller) from error
            finally:
                roller.again = outer
            pairing = Pairing((), (start, start))
            if rest != [answers, given_spec] or not loop.like(other, pairing):
                raise _keeps_state(self.user, roller)
        operands = (*first, *loop.outside, *itertools.chain(*items))
        if _pays_turn_by_turn(loop, operands):
            return None
        last, ys = loop.made(operands)
        return build(spec, last), [None if given_spec is None else build(given_spec, y) for y in ys]

    def turn(self, spec: Spec, leaves: Sequence[Value], row: Tree) -> tuple[Any, Tree, Tree]:
        """Make one turn, even where the condition does not hold: its answer, the next state and y."""
        go = None if self.condition is None else self.answer(build(spec, leaves))
        try:
            return go, *self.body(build(spec, leaves), row)
        except Exception as error:
            if isinstance(go, Value) and not go._data:
                error.add_note("Compiled, a turn is recorded even if the loop makes none.")
            raise

    def answer(self, state: Tree) -> Number:
        """Return whether there is another turn, as the condition says it."""
        assert self.condition is not None
        go = self.condition(state)
        known = isinstance(go, bool | float | Value)
        return go if known else plain(go, f"{self.user}, from its condition,")

    def numbers(self, state: Tree, spec: Spec = None) -> tuple[list[Any], Spec]:
        """Return the numbers of a state and its structure, which must be `spec` if that is given."""
        leaves, found = flatten(state)
        for x in leaves:
            if type(x) is not float and not isinstance(x, Value):
                plain(x, f"{self.user}, as its state,")
        if spec is not None and found != spec:
            raise TypeError(
                f"{self.user} takes a body that returns a state of the structure it takes; this one returned "
                f"{described(state)}."
            )
        return leaves, found


def _copied(tree: Tree) -> Tree:
    if tree is None or type(tree) in NUMBERS:  # as in most turns
        return tree
    leaves, spec = flatten(tree)
    return build(spec, leaves)


# One turn, recorded on stand-ins.


def _keeps_state(user: str, roller: Roller) -> ValueError:
    return ValueError(
        f"{user} at {roller.line()} was given a function that does something else in each turn: Python keeps "
        "what changes (a counter, a cache, an iterator, random numbers, a Value of the turn before, an "
        "operation that custom makes anew). Compiled, one recorded turn stands for all: put what changes "
        "into the state, give scan a number for each turn, or make before the loop what all turns share."
    )


def _stand_ins(values: Iterable[Value]) -> list[Value]:
    return [stand_in(x._data) for x in values]


class _Turn:
    """An observer of one turn. It refuses branches on Values of the turn, and refuses to read them."""

    def __init__(self, user: str, stand_ins: Collection[Value], start: int) -> None:
        self.user, self.stand_ins, self.start = user, stand_ins, start
        self.answers: list[bool] = []  # of branches on Values from outside the loop
        self.thread = get_ident()

    def _depends(self, node: Value) -> bool:
        return node in dependents(topological_order(node, since=self.start), self.stand_ins)

    def decided(self, node: Value, answer: bool) -> None:
        """Refuse a branch on what depends on the turn."""
        if get_ident() == self.thread:
            self.answers.append(answer)
            if self._depends(node):
                raise TypeError(
                    f"{self.user} was given a function that branches (`if`, `while`, `and`, `max` ...) on a "
                    "Value of the loop. Compiled, one recorded turn stands for all: choose with "
                    "nodegrad.where, maximum, minimum or clip, and write an inner loop with "
                    "nodegrad.while_loop."
                )

    def read(self, node: Value, how: str) -> None:
        """Refuse to read a number of the loop: in other turns it is another one.

        While an error is raised, do nothing: the user should see that error.
        """
        if get_ident() == self.thread and sys.exc_info()[0] is None and self._depends(node):
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
class Loop(Whole):
    """A loop as it is recorded: one turn on stand-ins. Its numbers are the last state and the y of each turn.

    Attributes:
        state: stand-ins for the state.
        items: stand-ins for what a turn takes.
        condition: the node that says whether there is another turn; None for a given number of turns.
        after: the next state.
        given: the numbers of the turn's y.
        turns: the number of turns, or None.
        limit: the largest number of turns, if there is a condition; None if the loop settles.
        roller: how the loop becomes one operation.
        start: a time before the turn was recorded.
        narrower: if this loop is another loop with tangents added, what `roller.lower` returned for that one.
        order: the nodes of a turn that depend on the stand-ins, operands first.
        outside: the Values outside the loop that these read.
        lowered: what `roller.lower` returned for this loop.
    """

    state: list[Value]
    items: list[Value]
    condition: Value | None
    after: list[Value]
    given: list[Value]
    turns: int | None
    limit: int | None
    roller: Roller
    start: int
    narrower: Any = None

    def __post_init__(self) -> None:
        super().__init__("loop", len(self.after) + len(self.given) * (self.turns or 0))
        self.results = [x for x in (self.condition, *self.after, *self.given) if x is not None]
        walk = topological_order(*self.results, since=self.start, constants=False)
        inside = dependents(walk, [*self.state, *self.items])
        self.order, self.outside = split(walk, self.results, inside)
        self.lowered: Any = None
        self._last: tuple[Any, Sequence[float]] = (None, ())

    def like(self, other: Whole, pairing: Pairing) -> bool:
        """Return whether a turn of another loop does the same."""
        if not isinstance(other, Loop) or self._form != other._form:
            return False
        pairing.same.update(zip([*self.state, *self.items], [*other.state, *other.items], strict=True))
        return pairing.alike(self.results, other.results)

    @property
    def _form(self) -> tuple[Any, ...]:
        return len(self.state), len(self.items), len(self.given), self.turns, self.limit

    def made(self, operands: tuple[Value, ...]) -> tuple[list[Value], list[list[Value]]]:
        """Record the loop: return its last state and the y of each turn.

        The operands are the first state, the Values outside, and the items of all turns.
        """
        self.lowered = self.roller.lower(self)
        nodes = self.nodes(operands)
        states = len(self.after)
        return nodes[:states], self.by_turn(nodes, states, len(self.given))

    def by_turn(self, numbers: Sequence[Any], start: int, size: int) -> list[list[Any]]:
        """Cut `size` numbers for each turn from a sequence."""
        return [[*numbers[start + size * k : start + size * (k + 1)]] for k in range(self.turns or 0)]

    def value(self, *numbers: float) -> Sequence[float]:
        """Run the loop. Each of its results is an operation that calls this, so the last results are kept."""
        if self._last[0] != numbers:
            self._last = numbers, self.lowered.value(*numbers)
        return self._last[1]

    def jacobian(self, operands: Sequence[Value], wanted: Sequence[int]) -> list[list[Partial]]:
        """Return the partials of each result. They are results of the loop with tangents beside its state.

        Raises:
            TooWide: if a `while_loop` should be recorded turn by turn instead.
        """
        is_while = self.turns is None and self.limit is not None
        if is_while and not self.roller.unrolls:
            read = sum([len(node.operands) for node in self.order])
            if read * len(wanted) > _WIDEST:
                raise TooWide
        wide = _Wide(self, operands, wanted)
        for index in wanted:
            wide.add(index)
        last, ys = wide.made()
        states, results = len(self.state), len(self.state) + len(self.given)
        found = [wide.partials(last, place, self.turns) for place in range(states)]
        for turn, y in enumerate(ys):
            found += [wide.partials(y, place, turn) for place in range(states, results)]
        return found


# The partials of a loop.


class _Wide:
    """A loop with tangents beside its state, while it is put together.

    The masks of tangents (see `products.masked`) are numbers of the state or results, too. Most tangents are
    there from some turn on: the masks of these are shared.

    Attributes:
        loop: the loop.
        operands: its operands.
        start: a time before any tangent was recorded.
        slopes: the partials of each node of a turn, recorded once for all operands.
        ones: the same with 1.0 for each partial, to find masks without recording products.
        finite: whether all partials are finite: then no product in a turn needs a mask.
        state, items, after, given: see `Loop`.
        late: masks that are 0 before a turn, and 1 from this turn on.
        at_late: their places in the state.
        marked: for each added item, the turn in which it is 1. It is 0 in other turns.
        places: for each operand, by the place of a result: where its tangent is (in the state, or given), and
            its mask: None, where that is, or a mask in `late`.
    """

    def __init__(self, loop: Loop, operands: Sequence[Value], wanted: Sequence[int]) -> None:
        self.loop, self.operands, self.start = loop, operands, clock.tick()
        reads = {x for place, x in enumerate(loop.outside, len(loop.state)) if place in wanted}
        active = dependents(loop.order, [*loop.state, *loop.items, *reads])
        # Products of the chain rule select, too. Their masks would be half of the derivative of a derivative,
        # for a 0 that meets an infinite derivative of the third order: there nan stands for eager code's 0.
        self.slopes = {
            node: [(x, slope, None if node.op in CHAIN_RULE else mask) for x, slope, mask in found]
            for node, found in ((node, [*partials(node, active, False)]) for node in loop.order)
        }
        self.ones = {node: [(x, 1.0, mask) for x, _, mask in found] for node, found in self.slopes.items()}
        self.finite = all(node.op in FINITE for node in loop.order)
        self.state, self.items = [*loop.state], [*loop.items]
        self.after, self.given = [*loop.after], [*loop.given]
        self.late: dict[Any, int] = {}
        self.at_late: dict[Any, int] = {}
        self.marked: list[int] = []
        self.places: list[dict[int, tuple[int, Any]]] = []

    def add(self, index: int) -> None:
        """Add the tangents along an operand."""
        loop, states = self.loop, len(self.loop.state)
        seeds, marks = dict[Value, Any](), dict[Value, Any]()
        inner = index - states - len(loop.outside)
        if inner >= 0:
            turn, item = divmod(inner, len(loop.items))
            seeds[loop.items[item]] = marks[loop.items[item]] = mark = stand_in(float(turn == 0))
            self.items.append(mark)
            self.marked.append(turn)
        elif index >= states:
            seeds[loop.outside[index - states]] = 1.0
        masks, kept = self._masks(index, seeds, marks)
        seeds |= {loop.state[place]: stand_in(float(place == index)) for place in kept}
        if self.finite:
            tangents = forward_sweep(loop.order, seeds, None, False, known=self.slopes)
        else:
            tangents = forward_sweep(loop.order, seeds, None, False, masks, self.late, self.slopes)
        at: dict[int, tuple[int, Any]] = {}
        for place, mask in kept.items():
            node, where = loop.after[place], mask  # type: Value, Any
            if mask is not None and mask not in self.late:
                where = self._carry(mask, _truth(masks.get(node, 1.0)) if node in tangents else 0.0)
            at[place] = self._carry(seeds[loop.state[place]], tangents.get(node, 0.0)), where
        for place, node in enumerate(loop.given, states):
            if node in tangents:
                mask = masks.get(node)
                tangent = self._give(tangents[node])
                at[place] = tangent, mask if mask is None or mask in self.late else self._give(_truth(mask))
        self.places.append(at)

    def made(self) -> tuple[list[Value], list[list[Value]]]:
        """Record the loop: return what `Loop.made` does."""
        loop, states = self.loop, len(self.loop.state)
        late = zip(self.late, [1.0, *self.late], strict=False)
        self.at_late = {mask: self._carry(mask, following) for mask, following in late}
        parts: Any = {name: getattr(self, name) for name in ("state", "items", "after", "given")}
        wider = replace(loop, **parts, narrower=loop.lowered)
        # If some operands are not those the turn was recorded with, make what depends on them once more.
        again = {x: y for x, y in zip(loop.outside, self.operands[states:], strict=False) if x is not y}
        walk = topological_order(*wider.outside, since=self.start, constants=False)
        depends = dependents(walk, again)
        remake([node for node in walk if node in depends and node not in again], again)
        first = [*self.operands[:states], *[literal(x._data) for x in self.state[states:]]]
        taken: list[Value] = []
        for turn, row in enumerate(loop.by_turn(self.operands, states + len(loop.outside), len(loop.items))):
            taken += [*row, *[literal(float(turn == each)) for each in self.marked]]
        return wider.made((*first, *[again.get(x, x) for x in wider.outside], *taken))

    def partials(self, numbers: Sequence[Value], place: int, turn: int | None) -> list[Partial]:
        """Return the partials of a result of a turn, which are among the numbers; None for the last turn."""
        found: list[Partial] = []
        for at in self.places:
            tangent, mask = at.get(place, (None, None))
            if mask in self.late and turn is not None:
                tangent, mask = (tangent if turn >= self.late[mask] else None), None
            mask = self.at_late.get(mask, mask)
            selected = None if mask is None else numbers[mask]
            found.append(None if tangent is None else (numbers[tangent], selected))
        return found

    def _carry(self, number: Value, following: Number) -> int:
        """Add a number to the state; return its place."""
        self.state.append(number)
        self.after.append(as_value(following))
        return len(self.state) - 1

    def _give(self, number: Number) -> int:
        """Add a number to those of a turn's y; return its place."""
        self.given.append(as_value(number))
        return len(self.given) - 1

    def _masks(
        self, index: int, seeds: Collection[Value], marks: Mapping[Value, Any]
    ) -> tuple[dict[Value, Number], dict[int, Value | None]]:
        """Return the masks of what a turn takes (of all nodes if partials are finite) and of the state.

        The places are those of the numbers that have tangents in some turn. Such a number has no mask (None)
        if it has a tangent in every turn. If it has one from some turn on, its mask is in `late`, with that
        turn; `late` grows as needed. Otherwise its mask is its own.
        """
        loop, late, own = self.loop, self.late, len(self.loop.state) + 1
        # The turn from which each number has a tangent; `own` or more if only its own mask can say.
        since = {index: 0} if index < len(loop.state) else dict[int, int]()
        while True:
            while len(late) < max([turn for turn in since.values() if turn < own], default=0):
                late[stand_in(0.0)] = len(late) + 1
            turns: dict[Any, int] = {None: 0, **late}
            shared = [*turns]
            kept = {
                place: shared[turn] if turn < own else stand_in(float(place == index))
                for place, turn in sorted(since.items())
            }
            given = {**marks, **{loop.state[place]: mask for place, mask in kept.items() if mask is not None}}
            ones = dict.fromkeys([*seeds, *[loop.state[place] for place in kept]], 1.0)
            tangents = forward_sweep(loop.order, ones, None, False, masks := {**given}, late, self.ones)
            before = {**since}
            for place, node in enumerate(loop.after):
                if place in since or node in tangents:
                    end = turns.get(masks.get(node), own) if node in tangents else own
                    since[place] = max(since.get(place, 0), (end and own) if place == index else end + 1)
            if since == before:
                return masks if self.finite else given, kept


def _truth(mask: Number) -> Number:
    """Return a mask as 1 or 0, so that nothing differentiates it."""
    return mask if type(mask) is float or mask.op in COMPARISONS else ne(mask, 0.0)


def split(
    walk: Sequence[Value], results: Sequence[Value], inside: Collection[Value]
) -> tuple[list[Value], list[Value]]:
    """Return the operations of a walk that are inside, and the outside Values they or the results read."""
    order = [node for node in walk if node in inside and node.operands]
    read = itertools.chain(*[node.operands for node in order], results)
    return order, list(dict.fromkeys(x for x in read if x not in inside and x.op is not constant))
