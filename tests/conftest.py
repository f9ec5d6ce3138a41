"""What the tests share: the Hypothesis profile, and running Python in a fresh process."""

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

import nodegrad

pytest_plugins = ["needs"]

# A loaded machine is slow, not wrong; in CI every run draws the same examples.
settings.register_profile("nodegrad", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("nodegrad")

os.environ.setdefault("MPLBACKEND", "Agg")  # plots are saved, not shown

_tests = count()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep native code in a folder of the test, so that it compiles what it would compile alone."""
    folder = str(tmp_path_factory.getbasetemp() / "cache" / str(next(_tests)))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, folder)


@pytest.fixture
def run_python(tmp_path):
    """Return a function that runs Python on the nodegrad under test and returns what it printed."""

    def run(*arguments, timeout=300, **environment):
        path = {"PYTHONPATH": str(Path(nodegrad.__file__).parents[1])}
        completed = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | path | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    return run
