"""Earlier versions of a bot, to go back to: whole, and at no cost of disk until something changes.

    bots/ferryclerk/versions/0001/    posts, adapter, report, card: as they were

Every file of a bot is replaced whole and never written into, so a version is made of hard links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mynah.errors import SettingsError
from mynah.parentage import refuse_blend
from mynah.run_folder import RunFolder, replacing_folder, storage_errors

_OWN = ("versions", "checkpoints")  # what is no part of a version


def versions_of(folder: RunFolder) -> list[int]:
    """Return the numbers of a bot's earlier versions, the oldest first."""
    place = _place(folder)
    names = (path.name for path in place.iterdir()) if place.is_dir() else ()
    return sorted(int(name) for name in names if name.isdigit())


def version_of(folder: RunFolder, number: int) -> RunFolder:
    """Return an earlier version as a folder of its own, to be read and never written."""
    return RunFolder(_place(folder) / f"{number:04}")


def keep_version(folder: RunFolder) -> int:
    """Keep a bot as it is now; return the number of the version. The bot's lock has to be held."""
    number = max(versions_of(folder), default=0) + 1
    with replacing_folder(_place(folder) / f"{number:04}") as new:
        for path in _parts(folder.root):
            link(path, new / path.name)
    return number


def forget_versions(folder: RunFolder) -> None:
    """Take all versions away, for good. The bot's lock has to be held."""
    with storage_errors(folder.root):
        if _place(folder).exists():
            shutil.rmtree(_place(folder))


def roll_back(folder: RunFolder, number: int | None = None) -> tuple[int, int]:
    """Bring back an earlier version; what stands now becomes a version itself.

    Args:
        folder: the bot's.
        number: which one (default: the newest).

    Returns:
        The number that came back, and that under which what stood before is kept.

    Raises:
        SettingsError: there is no such version.
        BotError: it is a blend, which has none.
        BotBusy: another process works on the bot.
    """
    there = versions_of(folder)
    if not there:
        refuse_blend(folder, "rollback")
    number = there[-1] if number is None and there else number
    if number not in there:
        shown = ", ".join(map(str, there)) or "none"
        raise SettingsError(
            f"Bot '{folder.name}' has no such version; there are: {shown}.",
            hint=f"A version is kept whenever the bot is renewed: mynah update {folder.name}",
        )
    with folder.lock():
        kept = keep_version(folder)
        adopt(folder, _place(folder) / f"{number:04}")
    return number, kept


def adopt(folder: RunFolder, source: Path) -> None:
    """Give a bot the files of another folder; run.json comes last, so that a kill loses nothing.

    Until then the records tell of the old files, which `mynah lineage` would notice.
    """
    with storage_errors(folder.root):
        new = {path.name: path for path in _parts(source)}
        for path in list(_parts(folder.root)):
            if path.name not in new:
                _remove(path)
        for name in sorted(new, key=lambda name: name == folder.run.name):
            _replace(new[name], folder.root / name)


def link(source: Path, target: Path) -> None:
    """Put a file or folder in a second place; copied where the disk knows no hard links."""
    if source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            link(path, target / path.name)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(source: Path, target: Path) -> None:
    if source.is_dir():
        with replacing_folder(target) as new:
            for path in source.iterdir():
                link(path, new / path.name)
        return
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    link(source, fresh)
    fresh.replace(target)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _parts(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.name not in _OWN and not path.name.startswith("."):
            yield path


def _place(folder: RunFolder) -> Path:
    return folder.root / "versions"
