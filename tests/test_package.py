"""The package as users get it: what the wheel holds, and that it works without the source tree."""

import email
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nodegrad
from test_manners import HOME, relative_links

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nodegrad"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel; the build sees nothing but the project."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel, which holds nothing but Python, by unpacking it into a directory of its own."""
    directory = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(directory)
    return directory


@pytest.fixture
def metadata(installed):
    """Return the metadata that package indexes read."""
    return email.message_from_string(next(installed.glob("*.dist-info/METADATA")).read_text(encoding="utf-8"))


def test_wheel_holds_the_package_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    files = {path.relative_to(SOURCE.parent).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    assert held == {name for name in files if "__pycache__" not in name}
    assert {"nodegrad/__init__.py", "nodegrad/py.typed"} <= held


def test_wheel_holds_the_licence(installed, metadata):
    licence = next(installed.glob("*.dist-info")) / "licenses" / "LICENSE"

    assert licence.read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("MIT", ["LICENSE"])


def test_metadata_declares_one_dependency(metadata):
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]

    assert metadata["Version"] == nodegrad.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert [line.partition(">")[0] for line in required] == ["graphviz"]
    assert set(metadata.get_all("Provides-Extra")) == {"all", "test"}


def test_package_index_shows_a_readme_whose_links_are_addresses(metadata):
    shown = metadata.get_payload()
    links = relative_links((ROOT / "README.md").read_text(encoding="utf-8"))

    assert links
    assert relative_links(shown) == []
    assert all(f"{HOME}/blob/main/{link}" in shown for link in links if link.endswith(".md"))
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_wheel_works_with_the_standard_library_alone(run_python, installed):
    program = f"""
import sys
sys.path.insert(0, {str(installed)!r})
import nodegrad
assert nodegrad.__file__.startswith({str(installed)!r})
x = nodegrad.Value(3.0)
y = x * x + nodegrad.exp(x * 0.0)
y.backward()
print(y.data, x.grad)
"""

    assert run_python("-I", "-S", "-c", program).split() == ["10.0", "6.0"]


def test_wheel_passes_the_first_tests(run_python, installed):
    tests = [ROOT / "tests" / name for name in ("test_tiny.py", "test_layering.py")]
    options = ["-c", ROOT / "pyproject.toml", "-o", "pythonpath=tests", "-p", "no:cacheprovider", "-v"]
    program = "import sys, pytest; pytest.main(sys.argv[1:]); import nodegrad; print(nodegrad.__file__)"

    printed = run_python("-c", program, *options, *tests, PYTHONPATH=str(installed))

    *_, summary, tested = printed.splitlines()
    assert Path(tested).is_relative_to(installed)
    assert re.fullmatch(r"=+ \d+ passed in .*", summary)
