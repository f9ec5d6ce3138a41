"""The paths along which a node influences an output, the most influential first."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from nodegrad.graph import check_unchanged, dependents, topological_order
from nodegrad.inputs import whole
from nodegrad.products import chain
from nodegrad.show.snapshot import label_of, one_value
from nodegrad.show.text import number, plain_name
from nodegrad.sweep import partials, reverse_sweep
from nodegrad.value import Value

__all__ = ["Path", "Paths", "paths"]

IN_FULL = 40  # names or factors; a longer path is written without its middle


@dataclass(frozen=True)
class Path:
    """One way from a node to the output: its nodes, and the product of the local derivatives along it.

    `factors` has one number per edge, from the output backwards: the order in which they are multiplied.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0)
    >>> [(path.factors, path.product) for path in ng.paths(3.0 * x, x)]
    [((3.0,), 3.0)]
    """

    nodes: tuple[Value, ...]
    factors: tuple[float, ...]
    product: float

    def __iter__(self) -> Iterator[Value]:
        return iter(self.nodes)

    def __str__(self) -> str:
        runs = [(name, len([*run])) for name, run in groupby(map(_name, self.nodes))]
        names = [f"{name} ({times} times)" if times > 1 else name for name, times in runs]
        factors = [f"({number(x)})" if x < 0.0 else number(x) for x in self.factors if x != 1.0]
        return f"{_joined(' → ', names)}: {_joined(' · ', factors) or '1'} = {number(self.product)}"

    def __repr__(self) -> str:
        return f"<Path {self}>"


def _joined(sign: str, parts: list[str]) -> str:
    """Put a sign between parts; of very many only the first and the last are written."""
    if len(parts) > IN_FULL:
        half = IN_FULL // 2
        parts = [*parts[:half], f"… {len(parts) - IN_FULL:,} more …", *parts[-half:]]
    return sign.join(parts)


def _name(node: Value) -> str:
    """Return the label of a node, or else its operation or its number."""
    if label := label_of(node):
        return plain_name(label)
    return node.op.symbol or node.op.name if node.op else number(node._data)


@dataclass(frozen=True)
class Paths:
    """The most influential paths, how many there are in all, and the gradient: the sum over all of them.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0)
    >>> found = ng.paths(x * x, x)
    >>> found.count, found.gradient
    (2, 4.0)
    """

    largest: tuple[Path, ...]
    count: int
    gradient: float

    def __iter__(self) -> Iterator[Path]:
        return iter(self.largest)

    def __len__(self) -> int:
        return len(self.largest)

    def __getitem__(self, at: int) -> Path:
        return self.largest[at]

    def __repr__(self) -> str:
        return f"<Paths: {len(self):,} of {self.count:,}, which sum to {number(self.gradient)}>"

    def __str__(self) -> str:
        lines = [str(path) for path in self.largest]
        rest = self.count - len(self.largest)
        more = [f"and {rest:,} more paths"] if rest else []
        return "\n".join([*lines, *more, f"sum over all {self.count:,}: {number(self.gradient)}"])


@dataclass(frozen=True, slots=True)
class _Partial:
    """A path from the output down to a node, as a linked list."""

    node: Value
    product: float
    factor: float
    above: "_Partial | None"

    @property
    def rank(self) -> float:
        """What the paths are sorted by: the size of the product, largest first; nan counts as infinite."""
        return -math.inf if math.isnan(self.product) else -abs(self.product)


def paths(output: Value, node: Value, k: int = 5) -> Paths:
    """Find the k paths from a node to the output whose products of local derivatives are the largest in size.

    The sum over all paths is the gradient; these are the paths that make it up. The k best are found without
    listing the others, of which a deep graph has more than anyone can list.

    >>> x = Value(3.0, label="x")
    >>> y = x * x + x
    >>> print(paths(y, x))
    x → * → +: 3 = 3
    x → * → +: 3 = 3
    x → +: 1 = 1
    sum over all 3: 7

    Args:
        output: the Value the paths lead to.
        node: the Value they start from.
        k: how many to return at most.

    Raises:
        TypeError: if output or node is not a Value.
        ValueError: if k is less than 1.
        RuntimeError: if a number has changed since something was computed from it.
    """
    output, node = one_value("paths", output), one_value("paths", node)
    whole("paths", "k", k, 1)
    order = topological_order(output)
    check_unchanged(order)
    between = dependents(order, [node])
    best: dict[Value, list[_Partial]] = {output: [_Partial(output, 1.0, 1.0, None)]}
    ways = {output: 1}
    incoming: dict[Value, list[Iterator[_Partial]]] = {}
    for consumer in reversed(order):
        if consumer in incoming:
            best[consumer] = list(islice(heapq.merge(*incoming.pop(consumer), key=lambda path: path.rank), k))
        if consumer is node or consumer not in best:
            continue
        for operand, factor, selected in partials(consumer, between):
            more = [_Partial(operand, chain(p.product, factor, selected), factor, p) for p in best[consumer]]
            incoming.setdefault(operand, []).append(iter(more))
            ways[operand] = ways.get(operand, 0) + ways[consumer]
    found = tuple(_path(partial) for partial in best.get(node, ())) if node in between else ()
    gradient = reverse_sweep(order, {output: 1.0}, between).get(node, 0.0)
    return Paths(found, ways.get(node, 0), gradient)


def _path(partial: _Partial) -> Path:
    """Follow a linked list up to the output."""
    nodes, factors, at = [], [], partial
    while at.above is not None:
        nodes.append(at.node)
        factors.append(at.factor)
        at = at.above
    return Path((*nodes, at.node), tuple(reversed(factors)), partial.product)
