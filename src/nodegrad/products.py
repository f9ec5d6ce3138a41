"""Products of the chain rule, and which zeros in them are strong.

A product has a downstream factor, nearer to the output, and an upstream one. What does not influence the
output contributes nothing, even where the other factor is inf or nan. So a product is 0 if its downstream
factor is 0, or if its upstream factor is a partial of 0 of an operation that selects (`where`, `relu` ...).
Any other zero follows IEEE 754: 0 · inf is nan. Products of floats are computed; those of Values are
recorded, by the rows at the end of the table.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, repeat
from operator import is_
from typing import Any

from nodegrad import ops
from nodegrad.ops import COMPARISONS, Number

__all__ = ()


# Operations that always select one of their operands, with the number of operands that say which. `take` is
# none: outside of its table it selects nothing.
_SELECTORS = {ops.where: 1, ops.maximum: 0, ops.minimum: 0}
_MANY = 8  # terms: this many become one operation; of fewer, pictures show each product and sum


def chain(downstream: Number, upstream: Number, selected: Number | None = None) -> Number:
    """Multiply two factors of the chain rule: downstream · upstream, 0 wherever downstream is 0.

    A factor that is a plain float never changes, so its zeros are handled here and not recorded.

    Args:
        downstream: the factor nearer to the output.
        upstream: the other factor.
        selected: what selects, if upstream is a partial (see `sweep.partials`): where it is 0, the product is
            0, too.
    """
    if selected is not None and selected is not upstream:
        downstream = ops.strong_factor(selected, downstream)
    elif selected is not None and not _is_finite(downstream):
        if type(upstream) is not float:
            if upstream.op in COMPARISONS:
                return ops.where(upstream, downstream, 0.0)
            return ops.zero_mul(downstream, upstream)
        if upstream == 0.0:
            return 0.0
    if type(downstream) is float:
        if downstream == 0.0:
            return 0.0
        return upstream if downstream == 1.0 else downstream * upstream
    if type(upstream) is float and upstream and upstream - upstream == 0.0:  # `_is_finite`, in half the time
        return downstream if upstream == 1.0 else -downstream if upstream == -1.0 else downstream * upstream
    return ops.strong_mul(downstream, upstream)


def total(terms: Any) -> Number:
    """Add up the terms of a node's adjoint: a list of (adjoint of a result, partial, what selects), or one.

    Many products of Values become one operation, which costs less to record and to compile.
    """
    if type(terms) is tuple:
        return chain(*terms)
    if len(terms) >= _MANY:
        xs, ys, selects = zip(*terms, strict=True)
        if {*selects} == {None} and all(hasattr(kind, "apply_op") for kind in {*map(type, xs + ys)}):
            return ops.strong_dot(*xs, *ys)
    found = chain(*terms[0])
    for term in terms[1:]:
        found = found + chain(*term)
    return found


def totals(arrived: Collection[Any]) -> list[Number]:
    """Return the totals of many nodes; products of two Values that stand alone are made at once."""
    values = {kind for kind in {type(terms[0]) for terms in arrived} if hasattr(kind, "apply_pairs")}
    alone = [type(x[0]) in values and type(x[1]) in values and x[2] is None for x in arrived]  # not of lists
    pairs = [(x, y) for x, y, _ in compress(arrived, alone)]
    made = iter(pairs[0][0].apply_pairs(ops.strong_mul, pairs) if pairs else ())
    return [next(made) if one else total(terms) for terms, one in zip(arrived, alone, strict=True)]


class Shared:
    """The terms of the adjoints of many nodes: factors of wide products, which products that follow share.

    The neurons of a layer multiply the same inputs. Their adjoints, times the k-th weight of each, are the
    terms of the k-th input.

    Attributes:
        nodes: the factors, all Values, each once.
        adjoints: the adjoint of each product.
        rows: the other factors of each product.
    """

    def __init__(self, nodes: tuple[Any, ...]) -> None:
        self.nodes = nodes
        self.adjoints: list[Any] = []
        self.rows: list[tuple[Any, ...]] = []
        self._columns: dict[Any, tuple[Any, Any]] = {}
        self._product: Any = None  # the function that gives the total of a column

    @staticmethod
    def take(arrived: dict[Any, Any], nodes: tuple[Any, ...], adjoint: Any, row: tuple[Any, ...]) -> bool:
        """Take the terms of a product in the adjoints of its factors; False if they cannot be shared."""
        shared = arrived.get(nodes[0])
        if shared is None:
            shared = Shared(nodes)
            mine = dict.fromkeys(nodes, shared)
            if len(mine) < len(nodes) or not arrived.keys().isdisjoint(mine):
                return False
            arrived.update(mine)
        elif type(shared) is not Shared or not shared.is_of(nodes):
            return False
        shared.adjoints.append(adjoint)
        shared.rows.append(row)
        return True

    def is_of(self, nodes: tuple[Any, ...]) -> bool:
        """Whether these are the nodes: the same objects, not equal numbers."""
        return len(nodes) == len(self.nodes) and all(map(is_, nodes, self.nodes))

    @property
    def columns(self) -> dict[Any, tuple[Any, Any]]:
        """The partials in the terms of each node whose adjoint is not known yet, and their numbers."""
        if not self._columns:
            self._product = self.adjoints[0].product_with(self.adjoints, ops.strong_dot)
            numbers = [[x._data for x in row] for row in self.rows]  # as they lie in memory: half the time
            columns = zip(zip(*self.rows, strict=True), zip(*numbers, strict=True), strict=True)
            self._columns = dict(zip(self.nodes, columns, strict=True))
        return self._columns

    def total(self, node: Any) -> Number:
        """Add up the terms of one node; its adjoint is known then."""
        column, numbers = self.columns.pop(node)
        if len(column) >= _MANY:
            return self._product(column, numbers)
        return total([*zip(self.adjoints, column, repeat(None))])

    def totals(self, pairs: bool) -> Iterable[tuple[Any, Any]]:
        """Return the nodes whose adjoints are not known yet, and these.

        If there is one product, they are as many products of two Values, which are made at once, or given by
        their factors: most operations of a wide layer are these, the gradient of its weights.
        """
        if self._columns or len(self.rows) > 1:
            return [(node, self.total(node)) for node in [*self.columns]]
        factors = zip(repeat(self.adjoints[0]), self.rows[0])
        made = factors if pairs else self.adjoints[0].apply_pairs(ops.strong_mul, factors)
        return zip(self.nodes, made, strict=True)

    def release(self, arrived: dict[Any, Any]) -> None:
        """Give each node a list of its own terms, since others come to one of them."""
        for node, (column, _) in self.columns.items():
            arrived[node] = [*zip(self.adjoints, column, repeat(None))]


def masked(partial: Number, mask: Number | None, selected: Number | None) -> tuple[Number, Number | None]:
    """Return the partial to multiply by its operand's tangent, and the mask of that product.

    A tangent that an operation that selects passed on has a mask: a Value that is 0 if the operation
    selected another operand, so that there is no tangent. Masks are recorded, because later runs may select
    another one.
    """
    passed = mask
    if selected is not None and type(selected) is not float:
        passed = selected if mask is None else ops.where(mask, selected, 0.0)
    if mask is not None and not _is_finite(partial):
        partial = ops.strong_factor(mask, partial)
    return partial, passed


def mask_of(
    node: Any, before: Sequence[Any], passed: Sequence[Any], nested: Mapping[Any, int] | None = None
) -> Any:
    """Return the mask of a node's tangent; None if there always is one.

    Args:
        node: the node.
        before: the masks of those operands that have tangents.
        passed: what the operation leaves of these masks.
        nested: see `union`.
    """
    if node.op in _SELECTORS and len(before) == len(node.operands) - _SELECTORS[node.op]:
        passed = before if len({*before}) == 1 else passed  # whichever it selects has a tangent
    return None if not passed or None in passed else union(passed, nested)


def union(masks: Sequence[Any], nested: Mapping[Any, int] | None = None) -> Any:
    """Return a mask that is not 0 if at least one of these is not 0.

    Of masks in `nested`, one with a smaller number is not 0 wherever another is not.
    """
    first, *others = dict.fromkeys(masks)
    if nested and nested.keys() >= {first, *others}:
        return min((first, *others), key=nested.__getitem__)
    if not others:
        return first
    return ops.sum(*[mask if mask.op in COMPARISONS else ops.ne(mask, 0.0) for mask in (first, *others)])


def _is_finite(factor: Number) -> bool:
    """Return whether a factor is a finite plain float: its product with 0 is never nan."""
    return type(factor) is float and factor - factor == 0.0
