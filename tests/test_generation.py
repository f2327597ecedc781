"""A bot talks: repeatable, whole posts, drawn as the settings say, and no copies."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from mynah.bot import load_bot
from mynah.config import GenerationConfig, TrainingConfig
from mynah.copying import CopyIndex
from mynah.generation import generate, with_seed
from mynah.model import Base
from mynah.plan import make_plan
from mynah.records import Generation
from mynah.run_folder import RunFolder
from mynah.sampling import choose
from mynah.torch_engine import TorchEngine
from mynah.training import train

PLAIN = GenerationConfig(n=4, max_tokens=40, max_draws=1)


def say(
    base: Base, prompt: str = "", index: CopyIndex | None = None, seed: int = 0, **changes: Any
):
    config = replace(PLAIN, **changes)
    return list(generate(TorchEngine(base), prompt, config, index, seed=seed))


def texts(posts: list[Generation]) -> list[str]:
    return [post.text for post in posts]


@pytest.fixture(scope="module")
def speaker(tiny_bot: RunFolder) -> Base:
    return load_bot(tiny_bot, tiny.FP32)


@pytest.fixture(scope="module")
def parrot(tiny_base: Path) -> Base:
    """Return a bot that knows six posts by heart."""
    base = tiny.fp32(tiny_base)
    base.model.requires_grad_(True)
    rows = tiny.rows_of(base, tiny.SENTENCES[:6])

    plan = make_plan(TrainingConfig(learning_rate=0.01), tokens=1_000_000)
    train(base, rows, [list(range(6))] * 60, replace(plan, rank=None))
    return base


def test_the_same_seed_says_the_same_and_another_another(speaker: Base) -> None:
    first = say(speaker, n=5)
    assert first == say(speaker, n=5)
    assert len(set(texts(first))) == 5
    assert texts(first) != texts(say(speaker, n=5, seed=1))


def test_more_posts_begin_with_the_same_ones(speaker: Base) -> None:
    many = texts(say(speaker, n=9))
    assert set(texts(say(speaker, n=3))) <= set(many)


def test_more_than_one_batch_of_posts(speaker: Base) -> None:
    posts = say(speaker, n=40, max_tokens=6)
    assert len(posts) == 40
    assert len({post.text for post in posts}) > 30


@pytest.mark.parametrize("prompt", ["", "My dream is", "The 💜", "My dream is ", "  "])
def test_every_post_begins_with_the_prompt(speaker: Base, prompt: str) -> None:
    for post in say(speaker, prompt):
        assert post.text.startswith(prompt) and post.prompt == prompt


def test_a_post_ends_by_itself_or_is_drawn_again(speaker: Base) -> None:
    """A long limit lets posts end; with a short one, every draw is cut and thrown away."""
    ended = say(speaker, max_tokens=150, max_draws=4)
    assert any(post.drawn_again == 0 for post in ended)
    cut = say(speaker, max_tokens=3, max_draws=4)
    assert [post.drawn_again for post in cut] == [3] * 4
    assert all(post.tokens == 4 * 3 for post in cut)


def test_fewest_and_most_tokens(parrot: Base) -> None:
    tokenizer = parrot.tokenizer
    index = [len(tokenizer(text)["input_ids"]) for text in tiny.SENTENCES[:6]]
    short = min(index)
    posts = say(parrot, temperature=0.2, n=6, min_tokens=0, max_tokens=200)
    assert min(len(tokenizer(post.text)["input_ids"]) for post in posts) >= short
    longer = say(parrot, temperature=0.2, n=6, min_tokens=max(index) + 4, max_tokens=200)
    assert all(len(tokenizer(post.text)["input_ids"]) > max(index) for post in longer)
    for post in say(parrot, n=6, max_tokens=5):
        assert post.tokens == 5 and len(tokenizer(post.text)["input_ids"]) <= 5


def shares(values: list[float], config: GenerationConfig, draws: int = 20_000) -> list[float]:
    """Return how often each token is drawn, with evenly spread numbers for dice."""
    logits = np.log(np.tile(np.float32(values), (draws, 1)))
    dice = [(at + 0.5) / draws for at in range(draws)]
    counts = Counter(choose(logits, config, dice))
    return [counts[token] / draws for token in range(len(values))]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    found = shares([0.2, 0.5, 0.3], GenerationConfig(temperature=1.0, top_p=1.0))
    assert found == pytest.approx([0.2, 0.5, 0.3], abs=1e-3)


def test_temperature_is_the_power_of_the_odds() -> None:
    # at 0.5 chances are squared: 4 : 25 : 9 of 38
    found = shares([0.2, 0.5, 0.3], GenerationConfig(temperature=0.5, top_p=1.0))
    assert found == pytest.approx([4 / 38, 25 / 38, 9 / 38], abs=1e-3)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.4, [0, 1, 0, 0]),  # the likeliest alone holds 0.5
        (0.6, [0, 5 / 8, 3 / 8, 0]),  # 0.5 is too little, 0.5 + 0.3 is enough
        (0.79, [0, 5 / 8, 3 / 8, 0]),
        (0.9, [0.15, 0.5, 0.3, 0]),  # up to 0.95, of 0.95
        (1.0, [0.15, 0.5, 0.3, 0.05]),
    ],
)
def test_the_nucleus_is_the_smallest_that_holds_top_p(top_p: float, expected: list[float]) -> None:
    whole = sum(expected)
    found = shares([0.15, 0.5, 0.3, 0.05], GenerationConfig(temperature=1.0, top_p=top_p))
    assert found == pytest.approx([each / whole for each in expected], abs=1e-3)


def test_a_flat_distribution_wider_than_the_first_look_is_sorted_whole() -> None:
    wide = [1 / 3_000] * 3_000
    found = shares(wide, GenerationConfig(temperature=1.0, top_p=0.9), draws=5_400)
    assert sum(share > 0 for share in found) == pytest.approx(2_700, abs=3)


def test_equally_likely_tokens_stand_in_the_order_of_their_numbers() -> None:
    """Logits in bf16 are often equal; a seed has to mean the same token all the same."""
    chances = np.float32([0.1, 0.3, 0.1, 0.3, 0.2])
    config, dice = GenerationConfig(temperature=1.0, top_p=1.0), [0.1, 0.4, 0.7, 0.85, 0.95]
    drawn = choose(np.log(np.tile(chances, (5, 1))), config, dice)
    assert drawn == [1, 3, 4, 0, 2]  # sums: 0.3, 0.6, 0.8, 0.9, 1


def test_each_row_has_its_own_dice_and_its_own_nucleus() -> None:
    logits = np.log(np.float32([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]]))
    config = GenerationConfig(temperature=1.0, top_p=0.8)
    assert choose(logits, config, [0.999, 0.0, 0.75]) == [0, 1, 1]
    assert choose(logits, config, [0.0, 0.999, 0.0])[:2] == [0, 1]


def test_real_dice_pass_a_chi_square_test() -> None:
    dice, chances = random.Random(0), [0.15, 0.5, 0.3, 0.05]
    logits = np.log(np.tile(np.float32(chances), (4_000, 1)))
    config = GenerationConfig(temperature=1.0, top_p=1.0)
    counts = Counter(choose(logits, config, [dice.random() for _ in range(4_000)]))
    statistic = sum((counts[t] - 4_000 * c) ** 2 / (4_000 * c) for t, c in enumerate(chances))
    assert statistic < 16.27  # three degrees of freedom, one in a thousand


@pytest.mark.parametrize("prompt", ["", "My dream is", "The"])
@pytest.mark.parametrize("kind", ["tiny_bot", "tiny_gpt2_bot"])
def test_greedy_is_what_transformers_says(
    kind: str, prompt: str, request: pytest.FixtureRequest
) -> None:
    bot = load_bot(request.getfixturevalue(kind), tiny.FP32)
    ids = [bot.separator, *bot.tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    theirs = bot.model.generate(
        input_ids=torch.tensor([ids]),
        do_sample=False,
        min_new_tokens=3,
        max_new_tokens=30,
        eos_token_id=bot.separator,
        pad_token_id=bot.separator,
    )[0, len(ids) :]
    expected = prompt + bot.tokenizer.decode(theirs, skip_special_tokens=True)
    [mine] = say(bot, prompt, n=1, temperature=0.0, max_tokens=30)
    assert mine.text == expected.split("\n")[0].rstrip()


def test_a_parrot_copies_and_the_guard_does_not_let_it(parrot: Base) -> None:
    index = CopyIndex(tiny.SENTENCES[:6])
    free = say(parrot, index=index, n=8, max_tokens=80, max_draws=30, allow_copies=True)
    assert sum(post.text in tiny.SENTENCES[:6] for post in free) >= 6
    assert all(post.drawn_again == 0 or not post.copied_first for post in free)
    copied = [post for post in free if post.copied_first]
    assert all(post.nearest.text in tiny.SENTENCES[:6] for post in copied) and len(copied) >= 6
    assert all(post.nearest.overlap == 1.0 for post in free if post.text in tiny.SENTENCES)

    hot = {"n": 8, "max_tokens": 80, "max_draws": 60, "temperature": 1.1, "top_p": 1.0}
    guarded = say(parrot, index=index, **hot)
    config = replace(PLAIN, **hot)
    assert not any(index.overlap(post.text).is_copy(config) for post in guarded)
    assert min(post.drawn_again for post in guarded) > 0
    assert all(post.copied_first for post in guarded)


def test_the_draw_that_passed_is_the_one_that_is_shown(parrot: Base) -> None:
    """A long copy that is a small share of its post was shown in place of a later, good draw."""
    index = CopyIndex(tiny.SENTENCES[:6])
    hot = {"n": 24, "max_tokens": 80, "max_draws": 100, "temperature": 1.15, "top_p": 1.0}
    for post in say(parrot, index=index, seed=5, **hot):
        assert not index.overlap(post.text).is_copy(PLAIN)


def test_where_all_draws_copy_the_least_copied_is_taken(parrot: Base) -> None:
    index = CopyIndex(tiny.SENTENCES[:6])
    posts = say(parrot, index=index, n=6, max_tokens=80, max_draws=5, temperature=0.7)
    stuck = [post for post in posts if post.drawn_again == 4]
    assert stuck and all(post.text for post in stuck)
    assert len(posts) == 6


def test_the_nearest_post_stands_beside_what_was_said(speaker: Base) -> None:
    index = CopyIndex(["The ferry and the gull.", "Apples"])
    for post in say(speaker, "The ferry", index=index, allow_copies=True):
        assert post.nearest.text == "The ferry and the gull."
        words = len(post.text.split())
        assert 0 < post.nearest.overlap <= 1 and words >= 2


def test_without_real_posts_nothing_is_compared(speaker: Base) -> None:
    assert {post.nearest.text for post in say(speaker)} == {""}
    assert {post.copied_first for post in say(speaker)} == {False}


def test_no_control_character_and_no_second_line_comes_out(tiny_base: Path) -> None:
    """The untrained base draws any byte when asked to be wild."""
    wild = tiny.fp32(tiny_base)
    posts = say(wild, n=60, temperature=50.0, top_p=1.0, max_tokens=60)
    drawn = "".join(texts(posts))
    assert len(drawn) > 1_000
    assert not [c for c in drawn if unicodedata.category(c) in ("Cc", "Cs")]


def test_a_missing_seed_is_drawn_and_kept() -> None:
    config, seed = with_seed(GenerationConfig())
    assert config.seed == seed >= 0
    assert with_seed(GenerationConfig(seed=0))[1] == 0
    assert len({with_seed(GenerationConfig())[1] for _ in range(5)}) == 5
