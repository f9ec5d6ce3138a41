"""Docstrings: their examples run, and every public name has one."""

import doctest
import importlib
import pkgutil

import pytest

import nodegrad

MODULES = ["nodegrad", *(found.name for found in pkgutil.walk_packages(nodegrad.__path__, "nodegrad."))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)

    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("name", [name for name in nodegrad.__all__ if callable(getattr(nodegrad, name))])
def test_public_name_has_an_example(name):
    assert ">>> " in getattr(nodegrad, name).__doc__
