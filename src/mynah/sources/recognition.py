"""Which reader reads what the person named: a file by its content, a service by its name."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from mynah.config import FetchConfig
from mynah.errors import BrokenSource, SourceNotFound, UnknownFormat
from mynah.sources import bluesky_car, csv_file, grailbird, json_lines, text_file, x_archive
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import not_utf8
from mynah.sources.place import AGAIN, FilePlace, Place, head, place_at
from mynah.sources.visit import Visit

_SPEC = re.compile(r"(?:(archive|file):)?(.*)", re.DOTALL)
_FORMATS = (
    "Mynah reads X archives (zip or folder), Twitter archives of 2012-2018, "
    "Bluesky's CAR files, JSON lines with a text each, CSV with a column named text, "
    "and .txt with one post a line."
)
_PACKED = (b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class Reader(Protocol):
    """What a module of this package offers to be a source."""

    SCHEME: str  # "archive" for zips and folders, "file" for single files

    def recognises(self, place: Place) -> bool:
        """Tell, from names or the first bytes, whether this reader reads the place."""

    def read(self, place: Place, journal: Journal) -> Content:
        """Read it: posts lazily, everything else into the journal."""


# The first that recognises a place reads it. A new source is its module and a line here.
READERS: tuple[Reader, ...] = (
    x_archive,
    grailbird,
    bluesky_car,
    json_lines,
    csv_file,
    text_file,
)


class Remote(Protocol):
    """What a module of this package offers to read a service on the network."""

    def read(self, visit: Visit) -> Content:
        """Ask for consent and read the account now, the posts as they are asked for."""


# Scheme -> module, which is imported when somebody names it. `bluesky:alice.example` is read by
# the module that stands here.
REMOTES: dict[str, str] = {
    "bluesky": "bluesky",
    "community": "community_api",
    "rss": "feeds",
    "x": "x_api",
}
_REMOTE = re.compile(r"([a-z]+):([^/\\].*)", re.DOTALL)


def remote_of(spec: str) -> tuple[str, str] | None:
    """Return scheme and name of an account at a service; None for a path."""
    found = _REMOTE.fullmatch(spec)
    return (found[1], found[2].strip()) if found and found[1] in REMOTES else None


def remote(scheme: str) -> Remote:
    """Return the reader of a service."""
    return cast(Remote, import_module(f"mynah.sources.{REMOTES[scheme]}"))


def find(spec: str, config: FetchConfig) -> tuple[Reader, Place]:
    """Return the reader for `archive:path`, `file:path` or a path, and the place to read.

    Raises:
        SourceNotFound: nothing is at that path.
        UnknownFormat: no reader knows what is there.
        SourceError: it cannot be opened.
    """
    found = _SPEC.fullmatch(spec)
    scheme, name = (found[1], found[2]) if found else (None, spec)
    if not name.strip() or "\0" in name:
        raise SourceNotFound("The source has no name.", hint="Run: mynah fetch <archive.zip>")
    place = place_at(_path(name), config)
    kind = "file" if isinstance(place, FilePlace) else "archive"
    if scheme not in (None, kind):
        raise UnknownFormat(f"{name} is no {scheme}.", hint=f"Run: mynah fetch {kind}:{name}")
    if kind == "file" and not bluesky_car.recognises(place):
        _refuse_binary(place)
    for reader in READERS:
        if kind == reader.SCHEME and reader.recognises(place):
            return reader, place
    raise UnknownFormat(f"{name} is none of the formats that Mynah knows.", hint=_FORMATS)


def lasting(spec: str) -> str:
    """Return a spec that names the same source from any folder."""
    if remote_of(spec):
        return spec
    found = _SPEC.fullmatch(spec)
    scheme, name = (found[1], found[2]) if found else (None, spec)
    return f"{scheme}:{_path(name).absolute()}" if scheme else str(_path(name).absolute())


def _path(name: str) -> Path:
    """Return the path with `~`, `.` and `..` spelt out: its last part may name the account."""
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise SourceNotFound(f"{name} is nobody's home.", hint="Write the path out.") from error
    return path.resolve() if path.name in ("", "..") else path


def _refuse_binary(place: Place) -> None:
    """Refuse what is no text, with the reason that helps."""
    start, name = head(place), place.path.name
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise not_utf8(name)
    if start.startswith(_PACKED) or start[257:262] == b"ustar":
        raise UnknownFormat(
            f"{name} is packed in another way than zip.",
            hint="Unpack it and name the folder: mynah fetch <folder>",
        )
    if name.lower().endswith(".zip"):
        raise BrokenSource(f"{name} is not a zip, whatever its name says.", hint=AGAIN)
    if b"\0" in start:
        raise UnknownFormat(f"{name} is not text.", hint=_FORMATS)
