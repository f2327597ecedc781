"""The nine features of how posts look: each counts categories in one text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mynah import languages
from mynah.copying import words_of

_COMMON = 100  # words counted one by one; all others are one category
_LENGTHS = (20, 40, 60, 80, 100, 120, 140, 170, 200, 240, 280)  # characters
_CAPITALS = (0.0, 0.03, 0.06, 0.1, 0.2, 0.5)  # shares of the letters
_SPOKEN = 0.04  # share of the posts from which on a language is one of the author's
_MANY = 3  # of a kind in one post; more count the same

_PICTURE = (
    "[\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_TONE = "[\ufe0f\U0001f3fb-\U0001f3ff]?"
_EMOJI = re.compile(f"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTURE}{_TONE}(?:\u200d{_PICTURE}{_TONE})*")
_HASHTAG = re.compile(r"(?<!\w)[#＃]\w")
_MENTION = re.compile(r"(?<!\w)[@＠]\w")

_TIMES = {
    "day of the week": "monday tuesday wednesday thursday friday saturday sunday lunes"
    " martes miércoles jueves viernes sábado domingo montag dienstag mittwoch donnerstag"
    " freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche",
    "month": "january february march april june july august september october november december"
    " enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
    " januar februar märz juni juli oktober dezember janvier février avril juin juillet"
    " août septembre octobre novembre décembre",
    "part of the day": "morning noon afternoon evening night midnight mañana tarde noche morgen"
    " mittag nachmittag abend nacht matin midi soir nuit",
    "now and then": "today tonight tomorrow yesterday now soon hoy ayer ahora heute gestern jetzt"
    " aujourd'hui demain hier maintenant",
    "unit": "minute minutes hour hours day days week weeks month months year years minuto minutos"
    " hora horas día días semana semanas mes meses año años minuten stunde stunden tage woche"
    " wochen monat monate jahr jahre heure heures jour jours semaine semaines mois ans",
}
_FIGURES = {
    "time of the clock": re.compile(
        r"\b\d{1,2}(?:[:.]\d\d\b| ?[ap]\.?m\b| o.clock)", re.IGNORECASE
    ),
    "year": re.compile(r"\b(?:19|20)\d\d\b"),
}


@dataclass(frozen=True)
class Feature:
    """A way to count categories in one text; a text that has none of them counts as `none`."""

    name: str
    label: str
    count: Callable[[str], Counter[str]]


def features(learned: Sequence[str]) -> tuple[Feature, ...]:
    """Return all features; the words that are counted are the commonest of the learned posts."""
    return (
        Feature("length", "Length in characters", length),
        Feature("words", "Words in use", word_use(learned)),
        Feature("emoji", "Emoji", emoji),
        Feature("capitals", "Capital letters", capitals),
        Feature("punctuation", "Punctuation", punctuation),
        Feature("hashtags", "Hashtags", hashtags),
        Feature("mentions", "Mentions", mentions),
        Feature("language", "Language", language_use(learned)),
        Feature("time", "Words of time", time_words),
    )


def length(text: str) -> Counter[str]:
    """Count a text in the class of its length."""
    return Counter([next((f"≤ {end}" for end in _LENGTHS if len(text) <= end), "longer")])


def word_use(learned: Sequence[str]) -> Callable[[str], Counter[str]]:
    """Return what counts the commonest words of an author, and all others as one."""
    every = Counter(word for text in learned for word in words_of(text))
    common = {word for word, _ in every.most_common(_COMMON)}

    def count(text: str) -> Counter[str]:
        words = (word if word in common else "other words" for word in words_of(text))
        return Counter(words) or Counter(["none"])

    return count


def emoji(text: str) -> Counter[str]:
    """Count a text by how many emoji it has."""
    return _how_many(len(_EMOJI.findall(text)))


def capitals(text: str) -> Counter[str]:
    """Count a text by the share of its letters that are capitals."""
    cased = [letter for letter in text if letter.isupper() or letter.islower()]
    if not cased:
        return Counter(["no letters"])
    share = sum(letter.isupper() for letter in cased) / len(cased)
    return Counter([next((f"≤ {end:.0%}" for end in _CAPITALS if share <= end), "more")])


def punctuation(text: str) -> Counter[str]:
    """Count each mark; `#` and `@` have features of their own."""
    marks = Counter(letter for letter in text if unicodedata.category(letter)[0] == "P")
    marks -= Counter({"#": len(text), "@": len(text)})
    return marks or Counter(["none"])


def hashtags(text: str) -> Counter[str]:
    """Count a text by how many hashtags it has."""
    return _how_many(len(_HASHTAG.findall(text)))


def mentions(text: str) -> Counter[str]:
    """Count a text by how many people it names."""
    return _how_many(len(_MENTION.findall(text)))


def language_use(learned: Sequence[str]) -> Callable[[str], Counter[str]]:
    """Return what counts an author's languages; others are one: most of them are wrong guesses."""
    guesses = Counter(languages.detect(text) for text in learned)
    used = {name for name, count in guesses.items() if count >= _SPOKEN * len(learned)} - {None}

    def count(text: str) -> Counter[str]:
        found = languages.detect(text) or "none"
        return Counter([found if found in used or found == "none" else "other"])

    return count


def time_words(text: str) -> Counter[str]:
    """Count words of time by kind, in English, Spanish, German and French."""
    found = Counter(_KIND_OF[word] for word in words_of(text) if word in _KIND_OF)
    found.update({kind: len(shape.findall(text)) for kind, shape in _FIGURES.items()})
    return +found or Counter(["none"])


def _how_many(count: int) -> Counter[str]:
    return Counter([str(count) if count < _MANY else f"{_MANY} or more"])


_KIND_OF = {  # each word folded as `words_of` folds
    word: kind
    for kind, words in _TIMES.items()
    for each in words.split()
    for word in words_of(each)
}
