"""A fetch over the network: interrupted, gone on with, updated, and never mixed with another."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
from mynah.config import FetchConfig
from mynah.errors import BotBusy, BotExists, NoConsent, ServerDown, SettingsError
from mynah.records import read_posts
from mynah.run_folder import RunFolder
from mynah.sources.answer import Answer
from mynah.sources.pages import Pages
from mynah.stages import fetch_posts
from mynah.updating import update_posts
from web_server import Asked, Reply
from x_server import TOKEN, X, plain_posts, post, running_x


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[X]:
    monkeypatch.setenv("X_BEARER_TOKEN", TOKEN)
    with running_x(X(plain_posts(350))) as x:
        yield x


def settings(x: X, **more: Any) -> FetchConfig:
    return FetchConfig(x_api=x.web.url, i_have_the_right_to=True, attempts=1, **more)


def fetch(x: X, bots: Path, **more: Any) -> RunFolder:
    return fetch_posts(bots, ["x:ferryclerk"], settings(x), **more)


def pages_asked(x: X) -> list[str]:
    timeline = [each for each in x.web.asked if each.path.endswith("/tweets")]
    return [each.params.get("pagination_token", "first") for each in timeline]


def ids(folder: RunFolder) -> list[str]:
    return [each.id for each in read_posts(folder.posts)]


def break_at(x: X, token: str) -> None:
    """Let the service fail from this page on."""
    path = "/2/users/42/tweets"
    whole = x.timeline

    def broken(asked: Asked) -> Reply:
        failing = asked.params.get("pagination_token") == token
        return Reply({}, 500) if failing else whole(asked)

    x.web.routes = {**x.routes(), path: broken}


def test_a_fetch_goes_on_from_its_last_page(x: X, bots: Path) -> None:
    break_at(x, "p200")
    with pytest.raises(ServerDown) as told:
        fetch(x, bots)
    assert "goes on from there" in told.value.hint
    assert pages_asked(x) == ["first", "p100", "p200"]
    assert not (bots / "ferryclerk").exists()
    x.web.routes = x.routes()
    x.web.asked.clear()
    folder = fetch(x, bots)
    assert pages_asked(x) == ["p200", "p300"]
    assert ids(folder) == [row["id"] for row in x.posts]
    assert [path.name for path in bots.iterdir()] == ["ferryclerk"]
    assert list(folder.stage_record("fetch")["inputs"]) == ["x:ferryclerk (4 pages)"]


def test_the_hash_does_not_tell_whether_it_was_interrupted(x: X, bots: Path) -> None:
    break_at(x, "p300")
    with pytest.raises(ServerDown):
        fetch(x, bots)
    x.web.routes = x.routes()
    first = fetch(x, bots).stage_record("fetch")["inputs"]
    assert fetch(x, bots, name="again").stage_record("fetch")["inputs"] == first


def test_consent_is_asked_again_when_a_fetch_goes_on(x: X, bots: Path) -> None:
    break_at(x, "p200")
    with pytest.raises(ServerDown):
        fetch(x, bots)
    with pytest.raises(NoConsent):
        fetch_posts(bots, ["x:ferryclerk"], FetchConfig(x_api=x.web.url))
    assert list(bots.iterdir()) == []  # no consent, so nothing is kept either


@pytest.mark.parametrize("spoil", ["old", "cut", "no note"])
def test_a_page_that_is_not_whole_or_too_old_is_asked_for_anew(tmp_path: Path, spoil: str) -> None:
    answer = Answer(url="https://x.example/", status=200, body=b"[1, 2]", headers={"link": "l"})
    Pages(tmp_path, 1.0).keep("https://x.example/", {"page": 1}, answer)
    found = Pages(tmp_path, 1.0).find("https://x.example/", {"page": 1})
    assert found is not None and (found.body, found.headers) == (answer.body, {"link": "l"})
    assert Pages(tmp_path, 1.0).find("https://x.example/", {"page": 2}) is None
    (body,), (note,) = tmp_path.glob("*.body"), tmp_path.glob("*.json")
    if spoil == "cut":
        body.write_bytes(b"[1")
    elif spoil == "no note":
        note.unlink()
    else:
        note.write_text(json.dumps(json.loads(note.read_text()) | {"at": "2020-01-01T00:00:00Z"}))
    assert Pages(tmp_path, 1.0).find("https://x.example/", {"page": 1}) is None


def age(folder: Path, hours: float) -> None:
    """Let what a fetch has left be of some hours ago."""
    then = time.time() - hours * 3_600
    for path in (*(folder / "pages").iterdir(), folder):
        os.utime(path, (then, then))


def test_pages_that_nobody_came_back_for_are_swept_by_the_next_fetch(
    x: X, bots: Path, small_archive: Path
) -> None:
    """They once stayed for ever: under another spelling nobody would have found them."""
    break_at(x, "p200")
    with pytest.raises(ServerDown):
        fetch(x, bots)
    [left] = bots.glob(".fetch-*")
    age(left, 23)
    fetch_posts(bots, [str(small_archive)], FetchConfig(), name="one")
    assert left.exists()  # the same command can still go on
    age(left, 25)
    with RunFolder(left).lock():  # and now somebody is at it
        fetch_posts(bots, [str(small_archive)], FetchConfig(), name="two")
        assert list((left / "pages").iterdir())
    fetch_posts(bots, [str(small_archive)], FetchConfig(keep_hours=48), name="three")
    assert left.exists()
    fetch_posts(bots, [str(small_archive)], FetchConfig(), name="four")
    assert not list(bots.glob(".fetch-*"))


def test_a_service_that_gives_the_same_page_for_ever_is_left(x: X, bots: Path) -> None:
    whole = x.timeline

    def turning(asked: Asked) -> Reply:
        reply = whole(asked)
        reply.body["meta"]["next_token"] = "p100"
        return reply

    x.web.routes = {**x.routes(), "/2/users/42/tweets": turning}
    assert len(ids(fetch(x, bots))) == 200
    assert pages_asked(x) == ["first", "p100"]


def test_an_update_asks_only_for_what_is_new(x: X, bots: Path) -> None:
    folder = fetch(x, bots)
    old = ids(folder)
    x.posts = [post(352, "Wave 352 came in."), post(351, "Wave 351 came in."), *x.posts]
    x.web.asked.clear()
    assert update_posts(folder, settings(x)).new == 2
    assert [each.params.get("since_id") for each in x.web.asked] == [None, old[0]]
    assert ids(folder) == [*old, x.posts[0]["id"], x.posts[1]["id"]]
    run = folder.read_run()
    assert run["stages"]["fetch"]["result"]["posts"] == 352
    assert [each["account"] for each in run["consents"]] == ["ferryclerk", "ferryclerk"]
    assert update_posts(folder, settings(x)).new == 0
    assert len(ids(folder)) == 352


def test_an_update_leaves_what_later_stages_made(x: X, bots: Path) -> None:
    folder = fetch(x, bots)
    folder.record("clean", result={})
    x.posts = [post(351, "Wave 351 came in."), *x.posts]
    update_posts(folder, settings(x))
    assert set(folder.read_run()["stages"]) == {"fetch", "clean"}


def test_an_update_on_the_command_line(x: X, bots: Path) -> None:
    words = ("--x-api", x.web.url, "--i-have-the-right-to", "--attempts", 1)
    assert tiny.mynah("fetch", "x:ferryclerk", *words).code == 0
    x.posts = [post(351, "Wave 351 came in."), *x.posts]
    silent = tiny.mynah("fetch", "--update", "ferryclerk")
    assert silent.code == 2 and "needs your word" in silent.err  # a word is not saved
    done = tiny.mynah("fetch", "--update", "ferryclerk", "--i-have-the-right-to", "--json")
    assert done.code == 0, done.err  # the address is
    assert (done.json["posts"], done.json["new"]) == (351, 1)
    assert tiny.mynah("fetch", "--update", "ferryclerk", "other").code == 2


def test_files_do_not_grow(bots: Path, small_archive: Path) -> None:
    folder = fetch_posts(bots, [str(small_archive)], FetchConfig())
    assert folder.read_run()["consents"] == []
    with pytest.raises(SettingsError, match="came from files"):
        update_posts(folder, FetchConfig())


def test_two_fetches_of_the_same_do_not_meet(x: X, bots: Path) -> None:
    """The second one once took the first one's folder away under its hands."""
    reached, go_on = threading.Event(), threading.Event()
    whole = x.timeline

    def slow(asked: Asked) -> Reply:
        reached.set()
        go_on.wait(30)
        return whole(asked)

    x.web.routes = {**x.routes(), "/2/users/42/tweets": slow}
    made: list[RunFolder] = []
    first = threading.Thread(target=lambda: made.append(fetch(x, bots)))
    first.start()
    assert reached.wait(30)
    with pytest.raises(BotBusy, match="fetching x:ferryclerk already"):
        fetch(x, bots)
    go_on.set()
    first.join()
    assert len(ids(made[0])) == 350


def test_the_slower_of_two_fetches_into_one_bot_is_refused(
    x: X, bots: Path, small_archive: Path
) -> None:
    whole = x.timeline

    def overtaken(asked: Asked) -> Reply:
        if "pagination_token" not in asked.params:
            fetch_posts(bots, [str(small_archive)], FetchConfig(), name="ferry")
        return whole(asked)

    x.web.routes = {**x.routes(), "/2/users/42/tweets": overtaken}
    with pytest.raises(BotExists):
        fetch(x, bots, name="ferry")
    assert {each.source for each in read_posts(bots / "ferry" / "posts.jsonl")} == {"x-archive"}


def test_an_update_does_not_mix_with_another_fetch(x: X, bots: Path, small_archive: Path) -> None:
    folder = fetch(x, bots, name="ferry")
    x.posts = [post(351, "Wave 351 came in."), *x.posts]
    whole = x.timeline

    def overtaken(asked: Asked) -> Reply:
        fetch_posts(bots, [str(small_archive)], FetchConfig(), name="ferry", replace=True)
        return whole(asked)

    x.web.routes = {**x.routes(), "/2/users/42/tweets": overtaken}
    with pytest.raises(BotBusy, match="changed meanwhile"):
        update_posts(folder, settings(x))
    assert {each.source for each in read_posts(folder.posts)} == {"x-archive"}


def test_an_archive_and_an_account_make_one_bot(x: X, bots: Path, small_archive: Path) -> None:
    folder = fetch_posts(bots, [str(small_archive), "x:ferryclerk"], settings(x), name="both")
    assert {each.source for each in read_posts(folder.posts)} == {"x-archive", "x-api"}
    record = folder.stage_record("fetch")
    assert record["sources"] == [str(small_archive), "x:ferryclerk"]
    assert record["result"]["format"] == "x-api+x-archive-2022"
