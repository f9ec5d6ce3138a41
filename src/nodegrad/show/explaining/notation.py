"""How an explanation is written down: in a terminal, in Markdown with LaTeX, in HTML."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from nodegrad.show.explaining.formula import LATEX, TEXT, Formula, Style, write

__all__ = ()

Equation = tuple[str, ...]  # the sides of a chain of equalities


@dataclass(frozen=True)
class Block:
    """A heading, or a paragraph with the equations that follow it; a step has a number."""

    text: str
    equations: tuple[Equation, ...] = ()
    step: int = 0
    heading: bool = False


class Notation:
    """Plain text: what a terminal shows."""

    style: Style = TEXT
    times = " · "
    dots = "…"
    equals, indent, width = "=", " ", 100  # a chain of more characters goes on below, as far to the right
    between, frame = "\n", "{}"  # what stands between blocks, and around all of them

    def formula(self, formula: Formula | float, binds: float = 0.0) -> str:
        """Write a formula or a number."""
        return write(formula, self.style, binds)

    def name(self, name: str) -> str:
        """Write the name of a node."""
        return self.style.name(name)

    def derivative(self, top: str, bottom: str) -> str:
        """Write the derivative of one node for another."""
        return f"∂{self.name(top)}/∂{self.name(bottom)}"

    def inline(self, mathematics: str) -> str:
        """Set mathematics into a sentence."""
        return mathematics

    def document(self, blocks: Iterable[Block]) -> str:
        """Put the blocks together."""
        written = self.between.join(filter(None, map(self.block, blocks)))
        return self.frame.format(written.lstrip("\n"))

    def block(self, block: Block) -> str:
        """Write a heading, or a paragraph with its equations."""
        if block.heading:
            return f"\n{block.text}\n{'-' * len(block.text)}"
        indent = "     " if block.step else "  "
        text = f"{block.step:>3}. {block.text}" if block.step else block.text
        lines = [indent + line for equation in block.equations for line in self.chain(equation)]
        return "\n".join([text, *lines] if text else lines)

    def chain(self, equation: Equation) -> list[str]:
        """Write a chain of equalities on one line, or one under the other if that gets long."""
        left, *right = equation
        line = f"{left} {self.equals} {' = '.join(right)}"
        if len(line) <= self.width:
            return [line]
        indent = self.indent * (len(left) + 1)
        return [f"{left} {self.equals} {right[0]}", *[f"{indent}{self.equals} {side}" for side in right[1:]]]


class Latex(Notation):
    """Markdown, its mathematics in LaTeX."""

    style = LATEX
    times = r" \cdot "
    dots = r"\dots"
    equals, indent, width = "&=", "", 200
    between, frame = "\n\n", "{}\n"

    def derivative(self, top: str, bottom: str) -> str:
        """Write the derivative of one node for another."""
        return rf"\frac{{\partial {self.name(top)}}}{{\partial {self.name(bottom)}}}"

    def inline(self, mathematics: str) -> str:
        """Set mathematics into a sentence."""
        return f"${mathematics}$"

    def block(self, block: Block) -> str:
        """Write a heading, or a paragraph with its equations."""
        if block.heading:
            return f"### {block.text}"
        text = f"**Step {block.step}.** {block.text}" if block.step else block.text
        lines = " \\\\\n".join(line for equation in block.equations for line in self.chain(equation))
        aligned = f"$$\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n$$" if lines else ""
        return "\n\n".join(filter(None, [text, aligned]))


class Html(Notation):
    """A piece of HTML without scripts or styles: every name is text."""

    frame = '<div class="nodegrad-explanation">\n{}\n</div>\n'

    def inline(self, mathematics: str) -> str:
        """Set mathematics into a sentence."""
        return f"<code>{escape(mathematics)}</code>"

    def block(self, block: Block) -> str:
        """Write a heading, or a paragraph with its equations."""
        if block.heading:
            return f"<h3>{block.text}</h3>"
        number = f"<b>Step {block.step}.</b> " if block.step else ""
        text = f"<p>{number}{block.text}</p>" if block.text else ""
        lines = "".join(f"<span>{self.sides(equation)}\n</span>" for equation in block.equations)
        lines = f"<pre>{lines}</pre>" if lines else ""
        return f'<section class="step">{text}{lines}</section>' if block.step else f"{text}{lines}"

    def sides(self, equation: Equation) -> str:
        """Write a chain of equalities, each side as an element: a page breaks lines between them."""
        left, *right = equation
        between = " " if len(self.chain(equation)) == 1 else f"\n{' ' * len(left)} "
        sides = [f"{left} = {right[0]}", *[f"= {side}" for side in right[1:]]]
        return between.join(f"<span>{escape(side)}</span>" for side in sides)


TERMINAL, MARKDOWN, HTML = Notation(), Latex(), Html()
