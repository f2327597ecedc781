"""The HTML of a fediverse post as the text that its author typed.

Servers make paragraphs, links, mentions and tags of what people write. This undoes it: a blank line
between paragraphs, a link as its address, a mention with its server, everything unescaped once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from mynah.records import Span

# A list's items and a poem's lines stand below each other; so do paragraphs, a line apart.
_PARAGRAPHS = frozenset({"p", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset({"li", "div", "tr", "dt", "dd"})
_EMPTY = frozenset({"br", "img", "hr", "wbr", "input", "meta", "link", "area", "source"})
_UNSEEN_TAGS = frozenset({"script", "style", "template", "title"})
# What begins no tag is a sign of its own. Python's parser gives up on broken declarations with an
# AssertionError, and a row of tags without an end costs it the square of their number.
_SIGN = re.compile(r"<(?![A-Za-z/])")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:/*(?:www\.)?", re.IGNORECASE)

Mentions = Mapping[str, str]  # the address of a profile, or a bare name -> name with its server


@dataclass(frozen=True)
class Text:
    """A post as its author typed it, and where its links stand."""

    text: str
    spans: tuple[Span, ...] = ()


def to_text(html: str, mentions: Mentions | None = None, *, quotes: bool = False) -> Text:
    """Return the text of a post.

    Args:
        html: its content, as the server gives it.
        mentions: what `@name` stands for, by address and by name, in lower case.
        quotes: the post quotes another one, whose address the server wrote in front (`RE: …`).
    """
    page = _Page(mentions or {}, quotes=quotes)
    page.feed(_tame(html))
    page.close()
    page.end_link()
    return page.result()


def _tame(html: str) -> str:
    """Return HTML without comments, in which every `<` begins a tag that has an end."""
    first, *others = html.split("<!--")
    html = first + "".join(other.partition("-->")[2] for other in others)
    end = html.rfind(">") + 1
    return _SIGN.sub("&lt;", html[:end]) + html[end:].replace("<", "&lt;")


@dataclass
class _Link:
    """An <a> that is being read."""

    address: str
    classes: frozenset[str]
    pieces: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Collect what is to be seen; the parser undoes the escaping, once."""

    def __init__(self, mentions: Mentions, *, quotes: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._mentions, self._quotes = mentions, quotes
        self._pieces: list[str] = []
        self._length = 0  # of all pieces, in code points
        self._spans: list[Span] = []
        self._link: _Link | None = None
        self._gap = 0  # new lines owed before the next words
        self._hidden: list[str] = []  # open tags from the hidden one inwards

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a paragraph, a line, a link, or something that is not seen."""
        values = {name: value or "" for name, value in attrs}
        classes = frozenset(values.get("class", "").split())
        if self._hidden:
            self._hidden += [tag] * (tag not in _EMPTY)
        elif self._is_hidden(tag, classes):
            self._hidden.append(tag)
        elif tag == "br":
            self._say("\n")
        elif tag == "a":
            self.end_link()
            self._link = _Link(values.get("href", "").strip(), classes)
        elif tag == "img" and "emoji" in " ".join(classes):
            self._say(values.get("alt", ""))
        else:
            self._begin_block(tag)

    def handle_endtag(self, tag: str) -> None:
        """End what has begun."""
        if self._hidden:
            self._unhide(tag)
        elif tag == "a":
            self.end_link()
        else:
            self._begin_block(tag)

    def handle_data(self, data: str) -> None:
        """Take words."""
        if not self._hidden:
            self._say(data)

    def end_link(self) -> None:
        """Write what a link stands for."""
        link, self._link = self._link, None
        if link is None:
            return
        shown = "".join(link.pieces)
        if not link.address or link.classes & {"mention", "hashtag"} or shown.startswith("#"):
            self._say(self._named(link.address, shown))
            return
        if not _is_address(shown, link.address):
            self._say(shown + " ")
        self._pay()
        start = self._length
        self._say(link.address)
        self._spans.append(Span(start=start, end=self._length, kind="url"))

    def result(self) -> Text:
        """Return the text without white space around it, and its spans."""
        text = "".join(self._pieces)
        shift = len(text) - len(text.lstrip())
        text = text.strip()
        moved = (Span(start=s.start - shift, end=s.end - shift, kind=s.kind) for s in self._spans)
        return Text(text, tuple(s for s in moved if 0 <= s.start < s.end <= len(text)))

    def _is_hidden(self, tag: str, classes: frozenset[str]) -> bool:
        if tag in _UNSEEN_TAGS or (self._quotes and "quote-inline" in classes):
            return True
        # Inside a link both hold parts of its address, which is taken whole.
        return bool(classes & {"invisible", "ellipsis"}) and self._link is None

    def _unhide(self, tag: str) -> None:
        """Close a hidden tag and those inside it that were left open."""
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass

    def _begin_block(self, tag: str) -> None:
        if tag in _PARAGRAPHS or tag in _LINES:
            self.end_link()
            self._gap = max(self._gap, 2 if tag in _PARAGRAPHS else 1)

    def _named(self, address: str, shown: str) -> str:
        """Return `@name@server` for a mention, a tag as it is shown."""
        if not shown.startswith("@"):
            return shown
        known = self._mentions.get(address.lower()) or self._mentions.get(shown[1:].lower())
        return f"@{known}" if known else shown

    def _say(self, words: str) -> None:
        if not words or (self._gap and words.isspace()):
            return  # nothing, or what a server writes between two blocks
        if self._link is not None:
            self._link.pieces.append(words)
            return
        self._pay()
        self._pieces.append(words)
        self._length += len(words)

    def _pay(self) -> None:
        """Write the new lines between two blocks; none before the first words."""
        gap, self._gap = self._gap, 0
        if gap and self._length:
            self._pieces.append("\n" * gap)
            self._length += gap


def _is_address(shown: str, address: str) -> bool:
    """Tell whether a link shows its own address, whole or the beginning or none of it."""
    bare = _SCHEME.sub("", shown.strip()).rstrip("…/ ").casefold()
    return _SCHEME.sub("", address).casefold().startswith(bare)
