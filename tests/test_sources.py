"""X archives of all layouts: what is read, and that what is private is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from archives import (
    ACCOUNT,
    EMAIL,
    ME,
    MY_ID,
    builder,
    note,
    posts_of,
    sample_zip,
    tweet,
    unpacked,
    x_files,
    ytd,
    zipped,
)
from mynah.config import FetchConfig
from mynah.records import Post, Span, post_from_json, post_to_json
from mynah.sources import read, read_all
from mynah.sources.times import to_utc


def one(tmp_path: Path, entry: dict, **more: bytes) -> Post:
    [post] = posts_of(zipped(tmp_path / "x.zip", x_files(entry, **more)))
    return post


def test_an_archive_gives_posts_account_and_hashes(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "tide.zip")
    fetched = read(f"archive:{path}", FetchConfig())
    posts = sorted(fetched.posts, key=lambda post: post.created_at or "")
    assert fetched.format == "x-archive-2022"
    assert [post.kind for post in posts] == ["post", "self-reply", "reply", "repost", "post"]
    assert posts[0].text == "Wave one was smaller than the forecast &amp; louder."
    assert posts[0].escaped and not posts[1].escaped
    assert posts[0].created_at == "2023-04-01T07:00:00Z"
    assert posts[0].url == f"https://x.com/{ME}/status/{posts[0].id}"
    assert posts[2].spans == (Span(start=0, end=7, kind="mention"),)
    assert posts[3].text == "RT @gull_7: Fish again"
    [media] = posts[4].spans
    assert media.kind == "media" and posts[4].text[media.start : media.end].startswith("https://t")
    [account] = fetched.accounts
    assert (account.handle, account.name) == (ME, ACCOUNT["display_name"])
    assert account.bio == "I count waves & lose count." and account.own_archive
    expected = hashlib.sha256(builder.members(builder.build(ACCOUNT, []))["data/note-tweet.js"])
    assert fetched.input_hashes()["tide.zip/data/note-tweet.js"] == expected.hexdigest()
    assert set(fetched.input_hashes()) == {
        f"tide.zip/data/{name}.js" for name in ("tweets", "note-tweet", "community-tweet")
    }


def test_zip_folder_data_folder_and_single_member_agree(tmp_path: Path) -> None:
    files = x_files(tweet(1), tweet(2, "Another wave."))
    expected = posts_of(zipped(tmp_path / "x.zip", files))
    folder = unpacked(tmp_path / "x", files)
    assert posts_of(folder) == expected
    assert posts_of(folder / "data") == expected
    assert posts_of(folder / "data/tweets.js") == expected
    again = zipped(tmp_path / "y.zip", {f"twitter-2024/{name}": d for name, d in files.items()})
    assert posts_of(again) == expected


def test_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"data/tweets.js": ytd("tweets", [tweet(1)])}
    monkeypatch.chdir(unpacked(tmp_path / "gull", files))
    [post] = posts_of(Path())
    assert post.author == "gull"


def test_the_email_is_nowhere(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "tide.zip")
    fetched = read(str(path), FetchConfig())
    everything = repr(([*fetched.posts], fetched.accounts, fetched.notices, fetched.input_hashes()))
    assert EMAIL not in everything and "mail.example" not in everything


def test_private_members_are_left_out(tmp_path: Path) -> None:
    secret = ytd("x", [tweet(9, "secret")])
    private = (
        "direct-messages",
        "like",
        "deleted-tweets",
        "twitter-circle-tweet",
        "grok-chat-item",
    )
    files = x_files(tweet(1)) | {f"data/{name}.js": secret for name in private}
    assert [post.id for post in posts_of(zipped(tmp_path / "x.zip", files))] == ["1"]


def test_parts_come_from_the_manifest_and_from_names(tmp_path: Path) -> None:
    """A parser that knows one file name alone once lost 67,000 of 77,000 posts."""
    files = x_files(tweet(1), community_tweet=ytd("community_tweet", [tweet(4, "To a community.")]))
    files["data/tweets-part1.js"] = ytd("tweets", [tweet(2)])
    files["data/tweets-part10.js"] = ytd("tweets", [tweet(3)])
    assert [p.id for p in posts_of(zipped(tmp_path / "a.zip", files))] == ["4", "1", "2", "3"]
    listed = {"tweets": {"files": [{"fileName": "data/odd-name.js", "count": "1"}]}}
    files["data/odd-name.js"] = ytd("tweets", [tweet(5)])
    files["data/manifest.js"] = builder.script("__THAR_CONFIG", {"dataTypes": listed})
    assert {p.id for p in posts_of(zipped(tmp_path / "b.zip", files))} == {"1", "2", "3", "4", "5"}
    del files["data/manifest.js"]
    assert len(posts_of(zipped(tmp_path / "c.zip", files))) == 4


def test_a_part_that_is_listed_but_absent_is_told(tmp_path: Path) -> None:
    files = x_files(tweet(1))
    listed = {"tweets": {"files": [{"fileName": "data/tweets-part1.js", "count": "7"}]}}
    files["data/manifest.js"] = builder.script("__THAR_CONFIG", {"dataTypes": listed})
    fetched = read(str(zipped(tmp_path / "x.zip", files)), FetchConfig())
    assert len(list(fetched.posts)) == 1
    assert "tweets-part1.js is listed in the manifest" in fetched.notices[0]


def test_several_zips_of_one_archive_are_one_source(tmp_path: Path) -> None:
    first = zipped(tmp_path / "1.zip", x_files(tweet(1), tweet(2)))
    second = zipped(tmp_path / "2.zip", x_files(tweet(2), tweet(3)))
    third = zipped(tmp_path / "3.zip", x_files())
    fetched = read_all([str(first), str(second), str(third)], FetchConfig())
    assert [post.id for post in fetched.posts] == ["1", "2", "3"]
    assert fetched.notices == (
        "3.zip holds no post.",
        "1 post came twice and is read once.",
    )
    assert len(fetched.accounts) == 1 and len(fetched.inputs) == 3


def test_layouts_of_2018_and_2020(tmp_path: Path) -> None:
    old = {
        "tweet.js": ytd("tweet", [tweet(1)["tweet"]]),
        "account.js": ytd("account", [{"account": {"username": ME, "accountId": MY_ID}}]),
    }
    fetched = read(str(zipped(tmp_path / "2018.zip", old)), FetchConfig())
    assert fetched.format == "x-archive-2018" and fetched.accounts[0].handle == ME
    assert [post.id for post in fetched.posts] == ["1"]
    files = {f"data/{name}": data for name, data in old.items()}
    files["data/tweet.js"] = ytd("tweet", [tweet(1)])
    assert read(str(zipped(tmp_path / "2020.zip", files)), FetchConfig()).format == "x-archive-2020"


@pytest.mark.parametrize("wrap", ["\ufeff{}", "{};\n", "\ufeff{}\n;\n", "\n{}"])
def test_marks_around_the_list_are_tolerated(tmp_path: Path, wrap: str) -> None:
    files = x_files()
    files["data/tweets.js"] = wrap.format(ytd("tweets", [tweet(1)]).decode()).encode()
    assert len(posts_of(zipped(tmp_path / "x.zip", files))) == 1


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "post"),
        ({"full_text": "RT @a_b: hi", "retweeted": False}, "repost"),
        ({"full_text": "RT if you like waves"}, "post"),
        ({"in_reply_to_user_id_str": MY_ID}, "self-reply"),
        ({"in_reply_to_screen_name": ME.upper()}, "self-reply"),
        ({"in_reply_to_user_id_str": "7", "in_reply_to_screen_name": "gull"}, "reply"),
        ({"in_reply_to_status_id_str": "7"}, "reply"),
        ({"in_reply_to_user_id_str": None}, "post"),
        ({"entities": {"urls": [{"expanded_url": "https://twitter.com/a/status/12"}]}}, "quote"),
        ({"entities": {"urls": [{"expanded_url": "https://x.com/a/status/12?s=20"}]}}, "quote"),
        ({"entities": {"urls": [{"expanded_url": "https://notx.com/a/status/12"}]}}, "post"),
        ({"entities": {"urls": [{"expanded_url": "not [a url"}, None]}}, "post"),
    ],
)
def test_kinds(tmp_path: Path, fields: dict, kind: str) -> None:
    assert one(tmp_path, {"tweet": tweet(1)["tweet"] | fields}).kind == kind


def test_spans_count_code_points_of_the_escaped_text(tmp_path: Path) -> None:
    text = "🌊🌊 &amp; https://t.co/abcdefghij then https://t.co/klmnopqrst"
    urls = [{"url": "https://t.co/abcdefghij", "indices": ["9", "32"], "expanded_url": "a"}]
    media = [{"url": "https://t.co/klmnopqrst", "indices": ["38", "61"]}] * 4
    post = one(tmp_path, tweet(1, text, entities={"urls": urls, "media": media}))
    assert [(span.kind, text[span.start : span.end]) for span in post.spans] == [
        ("url", "https://t.co/abcdefghij"),
        ("media", "https://t.co/klmnopqrst"),
    ]


def test_wrong_spans_are_left_out(tmp_path: Path) -> None:
    bad = (["0", "5"], ["-1", "5"], ["5"], ["50", "99"], ["x", "y"], [True, 3], None, ["9", "4"])
    urls = [{"url": "https://t.co/a", "indices": indices} for indices in bad]
    entry = tweet(1, "Look: https://t.co/a", entities={"urls": [*urls, 3], "media": {"a": 1}})
    assert one(tmp_path, entry).spans == ()


def test_only_mentions_that_open_the_post_are_spans(tmp_path: Path) -> None:
    text = "@gull @Crab hello @gull"
    names = [("gull", 0, 5), ("crab", 6, 11), ("gull", 18, 23)]
    mentions = [{"screen_name": n, "indices": [str(a), str(b)]} for n, a, b in names]
    post = one(tmp_path, tweet(1, text, entities={"user_mentions": mentions}))
    assert [(span.start, span.end) for span in post.spans] == [(0, 5), (6, 11)]


def test_every_version_of_an_edited_post_knows_the_last(tmp_path: Path) -> None:
    row = {"at": "2023-04-01T07:00:00Z", "text": "three", "earlier": ["one", "two"]}
    archive = builder.build(ACCOUNT, [row])
    posts = posts_of(zipped(tmp_path / "x.zip", builder.members(archive)))
    last = next(post for post in posts if post.text == "three")
    assert [post.latest_id for post in posts] == [last.id] * 3


@pytest.mark.parametrize(
    ("lang", "expected"),
    [("en", "en"), ("qme", None), ("zxx", None), ("und", None), ("art", None), ("qst", None),
     ("in", "id"), ("iw", "he"), ("zh-TW", "zh-TW"), (None, None), (5, None)],
)  # fmt: skip
def test_languages(tmp_path: Path, lang: object, expected: str | None) -> None:
    assert one(tmp_path, tweet(1, lang=lang)).lang == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Thu Nov 03 08:50:26 +0000 2022", "2022-11-03T08:50:26Z"),
        ("2009-03-31 00:00:00 +0000", "2009-03-31T00:00:00Z"),
        ("2023-02-01T10:00:00.000Z", "2023-02-01T10:00:00Z"),
        ("2023-02-01 12:30:00+02:00", "2023-02-01T10:30:00Z"),
        ("2023-02-01", "2023-02-01T00:00:00Z"),
        ("1381113651", "2013-10-07T02:40:51Z"),
        (1381113651000, "2013-10-07T02:40:51Z"),
        ("2006-03-20T23:59:59Z", None),
        ("Sat Jan 01 00:00:00 +0000 1970", None),
        ("Thu Feb 31 08:50:26 +0000 2022", None),
        ("0", None),
        ("yesterday", None),
        (True, None),
        (None, None),
        ("9" * 40, None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_times(written: object, expected: str | None) -> None:
    assert to_utc(written) == expected


def test_lone_surrogates_never_leave_a_reader(tmp_path: Path) -> None:
    files = x_files()
    body = b'[{"tweet": {"id_str": "1", "full_text": "half \\ud83d here, whole \\ud83c\\udf0a"}}]'
    files["data/tweets.js"] = b"window.YTD.tweets.part0 = " + body
    [post] = posts_of(zipped(tmp_path / "x.zip", files))
    assert post.text == "half \ufffd here, whole 🌊"


LONG = "The harbour master has asked me to explain, once and for all, why the tide tables are " * 5


def test_a_long_post_gets_its_full_text(tmp_path: Path) -> None:
    full = LONG.strip() + " &amp; more https://t.co/abcdefghij"
    start = full.index("https")
    link = {
        "shortUrl": "https://t.co/abcdefghij",
        "fromIndex": str(start),
        "toIndex": str(len(full)),
    }
    notes = ytd("note_tweet", [note(5, full, "2023-04-01T07:00:02.000Z", urls=[link])])
    post = one(tmp_path, tweet(6, LONG[:250] + "… https://t.co/zzzzzzzzzz"), note_tweet=notes)
    assert post.text == full and post.escaped
    assert post.spans == (Span(start=start, end=len(full), kind="url"),)


def test_notes_join_by_beginning_not_by_time_alone(tmp_path: Path) -> None:
    """Of 41 real notes, time alone matched 27."""
    at = "2023-04-01T07:00:00.000Z"
    other = "A different beginning altogether, about gulls and what they think of ferries. " * 5
    notes = ytd("note_tweet", [note(4, other, at), note(5, LONG, at)])
    entries = [tweet(6, LONG[:250] + "…"), tweet(7, "@gull " + other[:240] + "…")]
    entries.append(tweet(8, "The harbour"))
    files = x_files(*entries, note_tweet=notes)
    texts = [post.text for post in posts_of(zipped(tmp_path / "x.zip", files))]
    assert texts == [LONG, other, "The harbour"]


def test_of_two_equal_notes_the_nearest_id_wins(tmp_path: Path) -> None:
    at = "2023-04-01T07:00:01.000Z"
    notes = ytd("note_tweet", [note(90, LONG + "late", at), note(19, LONG + "near", at)])
    post = one(tmp_path, tweet(20, LONG[:250] + "…"), note_tweet=notes)
    assert post.text.endswith("near")


def test_notes_without_a_post_are_told(tmp_path: Path) -> None:
    late = ytd("note_tweet", [note(5, LONG, "2023-04-01T07:00:03.000Z"), {"noteTweet": 3}])
    files = x_files(tweet(6, LONG[:250] + "…"), note_tweet=late)
    fetched = read(str(zipped(tmp_path / "x.zip", files)), FetchConfig())
    assert [post.text for post in fetched.posts] == [LONG[:250] + "…"]
    assert fetched.notices == ("2 long posts have no tweet to belong to and were left out.",)


def test_a_raw_note_is_not_escaped(tmp_path: Path) -> None:
    full = LONG + " if a < b, write &amp; as it is"
    notes = ytd("note_tweet", [note(5, full, "2023-04-01T07:00:00.000Z")])
    assert not one(tmp_path, tweet(6, LONG[:250] + "…"), note_tweet=notes).escaped


def test_entries_without_text_are_counted(tmp_path: Path) -> None:
    files = x_files(tweet(1), {"tweet": 5}, {}, tweet(2, text="", full_text=None))
    fetched = read(str(zipped(tmp_path / "x.zip", files)), FetchConfig())
    assert len(list(fetched.posts)) == 1
    assert fetched.notices == ("3 entries have no text.",)


def test_one_id_with_two_texts_keeps_both(tmp_path: Path) -> None:
    """Ids that a spreadsheet has rounded meet; no post may be lost by it."""
    posts = posts_of(zipped(tmp_path / "x.zip", x_files(tweet(1, "one"), tweet(1, "two"))))
    assert [post.text for post in posts] == ["one", "two"] and posts[0].id != posts[1].id


def test_the_newest_are_kept(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "tide.zip")
    fetched = read(str(path), FetchConfig(max_posts=2))
    assert {post.created_at for post in fetched.posts} == {
        "2023-04-03T09:00:00Z",
        "2023-04-04T10:00:00Z",
    }
    assert "3 older posts were left out by --max-posts." in fetched.notices


def test_posts_survive_the_way_through_posts_jsonl(tmp_path: Path) -> None:
    posts = posts_of(sample_zip(tmp_path / "tide.zip"))
    assert [post_from_json(post_to_json(post)) for post in posts] == posts


def test_the_builder_writes_the_same_bytes_again(tmp_path: Path) -> None:
    one, two = sample_zip(tmp_path / "1.zip"), sample_zip(tmp_path / "2.zip")
    assert one.read_bytes() == two.read_bytes()
