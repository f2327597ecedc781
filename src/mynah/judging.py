"""The stage that judges a bot: what models make of posts, what they say, and all figures of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeVar

from mynah.bot import become, load_bots_base
from mynah.cleaning import read_cleaned
from mynah.clock import Clock
from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex
from mynah.dataset import Example, Split
from mynah.engines import open_base, open_engine
from mynah.evaluation import VoiceReport, mauve
from mynah.evaluation.diversity import person_repeats
from mynah.evaluation.figure import BOT, PERSON
from mynah.evaluation.findings import PARTS, Findings, assemble
from mynah.evaluation.likelihood import Costs
from mynah.evaluation.markov import chain_texts
from mynah.evaluation.texts import Texts, count_within, spread
from mynah.evaluation.voices import Voice
from mynah.examination import costs_once_shown, set_exam, states_of
from mynah.generation import Engine, generate, unguarded
from mynah.hearing import check_parents, hear
from mynah.held_out import split_of_training
from mynah.model import Base
from mynah.others import other_posts
from mynah.page import write_report
from mynah.parentage import parents_of
from mynah.prompted import Prompted, fitting
from mynah.records import Generation, read_posts, read_rows
from mynah.report_file import read_quiz
from mynah.run_folder import RunFolder
from mynah.stages import stage
from mynah.style_model import load_style_model
from mynah.torch_engine import TorchEngine
from mynah.tracking import Tracker
from mynah.watch import Nobody, Watch, bar

Item = TypeVar("Item")

_PLAIN_TOKENS = 64  # a base would go on and on; a post of 280 characters has no more

# About how long each part takes, and what stands beside the bar.
_PARTS = {
    "base": (18.0, "what the base makes of posts"),
    "shown": (6.0, "what it makes of them once it is shown some"),
    "floors": (16.0, "what the base says"),
    "bot": (16.0, "what the bot makes of posts"),
    "speech": (20.0, "what the bot says"),
    **{name: (2.0, f"comparing: {name}") for name in PARTS},
}
_MAUVE = {"mauve": (12.0, "MAUVE")}
_VOICES = {"voices": (12.0, "whose its posts are")}


def report_bot(
    folder: RunFolder,
    config: ReportConfig,
    generation: GenerationConfig,
    *,
    watch: Watch | None = None,
    tracker: Tracker | None = None,
) -> VoiceReport:
    """Judge the bot on its held-out posts; write report.json and report.html.

    Raises:
        StageMissing: the posts have been cleaned anew since the training.
        SettingsError: no post was held out.
        ExtraMissing: MAUVE is wanted, and its library is not here.
        BaseError: the style model that is wanted cannot be had.
        BotError: llama.cpp is wanted and cannot speak for the bot.
    """
    watch = watch or Nobody()
    folder.require(folder.adapter)
    parts = split_of_training(folder)
    # What would fail in the end fails now, before the minute of work.
    if config.mauve:
        mauve.require()
    embed = load_style_model(config.style_model) if config.style_model else None
    if generation.engine == "llama":
        open_engine(folder, "llama", Nobody())
    blend = bool(parents_of(folder))
    if blend:
        check_parents(folder)
    wanted = (_MAUVE if config.mauve else {}) | (_VOICES if blend else {})
    clock = Clock(watch, _PARTS | wanted)
    case = _Case(
        folder=folder, parts=parts, config=config, generation=generation, watch=watch, clock=clock
    )
    told = [folder.cleaned, folder.adapter]
    with stage(folder, "report", config, told, tracker=tracker) as made:
        with bar(watch, "Judging", clock.total):
            findings = replace(_find_out(case), embed=embed)
            report = assemble(findings, generation, config, clock.part)
        report = replace(report, seconds=clock.seconds, processor_seconds=clock.processor_seconds)
        write_report(folder, report.to_json())
        made["outputs"] = [folder.report, folder.page]
        made["result"] = report.summary()
    return report


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A bot to be judged, and how."""

    folder: RunFolder
    parts: Split
    config: ReportConfig
    generation: GenerationConfig
    watch: Watch
    clock: Clock

    @property
    def learned(self) -> list[str]:
        return [example.text for example in self.parts.train]

    @property
    def held_out(self) -> list[str]:
        return [example.text for example in spread(self.parts.held_out, self.config.judged)]

    @property
    def weighed(self) -> list[str]:
        """Those of the held-out posts whose bits are counted: long ones tell more each."""
        held_out = self.held_out
        return spread(held_out, count_within(held_out, self.config.judged_bytes))


def _find_out(case: _Case) -> Findings:
    """Ask base and bot about the same posts, and let both talk."""
    config, clock, weighed = case.config, case.clock, case.weighed
    with clock.part("base"):
        exam = set_exam(case.learned, weighed, _others(case), config.extracted)
        base = load_bots_base(case.folder)
        untouched = exam.put_before(base)
    with clock.part("shown"):
        shown = fitting(TorchEngine(base), newest(case.parts.train, config.shown), config.shown)
        after = costs_once_shown(base, shown, weighed)
    with clock.part("floors") as moved:
        floors = _floors(case, open_base(case.folder, case.generation.engine, base), shown, moved)
    with clock.part("bot"):
        bot = become(base, case.folder)
        marks = exam.put_before(bot)
    with clock.part("speech") as moved:
        samples = _samples(case, bot, moved)
    said = [sample.text for sample in samples]
    texts = Texts(learned=case.learned, held_out=case.held_out, bot=said, floors=floors)
    return Findings(
        texts=texts,
        samples=samples,
        costs=Costs(
            texts=weighed,
            base=untouched.held_out,
            bot=marks.held_out,
            few_shot=after,
            shown=len(shown),
        ),
        others=Costs(texts=exam.others, base=untouched.others, bot=marks.others),
        completed={BOT: marks.completed, "base": untouched.completed, PERSON: marks.guessed},
        person_repeats=_person_repeats(case),
        originals=_originals(case.folder),
        quiz=read_quiz(case.folder),
        states=_states(case, texts) if config.mauve else None,
        voices=_voices(case, said) if parents_of(case.folder) else (),
    )


def _others(case: _Case) -> list[str]:
    own = {account["handle"] for account in case.folder.read_run()["accounts"]}
    own |= {example.author for example in case.parts.train}
    by_author = other_posts(case.config.others, own, case.config.other_posts)
    return [text for texts in by_author.values() for text in texts]


def newest(examples: Sequence[Example], most: int) -> list[str]:
    """Return the newest posts, every account's share of them alike, the newest last."""
    own: dict[str, list[str]] = {}
    for example in examples:
        own.setdefault(example.author, []).append(example.text)
    turns = zip_longest(*(texts[::-1][:most] for texts in own.values()))
    latest_first = [text for turn in turns for text in turn if text is not None]
    return latest_first[:most][::-1]


def _floors(
    case: _Case, base: Engine, shown: Sequence[str], moved: Callable[[float], None]
) -> dict[str, list[str]]:
    """Return what the untouched base says, what it says when shown posts, and a Markov chain."""
    count = case.config.floor_samples
    if not count:
        return {}
    engines: dict[str, Engine] = {"base": base}
    if shown:
        engines["few_shot"] = Prompted(base, shown)
    said = {}
    for number, (name, engine) in enumerate(engines.items()):
        said[name] = _plain_talk(case, engine, count)
        moved((number + 1) / len(engines))
    said["markov"] = chain_texts(case.learned, count, case.config.seed)
    return said


def _plain_talk(case: _Case, engine: Engine, count: int) -> list[str]:
    """Return what an engine says at the first draw, nothing guarded and nothing chosen."""
    most = min(case.generation.max_tokens, engine.longest - 1, _PLAIN_TOKENS)
    least = min(case.generation.min_tokens, most)
    config = replace(unguarded(case.generation, count), max_tokens=most, min_tokens=least)
    texts = [each.text for each in generate(engine, "", config, None, seed=case.config.seed)]
    return _shuffled([text for text in texts if text.strip()], case.config.seed)


def _samples(case: _Case, bot: Base, moved: Callable[[float], None]) -> list[Generation]:
    """Return what the bot says, guarded as when it talks to people."""
    engine = open_engine(case.folder, case.generation.engine, case.watch, bot=bot)
    config = replace(case.generation, n=case.config.samples)
    index, made = CopyIndex(case.learned), []
    for sample in generate(engine, "", config, index, seed=case.config.seed):
        made.append(sample)
        moved(len(made) / config.n)
    return _shuffled(made, case.config.seed)


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """Return items in another order: they came the shortest first."""
    return random.Random(seed).sample(items, len(items))


def _person_repeats(case: _Case) -> float | None:
    kept = [post.text for post in read_cleaned(case.folder.cleaned)]
    dropped = read_rows(case.folder.dropped) if case.folder.dropped.exists() else ()
    return person_repeats(kept, list(dropped))


def _originals(folder: RunFolder) -> Iterator[str]:
    if folder.posts.exists():
        yield from (post.text for post in read_posts(folder.posts))


def _voices(case: _Case, said: Sequence[str]) -> list[Voice]:
    with case.clock.part("voices") as moved:
        return hear(case.folder, [text for text in said if text.strip()], case.config, moved)


def _states(case: _Case, texts: Texts) -> dict[str, Any]:
    with case.clock.part("mauve"):
        base = load_bots_base(case.folder)  # anew: the one before has become the bot
        return states_of(base, mauve.texts_for(texts.sets(), texts.learned))
