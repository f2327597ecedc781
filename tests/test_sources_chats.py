"""Chats: one person's words, whoever else speaks, and dates in whatever order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import samples
from archives import posts_of
from mynah.config import FetchConfig
from mynah.errors import AuthorNeeded
from mynah.records import Post
from mynah.run_folder import RunFolder
from mynah.sources import read
from mynah.sources.telegram import joined
from samples import ME, NAME, OTHER
from tiny import mynah

QUIET = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
CHATS = [samples.telegram, samples.discord, samples.whatsapp_android, samples.whatsapp_ios]


@pytest.mark.parametrize("build", CHATS, ids=lambda build: build.__name__)
def test_without_a_name_it_lists_who_speaks(build: Any, tmp_path: Path) -> None:
    sample = build(5)
    with pytest.raises(AuthorNeeded) as caught:
        posts_of(sample.write(tmp_path))
    assert f"{sample.author.removeprefix('@')} (5)" in caught.value.sentence
    assert "--author" in caught.value.hint


@pytest.mark.parametrize("build", CHATS, ids=lambda build: build.__name__)
def test_nobody_else_is_kept_anywhere(build: Any, tmp_path: Path, bots: Path) -> None:
    sample = build(5)
    path = sample.write(tmp_path)
    done = mynah("fetch", path, "--author", sample.author, "--name", "one")
    assert done.code == 0 and "whether its author agreed" in " ".join(done.err.split())
    [consent] = RunFolder(bots / "one").read_run()["consents"]
    assert consent["checks"][0]["verdict"] == "warns" and consent["account"] in ("Tide_Keeper", ME)
    for file in (bots / "one").iterdir():
        kept = file.read_text()
        assert OTHER not in kept and "gull_7" not in kept and "Squawk" not in kept


def test_an_unknown_name_is_told_the_known_ones(tmp_path: Path) -> None:
    path = samples.telegram(3).write(tmp_path)
    with pytest.raises(AuthorNeeded, match=f"Nobody called Ann speaks there, but {NAME}"):
        posts_of(path, author="Ann")


def test_a_name_may_be_typed_in_any_case_and_as_the_handle(tmp_path: Path) -> None:
    path = samples.telegram(3).write(tmp_path)
    for name in (NAME, NAME.upper(), "Tide_Keeper", "@tide  keeper"):
        assert len(posts_of(path, author=name)) == 3


def test_several_chats_give_one_person(tmp_path: Path) -> None:
    here = [samples.telegram(3).write(tmp_path), samples.whatsapp_ios(2).write(tmp_path)]
    fetched = samples_of(here, NAME)
    assert len(fetched) == 5 and {post.author for post in fetched} == {"Tide_Keeper"}


def samples_of(paths: Sequence[Path], author: str) -> list[Post]:
    from mynah.sources import read_all

    return list(read_all([str(path) for path in paths], FetchConfig(author=author)).posts)


def test_an_author_can_be_picked_from_any_dump(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("id,text,username\n1,mine,ana\n2,not mine,bob\n3,RT @x: hm,ana\n")
    fetched = read(str(path), FetchConfig(author="ana"))
    assert [post.text for post in fetched.posts] == ["mine", "RT @x: hm"]
    assert [account.handle for account in fetched.accounts] == ["ana"]
    assert fetched.skipped == 1


def test_two_people_of_one_name_stay_two(tmp_path: Path) -> None:
    said = samples.telegram_message
    messages = [said(1, "user1", "Anna", "one"), said(2, "user2", "Anna", "two")]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"name": "x", "id": 5, "messages": messages}))
    with pytest.raises(AuthorNeeded):
        posts_of(path)
    assert [post.text for post in posts_of(path, author="Anna_user2")] == ["two"]


def test_a_chat_with_oneself_needs_no_name(tmp_path: Path) -> None:
    messages = [samples.telegram_message(1, "user1", "Anna", "note to self")]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"name": "Saved", "id": 5, "messages": messages}))
    assert [post.text for post in posts_of(path)] == ["note to self"]


PIECES = st.lists(
    st.text()
    | st.fixed_dictionaries({"type": st.sampled_from(["plain", "bold", "link"]), "text": st.text()})
)


@given(PIECES)
def test_telegrams_pieces_are_joined_as_they_stand(pieces: list[Any]) -> None:
    texts = [piece if isinstance(piece, str) else piece["text"] for piece in pieces]
    assert joined(pieces) == "".join(texts)


@given(st.text(), st.lists(st.integers(0, 40)))
def test_it_does_not_matter_where_telegram_cuts_a_text(text: str, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(ends)]
    marked = [
        piece if at % 2 else {"type": "bold", "text": piece} for at, piece in enumerate(pieces)
    ]
    assert joined(marked) == joined(text) == text


@QUIET
@given(text=st.text(min_size=1), pieces=st.booleans(), entities=st.booleans())
def test_a_telegram_text_arrives_in_every_spelling(
    text: str, pieces: bool, entities: bool, tmp_path: Path
) -> None:
    assume(text.strip())
    spelled: Any = [text[:1], {"type": "bold", "text": text[1:]}] if pieces else text
    message = samples.telegram_message(1, "user1", "Anna", spelled)
    if entities:
        message["text_entities"] = [{"type": "plain", "text": text}]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"name": "x", "id": 5, "messages": [message]}))
    assert [post.text for post in posts_of(path)] == [text]


def test_telegram_replies_and_times(tmp_path: Path) -> None:
    said = samples.telegram_message
    messages = [
        said(1, "user1", "Anna", "one"),
        said(2, "user2", "Ben", "two") | {"reply_to_message_id": 1},
        said(3, "user1", "Anna", "three") | {"reply_to_message_id": 2},
        said(5, "user1", "Anna", "four") | {"reply_to_message_id": 3},
        said(6, "user1", None, "five") | {"from_id": None, "date_unixtime": "1700000000"},
    ]
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"name": "x", "id": 5, "messages": messages}))
    posts = posts_of(path, author="anna")
    assert [post.kind for post in posts] == ["post", "reply", "self-reply"]
    assert [post.id for post in posts] == ["5/1", "5/3", "5/5"]
    assert posts_of(path, author="somebody")[0].created_at == "2023-11-14T22:13:20Z"


# How telephones write a time; those without a four-digit year in front need a day after the 12th.
STYLES = [
    "{0:%d.%m.%y, %H:%M} - ",
    "{0:%d/%m/%Y, %H:%M} - ",
    "{0:%d/%m/%Y %H:%M} - ",
    "{0:%d/%m/%Y à %H:%M} - ",
    "{0:%d-%m-%y %H:%M} - ",
    "{0.month}/{0.day}/{0:%y}, {1}:{0:%M} {0:%p} - ",
    "{0:%d/%m/%y}, {1}:{0:%M}\u202f{2} - ",
    "{0:%d/%m/%y} {1}:{0:%M} {3} - ",
    "{0:%Y-%m-%d, %H:%M} - ",
    "{0:%Y/%m/%d %H:%M} - ",
    "[{0:%d.%m.%y, %H:%M:%S}] ",
    "[{0.month}/{0.day}/{0:%y}, {1}:{0:%M:%S}\u202f{0:%p}] ",
    "\u200e[{0:%d/%m/%Y, %H:%M:%S}] ",
    "[{0:%Y/%m/%d} {4}{1}:{0:%M:%S}] ",
    "[{0:%Y. %m. %d.} {5} {1}:{0:%M:%S}] ",
]
TIMES = st.lists(
    st.datetimes(datetime(2009, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    min_size=1,
    max_size=6,
)


def stamped(style: str, time: datetime) -> str:
    """Return a time as one of the telephones writes it."""
    late = time.hour >= 12
    halves = ["pm", "p. m.", "下午", "오후"] if late else ["am", "a. m.", "上午", "오전"]
    return style.format(time, time.hour % 12 or 12, *halves)


@pytest.mark.parametrize("style", STYLES)
@QUIET
@given(times=TIMES)
def test_whatsapp_times_are_read_in_every_spelling(
    style: str, times: list[datetime], tmp_path: Path
) -> None:
    assume(any(time.day > 12 for time in times) or "%Y" in style[:8])
    times = sorted(times)
    lines = [f"{stamped(style, time)}Anna: word {n}\nmore" for n, time in enumerate(times)]
    path = tmp_path / "chat.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    posts = posts_of(path)
    seconds = "%H:%M:%S" in style or "%M:%S" in style
    wanted = [time.replace(second=time.second if seconds else 0, microsecond=0) for time in times]
    assert [post.created_at for post in posts] == [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in wanted]
    assert [post.text for post in posts] == [f"word {n}\nmore" for n in range(len(times))]


def test_days_that_could_be_months_are_told_by_their_order(tmp_path: Path) -> None:
    """3/1, 4/1, 1/2 run forwards only if the month comes second."""
    path = tmp_path / "chat.txt"
    for line, wanted in (("{d}/{m}/24, 10:00 - ", "dmy"), ("{m}/{d}/24, 10:00 - ", "mdy")):
        days = [(3, 1), (4, 1), (1, 2), (2, 2)]
        rows = [f"{line.format(d=d, m=m)}Anna: word {d}{m}" for d, m in days]
        path.write_text("\n".join(rows))
        dates = [(post.created_at or "")[:10] for post in posts_of(path)]
        assert dates == [f"2024-{m:02}-{d:02}" for d, m in days], wanted


WHATSAPP = """\
31.12.25, 21:05 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
31.12.25, 21:06 - Anna hat den Betreff von "a: b" zu "c" geändert.
31.12.25, 21:07 - Anna: Morgen: Hafen
99.99.25, 21:07 - steht hier nur so
31.12.25, 21:08 - Anna: <Medien ausgeschlossen>
31.12.25, 21:09 - Anna: IMG-20251231-WA0001.jpg (Datei angehängt)
Das Boot
31.12.25, 21:10 - Anna: Diese Nachricht wurde gelöscht.
31.12.25, 21:11 - Anna: so nicht <Diese Nachricht wurde bearbeitet>
31.12.25, 21:12 - Anna: null
31.12.25, 21:13 - Anna: @\u2068Ben\u2069 <3
"""


def test_what_whatsapp_says_itself_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_text("\ufeff" + WHATSAPP, encoding="utf-8")
    fetched = read(str(path), FetchConfig())
    assert [post.text for post in fetched.posts] == [
        "Morgen: Hafen\n99.99.25, 21:07 - steht hier nur so",
        "Das Boot",
        "so nicht",
        "@Ben <3",
    ]
    assert fetched.skipped == 5


def test_iphones_mark_what_they_say_themselves(tmp_path: Path) -> None:
    said = [
        "Anna: \u200eimage omitted",
        "~\u202fAnna: look \u200e<attached: 0001-PHOTO.jpg>",
        "Anna: \u200e<attached: 0002-PHOTO.jpg>",
        "Anna: new \u200e<This message was edited>",
        "\u202a+49 171 0000000\u202c: hi",
    ]
    path = tmp_path / "_chat.txt"
    path.write_text("".join(f"\u200e[1/31/26, 9:05:33\u202fPM] {line}\r\n" for line in said))
    assert [post.text for post in posts_of(path, author="Anna")] == ["look", "new"]
    assert [post.author for post in posts_of(path, author="+49 171 0000000")] == ["49_171_0000000"]
