"""A small file of every source's kind, made here: nothing in them is anyone's post."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import car_files
import fediverse
from archives import MY_ID, builder, note, tweet, x_files, ytd

ME, NAME, OTHER = "tidekeeper", "Tide Keeper", "Gull Seven"
_WHO = "The ferry,A gull,My neighbour,The lighthouse,Some lobster,Our captain,The tide".split(",")
_DID = "has forgotten,keeps asking about,will not apologise for,counts,paints,mislaid".split(",")
_WHAT = "the harbour bell,nine wet ropes,a café & its soup,yesterday's fog 🌊,my left boot".split(
    ","
)


@dataclass(frozen=True)
class Sample:
    """One file, or the members of one zip, and what is in there."""

    reader: str  # name of the module that reads it
    name: str
    files: dict[str, bytes]  # one that is named as the sample itself is a plain file
    posts: int  # by the author, reposts counted
    rows: int
    author: str | None = None  # whom to name, in a chat

    @property
    def is_file(self) -> bool:
        """Tell whether it is no zip."""
        return list(self.files) == [self.name]

    @property
    def data(self) -> bytes:
        """Return the file's bytes."""
        return self.files[self.name] if self.is_file else zip_of(self.files)

    def write(self, folder: Path) -> Path:
        """Write it and return its path."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


def zip_of(files: dict[str, bytes]) -> bytes:
    """Return a zip whose members are stored as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, builder.ZIP_TIME), data)
    return buffer.getvalue()


def text(number: int) -> str:
    """Return a sentence; the first two hundred are all different."""
    who, did, what = (
        words[number // step % len(words)]
        for words, step in ((_WHO, 1), (_DID, len(_WHO)), (_WHAT, 1))
    )
    return f"{who} {did} {what}, for the {number + 2}nd day."


def when(number: int) -> datetime:
    """Return the time of a sentence, an hour and a day after the last."""
    return datetime(2023, 1, 9, 7, 15, 33, tzinfo=UTC) + timedelta(days=number, hours=number % 9)


def samples(count: int = 4) -> Iterator[Sample]:
    """Yield one sample of every kind, `count` sentences in each."""
    yield from (x_archive(count), grailbird(count), reddit(count), community(count))
    yield from (snscrape(count), snscrape_json(count), twint(count), twint_json(count))
    yield from (tweepy(count), tweepy_compat(count), twarc(count), twarc_flat(count), page(count))
    yield from (bluesky_records(count), bluesky_feed(count))
    yield from (telegram(count), telegram_account(count), discord(count))
    yield from (whatsapp_android(count), whatsapp_ios(count), whatsapp_american(count))
    yield from (own_lines(count), own_list(count), own_table(count), own_text(count))
    yield from (mastodon(count), mastodon_outbox(count), mastodon_statuses(count))
    yield dataset(count)
    yield bluesky(count)


def bluesky_post(number: int) -> dict[str, Any]:
    """Return the record of a post."""
    return car_files.post(text(number), createdAt=iso(number), langs=["en"])


def bluesky_address(number: int, did: str = car_files.DID) -> str:
    """Return where a post is."""
    return f"at://{did}/{car_files.POSTS}/3k{number:011}"


def bluesky_records(count: int) -> Sample:
    """Return two pages of an account's records, the second without any."""
    rows = [{"uri": bluesky_address(n), "cid": "b", "value": bluesky_post(n)} for n in range(count)]
    pages = [{"body": {"records": rows, "cursor": "3k"}, "code": 200}, {"body": {"records": []}}]
    return json_file("bluesky_json", "records.json", pages, count, count)


def bluesky_feed(count: int) -> Sample:
    """Return a page of an account's feed, with a repost."""
    author = {"did": car_files.DID, "handle": "tide.example", "displayName": NAME, "labels": []}
    feed: list[dict[str, Any]] = [
        {"post": {"uri": bluesky_address(n), "author": author, "record": bluesky_post(n)}}
        for n in range(count)
    ]
    other = {"did": "did:plc:other", "handle": "gull.example"}
    theirs = {"uri": bluesky_address(9, "did:plc:other"), "author": other}
    theirs["record"] = car_files.post("Someone else's words.")
    feed.append({"post": theirs, "reason": {"$type": "app.bsky.feed.defs#reasonRepost"}})
    value = {"cursor": "3k", "feed": feed}
    return json_file("bluesky_json", "feed.json", value, count, count + 1)


def x_archive(count: int) -> Sample:
    """Return an X archive with a long post."""
    rows = [x_tweet(n) for n in range(count)]
    long = ytd("note_tweet", [note(5, text(0) + " And more. " * 30, iso(0))])
    return Sample("x_archive", "x.zip", x_files(*rows, note_tweet=long), count, count)


def x_tweet(number: int, **fields: Any) -> dict[str, Any]:
    """Return the entry of a tweet."""
    created = when(number).strftime("%a %b %d %H:%M:%S +0000 %Y")
    return tweet(1_000_000 + number, text(number), created_at=created, **fields)


def iso(number: int) -> str:
    """Return a time as X's newer interfaces write it."""
    return when(number).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def grailbird(count: int) -> Sample:
    """Return an archive of 2012 to 2018."""
    rows = [
        {"id_str": str(n + 9), "text": text(n), "created_at": f"{when(n):%Y-%m-%d %H:%M:%S} +0000"}
        for n in range(count)
    ]
    month = f"Grailbird.data.tweets_2023_01 = \n {json.dumps(rows)}".encode()
    details = b'var user_details = {"screen_name":"tidekeeper","full_name":"Tide Keeper","id":"42"}'
    files = {"data/js/user_details.js": details, "data/js/tweets/2023_01.js": month}
    return Sample("grailbird", "old.zip", files, count, count)


def mastodon(count: int) -> Sample:
    """Return a Mastodon export, with a boost and a post for followers."""
    outbox = mastodon_outbox(count)
    return Sample(
        "mastodon_export", "masto.zip", fediverse.export(*toots(count)), count, outbox.rows
    )


def mastodon_outbox(count: int) -> Sample:
    """Return the outbox alone."""
    files = {"outbox.json": fediverse.outbox(*toots(count))}
    return Sample("mastodon_export", "outbox.json", files, count, count + 2)


def mastodon_statuses(count: int) -> Sample:
    """Return what the API gave, with an unlisted post and one of somebody else."""
    account = {
        "id": "7",
        "username": "buoy",
        "url": "https://sea.example/@buoy",
        "indexable": True,
    }
    rows = [fediverse.status(n, fediverse.content(text(n)), account=account) for n in range(count)]
    other = fediverse.status(98, account=account | {"id": "8"})
    rows += [fediverse.status(99, account=account, visibility="unlisted"), other]
    files = {"saved.json": json.dumps(rows, indent=1).encode()}
    return Sample("mastodon_statuses", "saved.json", files, count, count + 2)


def toots(count: int) -> Iterator[dict[str, Any]]:
    """Yield posts in HTML, the first to somebody, and two entries that are none."""
    shown, tag = fediverse.mention("coral", "reef.example")
    for number in range(count):
        body = f"<p>{shown} hello</p>" if not number else ""
        body += fediverse.content(text(number)) + f"<p>{fediverse.link('https://tide.example')}</p>"
        at = {"published": iso(number), "tag": [tag], "summary": "tides" if number % 2 else None}
        yield fediverse.note(number + 1, body, **at)
    yield fediverse.boost(count + 1)
    yield fediverse.note(count + 2, to=[f"{fediverse.ME}/followers"], cc=[])


def reddit(count: int) -> Sample:
    """Return Reddit's answer to a data request: as many comments as posts, one of each deleted."""
    shared = {"ip": "192.0.2.7", "subreddit": "tides", "gildings": "0"}
    posts = [
        {"id": f"p{n}", "permalink": f"https://www.reddit.com/p{n}", "date": reddit_time(n)}
        | shared
        | {"title": text(n), "url": "", "body": "> said they\n\nNot so." if n else "[deleted]"}
        for n in range(count // 2)
    ]
    comments = [
        {"id": f"c{n}", "permalink": f"https://www.reddit.com/c{n}", "date": reddit_time(n)}
        | shared
        | {"link": "l", "parent": "", "body": f"&gt; what?\n> who?\n\n{text(n)}", "media": ""}
        for n in range(count // 2, count)
    ] + [{"id": "c", "body": "[removed]"}]
    files = {
        "posts.csv": table(posts),
        "comments.csv": table(comments),
        "statistics.csv": b"statistic,value\naccount name,tidekeeper\nemail,me@mail.example\n",
        "messages.csv": b"id,permalink,thread_id,date,ip,from,to,subject,body\n1,,,,,a,b,,secret\n",
    }
    return Sample("reddit", "export_tidekeeper_20260101.zip", files, count - 1, count + 1)


def reddit_time(number: int) -> str:
    """Return a time as Reddit writes it."""
    return f"{when(number):%Y-%m-%d %H:%M:%S} UTC"


def table(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    """Return rows as CSV, with all the columns of the first."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def json_file(reader: str, name: str, value: Any, posts: int, rows: int, **more: Any) -> Sample:
    """Return a file with one JSON value."""
    data = json.dumps(value, ensure_ascii=False, indent=1).encode()
    return Sample(reader, name, {name: data}, posts, rows, **more)


def lines_file(reader: str, name: str, rows: list[dict[str, Any]], **more: Any) -> Sample:
    """Return a file with a JSON object a line."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return Sample(reader, name, {name: data}, len(rows), len(rows), **more)


def community(count: int) -> Sample:
    """Return a file of Community Archive, which has the long posts behind the tweets."""
    account = {"username": ME, "accountId": MY_ID, "accountDisplayName": NAME, "createdAt": iso(0)}
    value = {
        "upload-options": {"keepPrivate": False},
        "profile": [{"profile": {"description": {"bio": "I count."}}}],
        "account": [{"account": account}],
        "tweets": [x_tweet(n) for n in range(count - 1)],
        "like": [{"like": {"tweetId": "1", "fullText": "Someone else's words."}}],
        "community-tweet": [x_tweet(count - 1)],
        "note-tweet": [note(5, text(0) + " And more. " * 30, iso(0))],
    }
    return json_file("community_archive", "archive.json", value, count, count)


def snscrape(count: int) -> Sample:
    """Return a table as people wrote it with snscrape and pandas."""
    rows = [
        {"": n, "Datetime": f"{when(n):%Y-%m-%d %H:%M:%S}+00:00", "Tweet Id": 10**18 + n}
        | {"Text": text(n), "Username": ME}
        for n in range(count)
    ]
    return Sample("csv_file", "snscrape.csv", {"snscrape.csv": table(rows)}, count, count)


def snscrape_json(count: int) -> Sample:
    """Return what `snscrape --jsonl` writes."""
    rows = [
        {"_type": "snscrape.modules.twitter.Tweet", "url": f"https://twitter.com/{ME}/status/{n}"}
        | {"date": f"{when(n):%Y-%m-%dT%H:%M:%S}+00:00", "rawContent": text(n), "id": 10**18 + n}
        | {"user": {"_type": "User", "username": ME, "id": 42}, "lang": "en"}
        | {"inReplyToTweetId": 5 if n == 1 else None, "retweetedTweet": None, "quotedTweet": None}
        for n in range(count)
    ]
    return lines_file("json_lines", "snscrape.jsonl", rows)


def twint_row(number: int) -> dict[str, Any]:
    """Return a row of twint's, some of its columns left out."""
    at = when(number) + timedelta(hours=1)
    me = [{"screen_name": ME, "name": NAME, "id": MY_ID}]
    other = [{"screen_name": "gull_7", "name": OTHER, "id": "7"}]
    return {
        "id": 10**18 + number,
        "conversation_id": 10**18 + number,
        "created_at": f"{at:%Y-%m-%d %H:%M:%S} CET",
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H:%M:%S}",
        "timezone": "+0100",
        "user_id": MY_ID,
        "username": ME,
        "name": NAME,
        "tweet": text(number),
        "language": "en",
        "retweet": False,
        "quote_url": "https://twitter.com/x/status/1" if number == 2 else "",
        "user_rt": "",
        "retweet_id": "",
        "reply_to": me + other if number == 1 else me if number else [],
    }


def twint(count: int) -> Sample:
    """Return twint's table."""
    rows = [twint_row(n) for n in range(count)]
    return Sample("csv_file", "twint.csv", {"twint.csv": table(rows)}, count, count)


def twint_json(count: int) -> Sample:
    """Return twint's lines."""
    return lines_file("json_lines", "twint.json", [twint_row(n) for n in range(count)])


def status(number: int, **fields: Any) -> dict[str, Any]:
    """Return a tweet of v1.1 with its author."""
    user = {"id": 42, "id_str": "42", "screen_name": ME, "name": NAME, "description": "I count."}
    return x_tweet(number)["tweet"] | {"id": 1_000_000 + number, "user": user} | fields


def tweepy(count: int) -> Sample:
    """Return a list of tweets as tweepy gave them in extended mode."""
    rows = [status(n, truncated=False, is_quote_status=n == 1) for n in range(count)]
    return json_file("tweet_dump", "tweepy.json", rows, count, count)


def tweepy_compat(count: int) -> Sample:
    """Return lines as they came without extended mode, one cut, one with its text apart."""
    rows = []
    for number in range(count):
        row = status(number, truncated=number < 2)
        whole = row.pop("full_text")
        row["text"] = whole[:20] + "… https://t.co/x" if number < 2 else whole
        if number == 1:
            row["extended_tweet"] = {"full_text": whole, "entities": {"urls": []}}
        rows.append(row)
    return lines_file("tweet_dump", "stream.jsonl", rows)


def tweet_v2(number: int, **fields: Any) -> dict[str, Any]:
    """Return a tweet of v2."""
    row = {"id": str(10**18 + number), "text": text(number).replace("&", "&amp;"), "lang": "en"}
    return row | {"author_id": "42", "created_at": iso(number)} | fields


def page_v2(first: int, count: int) -> dict[str, Any]:
    """Return a page of v2: a reply, a quote, a long post among the others."""
    rows = [tweet_v2(n) for n in range(first, count)]
    rows[0]["referenced_tweets"] = [{"type": "replied_to", "id": "5"}]
    rows[0]["in_reply_to_user_id"] = "7"
    rows[-1]["note_post"] = {"text": text(count) + " And more.", "entities": {"urls": []}}
    users = [{"id": "42", "username": ME, "name": NAME}, {"id": "7", "username": "gull_7"}]
    includes = {"users": users, "tweets": [tweet_v2(99) | {"author_id": "7"}]}
    return {"data": rows, "includes": includes, "meta": {"result_count": len(rows)}}


def twarc(count: int) -> Sample:
    """Return twarc's pages, a line each."""
    pages = [page_v2(0, count // 2), {"meta": {"result_count": 0}}, page_v2(count // 2, count)]
    data = "".join(json.dumps(each) + "\n" for each in pages).encode()
    return Sample("tweet_dump", "twarc.jsonl", {"twarc.jsonl": data}, count, count)


def twarc_flat(count: int) -> Sample:
    """Return twarc's lines after `twarc2 flatten`."""
    author = {"id": "42", "username": ME, "name": NAME}
    rows = [tweet_v2(n, author=author) for n in range(count)]
    return lines_file("tweet_dump", "flat.jsonl", rows)


def page(count: int) -> Sample:
    """Return one page saved as it came."""
    return json_file("tweet_dump", "page.json", page_v2(0, count), count, count)


def telegram_messages(count: int) -> list[dict[str, Any]]:
    """Return messages of two people, `count` by the first, and four that are not to be read."""
    joined = {"id": 1, "type": "service", "date": "2023-01-01T00:00:00", "actor_id": "user42"}
    messages: list[dict[str, Any]] = [joined]
    for number in range(count):
        pieces: Any = [text(number)[:9], {"type": "bold", "text": text(number)[9:]}]
        mine = telegram_message(2 * number + 10, "user42", NAME, pieces)
        messages += [mine, telegram_message(2 * number + 11, "user7", OTHER, "Squawk.")]
    messages.append(messages[1] | {"id": 900, "forwarded_from": "The news"})
    messages.append(messages[1] | {"id": 901, "via_bot": "@gif"})
    messages.append(messages[1] | {"id": 902, "text": "", "photo": "photos/1.jpg"})
    return messages


def telegram_message(id_: int, person: str, name: str, said: Any) -> dict[str, Any]:
    """Return a message; every fourth is an answer to the one two before."""
    at = when(id_)
    message = {"id": id_, "type": "message", "date": f"{at:%Y-%m-%dT%H:%M:%S}", "text": said}
    message |= {"date_unixtime": str(int(at.timestamp())), "from": name, "from_id": person}
    return message | ({"reply_to_message_id": id_ - 2} if id_ % 4 == 0 else {})


def telegram(count: int) -> Sample:
    """Return one chat."""
    value = {"name": OTHER, "type": "personal_chat", "id": 5, "messages": telegram_messages(count)}
    rows = 2 * count + 4
    return json_file("telegram", "result.json", value, count, rows, author=NAME)


def telegram_account(count: int) -> Sample:
    """Return all chats of an account: two, with the same numbers in both."""
    half = telegram_messages(count // 2)
    chats = [{"name": OTHER, "id": id_, "messages": half} for id_ in (5, 6)]
    value = {
        "about": "Here is the data you requested.",
        "personal_information": {"user_id": 42},
        "contacts": {"list": [{"user_id": 7, "first_name": OTHER}]},
        "chats": {"about": "Chats.", "list": chats},
    }
    posts, rows = 2 * (count // 2), 2 * len(half)
    return json_file("telegram", "account.json", value, posts, rows, author="@tide keeper")


def discord(count: int) -> Sample:
    """Return a channel: two people, somebody who joins, a bot."""
    messages = []
    for number in range(count):
        messages.append(discord_message(number, ME, text(number), "Reply" if number else "Default"))
        messages.append(discord_message(number + 500, "gull_7", "Squawk.", "Default"))
    messages.append(discord_message(998, ME, "Joined the server.", "GuildMemberJoin"))
    messages.append(discord_message(999, "botty", "Level up!", "Default", isBot=True))
    messages.append(discord_message(1000, ME, "", "Default"))
    value = {"guild": {"id": "1", "name": "Pier"}, "channel": {"id": "2", "name": "general"}}
    value |= {"exportedAt": "2026-01-01T00:00:00+00:00", "messages": messages}
    return json_file("discord", "general.json", value, count, len(messages), author=f"@{ME}")


def discord_message(id_: int, name: str, said: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return a message."""
    author = {"id": f"1{name}", "name": name, "nickname": name.title(), "isBot": False} | more
    stamp = f"{when(id_):%Y-%m-%dT%H:%M:%S.123}+00:00"
    return {"id": str(id_), "type": kind, "timestamp": stamp, "content": said, "author": author}


def whatsapp_android(count: int) -> Sample:
    """Return a German chat from Android."""
    rows = ["09.01.23, 07:00 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt."]
    for number in range(count):
        stamp = f"{when(number):%d.%m.%y, %H:%M} -"
        rows += [
            f"{stamp} {NAME}: {text(number)}\nund: noch eine Zeile",
            f"{stamp} {OTHER}: Krächz",
        ]
    rows.append(f"{when(count):%d.%m.%y, %H:%M} - {NAME}: <Medien ausgeschlossen>")
    return chat("WhatsApp Chat.txt", "\n".join(rows), count, NAME)


def whatsapp_ios(count: int) -> Sample:
    """Return an American chat from an iPhone, in its zip."""
    rows = [
        f"[1/9/23, 7:00:00\u202fAM] {OTHER}: \u200eMessages and calls are end-to-end encrypted."
    ]
    for number in range(count):
        stamp = f"{when(number):%m/%d/%y, %I:%M:%S\u202f%p}"
        rows += [
            f"[{stamp}] {NAME}: {text(number)}",
            f"\u200e[{stamp}] {OTHER}: \u200eimage omitted",
            f"[{stamp}] {OTHER}: Squawk.",
        ]
    files = {"_chat.txt": ("\r\n".join(rows) + "\r\n").encode(), "0001-PHOTO.jpg": b"\xff\xd8"}
    return Sample("whatsapp", "chat.zip", files, count, len(rows), author=NAME)


def whatsapp_american(count: int) -> Sample:
    """Return an American chat from Android."""
    rows = ["1/9/23, 7:00 AM - Messages and calls are end-to-end encrypted."]
    for number in range(count):
        stamp = f"{when(number):%m/%d/%y, %I:%M %p} -"
        rows += [f"{stamp} {NAME}: {text(number)}", f"{stamp} +1 555 0100: Squawk."]
    return chat("WhatsApp Chat with Gull.txt", "\n".join(rows), count, NAME)


def chat(name: str, said: str, count: int, author: str) -> Sample:
    """Return a WhatsApp chat, whose rows are the lines that begin with a date."""
    rows = sum(line[:1].isdigit() for line in said.splitlines())
    return Sample("whatsapp", name, {name: said.encode()}, count, rows, author)


def own_lines(count: int) -> Sample:
    """Return JSON lines of one's own."""
    return lines_file("json_lines", "mine.jsonl", own_rows(count))


def own_list(count: int) -> Sample:
    """Return the same in one list."""
    return json_file("json_lines", "mine.json", own_rows(count), count, count)


def own_rows(count: int) -> list[dict[str, Any]]:
    """Return rows with a text and a date."""
    return [{"Text": text(n), "created at": iso(n), "author": ME} for n in range(count)]


def own_table(count: int) -> Sample:
    """Return a table that a spreadsheet has had in its hands."""
    rows = [{"tweet_id": "8.92E+17", "text": f"b{text(n)!a}"} for n in range(count)]
    rows = [row | {"created_at": iso(n)} for n, row in enumerate(rows)] + [{"text": ""}]
    return Sample("csv_file", "mine.csv", {"mine.csv": table(rows, ";")}, count, count + 1)


def own_text(count: int) -> Sample:
    """Return a post a line."""
    data = "\n".join(text(n) for n in range(count)).encode()
    return Sample("text_file", "mine.txt", {"mine.txt": data}, count, count)


def dataset(count: int) -> Sample:
    """Return the rows of a dataset: the one file of its folder."""
    return lines_file("hf_dataset", "rows.jsonl", own_rows(count))


def bluesky(count: int) -> Sample:
    """Return a Bluesky account as one file, with a picture that says nothing."""
    said = [car_files.post(text(n), createdAt=iso(n)) for n in range(count)]
    said.append(car_files.post(""))
    records = {f"{car_files.POSTS}/3k{n:011}": record for n, record in enumerate(said)}
    name = f"{ME}.car"
    return Sample("bluesky_car", name, {name: car_files.account(records)}, count, count + 1)
