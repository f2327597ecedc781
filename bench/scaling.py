"""What a training costs as the archive grows, and whether the estimate before it was right.

Posts of all the given accounts, shuffled; for each size a bot is trained as `mynah train` does it,
in a process of its own. The last column is the price of a post against that of the row before:
above 1, the cost would grow faster than the archive.

    python bench/scaling.py accounts/*.jsonl.gz
    python bench/scaling.py --sizes 300,3000 --effort quick accounts/*.jsonl.gz
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prepared import prepared

from mynah.environment import settle_libraries


def main() -> None:
    """Train once a size; print one table."""
    options = arguments()
    if options.child:
        settle_libraries()
        print(json.dumps(train(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        posts = Path(folder) / "posts.json"
        posts.write_text(json.dumps(texts(options.sources)), encoding="utf-8")
        rows = [in_its_own_process(options, posts, size) for size in sizes(options)]
    print(f"\nEffort {options.effort}, seconds of training, first step to last\n")
    print("| posts | tokens read | estimate s | took s | off | MB | price of a post |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for at, row in enumerate(rows):
        price = row["took"] / row["posts"]
        before = rows[at - 1]["took"] / rows[at - 1]["posts"] if at else None
        growth = f"{price / before:.2f}" if before else ""
        off = 100 * (row["estimate"] / row["took"] - 1)
        print(
            f"| {row['posts']:,} | {row['tokens']:,} | {row['estimate']:.0f} | {row['took']:.0f} "
            f"| {off:+.0f} % | {row['peak_mb']:.0f} | {growth} |"
        )


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--sizes", default="300,1000,3000,10000,30000")
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def sizes(options: argparse.Namespace) -> list[int]:
    """Return the numbers of posts."""
    return [int(size) for size in options.sizes.split(",")]


def texts(sources: list[str]) -> list[str]:
    """Return the cleaned posts of all accounts, shuffled."""
    from mynah.cleaning import clean
    from mynah.config import CleaningConfig, FetchConfig
    from mynah.sources import read

    found = []
    for source in sources:
        fetched = read(source, FetchConfig())
        found += [post.text for post in clean(fetched.posts, CleaningConfig()).selected]
    random.Random(0).shuffle(found)
    return found


def in_its_own_process(options: argparse.Namespace, posts: Path, size: int) -> dict[str, Any]:
    """Train on `size` posts; return what was said and what it took."""
    command = [sys.executable, __file__, str(posts), "--effort", options.effort]
    done = subprocess.run(
        [*command, "--child", str(size)], check=True, stdout=subprocess.PIPE, text=True
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{row['posts']:,} posts: {row['took']:.0f} s", file=sys.stderr)
    return row


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, estimate and train as the stage does."""
    from mynah.calibration import estimate
    from mynah.config import TrainingConfig
    from mynah.learner import load_to_learn
    from mynah.training import train

    chosen = json.loads(Path(options.sources[0]).read_text(encoding="utf-8"))[: options.child]
    config = TrainingConfig(base="smollm2-135m", effort=options.effort)
    base = load_to_learn(config)
    ready = prepared(base, chosen, config)
    lessons = ready.lessons
    cost = estimate(base, lessons.rows, lessons.steps, ready.plan, ready.learner)
    start = time.perf_counter()
    course = train(
        base,
        lessons.rows,
        lessons.steps,
        ready.plan,
        learner=ready.learner,
        turns=lessons.turns,
        validation=lessons.validation,
    )
    return {
        "posts": len(chosen),
        "tokens": course.tokens,
        "estimate": cost.seconds,
        "took": time.perf_counter() - start,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
