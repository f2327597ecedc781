"""The chain from the posts to the bot: whole, and with each of its links broken in each way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tiny
from mynah.config import CleaningConfig
from mynah.lineage import Link, check_lineage, first_broken
from mynah.run_folder import RunFolder, hash_tree, read_json, write_json
from mynah.stages import card_bot, clean_posts
from tiny import mynah

CHAIN = [
    "ferry.zip/data/account.js",
    "posts.jsonl",
    "cleaned.jsonl",
    "dropped.jsonl",
    "tiny-llama",
    "adapter",
    "report.json",
    "report.html",
    "samples.jsonl",
    "README.md",
]


def links_of(folder: RunFolder) -> dict[str, Link]:
    return {link.name: link for link in check_lineage(folder)}


def states(folder: RunFolder) -> dict[str, str]:
    """Return the links that are not as they should be."""
    return {link.name: link.status for link in check_lineage(folder) if link.status != "ok"}


def spoil(path: Path) -> None:
    """Change one byte of a file, or of the first file in a folder."""
    file = path if path.is_file() else min(each for each in path.rglob("*") if each.is_file())
    data = bytearray(file.read_bytes() or b" ")
    data[-1] ^= 1  # as long as it was
    file.write_bytes(data)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_finished_bot_holds_together(bot: RunFolder) -> None:
    answer = mynah("lineage", bot.name)
    assert (answer.code, states(bot)) == (0, {})
    names = list(links_of(bot))
    assert [name for name in names if not name.startswith("ferry.zip/")] == CHAIN[1:]
    assert "ferry.zip/data/tweets.js" in names
    assert [name for name in names if name not in answer.out] == []
    assert answer.err.strip() == f"The chain holds. Next: mynah say {bot.name}"
    assert all(link.sha256 for link in check_lineage(bot))


def test_it_goes_on_holding_while_the_bot_talks_and_gets_a_card(bot: RunFolder) -> None:
    assert mynah("say", bot.name, "-n", "1", "--max-tokens", "9").code == 0
    first = bot.card.read_bytes()
    assert mynah("card", bot.name).code == 0
    card = bot.card.read_bytes()
    assert mynah("card", bot.name).code == 0
    assert bot.card.read_bytes() == card != first  # it shows what was said last, not itself
    assert states(bot) == {}


MENDED_BY = {
    "posts.jsonl": "mynah make <source> --name ferryclerk --replace",
    "cleaned.jsonl": "mynah clean ferryclerk",
    "dropped.jsonl": "mynah clean ferryclerk",
    "adapter": "mynah train ferryclerk",
    "report.json": "mynah report ferryclerk",
    "report.html": "mynah report ferryclerk",
    "samples.jsonl": "mynah say ferryclerk",
    "README.md": "mynah card ferryclerk",
}


@pytest.mark.parametrize("name", MENDED_BY)
@pytest.mark.parametrize(("harm", "status"), [(spoil, "changed"), (remove, "missing")])
def test_a_link_that_is_not_what_was_written(
    bot: RunFolder, name: str, harm: Any, status: str
) -> None:
    harm(bot.root / name)
    answer = mynah("lineage", bot.name)
    assert answer.code == 1
    assert states(bot) == {name: status}
    assert answer.err.startswith(f"Broken at {name}: ")
    assert answer.err.strip().endswith(f"Next: {MENDED_BY[name]}")
    told = mynah("lineage", bot.name, "--json")
    assert told.code == 1
    assert (told.json["ok"], told.json["broken"]) == (False, name)


def test_posts_cleaned_anew_leave_what_was_made_of_the_old_ones(bot: RunFolder) -> None:
    clean_posts(bot, CleaningConfig(min_words=25))
    assert states(bot) == dict.fromkeys(("adapter", "report.json", "report.html"), "stale")
    broken = first_broken(check_lineage(bot))
    assert broken and broken.why == "made of another cleaned.jsonl than is there now"
    assert mynah("lineage", bot.name).err.strip().endswith(f"Next: mynah train {bot.name}")
    clean_posts(bot, CleaningConfig())  # back to the same bytes: nothing is stale any more
    assert states(bot) == {}


def test_trained_anew_all_that_was_made_of_the_old_weights_is_stale(
    bot: RunFolder, tiny_base: Path
) -> None:
    words = ("--base", tiny_base, "--epochs", "0.3", "--tracker", "none")
    assert mynah("train", bot.name, *words).code == 0
    assert states(bot) == dict.fromkeys(
        ("report.json", "report.html", "samples.jsonl", "README.md"), "stale"
    )


def test_a_source_is_read_again(bots: Path, tmp_path: Path) -> None:
    path = tiny.write_archive(tmp_path / "a.zip", tiny.account_rows(8))
    assert mynah("fetch", path, "--name", "ana").code == 0
    folder = RunFolder(bots / "ana")
    assert states(folder) == {}
    tiny.write_archive(path, tiny.account_rows(9))
    assert states(folder) == {"a.zip/data/tweets.js": "changed"}
    assert mynah("lineage", "ana").code == 1
    path.write_bytes(path.read_bytes()[:200])  # it cannot even be read
    assert set(states(folder).values()) == {"missing"}


def test_a_source_that_was_put_away_breaks_nothing(bots: Path, tmp_path: Path) -> None:
    """Its posts are in posts.jsonl, and its hash is recorded."""
    path = tiny.write_archive(tmp_path / "a.zip", tiny.account_rows(8))
    mynah("fetch", path, "--name", "ana")
    path.unlink()
    answer = mynah("lineage", "ana")
    assert answer.code == 0
    assert "missing" in answer.out and "kept in posts.jsonl" in answer.out


def test_two_sources_of_one_name_are_told_apart(bots: Path, tmp_path: Path) -> None:
    paths = [tmp_path / place / "posts.txt" for place in ("one", "two")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(f"Post number {number} of several.\n" * 3, encoding="utf-8")
    assert mynah("fetch", *paths, "--name", "ana").code == 0
    folder = RunFolder(bots / "ana")
    assert list(links_of(folder))[:2] == ["posts.txt", "posts.txt'"]
    assert states(folder) == {}
    paths[1].write_text("Other words.\n", encoding="utf-8")
    assert states(folder) == {"posts.txt'": "changed"}


def test_a_source_may_be_called_like_what_is_made_of_it(bots: Path, tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "Tickets to the island are sold out."}\n' * 2, encoding="utf-8")
    assert mynah("fetch", path, "--name", "ana").code == 0
    assert [link.status for link in check_lineage(RunFolder(bots / "ana"))] == ["ok", "ok"]


def test_sources_are_found_from_another_folder(
    bots: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny.write_archive(Path("a.zip"), tiny.account_rows(8))
    assert mynah("fetch", "archive:a.zip", "--name", "ana").code == 0
    monkeypatch.chdir(tmp_path)
    assert states(RunFolder(bots / "ana")) == {}


def test_another_base_in_its_place(bot: RunFolder, tiny_base: Path, tmp_path: Path) -> None:
    """A hash that is remembered by size and time would not see it: the file is read."""
    base = shutil.copytree(tiny_base, tmp_path / tiny_base.name)
    run = read_json(bot.run)
    run["stages"]["train"]["config"]["base"] = str(base)
    write_json(bot.run, run)
    assert states(bot) == {}
    [weights] = base.glob("*.safetensors")
    spoil(weights)
    assert states(bot) == {tiny_base.name: "changed"}
    shutil.rmtree(base)
    assert states(bot) == {tiny_base.name: "missing"}
    assert "mynah train" in mynah("lineage", bot.name).err


def test_an_export_is_a_link_too(bot: RunFolder, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert mynah("export", bot.name, "--output", target).code == 0
    assert links_of(bot)["out"].status == "ok"
    spoil(target / "config.json")
    assert states(bot) == {"out": "changed"} and mynah("lineage", bot.name).code == 1
    shutil.rmtree(target)  # given away, it is not missed
    assert states(bot) == {"out": "missing"} and mynah("lineage", bot.name).code == 0
    assert mynah("export", bot.name).code == 0
    assert links_of(bot)["model"].status == "ok"
    assert mynah("export", bot.name, "--output", tmp_path / "adapter").code == 0
    assert states(bot) == {}  # called like a file of the bot's own


def test_what_no_stage_recorded_is_said_and_breaks_nothing(bot: RunFolder) -> None:
    run = read_json(bot.run)
    del run["stages"]["say"], run["stages"]["card"]  # as a version that recorded no cards left it
    write_json(bot.run, run)
    assert states(bot) == {"samples.jsonl": "not recorded", "README.md": "not recorded"}
    answer = mynah("lineage", bot.name)
    assert answer.code == 0 and "nothing says how it was made" in answer.out


def test_a_bot_that_is_not_finished_has_the_links_it_has(bots: Path, small_archive: Path) -> None:
    mynah("fetch", small_archive)
    mynah("clean", "ferryclerk")
    names = list(links_of(RunFolder(bots / "ferryclerk")))
    assert names[-3:] == ["posts.jsonl", "cleaned.jsonl", "dropped.jsonl"]
    assert mynah("lineage", "ferryclerk").code == 0


KILLED = (
    "import os, signal, sys\n"
    "from mynah import cli\n"
    "from mynah.run_folder import RunFolder\n"
    "RunFolder.record = lambda *words, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
    "cli.main(sys.argv[1:])\n"
)


def test_a_stage_killed_before_its_record_is_found_out(bot: RunFolder) -> None:
    """The worst moment: cleaned.jsonl is the new one, and run.json speaks of the old one."""
    words = ["clean", bot.name, "--min-words", "25"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert states(bot) == {"cleaned.jsonl": "changed", "dropped.jsonl": "changed"}
    answer = mynah("lineage", bot.name)
    assert answer.err.strip().endswith(f"Next: mynah clean {bot.name}")
    clean_posts(bot, CleaningConfig())
    assert states(bot) == {}


def test_every_stage_leaves_what_the_chain_needs(bot: RunFolder) -> None:
    card_bot(bot)
    stages = bot.read_run()["stages"]
    assert list(stages) == ["fetch", "clean", "train", "report", "say", "card"]
    for name, record in stages.items():
        assert record["run"].startswith(f"{bot.name}-{name}-")
        assert "xllamacpp" in record["versions"]
        for file, digest in record["outputs"].items():
            assert hash_tree(bot.root / file) == digest
    [source] = stages["fetch"]["sources"]
    assert Path(source).is_absolute()


@pytest.mark.parametrize(
    "stages",
    [
        {"train": {}},
        {"train": {"result": {"base": "tiny"}}},
        {"fetch": []},
        {"fetch": {"inputs": 3}},
        {"export": {"outputs": {"model": "ab"}}},
        {"clean": {"outputs": {"cleaned.jsonl": 4}}, "fetch": None},
    ],
)
def test_records_that_hold_something_else_are_one_sentence(
    bot: RunFolder, stages: dict[str, Any]
) -> None:
    write_json(bot.run, {"name": bot.name, "accounts": [], "stages": stages})
    answer = mynah("lineage", bot.name, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert "does not hold what stages write" in answer.err and "--replace" in answer.err


def test_programs_get_every_link(bot: RunFolder) -> None:
    told = mynah("lineage", bot.name, "--json").json
    assert (told["bot"], told["ok"], told["broken"]) == (bot.name, True, None)
    assert set(told["links"][0]) == {"name", "stage", "status", "sha256", "why", "fix"}
    assert json.dumps(told)
