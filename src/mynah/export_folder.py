"""The folder that an export is: there whole or not at all, with card and notice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mynah.card import write_card
from mynah.card_metadata import Relation
from mynah.card_usage import Usage
from mynah.errors import SettingsError
from mynah.notice import FILE, write_notice
from mynah.run_folder import RunFolder, replacing_folder


@contextmanager
def exporting(
    folder: RunFolder,
    target: Path,
    usage: Usage | None = None,
    *,
    relation: Relation = "finetune",
) -> Iterator[Path]:
    """Yield a folder with card and notice to fill; it then takes the place of an older export.

    Args:
        folder: the bot's.
        target: where the export goes; anything but an older export is refused.
        usage: how it is used (default: with transformers).
        relation: how it stands to the base.

    Raises:
        SettingsError: something else is there.
        StorageError: the disk is full, or the folder cannot be written.
    """
    refuse_foreign(target)
    with replacing_folder(target) as new:
        if folder.preview.exists():
            shutil.copyfile(folder.preview, new / folder.preview.name)
        write_card(folder, into=new, relation=relation, model=str(target), usage=usage)
        write_notice(folder, new, usage.form if usage else "transformers")
        yield new


def refuse_foreign(target: Path) -> None:
    """Refuse to replace a folder that no export wrote.

    Raises:
        SettingsError: `target` is a file, or a folder with other things in it.
    """
    if target.is_dir() and (not any(target.iterdir()) or _is_export(target)):
        return
    if target.exists():
        raise SettingsError(
            f"{target} is there and no export wrote it.", hint="Choose another --output."
        )


def _is_export(folder: Path) -> bool:
    return (folder / FILE).exists() or (folder / "config.json").exists()
