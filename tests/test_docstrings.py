"""Docstrings: their examples run, and every public function and class has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import nodegrad
from nodegrad import ops

MODULES = ["nodegrad", *(found.name for found in pkgutil.walk_packages(nodegrad.__path__, "nodegrad."))]
# The rows of the table are documented by the reference page of operations, which is generated from them.
NAMES = [name for name in nodegrad.__all__ if not isinstance(vars(nodegrad).get(name), ops.Op)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def without_example(it, name):
    """Return the names of functions and classes that have no example; those of a module for a module."""
    if inspect.ismodule(it):
        own = [key for key, member in vars(it).items() if getattr(member, "__module__", "") == it.__name__]
        public = getattr(it, "__all__", [key for key in own if not key.startswith("_")])
        return [fault for key in public for fault in without_example(getattr(it, key), f"{name}.{key}")]
    has_one = not callable(it) or ">>> " in (inspect.getdoc(it) or "")
    return [] if has_one else [name]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)

    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_public_name_has_an_example(name):
    assert without_example(getattr(nodegrad, name), name) == []


def test_missing_example_is_noticed():
    def silent():
        """Say nothing."""

    assert without_example(silent, "silent") == ["silent"]
