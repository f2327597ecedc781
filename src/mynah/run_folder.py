"""A bot's folder: the name of every file in it, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from mynah.errors import BotBusy, BotError, BotNotFound, StageMissing, StorageError
from mynah.hashing import hash_file as hash_file
from mynah.hashing import hash_tree as hash_tree
from mynah.records import encode_lines

_NAME = re.compile(r"[\w@][\w.@+-]{0,127}")

# Which verb writes a file, for the hint of StageMissing.
_WRITER = {
    "posts.jsonl": "fetch",
    "cleaned.jsonl": "clean",
    "adapter": "train",
    "report.json": "report",
    "report.html": "report",
    "samples.jsonl": "say",
    "README.md": "card",
    "preview.png": "share",
    "model": "export",
}


@dataclass(frozen=True)
class RunFolder:
    """The files of one bot. Paths only: nothing is read until asked for."""

    root: Path

    @property
    def name(self) -> str:
        """Return the bot's name: that of its folder."""
        return self.root.name

    @property
    def run(self) -> Path:
        """Return the lineage: what was done, with which inputs and settings."""
        return self.root / "run.json"

    @property
    def posts(self) -> Path:
        """Return the posts as fetched."""
        return self.root / "posts.jsonl"

    @property
    def cleaned(self) -> Path:
        """Return the posts that training sees."""
        return self.root / "cleaned.jsonl"

    @property
    def dropped(self) -> Path:
        """Return the posts that training does not see, each with its reason."""
        return self.root / "dropped.jsonl"

    @property
    def adapter(self) -> Path:
        """Return the folder of trained weights."""
        return self.root / "adapter"

    @property
    def model(self) -> Path:
        """Return the folder of merged weights, there only after export."""
        return self.root / "model"

    @property
    def samples(self) -> Path:
        """Return the generations."""
        return self.root / "samples.jsonl"

    @property
    def report(self) -> Path:
        """Return the voice report."""
        return self.root / "report.json"

    @property
    def quiz(self) -> Path:
        """Return how often people told the bot from the person."""
        return self.root / "quiz.json"

    @property
    def page(self) -> Path:
        """Return the voice report as a page with plots."""
        return self.root / "report.html"

    @property
    def card(self) -> Path:
        """Return the model card."""
        return self.root / "README.md"

    @property
    def preview(self) -> Path:
        """Return the share image."""
        return self.root / "preview.png"

    @property
    def preview_page(self) -> Path:
        """Return the page that shows the share image, for one's own site."""
        return self.root / "preview.html"

    @property
    def avatars(self) -> Path:
        """Return the folder of the accounts' small pictures; it never leaves by itself."""
        return self.root / "avatars"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of resumable states, there only while training."""
        return self.root / "checkpoints"

    def require(self, path: Path) -> Path:
        """Return `path` if its stage has run.

        Raises:
            BotNotFound: the bot's folder is not there.
            StageMissing: the file is not there yet.
        """
        if not self.root.is_dir():
            raise BotNotFound(
                f"There is no bot '{self.name}' in {self.root.parent}.",
                hint="Make one: mynah make <archive>",
            )
        if not path.exists():
            if origin := self.pulled_from:
                raise StageMissing(
                    f"Bot '{self.name}' was pulled from {origin}, and no {path.name} came with it.",
                    hint=f"What works without it: mynah say {self.name}",
                )
            verb = _WRITER.get(path.name, "make")
            raise StageMissing(
                f"Bot '{self.name}' has no {path.name} yet.", hint=f"Run: mynah {verb} {self.name}"
            )
        return path

    @property
    def pulled_from(self) -> str | None:
        """Return the repository that the bot was pulled from; None for one that was made here."""
        record = self.read_run()["stages"].get("pull")
        return str(record["result"]["repo"]) if record else None

    def learned(self) -> dict[str, Any]:
        """Return the record that says which base the weights belong to.

        Raises:
            StageMissing: the bot has neither been trained nor blended nor pulled.
        """
        stages = self.read_run()["stages"]
        elsewhere: dict[str, Any] | None = stages.get("pull") or stages.get("blend")
        return elsewhere or self.stage_record("train")

    def read_run(self) -> dict[str, Any]:
        """Return run.json, or an empty lineage before the first stage."""
        empty = {"name": self.name, "accounts": [], "stages": {}}
        run = empty | (read_json(self.run) if self.run.exists() else {})
        if not isinstance(run["stages"], dict) or not isinstance(run["accounts"], list):
            raise _damaged(self.run)
        return run

    def stage_record(self, stage: str) -> dict[str, Any]:
        """Return what run.json holds of a stage.

        Raises:
            StageMissing: it has not run, or was killed before its record was written.
        """
        record: dict[str, Any] | None = self.read_run()["stages"].get(stage)
        if record is None:
            raise StageMissing(
                f"Bot '{self.name}' has no record of '{stage}' yet.",
                hint=f"Run: mynah {stage} {self.name}",
            )
        return record

    def record(self, stage: str, *, top: dict[str, Any] | None = None, **what: Any) -> None:
        """Write to run.json what a stage did; `top` updates the keys beside the stages.

        Later stages keep their entries: the hashes of their inputs tell whether they still hold.
        """
        run = self.read_run()
        run.update(top or {})
        run["stages"][stage] = {"at": now(), **what}
        write_json(self.run, run)

    @contextmanager
    def lock(self, wait: float = 0.0, busy: str | None = None) -> Iterator[None]:
        """Hold the bot for this process; wait some seconds for another one to let go.

        `busy` says who holds it then, where it is not a bot's folder.

        Raises:
            BotBusy: another process holds it.
        """
        from filelock import FileLock, Timeout

        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            guard = FileLock(self.root / ".lock")
        try:
            with storage_errors(self.root):
                guard.acquire(timeout=wait)
        except Timeout as error:
            raise BotBusy(
                busy or f"Another process is working on bot '{self.name}'.",
                hint="Wait for it, or choose another --name.",
            ) from error
        try:
            self._sweep()
            yield
        finally:
            guard.release()

    def _sweep(self) -> None:
        """Take away what killed processes left half-written: this one alone holds the bot."""
        for stale in self.root.glob(".*.*"):
            if stale.suffix == ".old":
                settle(self.root / stale.stem.removeprefix("."))
            elif stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)


def open_bot(bots: Path, name: str) -> RunFolder:
    """Return the folder of a bot that may not exist yet.

    Raises:
        BotError: the name cannot be a folder's.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise BotError(
            f"'{name}' cannot be a bot's name.",
            hint="Use letters, digits, '.', '-', '_', '+' or '@', with --name.",
        )
    return RunFolder(bots / name)


def bots_in(bots: Path) -> Iterator[RunFolder]:
    """Yield the bots of a folder by name."""
    for path in sorted(bots.iterdir()) if bots.is_dir() else ():
        if (path / "run.json").is_file():
            yield RunFolder(path)


def now() -> str:
    """Return the time as ISO-8601 UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what an operating system says of a full or closed disk into one sentence."""
    try:
        yield
    except Exception as error:
        code = _error_number(error)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full: {path.name} was not written, what was there is untouched.",
                hint="Free some space and run the same command again.",
            ) from error
        if code in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise StorageError(
                f"{path.parent} cannot be written ({os.strerror(code)}).",
                hint="Choose another folder with --bots.",
            ) from error
        raise


def _error_number(error: Exception) -> int:
    """Return the operating system's number; libraries written in Rust have it in their words."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes `path`'s place only when all of it is on the disk."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as text:
                yield text
                text.flush()
                os.fsync(text.fileno())
            new.chmod(0o644)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that takes `path`'s place only when the block ends well.

    A folder cannot be swapped in one step, so the old one stands aside until the new one is in
    place; `settle` puts it back after a kill between the two steps.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        settle(path)
        new = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield new
            new.chmod(0o755)
            swap_in(new, path)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


def swap_in(new: Path, path: Path) -> None:
    """Put a folder in another one's place, on the same disk."""
    settle(path)
    try:
        if path.exists():
            path.rename(_aside(path))
        new.rename(path)
    finally:
        settle(path)


def settle(path: Path) -> None:
    """Finish a folder swap that was killed: the old folder returns if the new one is not there."""
    old = _aside(path)
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file in a bot's folder.

    Raises:
        BotError: it is damaged.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # neither JSON nor UTF-8
        raise _damaged(path) from error
    if not isinstance(loaded, dict):
        raise _damaged(path)
    return loaded


def _damaged(path: Path) -> BotError:
    bot, verb = path.parent.name, _WRITER.get(path.name)
    anew = f"mynah {verb} {bot}" if verb else f"mynah make <source> --name {bot} --replace"
    return BotError(f"{path} is damaged.", hint=f"Write it anew: {anew}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that is no text, whole or not at all."""
    with replacing(path) as file:
        file.buffer.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as text:
        json.dump(value, text, ensure_ascii=False, indent=2)
        text.write("\n")


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a JSON-lines file, whole or not at all; return the number of rows."""
    count = 0
    with replacing(path) as text:
        for line in encode_lines(rows):
            text.write(line)
            count += 1
    return count
