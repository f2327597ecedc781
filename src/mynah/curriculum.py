"""What a training reads, in which order: token ids of every example, and the rows of each step."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mynah.dataset import Example, batches, blend, blocks, huggingtweets_stream
from mynah.errors import TooFewPosts
from mynah.plan import Plan

ALL = -1  # the turn of a step whose posts go through the mean of all members of an ensemble
_TOGETHER = 0.1  # of the steps, in which all members of an ensemble see all posts
_MOST_ASIDE = 100  # posts: as many tell which of two is better, and asking them takes seconds


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Everything a training reads."""

    rows: list[list[int]]  # token ids, separators included
    steps: list[list[int]]  # indices into rows, one list an optimizer step
    turns: tuple[int, ...] = ()  # of each step: which member reads what; see `ensemble`
    validation: tuple[int, ...] = ()  # rows that the last steps learn from; see `early_stopping`

    @property
    def tokens(self) -> int:
        """Return the tokens predicted over all steps."""
        return sum(len(self.rows[at]) - 1 for step in self.steps for at in step)


def encode(tokenizer: Any, texts: Sequence[str], separator: int, longest: int) -> list[list[int]]:
    """Return each text as separator, tokens, separator; a longer text is cut and stays open."""
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return [
        [separator, *row, separator] if len(row) <= longest else [separator, *row[:longest]]
        for row in ids
    ]


def post_by_post(
    examples: Sequence[Example],
    rows: list[list[int]],
    plan: Plan,
    weights: Mapping[str, float] | None = None,
) -> Curriculum:
    """One post, one example: every epoch blended anew, batches of posts of like length.

    Each member of an ensemble reads each post once an epoch, so a batch comes once for each. A part
    of an epoch at the end takes a random part of its batches. Where the plan sets posts aside,
    these are drawn by its seed, and read once, last of all.

    Raises:
        TooFewPosts: there is nothing to learn from.
    """
    place = {example: at for at, example in enumerate(examples)}
    aside = _set_aside(len(examples), plan)
    others = [example for at, example in enumerate(examples) if at not in aside]
    made: list[tuple[list[int], int]] = []  # rows of a step, and its turn
    epoch, left = 0, plan.epochs
    while left > 1e-9:
        order = [place[example] for example in _epoch(others, plan, epoch, weights)]
        whole = _batches(rows, order, plan, epoch)
        made += _in_turns(whole[: max(1, round(len(whole) * min(left, 1.0)))], plan, epoch)
        epoch, left = epoch + 1, left - 1
    together = round(_TOGETHER * len(made))
    made += _in_turns(_batches(rows, aside, plan, epoch), plan, epoch)
    steps = [step for step, _ in made]
    turns = (*[ALL] * together, *(turn for _, turn in made[together:]))
    return _something(Curriculum(rows=rows, steps=steps, turns=turns, validation=tuple(aside)))


def _in_turns(made: list[list[int]], plan: Plan, epoch: int) -> list[tuple[list[int], int]]:
    """Return batches once for each member of an ensemble, after the first time in other orders."""
    turns: list[tuple[list[int], int]] = []
    for turn in range(plan.members):
        rng = random.Random(f"turn {plan.seed} {epoch} {turn}")
        turns += [(batch, turn) for batch in (rng.sample(made, len(made)) if turn else made)]
    return turns


def _batches(
    rows: list[list[int]], order: Sequence[int], plan: Plan, epoch: int
) -> list[list[int]]:
    """Return rows in batches of like length, in the order of learning."""
    lengths = [len(rows[at]) for at in order]
    made = batches(lengths, budget=plan.batch_tokens, seed=plan.seed, epoch=epoch)
    return [[order[at] for at in batch] for batch in made]


def _set_aside(posts: int, plan: Plan) -> list[int]:
    """Return the places of the posts that tell when to stop, ascending."""
    count = min(_MOST_ASIDE, round(plan.validation * posts))
    return sorted(random.Random(f"validation {plan.seed}").sample(range(posts), count))


def _epoch(
    examples: Sequence[Example], plan: Plan, epoch: int, weights: Mapping[str, float] | None
) -> list[Example]:
    if len({example.author for example in examples}) > 1:
        return blend(examples, seed=plan.seed, epoch=epoch, weights=weights)
    return random.Random(f"order {plan.seed} {epoch}").sample(list(examples), len(examples))


def packed(examples: Sequence[Example], tokenizer: Any, separator: int, plan: Plan) -> Curriculum:
    """The recipe of 2020: one stream of all epochs, cut into blocks, one block a step.

    Raises:
        TooFewPosts: they do not fill one block.
    """
    texts: dict[str, list[str]] = {}
    for example in examples:
        texts.setdefault(example.author, []).append(example.text)
    stream = list(huggingtweets_stream(texts, epochs=round(plan.epochs), seed=plan.seed))
    posts = stream[1::2]  # every other piece is a separator
    tokens = [separator]
    for ids in tokenizer(posts, add_special_tokens=False)["input_ids"] if posts else []:
        tokens += [*ids, separator]
    rows = blocks(tokens, plan.block or len(tokens))
    return _something(Curriculum(rows=rows, steps=[[at] for at in range(len(rows))]))


def _something(lessons: Curriculum) -> Curriculum:
    if not lessons.steps:
        raise TooFewPosts(
            "The posts do not fill a single step of training.",
            hint="Add posts, or raise --epochs.",
        )
    return lessons
