"""Several processes that teach one bot, as `accelerate launch` starts them, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mynah.replicas import ALONE
from mynah.run_folder import RunFolder
from tiny import mynah

WEIGHTS = "adapter_model.safetensors"


def launch(bot: str, *words: object, processes: int = 2) -> subprocess.Popen[str]:
    """Start `mynah train` in several processes on this machine's cores.

    As on several GPUs: told of `--cpu`, accelerate starts a single process.
    """
    here = ("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no")
    return subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "accelerate.commands.launch",
                "--num_processes",
                str(processes),
            ),
            *(*here, "--main_process_port", "0", "--dynamo_backend", "no"),
            *("--module", "mynah", "train", bot, *map(str, words)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


WORDS = ("--tracker", "none", "--learning-rate", "0.01", "--batch-tokens", "256")


def trained(folder: RunFolder) -> tuple[list[float], dict[str, torch.Tensor]]:
    result = folder.stage_record("train")["result"]
    return result["losses"], load_file(folder.adapter / WEIGHTS)


def test_two_processes_teach_what_one_does(bot: RunFolder, tiny_base: Path) -> None:
    words = (*WORDS, "--base", tiny_base, "--epochs", 0.5)
    assert mynah("train", bot.name, *words).code == 0
    losses, alone = trained(bot)
    run = launch(bot.name, *words)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert out.count("Estimate:") + err.count("Estimate:") == 1  # one of them speaks
    together = trained(bot)
    assert together[0] != losses  # sums of two shares end in other digits
    assert together[0] == pytest.approx(losses, rel=1e-2)
    for name, each in alone.items():
        apart = (together[1][name] - each).float().norm()
        assert apart < 0.1 * each.float().norm()  # Adam makes much of a last digit here and there


def test_both_stop_at_one_step_and_go_on(bot: RunFolder, tiny_base: Path) -> None:
    words = (*WORDS, "--base", tiny_base, "--epochs", 6, "--save-seconds", "0.1")
    run = launch(bot.name, *words)
    state = bot.checkpoints / "state.safetensors"
    wait_for(state, run)
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=300)
    assert state.exists()
    run = launch(bot.name, "--resume", "--tracker", "none")
    _, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    record = bot.stage_record("train")
    assert len(record["result"]["losses"]) == record["result"]["steps"]


def wait_for(path: Path, run: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 200
    while not path.exists():
        assert time.monotonic() < until and run.poll() is None, run.communicate()
        time.sleep(0.02)


def test_other_verbs_say_that_they_are_for_one(
    bot: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = mynah("say", bot.name)
    assert answer.code == 2
    assert "not say it" in answer.err and "accelerate launch --module mynah train" in answer.err


def test_alone_nothing_is_summed() -> None:
    gradient = torch.full((3,), 2.0)
    assert ALONE.add(gradient, 1.5, stopped=False) == (1.5, False)
    assert gradient.tolist() == [2.0] * 3 and ALONE.agree("posts") == "posts"
    assert ALONE.share(torch.arange(4)).tolist() == [0, 1, 2, 3]
