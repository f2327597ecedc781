"""A CAR file: a whole Bluesky account, as its owner downloads it or its server gives it.

The file holds blocks, each named by its hash. A signed commit names the root of a search tree,
and the tree, walked in order, names every record that the account has today: what was deleted
may still lie in the file, but nothing leads there. https://atproto.com/specs/repository
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libipld

from mynah.errors import BrokenSource
from mynah.records import Post
from mynah.sources.bluesky_consent import checks
from mynah.sources.bluesky_records import POSTS, PROFILE, Owner, to_account, to_post
from mynah.sources.consent import agreed, of_a_file
from mynah.sources.journal import Content, Journal
from mynah.sources.place import Place, head, stem
from mynah.sources.values import as_dict, as_list, as_text

SCHEME = "file"
_CID = b"\x01\x71\x12\x20"  # version 1, DAG-CBOR, SHA-256, of 32 bytes
_CID_SIZE = len(_CID) + 32
_AGAIN = "Download it again: bsky.app > Settings > Account > Export my data."
_LONGEST_NUMBER = 9  # bytes


def recognises(place: Place) -> bool:
    """Tell by the header: a map with `roots` and a version."""
    start = head(place, 256)
    return b"eroots" in start[:16] and b"gversion" in start


def read(place: Place, journal: Journal) -> Content:
    """Read the account and what it allows now, the posts as they are asked for.

    Raises:
        NoConsent: the account denies this use, and the person has not said that they may.
    """
    with place.open(place.names[0], journal) as stream:
        repo = _Repo(stream.label, stream.readall() or b"")
    owner = Owner(repo.did, stem(place))
    profile = next((record for _, record in repo.records(PROFILE)), {})
    told = [of_a_file(check) for check in checks(profile, repo.records)]
    consent = agreed(repo.label, "bluesky", owner.handle, told, word=journal.word)
    journal.consents.append(consent)
    for check in told:
        if check.verdict != "allows":
            journal.say(f"{repo.label}: {check.what}: {check.answer}.")
    journal.account(to_account(profile, owner))
    return Content("bluesky-car", _posts(repo, owner, journal))


def _posts(repo: _Repo, owner: Owner, journal: Journal) -> Iterator[Post]:
    for key, record in repo.records(POSTS):
        post = to_post(key, record, owner, journal)
        if post is not None:
            yield post


@dataclass(frozen=True)
class _Block:
    """Where a block lies in the file."""

    start: int
    end: int


class _Repo:
    """A CAR file's blocks by their names; one is decoded, and its hash checked, when it is read.

    `libipld.decode_car` would decode all of them, and most are likes that nobody reads.
    """

    def __init__(self, label: str, data: bytes) -> None:
        self.label, self._data = label, data
        size, at = self._number(0)
        header = self._decode(_Block(at, self._inside(at + size)))
        self._blocks = dict(self._walk(at + size))
        roots = as_list(header.get("roots"))
        commit = self._block(roots[0]) if roots else {}
        self.did = as_text(commit.get("did"))
        self._root = commit.get("data")
        if not self.did or not self._root:
            raise BrokenSource(f"{label} is a CAR file, but not of an account.", hint=_AGAIN)

    def records(self, collection: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the keys and records of a collection, newest key first."""
        for path, name in self._leaves():
            found, _, key = path.partition("/")
            if found == collection:
                yield key, self._block(name)

    def _leaves(self) -> Iterator[tuple[str, object]]:
        """Yield the paths and names of all records, the last path first, as servers list them.

        A node holds a left child and entries, each with a value and a child to its right; a path
        is given by how much of the one before it stays, and the rest.
        """
        todo: list[Any] = [self._root]
        seen: set[bytes] = set()
        while todo:
            item = todo.pop()
            if isinstance(item, tuple):
                yield item
            elif item is not None:
                if not isinstance(item, bytes) or item in seen:
                    raise self._broken("has a tree that does not end")
                seen.add(item)
                todo.extend(self._node(item))

    def _node(self, name: object) -> Iterator[Any]:
        node, path = self._block(name), b""
        yield node.get("l")
        for entry in map(as_dict, as_list(node.get("e"))):
            kept, rest = entry.get("p"), entry.get("k")
            if type(kept) is not int or not isinstance(rest, bytes):
                raise self._broken("has a page without paths")
            path = path[:kept] + rest
            yield path.decode("utf-8", "replace"), entry.get("v")
            yield entry.get("t")

    def _block(self, name: object) -> dict[str, Any]:
        """Return a block.

        Raises:
            BrokenSource: it is not in the file, or not what its name says.
        """
        block = self._blocks.get(name) if isinstance(name, bytes) else None
        if block is None:
            raise self._broken("lacks a part of the account")
        if hashlib.sha256(self._data[block.start : block.end]).digest() != name[len(_CID) :]:  # type: ignore[index]
            raise self._broken("is damaged: a part is not what its hash says")
        return self._decode(block)

    def _decode(self, block: _Block) -> dict[str, Any]:
        try:
            value = libipld.decode_dag_cbor(self._data[block.start : block.end])
        except Exception as error:  # the library has no class of its own
            raise self._broken("is damaged") from error
        return as_dict(value)

    def _walk(self, at: int) -> Iterator[tuple[bytes, _Block]]:
        """Yield the name and the place of every block."""
        while at < len(self._data):
            size, start = self._number(at)
            at = self._inside(start + size)
            name = self._data[start : start + _CID_SIZE]
            if name.startswith(_CID) and size >= _CID_SIZE:
                yield name, _Block(start + _CID_SIZE, at)

    def _number(self, at: int) -> tuple[int, int]:
        """Return an unsigned LEB128 number and where it ends."""
        number = 0
        for place in range(_LONGEST_NUMBER):
            byte = self._data[self._inside(at + place + 1) - 1]
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return number, at + place + 1
        raise self._broken("is damaged")

    def _inside(self, end: int) -> int:
        if end > len(self._data):
            raise self._broken("is cut short")
        return end

    def _broken(self, how: str) -> BrokenSource:
        return BrokenSource(f"{self.label} {how}.", hint=_AGAIN)
