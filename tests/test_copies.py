"""Copying, posts known by heart, and leaks: counted by hand."""

from __future__ import annotations

import random

import pytest

from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex
from mynah.evaluation.copies import Copied, copies, count_copies, near_duplicates
from mynah.evaluation.extraction import beginnings, extraction
from mynah.evaluation.figure import Figure
from mynah.evaluation.leaks import leaks
from mynah.evaluation.markov import chain_texts
from mynah.evaluation.texts import Texts
from mynah.records import Generation

RULES, CONFIG = GenerationConfig(), ReportConfig(resamples=200)
LEARNED = ["one two three four five", "six seven eight"]


def figures(bot: list[str], held_out: list[str], first: list[bool] | None = None):
    texts = Texts(learned=LEARNED, held_out=held_out, bot=bot)
    made = copies(texts, first or [False] * len(bot), CopyIndex(LEARNED), RULES, CONFIG)
    return {figure.name: figure for figure in made}


def test_copies_of_bot_and_person_are_counted() -> None:
    samples = [
        Generation(text="Six seven eight!", prompt="", seed=0, copied_first=True),
        Generation(text="one red two blue three", prompt="", seed=0, copied_first=True),
        Generation(text="nothing here", prompt="", seed=0),
        Generation(text="nor there", prompt="", seed=0),
    ]
    held_out = ["one two three four five", "two three", "entirely new words"]
    found = count_copies(samples, held_out, CopyIndex(LEARNED), RULES)
    assert found == Copied(bot=0.25, unguarded=0.5, person=0.6667, samples=4)


def test_each_figure_is_counted_by_hand() -> None:
    bot = [
        "Six seven eight!",  # the same as a post
        "one two three four sixty",  # four of five words in a row; 4 letters of 24 changed
        "gull",
        "two three ships came in",
    ]
    made = figures(bot, ["one two three four five", "a new day at sea"], [True, True, False, False])
    assert (made["exact"].value, made["exact"].ceiling) == (0.25, 0.5)
    assert (made["copied"].value, made["copied"].ceiling) == (0.5, 0.5)
    assert made["copied_unguarded"].value == 0.5
    assert (made["near_duplicate"].value, made["near_duplicate"].ceiling) == (0.5, 0.5)
    assert made["longest_run"].value == (3 + 4 + 0 + 2) / 4
    assert made["longest_run"].ceiling == (5 + 0) / 2
    assert made["longest_run"].details["longest"] == {"bot": 4, "person": 5}
    assert made["longest_run"].details["texts_by_words"]["bot"] == {
        "0": 1, "1": 0, "2": 1, "3": 1, "4": 1,
    }  # fmt: skip
    # Runs of four words: one of two is new in the second text, both in the last; 2 and 2 of two.
    assert made["new_4grams"].value == 3 / 4
    assert made["new_4grams"].ceiling == 2 / 4
    for name, excess in (("exact", -0.25), ("copied", 0.0), ("longest_run", -0.25)):
        assert made[name].excess == pytest.approx(excess)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("one two three four five", True),
        ("ONE, two, three, four: five", True),  # folded
        ("one two three four fine", True),  # 1 of 23 letters
        ("one two three four six seven", False),  # 8 edits of 28 letters
        ("", False),
        ("👍🔋", True),
        ("🌊🌊🌊", False),
    ],
)
def test_a_fifth_of_edits_is_near(text: str, near: bool) -> None:
    assert near_duplicates([text], [*LEARNED, "👍🔋"]) == [near]


def test_emoji_alone_can_be_copied_too() -> None:
    texts = Texts(learned=["🌊 🌊", *LEARNED], held_out=["🌊"], bot=["🌊 🌊", "🌊"])
    made = copies(texts, [False] * 2, CopyIndex(texts.learned), RULES, CONFIG)
    [exact] = [figure for figure in made if figure.name == "exact"]
    assert (exact.value, exact.ceiling) == (0.5, 0.0)


def test_where_nothing_is_to_compare_there_is_a_reason() -> None:
    made = figures([], ["one two"])
    assert {figure.value for figure in made.values()} == {None}
    assert made["copied"].why == "The bot said nothing."
    assert "has 4 words" in made["new_4grams"].why
    assert near_duplicates([], LEARNED) == []
    alone = figures(["one two three four"], [])
    assert alone["copied"].value == 1.0
    assert alone["copied"].ceiling is None and alone["copied"].excess is None


# --- by heart ---


def test_a_beginning_is_five_words_and_the_rest_has_its_white_space() -> None:
    posts = ["one two three four five six  seven", "only these five words here", " a b c d e  f "]
    assert beginnings(posts, 9) == [
        ("one two three four five", " six  seven"),
        (" a b c d e", "  f "),
    ]
    assert len(beginnings(["a b c d e f"] * 50, 7)) == 7


def test_completed_posts_are_counted_beside_those_that_were_guessed() -> None:
    figure = extraction(
        {"bot": [True] * 6 + [False] * 14, "base": [False] * 20, "person": [True] + [False] * 9}
    )
    assert (figure.value, figure.ceiling, figure.floors) == (0.3, 0.1, {"base": 0.0})
    assert figure.excess == pytest.approx(0.2)
    assert figure.n == 20


def test_few_long_posts_are_said() -> None:
    figure = extraction({"bot": [True] * 3, "base": [], "person": []})
    assert figure.value is None and "there are 3" in figure.why


# --- leaks ---

POSTS = ["mail me: ferry@mail.example or call +44 20 7946 0018", "low tide"]


def leak(*said: str, floor: str = "low tide") -> Figure:
    return leaks(Texts(learned=[], held_out=[], bot=said, floors={"base": [floor]}), iter(POSTS))


def test_personal_data_of_the_posts_is_a_leak_however_it_is_spaced() -> None:
    figure = leak("Ferry@Mail.example!", "so call +442079460018", "nothing", "low tide")
    assert (figure.value, figure.n, figure.details) == (0.5, 4, {"made_up": 0})


def test_what_was_made_up_is_none() -> None:
    figure = leak("other@mail.example", "low tide", floor="ferry@mail.example")
    assert (figure.value, figure.details) == (0.0, {"made_up": 1})
    assert figure.floors == {"base": 1.0}


def test_posts_are_read_only_where_there_is_something_to_look_up() -> None:
    read = iter(POSTS)
    leaks(Texts(learned=[], held_out=[], bot=["low tide"]), read)
    assert next(read) == POSTS[0]


# --- the Markov chain ---


def test_a_chain_follows_the_posts_and_repeats_for_a_seed() -> None:
    posts = ["the sea is flat today", "the sea is a liar", "the gull is a liar"]
    before = random.getstate()
    texts = chain_texts(posts, 30, seed=1)
    assert random.getstate() == before  # the generator that others use goes on as it was
    assert texts == chain_texts(posts, 30, seed=1) != chain_texts(posts, 30, seed=2)
    assert len(texts) == 30
    # What follows two words follows them in a post; "is a" has one end only.
    assert set(texts) <= {*posts, "the sea is a liar"}
    assert "the gull is a liar" in texts


def test_no_posts_make_no_chain() -> None:
    assert chain_texts([], 5, seed=0) == chain_texts([" "], 5, seed=0) == []
    assert chain_texts(["a b c"], 0, seed=0) == []
