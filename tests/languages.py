"""Compile and run C and JavaScript from tests, and compare numbers in units in the last place."""

import math
import shutil
import subprocess

import needs

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def needs_compiler():
    """Return the first C compiler, or skip."""
    return COMPILERS[0] if COMPILERS else needs.program("cc")


def compile_c(compiler, source, out, *flags):
    """Compile C with all warnings as errors."""
    done = subprocess.run(
        [compiler, *WARNINGS, *flags, source, "-o", out, "-lm"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out


def run_node(source, text=""):
    """Run a JavaScript file and return what it prints."""
    done = subprocess.run(
        [needs.program("node"), source], input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parse(number):
    """Read a number as C or JavaScript prints it."""
    return float(number.replace("Infinity", "inf"))


def ulps(found, expected):
    """Return how far a number is from another in units in the last place; signs of zeros count."""
    if found == expected:
        return 0.0 if math.copysign(1.0, found) == math.copysign(1.0, expected) else math.inf
    if math.isnan(found) or math.isnan(expected):
        return 0.0 if math.isnan(found) and math.isnan(expected) else math.inf
    return abs(found - expected) / math.ulp(expected)
