"""One C99 file: a function from arrays to arrays, and what it needs."""

from importlib import resources
from textwrap import fill, indent

from nodegrad.compiler.sources.function import Function, joined
from nodegrad.compiler.sources.spellings import C
from nodegrad.compiler.sources.writer import arrays_used, write

__all__ = ()

_ON_STACK = 4096  # numbers; memory for more comes from malloc

# Names that a function cannot have: words of C, and names in its library.
_TAKEN = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
main malloc free calloc realloc abs div exit rand system acos acosh asin asinh atan atan2 atanh cbrt ceil
copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp gamma hypot ilogb j0 j1
jn ldexp lgamma log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow remainder rint round
scalbn sin sinh sqrt tan tanh tgamma trunc y0 y1 yn snprintf atoi strchr strtod printf NAN INFINITY
HUGE_VAL NULL isnan isinf isfinite isnormal signbit fpclassify isgreater isless isunordered _Bool _Complex
_Imaginary
"""

_HEAD = (resources.files("nodegrad.compiler") / "sources" / "head.c").read_text(encoding="utf-8")


def file(given: Function) -> str:
    """Write the file."""
    text, (lines, *others) = write(given.ways, C)
    on_heap = text.workspace > _ON_STACK
    if on_heap or any("return 1;" in line for line in lines):
        calls = [text.add_function("way", each) for each in (lines, *others)]
        lines = _choosing(calls, given.results, text.workspace * on_heap)
    code = "\n".join([*lines, *text.parts])
    name = given.free_name(_TAKEN, code)
    known = [C.define_table("double", f"{name}_parameters", given.parameters)] if given.parameters else []
    arrays = {"x": "const double *x", "p": "const double *p", "out": "double *out"}
    head = f"int {name}({', '.join(arrays[each] for each in arrays if each != 'p' or known)})"
    begin = [C.room.format("v", text.workspace)] if text.workspace and not on_heap else []
    begin += [f"if (!p) p = {name}_parameters;"] * len(known)
    begin += [f"(void){array};" for array in ("x", "out") if array not in arrays_used(lines)]
    functions = C.functions(code)
    rounds = "round_to" in functions
    needed = {"math": True, "stdio": rounds, "stdlib": rounds or on_heap, "string": rounds}
    parts = [
        f"/* {_comment(given, name, on_heap)} */\n",
        *(f"#include <{library}.h>" for library, is_needed in needed.items() if is_needed),
        f"\n{_HEAD}\n{head};\n",
        *(table.removeprefix("static ") for table in known),
        f"\n{functions}",
        *text.parts,
        f"\n{head}\n{{\n{indent(chr(10).join([*begin, *lines]), '    ')}\n}}\n",
    ]
    return joined(parts)


def _choosing(ways: list[str], results: int, room: int) -> list[str]:
    """Write statements that call the ways until one fits, with room on the heap; report if none does."""
    on_heap = [f"double *v = malloc({room} * sizeof *v);", "if (!v) return 2;"] if room else []
    return [
        *on_heap,
        f"const int unknown = {' && '.join(ways)};",
        *["free(v);"] * bool(room),
        f"if (unknown) for (int i = 0; i < {results}; i++) out[i] = NAN;",
        "return unknown;",
    ]


def _comment(given: Function, name: str, on_heap: bool) -> str:
    lines = [*given.comment()]
    if given.parameters:
        span = f"p[0..{len(given.parameters) - 1}]"
        lines.append(f"  {span} = what it closes over; NULL stands for {name}_parameters")
    lines += [
        "",
        "It returns 0; or 1, and nan for every result, if the numbers go a way that was not recorded, or a",
    ]
    lines += ["loop does not end.", *["It returns 2 if there is no memory for its work."] * on_heap]
    x, out = map(C.example, given.example)
    call = f"{name}(x, {'NULL, ' * bool(given.parameters)}out)"
    lines += ["", f"Example: with double x[{given.inputs}] = {x}, out[{given.results}],"]
    lines += [f"{call} gives out = {out}.", f"Compile it: cc -std=c99 -O2 -c {name}.c"]
    text = "\n".join(fill(line, 110, subsequent_indent="      ") for line in lines)
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", "\n   ")
