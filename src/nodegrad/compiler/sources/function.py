"""A function to be written in another language: its name, its arguments, its ways, an example."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from nodegrad.compiler.sources.branches import Branches
from nodegrad.trees import Sparse, container

__all__ = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A function to be written.

    Attributes:
        name: what it is called.
        says: the first line of its docstring, or nothing.
        arguments: the name and plain structure of each argument, with the places of its numbers as leaves.
        result: the plain structure of the result, with the places of its numbers as leaves.
        results: how many numbers the result holds.
        branches: its ways.
        parameters: the present numbers of the leaves it closes over.
        example: numbers that it was recorded with, and its results for them.
    """

    name: str
    says: str
    arguments: dict[str, Any]
    result: Any
    results: int
    branches: Branches
    parameters: list[float]
    example: tuple[Sequence[float], Sequence[float]]

    @property
    def inputs(self) -> int:
        """How many numbers the arguments hold."""
        return self.branches.program.inputs

    def comment(self) -> Iterator[str]:
        """Yield lines that say what is computed, and where numbers stand in `x` and `out`."""
        says = self.says or f"{_many(self.results, 'result')} of {_many(self.inputs, 'number')}"
        yield f"{self.name}: {says}"
        yield ""
        yield "Written by nodegrad from what was recorded of a function in Python. The numbers are those of"
        yield "nodegrad.compile(f, exact=True), the elementary functions within 4 units in the last place."
        if self.branches.guarded:
            yield "It branches. The ways that were recorded are here; numbers that go another are reported."
        for name, tree in self.arguments.items():
            for path, first, last in spans(tree):
                yield f"  x[{_span(first, last)}] = {name}{path}"
        for path, first, last in spans(self.result):
            yield f"  out[{_span(first, last)}] = result{path}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"


def plain(tree: Any) -> Any:
    """Return a structure as lists and dicts with names: what JavaScript has.

    Raises:
        ValueError: if two keys have the same name.
    """
    if isinstance(tree, int):
        return tree
    found = container(tree.tolist() if hasattr(tree, "tolist") else tree)
    assert found is not None, "a place is an int"
    form, entries = found
    parts = [plain(entry) for entry in entries]
    if isinstance(tree, dict):
        form = [str(key) for key in tree]
    elif form is None or isinstance(tree, list | tuple | Sparse):
        return parts
    if len(set(form)) < len(form):
        raise ValueError(f"source: the keys {', '.join(form)} are not different as text.")
    return dict(zip(form, parts, strict=True))


def leaves(tree: Any) -> list[int]:
    """List the places in a plain structure."""
    if isinstance(tree, int):
        return [tree]
    return [place for part in (tree.values() if isinstance(tree, dict) else tree) for place in leaves(part)]


def reached(tree: Any) -> list[tuple[str, Any]]:
    """List the parts of a plain container, each with how it is reached."""
    if isinstance(tree, dict):
        return [(f".{key}" if key.isidentifier() else f"[{dumps(key)}]", part) for key, part in tree.items()]
    return [(f"[{at}]", part) for at, part in enumerate(tree)]


def shape(tree: Any) -> tuple[int, ...]:
    """Return the shape of a plain structure that is a regular array; () for a number and all else."""
    if not isinstance(tree, list) or not tree:
        return ()
    shapes = {shape(part) if isinstance(part, list) else isinstance(part, int) for part in tree}
    inner = shapes.pop()
    if shapes or not inner:
        return ()
    return (len(tree), *(inner if isinstance(inner, tuple) else ()))


def spans(tree: Any, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Yield the parts of a plain structure that are numbers or arrays: path, first place, last place."""
    if isinstance(tree, int) or shape(tree):
        places = leaves(tree)
        yield path, places[0], places[-1]
        return
    for name, part in reached(tree):
        yield from spans(part, f"{path}{name}")
