"""Publishing, with the Hub's real client against a Hub on loopback; nothing of either is faked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from hub_server import ADA, BOB, Hub, Repo
from mynah.run_folder import RunFolder, read_json, write_json, write_rows
from tiny import Answer, mynah

REPO = "ada/ferryclerk"
PUBLISHED = {
    *("README.md", "config.json", "generation_config.json", "model.safetensors", "pipeline.svg"),
    *("machine-made.json", "report.html", "report.json", "tokenizer.json"),
    "tokenizer_config.json",
}
ADAPTER = PUBLISHED - {"config.json", "model.safetensors"} | {
    *("adapter_config.json", "adapter_model.safetensors"),
}
BASE = "ada/tiny-base"


def published(hub: Hub, repo: str = REPO) -> dict[str, bytes]:
    return {name: raw for name, raw in hub.repos[repo].files.items() if name != ".gitattributes"}


def changes(answer: Answer) -> dict[str, str]:
    assert answer.code == 0, answer.err
    return {row["file"]: row["change"] for row in answer.json["files"]}


def refused(answer: Answer, *words: str) -> None:
    """Check for one sentence and a hint on standard error, and nothing of the login anywhere."""
    assert answer.code == 2, answer.err
    assert answer.err.splitlines()[-2].startswith("Error: ")
    assert "Traceback" not in answer.err and answer.out == ""
    assert ADA not in answer.err and BOB not in answer.err
    for word in words:
        assert word in answer.err


def run_alone(code: str, hub: Hub, home: Path) -> str:
    """Run Python where there is no Mynah; return what it printed."""
    own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": ADA, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    ending = "\nimport sys\nassert 'mynah' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + ending],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def snippet(card: bytes) -> str:
    """Return the Python that a card prints, with its last line shown."""
    [code] = re.findall(r"```python\n(.*?)```", card.decode(), re.DOTALL)
    *lines, call = code.strip().splitlines()
    show = "import json; print(json.dumps([row['generated_text'] for row in posts]))"
    return "\n".join([*lines, f"posts = {call}", show])


def on_hub_base(bot: RunFolder, hub: Hub) -> None:
    """Let the bot's base be one of the Hub: the same files under another name."""
    run = bot.read_run()
    trained = run["stages"]["train"]
    files = {path.name: path.read_bytes() for path in Path(trained["config"]["base"]).iterdir()}
    hub.repos[BASE] = Repo(private=False, history=[files])
    trained["config"]["base"] = trained["result"]["base"]["name"] = BASE
    trained["result"]["base"]["hub_id"] = BASE
    write_json(bot.run, run)
    config = bot.adapter / "adapter_config.json"
    write_json(config, read_json(config) | {"base_model_name_or_path": BASE})


def test_a_push_is_private_and_holds_what_a_bot_consists_of(bot: RunFolder, hub: Hub) -> None:
    done = mynah("push", bot.name, "--json")
    assert set(changes(done)) == PUBLISHED
    assert set(changes(done).values()) == {"new"}
    assert done.json["url"] == f"{hub.url}/{REPO}"
    assert hub.repos[REPO].private and done.json["private"] is True
    assert set(published(hub)) == PUBLISHED
    assert done.json["revision"] == hub.repos[REPO].sha
    assert published(hub)["report.json"] == bot.report.read_bytes()
    assert len(hub.asked("PUT", "/blobs/")) == 1  # the weights, the large-file way


def test_the_card_says_what_the_hub_wants_to_know(bot: RunFolder, hub: Hub) -> None:
    bot.preview.write_bytes(tiny.png())
    assert mynah("push", bot.name).code == 0
    card = published(hub)["README.md"].decode()
    fields = yaml.safe_load(card.split("---\n")[1])
    assert fields["library_name"] == "transformers"
    assert fields["pipeline_tag"] == "text-generation"
    assert fields["language"] == ["en"]
    assert fields["widget"] == [{"text": "My dream is"}]
    assert {"mynah", "machine-generated-text"} <= set(fields["tags"])
    assert fields["thumbnail"] == f"{hub.url}/{REPO}/resolve/main/preview.png"
    assert f'model="{REPO}"' in card and f"mynah pull {REPO}\n" in card
    assert published(hub)["preview.png"] == tiny.png()


def test_a_second_push_sends_what_has_changed(bot: RunFolder, hub: Hub) -> None:
    assert mynah("push", bot.name).code == 0
    commits = len(hub.repos[REPO].history)
    assert set(changes(mynah("push", bot.name, "--json")).values()) == {"same"}
    assert len(hub.repos[REPO].history) == commits
    report = read_json(bot.report) | {"verdict": "It is another one now."}
    write_json(bot.report, report)
    changed = changes(mynah("push", bot.name, "--json"))
    assert {name for name, how in changed.items() if how == "changed"} == {
        "README.md",
        "report.json",
    }
    assert json.loads(published(hub)["report.json"]) == report
    assert len(hub.asked("PUT", "/blobs/")) == 1


def test_a_dry_run_lists_and_checks_without_a_network(
    bot: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mynah("push", bot.name).code == 0
    asked, run = len(hub.seen), bot.run.read_bytes()
    monkeypatch.delenv("HF_TOKEN")
    write_json(bot.report, read_json(bot.report) | {"verdict": "It is another one now."})
    dry = mynah("push", bot.name, "--dry-run", "--adapter-only", "--json")
    refused(dry, "an adapter alone is no use")
    dry = mynah("push", bot.name, "--dry-run", "--json")
    assert changes(dry)["report.json"] == "changed" and changes(dry)["config.json"] == "same"
    assert dry.json["revision"] is None and dry.json["dry_run"] is True
    sizes = {row["file"]: row["bytes"] for row in dry.json["files"]}
    assert sizes["report.json"] == bot.report.stat().st_size
    assert len(hub.seen) == asked and bot.run.read_bytes() == run
    shown = mynah("push", bot.name, "--dry-run")
    assert "Nothing was sent" in shown.err and "model.safetensors" in shown.out
    (bot.root / "report.html").write_text("<p>ada@ferry.example</p>", encoding="utf-8")
    refused(mynah("push", bot.name, "--dry-run", "--json"), "report.html holds an e-mail address")


def test_the_cards_lines_run_on_what_was_pushed(bot: RunFolder, hub: Hub, tmp_path: Path) -> None:
    assert mynah("push", bot.name).code == 0
    posts = json.loads(run_alone(snippet(published(hub)["README.md"]), hub, tmp_path))
    assert len(posts) == 5 and len(set(posts)) > 1
    assert all(post.startswith("My dream is") and "<|" not in post for post in posts)


def test_an_adapter_alone_names_its_base_and_runs(bot: RunFolder, hub: Hub, tmp_path: Path) -> None:
    on_hub_base(bot, hub)
    assert mynah("push", bot.name).code == 0
    done = mynah("push", bot.name, "--adapter-only", "--json")
    gone = {name for name, change in changes(done).items() if change == "gone"}
    assert gone == {"config.json", "model.safetensors"}
    assert set(published(hub)) == ADAPTER
    card = published(hub)["README.md"]
    fields = yaml.safe_load(card.decode().split("---\n")[1])
    assert (fields["base_model"], fields["base_model_relation"]) == (BASE, "adapter")
    assert fields["library_name"] == "peft"
    posts = json.loads(run_alone(snippet(card), hub, tmp_path))
    assert len(posts) == 5 and all(post.startswith("My dream is") for post in posts)


@pytest.mark.parametrize("what", [500, "drop"])
def test_trouble_in_the_middle_of_a_file_is_got_over(
    bot: RunFolder, hub: Hub, what: int | str
) -> None:
    hub.fail("PUT", "/blobs/", what)
    assert mynah("push", bot.name).code == 0
    assert set(published(hub)) == PUBLISHED
    assert len(hub.asked("PUT", "/blobs/")) == 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (500, "The Hub has trouble of its own (status 500)."),
        (409, f"Something else is changing '{REPO}' on the Hub."),
        (413, f"The Hub refused what was asked of '{REPO}' (status 413)."),
        ("drop", "The Hub cannot be reached"),
        ("hang", "The Hub took too long to answer."),
    ],
)
def test_a_push_that_failed_goes_on_where_it_was(
    bot: RunFolder, hub: Hub, what: int | str, said: str
) -> None:
    hub.fail("POST", "/commit/", what)
    refused(mynah("push", bot.name, "--timeout", 1), said)
    assert published(hub) == {}
    assert mynah("push", bot.name).code == 0
    assert set(published(hub)) == PUBLISHED
    assert len(hub.asked("PUT", "/blobs/")) == 1  # the weights had arrived the first time


@pytest.mark.parametrize(
    ("what", "said", "hint"),
    [
        (401, "The Hub does not take your login.", "hf auth login"),
        (403, f"Your login may not do this with '{REPO}'.", "--repo"),
        (404, f"There is no '{REPO}' on the Hub", "name"),
        (409, f"There is a '{REPO}' on the Hub that this bot did not push.", "--repo"),
        (429, "The Hub has trouble of its own (status 429).", "same command again"),
    ],
)
def test_a_refusal_is_one_sentence(
    bot: RunFolder, hub: Hub, what: int, said: str, hint: str
) -> None:
    hub.fail("POST", "/repos/create", what)
    refused(mynah("push", bot.name), said, hint)
    assert hub.repos == {} and "push" not in bot.read_run()["stages"]


def test_without_a_login_nothing_is_asked(
    bot: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    refused(mynah("push", bot.name), "You are not logged in", "hf auth login", "HF_TOKEN")
    refused(mynah("takedown", bot.name, "--repo", REPO, "--yes"), "You are not logged in")
    assert hub.seen == []


@pytest.mark.parametrize("token", ["hf_" + "w" * 34, "hf_two\nlines" + "w" * 20])
def test_a_login_that_is_none_is_not_repeated(
    bot: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    answer = mynah("push", bot.name)
    refused(answer, "hf auth login")
    assert "ww" not in answer.err


def test_nobody_answers(bot: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    refused(mynah("push", bot.name, "--repo", REPO), "The Hub cannot be reached (ConnectError).")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(mynah("push", bot.name, "--repo", REPO), "HF_HUB_OFFLINE keeps the Hub away.")


def test_the_login_is_kept_nowhere(bot: RunFolder, hub: Hub) -> None:
    said = mynah("push", bot.name)
    assert ADA not in said.out + said.err
    kept = [path for path in Path.cwd().rglob("*") if path.is_file()]
    assert bot.run in kept
    assert [path for path in kept if ADA.encode() in path.read_bytes()] == []
    assert [name for name, raw in published(hub).items() if ADA.encode() in raw] == []


def test_public_only_when_asked_and_when_all_is_there(bot: RunFolder, hub: Hub) -> None:
    hub.fail("POST", "/commit/", 500)
    refused(mynah("push", bot.name, "--public"), "trouble")
    assert hub.repos[REPO].private
    assert mynah("push", bot.name, "--public", "--json").json["private"] is False
    assert not hub.repos[REPO].private
    commits = len(hub.repos[REPO].history)
    refused(mynah("push", bot.name), f"'{REPO}' is public, and --public was not typed.")
    assert len(hub.repos[REPO].history) == commits
    assert mynah("push", bot.name, "--public").code == 0


def test_what_something_else_has_is_left_alone(bot: RunFolder, hub: Hub) -> None:
    files = {"README.md": b"my thesis", ".gitattributes": b""}
    hub.repos[REPO] = Repo(private=True, history=[files])
    refused(mynah("push", bot.name), f"There is a '{REPO}' on the Hub", "--repo")
    hub.repos["bob/theirs"] = Repo(private=False)
    refused(mynah("push", bot.name, "--public", "--repo", "bob/theirs"), "may not do this")
    refused(mynah("push", bot.name, "--repo", "bob/new"), "may not do this")
    refused(mynah("push", bot.name, "--repo", "a/b/c"), "cannot be the name of a repository")
    assert hub.repos[REPO].history == [files]
    assert mynah("push", bot.name, "--repo", "ferry").code == 0
    assert set(published(hub, "ada/ferry")) == PUBLISHED


def test_what_somebody_added_on_the_page_stays(bot: RunFolder, hub: Hub) -> None:
    assert mynah("push", bot.name).code == 0
    repo = hub.repos[REPO]
    repo.history.append(repo.files | {"NOTES.md": b"by hand"})
    (bot.root / "report.html").write_text("<p>new</p>", encoding="utf-8")
    assert mynah("push", bot.name).code == 0
    assert set(published(hub)) == PUBLISHED | {"NOTES.md", "report.html"}


def test_takedown_deletes_what_was_pushed(bot: RunFolder, hub: Hub) -> None:
    refused(mynah("takedown", bot.name, "--yes"), "has not been pushed", "--repo")
    assert mynah("push", bot.name).code == 0
    refused(mynah("takedown", bot.name), f"Delete {REPO}", "--yes")  # nobody to ask
    assert REPO in hub.repos
    done = mynah("takedown", bot.name, "--yes")
    assert done.code == 0 and "Out of reach: copies that others have downloaded" in done.err
    assert hub.repos == {} and "push" not in bot.read_run()["stages"]


def test_takedown_of_what_cannot_be_seen(
    bot: RunFolder, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's login sees no private repository: that does not mean that it is gone."""
    assert mynah("push", bot.name).code == 0
    monkeypatch.setenv("HF_TOKEN", BOB)
    refused(mynah("takedown", bot.name, "--yes"), f"There is no '{REPO}' on the Hub, or your login")
    assert REPO in hub.repos and "push" in bot.read_run()["stages"]
    monkeypatch.setenv("HF_TOKEN", ADA)
    del hub.repos[REPO]  # by hand, on its page
    assert mynah("takedown", bot.name, "--yes").code == 0
    assert "push" not in bot.read_run()["stages"]


def test_takedown_of_one_of_several_and_of_one_that_is_named(bot: RunFolder, hub: Hub) -> None:
    for repo in ("ada/one", "ada/two"):
        assert mynah("push", bot.name, "--repo", repo).code == 0
    refused(mynah("takedown", bot.name, "--yes"), "was pushed to ada/one, ada/two", "--repo")
    done = mynah("takedown", bot.name, "--repo", "ada/one", "--yes", "--json")
    assert done.json["repo"] == "ada/one"
    assert list(bot.read_run()["stages"]["push"]["result"]["repos"]) == ["ada/two"]
    shutil.rmtree(bot.root)
    refused(mynah("takedown", bot.name, "--repo", "ada/three", "--yes"), "There is no 'ada/three'")
    assert mynah("takedown", bot.name, "--repo", "ada/two", "--yes").code == 0
    assert hub.repos == {} and not bot.root.exists()


def test_takedown_asks_on_a_terminal(bot: RunFolder, hub: Hub) -> None:
    assert mynah("push", bot.name).code == 0
    for answer, code in (("n", 2), ("y", 0)):
        mine, theirs = os.openpty()
        os.write(mine, f"{answer}\n".encode())
        asked = tiny.start(
            "takedown", bot.name, stdin=theirs, env={"HF_HUB_OFFLINE": "0", "MYNAH_BOTS": "bots"}
        )
        _, said = asked.communicate()
        os.close(mine)
        os.close(theirs)
        assert (asked.returncode, f"Delete {REPO}" in said) == (code, True), said
        assert (REPO in hub.repos) == (answer == "n")


def test_a_bot_that_lacks_what_a_push_needs(bot: RunFolder, hub: Hub) -> None:
    refused(mynah("push", "nobody"), "There is no bot 'nobody'")
    bot.cleaned.unlink()
    refused(mynah("push", bot.name), "has no cleaned.jsonl yet", "mynah clean")
    assert hub.seen == []


def test_all_weights_are_no_adapter(bot: RunFolder, hub: Hub, tiny_base: Path) -> None:
    shutil.copy(tiny_base / "model.safetensors", bot.adapter / "model.safetensors")
    refused(mynah("push", bot.name, "--adapter-only"), "All weights", "mynah push")


def test_a_push_tells_of_every_row(bot: RunFolder, hub: Hub) -> None:
    """A sample that copies was in samples.jsonl once; the card leaves it out, and so may go up."""
    real = tiny.account_rows(1)[0]["text"]
    row: dict[str, Any] = {"text": real, "nearest": {"text": real, "overlap": 1.0}}
    write_rows(bot.samples, [row])
    assert mynah("push", bot.name).code == 0
    assert real.encode() not in published(hub)["README.md"]
