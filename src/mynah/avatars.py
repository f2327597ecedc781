"""Avatars: a small verified picture of each account, or its initial on a colour of its own."""

from __future__ import annotations

import hashlib
import io
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from mynah.run_folder import replacing_folder

LARGEST = 4 << 20  # bytes of a picture as it comes; X's own are a tenth of a megabyte
_MOST_PIXELS = 4096 * 4096
_SIDE = 240  # pixels of the picture that is kept
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def keep_avatars(place: Path, pictures: Mapping[str, bytes]) -> int:
    """Write the avatar of each handle into a folder of their own; return how many were pictures.

    What is there of other accounts goes.
    """
    kept = {handle: small(data) for handle, data in pictures.items()}
    good = {handle: picture for handle, picture in kept.items() if picture}
    shutil.rmtree(place, ignore_errors=True)
    if good:
        with replacing_folder(place) as new:
            for handle, picture in good.items():
                (new / _file(handle)).write_bytes(picture)
    return len(good)


def avatar(place: Path, handle: str) -> bytes | None:
    """Return the kept avatar of a handle, as PNG; None where there is none that can be read."""
    path = place / _file(handle)
    return small(path.read_bytes()) if path.is_file() else None


def _file(handle: str) -> str:
    """Return a name that a stranger's handle cannot lead out of the folder with."""
    return f"{hashlib.sha256(handle.lower().encode()).hexdigest()[:16]}.png"


def small(data: bytes) -> bytes | None:
    """Return a picture as a small square PNG without a camera's notes; None where it is none."""
    from PIL import Image, ImageOps

    if len(data) > LARGEST:
        return None
    # Decoders raise nearly anything on bytes that lie, and a bomb is only a warning.
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except Exception:
        return None
    square = ImageOps.fit(upright, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", square.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, square).convert("RGB").save(out, "PNG", optimize=True)
    return out.getvalue()


def initial(name: str, handle: str) -> str:
    """Return the letter that stands for an account: 𝓽𝓲𝓭𝓮 has a T, and 🌊 has none."""
    plain = unicodedata.normalize("NFKC", name + handle)
    return next((each.upper()[:1] for each in plain if each.isalnum()), "?")


def hue(handle: str) -> int:
    """Return an account's own colour, in degrees of the circle."""
    return int(hashlib.sha256(handle.lower().encode()).hexdigest()[:8], 16) % 360
