"""One C99 file: a function from arrays to arrays, and what it needs."""

from collections.abc import Iterator
from textwrap import fill

from nodegrad.compiler.sources import spellings
from nodegrad.compiler.sources.function import Function
from nodegrad.compiler.sources.writer import Text, arrays_used, call, function, table
from nodegrad.compiler.sources.writer import write as statements

__all__ = ()

_ON_STACK = 4096  # numbers; more are asked of malloc

# Words that a function cannot be called by: C's own and those of its library.
_TAKEN = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
while main malloc free calloc realloc abs div exit rand system acos acosh asin asinh atan atan2 atanh
cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp gamma hypot
ilogb j0 j1 jn ldexp lgamma log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow
remainder rint round scalbn sin sinh sqrt tan tanh tgamma trunc y0
y1 yn unknown way1 round_to snprintf atoi strchr strtod
"""


def write(given: Function) -> str:
    """Write the file."""
    name = given.name + "_" * (given.name in _TAKEN.split())
    return "\n".join(_lines(given, name, statements(given.branches, "c")))


def _lines(given: Function, name: str, text: Text) -> Iterator[str]:
    arrays = ["x", *["p"] * bool(given.parameters), "out"]
    kinds = {"x": "const double *x", "p": "const double *p", "out": "double *out"}
    head = f"int {name}({', '.join(kinds[each] for each in arrays)})"
    yield _comment(given, name, text.workspace)
    rounds = "round_to(" in text.code
    used = {"math": True, "stdio": rounds, "stdlib": rounds or text.workspace > _ON_STACK, "string": rounds}
    yield from [f"#include <{name}.h>" for name, is_used in used.items() if is_used]
    yield ""
    yield "/* gcc leaves loops as they are at -O2, where clang runs several turns at once. */"
    yield "#if defined __GNUC__ && !defined __clang__ && defined __OPTIMIZE__ && !defined __OPTIMIZE_SIZE__"
    yield '#pragma GCC optimize ("O3")'
    yield "#endif"
    yield "/* Contracting a*b + c into one operation would change the numbers. gcc does not with -std=c99. */"
    yield "#ifdef __clang__\n#pragma STDC FP_CONTRACT OFF\n#endif"
    yield '#ifdef __FAST_MATH__\n#error "This code needs nan and inf: no -ffast-math"\n#endif\n'
    yield f"{head};\n"
    if given.parameters:
        yield from table(f"const double {name}_parameters", given.parameters, "c")
        yield ""
    yield spellings.functions("c", text.code)
    yield from text.tables
    yield ""
    yield from text.parts
    plain = len(text.trees) == 1 and text.trees[0].count("return 0;") == 1 and text.workspace <= _ON_STACK
    checked = any("return 1;" in line for lines in text.trees for line in lines) or len(text.trees) > 1
    if plain and not checked:
        yield from _function(given, name, head, text, text.trees[0])
        return
    for number, lines in enumerate(text.trees, 1):
        yield from function("c", f"static int way{number}", lines)
    calls = " && ".join(call(f"way{number}", lines) for number, lines in enumerate(text.trees, 1))
    yield from _function(given, name, head, text, _calling(given, calls, text.workspace))


def _calling(given: Function, calls: str, workspace: int) -> list[str]:
    """Write the statements that try the ways, and report input that goes none of them."""
    lines = [f"const int unknown = {calls};"]
    if workspace > _ON_STACK:
        lines = [
            f"double *v = malloc({workspace} * sizeof *v);",
            "int unknown;",
            "if (!v) return 2;",
            f"unknown = {calls};",
            "free(v);",
        ]
    return [
        *lines,
        f"if (unknown) for (int i = 0; i < {given.results}; i++) out[i] = NAN;",
        "return unknown;",
    ]


def _function(given: Function, name: str, head: str, text: Text, lines: list[str]) -> Iterator[str]:
    yield f"{head}\n{{"
    used = arrays_used(lines)
    if text.workspace and "v" in used and text.workspace <= _ON_STACK:
        yield f"    double v[{text.workspace}];"
    if given.parameters:
        yield f"    if (!p) p = {name}_parameters;"
    yield from [f"    (void){each};" for each in ("x", "out") if each not in used]
    yield from [f"    {line}" for line in lines]
    yield "}\n"


def _comment(given: Function, name: str, workspace: int) -> str:
    last = len(given.parameters) - 1
    lines = [*given.comment()]
    if given.parameters:
        lines.append(f"  p[0..{last}] = what it closes over; NULL stands for {name}_parameters")
    lines += [
        "",
        "It returns 0; or 1, and nan for every result, if the numbers go a way that was not recorded, or a",
        "loop does not end.",
    ]
    lines += ["It returns 2 if there is no memory for its work."] if workspace > _ON_STACK else []
    x, out = (spellings.listed(numbers, "c") for numbers in given.example)
    call = f"{name}(x, {'NULL, ' * bool(given.parameters)}out)"
    lines += ["", f"Example: with double x[{given.inputs}] = {x}, out[{given.results}],"]
    lines += [f"{call} gives out = {out}.", f"Compile it: cc -std=c99 -O2 -c {name}.c"]
    text = "\n".join(fill(line, 110, subsequent_indent="      ") for line in lines)
    return "/* " + text.replace("*/", "* /").replace("/*", "/ *").replace("\n", "\n   ") + " */\n"
