"""Split, blend, batches and the original's stream, against values worked out by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.cleaning import CleanPost
from mynah.config import CleaningConfig, DatasetConfig
from mynah.dataset import (
    SEPARATOR,
    Example,
    balance,
    batches,
    blend,
    blocks,
    bot_kind,
    enough,
    huggingtweets_stream,
    joined_name,
    split,
    voice_weights,
)
from mynah.errors import SettingsError, TooFewPosts


def post(author: str, text: str) -> CleanPost:
    return CleanPost(id=text, author=author, text=text)


def examples(**texts: list[str]) -> list[Example]:
    return [Example(text=text, author=author) for author in texts for text in texts[author]]


def characters(mixed: list[Example]) -> Counter[str]:
    total: Counter[str] = Counter()
    for example in mixed:
        total[example.author] += len(example.text)
    return total


def test_the_newest_tenth_of_each_account_is_held_out() -> None:
    posts = [post("ana", f"ana {n}") for n in range(20)] + [
        post("bob", f"bob {n}") for n in range(9)
    ]
    parts = split(posts, DatasetConfig(held_out=0.1))
    assert [example.text for example in parts.held_out] == ["ana 18", "ana 19", "bob 8"]
    assert len(parts.train) == 26
    assert parts.train[0] == Example(text="ana 0", author="ana")


@pytest.mark.parametrize(
    ("posts", "share", "most", "held_out"),
    [
        (1000, 0.1, 300, 100),
        (9000, 0.1, 300, 300),
        (10, 0.0, 300, 0),
        (3, 0.1, 300, 1),
        (2, 0.9, 300, 1),
        (1, 0.1, 300, 0),
        (0, 0.1, 300, 0),
    ],
)
def test_how_many_are_held_out(posts: int, share: float, most: int, held_out: int) -> None:
    parts = split(
        [post("ana", f"{n}") for n in range(posts)],
        DatasetConfig(held_out=share, max_held_out=most),
    )
    assert (len(parts.train), len(parts.held_out)) == (posts - held_out, held_out)


def test_a_share_that_leaves_nothing_to_learn_is_refused() -> None:
    with pytest.raises(SettingsError, match="held_out must be below 1"):
        split([post("ana", "x")], DatasetConfig(held_out=1.0))


def test_no_text_is_on_both_sides_even_when_duplicates_were_kept() -> None:
    posts = [post("ana", text) for text in ["same", "b", "c", "d", "e", "f", "g", "h", "i", "same"]]
    parts = split(posts, DatasetConfig(held_out=0.1))
    assert parts.held_out == ()
    assert [example.text for example in parts.train].count("same") == 1


def test_a_shorter_voice_is_repeated_whole_and_then_in_part() -> None:
    # 24 against 10 characters: two whole rounds of bob, and 4 characters of room for one post.
    mixed = blend(examples(ana=["a" * 12, "A" * 12], bob=["bbb", "BBB", "bbbb"]), seed=3)
    assert characters(mixed)["ana"] == 24
    counts = Counter(example.text for example in mixed if example.author == "bob")
    assert sum(counts.values()) == 7
    assert sorted(counts.values()) == [2, 2, 3]


def test_every_epoch_mixes_and_fills_up_newly_and_seeds_repeat_it() -> None:
    said = examples(ana=["a" * 50, "c" * 53], bob=[f"bob {n:06}" for n in range(4)])
    epochs = [blend(said, seed=1, epoch=epoch) for epoch in range(6)]
    assert epochs == [blend(said, seed=1, epoch=epoch) for epoch in range(6)]
    assert epochs != [blend(said, seed=2, epoch=epoch) for epoch in range(6)]
    assert len({tuple(example.text for example in mixed) for mixed in epochs}) > 1
    # 103 characters: two whole rounds of 40 and two of bob's four posts more, not always the same.
    extra = [{t for t, n in Counter(e.text for e in mixed).items() if n == 3} for mixed in epochs]
    assert all(len(drawn) == 2 for drawn in extra)
    assert len({frozenset(drawn) for drawn in extra}) > 1


def test_one_voice_is_only_shuffled() -> None:
    said = examples(ana=["one", "two", "three"])
    assert sorted(e.text for e in blend(said, seed=0)) == ["one", "three", "two"]


def test_weights_change_the_shares_and_nobody_loses_a_post() -> None:
    assert balance({"a": 300, "b": 100}) == {"a": 300, "b": 300}
    assert balance({"a": 300, "b": 100}, {"a": 2, "b": 1}) == {"a": 300, "b": 150}
    assert balance({"a": 100, "b": 300}, {"a": 2, "b": 1}) == {"a": 600, "b": 300}
    assert balance({}) == {}
    said = examples(a=["x" * 10] * 10, b=["y" * 10] * 10, c=["z" * 10] * 10)
    mixed = blend(said, seed=0, weights=voice_weights(["a", "b", "c"], [2, 1, 1]))
    assert characters(mixed) == {"a": 200, "b": 100, "c": 100}


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (1.0, 0.0), (1.0, -1.0)])
def test_weights_that_fit_no_voice_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError):
        voice_weights(["ana", "bob"], weights)


def test_no_weights_are_none() -> None:
    assert voice_weights(["ana", "bob"], None) is None


VOICES = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.text("xy", min_size=1, max_size=30), min_size=1, max_size=8),
)


@given(VOICES, st.integers(0, 5), st.integers(0, 3))
def test_voices_weigh_the_same_to_within_one_post(
    voices: dict[str, list[str]], seed: int, epoch: int
) -> None:
    mixed = blend(examples(**voices), seed=seed, epoch=epoch)
    longest = max((sum(map(len, texts)) for texts in voices.values()), default=0)
    for author, texts in voices.items():
        size = characters(mixed)[author]
        assert longest - max(map(len, texts)) < size <= longest
        said = Counter(example.text for example in mixed if example.author == author)
        assert said >= Counter(texts)


def test_batches_hold_like_lengths_within_the_budget() -> None:
    assert batches([5, 1, 4, 1, 1, 20], budget=10) == [[1, 3, 4], [2, 0], [5]]


@given(
    st.lists(st.integers(1, 200), max_size=60),
    st.integers(1, 500),
    st.none() | st.integers(0, 9),
    st.integers(0, 3),
)
def test_batches_hold_every_example_once_and_keep_the_budget(
    lengths: list[int], budget: int, seed: int | None, epoch: int
) -> None:
    made = batches(lengths, budget=budget, seed=seed, epoch=epoch)
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    assert made == batches(lengths, budget=budget, seed=seed, epoch=epoch)


def test_batches_waste_little_and_come_in_a_new_order_each_epoch() -> None:
    lengths = [10 + (7 * n) % 60 for n in range(3_000)]
    first, second = (batches(lengths, budget=512, seed=0, epoch=epoch) for epoch in (0, 1))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in first)
    assert padded / sum(lengths) < 1.03
    assert first != second
    assert [len(batch) for batch in first] != sorted(len(batch) for batch in first)


def test_too_little_text_is_an_error_and_little_text_a_warning() -> None:
    config = CleaningConfig()
    with pytest.raises(TooFewPosts, match="5,999 characters"):
        enough(5_999, config)
    assert "6,000" in str(enough(6_000, config))
    assert "39,999" in str(enough(39_999, config))
    assert enough(40_000, config) is None


def test_the_joined_name_is_the_originals() -> None:
    assert joined_name(["@Clamtime", "redpandasmash", "AliceAeterna", "clamtime"]) == (
        "aliceaeterna-clamtime-redpandasmash"
    )
    assert (bot_kind(["@Ana", "ana"]), bot_kind(["ana", "bob"])) == ("BOT", "CYBORG")


def test_the_originals_stream_is_posts_between_separators_epoch_after_epoch() -> None:
    assert "".join(huggingtweets_stream({"ana": ["gulls"]}, epochs=2, seed=0)) == (
        "<|endoftext|>gulls<|endoftext|>gulls<|endoftext|>"
    )
    texts = [f"post {n}" for n in range(8)]
    pieces = list(huggingtweets_stream({"ana": texts}, epochs=4, seed=0))
    assert pieces[0::2] == [SEPARATOR] * 33
    orders = [tuple(pieces[1::2][start : start + 8]) for start in range(0, 32, 8)]
    assert all(sorted(order) == texts for order in orders)
    assert len(set(orders)) == 4


def test_the_originals_stream_balances_voices() -> None:
    pieces = list(huggingtweets_stream({"ana": ["a" * 6], "bob": ["bb"]}, epochs=1, seed=0))
    assert sorted(pieces[1::2]) == ["aaaaaa", "bb", "bb", "bb"]


def test_blocks_are_full_and_the_rest_is_lost_as_in_the_original() -> None:
    assert blocks(list(range(10)), size=4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert blocks(list(range(8)), size=4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert blocks([1, 2, 3], size=4) == []
    assert [len(block) for block in blocks([0] * 2_048)] == [1_024, 1_024]
