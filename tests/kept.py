"""What a tracker has kept, read back from its own files: the same shape for all of them."""

from __future__ import annotations

import json
import struct
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class KeptRun:
    """One run as a tracker has it."""

    config: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)  # title: metadata
    used: dict[str, str] = field(default_factory=dict)  # title: SHA-256

    def values(self, name: str) -> list[float]:
        return [value for _, value in self.figures[name]]

    def steps(self, name: str) -> list[int]:
        return [step for step, _ in self.figures[name]]


def kept(name: str, bots: Path, bot: str) -> dict[str, KeptRun]:
    """Return the runs of a bot by their ids."""
    return {"none": lambda *_: {}, "trackio": _by_trackio, "wandb": _by_wandb}[name](bots, bot)


def _by_trackio(bots: Path, bot: str) -> dict[str, KeptRun]:
    from trackio.sqlite_storage import SQLiteStorage

    runs = {}
    for record in SQLiteStorage.get_run_records("mynah"):
        if record["id"] is None or not str(record["name"]).startswith(f"{bot} "):
            continue
        run = runs[str(record["id"])] = KeptRun()
        who = {"run": record["name"], "run_id": record["id"]}
        run.config = SQLiteStorage.get_run_config("mynah", **who) or {}
        for row in SQLiteStorage.get_logs("mynah", **who):
            _sort_in(run, row)
        for direction, row in _links(record["id"]):
            notes = json.loads(row["metadata"])
            if direction == "output":
                run.made[row["name"]] = notes
            else:
                run.used[row["name"]] = notes["sha256"]
    return runs


def _sort_in(run: KeptRun, row: dict[str, Any]) -> None:
    step = row.pop("step")
    for key, value in row.items():
        if isinstance(value, dict) and value.get("_type") == "trackio.table":
            run.tables[key] = [list(cells.values()) for cells in value["_value"]]
        elif isinstance(value, dict):
            run.notes[key] = value["_value"]
        elif key != "timestamp":
            run.figures[key].append((step, value))


def _links(run: str) -> Iterator[tuple[str, Any]]:
    from trackio.sqlite_storage import SQLiteStorage

    path = SQLiteStorage.get_project_db_path("mynah")
    with SQLiteStorage._get_connection(path) as connection:
        rows = connection.execute(
            "SELECT l.direction, a.name, v.metadata FROM run_artifact_links l "
            "JOIN artifact_versions v ON v.id = l.artifact_version_id "
            "JOIN artifacts a ON a.id = v.artifact_id WHERE l.run_id = ?",
            (run,),
        ).fetchall()
    return ((row["direction"], row) for row in rows)


def _by_wandb(bots: Path, bot: str) -> dict[str, KeptRun]:
    runs: dict[str, KeptRun] = defaultdict(KeptRun)
    for file in sorted(bots.glob(".wandb/wandb/*run-*/*.wandb")):
        name = file.stem.removeprefix("run-")
        for record in _all_records(file):
            _note(runs[name], record, file.parent)
    return {name: run for name, run in runs.items() if run.config and name.startswith(f"{bot}-")}


def _all_records(file: Path) -> list[Any]:
    """Return a run's records once its end is among them: W&B's process writes on for a moment."""
    ends = time.monotonic() + 10.0
    while True:
        records = list(_records(file.read_bytes()))
        over = any(each.WhichOneof("record_type") == "exit" for each in records)
        if over or time.monotonic() > ends:
            return records
        time.sleep(0.05)


def _records(data: bytes) -> Iterator[Any]:
    """Yield what a .wandb file holds: a log of LevelDB's kind, 32 KiB a block."""
    from wandb.proto import wandb_internal_pb2

    at, piece = 7, b""
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        if at + 7 + size > len(data):
            return  # still being written
        piece += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield wandb_internal_pb2.Record.FromString(piece)
            piece = b""


def _note(run: KeptRun, record: Any, folder: Path) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run.config |= {each.key: json.loads(each.value_json) for each in record.run.config.update}
    elif kind == "history":
        _history(run, record.history, folder)
    elif kind == "summary":
        for each in record.summary.update:
            key = each.key or "/".join(each.nested_key)
            value = json.loads(each.value_json)
            if key.startswith("used "):
                run.used[key.removeprefix("used ")] = value
            elif isinstance(value, str):
                run.notes[key] = value
    elif kind == "artifact" and record.artifact.type != "run_table":
        run.made[record.artifact.name] = json.loads(record.artifact.metadata)


def _history(run: KeptRun, history: Any, folder: Path) -> None:
    row: dict[str, Any] = {}
    for each in history.item:
        *outer, last = each.nested_key or [each.key]
        place = row
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(each.value_json)
    for key, value in row.items():
        if isinstance(value, dict):
            table = json.loads((folder / "files" / value["path"]).read_text(encoding="utf-8"))
            run.tables[key] = table["data"]
        elif not key.startswith("_"):
            run.figures[key].append((row["_step"], value))
