"""The reverse and forward sweeps: the chain rule, applied in each direction.

Both walk a topological order and multiply what they carry by partial derivatives. Over floats they give
numbers; over Values each product is recorded, so that the result can be differentiated again. Products are
written (downstream, upstream), downstream being nearer to the output.

What does not influence the output contributes nothing, even where another factor is inf or nan: a zero
downstream is a strong zero, and so is a zero partial of an operation that selects (`where`, `relu` ...).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nodegrad import ops
from nodegrad.forks import sweeping
from nodegrad.ops import COMPARISONS, add, constant, dot, mul, strong_factor, strong_mul, where, zero_mul

__all__ = ()

Number = Any  # a float or a Value
Watcher = Callable[[str, Sequence[Any], Mapping[Any, Number], Mapping[Any, Number]], None]

watchers: list[Watcher] = []  # called after every sweep with its direction, order, seeds and result
_MANY = 8  # terms that are recorded as one operation; of fewer, pictures show each product and sum


def reverse_sweep(
    order: Sequence[Any],
    seeds: Mapping[Any, Number],
    active: Collection[Any] | None = None,
    floats: bool = True,
) -> dict[Any, Number]:
    """Carry adjoints (∂output/∂node) from the seeded outputs back to every node they depend on.

    Args:
        order: the nodes, operands first.
        seeds: the adjoints to start from, by node.
        active: the nodes whose adjoints are wanted; by default all but constants.
        floats: sweep over the numbers in the nodes; otherwise over the nodes, recording every step.

    Returns:
        The adjoints by node. A node that is absent has adjoint 0.
    """
    adjoints: dict[Any, Number] = {}
    arrived: dict[Any, list[Any]] = {node: [(seed, 1.0, False)] for node, seed in seeds.items()}
    for node in reversed(order):
        if node.op is None or node not in arrived:
            continue
        adjoint = adjoints[node] = _total(arrived.pop(node))
        if type(adjoint) is float and adjoint == 0.0:
            continue
        for operand, partial in partials(node, active, floats):
            arrived.setdefault(operand, []).append((adjoint, partial, node.op.selects))
    adjoints.update({leaf: _total(terms) for leaf, terms in arrived.items()})
    for watcher in tuple(watchers):
        watcher("reverse", order, seeds, adjoints)
    return adjoints


def _total(terms: Sequence[tuple[Number, Number, bool]]) -> Number:
    """Add up what has come to a node: an adjoint and a partial along each path, and whether that selects.

    Many products of Values become one operation, which costs less to record and to compile.
    """
    if len(terms) >= _MANY:
        whole = [not selects and hasattr(x, "apply_op") and hasattr(y, "apply_op") for x, y, selects in terms]
        if 2 * sum(whole) >= len(terms):
            zipped = zip(terms, whole, strict=True)
            pairs = [term[:2] if is_whole else (1.0, chain(*term)) for term, is_whole in zipped]
            return ops.strong_dot(*[x for x, _ in pairs], *[y for _, y in pairs])
    total = chain(*terms[0])
    for term in terms[1:]:
        total = total + chain(*term)
    return total


def backpropagate(
    seeds: Mapping[Any, float], active: Collection[Any] | None = None
) -> tuple[list[Any], list[Any], list[float]]:
    """Sweep in reverse over floats, twice as fast as above: nodes keep the adjoints, not a dictionary.

    Returns:
        The nodes that operations made, in topological order, each with its adjoint left in `grad`; the nodes
        without operands, whose `grad` is as it was; and the adjoints of these.
    """
    ends: list[Any] = []
    before: list[float] = []
    with sweeping:  # graphs may share leaves
        try:
            order = _zeroed(seeds, ends, before)
            for node, seed in seeds.items():
                node._grad += seed
            _reverse(order, active)
            adjoints = [leaf._grad for leaf in ends]
        finally:
            for leaf, grad in zip(ends, before, strict=False):
                leaf._grad = grad
    if watchers:
        found = dict(zip(ends, adjoints, strict=True)) | {node: node._grad for node in order}
        for watcher in tuple(watchers):
            watcher("reverse", [*ends, *order], seeds, found)
    return order, ends, adjoints


def _zeroed(seeds: Iterable[Any], ends: list[Any], before: list[float]) -> list[Any]:
    """List the nodes that operations made, as `topological_order` does, and set every gradient to 0.

    That 0.0 is an object of its own, which marks the nodes seen. Leaves go to `ends`, and their gradients to
    `before`. Constants are left out: nobody reads their gradients.
    """
    zero = float("0")  # an object that only this walk uses
    order: list[Any] = []
    stack = list(reversed(list(seeds)))
    push, pop, place = stack.append, stack.pop, order.append  # these save a third of the time
    while stack:
        node = pop()
        if node is None:  # the operands of the node below this mark are all in place
            place(pop())
            continue
        while node._grad is not zero:
            first = node._first
            if first is None:
                if node.op is not constant:
                    before.append(node._grad)
                    ends.append(node)
                    node._grad = zero
                break
            node._grad = zero
            push(node)
            push(None)
            second = node._second
            if second is not None:
                push(second)
            elif type(first) is tuple:
                stack += [x for x in first[::-1] if x._grad is not zero and x.op is not constant]
                break
            node = first
    return order


def _reverse(order: Sequence[Any], active: Collection[Any] | None) -> None:
    """Apply the chain rule to each node, outputs first.

    The last two lines would do for every operation. The others are for speed: a third of the time for one
    operand, half of it for two.
    """
    for node in reversed(order):
        adjoint = node._grad
        if not adjoint:
            continue
        op = node.op
        if op is add:
            x, y = node._first, node._second
            x._grad += adjoint
            y._grad += adjoint
        elif op is mul:
            x, y = node._first, node._second
            x._grad += adjoint * y._data
            y._grad += adjoint * x._data
        elif op is dot:
            operands = node.operands
            half = len(operands) // 2
            left, right = operands[:half], operands[half:]
            for x, y in zip(left, right, strict=True):
                x._grad += adjoint * y._data
            for x, y in zip(left, right, strict=True):  # apart: sums are added in the order of the operands
                y._grad += adjoint * x._data
        elif op.arity == 1:
            (rule,) = op.float_partials
            if rule is not None:
                x = node._first
                partial = rule(x._data, node._data)
                x._grad += adjoint * partial if partial or not op.selects else 0.0
        elif op.arity == 2 and active is None:
            x, y = node._first, node._second
            by_x, by_y = op.float_partials
            if by_x is not None and x.op is not constant:
                partial = by_x(x._data, y._data, node._data)
                x._grad += adjoint * partial if partial or not op.selects else 0.0
            if by_y is not None and y.op is not constant:
                partial = by_y(x._data, y._data, node._data)
                y._grad += adjoint * partial if partial or not op.selects else 0.0
        else:
            for operand, partial in partials(node, active):
                operand._grad += adjoint * partial if partial or not op.selects else 0.0


def forward_sweep(
    order: Sequence[Any],
    seeds: Mapping[Any, Number],
    active: Collection[Any] | None = None,
    floats: bool = True,
    strong: bool = False,
) -> dict[Any, Number]:
    """Carry tangents (∂node/∂input) from the seeded inputs on to every node that depends on them.

    The arguments and the result are those of `reverse_sweep`, with tangents for adjoints.

    An operand that was not selected passes no tangent on. Over floats it is left out. Over Values, later runs
    of what is recorded may select another operand: so a mask is kept beside its tangent, a Value that is 0
    where there is no tangent. In a loop the tangents of the state come from other turns, without masks. So a
    `strong` sweep has none: a tangent of 0 counts as no tangent.
    """
    tangents = dict(seeds)
    masks: dict[Any, Number] = {}
    for node in order:
        if node in seeds or tangents.keys().isdisjoint(node.operands):
            continue
        selects, passed = node.op.selects, []
        for operand, partial in partials(node, active, floats):
            if operand not in tangents or (selects and type(partial) is float and partial == 0.0):
                continue
            passes = mask = masks.get(operand)
            if selects and type(partial) is not float:
                passes = partial if mask is None else where(mask, partial, 0.0)
            if mask is not None and not _is_finite(partial):
                partial = strong_factor(mask, partial)
            contribution = chain(partial, tangents[operand], strong)
            tangents[node] = tangents[node] + contribution if node in tangents else contribution
            passed.append(passes)
        if passed and None not in passed and not strong:
            masks[node] = _any(passed)
    for watcher in tuple(watchers):
        watcher("forward", order, seeds, tangents)
    return tangents


def partials(
    node: Any, active: Collection[Any] | None = None, floats: bool = True
) -> Iterator[tuple[Any, Number]]:
    """Yield each active operand of a node with the node's partial for it, unless that is 0 everywhere.

    A constant takes part as a plain number, so that what depends on no variable is computed, not recorded.
    """
    operands, op = node.operands, node.op
    if not operands:
        return
    primals = [operand._data if floats or operand.op is constant else operand for operand in operands]
    out = node._data if floats else node
    rules = op.float_partials if floats else op.partials
    together = op.arity is None  # one rule gives all partials
    if together:
        rules = rules(primals, out) if op.whole is None else op.whole.partials(op.index, node, active, floats)
    for operand, partial in zip(operands, rules, strict=True):
        if partial is not None and (operand.op is not constant if active is None else operand in active):
            yield operand, partial if together else partial(*primals, out)


def chain(downstream: Number, upstream: Number, selects: bool = False) -> Number:
    """Multiply two factors of the chain rule: downstream · upstream, 0 wherever downstream is 0.

    A factor that is a plain float is known for good, so no strong zero need be recorded for it.

    Args:
        downstream: the factor nearer to the output.
        upstream: the other factor.
        selects: upstream is a partial that selects: the product is 0 wherever it is 0, too.
    """
    if selects and not _is_finite(downstream):
        if type(upstream) is not float:
            if upstream.op in COMPARISONS:
                return where(upstream, downstream, 0.0)
            return zero_mul(downstream, upstream)
        if upstream == 0.0:
            return 0.0
    if type(downstream) is float:
        if downstream == 0.0:
            return 0.0
        return upstream if downstream == 1.0 else downstream * upstream
    if _is_finite(upstream):
        return downstream if upstream == 1.0 else -downstream if upstream == -1.0 else downstream * upstream
    if hasattr(downstream, "apply_op"):
        return downstream.apply_op(strong_mul, (downstream, upstream))
    if hasattr(upstream, "apply_op"):
        return strong_mul(downstream, upstream)
    return downstream * upstream  # an array of numbers, which are not finite now: its maker looks at them


def _is_finite(factor: Number) -> bool:
    """Return whether a factor is a plain float, known for good, that turns no zero into nan."""
    return type(factor) is float and factor - factor == 0.0


def _any(masks: Sequence[Any]) -> Any:
    """Return a mask that is not 0 where one of these is not."""
    first, *others = dict.fromkeys(masks)
    if not others:
        return first
    return ops.sum(*[mask if mask.op in COMPARISONS else ops.ne(mask, 0.0) for mask in (first, *others)])
