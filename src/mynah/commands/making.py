"""The verbs that make a bot: make, fetch, clean, train, flock, blend."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mynah.commands.shared import (
    bot_folder,
    counts_of,
    sample_row,
    say_next,
    show_counts,
    tracker_of,
    watch_of,
)
from mynah.replicas import is_first
from mynah.run_folder import RunFolder
from mynah.terminal import print_post, print_reasons, print_report
from mynah.watch import Nobody, Watch

Settings = dict[str, Any]


def do_make(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah make`."""
    from dataclasses import replace

    from mynah.pipeline import Recipe, make_bot

    if settings["say"].seed is None:
        settings["say"] = replace(settings["say"], seed=settings["train"].seed)
    watch = watch_of(arguments)
    tracker = tracker_of(settings.pop("track"), bots, watch)
    made = make_bot(
        bots,
        arguments.sources,
        Recipe(**settings),
        name=arguments.name,
        replace=arguments.replace,
        prompt=arguments.prompt,
        watch=watch,
        tracker=tracker,
        on_cleaned=lambda folder: show_counts(arguments, folder),
    )
    folder, report = made.folder, made.report.to_json()
    if not arguments.json:
        print_report(report, whole=False)
        print()
        for sample in made.samples:
            print_post(sample.text, None, verbose=False)
    say_next(watch, f"{folder.root}/ holds the bot.", f"mynah say {folder.name}")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "clean": counts_of(folder),
        "report": report,
        "samples": [sample_row(asdict(sample)) for sample in made.samples],
    }


def do_fetch(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah fetch`."""
    from mynah.stages import fetch_posts

    watch = watch_of(arguments)
    if arguments.update:
        folder = _update(arguments, bots, watch)
    else:
        folder = fetch_posts(
            bots,
            arguments.sources,
            settings["fetch"],
            name=arguments.name,
            replace=arguments.replace,
            watch=watch,
        )
    run = folder.read_run()
    result = run["stages"]["fetch"]["result"]
    new = f", {result['new']:,} of them new" if "new" in result else ""
    wrote = f"{folder.posts}: {result['posts']:,} posts{new}, read as {result['format']}."
    say_next(watch, wrote, f"mynah clean {folder.name}")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "accounts": [account["handle"] for account in run["accounts"]],
        "consents": run["consents"],
        **result,
    }


def _update(arguments: argparse.Namespace, bots: Path, watch: Watch) -> RunFolder:
    """Fetch what is new, read as the first time but for what is typed now."""
    from mynah.flags import configs
    from mynah.updating import named_bot, saved_settings, update_posts

    folder = bot_folder(bots, named_bot(arguments.sources))
    settings = configs(arguments, ("fetch",), saved=saved_settings(folder))
    update_posts(folder, settings["fetch"], watch=watch)
    return folder


def do_clean(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah clean`."""
    from mynah.stages import clean_posts

    watch = watch_of(arguments)
    folder = bot_folder(bots, arguments.bot)
    cleaned = clean_posts(folder, settings["clean"], watch=watch)
    show_counts(arguments, folder)
    if arguments.explain and not arguments.json:
        print_reasons(cleaned.dropped, examples=3)
    kept, characters = len(cleaned.selected), cleaned.characters
    wrote, least = f"{folder.cleaned}: {kept:,} posts", settings["clean"].min_characters
    if kept and characters >= least:
        say_next(watch, f"{wrote}.", f"mynah train {folder.name}")
    else:  # which training would refuse
        why = "--help" if arguments.explain else f"{folder.name} --explain"
        wrote += f" with {characters:,} characters, too few to learn from"
        say_next(watch, f"{wrote} (a voice needs {least:,}).", f"mynah clean {why}")
    return counts_of(folder)


def do_train(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah train`."""
    from mynah.flags import configs

    watch = watch_of(arguments) if is_first() else Nobody()
    folder = bot_folder(bots, arguments.bot)
    tracker = tracker_of(settings["track"], folder.root.parent, watch)
    from mynah.model_stages import saved_settings, train_bot

    if arguments.resume:  # with the settings it was begun with, but for what is typed
        settings = configs(arguments, tuple(settings), saved=saved_settings(folder))
    train_bot(
        folder,
        settings["train"],
        settings["dataset"],
        resume=arguments.resume,
        watch=watch,
        tracker=tracker,
    )
    if not is_first():
        return {}
    result = folder.read_run()["stages"]["train"]["result"]
    wrote = (
        f"{folder.adapter}/: learned from {result['posts']:,} posts in {result['steps']:,} steps."
    )
    say_next(watch, wrote, f"mynah report {folder.name}")
    return {"bot": folder.name, **_without_losses(result)}


def do_flock(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah flock`."""
    from mynah.pipeline import Recipe, train_flock

    watch = watch_of(arguments)
    folder = train_flock(
        bots,
        arguments.sources,
        Recipe(**settings),
        name=arguments.name or "flock",
        replace=arguments.replace,
        watch=watch,
        on_cleaned=lambda folder: show_counts(arguments, folder),
    )
    run = folder.read_run()
    result = run["stages"]["train"]["result"]
    handles = [account["handle"] for account in run["accounts"]]
    wrote = f"{folder.adapter}/: learned from {len(handles)} accounts, {result['posts']:,} posts."
    say_next(watch, wrote, f"mynah make <archive> --flock {folder.name}")
    return {"bot": folder.name, "accounts": handles, **_without_losses(result)}


def do_blend(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah blend`."""
    from mynah.blending import blend_bots
    from mynah.parentage import parents_of, told

    watch = watch_of(arguments)
    folder = blend_bots(
        bots,
        [bot_folder(bots, name) for name in arguments.names],
        settings["blend"],
        name=arguments.name,
        replace=arguments.replace,
        watch=watch,
    )
    result = folder.learned()["result"]
    weights = {each.name: each.weight for each in parents_of(folder)}
    wrote = f"{folder.root}/ holds the blend: {told(weights)}."
    say_next(watch, wrote, f"mynah report {folder.name} shows how much of each voice is heard")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "parents": [{"bot": name, "weight": round(each, 6)} for name, each in weights.items()],
        **{key: result[key] for key in ("rank", "posts", "held_out")},
    }


def _without_losses(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "losses"}
