"""What the bot knows by heart: training posts that it completes from their first words.

A post is extracted when the likeliest continuation of its first five words is the rest of it,
word for word (Carlini et al. 2021, "Extracting training data from large language models",
arXiv:2012.07805; 2023, "Quantifying memorization across neural language models",
arXiv:2202.07646, definition 3.1). Held-out posts are completed in the same way: those were
guessed, not remembered, so they are the person's column. The base's column is what can be guessed
without ever having seen the person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mynah.evaluation.copies import share
from mynah.evaluation.figure import BOT, Figure
from mynah.evaluation.texts import spread

FIRST = 5  # words that are given
FEWEST = 10  # posts of more words than that

_FIRST_WORDS = re.compile(rf"\s*(?:\S+\s+){{{FIRST - 1}}}\S+")


def beginnings(texts: Sequence[str], most: int) -> list[tuple[str, str]]:
    """Return up to `most` posts as their first words and the rest, those left out that have none.

    The rest begins with its white space, as a tokenizer wants it.
    """
    cut = ((_FIRST_WORDS.match(text), text) for text in texts)
    both = [(found[0], text[found.end() :]) for found, text in cut if found]
    return spread([(first, rest) for first, rest in both if rest.strip()], most)


def extraction(completed: Mapping[str, Sequence[bool]]) -> Figure:
    """Return the share of posts that were completed.

    Args:
        completed: for each post whether it was: training posts by the bot (`bot`) and by the base
            (`base`), held-out posts by the bot (`person`).
    """
    name, label = "extraction", "Known by heart"
    if (posts := len(completed[BOT])) < FEWEST:
        why = f"It needs {FEWEST} training posts of more than {FIRST} words, and there are {posts}."
        return Figure(name=name, label=label, unit="share", better="lower", main=True, why=why)
    return share(name, label, completed, main=True)
