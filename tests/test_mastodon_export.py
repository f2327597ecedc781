"""Mastodon's export: whose posts, which of them, in which words; and archives that would harm."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import unpacked, zipped
from conftest import tiny_recipe
from fediverse import ACTOR, ME, PUBLIC, boost, content, export, link, mention, note, outbox, tarred
from mynah.cleaning import clean
from mynah.config import CleaningConfig, FetchConfig
from mynah.errors import BrokenSource, EmptySource, SourceError, UnknownFormat, UnsafeArchive
from mynah.pipeline import make_bot
from mynah.records import Post, post_from_json, post_to_json
from mynah.sources import Fetched, read
from samples import text

Files = dict[str, bytes]


def tar(path: Path, files: Files) -> Path:
    return tarred(path, files, "w")


def file(path: Path, files: Files) -> Path:
    """Write the outbox alone."""
    path.write_bytes(files["outbox.json"])
    return path


def fetch(path: Path) -> tuple[Fetched, list[Post]]:
    fetched = read(str(path), FetchConfig())
    return fetched, list(fetched.posts)


@pytest.mark.parametrize("make", [tarred, tar, zipped, unpacked])
def test_an_export_is_read_wherever_it_is(tmp_path: Path, make: Callable[..., Path]) -> None:
    fetched, posts = fetch(make(tmp_path / "archive", export(note(1), boost(2), note(3))))
    assert fetched.format == "mastodon-export"
    assert [(post.id, post.text) for post in posts] == [
        ("1", "The bell rang twice."),
        ("3", "The bell rang twice."),
    ]
    [account] = fetched.accounts
    assert (account.handle, account.name) == ("buoy@sea.example", "Buoy 🛟")
    assert (account.bio, account.own_archive) == ("I float & I ring.", True)
    assert fetched.notices == ("1 boost was skipped.",)
    assert list(fetched.input_hashes()) == ["archive/outbox.json"]


def test_the_scheme_is_file_whatever_it_is_packed_in(tmp_path: Path) -> None:
    for path in (
        tarred(tmp_path / "a.tar.gz", export(note(1))),
        zipped(tmp_path / "a.zip", export(note(1))),
        file(tmp_path / "a.json", export(note(1))),
    ):
        assert len(list(read(f"file:{path}", FetchConfig()).posts)) == 1


def test_an_outbox_alone_says_whose_it_is(tmp_path: Path) -> None:
    fetched, posts = fetch(file(tmp_path / "anything", export(boost(1), note(2))))
    assert [account.handle for account in fetched.accounts] == ["buoy@sea.example"]
    assert [post.author for post in posts] == ["buoy@sea.example"]


def test_an_outbox_that_is_named_brings_its_neighbour(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "export", export(note(1)))
    fetched, _ = fetch(folder / "outbox.json")
    assert [account.name for account in fetched.accounts] == ["Buoy 🛟"]


def test_the_actor_may_have_another_domain_in_its_name(tmp_path: Path) -> None:
    actor = ACTOR | {"webfinger": "acct:buoy@example.org", "type": "Service"}
    fetched, _ = fetch(zipped(tmp_path / "a.zip", export(note(1), actor=actor)))
    assert [account.handle for account in fetched.accounts] == ["buoy@example.org"]
    assert fetched.notices == ("buoy@example.org calls itself a bot.",)


FOLLOWERS = f"{ME}/followers"


def test_what_is_not_for_everybody_stays_where_it_is(tmp_path: Path) -> None:
    kept = [
        note(1),
        note(2, to=[FOLLOWERS], cc=[PUBLIC]),  # unlisted
        note(3, to=PUBLIC, cc=None),
        note(4, to="as:Public"),
    ]
    private = [
        note(5, "<p>secret</p>", to=[FOLLOWERS], cc=[]),
        note(6, "<p>secret</p>", to=["https://reef.example/users/coral"], cc=[]),
        note(7, "<p>secret</p>", to=None, cc=None),
        note(8, "<p>secret</p>", to=[f"{PUBLIC}ish"], cc=[]),
        note(9, "<p>secret</p>", to=[FOLLOWERS], cc=[]) | {"to": [PUBLIC]},  # the two disagree
    ]
    fetched, posts = fetch(file(tmp_path / "a.json", export(*kept, *private)))
    assert [post.id for post in posts] == ["1", "2", "3", "4"]
    assert "secret" not in str(posts)
    assert fetched.notices == ("5 posts are not public.",)


def test_counts_add_up(tmp_path: Path) -> None:
    items = [
        note(1),
        note(2, ""),  # a picture without words
        note(3, to=[FOLLOWERS], cc=[]),
        boost(4),
        {"type": "Delete", "object": ME},
        note(5, type="Article"),
        note(6, "<p>Tea or rope?</p>", type="Question", oneOf=[{"type": "Note", "name": "Tea"}]),
    ]
    fetched, posts = fetch(file(tmp_path / "a.json", export(*items)))
    told = sum(int(sentence.split()[0]) for sentence in fetched.notices)
    assert len(posts) == 2 and told + len(posts) == len(items)


def test_replies_threads_and_quotes(tmp_path: Path) -> None:
    shown, tag = mention("coral", "reef.example")
    neighbour, near = mention("gull", "sea.example")
    items = [
        note(1, f"<p>{shown} {neighbour} yes, both</p>", tag=[tag, near | {"name": "@gull"}],
             inReplyTo="https://reef.example/users/coral/statuses/9"),
        note(2, inReplyTo=f"{ME}/statuses/1"),
        note(3, '<p class="quote-inline">RE: x</p><p>This.</p>', quote="https://reef.example/9"),
        note(4, inReplyTo=f"{ME}-too/statuses/1"),
    ]  # fmt: skip
    _, posts = fetch(file(tmp_path / "a.json", export(*items)))
    assert [post.kind for post in posts] == ["reply", "self-reply", "quote", "reply"]
    assert posts[0].text == "@coral@reef.example @gull yes, both"
    assert posts[2].text == "This."
    [kept] = clean(posts[:1], CleaningConfig(min_words=1)).selected
    assert kept.text == "yes, both"


def test_what_a_post_carries(tmp_path: Path) -> None:
    body = f"<p>Look: {link('https://tide.example/t')}</p>"
    _, [post] = fetch(file(tmp_path / "a.json", export(note(7, body, summary="tides, loud"))))
    assert post_to_json(post) == {
        "id": "7",
        "author": "buoy@sea.example",
        "text": "Look: https://tide.example/t",
        "source": "mastodon",
        "created_at": "2023-05-01T10:07:00Z",
        "kind": "post",
        "lang": "en",
        "url": "https://sea.example/@buoy/7",
        "spans": [{"start": 6, "end": 28, "kind": "url"}],
        "warning": "tides, loud",
    }
    assert post_from_json(post_to_json(post)) == post


@pytest.mark.parametrize(
    ("choice", "texts"),
    [
        ("keep", ["CW: tides, loud the sea came in", "the sea went out"]),
        ("cut", ["the sea came in", "the sea went out"]),
        ("drop", ["the sea went out"]),
    ],
)
def test_content_warnings_by_choice(tmp_path: Path, choice: Any, texts: list[str]) -> None:
    items = (
        note(1, "<p>the sea came in</p>", summary="tides,\nloud"),
        note(2, "<p>the sea went out</p>"),
    )
    _, posts = fetch(file(tmp_path / "a.json", export(*items)))
    cleaned = clean(posts, CleaningConfig(content_warnings=choice))
    assert [post.text for post in cleaned.selected] == texts
    assert cleaned.table()["dropped"]["content-warning"] == (choice == "drop")


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    """One real export has the key first empty, then full: who takes the first sees no post."""
    for lists in ((b"[]", b"[%s]"), (b"[%s]", b"[]"), (b"null", b"[%s]")):
        keys = b",".join(b'"orderedItems":' + each for each in lists)
        text = b'{"type":"OrderedCollection","totalItems":1,' + keys + b',"last":12}'
        path = tmp_path / "a.json"
        path.write_bytes(text % json.dumps(note(1)).encode())
        assert len(fetch(path)[1]) == 1


def test_a_long_outbox_is_read_piece_by_piece(tmp_path: Path) -> None:
    body = f"<p>{'the tide is in and the bell rings ' * 60}</p>"
    path = file(tmp_path / "a.json", export(*(note(n, f"{body}{n}") for n in range(400))))
    assert path.stat().st_size > 1 << 20
    assert [post.id for post in fetch(path)[1]] == [str(n) for n in range(400)]


def complaint(path: Path, error: type[SourceError], **limits: float) -> str:
    with pytest.raises(error) as caught:
        list(read(str(path), FetchConfig(**limits)).posts)
    assert type(caught.value) is error and caught.value.hint
    return caught.value.sentence


def test_nothing_public(tmp_path: Path) -> None:
    complaint(file(tmp_path / "a.json", export(boost(1))), EmptySource)


def test_two_exports_in_one_folder(tmp_path: Path) -> None:
    for name in "ab":
        unpacked(tmp_path / "both" / name, export(note(1)))
    assert "2 exports of Mastodon" in complaint(tmp_path / "both", UnknownFormat)


@pytest.mark.parametrize("name", ["../outbox.json", "/etc/outbox.json", "a/../../b"])
def test_a_tar_with_a_member_outside_itself(tmp_path: Path, name: str) -> None:
    path = tarred(tmp_path / "a.tar.gz", {**export(note(1)), name: b"{}"})
    assert "outside its own folder" in complaint(path, UnsafeArchive)


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(outbox(note(1)))
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind, name in ((tarfile.SYMTYPE, "outbox.json"), (tarfile.FIFOTYPE, "actor.json")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, str(tmp_path / "secret.json")
            archive.addfile(info)
    complaint(path, UnknownFormat)


def test_a_tar_that_unpacks_to_far_more_than_it_is(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", {"media/1.png": b"\0" * (64 << 20), **export(note(1))})
    assert "zip bomb" in complaint(path, UnsafeArchive)
    assert len(list(read(str(path), FetchConfig(max_ratio=2_000)).posts)) == 1
    assert "larger than" in complaint(
        tarred(tmp_path / "b.tar", export(note(1))), UnsafeArchive, max_member_gib=1e-7
    )


def test_a_header_that_claims_to_be_endless(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)
    complaint(path, BrokenSource)


def test_a_tar_cut_short(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", export(*(note(n) for n in range(50))))
    path.write_bytes(path.read_bytes()[:-900])
    complaint(path, BrokenSource)


@pytest.mark.parametrize(
    "rest", [b'"orderedItems":[1]}', b'"orderedItems":[{]}', b'"orderedItems":[', b'"a"1}', b"1:2}"]
)
def test_broken_json_is_told(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "outbox.json"
    path.write_bytes(b'{"type":"OrderedCollection",' + rest)
    assert "outbox.json is broken JSON" in complaint(path, BrokenSource)


PACKED = {"a.tar.gz": tarred, "a.tar": tar, "a.json": file}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(PUBLIC),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = "id type actor object content contentMap summary inReplyTo published to cc tag url quote"


def only_own_errors(path: Path) -> None:
    try:
        for post in read(str(path), FetchConfig()).posts:
            assert post.text
            post.text.encode()
            assert all(post.text[span.start : span.end] for span in post.spans)
    except SourceError as error:
        assert error.sentence and error.hint


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    odd=st.lists(st.dictionaries(st.sampled_from(KEYS.split()), VALUES), max_size=4),
    actor=st.dictionaries(st.sampled_from([*ACTOR, "webfinger"]), VALUES),
)
def test_odd_values_raise_nothing_foreign(tmp_path: Path, odd: list[Any], actor: Any) -> None:
    items = [note(1, **fields) for fields in odd] + [note(2) | fields for fields in odd]
    only_own_errors(unpacked(tmp_path / "odd", export(*items, actor=ACTOR | actor)))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(PACKED)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    cut=st.floats(0, 1) | st.just(1),
)
def test_mutated_exports_raise_nothing_foreign(
    tmp_path: Path, name: str, edits: list[tuple[float, int]], cut: float
) -> None:
    path = PACKED[name](tmp_path / name, export(note(1), boost(2), note(3, summary="x")))
    data = bytearray(path.read_bytes())
    for place, value in edits:
        data[int(place * (len(data) - 1))] = value
    path.write_bytes(data[: int(cut * len(data))])
    only_own_errors(path)


def test_a_bot_of_an_export(tmp_path: Path, tiny_base: Path, bots: Path) -> None:
    items = [note(n, content(text(n))) for n in range(180)]
    path = tarred(tmp_path / "archive-20260101.tar.gz", export(*items))
    made = make_bot(bots, [f"file:{path}"], tiny_recipe(tiny_base))
    assert made.folder.read_run()["accounts"][0]["handle"] == "buoy@sea.example"
    assert all(sample.text for sample in made.samples)


def test_a_plain_gzip_is_still_a_file(tmp_path: Path) -> None:
    path = tmp_path / "outbox.json.gz"
    path.write_bytes(gzip.compress(outbox(note(1))))
    assert len(fetch(path)[1]) == 1
