"""Languages: the source's word, a guess where it has none, and shares that mean something."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mynah.cleaning import CleanPost
from mynah.languages import MULTILINGUAL, detect, known, multilingual_hint, shares, unknown_to

ARCHIVE = Path(__file__).parents[2] / "shared/data/accounts/andreruffert.jsonl.gz"

ENGLISH = [
    "The ferry is late again and nobody at the harbour knows why",
    "I have counted the steps of this tower every morning for nine years",
    "Somebody painted the bench green, which nobody had asked for",
]
SPANISH = [
    "Mi nieta ha marcado tres goles y todavía no ha hecho los deberes",
    "Los domingos no se cocina, los domingos se grita delante del televisor",
    "Nadie sabe por qué el árbitro llevaba las gafas en la mano",
]


def said(texts: list[str], lang: str | None = None) -> list[CleanPost]:
    return [CleanPost(id="1", author="ana", text=text, lang=lang) for text in texts]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("pt_BR", "pt"),
        ("EN", "en"),
        ("in", "id"),
        ("iw", "he"),
        ("fil", "tl"),
        ("ast", "ast"),
        ("qme", None),
        ("qht", None),
        ("zxx", None),
        ("art", None),
        ("und", None),
        ("", None),
        (None, None),
        ("english", None),
        ("¿?", None),
    ],
)
def test_only_languages_are_trusted(tag: str | None, code: str | None) -> None:
    assert known(tag) == code


def test_languages_are_guessed_from_the_words() -> None:
    assert [detect(text) for text in ENGLISH + SPANISH] == ["en"] * 3 + ["es"] * 3
    assert detect("今日はとてもいい天気ですね") == "ja"
    assert detect("WHY IS NOBODY AT THE HARBOUR TODAY") == "en"


def test_a_text_without_words_has_no_language() -> None:
    assert detect("🌊 12:30 … @ana #gulls [email]") is None


def test_an_account_of_two_languages_shows_both_with_their_shares() -> None:
    found = shares(said(ENGLISH * 20 + SPANISH * 10))
    assert list(found) == ["en", "es"]
    english, spanish = 20 * sum(map(len, ENGLISH)), 10 * sum(map(len, SPANISH))
    assert found["en"] == pytest.approx(english / (english + spanish))
    assert sum(found.values()) == pytest.approx(1)


def test_a_stray_guess_is_not_a_language_of_the_account() -> None:
    assert shares(said(ENGLISH * 40) + said(SPANISH[:1])) == {"en": 1.0}


def test_the_sources_word_goes_before_the_guess_where_it_is_a_language() -> None:
    assert shares(said(ENGLISH, "cy")) == {"cy": 1.0}
    assert shares(said(ENGLISH, "qme")) == {"en": 1.0}


def test_no_posts_or_no_words_give_no_shares() -> None:
    assert shares([]) == {}
    assert shares(said(["🌊🌊🌊"])) == {}
    assert not unknown_to({"en"}, {})


def test_a_base_is_asked_about_most_of_what_is_written() -> None:
    assert unknown_to({"en"}, {"es": 0.6, "en": 0.4})
    assert unknown_to({"en"}, {"en": 0.4, "es": 0.3, "ca": 0.3})
    assert not unknown_to({"en"}, {"en": 0.5, "es": 0.5})
    assert not unknown_to({"en", "es"}, {"es": 1.0})


def test_the_hint_names_every_base_that_knows_more() -> None:
    assert all(base.id in multilingual_hint() for base in MULTILINGUAL)


@pytest.mark.skipif(not ARCHIVE.exists(), reason="the real accounts are not here")
def test_guesses_agree_with_a_real_archive() -> None:
    with gzip.open(ARCHIVE, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if not row["is_retweet"]]
    told = [row for row in rows if row["lang"] in ("en", "de") and len(row["text"]) > 40]
    right = sum(detect(row["text"]) == row["lang"] for row in told)
    assert right / len(told) > 0.9
