"""The third step: a bot talks, alone or beside its base and a Markov chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from mynah.cleaning import read_cleaned
from mynah.config import GenerationConfig
from mynah.engines import open_base, open_engine
from mynah.errors import BotBusy
from mynah.evaluation.markov import chain_texts
from mynah.generation import generate, with_seed
from mynah.records import Generation
from mynah.run_folder import RunFolder
from mynah.speaking import engine_for, say_posts, talk
from mynah.watch import Nobody

_COMPARED = 4  # posts in each column
_PLAIN_TOKENS = 48  # a base would go on and on


def say(
    folder: RunFolder, prompt: str, config: GenerationConfig, *, own: bool
) -> Iterator[Generation]:
    """Yield posts as they are ready; those of one's own bot are kept as samples.

    Raises:
        StageMissing: it has not been trained.
    """
    if own:
        with suppress(BotBusy):  # it is judged just now: then these are not kept
            yield from say_posts(folder, prompt, config).posts
        return
    engine = open_engine(folder, engine_for(config), Nobody())
    yield from talk(engine, folder, prompt, config).posts


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What three speakers made of one prompt."""

    bot: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    markov: tuple[str, ...] = ()


def compare(folder: RunFolder, prompt: str, config: GenerationConfig) -> Iterator[Columns]:
    """Yield the columns as they fill. The chain knows no prompt: it says what it says."""
    config, seed = with_seed(replace(config, n=_COMPARED))
    posts = [post.text for post in read_cleaned(folder.require(folder.cleaned))]
    shown = Columns(markov=tuple(chain_texts(posts, _COMPARED, seed % 2**31)))
    yield shown
    engine = open_engine(folder, engine_for(config), Nobody())
    for post in talk(engine, folder, prompt, config).posts:
        shown = replace(shown, bot=(*shown.bot, post.text))
        yield shown
    plain = replace(config, max_tokens=min(config.max_tokens, _PLAIN_TOKENS), max_draws=1)
    for post in generate(open_base(folder, config.engine), prompt, plain, None, seed=seed):
        shown = replace(shown, base=(*shown.base, post.text))
        yield shown
