"""What each verb does: call the library, show the result, say the next command."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mynah.config import TrackingConfig
from mynah.run_folder import RunFolder, open_bot
from mynah.terminal import (
    TerminalWatch,
    print_counts,
    print_lineage,
    print_post,
    print_reasons,
    print_report,
)
from mynah.tracking import Tracker, open_tracker, trackio_folder
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
    tracker = _tracker(settings.pop("track"), bots, watch)
    made = make_bot(
        bots,
        arguments.sources,
        Recipe(**settings),
        name=arguments.name,
        replace=arguments.replace,
        prompt=arguments.prompt,
        watch=watch,
        tracker=tracker,
        on_cleaned=lambda folder: _show_counts(arguments, folder),
    )
    folder, report = made.folder, made.report.to_json()
    if not arguments.json:
        print_report(report)
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
    wrote = f"{folder.posts}: {result['posts']:,} posts, read as {result['format']}."
    _next(watch, wrote, f"mynah clean {folder.name}")
    handles = [account["handle"] for account in run["accounts"]]
    return {"bot": folder.name, "folder": str(folder.root), "accounts": handles, **result}


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

    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    tracker = _tracker(settings["track"], folder.root.parent, watch)
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
    result = folder.read_run()["stages"]["train"]["result"]
    wrote = (
        f"{folder.adapter}/: learned from {result['posts']:,} posts in {result['steps']:,} steps."
    )
    _next(watch, wrote, f"mynah report {folder.name}")
    return {"bot": folder.name, **{k: v for k, v in result.items() if k != "losses"}}


def do_report(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah report`."""
    watch = _watch(arguments)
    folder = _folder(bots, arguments.bot)
    tracker = _tracker(settings["track"], folder.root.parent, watch)
    from mynah.model_stages import report_bot

    made = report_bot(folder, settings["report"], settings["say"], watch=watch, tracker=tracker)
    report = made.to_json()
    if not arguments.json:
        print_report(report)
    _next(watch, f"{folder.report} is written.", f"mynah say {folder.name}")
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


def do_card(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah card`."""
    from mynah.stages import card_bot

    folder = _folder(bots, arguments.bot)
    path = card_bot(folder)
    _next(_watch(arguments), f"{path} is written.", f"mynah export {folder.name}")
    return {"bot": folder.name, "card": str(path)}


def do_export(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah export`."""
    from mynah.model_stages import export_bot

    folder = _folder(bots, arguments.bot)
    target = export_bot(folder, settings["export"])
    _next(_watch(arguments), f"{target}/ holds the bot.", f"see How to use in {target}/README.md")
    return {"bot": folder.name, "format": settings["export"].format, "folder": str(target)}


def do_list(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah list`."""
    rows = [_bot_row(folder) for folder in _bots(bots)]
    for row in [] if arguments.json else rows:
        gain = f"{row['gain_percent']:.1f} % fewer bits" if row["gain_percent"] else "no report yet"
        print(f"{row['bot']}  {', '.join('@' + each for each in row['accounts'])}  {gain}")
    if not rows:
        _next(_watch(arguments), f"No bot in {bots} yet.", "mynah make <archive>")
    return {"bots": rows}


def do_lineage(arguments: argparse.Namespace, settings: Settings, bots: Path) -> dict[str, Any]:
    """Carry out `mynah lineage`."""
    from mynah.lineage import check_lineage, first_broken

    folder = _folder(bots, arguments.bot)
    links = check_lineage(folder)
    broken = first_broken(links)
    if not arguments.json:
        print_lineage(links)
    if broken:
        _next(_watch(arguments), f"Broken at {broken.name}: {broken.why}.", broken.fix)
    else:
        _next(_watch(arguments), "The chain holds.", f"mynah say {folder.name}")
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
        _watch(arguments).say(f"The runs in {shown.folder} are at {shown.url} Ctrl-C ends this.")
        shown.wait(browser=not arguments.no_open)
    return {}


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
        "gain_percent": report.get("bits_per_byte", {}).get("gain_percent"),
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


def _tracker(config: TrackingConfig, bots: Path, watch: Watch) -> Tracker:
    """Return the tracker that is wanted, and say so where it keeps things on this machine."""
    tracker = open_tracker(config, bots, watch)
    if config.tracker == "trackio":
        watch.say(f"The run goes on record in {trackio_folder(bots)}; mynah dashboard shows it.")
    return tracker


def _next(watch: Watch, wrote: str, command: str) -> None:
    watch.say(f"{wrote} Next: {command}")


def _counts(folder: RunFolder) -> dict[str, Any]:
    result: dict[str, Any] = folder.read_run()["stages"]["clean"]["result"]
    return result


def _show_counts(arguments: argparse.Namespace, folder: RunFolder) -> None:
    if not arguments.json:
        print_counts(_counts(folder))


def _sample_row(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: sample[key] for key in ("text", "nearest", "drawn_again")}
