"""What a blend of finished bots is made of: its parents, as run.json and its folder have them.

    bots/anna-bela/parents/anna/adapter/    each parent's adapter as it was, to tell voices apart by

A blend's posts.jsonl, cleaned.jsonl and dropped.jsonl are its parents', one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mynah.errors import BotError
from mynah.run_folder import RunFolder

STAGE = "blend"
PLACE = "parents"


@dataclass(frozen=True, kw_only=True)
class Parent:
    """One bot that a blend was made of, as it was then."""

    name: str
    weight: float  # share of the blend, all of them add up to 1
    adapter: str  # SHA-256
    posts: int  # rows of cleaned.jsonl that are its own
    dataset: dict[str, Any]  # how it split them

    @property
    def row(self) -> dict[str, Any]:
        """Return what run.json holds of it."""
        return dict(vars(self))


def parents_of(folder: RunFolder) -> tuple[Parent, ...]:
    """Return the bots that a blend was made of, in the order of its posts; none for other bots.

    Raises:
        BotError: run.json does not hold what `mynah blend` writes.
    """
    record = folder.read_run()["stages"].get(STAGE)
    try:
        return tuple(Parent(**row) for row in record["result"]["parents"]) if record else ()
    except (KeyError, TypeError) as error:
        raise BotError(
            f"{folder.run} does not say which bots '{folder.name}' was made of.",
            hint="Write it anew: mynah blend <bot> <bot> --replace",
        ) from error


def kept_parent(folder: RunFolder, parent: Parent) -> RunFolder:
    """Return the folder inside a blend that holds the adapter of a parent."""
    return RunFolder(folder.root / PLACE / parent.name)


def told(weights: Mapping[str, float]) -> str:
    """Return parents in words, each with its share, by name."""
    *others, last = (f"{100 * weight:.3g} % {name}" for name, weight in weights.items())
    return f"{', '.join(others)} and {last}"


def command(folder: RunFolder) -> str:
    """Return what to type to blend the same bots anew."""
    parents = parents_of(folder)
    names = " ".join(parent.name for parent in parents)
    weights = ",".join(f"{parent.weight:.4g}" for parent in parents)
    return f"mynah blend {names} --weights {weights} --name {folder.name} --replace"


def refuse_blend(folder: RunFolder, verb: str) -> None:
    """Leave a blend of finished bots alone where its parents have to change instead.

    Raises:
        BotError: it is one.
    """
    if parents := parents_of(folder):
        names = " and ".join(f"'{parent.name}'" for parent in parents)
        raise BotError(
            f"'{folder.name}' is a blend of {names}, made without training, so there is nothing "
            f"to {verb} in it.",
            hint=f"Run mynah {verb} {parents[0].name}, then: {command(folder)}",
        )
