"""Grailbird, JSON lines, tables and texts: the shapes that people's files have."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archives import json_lines, posts_of, unpacked, zipped
from mynah.config import FetchConfig
from mynah.records import Post, Span, post_to_json
from mynah.sources import read

HEADER = (
    '"tweet_id","in_reply_to_status_id","in_reply_to_user_id","timestamp","source","text",'
    '"retweeted_status_id","retweeted_status_user_id","retweeted_status_timestamp","expanded_urls"'
)


def month(name: str, *tweets: dict) -> bytes:
    return f"Grailbird.data.tweets_{name} = \n {json.dumps(list(tweets))}".encode()


def grailbird_tweet(id_: str, text: str, **fields: object) -> dict:
    user = {"screen_name": "oldgull", "id_str": "77", "name": "Old Gull"}
    base = {"id_str": id_, "id": float(id_), "text": text, "user": user, "entities": {}}
    return base | {"created_at": "2013-05-31 22:29:28 +0000"} | fields


def grailbird_files() -> dict[str, bytes]:
    short = {"url": "http://t.co/abcdefghij", "indices": [7, 29]}
    cut = {"url": "http://t.co/klmnopqrst", "indices": [30, 31]}
    text = "Look & http://t.co/abcdefghij …"
    return {
        "data/js/user_details.js": b'var user_details =  {"screen_name": "oldgull", '
        b'"full_name": "Old Gull", "bio": "since 2009", "id": "77"}',
        "data/js/tweets/2013_05.js": month(
            "2013_05",
            grailbird_tweet("340595914295111682", text, entities={"urls": [short, cut]}),
            grailbird_tweet("2", "More.", in_reply_to_user_id=77, in_reply_to_user_id_str="77"),
        ),
        "data/js/tweets/2009_03.js": month(
            "2009_03", grailbird_tweet("1", "RT @x: cut…", retweeted_status={"text": "cut off"})
        ),
    }


@pytest.mark.parametrize("make", [zipped, unpacked])
def test_grailbird(tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]) -> None:
    fetched = read(str(make(tmp_path / "old.zip", grailbird_files())), FetchConfig())
    posts = list(fetched.posts)
    assert fetched.format == "grailbird"
    assert [(post.id, post.kind) for post in posts] == [
        ("1", "repost"),
        ("340595914295111682", "post"),
        ("2", "self-reply"),
    ]
    assert posts[1].spans == (Span(start=7, end=29, kind="url"),)
    [account] = fetched.accounts
    assert (account.handle, account.name, account.own_archive) == ("oldgull", "Old Gull", True)
    assert fetched.notices == ("1 repost is cut short by X.",)


def test_grailbird_without_details_takes_the_name_from_a_tweet(tmp_path: Path) -> None:
    files = grailbird_files()
    del files["data/js/user_details.js"]
    fetched = read(str(zipped(tmp_path / "old.zip", files)), FetchConfig())
    assert [(account.handle, account.name) for account in fetched.accounts] == [
        ("oldgull", "Old Gull")
    ]


def test_tweets_csv_alone(tmp_path: Path) -> None:
    rows = [
        '"12","11","77","2013-05-31 22:29:28 +0000","web","A ""thread"",\ntwo lines","","","",""',
        '"11","5","3","2013-05-30 22:29:28 +0000","web","@x &lt;3","","","",""',
        '"10","","","2013-05-29 22:29:28 +0000","web","RT @x: hm","9","3","2013-05-28","" ',
    ]
    data = "\r\n".join([HEADER, *rows]).encode()
    [one, two, three] = posts = posts_of(unpacked(tmp_path / "gull", {"tweets.csv": data}))
    assert [post.kind for post in posts] == ["self-reply", "reply", "repost"]
    assert one.text == 'A "thread",\ntwo lines' and one.created_at == "2013-05-31T22:29:28Z"
    assert two.escaped and three.author == "gull"
    assert [p.text for p in posts_of(tmp_path / "gull/tweets.csv")] == [p.text for p in posts]


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "created_at": "2020-01-01T00:00:00Z", "text": "one &amp; only", "lang": "en"},
        {"id": "2", "text": "RT @x: two", "is_retweet": True, "is_reply": False},
        {"id": 3, "text": "three", "is_retweet": False, "is_reply": True},
        {"text": "@x four", "is_reply": None},
        {"text": "@x five", "is_reply": False, "author": "@other"},
    ]
    path = tmp_path / "gull.jsonl.gz"
    path.write_bytes(gzip.compress(json_lines(*rows).encode()))
    fetched = read(f"file:{path}", FetchConfig())
    posts = list(fetched.posts)
    assert [post.kind for post in posts] == ["post", "repost", "reply", "reply", "post"]
    assert [post.id for post in posts[:3]] == ["1", "2", "3"]
    assert posts[0].escaped and not posts[1].escaped
    assert [account.handle for account in fetched.accounts] == ["gull", "other"]


def test_own_posts_jsonl_comes_back_as_it_was(tmp_path: Path) -> None:
    span = Span(start=0, end=2, kind="mention")
    post = Post(
        id="1",
        author="a",
        text="@b &amp;",
        source="jsonl",
        kind="self-reply",
        lang="en",
        url="https://x.com/a",
        escaped=True,
        spans=(span,),
        latest_id="2",
    )
    path = tmp_path / "posts.jsonl"
    path.write_text(json_lines(post_to_json(post)))
    assert posts_of(path) == [post]


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("\ufeffText;Created At;Lang\nHello, you;2020-01-01;de\n;;\n".encode())
    fetched = read(str(path), FetchConfig())
    [post] = fetched.posts
    assert (post.text, post.lang, post.author) == ("Hello, you", "de", "mine")
    assert post.created_at == "2020-01-01T00:00:00Z"
    assert "1 row has no text." in fetched.notices


def test_of_a_file_that_does_not_tell_nobody_could_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text("id,text,username\n1,one,ana\n2,two,bob\n")
    fetched = read(str(path), FetchConfig())
    assert fetched.consents == () and len(list(fetched.posts)) == 2
    assert [(each.account, each.checks[0].verdict) for each in fetched.consents] == [
        ("ana", "warns"),
        ("bob", "warns"),
    ]
    assert "whether its author agreed" in fetched.notices[0]
    own = read(str(zipped(tmp_path / "old.zip", grailbird_files())), FetchConfig())
    assert list(own.posts) and own.consents == ()


def test_a_scraped_table(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text(
        ",Datetime,Tweet Id,Text,Username\n"
        '0,2022-11-07 02:32:45+00:00,1589445722302447618,"a\nb",gull\n'
        "1,2022-11-06 02:32:45+00:00,1589445722302447000,@x c,gull\n"
        "2\n"
    )
    one, two = posts_of(path)
    assert (one.id, one.text, one.author) == ("1589445722302447618", "a\nb", "gull")
    assert one.created_at == "2022-11-07T02:32:45Z" and two.kind == "reply"


def test_texts_written_as_python_bytes(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text(
        "id,created_at,text\n"
        "1,2019-08-18 04:05:41,b'caf\\xc3\\xa9 \\xf0\\x9f\\x8c\\x8a\\nit\\'s'\n"
        '2,2019-08-18 04:05:41,"b""it\'s"""\n'
        "3,2019-08-18 04:05:41,b'RT @x: hm'\n"
        "4,2019-08-18 04:05:41,b'cut \\xf0\\x9f\n"
        "5,2019-08-18 04:05:41,b'\\xff' or b'?'\n"
    )
    posts = posts_of(path)
    assert [post.text for post in posts[:2]] == ["café 🌊\nit's", "it's"]
    assert posts[2].kind == "repost"
    assert posts[3].text == "b'cut \\xf0\\x9f"
    assert posts[4].text == "b'\\xff' or b'?'"


def test_ids_ruined_by_a_spreadsheet_are_made_up_and_stay(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text("tweet_id,text\n8.92E+17,a\n8.92E+17,b\n892420643555336193.0,b\n12,c\n")
    fetched = read(str(path), FetchConfig())
    posts = list(fetched.posts)
    assert len({post.id for post in posts}) == 4 and posts[3].id == "12"
    assert all(post.id.startswith("made-") for post in posts[:3])
    assert [post.id for post in posts_of(path)] == [post.id for post in posts]
    assert "3 ids were ruined by a spreadsheet and are made up." in fetched.notices


def test_unix_times_and_types(tmp_path: Path) -> None:
    path = tmp_path / "dump.csv"
    path.write_text(
        "tweet_id,time,hashtags,type,text\n"
        '1,1381113651,"[""l""]",,one\n2,1431609504,[],rt:598,two\n3,1379029164,[],r:22,three\n'
    )
    posts = posts_of(path)
    assert [post.kind for post in posts] == ["post", "repost", "reply"]
    assert posts[0].created_at == "2013-10-07T02:40:51Z"


def test_one_post_a_line(tmp_path: Path) -> None:
    path = tmp_path / "gull.txt"
    path.write_bytes("\ufeffone\r\n\r\n  two 🌊 \nsaid \u2028 this\none".encode())
    posts = posts_of(path)
    assert [post.text for post in posts] == ["one", "two 🌊", "said \u2028 this", "one"]
    assert len({post.id for post in posts}) == 4 and posts[0].author == "gull"


def test_content_decides_not_the_ending(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text(json_lines({"text": "one"}))
    table = tmp_path / "table.txt"
    table.write_text("id,text\n1,one\n")
    assert read(str(lines), FetchConfig()).format == "jsonl"
    assert read(str(table), FetchConfig()).format == "csv"
    odd = zipped(tmp_path / "archive.bin", grailbird_files())
    assert read(str(odd), FetchConfig()).format == "grailbird"
