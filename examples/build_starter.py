"""Make the flock that comes with Mynah, for bots to begin from: `make starter`.

It learns from `starter.txt`: posts of many kinds, a line each, that were written by hand for this
project. What is kept is the adapter and the record of how it came about.

    python examples/build_starter.py src/mynah/flocks/mynah-starter
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from mynah.config import BARE, STARTER, FetchConfig, TrainingConfig
from mynah.pipeline import Recipe, train_flock
from mynah.run_folder import RunFolder, write_json
from mynah.terminal import TerminalWatch

POSTS = Path(__file__).with_name("starter.txt")
LOOKS = 1.0
RECIPE = Recipe(fetch=FetchConfig(max_posts=10_000), train=TrainingConfig(epochs=LOOKS, flock=BARE))


def main() -> None:
    """Teach the base, and put what it learned where it is asked for."""
    target = RunFolder(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as bots:
        made = train_flock(Path(bots), [str(POSTS)], RECIPE, name=STARTER, watch=TerminalWatch())
        shutil.rmtree(target.root, ignore_errors=True)
        shutil.copytree(made.adapter, target.adapter)
        write_json(target.run, record(made))


def record(made: RunFolder) -> dict[str, Any]:
    """Return how it came about, without what is of this machine alone; nobody's posts are in it."""
    run = json.loads(made.run.read_text(encoding="utf-8"))
    train = run["stages"]["train"]
    return {
        "name": STARTER,
        "accounts": [],
        "posts": run["stages"]["fetch"]["inputs"],
        "stages": {
            "train": {key: train[key] for key in ("at", "versions", "config", "outputs", "result")}
        },
    }


if __name__ == "__main__":
    main()
