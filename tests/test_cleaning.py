"""Which posts stay, which go, and that the counts add up."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.cleaning import (
    REASONS,
    Cleaned,
    clean,
    cleaned_to_json,
    dropped_to_json,
    fold,
    read_cleaned,
    read_dropped,
)
from mynah.config import CleaningConfig
from mynah.records import Account, Post
from mynah.run_folder import write_rows
from test_cleaning_text import KINDS, SPANS, TEXTS

ACCOUNTS = sorted((Path(__file__).parents[2] / "shared/data/accounts").glob("*.jsonl.gz"))
PLAIN = CleaningConfig()


def posts(*texts: str, **more: object) -> list[Post]:
    return [
        Post(id=str(n), author="ana", text=text, source="test", **more)  # type: ignore[arg-type]
        for n, text in enumerate(texts, start=1)
    ]


def reasons(cleaned: Cleaned) -> dict[str, str]:
    return {post.id: post.reason for post in cleaned.dropped}


def test_a_post_that_the_source_cut_short_teaches_nobody_to_stop_there() -> None:
    cut = Post(id="9", author="ana", text="the gulls are late and so…", source="test", cut=True)
    assert reasons(clean([*posts("the gulls are late today"), cut], PLAIN)) == {"9": "cut"}


def test_every_post_is_selected_or_dropped_with_its_reason() -> None:
    cleaned = clean(
        [
            *posts("the gulls are late today", "https://t.co/aB3", "hello there", "RT @bob: mine"),
            Post(id="5", author="ana", text="not my words", source="test", kind="repost"),
            Post(id="6", author="ana", text="The gulls are late TODAY!", source="test"),
            Post(id="7", author="ana", text="the gulls are\nlate today", source="test"),
        ],
        PLAIN,
    )
    assert [post.text for post in cleaned.selected] == ["the gulls are late today"]
    assert reasons(cleaned) == {
        "2": "empty",
        "3": "short",
        "4": "repost",
        "5": "repost",
        "6": "near-duplicate",
        "7": "duplicate",
    }
    assert {post.id: post.detail for post in cleaned.dropped if post.detail} == {"6": "1", "7": "1"}
    assert cleaned.table() == {
        "downloaded": 7,
        "kept": 1,
        "dropped": {
            "repost": 2,
            "cut": 0,
            "edited": 0,
            "reply": 0,
            "content-warning": 0,
            "empty": 1,
            "short": 1,
            "duplicate": 1,
            "near-duplicate": 1,
        },
        "by_author": {
            "ana": {key: cleaned.table()[key] for key in ("downloaded", "kept", "dropped")}
        },
        "replaced": {"email": 0, "iban": 0, "ip": 0, "phone": 0},
    }


def test_a_dropped_post_keeps_its_text_to_the_letter() -> None:
    stored = "RT @bob: salt &amp; pepper\nhttps://t.co/aB3 "
    assert clean(posts(stored, escaped=True), PLAIN).dropped[0].text == stored


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("one two three", None),
        ("one two", "short"),
        ("one two @bob #tag", "short"),
        ("one two three @bob", None),
        ("one two https://t.co/aB3 three", None),
        ("one two https://t.co/aB3", "short"),
        ("see HTTP/2 now", "short"),  # the original counts no word that holds `http`, in any case
        ("#gulls", "short"),
        ("@bob @eve", "empty"),
        ("", "empty"),
        (" \n\u200b", "empty"),
        ("今日はいい天気ですね", None),  # no spaces, yet more than three words
        ("今日", "short"),
        ("今日は@bobと海へ行きました", None),
        ("#今日はいい天気ですね", "short"),
    ],
)
def test_short_is_judged_by_the_words_that_are_ones_own(text: str, reason: str | None) -> None:
    assert reasons(clean(posts(text), PLAIN)).get("1") == reason


def test_min_words_changes_what_is_short() -> None:
    assert not clean(posts("one two"), CleaningConfig(min_words=2)).dropped


def test_only_the_last_version_of_an_edited_post_stays() -> None:
    versions = [
        Post(id=id, author="ana", text=text, source="test", latest_id="12")
        for id, text in [("9", "the fog is in"), ("12", "the fog is out"), ("10", "the fog is on")]
    ]
    assert reasons(clean(versions, PLAIN)) == {"9": "edited", "10": "edited"}


def test_an_edited_post_whose_last_version_is_missing_keeps_the_newest_there_is() -> None:
    versions = [
        Post(id=id, author="ana", text=f"the fog is {id}", source="test", latest_id="12")
        for id in ("9", "10")
    ]
    assert [post.id for post in clean(versions, PLAIN).selected] == ["10"]


def test_replies_stay_unless_asked_and_threads_stay_always() -> None:
    said = [
        Post(id="1", author="ana", text="@bob I saw it too", source="test", kind="reply"),
        Post(id="2", author="ana", text="and then it rained", source="test", kind="self-reply"),
    ]
    assert [post.text for post in clean(said, PLAIN).selected] == [
        "I saw it too",
        "and then it rained",
    ]
    assert reasons(clean(said, CleaningConfig(drop_replies=True))) == {"1": "reply"}


def test_of_two_alike_the_older_stays_in_whatever_order_they_come() -> None:
    new = Post(
        id="1", author="a", text="good morning sea", source="t", created_at="2024-05-01T00:00:00Z"
    )
    old = Post(
        id="2", author="a", text="Good morning, sea!", source="t", created_at="2019-05-01T00:00:00Z"
    )
    for order in ([new, old], [old, new]):
        cleaned = clean(order, PLAIN)
        assert [post.id for post in cleaned.selected] == ["2"]
        assert cleaned.dropped[0].detail == "2"


def test_selected_posts_are_by_account_and_oldest_first() -> None:
    days = [("b", "03"), ("a", "02"), ("b", "01"), ("a", None), ("a", "01")]
    given_posts = [
        Post(
            id=f"{n}",
            author=author,
            text=f"{'word ' * (n + 3)}",
            source="test",
            created_at=day and f"2024-01-{day}T00:00:00Z",
        )
        for n, (author, day) in enumerate(days)
    ]
    cleaned = clean(given_posts, PLAIN)
    assert [(post.author, post.id) for post in cleaned.selected] == [
        ("b", "2"),
        ("b", "0"),
        ("a", "3"),
        ("a", "4"),
        ("a", "1"),
    ]
    assert cleaned.authors == ("b", "a")


def test_duplicates_can_be_kept() -> None:
    twice = posts("the gulls are late", "the gulls are late")
    assert len(clean(twice, CleaningConfig(keep_duplicates=True)).selected) == 2


def test_a_clock_that_strikes_every_hour_folds_into_twelve_posts() -> None:
    strikes = [("DONG " * (hour % 12 + 1)).strip() + "!" * (hour % 3) for hour in range(3_000)]
    cleaned = clean(posts(*strikes), PLAIN)
    assert len(cleaned.selected) == 10  # one and two strokes are too short
    assert cleaned.table()["dropped"]["short"] == 500
    assert cleaned.table()["downloaded"] == 3_000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Launch at 5:42 am!", "launch at 10:36 AM", True),
        ("You’re welcome! 👌🏼", "you're welcome ✌", True),
        ("𝓖𝓸𝓸𝓭 morning", "good morning", True),
        ("7/10", "9/10", False),
        ("🌊🌊🌊", "🔥🔥🔥", False),
        ("part 1 of it", "part of it", False),
        ("good morning", "good mourning", False),
    ],
)
def test_folding_forgets_case_punctuation_emoji_and_figures(
    one: str, other: str, same: bool
) -> None:
    assert (fold(one) == fold(other)) is same


def test_personal_data_goes_from_ones_own_archive_and_stays_in_a_public_account() -> None:
    bob = Post(id="2", author="bob", text="or ask bob@example.org about it", source="test")
    said = [*posts("write to ana@example.org about it"), bob]
    own = [Account(handle="ana", own_archive=True), Account(handle="bob")]
    cleaned = clean(said, PLAIN, accounts=own)
    assert [post.text for post in cleaned.selected] == [
        "write to [email] about it",
        "or ask bob@example.org about it",
    ]
    assert cleaned.table()["replaced"]["email"] == 1
    both = clean(said, CleaningConfig(pii=True))
    assert both.table()["replaced"]["email"] == 2
    neither = clean(said, CleaningConfig(pii=False), accounts=own)
    assert neither.table()["replaced"]["email"] == 0


def test_personal_data_counts_only_where_it_would_have_been_learned() -> None:
    cleaned = clean(posts("ana@example.org"), CleaningConfig(pii=True))
    assert cleaned.table()["replaced"]["email"] == 0


def test_languages_are_kept_where_they_are_languages() -> None:
    for tag, kept in [("en", "en"), ("in", "id"), ("qme", None), ("und", None), (None, None)]:
        assert clean(posts("the gulls are late", lang=tag), PLAIN).selected[0].lang == kept


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    cleaned = clean(posts("the gulls “are” late 🌊", "RT @bob: x"), PLAIN)
    write_rows(tmp_path / "cleaned.jsonl", map(cleaned_to_json, cleaned.selected))
    write_rows(tmp_path / "dropped.jsonl", map(dropped_to_json, cleaned.dropped))
    assert tuple(read_cleaned(tmp_path / "cleaned.jsonl")) == cleaned.selected
    assert tuple(read_dropped(tmp_path / "dropped.jsonl")) == cleaned.dropped


POSTS = st.lists(
    st.builds(
        Post,
        id=st.text("0123456789a", max_size=4),
        author=st.sampled_from(["ana", "bob", ""]),
        text=TEXTS,
        source=st.just("test"),
        created_at=st.none() | st.sampled_from(["2020-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]),
        kind=KINDS | st.just("repost"),
        lang=st.none() | st.text(max_size=4),
        escaped=st.booleans(),
        spans=SPANS,
        latest_id=st.none() | st.text("0123456789", max_size=2),
    ),
    max_size=8,
)
CONFIGS = st.builds(
    CleaningConfig,
    min_words=st.integers(0, 4),
    drop_replies=st.booleans(),
    keep_duplicates=st.booleans(),
    pii=st.booleans(),
)


@given(POSTS, CONFIGS)
def test_nothing_is_lost_in_silence(given_posts: list[Post], config: CleaningConfig) -> None:
    cleaned = clean(given_posts, config)
    table = cleaned.table()
    assert table["downloaded"] == len(given_posts)
    for row in (table, *table["by_author"].values()):
        assert row["downloaded"] == row["kept"] + sum(row["dropped"].values())
        assert tuple(row["dropped"]) == REASONS
    assert sum(row["downloaded"] for row in table["by_author"].values()) == len(given_posts)
    went_in = sorted((post.author, post.id) for post in given_posts)
    came_out = sorted((post.author, post.id) for post in (*cleaned.selected, *cleaned.dropped))
    assert went_in == came_out


@given(POSTS, CONFIGS)
def test_cleaning_what_is_clean_changes_nothing(
    given_posts: list[Post], config: CleaningConfig
) -> None:
    once = clean(given_posts, config)
    again = [
        Post(id=post.id, author=post.author, text=post.text, source="test", lang=post.lang)
        for post in once.selected
        if not post.text.startswith("RT @")  # a link in the middle can have hidden the mark
    ]
    assert [post.text for post in clean(again, config).selected] == [post.text for post in again]


@pytest.mark.skipif(not ACCOUNTS, reason="the real accounts are not here")
@pytest.mark.parametrize("path", ACCOUNTS, ids=lambda path: path.name.split(".")[0])
def test_the_table_adds_up_on_real_accounts(path: Path) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    stored = [
        Post(
            id=row["id"],
            author="someone",
            text=row["text"],
            source="test",
            created_at=row["created_at"],
            kind="repost" if row["is_retweet"] else "reply" if row["is_reply"] else "post",
            lang=row["lang"],
            escaped=True,
        )
        for row in rows
    ]
    table = clean(stored, PLAIN).table()
    assert table["downloaded"] == len(rows)
    assert table["downloaded"] == table["kept"] + sum(table["dropped"].values())
    assert table["dropped"]["repost"] == sum(bool(row["is_retweet"]) for row in rows)
    assert table["kept"] > len(rows) / 2
