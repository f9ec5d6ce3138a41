"""The public names: all there, none surprising, and a typing slip answered with the name that was meant."""

import ast
import importlib
from pathlib import Path

import pytest

import nodegrad as ng
from nodegrad import special

PACKAGE = Path(ng.__file__).parent
FOLDERS = ["nodegrad", "nodegrad.compiler", "nodegrad.nn", "nodegrad.show", "nodegrad.training"]

PARTIALS_OWN = {"one_minus_square", "direction", "strong_mul", "strong_dot", "zero_mul", "strong_factor"}


def test_every_public_name_is_there():
    assert all(getattr(ng, name) is not None for name in ng.__all__)
    assert set(ng.__all__) == set(dir(ng))


def test_every_row_of_the_table_goes_by_its_name():
    for name, op in ng.ops.TABLE.items():
        if op.arity is not None and name not in PARTIALS_OWN:
            assert getattr(ng, name) is op


def test_rows_that_only_partials_and_sweeps_need_are_not_for_users():
    assert not any(hasattr(it, name) for name in PARTIALS_OWN for it in (ng, ng.Value))


def test_a_misspelt_name_lets_python_suggest_the_right_one():
    with pytest.raises(AttributeError, match="module 'nodegrad' has no attribute 'tahn'") as caught:
        ng.tahn

    assert (caught.value.name, caught.value.obj) == ("tahn", ng)


def test_every_row_is_public_or_for_partials_and_sweeps():
    composed = {"sum", "dot", "take"}  # rows that functions of the same names apply

    assert set(ng.ops.TABLE) - {*ng.ops.__all__, *special.__all__} == PARTIALS_OWN | composed


def modules():
    """Return the syntax tree of each module, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text("utf-8"))
    return found


TREES = modules()


@pytest.mark.parametrize("name", TREES)
def test_module_says_what_is_public_in_it(name):
    tree = TREES[name]
    statements = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}

    (listed,) = statements
    if name not in FOLDERS and not any(other.startswith(f"{name}.") for other in TREES):
        public = ast.literal_eval(listed)
        assert len(public) == len(set(public))
        assert set(public) <= defined or name in ("nodegrad.ops", "nodegrad.special")


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_name_of_a_folder_is_public_in_its_module(folder):
    package = importlib.import_module(folder)

    for name in package.__all__:
        home = getattr(getattr(package, name), "__module__", None)
        if home in TREES and not isinstance(getattr(package, name), ng.ops.Op):
            assert name in importlib.import_module(home).__all__, (name, home)


def test_a_name_that_is_nearly_right_is_guessed_by_python():
    with pytest.raises(AttributeError) as caught:
        ng.tahn

    assert (str(caught.value), caught.value.name) == ("module 'nodegrad' has no attribute 'tahn'", "tahn")
    assert caught.value.obj is ng
