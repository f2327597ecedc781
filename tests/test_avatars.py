"""Avatars: whatever lies in an archive, a small harmless picture comes out, or none."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tiny
from archives import ACCOUNT, ME, builder, unpacked, x_files, zipped
from mynah.avatars import LARGEST, avatar, hue, initial, keep_avatars, small
from mynah.config import FetchConfig
from mynah.run_folder import RunFolder
from mynah.sources import read
from mynah.stages import fetch_posts
from share_cases import photo

ADDRESS = b"https://pbs.twimg.com/profile_images/1/none.png"
MEMBER = f"data/profile_media/{ACCOUNT['account_id']}-none.png"


def files(picture: bytes) -> dict[str, bytes]:
    made = builder.members(builder.Archive(ACCOUNT)) | x_files(tiny_tweet())
    assert ADDRESS in made["data/profile.js"]
    return made | {MEMBER: picture, "data/profile_media/9-banner.png": photo("black")}


def tiny_tweet() -> dict[str, object]:
    from archives import tweet

    return tweet(1, "The tide came in again.")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_becomes_small_and_square(kind: str) -> None:
    with Image.open(io.BytesIO(small(photo("teal", (900, 500), kind)) or b"")) as picture:
        assert (picture.size, picture.format, picture.mode) == ((240, 240), "PNG", "RGB")
        assert picture.getpixel((120, 120)) == (255, 255, 255)  # its middle is kept


def test_what_a_camera_noted_does_not_come_along() -> None:
    out, picture = io.BytesIO(), Image.new("RGB", (90, 90), "teal")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    picture.save(out, "JPEG", exif=exif, comment=b"taken at home")
    made = small(out.getvalue())
    assert b"taken at home" in out.getvalue() and made and b"home" not in made
    assert small(made) == made or small(made) is not None


def bomb() -> bytes:
    """Return a PNG that says it is 60,000 pixels wide and high."""
    png = bytearray(tiny.png())
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    return bytes(png)


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg onload='alert(1)'/>", photo("red")[:200], bomb(), b"\0" * (LARGEST + 1)],
    ids=["empty", "markup", "cut", "bomb", "large"],
)
def test_what_is_no_harmless_picture_is_none(data: bytes) -> None:
    assert small(data) is None


@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_raise(noise: bytes, at: int) -> None:
    whole = photo("red", (20, 20))
    small(noise)
    small(whole[:at] + noise + whole[at:])


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_the_avatar_of_an_archive_is_found(form: str, tmp_path: Path) -> None:
    made = files(photo("teal"))
    path = zipped(tmp_path / "x.zip", made) if form == "zip" else unpacked(tmp_path / "x", made)
    fetched = read(str(path), FetchConfig())
    assert list(fetched.posts)
    assert fetched.avatars == {ME: photo("teal")}


def test_fetch_keeps_it_and_another_fetch_forgets_it(tmp_path: Path, bots: Path) -> None:
    with_one = zipped(tmp_path / "one.zip", files(photo("teal")))
    folder = fetch_posts(bots, [str(with_one)], FetchConfig(), name="me")
    kept = avatar(folder.avatars, ME.upper())
    assert kept == small(photo("teal")) or (kept and kept.startswith(b"\x89PNG"))
    assert avatar(folder.avatars, "somebody") is None
    without = zipped(tmp_path / "none.zip", x_files(tiny_tweet()))
    fetch_posts(bots, [str(without)], FetchConfig(), name="me", replace=True)
    assert not folder.avatars.exists()


def test_a_broken_avatar_costs_nobody_the_bot(tmp_path: Path, bots: Path) -> None:
    path = zipped(tmp_path / "x.zip", files(b"no picture"))
    folder: RunFolder = fetch_posts(bots, [str(path)], FetchConfig())
    assert folder.posts.exists() and not folder.avatars.exists()


def test_a_handle_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    place = tmp_path / "bot" / "avatars"
    assert keep_avatars(place, {"../../evil": photo("red"), "/etc/x": photo("blue")}) == 2
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    assert len(found) == 2 and all(each.startswith("bot/avatars/") for each in found)
    assert avatar(place, "../../evil")


@pytest.mark.parametrize(
    ("name", "handle", "expected"),
    [("Ada", "x", "A"), ("𝓽𝓲𝓭𝓮", "x", "T"), ("🌊 sea", "x", "S"), ("🌊", "x9", "X"), ("", "", "?")],
)
def test_the_initial_is_a_letter(name: str, handle: str, expected: str) -> None:
    assert initial(name, handle) == expected


def test_a_colour_is_of_the_handle_alone() -> None:
    assert hue("Ada") == hue("ada") != hue("bela")
