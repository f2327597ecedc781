"""JSON and lines out of a stream, without ever holding the whole of it."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from mynah.errors import BrokenSource
from mynah.sources.guarded import AGAIN, Guarded
from mynah.sources.place import Place

_CHUNK = 1 << 18
_LONGEST = 32 << 20  # characters of one entry or line; none real comes near
_OUTLINED = 20_000  # values; what tells a format apart comes sooner
_BETWEEN = re.compile(r"[\s,\ufeff]*")
_OPENING = re.compile(r"\ufeff?\s*(?:[\w.$ ]{0,200}=\s*)?\[")
_ASSIGNMENT = re.compile(r"\ufeff?\s*(?:[\w.$ ]{0,200}=)?\s*")
_decode = json.JSONDecoder().raw_decode


class _Window:
    """The stretch of a stream that is being parsed."""

    def __init__(self, stream: Guarded) -> None:
        self.text, self.at, self.ended = "", 0, False
        self.number = 0  # of the value that is being read, for messages
        self.label, self.wanted = stream.label, stream.is_hashed
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def grow(self) -> bool:
        """Read at least as much as is pending, so that a long entry costs linear time."""
        pending = len(self.text) - self.at
        if self.ended or pending > _LONGEST:
            return False
        raw = self._stream.read(max(_CHUNK, pending)) or b""
        self.ended = not raw
        try:
            fresh = self._decoder.decode(raw, final=self.ended)
        except UnicodeDecodeError as error:
            raise not_utf8(self.label) from error
        self.text, self.at = self.text[self.at :] + fresh, 0
        return True

    def open_array(self) -> None:
        """Go past `window.YTD.tweets.part0 = [`."""
        while not (found := _OPENING.match(self.text)):
            if len(self.text) > _CHUNK or not self.grow():
                raise BrokenSource(f"{self.label} does not begin as a list of posts.", hint=AGAIN)
        self.at = found.end()

    def next_sign(self) -> str:
        """Return the character that the next entry begins with, "" at the end of the stream."""
        while True:
            self.at = _BETWEEN.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def value(self) -> Any:
        """Return the JSON value that begins here."""
        self.number += 1
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self.grow():
                    raise self.broken() from error
            else:
                # What ends with the window may go on: 12 as 123.
                if end < len(self.text) or not isinstance(value, int | float) or not self.grow():
                    self.at = end
                    return value

    def entry(self) -> dict[str, Any]:
        """Return the object that begins here."""
        value = self.value()
        if not isinstance(value, dict):
            raise self.broken()
        return value

    def key(self) -> str:
        """Return the name that begins here, and go past its colon."""
        name = self.value()
        if not isinstance(name, str) or self.next_sign() != ":":
            raise self.broken()
        self.at += 1
        return name

    def finish(self) -> None:
        """Read on to the end, for the hash."""
        while self.wanted and self.grow():
            self.at = len(self.text)

    def broken(self) -> BrokenSource:
        """Return the error for what is no JSON here."""
        return _broken(self.label, max(1, self.number))


def array_entries(stream: Guarded) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JavaScript file that assigns one array, closing the stream.

    A sliding window over `json`'s own scanner: faster than ijson's C backend and one library less.

    Raises:
        BrokenSource: the member is not that, or stops in the middle; names it and the entry.
    """
    with stream:
        window = _Window(stream)
        window.open_array()
        yield from _entries(window, "]")
        window.finish()


def objects(stream: Guarded) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON file, a list of them or one after another, closing the stream.

    Raises:
        BrokenSource: as `array_entries`.
    """
    with stream:
        window = _Window(stream)
        listed = window.next_sign() == "["
        window.at += listed
        yield from _entries(window, "]" if listed else "")
        window.finish()


def _entries(window: _Window, end: str) -> Iterator[dict[str, Any]]:
    while (sign := window.next_sign()) != end:
        if sign != "{":
            window.number += 1
            raise window.broken()
        yield window.entry()


def members(stream: Guarded, into: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of what a JSON object holds, lists entry by entry, closing the stream.

    An object whose path is in `into` is gone into, also as an entry of a list: "chats" and
    "chats.list" give the messages of all chats as "chats.list.messages".

    Raises:
        BrokenSource: as `array_entries`.
    """
    with stream:
        window = _Window(stream)
        if window.next_sign() != "{":
            raise window.broken()
        yield from _members(window, "", frozenset(into))
        window.finish()


def _members(window: _Window, path: str, into: frozenset[str]) -> Iterator[tuple[str, Any]]:
    window.at += 1
    while (sign := window.next_sign()) != "}":
        if sign != '"':
            raise window.broken()
        key = window.key()
        yield from _values(window, f"{path}.{key}" if path else key, into)
    window.at += 1


def _values(window: _Window, path: str, into: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield the value that begins here, or those of the list that does."""
    sign = window.next_sign()
    if sign == "{" and path in into:
        yield from _members(window, path, into)
    elif sign != "[":
        yield path, window.value()
    else:
        window.at += 1
        while (sign := window.next_sign()) != "]":
            if sign == "{" and path in into:
                yield from _members(window, path, into)
            else:
                yield path, window.value()
        window.at += 1


def outline(place: Place, into: Collection[str] = ()) -> dict[str, Any]:
    """Return the first value at each path of a single file's first object, {} where it has none."""
    found: dict[str, Any] = {}
    with suppress(BrokenSource), place.open(place.names[0]) as stream:
        window = _Window(stream)
        window.at += window.next_sign() == "["
        if window.next_sign() == "{":
            for path, value in islice(_members(window, "", frozenset(into)), _OUTLINED):
                found.setdefault(path, value)
    return found


def listed(stream: Guarded, key: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list that a JSON object holds, closing the stream.

    A key that is there twice is read twice: one may be empty, as in exports of Mastodon 4.

    Raises:
        BrokenSource: as `array_entries`.
    """
    number = 0
    for path, value in members(stream):
        if path != key or value is None:
            continue
        number += 1
        if not isinstance(value, dict):
            raise _broken(stream.label, number)
        yield value


def one_object(stream: Guarded) -> dict[str, Any]:
    """Return the object that a small JavaScript file assigns, closing the stream.

    Raises:
        BrokenSource: the member holds no object.
    """
    with stream:
        window = _Window(stream)
        while window.grow():
            pass
    try:
        value, _ = _decode(window.text, _ASSIGNMENT.match(window.text).end())  # type: ignore[union-attr]
    except (ValueError, RecursionError) as error:
        raise _broken(window.label, 1) from error
    if not isinstance(value, dict):
        raise _broken(window.label, 1)
    return value


def lines(stream: Guarded) -> Iterator[str]:
    """Yield the lines of a text, ends of line kept, a byte-order mark not, closing the stream.

    Raises:
        BrokenSource: it is not UTF-8, or a line has no end.
    """
    with io.TextIOWrapper(io.BufferedReader(stream, _CHUNK), "utf-8-sig", newline="") as text:
        while True:
            try:
                line = text.readline(_LONGEST)
            except UnicodeDecodeError as error:
                raise not_utf8(stream.label) from error
            if not line:
                return
            if len(line) >= _LONGEST:
                raise BrokenSource(f"{stream.label} has a line without end.", hint=AGAIN)
            yield line


def not_utf8(label: str) -> BrokenSource:
    """Return the error for text in another encoding."""
    return BrokenSource(
        f"{label} is not UTF-8 text.",
        hint="Save it as UTF-8, for instance: iconv -f WINDOWS-1252 -t UTF-8 old > new",
    )


def _broken(label: str, number: int) -> BrokenSource:
    return BrokenSource(f"{label} is broken JSON at its entry {number:,}.", hint=AGAIN)
