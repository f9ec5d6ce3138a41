"""Self-contained HTML pages: one file, no network, and labels that stay text."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from html import escape
from string import Template
from typing import Any

from nodegrad.inputs import described
from nodegrad.show import palette
from nodegrad.show.text import clean, part
from nodegrad.show.window import Shown

__all__ = ()

_HASH = re.compile(r"script-src ('sha256-[^']+')")


class Page(Shown):
    """One HTML file that needs no other: open it from disk, send it, or show it in a notebook."""

    kinds = ("html", "htm")

    def __init__(self, html: str, title: str) -> None:
        self.html, self.title = html, title

    def content(self, kind: str) -> bytes:
        """Return the page as a file holds it."""
        return self.html.encode()

    def _repr_html_(self) -> str:
        style = "width:100%;height:720px;border:0"
        source, title = escape(self.html, quote=True), escape(self.title, quote=True)
        return f'<iframe srcdoc="{source}" sandbox="allow-scripts" style="{style}" title="{title}"></iframe>'

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title!r}, {len(self.html) // 1000:,} kB>"


def build(
    name: str,
    title: str,
    data: Any,
    scripts: Sequence[str],
    *,
    svg: str = "",
    text: str = "",
    written: str = "",
    inside: Iterable[Page] = (),
) -> str:
    """Put a page together from the files in `pages`: body and style `name`, and scripts.

    `svg` is the picture in its panel, `text` is HTML beside it.

    The policy in its head allows these scripts, what is `written` for this page, and the scripts of the pages
    it may show `inside`, all by hash, and no connection at all. `written` must not contain labels.
    """
    script = "\n".join(['"use strict";', written, *[part(f"{script}.js") for script in scripts]])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    others = {found[1] for page in inside if (found := _HASH.search(page.html))}
    allowed = " ".join([f"'sha256-{digest}'", *sorted(others)])
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    if not isinstance(title, str):
        raise TypeError(f"{name} takes title as a text; got {described(title)}.")
    title = escape(clean(title))
    panel = Template(part("panel.html")).substitute(svg=svg)
    body = Template(part(f"{name}.html")).substitute(
        title=title, panel=panel, text=text, transport=part("transport.html")
    )
    style = palette.coloured(part("page.css") + part(f"{name}.css"))
    return Template(part("page.html")).substitute(
        policy=policy, title=title, style=style, body=body, data=embed(data), script=script
    )


def embed(data: Any) -> str:
    r"""Write JSON that can stand inside a script element, whatever texts are in it.

    >>> print(embed("</script> & \u2028"))
    "\u003c/script\u003e \u0026 \u2028"
    """
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(
        {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&"}
    )


def packed(text: str) -> str:
    """Compress a text so that a page can hold it; its script has `unpacked`."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
