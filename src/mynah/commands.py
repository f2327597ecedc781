"""What each verb does: call the library, show the result, say the next command."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.marking import MARK
from mynah.run_folder import RunFolder, open_bot
from mynah.terminal import (
    TerminalWatch,
    confirm,
    print_counts,
    print_files,
    print_post,
    print_reasons,
    print_report,
)
from mynah.watch import Nobody, Watch

if TYPE_CHECKING:
    from mynah.speaking import Tally

Settings = dict[str, Any]


def do_make(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah make`."""
    from dataclasses import replace

    from mynah.pipeline import Recipe, make_bot

    if settings["say"].seed is None:
        settings["say"] = replace(settings["say"], seed=settings["train"].seed)
    watch = _watch(arguments)
    made = make_bot(
        bots,
        arguments.sources,
        Recipe(**settings),
        name=arguments.name,
        replace=arguments.replace,
        prompt=arguments.prompt,
        watch=watch,
        on_cleaned=lambda folder: _show_counts(arguments, folder),
    )
    folder, report = made.folder, made.report.to_json()
    if not arguments.json:
        print_report(report, whole=False)
        print()
        for sample in made.samples:
            print_post(sample.text, None, verbose=False)
    _next(watch, f"{folder.root}/ holds the bot.", f"mynah say {folder.name}")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "clean": _counts(folder),
        "report": report,
        "samples": [_sample_row(asdict(sample)) for sample in made.samples],
    }


def do_fetch(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah fetch`."""
    from mynah.stages import fetch_posts

    watch = _watch(arguments)
    if arguments.update:
        folder = _update(arguments, bots, watch)
    else:
        given = {"name": arguments.name, "replace": arguments.replace}
        folder = fetch_posts(bots, arguments.sources, settings["fetch"], **given, watch=watch)
    run = folder.read_run()
    result = run["stages"]["fetch"]["result"]
    wrote = f"{folder.posts}: {result['posts']:,} posts, read as {result['format']}."
    _next(watch, wrote, f"mynah clean {folder.name}")
    handles = [account["handle"] for account in run["accounts"]]
    return {"bot": folder.name, "folder": str(folder.root), "accounts": handles, **result}


def _update(arguments: argparse.Namespace, bots: Path, watch: Watch) -> RunFolder:
    from mynah.flags import configs
    from mynah.updating import named_bot, saved_settings, update_posts

    folder = _folder(bots, named_bot(arguments.sources))
    settings = configs(arguments, ("fetch",), saved=saved_settings(folder))
    update_posts(folder, settings["fetch"], watch=watch)
    return folder


def do_clean(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah clean`."""
    from mynah.stages import clean_posts

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    cleaned = clean_posts(folder, settings["clean"], watch=watch)
    _show_counts(arguments, folder)
    if arguments.explain and not arguments.json:
        print_reasons(cleaned.dropped, examples=3)
    _next(
        watch, f"{folder.cleaned}: {len(cleaned.selected):,} posts.", f"mynah train {folder.name}"
    )
    return _counts(folder)


def do_train(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah train`."""
    from mynah.flags import configs
    from mynah.model_stages import saved_settings, train_bot

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    if arguments.resume:  # with the settings it was begun with, but for what is typed
        settings = configs(arguments, tuple(settings), saved=saved_settings(folder))
    train_bot(folder, settings["train"], settings["dataset"], resume=arguments.resume, watch=watch)
    result = folder.read_run()["stages"]["train"]["result"]
    wrote = (
        f"{folder.adapter}/: learned from {result['posts']:,} posts in {result['steps']:,} steps."
    )
    _next(watch, wrote, f"mynah report {folder.name}")
    return {"bot": folder.name, **_without_losses(result)}


def _without_losses(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "losses"}


def do_flock(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah flock`."""
    from mynah.pipeline import Recipe, train_flock

    watch = _watch(arguments)
    folder = train_flock(
        bots,
        arguments.sources,
        Recipe(**settings),
        name=arguments.name or "flock",
        replace=arguments.replace,
        watch=watch,
        on_cleaned=lambda folder: _show_counts(arguments, folder),
    )
    run = folder.read_run()
    result = run["stages"]["train"]["result"]
    handles = [account["handle"] for account in run["accounts"]]
    wrote = f"{folder.adapter}/: learned from {len(handles)} accounts, {result['posts']:,} posts."
    _next(watch, wrote, f"mynah make <archive> --flock {folder.name}")
    return {"bot": folder.name, "accounts": handles, **_without_losses(result)}


def do_report(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah report`."""
    from mynah.judging import report_bot

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    report = report_bot(folder, settings["report"], settings["say"], watch=watch).to_json()
    if not arguments.json:
        print_report(report)
    wrote = f"{folder.report} and {folder.page.name} are written."
    _next(watch, wrote, f"mynah say {folder.name}")
    return report


def do_say(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah say`."""
    from mynah.speaking import Tally, say_posts

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    start = time.monotonic()
    talk = say_posts(folder, arguments.prompt, settings["say"], watch=watch)
    posts, rows = [], []
    for post in talk.posts:
        row = _sample_row(asdict(post))
        posts.append(post)
        rows.append(row)
        if not arguments.json:
            print_post(post.text, row["nearest"], arguments.nearest)
    seconds, tally = time.monotonic() - start, Tally.of(posts)
    speed = sum(post.tokens for post in posts) / seconds
    _next(
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


def do_quiz(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah quiz`."""
    from mynah.quiz_stage import keep_round, prepare_quiz
    from mynah.screens import ask, print_score, print_total

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
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
    _next(watch, wrote, f"mynah quiz {folder.name} goes on with other posts")
    return {}


def do_who(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah who`."""
    from mynah.attribution_stage import confuse, who_said
    from mynah.screens import print_attribution, print_confusion

    watch = _watch(arguments)
    text, names = arguments.text, arguments.names
    if arguments.table:
        text, names = None, [each for each in (text, *names) if each is not None]
    folders = [_folder(bots, name) for name in names] or _trained(bots)
    if text is None:
        table = confuse(folders, settings["who"], watch=watch)
        if not arguments.json:
            print_confusion(table)
        return table.to_json()
    found = who_said(folders, text, watch=watch)
    if not arguments.json:
        print_attribution(found)
    watch.say("Next: mynah who --table shows how often such an answer is right.")
    return found.to_json()


def _trained(bots: Path) -> list[RunFolder]:
    return [folder for folder in _bots(bots) if folder.adapter.exists()]


def do_card(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah card`."""
    from mynah.card import write_card

    folder = _folder(bots, arguments.bot)
    if origin := folder.pulled_from:
        made = f"came from {origin}, and stays as it is"
    else:
        folder.require(folder.posts)
        made = "is written"
    with folder.lock():
        path = write_card(folder)
    _next(_watch(arguments), f"{path} {made}.", f"mynah export {folder.name}")
    return {"bot": folder.name, "card": str(path)}


def do_export(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah export`."""
    from mynah.model_stages import export_bot

    folder = _folder(bots, arguments.bot)
    target = export_bot(folder, settings["export"])
    _next(_watch(arguments), f"{target}/ holds the bot.", f"see How to use in {target}/README.md")
    return {"bot": folder.name, "format": settings["export"].format, "folder": str(target)}


def do_push(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah push`."""
    from mynah.hub import push_bot

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    dry = arguments.dry_run
    pushed = push_bot(folder, settings["push"], settings["hub"], dry_run=dry, watch=watch)
    if not arguments.json:
        print_files([asdict(each) for each in pushed.files])
    seen = "only you can see it" if pushed.private else "everybody can see it"
    if dry:
        _next(watch, f"Nothing was sent to {pushed.url}.", f"mynah push {folder.name}")
    else:
        _next(watch, f"{pushed.url}: {seen}.", f"mynah takedown {folder.name} deletes it again")
    return {"bot": folder.name, "dry_run": dry, **asdict(pushed)}


def do_takedown(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah takedown`."""
    from mynah.hub import OUT_OF_REACH, published_at, take_down

    watch = _watch(arguments)
    folder = open_bot(bots, arguments.bot) if arguments.repo else _folder(bots, arguments.bot)
    repo = published_at(folder, arguments.repo)
    if not arguments.yes:
        confirm(f"Delete {repo} from the Hub, with all its revisions?", "--yes")
    take_down(folder, repo, settings["hub"])
    watch.say(f"{repo} is deleted. Out of reach: {'; '.join(OUT_OF_REACH)}.")
    return {"bot": folder.name, "repo": repo, "out_of_reach": list(OUT_OF_REACH)}


def do_pull(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah pull`."""
    from mynah.pull import pull_bot

    watch = _watch(arguments)
    pulled = pull_bot(
        bots,
        arguments.repo,
        settings["hub"],
        name=arguments.name,
        replace=arguments.replace,
        watch=watch,
    )
    folder = pulled.folder
    _next(watch, f"{folder.root}/ holds the bot.", f"mynah say {folder.name}")
    return {
        "bot": folder.name,
        "folder": str(folder.root),
        "repo": pulled.repo,
        "revision": pulled.revision,
        "kind": pulled.kind,
        "files": pulled.files,
    }


def do_list(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah list`."""
    rows = [_bot_row(folder) for folder in _bots(bots)]
    for row in [] if arguments.json else rows:
        gain = f"{row['gain_percent']:.1f} % fewer bits" if row["gain_percent"] else "no report yet"
        print(f"{row['bot']}  {', '.join('@' + each for each in row['accounts'])}  {gain}")
    if not rows:
        _next(_watch(arguments), f"No bot in {bots} yet.", "mynah make <archive>")
    return {"bots": rows}


def _bots(bots: Path) -> Iterator[RunFolder]:
    for path in sorted(bots.iterdir()) if bots.is_dir() else ():
        if (path / "run.json").is_file():
            yield RunFolder(path)


def _bot_row(folder: RunFolder) -> dict[str, Any]:
    run = folder.read_run()
    report = run["stages"].get("report", {}).get("result", {})
    return {
        "bot": folder.name,
        "accounts": [account["handle"] for account in run["accounts"]],
        "stages": list(run["stages"]),
        "gain_percent": (report.get("bits_per_byte") or {}).get("gain_percent"),
    }


def _folder(bots: Path, name: str) -> RunFolder:
    """Return a bot's folder by name, or by its path."""
    if (Path(name) / "run.json").is_file():
        return RunFolder(Path(name).resolve())
    folder = open_bot(bots, name)
    folder.require(folder.root)
    return folder


def _watch(arguments: argparse.Namespace) -> Watch:
    return Nobody() if arguments.json else TerminalWatch()


def _next(watch: Watch, wrote: str, command: str) -> None:
    watch.say(f"{wrote} Next: {command}")


def _counts(folder: RunFolder) -> dict[str, Any]:
    result: dict[str, Any] = folder.read_run()["stages"]["clean"]["result"]
    return result


def _show_counts(arguments: argparse.Namespace, folder: RunFolder) -> None:
    if not arguments.json:
        print_counts(_counts(folder))


def _sample_row(sample: dict[str, Any]) -> dict[str, Any]:
    return {**{key: sample[key] for key in ("text", "nearest", "drawn_again")}, **MARK}
