"""The verbs that do a thing many times: fleet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.commands.shared import say_next, watch_of
from mynah.errors import SettingsError
from mynah.terminal import print_lines

if TYPE_CHECKING:
    from mynah.fleet import Tally

Settings = dict[str, Any]

_STATUSES = ("made", "skipped", "failed", "waiting")


def do_fleet(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah fleet`."""
    from mynah.fleet import fleet_status, make_fleet
    from mynah.flock_file import read_flock

    asked, file = _asked(arguments.words)
    orders, watch = read_flock(Path(file)), watch_of(arguments)
    if asked == "status":
        tally = fleet_status(bots, orders, settings["fleet"])
    else:
        tally = make_fleet(bots, orders, settings["fleet"], watch=watch)
    shown = _tally_row(tally)
    if not arguments.json:
        print_lines(f"{note['bot']}: {note['error']} {note['hint']}" for note in tally.failures)
    counts = ", ".join(f"{shown[status]} {status}" for status in _STATUSES)
    again = shown["failed"] or shown["waiting"]
    say_next(watch, f"{counts}.", f"mynah fleet {file}" if again else "mynah list")
    return shown


def _asked(words: list[str]) -> tuple[str, str]:
    if len(words) == 1:
        return "make", words[0]
    if len(words) == 2 and words[0] == "status":
        return "status", words[1]
    raise SettingsError(
        f"mynah fleet takes one file, not {len(words)} words.",
        hint="Type: mynah fleet flock.toml, or: mynah fleet status flock.toml",
    )


def _tally_row(tally: Tally) -> dict[str, Any]:
    return {
        "ok": not tally.failures,
        **{status: tally.counts[status] for status in _STATUSES},
        "table": str(tally.table) if tally.table.exists() else None,
        "failures": [
            {key: note[key] for key in ("bot", "error", "hint")} for note in tally.failures
        ],
    }
