"""What dev.py runs: the two commands of the README, the tests on the installed wheel."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """Load dev.py over an empty project; what it runs is noted, and fails only as told."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]")
    for name, path in {"ROOT": "", "PYTHON": ".venv/bin/python", "STAMP": ".venv/installed.txt"}.items():
        monkeypatch.setattr(module, name, tmp_path / path)
    module.ran, module.failing, module.has_pip = [], "", True

    def run(*command):
        module.ran.append(" ".join(map(str, command[1:])))
        if "venv" in command:
            module.PYTHON.parent.mkdir(parents=True)
            module.PYTHON.touch()
        return not (module.failing and module.failing in module.ran[-1])

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: module.has_pip or None)
    return module


def exit_code(dev, *arguments):
    with pytest.raises(SystemExit) as exited:
        dev.main(*arguments)
    return exited.value.code


def test_first_use_makes_the_environment(dev):
    assert not exit_code(dev, "demo")

    assert dev.ran == [
        f"-m venv --clear --without-pip {dev.ROOT / '.venv'}",
        f"-m pip --python {dev.PYTHON} install pip -e .[all]",
        "examples/train_mlp.py",
    ]


def test_python_without_pip_uses_the_one_it_can_unpack(dev):
    dev.has_pip = False
    exit_code(dev, "demo")

    assert dev.ran[1:3] == ["-m ensurepip", "-m pip install pip -e .[all]"]


def test_second_use_installs_nothing(dev):
    exit_code(dev, "test")
    dev.ran.clear()

    assert not exit_code(dev, "test")
    assert not exit_code(dev, "demo")
    assert [command for command in dev.ran if "install" in command] == [dev.WHEEL]


def test_tests_need_more_than_the_demo(dev):
    exit_code(dev, "demo")
    dev.ran.clear()
    exit_code(dev, "test")

    assert dev.ran[0].endswith("install pip -e .[all,test]")


def test_changed_pyproject_is_installed_anew(dev):
    exit_code(dev, "demo")
    dev.ran.clear()
    (dev.ROOT / "pyproject.toml").write_text("[project] # changed")
    exit_code(dev, "demo")

    assert dev.ran[0].endswith("install pip -e .[all]")


def test_failed_installation_is_tried_again(dev):
    dev.failing = "install"
    assert "could not be made" in exit_code(dev, "demo")

    dev.failing = ""
    assert not exit_code(dev, "demo")
    assert dev.ran[-2].endswith("install pip -e .[all]")


@pytest.mark.parametrize("check", ["ruff check", "ruff format --check", "mypy"])
def test_failed_check_fails_after_all_have_run(dev, check):
    dev.failing = check

    assert exit_code(dev, "test") == f"dev.py: failed: -m {check}"
    assert dev.ran[-5:-2] == ["-m ruff check", "-m ruff format --check", "-m mypy"]
    assert dev.ran[-1].startswith("-m pytest")


def test_failed_tests_fail(dev):
    dev.failing = "pytest"

    assert exit_code(dev, "test")


def test_arguments_go_to_the_last_command(dev):
    exit_code(dev, "test", "-k", "sweep")

    assert dev.ran[-1].startswith("-m pytest")
    assert dev.ran[-1].endswith(" -k sweep")


def test_unknown_task_is_told_the_known_ones(dev):
    assert exit_code(dev, "tset").startswith("usage: python3 dev.py demo|test")
    assert not dev.ran


def test_old_python_is_told_the_version_needed(dev, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10))

    assert exit_code(dev, "test").startswith("nodegrad needs Python 3.11 or newer")


def test_tests_run_on_the_wheel(dev):
    exit_code(dev, "test", "-x")

    assert dev.ran[-2] == "-m pip install --quiet --upgrade --no-deps --target build/wheel ."
    assert dev.ran[-1].endswith(" -o pythonpath=build/wheel tests -x")


def test_readme_names_the_commands(dev):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    named = set(re.findall(r"^python3 dev\.py (\w+)$", readme, re.MULTILINE))
    assert {"demo", "test"} <= named <= set(dev.TASKS)


def test_ci_ends_with_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert script.splitlines()[-1] == "exec python3 dev.py test </dev/null"
