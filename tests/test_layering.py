"""Imports point one way: along the core, from ops to check; all else stands on it."""

import ast
import graphlib
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

import nodegrad

PACKAGE = Path(nodegrad.__file__).parent
CORE = [
    "files",
    "inputs",
    "forks",
    "floats",
    "code_objects",
    "ops",
    "special",
    "graph",
    "patterns",
    "observers",
    "products",
    "sweep",
    "backward",
    "interfaces",
    "value",
    "composites",
    "functions",
    "extend",
    "trees",
    "vector_mode",
    "runs",
    "transforms",
    "loops",
    "solutions",
    "check",
]
ABOVE = ["nn", "optim", "data", "training", "show", "compiler", "diagnose"]
RARE = ["composites", "loops", "solutions", "check"]  # parts of the core that are loaded on first use
CORE_ONLY = {"optim": [], "data": [], "compiler": [], "nn": ["data", "optim", "compiler"]}  # besides the core
ASKED_FOR = {
    ("trees", "scipy.sparse.csr_array")
}  # what the core imports on a call that is about it: sparse=True
KNOW_NO_VALUE = ["compiler.program", "compiler.passes", "compiler.vectorize", "compiler.backends"]


class Import(NamedTuple):
    """Who imports what, and when: on loading, on a call, or never but for typing."""

    module: str
    target: str
    when: str


LOADERS = ("import_module", "importlib.import_module", "__import__")


def modules(package):
    """Return the files of a package by dotted name within it; its own name there is the empty string."""
    names = {path: path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py")}
    return {".".join(part for part in parts if part != "__init__"): path for path, parts in names.items()}


def imports(package):
    """Return every import of a package, at any depth; targets within it are modules, without its name."""
    files = modules(package)
    found = []
    for module, path in files.items():
        inside = [package.name, *filter(None, module.split("."))]
        if path.name != "__init__.py":
            inside.pop()
        for name, when in statements(ast.parse(path.read_text(encoding="utf-8")), inside):
            root, _, target = name.partition(".")
            while root == package.name and target not in files and target:
                target = target.rpartition(".")[0]
            found.append(Import(module, f".{target}" if root == package.name else name, when))
    return found


def statements(node, inside, when="loading"):
    """Yield the imports below a syntax node as (absolute dotted name, when it runs)."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        when = "call"
    if isinstance(node, ast.Import):
        yield from ((alias.name, when) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = inside[: len(inside) + 1 - node.level] if node.level else []
        source = ".".join([*base, *filter(None, [node.module])])
        yield from ((f"{source}.{alias.name}", when) for alias in node.names)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS:
        yield from ((name.value, "call") for name in node.args if isinstance(name, ast.Constant))
    typed = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for inner in ast.iter_child_nodes(node):
        yield from statements(inner, inside, "typing" if typed and inner in node.body else when)


def unit(module):
    """Return the part of the package a module belongs to: `compiler` for `compiler.backends.numpy`."""
    return module.removeprefix(".").partition(".")[0]


def reachable(module, found):
    """Return the modules of the package that a module imports, for types too, or loads by doing so."""
    own = [entry._replace(target=entry.target[1:]) for entry in found if entry.target.startswith(".")]
    todo = [target for source, target, _ in own if source == module]
    seen = set()
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [target for source, target, when in own if source == current and when != "typing"]
    return seen


def faults(package, third_party):
    """Return a sentence for each import that points the wrong way and each module without a place."""
    found = imports(package)
    messages = [
        f"{module} has no place in the layers"
        for module in modules(package)
        if module and unit(module) not in CORE + ABOVE
    ]
    for module, target, when in found:
        source, own = unit(module), target.startswith(".")
        if not own and unit(target) not in sys.stdlib_module_names:
            if when == "call" and (module, target) in ASKED_FOR:
                continue
            if module == "" or source in CORE:
                messages.append(f"{module or '__init__'} is core and imports {target}")
            elif unit(target) not in third_party:
                messages.append(f"{module} imports {target}, which pyproject.toml does not declare")
        elif own and source in CORE and when != "typing":
            allowed = CORE[: CORE.index(source) + 1]
            if unit(target) not in allowed:
                messages.append(f"{module} is core and imports upwards: {target}")
        elif own and source in CORE_ONLY and when != "typing":
            if unit(target) not in [source, "", *CORE, *CORE_ONLY[source]]:
                messages.append(f"{module} stands on the core alone and imports {target[1:]}")
        elif own and module == "" and when == "loading" and unit(target) not in ["", *CORE]:
            messages.append(f"__init__ imports {target}, which is to be loaded on first use")
    for module in modules(package):
        if any(module == name or module.startswith(f"{name}.") for name in KNOW_NO_VALUE):
            known = reachable(module, found) & {"", "value"}
            messages += [f"{module} knows Value, through {name or '__init__'}" for name in known]
    return messages + cycles(found)


def cycles(found):
    """Return a sentence for a cycle among the imports if there is one; imports within functions count."""
    graph = {}
    for module, target, when in found:
        lazy = when == "typing" or (module == "" and when == "call")  # public names, loaded on first use
        if target.startswith(".") and not lazy and module != target[1:]:
            graph.setdefault(module, set()).add(target[1:])
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"imports go round in a circle: {' -> '.join(name or '__init__' for name in error.args[1])}"]
    return []


def declared():
    """Return the names that the dependencies in pyproject.toml are imported by."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["all"]
    wanted = {normal(re.match(r"[\w-]+", requirement)[0]) for requirement in requirements}
    found = packages_distributions().items()
    return {name for name, providers in found if wanted & set(map(normal, providers))}


def normal(distribution):
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_imports_point_one_way():
    assert faults(PACKAGE, declared()) == []


def test_core_is_there_and_read():
    found = imports(PACKAGE)

    assert {"ops", "graph", "sweep", "value", "functions", "transforms"} <= modules(PACKAGE).keys()
    assert Import("value", ".ops", "loading") in found
    assert reachable("transforms", found) >= {"ops", "graph", "sweep", "value"}


GOOD = {
    "__init__.py": "from .value import Value\n\ndef __getattr__(name):\n    from .nn import MLP\n",
    "ops.py": "import math\nif typing.TYPE_CHECKING:\n    from .value import Value\n",
    "value.py": "from nodegrad import ops\nfrom .ops import TABLE\n",
    "nn/__init__.py": "from .layers import MLP\n",
    "nn/layers.py": "import numpy as np\nfrom ..value import Value\n",
    "compiler/__init__.py": "from nodegrad.compiler.lower import lower\n",
    "compiler/lower.py": "from ..value import Value\nfrom .program import Program\n",
    "compiler/program.py": "from nodegrad.ops import TABLE\n",
}


def write(package, files):
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_checker_accepts_the_layers(tmp_path):
    write(tmp_path / "nodegrad", GOOD)

    assert faults(tmp_path / "nodegrad", {"numpy"}) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ops.py", "from .value import Value\n", "ops is core and imports upwards: .value"),
        (
            "ops.py",
            "def f():\n    from nodegrad.value import Value\n",
            "ops is core and imports upwards: .value",
        ),
        ("ops.py", "from . import nn\n", "ops is core and imports upwards: .nn"),
        ("value.py", "import nodegrad.nn.layers\n", "value is core and imports upwards: .nn.layers"),
        ("value.py", "from nodegrad import Value\n", "value is core and imports upwards: ."),
        ("value.py", "import numpy\n", "value is core and imports numpy"),
        ("value.py", "def f():\n    import numpy.linalg\n", "value is core and imports numpy.linalg"),
        ("__init__.py", "from .nn import MLP\n", "__init__ imports .nn, which is to be loaded on first use"),
        (
            "nn/layers.py",
            "import pandas\n",
            "nn.layers imports pandas, which pyproject",
        ),
        ("helpers.py", "", "helpers has no place in the layers"),
        ("compiler/program.py", "from ..value import Value\n", "compiler.program knows Value, through value"),
        ("compiler/program.py", "import nodegrad\n", "compiler.program knows Value, through __init__"),
        ("compiler/passes.py", "from .lower import lower\n", "compiler.passes knows Value, through value"),
        ("compiler/backends/numpy.py", "from ...value import V\n", "compiler.backends.numpy knows Value"),
        (
            "compiler/lower.py",
            "from ..nn import MLP\n",
            "compiler.lower stands on the core alone and imports nn",
        ),
        ("nn/layers.py", "from . import MLP\n", "imports go round in a circle: nn"),
        (
            "compiler/passes.py",
            "def f():\n    from ..nn import MLP\n",
            "compiler.passes stands on the core alone and imports nn",
        ),
        (
            "compiler/program.py",
            "def f():\n    from .lower import lower\n",
            "imports go round in a circle: compiler.",
        ),
        (
            "compiler/program.py",
            "import importlib\n\ndef f():\n    importlib.import_module('nodegrad.compiler.lower')\n",
            "imports go round in a circle: compiler.",
        ),
        (
            "compiler/program.py",
            "def f():\n    __import__('nodegrad.compiler.lower')\n",
            "imports go round in a circle: compiler.",
        ),
    ],
)
def test_checker_catches_a_planted_fault(tmp_path, name, text, message):
    files = {"compiler/passes.py": "", "compiler/backends/numpy.py": ""}
    write(tmp_path / "nodegrad", GOOD | files | {name: text})

    assert any(message in fault for fault in faults(tmp_path / "nodegrad", {"numpy"}))


LOADED = "import sys; before = set(sys.modules); import nodegrad; print(*set(sys.modules) - before)"


def test_import_loads_the_standard_library_only(run_python):
    loaded = run_python("-c", LOADED).split()

    assert {unit(name) for name in loaded} - sys.stdlib_module_names == {"nodegrad"}


def test_import_loads_the_core_only(run_python):
    loaded = run_python("-c", LOADED).split()

    assert "nodegrad.value" in loaded
    assert not {f"nodegrad.{name}" for name in [*ABOVE, *RARE]} & set(loaded)
