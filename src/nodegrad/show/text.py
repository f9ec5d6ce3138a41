"""How numbers and names are written wherever people read them."""

import math
import re
from functools import cache, lru_cache
from importlib import resources

__all__ = ()


def number(x: float) -> str:
    """Write a number short but honestly: a trailing zero where it is rounded, none where it is exact.

    The zero below 0 keeps its sign, as in Python: 1/x and atan2 tell it from the other.

    >>> number(2.0), number(0.1 + 0.2), number(2.0000001), number(1 / 3), number(12345.678), number(1e-9 / 3)
    ('2', '0.3', '2.000', '0.3333', '12345.7', '3.333e-10')
    >>> number(0.0), number(-0.0)
    ('0', '-0')
    """
    if not math.isfinite(x):
        return repr(x)
    if x == int(x) and abs(x) < 1e6:
        return f"{x:.0f}"
    digits = max(4, math.floor(math.log10(abs(x))) + 2) if 1.0 <= abs(x) < 1e6 else 4
    exact = f"{x:.{digits}g}"
    if float(exact) == float(f"{x:.12g}"):
        return exact
    rounded = f"{x:#.{digits}g}"
    return rounded + "0" if rounded.endswith(".") else rounded


def counted(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "node"), counted(2000, "node")
    ('1 node', '2,000 nodes')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


@lru_cache(4096)
def plain_name(label: str) -> str:
    """Write a label so that it can stand in a formula: as it is if it is one word, in quotes otherwise.

    >>> plain_name("w1"), plain_name("w[0][1]"), plain_name("x + y")
    ('w1', 'w[0][1]', '“x + y”')
    """
    text = shorten(" ".join(clean(label).split()))
    return text if re.fullmatch(r"[^\W\d][\w.]*['′]*(\[\w+\])*", text) else f"“{text}”"


_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_RAISED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def indexed(name: str, index: int) -> str:
    """Write a name with an index below the line.

    >>> indexed("v", 12)
    'v₁₂'
    """
    return name + str(index).translate(_LOWERED)


def on_the_line(name: str) -> str:
    """Write the index that ends a name after an underscore.

    >>> on_the_line("v₁₂"), on_the_line("w[0]"), on_the_line("w[0]₁")
    ('v_12', 'w[0]', 'w[0]_1')
    """
    return re.sub("[₀-₉]+$", lambda found: f"_{found[0].translate(_RAISED)}", name)


def shorten(text: str, limit: int = 40) -> str:
    """Cut a text to `limit` characters, the cut shown by an ellipsis.

    >>> shorten("gradient", 5)
    'grad…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str) -> str:
    """Drop the characters that XML 1.0 forbids, lone surrogates included.

    >>> clean("a" + chr(0) + "b")
    'ab'
    """
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


@cache
def part(name: str) -> str:
    """Return a file that pages and pictures are put together from."""
    return (resources.files("nodegrad.show") / "pages" / name).read_text(encoding="utf-8")
