"""The verbs by which a bot leaves and comes back: card, share, export, push, takedown, pull."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mynah.commands.shared import bot_folder, say_next, watch_of
from mynah.run_folder import open_bot
from mynah.terminal import confirm, print_files

Settings = dict[str, Any]


def do_card(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah card`."""
    from mynah.stages import card_bot

    folder = bot_folder(bots, arguments.bot)
    path = card_bot(folder)
    made = (
        f"came from {folder.pulled_from}, and stays as it is"
        if folder.pulled_from
        else "is written"
    )
    say_next(watch_of(arguments), f"{path} {made}.", f"mynah export {folder.name}")
    return {"bot": folder.name, "card": str(path)}


def do_share(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah share`."""
    from mynah.share import write_share

    folder = bot_folder(bots, arguments.bot)
    shared = write_share(folder, settings["share"])
    wrote = f"{shared.image} shows the post, and {shared.page.name} the picture."
    say_next(watch_of(arguments), wrote, f"mynah card {folder.name}")
    return {"bot": folder.name, **shared.to_json()}


def do_export(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah export`."""
    from mynah.model_stages import export_bot
    from mynah.terms import binding_terms

    folder = bot_folder(bots, arguments.bot)
    target, watch = export_bot(folder, settings["export"]), watch_of(arguments)
    for term in binding_terms(folder):
        watch.say(term)
    say_next(watch, f"{target}/ holds the bot.", f"see How to use in {target}/README.md")
    return {"bot": folder.name, "format": settings["export"].format, "folder": str(target)}


def do_push(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah push`."""
    from mynah.hub import push_bot

    watch = watch_of(arguments)
    folder = bot_folder(bots, arguments.bot)
    dry = arguments.dry_run
    pushed = push_bot(folder, settings["push"], settings["hub"], dry_run=dry, watch=watch)
    if not arguments.json:
        print_files([asdict(each) for each in pushed.files])
    seen = "only you can see it" if pushed.private else "everybody can see it"
    if dry:
        say_next(watch, f"Nothing was sent to {pushed.url}.", f"mynah push {folder.name}")
    else:
        say_next(watch, f"{pushed.url}: {seen}.", f"mynah takedown {folder.name} deletes it again")
    return {"bot": folder.name, "dry_run": dry, **asdict(pushed)}


def do_takedown(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah takedown`."""
    from mynah.hub import OUT_OF_REACH, published_at, take_down

    watch = watch_of(arguments)
    folder = open_bot(bots, arguments.bot) if arguments.repo else bot_folder(bots, arguments.bot)
    repo = published_at(folder, arguments.repo)
    if not arguments.yes:
        confirm(f"Delete {repo} from the Hub, with all its revisions?", "--yes")
    take_down(folder, repo, settings["hub"])
    watch.say(f"{repo} is deleted. Out of reach: {'; '.join(OUT_OF_REACH)}.")
    return {"bot": folder.name, "repo": repo, "out_of_reach": list(OUT_OF_REACH)}


def do_pull(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah pull`."""
    from mynah.pull import pull_bot

    watch = watch_of(arguments)
    pulled = pull_bot(
        bots,
        arguments.repo,
        settings["hub"],
        name=arguments.name,
        replace=arguments.replace,
        watch=watch,
    )
    folder = pulled.folder
    say_next(watch, f"{folder.root}/ holds the bot.", f"mynah say {folder.name}")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "repo": pulled.repo,
        "revision": pulled.revision,
        "kind": pulled.kind,
        "files": pulled.files,
    }
