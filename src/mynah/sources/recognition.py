"""Which reader reads what the person named: a file by its content, a service by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from mynah.config import FetchConfig
from mynah.errors import BrokenSource, SourceNotFound, UnknownFormat
from mynah.sources import (
    bluesky_car,
    bluesky_json,
    community_archive,
    csv_file,
    discord,
    grailbird,
    hf_dataset,
    json_lines,
    mastodon_export,
    mastodon_statuses,
    reddit,
    telegram,
    text_file,
    tweet_dump,
    whatsapp,
    x_archive,
)
from mynah.sources.guarded import AGAIN
from mynah.sources.hf_dataset import DatasetPlace
from mynah.sources.journal import Content, Journal
from mynah.sources.parsing import not_utf8
from mynah.sources.place import FilePlace, MemberPlace, Place, head, place_at
from mynah.sources.visit import Visit

_SPEC = re.compile(r"(?:(archive|file|hf):)?(.*)", re.DOTALL)
_FORMATS = (
    "Mynah reads X archives (zip or folder), Twitter archives of 2012-2018, Community Archive's "
    "archive.json, tweets saved by snscrape, twint, tweepy or twarc, Mastodon's exports "
    "(outbox.json, tar.gz or zip), Bluesky's CAR files and saved answers, Reddit's data request "
    "(zip), chats of Telegram (result.json), WhatsApp (.txt or zip) and Discord "
    "(DiscordChatExporter's JSON), JSON lines with a text each, CSV with a column named text, .txt "
    "with one post a line."
)
_TEXTS = re.compile(r"(?is)(?!__MACOSX/).*\.(?:jsonl?|ndjson|csv|tsv|txt|car)")
_MOST_TEXTS = 50  # files of an archive that are looked into
_LIKELY = 0.5
CERTAIN = "for certain"  # where the person has named the kind of source
_WORDS = ((0.95, CERTAIN), (0.7, "very likely"), (_LIKELY, "likely"), (0.0, "a guess"))
_PACKED = (b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class Reader(Protocol):
    """What a module of this package offers to be a source."""

    SCHEME: str  # "archive" for zips, tars and folders, "file", "any" for both, "hf" for datasets

    def recognises(self, place: Place) -> float:
        """Tell from names or the first bytes how surely this reader reads the place, 0 to 1."""

    def read(self, place: Place, journal: Journal) -> Content:
        """Read it: posts lazily, everything else into the journal."""


# The surest reads it, the first of several as sure. A new source is its module and a line here.
READERS: tuple[Reader, ...] = (
    x_archive,
    grailbird,
    mastodon_export,
    mastodon_statuses,
    bluesky_car,
    bluesky_json,
    reddit,
    telegram,
    discord,
    community_archive,
    tweet_dump,
    whatsapp,
    json_lines,
    csv_file,
    text_file,
    hf_dataset,
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
    "mastodon": "mastodon",
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


@dataclass(frozen=True)
class Match:
    """A reader, the place that it reads, and how sure that is, 0 to 1."""

    reader: Reader
    place: Place
    sure: float

    @property
    def sureness(self) -> str:
        """Return it in words."""
        return next(words for least, words in _WORDS if self.sure >= least)


def find(spec: str, config: FetchConfig) -> Match:
    """Return what reads `archive:path`, `file:path`, `hf:owner/name` or a path.

    Raises:
        SourceNotFound: nothing is at that path.
        UnknownFormat: no reader knows what is there.
        SourceError: it cannot be opened.
    """
    found = _SPEC.fullmatch(spec)
    scheme, name = (found[1], found[2]) if found else (None, spec)
    if not name.strip() or "\0" in name:
        raise SourceNotFound("The source has no name.", hint="Run: mynah fetch <archive.zip>")
    if scheme == "hf":
        return Match(hf_dataset, DatasetPlace(Path(name)), 1.0)
    place = place_at(_path(name), config)
    kind = "file" if isinstance(place, FilePlace) else "archive"
    if scheme == "archive" and kind == "file":  # a zip is a file as well
        raise UnknownFormat(f"{name} is no {scheme}.", hint=f"Run: mynah fetch {kind}:{name}")
    if kind == "file" and not bluesky_car.recognises(place):
        _refuse_binary(place)
    match = _surest(place, kind) or (_inside(place) if kind == "archive" else None)
    if match is None:
        raise UnknownFormat(f"{name} is none of the formats that Mynah knows.", hint=_FORMATS)
    return match


def _surest(place: Place, kind: str) -> Match | None:
    best = None
    for reader in READERS:
        sure = float(reader.recognises(place)) if reader.SCHEME in (kind, "any") else 0.0
        if sure > (best.sure if best else 0.0):
            best = Match(reader, place, sure)
        if sure >= 1:
            break
    return best


def _inside(place: Place) -> Match | None:
    """Return the one file of a zip or folder that could be read by itself, if there is one.

    Raises:
        UnknownFormat: there are several.
    """
    names = [name for name in place.names if _TEXTS.fullmatch(name)][:_MOST_TEXTS]
    matches = [_surest(MemberPlace(place, name), "file") for name in names]
    likely = sorted(
        (match for match in matches if match and match.sure >= _LIKELY), key=lambda m: -m.sure
    )
    if len(likely) > 1 and likely[0].sure == likely[1].sure:
        first, second = (match.place.names[0] for match in likely[:2])
        raise UnknownFormat(
            f"{place.path.name} holds {len(likely)} files that could be read, such as {first} "
            f"and {second}.",
            hint="Unpack it and name the files: mynah fetch <one> <other>",
        )
    return likely[0] if likely else None


def lasting(spec: str) -> str:
    """Return a spec that names the same source from any folder."""
    if remote_of(spec):
        return spec
    found = _SPEC.fullmatch(spec)
    scheme, name = (found[1], found[2]) if found else (None, spec)
    if scheme == "hf" and not Path(name).is_dir():
        return spec  # a name on the Hub is the same everywhere
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
    if start.startswith(_PACKED):
        raise UnknownFormat(
            f"{name} is packed in another way than zip.",
            hint="Unpack it and name the folder: mynah fetch <folder>",
        )
    if name.lower().endswith(".zip"):
        raise BrokenSource(f"{name} is not a zip, whatever its name says.", hint=AGAIN)
    if b"\0" in start:
        raise UnknownFormat(f"{name} is not text.", hint=_FORMATS)
