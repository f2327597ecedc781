"""The verbs that ask a bot, or ask about it: say, report, quiz, who, map."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.commands.shared import bot_folder, sample_row, say_next, tracker_of, watch_of
from mynah.run_folder import RunFolder, bots_in
from mynah.terminal import print_post, print_report
from mynah.watch import Watch

if TYPE_CHECKING:
    from mynah.speaking import Tally

Settings = dict[str, Any]


def do_say(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah say`."""
    from mynah.speaking import Tally, say_posts

    watch = watch_of(arguments)
    folder = bot_folder(bots, arguments.bot)
    start = time.monotonic()
    talk = say_posts(folder, arguments.prompt, settings["say"], watch=watch)
    posts, rows = [], []
    for post in talk.posts:
        row = sample_row(asdict(post))
        posts.append(post)
        rows.append(row)
        if not arguments.json:
            print_post(post.text, row["nearest"], arguments.nearest)
    seconds, tally = time.monotonic() - start, Tally.of(posts)
    speed = sum(post.tokens for post in posts) / seconds
    say_next(
        watch,
        f"Seed {talk.seed}; {_again(tally)}{speed:.0f} tokens a second.",
        f"mynah say {folder.name} --seed {talk.seed} repeats these posts; mynah card {folder.name}",
    )
    return {
        "prompt": arguments.prompt,
        "seed": talk.seed,
        "samples": rows,
        "engine": talk.engine,
        **asdict(tally),
        "seconds": round(seconds, 3),
        "tokens_per_second": round(speed, 1),
    }


def _again(tally: Tally) -> str:
    """Say what the copy guard threw away, if anything."""
    if not tally.drawn_again:
        return ""
    early = f" ({tally.dropped_early} before their end)" if tally.dropped_early else ""
    return f"{tally.drawn_again} drawn again{early}; "


def do_report(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah report`."""
    from mynah.judging import report_bot

    watch = watch_of(arguments)
    folder = bot_folder(bots, arguments.bot)
    tracker = tracker_of(settings["track"], folder.root.parent, watch)
    made = report_bot(folder, settings["report"], settings["say"], watch=watch, tracker=tracker)
    report = made.to_json()
    if not arguments.json:
        print_report(report)
    wrote = f"{folder.report} and {folder.page.name} are written."
    say_next(watch, wrote, f"mynah say {folder.name}")
    return report


def do_quiz(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah quiz`."""
    from mynah.quiz_stage import keep_round, prepare_quiz
    from mynah.screens import ask, print_score, print_total

    watch = watch_of(arguments)
    folder = bot_folder(bots, arguments.bot)
    quiz = prepare_quiz(folder, settings["quiz"], settings["say"], watch=watch)
    if arguments.json:
        return quiz.to_json()
    answers: list[int] = []
    try:
        ask(quiz.pairs, answers, reveal=settings["quiz"].reveal)
    finally:  # Ctrl-C as well: what was answered counts
        if answers:
            print_score(quiz.pairs, answers)
            print_total(keep_round(folder, quiz, answers), len(answers))
    wrote = f"{folder.quiz} has the score." if answers else "No answer, so nothing was kept."
    say_next(watch, wrote, f"mynah quiz {folder.name} goes on with other posts")
    return {}


def do_who(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah who`."""
    from mynah.attribution_stage import confuse, who_said
    from mynah.screens import print_attribution, print_confusion

    watch = watch_of(arguments)
    text, names = arguments.text, arguments.names
    if arguments.table:
        text, names = None, [each for each in (text, *names) if each is not None]
    folders = [bot_folder(bots, name) for name in names] or _trained(bots)
    if text is None:
        folders = _without_blends(folders, watch)
        table = confuse(folders, settings["who"], watch=watch)
        if not arguments.json:
            print_confusion(table)
        return table.to_json()
    found = who_said(folders, text, watch=watch)
    if not arguments.json:
        print_attribution(found)
    watch.say("Next: mynah who --table shows how often such an answer is right.")
    return found.to_json()


def do_map(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah map`."""
    from mynah.map_stage import map_bots
    from mynah.screens import print_map

    watch = watch_of(arguments)
    folders = [bot_folder(bots, name) for name in arguments.names] or _trained(bots)
    folders = _without_blends(folders, watch)
    drawn = map_bots(bots, folders, settings["map"], watch=watch)
    if not arguments.json:
        print_map(drawn.map)
    wrote = f"{drawn.page} shows the map, {drawn.picture.name} is its picture."
    say_next(watch, wrote, "mynah who --table shows whose posts are taken for whose")
    files = {"page": str(drawn.page), "picture": str(drawn.picture)}
    return {**drawn.map.to_json(), "measured": drawn.measured, **files}


def _without_blends(folders: list[RunFolder], watch: Watch) -> list[RunFolder]:
    """Leave out blends that stand beside one of their bots: its posts are theirs as well."""
    from mynah.parentage import parents_of

    names, apart = {folder.name for folder in folders}, []
    for folder in folders:
        shared = [parent.name for parent in parents_of(folder) if parent.name in names]
        if shared:
            why = f"it is a blend, and its posts are those of {' and '.join(shared)}"
            watch.say(f"'{folder.name}' is left out: {why}.")
        else:
            apart.append(folder)
    return apart


def _trained(bots: Path) -> list[RunFolder]:
    return [folder for folder in bots_in(bots) if folder.adapter.exists()]
