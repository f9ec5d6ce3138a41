"""Directives: a reference from docstrings and the table of operations, and what pages make by their code."""

import ast
import contextlib
import html
import importlib
import inspect
import os
import re
import shutil
from pathlib import Path

import pages
from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import nodegrad
from nodegrad import compiler, ops, special

os.environ.setdefault("MPLBACKEND", "Agg")  # plots are saved, not shown

WIDTH = re.compile(r'<svg[^>]* width="([\d.]+)')
EXAMPLE = re.compile(r"(?:^>>> .*\n(?:.+\n)*\n*)+", re.MULTILINE)
SECTION = re.compile(r"^(Args|Raises|Returns):\n((?:    .*\n)+)", re.MULTILINE)
ITEM = re.compile(r"^    (\w+)(?=:)", re.MULTILINE)
QUALIFIER = re.compile(r"\b(?:\w+\.)+(?=[A-Z])")


class PublicNames(SphinxDirective):
    """Document what a module says is public; docstrings are Markdown, as the pages are."""

    required_arguments = 1

    def run(self):
        """Return the nodes of one entry for each function and class."""
        self.env.note_reread()  # the code changes while the page does not
        module = importlib.import_module(self.arguments[0])
        return self.parse_text_to_nodes("\n".join(entries(module)))


def entries(module):
    """Yield the Markdown for the public functions and classes of a module, then of its public modules."""
    public = {name: getattr(module, name) for name in sorted(public_names(module), key=str.lower)}
    for name, it in public.items():
        elsewhere = module in (nodegrad.training, compiler) and name in nodegrad.__all__
        if callable(it) and not isinstance(it, ops.Op) and not elsewhere:
            yield entry(f"{module.__name__}.{name}", it)
    for it in filter(inspect.ismodule, public.values()):
        if it is nodegrad.show:  # it has a page of its own
            continue
        yield f":::{{rubric}} {it.__name__}\n:::\n\n{inspect.getdoc(it)}\n"
        yield from entries(it)


class Made(SphinxDirective):
    """Show a file that the code on the page saves; the content is its caption.

    The page runs, once, in the directory of the site that its files go to.
    """

    required_arguments = 1
    has_content = True

    def run(self):
        """Return the nodes that show the file: a picture, a page within the page, Markdown, or text.

        Raises:
            FileNotFoundError: if the code does not save it.
        """
        name, page = self.arguments[0], self.env.docname
        file = self.files() / name
        if not file.exists():
            raise FileNotFoundError(f"the code on {page} saves no {name}")
        if file.suffix == ".txt":
            text = file.read_text(encoding="utf-8")
            return [nodes.literal_block(text, text, language="text")]
        if file.suffix == ".md":
            return self.parse_text_to_nodes(file.read_text(encoding="utf-8"))
        source = f"{'../' * page.count('/')}_made/{page}/{name}"
        caption = html.escape(" ".join(self.content))
        if file.suffix == ".html":
            shown = f'<iframe src="{source}" title="{caption}" loading="lazy"></iframe>'
            caption += f' <a href="{source}">Open it alone.</a>'
        else:
            width = WIDTH.search(file.read_text(encoding="utf-8")) if file.suffix == ".svg" else None
            least = f' style="min-width: {0.75 * float(width[1]):.0f}px"' if width else ""
            shown = f'<a href="{source}"><img src="{source}" alt="{caption}"{least}></a>'
        figure = f'<figure class="made"><div>{shown}</div><figcaption>{caption}</figcaption></figure>'
        return [nodes.raw("", figure, format="html")]

    def files(self):
        """Return the directory of the files that the page has made; run it if that has not been done."""
        page = self.env.docname
        directory = Path(self.env.app.outdir, "_made", page)
        if self.env.temp_data.get("made") != page:  # forgotten when Sphinx has read the page
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            source = Path(self.env.doc2path(page))
            with contextlib.chdir(directory):
                pages.run_page(source.read_text(encoding="utf-8"), str(source))
            self.env.temp_data["made"] = page
        return directory


class Operations(SphinxDirective):
    """Document the table of operations from its own source: each row with its operands and partials."""

    def run(self):
        """Return the nodes of a table."""
        self.env.note_reread()
        sources = [ast.parse(inspect.getsource(module)) for module in (ops, special)]
        calls = [node for source in sources for node in ast.walk(source) if isinstance(node, ast.Call)]
        rows = {call.args[0].value: call.args[3] for call in calls if ast.unparse(call.func) == "Op"}
        lines = [row(ops.TABLE[name], rows[name]) for name in rows if name in nodegrad.__all__]
        lines = ["| operation | symbol | partials |", "| - | - | - |", *lines]
        return self.parse_text_to_nodes("\n".join(lines))


def row(op, partials):
    """Return the Markdown for an operation, given the syntax of its partials."""
    rules = partials.elts if isinstance(partials, ast.Tuple) else [partials]
    named = [
        [argument.arg for argument in rule.args.args[:-1]] for rule in rules if isinstance(rule, ast.Lambda)
    ]
    operands = named[0] if named else ["x", "y", "z"][: len(rules)]
    written = [
        "0" if isinstance(rule, ast.Constant) else f"`{ast.unparse(getattr(rule, 'body', rule))}`"
        for rule in rules
    ]
    symbol = op.symbol.replace("*", r"\*")
    return f"| `{op.name}({', '.join(operands)})` | {symbol} | {', '.join(written)} |"


def public_names(module):
    """Return the names a module says are public, or else those it defines itself, without an underscore."""
    defined = [name for name, it in vars(module).items() if getattr(it, "__module__", "") == module.__name__]
    return getattr(module, "__all__", [name for name in defined if not name.startswith("_")])


def entry(name, it):
    """Return the Markdown for a function, or for a class with its methods and properties."""
    if not inspect.isclass(it):
        return described("function", name, it)
    own = [kind for kind in it.__mro__ if kind is it or not is_documented(kind)]
    every = {key: member for kind in reversed(own) for key, member in vars(kind).items()}
    members = {key: member for key, member in every.items() if key[0] != "_" and inspect.getdoc(member)}
    kinds = {key: "property" if isinstance(member, property) else "method" for key, member in members.items()}
    inner = [
        described(kinds[key], f"{name}.{key}", member)
        for key, member in members.items()
        if callable(member) or isinstance(member, property)
    ]
    return described("class", name, it, "\n".join(inner))


def is_documented(kind):
    """Return whether a class has an entry of its own, here or in the docs of another library."""
    module = importlib.import_module(kind.__module__)
    return module.__name__.partition(".")[0] != "nodegrad" or kind.__name__ in module.__all__


def described(kind, name, it, inner=""):
    """Return the Markdown for one object: its signature, its docstring, and what is inside it."""
    fence = "::::" if kind in ("function", "class") else ":::"
    text = EXAMPLE.sub("```pycon\n\\g<0>\n```\n", f"{inspect.getdoc(it) or ''}\n")
    text = SECTION.sub(lambda found: f"**{found[1]}**\n\n" + ITEM.sub(r"- `\1`", found[2]), text)
    return f"{fence}{{py:{kind}}} {name}{signature(kind, it)}\n\n{text}\n{inner}\n{fence}\n"


def signature(kind, it):
    """Return the signature as documented: short names of types, and without `self`."""
    if kind == "property":
        return ""
    try:
        written = QUALIFIER.sub("", str(inspect.signature(it)))
    except ValueError:
        return "(...)"
    if kind == "class":
        return written.removesuffix(" -> None")
    return re.sub(r"^\(self(, /)?(, )?", "(", written) if kind == "method" else written


def visit_formula(self, node):
    """Write a formula within a line as MathML, which browsers draw without a script or a network."""
    self.body.append(mathml(node))
    raise nodes.SkipNode


def visit_displayed_formula(self, node):
    """Write a formula that stands alone as MathML."""
    formula = mathml(node).replace("<math ", '<math display="block" ', 1)
    self.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def mathml(node):
    """Return a formula as MathML; with a warning, and as it is, where docutils does not understand it."""
    try:
        return latex2mathml.tex2mathml(node.astext())
    except MathError as error:
        logging.getLogger(__name__).warning("%s: %s", error, node.astext(), location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def setup(app):
    """Make the directives known to Sphinx."""
    app.add_directive("public-names", PublicNames)
    app.add_directive("operations", Operations)
    app.add_directive("made", Made)
    app.add_html_math_renderer("mathml", (visit_formula, None), (visit_displayed_formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
