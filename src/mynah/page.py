"""The voice report as a page: one file, no script, nothing to load, in light and in dark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mynah.plots import plots
from mynah.report_file import read_report, with_quiz
from mynah.run_folder import RunFolder, now, replacing, write_json
from mynah.wording import COLUMNS, NOTHING, best, main_figures, table_of

Json = dict[str, Any]


def write_page(folder: RunFolder) -> Path:
    """Write report.html of a bot that has a report, the quiz's score in it."""
    folder.require(folder.report)
    report = read_report(folder)
    assert report is not None, "it was required"
    with replacing(folder.page) as text:
        text.write(page_text(folder.read_run(), report))
    return folder.page


def write_report(folder: RunFolder, report: Json) -> None:
    """Write report.json and its page: both, or neither where the disk is full."""
    run = folder.read_run()
    run["stages"]["report"] = {"at": now()}  # not yet on record
    text = page_text(run, with_quiz(folder, report))
    with replacing(folder.page) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        write_json(folder.report, report)


def page_text(run: Json, report: Json) -> str:
    """Return the page of a report.

    Args:
        run: run.json, for names and dates.
        report: report.json.
    """
    import jinja2

    loader = jinja2.PackageLoader("mynah", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        name=run["name"],
        handles=[f"@{account['handle']}" for account in run["accounts"]],
        at=(run["stages"].get("report") or {}).get("at", ""),
        verdict=report["verdict"],
        texts=report["texts"],
        main=_table(main_figures(report), without=("excess",)),
        plots=plots(report),
        sections=[
            {**section, "table": _table(section["figures"])} for section in report["sections"]
        ],
        seconds=report["seconds"],
        processor_seconds=report["processor_seconds"],
    )


def _table(figures: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> Json:
    """Return header, rows and notes of a table; a note says what a dash in its row means."""
    rows = table_of(figures, without=without)
    notes: dict[str, list[str]] = {}
    for figure in figures:
        if figure["why"]:
            notes.setdefault(figure["why"], []).append(figure["label"])
    names = list(rows[0]) if rows else []
    return {
        "header": [COLUMNS[name] for name in names],
        "rows": [
            {"cells": list(row.values()), "best": best(figure)}
            for row, figure in zip(rows, figures, strict=True)
        ],
        "notes": [(", ".join(labels), why) for why, labels in notes.items()],
        "nothing": NOTHING,
    }
