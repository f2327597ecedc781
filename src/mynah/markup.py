"""Strangers' text made safe to stand in Markdown, HTML and YAML, with nothing visible lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit


class Markdown(str):
    """Text that is Markdown already, which the template inserts as it is."""


# What breaks a line's direction or hides in a name; joiners stay, emoji are built with them.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


def plain(text: str) -> str:
    """Return a stranger's text as one line that any encoding and any terminal can bear."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(_HIDDEN.sub("", whole).split())


# Entities where a backslash is not enough: inside table cells, in HTML, before a viewer's own
# mathematics and bare links. A `_` inside a word and a lone `&` mean nothing in Markdown.
_ENTITY = re.compile(r"[<>|$]|&(?=#?\w+;)|(?<=http):|(?<=https):|(?<=www)\.", re.IGNORECASE)
_BACKSLASH = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])|#(?=#*$)|^[-+=#]")
_NUMBERED = re.compile(r"^(\d+)([.)](?=\s|$))")


def escaped(text: str) -> str:
    """Return Markdown that shows `text` as it is, in a sentence, a heading, a list or a table."""
    line = _BACKSLASH.sub(r"\\\g<0>", plain(text))
    line = _NUMBERED.sub(r"\1\\\2", line)
    return _ENTITY.sub(lambda match: f"&#{ord(match[0])};", line)


def link(text: str, url: str | None) -> Markdown:
    """Return a link, or the text alone where the address is not a plain web address."""
    if not url or not is_web(url):
        return Markdown(escaped(text))
    return Markdown(f"[{escaped(text)}]({quote(plain(url), safe='/:?&=%#@~+,;.-_!')})")


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Markdown:
    """Return a Markdown table; every cell is escaped."""
    lines = [_row(header), _row([Markdown("---")] * len(header)), *map(_row, rows)]
    return Markdown("\n".join(lines))


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(shown(cell) for cell in cells)} |"


def shown(value: object) -> str:
    """Return a value as Markdown: escaped, unless it is Markdown already."""
    return value if isinstance(value, Markdown) else escaped(str(value))


def is_web(url: str) -> bool:
    """Tell whether an address is one of the web, whole."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
