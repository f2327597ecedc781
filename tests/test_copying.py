"""The copy guard's measure: hand-counted runs, and a slower, plainer search as the judge."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.config import GenerationConfig
from mynah.copying import CopyIndex, Overlap, copied_share, words_of

RULES = GenerationConfig()
POSTS = (
    "The gull on counter two has eaten the timetable, all times are now rumours.",
    "Low tide again.",
    "It's a queue — a QUEUE!",
)


def test_words_are_folded() -> None:
    assert words_of("It’s LOW-tide, again… ＡＢＣ ①!") == [
        "its",
        "low",
        "tide",
        "again",
        "abc",
        "1",
    ]
    assert words_of("STRASSE Straße") == ["strasse", "strasse"]
    assert words_of("💜 — …") == []


def test_each_character_of_a_script_without_spaces_is_a_word() -> None:
    assert words_of("船が出る at 9") == ["船", "が", "出", "る", "at", "9"]
    index = CopyIndex(["今日は船が遅れて出ました。"])
    found = index.overlap("今日は船が早く出ました")
    assert (found.run, found.words, found.same) == (5, 11, False)
    assert index.overlap("今日は船が遅れて出").is_copy(RULES)  # 9 characters in one run


@pytest.mark.parametrize(
    ("text", "run", "words", "post"),
    [
        ("a gull on counter two has eaten my lunch", 6, 9, 0),  # gull on counter two has eaten
        ("the low tide", 2, 3, 1),
        ("tide low again", 1, 3, 1),
        ("nothing of that", 0, 3, None),
        ("again now: its a queue", 3, 5, 2),
        ("again its a queue", 3, 4, 2),  # a run never goes from one post into the next
        ("", 0, 0, None),
        ("…!", 0, 0, None),
    ],
)
def test_the_longest_run_is_counted_by_hand(
    text: str, run: int, words: int, post: int | None
) -> None:
    found = CopyIndex(POSTS).overlap(text)
    assert (found.run, found.words, found.post, found.same) == (run, words, post, False)
    assert found.share == pytest.approx(run / words if words else 0)


def test_equal_but_for_case_and_punctuation_is_the_same_post() -> None:
    found = CopyIndex(POSTS).overlap("its a queue, a queue")
    assert found == Overlap(run=5, words=5, post=2, same=True)
    assert found.is_copy(RULES)


@pytest.mark.parametrize(
    ("run", "words", "same", "copy"),
    [
        (8, 100, False, True),  # eight words in a row
        (7, 100, False, False),
        (6, 10, False, True),  # 60 % in one run
        (5, 10, False, False),
        (3, 5, False, True),
        (1, 1, False, True),
        (0, 0, False, False),
        (1, 2, True, True),
    ],
)
def test_what_is_a_copy(run: int, words: int, same: bool, copy: bool) -> None:
    assert Overlap(run, words, 0, same).is_copy(RULES) is copy


def test_the_limits_come_from_the_settings() -> None:
    found = CopyIndex(POSTS).overlap("a gull on counter two has eaten my lunch")
    assert found.is_copy(GenerationConfig(copied_words=6))
    assert found.is_copy(RULES)  # 6 of 9 words
    assert not found.is_copy(GenerationConfig(copied_share=0.7))


def test_the_nearest_post_is_shown_verbatim() -> None:
    index = CopyIndex(POSTS)
    nearest = index.nearest(index.overlap("ALL TIMES are lunch"))
    assert (nearest.text, nearest.overlap) == (POSTS[0], 0.75)
    assert index.nearest(index.overlap("nothing of that")).text == ""


def test_the_share_of_copies_is_counted() -> None:
    texts = ["Low tide again!", "low tide was late once more", "The sea", "Its a queue, a queue"]
    # "The sea" is half a word run of two: 1 of 2 words is below 60 %.
    assert copied_share(texts, CopyIndex(POSTS), RULES) == 0.5
    assert copied_share([], CopyIndex(POSTS), RULES) == 0.0


WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def longest_common_run(words: Sequence[str], post: Sequence[str]) -> int:
    """Try every run of the text in the post, longest first."""
    for length in range(len(words), 0, -1):
        runs = {tuple(post[at : at + length]) for at in range(len(post) - length + 1)}
        if any(tuple(words[at : at + length]) in runs for at in range(len(words) - length + 1)):
            return length
    return 0


@given(text=WORDS, posts=st.lists(WORDS, max_size=5))
def test_the_index_finds_what_a_search_of_everything_finds(
    text: list[str], posts: list[list[str]]
) -> None:
    index = CopyIndex([" ".join(post) for post in posts])
    found = index.overlap(" ".join(text))
    longest = max((longest_common_run(text, post) for post in posts), default=0)
    assert found.run == longest
    assert found.same is bool(text and text in posts)
    if longest:
        assert found.post is not None
        assert longest_common_run(text, posts[found.post]) == longest


# POSTS[0]: the gull on counter two has eaten the timetable all times are now rumours
GROWING = [
    ("a gull", 0),  # the last word may still become gullible
    ("a gull ", 0),  # one word is no run
    ("a gull on counter", 2),  # gull on
    ("a gull on counter two, h", 4),
    ("a gull on counter two, has a ", 5),  # and there it breaks off
    ("a gull on counter two, has a time. ALL times are", 5),
    ("a gull on counter two, has a time. ALL times are now rum", 5),
]


def test_a_tracker_counts_whole_words_as_they_come() -> None:
    tracker = CopyIndex(POSTS).tracker()
    assert [tracker.read(text) for text, _ in GROWING] == [run for _, run in GROWING]


def test_a_run_does_not_go_on_from_one_post_into_the_next() -> None:
    tracker = CopyIndex(["one two three", "four five six"]).tracker()
    assert tracker.read("one two three four five six ") == 3


def test_a_word_that_comes_twice_is_followed_from_both_places() -> None:
    tracker = CopyIndex(["the sea the sea the end"]).tracker()
    assert tracker.read("the sea the ") == 3
    assert tracker.read("the sea the sea the ") == 5
    assert tracker.read("the sea the sea the sea the end ") == 6  # all of it, at the end


LETTERS = st.lists(st.sampled_from("abc"), max_size=12)


@given(posts=st.lists(LETTERS, max_size=4), text=LETTERS, step=st.integers(1, 5))
def test_a_tracker_ends_with_the_longest_run(
    posts: list[list[str]], text: list[str], step: int
) -> None:
    index, whole = CopyIndex([" ".join(post) for post in posts]), " ".join(text) + " "
    tracker = index.tracker()
    runs = [tracker.read(whole[:end]) for end in range(0, len(whole), step)]
    assert runs == sorted(runs)
    run = index.overlap(whole).run
    assert tracker.read(whole) == (run if run > 1 else 0)
