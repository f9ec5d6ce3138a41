"""Write a picture in Graphviz's DOT language. Every label is shown as plain text, whatever it contains."""

import re

from nodegrad.show.drawing.svg import Node, Picture, ink
from nodegrad.show.text import clean

__all__ = ()

STYLES = {
    "value": 'fillcolor="#ffffff"',
    "leaf": 'fillcolor="#e8f1fc" color="#33689e"',
    "output": 'fillcolor="#ffffff" penwidth=2',
    "fold": 'fillcolor="#f3eefc" color="#6f54a8"',
    "stale": 'color="#b3261e" style="rounded,filled,dashed"',
    "constant": 'fillcolor="#f6f8fa" color="#8c959f" fontsize=9 width=0.2 height=0.2 margin="0.05,0.02"',
}
HIGHLIGHT = 'color="#c2410c" penwidth=2.4'
HEAD = """\
  graph [rankdir={rankdir} bgcolor=transparent nodesep=0.2 ranksep=0.35]
  node [shape=record style="rounded,filled" color="#59636e" margin="0.08,0.03" height=0.3]
  node [fontname="Helvetica" fontsize=11]
  edge [arrowsize=0.7 color="#6e7781" fontname="Helvetica" fontsize=9]"""


def to_dot(picture: Picture) -> str:
    """Write `picture` as DOT: a record for each node, and an ellipse for the operation that makes it.

    >>> picture = Picture([Node(("x", "data 2")), Node(("data 4",), symbol="*")], [])
    >>> print(to_dot(picture).splitlines()[-2])
      "op1" -> "n1" []
    """
    lines = ["digraph {", HEAD.format(rankdir=picture.rankdir)]
    for at, node in enumerate(picture.nodes):
        lines.append(f"  {_record(f'n{at}', node, picture.rankdir)}")
        if node.symbol:
            style = 'shape=ellipse fillcolor="#fff1cc" color="#9a6700" margin="0.03,0.01" width=0.3'
            lines.append(f'  "op{at}" [label="{escape(node.symbol)}" {style}]')
            lines.append(f'  "op{at}" -> "n{at}" [{HIGHLIGHT if "highlight" in node.kind.split() else ""}]')
    for edge in picture.edges:
        head = f"op{edge.target}" if picture.nodes[edge.target].symbol else f"n{edge.target}"
        style = f" {HIGHLIGHT}" if "highlight" in edge.kind.split() else ""
        lines.append(f'  "n{edge.source}" -> "{head}" [label="{escape(edge.label)}"{style}]')
    return "\n".join([*lines, "}", ""])


def escape(text: str) -> str:
    r"""Escape a text so that Graphviz shows it unchanged in a plain label.

    >>> print(escape('say "hi" \\N <b>&lt;'))
    say \"hi\" \\N <b>&amp;lt;
    """
    text = clean(text).replace("\t", "    ").replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return "\\n".join(text.splitlines()) if text else ""


def escape_field(text: str) -> str:
    r"""Escape a text so that Graphviz shows it unchanged in a field of a record.

    >>> print(escape_field("{a|b} <c>"))
    \{a\|b\}\ \<c\>
    """
    return re.sub("[{}|<> ]", r"\\\g<0>", escape(text))


def _record(name: str, node: Node, rankdir: str) -> str:
    """Write one node, its cells side by side in both directions of the layout."""
    kinds = node.kind.split()
    style = " ".join(STYLES[kind] for kind in kinds if kind in STYLES)
    if node.fill:
        style += f' fillcolor="{node.fill}" fontcolor="{ink(node.fill)}"'
    if "highlight" in kinds:
        style += f" {HIGHLIGHT}"
    fields = "|".join(escape_field(cell) for cell in node.cells)
    label = f"{{{fields}}}" if rankdir == "LR" else fields
    return f'"{name}" [label="{label}" tooltip="{escape(node.title)}" {style}]'
