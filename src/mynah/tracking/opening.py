"""From the name in the settings to a tracker."""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from pathlib import Path

from mynah.config import TrackingConfig
from mynah.errors import ExtraMissing, SettingsError
from mynah.tracking.careful import Careful
from mynah.tracking.tracker import NullTracker, Tracker
from mynah.watch import Watch

_INSTALL_WANDB = "Run: pip install 'wandb>=0.31,<0.32', or use --tracker trackio"
_OFFLINE = ("offline", "dryrun", "disabled")
_QUIET_WANDB = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


def open_tracker(config: TrackingConfig, bots: Path, watch: Watch) -> Tracker:
    """Return the tracker that the settings name; it keeps its files in the folder of bots.

    Raises:
        ExtraMissing: W&B is wanted and not installed.
        SettingsError: W&B is wanted, and nobody is logged in.
    """
    if config.tracker == "none":
        return NullTracker()
    if config.tracker == "wandb":
        _check_wandb()
        return Careful("wandb", partial(_open_wandb, bots), watch)
    return Careful("trackio", partial(_open_trackio, bots), watch)


def trackio_folder(bots: Path) -> Path:
    """Return where trackio keeps its files: TRACKIO_DIR, or beside the bots."""
    return Path(os.environ.get("TRACKIO_DIR") or bots / ".trackio").absolute()


def _open_trackio(bots: Path) -> Tracker:
    folder = trackio_folder(bots)
    os.environ["TRACKIO_DIR"] = str(folder)  # read once, at the import that follows
    from mynah.tracking.trackio_tracker import TrackioTracker

    return TrackioTracker(folder)


def _open_wandb(bots: Path) -> Tracker:
    from mynah.tracking.wandb_tracker import WandbTracker

    return WandbTracker(Path(os.environ.get("WANDB_DIR") or bots / ".wandb").absolute())


def _check_wandb() -> None:
    """Find out what is amiss before hours of work, and without asking for a key."""
    if importlib.util.find_spec("wandb") is None:
        raise ExtraMissing("W&B is not installed.", hint=_INSTALL_WANDB)
    for name, value in _QUIET_WANDB.items():  # read when it is first imported
        os.environ.setdefault(name, value)
    if os.environ.get("WANDB_MODE", "").lower() in _OFFLINE:
        return
    from mynah.tracking.wandb_tracker import logged_in

    if not logged_in():
        raise SettingsError(
            "Nobody is logged in to W&B on this machine.",
            hint="Run: wandb login, or set WANDB_MODE=offline, or use --tracker trackio",
        )
