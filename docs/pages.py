"""Run the code on a Markdown page: its blocks in order, as one program."""

import doctest
import io
import re
import sys
import textwrap
import warnings

FENCE = re.compile(r"^( *)(`{3,}|:{3,})[ {]*(\w*).*\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def code_blocks(text):
    """Yield the Python in the fences of a Markdown page, each with the number of lines above it."""
    for fence in FENCE.finditer(text):
        if fence[3] in ("python", "pycon"):
            yield textwrap.dedent(fence[4]), text[: fence.start(4)].count("\n")


def run_page(text, name):
    """Run the code blocks of a page in order, as one program; those with prompts must answer as they say.

    A warning is an error.
    """
    namespace = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for code, line in code_blocks(text):
            _run(code, line, namespace, name)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")  # which keeps every figure otherwise
    return namespace


def _run(code, line, namespace, name):
    if code.lstrip().startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
        test.globs = namespace  # not the copy: the blocks that follow know these names
        report = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        failed, _ = runner.run(test, out=report.write, clear_globs=False)
        assert not failed, report.getvalue()
    else:
        exec(compile("\n" * line + code, name, "exec"), namespace)
