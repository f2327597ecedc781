"""What an account and its service allow, asked before the first post is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["allows", "warns", "needs-word", "denies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what, what it said, what follows from it.

    `allows` and `warns` let the fetch go on; `needs-word` does once the person has typed
    --i-have-the-right-to; `denies` does not, whatever is typed.
    """

    what: str  # "label !no-unauthenticated", "terms", "price"
    answer: str  # "not set", "forbid training on posts read over the API"
    verdict: Verdict = "allows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What was asked about one account, and what the person said; run.json keeps it."""

    source: str  # "bluesky"
    account: str  # "alice.example"
    when: str  # ISO-8601 UTC
    checks: tuple[Check, ...]
    flags: tuple[str, ...] = ()  # what the person said, as "--i-have-the-right-to"
    terms: tuple[str, ...] = ()  # sentences that bind whoever has the posts from now on

    def to_json(self) -> dict[str, Any]:
        """Return the row of run.json."""
        return asdict(self)
