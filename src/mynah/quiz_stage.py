"""The stage behind "Real or bot?": draw the pairs, and keep how people answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from mynah.config import GenerationConfig, QuizConfig
from mynah.copying import CopyIndex
from mynah.engines import open_engine
from mynah.errors import BotError, SettingsError
from mynah.generation import Engine
from mynah.held_out import held_out_of_training
from mynah.page import write_page
from mynah.plain_text import one_line
from mynah.quiz import Pair, Round, Score, mark, next_seed, pair_up, total
from mynah.run_folder import RunFolder, hash_tree, now, read_json, write_json
from mynah.speaking import engine_for, talk
from mynah.stages import stage
from mynah.watch import Nobody, Watch, bar

_DRAWS = 2  # posts drawn for each pair, to have one of like length for most real ones
_PATIENCE = 60.0  # seconds that answers wait for a bot that is busy, before they are lost


@dataclass(frozen=True, kw_only=True)
class Quiz:
    """One round, ready to be asked."""

    bot: str
    seed: int
    pairs: tuple[Pair, ...]
    adapter: str  # SHA-256 of the weights that drew the posts
    config: QuizConfig

    def to_json(self) -> dict[str, Any]:
        """Return the pairs, and apart from them the key that tells which post is real."""
        return {
            "bot": self.bot,
            "seed": self.seed,
            "pairs": [{"first": pair.shown[0], "second": pair.shown[1]} for pair in self.pairs],
            "key": "".join(str(pair.answer) for pair in self.pairs),
        }


def prepare_quiz(
    folder: RunFolder,
    config: QuizConfig,
    generation: GenerationConfig,
    *,
    watch: Watch | None = None,
) -> Quiz:
    """Draw posts and put held-out ones beside them; the same seed asks the same pairs.

    Both sides follow the same rules: no post repeats one that training saw, by the thresholds of
    the copy guard, and none is longer than the bot may talk.

    Raises:
        StageMissing: the bot is not trained, or its posts have been cleaned anew since.
        SettingsError: no two posts are of like length.
    """
    watch = watch or Nobody()
    folder.require(folder.adapter)
    learned_from, held_out = _texts(folder)
    adapter, rounds = hash_tree(folder.adapter), read_rounds(folder)
    seed = config.seed if config.seed is not None else next_seed(rounds)
    engine = open_engine(folder, engine_for(generation), watch)
    rules = replace(
        generation,
        n=_DRAWS * config.pairs,
        # Not the seed itself: `mynah say` may have shown its posts.
        seed=Random(f"quiz {seed}").randrange(2**31),
        allow_copies=False,
    )
    real = _fair(held_out, engine, learned_from, rules)
    said = _fair(_drawn(engine, folder, rules, watch), engine, [*learned_from, *held_out], rules)
    pairs = pair_up(real, said, count=config.pairs, seed=seed)
    if not pairs:
        raise SettingsError(
            f"Of {len(held_out)} held-out posts of bot '{folder.name}', {len(real)} say something "
            "new, and none is about as long as what the bot says.",
            hint=f"See: mynah say {folder.name} --nearest",
        )
    if len(pairs) < config.pairs:
        watch.say(f"{len(pairs)} pairs: more posts of like length there are not.")
    asked = replace(config, seed=seed)
    return Quiz(bot=folder.name, seed=seed, pairs=pairs, adapter=adapter, config=asked)


def _texts(folder: RunFolder) -> tuple[list[str], list[str]]:
    parts = held_out_of_training(folder)
    return [each.text for each in parts.train], [each.text for each in parts.held_out]


def _drawn(
    engine: Engine, folder: RunFolder, config: GenerationConfig, watch: Watch
) -> Iterator[str]:
    with bar(watch, "Drawing posts", config.n):
        for number, post in enumerate(talk(engine, folder, "", config).posts, start=1):
            watch.advance(number)
            yield one_line(post.text)  # as the real ones are


def _fair(
    texts: Iterator[str] | Sequence[str],
    engine: Engine,
    known: Sequence[str],
    config: GenerationConfig,
) -> list[str]:
    """Return the posts that a bot could say in full and that repeat none of the known ones."""
    index = CopyIndex(known)
    return [
        text
        for text in texts
        if text.strip()
        and len(engine.encode(text)) < config.max_tokens  # as many may be a post cut off there
        and not index.overlap(text).is_copy(config)
    ]


def read_rounds(folder: RunFolder) -> list[Round]:
    """Return the rounds that were played with the weights the bot has now.

    Raises:
        BotError: quiz.json is damaged.
    """
    if not folder.quiz.exists():
        return []
    try:
        kept = read_json(folder.quiz)
        rounds = [Round(**row) for row in kept["rounds"]]
        total(rounds)  # fails where a count is none
        return rounds if kept["adapter"] == hash_tree(folder.adapter) else []
    except (BotError, KeyError, TypeError) as error:
        raise BotError(
            f"{folder.quiz} is damaged.", hint="Delete it: the rounds in it are lost."
        ) from error


def keep_round(folder: RunFolder, quiz: Quiz, answers: Sequence[int]) -> Score:
    """Add a round to quiz.json; return the score over all rounds.

    Raises:
        BotError: the bot was trained anew while the round was played.
        BotBusy: another process would not let go of it.
    """
    with stage(folder, "quiz", quiz.config, [folder.adapter], wait=_PATIENCE) as made:
        if hash_tree(folder.adapter) != quiz.adapter:
            raise BotError(
                f"Bot '{folder.name}' was trained anew meanwhile; the answers were to the old one.",
                hint=f"Run: mynah quiz {folder.name}",
            )
        score = mark(quiz.pairs, answers)
        played = Round(seed=quiz.seed, pairs=score.pairs, right=score.right, at=now())
        rounds = [*read_rounds(folder), played]
        summed = total(rounds)
        rows = [asdict(each) for each in rounds]
        write_json(folder.quiz, {"rounds": rows, **summed.to_json(), "adapter": quiz.adapter})
        made["outputs"], made["result"] = [folder.quiz], summed.to_json()
        if folder.page.exists():
            write_page(folder)  # what people said stands there too
            made["outputs"].append(folder.page)
    return summed
