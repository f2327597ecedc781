"""The verbs that do a thing many times: fleet, sweep."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.commands.shared import bot_folder, say_next, watch_of
from mynah.errors import SettingsError
from mynah.terminal import print_lines

if TYPE_CHECKING:
    from mynah.fleet import Tally
    from mynah.search import Trial

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


def do_sweep(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah sweep`."""
    from mynah.sweep import sweep_bot, trial_rows

    watch, folder = watch_of(arguments), bot_folder(bots, arguments.bot)
    swept = sweep_bot(
        folder,
        settings["train"],
        settings["dataset"],
        settings["sweep"],
        fleet=settings["fleet"] if arguments.fleet else None,
        watch=watch,
    )
    if swept.best and swept.usual and not arguments.json:
        print_lines(_best_lines(swept.best, swept.usual))
    if swept.best:
        command = f"mynah train {folder.name} --settings {swept.settings}"
        say_next(watch, f"{swept.plots} shows all trials.", command)
    else:
        say_next(watch, "No trial copied little enough.", f"mynah sweep {folder.name} --trials 60")
    found = trial_rows([swept.best]) if swept.best else [None]
    return {
        "bot": folder.name,
        "best": found[0],
        "trials": trial_rows(swept.trials),
        "importances": swept.importances,
        "settings": str(swept.settings) if swept.best else None,
        "plots": str(swept.plots),
    }


def _best_lines(best: Trial, usual: Trial) -> Iterator[str]:
    for name, value in best.settings.items():
        yield f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
    yield f"Bits per byte: {best.bits_per_byte:.4f} (trial {best.number})"
    if usual.bits_per_byte:
        yield f"The usual settings: {usual.bits_per_byte:.4f}"


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
