"""Sweeps: the space, trials that are given up, a kill in the middle, and what comes of it."""

from __future__ import annotations

import signal
import time
import tomllib
from pathlib import Path

import pytest

import tiny
from mynah.config import DatasetConfig, SweepConfig, TrainingConfig, build
from mynah.dataset import Example, Split
from mynah.errors import BotError
from mynah.held_out import read_split
from mynah.model import Base
from mynah.plan import make_plan
from mynah.run_folder import RunFolder, hash_tree
from mynah.search import Search
from mynah.trial import Material, Pruned, Result, inner_split, try_settings
from tiny import mynah

FEW = ["--samples", 3, "--judged", 6, "--max-post-tokens", 32]


def search(trials: int = 30, tokens: int = 30_000, **more: float) -> Search:
    config = SweepConfig(trials=trials, **more)  # type: ignore[arg-type]
    return Search(Path("study.db"), "key", config, tokens=tokens)


def result(bits: float, copied: float = 0.0) -> Result:
    return Result(bits_per_byte=bits, copied=copied, seconds=1.0, steps=8)


def test_the_first_trial_is_the_usual_training_and_all_are_settings() -> None:
    found = search()
    usual = found.ask()
    assert usual is not None and usual[0] == 0
    assert (usual[1]["learning_rate"], usual[1]["rank"], usual[1]["batch_tokens"]) == (
        1.2e-3,
        8,
        96,
    )
    for _ in range(8):
        asked = found.ask()
        assert asked is not None
        config = build(TrainingConfig, asked[1])
        assert 1 <= (config.epochs or 0) <= 10
        assert (config.batch_tokens or 0) % config.accumulate == 0


@pytest.mark.parametrize("tokens", [30_000, 4_000, 500])
def test_a_small_archive_is_read_more_often_in_the_first_trial_as_in_training(tokens: int) -> None:
    asked = search(tokens=tokens).ask()
    assert asked is not None
    usual = make_plan(TrainingConfig(), tokens=tokens)
    assert asked[1]["epochs"] == round(usual.epochs)  # a trial reads all posts as often
    assert asked[1]["schedule"] == usual.schedule


def test_what_copies_too_much_is_not_the_best() -> None:
    found = search(max_copied=0.1)
    for bits, copied in ((2.0, 0.0), (1.5, 0.5), (1.8, 0.1)):
        asked = found.ask()
        assert asked is not None
        found.tell(asked[0], result(bits, copied))
    best = found.best()
    assert best is not None and best.bits_per_byte == 1.8
    assert search(max_copied=0.1).best() == best  # as the file has it
    assert found.finished() == 3


def test_a_trial_that_does_badly_is_given_up_at_a_quarter() -> None:
    found = search(trials=6)
    for _ in range(5):
        asked = found.ask()
        assert asked is not None
        assert [found.heard(asked[0], quarter, 2.0) for quarter in (1, 2, 3, 4)] == [False] * 4
        found.tell(asked[0], result(2.0))
    asked = found.ask()
    assert asked is not None
    assert found.heard(asked[0], 1, 3.0) is True
    found.tell(asked[0], None)
    assert found.trials()[-1].state == "pruned"
    assert found.ask() is None


def test_what_was_running_when_it_was_killed_is_tried_again() -> None:
    lost = search().ask()
    assert lost is not None
    again = search().ask()
    assert again is not None
    assert again[1] == lost[1] and again[0] != lost[0]


def test_a_damaged_file_is_said_so() -> None:
    Path("study.db").write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(BotError, match="cannot be used"):
        search()


def test_the_held_out_posts_judge_no_trial(bot: RunFolder) -> None:
    dataset = DatasetConfig()
    outer = read_split(bot, dataset)
    inner = inner_split(outer, dataset)
    assert set(inner.train) | set(inner.held_out) <= set(outer.train)
    assert not set(inner.train) & set(inner.held_out)
    assert outer.train[-1] in inner.held_out


def material(base: Base) -> Material:
    posts = tuple(Example(text=f"{text} Again.", author="ferryclerk") for text in tiny.SENTENCES)
    return Material(
        accounts=[{"handle": "ferryclerk"}],
        parts=Split(train=posts[:-4], held_out=posts[-4:]),
        training=TrainingConfig(),
        dataset=DatasetConfig(max_post_tokens=32),
        sweep=SweepConfig(samples=3),
    )


def test_a_trial_is_heard_at_quarters_and_leaves_the_base_as_it_was(base: Base) -> None:
    before = {name: each.clone() for name, each in base.model.state_dict().items()}
    heard: list[int] = []
    settings = TrainingConfig(epochs=3.0, learning_rate=0.01, batch_tokens=128, modules="mlp")

    def look(quarter: int, bits: float) -> bool:
        heard.append(quarter)
        return False

    done = try_settings(base, material(base), settings, look)
    assert heard == [1, 2, 3, 4] and 0 < done.bits_per_byte < 20
    with pytest.raises(Pruned):
        try_settings(base, material(base), settings, lambda quarter, bits: quarter == 2)
    after = base.model.state_dict()
    assert list(after) == list(before)
    assert all((after[name] == each).all() for name, each in before.items())
    assert try_settings(base, material(base), settings, look).bits_per_byte == done.bits_per_byte


def test_a_killed_sweep_goes_on_and_its_best_settings_train_the_bot(
    bot: RunFolder, tiny_base: Path
) -> None:
    before = hash_tree(bot.adapter)
    words = ["sweep", bot.name, "--base", tiny_base, *FEW]
    process = tiny.start(*words, "--trials", 50)
    study = bot.root / "sweep" / "study.db"
    while process.poll() is None and not (study.exists() and study.stat().st_size > 100_000):
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    answer = mynah(*words, "--trials", 6, "--json")
    assert (answer.code, answer.err) == (0, "")
    states = [trial["state"] for trial in answer.json["trials"]]
    assert len(states) >= 6 and set(states) <= {"complete", "pruned"}
    assert hash_tree(bot.adapter) == before
    best = tomllib.loads((bot.root / "sweep" / "best.toml").read_text(encoding="utf-8"))
    assert best == {"train": answer.json["best"]["settings"]}
    page = (bot.root / "sweep" / "sweep.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 1 and "http-equiv" not in page and "<script" not in page
    train = mynah("train", bot.name, "--base", tiny_base, "--settings", answer.json["settings"])
    assert train.code == 0, train.err
    assert bot.stage_record("train")["config"]["modules"] == best["train"]["modules"]
