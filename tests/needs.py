"""What tests need and a machine may lack: skip without it, say how to get it, or fail where all must run.

This file is a plugin of pytest, loaded by `conftest.py`. `.ci/run` installs the packages named here.
"""

import os
import re
import shutil
from collections import Counter

import pytest

STRICT = "NODEGRAD_TEST_ALL"  # set to 1 where everything is installed: a skipped test fails
PLATFORM = "this platform "  # begins the reason of a skip that no installation can mend
UNASKED = (
    "could not import 'torch'",
    "could not import 'jax",
    "could not import 'casadi'",
)  # no extra installs them: up to hundreds of megabytes for a test each
PROGRAMS = {  # what a test asks for: the commands that will do, and the Debian package that has one
    "chromium": (("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "chromedriver": (("chromedriver",), "chromium-driver"),
    "dot": (("dot",), "graphviz"),
    "cc": (("cc", "gcc", "clang"), "gcc libc6-dev"),
    "node": (("node", "nodejs"), "nodejs"),
}
IMPORTED = re.compile(r"could not import '(\w+)|^needs (\S+)")


def find(name):
    """Return the path of a program of the table, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS[name][0])), None)


def program(name):
    """Return the path of a program, or skip the test that needs it."""
    return find(name) or pytest.skip(f"needs {name}")


def remedy(reason):
    """Return how to get what a reason for a skip says is missing; an empty text where nothing helps."""
    if reason.startswith(PLATFORM):
        return ""
    found = IMPORTED.search(reason)
    name = found and (found[1] or found[2])
    if name in PROGRAMS:
        return f"apt-get install {PROGRAMS[name][1]}, or the like"
    if reason.startswith(UNASKED):
        return f"pip install {name}"
    return f"pip install {name}, or '.[all,test]'" if name else "see the test"


def reason_of(report):
    """Return the reason if a test was skipped; None if it was not, or was expected to fail."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    return report.longrepr[2].removeprefix("Skipped: ")


def strict(report):
    """Make a skip a failure where every test must run."""
    reason = reason_of(report)
    if os.environ.get(STRICT) == "1" and reason is not None and not reason.startswith((PLATFORM, *UNASKED)):
        report.outcome = "failed"
        report.longrepr = f"skipped ({reason}), but {STRICT}=1 says that every test can run here"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Look at the result of a test."""
    return strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Look at the result of collecting a file."""
    return strict((yield))


def pytest_terminal_summary(terminalreporter):
    """Say last what was skipped, and how to get what it needs."""
    skipped = Counter(filter(None, map(reason_of, terminalreporter.stats.get("skipped", []))))
    if skipped:
        terminalreporter.section("skipped")
    for reason, count in skipped.most_common():
        how = remedy(reason)
        terminalreporter.write_line(f"{count:4} × {reason}{how and f': {how}'}")
