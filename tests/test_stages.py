"""Each stage alone: reads one file, writes the next, records both; a failed one changes nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from conftest import tiny_recipe
from mynah.cleaning import read_cleaned, read_dropped
from mynah.config import (
    CleaningConfig,
    DatasetConfig,
    ExportConfig,
    FetchConfig,
    GenerationConfig,
)
from mynah.errors import BotExists, EmptySource, SettingsError, StageMissing, TooFewPosts
from mynah.held_out import read_split
from mynah.judging import report_bot
from mynah.model_stages import export_bot, prepare, train_bot
from mynah.records import read_posts, read_rows
from mynah.run_folder import RunFolder, hash_file, hash_tree, read_json
from mynah.speaking import say_posts
from mynah.stages import check_enough, clean_posts, fetch_posts, stage


class Listener:
    """A watch that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bars: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def begin(self, what: str, total: float | None = None) -> None:
        self.bars.append(f"begin {what}")

    def advance(self, done: float, note: str = "") -> None:
        pass

    def end(self) -> None:
        self.bars.append("end")


def fetched(bots: Path, source: Path, **more: Any) -> RunFolder:
    return fetch_posts(bots, [str(source)], FetchConfig(), **more)


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hash_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_fetch_writes_posts_and_where_they_came_from(bots: Path, small_archive: Path) -> None:
    folder = fetched(bots, small_archive)
    assert folder.root == bots / "ferryclerk"
    assert len(list(read_posts(folder.posts))) == 130
    run = folder.read_run()
    [account] = run["accounts"]
    assert account["handle"] == "ferryclerk" and account["own_archive"] is True
    record = run["stages"]["fetch"]
    found = {"source": "ferry.zip", "format": "x-archive-2022", "sureness": "for certain"}
    assert record["result"] == {
        "format": "x-archive-2022",
        "posts": 130,
        "skipped": 0,
        "found": [found | {"posts": 130}],
    }
    assert record["outputs"] == {"posts.jsonl": hash_file(folder.posts)}
    assert "ferry.zip/data/tweets.js" in record["inputs"]
    assert record["config"]["max_posts"] is None and record["seconds"] >= 0
    assert set(run["versions"]) == {"mynah", "python", "torch", "transformers", "xllamacpp"}
    assert [path.name for path in bots.iterdir()] == ["ferryclerk"]  # nothing half-done remains


def test_a_name_that_is_taken_is_refused_and_all_is_as_it_was(
    bots: Path, small_archive: Path
) -> None:
    folder = fetched(bots, small_archive, name="ana")
    before = files(bots)
    with pytest.raises(BotExists) as caught:
        fetched(bots, small_archive, name="ana")
    assert caught.value.sentence == "There is a bot 'ana' already."
    assert "--replace" in caught.value.hint and "--name" in caught.value.hint
    assert files(bots) == before and folder.posts.exists()


def test_made_anew_it_forgets_what_was_made_of_other_posts(
    bot: RunFolder, bots: Path, small_archive: Path
) -> None:
    assert bot.adapter.exists() and bot.report.exists() and bot.page.exists()
    fetched(bots, small_archive, name=bot.name, replace=True)
    assert list(bot.read_run()["stages"]) == ["fetch"]
    made = (bot.cleaned, bot.dropped, bot.adapter, bot.samples)
    gone = (*made, bot.report, bot.page, bot.card)
    assert not [path for path in gone if path.exists()]


def test_a_source_that_fails_takes_nothing_from_the_old_bot(
    bot: RunFolder, bots: Path, tmp_path: Path
) -> None:
    before = files(bots)
    empty = tiny.write_archive(tmp_path / "empty.zip", [])
    with pytest.raises(EmptySource):
        fetched(bots, empty, name=bot.name, replace=True)
    assert files(bots) == before


def test_clean_keeps_both_sides_and_counts_them(bots: Path, tmp_path: Path) -> None:
    rows = [
        *tiny.account_rows(60),
        {"at": "2024-01-01T08:00:00Z", "text": "Too short"},
        {"at": "2024-01-02T08:00:00Z", "text": "Words of another", "repost_of": "gull"},
        {"at": "2024-01-03T08:00:00Z", "text": tiny.account_rows(1)[0]["text"]},
    ]
    folder = fetched(bots, tiny.write_archive(tmp_path / "a.zip", rows))
    cleaned = clean_posts(folder, CleaningConfig())
    result = folder.stage_record("clean")["result"]
    kept, dropped = list(read_cleaned(folder.cleaned)), list(read_dropped(folder.dropped))
    assert (len(kept), len(dropped)) == (60, 3) == (len(cleaned.selected), len(cleaned.dropped))
    assert result["downloaded"] == 63 and result["kept"] == 60
    found = {reason: count for reason, count in result["dropped"].items() if count}
    assert found == {"repost": 1, "short": 1, "duplicate": 1}
    assert result["characters"] == sum(len(post.text) for post in kept)
    assert result["languages"] == {"en": 1.0}
    record = folder.stage_record("clean")
    assert record["inputs"] == {"posts.jsonl": hash_file(folder.posts)}
    assert record["outputs"] == {
        "cleaned.jsonl": hash_file(folder.cleaned),
        "dropped.jsonl": hash_file(folder.dropped),
    }


def test_few_posts_are_refused_and_rather_few_are_said(
    bots: Path, small_archive: Path, tmp_path: Path
) -> None:
    listener = Listener()
    folder = fetched(bots, small_archive)
    clean_posts(folder, CleaningConfig(), watch=listener)
    check_enough(folder, ["en"], watch=listener)
    assert any("characters are few" in sentence for sentence in listener.said)
    few = fetched(bots, tiny.write_archive(tmp_path / "few.zip", tiny.account_rows(3)), name="few")
    clean_posts(few, CleaningConfig())
    with pytest.raises(TooFewPosts, match="a voice needs 6,000") as caught:
        check_enough(few, ["en"])
    assert "mynah clean" in caught.value.hint


def dutch_bot(bots: Path, tmp_path: Path) -> RunFolder:
    dutch = "De veerboot vertrok vanochtend precies op tijd en niemand begreep waarom, nummer"
    rows = [
        {**row, "text": f"{dutch} {number}", "lang": "nl"}
        for number, row in enumerate(tiny.account_rows())
    ]
    folder = fetched(bots, tiny.write_archive(tmp_path / "nl.zip", rows))
    clean_posts(folder, CleaningConfig(keep_duplicates=True))
    return folder


def test_a_language_that_the_base_does_not_know_is_said_before_training(
    bots: Path, tmp_path: Path
) -> None:
    folder = dutch_bot(bots, tmp_path)
    listener = Listener()
    check_enough(folder, ["en"], watch=listener)
    [sentence] = [each for each in listener.said if "does not know" in each]
    assert "nl" in sentence and "--base" in sentence
    listener = Listener()
    check_enough(folder, ["en", "nl"], watch=listener)
    assert not [each for each in listener.said if "does not know" in each]


@pytest.mark.parametrize("known, rank", [(("en",), 32), (("en", "nl"), 8), ((), 8)])
def test_a_language_that_the_base_does_not_know_is_learned_with_a_larger_adapter(
    bots: Path, tmp_path: Path, tiny_base: Path, known: tuple[str, ...], rank: int
) -> None:
    base, folder = tiny.fp32(tiny_base), dutch_bot(bots, tmp_path)
    base = replace(base, info=replace(base.info, languages=known))
    recipe = tiny_recipe(tiny_base, rank=None)
    parts = read_split(folder, recipe.dataset)
    assert prepare(base, parts, recipe.train, recipe.dataset, folder).plan.rank == rank


def test_a_larger_archive_is_read_until_posts_set_aside_gain_nothing(
    bots: Path, tmp_path: Path, tiny_base: Path
) -> None:
    rows = tiny.account_rows()
    many = [{**row, "text": f"{row['text']} {number}"} for number in range(10, 22) for row in rows]
    folder = fetched(bots, tiny.write_archive(tmp_path / "many.zip", many))
    clean_posts(folder, CleaningConfig(keep_duplicates=True))
    listener, recipe = Listener(), tiny_recipe(tiny_base, epochs=None)
    train_bot(folder, recipe.train, recipe.dataset, watch=listener)
    result = folder.stage_record("train")["result"]
    assert result["validation"] == min(100, round(0.05 * result["posts"]))
    assert result["steps"] == len(result["losses"]) and 0 < result["best_step"] < result["steps"]
    assert f"({result['validation']} set aside tell when to stop)" in " ".join(listener.said)


def test_training_announces_what_it_will_cost_before_it_starts(
    bot: RunFolder, tiny_base: Path
) -> None:
    listener = Listener()
    recipe = tiny_recipe(tiny_base, epochs=1.0)
    train_bot(bot, recipe.train, recipe.dataset, watch=listener)
    words = " ".join(listener.said)
    assert "Base tiny-llama on cpu in" in words and "LoRA of rank" in words
    assert "the posts once, 35 steps" in words and "learning rate 0.01, seed 0." in words
    assert "Estimate:" in words and "GB of memory" in words
    assert listener.bars[0].startswith("begin Loading the base")
    assert listener.bars[1] == "end" and listener.bars[2].startswith("begin Finding out how fast")
    assert listener.bars[3:] == ["end", "begin Training", "end"]
    result = bot.stage_record("train")["result"]
    assert (result["posts"], result["held_out"]) == (117, 13)
    assert len(result["losses"]) == result["steps"]
    assert bot.stage_record("train")["config"]["dataset"]["held_out"] == 0.1
    assert not bot.checkpoints.exists()


def test_the_newest_posts_are_never_trained_on(bot: RunFolder, tiny_base: Path) -> None:
    """Whatever the held-out posts say, the weights stay the same."""
    recipe = tiny_recipe(tiny_base, epochs=0.5)
    train_bot(bot, recipe.train, recipe.dataset)
    first = hash_tree(bot.adapter)
    rows = list(read_rows(bot.cleaned))
    for number, row in enumerate(rows[-13:]):
        row["text"] = f"Entirely other words, number {number}."
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    bot.cleaned.write_text(lines, encoding="utf-8")
    train_bot(bot, recipe.train, recipe.dataset)
    assert hash_tree(bot.adapter) == first


def test_the_report_is_the_same_every_time(bot: RunFolder, tiny_base: Path) -> None:
    recipe = tiny_recipe(tiny_base)
    timed = {"seconds", "processor_seconds"}
    before = {key: each for key, each in read_json(bot.report).items() if key not in timed}
    page = bot.page.read_text(encoding="utf-8").partition("What it took")[0]
    report = report_bot(bot, recipe.report, recipe.say)
    assert before.items() <= read_json(bot.report).items()
    assert bot.page.read_text(encoding="utf-8").partition("What it took")[0] == page
    assert report.bits_per_byte
    assert report.bits_per_byte.gain_percent > 15 and report.bits_per_byte.posts == 13
    assert report.copied.samples == 4


def test_posts_cleaned_anew_are_not_judged_by_the_old_training(bot: RunFolder) -> None:
    """They would be split elsewhere: the bot would be judged by posts that it learned."""
    recipe = tiny_recipe(Path("unused"))
    clean_posts(bot, CleaningConfig(min_words=30))
    before = bot.report.read_bytes()
    with pytest.raises(StageMissing) as caught:
        report_bot(bot, recipe.report, recipe.say)
    assert caught.value.hint == f"Run: mynah train {bot.name}"
    assert bot.report.read_bytes() == before


def test_without_held_out_posts_there_is_no_report(bot: RunFolder, tiny_base: Path) -> None:
    recipe = tiny_recipe(tiny_base, epochs=0.5)
    train_bot(bot, recipe.train, DatasetConfig(held_out=0, max_post_tokens=64))
    assert bot.stage_record("train")["result"]["held_out"] == 0
    with pytest.raises(SettingsError, match="no held-out post") as caught:
        report_bot(bot, recipe.report, recipe.say)
    assert "--held-out 0.1" in caught.value.hint


def test_what_was_said_is_kept_with_its_seed(bot: RunFolder) -> None:
    config = GenerationConfig(n=2, seed=5, max_tokens=10, max_draws=1)
    talk = say_posts(bot, "My dream is", config)
    assert talk.seed == 5
    posts = list(talk.posts)
    rows = list(read_rows(bot.samples))
    assert [row["text"] for row in rows] == [post.text for post in posts]
    assert {row["prompt"] for row in rows} == {"My dream is"}
    assert {row["settings"]["seed"] for row in rows} == {5}
    assert all(set(row["nearest"]) == {"text", "overlap"} for row in rows)
    result = bot.stage_record("say")["result"]
    assert result == {"posts": 2, "seed": 5, "engine": talk.engine}
    assert talk.engine.startswith("torch on ")  # the tiny base has no GGUF file


def test_a_stage_without_the_one_before_names_it(tmp_path: Path, tiny_bot: RunFolder) -> None:
    folder = RunFolder(tmp_path / "ana")
    folder.root.mkdir()
    recipe = tiny_recipe(tmp_path)
    with pytest.raises(StageMissing, match="mynah fetch ana"):
        clean_posts(folder, CleaningConfig())
    with pytest.raises(StageMissing, match="mynah clean ana"):
        train_bot(folder, recipe.train, recipe.dataset)
    with pytest.raises(StageMissing, match="mynah train ana"):
        report_bot(folder, recipe.report, recipe.say)
    with pytest.raises(StageMissing, match="mynah train ana"):
        say_posts(folder, "", recipe.say)
    with pytest.raises(StageMissing, match="mynah train ana"):
        export_bot(folder, ExportConfig())
    shutil.copytree(tiny_bot.adapter, folder.adapter)  # killed before its record was written
    with pytest.raises(StageMissing, match="mynah train ana"):
        say_posts(folder, "", recipe.say)


def test_a_stage_that_fails_leaves_no_record_and_gives_the_lock_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ana")
    with pytest.raises(RuntimeError), stage(folder, "clean", CleaningConfig(), []):
        raise RuntimeError
    assert folder.read_run()["stages"] == {}
    with stage(folder, "clean", CleaningConfig(min_words=2), []) as made:
        made["result"] = {"kept": 1}
    record = folder.stage_record("clean")
    assert record["config"]["min_words"] == 2 and record["result"] == {"kept": 1}


def test_a_bar_is_taken_away_when_the_work_fails(bots: Path, tmp_path: Path) -> None:
    listener = Listener()
    broken = tmp_path / "posts.jsonl"
    broken.write_text('{"text": "one good line of a post"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(Exception, match=r"posts\.jsonl"):
        fetch_posts(bots, [str(broken)], FetchConfig(), watch=listener)
    assert listener.bars == ["begin Reading posts", "end"]
