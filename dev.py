#!/usr/bin/env python3
"""Run the main example or the tests in a .venv of its own.

`python3 dev.py demo` runs the example. `python3 dev.py test` runs the linter, the type checker and the tests,
these on nodegrad as users get it: built as a wheel and installed.
"""

import hashlib
import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = ROOT / ".venv" / "installed.txt"
CHECKS = ["-m ruff check", "-m ruff format --check", "-m mypy"]
WHEEL = "-m pip install --quiet --upgrade --no-deps --target build/wheel ."
TESTS = "-m pytest -n auto --dist worksteal -o 'pythonpath=build/wheel tests'"
TASKS = {  # the extras to install and the commands to run; further arguments go to the last command
    "demo": ("all", ["examples/train_mlp.py"]),
    "test": ("all,test", [*CHECKS, WHEEL, TESTS]),
}


def run(*command):
    """Print a command, run it in the root of the project, and return whether it succeeded."""
    print("$", shlex.join(map(str, command)), flush=True)
    return subprocess.run(command, cwd=ROOT).returncode == 0


def install(extras):
    """Make .venv on first use; install the project with its extras when pyproject.toml has changed since."""
    state = hashlib.sha256(os.fsencode(ROOT) + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text().startswith(f"{state} {extras}"):
        return True  # "all" is a beginning of "all,test"
    made = PYTHON.exists() or run(sys.executable, "-m", "venv", "--clear", "--without-pip", PYTHON.parents[1])
    if importlib.util.find_spec("pip"):  # comes first: Debian's Python has no ensurepip without python3-venv
        pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    else:
        made = made and run(PYTHON, "-m", "ensurepip")
        pip = [PYTHON, "-m", "pip"]
    if made := made and run(*pip, "install", "pip", "-e", f".[{extras}]"):
        STAMP.write_text(f"{state} {extras}")
    return made


def main(task="", *arguments):
    """Run every command of the task, and exit with an error when any of them fails."""
    if sys.version_info < (3, 11):
        sys.exit(f"nodegrad needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    if task not in TASKS:
        sys.exit("usage: python3 dev.py demo|test [arguments of the example or of pytest]")
    extras, (*checks, last) = TASKS[task]
    if not install(extras):
        sys.exit("dev.py: .venv could not be made; the output above says why (it takes pip and a network).")
    failed = [check for check in checks if not run(PYTHON, *shlex.split(check))]
    passed = run(PYTHON, *shlex.split(last), *arguments)
    sys.exit(f"dev.py: failed: {', '.join(failed)}" if failed else not passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
