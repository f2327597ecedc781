"""What an account and its service allow, asked before the first post is read."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from mynah.errors import NoConsent
from mynah.run_folder import now

RIGHT = "--i-have-the-right-to"
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


def asker() -> str:
    """Return the login name of whoever asks; a container's user may have none."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What was asked about one account, and what the person said; run.json keeps it."""

    source: str  # "bluesky"
    account: str  # "alice.example"
    when: str  # ISO-8601 UTC
    checks: tuple[Check, ...]
    flags: tuple[str, ...] = ()  # what the person said, as "--i-have-the-right-to"
    terms: tuple[str, ...] = ()  # sentences that bind whoever has the posts from now on
    by: str = field(default_factory=asker)  # who asked, by the login name on this machine

    def to_json(self) -> dict[str, Any]:
        """Return the row of run.json."""
        return asdict(self)


def agreed(
    spec: str,
    source: str,
    account: str,
    checks: Sequence[Check],
    *,
    word: bool,
    terms: Sequence[str] = (),
) -> Consent:
    """Return what was asked and said, for run.json.

    Args:
        spec: what the person typed, or the file's name.
        source: which service the account is at.
        account: its handle.
        checks: what was looked at.
        word: whether the person has said that they may use the posts.
        terms: sentences that bind whoever has the posts.

    Raises:
        NoConsent: one of the checks denies, or needs a word that the person has not given.
    """
    for check in checks:
        if check.verdict == "denies" or (check.verdict == "needs-word" and not word):
            raise _refused(spec, check)
    return Consent(
        source=source,
        account=account,
        when=now(),
        checks=tuple(checks),
        flags=(RIGHT,) if word else (),
        terms=tuple(terms),
    )


def of_a_file(check: Check) -> Check:
    """Let the person's word overrule a denial: whoever denied may be the one who asks."""
    return replace(check, verdict="needs-word") if check.verdict == "denies" else check


def _refused(spec: str, check: Check) -> NoConsent:
    if check.verdict == "denies":
        return NoConsent(
            f"{spec} does not allow this ({check.what}: {check.answer}).",
            hint="Ask the person for their own archive instead: mynah make <archive.zip>",
        )
    return NoConsent(
        f"{spec} needs your word ({check.what}: {check.answer}).",
        hint=f"If you have the right to use these posts, add {RIGHT}.",
    )
