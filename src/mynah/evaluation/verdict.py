"""The report in plain words: what was learned, what is copied, who can tell, the weak spot."""

from __future__ import annotations

from collections.abc import Mapping

from mynah.evaluation.figure import Figure
from mynah.evaluation.voices import HEARD

_SELF = 0.5  # share of repetitions from which on a person repeats themselves most of the time
_LITTLE, _MUCH = 10.0, 25.0  # per cent of gain
_COPIES = 0.02  # more than the person
_BY_HEART = 0.02  # more than what is guessed
_WEAK = 0.05  # worse than the person, on a scale of 0 to 1

_TOLD = (
    (0.6, "A classifier can hardly tell its posts from real ones"),
    (0.75, "A classifier tells its posts from real ones more often than not"),
    (0.9, "A classifier tells its posts from real ones most of the time"),
    (1.1, "A classifier tells its posts from real ones nearly every time"),
)
_SPOTS = {
    "surface_length": "how long its posts are",
    "surface_words": "which words it uses",
    "surface_emoji": "how many emoji it uses",
    "surface_capitals": "where it writes capitals",
    "surface_punctuation": "its punctuation",
    "surface_hashtags": "how many hashtags it uses",
    "surface_mentions": "how often it names people",
    "surface_language": "the language it writes in",
    "surface_time": "its words of time",
    "repeats": "that it repeats itself",
    "self_bleu": "that its posts are too much alike",
}


def judge(figures: Mapping[str, Figure], person_repeats: float | None) -> str:
    """Say what the figures mean; what cannot be computed is not spoken of, but for the gain."""
    said = (
        _learned(figures, person_repeats),
        _copied(figures),
        _told(figures),
        _asked(figures),
        _weak(figures),
        _heard(figures),
    )
    return " ".join(sentence for sentence in said if sentence)


def _learned(figures: Mapping[str, Figure], person_repeats: float | None) -> str:
    if person_repeats is not None and person_repeats > _SELF:
        return (
            f"Fine-tuning did not help here: the person repeats {100 * person_repeats:.0f} % of "
            "their posts, and a list of them would do as well."
        )
    gain = figures["gain"]
    if gain.value is None:
        return f"What it learned cannot be said. {gain.why}"
    low, high = gain.interval or (gain.value, gain.value)
    if low <= 0 <= high or gain.value <= 0:
        return "The bot does not predict new posts of this account better than its base does."
    size = "a little" if gain.value < _LITTLE else "clearly" if gain.value < _MUCH else "much"
    return (
        f"The bot predicts new posts of this account {size} better than its base: "
        f"{gain.value:.0f} % fewer bits{_beside(gain)}."
    )


def _beside(gain: Figure) -> str:
    """Say what the same base saves when it is shown posts, where that is known."""
    shown = gain.floors.get("few_shot")
    if shown is None or gain.value is None or shown <= 0:
        return ""
    if shown >= gain.value:
        return ", no more than the base saves when it is shown some posts"
    return f" ({shown:.0f} % where the base is only shown some posts)"


def _copied(figures: Mapping[str, Figure]) -> str:
    copied, heart = figures["copied"], figures["extraction"]
    if copied.value is None:
        return ""
    person = copied.ceiling or 0.0
    if copied.value > person + _COPIES:
        said = "It copies more than the person repeats: show its posts with care."
    else:
        said = "It does not copy more than the person repeats themselves."
    if heart.value is not None and heart.value > (heart.ceiling or 0.0) + _BY_HEART:
        said += f" It knows {100 * heart.value:.0f} % of the posts it learned from by heart."
    return said


def _told(figures: Mapping[str, Figure]) -> str:
    told = figures["detectability"]
    if told.value is None:
        return ""
    words = next(words for limit, words in _TOLD if told.value <= limit)
    own = "" if told.ceiling is None else f", and the person's own old posts in {told.ceiling:.2f}"
    return f"{words}: right in {told.value:.2f} of pairs (0.5 is guessing){own}."


def _asked(figures: Mapping[str, Figure]) -> str:
    human = figures.get("human")
    if human is None or human.value is None:
        return ""
    return f"People tell them apart in {human.value:.2f} of {human.n} pairs."


def _heard(figures: Mapping[str, Figure]) -> str:
    """Say of a blend whose voices its posts have."""
    found = {
        name.removeprefix(HEARD): figure.value
        for name, figure in figures.items()
        if name.startswith(HEARD) and figure.value is not None
    }
    told = ", ".join(f"{100 * share:.0f} % {name}" for name, share in found.items())
    return f"Its bots hear in its posts: {told}." if told else ""


def _weak(figures: Mapping[str, Figure]) -> str:
    """Name what is furthest from the person, where anything is."""
    gaps = {
        name: figure.value - figure.ceiling
        for name in _SPOTS
        if (figure := figures.get(name)) and figure.value is not None and figure.ceiling is not None
    }
    worst = max(gaps, key=lambda name: gaps[name], default=None)
    if worst is None:
        return ""
    if gaps[worst] < _WEAK:
        return "Nothing in the look of its posts gives it away."
    return f"Its weak spot: {_SPOTS[worst]}."
