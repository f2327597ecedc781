"""What goes up to the Hub: a folder with all of a bot that may be published, and checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mynah.bot import FULL_WEIGHTS, load_bot
from mynah.card import diagram, standing_text, write_card
from mynah.errors import BaseError, BotError
from mynah.export import export_transformers
from mynah.inspection import gather, inspect
from mynah.published import PAGE, is_weights
from mynah.run_folder import RunFolder, hash_file, storage_errors
from mynah.watch import Watch, bar


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A folder that is ready to be uploaded."""

    root: Path
    files: dict[str, str]  # name: SHA-256

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return (self.root / name).stat().st_size


@dataclass(frozen=True, kw_only=True)
class Label:
    """Where a parcel goes and how."""

    repo: str
    address: str  # of the Hub
    adapter_only: bool
    token: str | None  # looked for in every file


@contextmanager
def packed(folder: RunFolder, label: Label, watch: Watch) -> Iterator[Parcel]:
    """Pack a bot, check every file, and take the parcel away in the end.

    Raises:
        UnsafeUpload: a file holds what must not leave the machine.
        BotError: `adapter_only`, and there is no adapter.
        BaseError: `adapter_only`, and nobody else could have the base.
    """
    with (
        storage_errors(folder.root / "parcel"),
        tempfile.TemporaryDirectory(dir=folder.root, prefix=".push.") as place,
    ):
        root = Path(place) / "bot"
        with bar(watch, "Packing and checking"):
            _pack(folder, label, root)
            public = (standing_text(), diagram())
            inspect(root, gather(folder, token=label.token, public=public), folder.name)
            files = {path.name: hash_file(path) for path in sorted(root.iterdir())}
        yield Parcel(root=root, files=files)


def _pack(folder: RunFolder, label: Label, root: Path) -> None:
    if label.adapter_only:
        _require_adapter(folder)
    export_transformers(folder, load_bot(folder), root)
    if label.adapter_only:
        _keep_adapter(folder, root)
    _add_papers(folder, root, label)


def _require_adapter(folder: RunFolder) -> None:
    if (folder.adapter / FULL_WEIGHTS).exists():
        raise BotError(
            f"All weights of '{folder.name}' were trained: there is no adapter to upload alone.",
            hint=f"Run: mynah push {folder.name}",
        )
    if not folder.learned()["result"]["base"]["hub_id"]:
        raise BaseError(
            f"The base of '{folder.name}' is a folder here: an adapter alone is no use to others.",
            hint=f"Run: mynah push {folder.name}",
        )


def _keep_adapter(folder: RunFolder, root: Path) -> None:
    """Put what was learned in the place of the whole model; tokenizer and sampling stay."""
    for path in root.iterdir():
        if is_weights(path.name) or path.name.startswith(("config", "model.")):
            path.unlink()
    shutil.copytree(folder.adapter, root, dirs_exist_ok=True)


def _add_papers(folder: RunFolder, root: Path, label: Label) -> None:
    """Add card, report and share image; the card names the place where it will be read."""
    for path in (folder.report, folder.root / PAGE, folder.preview):
        if path.exists():
            shutil.copy2(path, root / path.name)
    shown = f"{label.address}/{label.repo}/resolve/main/{folder.preview.name}"
    write_card(
        folder,
        into=root,
        relation="adapter" if label.adapter_only else "finetune",
        repo=label.repo,
        preview=shown if folder.preview.exists() else None,
    )
