"""The reverse and forward sweeps: the chain rule, applied in each direction.

Both walk a topological order and multiply what they carry by partial derivatives. Over floats they give
numbers; over Values each product is recorded, so that the result can be differentiated again. The products
and sums of the chain rule are in `products`, which says how they treat 0, inf and nan.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any

from nodegrad.observers import tell_swept
from nodegrad.ops import Number, constant
from nodegrad.products import chain, mask_of, masked, total, totals

__all__ = ()


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
    # For each node, the term of its adjoint so far: (adjoint of a result, partial, what selects), or a list.
    arrived: dict[Any, Any] = {node: (seed, 1.0, None) for node, seed in seeds.items()}
    for node in reversed(order):
        if node.op is None or node not in arrived:
            continue
        adjoint = adjoints[node] = total(arrived.pop(node))
        if type(adjoint) is float and adjoint == 0.0:
            continue
        for operand, partial, selected in partials(node, active, floats):
            term = adjoint, partial, selected
            known = arrived.setdefault(operand, term)
            if known is term:
                continue
            if type(known) is list:
                known.append(term)
            else:
                arrived[operand] = [known, term]
    adjoints.update(zip(arrived, totals(arrived.values()), strict=True))
    tell_swept("reverse", order, seeds, adjoints)
    return adjoints


def forward_sweep(
    order: Sequence[Any],
    seeds: Mapping[Any, Number],
    active: Collection[Any] | None = None,
    floats: bool = True,
    masks: dict[Any, Number] | None = None,
    nested: Mapping[Any, int] | None = None,
    known: Mapping[Any, Any] | None = None,
) -> dict[Any, Number]:
    """Carry tangents (∂node/∂input) from the seeded inputs on to every node that depends on them.

    It takes and returns what `reverse_sweep` does, with tangents in place of adjoints.

    Args:
        masks: by node, a Value that is 0 where the node has no tangent (see `masked`): given for seeds, and
            added for other nodes.
        nested: see `products.union`.
        known: what `partials` gives for each node, if that is known.
    """
    tangents = dict(seeds)
    masks = {} if masks is None else masks
    unreached = tangents.keys().isdisjoint
    for node in order:
        if node in seeds or unreached(node.operands):
            continue
        before, passed, tangent = [], [], None  # type: list[Any], list[Any], Number
        for operand, partial, selected in known[node] if known else partials(node, active, floats):
            if operand not in tangents or (selected is not None and type(selected) is float and not selected):
                continue
            if floats:  # the first case of `chain`
                term = partial * tangents[operand] if partial else 0.0
            else:
                before.append(mask := masks.get(operand))
                partial, mask = masked(partial, mask, selected)
                passed.append(mask)
                term = chain(partial, tangents[operand])
            tangent = term if tangent is None else tangent + term
        if tangent is not None:
            tangents[node] = tangent
        mask = mask_of(node, before, passed, nested) if passed else None
        if mask is not None:
            masks[node] = mask
    tell_swept("forward", order, seeds, tangents)
    return tangents


def partials(
    node: Any, active: Collection[Any] | None = None, floats: bool = True
) -> Iterable[tuple[Any, Number, Number | None]]:
    """Return each active operand of a node, the partial of the node by it, and what selects the operand.

    What selects is a number that is 0 if the operation selected another operand. For rows that select it is
    the partial; for operations that do not select it is None. Partials that are 0 everywhere are left out.

    The number of a constant is used as it is, so that what depends on no variable is computed, not recorded.
    """
    operands, op = node.operands, node.op
    if not operands:
        return ()
    if op.whole is not None:  # the result of a loop or a search, which knows its partials
        return [*op.whole.partials(op.index, node, active, floats)]
    if floats:
        primals, out, rules = [operand._data for operand in operands], node._data, op.float_partials
    else:
        primals = [operand._data if operand.op is constant else operand for operand in operands]
        out, rules = node, op.partials
    selects = op.selects
    if op.arity is None:  # one rule gives all partials
        found = rules(primals, out)
        links = zip(operands, found, found if selects else repeat(None), strict=False)
        if active is not None:
            return compress(links, map(active.__contains__, operands))
        return compress(links, [x.op is not constant for x in operands])
    each = []  # by a loop: to list what is used beforehand would add a tenth to an eager Hessian
    for operand, rule in zip(operands, rules, strict=False):
        if rule is not None and (operand.op is not constant if active is None else operand in active):
            partial = rule(*primals, out)
            each.append((operand, partial, partial if selects else None))
    return each
