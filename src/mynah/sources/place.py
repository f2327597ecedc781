"""Where bytes are: a zip, a folder or a single file, read in place and within limits."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from mynah.config import FetchConfig
from mynah.errors import BrokenSource, SourceError, SourceNotFound, UnknownFormat, UnsafeArchive
from mynah.sources.journal import Journal

AGAIN = "Get the file again (an archive: download it once more from X), then repeat the command."
_HARMLESS = 16 << 20  # bytes: a member no larger than this may have any ratio
_MOST_NAMES = 100_000  # a folder with more files than this is no archive
_DEPTH = 4  # wrapper/data/js/tweets
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ENDINGS = re.compile(r"(?:\.(?:zip|gz|car|jsonl|ndjson|json|csv|tsv|txt|text))+$", re.IGNORECASE)
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


class Guarded(io.RawIOBase):
    """A member's bytes: counted against the limits, hashed, foreign errors mapped.

    Headers lie, so what counts is what comes out, not what the archive says will.
    """

    def __init__(
        self,
        raw: IO[bytes],
        label: str,
        *,
        most: float,
        packed: float | None = None,
        ratio: float = 0,
        journal: Journal | None = None,
    ) -> None:
        super().__init__()
        self.label = label
        self._raw, self._most, self._journal = raw, most, journal
        self._most_unpacked = max(_HARMLESS, packed * ratio) if packed is not None else most
        self._digest, self._out = hashlib.sha256(), 0

    @property
    def is_hashed(self) -> bool:
        """Tell whether a journal waits for the hash, which comes at the end of the bytes."""
        return self._journal is not None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer.

        Raises:
            UnsafeArchive: more came out than the limits allow.
            BrokenSource: the bytes cannot be read or unpacked.
        """
        with reading(self.label):
            data = self._raw.read(len(buffer))
        self._out += len(data)
        check_size(self.label, self._out, self._most, self._most_unpacked)
        self._digest.update(data)
        if not data and len(buffer) and self._journal is not None:
            self._journal.hashed(self.label, self._digest.hexdigest())
            self._journal = None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the member."""
        if not self.closed:
            self._raw.close()
        super().close()


def check_size(label: str, size: float, most: float, most_unpacked: float) -> None:
    """Refuse a member that is, or says it is, larger than the limits.

    Raises:
        UnsafeArchive: it is.
    """
    if size > most:
        raise UnsafeArchive(
            f"{label} is larger than {most / 2**30:g} GiB.",
            hint="If you trust it, raise --max-member-gib.",
        )
    if size > most_unpacked:
        raise UnsafeArchive(
            f"{label} unpacks to far more than its packed size, as a zip bomb does.",
            hint="If you trust it, raise --max-ratio.",
        )


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn what Python's file, zip and gzip code raises into one sentence.

    Raises:
        SourceError: SourceNotFound for a missing file, BrokenSource for the rest.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFound(f"There is no {label}.", hint="Check the path: ls") from error
    except NotImplementedError as error:
        raise BrokenSource(
            f"{label} is packed in a way that Python cannot unpack.",
            hint="Unpack it with another program and name the folder instead.",
        ) from error
    # Damaged zips and gzips make the standard library raise nearly anything: zlib.error,
    # struct.error, EOFError, OverflowError, UnicodeDecodeError, RuntimeError, LZMAError.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise BrokenSource(
                f"{label} cannot be read ({error.strerror}).", hint=f"Look at it: ls -l {label}"
            ) from error
        raise BrokenSource(f"{label} is cut short or damaged.", hint=AGAIN) from error


class FilePlace:
    """One file, unpacked on the way when it is gzipped."""

    def __init__(self, path: Path, config: FetchConfig) -> None:
        self.path, self.names = path, (path.name,)
        self._config = config

    def open(self, name: str, journal: Journal | None = None) -> Guarded:
        """Open the file."""
        packed = None
        with reading(str(self.path)):
            with self.path.open("rb") as start:
                zipped = start.read(2) == b"\x1f\x8b"
            if zipped:
                packed = float(self.path.stat().st_size)
            raw = gzip.GzipFile(self.path) if zipped else self.path.open("rb")
        return Guarded(
            cast(IO[bytes], raw),
            self.path.name,
            most=self._config.max_member_gib * 2**30,
            packed=packed,
            ratio=self._config.max_ratio,
            journal=journal,
        )


class FolderPlace:
    """A folder; media folders and hidden ones are not looked into."""

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
        folders[:] = [name for name in folders if not name.endswith("_media")]
        found += len(files)
        if found > _MOST_NAMES:
            raise UnknownFormat(
                f"{root.name} holds more than {_MOST_NAMES:,} files: it is no archive of posts.",
                hint="Name the folder or zip that X gave you.",
            )
        yield from ((inside / name).as_posix() for name in files)


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
        self._members = {_safe(info, path): info for info in self._zip.infolist()}
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
        check_size(label, info.file_size, most, max(_HARMLESS, packed * ratio))
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


def _safe(info: zipfile.ZipInfo, path: Path) -> str:
    if _OUTSIDE.search(info.filename):
        raise UnsafeArchive(
            f"{path.name} has a member outside its own folder ({info.filename[:60]!r}).",
            hint="X makes no such archive: get a new one rather than trust this one.",
        )
    return info.filename.replace("\\", "/")


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
    if path.suffix == ".js":  # one member of an unpacked archive: its neighbours belong to it
        return FolderPlace(path.parent, config, depth=0)
    return ZipPlace(path, config) if zipped else FilePlace(path, config)


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
