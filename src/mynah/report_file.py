"""The voice report as it lies in a bot's folder, with what people found in the quiz."""

from __future__ import annotations

from typing import Any

from mynah.errors import BotError
from mynah.evaluation.human import with_human
from mynah.run_folder import RunFolder, hash_tree, read_json


def read_report(folder: RunFolder) -> dict[str, Any] | None:
    """Return report.json, the quiz's figure in it as it stands now; None before the report.

    Raises:
        BotError: a file is damaged, or of another version.
    """
    if not folder.report.exists():
        return None
    report = read_json(folder.report)
    if "sections" not in report:
        raise BotError(
            f"{folder.report} is not of this version.",
            hint=f"Write it anew: mynah report {folder.name}",
        )
    return with_quiz(folder, report)


def with_quiz(folder: RunFolder, report: dict[str, Any]) -> dict[str, Any]:
    """Return a report with what people said in the quiz, if they did."""
    return report | {"sections": with_human(report["sections"], read_quiz(folder))}


def read_quiz(folder: RunFolder) -> dict[str, Any] | None:
    """Return quiz.json: the score of everybody who played; None where nobody has.

    Rounds that were played with other weights say nothing of the bot as it is.
    """
    if not folder.quiz.exists():
        return None
    quiz = read_json(folder.quiz)
    played = quiz.get("adapter")
    return quiz if played is None or played == hash_tree(folder.adapter) else None
