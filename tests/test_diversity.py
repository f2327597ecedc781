"""Distinct-n, self-BLEU and repeats, worked out by hand."""

from __future__ import annotations

import pytest

from mynah.evaluation.diversity import (
    distinct,
    diversity,
    first_words,
    person_repeats,
    repeated_share,
    self_bleu,
)
from mynah.evaluation.texts import Texts


@pytest.mark.parametrize(
    ("n", "share"),
    [
        (1, 3 / 6),  # the sea the | sea the gull: the, sea, gull of six words
        (2, 3 / 4),  # the sea, sea the | sea the, the gull: three of four
        (3, 2 / 2),
    ],
)
def test_different_runs_over_all_runs(n: int, share: float) -> None:
    assert distinct([["the", "sea", "the"], ["sea", "the", "gull"]], n) == share


def test_no_run_crosses_two_texts() -> None:
    assert distinct([["a"], ["b"]], 2) == 0.0


def test_texts_are_cut_to_as_many_words() -> None:
    texts = [["a", "b"], ["c", "d", "e"], ["f"]]
    assert first_words(texts, 4) == [["a", "b"], ["c", "d"]]
    assert first_words(texts, 9) == texts


def test_equal_texts_have_a_self_bleu_of_one() -> None:
    assert self_bleu(["low tide again today"] * 3) == pytest.approx(1.0)


def test_self_bleu_of_two_texts_is_worked_out_by_hand() -> None:
    """Of "a b c d" beside "a b c e": 3/4 words, 2/3 pairs, 1/2 threes; no four, smoothed to 1/2."""
    by_hand = (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** (1 / 4)
    assert self_bleu(["a b c d", "A, b, c, e!"]) == pytest.approx(by_hand)


def test_a_text_said_again_is_counted_once_each_time() -> None:
    # The second and the fourth say again what the first said; figures do not tell texts apart.
    texts = ["Low tide at 7.", "low tide at 9", "High tide.", "LOW TIDE AT 7!"]
    assert repeated_share(texts) == 0.5
    assert repeated_share([]) == 0.0


def test_what_a_person_repeats_is_counted_over_what_cleaning_dropped() -> None:
    dropped = [
        {"text": "Low tide", "reason": "duplicate"},
        {"text": "Low tide!", "reason": "near-duplicate"},
        {"text": "BONG", "reason": "short"},
        {"text": "BONG", "reason": "short"},
        {"text": "RT @x: y", "reason": "repost"},  # someone else's words
    ]
    # Six of their own: three kept, two repetitions, two short of which one repeats: 3 of 7.
    kept = ["Low tide", "High tide", "A gull"]
    assert person_repeats(kept, dropped) == pytest.approx(3 / 7)
    assert person_repeats([], []) is None


def test_the_figures_of_a_bot_that_says_one_thing() -> None:
    lively = [" ".join(f"w{n}x{k}" for k in range(12)) for n in range(30)]
    texts = Texts(learned=[], held_out=lively, bot=["low tide again as ever"] * 60)
    made = {figure.name: figure for figure in diversity(texts, 0.25)}
    assert made["distinct_1"].value == pytest.approx(5 / 300)  # 5 words of 300
    assert made["distinct_1"].ceiling == 1.0
    assert made["distinct_1"].details == {"words_compared": 300}
    assert made["self_bleu"].value == pytest.approx(1.0) and made["self_bleu"].n == 30
    assert made["repeats"].value == pytest.approx(59 / 60)
    assert made["repeats"].ceiling == 0.25
    assert all(figure.interval is None for figure in made.values())


def test_few_words_are_said() -> None:
    made = {
        f.name: f for f in diversity(Texts(learned=[], held_out=[], bot=["low tide"] * 3), None)
    }
    assert made["distinct_2"].value is None and "200 words" in made["distinct_2"].why
    assert made["self_bleu"].value is None and "3 were drawn" in made["self_bleu"].why
    assert made["repeats"].value == pytest.approx(2 / 3) and made["repeats"].ceiling is None
