"""Posts of other authors, to tell a voice from the habit of posting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from mynah.errors import SourceNotFound
from mynah.others import other_posts, sample_accounts, sample_posts
from mynah.records import read_rows


def test_the_sample_accounts_serve_and_each_gives_as_many() -> None:
    found = other_posts(None, ["nobody"], 30)
    assert {author: len(texts) for author, texts in found.items()} == {
        "abuelaoffside": 10,
        "burntside": 10,
        "skerrylight": 10,
    }
    assert found == other_posts(None, ["nobody"], 30)


def test_the_bots_own_accounts_are_left_out() -> None:
    assert list(other_posts(None, ["SkerryLight", "burntside"], 7)) == ["abuelaoffside"]


def test_sources_that_are_named_take_their_place(tmp_path: Path) -> None:
    one = tiny.write_archive(tmp_path / "ana.zip", tiny.account_rows(30), handle="ana")
    two = tmp_path / "bela.jsonl"
    rows = [{"text": f"Nobody thanks tree number {n} for standing there."} for n in range(3)]
    two.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = other_posts((str(one), str(two)), [], 20)
    assert {author: len(texts) for author, texts in found.items()} == {"ana": 10, "bela": 1}
    with pytest.raises(SourceNotFound):
        other_posts((str(tmp_path / "nothing.zip"),), [], 20)


def test_nobody_else_is_no_error() -> None:
    everybody = [path.stem for path in sample_accounts()]
    assert other_posts(None, everybody, 20) == {}
    assert all(texts == [] for texts in other_posts(None, [], 0).values())


def test_reposts_of_the_samples_are_not_their_words() -> None:
    texts = [post.text for post in sample_posts()]
    rows = [row for path in sample_accounts() for row in read_rows(path)]
    assert len(sample_accounts()) == 3
    assert len(texts) == sum("text" in row and "repost_of" not in row for row in rows)
