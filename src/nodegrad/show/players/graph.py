"""A page that plays a graph forward and backward, one `+=` at a time, and replays the classic mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nodegrad.graph import topological_order
from nodegrad.show.drawing.svg import Edge, Node, Picture, text_width, to_svg
from nodegrad.show.explaining.chain_rule import (
    definition,
    is_smooth,
    local_derivative,
    local_formula,
    name_all,
)
from nodegrad.show.explaining.formula import NEGATIVE, TEXT, Formula, write
from nodegrad.show.players.page import Page, build
from nodegrad.show.snapshot import Vertex, is_constant, snapshot, values
from nodegrad.show.text import number
from nodegrad.sweep import chain
from nodegrad.value import Value

MOST = 400  # nodes; more are too many to watch one by one
DATA, GRAD = 1, 2  # the lines of a node below its name

Grads = dict[Vertex, float]
Change = tuple[int, int, str]


class Player(Page):
    """A page that plays a graph: `.save("player.html")`, or let a notebook show it.

    >>> import nodegrad as ng
    >>> x = ng.Value(2.0)
    >>> isinstance(ng.player(x * x), Player)
    True
    """


@dataclass(frozen=True)
class Mode:
    """A way to go backward: which nodes in which order, and what `+=` and zeroing come to."""

    name: str
    says: str
    order: Callable[[Value, Sequence[Vertex]], list[Vertex]]
    overwrite: bool = False
    leftover: bool = False


@dataclass(frozen=True)
class Push:
    """One step backward: a node hands its gradient to one operand."""

    node: Vertex
    index: int
    partial: float
    upstream: float
    before: float
    after: float


def sweep_order(output: Value, vertices: Sequence[Vertex]) -> list[Vertex]:
    """Return the order of `backward()`: every node after all that use it."""
    at = {vertex.value: vertex for vertex in vertices}
    order = [at[node] for node in reversed(topological_order(output))]
    return [v for vertex in order for v in (vertex, *[x for x in vertex.operands if x.value is None])]


def naive_order(output: Value, vertices: Sequence[Vertex]) -> list[Vertex]:
    """Return the order of a recursion that goes on from each node as soon as it gets there, once."""
    order, stack = dict[Vertex, None](), [vertices[-1]]
    while stack:
        vertex = stack.pop()
        if vertex not in order:
            order[vertex] = None
            stack += reversed(vertex.operands)
    return list(order)


MODES = (
    Mode("as it should be", "Every node waits until all that use it have added their share.", sweep_order),
    Mode(
        "in naive order",
        "Wrong on purpose: each node passes its gradient on when it is first reached, before the others that "
        "use it have added theirs.",
        naive_order,
    ),
    Mode(
        "with = for +=",
        "Wrong on purpose: where two paths meet, the second overwrites what the first brought.",
        sweep_order,
        overwrite=True,
    ),
    Mode(
        "without zeroing",
        "Wrong on purpose: a second pass adds to the gradients that the first one left in the leaves.",
        sweep_order,
        leftover=True,
    ),
)


def player(output: Value, *, title: str = "", open_dots: bool = False) -> Player:
    """Make a page that plays the graph of a Value forward and backward, one step at a time.

    It shows the node at work, its local derivatives, each `+=` and the running gradients, and replays three
    classic mistakes beside the right way. The numbers are recorded here, by Python; the page only shows them.

    >>> x, w = Value(2.0, label="x"), Value(-3.0, label="w")
    >>> play = player((w * x).tanh())
    >>> play.save("player.html").name
    'player.html'

    Args:
        output: the Value to play.
        title: the heading of the page.
        open_dots: show the products and the sum inside each `dot`.

    Raises:
        TypeError: if output is not a Value.
        ValueError: if the graph has more than 400 nodes.
    """
    (root,) = values("player", [output])
    vertices = snapshot([root], open_dots)
    if len(vertices) > MOST:
        raise ValueError(
            f"player shows graphs of up to {MOST} nodes; this one has {len(vertices):,}. Play one sample of "
            "it, or look at draw(output), which folds."
        )
    names = name_all(vertices)
    title = title or f"{names[vertices[-1]]}, forward and backward"
    score = Score(root, vertices, names)
    data = score.data()
    return Player(build("player", title, data, to_svg(score.picture()), ("transport", "player")), title)


def record(output: Value, vertices: Sequence[Vertex], mode: Mode, right: Grads) -> Iterator[Push]:
    """Go backward by the chain rule of the sweeps, and yield every step."""
    grads = _starts(vertices, mode, right)
    for vertex in mode.order(output, vertices):
        for index, operand in enumerate(vertex.operands):
            if is_smooth(vertex, index) and not is_constant(operand):
                partial, upstream, before = local_derivative(vertex, index), grads[vertex], grads[operand]
                contribution = chain(upstream, partial, vertex.op.selects)
                grads[operand] = contribution if mode.overwrite else before + contribution
                yield Push(vertex, index, partial, upstream, before, grads[operand])


def _starts(vertices: Sequence[Vertex], mode: Mode, right: Grads) -> Grads:
    """Return the gradients before the first step: 1 at the output, elsewhere 0 or what is left over."""
    left = {vertex: right[vertex] for vertex in vertices if vertex.op is None} if mode.leftover else {}
    return dict.fromkeys(vertices, 0.0) | left | {vertices[-1]: 1.0}


def _last(vertices: Sequence[Vertex], pushes: Iterator[Push]) -> Grads:
    """Return the gradients that the steps end in."""
    grads = dict.fromkeys(vertices, 0.0) | {vertices[-1]: 1.0}
    return grads | {push.node.operands[push.index]: push.after for push in pushes}


class Score:
    """What the page plays: for each step its words, and the lines of the picture that change."""

    def __init__(self, output: Value, vertices: Sequence[Vertex], names: dict[Vertex, str]) -> None:
        self.output, self.vertices, self.names = output, vertices, names
        self.at = {vertex: at for at, vertex in enumerate(vertices)}
        self.right = _last(vertices, record(output, vertices, MODES[0], {}))
        self.passes = [self.backward(mode) for mode in MODES]

    def data(self) -> dict[str, Any]:
        """Return all that the page needs besides the picture."""
        rows = [at for at, vertex in enumerate(self.vertices) if not is_constant(vertex)]
        return {
            "nodes": [self._node(vertex) for vertex in self.vertices],
            "rows": sorted(rows, key=lambda at: self.vertices[at].op is not None),  # leaves first
            "right": [number(self.right[vertex]) for vertex in self.vertices],
            "forward": self.forward(),
            "modes": [
                {"name": mode.name, "says": mode.says, "steps": steps}
                for mode, steps in zip(MODES, self.passes, strict=True)
            ],
        }

    def _node(self, vertex: Vertex) -> dict[str, Any]:
        return {
            "name": self.names[vertex],
            "data": number(vertex.data),
            "leaf": vertex.op is None,
            "constant": is_constant(vertex),
        }

    def picture(self) -> Picture:
        """Return the picture, with room in every line for the widest text that will stand there."""
        widest = dict.fromkeys(range(len(self.vertices)), "0")
        for step in (step for steps in self.passes for step in steps):
            for at, _, text in step["changes"]:
                widest[at] = max(widest[at], text, key=text_width)
        nodes = []
        for at, vertex in enumerate(self.vertices):
            data, symbol = number(vertex.data), vertex.op.symbol if vertex.op else ""
            kind = "output" if vertex is self.vertices[-1] else "value" if vertex.op else "leaf"
            text = f"{self.names[vertex]}\ndata {data}\ngrad {widest[at]}"
            nodes.append(
                Node((data,), "", "constant") if is_constant(vertex) else Node((text,), symbol, kind)
            )
        edges = [Edge(self.at[x], at) for at, vertex in enumerate(self.vertices) for x in vertex.operands]
        return Picture(nodes, edges)

    def forward(self) -> list[dict[str, Any]]:
        """Compute each node: its formula, with the numbers put in, and the result."""
        steps = [_step("before the start", "Only the leaves hold numbers", [], [])]
        for vertex in self.vertices:
            if not vertex.operands:
                continue
            numbers = Formula(vertex.op.name, vertex.op, tuple([operand.data for operand in vertex.operands]))
            name, data = self.names[vertex], number(vertex.data)
            lines = [
                f"{name} = {definition(vertex, self.names).text}",
                f"{name} = {numbers.text}",
                f"{name} = {data}",
            ]
            change = [(self.at[vertex], DATA, data)]
            step = _step("forward", f"Compute {name}", lines, change, at=self.at[vertex])
            step["edges"] = [self._edge(vertex, index) for index in range(len(vertex.operands))]
            steps.append(step)
        return steps

    def backward(self, mode: Mode) -> list[dict[str, Any]]:
        """Write down each step of going backward in a mode."""
        root = self.vertices[-1]
        name = self.names[root]
        changes = [
            (self.at[vertex], GRAD, number(grad))
            for vertex, grad in _starts(self.vertices, mode, self.right).items()
            if not is_constant(vertex)
        ]
        old = "the leaves keep their old gradients" if mode.leftover else "every gradient starts at 0"
        lines = [old, f"∂{name}/∂{name} = 1"]
        start = _step("backward", f"Start at {name}", lines, changes, at=self.at[root])
        pushes = record(self.output, self.vertices, mode, self.right)
        return [start, *[self._push(push, mode) for push in pushes]]

    def _push(self, push: Push, mode: Mode) -> dict[str, Any]:
        """Write down one step backward: the local derivative, the chain rule, the `+=`."""
        operand = push.node.operands[push.index]
        name, to = self.names[push.node], self.names[operand]
        formula = write(local_formula(push.node, push.index, self.names), TEXT)
        local = [f"∂{name}/∂{to}", formula, number(push.partial)]
        factors = " · ".join(write(x, TEXT, NEGATIVE + 0.1) for x in (push.upstream, push.partial))
        after = number(push.after)
        if mode.overwrite:
            rule, result = f"{to}.grad = {name}.grad · ∂{name}/∂{to}", f"{to}.grad = {factors} = {after}"
        else:
            rule = f"{to}.grad += {name}.grad · ∂{name}/∂{to}"
            result = f"{to}.grad = {number(push.before)} + {factors} = {after}"
        lines = [" = ".join(dict.fromkeys(local)), rule, result]
        change = [(self.at[operand], GRAD, after)]
        headline = f"{name} hands its share to {to}"
        step = _step("backward", headline, lines, change, at=self.at[push.node], to=self.at[operand])
        step["edges"] = [self._edge(push.node, push.index)]
        return step

    def _edge(self, vertex: Vertex, index: int) -> str:
        """Return the id of the edge from an operand: its ends, and which of several parallel ones it is."""
        operand = vertex.operands[index]
        parallel = Counter(vertex.operands[:index])[operand]
        return f"edge-{self.at[operand]}-{self.at[vertex]}-{parallel}"


def _step(
    phase: str,
    headline: str,
    lines: list[str],
    changes: list[Change],
    at: int | None = None,
    to: int | None = None,
) -> dict[str, Any]:
    return {
        "phase": phase,
        "headline": headline,
        "lines": lines,
        "changes": changes,
        "at": at,
        "to": to,
        "edges": [],
    }
