"""What a fediverse account says about being read, found and used, in its settings and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mynah.sources.consent import Check
from mynah.sources.hypertext import to_text
from mynah.sources.values import as_dict, as_list, as_text

# What people write into their profiles where the settings have no word for it.
_NO_BOTS = re.compile(r"#(?:no_?bots?|no_?ai|no_?index|no_?archive|no_?scrap(?:e|ing))\b", re.I)


def checks(profile: dict[str, Any]) -> Iterator[Check]:
    """Yield what the profile that the API gives says."""
    asked = profile.get("noindex") is True
    yield Check(
        what="noindex",
        answer="asks not to be indexed" if asked else "not set",
        verdict="denies" if asked else "allows",
    )
    fields = [as_text(as_dict(each).get("value")) for each in as_list(profile.get("fields"))]
    words = (to_text(part).text for part in (as_text(profile.get("note")), *fields))
    word = _NO_BOTS.search(" ".join(words))
    yield Check(
        what="profile",
        answer=f"says {word[0]}" if word else "says nothing against bots",
        verdict="denies" if word else "allows",
    )
    yield _indexable(profile.get("indexable"))
    if profile.get("bot") is True:
        yield Check(what="bot", answer="the account calls itself a bot", verdict="warns")
    if profile.get("discoverable") is False:
        yield Check(what="discoverable", answer="wants not to be recommended", verdict="warns")
    if moved := as_text(as_dict(profile.get("moved")).get("acct")):
        yield Check(what="moved", answer=f"posts as {moved} now", verdict="warns")


def _indexable(value: object) -> Check:
    """Judge what is a yes only where somebody has said yes (FEP-5feb)."""
    if value is True:
        return Check(what="indexable", answer="public posts may be searched")
    if value is False:
        answer = "has not agreed that public posts may be searched"
        return Check(what="indexable", answer=answer, verdict="needs-word")
    return Check(what="indexable", answer="this server does not ask people", verdict="warns")
