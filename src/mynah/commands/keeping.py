"""The verbs for bots that are there: list, lineage, web, dashboard, update, rollback, drift."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.commands.shared import bot_folder, say_next, watch_of
from mynah.run_folder import RunFolder, bots_in
from mynah.terminal import print_lineage, print_renewal
from mynah.watch import Watch

if TYPE_CHECKING:
    from mynah.renewing import Renewal

Settings = dict[str, Any]


def do_list(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah list`."""
    rows = [_bot_row(folder) for folder in bots_in(bots)]
    for row in [] if arguments.json else rows:
        gain = f"{row['gain_percent']:.1f} % fewer bits" if row["gain_percent"] else "no report yet"
        print(f"{row['bot']}  {', '.join('@' + each for each in row['accounts'])}  {gain}")
    if not rows:
        say_next(watch_of(arguments), f"No bot in {bots} yet.", "mynah make <archive>")
    return {"bots": rows}


def do_lineage(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah lineage`."""
    from mynah.lineage import check_lineage, first_broken

    folder = bot_folder(bots, arguments.bot)
    links = check_lineage(folder)
    broken = first_broken(links)
    if not arguments.json:
        print_lineage(links)
    if broken:
        say_next(watch_of(arguments), f"Broken at {broken.name}: {broken.why}.", broken.fix)
    else:
        say_next(watch_of(arguments), "The chain holds.", f"mynah say {folder.name}")
    return {
        "bot": folder.name,
        "ok": broken is None,
        "broken": broken and broken.name,
        "links": [asdict(link) for link in links],
    }


def do_dashboard(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah dashboard`."""
    from mynah.dashboard import serve_dashboard

    with serve_dashboard(bots, arguments.port) as shown:
        if arguments.json:
            print(json.dumps({"url": shown.url, "folder": str(shown.folder)}), flush=True)
        watch_of(arguments).say(f"The runs in {shown.folder} are at {shown.url} Ctrl-C ends this.")
        shown.wait(browser=not arguments.no_open)
    return {}


def do_web(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah web`."""
    from mynah.studio.server import serve_studio

    password = os.environ.get("MYNAH_PASSWORD") or None
    with serve_studio(bots, settings, password=password) as studio:
        if arguments.json:
            print(json.dumps({"url": studio.url, "folder": str(bots.absolute())}), flush=True)
        watch_of(arguments).say(f"The studio is at {studio.url} Ctrl-C ends it.")
        studio.wait(browser=not arguments.no_open)
    return {}


def _bot_row(folder: RunFolder) -> dict[str, Any]:
    run = folder.read_run()
    report = run["stages"].get("report", {}).get("result", {})
    return {
        "bot": folder.name,
        "accounts": [account["handle"] for account in run["accounts"]],
        "stages": list(run["stages"]),
        "gain_percent": (report.get("bits_per_byte") or {}).get("gain_percent"),
    }


def do_update(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah update`."""
    from mynah.flags import configs
    from mynah.renewing import renew_bot
    from mynah.updating import saved_settings

    folder, watch = bot_folder(bots, arguments.bot), watch_of(arguments)
    fetch = configs(arguments, ("fetch",), saved=saved_settings(folder))["fetch"]
    renewal = renew_bot(
        folder, settings["update"], sources=arguments.sources, fetch=fetch, watch=watch
    )
    if not arguments.json and renewal.before and renewal.after:
        print_renewal(renewal)
    _tell_gone(arguments, renewal, folder, watch)
    if renewal.kept:
        _draw_anew(folder, watch)
    if renewal.forgotten:
        say_next(watch, f"The new one stays: {renewal.why}.", f"mynah report {folder.name}")
    elif renewal.kept:
        wrote = f"The new one stays: {renewal.why}. What it was is version {renewal.version}."
        say_next(watch, wrote, f"mynah report {folder.name}, or mynah rollback {folder.name}")
    else:
        say_next(watch, f"The bot stays as it was: {renewal.why}.", f"mynah say {folder.name}")
    return {"bot": folder.name, **asdict(renewal)}


def _tell_gone(
    arguments: argparse.Namespace, renewal: Renewal, folder: RunFolder, watch: Watch
) -> None:
    """Say how many posts are gone, and what to type; or what still holds them."""
    from mynah.parentage import command, parents_of

    if not renewal.gone:
        return
    posts = "post of the bot is" if renewal.gone == 1 else "posts of the bot are"
    told = f"{renewal.gone:,} {posts} not there any more: deleted, or hidden."
    if not renewal.forgotten:
        words = " ".join(["mynah update", folder.name, *map(shlex.quote, arguments.sources)])
        watch.say(f"{told} To have it learn anew without: {words} --forget-deleted")
        return
    watch.say(f"{told} They were taken out, and earlier versions that knew them.")
    for other in bots_in(folder.root.parent):
        if folder.name in [parent.name for parent in parents_of(other)]:
            watch.say(f"The blend '{other.name}' still knows them. Run: {command(other)}")
    if "push" in folder.read_run()["stages"]:
        watch.say(f"What was pushed still knows them. Run: mynah push {folder.name}")


def do_rollback(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah rollback`."""
    from mynah.versions import roll_back

    folder = bot_folder(bots, arguments.bot)
    number, kept = roll_back(folder, arguments.to)
    wrote = f"'{folder.name}' is version {number} again; what it was is version {kept}."
    say_next(watch_of(arguments), wrote, f"mynah say {folder.name}")
    return {"bot": folder.name, "version": number, "kept": kept}


def do_drift(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah drift`."""
    from mynah.drift_stage import draw_drift
    from mynah.parentage import parents_of
    from mynah.screens import print_drifts

    folder, watch = bot_folder(bots, arguments.bot), watch_of(arguments)
    drawn = draw_drift(folder, settings["drift"], watch=watch)
    if not arguments.json:
        print_drifts(drawn.drifts, drawn.left_out)
    wrote = f"{drawn.page} shows it, {drawn.picture.name} is its picture."
    verb = "report" if parents_of(folder) else "update"  # a blend does not learn on
    say_next(watch, wrote, f"mynah {verb} {folder.name}")
    return drawn.to_json()


def _draw_anew(folder: RunFolder, watch: Watch) -> None:
    """Draw the drift of a bot that has learned on, where its posts have months."""
    from mynah.config import DriftConfig
    from mynah.drift_stage import draw_drift, has_months

    if has_months(folder):
        drawn = draw_drift(folder, DriftConfig(), watch=watch)
        watch.say(f"{drawn.page} shows how the voice has changed over the months.")
