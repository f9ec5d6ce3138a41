"""The tutorials as notebooks: `python docs/notebooks.py` writes examples/notebooks anew from the pages.

Prose becomes Markdown cells, code becomes cells without its prompts, and pages that the code makes are shown.
The first cell installs nodegrad where it is missing, as on Colab, to which the link on a page leads.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from pages import FENCE  # beside this file: tests use it too

DOCS = Path(__file__).parent
NOTEBOOKS = DOCS.parent / "examples" / "notebooks"
TUTORIALS = ("first-gradient", "computation-graph", "gradient-descent", "line-fit", "four-layers")
SOURCE = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
    "Source"
]
COLAB = f"https://colab.research.google.com/github/{SOURCE.removeprefix('https://github.com/')}/blob/main/"
INSTALL = f"""try:
    import nodegrad
except ImportError:
    %pip install -q 'nodegrad[all] @ git+{SOURCE}'"""
LINK = re.compile(r"^\[Open this page as a notebook\.\]\((.*)\)\n\n", re.MULTILINE)
MADE = re.compile(r"^```\{made\} (\S+)\n(.*?)\n?```$", re.MULTILINE | re.DOTALL)


def notebook(text):
    """Return the notebook of a page."""
    text = LINK.sub("", text, count=1)
    cells, start = [("code", INSTALL)], 0
    for fence in FENCE.finditer(text):
        made = MADE.match(fence[0])
        if fence[3] not in ("python", "pycon") and not made:
            continue
        cells.append(("markdown", text[start : fence.start()].strip()))
        cells.append(("code", shown(made[1]) if made else without_prompts(fence[4])))
        start = fence.end()
    cells.append(("markdown", text[start:].strip()))
    return {
        "cells": [cell(kind, content, at) for at, (kind, content) in enumerate(cells) if content],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(kind, content, at):
    """Return one cell; its id is its place, so that a change of one leaves the others alone."""
    found = {
        "cell_type": kind,
        "id": f"cell-{at}",
        "metadata": {},
        "source": content.splitlines(keepends=True),
    }
    return found | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def without_prompts(code):
    """Return the code that stands behind prompts; code without prompts is returned as it is."""
    if not code.lstrip().startswith(">>>"):
        return code.strip()
    lines = [line[4:] for line in code.splitlines() if line.startswith((">>>", "..."))]
    return "\n".join(lines).strip()


def shown(name):
    """Return the code that shows a file."""
    kinds = {".svg": "SVG", ".png": "Image", ".md": "Markdown"}
    kind = kinds.get(Path(name).suffix)
    if kind:
        return f"from IPython.display import {kind}, display\n\ndisplay({kind}(filename={name!r}))"
    if name.endswith(".html"):
        return f"from IPython.display import IFrame, display\n\ndisplay(IFrame({name!r}, '100%', 720))"
    return f"print(open({name!r}).read())"


def address(name):
    """Return where a tutorial's notebook opens."""
    return f"{COLAB}examples/notebooks/{name}.ipynb"


def written(name):
    """Return the text of a tutorial's notebook."""
    page = (DOCS / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return json.dumps(notebook(page), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    NOTEBOOKS.mkdir(exist_ok=True)
    for tutorial in TUTORIALS:
        (NOTEBOOKS / f"{tutorial}.ipynb").write_text(written(tutorial), encoding="utf-8")
