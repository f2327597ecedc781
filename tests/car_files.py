"""Small CAR files for tests, written by the specification: made-up accounts of made-up records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DID = "did:plc:abcdefghijklmnopqrstuvwx"
POSTS = "app.bsky.feed.post"


class Cid(bytes):
    """The name of a block."""


def cid(block: bytes) -> Cid:
    """Name a block by its hash."""
    return Cid(b"\x01\x71\x12\x20" + hashlib.sha256(block).digest())


def _head(major: int, size: int) -> bytes:
    if size < 24:
        return bytes([major << 5 | size])
    width = next(width for width in range(4) if size < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + size.to_bytes(1 << width, "big")


def cbor(value: Any) -> bytes:
    """Encode a value as DAG-CBOR."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value)
        case Cid():
            return _head(6, 42) + _head(2, len(value) + 1) + b"\0" + value
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list():
            return _head(4, len(value)) + b"".join(map(cbor, value))
    keys = sorted(value, key=lambda key: (len(key), key))
    return _head(5, len(keys)) + b"".join(cbor(key) + cbor(value[key]) for key in keys)


def framed(data: bytes) -> bytes:
    """Put a block's length before it."""
    size, start = len(data), b""
    while size > 0x7F:
        start += bytes([size & 0x7F | 0x80])
        size >>= 7
    return start + bytes([size]) + data


def car(root: Cid, blocks: Iterable[bytes]) -> bytes:
    """Return a CAR file."""
    header = framed(cbor({"version": 1, "roots": [root]}))
    return header + b"".join(framed(cid(block) + block) for block in blocks)


def tree(leaves: Mapping[str, Cid]) -> list[bytes]:
    """Return a search tree's blocks, root first: one page in the middle, one on either side."""
    paths = sorted(leaves)
    middle = len(paths) // 2
    if not paths:
        return [cbor({"l": None, "e": []})]
    left, right = (_page(part, leaves) for part in (paths[:middle], paths[middle + 1 :]))
    entry = _entry(0, paths[middle], leaves, right and cid(right))
    root = cbor({"l": left and cid(left), "e": [entry]})
    return [page for page in (root, left, right) if page]


def _page(paths: list[str], leaves: Mapping[str, Cid]) -> bytes | None:
    if not paths:
        return None
    entries, before = [], ""
    for path in paths:
        kept = next((n for n, (a, b) in enumerate(zip(before, path)) if a != b), len(before))  # noqa: B905
        entries.append(_entry(kept, path, leaves, None))
        before = path
    return cbor({"l": None, "e": entries})


def _entry(kept: int, path: str, leaves: Mapping[str, Cid], right: Cid | None) -> dict[str, Any]:
    return {"p": kept, "k": path[kept:].encode(), "v": leaves[path], "t": right}


def account(records: Mapping[str, Any], *left_over: Any, did: str = DID) -> bytes:
    """Return an account's CAR file; what is left over lies in it, and nothing leads there."""
    blocks = {path: cbor(record) for path, record in records.items()}
    pages = tree({path: cid(block) for path, block in blocks.items()})
    commit = cbor({"did": did, "version": 3, "data": cid(pages[0]), "rev": "3k", "sig": b"x" * 64})
    return car(cid(commit), [commit, *pages, *blocks.values(), *map(cbor, left_over)])


def post(text: str, **more: Any) -> dict[str, Any]:
    """Return the record of a post."""
    return {"$type": POSTS, "text": text, "createdAt": "2024-05-01T08:00:00.000Z", **more}


def written(path: Path, *texts: str) -> Path:
    """Write an account of posts."""
    records = {f"{POSTS}/3k{number:011}": post(text) for number, text in enumerate(texts)}
    path.write_bytes(account(records))
    return path
