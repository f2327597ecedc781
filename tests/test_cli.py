"""The command line end to end: every verb alone, one object with --json, words elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tiny
from mynah.run_folder import RunFolder
from tiny import mynah

QUICK = ("--epochs", "1", "--learning-rate", "0.01", "--batch-tokens", "256")
FEW = ("--samples", "3", "--resamples", "50", "-n", "2", "--max-tokens", "16", "--max-draws", "2")


def test_make_tells_the_whole_story(small_archive: Path, tiny_base: Path, bots: Path) -> None:
    answer = mynah("make", small_archive, "--base", tiny_base, *QUICK, *FEW)
    assert answer.code == 0, answer.err
    assert "downloaded" in answer.out and "kept" in answer.out and "130" in answer.out
    assert "Bits per byte" in answer.out and "Copied, as shown" in answer.out
    assert "Estimate:" in answer.err and "Estimate:" not in answer.out
    assert answer.err.splitlines()[-1].endswith("Next: mynah say ferryclerk")
    assert len((bots / "ferryclerk" / "samples.jsonl").read_text("utf-8").splitlines()) == 2


def test_make_for_programs(small_archive: Path, tiny_base: Path, bots: Path) -> None:
    answer = mynah("make", small_archive, "--base", tiny_base, *QUICK, *FEW, "--json")
    assert answer.code == 0, answer.err
    row = answer.json
    assert list(row) == ["bot", "folder", "clean", "report", "samples"]
    assert row["bot"] == "ferryclerk" and row["clean"]["downloaded"] == 130
    assert list(row["samples"][0])[:3] == ["text", "nearest", "drawn_again"]
    assert answer.out.count("\n") == 1 and answer.err == ""


def test_every_verb_alone(small_archive: Path, tiny_base: Path, bots: Path) -> None:
    fetched = mynah("fetch", small_archive, "--name", "ana", "--json")
    assert fetched.json == {
        "bot": "ana",
        "folder": str(Path("bots") / "ana"),
        "accounts": ["ferryclerk"],
        "consents": [],
        "format": "x-archive-2022",
        "posts": 130,
        "skipped": 0,
        "found": [
            {
                "source": "ferry.zip",
                "format": "x-archive-2022",
                "sureness": "for certain",
                "posts": 130,
            }
        ],
    }
    cleaned = mynah("clean", "ana", "--json").json
    assert cleaned["downloaded"] == 130 == cleaned["kept"] + sum(cleaned["dropped"].values())
    assert list(cleaned["by_author"]) == ["ferryclerk"]
    trained = mynah("train", "ana", "--base", tiny_base, *QUICK, "--json").json
    assert trained["bot"] == "ana" and trained["posts"] == 117 and "losses" not in trained
    report = mynah("report", "ana", "--samples", "3", "--max-tokens", "16", "--json").json
    assert list(report)[:4] == ["verdict", "bits_per_byte", "copied", "person_repeats"]
    assert list(report)[4:] == ["texts", "sections", "seconds", "processor_seconds"]
    assert list(report["bits_per_byte"]) == ["base", "bot", "gain_percent", "interval", "posts"]
    assert json.loads((bots / "ana" / "report.json").read_text("utf-8")) == report
    said = mynah("say", "ana", "My dream is", "-n", "2", "--seed", "7", "--json").json
    assert list(said)[:4] == ["prompt", "seed", "samples", "engine"]
    assert list(said)[-2:] == ["seconds", "tokens_per_second"]
    assert (said["dropped_early"], said["saved_tokens"]) == (0, 0)
    assert (said["prompt"], said["seed"], len(said["samples"])) == ("My dream is", 7, 2)
    card = mynah("card", "ana", "--json").json
    assert card == {"bot": "ana", "card": str(Path("bots/ana/README.md"))}
    exported = mynah("export", "ana", "--json").json
    assert (bots / "ana" / "model" / "config.json").exists() and exported["bot"] == "ana"
    listed = mynah("list", "--json").json
    assert [row["bot"] for row in listed["bots"]] == ["ana"]
    assert listed["bots"][0]["stages"] == [
        "fetch",
        "clean",
        "train",
        "report",
        "say",
        "card",
        "export",
    ]


def test_every_sample_says_that_a_machine_made_it(bot: RunFolder) -> None:
    said = mynah("say", bot.name, "-n", "2", "--max-tokens", "8", "--json").json["samples"]
    kept = [json.loads(line) for line in bot.samples.read_text(encoding="utf-8").splitlines()]
    for row in (*said, *kept):
        assert row["machine_made"] is True
        assert row["notice"] == "Written by a language model, not by a person."
        assert row["digital_source_type"] == (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        )
    assert [row["text"] for row in said] == [row["text"] for row in kept]


@pytest.mark.parametrize(
    "words",
    [
        ("clean", "BOT"),
        ("clean", "BOT", "--explain"),
        ("report", "BOT", "--samples", "2", "--max-tokens", "16"),
        ("say", "BOT", "Fog", "-n", "1", "--max-tokens", "16"),
        ("who", "Fog in lane four", "BOT"),
        ("card", "BOT"),
        ("export", "BOT"),
        ("list",),
    ],
    ids=lambda words: " ".join(words),
)
def test_with_json_there_is_one_object_and_nothing_else(
    bot: RunFolder, words: tuple[str, ...]
) -> None:
    words = tuple(bot.name if word == "BOT" else word for word in words)
    answer = mynah(*words, "--json")
    assert answer.code == 0, answer.err
    assert isinstance(answer.json, dict)
    assert answer.out.endswith("}\n") and answer.out.count("\n") == 1
    assert answer.err == ""


@pytest.mark.parametrize("verb", ["clean", "report", "say", "card", "export"])
def test_each_verb_says_what_it_wrote_and_what_comes_next(bot: RunFolder, verb: str) -> None:
    words = ("--max-tokens", "16", "--max-draws", "2") if verb in ("report", "say") else ()
    more = ("--samples", "2") if verb == "report" else ("-n", "1") if verb == "say" else ()
    answer = mynah(verb, bot.name, *words, *more)
    assert answer.code == 0, answer.err
    [last] = answer.err.splitlines()[-1:]
    assert "Next: " in last and bot.name in last


def test_clean_explains_what_it_dropped(bots: Path, tmp_path: Path) -> None:
    rows = [*tiny.account_rows(3), {"at": "2024-01-01T08:00:00Z", "text": "Nope. [red]"}]
    mynah("fetch", tiny.write_archive(tmp_path / "a.zip", rows))
    answer = mynah("clean", "ferryclerk", "--explain")
    assert answer.code == 0
    assert "short" in answer.out and "Nope. [red]" in answer.out


def test_what_nobody_could_learn_from_is_not_sent_to_training(bots: Path, tmp_path: Path) -> None:
    """Clean once said "0 posts. Next: mynah train", which then refused."""
    mynah("fetch", tiny.write_archive(tmp_path / "a.zip", tiny.account_rows(3)))
    for words in ((), ("--min-words", 99)):
        told = " ".join(mynah("clean", "ferryclerk", *words).err.split())
        assert f"{0 if words else 3} posts with" in told and "too few to learn from" in told
        assert told.endswith("Next: mynah clean ferryclerk --explain")
    told = mynah("clean", "ferryclerk", "--explain").err
    assert "Next: mynah clean --help" in told and "mynah train" not in told


def test_a_printed_seed_repeats_the_posts(bot: RunFolder) -> None:
    few = ("-n", "3", "--max-tokens", "20")
    first = mynah("say", bot.name, "The", *few, "--json").json
    again = mynah("say", bot.name, "The", *few, "--seed", first["seed"], "--json").json
    assert again["samples"] == first["samples"]
    other = mynah("say", bot.name, "The", *few, "--seed", first["seed"] + 1, "--json").json
    assert other["samples"] != first["samples"]


def test_say_shows_the_nearest_post_when_asked(bot: RunFolder) -> None:
    words = ("say", bot.name, "The gull on counter two", "-n", "1", "--max-tokens", "16")
    plain, shown = mynah(*words, "--seed", "1"), mynah(*words, "--seed", "1", "--nearest")
    assert "nearest (" in shown.out and "nearest (" not in plain.out
    assert plain.out.splitlines()[0] == shown.out.splitlines()[0]


def test_a_typed_zero_wins_over_a_settings_file(bot: RunFolder, tmp_path: Path) -> None:
    file = tmp_path / "mynah.toml"
    file.write_text("[say]\nseed = 7\nn = 2\nmax_tokens = 12\n", encoding="utf-8")
    words = ("say", bot.name, "--settings", file, "--json")
    assert mynah(*words).json["seed"] == 7
    typed = mynah(*words, "--seed", "0").json
    assert (typed["seed"], len(typed["samples"])) == (0, 2)


def test_make_uses_the_trainings_seed_for_its_posts_unless_told(
    small_archive: Path, tiny_base: Path, bots: Path
) -> None:
    words = ("--base", tiny_base, *QUICK, *FEW, "--seed", "3", "--json")
    row = mynah("make", small_archive, *words).json
    folder = RunFolder(bots / row["bot"])
    assert folder.stage_record("say")["result"]["seed"] == 3
    assert folder.stage_record("train")["config"]["seed"] == 3


def test_the_folder_of_bots_is_named_by_flag_then_environment_then_default(
    tiny_bot: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(*words: object) -> list[str]:
        return [row["bot"] for row in mynah("list", *words, "--json").json["bots"]]

    for place, name in (("bots", "one"), ("two", "two"), ("three", "three")):
        shutil.copytree(tiny_bot.root, Path(place) / name)
    assert names() == ["one"]
    monkeypatch.setenv("MYNAH_BOTS", "two")
    assert names() == ["two"]
    assert names("--bots", "three") == ["three"]


def test_a_bot_may_be_named_by_its_path(tiny_bot: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(tiny_bot.root, tmp_path / "elsewhere")
    assert mynah("card", tmp_path / "elsewhere", "--json").json["bot"] == "elsewhere"


def test_no_bot_yet_is_no_error(bots: Path) -> None:
    answer = mynah("list")
    assert (answer.code, answer.out) == (0, "")
    assert "Next: mynah make <archive>" in answer.err


def test_words_from_strangers_do_not_steer_the_terminal(bot: RunFolder) -> None:
    text = bot.cleaned.read_text(encoding="utf-8")
    bot.cleaned.write_text(text.replace("The gull", "\\u001b[31mThe gull"), encoding="utf-8")
    words = ("The gull on counter two", "-n", "1", "--max-tokens", "8", "--nearest")
    answer = mynah("say", bot.name, *words, "--allow-copies")
    assert answer.code == 0 and "nearest" in answer.out and "\x1b" not in answer.out


def test_it_runs_as_a_module_and_closed_pipes_are_quiet(bot: RunFolder) -> None:
    command = f"{sys.executable} -m mynah say {bot.name} -n 4 --max-tokens 12 | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and len(run.stdout) == 1
    assert "Traceback" not in run.stderr and "BrokenPipe" not in run.stderr
