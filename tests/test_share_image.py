"""Share images, compared with pictures that somebody looked at, by how alike they seem."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from mynah.avatars import small
from mynah.file_texts import texts
from mynah.marking import MARK, SOURCE_TYPE
from mynah.share_image import Voice, names_of, render_share
from share_cases import CASES, photo

GOLDEN = Path(__file__).parent / "golden"
_SEEN = (600, 338)  # what is compared: half of the picture's width and height
_ALIKE = 0.985  # structural similarity (Wang et al. 2004) of two pictures of the same
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
ADA = Voice(handle="ada", name="Ada")


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def seen(picture: Image.Image) -> Image.Image:
    return picture.resize(_SEEN, Image.Resampling.LANCZOS)


def likeness(one: Image.Image, other: Image.Image) -> float:
    """Return the structural similarity of two pictures, 1 for the same."""
    return float(structural_similarity(np.asarray(one), np.asarray(other), channel_axis=2))


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, Image.Image]:
    """Return the name of a case and its picture."""
    return request.param, seen(opened(render_share(*CASES[request.param])))


def test_a_post_looks_as_it_looked_when_somebody_saw_it(case: tuple[str, Image.Image]) -> None:
    """Where there is no golden picture yet one is written: look at it, then commit it."""
    name, picture = case
    golden = GOLDEN / f"share-{name}.png"
    if not golden.exists():
        picture.quantize(96).save(golden, optimize=True)
        pytest.fail(f"{golden} is new: look at it.")
    assert likeness(picture, Image.open(golden).convert("RGB")) > _ALIKE


def test_letters_that_no_font_has_would_be_noticed(case: tuple[str, Image.Image]) -> None:
    """The same post in letters for private use, which are boxes in any font, is far from it."""
    name, _ = case
    voices, text, _ = CASES[name]
    boxes = seen(opened(render_share(voices, re.sub(r"\w", "\ue000", text))))
    assert likeness(boxes, Image.open(GOLDEN / f"share-{name}.png").convert("RGB")) < _ALIKE - 0.03


def test_letters_that_are_not_drawn_would_be_noticed(case: tuple[str, Image.Image]) -> None:
    name, picture = case
    empty = picture.copy()
    empty.paste("white", (46, 110, 554, 280))  # the box of the post
    assert likeness(empty, Image.open(GOLDEN / f"share-{name}.png").convert("RGB")) < _ALIKE - 0.03


def test_a_picture_has_the_size_that_sites_ask_for() -> None:
    png = render_share([ADA], "Low tide again.")
    assert opened(png).size == (1200, 675)
    assert len(png) < 300_000


def test_the_same_post_gives_the_same_bytes() -> None:
    assert render_share([ADA], "Again 🌊.") == render_share([ADA], "Again 🌊.")


def test_the_picture_says_that_a_machine_made_it_and_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "share.png"
    path.write_bytes(render_share([ADA], "Is it <3 & 🌊?", "Is it"))
    notes = list(texts(path))
    assert "Is it <3 & 🌊?" in notes and MARK["notice"] in notes
    with Image.open(path) as picture:
        xmp = picture.info["XML:com.adobe.xmp"]
    [found] = ElementTree.fromstring(xmp.partition("?>")[2].rpartition("<?")[0])[0]
    assert found.get(f"{{{IPTC}}}DigitalSourceType") == SOURCE_TYPE


def ink(png: bytes, colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> int:
    """Count the pixels of about a colour in a part of a picture."""
    part = np.asarray(opened(png).crop(box), dtype=int)
    return int((np.abs(part - colour).max(axis=2) < 24).sum())


POST_BOX = (92, 220, 1108, 560)


def test_the_prompt_is_set_apart() -> None:
    dark = (0x1D, 0x23, 0x27)
    whole = render_share([ADA], "My dream is a queue.")
    parted = render_share([ADA], "My dream is a queue.", "My dream is")
    elsewhere = render_share([ADA], "My dream is a queue.", "Your dream")
    assert ink(parted, dark, POST_BOX) < 0.6 * ink(whole, dark, POST_BOX)
    assert elsewhere == whole  # a prompt that the post does not begin with is none


def test_right_to_left_begins_at_the_right() -> None:
    left, right = (92, 220, 300, 560), (900, 220, 1108, 560)
    dark = (0x1D, 0x23, 0x27)
    ltr, rtl = render_share([ADA], "one two"), render_share([ADA], "שלום לים")
    assert ink(ltr, dark, left) > 500 and ink(ltr, dark, right) == 0
    assert ink(rtl, dark, right) > 500 and ink(rtl, dark, left) == 0


@pytest.mark.parametrize(
    "post", ["w" * 400, "漢" * 300, "ش" * 400, "🌊" * 200, "a\n" * 40, "b " * 900]
)
def test_nothing_leaves_the_card(post: str) -> None:
    """Beside and below the post the card stays white, whatever stands in it."""
    picture = np.asarray(opened(render_share([ADA], post)))
    for left, right in ((46, 86), (1114, 1154)):
        assert (picture[220:600, left:right] > 250).all()
    assert (picture[562:566, 92:1108] > 250).all()


def test_avatars_of_three_and_initials_of_who_has_none() -> None:
    size = 10_000  # pixels that a disc has about
    red, blue = (200, 30, 30), (30, 30, 200)
    face = (60, 60, 420, 220)
    voices = [
        Voice(handle="a", avatar=small(photo("#c81e1e"))),
        Voice(handle="b", avatar=small(photo("#1e1ec8"))),
        ADA,
        Voice(handle="d", avatar=small(photo("#1ec81e"))),
    ]
    png = render_share(voices, "Hello.")
    assert ink(png, red, face) > size / 5 and ink(png, blue, face) > size / 5
    assert ink(png, (30, 200, 30), (0, 0, 1200, 675)) == 0  # the fourth is not shown
    disc = opened(render_share([ADA], "Hello.")).crop((96, 84, 204, 192))
    assert max(disc.getcolors(1 << 16))[0] > size / 2  # one colour behind the initial


@pytest.mark.parametrize(("handles", "kind"), [(["a"], "BOT"), (["a", "b"], "CYBORG")])
def test_one_voice_is_a_bot_and_several_are_a_cyborg(handles: list[str], kind: str) -> None:
    """The word in the corner is wider for a cyborg."""
    voices = [Voice(handle=handle, name="Same") for handle in handles]
    row = np.asarray(opened(render_share(voices, "Hello.")))[100, 800:1112]
    [coloured] = np.nonzero(row.min(axis=1) < 200)
    assert (coloured[-1] - coloured[0] > 140) == (kind == "CYBORG")


def test_names_keep_their_own_direction() -> None:
    both = names_of([Voice(handle="a", name="שלום"), Voice(handle="b", name="\u202eB")])
    assert both == "\u2068שלום\u2069 & \u2068B\u2069"


@pytest.mark.parametrize("post", ["", " \n ", "\ud83d", "\x00\x1b[31m", "\u202e\u2066", "𓀀 ꙮ ﷽"])
def test_odd_posts_are_drawn(post: str) -> None:
    png = render_share([Voice(handle="", name="")], post, post[:1])
    [(width, height)] = [struct.unpack(">II", png[16:24])]
    assert (width, height) == (1200, 675)


def test_without_the_extra_there_is_one_sentence() -> None:
    """In a process that cannot import the typesetter, as where it is not installed."""
    script = (
        "import sys; sys.modules['typst'] = None\n"
        "from mynah.share_image import require\n"
        "try: require()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "ExtraMissing" in done.stdout and "pip install 'mynah[share]'" in done.stdout
