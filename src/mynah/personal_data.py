"""Replace personal data by placeholders, so that a bot cannot say it.

E-mail addresses and IP addresses go by pattern (the latter checked by `ipaddress`), IBANs by their
check digits (python-stdnum), phone numbers by phonenumbers' matcher. Figures that only look like
these (scores, years, prices, ids) must stay.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

KINDS = ("email", "iban", "ip", "phone")  # in the order they are looked for

_EMAIL = re.compile(
    r"(?<![\w.@+-])[\w+-][\w.+%-]{0,63}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}\b", re.UNICODE
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}(?:[ -]?[A-Z0-9]{1,3})?\b", re.I)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)(?!\w)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[\da-f:]*\d)[\da-f]{1,4}:[\da-f:]{1,35}(?:[\da-f]|(?<=::))(?![\w:])", re.I
)

# Seven figures or more with what people write between them: the cheap test before the slow one.
_FIGURES = re.compile(r"(?:\d[\s().\-/–]{0,3}){6}\d")
_NORTH_AMERICAN = re.compile(
    r"(?<![\w.$€£+-])(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-.]\d{4}(?![\w-])"
)
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL")
_FEWEST = 9  # figures of a number without country code; shorter ones are scores and years

Range = tuple[int, int]


def replace(text: str) -> tuple[str, dict[str, int]]:
    """Return the text with placeholders such as [email], and how many of each kind it got."""
    found: dict[str, int] = {}
    for kind in KINDS:
        ranges = list(_FINDERS[kind](text))
        if ranges:
            found[kind] = len(ranges)
            text = _fill(text, ranges, f"[{kind}]")
    return text, found


def emails(text: str) -> list[str]:
    """Return the e-mail addresses in a text."""
    return [text[start:end] for start, end in _emails(text)]


def find(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the letters and figures of each personal datum, however it is spaced."""
    for kind in KINDS:
        for start, end in _FINDERS[kind](text):
            yield kind, re.sub(r"[\s().\-/–]", "", text[start:end]).casefold()


def _fill(text: str, ranges: list[Range], placeholder: str) -> str:
    for start, end in reversed(ranges):
        text = text[:start] + placeholder + text[end:]
    return text


def _emails(text: str) -> Iterator[Range]:
    return (match.span() for match in _EMAIL.finditer(text)) if "@" in text else iter(())


def _ibans(text: str) -> Iterator[Range]:
    for match in _IBAN.finditer(text):
        if end := _valid_iban(match[0]):
            yield match.start(), match.start() + end


def _valid_iban(candidate: str) -> int:
    """Return how long the IBAN is that the candidate begins with; 0 where there is none.

    An IBAN in groups of four may be followed by a short word, which the pattern takes for a group.
    """
    from stdnum import iban

    while len(candidate) >= 15:
        if iban.is_valid(candidate, check_country=False):
            return len(candidate)
        candidate = re.sub(r"[ -]?[A-Z0-9]*$", "", candidate, flags=re.I)
    return 0


def _addresses(text: str) -> Iterator[Range]:
    for pattern in (_IPV4, _IPV6) if "." in text or ":" in text else ():
        yield from (match.span() for match in pattern.finditer(text) if _is_address(match[0]))


def _is_address(candidate: str) -> bool:
    try:
        ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return True


def _phones(text: str) -> Iterator[Range]:
    """Find numbers with a country code, then those a country's people write in its groups."""
    if not _FIGURES.search(text):
        return
    taken: list[Range] = []
    for find in (_international, _north_american, _national):
        for start, end in find(text):
            if all(end <= left or start >= right for left, right in taken):
                taken.append((start, end))
    yield from sorted(taken)


def _international(text: str) -> Iterator[Range]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    if "+" in text:
        for match in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
            yield match.start, match.end


def _north_american(text: str) -> Iterator[Range]:
    return (match.span() for match in _NORTH_AMERICAN.finditer(text))


def _national(text: str) -> Iterator[Range]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in _REGIONS:
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING):
            if _looks_dialled(match.raw_string):
                yield match.start, match.end


def _looks_dialled(number: str) -> bool:
    """Tell a number in groups from an id, which has none, and from years and scores."""
    groups = re.findall(r"\d+", number)
    return len(groups) > 1 and sum(map(len, groups)) >= _FEWEST


_FINDERS: dict[str, Callable[[str], Iterator[Range]]] = {
    "email": _emails,
    "iban": _ibans,
    "ip": _addresses,
    "phone": _phones,
}
