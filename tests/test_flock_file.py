"""A flock file: which bots it orders, with which settings; what is wrong with it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.errors import SettingsError, SourceNotFound
from mynah.flock_file import Order, read_flock
from tiny import mynah


@pytest.fixture(autouse=True)
def _archives() -> None:
    Path("in").mkdir()
    for name in ("anna.zip", "bela@sea.example.jsonl.gz", "chloe.csv"):
        (Path("in") / name).write_bytes(b"")


def orders(text: str) -> list[Order]:
    Path("flock.toml").write_text(text, encoding="utf-8")
    return read_flock(Path("flock.toml"))


def test_a_bot_of_each_account_and_blends_of_several() -> None:
    found = orders(
        'accounts = ["in/*.zip", "in/bela*"]\n[train]\neffort = "quick"\nseed = 4\n'
        '[[bot]]\nsources = ["in/anna.zip", "in/chloe.csv"]\ndataset = {weights = [2, 1]}\n'
        '[[bot]]\nname = "best"\nsources = ["in/*.zip"]\ntrain = {effort = "best"}\n'
    )
    assert [order.name for order in found] == ["anna", "bela@sea.example", "anna-chloe", "best"]
    assert [len(order.sources) for order in found] == [1, 1, 2, 1]
    assert found[2].recipe.dataset.weights == (2, 1)
    assert [order.recipe.train.effort for order in found] == ["quick"] * 3 + ["best"]
    assert {order.recipe.train.seed for order in found} == {
        order.recipe.say.seed for order in found
    }
    assert all(Path(each).is_absolute() for order in found for each in order.sources)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts = [", "is not a flock file"),
        ("", "No bot is ordered"),
        ('accounts = "in/*.zip"', "accounts must be a list of texts"),
        ('accounts = ["in/*.zip"]\nspeed = 3', "has 'speed', which is unknown"),
        ('accounts = ["in/*.zip"]\n[train]\nheat = 1', "Unknown setting 'heat'"),
        ('accounts = ["in/*.zip"]\ntrain = 3', "train must be a table"),
        ("[bot]\nsources = []", "with two brackets"),
        ('[[bot]]\nname = "x"', "has no sources"),
        ('[[bot]]\nsources = ["in/anna.zip"]\nage = 3', "'age', which is unknown"),
        ('accounts = ["in/anna.zip"]\n[[bot]]\nsources = ["in/anna.zip"]', "Two bots would be"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"flock\.toml") as caught:
        orders(text)
    assert words in caught.value.sentence


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(SourceNotFound, match=r"none/\*\.zip"):
        orders('accounts = ["none/*.zip"]')


def test_the_command_line_says_what_it_takes() -> None:
    assert "status flock.toml" in mynah("fleet", "one.toml", "two.toml").err
    assert mynah("fleet", "none.toml").code == 2


def test_nothing_is_made_to_tell_how_far_it_is(tiny_base: Path) -> None:
    Path("flock.toml").write_text(
        f'accounts = ["in/*.zip"]\n[train]\nbase = "{tiny_base}"\n', encoding="utf-8"
    )
    answer = mynah("fleet", "status", "flock.toml", "--json")
    assert answer.code == 0
    assert (answer.json["waiting"], answer.json["made"], answer.json["table"]) == (1, 0, None)
