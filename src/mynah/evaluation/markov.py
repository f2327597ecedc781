"""The oldest way to imitate an account: a chain that knows which word follows which two.

`markovify` with its usual two words of memory (Shannon 1948, "A mathematical theory of
communication", section 3, draws English in that way). What it makes is taken as it comes: copies
of real posts are part of what it is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def chain_texts(posts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return texts of a Markov chain of posts, the same for the same seed."""
    from markovify import Text

    words = [text.split() for text in posts if text.split()]
    if not words or not count:
        return []
    chain = Text(None, parsed_sentences=words, well_formed=False)
    before = random.getstate()  # the library draws from the generator that all share
    random.seed(seed)
    try:
        return [chain.make_sentence(test_output=False) for _ in range(count)]
    finally:
        random.setstate(before)
