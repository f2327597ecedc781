"""Bots that keep learning: better or unchanged, and what they were can be brought back."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

import tiny
from mynah.config import RenewalConfig
from mynah.errors import BotBusy, SettingsError
from mynah.lineage import check_lineage
from mynah.renewing import Renewal, Voice, _verdict, renew_bot
from mynah.run_folder import RunFolder, hash_tree, read_json
from mynah.versions import keep_version, roll_back, versions_of
from tiny import mynah
from x_server import TOKEN, plain_posts, running_x

# One post each: once in a hundred draws so small a bot says a real post, and which draw that is
# depends on the processor.
FEW = RenewalConfig(samples=1, judged=20)


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same account's archive, forty days later."""
    place = tmp_path_factory.mktemp("newer") / "ferry-later.zip"
    return tiny.write_archive(place, tiny.account_rows(170))


def files(folder: RunFolder) -> dict[str, str]:
    """Return the hash of every file and folder of a bot but its versions."""
    parts = (path for path in folder.root.iterdir() if path.name not in ("versions", ".lock"))
    return {path.name: hash_tree(path) for path in parts}


def test_a_bot_learns_on_and_can_be_brought_back(bot: RunFolder, newer: Path) -> None:
    before, posts = files(bot), len(bot.posts.read_text().splitlines())
    renewal = renew_bot(bot, FEW, sources=[str(newer)])
    assert renewal.new_posts == 40 == len(bot.posts.read_text().splitlines()) - posts
    assert renewal.kept and renewal.before and renewal.after, renewal
    assert renewal.after.bits_per_byte < renewal.before.bits_per_byte
    assert (renewal.version, versions_of(bot)) == (1, [1])
    run = read_json(bot.run)
    assert run["stages"]["train"]["result"]["flock"]["name"] == bot.name
    assert run["stages"]["train"]["config"]["flock_share"] == 1.0
    assert [each["instead_of"] for each in run["updates"]] == [1]
    assert [link for link in check_lineage(bot) if link.broken] == []
    assert not bot.report.exists()  # it told of the old one
    assert mynah("card", bot.name).code == 0
    card = bot.card.read_text(encoding="utf-8")
    assert "went on from an earlier version of itself" in card
    renewed = files(bot)
    assert roll_back(bot) == (1, 2)
    assert files(bot) == before
    assert roll_back(bot) == (2, 3)
    assert files(bot) == renewed


def test_nothing_new_changes_nothing(bot: RunFolder, small_archive: Path) -> None:
    before = files(bot)
    renewal = renew_bot(bot, FEW, sources=[str(small_archive)])
    assert renewal == Renewal(new_posts=0, kept=False, why="nothing new was found")
    assert files(bot) == before and versions_of(bot) == []


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (Voice(bits_per_byte=1.9, copied=0.1), True),
        (Voice(bits_per_byte=1.9, copied=0.2), False),
        (Voice(bits_per_byte=2.0, copied=0.0), False),
        (Voice(bits_per_byte=2.1, copied=0.1), False),
    ],
)
def test_better_is_fewer_bits_and_no_more_copies(after: Voice, kept: bool) -> None:
    assert _verdict(Voice(bits_per_byte=2.0, copied=0.1), after)[0] is kept


def test_killed_at_any_time_the_bot_is_whole(bot: RunFolder, newer: Path) -> None:
    before = files(bot)
    for seconds in (1.0, 6.0):
        run = tiny.start("update", bot.name, newer, "--samples", "6")
        time.sleep(seconds)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        if not versions_of(bot):  # else it was done
            assert files(bot) == before
    answer = mynah("update", bot.name, newer, "--samples", "6", "--json")
    assert answer.code == 0
    assert answer.json["new_posts"] in (40, 0)
    left = [path.name for path in (bot.root.parent / ".update").iterdir()]
    assert [name for name in left if not name.startswith(".")] == []


def test_of_files_the_newer_one_has_to_be_named(bot: RunFolder) -> None:
    with pytest.raises(SettingsError, match="came from files"):
        renew_bot(bot, FEW)


def test_there_is_no_such_version(bot: RunFolder) -> None:
    with pytest.raises(SettingsError, match="there are: none"):
        roll_back(bot)
    with bot.lock():
        keep_version(bot)
    with pytest.raises(SettingsError, match="there are: 1"):
        roll_back(bot, 7)
    assert mynah("rollback", bot.name, "--to", "7").code == 2


def test_a_bot_that_is_at_work_is_left_alone(bot: RunFolder, newer: Path) -> None:
    with bot.lock():
        keep_version(bot)
        with pytest.raises(BotBusy):
            roll_back(bot)


def test_a_version_costs_no_disk(bot: RunFolder) -> None:
    with bot.lock():
        number = keep_version(bot)
    kept = bot.root / "versions" / f"{number:04}" / bot.posts.name
    assert kept.stat().st_ino == bot.posts.stat().st_ino


def test_the_word_for_strangers_posts_is_given_each_time(
    bots: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_BEARER_TOKEN", TOKEN)
    with running_x() as x:
        x.posts = plain_posts(230)
        fetch = ("--x-api", x.web.url, "--i-have-the-right-to")
        quick = ("--base", tiny_base, "--max-post-tokens", 64, "--epochs", 1)
        assert mynah("fetch", "x:ferryclerk", "--name", "far", *fetch).code == 0
        assert mynah("clean", "far").code == 0
        assert mynah("train", "far", *quick, "--tracker", "none").code == 0
        answer = mynah("update", "far")
        assert answer.code == 2 and "--i-have-the-right-to" in answer.err
        answer = mynah("update", "far", "--i-have-the-right-to", "--json")
        assert (answer.code, answer.json["why"]) == (0, "nothing new was found")
