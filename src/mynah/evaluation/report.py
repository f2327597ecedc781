"""The voice report as a whole: all figures in sections, the verdict, what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mynah.evaluation.copies import Copied
from mynah.evaluation.figure import Figure, Section, rounded
from mynah.evaluation.likelihood import BitsPerByte

_ABOUT = {
    "learned": (
        "What it learned",
        "Bits per byte: what a model needs to spell out a post that it never saw, over the post's "
        "length. Fewer is better. What is gained on this author and not on others is the voice; "
        "the rest is the habit of posting.",
    ),
    "voice": (
        "How close it comes",
        "Told apart: how often a judge picks the machine's post out of a pair, one real, one not; "
        "0.5 is guessing. Style: 0 is the base, 1 the person's own new posts; above 1 it is nearer "
        "to the old posts than those are.",
    ),
    "surface": (
        "How its posts look",
        "Jensen-Shannon distance to the posts it learned from: 0 is the same, 1 has nothing in "
        "common. The person's own new posts are not at 0 either.",
    ),
    "copying": (
        "What it copies",
        "Beside each figure stands how often the person repeats themselves; the difference is "
        "what counts.",
    ),
    "diversity": (
        "Whether it says different things",
        "Distinct-n: different runs of n words, over all. Self-BLEU: how alike its posts are. "
        "Near the person is best: more is no better.",
    ),
    "leaks": (
        "What it gives away",
        "Posts that hold an e-mail address, phone number, IBAN or IP address of the posts as they "
        "were fetched.",
    ),
}
SECTIONS = tuple(_ABOUT)
_SPECIAL = {
    "voices": (
        "How much of each voice is heard",
        "Whose the blend's posts are, as the bots that it was made of say: the mean chance of each "
        "one. Under Person stands the same of that person's own new posts: what can be told at "
        "all. Below, what the blend gains on each person's new posts, and what their own bot does.",
    ),
}  # sections that only some bots have


@dataclass(frozen=True, kw_only=True)
class VoiceReport:
    """Everything that report.json holds."""

    verdict: str
    bits_per_byte: BitsPerByte | None  # in short; None where no post was held out unseen
    copied: Copied
    person_repeats: float | None  # share of the person's own posts that repeat an earlier one
    texts: Mapping[str, int]  # how many of each kind were compared
    sections: tuple[Section, ...]
    # What each part took; two reports are the same however long they took.
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)
    processor_seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def figures(self) -> dict[str, Figure]:
        """Return all figures by name."""
        return {figure.name: figure for section in self.sections for figure in section.figures}

    def to_json(self) -> dict[str, Any]:
        """Return the object of report.json."""
        row: dict[str, Any] = {
            "verdict": self.verdict,
            "bits_per_byte": self.bits_per_byte and rounded(asdict(self.bits_per_byte)),
            "copied": asdict(self.copied),
            "person_repeats": rounded(self.person_repeats),
            "texts": dict(self.texts),
            "sections": [section.to_json() for section in self.sections],
            "seconds": dict(self.seconds),
            "processor_seconds": dict(self.processor_seconds),
        }
        return row

    def summary(self) -> dict[str, Any]:
        """Return what run.json keeps of it."""
        whole = self.to_json()
        return {key: whole[key] for key in ("verdict", "bits_per_byte", "copied", "seconds")}


def sections(figures: Mapping[str, Sequence[Figure]]) -> tuple[Section, ...]:
    """Return figures under their headings."""
    known = {**_ABOUT, **{name: about for name, about in _SPECIAL.items() if figures.get(name)}}
    return tuple(
        Section(name=name, title=title, about=about, figures=tuple(figures.get(name, ())))
        for name, (title, about) in known.items()
    )
