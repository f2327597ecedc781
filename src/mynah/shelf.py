"""Where the bots of a fleet go: a folder, or any storage that fsspec reaches.

A bot is there when its note is there, and not before: in a folder the whole bot appears in one
step, elsewhere the note is written last. So a machine that dies leaves a bot or none.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mynah.errors import BotExists, ExtraMissing, StorageError
from mynah.run_folder import (
    RunFolder,
    open_bot,
    read_json,
    settle,
    storage_errors,
    swap_in,
    write_json,
)

NOTE = "fleet.json"
_WORKSPACE = ".fleet-"
_SOURCES = ".sources"

Note = dict[str, Any]


class Shelf(Protocol):
    """Where finished bots go; an object of it travels to other machines."""

    def note(self, name: str) -> Note | None:
        """Return what was noted of a finished bot, None where there is none."""

    def put(self, folder: RunFolder, note: Note) -> None:
        """Put a finished bot and its note there, whole or not at all."""

    def workspace(self) -> Any:
        """Return a context: a folder to make a bot in, gone afterwards."""

    def bring(self, source: str, digest: str) -> str:
        """Make a source reachable from all machines; return where it is."""

    def take(self, source: str, folder: Path) -> str:
        """Return a path on this machine of what was brought."""

    def clear(self) -> None:
        """Take away what killed processes left, and sources that were brought."""


def open_shelf(bots: Path, storage: str | None) -> Shelf:
    """Return the shelf of a folder of bots, or of a storage's address."""
    if not storage:
        return FolderShelf(bots.resolve())
    whose = f"{platform.node()} {bots.resolve()}"
    driver = hashlib.sha256(whose.encode()).hexdigest()[:12]
    return StorageShelf(storage.rstrip("/"), driver)


@dataclass(frozen=True)
class FolderShelf:
    """The folder of bots; on a cluster, one that all machines see."""

    bots: Path

    def note(self, name: str) -> Note | None:
        """Return what was noted of a finished bot.

        Raises:
            BotExists: there is one that no fleet has made.
        """
        folder = open_bot(self.bots, name)
        file = folder.root / NOTE
        if file.exists():
            return read_json(file)
        if folder.run.exists():
            raise BotExists(
                f"There is a bot '{name}' already, and no fleet made it.",
                hint="Give the new one another name, or take the old one away.",
            )
        return None

    def put(self, folder: RunFolder, note: Note) -> None:
        """Let the bot appear in one step; one that was there stands aside until then."""
        write_json(folder.root / NOTE, note)
        target = open_bot(self.bots, folder.name)
        with storage_errors(target.root):
            swap_in(folder.root, target.root)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield a folder on the same disk, so that a bot can be moved out of it in one step."""
        self.bots.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.bots, prefix=_WORKSPACE) as folder:
            yield Path(folder)

    def bring(self, source: str, digest: str) -> str:
        """Return the source as it is: all machines see it."""
        return source

    def take(self, source: str, folder: Path) -> str:
        """Return the source as it is."""
        return source

    def clear(self) -> None:
        """Take away the workspaces of processes that were killed."""
        for left in self.bots.glob(f"{_WORKSPACE}*/"):
            shutil.rmtree(left, ignore_errors=True)
        for aside in self.bots.glob(".*.old/"):
            settle(self.bots / aside.name.removeprefix(".").removesuffix(".old"))


@dataclass(frozen=True)
class StorageShelf:
    """A storage by its address, as fsspec knows it: s3://, gs://, file:// and others.

    Another fleet may use it at the same time, so each brings its sources to a place of its own.
    """

    address: str
    driver: str  # a name for the folder of bots whose fleet it is: one at a time is made there

    def note(self, name: str) -> Note | None:
        """Return what was noted of a finished bot."""
        with self._reached() as (files, root):
            try:
                found: Note = json.loads(files.cat_file(f"{root}/{name}/{NOTE}"))
            except FileNotFoundError:
                return None
            return found

    def put(self, folder: RunFolder, note: Note) -> None:
        """Send the files of a bot, the note last; an older bot's note goes first."""
        with self._reached() as (files, root):
            place = f"{root}/{folder.name}"
            if files.exists(place):
                files.rm(place, recursive=True)
            for path in sorted(each for each in folder.root.rglob("*") if each.is_file()):
                if path.name != ".lock":
                    target = f"{place}/{path.relative_to(folder.root).as_posix()}"
                    files.makedirs(target.rpartition("/")[0], exist_ok=True)
                    files.put_file(str(path), target)
            files.pipe_file(f"{place}/{NOTE}", json.dumps(note, ensure_ascii=False).encode())

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield a folder on this machine."""
        with tempfile.TemporaryDirectory(prefix=f"mynah{_WORKSPACE}") as folder:
            yield Path(folder)

    def bring(self, source: str, digest: str) -> str:
        """Send a source once; return its address.

        Raises:
            StorageError: it is a folder.
        """
        path = Path(source)
        if path.is_dir():
            raise StorageError(
                f"{source} is a folder, and only files are sent to a storage.",
                hint="Use the archive's zip.",
            )
        with self._reached() as (files, root):
            target = f"{root}/{_SOURCES}/{self.driver}/{digest}/{path.name}"
            if not files.exists(target):
                files.makedirs(target.rpartition("/")[0], exist_ok=True)
                files.put_file(source, target)
        return target

    def take(self, source: str, folder: Path) -> str:
        """Fetch a source that was brought."""
        target = folder / source.rpartition("/")[2]
        with self._reached() as (files, _):
            files.get_file(source, str(target))
        return str(target)

    def clear(self) -> None:
        """Take away the sources: they were needed on the way only."""
        with self._reached() as (files, root):
            own = f"{root}/{_SOURCES}/{self.driver}"
            if files.exists(own):
                files.rm(own, recursive=True)

    @property
    def _shown(self) -> str:
        """Return the address without a name and password in it."""
        scheme, _, rest = self.address.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Yield the file system and the path on it; say in one sentence what went wrong."""
        try:
            import fsspec
        except ImportError as error:
            raise _missing("mynah[fleet]") from error
        try:
            files, root = fsspec.url_to_fs(self.address, use_listings_cache=False)
            yield files, root.rstrip("/")
        except ImportError as error:
            raise _missing(str(error).partition("nstall ")[2].split()[0] or "fsspec") from error
        except Exception as error:  # every storage has errors of its own; all mean the same
            raise StorageError(
                f"{self._shown} cannot be used ({type(error).__name__}: {error}).",
                hint="Choose another --storage, or check its keys.",
            ) from error


def _missing(package: str) -> ExtraMissing:
    return ExtraMissing(
        "The library for this storage is not installed.", hint=f"Run: pip install '{package}'"
    )
