"""One sample of every source: recognised by content, all rows accounted for, good for a bot."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import samples
from conftest import tiny_recipe
from mynah.config import FetchConfig
from mynah.errors import SourceNotFound, UnknownFormat
from mynah.pipeline import make_bot
from mynah.sources import READERS, REMOTES, Trip, read, read_all
from mynah.sources.recognition import find
from samples import Sample, zip_of
from services import ENVIRONMENT, Service, services
from tiny import mynah

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import fuzz

SAMPLES = list(samples.samples())
SERVICES = list(services())
FILES = [each for each in SAMPLES if each.reader != "hf_dataset"]


def name(sample: Sample) -> str:
    return sample.name


def test_every_reader_has_a_sample() -> None:
    assert {each.reader for each in SAMPLES} == {fuzz.name_of(reader) for reader in READERS}


@pytest.mark.parametrize("sample", FILES, ids=name)
def test_the_right_reader_takes_it_and_counts_add_up(sample: Sample, tmp_path: Path) -> None:
    path = sample.write(tmp_path)
    assert fuzz.name_of(find(str(path), FetchConfig()).reader) == sample.reader
    fetched = read(str(path), FetchConfig(author=sample.author))
    posts = list(fetched.posts)
    assert (len(posts), len(posts) + fetched.skipped) == (sample.posts, sample.rows)
    [found] = fetched.found
    assert (found.source, found.posts) == (sample.name, len(posts))
    assert {post.author for post in posts} == {account.handle for account in fetched.accounts}
    assert len(fetched.accounts) == 1 and fetched.input_hashes()


@pytest.mark.parametrize("sample", [each for each in FILES if each.is_file], ids=name)
def test_a_file_in_a_zip_is_found_by_itself(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "whatever.zip"
    path.write_bytes(zip_of({**sample.files, "photos/1.jpg": b"\xff\xd8", "__MACOSX/x.csv": b"id"}))
    if sample.reader == "text_file":  # any text would do, so it is nothing to go by
        with pytest.raises(UnknownFormat):
            find(str(path), FetchConfig())
    else:
        assert fuzz.name_of(find(str(path), FetchConfig()).reader) == sample.reader


@pytest.mark.parametrize("sample", [each for each in FILES if each.is_file], ids=name)
def test_the_name_of_a_file_does_not_matter(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "whatever"
    path.write_bytes(sample.data)
    assert fuzz.name_of(find(str(path), FetchConfig()).reader) == sample.reader


def test_a_zip_of_two_dumps_asks_which(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(samples.own_lines(3).files | {"b.jsonl": b'{"text": "two"}\n'}))
    with pytest.raises(UnknownFormat, match=r"2 files that could be read, such as mine\.jsonl and"):
        find(str(path), FetchConfig())


def test_fetch_says_what_it_found_and_how_sure_it_is(tmp_path: Path) -> None:
    path = samples.reddit(6).write(tmp_path)
    done = mynah("fetch", path)
    assert done.code == 0
    assert "is reddit (for certain): 5 posts." in " ".join(done.err.split())
    guess = mynah("fetch", samples.own_text(3).write(tmp_path), "--json").json
    assert guess["found"][0]["sureness"] == "a guess" and guess["skipped"] == 0


def test_an_unknown_file_is_told_which_formats_exist(tmp_path: Path) -> None:
    for content in ('{\n "weather": "rain"\n}', "%PDF-1.7\n", "id,name\n1,x\n"):
        (tmp_path / "what.ever").write_text(content)
        done = mynah("fetch", tmp_path / "what.ever")
        assert done.code == 2 and "none of the formats" in done.err
        for told in ("archive.json", "twarc", "Reddit", "Telegram", "WhatsApp", "Discord", "CSV"):
            assert told in done.err


ROWS = [  # one for each row of files in docs/formats.md; accounts at services have their own tests
    *(samples.x_archive, samples.grailbird, samples.mastodon, samples.mastodon_statuses),
    *(samples.bluesky, samples.bluesky_records, samples.bluesky_feed, samples.community),
    *(samples.snscrape, samples.twint, samples.tweepy, samples.twarc, samples.reddit),
    *(samples.telegram, samples.whatsapp_ios, samples.discord, samples.dataset),
    *(samples.own_lines, samples.own_table, samples.own_text),
]


@pytest.mark.parametrize("build", ROWS, ids=lambda build: build.__name__)
def test_a_sample_becomes_a_bot_that_talks(
    build: type[Sample], tmp_path: Path, tiny_base: Path, bots: Path
) -> None:
    sample = build(150)
    source = str(sample.write(tmp_path))
    if sample.reader == "hf_dataset":
        (tmp_path / "tides").mkdir()
        shutil.move(source, tmp_path / "tides")
        source = f"hf:{tmp_path / 'tides'}"
    recipe = tiny_recipe(tiny_base, epochs=0.2)
    recipe = replace(recipe, fetch=FetchConfig(author=sample.author))
    made = make_bot(bots, [source], recipe, name="talker")
    assert len(made.samples) == 3
    stages = made.folder.read_run()["stages"]
    fetched, cleaned = stages["fetch"]["result"], stages["clean"]["result"]
    assert fetched["posts"] == cleaned["downloaded"] >= 149
    assert cleaned["downloaded"] == cleaned["kept"] + sum(cleaned["dropped"].values())


@pytest.mark.parametrize("reader", READERS, ids=fuzz.name_of)
def test_damaged_samples_raise_nothing_foreign(reader: fuzz.Reader, tmp_path: Path) -> None:
    fitting = [each for each in SAMPLES if each.reader == fuzz.name_of(reader)]
    (made, done, refused), failures = fuzz.fuzz(reader, fitting, 150, 0, tmp_path)
    assert [failure.text for failure in failures] == []
    assert made == done + refused == 150 and done and refused


def test_every_service_has_a_sample() -> None:
    assert {each.reader for each in SERVICES} == set(REMOTES.values())


@pytest.mark.parametrize("service", [each for each in SERVICES if each.posts], ids=str)
def test_what_services_answer_is_read_and_counts_add_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    trip = Trip(transport=service.transport())
    fetched = read_all([service.spec], FetchConfig(i_have_the_right_to=True), trip)
    posts = list(fetched.posts)
    assert (len(posts), fetched.skipped) == (service.posts, service.skipped)
    assert {post.author for post in posts} == {account.handle for account in fetched.accounts}
    assert fetched.consents and fetched.input_hashes()


@pytest.mark.parametrize("name", sorted(set(REMOTES.values())))
def test_damaged_answers_raise_nothing_foreign(name: str, tmp_path: Path) -> None:
    fitting = [each for each in SERVICES if each.reader == name]
    (made, done, refused), failures = fuzz.fuzz_services(fitting, 60, 0, tmp_path)
    assert [failure.text for failure in failures] == []
    assert made == done + refused == 60 and done and refused


def test_a_reference_without_a_type_is_none(tmp_path: Path) -> None:
    """Found by damage: a list where v2 says how one tweet refers to another."""
    row = samples.tweet_v2(1, referenced_tweets=[{"type": ["quoted"], "id": "5"}])
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"data": [row]}))
    assert [post.kind for post in read(str(path), FetchConfig()).posts] == ["post"]


def test_a_member_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Found by damage: a zip whose only table had lost its name."""
    place = fuzz.place_at(samples.reddit(2).write(tmp_path), FetchConfig())
    with pytest.raises(SourceNotFound, match="There is no"):
        place.open("tweets.csv")


def test_the_fuzzer_finds_what_a_reader_lets_through(tmp_path: Path) -> None:
    class Careless:
        """A reader that believes everything."""

        __name__ = "careless"
        SCHEME = "file"

        def recognises(self, place: object) -> float:
            return 0.0

        def read(self, place: fuzz.Place, journal: fuzz.Journal) -> None:
            with place.open(place.names[0]) as stream:
                stream.read().decode()

    reader = Careless()
    _, failures = fuzz.fuzz(reader, [samples.own_lines(3)], 60, 0, tmp_path)
    assert failures and all("Error" in failure.text for failure in failures)
    assert failures[0].path.exists()
