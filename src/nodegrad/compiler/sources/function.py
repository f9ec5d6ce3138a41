"""A function to be written in another language: its name, its arguments, its ways, an example."""

import inspect
import re
from collections.abc import Iterator, Sequence
from json import dumps
from typing import Any

import numpy as np

from nodegrad.compiler.arguments import Form, names_of_call, signature_of
from nodegrad.compiler.passes import WITHOUT_TABLES, Rewriter, sweep_dead
from nodegrad.compiler.program import evaluate
from nodegrad.compiler.sources.places import Way
from nodegrad.compiler.trace import Trace
from nodegrad.trees import Sparse, Spec, build, container
from nodegrad.value import Value

__all__ = ()


class Function:
    """A function to be written.

    Attributes:
        name: what it is called; `chosen` if the user chose it, so that it may not change.
        says: the first line of its docstring, or nothing.
        arguments: the name and plain structure of each argument, with the places of its numbers as leaves.
        result: the plain structure of the result, with the places of its numbers as leaves.
        inputs, results: how many numbers the arguments and the result hold.
        ways: the ways through it that were recorded.
        parameters: the present numbers of the leaves it closes over.
        example: numbers that it was recorded with, and its results for them.

    Raises:
        ValueError: if ways return different structures, or other languages do not allow the name.
    """

    def __init__(self, f: Any, name: str, chosen: str, spec: Spec, traces: Sequence[Trace]) -> None:
        if chosen and not re.fullmatch(r"[A-Za-z_]\w*", str(chosen), re.ASCII):
            raise ValueError(
                f"source takes name as letters, digits and _, the first not a digit; got {chosen!r:.60}."
            )
        first = traces[0]
        if any(trace.spec != first.spec for trace in traces):
            raise ValueError(f"source: {name} returns different structures for different arguments.")
        usual = re.sub(r"\W", "_", name, flags=re.ASCII) if name.isidentifier() else "f"
        self.name, self.chosen = chosen or usual, bool(chosen)
        self.says = (inspect.getdoc(f) or "").partition("\n")[0]
        self.inputs, self.results = first.program.inputs, first.results
        given = build(spec, range(self.inputs))
        names = _argument_names(f, spec[1], len(given))
        self.arguments: dict[str, Any] = dict(zip(names, map(_plain, given), strict=True))
        self.result = _plain(build(first.spec, range(self.results)))
        self.ways, leaves = _ways_of(traces)
        self.parameters = [leaf._data for leaf in leaves]
        example = first.example or [0.0] * self.inputs
        found = evaluate(first.program, example, [leaf._data for leaf in first.parameters])
        self.example = example, found[: self.results]

    def free_name(self, taken: str, code: str) -> str:
        """Return its name, with _ added until neither the language nor the code uses it.

        Raises:
            ValueError: if the user chose a name that is used.
        """
        name = self.name
        while name in taken.split() or re.search(rf"\b{name}\b", code):
            name += "_"
        if self.chosen and name != self.name:
            raise ValueError(f"source: {self.name} has another meaning in this file. Write {name!r}, say.")
        return name

    def comment(self) -> Iterator[str]:
        """Yield lines that say what is computed, and where numbers stand in `x` and `out`."""
        says = self.says or f"{_many(self.results, 'result')} of {_many(self.inputs, 'number')}"
        yield f"{self.name}: {says}"
        yield ""
        yield "Written by nodegrad from what was recorded of a function in Python. The numbers are those of"
        yield "nodegrad.compile(f, exact=True), the elementary functions within 4 units in the last place."
        if self.ways[0].guards:
            yield "It branches. The ways that were recorded are here; numbers that go another are reported."
        for array, trees in (("x", self.arguments), ("out", {"result": self.result})):
            for name, tree in trees.items():
                for path, first, last in spans(tree, name):
                    yield f"  {array}[{first}{f'..{last}' * (last > first)}] = {path}"


def _ways_of(traces: Sequence[Trace]) -> tuple[list[Way], list[Value]]:
    """Return the ways that were recorded, and the leaves that any of them closes over: their parameters."""
    leaves = list(dict.fromkeys(leaf for trace in traces for leaf in trace.parameters))
    inputs = traces[0].program.inputs
    slots = {leaf: slot for slot, leaf in enumerate(leaves, inputs)}
    ways = []
    for trace in traces:
        to = Rewriter(inputs + len(leaves), WITHOUT_TABLES)
        outputs = to.add(trace.program, [*range(inputs), *[slots[leaf] for leaf in trace.parameters]])
        ways.append(Way(sweep_dead(to.program(inputs, outputs)), trace.way))
    return ways, leaves


def _argument_names(f: Any, form: Form | None, count: int) -> list[str]:
    """Return the names of the arguments of a function; a0, a1 and so on where they have none."""
    try:
        known = None if f is None else signature_of(f)
    except ValueError:
        known = None
    return [name or f"a{at}" for at, name in enumerate(names_of_call(known, form, count))]


def joined(parts: Sequence[str]) -> str:
    """Join the parts of a file, with no blanks at the ends of lines and no two blank lines in a row."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", "\n".join(parts), flags=re.MULTILINE))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _plain(tree: Any) -> Any:
    """Return a structure as lists and dicts with names: what JavaScript has.

    Raises:
        ValueError: if two keys have the same name.
    """
    if isinstance(tree, int):
        return tree
    found = container(tree.tolist() if hasattr(tree, "tolist") else tree)
    assert found is not None, "a place is an int"
    form, entries = found
    parts = [_plain(entry) for entry in entries]
    if isinstance(tree, dict):
        form = [str(key) for key in tree]
    elif form is None or isinstance(tree, list | tuple | Sparse):
        return parts
    if len(set(form)) < len(form):
        raise ValueError(f"source: the keys {', '.join(form)} are not different as text.")
    return dict(zip(form, parts, strict=True))


def regular(tree: Any) -> tuple[tuple[int, ...], int, int] | None:
    """Return the shape, the first and the last place of a number or a regular array; None for all else."""
    try:
        places = np.array(tree, int)
    except (TypeError, ValueError):  # a dict, or lists of different lengths
        return None
    return (places.shape, int(places.flat[0]), int(places.flat[-1])) if places.size else None


def spans(tree: Any, path: str) -> Iterator[tuple[str, int, int]]:
    """Yield the path to each number or regular array of a plain structure, its first and its last place."""
    found = regular(tree)
    if found is not None:
        yield path, *found[1:]
        return
    for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
        named = isinstance(key, str) and key.isidentifier()
        yield from spans(part, f"{path}.{key}" if named else f"{path}[{dumps(key)}]")
