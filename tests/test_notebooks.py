"""The notebooks are the tutorials, and they run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))
from notebooks import INSTALL, LINK, NOTEBOOKS, SOURCE, TUTORIALS, address, notebook, written  # noqa: E402  # beside the pages


@pytest.mark.parametrize("name", TUTORIALS)
def test_notebook_is_what_the_page_makes(name):
    found = (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")

    assert found == written(name), "run python docs/notebooks.py"


def test_every_notebook_is_a_tutorial():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(TUTORIALS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_notebook_runs(name, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(Path(sys.modules["nodegrad"].__file__).parents[1]))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)

    client = nbclient.NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    done = client.execute()

    assert all(cell["execution_count"] for cell in done.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_link_on_the_page_opens_its_notebook(name):
    page = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")

    assert LINK.findall(page) == [address(name)]
    assert page.index(address(name)) < 200  # below the title


# As Colab's own page has it, https://colab.research.google.com/github/googlecolab/colabtools/blob/main/notebooks/colab-github-demo.ipynb
FORM = re.compile(
    r"https://colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/main/([\w./-]+\.ipynb)"
)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=str)
def test_links_to_notebooks_have_colab_s_form_and_lead_to_files_of_the_repository(page):
    links = re.findall(r"\((https?://[^)]*(?:colab|\.ipynb)[^)]*)\)", page.read_text(encoding="utf-8"))
    found = [FORM.fullmatch(link) for link in links]

    assert all(found), links
    assert {match[1] for match in found} <= {SOURCE.removeprefix("https://github.com/")}
    assert {match[2] for match in found} <= in_repository("examples/notebooks")
    assert links or page.name != "README.md"


def in_repository(folder):
    """List the files that git tracks below a folder; where there is no git, those that are there."""
    if not (ROOT / ".git").exists():
        return {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()}
    command = ["git", "-C", str(ROOT), "ls-files", folder]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


def test_prompts_answers_and_made_files_become_cells():
    page = "# Page\n\n```pycon\n>>> x = 1\n>>> x\n1\n```\n\nText\n\n"
    page += "```{made} a.svg\nA\n```\n\n```console\nls\n```\n"

    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(page)["cells"]]

    assert cells[:2] == [("code", INSTALL), ("markdown", "# Page")]
    assert cells[2:4] == [("code", "x = 1\nx"), ("markdown", "Text")]
    assert "display(SVG(filename='a.svg'))" in cells[4][1]
    assert cells[5] == ("markdown", "```console\nls\n```")
