"""Bad input: one clear sentence, a hint with the next command, never a foreign exception."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archives import builder, note, posts_of, sample_zip, tweet, unpacked, x_files, ytd, zipped
from mynah.config import FetchConfig
from mynah.errors import (
    BrokenSource,
    EmptySource,
    SourceError,
    SourceNotFound,
    UnknownFormat,
    UnsafeArchive,
)
from mynah.sources import read


def complaint(path: Path | str, error: type[SourceError], **limits: float) -> str:
    """Read it all; return the sentence of the error that must come, which must carry a hint."""
    with pytest.raises(error) as caught:
        list(read(str(path), FetchConfig(**limits)).posts)
    assert type(caught.value) is error and caught.value.hint
    assert "\n" not in str(caught.value) and caught.value.sentence.endswith(".")
    return caught.value.sentence


def test_nothing_there(tmp_path: Path) -> None:
    assert "no.zip" in complaint(tmp_path / "no.zip", SourceNotFound)
    complaint("", SourceNotFound)
    complaint("archive:", SourceNotFound)
    complaint("a\0b", SourceNotFound)
    complaint("~nobody-of-that-name/x.zip", SourceNotFound)
    assert "too long" in complaint("x" * 5000, BrokenSource)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    complaint(tmp_path / "a.txt/b.zip", SourceNotFound)
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in complaint(tmp_path / "pipe", UnknownFormat)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_not_readable(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "x.zip")
    path.chmod(0)
    assert "permission" in complaint(path, BrokenSource)


def test_empty(tmp_path: Path) -> None:
    assert "holds no post" in complaint(zipped(tmp_path / "x.zip", x_files()), EmptySource)
    (tmp_path / "a.txt").write_text("\n \n")
    complaint(tmp_path / "a.txt", EmptySource)
    (tmp_path / "b.jsonl").write_text('{"words": 3}\n')
    complaint(tmp_path / "b.jsonl", EmptySource)


def test_other_zips_and_folders(tmp_path: Path) -> None:
    sentence = complaint(zipped(tmp_path / "x.zip", {"photo.png": b"x"}), UnknownFormat)
    assert "x.zip" in sentence
    complaint(zipped(tmp_path / "empty.zip", {}), UnknownFormat)
    complaint(unpacked(tmp_path / "folder", {"notes.md": b"x"}), UnknownFormat)
    with pytest.raises(UnknownFormat) as caught:
        read(str(tmp_path / "x.zip"), FetchConfig())
    assert "X archives" in caught.value.hint and "CSV" in caught.value.hint


def test_a_folder_of_two_archives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        unpacked(tmp_path / name, x_files(tweet(1)))
    assert "2 archives" in complaint(tmp_path, UnknownFormat)


def test_the_scheme_must_fit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    assert "is no archive" in complaint(f"archive:{tmp_path / 'a.txt'}", UnknownFormat)
    path = sample_zip(tmp_path / "x.zip")
    assert list(read(f"file:{path}", FetchConfig()).posts)  # a zip is a file too


def test_truncated(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "x.zip")
    path.write_bytes(path.read_bytes()[:-200])
    assert "cut short or damaged" in complaint(path, BrokenSource)
    lines = tmp_path / "x.jsonl.gz"
    lines.write_bytes(gzip.compress(b'{"text": "one"}\n' * 99_999)[:-9])
    assert "cut short or damaged" in complaint(lines, BrokenSource)


def test_a_page_saved_as_zip(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("<html>Please log in</html>")
    assert "is not a zip" in complaint(tmp_path / "x.zip", BrokenSource)


@pytest.mark.parametrize(
    "body",
    [
        b"window.YTD.tweets.part1 = [ {]",
        b'window.YTD.tweets.part1 = [ {"tweet": {',
        b"window.YTD.tweets.part1 = [ 1 ]",
        b"window.YTD.tweets.part1 = [ {} garbage {} ]",
        b'window.YTD.tweets.part1 = [ {"a": ' + b"[" * 200_000,
        b'window.YTD.tweets.part1 = [ {"a": ' + b"9" * 9_999 + b"} ]",
        b"<html>",
        b"",
    ],
)
def test_broken_json_names_the_member(tmp_path: Path, body: bytes) -> None:
    files = x_files(tweet(1)) | {"data/tweets-part1.js": body}
    assert "data/tweets-part1.js" in complaint(zipped(tmp_path / "x.zip", files), BrokenSource)


@pytest.mark.parametrize("name", ["account", "manifest", "note-tweet", "profile"])
def test_any_broken_member_is_named(tmp_path: Path, name: str) -> None:
    files = x_files(tweet(1)) | {f"data/{name}.js": b"window.x = [ {"}
    assert f"data/{name}.js" in complaint(zipped(tmp_path / "x.zip", files), BrokenSource)


def test_not_utf8(tmp_path: Path) -> None:
    latin = ytd("tweets", [tweet(1, "café")]).decode().encode("latin-1")
    files = x_files() | {"data/tweets.js": latin}
    assert "not UTF-8" in complaint(zipped(tmp_path / "x.zip", files), BrokenSource)
    for name, text in (("a.csv", "id,text\n1,café\n"), ("b.txt", "café\n")):
        (tmp_path / name).write_bytes(text.encode("latin-1"))
        assert "not UTF-8" in complaint(tmp_path / name, BrokenSource)
    (tmp_path / "c.csv").write_bytes("id,text\n1,café\n".encode("utf-16"))
    assert "not UTF-8" in complaint(tmp_path / "c.csv", BrokenSource)


def test_broken_lines_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n{"text": \n')
    assert complaint(path, BrokenSource) == "Line 2 of a.jsonl is not JSON."
    path.write_text('{"text": "one"}\n[1]\n')
    assert complaint(path, BrokenSource) == "Line 2 of a.jsonl is not a JSON object."


def test_a_table_without_texts_and_a_cell_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,name\n1,one\n")
    complaint(path, UnknownFormat)
    path.write_text('id,text\n1,"' + "x" * 200_000)
    complaint(path, BrokenSource)


def test_binary_and_other_packings(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for start in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x00\x01\x02"):
        path.write_bytes(start + b"\0" * 600)
        complaint(path, UnknownFormat)


def test_a_member_that_says_it_is_huge(tmp_path: Path) -> None:
    files = x_files(tweet(1)) | {"data/tweets-part1.js": b" " * (40 << 20)}
    path = zipped(tmp_path / "x.zip", files)
    assert "zip bomb" in complaint(path, UnsafeArchive)
    assert "larger than" in complaint(path, UnsafeArchive, max_member_gib=0.01)
    assert complaint(path, BrokenSource, max_ratio=2_000)  # allowed, but no list of posts


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    """The header says 9 bytes; what counts is what comes out."""
    packed = gzip.compress(b'{"text": "' + b"x" * (40 << 20))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[:-4] + (9).to_bytes(4, "little"))
    assert "zip bomb" in complaint(path, UnsafeArchive)
    assert "larger than" in complaint(path, UnsafeArchive, max_member_gib=0.01)


def test_a_folder_has_limits_too(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "x", x_files(*(tweet(n) for n in range(99))))
    assert "larger than" in complaint(folder, UnsafeArchive, max_member_gib=1e-6)


@pytest.mark.parametrize("name", ["../../evil.js", "/etc/evil.js", "data/..\\evil.js", "C:\\e.js"])
def test_members_outside_the_archive(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "x.zip", x_files(tweet(1)) | {name: b"x"})
    assert "outside its own folder" in complaint(path, UnsafeArchive)


def test_dots_inside_a_name_are_harmless(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", x_files(tweet(1)) | {"data/a..b.js": b"x"})
    assert len(posts_of(path)) == 1


def test_locked_with_a_password(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "x.zip")
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    assert "password" in complaint(path, UnknownFormat)


def test_a_packing_that_python_cannot_undo(tmp_path: Path) -> None:
    path = sample_zip(tmp_path / "x.zip")
    data = bytearray(path.read_bytes())
    for signature, method in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + method] = 98
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    assert "cannot unpack" in complaint(path, BrokenSource)


def small_archive() -> bytes:
    note_ = note(5, "long " * 99, "2023-04-01T07:00:00.000Z")
    files = x_files(tweet(1), tweet(2, "é 🌊"), note_tweet=ytd("note_tweet", [note_]))
    files.pop("Your archive.html")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored, so that mutations reach the JSON too
        for name, data in files.items():
            archive.writestr(builder.zipfile.ZipInfo(name, builder.ZIP_TIME), data)
    return buffer.getvalue()


ARCHIVE = small_archive()
QUIET = [HealthCheck.function_scoped_fixture]


def only_own_errors(path: Path) -> None:
    try:
        for post in read(str(path), FetchConfig()).posts:
            assert post.text
            post.text.encode()
    except SourceError as error:
        assert error.sentence and error.hint


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, len(ARCHIVE))),
)
def test_mutated_zips_raise_nothing_foreign(
    tmp_path: Path, edits: list[tuple[int, int]], cut: int | None
) -> None:
    data = bytearray(ARCHIVE)
    for place, value in edits:
        data[place] = value
    path = tmp_path / "mutated.zip"
    path.write_bytes(data[:cut])
    only_own_errors(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    "id_str id created_at full_text text lang entities edit_info extended_entities "
    "in_reply_to_user_id_str in_reply_to_screen_name retweeted_status"
).split()
KEYS = "text id created_at author lang kind spans url escaped latest_id is_retweet".split()
ENTITY = st.fixed_dictionaries(
    {"url": JSON, "indices": st.lists(JSON | st.integers(-5, 50), max_size=3), "screen_name": JSON}
)
ENTITIES = st.fixed_dictionaries({
    kind: st.lists(ENTITY | JSON, max_size=2) for kind in ("urls", "media", "user_mentions")
})  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(
    odd=st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON | ENTITIES, max_size=8), max_size=4),
    odd_note=st.fixed_dictionaries({"createdAt": JSON, "core": JSON, "noteTweetId": JSON}),
)
def test_odd_values_raise_nothing_foreign(tmp_path: Path, odd: list, odd_note: dict) -> None:
    entries = [tweet(1), *({"tweet": tweet(2)["tweet"] | fields} for fields in odd)]
    data = ytd("note_tweet", [{"noteTweet": odd_note}, {"noteTweet": odd}])
    folder = unpacked(tmp_path / "odd", x_files(*entries, note_tweet=data))
    only_own_errors(folder)


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(
    data=st.binary(max_size=300), name=st.sampled_from(["a.jsonl", "a.csv", "a.txt", "a.gz", "a"])
)
def test_any_bytes_raise_nothing_foreign(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    for start in (b"", b"id,text\n", b'{"text": "', b"PK\x03\x04", b"\x1f\x8b\x08"):
        path.write_bytes(start + data)
        only_own_errors(path)
    path.write_bytes(gzip.compress(data)[: len(data) + 10] + zlib.compress(data))
    only_own_errors(path)


@settings(max_examples=100, deadline=None, suppress_health_check=QUIET)
@given(
    row=st.dictionaries(
        st.sampled_from("text id created_at author lang kind spans url".split()), JSON
    )
)
def test_odd_rows_raise_nothing_foreign(tmp_path: Path, row: dict) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(builder.json.dumps({"text": "words"} | row) + "\n")
    only_own_errors(path)
