"""Every example runs in its quick size, shows or saves something, and stays short."""

import re
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
    quick = ["--quick"] * ("--quick" in example.read_text(encoding="utf-8"))
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
def test_example_is_short(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) < LONGER.get(example.name, 60)


def test_digits_held_out_are_recognised(run_python):
    printed = run_python("-W", "error", EXAMPLES[0].with_name("digits.py"))

    shares = re.findall(r"([\d.]+)%", printed.splitlines()[-1])
    assert len(shares) == 5
    assert min(map(float, shares)) >= 97.0
