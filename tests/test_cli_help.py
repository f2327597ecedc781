"""The command line's own words: every verb helps, takes --json, and stands in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mynah import __version__, commands
from mynah.cli import build_parser
from mynah.config import STAGES
from mynah.verbs import VERBS
from tiny import mynah

ROOT = Path(__file__).resolve().parents[1]
NAMES = [verb.name for verb in VERBS]


@pytest.mark.parametrize("verb", NAMES)
def test_a_verb_helps(verb: str) -> None:
    """`mynah report --help` once ended in a traceback: its help had a bare per cent sign."""
    answer = mynah(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"usage: mynah {verb} ")
    assert "--json" in answer.out


@pytest.mark.parametrize("verb", NAMES)
def test_a_verb_has_something_to_do(verb: str) -> None:
    assert callable(getattr(commands, f"do_{verb}"))


def test_help_without_verb_shows_every_verb() -> None:
    answer = mynah("--help")
    assert answer.code == 0
    assert [name for name in NAMES if not re.search(rf"^ +{name} ", answer.out, re.M)] == []


def test_version() -> None:
    answer = mynah("--version")
    assert (answer.code, answer.out) == (0, f"mynah {__version__}\n")


def test_every_stage_has_its_flags_somewhere() -> None:
    assert {stage for verb in VERBS for stage in verb.stages} == set(STAGES)


def test_flags_are_added_only_to_the_verb_that_was_typed() -> None:
    assert "--settings" not in _help_of("train", build_parser(["say"]))
    assert "--settings" in _help_of("train", build_parser(["train"]))


def _help_of(verb: str, parser: object) -> str:
    chosen = parser._subparsers._group_actions[0].choices[verb]  # type: ignore[attr-defined]
    return str(chosen.format_help())


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/json.md"])
def test_every_verb_stands_in(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [name for name in NAMES if f"mynah {name}" not in text] == []


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "verb"),
        (("sing",), "sing"),
        (("say", "bird", "-n", "many"), "-n"),
        (("say", "bird", "--volume", "11"), "--volume 11"),
        (("train", "bird", "--effort", "heroic"), "--effort"),
    ],
)
def test_words_that_are_not_understood(words: tuple[str, ...], part: str) -> None:
    answer = mynah(*words)
    assert (answer.code, answer.out) == (2, "")
    sentence, hint = answer.err.strip().splitlines()
    assert sentence.startswith("Error: ") and part in sentence
    assert "--help" in hint
