"""Source text of a function in a language."""

import re

from nodegrad.compiler.sources import c, javascript
from nodegrad.compiler.sources.function import Function
from nodegrad.inputs import one_of

__all__ = ()

_LANGUAGES = {"c": c.file, "js": javascript.file}


def source(function: Function, language: str) -> str:
    """Write a function in a language.

    Raises:
        ValueError: if there is no such language, or the function calls an operation that is Python code.
    """
    write = _LANGUAGES[one_of("source", "language", language, _LANGUAGES)]
    text = re.sub(r"\n{3,}", "\n\n", write(function))
    return re.sub(r" +$", "", text, flags=re.MULTILINE)
