"""Real exports and dumps, read in place where they are at hand; counts found by other means."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import tiny_recipe
from mynah.config import FetchConfig
from mynah.errors import TooFewPosts
from mynah.pipeline import make_bot
from mynah.records import Post
from mynah.run_folder import open_bot
from mynah.sources import Fetched, read

DATA = Path(__file__).resolve().parents[2] / "shared/data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real samples are not at hand")


def fetch(name: str) -> tuple[Fetched, list[Post]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand")
    fetched = read(str(path), FetchConfig())
    return fetched, list(fetched.posts)


# Counted with json and regular expressions alone: kinds, then spans.
ARCHIVES = [
    (
        "formats/x_archive_2020",
        "x-archive-2020",
        {"post": 865, "reply": 139, "self-reply": 111, "repost": 29, "quote": 19},
        {"url": 66, "media": 83, "mention": 174},
        26,
    ),
    (
        "formats/x_archive_2022_2024/andreruffert",
        "x-archive-2022",
        {"post": 711, "reply": 488, "self-reply": 65, "repost": 643, "quote": 79},
        {"url": 1226, "media": 146, "mention": 617},
        86,
    ),
    (
        "formats/grailbird_2012_2018/bizweekgraphics",
        "grailbird",
        {"post": 84, "reply": 38, "repost": 114, "quote": 3},
        {"url": 87, "media": 43, "mention": 49},
        8,
    ),
]


@pytest.mark.parametrize(("name", "form", "kinds", "spans", "escaped"), ARCHIVES)
def test_archives(
    name: str, form: str, kinds: dict[str, int], spans: dict[str, int], escaped: int
) -> None:
    fetched, posts = fetch(name)
    assert fetched.format == form
    assert Counter(post.kind for post in posts) == kinds
    assert Counter(span.kind for post in posts for span in post.spans) == spans
    assert sum(post.escaped for post in posts) == escaped
    assert all(post.created_at and post.id.isdecimal() for post in posts)
    [account] = fetched.accounts
    assert account.own_archive and account.name
    assert {post.author for post in posts} == {account.handle}


def test_spans_of_links_hold_links() -> None:
    for name, *_ in ARCHIVES:
        for post in fetch(name)[1]:
            for span in post.spans:
                start = "@" if span.kind == "mention" else "http"
                assert post.text[span.start : span.end].startswith(start)


def test_cut_reposts_are_told() -> None:
    assert "238 reposts are cut short by X." in fetch(ARCHIVES[1][0])[0].notices
    assert "5 reposts are cut short by X." in fetch(ARCHIVES[0][0])[0].notices


def test_no_language_that_is_none() -> None:
    languages = Counter(post.lang for post in fetch(ARCHIVES[1][0])[1])
    # und 133, qme 23, zxx 12, qst 3, qam 3, art 3, qht 2
    assert languages[None] == 179 and languages["en"] == 1615
    assert languages["id"] == 6 and "in" not in languages


TABLES = [
    (
        "grailbird_2012_2018/saviomd_first400.csv",
        {"post": 30, "reply": 5, "self-reply": 1, "repost": 239},
    ),
    ("csv_dumps/snscrape_dril_tweets.csv", {"post": 2325, "reply": 430}),
    ("csv_dumps/tweet_dumper_bytesrepr_first300.csv", {"post": 224, "reply": 38, "repost": 37}),
    ("csv_dumps/sxywu_psy_oppa.csv", {"post": 191, "reply": 69, "repost": 391}),
]


@pytest.mark.parametrize(("name", "kinds"), TABLES)
def test_tables(name: str, kinds: dict[str, int]) -> None:
    _, posts = fetch(f"formats/{name}")
    assert Counter(post.kind for post in posts) == kinds
    assert all(post.created_at for post in posts)
    assert not any(post.text.startswith(("b'", 'b"')) for post in posts)


def rows_of(path: Path) -> int:
    """Count a dump's rows without Mynah: the csv and json modules alone."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return sum(1 for row in csv.reader(lines) if row) - 1
    if path.suffix == ".jsonl":
        pages = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return sum(len(page["data"]) for page in pages)
    value = json.loads(path.read_text(encoding="utf-8"))
    return len(value) if isinstance(value, list) else 1


DUMPS = [
    ("csv_dumps/snscrape_dril_tweets.csv", "csv"),
    ("csv_dumps/sxywu_psy_oppa.csv", "csv"),
    ("csv_dumps/tweet_dumper_bytesrepr_first300.csv", "csv"),
    ("grailbird_2012_2018/saviomd_first400.csv", "grailbird-csv"),
    ("tweepy_v11/compat_truncated_POTUS_user_tweets.json", "tweets-v1.1"),
    ("tweepy_v11/python_twitter_extended_tweet_in_compat_mode.json", "tweets-v1.1"),
    ("tweepy_v11/python_twitter_extended_tweet_in_extended_mode.json", "tweets-v1.1"),
    ("x_api_v2/twarc_edited.jsonl", "tweets-v2"),
    ("x_api_v2/twarc_many_urls.jsonl", "tweets-v2"),
    ("x_api_v2/twarc_mentions_tweet.jsonl", "tweets-v2"),
]


@pytest.mark.parametrize(("name", "form"), DUMPS)
def test_every_row_of_a_dump_is_a_post_a_repost_or_skipped(name: str, form: str) -> None:
    fetched, posts = fetch(f"formats/{name}")
    kinds = Counter("repost" if post.kind == "repost" else "post" for post in posts)
    assert fetched.format == form
    assert kinds["post"] + kinds["repost"] + fetched.skipped == rows_of(DATA / "formats" / name)
    assert all(post.created_at and post.author for post in posts)


def test_texts_that_were_cut_are_known() -> None:
    cut = [post.cut for post in fetch(f"formats/{DUMPS[4][0]}")[1]]
    assert (cut.count(True), cut.count(False)) == (9, 1)  # as `truncated` says
    assert [post.cut for post in fetch(f"formats/{DUMPS[5][0]}")[1]] == [True]
    assert [post.cut for post in fetch(f"formats/{DUMPS[6][0]}")[1]] == [False]
    # Those whose texts end in "…" and a link at 140 characters.
    assert sum(post.cut for post in fetch(f"formats/{DUMPS[2][0]}")[1]) == 3


def test_links_of_saved_tweets_stand_where_they_are_said_to() -> None:
    found = [fetch(f"formats/{name}")[1] for name, form in DUMPS if form.startswith("tweets")]
    spans = [(post, span) for posts in found for post in posts for span in post.spans]
    assert len(spans) > 10
    assert all(post.text[span.start : span.end].startswith(("http", "@")) for post, span in spans)


def test_an_edited_tweet_of_v2_knows_its_last_version() -> None:
    [post] = fetch("formats/x_api_v2/twarc_edited.jsonl")[1]
    assert post.latest_id == post.id == "1576994789110992896"


ACCOUNTS = [
    ("NASA", 3245, 873, 145),
    ("WhiteHouse", 3204, 1285, 5),
    ("andreruffert", 1986, 643, 553),
    ("dril", 10515, 0, 2180),
    ("fluffyguy", 3178, 1013, 358),
    ("geoinquiets", 12058, 1472, 287),
    ("neiltyson", 3225, 32, 192),
    ("sudorandom@infosec.exchange", 129, 10, 0),
]


@pytest.mark.parametrize(("name", "count", "reposts", "replies"), ACCOUNTS)
def test_accounts(name: str, count: int, reposts: int, replies: int) -> None:
    fetched, posts = fetch(f"accounts/{name}.jsonl.gz")
    kinds = Counter(post.kind for post in posts)
    assert (len(posts), kinds["repost"], kinds["reply"]) == (count, reposts, replies)
    assert [account.handle for account in fetched.accounts] == [name]
    with gzip.open(DATA / f"accounts/{name}.jsonl.gz") as lines:
        assert [post.text for post in posts] == [json.loads(line)["text"] for line in lines]


def test_a_mastodon_export() -> None:
    fetched, posts = fetch("formats/mastodon_outbox/philhawksworth")
    assert fetched.format == "mastodon-export"
    assert Counter(post.kind for post in posts) == {"reply": 120, "post": 34, "self-reply": 8}
    assert fetched.notices == ("26 boosts were skipped.", "1 post has no text.")  # 189 in all
    assert not any(tag in post.text for post in posts for tag in ("</p>", "<br", "&#39;"))
    spans = [post.text[span.start : span.end] for post in posts for span in post.spans]
    assert len(spans) == 33 and all(span.startswith("http") for span in spans)


FILES = ("posts", "cleaned", "dropped")
MADE = [
    *(name for name, *_ in ARCHIVES),
    *(f"formats/{name}" for name, _ in DUMPS),
    "formats/mastodon_outbox/philhawksworth",
    "formats/mastodon_api_statuses/sudorandom_50634bd6.json",
    "formats/mastodon_api_statuses/sudorandom_9d58cc0b.json",
    "formats/bluesky_car/paul_staging.repo.car",
    "formats/bluesky_car/valid_repo_v3.car",
    "formats/bluesky_getAuthorFeed/benoist.dev_getAuthorFeed.json",
    "formats/bluesky_listRecords/shoo_listRecords.json",
]


@pytest.mark.parametrize("name", MADE)
def test_every_sample_becomes_a_bot_that_talks_or_is_too_short(
    name: str, bots: Path, tiny_base: Path
) -> None:
    """From the file to the post: nothing is lost on the way without a reason that is counted."""
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not at hand")
    recipe = tiny_recipe(tiny_base, epochs=0.1)
    recipe = replace(recipe, fetch=FetchConfig(max_posts=400))
    least = recipe.clean.min_characters
    try:
        made = make_bot(bots, [str(DATA / name)], recipe, name="sample")
        assert all(sample.text for sample in made.samples) and len(made.samples) == 3
    except TooFewPosts as few:
        assert f"a voice needs {least:,}" in few.sentence
    stages = open_bot(bots, "sample").read_run()["stages"]
    fetched, cleaned = stages["fetch"]["result"], stages["clean"]["result"]
    assert ("report" in stages) == (cleaned["characters"] >= least)
    assert fetched["posts"] == cleaned["downloaded"] > 0
    assert cleaned["downloaded"] == cleaned["kept"] + sum(cleaned["dropped"].values())
    lines = {each: (bots / "sample" / f"{each}.jsonl").read_text().count("\n") for each in FILES}
    assert lines["posts"] == lines["cleaned"] + lines["dropped"] == fetched["posts"]
