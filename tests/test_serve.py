"""The service: what bots answer, who may ask how much, and what becomes of it under pressure."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import jsonschema
import pytest
import uvicorn

import tiny
from mynah.bot import load_bot
from mynah.config import GenerationConfig, ServeConfig
from mynah.errors import SettingsError, StageMissing
from mynah.marking import MARK
from mynah.run_folder import RunFolder
from mynah.serving.app import Service, build_app
from mynah.serving.desk import Event, Failed, Job, Said
from mynah.serving.keys import Account, Keys, read_keys
from mynah.serving.service import check_reach, open_port, open_service
from mynah.speaking import talk
from mynah.torch_engine import TorchEngine
from test_docs import schemas

SAY = GenerationConfig(max_tokens=24, max_draws=2)


@contextmanager
def running(bots: Path, **settings: Any) -> Iterator[tuple[httpx.Client, Service]]:
    """Serve a folder on loopback, with a client that speaks to it."""
    config = ServeConfig(**{"port": 0, "length": 128, "timeout": 300, **settings})
    with open_port(config) as port, open_service(bots, config, SAY, tiny.FP32) as service:
        quiet = uvicorn.Config(build_app(service), lifespan="off", log_level="error")
        server = uvicorn.Server(quiet)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        url = f"http://127.0.0.1:{port.getsockname()[1]}"
        try:
            until(lambda: server.started)
            with httpx.Client(base_url=url, timeout=300) as client:
                yield client, service
        finally:
            server.should_exit = True
            thread.join()


def ask(client: httpx.Client, model: str, **more: Any) -> httpx.Response:
    return client.post("/v1/completions", json={"model": model, **more})


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [choice["text"] for choice in answer.json()["choices"]]


def alone(folder: RunFolder, prompt: str, **settings: Any) -> list[str]:
    """Return what `mynah say` says through torch."""
    config = GenerationConfig(**{"max_tokens": 24, "max_draws": 2, **settings})
    posts = talk(TorchEngine(load_bot(folder, tiny.FP32)), folder, prompt, config).posts
    return [post.text for post in posts]


def test_bots_in_one_batch_say_what_each_says_alone(bot: RunFolder, mirror: RunFolder) -> None:
    """Greedy and drawn, at once: the copy guard, the dice and the batch are those of say."""
    wanted = [
        (bot, "The", {"n": 2, "temperature": 0}),
        (mirror, "The", {"n": 2, "temperature": 0}),
        (bot, "", {"n": 3, "seed": 7}),
        (mirror, "A man", {"n": 3, "seed": 7}),
    ]
    with running(bot.root.parent) as (client, _), ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(ask, client, folder.name, prompt=prompt, echo=True, **how)
            for folder, prompt, how in wanted
        ]
        said = [sorted(texts(each.result())) for each in asked]
    assert said == [sorted(alone(folder, prompt, **how)) for folder, prompt, how in wanted]
    assert said[0] != said[1], "two voices, or a mix-up would not show"


def test_an_answer_is_openais_and_says_that_a_machine_wrote_it(bot: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        answer = ask(client, bot.name, prompt="My dream", n=2, seed=3).json()
        assert answer["object"] == "text_completion" and answer["model"] == bot.name
        assert {key: answer[key] for key in MARK} == MARK
        assert [choice["index"] for choice in answer["choices"]] == [0, 1]
        assert all(choice["finish_reason"] in ("stop", "length") for choice in answer["choices"])
        assert not any(choice["text"].startswith("My dream") for choice in answer["choices"])
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
        again = ask(client, bot.name, prompt="My dream", n=2, seed=answer["seed"]).json()
        assert again["choices"] == answer["choices"] and again["id"] != answer["id"]
        assert not again["timings"]["cold"] and answer["timings"]["cold"]


def test_posts_come_as_events_when_they_are_whole(bot: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        whole = texts(ask(client, bot.name, n=3, seed=1))
        options = {"stream": True, "stream_options": {"include_usage": True}}
        asked = {"model": bot.name, "n": 3, "seed": 1, **options}
        with client.stream("POST", "/v1/completions", json=asked) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in answer.iter_lines() if line]
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert all({key: chunk[key] for key in MARK} == MARK for chunk in chunks)
    *posts, last = chunks
    said = {post["choices"][0]["index"]: post["choices"][0]["text"] for post in posts}
    assert [said[at] for at in range(3)] == whole
    assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0


def test_the_list_has_the_trained_bots_of_this_base(
    bot: RunFolder, mirror: RunFolder, tiny_gpt2_bot: RunFolder
) -> None:
    bots = bot.root.parent
    shutil.copytree(tiny_gpt2_bot.root, bots / "stranger")
    shutil.copytree(bot.root, bots / "untrained")
    shutil.rmtree(bots / "untrained" / "adapter")
    with running(bots) as (client, _):
        listed = client.get("/v1/models").json()
        assert [row["id"] for row in listed["data"]] == sorted([bot.name, mirror.name])
        assert client.get(f"/v1/models/{bot.name}").json() == listed["data"][0]
        for name in ("stranger", "untrained", "nobody", "..%2Fsecrets"):
            answer = client.get(f"/v1/models/{name}")
            assert answer.status_code == 404 and answer.json()["error"]["type"]
        assert ask(client, "stranger").json()["error"]["code"] == "model_not_found"


def test_few_bots_are_at_hand_and_the_longest_unused_goes(bot: RunFolder) -> None:
    names = [f"copy{number}" for number in range(5)]
    for name in names:
        shutil.copytree(bot.root, bot.root.parent / name)
    with running(bot.root.parent) as (client, service):
        before = texts(ask(client, "copy0", seed=5))
        service.shelf._room = 2 * service.shelf.size  # two of them fit
        for name in names:
            assert texts(ask(client, name, seed=5)) == before
        assert service.shelf.count == 2 and service.shelf.evicted == 3
        assert list(service.shelf._kept) == ["copy3", "copy4"]
        ask(client, "copy3")
        ask(client, "copy1")
        assert list(service.shelf._kept) == ["copy3", "copy1"]


def test_a_bot_that_is_trained_anew_speaks_anew(bot: RunFolder, mirror: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        old = texts(ask(client, bot.name, temperature=0, prompt="The"))
        other = texts(ask(client, mirror.name, temperature=0, prompt="The"))
        shutil.rmtree(bot.adapter)
        assert ask(client, bot.name).status_code == 404
        shutil.copytree(mirror.adapter, bot.adapter)
        shutil.copy(mirror.cleaned, bot.cleaned)
        assert texts(ask(client, bot.name, temperature=0, prompt="The")) == other != old
        shutil.rmtree(bot.root)
        assert ask(client, bot.name).json()["error"]["code"] == "model_not_found"
        assert texts(ask(client, mirror.name, temperature=0, prompt="The")) == other


def test_a_bot_that_is_damaged_is_an_error_and_no_more(bot: RunFolder, mirror: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        weights = bot.adapter / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1_000])
        answer = ask(client, bot.name)
        assert answer.status_code == 404 and "is damaged" in answer.json()["error"]["message"]
        assert texts(ask(client, mirror.name))
        for _ in range(20):  # some are found out before anybody waits for the finding
            assert ask(client, bot.name).status_code == 404


def test_a_damaged_bot_gives_its_place_to_the_next(bot: RunFolder, mirror: RunFolder) -> None:
    """Both wait for the one place when the post before them is whole."""
    weights = mirror.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000])
    other = shutil.copytree(bot.root, bot.root.with_name("other"))
    asked, told = threading.Event(), [Queue[Event](), Queue[Event]()]

    def hold(_: Event) -> None:
        asked.wait()

    with running(bot.root.parent, rows=1) as (_, service):
        one = GenerationConfig(n=1, max_tokens=4, max_draws=1)
        service.desk.ask(Job(name=bot.name, prompt="", config=one, seed=1, tell=hold))
        until(lambda: service.desk.drawing == 1)
        for name, answers in zip((mirror.name, other.name), told, strict=True):
            service.desk.ask(Job(name=name, prompt="", config=one, seed=1, tell=answers.put))
        asked.set()
        assert isinstance(told[0].get(timeout=60), Failed)
        assert isinstance(told[1].get(timeout=60), Said)


def test_what_does_not_fit_the_queue_is_to_come_back(bot: RunFolder) -> None:
    with running(bot.root.parent, rows=1, queue=20) as (client, service):
        with ThreadPoolExecutor() as pool:
            first = pool.submit(ask, client, bot.name, n=20)
            until(lambda: service.desk.waiting > 10)
            refused = ask(client, bot.name, n=20)
            assert refused.status_code == 429
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert int(refused.headers["retry-after"]) >= 1
            assert len(texts(first.result())) == 20
        assert texts(ask(client, bot.name)), "there is room again"


def test_each_key_has_its_own_share(bot: RunFolder, tmp_path: Path) -> None:
    file, (ann, bob) = tmp_path / "keys", ("ann-" + "a" * 20, "bob-" + "b" * 20)
    file.write_text(f"# who may ask\n{ann}\n\n{bob}\n", encoding="utf-8")
    with running(bot.root.parent, keys=str(file), rate=1, key_posts=4) as (client, _):
        for header in (None, "Bearer wrong", ann, f"Basic {ann}"):
            client.headers = httpx.Headers({"authorization": header} if header else {})
            for answer in (ask(client, bot.name), client.get("/metrics"), client.get("/v1/models")):
                assert answer.status_code == 401 and answer.json()["error"]["code"] == "no_key"
            assert client.get("/health").status_code == 200
        client.headers["authorization"] = f"Bearer {ann}"
        assert ask(client, bot.name, n=5).json()["error"]["param"] == "n"
        assert ask(client, bot.name).status_code == 200
        refused = ask(client, bot.name)
        assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 60
        client.headers["authorization"] = f"Bearer {bob}"
        assert ask(client, bot.name).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(bot: RunFolder) -> None:
    with running(bot.root.parent, rows=1, timeout=0.05) as (client, service):
        for stream in (False, True):
            answer = ask(client, bot.name, n=60, stream=stream)
            assert answer.status_code == 504 or stream
            problem = answer.text.split("data: ")[-1]
            assert json.loads(problem)["error"]["code"] == "timeout"
            until(lambda: service.desk.drawing == service.desk.waiting == 0)


def test_who_hangs_up_frees_the_places(bot: RunFolder) -> None:
    with running(bot.root.parent, rows=1) as (client, service):
        asked = {"model": bot.name, "n": 60, "stream": True}
        with client.stream("POST", "/v1/completions", json=asked) as answer:
            next(answer.iter_lines())
        until(lambda: service.desk.drawing == service.desk.waiting == 0)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/completions", json={"model": bot.name, "n": 64}, timeout=0.05)
        until(lambda: service.desk.drawing == service.desk.waiting == 0)
        until(lambda: service.keys.account(None).posts == 0)


def until(holds: Any, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, "model"),
        ({"model": "ferryclerk", "n": 0}, "n"),
        ({"model": "ferryclerk", "temperature": "warm"}, "temperature"),
        ({"model": "ferryclerk", "stop": ["x"]}, "stop"),
        ({"model": "ferryclerk", "colour": "red"}, "colour"),
        ({"model": "ferryclerk", "max_tokens": 4_000}, None),
        ({"model": "ferryclerk", "prompt": "word " * 200}, None),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    bot: RunFolder, asked: dict[str, Any], where: str | None
) -> None:
    with running(bot.root.parent) as (client, _):
        answer = client.post("/v1/completions", json=asked)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == where


def test_a_body_that_is_too_large_is_not_read(bot: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        answer = client.post("/v1/completions", content=(b"x" * 65_536 for _ in range(8)))
        assert answer.status_code == 413 and "262,144 bytes" in answer.json()["error"]["message"]


def test_a_page_cannot_reach_it_by_a_name_of_its_own(bot: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 400


def test_numbers_for_prometheus(bot: RunFolder) -> None:
    with running(bot.root.parent) as (client, _):
        ask(client, bot.name, n=3)
        ask(client, "nobody")
        numbers = client.get("/metrics").text
    for line in (
        'mynah_requests_total{path="/v1/completions",status="200"} 1.0',
        'mynah_requests_total{path="/v1/completions",status="404"} 1.0',
        "mynah_posts_total 3.0",
        "mynah_hot_bots 1.0",
        'mynah_first_token_seconds_count{cold="yes"} 1.0',
    ):
        assert line in numbers
    assert bot.name not in numbers


def test_from_elsewhere_a_key_is_needed(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.org"):
        with pytest.raises(SettingsError, match="a key is needed"):
            check_reach(ServeConfig(host=host))
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        check_reach(ServeConfig(host=host))
    check_reach(ServeConfig(host="0.0.0.0", keys=str(tmp_path / "keys")))


@pytest.mark.parametrize("held", [None, "", "# none\n", "short\n", "long-enough-but-ünusual\n"])
def test_a_file_without_good_keys_is_refused(tmp_path: Path, held: str | None) -> None:
    if held is not None:
        (tmp_path / "keys").write_text(held, encoding="utf-8")
    with pytest.raises(SettingsError):
        read_keys(str(tmp_path / "keys"))


def test_a_share_fills_again() -> None:
    now = [0.0]
    account = Account(rate=12, most=1, clock=lambda: now[0])
    assert [account.spend() for _ in range(3)] == [0.0, 0.0, 5.0]
    now[0] = 4.0
    assert account.spend() == pytest.approx(1.0)
    now[0] = 5.0
    assert account.spend() == 0.0
    assert Keys([], rate=None, most=1).account(None).spend() == 0.0


def test_without_bots_there_is_nothing_to_serve(bots: Path) -> None:
    with pytest.raises(StageMissing), open_service(bots, ServeConfig(), SAY):
        pass


def test_it_stops_when_what_is_begun_is_done(bot: RunFolder) -> None:
    """SIGTERM in the middle of an answer: the answer comes, then the process ends well."""
    with tiny.start("serve", "--port", 0, "--json", "--rows", 1, "--stop-seconds", 300) as process:
        try:
            assert process.stdout and process.stderr
            said = json.loads(process.stdout.readline())
            jsonschema.validate(said, schemas()["serve"])
            assert said["bots"] == 1
            assert httpx.get(f"{said['url']}/health", timeout=60).status_code == 200, "at once"
            with ThreadPoolExecutor() as pool:
                asked = pool.submit(
                    httpx.post,
                    f"{said['url']}/v1/completions",
                    json={"model": bot.name, "n": 40, "max_tokens": 40},
                    timeout=300,
                )
                until(lambda: on_their_way(said["url"]) > 30)
                process.send_signal(signal.SIGTERM)
                assert len(texts(asked.result())) == 40
            out, err = process.communicate(timeout=120)
            assert (process.returncode, out, err) == (0, "", "")
        finally:
            process.kill()


def on_their_way(url: str) -> float:
    """Return how many posts are drawn or wait for it."""
    names = ("mynah_posts_drawing ", "mynah_posts_waiting ")
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(names))


def test_a_mistake_is_one_sentence(bot: RunFolder) -> None:
    answer = tiny.mynah("serve", "--host", "0.0.0.0")
    assert answer.code == 2 and "a key is needed" in answer.err
    assert tiny.mynah("serve", "--port", 70_000).code == 2
    assert os.environ.get("MYNAH_BOTS") is None
