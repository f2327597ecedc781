"""Terms of a service that go on to bind whoever has a bot of its posts: run.json keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mynah.errors import NoConsent
from mynah.run_folder import RunFolder
from mynah.sources.consent import RIGHT


def binding_terms(folder: RunFolder) -> tuple[str, ...]:
    """Return the sentences that bind whoever has this bot, each once."""
    return tuple(dict.fromkeys(term for each in bound_consents(folder) for term in each["terms"]))


def require_own_posts(folder: RunFolder, *, public: bool, word: bool) -> None:
    """Refuse to publish what a service gave for its reader alone.

    X's API is such a service: its posts may not be published, nor taught to a model without a
    right of one's own to them. A repository that only the person sees is still a copy at somebody
    else's, so that it takes their word; for everybody to see there is no word.

    Raises:
        NoConsent: the terms forbid it, or want a word that the person has not given.
    """
    specs = ", ".join(f"{each['source']}:{each['account']}" for each in bound_consents(folder))
    if specs and public:
        raise NoConsent(
            f"Bot '{folder.name}' learned from {specs}, and the terms of that service do not let "
            "such a bot be published.",
            hint="Make it of the account's own archive instead: "
            f"mynah make <archive.zip> --name {folder.name} --replace",
        )
    if specs and not word:
        raise NoConsent(
            f"Bot '{folder.name}' learned from {specs}, and the terms of that service let it leave "
            "this machine only where the posts are yours.",
            hint=f"If they are, run: mynah push {folder.name} {RIGHT}",
        )


def bound_consents(folder: RunFolder) -> list[Mapping[str, Any]]:
    """Return the consents that came with terms, those of the flock that a bot began from as well.

    A training writes the flock's into its own record, so that they outlive the flock's folder. Of
    a bot from before that was so, the folder is asked while it is there.
    """
    run = folder.read_run()
    trained = run["stages"].get("train") or {}
    flock = (trained.get("result") or {}).get("flock") or {}
    inherited = flock.get("consents")
    if inherited is None:
        inherited = _of_flocks_folder(folder, (trained.get("config") or {}).get("flock"))
    own = run.get("consents") or ()
    return [consent for consent in (*own, *inherited) if consent.get("terms")]


def _of_flocks_folder(folder: RunFolder, flock: str | None) -> Sequence[Mapping[str, Any]]:
    places = [folder.root.parent / flock, Path(flock)] if flock else []
    flocks = [RunFolder(place) for place in places if RunFolder(place).run.exists()]
    return bound_consents(flocks[0]) if flocks and flocks[0].root != folder.root else ()
