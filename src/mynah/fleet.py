"""Many bots at once: every order of a flock file as a task on Ray.

The driver holds no more than what is being made: orders are hashed as their turn comes, notes go
into the table as they arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mynah.bases import find_base
from mynah.config import STARTER, FleetConfig
from mynah.errors import MynahError, SourceNotFound
from mynah.fleet_table import FleetTable, failures_in, writing_table
from mynah.fleet_worker import failed, make_one
from mynah.flock_file import Order
from mynah.lending import PackedBase, memory_for, pack_base
from mynah.ray_tasks import Outcome, cluster, resources, run_tasks
from mynah.run_folder import RunFolder, hash_tree
from mynah.shelf import Note, Shelf, open_shelf
from mynah.stages import training_key
from mynah.watch import Nobody, Watch, bar

TABLE = "fleet.parquet"


@dataclass(kw_only=True)
class Tally:
    """What became of the bots of a flock file."""

    table: Path
    counts: Counter[str] = field(default_factory=Counter)  # made, skipped, failed, waiting
    failures: list[Note] = field(default_factory=list)

    def count(self, note: Note) -> None:
        """Count one bot."""
        self.counts[note["status"]] += 1
        if note["status"] == "failed":
            self.failures.append(note)

    @property
    def done(self) -> int:
        """Return how many bots have been seen to."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class _Job:
    """An order whose turn has come."""

    order: Order
    key: str
    sources: tuple[str, ...]  # where a worker finds them
    digests: tuple[str, ...]


def make_fleet(
    bots: Path, orders: Sequence[Order], config: FleetConfig, *, watch: Watch | None = None
) -> Tally:
    """Make every bot that is not there as ordered; one that fails does not stop the rest.

    Raises:
        ExtraMissing: Ray is not installed.
        FleetError: no machine can be had, or none is large enough.
        BaseNotInstalled: a base is not on this machine.
        StorageError: the storage cannot be used.
    """
    watch, shelf = watch or Nobody(), open_shelf(bots, config.storage)
    tally = Tally(table=bots / TABLE)
    busy = f"Another fleet is being made in {bots}."
    with (
        RunFolder(bots).lock(busy=busy),
        writing_table(tally.table) as table,
        cluster(config) as ray,
    ):
        shelf.clear()
        lender = _Lender(ray, config)
        record = _Record(tally, table, watch)
        with bar(watch, "Making bots", len(orders)):
            due = _due(bots, orders, shelf, record)
            for outcome in run_tasks(ray, due, lambda job: lender.begin(job, shelf)):
                record.keep(_note(outcome))
        shelf.clear()
    return tally


class _Record:
    """Whoever hears of a bot that has been seen to."""

    def __init__(self, tally: Tally, table: FleetTable, watch: Watch) -> None:
        self.tally, self.table, self.watch = tally, table, watch

    def keep(self, note: Note) -> None:
        """Count a bot, write its row, move the bar."""
        self.tally.count(note)
        self.table.add(note)
        words = ", ".join(f"{count} {status}" for status, count in self.tally.counts.items())
        self.watch.advance(self.tally.done, f"{words} · {note['bot']}")


class _Lender:
    """Begins tasks; each base is put into Ray's store once, when the first bot needs it."""

    def __init__(self, ray: Any, config: FleetConfig) -> None:
        self._ray, self._config = ray, config
        self._stored: dict[str, tuple[PackedBase, Any]] = {}
        # A process a bot: one that makes several keeps some 400 MB more after each.
        self._task = ray.remote(max_calls=1)(make_one)

    def begin(self, job: _Job, shelf: Shelf) -> Any:
        """Begin to make a bot; return the reference to its note."""
        recipe = job.order.recipe
        if recipe.train.base not in self._stored:
            packed = pack_base(recipe.train.base)
            self._stored[recipe.train.base] = packed, self._ray.put(packed)
        packed, stored = self._stored[recipe.train.base]
        needed = memory_for(packed, recipe.train, recipe.dataset)
        asked = resources(self._ray, self._config, needed)
        task = self._task.options(name=job.order.name, **asked)
        return task.remote(job.order, job.key, job.sources, stored, shelf)


def _due(bots: Path, orders: Sequence[Order], shelf: Shelf, record: _Record) -> Iterator[_Job]:
    """Yield the orders that are not carried out yet; keep a record of the others."""
    for ordered in orders:
        try:
            job = _job(bots, ordered)
            note = shelf.note(ordered.name)
            if not (note and note["key"] == job.key):
                job = replace(job, sources=tuple(map(shelf.bring, job.sources, job.digests)))
        except MynahError as error:
            record.keep(failed(ordered.name, "", error.sentence, error.hint))
            continue
        if note and note["key"] == job.key:
            record.keep({**note, "status": "skipped"})
        else:
            yield job


def _job(bots: Path, ordered: Order) -> _Job:
    """Return an order with the key of all that its bot is made of.

    Raises:
        SourceNotFound: a source is not there.
        BaseError: the base cannot be had.
    """
    order = _with_flock(bots, ordered)
    digests = tuple(map(_hash, order.sources))
    settings = asdict(order.recipe)
    settings["train"]["base"] = find_base(order.recipe.train.base).info.sha256
    if (flock := order.recipe.train.named_flock) and flock != STARTER:
        settings["train"]["flock"] = _hash(str(RunFolder(Path(flock)).adapter))
    key = training_key(digests, settings)
    return _Job(order=order, key=key, sources=order.sources, digests=digests)


def _with_flock(bots: Path, order: Order) -> Order:
    """Return an order whose flock is named by its place, as it is not beside the new bot."""
    name = order.recipe.train.flock
    if not name or not (bots / name / "run.json").exists():
        return order
    train = replace(order.recipe.train, flock=str((bots / name).resolve()))
    return replace(order, recipe=replace(order.recipe, train=train))


def _hash(path: str) -> str:
    if not Path(path).exists():
        raise SourceNotFound(f"Nothing is at {path}.", hint="Was it moved?")
    try:
        return hash_tree(Path(path))
    except OSError as error:
        raise SourceNotFound(
            f"{path} cannot be read ({error.strerror}).", hint="Look at who may read it."
        ) from error


def _note(outcome: Outcome) -> Note:
    if outcome.error is None:
        note: Note = outcome.value
        return note
    job: _Job = outcome.item
    return failed(job.order.name, job.key, outcome.error, "Run the same command again.")


def fleet_status(bots: Path, orders: Sequence[Order], config: FleetConfig) -> Tally:
    """Return what has become of the bots of a flock file so far; nothing is begun.

    Raises:
        StorageError: the storage cannot be used.
    """
    tally, shelf = Tally(table=bots / TABLE), open_shelf(bots, config.storage)
    broken = failures_in(tally.table)
    for ordered in orders:
        tally.count(_status(bots, ordered, shelf, broken))
    return tally


def _status(bots: Path, order: Order, shelf: Shelf, broken: dict[str, Note]) -> Note:
    try:
        key, there = _job(bots, order).key, shelf.note(order.name)
    except MynahError as error:
        return failed(order.name, "", error.sentence, error.hint)
    if there and there["key"] == key:
        return there
    before = broken.get(order.name)
    return before if before and before["key"] == key else {"bot": order.name, "status": "waiting"}
