"""One JavaScript module: a function from numbers in arrays and objects to such, and what it needs."""

from collections.abc import Iterator
from json import dumps
from textwrap import fill
from typing import Any

from nodegrad.compiler.sources import spellings
from nodegrad.compiler.sources.function import Function, leaves, reached, shape
from nodegrad.compiler.sources.writer import call, function, table
from nodegrad.compiler.sources.writer import write as statements

__all__ = ()

# Words that nothing can be called by: the language's own and those of the module.
_TAKEN = """
arguments await break case catch class const continue debugger default delete do else enum eval export
extends false finally for function if implements import in instanceof interface let new null package
private protected public return static super switch this throw true try typeof undefined var void while
with yield async numbers p out v run parameters shaped Math Number NaN Infinity Float64Array Int32Array
Array Object way1
"""

_SHAPED = """// Put numbers into nested arrays of a shape.
function shaped(numbers, [count, ...rest]) {
  if (!rest.length) return Array.from(numbers);
  const size = numbers.length / count;
  return Array.from({ length: count }, (_, i) => shaped(numbers.subarray(i * size, (i + 1) * size), rest));
}
"""


def write(given: Function) -> str:
    """Write the module."""
    return "\n".join([*_comment(given), "", *core(given), *_wrapper(given)])


def core(given: Function) -> Iterator[str]:
    """Yield `run(x, p, out)`, which works on flat arrays and says whether the way is known."""
    text = statements(given.branches, "js")
    yield spellings.functions("js", text.code)
    yield from text.tables
    if text.workspace:
        yield f"const v = new Float64Array({text.workspace});\n"
    yield from text.parts
    for number, lines in enumerate(text.trees, 1):
        yield from function("js", f"way{number}", lines)
    calls = " && ".join(call(f"way{number}", lines) for number, lines in enumerate(text.trees, 1))
    yield f"function run(x, p, out) {{\n    return ({calls}) === 0;\n}}\n"


def _named(name: str) -> str:
    return name + "_" * (name in _TAKEN.split())


def _comment(given: Function) -> Iterator[str]:
    name, names = _named(given.name), ", ".join(map(_named, given.arguments))
    lines = [*given.comment(), ""]
    lines.append(
        f"{name}({names}) takes numbers, arrays and objects as the Python function does, and returns such."
    )
    lines.append("It throws a RangeError if numbers go a way that was not recorded or a loop does not end.")
    if given.parameters:
        lines.append("A last argument takes the place of `parameters`, the numbers that it closes over.")
    lines.append("run(x, p, out) does the same on flat arrays, and returns whether the way was recorded.")
    x, out = (spellings.listed(numbers, "js") for numbers in given.example)
    lines.append(f"Example: x = {x} gives out = {out}.")
    for line in lines:
        yield from fill(f"// {line}", 110, subsequent_indent="//       ").split("\n") if line else ["//"]


def _wrapper(given: Function) -> Iterator[str]:
    """Yield the function that takes and returns what the one in Python does."""
    name = _named(given.name)
    arguments = {_named(argument): tree for argument, tree in given.arguments.items()}
    result = _built(given.result)
    if given.parameters:
        yield from [*table("const double parameters", given.parameters, "js"), ""]
    if "shaped(" in result:
        yield _SHAPED
    taken = ", ".join(_taken(argument, tree) for argument, tree in arguments.items())
    yield f"function {name}({', '.join([*arguments, *['p = parameters'] * bool(given.parameters)])}) {{"
    yield f"    const numbers = Float64Array.from([{taken}].flat(Infinity));"
    yield f"    const out = new Float64Array({given.results});"
    yield f"    if (numbers.length !== {given.inputs})"
    yield f"        throw new TypeError(`{name} takes {given.inputs} numbers; got ${{numbers.length}}.`);"
    yield f"    if (!run(numbers, {'p' if given.parameters else '[]'}, out))"
    yield f'        throw new RangeError("{name}: not a way that was recorded, or a loop without end.");'
    yield f"    return {result};\n}}\n"
    yield f"export {{ {', '.join([name, 'run', *['parameters'] * bool(given.parameters)])} }};\n"


def _taken(argument: str, tree: Any) -> str:
    """Write an array, nested as may be, of the numbers of an argument in order."""
    if isinstance(tree, int) or shape(tree):
        return argument
    return f"[{', '.join(_taken(f'{argument}{name}', part) for name, part in reached(tree))}]"


def _built(tree: Any) -> str:
    """Write the expression that puts results together."""
    if isinstance(tree, int):
        return f"out[{tree}]"
    sizes, places = shape(tree), leaves(tree)
    if sizes:
        whole = f"out.subarray({places[0]}, {places[-1] + 1})"
        return f"Array.from({whole})" if len(sizes) == 1 else f"shaped({whole}, {list(sizes)})"
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{dumps(key)}: {_built(part)}' for key, part in tree.items())}}}"
    return f"[{', '.join(map(_built, tree))}]"
