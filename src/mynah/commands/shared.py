"""What verbs have in common: the bot that is named, who looks on, what to type next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah.config import TrackingConfig
from mynah.marking import MARK
from mynah.run_folder import RunFolder, open_bot
from mynah.terminal import TerminalWatch, print_counts
from mynah.tracking import Tracker, open_tracker, trackio_folder
from mynah.watch import Nobody, Watch


def bots_in(bots: Path) -> Iterator[RunFolder]:
    """Yield the bots of a folder by name."""
    for path in sorted(bots.iterdir()) if bots.is_dir() else ():
        if (path / "run.json").is_file():
            yield RunFolder(path)


def bot_folder(bots: Path, name: str) -> RunFolder:
    """Return a bot's folder by name, or by its path."""
    if (Path(name) / "run.json").is_file():
        return RunFolder(Path(name).resolve())
    folder = open_bot(bots, name)
    folder.require(folder.root)
    return folder


def watch_of(arguments: argparse.Namespace) -> Watch:
    """Return who looks on: the terminal, or nobody where a program reads."""
    return Nobody() if arguments.json else TerminalWatch()


def tracker_of(config: TrackingConfig, bots: Path, watch: Watch) -> Tracker:
    """Return the tracker that is wanted, and say so where it keeps things on this machine."""
    tracker = open_tracker(config, bots, watch)
    if config.tracker == "trackio":
        watch.say(f"The run goes on record in {trackio_folder(bots)}; mynah dashboard shows it.")
    return tracker


def say_next(watch: Watch, wrote: str, command: str) -> None:
    """Say what was written and what to type next."""
    watch.say(f"{wrote} Next: {command}")


def counts_of(folder: RunFolder) -> dict[str, Any]:
    """Return what became of the posts: the table of the original."""
    result: dict[str, Any] = folder.read_run()["stages"]["clean"]["result"]
    return result


def show_counts(arguments: argparse.Namespace, folder: RunFolder) -> None:
    """Print that table, unless a program reads."""
    if not arguments.json:
        print_counts(counts_of(folder))


def sample_row(sample: dict[str, Any]) -> dict[str, Any]:
    """Return what `--json` says of one post."""
    return {**{key: sample[key] for key in ("text", "nearest", "drawn_again")}, **MARK}
