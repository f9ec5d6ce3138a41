"""What the docs name is there: files, public names, the modules of a list, numbers quoted from the code."""

import functools
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import nodegrad
from nodegrad.compiler.backends import numpy as numpy_backend
from test_layering import CORE

ROOT = Path(__file__).parents[1]
FOLDERS = ["src", "tests", "docs", "examples", ".github", ".ci"]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
READMES = [page for page in PAGES if page.name == "README.md" and page.parent != ROOT]
FENCE = re.compile(r"^( *)(`{3,}|:{3,}).*\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
FILE = re.compile(
    r"[\w./*-]+\.(?:pyi?|md|toml|js|css|html|c|svg|png|dat|txt|json|ya?ml|cff|ipynb)|(?:[\w.-]+/)+|\.\w+/[\w./-]+"
)
NAME = re.compile(r"(?<![\w./])(?:ng|nodegrad)((?:\.[^\W\d]\w*)+)(?![\w/-])")
MEMBER = re.compile(r"([A-Za-z]\w*)\.(\w+)(?:\(.*\))?(?<!\.py)(?<!\.md)")  # not a file
NO_LONGER = re.compile(r"^### Removed\n(?:(?!##).*\n)*", re.MULTILINE)  # of the changelog: names of the past
QUOTED = [  # a page, the text around a number on it, and the number in the code
    ("docs/how-to/look-at-a-graph.md", r"Above (\d+) nodes", "show.drawing.draw.FOLD_ABOVE"),
    ("docs/how-to/look-at-a-graph.md", r"more than (\d+) nodes begin", "show.players.graph.FOLD_ABOVE"),
    ("docs/how-to/look-at-a-graph.md", r"every node, up to ([\d,]+)", "show.players.graph.IN_FULL"),
    ("docs/how-to/look-at-a-graph.md", r"more than ([\d,]+) nodes, play", "show.players.graph.MOST"),
    (
        "src/nodegrad/show/players/graph.py",
        r"there are more than (\d+) nodes",
        "show.players.graph.FOLD_ABOVE",
    ),
    ("src/nodegrad/show/players/graph.py", r"if there are ([\d,]+) at most", "show.players.graph.IN_FULL"),
    ("src/nodegrad/show/players/graph.py", r"has more than ([\d,]+) nodes", "show.players.graph.MOST"),
    ("src/nodegrad/show/players/training.py", r"at most (\d+) parameters", "show.players.training.MOST"),
    (
        "src/nodegrad/show/explaining/explain.py",
        r"more than (\d+) nodes",
        "show.explaining.chain_rule.IN_FULL",
    ),
    ("docs/how-to/write-a-loop.md", r"\(([\d,]+) by default\)", "loops.while_loop(limit)"),
    ("docs/how-to/write-a-loop.md", r"more than (\d+) of them", "loops._WIDE"),
    ("src/nodegrad/compiler/README.md", r"first (\d+) rows without", "compiler.ways._WATCHED"),
    ("docs/how-to/explain-a-derivative.md", r"more than (\d+) nodes", "show.explaining.chain_rule.IN_FULL"),
    ("docs/how-to/check-a-gradient.md", r"halved up to (\d+) times", "check._LEVELS"),
    ("docs/how-to/check-a-gradient.md", r"tolerance=([\de-]+)", "check.check_grad(tolerance)"),
    ("docs/how-to/compile-a-function.md", r"up to ([\d,]+) instructions", "compiler.program.UNCHECKED"),
    ("src/nodegrad/compiler/README.md", r"up to ([\d,]+) instructions", "compiler.program.UNCHECKED"),
    ("src/nodegrad/compiler/README.md", r"from ([\d,]+) operations on", "compiler.eager._FEW"),
    ("src/nodegrad/compiler/README.md", r"it has come (\d+) times", "compiler.ways._AGAIN"),
    ("src/nodegrad/compiler/README.md", r"has run some ([\d,]+) operations", "compiler.ways._RUN_BEFORE"),
    ("src/nodegrad/compiler/README.md", r"plus one row in (\d+),", "compiler.ways._SHARE"),
    ("src/nodegrad/compiler/README.md", r"looked at, then one in (\d+)", "compiler.eager.RARELY"),
    ("src/nodegrad/compiler/README.md", r"or at (\d+) of them", "compiler.ways._SAMPLE"),
    ("src/nodegrad/compiler/README.md", r"if there are more than (\d+)", "compiler.ways._FEW_ROWS"),
    ("docs/how-to/compile-a-function.md", r"which takes some (\d+) calls", "compiler.ways._AGAIN"),
    ("docs/how-to/compile-a-function.md", r"The (\d+) files used last", "compiler.backends.llvm.kept._MOST"),
    ("docs/how-to/train-in-a-page.md", r"up to ([\d,]+) parameters", "show.players.playground.MOST"),
    ("docs/how-to/train-in-a-page.md", r"on up to ([\d,]+) rows", "show.players.playground.MOST"),
    (
        "docs/how-to/train-in-a-page.md",
        r"learning rate of ([\d.]+) here",
        "show.players.playground._RATES[adam]",
    ),
    ("docs/how-to/train-in-a-page.md", r"With the ([\d.]+) of", "optim.Adam(learning_rate)"),
    ("docs/how-to/write-a-module.md", r"more than ([\d,]+) parameters", "nn.module._READABLE"),
    ("docs/how-to/write-a-module.md", r"at least (\d+) of them is one", "nn.module._LONG"),
    ("docs/how-to/compile-a-function.md", r"llvmlite ([\d.]+) or later", "compiler.backends._OLDEST"),
    ("pyproject.toml", r"llvmlite>=([\d.]+)", "compiler.backends._OLDEST"),
    ("README.md", r"machine with Python ([\d.]+) or newer", "dev.py"),
]


@functools.cache
def existing():
    """Return every file and folder of the project, with a slash before it and one behind a folder."""
    tops = [*(path for path in ROOT.iterdir() if path.is_file()), *(ROOT / folder for folder in FOLDERS)]
    found = [*tops, *(path for top in tops for path in top.rglob("*"))]
    return [f"/{path.relative_to(ROOT).as_posix()}{'/' * path.is_dir()}" for path in found]


def spans(text):
    """Yield what stands between backticks on a page, code blocks aside."""
    for _, inside in INLINE.findall(FENCE.sub("", text)):
        yield " ".join(inside.split())


def missing_files(text):
    """Return the files that a page names, but neither the project nor a code block of the page."""
    code = "".join(block for *_, block in FENCE.findall(text))
    named = {span for span in spans(text) if FILE.fullmatch(span) and span not in code}
    return sorted(name for name in named if not _exists(name.removeprefix("../").removeprefix("./")))


def _exists(name):
    pattern = re.escape(f"/{name}").replace(r"\*", "[^/]*")
    return any(re.search(f"{pattern}$", path) for path in existing())


def missing_names(text):
    """Return the public names that a page writes as `ng.name` or `nodegrad.name` and that are not there."""
    named = {found[1] for span in spans(text) for found in NAME.finditer(span)}
    return sorted(name for name in named - {".NAME"} if not _resolves(name[1:].split(".")))


def _resolves(names):
    it = nodegrad
    for name in names:
        if not hasattr(it, name) and inspect.ismodule(it):
            try:
                importlib.import_module(f"{it.__name__}.{name}")
            except ImportError:
                return False
        if not hasattr(it, name):
            return False
        it = getattr(it, name)
    return True


@functools.cache
def parts():
    """Return the modules and classes of the package by name; modules by the last part of theirs, too."""
    found = {}
    for info in pkgutil.walk_packages(nodegrad.__path__, "nodegrad."):
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # of an extra that is not installed
            continue
        if module is not numpy_backend:  # in docstrings `numpy` is the library
            found.setdefault(info.name.rpartition(".")[2], []).append(module)
        for name, it in vars(module).items():
            if inspect.isclass(it) and it.__module__ == info.name:
                found.setdefault(name, []).append(it)
    return found


def missing_members(text):
    """Return what is written as `Class.member` or `module.name` and does not exist in the package."""
    named = {found[0]: found.groups() for found in map(MEMBER.fullmatch, spans(text)) if found}
    return sorted(
        span
        for span, (owner, name) in named.items()
        if owner in parts() and not any(_has(it, name) for it in parts()[owner])
    )


def _has(it, name):
    if hasattr(it, name):
        return True
    sources = [inspect.getsource(kind) for kind in it.__mro__[:-1]] if inspect.isclass(it) else []
    return any(re.search(rf"self\.{name}\b|^ +{name}: ", source, re.MULTILINE) for source in sources)


def relative(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [*PAGES, *SOURCES], ids=relative)
def test_files_named_exist(page):
    assert missing_files(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [*PAGES, *SOURCES], ids=relative)
def test_names_written_exist(page):
    text = page.read_text(encoding="utf-8")

    assert missing_names(NO_LONGER.sub("", text) if page.name == "CHANGELOG.md" else text) == []


@pytest.mark.parametrize("page", [*READMES, *SOURCES], ids=relative)
def test_members_written_exist(page):
    assert missing_members(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("readme", READMES, ids=relative)
def test_readme_of_a_folder_or_of_one_above_names_every_file_in_it(readme):
    above = [page for page in READMES if readme.is_relative_to(page.parent)]
    named = {span for page in above for span in spans(page.read_text(encoding="utf-8"))}

    inside = {path.name for path in readme.parent.glob("*.py")} - {"__init__.py", "conftest.py"}
    assert sorted(inside - named) == []


def test_layers_are_listed_in_the_order_of_imports():
    text = (ROOT / "docs" / "explanation" / "layers.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert listed == CORE


@pytest.mark.parametrize(("page", "pattern", "source"), QUOTED, ids=str)
def test_number_quoted_is_that_of_the_code(page, pattern, source):
    found = re.findall(pattern, " ".join((ROOT / page).read_text(encoding="utf-8").split()))

    assert [number.replace(",", "") for number in found] == [written(source)]


def written(source):
    """Return a number in the code as pages write it: of a module, of a signature, or the oldest Python."""
    if source == "dev.py":
        return ".".join(re.search(r"version_info < \((\d+), (\d+)\)", (ROOT / source).read_text()).groups())
    source, _, key = source.rstrip("]").partition("[")
    place, _, parameter = source.rstrip(")").partition("(")
    module, _, name = place.rpartition(".")
    it = getattr(importlib.import_module(f"nodegrad.{module}"), name)
    value = inspect.signature(it).parameters[parameter].default if parameter else it[key] if key else it
    return ".".join(map(str, value)) if isinstance(value, tuple) else str(value).replace("e-0", "e-")


def test_missing_files_and_names_are_noticed():
    names = "`ng.tanh(x)`, `ng.tahn`, `nodegrad.nn.MPL`, `y = ng.grad(ng.sinn)`, `https://nodegrad.example`"
    files = (
        "`ops.py`, `tests/test_*.py`, `head.c`, `opps.py`, `tests/no/`, `heads.c`, `methodz.pyi`, `grap.svg`"
    )

    members = "`Value.data`, `Value.dta`, `products.union`, `products.unoin`, `Compiled.map`, `random.Random`"

    assert missing_members(members) == ["Value.dta", "products.unoin"]
    assert missing_names(names) == [".nn.MPL", ".sinn", ".tahn"]
    assert missing_files(files) == ["grap.svg", "heads.c", "methodz.pyi", "opps.py", "tests/no/"]


def test_files_that_a_page_makes_need_not_exist():
    assert missing_files("Write `mine.toml`:\n\n```console\nedit mine.toml\n```\n") == []
