"""Who keeps a record of the runs: trackio on this machine, W&B, or nobody.

    tracker = open_tracker(TrackingConfig(), Path("bots"), watch)
    train_bot(folder, config, dataset, tracker=tracker)

Stages take a `Tracker` as a parameter; the one that they get without asking does nothing.
"""

from __future__ import annotations

from mynah.tracking.careful import Careful
from mynah.tracking.opening import open_tracker, trackio_folder
from mynah.tracking.tracker import (
    PROJECT,
    Kind,
    NullTracker,
    Run,
    Thing,
    Tracker,
    safe_name,
)

__all__ = [
    "PROJECT",
    "Careful",
    "Kind",
    "NullTracker",
    "Run",
    "Thing",
    "Tracker",
    "open_tracker",
    "safe_name",
    "trackio_folder",
]
