"""Runs kept by W&B: on its servers for who is logged in, in a folder with WANDB_MODE=offline."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from mynah.tracking.tracker import PROJECT, Cell, Run, Thing

# Of the machine and the person nothing is sent that nobody asked for. WANDB_CONSOLE and the like
# win over these.
_MODEST: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": PROJECT,  # instead of the machine's name
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "init_timeout": 90.0,
    "finish_timeout": 120.0,  # a server that is gone must not hold up the work for ever
    "finish_timeout_raises": True,
}


def _modest() -> dict[str, Any]:
    return {
        key: value for key, value in _MODEST.items() if f"WANDB_{key.upper()}" not in os.environ
    }


def logged_in() -> bool:
    """Tell whether there is a key, without asking for one."""
    return wandb.login(prompt=False, verify=False)


class WandbTracker:
    """Keep runs with W&B; its own files go into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run: Any = None

    def has(self, run: str) -> bool:
        """Tell whether a run of this id was begun before on this machine."""
        return any(self._folder.glob(f"wandb/*run-*-{run}"))

    def begin(self, run: Run) -> None:
        """Open a run, or go on with it."""
        if self._run and self._run.id == run.id:
            return
        self.end(True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=PROJECT,
            id=run.id,
            name=run.name,
            group=run.bot,
            job_type=run.stage,
            config=dict(run.config),
            dir=self._folder,
            resume="allow",
            settings=wandb.Settings(**_modest()),
        )

    def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
        """Keep figures; W&B itself leaves out a step that it has."""
        self._run.log(dict(figures), step=step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep a table."""
        table = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: table})

    def note(self, name: str, text: str) -> None:
        """Keep a text in the run's summary."""
        self._run.summary[name] = text

    def used(self, thing: Thing) -> None:
        """Keep that the run is made of something: a link, or words where there is no server."""
        if self._run.offline:
            self._run.summary[f"used {thing.title}"] = thing.sha256
        else:
            self._run.use_artifact(_artifact(thing))

    def made(self, thing: Thing) -> None:
        """Keep that the run has made something."""
        self._run.log_artifact(_artifact(thing), aliases=["latest", thing.version])

    def end(self, finished: bool) -> None:
        """Close the run."""
        run, self._run = self._run, None
        if run:
            run.finish(exit_code=0 if finished else 1)


def _artifact(thing: Thing) -> wandb.Artifact:
    """Return an artifact of one reference: a hash, no bytes and no path of this machine."""
    notes = {"sha256": thing.sha256, **thing.notes}
    artifact = wandb.Artifact(thing.title, type=thing.kind, metadata=notes)
    address = f"mynah:{thing.title}#sha256={thing.sha256}"
    artifact.add_reference(address, name=thing.path.name, checksum=False)
    return artifact
