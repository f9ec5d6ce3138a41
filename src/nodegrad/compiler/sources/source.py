"""Source text of what was recorded: described once, written in a language."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from nodegrad.compiler.arguments import Form
from nodegrad.compiler.program import evaluate
from nodegrad.compiler.sources import c, javascript
from nodegrad.compiler.sources.branches import merge
from nodegrad.compiler.sources.function import Function, plain
from nodegrad.compiler.trace import Trace
from nodegrad.trees import Spec, build

__all__ = ()

_LANGUAGES = {"c": c.write, "js": javascript.write}


def source(function: Function, language: str) -> str:
    """Write a function in a language.

    Raises:
        ValueError: if there is no such language, or the function calls an operation that is Python code.
    """
    if language not in _LANGUAGES:
        raise ValueError(f'source takes "c" or "js"; got {language!r:.40}.')
    text = re.sub(r"\n{3,}", "\n\n", _LANGUAGES[language](function))
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def describe(f: Any, name: str, spec: Spec, traces: Sequence[Trace]) -> Function:
    """Return what is needed to write the function whose ways through were recorded.

    Raises:
        ValueError: if ways return different structures.
    """
    first = traces[0]
    if any(trace.spec != first.spec for trace in traces):
        raise ValueError(f"source: {name} returns different structures for different arguments.")
    given = build(spec, range(first.program.inputs))
    numbers = [leaf._data for leaf in first.parameters]
    example = first.example or [0.0] * first.program.inputs
    results = evaluate(first.program, example, numbers)
    branches = merge(traces)
    return Function(
        name=re.sub(r"\W", "_", name, flags=re.ASCII) if name.isidentifier() else "f",
        says=(inspect.getdoc(f) or "").partition("\n")[0],
        arguments=dict(zip(argument_names(f, spec[1], len(given)), map(plain, given), strict=True)),
        result=plain(build(first.spec, range(first.results))),
        results=first.results,
        branches=branches,
        parameters=[leaf._data for leaf in branches.parameters],
        example=(example, results[: first.results]),
    )


def argument_names(f: Callable[..., Any] | None, form: Form | None, count: int) -> list[str]:
    """Return the names of the arguments of a function, or a0, a1 and so on where it has none."""
    form = form or Form()
    count -= len(form.keywords)
    numbered = [f"a{at}" for at in range(count)]
    try:
        known = list(inspect.signature(f).parameters.values()) if f is not None else []
    except (TypeError, ValueError):
        known = []
    apart = {*form.keywords, *[name for name, _, _ in form.static]}
    names = [x.name for x in known if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]
    names = [name for name in names if name not in apart]
    return [*names[:count], *numbered[len(names) :], *form.keywords]
