"""Personal data goes; figures and names that only look like it stay."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given

from mynah.personal_data import KINDS, replace
from mynah.plain_text import cut_links
from test_cleaning_text import TEXTS

ACCOUNTS = sorted((Path(__file__).parents[2] / "shared/data/accounts").glob("*.jsonl.gz"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail ana.b+list@example.org, please", "mail [email], please"),
        ("<ana@sub.example.co.uk>", "<[email]>"),
        ("GRÜN@BÜCHER.EXAMPLE", "[email]"),
        ("my IBAN: DE89 3704 0044 0532 0130 00.", "my IBAN: [iban]."),
        ("GB82WEST12345698765432 is it", "[iban] is it"),
        ("pay to FR1420041010050500013M02606 by noon", "pay to [iban] by noon"),
        ("NL91 ABNA 0417 1643 00 by noon", "[iban] by noon"),
        ("server at 203.0.113.7:8080 again", "server at [ip]:8080 again"),
        ("from 2001:db8::8a2e:370:7334, twice", "from [ip], twice"),
        ("fe80::1 is mine.", "[ip] is mine."),
        ("call +44 20 7946 0958 now", "call [phone] now"),
        ("call +49 (0)30 901820", "call [phone]"),
        ("call +1 555 123 4567!", "call [phone]!"),
        ("tix 212-555-0188 or (212) 555-0188", "tix [phone] or [phone]"),
        ("1-800-555-0199 4 tix", "[phone] 4 tix"),
        ("Tel. 030 901820123", "Tel. [phone]"),
        ("llámame al 612 34 56 78", "llámame al [phone]"),
        ("appelle le 06 12 34 56 78", "appelle le [phone]"),
        ("ring 020 7946 0958", "ring [phone]"),
        ("ana@example.org or +442079460958", "[email] or [phone]"),
    ],
)
def test_personal_data_is_replaced(text: str, left: str) -> None:
    assert replace(text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        "@ana and @bob@example.social agree",
        "the final score was 6-4 3-6 7-6 6-2",
        "from 1914-1918 and 1939-1945",
        "born 12.05.1987, gone 2020-11-03 10:15:42",
        "it costs $1,299.99 or €1.299.999 or 1 000 000 000 £",
        "id 1588091220244369409 and 20240501123456",
        "ISBN 978-3-16-148410-0 is a book",
        "pi is 3.14159265358979 and e 2.718281828",
        "version 1.2.3 and v1.2.3.4 and 10.15.7",
        "999.999.999.999 is no address",
        "at 12:30:45 it began, and 10:20 it ended",
        "std::vector and a::b",
        "DE00 1234 5678 9012 3456 78 has the wrong check digits",
        "0123456789 and 987654321",
        "#20231231 #COVID19",
        "100,000 posts in 2,5 s",
        "2 + 2 = 4, 1/2 + 1/4 = 3/4",
        "51.5074, -0.1278 on the map",
        "user@host without a domain",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert replace(text) == (text, {})


def test_each_kind_is_counted() -> None:
    text = "a@b.example, c@d.example, 203.0.113.7, +44 20 7946 0958, DE89370400440532013000"
    assert replace(text)[1] == {"email": 2, "iban": 1, "ip": 1, "phone": 1}


@given(TEXTS)
def test_what_is_replaced_stays_replaced(text: str) -> None:
    once, found = replace(text)
    assert set(found) <= set(KINDS)
    assert (once == text) is (not found)
    assert replace(once) == (once, {})


@pytest.mark.skipif(not ACCOUNTS, reason="the real accounts are not here")
def test_in_real_posts_nothing_else_is_taken_for_personal_data() -> None:
    # Every find was read: 11 addresses and 7 numbers, all of them meant to be written or called.
    found: Counter[str] = Counter()
    for path in ACCOUNTS:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if not row["is_retweet"] and "<p>" not in row["text"]:
                    found.update(replace(cut_links(row["text"]))[1])
    assert found == {"email": 11, "phone": 7}
