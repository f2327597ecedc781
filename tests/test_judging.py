"""The report as a stage: every kind of bot and archive gets one, and nothing breaks it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import tiny_recipe
from mynah.config import CleaningConfig, DatasetConfig, ReportConfig, TrainingConfig
from mynah.dataset import Example
from mynah.errors import BotError, SettingsError
from mynah.evaluation import VoiceReport
from mynah.judging import newest, report_bot
from mynah.pipeline import Made, make_bot
from mynah.run_folder import RunFolder, read_json, write_json
from mynah.watch import Nobody

ENOUGH = ReportConfig(samples=14, floor_samples=12, resamples=20, other_posts=6, extracted=20)
QUICK = {"epochs": 0.3}


def make(archives: Sequence[Path], base: Path, **changes: Any) -> Made:
    recipe = replace(tiny_recipe(base, **QUICK), report=ENOUGH, **changes)
    return make_bot(Path("bots"), [str(path) for path in archives], recipe)


def values(report: VoiceReport) -> dict[str, float | None]:
    return {name: figure.value for name, figure in report.figures.items()}


def report_again(folder: RunFolder, base: Path, **changes: Any) -> VoiceReport:
    return report_bot(folder, replace(ENOUGH, **changes), tiny_recipe(base).say)


def test_with_enough_posts_every_figure_has_its_floors_and_its_ceiling(
    bot: RunFolder, tiny_base: Path
) -> None:
    report = report_again(bot, tiny_base)
    assert [section.name for section in report.sections] == [
        *("learned", "voice", "surface", "copying", "diversity", "leaks"),
    ]
    assert all(figure.n for figure in report.figures.values() if figure.value is not None)
    told = report.figures["detectability"]
    assert told.value is not None and told.interval and told.n == 13
    assert list(told.floors) == ["base", "few_shot", "markov"] and told.ceiling is not None
    assert report.bits_per_byte and report.bits_per_byte.gain_percent > 15
    own = report.figures["specificity"]
    assert own.value is not None and 0 < own.value < report.bits_per_byte.gain_percent
    assert report.figures["bits_per_byte"].floors["few_shot"] > report.bits_per_byte.bot
    sizes = {"learned": 117, "held_out": 13, "bot": 14, "base": 12, "markov": 12, "others": 6}
    assert sizes.items() <= report.texts.items()
    assert read_json(bot.report) == json.loads(json.dumps(report.to_json()))


def test_each_part_is_timed(bot: RunFolder, tiny_base: Path) -> None:
    report = report_again(bot, tiny_base)
    parts = ["base", "shown", "floors", "bot", "speech", "likelihood", "detectability"]
    assert list(report.seconds)[:7] == parts and len(report.seconds) == 12
    assert list(report.processor_seconds) == list(report.seconds)
    assert sum(report.seconds.values()) < bot.stage_record("report")["seconds"] + 0.2


def test_bits_are_counted_on_no_more_than_so_many_bytes(bot: RunFolder, tiny_base: Path) -> None:
    """Of 13 held-out posts; the other figures go on with all of them."""
    report = report_again(bot, tiny_base, judged_bytes=1_000)
    posts = report.figures["bits_per_byte"].n
    assert 3 < posts < 11 and report.texts["held_out"] == 13
    assert report.figures["detectability"].n == 13
    assert report.bits_per_byte and report.bits_per_byte.posts == posts


def test_what_is_turned_off_is_left_out(bot: RunFolder, tiny_base: Path) -> None:
    report = report_again(
        bot, tiny_base, floor_samples=0, shown=0, extracted=0, other_posts=0, judged=5
    )
    assert report.texts == {"learned": 117, "held_out": 5, "bot": 14, "others": 0}
    for name, words in {
        "specificity": "No posts of other authors",
        "style": "needs 10 held-out posts",
        "detectability": "needs 10 held-out posts, and there are 5",
        "extraction": "there are 0",
    }.items():
        assert report.figures[name].value is None and words in report.figures[name].why, name
    assert report.figures["bits_per_byte"].floors.keys() == {"base"}
    assert report.figures["surface_length"].value is not None


def test_three_held_out_posts(bot: RunFolder, tiny_base: Path) -> None:
    report = report_again(bot, tiny_base, judged=3)
    assert report.bits_per_byte and report.bits_per_byte.posts == 3
    assert report.figures["surface"].ceiling is None
    assert "3 held-out posts are too few" in report.figures["surface"].why
    assert report.figures["copied"].ceiling is not None


def test_a_bot_whose_weights_are_all_its_own(tiny_gpt2: Path, small_archive: Path) -> None:
    train = TrainingConfig(base=str(tiny_gpt2), recipe="huggingtweets", epochs=2.0)
    made = make([small_archive], tiny_gpt2, train=train)
    assert made.report.figures["bits_per_byte"].floors.keys() == {"base", "few_shot"}
    assert values(made.report)["self_bleu"] is not None


def test_a_blend_is_judged_by_all_its_voices(tiny_base: Path, tmp_path: Path) -> None:
    rows = tiny.account_rows()
    one = tiny.write_archive(tmp_path / "a.zip", rows[:80], handle="ana")
    two = tiny.write_archive(tmp_path / "b.zip", rows[80:], handle="bela")
    report = make([one, two], tiny_base).report
    assert report.texts["held_out"] == 13 and values(report)["detectability"] is not None


def test_an_account_of_emoji_alone(tiny_base: Path, tmp_path: Path) -> None:
    dice = random.Random(0)
    rows = [
        {**row, "text": " ".join(dice.choices("🌊 ⛴ 🐦 🌫️ 🕯️ 🧦 🍞 🔥".split(), k=30))}
        for row in tiny.account_rows(150)
    ]
    report = make([tiny.write_archive(tmp_path / "e.zip", rows)], tiny_base).report
    figures = report.figures
    assert figures["surface_emoji"].value is not None
    assert figures["distinct_1"].ceiling is None  # no words: no runs of words
    assert figures["new_4grams"].ceiling is None
    assert report.bits_per_byte is not None


def strikes(count: int) -> list[dict[str, Any]]:
    """Return a tower clock's posts: one an hour, and every fifth is a sentence."""
    plain = iter(tiny.account_rows(count))
    return [
        {
            **next(plain),
            **({} if hour % 5 == 0 else {"text": " ".join(["BONG"] * (hour % 12 + 1))}),
        }
        for hour in range(count)
    ]


def test_a_clock_that_strikes_is_told_that_fine_tuning_did_not_help(
    tiny_base: Path, tmp_path: Path
) -> None:
    archive = tiny.write_archive(tmp_path / "clock.zip", strikes(300))
    report = make([archive], tiny_base, clean=CleaningConfig(min_characters=100)).report
    # 60 sentences and 12 kinds of strikes are new, the other 228 of 300 posts say them again.
    assert report.person_repeats == pytest.approx(228 / 300)
    assert report.verdict.startswith(
        "Fine-tuning did not help here: the person repeats 76 % of their posts"
    )
    assert report.figures["repeats"].ceiling == pytest.approx(0.76)


def test_a_clock_whose_every_held_out_post_is_known(tiny_base: Path, tmp_path: Path) -> None:
    """Nothing is left to judge by: there was an error instead of a report once."""
    rows = [
        {**row, "text": " ".join(["BONG"] * (3 + hour % 10))}
        for hour, row in enumerate(tiny.account_rows(200))
    ]
    archive = tiny.write_archive(tmp_path / "clock.zip", rows)
    made = make([archive], tiny_base, clean=CleaningConfig(keep_duplicates=True))
    report = made.report
    assert report.bits_per_byte is None and report.texts["held_out"] == 0
    assert "Every held-out post repeats one" in report.figures["gain"].why
    assert report.person_repeats == pytest.approx(190 / 200)
    assert "repeats 95 % of their posts" in report.verdict
    assert tiny.mynah("list", "--json").json["bots"][0]["gain_percent"] is None
    assert "repeats 95 %" in made.folder.card.read_text(encoding="utf-8")
    assert tiny.mynah("report", made.folder.name, "--samples", "3").code == 0


def test_nothing_was_held_out_on_purpose(bot: RunFolder, tiny_base: Path) -> None:
    run = read_json(bot.run)
    run["stages"]["train"]["config"]["dataset"]["held_out"] = 0.0
    write_json(bot.run, run)
    with pytest.raises(SettingsError, match="no held-out post"):
        report_again(bot, tiny_base)


def test_one_post_drawn_and_few_tokens(bot: RunFolder, tiny_base: Path) -> None:
    recipe = tiny_recipe(tiny_base)
    config = replace(ENOUGH, samples=1, floor_samples=1, resamples=1)
    say = replace(recipe.say, max_tokens=2, min_tokens=0, temperature=0.0)
    report = report_bot(bot, config, say)
    assert report.texts["bot"] == 1 and values(report)["detectability"] is None


def test_the_newest_posts_of_every_account_are_shown() -> None:
    posts = [Example(text=f"{who}{n}", author=who) for who in "ab" for n in range(4)]
    assert newest(posts, 3) == ["a2", "b3", "a3"]
    assert newest(posts[:4], 2) == ["a2", "a3"]
    assert newest(posts, 0) == newest([], 5) == []


def test_flags_that_do_nothing_are_no_flags_of_the_report(bot: RunFolder) -> None:
    """`mynah report -n 5` drew as many posts as without it."""
    answer = tiny.mynah("report", bot.name, "-n", "5")
    assert answer.code == 2 and "-n" in answer.err


def test_mauve_lies_between_nothing_and_all(bot: RunFolder, tiny_base: Path) -> None:
    pytest.importorskip("mauve")
    from mynah.evaluation.mauve import mauve

    report = report_again(bot, tiny_base, mauve=True)
    assert "needs 20 held-out posts" in report.figures["mauve"].why
    assert "mauve" in report.seconds
    import numpy as np

    near, far = np.random.default_rng(0).normal(size=(2, 60, 8))
    states = {"bot": near, "person": near + 0.01, "learned": near, "base": far + 9}
    figure = mauve(states, ReportConfig())
    assert figure.value == pytest.approx(1.0, abs=0.05) and figure.ceiling == figure.value
    assert figure.floors["base"] < 0.1
    assert figure.details["seeds"] == 5 and figure.n == 60


def test_mauve_without_its_library_is_said_before_the_work(
    bot: RunFolder, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from mynah.errors import ExtraMissing

    monkeypatch.setitem(sys.modules, "mauve", None)
    with pytest.raises(ExtraMissing) as caught:
        report_again(bot, tiny_base, mauve=True)
    assert "mynah[mauve]" in caught.value.hint


def test_an_engine_that_cannot_be_had_is_said_before_the_work(
    bot: RunFolder, tiny_base: Path
) -> None:
    recipe = tiny_recipe(tiny_base)
    listener = Listener()
    with pytest.raises(BotError, match="has no GGUF file"):
        report_bot(bot, ENOUGH, replace(recipe.say, engine="llama"), watch=listener)
    assert listener.bars == []


def test_the_bar_tells_each_part(bot: RunFolder, tiny_base: Path) -> None:
    listener = Listener()
    report_bot(bot, ENOUGH, tiny_recipe(tiny_base).say, watch=listener)
    assert listener.bars == ["Judging"]
    assert list(dict.fromkeys(listener.notes))[:5] == [
        "what the base makes of posts",
        "what it makes of them once it is shown some",
        "what the base says",
        "what the bot makes of posts",
        "what the bot says",
    ]
    assert listener.places == sorted(listener.places)


class Listener(Nobody):
    """Keeps what moves the bar."""

    def __init__(self) -> None:
        self.bars: list[str] = []
        self.notes: list[str] = []
        self.places: list[float] = []

    def begin(self, what: str, total: float | None = None) -> None:
        self.bars.append(what)

    def advance(self, done: float, note: str = "") -> None:
        self.notes.append(note)
        self.places.append(done)


def test_held_out_by_another_share(small_archive: Path, tiny_base: Path) -> None:
    dataset = DatasetConfig(held_out=0.3, max_post_tokens=64)
    assert make([small_archive], tiny_base, dataset=dataset).report.texts["held_out"] == 39
