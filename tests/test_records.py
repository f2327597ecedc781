"""Posts and generations as JSON lines: what is written is what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.errors import BrokenSource
from mynah.records import (
    Post,
    Span,
    encode_lines,
    post_from_json,
    post_to_json,
    read_posts,
    read_rows,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
POSTS = st.builds(
    Post,
    id=TEXTS,
    author=TEXTS,
    text=TEXTS,
    source=TEXTS,
    created_at=st.none() | TEXTS,
    kind=st.sampled_from(["post", "reply", "self-reply", "repost", "quote"]),
    lang=st.none() | TEXTS,
    url=st.none() | TEXTS,
    escaped=st.booleans(),
    spans=st.lists(
        st.builds(
            Span,
            start=st.integers(0, 9),
            end=st.integers(9, 20),
            kind=st.sampled_from(["url", "media", "mention"]),
        ),
        max_size=2,
    ).map(tuple),
    latest_id=st.none() | st.just("12"),
)


@given(posts=st.lists(POSTS, max_size=4))
def test_posts_come_back_as_they_were(
    posts: list[Post], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    lines = list(encode_lines(map(post_to_json, posts)))
    file.write_text("".join(lines), encoding="utf-8", newline="")
    assert list(read_posts(file)) == posts


def test_a_row_has_only_what_is_known_and_stays_readable() -> None:
    post = Post(id="1", author="ana", text="Größe 💜", source="file")
    [line] = encode_lines([post_to_json(post)])
    assert "Größe 💜" in line and line.endswith("\n")
    assert set(post_to_json(post)) == {
        "id", "author", "text", "source", "created_at", "kind", "lang", "url"
    }  # fmt: skip


def test_a_field_of_a_later_version_is_passed_over() -> None:
    row = {"id": "1", "author": "ana", "text": "x", "source": "file", "mood": "good"}
    assert post_from_json(row) == Post(id="1", author="ana", text="x", source="file")


GOOD = b'{"id": "1", "author": "ana", "text": "x", "source": "file"}\n'


@pytest.mark.parametrize(
    "line",
    [b'{"id": "2"', b"[1]", b'"text"', b'{"id": "2"}', b"\xff\xfe", b'{"text": 5}', b"null"],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD)
    posts = read_posts(file)
    assert next(posts).id == "1"
    with pytest.raises(BrokenSource) as caught:
        next(posts)
    assert caught.value.sentence.startswith(f"Line 3 of {file} is damaged")
    assert caught.value.hint.startswith("Write it anew: mynah fetch <source> --replace")


@pytest.mark.parametrize(
    ("name", "command"),
    [("cleaned.jsonl", "mynah clean"), ("samples.jsonl", "mynah say"), ("x.jsonl", "mynah make")],
)
def test_the_hint_names_the_verb_that_writes_the_file(
    tmp_path: Path, name: str, command: str
) -> None:
    file = tmp_path / name
    file.write_text("1\n", encoding="utf-8")
    rows: Any = read_rows(file)
    with pytest.raises(BrokenSource) as caught:
        next(rows)
    assert caught.value.hint == f"Write it anew: {command} {tmp_path.name}"
