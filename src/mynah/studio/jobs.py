"""A piece of work that takes minutes, as a folder: what is to be done, and how far it is.

.studio/jobs/<id>/job.json      what is wanted, by whom, with which settings
                  status.json   how far it is; written by the worker, read by the page
                  worker.log    what libraries print
                  .alive        locked for as long as the worker lives
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mynah.errors import MynahError
from mynah.run_folder import read_json, write_json

Kind = Literal["estimate", "train", "export", "check", "push"]
State = Literal["waiting", "running", "done", "stopped", "failed"]
ENDED: tuple[State, ...] = ("done", "stopped", "failed")


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a job is."""

    state: State = "waiting"
    step: str = ""  # what it is at, in words
    done: float = 0.0
    total: float | None = None  # None where nobody knows
    note: str = ""  # beside the bar
    sentences: tuple[str, ...] = ()
    losses: tuple[tuple[int, float], ...] = ()  # step, nats a token
    held_out: tuple[tuple[int, float], ...] = ()  # likewise, of posts that are not learned from
    finished: tuple[str, ...] = ()  # parts that need not be done again
    error: str = ""
    hint: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will happen by itself."""
        return self.state in ENDED

    def failed(self, error: MynahError, state: State = "failed") -> Status:
        """Return the status after an error."""
        return replace(self, state=state, error=error.sentence, hint=error.hint)


@dataclass(frozen=True)
class Job:
    """One job. Paths only: nothing is read until asked for."""

    root: Path

    @property
    def id(self) -> str:
        """Return its name; names sort by age."""
        return self.root.name

    @property
    def log(self) -> Path:
        """Return where the worker's libraries print to."""
        return self.root / "worker.log"

    def wanted(self) -> dict[str, Any]:
        """Return what is to be done: kind, bot, owner, settings by stage."""
        return read_json(self.root / "job.json")

    def concerns(self, kind: Kind, bot: str) -> bool:
        """Tell whether it is of this kind and for this bot."""
        wanted = self.wanted()
        return (wanted["kind"], wanted["bot"]) == (kind, bot)

    def status(self) -> Status:
        """Return how far it is."""
        row = read_json(self.root / "status.json")
        for name in ("losses", "held_out"):
            row[name] = tuple((int(step), float(loss)) for step, loss in row.get(name, ()))
        return Status(**row | {name: tuple(row[name]) for name in ("sentences", "finished")})

    def keep(self, status: Status) -> None:
        """Write how far it is."""
        write_json(self.root / "status.json", asdict(status))

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Show for as long as the block takes that somebody works on it."""
        from filelock import FileLock

        with FileLock(self.root / ".alive"):
            yield

    def is_alive(self) -> bool:
        """Tell whether a worker is at it."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.root / ".alive", timeout=0):
                return False
        except Timeout:
            return True


def new_job(home: Path, kind: Kind, bot: str, owner: str, settings: dict[str, Any]) -> Job:
    """Write down what is to be done; a foreman begins it when its turn comes.

    It takes the place of one of the same kind for the same bot that has ended.
    """
    for old in jobs_in(home):
        if old.concerns(kind, bot) and old.status().ended:
            shutil.rmtree(old.root, ignore_errors=True)
    job = Job(home / "jobs" / f"{time.time_ns():020}-{secrets.token_hex(3)}")
    job.root.mkdir(parents=True)
    job.keep(Status())
    write_json(
        job.root / "job.json", {"kind": kind, "bot": bot, "owner": owner, "settings": settings}
    )
    return job


def jobs_in(home: Path) -> list[Job]:
    """Return all jobs, the oldest first; one that is only half written down is not there yet."""
    folders = sorted((home / "jobs").glob("*/job.json"))
    return [Job(file.parent) for file in folders]


def last_job(home: Path, kind: Kind, bot: str) -> Job | None:
    """Return the newest job of a kind for a bot."""
    return next((job for job in reversed(jobs_in(home)) if job.concerns(kind, bot)), None)
