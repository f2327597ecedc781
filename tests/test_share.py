"""mynah share: which post, what is written where, and that nothing in it is read as markup."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mynah.avatars import keep_avatars
from mynah.config import FetchConfig, ShareConfig
from mynah.errors import SettingsError, ShareError, StageMissing
from mynah.lineage import check_lineage
from mynah.marking import SOURCE_TYPE
from mynah.records import read_rows
from mynah.run_folder import RunFolder, read_json, write_json, write_rows
from mynah.share import picture, write_share
from mynah.stages import fetch_posts
from share_cases import photo
from tiny import mynah

EVIL = """<script>alert("1")</script>'><img src=x onerror=y>"""


class Page(HTMLParser):
    """Collect tags, what `meta` says, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def meta(self) -> dict[str, str]:
        found = [attrs for tag, attrs in self.tags if tag == "meta"]
        return {each.get("property") or each.get("name"): each.get("content") for each in found}


def say(folder: RunFolder, *texts: str, prompt: str = "", overlap: float = 0.0) -> None:
    """Let the bot have said these posts."""
    nearest = {"text": "Fog again.", "overlap": overlap}
    rows = ({"text": text, "prompt": prompt, "seed": 0, "nearest": nearest} for text in texts)
    write_rows(folder.samples, rows)


def rename(folder: RunFolder, name: str) -> None:
    run = read_json(folder.run)
    run["accounts"][0]["name"] = name
    write_json(folder.run, run)


def test_a_picture_and_a_page_are_written_and_recorded(bot: RunFolder) -> None:
    say(bot, "My dream is a queue 🌊.", prompt="My dream is")
    shared = write_share(bot, ShareConfig())
    with Image.open(shared.image) as image:
        assert (shared.image, image.size) == (bot.preview, (1200, 675))
    record = bot.stage_record("share")
    assert set(record["outputs"]) == {"preview.png", "preview.html"}
    assert record["result"] == {"kind": "BOT", "text": "My dream is a queue 🌊."}
    links = [link for link in check_lineage(bot) if link.stage == "share"]
    assert [(link.name, link.status) for link in links] == [
        ("preview.png", "ok"),
        ("preview.html", "ok"),
    ]


def test_the_page_tells_other_sites_what_to_show(bot: RunFolder) -> None:
    say(bot, "My dream is a queue.", prompt="My dream is")
    shared = write_share(bot, ShareConfig(url="https://me.example/bot"))
    page = Page(shared.page.read_text(encoding="utf-8"))
    assert page.meta["og:image"] == "https://me.example/bot/preview.png"
    assert page.meta["og:url"] == "https://me.example/bot/preview.html"
    assert (page.meta["og:image:width"], page.meta["og:image:height"]) == ("1200", "675")
    assert page.meta["twitter:card"] == "summary_large_image"
    assert page.meta["digital-source-type"] == SOURCE_TYPE
    for name in ("og:description", "og:image:alt"):
        assert "My dream is a queue." in page.meta[name]
        assert "Written by a language model, not by a person." in page.meta[name]
    [image] = [attrs for tag, attrs in page.tags if tag == "img"]
    assert image["src"] == "preview.png" and image["alt"] == page.meta["og:image:alt"]


def test_without_an_address_the_page_names_none(bot: RunFolder) -> None:
    say(bot, "Low tide.")
    page = Page(write_share(bot, ShareConfig()).page.read_text(encoding="utf-8"))
    assert page.meta["og:image"] == "preview.png" and "og:url" not in page.meta


def test_names_and_posts_are_never_markup(bot: RunFolder) -> None:
    rename(bot, EVIL)
    say(bot, f"Fog {EVIL}\nand more", prompt=f"Fog {EVIL[:9]}")
    page = Page(write_share(bot, ShareConfig()).page.read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "bdi", "figure", "img"),
        *("figcaption", "blockquote", "b", "p", "strong", "small"),
    }
    assert f"Fog {EVIL}" in page.text
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "me.example/bot", "https://", "file:///x"])
def test_an_address_that_is_none_is_refused(bot: RunFolder, url: str) -> None:
    with pytest.raises(SettingsError, match="no web address"):
        write_share(bot, ShareConfig(url=url))
    assert not bot.preview.exists()


def test_the_first_post_that_copies_nobody_is_shown(bot: RunFolder) -> None:
    say(bot, "one", "two", overlap=1.0)
    copied = list(read_rows(bot.samples))
    say(bot, "three", "four")
    write_rows(bot.samples, [*copied, *read_rows(bot.samples)])
    assert write_share(bot, ShareConfig()).text == "three"
    assert write_share(bot, ShareConfig(post=4)).text == "four"
    with pytest.raises(ShareError, match="Post 2 repeats a real one"):
        write_share(bot, ShareConfig(post=2))
    with pytest.raises(SettingsError, match="said 4 posts"):
        write_share(bot, ShareConfig(post=5))


def test_where_every_post_copies_none_is_shown(bot: RunFolder) -> None:
    say(bot, "one", "two", overlap=1.0)
    with pytest.raises(ShareError, match=f"mynah say {bot.name}"):
        write_share(bot, ShareConfig())


def test_a_bot_that_said_nothing_is_told_to_say_something(bot: RunFolder) -> None:
    bot.samples.unlink()
    with pytest.raises(StageMissing, match=f"Run: mynah say {bot.name}"):
        write_share(bot, ShareConfig())


def test_the_avatar_is_shown_unless_initials_are_wanted(bot: RunFolder) -> None:
    plain = picture(bot, "Hello.")
    keep_avatars(bot.avatars, {"FerryClerk": photo("red")})
    assert picture(bot, "Hello.") != plain
    assert picture(bot, "Hello.", initials=True) == plain


def test_another_fetch_takes_the_picture_away(bot: RunFolder, small_archive: Path) -> None:
    say(bot, "Low tide.")
    write_share(bot, ShareConfig())
    fetch_posts(bot.root.parent, [str(small_archive)], FetchConfig(), name=bot.name, replace=True)
    assert not bot.preview.exists() and not bot.preview_page.exists()


def test_card_and_upload_take_the_picture_along(bot: RunFolder, hub: Any) -> None:
    """Its words are in its notes, so the check before an upload reads them."""
    say(bot, "A herring sold me the lamp for no reason at all.")
    assert mynah("share", bot.name).code == 0
    assert mynah("card", bot.name).code == 0
    assert "thumbnail: preview.png" in bot.card.read_text(encoding="utf-8")
    pushed = mynah("push", bot.name, "--dry-run", "--json")
    assert (pushed.code, pushed.err) == (0, "")
    files = {each["file"] for each in pushed.json["files"]}
    assert "preview.png" in files
    assert not {each for each in files if "avatar" in each or each == "preview.html"}


def test_a_picture_of_a_real_post_is_not_uploaded(bot: RunFolder, hub: Any) -> None:
    """Written by an older bot, say: what is drawn cannot be read, but the notes can."""
    real = next(read_rows(bot.cleaned))["text"]
    bot.preview.write_bytes(picture(bot, real))
    pushed = mynah("push", bot.name, "--dry-run")
    assert pushed.code == 2 and "preview.png holds a real post" in pushed.err


def test_the_command_line_says_what_it_wrote(bot: RunFolder) -> None:
    say(bot, "My dream is a queue.", prompt="My dream is")
    answer = mynah("share", bot.name, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["kind"] == "BOT" and answer.json["text"] == "My dream is a queue."
    assert Path(answer.json["image"]).is_file() and Path(answer.json["page"]).is_file()
    told = mynah("share", bot.name)
    assert "preview.png" in told.err + told.out and f"mynah card {bot.name}" in told.err + told.out


def test_a_full_disk_leaves_neither_half(bot: RunFolder, tmp_path: Path) -> None:
    """The picture cannot be put where a folder stands, and then the page is not left alone."""
    say(bot, "Low tide.")
    bot.preview.mkdir()
    (bot.preview / "in the way").write_text("x")
    with pytest.raises(Exception, match=r"preview|directory"):
        write_share(bot, ShareConfig())
    assert not bot.preview_page.exists()
    shutil.rmtree(bot.preview)
    assert json.loads(json.dumps(write_share(bot, ShareConfig()).to_json()))["machine_made"] is True
