"""A page with the graph beside an explanation: at each step the nodes and edges that it is about are lit."""

from dataclasses import replace
from typing import Any

from nodegrad.show.drawing.fold import FOLD_ABOVE, boxes
from nodegrad.show.drawing.picture import picture
from nodegrad.show.drawing.svg import to_svg
from nodegrad.show.players.page import Page, build
from nodegrad.show.snapshot import snapshot

__all__ = ()


def explanation_page(explanation: Any) -> Page:
    """Make a page of an `Explanation`, the picture of its graph beside it."""
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
    nodes = [
        replace(node, cells=("\n".join(node.cells),)) for node in drawn.nodes
    ]  # narrower than side by side
    svg = to_svg(replace(drawn, nodes=nodes))
    scripts = ("transport", "panel", "explanation")
    return Page(build("explanation", title, steps, scripts, svg=svg, text=explanation.html), title)
