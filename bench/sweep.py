"""What a sweep teaches over several voices: the usual settings, the best ones, and what mattered.

Each voice is a bot of an account's first posts, searched by `mynah sweep` in processes of its own,
several trials at once. All trials of a voice are judged by the newest tenth of what they could have
learned from, never by the held-out posts that judge a bot.

    python bench/sweep.py accounts/*.jsonl.gz
    python bench/sweep.py --posts 300 --trials 30 accounts/*.jsonl.gz
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fleet import read_lines

SETTINGS = ("epochs", "learning_rate", "schedule", "warmup", "batch_tokens", "rank", "modules")


def main() -> None:
    """Search each voice; print what came out of each, then what they have in common."""
    options = arguments()
    print(f"\n{options.trials} trials a voice, {options.posts} posts each\n")
    print(
        "| voice | usual | best | fewer | copied | given up | its settings | what mattered most |"
    )
    print("|---|---:|---:|---:|---:|---:|---|---|")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(options.sources):
            found.append(search(Path(folder), f"voice{number}", source, options))
            print(row(source, found[-1]), flush=True)
    show_common(found)


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+", help="JSON lines of posts, packed or not")
    parser.add_argument(
        "--posts", type=int, default=200, help="posts of each, dropped ones counted"
    )
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--samples", type=int, default=20, help="posts that show what is copied")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def search(bots: Path, name: str, source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what `mynah sweep --json` says of one voice."""
    cut = bots / f"{name}.jsonl"
    cut.write_text("".join(read_lines(source)[: options.posts]), encoding="utf-8")
    mynah("fetch", cut, "--name", name, "--bots", bots)
    mynah("clean", name, "--bots", bots)
    limits = ("--trials", options.trials, "--samples", options.samples)
    words = ("sweep", name, "--fleet", "--workers", options.workers, *limits)
    found: dict[str, Any] = json.loads(mynah(*words, "--bots", bots, "--json"))
    return found


def mynah(*words: object) -> str:
    """Return what a command prints."""
    command = [sys.executable, "-m", "mynah", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def row(source: str, found: dict[str, Any]) -> str:
    """Return one line of the first table."""
    usual, best = usual_of(found), found["best"]
    given_up = sum(trial["state"] == "pruned" for trial in found["trials"])
    mattered = sorted(found["importances"].items(), key=lambda each: -each[1])[:3]
    cells = [Path(source).name.partition(".")[0], f"{usual:.3f}", *best_cells(best, usual)]
    cells.insert(-1, str(given_up))
    cells.append(", ".join(f"{key} {share:.2f}" for key, share in mattered))
    return "| " + " | ".join(cells) + " |"


def best_cells(best: dict[str, Any] | None, usual: float) -> list[str]:
    """Return what there is to say of the best trial; None: all copied too much."""
    if best is None:
        return ["–"] * 4
    bits, copied = best["bits_per_byte"], best["copied"]
    settings = ", ".join(f"{key} {short(value)}" for key, value in best["settings"].items())
    return [f"{bits:.3f}", f"{100 * (1 - bits / usual):.1f} %", f"{copied:.0%}", settings]


def usual_of(found: dict[str, Any]) -> float:
    """Return the bits of the first trial: what training does where nothing is chosen."""
    first = min(found["trials"], key=lambda trial: trial["number"])
    return float(first["bits_per_byte"])


def short(value: Any) -> str:
    """Return a setting as a person would write it."""
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def show_common(found: list[dict[str, Any]]) -> None:
    """Show how trials that ended came out by each setting, against their voice's usual."""
    print("\nAgainst the usual settings, all voices, median of the trials carried to their end\n")
    print("| setting | value | trials | bits per byte |\n|---|---|---:|---:|")
    ended = [
        (trial["settings"], 100 * (trial["bits_per_byte"] / usual_of(each) - 1))
        for each in found
        for trial in each["trials"]
        if trial["state"] == "complete"
    ]
    for setting, value, changes in by_value(ended):
        middle = statistics.median(changes)
        print(f"| {setting} | {value} | {len(changes)} | {middle:+.1f} % |")


def by_value(
    ended: list[tuple[dict[str, Any], float]],
) -> Iterable[tuple[str, str, list[float]]]:
    """Yield each value of each setting with what its trials came to; two settings in bands."""
    for setting in SETTINGS:
        groups: dict[Any, list[float]] = {}
        for settings, change in ended:
            if setting in settings:
                groups.setdefault(band(setting, settings[setting]), []).append(change)
        for (_, value), changes in sorted(groups.items()):
            yield setting, value, changes


def band(setting: str, value: Any) -> tuple[Any, str]:
    """Return where a value sorts, and what its group is called."""
    if setting == "learning_rate":
        edges = (3e-5, 1e-4, 3e-4, 1e-3)
        at = sum(value >= edge for edge in edges)
        return at, f"below {edges[at]:.0e}" if at < len(edges) else f"from {edges[-1]:.0e}"
    if setting == "epochs":
        return (0, "1 to 3") if value <= 3 else (1, "4 to 10")
    return value, str(value)


if __name__ == "__main__":
    main()
