"""From what was found out about a bot to its report: every figure, in its section."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex
from mynah.evaluation.bootstrap import Numbers
from mynah.evaluation.copies import copies, count_copies
from mynah.evaluation.detectability import detectability
from mynah.evaluation.diversity import diversity
from mynah.evaluation.extraction import extraction
from mynah.evaluation.figure import Figure
from mynah.evaluation.human import human
from mynah.evaluation.leaks import leaks
from mynah.evaluation.likelihood import Costs, compare, likelihood
from mynah.evaluation.mauve import mauve
from mynah.evaluation.report import VoiceReport, sections
from mynah.evaluation.style import Embed, style
from mynah.evaluation.surface import surface
from mynah.evaluation.texts import Texts
from mynah.evaluation.verdict import judge
from mynah.evaluation.voices import Voice, voices
from mynah.records import Generation

Part = Callable[[str], AbstractContextManager[Any]]
PARTS = ("likelihood", "detectability", "style", "surface", "copying", "diversity", "leaks")

_UNSEEN = "Every held-out post repeats one that the bot learned from, so none can judge it."


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What models made of posts, and what they said: all that the figures are worked out from."""

    texts: Texts
    samples: Sequence[Generation]  # `texts.bot`, with how they came to be
    costs: Costs  # of the held-out posts
    others: Costs  # of other authors' posts
    completed: Mapping[str, Sequence[bool]]  # see `extraction`
    person_repeats: float | None
    originals: Iterable[str] = ()  # posts as fetched
    quiz: Mapping[str, Any] | None = None
    states: Mapping[str, Numbers] | None = None  # for MAUVE, where wanted
    embed: Embed | None = None  # style embedding, where wanted
    voices: Sequence[Voice] = ()  # of a blend of finished bots


def assemble(
    found: Findings,
    rules: GenerationConfig,
    config: ReportConfig,
    part: Part = lambda name: nullcontext(),
) -> VoiceReport:
    """Work out every figure and the verdict.

    Args:
        found: what it rests on.
        rules: what counts as a copy.
        config: how often to resample, and the seed.
        part: is entered around each of PARTS, to time it.
    """
    texts, index = found.texts, CopyIndex(found.texts.learned)
    made: dict[str, tuple[Figure, ...]] = {}
    with part("likelihood"):
        why = "" if texts.held_out else _UNSEEN
        made["learned"] = likelihood(found.costs, found.others, config, why)
    with part("detectability"):
        told = [detectability(texts, config)]
        told += [human(found.quiz)] if found.quiz and found.quiz.get("pairs") else []
    with part("style"):
        near = [style(texts, config, found.embed)]
        near += [mauve(found.states, config)] if found.states is not None else []
    made["voice"] = (*told, *near)
    with part("surface"):
        made["surface"] = surface(texts, config)
    with part("copying"):
        first = [sample.copied_first for sample in found.samples]
        copied = copies(texts, first, index, rules, config)
        made["copying"] = (*copied, extraction(found.completed))
    with part("diversity"):
        made["diversity"] = diversity(texts, found.person_repeats)
    made["voices"] = voices(found.voices, config)
    with part("leaks"):
        made["leaks"] = (leaks(texts, found.originals),)
    by_name = {figure.name: figure for figures in made.values() for figure in figures}
    return VoiceReport(
        verdict=judge(by_name, found.person_repeats),
        bits_per_byte=compare(found.costs, config),
        copied=count_copies(found.samples, texts.held_out, index, rules),
        person_repeats=found.person_repeats,
        texts=_sizes(found),
        sections=sections(made),
    )


def _sizes(found: Findings) -> dict[str, int]:
    texts = found.texts
    sizes = {"learned": texts.learned, "held_out": texts.held_out, "bot": texts.bot}
    every = {**sizes, **texts.floors, "others": found.others.texts}
    return {name: len(own) for name, own in every.items()}
