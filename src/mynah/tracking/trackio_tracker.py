"""Runs kept by trackio: a database in a folder of this machine, and a dashboard for it."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import trackio  # whoever imports this module has set TRACKIO_DIR
from trackio.run import Run as TrackioRun
from trackio.utils import TRACKIO_DIR

from mynah.errors import StorageError
from mynah.tracking.tracker import PROJECT, Cell, Run, Thing

# By these trackio would keep, send or fetch runs elsewhere, whatever it is told here.
_ELSEWHERE = (
    "TRACKIO_SPACE_ID",
    "TRACKIO_SERVER_URL",
    "TRACKIO_BUCKET_ID",
    "TRACKIO_DATASET_ID",
    "TRACKIO_WEBHOOK_URL",
)


class _LocalRun(TrackioRun):
    """A run that asks no server anything and is written in the thread that tells it.

    trackio looks up at the Hub whose token lies on the machine, and writes from a thread that turns
    its failures into warnings.
    """

    def _get_username(self) -> None:
        return None

    def _start_background_thread(self, *words: Any, **more: Any) -> bool:
        return False

    @property
    def next_step(self) -> int:
        """Return the step after the last that was kept, in an earlier process too."""
        return int(self._next_step)

    def register(self, artifact: Any, aliases: list[str]) -> None:
        """Keep what no run has made."""
        mine = self.name, self.id
        self.__dict__ |= {"name": None, "id": None}
        try:
            self.log_artifact(artifact, aliases=aliases)
        finally:
            self.name, self.id = mine


class TrackioTracker:
    """Keep runs in one folder.

    Raises:
        StorageError: this process keeps them in another folder already.
    """

    def __init__(self, folder: Path) -> None:
        if TRACKIO_DIR.absolute() != folder:
            raise StorageError(
                f"trackio keeps all runs of a process in one folder, here {TRACKIO_DIR}.",
                hint="Set TRACKIO_DIR before the start, or start another process.",
            )
        self._run: _LocalRun | None = None

    def has(self, run: str) -> bool:
        """Tell whether a run of this id was begun before."""
        with _on_this_machine():
            try:
                return any(each.id == run for each in trackio.Api().runs(PROJECT))
            except ValueError:  # there is no run at all yet
                return False

    def begin(self, run: Run) -> None:
        """Open a run, or go on with it."""
        if self._run and self._run.id == run.id:
            return
        self.end(True)
        with _on_this_machine():
            self._run = _LocalRun(
                url=None,
                project=PROJECT,
                client=None,
                name=run.name,
                run_id=run.id,
                group=run.bot,
                config=dict(run.config),
                existing_runs=[],
            )

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Keep figures."""
        if step is None or step >= self._open.next_step:
            self._log(dict(figures), step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep a table; the dashboard shows its cells as text."""
        self._log({name: trackio.Table(columns=list(columns), data=[list(row) for row in rows])})

    def note(self, name: str, text: str) -> None:
        """Keep a text; the dashboard shows it among the reports."""
        self._log({name: trackio.Markdown(text)})

    def used(self, thing: Thing) -> None:
        """Keep that the run is made of something, which may have come from elsewhere."""
        with _on_this_machine():
            version = f"{thing.title}:{thing.version}"
            try:
                self._open.use_artifact(version)
            except ValueError:
                self._open.register(_artifact(thing), aliases=[thing.version])
                self._open.use_artifact(version)

    def made(self, thing: Thing) -> None:
        """Keep that the run has made something."""
        with _on_this_machine():
            self._open.log_artifact(_artifact(thing), aliases=[thing.version])

    def end(self, finished: bool) -> None:
        """Close the run."""
        run, self._run = self._run, None
        if run:
            with _on_this_machine():
                run.finish()  # type: ignore[no-untyped-call]

    @property
    def _open(self) -> _LocalRun:
        if self._run is None:
            raise RuntimeError("No run was begun.")
        return self._run

    def _log(self, what: dict[str, Any], step: int | None = None) -> None:
        with _on_this_machine():
            self._open.log(what, step=step)


def _artifact(thing: Thing) -> trackio.Artifact:
    """Return an artifact of references: paths and hashes, no bytes."""
    notes = {"sha256": thing.sha256, **thing.notes}
    artifact = trackio.Artifact(thing.title, thing.kind, metadata=notes)
    files = sorted(thing.path.rglob("*")) if thing.path.is_dir() else [thing.path]
    for file in (each for each in files if each.is_file()):
        inside = file.relative_to(thing.path).as_posix() if thing.path.is_dir() else file.name
        artifact.add_reference(file.resolve().as_uri(), name=inside)
    return artifact


@contextmanager
def _on_this_machine() -> Iterator[None]:
    """Keep trackio from printing and from other machines; raise what it would only warn of."""
    away = {name: os.environ.pop(name) for name in _ELSEWHERE if name in os.environ}
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            yield
    finally:
        os.environ |= away
    for warning in seen:
        if Path(warning.filename).parent.name == trackio.__name__:
            raise RuntimeError(str(warning.message))
