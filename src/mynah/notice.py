"""The notice that a machine wrote it, in words and in a form that machines read."""

from __future__ import annotations

from pathlib import Path

from mynah import __version__
from mynah.card import display_names
from mynah.card_metadata import Json, voices
from mynah.marking import MARK
from mynah.run_folder import RunFolder, write_json

FILE = "machine-made.json"
LABEL = "machine-made: written by a language model"


def sentence(run: Json) -> str:
    """Return what a bot is and how to take what it writes."""
    names = display_names(voices(run))
    whose = names[0] if len(names) == 1 else "each of these accounts"
    return (
        f"This is a language model that imitates how {whose} posts. What it writes was made by a "
        "machine: take none of it for something that they said."
    )


def write_notice(folder: RunFolder, into: Path, form: str) -> Path:
    """Write the notice that goes with every export.

    Args:
        folder: the bot's.
        into: the export.
        form: the export's format.
    """
    run = folder.read_run()
    notice = {
        **MARK,
        "about": sentence(run),
        "bot": folder.name,
        "format": form,
        "made_with": f"mynah {__version__}",
    }
    write_json(into / FILE, notice)
    return into / FILE
