"""The documentation: `python -m sphinx -W -b html docs docs/_build/html`."""

import importlib
import inspect
import re

from sphinx.util.docutils import SphinxDirective

project = "nodegrad"
author = "The nodegrad developers"
copyright = author
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "nodegrad"
html_show_sphinx = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

EXAMPLE = re.compile(r"(?:^>>> .*\n(?:.+\n)*\n*)+", re.MULTILINE)


class PublicNames(SphinxDirective):
    """Document every name in `__all__` of a module; its docstrings are Markdown, as the pages are."""

    required_arguments = 1

    def run(self):
        """Return the nodes of all entries."""
        module = importlib.import_module(self.arguments[0])
        names = [name for name in sorted(module.__all__, key=str.lower) if not name.startswith("_")]
        objects = [(f"{module.__name__}.{name}", getattr(module, name)) for name in names]
        text = "\n".join(entry(name, it) for name, it in objects if callable(it))
        return self.parse_text_to_nodes(text)


def entry(name, it):
    """Return the Markdown for a function, or for a class with its methods and properties."""
    if not inspect.isclass(it):
        return described("function", name, it)
    members = {key: member for key, member in vars(it).items() if key[0] != "_" and inspect.getdoc(member)}
    kinds = {key: "property" if isinstance(member, property) else "method" for key, member in members.items()}
    inner = [
        described(kinds[key], f"{name}.{key}", member)
        for key, member in members.items()
        if callable(member) or isinstance(member, property)
    ]
    return described("class", name, it, "\n".join(inner))


def described(kind, name, it, inner=""):
    """Return the Markdown for one object: its signature, its docstring, and what is inside it."""
    fence = "::::" if kind in ("function", "class") else ":::"
    docstring = inspect.getdoc(it) or ""
    text = re.sub(EXAMPLE, "```pycon\n\\g<0>\n```\n", f"{docstring}\n")
    return f"{fence}{{py:{kind}}} {name}{signature(kind, it)}\n\n{text}\n{inner}\n{fence}\n"


def signature(kind, it):
    """Return the signature as documented: without `self`, and without one where Python knows none."""
    if kind == "property":
        return ""
    try:
        written = str(inspect.signature(it))
    except ValueError:
        return "(...)"
    return re.sub(r"^\(self(, /)?(, )?", "(", written) if kind == "method" else written


def setup(app):
    """Make the directive known to Sphinx."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
