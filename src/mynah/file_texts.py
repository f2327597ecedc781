"""The texts inside the files of a published bot, whatever the format hides them in.

Each text is what one person would read in one go: a page, a value of JSON, a note in a picture.
"""

from __future__ import annotations

import html
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_LONGEST_HEADER = 100_000_000  # bytes; what the safetensors library reads at most
_LARGEST_NOTE = 10_000_000  # bytes of an unpacked note in a picture
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"sRGB", b"gAMA", b"pHYs", b"cHRM")


def texts(path: Path) -> Iterator[str]:
    """Yield every text in a file.

    Raises:
        ValueError: the file is not what its name says, or goes on after its end.
    """
    yield from _READERS.get(path.suffix, _lines)(path)


def _page(path: Path) -> Iterator[str]:
    """Yield a page as it is written, and as it is read: cells apart, nothing escaped."""
    written = path.read_text(encoding="utf-8")
    yield written
    yield html.unescape(re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", written.replace("|", "\n")))


class _Pieces(HTMLParser):
    """Collects what stands between, inside and around the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.extend(value for _, value in attrs if value)

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.append(data)


def _markup(path: Path) -> Iterator[str]:
    """Yield a page of tags as it is written, each of its pieces, and all that one reads of it."""
    written = path.read_text(encoding="utf-8")
    yield written
    pieces = _Pieces()
    pieces.feed(written)
    pieces.close()
    yield from pieces.found
    yield html.unescape(re.sub(r"<[^>]*>", " ", written))


def _lines(path: Path) -> Iterator[str]:
    yield from path.read_bytes().decode("utf-8", errors="replace").splitlines()


def _json(path: Path) -> Iterator[str]:
    yield from json_texts(path.read_bytes())


def json_texts(raw: bytes | str) -> Iterator[str]:
    """Yield every key and every text of a JSON document, those of doubled keys as well."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        for key, value in items:
            found.append(key)
            found.extend(_strings(value))

    found.extend(_strings(json.loads(raw, object_pairs_hook=pairs)))
    yield from found


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts of a value; objects have been emptied by then."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _safetensors(path: Path) -> Iterator[str]:
    """Yield the names and notes in the header; the numbers have to fill the rest exactly."""
    with path.open("rb") as stream:
        [length] = struct.unpack("<Q", stream.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("a header without end")
        header = stream.read(length)
    tensors = json.loads(header)
    ends = [row["data_offsets"][1] for name, row in tensors.items() if name != "__metadata__"]
    if path.stat().st_size != 8 + length + max(ends, default=0):
        raise ValueError("bytes after the last number")
    yield from json_texts(header)


def _png(path: Path) -> Iterator[str]:
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise ValueError("no PNG")
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind not in _PIXELS:
            yield from _note(kind, content[at + 8 : at + 8 + length])
        at += length + 12
    if at != len(content):
        raise ValueError("bytes after its end")


def _note(kind: bytes, data: bytes) -> Iterator[str]:
    """Yield a note of a picture as it is, and unpacked where it is packed."""
    if kind == b"eXIf":
        raise ValueError("notes of a camera")
    yield from data.decode("latin-1").split("\0")
    yield from data.decode("utf-8", errors="replace").split("\0")
    if packed := _packed(kind, data):
        unpacker = zlib.decompressobj()
        yield unpacker.decompress(packed, _LARGEST_NOTE).decode("utf-8", errors="replace")
        if unpacker.unconsumed_tail:
            raise ValueError("a note without end")


def _packed(kind: bytes, data: bytes) -> bytes:
    """Return the packed part of a note (PNG, third edition, section 11.3.3)."""
    _keyword, _, rest = data.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        return rest[1:]
    if kind == b"iTXt" and rest.startswith(b"\1"):
        _language, _, rest = rest[2:].partition(b"\0")
        return rest.partition(b"\0")[2]
    return b""


_READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    ".md": _page,
    ".html": _markup,
    ".svg": _markup,
    ".json": _json,
    ".safetensors": _safetensors,
    ".png": _png,
}
