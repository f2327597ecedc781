"""Who begins the jobs: of each kind one at a time, in the order in which they came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mynah.errors import MynahError
from mynah.studio.jobs import Job, Kind, jobs_in, new_job

_PAUSE = 0.2  # seconds between two looks
_START = 60.0  # seconds that a worker of another studio may take to show that it lives
_BROKE_OFF = MynahError("It was interrupted; what was saved is there.", hint="Choose: Go on.")


class Foreman:
    """Lets waiting jobs run in processes of their own, which outlive the studio."""

    def __init__(self, home: Path) -> None:
        """Take the studio's folder; jobs that wait there from before are gone on with."""
        self.home = home
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: set[str] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="foreman", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more; what runs goes on."""
        self._closed.set()
        self._thread.join()

    def order(self, kind: Kind, bot: str, owner: str, settings: dict[str, Any]) -> Job:
        """Put a job at the end of its queue."""
        return new_job(self.home, kind, bot, owner, settings)

    def stop(self, job: Job) -> None:
        """Ask a worker to save and stop; a job that waits is taken out of the queue."""
        with self._lock:
            status = job.status()
            if status.state == "waiting":
                job.keep(replace(status, state="stopped"))
            elif status.state == "running" and (worker := self._pid(job)):
                os.kill(worker, signal.SIGTERM)

    def go_on(self, job: Job) -> None:
        """Put a job that has stopped back into the queue."""
        with self._lock:
            if job.status().ended:
                job.keep(replace(job.status(), state="waiting", error="", hint=""))

    def before(self, job: Job) -> int:
        """Return how many jobs of its kind are before it."""
        kind = job.wanted()["kind"]
        queue = [each for each in jobs_in(self.home) if each.wanted()["kind"] == kind]
        return sum(not each.status().ended for each in queue if each.id < job.id)

    def _tend(self) -> None:
        while not self._closed.wait(_PAUSE):
            with self._lock:
                self._look()

    def _look(self) -> None:
        """Note whose worker has gone, and let the first of each kind begin whose turn it is."""
        self._workers = {id_: each for id_, each in self._workers.items() if each.poll() is None}
        undone = [job for job in jobs_in(self.home) if not job.status().ended]
        busy = {job.wanted()["kind"] for job in undone if self._goes_on(job)}
        for job in undone:
            kind = job.wanted()["kind"]
            if kind not in busy and job.status().state == "waiting":
                busy.add(kind)
                self._begin(job)

    def _goes_on(self, job: Job) -> bool:
        """Tell whether a job that says it runs does run; if not, say so in its status."""
        status = job.status()
        if status.state != "running":
            return False
        if job.id in self._workers or self._elsewhere(job):
            return True
        if not (last := job.status()).ended:  # else it wrote its last words meanwhile
            job.keep(last.failed(_BROKE_OFF, "stopped"))
        return False

    def _elsewhere(self, job: Job) -> bool:
        """Tell whether the worker of another studio, or of one before this, is at a job."""
        if job.id in self._begun:
            return False
        age = time.time() - (job.root / "status.json").stat().st_mtime
        return job.is_alive() or age < _START

    def _begin(self, job: Job) -> None:
        fresh: dict[str, Any] = {"step": "Starting", "done": 0.0, "total": None, "note": ""}
        job.keep(replace(job.status(), state="running", **fresh))
        with job.log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "mynah.studio.worker", str(job.root.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the studio's terminal is not meant for it
            )
        self._workers[job.id] = worker
        self._begun.add(job.id)
        (job.root / "pid").write_text(str(worker.pid), encoding="ascii")

    def _pid(self, job: Job) -> int | None:
        """Return the number of a worker that is known to live."""
        if worker := self._workers.get(job.id):
            return worker.pid if worker.poll() is None else None
        file = job.root / "pid"
        return int(file.read_text(encoding="ascii")) if job.is_alive() and file.exists() else None
