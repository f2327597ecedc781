"""What is an emoji, which way a text runs, and which fonts it asks first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.lettering import drawing, in_order, is_rtl, language, pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("plain", [("letters", "plain")]),
        ("a 🌊 b", [("letters", "a "), ("emoji", "1f30a"), ("letters", " b")]),
        ("👩‍🚀", [("emoji", "1f469-200d-1f680")]),
        ("👍🏽👍", [("emoji", "1f44d-1f3fd"), ("emoji", "1f44d")]),
        ("🇫🇷🇯🇵", [("emoji", "1f1eb-1f1f7"), ("emoji", "1f1ef-1f1f5")]),
        ("3️⃣3", [("emoji", "33-20e3"), ("letters", "3")]),
        ("❤️", [("emoji", "2764")]),
        ("☺", [("emoji", "263a")]),
        ("☺\ufe0e", [("letters", "☺\ufe0e")]),
        ("© ©️", [("letters", "© "), ("emoji", "a9")]),
        ("🏳️‍🌈", [("emoji", "1f3f3-fe0f-200d-1f308")]),
        ("𝓯𝓪𝓷𝓬𝔂", [("letters", "𝓯𝓪𝓷𝓬𝔂")]),
    ],
)
def test_emoji_are_taken_out_whole(text: str, expected: list[tuple[str, str]]) -> None:
    assert pieces(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_letter_is_lost_and_every_drawing_is_there(text: str) -> None:
    found = pieces(text)
    letters = "".join(part for kind, part in found if kind == "letters")
    assert all(drawing(part).startswith(b"<svg") for kind, part in found if kind == "emoji")
    assert [each for each in text if each.isalpha() and ord(each) < 0x2100] == [
        each for each in letters if each.isalpha() and ord(each) < 0x2100
    ]


@pytest.mark.parametrize(
    ("text", "rtl"),
    [("abc", False), ("שלום", True), ("مرحبا abc", True), ("1. abc שלום", False), ("🌊 7", False)],
)
def test_the_first_strong_letter_says_which_way(text: str, rtl: bool) -> None:
    assert is_rtl(text) is rtl


@pytest.mark.parametrize(
    ("text", "expected"), [("骨", "zh"), ("骨と", "ja"), ("骨 뼈", "ko"), ("bone", "en")]
)
def test_the_language_chooses_how_han_characters_look(text: str, expected: str) -> None:
    assert language(text) == expected
    families = ["Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans", "Serif"]
    cjk = {"zh": "SC", "ja": "JP", "ko": "KR", "en": "SC"}[expected]
    assert in_order(families, expected)[:2] == ["Noto Sans", f"Noto Sans CJK {cjk}"]
