"""What becomes of several accounts: a bot of each, and the figures that head its voice report.

Each bot is made by `mynah make` in a process of its own, one after another. The table is the one of
docs/recipes.md.

    python bench/accounts.py accounts/*.jsonl.gz
    python bench/accounts.py --effort normal someone.zip
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HEAD = """\
| account | posts learned from | bits per byte, base → bot | fewer | of it this author's own \
| told apart | style | copied, bot | person | training s | report s |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Make the bots; print a line for each as soon as it is there."""
    options = arguments()
    print(f"Effort {options.effort}\n\n{HEAD}", flush=True)
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(options.sources):
            bot = made(Path(folder), f"bot{number}", source, options.effort)
            print(row(source, bot), flush=True)
            verdicts.append(f"- {called(source)}: {bot['report']['verdict']}")
    print("\n" + "\n".join(verdicts))


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--effort", default="quick")
    return parser.parse_args()


def made(bots: Path, name: str, source: str, effort: str) -> dict[str, Any]:
    """Make a bot; return its records."""
    words = ("make", source, "--name", name, "--effort", effort, "--bots", str(bots))
    command = [sys.executable, "-m", "mynah", *words, "--tracker", "none", "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    names = ("run", "report")
    return {each: json.loads((bots / name / f"{each}.json").read_text("utf-8")) for each in names}


def row(source: str, bot: dict[str, Any]) -> str:
    """Return one line of the table."""
    report, stages = bot["report"], bot["run"]["stages"]
    figures = {each["name"]: each for part in report["sections"] for each in part["figures"]}
    bits, copied = report["bits_per_byte"] or {}, report["copied"]
    cells = (
        called(source),
        f"{stages['train']['result']['posts']:,}",
        f"{bits['base']:.3f} → {bits['bot']:.3f}" if bits else "–",
        f"{bits['gain_percent']:.1f} %" if bits else "–",
        shown(figures["specificity"], "{:.1f} %"),
        shown(figures["detectability"], "{:.2f}"),
        shown(figures["style"], "{:.2f}"),
        f"{copied['bot']:.1%}",
        f"{copied['person']:.1%}",
        f"{stages['train']['result']['train_seconds']:.0f}",
        f"{stages['report']['seconds']:.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def shown(figure: dict[str, Any], form: str) -> str:
    """Return a figure's value, a dash where it has none."""
    return "–" if figure["value"] is None else form.format(figure["value"])


def called(source: str) -> str:
    """Return a file's name without what tells its kind."""
    return Path(source).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".zip")


if __name__ == "__main__":
    main()
