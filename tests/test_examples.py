"""Every example runs in its quick size, shows or saves something, and stays short."""

import ast
import re
import sys
from pathlib import Path

import pytest

LONGER = {
    "character_gpt.py": 115,  # a whole transformer, every layer written out
    "digits.py": 80,  # it chooses its settings, too
}
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_main_example_is_there():
    assert "train_mlp.py" in [example.name for example in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_runs(example, run_python, tmp_path):
    quick = ["--quick"] if '"--quick"' in example.read_text(encoding="utf-8") else []
    printed = run_python("-W", "error", example, *quick)

    saved = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert printed.strip() or saved
    assert all(path.stat().st_size for path in saved)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_option_of_an_example_is_used(example):
    text = example.read_text(encoding="utf-8")

    named = re.findall(r'add_argument\(\s*"--(\w+)"', text)
    assert [name for name in named if not re.search(rf"(options|parse_args\(\))\.{name}\b", text)] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_refuses_options_that_it_does_not_know(example):
    text = example.read_text(encoding="utf-8")

    assert "sys.argv" not in text  # which would take a misspelt option in silence
    assert re.search(r"\bparse_args\(\)", text)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_import_that_may_fail_says_what_to_install(example):
    lines = example.read_text(encoding="utf-8").splitlines()
    imports = [
        node for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    for node in imports:
        name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "nodegrad"}:
            assert "  # pip install " in lines[node.lineno - 1]  # Python shows the line, with its comment


def test_the_error_of_a_missing_library_shows_what_to_install(run_python, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('No module named matplotlib')")

    with pytest.raises(
        AssertionError, match="import matplotlib.pyplot as plt  # pip install 'nodegrad\\[all\\]'"
    ):
        run_python("-c", f"import runpy; runpy.run_path({str(EXAMPLES[0].with_name('line_fit.py'))!r})")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) < LONGER.get(example.name, 60)


def test_digits_held_out_are_recognised(run_python):
    printed = run_python("-W", "error", EXAMPLES[0].with_name("digits.py"))

    shares = re.findall(r"([\d.]+)%", printed.splitlines()[-1])
    assert len(shares) == 5
    assert min(map(float, shares)) >= 97.0
