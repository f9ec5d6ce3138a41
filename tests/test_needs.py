"""What is skipped is said, with what to install; where every test must run, a skip is a failure."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import needs

ROOT = Path(__file__).parents[1]
TESTS = """
import sys
import pytest
from needs import program

def test_of_a_program(monkeypatch):
    monkeypatch.setenv("PATH", "")
    program("dot")

@pytest.mark.skipif(True, reason="needs llvmlite")
def test_of_native_code():
    pass

def test_of_a_module():
    pytest.importorskip("no_such_module")

@pytest.mark.skip(reason="this platform has no fork")
def test_of_forks():
    pass

@pytest.mark.xfail
def test_expected_to_fail():
    assert False

def test_that_runs():
    pass
"""
FILE = """
import pytest
pytest.importorskip("no_such_module")
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Return a function that runs a small suite and returns its last lines and its exit code."""
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "test_file.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "needs", "-p", "no:cacheprovider", str(tmp_path)]

    def run(strict, *options):
        monkeypatch.setenv(needs.STRICT, strict)
        done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path)
        return done.stdout, done.returncode

    return run


def test_skips_are_listed_with_what_to_install(suite):
    printed, code = suite("0")

    assert code == 0
    assert "   1 × needs dot: apt-get install graphviz" in printed
    assert "   1 × needs llvmlite: pip install llvmlite" in printed
    assert re.search(r"   2 × could not import 'no_such_module'.*: pip install no_such_module", printed)
    assert "   1 × this platform has no fork\n" in printed
    assert re.match(r"1 passed, 5 skipped, 1 xfailed in", printed.splitlines()[-1])


def test_skips_fail_where_every_test_must_run(suite):
    printed, code = suite("1", "--continue-on-collection-errors")

    assert code != 0
    assert "skipped (needs dot), but NODEGRAD_TEST_ALL=1" in printed
    assert re.match(r"2 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors in", printed.splitlines()[-1])


def test_what_no_extra_installs_is_installed_by_name():
    assert needs.remedy("could not import 'torch': No module named 'torch'") == "pip install torch"
    assert (
        needs.remedy("could not import 'dask': No module named 'dask'")
        == "pip install dask, or '.[all,test]'"
    )


def test_ci_installs_what_tests_need():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    installed = script.partition("<<'END'\n")[2].partition("END\n")[0].splitlines()

    wanted = [(name, packages.split()) for name, (_, packages) in needs.PROGRAMS.items()]
    assert installed == [f"{name} {package}" for name, packages in wanted for package in packages]
    assert f"export {needs.STRICT}=1" in script


def test_every_skip_says_what_is_missing():
    reasons = re.compile(r"reason=\"([^\"]+)\"|pytest\.skip\(\s*f?\"([^\"]+)\"")
    found = {
        (path.name, a or b)
        for path in (ROOT / "tests").rglob("*.py")
        if path.name not in ("needs.py", "test_needs.py")
        for a, b in reasons.findall(path.read_text(encoding="utf-8"))
    }

    assert found
    assert [each for each in sorted(found) if not re.match(r"needs \S+$|this platform ", each[1])] == []
