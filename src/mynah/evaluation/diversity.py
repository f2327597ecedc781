"""Whether the bot says different things.

- distinct-n: different runs of n words, over all runs (Li et al. 2016, "A diversity-promoting
  objective function for neural conversation models", arXiv:1510.03055, section 5). It falls as a
  text grows, so all sets are cut to as many words.
- self-BLEU: the BLEU of each text with all others as references, in the mean (Zhu et al. 2018,
  "Texygen", arXiv:1802.01886, section 2.2); BLEU-4 by sacrebleu. High: all texts are alike. More
  texts are more references, so all sets are cut to as many texts.
- repeats: the share of texts that say again what an earlier one said, but for case, punctuation
  and figures. The person's own share is that of all their posts, before cleaning.

None has an interval: a set that is drawn with replacement holds texts twice, and would show
repetitions that nobody made. More is no better than the person: random words are diverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mynah.cleaning import fold
from mynah.copying import words_of
from mynah.evaluation.figure import BOT, PERSON, Figure, columns
from mynah.evaluation.texts import Texts, spread

FEWEST = 10  # texts of a set
_FEWEST_WORDS = 200  # of a set that others are cut to
_MOST_TEXTS = 60  # for self-BLEU, whose cost grows with the square
_NO_INTERVAL = "No interval: texts drawn twice would count as repetitions."


def diversity(texts: Texts, person_repeats: float | None) -> tuple[Figure, ...]:
    """Return distinct-1 to -3, self-BLEU and the share of repeats."""
    return (*_distinct(texts), _self_bleu(texts), _repeats(texts, person_repeats))


def _distinct(texts: Texts) -> tuple[Figure, ...]:
    words = {name: [words_of(text) for text in own] for name, own in texts.sets().items()}
    totals = {name: sum(map(len, own)) for name, own in words.items()}
    enough = [name for name, total in totals.items() if total >= _FEWEST_WORDS]
    size = min((totals[name] for name in enough), default=0)
    cut = {name: first_words(words[name], size) for name in enough}
    why = _NO_INTERVAL
    if BOT not in cut:
        why, cut = f"It needs {_FEWEST_WORDS} words by the bot.", {}
    return tuple(
        Figure(
            name=f"distinct_{n}",
            label=f"Distinct-{n}",
            unit="ratio",
            better="person",
            main=n == 2,
            **columns({name: distinct(own, n) for name, own in cut.items()}),
            n=len(cut.get(BOT, ())),
            why=why,
            details={"words_compared": size},
        )
        for n in (1, 2, 3)
    )


def first_words(texts: Sequence[Sequence[str]], size: int) -> list[Sequence[str]]:
    """Return texts up to `size` words in all, the last one cut."""
    taken, left = [], size
    for words in texts:
        if left <= 0:
            break
        taken.append(words[:left])
        left -= len(words)
    return taken


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Return different runs of n words over all runs, 0 to 1; none crosses two texts."""
    runs = [run for words in texts for run in ngrams(words, n)]
    return len(set(runs)) / len(runs) if runs else 0.0


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return all runs of n words."""
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


def _self_bleu(texts: Texts) -> Figure:
    sets = texts.sets(FEWEST)
    size = min(_MOST_TEXTS, *map(len, sets.values())) if sets else 0
    why, found = _NO_INTERVAL, {}
    if BOT in sets:
        found = {name: self_bleu(spread(own, size)) for name, own in sets.items()}
    else:
        why = f"It needs {FEWEST} posts by the bot, and {len(texts.bot)} were drawn."
    return Figure(
        name="self_bleu",
        label="Self-BLEU",
        unit="ratio",
        better="person",
        **columns(found),
        n=size if found else 0,
        why=why,
    )


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU of each text against all others, 0 to 1."""
    from sacrebleu.metrics.bleu import BLEU

    measure = BLEU(tokenize="none", effective_order=True)  # words are cut here, in any script
    said = [" ".join(words_of(text)) for text in texts]
    scores = [
        measure.sentence_score(one, said[:at] + said[at + 1 :]).score for at, one in enumerate(said)
    ]
    return float(sum(scores)) / len(scores) / 100


def _repeats(texts: Texts, person: float | None) -> Figure:
    found = {name: repeated_share(own) for name, own in texts.sets().items() if name != PERSON}
    if person is not None:
        found[PERSON] = person
    why = _NO_INTERVAL if BOT in found else "The bot said nothing."
    return Figure(
        name="repeats",
        label="Says it again",
        unit="share",
        better="person",
        main=True,
        **columns(found),
        n=len(texts.bot),
        why=why,
    )


def repeated_share(texts: Sequence[str]) -> float:
    """Return the share of texts that an earlier one has said, 0 to 1."""
    return 1 - len({fold(text) for text in texts}) / len(texts) if texts else 0.0


def person_repeats(kept: Sequence[str], dropped: Sequence[Mapping[str, str]]) -> float | None:
    """Return the share of a person's own posts that repeat an earlier one, None without posts.

    Args:
        kept: what cleaning kept.
        dropped: rows of dropped.jsonl, `{text, reason}`; those it took for repetitions count, and
            short ones are looked at. Reposts, versions of one post and mere links do not count.
    """
    again = sum(row["reason"] in ("duplicate", "near-duplicate") for row in dropped)
    short = [row["text"] for row in dropped if row["reason"] == "short"]
    own = [*kept, *short]
    total = len(own) + again
    return (again + repeated_share(own) * len(own)) / total if total else None
