"""The README and the docs: every code block runs, every prompt shows what Python answers, the site builds."""

import doctest
import io
import re
import textwrap
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)(`{3,}|:{3,})[ {]*(\w*).*\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def code_blocks(text):
    """Yield the Python in the fences of a Markdown page, each with the number of lines above it."""
    for fence in FENCE.finditer(text):
        if fence[3] in ("python", "pycon"):
            yield textwrap.dedent(fence[4]), text[: fence.start(4)].count("\n")


def run_page(text, name):
    """Run the code blocks of a page in order, as one program; those with prompts must answer as they say."""
    namespace = {"__name__": "__main__"}
    for code, line in code_blocks(text):
        if code.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
            test.globs = namespace  # not the copy: the blocks that follow know these names
            report = io.StringIO()
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            failed, _ = runner.run(test, out=report.write, clear_globs=False)
            assert not failed, report.getvalue()
        else:
            exec(compile("\n" * line + code, name, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_on_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), str(page))


def test_readme_shows_code():
    assert list(code_blocks((ROOT / "README.md").read_text(encoding="utf-8")))


def test_blocks_share_one_namespace():
    page = "```python\nx = 2\n```\n\n```pycon\n>>> y = x * x\n>>> y\n4\n```\n\n```python\nz = y + 1\n```\n"

    assert run_page(page, "page")["z"] == 5


@pytest.mark.parametrize(
    ("page", "caught"),
    [
        (
            "```pycon\n>>> 1 + 1\n3\n```\n",
            pytest.raises(AssertionError, match=r"Got:\s+2"),
        ),
        ("```python\n>>> 1 / 0\n```\n", pytest.raises(AssertionError, match="ZeroDivisionError")),
        ("```python\nx = 1\n\nx / 0\n```\n", pytest.raises(ZeroDivisionError)),
    ],
)
def test_wrong_code_on_a_page_is_caught(page, caught):
    with caught:
        run_page(page, "page")


def test_errors_point_at_the_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("text\n\n```python\nx = 1\n\nx / 0\n```\n", "page.md")

    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno) == ("page.md", 6)


def test_site_builds_without_warnings(run_python, tmp_path):
    run_python("-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path, timeout=240)

    assert 'id="nodegrad.Value"' in (tmp_path / "reference" / "api.html").read_text(encoding="utf-8")
