"""The stage that lets a bot talk. It loads torch only where the engine needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from mynah.cleaning import read_cleaned
from mynah.config import EngineName, GenerationConfig
from mynah.copying import CopyIndex
from mynah.engines import open_engine
from mynah.generation import Engine, generate, with_seed
from mynah.marking import MARK
from mynah.records import Generation
from mynah.run_folder import RunFolder, write_rows
from mynah.stages import stage
from mynah.tracking import Tracker
from mynah.watch import Nobody, Watch


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What a bot is about to say: the seed that repeats it, and the posts as they come."""

    seed: int
    engine: str
    posts: Iterator[Generation]


def say_posts(
    folder: RunFolder,
    prompt: str,
    config: GenerationConfig,
    *,
    watch: Watch | None = None,
    tracker: Tracker | None = None,
) -> Talk:
    """Load the bot and let it talk; samples.jsonl is written when the last post is drawn."""
    watch = watch or Nobody()
    engine = open_engine(folder, engine_for(config), watch)
    if not folder.cleaned.exists():
        watch.say("The posts it learned from are not here, so copies of them go unnoticed.")
    started = talk(engine, folder, prompt, config)

    def kept() -> Iterator[Generation]:
        made = []
        for post in started.posts:
            made.append(post)
            yield post
        _write_samples(folder, made, config, started, tracker)

    return replace(started, posts=kept())


def engine_for(config: GenerationConfig) -> EngineName:
    """Return the engine to ask for: greedy text is there to be compared, so it is the reference's.

    Torch alone rounds as an exported model does, and says word for word the same.
    """
    return "torch" if config.engine == "auto" and config.temperature == 0 else config.engine


def talk(engine: Engine, folder: RunFolder, prompt: str, config: GenerationConfig) -> Talk:
    """Start to draw posts, guarded by all the real posts that training could see."""
    config, seed = with_seed(config)
    kept = read_cleaned(folder.cleaned) if folder.cleaned.exists() else ()
    index = CopyIndex([post.text for post in kept])
    posts = generate(engine, prompt, config, index, seed=seed)
    return Talk(seed=seed, engine=engine.name, posts=posts)


def _write_samples(
    folder: RunFolder,
    samples: list[Generation],
    config: GenerationConfig,
    talk: Talk,
    tracker: Tracker | None,
) -> None:
    """Write samples.jsonl: each post with its prompt, seed, settings and nearest real post.

    Each says that a machine made it.
    """
    settings = asdict(replace(config, seed=talk.seed))
    with stage(folder, "say", config, [folder.adapter], tracker=tracker) as made:
        shared = {"settings": settings, **MARK}
        write_rows(folder.samples, ({**asdict(each), **shared} for each in samples))
        made["outputs"] = [folder.samples]
        made["config"] = settings
        made["result"] = {"posts": len(samples), "seed": talk.seed, "engine": talk.engine}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What the copy guard threw away while posts were drawn."""

    drawn_again: int
    dropped_early: int
    saved_tokens: int  # what dropped draws had left to the mean length of whole ones

    @classmethod
    def of(cls, posts: list[Generation]) -> Tally:
        """Count over posts."""
        dropped = sum(post.dropped_early for post in posts)
        lost = sum(post.dropped_tokens for post in posts)
        again = sum(post.drawn_again for post in posts)
        whole = len(posts) + again - dropped
        mean = (sum(post.tokens for post in posts) - lost) / whole if whole else 0.0
        saved = max(round(dropped * mean) - lost, 0)
        return cls(drawn_again=again, dropped_early=dropped, saved_tokens=saved)
