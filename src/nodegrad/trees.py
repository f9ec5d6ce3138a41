"""Trees: structures of numbers, taken apart into leaves and a spec, and put together again.

Containers are lists, tuples, dicts and their subclasses (named tuples, OrderedDict, defaultdict), data
classes, attrs classes and NumPy arrays; everything else is a leaf. What is put together has the type, the
keys and the attributes of what was taken apart. A spec can be compared, hashed and pickled.
"""

import math
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from typing import Any

from nodegrad.inputs import is_array, without_mask
from nodegrad.value import Value

__all__ = ()

Tree = Any  # a number, or numbers in containers
Spec = Any  # LEAF, or (type, form, specs of the entries): see `container`
# (shape of an array or None for a leaf, first place, end place) -> the array or the leaf.
Make = Callable[[Any, int, int], Any]

LEAF = "*"  # the spec of one number


def flatten(tree: Tree, result: bool = False) -> tuple[list[Any], Spec]:
    """Take a tree apart: its leaves from left to right, and the spec that puts them together again.

    A SciPy array is a leaf; in the `result` of a function, where transforms put them, it is a sparse matrix.

    >>> flatten({"a": 1.0, "b": [2.0, (3.0,)]})[0]
    [1.0, 2.0, 3.0]
    """
    leaves: list[Any] = []
    return leaves, _spec(tree, leaves, result)


def build(spec: Spec, leaves: Iterable[Any], dtype: Any = None) -> Tree:
    """Put leaves together as `spec` says. Arrays are of float64, or of objects if a leaf is not a float.

    An array without dimensions that would hold a Value becomes the Value itself, so that a user's function
    can compute with it. With the dtype `object` it stays an array.

    >>> build(flatten({"a": 1.0, "b": [2.0, (3.0,)]})[1], [7.0, 8.0, 9.0])
    {'a': 7.0, 'b': [8.0, (9.0,)]}
    """
    return builder(spec)(list(leaves), 0, dtype)[0]


class Sparse:
    """A sparse matrix of Values, row after row: SciPy's arrays hold plain numbers only.

    Attributes:
        form: the shape, where each row starts among the entries, and the column of each entry.
        entries: the numbers.
    """

    def __init__(self, form: Any, entries: list[Any]) -> None:
        self.form, self.entries = form, entries


def sparse(form: Any, entries: list[Any]) -> Any:
    """Return a sparse matrix: SciPy's if all its numbers are floats."""
    if not all(type(x) is float for x in entries):
        return Sparse(form, entries)
    try:
        from scipy.sparse import csr_array
    except ImportError as error:
        raise ImportError("sparse=True needs SciPy: pip install scipy.") from error
    shape, starts, columns = form
    return csr_array((entries, list(columns), list(starts)), shape, dtype=float)


# Containers, and how each kind is taken apart and put together.


class _Attributes(dict[str, Any]):
    """What a container holds besides its entries: the attributes of a subclass, a default factory.

    Two are equal if they hold the same objects, or equal text and numbers. Values are not compared by number.
    """

    def __hash__(self) -> int:  # type: ignore[override]  # part of a spec, never changed
        return hash(tuple(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Attributes) or self.keys() != other.keys():
            return False
        pairs = [(x, other[name]) for name, x in self.items()]
        plain = str, bytes, int, float
        return all(x is y or (type(x) is type(y) and isinstance(x, plain) and x == y) for x, y in pairs)


def container(tree: Any) -> tuple[Any, Any] | None:
    """Return the form and the entries of a container that is not an array; None for a leaf.

    The form is None for plain lists and tuples, the keys with their types for plain dicts, the names of the
    fields for data and attrs classes, the places of the entries for sparse matrices; for subclasses, (keys,
    attributes).
    """
    kind: Any = type(tree)
    if kind is list or kind is tuple:
        return None, tree
    if kind is dict:
        return _keys(tree), tree.values()
    if isinstance(tree, list | tuple | dict):
        keys = _keys(tree) if isinstance(tree, dict) else None
        return (keys, _attributes(tree)), [*(tree.values() if isinstance(tree, dict) else tree)]
    if kind is Sparse:
        return tree.form, tree.entries
    names = None if isinstance(tree, Value) else _field_names(kind)
    return None if names is None else (names, [getattr(tree, name) for name in names])


def is_structure(tree: Any) -> bool:
    """Return whether this is a container, but not an array, a plain list or a plain tuple."""
    return type(tree) not in (list, tuple) and container(tree) is not None


def _keys(tree: dict[Any, Any]) -> tuple[Any, ...]:
    """Return the keys of a dict, each with its type: 1, 1.0 and True are equal, and differ as keys."""
    return tuple([(key, kind_of(key)) for key in tree])


def kind_of(key: Any) -> Any:
    """Return what tells equal keys apart: 1, 1.0 and True, or 0.0 and -0.0, also inside tuples and sets."""
    if type(key) in (tuple, frozenset):
        return type(key)(map(kind_of, key))
    return (float, math.copysign(1.0, key)) if type(key) is float else type(key)


def _attributes(tree: Any) -> _Attributes:
    state: Any = object.__getstate__(tree)  # a dict, or a pair with the slots, or None
    found = _Attributes()
    for part in state if isinstance(state, tuple) else (state,):
        found.update(part or {})
    if isinstance(tree, defaultdict):
        found["default_factory"] = tree.default_factory
    return found


@lru_cache(maxsize=256)
def _field_names(kind: Hashable) -> tuple[str, ...] | None:
    """Return the names of the fields of a data class or an attrs class; None for other types."""
    if isinstance(kind, type) and is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    attrs = getattr(kind, "__attrs_attrs__", None)
    return None if attrs is None else tuple(field.name for field in attrs)


_BASES = (tuple, list, OrderedDict, defaultdict, dict, object)


def _finisher(kind: Any, form: Any) -> Callable[[list[Any]], Any]:
    """Return the function that makes a container of its entries."""
    if kind in (list, tuple):
        return kind  # type: ignore[no-any-return]
    if kind is Sparse:
        return partial(sparse, form)
    if kind is dict:
        return partial(_dict, tuple([key for key, _ in form]))
    return partial(_finish, kind, next(base for base in _BASES if issubclass(kind, base)), form)


def _dict(keys: tuple[Any, ...], entries: list[Any]) -> dict[Any, Any]:
    return dict(zip(keys, entries, strict=True))


def _finish(kind: Any, base: Any, form: Any, entries: list[Any]) -> Any:
    """Make a container without calling its class, since each wants other arguments."""
    keys, attributes = (None, _dict(form, entries)) if base is object else form
    made = tuple.__new__(kind, entries) if base is tuple else base.__new__(kind)
    if base is list:
        list.extend(made, entries)
    for (key, _), entry in zip(keys or (), entries, strict=False):
        base.__setitem__(made, key, entry)
    for name, x in attributes.items():
        object.__setattr__(made, name, x)  # a frozen class has another __setattr__
    return made


# Taking apart.


NUMBERS = frozenset([float, int, Value])  # what most leaves are


def _spec(tree: Any, leaves: list[Any], result: bool) -> Spec:
    kind = type(tree)
    if kind in NUMBERS:
        leaves.append(tree)
        return LEAF
    if kind is list or kind is tuple:
        if NUMBERS.issuperset(map(type, tree)):
            leaves += tree
            return kind, None, (LEAF,) * len(tree)
        return kind, None, tuple([_spec(entry, leaves, result) for entry in tree])
    if kind is not dict and is_array(tree):  # the question takes a while
        without_mask(tree)
        leaves += tree.ravel().tolist() if tree.dtype.kind != "O" else list(tree.flat)
        return sys.modules["numpy"].ndarray, tree.shape, ()
    if result and kind.__name__ == "csr_array":
        form = tuple([tuple(map(int, numbers)) for numbers in (tree.shape, tree.indptr, tree.indices)])
        tree = Sparse(form, tree.data.tolist())
    found = container(tree)
    if found is None:
        leaves.append(tree)
        return LEAF
    form, entries = found
    return type(tree), form, tuple([_spec(entry, leaves, result) for entry in entries])


def is_array_type(kind: Any) -> bool:
    """Return whether the type in a spec is NumPy's array; the form is then the shape."""
    return kind is getattr(sys.modules.get("numpy"), "ndarray", None)


# Putting together.


def assemble(spec: Spec, make: Make, finisher: Any = _finisher) -> Tree:
    """Put the results of `make` for each leaf and array together as `spec` says, from left to right."""
    return _assembled(spec, make, finisher, 0)[0]


def _assembled(spec: Spec, make: Make, finisher: Any, place: int) -> tuple[Tree, int]:
    """Return the tree of a spec whose leaves begin at a place, and the place after them."""
    # Not a function inside `assemble`: if it called itself, a reference cycle would keep what `make` holds.
    kind, form, entries = (None, None, ()) if spec == LEAF else spec
    if kind is None or is_array_type(kind):
        end = place + math.prod(form or ())
        return make(form, place, end), end
    built = []
    for entry in entries:
        each, place = _assembled(entry, make, finisher, place)
        built.append(each)
    return finisher(kind, form)(built), place


def blocks(outer: Spec, inner: Spec, matrix: Any) -> Tree:
    """Arrange a Jacobian: its rows as the result is structured, their entries as the argument is.

    The matrix is an array of floats, or a list of rows.
    """
    dtype = object if not is_array(matrix) and any(map(len, matrix)) else float

    def block(shape: Any, first: int, end: int) -> Tree:
        own = matrix[first:end]
        if shape is None:
            return builder(inner, is_array(matrix))(own[0], 0, dtype)[0]

        def entries(of: Any, left: int, right: int) -> Any:
            if is_array(matrix):
                return own[:, left:right].reshape(shape + (of or ()))
            return _array([x for row in own for x in row[left:right]], shape + (of or ()), None)

        return assemble(inner, entries)

    return assemble(outer, block)


def stack(spec: Spec, columns: Any) -> Tree:
    """Put an array [leaf, row] together as `spec` says; arrays have rows first and share its memory.

    A sparse matrix becomes a list with a matrix for each row.
    """
    rows = columns.shape[1]

    def part(shape: Any, start: int, end: int) -> Any:
        return columns[start] if shape is None else columns[start:end].T.reshape(rows, *shape)

    def matrices(form: Any, entries: list[Any]) -> list[Any]:
        by_row = sys.modules["numpy"].reshape(entries, (len(entries), rows)).T
        return [sparse(form, row) for row in by_row.tolist()]

    def finisher(kind: Any, form: Any) -> Any:
        return partial(matrices, form) if kind is Sparse else _finisher(kind, form)

    return assemble(spec, part, finisher)


def mapped(spec: Spec) -> Spec:
    """Return the spec of what `map` returns: a list of numbers becomes an array."""
    if spec == LEAF:
        return LEAF
    kind, form, entries = spec
    if kind is list and entries and entries.count(LEAF) == len(entries):
        return sys.modules["numpy"].ndarray, (len(entries),), ()
    return kind, form, tuple(map(mapped, entries))


Leaves = Any  # a list, or an array of floats
Build = Callable[[Leaves, int, Any], tuple[Any, int]]


@lru_cache(maxsize=256)
def builder(spec: Spec, of_array: bool = False) -> Build:
    """Return the function (leaves, place of the first, dtype) -> (tree, place after the last) of a spec.

    The leaves are a list or, with `of_array`, an array of floats that nothing else uses: arrays in the tree
    may share its memory. Numbers are Python floats either way. If the dtype is None, an array is of float64
    if all its leaves are floats, and of objects otherwise.
    """
    if spec == LEAF:
        if of_array:
            return lambda leaves, start, dtype: (float(leaves[start]), start + 1)
        return lambda leaves, start, dtype: (leaves[start], start + 1)
    kind, form, entries = spec
    if is_array_type(kind):
        return partial(_build_array, form, math.prod(form), of_array)
    finish, count = _finisher(kind, form), len(entries)

    def flat(leaves: Leaves, start: int, dtype: Any) -> tuple[Any, int]:
        built = leaves[start : start + count]
        return finish(built.tolist() if of_array else built), start + count

    if entries.count(LEAF) == count:
        return flat
    if of_array and len({*entries}) == 1 and is_array_type(entries[0][0]) and entries[0][1]:
        # Arrays of one shape are the rows of one array: a quarter of the time, for a matrix as a list.
        block = builder((entries[0][0], (count, *entries[0][1]), ()), True)

        def rows(leaves: Leaves, start: int, dtype: Any) -> tuple[Any, int]:
            built, end = block(leaves, start, dtype)
            return finish(list(built)), end

        return rows
    parts = [builder(entry, of_array) for entry in entries]

    def nested(leaves: Leaves, start: int, dtype: Any) -> tuple[Any, int]:
        built = []
        for part in parts:
            entry, start = part(leaves, start, dtype)
            built.append(entry)
        return finish(built), start

    return nested


def _build_array(
    shape: tuple[int, ...], size: int, of_array: bool, leaves: Leaves, start: int, dtype: Any
) -> tuple[Any, int]:
    end = start + size
    part = leaves[start:end]
    if not of_array or not shape:
        return _array(part, shape, dtype), end
    if 2 * size <= len(leaves):  # a view would keep the whole alive
        part = part.copy()
    return part if len(shape) == 1 else part.reshape(shape), end


def _array(leaves: Leaves, shape: tuple[int, ...], dtype: Any) -> Any:
    if dtype is None:
        dtype = float if all(type(x) is float for x in leaves) else object
        if not shape and dtype is object:
            return leaves[0]
    made = sys.modules["numpy"].empty(len(leaves), dtype)
    made[:] = leaves
    return made.reshape(shape)
