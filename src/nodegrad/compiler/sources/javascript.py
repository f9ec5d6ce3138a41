"""One JavaScript module: a function from numbers in arrays and objects to such, and what it needs."""

from json import dumps
from textwrap import fill
from typing import Any

from nodegrad.compiler.sources.function import Function, joined, regular, spans
from nodegrad.compiler.sources.spellings import JAVASCRIPT
from nodegrad.compiler.sources.writer import write

__all__ = ()

# Names that a function or an argument cannot have: words of the language, and what the module uses.
_TAKEN = """
arguments await break case catch class const continue debugger default delete do else enum eval export
extends false finally for function if implements import in instanceof interface let new null package private
protected public return static super switch this throw true try typeof undefined var void while with yield
async numbers p out run parameters shaped Math Number NaN Infinity Float64Array Int32Array Array Object
TypeError RangeError
"""


def file(given: Function) -> str:
    """Write the module."""
    text, ways = write(given.ways, JAVASCRIPT)
    calls = [f"!{text.add_function('way', lines)}" for lines in ways]
    room = [JAVASCRIPT.room.format("v", text.workspace)] if text.workspace else []
    result = _built(given.result)
    functions = JAVASCRIPT.functions("\n".join([*text.parts, result, "flattened"]))
    code = "\n".join([functions, *room, *text.parts])
    name = given.free_name(_TAKEN, code)
    arguments = {
        argument + "_" * (argument in _TAKEN.split()): tree for argument, tree in given.arguments.items()
    }
    known = [JAVASCRIPT.define_table("double", "parameters", given.parameters)] if given.parameters else []
    taken = ", ".join(path for argument, tree in arguments.items() for path, *_ in spans(tree, argument))
    parts = [
        _comment(given, f"{name}({', '.join(arguments)})"),
        f"\n{code}\nfunction run(x, p, out) {{\n    return {' || '.join(calls)};\n}}\n",
        *known,
        f"\nfunction {name}({', '.join([*arguments, *['p = parameters'] * len(known)])}) {{",
        f'    const numbers = flattened("{name}", {given.inputs}, [{taken}]);',
        f"    const out = new Float64Array({given.results});",
        f"    if (!run(numbers, {'p' if known else '[]'}, out))",
        f'        throw new RangeError("{name}: not a way that was recorded, or a loop without end.");',
        f"    return {result};\n}}\n",
        f"export {{ {', '.join([name, 'run', *['parameters'] * len(known)])} }};\n",
    ]
    return joined(parts)


def _comment(given: Function, call: str) -> str:
    lines = [*given.comment(), ""]
    lines.append(f"{call} takes numbers, arrays and objects as the Python function does, and returns such.")
    lines.append("It throws a RangeError if numbers go a way that was not recorded or a loop does not end.")
    if given.parameters:
        lines.append("A last argument takes the place of `parameters`, the numbers that it closes over.")
    lines.append("run(x, p, out) does the same on flat arrays, and returns whether the way was recorded.")
    x, out = map(JAVASCRIPT.example, given.example)
    lines.append(f"Example: x = {x} gives out = {out}.")
    return "\n".join(
        fill(f"// {line}", 110, subsequent_indent="//       ") if line else "//" for line in lines
    )


def _built(tree: Any) -> str:
    """Write the expression that puts results together."""
    if isinstance(tree, int):
        return f"out[{tree}]"
    if found := regular(tree):
        sizes, first, last = found
        whole = f"out.subarray({first}, {last + 1})"
        return f"Array.from({whole})" if len(sizes) == 1 else f"shaped({whole}, {list(sizes)})"
    if isinstance(tree, dict):
        # A key "__proto__" written without brackets sets the prototype.
        written = {f"[{dumps(key)}]" if key == "__proto__" else dumps(key): tree[key] for key in tree}
        return f"{{{', '.join(f'{key}: {_built(part)}' for key, part in written.items())}}}"
    return f"[{', '.join(map(_built, tree))}]"
