"""Where bytes are: a zip, a tar, a folder or a single file, read in place and within limits."""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, cast

from mynah.config import FetchConfig
from mynah.errors import SourceNotFound, UnknownFormat, UnsafeArchive
from mynah.sources.guarded import HARMLESS, Guarded, check_size, reading
from mynah.sources.journal import Journal

AVATARS = "profile_media"
_MOST_NAMES = 100_000  # a folder with more files than this is no archive
_CHUNK = 1 << 18
_DEPTH = 4  # wrapper/data/js/tweets
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_BESIDE = {"outbox.json": ("actor.json",)}  # Mastodon's export, unpacked
_ENDINGS = re.compile(
    r"(?:\.(?:zip|gz|car|jsonl|ndjson|json|csv|tsv|txt|text|tar|tgz))+$", re.IGNORECASE
)
_OUTSIDE = re.compile(r"^(?:[/\\]|[A-Za-z]:)|(?:^|[/\\])\.\.(?:[/\\]|$)")


class Place(Protocol):
    """Somewhere with members to read: a plain file has exactly one."""

    @property
    def path(self) -> Path:
        """Return what the person named."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the members, with `/` between folders."""

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open a member; the journal gets its hash once it has been read to the end."""


class FilePlace:
    """One file, unpacked on the way when it is gzipped, and those beside it that explain it."""

    def __init__(self, path: Path, config: FetchConfig) -> None:
        beside = _BESIDE.get(path.name, ())
        self.path = path
        self.names = (path.name, *(name for name in beside if path.with_name(name).is_file()))
        self._config = config

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open the file, or one beside it."""
        path, most = self.path.with_name(name), self._config.max_member_gib * 2**30
        return _opened(path, self._config, most, journal)


def _opened(path: Path, config: FetchConfig, most: float, journal: Journal | None) -> Guarded:
    """Open a file, unpacked on the way when it is gzipped."""
    packed = None
    with reading(str(path)):
        with path.open("rb") as start:
            zipped = start.read(2) == b"\x1f\x8b"
        if zipped:
            packed = float(path.stat().st_size)
        raw = gzip.GzipFile(path) if zipped else path.open("rb")
    return Guarded(
        cast(IO[bytes], raw),
        path.name,
        most=most,
        packed=packed,
        ratio=config.max_ratio,
        journal=journal,
    )


class FolderPlace:
    """A folder; hidden folders and those of media are not looked into, but for the avatar's."""

    def __init__(self, path: Path, config: FetchConfig, depth: int = _DEPTH) -> None:
        self.path = path
        self._config = config
        with reading(str(path)):
            self.names = tuple(sorted(_walk(path, depth)))

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open a file of the folder."""
        label = f"{self.path.resolve().name}/{name}"
        with reading(label):
            raw = (self.path / name).open("rb")
        return Guarded(raw, label, most=self._config.max_member_gib * 2**30, journal=journal)


def _walk(root: Path, depth: int) -> Iterator[str]:
    found = 0
    for folder, folders, files in os.walk(root, onerror=_raise):
        inside = Path(folder).relative_to(root)
        deep = len(inside.parts) >= depth
        folders[:] = [] if deep else [n for n in folders if not n.startswith(".")]
        folders[:] = [n for n in folders if n == AVATARS or not n.endswith("_media")]
        found += len(files)
        if found > _MOST_NAMES:
            raise _no_archive(root)
        yield from ((inside / name).as_posix() for name in files)


def _no_archive(path: Path) -> UnknownFormat:
    return UnknownFormat(
        f"{path.name} holds more than {_MOST_NAMES:,} files: it is no archive of posts.",
        hint="Name the folder or archive that you were given.",
    )


def _raise(error: OSError) -> None:
    raise error


class ZipPlace:
    """A zip, whose members are read where they are."""

    def __init__(self, path: Path, config: FetchConfig) -> None:
        self.path = path
        self._config = config
        with reading(path.name):
            self._zip = zipfile.ZipFile(path)
            self._size = path.stat().st_size
            infos = self._zip.infolist()
        self._members = {_safe(info.filename, path): info for info in infos}
        self.names = tuple(name for name in self._members if not name.endswith("/"))

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open a member.

        Raises:
            SourceNotFound: there is no such member.
            UnsafeArchive: it says that it is too large.
            UnknownFormat: it is encrypted.
        """
        label = f"{self.path.name}/{name}"
        info = self._members.get(name)
        if info is None:
            raise SourceNotFound(f"There is no {label}.", hint=f"Look: unzip -l {self.path}")
        if info.flag_bits & 0x1:
            raise UnknownFormat(
                f"{self.path.name} is locked with a password.",
                hint="Unpack it with its password and name the folder: mynah fetch <folder>",
            )
        most = self._config.max_member_gib * 2**30
        packed = float(min(info.compress_size, self._size))
        ratio = self._config.max_ratio
        check_size(label, info.file_size, most, max(HARMLESS, packed * ratio))
        with reading(label):
            raw = self._zip.open(info)
        return Guarded(raw, label, most=most, packed=packed, ratio=ratio, journal=journal)


class MemberPlace:
    """One member of a zip or a folder, as if it were a file of its own."""

    def __init__(self, outer: Place, name: str) -> None:
        self.path, self.names = outer.path, (name,)
        self._outer = outer

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open the member."""
        return self._outer.open(name, journal)


class TarPlace:
    """A tar, gzipped or not, whose members are read where they are.

    Python's tarfile reads the headers; other members are skipped, and nothing reaches the disk.
    """

    def __init__(self, path: Path, config: FetchConfig) -> None:
        self.path = path
        self._config = config
        self._members: dict[str, tuple[int, int]] = {}  # where it begins, how long it is
        with self._stream() as stream, reading(path.name):
            headers = tarfile.TarFile(fileobj=cast(IO[bytes], _Forward(stream)))
            for info in headers:
                name = _safe(info.name, path).removeprefix("./")
                if info.isreg() and not info.issparse():
                    self._members[name] = info.offset_data, info.size
                if len(self._members) > _MOST_NAMES:
                    raise _no_archive(path)
        self.names = tuple(self._members)

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open a member.

        Raises:
            UnsafeArchive: it is too large.
        """
        start, size = self._members[name]
        label, most = f"{self.path.name}/{name}", self._config.max_member_gib * 2**30
        check_size(label, size, most, most)
        stream = self._stream()
        _Forward(stream).seek(start)
        return Guarded(cast(IO[bytes], _Part(stream, size)), label, most=most, journal=journal)

    def _stream(self) -> Guarded:
        """Return all the tar's bytes: media may make it as large as it likes, but no bomb."""
        return _opened(self.path, self._config, math.inf, None)


class _Forward:
    """A stream as tarfile wants it, which only ever goes forward."""

    def __init__(self, stream: Guarded) -> None:
        self._stream, self._at = stream, 0

    def tell(self) -> int:
        return self._at

    def seek(self, to: int) -> None:
        while self._at < to and self.read(min(_CHUNK, to - self._at)):
            pass

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:  # a header that claims to be longer than any is
            raise tarfile.ReadError
        pieces = []
        while size and (piece := self._stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self._at += len(piece)
        return b"".join(pieces)


class _Part:
    """The bytes of one member."""

    def __init__(self, stream: Guarded, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left)) or b""
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._stream.close()


def _safe(name: str, path: Path) -> str:
    if _OUTSIDE.search(name):
        raise UnsafeArchive(
            f"{path.name} has a member outside its own folder ({name[:60]!r}).",
            hint="No place makes such an archive: get a new one rather than trust this one.",
        )
    return name.replace("\\", "/")


def place_at(path: Path, config: FetchConfig) -> Place:
    """Return the place at a path: a folder, a zip by its first bytes, or a single file.

    Raises:
        SourceNotFound: nothing is there.
        UnknownFormat: neither a file nor a folder is there.
        BrokenSource: it cannot be read.
    """
    with reading(str(path)):
        if not path.exists():
            raise SourceNotFound(f"There is no {path}.", hint=f"Check the path: ls {path.parent}")
        if path.is_dir():
            return FolderPlace(path, config)
        if not path.is_file():
            raise UnknownFormat(f"{path} is neither a file nor a folder.", hint="Name a file.")
        with path.open("rb") as stream:
            zipped = stream.read(4) in _SIGNATURES
    # One member of an unpacked archive: its neighbours belong to it.
    if path.suffix == ".js":
        return FolderPlace(path.parent, config, depth=0)
    if zipped:
        return ZipPlace(path, config)
    file = FilePlace(path, config)
    return TarPlace(path, config) if is_tar(head(file)) else file


def is_tar(start: bytes) -> bool:
    """Tell a tar by its first header."""
    return start[257:262] == b"ustar"


def head(place: Place, size: int = 1 << 16) -> bytes:
    """Return the first bytes of a single file, unpacked."""
    with io.BufferedReader(place.open(place.names[0]), size) as stream:
        return stream.read(size)


def first_line(place: Place) -> str:
    """Return the first line of a single file that is not empty, as far as it is text."""
    return head(place).decode("utf-8-sig", "replace").lstrip().partition("\n")[0]


def stem(place: Place) -> str:
    """Return what a file or folder is called, which is the account where nothing else says it."""
    path = place.path.absolute()
    name = _ENDINGS.sub("", path.name)
    name = path.parent.name if name.lower() in ("tweets", "posts") and path.parent.name else name
    return name.encode("utf-8", "replace").decode()  # a name of bytes that are no text
