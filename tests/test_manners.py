"""What surrounds the code: metadata, workflows, templates. They say what the code says."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import nodegrad

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOME = "https://github.com/nodegrad/nodegrad"
YAML = sorted([*ROOT.glob(".*.yaml"), *ROOT.glob("*.cff"), *(ROOT / ".github").rglob("*.yml")])
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"')


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_configuration_is_a_mapping(path):
    assert isinstance(load(path), dict)


def test_pythons_tested_are_those_promised():
    promised = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    matrix = load(ROOT / ".github/workflows/tests.yml")["jobs"]["platforms"]["strategy"]["matrix"]

    assert matrix["python"] == promised
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert PROJECT["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_may_write_nothing_they_do_not_need_and_end_in_time(path):
    workflow = load(path)

    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert set(job.get("permissions", {"id-token": "write"})) == {"id-token"}


def test_files_that_workflows_run_exist():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    named = set(re.findall(r"(?:bash|python) (\S*[./]\S+)|See (docs/\S+\.md)", text))

    assert {(".ci/run", ""), ("", "docs/how-to/release.md")} <= named
    assert all((ROOT / (script or page)).exists() for script, page in named)


def test_release_goes_to_testpypi_first_and_needs_no_token():
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]

    assert (jobs["testpypi"]["needs"], jobs["pypi"]["needs"]) == ("build", "testpypi")
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert not re.search(r"secrets\.|password", text)


def test_citation_has_the_version_of_the_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    citation = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", readme, re.MULTILINE))

    assert citation["version"] == nodegrad.__version__
    assert citation["url"] == HOME
    assert citation["license"] == PROJECT["license"]


def test_one_address_is_used_throughout():
    pages = [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.*"), *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)

    found = set(re.findall(r"https://github\.com/([\w-]+/nodegrad)\b", text))
    assert found == {"nodegrad/nodegrad"}
    assert all(url.startswith((HOME, "https://nodegrad.readthedocs.io")) for url in PROJECT["urls"].values())


def relative_links(text):
    """Return the links and pictures of a page that are not addresses on the web."""
    found = [link or source for link, source in LINK.findall(text)]
    return [link for link in found if not re.match(r"https?://|#|mailto:", link)]


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *(ROOT / ".github").glob("*.md")], ids=lambda page: page.name
)
def test_links_between_files_lead_somewhere(page):
    links = relative_links(page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []
