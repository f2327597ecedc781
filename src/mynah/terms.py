"""Terms of a service that go on to bind whoever has a bot of its posts: run.json keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mynah.errors import NoConsent
from mynah.run_folder import RunFolder
from mynah.sources.consent import RIGHT


def binding_terms(folder: RunFolder) -> tuple[str, ...]:
    """Return the sentences that bind whoever has this bot, each once."""
    return tuple(dict.fromkeys(term for each in _bound(folder) for term in each["terms"]))


def require_own_posts(folder: RunFolder, *, public: bool, word: bool) -> None:
    """Refuse to publish what a service gave for its reader alone.

    X's API is such a service: its posts may not be published, nor taught to a model without a
    right of one's own to them. A repository that only the person sees is still a copy at somebody
    else's, so that it takes their word; for everybody to see there is no word.

    Raises:
        NoConsent: the terms forbid it, or want a word that the person has not given.
    """
    specs = ", ".join(f"{each['source']}:{each['account']}" for each in _bound(folder))
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


def _bound(folder: RunFolder) -> Iterator[Mapping[str, Any]]:
    """Yield the consents that came with terms, those of the flock that a bot began from as well."""
    run = folder.read_run()
    trained = run["stages"].get("train") or {}
    flock = (trained.get("config") or {}).get("flock")
    places = [folder.root.parent / flock, Path(flock)] if flock else []
    flocks = [RunFolder(place).read_run() for place in places if RunFolder(place).run.exists()]
    for each in [run, *flocks[:1]]:
        yield from (consent for consent in each.get("consents") or () if consent.get("terms"))
