"""Many bots at once, on a Ray cluster of three machines that are processes here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import read_table

import tiny
from conftest import tiny_recipe
from mynah.config import FleetConfig
from mynah.fleet import Tally, _due, _Record, make_fleet
from mynah.fleet_table import writing_table
from mynah.flock_file import Order, read_flock
from mynah.lineage import check_lineage, first_broken
from mynah.ray_tasks import load_ray
from mynah.run_folder import RunFolder, hash_tree, read_json
from mynah.shelf import open_shelf
from mynah.watch import Nobody
from tiny import mynah

SETTINGS = """
[dataset]
max_post_tokens = 48
[train]
base = "{base}"
epochs = 1.0
learning_rate = 0.01
[report]
samples = 3
floor_samples = 2
other_posts = 4
extracted = 4
resamples = 20
[say]
n = 2
max_tokens = 16
max_draws = 2
"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """Return a cluster of three machines with a processor each; the driver is on the first."""
    ray = load_ray()
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "memory": 4e9}
    made = Cluster(initialize_head=True, head_node_args=size | {"include_dashboard": False})
    for _ in range(2):
        made.add_node(**size)
    yield made
    ray.shutdown()
    made.shutdown()


def accounts(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        rows = [
            {**row, "text": f"{row['text']} Day {number} of {at}."}
            for at, row in enumerate(tiny.account_rows(60))
        ]
        tiny.write_archive(folder / f"clerk{number}.zip", rows, f"clerk{number}")


def flock_file(base: Path, more: str = "") -> Path:
    file = Path("flock.toml")
    text = f'accounts = ["archives/*.zip"]\n{more}{SETTINGS.format(base=base)}'
    file.write_text(text, encoding="utf-8")
    return file


def test_this_machine_alone_makes_what_is_ordered(bots: Path, tiny_base: Path) -> None:
    accounts(Path("archives"), 1)
    flock_file(
        tiny_base,
        '[[bot]]\nname = "huge"\nsources = ["archives/clerk0.zip"]\n'
        "train = {batch_tokens = 900000000}\n",
    )
    answer = mynah("fleet", "flock.toml", "--workers", 1, "--json")
    assert (answer.code, answer.json["made"], answer.json["failed"]) == (1, 1, 1), answer.err
    [row] = answer.json["failures"]
    assert row["bot"] == "huge" and "no machine has all of it" in row["error"]
    rows = {row["bot"]: row for row in read_table(answer.json["table"]).to_pylist()}
    report = read_json(bots / "clerk0" / "run.json")["stages"]["report"]["result"]
    assert rows["clerk0"]["bits_per_byte"] == report["bits_per_byte"]["bot"]
    assert rows["clerk0"]["accounts"] == ["clerk0"] and rows["huge"]["status"] == "failed"


def test_a_source_that_cannot_be_had_does_not_stop_the_rest(
    bots: Path, tiny_base: Path, small_archive: Path
) -> None:
    """A folder cannot be sent to a storage, and that once ended the whole fleet."""
    Path("folder").mkdir()
    sources = {"cut": "folder", "closed": "/proc/self/mem", "whole": str(small_archive)}
    recipe = tiny_recipe(tiny_base)
    orders = [Order(name=key, sources=(at,), recipe=recipe) for key, at in sources.items()]
    tally = Tally(table=bots / "fleet.parquet")
    shelf = open_shelf(bots, f"file://{Path('store').absolute()}")
    with writing_table(tally.table) as table:
        due = _due(bots, orders, shelf, _Record(tally, table, Nobody()))
        assert [job.order.name for job in due] == ["whole"]
    whys = {note["bot"]: note["error"] for note in tally.failures}
    assert "only files are sent" in whys["cut"] and "cannot be read" in whys["closed"]


def test_a_bot_that_no_machine_has_the_memory_for_ends_some_time() -> None:
    """Ray ends a worker when memory is short, and of itself begins its task again, for ever."""
    short = {
        "RAY_memory_usage_threshold": "0.0001",
        "RAY_memory_monitor_refresh_ms": "50",
        "RAY_task_oom_retry_delay_base_ms": "1",
    }
    script = (
        "import time\n"
        "from mynah.config import FleetConfig\n"
        "from mynah.ray_tasks import cluster, run_tasks\n"
        "with cluster(FleetConfig(workers=1)) as ray:\n"
        "    sleep = lambda: time.sleep(600)\n"
        "    task = ray.remote(max_retries=1, retry_exceptions=True)(sleep)\n"
        "    print([each.error for each in run_tasks(ray, [1], lambda each: task.remote())])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300,
        env=os.environ | short,
    )  # fmt: skip
    assert "ran short of memory each time" in done.stdout, done.stderr[-3000:]


class Witness(threading.Thread):
    """Looks into the folder of bots all the time, and takes one machine away when all work."""

    def __init__(self, bots: Path, cluster: Any) -> None:
        super().__init__(daemon=True)
        self.bots, self.cluster = bots, cluster
        self.seen: dict[str, set[int]] = {}
        self.halves: list[str] = []
        self.killed: str | None = None
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            self.look()
            if not self.killed and len(list(self.bots.glob(".fleet-*/*/posts.jsonl"))) >= 3:
                node = self.cluster.worker_nodes.pop()
                self.killed = node.node_id
                self.cluster.worker_nodes.add(node)
                self.cluster.remove_node(node, allow_graceful=False)
            time.sleep(0.01)

    def look(self) -> None:
        for place in self.bots.glob("[a-z]*/"):
            if not all((place / name).exists() for name in ("fleet.json", "README.md", "adapter")):
                self.halves.append(place.name)
            self.seen.setdefault(place.name, set()).add((place / "fleet.json").stat().st_ino)


def test_a_machine_is_lost_and_every_bot_is_made_once_and_whole(
    machines: Any, bots: Path, tiny_base: Path
) -> None:
    accounts(Path("archives"), 4)
    Path("archives/empty.zip").write_bytes(b"no zip at all")
    orders = read_flock(flock_file(tiny_base))
    witness = Witness(bots, machines)
    witness.start()
    tally = make_fleet(bots, orders, FleetConfig(address=machines.address))
    witness.over.set()
    witness.join()
    assert witness.killed
    assert (tally.counts["made"], tally.counts["failed"]) == (4, 1), tally.failures
    assert tally.failures[0]["bot"] == "empty"
    names = {f"clerk{number}" for number in range(4)}
    assert {path.name for path in bots.glob("[a-z]*/")} == names
    assert list(bots.glob(".fleet-*")) == []
    assert witness.halves == []
    assert {name: len(notes) for name, notes in witness.seen.items()} == dict.fromkeys(names, 1)
    for name in names:
        folder = RunFolder(bots / name)
        assert first_broken(check_lineage(folder)) is None
        assert read_json(folder.root / "fleet.json")["bot"] == name
    again(bots, tiny_base, machines, names)


def again(bots: Path, base: Path, machines: Any, names: set[str]) -> None:
    """The second time only what failed or has other settings is begun."""
    before = {name: hash_tree(bots / name) for name in names}
    more = '[[bot]]\nname = "clerk9"\nsources = ["archives/clerk1.zip"]\ntrain = {seed = 3}\n'
    tally = make_fleet(
        bots, read_flock(flock_file(base, more)), FleetConfig(address=machines.address)
    )
    assert dict(tally.counts) == {"skipped": 4, "failed": 1, "made": 1}
    assert {name: hash_tree(bots / name) for name in names} == before
    status = mynah("fleet", "status", "flock.toml", "--json")
    assert status.code == 1
    assert (status.json["made"], status.json["failed"], status.json["waiting"]) == (5, 1, 0)


def test_settings_are_tried_on_several_machines(
    machines: Any, bot: RunFolder, tiny_base: Path
) -> None:
    few = ["--samples", 2, "--judged", 4, "--max-post-tokens", 32]
    where = ["--fleet", "--address", machines.address]
    answer = mynah("sweep", bot.name, "--base", tiny_base, "--trials", 3, *few, *where, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert sorted(trial["number"] for trial in answer.json["trials"]) == [0, 1, 2]
    assert {trial["state"] for trial in answer.json["trials"]} <= {"complete", "pruned"}
