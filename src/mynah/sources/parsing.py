"""JSON and lines out of a stream, without ever holding the whole of it."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from mynah.errors import BrokenSource
from mynah.sources.place import AGAIN, Guarded

_CHUNK = 1 << 18
_LONGEST = 32 << 20  # characters of one entry or line; none real comes near
_BETWEEN = re.compile(r"[\s,]*")
_OPENING = re.compile(r"\ufeff?\s*(?:[\w.$ ]{0,200}=\s*)?\[")
_ASSIGNMENT = re.compile(r"\ufeff?\s*(?:[\w.$ ]{0,200}=)?\s*")
_decode = json.JSONDecoder().raw_decode


class _Window:
    """The stretch of a stream that is being parsed."""

    def __init__(self, stream: Guarded) -> None:
        self.text, self.at, self.ended = "", 0, False
        self.label = stream.label
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

    def value(self, number: int) -> Any:
        """Return the value that begins here."""
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self.grow():
                    raise _broken(self.label, number) from error
            else:
                # What ends with the window may go on: 12 as 123.
                if end < len(self.text) or not isinstance(value, int | float) or not self.grow():
                    self.at = end
                    return value

    def entry(self, number: int) -> dict[str, Any]:
        """Return the object that begins here."""
        value = self.value(number)
        if not isinstance(value, dict):
            raise _broken(self.label, number)
        return value


def array_entries(stream: Guarded) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JavaScript file that assigns one array, closing the stream.

    A sliding window over `json`'s own scanner: faster than ijson's C backend and one library less.

    Raises:
        BrokenSource: the member is not that, or stops in the middle; names it and the entry.
    """
    with stream:
        window, number = _Window(stream), 1
        window.open_array()
        while (sign := window.next_sign()) != "]":
            if sign != "{":
                raise _broken(window.label, number)
            yield window.entry(number)
            number += 1
        while window.grow():  # to the end, for the hash
            window.at = len(window.text)


def listed(stream: Guarded, key: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list that a JSON object holds, closing the stream.

    A key that is there twice is read twice: one may be empty, as in exports of Mastodon 4.

    Raises:
        BrokenSource: the member is no object, or stops in the middle; names it and the entry.
    """
    with stream:
        window, number = _Window(stream), 1
        if window.next_sign() != "{":
            raise _broken(window.label, number)
        window.at += 1
        while (sign := window.next_sign()) != "}":
            if sign != '"':
                raise _broken(window.label, number)
            wanted = window.value(number) == key
            if window.next_sign() != ":":
                raise _broken(window.label, number)
            window.at += 1
            if wanted and window.next_sign() == "[":
                window.at += 1
                while window.next_sign() != "]":
                    yield window.entry(number)
                    number += 1
                window.at += 1
            elif window.next_sign():
                window.value(number)
        while window.grow():  # to the end, for the hash
            window.at = len(window.text)


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
