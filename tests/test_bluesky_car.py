"""CAR files: what the account holds today and nothing else; broken files in one sentence."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import pytest

import car_files
import samples
from car_files import POSTS, account, cbor, cid, post
from mynah.config import FetchConfig
from mynah.errors import BrokenSource, EmptySource, MynahError, NoConsent, SourceError
from mynah.records import Post
from mynah.sources import Fetched, read

FORMATS = Path(__file__).resolve().parents[2] / "shared/data/formats/bluesky_car"


def fetch(path: Path, **settings: bool) -> tuple[Fetched, list[Post]]:
    fetched = read(str(path), FetchConfig(**settings))
    return fetched, list(fetched.posts)


def saved(tmp_path: Path, content: bytes, name: str = "wader.example.car") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_an_account(tmp_path: Path) -> None:
    profile = {"displayName": "Wader", "description": "Mud."}
    records = {
        f"{POSTS}/3kaaaaaaaaaa2": post("First mud.", langs=["en"]),
        f"{POSTS}/3kbbbbbbbbbb2": post("Second mud 🌊."),
        f"{POSTS}/3kcccccccccc2": post(""),
        "app.bsky.actor.profile/self": profile,
        "app.bsky.feed.like/3kaaaaaaaaaa2": {"subject": {"uri": "at://x"}},
        "app.bsky.feed.repost/3kaaaaaaaaaa2": {"subject": {"uri": "at://x"}, "text": "theirs"},
        "com.example.post/1": {"text": "another program's"},
    }
    path = saved(tmp_path, account(records, post("Deleted.")))
    fetched, posts = fetch(path)
    assert fetched.format == "bluesky-car"
    assert [(each.id, each.text) for each in posts] == [
        ("3kbbbbbbbbbb2", "Second mud 🌊."),
        ("3kaaaaaaaaaa2", "First mud."),
    ]
    [who] = fetched.accounts
    assert (who.handle, who.name, who.bio) == ("wader.example", "Wader", "Mud.")
    assert who.url == f"https://bsky.app/profile/{car_files.DID}"
    assert "1 post has no text." in fetched.notices
    assert list(fetched.input_hashes()) == ["wader.example.car"]


@pytest.mark.parametrize("name", ["repo.car", "repo.bin", "repo.txt", "archive.zip", "repo"])
def test_content_decides(tmp_path: Path, name: str) -> None:
    made = account({f"{POSTS}/1": post("Mud.")})
    assert fetch(saved(tmp_path, made, name))[0].format == "bluesky-car"
    assert len(fetch(saved(tmp_path, gzip.compress(made), f"{name}.gz"))[1]) == 1


def test_long_blocks_and_many_pages(tmp_path: Path) -> None:
    records = {f"{POSTS}/{number:05}": post(f"{number} " + "mud " * 200) for number in range(300)}
    _, posts = fetch(saved(tmp_path, account(records)))
    assert [each.id for each in posts] == sorted((key[-5:] for key in records), reverse=True)


def test_an_account_without_a_post(tmp_path: Path) -> None:
    for records in ({}, {"app.bsky.actor.profile/self": {"displayName": "Wader"}}):
        with pytest.raises(EmptySource, match="holds no post"):
            fetch(saved(tmp_path, account(records)))


DENIED = {
    "hidden": {
        "app.bsky.actor.profile/self": {"labels": {"values": [{"val": "!no-unauthenticated"}]}}
    },
    "training": {
        "community.lexicon.preference.ai/self": {"preferences": {"training": {"allow": False}}}
    },
    "intent": {
        "org.user-intents.declaration/self": {"syntheticContentGeneration": {"allow": False}}
    },
}


@pytest.mark.parametrize("denial", DENIED)
def test_a_file_of_an_account_that_denies_needs_a_word(tmp_path: Path, denial: str) -> None:
    """A file may be anybody's: only the person knows whether it is their own."""
    path = saved(tmp_path, account({f"{POSTS}/1": post("Mud."), **DENIED[denial]}))
    with pytest.raises(NoConsent) as caught:
        fetch(path)
    assert "--i-have-the-right-to" in caught.value.hint and caught.value.sentence.endswith(".")
    fetched, posts = fetch(path, i_have_the_right_to=True)
    assert len(posts) == 1
    [consent] = fetched.consents
    assert "needs-word" in {check.verdict for check in consent.checks}
    assert consent.flags == ("--i-have-the-right-to",)


def broken(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(BrokenSource) as caught:
        fetch(saved(tmp_path, content))
    assert caught.value.hint and "\n" not in str(caught.value)
    return caught.value.sentence


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    whole = account({f"{POSTS}/{number}": post(f"Mud {number}.") for number in range(9)})
    sentences = {broken(tmp_path, whole[:size]) for size in range(60, len(whole), 41)}
    assert "wader.example.car is cut short." in sentences


def test_a_part_that_was_changed(tmp_path: Path) -> None:
    whole = account({f"{POSTS}/1": post("Mud for ever.")})
    assert "not what its hash says" in broken(tmp_path, whole.replace(b"ever", b"even"))


def test_a_part_of_an_account(tmp_path: Path) -> None:
    whole = account({f"{POSTS}/1": post("Mud.")})
    without = whole[: -len(car_files.framed(cid(b"") + cbor(post("Mud."))))]
    assert "lacks a part" in broken(tmp_path, without)


def test_a_tree_that_bites_its_tail(tmp_path: Path) -> None:
    """Hashes forbid a circle, not two branches that are one: each would be read for both."""
    leaf = cbor({"l": None, "e": []})
    entry = {"p": 0, "k": b"a/1", "v": cid(leaf), "t": cid(leaf)}
    root = cbor({"l": cid(leaf), "e": [entry]})
    commit = cbor({"did": car_files.DID, "data": cid(root)})
    made = car_files.car(cid(commit), [commit, root, leaf])
    assert "does not end" in broken(tmp_path, made)


def test_other_cars(tmp_path: Path) -> None:
    note = cbor({"hello": "world"})
    made = car_files.car(cid(note), [note])
    assert broken(tmp_path, made) == "wader.example.car is a CAR file, but not of an account."
    assert "not of an account" in broken(
        tmp_path, car_files.framed(cbor({"roots": [], "version": 1}))
    )


def test_a_thousand_broken_files(tmp_path: Path) -> None:
    """Bytes changed, cut out, doubled: the project's own errors or posts, nothing else."""
    dice = random.Random(6)
    whole = account({f"{POSTS}/{number}": post(f"Mud {number}.") for number in range(9)})
    path, seen = tmp_path / "fuzz.car", Counter[str]()
    for _ in range(1_000):
        spoilt = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(spoilt))
            match dice.randrange(3):
                case 0:
                    spoilt[at] = dice.randrange(256)
                case 1:
                    del spoilt[at : at + dice.randrange(40)]
                case 2:
                    spoilt[at:at] = spoilt[at : at + dice.randrange(40)]
        path.write_bytes(spoilt)
        try:
            seen["posts"] += bool(fetch(path)[1])
        except SourceError as error:
            seen[type(error).__name__] += 1
            assert isinstance(error, MynahError) and error.hint
    assert seen["BrokenSource"] > 500


@pytest.mark.skipif(not FORMATS.is_dir(), reason="the real samples are not at hand")
def test_real_files() -> None:
    """Counted with libipld's own decoder: 101 records of posts, 14 of them pictures alone."""
    fetched, posts = fetch(FORMATS / "paul_staging.repo.car")
    kinds = Counter(each.kind for each in posts)
    assert kinds == {"post": 62, "self-reply": 11, "reply": 8, "quote": 6}
    assert "14 posts have no text." in fetched.notices
    spans = [(s.kind, each.text[s.start : s.end]) for each in posts for s in each.spans]
    assert Counter(kind for kind, _ in spans) == {"url": 23, "mention": 4}
    assert all(shown.startswith("@") for kind, shown in spans if kind == "mention")
    assert all("." in shown and " " not in shown for kind, shown in spans if kind == "url")
    new = fetch(FORMATS / "valid_repo_v3.car")[1]
    assert Counter(each.kind for each in new) == {"post": 2, "self-reply": 2}
    assert all(each.created_at and each.lang == "en" for each in new)


@pytest.mark.skipif(not FORMATS.is_dir(), reason="the real samples are not at hand")
def test_real_answers() -> None:
    """Counted with json alone: 27 items of a feed, 25 of them reposts; 2 records on two pages."""
    fetched, posts = fetch(FORMATS.parent / "bluesky_getAuthorFeed/benoist.dev_getAuthorFeed.json")
    assert {each.author for each in posts} == {"benoist.dev"} and len(posts) == 2
    assert fetched.skipped == 25 and len(fetched.accounts) == 1
    fetched, posts = fetch(FORMATS.parent / "bluesky_listRecords/shoo_listRecords.json")
    assert [each.kind for each in posts] == ["self-reply", "post"] and fetched.skipped == 0


def test_a_saved_feed_of_somebody_who_wants_no_strangers(tmp_path: Path) -> None:
    sample = samples.bluesky_feed(3)
    said = sample.data.replace(b'"labels": []', b'"labels": [{"val": "!no-unauthenticated"}]')
    (tmp_path / "feed.json").write_bytes(said)
    with pytest.raises(NoConsent, match="logged in"):
        fetch(tmp_path / "feed.json")
    assert len(fetch(tmp_path / "feed.json", i_have_the_right_to=True)[1]) == 3
