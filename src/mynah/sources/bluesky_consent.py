"""What a Bluesky account says about itself: labels in its profile, declarations in its records.

All of it is in the account's own repository, so a server and a CAR file tell the same.

- `!no-unauthenticated` among the profile's own labels: not to be shown to whoever has no login.
- community.lexicon.preference.ai: training and synthetic content, allowed or denied; a record for
  one collection goes before the record for the account, whose key is `self`.
- org.user-intents.declaration: the draft of Bluesky's proposal 0008, syntheticContentGeneration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mynah.sources.bluesky_records import POSTS
from mynah.sources.consent import Check
from mynah.sources.values import as_dict, as_list, as_text

PREFERENCES = "community.lexicon.preference.ai"
INTENTS = "org.user-intents.declaration"

Records = Callable[[str], Iterable[tuple[str, dict[str, Any]]]]  # collection -> keys and records

_HIDDEN = "!no-unauthenticated"
_ASKED = {"training": "training of models", "syntheticContent": "synthetic content"}
_INTENT = "syntheticContentGeneration"


def checks(profile: dict[str, Any], records: Records) -> Iterator[Check]:
    """Yield what was looked at; a denial is about anybody, so also about this."""
    yield from label_checks(profile)
    yield from _preferences(list(records(PREFERENCES)))
    yield _intent(dict(records(INTENTS)))


def label_checks(profile: dict[str, Any]) -> Iterator[Check]:
    """Yield what the profile's own labels say."""
    labels = _labels(profile)
    hidden = _HIDDEN in labels
    yield Check(
        what=f"label {_HIDDEN}",
        answer="set: only for people who are logged in" if hidden else "not set",
        verdict="denies" if hidden else "allows",
    )
    if "bot" in labels:
        yield Check(
            what="label bot", answer="set: a program writes here, no person", verdict="warns"
        )


def _labels(profile: dict[str, Any]) -> set[str]:
    values = as_list(as_dict(profile.get("labels")).get("values"))
    return {as_text(as_dict(value).get("val")) for value in values}


def _preferences(records: list[tuple[str, dict[str, Any]]]) -> Iterator[Check]:
    """Yield the answers of the one record that counts for posts, use by use."""
    found: dict[str, Any] = {}
    for covers in (_covers_all, _covers_posts):
        for key, record in records:
            if covers(key, as_dict(record.get("scope"))):
                found |= as_dict(record.get("preferences"))
    for use, words in _ASKED.items():
        yield _answer(f"{words} ({PREFERENCES})", found.get(use))


def _covers_all(key: str, scope: dict[str, Any]) -> bool:
    return key == "self" or _ends(scope, "#globalScope")


def _covers_posts(key: str, scope: dict[str, Any]) -> bool:
    return _ends(scope, "#collectionScope") and scope.get("collection") == POSTS


def _ends(scope: dict[str, Any], name: str) -> bool:
    return as_text(scope.get("$type")).endswith(name)


def _intent(records: dict[str, dict[str, Any]]) -> Check:
    """Return the answer for everybody; records under other keys are about single services."""
    record = as_dict(records.get("self"))
    # The proposal's first text wrote the name out in full.
    asked = record.get(_INTENT, record.get(f"org.user-intents.{_INTENT}"))
    return _answer(f"generative AI ({INTENTS})", asked)


def _answer(what: str, declared: object) -> Check:
    allow = as_dict(declared).get("allow")
    if allow is False:
        return Check(what=what, answer="denied", verdict="denies")
    return Check(what=what, answer="allowed" if allow is True else "nothing declared")
