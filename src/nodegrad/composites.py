"""Composite operations: a loop or a search computes several numbers at once, and each is an operation."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
