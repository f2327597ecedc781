"""What authors have deleted since: it is counted, and forgotten for good where asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from archives import builder, zipped
from mynah.blending import blend_bots
from mynah.config import BlendConfig, RenewalConfig
from mynah.deletions import Listing
from mynah.lineage import check_lineage
from mynah.records import Post, read_posts
from mynah.renewing import renew_bot
from mynah.run_folder import RunFolder
from mynah.versions import keep_version, versions_of
from tiny import mynah

FEW = RenewalConfig(samples=2, judged=10)
GONE = range(40, 45)  # numbers of the posts that the author deletes


def post(number: int, **more: str) -> Post:
    at = f"2024-01-{number:02}T00:00:00Z"
    shown = {"author": "ada", "source": "x-archive", "created_at": at} | more
    return Post(id=str(number), text=f"Post {number}.", **shown)  # type: ignore[arg-type]


def listing(*posts: Post, everything: bool = False) -> Listing:
    found = Listing(everything=everything)
    assert list(found.seeing(posts)) == list(posts)
    return found


def test_what_is_missing_between_two_others_is_gone() -> None:
    seen = listing(post(3), post(5), post(9))
    assert [number for number in range(1, 12) if seen.lacks(post(number))] == [4, 6, 7, 8]
    assert not seen.lacks(replace(post(4), created_at=None))


def test_a_whole_list_tells_of_every_time() -> None:
    seen = listing(post(3), post(5), everything=True)
    assert [number for number in range(1, 8) if seen.lacks(post(number))] == [1, 2, 4, 6, 7]


@pytest.mark.parametrize(
    "other",
    [
        {"author": "bela"},  # of whom nothing came
        {"source": "csv"},  # somebody's choice of posts
        {"kind": "repost"},
    ],
)
def test_what_a_list_cannot_tell(other: dict[str, str]) -> None:
    shown = {key: value for key, value in other.items() if key == "source"}
    seen = listing(post(3, **shown), post(5, **shown), everything=True)
    assert not seen.lacks(post(4, **other))
    assert seen.lacks(post(4, author="ADA")) is ("source" not in other)


@pytest.fixture
def cleared(tmp_path: Path) -> Path:
    """Return the archive of the bot's account after five posts were deleted; none is new."""
    archive = builder.build(tiny.ACCOUNT | {"username": "ferryclerk"}, tiny.account_rows())
    archive.tweets[:] = [row for at, row in enumerate(archive.tweets) if at not in GONE]
    return zipped(tmp_path / "cleared.zip", builder.members(archive))


def deleted_texts() -> set[str]:
    return {row["text"] for at, row in enumerate(tiny.account_rows()) if at in GONE}


def test_an_update_tells_what_is_gone_and_leaves_it(bot: RunFolder, cleared: Path) -> None:
    before = bot.posts.read_bytes()
    answer = mynah("update", bot.name, cleared)
    assert answer.code == 0
    said = " ".join(answer.err.split())
    assert "5 posts of the bot are not there any more: deleted, or hidden." in said
    assert f"mynah update {bot.name} {cleared} --forget-deleted" in said.replace("- ", "-")
    assert bot.posts.read_bytes() == before


def test_what_is_gone_is_forgotten_for_good(
    bot: RunFolder, mirror: RunFolder, cleared: Path
) -> None:
    blend = blend_bots(bot.root.parent, [bot, mirror], BlendConfig())
    with bot.lock():
        keep_version(bot)
    bot.record("push", inputs={}, outputs={}, result={"repos": {}})
    effort = bot.stage_record("train")["config"]["effort"]
    answer = mynah("update", bot.name, cleared, "--forget-deleted")
    assert answer.code == 0, answer.err
    assert versions_of(bot) == []  # they knew the posts
    assert len(list(read_posts(bot.posts))) == 125
    for path in (bot.posts, bot.cleaned, bot.dropped):
        assert not [text for text in deleted_texts() if text in path.read_text("utf-8")]
    trained = bot.stage_record("train")
    assert trained["result"]["flock"] is None  # nothing was gone on from
    assert trained["config"]["effort"] == effort
    assert [link for link in check_lineage(bot) if link.broken] == []
    assert not bot.samples.exists() and not bot.report.exists()
    said = " ".join(answer.err.split())
    assert "5 posts of the bot are not there any more" in said
    assert f"The blend '{blend.name}' still knows them" in said
    assert f"mynah push {bot.name}" in said and "push" in bot.read_run()["stages"]
    again = renew_bot(bot, replace(FEW, forget_deleted=True), sources=[str(cleared)])
    assert (again.gone, again.forgotten, again.kept) == (0, False, False)


def test_an_archive_with_a_part_missing_tells_nothing(bot: RunFolder, tmp_path: Path) -> None:
    """X cuts large archives: what is in the other part is not deleted."""
    archive = builder.build(tiny.ACCOUNT | {"username": "ferryclerk"}, tiny.account_rows())
    archive.tweets[:] = archive.tweets[:20] + archive.tweets[-20:]
    files = builder.members(archive)
    name = next(name for name in files if name.endswith("manifest.js"))
    start, mark, rest = files[name].partition(b'"fileName" : "data/tweets.js"')
    assert mark
    part = b'"fileName" : "data/tweets-part1.js", "count" : "90" }, {' + mark
    files[name] = start + part + rest
    cut = zipped(tmp_path / "cut.zip", files)
    assert renew_bot(bot, FEW, sources=[str(cut)]).gone == 0
