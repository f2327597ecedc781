"""How much of a text is copied from real posts, and from which one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mynah.config import GenerationConfig
from mynah.records import Nearest

# A word, or one character of a script that is written without spaces.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|\w+")
_GAP = -1  # stands between two posts, equal to no word
_UNKNOWN = -2  # a word that no real post has


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded: case, punctuation and width do not tell them apart."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _WORD.findall(folded.replace("'", ""))


@dataclass(frozen=True, slots=True)
class Overlap:
    """The longest run of words that a text shares with one real post."""

    run: int  # words
    words: int  # words of the text
    post: int | None  # index of the real post
    same: bool  # the folded texts are equal

    @property
    def share(self) -> float:
        """Return the run as a share of the text's words, 0 to 1."""
        return self.run / self.words if self.words else 0.0

    def is_copy(self, config: GenerationConfig) -> bool:
        """Tell whether the text repeats a real post, by the thresholds of the settings."""
        long_run = self.run >= config.copied_words
        return self.same or long_run or self.share >= config.copied_share


class CopyIndex:
    """An index of real posts by pairs of words, in memory: about 100 bytes a word."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._ids: dict[str, int] = {}
        self._stream: list[int] = [_GAP]
        self._owner: list[int] = [_GAP]
        self._single: dict[int, int] = {}  # word -> where it first stands
        self._pairs: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._whole: dict[tuple[int, ...], int] = {}
        for post, text in enumerate(texts):
            self._add(post, [self._ids.setdefault(w, len(self._ids)) for w in words_of(text)])

    def _add(self, post: int, words: list[int]) -> None:
        start = len(self._stream)
        self._stream += [*words, _GAP]
        self._owner += [post] * (len(words) + 1)
        self._whole.setdefault(tuple(words), post)
        for at, word in enumerate(words):
            self._single.setdefault(word, start + at)
        for at, pair in enumerate(pairwise(words)):
            self._pairs[pair].append(start + at)

    def overlap(self, text: str) -> Overlap:
        """Return the longest run of words that `text` shares with a real post."""
        words = [self._ids.get(word, _UNKNOWN) for word in words_of(text)]
        if words and (twin := self._whole.get(tuple(words))) is not None:
            return Overlap(len(words), len(words), twin, same=True)
        run, where = self._longest(words)
        return Overlap(run, len(words), self._owner[where] if run else None, same=False)

    def _longest(self, words: list[int]) -> tuple[int, int]:
        run, where = 0, 0
        for word in words:
            if word in self._single:
                run, where = 1, self._single[word]
                break
        for at, pair in enumerate(pairwise(words)):
            for start in self._pairs.get(pair, ()):
                if at and self._stream[start - 1] == words[at - 1]:
                    continue  # part of a run that was measured from its beginning
                if (length := self._match(words, at, start)) > run:
                    run, where = length, start
        return run, where

    def _match(self, words: list[int], at: int, start: int) -> int:
        length = 2
        while at + length < len(words) and words[at + length] == self._stream[start + length]:
            length += 1
        return length

    def tracker(self) -> CopyTracker:
        """Return what follows one text while it grows."""
        return CopyTracker(self._ids, self._stream, self._pairs)

    def nearest(self, overlap: Overlap) -> Nearest:
        """Return the real post of an overlap, as a sample carries it."""
        if overlap.post is None:
            return Nearest()
        return Nearest(text=self.texts[overlap.post], overlap=round(overlap.share, 3))


class CopyTracker:
    """Follows a growing text: the longest run of whole words that it shares with one real post."""

    def __init__(
        self,
        ids: Mapping[str, int],
        stream: Sequence[int],
        pairs: Mapping[tuple[int, int], Sequence[int]],
    ) -> None:
        self._ids, self._stream, self._pairs = ids, stream, pairs
        self._ends: dict[int, int] = {}  # where a run ends in the stream -> its words
        self._last = _UNKNOWN
        self._read = 0  # characters
        self.run = 0

    def read(self, text: str) -> int:
        """Take the text as far as it has grown; return the longest run so far, in words.

        The last word may still grow, so it counts only when white space follows. A run of one
        word is none.
        """
        whole = _last_space(text) + 1
        for word in words_of(text[self._read : whole]):
            self._add(self._ids.get(word, _UNKNOWN))
        self._read = max(self._read, whole)
        return self.run

    def _add(self, word: int) -> None:
        longer = {
            end + 1: words + 1 for end, words in self._ends.items() if self._stream[end + 1] == word
        }
        for start in self._pairs.get((self._last, word), ()):
            longer.setdefault(start + 1, 2)
        self._ends, self._last = longer, word
        self.run = max(self.run, *longer.values(), 0)


def _last_space(text: str) -> int:
    return next((at for at in range(len(text) - 1, -1, -1) if text[at].isspace()), -1)


def copied_share(texts: Sequence[str], index: CopyIndex, config: GenerationConfig) -> float:
    """Return the share of texts that repeat a real post, 0 to 1."""
    copies = sum(index.overlap(text).is_copy(config) for text in texts)
    return copies / len(texts) if texts else 0.0
