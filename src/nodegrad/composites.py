"""Composite operations: a loop or a search computes several numbers at once, and each is an operation.

A composite operation is made anew in each run. So what two runs recorded is compared here, too.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

from nodegrad.ops import Number, Op, constant
from nodegrad.value import Value, number_of

__all__ = ()

Partial = tuple[Number, Number | None] | None  # a partial and what selects (see `sweep.partials`); None for 0


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Composite(Op):
    """The operation that gives the number at `index` of a whole. The whole computes its partials."""

    whole: "Whole"  # type: ignore[misc]  # None in other operations
    index: int


class Whole:
    """What computes several numbers together, and their partials. A subclass says how."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count
        self._jacobians: dict[Any, tuple[Sequence[Value], list[list[Partial]]]] = {}

    def value(self, *operands: float) -> Sequence[float]:
        """Return all numbers."""
        raise NotImplementedError

    def jacobian(self, operands: Sequence[Value], wanted: Sequence[int]) -> list[list[Partial]]:
        """Return for each number its partials by the operands at the wanted places."""
        raise NotImplementedError

    def like(self, other: "Whole", pairing: "Pairing") -> bool:
        """Return whether another whole, recorded in another run, computes the same of the same operands."""
        return type(self) is type(other) and self.name == other.name

    def nodes(self, operands: tuple[Value, ...]) -> list[Value]:
        """Record each number, as made from these operands."""
        return [Value.apply_op(self._operation(index), operands) for index in range(self.count)]

    def _operation(self, index: int) -> Composite:
        def value(*operands: float) -> float:
            return self.value(*operands)[index]

        name = self.name
        return Composite(name, name, value, _by_whole, (), selects=True, whole=self, index=index)

    def partials(
        self, index: int, node: Value, active: Collection[Value] | None, floats: bool
    ) -> Iterator[tuple[Value, Number, Number | None]]:
        """Yield what `sweep.partials` yields, for a node with the operation of the number at `index`."""
        operands = node.operands
        wanted = tuple(
            place
            for place, x in enumerate(operands)
            if (x.op is not constant if active is None else x in active)
        )
        key = wanted, tuple(map(id, operands))
        if key not in self._jacobians:  # the operands are kept, too: otherwise others could get their ids
            self._jacobians[key] = operands, self.jacobian(operands, wanted)
        for place, found in zip(wanted, self._jacobians[key][1][index], strict=True):
            if found is not None:
                partial, selected = map(number_of, found) if floats else found
                if not floats or selected != 0.0:
                    yield operands[place], partial, selected


def _by_whole(operands: Any, out: Any) -> Any:
    raise AssertionError("the partials of a composite operation come from its whole")


def remake(order: Iterable[Value], again: dict[Value, Value]) -> None:
    """Make nodes once more with other operands: `again` maps old nodes to new ones, and gains the new."""
    for node in order:
        assert node.op is not None, "an operation made it"
        again[node] = Value.apply_op(node.op, tuple([again.get(x, x) for x in node.operands]))


class Pairing:
    """Compares two recordings of one function. They differ if Python keeps a state that changes.

    Attributes:
        same: nodes of one recording, with the nodes of the other that stand for them: at first the inputs.
        starts: when each recording began. What is older must be the same object.
        like: whether two operations that are not one object compute the same.
    """

    def __init__(
        self,
        inputs: Iterable[tuple[Value, Value]],
        starts: tuple[int, int],
        like: Callable[[Op, Op], bool] = is_,
    ) -> None:
        self.same: dict[Any, Any] = dict(inputs)
        self.starts, self.like = starts, like

    def alike(self, results: Sequence[Value], others: Sequence[Value]) -> bool:
        """Return whether both have the same operations, operands and, to the bit, constants."""
        if len(results) != len(others):
            return False
        same, (start, other_start) = self.same, self.starts
        pairs: list[tuple[Any, Any]] = [*zip(results, others, strict=True)]
        push, pop = pairs.append, pairs.pop
        while pairs:
            one, other = pop()
            known = same.get(one)
            if known is other:
                continue
            if known is not None:
                return False
            op = one.op
            if op is constant:
                if not (other.op is constant and _equal(one._data, other._data)):
                    return False
                continue
            if one is other and one._time < start:
                continue
            # What the runs did not make themselves must be one object, as above.
            made = one._time >= start and (other._time >= other_start or one is other)
            if not made or not (op is other.op or self._alike(op, other.op)):
                return False
            same[one] = other
            first, second = one._first, one._second
            if type(first) is tuple or (op is not None and op.arity is None):
                if len(one.operands) != len(other.operands):
                    return False
                two = zip(one.operands, other.operands, strict=True)  # mostly weights, or known
                pairs += [(x, y) for x, y in two if (x is not y or x._time >= start) and same.get(x) is not y]
            elif first is None:
                if not _equal(one._data, other._data):
                    return False
            else:
                push((first, other._first))
                if second is not None:
                    push((second, other._second))
        return True

    def _alike(self, one: Op | None, other: Op | None) -> bool:
        """Return whether two operations that are not one object are alike."""
        if not (isinstance(one, Composite) and isinstance(other, Composite)):
            return one is not None and other is not None and self.like(one, other)
        known = self.same.get(one.whole)
        if known is None and one.whole.like(other.whole, self):
            known = self.same[one.whole] = other.whole
        return known is other.whole and one.index == other.index


def _equal(x: float, y: float) -> bool:
    """Return whether two numbers are equal to the bit; any nan is equal to any other."""
    return x == y != 0.0 or repr(x) == repr(y)
