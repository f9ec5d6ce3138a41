"""The page that follows one contraction to its IR says what the compiler does.

`python tests/compiler/test_llvm_readme.py` writes the blocks of the page anew.
"""

import re
from pathlib import Path
from unittest import mock

import pytest

import nodegrad as ng
from nodegrad.compiler.printing import render
from nodegrad.compiler.vectorize import vectorize

pytest.importorskip("llvmlite", reason="needs llvmlite")

PAGE = Path(ng.__file__).parent / "compiler" / "backends" / "llvm" / "README.md"
BLOCK = re.compile(r"(```(?:text|llvm)\n)(.*?)(```)", re.DOTALL)
# The words of the record, as a `Contraction` reads them.
MEANINGS = (
    *("the kernel", "tiles", "where tiles begin", "terms"),
    *("rows of p", "stride of p", "rows of x", "stride of x"),
    *("biases: first", "biases: stride", "results: first"),
)


def made():
    """Return the blocks of the page: printed program, kernel, record, and the IR in four parts."""
    from nodegrad.compiler.backends.llvm.fuse import Records, fuse
    from nodegrad.compiler.backends.llvm.ir import Body

    compiled = ng.compile(ng.nn.Layer(4, 4, activation="relu", seed=0), backend="numpy")
    compiled([1.0] * 4)
    (trace,) = next(iter(compiled.traces.values()))
    program = vectorize(trace.program)
    records = Records()
    with mock.patch("nodegrad.compiler.backends.llvm.fuse.TILE", 2):
        fuse(records, program.body, program.outputs, program.varying)
    ((kernel, _),) = records.kinds
    return [render(program) + "\n", described(kernel), record(records), *parts(kernel, Body(2, exact=False))]


def described(kernel):
    lines = [f"op      {kernel.op.name}", f"tile    {kernel.tile}", f"first   {kernel.first}"]
    lines += [f"factor  {factor}" for factor in kernel.factors]
    return "\n".join([*lines, *[f"step    {step.op.name} {step.operands}" for step in kernel.steps]]) + "\n"


def record(records):
    from nodegrad.compiler.backends.llvm.fuse import TABLE

    starts = sorted(word - TABLE for word in records.words if word >= TABLE)
    ends = [*starts[1:], len(records.tables)]
    tables = {
        TABLE + start: records.tables[start:end].tolist() for start, end in zip(starts, ends, strict=True)
    }
    words = zip(MEANINGS, records.words, strict=True)
    return "".join(
        f"{place:2} {name:18} {tables.get(word, word)}\n" for place, (name, word) in enumerate(words)
    )


def parts(kernel, body):
    parameters = kernel(body)
    text = body.text("kernel", parameters)
    cuts = [0, *[text.index(f"{label}:") for label in re.findall(r"^(loop\d+|done\d+):", text, re.MULTILINE)]]
    pieces = [text[start:stop] for start, stop in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return [*pieces[:3], "".join(pieces[3:]).strip() + "\n"]


def test_the_page_shows_what_the_compiler_makes():
    shown = [block for _, block, _ in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]

    assert shown == made()


if __name__ == "__main__":
    blocks = iter(made())
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda found: found[1] + next(blocks) + found[3], page), encoding="utf-8")
