"""What a training reads, in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import tiny
from mynah.config import TrainingConfig
from mynah.curriculum import encode, packed, post_by_post
from mynah.dataset import Example
from mynah.early_stopping import main_steps
from mynah.errors import TooFewPosts
from mynah.model import Base
from mynah.plan import Plan, make_plan

ONE = tuple(Example(text=f"{n} {text}", author="ana") for n, text in enumerate(tiny.SENTENCES))
TWO = (*ONE, *(Example(text=text, author="bob") for text in tiny.SENTENCES[:3]))


def plan_of(epochs: float, seed: int = 0, batch_tokens: int = 120) -> Plan:
    config = TrainingConfig(epochs=epochs, seed=seed, batch_tokens=batch_tokens)
    return make_plan(config, tokens=1_000_000)


def lengths(examples: tuple[Example, ...]) -> list[list[int]]:
    """Return rows of made-up tokens as long as the texts, in words."""
    return [[0, *range(1, 1 + len(example.text.split())), 0] for example in examples]


def test_a_post_stands_between_separators_and_a_long_one_is_cut_and_stays_open(base: Base) -> None:
    words = base.tokenizer
    ids = words("Low tide again", add_special_tokens=False)["input_ids"]
    [whole] = encode(words, ["Low tide again"], 0, len(ids))
    assert whole == [0, *ids, 0]
    [cut] = encode(words, ["Low tide again"], 0, len(ids) - 1)
    assert cut == [0, *ids[:-1]]  # nothing teaches the model to stop there
    assert encode(words, [], 0, 9) == []


def test_an_epoch_reads_every_post_of_one_account_once() -> None:
    made = post_by_post(ONE, lengths(ONE), plan_of(2), None)
    read = Counter(at for step in made.steps for at in step)
    assert read == dict.fromkeys(range(len(ONE)), 2)
    assert made.tokens == 2 * sum(len(row) - 1 for row in lengths(ONE))


def test_no_step_has_more_tokens_than_the_plan_says() -> None:
    rows = lengths(ONE)
    made = post_by_post(ONE, rows, plan_of(1, batch_tokens=60), None)
    assert max(len(step) * max(len(rows[at]) for at in step) for step in made.steps) <= 60
    assert min(map(len, made.steps)) >= 1 and max(map(len, made.steps)) > 1


def test_posts_set_aside_are_read_once_and_last() -> None:
    plan = replace(plan_of(2), validation=0.2)
    made = post_by_post(ONE, lengths(ONE), plan, None)
    before = main_steps(made.steps, made.validation)
    read = Counter(at for step in made.steps[:before] for at in step)
    assert len(made.validation) == round(0.2 * len(ONE)) > 0
    assert read == dict.fromkeys(set(range(len(ONE))) - set(made.validation), 2)
    assert sorted(at for step in made.steps[before:] for at in step) == list(made.validation)
    assert post_by_post(ONE, lengths(ONE), plan, None) == made
    other = post_by_post(ONE, lengths(ONE), replace(plan, seed=1), None)
    assert other.validation != made.validation


def test_half_an_epoch_takes_half_of_its_steps() -> None:
    whole = post_by_post(ONE, lengths(ONE), plan_of(1), None).steps
    assert len(whole) >= 4
    half = post_by_post(ONE, lengths(ONE), plan_of(1.5), None).steps
    assert half[: len(whole)] == whole
    assert len(half) == len(whole) + round(len(whole) / 2)


def test_seed_and_epoch_change_the_order_and_nothing_else_does() -> None:
    def steps(seed: int) -> list[list[int]]:
        return post_by_post(ONE, lengths(ONE), plan_of(2, seed), None).steps

    assert steps(0) == steps(0) != steps(1)
    first, second = steps(0)[: len(steps(0)) // 2], steps(0)[len(steps(0)) // 2 :]
    assert first != second


def test_a_quiet_voice_of_a_blend_is_read_more_often() -> None:
    made = post_by_post(TWO, lengths(TWO), plan_of(1), None)
    read = Counter(TWO[at].author for step in made.steps for at in step)
    assert read["ana"] == len(ONE)
    # eight times as many characters: each of bob's three posts is read about eight times
    assert 3 * 7 <= read["bob"] <= 3 * 9
    weighted = post_by_post(TWO, lengths(TWO), plan_of(1), {"ana": 2, "bob": 1})
    read = Counter(TWO[at].author for step in weighted.steps for at in step)
    assert 3 * 3 <= read["bob"] <= 3 * 5


def test_nothing_to_learn_from_is_said(base: Base) -> None:
    with pytest.raises(TooFewPosts, match="do not fill a single step"):
        post_by_post((), [], plan_of(1), None)
    old = make_plan(TrainingConfig(recipe="huggingtweets", epochs=1), tokens=9)
    with pytest.raises(TooFewPosts, match="do not fill a single step"):
        packed(ONE[:2], base.tokenizer, base.separator, old)
