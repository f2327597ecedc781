"""What one machine of a fleet does: make one bot and put it on the shelf. Knows no Ray."""

from __future__ import annotations

import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mynah.engines import forget_speech
from mynah.errors import MynahError, StorageError
from mynah.flock_file import Order
from mynah.lending import PackedBase, borrowing
from mynah.lora import WEIGHTS
from mynah.pipeline import Made, make_bot
from mynah.run_folder import now
from mynah.shelf import Note, Shelf


def make_one(
    order: Order, key: str, sources: Sequence[str], packed: PackedBase, shelf: Shelf
) -> Note:
    """Make a bot unless it is there; return what is noted of it.

    What cannot be done is noted as well. Only what may go well another time is raised.

    Raises:
        StorageError: the disk or the storage did not take it.
    """
    try:
        there = shelf.note(order.name)
        if there and there["key"] == key:  # an attempt before this one got as far as that
            return there
        return _make(order, key, sources, packed, shelf)
    except StorageError:
        raise
    except MynahError as error:
        return failed(order.name, key, error.sentence, error.hint)


def failed(name: str, key: str, why: str, hint: str = "") -> Note:
    """Return the note of a bot that could not be made."""
    return {"bot": name, "status": "failed", "key": key, "at": now(), "error": why, "hint": hint}


def _make(order: Order, key: str, sources: Sequence[str], packed: PackedBase, shelf: Shelf) -> Note:
    start, processor = time.monotonic(), time.process_time()
    whole = order.recipe.train.recipe == "huggingtweets"  # it trains the base's own weights
    with (
        shelf.workspace() as bots,
        tempfile.TemporaryDirectory(prefix="mynah-sources-") as folder,
        borrowing(packed, to_change=whole),
    ):
        here = [shelf.take(source, Path(folder)) for source in sources]
        made = make_bot(bots, here, order.recipe, name=order.name)
        forget_speech(made.folder)
        note = {
            **_note(made, key),
            "seconds": round(time.monotonic() - start, 2),
            "processor_seconds": round(time.process_time() - processor, 2),
        }
        shelf.put(made.folder, note)
    return note


def _note(made: Made, key: str) -> dict[str, Any]:
    run = made.folder.read_run()
    trained, report = run["stages"]["train"]["result"], run["stages"]["report"]["result"]
    bits = report["bits_per_byte"] or {}
    return {
        "bot": made.folder.name,
        "status": "made",
        "key": key,
        "at": now(),
        "accounts": [account["handle"] for account in run["accounts"]],
        "posts": trained["posts"],
        "held_out": trained["held_out"],
        "steps": trained["steps"],
        "base_bits_per_byte": bits.get("base"),
        "bits_per_byte": bits.get("bot"),
        "gain_percent": bits.get("gain_percent"),
        "copied": report["copied"]["bot"],
        "copied_unguarded": report["copied"]["unguarded"],
        "verdict": report["verdict"],
        "adapter_bytes": _adapter_bytes(made),
        "peak_mb": _peak_mb(),
        "machine": platform.node(),
    }


def _adapter_bytes(made: Made) -> int | None:
    file = made.folder.adapter / WEIGHTS
    return file.stat().st_size if file.exists() else None


def _peak_mb() -> float:
    """Return the most memory that this process has held; macOS counts bytes, Linux kilobytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1e6 if sys.platform == "darwin" else 1e3), 1)
