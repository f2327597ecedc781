"""Many bots at once: how many an hour, how large each is, and what planning ten thousand takes.

    python bench/fleet.py                                  # all, on the sample accounts
    python bench/fleet.py --only loss --bots 30 --samples 20 accounts/*.jsonl.gz
    python bench/fleet.py --only planning

`throughput` makes the same bots with one worker and with two. Wall time is what a person waits for;
efficiency is by processor time (bots a processor-second with two workers over that with one), so
that other work on the machine does not count. `planning` lets the driver of a fleet begin and note
tasks that only wait, from 10 to 10,000 of them, and reads the most memory it held. `loss` makes
the bots on a cluster of three machines that are processes here, and takes one away.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLANNED = (10, 100, 1_000, 10_000)
ORIGINAL_BYTES = 510e6


def main() -> None:
    """Print one table a part."""
    options = arguments()
    if options.child:
        print(json.dumps(plan_only(options.child)))
        return
    if options.only in (None, "planning"):
        show_planning()
    for part, show in (("throughput", show_throughput), ("loss", show_loss)):
        if options.only in (None, part):
            with tempfile.TemporaryDirectory() as folder:
                show(options, Path(folder))


def arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", nargs="*", help="JSON lines of posts (default: the samples)")
    parser.add_argument("--bots", type=int, default=4, help="how many")
    parser.add_argument("--posts", type=int, default=300, help="posts of each")
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--workers", default="1,2", help="numbers of workers to compare")
    parser.add_argument("--samples", type=int, default=200, help="posts that a report draws")
    parser.add_argument("--only", choices=("planning", "throughput", "loss"))
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def show_planning() -> None:
    """Show what the driver holds as the plan grows; a process each, for memory never shrinks."""
    print("\nThe driver of a fleet, tasks that do nothing\n")
    print("| bots planned | most MB | seconds | ms a bot |")
    print("|---:|---:|---:|---:|")
    for count in PLANNED:
        command = [sys.executable, __file__, "--child", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        each = 1e3 * row["seconds"] / count
        print(f"| {count:,} | {row['mb']:.0f} | {row['seconds']:.1f} | {each:.1f} |", flush=True)


def plan_only(count: int) -> dict[str, float]:
    """Begin `count` tasks as a fleet does and note what comes back; return what it took."""
    from mynah.config import FleetConfig
    from mynah.fleet_table import writing_table
    from mynah.ray_tasks import cluster, run_tasks

    with (
        tempfile.TemporaryDirectory() as folder,
        writing_table(Path(folder) / "fleet.parquet") as table,
        cluster(FleetConfig(workers=2)) as ray,
    ):
        task = ray.remote(pretend)
        orders = (f"account-{number}" for number in range(count))
        start = time.monotonic()
        for outcome in run_tasks(ray, orders, task.remote):
            table.add(outcome.value)
        seconds = time.monotonic() - start
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"mb": most, "seconds": seconds}


def pretend(name: str) -> dict[str, Any]:
    """Return a note as long as a real one."""
    return {"bot": name, "status": "made", "key": "0" * 64, "verdict": "It was not made. " * 12}


def show_throughput(options: argparse.Namespace, folder: Path) -> None:
    """Make the same bots with so many workers, and show what it took."""
    archives = write_archives(options, folder / "archives")
    print(f"\n{archives} bots of {options.posts} posts, effort {options.effort}\n")
    print("| workers | made | failed | wall s | bots an hour | processor s a bot | efficiency |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    first = None
    for workers in map(int, options.workers.split(",")):
        rows, seconds = make(options, folder, f"with-{workers}", workers=workers)
        made = [row for row in rows if row["status"] == "made"]
        each = sum(row["processor_seconds"] for row in made) / max(len(made), 1)
        first = first or each
        print(
            f"| {workers} | {len(made)} | {len(rows) - len(made)} | {seconds:.0f} "
            f"| {3600 * len(made) / seconds:.1f} | {each:.1f} | {first / each:.2f} |",
            flush=True,
        )
    show_size(made)


def write_archives(options: argparse.Namespace, target: Path) -> int:
    """Cut the sources into accounts of so many posts, as many as there are to be bots."""
    sources = options.sources or sorted(map(str, (ROOT / "examples" / "accounts").glob("*.jsonl")))
    target.mkdir()
    pieces = zip(range(options.bots), dealt(sources, options.posts), strict=False)
    for number, (name, lines) in pieces:
        (target / f"{number:03}-{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(list(target.iterdir()))


def dealt(sources: list[str], posts: int) -> Iterator[tuple[str, list[str]]]:
    """Yield subsets: the first of every account, then the second of every account, and so on."""
    opened = {Path(each).name.partition(".")[0]: read_lines(each) for each in sources}
    start = 0
    while any(len(lines) > start for lines in opened.values()):
        for name, lines in opened.items():
            if len(piece := lines[start : start + posts]) == posts:
                yield name, piece
        start += posts


def read_lines(path: str) -> list[str]:
    """Return the lines of a file, packed or not."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return list(file)


def make(
    options: argparse.Namespace, folder: Path, name: str, **config: Any
) -> tuple[list[dict[str, Any]], float]:
    """Make the bots; return the rows of the table, and the seconds."""
    from pyarrow.parquet import read_table

    from mynah.config import FleetConfig
    from mynah.fleet import make_fleet
    from mynah.flock_file import read_flock

    file = folder / "flock.toml"
    file.write_text(
        f'accounts = ["archives/*"]\n[train]\neffort = "{options.effort}"\n'
        f"[report]\nsamples = {options.samples}\n",
        encoding="utf-8",
    )
    start = time.monotonic()
    tally = make_fleet(folder / name, read_flock(file), FleetConfig(**config))
    return read_table(tally.table).to_pylist(), time.monotonic() - start


def show_size(made: list[dict[str, Any]]) -> None:
    """Show how large what was learned is, and how much memory a bot took."""
    sizes = [row["adapter_bytes"] for row in made]
    if sizes:
        times = ORIGINAL_BYTES / max(sizes)
        print(f"\nBytes a bot: {max(sizes):,}, {times:.0f} times less than the original's.")
        print(f"Most memory of a worker: {max(row['peak_mb'] for row in made):.0f} MB.")


def show_loss(options: argparse.Namespace, folder: Path) -> None:
    """Make the bots on three machines, one of which goes away, and count what is there."""
    from mynah.ray_tasks import load_ray

    load_ray()
    from ray.cluster_utils import Cluster

    archives = write_archives(options, folder / "archives")
    share = (os.cpu_count() or 1) / 3
    size = {"num_cpus": 1, "memory": 4e9, "object_store_memory": 500e6}
    machines = Cluster(initialize_head=True, head_node_args=size | {"include_dashboard": False})
    lost = machines.add_node(**size)
    machines.add_node(**size)
    killer = threading.Thread(target=lose, args=(machines, lost, folder / "lost"), daemon=True)
    killer.start()
    rows, seconds = make(options, folder, "lost", address=machines.address, cpus=1.0)
    notes = list((folder / "lost").glob("*/fleet.json"))
    made = [row["bot"] for row in rows if row["status"] == "made"]
    print(
        f"\nThree machines of {share:.2f} processors each, one lost: {archives} bots ordered, "
        f"{len(made)} made, {len(set(made))} different, {len(rows) - len(made)} failed, "
        f"{len(notes)} on the shelf, {seconds:.0f} s."
    )
    machines.shutdown()


def lose(machines: Any, node: Any, bots: Path) -> None:
    """Take a machine away while all three are making a bot."""
    while len(list(bots.glob(".fleet-*/*/cleaned.jsonl"))) < 3:
        time.sleep(0.2)
    machines.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    main()
