"""From clean posts to what a training step sees: split, blend, batches. No tensors here.

Everything is pure and seeded: equal posts, settings and seeds give equal examples in equal order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from mynah.cleaning import CleanPost
from mynah.config import CleaningConfig, DatasetConfig
from mynah.errors import SettingsError, TooFewPosts

SEPARATOR = "<|endoftext|>"  # the original's, GPT-2's and SmolLM2's mark between documents
BLOCK = 1_024  # tokens the original trained on at a time: GPT-2's longest context

_WINDOW = 1_024  # examples sorted by length together: enough for even batches, still well mixed

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post to learn from, and whose it is."""

    text: str
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a bot learns from and what it is judged by."""

    train: tuple[Example, ...]  # by account, each oldest first
    held_out: tuple[Example, ...]  # likewise: the newest posts of every account


def split(posts: Iterable[CleanPost], config: DatasetConfig) -> Split:
    """Hold out the newest posts of every account.

    The order of the posts is trusted: cleaning leaves them oldest first, undated ones as they came
    and before the dated. A text that both sides have stays on the training side only.
    """
    train: list[Example] = []
    held_out: list[Example] = []
    for author, own in by_author(posts).items():
        examples = [Example(text=post.text, author=author) for post in own]
        cut = len(examples) - count_held_out(len(examples), config)
        train += examples[:cut]
        held_out += examples[cut:]
    seen = {example.text for example in train}
    unseen = tuple(example for example in held_out if example.text not in seen)
    return Split(train=tuple(train), held_out=unseen)


def by_author(posts: Iterable[CleanPost]) -> dict[str, list[CleanPost]]:
    """Return each account's posts, accounts in the order they first appear."""
    own: dict[str, list[CleanPost]] = {}
    for post in posts:
        own.setdefault(post.author, []).append(post)
    return own


def count_held_out(posts: int, config: DatasetConfig) -> int:
    """Return how many of an account's posts to hold out."""
    wanted = round(posts * config.held_out)
    if config.held_out and posts > 1:
        wanted = max(1, wanted)
    return min(wanted, config.max_held_out, max(0, posts - 1))


def enough(characters: int, config: CleaningConfig) -> str | None:
    """Return a warning where there is little to learn from, None where there is plenty.

    Raises:
        TooFewPosts: there is so little that a bot would be nobody's voice.
    """
    if characters < config.min_characters:
        raise TooFewPosts(
            f"{characters:,} characters are left after cleaning, and a voice needs "
            f"{config.min_characters:,}.",
            hint="Add posts, or look at what was dropped: mynah clean --explain",
        )
    if characters < config.warn_characters:
        return (
            f"{characters:,} characters are few: the bot may sound like anyone, or repeat posts. "
            f"From {config.warn_characters:,} on it gets better."
        )
    return None


def voice_weights(
    authors: Sequence[str], weights: Sequence[float] | None
) -> dict[str, float] | None:
    """Give each account its weight, in the order the accounts were named.

    Raises:
        SettingsError: there are more or fewer weights than accounts, or one is not above 0.
    """
    if weights is None:
        return None
    if len(weights) != len(authors):
        raise SettingsError(
            f"{len(weights)} weights for {len(authors)} accounts ({', '.join(authors)}).",
            hint="Give one weight an account, as --weights 2,1,1.",
        )
    if not all(weight > 0 for weight in weights):
        raise SettingsError("Every weight must be above 0.", hint="Leave the account out instead.")
    return dict(zip(authors, weights, strict=True))


def blend(
    examples: Sequence[Example],
    *,
    seed: int,
    epoch: int = 0,
    weights: Mapping[str, float] | None = None,
) -> list[Example]:
    """Return one epoch: every voice brought to its share of the characters, then shuffled."""
    rng = random.Random(f"blend {seed} {epoch}")
    voices: dict[str, list[Example]] = {}
    for example in examples:
        voices.setdefault(example.author, []).append(example)
    sizes = {author: _characters(own) for author, own in voices.items()}
    targets = balance(sizes, weights)
    mixed = [item for author, own in voices.items() for item in _repeat(own, targets[author], rng)]
    rng.shuffle(mixed)
    return mixed


def balance(
    sizes: Mapping[str, int], weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the characters that each voice is brought to.

    Without weights that is the length of the longest voice. With them the targets are in their
    proportion, and the smallest at which no voice loses a post.
    """
    weight = {author: 1.0 if weights is None else weights[author] for author in sizes}
    unit = max((size / weight[author] for author, size in sizes.items()), default=0.0)
    return {author: unit * weight[author] for author in sizes}


def lengths(examples: Sequence[Example]) -> dict[str, float]:
    """Return the weights that leave every voice as long as it is: its characters."""
    voices: dict[str, list[Example]] = {}
    for example in examples:
        voices.setdefault(example.author, []).append(example)
    return {author: float(_characters(own)) for author, own in voices.items()}


def batches(
    lengths: Sequence[int], *, budget: int, seed: int | None = None, epoch: int = 0
) -> list[list[int]]:
    """Put examples of like length together: return their indices, a list a batch.

    Args:
        lengths: tokens of each example.
        budget: most tokens of a batch, padding included; a longer example is a batch of its own.
        seed: order of examples and batches; None keeps everything in the order of length.
        epoch: each epoch has its own order.
    """
    order = list(range(len(lengths)))
    if seed is None:
        return _fill(sorted(order, key=lambda index: lengths[index]), lengths, budget)
    rng = random.Random(f"batches {seed} {epoch}")
    rng.shuffle(order)
    made: list[list[int]] = []
    for start in range(0, len(order), _WINDOW):
        window = sorted(order[start : start + _WINDOW], key=lambda index: lengths[index])
        made += _fill(window, lengths, budget)
    rng.shuffle(made)
    return made


def joined_name(handles: Iterable[str]) -> str:
    """Return the name of a bot of these accounts, in whatever order they are given."""
    return "-".join(sorted(_handles(handles)))


def bot_kind(handles: Iterable[str]) -> Literal["BOT", "CYBORG"]:
    """Return what the original called a bot of one account, or of several."""
    return "BOT" if len(_handles(handles)) == 1 else "CYBORG"


def huggingtweets_stream(
    texts: Mapping[str, Sequence[str]], *, epochs: int, seed: int
) -> Iterator[str]:
    """Yield the original's training text in pieces: posts and separators, epoch after epoch.

    One separator stands before the first post and one after every post, also between two epochs.
    """
    examples = [Example(text=text, author=author) for author in texts for text in texts[author]]
    yield SEPARATOR
    for epoch in range(epochs):
        for example in blend(examples, seed=seed, epoch=epoch):
            yield example.text
            yield SEPARATOR


def blocks(tokens: Sequence[int], size: int = BLOCK) -> list[list[int]]:
    """Cut token ids into blocks of `size`; as in the original, an incomplete last one is lost."""
    return [list(tokens[start : start + size]) for start in range(0, len(tokens) - size + 1, size)]


def _repeat(own: Sequence[Example], target: float, rng: random.Random) -> list[Example]:
    """Return the posts as many whole times as fit, then other draws up to the target.

    The last, partial round takes posts in a new order and stops before it would pass the target.
    """
    size = _characters(own)
    if not size:
        return list(own)
    # A share like 2/3 is not exact in binary: without the tolerance a whole round could go.
    rounds = int(target / size + 1e-9)
    room = target - rounds * size + 1e-6
    part = []
    for example in rng.sample(own, len(own)):
        room -= len(example.text)
        if room < 0:
            break
        part.append(example)
    return [*own] * rounds + part


def _fill(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Fill batches from indices in ascending length, so that the newest is the longest."""
    made: list[list[int]] = []
    for index in order:
        if made and (len(made[-1]) + 1) * lengths[index] <= budget:
            made[-1].append(index)
        else:
            made.append([index])
    return made


def _characters(examples: Iterable[Example]) -> int:
    return sum(len(example.text) for example in examples)


def _handles(handles: Iterable[str]) -> set[str]:
    return {name for handle in handles if (name := handle.strip().lstrip("@").lower())}
