"""A flock: one adapter of many voices, and bots that start from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny
from conftest import tiny_recipe
from mynah.config import DatasetConfig, FetchConfig, TrainingConfig, flock_settings
from mynah.dataset import Example, blend, lengths
from mynah.errors import BotNotFound, SettingsError, StageMissing
from mynah.held_out import read_split
from mynah.model_stages import prepare, train_bot
from mynah.pipeline import Recipe, make_bot, train_flock
from mynah.run_folder import RunFolder, hash_tree


@pytest.fixture
def flock(bots: Path, small_archive: Path, tiny_base: Path) -> RunFolder:
    recipe = tiny_recipe(tiny_base, epochs=None)
    return train_flock(bots, [str(small_archive)], recipe, name="flock")


def recipe_from(base: Path, flock: str, **training: object) -> Recipe:
    return tiny_recipe(base, flock=flock, **training)


@pytest.mark.parametrize(
    ("chosen", "share"), [({}, 0.5), ({"flock_share": 1.0}, 1.0), ({"flock_share": 0.25}, 0.25)]
)
def test_a_bot_starts_from_a_share_of_its_flock(
    flock: RunFolder,
    bots: Path,
    small_archive: Path,
    tiny_base: Path,
    chosen: dict[str, float],
    share: float,
) -> None:
    """One step of no size teaches nothing: what is left is the flock's adapter, or half of it."""
    recipe = recipe_from(tiny_base, "flock", learning_rate=1e-12, epochs=0.1, **chosen)
    folder = make_bot(bots, [str(small_archive)], recipe, name="pupil").folder
    file = "adapter_model.safetensors"
    theirs, own = (load_file(each.adapter / file) for each in (flock, folder))
    for name, each in theirs.items():
        torch.testing.assert_close(own[name], each * share if "lora_B" in name else each)
    assert any(each.abs().max() > 0 for name, each in own.items() if "lora_B" in name)


def test_the_record_and_the_card_name_the_flock(
    flock: RunFolder, bots: Path, small_archive: Path, tiny_base: Path
) -> None:
    folder = make_bot(bots, [str(small_archive)], recipe_from(tiny_base, "flock"), name="p").folder
    row = folder.stage_record("train")["result"]["flock"]
    assert row == {
        "name": "flock",
        "accounts": ["ferryclerk"],
        "sha256": hash_tree(flock.adapter),
        "consents": [],
    }
    card = folder.card.read_text(encoding="utf-8")
    assert "started from the flock flock, which had learned from @ferryclerk" in card


def test_a_flock_may_lie_anywhere(
    flock: RunFolder, bot: RunFolder, tiny_base: Path, tmp_path: Path
) -> None:
    elsewhere = flock.root.rename(tmp_path / "elsewhere")
    recipe = recipe_from(tiny_base, str(elsewhere))
    train_bot(bot, recipe.train, recipe.dataset)
    assert bot.stage_record("train")["result"]["flock"]["name"] == "elsewhere"


def test_how_much_of_a_flock_a_bot_starts_with_is_said(
    flock: RunFolder, bot: RunFolder, tiny_base: Path
) -> None:
    begun = ("--base", tiny_base, "--flock", flock.name, "--epochs", 0.1)
    answer = tiny.mynah("train", bot.name, *begun, "--bots", bot.root.parent)
    assert answer.code == 0, answer.err
    assert "It starts with 50% of what flock has learned." in answer.err


def test_without_a_flock_nothing_is_recorded(bot: RunFolder) -> None:
    assert bot.stage_record("train")["result"]["flock"] is None


def test_another_size_or_base_is_refused_with_the_way_out(
    flock: RunFolder, bot: RunFolder, tiny_base: Path, tiny_gpt2: Path
) -> None:
    recipe = recipe_from(tiny_base, "flock", rank=3)
    with pytest.raises(SettingsError, match="rank 8, and the bot would have 3") as caught:
        train_bot(bot, recipe.train, recipe.dataset)
    assert caught.value.hint == "Choose --rank 8."
    other = recipe_from(tiny_gpt2, "flock")
    with pytest.raises(SettingsError, match="another base"):
        train_bot(bot, other.train, other.dataset)


def test_a_bot_has_the_rank_of_the_flock_that_it_starts_from(
    bots: Path, bot: RunFolder, small_archive: Path, tiny_base: Path
) -> None:
    train_flock(bots, [str(small_archive)], tiny_recipe(tiny_base, rank=3), name="small")
    recipe = recipe_from(tiny_base, "small")
    train_bot(bot, recipe.train, recipe.dataset)
    assert bot.stage_record("train")["result"]["rank"] == 3


def test_a_flock_that_is_not_there_or_not_trained_is_said_so(
    bot: RunFolder, bots: Path, tiny_base: Path
) -> None:
    recipe = recipe_from(tiny_base, "nobody")
    with pytest.raises(BotNotFound, match="nobody"):
        train_bot(bot, recipe.train, recipe.dataset)
    (bots / "half").mkdir()
    (bots / "half" / "run.json").write_text('{"stages": {}, "accounts": []}')
    recipe = recipe_from(tiny_base, "half")
    with pytest.raises(StageMissing, match="adapter"):
        train_bot(bot, recipe.train, recipe.dataset)


def test_a_stopped_training_does_not_go_on_from_another_flock(
    flock: RunFolder, bot: RunFolder, tiny_base: Path
) -> None:
    """The key of the checkpoint holds the flock's hash: other weights are another training."""
    from mynah.model import load_base
    from mynah.model_stages import _checkpoints

    recipe = recipe_from(tiny_base, "flock")
    keys = []
    for name in ("flock", None):
        base = load_base(str(tiny_base), tiny.FP32)
        config = replace(recipe.train, flock=name)
        parts = read_split(bot, recipe.dataset)
        ready = prepare(base, parts, config, recipe.dataset, bot)
        keep = _checkpoints(bot, base, ready, config, resume=False)
        keys.append(keep.key)
    assert keys[0] != keys[1]


def test_a_flock_looks_once_at_some_posts_of_each_unless_told_otherwise() -> None:
    fetch, dataset, training = flock_settings(FetchConfig(), DatasetConfig(), TrainingConfig())
    assert (fetch.max_posts, training.epochs, dataset.unbalanced) == (500, 1.0, True)
    chosen = FetchConfig(max_posts=7), DatasetConfig(), TrainingConfig(epochs=3.0)
    fetch, _, training = flock_settings(*chosen)
    assert (fetch.max_posts, training.epochs) == (7, 3.0)


def test_no_voice_of_a_flock_is_read_twice() -> None:
    examples = [Example(text=f"post {number}", author="much") for number in range(50)]
    examples += [Example(text="a word or two", author="little")]
    mixed = blend(examples, seed=0, weights=lengths(examples))
    assert sorted(mixed, key=repr) == sorted(examples, key=repr)
