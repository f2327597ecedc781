"""A bot's folder: every write whole or not at all, whatever goes wrong in the middle."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mynah.errors import BotBusy, BotError, BotNotFound, StageMissing, StorageError
from mynah.run_folder import (
    RunFolder,
    hash_file,
    hash_tree,
    open_bot,
    read_json,
    replacing,
    replacing_folder,
    storage_errors,
    write_json,
    write_rows,
)

needs_mount = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk"
)


@contextmanager
def small_disk(folder: Path, options: str = "size=128k") -> Iterator[Path]:
    """Mount a disk of 128 KiB, or skip where even root may not."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_json(file, {"old": True})
    with pytest.raises(RuntimeError), replacing(file) as text:
        text.write("half of the n")
        raise RuntimeError
    assert read_json(file) == {"old": True}
    assert leftovers(tmp_path) == []


def test_nobody_sees_a_half_written_file(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    write_rows(file, [{"n": 1}])
    seen = []

    def rows() -> Iterator[dict[str, int]]:
        for number in range(3):
            seen.append(file.read_text(encoding="utf-8"))
            yield {"n": number}

    assert write_rows(file, rows()) == 3
    assert seen == ['{"n": 1}\n'] * 3
    assert file.read_text(encoding="utf-8") == '{"n": 0}\n{"n": 1}\n{"n": 2}\n'
    assert file.stat().st_mode & 0o777 == 0o644


@needs_mount
def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        file = disk / "posts.jsonl"
        write_rows(file, [{"n": 1}])
        with pytest.raises(StorageError) as caught:
            write_rows(file, ({"text": "x" * 1_000} for _ in range(500)))
        assert caught.value.sentence == (
            "The disk is full: posts.jsonl was not written, what was there is untouched."
        )
        assert file.read_text(encoding="utf-8") == '{"n": 1}\n'
        assert leftovers(disk) == []


@needs_mount
def test_a_disk_that_fills_inside_a_library_is_understood(tmp_path: Path) -> None:
    """The weights' writer is not Python's: its error says ENOSPC in words only."""
    with small_disk(tmp_path / "disk") as disk:
        (disk / "adapter").mkdir()
        (disk / "adapter" / "old").write_text("old", encoding="utf-8")
        with (
            pytest.raises(StorageError, match="disk is full"),
            replacing_folder(disk / "adapter") as new,
        ):
            save_file({"big": torch.zeros(100_000)}, new / "model.safetensors")
        assert (disk / "adapter" / "old").read_text(encoding="utf-8") == "old"
        assert leftovers(disk) == []


@needs_mount
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "ro") as disk:
        with pytest.raises(StorageError, match="cannot be written") as caught:
            write_json(disk / "run.json", {})
        assert "--bots" in caught.value.hint
        with pytest.raises(StorageError, match="cannot be written"), RunFolder(disk / "x").lock():
            pass


def test_a_file_where_a_folder_is_due_is_named(tmp_path: Path) -> None:
    (tmp_path / "bots").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        write_json(tmp_path / "bots" / "ana" / "run.json", {})
    assert (tmp_path / "bots").read_text(encoding="utf-8") == "a file"


def test_an_error_that_is_not_the_disks_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        (tmp_path / "none").read_text(encoding="utf-8")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    with replacing_folder(target) as new:
        (new / "a").write_text("1", encoding="utf-8")
    with pytest.raises(RuntimeError), replacing_folder(target) as new:
        (new / "a").write_text("2", encoding="utf-8")
        raise RuntimeError
    assert (target / "a").read_text(encoding="utf-8") == "1"
    with replacing_folder(target) as new:
        (new / "b").write_text("3", encoding="utf-8")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert leftovers(tmp_path) == []


def test_a_folder_swap_killed_between_its_two_steps_is_undone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    target = folder.adapter
    with replacing_folder(target) as new:
        (new / "a").write_text("old", encoding="utf-8")
    killed = (
        "import os, signal, sys; from pathlib import Path; from mynah import run_folder\n"
        "real = Path.rename\n"
        "def rename(self, to):\n"
        "    if self.name != 'adapter': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(self, to)\n"
        "Path.rename = rename\n"
        "with run_folder.replacing_folder(Path(sys.argv[1])) as new:\n"
        "    (new / 'a').write_text('new')\n"
    )
    run = subprocess.run([sys.executable, "-c", killed, str(target)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not target.exists() and len(leftovers(tmp_path)) == 2  # the old one, the new one
    with folder.lock():
        assert (target / "a").read_text(encoding="utf-8") == "old"
    assert leftovers(tmp_path) == [".lock"]
    with replacing_folder(target) as new:
        (new / "a").write_text("new", encoding="utf-8")
    assert (target / "a").read_text(encoding="utf-8") == "new"


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ana")
    held = (
        "import sys; from pathlib import Path; from mynah.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", held, str(folder.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(BotBusy) as caught, folder.lock():
            pass
        assert str(caught.value) == (
            "Another process is working on bot 'ana'. Wait for it, or choose another --name."
        )
        other.kill()
    with folder.lock():  # a killed holder holds nothing
        pass


def test_what_killed_processes_left_half_written_is_taken_away(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / ".posts.jsonl.a1b2c3d4").write_text("half", encoding="utf-8")
    (tmp_path / ".model.a1b2c3d4").mkdir()
    (tmp_path / ".model.a1b2c3d4" / "x").write_text("half", encoding="utf-8")
    folder.posts.write_text("", encoding="utf-8")
    with folder.lock():
        assert leftovers(tmp_path) == [".lock"]
    assert folder.posts.exists()


def test_a_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ana")
    with pytest.raises(RuntimeError), folder.lock():
        raise RuntimeError
    with folder.lock():
        pass


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "a..b", ".hidden", "a b", "-n", "a\n", "x" * 129, "a\0"]
)
def test_a_name_that_is_no_folders_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BotError, match="cannot be a bot's name"):
        open_bot(tmp_path, name)


@pytest.mark.parametrize("name", ["ana", "ana-bob", "@ana", "Ana_1.2", "ana@b.example", "日本"])
def test_a_name_that_is_a_folders_is_taken(tmp_path: Path, name: str) -> None:
    assert open_bot(tmp_path, name).root == tmp_path / name


def test_what_is_missing_names_the_verb_that_makes_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ana")
    with pytest.raises(BotNotFound, match="no bot 'ana'"):
        folder.require(folder.posts)
    folder.root.mkdir()
    for path, verb in (
        (folder.posts, "fetch"),
        (folder.cleaned, "clean"),
        (folder.adapter, "train"),
        (folder.report, "report"),
        (folder.card, "card"),
    ):
        with pytest.raises(StageMissing) as caught:
            folder.require(path)
        assert caught.value.hint == f"Run: mynah {verb} ana"
    with pytest.raises(StageMissing, match="mynah train ana"):
        folder.stage_record("train")
    folder.posts.write_text("", encoding="utf-8")
    assert folder.require(folder.posts) == folder.posts


def test_a_stage_is_recorded_beside_the_others(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ana")
    assert folder.read_run() == {"name": "ana", "accounts": [], "stages": {}}
    folder.record("fetch", top={"versions": {"mynah": "1"}}, result={"posts": 3})
    folder.record("clean", result={"kept": 2})
    folder.record("fetch", result={"posts": 4})
    run = folder.read_run()
    assert run["versions"] == {"mynah": "1"}
    assert {name: stage["result"] for name, stage in run["stages"].items()} == {
        "fetch": {"posts": 4},
        "clean": {"kept": 2},
    }
    assert run["stages"]["clean"]["at"].endswith("Z")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"stages": []}', '{"accounts": 3}', "\udcff"])
def test_a_damaged_lineage_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path / "ana")
    folder.root.mkdir()
    folder.run.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BotError) as caught:
        folder.read_run()
    assert str(caught.value) == (
        f"{folder.run} is damaged. Write it anew: mynah make <source> --name ana --replace"
    )


def test_hashes_are_sha256_and_a_tree_depends_on_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "y").write_bytes(b"2")
        (folder / "x").write_bytes(b"1")
    digest = {content: hashlib.sha256(content).hexdigest() for content in (b"1", b"2")}
    lines = f"deep/y\0{digest[b'2']}\nx\0{digest[b'1']}\n"
    assert hash_tree(first) == hashlib.sha256(lines.encode()).hexdigest() == hash_tree(second)
    assert hash_tree(first / "x") == hash_file(first / "x") == digest[b"1"]
    (second / "x").rename(second / "z")
    assert hash_tree(second) != hash_tree(first)


def test_json_stays_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "Größe 💜"})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "Größe 💜" in text and json.loads(text) == {"name": "Größe 💜"}
