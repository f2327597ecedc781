"""Posts for share images, written for the tests: one for each thing that letters can do."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from mynah.avatars import small
from mynah.share_image import Voice


def photo(colour: str, size: tuple[int, int] = (400, 300), kind: str = "JPEG") -> bytes:
    """Return a picture as an archive may have it: not square, a disc in its middle."""
    picture = Image.new("RGB", size, colour)
    width, height = size
    disc = (width * 0.3, height * 0.2, width * 0.7, height * 0.75)
    ImageDraw.Draw(picture).ellipse(disc, fill="white")
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


Case = tuple[tuple[Voice, ...], str, str]  # who, what, and how it was told to begin

CASES: dict[str, Case] = {
    "emoji": (
        (Voice(handle="tidekeeper", name="Tide Keeper 🌊 | 𝓽𝓲𝓭𝓮", avatar=small(photo("teal"))),),
        "The tide 🌊 is 3️⃣ minutes late 👩‍🚀👍🏽 again, said the 🇫🇷 boat with 𝓯𝓪𝓷𝓬𝔂 letters & a ❤️ ©",
        "The tide 🌊 is",
    ),
    "arabic": (
        (Voice(handle="nahr", name="نهر الصباح"),),
        "حلمي أن أصحو باكرًا قبل القطار، وأن يكون الخبز ساخنًا في السابعة (7:00) 🍞.",
        "حلمي أن",
    ),
    "hebrew": (
        (Voice(handle="yam", name="ים של ערב"),),
        "החלום שלי הוא ספסל ליד הים, עם API אחד ושני כלבים 🐕.",
        "החלום שלי",
    ),
    "chinese": (
        (Voice(handle="deng", name="灯塔管理员"),),
        "我的梦想是一个自己排好的队伍，排完以后还会谢谢我。今天的雾很大，我们把船票卖给了一个声音。",
        "我的梦想是",
    ),
    "japanese": (
        (Voice(handle="todai", name="とうだいもり"),),
        "私の夢は、自分で並んでくれる行列です。「ありがとう」と言ってくれたら、もっといいのですが。",
        "私の夢は",
    ),
    "devanagari": (
        (Voice(handle="ghat", name="घाट का बाबू"),),
        "मेरा सपना एक ऐसी कतार है जो ख़ुद बन जाए और बाद में मुझे धन्यवाद दे। क्षत्रिय, ज्ञान, शृंखला।",
        "मेरा सपना",
    ),
    "long-words": (
        (
            Voice(
                handle="x" * 15,
                name="A display name that goes on & on until nobody reads it any more",
            ),
        ),
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft "
        "https://harbour.example/a/very/long/address/that/nobody/would/type?with=all&of=it "
        + "a"
        * 120,
        "",
    ),
    "markup": (
        (
            Voice(handle="anna", name="<script>alert(1)</script>", avatar=small(photo("coral"))),
            Voice(handle="bela", name="#let x = [*no*]"),
            Voice(handle="chloe", name="che 💜"),
            Voice(handle="dan", name="Dan"),
        ),
        "<script>alert('x')</script> #let x = 1 $y$ *bold* _it_ @ref <label> \\n // no",
        "<script>",
    ),
}
