"""The reverse and forward sweeps: the chain rule, applied in each direction.

Both walk a topological order and multiply what they carry by partial derivatives. Over floats they give
numbers; over Values each product is recorded, so that the result can be differentiated again. The products
and sums of the chain rule are in `products`, which says how they treat 0, inf and nan.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any

from nodegrad.observers import tell_swept
from nodegrad.ops import Number, constant, dot
from nodegrad.products import Shared, chain, mask_of, masked, total, totals

__all__ = ()

_WIDE = 64  # operands of a product of vectors: of more, terms are taken together


def reverse_sweep(
    order: Sequence[Any],
    seeds: Mapping[Any, Number],
    active: Collection[Any] | None = None,
    floats: bool = True,
    pairs: bool = False,
) -> dict[Any, Any]:
    """Carry adjoints (∂output/∂node) from the seeded outputs back to every node they depend on.

    Args:
        order: the nodes, operands first.
        seeds: the adjoints to start from, by node.
        active: the nodes whose adjoints are wanted; by default all but constants.
        floats: sweep over the numbers in the nodes; otherwise over the nodes, recording every step.
        pairs: give the adjoint of a factor of one wide product as a pair: the factors of a strong
            product, which is not recorded.

    Returns:
        The adjoints by node. A node that is absent has adjoint 0.
    """
    # For each node, the term of its adjoint so far: (adjoint of a result, partial, what selects); a list; or
    # those that it shares with other nodes. Then its adjoint.
    arrived: dict[Any, Any] = {node: (seed, 1.0, None) for node, seed in seeds.items()}
    for node in reversed(order):
        if node.op is None or node not in arrived:
            continue
        terms = arrived[node]
        adjoint = arrived[node] = terms.total(node) if type(terms) is Shared else total(terms)
        if type(adjoint) is float and adjoint == 0.0:
            continue
        if node.op is dot and not floats and len(node.operands) > _WIDE:
            links = _not_shared(arrived, adjoint, node, active)
        else:
            links = partials(node, active, floats)
        for operand, partial, selected in links:
            term = adjoint, partial, selected
            known = arrived.setdefault(operand, term)
            if known is term:
                continue
            if type(known) is Shared:
                known.release(arrived)
                known = arrived[operand]
            if type(known) is list:
                known.append(term)
            else:
                arrived[operand] = [known, term]
    alone = {node: terms for node, terms in arrived.items() if type(terms) in (tuple, list)}
    for shared in dict.fromkeys([terms for terms in arrived.values() if type(terms) is Shared]):
        arrived.update(shared.totals(pairs))
    arrived.update(zip(alone, totals(alone.values()), strict=True))
    tell_swept("reverse", order, seeds, arrived)
    return arrived


def _not_shared(
    arrived: dict[Any, Any], adjoint: Any, node: Any, active: Collection[Any] | None
) -> Iterable[tuple[Any, Number, Number | None]]:
    """Let operands of a wide product of vectors share their terms; return `partials` for the others."""
    operands, half = node.operands, len(node.operands) // 2
    if type(active) is not set or not active.issuperset(operands) or not hasattr(adjoint, "apply_pairs"):
        return partials(node, active, False)
    xs, ys = operands[:half], operands[half:]
    if not Shared.take(arrived, xs, adjoint, ys):
        return zip(operands, ys + xs, repeat(None))
    return () if Shared.take(arrived, ys, adjoint, xs) else zip(ys, xs, repeat(None))


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
