"""How much is copied, beside how often the person repeats themselves.

- copied: by the copy guard's own line, a long run of a post's words in a row;
- exact: the same but for case and punctuation;
- near-duplicate: one edit in five characters or fewer away from a real post, the line that Lee et
  al. 2022 draw ("Deduplicating training data makes language models better", arXiv:2107.06499,
  section 4.2: edit similarity above 0.8);
- longest copied run: words in a row that stand in one real post, the mean over texts;
- new 4-grams: the share of a text's runs of four words that no real post has (n-gram novelty,
  McCoy et al. 2023, "How much do language models copy from their training data?",
  arXiv:2111.09509).

The person's column is the same for their held-out posts, and the difference is the figure that
counts. Real posts are those that the bot learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mynah.config import GenerationConfig, ReportConfig
from mynah.copying import CopyIndex, Overlap, words_of
from mynah.evaluation.bootstrap import (
    Numbers,
    difference_interval,
    mean_interval,
    newcombe,
    percentiles,
    ratio_draws,
    wilson,
)
from mynah.evaluation.diversity import ngrams
from mynah.evaluation.figure import BOT, PERSON, Figure, columns
from mynah.evaluation.texts import Texts
from mynah.records import Generation

_ALIKE = 0.8  # edit similarity of a near-duplicate
_GRAM = 4
_NONE_SAID = "The bot said nothing."


@dataclass(frozen=True, kw_only=True)
class Copied:
    """Shares of texts that repeat a training post, by the thresholds of the copy guard."""

    bot: float  # of the posts as shown, guard on
    unguarded: float  # of first draws, guard off
    person: float  # of the person's own held-out posts
    samples: int


def count_copies(
    samples: Sequence[Generation],
    held_out: Sequence[str],
    index: CopyIndex,
    config: GenerationConfig,
) -> Copied:
    """Compare how often the bot repeats training posts with how often the person does."""
    said = [index.overlap(sample.text).is_copy(config) for sample in samples]
    own = [index.overlap(text).is_copy(config) for text in held_out]
    return Copied(
        bot=round(sum(said) / max(len(said), 1), 4),
        unguarded=round(sum(sample.copied_first for sample in samples) / max(len(said), 1), 4),
        person=round(sum(own) / max(len(own), 1), 4),
        samples=len(said),
    )


def copies(
    texts: Texts,
    first_copied: Sequence[bool],
    index: CopyIndex,
    rules: GenerationConfig,
    config: ReportConfig,
) -> tuple[Figure, ...]:
    """Return all figures of copying.

    Args:
        texts: what is compared.
        first_copied: for each post of the bot, whether its first draw was a copy.
        index: the posts that the bot learned from.
        rules: what counts as a copy.
        config: of the bootstrap.
    """
    overlaps = {name: [index.overlap(text) for text in own] for name, own in texts.sets().items()}
    copied = {name: [overlap.is_copy(rules) for overlap in own] for name, own in overlaps.items()}
    unguarded = copied | ({BOT: list(first_copied)} if first_copied else {})
    known = set(texts.learned)  # emoji alone have no words to compare
    exact = {
        name: [overlap.same or text in known for overlap, text in zip(own, said, strict=True)]
        for (name, own), said in zip(overlaps.items(), texts.sets().values(), strict=True)
    }
    alike = {name: near_duplicates(own, texts.learned) for name, own in texts.sets().items()}
    return (
        share("copied", "Copied, as shown", copied, main=True),
        share("copied_unguarded", "Copied, guard off", unguarded),
        share("exact", "Word for word", exact),
        share("near_duplicate", "Nearly word for word", alike),
        _runs(overlaps, config),
        _new_grams(texts, config),
    )


def share(
    name: str, label: str, hits: Mapping[str, Sequence[bool]], *, main: bool = False
) -> Figure:
    """Return the figure of a share of texts, lower being better."""
    found = {key: sum(own) / len(own) for key, own in hits.items() if len(own)}
    counts = {key: (sum(own), len(own)) for key, own in hits.items() if len(own)}
    both = BOT in counts and PERSON in counts
    return Figure(
        name=name,
        label=label,
        unit="share",
        better="lower",
        main=main,
        **columns(found),
        interval=wilson(*counts[BOT]) if BOT in counts else None,
        n=counts.get(BOT, (0, 0))[1],
        excess=found[BOT] - found[PERSON] if both else None,
        excess_interval=newcombe(counts[BOT], counts[PERSON]) if both else None,
        why="" if BOT in counts else _NONE_SAID,
    )


def near_duplicates(texts: Sequence[str], learned: Sequence[str]) -> list[bool]:
    """Tell for each text whether a real post is at most a fifth of edits away."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    said, real = (_folded(each) for each in (texts, learned))
    if not said or not real:
        return [False] * len(said)
    alike = cdist(said, real, scorer=Levenshtein.normalized_similarity, score_cutoff=_ALIKE)
    return [bool(row.max() > _ALIKE) for row in alike]


def _folded(texts: Sequence[str]) -> list[str]:
    return [" ".join(words_of(text)) or text for text in texts]


def _runs(overlaps: Mapping[str, Sequence[Overlap]], config: ReportConfig) -> Figure:
    runs = {name: [overlap.run for overlap in own] for name, own in overlaps.items()}
    found = {name: float(np.mean(own)) for name, own in runs.items()}
    both = BOT in runs and PERSON in runs
    return Figure(
        name="longest_run",
        label="Longest copied run",
        unit="words",
        better="lower",
        **columns(found),
        interval=mean_interval(runs[BOT], config) if BOT in runs else None,
        n=len(runs.get(BOT, ())),
        excess=found[BOT] - found[PERSON] if both else None,
        excess_interval=difference_interval(runs[BOT], runs[PERSON], config) if both else None,
        why="" if BOT in runs else _NONE_SAID,
        details={
            "longest": {name: max(own) for name, own in runs.items()},
            "texts_by_words": {name: _histogram(own) for name, own in runs.items()},
        },
    )


def _histogram(runs: Sequence[int]) -> dict[str, int]:
    counts = Counter(runs)
    return {str(run): counts[run] for run in range(max(counts) + 1)}


def _new_grams(texts: Texts, config: ReportConfig) -> Figure:
    known = {gram for text in texts.learned for gram in ngrams(words_of(text), _GRAM)}
    counts = {name: _count_new(own, known) for name, own in texts.sets().items()}
    counts = {name: own for name, own in counts.items() if own[:, 1].sum()}
    found = {name: float(own[:, 0].sum() / own[:, 1].sum()) for name, own in counts.items()}
    fields: dict[str, Any] = {"why": f"No text of the bot has {_GRAM} words."}
    if BOT in counts:
        draws = _ratios(counts[BOT], config)
        fields = {"interval": percentiles(draws), "n": len(counts[BOT])}
        if PERSON in counts:
            theirs = _ratios(counts[PERSON], config, stream=1)
            fields["excess"] = found[BOT] - found[PERSON]
            fields["excess_interval"] = percentiles(draws - theirs)
    return Figure(
        name="new_4grams",
        label="New runs of 4 words",
        unit="share",
        better="person",
        **columns(found),
        **fields,
    )


def _ratios(counts: Numbers, config: ReportConfig, *, stream: int = 0) -> Numbers:
    return ratio_draws(counts[:, 0], counts[:, 1], config, stream=stream)


def _count_new(texts: Sequence[str], known: set[tuple[str, ...]]) -> Numbers:
    """Return new and all runs of each text, [texts, 2]."""
    rows = []
    for text in texts:
        grams = ngrams(words_of(text), _GRAM)
        rows.append((sum(gram not in known for gram in grams), len(grams)))
    return np.asarray(rows, dtype=float).reshape(-1, 2)
