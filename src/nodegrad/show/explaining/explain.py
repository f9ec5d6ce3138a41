"""Write out the chain rule for a graph: every step backwards, by formula and number, as one would by hand."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from math import isnan
from typing import Any

from nodegrad.graph import changed_operand, dependents, recording
from nodegrad.show.drawing.fold import FOLD_ABOVE, boxes, flatten
from nodegrad.show.drawing.picture import picture
from nodegrad.show.drawing.svg import to_svg
from nodegrad.show.explaining import chain_rule
from nodegrad.show.explaining.chain_rule import Step, written
from nodegrad.show.explaining.formula import NEGATIVE, Formula
from nodegrad.show.explaining.notation import HTML, MARKDOWN, TERMINAL, Block, Equation, Notation
from nodegrad.show.players.page import Page, build
from nodegrad.show.snapshot import Vertex, is_constant, label_of, one_value, snapshot, values
from nodegrad.show.text import plain_name
from nodegrad.show.window import Shown
from nodegrad.sweep import reverse_sweep
from nodegrad.value import Value

__all__ = ["Explanation", "explain"]

RESULTS = 60  # derivatives that are listed at the end
LATER = NEGATIVE + 0.1  # how strongly a factor or a later term binds: a minus goes into brackets


@dataclass(frozen=True)
class Explanation(Shown):
    """The chain rule written out: `str()` for a terminal, `.markdown` with LaTeX, `.html`, the steps as data.

    Attributes:
        output: the Value whose derivatives these are.
        forward: the formula of each node that an operation made, in the order of computation.
        steps: the derivative for each node, from the output backwards.
        partials: the derivatives asked for, by Value.
        names: what each node is called: its label, or v₁, v₂ ...
        numbers: the number that each node held, also of nodes that only a formula names.
        left_out: how many nodes have no step of their own.
        changed: a Value whose number was changed, and a node that had been computed from it; None if there is
            none. The numbers then mix two points, and the text says so.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0, label="x")
    >>> ng.explain(x * x).partials
    {Value(data=2.0, grad=0.0, label='x'): 4.0}
    """

    kinds = ("txt", "md", "html")
    output: Value
    forward: dict[Value, Formula] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    partials: dict[Value, float]
    names: dict[Value, str] = field(repr=False)
    numbers: dict[Value, float] = field(repr=False)
    left_out: int = 0
    changed: tuple[Value, Value] | None = None

    def __str__(self) -> str:
        return TERMINAL.document(self._blocks(TERMINAL))

    @property
    def markdown(self) -> str:
        """The explanation in Markdown, its mathematics in LaTeX between dollar signs."""
        return MARKDOWN.document(self._blocks(MARKDOWN))

    @property
    def html(self) -> str:
        """The explanation as a piece of HTML without scripts or styles."""
        return HTML.document(self._blocks(HTML))

    def content(self, kind: str) -> bytes:
        """Return what a file holds: text, Markdown, or a page with the graph beside, lit step by step."""
        text = {"txt": f"{self}\n", "md": self.markdown}
        return (text[kind] if kind in text else explanation_page(self).html).encode()

    def show(self) -> None:
        """Show the explanation beside the graph, in the notebook's cell or in the browser."""
        explanation_page(self).show()

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _blocks(self, notation: Notation) -> Iterator[Block]:
        if self.changed:
            names = [self.names.get(value, "?") for value in self.changed]
            operand, node = [notation.inline(notation.name(name)) for name in names]
            yield Block(
                f"The number of {operand} was changed after {node} was computed from it, so the numbers "
                "below mix two points. Compute the output again before you explain it."
            )
        yield Block("Forward: the numbers", heading=True)
        yield Block("", tuple(self._computed(notation)))
        yield Block("Backward: the chain rule, one node at a time", heading=True)
        if self.left_out:
            yield Block(
                f"{self.left_out:,} more nodes have no step of their own. Of the nodes of one shape only one "
                "is explained; the others get their derivatives in the same way."
            )
        for at, step in enumerate(self.steps, 1):
            yield Block(self._sentence(step, notation), tuple(self._equations(step, notation)), at)
        yield Block("Result", heading=True)
        listed = islice(self.partials.items(), RESULTS)
        results = [(self._derivative(node, notation), notation.formula(partial)) for node, partial in listed]
        yield Block("" if results else "No derivative was asked for.", tuple(results))
        if len(self.partials) > RESULTS:
            yield Block(f"and {len(self.partials) - RESULTS:,} more.")

    def _computed(self, notation: Notation) -> Iterator[Equation]:
        """Write every number, leaves first, and the formula of those that are computed."""
        for node, number in sorted(self.numbers.items(), key=lambda item: item[0] in self.forward):
            formula = [notation.formula(self.forward[node])] if node in self.forward else []
            yield (notation.name(self.names[node]), *formula, notation.formula(number))

    def _sentence(self, step: Step, notation: Notation) -> str:
        """Say where a node goes, and whether paths meet there."""
        name = notation.inline(notation.name(self.names[step.node]))
        if not step.terms:
            if step.node is self.output:
                return f"{name} is the output."
            return f"{name} reaches the output only through flat operations, so its derivative is 0."
        consumers = [term.consumer for term in step.terms]
        made = [
            notation.inline(f"{notation.name(self.names[node])} = {notation.formula(self.forward[node])}")
            for node in consumers
        ]
        if step.rest:
            made.append(f"{step.rest:,} more")
        paths = len(consumers) + step.rest
        meet = f": {paths:,} paths meet, and their contributions add up" if paths > 1 else ""
        listed = " and ".join(filter(None, [", ".join(made[:-1]), made[-1]]))
        strong = any(term.contribution == 0.0 and isnan(term.upstream * term.partial) for term in step.terms)
        note = " What does not influence the output contributes nothing." if strong else ""
        alike = f" The same holds for {step.alike:,} more nodes of this shape." if step.alike else ""
        return f"{name} goes into {listed}{meet}.{note}{alike}"

    def _derivative(self, node: Value, notation: Notation) -> str:
        return notation.derivative(self.names[self.output], self.names[node])

    def _equations(self, step: Step, notation: Notation) -> Iterator[Equation]:
        """Write the local derivatives, then the chain rule: in symbols, in numbers, and as a sum."""
        chains: list[tuple[str, str, str]] = []
        alone = len(step.terms) + step.rest == 1
        for term in step.terms:
            local = notation.formula(term.local)
            contribution = notation.formula(term.contribution, 0 if alone else LATER)
            if term.consumer is self.output:
                chains.append((local, contribution, contribution))
            else:
                derivative = notation.derivative(self.names[term.consumer], self.names[step.node])
                yield _distinct(derivative, local, notation.formula(term.partial))
                numbers = [notation.formula(factor, LATER) for factor in (term.upstream, term.partial)]
                symbols = self._derivative(term.consumer, notation) + notation.times + derivative
                chains.append((symbols, notation.times.join(numbers), contribution))
        rest = [notation.dots] if step.rest else []
        sums = [" + ".join([*parts, *rest]) for parts in zip(*chains, strict=True)]
        if alone:
            sums.pop()
        yield _distinct(self._derivative(step.node, notation), *sums, notation.formula(step.gradient))


def _distinct(*sides: str) -> Equation:
    """Return a chain of equalities that does not say the same twice in a row."""
    return tuple(side for side, _ in groupby(sides))


def explanation_page(explanation: Explanation) -> Page:
    """Make a page of an explanation beside its graph, where the nodes and edges of each step are lit."""
    order = snapshot([explanation.output])
    gradients = {step.node: step.gradient for step in explanation.steps}
    for vertex in order:
        vertex.grad = gradients.get(vertex.value, 0.0)
        if vertex.value in gradients:
            vertex.label = explanation.names[vertex.value]
    root = order[-1]
    groups = boxes(order, FOLD_ABOVE)
    box = {vertex.value: at for at, group in enumerate(groups) for vertex in group.members}
    steps = []
    for step in explanation.steps:
        consumers = [box[term.consumer] for term in step.terms if term.consumer in box]
        at = box.get(step.node)
        edges = [f"edge-{at}-{consumer}-0" for consumer in dict.fromkeys(consumers)]
        steps.append({"at": at, "to": consumers, "edges": edges})
    title = f"The derivative of {explanation.names[explanation.output]}, step by step"
    drawn = picture(groups, {root})
    narrow = [replace(node, cells=("\n".join(node.cells),)) for node in drawn.nodes]
    svg = to_svg(replace(drawn, nodes=narrow))
    scripts = ("transport", "panel", "explanation")
    return Page(build("explanation", title, steps, scripts, svg=svg, text=explanation.html), title)


@recording()
def explain(output: Value, wrt: Any = None) -> Explanation:
    """Write out the chain rule for this very graph, each node from the output backwards.

    Each step gives a node's local derivatives, by formula and number, and where several paths meet their sum.
    Nodes without a label are called v₁, v₂ and so on. Of a graph of more than 100 nodes, one of each shape
    is explained.

    >>> x, w = Value(2.0, label="x"), Value(3.0, label="w")
    >>> y = (w * x) ** 2
    >>> print(explain(y, wrt=w))
    Forward: the numbers
    --------------------
      w = 3
      x = 2
      v₁ = w·x = 6
      v₂ = v₁^2 = 36
    <BLANKLINE>
    Backward: the chain rule, one node at a time
    --------------------------------------------
      1. v₂ is the output.
         ∂v₂/∂v₂ = 1
      2. v₁ goes into v₂ = v₁^2.
         ∂v₂/∂v₁ = 2·v₁ = 12
      3. w goes into v₁ = w·x.
         ∂v₁/∂w = x = 2
         ∂v₂/∂w = ∂v₂/∂v₁ · ∂v₁/∂w = 12 · 2 = 24
    <BLANKLINE>
    Result
    ------
      ∂v₂/∂w = 24

    Args:
        output: the Value to differentiate.
        wrt: a Value, or a list of them, to reach; by default every leaf. Only the steps on the way are shown.

    Raises:
        TypeError: if output or wrt is not made of Values.
    """
    root = one_value("explain", output)
    vertices = snapshot([root])
    order = [vertex.value for vertex in vertices]
    adjoints = reverse_sweep(order, {root: 1.0})
    targets = [v.value for v in vertices if v.op is None] if wrt is None else values("explain", [wrt])
    at = {vertex.value: vertex for vertex in vertices}
    ends = {at[target] for target in targets if target in at}
    chosen = set(vertices)
    alike = Counter[Vertex]()
    if len(vertices) > chain_rule.IN_FULL:
        named = set() if wrt is None else ends
        vertices = flatten(vertices, {at[root], *named})
        chosen, alike = chain_rule.one_of_each(vertices, at[root], named)
    on_the_way = dependents(vertices, ends)
    shown = [vertex for vertex in vertices if vertex in chosen and not is_constant(vertex)]
    mentioned = [operand for vertex in shown for operand in vertex.operands]
    names = chain_rule.Names(vertices)
    for first in [*shown, *mentioned]:
        names[first]  # an index is given when it is first asked for
    steps = chain_rule.collect(vertices, [v for v in shown if v in on_the_way], names, adjoints, alike)
    listed = [*dict.fromkeys(x for vertex in shown for x in written(vertex) if x not in chosen), *shown]
    consumers = {at[term.consumer] for step in steps for term in step.terms}
    made = [vertex for vertex in dict.fromkeys([*shown, *consumers]) if vertex.op is not None]
    return Explanation(
        root,
        {vertex.value: chain_rule.definition(vertex, names) for vertex in made},
        steps,
        {target: adjoints.get(target, 0.0) for target in targets},
        {t: plain_name(label_of(t) or "?") for t in targets} | {v.value: name for v, name in names.items()},
        {vertex.value: vertex.data for vertex in listed if not is_constant(vertex)},
        sum(not is_constant(vertex) for vertex in at.values()) - len(shown),
        changed_operand(order),
    )
