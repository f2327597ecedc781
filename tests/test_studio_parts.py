"""The studio without a browser: whose posts are whose, jobs and their queue, links."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import tiny
from mynah.config import STAGES, CleaningConfig, FetchConfig
from mynah.errors import (
    BotError,
    BotExists,
    SettingsError,
    SourceNotFound,
    StageMissing,
    TooFewPosts,
)
from mynah.run_folder import RunFolder
from mynah.studio.bringing import Wish, accounts_named, bring, what_is_there
from mynah.studio.desk import Studio, Wanted
from mynah.studio.foreman import Foreman
from mynah.studio.jobs import Job, Status, last_job, new_job
from mynah.studio.rights import Rights, session_id
from mynah.studio.sharing import SIGN, cut, share_links
from mynah.studio.views import curve_of, view
from mynah.studio.watching import JobWatch

ANNA, BELA = session_id("a" * 40), session_id("b" * 40)


def ended(job: Job, seconds: float = 120.0) -> Status:
    until = time.monotonic() + seconds
    while not job.status().ended:
        assert time.monotonic() < until, job.status()
        time.sleep(0.1)
    return job.status()


def test_a_bot_is_of_the_session_that_brought_its_posts(bot: RunFolder, bots: Path) -> None:
    here, there = Rights(bots, local=True), Rights(bots, local=False)
    assert here.owns(bot.name, ANNA) and not there.owns(bot.name, ANNA)
    there.claim(bot.name, ANNA)
    assert here.owns(bot.name, ANNA) and not here.owns(bot.name, BELA)
    assert there.own(bot.name, ANNA).root == bot.root
    with pytest.raises(BotError, match="another browser"):
        there.own(bot.name, BELA)
    with pytest.raises(BotError, match="cannot be a bot's name"):
        here.own("../elsewhere", ANNA)


def test_posts_move_in_whole_or_not_at_all(bots: Path, small_archive: Path, bot: RunFolder) -> None:
    rights, wish = Rights(bots, local=False), Wish(files=[small_archive])
    fetch, clean = FetchConfig(), CleaningConfig()
    with pytest.raises(BotExists, match="already"):
        bring(rights, BELA, wish, fetch, clean)
    assert bot.adapter.exists()
    with pytest.raises(TooFewPosts):
        strict = CleaningConfig(min_characters=1_000_000)
        bring(rights, BELA, Wish(files=[small_archive], name="new"), fetch, strict)
    assert not (bots / "new").exists() and not list((bots / ".studio").glob("drafts/*"))
    folder, sentences = bring(rights, BELA, Wish(files=[small_archive], name="new"), fetch, clean)
    assert folder.cleaned.exists() and rights.owns("new", BELA) and sentences
    there = what_is_there(folder)
    assert there["counts"]["kept"] == 130 and len(there["examples"]) == 8
    assert there["strangers"] == []
    again, _ = bring(rights, BELA, Wish(files=[small_archive], name="new"), fetch, clean)
    assert again.root == folder.root


@pytest.mark.parametrize("words", ["/etc/passwd", "file:a.txt", "archive:x", "ferry.zip", "../x"])
def test_a_path_is_no_account(words: str) -> None:
    with pytest.raises(SourceNotFound, match="names no account"):
        accounts_named(words)


def test_accounts_stand_apart_by_anything() -> None:
    assert accounts_named("bluesky:a.example, mastodon:b@c.example\ncommunity:d") == [
        "bluesky:a.example",
        "mastodon:b@c.example",
        "community:d",
    ]
    assert accounts_named("") == []


def test_a_shared_text_ends_at_a_word_and_says_who_wrote_it() -> None:
    words = " ".join(["ferries"] * 80)
    for place, address in share_links(words, "social.example").items():
        [text] = parse_qs(urlsplit(address).query)["text"]
        assert text.endswith(f"ferries…{SIGN}"), place
        assert len(text) <= {"X": 250, "Bluesky": 300, "Mastodon": 500}[place]
    assert cut("x" * 400, 100) == "x" * 99 + "…" and cut("short", 100) == "short"
    assert share_links("a&b=c #d", "s.example")["X"].count("a%26b%3Dc%20%23d%20%F0%9F%A4%96") == 1
    for server in ("evil.example/path", "a b", "", "x@y.example"):
        with pytest.raises(SettingsError, match="is no server"):
            share_links("x", server)


def test_what_strangers_wrote_is_escaped_everywhere() -> None:
    evil = "<script>alert(1)</script>\"'"
    row = {"text": evil, "links": {"X": evil}, "overlap": 0.5, "nearest": evil}
    shown = view("posts", rows=[row], prompt="", wanted=1, own=True)
    shown += view("error", sentence=evil, hint=evil)
    shown += view("report", bot=evil, verdict=evil)
    assert "<script" not in shown and shown.count("&lt;script&gt;") >= 6


def test_a_curve_has_its_ends_in_words() -> None:
    assert curve_of([(1, 3.0)]) is None
    curve = curve_of([(1, 3.0), (6, 2.0), (11, 1.5)])
    assert curve and curve.held_out is None
    assert curve.words == "Loss from step 1 to 11: learned posts from 3.00 to 1.50."
    places = curve.learned.points.split()
    assert places[0] == "0.0,6.0" and places[-1] == "600.0,174.0"
    both = curve_of([(1, 3.0), (11, 1.5)], [(1, 3.5), (11, 2.5)])
    assert both and both.held_out and both.held_out.points == "0.0,6.0 600.0,90.0"


def test_a_job_remembers_how_far_it_is(tmp_path: Path) -> None:
    job = new_job(tmp_path, "train", "oak", ANNA, {})
    watch = JobWatch(job)
    watch.say("Hello.")
    watch.say("Hello.")
    watch.learned(1, 3.0)
    watch.learned(6, 2.0, 2.2)
    watch.learned(1, 2.5, 2.7)  # a training that went on from an older state
    watch.finish("train")
    status = job.status()
    assert (status.state, status.sentences) == ("running", ("Hello.",))
    assert (status.losses, status.finished) == (((1, 2.5),), ("train",))
    assert status.held_out == ((1, 2.7),)
    assert last_job(tmp_path, "train", "oak") == job and not last_job(tmp_path, "push", "oak")


def test_jobs_of_a_kind_wait_for_each_other_and_end_with_a_sentence(
    bots: Path, bot: RunFolder, tiny_base: Path
) -> None:
    foreman = Foreman(bots / ".studio")
    try:
        settings = {"export": {"format": "adapter"}}
        first = foreman.order("export", bot.name, ANNA, settings)
        second = foreman.order("export", "nobody", ANNA, settings)
        third = foreman.order("export", "waits", ANNA, settings)
        assert foreman.before(second) <= 1
        foreman.stop(third)
        assert ended(first).state == "done"
        assert third.status().state == "stopped"
        failed = ended(second)
        assert (failed.state, "There is no bot 'nobody'" in failed.error) == ("failed", True)
    finally:
        foreman.close()
    assert list(bot.root.glob("model-adapter/*"))


def test_a_worker_that_was_killed_is_noticed(bots: Path, bot: RunFolder) -> None:
    foreman = Foreman(bots / ".studio")
    job = foreman.order("export", bot.name, ANNA, {"export": {"format": "adapter"}})
    while job.id not in foreman._workers:  # it says that it runs a moment before it does
        time.sleep(0.01)
    foreman._workers[job.id].kill()
    status = ended(job)
    foreman.close()
    assert status.state in ("stopped", "done")
    assert status.state == "done" or "interrupted" in status.error


def test_a_picture_of_what_was_not_kept_says_when_it_will_be(bots: Path, bot: RunFolder) -> None:
    foreman = Foreman(bots / ".studio")
    foreman.close()
    settings = {stage: kind() for stage, kind in STAGES.items()}
    studio = Studio(Rights(bots, local=True), foreman, settings)
    with pytest.raises(StageMissing, match="not the last that were kept"):
        studio.preview(ANNA, bot.name, 1)
    new_job(foreman.home, "train", bot.name, ANNA, {}).keep(Status(state="running"))
    with pytest.raises(StageMissing, match="while it is judged"):
        studio.preview(ANNA, bot.name, 1)


def test_strangers_posts_need_a_word(bots: Path, tmp_path: Path) -> None:
    lines = "\n".join(row["text"] for row in tiny.account_rows())
    file = tmp_path / "someone.txt"
    file.write_text(lines, encoding="utf-8")
    foreman = Foreman(bots / ".studio")
    try:
        settings = {stage: kind() for stage, kind in STAGES.items()}
        studio = Studio(Rights(bots, local=True), foreman, settings)
        name = studio.bring(ANNA, Wish(files=[file]))
        with pytest.raises(SettingsError, match="may be used"):
            studio.train(ANNA, name, Wanted(effort="quick"))
        with pytest.raises(BotError, match="another browser"):
            studio.train(BELA, name, Wanted(effort="quick", consent=True))
        assert studio.bots(BELA) == [] and studio.chosen(ANNA) == name
        for job in (last_job(foreman.home, "estimate", name),):
            assert job
            foreman.stop(job)
            ended(job)
    finally:
        foreman.close()
