"""Types as users' checkers see them: what is public has a signature, and what is misspelt is an error."""

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

import nodegrad as ng
from nodegrad import Value, ops

ROOT = Path(__file__).parents[1]
STUB = ROOT / "src" / "nodegrad" / "methods.pyi"
HEAD = '''"""The operators and methods of Value that are derived from the table, for type checkers.

`python tests/test_typing.py` writes this file.
"""

from typing import Any, NoReturn

from nodegrad.value import Value

class Methods:
'''
FAULT = re.compile(r"^(.+?):(\d+): error", re.MULTILINE)
UNCOMMON = {"__eq__", "__ne__"}  # recorded comparisons, as in PyTorch


def methods():
    """Return the stub of all that is added to Value after its class is defined."""
    body = (ROOT / "src" / "nodegrad" / "value.py").read_text(encoding="utf-8")
    written = set(re.findall(r"^    def (\w+)", body, re.MULTILINE)) | set(Value.__slots__)
    for names in re.findall(r"^    ((?:\w+ = )+)", body, re.MULTILINE):
        written |= set(names.split(" = "))
    lines = [
        declaration(name, method)
        for name, method in sorted(vars(Value).items())
        if name not in written and callable(method) and name not in ("__hash__", "__dir__")
    ]
    return HEAD + "".join(lines)


def declaration(name, method):
    """Return the line that declares a method or an operator."""
    op, refuses = ops.TABLE.get(method.__name__), method.__annotations__["return"] is NoReturn
    operands = op.arity - 1 if op else 1 if name.startswith("__") and not refuses else 0
    parameters = ", ".join(["self", *["other: Any"] * operands])
    ignored = "  # type: ignore[override]" if name in UNCOMMON else ""
    return f"    def {name}({parameters}) -> {'NoReturn' if refuses else 'Value'}: ...{ignored}\n"


def test_methods_derived_from_the_table_are_declared():
    assert STUB.read_text(encoding="utf-8") == methods()


def test_names_loaded_on_first_use_are_declared():
    source = (ROOT / "src" / "nodegrad" / "__init__.py").read_text(encoding="utf-8")
    declared = re.findall(r"\b(\w+) as \1\b", source)

    assert sorted(declared) == sorted(ng._LATER)


GOOD = """
import nodegrad as ng
from nodegrad import Value, grad
from nodegrad.show import Recorder

x = Value(2.0, label="x")
y = x.tanh() + ng.tanh(x) * 2 - 1.0 / x
y += 3 if x > 1 else -x
y.backward(seed=2.0)
print(f"{y:.2f}", x.grad, y.operands[0].atan2(1.0).data, abs(x), round(x, 2), 2**x, x // 2, x == y)
model = ng.nn.MLP(2, [3, 1], activation="tanh", seed=1)
history = ng.fit(model, [[0.0, 1.0]], [1.0], epochs=3)
print(history.losses, grad(ng.sin)(2.0), ng.compile(ng.exp)(1.0), ng.softmax([x, y]))
ng.draw(y).save("graph.svg")
print(ng.explain(y, wrt=x), ng.paths(y, x), ng.player(y), ng.stats(y).depth, Recorder)
with ng.recording(), ng.detect_anomaly():
    optimizer = ng.optim.Adam(model.parameters())
ng.plots.loss_curve(history.losses)
print(ng.training.dask_fit, ng.load_compiled("f.json").map([1.0]))
print(ng.data.make_moons(4), ng.training.History, ng.show.Drawing, ng.training_player)
"""

BAD = """
import nodegrad as ng
from nodegrad import Value
ng.tahn(1.0)
Value(1.0).tahn()
ng.nn.MLP(2, [3], actvation="tanh")
ng.fit(ng.nn.MLP(2, [3]), [[1.0, 2.0]], [1.0], epoch=3)
ng.grad(ng.sin, argnum=0)
ng.jvp(ng.sin, (1.0,))
Value(1.0).backward(sead=1.0)
ng.show.drawing_of
ng.optim.Adma
ng.training.dask_ft
ng.load_compiled("f.json").mapp([1.0])
ng.compile(ng.sin, exakt=True)
ng.recordin()
Value(1.0).opperands
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the lines that each checker finds fault with, by checker and by file."""
    directory = tmp_path_factory.mktemp("typing")
    (directory / "good.py").write_text(GOOD, encoding="utf-8")
    (directory / "bad.py").write_text(BAD, encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 1
    for number, block in enumerate(blocks):  # a name may mean another thing in the next
        lines = ["import nodegrad as ng\n", *(x.source for x in doctest.DocTestParser().get_examples(block))]
        (directory / f"readme_{number}.py").write_text("".join(lines), encoding="utf-8")
    examples = sorted((ROOT / "examples").glob("*.py"))
    files = [*sorted(directory.glob("*.py")), *examples]
    return {"mypy": mypy(directory, files), "pyright": pyright(directory, files)}


def mypy(directory, files):
    pytest.importorskip("mypy")
    arguments = ["--strict", "--cache-dir", str(directory / "cache"), "--ignore-missing-imports"]
    own = ["--allow-untyped-defs", "--allow-untyped-calls", "--no-warn-unused-ignores"]  # the user's affair
    printed = run([sys.executable, "-m", "mypy", *arguments, *own, *map(str, files)], directory)
    return sorted((Path(file).name, int(line)) for file, line in FAULT.findall(printed))


def pyright(directory, files):
    pytest.importorskip("pyright")
    settings = {"extraPaths": [str(ROOT / "src")], "reportMissingModuleSource": False}
    settings |= {"include": [str(file) for file in files], "reportMissingImports": False}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    printed = run([sys.executable, "-m", "pyright", "--outputjson", "-p", str(directory)], directory)
    reports = json.loads(printed[printed.index("{") :])["generalDiagnostics"]
    return sorted(
        (Path(report["file"]).name, report["range"]["start"]["line"] + 1)
        for report in reports
        if report["severity"] == "error"
    )


def run(command, directory):
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300)
    return ran.stdout


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_correct_code_checks_clean(found, checker):
    assert [fault for fault in found[checker] if fault[0] != "bad.py"] == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_every_misspelt_name_and_argument_is_an_error(found, checker):
    wrong = {line for line, text in enumerate(BAD.splitlines(), 1) if text and "import" not in text}

    assert {line for file, line in found[checker] if file == "bad.py"} == wrong


if __name__ == "__main__":
    STUB.write_text(methods(), encoding="utf-8")
