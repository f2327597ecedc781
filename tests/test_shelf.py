"""Where the bots of a fleet go: a folder, a storage behind fsspec, S3 as moto speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import tiny_recipe
from mynah.errors import BotExists, StorageError
from mynah.fleet_worker import make_one
from mynah.flock_file import Order
from mynah.lending import pack_base
from mynah.run_folder import RunFolder, hash_file, hash_tree, write_json
from mynah.shelf import Shelf, open_shelf


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture(params=["folder", "file", "s3"])
def shelf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, bots: Path) -> Shelf:
    if request.param == "folder":
        return open_shelf(bots, None)
    if request.param == "file":
        return open_shelf(bots, f"file://{Path('store').absolute()}")
    for name, value in {
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3"),
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import fsspec

    fsspec.filesystem("s3").makedirs("flock", exist_ok=True)
    return open_shelf(bots, f"s3://flock/{request.node.originalname}")


def small_bot(place: Path, words: str) -> RunFolder:
    folder = RunFolder(place / "ferry")
    folder.adapter.mkdir(parents=True)
    (folder.adapter / "weights").write_text(words, encoding="utf-8")
    write_json(folder.run, {"name": "ferry", "accounts": [], "stages": {}})
    return folder


def test_a_bot_is_there_with_its_note_and_another_replaces_it(shelf: Shelf) -> None:
    assert shelf.note("ferry") is None
    for words in ("first", "second"):
        with shelf.workspace() as place:
            shelf.put(small_bot(place, words), {"bot": "ferry", "key": words})
        note = shelf.note("ferry")
        assert note is not None and note["key"] == words
    assert shelf.note("other") is None


def test_a_source_is_brought_once_and_taken_away_in_the_end(
    shelf: Shelf, small_archive: Path, tmp_path: Path
) -> None:
    digest = hash_file(small_archive)
    place = shelf.bring(str(small_archive), digest)
    assert shelf.bring(str(small_archive), digest) == place
    assert hash_file(Path(shelf.take(place, tmp_path))) == digest
    shelf.clear()
    if place != str(small_archive):
        with pytest.raises(StorageError):
            shelf.take(place, tmp_path)


def test_a_fleet_leaves_the_sources_of_another_alone(small_archive: Path, tmp_path: Path) -> None:
    """One that began once took away what the other's machines were still to read."""
    store = f"file://{tmp_path / 'store'}"
    mine, other = open_shelf(tmp_path / "mine", store), open_shelf(tmp_path / "other", store)
    digest = hash_file(small_archive)
    places = [shelf.bring(str(small_archive), digest) for shelf in (mine, other)]
    other.clear()
    assert hash_file(Path(mine.take(places[0], tmp_path))) == digest
    open_shelf(tmp_path / "mine", store).clear()  # begun again after a kill
    with pytest.raises(StorageError):
        mine.take(places[0], tmp_path)


def test_a_bot_is_made_once_wherever_it_goes(
    shelf: Shelf, small_archive: Path, tiny_base: Path
) -> None:
    """The second attempt finds what the first has left, and does nothing."""
    order = Order(name="ferry", sources=(str(small_archive),), recipe=tiny_recipe(tiny_base))
    source = shelf.bring(str(small_archive), hash_file(small_archive))
    packed = pack_base(str(tiny_base))
    first = make_one(order, "key", [source], packed, shelf)
    assert (first["status"], first["posts"]) == ("made", 117)
    assert make_one(order, "key", [source], packed, shelf) == first == shelf.note("ferry")
    assert make_one(order, "other", [source], packed, shelf)["at"] >= first["at"]


def test_what_was_killed_on_the_way_is_no_bot(bots: Path, tmp_path: Path) -> None:
    shelf = open_shelf(bots, f"file://{tmp_path / 'store'}")
    (tmp_path / "store" / "ferry").mkdir(parents=True)
    (tmp_path / "store" / "ferry" / "run.json").write_text("{}")
    assert shelf.note("ferry") is None
    (bots / ".fleet-left").mkdir(parents=True)
    folder = small_bot(bots, "old")
    write_json(folder.root / "fleet.json", {"key": "old"})
    before = hash_tree(folder.root)
    folder.root.rename(bots / ".ferry.old")  # as a kill between two steps leaves it
    local = open_shelf(bots, None)
    local.clear()
    assert [path.name for path in bots.iterdir()] == ["ferry"]
    assert hash_tree(folder.root) == before


def test_a_bot_that_no_fleet_made_is_left_alone(bot: RunFolder, bots: Path) -> None:
    with pytest.raises(BotExists, match="no fleet made it"):
        open_shelf(bots, None).note(bot.name)


@pytest.mark.parametrize("address", ["nowhere://x/y", "file:///proc/nothing/here"])
def test_a_storage_that_cannot_be_used_is_said_so(
    address: str, bots: Path, small_archive: Path
) -> None:
    with pytest.raises(StorageError, match="cannot be used"):
        open_shelf(bots, address).bring(str(small_archive), "digest")


def test_a_password_in_an_address_is_not_repeated(bots: Path, small_archive: Path) -> None:
    with pytest.raises(StorageError) as caught:
        open_shelf(bots, "nowhere://me:secret@host/x").bring(str(small_archive), "digest")
    assert "nowhere://host/x" in caught.value.sentence
    assert "secret" not in str(caught.value)
