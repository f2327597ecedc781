"""Who would say this? Bayes by hand, bots that take turns on one base, and the table."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from mynah.attribution import Attribution, Likelihood, attribute, confusion, posterior
from mynah.attribution_stage import confuse, who_said
from mynah.bot import become, load_bot, playing
from mynah.config import WhoConfig
from mynah.errors import BotError, SettingsError, StageMissing
from mynah.loss import post_nats
from mynah.model import Base
from mynah.run_folder import RunFolder
from tiny import SENTENCES, mynah

FERRY, MIRRORED = SENTENCES[2], " ".join(reversed(SENTENCES[2].split()))


def test_a_bit_less_is_twice_as_likely() -> None:
    assert posterior([10.0, 11.0]) == pytest.approx((2 / 3, 1 / 3))
    assert posterior([5_000.0, 5_002.0, 5_002.0]) == pytest.approx((2 / 3, 1 / 6, 1 / 6))
    assert posterior([80.0]) == (1.0,)
    assert posterior([0.0, 9_999.0]) == (1.0, 0.0)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=9))
def test_the_chances_sum_to_one_and_follow_the_bits(bits: list[float]) -> None:
    chances = posterior(bits)
    assert sum(chances) == pytest.approx(1)
    assert chances[bits.index(min(bits))] == max(chances)


def likelihood(bot: str, bits: float, base_bits: float) -> Likelihood:
    return Likelihood(bot=bot, base="b", bits=bits, base_bits=base_bits)


def test_the_likeliest_comes_first_and_the_base_is_the_yardstick() -> None:
    # "é" is two bytes: 5 in all.
    found = attribute("a éo", [likelihood("tern", 12.0, 11.0), likelihood("gull", 10.0, 11.0)])
    assert [each.bot for each in found.likelihoods] == ["gull", "tern"]
    assert [each.gain_bits for each in found.likelihoods] == [1.0, -1.0]
    assert (found.bytes, found.shares) == (5, (0.8, 0.2))  # 2^-10 to 2^-12 is 4 to 1
    assert found.meaning() == (
        "gull would most likely have said this, 2.0 bits before tern, "
        "and finds it 1.0 bits likelier than its base does."
    )
    first, second = found.to_json()["bots"]
    assert (first["bits_per_byte"], first["gain_bits"], first["share"]) == (2.0, 1.0, 0.8)
    assert (second["bits"], second["base_bits"], second["bits_per_byte"]) == (12.0, 11.0, 2.4)


def test_a_text_may_sound_like_nobody() -> None:
    found = Attribution(text="x", likelihoods=(likelihood("gull", 10.0, 9.0),))
    assert "its base finds it likelier still: it sounds like nobody here" in found.meaning()


def test_the_table_is_counted_by_hand() -> None:
    # Five posts: two of a, two of b, one of c.
    bits = [
        [1.0, 5.0, 9.0, 2.0, 7.0],  # under a
        [2.0, 4.0, 8.0, 3.0, 7.5],  # under b
        [3.0, 6.0, 9.5, 4.0, 6.0],  # under c
    ]
    table = confusion(["a", "b", "c"], [0, 0, 1, 1, 2], bits)
    assert table.counts == ((1, 1, 0), (1, 1, 0), (0, 0, 1))
    assert (table.posts, table.right, table.accuracy) == (5, 3, 0.6)
    assert table.to_json() == {
        "rows": [
            {"bot": "a", "posts": 2, "chosen": {"a": 1, "b": 1, "c": 0}},
            {"bot": "b", "posts": 2, "chosen": {"a": 1, "b": 1, "c": 0}},
            {"bot": "c", "posts": 1, "chosen": {"a": 0, "b": 0, "c": 1}},
        ],
        "posts": 5,
        "right": 3,
        "accuracy": 0.6,
        "low": 0.2307,
        "high": 0.8824,
    }


def test_a_base_plays_a_bot_and_is_itself_again(base: Base, tiny_bot: RunFolder) -> None:
    rows = tiny.rows_of(base)

    def cost() -> torch.Tensor:
        return post_nats(base.model, rows, 0, 512)

    untouched = cost()
    with playing(base, tiny_bot) as bot:
        played = post_nats(bot.model, rows, 0, 512)
    assert torch.equal(cost(), untouched) and not torch.allclose(played, untouched, rtol=0.05)
    with playing(base, tiny_bot):
        pass
    become(base, tiny_bot)
    torch.testing.assert_close(cost(), played, rtol=1e-4, atol=1e-3)


def test_a_base_is_itself_again_after_an_adapter_that_does_not_fit(
    base: Base, bot: RunFolder
) -> None:
    untouched = post_nats(base.model, tiny.rows_of(base), 0, 512)
    tiny.rewrite_safetensors(bot.adapter / "adapter_model.safetensors", "other layers")
    with pytest.raises(BotError, match="does not fit"), playing(base, bot):
        pass
    assert torch.equal(post_nats(base.model, tiny.rows_of(base), 0, 512), untouched)


def test_bots_take_turns_on_one_base_and_on_several(
    bot: RunFolder, mirror: RunFolder, tiny_gpt2_bot: RunFolder, bots: Path
) -> None:
    shutil.copytree(tiny_gpt2_bot.root, bots / "other-base")
    folders = [mirror, RunFolder(bots / "other-base"), bot]
    found = who_said(folders, f"{FERRY}\nhttps://example.org/cut")
    assert found.text == FERRY  # as cleaning leaves what is learned from
    costs = {each.bot: each for each in found.likelihoods}
    for folder in folders:
        loaded = load_bot(folder)
        [nats] = post_nats(loaded.model, tiny.rows_of(loaded, [FERRY]), loaded.separator, 512)
        assert costs[folder.name].bits == pytest.approx(float(nats) / math.log(2), rel=0.02)
    assert costs[bot.name].base_bits == costs[mirror.name].base_bits
    assert costs[bot.name].base_bits != costs["other-base"].base_bits
    assert costs[bot.name].gain_bits > 10 and costs[bot.name].bits < costs[mirror.name].bits
    assert who_said(folders, MIRRORED).likelihoods[0].bot == mirror.name


def test_a_bot_whose_weights_were_all_trained_takes_its_turn(
    bot: RunFolder, mirror: RunFolder
) -> None:
    [with_adapter] = who_said([bot], FERRY).likelihoods
    assert mynah("export", bot.name).code == 0
    shutil.rmtree(bot.adapter)
    shutil.copytree(bot.model, bot.adapter)
    costs = {each.bot: each for each in who_said([bot, mirror], FERRY).likelihoods}
    assert costs[bot.name].bits == pytest.approx(with_adapter.bits, rel=0.02)
    assert costs[mirror.name].base_bits == with_adapter.base_bits


def test_a_text_longer_than_the_base_reads_is_read_in_pieces(bot: RunFolder) -> None:
    loaded = load_bot(bot)
    text = " ".join(SENTENCES)
    ids = [*loaded.tokenizer(text)["input_ids"], loaded.separator]
    assert len(ids) > 2 * loaded.context
    rows = [
        [loaded.separator, *ids[start : start + loaded.context]]
        for start in range(0, len(ids), loaded.context)
    ]
    nats = post_nats(loaded.model, rows, loaded.separator, 512)
    [found] = who_said([bot], text).likelihoods
    assert found.bits == pytest.approx(float(nats.sum()) / math.log(2), rel=0.02)


def test_two_voices_are_told_apart(bot: RunFolder, mirror: RunFolder) -> None:
    table = confuse([bot, mirror], WhoConfig(posts=5))
    assert table.bots == ("ferryclerk", "mirrorclerk")
    assert table.counts == ((5, 0), (0, 5))
    assert confuse([bot, mirror], WhoConfig(posts=99)).posts == 26


def test_who_shows_a_table_of_all_trained_bots(
    bot: RunFolder, mirror: RunFolder, small_archive: Path
) -> None:
    mynah("fetch", small_archive, "--name", "untrained")
    answer = mynah("who", "--posts", 4)
    assert answer.code == 0, answer.err
    assert "1  ferryclerk" in answer.out and "2  mirrorclerk" in answer.out
    assert "8 of 8 right, 100 % (95 %: 68 to 100). 50 % is guessing." in answer.out
    words = ("who", "--table", mirror.name, bot.name, "--posts", 4, "--json")
    row = mynah(*words).json
    assert [each["bot"] for each in row["rows"]] == [mirror.name, bot.name]
    assert (row["posts"], row["right"], row["low"]) == (8, 8, 0.6756)


def test_who_ranks_the_bots_for_a_text(bot: RunFolder, mirror: RunFolder) -> None:
    answer = mynah("who", FERRY)
    assert answer.code == 0, answer.err
    heading, first, second, meaning = answer.out.splitlines()
    assert "bits per byte" in heading and first.startswith("ferryclerk") and "100.0 %" in first
    assert second.startswith("mirrorclerk") and "0.0 %" in second
    assert meaning.startswith("ferryclerk would most likely have said this")
    row = mynah("who", FERRY, mirror.name, "--json").json
    assert [each["bot"] for each in row["bots"]] == ["mirrorclerk"]
    assert row["bots"][0]["share"] == 1.0


def test_a_table_needs_two_bots_with_posts_of_their_own(bot: RunFolder, bots: Path) -> None:
    answer = mynah("who")
    assert (answer.code, answer.out) == (2, "")
    assert "needs two trained bots or more, and there is 1" in answer.err
    assert "mynah make <archive>" in answer.err
    shutil.copytree(bot.root, bots / "twin")
    answer = mynah("who", "--table", bot.name, "twin")
    assert (answer.code, answer.out) == (2, "")
    assert "Every held-out post of bot 'ferryclerk' is one of another bot" in answer.err
    assert "same name" in mynah("who", "--table", bot.name, bot.name).err


def test_what_cannot_be_asked(bot: RunFolder, bots: Path, small_archive: Path) -> None:
    with pytest.raises(SettingsError, match="no words to judge"):
        who_said([bot], " https://example.org ")
    with pytest.raises(SettingsError, match="needs a trained bot or more, and there are none"):
        who_said([], FERRY)
    mynah("fetch", small_archive, "--name", "untrained")
    with pytest.raises(StageMissing, match="has no adapter yet"):
        who_said([bot, RunFolder(bots / "untrained")], FERRY)
    assert mynah("who", FERRY, "nobody").code == 2
